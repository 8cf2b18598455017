/*
 * array_shape.c - ops about shapes: asking for them, changing them without touching the data
 */
#include "engine/native/ops/ops.h"

/* ---- Identity and its kin ---- */

static sl_code alias_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1 || n->n_out < 1)
        return sl_ops_check(n, 1, ~0ull, st);
    n->out_types[0] = sl_dtype_base(n->in_types[0]);
    return SL_OK;
}

static sl_code identity_n_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in != n->n_out)
        return sl_fail(st, SL_INVALID_ARGUMENT, "IdentityN has %d inputs and %d outputs", n->n_in,
                       n->n_out);
    for (int i = 0; i < n->n_in; i++)
        n->out_types[i] = n->in_types[i];
    return SL_OK;
}

static sl_code identity_n_shape(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int i = 0; i < c->node->n_in; i++)
        sl_ops_same_shape(&c->out[i], &c->in[i]);
    return SL_OK;
}

static sl_code identity_n_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int i = 0; i < c->node->n_in; i++)
        if (c->out[i].size && c->out[i].data != c->in[i].data)
            memcpy(c->out[i].data, c->in[i].data, c->out[i].size);
    return SL_OK;
}

typedef struct wanted_shape {
    int rank; /* -1: any */
    int64_t dims[SL_MAX_RANK];
} wanted_shape;

static sl_code ensure_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    wanted_shape *w = sl_ops_config(n, sizeof *w);
    if (!sl_node_shape(n->source, "shape", &w->rank, w->dims))
        return sl_fail(st, SL_INVALID_ARGUMENT, "attribute \"shape\" is missing");
    n->config = w;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code ensure_shape(sl_op_call *c, sl_status *st)
{
    const wanted_shape *w = c->node->config;
    const sl_tensor *in = &c->in[0];
    bool fits = w->rank < 0 || w->rank == in->rank;
    for (int i = 0; fits && i < w->rank; i++)
        fits = w->dims[i] < 0 || w->dims[i] == in->dims[i];
    sl_shape_buf a, b;
    if (!fits)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Shape of tensor %.*s %s is not compatible with expected shape %s.",
            SL_STR_ARG(c->node->source->n_inputs ? c->node->source->inputs[0] : SL_STR("input")),
            sl_ops_shape(in, &a), sl_shape_text(w->dims, w->rank, b.text, sizeof b.text));
    sl_ops_same_shape(&c->out[0], in);
    return SL_OK;
}

/* ---- Shape, ShapeN, Size, Rank ---- */

static sl_code shape_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 1 || n->n_out != n->n_in)
        return sl_ops_check(n, n->n_out, ~0ull, st);
    sl_dtype type = sl_node_type(n->source, "out_type", SL_DT_INT32);
    if (!sl_types_has(SL_T_INDEX, type))
        return sl_ops_unsupported(type, st);
    for (int i = 0; i < n->n_out; i++)
        n->out_types[i] = type;
    return SL_OK;
}

static sl_code shape_shape(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int i = 0; i < c->node->n_out; i++) {
        c->out[i].rank = 1;
        c->out[i].dims[0] = c->in[i].rank;
    }
    return SL_OK;
}

static sl_code shape_run(sl_op_call *c, sl_status *st)
{
    for (int i = 0; i < c->node->n_out; i++)
        for (int d = 0; d < c->in[i].rank; d++) {
            if (c->out[i].dtype == SL_DT_INT32 && c->in[i].dims[d] > INT32_MAX)
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "Shape output type is 32-bit  but dim %d is %lld", d,
                               (long long)c->in[i].dims[d]);
            sl_ops_set_int(&c->out[i], d, c->in[i].dims[d]);
        }
    return SL_OK;
}

static sl_code size_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    return shape_configure(n, st);
}

static sl_code size_run(sl_op_call *c, sl_status *st)
{
    int64_t count = sl_shape_count(c->in[0].dims, c->in[0].rank, 1);
    if (c->out[0].dtype == SL_DT_INT32 && count > INT32_MAX)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Number of elements was larger than representable by 32-bit output type");
    sl_ops_set_int(&c->out[0], 0, count);
    return SL_OK;
}

