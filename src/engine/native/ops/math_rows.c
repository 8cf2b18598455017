/*
 * math_rows.c - the row kernels of two operands: one loop for each op and dtype
 */
#include <math.h>

#include "engine/native/ops/binary.h"
#include "engine/native/ops/ops.h"

/* One expression serves signed and unsigned types: "y < 0" may be always false. */
#pragma GCC diagnostic ignored "-Wtype-limits"

#define ROW(attr, name, type, out_type, expr)                                            \
    attr static void name(const void *pa, const void *pb, void *po, int64_t n, int mode) \
    {                                                                                    \
        const type *a = pa, *b = pb;                                                     \
        out_type *o = po;                                                                \
        if (mode == SL_BINARY_BOTH) {                                                    \
            SL_IVDEP                                                                     \
            for (int64_t i = 0; i < n; i++) {                                            \
                type x = a[i], y = b[i];                                                 \
                o[i] = (out_type)(expr);                                                 \
            }                                                                            \
        } else if (mode == SL_BINARY_A_STAYS) {                                          \
            type x = *a;                                                                 \
            SL_IVDEP                                                                     \
            for (int64_t i = 0; i < n; i++) {                                            \
                type y = b[i];                                                           \
                o[i] = (out_type)(expr);                                                 \
            }                                                                            \
        } else {                                                                         \
            type y = *b;                                                                 \
            SL_IVDEP                                                                     \
            for (int64_t i = 0; i < n; i++) {                                            \
                type x = a[i];                                                           \
                o[i] = (out_type)(expr);                                                 \
            }                                                                            \
        }                                                                                \
    }
