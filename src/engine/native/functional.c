/*
 * functional.c - loops and conditionals of TensorFlow 1 as nodes with sub-graphs
 *
 * The walk (build.c) asks here about each output of a node of the main graph. An Exit is an output
 * of the one LOOP that stands for its loop, a Merge is a BRANCH. Such a node is made when it is
 * met first and leaves a job, as any node does; the job finds what goes in and builds the parts:
 *
 *                  fed                                      fetched
 *     condition    Merges, constant Enters                  what LoopCond takes
 *     body         the same, and the Switches' output 1     what the NextIterations take
 *     side         the Switches' output of that side        that side's input of the Merge
 *
 * A part is a builder of its own over the same main graph. It knows whose part it is (`parent`), so
 * what is fed further out is not taken for a node that can be computed inside.
 *
 * Invariant: frames.list[0].ids of a LoopCond, or of a Merge that ends a conditional, is the number
 * of its LOOP or BRANCH + 1, so each is made once.
 */
#include "engine/native/functional.h"

#include "base/mem.h"
#include "engine/native/build.h"

static const sl_node *main_node(const sl_builder *b, int node)
{
    return &b->frames.list[0].nodes[node];
}

static void begin(sl_builder *b)
{
    b->functional.branches =
        (sl_branches){.graph = b->frames.graph, .fed = sl_build_is_fed, .arg = b};
}

/* ---- the parts: what is fed and what is fetched ---- */

/* Of the main graph. `start` finds the loop or conditional in `functional`. */
static sl_builder part_of(const sl_builder *b, int n_feeds, int n_outs,
                          sl_code (*start)(sl_builder *b))
{
    static const sl_ngraph_want nothing = {.fetches = NULL};
    return (sl_builder){.want = &nothing,
                        .n_feeds = n_feeds,
                        .n_outs = n_outs,
                        .start = start,
                        .parent = b,
                        .functional = {.whiles = b->functional.whiles}};
}

/* What a turn begins with. */
static void feed_turn(sl_builder *b, const sl_while *l)
{
    for (int i = 0; i < l->n_vars; i++)
        sl_build_mark(b, i, l->vars[i].merge, 0);
    for (int i = 0; i < l->n_invariants; i++)
        sl_build_mark(b, l->n_vars + i, l->invariants[i], 0);
}

static sl_code start_condition(sl_builder *b)
{
    const sl_while *l = b->functional.loop;
    const sl_node *cond = main_node(b, l->cond);
    begin(b);
    feed_turn(b, l);
    sl_code rc = sl_build_follow_controls(b, 0, cond, &b->g->effects);
    return rc ? rc : sl_build_fetch(b, 0, cond->inputs[0]);
}

/* What a variable becomes in a turn. */
static sl_code fetch_next(sl_builder *b, int i, const sl_while_var *v)
{
    const sl_node *next = main_node(b, v->next);
    sl_code rc = sl_build_fetch(b, i, next->inputs[0]);
    if (rc == SL_OK)
        rc = sl_build_follow_controls(b, 0, next, &b->g->effects);
    if (rc == SL_OK && v->split >= 0)
        rc = sl_build_follow_controls(b, 0, main_node(b, v->split), &b->g->effects);
    return rc;
}

static sl_code start_body(sl_builder *b)
{
    const sl_while *l = b->functional.loop;
    sl_code rc = SL_OK;
    begin(b);
    feed_turn(b, l);
    for (int i = 0; i < l->n_vars; i++)
        if (l->vars[i].split >= 0)
            sl_build_mark(b, b->n_feeds + i, l->vars[i].split, 1);
    for (int i = 0; i < l->n_vars && rc == SL_OK; i++)
        rc = fetch_next(b, i, &l->vars[i]);
    for (int i = 0; i < l->n_invariants && rc == SL_OK; i++)
        rc = sl_build_fetch(b, l->n_vars + i, main_node(b, l->invariants[i])->name);
    return rc;
}

