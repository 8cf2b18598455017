/*
 * ops.c - what the op families share
 */
#include "engine/native/ops/ops.h"

sl_code(sl_ops_unsupported)(sl_dtype t, sl_status *st)
{
    return sl_fail(st, SL_FAILED_PRECONDITION, "dtype %s is not supported", sl_dtype_name(t));
}

sl_code(sl_ops_no_memory)(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "no memory for a step of the model");
}

sl_code sl_ops_check_input(const sl_op_node *n, int i, sl_types types, sl_status *st)
{
    return sl_types_has(types, n->in_types[i]) ? SL_OK : sl_ops_unsupported(n->in_types[i], st);
}

sl_code sl_ops_check(const sl_op_node *n, int n_in, sl_types types, sl_status *st)
{
    if (n->n_in != n_in)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs where %d are expected",
                       n->op->name, n->n_in, n_in);
    if (n->n_out < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s has no output", n->op->name);
    return n_in ? sl_ops_check_input(n, 0, types, st) : SL_OK;
}

sl_code sl_ops_check_same(const sl_op_node *n, int from, int to, sl_status *st)
{
    for (int i = from + 1; i < to; i++)
        if (n->in_types[i] != n->in_types[from])
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s mixes dtypes %s and %s", n->op->name,
                           sl_dtype_name(n->in_types[from]), sl_dtype_name(n->in_types[i]));
    return SL_OK;
}

sl_code sl_ops_check_all(const sl_op_node *n, int n_in, sl_types types, sl_status *st)
{
    sl_code rc = sl_ops_check(n, n_in, types, st);
    return rc ? rc : sl_ops_check_same(n, 0, n_in, st);
}

void *sl_ops_config(sl_op_node *n, size_t size)
{
    void *p = sl_arena_alloc(n->arena, size);
    return memset(p, 0, size);
}

bool sl_ops_keep_text(sl_op_node *n, const char *name, sl_str *out)
{
    sl_str s = sl_node_str(n->source, name, "");
    char *copy = sl_arena_try_strndup(n->arena, s.p ? s.p : "", s.n);
    *out = (sl_str){copy, s.n};
    return copy != NULL;
}

sl_code sl_ops_check_size(const sl_tensor *out, sl_status *st)
{
    sl_shape_buf b;
    size_t element = sl_dtype_size(out->dtype);
    if (sl_shape_count(out->dims, out->rank, element ? element : 1) < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape %s is too large", sl_ops_shape(out, &b));
    return SL_OK;
}

sl_code sl_ops_push_dim(sl_tensor *out, int64_t dim, sl_status *st)
{
    if (out->rank >= SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a result of rank %d is not supported: at most %d",
                       out->rank + 1, SL_MAX_RANK);
    out->dims[out->rank++] = dim;
    return SL_OK;
}

sl_code sl_ops_make_vector(sl_op_call *c, int k, int64_t n, sl_status *st)
{
    c->out[k].rank = 1;
    c->out[k].dims[0] = n;
    return sl_ops_make(c, k, st);
}

sl_code sl_ops_make(sl_op_call *c, int k, sl_status *st)
{
    sl_tensor *t = &c->out[k];
    sl_code rc = sl_ops_check_size(t, st);
    if (rc)
        return rc;
    t->size = (size_t)sl_shape_count(t->dims, t->rank, 1) * sl_dtype_size(t->dtype);
    /* Kernels may read aligned vectors: 64 bytes, which the arena does not promise. */
    char *p = sl_arena_try_alloc(c->arena, t->size + 64);
    if (p == NULL)
        return sl_ops_no_memory(st);
    t->data = p + (64 - (uintptr_t)p % 64) % 64;
    return SL_OK;
}

bool sl_ops_broadcast(const sl_tensor *a, const sl_tensor *b, sl_tensor *out)
{
    int64_t dims[SL_MAX_RANK];
    int rank = SL_MAX(a->rank, b->rank);
    for (int i = 0; i < rank; i++) { /* from the last */
        int64_t x = i < a->rank ? a->dims[a->rank - 1 - i] : 1;
        int64_t y = i < b->rank ? b->dims[b->rank - 1 - i] : 1;
        if (x != y && x != 1 && y != 1)
            return false;
        dims[rank - 1 - i] = x == 1 ? y : x;
    }
    out->rank = rank;
    memcpy(out->dims, dims, sizeof dims);
    return true;
}

sl_code sl_ops_shape_like_first(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int k = 0; k < c->node->n_out; k++)
        sl_ops_same_shape(&c->out[k], &c->in[0]);
    return SL_OK;
}

sl_code sl_ops_shape_scalar(sl_op_call *c, sl_status *st)
{
    (void)st;
    for (int k = 0; k < c->node->n_out; k++)
        c->out[k].rank = 0;
    return SL_OK;
}

sl_code sl_ops_shape_none(sl_op_call *c, sl_status *st)
{
    (void)c;
    (void)st;
    return SL_OK;
}

sl_code sl_ops_copy_first(sl_op_call *c, sl_status *st)
{
    (void)st;
    if (c->out[0].size && c->out[0].data != c->in[0].data)
        memcpy(c->out[0].data, c->in[0].data, c->out[0].size);
    return SL_OK;
}
