/*
 * tensorproto.c - TensorProto, wire form <-> tensor
 *
 * Decoding walks the message twice: once for dtype, shape, content and how many values the dtype's
 * list has, so that what will be allocated is known and judged before it is; once to put the values
 * into their places. `lists` says for each dtype which field its values come in, and in what form.
 */
#include "tensorproto/tensorproto.h"

#include "base/mem.h"
#include "format/wire.h"

typedef struct list {
    unsigned field;
    unsigned wire;   /* how one value stands in the message */
    unsigned values; /* per element: 2 for complex numbers */
    unsigned width;  /* bytes of one value in the tensor */
} list;

static list list_of(sl_dtype t)
{
    switch ((int)t) {
    case SL_DT_FLOAT:
        return (list){5, SL_WIRE_FIXED32, 1, 4};
    case SL_DT_DOUBLE:
        return (list){6, SL_WIRE_FIXED64, 1, 8};
    case SL_DT_INT32:
    case SL_DT_QINT32:
        return (list){7, SL_WIRE_VARINT, 1, 4};
    case SL_DT_INT16:
    case SL_DT_UINT16:
    case SL_DT_QINT16:
    case SL_DT_QUINT16:
        return (list){7, SL_WIRE_VARINT, 1, 2};
    case SL_DT_INT8:
    case SL_DT_UINT8:
    case SL_DT_QINT8:
    case SL_DT_QUINT8:
    case SL_DT_INT4:
    case SL_DT_UINT4:
    case SL_DT_INT2:
    case SL_DT_UINT2:
        return (list){7, SL_WIRE_VARINT, 1, 1};
    case SL_DT_STRING:
        return (list){8, SL_WIRE_BYTES, 1, sizeof(sl_str)};
    case SL_DT_COMPLEX64:
        return (list){9, SL_WIRE_FIXED32, 2, 4};
    case SL_DT_INT64:
        return (list){10, SL_WIRE_VARINT, 1, 8};
    case SL_DT_BOOL:
        return (list){11, SL_WIRE_VARINT, 1, 1};
    case SL_DT_COMPLEX128:
        return (list){12, SL_WIRE_FIXED64, 2, 8};
    case SL_DT_HALF:
    case SL_DT_BFLOAT16:
        return (list){13, SL_WIRE_VARINT, 1, 2};
    case SL_DT_UINT32:
        return (list){16, SL_WIRE_VARINT, 1, 4};
    case SL_DT_UINT64:
        return (list){17, SL_WIRE_VARINT, 1, 8};
    case SL_DT_FLOAT8_E5M2:
    case SL_DT_FLOAT8_E4M3FN:
    case SL_DT_FLOAT8_E4M3FNUZ:
    case SL_DT_FLOAT8_E4M3B11FNUZ:
    case SL_DT_FLOAT8_E5M2FNUZ:
        return (list){18, SL_WIRE_BYTES, 1, 1};
    default:
        return (list){0};
    }
}

static sl_code bad_wire(const sl_wire *w, const char *message, sl_status *st)
{
    return sl_fail(st, SL_INVALID_ARGUMENT, "%s cannot be parsed at byte %zu: %s", message,
                   sl_wire_offset(w), w->bad);
}

/* ---- shape ---- */

static sl_code decode_dim(sl_str wire, int64_t *size, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    *size = 0;
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            *size = (int64_t)w.value;
    if (w.bad)
        return bad_wire(&w, "dimension of a shape", st);
    if (*size < -1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "size %lld in a shape is negative",
                       (long long)*size);
    return SL_OK;
}

sl_code sl_tensorshape_decode(sl_str wire, int *rank, int64_t dims[SL_MAX_RANK], sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    bool unknown = false;
    int n = 0;
    while (sl_wire_next(&w)) {
        if (w.field == 3 && w.type == SL_WIRE_VARINT)
            unknown = w.value != 0;
        if (w.field != 2 || w.type != SL_WIRE_BYTES)
            continue;
        if (n == SL_MAX_RANK)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "a shape of more than %d dimensions is not supported", SL_MAX_RANK);
        sl_code rc = decode_dim(w.bytes, &dims[n], st);
        if (rc)
            return rc;
        n++;
    }
    if (w.bad)
        return bad_wire(&w, "shape", st);
    *rank = unknown ? -1 : n;
    return SL_OK;
}

