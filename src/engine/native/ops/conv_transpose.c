/*
 * conv_transpose.c - Conv2DBackpropInput, which models use as transposed convolution
 *
 * The convolution read backwards: every pixel of x, times the filter, gives a window of values (one
 * matrix product for a band of pixels), and the windows are added up where they overlap.
 */
#include "engine/native/kernels/gemm.h"
#include "engine/native/ops/ops.h"
#include "engine/native/ops/window.h"

enum { BAND_BYTES = 256 * 1024 };

typedef struct back_shape {
    int64_t n, h, w, o; /* result */
    int64_t kh, kw, c;  /* filter [kh, kw, o, c] */
    int64_t ih, iw;     /* x */
    int64_t top, left, band;
} back_shape;

static sl_code back_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(INT32), st);
    for (int i = 1; !rc && i < 3; i++)
        rc = sl_ops_check_input(n, i, SL_T(FLOAT), st);
    if (rc)
        return rc;
    sl_window *w = sl_ops_config(n, sizeof *w);
    n->config = w;
    n->out_types[0] = SL_DT_FLOAT;
    return sl_window_configure(n->source, false, w, st);
}

static sl_code back_plan(const sl_op_call *c, back_shape *s, sl_status *st)
{
    const sl_window *w = c->node->config;
    const sl_tensor *sizes = &c->in[0], *f = &c->in[1], *x = &c->in[2];
    int64_t out[2];
    if (sizes->rank != 1 || (sizes->dims[0] != 4 && sizes->dims[0] != 2))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Conv2DBackpropInput requires input_sizes to contain 4 values or 2 values");
    if (f->rank != 4 || x->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Conv2DBackpropInput: filter and out_backprop must be 4-dimensional");
    int first = sizes->dims[0] == 4;
    *s = (back_shape){.n = x->dims[0],
                      .h = sl_ops_int(sizes, first),
                      .w = sl_ops_int(sizes, first + 1),
                      .o = f->dims[2],
                      .kh = f->dims[0],
                      .kw = f->dims[1],
                      .c = f->dims[3],
                      .ih = x->dims[1],
                      .iw = x->dims[2]};
    if (s->h < 0 || s->w < 0 || s->c != x->dims[3] || s->o < 1 || s->c < 1 ||
        (first && (sl_ops_int(sizes, 0) != s->n || sl_ops_int(sizes, 3) != s->o)))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Conv2DBackpropInput: input_sizes, filter and out_backprop do not fit");
    sl_code rc = sl_window_extent(w, 0, s->h, s->kh, &out[0], &s->top, st);
    if (!rc)
        rc = sl_window_extent(w, 1, s->w, s->kw, &out[1], &s->left, st);
    if (rc)
        return rc;
    if (out[0] != s->ih || out[1] != s->iw)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Conv2DBackpropInput: Size of out_backprop doesn't match computed: actual = "
                       "%lld, computed = %lld",
                       (long long)(out[0] != s->ih ? s->ih : s->iw),
                       (long long)(out[0] != s->ih ? out[0] : out[1]));
    int64_t window = s->kh * s->kw * s->o;
    s->band = SL_MIN(SL_MAX(BAND_BYTES / (window * 4), 24), s->n * s->ih * s->iw);
    return SL_OK;
}

static sl_gemm back_gemm(const back_shape *s, int64_t rows)
{
    int64_t window = s->kh * s->kw * s->o;
    return (sl_gemm){.m = rows,
                     .n = window,
                     .k = s->c,
                     .a_row = s->c,
                     .a_col = 1,
                     .b_row = 1,
                     .b_col = s->c,
                     .c_row = window};
}

static sl_code back_shape_rule(sl_op_call *c, sl_status *st)
{
    back_shape s;
    sl_code rc = back_plan(c, &s, st);
    if (rc)
        return rc;
    sl_tensor *out = &c->out[0];
    out->rank = 4;
    out->dims[0] = s.n;
    out->dims[1] = s.h;
    out->dims[2] = s.w;
    out->dims[3] = s.o;
    sl_gemm g = back_gemm(&s, s.band);
    c->scratch_size = sl_kernel_gemm_scratch(&g, 4) + (size_t)(g.m * g.n) * sizeof(float);
    return sl_ops_check_size(out, st);
}

/* Adds the window of pixel (y, x) to the image. */
static void add_window(const back_shape *s, const sl_window *w, const float *from, int64_t y,
                       int64_t x, float *img)
{
    for (int64_t i = 0; i < s->kh; i++)
        for (int64_t j = 0; j < s->kw; j++, from += s->o) {
            int64_t oy = y * w->stride[0] - s->top + i * w->dilation[0];
            int64_t ox = x * w->stride[1] - s->left + j * w->dilation[1];
            if (oy < 0 || oy >= s->h || ox < 0 || ox >= s->w)
                continue;
            float *to = img + (oy * s->w + ox) * s->o;
            for (int64_t k = 0; k < s->o; k++)
                to[k] += from[k];
        }
}

static sl_code back_run(sl_op_call *c, sl_status *st)
{
    back_shape s;
    sl_code rc = back_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    int64_t pixels = s.n * s.ih * s.iw;
    sl_gemm g = back_gemm(&s, s.band);
    float *rows = (float *)(void *)((char *)c->scratch + sl_kernel_gemm_scratch(&g, 4));
    const float *x = c->in[2].data;
    memset(c->out[0].data, 0, c->out[0].size);
    for (int64_t p = 0; p < pixels; p += s.band) {
        int64_t count = SL_MIN(s.band, pixels - p);
        g = back_gemm(&s, count);
        sl_kernel_sgemm(&g, x + p * s.c, c->in[1].data, rows, c->scratch);
        for (int64_t i = 0; i < count; i++) {
            int64_t at = p + i, img = at / (s.ih * s.iw);
            add_window(&s, c->node->config, rows + i * g.n, at / s.iw % s.ih, at % s.iw,
                       (float *)c->out[0].data + img * s.h * s.w * s.o);
        }
    }
    return SL_OK;
}

static int64_t back_cost(const sl_op_call *c)
{
    double x = (double)sl_shape_count(c->in[2].dims, c->in[2].rank, 1);
    double f = c->in[1].rank == 4 ? (double)sl_ops_product(c->in[1].dims, 0, 3) : 1;
    return 100 + (int64_t)(x * f / 12);
}

const sl_op sl_ops_conv_transpose[] = {
    {"Conv2DBackpropInput", 0, 1 << 0, back_configure, back_shape_rule, back_run, back_cost},
    {0},
};
