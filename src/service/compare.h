/*
 * compare.h - do two versions say the same?
 *
 * Of two tensors that answer the same request. Numbers with a fraction may differ by
 * atol + rtol * |expected|; NaN equals NaN, an infinity the same one; everything else must be
 * equal.
 */
#ifndef SL_SERVICE_COMPARE_H
#define SL_SERVICE_COMPARE_H

#include "sluice/tensor.h"

typedef struct sl_difference {
    const char *what;     /* NULL: none; "dtype", "shape", "values" */
    int64_t count;        /* of elements that differ */
    int64_t first;        /* position of the first of them */
    double expected, got; /* its values, if they are numbers */
} sl_difference;

/* True: they are the same, as far as the tolerances go. */
bool sl_tensor_compare(const sl_tensor *expected, const sl_tensor *got, double rtol, double atol,
                       sl_difference *out);

#endif
