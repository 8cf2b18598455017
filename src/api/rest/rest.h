/*
 * rest.h - the REST interface: /v1/models/..., probes, metrics
 *
 * Turns an sl_http_call into an answer. Small requests are decoded, run and encoded on the loop
 * that read them; large bodies are decoded on a worker, models that are not cheap run on a worker,
 * and the reply is encoded where the run ended.
 *
 * Source: rest.md of the contract.
 */
#ifndef SL_API_REST_REST_H
#define SL_API_REST_REST_H

#include "api/access_log.h"
#include "codec/predict_json.h"
#include "codec/predict_pb.h"
#include "guard/guard.h"
#include "http/http.h"
#include "service/service.h"

typedef struct sl_rest_options {
    sl_service *service;
    sl_json_limits json;
    sl_pb_limits pb;          /* of protobuf bodies */
    bool as_content;          /* --enable_serialization_as_tensor_content, in protobuf replies */
    bool cors;                /* --rest_api_enable_cors_support */
    const char *metrics_path; /* from the monitoring configuration; NULL: not enabled */
    bool extra_routes;        /* /healthz, /readyz, /startupz, /metrics, /v2; protobuf bodies */
    size_t here_bytes;        /* larger bodies are decoded on a worker; 64 KiB */
    uint64_t here_round_ns;   /* a loop that has spent this on models hands over; 500 us */
    sl_access_log *access;    /* or NULL */
    sl_guard *guard;          /* or NULL: everybody may everything */
    struct sl_oip *oip;       /* what serves /v2, or NULL */
} sl_rest_options;

typedef struct sl_rest {
    sl_rest_options opt;
    atomic_bool started; /* the first configuration has been loaded, or has failed: requests pass */
    atomic_bool draining; /* not ready any more */
    struct sl_metric *request_count, *request_latency;
} sl_rest;

/* Prepares *r; `opt` is copied. */
void sl_rest_init(sl_rest *r, const sl_rest_options *opt);

/* For sl_http_options: arg is the sl_rest. on_head refuses who may not come in before a large body
 * is read; all others are judged by on_call, which keeps the connection. */
int sl_rest_on_head(sl_http_call *call, const char **message, void *arg);
void sl_rest_on_call(sl_http_call *call, void *arg);
void sl_rest_on_error(int status, const char *message, sl_chain *body, const char **content_type,
                      void *arg);

/* Answers /healthz, /readyz, /startupz and /metrics; false: it is another path. */
bool sl_rest_probe(sl_rest *r, sl_http_call *call);

/* For sl_model_spec.header, with an sl_http_call: a traffic split may have a sticky header. */
sl_str sl_rest_header_value(const void *call, const char *name);
/* x-sluice-version: which version has answered. */
void sl_rest_add_version(sl_http_call *call, int64_t number);
/* WWW-Authenticate with 401, Retry-After with 429. */
void sl_rest_add_guard_headers(sl_http_call *call, const sl_admission *a);

/* rest.md 2.7 */
int sl_rest_http_status(sl_code code);

#endif
