/*
 * array_move.c - ops that put the same elements elsewhere: transpose, concat, split, tile, pad
 *
 * Everything but concat and its inverse is one strided copy (kernels/copy.h).
 */
#include <stdio.h>

#include "engine/native/kernels/copy.h"
#include "engine/native/ops/ops.h"

static sl_code keeps_type(sl_op_node *n, int n_in, uint32_t integers, sl_status *st)
{
    sl_code rc = sl_ops_check(n, n_in, SL_T_PLAIN, st);
    for (int i = 1; !rc && i < n_in; i++)
        if (integers >> i & 1)
            rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    for (int k = 0; k < n->n_out; k++)
        n->out_types[k] = n->in_types[0];
    return SL_OK;
}

static sl_code one_and_ints_configure(sl_op_node *n, sl_status *st)
{
    return keeps_type(n, 2, 1 << 1, st);
}

/* ---- Transpose ---- */

static sl_code transpose_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *perm = &c->in[1];
    if (perm->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "perm must be rank 1, got shape of rank %d",
                       perm->rank);
    if (perm->dims[0] != in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "transpose expects a vector of size %d. But input(1) is a vector of size "
                       "%lld",
                       in->rank, (long long)perm->dims[0]);
    bool seen[SL_MAX_RANK] = {false};
    for (int i = 0; i < in->rank; i++) {
        int64_t p = sl_ops_int(perm, i);
        if (!sl_ops_axis(&p, in->rank))
            return sl_fail(st, SL_INVALID_ARGUMENT, "%lld is out of range [0 .. %d)",
                           (long long)sl_ops_int(perm, i), in->rank);
        seen[p] = true;
        c->out[0].dims[i] = in->dims[p];
    }
    for (int i = 0; i < in->rank; i++)
        if (!seen[i]) {
            char text[128] = "";
            size_t at = 0;
            for (int k = 0; k < in->rank; k++)
                at += (size_t)snprintf(text + at, sizeof text - at, k ? ",%d" : "%d",
                                       (int)sl_ops_int(perm, k));
            return sl_fail(st, SL_INVALID_ARGUMENT, "%d is missing from {%s}.", i, text);
        }
    c->out[0].rank = in->rank;
    return SL_OK;
}

static sl_code transpose_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t from[SL_MAX_RANK], to[SL_MAX_RANK];
    sl_copy_dim dims[SL_MAX_RANK];
    sl_ops_strides(in->dims, in->rank, from);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < in->rank; i++) {
        int64_t p = sl_ops_int(&c->in[1], i);
        dims[i] = (sl_copy_dim){out->dims[i], to[i], from[p < 0 ? p + in->rank : p]};
    }
    sl_kernel_copy(out->data, in->data, dims, in->rank, sl_dtype_size(in->dtype));
    return SL_OK;
}

/* ---- ConcatV2, Concat, Pack ---- */

/* ConcatV2 has the axis last, Concat has it first. */
static bool axis_first(const sl_op_node *n)
{
    return strcmp(n->op->name, "Concat") == 0;
}

static sl_code concat_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has nothing to join", n->op->name);
    int first = axis_first(n);
    int axis = first ? 0 : n->n_in - 1;
    sl_code rc = sl_ops_check_input(n, axis, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, first, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, first, n->n_in - !first, st);
    if (rc)
        return rc;
    n->out_types[0] = n->in_types[first];
    return SL_OK;
}

