/* oip_json_encode.c - writing answers, metadata, index and errors (oip_json.h) */
#include "base/mem.h"
#include "base/str.h"
#include "codec/oip_json.h"
#include "codec/writer.h"
#include "format/number.h"

static void put_text(sl_json_writer *w, const char *s)
{
    sl_json_put_string(w, sl_str_of(s));
}

static void put_int(sl_json_writer *w, int64_t v)
{
    sl_json_room(w, SL_NUMBER_ROOM);
    w->at = sl_number_write_int64(w->at, v);
}

static void put_shape(sl_json_writer *w, const int64_t *dims, int rank)
{
    SL_JSON_PUT(w, "[");
    for (int i = 0; i < rank; i++) {
        if (i)
            SL_JSON_PUT(w, ",");
        put_int(w, dims[i]);
    }
    SL_JSON_PUT(w, "]");
}

/* A version, which the protocol has as a string. */
static void put_version(sl_json_writer *w, int64_t v)
{
    SL_JSON_PUT(w, "\"");
    put_int(w, v);
    SL_JSON_PUT(w, "\"");
}

/* ---- answers ---- */

/* X(dtype, C type, how to write one) */
#define NUMBERS(X)                                     \
    X(SL_DT_FLOAT, float, sl_number_write_float)       \
    X(SL_DT_DOUBLE, double, sl_number_write_double)    \
    X(SL_DT_INT8, int8_t, sl_number_write_int64)       \
    X(SL_DT_QINT8, int8_t, sl_number_write_int64)      \
    X(SL_DT_INT16, int16_t, sl_number_write_int64)     \
    X(SL_DT_QINT16, int16_t, sl_number_write_int64)    \
    X(SL_DT_INT32, int32_t, sl_number_write_int64)     \
    X(SL_DT_QINT32, int32_t, sl_number_write_int64)    \
    X(SL_DT_INT64, int64_t, sl_number_write_int64)     \
    X(SL_DT_UINT8, uint8_t, sl_number_write_uint64)    \
    X(SL_DT_QUINT8, uint8_t, sl_number_write_uint64)   \
    X(SL_DT_UINT16, uint16_t, sl_number_write_uint64)  \
    X(SL_DT_QUINT16, uint16_t, sl_number_write_uint64) \
    X(SL_DT_UINT32, uint32_t, sl_number_write_uint64)  \
    X(SL_DT_UINT64, uint64_t, sl_number_write_uint64)

static void put_others(sl_json_writer *w, const sl_tensor *t)
{
    size_t n = t->size / sl_dtype_size(t->dtype);
    for (size_t i = 0; i < n; i++) {
        if (i)
            SL_JSON_PUT(w, ",");
        if (t->dtype == SL_DT_STRING)
            sl_json_put_string(w, ((const sl_str *)t->data)[i]);
        else if (((const bool *)t->data)[i])
            SL_JSON_PUT(w, "true");
        else
            SL_JSON_PUT(w, "false");
    }
}

static void put_data(sl_json_writer *w, const sl_tensor *t)
{
    SL_JSON_PUT(w, "[");
    switch ((int)t->dtype) {
#define X(DT, type, write)                                    \
    case DT:                                                  \
        for (size_t i = 0; i < t->size / sizeof(type); i++) { \
            sl_json_room(w, 1 + SL_NUMBER_ROOM);              \
            if (i)                                            \
                *w->at++ = ',';                               \
            w->at = write(w->at, ((const type *)t->data)[i]); \
        }                                                     \
        break;
        NUMBERS(X)
#undef X
    default:
        put_others(w, t);
    }
    SL_JSON_PUT(w, "]");
}

static void put_output(sl_json_writer *w, const sl_oip_answer *a, int i)
{
    const sl_tensor *t = &a->outputs[i];
    SL_JSON_PUT(w, "{\"name\":");
    put_text(w, a->signature->outputs[a->output_index[i]].key);
    SL_JSON_PUT(w, ",\"datatype\":");
    put_text(w, sl_oip_datatype(t->dtype));
    SL_JSON_PUT(w, ",\"shape\":");
    put_shape(w, t->dims, t->rank);
    if (a->binary[i]) {
        SL_JSON_PUT(w, ",\"parameters\":{\"binary_data_size\":");
        put_int(w, (int64_t)sl_oip_raw_size(t));
        SL_JSON_PUT(w, "}}");
        return;
    }
    SL_JSON_PUT(w, ",\"data\":");
    put_data(w, t);
    SL_JSON_PUT(w, "}");
}

/* In binary data a string's length has 32 bits. */
static bool fits_binary(const sl_tensor *t)
{
    const sl_str *s = t->data;
    for (size_t i = 0; t->dtype == SL_DT_STRING && i < t->size / sizeof *s; i++)
        if (s[i].n > UINT32_MAX)
            return false;
    return true;
}

