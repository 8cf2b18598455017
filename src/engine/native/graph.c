/*
 * graph.c - the nodes of an sl_ngraph: making, freeing, ordering, checking
 *
 * build.c decides what belongs to the graph; what is here treats it as finished: a topological
 * order (iterative, with a stack of its own), then one walk in that order in which every node
 * learns the dtypes of its inputs, finds its op and lets it check itself.
 */
#include "engine/native/graph.h"

#include "base/mem.h"

enum { ARENA_STEP = 16 << 10 };

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
}

/* ---- what an op is to the engine itself ---- */

static bool one_of(sl_str op, const char *const *names)
{
    for (; *names != NULL; names++)
        if (sl_str_is(op, *names))
            return true;
    return false;
}

bool sl_op_takes_ref(sl_str op)
{
    static const char *const names[] = {"Assign",        "AssignAdd",  "AssignSub",  "ScatterAdd",
                                        "ScatterUpdate", "ScatterSub", "ScatterMul", "ScatterDiv",
                                        "ScatterMin",    "ScatterMax", NULL};
    return one_of(op, names);
}

bool sl_op_makes_handle(sl_str op, sl_resource_kind *kind)
{
    static const char *const variables[] = {"VarHandleOp", "VariableV2", "Variable", NULL};
    static const char *const tables[] = {"HashTableV2", "HashTable", "MutableHashTableV2", NULL};
    *kind = one_of(op, tables) ? SL_RES_TABLE : SL_RES_VARIABLE;
    return *kind == SL_RES_TABLE || one_of(op, variables);
}

bool sl_op_writes(sl_str op)
{
    /* ScatterNd and ScatterNdNonAliasingAdd make a new tensor. */
    static const char *const scatters[] = {"ScatterAdd",
                                           "ScatterSub",
                                           "ScatterMul",
                                           "ScatterDiv",
                                           "ScatterMin",
                                           "ScatterMax",
                                           "ScatterUpdate",
                                           "ScatterNdAdd",
                                           "ScatterNdSub",
                                           "ScatterNdMin",
                                           "ScatterNdMax",
                                           "ScatterNdUpdate",
                                           NULL};
    return sl_str_starts(op, "Assign") || one_of(op, scatters) ||
           sl_str_starts(op, "ResourceScatter") || sl_str_starts(op, "ResourceApply") ||
           sl_str_starts(op, "ResourceStridedSliceAssign") ||
           sl_str_starts(op, "DestroyResource") || sl_str_starts(op, "InitializeTable") ||
           sl_str_starts(op, "LookupTableI") || sl_str_starts(op, "LookupTableRemove") ||
           sl_str_starts(op, "StatefulStandardNormal") || sl_str_starts(op, "StatefulUniform") ||
           sl_str_starts(op, "RngSkip") || sl_str_starts(op, "RngReadAndSkip");
}

static bool draws(sl_str op)
{
    return sl_str_starts(op, "Random") || sl_str_starts(op, "TruncatedNormal") ||
           sl_str_starts(op, "ParameterizedTruncatedNormal") || sl_str_is(op, "Multinomial");
}

/* Ops that never look at the values of their inputs. */
static bool is_of_shapes(sl_str op)
{
    static const char *const names[] = {"Shape",     "ShapeN",   "Size", "Rank",
                                        "ZerosLike", "OnesLike", NULL};
    return one_of(op, names);
}

/* ---- nodes ---- */

bool sl_ngraph_add_control(sl_ngraph *g, int *list, int node)
{
    if (g->n_controls >= SL_NGRAPH_MAX_EDGES)
        return false;
    sl_gcontrol *all =
        sl_try_grow(g->controls, (size_t)g->n_controls, &g->cap_controls, sizeof *all);
    if (all == NULL)
        return false;
    g->controls = all;
    all[g->n_controls] = (sl_gcontrol){node, *list};
    *list = g->n_controls++;
    return true;
}

