/*
 * pb_check.h - is this message well-formed, all the way down?
 *
 * protobuf refuses a message as a whole before anything in it is looked at: what is truncated, a
 * packed list that ends inside a number, a string that is not UTF-8, messages nested more than a
 * hundred deep. One walk, without recursion, over small tables of the fields that have a form of
 * their own; so the readers of these messages need no error paths for it.
 *
 * Source: protobuf.dev/programming-guides/encoding; grpc.md 2.1, 10 and 11.
 */
#ifndef SL_CODEC_PB_CHECK_H
#define SL_CODEC_PB_CHECK_H

#include "base/str.h"

typedef struct sl_pb_type sl_pb_type; /* a kind of message */

extern const sl_pb_type sl_pb_predict_request, sl_pb_example_request, sl_pb_multi_request,
    sl_pb_metadata_request, sl_pb_status_request, sl_pb_reload_request;
/* Open Inference Protocol: ModelInferRequest; a name and a version, as several have; a repository's
 * name and a model's */
extern const sl_pb_type sl_pb_infer_request, sl_pb_model_request, sl_pb_change_request;

bool sl_pb_check(sl_str wire, const sl_pb_type *type);

/* The same; INTERNAL with an empty message, as gRPC answers, if it is not. */
sl_code sl_pb_must(sl_str wire, const sl_pb_type *type, sl_status *st);

#endif
