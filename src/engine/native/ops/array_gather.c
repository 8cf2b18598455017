/*
 * array_gather.c - rows by index: GatherV2, GatherNd, and their inverse, ScatterNd
 *
 * An index outside the range is an error, negative ones too, as on TensorFlow's CPU.
 */
#include <stdio.h>

#include "engine/native/ops/gather.h"
#include "engine/native/ops/ops.h"

/* ---- GatherV2, Gather ---- */

static sl_code gather_configure(sl_op_node *n, sl_status *st)
{
    bool has_axis = strcmp(n->op->name, "GatherV2") == 0;
    sl_code rc = sl_ops_check(n, has_axis ? 3 : 2, SL_T_PLAIN, st);
    for (int i = 1; !rc && i < n->n_in; i++)
        rc = sl_ops_check_input(n, i, SL_T_INDEX | (i == 1 ? SL_T(INT16) | SL_T(UINT16) : 0), st);
    if (rc)
        return rc;
    int64_t *batch_dims = sl_ops_config(n, sizeof *batch_dims);
    *batch_dims = has_axis ? sl_node_int(n->source, "batch_dims", 0) : 0;
    n->config = batch_dims;
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

sl_code sl_gather_shape(const sl_tensor *params, const sl_tensor *indices, int64_t axis,
                        int64_t batch_dims, sl_tensor *out, sl_gather *g, sl_status *st)
{
    int64_t given = axis, batch = batch_dims;
    if (!sl_ops_axis(&axis, params->rank))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Shape must be at least rank %lld but is rank %d",
                       (long long)(given < 0 ? -given : given + 1), params->rank);
    if (batch < -indices->rank || batch > indices->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected batch_dims in the range [-%d, %d], but got %lld", indices->rank,
                       indices->rank, (long long)batch);
    batch += batch < 0 ? indices->rank : 0;
    if (batch > params->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "batch_dims (%lld) must be less than rank(params) (%d).", (long long)batch,
                       params->rank);
    if (axis < batch)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "batch_dims (%lld) must be less than or equal to axis (%lld).",
                       (long long)batch, (long long)axis);
    for (int64_t i = 0; i < batch; i++)
        if (params->dims[i] != indices->dims[i])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "params.shape[%lld]: %lld should be equal to indices.shape[%lld]: %lld",
                           (long long)i, (long long)params->dims[i], (long long)i,
                           (long long)indices->dims[i]);
    sl_code rc = SL_OK;
    out->rank = 0;
    for (int i = 0; !rc && i < axis; i++)
        rc = sl_ops_push_dim(out, params->dims[i], st);
    for (int i = (int)batch; !rc && i < indices->rank; i++)
        rc = sl_ops_push_dim(out, indices->dims[i], st);
    for (int i = (int)axis + 1; !rc && i < params->rank; i++)
        rc = sl_ops_push_dim(out, params->dims[i], st);
    *g = (sl_gather){.batch = sl_ops_product(params->dims, 0, (int)batch),
                     .outer = sl_ops_product(params->dims, (int)batch, (int)axis),
                     .limit = params->dims[axis],
                     .count = sl_ops_product(indices->dims, (int)batch, indices->rank),
                     .row = (size_t)sl_ops_product(params->dims, (int)axis + 1, params->rank) *
                            sl_dtype_size(params->dtype)};
    return rc ? rc : sl_ops_check_size(out, st);
}

/* "indices[0,1] = 7 is not in [0, 3)" */
static sl_code bad_index(const sl_tensor *indices, int64_t at, int64_t limit, sl_status *st)
{
    int64_t where[SL_MAX_RANK], left = at;
    sl_shape_buf b;
    for (int i = indices->rank - 1; i >= 0; i--) {
        where[i] = left % indices->dims[i];
        left /= indices->dims[i];
    }
    return sl_fail(st, SL_INVALID_ARGUMENT, "indices%s = %lld is not in [0, %lld)",
                   indices->rank ? sl_shape_text(where, indices->rank, b.text, sizeof b.text) : "",
                   (long long)sl_ops_int(indices, at), (long long)limit);
}

sl_code sl_gather_run(const sl_tensor *params, const sl_tensor *indices, const sl_gather *g,
                      void *out, sl_status *st)
{
    char *to = out;
    for (int64_t i = 0; i < g->batch * g->count; i++) {
        int64_t index = sl_ops_int(indices, i);
        if (index < 0 || index >= g->limit)
            return bad_index(indices, i, g->limit, st);
    }
    if (g->row == 0)
        return SL_OK;
    for (int64_t b = 0; b < g->batch; b++)
        for (int64_t o = 0; o < g->outer; o++) {
            const char *from =
                (const char *)params->data + (size_t)((b * g->outer + o) * g->limit) * g->row;
            for (int64_t i = 0; i < g->count; i++, to += g->row)
                memcpy(to, from + (size_t)sl_ops_int(indices, b * g->count + i) * g->row, g->row);
        }
    return SL_OK;
}

static sl_code gather_plan(sl_op_call *c, sl_tensor *out, sl_gather *g, sl_status *st)
{
    int64_t axis = 0;
    if (c->node->n_in == 3) {
        if (sl_shape_count(c->in[2].dims, c->in[2].rank, 1) != 1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "axis must be scalar");
        axis = sl_ops_int(&c->in[2], 0);
    }
    return sl_gather_shape(&c->in[0], &c->in[1], axis, *(const int64_t *)c->node->config, out, g,
                           st);
}

