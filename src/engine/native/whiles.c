/* whiles.c - the while loops of TensorFlow 1 are found by one walk (whiles.h has the picture) */
#include "engine/native/whiles.h"

#include "base/mem.h"

enum { MAIN = 1, MAX_WHILES = 1 << 12 };

typedef struct finder {
    sl_whiles *w;
    const sl_graph *g;
    bool (*fed)(void *arg, int node, int out);
    void *arg;
    int *stack;
    int depth;
    sl_status *st;
} finder;

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
}

bool sl_node_is_flow(const sl_node *n, const char *name)
{
    sl_str op = n->op;
    if (sl_str_starts(op, "Ref"))
        op = (sl_str){op.p + 3, op.n - 3};
    return sl_str_is(op, name);
}

static sl_code wrong(const finder *f, const sl_node *n, const char *what)
{
    return sl_fail(f->st, SL_FAILED_PRECONDITION, "node \"%.*s\" (%.*s) %s", SL_STR_ARG(n->name),
                   SL_STR_ARG(n->op), what);
}

/* The node behind data input i; NULL if there is no such input or node. */
static const sl_node *behind(const sl_graph *g, const sl_node *n, int i, int *out)
{
    sl_input in;
    if (i >= n->n_inputs - n->n_control || !sl_input_parse(n->inputs[i], &in) || in.control)
        return NULL;
    *out = in.index;
    return sl_graph_find_node(g, in.node);
}

static int index_of(const finder *f, const sl_node *n)
{
    return (int)(n - f->g->nodes);
}

/* ---- loops ---- */

static sl_code while_named(finder *f, const sl_node *enter, int parent, int *loop)
{
    sl_whiles *w = f->w;
    sl_str name = sl_node_str(enter, "frame_name", "");
    if (name.n == 0)
        return wrong(f, enter, "does not name its loop");
    *loop = (int)(intptr_t)sl_map_get(&w->names, name) - 1;
    if (*loop >= 0 && w->list[*loop].parent != parent)
        return wrong(f, enter, "enters a loop that stands in two others");
    if (*loop >= 0)
        return SL_OK;
    if (w->count >= MAX_WHILES)
        return sl_fail(f->st, SL_RESOURCE_EXHAUSTED, "the graph has more than %d loops",
                       MAX_WHILES);
    sl_while *list = sl_try_grow(w->list, (size_t)w->count, &w->cap, sizeof *list);
    if (list == NULL)
        return no_memory(f->st);
    w->list = list;
    *loop = w->count;
    list[w->count++] = (sl_while){.name = name, .parent = parent, .cond = -1};
    return sl_map_try_set(&w->names, name, (void *)(intptr_t)w->count) ? SL_OK : no_memory(f->st);
}

/* Input 0 and 1 of a Merge are an Enter and a NextIteration, in whatever order. */
static bool loop_inputs(const sl_graph *g, const sl_node *merge, const sl_node **enter,
                        const sl_node **next)
{
    int out;
    *enter = *next = NULL;
    for (int i = 0; i < merge->n_inputs - merge->n_control; i++) {
        const sl_node *n = behind(g, merge, i, &out);
        if (n != NULL && sl_node_is_flow(n, "Enter"))
            *enter = n;
        if (n != NULL && sl_node_is_flow(n, "NextIteration"))
            *next = n;
    }
    return *enter != NULL && *next != NULL && merge->n_inputs - merge->n_control == 2;
}

/* The Switch and Merge of a loop that an Exit stands behind. */
static bool exit_of(const sl_graph *g, const sl_node *exit, const sl_node **split,
                    const sl_node **merge)
{
    int out = -1, ignored;
    *split = behind(g, exit, 0, &out);
    if (*split == NULL || out != 0 || !sl_node_is_flow(*split, "Switch"))
        return false;
    const sl_node *cond = behind(g, *split, 1, &ignored);
    *merge = behind(g, *split, 0, &ignored);
    return cond != NULL && sl_str_is(cond->op, "LoopCond") && *merge != NULL &&
           sl_node_is_flow(*merge, "Merge");
}

/* ---- the walk ---- */

/* The node belongs to where it is used. */
static sl_code meet(finder *f, const sl_node *n, int where)
{
    int i = index_of(f, n);
    if (f->w->where[i] == 0) {
        f->w->where[i] = where;
        f->stack[f->depth++] = i;
        return SL_OK;
    }
    return f->w->where[i] == where
               ? SL_OK
               : wrong(f, n,
                       "is used in two loops, or in one and outside, without an Enter or Exit");
}

