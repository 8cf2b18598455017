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
 * A loop of TensorFlow 1 (whiles.h) becomes a LOOP whose condition and body are read from the same
 * main graph, as a signature is: with the loop's variables fed, and what they become fetched. A
 * conditional whose predicate is computed (conds.h) becomes a BRANCH in the same way.
 *
 * A ref variable (TF1) is read at the moment when its consumer runs, so each such use gets a READ
 * node with the consumer's control edges.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "engine/native/branches.h"
#include "engine/native/conds.h"
#include "engine/native/inline.h"
#include "engine/native/whiles.h"

enum { MAX_HOPS = 4096, MAX_SUB_DEPTH = 12, MAX_SUBS = 1 << 12, ARENA_FIRST = 16 << 10 };

typedef enum job_kind { JOB_NODE, JOB_ENTER, JOB_LEAVE, JOB_WHILE, JOB_COND } job_kind;
typedef struct job {
    job_kind kind;
    /* NODE: node `node` of the frame is number `id` here; WHILE, COND: loop or conditional `node`. */
    int frame, node, id;
} job;

typedef struct builder {
    const sl_saved_model *model;
    const sl_ngraph_want *want;
    sl_ngraph *g;
    sl_frames frames;
    job *jobs;
    size_t n_jobs, cap_jobs;
    int *fed;             /* main graph: for each node the first mark of one of its outputs + 1 */
    int *next_feed;       /* for each mark: the next one of the same node + 1 */
    int *feed_out;        /* mark k is of feed k % n_feeds: a loop's variable has two names */
    sl_branches branches; /* of the main graph */
    sl_whiles *whiles;    /* of the main graph, or NULL; shared with the sub-builders of loops */
    int loop;             /* the one of which this is the condition or body; -1: neither */
    bool is_cond;
    sl_cond *conds; /* computed conditionals of TensorFlow 1 that were met here */
    size_t n_conds, cap_conds;
    int *opens;          /* main graph: for each Switch the first node that has it + 1; or NULL */
    const sl_cond *cond; /* the one of which this is a side, or NULL */
    int side;
    size_t *budget; /* nodes that may be looked at for conditionals */
    const struct builder
        *parent; /* of a condition, a body or a side that is read from the main graph */
    int depth;   /* of sub-graphs */
    int *subs;   /* how many there are in the whole graph; shared with the sub-builders */
    sl_status *st;
} builder;

static sl_code build(builder *b);

static sl_code too_large(builder *b)
{
    return b->g->n_nodes >= SL_NGRAPH_MAX_NODES || b->g->n_controls >= SL_NGRAPH_MAX_EDGES
               ? sl_fail(b->st, SL_RESOURCE_EXHAUSTED, "the graph is too large: more than %d nodes",
                         SL_NGRAPH_MAX_NODES)
               : sl_fail(b->st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
}

static sl_code push(builder *b, job j)
{
    job *jobs = sl_try_grow(b->jobs, b->n_jobs, &b->cap_jobs, sizeof *jobs);
    if (jobs == NULL)
        return too_large(b);
    b->jobs = jobs;
    jobs[b->n_jobs++] = j;
    return SL_OK;
}

static sl_code add_control(builder *b, int *list, int node)
{
    if (node < 0)
        return SL_OK;
    return sl_ngraph_add_control(b->g, list, node) ? SL_OK : too_large(b);
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

static sl_code node_id(builder *b, int frame, int node, int *id)
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
        return too_large(b);
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
    return push(b, (job){JOB_NODE, frame, node, *id});
}

/* `node`: where `source` stands in the main graph, NULL in a function. */
static sl_code feed_id(builder *b, int feed, const sl_node *source, int node, int *id)
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
        return too_large(b);
    f->node = *id;
    if (value != NULL)
        sl_tensor_share(value, &b->g->nodes[*id].constant);
    else
        b->g->nodes[*id].feed = feed;
    return has_default ? push(b, (job){JOB_NODE, 0, node, *id}) : SL_OK;
}

