/*
 * specialise.c - one walk over the graph, with shapes
 *
 * For one set of input shapes almost everything about a run can be known before it: in the order of
 * the graph each node is given its inputs' shapes, and their values where those are constants, and
 * becomes one of four things:
 *
 *     known     all inputs are known, it is computed here and is a constant from now on
 *     a view    it has the bytes of its input (Reshape, Identity)
 *     a step    its shape is known, its value is the run's business
 *     late      not even its shape can be known before the run (Where, loops)
 *
 * Then the steps that nobody needs go: most of what computed shapes.
 *
 * Folding is bounded: a constant may be as large as what it is made of or limits->fold_each, and
 * all of them together limits->fold_total, so a Fill of a large shape stays a step.
 */
#include <stdio.h>

#include "base/mem.h"
#include "engine/native/plan.h"

enum { SCRATCH_FIRST = 4096, ARENA_FIRST = 16 << 10 };

typedef struct walker {
    sl_draft *d;
    const sl_ngraph *g;
    const char *needed; /* per node: 0 no, 1 only its order, 2 its value */
    bool everything;    /* sl_ngraph_fold: no feeds are known, errors are left to the run */
    size_t cap_steps;
    sl_status *st;
} walker;

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while planning the run");
}

sl_code sl_fail_at(sl_status *st, const char *node)
{
    if (st != NULL) {
        size_t n = strlen(st->msg);
        if (strstr(st->msg, "[[{{node ") == NULL)
            snprintf(st->msg + n, sizeof st->msg - n, "\n\t [[{{node %s}}]]", node);
    }
    return st ? st->code : SL_UNKNOWN;
}

/* ---- what is needed ---- */

/* In reverse order every user comes before what it uses, so one pass is enough. */
static void mark_needed(const sl_ngraph *g, const sl_request *r, char *needed)
{
    for (int i = 0; i < r->n_outs; i++) {
        const sl_gout *o = &g->outs[r->outs ? r->outs[i] : i];
        needed[o->edge.node] = 2;
        for (int c = o->controls; c >= 0; c = g->controls[c].next)
            needed[g->controls[c].node] |= 1;
    }
    for (int c = g->effects; c >= 0; c = g->controls[c].next)
        needed[g->controls[c].node] |= 1;
    for (int i = g->n_order - 1; i >= 0; i--) {
        const sl_gnode *n = &g->nodes[g->order[i]];
        char *mine = &needed[g->order[i]];
        if (*mine && n->stateful)
            *mine = 2;
        for (int k = 0; k < n->n_in && *mine; k++)
            needed[n->in[k].node] |= *mine >= 2 ? 2 : 1;
        for (int c = n->controls; c >= 0 && *mine; c = g->controls[c].next)
            needed[g->controls[c].node] |= 1;
    }
}

/* ---- values ---- */

static sl_value *value_of(const walker *w, sl_edge e)
{
    return &w->d->values[w->g->nodes[e.node].value + e.out];
}

static int value_id(const walker *w, sl_edge e)
{
    return w->g->nodes[e.node].value + e.out;
}

static void set_root(walker *w, int v, sl_value_state state, int feed, int step)
{
    sl_value *x = &w->d->values[v];
    x->state = state;
    x->root = v;
    x->feed = feed;
    x->step = step;
}

static void set_known(walker *w, int v, const sl_tensor *t)
{
    sl_value *x = &w->d->values[v];
    x->t = *t; /* the reference moves, or belongs to the graph */
    set_root(w, v, SL_V_KNOWN, -1, -1);
}

/* Bytes of a shape; false if it is negative or does not fit. */
static bool set_size(sl_tensor *t)
{
    bool pointer = t->dtype == SL_DT_RESOURCE || t->dtype == SL_DT_VARIANT;
    size_t element = pointer ? sizeof(void *) : sl_dtype_size(t->dtype);
    int64_t n = element ? sl_shape_count(t->dims, t->rank, element) : -1;
    if (n < 0)
        return false;
    t->size = (size_t)n * element;
    return true;
}

/* ---- steps ---- */

