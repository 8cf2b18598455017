/*
 * freeze.c - variables that nobody writes are constants
 *
 * A variable is identified by (container, shared_name), or its node's name where shared_name is
 * empty, so all signatures that name it mean the same one. If no node of any served signature may
 * write it, its readers become constants that share its buffer; otherwise it stays a resource, and
 * the plans that touch it run one at a time.
 */
#include "engine/native/freeze.h"

#include "base/mem.h"

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory while restoring variables");
}

/* ---- binding ---- */

static sl_resource *resource_of(sl_resources *all, const sl_node *n)
{
    sl_resource_kind kind;
    sl_op_makes_handle(n->op, &kind);
    sl_str shared = sl_node_str(n, "shared_name", "");
    return sl_resources_find(all, kind, sl_node_str(n, "container", ""),
                             shared.n ? shared : n->name);
}

static sl_code set_types(sl_resource *r, const sl_node *n, sl_status *st)
{
    sl_dtype key = sl_node_type(n, "key_dtype", SL_DT_INVALID);
    sl_dtype value = r->kind == SL_RES_TABLE
                         ? sl_node_type(n, "value_dtype", SL_DT_INVALID)
                         : sl_dtype_base(sl_node_type(n, "dtype", SL_DT_INVALID));
    if (r->reached && (r->key_type != key || r->value_type != value))
        return sl_fail(st, SL_INVALID_ARGUMENT, "variable \"%s\" is declared with two types",
                       r->name);
    r->key_type = key;
    r->value_type = value;
    r->reached = true;
    return SL_OK;
}

sl_code sl_freeze_bind(sl_ngraph *g, sl_resources *all, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < g->n_nodes && rc == SL_OK; i++) {
        sl_gnode *n = &g->nodes[i];
        if (n->kind == SL_G_HANDLE) {
            n->resource = resource_of(all, n->source);
            rc = n->resource ? set_types(n->resource, n->source, st) : no_memory(st);
        }
        for (int k = 0; k < n->n_subs && rc == SL_OK; k++)
            rc = sl_freeze_bind(n->subs[k], all, st);
    }
    return rc;
}

sl_code sl_freeze_mark(sl_ngraph *g, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int i = 0; i < g->n_order && rc == SL_OK; i++) {
        sl_gnode *n = &g->nodes[g->order[i]];
        if (n->kind == SL_G_OP && n->writes && n->n_in > 0) {
            int h = sl_ngraph_handle_of(g, n->in[0]);
            if (h < 0)
                return sl_fail(st, SL_FAILED_PRECONDITION,
                               "it is not known which variable node \"%s\" writes", n->name);
            g->nodes[h].resource->written = true;
        }
        for (int k = 0; k < n->n_subs && rc == SL_OK; k++)
            rc = sl_freeze_mark(n->subs[k], st);
    }
    return rc;
}

/* ---- restoring ---- */

static size_t element_bytes(const sl_tensor *keys, int64_t i, sl_str *out)
{
    size_t element = sl_dtype_size(keys->dtype);
    const char *p = (const char *)keys->data + (size_t)i * element;
    *out = keys->dtype == SL_DT_STRING ? *(const sl_str *)p : (sl_str){p, element};
    return out->n;
}

static bool same_element(const sl_tensor *t, int64_t a, int64_t b)
{
    sl_str x, y;
    element_bytes(t, a, &x);
    element_bytes(t, b, &y);
    return sl_str_eq(x, y);
}

static sl_code fill(sl_resource *r, const sl_tensor *keys, const sl_tensor *values, sl_map *map,
                    sl_status *st)
{
    for (int64_t i = 0; i < keys->dims[0]; i++) {
        sl_str key;
        element_bytes(keys, i, &key);
        intptr_t there = (intptr_t)sl_map_get(map, key);
        if (there != 0 && !same_element(values, there - 1, i))
            return sl_fail(st, SL_INVALID_ARGUMENT, "table \"%s\": a key has two values", r->name);
        if (there == 0 && !sl_map_try_set(map, key, (void *)(intptr_t)(i + 1)))
            return no_memory(st);
    }
    return SL_OK;
}

/* A second filling with the same content is accepted: several nodes may share a table. */
static bool same_content(const sl_resource *r, const sl_tensor *keys, const sl_tensor *values)
{
    if (r->table.count == 0 || r->keys.dims[0] != keys->dims[0])
        return false;
    for (int64_t i = 0; i < keys->dims[0]; i++) {
        sl_str a, b;
        if (element_bytes(keys, i, &a) != element_bytes(&r->keys, i, &b) || !sl_str_eq(a, b))
            return false;
        if (element_bytes(values, i, &a) != element_bytes(&r->values, i, &b) || !sl_str_eq(a, b))
            return false;
    }
    return true;
}