#define NOTHING
#define FLOATS(name, expr)                       \
    ROW(SL_CLONES, name##_f, float, float, expr) \
    ROW(SL_CLONES, name##_d, double, double, expr)
/* libm's: float and double expression. */
#define LIBM(name, expr_f, expr_d)               \
    ROW(NOTHING, name##_f, float, float, expr_f) \
    ROW(NOTHING, name##_d, double, double, expr_d)

/* Arithmetic that wraps: `U` is the unsigned type to compute in. */
#define WRAPPING(name, op)                                                   \
    ROW(NOTHING, name##_i8, int8_t, int8_t, (uint32_t)x op(uint32_t) y)      \
    ROW(NOTHING, name##_i16, int16_t, int16_t, (uint32_t)x op(uint32_t) y)   \
    ROW(SL_O3, name##_i32, int32_t, int32_t, (uint32_t)x op(uint32_t) y)     \
    ROW(SL_O3, name##_i64, int64_t, int64_t, (uint64_t)x op(uint64_t) y)     \
    ROW(NOTHING, name##_u8, uint8_t, uint8_t, (uint32_t)x op(uint32_t) y)    \
    ROW(NOTHING, name##_u16, uint16_t, uint16_t, (uint32_t)x op(uint32_t) y) \
    ROW(NOTHING, name##_u32, uint32_t, uint32_t, x op y)                     \
    ROW(NOTHING, name##_u64, uint64_t, uint64_t, x op y)
#define INTS_TO(name, to, expr)                            \
    ROW(NOTHING, name##_i8, int8_t, to(int8_t), expr)      \
    ROW(NOTHING, name##_i16, int16_t, to(int16_t), expr)   \
    ROW(SL_O3, name##_i32, int32_t, to(int32_t), expr)     \
    ROW(SL_O3, name##_i64, int64_t, to(int64_t), expr)     \
    ROW(NOTHING, name##_u8, uint8_t, to(uint8_t), expr)    \
    ROW(NOTHING, name##_u16, uint16_t, to(uint16_t), expr) \
    ROW(NOTHING, name##_u32, uint32_t, to(uint32_t), expr) \
    ROW(NOTHING, name##_u64, uint64_t, to(uint64_t), expr)
#define SAME(type) type
#define BOOL(type) bool
#define INTS(name, expr) INTS_TO(name, SAME, expr)

FLOATS(add, x + y)
WRAPPING(add, +)
FLOATS(sub, x - y)
WRAPPING(sub, -)
FLOATS(mul, x *y)
WRAPPING(mul, *)
FLOATS(div, x / y)
FLOATS(div_no_nan, y == 0 ? 0 : x / y)
FLOATS(mul_no_nan, y == 0 ? 0 : x * y)
FLOATS(max, x < y || y != y ? y : x)
INTS(max, x < y ? y : x)
FLOATS(min, x > y || y != y ? y : x)
INTS(min, x > y ? y : x)
FLOATS(sqdiff, (x - y) * (x - y))
INTS(sqdiff, ((uint64_t)x - (uint64_t)y) * ((uint64_t)x - (uint64_t)y))

/* C's division with the one quotient that does not fit (-2^63 / -1) wrapping. */
#define TRUNC_DIV(x, y)                                                                     \
    ((y) == (__typeof__(y))-1 && (__typeof__(y))-1 < 0 ? (__typeof__(x))(0 - (uint64_t)(x)) \
                                                       : (x) / (y))
#define TRUNC_MOD(x, y) ((y) == (__typeof__(y))-1 && (__typeof__(y))-1 < 0 ? 0 : (x) % (y))
INTS(trunc_div, TRUNC_DIV(x, y))
INTS(trunc_mod, TRUNC_MOD(x, y))
#define APART(x, y) (((x) < 0) != ((y) < 0))
INTS(floor_div, TRUNC_DIV(x, y) - (TRUNC_MOD(x, y) != 0 && APART(x, y)))
INTS(floor_mod, TRUNC_MOD(x, y) + (TRUNC_MOD(x, y) != 0 && APART(x, y) ? y : 0))

static float floor_mod_f1(float x, float y)
{
    float m = fmodf(x, y);
    return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}
static double floor_mod_d1(double x, double y)
{
    double m = fmod(x, y);
    return m != 0 && (m < 0) != (y < 0) ? m + y : m;
}
LIBM(floor_div, floorf(x / y), floor(x / y))
LIBM(floor_mod, floor_mod_f1(x, y), floor_mod_d1(x, y))
LIBM(trunc_div, truncf(x / y), trunc(x / y))
LIBM(trunc_mod, fmodf(x, y), fmod(x, y))
LIBM(atan2, atan2f(x, y), atan2(x, y))
LIBM(next_after, nextafterf(x, y), nextafter(x, y))
LIBM(xlogy, x == 0 ? 0 : x * logf(y), x == 0 ? 0 : x * log(y))
LIBM(xlog1py, x == 0 ? 0 : x * log1pf(y), x == 0 ? 0 : x * log1p(y))
LIBM(xdivy, x == 0 ? 0 : x / y, x == 0 ? 0 : x / y)

static uint64_t pow_int(uint64_t x, uint64_t n)
{
    uint64_t r = 1;
    for (; n; n >>= 1, x *= x)
        if (n & 1)
            r *= x;
    return r;
}
INTS(pow, pow_int((uint64_t)x, (uint64_t)y))
ROW(NOTHING, pow_rows_f, float, float, powf(x, y))
ROW(NOTHING, pow_d, double, double, pow(x, y))

/* Exponents that models use have exact short forms: gelu's cube, squares, roots. */
SL_CLONES static void pow_f(const void *pa, const void *pb, void *po, int64_t n, int mode)
{
    const float *a = pa;
    float *o = po, y = mode == SL_BINARY_B_STAYS ? *(const float *)pb : 0;
    if (y == 2) {
        SL_IVDEP
        for (int64_t i = 0; i < n; i++)
            o[i] = a[i] * a[i];
    } else if (y == 3) {
        SL_IVDEP
        for (int64_t i = 0; i < n; i++)
            o[i] = a[i] * a[i] * a[i];
    } else {
        pow_rows_f(pa, pb, po, n, mode);
    }
}

INTS(and, x &y)
INTS(or, x | y)
INTS(xor, x ^ y)
/* Shifts outside [0, width) are clamped, as TensorFlow does. */
#define WIDTH(x) ((uint64_t)sizeof(x) * 8)
#define SHIFT(x, y)                                                                             \
    ((uint64_t)(y) >= WIDTH(x) ? ((int64_t)(y) < 0 && (__typeof__(y))-1 < 0 ? 0 : WIDTH(x) - 1) \
                               : (uint64_t)(y))
INTS(left, (uint64_t)x << SHIFT(x, y))
INTS(right, x >> SHIFT(x, y))

#define COMPARE(name, op)                         \
    ROW(SL_CLONES, name##_f, float, bool, x op y) \
    ROW(SL_O3, name##_d, double, bool, x op y)    \
    INTS_TO(name, BOOL, x op y)
COMPARE(less, <)
COMPARE(less_equal, <=)
COMPARE(greater, >)
COMPARE(greater_equal, >=)
COMPARE(equal, ==)
COMPARE(not_equal, !=)
ROW(NOTHING, and_b, uint8_t, bool, (x != 0) & (y != 0))
ROW(NOTHING, or_b, uint8_t, bool, (x != 0) | (y != 0))
ROW(NOTHING, equal_b, uint8_t, bool, (x != 0) == (y != 0))
ROW(NOTHING, not_equal_b, uint8_t, bool, (x != 0) != (y != 0))
ROW(NOTHING, equal_s, sl_str, bool, sl_str_eq(x, y))
ROW(NOTHING, not_equal_s, sl_str, bool, !sl_str_eq(x, y))

typedef struct binary_kernel {
    const char *op;
    bool to_bool;
    sl_binary_fn f, d, i8, i16, i32, i64, u8, u16, u32, u64, b, s;
} binary_kernel;

#define K_FLOATS(n) .f = n##_f, .d = n##_d
#define K_INTS(n)                                                                               \
    .i8 = n##_i8, .i16 = n##_i16, .i32 = n##_i32, .i64 = n##_i64, .u8 = n##_u8, .u16 = n##_u16, \
    .u32 = n##_u32, .u64 = n##_u64
#define K_BOTH(n) K_FLOATS(n), K_INTS(n)

static const binary_kernel kernels[] = {
    {"Add", false, K_BOTH(add)},
    {"AddV2", false, K_BOTH(add)},
    {"Sub", false, K_BOTH(sub)},
    {"Mul", false, K_BOTH(mul)},
    {"RealDiv", false, K_FLOATS(div)},
    {"Div", false, K_FLOATS(div), K_INTS(trunc_div)},
    {"DivNoNan", false, K_FLOATS(div_no_nan)},
    {"MulNoNan", false, K_FLOATS(mul_no_nan)},
    {"Maximum", false, K_BOTH(max)},
    {"Minimum", false, K_BOTH(min)},
    {"SquaredDifference", false, K_BOTH(sqdiff)},
    {"FloorDiv", false, K_BOTH(floor_div)},
    {"FloorMod", false, K_BOTH(floor_mod)},
    {"TruncateDiv", false, K_BOTH(trunc_div)},
    {"TruncateMod", false, K_BOTH(trunc_mod)},
    {"Mod", false, K_BOTH(trunc_mod)},
    {"Pow", false, K_BOTH(pow)},
    {"Atan2", false, K_FLOATS(atan2)},
    {"NextAfter", false, K_FLOATS(next_after)},
    {"Xlogy", false, K_FLOATS(xlogy)},
    {"Xlog1py", false, K_FLOATS(xlog1py)},
    {"Xdivy", false, K_FLOATS(xdivy)},
    {"BitwiseAnd", false, K_INTS(and)},
    {"BitwiseOr", false, K_INTS(or)},
    {"BitwiseXor", false, K_INTS(xor)},
    {"LeftShift", false, K_INTS(left)},
    {"RightShift", false, K_INTS(right)},
    {"LogicalAnd", true, .b = and_b},
    {"LogicalOr", true, .b = or_b},
    {"Equal", true, K_BOTH(equal), .b = equal_b, .s = equal_s},
    {"NotEqual", true, K_BOTH(not_equal), .b = not_equal_b, .s = not_equal_s},
    {"Less", true, K_BOTH(less)},
    {"LessEqual", true, K_BOTH(less_equal)},
    {"Greater", true, K_BOTH(greater)},
    {"GreaterEqual", true, K_BOTH(greater_equal)},
};

static sl_binary_fn by_type(const binary_kernel *k, sl_dtype t)
{
    switch (t) {
    case SL_DT_FLOAT:
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
    case SL_DT_STRING:
        return k->s;
    default:
        return NULL;
    }
}

sl_binary_fn sl_binary_kernel(const char *op, sl_dtype t, bool *to_bool)
{
    for (size_t i = 0; i < SL_COUNTOF(kernels); i++)
        if (strcmp(kernels[i].op, op) == 0) {
            *to_bool = kernels[i].to_bool;
            return by_type(&kernels[i], t);
        }
    return NULL;
}

/* ---- what integers must satisfy ---- */

static int64_t element(const sl_tensor *t, int64_t i)
{
    if (t->dtype == SL_DT_UINT64)
        return ((const uint64_t *)t->data)[i] != 0;
    if (t->dtype == SL_DT_UINT32)
        return ((const uint32_t *)t->data)[i];
    return sl_ops_int(t, i);
}

static bool any_zero(const sl_tensor *t)
{
    for (int64_t i = 0, n = sl_shape_count(t->dims, t->rank, 1); i < n; i++)
        if (element(t, i) == 0)
            return true;
    return false;
}

static sl_code check_divisor(const sl_op_call *c, sl_status *st)
{
    return any_zero(&c->in[1]) ? sl_fail(st, SL_INVALID_ARGUMENT, "Integer division by zero")
                               : SL_OK;
}

static sl_code check_truncate(const sl_op_call *c, sl_status *st)
{
    return any_zero(&c->in[1])
               ? sl_fail(st, SL_INTERNAL,
                         "Unexpected error in binary operator (only integer div and "
                         "mod should have errors)")
               : SL_OK;
}

static sl_code check_exponent(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *t = &c->in[1];
    for (int64_t i = 0, n = sl_shape_count(t->dims, t->rank, 1); i < n; i++)
        if (element(t, i) < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Integers to negative integer powers are not allowed");
    return SL_OK;
}

sl_binary_check_fn sl_binary_check(const char *op)
{
    if (strcmp(op, "Pow") == 0)
        return check_exponent;
    if (strcmp(op, "TruncateDiv") == 0 || strcmp(op, "TruncateMod") == 0)
        return check_truncate;
    return strcmp(op, "FloorDiv") == 0 || strcmp(op, "FloorMod") == 0 || strcmp(op, "Div") == 0 ||
                   strcmp(op, "Mod") == 0
               ? check_divisor
               : NULL;
}
