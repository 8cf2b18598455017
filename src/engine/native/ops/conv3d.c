/*
 * conv3d.c - Conv3D, MaxPool3D and AvgPool3D, NDHWC
 *
 * As conv.c and pool.c, with one dimension more: the windows of a band of output voxels are gathered
 * as rows and multiplied with the filter; a window of 1 x 1 x 1 with stride 1 is a product as it
 * stands. Pools take all channels of a voxel at once; padding neither wins a maximum nor counts in an
 * average.
 */
#include "engine/native/kernels/half.h"
#include "engine/native/ops/matmul.h"
#include "engine/native/ops/ops.h"
#include "engine/native/ops/pool.h"
#include "engine/native/ops/window.h"

enum { BAND_BYTES = 256 * 1024 };

/* Depth, height and width, in this order, each as slot 0 of a window of its own. */
typedef struct cuboid {
    sl_window side[3];
} cuboid;

/* Reads a list of five with 1 at batch and channel into to[0..3). */
static sl_code read_five(const sl_node *n, const char *attr, bool optional, int64_t to[3],
                         sl_status *st)
{
    int count = sl_node_list_count(n, attr);
    for (int i = 0; i < 3; i++)
        to[i] = 1;
    if (count <= 0 && optional)
        return SL_OK;
    if (count != 5)
        return sl_fail(st, SL_INVALID_ARGUMENT, "attribute \"%s\" must have 5 numbers", attr);
    if (sl_node_list_int(n, attr, 0) != 1 || sl_node_list_int(n, attr, 4) != 1)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "%s in the batch and depth dimensions is not supported", attr);
    for (int i = 0; i < 3; i++) {
        to[i] = sl_node_list_int(n, attr, i + 1);
        if (to[i] < 1 || to[i] > INT32_MAX)
            return sl_fail(st, SL_INVALID_ARGUMENT, "attribute \"%s\" holds %lld", attr,
                           (long long)to[i]);
    }
    return SL_OK;
}

static sl_code read_cuboid(sl_op_node *n, bool pool, sl_status *st)
{
    const sl_node *source = n->source;
    sl_str format = sl_node_str(source, "data_format", "NDHWC");
    sl_str padding = sl_node_str(source, "padding", "");
    int64_t stride[3], size[3] = {1, 1, 1}, dilation[3] = {1, 1, 1};
    cuboid *q = sl_ops_config(n, sizeof *q);
    n->config = q;
    n->out_types[0] = n->in_types[0];
    if (!sl_str_is(format, "NDHWC"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "data_format %.*s is not supported",
                       SL_STR_ARG(format));
    if (!sl_str_is(padding, "SAME") && !sl_str_is(padding, "VALID"))
        return sl_fail(st, SL_INVALID_ARGUMENT, "padding \"%.*s\" is not known",
                       SL_STR_ARG(padding));
    sl_code rc = read_five(source, "strides", false, stride, st);
    if (!rc && pool)
        rc = read_five(source, "ksize", false, size, st);
    if (!rc && !pool)
        rc = read_five(source, "dilations", true, dilation, st);
    for (int i = 0; i < 3 && !rc; i++) {
        if (dilation[i] != 1)
            rc = sl_fail(st, SL_FAILED_PRECONDITION, "dilations are not supported");
        q->side[i] =
            (sl_window){.stride = {stride[i], 1},
                        .dilation = {1, 1},
                        .size = {size[i], 1},
                        .padding = sl_str_is(padding, "SAME") ? SL_PAD_SAME : SL_PAD_VALID};
    }
    return rc;
}

/* ---- geometry ---- */

typedef struct volume {
    int64_t n, in[3], c; /* batch, depth, height, width, channels */
    int64_t size[3], out[3], before[3];
    int64_t f, k,
        band; /* of a convolution: filters, numbers of a window, rows gathered at a time */
    bool plain;
} volume;

static sl_code measure(const sl_op_call *c, const int64_t size[3], volume *v, sl_status *st)
{
    const cuboid *q = c->node->config;
    const int64_t *x = c->in[0].dims;
    *v = (volume){.n = x[0], .in = {x[1], x[2], x[3]}, .c = x[4]};
    sl_code rc = SL_OK;
    for (int i = 0; i < 3 && !rc; i++) {
        v->size[i] = size[i];
        const sl_window *w = &q->side[i];
        rc = sl_window_extent(w, 0, v->in[i], size[i], &v->out[i], &v->before[i], st);
        /* Where steps are longer than the window, TensorFlow's volumes leave out as much at the
         * beginning as at the end. */
        if (!rc && w->padding == SL_PAD_SAME && v->out[i] > 0)
            v->before[i] = ((v->out[i] - 1) * w->stride[0] + size[i] - v->in[i]) / 2;
    }
    return rc;
}

static sl_code set_output(sl_op_call *c, const volume *v, int64_t channels, sl_status *st)
{
    c->out[0].rank = 5;
    c->out[0].dims[0] = v->n;
    memcpy(c->out[0].dims + 1, v->out, sizeof v->out);
    c->out[0].dims[4] = channels;
    return sl_ops_check_size(&c->out[0], st);
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

/* The output voxel with number `at`, as image and place. */
typedef struct voxel {
    int64_t image, from[3]; /* where its window begins; may be outside */
} voxel;

static voxel voxel_at(const volume *v, const cuboid *q, int64_t at)
{
    voxel p;
    for (int i = 2; i >= 0; i--) {
        p.from[i] = at % v->out[i] * q->side[i].stride[0] - v->before[i];
        at /= v->out[i];
    }
    p.image = at;
    return p;
}

/* ---- Conv3D ---- */

static sl_code conv_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_FLOATS, st);
    return rc ? rc : read_cuboid(n, false, st);
}