int sl_ngraph_add(sl_ngraph *g, sl_gkind kind, const char *name, const sl_node *source, int n_in)
{
    if (g->n_nodes >= SL_NGRAPH_MAX_NODES)
        return -1;
    sl_gnode *nodes = sl_try_grow(g->nodes, (size_t)g->n_nodes, &g->cap_nodes, sizeof *nodes);
    if (nodes == NULL)
        return -1;
    g->nodes = nodes;
    sl_gnode *n = &nodes[g->n_nodes];
    *n = (sl_gnode){
        .kind = kind, .name = name, .source = source, .n_in = n_in, .controls = -1, .feed = -1};
    n->in = sl_arena_try_alloc(&g->arena, (size_t)n_in * sizeof *n->in);
    if (n->in == NULL)
        return -1;
    for (int i = 0; i < n_in; i++)
        n->in[i] = (sl_edge){-1, 0};
    return g->n_nodes++;
}

/* Sub-graphs nest only as deep as build.c allows, so this recursion is bounded. */
void sl_ngraph_free(sl_ngraph *g)
{
    if (g == NULL)
        return;
    for (int i = 0; i < g->n_nodes; i++) {
        sl_tensor_release(&g->nodes[i].constant);
        for (int k = 0; k < g->nodes[i].n_subs; k++)
            sl_ngraph_free(g->nodes[i].subs[k]);
    }
    sl_free(g->nodes);
    sl_free(g->controls);
    sl_free(g->order);
    sl_arena_fini(&g->arena);
    sl_free(g);
}

int sl_ngraph_handle_of(const sl_ngraph *g, sl_edge e)
{
    for (int hops = 0; hops <= g->n_nodes; hops++) {
        const sl_gnode *n = &g->nodes[e.node];
        if (n->kind == SL_G_HANDLE)
            return e.node;
        bool passes =
            n->kind == SL_G_OP && e.out < n->n_in &&
            (sl_str_is(n->source->op, "Identity") || sl_str_is(n->source->op, "IdentityN") ||
             sl_str_is(n->source->op, "StopGradient"));
        if (!passes)
            return -1;
        e = n->in[e.out];
    }
    return -1;
}

/* ---- order ---- */

typedef struct walk {
    int node, input, control; /* what of the node is still to be visited */
} walk;

typedef struct sorter {
    sl_ngraph *g;
    char *mark; /* 0 not met, 1 on the stack, 2 done */
    walk *stack;
    int depth;
    int cycle; /* a node on a cycle, -1 */
} sorter;

static void visit(sorter *s, int node)
{
    if (s->mark[node] == 1)
        s->cycle = node;
    if (s->mark[node] != 0)
        return;
    s->mark[node] = 1;
    s->stack[s->depth++] = (walk){node, 0, s->g->nodes[node].controls};
}

static void sort_from(sorter *s, int root)
{
    sl_ngraph *g = s->g;
    visit(s, root);
    while (s->depth > 0) {
        walk *w = &s->stack[s->depth - 1];
        const sl_gnode *n = &g->nodes[w->node];
        if (w->input < n->n_in) {
            visit(s, n->in[w->input++].node);
        } else if (w->control >= 0) {
            int at = w->control;
            w->control = g->controls[at].next;
            visit(s, g->controls[at].node);
        } else {
            s->mark[w->node] = 2;
            g->order[g->n_order++] = w->node;
            s->depth--;
        }
    }
}

/* Outputs first, then effects: what a client waits for is computed as early as it may be. */
static sl_code sort_nodes(sl_ngraph *g, int *cycle, sl_status *st)
{
    size_t n = (size_t)g->n_nodes;
    sorter s = {.g = g, .cycle = -1};
    g->order = sl_try_calloc(n, sizeof *g->order);
    s.mark = sl_try_calloc(n, 1);
    s.stack = sl_try_calloc(n, sizeof *s.stack);
    bool ok = g->order && s.mark && s.stack;
    for (int i = 0; i < g->n_outs && ok; i++) {
        sort_from(&s, g->outs[i].edge.node);
        for (int c = g->outs[i].controls; c >= 0; c = g->controls[c].next)
            sort_from(&s, g->controls[c].node);
    }
    for (int c = g->effects; c >= 0 && ok; c = g->controls[c].next)
        sort_from(&s, g->controls[c].node);
    *cycle = s.cycle;
    sl_free(s.mark);
    sl_free(s.stack);
    return ok ? SL_OK : no_memory(st);
}

