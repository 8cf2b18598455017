/*
 * scan.c - Cumsum, Cumprod, CumulativeLogsumexp, and sums by segment
 */
#include <float.h>
#include <math.h>

#include "engine/native/kernels/half.h"
#include "engine/native/ops/ops.h"

#define SCAN_TYPES (SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(INT32) | SL_T(INT64))

/* ---- Cumsum, Cumprod ---- */

typedef struct scan_config {
    bool exclusive, reverse, product;
} scan_config;

static sl_code read_scan(sl_op_node *n, sl_types types, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, types, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    scan_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->exclusive = sl_node_bool(n->source, "exclusive", false);
    cfg->reverse = sl_node_bool(n->source, "reverse", false);
    cfg->product = strcmp(n->op->name, "Cumprod") == 0;
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code scan_configure(sl_op_node *n, sl_status *st)
{
    return read_scan(n, SCAN_TYPES, st);
}

static sl_code scan_shape(sl_op_call *c, sl_status *st)
{
    if (sl_shape_count(c->in[1].dims, c->in[1].rank, 1) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ScanOp: axis must be a scalar, not a tensor of rank %d", c->in[1].rank);
    int64_t given = sl_ops_int(&c->in[1], 0), axis = given;
    if (!sl_ops_axis(&axis, c->in[0].rank))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ScanOp: Expected scan axis in the range [%d, %d), but got %lld",
                       -c->in[0].rank, c->in[0].rank, (long long)given);
    return sl_ops_shape_like_first(c, st);
}

#define SCAN(name, type, wide)                                                                     \
    static void name(const scan_config *cfg, const type *in, type *out, int64_t n, int64_t stride) \
    {                                                                                              \
        wide acc = cfg->product ? 1 : 0;                                                           \
        for (int64_t i = 0; i < n; i++) {                                                          \
            int64_t at = (cfg->reverse ? n - 1 - i : i) * stride;                                  \
            wide x = (wide)in[at], next = cfg->product ? acc * x : acc + x;                        \
            out[at] = (type)(cfg->exclusive ? acc : next);                                         \
            acc = next;                                                                            \
        }                                                                                          \
    }
SCAN(scan_f, float, float)
SCAN(scan_d, double, double)
SCAN(scan_i32, int32_t, uint32_t)
SCAN(scan_i64, int64_t, uint64_t)

static sl_code scan_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const scan_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int64_t axis = sl_ops_int(&c->in[1], 0);
    if (c->out[0].size == 0)
        return SL_OK;
    sl_ops_axis(&axis, in->rank);
    int64_t outer = sl_ops_product(in->dims, 0, (int)axis), n = in->dims[axis];
    int64_t inner = sl_ops_product(in->dims, (int)axis + 1, in->rank);
    size_t element = sl_dtype_size(in->dtype);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++) {
            size_t at = (size_t)(o * n * inner + i) * element;
            const void *from = (const char *)in->data + at;
            void *to = (char *)c->out[0].data + at;
            if (in->dtype == SL_DT_FLOAT)
                scan_f(cfg, from, to, n, inner);
            else if (in->dtype == SL_DT_DOUBLE)
                scan_d(cfg, from, to, n, inner);
            else if (in->dtype == SL_DT_INT32)
                scan_i32(cfg, from, to, n, inner);
            else
                scan_i64(cfg, from, to, n, inner);
        }
    return SL_OK;
}

/* ---- CumulativeLogsumexp ---- */

static sl_code logsumexp_configure(sl_op_node *n, sl_status *st)
{
    return read_scan(n, SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(HALF), st);
}

static double element(const sl_tensor *t, int64_t i)
{
    return t->dtype == SL_DT_DOUBLE  ? ((const double *)t->data)[i]
           : t->dtype == SL_DT_FLOAT ? (double)((const float *)t->data)[i]
                                     : (double)sl_half_to_float(((const uint16_t *)t->data)[i]);
}

/* Stores v and returns it as it was rounded. */
static double set_element(const sl_tensor *t, int64_t i, double v)
{
    if (t->dtype == SL_DT_DOUBLE)
        ((double *)t->data)[i] = v;
    else if (t->dtype == SL_DT_FLOAT)
        ((float *)t->data)[i] = (float)v;
    else
        ((uint16_t *)t->data)[i] = sl_float_to_half((float)v);
    return element(t, i);
}

static double add_exponents(double a, double b)
{
    double less = a < b ? a : b, more = a < b ? b : a;
    if (isnan(a) || isnan(b))
        return a + b;
    return more == -(double)INFINITY ? more : log1p(exp(less - more)) + more;
}

static void logsumexp_line(const scan_config *cfg, const sl_tensor *in, const sl_tensor *out,
                           int64_t first, int64_t n, int64_t stride)
{
    double sum = -(double)INFINITY;
    for (int64_t i = 0; i < n; i++) {
        int64_t at = first + (cfg->reverse ? n - 1 - i : i) * stride;
        double next = add_exponents(sum, element(in, at));
        double stored = set_element(out, at, cfg->exclusive ? sum : next);
        sum = cfg->exclusive ? next : stored;
    }
}

