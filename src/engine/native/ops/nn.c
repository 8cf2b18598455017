/*
 * nn.c - Softmax, LogSoftmax, batch normalisation, LRN
 */
#include <math.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* ---- Softmax, LogSoftmax: row by row, the largest subtracted ---- */

enum { LANES = 16 }; /* partial results, so that the loops are vectorised */

SL_CLONES static float row_max(const float *x, int64_t n)
{
    float m = -INFINITY, lanes[LANES];
    int64_t i = 0;
    for (int l = 0; l < LANES; l++)
        lanes[l] = -INFINITY;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] = x[i + l] > lanes[l] || x[i + l] != x[i + l] ? x[i + l] : lanes[l];
    for (int l = 0; l < LANES && i > 0; l++)
        m = lanes[l] > m || lanes[l] != lanes[l] ? lanes[l] : m;
    for (; i < n; i++)
        m = x[i] > m || x[i] != x[i] ? x[i] : m;
    return m;
}

SL_CLONES static void exp_row(const float *x, float *o, int64_t n, float m)
{
    SL_IVDEP
    for (int64_t i = 0; i < n; i++)
        o[i] = sl_vexp(x[i] - m);
}

SL_CLONES static float row_sum(const float *x, int64_t n)
{
    float sum = 0, lanes[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (int l = 0; l < LANES; l++)
            lanes[l] += x[i + l];
    for (int l = 0; l < LANES && i > 0; l++)
        sum += lanes[l];
    for (; i < n; i++)
        sum += x[i];
    return sum;
}

SL_CLONES static void scale_row(float *o, int64_t n, float scale)
{
    SL_IVDEP
    for (int64_t i = 0; i < n; i++)
        o[i] *= scale;
}

static void softmax_row(const float *x, float *o, int64_t n)
{
    exp_row(x, o, n, row_max(x, n));
    scale_row(o, n, 1.0f / row_sum(o, n));
}

static void log_softmax_row(const float *x, float *o, int64_t n)
{
    float m = row_max(x, n);
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += (double)sl_vexp(x[i] - m);
    float s = (float)log(sum);
    for (int64_t i = 0; i < n; i++)
        o[i] = x[i] - m - s;
}

static void softmax_row_d(const double *x, double *o, int64_t n, bool logs)
{
    double m = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        m = x[i] > m || x[i] != x[i] ? x[i] : m;
    for (int64_t i = 0; i < n; i++)
        sum += exp(x[i] - m);
    double s = log(sum);
    for (int64_t i = 0; i < n; i++)
        o[i] = logs ? x[i] - m - s : exp(x[i] - m) / sum;
}

static sl_code softmax_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_FLOATS, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code softmax_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    if (in->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "logits must have >= 1 dimension, got %s",
                       sl_ops_shape(in, &b));
    int64_t n = in->dims[in->rank - 1];
    if (in->dtype == SL_DT_HALF || in->dtype == SL_DT_BFLOAT16)
        c->scratch_size = (size_t)n * 4;
    return sl_ops_shape_like_first(c, st);
}

static sl_code softmax_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    bool logs = c->node->op->name[0] == 'L';
    int64_t n = in->dims[in->rank - 1], rows = sl_ops_product(in->dims, 0, in->rank - 1);
    void (*row)(const float *, float *, int64_t) = logs ? log_softmax_row : softmax_row;
    if (c->out[0].size == 0)
        return SL_OK;
    for (int64_t r = 0; r < rows; r++) {
        int64_t at = r * n;
        if (in->dtype == SL_DT_FLOAT) {
            row((const float *)in->data + at, (float *)c->out[0].data + at, n);
        } else if (in->dtype == SL_DT_DOUBLE) {
            softmax_row_d((const double *)in->data + at, (double *)c->out[0].data + at, n, logs);
        } else {
            float *f = c->scratch;
            sl_kernel_to_float(in->dtype, (const uint16_t *)in->data + at, f, n);
            row(f, f, n);
            sl_kernel_from_float(in->dtype, f, (uint16_t *)c->out[0].data + at, n);
        }
    }
    return SL_OK;
}

static int64_t softmax_cost(const sl_op_call *c)
{
    return 30 + sl_shape_count(c->out[0].dims, c->out[0].rank, 1);
}

/* ---- FusedBatchNorm, V2, V3 ---- */

typedef struct norm_config {
    float epsilon;
    bool training, channels_first;
} norm_config;