/* The feed of that tensor of the main graph, -1 if it is not fed. */
static int feed_of(const builder *b, int frame, int node, int out)
{
    if (frame != 0 || b->fed == NULL)
        return -1;
    for (int f = b->fed[node] - 1; f >= 0; f = b->next_feed[f] - 1)
        if (b->feed_out[f] == out)
            return f % b->g->n_feeds;
    return -1;
}

/* Here or around the loop or conditional that this is in. */
static bool is_fed(void *arg, int node, int out)
{
    for (const builder *b = arg; b != NULL; b = b->parent)
        if (feed_of(b, 0, node, out) >= 0)
            return true;
    return false;
}

/* Through a Switch or Merge of which it is known what it passes on: *ref is that then, else n == 0.
 */
static sl_code pass_branch(builder *b, int frame, int node, int out, sl_str *ref)
{
    int input = -1;
    sl_code rc = SL_OK;
    *ref = (sl_str){NULL, 0};
    if (frame == 0 && b->fed != NULL)
        rc = sl_branches_pass(&b->branches, node, out, &input, b->st);
    if (rc == SL_OK && input >= 0)
        *ref = b->frames.list[0].nodes[node].inputs[input];
    return rc;
}

/* ---- calls ---- */

static sl_code open_frame(builder *b, int frame, int node, int *callee)
{
    bool fresh;
    sl_code rc = sl_frames_enter(&b->frames, frame, node, callee, &fresh, b->st);
    if (rc || !fresh)
        return rc;
    sl_frame *fr = &b->frames.list[*callee];
    if (fr->call->n_control > 0 || b->frames.list[frame].enter >= 0) {
        fr->enter = sl_ngraph_add(b->g, SL_G_CONTROL, fr->prefix, NULL, 0);
        rc = fr->enter < 0 ? too_large(b) : push(b, (job){JOB_ENTER, *callee, node, fr->enter});
    }
    if (rc == SL_OK && (fr->fn->n_control_ret > 0 || fr->enter >= 0)) {
        fr->leave = sl_ngraph_add(b->g, SL_G_CONTROL, fr->prefix, NULL, 0);
        rc = fr->leave < 0 ? too_large(b) : push(b, (job){JOB_LEAVE, *callee, node, fr->leave});
    }
    return rc;
}

/* ---- loops of TensorFlow 1 ---- */

static const sl_node *main_node(const builder *b, int node)
{
    return &b->frames.list[0].nodes[node];
}

/* The loop behind an Exit of the main graph, as one node; *id -1: the node is no such Exit. */
static sl_code while_id(builder *b, int node, int *id, int *var)
{
    int loop;
    *id = -1;
    if (b->whiles == NULL || !sl_whiles_exit(b->whiles, node, &loop, var))
        return SL_OK;
    const sl_while *l = &b->whiles->list[loop];
    int *known = &b->frames.list[0].ids[l->cond];
    if (*known > 0) {
        *id = *known - 1;
        return SL_OK;
    }
    char *name = sl_arena_try_strndup(&b->g->arena, l->name.p, l->name.n);
    *id = name ? sl_ngraph_add(b->g, SL_G_LOOP, name, NULL, l->n_vars + l->n_invariants) : -1;
    if (*id < 0)
        return too_large(b);
    *known = *id + 1;
    return push(b, (job){JOB_WHILE, 0, loop, *id});
}

static sl_code follow_control(builder *b, int frame, sl_str name, int *controls);

static sl_code follow_controls(builder *b, int node, int *controls)
{
    const sl_node *n = main_node(b, node);
    sl_code rc = SL_OK;
    for (int i = n->n_inputs - n->n_control; i < n->n_inputs && rc == SL_OK; i++)
        rc = follow_control(b, 0, (sl_str){n->inputs[i].p + 1, n->inputs[i].n - 1}, controls);
    return rc;
}

/* Two Merges that have a Switch in common may compute the same thing twice. */
static bool share_splits(builder *b, const sl_cond *c, int id)
{
    if (b->opens == NULL)
        b->opens = sl_try_calloc((size_t)b->frames.graph->n_nodes, sizeof *b->opens);
    for (int i = 0; i < c->n_splits && b->opens != NULL; i++) {
        int *first = &b->opens[c->splits[i]];
        if (*first == 0)
            *first = id + 1;
        else
            b->g->nodes[*first - 1].again = b->g->nodes[id].again = true;
    }
    return b->opens != NULL;
}

