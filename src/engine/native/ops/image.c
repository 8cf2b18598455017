/*
 * image.c - ResizeBilinear, ResizeNearestNeighbor, ResizeBicubic and ResizeArea
 */
#include <math.h>

#include "engine/native/ops/ops.h"
#include "engine/native/ops/pixels.h"

typedef struct resize_config {
    bool align, half_pixel, nearest;
} resize_config;

static sl_code resize_configure(sl_op_node *n, sl_status *st)
{
    bool nearest = strcmp(n->op->name, "ResizeNearestNeighbor") == 0;
    sl_types types = nearest ? SL_T_PLAIN & ~SL_T(STRING) : SL_T(FLOAT) | SL_T(UINT8) | SL_T(INT32);
    if (strcmp(n->op->name, "ResizeArea") == 0)
        types = SL_T_PIXELS;
    sl_code rc = sl_ops_check(n, 2, types, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    if (rc)
        return rc;
    resize_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->align = sl_node_bool(n->source, "align_corners", false);
    cfg->half_pixel = sl_node_bool(n->source, "half_pixel_centers", false);
    cfg->nearest = nearest;
    if (cfg->align && cfg->half_pixel)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "If half_pixel_centers is True, align_corners must be False.");
    n->config = cfg;
    n->out_types[0] = nearest ? n->in_types[0] : SL_DT_FLOAT;
    return SL_OK;
}

sl_code sl_pixels_resized(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *size = &c->in[1];
    int64_t h = sl_ops_int(size, 0), w = sl_ops_int(size, 1);
    if (h <= 0 || w <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output dimensions must be positive");
    if (in->dims[1] <= 0 || in->dims[2] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input image must be of non-zero size");
    if (in->dims[3] <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "image must have at least one channel");
    sl_ops_same_shape(&c->out[0], in);
    c->out[0].dims[1] = h;
    c->out[0].dims[2] = w;
    return sl_ops_check_size(&c->out[0], st);
}

static sl_code resize_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *size = &c->in[1];
    sl_shape_buf b;
    if (in->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be 4-dimensional%s",
                       sl_ops_shape(in, &b));
    if (size->rank != 1 || size->dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape_t must have two elements%s",
                       sl_ops_shape(size, &b));
    return sl_pixels_resized(c, st);
}

static float scale_of(int64_t in, int64_t out, bool align)
{
    return align && in > 1 && out > 1 ? (float)(in - 1) / (float)(out - 1) : (float)in / (float)out;
}

static int64_t nearest_at(const resize_config *cfg, int64_t i, float scale, int64_t n)
{
    float at = ((float)i + (cfg->half_pixel ? 0.5f : 0)) * scale;
    int64_t k = (int64_t)(cfg->align ? roundf(at) : floorf(at));
    return k < 0 ? 0 : k >= n ? n - 1 : k;
}

/* The two neighbours of output i and the weight of the second. */
static void bilinear_at(const resize_config *cfg, int64_t i, float scale, int64_t n, int64_t *low,
                        int64_t *high, float *weight)
{
    float at = cfg->half_pixel ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
    float f = floorf(at);
    *low = f < 0 ? 0 : (int64_t)f;
    *high = SL_MIN((int64_t)ceilf(at) < 0 ? 0 : (int64_t)ceilf(at), n - 1);
    *low = SL_MIN(*low, n - 1);
    *weight = at - f;
}

static float pixel(const sl_tensor *t, int64_t i)
{
    return t->dtype == SL_DT_FLOAT   ? ((const float *)t->data)[i]
           : t->dtype == SL_DT_UINT8 ? (float)((const uint8_t *)t->data)[i]
                                     : (float)((const int32_t *)t->data)[i];
}

static sl_code resize_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const resize_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t h = in->dims[1], w = in->dims[2], depth = in->dims[3];
    int64_t oh = out->dims[1], ow = out->dims[2];
    float sy = scale_of(h, oh, cfg->align), sx = scale_of(w, ow, cfg->align);
    size_t row = (size_t)depth * sl_dtype_size(in->dtype);
    for (int64_t p = 0; depth && p < out->dims[0] * oh * ow; p++) {
        int64_t img = p / (oh * ow), y = p / ow % oh, x = p % ow, y0, y1, x0, x1;
        float wy, wx;
        if (cfg->nearest) {
            int64_t at = (img * h + nearest_at(cfg, y, sy, h)) * w + nearest_at(cfg, x, sx, w);
            memcpy((char *)out->data + (size_t)p * row, (const char *)in->data + (size_t)at * row,
                   row);
            continue;
        }
        bilinear_at(cfg, y, sy, h, &y0, &y1, &wy);
        bilinear_at(cfg, x, sx, w, &x0, &x1, &wx);
        float *to = (float *)out->data + p * depth;
        for (int64_t k = 0; k < depth; k++) {
            float tl = pixel(in, ((img * h + y0) * w + x0) * depth + k);
            float tr = pixel(in, ((img * h + y0) * w + x1) * depth + k);
            float bl = pixel(in, ((img * h + y1) * w + x0) * depth + k);
            float br = pixel(in, ((img * h + y1) * w + x1) * depth + k);
            float top = tl + (tr - tl) * wx, bottom = bl + (br - bl) * wx;
            to[k] = top + (bottom - top) * wy;
        }
    }
    return SL_OK;
}

static int64_t resize_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->out[0], 4);
}

/* ---- bicubic ---- */

/* Weights are read from a table with 1024 steps between two pixels, as TensorFlow does: exact ones
 * would give other digits. */
enum { CUBIC_STEPS = 1024 };

typedef struct cubic {
    int64_t at[4];
    float weight[4];
} cubic;

