/*
 * tensor_array.c - TensorArrays of TensorFlow 1
 *
 * There, an array is a thing of the step, which its handle names, and the flow, a number without a
 * meaning, only orders what is done to it. Here the flow is the array: a list (engine/native/list.h)
 * that goes from op to op as the flow does, and the handle is a number without a meaning. Who writes
 * to one flow twice has two arrays then; TensorFlow has one that is written in an order of its own.
 *
 * Reading does not clear: an item may be read twice even if clear_after_read says otherwise.
 */
#include <assert.h>

#include "engine/native/ops/list.h"

typedef struct array_config {
    sl_dtype dtype;
    sl_partial shape; /* element_shape */
    bool grows, alike;
} array_config;

/* `flow`: which input is one, the last. `ints`: bits of the inputs that are numbers. */
static sl_code array_configure(sl_op_node *n, int n_in, int n_out, unsigned ints, const char *dtype,
                               const char *shape, sl_status *st)
{
    if (n->n_in != n_in || n->n_out != n_out)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s has %d inputs and %d outputs where %d and %d are expected", n->op->name,
                       n->n_in, n->n_out, n_in, n_out);
    sl_code rc = SL_OK;
    for (int i = 0; i < n_in && !rc; i++)
        if (ints >> i & 1)
            rc = sl_ops_check_input(n, i, SL_T_INDEX, st);
    if (!rc && n_in > 1)
        rc = sl_ops_check_input(n, n_in - 1, SL_T(VARIANT), st);
    if (rc)
        return rc;
    array_config *cfg = sl_ops_config(n, sizeof *cfg);
    n->config = cfg;
    cfg->dtype = dtype ? sl_dtype_base(sl_node_type(n->source, dtype, SL_DT_INVALID)) : SL_DT_FLOAT;
    if (shape == NULL || !sl_node_shape(n->source, shape, &cfg->shape.rank, cfg->shape.dims))
        cfg->shape.rank = -1;
    cfg->grows = sl_node_bool(n->source, "dynamic_size", false);
    cfg->alike = sl_node_bool(n->source, "identical_element_shapes", false);
    return sl_types_has(SL_T_PLAIN, cfg->dtype) ? SL_OK : sl_ops_unsupported(cfg->dtype, st);
}

/* The array, which the last input is. */
static sl_code array_input(const sl_op_call *c, const char *wants, sl_list **l, sl_status *st)
{
    const array_config *cfg = c->node->config;
    *l = sl_list_of(&c->in[c->node->n_in - 1]);
    if (*l == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the flow of %s is not of a TensorArray",
                       c->node->op->name);
    if (wants != NULL && cfg->dtype != (*l)->dtype)
        return sl_fail(st, SL_INVALID_ARGUMENT, "TensorArray dtype is %s but Op %s dtype %s.",
                       sl_dtype_name((*l)->dtype), wants, sl_dtype_name(cfg->dtype));
    return SL_OK;
}

static sl_code want_scalar(const sl_tensor *t, const char *what, sl_status *st)
{
    sl_shape_buf b;
    return t->rank == 0 ? SL_OK
                        : sl_fail(st, SL_INVALID_ARGUMENT,
                                  "TensorArray %s must be scalar, but had shape: %s", what,
                                  sl_ops_shape(t, &b));
}

/* ---- making, closing, size ---- */

static sl_code make_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 1, 2, 1, "dtype", "element_shape", st);
    if (!rc) {
        n->out_types[0] = SL_DT_INT32;
        n->out_types[1] = SL_DT_VARIANT;
    }
    return rc;
}

static sl_code give_number(sl_op_call *c, int64_t v, sl_status *st)
{
    sl_list_set_dims(&c->out[0], SL_DT_INT32, 0, NULL);
    sl_code rc = sl_ops_make(c, 0, st);
    if (!rc)
        sl_ops_set_int(&c->out[0], 0, v);
    return rc;
}

static sl_code make_run(sl_op_call *c, sl_status *st)
{
    const array_config *cfg = c->node->config;
    sl_code rc = want_scalar(&c->in[0], "size", st);
    if (!rc && sl_ops_int(&c->in[0], 0) < 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "Size should be >= 0.");
    if (!rc)
        rc = give_number(c, 0, st);
    if (rc)
        return rc;
    sl_list *l =
        sl_list_try_new(cfg->dtype, &cfg->shape, sl_ops_int(&c->in[0], 0), c->arena->limit);
    if (l == NULL)
        return sl_ops_no_memory(st);
    l->grows = cfg->grows;
    l->alike = cfg->alike;
    sl_list_lend(l, c->arena, &c->out[1]);
    return SL_OK;
}

