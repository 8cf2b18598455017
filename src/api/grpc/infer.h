/*
 * infer.h - one Predict, Classify or Regress
 *
 *     loop     begin -> decode -> start ----------- cheap ----------> ran -> finish
 *     worker   begin (a large message) -> decode -> run here -------> ran -> finish, posted
 *
 * Source: grpc.md 3 and 4.
 */
#ifndef SL_API_GRPC_INFER_H
#define SL_API_GRPC_INFER_H

#include "api/grpc/call.h"
#include "codec/examples_pb.h"

/* The version that is asked for. */
sl_model_spec sl_grpc_spec(const sl_grpc_call *c, const sl_pb_model_spec *spec);
/* Prepares a run of this call, the first time: cancellation, deadline, gRPC's words. */
void sl_grpc_predict_init(sl_grpc_call *c, sl_predict *p);
/* Asks the guard whether it may be used, and whether the version must be loaded first
 * (sl_grpc_await): then UNAVAILABLE, and the method unwinds. */
sl_code sl_grpc_approach(sl_grpc_call *c, sl_predict *p, sl_permission what,
                         const sl_model_spec *wanted);
/* What a reply says of the model that answered. */
sl_pb_used sl_grpc_used(const sl_grpc_call *c, const sl_predict *p);

#endif
