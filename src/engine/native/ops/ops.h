/*
 * ops.h - what the op families share: sets of dtypes, checks of a node, small readers
 *
 * configure() functions follow one pattern: sl_ops_check() for the number of inputs and the dtype,
 * then the attributes, then out_types. shape() functions read the values of shape operands with
 * sl_ops_int(), which takes int32 and int64 alike.
 */
#ifndef SL_ENGINE_NATIVE_OPS_OPS_H
#define SL_ENGINE_NATIVE_OPS_OPS_H

#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/native/op.h"

/* A set of dtypes: bit number = number of the dtype. */
typedef uint64_t sl_types;
#define SL_T(name) (1ull << SL_DT_##name)
#define SL_T_SIGNED (SL_T(INT8) | SL_T(INT16) | SL_T(INT32) | SL_T(INT64))
#define SL_T_UNSIGNED (SL_T(UINT8) | SL_T(UINT16) | SL_T(UINT32) | SL_T(UINT64))
#define SL_T_INTS (SL_T_SIGNED | SL_T_UNSIGNED)
#define SL_T_FLOATS (SL_T(FLOAT) | SL_T(DOUBLE) | SL_T(HALF) | SL_T(BFLOAT16))
#define SL_T_NUMBERS (SL_T_INTS | SL_T_FLOATS)
/* Whatever has elements that can be copied. */
#define SL_T_PLAIN                                                                                 \
    (SL_T_NUMBERS | SL_T(BOOL) | SL_T(STRING) | SL_T(COMPLEX64) | SL_T(COMPLEX128) | SL_T(QINT8) | \
     SL_T(QUINT8) | SL_T(QINT16) | SL_T(QUINT16) | SL_T(QINT32))
#define SL_T_INDEX (SL_T(INT32) | SL_T(INT64))

static inline bool sl_types_has(sl_types set, sl_dtype t)
{
    return t > 0 && t < 64 && (set >> t & 1);
}

/* The node has `n_in` inputs and at least one output as the graph says, input 0 is one of `types`.
 */
sl_code sl_ops_check(const sl_op_node *n, int n_in, sl_types types, sl_status *st);
/* Input i has one of `types`: else FAILED_PRECONDITION "dtype complex64 is not supported". */
sl_code sl_ops_check_input(const sl_op_node *n, int i, sl_types types, sl_status *st);
/* All inputs in [from, n_in) have the dtype of input `from`. */
sl_code sl_ops_check_same(const sl_op_node *n, int from, int to, sl_status *st);
/* sl_ops_check, and all inputs of one dtype. */
sl_code sl_ops_check_all(const sl_op_node *n, int n_in, sl_types types, sl_status *st);
sl_code sl_ops_unsupported(sl_dtype t, sl_status *st);
sl_code sl_ops_no_memory(sl_status *st);
#define sl_ops_unsupported(...) sl_failed(sl_ops_unsupported(__VA_ARGS__))
#define sl_ops_no_memory(...) sl_failed(sl_ops_no_memory(__VA_ARGS__))

/* A piece of the node's arena for config, cleared; NULL never comes back. */
void *sl_ops_config(sl_op_node *n, size_t size);
/* Copies a text attribute ("" if it is not there) for the config: the file is gone when the model
 * runs. False: no memory. */
bool sl_ops_keep_text(sl_op_node *n, const char *name, sl_str *out) SL_MUST_CHECK;

/* Text of a shape, in one of a few buffers that the caller gives. */
typedef struct sl_shape_buf {
    char text[256];
} sl_shape_buf;
static inline const char *sl_ops_shape(const sl_tensor *t, sl_shape_buf *b)
{
    return sl_shape_text(t->dims, t->rank, b->text, sizeof b->text);
}

/* Adds element i of v as TensorFlow prints it: numbers with as many digits as tell them apart, texts
 * escaped as in C. Defined in state.c. */
void sl_ops_put_element(sl_text *t, const sl_tensor *v, int64_t i);