/* ---- decoding ---- */

/* What the first walk learns. */
typedef struct proto {
    sl_str wire;
    sl_dtype dtype;
    list list;
    int rank;
    int64_t dims[SL_MAX_RANK];
    sl_str content;
    size_t count;  /* elements of the shape */
    size_t values; /* of the list: numbers, or strings */
    size_t bytes;  /* of the list's strings */
} proto;

static sl_code read_head(proto *p, sl_status *st)
{
    sl_wire w = sl_wire_open(p->wire);
    uint64_t dtype = 0;
    sl_str shape = {"", 0};
    while (sl_wire_next(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            dtype = w.value;
        else if (w.field == 2 && w.type == SL_WIRE_BYTES)
            shape = w.bytes;
        else if (w.field == 4 && w.type == SL_WIRE_BYTES)
            p->content = w.bytes;
    }
    if (w.bad)
        return bad_wire(&w, "tensor", st);
    if (dtype == SL_DT_RESOURCE || dtype == SL_DT_VARIANT)
        return sl_fail(st, SL_UNIMPLEMENTED, "a %s in a tensor's wire form is not supported",
                       sl_dtype_name((sl_dtype)dtype));
    if (dtype >= SL_DT_COUNT || sl_dtype_size((sl_dtype)dtype) == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "tensor of type number %llu, which does not exist",
                       (unsigned long long)dtype);
    p->dtype = (sl_dtype)dtype;
    p->list = list_of(p->dtype);
    sl_code rc = sl_tensorshape_decode(shape, &p->rank, p->dims, st);
    if (rc)
        return rc;
    p->rank = SL_MAX(p->rank, 0);
    int64_t count = sl_shape_count(p->dims, p->rank, sl_dtype_size(p->dtype));
    char text[256];
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape %s of a tensor is out of range",
                       sl_shape_text(p->dims, p->rank, text, sizeof text));
    p->count = (size_t)count;
    return SL_OK;
}

/* How many values a packed field holds. */
static sl_code count_packed(const list *l, sl_str packed, size_t *n, sl_status *st)
{
    unsigned width = l->wire == SL_WIRE_FIXED64 ? 8 : 4;
    if (l->wire != SL_WIRE_VARINT) {
        if (packed.n % width)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "packed list of %zu bytes in a tensor is no multiple of %u", packed.n,
                           width);
        *n = packed.n / width;
        return SL_OK;
    }
    *n = 0;
    for (size_t i = 0; i < packed.n; i++)
        *n += !(packed.p[i] & 0x80); /* each number ends in a byte without the high bit */
    if (packed.n && (packed.p[packed.n - 1] & 0x80))
        return sl_fail(st, SL_INVALID_ARGUMENT, "packed list in a tensor ends inside a number");
    return SL_OK;
}

static sl_code count_values(proto *p, sl_status *st)
{
    sl_wire w = sl_wire_open(p->wire);
    while (sl_wire_next(&w)) {
        if (w.field != p->list.field)
            continue;
        size_t n = w.type == p->list.wire;
        if (p->list.wire == SL_WIRE_BYTES) {
            /* float8_val is one string of bytes, which like any scalar is the last one met */
            if (p->dtype == SL_DT_STRING) {
                if (n && p->values < p->count)
                    p->bytes += w.bytes.n;
            } else if (n) {
                p->values = 0;
                n = w.bytes.n;
            }
        } else if (w.type == SL_WIRE_BYTES) {
            sl_code rc = count_packed(&p->list, w.bytes, &n, st);
            if (rc)
                return rc;
        }
        p->values += n; /* each took at least one byte of the message: no overflow */
    }
    return SL_OK;
}

static void put_value(char *at, unsigned width, bool is_bool, uint64_t v)
{
    if (is_bool)
        v = v != 0;
    memcpy(at, &v, width); /* little-endian: the low bytes, which is what a cast would keep */
}