static sl_code concat_shape(sl_op_call *c, sl_status *st)
{
    int first = axis_first(c->node), count = c->node->n_in - 1;
    const sl_tensor *values = c->in + first, *t = &c->in[first ? 0 : count];
    sl_tensor *out = &c->out[0];
    sl_shape_buf a, b;
    if (sl_shape_count(t->dims, t->rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ConcatOp : Expected concatenating dimensions tensor to be a scalar");
    int64_t axis = sl_ops_int(t, 0), at = axis;
    if (!sl_ops_axis(&at, values[0].rank))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ConcatOp : Expected concatenating dimensions in the range [-%d, %d), but "
                       "got %lld",
                       values[0].rank, values[0].rank, (long long)axis);
    sl_ops_same_shape(out, &values[0]);
    for (int k = 1; k < count; k++) {
        if (values[k].rank != out->rank)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "ConcatOp : Ranks of all input tensors should match: shape[0] = %s vs. "
                           "shape[%d] = %s",
                           sl_ops_shape(&values[0], &a), k, sl_ops_shape(&values[k], &b));
        for (int i = 0; i < out->rank; i++)
            if (i != at && values[k].dims[i] != out->dims[i])
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "ConcatOp : Dimension %d in both shapes must be equal: shape[0] = "
                               "%s vs. shape[%d] = %s",
                               i, sl_ops_shape(&values[0], &a), k, sl_ops_shape(&values[k], &b));
        if (__builtin_add_overflow(out->dims[at], values[k].dims[at], &out->dims[at]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "ConcatOp : the result is too large");
    }
    return SL_OK;
}

/* Copies pieces that lie side by side: piece k brings `bytes` for each of `rows`. */
static void join(char *to, const sl_tensor *pieces, int count, int64_t rows, size_t row_bytes)
{
    for (int k = 0; k < count; k++) {
        size_t bytes = rows ? pieces[k].size / (size_t)rows : 0;
        const char *from = pieces[k].data;
        for (int64_t i = 0; bytes && i < rows; i++)
            memcpy(to + (size_t)i * row_bytes, from + (size_t)i * bytes, bytes);
        to += bytes;
    }
}

static sl_code concat_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int first = axis_first(c->node), count = c->node->n_in - 1;
    int64_t axis = sl_ops_int(&c->in[first ? 0 : count], 0);
    sl_ops_axis(&axis, c->out[0].rank);
    int64_t rows = sl_ops_product(c->out[0].dims, 0, (int)axis);
    join(c->out[0].data, c->in + first, count, rows, rows ? c->out[0].size / (size_t)rows : 0);
    return SL_OK;
}

static sl_code pack_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Pack has nothing to join");
    sl_code rc = sl_ops_check_all(n, n->n_in, SL_T_PLAIN | SL_T(RESOURCE) | SL_T(VARIANT), st);
    if (!rc)
        rc = sl_ops_check_input(n, 0, SL_T_PLAIN, st);
    if (rc)
        return rc;
    int64_t *axis = sl_ops_config(n, sizeof *axis);
    *axis = sl_node_int(n->source, "axis", 0);
    n->config = axis;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code pack_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf a, b;
    const sl_tensor *in = c->in;
    sl_tensor *out = &c->out[0];
    int64_t axis = *(const int64_t *)c->node->config;
    for (int k = 1; k < c->node->n_in; k++)
        if (in[k].rank != in[0].rank ||
            memcmp(in[k].dims, in[0].dims, (size_t)in[0].rank * sizeof in[0].dims[0]) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Shapes of all inputs must match: values[0].shape = %s != "
                           "values[%d].shape = %s",
                           sl_ops_shape(&in[0], &a), k, sl_ops_shape(&in[k], &b));
    int64_t at = axis;
    if (!sl_ops_axis(&at, in->rank + 1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "axis = %lld not in [%d, %d)", (long long)axis,
                       -(in->rank + 1), in->rank + 1);
    out->rank = 0;
    for (int i = 0; i <= in->rank; i++) {
        sl_code rc = sl_ops_push_dim(out,
                                     i < at    ? in->dims[i]
                                     : i == at ? c->node->n_in
                                               : in->dims[i - 1],
                                     st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code pack_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int64_t axis = *(const int64_t *)c->node->config;
    sl_ops_axis(&axis, c->out[0].rank);
    int64_t rows = sl_ops_product(c->in[0].dims, 0, (int)axis);
    join(c->out[0].data, c->in, c->node->n_in, rows, rows ? c->out[0].size / (size_t)rows : 0);
    return SL_OK;
}

/* ---- Unpack, Split, SplitV ---- */

/* The inverse of join: pieces of sizes[k] elements along `axis`. */
static void part(const sl_tensor *in, sl_tensor *out, int count, int axis)
{
    int64_t rows = sl_ops_product(in->dims, 0, axis);
    size_t row_bytes = rows ? in->size / (size_t)rows : 0;
    const char *from = in->data;
    for (int k = 0; k < count; k++) {
        size_t bytes = rows ? out[k].size / (size_t)rows : 0;
        for (int64_t i = 0; bytes && i < rows; i++)
            memcpy((char *)out[k].data + (size_t)i * bytes, from + (size_t)i * row_bytes, bytes);
        from += bytes;
    }
}

static sl_code unpack_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_out == 0)
        return sl_fail(st, SL_FAILED_PRECONDITION, "Unpack into nothing is not supported");
    sl_code rc = keeps_type(n, 1, 0, st);
    if (rc)
        return rc;
    int64_t *axis = sl_ops_config(n, sizeof *axis);
    *axis = sl_node_int(n->source, "axis", 0);
    n->config = axis;
    return SL_OK;
}

