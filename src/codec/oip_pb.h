/*
 * oip_pb.h - the Open Inference Protocol in protobuf: inference.GRPCInferenceService
 *
 * Source: specification/protocol/open_inference_grpc.proto; extension_model_repository.md. A
 * message that is malformed is INTERNAL with an empty message, as with all of gRPC (pb_check.h).
 */
#ifndef SL_CODEC_OIP_PB_H
#define SL_CODEC_OIP_PB_H

#include "codec/oip_json.h"

/*
 * Decodes a ModelInferRequest: contents by datatype, or raw_input_contents for all inputs, which
 * the tensors then share with `buffer` (it holds the message, or is NULL: everything is copied).
 * INTERNAL, INVALID_ARGUMENT, RESOURCE_EXHAUSTED; on failure nothing is left to release.
 */
sl_code sl_oip_pb_decode(sl_str wire, sl_buffer *buffer, sl_arena *arena, sl_oip_request *out,
                         sl_status *st);

/* Appends a ModelInferResponse; with `raw`, or if an output is a 16-bit float, in
 * raw_output_contents. UNIMPLEMENTED; RESOURCE_EXHAUSTED: no memory, or 2 GiB and more. */
sl_code sl_oip_pb_encode(const sl_oip_answer *a, bool raw, sl_chain *out, sl_arena *arena,
                         sl_status *st);

/* ModelReadyRequest and ModelMetadataRequest: a name and a version; RepositoryModelLoadRequest and
 * ...Unload...: the model's name is field 2, and there is no version. */
sl_code sl_oip_pb_decode_model(sl_str wire, sl_str *name, sl_str *version, sl_status *st);
sl_code sl_oip_pb_decode_change(sl_str wire, sl_str *name, sl_status *st);
/* RepositoryIndexRequest: does it ask for ready models only? */
sl_code sl_oip_pb_decode_index(sl_str wire, bool *ready, sl_status *st);

/* ServerLiveResponse, ServerReadyResponse, ModelReadyResponse */
void sl_oip_pb_encode_bool(bool value, sl_chain *out);
/* ServerMetadataResponse */
void sl_oip_pb_encode_server(const char *const *extensions, size_t count, sl_chain *out);
/* ModelMetadataResponse */
sl_code sl_oip_pb_encode_metadata(sl_str model, const int64_t *versions, int n_versions,
                                  const sl_signature *sig, sl_chain *out, sl_status *st);
/* RepositoryIndexResponse */
sl_code sl_oip_pb_encode_index(const sl_oip_model *models, size_t count, sl_chain *out,
                               sl_status *st);

#endif
