/*
 * linear.c - MatMul, BatchMatMul, BiasAdd
 *
 * A product of float or double goes to kernels/gemm.h. half and bfloat16 are widened into scratch
 * and summed in float, integers are plain loops.
 */
#include "base/thread.h"
#include "engine/native/kernels/gemm.h"
#include "engine/native/kernels/half.h"
#include "engine/native/ops/matmul.h"
#include "engine/native/ops/ops.h"

/* ---- one product of any dtype ---- */

static size_t aligned(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

static bool is_half(sl_dtype t)
{
    return t == SL_DT_HALF || t == SL_DT_BFLOAT16;
}

sl_code sl_matmul_scratch(const sl_gemm *g, sl_dtype t, size_t *bytes, sl_status *st)
{
    *bytes = sl_kernel_gemm_scratch(g, sl_dtype_size(t));
    if (!is_half(t))
        return SL_OK;
    int64_t mk[] = {g->m, g->k}, kn[] = {g->k, g->n}, mn[] = {g->m, g->n};
    int64_t a = sl_shape_count(mk, 2, 8), b = sl_shape_count(kn, 2, 8),
            c = sl_shape_count(mn, 2, 8);
    if (a < 0 || b < 0 || c < 0)
        return sl_ops_no_memory(st);
    *bytes += aligned((size_t)a * 4) + aligned((size_t)b * 4) + aligned((size_t)c * 4);
    return SL_OK;
}

/* Operands lie whole and adjacent, in either order, so widening keeps their strides. */
static void run_half(const sl_gemm *g, sl_dtype t, const void *a, const void *b, void *c,
                     char *scratch)
{
    float *fa = (float *)(void *)scratch;
    float *fb = (float *)(void *)(scratch + aligned((size_t)(g->m * g->k) * 4));
    float *fc = (float *)(void *)((char *)fb + aligned((size_t)(g->k * g->n) * 4));
    sl_kernel_to_float(t, a, fa, g->m * g->k);
    sl_kernel_to_float(t, b, fb, g->k * g->n);
    sl_kernel_sgemm(g, fa, fb, fc, (char *)fc + aligned((size_t)(g->m * g->n) * 4));
    sl_kernel_from_float(t, fc, c, g->m * g->n);
}

#define INT_GEMM(name, type, wide)                                            \
    static void name(const sl_gemm *g, const type *a, const type *b, type *c) \
    {                                                                         \
        for (int64_t i = 0; i < g->m; i++)                                    \
            for (int64_t j = 0; j < g->n; j++) {                              \
                wide s = 0;                                                   \
                for (int64_t q = 0; q < g->k; q++)                            \
                    s += (wide)a[i * g->a_row + q * g->a_col] *               \
                         (wide)b[q * g->b_row + j * g->b_col];                \
                c[i * g->c_row + j] = (type)s;                                \
            }                                                                 \
    }
INT_GEMM(gemm_i32, int32_t, uint32_t)
INT_GEMM(gemm_i64, int64_t, uint64_t)

static void multiply(const sl_gemm *g, sl_dtype t, const void *a, const void *b, void *c,
                     void *scratch)
{
    switch (t) {
    case SL_DT_FLOAT:
        sl_kernel_sgemm(g, a, b, c, scratch);
        break;
    case SL_DT_DOUBLE:
        sl_kernel_dgemm(g, a, b, c, scratch);
        break;
    case SL_DT_INT32:
        gemm_i32(g, a, b, c);
        break;
    case SL_DT_INT64:
        gemm_i64(g, a, b, c);
        break;
    default:
        run_half(g, t, a, b, c, scratch);
        break;
    }
}

/* For a thread that is to rest now and then: so many columns at a time. What they cost is little, and the
 * sums are the same but for their rounding at the right edge. */
static void multiply_in_pieces(const sl_gemm *g, sl_dtype t, const char *a, const char *b, char *c,
                               void *scratch)
{
    enum { PIECE = 512 << 10, FEWEST = 32 }; /* bytes of B; columns */
    int64_t size = (int64_t)sl_dtype_size(t), rows = SL_MAX(g->k, 1);
    int64_t most = SL_MAX(PIECE / size / rows, (int64_t)FEWEST);
    for (int64_t j = 0; j < g->n; j += most) {
        sl_gemm piece = *g;
        piece.n = SL_MIN(g->n - j, most);
        multiply(&piece, t, a, b + j * g->b_col * size, c + j * size, scratch);
        sl_thread_rest();
    }
}

void sl_matmul_run(const sl_gemm *g, sl_dtype t, const void *a, const void *b, void *c,
                   void *scratch)
{
    if (sl_thread_is_nice() && !is_half(t))
        multiply_in_pieces(g, t, a, b, c, scratch);
    else
        multiply(g, t, a, b, c, scratch);
}

/* ---- MatMul ---- */

#define MATMUL_TYPES (SL_T_FLOATS | SL_T(INT32) | SL_T(INT64))

typedef struct matmul_config {
    bool ta, tb;
    bool same_batch; /* BatchMatMul of old: batch dims must be equal */
} matmul_config;

static sl_code matmul_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, MATMUL_TYPES, st);
    if (rc)
        return rc;
    bool batch = n->op->name[0] == 'B';
    matmul_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->ta = sl_node_bool(n->source, batch ? "adj_x" : "transpose_a", false);
    cfg->tb = sl_node_bool(n->source, batch ? "adj_y" : "transpose_b", false);
    cfg->same_batch = strcmp(n->op->name, "BatchMatMul") == 0;
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