static sl_code unpack_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    int64_t axis = *(const int64_t *)c->node->config, at = axis;
    if (!sl_ops_axis(&at, in->rank))
        return sl_fail(st, SL_INVALID_ARGUMENT, "axis = %lld not in [%d, %d)", (long long)axis,
                       -in->rank, in->rank);
    if (in->dims[at] != c->node->n_out)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input shape axis %lld must equal %d, got shape %s",
                       (long long)at, c->node->n_out, sl_ops_shape(in, &b));
    for (int k = 0; k < c->node->n_out; k++) {
        c->out[k].rank = in->rank - 1;
        for (int i = 0; i < in->rank - 1; i++)
            c->out[k].dims[i] = in->dims[i < at ? i : i + 1];
    }
    return SL_OK;
}

static sl_code unpack_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int64_t axis = *(const int64_t *)c->node->config;
    sl_ops_axis(&axis, c->in[0].rank);
    part(&c->in[0], c->out, c->node->n_out, (int)axis);
    return SL_OK;
}

static sl_code split_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    if (rc)
        return rc;
    for (int k = 0; k < n->n_out; k++)
        n->out_types[k] = n->in_types[1];
    return SL_OK;
}

static sl_code split_axis(const sl_tensor *t, int rank, int64_t *axis, sl_status *st)
{
    if (sl_shape_count(t->dims, t->rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "split_dim must be a scalar but has rank %d",
                       t->rank);
    *axis = sl_ops_int(t, 0);
    if (!sl_ops_axis(axis, rank))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "-input rank(-%d) <= split_dim < input rank (%d), but got %lld", rank, rank,
                       (long long)*axis);
    return SL_OK;
}

static sl_code split_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[1];
    int n = c->node->n_out;
    int64_t axis = 0;
    sl_code rc = split_axis(&c->in[0], in->rank, &axis, st);
    if (rc)
        return rc;
    if (in->dims[axis] % n != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Number of ways to split should evenly divide the split dimension, but got "
                       "split_dim %lld (size = %lld) and num_split %d",
                       (long long)axis, (long long)in->dims[axis], n);
    for (int k = 0; k < n; k++) {
        sl_ops_same_shape(&c->out[k], in);
        c->out[k].dims[axis] = in->dims[axis] / n;
    }
    return SL_OK;
}

static sl_code split_run(sl_op_call *c, sl_status *st)
{
    int64_t axis = 0;
    sl_code rc = split_axis(&c->in[0], c->in[1].rank, &axis, st);
    if (!rc)
        part(&c->in[1], c->out, c->node->n_out, (int)axis);
    return rc;
}

