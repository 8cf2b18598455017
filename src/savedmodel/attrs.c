/*
 * attrs.c - attributes, decoded when somebody asks
 *
 * The wire form was walked once when the model was opened, so a walk here cannot fail; where a
 * field of a list or shape is malformed, the accessor gives what it gives for an absent attribute.
 */
#include "base/mem.h"
#include "format/wire.h"
#include "savedmodel/model.h"
#include "tensorproto/tensorproto.h"

/* Fields of AttrValue, and the same ones of AttrValue.ListValue. */
enum {
    LIST = 1,
    S = 2,
    I = 3,
    F = 4,
    B = 5,
    TYPE = 6,
    SHAPE = 7,
    TENSOR = 8,
    PLACEHOLDER = 9,
    FUNC = 10,
    LIST_FUNC = 9
};

const sl_attr *sl_node_attr(const sl_node *n, const char *name)
{
    sl_str wanted = sl_str_of(name);
    for (int lo = 0, hi = n->n_attrs; lo < hi;) {
        int mid = lo + (hi - lo) / 2, c = sl_str_cmp(n->attrs[mid].name, wanted);
        if (c == 0)
            return &n->attrs[mid];
        if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    return NULL;
}

static unsigned wire_of_element(unsigned field)
{
    return field == F                                  ? SL_WIRE_FIXED32
           : field == I || field == B || field == TYPE ? SL_WIRE_VARINT
                                                       : SL_WIRE_BYTES;
}

/* The last field of that number; false unless the attribute is there and of that kind. */
static bool find(const sl_node *n, const char *name, sl_attr_kind kind, unsigned field,
                 uint64_t *value, sl_str *bytes)
{
    const sl_attr *a = sl_node_attr(n, name);
    if (a == NULL || a->kind != kind)
        return false;
    sl_wire w = sl_wire_open(a->wire);
    while (sl_wire_next(&w))
        if (w.field == field && w.type == wire_of_element(field)) {
            *value = w.value;
            *bytes = w.bytes;
        }
    return true;
}

static sl_dtype dtype_of(uint64_t v, sl_dtype otherwise)
{
    return v < SL_DT_REF + SL_DT_COUNT ? (sl_dtype)v : otherwise;
}

int64_t sl_node_int(const sl_node *n, const char *name, int64_t otherwise)
{
    uint64_t v = 0;
    sl_str s;
    return find(n, name, SL_ATTR_I, I, &v, &s) ? (int64_t)v : otherwise;
}

float sl_node_float(const sl_node *n, const char *name, float otherwise)
{
    uint64_t v = 0;
    sl_str s;
    return find(n, name, SL_ATTR_F, F, &v, &s) ? sl_wire_float(v) : otherwise;
}

bool sl_node_bool(const sl_node *n, const char *name, bool otherwise)
{
    uint64_t v = 0;
    sl_str s;
    return find(n, name, SL_ATTR_B, B, &v, &s) ? v != 0 : otherwise;
}

sl_str sl_node_str(const sl_node *n, const char *name, const char *otherwise)
{
    uint64_t v;
    sl_str s = {"", 0};
    return find(n, name, SL_ATTR_S, S, &v, &s) ? s : sl_str_of(otherwise ? otherwise : "");
}

sl_str sl_node_placeholder(const sl_node *n, const char *name)
{
    uint64_t v;
    sl_str s = {"", 0};
    return find(n, name, SL_ATTR_PLACEHOLDER, PLACEHOLDER, &v, &s) ? s : (sl_str){"", 0};
}

sl_dtype sl_node_type(const sl_node *n, const char *name, sl_dtype otherwise)
{
    uint64_t v = 0;
    sl_str s;
    return find(n, name, SL_ATTR_TYPE, TYPE, &v, &s) ? dtype_of(v, otherwise) : otherwise;
}

static sl_str name_of_func(sl_str func)
{
    sl_str name = {"", 0};
    sl_wire w = sl_wire_open(func);
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            name = w.bytes;
    return name;
}

sl_str sl_node_func(const sl_node *n, const char *name)
{
    uint64_t v;
    sl_str s = {"", 0};
    return find(n, name, SL_ATTR_FUNC, FUNC, &v, &s) ? name_of_func(s) : (sl_str){"", 0};
}

bool sl_node_shape(const sl_node *n, const char *name, int *rank, int64_t dims[SL_MAX_RANK])
{
    uint64_t v;
    sl_str s = {"", 0};
    return find(n, name, SL_ATTR_SHAPE, SHAPE, &v, &s) &&
           sl_tensorshape_decode(s, rank, dims, NULL) == SL_OK;
}

sl_code sl_node_tensor_of(const sl_node *n, const char *name, size_t max_bytes, sl_tensor *out,
                          sl_status *st)
{
    uint64_t v;
    sl_str s = {"", 0};
    if (!find(n, name, SL_ATTR_TENSOR, TENSOR, &v, &s))
        return sl_fail(st, SL_INVALID_ARGUMENT, "node \"%.*s\" has no tensor attribute \"%s\"",
                       SL_STR_ARG(n->name), name);
    sl_code rc = sl_tensorproto_decode(s, max_bytes, out, st);
    return rc && st ? sl_wrap(st, "node \"%.*s\", attribute \"%s\": ", SL_STR_ARG(n->name), name)
                    : rc;
}

sl_code sl_node_tensor(const sl_node *n, const char *name, sl_tensor *out, sl_status *st)
{
    /* A splat constant is a few bytes in the file and its whole size in memory, which the file's
     * author could have made with a Fill op just as well: bounded, but widely. */
    return sl_node_tensor_of(n, name, (size_t)1 << 30, out, st);
}

/* ---- lists ---- */

static bool open_list(const sl_node *n, const char *name, sl_wire *w)
{
    uint64_t v;
    sl_str s = {"", 0};
    if (!find(n, name, SL_ATTR_LIST, LIST, &v, &s))
        return false;
    *w = sl_wire_open(s);
    return true;
}

/* Walks numbers, packed or not: calls for each element met are made by the loop of the caller. */
typedef struct numbers {
    sl_wire w;
    unsigned field; /* 0: any */
    unsigned wire;
    const unsigned char *at, *end; /* inside a packed field */
} numbers;

static bool next_packed(numbers *l, uint64_t *v)
{
    if (l->wire == SL_WIRE_VARINT)
        return sl_wire_varint(&l->at, l->end, v);
    if (l->end - l->at < 4)
        return false;
    *v = 0;
    memcpy(v, l->at, 4);
    l->at += 4;
    return true;
}

static bool next_number(numbers *l, uint64_t *v)
{
    for (;;) {
        if (l->at < l->end)
            return next_packed(l, v);
        if (!sl_wire_next(&l->w))
            return false;
        if (l->w.field != l->field)
            continue;
        if (l->w.type == l->wire) {
            *v = l->w.value;
            return true;
        }
        if (l->w.type == SL_WIRE_BYTES) {
            l->at = (const unsigned char *)l->w.bytes.p;
            l->end = l->at + l->w.bytes.n;
        }
    }
}

static bool open_numbers(const sl_node *n, const char *name, unsigned field, numbers *l)
{
    *l = (numbers){.field = field, .wire = wire_of_element(field)};
    return open_list(n, name, &l->w);
}

int sl_node_list_count(const sl_node *n, const char *name)
{
    sl_wire w;
    unsigned field = 0;
    int count = 0;
    if (!open_list(n, name, &w))
        return -1;
    while (field == 0 && sl_wire_next(&w))
        field = w.field;
    if (field == 0)
        return 0;
    if (wire_of_element(field) != SL_WIRE_BYTES) {
        numbers l;
        uint64_t v;
        open_numbers(n, name, field, &l);
        while (next_number(&l, &v))
            count++;
        return count;
    }
    open_list(n, name, &w);
    while (sl_wire_next(&w))
        count += w.field == field && w.type == SL_WIRE_BYTES;
    return count;
}

static uint64_t number_at(const sl_node *n, const char *name, unsigned field, int i)
{
    numbers l;
    uint64_t v = 0;
    if (!open_numbers(n, name, field, &l))
        return 0;
    for (; i >= 0; i--)
        if (!next_number(&l, &v))
            return 0;
    return v;
}

int64_t sl_node_list_int(const sl_node *n, const char *name, int i)
{
    return (int64_t)number_at(n, name, I, i);
}

float sl_node_list_float(const sl_node *n, const char *name, int i)
{
    return sl_wire_float(number_at(n, name, F, i));
}

bool sl_node_list_bool(const sl_node *n, const char *name, int i)
{
    return number_at(n, name, B, i) != 0;
}

sl_dtype sl_node_list_type(const sl_node *n, const char *name, int i)
{
    return dtype_of(number_at(n, name, TYPE, i), SL_DT_INVALID);
}

int sl_node_list_ints(const sl_node *n, const char *name, int64_t *out, int max)
{
    numbers l;
    uint64_t v;
    int count = 0;
    if (!open_numbers(n, name, I, &l))
        return -1;
    for (; next_number(&l, &v); count++)
        if (count < max)
            out[count] = (int64_t)v;
    return count;
}

int sl_node_list_types(const sl_node *n, const char *name, sl_dtype *out, int max)
{
    numbers l;
    uint64_t v;
    int count = 0;
    if (!open_numbers(n, name, TYPE, &l))
        return -1;
    for (; next_number(&l, &v); count++)
        if (count < max)
            out[count] = dtype_of(v, SL_DT_INVALID);
    return count;
}

/* Element i of those that are bytes; p == NULL if there is none. */
static sl_str bytes_at(const sl_node *n, const char *name, unsigned field, int i)
{
    sl_wire w;
    if (open_list(n, name, &w))
        while (sl_wire_next(&w))
            if (w.field == field && w.type == SL_WIRE_BYTES && i-- == 0)
                return w.bytes;
    return (sl_str){NULL, 0};
}

sl_str sl_node_list_str(const sl_node *n, const char *name, int i)
{
    sl_str s = bytes_at(n, name, S, i);
    return s.p ? s : (sl_str){"", 0};
}

sl_str sl_node_list_func(const sl_node *n, const char *name, int i)
{
    return name_of_func(bytes_at(n, name, LIST_FUNC, i));
}

bool sl_node_list_shape(const sl_node *n, const char *name, int i, int *rank,
                        int64_t dims[SL_MAX_RANK])
{
    sl_str s = bytes_at(n, name, SHAPE, i);
    return s.p && sl_tensorshape_decode(s, rank, dims, NULL) == SL_OK;
}
