/*
 * grpc.h - the gRPC interface: PredictionService, ModelService, health, reflection
 *
 * HTTP/2 itself is http/'s; this is what gRPC puts on top of it: messages with a prefix, a status
 * in the trailers, deadlines, compression. A call goes the way of a REST request: a small message
 * is decoded, run and encoded on the loop that read it, a large one is decoded on a worker, and a
 * model that is not cheap runs on a worker.
 *
 *     sl_grpc_init(&g, &options, st)
 *     sl_grpc_on_head, sl_grpc_on_call, sl_grpc_on_call_error     from api/api.h, for calls that
 *                                                                 sl_grpc_is_call says are gRPC's
 *     sl_grpc_fini(&g)                                            the loops no longer run
 *
 * Source: grpc.md of the contract; grpc/doc/PROTOCOL-HTTP2.md, health-checking.md,
 * server-reflection.md.
 */
#ifndef SL_API_GRPC_GRPC_H
#define SL_API_GRPC_GRPC_H

#include <pthread.h>

#include "api/access_log.h"
#include "api/grpc/frame.h"
#include "base/thread.h"
#include "codec/predict_pb.h"
#include "guard/guard.h"
#include "http/http.h"
#include "service/service.h"

typedef struct sl_grpc_options {
    sl_service *service;
    sl_pb_limits pb;
    sl_grpc_frame_limits frame;
    bool as_content;           /* --enable_serialization_as_tensor_content */
    sl_grpc_encoding encoding; /* of replies, for clients that accept it */
    int max_calls;             /* inferences in progress; more: RESOURCE_EXHAUSTED. 0: any number */
    bool no_health;            /* grpc.health.v1.Health is not there */
    struct sl_oip *oip;        /* for inference.GRPCInferenceService; NULL: that is not there */
    sl_guard *guard;           /* or NULL: everybody may everything */
    size_t here_bytes;         /* larger messages are decoded on a worker */
    uint64_t here_round_ns;    /* a loop that has spent this on models hands over */
    sl_access_log *access;     /* or NULL */
    /* The first configuration has been loaded, or has failed; not ready any more. */
    const atomic_bool *started, *draining;
    /* Applies a ModelServerConfig, which holds a model_config_list, and returns when that is done;
     * what it has to say goes into *report, for the log. On a thread that may block, several at
     * once. NULL: UNIMPLEMENTED. */
    sl_code (*reload)(void *arg, sl_str model_server_config, sl_text *report, sl_status *st);
    void *reload_arg;
} sl_grpc_options;

typedef struct sl_grpc {
    sl_grpc_options opt;
    atomic_int running; /* against max_calls */
    struct sl_metric *request_count, *request_latency, *example_counts, *example_total;
    pthread_mutex_t lock; /* guards the next two */
    sl_cond changed;
    int reloads; /* under way */
} sl_grpc;

void sl_grpc_init(sl_grpc *g, const sl_grpc_options *opt);
void sl_grpc_fini(sl_grpc *g);

/* Does this request go to gRPC: HTTP/2, and a content-type or a path of it? */
bool sl_grpc_is_call(const sl_http_call *call);
/* For sl_http_options, for such calls. on_head: 0, or 503 when there is no memory. */
int sl_grpc_on_head(sl_grpc *g, sl_http_call *call);
void sl_grpc_on_call(sl_grpc *g, sl_http_call *call);
void sl_grpc_on_call_error(sl_http_call *call, int status, const char *message);

#endif
