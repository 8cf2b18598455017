/*
 * conv.c - Conv2D (grouped and dilated too) and DepthwiseConv2dNative, NHWC
 *
 * Conv2D is a matrix product: every output pixel is a row, and the row's operands are the window's
 * pixels side by side. A 1 x 1 window with stride 1 is a product as it stands. Otherwise the rows
 * of a band of output pixels are gathered into scratch, small enough to stay in the second cache,
 * and multiplied with the filter, which lies as [window * channels, filters] already.
 */
#include "engine/native/kernels/gemm.h"
#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"
#include "engine/native/ops/window.h"

enum { BAND_BYTES = 256 * 1024 };

typedef struct conv_shape {
    int64_t n, h, w, c;      /* input */
    int64_t kh, kw, kc, f;   /* filter: window, channels of one group, filters */
    int64_t oh, ow;          /* output */
    int64_t top, left;       /* padding before */
    int64_t groups, k, band; /* k: window * kc; band: rows gathered at a time */
    bool plain;              /* a product as it stands */
} conv_shape;

static sl_code conv_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T(FLOAT) | SL_T(HALF) | SL_T(BFLOAT16), st);
    if (rc)
        return rc;
    sl_window *w = sl_ops_config(n, sizeof *w);
    n->config = w;
    n->out_types[0] = n->in_types[0];
    return sl_window_configure(n->source, false, w, st);
}

static sl_code check_ranks(const sl_op_call *c, sl_status *st)
{
    sl_shape_buf b;
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank != 4)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be 4-dimensional: %s",
                           i ? "filter" : "input", sl_ops_shape(&c->in[i], &b));
    return SL_OK;
}

static sl_code conv_plan(const sl_op_call *c, conv_shape *s, sl_status *st)
{
    const sl_window *w = c->node->config;
    const int64_t *x = c->in[0].dims, *f = c->in[1].dims;
    sl_code rc = check_ranks(c, st);
    if (rc)
        return rc;
    *s = (conv_shape){
        .n = x[0], .h = x[1], .w = x[2], .c = x[3], .kh = f[0], .kw = f[1], .kc = f[2], .f = f[3]};
    if (s->kc == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "filter depth must be greater than 0, got 0");
    if (s->c % s->kc != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "input depth must be evenly divisible by filter depth: %lld vs %lld",
                       (long long)s->c, (long long)s->kc);
    s->groups = s->c / s->kc;
    if (s->groups == 0 || s->f % s->groups != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "filter's output depth %lld must be divisible by the number of groups %lld",
                       (long long)s->f, (long long)s->groups);
    rc = sl_window_extent(w, 0, s->h, s->kh, &s->oh, &s->top, st);
    if (!rc)
        rc = sl_window_extent(w, 1, s->w, s->kw, &s->ow, &s->left, st);
    if (rc)
        return rc;
    if (sl_shape_count(f, 3, 1 << 16) < 0) /* an empty filter can have any window */
        return sl_fail(st, SL_INVALID_ARGUMENT, "filter is too large");
    s->k = s->kh * s->kw * s->kc;
    s->plain = s->kh == 1 && s->kw == 1 && w->stride[0] == 1 && w->stride[1] == 1 && !s->top &&
               !s->left && s->oh == s->h && s->ow == s->w;
    s->band = SL_MAX(BAND_BYTES / (s->k * 4), 24);
    s->band = SL_MIN(s->band, s->n * s->oh * s->ow);
    return SL_OK;
}