static sl_code splitv_configure(sl_op_node *n, sl_status *st)
{
    return keeps_type(n, 3, 1 << 1 | 1 << 2, st);
}

static sl_code splitv_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *sizes = &c->in[1];
    int n = c->node->n_out, open = -1;
    int64_t axis = 0, sum = 0;
    sl_code rc = split_axis(&c->in[2], in->rank, &axis, st);
    if (rc)
        return rc;
    if (sizes->rank != 1 || sizes->dims[0] != n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "size of the split_tensor must be 1-D and have the same elements as outputs "
                       "got %d -D and %lld elements",
                       sizes->rank, (long long)sl_shape_count(sizes->dims, sizes->rank, 1));
    for (int k = 0; k < n; k++) {
        int64_t s = sl_ops_int(sizes, k);
        if (s == -1 && open >= 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "There can only be one -1 in the input.");
        if (s == -1)
            open = k;
        else if (s < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Split size at index %d must be >= 0. Got: %lld", k, (long long)s);
        else if (__builtin_add_overflow(sum, s, &sum))
            return sl_fail(st, SL_INVALID_ARGUMENT, "sum of split sizes is too large");
        sl_ops_same_shape(&c->out[k], in);
        c->out[k].dims[axis] = s;
    }
    if (open < 0 ? sum != in->dims[axis] : sum > in->dims[axis])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Determined shape must either match input shape along split_dim exactly if "
                       "fully specified, or be less than the size of the input along split_dim if "
                       "not fully specified.  Got: %lld",
                       (long long)sum);
    if (open >= 0)
        c->out[open].dims[axis] = in->dims[axis] - sum;
    return SL_OK;
}

static sl_code splitv_run(sl_op_call *c, sl_status *st)
{
    int64_t axis = 0;
    sl_code rc = split_axis(&c->in[2], c->in[0].rank, &axis, st);
    if (!rc)
        part(&c->in[0], c->out, c->node->n_out, (int)axis);
    return rc;
}

/* ---- Tile, BroadcastTo, ReverseV2 ---- */

static sl_code tile_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *m = &c->in[1];
    if (m->rank != 1 || m->dims[0] != in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected multiples argument to be a vector of length %d but got length "
                       "%lld",
                       in->rank, (long long)sl_shape_count(m->dims, m->rank, 1));
    for (int i = 0; i < in->rank; i++) {
        int64_t k = sl_ops_int(m, i);
        if (k < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected multiples[%d] >= 0, but got %lld", i,
                           (long long)k);
        if (__builtin_mul_overflow(in->dims[i], k, &c->out[0].dims[i]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "the result of Tile is too large");
    }
    c->out[0].rank = in->rank;
    return sl_ops_check_size(&c->out[0], st);
}

static sl_code tile_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t from[SL_MAX_RANK], to[SL_MAX_RANK];
    sl_copy_dim dims[2 * SL_MAX_RANK];
    if (out->size == 0)
        return SL_OK;
    sl_ops_strides(in->dims, in->rank, from);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < in->rank; i++) {
        dims[2 * i] = (sl_copy_dim){sl_ops_int(&c->in[1], i), in->dims[i] * to[i], 0};
        dims[2 * i + 1] = (sl_copy_dim){in->dims[i], to[i], from[i]};
    }
    sl_kernel_copy(out->data, in->data, dims, 2 * in->rank, sl_dtype_size(in->dtype));
    return SL_OK;
}

static sl_code broadcast_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *want = &c->in[1];
    sl_tensor *out = &c->out[0];
    sl_shape_buf a, b;
    if (want->rank > 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape must be a vector, got rank %d", want->rank);
    out->rank = 0;
    for (int64_t i = 0; i < sl_shape_count(want->dims, want->rank, 1); i++) {
        int64_t d = sl_ops_int(want, i);
        if (d < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0", (long long)d);
        sl_code rc = sl_ops_push_dim(out, d, st);
        if (rc)
            return rc;
    }
    if (in->rank > out->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Rank of input (%d) must be no greater than rank of output shape (%d).",
                       in->rank, out->rank);
    for (int i = 0; i < in->rank; i++)
        if (in->dims[i] != 1 && in->dims[i] != out->dims[i + out->rank - in->rank])
            return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes: %s vs. %s",
                           sl_ops_shape(in, &a), sl_ops_shape(out, &b));
    return sl_ops_check_size(out, st);
}

