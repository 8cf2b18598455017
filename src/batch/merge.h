/*
 * merge.h - several tensors as the rows of one
 *
 * Rows are copied; what comes out of a batch is cut apart with sl_tensor_slice, which copies
 * nothing.
 */
#ifndef SL_BATCH_MERGE_H
#define SL_BATCH_MERGE_H

#include "sluice/tensor.h"

/* May the two share a batch? Same dtype, and the same shape but for dimension 0; with `pad` also
 * another shape of the same rank (at most 6), if both have elements. Rank >= 1. */
bool sl_merge_fits(const sl_tensor *a, const sl_tensor *b, bool pad);

/*
 * Makes *out of all rows of list[0..n), which fit one another, in order, and then copies of row 0
 * of the last tensor until there are `rows`. Where their shapes differ, each is filled at the end
 * of every further dimension with its own first element. The only tensor, if it has `rows` rows, is
 * shared. RESOURCE_EXHAUSTED, or INVALID_ARGUMENT if the shape is out of range.
 */
sl_code sl_merge_rows(const sl_tensor *list, int n, int64_t rows, sl_tensor *out, sl_status *st);

#endif
