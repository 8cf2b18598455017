/*
 * list.c - TensorLists are made, and read and written item by item
 *
 * All of them make their outputs during the run: a list is a pointer to something that is counted,
 * and what is taken out of one has the shape that was put in. An item that was never set reads as
 * zeros, where its shape is known.
 */
#include "engine/native/ops/list.h"

#define ITEM_TYPES (SL_T_PLAIN | SL_T(VARIANT))

/* ---- partial shapes ---- */

/* The value of an element_shape input: a vector, or a scalar -1 for "unknown". */
sl_code sl_partial_read(const sl_tensor *t, sl_partial *out, sl_status *st)
{
    int64_t n = t->rank == 1 ? t->dims[0] : 0;
    if (t->rank == 0) {
        if (sl_ops_int(t, 0) != -1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "The only valid scalar shape tensor is the fully unknown shape "
                           "specified as -1.");
        out->rank = -1;
        return SL_OK;
    }
    if (t->rank != 1 || n > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape must be a vector of at most %d elements",
                       SL_MAX_RANK);
    out->rank = (int)n;
    for (int64_t i = 0; i < n; i++) {
        out->dims[i] = sl_ops_int(t, i);
        if (out->dims[i] < -1)
            return sl_fail(st, SL_INVALID_ARGUMENT, "Dimension %lld must be >= -1",
                           (long long)out->dims[i]);
    }
    return SL_OK;
}

bool sl_partial_is_whole(const sl_partial *p)
{
    bool whole = p->rank >= 0;
    for (int i = 0; i < p->rank; i++)
        whole &= p->dims[i] >= 0;
    return whole;
}

/* Narrows `to` by what the other knows; false if they contradict each other. */
bool sl_partial_merge(sl_partial *to, int rank, const int64_t *dims)
{
    if (rank < 0)
        return true;
    if (to->rank < 0) {
        to->rank = rank;
        memcpy(to->dims, dims, (size_t)rank * sizeof *dims);
        return true;
    }
    bool fits = to->rank == rank;
    for (int i = 0; i < rank && fits; i++) {
        if (to->dims[i] < 0)
            to->dims[i] = dims[i];
        fits = dims[i] < 0 || to->dims[i] == dims[i];
    }
    return fits;
}

const char *sl_partial_text(const sl_partial *p, sl_shape_buf *b)
{
    return p->rank < 0 ? "<unknown>" : sl_shape_text(p->dims, p->rank, b->text, sizeof b->text);
}

static bool fits(const sl_partial *p, const sl_tensor *t)
{
    sl_partial copy = *p;
    return sl_partial_merge(&copy, t->rank, t->dims);
}

/* ---- checks ---- */

/* Inputs `lists` are lists, `shapes` are shapes or positions; both are bits. */
sl_code sl_list_configure(sl_op_node *n, int n_in, unsigned lists, unsigned ints, sl_status *st)
{
    sl_code rc = n->n_in == n_in && n->n_out >= 1
                     ? SL_OK
                     : sl_fail(st, SL_INVALID_ARGUMENT, "%s has %d inputs where %d are expected",
                               n->op->name, n->n_in, n_in);
    for (int i = 0; i < n_in && !rc; i++) {
        if (lists >> i & 1)
            rc = sl_ops_check_input(n, i, SL_T(VARIANT), st);
        else if (ints >> i & 1)
            rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    }
    if (rc)
        return rc;
    sl_list_config *cfg = sl_ops_config(n, sizeof *cfg);
    cfg->dtype = sl_dtype_base(sl_node_type(n->source, "element_dtype", SL_DT_INVALID));
    cfg->count = sl_node_int(n->source, "num_elements", -1);
    cfg->may_grow = sl_node_bool(n->source, "resize_if_index_out_of_bounds", false);
    n->config = cfg;
    n->out_types[0] = SL_DT_VARIANT;
    bool typed = strcmp(n->op->name, "TensorListLength") != 0 &&
                 strcmp(n->op->name, "TensorListElementShape") != 0 &&
                 strcmp(n->op->name, "TensorListResize") != 0;
    return !typed || sl_types_has(ITEM_TYPES, cfg->dtype) ? SL_OK
                                                          : sl_ops_unsupported(cfg->dtype, st);
}

sl_code sl_list_input(const sl_op_call *c, sl_list **l, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    *l = sl_list_of(&c->in[0]);
    if (*l == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 0 of %s is not a list", c->node->op->name);
    if (cfg->dtype != SL_DT_INVALID && cfg->dtype != (*l)->dtype)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Invalid data types; op elements %s but list elements %s",
                       sl_dtype_name(cfg->dtype), sl_dtype_name((*l)->dtype));
    return SL_OK;
}

