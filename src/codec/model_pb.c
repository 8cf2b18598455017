/* model_pb.c - see model_pb.h */
#include "codec/model_pb.h"

#include "base/mem.h"
#include "codec/pb_check.h"
#include "codec/pb_inside.h"

/* ---- GetModelMetadata ---- */

static void read_specs(sl_str wire, sl_pb_model_spec *out)
{
    sl_wire w = sl_wire_open(wire);
    *out = (sl_pb_model_spec){0};
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, 1))
            sl_pb_read_spec(w.bytes, out);
}

sl_code sl_pb_decode_metadata_request(sl_str wire, sl_arena *arena, sl_pb_model_spec *out,
                                      sl_status *st)
{
    enum { FIELD = 2 };
    sl_code rc = sl_pb_must(wire, &sl_pb_metadata_request, st);
    if (rc)
        return rc;
    read_specs(wire, out);
    if (!out->present)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Missing ModelSpec");
    sl_wire w = sl_wire_open(wire);
    size_t n = 0;
    for (; sl_wire_next(&w);) {
        if (!sl_pb_is(&w, FIELD))
            continue;
        if (!sl_str_is(w.bytes, "signature_def"))
            return sl_fail_in(arena, st, SL_INVALID_ARGUMENT,
                              "Metadata field %.*s is not supported", SL_STR_ARG(w.bytes));
        n++;
    }
    if (n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "GetModelMetadataRequest must specify at least one metadata_field");
    return sl_pb_require_spec(out, st);
}

static size_t signature_size(const sl_signature *s)
{
    return sl_wire_size_bytes(1, strlen(s->key)) + sl_wire_size_bytes(2, s->def.n);
}

sl_code sl_pb_encode_metadata(sl_str model, int64_t version, const sl_signatures *signatures,
                              sl_chain *out, sl_status *st)
{
    static const char type[] = "type.googleapis.com/tensorflow.serving.SignatureDefMap";
    enum { SPEC = 1, METADATA = 2, KEY = 1, VALUE = 2, TYPE_URL = 1 };
    const sl_str key = SL_STR("signature_def"), url = {type, sizeof type - 1};
    const sl_pb_used used = {.model = model, .version = version};
    size_t map = 0;
    for (int i = 0; i < signatures->count; i++) /* each is a part of one SavedModel below 2 GiB */
        map += sl_wire_size_bytes(1, signature_size(&signatures->list[i]));
    size_t any = sl_wire_size_bytes(TYPE_URL, url.n) + (map ? sl_wire_size_bytes(VALUE, map) : 0);
    size_t entry = sl_wire_size_bytes(KEY, key.n) + sl_wire_size_bytes(VALUE, any);
    size_t spec = sl_pb_used_size(&used);
    sl_code rc =
        sl_pb_check_size(sl_wire_size_bytes(SPEC, spec) + sl_wire_size_bytes(METADATA, entry), st);
    if (rc)
        return rc;
    sl_wire_out_head(out, SPEC, spec);
    sl_pb_put_used(&used, out);
    sl_wire_out_head(out, METADATA, entry);
    sl_wire_out_bytes(out, KEY, key);
    sl_wire_out_head(out, VALUE, any);
    sl_wire_out_bytes(out, TYPE_URL, url);
    if (map)
        sl_wire_out_head(out, VALUE, map);
    for (int i = 0; i < signatures->count; i++) {
        const sl_signature *s = &signatures->list[i];
        sl_wire_out_head(out, 1, signature_size(s));
        sl_wire_out_bytes(out, 1, sl_str_of(s->key));
        sl_wire_out_bytes(out, 2, s->def);
    }
    return sl_pb_written(out, st);
}

/* ---- GetModelStatus ---- */

sl_code sl_pb_decode_status_request(sl_str wire, sl_arena *arena, sl_pb_model_spec *out,
                                    sl_status *st)
{
    (void)arena;
    sl_code rc = sl_pb_must(wire, &sl_pb_status_request, st);
    if (rc)
        return rc;
    read_specs(wire, out);
    if (!out->present)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Missing ModelSpec");
    return SL_OK;
}

/* StatusProto */
static size_t status_size(sl_code code, sl_str message)
{
    return (code ? sl_wire_size_varint(1, (uint64_t)code) : 0) +
           (message.n ? sl_wire_size_bytes(2, message.n) : 0);
}

static void put_status(unsigned field, sl_code code, sl_str message, sl_chain *out)
{
    sl_wire_out_head(out, field, status_size(code, message));
    if (code)
        sl_wire_out_varint(out, 1, (uint64_t)code);
    if (message.n)
        sl_wire_out_bytes(out, 2, message);
}

static sl_str text_or_none(const char *s)
{
    return s != NULL ? sl_str_of(s) : (sl_str){"", 0};
}

sl_code sl_pb_encode_status(const sl_pb_version_status *list, int count, sl_chain *out,
                            sl_status *st)
{
    enum { VERSION = 1, STATE = 2, STATUS = 3 };
    for (int i = 0; i < count; i++) {
        const sl_pb_version_status *v = &list[i];
        sl_str message = text_or_none(v->message);
        uint64_t state = (uint64_t)v->state, version = (uint64_t)v->version;
        sl_wire_out_head(out, 1,
                         (version ? sl_wire_size_varint(VERSION, version) : 0) +
                             (state ? sl_wire_size_varint(STATE, state) : 0) +
                             sl_wire_size_bytes(STATUS, status_size(v->code, message)));
        if (version)
            sl_wire_out_varint(out, VERSION, version);
        if (state)
            sl_wire_out_varint(out, STATE, state);
        put_status(STATUS, v->code, message, out);
    }
    return sl_pb_written(out, st);
}

/* ---- HandleReloadConfigRequest ---- */

sl_code sl_pb_decode_reload_request(sl_str wire, sl_arena *arena, sl_pb_reload *out, sl_status *st)
{
    enum { CONFIG = 1, METRIC_NAMES = 2, LIST = 1, CUSTOM = 2 };
    *out = (sl_pb_reload){0};
    sl_code rc = sl_pb_must(wire, &sl_pb_reload_request, st);
    if (rc == SL_OK)
        rc = sl_pb_merged(wire, CONFIG, arena, &out->config, st);
    if (rc == SL_OK)
        rc =
            sl_pb_repeated(wire, METRIC_NAMES, arena, &out->metric_names, &out->n_metric_names, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(out->config);
    while (sl_wire_next(&w)) /* one of the two: the last */
        if (sl_pb_is(&w, LIST) || sl_pb_is(&w, CUSTOM))
            out->has_list = w.field == LIST;
    if (out->has_list)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "ServerModelConfig type not supported by HandleReloadConfigRequest. Only "
                   "ModelConfigList is currently supported");
}

sl_code sl_pb_encode_reload(sl_code code, const char *message, const sl_pb_metric *metrics,
                            size_t count, sl_chain *out, sl_status *st)
{
    enum { STATUS = 1, METRIC = 2, NAME = 1, INCREASE = 2 };
    put_status(STATUS, code, text_or_none(message), out);
    for (size_t i = 0; i < count; i++) {
        const sl_pb_metric *m = &metrics[i];
        uint64_t increase = (uint64_t)m->increase; /* a oneof: a zero is written, too */
        sl_wire_out_head(out, METRIC,
                         (m->name.n ? sl_wire_size_bytes(NAME, m->name.n) : 0) +
                             sl_wire_size_varint(INCREASE, increase));
        if (m->name.n)
            sl_wire_out_bytes(out, NAME, m->name);
        sl_wire_out_varint(out, INCREASE, increase);
    }
    return sl_pb_written(out, st);
}
