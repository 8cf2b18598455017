/*
 * search.c - where values stand among others: LowerBound, UpperBound, InTopK, HistogramFixedWidth
 */
#include <math.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* ---- LowerBound, UpperBound (sorted [rows, n], values [rows, m]) ---- */

typedef struct bound_config {
    bool upper;
} bound_config;

static sl_code bound_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_NUMBERS, st);
    sl_dtype out = sl_node_type(n->source, "out_type", SL_DT_INT32);
    if (!rc && !sl_types_has(SL_T_INDEX, out))
        rc = sl_ops_unsupported(out, st);
    if (rc)
        return rc;
    bound_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->upper = n->op->name[0] == 'U';
    n->config = cfg;
    n->out_types[0] = out;
    return SL_OK;
}

static sl_code bound_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *sorted = &c->in[0], *values = &c->in[1];
    if (sorted->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Shape must be rank 2 but is rank %d for `sorted_inputs` argument",
                       sorted->rank);
    if (values->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Shape must be rank 2 but is rank %d for `values` argument", values->rank);
    if (sorted->dims[0] != values->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "Leading dim_size of both tensors must match.");
    sl_ops_same_shape(&c->out[0], values);
    return SL_OK;
}

/* The number of elements before the place; std::lower_bound's steps, so that rows that are not
 * sorted have its answers too. */
#define BOUND(name, type, expr)                                                 \
    static int64_t name(const void *row, int64_t n, const void *value, bool up) \
    {                                                                           \
        const type *a = row;                                                    \
        type raw = *(const type *)value;                                        \
        int64_t at = 0;                                                         \
        while (n > 0) {                                                         \
            int64_t half = n / 2;                                               \
            __auto_type x = expr(a[at + half]);                                 \
            __auto_type v = expr(raw);                                          \
            if (up ? !(v < x) : x < v) {                                        \
                at += half + 1;                                                 \
                n -= half + 1;                                                  \
            } else {                                                            \
                n = half;                                                       \
            }                                                                   \
        }                                                                       \
        return at;                                                              \
    }
BOUND(bound_f, float, )
BOUND(bound_d, double, )
BOUND(bound_h, uint16_t, sl_half_to_float)
BOUND(bound_b, uint16_t, sl_bf16_to_float)
BOUND(bound_i8, int8_t, )
BOUND(bound_i16, int16_t, )
BOUND(bound_i32, int32_t, )
BOUND(bound_i64, int64_t, )
BOUND(bound_u8, uint8_t, )
BOUND(bound_u16, uint16_t, )
BOUND(bound_u32, uint32_t, )
BOUND(bound_u64, uint64_t, )

static sl_code bound_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    static int64_t (*const kernels[SL_DT_COUNT])(const void *, int64_t, const void *, bool) = {
        [SL_DT_FLOAT] = bound_f,    [SL_DT_DOUBLE] = bound_d,   [SL_DT_HALF] = bound_h,
        [SL_DT_BFLOAT16] = bound_b, [SL_DT_INT8] = bound_i8,    [SL_DT_INT16] = bound_i16,
        [SL_DT_INT32] = bound_i32,  [SL_DT_INT64] = bound_i64,  [SL_DT_UINT8] = bound_u8,
        [SL_DT_UINT16] = bound_u16, [SL_DT_UINT32] = bound_u32, [SL_DT_UINT64] = bound_u64,
    };
    const bound_config *cfg = c->node->config;
    const sl_tensor *sorted = &c->in[0], *values = &c->in[1];
    size_t element = sl_dtype_size(sorted->dtype);
    int64_t n = sorted->dims[1], m = values->dims[1];
    if (c->out[0].size == 0)
        return SL_OK;
    for (int64_t r = 0; r < values->dims[0]; r++)
        for (int64_t i = 0; i < m; i++)
            sl_ops_set_int(
                &c->out[0], r * m + i,
                kernels[sorted->dtype]((const char *)sorted->data + (size_t)(r * n) * element, n,
                                       (const char *)values->data + (size_t)(r * m + i) * element,
                                       cfg->upper));
    return SL_OK;
}

/* ---- InTopK (predictions [rows, classes], targets [rows]), InTopKV2 (..., k) ---- */

