/*
 * native.c - the engine's table: probe, load, run, close
 *
 * A session is one executor for each signature, the variables and tables that they share, and one
 * lock for the plans that change variables. Loading goes through the steps of freeze.h; after it
 * nothing points into the model any more.
 */
#include "engine/native/native.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "engine/native/exec.h"
#include "engine/native/freeze.h"
#include "engine/native/init.h"
#include "engine/pure.h"
#include "sluice/version.h"

enum {
    FEW_INPUTS = 64, /* so many are looked up without an allocation */
    FOLD_EACH = 1 << 20,
    FOLD_TOTAL = 256 << 20,
};

struct sl_session {
    sl_resources *resources;
    sl_exec **execs; /* by position of the signature; NULL: hidden, or a union that is not there */
    int n_execs;
    pthread_mutex_t state;
    sl_limits limits;
    uint64_t weights; /* bytes */
    bool *pure;       /* by position of the signature */
    bool unites;      /* the last of execs is their union's */
    char text[160];
};

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while loading the model");
}

static bool is_hidden(const sl_signature *s)
{
    return strncmp(s->key, "__saved_model_", 14) == 0;
}

/* ---- graphs ---- */

static sl_code tensor_name(const sl_signature *s, const sl_tensor_info *t, sl_str *out,
                           sl_status *st)
{
    if (t->name == NULL)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "\"%s\" of signature \"%s\" is a sparse or composite tensor", t->key,
                       s->key);
    *out = sl_str_of(t->name);
    return SL_OK;
}

static sl_code build_signature(const sl_saved_model *m, const sl_signature *s, sl_ngraph **out,
                               sl_status *st)
{
    sl_str *names = sl_try_calloc((size_t)s->n_inputs + (size_t)s->n_outputs, sizeof *names);
    sl_code rc = names ? SL_OK : no_memory(st);
    for (int i = 0; i < s->n_inputs && rc == SL_OK; i++)
        rc = tensor_name(s, &s->inputs[i], &names[i], st);
    for (int i = 0; i < s->n_outputs && rc == SL_OK; i++)
        rc = tensor_name(s, &s->outputs[i], &names[s->n_inputs + i], st);
    sl_ngraph_want want = {.feeds = names,
                           .n_feeds = s->n_inputs,
                           .fetches = names ? names + s->n_inputs : NULL,
                           .n_fetches = s->n_outputs};
    if (rc == SL_OK)
        rc = sl_ngraph_build(m, &want, out, st);
    sl_free(names);
    return rc;
}

/* ---- probe ---- */

static void report(const sl_report *why, const char *node, const char *reason)
{
    if (why != NULL && why->add != NULL)
        why->add(why->arg, node, NULL, reason);
}

/* TensorFlow's rule: a newer producer is fine as long as it does not say otherwise. */
static int check_versions(const sl_saved_model *m, const sl_report *why)
{
    const sl_graph *g = sl_saved_model_graph(m);
    sl_str writer = sl_saved_model_about(m)->tensorflow_version;
    char by[96] = "", text[256];
    if (writer.n > 0)
        snprintf(by, sizeof by, ", written by TensorFlow %.*s", (int)SL_MIN(writer.n, 40),
                 writer.p);
    bool bad = false;
    for (int i = 0; i < g->n_bad_consumers; i++)
        bad |= g->bad_consumers[i] == SL_GRAPH_VERSION;
    if (g->min_consumer > SL_GRAPH_VERSION || bad) {
        snprintf(
            text, sizeof text,
            "the graph asks for a reader of version %d or later%s; this engine knows version %d%s",
            g->min_consumer, bad ? " and excludes some" : "", SL_GRAPH_VERSION, by);
        report(why, NULL, text);
        return 1;
    }
    if (g->producer > SL_GRAPH_VERSION) {
        snprintf(text, sizeof text,
                 "remark: the graph is of version %d%s; this engine was made for %d", g->producer,
                 by, SL_GRAPH_VERSION);
        report(why, NULL, text);
    }
    return 0;
}

/* Keeps the first obstacle for the error message. */
typedef struct first_obstacle {
    const sl_report *next;
    char text[400];
} first_obstacle;

