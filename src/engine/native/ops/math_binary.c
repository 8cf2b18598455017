/*
 * math_binary.c - elementwise ops with two operands, comparisons, AddN
 *
 * A kernel is a row: n pairs, where either side may be one number that stays. Broadcasting first
 * joins dimensions that behave alike on both sides, so that [64,32,10] + [10] is 2048 rows of 10
 * and equal shapes are a single row. half and bfloat16 are widened to float block by block.
 *
 * Integers compute unsigned: they wrap, as TensorFlow's do.
 */
#include "engine/native/ops/binary.h"

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

typedef struct binary_config {
    sl_binary_fn fn;
    bool via_float;   /* half, bfloat16: fn works on float */
    bool to_bool;     /* a comparison */
    bool never_fails; /* NotEqual and Equal with incompatible_shape_error = false */
    sl_code (*check)(const sl_op_call *c, sl_status *st); /* of the values, or NULL */
} binary_config;

static sl_code binary_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, ~0ull, st);
    if (rc)
        return rc;
    sl_dtype t = n->in_types[0];
    binary_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->via_float = t == SL_DT_HALF || t == SL_DT_BFLOAT16;
    cfg->fn = sl_binary_kernel(n->op->name, cfg->via_float ? SL_DT_FLOAT : t, &cfg->to_bool);
    if (cfg->fn == NULL || (cfg->via_float && strcmp(n->op->name, "NextAfter") == 0))
        return sl_ops_unsupported(t, st);
    cfg->never_fails =
        (strcmp(n->op->name, "Equal") == 0 || strcmp(n->op->name, "NotEqual") == 0) &&
        !sl_node_bool(n->source, "incompatible_shape_error", true);
    if (sl_types_has(SL_T_INTS, t))
        cfg->check = sl_binary_check(n->op->name);
    n->config = cfg;
    n->out_types[0] = cfg->to_bool ? SL_DT_BOOL : t;
    return SL_OK;
}

static sl_code binary_shape(sl_op_call *c, sl_status *st)
{
    const binary_config *cfg = c->node->config;
    sl_shape_buf a, b;
    if (sl_ops_broadcast(&c->in[0], &c->in[1], &c->out[0]))
        return sl_ops_check_size(&c->out[0], st);
    if (!cfg->never_fails)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes: %s vs. %s",
                       sl_ops_shape(&c->in[0], &a), sl_ops_shape(&c->in[1], &b));
    c->out[0].rank = 0; /* one answer for the whole */
    return SL_OK;
}

/* A dimension after joining: strides in elements, 0 where that side stays. */
typedef struct bcast_dim {
    int64_t n, a, b;
} bcast_dim;

static int join_dims(const sl_tensor *a, const sl_tensor *b, const sl_tensor *out, bcast_dim *dims)
{
    int rank = 0;
    int64_t sa = 1, sb = 1;
    for (int i = 0; i < out->rank; i++) { /* from the last */
        int64_t n = out->dims[out->rank - 1 - i];
        int64_t na = i < a->rank ? a->dims[a->rank - 1 - i] : 1;
        int64_t nb = i < b->rank ? b->dims[b->rank - 1 - i] : 1;
        if (n == 1)
            continue;
        bcast_dim d = {n, na == 1 ? 0 : sa, nb == 1 ? 0 : sb};
        bcast_dim *last = rank ? &dims[rank - 1] : NULL;
        if (last != NULL && (last->a == 0) == (d.a == 0) && (last->b == 0) == (d.b == 0))
            last->n *= n;
        else
            dims[rank++] = d;
        sa *= na;
        sb *= nb;
    }
    if (rank == 0)
        dims[rank++] = (bcast_dim){1, 1, 1};
    return rank;
}

/* One row of half or bfloat16. */
static void row_half(const binary_config *cfg, sl_dtype t, const uint16_t *a, const uint16_t *b,
                     char *out, int64_t n, int mode)
{
    enum { BLOCK = 256 };
    float x[BLOCK], y[BLOCK], z[BLOCK];
    for (int64_t i = 0; i < n; i += BLOCK) {
        int64_t k = n - i < BLOCK ? n - i : BLOCK;
        sl_kernel_to_float(t, mode == SL_BINARY_A_STAYS ? a : a + i, x,
                           mode == SL_BINARY_A_STAYS ? 1 : k);
        sl_kernel_to_float(t, mode == SL_BINARY_B_STAYS ? b : b + i, y,
                           mode == SL_BINARY_B_STAYS ? 1 : k);
        if (cfg->to_bool) {
            cfg->fn(x, y, out + i, k, mode);
        } else {
            cfg->fn(x, y, z, k, mode);
            sl_kernel_from_float(t, z, (uint16_t *)(void *)out + i, k);
        }
    }
}

static void one_row(const binary_config *cfg, sl_dtype t, const char *a, const char *b, char *out,
                    int64_t n, int mode)
{
    if (cfg->via_float)
        row_half(cfg, t, (const uint16_t *)(const void *)a, (const uint16_t *)(const void *)b, out,
                 n, mode);
    else
        cfg->fn(a, b, out, n, mode);
}

