/*
 * warmup.h - runs a version's recorded requests before it is available
 *
 * A model may bring requests in assets.extra/tf_serving_warmup_requests, a TFRecord file of
 * PredictionLogs. They are run once or several times, one after the other, so that what an engine
 * makes at the first request of a kind (plans, compiled code, pages of variables) is made before a
 * client waits for it. They go the way of real requests, with the same checks, and through the
 * batcher if the version has one; the answers are dropped.
 *
 * Source: lifecycle.md 8.3; metrics.md 3 (model_warmup_latency, model_warmup_records_read).
 */
#ifndef SL_SERVER_WARMUP_H
#define SL_SERVER_WARMUP_H

#include "model/manager.h"

typedef struct sl_warmup_options {
    int iterations;         /* of each record; less than 1 is 1 */
    int threads;            /* that one run may use; less than 1 is 1 */
    bool check_method_name; /* --enable_signature_method_name_check */
} sl_warmup_options;

/*
 * Replays what `dir`, the version's directory, has; if there is no file, logs so and is SL_OK.
 * *records: how many were read; -1: there is no file. Load thread; takes as long as the model does,
 * without a deadline. Any failure is one of the load; the first one ends the replay. It is whatever
 * the request's failure is, or
 *
 *   INVALID_ARGUMENT      Failed to parse warmup record: <bytes> from <path>   (shortened)
 *                         Number of warmup records exceeds the maximum (1000) at <path>
 *   UNIMPLEMENTED         Unsupported log_type for warmup: <5|7>
 *   DATA_LOSS             <tfrecord.h>. Please verify your warmup data is in TFRecord format.
 *   FAILED_PRECONDITION   a file of more than 1 GiB
 *   RESOURCE_EXHAUSTED    no memory
 */
sl_code sl_warmup_replay(const sl_version *v, const char *dir, const sl_warmup_options *o,
                         int64_t *records, sl_status *st);

/* The same with a file that has been read; `path` is for the texts. No log lines. */
sl_code sl_warmup_replay_bytes(const sl_version *v, sl_str file, const char *path,
                               const sl_warmup_options *o, int64_t *records, sl_status *st);

#endif