static void keep_first(void *arg, const char *node, const char *op, const char *reason)
{
    first_obstacle *f = arg;
    if (f->text[0] == '\0')
        snprintf(f->text, sizeof f->text, "%s%s%s%s%s%s", op ? op : "", op ? ": " : "", reason,
                 node ? " (node \"" : "", node ? node : "", node ? "\")" : "");
    if (f->next != NULL && f->next->add != NULL)
        f->next->add(f->next->arg, node, op, reason);
}

/* A variant is a pointer into this process: it neither comes from outside nor leaves. */
static int check_ends(const sl_ngraph *g, const sl_report *why)
{
    int found = 0;
    for (int i = 0; i < g->n_feeds; i++)
        found += g->feeds[i].node >= 0 && g->feeds[i].dtype == SL_DT_VARIANT;
    for (int i = 0; i < g->n_outs; i++)
        found += g->outs[i].dtype == SL_DT_VARIANT;
    if (found > 0)
        report(why, NULL, "a signature takes or gives a variant");
    return found;
}

/* A graph that could not even be built is an obstacle like any other, unless memory ran out. */
static sl_code check_graph(sl_ngraph *g, sl_code built, const sl_report *why, int *obstacles,
                           sl_status *st)
{
    int found = 0;
    sl_code rc = built;
    if (rc == SL_OK && g != NULL)
        rc = sl_ngraph_configure(g, why, &found, st);
    if (rc == SL_OK && g != NULL)
        found += check_ends(g, why);
    *obstacles += found;
    if (rc != SL_FAILED_PRECONDITION)
        return rc;
    report(why, NULL, st ? st->msg : "cannot be built");
    (*obstacles)++;
    return SL_OK;
}

static sl_code refuse(const first_obstacle *first, int obstacles, sl_status *st)
{
    if (obstacles == 0)
        return SL_OK;
    if (obstacles == 1)
        return sl_fail(st, SL_FAILED_PRECONDITION, "the native engine cannot run this model: %s",
                       first->text);
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "the native engine cannot run this model: %s, and %d more", first->text,
                   obstacles - 1);
}

static sl_code native_probe(void *self, const sl_saved_model *model, const sl_report *why,
                            sl_status *st)
{
    (void)self;
    first_obstacle first = {.next = why};
    sl_report all = {keep_first, &first};
    const sl_signatures *sigs = sl_saved_model_signatures(model);
    int obstacles = check_versions(model, &all);
    if (obstacles == 0)
        first = (first_obstacle){.next = why}; /* a remark is no obstacle */
    sl_code rc = SL_OK;
    for (int i = 0; i < sigs->count && rc == SL_OK; i++) {
        sl_ngraph *g = NULL;
        if (is_hidden(&sigs->list[i]))
            continue;
        rc = build_signature(model, &sigs->list[i], &g, st);
        rc = check_graph(g, rc, &all, &obstacles, st);
        sl_ngraph_free(g);
    }
    sl_ngraph *init = NULL;
    if (rc == SL_OK) {
        rc = sl_init_build(model, &init, st);
        rc = check_graph(init, rc, &all, &obstacles, st);
        sl_ngraph_free(init);
    }
    return rc ? rc : refuse(&first, obstacles, st);
}

/* ---- load ---- */

static sl_code load_graph(sl_session *s, sl_ngraph *g, sl_code built, sl_status *st)
{
    first_obstacle first = {0};
    sl_report keep = {keep_first, &first};
    int obstacles = 0;
    sl_code rc = check_graph(g, built, &keep, &obstacles, st);
    if (rc == SL_OK)
        rc = refuse(&first, obstacles, st);
    return rc || g == NULL ? rc : sl_freeze_bind(g, s->resources, st);
}

static sl_code load_signature(sl_session *s, const sl_saved_model *m, int i, sl_status *st)
{
    sl_ngraph *g = NULL;
    sl_code rc = build_signature(m, &sl_saved_model_signatures(m)->list[i], &g, st);
    rc = load_graph(s, g, rc, st);
    if (rc == SL_OK)
        rc = sl_freeze_mark(g, st);
    if (rc) {
        sl_ngraph_free(g);
        return rc;
    }
    s->execs[i] = sl_exec_new(g, &s->limits, &s->state);
    return s->execs[i] ? SL_OK : no_memory(st);
}

