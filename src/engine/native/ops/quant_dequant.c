/*
 * quant_dequant.c - QuantizeAndDequantizeV2, V3 and V4: numbers as a few bits could have held them
 *
 * The range becomes [low, high] with one of its ends exactly a step; the step is 1 / scale.
 */
#include <float.h>
#include <math.h>

#include "engine/native/ops/ops.h"

typedef struct qdq_config {
    bool is_signed, given, narrow, half_up;
    bool bits_are_input;
    int64_t bits, axis;
} qdq_config;

static sl_code check_bits(int64_t bits, bool is_signed, sl_status *st)
{
    return bits > 0 && bits < (is_signed ? 62 : 63)
               ? SL_OK
               : sl_fail(st, SL_INVALID_ARGUMENT,
                         "num_bits is out of range: %lld with `signed_input_` %d", (long long)bits,
                         is_signed);
}

static sl_code qdq_configure(sl_op_node *n, sl_status *st)
{
    bool v3 = strcmp(n->op->name, "QuantizeAndDequantizeV3") == 0;
    sl_code rc = sl_ops_check(n, v3 ? 4 : 3, SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, 3, st);
    if (!rc && v3)
        rc = sl_ops_check_input(n, 3, SL_T(INT32), st);
    if (rc)
        return rc;
    sl_str mode = sl_node_str(n->source, "round_mode", "HALF_TO_EVEN");
    qdq_config *cfg = sl_ops_config(n, sizeof *cfg);
    *cfg = (qdq_config){.is_signed = sl_node_bool(n->source, "signed_input", true),
                        .given = sl_node_bool(n->source, "range_given", v3),
                        .narrow = sl_node_bool(n->source, "narrow_range", false),
                        .half_up = sl_str_is(mode, "HALF_UP"),
                        .bits_are_input = v3,
                        .bits = sl_node_int(n->source, "num_bits", 8),
                        .axis = sl_node_int(n->source, "axis", -1)};
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    if (!cfg->half_up && !sl_str_is(mode, "HALF_TO_EVEN"))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Round mode string must be 'HALF_TO_EVEN' or 'HALF_UP', is '%.*s'",
                       SL_STR_ARG(mode));
    if (cfg->axis < -1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "axis must be at least -1, not %lld",
                       (long long)cfg->axis);
    if (cfg->axis >= 0 && cfg->given) /* TensorFlow's own takes no such ranges */
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "ranges given for each slice of an axis are not supported");
    return v3 ? SL_OK : check_bits(cfg->bits, cfg->is_signed, st);
}

static sl_code qdq_shape(sl_op_call *c, sl_status *st)
{
    const qdq_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    if (cfg->axis >= in->rank && cfg->bits_are_input)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Axis requested is larger than input dimensions. Axis: %lld Input "
                       "Dimensions: %d",
                       (long long)cfg->axis, in->rank);
    if (cfg->axis >= in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be at least rank %lld but is rank %d",
                       (long long)cfg->axis + 1, in->rank);
    for (int i = 1; i < 3 && cfg->given; i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "input_%s must be a scalar.",
                           i == 1 ? "min" : "max");
    if (cfg->bits_are_input && c->in[3].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Invalid shape. The `num_bits` tensor should be a scalar. Got dimensions: "
                       "%d",
                       c->in[3].rank);
    return sl_ops_shape_like_first(c, st);
}

