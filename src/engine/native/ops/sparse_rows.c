/*
 * sparse_rows.c - what embedding lookups of sparse features are made of: SparseReshape,
 * SparseFillEmptyRows, the sums of SparseSegment*, and SparseTensorDenseMatMul
 */
#include "engine/native/ops/sparse_rows.h"

#include <assert.h>

#include "engine/native/ops/ops.h"

static sl_code want_sparse(const sl_tensor *indices, const sl_tensor *shape, sl_status *st)
{
    sl_shape_buf b;
    if (indices->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input indices should be a matrix but received shape %s",
                       sl_ops_shape(indices, &b));
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input shape should be a vector but received shape %s",
                       sl_ops_shape(shape, &b));
    if (indices->dims[1] != shape->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "Input tensor rank must match input shape length.");
    return SL_OK;
}

/* ---- SparseReshape (indices, shape, new shape) ---- */

static sl_code reshape_sparse_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 3, SL_T(INT64), st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "SparseReshape has %d outputs", n->n_out);
    if (!rc)
        n->out_types[0] = n->out_types[1] = SL_DT_INT64;
    return rc;
}

static sl_code product_of(const sl_tensor *shape, int64_t *out, sl_status *st)
{
    *out = 1;
    for (int64_t i = 0; i < shape->dims[0]; i++)
        if (sl_ops_int(shape, i) < 0 || __builtin_mul_overflow(*out, sl_ops_int(shape, i), out))
            return sl_fail(st, SL_INVALID_ARGUMENT, "a sparse tensor's shape is out of range");
    return SL_OK;
}

/* "[4,2]" for the dims that `like` has so many of. */
static const char *shape_of(const int64_t *dims, const sl_tensor *like, char text[256])
{
    return sl_shape_text(dims, (int)SL_MIN(like->dims[0], 64), text, 256);
}

/* The new shape, with its -1 worked out, into `to`. */
static sl_code settle_shape(const sl_tensor *shape, const sl_tensor *want, int64_t total,
                            int64_t *to, sl_status *st)
{
    char a[256], b[256];
    int64_t known = 1, open = -1;
    for (int64_t i = 0; i < want->dims[0]; i++) {
        to[i] = sl_ops_int(want, i);
        if (to[i] == -1 && open >= 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "only one output dimension may be -1, not both %lld and %lld",
                           (long long)open, (long long)i);
        if (to[i] == -1)
            to[open = i] = 1;
        else if (to[i] < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "size %lld must be non-negative, not %lld",
                           (long long)i, (long long)to[i]);
        else if (__builtin_mul_overflow(known, to[i], &known))
            return sl_fail(st, SL_INVALID_ARGUMENT, "a sparse tensor's shape is out of range");
    }
    if (open >= 0 && known == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "reshape cannot infer the missing input size for an empty tensor unless all "
                       "specified input sizes are non-zero");
    if (open >= 0) {
        if (total / known * known != total)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Input to reshape is a SparseTensor with %lld dense values, but the "
                           "requested shape requires a multiple of %lld. input_shape=%s "
                           "output_shape=%s",
                           (long long)total, (long long)known, shape_of(shape->data, shape, a),
                           shape_of(to, want, b));
        to[open] = total / known;
        known = total;
    }
    return known == total ? SL_OK
                          : sl_fail(st, SL_INVALID_ARGUMENT,
                                    "Input to reshape is a tensor with %lld dense values, but the "
                                    "requested shape has %lld. input_shape=%s output_shape=%s",
                                    (long long)total, (long long)known,
                                    shape_of(shape->data, shape, a), shape_of(to, want, b));
}

static sl_code reshape_sparse_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *indices = &c->in[0], *shape = &c->in[1], *want = &c->in[2];
    int64_t total;
    sl_code rc = want_sparse(indices, shape, st);
    if (!rc && want->rank != 1)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "Target shape should be a vector");
    if (!rc)
        rc = product_of(shape, &total, st);
    if (rc)
        return rc;
    int64_t n = indices->dims[0], from = shape->dims[0], to = want->dims[0];
    c->out[0].rank = 2;
    c->out[0].dims[0] = n;
    c->out[0].dims[1] = to;
    c->out[1].rank = 1;
    c->out[1].dims[0] = to;
    rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_ops_make(c, 1, st);
    if (!rc)
        rc = settle_shape(shape, want, total, c->out[1].data, st);
    const int64_t *sizes = c->out[1].data, *x = indices->data;
    for (int64_t i = 0; i < n && !rc; i++) {
        int64_t at = 0;
        for (int64_t d = 0; d < from; d++) {
            int64_t v = x[i * from + d], size = sl_ops_int(shape, d);
            if (v < 0 || v >= size)
                return sl_fail(st, SL_INVALID_ARGUMENT, "indices[%lld] is out of bounds",
                               (long long)i);
            at = at * size + v;
        }
        for (int64_t d = to - 1; d >= 0; d--) {
            assert(sizes[d] > 0); /* there is something in it */
            ((int64_t *)c->out[0].data)[i * to + d] = at % sizes[d];
            at /= sizes[d];
        }
    }
    return rc;
}

