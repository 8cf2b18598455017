/*
 * array_pad.c - padding, and moving blocks between batch, space and depth
 *
 * Pad fills and copies the middle; MirrorPad is a copy for each dimension's border, outermost last;
 * the block ops are one strided copy each.
 */
#include "engine/native/kernels/copy.h"
#include "engine/native/ops/ops.h"

#include <assert.h>

/* ---- Pad, PadV2, MirrorPad ---- */

static sl_code pad_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, strcmp(n->op->name, "PadV2") == 0 ? 3 : 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    if (strcmp(n->op->name, "MirrorPad") == 0) {
        sl_str mode = sl_node_str(n->source, "mode", "");
        bool *reflect = sl_ops_config(n, sizeof *reflect);
        *reflect = sl_str_is(mode, "REFLECT");
        if (!*reflect && !sl_str_is(mode, "SYMMETRIC"))
            return sl_fail(st, SL_INVALID_ARGUMENT, "mode \"%.*s\" is not known", SL_STR_ARG(mode));
        n->config = reflect;
    }
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code pad_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *pads = &c->in[1];
    const bool *reflect = c->node->config;
    sl_shape_buf a, b;
    if (pads->rank != 2 || pads->dims[1] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "paddings must be a matrix with 2 columns: %s",
                       sl_ops_shape(pads, &a));
    if (pads->dims[0] != in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The first dimension of paddings must be the rank of inputs%s %s",
                       sl_ops_shape(pads, &a), sl_ops_shape(in, &b));
    for (int i = 0; i < in->rank; i++) {
        int64_t before = sl_ops_int(pads, 2 * i), after = sl_ops_int(pads, 2 * i + 1);
        int64_t d = in->dims[i], sum;
        if (before < 0 || after < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           reflect ? "paddings must be non-negative: %lld %lld"
                                   : "Paddings must be non-negative: %lld %lld",
                           (long long)before, (long long)after);
        if (reflect && *reflect && (before >= d || after >= d))
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "paddings must be less than the dimension size: %lld, %lld not less than "
                "%lld",
                (long long)before, (long long)after, (long long)d);
        if (reflect && !*reflect && (before > d || after > d))
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "paddings must be no greater than the dimension size: %lld, %lld greater "
                "than %lld",
                (long long)before, (long long)after, (long long)d);
        if (__builtin_add_overflow(before, after, &sum) ||
            __builtin_add_overflow(sum, d, &c->out[0].dims[i]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "the result of Pad is too large");
    }
    c->out[0].rank = in->rank;
    return sl_ops_check_size(&c->out[0], st);
}

/* Copies the input to where it stands in the output. */
static void copy_middle(const sl_op_call *c)
{
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t from[SL_MAX_RANK], to[SL_MAX_RANK], start = 0;
    sl_copy_dim dims[SL_MAX_RANK];
    size_t element = sl_dtype_size(in->dtype);
    sl_ops_strides(in->dims, in->rank, from);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < in->rank; i++) {
        dims[i] = (sl_copy_dim){in->dims[i], to[i], from[i]};
        start += sl_ops_int(&c->in[1], 2 * i) * to[i];
    }
    if (in->size)
        sl_kernel_copy((char *)out->data + (size_t)start * element, in->data, dims, in->rank,
                       element);
}

static sl_code pad_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    sl_tensor *out = &c->out[0];
    size_t element = sl_dtype_size(out->dtype);
    if (out->size == 0)
        return SL_OK;
    if (c->node->n_in == 3) {
        sl_copy_dim d = {(int64_t)(out->size / element), 1, 0};
        sl_kernel_copy(out->data, c->in[2].data, &d, 1, element);
    } else {
        memset(out->data, 0, out->size);
    }
    copy_middle(c);
    return SL_OK;
}

static sl_code pad_v2_shape(sl_op_call *c, sl_status *st)
{
    if (c->node->n_in == 3 && c->in[2].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "constant_values must be a scalar");
    return pad_shape(c, st);
}

/* Mirrors along dimension d what is there already: all of the dims behind it, the middle of those
 * before it. */
static void mirror(const sl_op_call *c, int d, bool reflect)
{
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t to[SL_MAX_RANK], start = 0;
    sl_copy_dim dims[SL_MAX_RANK];
    size_t element = sl_dtype_size(out->dtype);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < out->rank; i++) {
        bool middle = i < d;
        dims[i] = (sl_copy_dim){middle ? in->dims[i] : out->dims[i], to[i], to[i]};
        start += middle ? sl_ops_int(&c->in[1], 2 * i) * to[i] : 0;
    }
    int64_t before = sl_ops_int(&c->in[1], 2 * d), after = sl_ops_int(&c->in[1], 2 * d + 1);
    char *base = (char *)out->data + (size_t)start * element;
    int64_t e = (int64_t)element * to[d];
    dims[d].from = -to[d];
    dims[d].n = before;
    if (before)
        sl_kernel_copy(base, base + (2 * before - 1 + reflect) * e, dims, out->rank, element);
    dims[d].n = after;
    int64_t end = before + in->dims[d];
    if (after)
        sl_kernel_copy(base + end * e, base + (end - 1 - reflect) * e, dims, out->rank, element);
}

