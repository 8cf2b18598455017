/*
 * list.h - TensorList: what a loop collects its results in
 *
 * A tensor of dtype variant is a list of tensors of one dtype. It has rank 0, and its data is a
 * pointer to an sl_list. Lists are values: SetItem gives a new list and leaves the old one as it
 * was. A loop that writes its items one after the other would so copy the list at each turn;
 * therefore lists that came from each other share one store, and each sees as much of it as was
 * there when it was made:
 *
 *     store      a (since 1)   b (since 2)   -            newest 2
 *     list 1     a             -             -            version 1
 *     list 2     a             b             -            version 2
 *
 * The newest list may fill a slot that is empty in place; whatever else is wanted is done to a copy
 * of the store, which shares the items.
 *
 * A list is counted; the tensors of a run borrow it and the run's arena gives it back at the end.
 * It belongs to one run and so to one thread at a time: nothing here is locked. That is why an op
 * that makes lists is never folded (SL_OP_FRESH).
 */
#ifndef SL_ENGINE_NATIVE_LIST_H
#define SL_ENGINE_NATIVE_LIST_H

#include "base/arena.h"

/* A shape of which something may be unknown: rank -1, or a dim -1. */
typedef struct sl_partial {
    int rank;
    int64_t dims[SL_MAX_RANK];
} sl_partial;

typedef struct sl_list sl_list;
struct sl_list {
    sl_buffer buffer; /* the count; its last release frees the list */
    sl_list *self;    /* what tensors point at */
    struct sl_list_store *store;
    uint64_t version;
    int64_t n;
    sl_dtype dtype;
    sl_partial shape;  /* of each item */
    bool grows, alike; /* a TensorArray: of any size; the first item tells the shape of all */
};

/* NULL if `t` is not a list. */
sl_list *sl_list_of(const sl_tensor *t);

/* `n` empty slots. `limit`: bytes that a store may take, 0 for any. NULL: too large, or no memory.
 */
sl_list *sl_list_try_new(sl_dtype dtype, const sl_partial *shape, int64_t n, size_t limit);
/* The item, with its buffer; NULL: that slot is empty. 0 <= i < l->n. */
const sl_tensor *sl_list_item(const sl_list *l, int64_t i);

/* A new list of `n` slots, the first of which are those of `l`. NULL as above. */
sl_list *sl_list_resized(const sl_list *l, int64_t n, size_t limit);
/* Puts `item`, whose reference it takes also when it fails, in slot i of a list that only the
 * caller knows; `l` is then the list that sees it. NULL as above: `l` has been released. */
sl_list *sl_list_put(sl_list *l, int64_t i, sl_tensor *item, size_t limit);

/* Makes *out a tensor of its own with the bytes of `t`, which may be a list, too. */
sl_code sl_list_keep(const sl_tensor *t, sl_tensor *out, sl_status *st);

/* Makes *out a tensor that borrows `l`; the arena takes the caller's reference. */
void sl_list_lend(sl_list *l, sl_arena *arena, sl_tensor *out);

#endif
