/* rest.c - routing, status and metadata, probes, the end of every request */
#include "api/rest/rest.h"

#include <pthread.h>
#include <stdio.h>

#include "api/oip/oip.h"
#include "api/rest/binary.h"
#include "api/rest/infer.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/examples_json.h"
#include "codec/metadata_json.h"
#include "format/number.h"
#include "metrics/metrics.h"
#include "service/shadow.h"

static const char *const method_names[] = {"GET",    "HEAD",    "POST", "PUT",
                                           "DELETE", "OPTIONS", "PATCH"};
static const char *const api_names[] = {"predict", "classify", "regress"};

void sl_rest_init(sl_rest *r, const sl_rest_options *opt)
{
    static const char *const count_labels[] = {"model_name", "status", NULL};
    static const char *const latency_labels[] = {"model_name", "API", "entrypoint", NULL};
    r->opt = *opt;
    atomic_init(&r->started, false);
    atomic_init(&r->draining, false);
    r->request_count =
        sl_metric_register("/tensorflow/serving/request_count", SL_COUNTER, count_labels, NULL, 0);
    r->request_latency = sl_metric_register("/tensorflow/serving/request_latency", SL_HISTOGRAM,
                                            latency_labels, sl_metric_exponential(10, 1.8, 33), 33);
}

int sl_rest_http_status(sl_code code)
{
    static const short map[] = {200, 499, 500, 400, 504, 404, 409, 403, 429,
                                400, 409, 400, 501, 500, 503, 500, 401};
    return (unsigned)code < SL_COUNTOF(map) ? map[code] : 500;
}

/* ---- the end of a request ---- */

/* What a client needs to do better: RFC 6750 section 3, RFC 9110 section 10.2.3. */
void sl_rest_add_guard_headers(sl_http_call *call, const sl_admission *a)
{
    char line[64];
    if (call->status == 401)
        sl_chain_puts(&call->head, "WWW-Authenticate: Bearer realm=\"sluice\"\r\n");
    if (call->status == 429 && a->retry_after_s > 0) {
        snprintf(line, sizeof line, "Retry-After: %u\r\n", a->retry_after_s);
        sl_chain_puts(&call->head, line);
    }
}

/* Does the answer come from a version? A client that named none learns which one it was. */
static bool has_version(const sl_rest_call *r)
{
    return (r->route.kind == SL_ROUTE_INFER || r->route.kind == SL_ROUTE_METADATA) &&
           r->predict.version != NULL;
}

void sl_rest_add_version(sl_http_call *call, int64_t number)
{
    static const char name[] = "x-sluice-version: ";
    char *to = sl_chain_reserve(&call->head, sizeof name + SL_NUMBER_ROOM), *at = to;
    if (to == NULL)
        return;
    memcpy(at, name, sizeof name - 1);
    at = sl_number_write_int64(at + sizeof name - 1, number);
    *at++ = '\r';
    *at++ = '\n';
    sl_chain_commit(&call->head, (size_t)(at - to));
}

static void add_headers(sl_rest_call *r)
{
    sl_http_call *call = r->http;
    if (r->rest->opt.cors)
        sl_chain_puts(&call->head, "Access-Control-Allow-Origin: *\r\n"
                                   "Access-Control-Allow-Methods: POST, GET\r\n"
                                   "Access-Control-Allow-Headers: Content-Type\r\n");
    if (call->status == 503)
        sl_chain_puts(&call->head, "Retry-After: 1\r\n");
    sl_rest_add_guard_headers(call, &r->admission);
    if (has_version(r))
        sl_rest_add_version(call, r->predict.version->number);
    char *to = sl_chain_reserve(&call->head, r->id.n + 16);
    if (to == NULL)
        return;
    memcpy(to, "x-request-id: ", 14);
    memcpy(to + 14, r->id.p, r->id.n);
    memcpy(to + 14 + r->id.n, "\r\n", 2);
    sl_chain_commit(&call->head, r->id.n + 16);
}

