/*
 * tensorproto.h - TensorProto, wire form <-> tensor
 *
 * Source: tensorflow/core/framework/tensor.proto; savedmodel.md section 2, "TensorProto to bytes".
 */
#ifndef SL_TENSORPROTO_TENSORPROTO_H
#define SL_TENSORPROTO_TENSORPROTO_H

#include "base/str.h"

/*
 * Decodes a TensorProto. Accepts tensor_content and the typed lists, packed or not; a list that is
 * shorter than the shape repeats its last value, an empty one means zeros. More values than the shape
 * holds, content of another size, a shape that overflows or of unknown rank: INVALID_ARGUMENT.
 * `max_bytes` bounds what a short list may expand to (RESOURCE_EXHAUSTED). Resource and variant
 * values: UNIMPLEMENTED. The caller releases *out.
 */
sl_code sl_tensorproto_decode(sl_str wire, size_t max_bytes, sl_tensor *out, sl_status *st);

/* Writes a tensor as a TensorProto: tensor_content, or string_val for strings. */
void sl_tensorproto_encode(const sl_tensor *t, sl_text *out);

/* Reads a TensorShapeProto. rank -1: unknown rank. INVALID_ARGUMENT if malformed or rank > 8. */
sl_code sl_tensorshape_decode(sl_str wire, int *rank, int64_t dims[SL_MAX_RANK], sl_status *st);

#endif