static sl_code gather_shape(sl_op_call *c, sl_status *st)
{
    sl_gather g;
    return gather_plan(c, &c->out[0], &g, st);
}

static sl_code gather_run(sl_op_call *c, sl_status *st)
{
    sl_gather g;
    sl_tensor shape = {.dtype = c->out[0].dtype};
    sl_code rc = gather_plan(c, &shape, &g, st);
    return rc ? rc : sl_gather_run(&c->in[0], &c->in[1], &g, c->out[0].data, st);
}

/* ---- GatherNd ---- */

static sl_code gather_nd_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_ops_check(n, 2, SL_T_PLAIN, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_INDEX, st);
    if (rc)
        return rc;
    sl_str policy = sl_node_str(n->source, "bad_indices_policy", "");
    if (policy.n && !sl_str_is(policy, "DEFAULT") && !sl_str_is(policy, "ERROR"))
        return sl_fail(st, SL_FAILED_PRECONDITION, "bad_indices_policy \"%.*s\" is not supported",
                       SL_STR_ARG(policy));
    n->out_types[0] = n->in_types[0];
    return SL_OK;
}

sl_code sl_gather_nd_shape(const sl_tensor *params, const sl_tensor *indices, sl_tensor *out,
                           sl_status *st)
{
    if (indices->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "indices must be at least a vector");
    if (params->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "params must be at least a vector");
    int64_t depth = indices->dims[indices->rank - 1];
    if (depth > params->rank)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "index innermost dimension length must be <= params rank; saw: %lld vs. %d",
                       (long long)depth, params->rank);
    sl_code rc = SL_OK;
    out->rank = 0;
    for (int i = 0; !rc && i < indices->rank - 1; i++)
        rc = sl_ops_push_dim(out, indices->dims[i], st);
    for (int i = (int)depth; !rc && i < params->rank; i++)
        rc = sl_ops_push_dim(out, params->dims[i], st);
    return rc ? rc : sl_ops_check_size(out, st);
}

static sl_code gather_nd_shape(sl_op_call *c, sl_status *st)
{
    return sl_gather_nd_shape(&c->in[0], &c->in[1], &c->out[0], st);
}

/* Position of row i in `dims`, counted in rows of what follows the index; -1: outside. */
static int64_t nd_row(const sl_tensor *indices, int64_t i, int64_t depth, const int64_t *dims)
{
    int64_t row = 0;
    for (int64_t d = 0; d < depth; d++) {
        int64_t index = sl_ops_int(indices, i * depth + d);
        if (index < 0 || index >= dims[d])
            return -1;
        row = row * dims[d] + index;
    }
    return row;
}

static sl_code bad_nd_index(const char *name, const sl_tensor *indices, int64_t i, int64_t depth,
                            const char *shape, sl_status *st)
{
    int64_t values[SL_MAX_RANK], where[SL_MAX_RANK], left = i;
    sl_shape_buf a;
    char spaced[512] = "[";
    size_t at = 1;
    for (int64_t d = 0; d < depth; d++)
        values[d] = sl_ops_int(indices, i * depth + d);
    for (int d = indices->rank - 2; d >= 0; d--) {
        where[d] = left % indices->dims[d];
        left /= indices->dims[d];
    }
    /* TensorFlow writes these with a blank behind each comma. */
    for (int64_t d = 0; d < depth; d++)
        at += (size_t)snprintf(spaced + at, sizeof spaced - at, d ? ", %lld" : "%lld",
                               (long long)values[d]);
    snprintf(spaced + at, sizeof spaced - at, "]");
    return sl_fail(
        st, SL_INVALID_ARGUMENT, "indices%s = %s does not index into param shape %s, node name: %s",
        sl_shape_text(where, indices->rank - 1, a.text, sizeof a.text), spaced, shape, name);
}

sl_code sl_gather_nd_run(const char *name, const sl_tensor *params, const sl_tensor *indices,
                         void *out, sl_status *st)
{
    int64_t depth = indices->dims[indices->rank - 1];
    int64_t count = sl_ops_product(indices->dims, 0, indices->rank - 1);
    size_t row = (size_t)sl_ops_product(params->dims, (int)depth, params->rank) *
                 sl_dtype_size(params->dtype);
    char *to = out;
    sl_shape_buf b;
    if (depth == 0 && row == 0) /* neither indices to check nor rows to copy, however many */
        return SL_OK;
    for (int64_t i = 0; i < count; i++) {
        int64_t from = nd_row(indices, i, depth, params->dims);
        if (from < 0)
            return bad_nd_index(name, indices, i, depth, sl_ops_shape(params, &b), st);
        if (row)
            memcpy(to + (size_t)i * row, (const char *)params->data + (size_t)from * row, row);
    }
    return SL_OK;
}

static sl_code gather_nd_run(sl_op_call *c, sl_status *st)
{
    return sl_gather_nd_run(c->node->name, &c->in[0], &c->in[1], c->out[0].data, st);
}

const sl_op sl_ops_array_gather[] = {
    {"GatherV2", 0, 1 << 2, gather_configure, gather_shape, gather_run, NULL},
    {"Gather", 0, 0, gather_configure, gather_shape, gather_run, NULL},
    {"GatherNd", 0, 0, gather_nd_configure, gather_nd_shape, gather_nd_run, NULL},
    {0},
};