static sl_code mirror_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    if (c->out[0].size == 0)
        return SL_OK;
    copy_middle(c);
    for (int d = c->in[0].rank - 1; d >= 0; d--)
        mirror(c, d, *(const bool *)c->node->config);
    return SL_OK;
}

/* ---- DepthToSpace, SpaceToDepth ---- */

static sl_code depth_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_PLAIN, st);
    if (rc)
        return rc;
    sl_str format = sl_node_str(n->source, "data_format", "NHWC");
    int64_t *block = sl_ops_config(n, sizeof *block);
    *block = sl_node_int(n->source, "block_size", 0);
    if (!sl_str_is(format, "NHWC"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "data_format %.*s is not supported",
                       SL_STR_ARG(format));
    if (*block < 2 || *block > 1 << 15)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Block size should be > 1, but was: %lld",
                       (long long)*block);
    n->config = block;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code depth_shape(sl_op_call *c, sl_status *st)
{
    int64_t b = *(const int64_t *)c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t *o = c->out[0].dims;
    const int64_t *d = in->dims;
    if (in->rank != 4)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input rank should be: 4 instead of: %d", in->rank);
    c->out[0].rank = 4;
    o[0] = d[0];
    if (c->node->op->name[0] == 'D') {
        if (d[3] % (b * b) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Input depth dimension %lld should be divisible by: %lld",
                           (long long)d[3], (long long)(b * b));
        if (__builtin_mul_overflow(d[1], b, &o[1]) || __builtin_mul_overflow(d[2], b, &o[2]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "the result of DepthToSpace is too large");
        o[3] = d[3] / (b * b);
        return SL_OK;
    }
    if (d[1] % b != 0 || d[2] % b != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Image width %lld and height %lld should be divisible by block_size: %lld",
                       (long long)d[2], (long long)d[1], (long long)b);
    o[1] = d[1] / b;
    o[2] = d[2] / b;
    return __builtin_mul_overflow(d[3], b * b, &o[3])
               ? sl_fail(st, SL_INVALID_ARGUMENT, "the result of SpaceToDepth is too large")
               : SL_OK;
}

/* Both are [n, y, by, x, bx, depth] on the side of space and [n, y, x, by, bx, depth] on the other.
 */
static sl_code depth_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int64_t b = *(const int64_t *)c->node->config;
    bool to_space = c->node->op->name[0] == 'D';
    const int64_t *space = to_space ? c->out[0].dims : c->in[0].dims;
    int64_t y = space[1] / b, x = space[2] / b, k = space[3];
    if (c->out[0].size == 0)
        return SL_OK;
    const struct {
        int64_t n, space, depth;
    } d[6] = {{space[0], y * b * x * b * k, y * x * b * b * k},
              {y, b * x * b * k, x * b * b * k},
              {b, x * b * k, b * k},
              {x, b * k, b * b * k},
              {b, k, k},
              {k, 1, 1}};
    sl_copy_dim dims[6];
    for (int i = 0; i < 6; i++)
        dims[i] = (sl_copy_dim){d[i].n, to_space ? d[i].space : d[i].depth,
                                to_space ? d[i].depth : d[i].space};
    sl_kernel_copy(c->out[0].data, c->in[0].data, dims, 6, sl_dtype_size(c->in[0].dtype));
    return SL_OK;
}

/* ---- SpaceToBatchND, BatchToSpaceND ---- */

static sl_code batch_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T_PLAIN, st);
    for (int i = 1; !rc && i < 3; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

/* block_shape is [m], the other [m, 2], 1 <= m < rank; entries make sense. */
static sl_code check_blocks(const sl_op_call *c, int *m, int64_t *product, sl_status *st)
{
    const sl_tensor *block = &c->in[1], *pads = &c->in[2];
    if (block->rank != 1 || pads->rank != 2 || pads->dims[0] != block->dims[0] ||
        pads->dims[1] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "block_shape must be a vector and its partner a matrix of 2 columns");
    if (block->dims[0] >= c->in[0].rank)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input rank should be >= %lld instead of %d",
                       (long long)block->dims[0] + 1, c->in[0].rank);
    *m = (int)block->dims[0];
    *product = 1;
    for (int i = 0; i < *m; i++) {
        int64_t b = sl_ops_int(block, i);
        if (b < 1 || b > INT32_MAX || __builtin_mul_overflow(*product, b, product))
            return sl_fail(st, SL_INVALID_ARGUMENT, "block_shape must be positive");
        for (int k = 0; k < 2; k++) {
            int64_t p = sl_ops_int(pads, 2 * i + k);
            if (p < 0 || p > INT32_MAX)
                return sl_fail(st, SL_INVALID_ARGUMENT, "Paddings must be non-negative");
        }
    }
    return SL_OK;
}

