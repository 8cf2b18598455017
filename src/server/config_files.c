/*
 * config_files.c - batching parameters, keys and certificates, monitoring
 */
#include "server/config_files.h"
#include "base/log.h"
#include "base/mem.h"
#include "proto/server_config.pb-c.h"
#include "server/config_read.h"

/* ---- batching ---- */

void sl_batching_default(sl_batching_config *b)
{
    *b = (sl_batching_config){.max_batch_size = 1000,
                              .max_enqueued_batches = 10,
                              .max_execution_batch_size = 1000,
                              .thread_pool_name = "batch_threads"};
}

static sl_code check_allowed(const sl_batching_config *b, sl_status *st)
{
    int n = b->n_allowed_batch_sizes;
    if (n == 0)
        return SL_OK;
    if (b->allowed_batch_sizes[n - 1] != b->max_batch_size)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Last entry in allowed_batch_sizes must match max_batch_size; last entry was "
            "%lld; expected %lld",
            (long long)b->allowed_batch_sizes[n - 1], (long long)b->max_batch_size);
    /* Such a list works in the original, oddly; so it is not refused. */
    for (int i = 0; i + 1 < n; i++)
        if (b->allowed_batch_sizes[i] >= b->allowed_batch_sizes[i + 1])
            sl_log(SL_WARNING,
                   "allowed_batch_sizes should be in increasing order: %lld is followed by %lld",
                   (long long)b->allowed_batch_sizes[i], (long long)b->allowed_batch_sizes[i + 1]);
    if (b->allowed_batch_sizes[0] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "allowed_batch_sizes must be positive; was %lld",
                       (long long)b->allowed_batch_sizes[0]);
    return SL_OK;
}

/* Also makes a queue of no batches, which means one, into one. */
static sl_code check_batching(sl_batching_config *b, bool threads_given, sl_status *st)
{
    if (b->max_batch_size <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input_batch_size_limit must be positive; was %lld",
                       (long long)b->max_batch_size);
    if (b->batch_timeout_micros < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "batch_timeout_micros must be non-negative; was %lld",
                       (long long)b->batch_timeout_micros);
    if (b->max_enqueued_batches < 0 ||
        (b->max_enqueued_batches == 0 && b->enable_large_batch_splitting))
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_enqueued_batches must be positive; was %lld",
                       (long long)b->max_enqueued_batches);
    if (threads_given && b->num_batch_threads < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "num_batch_threads must be positive; was %lld",
                       (long long)b->num_batch_threads);
    if (b->enable_large_batch_splitting &&
        (b->max_execution_batch_size > b->max_batch_size || b->max_execution_batch_size <= 0))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "When enable_large_batch_splitting is true, input_batch_size_limit must be "
                       "greater than or equal to max_execution_batch_size.%d%lld%lld",
                       b->enable_large_batch_splitting, (long long)b->max_batch_size,
                       (long long)b->max_execution_batch_size);
    if (b->max_enqueued_batches == 0)
        b->max_enqueued_batches = 1;
    return check_allowed(b, st);
}

sl_code sl_batching_take(const Tensorflow__Serving__BatchingParameters *p, sl_batching_config *b,
                         sl_status *st)
{
    sl_batching_default(b);
    if (p->max_batch_size)
        b->max_batch_size = p->max_batch_size->value;
    if (p->batch_timeout_micros)
        b->batch_timeout_micros = p->batch_timeout_micros->value;
    if (p->max_enqueued_batches)
        b->max_enqueued_batches = p->max_enqueued_batches->value;
    if (p->num_batch_threads)
        b->num_batch_threads = p->num_batch_threads->value;
    if (p->thread_pool_name)
        b->thread_pool_name = p->thread_pool_name->value;
    b->allowed_batch_sizes = p->allowed_batch_sizes;
    b->n_allowed_batch_sizes = (int)p->n_allowed_batch_sizes;
    b->pad_variable_length_inputs = p->pad_variable_length_inputs;
    if (p->enable_large_batch_splitting)
        b->enable_large_batch_splitting = p->enable_large_batch_splitting->value;
    b->max_execution_batch_size =
        p->max_execution_batch_size ? p->max_execution_batch_size->value : b->max_batch_size;
    return check_batching(b, p->num_batch_threads != NULL, st);
}

sl_code sl_batching_read(const char *path, sl_arena *arena, sl_batching_config *out, sl_status *st)
{
    void *message;
    sl_code rc = sl_config_read(path, &tensorflow__serving__batching_parameters__descriptor, arena,
                                &message, NULL, st);
    return rc ? rc : sl_batching_take(message, out, st);
}

/* ---- keys and certificates ---- */

sl_code sl_ssl_read(const char *path, sl_arena *arena, sl_ssl_config *out, sl_status *st)
{
    void *message;
    sl_code rc = sl_config_read(path, &tensorflow__serving__sslconfig__descriptor, arena, &message,
                                NULL, st);
    if (rc)
        return rc;
    const Tensorflow__Serving__SSLConfig *ssl = message;
    *out = (sl_ssl_config){.server_key = sl_str_of(ssl->server_key),
                           .server_cert = sl_str_of(ssl->server_cert),
                           .custom_ca = sl_str_of(ssl->custom_ca),
                           .client_verify = ssl->client_verify};
    return SL_OK;
}

/* ---- monitoring ---- */

sl_code sl_monitoring_read(const char *path, sl_arena *arena, const char **metrics_path,
                           sl_status *st)
{
    void *message;
    *metrics_path = NULL;
    sl_code rc = sl_config_read(path, &tensorflow__serving__monitoring_config__descriptor, arena,
                                &message, NULL, st);
    if (rc)
        return rc;
    const Tensorflow__Serving__PrometheusConfig *prometheus =
        ((const Tensorflow__Serving__MonitoringConfig *)message)->prometheus_config;
    if (prometheus == NULL || !prometheus->enable)
        return SL_OK;
    *metrics_path = prometheus->path[0] ? prometheus->path : "/monitoring/prometheus/metrics";
    if ((*metrics_path)[0] != '/')
        sl_log(
            SL_WARNING,
            "path \"%s\" of prometheus_config does not begin with \"/\": no request can reach it",
            *metrics_path);
    return SL_OK;
}
