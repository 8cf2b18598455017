/*
 * sparse_parts.c - SparseConcat and SparseSlice: sparse tensors put together and cut
 */
#include "engine/native/ops/ops.h"
#include "engine/native/ops/sparse_rows.h"

static sl_code make_three(sl_op_call *c, int64_t n, int64_t depth, sl_status *st)
{
    c->out[0].rank = 2;
    c->out[0].dims[0] = n;
    c->out[0].dims[1] = depth;
    c->out[1].rank = c->out[2].rank = 1;
    c->out[1].dims[0] = n;
    c->out[2].dims[0] = depth;
    sl_code rc = SL_OK;
    for (int k = 0; k < 3 && !rc; k++)
        rc = sl_ops_make(c, k, st);
    return rc;
}

static sl_code set_types(sl_op_node *n, sl_dtype values, sl_status *st)
{
    if (n->n_out != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = values;
    return SL_OK;
}

/* ---- SparseConcat (N indices, N values, N shapes) ---- */

static sl_code concat_configure(sl_op_node *n, sl_status *st)
{
    int parts = n->n_in / 3;
    if (parts < 2 || n->n_in != 3 * parts)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs", n->op->name, n->n_in);
    sl_code rc = sl_ops_check_input(n, parts, SL_T_PLAIN, st);
    for (int i = 0; i < n->n_in && !rc; i++)
        rc = i / parts == 1 ? sl_ops_check_same(n, parts, 2 * parts, st)
                            : sl_ops_check_input(n, i, SL_T(INT64), st);
    if (rc)
        return rc;
    int64_t *axis = sl_ops_config(n, sizeof *axis);
    *axis = sl_node_int(n->source, "concat_dim", 0);
    n->config = axis;
    return set_types(n, n->in_types[parts], st);
}

static sl_code check_part(const sl_op_call *c, int parts, int i, sl_status *st)
{
    const sl_tensor *indices = &c->in[i], *values = &c->in[parts + i];
    const sl_tensor *shape = &c->in[2 * parts + i];
    sl_shape_buf b;
    if (indices->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input indices should be a matrix but received shape %s at position %d",
                       sl_ops_shape(indices, &b), i);
    if (values->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input values should be a vector but received shape %s at position %d",
                       sl_ops_shape(values, &b), i);
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input shapes should be a vector but received shape %s at position %d",
                       sl_ops_shape(shape, &b), i);
    if (indices->dims[0] != values->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "indices and values rows (indexing dimension) must match. (indices = %lld, "
                       "values = %lld)",
                       (long long)indices->dims[0], (long long)values->dims[0]);
    if (indices->dims[1] != shape->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "Order length must be SparseTensor rank.");
    return SL_OK;
}

/* All shapes are those of the first but along the axis; *total: how many elements there are. */
static sl_code check_concat(const sl_op_call *c, int parts, int64_t axis, int64_t *total,
                            sl_status *st)
{
    const sl_tensor *first = &c->in[2 * parts];
    int64_t depth = first->dims[0], end = 0;
    *total = 0;
    for (int i = 0; i < parts; i++) {
        const sl_tensor *shape = &c->in[2 * parts + i];
        if (shape->dims[0] != depth)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Ranks of all input tensors must match: expected %lld but got %lld at "
                           "position %d",
                           (long long)depth, (long long)shape->dims[0], i);
        for (int64_t d = 0; d < depth; d++)
            if (d != axis && sl_ops_int(shape, d) != sl_ops_int(first, d))
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "Input shapes must match: expected %lld for dimension %lld but got "
                               "%lld at position %d",
                               (long long)sl_ops_int(first, d), (long long)d,
                               (long long)sl_ops_int(shape, d), i);
        int64_t product = 1;
        bool fits = true;
        for (int64_t d = 0; d < depth; d++)
            fits = fits && sl_ops_int(shape, d) >= 0 &&
                   !__builtin_mul_overflow(product, sl_ops_int(shape, d), &product);
        if (!fits || __builtin_add_overflow(end, sl_ops_int(shape, axis), &end) ||
            __builtin_add_overflow(*total, c->in[i].dims[0], total))
            return sl_fail(st, SL_INTERNAL, "Encountered overflow from large input shape.");
    }
    return SL_OK;
}

/* Copies index and value `from` of a part to place `to` of the output. */
static void put(sl_op_call *c, const int64_t *index, const void *value, int64_t to)
{
    size_t depth = (size_t)c->out[0].dims[1], element = sl_dtype_size(c->out[1].dtype);
    memcpy((int64_t *)c->out[0].data + (size_t)to * depth, index, depth * sizeof *index);
    memcpy((char *)c->out[1].data + (size_t)to * element, value, element);
}

