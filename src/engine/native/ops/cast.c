/*
 * cast.c - Cast and Bitcast
 *
 * Float to integer truncates toward zero; what does not fit becomes what the processor gives, as in
 * TensorFlow on x86: the smallest int32 or int64, and smaller types take the low bits of that (300
 * as uint8 is 44, NaN as int32 is -2^31). half and bfloat16 go through float.
 */
#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

SL_INLINE int32_t to_i32(double x)
{
    return x > -2147483649.0 && x < 2147483648.0 ? (int32_t)x : INT32_MIN;
}

SL_INLINE int64_t to_i64(double x)
{
    return x >= -0x1p63 && x < 0x1p63 ? (int64_t)x : INT64_MIN;
}

SL_INLINE uint64_t to_u64(double x)
{
    if (x >= 0x1p64)
        return 1ull << 63;
    return x >= 0x1p63 ? (uint64_t)to_i64(x - 0x1p63) ^ 1ull << 63 : (uint64_t)to_i64(x);
}

/* to_<type>_from_float(x), ..._from_int(x) */
#define F_float(x) ((float)(x))
#define F_double(x) ((double)(x))
#define F_int8_t(x) ((int8_t)to_i32((double)(x)))
#define F_int16_t(x) ((int16_t)to_i32((double)(x)))
#define F_int32_t(x) (to_i32((double)(x)))
#define F_int64_t(x) (to_i64((double)(x)))
#define F_uint8_t(x) ((uint8_t)to_i32((double)(x)))
#define F_uint16_t(x) ((uint16_t)to_i32((double)(x)))
#define F_uint32_t(x) ((uint32_t)to_i64((double)(x)))
#define F_uint64_t(x) (to_u64((double)(x)))
#define F_bool(x) ((x) != 0)
#define I_bool(x) ((x) != 0)

#define LOOP(to, expr)                  \
    do {                                \
        to *o = po;                     \
        for (int64_t i = 0; i < n; i++) \
            o[i] = (to)(expr);          \
        return;                         \
    } while (0)

#define FROM_FLOAT(name, from)                                              \
    SL_O3 static void name(const from *a, void *po, sl_dtype to, int64_t n) \
    {                                                                       \
        switch (to) {                                                       \
        case SL_DT_FLOAT:                                                   \
            LOOP(float, F_float(a[i]));                                     \
        case SL_DT_DOUBLE:                                                  \
            LOOP(double, F_double(a[i]));                                   \
        case SL_DT_INT8:                                                    \
            LOOP(int8_t, F_int8_t(a[i]));                                   \
        case SL_DT_INT16:                                                   \
            LOOP(int16_t, F_int16_t(a[i]));                                 \
        case SL_DT_INT32:                                                   \
            LOOP(int32_t, F_int32_t(a[i]));                                 \
        case SL_DT_INT64:                                                   \
            LOOP(int64_t, F_int64_t(a[i]));                                 \
        case SL_DT_UINT8:                                                   \
            LOOP(uint8_t, F_uint8_t(a[i]));                                 \
        case SL_DT_UINT16:                                                  \
            LOOP(uint16_t, F_uint16_t(a[i]));                               \
        case SL_DT_UINT32:                                                  \
            LOOP(uint32_t, F_uint32_t(a[i]));                               \
        case SL_DT_UINT64:                                                  \
            LOOP(uint64_t, F_uint64_t(a[i]));                               \
        case SL_DT_BOOL:                                                    \
            LOOP(bool, F_bool(a[i]));                                       \
        case SL_DT_HALF:                                                    \
            LOOP(uint16_t, sl_float_to_half((float)a[i]));                  \
        case SL_DT_BFLOAT16:                                                \
            LOOP(uint16_t, sl_float_to_bf16((float)a[i]));                  \
        default:                                                            \
            return;                                                         \
        }                                                                   \
    }
#define FROM_INT(name, from)                                                \
    SL_O3 static void name(const from *a, void *po, sl_dtype to, int64_t n) \
    {                                                                       \
        switch (to) {                                                       \
        case SL_DT_FLOAT:                                                   \
            LOOP(float, a[i]);                                              \
        case SL_DT_DOUBLE:                                                  \
            LOOP(double, a[i]);                                             \
        case SL_DT_INT8:                                                    \
            LOOP(int8_t, a[i]);                                             \
        case SL_DT_INT16:                                                   \
            LOOP(int16_t, a[i]);                                            \
        case SL_DT_INT32:                                                   \
            LOOP(int32_t, a[i]);                                            \
        case SL_DT_INT64:                                                   \
            LOOP(int64_t, a[i]);                                            \
        case SL_DT_UINT8:                                                   \
            LOOP(uint8_t, a[i]);                                            \
        case SL_DT_UINT16:                                                  \
            LOOP(uint16_t, a[i]);                                           \
        case SL_DT_UINT32:                                                  \
            LOOP(uint32_t, a[i]);                                           \
        case SL_DT_UINT64:                                                  \
            LOOP(uint64_t, a[i]);                                           \
        case SL_DT_BOOL:                                                    \
            LOOP(bool, I_bool(a[i]));                                       \
        case SL_DT_HALF:                                                    \
            LOOP(uint16_t, sl_float_to_half((float)a[i]));                  \
        case SL_DT_BFLOAT16:                                                \
            LOOP(uint16_t, sl_float_to_bf16((float)a[i]));                  \
        default:                                                            \
            return;                                                         \
        }                                                                   \
    }

