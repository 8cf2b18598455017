/*
 * wire.h - reading and writing protobuf's wire form without a generated class
 *
 * A reader walks the fields of one message; a field of type 2 is again bytes that a reader can walk.
 * Nothing recurses and nothing is allocated. Errors are sticky: the walk ends, `bad` is set, and `at`
 * says where.
 *
 *     sl_wire w = sl_wire_open(bytes);
 *     while (sl_wire_next(&w))
 *         switch (w.field) {
 *         case 1: name = w.bytes; break;       // w.type == SL_WIRE_BYTES: check where it matters
 *         case 2: n = w.value; break;
 *         }
 *     if (w.bad) ...
 *
 * Unknown fields are skipped by not looking at them. Groups (types 3, 4) are skipped whole, nested to
 * any depth, without recursion.
 *
 * Source: protobuf.dev/programming-guides/encoding.
 */
#ifndef SL_FORMAT_WIRE_H
#define SL_FORMAT_WIRE_H

#include "base/str.h"

enum { SL_WIRE_VARINT = 0, SL_WIRE_FIXED64 = 1, SL_WIRE_BYTES = 2, SL_WIRE_FIXED32 = 5 };

typedef struct sl_wire {
    const unsigned char *at, *end, *begin;
    const char *bad; /* NULL, or what is wrong: "truncated varint" */
    unsigned field, type;
    uint64_t value; /* varint, fixed64, fixed32 */
    sl_str bytes;   /* type 2 */
} sl_wire;

sl_wire sl_wire_open(sl_str message);
/* False at the end or on an error. */
bool sl_wire_next(sl_wire *w);
/* Offset of the field that was read last, from the beginning of the message. */
size_t sl_wire_offset(const sl_wire *w);

/* One varint at *p; false if it is truncated or longer than ten bytes. */
bool sl_wire_varint(const unsigned char **p, const unsigned char *end, uint64_t *out);

/* Walks a repeated number, packed or one by one: call for each field met; it appends through `add`. */
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
/* Bytes that a varint takes: 1 to 10. */
int sl_wire_varint_size(uint64_t v);
/* Writes it; returns how many bytes. `p` has room for 10. */
int sl_wire_write_varint(unsigned char *p, uint64_t v);

#endif
