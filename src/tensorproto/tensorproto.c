/*
 * tensorproto.c - TensorProto to tensor
 *
 * Decoding walks the message once for dtype, shape, content and where its values are, so that what
 * will be allocated is known and judged before it is. Values that stand in one packed list, as
 * nearly all do, are then taken from there; only values in several pieces are walked for again.
 * lists.h says for each dtype which field its values come in, and in what form.
 */
#include "tensorproto/tensorproto.h"

#include <assert.h>

#include "base/mem.h"
#include "format/wire.h"
#include "tensorproto/lists.h"

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

/* Adds the dimensions of one TensorShapeProto; several of them are merged, like any message. *rank
 * and *unknown go on from what they are. */
static sl_code add_dims(sl_str wire, int *rank, bool *unknown, int64_t dims[SL_MAX_RANK],
                        sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (w.field == 3 && w.type == SL_WIRE_VARINT)
            *unknown = w.value != 0;
        if (w.field != 2 || w.type != SL_WIRE_BYTES)
            continue;
        if (*rank == SL_MAX_RANK)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "a shape of more than %d dimensions is not supported", SL_MAX_RANK);
        sl_code rc = decode_dim(w.bytes, &dims[*rank], st);
        if (rc)
            return rc;
        ++*rank;
    }
    return w.bad ? bad_wire(&w, "shape", st) : SL_OK;
}

sl_code sl_tensorshape_decode(sl_str wire, int *rank, int64_t dims[SL_MAX_RANK], sl_status *st)
{
    bool unknown = false;
    int n = 0;
    sl_code rc = add_dims(wire, &n, &unknown, dims, st);
    if (rc == SL_OK)
        *rank = unknown ? -1 : n;
    return rc;
}

/* ---- decoding ---- */

/* What the first walk learns. */
typedef struct proto {
    sl_str wire;
    sl_dtype dtype;
    sl_value_list list;
    int rank;
    int64_t dims[SL_MAX_RANK];
    sl_str content;
    size_t count; /* elements of the shape */
    /* Fields that are lists of numbers, whichever dtype's: how many, and the first one. */
    size_t pieces, alike; /* alike: of the same field and form as the first one */
    unsigned field, type;
    sl_str packed;
    size_t first; /* where in the message it begins */
    /* string_val */
    size_t strings, string_bytes;
    size_t first_string;
    size_t values; /* of the dtype's list: numbers, or strings */
} proto;

/* One field of the message that is a value or a list of them. */
static void note_values(proto *p, const sl_wire *w, size_t at)
{
    if (w->field == 8 && w->type == SL_WIRE_BYTES) {
        if (p->strings++ == 0)
            p->first_string = at;
        p->string_bytes += w->bytes.n;
    } else if (w->field >= 5 && w->field <= 18 && w->field != 8) {
        if (p->pieces++ == 0) {
            p->field = w->field;
            p->type = w->type;
            p->packed = w->type == SL_WIRE_BYTES ? w->bytes : (sl_str){"", 0};
            p->first = at;
        }
        p->alike += w->field == p->field && w->type == p->type;
    }
}

static sl_code bad_dtype(uint64_t dtype, sl_status *st)
{
    if (dtype == SL_DT_RESOURCE || dtype == SL_DT_VARIANT)
        return sl_fail(st, SL_UNIMPLEMENTED, "a %s in a tensor's wire form is not supported",
                       sl_dtype_name((sl_dtype)dtype));
    return sl_fail(st, SL_INVALID_ARGUMENT, "tensor of type number %llu, which does not exist",
                   (unsigned long long)dtype);
}