static sl_code conv_plan(const sl_op_call *c, volume *v, sl_status *st)
{
    const cuboid *q = c->node->config;
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank != 5)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be 5-dimensional",
                           i ? "filter" : "input");
    const int64_t *f = c->in[1].dims;
    int64_t channels = c->in[0].dims[4];
    if (f[3] == 0 ? channels != 0 : channels % f[3] != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input depth must be evenly divisible by filter depth: %lld vs %lld",
                       (long long)channels, (long long)f[3]);
    if (channels != f[3])
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Number of channels in filter (%lld) must match last dimension of input (%lld)",
            (long long)f[3], (long long)channels);
    sl_code rc = measure(c, f, v, st);
    if (rc)
        return rc;
    /* an empty filter can have any window */
    if (sl_shape_count(f, 3, 1 << 16) < 0 || sl_shape_count(f, 4, 1 << 16) < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "filter is too large");
    v->f = f[4];
    v->k = f[0] * f[1] * f[2] * f[3];
    v->plain = true;
    for (int i = 0; i < 3; i++)
        v->plain &= f[i] == 1 && q->side[i].stride[0] == 1;
    return SL_OK;
}

static sl_gemm conv_gemm(const volume *v, int64_t rows)
{
    return (sl_gemm){.m = rows,
                     .n = v->f,
                     .k = v->k,
                     .a_row = v->k,
                     .a_col = 1,
                     .b_row = v->f,
                     .b_col = 1,
                     .c_row = v->f};
}

/* Sets how many voxels are done at a time, and the bytes of a product's scratch. The output's shape is known
 * to fit. */
static sl_code plan_band(const sl_op_call *c, volume *v, size_t *gemm, sl_status *st)
{
    int64_t element = (int64_t)sl_dtype_size(c->in[0].dtype);
    v->band = v->n * v->out[0] * v->out[1] * v->out[2];
    if (!v->plain)
        v->band =
            SL_MIN(v->band, SL_MAX(BAND_BYTES / (SL_MAX(v->k, (int64_t)1) * element), (int64_t)24));
    sl_gemm g = conv_gemm(v, v->band);
    sl_code rc = sl_matmul_scratch(&g, c->in[0].dtype, gemm, st);
    *gemm = aligned(*gemm);
    return rc;
}