/* ---- dtypes and ops ---- */

typedef struct checker {
    sl_ngraph *g;
    const sl_report *why;
    int obstacles;
    sl_status *st;
} checker;

static void obstacle(checker *c, const sl_gnode *n, const char *reason)
{
    c->obstacles++;
    if (c->why != NULL && c->why->add != NULL) {
        char *op =
            n->source ? sl_arena_try_strndup(&c->g->arena, n->source->op.p, n->source->op.n) : NULL;
        c->why->add(c->why->arg, n->name, op, reason);
    }
}

static int count_outputs(const sl_gnode *n)
{
    switch (n->kind) {
    case SL_G_CONTROL:
        return 0;
    case SL_G_BRANCH: {
        int k = n->source ? sl_node_list_count(n->source, "Tout") : 1;
        return k < 0 ? 0 : k;
    }
    case SL_G_LOOP:
        return n->n_in;
    case SL_G_OP:
        return sl_opdef_output_count(n->source);
    default:
        return 1;
    }
}

static void set_known_types(checker *c, sl_gnode *n)
{
    sl_dtype *t = n->op.out_types;
    switch (n->kind) {
    case SL_G_FEED:
        t[0] = n->feed >= 0 ? c->g->feeds[n->feed].dtype
                            : sl_dtype_base(sl_node_type(n->source, "dtype", SL_DT_INVALID));
        break;
    case SL_G_CONST:
        t[0] = n->constant.dtype;
        if (t[0] == SL_DT_INVALID)
            obstacle(c, n, "this constant cannot be held");
        break;
    case SL_G_HANDLE:
        t[0] = SL_DT_RESOURCE;
        break;
    case SL_G_READ: {
        int h = sl_ngraph_handle_of(c->g, n->in[0]);
        const sl_node *source = h >= 0 ? c->g->nodes[h].source : NULL;
        t[0] = source ? sl_dtype_base(sl_node_type(source, "dtype", SL_DT_INVALID)) : SL_DT_INVALID;
        if (t[0] == SL_DT_INVALID)
            obstacle(c, n, "it is not known which variable is read");
        break;
    }
    case SL_G_BRANCH:
    case SL_G_LOOP:
        for (int k = 0; k < n->n_out && n->source != NULL; k++)
            t[k] = sl_node_list_type(n->source, n->kind == SL_G_LOOP ? "T" : "Tout", k);
        for (int k = 0; k < n->n_out && n->source == NULL && n->kind == SL_G_LOOP; k++)
            t[k] = n->op.in_types[k]; /* not what the file says: a flow is a list here */
        break;
    default:
        break;
    }
}

static sl_code configure_op(checker *c, sl_gnode *n)
{
    sl_status why = {0};
    for (int k = 0; k < n->n_out; k++)
        n->op.out_types[k] = sl_dtype_base(sl_opdef_output_type(n->source, k));
    n->op.op = sl_op_find(n->source->op);
    for (int i = 0; c->g->own_ops != NULL && c->g->own_ops[i] != NULL; i++)
        if (sl_str_is(n->source->op, c->g->own_ops[i]->name)) {
            n->op.op = c->g->own_ops[i];
            n->op.config = c->g->own_ops_context;
        }
    if (n->op.op == NULL) {
        obstacle(c, n, "the native engine does not have this operation");
        return SL_OK;
    }
    sl_code rc = n->op.op->configure ? n->op.op->configure(&n->op, &why) : SL_OK;
    if (rc == SL_RESOURCE_EXHAUSTED)
        return sl_fail(c->st, rc, "%s", why.msg);
    if (rc)
        obstacle(c, n, why.msg);
    return SL_OK;
}