static sl_code close_configure(sl_op_node *n, sl_status *st)
{
    return array_configure(n, 1, 0, 0, NULL, NULL, st);
}

/* The memory goes when nobody holds the list. */
static sl_code close_run(sl_op_call *c, sl_status *st)
{
    (void)c;
    (void)st;
    return SL_OK;
}

static sl_code size_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 2, 1, 0, NULL, NULL, st);
    if (!rc)
        n->out_types[0] = SL_DT_INT32;
    return rc;
}

static sl_code size_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_code rc = array_input(c, NULL, &l, st);
    return rc ? rc : give_number(c, l->n, st);
}

/* ---- writing ---- */

/* `l` of the caller, as a list that nobody else knows and that has room for n items. */
static sl_code array_grown(sl_op_call *c, const sl_list *l, int64_t n, sl_list **out, sl_status *st)
{
    *out = sl_list_resized(l, SL_MAX(n, l->n), c->arena->limit);
    return *out ? SL_OK : sl_ops_no_memory(st);
}

/* Puts `item`, whose reference it takes, at i. *l is given up when this fails. */
static sl_code array_put(sl_op_call *c, sl_list **l, int64_t i, sl_tensor *item, sl_status *st)
{
    sl_shape_buf a, b;
    assert(*l != NULL);
    sl_partial shape = (*l)->shape;
    sl_code rc = SL_OK;
    if (sl_list_item(*l, i) != NULL)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Could not write to TensorArray index %lld because it has already been "
                     "written to.",
                     (long long)i);
    else if (!sl_partial_merge(&shape, item->rank, item->dims))
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "Could not write to TensorArray index %lld because the value shape is %s "
                     "which is incompatible with the TensorArray's inferred element shape: %s "
                     "(consider setting infer_shape=False).",
                     (long long)i, sl_ops_shape(item, &a), sl_partial_text(&(*l)->shape, &b));
    if (rc) {
        sl_tensor_release(item);
        sl_buffer_release(&(*l)->buffer);
        *l = NULL;
        return rc;
    }
    *l = sl_list_put(*l, i, item, c->arena->limit);
    if (*l == NULL)
        return sl_ops_no_memory(st);
    if ((*l)->alike)
        (*l)->shape = shape;
    return SL_OK;
}

static sl_code write_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 4, 1, 1 << 1, "T", NULL, st);
    if (!rc)
        rc = sl_ops_check_input(n, 2, SL_T_PLAIN, st);
    if (!rc)
        n->out_types[0] = SL_DT_VARIANT;
    return rc;
}

static sl_code write_run(sl_op_call *c, sl_status *st)
{
    sl_list *l, *next;
    sl_tensor item;
    sl_code rc = want_scalar(&c->in[1], "index", st);
    if (!rc)
        rc = array_input(c, "is trying to write", &l, st);
    if (rc)
        return rc;
    int64_t i = sl_ops_int(&c->in[1], 0);
    if (i < 0 || (i >= l->n && !l->grows))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to write to index %lld but array is not resizeable and size is: "
                       "%lld",
                       (long long)i, (long long)l->n);
    rc = sl_list_keep(&c->in[2], &item, st);
    if (rc)
        return rc;
    rc = array_grown(c, l, i + 1, &next, st);
    if (rc) {
        sl_tensor_release(&item);
        return rc;
    }
    rc = array_put(c, &next, i, &item, st);
    return rc ? rc : sl_list_give(c, next, st);
}

/* Writes pieces of `t`, one after the other: piece k has lengths[k] rows, or is one row, and goes to
 * at[k], or k. */
static sl_code write_pieces(sl_op_call *c, sl_list *l, const sl_tensor *t, const sl_tensor *at,
                            const sl_tensor *lengths, sl_status *st)
{
    int64_t n = at ? at->dims[0] : lengths->dims[0], row = 0;
    sl_code rc = SL_OK;
    for (int64_t k = 0; k < n && !rc; k++) {
        int64_t rows = lengths ? sl_ops_int(lengths, k) : 1;
        sl_tensor item;
        rc = sl_list_copy_rows(t, row, rows, lengths == NULL, &item, st);
        if (rc) {
            sl_buffer_release(&l->buffer);
            return rc;
        }
        row += rows;
        rc = array_put(c, &l, at ? sl_ops_int(at, k) : k, &item, st);
    }
    return rc ? rc : sl_list_give(c, l, st);
}

