/*
 * math_unary.c - elementwise ops with one operand, activations included
 *
 * A kernel is a loop over n numbers of one type. configure() picks it by op and dtype. half and
 * bfloat16 have no kernels of their own: they are widened to float block by block, as TensorFlow
 * does.
 */
#include <math.h>

#include "engine/native/kernels/half.h"
#include "engine/native/kernels/vmath.h"
#include "engine/native/ops/ops.h"

/* `p`: the op's parameter (LeakyRelu's alpha), 0 where it has none. */
typedef void (*unary_fn)(const void *in, void *out, int64_t n, double p);

#define UNARY(name, type, out_type, expr)                                      \
    SL_CLONES static void name(const void *in, void *out, int64_t n, double p) \
    {                                                                          \
        const type *a = in;                                                    \
        out_type *o = out;                                                     \
        (void)p;                                                               \
        SL_IVDEP                                                               \
        for (int64_t i = 0; i < n; i++) {                                      \
            type x = a[i];                                                     \
            o[i] = (out_type)(expr);                                           \
        }                                                                      \
    }
/* Calls into libm are not vectorised: no versions. */
#define UNARY_PLAIN(name, type, out_type, expr)                      \
    static void name(const void *in, void *out, int64_t n, double p) \
    {                                                                \
        const type *a = in;                                          \
        out_type *o = out;                                           \
        (void)p;                                                     \
        for (int64_t i = 0; i < n; i++) {                            \
            type x = a[i];                                           \
            o[i] = (out_type)(expr);                                 \
        }                                                            \
    }

