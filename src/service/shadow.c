/*
 * shadow.c - see shadow.h
 *
 * One copy is one block of memory: the struct, then its tasks (one, or those of a MultiInference),
 * then the tensors that were fed and those that were answered, as references. It holds handles on
 * both versions, on the one that answered because the names of its outputs are needed for the
 * comparison.
 */
#include "service/shadow.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "metrics/metrics.h"
#include "service/compare.h"

enum { QUEUE = 64, BYTES = 64 << 20 };
#define PATIENCE_NS 1000000000u /* a copy that waited longer is dropped: it holds two versions */

struct sl_shadows {
    sl_workers *workers;
    atomic_ulong differed, failed, impure; /* for the log: not each one */
};

/* One run as it was answered. */
typedef struct task {
    const sl_signature *signature; /* of the version that answered */
    sl_method method;
    int n_inputs, n_outputs;
    sl_tensor *inputs, *outputs;
    int *input_index, *output_index; /* in that signature */
} task;

struct sl_shadow {
    sl_job job;
    sl_shadows *shadows;
    sl_service *service;
    const sl_version *answered;
    sl_shadow_target target;
    task *tasks;
    size_t n_tasks, bytes;
};

sl_code sl_shadows_new(const sl_shadows_options *o, sl_shadows **out, sl_status *st)
{
    sl_shadows *s = sl_calloc(1, sizeof *s);
    sl_workers_options w = {.threads = o->threads > 0 ? o->threads : 1,
                            .max_queue = o->max_queue > 0 ? o->max_queue : QUEUE,
                            .max_bytes = o->max_bytes > 0 ? o->max_bytes : BYTES,
                            .max_wait_ns = PATIENCE_NS};
    sl_code rc = sl_workers_new(&w, &s->workers, st);
    if (rc)
        sl_free(s);
    *out = rc ? NULL : s;
    return rc;
}

void sl_shadows_free(sl_shadows *s)
{
    if (s == NULL)
        return;
    sl_workers_free(s->workers);
    sl_free(s);
}

/* ---- counting ---- */

static void label_values(const sl_version *v, char *number, size_t size, sl_str *values)
{
    int n = snprintf(number, size, "%lld", (long long)v->number);
    values[0] = sl_str_of(v->model);
    values[1] = (sl_str){number, (size_t)n};
}

static void count(const sl_version *v, const char *result)
{
    static const char *const labels[] = {"model_name", "version", "result", NULL};
    char number[24];
    sl_str values[3];
    label_values(v, number, sizeof number, values);
    values[2] = sl_str_of(result);
    sl_metric *m = sl_metric_register("/sluice/shadow/count", SL_COUNTER, labels, NULL, 0);
    sl_cell_add(sl_metric_cell(m, values), 1);
}

static void measure(const sl_version *v, uint64_t ns)
{
    static const char *const labels[] = {"model_name", "version", NULL};
    char number[24];
    sl_str values[2];
    label_values(v, number, sizeof number, values);
    sl_metric *m = sl_metric_register("/sluice/shadow/latency", SL_HISTOGRAM, labels,
                                      sl_metric_exponential(10, 1.8, 33), 33);
    sl_cell_sample(sl_metric_cell(m, values), (double)ns / 1000.0);
}

/* The 1st, 10th, 100th ... of a kind gets a line in the log. */
static bool is_worth_a_line(atomic_ulong *counter, unsigned long *seen)
{
    unsigned long n = *seen = atomic_fetch_add_explicit(counter, 1, memory_order_relaxed) + 1;
    while (n % 10 == 0)
        n /= 10;
    return n == 1;
}

/* ---- taking ---- */

/* One block for everything, or NULL. */
static sl_shadow *try_new(size_t n_tasks, size_t n_tensors)
{
    size_t tasks, tensors, indexes, all;
    if (!sl_mul_size(n_tasks, sizeof(task), &tasks) ||
        !sl_mul_size(n_tensors, sizeof(sl_tensor), &tensors) ||
        !sl_mul_size(n_tensors, sizeof(int), &indexes) || !sl_add_size(tasks, tensors, &all) ||
        !sl_add_size(all, indexes, &all) || !sl_add_size(all, sizeof(sl_shadow), &all))
        return NULL;
    sl_shadow *s = sl_try_calloc(1, all);
    if (s == NULL)
        return NULL;
    s->tasks = (task *)(s + 1);
    s->n_tasks = n_tasks;
    return s;
}

static size_t share(const sl_tensor *from, const int *from_index, int n, sl_tensor *to, int *index)
{
    size_t bytes = 0;
    for (int i = 0; i < n; i++) {
        sl_tensor_share(&from[i], &to[i]);
        index[i] = from_index[i];
        bytes += from[i].size;
    }
    return bytes;
}

