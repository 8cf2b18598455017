/*
 * warp.c - ImageProjectiveTransform and ScaleAndTranslate
 */
#include <math.h>

#include "engine/native/ops/ops.h"
#include "engine/native/ops/pixels.h"

/* ---- ImageProjectiveTransformV2 and V3 ---- */

typedef enum fill_mode { FILL_CONSTANT, FILL_REFLECT, FILL_WRAP, FILL_NEAREST } fill_mode;

typedef struct project_config {
    bool nearest;
    fill_mode fill;
} project_config;

static sl_code project_configure(sl_op_node *n, sl_status *st)
{
    static const char *const modes[] = {"CONSTANT", "REFLECT", "WRAP", "NEAREST"};
    bool v3 = n->op->name[strlen(n->op->name) - 1] == '3';
    sl_code rc =
        sl_ops_check(n, v3 ? 4 : 3, SL_T(UINT8) | SL_T(INT32) | SL_T(INT64) | SL_T_FLOATS, st);
    for (int i = 1; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, i == 2 ? SL_T(INT32) : SL_T(FLOAT), st);
    if (rc)
        return rc;
    sl_str how = sl_node_str(n->source, "interpolation", "");
    sl_str fill = sl_node_str(n->source, "fill_mode", "CONSTANT");
    project_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->nearest = sl_str_is(how, "NEAREST");
    if (!cfg->nearest && !sl_str_is(how, "BILINEAR"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "interpolation %.*s is not supported",
                       SL_STR_ARG(how));
    int mode = 0;
    while (mode < 4 && !sl_str_is(fill, modes[mode]))
        mode++;
    if (mode == 4)
        return sl_fail(st, SL_FAILED_PRECONDITION, "fill_mode %.*s is not supported",
                       SL_STR_ARG(fill));
    cfg->fill = (fill_mode)mode;
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code project_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *t = &c->in[1], *size = &c->in[2];
    sl_shape_buf b;
    if (in->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input images must have rank 4");
    if (t->rank != 2 || (t->dims[0] != in->dims[0] && t->dims[0] != 1) || t->dims[1] != 8)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input transform should be num_images x 8 or 1 x 8");
    if (size->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output shape must be 1-dimensional%s",
                       sl_ops_shape(size, &b));
    if (size->dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output shape must have two elements%s",
                       sl_ops_shape(size, &b));
    int64_t h = sl_ops_int(size, 0), w = sl_ops_int(size, 1);
    if (h <= 0 || w <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output dimensions must be positive");
    if (c->node->n_in == 4 && c->in[3].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "fill_value must be a scalar%s",
                       sl_ops_shape(&c->in[3], &b));
    sl_ops_same_shape(&c->out[0], in);
    c->out[0].dims[1] = h;
    c->out[0].dims[2] = w;
    return sl_ops_check_size(&c->out[0], st);
}

static float clamped(float at, int64_t n)
{
    return at < 0 ? 0 : at > (float)(n - 1) ? (float)(n - 1) : at;
}

/* A place outside of [0, n) brought back into it, as the mode says. */
static float reflected(float at, int64_t n)
{
    float period = 2 * (float)n;
    if (at < 0) {
        at += at < period ? period * truncf(-at / period) : 0;
        return at < (float)-n ? at + period : -at - 1;
    }
    at -= period * truncf(at / period);
    return at >= (float)n ? period - at - 1 : at;
}

static float wrapped(float at, int64_t n)
{
    float last = (float)(n - 1);
    return at < 0 ? at + (float)n * (truncf(-at / last) + 1) : at - (float)n * truncf(at / last);
}

static float mapped(fill_mode mode, float at, int64_t n)
{
    if (mode == FILL_CONSTANT)
        return at;
    if (mode != FILL_NEAREST && (at < 0 || at > (float)(n - 1))) {
        if (n <= 1)
            return 0;
        at = mode == FILL_REFLECT ? reflected(at, n) : wrapped(at, n);
    }
    return clamped(at, n);
}

/* Element k of the pixel at (y, x), both whole numbers or no numbers; outside: the fill. */
typedef struct source {
    const sl_tensor *in;
    int64_t image;
    float fill;
} source;

static int64_t place(const source *s, float y, float x)
{
    const int64_t *d = s->in->dims;
    if (!(y >= 0 && y < (float)d[1] && x >= 0 && x < (float)d[2]))
        return -1;
    return ((s->image * d[1] + SL_MIN((int64_t)y, d[1] - 1)) * d[2] +
            SL_MIN((int64_t)x, d[2] - 1)) *
           d[3];
}

static float element(const source *s, int64_t at, int64_t k)
{
    float buffer[SL_PIXELS];
    return at < 0 ? s->fill : *sl_pixels(s->in, at + k, 1, buffer);
}

/* Cut off towards zero; what does not fit becomes the nearest number that does, NaN 0. */
static int64_t cut(float v, float low, float high, int64_t lowest, int64_t highest)
{
    return v != v ? 0 : v <= low ? lowest : v >= high ? highest : (int64_t)v;
}

static void store(const sl_tensor *out, int64_t i, float v)
{
    switch (out->dtype) {
    case SL_DT_FLOAT:
        ((float *)out->data)[i] = v;
        break;
    case SL_DT_DOUBLE:
        ((double *)out->data)[i] = (double)v;
        break;
    case SL_DT_HALF:
        ((uint16_t *)out->data)[i] = sl_float_to_half(v);
        break;
    case SL_DT_BFLOAT16:
        ((uint16_t *)out->data)[i] = sl_float_to_bf16(v);
        break;
    case SL_DT_UINT8:
        ((uint8_t *)out->data)[i] = (uint8_t)cut(v, 0, 255, 0, UINT8_MAX);
        break;
    case SL_DT_INT32:
        ((int32_t *)out->data)[i] = (int32_t)cut(v, -0x1p31f, 0x1p31f, INT32_MIN, INT32_MAX);
        break;
    default:
        ((int64_t *)out->data)[i] = cut(v, -0x1p63f, 0x1p63f, INT64_MIN, INT64_MAX);
    }
}

/* All channels of one output pixel, whose place in the input is (y, x). */
static void project_pixel(const sl_op_call *c, const source *s, float y, float x, int64_t to)
{
    const project_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t depth = out->dims[3];
    if (cfg->nearest) {
        int64_t at = place(s, roundf(y), roundf(x));
        size_t size = sl_dtype_size(in->dtype);
        if (at >= 0)
            memcpy((char *)out->data + (size_t)to * size,
                   (const char *)in->data + (size_t)at * size, (size_t)depth * size);
        for (int64_t k = 0; at < 0 && k < depth; k++)
            store(out, to + k, s->fill);
        return;
    }
    float y0 = floorf(y), x0 = floorf(x), y1 = y0 + 1, x1 = x0 + 1;
    int64_t tl = place(s, y0, x0), tr = place(s, y0, x1), bl = place(s, y1, x0);
    int64_t br = place(s, y1, x1);
    for (int64_t k = 0; k < depth; k++) {
        float top = (x1 - x) * element(s, tl, k) + (x - x0) * element(s, tr, k);
        float bottom = (x1 - x) * element(s, bl, k) + (x - x0) * element(s, br, k);
        store(out, to + k, (y1 - y) * top + (y - y0) * bottom);
    }
}

static sl_code project_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const project_config *cfg = c->node->config;
    const int64_t *in = c->in[0].dims, *out = c->out[0].dims;
    source s = {.in = &c->in[0]};
    if (c->out[0].size == 0)
        return SL_OK;
    if (c->node->n_in == 4) { /* as the image's type has it */
        float buffer[SL_PIXELS];
        store(&c->out[0], 0, *(const float *)c->in[3].data);
        s.fill = *sl_pixels(&c->out[0], 0, 1, buffer);
    }
    for (int64_t p = 0; p < out[0] * out[1] * out[2]; p++) {
        s.image = p / (out[1] * out[2]);
        const float *t = (const float *)c->in[1].data + (c->in[1].dims[0] == 1 ? 0 : 8 * s.image);
        float y = (float)(p / out[2] % out[1]), x = (float)(p % out[2]);
        float w = t[6] * x + t[7] * y + 1;
        if (w == 0) {
            for (int64_t k = 0; k < out[3]; k++)
                store(&c->out[0], p * out[3] + k, s.fill);
            continue;
        }
        float at_x = (t[0] * x + t[1] * y + t[2]) / w, at_y = (t[3] * x + t[4] * y + t[5]) / w;
        project_pixel(c, &s, mapped(cfg->fill, at_y, in[1]), mapped(cfg->fill, at_x, in[2]),
                      p * out[3]);
    }
    return SL_OK;
}

static int64_t project_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->out[0], 12);
}

