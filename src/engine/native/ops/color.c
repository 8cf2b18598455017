/*
 * color.c - RGBToHSV, HSVToRGB and the adjustments of contrast, hue and saturation
 *
 * The last dimension holds the three channels of a pixel. A hue is computed in two ways, as
 * TensorFlow does: the conversions and the saturation take it from the largest channel, AdjustHue
 * from the order of the three. They differ in the last digits.
 */
#include <math.h>

#include "engine/native/ops/ops.h"

/* The three channels of a pixel and back, in the types of the conversions. */
#define CONVERSIONS(T, to_hsv, to_rgb)                                              \
    static void to_hsv(const T *in, T *out, int64_t pixels)                         \
    {                                                                               \
        for (int64_t p = 0; p < pixels; p++, in += 3, out += 3) {                   \
            T r = in[0], g = in[1], b = in[2];                                      \
            T top = SL_MAX(SL_MAX(r, g), b), range = top - SL_MIN(SL_MIN(r, g), b); \
            T norm = 1 / range * ((T)1 / 6), h = 0;                                 \
            if (range > 0)                                                          \
                h = r == top   ? norm * (g - b)                                     \
                    : g == top ? norm * (b - r) + (T)2 / 6                          \
                               : norm * (r - g) + (T)4 / 6;                         \
            out[0] = h < 0 ? h + 1 : h;                                             \
            out[1] = top > 0 ? range / top : 0;                                     \
            out[2] = top;                                                           \
        }                                                                           \
    }                                                                               \
    static void to_rgb(const T *in, T *out, int64_t pixels)                         \
    {                                                                               \
        for (int64_t p = 0; p < pixels; p++, in += 3, out += 3) {                   \
            T h = in[0] * 6, s = in[1], v = in[2];                                  \
            T part[3] = {(h < 3 ? 3 - h : h - 3) - 1, 2 - (h < 2 ? 2 - h : h - 2),  \
                         2 - (h < 4 ? 4 - h : h - 4)};                              \
            for (int k = 0; k < 3; k++)                                             \
                out[k] = (1 - s + s * SL_MIN(SL_MAX(part[k], 0), 1)) * v;           \
        }                                                                           \
    }
CONVERSIONS(float, rgb_to_hsv, hsv_to_rgb)
CONVERSIONS(double, rgb_to_hsv_double, hsv_to_rgb_double)

static sl_code convert_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code convert_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    if (in->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be at least 1D%s",
                       sl_ops_shape(in, &b));
    if (in->dims[in->rank - 1] != 3)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "input must have 3 channels but input only has %lld channels.",
                       (long long)in->dims[in->rank - 1]);
    return sl_ops_shape_like_first(c, st);
}

static sl_code convert_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    bool hsv = c->node->op->name[0] == 'R';
    size_t pixel = 3 * sl_dtype_size(c->in[0].dtype);
    int64_t pixels = (int64_t)(c->out[0].size / pixel);
    if (c->in[0].dtype == SL_DT_FLOAT)
        (hsv ? rgb_to_hsv : hsv_to_rgb)(c->in[0].data, c->out[0].data, pixels);
    else
        (hsv ? rgb_to_hsv_double : hsv_to_rgb_double)(c->in[0].data, c->out[0].data, pixels);
    return SL_OK;
}

static int64_t color_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->in[0], 5);
}

/* ---- adjustments: an image and a number ---- */

static sl_code adjust_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T(FLOAT), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(FLOAT), st);
    if (!rc)
        n->out_types[0] = SL_DT_FLOAT;
    return rc;
}

static sl_code adjust_check(const sl_op_call *c, const char *number, sl_status *st)
{
    sl_shape_buf b;
    if (c->in[0].rank < 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be at least 3-D, got shape%s",
                       sl_ops_shape(&c->in[0], &b));
    if (c->in[1].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be scalar: %s", number,
                       sl_ops_shape(&c->in[1], &b));
    return SL_OK;
}

static sl_code contrast_shape(sl_op_call *c, sl_status *st)
{
    sl_code rc = adjust_check(c, "contrast_factor", st);
    return rc ? rc : sl_ops_shape_like_first(c, st);
}

