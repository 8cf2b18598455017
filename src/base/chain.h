/*
 * chain.h - bytes on their way out, in pieces
 *
 * A reply is written into a chain: small pieces are copied into blocks, large ones are lent from a
 * counted buffer. Nothing is moved when it grows, so a reply of 100 MB costs no copy, and writev()
 * sends it as it is.
 *
 *     char *p = sl_chain_reserve(&c, 32);     room for 32 bytes, or NULL
 *     n = write_number(p, x);
 *     sl_chain_commit(&c, n);
 *
 * Belongs to one thread at a time. Memory failures are remembered in `failed`: check once, at the
 * end.
 */
#ifndef SL_BASE_CHAIN_H
#define SL_BASE_CHAIN_H

#include <stdbool.h>
#include <sys/uio.h>

#include "sluice/tensor.h"

typedef struct sl_piece {
    struct sl_piece *next;
    char *data;
    size_t begin, end; /* what of data is to be sent */
    size_t cap;        /* 0: lent, cannot be written to */
    sl_buffer *lent;   /* or NULL: data follows this struct */
} sl_piece;

typedef struct sl_chain {
    sl_piece *head, *tail;
    size_t size; /* bytes to be sent */
    bool failed;
} sl_chain;

/* A chain that is all zeros is empty and ready. reset gives everything back and keeps nothing. */
void sl_chain_reset(sl_chain *c);

/* Room for at least n bytes, contiguous, at the end; NULL (and c->failed) if it cannot be had. The
 * next call on the chain ends the right to write there. */
char *sl_chain_reserve_slow(sl_chain *c, size_t n);
static inline char *sl_chain_reserve(sl_chain *c, size_t n)
{
    sl_piece *t = c->tail;
    if (__builtin_expect(t != NULL && t->cap - t->end >= n && t->cap >= t->end, 1))
        return t->data + t->end;
    return sl_chain_reserve_slow(c, n);
}
static inline void sl_chain_commit(sl_chain *c, size_t n)
{
    c->tail->end += n;
    c->size += n;
}
/* How many bytes the last reserve really has room for. */
static inline size_t sl_chain_room(const sl_chain *c)
{
    return c->tail && c->tail->cap > c->tail->end ? c->tail->cap - c->tail->end : 0;
}

void sl_chain_add(sl_chain *c, const void *p, size_t n);
void sl_chain_puts(sl_chain *c, const char *s);
void sl_chain_printf(sl_chain *c, const char *fmt, ...) SL_PRINTF(2, 3);
/* Lends [p, p + n), which lies in `b`; takes a reference of its own. */
void sl_chain_lend(sl_chain *c, sl_buffer *b, const void *p, size_t n);
/* Appends all of `from`, which is empty afterwards. */
void sl_chain_join(sl_chain *c, sl_chain *from);

/* Fills at most `max` vectors with what is next to be sent; returns how many. */
int sl_chain_vectors(const sl_chain *c, struct iovec *v, int max);
/* Drops the first n bytes, which have been sent. */
void sl_chain_consume(sl_chain *c, size_t n);
/* Copies all bytes to `out`, which has room for c->size. */
void sl_chain_copy(const sl_chain *c, char *out);

#endif
