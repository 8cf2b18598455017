/*
 * pool.c - MaxPool, MaxPoolWithArgmax and AvgPool, NHWC
 *
 * All channels of a pixel at once. Padding never wins a maximum and does not count in an average.
 * A maximum begins with the lowest finite number of its dtype and passes over NaN, as TensorFlow's.
 */
#include <float.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"
#include "engine/native/ops/pixels.h"
#include "engine/native/ops/pool.h"
#include "engine/native/ops/window.h"

static sl_code pool_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(FLOAT) | SL_T(HALF) | SL_T(BFLOAT16), st);
    if (rc)
        return rc;
    sl_window *w = sl_ops_config(n, sizeof *w);
    n->config = w;
    n->out_types[0] = n->in_types[0];
    return sl_window_configure(n->source, true, w, st);
}

typedef struct pool_shape {
    int64_t n, h, w, c, oh, ow, top, left;
} pool_shape;

static sl_code pool_plan(const sl_op_call *c, pool_shape *s, sl_status *st)
{
    const sl_window *w = c->node->config;
    const int64_t *x = c->in[0].dims;
    if (c->in[0].rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "tensor_in must be 4-dimensional");
    *s = (pool_shape){.n = x[0], .h = x[1], .w = x[2], .c = x[3]};
    sl_code rc = sl_window_extent(w, 0, s->h, w->size[0], &s->oh, &s->top, st);
    return rc ? rc : sl_window_extent(w, 1, s->w, w->size[1], &s->ow, &s->left, st);
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static sl_code pool_shape_rule(sl_op_call *c, sl_status *st)
{
    pool_shape s;
    sl_code rc = pool_plan(c, &s, st);
    if (rc)
        return rc;
    c->out[0].rank = 4;
    c->out[0].dims[0] = s.n;
    c->out[0].dims[1] = s.oh;
    c->out[0].dims[2] = s.ow;
    c->out[0].dims[3] = s.c;
    if (c->in[0].dtype != SL_DT_FLOAT) {
        int64_t in = sl_shape_count(c->in[0].dims, 4, 4),
                out = sl_shape_count(c->out[0].dims, 4, 4);
        if (in < 0 || out < 0)
            return sl_ops_no_memory(st);
        c->scratch_size = aligned((size_t)in * 4) + aligned((size_t)out * 4);
    }
    return sl_ops_check_size(&c->out[0], st);
}

SL_CLONES void sl_pool_max(float *o, const float *x, int64_t n)
{
    SL_IVDEP
    for (int64_t i = 0; i < n; i++)
        o[i] = x[i] > o[i] ? x[i] : o[i];
}

SL_CLONES void sl_pool_sum(float *o, const float *x, int64_t n)
{
    SL_IVDEP
    for (int64_t i = 0; i < n; i++)
        o[i] += x[i];
}

float sl_pool_greatest(sl_dtype t)
{
    return t == SL_DT_HALF ? 65504 : t == SL_DT_BFLOAT16 ? 0x1.FEp127f : FLT_MAX;
}

/* lowest: what a maximum begins with; NULL: the average. */
static void pool_float(const pool_shape *s, const sl_window *w, const float *lowest, const float *x,
                       float *out)
{
    for (int64_t p = 0; p < s->n * s->oh * s->ow; p++, out += s->c) {
        int64_t y0 = p / s->ow % s->oh * w->stride[0] - s->top;
        int64_t x0 = p % s->ow * w->stride[1] - s->left;
        int64_t y1 = SL_MIN(y0 + w->size[0], s->h), x1 = SL_MIN(x0 + w->size[1], s->w);
        const float *img = x + p / (s->ow * s->oh) * s->h * s->w * s->c;
        y0 = SL_MAX(y0, 0);
        x0 = SL_MAX(x0, 0);
        for (int64_t k = 0; k < s->c; k++)
            out[k] = lowest ? *lowest : 0;
        for (int64_t iy = y0; iy < y1; iy++)
            for (int64_t ix = x0; ix < x1; ix++)
                (lowest ? sl_pool_max : sl_pool_sum)(out, img + (iy * s->w + ix) * s->c, s->c);
        if (!lowest && y1 > y0 && x1 > x0) {
            float count = (float)((y1 - y0) * (x1 - x0));
            for (int64_t k = 0; k < s->c; k++)
                out[k] /= count;
        }
    }
}

static sl_code pool_run(sl_op_call *c, sl_status *st)
{
    pool_shape s;
    sl_code rc = pool_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    sl_dtype t = c->in[0].dtype;
    float low = -sl_pool_greatest(t);
    const float *lowest = c->node->op->name[0] == 'M' ? &low : NULL;
    if (t == SL_DT_FLOAT) {
        pool_float(&s, c->node->config, lowest, c->in[0].data, c->out[0].data);
        return SL_OK;
    }
    int64_t in = sl_shape_count(c->in[0].dims, 4, 1);
    float *x = c->scratch;
    float *out = (float *)(void *)((char *)c->scratch + aligned((size_t)in * 4));
    sl_kernel_to_float(t, c->in[0].data, x, in);
    pool_float(&s, c->node->config, lowest, x, out);
    sl_kernel_from_float(t, out, c->out[0].data, sl_shape_count(c->out[0].dims, 4, 1));
    return SL_OK;
}

static int64_t pool_cost(const sl_op_call *c)
{
    const sl_window *w = c->node->config;
    return 50 + (int64_t)((double)sl_shape_count(c->out[0].dims, 4, 1) *
                          (double)(w->size[0] * w->size[1]) / 6);
}

/* ---- MaxPoolWithArgmax: also the place of each maximum, the first one of equal ones ---- */

typedef struct argmax_config {
    sl_window window; /* first: pool_plan reads it */
    bool batch;       /* places count from the first image, not from their own */
} argmax_config;

static sl_code argmax_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(FLOAT) | SL_T(HALF) | SL_T(BFLOAT16), st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    argmax_config *cfg = sl_ops_config(n, sizeof *cfg);
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    n->out_types[1] = sl_node_type(n->source, "Targmax", SL_DT_INT64);
    if (!sl_types_has(SL_T_INDEX, n->out_types[1]))
        return sl_ops_unsupported(n->out_types[1], st);
    cfg->batch = sl_node_bool(n->source, "include_batch_in_index", false);
    rc = sl_window_configure(n->source, true, &cfg->window, st);
    if (!rc && cfg->window.padding == SL_PAD_EXPLICIT)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "padding \"EXPLICIT\" is not known");
    return rc;
}

