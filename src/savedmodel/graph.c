/*
 * graph.c - GraphDef and FunctionDefs, from wire form to arrays that can be searched
 *
 * Each repeated field is walked twice: to count, then to fill an array of that size from the arena.
 * Nodes, inputs and attributes are views into the file; an AttrValue is not decoded here, only its
 * kind is looked at. Every byte is walked a fixed number of times, so time is linear in the file.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "savedmodel/model.h"

typedef struct reader {
    sl_saved_model *m;
    sl_status *st;
} reader;

/* ---- attributes ---- */

static bool kind_of_field(const sl_wire *w, sl_attr_kind *kind)
{
    static const struct {
        sl_attr_kind kind;
        unsigned wire;
    } of[] = {
        [1] = {SL_ATTR_LIST, SL_WIRE_BYTES},        [2] = {SL_ATTR_S, SL_WIRE_BYTES},
        [3] = {SL_ATTR_I, SL_WIRE_VARINT},          [4] = {SL_ATTR_F, SL_WIRE_FIXED32},
        [5] = {SL_ATTR_B, SL_WIRE_VARINT},          [6] = {SL_ATTR_TYPE, SL_WIRE_VARINT},
        [7] = {SL_ATTR_SHAPE, SL_WIRE_BYTES},       [8] = {SL_ATTR_TENSOR, SL_WIRE_BYTES},
        [9] = {SL_ATTR_PLACEHOLDER, SL_WIRE_BYTES}, [10] = {SL_ATTR_FUNC, SL_WIRE_BYTES},
    };
    if (w->field >= SL_COUNTOF(of) || w->type != of[w->field].wire)
        return false;
    *kind = of[w->field].kind;
    return true;
}

static sl_code read_attr(const reader *r, sl_str entry, sl_attr *attr)
{
    *attr = (sl_attr){.kind = SL_ATTR_NONE};
    sl_code rc = sl_model_map_entry(r->m, entry, &attr->name, &attr->wire, r->st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(attr->wire);
    while (sl_wire_next(&w))
        kind_of_field(&w, &attr->kind);
    return w.bad ? sl_model_bad_wire(r->m, &w, r->st) : SL_OK;
}

/* By name; of equal names the later one in the file first, so that it is the one that is kept. */
static int attr_cmp(const void *x, const void *y)
{
    const sl_attr *a = x, *b = y;
    int c = sl_str_cmp(a->name, b->name);
    return c ? c : (a->wire.p < b->wire.p) - (a->wire.p > b->wire.p);
}

static int sort_attrs(sl_attr *attrs, int n)
{
    int kept = 0;
    if (n > 1)
        qsort(attrs, (size_t)n, sizeof *attrs, attr_cmp);
    for (int i = 0; i < n; i++)
        if (kept == 0 || !sl_str_eq(attrs[kept - 1].name, attrs[i].name))
            attrs[kept++] = attrs[i];
    return kept;
}

/* ---- nodes ---- */

static sl_code count_node(const reader *r, sl_str wire, sl_node *n, int *inputs, int *attrs)
{
    sl_wire w = sl_wire_open(wire);
    *inputs = *attrs = 0;
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        if (w.field == 1)
            n->name = w.bytes;
        else if (w.field == 2)
            n->op = w.bytes;
        else if (w.field == 3)
            ++*inputs;
        else if (w.field == 5)
            ++*attrs;
    }
    return w.bad ? sl_model_bad_wire(r->m, &w, r->st) : SL_OK;
}

static sl_code add_input(const reader *r, sl_node *n, sl_str *inputs, sl_str text)
{
    bool control = text.n && text.p[0] == '^';
    if (n->n_control && !control)
        return sl_model_bad(r->m, text.p, "data input after a control input", r->st);
    n->n_control += control;
    inputs[n->n_inputs++] = text;
    return SL_OK;
}

