/*
 * metadata_json.h - what GET /v1/models/NAME/metadata and GET /v1/models/NAME answer
 *
 * Source: rest.md sections 4 and 5 (protobuf's JSON mapping with every field printed).
 */
#ifndef SL_CODEC_METADATA_JSON_H
#define SL_CODEC_METADATA_JSON_H

#include "base/chain.h"
#include "sluice/signature.h"

/* The whole metadata document; signatures sorted by key. Each SignatureDef is printed from its wire
 * form (signature->def), over descriptors, without recursion on its depth. */
sl_code sl_json_encode_metadata(sl_str model, int64_t version, const sl_signatures *signatures,
                                sl_chain *out, sl_status *st);

typedef struct sl_version_status {
    int64_t version;
    const char *state; /* "AVAILABLE" */
    sl_code code;
    const char *message; /* "" */
} sl_version_status;
/* Highest version first, as given. */
void sl_json_encode_status(const sl_version_status *list, int count, sl_chain *out);

#endif
