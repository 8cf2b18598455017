/*
 * string_join.c - strings of a tensor joined: ReduceJoin along dimensions, UnsortedSegmentJoin by ids
 */
#include "engine/native/ops/ops.h"

/* One string more: how long the whole becomes, in the first walk; its bytes, in the second. */
static bool grow(sl_str *whole, sl_str separator, bool first, sl_str s)
{
    return (first || sl_add_size(whole->n, separator.n, &whole->n)) &&
           sl_add_size(whole->n, s.n, &whole->n);
}

static void append(sl_str *whole, sl_str separator, bool first, sl_str s)
{
    if (whole->p == NULL) /* all are empty */
        return;
    char *end = (char *)(uintptr_t)whole->p + whole->n;
    if (!first && separator.n)
        end = (char *)memcpy(end, separator.p, separator.n) + separator.n;
    if (s.n)
        memcpy(end, s.p, s.n);
    whole->n += s.n + (first ? 0 : separator.n);
}

/* Memory for whole->n bytes; its length begins anew. Nothing needs none. */
static bool reserve(sl_arena *a, sl_str *whole)
{
    if (whole->n == 0)
        return true;
    char *p = sl_arena_try_alloc(a, whole->n);
    *whole = (sl_str){p, 0};
    return p != NULL;
}

/* ---- ReduceJoin (input, dimensions) ---- */

typedef struct join_config {
    bool keep_dims;
    sl_str separator;
} join_config;

static sl_code reduce_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T(STRING), st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T(INT32), st);
    if (rc)
        return rc;
    join_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->keep_dims = sl_node_bool(n->source, "keep_dims", false);
    n->config = cfg;
    n->out_types[0] = SL_DT_STRING;
    return sl_ops_keep_text(n, "separator", &cfg->separator) ? SL_OK : sl_ops_no_memory(st);
}

/* The dimensions to join along, in their order: the first one runs fastest. */
static sl_code read_axes(const sl_op_call *c, int *axes, int *count, bool *joined, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *given = &c->in[1];
    memset(joined, 0, SL_MAX_RANK * sizeof *joined);
    *count = 0;
    for (int64_t i = 0, n = sl_tensor_count(given); i < n; i++) {
        int64_t wanted = sl_ops_int(given, i), axis = wanted;
        if (!sl_ops_axis(&axis, in->rank))
            return sl_fail(st, SL_OUT_OF_RANGE,
                           "Invalid reduction dimension %lld for input with %d dimension(s)",
                           (long long)wanted, in->rank);
        if (joined[axis])
            return sl_fail(st, SL_INVALID_ARGUMENT, "Duplicate reduction dimension %lld",
                           (long long)wanted);
        joined[axis] = true;
        axes[(*count)++] = (int)axis;
    }
    return SL_OK;
}

static sl_code reduce_shape(sl_op_call *c, sl_status *st)
{
    const join_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    int axes[SL_MAX_RANK], count;
    bool joined[SL_MAX_RANK];
    sl_code rc = read_axes(c, axes, &count, joined, st);
    c->out[0].rank = 0;
    for (int i = 0; i < in->rank && !rc; i++)
        if (!joined[i] || cfg->keep_dims)
            rc = sl_ops_push_dim(&c->out[0], joined[i] ? 1 : in->dims[i], st);
    return rc ? rc : sl_ops_check_size(&c->out[0], st);
}

typedef struct walk {
    int rank;
    int64_t n[SL_MAX_RANK], stride[SL_MAX_RANK], count;
} walk;

static void walk_add(walk *w, int64_t n, int64_t stride)
{
    w->n[w->rank] = n;
    w->stride[w->rank++] = stride;
    w->count *= n;
}

/* Where the i-th element of the walk is. */
static int64_t walk_to(const walk *w, int64_t i)
{
    int64_t at = 0;
    for (int d = w->rank - 1; d >= 0; d--) {
        at += i % w->n[d] * w->stride[d];
        i /= w->n[d];
    }
    return at;
}