static sl_code load_signatures(sl_session *s, const sl_saved_model *m, sl_status *st)
{
    const sl_signatures *sigs = sl_saved_model_signatures(m);
    s->n_execs = sigs->count + sigs->has_union;
    s->execs = sl_try_calloc((size_t)s->n_execs, sizeof *s->execs);
    if (s->execs == NULL)
        return no_memory(st);
    for (int i = 0; i < sigs->count; i++)
        if (!is_hidden(&sigs->list[i]) && load_signature(s, m, i, st))
            return sl_wrap(st, "signature \"%s\": ", sigs->list[i].key);
    /* Too large a graph, say, is no reason not to serve the model: it then does not unite. */
    sl_status ignored = {0};
    s->unites = sigs->has_union && load_signature(s, m, sigs->count, &ignored) == SL_OK;
    return SL_OK;
}

/* Restores, then runs the init op, in which every variable may be written. */
static sl_code initialise(sl_session *s, const sl_saved_model *m, sl_status *st)
{
    sl_ngraph *g = NULL;
    sl_code rc = sl_init_build(m, &g, st);
    rc = load_graph(s, g, rc, st);
    if (rc == SL_OK)
        rc = sl_freeze_restore(m, s->resources, st);
    if (rc || g == NULL) {
        sl_ngraph_free(g);
        return rc;
    }
    sl_request nothing = {0};
    sl_run_args args = {.threads = 1, .depth = 1};
    sl_exec *x = sl_exec_new(g, &s->limits, &s->state);
    rc = x ? sl_exec_run(x, &nothing, &args, st) : no_memory(st);
    sl_exec_free(x);
    return rc ? sl_wrap(st, "init op failed: ") : SL_OK;
}

static sl_code settle_graph(sl_session *s, sl_ngraph *g, sl_status *st)
{
    sl_code rc = sl_ngraph_fold(g, &s->limits, st);
    for (int i = 0; i < g->n_nodes && rc == SL_OK; i++)
        for (int k = 0; k < g->nodes[i].n_subs && rc == SL_OK; k++)
            rc = settle_graph(s, g->nodes[i].subs[k], st);
    return rc;
}

/* Handles that some plan will still use. */
static void mark_handles(const sl_ngraph *g)
{
    for (int i = 0; i < g->n_order; i++) {
        const sl_gnode *n = &g->nodes[g->order[i]];
        if (n->kind == SL_G_HANDLE)
            n->resource->reached = true;
        for (int k = 0; k < n->n_subs; k++)
            mark_handles(n->subs[k]);
    }
}

/* A frozen variable's value lives on in its constants; what only went into others can go. */
static void drop_values(sl_session *s)
{
    sl_resource *r;
    for (size_t i = 0; (r = sl_resources_at(s->resources, i)) != NULL; i++)
        r->reached = false;
    for (int i = 0; i < s->n_execs; i++)
        if (s->execs[i] != NULL)
            mark_handles(s->execs[i]->g);
    for (size_t i = 0; (r = sl_resources_at(s->resources, i)) != NULL; i++) {
        atomic_store(&r->frozen, !r->written);
        if (!r->reached && r->kind == SL_RES_VARIABLE)
            sl_tensor_release(&r->value);
    }
}

static sl_code settle(sl_session *s, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < s->n_execs && rc == SL_OK; i++) {
        if (s->execs[i] == NULL)
            continue;
        rc = sl_freeze_constants(s->execs[i]->g, st);
        if (rc == SL_OK)
            rc = settle_graph(s, s->execs[i]->g, st);
        if (rc == SL_OK)
            rc = sl_ngraph_detach(s->execs[i]->g, st);
    }
    drop_values(s);
    return rc;
}

/* ---- how much, in a line ---- */

/* Tensors by where their bytes are. */
typedef struct piece {
    const void *data;
    size_t size;
} piece;

typedef struct piece_list {
    piece *list;
    size_t n, cap;
} piece_list;

static int by_address(const void *a, const void *b)
{
    uintptr_t x = (uintptr_t)((const piece *)a)->data, y = (uintptr_t)((const piece *)b)->data;
    return (x > y) - (x < y);
}

/* A string's bytes are counted with its buffer; a mapped tensor's buffer is the whole file, though.
 */
static void list_tensor(piece_list *l, const sl_tensor *t)
{
    piece *grown = t->data ? sl_try_grow(l->list, l->n, &l->cap, sizeof *grown) : NULL;
    if (grown == NULL)
        return;
    bool strings = t->dtype == SL_DT_STRING && t->buffer != NULL;
    l->list = grown;
    l->list[l->n++] = (piece){t->data, strings ? t->buffer->size : t->size};
}