sl_code sl_list_check_item(const sl_op_call *c, const sl_tensor *item, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    if (item->dtype != cfg->dtype)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Invalid data types; list elements %s but tried to "
                       "set %s",
                       sl_dtype_name(cfg->dtype), sl_dtype_name(item->dtype));
    return SL_OK;
}

static bool is_scalar(const sl_tensor *t)
{
    return sl_shape_count(t->dims, t->rank, 1) == 1;
}

sl_code sl_list_want_scalar(const sl_tensor *t, const char *what, sl_status *st)
{
    return is_scalar(t) ? SL_OK : sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar", what);
}

/* ---- giving ---- */

sl_code sl_list_give(sl_op_call *c, sl_list *l, sl_status *st)
{
    if (l == NULL)
        return sl_ops_no_memory(st);
    sl_list_lend(l, c->arena, &c->out[0]);
    return SL_OK;
}

/* Output k is the item itself, which stays until the end of the run. */
static void give_item(sl_op_call *c, int k, const sl_tensor *item)
{
    if (item->buffer != NULL)
        sl_arena_on_reset(c->arena, (void (*)(void *))sl_buffer_release,
                          sl_buffer_acquire(item->buffer));
    c->out[k] = *item;
    c->out[k].buffer = NULL;
}

void sl_list_set_dims(sl_tensor *t, sl_dtype dtype, int rank, const int64_t *dims)
{
    *t = (sl_tensor){.dtype = dtype, .rank = rank};
    if (rank)
        memcpy(t->dims, dims, (size_t)rank * sizeof *dims);
}

static sl_code give_zeros(sl_op_call *c, int k, sl_dtype dtype, const sl_partial *p, sl_status *st)
{
    if (dtype == SL_DT_VARIANT)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Trying to read an uninitialized element of a list of lists");
    sl_list_set_dims(&c->out[k], dtype, p->rank, p->dims);
    sl_code rc = sl_ops_make(c, k, st);
    if (rc == SL_OK && c->out[k].size)
        memset(c->out[k].data, 0, c->out[k].size);
    return rc;
}

/* ---- making lists ---- */

static sl_code reserve_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 2, 0, 3, st);
}

static sl_code reserve_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    bool empty = strcmp(c->node->op->name, "EmptyTensorList") == 0;
    sl_partial shape;
    sl_code rc = sl_partial_read(&c->in[0], &shape, st);
    if (!rc)
        rc = sl_list_want_scalar(&c->in[1], empty ? "max_num_elements" : "num_elements", st);
    if (rc)
        return rc;
    int64_t n = empty ? 0 : sl_ops_int(&c->in[1], 0);
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The num_elements to reserve must be a non negative number, but got %lld",
                       (long long)n);
    return sl_list_give(c, sl_list_try_new(cfg->dtype, &shape, n, c->arena->limit), st);
}

/* A copy of `rows` rows of `t` from row `at` on, of the shape [rows, ...], or [...] for one. */
sl_code sl_list_copy_rows(const sl_tensor *t, int64_t at, int64_t rows, bool one, sl_tensor *out,
                          sl_status *st)
{
    sl_tensor piece = *t;
    size_t row = t->dims[0] ? t->size / (size_t)t->dims[0] : 0;
    piece.data = (char *)t->data + (size_t)at * row;
    piece.size = (size_t)rows * row;
    piece.dims[0] = rows;
    if (one) {
        piece.rank--;
        memmove(piece.dims, piece.dims + 1, (size_t)piece.rank * sizeof piece.dims[0]);
    }
    piece.buffer = NULL;
    return sl_list_keep(&piece, out, st);
}

/* Puts a row of `t` in slot i. */
sl_code sl_list_put_row(sl_op_call *c, sl_list **l, int64_t i, const sl_tensor *t, int64_t at,
                        sl_status *st)
{
    sl_tensor item;
    sl_code rc = sl_list_copy_rows(t, at, 1, true, &item, st);
    if (rc)
        return rc;
    *l = sl_list_put(*l, i, &item, c->arena->limit);
    return *l ? SL_OK : sl_ops_no_memory(st);
}

