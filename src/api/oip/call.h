/* call.h - one request below /v2 on its way through the server; lives in the call's arena */
#ifndef SL_API_OIP_CALL_H
#define SL_API_OIP_CALL_H

#include "api/oip/oip.h"
#include "api/oip/route.h"

typedef struct sl_oip_call {
    sl_oip *oip;
    sl_http_call *http;
    sl_oip_route route;
    sl_status st;
    pthread_t loop;     /* the thread that may reply directly */
    sl_model_spec spec; /* of model and version */
    sl_predict predict;
    sl_oip_request request;
    sl_oip_run run;
    sl_job job;
    sl_oip_change change;
    sl_admission admission; /* left at the end, if there is a guard */
    sl_str id;
    uint64_t decode_ns, encode_ns;
    size_t json_bytes; /* of the reply; less than all of it if binary tensors follow */
    bool inferred, binary;
} sl_oip_call;

void sl_oip_infer(sl_oip_call *c);

/* If the body is more than a loop should decode: hands the call to a worker, where run(&c->job,
 * verdict) is called, or ends it. False: go on here. */
bool sl_oip_hand_over(sl_oip_call *c, void (*run)(sl_job *job, sl_code verdict));
/* For a verdict that is none of SL_OK. */
sl_code sl_oip_too_late(sl_oip_call *c, sl_code verdict);

/* Before the body is looked at. INVALID_ARGUMENT: it was said to be gzip, and is not. UNAVAILABLE:
 * there is no room for what it becomes. */
sl_code sl_oip_check_body(sl_oip_call *c);

/* Ends the request: c->st as an error if rc; counts, logs, replies. Any thread; the call may be
 * gone when it returns. */
void sl_oip_finish(sl_oip_call *c, sl_code rc);

#endif
