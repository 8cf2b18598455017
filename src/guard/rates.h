/*
 * rates.h - how much: token buckets and counts of requests at once
 *
 * Each limit of the configuration counts by a key (the principal, the address, the model, or one
 * for all). A key's counter comes into being with its first request and is forgotten when it says
 * nothing any more: its bucket is full again and no request is in flight. The number of counters is
 * bounded; when it is reached, those that say least go first, so a client with many addresses
 * cannot fill the memory, and cannot make the server forget whom it is holding back either.
 *
 * Any thread; a shard's lock is held for nanoseconds. Counters outlive a reload of the
 * configuration.
 */
#ifndef SL_GUARD_RATES_H
#define SL_GUARD_RATES_H

#include "base/str.h"

typedef struct sl_rates sl_rates;
typedef struct sl_counter sl_counter;

typedef struct sl_rate {
    double per_second; /* 0: no such bound */
    double burst;      /* at least 1 */
    int concurrent;    /* 0: no such bound */
} sl_rate;

enum { SL_RATES_MAX = 65536 };

sl_rates *sl_rates_new(int max_counters); /* NULL: no memory */
void sl_rates_free(sl_rates *r);          /* every counter has been left */

/*
 * Counts one request under `key` at `now_ns`. True: it may go on; *held is a counter that must be
 * left when the request has ended, or NULL. False: *wait_ns is how long until the next one would be
 * let in (0: not known, it waits for others to end).
 */
bool sl_rates_enter(sl_rates *r, const sl_rate *rate, sl_str key, uint64_t now_ns,
                    sl_counter **held, uint64_t *wait_ns);
void sl_rates_leave(sl_rates *r, sl_counter *held);
/* Takes back what enter counted: another limit refused the request. */
void sl_rates_undo(sl_rates *r, const sl_rate *rate, sl_str key);

int sl_rates_count(const sl_rates *r); /* counters that are there; for tests and metrics */

#endif