static sl_code rank_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    n->out_types[0] = SL_DT_INT32;
    return SL_OK;
}

static sl_code rank_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    sl_ops_set_int(&c->out[0], 0, c->in[0].rank);
    return SL_OK;
}

/* ---- Reshape, ExpandDims, Squeeze ---- */

static sl_code reshape_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, ~0ull, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

/* Reads the wanted dims; *unknown is the position of -1, or -1. */
static sl_code reshape_wanted(const sl_tensor *sizes, sl_tensor *out, int *unknown,
                              int64_t *product, sl_status *st)
{
    out->rank = 0;
    *unknown = -1;
    *product = 1;
    for (int64_t i = 0; i < sizes->dims[0]; i++) {
        int64_t d = sl_ops_int(sizes, i);
        if (d == -1 && *unknown != -1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Only one input size may be -1, not both %d and %lld", *unknown,
                           (long long)i);
        if (d < -1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Size %lld must be non-negative, not %lld",
                           (long long)i, (long long)d);
        if (d == -1)
            *unknown = (int)i;
        else if (__builtin_mul_overflow(*product, d, product))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Shape is too large");
        sl_code rc = sl_ops_push_dim(out, d == -1 ? 1 : d, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code reshape_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *sizes = &c->in[1];
    sl_tensor *out = &c->out[0];
    sl_shape_buf b;
    int unknown;
    int64_t product;
    if (sizes->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "sizes input must be 1-D, not %s",
                       sl_ops_shape(sizes, &b));
    int64_t count = sl_shape_count(c->in[0].dims, c->in[0].rank, 1);
    sl_code rc = reshape_wanted(sizes, out, &unknown, &product, st);
    if (rc)
        return rc;
    if (unknown != -1) {
        /* A product of 0 leaves the missing extent open when the input is empty too: TensorFlow
         * then works it out from the dims that are not 0. */
        int64_t missing = 0;
        if (product > 0)
            missing = count / product;
        else if (count == 0)
            missing = 1;
        if (product <= 0 ? count != 0 : missing * product != count)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Input to reshape is a tensor with %lld values, but the requested shape "
                           "requires a multiple of %lld",
                           (long long)count, (long long)product);
        if (product == 0) {
            int64_t in = 1, want = 1;
            for (int i = 0; i < c->in[0].rank; i++)
                in *= c->in[0].dims[i] ? c->in[0].dims[i] : 1;
            for (int i = 0; i < out->rank; i++)
                want *= i != unknown && out->dims[i] ? out->dims[i] : 1;
            missing = in / want;
        }
        out->dims[unknown] = missing;
    } else if (product != count) {
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input to reshape is a tensor with %lld values, but the requested shape has "
                       "%lld",
                       (long long)count, (long long)product);
    }
    return SL_OK;
}

static sl_code expand_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    if (sl_shape_count(c->in[1].dims, c->in[1].rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "'dim' must be a tensor with a single value");
    int64_t axis = sl_ops_int(&c->in[1], 0);
    int64_t at = axis;
    if (!sl_ops_axis(&at, in->rank + 1))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to expand dim index %lld for tensor with %d dimensions.",
                       (long long)axis, in->rank);
    if (in->rank >= SL_MAX_RANK)
        return sl_ops_push_dim(&(sl_tensor){.rank = SL_MAX_RANK}, 1, st);
    for (int i = 0; i <= in->rank; i++)
        out->dims[i] = i < at ? in->dims[i] : i == at ? 1 : in->dims[i - 1];
    out->rank = in->rank + 1;
    return SL_OK;
}

typedef struct squeeze_axes {
    int n;
    int64_t axes[];
} squeeze_axes;

