/*
 * oip_json.h - the Open Inference Protocol over REST: JSON, with or without binary tensors behind
 * it
 *
 * Source: specification/protocol/inference_rest.md; extension_binary_data.md,
 * extension_model_repository.md.
 */
#ifndef SL_CODEC_OIP_JSON_H
#define SL_CODEC_OIP_JSON_H

#include "codec/oip.h"

/*
 * Decodes the body of an infer request: `json_bytes` of JSON (all of the body without the
 * extension), then the binary tensors. `buffer` holds the body, or is NULL: then everything is
 * copied. Data may be nested like the shape, or flat. INVALID_ARGUMENT, RESOURCE_EXHAUSTED; on
 * failure nothing is left to release.
 */
sl_code sl_oip_json_decode(sl_str body, size_t json_bytes, sl_buffer *buffer, int max_depth,
                           sl_arena *arena, sl_oip_request *out, sl_status *st);

/* Writes the answer. *json_bytes: how many of `out` are JSON; fewer than all of them if binary
 * tensors follow. INVALID_ARGUMENT: a 16-bit float that is not asked for as binary; UNIMPLEMENTED;
 * RESOURCE_EXHAUSTED. */
sl_code sl_oip_json_encode(const sl_oip_answer *a, sl_chain *out, size_t *json_bytes,
                           sl_status *st);

/* A model's metadata: `versions` are those that can be asked for. */
sl_code sl_oip_json_encode_metadata(sl_str model, const int64_t *versions, int n_versions,
                                    const sl_signature *sig, sl_chain *out, sl_status *st);

/* A repository's index. */
typedef struct sl_oip_model {
    const char *name;
    int64_t version; /* < 0: none is known */
    bool ready;
    const char *state, *reason; /* "READY", "" */
} sl_oip_model;
void sl_oip_json_encode_index(const sl_oip_model *models, size_t count, sl_chain *out);
/* The body of an index request, which may be empty: does it ask for ready models only? */
sl_code sl_oip_json_decode_index(sl_str body, sl_arena *arena, bool *ready, sl_status *st);

/* {"error": "..."} */
void sl_oip_json_encode_error(const sl_status *st, sl_chain *out);

#endif