static void count(sl_rest_call *r, sl_code rc, uint64_t total_ns)
{
    sl_str model = r->route.spec.model;
    sl_str counted[] = {model, sl_str_of(sl_code_name(rc))};
    sl_cell_add(sl_metric_cell(r->rest->request_count, counted), 1);
    if (rc)
        return;
    sl_str api =
        r->route.kind == SL_ROUTE_INFER ? sl_str_of(api_names[r->route.method]) : SL_STR("");
    sl_str timed[] = {model, api, SL_STR("REST")};
    sl_cell_sample(sl_metric_cell(r->rest->request_latency, timed), (double)total_ns / 1000.0);
}

static void log_access(sl_rest_call *r, sl_code rc, uint64_t total_ns)
{
    sl_http_call *call = r->http;
    bool infer = r->route.kind == SL_ROUTE_INFER;
    const sl_predict *p = &r->predict;
    const sl_version *v = infer || r->route.kind == SL_ROUTE_METADATA ? p->version : NULL;
    sl_access_entry e = {.id = r->id,
                         .peer = call->peer,
                         .tls = call->tls ? call->tls->version : NULL,
                         .tls_client = call->tls ? call->tls->subject : NULL,
                         .method = sl_str_of(method_names[call->method]),
                         .target = call->target,
                         .model = r->route.spec.model,
                         .signature = r->signature_name,
                         .version = v ? v->number : 0,
                         .status = call->status,
                         .bytes_in = call->wire_bytes,
                         .bytes_out = call->reply.size,
                         .decode_us = r->decode_ns / 1000,
                         .queue_us = infer ? p->queue_ns / 1000 : 0,
                         .run_us = infer ? p->run_ns / 1000 : 0,
                         .encode_us = r->encode_ns / 1000,
                         .total_us = total_ns / 1000,
                         .error = rc ? r->st.msg : NULL};
    sl_access_write(r->rest->opt.access, &e);
}

static void release(sl_rest_call *r)
{
    if (r->route.kind == SL_ROUTE_INFER) {
        if (r->json.n_inputs)
            sl_json_predict_release(&r->json);
        sl_rest_release_binary(r);
        sl_tensor_release(&r->examples);
    }
    if (r->route.kind == SL_ROUTE_INFER || r->route.kind == SL_ROUTE_METADATA)
        sl_predict_fini(&r->predict);
}

void sl_rest_finish(sl_rest_call *r, sl_code rc)
{
    sl_http_call *call = r->http;
    sl_rest *rest = r->rest;
    if (rc == SL_OK && call->reply.failed)
        rc = sl_fail(&r->st, SL_RESOURCE_EXHAUSTED, "out of memory: the reply does not fit");
    if (rc) {
        sl_chain_reset(&call->reply);
        if (r->route.kind != SL_ROUTE_BAD_VERSION)
            sl_json_encode_error(&r->st, &call->reply);
    }
    call->status = sl_rest_http_status(rc);
    bool binary = rc == SL_OK && r->route.kind == SL_ROUTE_INFER && r->binary;
    call->content_type = binary ? "application/x-protobuf" : "application/json";
    add_headers(r);
    uint64_t total_ns = sl_now_ns() - call->started_ns;
    count(r, rc, total_ns);
    if (rest->opt.access != NULL && sl_access_wants(rest->opt.access, call->status))
        log_access(r, rc, total_ns);
    bool infer = r->route.kind == SL_ROUTE_INFER;
    sl_shadow *copy = rc == SL_OK && infer ? sl_shadow_take(&r->predict) : NULL;
    release(r);
    if (rest->opt.guard != NULL)
        sl_guard_leave(rest->opt.guard, &r->admission);
    if (pthread_equal(r->loop, pthread_self()))
        sl_http_reply(call);
    else
        sl_http_reply_posted(call);
    sl_shadow_start(copy); /* the answer is on its way */
}

/* ---- what needs no model ---- */

