/* api.c - see api.h */
#include "api/api.h"

int sl_api_on_head(sl_http_call *call, const char **message, void *arg)
{
    sl_api *a = arg;
    call->user = NULL;
    if (!sl_grpc_is_call(call))
        return sl_rest_on_head(call, message, a->rest);
    *message = "out of memory";
    return sl_grpc_on_head(a->grpc, call);
}

void sl_api_on_call(sl_http_call *call, void *arg)
{
    sl_api *a = arg;
    if (call->user != NULL) /* set in on_head */
        sl_grpc_on_call(a->grpc, call);
    else
        sl_rest_on_call(call, a->rest);
}

void sl_api_on_error(int status, const char *message, sl_chain *body, const char **content_type,
                     void *arg)
{
    sl_api *a = arg;
    sl_rest_on_error(status, message, body, content_type, a->rest);
}

bool sl_api_on_call_error(sl_http_call *call, int status, const char *message, void *arg)
{
    (void)arg;
    if (!sl_grpc_is_call(call))
        return false;
    sl_grpc_on_call_error(call, status, message);
    return true;
}

void sl_api_on_refused(const sl_http_call *call, int status, const char *message, void *arg)
{
    static const char *const methods[] = {"GET",    "HEAD",    "POST", "PUT",
                                          "DELETE", "OPTIONS", "PATCH"};
    const sl_api *a = arg;
    sl_access_log *log = a->rest->opt.access;
    bool known = call->target.n > 0; /* the request line was understood */
    char id[17];
    if (log == NULL || !sl_access_wants(log, status))
        return;
    sl_request_id_make(id);
    sl_access_entry e = {.id = {id, 16},
                         .peer = call->peer,
                         .method = known ? sl_str_of(methods[call->method]) : SL_STR("-"),
                         .target = known ? call->target : SL_STR("-"),
                         .status = status,
                         .bytes_in = call->wire_bytes,
                         .error = message};
    sl_access_write(log, &e);
}

static sl_guard *guard_of(void *arg)
{
    return ((sl_api *)arg)->rest->opt.guard;
}

bool sl_api_on_connect(sl_str peer, int listener, void **held, void *arg)
{
    sl_guard *g = guard_of(arg);
    struct sl_counter *counter = NULL;
    bool ok = g == NULL || sl_guard_connect(g, (sl_listener_kind)listener, peer, &counter);
    *held = counter;
    return ok;
}

void sl_api_on_disconnect(void *held, void *arg)
{
    sl_guard_disconnect(guard_of(arg), held);
}

bool sl_api_is_proxy(sl_str peer, void *arg)
{
    sl_guard *g = guard_of(arg);
    return g != NULL && sl_guard_is_proxy(g, peer);
}