static float cubic_near(double a, int64_t step)
{
    double x = (double)step / CUBIC_STEPS;
    return (float)(((a + 2) * x - (a + 3)) * x * x + 1);
}

static float cubic_far(double a, int64_t step)
{
    double x = (double)step / CUBIC_STEPS + 1;
    return (float)(((a * x - 5 * a) * x + 8 * a) * x - 4 * a);
}

/* With half pixels, what lies outside the image counts nothing; without, the edge is repeated. */
static cubic cubic_at(const resize_config *cfg, int64_t i, float scale, int64_t n)
{
    float at = cfg->half_pixel ? ((float)i + 0.5f) * scale - 0.5f : (float)i * scale;
    double a = cfg->half_pixel ? -0.5 : -0.75;
    float sum = 0;
    int64_t base = (int64_t)floorf(at);
    int64_t step = lrintf((at - (float)base) * CUBIC_STEPS);
    cubic c = {.weight = {cubic_far(a, step), cubic_near(a, step),
                          cubic_near(a, CUBIC_STEPS - step), cubic_far(a, CUBIC_STEPS - step)}};
    for (int k = 0; k < 4; k++) {
        int64_t p = base - 1 + k;
        c.at[k] = SL_MIN(SL_MAX(p, 0), n - 1);
        if (cfg->half_pixel && c.at[k] != p)
            c.weight[k] = 0;
        sum += c.weight[k];
    }
    for (int k = 0; k < 4 && cfg->half_pixel && fabsf(sum) >= 1e-30f; k++)
        c.weight[k] /= sum;
    return c;
}

static sl_code bicubic_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const resize_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t h = in->dims[1], w = in->dims[2], depth = in->dims[3];
    int64_t oh = out->dims[1], ow = out->dims[2];
    float sy = scale_of(h, oh, cfg->align), sx = scale_of(w, ow, cfg->align);
    float *to = out->data;
    for (int64_t p = 0; depth && p < out->dims[0] * oh; p++) {
        int64_t img = p / oh;
        cubic y = cubic_at(cfg, p % oh, sy, h);
        for (int64_t q = 0; q < ow; q++) {
            cubic x = cubic_at(cfg, q, sx, w);
            for (int64_t k = 0; k < depth; k++, to++) {
                *to = 0;
                for (int j = 0; j < 4; j++) {
                    float column = 0;
                    for (int i = 0; i < 4; i++)
                        column += y.weight[i] *
                                  pixel(in, ((img * h + y.at[i]) * w + x.at[j]) * depth + k);
                    *to += x.weight[j] * column;
                }
            }
        }
    }
    return SL_OK;
}

static int64_t bicubic_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->out[0], 20);
}

/* ---- area: every output pixel is the mean of the piece of the input that it covers ---- */

/* How much of input pixel v lies in [from, to), which is `scale` long. */
static float covered(int64_t v, float from, float to, float scale)
{
    bool ends = (float)(v + 1) > to;
    if ((float)v < from)
        return ends ? scale : (float)(v + 1) - from;
    return ends ? to - (float)v : 1;
}

/* Output pixel (y, x) of an image that starts at row `base`. */
static void area_pixel(const sl_tensor *in, int64_t base, int64_t y, int64_t x, float sy, float sx,
                       float *to)
{
    int64_t h = in->dims[1], w = in->dims[2], depth = in->dims[3];
    float y0 = (float)y * sy, y1 = (float)(y + 1) * sy, x0 = (float)x * sx;
    float x1 = (float)(x + 1) * sx, scale = 1 / (sy * sx);
    for (int64_t k = 0; k < depth; k += SL_PIXELS, to += SL_PIXELS) {
        int64_t n = SL_MIN(depth - k, SL_PIXELS);
        float sum[SL_PIXELS] = {0}, buffer[SL_PIXELS];
        for (int64_t i = (int64_t)floorf(y0); i < (int64_t)ceilf(y1); i++) {
            float row[SL_PIXELS] = {0}, wy = covered(i, y0, y1, sy);
            for (int64_t j = (int64_t)floorf(x0); j < (int64_t)ceilf(x1); j++) {
                int64_t at = (base + SL_MIN(i, h - 1)) * w + SL_MIN(j, w - 1);
                const float *pixel = sl_pixels(in, at * depth + k, n, buffer);
                float wx = covered(j, x0, x1, sx);
                for (int64_t q = 0; q < n; q++)
                    row[q] += pixel[q] * wx;
            }
            for (int64_t q = 0; q < n; q++)
                sum[q] += row[q] * wy;
        }
        for (int64_t q = 0; q < n; q++)
            to[q] = sum[q] * scale;
    }
}

static sl_code area_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const resize_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t oh = out->dims[1], ow = out->dims[2], depth = out->dims[3];
    float sy = scale_of(in->dims[1], oh, cfg->align), sx = scale_of(in->dims[2], ow, cfg->align);
    for (int64_t p = 0; depth && p < out->dims[0] * oh * ow; p++)
        area_pixel(in, p / (oh * ow) * in->dims[1], p / ow % oh, p % ow, sy, sx,
                   (float *)out->data + p * depth);
    return SL_OK;
}

static int64_t area_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->in[0], 2) + sl_ops_cost(&c->out[0], 2);
}

const sl_op sl_ops_image[] = {
    {"ResizeArea", 0, 1 << 1, resize_configure, resize_shape, area_run, area_cost},
    {"ResizeBicubic", 0, 1 << 1, resize_configure, resize_shape, bicubic_run, bicubic_cost},
    {"ResizeBilinear", 0, 1 << 1, resize_configure, resize_shape, resize_run, resize_cost},
    {"ResizeNearestNeighbor", 0, 1 << 1, resize_configure, resize_shape, resize_run, resize_cost},
    {0},
};