static sl_code norm_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 5, SL_T(FLOAT) | SL_T(HALF) | SL_T(BFLOAT16), st);
    for (int i = 1; !rc && i < 5; i++)
        rc = sl_ops_check_input(n, i, SL_T(FLOAT), st);
    if (rc)
        return rc;
    norm_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->epsilon = sl_node_float(n->source, "epsilon", 1e-4f);
    cfg->training = sl_node_bool(n->source, "is_training", true);
    cfg->channels_first = sl_str_starts(sl_node_str(n->source, "data_format", "NHWC"), "NC");
    if (cfg->training && sl_node_float(n->source, "exponential_avg_factor", 1) != 1)
        return sl_fail(st, SL_FAILED_PRECONDITION, "exponential_avg_factor is not supported");
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    for (int k = 1; k < n->n_out; k++)
        n->out_types[k] = SL_DT_FLOAT;
    return SL_OK;
}

static int channel_axis(const sl_op_call *c)
{
    const norm_config *cfg = c->node->config;
    return cfg->channels_first ? 1 : c->in[0].rank - 1;
}

static sl_code norm_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"x", "scale", "offset", "estimated_mean",
                                        "estimated_variance"};
    const norm_config *cfg = c->node->config;
    const sl_tensor *x = &c->in[0];
    sl_shape_buf b;
    if (x->rank != 4 && x->rank != 5)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be 4 or 5-dimensional%s",
                       sl_ops_shape(x, &b));
    int64_t channels = x->dims[channel_axis(c)];
    for (int i = 1; i < 5; i++) {
        int64_t n = sl_shape_count(c->in[i].dims, c->in[i].rank, 1);
        if (c->in[i].rank != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be 1-dimensional%s", names[i],
                           sl_ops_shape(&c->in[i], &b));
        if (n != channels && (i < 3 || !cfg->training))
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "%s must have the same number of elements as the channels of x, got %lld "
                "and %lld",
                names[i], (long long)n, (long long)channels);
    }
    sl_ops_same_shape(&c->out[0], x);
    for (int k = 1; k < c->node->n_out; k++) {
        c->out[k].rank = 1;
        c->out[k].dims[0] = k == 5 ? 0 : channels;
    }
    int64_t n = sl_shape_count(x->dims, x->rank, 4);
    c->scratch_size = (size_t)channels * 4 * sizeof(double) +
                      (x->dtype == SL_DT_FLOAT ? 0 : (size_t)(n < 0 ? 0 : n) * 4);
    return SL_OK;
}

/* x and o are [rows, channels, inner]: o = x * a[channel] + b[channel]. */
SL_CLONES static void scale_shift(const float *x, float *o, int64_t rows, int64_t channels,
                                  int64_t inner, const float *a, const float *b)
{
    for (int64_t r = 0; r < rows; r++)
        if (inner == 1) {
            SL_IVDEP
            for (int64_t k = 0; k < channels; k++)
                o[r * channels + k] = x[r * channels + k] * a[k] + b[k];
        } else {
            for (int64_t k = 0; k < channels; k++)
                SL_IVDEP
            for (int64_t i = 0; i < inner; i++)
                o[(r * channels + k) * inner + i] = x[(r * channels + k) * inner + i] * a[k] + b[k];
        }
}

/* Mean and variance (divided by n) of each channel, in double. */
static void moments(const float *x, int64_t rows, int64_t channels, int64_t inner, double *mean,
                    double *variance)
{
    double n = (double)(rows * inner);
    for (int64_t k = 0; k < channels; k++)
        mean[k] = variance[k] = 0;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < channels; k++)
            for (int64_t i = 0; i < inner; i++)
                mean[k] += (double)x[(r * channels + k) * inner + i];
    for (int64_t k = 0; k < channels; k++)
        mean[k] /= n;
    for (int64_t r = 0; r < rows; r++)
        for (int64_t k = 0; k < channels; k++)
            for (int64_t i = 0; i < inner; i++) {
                double d = (double)x[(r * channels + k) * inner + i] - mean[k];
                variance[k] += d * d;
            }
    for (int64_t k = 0; k < channels; k++)
        variance[k] /= n;
}

static void put_statistic(sl_op_call *c, int k, const double *v, int64_t channels, double factor)
{
    if (k < c->node->n_out && c->out[k].data != NULL)
        for (int64_t i = 0; i < channels; i++)
            ((float *)c->out[k].data)[i] = (float)(v[i] * factor);
}