static sl_code add_step(walker *w, int node, sl_step_mode mode, sl_draft_step **out)
{
    sl_draft *d = w->d;
    const sl_gnode *n = &w->g->nodes[node];
    sl_draft_step *steps = sl_try_grow(d->steps, (size_t)d->n_steps, &w->cap_steps, sizeof *steps);
    if (steps == NULL)
        return no_memory(w->st);
    d->steps = steps;
    int *in = sl_arena_try_alloc(&d->arena, (size_t)n->n_in * sizeof *in);
    if (in == NULL)
        return no_memory(w->st);
    for (int i = 0; i < n->n_in; i++)
        in[i] = value_id(w, n->in[i]);
    steps[d->n_steps] = (sl_draft_step){
        .node = node, .mode = mode, .n_in = n->n_in, .in = in, .n_out = n->n_out, .out = n->value};
    sl_value_state state = mode == SL_STEP_FIXED ? SL_V_SHAPED : SL_V_DYNAMIC;
    for (int k = 0; k < n->n_out; k++) {
        set_root(w, n->value + k, state, -1, d->n_steps);
        if (state == SL_V_DYNAMIC)
            d->values[n->value + k].t = (sl_tensor){.dtype = n->op.out_types[k]};
    }
    *out = &steps[d->n_steps++];
    return SL_OK;
}

static sl_code late_step(walker *w, int node, sl_step_mode mode)
{
    sl_draft_step *s;
    return add_step(w, node, mode, &s);
}

static int64_t cost_of(const sl_op *op, const sl_op_call *c)
{
    if (op->cost != NULL)
        return op->cost(c);
    uint64_t bytes = 0;
    for (int i = 0; i < c->node->n_in; i++)
        bytes += c->in[i].size;
    for (int k = 0; k < c->node->n_out; k++)
        bytes += c->out[k].size;
    return 20 + (int64_t)(bytes / 4);
}

/* ---- folding ---- */

/* A copy with a buffer of its own of what an op left in the arena. */
static sl_code keep(const sl_tensor *t, sl_tensor *out, sl_status *st)
{
    if (t->dtype == SL_DT_STRING)
        return sl_tensor_try_new_strings(t->data, t->dims, t->rank, out, st);
    sl_code rc = sl_tensor_try_new(t->dtype, t->dims, t->rank, out, st);
    if (rc == SL_OK && t->size > 0)
        memcpy(out->data, t->data, t->size);
    return rc;
}

static bool may_fold(const walker *w, const sl_op_call *c)
{
    size_t in = 0, out = 0;
    for (int i = 0; i < c->node->n_in; i++)
        in += c->in[i].size;
    for (int k = 0; k < c->node->n_out; k++)
        out += c->out[k].size;
    const sl_limits *l = w->d->limits;
    return out <= SL_MAX(in, l->fold_each) && out <= l->fold_total &&
           w->d->folded <= l->fold_total - out;
}

static sl_code compute(walker *w, const sl_op *op, sl_op_call *c, sl_status *st)
{
    c->arena = &w->d->scratch;
    if (op->flags & SL_OP_MAKES)
        return op->run(c, st);
    c->scratch = c->scratch_size ? sl_arena_try_alloc(c->arena, c->scratch_size + 63) : NULL;
    if (c->scratch_size && c->scratch == NULL)
        return no_memory(st);
    c->scratch = (void *)(((uintptr_t)c->scratch + 63) & ~(uintptr_t)63);
    sl_code rc = SL_OK;
    for (int k = 0; k < c->node->n_out && rc == SL_OK; k++) {
        sl_tensor t;
        rc = sl_tensor_try_new(c->out[k].dtype, c->out[k].dims, c->out[k].rank, &t, st);
        if (rc == SL_OK)
            c->out[k] = t;
    }
    return rc ? rc : op->run(c, st);
}

/* Computes the node now. Its outputs become known, with buffers that the draft owns. */
static sl_code fold(walker *w, const sl_gnode *n, sl_op_call *c, sl_status *st)
{
    const sl_op *op = n->op.op;
    bool own = !(op->flags & SL_OP_MAKES);
    sl_code rc = compute(w, op, c, st);
    for (int k = 0; k < n->n_out; k++) {
        sl_tensor kept = c->out[k];
        bool copy = rc == SL_OK && (!own || kept.dtype == SL_DT_STRING);
        if (copy)
            rc = keep(&c->out[k], &kept, st);
        if (own && (copy || rc))
            sl_buffer_release(c->out[k].buffer);
        c->out[k].buffer = NULL;
        if (rc == SL_OK) {
            set_known(w, n->value + k, &kept);
            w->d->folded += kept.size;
        }
    }
    sl_arena_reset(&w->d->scratch);
    return rc;
}

/* ---- nodes ---- */

