/*
 * oip.h - the Open Inference Protocol (KServe v2) over REST: everything below /v2
 *
 *     GET  /v2                                          the server
 *     GET  /v2/health/live  /v2/health/ready
 *     GET  /v2/models/M[/versions/V][/ready]            a model: metadata, readiness
 *     POST /v2/models/M[/versions/V]/infer              JSON, or JSON and binary tensors
 *     POST /v2/repository/index
 *     POST /v2/repository/models/M/load | unload        who may administer
 *
 * A request goes the way that REST's go (api/rest/infer.h): small ones are decoded, run and
 * encoded on the loop that read them, large ones on a worker. Errors are {"error": "..."} with
 * REST's status.
 *
 * Source: kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton's
 * extension_binary_data.md and extension_model_repository.md.
 */
#ifndef SL_API_OIP_OIP_H
#define SL_API_OIP_OIP_H

#include "api/access_log.h"
#include "api/oip/repository.h"
#include "http/http.h"

typedef struct sl_oip_options {
    sl_service *service;
    int max_depth;          /* of brackets in JSON */
    size_t here_bytes;      /* larger bodies are decoded on a worker */
    uint64_t here_round_ns; /* a loop that has spent this on models hands over */
    sl_guard *guard;        /* or NULL: everybody may everything */
    sl_access_log *access;  /* or NULL */
    /* The first configuration has been loaded, or has failed; not ready any more. */
    const atomic_bool *started, *draining;
    /* sl_oip_changer.apply; NULL: loading and unloading is UNIMPLEMENTED */
    sl_code (*change)(void *arg, sl_str model, bool load, sl_status *st);
    void *change_arg;
} sl_oip_options;

typedef struct sl_oip {
    sl_oip_options opt;
    sl_oip_changer changer;
    struct sl_metric *request_count, *request_latency;
} sl_oip;

/* Prepares *o; `opt` is copied. */
void sl_oip_init(sl_oip *o, const sl_oip_options *opt);
/* When the loops and workers have ended. */
void sl_oip_fini(sl_oip *o);

/* Is this path the protocol's: "/v2", or below it? */
bool sl_oip_is_path(sl_str path);
/* Before a large body is read: 0, or the status with which to refuse it, and the message. */
int sl_oip_on_head(sl_oip *o, sl_http_call *call, const char **message);
void sl_oip_on_call(sl_oip *o, sl_http_call *call);

/* What the server says of itself. */
#define SL_OIP_EXTENSIONS "binary_tensor_data", "model_repository"

#endif
