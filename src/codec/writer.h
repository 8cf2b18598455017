/*
 * writer.h - JSON text into a chain, fast
 *
 * Keeps the end of the chain's last block in two pointers, so that a number costs one comparison
 * before it is written in place. When memory runs out it goes on writing into a scratch area, and
 * the chain remembers: check out->failed at the end.
 *
 *     sl_json_writer_open(&w, chain);
 *     sl_json_put(&w, "{", 1);
 *     sl_json_writer_close(&w);     before anybody else touches the chain
 */
#ifndef SL_CODEC_WRITER_H
#define SL_CODEC_WRITER_H

#include <string.h>

#include "base/chain.h"

enum { SL_JSON_WRITER_MOST = 8192 }; /* of one sl_json_room() */

typedef struct sl_json_writer {
    sl_chain *out;
    char *at, *end, *begin; /* begin: what was written since is not committed yet */
    char scratch[SL_JSON_WRITER_MOST];
} sl_json_writer;

static inline void sl_json_writer_open(sl_json_writer *w, sl_chain *out)
{
    w->out = out;
    w->at = w->end = w->begin = NULL;
}
void sl_json_writer_close(sl_json_writer *w);
void sl_json_writer_more(sl_json_writer *w, size_t n);

/* Room for n bytes at w->at, n at most SL_JSON_WRITER_MOST. */
static inline char *sl_json_room(sl_json_writer *w, size_t n)
{
    if (__builtin_expect((size_t)(w->end - w->at) < n, 0))
        sl_json_writer_more(w, n);
    return w->at;
}
static inline void sl_json_put(sl_json_writer *w, const char *p, size_t n)
{
    memcpy(sl_json_room(w, n), p, n);
    w->at += n;
}
#define SL_JSON_PUT(w, literal) sl_json_put((w), literal, sizeof(literal) - 1)

/* A line break, and four blanks for each level. */
void sl_json_put_line(sl_json_writer *w, int depth);
/* A string with quotes (rest.md 7.4). */
void sl_json_put_string(sl_json_writer *w, sl_str s);
/* One string of two parts. */
void sl_json_put_message(sl_json_writer *w, const char *msg, const char *more);
/* {"b64": "..."} with its line breaks, inside `depth` brackets. */
void sl_json_put_b64(sl_json_writer *w, sl_str s, int depth);

#endif
