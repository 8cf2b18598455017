/*
 * sparse.c - SparseToDense, ScatterNd, TensorScatterUpdate and TensorScatterAdd, Bucketize
 */
#include <stdio.h>

#include "engine/native/ops/binary.h"
#include "engine/native/ops/ops.h"

/* ---- SparseToDense: indices [n, rank] or [n] or scalar ---- */

static sl_code to_dense_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, 2, 4, st);
    if (rc)
        return rc;
    bool *validate = sl_ops_config(n, sizeof *validate);
    *validate = sl_node_bool(n->source, "validate_indices", true);
    n->config = validate;
    n->out_types[0] = n->in_types[2];
    return SL_OK;
}

static sl_code to_dense_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *indices = &c->in[0], *want = &c->in[1], *values = &c->in[2];
    sl_tensor *out = &c->out[0];
    sl_shape_buf a;
    if (indices->rank > 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "sparse_indices should be a scalar, vector, or matrix, got shape %s",
                       sl_ops_shape(indices, &a));
    if (want->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output_shape must be rank 1, got shape %s",
                       sl_ops_shape(want, &a));
    int64_t n = indices->rank ? indices->dims[0] : 1;
    int64_t depth = indices->rank > 1 ? indices->dims[1] : 1;
    if (want->dims[0] != depth)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "output_shape has incorrect number of elements: %lld should be: %lld",
                       (long long)want->dims[0], (long long)depth);
    if (values->rank > 1 || (values->rank == 1 && values->dims[0] != n))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "sparse_values has incorrect shape %s, should be [] or [%lld]",
                       sl_ops_shape(values, &a), (long long)n);
    if (c->in[3].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "default_value should be a scalar.");
    out->rank = 0;
    for (int64_t i = 0; i < depth; i++) {
        int64_t d = sl_ops_int(want, i);
        if (d < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0", (long long)d);
        sl_code rc = sl_ops_push_dim(out, d, st);
        if (rc)
            return rc;
    }
    return sl_ops_check_size(out, st);
}

static sl_code bad_index(const sl_tensor *indices, int64_t i, int64_t depth, const char *problem,
                         sl_status *st)
{
    char text[256] = "";
    size_t at = 0;
    for (int64_t d = 0; d < depth && at < sizeof text; d++)
        at += (size_t)snprintf(text + at, sizeof text - at, d ? ",%lld" : "%lld",
                               (long long)sl_ops_int(indices, i * depth + d));
    return sl_fail(st, SL_INVALID_ARGUMENT, "indices[%lld] = [%s] is %s", (long long)i, text,
                   problem);
}

static sl_code to_dense_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *indices = &c->in[0], *values = &c->in[2];
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    int64_t n = indices->rank ? indices->dims[0] : 1;
    int64_t depth = indices->rank > 1 ? indices->dims[1] : 1, before = -1;
    bool validate = *(const bool *)c->node->config;
    for (size_t i = 0; i < out->size; i += element)
        memcpy((char *)out->data + i, c->in[3].data, element);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int64_t d = 0; d < depth; d++) {
            int64_t k = sl_ops_int(indices, i * depth + d);
            if (k < 0 || k >= out->dims[d])
                return bad_index(indices, i, depth, "out of bounds: need 0 <= index < shape", st);
            at = at * out->dims[d] + k;
        }
        if (validate && at <= before)
            return bad_index(indices, i, depth,
                             at == before
                                 ? "repeated"
                                 : "out of order. Many sparse ops require sorted indices.\n"
                                   "    Use `tf.sparse.reorder` to create a correctly ordered "
                                   "copy.\n\n",
                             st);
        before = at;
        memcpy((char *)out->data + (size_t)at * element,
               (const char *)values->data + (values->rank ? (size_t)i * element : 0), element);
    }
    return SL_OK;
}

/* ---- ScatterNd (indices, updates, shape), TensorScatter* (tensor, indices, updates) ---- */

typedef struct scatter_config {
    bool tensor;      /* starts from a tensor, not from zeros */
    sl_binary_fn add; /* NULL: replaces */
} scatter_config;

static sl_code scatter_configure(sl_op_node *n, sl_status *st)
{
    bool tensor = n->op->name[0] == 'T', add = strstr(n->op->name, "Update") == NULL, to_bool;
    int data = tensor ? 0 : 1, indices = tensor ? 1 : 0;
    sl_types types = add ? SL_T(FLOAT) | SL_T(DOUBLE) | SL_T_INTS : SL_T_PLAIN;
    sl_code rc = sl_ops_check(n, 3, ~0ull, st);
    if (!rc)
        rc = sl_ops_check_input(n, data, types, st);
    if (!rc)
        rc = sl_ops_check_input(n, indices, SL_T_INDEX, st);
    if (!rc && n->in_types[2] != n->in_types[tensor ? 0 : 2])
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s mixes dtypes", n->op->name);
    if (!rc && !tensor)
        rc = sl_ops_check_input(n, 2, SL_T_INDEX, st);
    sl_str policy = sl_node_str(n->source, "bad_indices_policy", "");
    if (!rc && policy.n && !sl_str_is(policy, "DEFAULT") && !sl_str_is(policy, "ERROR"))
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "bad_indices_policy \"%.*s\" is not supported",
                     SL_STR_ARG(policy));
    if (rc)
        return rc;
    scatter_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->tensor = tensor;
    cfg->add = add ? sl_binary_kernel(strstr(n->op->name, "Sub") ? "Sub" : "AddV2",
                                      n->in_types[data], &to_bool)
                   : NULL;
    n->config = cfg;
    n->out_types[0] = n->in_types[data];
    return SL_OK;
}

