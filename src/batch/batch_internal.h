/*
 * batch_internal.h - what the scheduler and the running of a batch share
 *
 * An entry is a task in the queue. It is one part, or several if it was split because it is larger
 * than what was left of a batch; parts of one entry may run at the same time in different batches.
 */
#ifndef SL_BATCH_BATCH_INTERNAL_H
#define SL_BATCH_BATCH_INTERNAL_H

#include <stdatomic.h>

#include "batch/scheduler.h"

typedef struct sl_entry sl_entry;

typedef struct sl_part {
    struct sl_part *next; /* in its batch */
    sl_entry *entry;
    int64_t begin, end; /* rows of the task */
    sl_tensor *outputs; /* in the order of the task's; set when it was run */
} sl_part;

struct sl_entry {
    sl_batcher *batcher;
    sl_batch_task *task;
    int64_t rows;
    uint64_t queued_ns;
    /* order[k]: where the k-th of the queue's tensors, which are sorted by name, stands in the task
     */
    int *input_order, *output_order;
    int n_parts;
    atomic_int parts_left;
    atomic_int rc; /* of the first part that failed; who sets it also writes the task's status */
    sl_part *parts;
};

/* What a batch is run with. */
typedef struct sl_batch_target {
    const sl_engine *engine;
    sl_session *session;
    const sl_batching_params *params;
} sl_batch_target;

/* Runs a batch: a list of parts of one queue's tasks, none of which is held by anybody else. Calls
 * `finished` for each entry of which this was the last part, after its task's outputs are in place.
 */
void sl_batch_run(const sl_batch_target *target, sl_part *parts,
                  void (*finished)(sl_entry *e, sl_code rc));

/* For tests: every thread looks at the clock again. */
void sl_batch_scheduler_poke(sl_batch_scheduler *s);

#endif