static sl_code meet_name(finder *f, sl_str text, int where)
{
    sl_input in;
    const sl_node *n = sl_input_parse(text, &in) ? sl_graph_find_node(f->g, in.node) : NULL;
    if (n == NULL || (!in.control && f->fed(f->arg, index_of(f, n), in.index)))
        return SL_OK; /* a name that is not there is reported by whoever asks for it */
    return meet(f, n, where);
}

static sl_code meet_inputs(finder *f, const sl_node *n, int from, int where)
{
    sl_code rc = SL_OK;
    for (int i = from; i < n->n_inputs && rc == SL_OK; i++)
        rc = meet_name(f, n->inputs[i], where);
    return rc;
}

static sl_code do_exit(finder *f, const sl_node *n, int where)
{
    const sl_node *split, *merge, *enter, *next;
    int loop = -1;
    if (!exit_of(f->g, n, &split, &merge) || !loop_inputs(f->g, merge, &enter, &next))
        return wrong(f, n,
                     "does not come from a Switch that a LoopCond opens, behind a Merge of an "
                     "Enter and a NextIteration");
    sl_code rc = while_named(f, enter, where - 2, &loop);
    if (rc == SL_OK)
        rc = meet(f, split, loop + 2);
    return rc ? rc : meet_inputs(f, n, n->n_inputs - n->n_control, where);
}

static sl_code do_enter(finder *f, const sl_node *n, int where)
{
    sl_while *l = &f->w->list[where - 2];
    if (!sl_str_eq(sl_node_str(n, "frame_name", ""), l->name))
        return wrong(f, n, "is used in another loop than the one that it enters");
    if (n->n_inputs - n->n_control != 1)
        return wrong(f, n, "does not have one input");
    if (sl_node_bool(n, "is_constant", false)) {
        int *list =
            sl_try_grow(l->invariants, (size_t)l->n_invariants, &l->cap_invariants, sizeof *list);
        if (list == NULL)
            return no_memory(f->st);
        l->invariants = list;
        list[l->n_invariants++] = index_of(f, n);
    }
    return meet_inputs(f, n, 0, l->parent + 2);
}

static sl_code do_merge(finder *f, const sl_node *n, int where)
{
    const sl_node *enter, *next;
    if (loop_inputs(f->g, n, &enter, &next)) {
        if (where == MAIN)
            return wrong(f, n, "is used outside of its loop without an Exit");
        if (sl_node_bool(enter, "is_constant", false) || next->n_inputs - next->n_control != 1)
            return wrong(f, n, "joins what is no variable of a loop");
        sl_while *l = &f->w->list[where - 2];
        sl_while_var *vars = sl_try_grow(l->vars, (size_t)l->n_vars, &l->cap_vars, sizeof *vars);
        if (vars == NULL)
            return no_memory(f->st);
        l->vars = vars;
        vars[l->n_vars++] =
            (sl_while_var){index_of(f, enter), index_of(f, n), index_of(f, next), -1};
        f->w->var_of[index_of(f, n)] = l->n_vars;
    } else if (enter != NULL || next != NULL) {
        return wrong(f, n, "is not of one Enter and one NextIteration");
    }
    return meet_inputs(f, n, 0, where);
}

static sl_code do_switch(finder *f, const sl_node *n, int where)
{
    const sl_node *enter, *next;
    int out;
    const sl_node *cond = behind(f->g, n, 1, &out), *merge = behind(f->g, n, 0, &out);
    if (cond != NULL && sl_str_is(cond->op, "LoopCond")) {
        if (where == MAIN)
            return wrong(f, n, "is used outside of its loop without an Exit");
        if (merge == NULL || !sl_node_is_flow(merge, "Merge") ||
            !loop_inputs(f->g, merge, &enter, &next))
            return wrong(f, n, "does not follow a Merge of the loop whose LoopCond it has");
        int *split = &f->w->split[index_of(f, merge)];
        if (*split != 0)
            return wrong(f, n, "is the second Switch of a variable of a loop");
        *split = index_of(f, n) + 1;
    }
    return meet_inputs(f, n, 0, where);
}

static sl_code do_cond(finder *f, const sl_node *n, int where)
{
    if (where == MAIN)
        return wrong(f, n, "is used outside of its loop without an Exit");
    sl_while *l = &f->w->list[where - 2];
    if (n->n_inputs - n->n_control != 1)
        return wrong(f, n, "does not have one input");
    if (l->cond >= 0)
        return wrong(f, n, "is the second LoopCond of its loop");
    l->cond = index_of(f, n);
    return meet_inputs(f, n, 0, where);
}