static sl_code scatter_shape(sl_op_call *c, sl_status *st)
{
    const scatter_config *cfg = c->node->config;
    const sl_tensor *indices = &c->in[cfg->tensor], *updates = &c->in[cfg->tensor ? 2 : 1];
    sl_tensor *out = &c->out[0];
    sl_shape_buf a, b;
    sl_code rc = SL_OK;
    if (cfg->tensor) {
        sl_ops_same_shape(out, &c->in[0]);
    } else {
        const sl_tensor *want = &c->in[2];
        if (want->rank != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be a vector");
        out->rank = 0;
        for (int64_t i = 0; i < want->dims[0] && !rc; i++)
            rc = sl_ops_int(want, i) < 0
                     ? sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0",
                               (long long)sl_ops_int(want, i))
                     : sl_ops_push_dim(out, sl_ops_int(want, i), st);
        if (!rc)
            rc = sl_ops_check_size(out, st);
        if (rc)
            return rc;
    }
    int64_t depth = indices->rank ? indices->dims[indices->rank - 1] : -1;
    bool fits = indices->rank >= 1 && depth <= out->rank &&
                updates->rank == indices->rank - 1 + out->rank - depth;
    for (int i = 0; fits && i < updates->rank; i++)
        fits =
            updates->dims[i] ==
            (i < indices->rank - 1 ? indices->dims[i] : out->dims[depth + i - (indices->rank - 1)]);
    return fits ? SL_OK
                : sl_fail(st, SL_INVALID_ARGUMENT,
                          "indices of shape %s and updates of shape %s do not fit the result",
                          sl_ops_shape(indices, &a), sl_ops_shape(updates, &b));
}

static sl_code scatter_run(sl_op_call *c, sl_status *st)
{
    const scatter_config *cfg = c->node->config;
    const sl_tensor *indices = &c->in[cfg->tensor], *updates = &c->in[cfg->tensor ? 2 : 1];
    sl_tensor *out = &c->out[0];
    sl_shape_buf b;
    int64_t depth = indices->dims[indices->rank - 1];
    int64_t n = sl_ops_product(indices->dims, 0, indices->rank - 1);
    int64_t row = sl_ops_product(out->dims, (int)depth, out->rank);
    size_t bytes = (size_t)row * sl_dtype_size(out->dtype);
    if (out->size && cfg->tensor)
        memcpy(out->data, c->in[0].data, out->size);
    else if (out->size)
        memset(out->data, 0, out->size);
    if (depth == 0 && bytes == 0) /* neither indices to check nor rows to copy, however many */
        return SL_OK;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = 0;
        for (int64_t d = 0; d < depth; d++) {
            int64_t k = sl_ops_int(indices, i * depth + d);
            if (k < 0 || k >= out->dims[d])
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "indices[%lld] does not index into shape %s", (long long)i,
                               sl_ops_shape(out, &b));
            at = at * out->dims[d] + k;
        }
        char *to = (char *)out->data + (size_t)at * bytes;
        const char *from = (const char *)updates->data + (size_t)i * bytes;
        if (cfg->add)
            cfg->add(to, from, to, row, SL_BINARY_BOTH);
        else if (bytes)
            memcpy(to, from, bytes);
    }
    return SL_OK;
}

/* ---- Bucketize: how many boundaries are <= x ---- */

typedef struct boundaries {
    int n;
    float at[];
} boundaries;

static sl_code bucketize_configure(sl_op_node *n, sl_status *st)
{
    sl_types types = SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(INT32) | SL_T(INT64);
    sl_code rc = sl_ops_check(n, 1, types, st);
    if (rc)
        return rc;
    int count = sl_node_list_count(n->source, "boundaries");
    count = count < 0 ? 0 : count;
    boundaries *b = sl_ops_config(n, sizeof *b + (size_t)count * sizeof b->at[0]);
    b->n = count;
    for (int i = 0; i < count; i++) {
        b->at[i] = sl_node_list_float(n->source, "boundaries", i);
        if (i > 0 && b->at[i] < b->at[i - 1])
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected sorted boundaries");
    }
    n->config = b;
    n->out_types[0] = SL_DT_INT32;
    return SL_OK;
}

static sl_code bucketize_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const boundaries *b = c->node->config;
    const sl_tensor *in = &c->in[0];
    for (int64_t i = 0, n = sl_shape_count(in->dims, in->rank, 1); i < n; i++) {
        double x = in->dtype == SL_DT_FLOAT    ? (double)((const float *)in->data)[i]
                   : in->dtype == SL_DT_DOUBLE ? ((const double *)in->data)[i]
                                               : (double)sl_ops_int(in, i);
        int low = 0, high = b->n; /* the first boundary above x; NaN is below none */
        while (low < high) {
            int middle = (low + high) / 2;
            if (x < (double)b->at[middle])
                high = middle;
            else
                low = middle + 1;
        }
        ((int32_t *)c->out[0].data)[i] = low;
    }
    return SL_OK;
}

#define SCATTER(name, reads)                                                \
    {                                                                       \
        name, 0, reads, scatter_configure, scatter_shape, scatter_run, NULL \
    }

const sl_op sl_ops_sparse[] = {
    {"SparseToDense", 0, 1 << 1, to_dense_configure, to_dense_shape, to_dense_run, NULL},
    SCATTER("ScatterNd", 1 << 2),
    SCATTER("TensorScatterUpdate", 0),
    SCATTER("TensorScatterAdd", 0),
    SCATTER("TensorScatterSub", 0),
    {"Bucketize", 0, 0, bucketize_configure, sl_ops_shape_like_first, bucketize_run, NULL},
    {0},
};
