/*
 * request_wire.h - the requests of PredictionService, out of their wire form
 *
 * Reads messages into plain structs that point into the wire form and into the arena. Nothing is
 * checked here but the messages' own form: INVALID_ARGUMENT "malformed <message>: ...", and
 * RESOURCE_EXHAUSTED. proto3's rules hold: unknown fields are skipped, the last of a oneof wins, a
 * message that occurs twice is merged, the last value of a key counts. Tensors and Examples stay as
 * they are.
 *
 * Source: grpc.md 2.1 and 10.
 */
#ifndef SL_SERVICE_REQUEST_WIRE_H
#define SL_SERVICE_REQUEST_WIRE_H

#include "base/arena.h"
#include "model/manager.h"

typedef struct sl_wire_spec {
    bool present;
    sl_model_spec model;
    sl_str signature; /* n == 0: the default one */
} sl_wire_spec;

typedef struct sl_wire_input {
    sl_str key;
    sl_str tensor; /* TensorProto */
    size_t nth;    /* in the message */
} sl_wire_input;

typedef struct sl_predict_request {
    sl_wire_spec spec;
    sl_wire_input *inputs; /* ascending by key, each key once */
    size_t n_inputs;
    sl_str *output_filter;
    size_t n_output_filter;
} sl_predict_request;

/* An Input of either kind. */
typedef struct sl_wire_examples {
    sl_str *examples; /* serialized Examples, without the context */
    size_t count;
    sl_str context;
} sl_wire_examples;

/* ClassificationRequest, RegressionRequest: they have the same fields. */
typedef struct sl_example_request {
    sl_wire_spec spec;
    sl_wire_examples input;
} sl_example_request;

typedef struct sl_inference_task {
    sl_wire_spec spec;
    sl_str method_name;
} sl_inference_task;

typedef struct sl_multi_request {
    sl_inference_task *tasks;
    size_t n_tasks;
    sl_wire_examples input;
} sl_multi_request;

sl_code sl_predict_request_decode(sl_str wire, sl_arena *a, sl_predict_request *out, sl_status *st);
sl_code sl_example_request_decode(sl_str wire, sl_arena *a, sl_example_request *out, sl_status *st);
sl_code sl_multi_request_decode(sl_str wire, sl_arena *a, sl_multi_request *out, sl_status *st);

/*
 * The message that one of `fields` (bit n: field n, below 64) of `wire` holds. They are a oneof, or
 * a single one. *field is its number, 0 if none is there; *out is then empty. `name` is that of the
 * message that is read, for the error.
 */
sl_code sl_wire_submessage(sl_str wire, uint64_t fields, const char *name, sl_arena *a,
                           unsigned *field, sl_str *out, sl_status *st);

#endif