/* Stores the values of one packed field, `left` of them at most; returns how many. */
static sl_code put_packed(const proto *p, sl_str packed, char *to, size_t left, size_t *n,
                          sl_status *st)
{
    const unsigned width = p->list.width;
    *n = 0;
    if (p->list.wire != SL_WIRE_VARINT) {
        *n = SL_MIN(packed.n / width, left);
        memcpy(to, packed.p, *n * width);
        return SL_OK;
    }
    const unsigned char *at = (const unsigned char *)packed.p, *end = at + packed.n;
    uint64_t v;
    for (; at < end && *n < left; (*n)++) {
        if (!sl_wire_varint(&at, end, &v))
            return sl_fail(st, SL_INVALID_ARGUMENT, "overlong number in a tensor's packed list");
        put_value(to + *n * width, width, p->dtype == SL_DT_BOOL, v);
    }
    return SL_OK;
}

/* Repeats the last element to the end by doubling what is there. */
static void repeat_last(char *data, size_t have, size_t count, size_t size)
{
    if (have >= count)
        return;
    if (have == 0) {
        memset(data, 0, count * size);
        return;
    }
    char *from = data + (have - 1) * size;
    size_t done = size, all = (count - have + 1) * size;
    while (done < all) {
        size_t n = SL_MIN(done, all - done);
        memcpy(from + done, from, n);
        done += n;
    }
}

static sl_code put_values(const proto *p, sl_tensor *t, sl_status *st)
{
    sl_wire w = sl_wire_open(p->wire);
    const list *l = &p->list;
    char *data = t->data;
    size_t wanted = p->count * l->values, have = 0; /* fits: count * size did */
    while (have < wanted && sl_wire_next(&w)) {
        if (w.field != l->field)
            continue;
        if (w.type == l->wire && l->wire != SL_WIRE_BYTES) {
            put_value(data + have * l->width, l->width, p->dtype == SL_DT_BOOL, w.value);
            have++;
        } else if (w.type == SL_WIRE_BYTES && l->wire != SL_WIRE_BYTES) {
            size_t n;
            sl_code rc = put_packed(p, w.bytes, data + have * l->width, wanted - have, &n, st);
            if (rc)
                return rc;
            have += n;
        }
    }
    repeat_last(data, have / l->values, p->count, sl_dtype_size(p->dtype));
    return SL_OK;
}

static void put_float8(const proto *p, sl_tensor *t)
{
    sl_wire w = sl_wire_open(p->wire);
    size_t have = 0;
    while (sl_wire_next(&w))
        if (w.field == p->list.field && w.type == SL_WIRE_BYTES) {
            have = SL_MIN(w.bytes.n, p->count);
            memcpy(t->data, w.bytes.p, have);
        }
    repeat_last(t->data, have, p->count, 1);
}

static sl_code bad_content(const proto *p, sl_status *st)
{
    char text[256];
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "tensor_content of %zu bytes does not fit a %s tensor of shape %s", p->content.n,
                   sl_dtype_name(p->dtype), sl_shape_text(p->dims, p->rank, text, sizeof text));
}

/* A string tensor of one block: the table, then `bytes` bytes. */
static sl_code new_strings(const proto *p, size_t bytes, sl_tensor *t, sl_status *st)
{
    size_t table = p->count * sizeof(sl_str), size; /* fits: sl_shape_count saw to it */
    sl_buffer *b = sl_add_size(table, bytes, &size) ? sl_buffer_try_new(size) : NULL;
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor of %zu elements",
                       p->count);
    *t = (sl_tensor){
        .dtype = SL_DT_STRING, .rank = p->rank, .size = table, .data = b->data, .buffer = b};
    memcpy(t->dims, p->dims, sizeof t->dims);
    return SL_OK;
}

/* Lengths first, then the strings joined. */
static sl_code string_content(const proto *p, sl_tensor *out, sl_status *st)
{
    if (p->count > p->content.n)
        return bad_content(p, st);
    sl_tensor t;
    sl_code rc = new_strings(p, p->content.n, &t, st);
    if (rc)
        return rc;
    const unsigned char *at = (const unsigned char *)p->content.p, *end = at + p->content.n;
    sl_str *table = t.data;
    size_t sum = 0;
    for (size_t i = 0; i < p->count; i++) {
        uint64_t n = 0;
        if (!sl_wire_varint(&at, end, &n) || !sl_add_size(sum, n, &sum) || sum > p->content.n) {
            sl_tensor_release(&t);
            return bad_content(p, st);
        }
        table[i].n = n;
    }
    if (sum != (size_t)(end - at)) {
        sl_tensor_release(&t);
        return bad_content(p, st);
    }
    char *copy = (char *)(table + p->count);
    memcpy(copy, at, sum);
    for (size_t i = 0; i < p->count; copy += table[i++].n)
        table[i].p = copy;
    *out = t;
    return SL_OK;
}

