/* conds.c - the Switches that a Merge belongs to (conds.h has the idea) */
#include "engine/native/conds.h"

#include "base/mem.h"
#include "engine/native/whiles.h"

enum { MAX_HOPS = 256 };

typedef struct seeker {
    const sl_graph *g;
    bool (*fed)(void *arg, int node, int out);
    void *arg;
    size_t *budget;
    sl_cond *c;
    int *level;   /* of each node: conditionals inside a side that are open + 1; 0: not met */
    int *met;     /* the nodes that have a level, in order; from `next` on not looked at yet */
    char *listed; /* Switches that are in c->splits */
    int n_met, next;
    unsigned sides; /* bit 0: an output 0 of a Switch was met, bit 1: an output 1 */
    bool broken;    /* it is not a conditional */
    sl_status *st;
} seeker;

static const sl_node *node_behind(const sl_graph *g, sl_str text, sl_input *in)
{
    return sl_input_parse(text, in) ? sl_graph_find_node(g, in->node) : NULL;
}

/* The predicate is the one of all others: by whatever names, it is the same tensor. */
static bool same_tensor(const sl_graph *g, sl_str a, sl_str b)
{
    sl_str text[2] = {a, b};
    sl_input in[2];
    for (int k = 0; k < 2; k++)
        for (int hops = 0; hops < MAX_HOPS; hops++) {
            const sl_node *n = node_behind(g, text[k], &in[k]);
            if (n == NULL || !sl_str_is(n->op, "Identity") || n->n_inputs <= n->n_control)
                break;
            text[k] = n->inputs[0];
        }
    return sl_str_eq(in[0].node, in[1].node) && in[0].index == in[1].index;
}

static bool is_of_loop(const sl_graph *g, const sl_node *n)
{
    sl_input in;
    for (int i = 0; i < n->n_inputs - n->n_control; i++) {
        const sl_node *from = node_behind(g, n->inputs[i], &in);
        if (from != NULL &&
            (sl_str_is(from->op, "LoopCond") || sl_node_is_flow(from, "NextIteration")))
            return true;
    }
    return false;
}

static sl_code too_large(const seeker *k)
{
    return sl_fail(k->st, SL_RESOURCE_EXHAUSTED, "the graph is too large: its conditionals");
}

static void meet(seeker *k, const sl_node *n, int level)
{
    int i = (int)(n - k->g->nodes);
    if (k->level[i] == 0) {
        k->level[i] = level + 1;
        k->met[k->n_met++] = i;
    } else if (k->level[i] != level + 1) {
        k->broken = true;
    }
}

/* A Switch that closes the side of this very Merge. */
static sl_code list_split(seeker *k, const sl_node *n, int out)
{
    int i = (int)(n - k->g->nodes);
    sl_cond *c = k->c;
    if (n->n_inputs - n->n_control != 2 || out > 1) {
        k->broken = true;
        return SL_OK;
    }
    k->sides |= 1u << out;
    if (k->listed[i])
        return SL_OK;
    if (c->n_splits == 0)
        c->pred = n->inputs[1];
    else if (!same_tensor(k->g, c->pred, n->inputs[1]))
        k->broken = true;
    int *splits = sl_try_grow(c->splits, (size_t)c->n_splits, &c->cap_splits, sizeof *splits);
    if (splits == NULL)
        return too_large(k);
    c->splits = splits;
    splits[c->n_splits++] = i;
    k->listed[i] = 1;
    return SL_OK;
}

static sl_code meet_name(seeker *k, sl_str text, int level)
{
    sl_input in;
    const sl_node *n = node_behind(k->g, text, &in);
    if (n == NULL || (!in.control && k->fed(k->arg, (int)(n - k->g->nodes), in.index)))
        return SL_OK;
    bool split = sl_node_is_flow(n, "Switch") && !is_of_loop(k->g, n);
    if (split && level == 0 && in.control)
        k->broken = true; /* no side of it is meant */
    if (split && level == 0)
        return list_split(k, n, in.index);
    meet(k, n, level);
    return SL_OK;
}

static sl_code look(seeker *k, const sl_node *n, int level)
{
    bool loops = is_of_loop(k->g, n);
    int inner = level;
    sl_code rc = SL_OK;
    if (sl_node_is_flow(n, "Merge") && !loops)
        inner++;
    if (sl_node_is_flow(n, "Switch") && !loops)
        inner--;
    for (int i = 0; i < n->n_inputs && rc == SL_OK && !k->broken; i++)
        rc = meet_name(k, n->inputs[i], inner);
    return rc;
}

/* All Switches behind one input of the Merge. */
static sl_code walk(seeker *k, sl_str input)
{
    k->sides = 0;
    k->n_met = k->next = 0;
    sl_code rc = meet_name(k, input, 0);
    while (k->next < k->n_met && rc == SL_OK && !k->broken) {
        int i = k->met[k->next++];
        if (*k->budget == 0)
            return too_large(k);
        --*k->budget;
        rc = look(k, &k->g->nodes[i], k->level[i] - 1);
    }
    for (int i = 0; i < k->n_met; i++)
        k->level[k->met[i]] = 0;
    return rc;
}

/* Which input of the Merge is which side: one may be a constant that says nothing. */
static bool settle_sides(sl_cond *c, const unsigned sides[2])
{
    unsigned first = sides[0] ? sides[0] : sides[1] ^ 3;
    unsigned second = sides[1] ? sides[1] : sides[0] ^ 3;
    if (!((first == 1 && second == 2) || (first == 2 && second == 1)))
        return false;
    c->input[0] = first == 1 ? 0 : 1;
    c->input[1] = 1 - c->input[0];
    return true;
}

sl_code sl_cond_find(const sl_graph *g, int merge, bool (*fed)(void *arg, int node, int out),
                     void *arg, size_t *budget, sl_cond *out, sl_status *st)
{
    const sl_node *n = &g->nodes[merge];
    size_t count = (size_t)g->n_nodes;
    unsigned sides[2] = {0};
    *out = (sl_cond){.merge = merge};
    if (!sl_node_is_flow(n, "Merge") || n->n_inputs - n->n_control != 2 || is_of_loop(g, n))
        return SL_OK;
    seeker k = {.g = g,
                .fed = fed,
                .arg = arg,
                .budget = budget,
                .c = out,
                .level = sl_try_calloc(count, sizeof *k.level),
                .met = sl_try_calloc(count, sizeof *k.met),
                .listed = sl_try_calloc(count, 1),
                .st = st};
    sl_code rc = k.level && k.met && k.listed ? SL_OK : too_large(&k);
    for (int i = 0; i < 2 && rc == SL_OK && !k.broken; i++) {
        rc = walk(&k, n->inputs[i]);
        sides[i] = k.sides;
    }
    sl_free(k.level);
    sl_free(k.met);
    sl_free(k.listed);
    if (rc || k.broken || !settle_sides(out, sides))
        sl_cond_fini(out);
    return rc;
}

void sl_cond_fini(sl_cond *c)
{
    sl_free(c->splits);
    c->splits = NULL;
    c->n_splits = 0;
    c->cap_splits = 0;
}