sl_code sl_table_fill(sl_resource *r, sl_tensor *keys, sl_tensor *values, sl_status *st)
{
    sl_map map = {0};
    if (keys->rank != 1 || values->rank != 1 || keys->dims[0] != values->dims[0] ||
        keys->dtype != r->key_type || values->dtype != r->value_type)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "table \"%s\" is filled with tensors that do not fit it", r->name);
    sl_code rc = SL_OK;
    if (r->table.count > 0 && !same_content(r, keys, values))
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "Table already initialized.");
    else if (r->table.count == 0)
        rc = fill(r, keys, values, &map, st);
    if (rc || r->table.count > 0) {
        sl_map_fini(&map);
        return rc;
    }
    r->table = map;
    sl_tensor_share(keys, &r->keys);
    sl_tensor_share(values, &r->values);
    return SL_OK;
}

static sl_code restore_variable(const sl_saved_model *m, const sl_restored *from, sl_resource *r,
                                sl_status *st)
{
    sl_tensor t;
    sl_code rc = sl_saved_model_read(m, from->key, from->shape_and_slice, &t, st);
    if (rc)
        return rc;
    if (t.dtype != r->value_type) {
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "variable \"%s\" is %s in the graph and %s in the checkpoint", r->name,
                     sl_dtype_name(r->value_type), sl_dtype_name(t.dtype));
        sl_tensor_release(&t);
        return rc;
    }
    sl_tensor_release(&r->value);
    r->value = t;
    return SL_OK;
}

/*
 * Exporters that write a function under two names (Keras 3: `serve`, `serving_default`) write all
 * its weights twice. Equal bytes are kept once: no value is ever written in place.
 */
enum { WORTH_SHARING = 1024, SAMPLE = 64 };

static void share_equal(sl_map *seen, sl_resource *r)
{
    sl_tensor *t = &r->value;
    if (t->dtype == SL_DT_STRING || t->size < WORTH_SHARING)
        return;
    char key[3 * SAMPLE + sizeof t->size + sizeof t->dtype];
    const char *data = t->data;
    memcpy(key, data, SAMPLE);
    memcpy(key + SAMPLE, data + t->size / 2, SAMPLE);
    memcpy(key + 2 * SAMPLE, data + t->size - SAMPLE, SAMPLE);
    memcpy(key + 3 * SAMPLE, &t->size, sizeof t->size);
    memcpy(key + 3 * SAMPLE + sizeof t->size, &t->dtype, sizeof t->dtype);
    sl_resource *other = sl_map_get(seen, (sl_str){key, sizeof key});
    if (other == NULL) {
        if (!sl_map_try_set(seen, (sl_str){key, sizeof key}, r))
            return; /* then it is only not shared */
    } else if (memcmp(other->value.data, t->data, t->size) == 0) {
        sl_buffer_release(t->buffer);
        t->data = other->value.data;
        t->buffer = sl_buffer_acquire(other->value.buffer);
    }
}

static sl_code restore_table(const sl_saved_model *m, const sl_restored *from, sl_resource *r,
                             sl_status *st)
{
    sl_tensor keys = {0}, values = {0};
    sl_code rc = sl_saved_model_read(m, from->key, (sl_str){0}, &keys, st);
    if (rc == SL_OK)
        rc = sl_saved_model_read(m, from->values_key, (sl_str){0}, &values, st);
    if (rc == SL_OK)
        rc = sl_table_fill(r, &keys, &values, st);
    sl_tensor_release(&keys);
    sl_tensor_release(&values);
    return rc;
}

sl_code sl_freeze_restore(const sl_saved_model *m, sl_resources *all, sl_status *st)
{
    int count;
    const sl_restored *list = sl_saved_model_restored(m, &count);
    sl_map seen = {0};
    sl_code rc = SL_OK;
    for (int i = 0; i < count && rc == SL_OK; i++) {
        const sl_node *n = sl_graph_find_node(sl_saved_model_graph(m), list[i].node);
        sl_resource *r = n ? resource_of(all, n) : NULL;
        if (n != NULL && r == NULL)
            rc = no_memory(st);
        if (r == NULL || !r->reached)
            continue;
        rc = r->kind == SL_RES_TABLE ? restore_table(m, &list[i], r, st)
                                     : restore_variable(m, &list[i], r, st);
        if (rc == SL_OK && r->kind == SL_RES_VARIABLE)
            share_equal(&seen, r);
    }
    sl_map_fini(&seen);
    return rc;
}

/* ---- constants ---- */

/* The variable that the node reads, if its value is known for good. */
static const sl_tensor *frozen_value(const sl_ngraph *g, const sl_gnode *n)
{
    if (n->n_in < 1)
        return NULL;
    int h = sl_ngraph_handle_of(g, n->in[0]);
    const sl_resource *r = h >= 0 ? g->nodes[h].resource : NULL;
    bool known =
        r != NULL && r->kind == SL_RES_VARIABLE && !r->written && r->value.dtype != SL_DT_INVALID;
    return known ? &r->value : NULL;
}

static void become_constant(sl_gnode *n, const sl_tensor *value)
{
    sl_tensor_share(value, &n->constant);
    n->kind = SL_G_CONST;
    n->n_in = 0;
    n->stateful = false;
}

