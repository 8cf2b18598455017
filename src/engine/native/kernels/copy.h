/*
 * copy.h - moving elements between two strided boxes
 *
 * Transpose, slices, tiles, broadcasts, pads, space-to-depth: all are "for every index of a box,
 * copy one element from here to there", with different strides. One kernel does them all: it drops
 * dimensions of 1, joins dimensions that lie together on both sides, and copies what is left in
 * rows.
 */
#ifndef SL_ENGINE_NATIVE_KERNELS_COPY_H
#define SL_ENGINE_NATIVE_KERNELS_COPY_H

#include <stddef.h>
#include <stdint.h>

enum { SL_COPY_MAX_RANK = 16 };

typedef struct sl_copy_dim {
    int64_t n;        /* extent; 0 anywhere: nothing is copied */
    int64_t to, from; /* strides in elements; `from` may be 0 (repeat) or negative (reverse) */
} sl_copy_dim;

/* `dims` are outermost first; element: 1, 2, 4, 8 or 16 bytes. */
void sl_kernel_copy(void *to, const void *from, const sl_copy_dim *dims, int rank, size_t element);

#endif
