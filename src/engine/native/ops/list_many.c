/*
 * list_many.c - TensorLists: all items of a list, or several, at once
 */
#include "engine/native/ops/list.h"

/* ---- all items ---- */

static sl_code stack_configure(sl_op_node *n, sl_status *st)
{
    bool gather = strcmp(n->op->name, "TensorListGather") == 0;
    sl_code rc = gather ? sl_list_configure(n, 3, 1, 6, st) : sl_list_configure(n, 2, 1, 2, st);
    const sl_list_config *cfg = n->config;
    if (!rc && cfg->dtype == SL_DT_VARIANT)
        rc = sl_ops_unsupported(cfg->dtype, st);
    if (!rc)
        n->out_types[0] = cfg->dtype;
    return rc;
}

static void put_item(char *to, const sl_tensor *item, size_t size)
{
    if (size && item == NULL)
        memset(to, 0, size);
    else if (size)
        memcpy(to, item->data, size);
}

/* Strings of items live in the items, which the list holds until the run is over. */
static void hold_items(sl_op_call *c, sl_list *l)
{
    sl_arena_on_reset(c->arena, (void (*)(void *))sl_buffer_release, sl_buffer_acquire(&l->buffer));
}

/* Joins the items whose positions are `at`, or all of them. */
static sl_code join_items(sl_op_call *c, sl_list *l, const sl_tensor *at, sl_partial *shape,
                          sl_status *st)
{
    int64_t n = at ? at->dims[0] : l->n;
    sl_tensor *out = &c->out[0];
    sl_shape_buf a;
    for (int64_t i = 0; i < n; i++) {
        int64_t k = at ? sl_ops_int(at, i) : i;
        if (k < 0 || k >= l->n)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Index %lld out o range; list only has %lld elements.", (long long)k,
                           (long long)l->n);
        const sl_tensor *item = sl_list_item(l, k);
        if (item != NULL && !sl_partial_merge(shape, item->rank, item->dims))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tried to stack elements with incompatible shapes: %s and others",
                           sl_ops_shape(item, &a));
    }
    if (!sl_partial_is_whole(shape))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to %s list which only contains uninitialized tensors and has a "
                       "non-fully-defined element shape: %s",
                       at ? "gather from" : "stack", sl_partial_text(shape, &a));
    sl_list_set_dims(out, l->dtype, 0, NULL);
    sl_code rc = sl_ops_push_dim(out, n, st);
    for (int i = 0; i < shape->rank && !rc; i++)
        rc = sl_ops_push_dim(out, shape->dims[i], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    size_t row = n ? out->size / (size_t)n : 0;
    for (int64_t i = 0; i < n && !rc; i++)
        put_item((char *)out->data + (size_t)i * row, sl_list_item(l, at ? sl_ops_int(at, i) : i),
                 row);
    if (l->dtype == SL_DT_STRING)
        hold_items(c, l);
    return rc;
}

static sl_code stack_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    bool gather = c->node->n_in == 3;
    sl_list *l;
    sl_partial shape;
    sl_shape_buf a, b;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_partial_read(&c->in[gather ? 2 : 1], &shape, st);
    if (rc)
        return rc;
    if (gather && c->in[1].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "indices must be a vector");
    if (!gather && cfg->count != -1 && l->n != cfg->count)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Operation expected a list with %lld elements but got a list with %lld "
                       "elements.",
                       (long long)cfg->count, (long long)l->n);
    if (!sl_partial_merge(&shape, l->shape.rank, l->shape.dims))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to stack elements of shape %s as elements of shape %s",
                       sl_partial_text(&l->shape, &a), sl_partial_text(&shape, &b));
    if (!sl_partial_is_whole(&shape) && (gather ? c->in[1].dims[0] : l->n) == 0)
        return sl_fail(
            st, SL_INVALID_ARGUMENT, "Tried to %s elements %s non-fully-defined element_shape: %s",
            gather ? "gather 0-" : "stack", gather ? "from a list with" : "of an empty list with",
            sl_partial_text(&shape, &a));
    return join_items(c, l, gather ? &c->in[1] : NULL, &shape, st);
}

