/*
 * example.c - see example.h
 *
 * Each message's length stands in front of it, so the innermost, a feature's list, is written
 * first, into a text of its own; the lengths of the four messages around it then follow from
 * arithmetic, and it is copied once.
 */
#include "format/example.h"

#include "format/wire.h"

void sl_example_begin(sl_example *e)
{
    e->features.n = 0;
}

void sl_example_end(sl_example *e, sl_text *out)
{
    sl_wire_put_bytes(out, 1, e->features.p ? e->features.p : "", e->features.n);
}

void sl_example_fini(sl_example *e)
{
    sl_text_fini(&e->features);
    sl_text_fini(&e->list);
}

bool sl_example_failed(const sl_example *e)
{
    return e->features.failed || e->list.failed;
}

const char *sl_feature_kind_name(sl_feature_kind kind)
{
    static const char *const names[] = {"", "bytes", "float", "int64"};
    return names[kind];
}

void sl_feature_begin(sl_example *e, sl_str name)
{
    e->name = name;
    e->kind = SL_FEATURE_NONE;
    e->list.n = 0;
}

static bool take_kind(sl_example *e, sl_feature_kind kind)
{
    if (e->kind == SL_FEATURE_NONE)
        e->kind = kind;
    return e->kind == kind;
}

bool sl_feature_bytes(sl_example *e, sl_str v)
{
    if (!take_kind(e, SL_FEATURE_BYTES))
        return false;
    sl_wire_put_bytes(&e->list, 1, v.n ? v.p : "", v.n);
    return true;
}

bool sl_feature_float(sl_example *e, float v)
{
    if (!take_kind(e, SL_FEATURE_FLOAT))
        return false;
    sl_text_add(&e->list, (const char *)&v, sizeof v);
    return true;
}

bool sl_feature_int64(sl_example *e, int64_t v)
{
    unsigned char b[10];
    if (!take_kind(e, SL_FEATURE_INT64))
        return false;
    sl_text_add(&e->list, (char *)b, (size_t)sl_wire_write_varint(b, (uint64_t)v));
    return true;
}

/* Bytes of a field of type 2 with n bytes in it, for field numbers below 16. */
static size_t field_size(size_t n)
{
    return 1 + sl_wire_varint_size(n) + n;
}

static void put_head(sl_text *t, unsigned field, size_t n)
{
    unsigned char b[10];
    sl_text_putc(t, (char)(field << 3 | SL_WIRE_BYTES));
    sl_text_add(t, (char *)b, (size_t)sl_wire_write_varint(b, n));
}

void sl_feature_end(sl_example *e)
{
    bool packed = e->kind == SL_FEATURE_FLOAT || e->kind == SL_FEATURE_INT64;
    size_t list = packed ? field_size(e->list.n) : e->list.n;
    size_t feature = e->kind ? field_size(list) : 0;
    sl_text *t = &e->features;
    put_head(t, 1, field_size(e->name.n) + field_size(feature)); /* an entry of the map */
    sl_wire_put_bytes(t, 1, e->name.n ? e->name.p : "", e->name.n);
    put_head(t, 2, feature);
    if (e->kind == SL_FEATURE_NONE)
        return;
    put_head(t, e->kind, list);
    if (packed)
        put_head(t, 1, e->list.n);
    sl_text_add(t, e->list.p ? e->list.p : "", e->list.n);
}
