/*
 * binary.h - :predict, :classify and :regress with protobuf instead of JSON
 *
 * A body of content-type application/x-protobuf is the PredictRequest, ClassificationRequest or
 * RegressionRequest of gRPC, and the answer is its response. The URL says which model and which
 * version; of the message's ModelSpec the signature_name counts, and the rest, which may be
 * missing, must agree with the URL. Errors are JSON with REST's status, like all others; their
 * texts are those of gRPC.
 */
#ifndef SL_API_REST_BINARY_H
#define SL_API_REST_BINARY_H

#include "api/rest/infer.h"

/* Is that the content-type of the request? */
bool sl_rest_is_binary(const sl_http_call *call);

/* As the JSON ones in infer.c: from the body to a run that can be started; from its outputs to the
 * reply. What decode makes is given back by sl_rest_release_binary. */
sl_code sl_rest_decode_binary(sl_rest_call *r);
sl_code sl_rest_encode_binary(sl_rest_call *r);
void sl_rest_release_binary(sl_rest_call *r);

#endif
