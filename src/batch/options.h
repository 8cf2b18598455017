/* options.h - BatchingParameters: their defaults and what is wrong with them. Source: config.md 9
 */
#ifndef SL_BATCH_OPTIONS_H
#define SL_BATCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/status.h"

typedef struct sl_batching_params {
    int64_t max_batch_size;       /* rows of one task */
    int64_t batch_timeout_micros; /* an open batch waits at most so long for more */
    int64_t max_enqueued_batches; /* of one queue, the open one included */
    int64_t num_batch_threads; /* of the whole server; 0 in the struct: the number of processors */
    const int64_t *allowed_batch_sizes; /* a batch is filled up to the next of them */
    int n_allowed;
    bool pad_variable_length_inputs;
    bool enable_large_batch_splitting;
    int64_t max_execution_batch_size; /* rows of one batch, with splitting; 0: max_batch_size */
} sl_batching_params;

/* The defaults of a message with no field set. */
sl_batching_params sl_batching_defaults(void);

/* Checks what concerns a model's queues, when it is loaded; INVALID_ARGUMENT in the original's
 * words. */
sl_code sl_batching_check(const sl_batching_params *p, sl_status *st);
/* Checks what concerns the server: num_batch_threads as it was written (absent: do not call). */
sl_code sl_batching_check_threads(int64_t num_batch_threads, sl_status *st);

#endif