static void status(sl_rest_call *r)
{
    const sl_version_info *list;
    int n;
    sl_code rc = sl_manager_status(r->rest->opt.service->manager, &r->route.spec, r->http->arena,
                                   &list, &n, &r->st);
    if (rc == SL_OK) {
        sl_version_status *shown = sl_arena_try_alloc(r->http->arena, (size_t)n * sizeof *shown);
        if (shown == NULL) {
            sl_rest_finish(r, sl_fail(&r->st, SL_RESOURCE_EXHAUSTED, "out of memory"));
            return;
        }
        for (int i = 0; i < n; i++)
            shown[i] = (sl_version_status){list[i].number, sl_state_name(list[i].state),
                                           list[i].code, list[i].message};
        sl_json_encode_status(shown, n, &r->http->reply);
    }
    sl_rest_finish(r, rc);
}

static void describe(sl_predict *p, sl_code rc)
{
    sl_rest_call *r = (sl_rest_call *)((char *)p - offsetof(sl_rest_call, predict));
    if (rc == SL_OK)
        rc = sl_predict_resolve_version(p, &r->route.spec);
    if (rc == SL_OK)
        rc = sl_json_encode_metadata(r->route.spec.model, r->predict.version->number,
                                     r->predict.version->signatures, &r->http->reply, &r->st);
    sl_rest_finish(r, rc);
}

static void metadata(sl_rest_call *r)
{
    sl_predict_init(&r->predict, r->rest->opt.service, r->http->arena, &r->st);
    r->predict.cancelled = &r->http->cancelled;
    if (!sl_predict_await(&r->predict, &r->route.spec, describe))
        describe(&r->predict, SL_OK);
}

static void options(sl_rest_call *r)
{
    const sl_str *origin = sl_http_header_find(r->http, "origin");
    bool good = origin != NULL && origin->n > 0 &&
                (memmem(origin->p, origin->n, "http://", 7) != NULL ||
                 memmem(origin->p, origin->n, "https://", 8) != NULL);
    sl_http_call *call = r->http;
    call->status = good ? 200 : 400;
    call->content_type = "text/html; charset=ISO-8859-1";
    add_headers(r);
    count(r, good ? SL_OK : SL_INVALID_ARGUMENT, sl_now_ns() - call->started_ns);
    sl_http_reply(call);
}

sl_str sl_rest_header_value(const void *call, const char *name)
{
    const sl_str *value = sl_http_header_find(call, name);
    return value != NULL ? *value : (sl_str){"", 0};
}

static void take_id(sl_rest_call *r)
{
    const sl_str *id = sl_http_header_find(r->http, "x-request-id");
    if (id != NULL && sl_request_id_is_sane(*id)) {
        r->id = *id;
        return;
    }
    char *made = sl_arena_alloc(r->http->arena, 17);
    sl_request_id_make(made);
    r->id = (sl_str){made, 16};
}

/* Who is it, and may they? */
static sl_code let_in(sl_guard *g, const sl_http_call *call, const sl_rest_route *route,
                      sl_admission *a, sl_status *st)
{
    sl_permission what = route->kind == SL_ROUTE_INFER      ? SL_MAY_PREDICT
                         : route->kind == SL_ROUTE_METADATA ? SL_MAY_METADATA
                                                            : SL_MAY_STATUS;
    sl_code rc = sl_guard_identify(g, call, a, st);
    /* A path that means nothing needs no permission to be told so. */
    if (rc || route->kind < SL_ROUTE_INFER)
        return rc;
    return sl_guard_may(g, a, what, route->spec.model, route->spec.label, st);
}

/* ... and how much already: before a byte of the body is looked at. */
static sl_code admit(sl_rest_call *r)
{
    sl_guard *g = r->rest->opt.guard;
    if (g == NULL)
        return SL_OK;
    sl_code rc = let_in(g, r->http, &r->route, &r->admission, &r->st);
    return rc || r->route.kind < SL_ROUTE_INFER
               ? rc
               : sl_guard_count(g, &r->admission, r->route.spec.model, &r->st);
}

