/*
 * array_slice.c - Slice and StridedSlice
 *
 * StridedSlice's five masks are worked out in two steps, as TensorFlow does: the sparse spec (one
 * entry an index expression, with ellipsis and new axes) becomes a dense one (begin, step and
 * extent for each input dimension) and a list that says where each output dimension comes from.
 * What is left is one strided copy.
 */
#include "engine/native/kernels/copy.h"
#include "engine/native/ops/ops.h"

#include <assert.h>

/* ---- Slice ---- */

static sl_code slice_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T_PLAIN, st);
    for (int i = 1; !rc && i < 3; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code slice_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *begin = &c->in[1], *size = &c->in[2];
    sl_shape_buf a, b;
    if (begin->rank != 1 || size->rank != 1 || begin->dims[0] != in->rank ||
        size->dims[0] != in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected begin and size arguments to be 1-D tensors of size %d, but got "
                       "shapes %s and %s instead.",
                       in->rank, sl_ops_shape(begin, &a), sl_ops_shape(size, &b));
    for (int i = 0; i < in->rank; i++) {
        int64_t at = sl_ops_int(begin, i), n = sl_ops_int(size, i), d = in->dims[i];
        if (n == -1 && at >= 0 && at <= d)
            n = d - at;
        if (at < 0 || at > d)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected begin[%d] in [0, %lld], but got %lld",
                           i, (long long)d, (long long)at);
        if (n < 0 || n > d - at)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Expected size[%d] in [0, %lld], but got %lld",
                           i, (long long)(d - at), (long long)n);
        c->out[0].dims[i] = n;
    }
    c->out[0].rank = in->rank;
    return SL_OK;
}

static sl_code slice_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0], *out = &c->out[0];
    int64_t from[SL_MAX_RANK], to[SL_MAX_RANK], start = 0;
    sl_copy_dim dims[SL_MAX_RANK];
    size_t element = sl_dtype_size(in->dtype);
    if (out->size == 0)
        return SL_OK;
    sl_ops_strides(in->dims, in->rank, from);
    sl_ops_strides(out->dims, out->rank, to);
    for (int i = 0; i < in->rank; i++) {
        dims[i] = (sl_copy_dim){out->dims[i], to[i], from[i]};
        start += sl_ops_int(&c->in[1], i) * from[i];
    }
    sl_kernel_copy(out->data, (const char *)in->data + (size_t)start * element, dims, in->rank,
                   element);
    return SL_OK;
}

/* ---- StridedSlice ---- */

typedef struct strided_masks {
    int64_t begin, end, ellipsis, new_axis, shrink;
} strided_masks;

static sl_code strided_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_PLAIN, st);
    for (int i = 1; !rc && i < 4; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX | SL_T(INT16), st);
    if (rc)
        return rc;
    strided_masks *m = sl_ops_config(n, sizeof *m);
    m->begin = sl_node_int(n->source, "begin_mask", 0);
    m->end = sl_node_int(n->source, "end_mask", 0);
    m->ellipsis = sl_node_int(n->source, "ellipsis_mask", 0);
    m->new_axis = sl_node_int(n->source, "new_axis_mask", 0);
    m->shrink = sl_node_int(n->source, "shrink_axis_mask", 0);
    n->config = m;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

/* One input dimension of the dense spec. */
typedef struct dense_dim {
    int64_t begin, end, step;
    bool open_begin, open_end, shrink;
    int64_t n; /* extent of the result */
} dense_dim;

enum { NEW_AXIS = -1 };

typedef struct dense_spec {
    dense_dim dims[SL_MAX_RANK];
    int sources[2 * SL_MAX_RANK + 64]; /* of each output dimension: input dimension or NEW_AXIS */
    int n_out;
} dense_spec;

static sl_code too_many(int dim, int rank, sl_status *st)
{
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "Index out of range using input dim %d; input has only %d dims", dim, rank);
}

/* Sparse entries to dense dimensions; extents are not worked out yet. */
static sl_code make_dense(const sl_op_call *c, dense_spec *d, sl_status *st)
{
    const strided_masks *m = c->node->config;
    const sl_tensor *begin = &c->in[1], *end = &c->in[2], *step = &c->in[3];
    int n = (int)begin->dims[0], rank = c->in[0].rank, at = 0;
    int after_ellipsis = 0; /* entries behind it that use up an input dimension */
    bool seen = false;
    for (int i = 0; i < n; i++) {
        if (m->ellipsis >> i & 1) {
            if (seen)
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "Multiple ellipses in slice spec not allowed");
            seen = true;
        } else if (seen && !(m->new_axis >> i & 1)) {
            after_ellipsis++;
        }
    }
    for (int i = 0; i <= n; i++) {
        bool ellipsis = i < n ? m->ellipsis >> i & 1 : !seen; /* one is implied at the end */
        if (ellipsis) {
            for (; at < rank - after_ellipsis; at++) {
                d->dims[at] = (dense_dim){.step = 1, .open_begin = true, .open_end = true};
                d->sources[d->n_out++] = at;
            }
        } else if (i < n && (m->new_axis >> i & 1)) {
            d->sources[d->n_out++] = NEW_AXIS;
        } else if (i < n) {
            if (at >= rank)
                return too_many(at, rank, st);
            d->dims[at] = (dense_dim){.begin = sl_ops_int(begin, i),
                                      .end = sl_ops_int(end, i),
                                      .step = sl_ops_int(step, i),
                                      .open_begin = m->begin >> i & 1,
                                      .open_end = m->end >> i & 1,
                                      .shrink = m->shrink >> i & 1};
            if (!d->dims[at].shrink)
                d->sources[d->n_out++] = at;
            at++;
        }
    }
    return SL_OK;
}

