/*
 * inline.c - calls are followed, never copied
 *
 * Nothing is rewritten: a frame only remembers which of its nodes have been met. Following a
 * reference therefore costs what the graph needs, not what the library holds, and a body that is
 * called twice gets two frames. A file may nest, recurse or multiply its calls as it likes: depth,
 * frames and the sum of their nodes are bounded, and nothing here recurses.
 */
#include "engine/native/inline.h"

#include "base/mem.h"

/* The names of one function, made when it is first called. */
typedef struct fn_index {
    sl_map nodes, args, rets;
} fn_index;

bool sl_node_is_call(const sl_node *n)
{
    return sl_str_is(n->op, "PartitionedCall") || sl_str_is(n->op, "StatefulPartitionedCall");
}

static bool put(sl_map *m, sl_str key, int i)
{
    return sl_map_try_set(m, key, (void *)((intptr_t)i + 1));
}

static int get(const sl_map *m, sl_str key)
{
    return (int)(intptr_t)sl_map_get(m, key) - 1;
}

static void index_free(fn_index *x)
{
    sl_map_fini(&x->nodes);
    sl_map_fini(&x->args);
    sl_map_fini(&x->rets);
    sl_free(x);
}

static bool index_fill(fn_index *x, const sl_function *fn)
{
    bool ok = true;
    for (int i = 0; i < fn->n_nodes && ok; i++)
        ok = put(&x->nodes, fn->nodes[i].name, i);
    for (int i = 0; i < fn->n_inputs && ok; i++)
        ok = put(&x->args, fn->inputs[i].name, i);
    for (int i = 0; i < fn->n_ret && ok; i++)
        ok = put(&x->rets, fn->ret[i].key, i);
    return ok;
}

static fn_index *index_of(sl_frames *f, const sl_function *fn)
{
    fn_index *x = sl_map_get(&f->indexes, fn->name);
    if (x != NULL)
        return x;
    x = sl_try_calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    if (!index_fill(x, fn) || !sl_map_try_set(&f->indexes, fn->name, x)) {
        index_free(x);
        return NULL;
    }
    return x;
}

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while reading the graph");
}

static sl_code add_frame(sl_frames *f, const sl_function *fn, sl_frame frame, int *out,
                         sl_status *st)
{
    frame.fn = fn;
    frame.enter = frame.leave = -1;
    frame.nodes = fn ? fn->nodes : f->graph->nodes;
    frame.n_nodes = fn ? fn->n_nodes : f->graph->n_nodes;
    if (f->count >= SL_NGRAPH_MAX_FRAMES || (size_t)frame.n_nodes > SL_NGRAPH_MAX_SLOTS - f->slots)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                       "the graph is too large: its function calls expand to more than %d calls or "
                       "%d nodes",
                       SL_NGRAPH_MAX_FRAMES, SL_NGRAPH_MAX_SLOTS);
    if (fn != NULL) {
        fn_index *x = index_of(f, fn);
        if (x == NULL)
            return no_memory(st);
        frame.names = &x->nodes;
        frame.args = &x->args;
        frame.rets = &x->rets;
    }
    sl_frame *list = sl_try_grow(f->list, (size_t)f->count, &f->cap, sizeof *list);
    if (list == NULL)
        return no_memory(st);
    f->list = list;
    frame.ids = sl_try_calloc((size_t)frame.n_nodes, sizeof *frame.ids);
    if (frame.ids == NULL)
        return no_memory(st);
    f->slots += (size_t)frame.n_nodes;
    *out = f->count;
    list[f->count++] = frame;
    return SL_OK;
}

sl_code sl_frames_init(sl_frames *f, const sl_graph *g, const sl_function *fn, sl_arena *arena,
                       sl_status *st)
{
    int root;
    *f = (sl_frames){.graph = g, .arena = arena};
    sl_code rc = add_frame(f, fn, (sl_frame){.parent = -1, .prefix = ""}, &root, st);
    if (rc)
        sl_frames_fini(f);
    return rc;
}

void sl_frames_fini(sl_frames *f)
{
    for (int i = 0; i < f->count; i++)
        sl_free(f->list[i].ids);
    sl_free(f->list);
    const sl_map_slot *s;
    for (size_t i = 0; (s = sl_map_next(&f->indexes, &i)) != NULL;)
        index_free(s->value);
    sl_map_fini(&f->indexes);
    *f = (sl_frames){0};
}

int sl_frame_find(const sl_frames *f, int frame, sl_str name)
{
    const sl_frame *fr = &f->list[frame];
    if (fr->names != NULL)
        return get(fr->names, name);
    const sl_node *n = sl_graph_find_node(f->graph, name);
    return n != NULL ? (int)(n - f->graph->nodes) : -1;
}

