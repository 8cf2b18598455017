/*
 * sparse_rows.h - the order of a sparse tensor's elements
 */
#ifndef SL_ENGINE_NATIVE_OPS_SPARSE_ROWS_H
#define SL_ENGINE_NATIVE_OPS_SPARSE_ROWS_H

#include <stdint.h>

/* The numbers 0 ... n - 1 in the ascending order of the indices x [n, depth], equal ones as they
 * came: in one of `a` and `b`, which have room for n numbers each. */
const int64_t *sl_sparse_sorted(const int64_t *x, int64_t n, int64_t depth, int64_t *a, int64_t *b);

#endif