/* ---- many items at once ---- */

static sl_code scatter_list_configure(sl_op_node *n, sl_status *st)
{
    bool into = strcmp(n->op->name, "TensorListScatterIntoExistingList") == 0;
    return into ? sl_list_configure(n, 3, 1, 4, st) : sl_list_configure(n, 4, 0, 14, st);
}

static sl_code scatter_list_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    bool into = c->node->n_in == 3;
    const sl_tensor *t = &c->in[into ? 1 : 0], *at = &c->in[into ? 2 : 1];
    sl_list *from = NULL;
    sl_partial shape;
    sl_code rc = into ? sl_list_input(c, &from, st) : sl_partial_read(&c->in[2], &shape, st);
    if (!rc)
        rc = sl_list_want_rows(c, t, into ? &from->shape : &shape, st);
    if (!rc && (at->rank != 1 || at->dims[0] != t->dims[0]))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Invalid number of rows in input tensor. Expected: %lld Actual: %lld",
                     (long long)(at->rank == 1 ? at->dims[0] : 0), (long long)t->dims[0]);
    if (!rc && !into)
        rc = sl_list_want_scalar(&c->in[3], "num_elements", st);
    if (rc)
        return rc;
    int64_t n = into ? from->n : SL_MAX(sl_ops_int(&c->in[3], 0), 0);
    for (int64_t i = 0; i < at->dims[0]; i++) {
        if (sl_ops_int(at, i) < 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Indices in TensorListScatter must all be non-negative.");
        n = SL_MAX(n, sl_ops_int(at, i) + 1);
    }
    sl_list *l = into ? sl_list_resized(from, n, c->arena->limit)
                      : sl_list_try_new(cfg->dtype, &shape, n, c->arena->limit);
    for (int64_t i = 0; l != NULL && i < at->dims[0] && !rc; i++)
        rc = sl_list_put_row(c, &l, sl_ops_int(at, i), t, i, st);
    if (rc && l != NULL)
        sl_buffer_release(&l->buffer);
    return rc ? rc : sl_list_give(c, l, st);
}

static sl_code split_list_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 3, 0, 6, st);
}

static sl_code split_list_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    const sl_tensor *t = &c->in[0], *lengths = &c->in[2];
    sl_partial shape;
    sl_code rc = sl_partial_read(&c->in[1], &shape, st);
    if (!rc)
        rc = sl_list_check_item(c, t, st);
    if (!rc && (t->rank < 1 || lengths->rank != 1))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Tensor must be at least a vector, and lengths a vector");
    if (rc)
        return rc;
    int64_t at = 0;
    sl_list *l = sl_list_try_new(cfg->dtype, &shape, lengths->dims[0], c->arena->limit);
    for (int64_t i = 0; l != NULL && i < lengths->dims[0] && !rc; i++) {
        int64_t rows = sl_ops_int(lengths, i);
        sl_tensor item;
        if (rows < 0)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Invalid value in lengths: %lld. Lengths must be non-negative.",
                         (long long)rows);
        else if (rows > t->dims[0] - at)
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Attempting to slice [%lld, %lld] from tensor with length %lld",
                         (long long)at, (long long)(at + rows), (long long)t->dims[0]);
        else
            rc = sl_list_copy_rows(t, at, rows, false, &item, st);
        at += rc ? 0 : rows;
        if (!rc && (l = sl_list_put(l, i, &item, c->arena->limit)) == NULL)
            rc = sl_ops_no_memory(st);
    }
    if (!rc && l != NULL && at != t->dims[0])
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Unused values in tensor. Length of tensor: %lld Values used: %lld",
                     (long long)t->dims[0], (long long)at);
    if (rc && l != NULL)
        sl_buffer_release(&l->buffer);
    return rc ? rc : sl_list_give(c, l, st);
}

