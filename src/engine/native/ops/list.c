/*
 * list.c - TensorList ops (list.h says what a list is)
 *
 * All of them make their outputs during the run: a list is a pointer to something that is counted,
 * and what is taken out of one has the shape that was put in. An item that was never set reads as
 * zeros, where its shape is known.
 */
#include "engine/native/list.h"

#include <stdio.h>

#include "engine/native/ops/ops.h"

#define ITEM_TYPES (SL_T_PLAIN | SL_T(VARIANT))

typedef struct list_config {
    sl_dtype dtype;
    int64_t count; /* Stack's num_elements */
    bool may_grow; /* SetItem's resize_if_index_out_of_bounds */
} list_config;

/* ---- partial shapes ---- */

/* The value of an element_shape input: a vector, or a scalar -1 for "unknown". */
static sl_code partial_of(const sl_tensor *t, sl_partial *out, sl_status *st)
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

static bool is_whole(const sl_partial *p)
{
    bool whole = p->rank >= 0;
    for (int i = 0; i < p->rank; i++)
        whole &= p->dims[i] >= 0;
    return whole;
}

/* Narrows `to` by what the other knows; false if they contradict each other. */
static bool merge(sl_partial *to, int rank, const int64_t *dims)
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

static const char *partial_text(const sl_partial *p, sl_shape_buf *b)
{
    return p->rank < 0 ? "<unknown>" : sl_shape_text(p->dims, p->rank, b->text, sizeof b->text);
}

static bool fits(const sl_partial *p, const sl_tensor *t)
{
    sl_partial copy = *p;
    return merge(&copy, t->rank, t->dims);
}

/* ---- checks ---- */

/* Inputs `lists` are lists, `shapes` are shapes or positions; both are bits. */
static sl_code list_check(sl_op_node *n, int n_in, unsigned lists, unsigned ints, sl_status *st)
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
    list_config *cfg = sl_ops_config(n, sizeof *cfg);
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

static sl_code input_list(const sl_op_call *c, sl_list **l, sl_status *st)
{
    const list_config *cfg = c->node->config;
    *l = sl_list_of(&c->in[0]);
    if (*l == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "input 0 of %s is not a list", c->node->op->name);
    if (cfg->dtype != SL_DT_INVALID && cfg->dtype != (*l)->dtype)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Invalid data types; op elements %s but list elements %s",
                       sl_dtype_name(cfg->dtype), sl_dtype_name((*l)->dtype));
    return SL_OK;
}

static sl_code check_item(const sl_op_call *c, const sl_tensor *item, sl_status *st)
{
    const list_config *cfg = c->node->config;
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

static sl_code want_scalar(const sl_tensor *t, const char *what, sl_status *st)
{
    return is_scalar(t) ? SL_OK : sl_fail(st, SL_INVALID_ARGUMENT, "%s must be a scalar", what);
}

/* ---- giving ---- */

static sl_code give_list(sl_op_call *c, sl_list *l, sl_status *st)
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

static void set_dims(sl_tensor *t, sl_dtype dtype, int rank, const int64_t *dims)
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
    set_dims(&c->out[k], dtype, p->rank, p->dims);
    sl_code rc = sl_ops_make(c, k, st);
    if (rc == SL_OK && c->out[k].size)
        memset(c->out[k].data, 0, c->out[k].size);
    return rc;
}

/* ---- making lists ---- */

static sl_code reserve_configure(sl_op_node *n, sl_status *st)
{
    return list_check(n, 2, 0, 3, st);
}

static sl_code reserve_run(sl_op_call *c, sl_status *st)
{
    const list_config *cfg = c->node->config;
    bool empty = strcmp(c->node->op->name, "EmptyTensorList") == 0;
    sl_partial shape;
    sl_code rc = partial_of(&c->in[0], &shape, st);
    if (!rc)
        rc = want_scalar(&c->in[1], empty ? "max_num_elements" : "num_elements", st);
    if (rc)
        return rc;
    int64_t n = empty ? 0 : sl_ops_int(&c->in[1], 0);
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "The num_elements to reserve must be a non negative number, but got %lld",
                       (long long)n);
    return give_list(c, sl_list_try_new(cfg->dtype, &shape, n, c->arena->limit), st);
}