/* ---- ScaleAndTranslate ---- */

typedef enum kernel { LANCZOS, GAUSSIAN, BOX, TRIANGLE, KEYS_CUBIC, MITCHELL_CUBIC } kernel;

typedef struct scale_config {
    kernel kernel;
    float radius;
    bool antialias;
} scale_config;

static const struct {
    const char *name;
    kernel kernel;
    float radius;
} kernels[] = {
    {"lanczos1", LANCZOS, 1},
    {"lanczos3", LANCZOS, 3},
    {"lanczos5", LANCZOS, 5},
    {"gaussian", GAUSSIAN, 1.5f},
    {"box", BOX, 1},
    {"triangle", TRIANGLE, 1},
    {"keyscubic", KEYS_CUBIC, 2},
    {"mitchellcubic", MITCHELL_CUBIC, 2},
};

static sl_code scale_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_PIXELS, st);
    for (int i = 1; i < 4 && !rc; i++)
        rc = sl_ops_check_input(n, i, i == 1 ? SL_T(INT32) : SL_T(FLOAT), st);
    if (rc)
        return rc;
    sl_str name = sl_node_str(n->source, "kernel_type", "lanczos3");
    scale_config *cfg = sl_ops_config(n, sizeof *cfg);
    size_t k = 0;
    while (k < SL_COUNTOF(kernels) && !sl_str_is(name, kernels[k].name))
        k++;
    if (k == SL_COUNTOF(kernels))
        return sl_fail(st, SL_FAILED_PRECONDITION, "kernel_type %.*s is not supported",
                       SL_STR_ARG(name));
    *cfg = (scale_config){kernels[k].kernel, kernels[k].radius,
                          sl_node_bool(n->source, "antialias", true)};
    n->config = cfg;
    n->out_types[0] = SL_DT_FLOAT;
    return SL_OK;
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static sl_code scale_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *size = &c->in[1];
    sl_shape_buf b;
    if (in->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be 4-dimensional%s",
                       sl_ops_shape(in, &b));
    if (size->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output_shape_t must be 1-dimensional%s",
                       sl_ops_shape(size, &b));
    if (size->dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "output_shape_t must have two elements%s",
                       sl_ops_shape(size, &b));
    for (int i = 2; i < 4; i++)
        if (c->in[i].rank != 1 || c->in[i].dims[0] != 2)
            return sl_fail(st, SL_INVALID_ARGUMENT, "t must have two elements%s",
                           sl_ops_shape(&c->in[i], &b));
    sl_code rc = sl_pixels_resized(c, st);
    if (rc)
        return rc;
    /* The weights of one output row or column, and an image that is scaled in height only. */
    int64_t half[] = {c->out[0].dims[1], in->dims[2], in->dims[3]},
            most = SL_MAX(in->dims[1], in->dims[2]);
    int64_t between = sl_shape_count(half, 3, 4), weights = sl_shape_count(&most, 1, 4);
    if (between < 0 || weights < 0 || between > INT64_MAX / 16 || weights > INT64_MAX / 16)
        return sl_ops_no_memory(st);
    c->scratch_size = aligned((size_t)weights * 4) + aligned((size_t)between * 4);
    return SL_OK;
}

