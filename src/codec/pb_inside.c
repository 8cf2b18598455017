/* pb_inside.c - see pb_inside.h */
#include "codec/pb_inside.h"

#include "base/mem.h"

/* Int64Value; a part that says nothing changes nothing. */
static void read_version(sl_str wire, int64_t *out)
{
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            *out = (int64_t)w.value;
}

void sl_pb_read_spec(sl_str wire, sl_pb_model_spec *out)
{
    enum { NAME = 1, VERSION = 2, SIGNATURE = 3, LABEL = 4 };
    sl_wire w = sl_wire_open(wire);
    out->present = true;
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        switch (w.field) {
        case NAME:
            out->name = w.bytes;
            break;
        case SIGNATURE:
            out->signature_name = w.bytes;
            break;
        case VERSION: /* one of the two: the last */
            if (!out->has_version)
                out->version = 0;
            out->has_version = true;
            out->label = (sl_str){0};
            read_version(w.bytes, &out->version);
            break;
        case LABEL:
            out->has_version = false;
            out->label = w.bytes;
            break;
        }
    }
}

sl_code sl_pb_require_spec(const sl_pb_model_spec *spec, sl_status *st)
{
    if (!spec->present)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Missing ModelSpec");
    if (spec->name.n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    return SL_OK;
}

sl_code sl_pb_array(sl_arena *a, size_t n, size_t size, void *out, sl_status *st)
{
    void **p = out;
    *p = sl_arena_try_alloc(a, sl_mul_capped(n, size));
    if (*p != NULL)
        return SL_OK;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu parts of a request", n);
}

size_t sl_pb_count(sl_str wire, unsigned field)
{
    size_t n = 0;
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        n += sl_pb_is(&w, field);
    return n;
}

sl_code sl_pb_repeated(sl_str wire, unsigned field, sl_arena *a, sl_str **out, size_t *count,
                       sl_status *st)
{
    *count = sl_pb_count(wire, field);
    *out = NULL;
    if (*count == 0)
        return SL_OK;
    sl_code rc = sl_pb_array(a, *count, sizeof **out, out, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    for (size_t n = 0; sl_wire_next(&w);)
        if (sl_pb_is(&w, field))
            (*out)[n++] = w.bytes;
    return SL_OK;
}

sl_code sl_pb_merged(sl_str wire, unsigned field, sl_arena *a, sl_str *out, sl_status *st)
{
    size_t count = 0, bytes = 0;
    sl_wire w = sl_wire_open(wire);
    *out = (sl_str){"", 0};
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, field)) {
            *out = w.bytes;
            count++;
            bytes += w.bytes.n;
        }
    if (count < 2)
        return SL_OK;
    char *all;
    sl_code rc = sl_pb_array(a, bytes, 1, &all, st);
    if (rc)
        return rc;
    *out = (sl_str){all, bytes};
    w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, field) && w.bytes.n) {
            memcpy(all, w.bytes.p, w.bytes.n);
            all += w.bytes.n;
        }
    return SL_OK;
}

/* ---- writing ---- */

static size_t version_size(int64_t version)
{
    return version ? sl_wire_size_varint(1, (uint64_t)version) : 0;
}

size_t sl_pb_used_size(const sl_pb_used *used)
{
    size_t n = sl_wire_size_bytes(2, version_size(used->version));
    if (used->model.n)
        n += sl_wire_size_bytes(1, used->model.n);
    if (used->signature_name.n)
        n += sl_wire_size_bytes(3, used->signature_name.n);
    return n;
}

void sl_pb_put_used(const sl_pb_used *used, sl_chain *out)
{
    if (used->model.n)
        sl_wire_out_bytes(out, 1, used->model);
    sl_wire_out_head(out, 2, version_size(used->version));
    if (used->version)
        sl_wire_out_varint(out, 1, (uint64_t)used->version);
    if (used->signature_name.n)
        sl_wire_out_bytes(out, 3, used->signature_name);
}

sl_code sl_pb_check_size(size_t size, sl_status *st)
{
    if (size < SL_PB_TOO_LARGE)
        return SL_OK;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "a reply of %zu bytes is more than a protobuf message can have", size);
}

sl_code sl_pb_written(const sl_chain *out, sl_status *st)
{
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: encoding the response");
    return SL_OK;
}
