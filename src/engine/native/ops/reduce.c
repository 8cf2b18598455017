/*
 * reduce.c - Sum, Mean, Max, Min, Prod, All, Any, ArgMax, ArgMin
 *
 * Dimensions are joined into [outer, reduced, inner], which is what nearly every model has (global
 * pooling, norms, column sums). Axes that do not lie together are first brought behind the others
 * by a strided copy into scratch. Sums of floats are kept in double for each column, or in blocks
 * of floats that are added up in double, so that long sums stay within the tolerance.
 */
#include <float.h>
#include <math.h>

#include "engine/native/kernels/copy.h"
#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

/* in is [n, inner] for one outer index; out has `inner` results. inner == 1: a row. */
typedef void (*reduce_fn)(const void *in, void *out, int64_t n, int64_t inner);

typedef struct reduce_config {
    reduce_fn fn;
    bool keep_dims, via_float;
} reduce_config;

/* ---- kernels ---- */

enum { COLUMNS = 64 }; /* columns that are reduced at a time */

/* In type A: `step` takes x into a, `joined` takes another sum x into a, `done` ends. */
#define REDUCE_JOIN(attr, name, type, A, init, step, joined, done)               \
    attr static void name(const void *pin, void *pout, int64_t n, int64_t inner) \
    {                                                                            \
        const type *in = pin;                                                    \
        type *out = pout;                                                        \
        if (inner == 1) {                                                        \
            A lanes[16], acc = init;                                             \
            int64_t i = 0;                                                       \
            if (n >= 16) {                                                       \
                for (int l = 0; l < 16; l++)                                     \
                    lanes[l] = init;                                             \
                for (; i + 16 <= n; i += 16)                                     \
                    for (int l = 0; l < 16; l++) {                               \
                        A a = lanes[l];                                          \
                        A x = (A)in[i + l];                                      \
                        lanes[l] = step;                                         \
                    }                                                            \
                for (int l = 0; l < 16; l++) {                                   \
                    A a = acc, x = lanes[l];                                     \
                    acc = joined;                                                \
                }                                                                \
            }                                                                    \
            for (; i < n; i++) {                                                 \
                A a = acc, x = (A)in[i];                                         \
                acc = step;                                                      \
            }                                                                    \
            A a = acc;                                                           \
            *out = (type)(done);                                                 \
            return;                                                              \
        }                                                                        \
        for (int64_t j0 = 0; j0 < inner; j0 += COLUMNS) {                        \
            A acc[COLUMNS];                                                      \
            int64_t w = inner - j0 < COLUMNS ? inner - j0 : COLUMNS;             \
            for (int64_t j = 0; j < w; j++)                                      \
                acc[j] = init;                                                   \
            const type *row = in + j0;                                           \
            for (int64_t i = 0; i < n; i++, row += inner)                        \
                for (int64_t j = 0; j < w; j++) {                                \
                    A a = acc[j], x = (A)row[j];                                 \
                    acc[j] = step;                                               \
                }                                                                \
            for (int64_t j = 0; j < w; j++) {                                    \
                A a = acc[j];                                                    \
                out[j0 + j] = (type)(done);                                      \
            }                                                                    \
        }                                                                        \
    }

#define REDUCE(attr, name, type, A, init, step, done) \
    REDUCE_JOIN(attr, name, type, A, init, step, step, done)