sl_code sl_frames_enter(sl_frames *f, int frame, int node, int *callee, bool *fresh, sl_status *st)
{
    const sl_frame *fr = &f->list[frame];
    *fresh = fr->ids[node] == 0;
    if (!*fresh) {
        *callee = -fr->ids[node];
        return SL_OK;
    }
    const sl_node *call = &fr->nodes[node];
    sl_str name = sl_node_func(call, "f");
    const sl_function *fn = sl_graph_find_function(f->graph, name);
    if (fn == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "function \"%.*s\" is not in the library (node \"%.*s\")", SL_STR_ARG(name),
                       SL_STR_ARG(call->name));
    if (fr->depth >= SL_NGRAPH_MAX_DEPTH - 1)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "function \"%.*s\" is called more than %d levels deep: recursion is not supported",
            SL_STR_ARG(name), SL_NGRAPH_MAX_DEPTH - 1);
    if (call->n_inputs - call->n_control != fn->n_inputs)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "node \"%.*s\" passes %d arguments, function \"%.*s\" takes %d",
                       SL_STR_ARG(call->name), call->n_inputs - call->n_control, SL_STR_ARG(name),
                       fn->n_inputs);
    char *prefix = sl_arena_try_printf(f->arena, "%s%.*s/", fr->prefix, SL_STR_ARG(call->name));
    if (prefix == NULL)
        return no_memory(st);
    sl_frame made = {.parent = frame, .call = call, .prefix = prefix, .depth = fr->depth + 1};
    sl_code rc = add_frame(f, fn, made, callee, st);
    if (rc == SL_OK)
        f->list[frame].ids[node] = -*callee;
    return rc;
}

static sl_code unknown(const sl_frames *f, int frame, sl_str ref, sl_status *st)
{
    const sl_function *fn = f->list[frame].fn;
    return fn ? sl_fail(st, SL_INVALID_ARGUMENT, "input \"%.*s\" is not in function \"%.*s\"",
                        SL_STR_ARG(ref), SL_STR_ARG(fn->name))
              : sl_fail(st, SL_INVALID_ARGUMENT, "tensor \"%.*s\" is not in the graph",
                        SL_STR_ARG(ref));
}

/* "name:k" of the main graph. */
static sl_code parse_main(const sl_frames *f, sl_str ref, int *node, int *out, sl_status *st)
{
    sl_str name = ref;
    int64_t k = 0;
    const char *colon = ref.n ? memrchr(ref.p, ':', ref.n) : NULL;
    if (colon != NULL) {
        name.n = (size_t)(colon - ref.p);
        if (!sl_str_to_int64((sl_str){colon + 1, ref.n - name.n - 1}, &k) || k < 0 || k > INT32_MAX)
            return unknown(f, 0, ref, st);
    }
    *node = sl_frame_find(f, 0, name);
    *out = (int)k;
    return *node < 0 ? unknown(f, 0, ref, st) : SL_OK;
}

/* "arg" or "node:out_arg:k" of a function; bare "node" and "node:out_arg" mean index 0. */
static sl_code parse_inside(const sl_frames *f, int frame, sl_str ref, int *node, int *out,
                            int *arg, sl_status *st)
{
    const sl_frame *fr = &f->list[frame];
    const char *end = ref.p + ref.n, *colon = ref.n ? memchr(ref.p, ':', ref.n) : NULL;
    sl_str name = {ref.p, colon ? (size_t)(colon - ref.p) : ref.n};
    int a = get(fr->args, name);
    if (a >= 0) {
        *arg = a;
        return SL_OK;
    }
    *node = get(fr->names, name);
    if (*node < 0)
        return unknown(f, frame, ref, st);
    *out = 0;
    if (colon == NULL)
        return SL_OK;
    sl_str field = {colon + 1, (size_t)(end - colon - 1)};
    const char *second = field.n ? memchr(field.p, ':', field.n) : NULL;
    int64_t k = 0;
    if (second != NULL) {
        field.n = (size_t)(second - field.p);
        if (!sl_str_to_int64((sl_str){second + 1, (size_t)(end - second - 1)}, &k) || k < 0 ||
            k > INT32_MAX / 2)
            return unknown(f, frame, ref, st);
    }
    int first = sl_opdef_output(&fr->nodes[*node], field);
    /* An op that is not in the list is reported by name later; which output it is does not matter.
     */
    *out = (first < 0 ? 0 : first) + (int)k;
    return SL_OK;
}

sl_code sl_frame_parse(const sl_frames *f, int frame, sl_str ref, int *node, int *out, int *arg,
                       sl_status *st)
{
    *node = *arg = -1;
    *out = 0;
    return f->list[frame].fn ? parse_inside(f, frame, ref, node, out, arg, st)
                             : parse_main(f, ref, node, out, st);
}

sl_code sl_frame_result(const sl_frames *f, int frame, int k, sl_str *ref, sl_status *st)
{
    const sl_frame *fr = &f->list[frame];
    int i = k < fr->fn->n_outputs ? get(fr->rets, fr->fn->outputs[k].name) : -1;
    if (i < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "function \"%.*s\" has no result %d",
                       SL_STR_ARG(fr->fn->name), k);
    *ref = fr->fn->ret[i].value;
    return SL_OK;
}