static sl_code scatter_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *at = &c->in[1], *t = &c->in[2];
    int64_t most = -1, least = 0;
    sl_list *l, *next;
    sl_shape_buf b;
    sl_code rc = array_input(c, "is trying to write", &l, st);
    if (rc)
        return rc;
    if (at->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input indices must be a vector, but received shape: %s",
                       sl_ops_shape(at, &b));
    if (t->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Input value for unpack must be at least a vector but received shape: %s",
                       sl_ops_shape(t, &b));
    if (at->dims[0] != t->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected len(indices) == values.shape[0], but saw: %lld vs. %lld",
                       (long long)at->dims[0], (long long)t->dims[0]);
    for (int64_t k = 0; k < at->dims[0]; k++) {
        most = SL_MAX(most, sl_ops_int(at, k));
        least = SL_MIN(least, sl_ops_int(at, k));
    }
    if (most >= l->n && !l->grows)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Max scatter index must be < array size (%lld vs. "
                       "%lld)",
                       (long long)most, (long long)l->n);
    if (least < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to write to index %lld but array is not resizeable and size is: "
                       "%lld",
                       (long long)least, (long long)l->n);
    rc = array_grown(c, l, most + 1, &next, st);
    return rc ? rc : write_pieces(c, next, t, at, NULL, st);
}

static sl_code split_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 4, 1, 1 << 2, "T", NULL, st);
    if (!rc)
        rc = sl_ops_check_input(n, 1, SL_T_PLAIN, st);
    if (!rc)
        n->out_types[0] = SL_DT_VARIANT;
    return rc;
}

/* The sum of the lengths is the number of rows. */
static sl_code check_lengths(const sl_tensor *t, const sl_tensor *lengths, sl_status *st)
{
    int64_t sum = 0;
    sl_shape_buf b;
    if (lengths->rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected lengths to be a vector, received shape: %s",
                       sl_ops_shape(lengths, &b));
    if (t->rank < 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected value to be at least a vector, but received shape: %s",
                       sl_ops_shape(t, &b));
    for (int64_t k = 0; k < lengths->dims[0]; k++)
        if (sl_ops_int(lengths, k) < 0 || __builtin_add_overflow(sum, sl_ops_int(lengths, k), &sum))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Length %lld of a piece is out of range",
                           (long long)sl_ops_int(lengths, k));
    if (sum != t->dims[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expected sum of lengths to be equal to values.shape[0], but sum of lengths "
                       "is %lld and value's shape is: %s",
                       (long long)sum, sl_ops_shape(t, &b));
    return SL_OK;
}

static sl_code split_run(sl_op_call *c, sl_status *st)
{
    const sl_tensor *t = &c->in[1], *lengths = &c->in[2];
    sl_list *l, *next;
    sl_code rc = array_input(c, "is trying to write", &l, st);
    if (!rc)
        rc = check_lengths(t, lengths, st);
    if (rc)
        return rc;
    int64_t n = lengths->dims[0], size = l->grows ? SL_MAX(n, l->n) : l->n;
    if (size != n)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "TensorArray's size is not equal to the size of lengths (%lld vs. %lld), and "
            "the TensorArray is not marked as dynamically resizeable",
            (long long)size, (long long)n);
    rc = array_grown(c, l, n, &next, st);
    return rc ? rc : write_pieces(c, next, t, NULL, lengths, st);
}

/* ---- reading ---- */

/* Item i, in *out; with data NULL for zeros that nobody has written. */
static sl_code array_get(const sl_list *l, int64_t i, const sl_partial *shape, sl_tensor *out,
                         sl_status *st)
{
    sl_shape_buf b;
    if (i < 0 || i >= l->n)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Tried to read from index %lld but array size is: %lld", (long long)i,
                       (long long)l->n);
    const sl_tensor *item = sl_list_item(l, i);
    if (item != NULL) {
        *out = *item;
        return SL_OK;
    }
    if (!sl_partial_is_whole(shape))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Could not read from TensorArray index %lld.  Furthermore, the element "
                       "shape is not fully defined: %s.  It is possible you are working with a "
                       "resizeable TensorArray and stop_gradients is not allowing the gradients to "
                       "be written.  If you set the full element_shape property on the forward "
                       "TensorArray, the proper all-zeros tensor will be returned instead of "
                       "incurring this error.",
                       (long long)i, sl_partial_text(shape, &b));
    sl_list_set_dims(out, l->dtype, shape->rank, shape->dims);
    return SL_OK;
}

