/*
 * wire.h - reading and writing protobuf's wire form without a generated class
 *
 * A reader walks the fields of one message; a field of type 2 is again bytes that a reader can
 * walk. Nothing recurses and nothing is allocated. Errors are sticky: the walk ends, `bad` is set,
 * and `at` says where.
 *
 *     sl_wire w = sl_wire_open(bytes);
 *     while (sl_wire_next(&w))
 *         switch (w.field) {
 *         case 1: name = w.bytes; break;       // w.type == SL_WIRE_BYTES: check where it matters
 *         case 2: n = w.value; break;
 *         }
 *     if (w.bad) ...
 *
 * Unknown fields are skipped by not looking at them. Groups (types 3, 4) are skipped whole, without
 * recursion; they may nest SL_WIRE_MAX_DEPTH deep, as in protobuf's own readers.
 *
 * Source: protobuf.dev/programming-guides/encoding.
 */
#ifndef SL_FORMAT_WIRE_H
#define SL_FORMAT_WIRE_H

#include "base/str.h"

enum { SL_WIRE_VARINT = 0, SL_WIRE_FIXED64 = 1, SL_WIRE_BYTES = 2, SL_WIRE_FIXED32 = 5 };
enum { SL_WIRE_MAX_DEPTH = 100 }; /* of messages and groups in one another */

typedef struct sl_wire {
    const unsigned char *at, *end, *begin;
    const char *bad; /* NULL, or what is wrong: "truncated varint" */
    unsigned field, type;
    uint64_t value; /* varint, fixed64, fixed32; otherwise 0 */
    sl_str bytes;   /* type 2; otherwise empty */
} sl_wire;

static inline sl_wire sl_wire_open(sl_str message)
{
    const unsigned char *p = (const unsigned char *)(message.n ? message.p : "");
    return (sl_wire){.at = p, .end = p + message.n, .begin = p};
}

bool sl_wire_next_slow(sl_wire *w);
/* False at the end or on an error. */
static inline bool sl_wire_next(sl_wire *w)
{
    /* One byte of tag and one of value or length: what most fields are. */
    const unsigned char *p = w->at;
    size_t left = (size_t)(w->end - p);
    if (left == 0)
        return false;
    if (left < 2 || p[0] < 8 || (p[0] | p[1]) >= 0x80)
        return sl_wire_next_slow(w);
    unsigned type = p[0] & 7, v = p[1];
    if (type == SL_WIRE_BYTES && v <= left - 2) {
        w->bytes = (sl_str){(const char *)p + 2, v};
        w->value = 0;
        w->at = p + 2 + v;
    } else if (type == SL_WIRE_VARINT) {
        w->bytes = (sl_str){"", 0};
        w->value = v;
        w->at = p + 2;
    } else {
        return sl_wire_next_slow(w);
    }
    w->field = p[0] >> 3;
    w->type = type;
    return true;
}
/* Offset of the field that was read last, from the beginning of the message. */
size_t sl_wire_offset(const sl_wire *w);

/* One varint at *p; false if it is truncated or longer than ten bytes. What the tenth says beyond
 * 64 bits is dropped, as protobuf does. */
bool sl_wire_varint(const unsigned char **p, const unsigned char *end, uint64_t *out);

/* The next number of a packed list, opened as a message is, whose numbers are of this wire type:
 * w->value. False at the end, or with `bad`. */
bool sl_wire_next_packed(sl_wire *w, unsigned type);

/* What the bits of a value stand for. */
static inline int64_t sl_wire_unzigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}
static inline double sl_wire_double(uint64_t v)
{
    double d;
    memcpy(&d, &v, 8);
    return d;
}
static inline float sl_wire_float(uint64_t v)
{
    uint32_t u = (uint32_t)v;
    float f;
    memcpy(&f, &u, 4);
    return f;
}

/* ---- writing: into a growing text (base/str.h) ---- */
void sl_wire_put_varint(sl_text *t, unsigned field, uint64_t v);
void sl_wire_put_fixed32(sl_text *t, unsigned field, uint32_t v);
void sl_wire_put_fixed64(sl_text *t, unsigned field, uint64_t v);
void sl_wire_put_bytes(sl_text *t, unsigned field, const void *p, size_t n);
/* Bytes that a varint takes: 1 to 10, one for each seven bits. */
static inline size_t sl_wire_varint_size(uint64_t v)
{
    unsigned bits = 64 - (unsigned)__builtin_clzll(v | 1);
    return (bits * 9 + 64) / 64;
}
/* Writes it; returns how many bytes. `p` has room for 10. */
int sl_wire_write_varint(unsigned char *p, uint64_t v);

#endif