static int64_t clamp(int64_t v, int64_t low, int64_t high)
{
    return v < low ? low : v > high ? high : v;
}

/* Resolves one dimension of extent `size`: begin and n become final. */
static sl_code resolve(dense_dim *d, int i, int64_t size, sl_status *st)
{
    if (d->step == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "strides[%d] must be non-zero", i);
    if (d->shrink) {
        if (d->step <= 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "only stride 1 allowed on non-range indexing.");
        int64_t x = d->open_begin ? 0 : d->begin;
        int64_t at = x < 0 ? x + size : x;
        if (at < 0 || at >= size)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "slice index %lld of dimension %d out of bounds.", (long long)d->begin,
                           i);
        d->begin = at;
        d->step = 1;
        d->n = 1;
        return SL_OK;
    }
    int64_t low = d->step > 0 ? 0 : -1, high = d->step > 0 ? size : size - 1;
    int64_t b = d->open_begin ? (d->step > 0 ? low : high)
                              : clamp(d->begin < 0 ? d->begin + size : d->begin, low, high);
    int64_t e = d->open_end ? (d->step > 0 ? high : low)
                            : clamp(d->end < 0 ? d->end + size : d->end, low, high);
    d->begin = b;
    d->n = 0;
    if (d->step > 0 && e > b)
        d->n = (e - b - 1) / d->step + 1;
    else if (d->step < 0 && b > e)
        d->n = (int64_t)(((uint64_t)(b - e) - 1) / (0 - (uint64_t)d->step)) + 1;
    return SL_OK;
}

static sl_code resolve_all(const sl_op_call *c, dense_spec *d, sl_status *st)
{
    const sl_tensor *begin = &c->in[1], *end = &c->in[2], *step = &c->in[3];
    sl_shape_buf a, b, s;
    if (begin->rank != 1 || end->rank != 1 || step->rank != 1 || begin->dims[0] != end->dims[0] ||
        begin->dims[0] != step->dims[0] || begin->dims[0] >= 32)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected begin, end, and strides to be 1D equal size tensors, but got "
                       "shapes %s, %s, and %s instead.",
                       sl_ops_shape(begin, &a), sl_ops_shape(end, &b), sl_ops_shape(step, &s));
    sl_code rc = make_dense(c, d, st);
    for (int i = 0; !rc && i < c->in[0].rank; i++)
        rc = resolve(&d->dims[i], i, c->in[0].dims[i], st);
    return rc;
}

static sl_code strided_shape(sl_op_call *c, sl_status *st)
{
    dense_spec d = {.n_out = 0};
    sl_code rc = resolve_all(c, &d, st);
    c->out[0].rank = 0;
    for (int k = 0; !rc && k < d.n_out; k++)
        rc = sl_ops_push_dim(&c->out[0], d.sources[k] == NEW_AXIS ? 1 : d.dims[d.sources[k]].n, st);
    return rc;
}

static sl_code strided_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    dense_spec d = {.n_out = 0};
    sl_code rc = resolve_all(c, &d, st);
    if (rc || c->out[0].size == 0)
        return rc;
    int64_t from[SL_MAX_RANK] = {0}, to = 1, start = 0;
    sl_copy_dim dims[SL_MAX_RANK];
    size_t element = sl_dtype_size(in->dtype);
    assert(in->rank <= SL_MAX_RANK);
    sl_ops_strides(in->dims, in->rank, from);
    for (int i = in->rank - 1; i >= 0; i--) {
        /* An extent of 1 may come with a step whose product with the stride would overflow. */
        dims[i] = (sl_copy_dim){d.dims[i].n, to, d.dims[i].n > 1 ? d.dims[i].step * from[i] : 0};
        to *= d.dims[i].n;
        start += d.dims[i].begin * from[i];
    }
    sl_kernel_copy(c->out[0].data, (const char *)in->data + (size_t)start * element, dims, in->rank,
                   element);
    return SL_OK;
}

const sl_op sl_ops_array_slice[] = {
    {"Slice", 0, 1 << 1 | 1 << 2, slice_configure, slice_shape, slice_run, NULL},
    {"StridedSlice", 0, 1 << 1 | 1 << 2 | 1 << 3, strided_configure, strided_shape, strided_run,
     NULL},
    {0},
};