static bool is_oip(const sl_rest *r, const sl_http_call *call)
{
    return r->opt.extra_routes && r->opt.oip != NULL && sl_oip_is_path(call->path);
}

int sl_rest_on_head(sl_http_call *call, const char **message, void *arg)
{
    sl_rest *r = arg;
    const sl_str *length = sl_http_header_find(call, "content-length");
    sl_rest_route route;
    sl_admission a;
    sl_status st;
    int64_t n;
    bool small = length != NULL && sl_str_to_int64(*length, &n) && n <= (int64_t)r->opt.here_bytes;
    bool none = length == NULL && sl_http_header_find(call, "transfer-encoding") == NULL;
    if (r->opt.guard == NULL || small || none || call->method == SL_HTTP_OPTIONS)
        return 0;
    if (is_oip(r, call))
        return sl_oip_on_head(r->opt.oip, call, message);
    if (!sl_route_is_rest(call->target))
        return 0;
    sl_route_parse(call->method, call->target, call->arena, &route);
    sl_code rc = let_in(r->opt.guard, call, &route, &a, &st);
    sl_guard_leave(r->opt.guard, &a);
    if (rc == SL_OK)
        return 0;
    *message = sl_arena_try_strndup(call->arena, st.msg, strlen(st.msg));
    return sl_rest_http_status(rc);
}

static void rest(sl_rest *rest_, sl_http_call *call)
{
    sl_rest_call *r = sl_arena_alloc(call->arena, sizeof *r);
    r->rest = rest_;
    r->http = call;
    r->loop = pthread_self();
    r->decode_ns = r->encode_ns = 0;
    r->signature_name = (sl_str){"", 0};
    r->admission = (sl_admission){0};
    r->st.code = SL_OK;
    r->st.msg[0] = '\0';
    r->st.more = NULL;
    take_id(r);
    if (call->method == SL_HTTP_OPTIONS) {
        r->route = (sl_rest_route){.kind = SL_ROUTE_MALFORMED};
        options(r);
        return;
    }
    sl_route_parse(call->method, call->target, call->arena, &r->route);
    r->route.spec.header = sl_rest_header_value;
    r->route.spec.header_arg = call;
    sl_code refused = admit(r);
    if (refused) {
        r->route.kind = SL_ROUTE_MALFORMED; /* nothing to release */
        sl_rest_finish(r, refused);
        return;
    }
    if (!atomic_load_explicit(&rest_->started, memory_order_acquire)) {
        r->route.kind = SL_ROUTE_MALFORMED; /* nothing to release */
        sl_rest_finish(r,
                       sl_fail(&r->st, SL_UNAVAILABLE, "server is starting: models are loading"));
        return;
    }
    switch (r->route.kind) {
    case SL_ROUTE_INFER:
        sl_rest_infer(r);
        return;
    case SL_ROUTE_STATUS:
        status(r);
        return;
    case SL_ROUTE_METADATA:
        metadata(r);
        return;
    case SL_ROUTE_NO_NAME:
        sl_rest_finish(r, sl_fail(&r->st, SL_INVALID_ARGUMENT, "Missing model name in request."));
        return;
    case SL_ROUTE_BAD_VERSION:
        sl_rest_finish(r, sl_fail(&r->st, SL_INVALID_ARGUMENT, "not a version number"));
        return;
    case SL_ROUTE_NO_MEMORY:
        sl_rest_finish(r, sl_fail(&r->st, SL_RESOURCE_EXHAUSTED, "out of memory: name of a model"));
        return;
    default: /* SL_ROUTE_MALFORMED */
        break;
    }
    sl_rest_finish(r, sl_fail_in(call->arena, &r->st, SL_INVALID_ARGUMENT,
                                 "Malformed request: %s %.*s", method_names[call->method],
                                 (int)SL_MIN(call->target.n, (size_t)65536), call->target.p));
}

/* ---- everything outside /v1/ ---- */