static sl_code to_batch_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    int m;
    int64_t product;
    sl_code rc = check_blocks(c, &m, &product, st);
    if (rc)
        return rc;
    sl_ops_same_shape(out, in);
    for (int i = 0; i < m; i++) {
        int64_t b = sl_ops_int(&c->in[1], i), padded;
        assert(b > 0); /* check_blocks */
        padded = sl_ops_int(&c->in[2], 2 * i) + sl_ops_int(&c->in[2], 2 * i + 1);
        if (__builtin_add_overflow(padded, in->dims[i + 1], &padded) || padded % b != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "padded_shape[%d]=%lld is not divisible by block_shape[%d]=%lld", i,
                           (long long)padded, i, (long long)b);
        out->dims[i + 1] = padded / b;
    }
    if (__builtin_mul_overflow(in->dims[0], product, &out->dims[0]))
        return sl_fail(st, SL_INVALID_ARGUMENT, "the result of SpaceToBatchND is too large");
    return sl_ops_check_size(out, st);
}

static sl_code to_space_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    int m;
    int64_t product;
    sl_code rc = check_blocks(c, &m, &product, st);
    if (rc)
        return rc;
    if (in->dims[0] % product != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input batch dimension (%lld) is not divisible by product of block sizes "
                       "(%lld)",
                       (long long)in->dims[0], (long long)product);
    sl_ops_same_shape(out, in);
    out->dims[0] = in->dims[0] / product;
    for (int i = 0; i < m; i++) {
        int64_t d, crop = sl_ops_int(&c->in[2], 2 * i) + sl_ops_int(&c->in[2], 2 * i + 1);
        if (__builtin_mul_overflow(in->dims[i + 1], sl_ops_int(&c->in[1], i), &d) || d < crop)
            return sl_fail(st, SL_INVALID_ARGUMENT, "cropped_shape[%d]=%lld must be non-negative",
                           i, (long long)(d - crop));
        out->dims[i + 1] = d - crop;
    }
    return sl_ops_check_size(out, st);
}

/*
 * One offset within the block at a time: batch row (offset, n) of `batched` and the pixels
 * y = i * block + offset - before of `space` are the same.
 */
static sl_code batch_run(sl_op_call *c, sl_status *st)
{
    bool to_batch = c->node->op->name[0] == 'S';
    const sl_tensor *space = to_batch ? &c->in[0] : &c->out[0];
    const sl_tensor *batched = to_batch ? &c->out[0] : &c->in[0];
    int m;
    int64_t product, ss[SL_MAX_RANK] = {0}, sb[SL_MAX_RANK] = {0};
    sl_code rc = check_blocks(c, &m, &product, st);
    if (rc || c->out[0].size == 0)
        return rc;
    size_t element = sl_dtype_size(c->in[0].dtype);
    sl_ops_strides(space->dims, space->rank, ss);
    sl_ops_strides(batched->dims, batched->rank, sb);
    if (to_batch)
        memset(c->out[0].data, 0, c->out[0].size);
    for (int64_t at = 0; at < product; at++) {
        sl_copy_dim dims[SL_MAX_RANK];
        int64_t left = at, from = 0, to = at * space->dims[0] * sb[0];
        for (int i = space->rank - 1; i >= 0; i--) {
            int64_t n = space->dims[i], step = ss[i];
            if (i >= 1 && i <= m) {
                int64_t b = sl_ops_int(&c->in[1], i - 1), before = sl_ops_int(&c->in[2], 2 * i - 2);
                assert(b > 0);
                int64_t offset = left % b;
                left /= b;
                /* The first i with i * b + offset >= before, and how many stay inside. */
                int64_t first = before > offset ? (before - offset + b - 1) / b : 0;
                int64_t pixel = first * b + offset - before;
                n = pixel < space->dims[i] ? (space->dims[i] - pixel - 1) / b + 1 : 0;
                n = SL_MIN(n, batched->dims[i] - first);
                step = b * ss[i];
                from += pixel * ss[i];
                to += first * sb[i];
            }
            dims[i] = to_batch ? (sl_copy_dim){n, sb[i], step} : (sl_copy_dim){n, step, sb[i]};
        }
        bool nothing = false;
        for (int i = 0; i < space->rank; i++)
            nothing |= dims[i].n <= 0;
        if (nothing)
            continue;
        char *out = (char *)c->out[0].data + (size_t)(to_batch ? to : from) * element;
        const char *in = (const char *)c->in[0].data + (size_t)(to_batch ? from : to) * element;
        sl_kernel_copy(out, in, dims, space->rank, element);
    }
    return SL_OK;
}

const sl_op sl_ops_array_pad[] = {
    {"Pad", 0, 1 << 1, pad_configure, pad_shape, pad_run, NULL},
    {"PadV2", 0, 1 << 1, pad_configure, pad_v2_shape, pad_run, NULL},
    {"MirrorPad", 0, 1 << 1, pad_configure, pad_shape, mirror_run, NULL},
    {"DepthToSpace", 0, 0, depth_configure, depth_shape, depth_run, NULL},
    {"SpaceToDepth", 0, 0, depth_configure, depth_shape, depth_run, NULL},
    {"SpaceToBatchND", 0, 1 << 1 | 1 << 2, batch_configure, to_batch_shape, batch_run, NULL},
    {"BatchToSpaceND", 0, 1 << 1 | 1 << 2, batch_configure, to_space_shape, batch_run, NULL},
    {0},
};