static sl_code do_view(walker *w, const sl_gnode *n, const sl_op_call *c)
{
    sl_value *from = value_of(w, n->in[0]), *to = &w->d->values[n->value];
    sl_tensor t = c->out[0];
    t.size = c->in[0].size;
    t.data = c->in[0].data;
    t.buffer = NULL;
    to->t = t;
    to->state = from->state;
    to->root = from->root;
    to->feed = from->feed;
    to->step = from->step;
    if (to->state == SL_V_KNOWN) {
        sl_tensor_share(&from->t, &to->t);
        to->t = t;
        to->t.buffer = from->t.buffer;
    }
    return SL_OK;
}

static bool all_known(const walker *w, const sl_gnode *n, uint32_t which)
{
    for (int i = 0; i < n->n_in; i++) {
        const sl_value *v = value_of(w, n->in[i]);
        bool empty = v->state == SL_V_SHAPED && v->t.size == 0;
        if ((which >> SL_MIN(i, 31) & 1) && v->state != SL_V_KNOWN && !empty)
            return false;
    }
    return true;
}

/* Each output of an IdentityN is a view of its own input. */
static void views_of_all(walker *w, const sl_gnode *n)
{
    for (int k = 0; k < n->n_out; k++) {
        const sl_value *from = value_of(w, n->in[k]);
        w->d->values[n->value + k] = *from;
        sl_buffer_acquire(from->state == SL_V_KNOWN ? from->t.buffer : NULL);
    }
}

static sl_code shape_of(walker *w, int node, sl_op_call *c)
{
    const sl_gnode *n = &w->g->nodes[node];
    const sl_op *op = n->op.op;
    sl_code rc = SL_OK;
    if (op->shape != NULL)
        rc = op->shape(c, w->st);
    else if (op->flags & SL_OP_ALIAS)
        memcpy(c->out[0].dims, c->in[0].dims, sizeof c->out[0].dims),
            c->out[0].rank = c->in[0].rank;
    char text[256];
    for (int k = 0; k < n->n_out && rc == SL_OK; k++)
        if (!set_size(&c->out[k]))
            rc = sl_fail(w->st, SL_RESOURCE_EXHAUSTED,
                         "OOM when allocating tensor with shape%s and type %s",
                         sl_shape_text(c->out[k].dims, c->out[k].rank, text, sizeof text),
                         sl_dtype_name(c->out[k].dtype));
    return rc;
}

/* Inputs are known at least by shape. */
static sl_code do_shaped(walker *w, int node, sl_op_call *c)
{
    const sl_gnode *n = &w->g->nodes[node];
    const sl_op *op = n->op.op;
    bool known = n->of_shapes || all_known(w, n, UINT32_MAX);
    bool stateful = op->flags & (SL_OP_STATEFUL | SL_OP_FRESH);
    sl_status ignored;
    if (op->flags & SL_OP_MAKES) {
        if (known && !stateful && fold(w, n, c, w->everything ? &ignored : w->st) == SL_OK)
            return SL_OK;
        return late_step(w, node, SL_STEP_MAKES);
    }
    if (!all_known(w, n, sl_op_shape_reads(op, n->n_in)))
        return late_step(w, node, op->flags & SL_OP_ALIAS ? SL_STEP_VIEW : SL_STEP_LATE);
    sl_code rc = shape_of(w, node, c);
    if (rc && w->everything)
        return late_step(w, node, SL_STEP_LATE);
    if (rc)
        return sl_fail_at(w->st, n->name);
    if ((op->flags & SL_OP_ALIAS) && n->n_out == 1 && n->n_in > 0)
        return do_view(w, n, c);
    if (known && !stateful && op->run != NULL && may_fold(w, c)) {
        sl_op_call again = *c;
        if (fold(w, n, &again, w->everything ? &ignored : w->st) == SL_OK)
            return SL_OK;
        if (!w->everything)
            return sl_fail_at(w->st, n->name);
        return late_step(w, node, SL_STEP_LATE);
    }
    sl_draft_step *s;
    rc = add_step(w, node, SL_STEP_FIXED, &s);
    if (rc)
        return rc;
    s->scratch = c->scratch_size;
    s->cost = cost_of(op, c);
    for (int k = 0; k < n->n_out; k++) {
        c->out[k].data = NULL;
        w->d->values[n->value + k].t = c->out[k];
    }
    return SL_OK;
}

/* The value of a tensor without elements is known even if nobody has made it. */
static _Alignas(64) char nothing[64];

