/*
 * build.c - from a signature's names to the nodes that it needs
 *
 * A worklist, backwards: the fetched tensors are followed to nodes, their inputs to further nodes,
 * until only sources are left. Feeding a tensor makes a source of it, so a TF1 signature that feeds
 * the result of ParseExample never sees the parser.
 *
 * Control edges are kept as they stand, and a call becomes two control nodes around its body: what
 * is stateful inside waits for `enter`, and whoever uses a result waits for `leave`, which waits
 * for what the function must run (control_ret). Where nothing hangs on them they are not made at
 * all.
 *
 * Control flow whose bodies are functions becomes a LOOP or BRANCH with a graph for each of them.
 * That of TensorFlow 1 becomes the same; functional.c knows how.
 *
 * A ref variable (TF1) is read at the moment when its consumer runs, so each such use gets a READ
 * node with the consumer's control edges.
 */
#include "engine/native/build.h"

#include "base/mem.h"

enum { MAX_HOPS = 4096, MAX_SUB_DEPTH = 12, MAX_SUBS = 1 << 12, ARENA_FIRST = 16 << 10 };

static sl_code build(sl_builder *b);
static sl_builder of_want(const sl_ngraph_want *w);
static sl_code do_node(sl_builder *b, const sl_build_job *j);
static sl_code do_enter(sl_builder *b, const sl_build_job *j);
static sl_code do_leave(sl_builder *b, const sl_build_job *j);

