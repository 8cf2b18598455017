/*
 * tensorproto.h - TensorProto, wire form <-> tensor
 *
 * Source: tensorflow/core/framework/{tensor,tensor_shape}.proto; what TensorFlow 2.21 was seen to
 * do with surplus, missing and misplaced values.
 */
#ifndef SL_TENSORPROTO_TENSORPROTO_H
#define SL_TENSORPROTO_TENSORPROTO_H

#include "base/str.h"

/*
 * Decodes a TensorProto as TensorFlow does, surprises included:
 *   - tensor_content, where it is not empty, counts alone; its size must fit the shape exactly.
 *     Strings have one varint length an element, then the bytes.
 *   - else the list of the dtype, packed or not: too short repeats its last value, empty means
 *     zeros, what is more than the shape holds is ignored (a value in another dtype's list, too).
 *   - a shape of unknown rank, or none, is a scalar; a shape without elements ignores all values.
 * INVALID_ARGUMENT: malformed, no such dtype, a _REF, a negative or overflowing shape, rank > 8,
 * content of another size, bool content other than 0 and 1. UNIMPLEMENTED: resource, variant.
 * RESOURCE_EXHAUSTED: no memory, or a list shorter than the shape would expand to more than
 * `max_bytes`. The caller releases *out, which is untouched on failure.
 */
sl_code sl_tensorproto_decode(sl_str wire, size_t max_bytes, sl_tensor *out, sl_status *st);

/* Appends a tensor as a TensorProto: tensor_content, or string_val for strings. */
void sl_tensorproto_encode(const sl_tensor *t, sl_text *out);

/* Reads a TensorShapeProto. rank -1: unknown rank; a size below -1 or a rank above 8, or anything
 * malformed: INVALID_ARGUMENT. */
sl_code sl_tensorshape_decode(sl_str wire, int *rank, int64_t dims[SL_MAX_RANK], sl_status *st);

#endif
