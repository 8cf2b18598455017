/*
 * count.c - Bincount, DenseBincount and RaggedBincount: how often each number is there
 *
 * With weights, what they add up to; with binary_output, whether it is there at all. Numbers beyond
 * the bins are passed over.
 */
#include "engine/native/ops/ops.h"

typedef struct count_config {
    int values, size, weights; /* inputs */
    bool ragged, binary;
} count_config;

static sl_code count_configure(sl_op_node *n, sl_status *st)
{
    bool ragged = n->op->name[0] == 'R';
    sl_code rc = sl_ops_check(n, ragged ? 4 : 3, ragged ? SL_T(INT64) : SL_T_INDEX, st);
    for (int i = 1; i < n->n_in - 1 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, n->n_in - 1, SL_T_INDEX | SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (rc)
        return rc;
    count_config *cfg = sl_ops_config(n, sizeof *cfg);
    *cfg = (count_config){.values = ragged,
                          .size = 1 + ragged,
                          .weights = 2 + ragged,
                          .ragged = ragged,
                          .binary = sl_node_bool(n->source, "binary_output", false)};
    n->config = cfg;
    n->out_types[0] = n->in_types[cfg->weights];
    return SL_OK;
}

static sl_code check_splits(const sl_tensor *splits, int64_t values, sl_status *st)
{
    int64_t n = splits->dims[0];
    if (sl_ops_int(splits, 0) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Splits must start with 0, not with %lld",
                       (long long)sl_ops_int(splits, 0));
    if (sl_ops_int(splits, n - 1) != values)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Splits must end with the number of values, got %lld instead of %lld",
                       (long long)sl_ops_int(splits, n - 1), (long long)values);
    for (int64_t i = 1; i < n; i++)
        if (sl_ops_int(splits, i) < sl_ops_int(splits, i - 1))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Splits must not descend");
    return SL_OK;
}

static sl_code count_shape(sl_op_call *c, sl_status *st)
{
    const count_config *cfg = c->node->config;
    const sl_tensor *values = &c->in[cfg->values], *size = &c->in[cfg->size];
    const sl_tensor *weights = &c->in[cfg->weights];
    bool dense = c->node->op->name[0] == 'D';
    sl_shape_buf a;
    if (cfg->ragged && (c->in[0].rank != 1 || c->in[0].dims[0] < 1 || values->rank != 1))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Splits and values must be vectors");
    if (dense && values->rank > 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be at most rank 2 but is rank %d",
                       values->rank);
    if (sl_shape_count(size->dims, size->rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be rank 0 but is rank %d", size->rank);
    int64_t bins = sl_ops_int(size, 0);
    if (bins < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "size (%lld) must be non-negative",
                       (long long)bins);
    int64_t n = sl_shape_count(weights->dims, weights->rank, 1);
    bool same =
        weights->rank == values->rank &&
        memcmp(weights->dims, values->dims, (size_t)values->rank * sizeof values->dims[0]) == 0;
    if (n != 0 && !same && c->node->op->name[0] == 'B')
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input indices and weights must have the same size.");
    if (n != 0 && !same)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "`weights` must be the same shape as `arr` or a length-0 `Tensor`, in which "
                       "case it acts as all weights equal to 1. Received %s",
                       sl_ops_shape(weights, &a));
    sl_tensor *out = &c->out[0];
    out->rank = 0;
    sl_code rc = SL_OK;
    if (cfg->ragged)
        rc = sl_ops_push_dim(out, c->in[0].dims[0] - 1, st);
    else if (dense && values->rank == 2)
        rc = sl_ops_push_dim(out, values->dims[0], st);
    if (!rc)
        rc = sl_ops_push_dim(out, bins, st);
    return rc ? rc : sl_ops_check_size(out, st);
}

#define COUNT(name, type, wide)                                                                \
    static void name(const count_config *cfg, const sl_op_call *c, int64_t from, int64_t to,   \
                     int64_t bins, type *out)                                                  \
    {                                                                                          \
        const sl_tensor *values = &c->in[cfg->values];                                         \
        const type *weights = c->in[cfg->weights].size ? c->in[cfg->weights].data : NULL;      \
        for (int64_t i = from; i < to; i++) {                                                  \
            int64_t v = sl_ops_int(values, i);                                                 \
            if (v < bins)                                                                      \
                out[v] =                                                                       \
                    cfg->binary ? 1 : (type)((wide)out[v] + (wide)(weights ? weights[i] : 1)); \
        }                                                                                      \
    }
COUNT(count_f, float, float)
COUNT(count_d, double, double)
COUNT(count_i32, int32_t, uint32_t)
COUNT(count_i64, int64_t, uint64_t)

static sl_code count_run(sl_op_call *c, sl_status *st)
{
    const count_config *cfg = c->node->config;
    const sl_tensor *values = &c->in[cfg->values];
    sl_tensor *out = &c->out[0];
    int64_t n = sl_tensor_count(values), bins = out->dims[out->rank - 1];
    int64_t rows = out->rank == 2 ? out->dims[0] : 1;
    sl_code rc = cfg->ragged ? check_splits(&c->in[0], n, st) : SL_OK;
    for (int64_t i = 0; i < n && !rc; i++)
        if (sl_ops_int(values, i) < 0)
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "Input arr must be non-negative!");
    if (rc || out->size == 0)
        return rc;
    memset(out->data, 0, out->size);
    size_t row = out->size / (size_t)rows;
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = cfg->ragged ? sl_ops_int(&c->in[0], r) : r * (n / rows);
        int64_t to = cfg->ragged ? sl_ops_int(&c->in[0], r + 1) : from + n / rows;
        void *to_row = (char *)out->data + (size_t)r * row;
        if (out->dtype == SL_DT_FLOAT)
            count_f(cfg, c, from, to, bins, to_row);
        else if (out->dtype == SL_DT_DOUBLE)
            count_d(cfg, c, from, to, bins, to_row);
        else if (out->dtype == SL_DT_INT32)
            count_i32(cfg, c, from, to, bins, to_row);
        else
            count_i64(cfg, c, from, to, bins, to_row);
    }
    return SL_OK;
}

const sl_op sl_ops_count[] = {
    {"Bincount", 0, 1 << 1, count_configure, count_shape, count_run, NULL},
    {"DenseBincount", 0, 1 << 1, count_configure, count_shape, count_run, NULL},
    {"RaggedBincount", 0, 1 << 2, count_configure, count_shape, count_run, NULL},
    {0},
};
