/* wire.c - see wire.h */
#include "format/wire.h"

#include <assert.h>

bool sl_wire_varint(const unsigned char **p, const unsigned char *end, uint64_t *out)
{
    uint64_t v = 0;
    for (int shift = 0; *p < end; shift += 7) {
        unsigned char c = *(*p)++;
        if (shift == 63 && c >= 0x80) /* the tenth byte is the last one */
            return false;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) {
            *out = v;
            return true;
        }
    }
    return false;
}

static bool fail(sl_wire *w, const char *why)
{
    w->bad = why;
    w->end = w->at;
    return false;
}

static bool read_fixed(sl_wire *w, size_t n)
{
    if ((size_t)(w->end - w->at) < n)
        return fail(w, "truncated number");
    w->value = 0;
    memcpy(&w->value, w->at, n);
    w->at += n;
    return true;
}

static bool read_varint(sl_wire *w)
{
    if (!sl_wire_varint(&w->at, w->end, &w->value))
        return fail(w, "truncated or overlong number");
    return true;
}

/* A tag or a length: of five bytes at most. */
static bool read_short(sl_wire *w, uint64_t *out)
{
    const unsigned char *from = w->at;
    return sl_wire_varint(&w->at, w->end, out) && w->at - from <= 5;
}

/* Reads tag and value of one field. A group's begin and end come out as types 3 and 4. */
static bool read_field(sl_wire *w)
{
    uint64_t tag, n;
    assert(w->at < w->end);
    if (*w->at < 0x80)
        tag = *w->at++;
    else if (!read_short(w, &tag))
        return fail(w, "truncated or overlong tag");
    if (tag >> 3 == 0 || tag >> 32)
        return fail(w, "field number out of range");
    w->field = (unsigned)(tag >> 3);
    w->type = (unsigned)(tag & 7);
    w->value = 0;
    w->bytes = (sl_str){"", 0};
    switch (w->type) {
    case SL_WIRE_VARINT:
        return read_varint(w);
    case SL_WIRE_FIXED64:
        return read_fixed(w, 8);
    case SL_WIRE_FIXED32:
        return read_fixed(w, 4);
    case SL_WIRE_BYTES:
        if (!read_short(w, &n))
            return fail(w, "truncated or overlong length");
        if (n > (uint64_t)(w->end - w->at))
            return fail(w, "length goes beyond the message");
        w->bytes = (sl_str){(const char *)w->at, (size_t)n};
        w->at += n;
        return true;
    case 3:
    case 4:
        return true;
    default:
        return fail(w, "unknown wire type");
    }
}

/* Skips what is left of the group that was just begun, the groups within it included. */
static bool skip_group(sl_wire *w)
{
    unsigned open[SL_WIRE_MAX_DEPTH]; /* the fields that they are */
    size_t depth = 0;
    open[depth++] = w->field;
    while (depth > 0) {
        if (w->at >= w->end)
            return fail(w, "group without an end");
        if (!read_field(w))
            return false;
        if (w->type == 3) {
            if (depth == SL_WIRE_MAX_DEPTH)
                return fail(w, "groups nest too deep");
            open[depth++] = w->field;
        } else if (w->type == 4 && open[--depth] != w->field) {
            return fail(w, "end of another group");
        }
    }
    return true;
}

bool sl_wire_next_slow(sl_wire *w)
{
    while (w->at < w->end) {
        if (!read_field(w))
            return false;
        if (w->type == 4)
            return fail(w, "end of a group that did not begin");
        if (w->type != 3)
            return true;
        if (!skip_group(w))
            return false;
    }
    return false;
}

bool sl_wire_next_packed(sl_wire *w, unsigned type)
{
    if (w->at >= w->end)
        return false;
    if (type != SL_WIRE_VARINT)
        return read_fixed(w, type == SL_WIRE_FIXED32 ? 4 : 8);
    return read_varint(w);
}

size_t sl_wire_offset(const sl_wire *w)
{
    return (size_t)(w->at - w->begin);
}

int sl_wire_write_varint(unsigned char *p, uint64_t v)
{
    int n = 0;
    for (; v >= 0x80; v >>= 7)
        p[n++] = (unsigned char)(v | 0x80);
    p[n++] = (unsigned char)v;
    return n;
}

static void put_tag(sl_text *t, unsigned field, unsigned type)
{
    unsigned char b[10];
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, (uint64_t)field << 3 | type));
}

void sl_wire_put_varint(sl_text *t, unsigned field, uint64_t v)
{
    unsigned char b[10];
    put_tag(t, field, SL_WIRE_VARINT);
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, v));
}

void sl_wire_put_fixed32(sl_text *t, unsigned field, uint32_t v)
{
    put_tag(t, field, SL_WIRE_FIXED32);
    sl_text_add(t, (char *)&v, 4);
}

void sl_wire_put_fixed64(sl_text *t, unsigned field, uint64_t v)
{
    put_tag(t, field, SL_WIRE_FIXED64);
    sl_text_add(t, (char *)&v, 8);
}

void sl_wire_put_bytes(sl_text *t, unsigned field, const void *p, size_t n)
{
    unsigned char b[10];
    put_tag(t, field, SL_WIRE_BYTES);
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, n));
    sl_text_add(t, p, n);
}