/* The list's items stay until the run is over. */
static void hold(sl_op_call *c, sl_list *l)
{
    sl_arena_on_reset(c->arena, (void (*)(void *))sl_buffer_release, sl_buffer_acquire(&l->buffer));
}

static sl_code read_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 3, 1, 1 << 1, "dtype", NULL, st);
    if (!rc)
        n->out_types[0] = ((const array_config *)n->config)->dtype;
    return rc;
}

static sl_code read_run(sl_op_call *c, sl_status *st)
{
    sl_list *l;
    sl_tensor item;
    sl_code rc = want_scalar(&c->in[1], "index", st);
    if (!rc)
        rc = array_input(c, "requested", &l, st);
    if (!rc)
        rc = array_get(l, sl_ops_int(&c->in[1], 0), &l->shape, &item, st);
    if (rc)
        return rc;
    if (item.data != NULL) {
        if (item.buffer != NULL)
            sl_arena_on_reset(c->arena, (void (*)(void *))sl_buffer_release,
                              sl_buffer_acquire(item.buffer));
        c->out[0] = item;
        c->out[0].buffer = NULL;
        return SL_OK;
    }
    c->out[0] = item;
    rc = sl_ops_make(c, 0, st);
    if (!rc && c->out[0].size)
        memset(c->out[0].data, 0, c->out[0].size);
    return rc;
}

/* Copies an item behind the last one. */
static char *append(char *to, const sl_tensor *item, size_t size)
{
    if (size && item->data != NULL)
        memcpy(to, item->data, size);
    else if (size)
        memset(to, 0, size);
    return to + size;
}

static size_t item_bytes(const sl_tensor *t)
{
    return (size_t)sl_ops_product(t->dims, 0, t->rank) * sl_dtype_size(t->dtype);
}

static bool same_dims(const sl_tensor *a, const sl_tensor *b, int from)
{
    return a->rank == b->rank && memcmp(a->dims + from, b->dims + from,
                                        (size_t)(a->rank - from) * sizeof a->dims[0]) == 0;
}

static sl_code gather_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 3, 1, 1 << 1, "dtype", "element_shape", st);
    if (!rc)
        n->out_types[0] = ((const array_config *)n->config)->dtype;
    return rc;
}

static sl_code join_rows(sl_op_call *c, sl_list *l, const sl_partial *shape, sl_status *st)
{
    const sl_tensor *at = &c->in[1];
    sl_tensor *out = &c->out[0], first = {0}, item;
    sl_shape_buf a, b;
    sl_code rc = SL_OK;
    if (at->dims[0] == 0)
        sl_list_set_dims(&first, l->dtype, shape->rank, shape->dims);
    for (int64_t k = 0; k < at->dims[0]; k++) {
        rc = array_get(l, sl_ops_int(at, k), shape, k ? &item : &first, st);
        if (!rc && k && !same_dims(&first, &item, 0))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "TensorArray has inconsistent shapes.  Index 0 has shape: %s but index "
                         "%lld has shape: %s",
                         sl_ops_shape(&first, &a), (long long)k, sl_ops_shape(&item, &b));
        if (rc)
            return rc;
    }
    sl_list_set_dims(out, l->dtype, 0, NULL);
    rc = sl_ops_push_dim(out, at->dims[0], st);
    for (int i = 0; i < first.rank && !rc; i++)
        rc = sl_ops_push_dim(out, first.dims[i], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    char *to = out->data;
    for (int64_t k = 0; k < at->dims[0] && !rc; k++) {
        rc = array_get(l, sl_ops_int(at, k), shape, &item, st);
        if (!rc)
            to = append(to, &item, item_bytes(&item));
    }
    if (!rc && l->dtype == SL_DT_STRING)
        hold(c, l);
    return rc;
}

static sl_code gather_run(sl_op_call *c, sl_status *st)
{
    const array_config *cfg = c->node->config;
    sl_list *l;
    sl_shape_buf a, b;
    sl_code rc = array_input(c, "requested", &l, st);
    if (rc)
        return rc;
    sl_partial shape = l->shape;
    if (!sl_partial_merge(&shape, cfg->shape.rank, cfg->shape.dims))
        return sl_fail(st, SL_INVALID_ARGUMENT, "Incompatible shapes during merge: %s vs. %s",
                       sl_partial_text(&l->shape, &a), sl_partial_text(&cfg->shape, &b));
    if (c->in[1].rank != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Expect indices to be a vector, but received shape: %s",
                       sl_ops_shape(&c->in[1], &a));
    if (c->in[1].dims[0] == 0 && !sl_partial_is_whole(&shape))
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "TensorArray has size zero, but element shape %s is not fully defined. "
                       "Currently only static shapes are supported when packing zero-size "
                       "TensorArrays.",
                       sl_partial_text(&shape, &a));
    return join_rows(c, l, &shape, st);
}