/* A copy of `rows` rows of `t` from row `at` on, of the shape [rows, ...], or [...] for one. */
static sl_code copy_rows(const sl_tensor *t, int64_t at, int64_t rows, bool one, sl_tensor *out,
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
static sl_code put_row(sl_op_call *c, sl_list **l, int64_t i, const sl_tensor *t, int64_t at,
                       sl_status *st)
{
    sl_tensor item;
    sl_code rc = copy_rows(t, at, 1, true, &item, st);
    if (rc)
        return rc;
    *l = sl_list_put(*l, i, &item, c->arena->limit);
    return *l ? SL_OK : sl_ops_no_memory(st);
}

static sl_code want_rows(const sl_op_call *c, const sl_tensor *t, const sl_partial *shape,
                         sl_status *st)
{
    sl_shape_buf a, b;
    sl_code rc = check_item(c, t, st);
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
                       partial_text(shape, &a), sl_ops_shape(&row, &b));
    return SL_OK;
}

static sl_code from_tensor_configure(sl_op_node *n, sl_status *st)
{
    return list_check(n, 2, 0, 2, st);
}

static sl_code from_tensor_run(sl_op_call *c, sl_status *st)
{
    const list_config *cfg = c->node->config;
    const sl_tensor *t = &c->in[0];
    sl_partial shape;
    sl_code rc = partial_of(&c->in[1], &shape, st);
    if (!rc)
        rc = want_rows(c, t, &shape, st);
    if (rc)
        return rc;
    sl_list *l = sl_list_try_new(cfg->dtype, &shape, t->dims[0], c->arena->limit);
    for (int64_t i = 0; l != NULL && i < t->dims[0] && !rc; i++)
        rc = put_row(c, &l, i, t, i, st);
    if (rc && l != NULL)
        sl_buffer_release(&l->buffer);
    return rc ? rc : give_list(c, l, st);
}

/* ---- one item ---- */

static sl_code get_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = list_check(n, 3, 1, 6, st);
    if (!rc)
        n->out_types[0] = ((const list_config *)n->config)->dtype;
    return rc;
}

/* What is known of the shape of an item that is not set: from the op, the list, the others. */
static sl_code shape_of_unset(const sl_list *l, sl_partial *shape, sl_status *st)
{
    sl_shape_buf a, b;
    if (!merge(shape, l->shape.rank, l->shape.dims))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes during merge: %s vs. %s",
                       partial_text(shape, &a), partial_text(&l->shape, &b));
    for (int64_t i = 0; i < l->n && !is_whole(shape); i++) {
        const sl_tensor *item = sl_list_item(l, i);
        if (item != NULL && !merge(shape, item->rank, item->dims))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes during merge: %s vs. %s",
                           partial_text(shape, &a), sl_ops_shape(item, &b));
    }
    return SL_OK;
}

static sl_code get_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_partial shape;
    sl_shape_buf b;
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = want_scalar(&c->in[1], "index", st);
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
    rc = partial_of(&c->in[2], &shape, st);
    if (!rc)
        rc = shape_of_unset(l, &shape, st);
    if (!rc && !is_whole(&shape))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Trying to read an uninitialized element but element_shape is not fully "
                     "defined%s",
                     partial_text(&shape, &b));
    return rc ? rc : give_zeros(c, 0, l->dtype, &shape, st);
}

static sl_code set_configure(sl_op_node *n, sl_status *st)
{
    return list_check(n, 3, 1, 2, st);
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
    return give_list(c, sl_list_put(next, i, &item, c->arena->limit), st);
}

static sl_code set_run(sl_op_call *c, sl_status *st)
{
    const list_config *cfg = c->node->config;
    const sl_tensor *item = &c->in[2];
    sl_list *l;
    sl_shape_buf a, b;
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = check_item(c, item, st);
    if (!rc)
        rc = want_scalar(&c->in[1], "index", st);
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
                       sl_ops_shape(item, &a), partial_text(&l->shape, &b));
    return give_with(c, l, SL_MAX(l->n, i + 1), i, item, st);
}

static sl_code push_configure(sl_op_node *n, sl_status *st)
{
    return list_check(n, 2, 1, 0, st);
}

