/* engines.c - see engines.h */
#include "server/engines.h"

#include "base/mem.h"
#include "engine/native/native.h"
#include "engine/tensorflow/tensorflow.h"

static void split_list(const char *list, const char ***out, int *count)
{
    size_t at = 0;
    sl_str item;
    for (*count = 0; list != NULL && sl_flags_item(list, &at, &item); ++*count) {
        *out = sl_realloc(*out, (size_t)(*count + 1) * sizeof **out);
        (*out)[*count] = sl_strndup(item.p, item.n);
    }
}

static const char *or_null(const char *s)
{
    return s != NULL && *s != '\0' ? s : NULL;
}

static sl_tensorflow_options tensorflow_options(const sl_engines *e, const sl_flags *flags)
{
    return (sl_tensorflow_options){.library = or_null(flags->tensorflow_library),
                                   .python = or_null(flags->tensorflow_python),
                                   .host_program = or_null(flags->tensorflow_host),
                                   .custom_op_libs = e->custom_ops,
                                   .n_custom_op_libs = e->n_custom_ops,
                                   .launcher = e->launcher};
}

void *sl_engines_launches(sl_engines *e, const sl_flags *flags, sl_launch ops[SL_ENGINES_LAUNCHES])
{
    _Static_assert((int)SL_ENGINES_LAUNCHES == (int)SL_TENSORFLOW_LAUNCHES, "those of one engine");
    split_list(flags->tensorflow_custom_op_libraries, &e->custom_ops, &e->n_custom_ops);
    sl_tensorflow_options o = tensorflow_options(e, flags);
    return sl_tensorflow_launches(&o, ops);
}

sl_code sl_engines_start(sl_engines *e, const sl_flags *flags, const sl_platform *platform,
                         sl_loader *loader, sl_status *st)
{
    static const char *const names[] = {"auto", "native", "tensorflow"};
    if (e->custom_ops == NULL)
        split_list(flags->tensorflow_custom_op_libraries, &e->custom_ops, &e->n_custom_ops);
    sl_tensorflow_options o = tensorflow_options(e, flags);
    o.intra_op_parallelism = platform->intra_op_threads;
    o.inter_op_parallelism = platform->inter_op_threads;
    o.session_config = platform->session_config;
    sl_code rc = sl_tensorflow_new(&o, &e->tensorflow, st);
    if (rc)
        return rc;
    *loader = (sl_loader){
        .engines = {{{&sl_engine_native, NULL}, {&sl_engine_tensorflow, e->tensorflow}}, 2},
        .engine = names[flags->engine],
        .tags = platform->tags,
        .n_tags = platform->n_tags,
        .options = {.intra_op_threads = platform->intra_op_threads,
                    .inter_op_threads = platform->inter_op_threads,
                    .session_config = platform->session_config}};
    loader->platform = platform;
    loader->warm_up = platform->warmup;
    loader->synthetic_warmup = flags->synthetic_warmup;
    loader->warmup =
        (sl_warmup_options){.iterations = platform->warmup_iterations,
                            .threads = 1, /* as when serving */
                            .check_method_name = flags->enable_signature_method_name_check};
    return SL_OK;
}

void sl_engines_stop(sl_engines *e)
{
    sl_tensorflow_free(e->tensorflow);
    for (int i = 0; i < e->n_custom_ops; i++)
        sl_free((char *)e->custom_ops[i]);
    sl_free(e->custom_ops);
}
