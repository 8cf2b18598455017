/*
 * wire_out.h - writing protobuf's wire form into a chain
 *
 * A length stands in front of what it measures, so sizes are computed first, from the inside out,
 * and then everything is written once, in its order. Memory failures are the chain's: check
 * out->failed.
 *
 *     size_t inner = sl_wire_size_varint(1, x);
 *     sl_wire_out_head(out, 2, inner);           tag and length of a message
 *     sl_wire_out_varint(out, 1, x);
 */
#ifndef SL_FORMAT_WIRE_OUT_H
#define SL_FORMAT_WIRE_OUT_H

#include "base/chain.h"
#include "format/wire.h"

/* Bytes of a whole field. */
static inline size_t sl_wire_size_varint(unsigned field, uint64_t v)
{
    return sl_wire_varint_size((uint64_t)field << 3) + sl_wire_varint_size(v);
}
static inline size_t sl_wire_size_bytes(unsigned field, size_t n)
{
    return sl_wire_size_varint(field, n) + n;
}

enum { SL_WIRE_HEAD_MOST = 20 }; /* two varints */

static inline void sl_wire_out_tagged(sl_chain *out, unsigned field, unsigned type, uint64_t v)
{
    unsigned char *p = (unsigned char *)sl_chain_reserve(out, SL_WIRE_HEAD_MOST);
    if (p == NULL)
        return;
    int n = sl_wire_write_varint(p, (uint64_t)field << 3 | type);
    n += sl_wire_write_varint(p + n, v);
    sl_chain_commit(out, (size_t)n);
}
static inline void sl_wire_out_varint(sl_chain *out, unsigned field, uint64_t v)
{
    sl_wire_out_tagged(out, field, SL_WIRE_VARINT, v);
}
/* Tag and length of n bytes that follow. */
static inline void sl_wire_out_head(sl_chain *out, unsigned field, size_t n)
{
    sl_wire_out_tagged(out, field, SL_WIRE_BYTES, n);
}
static inline void sl_wire_out_bytes(sl_chain *out, unsigned field, sl_str s)
{
    sl_wire_out_head(out, field, s.n);
    sl_chain_add(out, s.p, s.n);
}
static inline void sl_wire_out_float(sl_chain *out, unsigned field, float v)
{
    unsigned char *p = (unsigned char *)sl_chain_reserve(out, SL_WIRE_HEAD_MOST);
    if (p == NULL)
        return;
    int n = sl_wire_write_varint(p, (uint64_t)field << 3 | SL_WIRE_FIXED32);
    memcpy(p + n, &v, 4);
    sl_chain_commit(out, (size_t)n + 4);
}

#endif