static void list_graph(piece_list *l, const sl_ngraph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        list_tensor(l, &g->nodes[i].constant);
        for (int k = 0; k < g->nodes[i].n_subs; k++)
            list_graph(l, g->nodes[i].subs[k]);
    }
}

/* Signatures share bytes, and each counts once. */
static uint64_t count_weights(const sl_session *s)
{
    piece_list l = {0};
    sl_resource *r;
    uint64_t bytes = 0;
    for (int i = 0; i < s->n_execs; i++)
        if (s->execs[i] != NULL)
            list_graph(&l, s->execs[i]->g);
    for (size_t i = 0; (r = sl_resources_at(s->resources, i)) != NULL; i++) {
        list_tensor(&l, &r->value);
        list_tensor(&l, &r->keys);
        list_tensor(&l, &r->values);
    }
    if (l.n > 0)
        qsort(l.list, l.n, sizeof *l.list, by_address);
    for (size_t i = 0; i < l.n; i++)
        if (i == 0 || l.list[i].data != l.list[i - 1].data)
            bytes += l.list[i].size;
    sl_free(l.list);
    return bytes;
}

/* Makes the plan for one row of each input, as declared: it is the likeliest first request, and
 * tells how many steps there are. Where shapes are not known nothing is made. */
static void prepare(sl_session *s, const sl_saved_model *m, int sig, int *steps, int *fused)
{
    const sl_signature *def = &sl_saved_model_signatures(m)->list[sig];
    size_t n = (size_t)def->n_inputs;
    sl_tensor *tensors = sl_try_calloc(n, sizeof *tensors);
    const sl_tensor **feeds = sl_try_calloc(n, sizeof *feeds);
    bool known = tensors && feeds;
    for (int i = 0; i < def->n_inputs && known; i++) {
        const sl_tensor_info *t = &def->inputs[i];
        sl_dtype actual = s->execs[sig]->g->feeds[i].dtype;
        known = t->rank >= 0;
        tensors[i].dtype = actual ? actual : sl_dtype_base(t->dtype);
        tensors[i].rank = known ? t->rank : 0;
        for (int d = 0; d < tensors[i].rank; d++)
            tensors[i].dims[d] = t->dims[d] < 0 ? 1 : t->dims[d];
        int64_t count =
            sl_shape_count(tensors[i].dims, tensors[i].rank, sl_dtype_size(tensors[i].dtype));
        known &= count >= 0;
        tensors[i].size = known ? (size_t)count * sl_dtype_size(tensors[i].dtype) : 0;
        feeds[i] = &tensors[i];
    }
    sl_request r = {.feeds = feeds, .n_outs = def->n_outputs};
    if (known)
        sl_exec_prepare(s->execs[sig], &r, steps, fused);
    sl_free(tensors);
    sl_free(feeds);
}

static void describe(sl_session *s, const sl_saved_model *m)
{
    int steps = 0, fused = 0;
    s->weights = count_weights(s);
    for (int i = 0; i < sl_saved_model_signatures(m)->count; i++)
        if (s->execs[i] != NULL)
            prepare(s, m, i, &steps, &fused);
    snprintf(s->text, sizeof s->text, "native: %d steps, %d fused, %llu KB weights", steps, fused,
             (unsigned long long)((s->weights + 1023) / 1024));
}

/* ---- the session ---- */

static void native_close(sl_session *s)
{
    if (s == NULL)
        return;
    for (int i = 0; s->execs != NULL && i < s->n_execs; i++)
        sl_exec_free(s->execs[i]);
    sl_free(s->execs);
    sl_free(s->pure);
    sl_resources_free(s->resources);
    pthread_mutex_destroy(&s->state);
    sl_free(s);
}

static sl_code native_load(void *self, const sl_saved_model *model, const sl_load_options *opts,
                           sl_session **out, sl_status *st)
{
    (void)self;
    (void)opts;
    sl_session *s = sl_try_calloc(1, sizeof *s);
    if (s == NULL)
        return no_memory(st);
    pthread_mutex_init(&s->state, NULL);
    s->limits = (sl_limits){FOLD_EACH, FOLD_TOTAL, (size_t)(sl_memory_limit() / 2)};
    s->resources = sl_resources_new();
    sl_code rc = s->resources ? load_signatures(s, model, st) : no_memory(st);
    if (rc == SL_OK)
        rc = initialise(s, model, st);
    if (rc == SL_OK)
        rc = settle(s, st);
    if (rc == SL_OK && (s->pure = sl_pure_signatures(model)) == NULL)
        rc = no_memory(st);
    if (rc) {
        native_close(s);
        return rc;
    }
    describe(s, model);
    *out = s;
    return SL_OK;
}

