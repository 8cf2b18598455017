/*
 * body.h - a request's body while it arrives: one counted buffer that grows
 *
 * Memory follows the bytes that are really there: it doubles, up to the size that was announced, so
 * a Content-Length costs its sender as much as it costs us. All bodies of a server share a budget.
 */
#ifndef SL_HTTP_BODY_H
#define SL_HTTP_BODY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/tensor.h"

/* Shared by the loops of a server. */
typedef struct sl_budget {
    _Atomic int64_t used;
    _Atomic int64_t owed;     /* of it: what slow clients make us hold (crowd.c) */
    _Atomic int64_t sessions; /* of it: of TLS and HTTP/2 */
    _Atomic int64_t max;      /* 0: none; may change at any time */
} sl_budget;

typedef struct sl_body {
    sl_buffer *buffer; /* data, size: the room that there is */
    size_t n;          /* bytes that have arrived */
    size_t charged;    /* to the budget */
    sl_budget *budget; /* may be NULL */
} sl_body;

/* A body that is all zeros, but for its budget, is empty. Makes room for at least one more byte, at
 * most for `limit` in all (limit > n). False: no memory or no budget. */
bool sl_body_grow(sl_body *b, size_t limit) SL_MUST_CHECK;
/* Appends, growing as needed; limit >= n + size. */
bool sl_body_add(sl_body *b, const char *p, size_t size, size_t limit) SL_MUST_CHECK;
/* After sl_body_grow: how much. */
static inline size_t sl_body_room(const sl_body *b)
{
    return b->buffer->size - b->n;
}
/* Could the budget ever hold a body of this size, if nobody else had any? */
static inline bool sl_body_could_hold(const sl_body *b, uint64_t size)
{
    int64_t max = b->budget ? atomic_load_explicit(&b->budget->max, memory_order_relaxed) : 0;
    return max <= 0 || size <= (uint64_t)max;
}
/* Charges the budget with bytes that are held elsewhere, until reset. False: no budget. */
bool sl_body_charge(sl_body *b, size_t size) SL_MUST_CHECK;
/* Gives up the buffer (whoever acquired it keeps it) and the charge. Keeps the budget. */
void sl_body_reset(sl_body *b);

#endif
