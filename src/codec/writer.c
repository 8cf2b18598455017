/* writer.c - see writer.h */
#include "codec/writer.h"

#include <assert.h>

#include "base/mem.h"
#include "base/thread.h"
#include "format/base64.h"
#include "format/json_escape.h"

void sl_json_writer_close(sl_json_writer *w)
{
    if (w->begin && w->begin != w->scratch) {
        assert(!w->out->failed); /* by nobody else, and by the writer only on its way to scratch */
        sl_chain_commit(w->out, (size_t)(w->at - w->begin));
    }
    w->at = w->end = w->begin = NULL;
}

enum { RUN = 32 * 1024 }; /* bytes without a look at who else wants the processor: 50 us or so */

void sl_json_writer_more(sl_json_writer *w, size_t n)
{
    if (w->at - w->begin >= RUN / 2)
        sl_thread_step_aside();
    sl_json_writer_close(w);
    w->at = w->out->failed ? NULL : sl_chain_reserve(w->out, n);
    if (w->at) {
        w->end = w->at + SL_MIN(sl_chain_room(w->out), SL_MAX(n, (size_t)RUN));
    } else {
        w->at = w->scratch;
        w->end = w->at + sizeof w->scratch;
    }
    w->begin = w->at;
}

void sl_json_put_line(sl_json_writer *w, int depth)
{
    size_t n = 4 * (size_t)depth;
    char *p = sl_json_room(w, n + 1);
    *p = '\n';
    memset(p + 1, ' ', n);
    w->at += n + 1;
}

enum {
    PIECE = 1020
}; /* a multiple of 3, so that base64 can be joined; 6 times that is room enough */

static void put_escaped(sl_json_writer *w, sl_str s)
{
    for (size_t i = 0; i < s.n; i += PIECE) {
        sl_str piece = {s.p + i, SL_MIN(s.n - i, (size_t)PIECE)};
        w->at = sl_json_escape(SL_JSON_RAPID, piece, sl_json_room(w, 6 * piece.n));
    }
}

void sl_json_put_string(sl_json_writer *w, sl_str s)
{
    SL_JSON_PUT(w, "\"");
    put_escaped(w, s);
    SL_JSON_PUT(w, "\"");
}

void sl_json_put_message(sl_json_writer *w, const char *msg, const char *more)
{
    SL_JSON_PUT(w, "\"");
    put_escaped(w, (sl_str){msg, strlen(msg)});
    put_escaped(w, (sl_str){more, strlen(more)});
    SL_JSON_PUT(w, "\"");
}

void sl_json_put_b64(sl_json_writer *w, sl_str s, int depth)
{
    SL_JSON_PUT(w, "{");
    sl_json_put_line(w, depth + 1);
    SL_JSON_PUT(w, "\"b64\": \"");
    for (size_t i = 0; i < s.n; i += PIECE) {
        sl_str piece = {s.p + i, SL_MIN(s.n - i, (size_t)PIECE)};
        w->at = sl_base64_encode(piece, sl_json_room(w, 2 * PIECE));
    }
    SL_JSON_PUT(w, "\"");
    sl_json_put_line(w, depth);
    SL_JSON_PUT(w, "}");
}