/* The conditional that a Merge of the main graph ends, as one node; *id -1: it is none. */
static sl_code cond_id(builder *b, int node, int *id)
{
    const sl_node *n = main_node(b, node);
    int *known = &b->frames.list[0].ids[node];
    *id = *known - 1;
    if (*known > 0 || !sl_node_is_flow(n, "Merge"))
        return SL_OK;
    sl_cond *conds = sl_try_grow(b->conds, b->n_conds, &b->cap_conds, sizeof *conds);
    if (conds == NULL)
        return too_large(b);
    b->conds = conds;
    sl_cond *c = &conds[b->n_conds];
    sl_code rc = sl_cond_find(b->frames.graph, node, is_fed, b, b->budget, c, b->st);
    if (rc || c->n_splits == 0)
        return rc;
    b->n_conds++;
    char *name = sl_arena_try_strndup(&b->g->arena, n->name.p, n->name.n);
    *id = name ? sl_ngraph_add(b->g, SL_G_BRANCH, name, NULL, 1 + c->n_splits) : -1;
    if (*id < 0 || !share_splits(b, c, *id))
        return too_large(b);
    *known = *id + 1;
    return push(b, (job){JOB_COND, 0, (int)b->n_conds - 1, *id});
}

/* What an output of a node of the main graph is where control flow of TensorFlow 1 is concerned:
 * edge->node >= 0: that; ref->n > 0: it has the value of that; else nothing special. */
static sl_code pass_flow(builder *b, int node, int out, sl_edge *edge, sl_str *ref, int *controls)
{
    const sl_node *n = main_node(b, node);
    *ref = (sl_str){NULL, 0};
    edge->node = -1;
    if (b->parent != NULL && is_fed((void *)b->parent, node, out))
        return sl_fail(
            b->st, SL_FAILED_PRECONDITION,
            "node \"%.*s\" is used in a loop or conditional without an Enter or a Switch",
            SL_STR_ARG(n->name));
    if (b->whiles != NULL && sl_str_is(n->op, "LoopCond") && n->n_inputs > n->n_control) {
        *ref = n->inputs[0];
        return SL_OK;
    }
    sl_code rc = while_id(b, node, &edge->node, &edge->out);
    if (rc == SL_OK && edge->node < 0 && out == 0 && sl_node_is_flow(n, "Merge")) {
        rc = cond_id(b, node, &edge->node);
        edge->out = 0;
    } else if (rc == SL_OK && edge->node >= 0) {
        rc = follow_controls(b, node, controls);
    }
    return rc;
}

/* Follows a data reference to the node that makes it; the calls it passed go onto *controls. */
static sl_code follow(builder *b, int frame, sl_str ref, sl_edge *edge, int *controls)
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
        int feed = feed_of(b, frame, node, out);
        if (feed >= 0) {
            edge->out = 0;
            return feed_id(b, feed, n, node, &edge->node);
        }
        sl_str passed;
        rc = pass_branch(b, frame, node, out, &passed);
        if (rc)
            return rc;
        if (passed.n == 0 && frame == 0 && fr->fn == NULL) {
            rc = pass_flow(b, node, out, edge, &passed, controls);
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
static sl_code follow_control(builder *b, int frame, sl_str name, int *controls)
{
    int node = sl_frame_find(&b->frames, frame, name), callee, id, var;
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
    if (b->parent != NULL && frame == 0 && b->fed[node] > 0)
        return SL_OK; /* it is there when a turn or a side begins */
    sl_code rc = SL_OK;
    id = -1;
    if (frame == 0 && fr->fn == NULL) {
        rc = while_id(b, node, &id, &var);
        if (rc == SL_OK && id < 0 && sl_node_is_flow(n, "Merge"))
            rc = cond_id(b, node, &id);
    }
    if (rc == SL_OK && id < 0)
        rc = node_id(b, frame, node, &id);
    return rc ? rc : add_control(b, controls, id);
}

/* ---- ref variables ---- */

static bool gives_ref(const sl_gnode *n)
{
    if (n->kind == SL_G_HANDLE)
        return sl_str_is(n->source->op, "VariableV2") || sl_str_is(n->source->op, "Variable");
    return n->kind == SL_G_OP && sl_op_takes_ref(n->source->op);
}

/* Puts a READ in front of a use by value. `controls`: what the user waits for. */
static sl_code read_ref(builder *b, sl_edge *edge, int controls)
{
    if (!gives_ref(&b->g->nodes[edge->node]))
        return SL_OK;
    int id = sl_ngraph_add(b->g, SL_G_READ, b->g->nodes[edge->node].name, NULL, 1);
    if (id < 0)
        return too_large(b);
    b->g->nodes[id].in[0] = *edge;
    b->g->nodes[id].controls = controls;
    *edge = (sl_edge){id, 0};
    return SL_OK;
}

/* A reference that an Assign passes on is the variable itself, after the Assign. */
static sl_code settle_refs(builder *b)
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
                return too_large(b);
            n->in[0] = from->in[0];
        }
    }
    return SL_OK;
}