FROM_FLOAT(from_float, float)
FROM_FLOAT(from_double, double)
FROM_INT(from_i8, int8_t)
FROM_INT(from_i16, int16_t)
FROM_INT(from_i32, int32_t)
FROM_INT(from_i64, int64_t)
FROM_INT(from_u8, uint8_t)
FROM_INT(from_u16, uint16_t)
FROM_INT(from_u32, uint32_t)
FROM_INT(from_u64, uint64_t)

#define CAST_TYPES (SL_T_NUMBERS | SL_T(BOOL))

static sl_code cast_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_PLAIN, st);
    if (rc)
        return rc;
    sl_dtype to = sl_node_type(n->source, "DstT", SL_DT_INVALID);
    n->out_types[0] = to;
    if (to == n->in_types[0])
        return SL_OK;
    if (!sl_types_has(CAST_TYPES, n->in_types[0]) || !sl_types_has(CAST_TYPES, to))
        return sl_fail(st, SL_FAILED_PRECONDITION, "cast of %s to %s is not supported",
                       sl_dtype_name(n->in_types[0]), sl_dtype_name(to));
    if (sl_node_bool(n->source, "Truncate", false))
        return sl_fail(st, SL_FAILED_PRECONDITION, "attribute Truncate is not supported");
    return SL_OK;
}

static void cast_half(sl_dtype from, const uint16_t *a, sl_dtype to, char *out, int64_t n)
{
    enum { BLOCK = 256 };
    float x[BLOCK];
    size_t element = sl_dtype_size(to);
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t k = n - i < BLOCK ? n - i : BLOCK;
        sl_kernel_to_float(from, a + i, x, k);
        from_float(x, out + (size_t)i * element, to, k);
    }
}

static sl_code cast_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    void *out = c->out[0].data;
    sl_dtype to = c->out[0].dtype;
    int64_t n = (int64_t)(c->out[0].size / sl_dtype_size(to));
    if (to == in->dtype)
        return sl_ops_copy_first(c, st);
    switch (in->dtype) {
    case SL_DT_FLOAT:
        from_float(in->data, out, to, n);
        break;
    case SL_DT_DOUBLE:
        from_double(in->data, out, to, n);
        break;
    case SL_DT_INT8:
        from_i8(in->data, out, to, n);
        break;
    case SL_DT_INT16:
        from_i16(in->data, out, to, n);
        break;
    case SL_DT_INT32:
        from_i32(in->data, out, to, n);
        break;
    case SL_DT_INT64:
        from_i64(in->data, out, to, n);
        break;
    case SL_DT_UINT8:
    case SL_DT_BOOL:
        from_u8(in->data, out, to, n);
        break;
    case SL_DT_UINT16:
        from_u16(in->data, out, to, n);
        break;
    case SL_DT_UINT32:
        from_u32(in->data, out, to, n);
        break;
    case SL_DT_UINT64:
        from_u64(in->data, out, to, n);
        break;
    default:
        cast_half(in->dtype, in->data, to, out, n);
        break;
    }
    return SL_OK;
}

/* ---- Bitcast: the same bytes, another type; the last dim takes up the difference ---- */

static sl_code bitcast_configure(sl_op_node *n, sl_status *st)
{
    sl_types plain = SL_T_PLAIN & ~(SL_T(STRING) | SL_T(BOOL));
    sl_code rc = sl_ops_check(n, 1, plain, st);
    if (rc)
        return rc;
    n->out_types[0] = sl_node_type(n->source, "type", SL_DT_INVALID);
    return sl_types_has(plain, n->out_types[0]) ? SL_OK : sl_ops_unsupported(n->out_types[0], st);
}

static sl_code bitcast_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    int64_t from = (int64_t)sl_dtype_size(in->dtype), to = (int64_t)sl_dtype_size(out->dtype);
    sl_ops_same_shape(out, in);
    if (from == to)
        return SL_OK;
    if (from > to)
        return sl_ops_push_dim(out, from / to, st);
    if (in->rank == 0 || in->dims[in->rank - 1] != to / from)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Cannot bitcast from %d to %d", (int)in->dtype,
                       (int)out->dtype);
    out->rank--;
    return SL_OK;
}

const sl_op sl_ops_cast[] = {
    {"Cast", 0, 0, cast_configure, sl_ops_shape_like_first, cast_run, NULL},
    {"Bitcast", SL_OP_ALIAS, 0, bitcast_configure, bitcast_shape, sl_ops_copy_first, NULL},
    {0},
};