static sl_code start_side(sl_builder *b)
{
    const sl_cond *c = b->functional.cond;
    int side = b->functional.side;
    begin(b);
    for (int i = 0; i < c->n_splits; i++)
        sl_build_mark(b, i, c->splits[i], side);
    return sl_build_fetch(b, 0, main_node(b, c->merge)->inputs[c->input[side]]);
}

/* ---- the nodes ---- */

static int n_inputs(const sl_while *l)
{
    return l->n_vars + l->n_invariants;
}

/* What its Enters take goes in. */
static sl_code do_while(sl_builder *b, const sl_build_job *j)
{
    const sl_while *l = &b->functional.whiles->list[j->node];
    int controls = -1, n = n_inputs(l);
    sl_code rc = SL_OK;
    for (int i = 0; i < n && rc == SL_OK; i++) {
        const sl_node *enter =
            main_node(b, i < l->n_vars ? l->vars[i].enter : l->invariants[i - l->n_vars]);
        rc = sl_build_input(b, j->id, i, enter->inputs[0], enter, &controls);
    }
    b->g->nodes[j->id].controls = controls;
    if (rc == SL_OK)
        rc = sl_build_add_subs(b, j->id, 2);
    for (int k = 0; k < 2 && rc == SL_OK; k++) {
        sl_builder sub = k == 0 ? part_of(b, n, 1, start_condition) : part_of(b, n, n, start_body);
        sub.functional.loop = l;
        rc = sl_build_sub(b, j->id, k, &sub);
    }
    return rc;
}

/* The predicate and what its Switches take go in. */
static sl_code do_cond(sl_builder *b, const sl_build_job *j)
{
    const sl_cond c = b->functional.conds[j->node]; /* the list may grow on the way */
    int controls = -1;
    sl_code rc = sl_build_follow_controls(b, 0, main_node(b, c.merge), &controls);
    if (rc == SL_OK)
        rc = sl_build_input(b, j->id, 0, c.pred, NULL, &controls);
    for (int i = 0; i < c.n_splits && rc == SL_OK; i++) {
        const sl_node *split = main_node(b, c.splits[i]);
        rc = sl_build_input(b, j->id, 1 + i, split->inputs[0], split, &controls);
    }
    b->g->nodes[j->id].controls = controls;
    if (rc == SL_OK)
        rc = sl_build_add_subs(b, j->id, 2);
    for (int k = 0; k < 2 && rc == SL_OK; k++) {
        sl_builder sub = part_of(b, c.n_splits, 1, start_side);
        sub.functional.cond = &c;
        sub.functional.side = k;
        rc = sl_build_sub(b, j->id, k, &sub);
    }
    return rc;
}

/* The loop behind an Exit, as one node; *id -1: the node is no such Exit. */
static sl_code while_id(sl_builder *b, int node, int *id, int *var)
{
    int loop;
    *id = -1;
    if (b->functional.whiles == NULL || !sl_whiles_exit(b->functional.whiles, node, &loop, var))
        return SL_OK;
    const sl_while *l = &b->functional.whiles->list[loop];
    int *known = &b->frames.list[0].ids[l->cond];
    if (*known > 0) {
        *id = *known - 1;
        return SL_OK;
    }
    sl_code rc = sl_build_add(b, SL_G_LOOP, l->name, n_inputs(l),
                              (sl_build_job){.run = do_while, .node = loop}, id);
    *known = *id + 1;
    return rc;
}

/* Two Merges that have a Switch in common may compute the same thing twice. */
static sl_code share_splits(sl_builder *b, const sl_cond *c, int id)
{
    int **opens = &b->functional.opens;
    if (*opens == NULL)
        *opens = sl_try_calloc((size_t)b->frames.graph->n_nodes, sizeof **opens);
    if (*opens == NULL)
        return sl_build_too_large(b);
    for (int i = 0; i < c->n_splits; i++) {
        int *first = &(*opens)[c->splits[i]];
        if (*first == 0)
            *first = id + 1;
        else
            b->g->nodes[*first - 1].again = b->g->nodes[id].again = true;
    }
    return SL_OK;
}