sl_code sl_list_want_rows(const sl_op_call *c, const sl_tensor *t, const sl_partial *shape,
                          sl_status *st)
{
    sl_shape_buf a, b;
    sl_code rc = sl_list_check_item(c, t, st);
    if (rc)
        return rc;
    if (t->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tensor must be at least a vector, but saw shape: %s", sl_ops_shape(t, &a));
    sl_tensor row = *t;
    row.rank--;
    memmove(row.dims, row.dims + 1, (size_t)row.rank * sizeof row.dims[0]);
    if (!fits(shape, &row))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Specified a list with shape %s from a tensor with shape %s",
                       sl_partial_text(shape, &a), sl_ops_shape(&row, &b));
    return SL_OK;
}

static sl_code from_tensor_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 2, 0, 2, st);
}

static sl_code from_tensor_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    const sl_tensor *t = &c->in[0];
    sl_partial shape;
    sl_code rc = sl_partial_read(&c->in[1], &shape, st);
    if (!rc)
        rc = sl_list_want_rows(c, t, &shape, st);
    if (rc)
        return rc;
    sl_list *l = sl_list_try_new(cfg->dtype, &shape, t->dims[0], c->arena->limit);
    for (int64_t i = 0; l != NULL && i < t->dims[0] && !rc; i++)
        rc = sl_list_put_row(c, &l, i, t, i, st);
    if (rc && l != NULL)
        sl_buffer_release(&l->buffer);
    return rc ? rc : sl_list_give(c, l, st);
}

/* ---- one item ---- */

static sl_code get_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_list_configure(n, 3, 1, 6, st);
    if (!rc)
        n->out_types[0] = ((const sl_list_config *)n->config)->dtype;
    return rc;
}

/* What is known of the shape of an item that is not set: from the op, the list, the others. */
static sl_code shape_of_unset(const sl_list *l, sl_partial *shape, sl_status *st)
{
    sl_shape_buf a, b;
    if (!sl_partial_merge(shape, l->shape.rank, l->shape.dims))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes during merge: %s vs. %s",
                       sl_partial_text(shape, &a), sl_partial_text(&l->shape, &b));
    for (int64_t i = 0; i < l->n && !sl_partial_is_whole(shape); i++) {
        const sl_tensor *item = sl_list_item(l, i);
        if (item != NULL && !sl_partial_merge(shape, item->rank, item->dims))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes during merge: %s vs. %s",
                           sl_partial_text(shape, &a), sl_ops_shape(item, &b));
    }
    return SL_OK;
}

static sl_code get_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_partial shape;
    sl_shape_buf b;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_list_want_scalar(&c->in[1], "index", st);
    if (rc)
        return rc;
    int64_t i = sl_ops_int(&c->in[1], 0);
    if (i < 0 || i >= l->n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Trying to access element %lld in a list with %lld elements.", (long long)i,
                       (long long)l->n);
    const sl_tensor *item = sl_list_item(l, i);
    if (item != NULL) {
        give_item(c, 0, item);
        return SL_OK;
    }
    rc = sl_partial_read(&c->in[2], &shape, st);
    if (!rc)
        rc = shape_of_unset(l, &shape, st);
    if (!rc && !sl_partial_is_whole(&shape))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Trying to read an uninitialized element but element_shape is not fully "
                     "defined%s",
                     sl_partial_text(&shape, &b));
    return rc ? rc : give_zeros(c, 0, l->dtype, &shape, st);
}

static sl_code set_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 3, 1, 2, st);
}

/* A list as `l` with `n` slots, of which i holds a copy of `t`. */
static sl_code give_with(sl_op_call *c, const sl_list *l, int64_t n, int64_t i, const sl_tensor *t,
                         sl_status *st)
{
    sl_tensor item;
    sl_list *next = sl_list_resized(l, n, c->arena->limit);
    if (next == NULL)
        return sl_ops_no_memory(st);
    sl_code rc = sl_list_keep(t, &item, st);
    if (rc) {
        sl_buffer_release(&next->buffer);
        return rc;
    }
    return sl_list_give(c, sl_list_put(next, i, &item, c->arena->limit), st);
}

static sl_code set_run(sl_op_call *c, sl_status *st)
{
    const sl_list_config *cfg = c->node->config;
    const sl_tensor *item = &c->in[2];
    sl_list *l;
    sl_shape_buf a, b;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_list_check_item(c, item, st);
    if (!rc)
        rc = sl_list_want_scalar(&c->in[1], "index", st);
    if (rc)
        return rc;
    int64_t i = sl_ops_int(&c->in[1], 0);
    if (i < 0 || (i >= l->n && !cfg->may_grow))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Trying to modify element %lld in a list with %lld elements.", (long long)i,
                       (long long)l->n);
    if (!fits(&l->shape, item))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to set a tensor with incompatible shape at a list index. Item "
                       "element shape: %s list shape: %s",
                       sl_ops_shape(item, &a), sl_partial_text(&l->shape, &b));
    return give_with(c, l, SL_MAX(l->n, i + 1), i, item, st);
}