/* `n_in` inputs, the first of which are a sparse tensor: indices, values, shape. */
static sl_code check_sparse(sl_op_node *n, int n_in, sl_status *st)
{
    sl_code rc = sl_ops_check(n, n_in, SL_T(INT64), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    return rc ? rc : sl_ops_check_input(n, 2, SL_T(INT64), st);
}

/* ---- SparseReorder (indices, values, shape): ascending, equal ones as they came ---- */

static sl_code reorder_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = check_sparse(n, 3, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "SparseReorder has %d outputs", n->n_out);
    if (rc)
        return rc;
    n->out_types[0] = SL_DT_INT64;
    n->out_types[1] = n->in_types[1];
    return SL_OK;
}

static sl_code reorder_shape(sl_op_call *c, sl_status *st)
{
    sl_code rc = want_sparse(&c->in[0], &c->in[2], st);
    if (!rc && (c->in[1].rank != 1 || c->in[1].dims[0] != c->in[0].dims[0]))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Number of values must match first dimension of "
                     "indices");
    if (rc)
        return rc;
    sl_ops_same_shape(&c->out[0], &c->in[0]);
    sl_ops_same_shape(&c->out[1], &c->in[1]);
    c->scratch_size = 2 * (size_t)c->in[0].dims[0] * sizeof(int64_t);
    return SL_OK;
}

static bool is_after(const int64_t *a, const int64_t *b, int64_t depth)
{
    for (int64_t d = 0; d < depth; d++)
        if (a[d] != b[d])
            return a[d] > b[d];
    return false;
}

/* Merges ever longer runs. */
const int64_t *sl_sparse_sorted(const int64_t *x, int64_t n, int64_t depth, int64_t *from,
                                int64_t *to)
{
    for (int64_t i = 0; i < n; i++)
        from[i] = i;
    for (int64_t run = 1; run < n; run *= 2) {
        for (int64_t low = 0; low < n; low += 2 * run) {
            int64_t mid = SL_MIN(low + run, n), high = SL_MIN(low + 2 * run, n);
            for (int64_t a = low, b = mid, k = low; k < high; k++) {
                bool second = a == mid || (b < high && is_after(&x[from[a] * depth],
                                                                &x[from[b] * depth], depth));
                to[k] = from[second ? b++ : a++];
            }
        }
        int64_t *t = from;
        from = to;
        to = t;
    }
    return from;
}

static sl_code reorder_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    int64_t n = c->in[0].dims[0], depth = c->in[0].dims[1], *first = c->scratch;
    size_t row = (size_t)depth * sizeof(int64_t), element = sl_dtype_size(c->in[1].dtype);
    if (n == 0)
        return SL_OK;
    const int64_t *order = sl_sparse_sorted(c->in[0].data, n, depth, first, first + n);
    for (int64_t i = 0; i < n; i++) {
        if (row)
            memcpy((char *)c->out[0].data + (size_t)i * row,
                   (const char *)c->in[0].data + (size_t)order[i] * row, row);
        memcpy((char *)c->out[1].data + (size_t)i * element,
               (const char *)c->in[1].data + (size_t)order[i] * element, element);
    }
    return SL_OK;
}

/* ---- SparseFillEmptyRows (indices, values, shape, default) ---- */

static sl_code fill_rows_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = check_sparse(n, 4, st);
    if (!rc && (n->in_types[3] != n->in_types[1] || n->n_out != 4))
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "SparseFillEmptyRows does not fit its operands");
    if (rc)
        return rc;
    n->out_types[0] = n->out_types[3] = SL_DT_INT64;
    n->out_types[1] = n->in_types[1];
    n->out_types[2] = SL_DT_BOOL;
    return SL_OK;
}