static sl_code conv_shape_rule(sl_op_call *c, sl_status *st)
{
    volume v;
    size_t gemm;
    sl_code rc = conv_plan(c, &v, st);
    if (!rc)
        rc = set_output(c, &v, v.f, st);
    if (rc || sl_shape_count(c->out[0].dims, 5, 1) == 0)
        return rc;
    rc = plan_band(c, &v, &gemm, st);
    if (rc)
        return rc;
    int64_t rows[] = {v.band, v.k};
    int64_t count = sl_shape_count(rows, 2, sl_dtype_size(c->in[0].dtype));
    if (count < 0)
        return sl_ops_no_memory(st);
    c->scratch_size = gemm;
    if (!v.plain)
        c->scratch_size += aligned((size_t)count * sl_dtype_size(c->in[0].dtype));
    return SL_OK;
}

/* Gathers one window into a row; outside is 0. */
static void gather_window(const volume *v, const char *images, const voxel *p, size_t element,
                          char *to)
{
    size_t channels = (size_t)v->c * element;
    const char *image = images + (size_t)(p->image * v->in[0] * v->in[1] * v->in[2]) * channels;
    int64_t left = SL_MAX(p->from[2], (int64_t)0),
            right = SL_MIN(p->from[2] + v->size[2], v->in[2]);
    size_t row = (size_t)v->size[2] * channels;
    for (int64_t z = p->from[0]; z < p->from[0] + v->size[0]; z++)
        for (int64_t y = p->from[1]; y < p->from[1] + v->size[1]; y++, to += row) {
            bool inside = z >= 0 && z < v->in[0] && y >= 0 && y < v->in[1] && right > left;
            if (!inside || right - left < v->size[2])
                memset(to, 0, row);
            if (inside)
                memcpy(to + (size_t)(left - p->from[2]) * channels,
                       image + (size_t)((z * v->in[1] + y) * v->in[2] + left) * channels,
                       (size_t)(right - left) * channels);
        }
}

static sl_code conv_run(sl_op_call *c, sl_status *st)
{
    volume v;
    size_t gemm, element = sl_dtype_size(c->in[0].dtype);
    sl_code rc = conv_plan(c, &v, st);
    if (rc || c->out[0].size == 0)
        return rc;
    rc = plan_band(c, &v, &gemm, st);
    if (rc)
        return rc;
    if (v.k == 0) {
        memset(c->out[0].data, 0, c->out[0].size);
        return SL_OK;
    }
    int64_t all = v.n * v.out[0] * v.out[1] * v.out[2];
    char *rows = (char *)c->scratch + gemm;
    for (int64_t at = 0; at < all; at += v.band) {
        int64_t count = SL_MIN(v.band, all - at);
        for (int64_t i = 0; i < count && !v.plain; i++) {
            voxel p = voxel_at(&v, c->node->config, at + i);
            gather_window(&v, c->in[0].data, &p, element, rows + (size_t)(i * v.k) * element);
        }
        sl_gemm g = conv_gemm(&v, count);
        sl_matmul_run(&g, c->in[0].dtype, v.plain ? c->in[0].data : rows, c->in[1].data,
                      (char *)c->out[0].data + (size_t)(at * v.f) * element, c->scratch);
    }
    return SL_OK;
}

static int64_t conv_cost(const sl_op_call *c)
{
    volume v;
    if (conv_plan(c, &v, NULL))
        return 0;
    double all = (double)v.n * (double)v.out[0] * (double)v.out[1] * (double)v.out[2];
    return 100 + (int64_t)SL_MIN(all * (double)v.k * (double)v.f / 16, 1e15);
}

/* ---- MaxPool3D, AvgPool3D ---- */

static sl_code pool_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(FLOAT) | SL_T(BFLOAT16), st);
    return rc ? rc : read_cuboid(n, true, st);
}