static float kernel_at(const scale_config *cfg, float x)
{
    const float pi = 3.14159265f, r = cfg->radius;
    switch (cfg->kernel) {
    case LANCZOS:
        return x > r ? 0 : x <= 1e-3f ? 1 : r * sinf(pi * x) * sinf(pi * x / r) / (pi * pi * x * x);
    case GAUSSIAN:
        return x >= r ? 0 : expf(-x * x / (2 * (r / 3) * (r / 3)));
    case BOX:
        return x < 0.5f ? 1 : x == 0.5f ? 0.5f : 0;
    case TRIANGLE:
        return x < 1 ? 1 - x : 0;
    case KEYS_CUBIC:
        return x >= 2   ? 0
               : x >= 1 ? ((-0.5f * x + 2.5f) * x - 4) * x + 2
                        : (1.5f * x - 2.5f) * x * x + 1;
    default:
        return x >= 2   ? 0
               : x >= 1 ? (((-7.0f / 18) * x + 2) * x - 10.0f / 3) * x + 16.0f / 9
                        : ((7.0f / 6) * x - 2) * x * x + 8.0f / 9;
    }
}

/* Pixels [begin, end) of n count for output pixel i, by their weights. */
typedef struct span {
    int64_t begin, end;
} span;

static span span_of(const scale_config *cfg, int64_t i, int64_t n, float scale, float translation,
                    float *weights)
{
    float inverse = 1 / scale, spread = cfg->antialias ? fmaxf(inverse, 1) : 1;
    float at = ((float)i + 0.5f) * inverse + -inverse * translation, total = 0;
    float reach = cfg->radius * spread;
    span none = {0, 0};
    if (!(at >= 0 && at <= (float)n))
        return none;
    span s = {(int64_t)clamped(ceilf(at - reach - 0.5f), n),
              (int64_t)clamped(floorf(at + reach - 0.5f), n) + 1};
    s.end = SL_MIN(s.end, n);
    for (int64_t k = s.begin; k < s.end; k++) {
        float w = kernel_at(cfg, fabsf((float)k + 0.5f - at) * (1 / spread));
        weights[k - s.begin] = w;
        total += w;
    }
    if (!(fabsf(total) >= 1000 * 1.17549435e-38f))
        return none;
    for (int64_t k = 0; k < s.end - s.begin; k++)
        weights[k] *= 1 / total;
    return s;
}

