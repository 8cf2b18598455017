/*
 * run.c - runs one batch
 *
 *     parts -> drop those that left or are late -> groups that fit one another
 *           -> merge -> fill up to an allowed size -> engine -> cut apart -> done
 *
 * Nobody fails for the sake of a neighbour: parts whose shapes do not fit are run in different
 * groups, and a group that cannot be merged, or that the model refuses with INVALID_ARGUMENT, is
 * run again part by part, so that only the culprit gets the error.
 */
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"
#include "batch/batch_internal.h"
#include "batch/merge.h"
#include "metrics/metrics.h"

typedef void finisher(sl_entry *e, sl_code rc);

/* ---- metrics ---- */

typedef struct counters {
    sl_metric *padding;
    sl_cell *queuing, *runs, *input, *processed;
} counters;

#define NAME(what) "/tensorflow/serving/batching_session/" what

static counters cells;

static void register_metrics(void)
{
    static const char *const pool[] = {"thread_pool_name", NULL};
    static const char *const size[] = {"execution_batch_size", NULL};
    static const sl_str no_pool[1]; /* the label is always empty in the original */
    const double *powers = sl_metric_exponential(1, 2, 14);
    const double *q = sl_metric_exponential(100, 1.2, 52);
    cells.padding = sl_metric_register(NAME("padding_size"), SL_HISTOGRAM, size, powers, 14);
    cells.queuing = sl_metric_cell(
        sl_metric_register(NAME("queuing_latency"), SL_HISTOGRAM, pool, q, 52), no_pool);
    cells.runs = sl_metric_cell(
        sl_metric_register(NAME("wrapped_run_count"), SL_COUNTER, NULL, NULL, 0), NULL);
    cells.input = sl_metric_cell(
        sl_metric_register(NAME("input_batch_size"), SL_HISTOGRAM, NULL, powers, 14), NULL);
    cells.processed = sl_metric_cell(
        sl_metric_register(NAME("processed_batch_size"), SL_HISTOGRAM, NULL, powers, 14), NULL);
}

static const counters *count(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, register_metrics);
    return &cells;
}

static void count_run(int64_t rows, int64_t padded)
{
    const counters *c = count();
    char text[24];
    sl_cell_add(c->runs, 1);
    sl_cell_sample(c->processed, (double)padded);
    int n = snprintf(text, sizeof text, "%lld", (long long)padded);
    sl_cell_sample(sl_metric_cell(c->padding, &(sl_str){text, (size_t)n}), (double)(padded - rows));
}

/* ---- the end of a part ---- */

static void release_outputs(sl_tensor *outputs, int n)
{
    for (int i = 0; i < n; i++)
        sl_tensor_release(&outputs[i]);
}

/* The outputs of a task that was split: those of its parts one after the other. */
static sl_code join_parts(sl_entry *e)
{
    const sl_run *run = e->task->run;
    sl_tensor *list = sl_try_malloc((size_t)e->n_parts * sizeof *list);
    if (list == NULL)
        return sl_fail(e->task->st, SL_RESOURCE_EXHAUSTED, "out of memory: %d parts of a batch",
                       e->n_parts);
    sl_code rc = SL_OK;
    int made = 0;
    for (; made < run->n_outputs && rc == SL_OK; made += rc == SL_OK) {
        for (int i = 0; i < e->n_parts; i++) {
            list[i] = e->parts[i].outputs[made];
            if (!sl_merge_fits(&list[0], &list[i], false))
                rc = sl_fail(e->task->st, SL_INTERNAL,
                             "Tensor concat operation failed: parts of output %d of a split task "
                             "have different shapes",
                             made);
        }
        if (rc == SL_OK)
            rc = sl_merge_rows(list, e->n_parts, e->rows, &run->outputs[made], e->task->st);
    }
    if (rc)
        release_outputs(run->outputs, made);
    sl_free(list);
    return rc;
}

/* All parts are over: puts the outputs in place. */
static sl_code complete(sl_entry *e)
{
    const sl_run *run = e->task->run;
    sl_code rc = (sl_code)atomic_load(&e->rc);
    if (rc == SL_OK && e->n_parts == 1) {
        memcpy(run->outputs, e->parts->outputs, (size_t)run->n_outputs * sizeof *run->outputs);
        return SL_OK;
    }
    if (rc == SL_OK)
        rc = join_parts(e);
    for (int i = 0; i < e->n_parts; i++)
        release_outputs(e->parts[i].outputs, run->n_outputs);
    return rc;
}