/* ---- control flow ---- */

/* Builds sub-graph k of a node with `sub`, whose want is set. */
static sl_code start_sub(builder *b, int id, int k, builder *sub)
{
    if (b->depth >= MAX_SUB_DEPTH || ++*b->subs > MAX_SUBS)
        return sl_fail(
            b->st, SL_RESOURCE_EXHAUSTED,
            "control flow is nested more than %d levels deep, or more than %d bodies in all",
            MAX_SUB_DEPTH, MAX_SUBS);
    sub->model = b->model;
    sub->depth = b->depth + 1;
    sub->subs = b->subs;
    sub->st = b->st;
    sl_code rc = build(sub);
    if (rc == SL_OK)
        b->g->nodes[id].subs[k] = sub->g;
    return rc;
}

static sl_code build_sub(builder *b, int id, int k, sl_str name)
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
    builder sub = {.want = &want, .loop = -1};
    return start_sub(b, id, k, &sub);
}

static sl_code add_subs(builder *b, sl_gnode *n, int count)
{
    n->subs = sl_arena_try_alloc(&b->g->arena, (size_t)count * sizeof *n->subs);
    if (n->subs == NULL)
        return too_large(b);
    memset(n->subs, 0, (size_t)count * sizeof *n->subs);
    n->n_subs = count;
    return SL_OK;
}

