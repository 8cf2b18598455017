/*
 * scheduler.h - turns many small runs into a few large ones
 *
 * A scheduler is a pool of threads that serves all batchers. A batcher belongs to one version of a
 * servable and has a queue for each combination of fed and fetched tensors. A task is one request's
 * run; its size is dimension 0 of its inputs. Tasks of a queue whose inputs fit one another are run
 * as one.
 *
 *     load:    sl_batcher_new(scheduler, engine, session, signatures, &params, &b, st)
 *     request: sl_batcher_submit(b, &task)      returns at once
 *              task.done(&task, code)           later, on a batch thread
 *     unload:  sl_batcher_close(b)              runs what is left; afterwards nothing uses the
 * session
 *
 * What is different from the original on purpose (batching.md 10): a task never fails for the sake
 * of its neighbours, an empty task is run alone, a task whose client left or whose deadline passed
 * while it waited is not run.
 *
 * Source: batching.md, metrics.md of the contract.
 */
#ifndef SL_BATCH_SCHEDULER_H
#define SL_BATCH_SCHEDULER_H

#include "batch/options.h"
#include "sluice/engine.h"

typedef struct sl_batch_scheduler sl_batch_scheduler;
typedef struct sl_batcher sl_batcher;

/* `threads` 0: sl_cpu_count(). */
sl_code sl_batch_scheduler_new(int threads, sl_batch_scheduler **out, sl_status *st);
/* Runs all that waits now, without waiting for more, and returns when every task is done and its
 * done() has returned: after that no thread of the scheduler touches what a task came from. Nothing
 * is batched afterwards. */
void sl_batch_scheduler_settle(sl_batch_scheduler *s);
/* All batchers have been closed. */
void sl_batch_scheduler_free(sl_batch_scheduler *s);

typedef struct sl_batch_task sl_batch_task;
struct sl_batch_task {
    /* As for the engine: inputs, wanted outputs, deadline, cancelled. Everything lives until done,
     * which finds the outputs in run->outputs. Several tasks share an engine run: it gets the
     * latest of their deadlines, and `threads` of the first. */
    sl_run *run;
    sl_status *st;
    void (*done)(sl_batch_task *task,
                 sl_code rc); /* exactly once, on a batch thread; must not block */
    void *user;
    uint64_t queue_ns; /* set before done: how long it waited */
};

/* Checks and copies `params`. The rest must live until close. */
sl_code sl_batcher_new(sl_batch_scheduler *s, const sl_engine *engine, sl_session *session,
                       const sl_signatures *signatures, const sl_batching_params *params,
                       sl_batcher **out, sl_status *st);

/*
 * Queues a task. Any thread. When it returns a code, done is not called; in the original's words:
 *   INVALID_ARGUMENT  no inputs, a scalar, different sizes, a task larger than max_batch_size
 *   UNAVAILABLE       the queue is full
 *   RESOURCE_EXHAUSTED
 */
sl_code sl_batcher_submit(sl_batcher *b, sl_batch_task *task);

/* Makes what waits ready at once, returns when all of it is done, and frees the batcher. No submit
 * is in progress and none will follow. Not on a batch thread. */
void sl_batcher_close(sl_batcher *b);

/* What waits in a batcher's queues now, for metrics. Any thread. */
void sl_batcher_waiting(sl_batcher *b, int *tasks, int *batches);

#endif
