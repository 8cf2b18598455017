/*
 * params.c - what a child is told about the version that it is to load (protocol.h, at its end)
 *
 * Also decided here: whether requests run in the thread that receives them. TensorFlow's way is to
 * hand every run to its pool and wait, which costs two wake-ups (18 to 35 us for half plus two,
 * against 7 us without). For a small graph there is nothing to share out; for one with heavy ops in
 * parallel branches there is, and for one that can wait (queues), loop without end or be batched by
 * an op, a thread of the pool is what TensorFlow can still give up at the deadline.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "engine/tensorflow/internal.h"
#include "format/wire.h"
#include "savedmodel/savedmodel.h"

enum { SMALL_GRAPH = 2000 };
static const uint64_t SMALL_WEIGHTS = 4 << 20;

static bool op_needs_pool(sl_str op)
{
    static const char *const beginnings[] = {
        "Conv",        "Depthwise",      "FusedConv",       "_FusedConv",
        "Einsum",      "BatchMatMul",    "CudnnRNN",        "BlockLSTM",
        "While",       "StatelessWhile", "Enter",           "NextIteration",
        "Queue",       "Barrier",        "Stage",           "Unstage",
        "MapStage",    "OrderedMap",     "Iterator",        "Batch",
        "Unbatch",     "PyFunc",         "EagerPyFunc",     "Send",
        "Recv",        "_Send",          "_Recv",           "Collective",
        "Mutex",       "Accumulator",    "ConditionalAcc",  "SparseConditionalAcc",
        "Rpc",         "TryRpc",         "TakeMany",        "RemoteCall",
        "ParallelMap", "ReduceDataset",  "DatasetToSingle", "TPU",
        "XlaLaunch"};
    for (size_t i = 0; i < SL_COUNTOF(beginnings); i++)
        if (sl_str_starts(op, beginnings[i]))
            return true;
    static const sl_str queue = SL_STR("Queue");
    for (size_t i = 0; i + queue.n <= op.n; i++) /* FIFOQueueV2, RandomShuffleQueue */
        if (memcmp(op.p + i, queue.p, queue.n) == 0)
            return true;
    return false;
}

static bool all_cheap(const sl_node *nodes, int n)
{
    for (int i = 0; i < n; i++)
        if (op_needs_pool(nodes[i].op))
            return false;
    return true;
}

static bool runs_inline(const sl_saved_model *model)
{
    const sl_graph *g = sl_saved_model_graph(model);
    const sl_saved_model_info *about = sl_saved_model_about(model);
    int nodes = g->n_nodes;
    if (about->variables_bytes > SMALL_WEIGHTS || nodes > SMALL_GRAPH ||
        !all_cheap(g->nodes, g->n_nodes))
        return false;
    for (int i = 0; i < g->n_functions; i++) {
        nodes += g->functions[i].n_nodes;
        if (nodes > SMALL_GRAPH || !all_cheap(g->functions[i].nodes, g->functions[i].n_nodes))
            return false;
    }
    return true;
}

/* ---- ConfigProto ---- */

/* Fields 2 and 5 of ConfigProto. What comes later in a message wins, so: our default, then the
 * files, then numbers that somebody gave as such. */
static void put_threads(sl_text *t, int intra, int inter)
{
    if (intra > 0)
        sl_wire_put_varint(t, 2, (uint64_t)intra);
    if (inter > 0)
        sl_wire_put_varint(t, 5, (uint64_t)inter);
}

static void put_config(sl_text *t, const tf_engine *e, const sl_load_options *opts)
{
    put_threads(t, sl_cpu_count(), sl_cpu_count());
    sl_text_add(t, e->config, e->config_n);
    sl_text_add(t, opts->session_config.p, opts->session_config.n);
    if (opts->intra_op_threads > 0 || opts->inter_op_threads > 0)
        put_threads(t, opts->intra_op_threads, opts->inter_op_threads);
    else
        put_threads(t, e->intra, e->inter);
}

/* ---- the blob ---- */

static void put_number(sl_text *t, uint32_t v)
{
    sl_text_add(t, (const char *)&v, sizeof v);
}

static void put_bytes(sl_text *t, const char *p, size_t n)
{
    put_number(t, (uint32_t)n);
    sl_text_add(t, p, n);
    sl_text_putc(t, '\0');
}

static void put_string(sl_text *t, const char *s)
{
    put_bytes(t, s, strlen(s));
}

static void put_tags(sl_text *t, const sl_saved_model_info *about)
{
    put_number(t, (uint32_t)about->n_tags);
    for (int i = 0; i < about->n_tags; i++)
        put_bytes(t, about->tags[i].p, about->tags[i].n);
}

static void put_directory_of(sl_text *t, const char *file)
{
    const char *slash = strrchr(file, '/');
    put_bytes(t, slash ? file : ".", slash ? (size_t)(slash - file) + 1 : 1);
}

static void put_readable(sl_text *t, const tf_engine *e, const char *dir)
{
    put_number(t, (uint32_t)e->n_custom_op_libs + 2);
    put_string(t, dir);
    put_directory_of(t, e->found);
    for (int i = 0; i < e->n_custom_op_libs; i++)
        put_string(t, e->custom_op_libs[i]);
}

static void put_infos(sl_text *t, const sl_tensor_info *infos, int n)
{
    put_number(t, (uint32_t)n);
    for (int i = 0; i < n; i++)
        put_string(t, infos[i].name ? infos[i].name : "");
}

int tf_params_memfd(const tf_engine *e, const sl_saved_model *model, const sl_load_options *opts,
                    const char *label)
{
    const sl_signatures *all = sl_saved_model_signatures(model);
    sl_text t = {0}, config = {0};
    put_config(&config, e, opts);
    put_string(&t, label);
    put_string(&t, sl_saved_model_dir(model));
    put_tags(&t, sl_saved_model_about(model));
    put_bytes(&t, config.p, config.n);
    put_number(&t, runs_inline(model));
    put_readable(&t, e, sl_saved_model_dir(model));
    int n = all->count + all->has_union;
    put_number(&t, (uint32_t)n);
    for (int i = 0; i < n; i++) {
        put_infos(&t, all->list[i].inputs, all->list[i].n_inputs);
        put_infos(&t, all->list[i].outputs, all->list[i].n_outputs);
    }
    int fd = t.failed || config.failed ? -1 : tf_sealed_memfd("sluice-load", t.n, t.p);
    sl_text_fini(&config);
    sl_text_fini(&t);
    return fd;
}