static sl_code broadcast_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t from[SL_MAX_RANK], to[SL_MAX_RANK];
    sl_copy_dim dims[SL_MAX_RANK];
    int shift = out->rank - in->rank;
    if (out->size == 0)
        return SL_OK;
    sl_ops_strides(in->dims, in->rank, from);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < out->rank; i++) {
        bool repeat = i < shift || in->dims[i - shift] == 1;
        dims[i] = (sl_copy_dim){out->dims[i], to[i], repeat ? 0 : from[i - shift]};
    }
    sl_kernel_copy(out->data, in->data, dims, out->rank, sl_dtype_size(in->dtype));
    return SL_OK;
}

static sl_code reverse_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *axes = &c->in[1];
    bool seen[SL_MAX_RANK] = {false};
    if (axes->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "'dims' must be 1-dimension, not %d", axes->rank);
    for (int64_t i = 0; i < axes->dims[0]; i++) {
        int64_t axis = sl_ops_int(axes, i);
        if (!sl_ops_axis(&axis, in->rank))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "'axis'[%lld] = %lld is out of valid range [0, %d", (long long)i,
                           (long long)axis, in->rank - 1);
        if (seen[axis])
            return sl_fail(st, SL_INVALID_ARGUMENT, "axis %lld specified more than once.",
                           (long long)axis);
        seen[axis] = true;
    }
    return sl_ops_shape_like_first(c, st);
}

static sl_code reverse_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t strides[SL_MAX_RANK] = {0};
    sl_copy_dim dims[SL_MAX_RANK];
    size_t element = sl_dtype_size(in->dtype);
    const char *from = in->data;
    sl_ops_strides(in->dims, in->rank, strides);
    for (int i = 0; i < in->rank; i++)
        dims[i] = (sl_copy_dim){in->dims[i], strides[i], strides[i]};
    for (int64_t i = 0; out->size && i < c->in[1].dims[0]; i++) {
        int64_t axis = sl_ops_int(&c->in[1], i);
        sl_ops_axis(&axis, in->rank);
        from += (size_t)((in->dims[axis] - 1) * strides[axis]) * element;
        dims[axis].from = -strides[axis];
    }
    sl_kernel_copy(out->data, from, dims, in->rank, element);
    return SL_OK;
}

const sl_op sl_ops_array_move[] = {
    {"Transpose", 0, 1 << 1, one_and_ints_configure, transpose_shape, transpose_run, NULL},
    {"ConcatV2", SL_OP_READS_LAST, 0, concat_configure, concat_shape, concat_run, NULL},
    {"Concat", 0, 1 << 0, concat_configure, concat_shape, concat_run, NULL},
    {"Pack", 0, 0, pack_configure, pack_shape, pack_run, NULL},
    {"Unpack", 0, 0, unpack_configure, unpack_shape, unpack_run, NULL},
    {"Split", 0, 1 << 0, split_configure, split_shape, split_run, NULL},
    {"SplitV", 0, 1 << 1 | 1 << 2, splitv_configure, splitv_shape, splitv_run, NULL},
    {"Tile", 0, 1 << 1, one_and_ints_configure, tile_shape, tile_run, NULL},
    {"BroadcastTo", 0, 1 << 1, one_and_ints_configure, broadcast_shape, broadcast_run, NULL},
    {"ReverseV2", 0, 1 << 1, one_and_ints_configure, reverse_shape, reverse_run, NULL},
    {0},
};
