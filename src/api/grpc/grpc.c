/*
 * grpc.c - a call's way in: metadata, the method, the message
 *
 * What can be refused by the head alone (no such method, no such encoding, a deadline that has
 * passed) is refused before the body is read: the call takes its body as a stream and drops it.
 */
#include "api/grpc/grpc.h"

#include <assert.h>

#include "api/grpc/call.h"
#include "api/grpc/status.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "metrics/metrics.h"

static const sl_grpc_method *const methods[] = {
    &sl_grpc_predict,
    &sl_grpc_classify,
    &sl_grpc_regress,
    &sl_grpc_multi_inference,
    &sl_grpc_model_metadata,
    &sl_grpc_model_status,
    &sl_grpc_reload,
    &sl_grpc_health_check,
    &sl_grpc_health_watch,
    &sl_grpc_reflection_v1,
    &sl_grpc_reflection_v1alpha,
    &sl_grpc_oip_infer,
    &sl_grpc_oip_live,
    &sl_grpc_oip_ready,
    &sl_grpc_oip_model_ready,
    &sl_grpc_oip_server_metadata,
    &sl_grpc_oip_model_metadata,
    &sl_grpc_oip_index,
    &sl_grpc_oip_load,
    &sl_grpc_oip_unload,
};

const sl_grpc_method *sl_grpc_method_find(sl_str path)
{
    for (size_t i = 0; i < SL_COUNTOF(methods); i++)
        if (sl_str_is(path, methods[i]->path))
            return methods[i];
    return NULL;
}

static sl_str service_of(const sl_grpc_method *m)
{
    const char *name = m->path + 1;
    return (sl_str){name, strcspn(name, "/")};
}

static bool is_hidden(const sl_grpc *g, const sl_grpc_method *m)
{
    return (g->opt.no_health && sl_str_is(service_of(m), "grpc.health.v1.Health")) ||
           (g->opt.oip == NULL && sl_str_is(service_of(m), "inference.GRPCInferenceService"));
}

void sl_grpc_each_service(const sl_grpc *g, void (*fn)(void *arg, sl_str name), void *arg)
{
    for (size_t i = 0; i < SL_COUNTOF(methods); i++)
        if ((i == 0 || !sl_str_eq(service_of(methods[i]), service_of(methods[i - 1]))) &&
            !is_hidden(g, methods[i]))
            fn(arg, service_of(methods[i]));
}

void sl_grpc_init(sl_grpc *g, const sl_grpc_options *opt)
{
    static const char *const count_labels[] = {"model_name", "status", NULL};
    static const char *const latency_labels[] = {"model_name", "API", "entrypoint", NULL};
    static const char *const example_labels[] = {"model", NULL};
    memset(g, 0, sizeof *g);
    g->opt = *opt;
    pthread_mutex_init(&g->lock, NULL);
    sl_cond_init(&g->changed);
    g->request_count =
        sl_metric_register("/tensorflow/serving/request_count", SL_COUNTER, count_labels, NULL, 0);
    g->request_latency = sl_metric_register("/tensorflow/serving/request_latency", SL_HISTOGRAM,
                                            latency_labels, sl_metric_exponential(10, 1.8, 33), 33);
    g->example_counts =
        sl_metric_register("/tensorflow/serving/request_example_counts", SL_HISTOGRAM,
                           example_labels, sl_metric_exponential(1, 2, 15), 15);
    g->example_total = sl_metric_register("/tensorflow/serving/request_example_count_total",
                                          SL_COUNTER, example_labels, NULL, 0);
}

void sl_grpc_fini(sl_grpc *g)
{
    sl_grpc_reloads_end(g);
    pthread_mutex_destroy(&g->lock);
}

/* ---- the head ---- */

/* "application/grpc", with a subtype behind '+' and parameters behind ';'. */
static bool is_grpc_type(sl_str type)
{
    return sl_str_starts(type, "application/grpc");
}

/* ... and one that we speak: protobuf. */
static bool is_our_type(sl_str type)
{
    sl_str rest = {type.p + 16, type.n - 16};
    if (sl_str_starts(rest, "+proto"))
        rest = (sl_str){rest.p + 6, rest.n - 6};
    return rest.n == 0 || rest.p[0] == ';' || rest.p[0] == ' ';
}

bool sl_grpc_is_call(const sl_http_call *call)
{
    if (call->version < 20)
        return false;
    const sl_str *type = sl_http_header_find(call, "content-type");
    return (type != NULL && is_grpc_type(*type)) || sl_grpc_method_find(call->path) != NULL;
}

static void take_id(sl_grpc_call *c)
{
    const sl_str *id = sl_http_header_find(c->http, "x-request-id");
    if (id != NULL && sl_request_id_is_sane(*id)) {
        c->id = *id;
        return;
    }
    sl_request_id_make(c->made_id);
    c->id = (sl_str){c->made_id, 16};
}