static sl_code push_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 2, 1, 0, st);
}

static sl_code push_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *item = &c->in[1];
    sl_list *l;
    sl_shape_buf a, b;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_list_check_item(c, item, st);
    if (rc)
        return rc;
    if (!fits(&l->shape, item))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to append a tensor with incompatible shape to a list. Op element "
                       "shape: %s list shape: %s",
                       sl_ops_shape(item, &a), sl_partial_text(&l->shape, &b));
    return give_with(c, l, l->n + 1, l->n, item, st);
}

static sl_code pop_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_list_configure(n, 2, 1, 2, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "TensorListPopBack has %d outputs", n->n_out);
    if (!rc)
        n->out_types[1] = ((const sl_list_config *)n->config)->dtype;
    return rc;
}

static sl_code pop_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_partial shape;
    sl_code rc = sl_list_input(c, &l, st);
    if (rc)
        return rc;
    if (l->n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Trying to pop from an empty list.");
    const sl_tensor *item = sl_list_item(l, l->n - 1);
    if (item != NULL) {
        give_item(c, 1, item);
    } else {
        rc = sl_partial_read(&c->in[1], &shape, st);
        if (!rc)
            rc = shape_of_unset(l, &shape, st);
        if (!rc && !sl_partial_is_whole(&shape))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Trying to read an uninitialized element but element_shape is not fully "
                         "defined");
        if (!rc)
            rc = give_zeros(c, 1, l->dtype, &shape, st);
    }
    return rc ? rc : sl_list_give(c, sl_list_resized(l, l->n - 1, c->arena->limit), st);
}

/* ---- about lists ---- */

static sl_code length_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = sl_list_configure(n, 1, 1, 0, st);
    n->out_types[0] = SL_DT_INT32;
    if (strcmp(n->op->name, "TensorListElementShape") == 0)
        n->out_types[0] = sl_node_type(n->source, "shape_type", SL_DT_INVALID);
    return rc                                          ? rc
           : sl_types_has(SL_T_INDEX, n->out_types[0]) ? SL_OK
                                                       : sl_ops_unsupported(n->out_types[0], st);
}

static sl_code length_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    bool shape = strcmp(c->node->op->name, "TensorListElementShape") == 0;
    sl_code rc = sl_list_input(c, &l, st);
    if (rc)
        return rc;
    int64_t rank = SL_MAX(l->shape.rank, 0);
    sl_list_set_dims(&c->out[0], c->node->out_types[0], shape && l->shape.rank >= 0, &rank);
    rc = sl_ops_make(c, 0, st);
    if (rc)
        return rc;
    if (!shape || l->shape.rank < 0)
        sl_ops_set_int(&c->out[0], 0, shape ? -1 : l->n);
    for (int i = 0; shape && i < l->shape.rank; i++)
        sl_ops_set_int(&c->out[0], i, l->shape.dims[i]);
    return SL_OK;
}

static sl_code resize_list_configure(sl_op_node *n, sl_status *st)
{
    return sl_list_configure(n, 2, 1, 2, st);
}

static sl_code resize_list_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_code rc = sl_list_input(c, &l, st);
    if (!rc)
        rc = sl_list_want_scalar(&c->in[1], "size", st);
    if (rc)
        return rc;
    int64_t n = sl_ops_int(&c->in[1], 0);
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "TensorListSlice expects size to be non-negative. Got: %lld", (long long)n);
    return sl_list_give(c, sl_list_resized(l, n, c->arena->limit), st);
}

const sl_op sl_ops_list[] = {
    SL_LIST_OP("EmptyTensorList", reserve_configure, reserve_run),
    SL_LIST_OP("TensorListReserve", reserve_configure, reserve_run),
    SL_LIST_OP("TensorListFromTensor", from_tensor_configure, from_tensor_run),
    SL_LIST_OP("TensorListGetItem", get_configure, get_run),
    SL_LIST_OP("TensorListSetItem", set_configure, set_run),
    SL_LIST_OP("TensorListPushBack", push_configure, push_run),
    SL_LIST_OP("TensorListPopBack", pop_configure, pop_run),
    SL_LIST_OP("TensorListLength", length_configure, length_run),
    SL_LIST_OP("TensorListElementShape", length_configure, length_run),
    SL_LIST_OP("TensorListResize", resize_list_configure, resize_list_run),
    {0},
};
