/*
 * ragged_parts.c - RaggedRange, RaggedTensorToSparse, RaggedGather
 *
 * A ragged tensor is a list of row splits, the outermost first, and the values of the innermost
 * rows: row r of a level is [splits[r], splits[r + 1]) of the level below.
 */
#include <assert.h>
#include <math.h>

#include "engine/native/ops/ops.h"

/* ---- RaggedRange (starts, limits, deltas): a row for each ---- */

static sl_code range_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check_all(n, 3, SL_T_INDEX | SL_T(FLOAT) | SL_T(DOUBLE), st);
    sl_dtype splits = sl_node_type(n->source, "Tsplits", SL_DT_INT64);
    if (!rc && !sl_types_has(SL_T_INDEX, splits))
        rc = sl_ops_unsupported(splits, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d outputs", n->op->name, n->n_out);
    if (rc)
        return rc;
    n->out_types[0] = splits;
    n->out_types[1] = n->in_types[0];
    return SL_OK;
}

static double real(const sl_tensor *t, int64_t i)
{
    return t->dtype == SL_DT_FLOAT ? (double)((const float *)t->data)[i]
                                   : ((const double *)t->data)[i];
}

/* How many numbers [start, limit) has in steps of delta: -1 if it cannot be said. */
static int64_t range_size(const sl_tensor *in, const int64_t at[3])
{
    if (sl_types_has(SL_T_INDEX, in->dtype)) {
        int64_t a = sl_ops_int(&in[0], at[0]), b = sl_ops_int(&in[1], at[1]);
        int64_t d = sl_ops_int(&in[2], at[2]);
        if (d > 0 ? b <= a : b >= a)
            return 0;
        assert(d != 0); /* the caller has looked */
        uint64_t span = d > 0 ? (uint64_t)b - (uint64_t)a : (uint64_t)a - (uint64_t)b;
        uint64_t step = d > 0 ? (uint64_t)d : 0 - (uint64_t)d, n = (span - 1) / step + 1;
        return n <= INT64_MAX ? (int64_t)n : -1;
    }
    double a = real(&in[0], at[0]), b = real(&in[1], at[1]), d = real(&in[2], at[2]);
    if ((d > 0 && b < a) || (d < 0 && b > a))
        return 0;
    double n = in->dtype == SL_DT_FLOAT ? (double)ceilf(fabsf(((float)b - (float)a) / (float)d))
                                        : ceil(fabs((b - a) / d));
    return n < 0x1p62 ? (int64_t)n : -1;
}

static bool is_zero(const sl_tensor *t, int64_t i)
{
    return sl_types_has(SL_T_INDEX, t->dtype) ? sl_ops_int(t, i) == 0 : real(t, i) == 0;
}

#define RANGE(name, type, wide)                                                  \
    static void name(const void *start, const void *delta, void *out, int64_t n) \
    {                                                                            \
        wide v = (wide) * (const type *)start, d = (wide) * (const type *)delta; \
        for (int64_t i = 0; i < n; i++, v += d)                                  \
            ((type *)out)[i] = (type)v;                                          \
    }
RANGE(range_f, float, float)
RANGE(range_d, double, double)
RANGE(range_i32, int32_t, uint32_t)
RANGE(range_i64, int64_t, uint64_t)

static sl_code check_range(const sl_op_call *c, int64_t *rows, sl_status *st)
{
    static const char *const names[] = {"starts", "limits", "deltas"};
    *rows = -1;
    for (int i = 0; i < 3; i++) {
        if (c->in[i].rank > 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar or vector", names[i]);
        if (c->in[i].rank == 0)
            continue;
        if (*rows >= 0 && c->in[i].dims[0] != *rows)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "starts, limits, and deltas must have the same shape");
        *rows = c->in[i].dims[0];
    }
    *rows = *rows < 0 ? 1 : *rows;
    return SL_OK;
}