#define REDUCE_FLOATS(name, init, step, done)                    \
    REDUCE(SL_CLONES, name##_f, float, double, init, step, done) \
    REDUCE(SL_CLONES, name##_d, double, double, init, step, done)
#define REDUCE_INTS(name, init, step, done)                       \
    REDUCE(, name##_i8, int8_t, int64_t, init, step, done)        \
    REDUCE(, name##_i16, int16_t, int64_t, init, step, done)      \
    REDUCE(SL_O3, name##_i32, int32_t, int64_t, init, step, done) \
    REDUCE(, name##_u8, uint8_t, int64_t, init, step, done)       \
    REDUCE(, name##_u16, uint16_t, int64_t, init, step, done)     \
    REDUCE(, name##_u32, uint32_t, int64_t, init, step, done)

#define ADD(a, x) ((__typeof__(a))((uint64_t)(a) + (uint64_t)(x)))
#define TIMES(a, x) ((__typeof__(a))((uint64_t)(a) * (uint64_t)(x)))
REDUCE_FLOATS(sum, 0, a + x, a)
REDUCE_INTS(sum, 0, ADD(a, x), a)
REDUCE(SL_O3, sum_i64, int64_t, int64_t, 0, ADD(a, x), a)
REDUCE(, sum_u64, uint64_t, uint64_t, 0, a + x, a)
REDUCE_FLOATS(mean, 0, a + x, a / (double)n)
#define MEAN(a) (n ? (a) / n : 0)
REDUCE_INTS(mean, 0, ADD(a, x), MEAN(a))
REDUCE(, mean_i64, int64_t, int64_t, 0, ADD(a, x), MEAN(a))
REDUCE(, mean_u64, uint64_t, uint64_t, 0, a + x, n ? a / (uint64_t)n : 0)
REDUCE_FLOATS(prod, 1, a *x, a)
REDUCE_INTS(prod, 1, TIMES(a, x), a)
REDUCE(SL_O3, prod_i64, int64_t, int64_t, 1, TIMES(a, x), a)
REDUCE(, prod_u64, uint64_t, uint64_t, 1, a *x, a)
#define EXTREME(name, op, first_f, i8, i16, i32, i64, u8, u16, u32, u64)              \
    REDUCE(SL_CLONES, name##_f, float, float, first_f, x op a || x != x ? x : a, a)   \
    REDUCE(SL_CLONES, name##_d, double, double, first_f, x op a || x != x ? x : a, a) \
    REDUCE(, name##_i8, int8_t, int8_t, i8, x op a ? x : a, a)                        \
    REDUCE(, name##_i16, int16_t, int16_t, i16, x op a ? x : a, a)                    \
    REDUCE(SL_O3, name##_i32, int32_t, int32_t, i32, x op a ? x : a, a)               \
    REDUCE(SL_O3, name##_i64, int64_t, int64_t, i64, x op a ? x : a, a)               \
    REDUCE(, name##_u8, uint8_t, uint8_t, u8, x op a ? x : a, a)                      \
    REDUCE(, name##_u16, uint16_t, uint16_t, u16, x op a ? x : a, a)                  \
    REDUCE(, name##_u32, uint32_t, uint32_t, u32, x op a ? x : a, a)                  \
    REDUCE(, name##_u64, uint64_t, uint64_t, u64, x op a ? x : a, a)
EXTREME(max, >, -INFINITY, INT8_MIN, INT16_MIN, INT32_MIN, INT64_MIN, 0, 0, 0, 0)
EXTREME(min, <, INFINITY, INT8_MAX, INT16_MAX, INT32_MAX, INT64_MAX, UINT8_MAX, UINT16_MAX,
        UINT32_MAX, UINT64_MAX)
REDUCE(, all_b, uint8_t, uint8_t, 1, a &(x != 0), a)
REDUCE(, any_b, uint8_t, uint8_t, 0, a | (x != 0), a)
REDUCE_JOIN(, norm_f, float, double, 0, a + x * x, a + x, sqrt(a))
REDUCE_JOIN(, norm_d, double, double, 0, a + x * x, a + x, sqrt(a))

typedef struct reduce_kernel {
    const char *op;
    reduce_fn f, d, i8, i16, i32, i64, u8, u16, u32, u64, b;
} reduce_kernel;

#define K(op, n)                                                                                \
    {                                                                                           \
        op, n##_f, n##_d, n##_i8, n##_i16, n##_i32, n##_i64, n##_u8, n##_u16, n##_u32, n##_u64, \
            NULL                                                                                \
    }
static const reduce_kernel kernels[] = {
    K("Sum", sum),       K("Mean", mean),
    K("Prod", prod),     K("Max", max),
    K("Min", min),       {"All", .b = all_b},
    {"Any", .b = any_b}, {"EuclideanNorm", .f = norm_f, .d = norm_d},
};

static reduce_fn kernel_of(const char *op, sl_dtype t)
{
    for (size_t i = 0; i < SL_COUNTOF(kernels); i++) {
        const reduce_kernel *k = &kernels[i];
        if (strcmp(k->op, op) != 0)
            continue;
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
    return NULL;
}

/* ---- axes ---- */

static sl_code reduce_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, ~0ull, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    sl_dtype t = n->in_types[0];
    reduce_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->keep_dims = sl_node_bool(n->source, "keep_dims", false);
    cfg->via_float = t == SL_DT_HALF || t == SL_DT_BFLOAT16;
    cfg->fn = kernel_of(n->op->name, t);
    if (cfg->fn == NULL)
        return sl_ops_unsupported(t, st);
    n->config = cfg;
    n->out_types[0] = t;
    return SL_OK;
}

static sl_code read_axes(const sl_op_call *c, bool *reduced, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *axes = &c->in[1];
    memset(reduced, 0, SL_MAX_RANK * sizeof *reduced);
    for (int64_t i = 0; i < sl_shape_count(axes->dims, axes->rank, 1); i++) {
        int64_t axis = sl_ops_int(axes, i), at = axis;
        if (!sl_ops_axis(&at, in->rank))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Invalid reduction dimension (%lld for input with %d dimension(s)",
                           (long long)axis, in->rank);
        if (reduced[at])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Invalid reduction arguments: Axes contains duplicate dimension: %lld",
                           (long long)at);
        reduced[at] = true;
    }
    return SL_OK;
}

/* The three extents, and whether the axes lie together (dimensions of 1 do not count). */
typedef struct reduce_plan {
    int64_t outer, n, inner;
    bool together;
} reduce_plan;

static reduce_plan plan_of(const sl_tensor *in, const bool *reduced)
{
    reduce_plan p = {1, 1, 1, true};
    int part = 0; /* 0: before the axes, 1: among them, 2: behind */
    for (int i = 0; i < in->rank; i++) {
        if (in->dims[i] == 1)
            continue;
        if (reduced[i]) {
            p.together &= part < 2;
            part = 1;
            p.n =
                (int64_t)((uint64_t)p.n * (uint64_t)in->dims[i]); /* may wrap if nothing is kept */
        } else {
            part = part == 1 ? 2 : part;
            int64_t *kept = part ? &p.inner : &p.outer;
            *kept = (int64_t)((uint64_t)*kept * (uint64_t)in->dims[i]);
        }
    }
    if (!p.together) {
        p.outer *= p.inner;
        p.inner = 1;
    }
    return p;
}

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static sl_code reduce_shape(sl_op_call *c, sl_status *st)
{
    const reduce_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    bool reduced[SL_MAX_RANK];
    sl_code rc = read_axes(c, reduced, st);
    if (rc)
        return rc;
    c->out[0].rank = 0;
    for (int i = 0; i < in->rank; i++)
        if (!reduced[i] || cfg->keep_dims)
            c->out[0].dims[c->out[0].rank++] = reduced[i] ? 1 : in->dims[i];
    rc = sl_ops_check_size(&c->out[0], st);
    if (rc)
        return rc;
    if (sl_shape_count(c->out[0].dims, c->out[0].rank, 1) == 0)
        return SL_OK; /* nothing to compute; the products below might not fit */
    reduce_plan p = plan_of(in, reduced);
    int64_t count = sl_shape_count(in->dims, in->rank, 16);
    if (count < 0)
        return sl_ops_no_memory(st);
    size_t bytes = 0;
    if (!p.together)
        bytes += aligned((size_t)count * sl_dtype_size(in->dtype));
    if (cfg->via_float)
        bytes += aligned((size_t)count * 4) + aligned((size_t)(p.outer * p.inner) * 4);
    c->scratch_size = bytes;
    return SL_OK;
}

/* Kept dimensions first, reduced ones behind. */
static void gather_axes(const sl_tensor *in, const bool *reduced, void *to)
{
    sl_copy_dim dims[SL_MAX_RANK];
    int64_t from[SL_MAX_RANK], stride = 1, sl = 1;
    int rank = 0;
    for (int i = in->rank - 1; i >= 0; i--) {
        from[i] = sl;
        sl *= in->dims[i];
    }
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < in->rank; i++)
            if (reduced[i] == (pass == 1))
                dims[rank++] = (sl_copy_dim){in->dims[i], 0, from[i]};
    for (int i = rank - 1; i >= 0; i--) {
        dims[i].to = stride;
        stride *= dims[i].n;
    }
    sl_kernel_copy(to, in->data, dims, rank, sl_dtype_size(in->dtype));
}

static sl_code reduce_run(sl_op_call *c, sl_status *st)
{
    const reduce_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    bool reduced[SL_MAX_RANK];
    sl_code rc = read_axes(c, reduced, st);
    if (rc || c->out[0].size == 0)
        return rc;
    reduce_plan p = plan_of(in, reduced);
    const char *from = in->data;
    char *to = c->out[0].data, *free_at = c->scratch;
    size_t element = sl_dtype_size(in->dtype);
    if (!p.together) {
        gather_axes(in, reduced, free_at);
        from = free_at;
        free_at += aligned(in->size);
    }
    if (cfg->via_float) {
        sl_kernel_to_float(in->dtype, from, (float *)(void *)free_at, p.outer * p.n * p.inner);
        from = free_at;
        to = free_at + aligned((size_t)(p.outer * p.n * p.inner) * 4);
        element = 4;
    }
    for (int64_t o = 0; o < p.outer; o++)
        cfg->fn(from + (size_t)(o * p.n * p.inner) * element, to + (size_t)(o * p.inner) * element,
                p.n, p.inner);
    if (cfg->via_float)
        sl_kernel_from_float(in->dtype, (const float *)(const void *)to, c->out[0].data,
                             p.outer * p.inner);
    return SL_OK;
}

/* ---- ArgMax, ArgMin: the first of equals; NaN never wins ---- */

typedef int64_t (*arg_fn)(const void *in, int64_t n, int64_t stride, bool min);

#define ARG(name, type, wide, load, lowest, highest)                          \
    static int64_t name(const void *pin, int64_t n, int64_t stride, bool min) \
    {                                                                         \
        const type *in = pin;                                                 \
        int64_t best = 0;                                                     \
        wide at = min ? highest : lowest;                                     \
        for (int64_t i = 0; i < n; i++) {                                     \
            wide x = load(in[i * stride]);                                    \
            if (min ? x < at : x > at) {                                      \
                at = x;                                                       \
                best = i;                                                     \
            }                                                                 \
        }                                                                     \
        return best;                                                          \
    }
#define PLAIN(x) (x)
ARG(arg_f, float, float, PLAIN, -FLT_MAX, FLT_MAX)
ARG(arg_d, double, double, PLAIN, -DBL_MAX, DBL_MAX)
ARG(arg_h, uint16_t, float, sl_half_to_float, -FLT_MAX, FLT_MAX)
ARG(arg_bf, uint16_t, float, sl_bf16_to_float, -FLT_MAX, FLT_MAX)
ARG(arg_i8, int8_t, int8_t, PLAIN, INT8_MIN, INT8_MAX)
ARG(arg_i16, int16_t, int16_t, PLAIN, INT16_MIN, INT16_MAX)
ARG(arg_i32, int32_t, int32_t, PLAIN, INT32_MIN, INT32_MAX)
ARG(arg_i64, int64_t, int64_t, PLAIN, INT64_MIN, INT64_MAX)
ARG(arg_u8, uint8_t, uint8_t, PLAIN, 0, UINT8_MAX)
ARG(arg_u16, uint16_t, uint16_t, PLAIN, 0, UINT16_MAX)
ARG(arg_u32, uint32_t, uint32_t, PLAIN, 0, UINT32_MAX)
ARG(arg_u64, uint64_t, uint64_t, PLAIN, 0, UINT64_MAX)

typedef struct arg_config {
    arg_fn fn;
    bool min;
} arg_config;

static arg_fn arg_kernel(sl_dtype t)
{
    switch (t) {
    case SL_DT_FLOAT:
        return arg_f;
    case SL_DT_DOUBLE:
        return arg_d;
    case SL_DT_HALF:
        return arg_h;
    case SL_DT_BFLOAT16:
        return arg_bf;
    case SL_DT_INT8:
        return arg_i8;
    case SL_DT_INT16:
        return arg_i16;
    case SL_DT_INT32:
        return arg_i32;
    case SL_DT_INT64:
        return arg_i64;
    case SL_DT_UINT8:
    case SL_DT_BOOL:
        return arg_u8;
    case SL_DT_UINT16:
        return arg_u16;
    case SL_DT_UINT32:
        return arg_u32;
    case SL_DT_UINT64:
        return arg_u64;
    default:
        return NULL;
    }
}

static sl_code arg_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_NUMBERS | SL_T(BOOL), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX | SL_T(INT16), st);
    if (rc)
        return rc;
    arg_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->fn = arg_kernel(n->in_types[0]);
    cfg->min = strcmp(n->op->name, "ArgMin") == 0;
    n->config = cfg;
    n->out_types[0] = sl_node_type(n->source, "output_type", SL_DT_INT64);
    return sl_types_has(SL_T_INDEX, n->out_types[0]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[0], st);
}

static sl_code arg_axis(const sl_op_call *c, int64_t *axis, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    if (sl_shape_count(c->in[1].dims, c->in[1].rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "dim must be a scalar, but received tensor of shape: %s",
                       sl_ops_shape(&c->in[1], &b));
    int64_t given = sl_ops_int(&c->in[1], 0);
    *axis = given;
    if (!sl_ops_axis(axis, in->rank))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected dimension in the range [%d, %d), but got %lld", -in->rank,
                       in->rank, (long long)given);
    if (in->dims[*axis] == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Reduction axis %lld is empty in shape %s",
                       (long long)*axis, sl_ops_shape(in, &b));
    return SL_OK;
}

static sl_code arg_shape(sl_op_call *c, sl_status *st)
{
    int64_t axis;
    sl_code rc = arg_axis(c, &axis, st);
    c->out[0].rank = 0;
    for (int i = 0; !rc && i < c->in[0].rank; i++)
        if (i != axis)
            c->out[0].dims[c->out[0].rank++] = c->in[0].dims[i];
    return rc;
}

static sl_code arg_run(sl_op_call *c, sl_status *st)
{
    const arg_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t axis;
    sl_code rc = arg_axis(c, &axis, st);
    if (rc || c->out[0].size == 0)
        return rc;
    int64_t outer = sl_ops_product(in->dims, 0, (int)axis), n = in->dims[axis];
    int64_t inner = sl_ops_product(in->dims, (int)axis + 1, in->rank);
    size_t element = sl_dtype_size(in->dtype);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            sl_ops_set_int(&c->out[0], o * inner + i,
                           cfg->fn((const char *)in->data + (size_t)(o * n * inner + i) * element,
                                   n, inner, cfg->min));
    return SL_OK;
}

#define OP(name)                                                          \
    {                                                                     \
        name, 0, 1 << 1, reduce_configure, reduce_shape, reduce_run, NULL \
    }

const sl_op sl_ops_reduce[] = {
    OP("Sum"),
    OP("Mean"),
    OP("Prod"),
    OP("Max"),
    OP("Min"),
    OP("All"),
    OP("Any"),
    OP("EuclideanNorm"),
    {"ArgMax", 0, 1 << 1, arg_configure, arg_shape, arg_run, NULL},
    {"ArgMin", 0, 1 << 1, arg_configure, arg_shape, arg_run, NULL},
    {0},
};
