/*
 * slices.h - parts of a tensor: how a bundle names them, and copying between them
 *
 * A partitioned variable stands in the bundle as slices, each under a key made of the variable's
 * name and the slice's place. A graph asks for a part with a text, "10 4 7,3:0,4": the whole shape,
 * then start and length for each dimension, "-" for all of it.
 *
 * Source: tensorflow/core/framework/tensor_slice.h, tensorflow/core/lib/strings/ordered_code.h.
 */
#ifndef SL_SAVEDMODEL_SLICES_H
#define SL_SAVEDMODEL_SLICES_H

#include "base/str.h"

typedef struct sl_region {
    int rank;
    int64_t start[SL_MAX_RANK], length[SL_MAX_RANK];
} sl_region;

/* All of a tensor of that shape. */
sl_region sl_region_whole(const int64_t *dims, int rank);
bool sl_region_equal(const sl_region *a, const sl_region *b);
int64_t sl_region_count(const sl_region *r);
/* What two regions of one rank share; false if that is nothing. */
bool sl_region_meet(const sl_region *a, const sl_region *b, sl_region *out);

/*
 * Reads "10 4 7,3:0,4" for a tensor whose shape is dims. INVALID_ARGUMENT: malformed, another
 * shape, or a part that goes beyond it.
 */
sl_code sl_region_parse(sl_str text, const int64_t *dims, int rank, sl_region *out, sl_status *st);

/* A TensorSliceProto in a tensor of shape dims; *key gets the slice's key in the bundle. */
sl_code sl_region_decode(sl_str wire, sl_str name, const int64_t *dims, int rank, sl_region *out,
                         sl_text *key, sl_status *st);

/* Copies the region `part`, which lies within both, from one packed array to another. */
void sl_region_copy(const sl_region *part, const void *from, const sl_region *from_region, void *to,
                    const sl_region *to_region, size_t element);

#endif