static sl_code push_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *item = &c->in[1];
    sl_list *l;
    sl_shape_buf a, b;
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = check_item(c, item, st);
    if (rc)
        return rc;
    if (!fits(&l->shape, item))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to append a tensor with incompatible shape to a list. Op element "
                       "shape: %s list shape: %s",
                       sl_ops_shape(item, &a), partial_text(&l->shape, &b));
    return give_with(c, l, l->n + 1, l->n, item, st);
}

static sl_code pop_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = list_check(n, 2, 1, 2, st);
    if (!rc && n->n_out != 2)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "TensorListPopBack has %d outputs", n->n_out);
    if (!rc)
        n->out_types[1] = ((const list_config *)n->config)->dtype;
    return rc;
}

static sl_code pop_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_partial shape;
    sl_code rc = input_list(c, &l, st);
    if (rc)
        return rc;
    if (l->n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Trying to pop from an empty list.");
    const sl_tensor *item = sl_list_item(l, l->n - 1);
    if (item != NULL) {
        give_item(c, 1, item);
    } else {
        rc = partial_of(&c->in[1], &shape, st);
        if (!rc)
            rc = shape_of_unset(l, &shape, st);
        if (!rc && !is_whole(&shape))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "Trying to read an uninitialized element but element_shape is not fully "
                         "defined");
        if (!rc)
            rc = give_zeros(c, 1, l->dtype, &shape, st);
    }
    return rc ? rc : give_list(c, sl_list_resized(l, l->n - 1, c->arena->limit), st);
}

/* ---- all items ---- */

static sl_code stack_configure(sl_op_node *n, sl_status *st)
{
    bool gather = strcmp(n->op->name, "TensorListGather") == 0;
    sl_code rc = gather ? list_check(n, 3, 1, 6, st) : list_check(n, 2, 1, 2, st);
    const list_config *cfg = n->config;
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
        if (item != NULL && !merge(shape, item->rank, item->dims))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tried to stack elements with incompatible shapes: %s and others",
                           sl_ops_shape(item, &a));
    }
    if (!is_whole(shape))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to %s list which only contains uninitialized tensors and has a "
                       "non-fully-defined element shape: %s",
                       at ? "gather from" : "stack", partial_text(shape, &a));
    set_dims(out, l->dtype, 0, NULL);
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
    const list_config *cfg = c->node->config;
    bool gather = c->node->n_in == 3;
    sl_list *l;
    sl_partial shape;
    sl_shape_buf a, b;
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = partial_of(&c->in[gather ? 2 : 1], &shape, st);
    if (rc)
        return rc;
    if (gather && c->in[1].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "indices must be a vector");
    if (!gather && cfg->count != -1 && l->n != cfg->count)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Operation expected a list with %lld elements but got a list with %lld "
                       "elements.",
                       (long long)cfg->count, (long long)l->n);
    if (!merge(&shape, l->shape.rank, l->shape.dims))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to stack elements of shape %s as elements of shape %s",
                       partial_text(&l->shape, &a), partial_text(&shape, &b));
    if (!is_whole(&shape) && (gather ? c->in[1].dims[0] : l->n) == 0)
        return sl_fail(
            st, SL_INVALID_ARGUMENT, "Tried to %s elements %s non-fully-defined element_shape: %s",
            gather ? "gather 0-" : "stack", gather ? "from a list with" : "of an empty list with",
            partial_text(&shape, &a));
    return join_items(c, l, gather ? &c->in[1] : NULL, &shape, st);
}

/* ---- many items at once ---- */

static sl_code scatter_list_configure(sl_op_node *n, sl_status *st)
{
    bool into = strcmp(n->op->name, "TensorListScatterIntoExistingList") == 0;
    return into ? list_check(n, 3, 1, 4, st) : list_check(n, 4, 0, 14, st);
}

static sl_code scatter_list_run(sl_op_call *c, sl_status *st)
{
    const list_config *cfg = c->node->config;
    bool into = c->node->n_in == 3;
    const sl_tensor *t = &c->in[into ? 1 : 0], *at = &c->in[into ? 2 : 1];
    sl_list *from = NULL;
    sl_partial shape;
    sl_code rc = into ? input_list(c, &from, st) : partial_of(&c->in[2], &shape, st);
    if (!rc)
        rc = want_rows(c, t, into ? &from->shape : &shape, st);
    if (!rc && (at->rank != 1 || at->dims[0] != t->dims[0]))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Invalid number of rows in input tensor. Expected: %lld Actual: %lld",
                     (long long)(at->rank == 1 ? at->dims[0] : 0), (long long)t->dims[0]);
    if (!rc && !into)
        rc = want_scalar(&c->in[3], "num_elements", st);
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
        rc = put_row(c, &l, sl_ops_int(at, i), t, i, st);
    if (rc && l != NULL)
        sl_buffer_release(&l->buffer);
    return rc ? rc : give_list(c, l, st);
}