static int add_constant(sl_ngraph *g, const char *name, const sl_tensor *value)
{
    int id = sl_ngraph_add(g, SL_G_CONST, name, NULL, 0);
    sl_dtype *type = sl_arena_try_alloc(&g->arena, sizeof *type);
    if (id < 0 || type == NULL)
        return -1;
    sl_gnode *n = &g->nodes[id];
    *type = value->dtype;
    n->n_out = 1;
    n->value = g->n_values++;
    n->op = (sl_op_node){.name = name, .n_out = 1, .out_types = type, .arena = &g->arena};
    sl_tensor_share(value, &n->constant);
    return id;
}

/*
 * An embedding: ResourceGather of a frozen variable is GatherV2 along axis batch_dims, whose shape
 * is known when planning.
 */
static sl_code gather_of_constant(sl_ngraph *g, int at, const sl_tensor *value, int *added,
                                  sl_status *st)
{
    const sl_op *gather = sl_op_find(SL_STR("GatherV2"));
    int64_t batch_dims = sl_node_int(g->nodes[at].source, "batch_dims", 0);
    sl_tensor axis;
    if (gather == NULL || batch_dims < 0 || batch_dims > SL_MAX_RANK)
        return SL_OK;
    sl_code rc = sl_tensor_try_new(SL_DT_INT32, NULL, 0, &axis, st);
    if (rc)
        return rc;
    *(int32_t *)axis.data = (int32_t)batch_dims;
    int params = add_constant(g, g->nodes[at].name, value);
    int along = add_constant(g, g->nodes[at].name, &axis);
    sl_tensor_release(&axis);
    sl_edge *in = sl_arena_try_alloc(&g->arena, 3 * sizeof *in);
    sl_dtype *types = sl_arena_try_alloc(&g->arena, 3 * sizeof *types);
    if (params < 0 || along < 0 || in == NULL || types == NULL)
        return no_memory(st);
    sl_gnode *n = &g->nodes[at];
    sl_op_node op = n->op;
    in[0] = (sl_edge){params, 0};
    in[1] = n->in[1];
    in[2] = (sl_edge){along, 0};
    types[0] = value->dtype;
    types[1] = op.in_types[1];
    types[2] = SL_DT_INT32;
    op.op = gather;
    op.n_in = 3;
    op.in_types = types;
    sl_status ignored;
    if (gather->configure == NULL || gather->configure(&op, &ignored) == SL_OK) {
        n->op = op;
        n->in = in;
        n->n_in = 3;
        n->stateful = false;
    }
    added[0] = params;
    added[1] = along;
    return SL_OK;
}

/* New constants have to stand before their users in the order. */
static sl_code put_first(sl_ngraph *g, const int *nodes, int count, sl_status *st)
{
    int *order = sl_try_malloc((size_t)(g->n_order + count) * sizeof *order);
    if (order == NULL)
        return no_memory(st);
    memcpy(order, nodes, (size_t)count * sizeof *order);
    memcpy(order + count, g->order, (size_t)g->n_order * sizeof *order);
    sl_free(g->order);
    g->order = order;
    g->n_order += count;
    return SL_OK;
}

static bool is_read(const sl_gnode *n)
{
    return n->kind == SL_G_READ ||
           (n->kind == SL_G_OP && sl_str_is(n->source->op, "ReadVariableOp"));
}

static sl_code freeze_node(sl_ngraph *g, int id, int *added, int *n_added, sl_status *st)
{
    sl_gnode *n = &g->nodes[id];
    const sl_tensor *value = frozen_value(g, n);
    if (n->kind == SL_G_HANDLE)
        g->mutates |= n->resource->written;
    if (value == NULL)
        return SL_OK;
    if (is_read(n)) {
        if (value->dtype != n->op.out_types[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "node \"%s\" reads %s from a variable of type %s", n->name,
                           sl_dtype_name(n->op.out_types[0]), sl_dtype_name(value->dtype));
        become_constant(n, value);
    } else if (n->kind == SL_G_OP && sl_str_is(n->source->op, "ResourceGather") && n->n_in == 2 &&
               value->dtype == n->op.out_types[0]) {
        added[*n_added] = added[*n_added + 1] = -1;
        sl_code rc = gather_of_constant(g, id, value, &added[*n_added], st);
        if (rc)
            return rc;
        *n_added += added[*n_added] >= 0 ? 2 : 0;
    }
    return SL_OK;
}

sl_code sl_freeze_constants(sl_ngraph *g, sl_status *st)
{
    int *added = sl_try_malloc((size_t)g->n_order * 2 * sizeof *added), n_added = 0;
    sl_code rc = added ? SL_OK : no_memory(st);
    for (int i = 0; i < g->n_order && rc == SL_OK; i++) {
        rc = freeze_node(g, g->order[i], added, &n_added, st);
        for (int k = 0; k < g->nodes[g->order[i]].n_subs && rc == SL_OK; k++) {
            sl_ngraph *sub = g->nodes[g->order[i]].subs[k];
            rc = sl_freeze_constants(sub, st);
            g->mutates |= sub->mutates;
        }
    }
    if (rc == SL_OK && n_added > 0)
        rc = put_first(g, added, n_added, st);
    sl_free(added);
    return rc;
}