/* Every channel of every image moves away from its mean. */
static sl_code contrast_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    if (c->out[0].size == 0)
        return SL_OK;
    float factor = *(const float *)c->in[1].data; /* the output may lie where it lies */
    int64_t depth = in->dims[in->rank - 1];
    int64_t pixels = in->dims[in->rank - 3] * in->dims[in->rank - 2];
    int64_t images = sl_ops_product(in->dims, 0, in->rank - 3);
    for (int64_t i = 0; i < images; i++) {
        const float *x = (const float *)in->data + i * pixels * depth;
        float *to = (float *)c->out[0].data + i * pixels * depth;
        for (int64_t k = 0; k < depth; k++) {
            double sum = 0;
            for (int64_t p = 0; p < pixels; p++)
                sum += (double)x[p * depth + k];
            float mean = (float)(sum / (double)pixels);
            for (int64_t p = 0; p < pixels; p++)
                to[p * depth + k] = (x[p * depth + k] - mean) * factor + mean;
        }
    }
    return SL_OK;
}

static sl_code channels_shape(sl_op_call *c, const char *number, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_code rc = adjust_check(c, number, st);
    if (rc)
        return rc;
    if (in->dims[in->rank - 1] != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "input must have 3 channels but instead has %lld channels.",
                       (long long)in->dims[in->rank - 1]);
    return sl_ops_shape_like_first(c, st);
}

static sl_code hue_shape(sl_op_call *c, sl_status *st)
{
    return channels_shape(c, "delta", st);
}

static sl_code saturation_shape(sl_op_call *c, sl_status *st)
{
    return channels_shape(c, "scale", st);
}

/* Which channels are the largest, the middle and the smallest in each sixth of the hues. */
static const unsigned char sixths[6][3] = {{0, 1, 2}, {1, 0, 2}, {1, 2, 0},
                                           {2, 1, 0}, {2, 0, 1}, {0, 2, 1}};

static int sixth_of(const float *p)
{
    if (p[0] < p[1])
        return p[2] < p[0] ? 1 : p[2] > p[1] ? 3 : 2;
    return p[2] < p[1] ? 0 : p[2] > p[0] ? 4 : 5;
}

/* Largest and smallest channel stay; the hue, in sixths, moves on. */
static void turn_hue(const float *in, float *out, float delta)
{
    int sixth = sixth_of(in);
    float top = in[sixths[sixth][0]], low = in[sixths[sixth][2]], h = 0;
    if (top != low) {
        float ratio = (in[sixths[sixth][1]] - low) / (top - low);
        h = (float)sixth + (sixth & 1 ? 1 - ratio : ratio);
    }
    h = fmodf(h + delta * 6, 6);
    h += h < 0 ? 6 : 0;
    sixth = h >= 0 && h < 6 ? (int)h : 0; /* 6 when it was just below 0 */
    float ratio = h < 6 ? h - (float)sixth : h - 6;
    out[sixths[sixth][0]] = top;
    out[sixths[sixth][1]] = low + (sixth & 1 ? 1 - ratio : ratio) * (top - low);
    out[sixths[sixth][2]] = low;
}

static void scale_saturation(const float *in, float *out, float scale)
{
    float hsv[3];
    rgb_to_hsv(in, hsv, 1);
    float colour = fminf(1, fmaxf(0, hsv[1] * scale)) * hsv[2], grey = hsv[2] - colour;
    float h = hsv[0] * 6;
    float middle = colour * (1 - fabsf(h - 2 * floorf(h / 2) - 1));
    int sixth = h >= 0 && h < 6 ? (int)h : -1;
    out[0] = out[1] = out[2] = grey;
    if (sixth < 0) /* a hue that was rounded up to a whole turn has no colour, in TensorFlow too */
        return;
    out[sixths[sixth][0]] = colour + grey;
    out[sixths[sixth][1]] = middle + grey;
}

static sl_code adjust_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    bool hue = strcmp(c->node->op->name, "AdjustHue") == 0;
    float number = *(const float *)c->in[1].data;
    const float *in = c->in[0].data;
    float *out = c->out[0].data;
    for (size_t p = 0; p < c->out[0].size / (3 * sizeof *out); p++) {
        float pixel[3] = {in[3 * p], in[3 * p + 1], in[3 * p + 2]};
        (hue ? turn_hue : scale_saturation)(pixel, out + 3 * p, number);
    }
    return SL_OK;
}

const sl_op sl_ops_color[] = {
    {"AdjustContrastv2", SL_OP_IN_PLACE, 0, adjust_configure, contrast_shape, contrast_run,
     color_cost},
    {"AdjustHue", SL_OP_IN_PLACE, 0, adjust_configure, hue_shape, adjust_run, color_cost},
    {"AdjustSaturation", SL_OP_IN_PLACE, 0, adjust_configure, saturation_shape, adjust_run,
     color_cost},
    {"HSVToRGB", SL_OP_IN_PLACE, 0, convert_configure, convert_shape, convert_run, color_cost},
    {"RGBToHSV", SL_OP_IN_PLACE, 0, convert_configure, convert_shape, convert_run, color_cost},
    {0},
};