/* As many results as the node has outputs, and of their dtypes: run() relies on it. */
static sl_code check_results(checker *c, const sl_gnode *n)
{
    for (int k = 0; k < n->n_subs; k++) {
        const sl_ngraph *sub = n->subs[k];
        bool cond = n->kind == SL_G_LOOP && k == 0;
        bool ok = sub->n_outs == (cond ? 1 : n->n_out);
        for (int i = 0; i < sub->n_outs && ok && !cond; i++)
            ok = sub->outs[i].dtype == SL_DT_INVALID || sub->outs[i].dtype == n->op.out_types[i];
        /* What a loop that never turns gives is what came in. */
        for (int i = 0; i < n->n_in && ok && n->kind == SL_G_LOOP; i++)
            ok = n->op.in_types[i] == SL_DT_INVALID || n->op.in_types[i] == n->op.out_types[i];
        if (!ok)
            return sl_fail(c->st, SL_INVALID_ARGUMENT,
                           "the results of a body of node \"%s\" do not fit its outputs", n->name);
    }
    return SL_OK;
}

/* The condition and body of a loop, the branches of an If: obstacles inside count like any other.
 */
static sl_code configure_subs(checker *c, sl_gnode *n)
{
    int skip = n->kind == SL_G_BRANCH;
    for (int k = 0; k < n->n_subs; k++) {
        int inside = 0;
        for (int i = 0; i < n->subs[k]->n_feeds; i++)
            if (n->op.in_types[i + skip] != SL_DT_INVALID)
                n->subs[k]->feeds[i].dtype = n->op.in_types[i + skip];
        sl_code rc = sl_ngraph_configure(n->subs[k], c->why, &inside, c->st);
        if (rc)
            return rc;
        c->obstacles += inside;
        for (int i = 0; i < n->subs[k]->n_nodes; i++) {
            n->stateful |= n->subs[k]->nodes[i].stateful;
            n->writes |= n->subs[k]->nodes[i].writes;
            n->draws |= n->subs[k]->nodes[i].draws;
        }
    }
    if (n->kind == SL_G_BRANCH && n->source == NULL) {
        sl_dtype t = n->subs[0]->outs[0].dtype;
        n->op.out_types[0] = t != SL_DT_INVALID ? t : n->subs[1]->outs[0].dtype;
        if (n->again && (n->writes || n->draws))
            obstacle(c, n,
                     "a conditional of TensorFlow 1 with several results that changes variables "
                     "or draws random numbers is not supported");
    }
    for (int k = 0; k < n->n_out && n->kind == SL_G_BRANCH; k++)
        if (sl_dtype_size(n->op.out_types[k]) == 0 && n->op.out_types[k] != SL_DT_VARIANT)
            obstacle(c, n, "a branch that gives a resource is not supported");
    return check_results(c, n);
}

static sl_code check_node(checker *c, int id)
{
    sl_ngraph *g = c->g;
    sl_gnode *n = &g->nodes[id];
    int n_out = count_outputs(n);
    n->n_out = n_out < 0 ? 0 : n_out;
    n->value = g->n_values;
    g->n_values += n->n_out;
    sl_dtype *in = sl_arena_try_alloc(&g->arena, (size_t)n->n_in * sizeof *in);
    sl_dtype *out = sl_arena_try_alloc(&g->arena, (size_t)n->n_out * sizeof *out);
    if (in == NULL || out == NULL)
        return no_memory(c->st);
    memset(out, 0, (size_t)n->n_out * sizeof *out);
    for (int i = 0; i < n->n_in; i++) {
        const sl_gnode *from = &g->nodes[n->in[i].node];
        bool known = from->op.out_types != NULL && n->in[i].out < from->n_out;
        if (!known && from->op.out_types != NULL && from->kind != SL_G_OP)
            return sl_fail(c->st, SL_INVALID_ARGUMENT, "node \"%s\" has no output %d", from->name,
                           n->in[i].out);
        if (!known && from->op.op != NULL)
            return sl_fail(c->st, SL_INVALID_ARGUMENT, "node \"%s\" has no output %d", from->name,
                           n->in[i].out);
        in[i] = known ? sl_dtype_base(from->op.out_types[n->in[i].out]) : SL_DT_INVALID;
    }
    n->op = (sl_op_node){.name = n->name,
                         .source = n->source,
                         .n_in = n->n_in,
                         .in_types = in,
                         .n_out = n->n_out,
                         .out_types = out,
                         .arena = &g->arena};
    set_known_types(c, n);
    if (n->kind == SL_G_OP) {
        sl_code rc = configure_op(c, n);
        if (rc)
            return rc;
        n->stateful = n->op.op ? (n->op.op->flags & SL_OP_STATEFUL) != 0
                               : sl_opdef_is_stateful(n->source->op);
        n->writes = sl_op_writes(n->source->op);
        n->draws = draws(n->source->op);
        n->of_shapes = is_of_shapes(n->source->op);
    }
    return configure_subs(c, n);
}