static sl_code range_run(sl_op_call *c, sl_status *st)
{
    int64_t rows, total = 0;
    sl_code rc = check_range(c, &rows, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 0, rows + 1, st);
    if (rc)
        return rc;
    int64_t most = c->out[0].dtype == SL_DT_INT32 ? INT32_MAX : INT64_MAX;
    sl_ops_set_int(&c->out[0], 0, 0);
    for (int64_t r = 0; r < rows; r++) {
        int64_t at[3];
        for (int i = 0; i < 3; i++)
            at[i] = c->in[i].rank ? r : 0;
        if (is_zero(&c->in[2], at[2]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Requires delta != 0");
        int64_t n = range_size(c->in, at);
        if (n < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Requires ((limit - start) / delta) <= %lld",
                           (long long)INT64_MAX);
        if (__builtin_add_overflow(total, n, &total) || total > most)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "The total range size overflowed. Consider using int64 instead of int32 "
                           "for row_splits_dtype.");
        sl_ops_set_int(&c->out[0], r + 1, total);
    }
    rc = sl_ops_make_vector(c, 1, total, st);
    if (rc)
        return rc;
    size_t element = sl_dtype_size(c->in[0].dtype);
    void (*fn)(const void *, const void *, void *, int64_t) =
        c->in[0].dtype == SL_DT_FLOAT    ? range_f
        : c->in[0].dtype == SL_DT_DOUBLE ? range_d
        : c->in[0].dtype == SL_DT_INT32  ? range_i32
                                         : range_i64;
    for (int64_t r = 0; r < rows; r++) {
        int64_t from = sl_ops_int(&c->out[0], r);
        const char *start = c->in[0].data, *delta = c->in[2].data;
        fn(start + (c->in[0].rank ? (size_t)r * element : 0),
           delta + (c->in[2].rank ? (size_t)r * element : 0),
           (char *)c->out[1].data + (size_t)from * element, sl_ops_int(&c->out[0], r + 1) - from);
    }
    return SL_OK;
}

/* ---- RaggedTensorToSparse (splits ..., values) ---- */

static sl_code to_sparse_configure(sl_op_node *n, sl_status *st)
{
    if (n->n_in < 2 || n->n_out != 3)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs", n->op->name, n->n_in);
    if (n->n_in > SL_MAX_RANK)
        return sl_fail(st, SL_FAILED_PRECONDITION, "more than %d levels are not supported",
                       SL_MAX_RANK - 1);
    sl_code rc = sl_ops_check_input(n, 0, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, n->n_in - 1, st);
    if (!rc)
        rc = sl_ops_check_input(n, n->n_in - 1, SL_T_PLAIN, st);
    if (rc)
        return rc;
    n->out_types[0] = n->out_types[2] = SL_DT_INT64;
    n->out_types[1] = n->in_types[n->n_in - 1];
    return SL_OK;
}

/* The splits of all levels fit each other and the `n` rows of values. */
static sl_code check_splits(const sl_tensor *splits, int levels, int64_t n, sl_status *st)
{
    for (int k = 0; k < levels; k++) {
        const sl_tensor *t = &splits[k];
        int64_t below = k + 1 < levels ? splits[k + 1].dims[0] - 1 : n;
        if (sl_ops_int(t, 0) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "First value of ragged splits must be 0.");
        for (int64_t i = 1; i < t->dims[0]; i++)
            if (sl_ops_int(t, i) < sl_ops_int(t, i - 1))
                return sl_fail(st, SL_INVALID_ARGUMENT,
                               "Ragged splits should be non decreasing, but we got %lld followed "
                               "by %lld",
                               (long long)sl_ops_int(t, i - 1), (long long)sl_ops_int(t, i));
        if (sl_ops_int(t, t->dims[0] - 1) != below)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Final value of ragged splits must match the length the corresponding "
                           "ragged values.");
    }
    return SL_OK;
}

static sl_code to_sparse_run(sl_op_call *c, sl_status *st)
{
    int levels = c->node->n_in - 1;
    const sl_tensor *splits = c->in, *values = &c->in[levels];
    for (int k = 0; k < levels; k++)
        if (splits[k].rank != 1 || splits[k].dims[0] < 1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           splits[k].rank != 1 ? "ragged splits must be vectors"
                                               : "ragged splits may not be empty.");
    if (values->rank < 1)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Final value of ragged splits must match the length the corresponding ragged values.");
    sl_code rc = check_splits(splits, levels, values->dims[0], st);
    if (rc)
        return rc;
    int depth = levels + values->rank;
    int64_t n = sl_tensor_count(values), inner = sl_ops_product(values->dims, 1, values->rank);
    int64_t at[SL_MAX_RANK] = {0}, *to, *sizes;
    c->out[0].rank = 2;
    c->out[0].dims[0] = n;
    c->out[0].dims[1] = depth;
    rc = sl_ops_make(c, 0, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 1, n, st);
    if (!rc)
        rc = sl_ops_make_vector(c, 2, depth, st);
    if (rc)
        return rc;
    to = c->out[0].data;
    sizes = c->out[2].data;
    if (n)
        memcpy(c->out[1].data, values->data, values->size);
    sizes[0] = splits[0].dims[0] - 1;
    for (int k = 0; k < levels; k++) {
        sizes[k + 1] = 0;
        for (int64_t i = 1; i < splits[k].dims[0]; i++)
            sizes[k + 1] =
                SL_MAX(sizes[k + 1], sl_ops_int(&splits[k], i) - sl_ops_int(&splits[k], i - 1));
    }
    for (int d = 1; d < values->rank; d++)
        sizes[levels + d] = values->dims[d];
    /* at[k]: the row of level k that holds the present value; rows only ever advance. */
    for (int64_t r = 0; n && r < values->dims[0]; r++) {
        int64_t child = r, place[SL_MAX_RANK];
        for (int k = levels - 1; k >= 0; k--) {
            while (sl_ops_int(&splits[k], at[k] + 1) <= child)
                at[k]++;
            place[k + 1] = child - sl_ops_int(&splits[k], at[k]);
            child = at[k];
        }
        place[0] = child;
        for (int64_t i = 0; i < inner; i++) {
            int64_t left = i;
            for (int d = values->rank - 1; d >= 1; d--) {
                to[levels + d] = left % values->dims[d];
                left /= values->dims[d];
            }
            memcpy(to, place, (size_t)(levels + 1) * sizeof *to);
            to += depth;
        }
    }
    return SL_OK;
}