static sl_code late(sl_grpc_call *c)
{
    return sl_fail(&c->st, SL_DEADLINE_EXCEEDED, "Deadline Exceeded");
}

static sl_code take_deadline(sl_grpc_call *c)
{
    uint64_t ns = UINT64_C(2147483647) * 1000000;
    const sl_str *timeout = sl_http_header_find(c->http, "grpc-timeout");
    if (timeout != NULL && !sl_grpc_timeout_parse(*timeout, &ns))
        return sl_fail(&c->st, SL_INTERNAL, "grpc-timeout \"%.*s\" is no time-out",
                       SL_STR_ARG(*timeout));
    c->deadline_ns = c->http->started_ns + ns;
    return ns == 0 ? late(c) : SL_OK;
}

static sl_code take_encodings(sl_grpc_call *c)
{
    sl_grpc_encoding wish = c->grpc->opt.encoding;
    const sl_str *in = sl_http_header_find(c->http, "grpc-encoding");
    const sl_str *accepted = sl_http_header_find(c->http, "grpc-accept-encoding");
    if (wish != SL_GRPC_IDENTITY && accepted != NULL && sl_grpc_encoding_accepted(*accepted, wish))
        c->out = wish;
    if (in == NULL || sl_grpc_encoding_parse(*in, &c->in))
        return SL_OK;
    return sl_fail(&c->st, SL_UNIMPLEMENTED,
                   "grpc-encoding \"%.*s\" is not supported: identity, deflate, gzip",
                   SL_STR_ARG(*in));
}

/* Who is it? A stranger is told before the body is read. The admission itself begins in on_call: a
 * call that never gets there would not be left. */
static sl_code identify(sl_grpc_call *c, bool enter)
{
    sl_guard *g = c->grpc->opt.guard;
    if (g == NULL || (c->method->open && !sl_guard_closes_health(g)) ||
        (!enter && !sl_guard_has_identities(g)))
        return SL_OK;
    sl_code rc = sl_guard_identify(g, c->http, &c->admission, &c->st);
    /* Which model it is about stands in the message: who may do nothing at all is told before. */
    if (rc == SL_OK)
        rc = c->method->open
                 ? sl_guard_may(g, &c->admission, SL_MAY_HEALTH, SL_STR(""), SL_STR(""), &c->st)
                 : sl_guard_may_something(g, &c->admission, &c->st);
    unsigned retry_after_s = c->admission.retry_after_s; /* the trailers say it */
    if (enter)
        c->admitted = true;
    else
        sl_guard_leave(g, &c->admission);
    c->admission.retry_after_s = retry_after_s;
    return rc;
}

/* Fills in the call; *c has its method. */
static sl_code read_head(sl_grpc_call *c)
{
    const sl_str *type = sl_http_header_find(c->http, "content-type");
    if (type == NULL || !is_grpc_type(*type) || !is_our_type(*type)) {
        c->http_status = 415;
        return sl_fail(&c->st, SL_INTERNAL, "content-type is not application/grpc");
    }
    if (c->http->method != SL_HTTP_POST) {
        c->http_status = 405;
        return sl_fail(&c->st, SL_INTERNAL, "the method is not POST");
    }
    if (c->method == NULL) {
        c->st.code = SL_UNIMPLEMENTED; /* without a message, as grpc-core says it */
        return SL_UNIMPLEMENTED;
    }
    sl_code rc = identify(c, false);
    if (rc == SL_OK)
        rc = take_deadline(c);
    if (rc == SL_OK)
        rc = take_encodings(c);
    if (rc == SL_OK && !c->method->open &&
        !atomic_load_explicit(c->grpc->opt.started, memory_order_acquire))
        rc = sl_fail(&c->st, SL_UNAVAILABLE, "server is starting: models are loading");
    return rc;
}

static void drop_piece(sl_http_call *call, sl_str data, bool end)
{
    (void)call;
    (void)data;
    (void)end;
}

static void take_piece(sl_http_call *call, sl_str data, bool end)
{
    sl_grpc_call *c = call->user;
    c->method->piece(c, data, end);
}

int sl_grpc_on_head(sl_grpc *g, sl_http_call *call)
{
    const sl_grpc_method *m = sl_grpc_method_find(call->path);
    if (m != NULL && is_hidden(g, m))
        m = NULL;
    size_t size = m != NULL ? m->size : sizeof(sl_grpc_call);
    sl_grpc_call *c = sl_arena_try_alloc(call->arena, size);
    if (c == NULL)
        return 503;
    memset(c, 0, size);
    c->grpc = g;
    c->http = call;
    c->method = m;
    c->loop = pthread_self();
    c->deadline_ns = UINT64_MAX;
    call->user = c;
    take_id(c);
    c->refused = read_head(c);
    if (c->refused) {
        call->on_data = drop_piece;
        return 0;
    }
    assert(m != NULL); /* read_head refuses what is not known */
    if (m->piece != NULL)
        call->on_data = take_piece;
    return 0;
}