static sl_code norm_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const norm_config *cfg = c->node->config;
    const sl_tensor *x = &c->in[0];
    int axis = channel_axis(c);
    int64_t channels = x->dims[axis], rows = sl_ops_product(x->dims, 0, axis);
    int64_t inner = sl_ops_product(x->dims, axis + 1, x->rank);
    int64_t n = sl_ops_product(x->dims, 0, x->rank);
    double *mean = c->scratch, *variance = mean + channels;
    float *a = (float *)(void *)(variance + channels), *b = a + channels;
    const float *in = x->data;
    float *out = c->out[0].data, *wide = b + 3 * channels;
    if (x->dtype != SL_DT_FLOAT) {
        sl_kernel_to_float(x->dtype, x->data, wide, n);
        in = out = wide;
    }
    if (cfg->training && n)
        moments(in, rows, channels, inner, mean, variance);
    for (int64_t k = 0; k < channels; k++) {
        if (!cfg->training || n == 0) {
            mean[k] = n || !cfg->training ? (double)((const float *)c->in[3].data)[k] : (double)NAN;
            variance[k] =
                n || !cfg->training ? (double)((const float *)c->in[4].data)[k] : (double)NAN;
        }
        double s =
            (double)((const float *)c->in[1].data)[k] / sqrt(variance[k] + (double)cfg->epsilon);
        a[k] = (float)s;
        b[k] = (float)((double)((const float *)c->in[2].data)[k] - mean[k] * s);
    }
    if (n)
        scale_shift(in, out, rows, channels, inner, a, b);
    if (x->dtype != SL_DT_FLOAT)
        sl_kernel_from_float(x->dtype, wide, c->out[0].data, n);
    int64_t count = n ? rows * inner : 0;
    double unbiased = cfg->training && count > 1 ? (double)count / (double)(count - 1) : 1;
    put_statistic(c, 1, mean, channels, 1);
    put_statistic(c, 2, variance, channels, unbiased);
    put_statistic(c, 3, mean, channels, 1);
    put_statistic(c, 4, variance, channels, 1);
    return SL_OK;
}

/* ---- LRN ---- */

typedef struct lrn_config {
    int64_t radius;
    float bias, alpha, beta;
} lrn_config;

static sl_code lrn_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(FLOAT), st);
    if (rc)
        return rc;
    lrn_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->radius = sl_node_int(n->source, "depth_radius", 5);
    cfg->bias = sl_node_float(n->source, "bias", 1);
    cfg->alpha = sl_node_float(n->source, "alpha", 1);
    cfg->beta = sl_node_float(n->source, "beta", 0.5f);
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code lrn_shape(sl_op_call *c, sl_status *st)
{
    if (c->in[0].rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "in must be 4-dimensional");
    return sl_ops_shape_like_first(c, st);
}

static sl_code lrn_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const lrn_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t depth = in->dims[3], rows = sl_ops_product(in->dims, 0, 3);
    if (c->out[0].size == 0)
        return SL_OK;
    int64_t radius = SL_MIN(SL_MAX(cfg->radius, 0), depth);
    for (int64_t r = 0; r < rows; r++) {
        const float *x = (const float *)in->data + r * depth;
        float *o = (float *)c->out[0].data + r * depth;
        for (int64_t k = 0; k < depth; k++) {
            double sum = 0;
            for (int64_t i = SL_MAX(k - radius, 0); i <= SL_MIN(k + radius, depth - 1); i++)
                sum += (double)x[i] * (double)x[i];
            o[k] =
                x[k] * (float)pow((double)cfg->bias + (double)cfg->alpha * sum, -(double)cfg->beta);
        }
    }
    return SL_OK;
}

const sl_op sl_ops_nn[] = {
    {"Softmax", SL_OP_IN_PLACE, 0, softmax_configure, softmax_shape, softmax_run, softmax_cost},
    {"LogSoftmax", SL_OP_IN_PLACE, 0, softmax_configure, softmax_shape, softmax_run, softmax_cost},
    {"FusedBatchNorm", 0, 0, norm_configure, norm_shape, norm_run, NULL},
    {"FusedBatchNormV2", 0, 0, norm_configure, norm_shape, norm_run, NULL},
    {"FusedBatchNormV3", 0, 0, norm_configure, norm_shape, norm_run, NULL},
    {"LRN", 0, 0, lrn_configure, lrn_shape, lrn_run, NULL},
    {0},
};
