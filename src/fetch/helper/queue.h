/*
 * queue.h - which requests are worked on, and which wait
 *
 * At most FETCH_OPS requests run at once, each on a thread of its own, and at most FETCH_OPS_OF_ONE
 * of them for one bucket or host: a store that hangs does not keep the others waiting. What waits
 * for one bucket does so in its order; buckets take turns.
 */
#ifndef SL_FETCH_HELPER_QUEUE_H
#define SL_FETCH_HELPER_QUEUE_H

#include "fetch/helper/fetch.h"

enum { FETCH_OPS = 16, FETCH_OPS_OF_ONE = 4, FETCH_MOST_WAITING = 100000 };

/* Before the first request: `run` is called with each on its thread, then `done`, which frees it.
 * No more than `most_waiting` wait. */
void fetch_queue_start(void (*run)(fetch_op *op), void (*done)(fetch_op *op), int most_waiting);
/* Takes the request over. RESOURCE_EXHAUSTED: too many wait; it stays the caller's. */
sl_code fetch_queue_add(fetch_op *op, sl_status *st);
/* Tells the request with that number, if there is one, that it is not wanted any more. */
void fetch_queue_cancel(uint64_t id);

#endif