/* *tensor and *index: where there is room; they move on. */
static void share_run(sl_shadow *s, const sl_predict *p, task *t, sl_tensor **tensor, int **index)
{
    const sl_run *r = &p->run;
    int in = r->n_inputs, out = r->n_outputs;
    *t = (task){.signature = p->signature,
                .method = p->method,
                .n_inputs = in,
                .n_outputs = out,
                .inputs = *tensor,
                .outputs = *tensor + in,
                .input_index = *index,
                .output_index = *index + in};
    s->bytes += share(r->inputs, r->input_index, in, t->inputs, t->input_index);
    s->bytes += share(r->outputs, r->output_index, out, t->outputs, t->output_index);
    *tensor += in + out;
    *index += in + out;
}

static sl_shadow *take(sl_predict *holder, const sl_predict *runs, size_t n)
{
    sl_shadow_target target;
    sl_service *service = holder->service;
    size_t tensors = 0;
    if (service->shadows == NULL || holder->version == NULL ||
        !sl_manager_shadow(service->manager, holder->version, &target))
        return NULL;
    for (size_t i = 0; i < n; i++)
        tensors += (size_t)runs[i].run.n_inputs + (size_t)runs[i].run.n_outputs;
    sl_shadow *s = try_new(n, tensors);
    if (s == NULL) {
        count(target.version, "dropped");
        sl_manager_release(service->manager, target.version);
        return NULL;
    }
    s->shadows = service->shadows;
    s->service = service;
    s->target = target;
    s->answered = holder->version;
    sl_tensor *tensor = (sl_tensor *)(s->tasks + n);
    int *index = (int *)(tensor + tensors);
    for (size_t i = 0; i < n; i++)
        share_run(s, &runs[i], &s->tasks[i], &tensor, &index);
    holder->version = NULL;
    return s;
}

sl_shadow *sl_shadow_take(sl_predict *p)
{
    return p->signature != NULL ? take(p, p, 1) : NULL;
}

sl_shadow *sl_shadow_take_multi(sl_predict *p, const sl_multi *m)
{
    return m->count > 0 ? take(p, m->runs, m->count) : NULL;
}

static void free_shadow(sl_shadow *s)
{
    for (size_t k = 0; k < s->n_tasks; k++) {
        const task *t = &s->tasks[k];
        for (int i = 0; i < t->n_inputs; i++)
            sl_tensor_release(&t->inputs[i]);
        for (int i = 0; i < t->n_outputs; i++)
            sl_tensor_release(&t->outputs[i]);
    }
    sl_manager_release(s->service->manager, s->answered);
    sl_manager_release(s->service->manager, s->target.version);
    sl_free(s);
}

/* ---- running ---- */

/* The candidate's signatures are sorted as those of the other version are, but need not have the
 * same inputs: they are found by name. */