static sl_code pool_plan(const sl_op_call *c, volume *v, sl_status *st)
{
    const cuboid *q = c->node->config;
    if (c->in[0].rank != 5)
        return sl_fail(st, SL_INVALID_ARGUMENT, "tensor_in must be 5-dimensional");
    int64_t size[3];
    for (int i = 0; i < 3; i++)
        size[i] = q->side[i].size[0];
    return measure(c, size, v, st);
}

static sl_code pool_shape_rule(sl_op_call *c, sl_status *st)
{
    volume v;
    sl_code rc = pool_plan(c, &v, st);
    if (!rc)
        rc = set_output(c, &v, v.c, st);
    if (rc || c->in[0].dtype == SL_DT_FLOAT)
        return rc;
    int64_t in = sl_shape_count(c->in[0].dims, 5, 4), out = sl_shape_count(c->out[0].dims, 5, 4);
    if (in < 0 || out < 0)
        return sl_ops_no_memory(st);
    c->scratch_size = aligned((size_t)in * 4) + aligned((size_t)out * 4);
    return SL_OK;
}

/* One voxel; lowest: what a maximum begins with, NULL: the average. */
static void pool_voxel(const volume *v, const voxel *p, const float *lowest, const float *x,
                       float *out)
{
    int64_t from[3], to[3], count = 1;
    for (int i = 0; i < 3; i++) {
        from[i] = SL_MAX(p->from[i], (int64_t)0);
        to[i] = SL_MIN(p->from[i] + v->size[i], v->in[i]);
        count *= SL_MAX(to[i] - from[i], (int64_t)0);
    }
    const float *image = x + p->image * v->in[0] * v->in[1] * v->in[2] * v->c;
    for (int64_t k = 0; k < v->c; k++)
        out[k] = lowest ? *lowest : 0;
    for (int64_t z = from[0]; z < to[0]; z++)
        for (int64_t y = from[1]; y < to[1]; y++)
            for (int64_t w = from[2]; w < to[2]; w++)
                (lowest ? sl_pool_max : sl_pool_sum)(
                    out, image + ((z * v->in[1] + y) * v->in[2] + w) * v->c, v->c);
    for (int64_t k = 0; k < v->c && !lowest && count; k++)
        out[k] /= (float)count;
}

static sl_code pool_run(sl_op_call *c, sl_status *st)
{
    volume v;
    sl_dtype t = c->in[0].dtype;
    sl_code rc = pool_plan(c, &v, st);
    if (rc || c->out[0].size == 0)
        return rc;
    float low = -sl_pool_greatest(t), *out = c->out[0].data;
    const float *x = c->in[0].data;
    int64_t in = sl_shape_count(c->in[0].dims, 5, 1), count = sl_shape_count(c->out[0].dims, 5, 1);
    if (t != SL_DT_FLOAT) {
        sl_kernel_to_float(t, c->in[0].data, c->scratch, in);
        x = c->scratch;
        out = (float *)(void *)((char *)c->scratch + aligned((size_t)in * 4));
    }
    for (int64_t at = 0; at < count / v.c; at++) {
        voxel p = voxel_at(&v, c->node->config, at);
        pool_voxel(&v, &p, c->node->op->name[0] == 'M' ? &low : NULL, x, out + at * v.c);
    }
    if (t != SL_DT_FLOAT)
        sl_kernel_from_float(t, out, c->out[0].data, count);
    return SL_OK;
}

static int64_t pool_cost(const sl_op_call *c)
{
    const cuboid *q = c->node->config;
    double each = 1;
    for (int i = 0; i < 3; i++)
        each *= (double)q->side[i].size[0];
    return 50 + (int64_t)SL_MIN((double)sl_ops_cost(&c->out[0], 1) * each / 6, 1e15);
}

const sl_op sl_ops_conv3d[] = {
    {"Conv3D", 0, 0, conv_configure, conv_shape_rule, conv_run, conv_cost},
    {"MaxPool3D", 0, 0, pool_configure, pool_shape_rule, pool_run, pool_cost},
    {"AvgPool3D", 0, 0, pool_configure, pool_shape_rule, pool_run, pool_cost},
    {0},
};