/* ---- RaggedGather (splits ..., values, indices): rows by number ---- */

static sl_code gather_configure(sl_op_node *n, sl_status *st)
{
    int64_t levels = sl_node_int(n->source, "PARAMS_RAGGED_RANK", 0);
    int64_t out_levels = sl_node_int(n->source, "OUTPUT_RAGGED_RANK", 0);
    if (levels < 1 || n->n_in != levels + 2 || n->n_out != out_levels + 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs and %d outputs", n->op->name,
                       n->n_in, n->n_out);
    if (out_levels < levels - 1 || levels > SL_MAX_RANK)
        return sl_fail(st, SL_FAILED_PRECONDITION, "so many levels are not supported");
    sl_code rc = sl_ops_check_input(n, 0, SL_T_INDEX, st);
    if (!rc)
        rc = sl_ops_check_same(n, 0, n->n_in - 2, st);
    if (!rc)
        rc = sl_ops_check_input(n, n->n_in - 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_input(n, n->n_in - 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    for (int k = 0; k < n->n_out - 1; k++)
        n->out_types[k] = n->in_types[0];
    n->out_types[n->n_out - 1] = n->in_types[n->n_in - 2];
    return SL_OK;
}

static sl_code check_gather(const sl_op_call *c, int levels, sl_status *st)
{
    const sl_tensor *values = &c->in[levels], *indices = &c->in[levels + 1];
    sl_shape_buf b;
    if (values->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "params.rank must be nonzero");
    for (int k = 0; k < levels; k++)
        if (c->in[k].rank != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "ragged splits must be vectors");
    int64_t rows = c->in[0].dims[0] - 1;
    for (int64_t i = 0, n = sl_tensor_count(indices); i < n; i++)
        if (sl_ops_int(indices, i) < 0 || sl_ops_int(indices, i) >= rows) {
            int64_t left = i, at[SL_MAX_RANK];
            for (int d = indices->rank - 1; d >= 0; d--) {
                at[d] = left % indices->dims[d];
                left /= indices->dims[d];
            }
            return sl_fail(st, SL_INVALID_ARGUMENT, "indices%s = %lld is not in [0, %lld)",
                           indices->rank ? sl_shape_text(at, indices->rank, b.text, sizeof b.text)
                                         : "",
                           (long long)sl_ops_int(indices, i), (long long)rows);
        }
    for (int k = 0; k < levels; k++) {
        const sl_tensor *t = &c->in[k];
        int64_t below = k + 1 < levels ? c->in[k + 1].dims[0] - 1 : values->dims[0];
        if (t->dims[0] < 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Ragged splits may not be empty");
        for (int64_t i = 0; i < t->dims[0]; i++) {
            int64_t v = sl_ops_int(t, i);
            if (v < 0)
                return sl_fail(st, SL_INVALID_ARGUMENT, "Ragged splits must be non-negative");
            if (i && v < sl_ops_int(t, i - 1))
                return sl_fail(st, SL_INVALID_ARGUMENT, "Ragged splits must be sorted");
            if (v > below)
                return sl_fail(st, SL_INVALID_ARGUMENT, "Ragged splits must not point past values");
        }
    }
    return SL_OK;
}

/* Rows [from, to) of a level. */
typedef struct span {
    int64_t from, to;
} span;

/* The rows of one level as spans of the level below, and their splits into output k. */
static sl_code descend(sl_op_call *c, const sl_tensor *splits, int k, span *spans, int64_t n,
                       sl_status *st)
{
    int64_t rows = 0;
    for (int64_t i = 0; i < n; i++)
        if (__builtin_add_overflow(rows, spans[i].to - spans[i].from, &rows) || rows == INT64_MAX)
            return sl_ops_no_memory(st);
    sl_code rc = sl_ops_make_vector(c, k, rows + 1, st);
    if (rc)
        return rc;
    int64_t at = 0, total = 0;
    int64_t most = c->out[k].dtype == SL_DT_INT32 ? INT32_MAX : INT64_MAX;
    sl_ops_set_int(&c->out[k], at++, 0);
    for (int64_t i = 0; i < n; i++) {
        for (int64_t r = spans[i].from; r < spans[i].to; r++) {
            if (__builtin_add_overflow(total, sl_ops_int(splits, r + 1) - sl_ops_int(splits, r),
                                       &total) ||
                total > most)
                return sl_ops_no_memory(st);
            sl_ops_set_int(&c->out[k], at++, total);
        }
        spans[i] = (span){sl_ops_int(splits, spans[i].from), sl_ops_int(splits, spans[i].to)};
    }
    return SL_OK;
}

/* Splits of the indices' own dimensions but the last: all rows of one length. */
static sl_code split_indices(sl_op_call *c, const sl_tensor *indices, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int d = 0; d + 1 < indices->rank && !rc; d++) {
        int64_t rows = sl_ops_product(indices->dims, 0, d + 1), length = indices->dims[d + 1], end;
        if (sl_shape_count(indices->dims, d + 1, 16) < 0 ||
            __builtin_mul_overflow(rows, length, &end) ||
            (c->out[d].dtype == SL_DT_INT32 && end > INT32_MAX))
            return sl_ops_no_memory(st);
        rc = sl_ops_make_vector(c, d, rows + 1, st);
        for (int64_t r = 0; r <= rows && !rc; r++)
            sl_ops_set_int(&c->out[d], r, r * length);
    }
    return rc;
}

static sl_code gather_run(sl_op_call *c, sl_status *st)
{
    int levels = c->node->n_in - 2, first = c->node->n_out - levels;
    const sl_tensor *values = &c->in[levels], *indices = &c->in[levels + 1];
    if (c->node->n_out - 1 != indices->rank + levels - 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected output_ragged_rank=%d but got output_ragged_rank=%d",
                       indices->rank + levels - 1, c->node->n_out - 1);
    sl_code rc = check_gather(c, levels, st);
    if (!rc)
        rc = split_indices(c, indices, st);
    if (rc)
        return rc;
    int64_t n = sl_tensor_count(indices), rows = 0;
    size_t bytes;
    span *spans = sl_mul_size((size_t)n + 1, sizeof *spans, &bytes)
                      ? sl_arena_try_alloc(c->arena, bytes)
                      : NULL;
    if (spans == NULL)
        return sl_ops_no_memory(st);
    for (int64_t i = 0; i < n; i++)
        spans[i] = (span){sl_ops_int(indices, i), sl_ops_int(indices, i) + 1};
    if (indices->rank == 0) /* one row: its own length is no output */
        spans[0] = (span){sl_ops_int(&c->in[0], spans[0].from), sl_ops_int(&c->in[0], spans[0].to)};
    for (int k = indices->rank == 0; k < levels && !rc; k++)
        rc = descend(c, &c->in[k], first - 1 + k, spans, n, st);
    for (int64_t i = 0; i < n && !rc; i++)
        if (__builtin_add_overflow(rows, spans[i].to - spans[i].from, &rows))
            rc = sl_ops_no_memory(st);
    if (rc)
        return rc;
    sl_tensor *out = &c->out[c->node->n_out - 1];
    sl_ops_same_shape(out, values);
    out->dims[0] = rows;
    rc = sl_ops_make(c, c->node->n_out - 1, st);
    if (rc || out->size == 0)
        return rc;
    assert(rows > 0); /* else there is nothing in it */
    size_t row = out->size / (size_t)rows;
    char *to = out->data;
    for (int64_t i = 0; i < n; i++) {
        size_t size = (size_t)(spans[i].to - spans[i].from) * row;
        if (size)
            memcpy(to, (const char *)values->data + (size_t)spans[i].from * row, size);
        to += size;
    }
    return SL_OK;
}

const sl_op sl_ops_ragged_parts[] = {
    {"RaggedRange", SL_OP_MAKES, 0, range_configure, NULL, range_run, NULL},
    {"RaggedTensorToSparse", SL_OP_MAKES, 0, to_sparse_configure, NULL, to_sparse_run, NULL},
    {"RaggedGather", SL_OP_MAKES, 0, gather_configure, NULL, gather_run, NULL},
    {0},
};
