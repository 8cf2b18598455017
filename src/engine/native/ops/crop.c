/*
 * crop.c - pieces of images: CropAndResize and ExtractImagePatches
 */
#include <math.h>

#include "engine/native/ops/ops.h"
#include "engine/native/ops/pixels.h"
#include "engine/native/ops/window.h"

/* ---- CropAndResize ---- */

typedef struct crop_config {
    bool nearest;
    float outside;
} crop_config;

static sl_code crop_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_PIXELS & ~SL_T(BFLOAT16), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(FLOAT), st);
    for (int i = 2; i < 4 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T(INT32), st);
    if (rc)
        return rc;
    sl_str method = sl_node_str(n->source, "method", "bilinear");
    crop_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->nearest = sl_str_is(method, "nearest");
    cfg->outside = sl_node_float(n->source, "extrapolation_value", 0);
    if (!cfg->nearest && !sl_str_is(method, "bilinear"))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "method must be 'bilinear' or 'nearest', not '%.*s'", SL_STR_ARG(method));
    n->config = cfg;
    n->out_types[0] = SL_DT_FLOAT;
    return SL_OK;
}

static int64_t elements(const sl_tensor *t)
{
    return sl_shape_count(t->dims, t->rank, 1);
}

static sl_code crop_check_boxes(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *boxes = &c->in[1], *index = &c->in[2];
    sl_shape_buf b;
    if (elements(boxes) == 0 && elements(index) == 0)
        return SL_OK;
    if (boxes->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes must be 2-D, got: %s",
                       sl_ops_shape(boxes, &b));
    if (boxes->dims[1] != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "boxes must have 4 columns");
    if (index->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "box_indices must be rank 1 but is shape %s",
                       sl_ops_shape(index, &b));
    if (index->dims[0] != boxes->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "box_index has incompatible shape");
    return SL_OK;
}

static sl_code crop_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *size = &c->in[3];
    sl_shape_buf b;
    if (in->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input image must be 4-D%s", sl_ops_shape(in, &b));
    if (in->dims[1] <= 0 || in->dims[2] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "image dimensions must be positive");
    sl_code rc = crop_check_boxes(c, st);
    if (rc)
        return rc;
    if (size->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "crop_size must be 1-D%s", sl_ops_shape(size, &b));
    if (size->dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "crop_size must have two elements%s",
                       sl_ops_shape(size, &b));
    int64_t h = sl_ops_int(size, 0), w = sl_ops_int(size, 1);
    if (h <= 0 || w <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "crop dimensions must be positive");
    c->out[0].rank = 4;
    c->out[0].dims[0] = elements(&c->in[1]) ? c->in[1].dims[0] : 0;
    c->out[0].dims[1] = h;
    c->out[0].dims[2] = w;
    c->out[0].dims[3] = in->dims[3];
    return sl_ops_check_size(&c->out[0], st);
}

/* Where the i-th of n pixels of a crop from a to b lies, in an image whose last pixel is `last`. */
static float crop_at(float a, float b, int64_t i, int64_t n, int64_t last)
{
    if (n <= 1)
        return (float)(0.5 * (double)(a + b) * (double)last);
    float scale = (b - a) * (float)last / (float)(n - 1);
    return a * (float)last + (float)i * scale;
}

/* A float may say more than the last pixel of a very large image. */
static int64_t whole(float at, int64_t n)
{
    return SL_MIN((int64_t)at, n - 1);
}

static void crop_pixel(const sl_op_call *c, int64_t image, float y, float x, float *to)
{
    const crop_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t h = in->dims[1], w = in->dims[2], depth = in->dims[3], base = image * h;
    float b[4][SL_PIXELS];
    int64_t y0 = whole(cfg->nearest ? roundf(y) : floorf(y), h), y1 = whole(ceilf(y), h);
    int64_t x0 = whole(cfg->nearest ? roundf(x) : floorf(x), w), x1 = whole(ceilf(x), w);
    float wy = y - (float)y0, wx = x - (float)x0;
    for (int64_t k = 0; k < depth; k += SL_PIXELS, to += SL_PIXELS) {
        int64_t n = SL_MIN(depth - k, SL_PIXELS);
        const float *tl = sl_pixels(in, ((base + y0) * w + x0) * depth + k, n, b[0]);
        if (cfg->nearest) {
            memcpy(to, tl, (size_t)n * sizeof *to);
            continue;
        }
        const float *tr = sl_pixels(in, ((base + y0) * w + x1) * depth + k, n, b[1]);
        const float *bl = sl_pixels(in, ((base + y1) * w + x0) * depth + k, n, b[2]);
        const float *br = sl_pixels(in, ((base + y1) * w + x1) * depth + k, n, b[3]);
        for (int64_t i = 0; i < n; i++) {
            float top = tl[i] + (tr[i] - tl[i]) * wx, bottom = bl[i] + (br[i] - bl[i]) * wx;
            to[i] = top + (bottom - top) * wy;
        }
    }
}

static sl_code crop_check_values(const sl_op_call *c, sl_status *st)
{
    const int32_t *index = c->in[2].data;
    const float *boxes = c->in[1].data;
    for (int64_t i = 0; i < 4 * c->out[0].dims[0]; i++)
        if (!isfinite(boxes[i]))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Boxes contains at least one element that is not finite");
    for (int64_t i = 0; i < c->out[0].dims[0]; i++)
        if (index[i] < 0 || index[i] >= c->in[0].dims[0])
            return sl_fail(st, SL_OUT_OF_RANGE, "box_index has values outside [0, batch_size)");
    return SL_OK;
}