static sl_code check_fill(const sl_op_call *c, sl_status *st)
{
    const sl_tensor *indices = &c->in[0], *values = &c->in[1], *shape = &c->in[2];
    sl_shape_buf b;
    if (shape->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "dense_shape must be a vector, saw: %s",
                       sl_ops_shape(shape, &b));
    if (indices->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "indices must be a matrix, saw: %s",
                       sl_ops_shape(indices, &b));
    if (values->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "values must be a vector, saw: %s",
                       sl_ops_shape(values, &b));
    if (indices->dims[0] != values->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The length of `values` (%lld) must match the first dimension of `indices` "
                       "(%lld).",
                       (long long)values->dims[0], (long long)indices->dims[0]);
    if (indices->dims[1] != shape->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The length of `dense_shape` (%lld) must match the second dimension of "
                       "`indices` (%lld).",
                       (long long)shape->dims[0], (long long)indices->dims[1]);
    if (c->in[3].rank != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "default_value must be a scalar, saw: %s",
                       sl_ops_shape(&c->in[3], &b));
    if (shape->dims[0] == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Dense shape cannot be empty.");
    return SL_OK;
}

/* Where each row begins in the output; rows without a value have one, the default. NULL: st says.
 */
static int64_t *row_starts(sl_op_call *c, int64_t rows, sl_status *st)
{
    const int64_t *x = c->in[0].data;
    int64_t n = c->in[0].dims[0], depth = c->in[0].dims[1], at = 0;
    size_t bytes;
    int64_t *starts = sl_mul_size((size_t)rows + 1, sizeof *starts, &bytes)
                          ? sl_arena_try_alloc(c->arena, bytes)
                          : NULL;
    if (starts == NULL) {
        sl_ops_no_memory(st);
        return NULL;
    }
    memset(starts, 0, bytes);
    for (int64_t i = 0; i < n; i++) {
        int64_t row = x[i * depth];
        if (row < 0 || row >= rows) {
            sl_fail(st, SL_INVALID_ARGUMENT, "indices(%lld, 0) is invalid: %lld >= %lld",
                    (long long)i, (long long)row, (long long)rows);
            return NULL;
        }
        starts[row]++;
    }
    for (int64_t r = 0; r < rows; r++) {
        int64_t count = SL_MAX(starts[r], 1);
        ((bool *)c->out[2].data)[r] = starts[r] == 0;
        starts[r] = at;
        at += count;
    }
    starts[rows] = at;
    return starts;
}

static sl_code fill_rows_run(sl_op_call *c, sl_status *st)
{
    sl_code rc = check_fill(c, st);
    if (rc)
        return rc;
    const int64_t *x = c->in[0].data;
    int64_t n = c->in[0].dims[0], depth = c->in[0].dims[1], rows = sl_ops_int(&c->in[2], 0);
    if (rows < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Dense shape must not be negative");
    if (rows == 0 && n > 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Received SparseTensor with dense_shape[0] = 0 but indices.shape[0] = %lld",
                       (long long)n);
    rc = sl_ops_make_vector(c, 2, rows, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 3, n, st);
    int64_t *starts = rc ? NULL : row_starts(c, rows, st);
    if (starts == NULL)
        return rc ? rc : st->code;
    int64_t total = starts[rows];
    c->out[0].rank = 2;
    c->out[0].dims[0] = total;
    c->out[0].dims[1] = depth;
    rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 1, total, st);
    if (rc)
        return rc;
    size_t element = sl_dtype_size(c->out[1].dtype);
    int64_t *to = c->out[0].data;
    for (int64_t r = 0; r < rows; r++) /* where a value comes, it is written over */
        if (((const bool *)c->out[2].data)[r]) {
            memset(&to[starts[r] * depth], 0, (size_t)depth * sizeof *to);
            to[starts[r] * depth] = r;
            memcpy((char *)c->out[1].data + (size_t)starts[r] * element, c->in[3].data, element);
        }
    for (int64_t i = 0; i < n; i++) {
        int64_t at = starts[x[i * depth]]++;
        memcpy(&to[at * depth], &x[i * depth], (size_t)depth * sizeof *to);
        memcpy((char *)c->out[1].data + (size_t)at * element,
               (const char *)c->in[1].data + (size_t)i * element, element);
        ((int64_t *)c->out[3].data)[i] = at;
    }
    return SL_OK;
}

/* ---- SparseSegmentSum, Mean, SqrtN (rows, which of them, segments) ---- */

typedef enum segment_kind { SEGMENT_SUM, SEGMENT_MEAN, SEGMENT_SQRT_N } segment_kind;

typedef struct segments_config {
    segment_kind kind;
    bool counted; /* the number of segments is an input */
} segments_config;

static sl_code segments_configure(sl_op_node *n, sl_status *st)
{
    bool counted = strstr(n->op->name, "WithNumSegments") != NULL;
    sl_code rc = sl_ops_check(n, 3 + counted, SL_T(FLOAT) | SL_T(DOUBLE), st);
    for (int i = 1; i < n->n_in && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    segments_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->counted = counted;
    cfg->kind = strstr(n->op->name, "Mean")    ? SEGMENT_MEAN
                : strstr(n->op->name, "SqrtN") ? SEGMENT_SQRT_N
                                               : SEGMENT_SUM;
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code segments_shape(sl_op_call *c, sl_status *st)
{
    const segments_config *cfg = c->node->config;
    const sl_tensor *data = &c->in[0], *indices = &c->in[1], *ids = &c->in[2];
    if (indices->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "indices should be a vector.");
    if (ids->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "segment_ids should be a vector.");
    if (ids->dims[0] != indices->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT, "segment_ids and indices should have same size.");
    if (data->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be at least rank 1");
    int64_t n = ids->dims[0], last = n ? sl_ops_int(ids, n - 1) : -1, count = last + 1;
    if (n && (last < 0 || last == INT64_MAX))
        return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids must be >= 0");
    if (cfg->counted) {
        if (sl_tensor_count(&c->in[3]) != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "num_segments should be a scalar");
        if (sl_ops_int(&c->in[3], 0) < count)
            return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids must be < num_segments");
        count = sl_ops_int(&c->in[3], 0);
    }
    sl_ops_same_shape(&c->out[0], data);
    c->out[0].dims[0] = count;
    return sl_ops_check_size(&c->out[0], st);
}

#define SEGMENTS(name, type, root)                                                   \
    static void name##_add(const type *x, type *to, int64_t n)                       \
    {                                                                                \
        for (int64_t i = 0; i < n; i++)                                              \
            to[i] += x[i];                                                           \
    }                                                                                \
    static void name##_divide(segment_kind kind, type *to, int64_t n, int64_t count) \
    {                                                                                \
        type by = kind == SEGMENT_MEAN ? (type)count : root((type)count);            \
        for (int64_t i = 0; i < n; i++)                                              \
            to[i] /= by;                                                             \
    }
SEGMENTS(segments_f, float, __builtin_sqrtf)
SEGMENTS(segments_d, double, __builtin_sqrt)

static void divide(const segments_config *cfg, const sl_tensor *out, int64_t segment, int64_t row,
                   int64_t count)
{
    if (cfg->kind == SEGMENT_SUM || count < 2)
        return;
    if (out->dtype == SL_DT_FLOAT)
        segments_f_divide(cfg->kind, (float *)out->data + segment * row, row, count);
    else
        segments_d_divide(cfg->kind, (double *)out->data + segment * row, row, count);
}

static sl_code segments_run(sl_op_call *c, sl_status *st)
{
    const segments_config *cfg = c->node->config;
    const sl_tensor *data = &c->in[0], *indices = &c->in[1], *ids = &c->in[2];
    sl_tensor *out = &c->out[0];
    int64_t row = sl_ops_product(data->dims, 1, data->rank), count = 0, now = -1;
    if (out->size)
        memset(out->data, 0, out->size);
    for (int64_t i = 0; i < ids->dims[0]; i++) {
        int64_t id = sl_ops_int(ids, i), at = sl_ops_int(indices, i);
        if (id < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids must be >= 0");
        if (id < now || id >= out->dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids are not increasing");
        if (at < 0 || at >= data->dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Bad: indices[%lld] == %lld out of range [0, %lld)", (long long)i,
                           (long long)at, (long long)data->dims[0]);
        if (id != now && now >= 0)
            divide(cfg, out, now, row, count);
        count = id == now ? count + 1 : 1;
        now = id;
        if (out->size == 0)
            continue;
        if (out->dtype == SL_DT_FLOAT)
            segments_f_add((const float *)data->data + at * row, (float *)out->data + id * row,
                           row);
        else
            segments_d_add((const double *)data->data + at * row, (double *)out->data + id * row,
                           row);
    }
    if (now >= 0 && out->size)
        divide(cfg, out, now, row, count);
    return SL_OK;
}

/* ---- SparseTensorDenseMatMul (indices, values, shape, matrix) ---- */

typedef struct product_config {
    bool turn_a, turn_b;
} product_config;

static sl_code product_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 4, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(FLOAT) | SL_T(DOUBLE), st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T(INT64), st);
    if (!rc && n->in_types[3] != n->in_types[1])
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "SparseTensorDenseMatMul mixes dtypes");
    if (rc)
        return rc;
    product_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->turn_a = sl_node_bool(n->source, "adjoint_a", false);
    cfg->turn_b = sl_node_bool(n->source, "adjoint_b", false);
    n->config = cfg;
    n->out_types[0] = n->in_types[1];
    return SL_OK;
}

static sl_code product_shape(sl_op_call *c, sl_status *st)
{
    const product_config *cfg = c->node->config;
    const sl_tensor *indices = &c->in[0], *values = &c->in[1], *b = &c->in[3];
    sl_shape_buf text;
    if (b->rank != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Tensor 'b' is not a matrix");
    if (c->in[2].rank != 1 || c->in[2].dims[0] != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Tensor 'a_shape' must have 2 elements");
    if (indices->rank != 2 || indices->dims[1] != 2 || values->rank != 1 ||
        values->dims[0] != indices->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Number of rows of a_indices does not match number of entries in a_values");
    int64_t rows = sl_ops_int(&c->in[2], cfg->turn_a), inner = sl_ops_int(&c->in[2], !cfg->turn_a);
    if (b->dims[cfg->turn_b] != inner)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Cannot multiply A and B because inner dimension does not match: %lld vs. "
            "%lld.  Did you forget a transpose?  Dimensions of A: [%lld, %lld).  Dimensions "
            "of B: %s",
            (long long)inner, (long long)b->dims[cfg->turn_b], (long long)rows, (long long)inner,
            sl_ops_shape(b, &text));
    if (rows < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a_shape must not be negative");
    c->out[0].rank = 2;
    c->out[0].dims[0] = rows;
    c->out[0].dims[1] = b->dims[!cfg->turn_b];
    return sl_ops_check_size(&c->out[0], st);
}

static sl_code product_run(sl_op_call *c, sl_status *st)
{
    const product_config *cfg = c->node->config;
    const sl_tensor *indices = &c->in[0], *b = &c->in[3];
    sl_tensor *out = &c->out[0];
    int64_t cols = out->dims[1], inner = b->dims[cfg->turn_b];
    int64_t step = cfg->turn_b ? b->dims[1] : 1, row = cfg->turn_b ? 1 : b->dims[1];
    if (out->size)
        memset(out->data, 0, out->size);
    for (int64_t i = 0; i < indices->dims[0]; i++) {
        int64_t r = sl_ops_int(indices, 2 * i + cfg->turn_a);
        int64_t k = sl_ops_int(indices, 2 * i + !cfg->turn_a);
        if (k < 0 || k >= inner)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "k (%lld) from index[%lld,%d] out of bounds (>=%lld)", (long long)k,
                           (long long)i, !cfg->turn_a, (long long)inner);
        if (r < 0 || r >= out->dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "m (%lld) from index[%lld,%d] out of bounds (>=%lld)", (long long)r,
                           (long long)i, cfg->turn_a, (long long)out->dims[0]);
        for (int64_t j = 0; j < cols; j++)
            if (out->dtype == SL_DT_FLOAT)
                ((float *)out->data)[r * cols + j] += ((const float *)c->in[1].data)[i] *
                                                      ((const float *)b->data)[k * row + j * step];
            else
                ((double *)out->data)[r * cols + j] +=
                    ((const double *)c->in[1].data)[i] *
                    ((const double *)b->data)[k * row + j * step];
    }
    return SL_OK;
}

#define SEGMENT_OP(name)                                                                 \
    {                                                                                    \
        name, 0, 1 << 2 | 1 << 3, segments_configure, segments_shape, segments_run, NULL \
    }

const sl_op sl_ops_sparse_rows[] = {
    {"SparseReshape", SL_OP_MAKES, 0, reshape_sparse_configure, NULL, reshape_sparse_run, NULL},
    {"SparseFillEmptyRows", SL_OP_MAKES, 0, fill_rows_configure, NULL, fill_rows_run, NULL},
    {"SparseReorder", 0, 0, reorder_configure, reorder_shape, reorder_run, NULL},
    SEGMENT_OP("SparseSegmentSum"),
    SEGMENT_OP("SparseSegmentMean"),
    SEGMENT_OP("SparseSegmentSqrtN"),
    SEGMENT_OP("SparseSegmentSumWithNumSegments"),
    SEGMENT_OP("SparseSegmentMeanWithNumSegments"),
    {"SparseTensorDenseMatMul", 0, 1 << 2, product_configure, product_shape, product_run, NULL},
    {0},
};