/* The product of the last two dims. */
static sl_code plan_product(const sl_op_call *c, sl_gemm *g, sl_status *st)
{
    const matmul_config *cfg = c->node->config;
    const int64_t *a = c->in[0].dims + c->in[0].rank - 2, *b = c->in[1].dims + c->in[1].rank - 2;
    sl_shape_buf x, y;
    *g = (sl_gemm){.m = a[cfg->ta],
                   .k = a[!cfg->ta],
                   .n = b[!cfg->tb],
                   .a_row = cfg->ta ? 1 : a[1],
                   .a_col = cfg->ta ? a[1] : 1,
                   .b_row = cfg->tb ? 1 : b[1],
                   .b_col = cfg->tb ? b[1] : 1,
                   .c_row = b[!cfg->tb]};
    if (g->k != b[cfg->tb])
        return sl_fail(st, SL_INVALID_ARGUMENT, "Matrix size-incompatible: In[0]: %s, In[1]: %s",
                       sl_ops_shape(&c->in[0], &x), sl_ops_shape(&c->in[1], &y));
    return SL_OK;
}

static sl_code matmul_shape(sl_op_call *c, sl_status *st)
{
    sl_gemm g;
    sl_shape_buf x, y;
    if (c->in[0].rank != c->in[1].rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "In[0] and In[1] has different ndims: %s vs. %s",
                       sl_ops_shape(&c->in[0], &x), sl_ops_shape(&c->in[1], &y));
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank != 2)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "In[%d] is not a matrix. Instead it has shape %s", i,
                           sl_ops_shape(&c->in[i], &x));
    sl_code rc = plan_product(c, &g, st);
    if (rc)
        return rc;
    c->out[0].rank = 2;
    c->out[0].dims[0] = g.m;
    c->out[0].dims[1] = g.n;
    rc = sl_matmul_scratch(&g, c->in[0].dtype, &c->scratch_size, st);
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

static sl_code matmul_run(sl_op_call *c, sl_status *st)
{
    sl_gemm g;
    sl_code rc = plan_product(c, &g, st);
    if (!rc && c->out[0].size)
        sl_matmul_run(&g, c->in[0].dtype, c->in[0].data, c->in[1].data, c->out[0].data, c->scratch);
    return rc;
}

static int64_t matmul_cost(const sl_op_call *c)
{
    double out = (double)sl_shape_count(c->out[0].dims, c->out[0].rank, 1);
    int64_t k = c->in[0].rank ? c->in[0].dims[c->in[0].rank - 1] : 1;
    return 30 + (int64_t)(out * (double)k / 16);
}

