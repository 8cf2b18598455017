/*
 * array_make.c - ops that make something new: Fill, Empty, Range, LinSpace, OneHot, Where, TopKV2
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#include "engine/native/kernels/copy.h"
#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

static void repeat(const sl_tensor *out, const void *value)
{
    size_t element = sl_dtype_size(out->dtype);
    sl_copy_dim d = {(int64_t)(out->size / element), 1, 0};
    sl_kernel_copy(out->data, value, &d, 1, element);
}

/* ---- Fill, ZerosLike, OnesLike ---- */

static sl_code fill_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    if (!rc)
        n->out_types[0] = n->in_types[1];
    return rc;
}

static sl_code fill_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *dims = &c->in[0];
    sl_tensor *out = &c->out[0];
    sl_shape_buf b;
    if (dims->rank > 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "dims must represent a vector, got shape %s",
                       sl_ops_shape(dims, &b));
    if (sl_shape_count(c->in[1].dims, c->in[1].rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "value must represent a scalar, got shape %s",
                       sl_ops_shape(&c->in[1], &b));
    out->rank = 0;
    for (int64_t i = 0; i < sl_shape_count(dims->dims, dims->rank, 1); i++) {
        int64_t d = sl_ops_int(dims, i);
        if (d < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0", (long long)d);
        sl_code rc = sl_ops_push_dim(out, d, st);
        if (rc)
            return rc;
    }
    return sl_ops_check_size(out, st);
}

static sl_code fill_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    repeat(&c->out[0], c->in[1].data);
    return SL_OK;
}

static sl_code like_configure(sl_op_node *n, sl_status *st)
{
    sl_types types = n->op->name[0] == 'O' ? SL_T_NUMBERS | SL_T(BOOL) : SL_T_PLAIN;
    sl_code rc = sl_ops_check(n, 1, types, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code zeros_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    if (c->out[0].size)
        memset(c->out[0].data, 0, c->out[0].size);
    return SL_OK;
}

static sl_code ones_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    union {
        float f;
        double d;
        uint16_t h;
        uint8_t b;
        uint32_t i;
        uint64_t l;
    } one = {.l = 0};
    switch (c->out[0].dtype) {
    case SL_DT_FLOAT:
        one.f = 1;
        break;
    case SL_DT_DOUBLE:
        one.d = 1;
        break;
    case SL_DT_HALF:
        one.h = sl_float_to_half(1);
        break;
    case SL_DT_BFLOAT16:
        one.h = sl_float_to_bf16(1);
        break;
    default:
        switch (sl_dtype_size(c->out[0].dtype)) {
        case 1:
            one.b = 1;
            break;
        case 2:
            one.h = 1;
            break;
        case 4:
            one.i = 1;
            break;
        default:
            one.l = 1;
            break;
        }
    }
    repeat(&c->out[0], &one);
    return SL_OK;
}

/* ---- Empty (shape): zeros, whether or not the graph cares ---- */

static sl_code empty_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T(INT32), st);
    sl_dtype t = sl_node_type(n->source, "dtype", SL_DT_INVALID);
    if (!rc && !sl_types_has(SL_T_PLAIN, t))
        rc = sl_ops_unsupported(t, st);
    if (!rc)
        n->out_types[0] = t;
    return rc;
}

static sl_code empty_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *dims = &c->in[0];
    sl_shape_buf b;
    if (dims->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape must be a vector of int32, got shape %s",
                       sl_ops_shape(dims, &b));
    c->out[0].rank = 0;
    for (int64_t i = 0; i < dims->dims[0]; i++) {
        int64_t d = sl_ops_int(dims, i);
        if (d < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= 0", (long long)d);
        sl_code rc = sl_ops_push_dim(&c->out[0], d, st);
        if (rc)
            return rc;
    }
    return sl_ops_check_size(&c->out[0], st);
}

/* ---- Range ---- */

static sl_code range_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 3, SL_T_INDEX | SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static double range_number(const sl_tensor *t)
{
    return t->dtype == SL_DT_FLOAT    ? (double)*(const float *)t->data
           : t->dtype == SL_DT_DOUBLE ? *(const double *)t->data
                                      : (double)sl_ops_int(t, 0);
}