static sl_code reduce_run(sl_op_call *c, sl_status *st)
{
    const join_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0];
    const sl_str *from = in->data;
    sl_str *out = c->out[0].data;
    int axes[SL_MAX_RANK], count;
    bool joined[SL_MAX_RANK];
    int64_t strides[SL_MAX_RANK];
    sl_code rc = read_axes(c, axes, &count, joined, st);
    if (rc || c->out[0].size == 0)
        return rc;
    walk left = {.count = 1}, along = {.count = 1};
    sl_ops_strides(in->dims, in->rank, strides);
    for (int i = 0; i < in->rank; i++)
        if (!joined[i])
            walk_add(&left, in->dims[i], strides[i]);
    if (in->size == 0) /* joins nothing: any other extent may be large */
        along.count = 0;
    for (int i = count - 1; i >= 0 && along.count; i--)
        walk_add(&along, in->dims[axes[i]], strides[axes[i]]);
    for (int64_t i = 0, n = sl_tensor_count(&c->out[0]); i < n; i++) {
        int64_t first = along.count ? walk_to(&left, i) : 0;
        bool fits = true;
        out[i] = (sl_str){NULL, 0};
        for (int64_t k = 0; k < along.count; k++)
            fits &= grow(&out[i], cfg->separator, k == 0, from[first + walk_to(&along, k)]);
        if (!fits || !reserve(c->arena, &out[i]))
            return sl_ops_no_memory(st);
        for (int64_t k = 0; k < along.count; k++)
            append(&out[i], cfg->separator, k == 0, from[first + walk_to(&along, k)]);
    }
    return SL_OK;
}

/* ---- UnsortedSegmentJoin (input, ids, number of segments) ---- */

static sl_code segment_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 3, SL_T(STRING), st);
    for (int i = 1; i < 3 && !rc; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (rc)
        return rc;
    join_config *cfg = sl_ops_config(n, sizeof *cfg);
    n->config = cfg;
    n->out_types[0] = SL_DT_STRING;
    return sl_ops_keep_text(n, "separator", &cfg->separator) ? SL_OK : sl_ops_no_memory(st);
}

static sl_code segment_shape(sl_op_call *c, sl_status *st)
{
    const sl_tensor *in = &c->in[0], *ids = &c->in[1];
    if (sl_tensor_count(&c->in[2]) != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Number of segments must be a scalar");
    int64_t count = sl_ops_int(&c->in[2], 0);
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Number of segments must be non-negative but got %lld", (long long)count);
    if (ids->rank == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Segment_id cannot have rank 0");
    for (int i = 0; i < ids->rank; i++)
        if (i >= in->rank || ids->dims[i] != in->dims[i])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Segment dimension is %lld while input dimension is %d in rank %d",
                           (long long)ids->dims[i], in->rank, i);
    c->out[0].rank = 0;
    sl_code rc = sl_ops_push_dim(&c->out[0], count, st);
    for (int i = ids->rank; i < in->rank && !rc; i++)
        rc = sl_ops_push_dim(&c->out[0], in->dims[i], st);
    if (!rc)
        rc = sl_ops_check_size(&c->out[0], st);
    if (!rc) /* a byte for each result: does it have a string already? */
        c->scratch_size = (size_t)sl_shape_count(c->out[0].dims, c->out[0].rank, 1);
    return rc;
}

static sl_code segment_run(sl_op_call *c, sl_status *st)
{
    const join_config *cfg = c->node->config;
    const sl_tensor *in = &c->in[0], *ids = &c->in[1];
    int64_t rows = sl_tensor_count(ids), inner = sl_ops_product(in->dims, ids->rank, in->rank);
    int64_t count = c->out[0].dims[0], n = sl_tensor_count(&c->out[0]);
    sl_str *out = c->out[0].data;
    const sl_str *from = in->data;
    unsigned char *begun = c->scratch;
    for (int64_t i = 0; i < rows; i++)
        if (sl_ops_int(ids, i) >= count || sl_ops_int(ids, i) < 0)
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "segment_ids are not allowed to exceed num_segments or to have negative values.");
    for (int64_t i = 0; i < n; i++)
        out[i] = (sl_str){NULL, 0};
    for (int write = 0; write < 2 && n; write++) {
        memset(begun, 0, (size_t)n);
        for (int64_t i = 0; i < rows && inner; i++) {
            int64_t id = sl_ops_int(ids, i);
            for (int64_t k = 0; k < inner; k++) {
                int64_t to = id * inner + k;
                sl_str s = from[i * inner + k];
                if (write)
                    append(&out[to], cfg->separator, !begun[to], s);
                else if (!grow(&out[to], cfg->separator, !begun[to], s))
                    return sl_ops_no_memory(st);
                begun[to] = 1;
            }
        }
        for (int64_t i = 0; i < n && !write; i++)
            if (!reserve(c->arena, &out[i]))
                return sl_ops_no_memory(st);
    }
    return SL_OK;
}

const sl_op sl_ops_string_join[] = {
    {"ReduceJoin", 0, 1 << 1, reduce_configure, reduce_shape, reduce_run, NULL},
    {"UnsortedSegmentJoin", 0, 1 << 2, segment_configure, segment_shape, segment_run, NULL},
    {0},
};
