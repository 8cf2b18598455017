/*
 * control.c - If, Case and While: which body runs, and on what
 *
 * A body is a graph with plans of its own, so a loop whose shapes stay the same makes one plan and
 * runs it again and again. What a loop's body hands on unchanged is not passed through it: that
 * variable simply stays, which spares the copies and lets handles pass.
 *
 * Bodies nest no deeper than the graph was built (build.c), so the recursion through sl_exec_run
 * ends.
 */
#include "engine/native/control.h"

#include "base/mem.h"
#include "engine/native/exec.h"

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while running the model");
}

static sl_code run_body(sl_ngraph *g, const sl_tensor *const *vars, const int *outs, int n_outs,
                        sl_tensor *out, const sl_run_args *args, sl_arena *arena, sl_status *st)
{
    const sl_tensor **feeds = sl_arena_try_alloc(arena, (size_t)g->n_feeds * sizeof *feeds);
    if (feeds == NULL)
        return no_memory(st);
    for (int i = 0; i < g->n_feeds; i++)
        feeds[i] =
            g->feeds[i].node >= 0 && g->nodes[g->feeds[i].node].kind == SL_G_FEED ? vars[i] : NULL;
    sl_request r = {.feeds = feeds, .n_outs = n_outs, .outs = outs};
    sl_run_args inner = *args;
    inner.feeds = feeds;
    inner.outputs = out;
    inner.depth++;
    return sl_exec_run(g->exec, &r, &inner, st);
}

/* Hands a tensor with a buffer to the run: the buffer goes when the arena is reset. */
static void lend(sl_context *c, const sl_tensor *t, sl_tensor *out)
{
    if (t->buffer != NULL)
        sl_arena_on_reset(&c->arena, (void (*)(void *))sl_buffer_release, t->buffer);
    *out = *t;
    out->buffer = NULL;
}

/* ---- If and Case ---- */

static bool is_true(const sl_tensor *t)
{
    if (t->rank > 0)
        return t->size > 0;
    if (t->dtype == SL_DT_STRING)
        return ((const sl_str *)t->data)->n > 0;
    if (t->dtype == SL_DT_FLOAT)
        return *(const float *)t->data != 0;
    if (t->dtype == SL_DT_DOUBLE)
        return *(const double *)t->data != 0;
    for (size_t i = 0; i < t->size; i++)
        if (((const char *)t->data)[i] != 0)
            return true;
    return false;
}

static int choose(const sl_gnode *n, const sl_tensor *t)
{
    if (!n->is_case)
        return is_true(t);
    int32_t k = t->size >= sizeof k && t->dtype == SL_DT_INT32 ? *(const int32_t *)t->data : -1;
    return k < 0 || k >= n->n_subs ? n->n_subs - 1 : k;
}

static sl_code run_branch(sl_context *c, const sl_plan_step *s, sl_op_call *call,
                          const sl_run_args *args, sl_status *st)
{
    const sl_gnode *n = s->graph_node;
    sl_ngraph *g = n->subs[choose(n, &call->in[0])];
    const sl_tensor **vars = sl_arena_try_alloc(&c->arena, (size_t)n->n_in * sizeof *vars);
    sl_tensor *out = sl_arena_try_alloc(&c->arena, (size_t)s->n_out * sizeof *out);
    if (vars == NULL || out == NULL)
        return no_memory(st);
    for (int i = 1; i < n->n_in; i++)
        vars[i - 1] = &call->in[i];
    sl_code rc = run_body(g, vars, NULL, g->n_outs, out, args, &c->arena, st);
    for (int k = 0; k < s->n_out && rc == SL_OK; k++)
        lend(c, &out[k], &call->out[k]);
    return rc;
}

/* ---- While ---- */

typedef struct loop {
    const sl_tensor **vars; /* each points at held[i], or at the loop's input */
    sl_tensor *held, *next; /* owned while buffer is set */
    int *changing;          /* outputs of the body that are worth asking for */
    int n_changing;
} loop;

static bool passes_through(const sl_ngraph *body, int i)
{
    int feed = body->feeds[i].node;
    return feed >= 0 && body->outs[i].edge.node == feed;
}

static sl_code loop_init(loop *l, sl_context *c, const sl_gnode *n, const sl_op_call *call,
                         sl_status *st)
{
    size_t count = (size_t)n->n_in;
    l->vars = sl_arena_try_alloc(&c->arena, count * sizeof *l->vars);
    l->held = sl_arena_try_alloc(&c->arena, count * sizeof *l->held);
    l->next = sl_arena_try_alloc(&c->arena, count * sizeof *l->next);
    l->changing = sl_arena_try_alloc(&c->arena, count * sizeof *l->changing);
    l->n_changing = 0;
    if (l->vars == NULL || l->held == NULL || l->next == NULL || l->changing == NULL)
        return no_memory(st);
    memset(l->held, 0, count * sizeof *l->held);
    for (int i = 0; i < n->n_in; i++) {
        l->vars[i] = &call->in[i];
        if (!passes_through(n->subs[1], i))
            l->changing[l->n_changing++] = i;
    }
    return SL_OK;
}

static sl_code goes_on(const sl_gnode *n, loop *l, const sl_run_args *args, sl_arena *scratch,
                       bool *yes, sl_status *st)
{
    sl_tensor t = {0};
    sl_code rc = run_body(n->subs[0], l->vars, NULL, 1, &t, args, scratch, st);
    *yes = rc == SL_OK && is_true(&t);
    sl_tensor_release(&t);
    sl_arena_reset(scratch);
    return rc;
}

static sl_code turn(const sl_gnode *n, loop *l, const sl_run_args *args, sl_arena *scratch,
                    sl_status *st)
{
    sl_code rc =
        run_body(n->subs[1], l->vars, l->changing, l->n_changing, l->next, args, scratch, st);
    for (int k = 0; k < l->n_changing && rc == SL_OK; k++) {
        int i = l->changing[k];
        sl_tensor_release(&l->held[i]);
        l->held[i] = l->next[k];
        l->vars[i] = &l->held[i];
    }
    return rc;
}

static sl_code run_loop(sl_context *c, const sl_plan_step *s, sl_op_call *call,
                        const sl_run_args *args, sl_status *st)
{
    const sl_gnode *n = s->graph_node;
    loop l;
    bool more = false;
    sl_arena scratch;
    sl_code rc = loop_init(&l, c, n, call, st);
    if (rc)
        return rc;
    if (sl_arena_init(&scratch, 0))
        return no_memory(st);
    rc = goes_on(n, &l, args, &scratch, &more, st);
    while (rc == SL_OK && more) {
        rc = turn(n, &l, args, &scratch, st);
        if (rc == SL_OK)
            rc = goes_on(n, &l, args, &scratch, &more, st);
    }
    sl_arena_fini(&scratch);
    for (int i = 0; i < n->n_in; i++)
        if (rc)
            sl_tensor_release(&l.held[i]);
        else
            lend(c, l.vars[i], &call->out[i]);
    return rc;
}

sl_code sl_flow_run(sl_context *c, const sl_plan_step *s, sl_op_call *call, const sl_run_args *args,
                    sl_status *st)
{
    return s->graph_node->kind == SL_G_LOOP ? run_loop(c, s, call, args, st)
                                            : run_branch(c, s, call, args, st);
}