static sl_code concat_configure(sl_op_node *n, sl_status *st)
{
    sl_code rc = array_configure(n, 2, 2, 0, "dtype", "element_shape_except0", st);
    if (!rc) {
        n->out_types[0] = ((const array_config *)n->config)->dtype;
        n->out_types[1] = SL_DT_INT64;
    }
    return rc;
}

/* The lengths go to output 1; *total is their sum, *first the first item. */
static sl_code measure(sl_op_call *c, const sl_list *l, sl_tensor *first, int64_t *total,
                       sl_status *st)
{
    sl_tensor item;
    sl_shape_buf a, b;
    sl_code rc = sl_ops_make_vector(c, 1, l->n, st);
    for (int64_t k = 0; k < l->n && !rc; k++) {
        rc = array_get(l, k, &l->shape, &item, st);
        if (rc)
            return rc;
        if (item.rank < 1)
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "Concat saw a scalar shape at index %lld but requires at least vectors.  "
                "Did you mean to call pack?",
                (long long)k);
        if (k == 0)
            *first = item;
        if (!same_dims(first, &item, 1))
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "TensorArray has inconsistent shapes.  Index 0 has shape: %s but index "
                           "%lld has shape: %s",
                           sl_ops_shape(first, &a), (long long)k, sl_ops_shape(&item, &b));
        sl_ops_set_int(&c->out[1], k, item.dims[0]);
        if (__builtin_add_overflow(*total, item.dims[0], total))
            return sl_fail(st, SL_INVALID_ARGUMENT, "the pieces of a TensorArray are too large");
    }
    return rc;
}

static sl_code concat_run(sl_op_call *c, sl_status *st)
{
    const array_config *cfg = c->node->config;
    sl_list *l;
    sl_tensor first = {0}, item;
    sl_shape_buf b;
    int64_t total = 0;
    sl_code rc = array_input(c, "requested", &l, st);
    if (!rc && l->n == 0 && !sl_partial_is_whole(&cfg->shape))
        rc =
            sl_fail(st, SL_UNIMPLEMENTED,
                    "TensorArray has size zero, but element_shape_except0 %s is not fully defined. "
                    "Currently only static shapes are supported when concatenating zero-size "
                    "TensorArrays.",
                    sl_partial_text(&cfg->shape, &b));
    c->out[1].dtype = SL_DT_INT64;
    if (!rc)
        rc = measure(c, l, &first, &total, st);
    if (rc)
        return rc;
    int rank = l->n ? first.rank - 1 : cfg->shape.rank;
    const int64_t *rest = l->n ? first.dims + 1 : cfg->shape.dims;
    sl_list_set_dims(&c->out[0], l->dtype, 1, &total);
    for (int i = 0; i < rank && !rc; i++)
        rc = sl_ops_push_dim(&c->out[0], rest[i], st);
    if (!rc)
        rc = sl_ops_make(c, 0, st);
    char *to = c->out[0].data;
    for (int64_t k = 0; k < l->n && !rc; k++) {
        rc = array_get(l, k, &l->shape, &item, st);
        if (!rc)
            to = append(to, &item, item_bytes(&item));
    }
    if (!rc && l->dtype == SL_DT_STRING)
        hold(c, l);
    return rc;
}

const sl_op sl_ops_tensor_array[] = {
    SL_LIST_OP("TensorArrayV3", make_configure, make_run),
    SL_LIST_OP("TensorArrayCloseV3", close_configure, close_run),
    SL_LIST_OP("TensorArraySizeV3", size_configure, size_run),
    SL_LIST_OP("TensorArrayWriteV3", write_configure, write_run),
    SL_LIST_OP("TensorArrayScatterV3", write_configure, scatter_run),
    SL_LIST_OP("TensorArraySplitV3", split_configure, split_run),
    SL_LIST_OP("TensorArrayReadV3", read_configure, read_run),
    SL_LIST_OP("TensorArrayGatherV3", gather_configure, gather_run),
    SL_LIST_OP("TensorArrayConcatV3", concat_configure, concat_run),
    {0},
};
