/* batching.c - see batching.h */
#include "server/batching.h"

#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"

static sl_batching_params params_of(const sl_batching_config *c)
{
    return (sl_batching_params){.max_batch_size = c->max_batch_size,
                                .batch_timeout_micros = c->batch_timeout_micros,
                                .max_enqueued_batches = c->max_enqueued_batches,
                                .num_batch_threads = c->num_batch_threads,
                                .allowed_batch_sizes = c->allowed_batch_sizes,
                                .n_allowed = c->n_allowed_batch_sizes,
                                .pad_variable_length_inputs = c->pad_variable_length_inputs,
                                .enable_large_batch_splitting = c->enable_large_batch_splitting,
                                .max_execution_batch_size = c->max_execution_batch_size};
}

static sl_code attach(sl_batch_scheduler *scheduler, const sl_batching_config *config,
                      sl_version *v, sl_status *st)
{
    sl_batching_params params = params_of(config);
    sl_batcher *b;
    sl_code rc = sl_batcher_new(scheduler, v->engine, v->session, v->signatures, &params, &b, st);
    if (rc)
        return rc;
    sl_log(SL_INFO, "Wrapping session to perform batch processing");
    v->batcher = b;
    return SL_OK;
}

static sl_code attach_own(sl_batch_scheduler *scheduler, sl_version *v, sl_status *st)
{
    sl_arena arena;
    sl_batching_config config;
    char *path = sl_path_join(v->path, "batching_params.pbtxt");
    sl_code rc = SL_OK;
    if (path == NULL || sl_arena_init(&arena, 0)) {
        sl_free(path);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: batching parameters");
    }
    if (access(path, F_OK) == 0) {
        rc = sl_batching_read(path, &arena, &config, st);
        if (rc == SL_OK)
            rc = attach(scheduler, &config, v, st);
    }
    sl_arena_fini(&arena);
    sl_free(path);
    return rc;
}

sl_code sl_batching_attach(sl_batch_scheduler *scheduler, const sl_platform *platform,
                           sl_version *v, sl_status *st)
{
    v->batcher = NULL;
    if (scheduler == NULL || !platform->batching)
        return SL_OK;
    return platform->per_model_batching ? attach_own(scheduler, v, st)
                                        : attach(scheduler, &platform->batch, v, st);
}

void sl_batching_detach(sl_version *v)
{
    if (v->batcher != NULL)
        sl_batcher_close(v->batcher);
    v->batcher = NULL;
}
