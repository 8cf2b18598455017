/*
 * exec.c - find a plan, take a context, run, give both back
 *
 * A plan that is missing is made under a mutex, so that a burst of requests of a new shape makes it
 * once. It stays correct without the cache: when every slot is busy, a plan is made for one run
 * only.
 *
 * Every 16th run of a context is timed: cost() starts from the ops' own estimates and moves toward
 * what is measured, though never below a quarter of the estimate, since a client chose the shapes
 * and a lucky measurement must not open the door.
 */
#include "engine/native/exec.h"

#include "base/clock.h"
#include "base/mem.h"

/* Plans of one graph, and likewise contexts that wait. */
#define CACHE_BYTES ((size_t)256 << 20)
enum { TIMED_RUNS = 16, CALL_NS = 150 };

sl_exec *sl_exec_new(sl_ngraph *g, const sl_limits *limits, pthread_mutex_t *state)
{
    sl_exec *x = sl_try_calloc(1, sizeof *x);
    bool ok = x != NULL;
    if (ok) {
        x->g = g;
        x->limits = *limits;
        x->state = state;
        sl_cache_init(&x->cache, CACHE_BYTES);
        pthread_mutex_init(&x->making, NULL);
        for (int i = 0; i < g->n_nodes && ok; i++)
            for (int k = 0; k < g->nodes[i].n_subs && ok; k++) {
                g->nodes[i].subs[k]->exec = sl_exec_new(g->nodes[i].subs[k], limits, state);
                ok = g->nodes[i].subs[k]->exec != NULL;
                if (!ok)
                    g->nodes[i].subs[k] = NULL;
            }
    } else {
        sl_ngraph_free(g);
    }
    if (x != NULL && !ok) {
        sl_exec_free(x);
        x = NULL;
    }
    return x;
}

void sl_exec_free(sl_exec *x)
{
    if (x == NULL)
        return;
    sl_cache_fini(&x->cache);
    pthread_mutex_destroy(&x->making);
    for (int i = 0; i < x->g->n_nodes; i++)
        for (int k = 0; k < x->g->nodes[i].n_subs; k++) {
            sl_ngraph *sub = x->g->nodes[i].subs[k];
            if (sub == NULL || sub->exec == NULL)
                continue;
            sl_exec_free(sub->exec);
            x->g->nodes[i].subs[k] = NULL;
        }
    sl_ngraph_free(x->g);
    sl_free(x);
}

/* ---- plans ---- */

/* TensorFlow's words: arguments are numbered in the order of the fed tensors' names. */
static sl_code check_types(const sl_ngraph *g, const sl_request *r, sl_status *st)
{
    int worst = -1, worst_at = 0;
    for (int i = 0; i < g->n_feeds; i++) {
        const sl_tensor *t = r->feeds[i];
        if (t == NULL || g->feeds[i].dtype == SL_DT_INVALID || t->dtype == g->feeds[i].dtype)
            continue;
        int at = i;
        if (g->feeds[i].tensor != NULL) {
            at = 0;
            for (int k = 0; k < g->n_feeds; k++)
                at += r->feeds[k] != NULL && g->feeds[k].tensor != NULL &&
                      strcmp(g->feeds[k].tensor, g->feeds[i].tensor) < 0;
        }
        if (worst < 0 || at < worst_at) {
            worst = i;
            worst_at = at;
        }
    }
    if (worst < 0)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT, "Expects arg[%d] to be %s but %s is provided", worst_at,
                   sl_dtype_name(g->feeds[worst].dtype), sl_dtype_name(r->feeds[worst]->dtype));
}

static sl_code make_plan(const sl_exec *x, const sl_request *r, sl_plan **plan, sl_status *st)
{
    sl_draft d;
    sl_code rc = check_types(x->g, r, st);
    if (rc == SL_OK)
        rc = sl_draft_make(&d, x->g, r, &x->limits, st);
    if (rc)
        return rc;
    sl_draft_fuse(&d);
    rc = sl_draft_place(&d, st);
    if (rc == SL_OK)
        rc = sl_plan_make(&d, plan, st);
    sl_draft_fini(&d);
    return rc;
}