static sl_code check_outputs(checker *c)
{
    sl_ngraph *g = c->g;
    for (int i = 0; i < g->n_outs; i++) {
        sl_edge e = g->outs[i].edge;
        const sl_gnode *n = &g->nodes[e.node];
        if (e.out < n->n_out)
            g->outs[i].dtype = n->op.out_types[e.out];
        else if (n->kind != SL_G_OP || n->op.op != NULL)
            return sl_fail(c->st, SL_INVALID_ARGUMENT, "node \"%s\" has no output %d", n->name,
                           e.out);
    }
    return SL_OK;
}

sl_code sl_ngraph_configure(sl_ngraph *g, const sl_report *why, int *obstacles, sl_status *st)
{
    checker c = {g, why, 0, st};
    int cycle;
    sl_code rc = sort_nodes(g, &cycle, st);
    if (rc == SL_OK && cycle >= 0)
        obstacle(&c, &g->nodes[cycle], "it is part of a cycle");
    for (int i = 0; i < g->n_order && rc == SL_OK; i++)
        rc = check_node(&c, g->order[i]);
    if (rc == SL_OK)
        rc = check_outputs(&c);
    *obstacles = c.obstacles;
    return rc;
}

/* ---- leaving the file ---- */

enum { LARGEST_ATTR = 4096 };

static bool copy_str(sl_arena *a, sl_str *s)
{
    char *p = sl_arena_try_strndup(a, s->p ? s->p : "", s->n);
    s->p = p;
    return p != NULL;
}

static sl_node *copy_node(sl_arena *a, const sl_node *n)
{
    sl_node *copy = sl_arena_try_alloc(a, sizeof *copy);
    sl_attr *attrs = sl_arena_try_alloc(a, (size_t)n->n_attrs * sizeof *attrs);
    if (copy == NULL || attrs == NULL)
        return NULL;
    *copy = (sl_node){.name = n->name, .op = n->op, .attrs = attrs};
    bool ok = copy_str(a, &copy->name) && copy_str(a, &copy->op);
    for (int i = 0; i < n->n_attrs && ok; i++) {
        if (n->attrs[i].wire.n > LARGEST_ATTR)
            continue;
        sl_attr *to = &attrs[copy->n_attrs++];
        *to = n->attrs[i];
        ok = copy_str(a, &to->name) && copy_str(a, &to->wire);
    }
    return ok ? copy : NULL;
}

/* Recursion as deep as control flow is nested. */
sl_code sl_ngraph_detach(sl_ngraph *g, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < g->n_nodes && rc == SL_OK; i++) {
        sl_gnode *n = &g->nodes[i];
        const sl_node *copy = NULL;
        if ((n->kind == SL_G_OP || n->kind == SL_G_FEED) && n->source != NULL &&
            (copy = copy_node(&g->arena, n->source)) == NULL)
            rc = no_memory(st);
        n->source = n->op.source = copy;
        for (int k = 0; k < n->n_subs && rc == SL_OK; k++)
            rc = sl_ngraph_detach(n->subs[k], st);
    }
    return rc;
}
