/*
 * engine.c - the table, the options, and what can be said about a model before it is loaded
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"
#include "savedmodel/savedmodel.h"

void tf_wake(tf_engine *e)
{
    uint64_t one = 1;
    if (write(e->wake, &one, sizeof one) < 0)
        return; /* full: it is awake already */
}

/* ---- new, free ---- */

static sl_code set_threads(tf_engine *e, const sl_tensorflow_options *o, sl_status *st)
{
    if (o->session_parallelism > 0 && o->intra_op_parallelism > 0 && o->inter_op_parallelism > 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Either configure server_options.tensorflow_session_parallelism or "
                       "(server_options.tensorflow_intra_op_parallelism, "
                       "server_options.tensorflow_inter_op_parallelism) separately. You cannot "
                       "configure all.");
    bool apart = o->intra_op_parallelism > 0 || o->inter_op_parallelism > 0;
    e->intra = apart ? o->intra_op_parallelism : o->session_parallelism;
    e->inter = apart ? o->inter_op_parallelism : o->session_parallelism;
    return SL_OK;
}

static char *copy(const char *s)
{
    return s != NULL && *s != '\0' ? sl_strdup(s) : NULL;
}

static void copy_options(tf_engine *e, const sl_tensorflow_options *o)
{
    e->library = copy(o->library);
    e->python = copy(o->python);
    e->host_program = copy(o->host_program);
    e->n_custom_op_libs = o->n_custom_op_libs;
    e->custom_op_libs = sl_calloc((size_t)o->n_custom_op_libs, sizeof *e->custom_op_libs);
    for (int i = 0; i < o->n_custom_op_libs; i++)
        e->custom_op_libs[i] = sl_strdup(o->custom_op_libs[i]);
    e->launch = (tf_launch){.library = e->library,
                            .python = e->python,
                            .host_program = e->host_program,
                            .custom_op_libs = e->custom_op_libs,
                            .n_custom_op_libs = e->n_custom_op_libs};
    e->launcher = o->launcher;
    e->launch_op = o->launch_op;
    e->config_n = o->session_config.n;
    e->config = sl_strndup(o->session_config.p, o->session_config.n);
}

static void free_engine(tf_engine *e)
{
    for (int i = 0; i < e->n_custom_op_libs; i++)
        sl_free(e->custom_op_libs[i]);
    sl_free(e->custom_op_libs);
    sl_free(e->library);
    sl_free(e->python);
    sl_free(e->host_program);
    sl_free(e->config);
    if (e->wake >= 0)
        close(e->wake);
    pthread_mutex_destroy(&e->lock);
    sl_free(e);
}

sl_code sl_tensorflow_new(const sl_tensorflow_options *opts, void **self, sl_status *st)
{
    tf_engine *e = sl_calloc(1, sizeof *e);
    copy_options(e, opts);
    pthread_mutex_init(&e->lock, NULL);
    sl_cond_init(&e->changed);
    e->host_socket = e->host_lines.fd = -1;
    e->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    sl_code rc = set_threads(e, opts, st);
    if (rc == SL_OK && e->wake < 0)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot make an eventfd");
    if (rc == SL_OK)
        rc = sl_thread_start(&e->thread, "tensorflow", tf_watch, e, st);
    if (rc) {
        free_engine(e);
        return rc;
    }
    *self = e;
    return SL_OK;
}

void sl_tensorflow_free(void *self)
{
    tf_engine *e = self;
    if (e == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    e->stop = true;
    tf_wake(e);
    pthread_mutex_unlock(&e->lock);
    pthread_join(e->thread, NULL);
    free_engine(e);
}

/* ---- probe ---- */

static int compare(const void *a, const void *b)
{
    return sl_str_cmp(*(const sl_str *)a, *(const sl_str *)b);
}

static void add_ops(const sl_node *nodes, int n, sl_str **ops, size_t *count, size_t *cap)
{
    for (int i = 0; i < n; i++) {
        *ops = sl_grow(*ops, *count, cap, sizeof **ops);
        (*ops)[(*count)++] = nodes[i].op;
    }
}

/* The names of all ops of the model, a line each, each once; a name with a line end in it is none.
 */
static sl_text list_ops(const sl_graph *g)
{
    sl_text t = {0};
    sl_str *ops = NULL;
    size_t n = 0, cap = 0;
    add_ops(g->nodes, g->n_nodes, &ops, &n, &cap);
    for (int i = 0; i < g->n_functions; i++)
        add_ops(g->functions[i].nodes, g->functions[i].n_nodes, &ops, &n, &cap);
    if (n)
        qsort(ops, n, sizeof *ops, compare);
    for (size_t i = 0; i < n; i++) {
        if ((i > 0 && sl_str_eq(ops[i], ops[i - 1])) || ops[i].n == 0 ||
            memchr(ops[i].p, '\n', ops[i].n) != NULL)
            continue;
        sl_text_add(&t, ops[i].p, ops[i].n);
        sl_text_putc(&t, '\n');
    }
    sl_free(ops);
    return t;
}

/* Has the host strike out the ops that it knows: `fd` then begins with the rest, of so many bytes.
 * UINT64_MAX: no answer. */
static uint64_t ask_host(tf_engine *e, int fd, int64_t *graph_version)
{
    pthread_mutex_lock(&e->lock);
    tf_ops_query q = {.id = ++e->last_id, .next = e->queries};
    sl_tf_msg m = {.kind = SL_TF_OPS, .session = q.id};
    bool sent = e->host == TF_HOST_UP && sl_tf_send(e->host_socket, &m, &fd, 1) == 0;
    e->queries = &q;
    while (sent && !q.answered)
        if (!sl_cond_wait_until(&e->changed, &e->lock, sl_now_ns() + 30000000000u))
            break;
    tf_ops_query **at = &e->queries;
    while (*at != &q)
        at = &(*at)->next;
    *at = q.next;
    pthread_mutex_unlock(&e->lock);
    *graph_version = q.graph_version;
    return q.answered ? q.bytes : UINT64_MAX;
}

/* Functions of the graph are called by nodes whose op is the function's name. */
static bool is_missing(const sl_graph *g, sl_str unknown, sl_str op)
{
    sl_str rest = unknown;
    while (rest.n > 0) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        if (sl_str_eq((sl_str){rest.p, n}, op))
            return sl_graph_find_function(g, op) == NULL;
        n += n < rest.n;
        rest = (sl_str){rest.p + n, rest.n - n};
    }
    return false;
}