/* The conditional that a Merge ends, as one node; *id -1: it is none. */
static sl_code cond_id(sl_builder *b, int node, int *id)
{
    sl_functional *f = &b->functional;
    int *known = &b->frames.list[0].ids[node];
    *id = *known - 1;
    if (*known > 0)
        return SL_OK;
    sl_cond *conds = sl_try_grow(f->conds, f->n_conds, &f->cap_conds, sizeof *conds);
    if (conds == NULL)
        return sl_build_too_large(b);
    f->conds = conds;
    sl_cond *c = &conds[f->n_conds];
    sl_code rc =
        sl_cond_find(b->frames.graph, node, sl_build_is_fed, b, &b->total->budget, c, b->st);
    if (rc || c->n_splits == 0)
        return rc;
    f->n_conds++;
    rc = sl_build_add(b, SL_G_BRANCH, main_node(b, node)->name, 1 + c->n_splits,
                      (sl_build_job){.run = do_cond, .node = (int)f->n_conds - 1}, id);
    *known = *id + 1;
    return rc ? rc : share_splits(b, c, *id);
}

/* ---- what the walk asks for ---- */

sl_code sl_functional_find(sl_builder *b)
{
    const sl_ngraph_want *w = b->want;
    begin(b);
    sl_str *roots = sl_try_calloc((size_t)w->n_fetches + 1, sizeof *roots);
    if (roots == NULL)
        return sl_build_too_large(b);
    for (int i = 0; i < w->n_fetches; i++)
        roots[i] = w->fetches[i];
    roots[w->n_fetches] = w->target;
    sl_code rc = sl_whiles_find(b->frames.graph, roots, w->n_fetches + (w->target.n > 0),
                                sl_build_is_fed, b, &b->functional.whiles, b->st);
    sl_free(roots);
    return rc;
}

/* Through a Switch or Merge of which it is known what it passes on. */
static sl_code pass_known(sl_builder *b, int node, int out, sl_str *ref)
{
    int input;
    sl_code rc = sl_branches_pass(&b->functional.branches, node, out, &input, b->st);
    *ref = rc == SL_OK && input >= 0 ? main_node(b, node)->inputs[input] : (sl_str){NULL, 0};
    return rc;
}

sl_code sl_functional_pass(sl_builder *b, int node, int out, sl_edge *edge, sl_str *ref,
                           int *controls)
{
    const sl_node *n = main_node(b, node);
    edge->node = -1;
    sl_code rc = pass_known(b, node, out, ref);
    if (rc || ref->n > 0)
        return rc;
    if (b->parent != NULL && sl_build_is_fed((void *)b->parent, node, out))
        return sl_fail(
            b->st, SL_FAILED_PRECONDITION,
            "node \"%.*s\" is used in a loop or conditional without an Enter or a Switch",
            SL_STR_ARG(n->name));
    if (b->functional.whiles != NULL && sl_str_is(n->op, "LoopCond") &&
        n->n_inputs > n->n_control) {
        *ref = n->inputs[0];
        return SL_OK;
    }
    rc = while_id(b, node, &edge->node, &edge->out);
    if (rc == SL_OK && edge->node >= 0)
        return sl_build_follow_controls(b, 0, n, controls);
    if (rc == SL_OK && out == 0 && sl_node_is_flow(n, "Merge")) {
        rc = cond_id(b, node, &edge->node);
        edge->out = 0;
    }
    return rc;
}

sl_code sl_functional_id(sl_builder *b, int node, int *id)
{
    int var;
    sl_code rc = while_id(b, node, id, &var);
    if (rc == SL_OK && *id < 0 && sl_node_is_flow(main_node(b, node), "Merge"))
        rc = cond_id(b, node, id);
    return rc;
}

void sl_functional_fini(sl_builder *b)
{
    sl_functional *f = &b->functional;
    sl_branches_fini(&f->branches);
    if (b->parent == NULL)
        sl_whiles_free(f->whiles);
    for (size_t i = 0; i < f->n_conds; i++)
        sl_cond_fini(&f->conds[i]);
    sl_free(f->conds);
    sl_free(f->opens);
}