static sl_code concat_run(sl_op_call *c, sl_status *st)
{
    int parts = c->node->n_in / 3;
    int64_t given = *(const int64_t *)c->node->config, axis = given, total;
    sl_code rc = SL_OK;
    for (int i = 0; i < parts && !rc; i++)
        rc = check_part(c, parts, i, st);
    if (rc)
        return rc;
    int64_t depth = c->in[2 * parts].dims[0];
    axis += axis < 0 ? depth : 0;
    if (axis < 0 || axis >= depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Concat dimension must be in range [%lld, %lld), got %lld",
                       -(long long)depth, (long long)depth, (long long)given);
    rc = check_concat(c, parts, axis, &total, st);
    size_t cells, bytes = 0;
    if (!rc && (!sl_mul_size((size_t)total, (size_t)depth, &cells) ||
                !sl_mul_size(cells, sizeof(int64_t), &bytes) || total > INT64_MAX / 32))
        rc = sl_ops_no_memory(st);
    if (!rc)
        rc = make_three(c, total, depth, st);
    if (rc)
        return rc;
    int64_t *all = sl_arena_try_alloc(c->arena, bytes + 1);
    int64_t *order = sl_arena_try_alloc(c->arena, 2 * (size_t)total * sizeof *order + 1);
    const char **values = sl_arena_try_alloc(c->arena, (size_t)total * sizeof *values + 1);
    if (all == NULL || order == NULL || values == NULL)
        return sl_ops_no_memory(st);
    int64_t *sizes = c->out[2].data, n = 0, offset = 0;
    size_t element = sl_dtype_size(c->out[1].dtype);
    memcpy(sizes, c->in[2 * parts].data, (size_t)depth * sizeof *sizes);
    for (int i = 0; i < parts; i++) {
        const int64_t *x = c->in[i].data;
        for (int64_t k = 0; k < c->in[i].dims[0]; k++, n++) {
            memcpy(all + n * depth, x + k * depth, (size_t)depth * sizeof *all);
            all[n * depth + axis] = (int64_t)((uint64_t)all[n * depth + axis] + (uint64_t)offset);
            values[n] = (const char *)c->in[parts + i].data + (size_t)k * element;
        }
        offset += sl_ops_int(&c->in[2 * parts + i], axis);
    }
    sizes[axis] = offset;
    const int64_t *sorted = sl_sparse_sorted(all, n, depth, order, order + n);
    for (int64_t k = 0; k < n; k++)
        put(c, all + sorted[k] * depth, values[sorted[k]], k);
    return SL_OK;
}

/* ---- SparseSlice (indices, values, shape, start, size) ---- */

static sl_code slice_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 5, SL_T(INT64), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    for (int i = 2; i < 5 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T(INT64), st);
    return rc ? rc : set_types(n, n->in_types[1], st);
}

static sl_code check_slice(const sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"indices", "values", "shape"};
    const sl_tensor *in = c->in;
    sl_shape_buf b;
    for (int i = 0; i < 3; i++)
        if (in[i].rank != (i == 0 ? 2 : 1))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Sparse %s must be rank %d but is rank %d",
                           names[i], i == 0 ? 2 : 1, in[i].rank);
    if (in[3].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input start should be a vector but received shape %s",
                       sl_ops_shape(&in[3], &b));
    if (in[4].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input size should be a vector but received shape %s",
                       sl_ops_shape(&in[4], &b));
    int64_t depth = in[2].dims[0];
    if (in[3].dims[0] != depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected start to be a vector of length %lld but got length %lld",
                       (long long)depth, (long long)in[3].dims[0]);
    if (in[4].dims[0] != depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected size to be a vector of length %lld but got length %lld",
                       (long long)depth, (long long)in[4].dims[0]);
    if (in[0].dims[0] != in[1].dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Number of elements in indices (%lld) and values (%lld) do not match",
                       (long long)in[0].dims[0], (long long)in[1].dims[0]);
    if (in[0].dims[1] != depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Index rank (%lld) and shape rank (%lld) do not match",
                       (long long)in[0].dims[1], (long long)depth);
    for (int64_t d = 0; d < depth; d++)
        if (sl_ops_int(&in[4], d) < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected a non-negative size, got %lld",
                           (long long)sl_ops_int(&in[4], d));
    for (int64_t d = 0; d < depth; d++)
        if (sl_ops_int(&in[2], d) < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Expected shape dimensions to be non-negative, got %lld",
                           (long long)sl_ops_int(&in[2], d));
    return SL_OK;
}

/* A slice may begin in front of the tensor. Distances from its start are unsigned: any two numbers
 * have one. */
static bool inside(const int64_t *x, const int64_t *start, const int64_t *size, int64_t depth)
{
    for (int64_t d = 0; d < depth; d++)
        if (x[d] < start[d] || (uint64_t)x[d] - (uint64_t)start[d] >= (uint64_t)size[d])
            return false;
    return true;
}

static sl_code slice_run(sl_op_call *c, sl_status *st)
{
    sl_code rc = check_slice(c, st);
    if (rc)
        return rc;
    const int64_t *x = c->in[0].data, *shape = c->in[2].data, *start = c->in[3].data;
    const int64_t *size = c->in[4].data;
    int64_t n = c->in[0].dims[0], depth = c->in[2].dims[0], found = 0, at = 0;
    size_t element = sl_dtype_size(c->in[1].dtype);
    for (int64_t i = 0; i < n; i++)
        found += inside(x + i * depth, start, size, depth);
    rc = make_three(c, found, depth, st);
    if (rc)
        return rc;
    int64_t *to = c->out[0].data, *sizes = c->out[2].data;
    for (int64_t d = 0; d < depth; d++)
        sizes[d] = shape[d] <= start[d] ? 0
                   : (uint64_t)shape[d] - (uint64_t)start[d] > (uint64_t)size[d]
                       ? size[d]
                       : shape[d] - start[d];
    for (int64_t i = 0; i < n; i++) {
        if (!inside(x + i * depth, start, size, depth))
            continue;
        for (int64_t d = 0; d < depth; d++)
            to[at * depth + d] = (int64_t)((uint64_t)x[i * depth + d] - (uint64_t)start[d]);
        memcpy((char *)c->out[1].data + (size_t)at++ * element,
               (const char *)c->in[1].data + (size_t)i * element, element);
    }
    return SL_OK;
}

const sl_op sl_ops_sparse_parts[] = {
    {"SparseConcat", SL_OP_MAKES, 0, concat_configure, NULL, concat_run, NULL},
    {"SparseSlice", SL_OP_MAKES, 0, slice_configure, NULL, slice_run, NULL},
    {0},
};