static sl_code binary_run(sl_op_call *c, sl_status *st)
{
    const binary_config *cfg = c->node->config;
    const sl_tensor *a = &c->in[0], *b = &c->in[1];
    sl_tensor *out = &c->out[0];
    if (cfg->never_fails && !sl_ops_broadcast(a, b, &(sl_tensor){.rank = 0})) {
        *(bool *)out->data = strcmp(c->node->op->name, "NotEqual") == 0;
        return SL_OK;
    }
    if (out->size == 0)
        return SL_OK;
    sl_code rc = cfg->check ? cfg->check(c, st) : SL_OK;
    if (rc)
        return rc;
    bcast_dim dims[SL_MAX_RANK];
    int rank = join_dims(a, b, out, dims);
    int64_t at[SL_MAX_RANK] = {0};
    int64_t element = (int64_t)sl_dtype_size(a->dtype);
    int64_t row = dims[0].n * (int64_t)sl_dtype_size(out->dtype);
    int mode = dims[0].a == 0   ? SL_BINARY_A_STAYS
               : dims[0].b == 0 ? SL_BINARY_B_STAYS
                                : SL_BINARY_BOTH;
    const char *pa = a->data, *pb = b->data;
    for (char *to = out->data;; to += row) {
        one_row(cfg, a->dtype, pa, pb, to, dims[0].n, mode);
        int d = 1;
        for (; d < rank; d++) {
            pa += dims[d].a * element;
            pb += dims[d].b * element;
            if (++at[d] < dims[d].n)
                break;
            pa -= dims[d].n * dims[d].a * element;
            pb -= dims[d].n * dims[d].b * element;
            at[d] = 0;
        }
        if (d == rank)
            return SL_OK;
    }
}

/* ---- AddN: all of one shape ---- */

static sl_code addn_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1)
        return sl_ops_check(n, 1, ~0ull, st);
    sl_code rc = sl_ops_check_all(n, n->n_in, SL_T_NUMBERS, st);
    if (rc)
        return rc;
    sl_dtype t = n->in_types[0];
    binary_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->via_float = t == SL_DT_HALF || t == SL_DT_BFLOAT16;
    cfg->fn = sl_binary_kernel("AddV2", cfg->via_float ? SL_DT_FLOAT : t, &cfg->to_bool);
    n->config = cfg;
    n->out_types[0] = t;
    return SL_OK;
}

static sl_code addn_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf a, b;
    for (int i = 1; i < c->node->n_in; i++)
        if (c->in[i].rank != c->in[0].rank ||
            memcmp(c->in[i].dims, c->in[0].dims, (size_t)c->in[0].rank * sizeof(int64_t)) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Inputs to operation %s of type AddN must have the same size and shape. "
                           " Input 0: %s != input %d: %s",
                           c->node->name, sl_ops_shape(&c->in[0], &a), i,
                           sl_ops_shape(&c->in[i], &b));
    return sl_ops_shape_like_first(c, st);
}

static sl_code addn_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const binary_config *cfg = c->node->config;
    sl_tensor *out = &c->out[0];
    int64_t n = (int64_t)(out->size / sl_dtype_size(out->dtype));
    if (n == 0)
        return SL_OK;
    if (c->node->n_in == 1)
        return sl_ops_copy_first(c, st);
    one_row(cfg, out->dtype, c->in[0].data, c->in[1].data, out->data, n, SL_BINARY_BOTH);
    for (int i = 2; i < c->node->n_in; i++)
        one_row(cfg, out->dtype, out->data, c->in[i].data, out->data, n, SL_BINARY_BOTH);
    return SL_OK;
}

#define OP(name)                                                                  \
    {                                                                             \
        name, SL_OP_IN_PLACE, 0, binary_configure, binary_shape, binary_run, NULL \
    }
#define TEST(name)                                                   \
    {                                                                \
        name, 0, 0, binary_configure, binary_shape, binary_run, NULL \
    }

const sl_op sl_ops_math_binary[] = {
    OP("Add"),
    OP("AddV2"),
    OP("Sub"),
    OP("Mul"),
    OP("RealDiv"),
    OP("Div"),
    OP("DivNoNan"),
    OP("MulNoNan"),
    OP("Maximum"),
    OP("Minimum"),
    OP("SquaredDifference"),
    OP("FloorDiv"),
    OP("FloorMod"),
    OP("TruncateDiv"),
    OP("TruncateMod"),
    OP("Mod"),
    OP("Pow"),
    OP("Atan2"),
    OP("NextAfter"),
    OP("Xlogy"),
    OP("Xdivy"),
    OP("Xlog1py"),
    OP("BitwiseAnd"),
    OP("BitwiseOr"),
    OP("BitwiseXor"),
    OP("LeftShift"),
    OP("RightShift"),
    OP("LogicalAnd"),
    OP("LogicalOr"),
    TEST("Equal"),
    TEST("NotEqual"),
    TEST("Less"),
    TEST("LessEqual"),
    TEST("Greater"),
    TEST("GreaterEqual"),
    /* Not in place: the sum would overwrite an operand that is still to be added. */
    {"AddN", 0, 0, addn_configure, addn_shape, addn_run, NULL},
    {0},
};
