/*
 * examples_pb_encode.c - writing what Classify, Regress and MultiInference answer (examples_pb.h)
 *
 * Every value has a message of its own, so one walk adds up the sizes and one writes. The label of
 * a class is a string on the wire, but its bytes are whatever the model gave, as in the original.
 */
#include "base/mem.h"
#include "codec/examples_pb.h"
#include "codec/pb_inside.h"

/* ---- classes ---- */

/* A Class; proto3 leaves out what is empty or zero (but not -0, which has bits that are set). */
static bool has_score(const float *score)
{
    uint32_t bits = 0;
    if (score != NULL)
        memcpy(&bits, score, sizeof bits);
    return bits != 0;
}

static size_t class_size(const sl_str *label, const float *score)
{
    size_t n = has_score(score) ? 5 : 0;
    return label != NULL && label->n ? n + sl_wire_size_bytes(1, label->n) : n;
}

static void put_class(const sl_str *label, const float *score, sl_chain *out)
{
    sl_wire_out_head(out, 1, class_size(label, score));
    if (label != NULL && label->n)
        sl_wire_out_bytes(out, 1, *label);
    if (has_score(score))
        sl_wire_out_float(out, 2, *score);
}

/* One row of a result: labels and scores, either of them NULL. */
typedef struct row {
    const sl_str *labels;
    const float *scores;
    int64_t n;
} row;

static row row_of(const sl_pb_result *r, int64_t i)
{
    int64_t n = (r->classes ? r->classes : r->scores)->dims[1];
    return (row){r->classes ? (const sl_str *)r->classes->data + i * n : NULL,
                 r->scores ? (const float *)r->scores->data + i * n : NULL, n};
}

static size_t row_size(row x)
{
    size_t sum = 0;
    for (int64_t k = 0; k < x.n && sum < SL_PB_TOO_LARGE; k++)
        sum += sl_wire_size_bytes(
            1, class_size(x.labels ? &x.labels[k] : NULL, x.scores ? &x.scores[k] : NULL));
    return sum;
}

/* ---- results ---- */

static size_t value_size(float v)
{
    return has_score(&v) ? 5 : 0;
}

/* Of a ClassificationResult or a RegressionResult. */
static size_t result_size(const sl_pb_result *r)
{
    size_t sum = 0;
    if (r->values != NULL) {
        const float *v = r->values->data;
        for (int64_t i = 0; i < r->values->dims[0]; i++)
            sum += sl_wire_size_bytes(1, value_size(v[i]));
        return sum;
    }
    int64_t n = (r->classes ? r->classes : r->scores)->dims[0];
    for (int64_t i = 0; i < n && sum < SL_PB_TOO_LARGE; i++)
        sum += sl_wire_size_bytes(1, row_size(row_of(r, i)));
    return sum;
}

static void put_result(const sl_pb_result *r, sl_chain *out)
{
    if (r->values != NULL) {
        const float *v = r->values->data;
        for (int64_t i = 0; i < r->values->dims[0]; i++) {
            sl_wire_out_head(out, 1, value_size(v[i]));
            if (value_size(v[i]))
                sl_wire_out_float(out, 1, v[i]);
        }
        return;
    }
    int64_t n = (r->classes ? r->classes : r->scores)->dims[0];
    for (int64_t i = 0; i < n; i++) {
        row x = row_of(r, i);
        sl_wire_out_head(out, 1, row_size(x));
        for (int64_t k = 0; k < x.n; k++)
            put_class(x.labels ? &x.labels[k] : NULL, x.scores ? &x.scores[k] : NULL, out);
    }
}

/* ---- responses ---- */

static sl_code put_response(const sl_pb_result *r, sl_chain *out, sl_status *st)
{
    enum { RESULT = 1, SPEC = 2 };
    size_t result = result_size(r), spec = sl_pb_used_size(&r->used);
    sl_code rc =
        sl_pb_check_size(sl_wire_size_bytes(RESULT, result) + sl_wire_size_bytes(SPEC, spec), st);
    if (rc)
        return rc;
    sl_wire_out_head(out, RESULT, result);
    put_result(r, out);
    sl_wire_out_head(out, SPEC, spec);
    sl_pb_put_used(&r->used, out);
    return sl_pb_written(out, st);
}

sl_code sl_pb_encode_classify(const sl_pb_result *r, sl_chain *out, sl_status *st)
{
    return put_response(r, out, st);
}

sl_code sl_pb_encode_regress(const sl_pb_result *r, sl_chain *out, sl_status *st)
{
    return put_response(r, out, st);
}

sl_code sl_pb_encode_multi(const sl_pb_result *results, size_t count, sl_chain *out, sl_status *st)
{
    enum { RESULTS = 1, SPEC = 1, CLASSIFICATION = 2, REGRESSION = 3 };
    size_t all = 0;
    for (size_t i = 0; i < count; i++) {
        const sl_pb_result *r = &results[i];
        size_t result = result_size(r), spec = sl_pb_used_size(&r->used);
        size_t one = sl_wire_size_bytes(SPEC, spec) + sl_wire_size_bytes(CLASSIFICATION, result);
        all += sl_wire_size_bytes(RESULTS, one);
        sl_code rc = sl_pb_check_size(all, st);
        if (rc)
            return rc;
        sl_wire_out_head(out, RESULTS, one);
        sl_wire_out_head(out, SPEC, spec);
        sl_pb_put_used(&r->used, out);
        sl_wire_out_head(out, r->values != NULL ? REGRESSION : CLASSIFICATION, result);
        put_result(r, out);
    }
    return sl_pb_written(out, st);
}