/* Element i of an integer tensor of any width. */
static inline int64_t sl_ops_int(const sl_tensor *t, int64_t i)
{
    switch (t->dtype) {
    case SL_DT_INT32:
        return ((const int32_t *)t->data)[i];
    case SL_DT_INT64:
        return ((const int64_t *)t->data)[i];
    case SL_DT_INT16:
        return ((const int16_t *)t->data)[i];
    case SL_DT_UINT16:
        return ((const uint16_t *)t->data)[i];
    case SL_DT_INT8:
        return ((const int8_t *)t->data)[i];
    case SL_DT_UINT8:
        return ((const uint8_t *)t->data)[i];
    default:
        return 0;
    }
}

/* Stores v as element i of an int32 or int64 tensor. */
static inline void sl_ops_set_int(const sl_tensor *t, int64_t i, int64_t v)
{
    if (t->dtype == SL_DT_INT32)
        ((int32_t *)t->data)[i] = (int32_t)v;
    else
        ((int64_t *)t->data)[i] = v;
}

/* Products of extents. A tensor without elements may have others whose product does not fit: it
 * then wraps, and nothing is done with it, as run() of such shapes returns before it walks
 * anything. */
static inline int64_t sl_ops_product(const int64_t *dims, int from, int to)
{
    uint64_t n = 1;
    for (int i = from; i < to; i++)
        n *= (uint64_t)dims[i];
    return (int64_t)n;
}

/* Row-major strides of a shape, in elements; they wrap likewise. */
static inline void sl_ops_strides(const int64_t *dims, int rank, int64_t *out)
{
    for (int i = 0; i < rank; i++)
        out[i] = sl_ops_product(dims, i + 1, rank);
}

static inline void sl_ops_same_shape(sl_tensor *out, const sl_tensor *in)
{
    out->rank = in->rank;
    memcpy(out->dims, in->dims, sizeof in->dims);
}

/* *axis counted from the front; false if it is not in [-rank, rank). */
static inline bool sl_ops_axis(int64_t *axis, int rank)
{
    if (*axis < -rank || *axis >= rank)
        return false;
    *axis += *axis < 0 ? rank : 0;
    return true;
}

/* For cost(): `each` nanoseconds for each element of t, whose shape need not fit into memory. */
static inline int64_t sl_ops_cost(const sl_tensor *t, int each)
{
    int64_t n = sl_shape_count(t->dims, t->rank, 1);
    return 50 + (n < 0 || n > INT64_C(1) << 50 ? INT64_C(1) << 50 : n) * each;
}

/* The output's bytes fit into memory at all: else INVALID_ARGUMENT. */
sl_code sl_ops_check_size(const sl_tensor *out, sl_status *st);
/* Appends a dimension; INVALID_ARGUMENT past SL_MAX_RANK. */
sl_code sl_ops_push_dim(sl_tensor *out, int64_t dim, sl_status *st);

/* For ops that make their outputs during the run: dims are set, memory comes from the arena. */
sl_code sl_ops_make(sl_op_call *c, int k, sl_status *st);
/* The same for a vector of n. */
sl_code sl_ops_make_vector(sl_op_call *c, int k, int64_t n, sl_status *st);

/* numpy's broadcasting of a and b into `out`; false if they do not fit. */
bool sl_ops_broadcast(const sl_tensor *a, const sl_tensor *b, sl_tensor *out);

/* Ready-made shape rules and runs. */
sl_code sl_ops_shape_like_first(sl_op_call *c, sl_status *st); /* all outputs: as input 0 */
sl_code sl_ops_shape_scalar(sl_op_call *c, sl_status *st);
sl_code sl_ops_shape_none(sl_op_call *c, sl_status *st);
sl_code sl_ops_copy_first(sl_op_call *c, sl_status *st); /* output 0: bytes of input 0 */

/*
 * Several versions of a hot function, the best one chosen once by the loader. Not under sanitizers,
 * whose runtime is not up yet when the choice is made, and not where the compiler lacks it.
 */
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define SL_CLONES \
    __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default"), optimize("O3")))
#else
#define SL_CLONES
#endif
#if defined(__GNUC__) && !defined(__clang__)
/* Iterations do not depend on each other (outputs may be exactly an input, never overlap partly).
 */
#define SL_IVDEP _Pragma("GCC ivdep")
#define SL_O3 __attribute__((optimize("O3")))
#else
#define SL_IVDEP
#define SL_O3
#endif

#endif
