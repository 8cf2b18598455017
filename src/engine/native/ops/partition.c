/*
 * partition.c - DynamicPartition, DynamicStitch: rows are dealt out by number, and put together
 * again
 *
 * What embedding lookups in partitioned tables are made of.
 */
#include "engine/native/ops/ops.h"

#include <assert.h>

static bool starts_with(const sl_tensor *t, const sl_tensor *prefix)
{
    return prefix->rank <= t->rank &&
           memcmp(t->dims, prefix->dims, (size_t)prefix->rank * sizeof t->dims[0]) == 0;
}

/* "[2,1]": where element i of a tensor of this shape is. */
static const char *position(const sl_tensor *t, int64_t i, sl_shape_buf *b)
{
    int64_t at[SL_MAX_RANK];
    for (int d = t->rank - 1; d >= 0; d--) {
        at[d] = i % t->dims[d];
        i /= t->dims[d];
    }
    return t->rank ? sl_shape_text(at, t->rank, b->text, sizeof b->text) : "";
}

/* ---- DynamicPartition (rows, partition of each) ---- */

static sl_code partition_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    for (int k = 0; k < n->n_out && !rc; k++)
        n->out_types[k] = n->in_types[0];
    return rc;
}

static sl_code partition_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *data = &c->in[0], *to = &c->in[1];
    int64_t n = sl_tensor_count(to), count = c->node->n_out;
    sl_shape_buf a, b;
    if (!starts_with(data, to))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "data.shape must start with partitions.shape, got data.shape = %s, "
                       "partitions.shape = %s",
                       sl_ops_shape(data, &a), sl_ops_shape(to, &b));
    for (int64_t k = 0; k < count; k++) {
        sl_tensor *out = &c->out[k];
        out->rank = 1 + data->rank - to->rank;
        out->dims[0] = 0;
        for (int d = to->rank; d < data->rank; d++)
            out->dims[1 + d - to->rank] = data->dims[d];
        if (out->rank > SL_MAX_RANK)
            return sl_fail(st, SL_INVALID_ARGUMENT, "the result has too many dimensions");
    }
    for (int64_t i = 0; i < n; i++) {
        int64_t k = sl_ops_int(to, i);
        if (k < 0 || k >= count)
            return sl_fail(st, SL_INVALID_ARGUMENT, "partitions%s = %lld is not in [0, %lld)",
                           position(to, i, &a), (long long)k, (long long)count);
        c->out[k].dims[0]++;
    }
    size_t row = n ? data->size / (size_t)n : 0;
    int64_t *next = sl_arena_try_alloc(c->arena, (size_t)count * sizeof *next);
    if (next == NULL)
        return sl_ops_no_memory(st);
    memset(next, 0, (size_t)count * sizeof *next);
    sl_code rc = SL_OK;
    for (int64_t k = 0; k < count && !rc; k++)
        rc = sl_ops_make(c, (int)k, st);
    for (int64_t i = 0; i < n && row && !rc; i++) {
        int64_t k = sl_ops_int(to, i);
        memcpy((char *)c->out[k].data + (size_t)next[k]++ * row,
               (const char *)data->data + (size_t)i * row, row);
    }
    return rc;
}

/* ---- DynamicStitch (N times where to, N times rows) ---- */

static sl_code stitch_configure(sl_op_node *n, sl_status *st)
{
    int half = n->n_in / 2;
    if (n->n_in < 2 || n->n_in % 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs", n->op->name, n->n_in);
    sl_code rc = sl_ops_check(n, n->n_in, SL_T(INT32), st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, half, st);
    if (!rc)
        rc = sl_ops_check_input(n, half, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, half, n->n_in, st);
    if (!rc)
        n->out_types[0] = n->in_types[half];
    return rc;
}

static sl_code check_stitch(const sl_op_call *c, int64_t *last, sl_status *st)
{
    int half = c->node->n_in / 2;
    const sl_tensor *at0 = &c->in[0], *data0 = &c->in[half];
    sl_shape_buf a, b, x, y;
    *last = -1;
    for (int k = 0; k < half; k++) {
        const sl_tensor *at = &c->in[k], *data = &c->in[half + k];
        if (!starts_with(data, at))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "data[%d].shape = %s does not start with indices[%d].shape = %s", k,
                           sl_ops_shape(data, &a), k, sl_ops_shape(at, &b));
        bool same = data->rank - at->rank == data0->rank - at0->rank;
        for (int d = 0; same && d < data->rank - at->rank; d++)
            same = data->dims[at->rank + d] == data0->dims[at0->rank + d];
        if (!same)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Need data[0].shape[%d:] = data[%d].shape[%d:], got data[0].shape = %s, "
                           "data[%d].shape = %s, indices[0].shape = %s, indices[%d].shape = %s",
                           at0->rank, k, at->rank, sl_ops_shape(data0, &a), k,
                           sl_ops_shape(data, &b), sl_ops_shape(at0, &x), k, sl_ops_shape(at, &y));
        for (int64_t i = 0, n = sl_tensor_count(at); i < n; i++) {
            if (sl_ops_int(at, i) < 0)
                return sl_fail(st, SL_INVALID_ARGUMENT, "indices[%d] is out of range", k);
            *last = SL_MAX(*last, sl_ops_int(at, i));
        }
    }
    return SL_OK;
}

static sl_code stitch_run(sl_op_call *c, sl_status *st)
{
    int half = c->node->n_in / 2;
    const sl_tensor *data0 = &c->in[half];
    int64_t last;
    sl_code rc = check_stitch(c, &last, st);
    if (rc)
        return rc;
    sl_tensor *out = &c->out[0];
    out->rank = 0;
    rc = sl_ops_push_dim(out, last + 1, st);
    for (int d = c->in[0].rank; d < data0->rank && !rc; d++)
        rc = sl_ops_push_dim(out, data0->dims[d], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    if (rc || out->size == 0)
        return rc;
    assert(last >= 0); /* else there is nothing in it */
    size_t row = out->size / (size_t)(last + 1);
    memset(out->data, 0, out->size); /* a row that nobody names */
    for (int k = 0; k < half; k++)
        for (int64_t i = 0, n = sl_tensor_count(&c->in[k]); i < n; i++)
            memcpy((char *)out->data + (size_t)sl_ops_int(&c->in[k], i) * row,
                   (const char *)c->in[half + k].data + (size_t)i * row, row);
    return SL_OK;
}

const sl_op sl_ops_partition[] = {
    {"DynamicPartition", SL_OP_MAKES, 0, partition_configure, NULL, partition_run, NULL},
    {"DynamicStitch", SL_OP_MAKES, 0, stitch_configure, NULL, stitch_run, NULL},
    {"ParallelDynamicStitch", SL_OP_MAKES, 0, stitch_configure, NULL, stitch_run, NULL},
    {0},
};