static void plain(sl_http_call *call, int code, const char *type, const char *text)
{
    call->status = code;
    call->content_type = type;
    sl_chain_puts(&call->reply, text);
    if (code == 503)
        sl_chain_puts(&call->head, "Retry-After: 1\r\n");
    sl_http_reply(call);
}

/* The reply to whom the guard does not let through. */
static void refuse_page(sl_http_call *call, sl_code rc, const sl_status *st, const sl_admission *a)
{
    call->status = sl_rest_http_status(rc);
    call->content_type = "application/json";
    sl_rest_add_guard_headers(call, a);
    sl_json_encode_error(st, &call->reply);
    sl_http_reply(call);
}

/* May they? If not, they have been told. */
static bool may_see(sl_rest *r, sl_http_call *call, sl_permission what)
{
    sl_guard *g = r->opt.guard;
    sl_admission a;
    sl_status st;
    if (g == NULL || (what == SL_MAY_HEALTH && !sl_guard_closes_health(g)))
        return true;
    sl_code rc = sl_guard_identify(g, call, &a, &st);
    if (rc == SL_OK)
        rc = sl_guard_may(g, &a, what, SL_STR(""), SL_STR(""), &st);
    if (rc)
        refuse_page(call, rc, &st, &a);
    sl_guard_leave(g, &a);
    return rc == SL_OK;
}

static void metrics_page(sl_rest *r, sl_http_call *call)
{
    if (!may_see(r, call, SL_MAY_METRICS))
        return;
    call->status = 200;
    call->content_type = "text/plain";
    sl_metrics_write(&call->reply);
    sl_http_reply(call);
}

static bool is_health(sl_str path)
{
    return sl_str_is(path, "/healthz") || sl_str_is(path, "/startupz") ||
           sl_str_is(path, "/readyz");
}

bool sl_rest_probe(sl_rest *r, sl_http_call *call)
{
    bool started = atomic_load(&r->started), draining = atomic_load(&r->draining);
    if (is_health(call->path) && !may_see(r, call, SL_MAY_HEALTH))
        return true;
    if (sl_str_is(call->path, "/healthz"))
        plain(call, 200, "text/plain", "ok\n");
    else if (sl_str_is(call->path, "/startupz"))
        plain(call, started ? 200 : 503, "text/plain", started ? "ok\n" : "models are loading\n");
    else if (sl_str_is(call->path, "/readyz"))
        plain(call, started && !draining ? 200 : 503, "text/plain",
              !started   ? "models are loading\n"
              : draining ? "draining\n"
                         : "ok\n");
    else if (sl_str_is(call->path, "/metrics"))
        metrics_page(r, call);
    else
        return false;
    return true;
}

void sl_rest_on_error(int code, const char *message, sl_chain *body, const char **content_type,
                      void *arg)
{
    (void)arg;
    sl_status st;
    sl_fail(&st, SL_UNKNOWN, "%s", message && *message ? message : sl_http_reason(code));
    sl_json_encode_error(&st, body);
    *content_type = "application/json";
}

void sl_rest_on_call(sl_http_call *call, void *arg)
{
    sl_rest *r = arg;
    const char *page = r->opt.metrics_path;
    if (page != NULL && sl_str_is(call->path, page)) {
        if (call->path.n == call->target.n) {
            metrics_page(r, call);
            return;
        }
        call->status = 400;
        call->content_type = "text/plain";
        sl_chain_puts(&call->reply, "Unexpected path: ");
        sl_chain_add(&call->reply, call->target.p, call->target.n);
        sl_chain_puts(&call->reply, ". Should be ");
        sl_chain_puts(&call->reply, page);
        sl_http_reply(call);
        return;
    }
    if (sl_route_is_rest(call->target)) {
        rest(r, call);
        return;
    }
    if (is_oip(r, call)) {
        sl_oip_on_call(r->opt.oip, call);
        return;
    }
    if (r->opt.extra_routes && sl_rest_probe(r, call))
        return;
    call->status = 404;
    call->close = true; /* as the original does */
    sl_rest_on_error(404, NULL, &call->reply, &call->content_type, NULL);
    sl_http_reply(call);
}
