/*
 * encode.c - tensor to TensorProto
 *
 * Measured first, then written: numbers of a fixed width and tensor_content go out as they lie in
 * the tensor, lent if they are many; what is written as varints is measured by adding up their
 * sizes.
 */
#include <assert.h>

#include "base/mem.h"
#include "format/wire_out.h"
#include "tensorproto/lists.h"
#include "tensorproto/tensorproto.h"

sl_value_list sl_value_list_of(sl_dtype t)
{
    switch ((int)t) {
    case SL_DT_FLOAT:
        return (sl_value_list){5, SL_WIRE_FIXED32, 1, 4};
    case SL_DT_DOUBLE:
        return (sl_value_list){6, SL_WIRE_FIXED64, 1, 8};
    case SL_DT_INT32:
    case SL_DT_QINT32:
        return (sl_value_list){7, SL_WIRE_VARINT, 1, 4};
    case SL_DT_INT16:
    case SL_DT_UINT16:
    case SL_DT_QINT16:
    case SL_DT_QUINT16:
        return (sl_value_list){7, SL_WIRE_VARINT, 1, 2};
    case SL_DT_INT8:
    case SL_DT_UINT8:
    case SL_DT_QINT8:
    case SL_DT_QUINT8:
    case SL_DT_INT4:
    case SL_DT_UINT4:
    case SL_DT_INT2:
    case SL_DT_UINT2:
        return (sl_value_list){7, SL_WIRE_VARINT, 1, 1};
    case SL_DT_STRING:
        return (sl_value_list){8, SL_WIRE_BYTES, 1, sizeof(sl_str)};
    case SL_DT_COMPLEX64:
        return (sl_value_list){9, SL_WIRE_FIXED32, 2, 4};
    case SL_DT_INT64:
        return (sl_value_list){10, SL_WIRE_VARINT, 1, 8};
    case SL_DT_BOOL:
        return (sl_value_list){11, SL_WIRE_VARINT, 1, 1};
    case SL_DT_COMPLEX128:
        return (sl_value_list){12, SL_WIRE_FIXED64, 2, 8};
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        return (sl_value_list){13, SL_WIRE_VARINT, 1, 2};
    case SL_DT_UINT32:
        return (sl_value_list){16, SL_WIRE_VARINT, 1, 4};
    case SL_DT_UINT64:
        return (sl_value_list){17, SL_WIRE_VARINT, 1, 8};
    case SL_DT_FLOAT8_E5M2:
    case SL_DT_FLOAT8_E4M3FN:
    case SL_DT_FLOAT8_E4M3FNUZ:
    case SL_DT_FLOAT8_E4M3B11FNUZ:
    case SL_DT_FLOAT8_E5M2FNUZ:
        return (sl_value_list){18, SL_WIRE_BYTES, 1, 1};
    default:
        return (sl_value_list){0};
    }
}

/* Shorter runs of bytes are copied: a piece of a chain of its own costs as much. */
enum { LEND = 8192 };

/* ---- numbers as varints ---- */

/* X(dtype, C type, the number that stands for an element v): what protobuf's int32, int64, ...
 * take. The smallest, uint2, never takes more than a byte. */
#define VARINTS(X)                                          \
    X(SL_DT_INT32, int32_t, (uint64_t)(int64_t)v)           \
    X(SL_DT_QINT32, int32_t, (uint64_t)(int64_t)v)          \
    X(SL_DT_INT16, int16_t, (uint64_t)(int64_t)v)           \
    X(SL_DT_QINT16, int16_t, (uint64_t)(int64_t)v)          \
    X(SL_DT_INT8, int8_t, (uint64_t)(int64_t)v)             \
    X(SL_DT_QINT8, int8_t, (uint64_t)(int64_t)v)            \
    X(SL_DT_INT64, int64_t, (uint64_t)v)                    \
    X(SL_DT_UINT8, uint8_t, v)                              \
    X(SL_DT_QUINT8, uint8_t, v)                             \
    X(SL_DT_UINT16, uint16_t, v)                            \
    X(SL_DT_QUINT16, uint16_t, v)                           \
    X(SL_DT_HALF, uint16_t, v)                              \
    X(SL_DT_BFLOAT16, uint16_t, v)                          \
    X(SL_DT_UINT32, uint32_t, v)                            \
    X(SL_DT_UINT64, uint64_t, v)                            \
    X(SL_DT_INT4, uint8_t, (uint64_t)(((v & 15) ^ 8) - 8L)) \
    X(SL_DT_INT2, uint8_t, (uint64_t)(((v & 3) ^ 2) - 2L))  \
    X(SL_DT_UINT4, uint8_t, v & 15)

static size_t size_of_varints(const sl_tensor *t)
{
    size_t n = t->size / sl_dtype_size(t->dtype), sum = 0;
    switch ((int)t->dtype) {
#define X(DT, type, number)                     \
    case DT: {                                  \
        const type *all = t->data;              \
        for (size_t i = 0; i < n; i++) {        \
            type v = all[i];                    \
            sum += sl_wire_varint_size(number); \
        }                                       \
        return sum;                             \
    }
        VARINTS(X)
#undef X
    default:
        return n; /* uint2 and bool: one byte each */
    }
}

