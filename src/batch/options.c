/* options.c - see options.h */
#include "batch/options.h"

sl_batching_params sl_batching_defaults(void)
{
    return (sl_batching_params){.max_batch_size = 1000, .max_enqueued_batches = 10};
}

static sl_code check_splitting(const sl_batching_params *p, sl_status *st)
{
    if (p->max_enqueued_batches < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_enqueued_batches must be positive; was %lld",
                       (long long)p->max_enqueued_batches);
    if (p->max_execution_batch_size < 0 || p->max_execution_batch_size > p->max_batch_size)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "When enable_large_batch_splitting is true, input_batch_size_limit must be "
                       "greater than or equal to max_execution_batch_size.%d%lld%lld",
                       p->enable_large_batch_splitting, (long long)p->max_batch_size,
                       (long long)p->max_execution_batch_size);
    return SL_OK;
}

sl_code sl_batching_check(const sl_batching_params *p, sl_status *st)
{
    if (p->max_batch_size <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input_batch_size_limit must be positive; was %lld",
                       (long long)p->max_batch_size);
    if (p->batch_timeout_micros < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "batch_timeout_micros must be non-negative; was %lld",
                       (long long)p->batch_timeout_micros);
    if (p->n_allowed > 0 && p->allowed_batch_sizes[p->n_allowed - 1] != p->max_batch_size)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            "%lld; expected %lld",
            (long long)p->allowed_batch_sizes[p->n_allowed - 1], (long long)p->max_batch_size);
    return p->enable_large_batch_splitting ? check_splitting(p, st) : SL_OK;
}

sl_code sl_batching_check_threads(int64_t num_batch_threads, sl_status *st)
{
    if (num_batch_threads >= 1)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT, "num_batch_threads must be positive; was %lld",
                   (long long)num_batch_threads);
}
