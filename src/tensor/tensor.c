/* tensor.c - dtypes, shapes, tensors */
#include "sluice/tensor.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

sl_dtype sl_dtype_base(sl_dtype t)
{
    return t > SL_DT_REF ? (sl_dtype)(t - SL_DT_REF) : t;
}

size_t sl_dtype_size(sl_dtype t)
{
    switch ((int)t) {
#define X(number, suffix, size, name) \
    case SL_DT_##suffix:              \
        return size;
        SL_DTYPES(X)
#undef X
    default:
        return 0;
    }
}

const char *sl_dtype_name(sl_dtype t)
{
    switch ((int)t) {
#define X(number, suffix, size, name) \
    case SL_DT_##suffix:              \
        return name;                  \
    case SL_DT_REF + number:          \
        return name "_ref";
        SL_DTYPES(X)
#undef X
    default:
        return "invalid";
    }
}

const char *sl_dtype_wire_name(sl_dtype t)
{
    switch ((int)t) {
#define X(number, suffix, size, name) \
    case SL_DT_##suffix:              \
        return "DT_" #suffix;         \
    case SL_DT_REF + number:          \
        return "DT_" #suffix "_REF";
        SL_DTYPES(X)
#undef X
    default:
        return "DT_INVALID";
    }
}

int64_t sl_shape_count(const int64_t *dims, int rank, size_t element_size)
{
    int64_t n = 1, bytes;
    bool zero = false; /* [0, 2^40, 2^40] holds nothing: its product must not count as too large */
    for (int i = 0; i < rank; i++) {
        if (dims[i] < 0)
            return -1;
        zero |= dims[i] == 0;
    }
    if (zero)
        return 0;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(n, dims[i], &n))
            return -1;
    return __builtin_mul_overflow(n, element_size, &bytes) ? -1 : n;
}

char *sl_shape_text(const int64_t *dims, int rank, char *buf, size_t size)
{
    if (rank < 0) {
        snprintf(buf, size, "?");
        return buf;
    }
    size_t n = (size_t)snprintf(buf, size, "[");
    for (int i = 0; i < rank && n < size; i++)
        n += (size_t)(dims[i] < 0
                          ? snprintf(buf + n, size - n, i ? ",?" : "?")
                          : snprintf(buf + n, size - n, i ? ",%lld" : "%lld", (long long)dims[i]));
    if (n < size)
        snprintf(buf + n, size - n, "]");
    return buf;
}

sl_code sl_tensor_try_new(sl_dtype dtype, const int64_t *dims, int rank, sl_tensor *out,
                          sl_status *st)
{
    size_t element = sl_dtype_size(dtype);
    char shape[256];
    if (element == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a tensor of type %s has no layout",
                       sl_dtype_name(dtype));
    if (rank < 0 || rank > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a tensor of rank %d is not supported: at most %d",
                       rank, SL_MAX_RANK);
    int64_t count = sl_shape_count(dims, rank, element);
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape %s is out of range",
                       sl_shape_text(dims, rank, shape, sizeof shape));
    size_t size = (size_t)count * element;
    sl_buffer *b = sl_buffer_try_new(size);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %s tensor of shape %s",
                       sl_dtype_name(dtype), sl_shape_text(dims, rank, shape, sizeof shape));
    if (dtype == SL_DT_STRING)
        memset(b->data, 0, size);
    *out = (sl_tensor){.dtype = dtype, .rank = rank, .size = size, .data = b->data, .buffer = b};
    if (rank)
        memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    return SL_OK;
}

int64_t sl_tensor_count(const sl_tensor *t)
{
    return sl_shape_count(t->dims, t->rank, 1);
}

void sl_tensor_slice(const sl_tensor *t, int64_t begin, int64_t end, sl_tensor *out)
{
    size_t row = t->dims[0] ? t->size / (size_t)t->dims[0] : 0;
    *out = *t;
    out->dims[0] = end - begin;
    out->data = (char *)t->data + (size_t)begin * row;
    out->size = (size_t)(end - begin) * row;
    sl_buffer_acquire(t->buffer);
}

void sl_tensor_share(const sl_tensor *t, sl_tensor *out)
{
    *out = *t;
    sl_buffer_acquire(t->buffer);
}

void sl_tensor_release(sl_tensor *t)
{
    sl_buffer_release(t->buffer);
    *t = (sl_tensor){0};
}

sl_code sl_tensor_try_new_strings(const sl_str *values, const int64_t *dims, int rank,
                                  sl_tensor *out, sl_status *st)
{
    int64_t count =
        rank < 0 || rank > SL_MAX_RANK ? -1 : sl_shape_count(dims, rank, sizeof(sl_str));
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape of a string tensor is out of range");
    size_t bytes = (size_t)count * sizeof(sl_str);
    for (int64_t i = 0; i < count; i++)
        if (!sl_add_size(bytes, values[i].n, &bytes))
            return sl_fail(st, SL_RESOURCE_EXHAUSTED, "string tensor is too large");
    sl_buffer *b = sl_buffer_try_new(bytes);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor of %zu bytes",
                       bytes);
    sl_str *table = b->data;
    char *at = (char *)(table + count);
    for (int64_t i = 0; i < count; i++) {
        if (values[i].n)
            memcpy(at, values[i].p, values[i].n);
        table[i] = (sl_str){at, values[i].n};
        at += values[i].n;
    }
    *out = (sl_tensor){.dtype = SL_DT_STRING,
                       .rank = rank,
                       .size = (size_t)count * sizeof(sl_str),
                       .data = table,
                       .buffer = b};
    if (rank)
        memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    return SL_OK;
}

/* A table of strings and, in front of it, its own header and the buffer that it holds on to. */
typedef struct lent_strings {
    sl_buffer buffer;
    sl_buffer *bytes;
} lent_strings;

static void free_lent(sl_buffer *b)
{
    lent_strings *l = (lent_strings *)b;
    sl_buffer_release(l->bytes);
    sl_free(l);
}

sl_code sl_tensor_try_lend_strings(sl_buffer *bytes, const int64_t *dims, int rank, sl_tensor *out,
                                   sl_status *st)
{
    int64_t count =
        rank < 0 || rank > SL_MAX_RANK ? -1 : sl_shape_count(dims, rank, sizeof(sl_str));
    size_t size;
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape of a string tensor is out of range");
    size_t table = (size_t)count * sizeof(sl_str);
    lent_strings *l = sl_add_size(table, sizeof *l, &size) ? sl_try_calloc(1, size) : NULL;
    if (l == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor of %lld elements",
                       (long long)count);
    *l = (lent_strings){.buffer = {.refs = 1, .size = table, .data = l + 1, .destroy = free_lent},
                        .bytes = sl_buffer_acquire(bytes)};
    *out = (sl_tensor){
        .dtype = SL_DT_STRING, .rank = rank, .size = table, .data = l + 1, .buffer = &l->buffer};
    if (rank)
        memcpy(out->dims, dims, (size_t)rank * sizeof *dims);
    return SL_OK;
}