static sl_code range_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"start", "limit", "delta"};
    for (int i = 0; i < 3; i++)
        if (sl_shape_count(c->in[i].dims, c->in[i].rank, 1) != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar", names[i]);
    double start = range_number(&c->in[0]), limit = range_number(&c->in[1]);
    double delta = range_number(&c->in[2]), count;
    if (delta == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Requires delta != 0: 0");
    if (delta > 0 ? start > limit : start < limit)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Requires start %s limit when delta %s 0: %g/%g",
                       delta > 0 ? "<=" : ">=", delta > 0 ? ">" : "<", start, limit);
    if (sl_types_has(SL_T_INDEX, c->in[0].dtype)) {
        uint64_t a = (uint64_t)sl_ops_int(&c->in[0], 0), b = (uint64_t)sl_ops_int(&c->in[1], 0);
        uint64_t d = (uint64_t)sl_ops_int(&c->in[2], 0);
        uint64_t span = delta > 0 ? b - a : a - b, step = delta > 0 ? d : 0 - d;
        assert(step != 0); /* delta is not */
        count = (double)(span ? (span - 1) / step + 1 : 0);
    } else {
        count = ceil(fabs((limit - start) / delta));
    }
    if (!(count < 0x1p40))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Requires ((limit - start) / delta) <= 2^40");
    c->out[0].rank = 1;
    c->out[0].dims[0] = (int64_t)count;
    return SL_OK;
}

static sl_code range_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    sl_tensor *out = &c->out[0];
    int64_t n = out->dims[0];
    if (out->dtype == SL_DT_FLOAT) {
        float v = *(const float *)c->in[0].data, d = *(const float *)c->in[2].data;
        for (int64_t i = 0; i < n; i++, v += d)
            ((float *)out->data)[i] = v;
    } else if (out->dtype == SL_DT_DOUBLE) {
        double v = *(const double *)c->in[0].data, d = *(const double *)c->in[2].data;
        for (int64_t i = 0; i < n; i++, v += d)
            ((double *)out->data)[i] = v;
    } else {
        uint64_t v = (uint64_t)sl_ops_int(&c->in[0], 0), d = (uint64_t)sl_ops_int(&c->in[2], 0);
        for (int64_t i = 0; i < n; i++, v += d)
            sl_ops_set_int(out, i, (int64_t)v);
    }
    return SL_OK;
}

/* ---- LinSpace (start, stop, number) ---- */

static sl_code lin_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, 2, st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code lin_shape(sl_op_call *c, sl_status *st)
{
    static const char *const names[] = {"start", "stop", "num"};
    sl_shape_buf b;
    for (int i = 0; i < 3; i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar, not shape %s", names[i],
                           sl_ops_shape(&c->in[i], &b));
    int64_t n = sl_ops_int(&c->in[2], 0);
    if (n <= 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Requires num > 0: %lld", (long long)n);
    c->out[0].rank = 1;
    c->out[0].dims[0] = n;
    return sl_ops_check_size(&c->out[0], st);
}

#define LIN(name, type)                                                         \
    static void name(const type *start, const type *stop, type *out, int64_t n) \
    {                                                                           \
        const type step = n > 1 ? (*stop - *start) / (type)(n - 1) : 0;         \
        for (int64_t i = 0; i < n; i++)                                         \
            out[i] = i && i == n - 1 ? *stop : *start + step * (type)i;         \
    }
LIN(lin_f, float)
LIN(lin_d, double)

static sl_code lin_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    if (c->out[0].dtype == SL_DT_FLOAT)
        lin_f(c->in[0].data, c->in[1].data, c->out[0].data, c->out[0].dims[0]);
    else
        lin_d(c->in[0].data, c->in[1].data, c->out[0].data, c->out[0].dims[0]);
    return SL_OK;
}

/* ---- OneHot ---- */

static sl_code one_hot_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_INDEX | SL_T(UINT8) | SL_T(INT8), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_same(n, 2, 4, st);
    if (rc)
        return rc;
    int64_t *axis = sl_ops_config(n, sizeof *axis);
    *axis = sl_node_int(n->source, "axis", -1);
    n->config = axis;
    n->out_types[0] = n->in_types[2];
    return SL_OK;
}

static sl_code one_hot_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    int64_t axis = *(const int64_t *)c->node->config;
    if (axis < -1 || axis > in->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected axis to be -1 or between [0, %d).  But received: %lld",
                       in->rank + 1, (long long)axis);
    for (int i = 1; i < 4; i++)
        if (c->in[i].rank != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar",
                           i == 1   ? "depth"
                           : i == 2 ? "on_value"
                                    : "off_value");
    int64_t depth = sl_ops_int(&c->in[1], 0);
    if (depth < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "depth must be non-negative, got: %lld",
                       (long long)depth);
    axis = axis < 0 ? in->rank : axis;
    sl_code rc = SL_OK;
    c->out[0].rank = 0;
    for (int i = 0; !rc && i <= in->rank; i++)
        rc = sl_ops_push_dim(&c->out[0],
                             i < axis    ? in->dims[i]
                             : i == axis ? depth
                                         : in->dims[i - 1],
                             st);
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

