/*
 * workers.h - threads that run what a loop must not
 *
 * A fixed number of threads behind one queue that is bounded three ways: by length, by the bytes of
 * the requests that wait in it, and by how long the oldest has waited. When a bound is reached a
 * new job is refused at once: the client gets 503 and comes back, instead of waiting for an answer
 * that will be too late.
 *
 *     loop:    sl_workers_submit(w, &job, st)
 *     worker:  job.run(&job, SL_OK)                 ... which posts its result to the loop
 *              job.run(&job, SL_CANCELLED)          the client left before it began
 *              job.run(&job, SL_DEADLINE_EXCEEDED)  it waited too long
 *
 * A job's memory is its owner's; it is linked into the queue by its own members, so submitting
 * allocates nothing.
 */
#ifndef SL_BATCH_WORKERS_H
#define SL_BATCH_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "sluice/status.h"

typedef struct sl_job sl_job;
struct sl_job {
    sl_job *next;
    /* Called exactly once, on a worker. `verdict` SL_OK: run it. Otherwise do not start it: answer
     * with that code. */
    void (*run)(sl_job *job, sl_code verdict);
    size_t bytes;                 /* what it holds while it waits */
    uint64_t deadline_ns;         /* 0: none */
    const atomic_bool *cancelled; /* or NULL */
    uint64_t queued_ns;           /* set by submit */
};

typedef struct sl_workers_options {
    int threads;          /* 0: sl_cpu_count() */
    int max_queue;        /* jobs that wait; default 1024 */
    size_t max_bytes;     /* of jobs that wait; default 1 GiB */
    uint64_t max_wait_ns; /* a job is refused while the oldest has waited longer; default 10 s */
} sl_workers_options;

typedef struct sl_workers sl_workers;
sl_code sl_workers_new(const sl_workers_options *opts, sl_workers **out, sl_status *st);
/* Any thread. UNAVAILABLE when a bound is reached: "server is overloaded: <n> requests are waiting
 * (limit <m>)"; the job is then not queued. */
sl_code sl_workers_submit(sl_workers *w, sl_job *job, sl_status *st);
/* Is a thread idle right now? A hint, any thread. */
bool sl_workers_idle(const sl_workers *w);
/* Runs what is queued, then ends the threads. */
void sl_workers_free(sl_workers *w);

typedef struct sl_workers_stats {
    int threads, busy, waiting;
    size_t waiting_bytes;
    uint64_t refused, cancelled, expired;
} sl_workers_stats;
void sl_workers_get_stats(const sl_workers *w, sl_workers_stats *out);

#endif
