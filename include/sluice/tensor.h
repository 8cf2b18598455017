/*
 * tensor.h - dtype, buffer, tensor
 *
 * A tensor is a dtype, a shape and a pointer into a reference-counted buffer. Several tensors may
 * share one buffer (slices of a batch, a receive buffer lent to an engine, weights mapped from a
 * file); whoever holds a tensor holds one reference. A tensor's bytes are written once, by the one
 * who made it, and are read-only as soon as anybody else can see it: that is why sharing needs no
 * lock.
 *
 * A string tensor's `data` is an array of sl_str. The bytes they point to are kept alive by the
 * same buffer.
 */
#ifndef SLUICE_TENSOR_H
#define SLUICE_TENSOR_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/status.h"

/* Bytes with a length. Not terminated unless the one who made it says so. */
typedef struct sl_str {
    const char *p;
    size_t n;
} sl_str;

/* Numbers are those of tensorflow.DataType, so a value from the wire needs no translation.
 * number, suffix, bytes of an element (0: no plain layout), TensorFlow's short name, wire name */
#define SL_DTYPES(X)                                   \
    X(1, FLOAT, 4, "float")                            \
    X(2, DOUBLE, 8, "double")                          \
    X(3, INT32, 4, "int32")                            \
    X(4, UINT8, 1, "uint8")                            \
    X(5, INT16, 2, "int16")                            \
    X(6, INT8, 1, "int8")                              \
    X(7, STRING, 16, "string")                         \
    X(8, COMPLEX64, 8, "complex64")                    \
    X(9, INT64, 8, "int64")                            \
    X(10, BOOL, 1, "bool")                             \
    X(11, QINT8, 1, "qint8")                           \
    X(12, QUINT8, 1, "quint8")                         \
    X(13, QINT32, 4, "qint32")                         \
    X(14, BFLOAT16, 2, "bfloat16")                     \
    X(15, QINT16, 2, "qint16")                         \
    X(16, QUINT16, 2, "quint16")                       \
    X(17, UINT16, 2, "uint16")                         \
    X(18, COMPLEX128, 16, "complex128")                \
    X(19, HALF, 2, "half")                             \
    X(20, RESOURCE, 0, "resource")                     \
    X(21, VARIANT, 0, "variant")                       \
    X(22, UINT32, 4, "uint32")                         \
    X(23, UINT64, 8, "uint64")                         \
    X(24, FLOAT8_E5M2, 1, "float8_e5m2")               \
    X(25, FLOAT8_E4M3FN, 1, "float8_e4m3fn")           \
    X(26, FLOAT8_E4M3FNUZ, 1, "float8_e4m3fnuz")       \
    X(27, FLOAT8_E4M3B11FNUZ, 1, "float8_e4m3b11fnuz") \
    X(28, FLOAT8_E5M2FNUZ, 1, "float8_e5m2fnuz")       \
    X(29, INT4, 1, "int4")                             \
    X(30, UINT4, 1, "uint4")                           \
    X(31, INT2, 1, "int2")                             \
    X(32, UINT2, 1, "uint2")

typedef enum sl_dtype {
    SL_DT_INVALID = 0,
#define X(number, suffix, size, name) SL_DT_##suffix = number,
    SL_DTYPES(X)
#undef X
        SL_DT_COUNT,
    SL_DT_REF = 100 /* DT_FLOAT_REF = SL_DT_REF + SL_DT_FLOAT, as TF1 graphs write it */
} sl_dtype;

/* DT_FLOAT_REF -> DT_FLOAT; anything else unchanged. */
sl_dtype sl_dtype_base(sl_dtype t);
/* Bytes of one element in a tensor; 0 for resource, variant and numbers that are no dtype.
 * String: sizeof(sl_str). */
