/*
 * list.h - what the ops on TensorLists share (engine/native/list.h says what a list is)
 */
#ifndef SL_ENGINE_NATIVE_OPS_LIST_H
#define SL_ENGINE_NATIVE_OPS_LIST_H

#include "engine/native/list.h"
#include "engine/native/ops/ops.h"

typedef struct sl_list_config {
    sl_dtype dtype;
    int64_t count; /* Stack's num_elements */
    bool may_grow; /* SetItem's resize_if_index_out_of_bounds */
} sl_list_config;

/* ---- partial shapes ---- */

/* The value of an element_shape input: a vector, or a scalar -1 for "unknown". */
sl_code sl_partial_read(const sl_tensor *t, sl_partial *out, sl_status *st);
bool sl_partial_is_whole(const sl_partial *p);
/* Narrows `to` by what the other knows; false if they contradict each other. */
bool sl_partial_merge(sl_partial *to, int rank, const int64_t *dims);
const char *sl_partial_text(const sl_partial *p, sl_shape_buf *b);

/* ---- checks ---- */

/* Makes the node's config. Inputs `lists` are lists, `ints` are shapes or positions; both are bits.
 * Output 0 is a list. */
sl_code sl_list_configure(sl_op_node *n, int n_in, unsigned lists, unsigned ints, sl_status *st);
/* Input 0, of the node's dtype. */
sl_code sl_list_input(const sl_op_call *c, sl_list **l, sl_status *st);
sl_code sl_list_check_item(const sl_op_call *c, const sl_tensor *item, sl_status *st);
sl_code sl_list_want_scalar(const sl_tensor *t, const char *what, sl_status *st);
/* `t` has rows that a list of such items takes. */
sl_code sl_list_want_rows(const sl_op_call *c, const sl_tensor *t, const sl_partial *shape,
                          sl_status *st);

/* ---- giving ---- */

/* Output 0 becomes `l`, whose reference it takes; NULL: no memory. */
sl_code sl_list_give(sl_op_call *c, sl_list *l, sl_status *st);
void sl_list_set_dims(sl_tensor *t, sl_dtype dtype, int rank, const int64_t *dims);
/* A copy of `rows` rows of `t` from row `at` on, of the shape [rows, ...], or [...] for `one`. */
sl_code sl_list_copy_rows(const sl_tensor *t, int64_t at, int64_t rows, bool one, sl_tensor *out,
                          sl_status *st);
/* Puts a row of `t` in slot i; *l is NULL after a failure for want of memory. */
sl_code sl_list_put_row(sl_op_call *c, sl_list **l, int64_t i, const sl_tensor *t, int64_t at,
                        sl_status *st);

#define SL_LIST_OP(name, configure, run)                               \
    {                                                                  \
        name, SL_OP_MAKES | SL_OP_FRESH, 0, configure, NULL, run, NULL \
    }

#endif