static sl_gemm conv_gemm(const conv_shape *s, int64_t rows)
{
    return (sl_gemm){.m = rows,
                     .n = s->f / s->groups,
                     .k = s->k,
                     .a_row = s->plain ? s->c : s->k,
                     .a_col = 1,
                     .b_row = s->f,
                     .b_col = 1,
                     .c_row = s->f};
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static size_t bytes_of(const sl_tensor *t)
{
    int64_t n = sl_shape_count(t->dims, t->rank, 4);
    return n < 0 ? 0 : aligned((size_t)n * 4);
}

static sl_code conv_shape_rule(sl_op_call *c, sl_status *st)
{
    conv_shape s;
    sl_code rc = conv_plan(c, &s, st);
    if (rc)
        return rc;
    sl_tensor *out = &c->out[0];
    out->rank = 4;
    out->dims[0] = s.n;
    out->dims[1] = s.oh;
    out->dims[2] = s.ow;
    out->dims[3] = s.f;
    sl_gemm g = conv_gemm(&s, s.band);
    c->scratch_size = sl_kernel_gemm_scratch(&g, 4);
    if (!s.plain)
        c->scratch_size += aligned((size_t)(s.band * s.k) * 4);
    if (c->in[0].dtype != SL_DT_FLOAT)
        c->scratch_size += bytes_of(&c->in[0]) + bytes_of(&c->in[1]) + bytes_of(out);
    return sl_ops_check_size(out, st);
}

/* Gathers the window of output pixel (y, x) of image `img` into one row; outside is 0. */
static void gather_window(const conv_shape *s, const sl_window *w, const float *img, int64_t y,
                          int64_t x, int64_t group, float *to)
{
    size_t pixel = (size_t)s->kc * sizeof(float);
    for (int64_t i = 0; i < s->kh; i++) {
        int64_t iy = y * w->stride[0] - s->top + i * w->dilation[0];
        int64_t ix = x * w->stride[1] - s->left;
        if (iy < 0 || iy >= s->h) {
            memset(to, 0, pixel * (size_t)s->kw);
            to += s->kw * s->kc;
        } else if (ix >= 0 && ix + s->kw <= s->w && s->groups == 1 && w->dilation[1] == 1) {
            memcpy(to, img + (iy * s->w + ix) * s->c, pixel * (size_t)s->kw);
            to += s->kw * s->kc;
        } else {
            for (int64_t j = 0; j < s->kw; j++, ix += w->dilation[1], to += s->kc) {
                if (ix < 0 || ix >= s->w)
                    memset(to, 0, pixel);
                else
                    memcpy(to, img + (iy * s->w + ix) * s->c + group * s->kc, pixel);
            }
        }
    }
}

static void conv_float(const conv_shape *s, const sl_window *w, const float *x, const float *f,
                       float *out, float *rows, void *scratch)
{
    int64_t pixels = s->n * s->oh * s->ow, per_group = s->f / s->groups;
    for (int64_t group = 0; group < s->groups; group++) {
        if (s->plain) {
            sl_gemm g = conv_gemm(s, pixels);
            sl_kernel_sgemm(&g, x + group * s->kc, f + group * per_group, out + group * per_group,
                            scratch);
            continue;
        }
        for (int64_t p = 0; p < pixels; p += s->band) {
            int64_t count = SL_MIN(s->band, pixels - p);
            for (int64_t i = 0; i < count; i++) {
                int64_t at = p + i, img = at / (s->oh * s->ow);
                gather_window(s, w, x + img * s->h * s->w * s->c, at / s->ow % s->oh, at % s->ow,
                              group, rows + i * s->k);
            }
            sl_gemm g = conv_gemm(s, count);
            sl_kernel_sgemm(&g, rows, f + group * per_group, out + p * s->f + group * per_group,
                            scratch);
        }
    }
}

static sl_code conv_run(sl_op_call *c, sl_status *st)
{
    conv_shape s;
    sl_code rc = conv_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    sl_dtype t = c->in[0].dtype;
    sl_gemm g = conv_gemm(&s, s.band);
    char *at = (char *)c->scratch + sl_kernel_gemm_scratch(&g, 4);
    float *rows = (float *)(void *)at;
    at += s.plain ? 0 : aligned((size_t)(s.band * s.k) * 4);
    const float *x = c->in[0].data, *f = c->in[1].data;
    float *out = c->out[0].data;
    if (t != SL_DT_FLOAT) {
        float *wx = (float *)(void *)at, *wf = (float *)(void *)(at + bytes_of(&c->in[0]));
        out = (float *)(void *)(at + bytes_of(&c->in[0]) + bytes_of(&c->in[1]));
        sl_kernel_to_float(t, x, wx, sl_shape_count(c->in[0].dims, 4, 1));
        sl_kernel_to_float(t, f, wf, sl_shape_count(c->in[1].dims, 4, 1));
        x = wx;
        f = wf;
    }
    conv_float(&s, c->node->config, x, f, out, rows, c->scratch);
    if (t != SL_DT_FLOAT)
        sl_kernel_from_float(t, out, c->out[0].data, sl_shape_count(c->out[0].dims, 4, 1));
    return SL_OK;
}

static int64_t conv_cost(const sl_op_call *c)
{
    conv_shape s;
    if (conv_plan(c, &s, NULL))
        return 0;
    int64_t filters = s.f / s.groups * s.groups;
    return 100 + (int64_t)((double)(s.n * s.oh * s.ow) * (double)s.k * (double)filters / 16);
}

/* ---- DepthwiseConv2dNative: filter [h, w, in, mult] ---- */

static sl_code depthwise_plan(const sl_op_call *c, conv_shape *s, sl_status *st)
{
    const sl_window *w = c->node->config;
    const int64_t *x = c->in[0].dims, *f = c->in[1].dims;
    sl_code rc = check_ranks(c, st);
    if (rc)
        return rc;
    if (x[3] != f[2])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "input and filter must have the same depth: %lld vs %lld", (long long)x[3],
                       (long long)f[2]);
    *s =
        (conv_shape){.n = x[0], .h = x[1], .w = x[2], .c = x[3], .kh = f[0], .kw = f[1], .f = f[3]};
    rc = sl_window_extent(w, 0, s->h, s->kh, &s->oh, &s->top, st);
    return rc ? rc : sl_window_extent(w, 1, s->w, s->kw, &s->ow, &s->left, st);
}