static sl_code squeeze_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, ~0ull, st);
    if (rc)
        return rc;
    int count = sl_node_list_count(n->source, "squeeze_dims");
    count = count < 0 ? 0 : count;
    squeeze_axes *a = sl_ops_config(n, sizeof *a + (size_t)count * sizeof a->axes[0]);
    a->n = count;
    for (int i = 0; i < count; i++)
        a->axes[i] = sl_node_list_int(n->source, "squeeze_dims", i);
    n->config = a;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code squeeze_shape(sl_op_call *c, sl_status *st)
{
    const squeeze_axes *a = c->node->config;
    const sl_tensor *in = &c->in[0];
    bool drop[SL_MAX_RANK] = {false};
    for (int i = 0; i < a->n; i++) {
        int64_t axis = a->axes[i];
        if (!sl_ops_axis(&axis, in->rank))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tried to squeeze dim index %lld for tensor with %d dimensions.",
                           (long long)a->axes[i], in->rank);
        drop[axis] = true;
    }
    c->out[0].rank = 0;
    for (int i = 0; i < in->rank; i++) {
        if (drop[i] && in->dims[i] != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Can not squeeze dim[%d], expected a dimension of 1, got %lld", i,
                           (long long)in->dims[i]);
        if (!drop[i] && (a->n || in->dims[i] != 1))
            c->out[0].dims[c->out[0].rank++] = in->dims[i];
    }
    return SL_OK;
}

#define ALIAS(name)                                                                             \
    {                                                                                           \
        name, SL_OP_ALIAS, 0, alias_configure, sl_ops_shape_like_first, sl_ops_copy_first, NULL \
    }

/* ---- BroadcastArgs: the shape that two shapes become together ---- */

static sl_code args_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 2, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code args_shape(sl_op_call *c, sl_status *st)
{
    sl_shape_buf b;
    for (int i = 0; i < 2; i++)
        if (c->in[i].rank != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "In[%d] must be a vector.%s", i,
                           sl_ops_shape(&c->in[i], &b));
    c->out[0].rank = 1;
    c->out[0].dims[0] = SL_MAX(c->in[0].dims[0], c->in[1].dims[0]);
    return SL_OK;
}

/* "[2,3]" of a shape that is a tensor. */
static const char *args_text(const sl_tensor *t, char text[256])
{
    int64_t dims[SL_MAX_RANK];
    int n = (int)SL_MIN(t->dims[0], (int64_t)SL_MAX_RANK);
    for (int i = 0; i < n; i++)
        dims[i] = sl_ops_int(t, i);
    return sl_shape_text(dims, n, text, 256);
}

static sl_code args_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *a = &c->in[0], *b = &c->in[1];
    int64_t n = c->out[0].dims[0], skip_a = n - a->dims[0], skip_b = n - b->dims[0];
    for (int64_t i = 0; i < n; i++) {
        int64_t x = i < skip_a ? 1 : sl_ops_int(a, i - skip_a);
        int64_t y = i < skip_b ? 1 : sl_ops_int(b, i - skip_b);
        if (x != y && x != 1 && y != 1) {
            char p[256], q[256];
            return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes: %s vs. %s",
                           args_text(a, p), args_text(b, q));
        }
        sl_ops_set_int(&c->out[0], i, x == 1 ? y : x);
    }
    return SL_OK;
}

const sl_op sl_ops_array_shape[] = {
    ALIAS("Identity"),
    ALIAS("StopGradient"),
    ALIAS("PreventGradient"),
    ALIAS("Snapshot"),
    ALIAS("PlaceholderWithDefault"),
    {"IdentityN", 0, 0, identity_n_configure, identity_n_shape, identity_n_run, NULL},
    {"EnsureShape", SL_OP_ALIAS, 0, ensure_configure, ensure_shape, sl_ops_copy_first, NULL},
    {"Shape", 0, 0, shape_configure, shape_shape, shape_run, NULL},
    {"ShapeN", 0, 0, shape_configure, shape_shape, shape_run, NULL},
    {"Size", 0, 0, size_configure, sl_ops_shape_scalar, size_run, NULL},
    {"Rank", 0, 0, rank_configure, sl_ops_shape_scalar, rank_run, NULL},
    {"Reshape", SL_OP_ALIAS, 1 << 1, reshape_configure, reshape_shape, sl_ops_copy_first, NULL},
    {"ExpandDims", SL_OP_ALIAS, 1 << 1, reshape_configure, expand_shape, sl_ops_copy_first, NULL},
    {"Squeeze", SL_OP_ALIAS, 0, squeeze_configure, squeeze_shape, sl_ops_copy_first, NULL},
    {"BroadcastArgs", 0, 0, args_configure, args_shape, args_run, NULL},
    {0},
};