static sl_code in_top_configure(sl_op_node *n, sl_status *st)
{
    bool v2 = strcmp(n->op->name, "InTopKV2") == 0;
    sl_code rc = sl_ops_check(n, v2 ? 3 : 2, SL_T(FLOAT), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (!rc && v2)
        rc = sl_ops_check_same(n, 1, 3, st);
    if (rc)
        return rc;
    int64_t *k = sl_ops_config(n, sizeof *k);
    *k = sl_node_int(n->source, "k", 0);
    n->config = k;
    n->out_types[0] = SL_DT_BOOL;
    return SL_OK;
}

static sl_code in_top_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *predictions = &c->in[0], *targets = &c->in[1];
    if (c->node->n_in == 3 && c->in[2].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "k must be 0-D, got shape %s",
                       sl_ops_shape(&c->in[2], &(sl_shape_buf){""}));
    if (predictions->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "predictions must be 2-dimensional");
    if (targets->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "targets must be 1-dimensional");
    if (predictions->dims[0] != targets->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "First dimension of predictions %lld must match length of targets %lld",
                       (long long)predictions->dims[0], (long long)targets->dims[0]);
    sl_ops_same_shape(&c->out[0], targets);
    return SL_OK;
}

/* A row with a number that is not finite says nothing, unless k others are ahead already. */
static bool in_top(const float *row, int64_t n, int64_t target, int64_t k)
{
    int64_t ahead = 0;
    if (target < 0 || target >= n || !isfinite(row[target]))
        return false;
    for (int64_t i = 0; i < n; i++) {
        if (!isfinite(row[i]))
            return false;
        ahead += row[i] > row[target];
    }
    return ahead < k;
}

static sl_code in_top_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int64_t k = c->node->n_in == 3 ? sl_ops_int(&c->in[2], 0) : *(const int64_t *)c->node->config;
    int64_t n = c->in[0].dims[1];
    for (int64_t r = 0; r < c->in[0].dims[0]; r++)
        ((bool *)c->out[0].data)[r] =
            in_top((const float *)c->in[0].data + r * n, n, sl_ops_int(&c->in[1], r), k);
    return SL_OK;
}

/* ---- HistogramFixedWidth (values, range, bins) ---- */

static sl_code histogram_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(FLOAT) | SL_T(DOUBLE) | SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, 2, st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T(INT32), st);
    sl_dtype out = sl_node_type(n->source, "dtype", SL_DT_INT32);
    if (!rc && !sl_types_has(SL_T_INDEX, out))
        rc = sl_ops_unsupported(out, st);
    if (!rc)
        n->out_types[0] = out;
    return rc;
}

static double real(const sl_tensor *t, int64_t i)
{
    return t->dtype == SL_DT_FLOAT    ? (double)((const float *)t->data)[i]
           : t->dtype == SL_DT_DOUBLE ? ((const double *)t->data)[i]
                                      : (double)sl_ops_int(t, i);
}

static sl_code histogram_shape(sl_op_call *c, sl_status *st)
{
    if (c->in[1].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "value_range should be a vector.");
    if (c->in[1].dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "value_range should be a vector of 2 elements.");
    if (c->in[2].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "nbins should be a scalar.");
    double low = real(&c->in[1], 0), high = real(&c->in[1], 1);
    if (!(low < high))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "value_range should satisfy value_range[0] < value_range[1], but got '[%g, "
                       "%g]'",
                       low, high);
    int64_t bins = sl_ops_int(&c->in[2], 0);
    if (bins <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "nbins should be a positive number, but got '%lld'",
                       (long long)bins);
    c->out[0].rank = 1;
    c->out[0].dims[0] = bins;
    return SL_OK;
}

static sl_code histogram_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    int64_t bins = c->out[0].dims[0];
    double low = real(&c->in[1], 0), step = (real(&c->in[1], 1) - low) / (double)bins;
    memset(c->out[0].data, 0, c->out[0].size);
    for (int64_t i = 0, n = sl_tensor_count(in); i < n; i++) {
        double value = real(in, i), above = value - low; /* a float's distance is one, too */
        if (value != value)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Histogram values must not contain NaN");
        double at = (in->dtype == SL_DT_FLOAT ? (double)(float)above : above) / step;
        int64_t bin = at >= (double)bins ? bins - 1 : at > 0 ? (int64_t)at : 0;
        sl_ops_set_int(&c->out[0], bin, sl_ops_int(&c->out[0], bin) + 1);
    }
    return SL_OK;
}

const sl_op sl_ops_search[] = {
    {"LowerBound", 0, 0, bound_configure, bound_shape, bound_run, NULL},
    {"UpperBound", 0, 0, bound_configure, bound_shape, bound_run, NULL},
    {"InTopK", 0, 0, in_top_configure, in_top_shape, in_top_run, NULL},
    {"InTopKV2", 0, 0, in_top_configure, in_top_shape, in_top_run, NULL},
    {"HistogramFixedWidth", 0, 1 << 1 | 1 << 2, histogram_configure, histogram_shape, histogram_run,
     NULL},
    {0},
};
