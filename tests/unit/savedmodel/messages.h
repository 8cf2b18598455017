/* messages.h - messages of a SavedModel for tests, built from the inside out */
#ifndef UNIT_SAVEDMODEL_MESSAGES_H
#define UNIT_SAVEDMODEL_MESSAGES_H

#include <string.h>

#include "base/str.h"
#include "format/wire.h"

/* A message of one field. Freed by whoever takes it: put() does. */
static inline sl_text bytes(unsigned field, const char *s)
{
    sl_text t = {0};
    sl_wire_put_bytes(&t, field, s, strlen(s));
    return t;
}

/* Adds `inner` as a field, and frees it. */
static inline void put(sl_text *t, unsigned field, sl_text inner)
{
    sl_wire_put_bytes(t, field, inner.n ? inner.p : "", inner.n);
    sl_text_fini(&inner);
}

/* What is in `b` goes to the end of `a`. */
static inline sl_text join(sl_text a, sl_text b)
{
    sl_text_add(&a, b.p, b.n);
    sl_text_fini(&b);
    return a;
}

static inline sl_text within(unsigned field, sl_text inner)
{
    sl_text t = {0};
    put(&t, field, inner);
    return t;
}

static inline sl_text map_entry(const char *key, sl_text value)
{
    return join(bytes(1, key), within(2, value));
}

static inline sl_text node(const char *name, const char *op)
{
    return join(bytes(1, name), bytes(2, op));
}

/* A meta graph with the tag "serve", to which a test adds. */
static inline sl_text meta_graph(void)
{
    return within(1, bytes(4, "serve"));
}

/* Before and behind the fields of a message the same numbers with other wire types, which protobuf
 * takes for fields that it does not know: nothing that is read may change. Frees `t`. */
static inline sl_text twisted(sl_text t)
{
    sl_text strange = {0}, out = {0};
    sl_wire w = sl_wire_open((sl_str){t.p, t.n});
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_VARINT)
            sl_wire_put_varint(&strange, w.field, 77);
        if (w.type != SL_WIRE_FIXED32)
            sl_wire_put_fixed32(&strange, w.field, 77);
        if (w.type != SL_WIRE_BYTES)
            sl_wire_put_bytes(&strange, w.field, "x", 1);
    }
    sl_text_add(&out, strange.p, strange.n);
    return join(join(out, t), strange);
}

#endif