static sl_code read_head(proto *p, sl_status *st)
{
    sl_wire w = sl_wire_open(p->wire);
    uint64_t dtype = 0;
    bool unknown = false;
    sl_code shape = SL_OK; /* which is reported only when the rest is known to be well-formed */
    for (size_t at = 0; sl_wire_next(&w); at = sl_wire_offset(&w)) {
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            dtype = w.value;
        else if (w.field == 2 && w.type == SL_WIRE_BYTES && shape == SL_OK)
            shape = add_dims(w.bytes, &p->rank, &unknown, p->dims, st);
        else if (w.field == 4 && w.type == SL_WIRE_BYTES)
            p->content = w.bytes;
        else
            note_values(p, &w, at);
    }
    if (w.bad)
        return bad_wire(&w, "tensor", st);
    if (dtype >= SL_DT_COUNT || sl_dtype_size((sl_dtype)dtype) == 0)
        return bad_dtype(dtype, st);
    if (shape)
        return shape;
    p->dtype = (sl_dtype)dtype;
    p->list = sl_value_list_of(p->dtype);
    p->rank = unknown ? 0 : p->rank;
    int64_t count = sl_shape_count(p->dims, p->rank, sl_dtype_size(p->dtype));
    char text[256];
    if (count < 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "shape %s of a tensor is out of range",
                       sl_shape_text(p->dims, p->rank, text, sizeof text));
    p->count = (size_t)count;
    return SL_OK;
}

/* How many values a packed field holds. */
static sl_code count_packed(const sl_value_list *l, sl_str packed, size_t *n, sl_status *st)
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

/* All values stand in one packed list of the right dtype. */
static bool is_one_list(const proto *p)
{
    return p->pieces == 1 && p->field == p->list.field && p->type == SL_WIRE_BYTES;
}