static sl_code one_hot_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    int64_t axis = *(const int64_t *)c->node->config, depth = sl_ops_int(&c->in[1], 0);
    axis = axis < 0 ? in->rank : axis;
    int64_t outer = sl_ops_product(in->dims, 0, (int)axis);
    int64_t inner = sl_ops_product(in->dims, (int)axis, in->rank);
    size_t element = sl_dtype_size(c->out[0].dtype);
    char *to = c->out[0].data;
    if (c->out[0].size == 0)
        return SL_OK;
    repeat(&c->out[0], c->in[3].data);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            int64_t k = sl_ops_int(in, o * inner + i);
            if (k >= 0 && k < depth)
                memcpy(to + (size_t)((o * depth + k) * inner + i) * element, c->in[2].data,
                       element);
        }
    return SL_OK;
}

/* ---- Where ---- */

static sl_code where_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_NUMBERS | SL_T(BOOL), st);
    if (!rc)
        n->out_types[0] = SL_DT_INT64;
    return rc;
}

/* True for anything but zero; NaN counts, -0.0 does not. */
static bool is_set(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_FLOAT:
        return ((const float *)t->data)[i] != 0;
    case SL_DT_DOUBLE:
        return ((const double *)t->data)[i] != 0;
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        return (((const uint16_t *)t->data)[i] & 0x7fff) != 0;
    case SL_DT_UINT32:
        return ((const uint32_t *)t->data)[i] != 0;
    case SL_DT_UINT64:
        return ((const uint64_t *)t->data)[i] != 0;
    case SL_DT_BOOL:
        return ((const uint8_t *)t->data)[i] != 0;
    default:
        return sl_ops_int(t, i) != 0;
    }
}

static sl_code where_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_tensor *out = &c->out[0];
    int64_t n = sl_shape_count(in->dims, in->rank, 1), found = 0;
    if (in->rank == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "WhereOp : Unhandled input dimensions: 0");
    for (int64_t i = 0; i < n; i++)
        found += is_set(in, i);
    out->rank = 2;
    out->dims[0] = found;
    out->dims[1] = in->rank;
    sl_code rc = sl_ops_make(c, 0, st);
    int64_t *to = out->data;
    for (int64_t i = 0; !rc && i < n; i++) {
        if (!is_set(in, i))
            continue;
        int64_t left = i;
        for (int d = in->rank - 1; d >= 0; d--) {
            to[d] = left % in->dims[d];
            left /= in->dims[d];
        }
        to += in->rank;
    }
    return rc;
}

/* ---- InvertPermutation ---- */

static sl_code invert_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 1, SL_T_INDEX, st);
    if (!rc)
        n->out_types[0] = n->in_types[0];
    return rc;
}

static sl_code invert_shape(sl_op_call *c, sl_status *st)
{
    if (c->in[0].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "invert_permutation expects a 1D vector.");
    return sl_ops_shape_like_first(c, st);
}

static sl_code invert_run(sl_op_call *c, sl_status *st)
{
    int64_t n = c->in[0].dims[0];
    if (n)
        memset(c->out[0].data, 0xff, c->out[0].size);
    for (int64_t i = 0; i < n; i++) {
        int64_t at = sl_ops_int(&c->in[0], i);
        if (at < 0 || at >= n)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%lld is not between 0 and %lld", (long long)at,
                           (long long)n);
        if (sl_ops_int(&c->out[0], at) != -1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%lld is duplicated in the input.",
                           (long long)at);
        sl_ops_set_int(&c->out[0], at, i);
    }
    return SL_OK;
}

/* ---- TopKV2 ---- */

static sl_code topk_configure(sl_op_node *n, sl_status *st)
{
    sl_types types = SL_T_FLOATS | SL_T_SIGNED | SL_T(UINT8) | SL_T(UINT16);
    sl_code rc = sl_ops_check(n, 2, types, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX | SL_T(INT16), st);
    if (rc || n->n_out != 2)
        return rc ? rc : sl_fail(st, SL_INVALID_ARGUMENT, "TopKV2 has %d outputs", n->n_out);
    n->out_types[0] = n->in_types[0];
    n->out_types[1] = sl_node_type(n->source, "index_type", SL_DT_INT32);
    return sl_types_has(SL_T_INDEX, n->out_types[1]) ? SL_OK
                                                     : sl_ops_unsupported(n->out_types[1], st);
}

/* A number and where it stood. Integers up to 2^53 are exact as double; int64 goes its own way. */
typedef struct ranked {
    double value;
    int64_t whole, index;
} ranked;