static int report_missing(const sl_graph *g, const sl_node *nodes, int n, sl_str unknown,
                          const tf_engine *e, const sl_report *why)
{
    int missing = 0;
    char reason[128];
    snprintf(reason, sizeof reason, "op is not registered in TensorFlow %s", e->version);
    for (int i = 0; i < n; i++) {
        if (!is_missing(g, unknown, nodes[i].op))
            continue;
        char *name = sl_strndup(nodes[i].name.p, nodes[i].name.n);
        char *op = sl_strndup(nodes[i].op.p, nodes[i].op.n);
        if (why != NULL)
            why->add(why->arg, name, op, reason);
        sl_free(name);
        sl_free(op);
        missing++;
    }
    return missing;
}

/* What the library knows of the model: the names of ops that it lacks become all that is in `ops`,
 * and its GraphDef version is 0 where it could not be asked. */
static void ask_library(tf_engine *e, sl_text *ops, int64_t *graph_version)
{
    int fd = tf_memfd("sluice-ops");
    uint64_t bytes = 0;
    if (fd >= 0 && ops->n > 0 && !sl_fault_hit(SL_FAULT_WRITE) &&
        write(fd, ops->p, ops->n) == (ssize_t)ops->n)
        bytes = ask_host(e, fd, graph_version);
    bool whole = bytes <= ops->n && !sl_fault_hit(SL_FAULT_READ) &&
                 pread(fd, ops->p, bytes, 0) == (ssize_t)bytes;
    ops->n = whole ? bytes : 0;
    if (fd >= 0)
        close(fd);
}

static int count_missing(const tf_engine *e, const sl_graph *g, sl_str unknown,
                         const sl_report *why)
{
    int missing = report_missing(g, g->nodes, g->n_nodes, unknown, e, why);
    for (int i = 0; i < g->n_functions; i++)
        missing +=
            report_missing(g, g->functions[i].nodes, g->functions[i].n_nodes, unknown, e, why);
    return missing;
}

static sl_code probe(void *self, const sl_saved_model *model, const sl_report *why, sl_status *st)
{
    tf_engine *e = self;
    const sl_graph *g = sl_saved_model_graph(model);
    int64_t known = 0;
    pthread_mutex_lock(&e->lock);
    sl_code rc = tf_host_wait(e, st);
    pthread_mutex_unlock(&e->lock);
    if (rc) {
        if (why != NULL)
            why->add(why->arg, NULL, NULL, st ? st->msg : "no TensorFlow");
        return rc;
    }
    sl_text ops = list_ops(g);
    ask_library(e, &ops, &known);
    if (known > 0 && g->min_consumer > known) {
        rc = sl_fail(st, SL_FAILED_PRECONDITION,
                     "GraphDef min consumer version %d above current version %lld of TensorFlow %s "
                     "(%s): please upgrade it",
                     g->min_consumer, (long long)known, e->version, e->found);
        if (why != NULL)
            why->add(why->arg, NULL, NULL, st ? st->msg : "the graph is too new");
    } else {
        int missing = count_missing(e, g, (sl_str){ops.p, ops.n}, why);
        if (missing)
            rc = sl_fail(st, SL_FAILED_PRECONDITION, "%d nodes have an op that TensorFlow %s lacks",
                         missing, e->version);
    }
    sl_text_fini(&ops);
    return rc;
}

/* The server's own rule (1.2 times the files), and what a child needs besides the model. */
static sl_code estimate(void *self, const sl_saved_model *model, uint64_t *bytes, sl_status *st)
{
    (void)self, (void)st;
    uint64_t files = sl_saved_model_about(model)->bytes;
    *bytes = files + files / 5 + (32u << 20);
    return SL_OK;
}

static int64_t cost(sl_session *s, const sl_run *run, int64_t *elements)
{
    (void)s, (void)run, (void)elements;
    return -1; /* always a worker's: it waits for another process */
}

const sl_engine sl_engine_tensorflow = {
    .abi = SL_ENGINE_ABI,
    .name = "tensorflow",
    .probe = probe,
    .load = tf_load,
    .run = tf_run,
    .close = tf_close,
    .estimate = estimate,
    .cost = cost,
    .memory = tf_memory,
    .describe = tf_describe,
    .pure = tf_pure,
    .unites = tf_unites,
    .serve = tf_serve_from_now,
};
