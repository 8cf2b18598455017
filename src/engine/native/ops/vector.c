/*
 * vector.c - Cross, L2Loss, and Diag and DiagPart, which put any tensor onto the diagonal of one of
 * twice its rank and take it back
 */
#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* ---- Diag, DiagPart ---- */

#define DIAG_TYPES (SL_T_FLOATS | SL_T(INT32) | SL_T(INT64) | SL_T(COMPLEX64) | SL_T(COMPLEX128))

static sl_code diag_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, DIAG_TYPES, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code diag_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_code rc = SL_OK;
    if (in->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input must be at least rank 1, got 0");
    c->out[0].rank = 0;
    for (int i = 0; i < 2 * in->rank && !rc; i++)
        rc = sl_ops_push_dim(&c->out[0], in->dims[i % in->rank], st);
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

static sl_code diag_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    size_t element = sl_dtype_size(in->dtype), n = in->size / element;
    if (c->out[0].size)
        memset(c->out[0].data, 0, c->out[0].size);
    for (size_t i = 0; i < n; i++)
        memcpy((char *)c->out[0].data + i * (n + 1) * element, (const char *)in->data + i * element,
               element);
    return SL_OK;
}

static sl_code part_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    int half = in->rank / 2;
    if (in->rank % 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The rank of the tensor should be                                         "
                       " even and positive, got shape %s",
                       sl_ops_shape(in, &b));
    for (int i = 0; i < half; i++)
        if (in->dims[i] != in->dims[i + half])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Invalid shape %s: dimensions %d and %d do not match.",
                           sl_ops_shape(in, &b), i, i + half);
    c->out[0].rank = half;
    memcpy(c->out[0].dims, in->dims, (size_t)half * sizeof in->dims[0]);
    return SL_OK;
}

static sl_code part_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    size_t element = sl_dtype_size(c->in[0].dtype), n = c->out[0].size / element;
    for (size_t i = 0; i < n; i++)
        memcpy((char *)c->out[0].data + i * element,
               (const char *)c->in[0].data + i * (n + 1) * element, element);
    return SL_OK;
}

/* ---- Cross: of vectors of three ---- */

static sl_code cross_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_NUMBERS, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code cross_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *a = &c->in[0], *b = &c->in[1];
    sl_shape_buf x, y;
    if (a->rank != b->rank || memcmp(a->dims, b->dims, (size_t)a->rank * sizeof a->dims[0]) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Both inputs must be of same shape: %s vs. %s",
                       sl_ops_shape(a, &x), sl_ops_shape(b, &y));
    if (a->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input must be at least 1D[]");
    if (a->dims[a->rank - 1] != 3)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "Cross-products are only defined for 3-element vectors.");
    return sl_ops_shape_like_first(c, st);
}

/* Each product and the difference are rounded to the type; integers wrap. */
#define CROSS(name, type, wide, get, put)                                    \
    static void name(const void *pa, const void *pb, void *po, int64_t rows) \
    {                                                                        \
        const type *a = pa, *b = pb;                                         \
        type *o = po;                                                        \
        for (int64_t r = 0; r < rows; r++, a += 3, b += 3, o += 3)           \
            for (int i = 0; i < 3; i++) {                                    \
                int j = (i + 1) % 3, k = (i + 2) % 3;                        \
                type p = put((wide)get(a[j]) * (wide)get(b[k]));             \
                type q = put((wide)get(a[k]) * (wide)get(b[j]));             \
                o[i] = put((wide)get(p) - (wide)get(q));                     \
            }                                                                \
    }
CROSS(cross_f, float, float, , )
CROSS(cross_d, double, double, , )
CROSS(cross_h, uint16_t, float, sl_half_to_float, sl_float_to_half)
CROSS(cross_b, uint16_t, float, sl_bf16_to_float, sl_float_to_bf16)
CROSS(cross_8, uint8_t, uint32_t, , (uint8_t))
CROSS(cross_16, uint16_t, uint32_t, , (uint16_t))
CROSS(cross_32, uint32_t, uint32_t, , )
CROSS(cross_64, uint64_t, uint64_t, , )

static sl_code cross_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    sl_dtype t = c->in[0].dtype;
    size_t element = sl_dtype_size(t);
    void (*fn)(const void *, const void *, void *, int64_t) = t == SL_DT_FLOAT      ? cross_f
                                                              : t == SL_DT_DOUBLE   ? cross_d
                                                              : t == SL_DT_HALF     ? cross_h
                                                              : t == SL_DT_BFLOAT16 ? cross_b
                                                              : element == 1        ? cross_8
                                                              : element == 2        ? cross_16
                                                              : element == 4        ? cross_32
                                                                                    : cross_64;
    fn(c->in[0].data, c->in[1].data, c->out[0].data, (int64_t)(c->out[0].size / element / 3));
    return SL_OK;
}

/* ---- L2Loss: half the sum of squares ---- */

static sl_code loss_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_FLOATS, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code loss_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    void *out = c->out[0].data;
    double sum = 0;
    for (int64_t i = 0, n = sl_tensor_count(in); i < n; i++) {
        double x = in->dtype == SL_DT_FLOAT    ? (double)((const float *)in->data)[i]
                   : in->dtype == SL_DT_DOUBLE ? ((const double *)in->data)[i]
                   : in->dtype == SL_DT_HALF
                       ? (double)sl_half_to_float(((const uint16_t *)in->data)[i])
                       : (double)sl_bf16_to_float(((const uint16_t *)in->data)[i]);
        sum += x * x;
    }
    sum /= 2;
    if (in->dtype == SL_DT_FLOAT)
        *(float *)out = (float)sum;
    else if (in->dtype == SL_DT_DOUBLE)
        *(double *)out = sum;
    else
        *(uint16_t *)out =
            in->dtype == SL_DT_HALF ? sl_float_to_half((float)sum) : sl_float_to_bf16((float)sum);
    return SL_OK;
}

const sl_op sl_ops_vector[] = {
    {"Diag", 0, 0, diag_configure, diag_shape, diag_run, NULL},
    {"DiagPart", 0, 0, diag_configure, part_shape, part_run, NULL},
    {"Cross", 0, 0, cross_configure, cross_shape, cross_run, NULL},
    {"L2Loss", 0, 0, loss_configure, sl_ops_shape_scalar, loss_run, NULL},
    {0},
};