static sl_code do_op(walker *w, int node)
{
    const sl_gnode *n = &w->g->nodes[node];
    const sl_op *op = n->op.op;
    bool dynamic = false;
    for (int i = 0; i < n->n_in; i++)
        dynamic |= value_of(w, n->in[i])->state == SL_V_DYNAMIC;
    if (sl_str_is(sl_str_of(op->name), "IdentityN") && n->n_in == n->n_out) {
        views_of_all(w, n);
        return SL_OK;
    }
    if (dynamic)
        return late_step(w, node,
                         op->flags & SL_OP_MAKES   ? SL_STEP_MAKES
                         : op->flags & SL_OP_ALIAS ? SL_STEP_VIEW
                                                   : SL_STEP_LATE);
    size_t count = (size_t)n->n_in + (size_t)n->n_out;
    sl_tensor *t = sl_arena_try_alloc(&w->d->scratch, count * sizeof *t);
    if (t == NULL)
        return no_memory(w->st);
    memset(t, 0, count * sizeof *t);
    for (int i = 0; i < n->n_in; i++) {
        const sl_value *v = value_of(w, n->in[i]);
        t[i] = v->t;
        if (v->state != SL_V_KNOWN)
            t[i].data = v->t.size == 0 ? nothing : NULL;
    }
    for (int k = 0; k < n->n_out; k++)
        t[n->n_in + k].dtype = n->op.out_types[k];
    sl_op_call c = {
        .node = &n->op, .in = t, .out = t + n->n_in, .arena = &w->d->scratch, .threads = 1};
    sl_code rc = do_shaped(w, node, &c);
    sl_arena_reset(&w->d->scratch);
    return rc;
}

static sl_code do_feed(walker *w, const sl_gnode *n)
{
    const sl_tensor *t =
        n->feed >= 0 && w->d->request->feeds ? w->d->request->feeds[n->feed] : NULL;
    if (w->everything) {
        w->d->values[n->value].t.dtype = n->op.out_types[0];
        set_root(w, n->value, SL_V_DYNAMIC, n->feed, -1);
        return SL_OK;
    }
    if (t == NULL && n->n_in == 1) { /* PlaceholderWithDefault */
        const sl_value *otherwise = value_of(w, n->in[0]);
        w->d->values[n->value] = *otherwise;
        sl_buffer_acquire(otherwise->state == SL_V_KNOWN ? otherwise->t.buffer : NULL);
        return SL_OK;
    }
    if (t == NULL) {
        int64_t dims[SL_MAX_RANK];
        int rank = -1;
        char shape[256];
        bool has = n->source && sl_node_shape(n->source, "shape", &rank, dims) && rank >= 0;
        sl_fail(w->st, SL_INVALID_ARGUMENT,
                "You must feed a value for placeholder tensor '%s' with dtype %s%s%s", n->name,
                sl_dtype_name(n->op.out_types[0]), has ? " and shape " : "",
                has ? sl_shape_text(dims, rank, shape, sizeof shape) : "");
        return sl_fail_at(w->st, n->name);
    }
    sl_tensor *mine = &w->d->values[n->value].t;
    *mine = *t;
    mine->data = NULL;
    mine->buffer = NULL;
    set_root(w, n->value, SL_V_SHAPED, n->feed, -1);
    return SL_OK;
}

static sl_code do_node(walker *w, int node)
{
    const sl_gnode *n = &w->g->nodes[node];
    sl_tensor t;
    switch (n->kind) {
    case SL_G_FEED:
        return do_feed(w, n);
    case SL_G_CONST:
        sl_tensor_share(&n->constant, &t);
        set_known(w, n->value, &t);
        return SL_OK;
    case SL_G_HANDLE:
        t = (sl_tensor){
            .dtype = SL_DT_RESOURCE, .size = sizeof n->resource, .data = (void *)&n->resource};
        set_known(w, n->value, &t);
        return SL_OK;
    case SL_G_READ:
        return late_step(w, node, SL_STEP_READ);
    case SL_G_BRANCH:
    case SL_G_LOOP:
        return late_step(w, node, SL_STEP_FLOW);
    case SL_G_OP:
        return do_op(w, node);
    default:
        return SL_OK;
    }
}

/* ---- dead steps ---- */

static void use(sl_draft *d, int v)
{
    int step = d->values[v].step;
    if (d->values[v].state != SL_V_KNOWN && step >= 0)
        d->steps[step].live = true;
}

static void drop_dead_steps(sl_draft *d)
{
    const sl_request *r = d->request;
    for (int i = 0; i < r->n_outs; i++) {
        sl_edge e = d->g->outs[r->outs ? r->outs[i] : i].edge;
        use(d, d->g->nodes[e.node].value + e.out);
    }
    for (int i = d->n_steps - 1; i >= 0; i--) {
        sl_draft_step *s = &d->steps[i];
        s->live |= d->g->nodes[s->node].stateful;
        for (int k = 0; k < s->n_in && s->live; k++)
            use(d, s->in[k]);
    }
}