/* One range: n blocks of `inner` numbers, `step` apart. */
#define QDQ(name, type, largest, floor_fn, rint_fn)                                                \
    static void name(const qdq_config *cfg, int64_t bits, const type *x, type *y, int64_t n,       \
                     int64_t inner, int64_t step, type low, type high)                             \
    {                                                                                              \
        int64_t last = cfg->is_signed ? ((int64_t)1 << (bits - 1)) - 1 : ((int64_t)1 << bits) - 1; \
        int64_t first = cfg->is_signed ? -last - !cfg->narrow : 0;                                 \
        type a = (type)first, b = (type)last;                                                      \
        type by_low = a * low > 0 ? a / low : largest;                                             \
        type by_high = b * high > 0 ? b / high : largest;                                          \
        type scale, back;                                                                          \
        if (by_low < by_high) {                                                                    \
            scale = by_low;                                                                        \
            back = low / a;                                                                        \
            high = b * back;                                                                       \
        } else {                                                                                   \
            scale = by_high;                                                                       \
            back = high / b;                                                                       \
            low = a * back;                                                                        \
        }                                                                                          \
        for (int64_t i = 0; i < n; i++)                                                            \
            for (int64_t k = i * step; k < i * step + inner; k++) {                                \
                type v = x[k];                                                                     \
                if (cfg->given) {                                                                  \
                    v = v < low ? low : v; /* NaN stays */                                         \
                    v = v > high ? high : v;                                                       \
                }                                                                                  \
                v *= scale;                                                                        \
                y[k] = (cfg->half_up ? floor_fn(v + (type)0.5) : rint_fn(v)) * back;               \
            }                                                                                      \
    }                                                                                              \
    static void name##_range(const type *x, int64_t n, int64_t inner, int64_t step, type *low,     \
                             type *high)                                                           \
    {                                                                                              \
        *low = *high = x[0];                                                                       \
        for (int64_t i = 0; i < n; i++)                                                            \
            for (int64_t k = i * step; k < i * step + inner; k++) {                                \
                *low = x[k] < *low ? x[k] : *low;                                                  \
                *high = x[k] > *high ? x[k] : *high;                                               \
            }                                                                                      \
    }
QDQ(qdq_f, float, FLT_MAX, floorf, rintf)
QDQ(qdq_d, double, DBL_MAX, floor, rint)

static double real(const sl_tensor *t)
{
    return t->dtype == SL_DT_FLOAT ? (double)*(const float *)t->data : *(const double *)t->data;
}

static sl_code qdq_run(sl_op_call *c, sl_status *st)
{
    const qdq_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t bits = cfg->bits_are_input ? sl_ops_int(&c->in[3], 0) : cfg->bits;
    sl_code rc = check_bits(bits, cfg->is_signed, st);
    int at = (int)SL_MAX(cfg->axis, (int64_t)0);
    int64_t depth = cfg->axis < 0 ? 1 : in->dims[at];
    if (cfg->given && !rc) {
        double low = real(&c->in[1]), high = real(&c->in[2]);
        if (!(low <= high))
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "Invalid range: input_min %g > input_max %g", low,
                         high);
    }
    if (rc || in->size == 0)
        return rc;
    int64_t total = sl_tensor_count(in);
    int64_t inner = cfg->axis < 0 ? total : sl_ops_product(in->dims, at + 1, in->rank);
    int64_t step = inner * depth, n = total / step;
    for (int64_t r = 0; r < depth; r++)
        if (in->dtype == SL_DT_FLOAT) {
            const float *x = (const float *)in->data + r * inner;
            float low = 0, high = 0;
            if (cfg->given) {
                low = *(const float *)c->in[1].data;
                high = *(const float *)c->in[2].data;
            } else {
                qdq_f_range(x, n, inner, step, &low, &high);
            }
            qdq_f(cfg, bits, x, (float *)c->out[0].data + r * inner, n, inner, step, low, high);
        } else {
            const double *x = (const double *)in->data + r * inner;
            double low = 0, high = 0;
            if (cfg->given) {
                low = *(const double *)c->in[1].data;
                high = *(const double *)c->in[2].data;
            } else {
                qdq_d_range(x, n, inner, step, &low, &high);
            }
            qdq_d(cfg, bits, x, (double *)c->out[0].data + r * inner, n, inner, step, low, high);
        }
    return SL_OK;
}

const sl_op sl_ops_quant_dequant[] = {
    {"QuantizeAndDequantizeV2", SL_OP_IN_PLACE, 0, qdq_configure, qdq_shape, qdq_run, NULL},
    {"QuantizeAndDequantizeV3", SL_OP_IN_PLACE, 0, qdq_configure, qdq_shape, qdq_run, NULL},
    {"QuantizeAndDequantizeV4", SL_OP_IN_PLACE, 0, qdq_configure, qdq_shape, qdq_run, NULL},
    {0},
};