static sl_code read_node(const reader *r, sl_str wire, sl_node *n)
{
    int n_inputs, n_attrs, filled = 0;
    sl_code rc = count_node(r, wire, n, &n_inputs, &n_attrs);
    if (rc)
        return rc;
    sl_str *inputs = sl_model_try_array(r->m, (size_t)n_inputs, sizeof *inputs);
    sl_attr *attrs = sl_model_try_array(r->m, (size_t)n_attrs, sizeof *attrs);
    if (inputs == NULL || attrs == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_wire w = sl_wire_open(wire);
    while (rc == SL_OK && sl_wire_next(&w)) {
        if (w.type == SL_WIRE_BYTES && w.field == 3)
            rc = add_input(r, n, inputs, w.bytes);
        else if (w.type == SL_WIRE_BYTES && w.field == 5)
            rc = read_attr(r, w.bytes, &attrs[filled++]);
    }
    n->inputs = inputs;
    n->attrs = attrs;
    n->n_attrs = sort_attrs(attrs, filled);
    return rc;
}

/* How often the field is there, in a message that was walked before: this walk cannot fail. */
static int count_fields(const reader *r, sl_str wire, unsigned field)
{
    int n;
    sl_code rc = sl_model_count(r->m, wire, field, &n, r->st);
    assert(rc == SL_OK);
    (void)rc;
    return n;
}

/* Reads all nodes, which are `field` of the message. */
static sl_code read_nodes(const reader *r, sl_str wire, unsigned field, const sl_node **out,
                          int *count)
{
    sl_code rc = SL_OK;
    *count = count_fields(r, wire, field);
    sl_node *nodes = sl_model_try_array(r->m, (size_t)*count, sizeof *nodes);
    if (nodes == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_wire w = sl_wire_open(wire);
    int n = 0;
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == field && w.type == SL_WIRE_BYTES)
            rc = read_node(r, w.bytes, &nodes[n++]);
    *out = nodes;
    return rc;
}

static sl_code index_nodes(const reader *r, const sl_node *nodes, int count, sl_names *names)
{
    int twice;
    if (!sl_names_try_index(names, &r->m->arena, nodes, offsetof(sl_node, name), sizeof *nodes,
                            count, &twice))
        return sl_model_no_memory(r->m, r->st);
    if (twice >= 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "%s/saved_model.pb; node \"%.*s\" stands twice",
                       r->m->dir, SL_STR_ARG(nodes[twice].name));
    return SL_OK;
}

/* ---- functions ---- */

static sl_code read_arg(const reader *r, sl_str wire, sl_arg *arg)
{
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.type == SL_WIRE_VARINT && w.field == 3)
            arg->type = w.value < SL_DT_REF + SL_DT_COUNT ? (sl_dtype)w.value : SL_DT_INVALID;
        else if (w.type == SL_WIRE_VARINT && w.field == 16)
            arg->is_ref = w.value != 0;
        else if (w.type == SL_WIRE_BYTES && w.field == 1)
            arg->name = w.bytes;
        else if (w.type == SL_WIRE_BYTES && w.field == 4)
            arg->type_attr = w.bytes;
        else if (w.type == SL_WIRE_BYTES && w.field == 5)
            arg->number_attr = w.bytes;
        else if (w.type == SL_WIRE_BYTES && w.field == 6)
            arg->type_list_attr = w.bytes;
    }
    return w.bad ? sl_model_bad_wire(r->m, &w, r->st) : SL_OK;
}

static sl_code read_args(const reader *r, sl_str opdef, unsigned field, const sl_arg **out, int *n)
{
    sl_code rc = SL_OK;
    int count = count_fields(r, opdef, field);
    sl_arg *args = sl_model_try_array(r->m, (size_t)count, sizeof *args);
    if (args == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_wire w = sl_wire_open(opdef);
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == field && w.type == SL_WIRE_BYTES)
            rc = read_arg(r, w.bytes, &args[(*n)++]);
    *out = args;
    return rc;
}

static int binding_cmp(const void *x, const void *y)
{
    const sl_binding *a = x, *b = y;
    int c = sl_str_cmp(a->key, b->key);
    return c ? c : (a->value.p < b->value.p) - (a->value.p > b->value.p);
}