static sl_code argmax_shape(sl_op_call *c, sl_status *st)
{
    if (c->in[0].rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "tensor_in must be 4-dimensional (2)");
    if (sl_shape_count(c->in[0].dims, 4, 1) == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "tensor_in must not be empty (2)");
    sl_code rc = pool_shape_rule(c, st);
    if (rc)
        return rc;
    c->scratch_size = 0; /* nothing is converted as a whole */
    c->out[1].rank = 4;
    memcpy(c->out[1].dims, c->out[0].dims, sizeof c->out[0].dims);
    int64_t places = sl_shape_count(c->in[0].dims, 4, 1);
    if (c->out[1].dtype == SL_DT_INT32 && (places < 0 || places > INT32_MAX))
        return sl_fail(st, SL_INVALID_ARGUMENT, "places of so many elements do not fit into int32");
    return sl_ops_check_size(&c->out[1], st);
}

/* Channels [k, k + n) of output pixel p. Maxima are copied from the input: no bit of them changes. */
static void argmax_pixel(const sl_op_call *c, const pool_shape *s, int64_t p, int64_t k, int64_t n)
{
    const argmax_config *cfg = c->node->config;
    const sl_window *w = &cfg->window;
    const sl_tensor *in = &c->in[0];
    int64_t base = p / (s->ow * s->oh) * s->h * s->w * s->c, place[SL_PIXELS];
    int64_t y0 = p / s->ow % s->oh * w->stride[0] - s->top, x0 = p % s->ow * w->stride[1] - s->left;
    int64_t y1 = SL_MIN(y0 + w->size[0], s->h), x1 = SL_MIN(x0 + w->size[1], s->w);
    float top[SL_PIXELS], buffer[SL_PIXELS];
    bool first = true; /* every window has a pixel: padding is less than a window */
    for (int64_t y = SL_MAX(y0, 0); y < y1; y++)
        for (int64_t x = SL_MAX(x0, 0); x < x1; x++, first = false) {
            int64_t at = base + (y * s->w + x) * s->c + k;
            const float *v = sl_pixels(in, at, n, buffer);
            for (int64_t i = 0; i < n; i++) {
                bool more = first || v[i] > top[i];
                place[i] = more ? at + i : place[i];
                top[i] = more ? v[i] : top[i];
            }
        }
    size_t size = sl_dtype_size(in->dtype);
    for (int64_t i = 0; i < n && !first; i++) {
        memcpy((char *)c->out[0].data + (size_t)(p * s->c + k + i) * size,
               (const char *)in->data + (size_t)place[i] * size, size);
        sl_ops_set_int(&c->out[1], p * s->c + k + i, cfg->batch ? place[i] : place[i] - base);
    }
}

static sl_code argmax_run(sl_op_call *c, sl_status *st)
{
    pool_shape s;
    sl_code rc = pool_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    for (int64_t p = 0; p < s.n * s.oh * s.ow; p++)
        for (int64_t k = 0; k < s.c; k += SL_PIXELS)
            argmax_pixel(c, &s, p, k, SL_MIN(s.c - k, SL_PIXELS));
    return SL_OK;
}

static int64_t argmax_cost(const sl_op_call *c)
{
    return 3 * pool_cost(c);
}

const sl_op sl_ops_pool[] = {
    {"MaxPoolWithArgmax", 0, 0, argmax_configure, argmax_shape, argmax_run, argmax_cost},
    {"MaxPool", 0, 0, pool_configure, pool_shape_rule, pool_run, pool_cost},
    {"AvgPool", 0, 0, pool_configure, pool_shape_rule, pool_run, pool_cost},
    {0},
};
