/*
 * examples_json.h - the JSON of :classify and :regress
 *
 * A request becomes a 1-D string tensor of serialized tensorflow.Example, each with the context
 * merged in front of it. Source: rest.md section 8.
 */
#ifndef SL_CODEC_EXAMPLES_JSON_H
#define SL_CODEC_EXAMPLES_JSON_H

#include "codec/predict_json.h"

typedef struct sl_json_examples {
    sl_str signature_name; /* n == 0: none; in the arena */
    sl_tensor examples;    /* string [n]; ours until sl_tensor_release */
} sl_json_examples;

sl_code sl_json_decode_examples(sl_str body, const sl_json_limits *limits, sl_arena *arena,
                                sl_json_examples *out, sl_status *st);

/* classes: string [n, k] or NULL; scores: float [n, k] or NULL; not both NULL. */
sl_code sl_json_encode_classify(const sl_tensor *classes, const sl_tensor *scores, sl_chain *out,
                                sl_status *st);
/* values: float [n] or [n, 1]. */
sl_code sl_json_encode_regress(const sl_tensor *values, sl_chain *out, sl_status *st);

/* {"error": "<st->msg + st->more>"} of rest.md 2.8. */
void sl_json_encode_error(const sl_status *st, sl_chain *out);
/* Appends a JSON string with its quotes, escaped as rest.md 7.4. */
void sl_json_encode_string(sl_str s, sl_chain *out);

#endif