static sl_code split_list_configure(sl_op_node *n, sl_status *st)
{
    return list_check(n, 3, 0, 6, st);
}

static sl_code split_list_run(sl_op_call *c, sl_status *st)
{
    const list_config *cfg = c->node->config;
    const sl_tensor *t = &c->in[0], *lengths = &c->in[2];
    sl_partial shape;
    sl_code rc = partial_of(&c->in[1], &shape, st);
    if (!rc)
        rc = check_item(c, t, st);
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
            rc = copy_rows(t, at, rows, false, &item, st);
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
    return rc ? rc : give_list(c, l, st);
}

static sl_code concat_list_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = list_check(n, 3, 1, 6, st);
    const list_config *cfg = n->config;
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
    set_dims(&c->out[1], SL_DT_INT64, 1, &l->n);
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
        if (item != NULL && !merge(rest, item->rank - 1, item->dims + 1))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "Tried to concat tensors with unequal shapes: %s vs. %s",
                           partial_text(rest, &a), sl_ops_shape(item, &b));
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
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = partial_of(&c->in[1], &shape, st);
    if (!rc && c->in[2].rank != 1)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "leading_dims must be a vector");
    if (!rc && shape.rank == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Concat requires elements to be at least vectors, found scalars instead.");
    if (!rc && shape.rank > 0)
        merge(&rest, shape.rank - 1, shape.dims + 1);
    if (!rc)
        rc = measure_items(c, l, &rest, &total, st);
    if (!rc && !is_whole(&rest))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "All except the first dimension must be fully defined when concating an empty "
                     "tensor list. element_shape: %s",
                     partial_text(&shape, &b));
    if (rc)
        return rc;
    set_dims(&c->out[0], l->dtype, 1, &total);
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

/* ---- about lists ---- */

static sl_code length_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = list_check(n, 1, 1, 0, st);
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
    sl_code rc = input_list(c, &l, st);
    if (rc)
        return rc;
    int64_t rank = SL_MAX(l->shape.rank, 0);
    set_dims(&c->out[0], c->node->out_types[0], shape && l->shape.rank >= 0, &rank);
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
    return list_check(n, 2, 1, 2, st);
}

static sl_code resize_list_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_code rc = input_list(c, &l, st);
    if (!rc)
        rc = want_scalar(&c->in[1], "size", st);
    if (rc)
        return rc;
    int64_t n = sl_ops_int(&c->in[1], 0);
    if (n < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "TensorListSlice expects size to be non-negative. Got: %lld", (long long)n);
    return give_list(c, sl_list_resized(l, n, c->arena->limit), st);
}

#define LIST(name, configure, run)                                     \
    {                                                                  \
        name, SL_OP_MAKES | SL_OP_FRESH, 0, configure, NULL, run, NULL \
    }

const sl_op sl_ops_list[] = {
    LIST("EmptyTensorList", reserve_configure, reserve_run),
    LIST("TensorListReserve", reserve_configure, reserve_run),
    LIST("TensorListFromTensor", from_tensor_configure, from_tensor_run),
    LIST("TensorListGetItem", get_configure, get_run),
    LIST("TensorListSetItem", set_configure, set_run),
    LIST("TensorListPushBack", push_configure, push_run),
    LIST("TensorListPopBack", pop_configure, pop_run),
    LIST("TensorListStack", stack_configure, stack_run),
    LIST("TensorListGather", stack_configure, stack_run),
    LIST("TensorListScatterV2", scatter_list_configure, scatter_list_run),
    LIST("TensorListScatterIntoExistingList", scatter_list_configure, scatter_list_run),
    LIST("TensorListSplit", split_list_configure, split_list_run),
    LIST("TensorListConcatV2", concat_list_configure, concat_list_run),
    LIST("TensorListLength", length_configure, length_run),
    LIST("TensorListElementShape", length_configure, length_run),
    LIST("TensorListResize", resize_list_configure, resize_list_run),
    {0},
};
