/*
 * examples_pb.h - Classify, Regress and MultiInference in protobuf's wire form
 *
 * An Input becomes a 1-D string tensor of serialized tensorflow.Examples, each with the context in
 * front of it. The Examples' bytes are those of the request, shared with its buffer where there is
 * no context. What is not well-formed, down to the features, is INTERNAL with an empty message.
 *
 * Source: grpc.md 2.1, 4, 5 and 10.
 */
#ifndef SL_CODEC_EXAMPLES_PB_H
#define SL_CODEC_EXAMPLES_PB_H

#include "codec/predict_pb.h"

/* ClassificationRequest and RegressionRequest: they have the same fields. */
typedef struct sl_pb_examples {
    sl_pb_model_spec spec;
    sl_tensor examples; /* string [n], n may be 0; ours until sl_tensor_release */
} sl_pb_examples;

/* INTERNAL: malformed. INVALID_ARGUMENT: Missing ModelSpec; ModelSpec has no name specified.
 * RESOURCE_EXHAUSTED. On failure nothing is left to release. "Input is empty." is not said here:
 * the signature is checked before. */
sl_code sl_pb_decode_examples(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                              sl_arena *arena, sl_pb_examples *out, sl_status *st);

/* One InferenceTask. */
typedef struct sl_pb_task {
    sl_pb_model_spec spec;
    sl_str method_name;
} sl_pb_task;

typedef struct sl_pb_multi {
    sl_pb_task *tasks; /* in the arena */
    size_t n_tasks;
    sl_tensor examples; /* string [n], n may be 0; ours until sl_tensor_release */
} sl_pb_multi;

/* INTERNAL, RESOURCE_EXHAUSTED as above. INVALID_ARGUMENT "ModelSpec has no name specified.":
 * there is no first task, or it has no ModelSpec, or that has no name. */
sl_code sl_pb_decode_multi(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                           sl_arena *arena, sl_pb_multi *out, sl_status *st);

/* One answer: classes string [n, k] and scores float [n, k], one of them may be NULL; or values,
 * float [n] or [n, 1] (then classes and scores are NULL). */
typedef struct sl_pb_result {
    sl_pb_used used;
    const sl_tensor *classes, *scores;
    const sl_tensor *values;
} sl_pb_result;

/* Appends a ClassificationResponse, a RegressionResponse, a MultiInferenceResponse. Errors and
 * memory as sl_pb_encode_predict. */
sl_code sl_pb_encode_classify(const sl_pb_result *r, sl_chain *out, sl_status *st);
sl_code sl_pb_encode_regress(const sl_pb_result *r, sl_chain *out, sl_status *st);
sl_code sl_pb_encode_multi(const sl_pb_result *results, size_t count, sl_chain *out, sl_status *st);

#endif