/* Elements [from, to) of t. */
static unsigned char *put_varints(const sl_tensor *t, size_t from, size_t to, unsigned char *p)
{
    switch ((int)t->dtype) {
#define X(DT, type, number)                       \
    case DT: {                                    \
        const type *all = t->data;                \
        for (size_t i = from; i < to; i++) {      \
            type v = all[i];                      \
            p += sl_wire_write_varint(p, number); \
        }                                         \
        return p;                                 \
    }
        VARINTS(X)
#undef X
    default:
        assert(t->dtype == SL_DT_UINT2); /* bool is written as it lies there */
        for (size_t i = from; i < to; i++)
            *p++ = ((const unsigned char *)t->data)[i] & 3;
        return p;
    }
}

static void out_varints(const sl_tensor *t, sl_chain *out)
{
    enum { AT_ONCE = 4096, MOST = 10 };
    size_t n = t->size / sl_dtype_size(t->dtype);
    for (size_t i = 0; i < n; i += AT_ONCE) {
        size_t end = SL_MIN(i + AT_ONCE, n);
        unsigned char *p = (unsigned char *)sl_chain_reserve(out, (end - i) * MOST);
        if (p == NULL)
            return;
        sl_chain_commit(out, (size_t)(put_varints(t, i, end, p) - p));
    }
}

/* ---- bytes ---- */

static void out_run(const sl_tensor *t, const void *p, size_t n, sl_chain *out)
{
    if (n >= LEND && t->buffer != NULL)
        sl_chain_lend(out, t->buffer, p, n);
    else
        sl_chain_add(out, p, n);
}

/* ---- strings ---- */

static size_t string_count(const sl_tensor *t)
{
    return t->size / sizeof(sl_str);
}

static void out_strings(const sl_tensor *t, sl_chain *out)
{
    const sl_str *s = t->data;
    for (size_t i = 0; i < string_count(t); i++) {
        sl_wire_out_head(out, 8, s[i].n);
        out_run(t, s[i].p, s[i].n, out);
    }
}

static void out_string_content(const sl_tensor *t, sl_chain *out)
{
    const sl_str *s = t->data;
    for (size_t i = 0; i < string_count(t); i++) {
        unsigned char *p = (unsigned char *)sl_chain_reserve(out, 10);
        if (p == NULL)
            return;
        sl_chain_commit(out, (size_t)sl_wire_write_varint(p, s[i].n));
    }
    for (size_t i = 0; i < string_count(t); i++)
        out_run(t, s[i].p, s[i].n, out);
}

static sl_code measure_strings(const sl_tensor *t, bool as_content, size_t *out)
{
    const sl_str *s = t->data;
    size_t sum = 0;
    for (size_t i = 0; i < string_count(t); i++) {
        size_t head = (as_content ? 0 : 1) + sl_wire_varint_size(s[i].n);
        if (!sl_add_size(sum, head, &sum) || !sl_add_size(sum, s[i].n, &sum))
            return SL_RESOURCE_EXHAUSTED;
    }
    *out = sum;
    return SL_OK;
}

/* ---- the message ---- */

static size_t dim_size(int64_t dim)
{
    return dim ? sl_wire_size_varint(1, (uint64_t)dim) : 0; /* a zero goes without saying */
}

sl_code sl_tensorproto_measure(const sl_tensor *t, bool as_content, sl_tensorproto_form *f,
                               sl_status *st)
{
    sl_value_list l = sl_value_list_of(t->dtype);
    *f = (sl_tensorproto_form){.content = as_content};
    if (l.field == 0)
        return sl_fail(st, SL_UNIMPLEMENTED, "a %s has no wire form", sl_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++)
        f->shape += sl_wire_size_bytes(2, dim_size(t->dims[i]));
    f->size = sl_wire_size_varint(1, t->dtype) + sl_wire_size_bytes(2, f->shape);
    if (t->size == 0)
        return SL_OK;
    f->values = t->size;
    if (t->dtype == SL_DT_STRING) {
        if (measure_strings(t, as_content, &f->values))
            return sl_fail(st, SL_RESOURCE_EXHAUSTED, "a string tensor is too large for a message");
        f->size += as_content ? sl_wire_size_bytes(4, f->values) : f->values;
        return SL_OK;
    }
    if (!as_content && l.wire == SL_WIRE_VARINT)
        f->values = size_of_varints(t);
    f->size += sl_wire_size_bytes(as_content ? 4 : l.field, f->values);
    return SL_OK;
}

void sl_tensorproto_write_values(const sl_tensor *t, sl_chain *out)
{
    if (t->dtype == SL_DT_STRING)
        out_strings(t, out);
    else if (sl_value_list_of(t->dtype).wire != SL_WIRE_VARINT || t->dtype == SL_DT_BOOL)
        out_run(t, t->data, t->size, out);
    else
        out_varints(t, out);
}

void sl_tensorproto_write(const sl_tensor *t, const sl_tensorproto_form *f, sl_chain *out)
{
    sl_value_list l = sl_value_list_of(t->dtype);
    sl_wire_out_varint(out, 1, t->dtype);
    sl_wire_out_head(out, 2, f->shape);
    for (int i = 0; i < t->rank; i++) {
        sl_wire_out_head(out, 2, dim_size(t->dims[i]));
        if (t->dims[i])
            sl_wire_out_varint(out, 1, (uint64_t)t->dims[i]);
    }
    if (t->size == 0)
        return;
    if (t->dtype != SL_DT_STRING || f->content)
        sl_wire_out_head(out, f->content ? 4 : l.field, f->values);
    if (!f->content)
        sl_tensorproto_write_values(t, out);
    else if (t->dtype == SL_DT_STRING)
        out_string_content(t, out);
    else
        out_run(t, t->data, t->size, out);
}