/* ---- the message ---- */

/* Makes c->message what was sent, unpacked. */
static sl_code unpack(sl_grpc_call *c)
{
    if (!c->packed)
        return SL_OK;
    sl_grpc_frame_limits l = c->grpc->opt.frame;
    if (c->method->on_loop)
        l.max_decompressed = SL_MIN(l.max_decompressed, c->grpc->opt.here_bytes);
    sl_code rc = sl_grpc_decompress(c->in, c->message, &l, &c->unpacked, &c->st);
    if (rc == SL_OK) {
        c->message = (sl_str){c->unpacked.buffer->data, c->unpacked.n};
        c->message_buffer = c->unpacked.buffer;
    }
    return rc;
}

static void on_worker(sl_job *job, sl_code verdict)
{
    sl_grpc_call *c = (sl_grpc_call *)((char *)job - offsetof(sl_grpc_call, job));
    c->queue_ns = sl_now_ns() - job->queued_ns;
    sl_code rc = SL_OK;
    if (verdict == SL_DEADLINE_EXCEEDED)
        rc = late(c);
    else if (verdict)
        rc = sl_fail(&c->st, verdict, "the client left before the call was started");
    if (rc == SL_OK)
        rc = unpack(c);
    if (rc)
        sl_grpc_finish(c, rc);
    else
        c->method->begin(c, SL_RUN_HERE);
}

static void hand_over(sl_grpc_call *c)
{
    c->job = (sl_job){.run = on_worker,
                      .bytes = c->message.n,
                      .deadline_ns = c->deadline_ns,
                      .cancelled = &c->http->cancelled};
    sl_code rc = sl_workers_submit(c->grpc->opt.service->workers, &c->job, &c->st);
    if (rc)
        sl_grpc_finish(c, rc);
}

static void begin_here(sl_grpc_call *c)
{
    sl_grpc_options *o = &c->grpc->opt;
    sl_code rc = unpack(c);
    if (rc) {
        sl_grpc_finish(c, rc);
        return;
    }
    bool busy = c->method->infers && sl_http_spent_ns(c->http) > o->here_round_ns &&
                o->service->workers != NULL && sl_workers_idle(o->service->workers);
    c->method->begin(c, busy ? SL_RUN_ELSEWHERE : SL_RUN_HERE_IF_CHEAP);
}

/* One place among those that may run at once. */
static sl_code take_place(sl_grpc_call *c)
{
    int most = c->grpc->opt.max_calls;
    if (!c->method->infers || most == 0)
        return SL_OK;
    c->counted = true;
    if (atomic_fetch_add_explicit(&c->grpc->running, 1, memory_order_relaxed) < most)
        return SL_OK;
    return sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "Server Threadpool Exhausted");
}

static void unary(sl_grpc_call *c)
{
    /* Beyond it, what is packed may become more than a loop should unpack. */
    enum { PACKED = 128 };
    sl_http_call *call = c->http;
    sl_grpc_options *o = &c->grpc->opt;
    sl_code rc = take_place(c);
    if (rc == SL_OK)
        rc = sl_grpc_unframe(call->body, &o->frame, &c->packed, &c->message, &c->st);
    if (rc == SL_OK && sl_now_ns() >= c->deadline_ns)
        rc = late(c);
    if (rc) {
        sl_grpc_finish(c, rc);
        return;
    }
    c->message_buffer = call->body_buffer;
    size_t most = c->packed && !c->method->on_loop ? (size_t)PACKED : o->here_bytes;
    bool small = c->message.n <= most;
    if (!small && c->method->on_loop)
        sl_grpc_finish(c, sl_fail(&c->st, SL_RESOURCE_EXHAUSTED,
                                  "Received message larger than max (%zu vs. %zu)", c->message.n,
                                  most));
    else if (small || o->service->workers == NULL)
        begin_here(c);
    else
        hand_over(c);
}

void sl_grpc_on_call(sl_grpc *g, sl_http_call *call)
{
    (void)g;
    sl_grpc_call *c = call->user;
    sl_code rc = c->refused ? c->refused : identify(c, true);
    if (rc)
        sl_grpc_finish(c, rc);
    else if (c->method->piece != NULL)
        c->method->begin(c, SL_RUN_HERE_IF_CHEAP);
    else
        unary(c);
}

void sl_grpc_on_call_error(sl_http_call *call, int status, const char *message)
{
    sl_status st = {0};
    sl_fail(&st, sl_grpc_code_of_http(status), "%s",
            message != NULL && *message ? message : sl_http_reason(status));
    call->status = 200;
    call->content_type = "application/grpc";
    sl_grpc_put_status(&call->trailers, st.code, &st);
}