static sl_code topk_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0];
    sl_shape_buf b;
    if (c->in[1].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "k must be scalar, got shape %s",
                       sl_ops_shape(&c->in[1], &b));
    int64_t k = sl_ops_int(&c->in[1], 0);
    if (k < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Need k >= 0, got %lld", (long long)k);
    if (in->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input must be >= 1-D, got shape %s",
                       sl_ops_shape(in, &b));
    int64_t n = in->dims[in->rank - 1];
    if (n < k)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "input must have at least k columns. Had %lld, needed %lld", (long long)n,
                       (long long)k);
    for (int i = 0; i < 2; i++) {
        sl_ops_same_shape(&c->out[i], in);
        c->out[i].dims[in->rank - 1] = k;
    }
    if (!sl_mul_size((size_t)k + 1, sizeof(ranked), &c->scratch_size))
        return sl_ops_no_memory(st);
    return SL_OK;
}

/* a comes before b: larger first, then lower index. NaN is smaller than nothing and larger than
 * nothing, as in the original's comparisons. */
static bool before(const ranked *a, const ranked *b)
{
    if (a->value != b->value)
        return a->value > b->value;
    if (a->whole != b->whole)
        return a->whole > b->whole;
    return a->index < b->index;
}

static ranked load(const sl_tensor *t, int64_t i, int64_t index)
{
    ranked r = {0, 0, index};
    switch (t->dtype) {
    case SL_DT_FLOAT:
        r.value = (double)((const float *)t->data)[i];
        break;
    case SL_DT_DOUBLE:
        r.value = ((const double *)t->data)[i];
        break;
    case SL_DT_HALF:
        r.value = (double)sl_half_to_float(((const uint16_t *)t->data)[i]);
        break;
    case SL_DT_BFLOAT16:
        r.value = (double)sl_bf16_to_float(((const uint16_t *)t->data)[i]);
        break;
    default:
        r.whole = sl_ops_int(t, i);
        break;
    }
    return r;
}

/* heap[0] is the last of the best k so far. */
static void sift(ranked *heap, int64_t n, int64_t at)
{
    for (;;) {
        int64_t worst = at, left = 2 * at + 1;
        for (int64_t child = left; child <= left + 1 && child < n; child++)
            if (before(&heap[worst], &heap[child]))
                worst = child;
        if (worst == at)
            return;
        ranked t = heap[at];
        heap[at] = heap[worst];
        heap[worst] = t;
        at = worst;
    }
}

static sl_code topk_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    int64_t n = in->dims[in->rank - 1], k = sl_ops_int(&c->in[1], 0);
    int64_t rows = sl_ops_product(in->dims, 0, in->rank - 1);
    size_t element = sl_dtype_size(in->dtype);
    ranked *heap = c->scratch;
    for (int64_t r = 0; k && r < rows; r++) {
        for (int64_t i = 0; i < n; i++) {
            ranked x = load(in, r * n + i, i);
            if (i < k) {
                heap[i] = x;
                for (int64_t h = i == k - 1 ? k / 2 : -1; h >= 0; h--)
                    sift(heap, k, h);
            } else if (before(&x, &heap[0])) {
                heap[0] = x;
                sift(heap, k, 0);
            }
        }
        for (int64_t left = k; left > 0; left--) { /* the worst goes last */
            int64_t at = r * k + left - 1;
            memcpy((char *)c->out[0].data + (size_t)at * element,
                   (const char *)in->data + (size_t)(r * n + heap[0].index) * element, element);
            sl_ops_set_int(&c->out[1], at, heap[0].index);
            heap[0] = heap[left - 1];
            sift(heap, left - 1, 0);
        }
    }
    return SL_OK;
}

const sl_op sl_ops_array_make[] = {
    {"Fill", 0, 1 << 0, fill_configure, fill_shape, fill_run, NULL},
    {"Empty", 0, 1 << 0, empty_configure, empty_shape, zeros_run, NULL},
    {"ZerosLike", 0, 0, like_configure, sl_ops_shape_like_first, zeros_run, NULL},
    {"OnesLike", 0, 0, like_configure, sl_ops_shape_like_first, ones_run, NULL},
    {"Range", 0, 1 << 0 | 1 << 1 | 1 << 2, range_configure, range_shape, range_run, NULL},
    {"LinSpace", 0, 1 << 2, lin_configure, lin_shape, lin_run, NULL},
    {"OneHot", 0, 1 << 1, one_hot_configure, one_hot_shape, one_hot_run, NULL},
    {"Where", SL_OP_MAKES, 0, where_configure, NULL, where_run, NULL},
    {"InvertPermutation", 0, 0, invert_configure, invert_shape, invert_run, NULL},
    {"TopKV2", 0, 1 << 1, topk_configure, topk_shape, topk_run, NULL},
    {0},
};