static sl_code build_subs(builder *b, int id)
{
    sl_gnode *n = &b->g->nodes[id];
    const sl_node *s = n->source;
    bool is_case = sl_str_is(s->op, "Case") || sl_str_is(s->op, "StatelessCase");
    int count = is_case ? sl_node_list_count(s, "branches") : 2;
    if (count < 1 || count > MAX_SUBS || n->n_in < 1)
        return sl_fail(b->st, SL_INVALID_ARGUMENT, "node \"%s\" has no branches or no inputs",
                       n->name);
    sl_code rc = add_subs(b, n, count);
    n->is_case = is_case;
    const char *first = n->kind == SL_G_LOOP ? "cond" : "else_branch";
    const char *second = n->kind == SL_G_LOOP ? "body" : "then_branch";
    for (int k = 0; k < count && rc == SL_OK; k++)
        rc = build_sub(b, id, k,
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

static sl_code do_node(builder *b, const job *j)
{
    const sl_node *n = &b->frames.list[j->frame].nodes[j->node];
    sl_gkind kind = b->g->nodes[j->id].kind;
    int n_data = n->n_inputs - n->n_control, controls = -1;
    sl_code rc = SL_OK;
    for (int i = n_data; i < n->n_inputs && rc == SL_OK; i++) {
        sl_str name = n->inputs[i];
        rc = follow_control(b, j->frame, (sl_str){name.p + 1, name.n - 1}, &controls);
    }
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
        rc = build_subs(b, j->id);
    return rc;
}

/* Builds sub-graph k of a node from the main graph. */
static sl_code start_part(builder *b, int id, int k, builder *sub)
{
    static const sl_ngraph_want nothing = {.fetches = NULL};
    sub->want = &nothing;
    sub->whiles = b->whiles;
    sub->budget = b->budget;
    sub->parent = b;
    sub->branches =
        (sl_branches){.graph = sl_saved_model_graph(b->model), .fed = is_fed, .arg = sub};
    return start_sub(b, id, k, sub);
}

/* Input i of the node is what `ref` names, once `control`, if there is one, may run. */
static sl_code take_input(builder *b, int id, int i, sl_str ref, int control, int *controls)
{
    sl_edge e;
    sl_code rc = follow(b, 0, ref, &e, controls);
    if (rc == SL_OK && control >= 0)
        rc = follow_controls(b, control, controls);
    if (rc == SL_OK)
        rc = read_ref(b, &e, *controls);
    if (rc == SL_OK)
        b->g->nodes[id].in[i] = e;
    return rc;
}

/* A loop of TensorFlow 1: what its Enters take goes in. */
static sl_code do_while(builder *b, const job *j)
{
    const sl_while *l = &b->whiles->list[j->node];
    int controls = -1;
    sl_code rc = SL_OK;
    for (int i = 0; i < l->n_vars + l->n_invariants && rc == SL_OK; i++) {
        int enter = i < l->n_vars ? l->vars[i].enter : l->invariants[i - l->n_vars];
        rc = take_input(b, j->id, i, main_node(b, enter)->inputs[0], enter, &controls);
    }
    b->g->nodes[j->id].controls = controls;
    if (rc == SL_OK)
        rc = add_subs(b, &b->g->nodes[j->id], 2);
    for (int k = 0; k < 2 && rc == SL_OK; k++) {
        builder sub = {.loop = j->node, .is_cond = k == 0};
        rc = start_part(b, j->id, k, &sub);
    }
    return rc;
}

/* A conditional of TensorFlow 1: the predicate and what its Switches take go in. */
static sl_code do_cond(builder *b, const job *j)
{
    const sl_cond c = b->conds[j->node];
    int controls = -1;
    sl_code rc = follow_controls(b, c.merge, &controls);
    for (int i = 0; i <= c.n_splits && rc == SL_OK; i++) {
        int split = i == 0 ? -1 : c.splits[i - 1];
        sl_str ref = i == 0 ? c.pred : main_node(b, split)->inputs[0];
        rc = take_input(b, j->id, i, ref, split, &controls);
    }
    b->g->nodes[j->id].controls = controls;
    if (rc == SL_OK)
        rc = add_subs(b, &b->g->nodes[j->id], 2);
    for (int k = 0; k < 2 && rc == SL_OK; k++) {
        builder sub = {.loop = -1, .cond = &b->conds[j->node], .side = k};
        rc = start_part(b, j->id, k, &sub);
    }
    return rc;
}

/* The body waits for what its call waits for. */
static sl_code do_enter(builder *b, const job *j)
{
    int parent = b->frames.list[j->frame].parent, controls = -1;
    const sl_node *call = b->frames.list[j->frame].call;
    sl_code rc = add_control(b, &controls, b->frames.list[parent].enter);
    for (int i = call->n_inputs - call->n_control; i < call->n_inputs && rc == SL_OK; i++)
        rc = follow_control(b, parent, (sl_str){call->inputs[i].p + 1, call->inputs[i].n - 1},
                            &controls);
    b->g->nodes[j->id].controls = controls;
    return rc;
}

static sl_code run_returns(builder *b, int frame, int *controls)
{
    const sl_function *fn = b->frames.list[frame].fn;
    sl_code rc = SL_OK;
    for (int i = 0; i < fn->n_control_ret && rc == SL_OK; i++)
        rc = follow_control(b, frame, fn->control_ret[i].value, controls);
    return rc;
}

static sl_code do_leave(builder *b, const job *j)
{
    int controls = -1;
    sl_code rc = add_control(b, &controls, b->frames.list[j->frame].enter);
    if (rc == SL_OK)
        rc = run_returns(b, j->frame, &controls);
    b->g->nodes[j->id].controls = controls;
    return rc;
}

static sl_code work(builder *b)
{
    sl_code rc = SL_OK;
    while (b->n_jobs > 0 && rc == SL_OK) {
        job j = b->jobs[--b->n_jobs];
        rc = j.kind == JOB_NODE    ? do_node(b, &j)
             : j.kind == JOB_ENTER ? do_enter(b, &j)
             : j.kind == JOB_LEAVE ? do_leave(b, &j)
             : j.kind == JOB_WHILE ? do_while(b, &j)
                                   : do_cond(b, &j);
    }
    return rc;
}

/* ---- roots ---- */

static sl_code prepare_feeds(builder *b)
{
    sl_ngraph *g = b->g;
    const sl_function *fn = b->want->function;
    const sl_while *l = b->loop >= 0 ? &b->whiles->list[b->loop] : NULL;
    g->n_feeds = l         ? l->n_vars + l->n_invariants
                 : b->cond ? b->cond->n_splits
                 : fn      ? fn->n_inputs
                           : b->want->n_feeds;
    size_t n = (size_t)g->n_feeds;
    g->feeds = sl_arena_try_alloc(&g->arena, n * sizeof *g->feeds);
    b->next_feed = sl_try_calloc(2 * n, sizeof *b->next_feed);
    b->feed_out = sl_try_calloc(2 * n, sizeof *b->feed_out);
    b->fed = fn ? NULL : sl_try_calloc((size_t)b->frames.graph->n_nodes, sizeof *b->fed);
    if (g->feeds == NULL || b->next_feed == NULL || b->feed_out == NULL ||
        (fn == NULL && b->fed == NULL))
        return too_large(b);
    for (int i = 0; i < g->n_feeds; i++)
        g->feeds[i] = (sl_gfeed){.node = -1};
    return SL_OK;
}

static void mark(builder *b, int k, int node, int out)
{
    b->feed_out[k] = out;
    b->next_feed[k] = b->fed[node];
    b->fed[node] = k + 1;
}

static sl_code register_feeds(builder *b)
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
            return too_large(b);
        if (feed_of(b, 0, node, out) >= 0)
            continue; /* one tensor under two names: the first one feeds it */
        mark(b, i, node, out);
    }
    return SL_OK;
}

