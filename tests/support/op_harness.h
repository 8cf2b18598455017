/*
 * op_harness.h - one op, called as the engine calls it, in memory that shows every overrun
 *
 * Inputs, outputs and scratch are allocated apart, with exactly their sizes, so that the address
 * sanitizer sees the first byte that is read or written beyond.
 */
#ifndef SL_TESTS_OP_HARNESS_H
#define SL_TESTS_OP_HARNESS_H

#include "engine/native/op.h"

enum { OP_MAX = 80 };

typedef struct op_call {
    const sl_op *op;
    sl_attr attrs[OP_MAX];
    int n_attrs;
    sl_tensor in[OP_MAX], out[OP_MAX];
    int n_in, n_out;
    sl_arena arena; /* of the node and of the run */
    void *made[3 * OP_MAX];
    int n_made;
} op_call;

void op_call_init(op_call *c, const sl_op *op, int n_out);
/* By name, with a megabyte of memory for what it makes. Here, since the engine's library comes before that of
 * the tests. */
static inline void op_call_start(op_call *c, const char *op, int n_out)
{
    op_call_init(c, sl_op_find(sl_str_of(op)), n_out);
    c->arena.limit = 1 << 20;
}
void op_call_fini(op_call *c);
/* `field` is AttrValue's field number and `wire` the AttrValue; both must outlive the call. In
 * ascending order of names. */
void op_call_attr(op_call *c, sl_str name, sl_str wire);
/* Memory of exactly `size` bytes, aligned to 64, freed by fini. */
void *op_call_memory(op_call *c, size_t size);
/* Adds an input whose data are to be filled in. */
sl_tensor *op_call_input(op_call *c, sl_dtype t, const int64_t *dims, int rank);
/* Adds one of zeros, or of empty strings. */
void op_call_zeros(op_call *c, sl_dtype t, const int64_t *dims, int rank);

/* configure, shape, run. `in_place` >= 0: output 0 gets a copy of that input as its memory, and the
 * op sees it as that input, too. */
sl_code op_call_run(op_call *c, int in_place, sl_status *st);

#endif
