/*
 * infer.h - one :predict, :classify or :regress on its way through the server
 *
 *     loop     begin -> decode -> start ----------- cheap ----------> finish -> reply
 *                |                  |                                   ^
 *     worker     +-- large body --> decode -> run here --> finish ------+ posted
 *                                   +-- not cheap --> run -> finish ----+ posted
 *
 * A model on demand that is not loaded: the request waits on no thread, and goes on on a worker.
 */
#ifndef SL_API_REST_INFER_H
#define SL_API_REST_INFER_H

#include <pthread.h>

#include "api/rest/rest.h"
#include "api/rest/route.h"
#include "codec/predict_pb.h"
#include "guard/guard.h"

/* Everything that a REST request needs besides its sl_http_call; lives in the call's arena. */
typedef struct sl_rest_call {
    sl_rest *rest;
    sl_http_call *http;
    sl_rest_route route;
    sl_status st;
    sl_predict predict;
    sl_json_predict json; /* predict: what was sent */
    sl_pb_predict pb;     /* the same, as protobuf */
    sl_tensor examples;   /* classify, regress */
    bool binary;          /* protobuf both ways (binary.h) */
    bool row_format;
    pthread_t loop; /* the thread that may reply directly */
    sl_job decode_job;
    uint64_t decode_ns, encode_ns;
    sl_str id;
    sl_admission admission; /* left at the end, if there is a guard */
    sl_str signature_name;  /* as sent; for the access log */
} sl_rest_call;

void sl_rest_infer(sl_rest_call *r);

/* Ends any REST request: turns r->st into an error body if rc, counts, logs, replies. The call may
 * be gone when it returns. */
void sl_rest_finish(sl_rest_call *r, sl_code rc);

#endif
