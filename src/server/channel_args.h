/*
 * channel_args.h - what --grpc_channel_arguments means here
 *
 * Those of gRPC's channel arguments that have an equal in this server; any other is named once in
 * the log. Source: grpc.md 1; grpc/impl/channel_arg_names.h.
 */
#ifndef SL_SERVER_CHANNEL_ARGS_H
#define SL_SERVER_CHANNEL_ARGS_H

#include "api/grpc/frame.h"
#include "http/http.h"
#include "server/flags.h"

/* Logs what has no meaning here, and what has no value that could be used. Once, at start. */
void sl_channel_args_tell(const sl_flags *f);
/* Changes what the arguments say of connections on the gRPC port. */
void sl_channel_args_apply(const sl_flags *f, sl_http_options *o);
/* grpc.default_compression_algorithm */
sl_grpc_encoding sl_channel_args_encoding(const sl_flags *f);
/* --grpc_max_message_bytes; if that was not given, grpc.max_receive_message_length */
size_t sl_channel_args_max_message(const sl_flags *f);

#endif
