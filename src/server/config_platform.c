/*
 * config_platform.c - how a platform's models are loaded and run: from the flags, or from the
 * platform map
 *
 * Without --platform_config_file there is one platform, "tensorflow", made from the flags. With it,
 * the file replaces that and all flags that feed it.
 */
#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "server/config_files.h"
#include "server/config_read.h"

static sl_code out_of_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

/* ---- session configuration ---- */

/* Where the message has no such part yet, `fresh` becomes it. */
static void set_gpu_fraction(Tensorflow__ConfigProto *c, Tensorflow__GPUOptions *fresh,
                             float fraction)
{
    if (c->gpu_options == NULL)
        c->gpu_options = fresh;
    c->gpu_options->per_process_gpu_memory_fraction = (double)fraction;
}

static void set_bfloat16(Tensorflow__ConfigProto *c, Tensorflow__GraphOptions *fresh,
                         Tensorflow__RewriterConfig *fresh_rewrite)
{
    if (c->graph_options == NULL)
        c->graph_options = fresh;
    if (c->graph_options->rewrite_options == NULL)
        c->graph_options->rewrite_options = fresh_rewrite;
    c->graph_options->rewrite_options->auto_mixed_precision_onednn_bfloat16 =
        TENSORFLOW__REWRITER_CONFIG__TOGGLE__ON;
}

/* Negative in a ConfigProto: no threads besides the caller's. */
static int thread_count(int32_t n)
{
    return n < 0 ? 1 : n;
}

/* Settles the session configuration of a platform: what a file says (or NULL), and on top of it
 * thread counts, share of GPU memory and precision, each unless it is 0 or empty. */
static sl_code settle_session(sl_platform *p, Tensorflow__ConfigProto *file, int64_t intra,
                              int64_t inter, float gpu_fraction, const char *precision,
                              sl_arena *arena, sl_status *st)
{
    Tensorflow__ConfigProto none = TENSORFLOW__CONFIG_PROTO__INIT, *c = file ? file : &none;
    Tensorflow__GPUOptions gpu = TENSORFLOW__GPUOPTIONS__INIT;
    Tensorflow__GraphOptions graph = TENSORFLOW__GRAPH_OPTIONS__INIT;
    Tensorflow__RewriterConfig rewrite = TENSORFLOW__REWRITER_CONFIG__INIT;
    if (intra > 0 || inter > 0) {
        c->intra_op_parallelism_threads = (int32_t)SL_MIN(intra, (int64_t)INT32_MAX);
        c->inter_op_parallelism_threads = (int32_t)SL_MIN(inter, (int64_t)INT32_MAX);
    }
    if (gpu_fraction > 0)
        set_gpu_fraction(c, &gpu, gpu_fraction);
    if (strcmp(precision, "bfloat16") == 0)
        set_bfloat16(c, &graph, &rewrite);
    p->intra_op_threads = thread_count(c->intra_op_parallelism_threads);
    p->inter_op_threads = thread_count(c->inter_op_parallelism_threads);
    return sl_config_pack(&c->base, arena, &p->session_config, st);
}

/* A flag that was not given leaves the file's value alone; the original overwrites it with the
 * flag's default. */
static sl_code session_from_flags(const sl_flags *f, sl_platform *p, sl_arena *arena, sl_status *st)
{
    void *file = NULL;
    int64_t intra, inter;
    sl_code rc = SL_OK;
    if (f->tensorflow_session_config_file[0])
        rc = sl_config_read(f->tensorflow_session_config_file,
                            &tensorflow__config_proto__descriptor, arena, &file, NULL, st);
    if (rc == SL_OK)
        rc = sl_flags_threads(f, &intra, &inter, st);
    if (rc)
        return rc;
    return settle_session(p, file, intra, inter, f->per_process_gpu_memory_fraction,
                          f->mixed_precision, arena, st);
}

/* ---- from the flags ---- */

static sl_code tags_from_flag(const char *list, sl_platform *p, sl_arena *arena, sl_status *st)
{
    size_t most = 1;
    for (const char *c = list; *c; c++)
        most += *c == ',';
    const char **tags = sl_arena_try_alloc(arena, most * sizeof *tags);
    if (tags == NULL)
        return out_of_memory(st);
    p->tags = tags;
    sl_str item;
    for (size_t at = 0; sl_flags_item(list, &at, &item);) {
        bool known = false;
        for (int i = 0; i < p->n_tags; i++)
            known |= sl_str_is(item, tags[i]);
        if (known)
            continue; /* a set */
        char *tag = sl_arena_try_strndup(arena, item.p, item.n);
        if (tag == NULL)
            return out_of_memory(st);
        tags[p->n_tags++] = tag;
    }
    return SL_OK;
}