static sl_code walk(sl_draft *d, bool everything, sl_status *st)
{
    const sl_ngraph *g = d->g;
    char *needed = sl_try_calloc((size_t)g->n_nodes, 1);
    d->values = sl_try_calloc((size_t)g->n_values, sizeof *d->values);
    if (needed == NULL || d->values == NULL) {
        sl_free(needed);
        return no_memory(st);
    }
    walker w = {.d = d, .g = g, .needed = needed, .everything = everything, .st = st};
    sl_code rc = SL_OK;
    mark_needed(g, d->request, needed);
    for (int i = 0; i < g->n_order && rc == SL_OK; i++)
        if (needed[g->order[i]] == 2 || needed[g->order[i]] == 3)
            rc = do_node(&w, g->order[i]);
    sl_free(needed);
    return rc;
}

static sl_code draft_init(sl_draft *d, const sl_ngraph *g, const sl_request *r,
                          const sl_limits *limits, sl_status *st)
{
    *d = (sl_draft){.g = g, .request = r, .limits = limits};
    if (sl_arena_init(&d->arena, ARENA_FIRST) || sl_arena_init(&d->scratch, SCRATCH_FIRST))
        return no_memory(st);
    d->scratch.limit = limits->fold_total; /* ops whose results have no size beforehand */
    return SL_OK;
}

sl_code sl_draft_make(sl_draft *d, const sl_ngraph *g, const sl_request *r, const sl_limits *limits,
                      sl_status *st)
{
    sl_code rc = draft_init(d, g, r, limits, st);
    if (rc == SL_OK)
        rc = walk(d, false, st);
    if (rc == SL_OK)
        drop_dead_steps(d);
    else
        sl_draft_fini(d);
    return rc;
}

void sl_draft_fini(sl_draft *d)
{
    for (int v = 0; d->values != NULL && v < d->g->n_values; v++)
        if (d->values[v].state == SL_V_KNOWN)
            sl_buffer_release(d->values[v].t.buffer);
    for (size_t i = 0; i < d->n_made; i++)
        sl_buffer_release(d->made[i]);
    sl_free(d->made);
    sl_free(d->values);
    sl_free(d->steps);
    sl_arena_fini(&d->arena);
    sl_arena_fini(&d->scratch);
    d->values = NULL;
    d->made = NULL;
    d->n_made = 0;
}

/* ---- folding for good ---- */

/* A node all of whose outputs are known has no inputs any more. */
static void make_constant(sl_ngraph *g, sl_gnode *n, sl_value *v)
{
    if (n->kind != SL_G_OP || n->n_out != 1 || v->state != SL_V_KNOWN ||
        v->t.dtype == SL_DT_RESOURCE || v->t.buffer == NULL)
        return;
    (void)g;
    n->constant = v->t;
    v->t.buffer = NULL;
    n->kind = SL_G_CONST;
    n->n_in = 0;
}

/* Forgets the nodes that only fed what has become a constant, and their memory. */
static void forget_unused(sl_ngraph *g, char *needed)
{
    int kept = 0;
    sl_request all = {.n_outs = g->n_outs};
    memset(needed, 0, (size_t)g->n_nodes);
    mark_needed(g, &all, needed);
    for (int i = 0; i < g->n_order; i++) {
        int node = g->order[i];
        if (needed[node])
            g->order[kept++] = node;
        else
            sl_tensor_release(&g->nodes[node].constant);
        if (needed[node] == 1)
            sl_tensor_release(&g->nodes[node].constant);
    }
    g->n_order = kept;
}

sl_code sl_ngraph_fold(sl_ngraph *g, const sl_limits *limits, sl_status *st)
{
    sl_draft d;
    sl_request all = {.n_outs = g->n_outs};
    sl_code rc = draft_init(&d, g, &all, limits, st);
    if (rc == SL_OK)
        rc = walk(&d, true, st);
    char *needed = rc ? NULL : sl_try_calloc((size_t)g->n_nodes, 1);
    if (rc == SL_OK && needed == NULL)
        rc = no_memory(st);
    for (int i = 0; i < g->n_order && rc == SL_OK; i++) {
        sl_gnode *n = &g->nodes[g->order[i]];
        if (n->n_out > 0)
            make_constant(g, n, &d.values[n->value]);
    }
    sl_draft_fini(&d);
    if (rc == SL_OK)
        forget_unused(g, needed);
    sl_free(needed);
    return rc;
}
