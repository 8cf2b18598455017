/*
 * table.c - reading lookup tables
 *
 * Tables are filled before the session serves (init.c) and never after: there is no op here that
 * writes one, so that readers need no lock.
 */
#include "engine/native/ops/ops.h"
#include "engine/native/resource.h"

static sl_code table_of(const sl_op_call *c, sl_resource **r, sl_status *st)
{
    *r = sl_resource_of(&c->in[0]);
    if (*r == NULL || (*r)->kind != SL_RES_TABLE)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 0 of %s is not a table", c->node->op->name);
    return SL_OK;
}

static sl_code find_configure(sl_op_node *n, sl_status *st)
{
    sl_types keys = SL_T(STRING) | SL_T(INT32) | SL_T(INT64);
    sl_types values = keys | SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(BOOL);
    sl_code rc = sl_ops_check(n, 3, ~0ull, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, keys, st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, values, st);
    if (!rc)
        n->out_types[0] = n->in_types[2];
    return rc;
}

static sl_code find_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf b;
    if (c->in[2].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Expected shape [] for default value, got %s",
                       sl_ops_shape(&c->in[2], &b));
    sl_ops_same_shape(&c->out[0], &c->in[1]);
    return SL_OK;
}

static sl_code find_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_code rc = table_of(c, &r, st);
    if (rc)
        return rc;
    const sl_tensor *keys = &c->in[1];
    sl_dtype value_type = c->out[0].dtype;
    size_t key_size = sl_dtype_size(keys->dtype), value_size = sl_dtype_size(value_type);
    bool filled = r->table.count > 0;
    if (filled && (r->keys.dtype != keys->dtype || r->values.dtype != value_type))
        return sl_fail(st, SL_INVALID_ARGUMENT, "table \"%s\" maps %s to %s, not %s to %s", r->name,
                       sl_dtype_name(r->keys.dtype), sl_dtype_name(r->values.dtype),
                       sl_dtype_name(keys->dtype), sl_dtype_name(value_type));
    for (int64_t i = 0, n = sl_shape_count(keys->dims, keys->rank, 1); i < n; i++) {
        const char *at = (const char *)keys->data + (size_t)i * key_size;
        sl_str key =
            keys->dtype == SL_DT_STRING ? ((const sl_str *)keys->data)[i] : (sl_str){at, key_size};
        uintptr_t found = filled ? (uintptr_t)sl_map_get(&r->table, key) : 0;
        const char *value = found ? (const char *)r->values.data + (found - 1) * value_size
                                  : (const char *)c->in[2].data;
        memcpy((char *)c->out[0].data + (size_t)i * value_size, value, value_size);
    }
    return SL_OK;
}

static sl_code size_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (!rc)
        n->out_types[0] = SL_DT_INT64;
    return rc;
}

static sl_code size_run(sl_op_call *c, sl_status *st)
{
    sl_resource *r;
    sl_code rc = table_of(c, &r, st);
    if (!rc)
        *(int64_t *)c->out[0].data = (int64_t)r->table.count;
    return rc;
}

const sl_op sl_ops_table[] = {
    {"LookupTableFindV2", SL_OP_STATEFUL, 0, find_configure, find_shape, find_run, NULL},
    {"LookupTableFind", SL_OP_STATEFUL, 0, find_configure, find_shape, find_run, NULL},
    {"LookupTableSizeV2", SL_OP_STATEFUL, 0, size_configure, sl_ops_shape_scalar, size_run, NULL},
    {"LookupTableSize", SL_OP_STATEFUL, 0, size_configure, sl_ops_shape_scalar, size_run, NULL},
    {0},
};