static sl_code batching_from_flags(const sl_flags *f, sl_platform *p, sl_arena *arena,
                                   sl_status *st)
{
    if (!f->enable_batching && f->batching_parameters_file[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "server_options.batching_parameters_file is set without setting "
                       "server_options.enable_batching to true.");
    sl_batching_default(&p->batch);
    p->batching = f->enable_batching;
    p->per_model_batching = f->enable_batching && f->enable_per_model_batching_parameters;
    if (f->batching_parameters_file[0])
        return sl_batching_read(f->batching_parameters_file, arena, &p->batch, st);
    p->batch.thread_pool_name = "model_server_batch_threads";
    return SL_OK;
}

static sl_code platform_from_flags(const sl_flags *f, sl_platform *p, sl_arena *arena,
                                   sl_status *st)
{
    *p = (sl_platform){.name = "tensorflow", .warmup = f->enable_model_warmup};
    p->warmup_iterations = SL_MAX(f->num_request_iterations_for_warmup, 1);
    sl_code rc = batching_from_flags(f, p, arena, st);
    if (rc == SL_OK)
        rc = session_from_flags(f, p, arena, st);
    return rc ? rc : tags_from_flag(f->saved_model_tags, p, arena, st);
}

/* ---- from the platform map ---- */

static void tell_ignored_flags(const sl_flags *f)
{
    static const char *const names[] = {
        "enable_model_warmup",
        "num_request_iterations_for_warmup",
        "remove_unused_fields_from_bundle_metagraph",
        "enable_batching",
        "batching_parameters_file",
        "enable_per_model_batching_parameters",
        "tensorflow_session_parallelism",
        "tensorflow_intra_op_parallelism",
        "tensorflow_inter_op_parallelism",
        "tensorflow_session_config_file",
        "per_process_gpu_memory_fraction",
        "mixed_precision",
        "saved_model_tags",
    };
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        if (sl_flags_given(f, names[i]))
            sl_log(SL_WARNING, "--%s is ignored: --platform_config_file takes its place", names[i]);
}

static void tell_ignored_fields(const char *platform,
                                const Tensorflow__Serving__SessionBundleConfig *c)
{
    const Tensorflow__Serving__ModelWarmupOptions *w = c->model_warmup_options;
    const struct {
        bool set;
        const char *name;
    } fields[] = {
        {c->session_target[0] != '\0', "session_target"},
        {c->session_run_load_threadpool_index != NULL, "session_run_load_threadpool_index"},
        {c->experimental_transient_ram_bytes_during_load != 0,
         "experimental_transient_ram_bytes_during_load"},
        {c->enable_session_metadata, "enable_session_metadata"},
        {c->resource_estimation_uses_validation_result,
         "resource_estimation_uses_validation_result"},
        {c->num_tflite_interpreters != 0, "num_tflite_interpreters"},
        {c->num_tflite_interpreters_per_pool != 0, "num_tflite_interpreters_per_pool"},
        {c->num_tflite_pools != 0, "num_tflite_pools"},
        {c->wrap_session_with_no_threading_params, "wrap_session_with_no_threading_params"},
        {w && w->num_model_warmup_threads, "model_warmup_options.num_model_warmup_threads"},
        {w && w->enable_all_batch_sizes_warmup,
         "model_warmup_options.enable_all_batch_sizes_warmup"},
    };
    for (size_t i = 0; i < SL_COUNTOF(fields); i++)
        if (fields[i].set)
            sl_log(SL_WARNING, "%s of platform %s has no effect in this server", fields[i].name,
                   platform);
}

static sl_code platform_from_message(const Tensorflow__Serving__SessionBundleConfig *c,
                                     sl_platform *p, sl_arena *arena, sl_status *st)
{
    if (c->enable_saved_model_config)
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "Saved model config functionality is not implemented.");
    if (c->prefer_tflite_model)
        return sl_fail(
            st, SL_UNIMPLEMENTED,
            "prefer_tflite_model of platform %s: TensorFlow Lite models are not supported",
            p->name);
    tell_ignored_fields(p->name, c);
    sl_batching_default(&p->batch);
    p->batching = c->batching_parameters != NULL;
    p->per_model_batching = p->batching && c->enable_per_model_batching_params;
    p->tags = (const char *const *)c->saved_model_tags;
    p->n_tags = (int)c->n_saved_model_tags;
    p->warmup = c->enable_model_warmup;
    p->warmup_iterations = 1;
    if (c->model_warmup_options && c->model_warmup_options->num_request_iterations)
        p->warmup_iterations = SL_MAX(c->model_warmup_options->num_request_iterations->value, 1);
    sl_code rc = p->batching ? sl_batching_take(c->batching_parameters, &p->batch, st) : SL_OK;
    if (rc)
        return rc;
    if (c->mixed_precision[0] && strcmp(c->mixed_precision, "bfloat16") != 0)
        sl_log(SL_WARNING, "%s auto mixed precision is not supported. Valid option: bfloat16",
               c->mixed_precision);
    return settle_session(p, c->session_config, 0, 0, 0, c->mixed_precision, arena, st);
}