/* ---- BatchMatMul, V2 (batch dims broadcast), V3 ---- */

static sl_code batch_shape(sl_op_call *c, sl_status *st)
{
    const matmul_config *cfg = c->node->config;
    const sl_tensor *a = &c->in[0], *b = &c->in[1];
    sl_tensor *out = &c->out[0];
    sl_shape_buf x, y;
    sl_gemm g;
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank < 2)
            return sl_fail(st, SL_INVALID_ARGUMENT, "In[%d] ndims must be >= 2: %d", i,
                           c->in[i].rank);
    if (cfg->same_batch && a->rank != b->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "In[0] and In[1] has different ndims: %s vs. %s",
                       sl_ops_shape(a, &x), sl_ops_shape(b, &y));
    for (int i = 0; cfg->same_batch && i < a->rank - 2; i++)
        if (a->dims[i] != b->dims[i])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "In[0].dim(%d) and In[1].dim(%d) must be the same: %s vs %s", i, i,
                           sl_ops_shape(a, &x), sl_ops_shape(b, &y));
    sl_tensor ba = *a, bb = *b;
    ba.rank -= 2;
    bb.rank -= 2;
    if (!sl_ops_broadcast(&ba, &bb, out))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "In[0] and In[1] must have compatible batch dimensions: %s vs. %s",
                       sl_ops_shape(a, &x), sl_ops_shape(b, &y));
    sl_code rc = plan_product(c, &g, st);
    if (!rc)
        rc = sl_ops_push_dim(out, g.m, st);
    if (!rc)
        rc = sl_ops_push_dim(out, g.n, st);
    if (!rc)
        rc = sl_matmul_scratch(&g, a->dtype, &c->scratch_size, st);
    return rc ? rc : sl_ops_check_size(out, st);
}

static sl_code batch_run(sl_op_call *c, sl_status *st)
{
    sl_gemm g;
    sl_code rc = plan_product(c, &g, st);
    if (rc || c->out[0].size == 0)
        return rc;
    const sl_tensor *a = &c->in[0], *b = &c->in[1];
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(a->dtype);
    size_t sa = (size_t)(g.m * g.k) * element, sb = (size_t)(g.k * g.n) * element;
    size_t sc = (size_t)(g.m * g.n) * element;
    int64_t count = sl_ops_product(out->dims, 0, out->rank - 2);
    for (int64_t i = 0; i < count; i++) {
        int64_t left = i, ia = 0, ib = 0, wa = 1, wb = 1;
        for (int d = 0; d < out->rank - 2; d++) { /* from the last batch dim */
            int64_t at = left % out->dims[out->rank - 3 - d];
            left /= out->dims[out->rank - 3 - d];
            int64_t na = d < a->rank - 2 ? a->dims[a->rank - 3 - d] : 1;
            int64_t nb = d < b->rank - 2 ? b->dims[b->rank - 3 - d] : 1;
            ia += na == 1 ? 0 : at * wa;
            ib += nb == 1 ? 0 : at * wb;
            wa *= na;
            wb *= nb;
        }
        sl_matmul_run(&g, a->dtype, (const char *)a->data + (size_t)ia * sa,
                      (const char *)b->data + (size_t)ib * sb, (char *)out->data + (size_t)i * sc,
                      c->scratch);
    }
    return SL_OK;
}

/* ---- BiasAdd ---- */

static sl_code bias_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_FLOATS | SL_T(INT32) | SL_T(INT64), st);
    if (rc)
        return rc;
    bool *channels_first = sl_ops_config(n, sizeof *channels_first);
    *channels_first = sl_str_starts(sl_node_str(n->source, "data_format", "NHWC"), "NC");
    n->config = channels_first;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code bias_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *x = &c->in[0], *bias = &c->in[1];
    bool channels_first = *(const bool *)c->node->config;
    sl_shape_buf a, b;
    if (x->rank < 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input tensor must be at least 2D: %s",
                       sl_ops_shape(x, &a));
    if (bias->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Biases must be 1D: %s", sl_ops_shape(bias, &a));
    if (bias->dims[0] != x->dims[channels_first ? 1 : x->rank - 1])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       channels_first ? "Must provide as many biases as the channel dimension of "
                                        "the input tensor: %s vs. %s"
                                      : "Must provide as many biases as the last dimension of the "
                                        "input tensor: %s vs. %s",
                       sl_ops_shape(bias, &a), sl_ops_shape(x, &b));
    return sl_ops_shape_like_first(c, st);
}

