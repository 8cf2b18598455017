/*
 * multi.c - see multi.h
 *
 * Runs that follow one another are each started when the one before is done, on whichever thread
 * that is. A run in place is done before it returns, so there is a loop instead of a call inside a
 * call.
 */
#include "service/multi.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static sl_str or_default(sl_str signature)
{
    return signature.n ? signature : SL_STR("serving_default");
}

/* Step 2 for one task; `seen` are the `n` runs before it. */
static sl_code prepare_task(sl_predict *p, const sl_multi_task *task, const sl_multi_task *first,
                            const sl_predict *seen, size_t n)
{
    const sl_signatures *all = p->version->signatures;
    sl_str name = or_default(task->signature);
    if (task->model.n == 0)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Found ModelSpec with an empty model name.");
    if (!sl_str_eq(task->model, first->model))
        return sl_fail(
            p->st, SL_INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    p->run.signature = sl_signatures_find(all, name);
    p->signature = p->run.signature < 0 ? NULL : &all->list[p->run.signature];
    for (size_t i = 0; i < n && p->signature != NULL; i++)
        if (seen[i].signature == p->signature)
            return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                              "Duplicate evaluation of signature: %.*s", SL_STR_ARG(name));
    if (p->signature == NULL)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Requested signature not found in model graph: %.*s", SL_STR_ARG(name));
    if (sl_str_is(task->method_name, "tensorflow/serving/classify"))
        p->method = SL_METHOD_CLASSIFY;
    else if (sl_str_is(task->method_name, "tensorflow/serving/regress"))
        p->method = SL_METHOD_REGRESS;
    else
        return sl_fail_in(p->arena, p->st, SL_UNIMPLEMENTED,
                          "Unsupported signature method_name: %.*s", SL_STR_ARG(task->method_name));
    return sl_predict_check_example_signature(p);
}

