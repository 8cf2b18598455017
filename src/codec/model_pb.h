/*
 * model_pb.h - GetModelMetadata, GetModelStatus and HandleReloadConfigRequest in protobuf's wire
 * form
 *
 * Source: grpc.md 6, 7 and 10.
 */
#ifndef SL_CODEC_MODEL_PB_H
#define SL_CODEC_MODEL_PB_H

#include "codec/predict_pb.h"

/* All of these: INTERNAL with an empty message if the bytes are malformed, RESOURCE_EXHAUSTED. */

/* INVALID_ARGUMENT, in this order: Missing ModelSpec; no metadata_field; one that is not
 * signature_def; ModelSpec has no name specified. */
sl_code sl_pb_decode_metadata_request(sl_str wire, sl_arena *arena, sl_pb_model_spec *out,
                                      sl_status *st);

/* Appends a GetModelMetadataResponse with all signatures (signature->def, as the model has them).
 * */
sl_code sl_pb_encode_metadata(sl_str model, int64_t version, const sl_signatures *signatures,
                              sl_chain *out, sl_status *st);

/* INVALID_ARGUMENT: Missing ModelSpec. A name may be missing: it then is not found. */
sl_code sl_pb_decode_status_request(sl_str wire, sl_arena *arena, sl_pb_model_spec *out,
                                    sl_status *st);

typedef struct sl_pb_version_status {
    int64_t version;
    int state; /* the number of ModelVersionStatus.State: 30 is AVAILABLE */
    sl_code code;
    const char *message; /* "" or NULL: none */
} sl_pb_version_status;
/* Appends a GetModelStatusResponse, in the order given: highest version first. */
sl_code sl_pb_encode_status(const sl_pb_version_status *list, int count, sl_chain *out,
                            sl_status *st);

typedef struct sl_pb_reload {
    bool has_list; /* config.model_config_list is there: nothing else can be applied */
    sl_str config; /* the ModelServerConfig, merged; its strings are UTF-8, its form is good */
    sl_str *metric_names; /* in the arena, as the config is if it came in parts */
    size_t n_metric_names;
} sl_pb_reload;

/* INVALID_ARGUMENT: ServerModelConfig type not supported by HandleReloadConfigRequest. ... */
sl_code sl_pb_decode_reload_request(sl_str wire, sl_arena *arena, sl_pb_reload *out, sl_status *st);

typedef struct sl_pb_metric {
    sl_str name;
    int64_t increase;
} sl_pb_metric;
/* Appends a ReloadConfigResponse: code and message of its StatusProto, then the metrics. */
sl_code sl_pb_encode_reload(sl_code code, const char *message, const sl_pb_metric *metrics,
                            size_t count, sl_chain *out, sl_status *st);

#endif