/* The same expression in float and double. */
#define FLOATS(name, float_expr, double_expr) \
    UNARY(name##_f, float, float, float_expr) \
    UNARY_PLAIN(name##_d, double, double, double_expr)
#define LIBM(name, function)                            \
    UNARY_PLAIN(name##_f, float, float, function##f(x)) \
    UNARY_PLAIN(name##_d, double, double, function(x))
/* Signed integers compute unsigned, so that they wrap. */
#define SIGNED(name, expr8, expr16, expr32, expr64)   \
    UNARY_PLAIN(name##_i8, int8_t, int8_t, expr8)     \
    UNARY_PLAIN(name##_i16, int16_t, int16_t, expr16) \
    UNARY_PLAIN(name##_i32, int32_t, int32_t, expr32) \
    UNARY_PLAIN(name##_i64, int64_t, int64_t, expr64)
#define SIGNED_SAME(name, expr) SIGNED(name, expr, expr, expr, expr)
#define UNSIGNED(name, expr)                          \
    UNARY_PLAIN(name##_u8, uint8_t, uint8_t, expr)    \
    UNARY_PLAIN(name##_u16, uint16_t, uint16_t, expr) \
    UNARY_PLAIN(name##_u32, uint32_t, uint32_t, expr) \
    UNARY_PLAIN(name##_u64, uint64_t, uint64_t, expr)

FLOATS(abs, fabsf(x), fabs(x))
SIGNED(abs, x < 0 ? 0u - (uint8_t)x : (uint8_t)x, x < 0 ? 0u - (uint16_t)x : (uint16_t)x,
       x < 0 ? 0u - (uint32_t)x : (uint32_t)x, x < 0 ? 0u - (uint64_t)x : (uint64_t)x)
FLOATS(neg, -x, -x)
SIGNED(neg, 0u - (uint8_t)x, 0u - (uint16_t)x, 0u - (uint32_t)x, 0u - (uint64_t)x)
FLOATS(sign, x > 0 ? 1.0f : x < 0 ? -1.0f : x, x > 0 ? 1.0 : x < 0 ? -1.0 : x)
SIGNED_SAME(sign, (x > 0) - (x < 0))
FLOATS(square, x *x, x *x)
SIGNED(square, (uint8_t)x *(uint8_t)x, (uint32_t)(uint16_t)x *(uint16_t)x, (uint32_t)x *(uint32_t)x,
       (uint64_t)x *(uint64_t)x)
UNSIGNED(square, (uint64_t)x *(uint64_t)x)
FLOATS(sqrt, sqrtf(x), sqrt(x))
FLOATS(rsqrt, 1.0f / sqrtf(x), 1.0 / sqrt(x))
FLOATS(reciprocal, 1.0f / x, 1.0 / x)
FLOATS(exp, sl_vexp(x), exp(x))
LIBM(expm1, expm1)
LIBM(log, log)
LIBM(log1p, log1p)
LIBM(sin, sin)
LIBM(cos, cos)
LIBM(tan, tan)
LIBM(asin, asin)
LIBM(acos, acos)
LIBM(atan, atan)
LIBM(sinh, sinh)
LIBM(cosh, cosh)
LIBM(asinh, asinh)
LIBM(acosh, acosh)
LIBM(atanh, atanh)
FLOATS(tanh, sl_vtanh(x), tanh(x))
FLOATS(sigmoid, sl_vsigmoid(x), 1.0 / (1.0 + exp(-x)))
FLOATS(erf, sl_verf(x), erf(x))
FLOATS(erfc, sl_verfc(x), erfc(x))
LIBM(lgamma, lgamma)
/*
 * Digamma. Below zero by reflection, psi(x) = psi(1 - x) - pi / tan(pi x), where whole numbers are
 * poles; then upwards to where the asymptotic series is exact, psi(x) = psi(x + 1) - 1 / x.
 */
static double digamma(double x)
{
    double sum = 0;
    if (x <= 0) {
        double whole = floor(x), rest = x - whole;
        if (rest == 0)
            return (double)NAN;
        rest = rest > 0.5 ? rest - 1 : rest; /* tan has period 1 here, and is exact near 0 */
        sum = rest == 0.5 ? 0 : -M_PI / tan(M_PI * rest);
        x = 1 - x;
    }
    while (x < 10) {
        sum -= 1 / x;
        x += 1;
    }
    double z = 1 / (x * x);
    double series =
        z *
        (1.0 / 12 -
         z * (1.0 / 120 -
              z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
    return sum + log(x) - 0.5 / x - series;
}
UNARY_PLAIN(digamma_f, float, float, digamma((double)x))
UNARY_PLAIN(digamma_d, double, double, digamma(x))
/*
 * The number below which a share p of a normal distribution lies. Newton's steps on log P(x) - log p: the
 * logarithm of P is concave, so after the first one they come from the left and never pass the place.
 */
static double normal_quantile(double p)
{
    if (!(p >= 0 && p <= 1))
        return (double)NAN;
    if (p == 0 || p == 1)
        return p == 0 ? -(double)INFINITY : (double)INFINITY;
    if (p > 0.5)
        return -normal_quantile(1 - p); /* exact there; p <= 0.5 does not come back */
    if (p == 0.5)
        return 0;
    double log_p = log(p), far = sqrt(-2 * log_p),
           x = p > 0.1 ? (p - 0.5) * 2.5066282746310002 : -far;
    for (int i = 0; i < 60; i++) {
        double below = 0.5 * erfc(-x * M_SQRT1_2);
        if (below == 0) { /* further out than double has numbers for */
            x += 0.5;
            continue;
        }
        double density = exp(-0.5 * x * x) * 0.3989422804014327;
        double step = (log(below) - log_p) * below / density;
        x -= step;
        if (fabs(step) <= 4e-16 * (1 + fabs(x)))
            break;
    }
    return x;
}
/* As TensorFlow: half of x + 1 is rounded to the dtype first, which shows near 1 and near 0. */
UNARY_PLAIN(ndtri_f, float, float, normal_quantile((double)x))
UNARY_PLAIN(ndtri_d, double, double, normal_quantile(x))
UNARY_PLAIN(erfinv_f, float, float, normal_quantile((double)(0.5f * x + 0.5f)) * M_SQRT1_2)
UNARY_PLAIN(erfinv_d, double, double, normal_quantile(0.5 * x + 0.5) * M_SQRT1_2)
FLOATS(floor, floorf(x), floor(x))
FLOATS(ceil, ceilf(x), ceil(x))
FLOATS(rint, rintf(x), rint(x)) /* to even: the rounding mode is never changed */
UNARY(isnan_f, float, bool, x != x)
UNARY_PLAIN(isnan_d, double, bool, x != x)
UNARY(isinf_f, float, bool, fabsf(x) == INFINITY)
UNARY_PLAIN(isinf_d, double, bool, fabs(x) == (double)INFINITY)
UNARY(isfinite_f, float, bool, fabsf(x) < INFINITY)
UNARY_PLAIN(isfinite_d, double, bool, fabs(x) < (double)INFINITY)

FLOATS(relu, x < 0 ? 0 : x, x < 0 ? 0 : x) /* NaN passes */
SIGNED_SAME(relu, x < 0 ? 0 : x)
UNSIGNED(relu, x)
FLOATS(relu6, x<0 ? 0 : x> 6.0f ? 6.0f : x, x<0 ? 0 : x> 6 ? 6 : x)
SIGNED_SAME(relu6, x<0 ? 0 : x> 6 ? 6 : x)
FLOATS(leaky, x > 0 ? x : x * (float)p, x > 0 ? x : x * p)
UNARY_PLAIN(elu_f, float, float, x < 0 ? expm1f(x) : x)
UNARY_PLAIN(elu_d, double, double, x < 0 ? expm1(x) : x)
#define SELU_SCALE 1.0507009873554804934193349852946
#define SELU_SCALE_ALPHA 1.7580993408473768599402175208123
UNARY_PLAIN(selu_f, float, float,
            x < 0 ? (float)SELU_SCALE_ALPHA * expm1f(x) : (float)SELU_SCALE * x)
UNARY_PLAIN(selu_d, double, double, x < 0 ? SELU_SCALE_ALPHA * expm1(x) : SELU_SCALE * x)
UNARY_PLAIN(softplus_f, float, float, sl_vsoftplus(x))
UNARY_PLAIN(softplus_d, double, double, x > 30 ? x + exp(-x) : x < -30 ? exp(x) : log1p(exp(x)))
FLOATS(softsign, x / (1.0f + fabsf(x)), x / (1.0 + fabs(x)))
UNARY(not_b, uint8_t, bool, !x)
SIGNED_SAME(invert, ~x)
UNSIGNED(invert, ~x)

typedef struct unary_kernel {
    const char *op;
    unary_fn f, d, i8, i16, i32, i64, u8, u16, u32, u64, b;
} unary_kernel;

#define K_FLOAT(op, n)             \
    {                              \
        op, .f = n##_f, .d = n##_d \
    }
#define K_SIGNED(n) .i8 = n##_i8, .i16 = n##_i16, .i32 = n##_i32, .i64 = n##_i64
#define K_UNSIGNED(n) .u8 = n##_u8, .u16 = n##_u16, .u32 = n##_u32, .u64 = n##_u64

static const unary_kernel kernels[] = {
    {"Abs", .f = abs_f, .d = abs_d, K_SIGNED(abs)},
    {"Neg", .f = neg_f, .d = neg_d, K_SIGNED(neg)},
    {"Sign", .f = sign_f, .d = sign_d, K_SIGNED(sign)},
    {"Square", .f = square_f, .d = square_d, K_SIGNED(square), K_UNSIGNED(square)},
    {"Relu", .f = relu_f, .d = relu_d, K_SIGNED(relu), K_UNSIGNED(relu)},
    {"Relu6", .f = relu6_f, .d = relu6_d, K_SIGNED(relu6)},
    {"Invert", K_SIGNED(invert), K_UNSIGNED(invert)},
    {"LogicalNot", .b = not_b},
    K_FLOAT("Sqrt", sqrt),
    K_FLOAT("Rsqrt", rsqrt),
    K_FLOAT("Reciprocal", reciprocal),
    K_FLOAT("Inv", reciprocal),
    K_FLOAT("Exp", exp),
    K_FLOAT("Expm1", expm1),
    K_FLOAT("Log", log),
    K_FLOAT("Log1p", log1p),
    K_FLOAT("Sin", sin),
    K_FLOAT("Cos", cos),
    K_FLOAT("Tan", tan),
    K_FLOAT("Asin", asin),
    K_FLOAT("Acos", acos),
    K_FLOAT("Atan", atan),
    K_FLOAT("Sinh", sinh),
    K_FLOAT("Cosh", cosh),
    K_FLOAT("Asinh", asinh),
    K_FLOAT("Acosh", acosh),
    K_FLOAT("Atanh", atanh),
    K_FLOAT("Tanh", tanh),
    K_FLOAT("Sigmoid", sigmoid),
    K_FLOAT("Erf", erf),
    K_FLOAT("Erfc", erfc),
    K_FLOAT("Lgamma", lgamma),
    K_FLOAT("Digamma", digamma),
    K_FLOAT("Ndtri", ndtri),
    K_FLOAT("Erfinv", erfinv),
    K_FLOAT("Floor", floor),
    K_FLOAT("Ceil", ceil),
    K_FLOAT("Rint", rint),
    K_FLOAT("Round", rint),
    K_FLOAT("IsNan", isnan),
    K_FLOAT("IsInf", isinf),
    K_FLOAT("IsFinite", isfinite),
    K_FLOAT("LeakyRelu", leaky),
    K_FLOAT("Elu", elu),
    K_FLOAT("Selu", selu),
    K_FLOAT("Softplus", softplus),
    K_FLOAT("Softsign", softsign),
};

typedef struct unary_config {
    unary_fn fn;
    double p;
    bool via_float, to_bool;
} unary_config;

static unary_fn kernel_of(const unary_kernel *k, sl_dtype t)
{
    switch (t) {
    case SL_DT_FLOAT:
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        return k->f;
    case SL_DT_DOUBLE:
        return k->d;
    case SL_DT_INT8:
        return k->i8;
    case SL_DT_INT16:
        return k->i16;
    case SL_DT_INT32:
        return k->i32;
    case SL_DT_INT64:
        return k->i64;
    case SL_DT_UINT8:
        return k->u8;
    case SL_DT_UINT16:
        return k->u16;
    case SL_DT_UINT32:
        return k->u32;
    case SL_DT_UINT64:
        return k->u64;
    case SL_DT_BOOL:
        return k->b;
    default:
        return NULL;
    }
}

static sl_code unary_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    sl_dtype t = n->in_types[0];
    unary_config *cfg = sl_ops_config(n, sizeof *cfg);
    for (size_t i = 0; i < SL_COUNTOF(kernels); i++)
        if (strcmp(kernels[i].op, n->op->name) == 0)
            cfg->fn = kernel_of(&kernels[i], t);
    if (cfg->fn == NULL)
        return sl_ops_unsupported(t, st);
    bool half = t == SL_DT_HALF || t == SL_DT_BFLOAT16;
    if (half && (strcmp(n->op->name, "Ndtri") == 0 || strcmp(n->op->name, "Erfinv") == 0))
        return sl_ops_unsupported(t, st);
    cfg->to_bool = strncmp(n->op->name, "Is", 2) == 0;
    cfg->via_float = half;
    cfg->p =
        strcmp(n->op->name, "LeakyRelu") == 0 ? (double)sl_node_float(n->source, "alpha", 0.2f) : 0;
    n->config = cfg;
    n->out_types[0] = cfg->to_bool ? SL_DT_BOOL : t;
    return SL_OK;
}

static void run_half(const unary_config *cfg, const sl_tensor *in, void *out, int64_t n)
{
    enum { BLOCK = 256 };
    float a[BLOCK], b[BLOCK];
    const uint16_t *from = in->data;
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t k = n - i < BLOCK ? n - i : BLOCK;
        sl_kernel_to_float(in->dtype, from + i, a, k);
        if (cfg->to_bool) {
            cfg->fn(a, (bool *)out + i, k, cfg->p);
        } else {
            cfg->fn(a, b, k, cfg->p);
            sl_kernel_from_float(in->dtype, b, (uint16_t *)out + i, k);
        }
    }
}

static sl_code unary_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const unary_config *cfg = c->node->config;
    int64_t n = (int64_t)(c->out[0].size / sl_dtype_size(c->out[0].dtype));
    if (cfg->via_float)
        run_half(cfg, &c->in[0], c->out[0].data, n);
    else
        cfg->fn(c->in[0].data, c->out[0].data, n, cfg->p);
    return SL_OK;
}

#define OP(name)                                                                           \
    {                                                                                      \
        name, SL_OP_IN_PLACE, 0, unary_configure, sl_ops_shape_like_first, unary_run, NULL \
    }
/* Output of another type: never in place. */
#define TEST(name)                                                            \
    {                                                                         \
        name, 0, 0, unary_configure, sl_ops_shape_like_first, unary_run, NULL \
    }

const sl_op sl_ops_math_unary[] = {
    OP("Abs"),     OP("Neg"),     OP("Sign"),       OP("Square"),
    OP("Relu"),    OP("Relu6"),   OP("Invert"),     OP("LogicalNot"),
    OP("Sqrt"),    OP("Rsqrt"),   OP("Reciprocal"), OP("Inv"),
    OP("Exp"),     OP("Expm1"),   OP("Log"),        OP("Log1p"),
    OP("Sin"),     OP("Cos"),     OP("Tan"),        OP("Asin"),
    OP("Acos"),    OP("Atan"),    OP("Sinh"),       OP("Cosh"),
    OP("Asinh"),   OP("Acosh"),   OP("Atanh"),      OP("Tanh"),
    OP("Sigmoid"), OP("Erf"),     OP("Erfc"),       OP("Lgamma"),
    OP("Floor"),   OP("Ceil"),    OP("Rint"),       OP("Round"),
    TEST("IsNan"), TEST("IsInf"), TEST("IsFinite"), OP("LeakyRelu"),
    OP("Elu"),     OP("Selu"),    OP("Softplus"),   OP("Softsign"),
    OP("Digamma"), OP("Ndtri"),   OP("Erfinv"),     {0},
};