static sl_code concat_list_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_list_configure(n, 3, 1, 6, st);
    const sl_list_config *cfg = n->config;
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "TensorListConcatV2 has %d outputs", n->n_out);
    if (!rc && cfg->dtype == SL_DT_VARIANT)
        rc = sl_ops_unsupported(cfg->dtype, st);
    if (!rc) {
        n->out_types[0] = cfg->dtype;
        n->out_types[1] = SL_DT_INT64;
    }
    return rc;
}

/* The lengths of the items go to output 1 first: they are what output 0 is made by. */
static sl_code measure_items(sl_op_call *c, sl_list *l, sl_partial *rest, int64_t *total,
                             sl_status *st)
{
    sl_shape_buf a, b;
    sl_list_set_dims(&c->out[1], SL_DT_INT64, 1, &l->n);
    sl_code rc = sl_ops_make(c, 1, st);
    for (int64_t i = 0; i < l->n && !rc; i++) {
        const sl_tensor *item = sl_list_item(l, i);
        if (item == NULL && i >= c->in[2].dims[0])
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "List contains uninitialized tensor at index %lld but leading_dims has "
                           "only %lld elements.",
                           (long long)i, (long long)c->in[2].dims[0]);
        if (item != NULL && item->rank < 1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Concat saw a scalar shape at index %lld but requires at least vectors.",
                           (long long)i);
        if (item != NULL && !sl_partial_merge(rest, item->rank - 1, item->dims + 1))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tried to concat tensors with unequal shapes: %s vs. %s",
                           sl_partial_text(rest, &a), sl_ops_shape(item, &b));
        int64_t rows = item ? item->dims[0] : sl_ops_int(&c->in[2], i);
        ((int64_t *)c->out[1].data)[i] = rows;
        if (rows < 0 || __builtin_add_overflow(*total, rows, total))
            return sl_fail(st, SL_INVALID_ARGUMENT, "the lengths of a list are out of range");
    }
    return rc;
}

static sl_code concat_list_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_partial shape, rest = {.rank = -1};
    sl_shape_buf b;
    int64_t total = 0;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_partial_read(&c->in[1], &shape, st);
    if (!rc && c->in[2].rank != 1)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "leading_dims must be a vector");
    if (!rc && shape.rank == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Concat requires elements to be at least vectors, found scalars instead.");
    if (!rc && shape.rank > 0)
        sl_partial_merge(&rest, shape.rank - 1, shape.dims + 1);
    if (!rc)
        rc = measure_items(c, l, &rest, &total, st);
    if (!rc && !sl_partial_is_whole(&rest))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "All except the first dimension must be fully defined when concating an empty "
                     "tensor list. element_shape: %s",
                     sl_partial_text(&shape, &b));
    if (rc)
        return rc;
    sl_list_set_dims(&c->out[0], l->dtype, 1, &total);
    for (int i = 0; i < rest.rank && !rc; i++)
        rc = sl_ops_push_dim(&c->out[0], rest.dims[i], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    size_t row = total ? c->out[0].size / (size_t)total : 0;
    char *to = c->out[0].data;
    for (int64_t i = 0; i < l->n && !rc; i++) {
        size_t size = (size_t)((const int64_t *)c->out[1].data)[i] * row;
        put_item(to, sl_list_item(l, i), size);
        to += size;
    }
    if (l->dtype == SL_DT_STRING)
        hold_items(c, l);
    return rc;
}

const sl_op sl_ops_list_many[] = {
    SL_LIST_OP("TensorListStack", stack_configure, stack_run),
    SL_LIST_OP("TensorListGather", stack_configure, stack_run),
    SL_LIST_OP("TensorListScatterV2", scatter_list_configure, scatter_list_run),
    SL_LIST_OP("TensorListScatterIntoExistingList", scatter_list_configure, scatter_list_run),
    SL_LIST_OP("TensorListSplit", split_list_configure, split_list_run),
    SL_LIST_OP("TensorListConcatV2", concat_list_configure, concat_list_run),
    {0},
};