static sl_code crop_run(sl_op_call *c, sl_status *st)
{
    const crop_config *cfg = c->node->config;
    const int64_t *in = c->in[0].dims, *out = c->out[0].dims;
    sl_code rc = crop_check_values(c, st);
    if (rc || c->out[0].size == 0)
        return rc;
    float *to = c->out[0].data;
    for (int64_t p = 0; p < out[0] * out[1] * out[2]; p++, to += out[3]) {
        const float *box = (const float *)c->in[1].data + p / (out[1] * out[2]) * 4;
        int64_t image = ((const int32_t *)c->in[2].data)[p / (out[1] * out[2])];
        float y = crop_at(box[0], box[2], p / out[2] % out[1], out[1], in[1] - 1);
        float x = crop_at(box[1], box[3], p % out[2], out[2], in[2] - 1);
        if (y >= 0 && y <= (float)(in[1] - 1) && x >= 0 && x <= (float)(in[2] - 1)) {
            crop_pixel(c, image, y, x, to);
            continue;
        }
        for (int64_t k = 0; k < out[3]; k++)
            to[k] = cfg->outside;
    }
    return SL_OK;
}

static int64_t crop_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->out[0], 4);
}

/* ---- ExtractImagePatches ---- */

typedef struct patch_shape {
    int64_t out[2], before[2];
} patch_shape;

static sl_code patch_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_NUMBERS | SL_T(COMPLEX64) | SL_T(COMPLEX128), st);
    sl_window *w = sl_ops_config(n, sizeof *w);
    if (!rc)
        rc = sl_window_middle(n->source, "ksizes", w->size, false, st);
    if (!rc)
        rc = sl_window_middle(n->source, "strides", w->stride, false, st);
    if (!rc)
        rc = sl_window_middle(n->source, "rates", w->dilation, false, st);
    if (rc)
        return rc;
    sl_str padding = sl_node_str(n->source, "padding", "");
    w->padding = sl_str_is(padding, "SAME") ? SL_PAD_SAME : SL_PAD_VALID;
    if (w->padding != SL_PAD_SAME && !sl_str_is(padding, "VALID"))
        return sl_fail(st, SL_INVALID_ARGUMENT, "padding \"%.*s\" is not known",
                       SL_STR_ARG(padding));
    n->config = w;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code patch_plan(const sl_op_call *c, patch_shape *s, sl_status *st)
{
    const sl_window *w = c->node->config;
    sl_shape_buf b;
    if (c->in[0].rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be 4-dimensional%s",
                       sl_ops_shape(&c->in[0], &b));
    sl_code rc = SL_OK;
    for (int d = 0; d < 2 && !rc; d++) {
        int64_t in = c->in[0].dims[d + 1];
        if (in > INT32_MAX)
            return sl_fail(st, SL_INVALID_ARGUMENT, "an image of %lld pixels is too large",
                           (long long)in);
        rc = sl_window_extent(w, d, in, w->size[d], &s->out[d], &s->before[d], st);
    }
    return rc;
}

static sl_code patch_shape_rule(sl_op_call *c, sl_status *st)
{
    const sl_window *w = c->node->config;
    patch_shape s;
    sl_code rc = patch_plan(c, &s, st);
    if (rc)
        return rc;
    int64_t *out = c->out[0].dims;
    c->out[0].rank = 4;
    out[0] = c->in[0].dims[0];
    out[1] = s.out[0];
    out[2] = s.out[1];
    if (__builtin_mul_overflow(w->size[0] * w->size[1], c->in[0].dims[3], &out[3]))
        return sl_fail(st, SL_INVALID_ARGUMENT, "the result of ExtractImagePatches is too large");
    return sl_ops_check_size(&c->out[0], st);
}

static sl_code patch_run(sl_op_call *c, sl_status *st)
{
    const sl_window *w = c->node->config;
    const int64_t *in = c->in[0].dims, *out = c->out[0].dims;
    patch_shape s;
    sl_code rc = patch_plan(c, &s, st);
    if (rc || c->out[0].size == 0)
        return rc;
    size_t pixel = (size_t)in[3] * sl_dtype_size(c->in[0].dtype);
    char *to = c->out[0].data;
    for (int64_t p = 0; p < out[0] * out[1] * out[2]; p++) {
        const char *image =
            (const char *)c->in[0].data + (size_t)(p / (out[1] * out[2]) * in[1] * in[2]) * pixel;
        int64_t y = p / out[2] % out[1] * w->stride[0] - s.before[0];
        for (int64_t i = 0; i < w->size[0]; i++, y += w->dilation[0]) {
            int64_t x = p % out[2] * w->stride[1] - s.before[1];
            for (int64_t j = 0; j < w->size[1]; j++, x += w->dilation[1], to += pixel) {
                if (y < 0 || y >= in[1] || x < 0 || x >= in[2])
                    memset(to, 0, pixel);
                else
                    memcpy(to, image + (size_t)(y * in[2] + x) * pixel, pixel);
            }
        }
    }
    return SL_OK;
}

const sl_op sl_ops_crop[] = {
    {"CropAndResize", 0, 1 << 3, crop_configure, crop_shape, crop_run, crop_cost},
    {"ExtractImagePatches", 0, 0, patch_configure, patch_shape_rule, patch_run, NULL},
    {0},
};