/* Elements that repeat the last string share its bytes. */
static sl_code string_values(const proto *p, sl_tensor *out, sl_status *st)
{
    sl_code rc = new_strings(p, p->bytes, out, st);
    if (rc)
        return rc;
    sl_str *table = out->data;
    char *copy = (char *)(table + p->count);
    sl_wire w = sl_wire_open(p->wire);
    size_t have = 0;
    while (have < p->count && sl_wire_next(&w))
        if (w.field == p->list.field && w.type == SL_WIRE_BYTES) {
            memcpy(copy, w.bytes.p, w.bytes.n);
            table[have++] = (sl_str){copy, w.bytes.n};
            copy += w.bytes.n;
        }
    sl_str last = have ? table[have - 1] : (sl_str){"", 0};
    while (have < p->count)
        table[have++] = last;
    return SL_OK;
}

static sl_code numeric_content(const proto *p, sl_tensor *t, sl_status *st)
{
    if (p->content.n != t->size)
        return bad_content(p, st);
    memcpy(t->data, p->content.p, t->size);
    if (p->dtype != SL_DT_BOOL)
        return SL_OK;
    for (size_t i = 0; i < t->size; i++)
        if ((unsigned char)p->content.p[i] > 1)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "tensor_content has a bool that is neither 0 nor 1");
    return SL_OK;
}

static sl_code check_expansion(const proto *p, size_t max_bytes, sl_status *st)
{
    size_t size = p->count * sl_dtype_size(p->dtype);
    char text[256];
    if (p->values / p->list.values >= p->count || size <= max_bytes)
        return SL_OK;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "%zu values would expand to a %s tensor of shape %s, more than %zu bytes",
                   p->values, sl_dtype_name(p->dtype),
                   sl_shape_text(p->dims, p->rank, text, sizeof text), max_bytes);
}

sl_code sl_tensorproto_decode(sl_str wire, size_t max_bytes, sl_tensor *out, sl_status *st)
{
    proto p = {.wire = wire};
    sl_tensor t;
    sl_code rc = read_head(&p, st);
    if (rc)
        return rc;
    if (p.count == 0)
        return sl_tensor_try_new(p.dtype, p.dims, p.rank, out, st);
    if (p.content.n && p.dtype == SL_DT_STRING)
        return string_content(&p, out, st);
    if (p.content.n && p.content.n != p.count * sl_dtype_size(p.dtype))
        return bad_content(&p, st);
    if (p.content.n == 0) {
        rc = count_values(&p, st);
        if (rc == SL_OK)
            rc = check_expansion(&p, max_bytes, st);
        if (rc)
            return rc;
    }
    if (p.dtype == SL_DT_STRING)
        return string_values(&p, out, st);
    rc = sl_tensor_try_new(p.dtype, p.dims, p.rank, &t, st);
    if (rc)
        return rc;
    if (p.content.n)
        rc = numeric_content(&p, &t, st);
    else if (p.list.wire == SL_WIRE_BYTES)
        put_float8(&p, &t);
    else
        rc = put_values(&p, &t, st);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

/* ---- encoding ---- */

void sl_tensorproto_encode(const sl_tensor *t, sl_text *out)
{
    sl_text shape = {0};
    unsigned char dim[11];
    for (int i = 0; i < t->rank; i++) {
        dim[0] = 1 << 3;
        int n = sl_wire_write_varint(dim + 1, (uint64_t)t->dims[i]);
        sl_wire_put_bytes(&shape, 2, dim, (size_t)n + 1);
    }
    sl_wire_put_varint(out, 1, t->dtype);
    sl_wire_put_bytes(out, 2, shape.n ? shape.p : "", shape.n);
    out->failed |= shape.failed;
    sl_text_fini(&shape);
    if (t->dtype == SL_DT_STRING) {
        const sl_str *s = t->data;
        for (int64_t i = 0, count = sl_tensor_count(t); i < count; i++)
            sl_wire_put_bytes(out, 8, s[i].n ? s[i].p : "", s[i].n);
    } else if (t->size) {
        sl_wire_put_bytes(out, 4, t->data, t->size);
    }
}
