/*
 * branches.c - which side of a TF1 conditional is alive
 *
 * A node is dead when anything that it waits for is; a Merge, when all of its inputs are. The walk
 * goes backwards from a Merge, with a stack of its own, and remembers each node's state. A while loop
 * is as alive as what enters it, so the walk does not go around it. What leads back to itself
 * otherwise is not known.
 */
#include "engine/native/branches.h"

#include "base/mem.h"

enum { MAX_HOPS = 256 };

typedef enum state { NEW, OPEN, ALIVE, DEAD, UNKNOWN } state;

static bool is(const sl_node *n, const char *op)
{
    return sl_str_is(n->op, op);
}

/* The node behind an input, -1 if there is none. */
static int node_of(const sl_branches *b, sl_str text, sl_input *in)
{
    const sl_node *n = sl_input_parse(text, in) ? sl_graph_find_node(b->graph, in->node) : NULL;
    return n ? (int)(n - b->graph->nodes) : -1;
}

/* 0 or 1; -1: it comes with the request, or is computed. */
static int known_predicate(const sl_branches *b, sl_str text)
{
    for (int hops = 0; hops < MAX_HOPS; hops++) {
        sl_input in;
        int node = node_of(b, text, &in);
        const sl_node *n = node < 0 ? NULL : &b->graph->nodes[node];
        bool enters = n != NULL && is(n, "Enter") && sl_node_bool(n, "is_constant", false);
        if (n == NULL || in.control || (!enters && b->fed(b->arg, node, in.index)))
            return -1;
        if (is(n, "Const")) {
            sl_tensor t = {0};
            sl_status why;
            int value = -1;
            if (sl_node_tensor(n, "value", &t, &why) == SL_OK && t.dtype == SL_DT_BOOL &&
                t.size == 1)
                value = *(const char *)t.data != 0;
            sl_tensor_release(&t);
            return value;
        }
        bool passes = enters || is(n, "Identity") || is(n, "PlaceholderWithDefault");
        if (!passes || n->n_inputs <= n->n_control)
            return -1;
        text = n->inputs[0];
    }
    return -1;
}

static int taken(const sl_branches *b, const sl_node *n)
{
    return n->n_inputs - n->n_control == 2 ? known_predicate(b, n->inputs[1]) : -1;
}

/* A Switch of a loop: what is alive comes in, turns, and leaves. */
static bool turns(const sl_branches *b, const sl_node *n)
{
    sl_input in;
    int cond = n->n_inputs - n->n_control == 2 ? node_of(b, n->inputs[1], &in) : -1;
    return cond >= 0 && is(&b->graph->nodes[cond], "LoopCond");
}

/* Of a node that has been looked at, or is fed. */
static state state_of_input(const sl_branches *b, sl_str text)
{
    sl_input in;
    int node = node_of(b, text, &in);
    if (node < 0)
        return UNKNOWN;
    if (!in.control && b->fed(b->arg, node, in.index))
        return ALIVE;
    const sl_node *n = &b->graph->nodes[node];
    state own = (state)b->states[node];
    if (own == NEW || own == OPEN)
        return UNKNOWN;
    if (own == DEAD || in.control || !is(n, "Switch") || turns(b, n))
        return own;
    int side = taken(b, n);
    return side < 0 ? UNKNOWN : side == in.index ? own : DEAD;
}

static state state_of(const sl_branches *b, const sl_node *n)
{
    bool merge = is(n, "Merge");
    state all = merge ? DEAD : ALIVE;
    for (int i = 0; i < n->n_inputs; i++) {
        sl_input in;
        int node = node_of(b, n->inputs[i], &in);
        if (node >= 0 && is(&b->graph->nodes[node], "NextIteration"))
            continue; /* a loop is as alive as what enters it */
        state s = state_of_input(b, n->inputs[i]);
        if (s == (merge ? ALIVE : DEAD))
            return s;
        if (s == UNKNOWN)
            all = UNKNOWN;
    }
    return all;
}

static bool prepare(sl_branches *b)
{
    size_t n = (size_t)b->graph->n_nodes;
    if (b->states != NULL)
        return true;
    b->states = sl_try_calloc(n, 1);
    b->stack = sl_try_calloc(n, sizeof *b->stack);
    b->next = sl_try_calloc(n, sizeof *b->next);
    if (b->states != NULL && b->stack != NULL && b->next != NULL)
        return true;
    sl_branches_fini(b);
    return false;
}

/* Each node is on the stack once: when it is met first. */
static void look(sl_branches *b, int root)
{
    int depth = 0;
    if (b->states[root] != NEW)
        return;
    b->states[root] = OPEN;
    b->stack[depth] = root;
    b->next[depth++] = 0;
    while (depth > 0) {
        const sl_node *n = &b->graph->nodes[b->stack[depth - 1]];
        if (b->next[depth - 1] == n->n_inputs) {
            b->states[b->stack[--depth]] = (char)state_of(b, n);
            continue;
        }
        sl_input in;
        int node = node_of(b, n->inputs[b->next[depth - 1]++], &in);
        bool fed = node >= 0 && !in.control && b->fed(b->arg, node, in.index);
        if (node < 0 || fed || b->states[node] != NEW ||
            is(&b->graph->nodes[node], "NextIteration"))
            continue;
        b->states[node] = OPEN;
        b->stack[depth] = node;
        b->next[depth++] = 0;
    }
}

sl_code sl_branches_pass(sl_branches *b, int node, int out, int *input, sl_status *st)
{
    const sl_node *n = &b->graph->nodes[node];
    *input = -1;
    if (is(n, "Switch")) {
        *input = taken(b, n) == out ? 0 : -1;
        return SL_OK;
    }
    if (!is(n, "Merge") || out != 0)
        return SL_OK;
    if (!prepare(b))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
    look(b, node);
    for (int i = 0; i < n->n_inputs - n->n_control && *input < 0; i++)
        if (state_of_input(b, n->inputs[i]) == ALIVE)
            *input = i;
    return SL_OK;
}

void sl_branches_fini(sl_branches *b)
{
    sl_free(b->states);
    sl_free(b->stack);
    sl_free(b->next);
    b->states = NULL;
    b->stack = b->next = NULL;
}