static sl_code check(const sl_oip_answer *a, sl_status *st)
{
    sl_code rc = sl_oip_check_answer(a, st);
    for (int i = 0; i < a->n_outputs && rc == SL_OK; i++) {
        const sl_tensor *t = &a->outputs[i];
        const char *key = a->signature->outputs[a->output_index[i]].key;
        if (a->binary[i] && !fits_binary(t))
            rc = sl_fail(st, SL_RESOURCE_EXHAUSTED,
                         "output \"%s\" has a string that is too long for binary data", key);
        else if (!a->binary[i] && (t->dtype == SL_DT_HALF || t->dtype == SL_DT_BFLOAT16))
            rc = sl_fail(st, SL_INVALID_ARGUMENT,
                         "output \"%s\": JSON cannot hold %s, ask for binary_data", key,
                         sl_oip_datatype(t->dtype));
    }
    return rc;
}

sl_code sl_oip_json_encode(const sl_oip_answer *a, sl_chain *out, size_t *json_bytes, sl_status *st)
{
    sl_json_writer w;
    size_t before = out->size;
    sl_code rc = check(a, st);
    if (rc)
        return rc;
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\"model_name\":");
    sl_json_put_string(&w, a->model);
    SL_JSON_PUT(&w, ",\"model_version\":");
    put_version(&w, a->version);
    if (a->id.n) {
        SL_JSON_PUT(&w, ",\"id\":");
        sl_json_put_string(&w, a->id);
    }
    SL_JSON_PUT(&w, ",\"outputs\":[");
    for (int i = 0; i < a->n_outputs; i++) {
        if (i)
            SL_JSON_PUT(&w, ",");
        put_output(&w, a, i);
    }
    SL_JSON_PUT(&w, "]}");
    sl_json_writer_close(&w);
    *json_bytes = out->size - before;
    for (int i = 0; i < a->n_outputs; i++)
        if (a->binary[i])
            sl_oip_put_raw(&a->outputs[i], out);
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: encoding the response");
    return SL_OK;
}

/* ---- metadata ---- */

static void put_infos(sl_json_writer *w, const sl_tensor_info *infos, int n)
{
    SL_JSON_PUT(w, "[");
    for (int i = 0; i < n; i++) {
        static const int64_t unknown[] = {-1};
        const char *datatype = sl_oip_datatype(infos[i].dtype);
        bool known = infos[i].rank >= 0;
        if (i)
            SL_JSON_PUT(w, ",");
        SL_JSON_PUT(w, "{\"name\":");
        put_text(w, infos[i].key);
        SL_JSON_PUT(w, ",\"datatype\":");
        put_text(w, datatype ? datatype : sl_dtype_wire_name(infos[i].dtype));
        SL_JSON_PUT(w, ",\"shape\":");
        put_shape(w, known ? infos[i].dims : unknown, known ? infos[i].rank : 1);
        SL_JSON_PUT(w, "}");
    }
    SL_JSON_PUT(w, "]");
}

sl_code sl_oip_json_encode_metadata(sl_str model, const int64_t *versions, int n_versions,
                                    const sl_signature *sig, sl_chain *out, sl_status *st)
{
    sl_json_writer w;
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\"name\":");
    sl_json_put_string(&w, model);
    SL_JSON_PUT(&w, ",\"versions\":[");
    for (int i = 0; i < n_versions; i++) {
        if (i)
            SL_JSON_PUT(&w, ",");
        put_version(&w, versions[i]);
    }
    SL_JSON_PUT(&w, "],\"platform\":\"tensorflow_savedmodel\",\"inputs\":");
    put_infos(&w, sig->inputs, sig->n_inputs);
    SL_JSON_PUT(&w, ",\"outputs\":");
    put_infos(&w, sig->outputs, sig->n_outputs);
    SL_JSON_PUT(&w, "}");
    sl_json_writer_close(&w);
    if (out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: writing metadata");
    return SL_OK;
}

/* ---- the repository ---- */

void sl_oip_json_encode_index(const sl_oip_model *models, size_t count, sl_chain *out)
{
    sl_json_writer w;
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "[");
    for (size_t i = 0; i < count; i++) {
        if (i)
            SL_JSON_PUT(&w, ",");
        SL_JSON_PUT(&w, "{\"name\":");
        put_text(&w, models[i].name);
        if (models[i].version >= 0) {
            SL_JSON_PUT(&w, ",\"version\":");
            put_version(&w, models[i].version);
        }
        SL_JSON_PUT(&w, ",\"state\":");
        put_text(&w, models[i].state);
        SL_JSON_PUT(&w, ",\"reason\":");
        put_text(&w, models[i].reason);
        SL_JSON_PUT(&w, "}");
    }
    SL_JSON_PUT(&w, "]");
    sl_json_writer_close(&w);
}

void sl_oip_json_encode_error(const sl_status *st, sl_chain *out)
{
    sl_json_writer w;
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\"error\":");
    sl_json_put_message(&w, st->msg, st->more ? st->more : "");
    SL_JSON_PUT(&w, "}");
    sl_json_writer_close(&w);
}