static sl_code depthwise_shape(sl_op_call *c, sl_status *st)
{
    conv_shape s;
    sl_code rc = depthwise_plan(c, &s, st);
    if (rc)
        return rc;
    sl_tensor *out = &c->out[0];
    out->rank = 4;
    out->dims[0] = s.n;
    out->dims[1] = s.oh;
    out->dims[2] = s.ow;
    out->dims[3] = s.c * s.f;
    if (c->in[0].dtype != SL_DT_FLOAT)
        c->scratch_size = bytes_of(&c->in[0]) + bytes_of(&c->in[1]) + bytes_of(out);
    return sl_ops_check_size(out, st);
}

/* o[channel * mult + m] += x[channel] * f[channel, m] */
SL_CLONES static void depthwise_add(const float *x, const float *f, float *o, int64_t channels,
                                    int64_t mult)
{
    if (mult == 1) {
        SL_IVDEP
        for (int64_t k = 0; k < channels; k++)
            o[k] += x[k] * f[k];
        return;
    }
    for (int64_t k = 0; k < channels; k++)
        for (int64_t m = 0; m < mult; m++)
            o[k * mult + m] += x[k] * f[k * mult + m];
}

static void depthwise_float(const conv_shape *s, const sl_window *w, const float *x, const float *f,
                            float *out)
{
    int64_t channels = s->c * s->f;
    memset(out, 0, (size_t)(s->n * s->oh * s->ow * channels) * sizeof *out);
    for (int64_t p = 0; p < s->n * s->oh * s->ow; p++, out += channels) {
        int64_t ox = p % s->ow, oy = p / s->ow % s->oh;
        const float *img = x + p / (s->ow * s->oh) * s->h * s->w * s->c;
        for (int64_t i = 0; i < s->kh; i++) {
            int64_t iy = oy * w->stride[0] - s->top + i * w->dilation[0];
            for (int64_t j = 0; j < s->kw && iy >= 0 && iy < s->h; j++) {
                int64_t ix = ox * w->stride[1] - s->left + j * w->dilation[1];
                if (ix >= 0 && ix < s->w)
                    depthwise_add(img + (iy * s->w + ix) * s->c, f + (i * s->kw + j) * channels,
                                  out, s->c, s->f);
            }
        }
    }
}

static sl_code depthwise_run(sl_op_call *c, sl_status *st)
{
    conv_shape s;
    sl_code rc = depthwise_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    sl_dtype t = c->in[0].dtype;
    if (t == SL_DT_FLOAT) {
        depthwise_float(&s, c->node->config, c->in[0].data, c->in[1].data, c->out[0].data);
        return SL_OK;
    }
    char *at = c->scratch;
    float *x = (float *)(void *)at, *f = (float *)(void *)(at + bytes_of(&c->in[0]));
    float *out = (float *)(void *)(at + bytes_of(&c->in[0]) + bytes_of(&c->in[1]));
    sl_kernel_to_float(t, c->in[0].data, x, sl_shape_count(c->in[0].dims, 4, 1));
    sl_kernel_to_float(t, c->in[1].data, f, sl_shape_count(c->in[1].dims, 4, 1));
    depthwise_float(&s, c->node->config, x, f, out);
    sl_kernel_from_float(t, out, c->out[0].data, sl_shape_count(c->out[0].dims, 4, 1));
    return SL_OK;
}

static int64_t depthwise_cost(const sl_op_call *c)
{
    conv_shape s;
    if (depthwise_plan(c, &s, NULL))
        return 0;
    return 100 +
           (int64_t)((double)(s.n * s.oh * s.ow) * (double)(s.kh * s.kw) * (double)(s.c * s.f) / 6);
}

const sl_op sl_ops_conv[] = {
    {"Conv2D", 0, 0, conv_configure, conv_shape_rule, conv_run, conv_cost},
    {"DepthwiseConv2dNative", 0, 0, conv_configure, depthwise_shape, depthwise_run, depthwise_cost},
    {0},
};