/* What stands in the Any of one platform. */
static sl_code adapter_of(const Tensorflow__Serving__PlatformConfig *config, sl_arena *arena,
                          const Tensorflow__Serving__SavedModelBundleSourceAdapterConfig **out,
                          sl_status *st)
{
    static const char wanted[] = "tensorflow.serving.SavedModelBundleSourceAdapterConfig";
    const Google__Protobuf__Any *any = config ? config->source_adapter_config : NULL;
    const char *url = any ? any->type_url : "", *slash = strrchr(url, '/');
    if (slash == NULL || slash[1] == '\0')
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Supplied config's type_url could not be parsed: %s", url);
    if (strcmp(slash + 1, wanted) != 0)
        return sl_fail(st, SL_INTERNAL, "Unable to find compiled-in proto descriptor of type %s",
                       slash + 1);
    void *adapter;
    assert(any != NULL); /* it has an URL */
    sl_code rc =
        sl_config_unpack((sl_str){(const char *)any->value.data, any->value.len},
                         &tensorflow__serving__saved_model_bundle_source_adapter_config__descriptor,
                         arena, &adapter);
    if (rc == SL_RESOURCE_EXHAUSTED)
        return out_of_memory(st);
    if (rc)
        return sl_fail(st, rc, "Malformed content of Any: %s", url);
    *out = adapter;
    return SL_OK;
}

static sl_code take_entry(const char *name, const Tensorflow__Serving__PlatformConfig *config,
                          sl_platform *p, sl_arena *arena, sl_status *st)
{
    static const Tensorflow__Serving__SessionBundleConfig nothing =
        TENSORFLOW__SERVING__SESSION_BUNDLE_CONFIG__INIT;
    const Tensorflow__Serving__SavedModelBundleSourceAdapterConfig *adapter = NULL;
    sl_code rc = adapter_of(config, arena, &adapter, st);
    if (rc)
        return rc;
    *p = (sl_platform){.name = name};
    return platform_from_message(adapter->legacy_config ? adapter->legacy_config : &nothing, p,
                                 arena, st);
}

static sl_code platforms_from_file(const sl_flags *f, sl_arena *arena, sl_platform **out,
                                   int *count, sl_status *st)
{
    void *message;
    sl_code rc = sl_config_read(f->platform_config_file,
                                &tensorflow__serving__platform_config_map__descriptor, arena,
                                &message, NULL, st);
    if (rc)
        return rc;
    const Tensorflow__Serving__PlatformConfigMap *map = message;
    *out = sl_arena_try_alloc(arena, (map->n_platform_configs + 1) * sizeof **out);
    if (*out == NULL)
        return out_of_memory(st);
    /* No platform is no model, but there is always one by which none is loaded. */
    (*out)[0] = (sl_platform){.name = "", .warmup_iterations = 1};
    sl_batching_default(&(*out)[0].batch);
    tell_ignored_flags(f);
    for (size_t i = 0; i < map->n_platform_configs && rc == SL_OK; i++) {
        int place = 0; /* a repeated key: the last entry counts */
        while (place < *count && strcmp((*out)[place].name, map->platform_configs[i]->key) != 0)
            place++;
        rc = take_entry(map->platform_configs[i]->key, map->platform_configs[i]->value,
                        &(*out)[place], arena, st);
        *count = SL_MAX(*count, place + 1);
    }
    return rc;
}

sl_code sl_platforms_read(const sl_flags *f, sl_arena *arena, sl_platform **out, int *count,
                          sl_status *st)
{
    *count = 0;
    if (f->platform_config_file[0])
        return platforms_from_file(f, arena, out, count, st);
    *out = sl_arena_try_alloc(arena, sizeof **out);
    if (*out == NULL)
        return out_of_memory(st);
    *count = 1;
    return platform_from_flags(f, *out, arena, st);
}