/* A map<string, string>, ascending by key. */
static sl_code read_bindings(const reader *r, sl_str wire, unsigned field, const sl_binding **out,
                             int *n)
{
    sl_code rc = SL_OK;
    int count = count_fields(r, wire, field), filled = 0;
    sl_binding *list = sl_model_try_array(r->m, (size_t)count, sizeof *list);
    if (list == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_wire w = sl_wire_open(wire);
    for (; rc == SL_OK && sl_wire_next(&w);)
        if (w.field == field && w.type == SL_WIRE_BYTES) {
            sl_binding *b = &list[filled++];
            rc = sl_model_map_entry(r->m, w.bytes, &b->key, &b->value, r->st);
        }
    if (rc)
        return rc;
    if (filled > 1)
        qsort(list, (size_t)filled, sizeof *list, binding_cmp);
    for (int i = 0; i < filled; i++)
        if (*n == 0 || !sl_str_eq(list[*n - 1].key, list[i].key))
            list[(*n)++] = list[i];
    *out = list;
    return SL_OK;
}

static sl_code read_opdef(const reader *r, sl_str opdef, sl_function *f)
{
    sl_wire w = sl_wire_open(opdef);
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            f->name = w.bytes;
        else if (w.field == 17 && w.type == SL_WIRE_VARINT)
            f->is_stateful = w.value != 0;
    }
    if (w.bad)
        return sl_model_bad_wire(r->m, &w, r->st);
    sl_code rc = read_args(r, opdef, 2, &f->inputs, &f->n_inputs);
    return rc ? rc : read_args(r, opdef, 3, &f->outputs, &f->n_outputs);
}