/* *slot NULL: *plan is for this run only. */
static sl_code plan_for(sl_exec *x, const sl_request *r, sl_slot **slot, sl_plan **plan,
                        sl_status *st)
{
    pthread_mutex_lock(&x->making);
    *slot = sl_cache_find(&x->cache, r, x->g->n_feeds); /* somebody may have been faster */
    sl_code rc = SL_OK;
    if (*slot == NULL)
        rc = make_plan(x, r, plan, st);
    if (*slot == NULL && rc == SL_OK)
        *slot = sl_cache_put(&x->cache, r, x->g->n_feeds, *plan);
    pthread_mutex_unlock(&x->making);
    return rc;
}

/* ---- runs ---- */

static sl_code run_in(sl_exec *x, sl_context *c, const sl_run_args *args, sl_status *st)
{
    bool lock = c->plan->locks && args->depth == 0;
    if (lock)
        pthread_mutex_lock(x->state);
    sl_code rc = sl_context_run(c, args, st);
    if (lock)
        pthread_mutex_unlock(x->state);
    return rc;
}

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while running the model");
}

static void measure(sl_slot *s, uint64_t began)
{
    int64_t ns = (int64_t)(sl_now_ns() - began);
    int64_t old = atomic_load_explicit(&s->measured, memory_order_relaxed);
    atomic_store_explicit(&s->measured, old ? old + (ns - old) / 8 : ns, memory_order_relaxed);
}

static sl_code run_slot(sl_exec *x, sl_slot *s, const sl_run_args *args, sl_status *st)
{
    sl_context *c = sl_cache_take(&x->cache, s);
    if (c == NULL)
        return no_memory(st);
    bool timed = c->runs++ % TIMED_RUNS == 1; /* the first run touches cold memory */
    uint64_t began = timed ? sl_now_ns() : 0;
    sl_code rc = run_in(x, c, args, st);
    if (timed && rc == SL_OK)
        measure(s, began);
    sl_cache_give(&x->cache, s, c);
    return rc;
}

static sl_code run_once(sl_exec *x, sl_plan *plan, const sl_run_args *args, sl_status *st)
{
    sl_context *c = sl_context_new(plan);
    sl_code rc = c ? run_in(x, c, args, st) : no_memory(st);
    sl_context_free(c);
    sl_plan_free(plan);
    return rc;
}

sl_code sl_exec_run(sl_exec *x, const sl_request *r, const sl_run_args *args, sl_status *st)
{
    sl_plan *plan = NULL;
    sl_slot *s = sl_cache_find(&x->cache, r, x->g->n_feeds);
    sl_code rc = s ? SL_OK : plan_for(x, r, &s, &plan, st);
    if (rc)
        return rc;
    if (s == NULL)
        return run_once(x, plan, args, st);
    rc = run_slot(x, s, args, st);
    sl_cache_release(s);
    return rc;
}

void sl_exec_prepare(sl_exec *x, const sl_request *r, int *steps, int *fused)
{
    sl_plan *plan = NULL;
    sl_slot *s = NULL;
    sl_status ignored;
    if (plan_for(x, r, &s, &plan, &ignored))
        return;
    const sl_plan *made = s ? s->plan : plan;
    *steps += made->n_steps;
    *fused += made->n_fused;
    if (s != NULL)
        sl_cache_release(s);
    else
        sl_plan_free(plan);
}

int64_t sl_exec_cost(sl_exec *x, const sl_request *r, int64_t *elements)
{
    sl_slot *s = sl_cache_find(&x->cache, r, x->g->n_feeds);
    if (s == NULL)
        return -1;
    int64_t ns = -1;
    if (!s->plan->may_block && !s->plan->locks) {
        int64_t measured = atomic_load_explicit(&s->measured, memory_order_relaxed);
        int64_t estimate = s->plan->estimate + CALL_NS;
        ns = measured == 0 ? estimate : SL_MAX(measured, estimate / 4);
        *elements = 0; /* no step is late here: every output has its shape */
        for (int i = 0; i < s->plan->n_outs; i++)
            *elements += sl_tensor_count(&s->plan->outs[i].t);
    }
    sl_cache_release(s);
    return ns;
}

size_t sl_exec_bytes(const sl_exec *x)
{
    size_t n =
        sizeof *x + x->g->arena.used + atomic_load(&x->cache.bytes) + atomic_load(&x->cache.pooled);
    for (int i = 0; i < x->g->n_nodes; i++)
        for (int k = 0; k < x->g->nodes[i].n_subs; k++)
            if (x->g->nodes[i].subs[k]->exec != NULL)
                n += sl_exec_bytes(x->g->nodes[i].subs[k]->exec);
    return n;
}