size_t sl_dtype_size(sl_dtype t);
/* "float", as in error texts; "invalid" when there is no such dtype. */
const char *sl_dtype_name(sl_dtype t);
/* "DT_FLOAT", "DT_FLOAT_REF", as in metadata; "DT_INVALID" when there is no such dtype. */
const char *sl_dtype_wire_name(sl_dtype t);

/* ---- buffers ---- */

typedef struct sl_buffer sl_buffer;
struct sl_buffer {
    int refs; /* atomic; only acquire and release touch it */
    size_t size;
    void *data;
    void (*destroy)(sl_buffer *b); /* frees data, owner and b itself */
    void *owner;                   /* destroy's own use */
};

/* `size` bytes, aligned to 64, not cleared, one reference; NULL when memory cannot be had. */
sl_buffer *sl_buffer_try_new(size_t size) SL_MUST_CHECK;
/* Makes a buffer of memory that somebody else owns; `destroy` runs when the last reference goes.
 * NULL when the small header cannot be had (destroy is then not called). */
sl_buffer *sl_buffer_try_wrap(void *data, size_t size, void (*destroy)(sl_buffer *b),
                              void *owner) SL_MUST_CHECK;
/* Any thread. acquire returns b. Both accept NULL. */
sl_buffer *sl_buffer_acquire(sl_buffer *b);
void sl_buffer_release(sl_buffer *b);

/* ---- tensors ---- */

/* Higher ranks are refused where they enter (TensorFlow's own kernels stop at 8 almost
 * everywhere). */
#define SL_MAX_RANK 8

typedef struct sl_tensor {
    sl_dtype dtype;
    int rank;
    int64_t dims[SL_MAX_RANK]; /* dims[0]: the batch */
    size_t size;               /* bytes of `data` */
    void *data;                /* row-major; aligned to 64 bytes unless it is a slice */
    sl_buffer *buffer;         /* keeps `data` alive; NULL for memory that outlives the tensor */
} sl_tensor;

/* Product of dims, -1 if a dim is negative or the product times `element_size` does not fit. Give
 * 1 for a bare count. */
int64_t sl_shape_count(const int64_t *dims, int rank, size_t element_size);

/* Writes "[2,3]" ("[]" for a scalar; "?" for an unknown dimension or rank). Returns buf. */
char *sl_shape_text(const int64_t *dims, int rank, char *buf, size_t size);

/* Makes a tensor with a new buffer: contents not set, except strings, which are empty.
 * INVALID_ARGUMENT: a dtype without layout, rank or dims out of range;
 * RESOURCE_EXHAUSTED: no memory. *out is untouched on failure. */
sl_code sl_tensor_try_new(sl_dtype dtype, const int64_t *dims, int rank, sl_tensor *out,
                          sl_status *st) SL_MUST_CHECK;

int64_t sl_tensor_count(const sl_tensor *t);

/* Makes *out rows [begin, end) of `t` without copying. Both must be released. The caller has
 * checked 0 <= begin <= end <= dims[0] and rank >= 1. */
void sl_tensor_slice(const sl_tensor *t, int64_t begin, int64_t end, sl_tensor *out);

/* Makes *out another reference to the same bytes. */
void sl_tensor_share(const sl_tensor *t, sl_tensor *out);

/* Gives up the reference and clears *t. A cleared tensor may be released again. */
void sl_tensor_release(sl_tensor *t);

/* Makes a string tensor that owns a copy of all `count` strings (one buffer: table, then bytes). */
sl_code sl_tensor_try_new_strings(const sl_str *values, const int64_t *dims, int rank,
                                  sl_tensor *out, sl_status *st) SL_MUST_CHECK;

/* Makes a string tensor whose table is new, all strings empty, and whose strings may point into
 * `bytes`: it keeps a reference of its own to that. The caller fills in the table before anybody
 * sees it. */
sl_code sl_tensor_try_lend_strings(sl_buffer *bytes, const int64_t *dims, int rank, sl_tensor *out,
                                   sl_status *st) SL_MUST_CHECK;

#endif