static sl_dtype arg_type(const sl_function *fn, int i)
{
    return sl_dtype_base(fn->inputs[i].type);
}

static sl_code fetch(builder *b, int i, sl_str ref)
{
    sl_gout out = {.controls = -1};
    sl_code rc = follow(b, 0, ref, &out.edge, &out.controls);
    if (rc == SL_OK)
        rc = read_ref(b, &out.edge, out.controls);
    b->g->outs[i] = out;
    return rc;
}

static sl_code find_whiles(builder *b)
{
    const sl_ngraph_want *w = b->want;
    sl_str *roots = sl_try_calloc((size_t)w->n_fetches + 1, sizeof *roots);
    if (roots == NULL)
        return too_large(b);
    for (int i = 0; i < w->n_fetches; i++)
        roots[i] = w->fetches[i];
    roots[w->n_fetches] = w->target;
    sl_code rc = sl_whiles_find(sl_saved_model_graph(b->model), roots,
                                w->n_fetches + (w->target.n > 0), is_fed, b, &b->whiles, b->st);
    sl_free(roots);
    return rc;
}

static sl_code start_main(builder *b)
{
    sl_code rc = register_feeds(b);
    if (rc == SL_OK)
        rc = find_whiles(b);
    for (int i = 0; i < b->g->n_outs && rc == SL_OK; i++)
        rc = fetch(b, i, b->want->fetches[i]);
    if (rc == SL_OK && b->want->target.n > 0)
        rc = follow_control(b, 0, b->want->target, &b->g->effects);
    return rc;
}

/* What a turn begins with: the Merges, and in the body also what the Switches pass on. */
static void feed_while(builder *b, const sl_while *l)
{
    int n = b->g->n_feeds;
    for (int i = 0; i < l->n_vars; i++) {
        mark(b, i, l->vars[i].merge, 0);
        if (!b->is_cond && l->vars[i].split >= 0)
            mark(b, n + i, l->vars[i].split, 1);
    }
    for (int i = 0; i < l->n_invariants; i++)
        mark(b, l->n_vars + i, l->invariants[i], 0);
}

