/* metadata_json.c - see metadata_json.h */
#include "codec/metadata_json.h"

#include "format/json_escape.h"
#include "format/pbjson.h"
#include "proto/saved_model.pb-c.h"

sl_code sl_json_encode_metadata(sl_str model, int64_t version, const sl_signatures *signatures,
                                sl_chain *out, sl_status *st)
{
    /* The original joins two messages' texts by hand, hence the odd line breaks. */
    sl_chain_puts(out, "{\n\"model_spec\":{\n \"name\": ");
    sl_json_escape_chain(SL_JSON_PROTOBUF, model, out);
    sl_chain_printf(out,
                    ",\n \"version\": \"%lld\",\n \"signature_name\": \"\"\n}\n,\n"
                    "\"metadata\": {\"signature_def\": {\n \"signature_def\": {",
                    (long long)version);
    for (int i = 0; i < signatures->count; i++) {
        const sl_signature *s = &signatures->list[i];
        sl_chain_puts(out, i ? ",\n  " : "\n  ");
        sl_json_escape_chain(SL_JSON_PROTOBUF, sl_str_of(s->key), out);
        sl_chain_puts(out, ": ");
        sl_code rc = sl_pbjson_print(s->def, &tensorflow__signature_def__descriptor, 2, out, st);
        if (rc)
            return rc;
    }
    sl_chain_puts(out, signatures->count ? "\n }\n}\n}\n}\n" : "}\n}\n}\n}\n");
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: writing metadata");
    return SL_OK;
}

static void put_version(const sl_version_status *v, bool last, sl_chain *out)
{
    sl_chain_printf(out,
                    "  {\n   \"version\": \"%lld\",\n   \"state\": \"%s\",\n   \"status\": {\n"
                    "    \"error_code\": \"%s\",\n    \"error_message\": ",
                    (long long)v->version, v->state, sl_code_name(v->code));
    sl_json_escape_chain(SL_JSON_PROTOBUF, sl_str_of(v->message ? v->message : ""), out);
    sl_chain_printf(out, "\n   }\n  }%s\n", last ? "" : ",");
}

void sl_json_encode_status(const sl_version_status *list, int count, sl_chain *out)
{
    sl_chain_puts(out, count ? "{\n \"model_version_status\": [\n"
                             : "{\n \"model_version_status\": []\n}\n");
    for (int i = 0; i < count; i++)
        put_version(&list[i], i + 1 == count, out);
    if (count)
        sl_chain_puts(out, " ]\n}\n");
}