static sl_code feed(const task *t, sl_predict *p)
{
    size_t n = (size_t)t->n_inputs;
    int *index = sl_arena_try_alloc(p->arena, (n + 1) * sizeof *index);
    if (index == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu inputs", n);
    for (size_t i = 0; i < n; i++) {
        const char *key = t->signature->inputs[t->input_index[i]].key;
        index[i] =
            sl_tensor_infos_find(p->signature->inputs, p->signature->n_inputs, sl_str_of(key));
        if (index[i] < 0)
            return sl_fail(p->st, SL_INVALID_ARGUMENT, "the candidate has no input \"%s\"", key);
    }
    return sl_predict_set_inputs(p, index, t->inputs, t->n_inputs);
}

static sl_code run_one(const sl_shadow *s, sl_predict *p)
{
    const sl_version *v = s->target.version;
    uint64_t begin = sl_now_ns();
    p->run.threads = 1;
    p->run.deadline_ns = s->service->run_timeout_ns ? begin + s->service->run_timeout_ns : 0;
    sl_code rc = v->engine->run(v->session, &p->run, p->st);
    measure(v, sl_now_ns() - begin);
    return rc;
}

static sl_code run(const sl_shadow *s, sl_predict *runs)
{
    sl_code rc = SL_OK;
    sl_predict *together = sl_multi_unite(runs, s->n_tasks);
    if (together == NULL) {
        for (size_t i = 0; i < s->n_tasks && rc == SL_OK; i++)
            rc = run_one(s, &runs[i]);
        return rc;
    }
    rc = run_one(s, together);
    if (rc == SL_OK)
        sl_multi_hand_out(together, runs, s->n_tasks);
    return rc;
}

/* NULL: every output is the same. Otherwise the name of the first that is not. */
static const char *compare(const sl_shadow *s, const task *t, const sl_predict *p, sl_difference *d)
{
    for (int i = 0; i < t->n_outputs; i++) {
        const char *key = t->signature->outputs[t->output_index[i]].key;
        int at =
            sl_tensor_infos_find(p->signature->outputs, p->signature->n_outputs, sl_str_of(key));
        *d = (sl_difference){.what = "existence"};
        if (at < 0 || !sl_tensor_compare(&t->outputs[i], &p->run.outputs[at], s->target.rtol,
                                         s->target.atol, d))
            return key;
    }
    return NULL;
}

static void tell_difference(const sl_shadow *s, const task *t, const char *output,
                            const sl_difference *d)
{
    unsigned long n;
    if (!is_worth_a_line(&s->shadows->differed, &n))
        return;
    sl_log(SL_WARNING,
           "shadow of model %s: version %lld differs from version %lld in signature %s, output "
           "%s: %s; %lld elements, first at %lld: %g, expected %g (seen %lu times)",
           s->target.version->model, (long long)s->target.version->number,
           (long long)s->answered->number, t->signature->key, output, d->what, (long long)d->count,
           (long long)d->first, d->got, d->expected, n);
}

static void tell_failure(const sl_shadow *s, const sl_status *st)
{
    unsigned long n;
    if (is_worth_a_line(&s->shadows->failed, &n))
        sl_log(SL_WARNING, "shadow of model %s: version %lld failed: %s: %s (seen %lu times)",
               s->target.version->model, (long long)s->target.version->number,
               sl_code_name(st->code), st->msg, n);
}

static void tell_impure(const sl_shadow *s, const task *t)
{
    unsigned long n;
    if (is_worth_a_line(&s->shadows->impure, &n))
        sl_log(SL_WARNING,
               "shadow of model %s: signature %s of version %lld is not run: it may write "
               "variables, tables or other resources (seen %lu times)",
               s->target.version->model, t->signature->key, (long long)s->target.version->number,
               n);
}

/* Finds the candidate's signature, and feeds it. *impure: it must not be run. */
static sl_code prepare(const sl_shadow *s, const task *t, sl_predict *p, bool *impure)
{
    const sl_version *v = s->target.version;
    p->method = t->method;
    p->version = v;
    sl_code rc =
        sl_predict_resolve(p, NULL, sl_str_of(t->signature->key)); /* the version is there */
    if (rc)
        return rc;
    *impure = v->engine->pure == NULL || !v->engine->pure(v->session, p->run.signature);
    if (*impure)
        tell_impure(s, t);
    return *impure ? SL_OK : feed(t, p);
}

/* What came of it, as the metric calls it. `runs`: initialised, one for each task. */
static const char *run_and_compare(const sl_shadow *s, sl_predict *runs, const sl_status *st)
{
    sl_code rc = SL_OK;
    for (size_t i = 0; i < s->n_tasks && rc == SL_OK; i++) {
        bool impure = false;
        rc = prepare(s, &s->tasks[i], &runs[i], &impure);
        if (impure)
            return "impure";
    }
    if (rc == SL_OK)
        rc = run(s, runs);
    if (rc) {
        tell_failure(s, st);
        return "failed";
    }
    for (size_t i = 0; i < s->n_tasks; i++) {
        sl_difference d;
        const char *output = compare(s, &s->tasks[i], &runs[i], &d);
        if (output == NULL)
            continue;
        tell_difference(s, &s->tasks[i], output, &d);
        return "differed";
    }
    return "matched";
}

static const char *run_copy(sl_shadow *s)
{
    sl_arena arena;
    sl_status st = {0};
    if (sl_arena_init(&arena, 0))
        return "dropped";
    const char *result = "dropped";
    sl_predict *runs = sl_arena_try_alloc(&arena, s->n_tasks * sizeof *runs);
    for (size_t i = 0; runs != NULL && i < s->n_tasks; i++)
        sl_predict_init(&runs[i], s->service, &arena, &st);
    if (runs != NULL)
        result = run_and_compare(s, runs, &st);
    for (size_t i = 0; runs != NULL && i < s->n_tasks; i++) {
        runs[i].version = NULL; /* free_shadow gives it back */
        sl_predict_fini(&runs[i]);
    }
    sl_arena_fini(&arena);
    return result;
}

static void on_worker(sl_job *job, sl_code verdict)
{
    static _Thread_local bool nice;
    sl_shadow *s = (sl_shadow *)((char *)job - offsetof(sl_shadow, job));
    if (!nice)
        sl_thread_be_nice();
    nice = true;
    count(s->target.version, verdict ? "dropped" : run_copy(s));
    free_shadow(s);
}

void sl_shadow_start(sl_shadow *s)
{
    if (s == NULL)
        return;
    s->job =
        (sl_job){.run = on_worker, .bytes = s->bytes, .deadline_ns = sl_now_ns() + PATIENCE_NS};
    if (sl_workers_submit(s->shadows->workers, &s->job, NULL) == SL_OK)
        return;
    count(s->target.version, "dropped");
    free_shadow(s);
}