static sl_code start_while(builder *b)
{
    const sl_while *l = &b->whiles->list[b->loop];
    sl_code rc = SL_OK;
    feed_while(b, l);
    if (b->is_cond) {
        rc = follow_controls(b, l->cond, &b->g->effects);
        return rc ? rc : fetch(b, 0, main_node(b, l->cond)->inputs[0]);
    }
    for (int i = 0; i < l->n_vars && rc == SL_OK; i++) {
        rc = fetch(b, i, main_node(b, l->vars[i].next)->inputs[0]);
        if (rc == SL_OK)
            rc = follow_controls(b, l->vars[i].next, &b->g->effects);
        if (rc == SL_OK && l->vars[i].split >= 0)
            rc = follow_controls(b, l->vars[i].split, &b->g->effects);
    }
    for (int i = 0; i < l->n_invariants && rc == SL_OK; i++)
        rc = fetch(b, l->n_vars + i, main_node(b, l->invariants[i])->name);
    return rc;
}

static sl_code start_cond(builder *b)
{
    const sl_cond *c = b->cond;
    for (int i = 0; i < c->n_splits; i++)
        mark(b, i, c->splits[i], b->side);
    return fetch(b, 0, main_node(b, c->merge)->inputs[c->input[b->side]]);
}

static sl_code start_function(builder *b)
{
    const sl_function *fn = b->want->function;
    sl_code rc = SL_OK;
    for (int i = 0; i < fn->n_inputs; i++)
        b->g->feeds[i].dtype = arg_type(fn, i);
    for (int i = 0; i < fn->n_outputs && rc == SL_OK; i++) {
        sl_str ref;
        rc = sl_frame_result(&b->frames, 0, i, &ref, b->st);
        if (rc == SL_OK)
            rc = fetch(b, i, ref);
    }
    return rc ? rc : run_returns(b, 0, &b->g->effects);
}

/* Fills b->g. Recursion only into bodies of control flow, to MAX_SUB_DEPTH. */
static sl_code build(builder *b)
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
    b->g->n_outs = fn ? fn->n_outputs : b->want->n_fetches;
    if (b->loop >= 0) {
        const sl_while *l = &b->whiles->list[b->loop];
        b->g->n_outs = b->is_cond ? 1 : l->n_vars + l->n_invariants;
    } else if (b->cond != NULL) {
        b->g->n_outs = 1;
    }
    b->g->outs = sl_arena_try_alloc(&b->g->arena, (size_t)b->g->n_outs * sizeof *b->g->outs);
    rc = b->g->outs
             ? sl_frames_init(&b->frames, sl_saved_model_graph(b->model), fn, &b->g->arena, b->st)
             : too_large(b);
    if (rc == SL_OK)
        rc = prepare_feeds(b);
    if (rc == SL_OK)
        rc = fn                ? start_function(b)
             : b->loop >= 0    ? start_while(b)
             : b->cond != NULL ? start_cond(b)
                               : start_main(b);
    if (rc == SL_OK)
        rc = work(b);
    if (rc == SL_OK)
        rc = settle_refs(b);
    sl_branches_fini(&b->branches);
    if (b->parent == NULL)
        sl_whiles_free(b->whiles);
    for (size_t i = 0; i < b->n_conds; i++)
        sl_cond_fini(&b->conds[i]);
    sl_free(b->conds);
    sl_free(b->opens);
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
    int subs = 0;
    size_t budget = SL_NGRAPH_MAX_SLOTS;
    builder b = {.model = m, .want = want, .loop = -1, .subs = &subs, .budget = &budget, .st = st};
    b.branches = (sl_branches){.graph = sl_saved_model_graph(m), .fed = is_fed, .arg = &b};
    sl_code rc = build(&b);
    if (rc)
        return rc;
    bind_graph(b.g);
    if (want->feed_values != NULL)
        b.g->n_feeds = 0; /* they are constants now */
    *out = b.g;
    return SL_OK;
}