static sl_code count_values(proto *p, sl_status *st)
{
    if (p->dtype == SL_DT_STRING) {
        p->values = p->strings;
        return SL_OK;
    }
    if (is_one_list(p) && p->list.wire != SL_WIRE_BYTES)
        return count_packed(&p->list, p->packed, &p->values, st);
    if (p->pieces == 0)
        return SL_OK;
    if (p->alike == p->pieces && p->field == p->list.field && p->type == p->list.wire &&
        p->type != SL_WIRE_BYTES) { /* one by one */
        p->values = p->pieces;
        return SL_OK;
    }
    sl_wire w = sl_wire_open(p->wire);
    while (sl_wire_next(&w)) {
        if (w.field != p->list.field)
            continue;
        size_t n = w.type == p->list.wire;
        if (p->list.wire == SL_WIRE_BYTES) {
            /* float8_val is one string of bytes, which like any scalar is the last one met */
            if (n)
                p->values = 0;
            n = n ? w.bytes.n : 0;
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

/* Numbers that stand one by one with the same tag, from `at` on: how they come when they are not
 * packed. Stops at the first field that is another. */
static size_t put_run(const proto *p, sl_wire *w, char *to, size_t left)
{
    const unsigned tag = w->field << 3 | w->type, width = p->list.width, bytes = width + 1;
    const unsigned char *at = w->at;
    size_t n = 0;
    if (tag >= 0x80 || (w->type != SL_WIRE_FIXED32 && w->type != SL_WIRE_FIXED64))
        return 0;
    while (n < left && (size_t)(w->end - at) >= bytes && *at == tag) {
        memcpy(to + n++ * width, at + 1, width);
        at += bytes;
    }
    w->at = at;
    return n;
}

static sl_code put_pieces(const proto *p, char *data, size_t wanted, size_t *have, sl_status *st)
{
    const sl_value_list *l = &p->list;
    sl_wire w = sl_wire_open((sl_str){p->wire.p + p->first, p->wire.n - p->first});
    while (*have < wanted && sl_wire_next(&w)) {
        if (w.field != l->field)
            continue;
        if (w.type == l->wire) {
            put_value(data + *have * l->width, l->width, p->dtype == SL_DT_BOOL, w.value);
            ++*have;
            *have += put_run(p, &w, data + *have * l->width, wanted - *have);
        } else if (w.type == SL_WIRE_BYTES) {
            size_t n;
            sl_code rc = put_packed(p, w.bytes, data + *have * l->width, wanted - *have, &n, st);
            if (rc)
                return rc;
            *have += n;
        }
    }
    return SL_OK;
}

static sl_code put_values(const proto *p, sl_tensor *t, sl_status *st)
{
    size_t wanted = p->count * p->list.values, have = 0; /* fits: count * size did */
    sl_code rc = SL_OK;
    if (is_one_list(p))
        rc = put_packed(p, p->packed, t->data, wanted, &have, st);
    else if (p->pieces)
        rc = put_pieces(p, t->data, wanted, &have, st);
    if (rc == SL_OK)
        repeat_last(t->data, have / p->list.values, p->count, sl_dtype_size(p->dtype));
    return rc;
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

/* ---- memory ---- */

/* Strings of fewer bytes are copied: that keeps no request alive, and costs less than it would
 * save. */
enum { LEND_STRINGS = 1024 };

static bool lies_in(const sl_buffer *b, sl_str s)
{
    return b != NULL && s.p >= (const char *)b->data && s.n <= b->size &&
           (size_t)(s.p - (const char *)b->data) <= b->size - s.n;
}

/* A string tensor, its table not set: of one block, the table, then `bytes` bytes; or, without
 * those, one whose strings may stay where they are in `lender`. *copy: where the bytes go, or
 * NULL. */
static sl_code new_strings(const proto *p, sl_buffer *lender, size_t bytes, sl_tensor *t,
                           char **copy, sl_status *st)
{
    *copy = NULL;
    if (bytes >= LEND_STRINGS && lies_in(lender, p->wire))
        return sl_tensor_try_lend_strings(lender, p->dims, p->rank, t, st);
    size_t table = p->count * sizeof(sl_str); /* fits into an int64_t: sl_shape_count saw to it */
    assert(table <= INT64_MAX && bytes <= p->wire.n);
    sl_buffer *b = sl_buffer_try_new(table + bytes);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor of %zu elements",
                       p->count);
    *t = (sl_tensor){
        .dtype = SL_DT_STRING, .rank = p->rank, .size = table, .data = b->data, .buffer = b};
    memcpy(t->dims, p->dims, sizeof t->dims);
    *copy = (char *)b->data + table;
    return SL_OK;
}

/* Lengths first, then the strings joined. */
static sl_code string_content(const proto *p, sl_buffer *lender, sl_tensor *out, sl_status *st)
{
    char *copy;
    sl_tensor t;
    if (p->count > p->content.n)
        return bad_content(p, st);
    sl_code rc = new_strings(p, lender, p->content.n, &t, &copy, st);
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
    const char *from = (const char *)at;
    if (copy != NULL)
        from = memcpy(copy, at, sum);
    for (size_t i = 0; i < p->count; from += table[i++].n)
        table[i].p = from;
    *out = t;
    return SL_OK;
}

/* Elements that repeat the last string share its bytes. */
static sl_code string_values(const proto *p, sl_buffer *lender, sl_tensor *out, sl_status *st)
{
    char *copy;
    sl_code rc = new_strings(p, lender, p->string_bytes, out, &copy, st);
    if (rc)
        return rc;
    sl_str *table = out->data;
    sl_wire w = sl_wire_open((sl_str){p->wire.p + p->first_string, p->wire.n - p->first_string});
    size_t have = 0;
    while (have < p->count && sl_wire_next(&w)) {
        if (w.field != 8 || w.type != SL_WIRE_BYTES)
            continue;
        table[have++] = copy ? (sl_str){copy, w.bytes.n} : w.bytes;
        if (copy == NULL)
            continue;
        memcpy(copy, w.bytes.p, w.bytes.n);
        copy += w.bytes.n;
    }
    sl_str last = have ? table[have - 1] : (sl_str){"", 0};
    while (have < p->count)
        table[have++] = last;
    return SL_OK;
}

static sl_code check_bools(sl_str content, sl_status *st)
{
    unsigned char all = 0;
    for (size_t i = 0; i < content.n; i++)
        all |= (unsigned char)content.p[i];
    if (all > 1)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "tensor_content has a bool that is neither 0 nor 1");
    return SL_OK;
}

/* The bytes as they are to lie in the tensor, if they stand so in the message. */
static bool as_it_stands(const proto *p, sl_str *out)
{
    *out = p->content.n ? p->content : p->packed;
    return p->content.n ||
           (is_one_list(p) && p->list.wire != SL_WIRE_BYTES && p->list.wire != SL_WIRE_VARINT &&
            p->packed.n >= p->count * sl_dtype_size(p->dtype));
}

/* What the list lacks is made up: a few bytes of request, and as many as the shape says. */
static sl_code charge_expansion(const proto *p, size_t *budget, sl_status *st)
{
    size_t size = p->count * sl_dtype_size(p->dtype);
    char text[256];
    if (p->values / p->list.values >= p->count)
        return SL_OK;
    if (size > *budget)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                       "%zu values would expand to a %s tensor of shape %s, more than the %zu "
                       "bytes that are left for this request",
                       p->values, sl_dtype_name(p->dtype),
                       sl_shape_text(p->dims, p->rank, text, sizeof text), *budget);
    *budget -= size;
    return SL_OK;
}

static sl_code numbers(const proto *p, sl_buffer *lender, sl_tensor *out, sl_status *st)
{
    sl_tensor t;
    sl_str bytes;
    size_t element = sl_dtype_size(p->dtype), size = p->count * element;
    size_t alignment = SL_MIN(element, (size_t)8);
    bool ready = as_it_stands(p, &bytes);
    sl_code rc = p->content.n && p->dtype == SL_DT_BOOL ? check_bools(bytes, st) : SL_OK;
    if (rc)
        return rc;
    if (ready && (uintptr_t)bytes.p % alignment == 0 && lies_in(lender, bytes)) {
        *out = (sl_tensor){.dtype = p->dtype,
                           .rank = p->rank,
                           .size = size,
                           .data = (void *)bytes.p,
                           .buffer = sl_buffer_acquire(lender)};
        memcpy(out->dims, p->dims, sizeof out->dims);
        return SL_OK;
    }
    rc = sl_tensor_try_new(p->dtype, p->dims, p->rank, &t, st);
    if (rc)
        return rc;
    if (ready)
        memcpy(t.data, bytes.p, size);
    else if (p->list.wire == SL_WIRE_BYTES)
        put_float8(p, &t);
    else
        rc = put_values(p, &t, st);
    if (rc)
        sl_tensor_release(&t);
    else
        *out = t;
    return rc;
}

sl_code sl_tensorproto_decode_in(sl_str wire, sl_buffer *lender, size_t *budget, sl_tensor *out,
                                 sl_status *st)
{
    proto p = {.wire = wire};
    sl_code rc = read_head(&p, st);
    if (rc)
        return rc;
    if (p.count == 0)
        return sl_tensor_try_new(p.dtype, p.dims, p.rank, out, st);
    if (p.content.n && p.dtype == SL_DT_STRING)
        return string_content(&p, lender, out, st);
    if (p.content.n && p.content.n != p.count * sl_dtype_size(p.dtype))
        return bad_content(&p, st);
    if (p.content.n == 0) {
        rc = count_values(&p, st);
        if (rc == SL_OK)
            rc = charge_expansion(&p, budget, st);
        if (rc)
            return rc;
    }
    return p.dtype == SL_DT_STRING ? string_values(&p, lender, out, st)
                                   : numbers(&p, lender, out, st);
}

sl_code sl_tensorproto_decode(sl_str wire, size_t max_bytes, sl_tensor *out, sl_status *st)
{
    return sl_tensorproto_decode_in(wire, NULL, &max_bytes, out, st);
}