static sl_code logsumexp_run(sl_op_call *c, sl_status *st)
{
    (void)st;
    const sl_tensor *in = &c->in[0];
    int64_t axis = sl_ops_int(&c->in[1], 0);
    if (c->out[0].size == 0)
        return SL_OK;
    sl_ops_axis(&axis, in->rank);
    int64_t outer = sl_ops_product(in->dims, 0, (int)axis), n = in->dims[axis];
    int64_t inner = sl_ops_product(in->dims, (int)axis + 1, in->rank);
    for (int64_t o = 0; o < outer; o++)
        for (int64_t i = 0; i < inner; i++)
            logsumexp_line(c->node->config, in, &c->out[0], o * n * inner + i, n, inner);
    return SL_OK;
}

static int64_t logsumexp_cost(const sl_op_call *c)
{
    return sl_ops_cost(&c->out[0], 25);
}

/* ---- segments: rows of data are joined by their ids ---- */

typedef enum join_kind { JOIN_SUM, JOIN_MEAN, JOIN_MAX, JOIN_MIN, JOIN_PROD } join_kind;

typedef struct segment_config {
    join_kind kind;
    bool unsorted;
} segment_config;

static sl_code segment_configure(sl_op_node *n, sl_status *st)
{
    const char *name = n->op->name;
    bool unsorted = strncmp(name, "Unsorted", 8) == 0;
    sl_code rc = sl_ops_check(n, unsorted ? 3 : 2, SCAN_TYPES, st);
    for (int i = 1; !rc && i < n->n_in; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    segment_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->unsorted = unsorted;
    cfg->kind = strstr(name, "Mean")   ? JOIN_MEAN
                : strstr(name, "Max")  ? JOIN_MAX
                : strstr(name, "Min")  ? JOIN_MIN
                : strstr(name, "Prod") ? JOIN_PROD
                                       : JOIN_SUM;
    n->config = cfg;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

static sl_code segment_shape(sl_op_call *c, sl_status *st)
{
    const segment_config *cfg = c->node->config;
    const sl_tensor *data = &c->in[0], *ids = &c->in[1];
    sl_shape_buf a, b;
    int64_t count = 0;
    if (!cfg->unsorted && ids->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "segment_ids should be a vector.");
    if (!cfg->unsorted && (data->rank < 1 || ids->dims[0] != data->dims[0]))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "segment_ids should be the same size as dimension 0 of input.");
    bool prefix = ids->rank <= data->rank &&
                  memcmp(ids->dims, data->dims, (size_t)ids->rank * sizeof ids->dims[0]) == 0;
    if (!prefix)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "data.shape = %s does not start with segment_ids.shape = %s",
                       sl_ops_shape(data, &a), sl_ops_shape(ids, &b));
    if (cfg->unsorted) {
        if (sl_shape_count(c->in[2].dims, c->in[2].rank, 1) != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "num_segments should be a scalar, not shape %s",
                           sl_ops_shape(&c->in[2], &a));
        count = sl_ops_int(&c->in[2], 0);
        if (count < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Input num_segments == %lld must not be negative.", (long long)count);
    } else if (ids->dims[0] > 0) {
        int64_t last = sl_ops_int(ids, ids->dims[0] - 1);
        if (last < 0 || last == INT64_MAX)
            return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids must be >= 0");
        count = last + 1;
    }
    c->out[0].rank = 1 + data->rank - ids->rank;
    c->out[0].dims[0] = count;
    for (int i = ids->rank; i < data->rank; i++)
        c->out[0].dims[1 + i - ids->rank] = data->dims[i];
    if (c->out[0].rank > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the result has too many dimensions");
    if (count >= INT64_MAX / 8)
        return sl_ops_no_memory(st);
    c->scratch_size = cfg->kind == JOIN_MEAN ? (size_t)count * sizeof(int64_t) : 0;
    return sl_ops_check_size(&c->out[0], st);
}

#define JOIN(name, type, wide, lowest, highest)                               \
    static void name##_start(join_kind kind, type *o, int64_t n)              \
    {                                                                         \
        type v = kind == JOIN_MAX    ? lowest                                 \
                 : kind == JOIN_MIN  ? highest                                \
                 : kind == JOIN_PROD ? 1                                      \
                                     : 0;                                     \
        for (int64_t i = 0; i < n; i++)                                       \
            o[i] = v;                                                         \
    }                                                                         \
    static void name##_row(join_kind kind, const type *x, type *o, int64_t n) \
    {                                                                         \
        for (int64_t i = 0; i < n; i++)                                       \
            switch (kind) {                                                   \
            case JOIN_MAX:                                                    \
                o[i] = x[i] > o[i] ? x[i] : o[i];                             \
                break;                                                        \
            case JOIN_MIN:                                                    \
                o[i] = x[i] < o[i] ? x[i] : o[i];                             \
                break;                                                        \
            case JOIN_PROD:                                                   \
                o[i] = (type)((wide)o[i] * (wide)x[i]);                       \
                break;                                                        \
            default:                                                          \
                o[i] = (type)((wide)o[i] + (wide)x[i]);                       \
                break;                                                        \
            }                                                                 \
    }                                                                         \
    static void name##_mean(type *o, int64_t n, int64_t count)                \
    {                                                                         \
        for (int64_t i = 0; i < n; i++)                                       \
            o[i] = (type)(o[i] / (type)count);                                \
    }
JOIN(join_f, float, float, -FLT_MAX, FLT_MAX)
JOIN(join_d, double, double, -DBL_MAX, DBL_MAX)
JOIN(join_i32, int32_t, uint32_t, INT32_MIN, INT32_MAX)
JOIN(join_i64, int64_t, uint64_t, INT64_MIN, INT64_MAX)

#define BY_TYPE(t, suffix, ...)                             \
    ((t) == SL_DT_FLOAT    ? join_f_##suffix(__VA_ARGS__)   \
     : (t) == SL_DT_DOUBLE ? join_d_##suffix(__VA_ARGS__)   \
     : (t) == SL_DT_INT32  ? join_i32_##suffix(__VA_ARGS__) \
                           : join_i64_##suffix(__VA_ARGS__))

/* Sorted segments that nobody names are 0. */
static void clear_gaps(const sl_op_call *c, int64_t rows, size_t row_bytes)
{
    int64_t next = 0;
    for (int64_t i = 0; i < rows; i++) {
        int64_t id = sl_ops_int(&c->in[1], i);
        for (; next < id; next++)
            memset((char *)c->out[0].data + (size_t)next * row_bytes, 0, row_bytes);
        next = id + 1;
    }
}

static sl_code segment_run(sl_op_call *c, sl_status *st)
{
    const segment_config *cfg = c->node->config;
    const sl_tensor *data = &c->in[0], *ids = &c->in[1], *out = &c->out[0];
    int64_t rows = sl_shape_count(ids->dims, ids->rank, 1), last = 0;
    int64_t n = sl_ops_product(data->dims, ids->rank, data->rank), count = out->dims[0];
    size_t row_bytes = (size_t)n * sl_dtype_size(data->dtype);
    int64_t *counts = cfg->kind == JOIN_MEAN ? c->scratch : NULL;
    if (counts && count)
        memset(counts, 0, (size_t)count * sizeof *counts);
    BY_TYPE(data->dtype, start, cfg->kind, out->data, count * n);
    for (int64_t i = 0; i < rows; i++) {
        int64_t id = sl_ops_int(ids, i);
        if (cfg->unsorted && id < 0)
            continue;
        if (!cfg->unsorted && (id < last || id >= count))
            return sl_fail(st, SL_INVALID_ARGUMENT, "segment ids are not increasing");
        if (id >= count)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "segment_ids[%lld] = %lld is out of range [0, %lld)", (long long)i,
                           (long long)id, (long long)count);
        last = id;
        const void *from = (const char *)data->data + (size_t)i * row_bytes;
        void *to = (char *)out->data + (size_t)id * row_bytes;
        BY_TYPE(data->dtype, row, cfg->kind, from, to, n);
        if (counts)
            counts[id]++;
    }
    for (int64_t i = 0; counts && i < count; i++)
        if (counts[i] > 1) {
            void *to = (char *)out->data + (size_t)i * row_bytes;
            BY_TYPE(data->dtype, mean, to, n, counts[i]);
        }
    if (!cfg->unsorted && row_bytes)
        clear_gaps(c, rows, row_bytes);
    return SL_OK;
}

#define SORTED(name)                                                         \
    {                                                                        \
        name, 0, 1 << 1, segment_configure, segment_shape, segment_run, NULL \
    }
#define UNSORTED(name)                                                       \
    {                                                                        \
        name, 0, 1 << 2, segment_configure, segment_shape, segment_run, NULL \
    }

const sl_op sl_ops_scan[] = {
    {"Cumsum", SL_OP_IN_PLACE, 1 << 1, scan_configure, scan_shape, scan_run, NULL},
    {"Cumprod", SL_OP_IN_PLACE, 1 << 1, scan_configure, scan_shape, scan_run, NULL},
    {"CumulativeLogsumexp", SL_OP_IN_PLACE, 1 << 1, logsumexp_configure, scan_shape, logsumexp_run,
     logsumexp_cost},
    SORTED("SegmentSum"),
    SORTED("SegmentMean"),
    SORTED("SegmentMax"),
    SORTED("SegmentMin"),
    SORTED("SegmentProd"),
    UNSORTED("UnsortedSegmentSum"),
    UNSORTED("UnsortedSegmentMax"),
    UNSORTED("UnsortedSegmentMin"),
    UNSORTED("UnsortedSegmentProd"),
    {0},
};