/* x is [rows, n, inner]: bias i is added to all of [., i, .]. */
#define BIAS(attr, name, type, expr)                                                         \
    attr static void name(const void *px, const void *pb, void *po, int64_t rows, int64_t n, \
                          int64_t inner)                                                     \
    {                                                                                        \
        const type *in = px, *bias = pb;                                                     \
        type *o = po;                                                                        \
        for (int64_t r = 0; r < rows; r++) {                                                 \
            if (inner == 1) {                                                                \
                SL_IVDEP                                                                     \
                for (int64_t i = 0; i < n; i++) {                                            \
                    type x = in[i], b = bias[i];                                             \
                    o[i] = expr;                                                             \
                }                                                                            \
            } else {                                                                         \
                for (int64_t i = 0; i < n; i++) {                                            \
                    type b = bias[i];                                                        \
                    SL_IVDEP                                                                 \
                    for (int64_t j = 0; j < inner; j++) {                                    \
                        type x = in[i * inner + j];                                          \
                        o[i * inner + j] = expr;                                             \
                    }                                                                        \
                }                                                                            \
            }                                                                                \
            in += n * inner;                                                                 \
            o += n * inner;                                                                  \
        }                                                                                    \
    }
BIAS(SL_CLONES, bias_f, float, x + b)
BIAS(, bias_d, double, x + b)
BIAS(, bias_i32, int32_t, (int32_t)((uint32_t)x + (uint32_t)b))
BIAS(, bias_i64, int64_t, (int64_t)((uint64_t)x + (uint64_t)b))
BIAS(, bias_h, uint16_t, sl_float_to_half(sl_half_to_float(x) + sl_half_to_float(b)))
BIAS(, bias_bf, uint16_t, sl_float_to_bf16(sl_bf16_to_float(x) + sl_bf16_to_float(b)))

static sl_code bias_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *x = &c->in[0];
    if (c->out[0].size == 0)
        return SL_OK;
    int axis = *(const bool *)c->node->config ? 1 : x->rank - 1;
    int64_t rows = sl_ops_product(x->dims, 0, axis);
    int64_t inner = sl_ops_product(x->dims, axis + 1, x->rank);
    void (*fn)(const void *, const void *, void *, int64_t, int64_t, int64_t) =
        x->dtype == SL_DT_FLOAT    ? bias_f
        : x->dtype == SL_DT_DOUBLE ? bias_d
        : x->dtype == SL_DT_INT32  ? bias_i32
        : x->dtype == SL_DT_INT64  ? bias_i64
        : x->dtype == SL_DT_HALF   ? bias_h
                                   : bias_bf;
    fn(x->data, c->in[1].data, c->out[0].data, rows, x->dims[axis], inner);
    return SL_OK;
}

const sl_op sl_ops_linear[] = {
    {"MatMul", 0, 0, matmul_configure, matmul_shape, matmul_run, matmul_cost},
    {"BatchMatMul", 0, 0, matmul_configure, batch_shape, batch_run, matmul_cost},
    {"BatchMatMulV2", 0, 0, matmul_configure, batch_shape, batch_run, matmul_cost},
    {"BatchMatMulV3", 0, 0, matmul_configure, batch_shape, batch_run, matmul_cost},
    /* In place over the value; the bias never has the output's size unless both are one row. */
    {"BiasAdd", SL_OP_IN_PLACE, 0, bias_configure, bias_shape, bias_run, NULL},
    {"BiasAddV1", SL_OP_IN_PLACE, 0, bias_configure, bias_shape, bias_run, NULL},
    {0},
};