static void add_scaled(float *to, const float *x, float w, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        to[i] += x[i] * w;
}

/* Rows of image `image` into `between` [out h, in w, depth]. */
static void scale_rows(const sl_op_call *c, int64_t image, float scale, float translation,
                       float *weights, float *between)
{
    const sl_tensor *in = &c->in[0];
    int64_t h = in->dims[1], row = in->dims[2] * in->dims[3];
    for (int64_t y = 0; y < c->out[0].dims[1]; y++, between += row) {
        span s = span_of(c->node->config, y, h, scale, translation, weights);
        memset(between, 0, (size_t)row * sizeof *between);
        for (int64_t i = s.begin; i < s.end; i++)
            for (int64_t k = 0; k < row; k += SL_PIXELS) {
                float buffer[SL_PIXELS];
                int64_t n = SL_MIN(row - k, SL_PIXELS);
                add_scaled(between + k, sl_pixels(in, (image * h + i) * row + k, n, buffer),
                           weights[i - s.begin], n);
            }
    }
}

static void scale_columns(const sl_op_call *c, float scale, float translation, float *weights,
                          const float *between, float *to)
{
    const int64_t *out = c->out[0].dims;
    int64_t w = c->in[0].dims[2], depth = out[3];
    for (int64_t x = 0; x < out[2]; x++) {
        span s = span_of(c->node->config, x, w, scale, translation, weights);
        for (int64_t y = 0; y < out[1]; y++) {
            float *pixel = to + (y * out[2] + x) * depth;
            memset(pixel, 0, (size_t)depth * sizeof *pixel);
            for (int64_t i = s.begin; i < s.end; i++)
                add_scaled(pixel, between + (y * w + i) * depth, weights[i - s.begin], depth);
        }
    }
}

static sl_code scale_run(sl_op_call *c, sl_status *st)
{
    const float *scale = c->in[2].data, *translation = c->in[3].data;
    const int64_t *in = c->in[0].dims, *out = c->out[0].dims;
    if (!(scale[0] > 0 && scale[1] > 0))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Scale must be greater than zero.");
    if (c->out[0].size == 0)
        return SL_OK;
    float *weights = c->scratch;
    float *between =
        (float *)(void *)((char *)c->scratch + aligned((size_t)SL_MAX(in[1], in[2]) * 4));
    for (int64_t i = 0; i < out[0]; i++) {
        scale_rows(c, i, scale[0], translation[0], weights, between);
        scale_columns(c, scale[1], translation[1], weights, between,
                      (float *)c->out[0].data + i * out[1] * out[2] * out[3]);
    }
    return SL_OK;
}

static int64_t scale_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->in[0], 10) + sl_ops_cost(&c->out[0], 10);
}

const sl_op sl_ops_warp[] = {
    {"ImageProjectiveTransformV2", 0, 1 << 2, project_configure, project_shape, project_run,
     project_cost},
    {"ImageProjectiveTransformV3", 0, 1 << 2, project_configure, project_shape, project_run,
     project_cost},
    {"ScaleAndTranslate", 0, 1 << 1, scale_configure, scale_shape, scale_run, scale_cost},
    {0},
};