static sl_code do_node(finder *f, const sl_node *n, int where)
{
    if (sl_node_is_flow(n, "Exit"))
        return do_exit(f, n, where);
    if (where == MAIN && (sl_node_is_flow(n, "Enter") || sl_node_is_flow(n, "NextIteration")))
        return wrong(f, n, "is used outside of its loop without an Exit");
    if (sl_node_is_flow(n, "Enter"))
        return do_enter(f, n, where);
    if (sl_node_is_flow(n, "Merge"))
        return do_merge(f, n, where);
    if (sl_node_is_flow(n, "Switch"))
        return do_switch(f, n, where);
    if (sl_str_is(n->op, "LoopCond"))
        return do_cond(f, n, where);
    return meet_inputs(f, n, 0, where);
}

/* Every loop has a LoopCond, and every variable knows its Switch. */
static sl_code complete(finder *f)
{
    for (int k = 0; k < f->w->count; k++) {
        sl_while *l = &f->w->list[k];
        if (l->cond < 0 || l->n_vars == 0)
            return sl_fail(f->st, SL_FAILED_PRECONDITION, "loop \"%.*s\" has no %s",
                           SL_STR_ARG(l->name), l->cond < 0 ? "LoopCond" : "variable");
        for (int i = 0; i < l->n_vars; i++)
            l->vars[i].split = f->w->split[l->vars[i].merge] - 1;
    }
    return SL_OK;
}

static sl_code walk(finder *f, const sl_str *roots, int n_roots)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < n_roots && rc == SL_OK; i++)
        rc = meet_name(f, roots[i], MAIN);
    while (f->depth > 0 && rc == SL_OK) {
        int i = f->stack[--f->depth];
        rc = do_node(f, &f->g->nodes[i], f->w->where[i]);
    }
    return rc ? rc : complete(f);
}

static bool has_loops(const sl_graph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        const sl_node *n = &g->nodes[i];
        if (sl_node_is_flow(n, "Enter") || sl_node_is_flow(n, "Exit") ||
            sl_node_is_flow(n, "NextIteration") || sl_str_is(n->op, "LoopCond"))
            return true;
    }
    return false;
}

sl_code sl_whiles_find(const sl_graph *g, const sl_str *roots, int n_roots,
                       bool (*fed)(void *arg, int node, int out), void *arg, sl_whiles **out,
                       sl_status *st)
{
    size_t n = (size_t)g->n_nodes;
    *out = NULL;
    if (!has_loops(g))
        return SL_OK;
    sl_whiles *w = sl_try_calloc(1, sizeof *w);
    if (w == NULL)
        return no_memory(st);
    w->graph = g;
    w->where = sl_try_calloc(n, sizeof *w->where);
    w->var_of = sl_try_calloc(n, sizeof *w->var_of);
    w->split = sl_try_calloc(n, sizeof *w->split);
    /* Each node is on the stack once: when it is met first. */
    finder f = {.w = w,
                .g = g,
                .fed = fed,
                .arg = arg,
                .stack = sl_try_calloc(n, sizeof *f.stack),
                .st = st};
    sl_code rc =
        w->where && w->var_of && w->split && f.stack ? walk(&f, roots, n_roots) : no_memory(st);
    sl_free(f.stack);
    if (rc) {
        sl_whiles_free(w);
        return rc;
    }
    *out = w;
    return SL_OK;
}

void sl_whiles_free(sl_whiles *w)
{
    if (w == NULL)
        return;
    for (int i = 0; i < w->count; i++) {
        sl_free(w->list[i].vars);
        sl_free(w->list[i].invariants);
    }
    sl_free(w->list);
    sl_free(w->where);
    sl_free(w->var_of);
    sl_free(w->split);
    sl_map_fini(&w->names);
    sl_free(w);
}

bool sl_whiles_exit(const sl_whiles *w, int node, int *loop, int *var)
{
    const sl_node *split, *merge;
    if (!sl_node_is_flow(&w->graph->nodes[node], "Exit") ||
        !exit_of(w->graph, &w->graph->nodes[node], &split, &merge))
        return false;
    int at = (int)(merge - w->graph->nodes);
    *loop = w->where[at] - 2;
    *var = w->var_of[at] - 1;
    return *loop >= 0 && *var >= 0;
}
