/*
 * tensorproto.h - TensorProto, wire form <-> tensor
 *
 * Source: tensorflow/core/framework/{tensor,tensor_shape}.proto; what TensorFlow 2.21 was seen to
 * do with surplus, missing and misplaced values.
 */
#ifndef SL_TENSORPROTO_TENSORPROTO_H
#define SL_TENSORPROTO_TENSORPROTO_H

#include "base/chain.h"
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

/*
 * The same for a message that lies in `lender` (or NULL): where that saves a copy and the
 * alignment allows it, the tensor shares the buffer. That is so for tensor_content, for one packed
 * list of floats or doubles that has all values, and for the bytes of strings. What short lists
 * expand to is taken from *budget before it is allocated; a budget may serve several tensors.
 */
sl_code sl_tensorproto_decode_in(sl_str wire, sl_buffer *lender, size_t *budget, sl_tensor *out,
                                 sl_status *st);

/* What a tensor's TensorProto is made of: measured, then written. */
typedef struct sl_tensorproto_form {
    bool content;  /* tensor_content, not the dtype's list */
    size_t shape;  /* bytes of the TensorShapeProto */
    size_t values; /* bytes of the values */
    size_t size;   /* of the message */
} sl_tensorproto_form;

/* UNIMPLEMENTED: resource, variant. RESOURCE_EXHAUSTED: strings of more bytes than can be counted.
 * */
sl_code sl_tensorproto_measure(const sl_tensor *t, bool as_content, sl_tensorproto_form *f,
                               sl_status *st);
/* Appends the message, f->size bytes; what is large is lent from t->buffer. */
void sl_tensorproto_write(const sl_tensor *t, const sl_tensorproto_form *f, sl_chain *out);
/* Only the values of the dtype's list, form.values bytes, without a tag before them (but strings:
 * each has its own, field 8). For messages that have such lists, too. */
void sl_tensorproto_write_values(const sl_tensor *t, sl_chain *out);

/* Reads a TensorShapeProto. rank -1: unknown rank; a size below -1 or a rank above 8, or anything
 * malformed: INVALID_ARGUMENT. */
sl_code sl_tensorshape_decode(sl_str wire, int *rank, int64_t dims[SL_MAX_RANK], sl_status *st);

#endif