static sl_code read_function(const reader *r, sl_str wire, sl_function *f)
{
    sl_str opdef = {0};
    sl_names *names = sl_model_try_array(r->m, 1, sizeof *names);
    if (names == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_code rc = sl_model_field(r->m, wire, 1, &opdef, r->st);
    if (rc == SL_OK)
        rc = read_opdef(r, opdef, f);
    if (rc == SL_OK)
        rc = read_nodes(r, wire, 3, &f->nodes, &f->n_nodes);
    if (rc == SL_OK)
        rc = index_nodes(r, f->nodes, f->n_nodes, names);
    if (rc == SL_OK)
        rc = read_bindings(r, wire, 4, &f->ret, &f->n_ret);
    if (rc == SL_OK)
        rc = read_bindings(r, wire, 6, &f->control_ret, &f->n_control_ret);
    f->index = names;
    return rc;
}

static sl_code read_functions(const reader *r, sl_str library)
{
    sl_graph *g = &r->m->graph;
    int count, n = 0, twice;
    sl_code rc = sl_model_count(r->m, library, 1, &count, r->st);
    if (rc)
        return rc;
    sl_function *list = sl_model_try_array(r->m, (size_t)count, sizeof *list);
    if (list == NULL)
        return sl_model_no_memory(r->m, r->st);
    sl_wire w = sl_wire_open(library);
    while (rc == SL_OK && sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            rc = read_function(r, w.bytes, &list[n++]);
    if (rc)
        return rc;
    g->functions = list;
    g->n_functions = n;
    if (!sl_names_try_index(&r->m->function_index, &r->m->arena, list, offsetof(sl_function, name),
                            sizeof *list, n, &twice))
        return sl_model_no_memory(r->m, r->st);
    if (twice >= 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "%s/saved_model.pb; function \"%.*s\" stands twice", r->m->dir,
                       SL_STR_ARG(list[twice].name));
    return SL_OK;
}

/* ---- versions ---- */

static sl_code add_bad_consumers(const reader *r, const sl_wire *w, int *list, int *n)
{
    if (w->type == SL_WIRE_VARINT)
        list[(*n)++] = (int)w->value;
    if (w->type != SL_WIRE_BYTES)
        return SL_OK;
    const unsigned char *p = (const unsigned char *)w->bytes.p, *end = p + w->bytes.n;
    uint64_t v;
    while (p < end) {
        if (!sl_wire_varint(&p, end, &v))
            return sl_model_bad(r->m, p, "truncated or overlong number", r->st);
        list[(*n)++] = (int)v;
    }
    return SL_OK;
}

static sl_code read_versions(const reader *r, sl_str wire)
{
    sl_graph *g = &r->m->graph;
    sl_wire w = sl_wire_open(wire);
    int n = 0;
    int *list = sl_model_try_array(r->m, wire.n, sizeof *list); /* each takes a byte at least */
    sl_code rc = list ? SL_OK : sl_model_no_memory(r->m, r->st);
    while (rc == SL_OK && sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            g->producer = (int)w.value;
        else if (w.field == 2 && w.type == SL_WIRE_VARINT)
            g->min_consumer = (int)w.value;
        else if (w.field == 3)
            rc = add_bad_consumers(r, &w, list, &n);
    }
    if (rc)
        return rc;
    g->bad_consumers = list;
    g->n_bad_consumers = n;
    return w.bad ? sl_model_bad_wire(r->m, &w, r->st) : SL_OK;
}

sl_code sl_model_read_graph(sl_saved_model *m, sl_status *st)
{
    const reader r = {m, st};
    sl_str library, versions;
    m->graph.wire = m->meta.graph;
    m->graph.node_index = &m->node_index;
    m->graph.function_index = &m->function_index;
    sl_code rc = sl_model_field(m, m->meta.graph, 2, &library, st);
    if (rc == SL_OK)
        rc = sl_model_field(m, m->meta.graph, 4, &versions, st);
    if (rc == SL_OK)
        rc = read_nodes(&r, m->meta.graph, 1, &m->graph.nodes, &m->graph.n_nodes);
    if (rc == SL_OK)
        rc = index_nodes(&r, m->graph.nodes, m->graph.n_nodes, &m->node_index);
    if (rc == SL_OK)
        rc = read_functions(&r, library);
    if (rc == SL_OK)
        rc = read_versions(&r, versions);
    return rc;
}

/* ---- looking things up ---- */

const sl_node *sl_graph_find_node(const sl_graph *g, sl_str name)
{
    int i = sl_names_find(g->node_index, name);
    return i < 0 ? NULL : &g->nodes[i];
}

const sl_function *sl_graph_find_function(const sl_graph *g, sl_str name)
{
    int i = sl_names_find(g->function_index, name);
    return i < 0 ? NULL : &g->functions[i];
}

const sl_node *sl_function_find_node(const sl_function *f, sl_str name)
{
    int i = sl_names_find(f->index, name);
    return i < 0 ? NULL : &f->nodes[i];
}

static sl_str cut_at_colon(sl_str s, sl_str *rest)
{
    const char *colon = s.n ? memchr(s.p, ':', s.n) : NULL;
    size_t n = colon ? (size_t)(colon - s.p) : s.n;
    *rest = colon ? (sl_str){colon + 1, s.n - n - 1} : (sl_str){NULL, 0};
    return (sl_str){s.p, n};
}

bool sl_input_parse(sl_str text, sl_input *out)
{
    *out = (sl_input){.out = {"", 0}, .control = text.n && text.p[0] == '^'};
    sl_str rest, number;
    int64_t v = 0;
    if (out->control) {
        out->node = (sl_str){text.p + 1, text.n - 1};
        return true;
    }
    out->node = cut_at_colon(text, &rest);
    if (rest.p == NULL)
        return true;
    sl_str first = cut_at_colon(rest, &number);
    if (number.p != NULL)
        out->out = first;
    else
        number = rest;
    if (!sl_str_to_int64(number, &v) || v < 0 || v > INT32_MAX)
        return false;
    out->index = (int)v;
    return true;
}

sl_str sl_node_of_tensor(sl_str tensor)
{
    sl_str rest;
    if (tensor.n && tensor.p[0] == '^')
        tensor = (sl_str){tensor.p + 1, tensor.n - 1};
    return cut_at_colon(tensor, &rest);
}