sl_code sl_build_too_large(sl_builder *b)
{
    return b->g->n_nodes >= SL_NGRAPH_MAX_NODES || b->g->n_controls >= SL_NGRAPH_MAX_EDGES
               ? sl_fail(b->st, SL_RESOURCE_EXHAUSTED, "the graph is too large: more than %d nodes",
                         SL_NGRAPH_MAX_NODES)
               : sl_fail(b->st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
}

static sl_code push(sl_builder *b, sl_build_job j)
{
    sl_build_job *jobs = sl_try_grow(b->jobs, b->n_jobs, &b->cap_jobs, sizeof *jobs);
    if (jobs == NULL)
        return sl_build_too_large(b);
    b->jobs = jobs;
    jobs[b->n_jobs++] = j;
    return SL_OK;
}

sl_code sl_build_add(sl_builder *b, sl_gkind kind, sl_str name, int n_in, sl_build_job j, int *id)
{
    char *copy = sl_arena_try_strndup(&b->g->arena, name.p, name.n);
    *id = copy ? sl_ngraph_add(b->g, kind, copy, NULL, n_in) : -1;
    j.id = *id;
    return *id < 0 ? sl_build_too_large(b) : push(b, j);
}

static sl_code add_control(sl_builder *b, int *list, int node)
{
    if (node < 0)
        return SL_OK;
    return sl_ngraph_add_control(b->g, list, node) ? SL_OK : sl_build_too_large(b);
}

/* ---- nodes ---- */

static sl_gkind kind_of(const sl_node *n)
{
    static const struct {
        const char *op;
        sl_gkind kind;
    } special[] = {{"Const", SL_G_CONST},      {"NoOp", SL_G_CONTROL},
                   {"Placeholder", SL_G_FEED}, {"PlaceholderV2", SL_G_FEED},
                   {"If", SL_G_BRANCH},        {"StatelessIf", SL_G_BRANCH},
                   {"Case", SL_G_BRANCH},      {"StatelessCase", SL_G_BRANCH},
                   {"While", SL_G_LOOP},       {"StatelessWhile", SL_G_LOOP}};
    sl_resource_kind resource;
    for (size_t i = 0; i < SL_COUNTOF(special); i++)
        if (sl_str_is(n->op, special[i].op))
            return special[i].kind;
    return sl_op_makes_handle(n->op, &resource) ? SL_G_HANDLE : SL_G_OP;
}

static bool has_inputs(sl_gkind k)
{
    return k == SL_G_OP || k == SL_G_BRANCH || k == SL_G_LOOP;
}

static sl_code node_id(sl_builder *b, int frame, int node, int *id)
{
    const sl_frame *fr = &b->frames.list[frame];
    const sl_node *n = &fr->nodes[node];
    if (fr->ids[node] > 0) {
        *id = fr->ids[node] - 1;
        return SL_OK;
    }
    sl_gkind kind = kind_of(n);
    char *name = sl_arena_try_printf(&b->g->arena, "%s%.*s", fr->prefix, SL_STR_ARG(n->name));
    int n_in = has_inputs(kind) ? n->n_inputs - n->n_control : 0;
    *id = name ? sl_ngraph_add(b->g, kind, name, n, n_in) : -1;
    if (*id < 0)
        return sl_build_too_large(b);
    fr->ids[node] = *id + 1;
    if (kind == SL_G_CONST) {
        /* What cannot be decoded is reported later, as one obstacle among others. */
        sl_status why;
        sl_code rc = sl_node_tensor(n, "value", &b->g->nodes[*id].constant, &why);
        if (rc == SL_RESOURCE_EXHAUSTED)
            return sl_fail(b->st, rc, "%s", why.msg);
        if (rc)
            b->g->nodes[*id].constant = (sl_tensor){0};
    }
    return push(b, (sl_build_job){do_node, frame, node, *id});
}

/* `node`: where `source` stands in the main graph, NULL in a function. */
static sl_code feed_id(sl_builder *b, int feed, const sl_node *source, int node, int *id)
{
    sl_gfeed *f = &b->g->feeds[feed];
    if (f->node >= 0) {
        *id = f->node;
        return SL_OK;
    }
    const sl_tensor *value = b->want->feed_values ? &b->want->feed_values[feed] : NULL;
    char *name = source ? sl_arena_try_strndup(&b->g->arena, source->name.p, source->name.n)
                        : sl_arena_try_printf(&b->g->arena, "arg_%d", feed);
    /* What is used when a request leaves the input out. */
    bool has_default = value == NULL && source != NULL && source->n_inputs > source->n_control &&
                       sl_str_is(source->op, "PlaceholderWithDefault");
    *id =
        name ? sl_ngraph_add(b->g, value ? SL_G_CONST : SL_G_FEED, name, source, has_default) : -1;
    if (*id < 0)
        return sl_build_too_large(b);
    f->node = *id;
    if (value != NULL)
        sl_tensor_share(value, &b->g->nodes[*id].constant);
    else
        b->g->nodes[*id].feed = feed;
    return has_default ? push(b, (sl_build_job){do_node, 0, node, *id}) : SL_OK;
}

static bool is_main(const sl_builder *b, int frame)
{
    return frame == 0 && b->fed != NULL;
}

/* The feed of that tensor of the main graph, -1 if it is not fed. */
static int feed_of(const sl_builder *b, int node, int out)
{
    for (int f = b->fed[node] - 1; f >= 0; f = b->next_feed[f] - 1)
        if (b->feed_out[f] == out)
            return f % b->n_feeds;
    return -1;
}

bool sl_build_is_fed(void *builder, int node, int out)
{
    for (const sl_builder *b = builder; b != NULL; b = b->parent)
        if (feed_of(b, node, out) >= 0)
            return true;
    return false;
}

/* ---- calls ---- */

static sl_code open_frame(sl_builder *b, int frame, int node, int *callee)
{
    bool fresh;
    sl_code rc = sl_frames_enter(&b->frames, frame, node, callee, &fresh, b->st);
    if (rc || !fresh)
        return rc;
    sl_frame *fr = &b->frames.list[*callee];
    if (fr->call->n_control > 0 || b->frames.list[frame].enter >= 0) {
        fr->enter = sl_ngraph_add(b->g, SL_G_CONTROL, fr->prefix, NULL, 0);
        rc = fr->enter < 0 ? sl_build_too_large(b)
                           : push(b, (sl_build_job){do_enter, *callee, node, fr->enter});
    }
    if (rc == SL_OK && (fr->fn->n_control_ret > 0 || fr->enter >= 0)) {
        fr->leave = sl_ngraph_add(b->g, SL_G_CONTROL, fr->prefix, NULL, 0);
        rc = fr->leave < 0 ? sl_build_too_large(b)
                           : push(b, (sl_build_job){do_leave, *callee, node, fr->leave});
    }
    return rc;
}

/* ---- edges ---- */

/* What an output of a node of the main graph is: edge->node >= 0: that edge; ref->n > 0: it has the
 * value of that; else the node computes it. */
static sl_code pass_main(sl_builder *b, int node, int out, sl_edge *edge, sl_str *ref,
                         int *controls)
{
    int feed = feed_of(b, node, out);
    if (feed < 0)
        return sl_functional_pass(b, node, out, edge, ref, controls);
    edge->out = 0;
    return feed_id(b, feed, &b->frames.list[0].nodes[node], node, &edge->node);
}

/* Follows a data reference to the node that makes it; the calls it passed go onto *controls. */
static sl_code follow(sl_builder *b, int frame, sl_str ref, sl_edge *edge, int *controls)
{
    for (int hops = 0; hops < MAX_HOPS; hops++) {
        int node, out, arg, callee;
        sl_code rc = sl_frame_parse(&b->frames, frame, ref, &node, &out, &arg, b->st);
        if (rc)
            return rc;
        const sl_frame *fr = &b->frames.list[frame];
        if (arg >= 0) {
            edge->out = 0;
            if (fr->parent < 0)
                return feed_id(b, arg, NULL, -1, &edge->node);
            ref = fr->call->inputs[arg];
            frame = fr->parent;
            continue;
        }
        const sl_node *n = &fr->nodes[node];
        sl_str passed = {NULL, 0};
        if (is_main(b, frame)) {
            rc = pass_main(b, node, out, edge, &passed, controls);
            if (rc || edge->node >= 0)
                return rc;
        }
        if (passed.n > 0) {
            ref = passed;
            continue;
        }
        if (!sl_node_is_call(n)) {
            edge->out = out;
            return node_id(b, frame, node, &edge->node);
        }
        rc = open_frame(b, frame, node, &callee);
        if (rc == SL_OK)
            rc = add_control(b, controls, b->frames.list[callee].leave);
        if (rc == SL_OK)
            rc = sl_frame_result(&b->frames, callee, out, &ref, b->st);
        if (rc)
            return rc;
        frame = callee;
    }
    return sl_fail(b->st, SL_INVALID_ARGUMENT, "function calls around \"%.*s\" form a cycle",
                   SL_STR_ARG(ref));
}

/* Adds what "^name" waits for. */
static sl_code follow_control(sl_builder *b, int frame, sl_str name, int *controls)
{
    int node = sl_frame_find(&b->frames, frame, name), callee, id = -1;
    const sl_frame *fr = &b->frames.list[frame];
    if (node < 0) {
        if (fr->args != NULL && sl_map_get(fr->args, name) != NULL)
            return SL_OK;
        return sl_fail(b->st, SL_INVALID_ARGUMENT, "control input \"%.*s\" is not in the graph",
                       SL_STR_ARG(name));
    }
    const sl_node *n = &fr->nodes[node];
    if (sl_str_is(n->op, "Placeholder"))
        return SL_OK;
    if (sl_node_is_call(n)) {
        sl_code rc = open_frame(b, frame, node, &callee);
        return rc ? rc : add_control(b, controls, b->frames.list[callee].leave);
    }
    if (b->parent != NULL && is_main(b, frame) && b->fed[node] > 0)
        return SL_OK; /* it is there when a turn or a side begins */
    sl_code rc = is_main(b, frame) ? sl_functional_id(b, node, &id) : SL_OK;
    if (rc == SL_OK && id < 0)
        rc = node_id(b, frame, node, &id);
    return rc ? rc : add_control(b, controls, id);
}

sl_code sl_build_follow_controls(sl_builder *b, int frame, const sl_node *n, int *controls)
{
    sl_code rc = SL_OK;
    for (int i = n->n_inputs - n->n_control; i < n->n_inputs && rc == SL_OK; i++)
        rc = follow_control(b, frame, (sl_str){n->inputs[i].p + 1, n->inputs[i].n - 1}, controls);
    return rc;
}

/* ---- ref variables ---- */

static bool gives_ref(const sl_gnode *n)
{
    if (n->kind == SL_G_HANDLE)
        return sl_str_is(n->source->op, "VariableV2") || sl_str_is(n->source->op, "Variable");
    return n->kind == SL_G_OP && sl_op_takes_ref(n->source->op);
}

/* Puts a READ in front of a use by value. `controls`: what the user waits for. */
static sl_code read_ref(sl_builder *b, sl_edge *edge, int controls)
{
    if (!gives_ref(&b->g->nodes[edge->node]))
        return SL_OK;
    int id = sl_ngraph_add(b->g, SL_G_READ, b->g->nodes[edge->node].name, NULL, 1);
    if (id < 0)
        return sl_build_too_large(b);
    b->g->nodes[id].in[0] = *edge;
    b->g->nodes[id].controls = controls;
    *edge = (sl_edge){id, 0};
    return SL_OK;
}

/* A reference that an Assign passes on is the variable itself, after the Assign. */
static sl_code settle_refs(sl_builder *b)
{
    sl_ngraph *g = b->g;
    for (int i = 0; i < g->n_nodes; i++) {
        sl_gnode *n = &g->nodes[i];
        bool by_ref =
            n->kind == SL_G_READ || (n->kind == SL_G_OP && sl_op_takes_ref(n->source->op));
        for (int hops = 0; by_ref && n->n_in > 0 && hops <= g->n_nodes; hops++) {
            const sl_gnode *from = &g->nodes[n->in[0].node];
            if (from->kind != SL_G_OP || !sl_op_takes_ref(from->source->op) || from->n_in < 1)
                break;
            if (!sl_ngraph_add_control(g, &n->controls, n->in[0].node))
                return sl_build_too_large(b);
            n->in[0] = from->in[0];
        }
    }
    return SL_OK;
}

/* ---- control flow ---- */

sl_code sl_build_sub(sl_builder *b, int id, int k, sl_builder *sub)
{
    if (b->depth >= MAX_SUB_DEPTH || ++b->total->subs > MAX_SUBS)
        return sl_fail(
            b->st, SL_RESOURCE_EXHAUSTED,
            "control flow is nested more than %d levels deep, or more than %d bodies in all",
            MAX_SUB_DEPTH, MAX_SUBS);
    sub->model = b->model;
    sub->depth = b->depth + 1;
    sub->total = b->total;
    sub->st = b->st;
    sl_code rc = build(sub);
    if (rc == SL_OK)
        b->g->nodes[id].subs[k] = sub->g;
    return rc;
}

static sl_code build_function(sl_builder *b, int id, int k, sl_str name)
{
    const sl_function *fn = sl_graph_find_function(b->frames.graph, name);
    sl_gnode *n = &b->g->nodes[id];
    int skip = n->kind == SL_G_BRANCH;
    if (fn == NULL || fn->n_inputs != n->n_in - skip)
        return sl_fail(
            b->st, SL_INVALID_ARGUMENT,
            "function \"%.*s\" of node \"%s\" is not in the library or takes other inputs",
            SL_STR_ARG(name), n->name);
    sl_ngraph_want want = {.function = fn};
    sl_builder sub = of_want(&want);
    return sl_build_sub(b, id, k, &sub);
}

sl_code sl_build_add_subs(sl_builder *b, int id, int count)
{
    sl_gnode *n = &b->g->nodes[id];
    n->subs = sl_arena_try_alloc(&b->g->arena, (size_t)count * sizeof *n->subs);
    if (n->subs == NULL)
        return sl_build_too_large(b);
    memset(n->subs, 0, (size_t)count * sizeof *n->subs);
    n->n_subs = count;
    return SL_OK;
}

static sl_code build_functions(sl_builder *b, int id)
{
    sl_gnode *n = &b->g->nodes[id];
    const sl_node *s = n->source;
    bool is_case = sl_str_is(s->op, "Case") || sl_str_is(s->op, "StatelessCase");
    int count = is_case ? sl_node_list_count(s, "branches") : 2;
    if (count < 1 || count > MAX_SUBS || n->n_in < 1)
        return sl_fail(b->st, SL_INVALID_ARGUMENT, "node \"%s\" has no branches or no inputs",
                       n->name);
    sl_code rc = sl_build_add_subs(b, id, count);
    n->is_case = is_case;
    const char *first = n->kind == SL_G_LOOP ? "cond" : "else_branch";
    const char *second = n->kind == SL_G_LOOP ? "body" : "then_branch";
    for (int k = 0; k < count && rc == SL_OK; k++)
        rc = build_function(b, id, k,
                            is_case ? sl_node_list_func(s, "branches", k)
                                    : sl_node_func(s, k == 0 ? first : second));
    return rc;
}

/*
 * What does not change from round to round, or is only passed into a branch, and is a constant or a
 * handle outside, is the same inside: so variables are seen by everything that looks for them.
 */
static void bind_captures(sl_ngraph *g, const sl_gnode *n)
{
    int skip = n->kind == SL_G_BRANCH;
    const sl_ngraph *body = n->subs[n->n_subs - 1];
    for (int k = 0; k < n->n_subs; k++)
        for (int i = 0; i < n->subs[k]->n_feeds; i++) {
            sl_ngraph *sub = n->subs[k];
            int at = sub->feeds[i].node;
            const sl_gnode *outer = &g->nodes[n->in[i + skip].node];
            bool fixed = n->kind == SL_G_BRANCH || (i < body->n_outs && body->feeds[i].node >= 0 &&
                                                    body->outs[i].edge.node == body->feeds[i].node);
            if (at < 0 || !fixed || (outer->kind != SL_G_HANDLE && outer->kind != SL_G_CONST))
                continue;
            sl_gnode *inner = &sub->nodes[at];
            inner->kind = outer->kind;
            inner->source = outer->source;
            inner->feed = -1;
            if (outer->kind == SL_G_CONST)
                sl_tensor_share(&outer->constant, &inner->constant);
        }
}

/* From the outside in: what is bound here may be bound further down. Depth: MAX_SUB_DEPTH. */
static void bind_graph(sl_ngraph *g)
{
    for (int i = 0; i < g->n_nodes; i++) {
        if (g->nodes[i].n_subs > 0)
            bind_captures(g, &g->nodes[i]);
        for (int k = 0; k < g->nodes[i].n_subs; k++)
            bind_graph(g->nodes[i].subs[k]);
    }
}

/* ---- the walk ---- */

static sl_code do_node(sl_builder *b, const sl_build_job *j)
{
    const sl_node *n = &b->frames.list[j->frame].nodes[j->node];
    sl_gkind kind = b->g->nodes[j->id].kind;
    int controls = -1;
    sl_code rc = sl_build_follow_controls(b, j->frame, n, &controls);
    if (rc == SL_OK && (kind == SL_G_OP || kind == SL_G_BRANCH || kind == SL_G_LOOP) &&
        sl_opdef_is_stateful(n->op))
        rc = add_control(b, &controls, b->frames.list[j->frame].enter);
    for (int i = 0; i < b->g->nodes[j->id].n_in && rc == SL_OK; i++) {
        sl_edge e;
        rc = follow(b, j->frame, n->inputs[i], &e, &controls);
        if (rc == SL_OK && !(i == 0 && sl_op_takes_ref(n->op)))
            rc = read_ref(b, &e, controls);
        if (rc == SL_OK)
            b->g->nodes[j->id].in[i] = e;
    }
    b->g->nodes[j->id].controls = controls;
    if (rc == SL_OK && (kind == SL_G_BRANCH || kind == SL_G_LOOP))
        rc = build_functions(b, j->id);
    return rc;
}

sl_code sl_build_input(sl_builder *b, int id, int i, sl_str ref, const sl_node *after,
                       int *controls)
{
    sl_edge e;
    sl_code rc = follow(b, 0, ref, &e, controls);
    if (rc == SL_OK && after != NULL)
        rc = sl_build_follow_controls(b, 0, after, controls);
    if (rc == SL_OK)
        rc = read_ref(b, &e, *controls);
    if (rc == SL_OK)
        b->g->nodes[id].in[i] = e;
    return rc;
}

/* The body waits for what its call waits for. */
static sl_code do_enter(sl_builder *b, const sl_build_job *j)
{
    int parent = b->frames.list[j->frame].parent, controls = -1;
    const sl_node *call = b->frames.list[j->frame].call;
    sl_code rc = add_control(b, &controls, b->frames.list[parent].enter);
    if (rc == SL_OK)
        rc = sl_build_follow_controls(b, parent, call, &controls);
    b->g->nodes[j->id].controls = controls;
    return rc;
}

static sl_code run_returns(sl_builder *b, int frame, int *controls)
{
    const sl_function *fn = b->frames.list[frame].fn;
    sl_code rc = SL_OK;
    for (int i = 0; i < fn->n_control_ret && rc == SL_OK; i++)
        rc = follow_control(b, frame, fn->control_ret[i].value, controls);
    return rc;
}

static sl_code do_leave(sl_builder *b, const sl_build_job *j)
{
    int controls = -1;
    sl_code rc = add_control(b, &controls, b->frames.list[j->frame].enter);
    if (rc == SL_OK)
        rc = run_returns(b, j->frame, &controls);
    b->g->nodes[j->id].controls = controls;
    return rc;
}

static sl_code work(sl_builder *b)
{
    sl_code rc = SL_OK;
    while (b->n_jobs > 0 && rc == SL_OK) {
        sl_build_job j = b->jobs[--b->n_jobs];
        rc = j.run(b, &j);
    }
    return rc;
}

/* ---- roots ---- */

static sl_code prepare_feeds(sl_builder *b)
{
    sl_ngraph *g = b->g;
    g->n_feeds = b->n_feeds;
    size_t n = (size_t)g->n_feeds;
    g->feeds = sl_arena_try_alloc(&g->arena, n * sizeof *g->feeds);
    b->next_feed = sl_try_calloc(2 * n, sizeof *b->next_feed);
    b->feed_out = sl_try_calloc(2 * n, sizeof *b->feed_out);
    b->fed =
        b->want->function ? NULL : sl_try_calloc((size_t)b->frames.graph->n_nodes, sizeof *b->fed);
    if (g->feeds == NULL || b->next_feed == NULL || b->feed_out == NULL ||
        (b->want->function == NULL && b->fed == NULL))
        return sl_build_too_large(b);
    for (int i = 0; i < g->n_feeds; i++)
        g->feeds[i] = (sl_gfeed){.node = -1};
    return SL_OK;
}

void sl_build_mark(sl_builder *b, int k, int node, int out)
{
    b->feed_out[k] = out;
    b->next_feed[k] = b->fed[node];
    b->fed[node] = k + 1;
}

static sl_code register_feeds(sl_builder *b)
{
    sl_ngraph *g = b->g;
    for (int i = 0; i < g->n_feeds; i++) {
        int node, out, arg;
        sl_str name = b->want->feeds[i];
        sl_code rc = sl_frame_parse(&b->frames, 0, name, &node, &out, &arg, b->st);
        if (rc)
            return rc;
        const sl_node *n = &b->frames.list[0].nodes[node];
        g->feeds[i].dtype = sl_dtype_base(sl_opdef_output_type(n, out));
        g->feeds[i].tensor = sl_arena_try_strndup(&g->arena, name.p, name.n);
        if (g->feeds[i].tensor == NULL)
            return sl_build_too_large(b);
        if (feed_of(b, node, out) >= 0)
            continue; /* one tensor under two names: the first one feeds it */
        sl_build_mark(b, i, node, out);
    }
    return SL_OK;
}

static sl_dtype arg_type(const sl_function *fn, int i)
{
    return sl_dtype_base(fn->inputs[i].type);
}

sl_code sl_build_fetch(sl_builder *b, int i, sl_str ref)
{
    sl_gout out = {.controls = -1};
    sl_code rc = follow(b, 0, ref, &out.edge, &out.controls);
    if (rc == SL_OK)
        rc = read_ref(b, &out.edge, out.controls);
    b->g->outs[i] = out;
    return rc;
}

static sl_code start_main(sl_builder *b)
{
    sl_code rc = register_feeds(b);
    if (rc == SL_OK)
        rc = sl_functional_find(b);
    for (int i = 0; i < b->g->n_outs && rc == SL_OK; i++)
        rc = sl_build_fetch(b, i, b->want->fetches[i]);
    if (rc == SL_OK && b->want->target.n > 0)
        rc = follow_control(b, 0, b->want->target, &b->g->effects);
    return rc;
}

static sl_code start_function(sl_builder *b)
{
    const sl_function *fn = b->want->function;
    sl_code rc = SL_OK;
    for (int i = 0; i < fn->n_inputs; i++)
        b->g->feeds[i].dtype = arg_type(fn, i);
    for (int i = 0; i < fn->n_outputs && rc == SL_OK; i++) {
        sl_str ref;
        rc = sl_frame_result(&b->frames, 0, i, &ref, b->st);
        if (rc == SL_OK)
            rc = sl_build_fetch(b, i, ref);
    }
    return rc ? rc : run_returns(b, 0, &b->g->effects);
}

static sl_builder of_want(const sl_ngraph_want *w)
{
    const sl_function *fn = w->function;
    return (sl_builder){.want = w,
                        .n_feeds = fn ? fn->n_inputs : w->n_feeds,
                        .n_outs = fn ? fn->n_outputs : w->n_fetches,
                        .start = fn ? start_function : start_main};
}

/* Fills b->g. Recursion only into bodies of control flow, to MAX_SUB_DEPTH. */
static sl_code build(sl_builder *b)
{
    const sl_function *fn = b->want->function;
    sl_code rc;
    b->g = sl_try_calloc(1, sizeof *b->g);
    if (b->g == NULL || sl_arena_init(&b->g->arena, ARENA_FIRST)) {
        sl_free(b->g);
        b->g = NULL;
        return sl_fail(b->st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
    }
    b->g->effects = -1;
    b->g->own_ops = b->want->own_ops;
    b->g->own_ops_context = b->want->own_ops_context;
    b->g->n_outs = b->n_outs;
    b->g->outs = sl_arena_try_alloc(&b->g->arena, (size_t)b->g->n_outs * sizeof *b->g->outs);
    rc = b->g->outs
             ? sl_frames_init(&b->frames, sl_saved_model_graph(b->model), fn, &b->g->arena, b->st)
             : sl_build_too_large(b);
    if (rc == SL_OK)
        rc = prepare_feeds(b);
    if (rc == SL_OK)
        rc = b->start(b);
    if (rc == SL_OK)
        rc = work(b);
    if (rc == SL_OK)
        rc = settle_refs(b);
    sl_functional_fini(b);
    sl_frames_fini(&b->frames);
    sl_free(b->jobs);
    sl_free(b->fed);
    sl_free(b->next_feed);
    sl_free(b->feed_out);
    if (rc) {
        sl_ngraph_free(b->g);
        b->g = NULL;
    }
    return rc;
}

sl_code sl_ngraph_build(const sl_saved_model *m, const sl_ngraph_want *want, sl_ngraph **out,
                        sl_status *st)
{
    sl_build_total total = {.budget = SL_NGRAPH_MAX_SLOTS};
    sl_builder b = of_want(want);
    b.model = m;
    b.total = &total;
    b.st = st;
    sl_code rc = build(&b);
    if (rc)
        return rc;
    bind_graph(b.g);
    if (want->feed_values != NULL)
        b.g->n_feeds = 0; /* they are constants now */
    *out = b.g;
    return SL_OK;
}
