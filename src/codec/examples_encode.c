/* examples_encode.c - the answers of :classify and :regress, and errors (rest.md 2.8, 8.2, 8.3) */
#include "codec/examples_json.h"
#include "codec/writer.h"
#include "format/json_escape.h"
#include "format/number.h"

static sl_code close_answer(sl_json_writer *w, sl_status *st)
{
    sl_json_writer_close(w);
    if (w->out->failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: encoding the response");
    return SL_OK;
}

static void put_float(sl_json_writer *w, float v)
{
    sl_json_room(w, SL_NUMBER_ROOM);
    w->at = sl_number_write_float(w->at, v);
}

/* One example's list of [label, score]. */
static void put_classes(sl_json_writer *w, const sl_str *labels, const float *scores, int64_t n)
{
    SL_JSON_PUT(w, "[");
    for (int64_t k = 0; k < n; k++) {
        if (k)
            SL_JSON_PUT(w, ", ");
        SL_JSON_PUT(w, "[");
        sl_json_put_string(w, labels ? labels[k] : (sl_str){"", 0});
        SL_JSON_PUT(w, ", ");
        put_float(w, scores ? scores[k] : 0);
        SL_JSON_PUT(w, "]");
    }
    SL_JSON_PUT(w, "]");
}

sl_code sl_json_encode_classify(const sl_tensor *classes, const sl_tensor *scores, sl_chain *out,
                                sl_status *st)
{
    const sl_tensor *shape = classes ? classes : scores;
    int64_t n = shape->dims[0], k = shape->dims[1];
    sl_json_writer w;
    if (n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Cannot convert empty ClassificationResults to JSON");
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\n    \"results\": [");
    for (int64_t i = 0; i < n; i++) {
        if (i)
            SL_JSON_PUT(&w, ", ");
        put_classes(&w, classes ? (const sl_str *)classes->data + i * k : NULL,
                    scores ? (const float *)scores->data + i * k : NULL, k);
    }
    SL_JSON_PUT(&w, "\n    ]\n}");
    return close_answer(&w, st);
}

sl_code sl_json_encode_regress(const sl_tensor *values, sl_chain *out, sl_status *st)
{
    int64_t n = values->dims[0];
    sl_json_writer w;
    if (n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "Cannot convert empty RegressionResults to JSON");
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\n    \"results\": [");
    for (int64_t i = 0; i < n; i++) {
        if (i)
            SL_JSON_PUT(&w, ", ");
        put_float(&w, ((const float *)values->data)[i]);
    }
    SL_JSON_PUT(&w, "]\n}");
    return close_answer(&w, st);
}

void sl_json_encode_string(sl_str s, sl_chain *out)
{
    sl_json_escape_chain(SL_JSON_RAPID, s, out);
}

void sl_json_encode_error(const sl_status *st, sl_chain *out)
{
    sl_json_writer w;
    sl_json_writer_open(&w, out);
    SL_JSON_PUT(&w, "{\n    \"error\": ");
    sl_json_put_message(&w, st->msg, st->more ? st->more : "");
    SL_JSON_PUT(&w, "\n}");
    sl_json_writer_close(&w);
}