static void finish(sl_part *p, sl_code rc, const char *why, finisher *finished)
{
    sl_entry *e = p->entry;
    int none = SL_OK;
    if (rc && atomic_compare_exchange_strong(&e->rc, &none, (int)rc))
        sl_fail(e->task->st, rc, "%s", why);
    if (atomic_fetch_sub(&e->parts_left, 1) == 1)
        finished(e, complete(e));
}

static void finish_all(sl_part *parts, sl_code rc, const char *why, finisher *finished)
{
    while (parts != NULL) {
        sl_part *next = parts->next;
        finish(parts, rc, why, finished);
        parts = next;
    }
}

/* ---- one group ---- */

static sl_tensor input_of(const sl_part *p, int k)
{
    /* A view: the task's own reference keeps the bytes alive while the batch runs. */
    const sl_tensor *t = &p->entry->task->run->inputs[p->entry->input_order[k]];
    sl_tensor view = *t;
    size_t row = t->dims[0] ? t->size / (size_t)t->dims[0] : 0;
    view.dims[0] = p->end - p->begin;
    view.data = (char *)t->data + (size_t)p->begin * row;
    view.size = (size_t)view.dims[0] * row;
    return view;
}

static bool fit(const sl_part *a, const sl_part *b, bool pad)
{
    for (int k = 0; k < a->entry->task->run->n_inputs; k++) {
        sl_tensor x = input_of(a, k), y = input_of(b, k);
        if (!sl_merge_fits(&x, &y, pad))
            return false;
    }
    return true;
}

static int64_t padded_size(const sl_batching_params *p, int64_t rows)
{
    if (rows == 0 || p->n_allowed == 0) /* an empty task has no row to fill up with */
        return rows;
    for (int i = 0; i < p->n_allowed; i++)
        if (p->allowed_batch_sizes[i] >= rows)
            return p->allowed_batch_sizes[i];
    sl_log(SL_WARNING,
           "Input batch size %lld is greater than largest allowed size %lld ignoring allowed sizes "
           "constraint.",
           (long long)rows, (long long)p->allowed_batch_sizes[p->n_allowed - 1]);
    return rows;
}

/* A group on its way through the engine. Tensors stand in the order of the first part's task. */
typedef struct group {
    sl_part *parts;
    int n;
    int64_t rows, padded;
    sl_run run;
    sl_tensor *inputs, *outputs, *list; /* list: n tensors to be merged */
} group;