sl_code sl_multi_prepare(sl_multi *m, const sl_predict *like, const sl_multi_task *tasks,
                         size_t count, const sl_tensor *examples)
{
    /* Each task has a signature of its own, so the runs are no more than those: the one behind the
     * last can only be the one that fails. */
    size_t most = SL_MIN(count, (size_t)like->version->signatures->count + 1);
    sl_code rc = SL_OK;
    *m = (sl_multi){0};
    if (count == 0) /* the words of a run that fetches nothing */
        return sl_fail(like->st, SL_INVALID_ARGUMENT,
                       "Must specify at least one target to fetch or execute.");
    sl_predict *runs = sl_arena_try_alloc(like->arena, most * sizeof *runs);
    if (runs == NULL)
        return sl_fail(like->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu tasks", most);
    for (size_t i = 0; i < count && rc == SL_OK; i++) {
        runs[i] = *like;
        runs[i].user = m;
        runs[i].uncounted = true;
        rc = prepare_task(&runs[i], &tasks[i], tasks, runs, i);
    }
    for (size_t i = 0; i < count && rc == SL_OK; i++)
        rc = sl_predict_set_examples(&runs[i], examples);
    if (rc)
        return rc;
    m->runs = runs;
    m->count = count;
    m->together = sl_multi_unite(runs, count);
    return SL_OK;
}

/* ---- all at once ---- */

/* Positions in the union, or -1: a tensor without a name is in none. */
static int union_input(const sl_predict *p)
{
    const sl_signature *u = &p->version->signatures->list[p->version->signatures->count];
    const char *name = p->signature->inputs[p->run.input_index[0]].name;
    return name ? sl_tensor_infos_find(u->inputs, u->n_inputs, sl_str_of(name)) : -1;
}

static int union_output(const sl_predict *p, int k)
{
    const sl_signature *u = &p->version->signatures->list[p->version->signatures->count];
    const char *name = p->signature->outputs[p->run.output_index[k]].name;
    return name ? sl_tensor_infos_find(u->outputs, u->n_outputs, sl_str_of(name)) : -1;
}

static bool can_unite(const sl_predict *runs, size_t count)
{
    const sl_version *v = runs[0].version;
    if (count < 2 || !v->signatures->has_union || v->engine->unites == NULL ||
        !v->engine->unites(v->session))
        return false;
    for (size_t i = 0; i < count; i++) {
        const sl_run *r = &runs[i].run;
        if (r->n_inputs != 1 || r->inputs[0].data != runs[0].run.inputs[0].data ||
            union_input(&runs[i]) < 0)
            return false;
        for (int k = 0; k < r->n_outputs; k++)
            if (union_output(&runs[i], k) < 0)
                return false;
    }
    return true;
}

/* Turns marks into a list of the positions that are marked, ascending. */
static int list_marked(int *marks, int n)
{
    int count = 0;
    for (int i = 0; i < n; i++)
        if (marks[i])
            marks[count++] = i;
    return count;
}

sl_predict *sl_multi_unite(const sl_predict *runs, size_t count)
{
    if (!can_unite(runs, count))
        return NULL;
    sl_arena *arena = runs[0].arena;
    const sl_signatures *all = runs[0].version->signatures;
    const sl_signature *u = &all->list[all->count];
    size_t in = (size_t)u->n_inputs, out = (size_t)u->n_outputs;
    sl_predict *p = sl_arena_try_alloc(arena, sizeof *p);
    sl_tensor *tensors = sl_arena_try_alloc(arena, (in + out) * sizeof *tensors);
    int *fed = sl_arena_try_alloc(arena, (in + out) * sizeof *fed), *wanted = fed + in;
    if (p == NULL || tensors == NULL || fed == NULL)
        return NULL;
    memset(tensors, 0, (in + out) * sizeof *tensors);
    memset(fed, 0, (in + out) * sizeof *fed);
    for (size_t i = 0; i < count; i++) {
        fed[union_input(&runs[i])] = 1;
        for (int k = 0; k < runs[i].run.n_outputs; k++)
            wanted[union_output(&runs[i], k)] = 1;
    }
    *p = runs[0];
    p->signature = u;
    p->run = (sl_run){.signature = all->count,
                      .n_inputs = list_marked(fed, u->n_inputs),
                      .input_index = fed,
                      .inputs = tensors,
                      .n_outputs = list_marked(wanted, u->n_outputs),
                      .output_index = wanted,
                      .outputs = tensors + in};
    for (int i = 0; i < p->run.n_inputs; i++)
        tensors[i] = runs[0].run.inputs[0];
    return p;
}

static int compare(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

void sl_multi_hand_out(sl_predict *together, sl_predict *runs, size_t count)
{
    sl_run *all = &together->run;
    for (size_t i = 0; i < count; i++)
        for (int k = 0; k < runs[i].run.n_outputs; k++) {
            int wanted = union_output(&runs[i], k);
            const int *at =
                bsearch(&wanted, all->output_index, (size_t)all->n_outputs, sizeof wanted, compare);
            sl_tensor_share(&all->outputs[at - all->output_index], &runs[i].run.outputs[k]);
        }
    for (int k = 0; k < all->n_outputs; k++)
        sl_tensor_release(&all->outputs[k]);
}

/* ---- running ---- */

static void end(sl_multi *m)
{
    if (m->rc == SL_OK && m->together != NULL)
        sl_multi_hand_out(m->together, m->runs, m->count);
    m->done(m, m->rc);
}

static void ran(sl_predict *p, sl_code rc);

/* Runs one after the other, for as long as they are done when sl_predict_start returns. */
static void go(sl_multi *m)
{
    while (m->rc == SL_OK && m->at < (m->together ? 1 : m->count)) {
        sl_predict *p = m->together ? m->together : &m->runs[m->at];
        p->done = ran;
        atomic_store(&m->turn, 0);
        sl_predict_start(p, m->where);
        if (atomic_fetch_add(&m->turn, 1) == 0)
            return; /* it is still running: ran() goes on */
    }
    end(m);
}

static void ran(sl_predict *p, sl_code rc)
{
    sl_multi *m = p->user;
    m->rc = rc;
    m->queue_ns += p->queue_ns;
    m->run_ns += p->run_ns;
    m->at++;
    if (atomic_fetch_add(&m->turn, 1) == 1) {
        m->where = SL_RUN_HERE; /* no loop, or a batch that does not ask */
        go(m);
    }
}

void sl_multi_start(sl_multi *m, sl_where where)
{
    m->at = 0;
    m->rc = SL_OK;
    m->queue_ns = m->run_ns = 0;
    m->where = where;
    go(m);
}

void sl_multi_release(sl_multi *m)
{
    for (size_t i = 0; i < m->count; i++)
        for (int k = 0; k < m->runs[i].run.n_outputs; k++)
            sl_tensor_release(&m->runs[i].run.outputs[k]);
}
