/*
 * api.h - which interface a request is for
 *
 * Every port understands both: HTTP/2 calls that are gRPC's go there, everything else is REST. So
 * one port can serve all.
 */
#ifndef SL_API_API_H
#define SL_API_API_H

#include "api/grpc/grpc.h"
#include "api/rest/rest.h"

typedef struct sl_api {
    sl_rest *rest;
    sl_grpc *grpc;
} sl_api;

/* For sl_http_options: arg is the sl_api. */
void sl_api_on_call(sl_http_call *call, void *arg);
int sl_api_on_head(sl_http_call *call, const char **message, void *arg);
void sl_api_on_error(int status, const char *message, sl_chain *body, const char **content_type,
                     void *arg);
/* The access log's line for a request that HTTP itself, or on_head, has refused. */
void sl_api_on_refused(const sl_http_call *call, int status, const char *message, void *arg);
/* What the guard says of connections; without a guard everybody may connect. */
bool sl_api_on_connect(sl_str peer, int listener, void **held, void *arg);
void sl_api_on_disconnect(void *held, void *arg);
bool sl_api_is_proxy(sl_str peer, void *arg);
bool sl_api_on_call_error(sl_http_call *call, int status, const char *message, void *arg);

#endif