/* ---- run ---- */

/* Spreads the fed tensors over all inputs of the signature. */
static sl_exec *find_exec(sl_session *s, const sl_run *run, const sl_tensor **feeds, int n_feeds)
{
    sl_exec *x = s->execs[run->signature];
    for (int i = 0; i < n_feeds; i++)
        feeds[i] = NULL;
    for (int i = 0; i < run->n_inputs; i++)
        if (run->input_index[i] >= 0 && run->input_index[i] < n_feeds)
            feeds[run->input_index[i]] = &run->inputs[i];
    return x;
}

static sl_code run_with(sl_session *s, sl_run *run, const sl_tensor **feeds, int n_feeds,
                        sl_status *st)
{
    sl_exec *x = find_exec(s, run, feeds, n_feeds);
    sl_request r = {.feeds = feeds, .n_outs = run->n_outputs, .outs = run->output_index};
    sl_run_args args = {.feeds = feeds,
                        .outputs = run->outputs,
                        .deadline_ns = run->deadline_ns,
                        .cancelled = run->cancelled,
                        .threads = run->threads};
    return sl_exec_run(x, &r, &args, st);
}

static int count_feeds(const sl_session *s, const sl_run *run)
{
    bool there = run->signature >= 0 && run->signature < s->n_execs && s->execs[run->signature];
    return there ? s->execs[run->signature]->g->n_feeds : -1;
}

static sl_code native_run(sl_session *s, sl_run *run, sl_status *st)
{
    const sl_tensor *few[FEW_INPUTS];
    int n = count_feeds(s, run);
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "signature %d cannot be run", run->signature);
    for (int i = 0; i < run->n_outputs; i++)
        if (run->output_index[i] < 0 || run->output_index[i] >= s->execs[run->signature]->g->n_outs)
            return sl_fail(st, SL_INVALID_ARGUMENT, "the signature has no output %d",
                           run->output_index[i]);
    if (n <= FEW_INPUTS)
        return run_with(s, run, few, n, st);
    const sl_tensor **many = sl_try_malloc((size_t)n * sizeof *many);
    sl_code rc = many ? run_with(s, run, many, n, st) : no_memory(st);
    sl_free(many);
    return rc;
}

/* A signature of very many inputs is not worth running in place. */
static int64_t native_cost(sl_session *s, const sl_run *run, int64_t *elements)
{
    const sl_tensor *few[FEW_INPUTS];
    int n = count_feeds(s, run);
    if (n < 0 || n > FEW_INPUTS)
        return -1;
    sl_exec *x = find_exec(s, run, few, n);
    sl_request r = {.feeds = few, .n_outs = run->n_outputs, .outs = run->output_index};
    return sl_exec_cost(x, &r, elements);
}

/* ---- sizes ---- */

/* The variables, and a fifth more for plans and what folding makes. */
static sl_code native_estimate(void *self, const sl_saved_model *model, uint64_t *bytes,
                               sl_status *st)
{
    (void)self;
    (void)st;
    uint64_t variables = sl_saved_model_about(model)->variables_bytes;
    *bytes = variables + variables / 5 + sl_saved_model_graph(model)->wire.n;
    return SL_OK;
}

static bool native_pure(sl_session *s, int signature)
{
    return signature >= 0 && signature < s->n_execs && s->pure[signature];
}

static bool native_unites(sl_session *s)
{
    return s->unites;
}

static uint64_t native_memory(sl_session *s)
{
    uint64_t n = sizeof *s + s->weights;
    for (int i = 0; i < s->n_execs; i++)
        n += s->execs[i] ? sl_exec_bytes(s->execs[i]) : 0;
    return n;
}

static const char *native_describe(sl_session *s)
{
    return s->text;
}

const sl_engine sl_engine_native = {
    .abi = SL_ENGINE_ABI,
    .name = "native",
    .probe = native_probe,
    .load = native_load,
    .run = native_run,
    .close = native_close,
    .estimate = native_estimate,
    .cost = native_cost,
    .memory = native_memory,
    .describe = native_describe,
    .pure = native_pure,
    .unites = native_unites,
};