static sl_code prepare(group *g, sl_part *parts, const sl_batching_params *params, sl_status *st)
{
    *g = (group){.parts = parts};
    for (const sl_part *p = parts; p != NULL; p = p->next) {
        g->n++;
        g->rows += p->end - p->begin;
    }
    g->padded = padded_size(params, g->rows);
    const sl_run *first = parts->entry->task->run;
    size_t in = (size_t)first->n_inputs, out = (size_t)first->n_outputs;
    g->inputs = sl_try_calloc(in + out + (size_t)g->n, sizeof *g->inputs);
    if (g->inputs == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: batch of %d tasks", g->n);
    g->outputs = g->inputs + in;
    g->list = g->outputs + out;
    g->run = *first;
    g->run.inputs = g->inputs;
    g->run.outputs = g->outputs;
    g->run.cancelled = g->n == 1 ? first->cancelled : NULL;
    for (const sl_part *p = parts; p != NULL; p = p->next) {
        uint64_t d = p->entry->task->run->deadline_ns;
        g->run.deadline_ns = d && g->run.deadline_ns ? SL_MAX(d, g->run.deadline_ns) : 0;
    }
    return SL_OK;
}

static void give_back(group *g)
{
    if (g->inputs == NULL)
        return;
    release_outputs(g->inputs, g->run.n_inputs);
    release_outputs(g->outputs, g->run.n_outputs);
    sl_free(g->inputs);
}

static sl_code merge(group *g, sl_status *st)
{
    const int *order = g->parts->entry->input_order;
    for (int k = 0; k < g->run.n_inputs; k++) {
        int i = 0;
        for (const sl_part *p = g->parts; p != NULL; p = p->next)
            g->list[i++] = input_of(p, k);
        sl_code rc = sl_merge_rows(g->list, g->n, g->padded, &g->inputs[order[k]], st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code check_outputs(const group *g, sl_status *st)
{
    for (int k = 0; k < g->run.n_outputs; k++) {
        if (g->outputs[k].rank < 1)
            return sl_fail(st, SL_FAILED_PRECONDITION, "Batched output tensor has 0 dimensions");
        if (g->outputs[k].dims[0] != g->padded)
            return sl_fail(st, SL_FAILED_PRECONDITION,
                           "Batched output tensor's 0th dimension does not equal the sum of the "
                           "0th dimension sizes of the input tensors");
    }
    return SL_OK;
}

/* Cuts the outputs apart; each part gets references of its own. */
static void split(group *g)
{
    const int *order = g->parts->entry->output_order;
    int64_t at = 0;
    for (sl_part *p = g->parts; p != NULL; p = p->next) {
        int64_t rows = p->end - p->begin;
        for (int k = 0; k < g->run.n_outputs; k++)
            sl_tensor_slice(&g->outputs[order[k]], at, at + rows,
                            &p->outputs[p->entry->output_order[k]]);
        at += rows;
    }
}

/* *again: nobody in particular is to blame, so it is worth trying part by part. */
static sl_code run_merged(const sl_batch_target *t, sl_part *parts, bool *again, sl_status *st)
{
    group g;
    sl_code rc = prepare(&g, parts, t->params, st);
    *again = g.n > 1;
    if (rc == SL_OK)
        rc = merge(&g, st);
    if (rc == SL_OK) {
        count_run(g.rows, g.padded);
        rc = t->engine->run(t->session, &g.run, st);
        *again &= rc == SL_INVALID_ARGUMENT;
        if (rc == SL_OK)
            rc = check_outputs(&g, st);
        if (rc == SL_OK)
            split(&g);
    }
    give_back(&g);
    return rc;
}

static void run_group(const sl_batch_target *t, sl_part *parts, finisher *finished)
{
    sl_status st = {0};
    bool again;
    sl_code rc = run_merged(t, parts, &again, &st);
    if (rc == SL_OK || !again) {
        finish_all(parts, rc, st.msg, finished);
        return;
    }
    while (parts != NULL) {
        sl_part *next = parts->next;
        parts->next = NULL;
        rc = run_merged(t, parts, &again, &st);
        finish(parts, rc, st.msg, finished);
        parts = next;
    }
}

/* ---- the batch ---- */

/* What is not worth running is finished here; true: run it. */
static bool is_wanted(sl_part *p, uint64_t now, finisher *finished)
{
    const sl_run *run = p->entry->task->run;
    if (run->cancelled != NULL && atomic_load(run->cancelled)) {
        finish(p, SL_CANCELLED, "the client left while the request waited in the batching queue",
               finished);
        return false;
    }
    if (run->deadline_ns && now >= run->deadline_ns) {
        finish(p, SL_RESOURCE_EXHAUSTED, "Run() timeout exceeded while waiting in batching queue",
               finished);
        return false;
    }
    return true;
}

static void note_start(const sl_part *p, uint64_t now)
{
    sl_entry *e = p->entry;
    const counters *c = count();
    if (p != e->parts) /* once for each task: with its first part */
        return;
    e->task->queue_ns = now > e->queued_ns ? now - e->queued_ns : 0;
    sl_cell_sample(c->queuing, (double)e->task->queue_ns / 1000.0);
    for (int k = 0; k < e->task->run->n_inputs; k++)
        sl_cell_sample(c->input, (double)e->rows);
}

/* Takes the first part, and those that fit it, out of *rest. */
static sl_part *take_group(sl_part **rest, bool pad)
{
    sl_part *taken = *rest, *last = taken;
    *rest = taken->next;
    for (sl_part **at = rest; *at != NULL;) {
        if (!fit(taken, *at, pad)) {
            at = &(*at)->next;
            continue;
        }
        last->next = *at;
        last = *at;
        *at = last->next;
    }
    last->next = NULL;
    return taken;
}

void sl_batch_run(const sl_batch_target *target, sl_part *parts, finisher *finished)
{
    uint64_t now = sl_now_ns();
    sl_part *wanted = NULL, **end = &wanted;
    while (parts != NULL) {
        sl_part *p = parts;
        parts = p->next;
        p->next = NULL;
        note_start(p, now);
        if (!is_wanted(p, now, finished))
            continue;
        *end = p;
        end = &p->next;
    }
    while (wanted != NULL) {
        bool pad = target->params->pad_variable_length_inputs;
        run_group(target, take_group(&wanted, pad), finished);
    }
}
