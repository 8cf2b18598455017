/* oip.c - everything below /v2 that is no inference, and the end of every request (oip.h) */
#include "api/oip/oip.h"

#include <stdio.h>
#include <string.h>

#include "api/oip/call.h"
#include "api/rest/rest.h"
#include "base/clock.h"
#include "base/mem.h"
#include "codec/examples_json.h"
#include "metrics/metrics.h"
#include "service/shadow.h"
#include "sluice/version.h"

static const char *const method_names[] = {"GET",    "HEAD",    "POST", "PUT",
                                           "DELETE", "OPTIONS", "PATCH"};

void sl_oip_init(sl_oip *o, const sl_oip_options *opt)
{
    static const char *const count_labels[] = {"model_name", "status", NULL};
    static const char *const latency_labels[] = {"model_name", "API", "entrypoint", NULL};
    o->opt = *opt;
    sl_oip_changer_init(&o->changer, opt->change, opt->change_arg);
    o->request_count =
        sl_metric_register("/tensorflow/serving/request_count", SL_COUNTER, count_labels, NULL, 0);
    o->request_latency = sl_metric_register("/tensorflow/serving/request_latency", SL_HISTOGRAM,
                                            latency_labels, sl_metric_exponential(10, 1.8, 33), 33);
}

void sl_oip_fini(sl_oip *o)
{
    sl_oip_changer_fini(&o->changer);
}

bool sl_oip_is_path(sl_str path)
{
    return sl_str_starts(path, "/v2") && (path.n == 3 || path.p[3] == '/');
}

/* ---- the end of a request ---- */

static void count(sl_oip_call *c, sl_code rc, uint64_t total_ns)
{
    sl_str counted[] = {c->route.model, sl_str_of(sl_code_name(rc))};
    sl_str timed[] = {c->route.model, SL_STR("ModelInfer"), SL_STR("OIP")};
    sl_cell_add(sl_metric_cell(c->oip->request_count, counted), 1);
    if (rc == SL_OK)
        sl_cell_sample(sl_metric_cell(c->oip->request_latency, timed), (double)total_ns / 1000.0);
}

static void log_access(sl_oip_call *c, sl_code rc, uint64_t total_ns)
{
    sl_http_call *call = c->http;
    const sl_predict *p = &c->predict;
    sl_access_entry e = {.id = c->id,
                         .peer = call->peer,
                         .tls = call->tls ? call->tls->version : NULL,
                         .tls_client = call->tls ? call->tls->subject : NULL,
                         .method = sl_str_of(method_names[call->method]),
                         .target = call->target,
                         .model = c->route.model,
                         .signature = c->request.signature,
                         .version = p->version ? p->version->number : 0,
                         .status = call->status,
                         .bytes_in = call->wire_bytes,
                         .bytes_out = call->reply.size,
                         .decode_us = c->decode_ns / 1000,
                         .queue_us = p->queue_ns / 1000,
                         .run_us = p->run_ns / 1000,
                         .encode_us = c->encode_ns / 1000,
                         .total_us = total_ns / 1000,
                         .error = rc ? c->st.msg : NULL};
    sl_access_write(c->oip->opt.access, &e);
}

static void add_headers(sl_oip_call *c)
{
    sl_http_call *call = c->http;
    if (call->status == 503)
        sl_chain_puts(&call->head, "Retry-After: 1\r\n");
    sl_rest_add_guard_headers(call, &c->admission);
    if (c->binary && call->status == 200)
        sl_chain_printf(&call->head, "Inference-Header-Content-Length: %zu\r\n", c->json_bytes);
    if (c->predict.version != NULL)
        sl_rest_add_version(call, c->predict.version->number);
    if (call->status == 405)
        sl_chain_printf(&call->head, "Allow: %s\r\n", c->route.allow);
    sl_chain_puts(&call->head, "x-request-id: ");
    sl_chain_add(&call->head, c->id.p, c->id.n);
    sl_chain_puts(&call->head, "\r\n");
}

void sl_oip_finish(sl_oip_call *c, sl_code rc)
{
    sl_http_call *call = c->http;
    const sl_oip_options *opt = &c->oip->opt;
    if (rc == SL_OK && call->reply.failed)
        rc = sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: the reply does not fit");
    if (rc) {
        sl_chain_reset(&call->reply);
        sl_oip_json_encode_error(&c->st, &call->reply);
        call->status = sl_rest_http_status(rc);
    }
    if (c->route.kind == SL_OIP_WRONG_METHOD && rc == SL_INVALID_ARGUMENT) /* not if refused */
        call->status = 405;
    call->content_type = rc == SL_OK && c->binary ? "application/octet-stream" : "application/json";
    add_headers(c);
    uint64_t total_ns = sl_now_ns() - call->started_ns;
    if (c->inferred)
        count(c, rc, total_ns);
    if (opt->access != NULL && sl_access_wants(opt->access, call->status))
        log_access(c, rc, total_ns);
    sl_shadow *copy = rc == SL_OK && c->inferred ? sl_shadow_take(&c->predict) : NULL;
    sl_oip_request_release(&c->request);
    sl_predict_fini(&c->predict);
    if (opt->guard != NULL)
        sl_guard_leave(opt->guard, &c->admission);
    if (pthread_equal(c->loop, pthread_self()))
        sl_http_reply(call);
    else
        sl_http_reply_posted(call);
    sl_shadow_start(copy); /* the answer is on its way */
}

/* ---- what is asked about ---- */

static void server_metadata(sl_oip_call *c)
{
    static const char *const extensions[] = {SL_OIP_EXTENSIONS};
    sl_chain *out = &c->http->reply;
    sl_chain_puts(out, "{\"name\":\"sluice\",\"version\":\"" SL_VERSION "\",\"extensions\":[");
    for (size_t i = 0; i < SL_COUNTOF(extensions); i++)
        sl_chain_printf(out, "%s\"%s\"", i ? "," : "", extensions[i]);
    sl_chain_puts(out, "]}");
    sl_oip_finish(c, SL_OK);
}

static void say(sl_oip_call *c, const char *what, bool is)
{
    c->http->status = is ? 200 : 503;
    sl_chain_printf(&c->http->reply, "{\"%s\":%s}", what, is ? "true" : "false");
    sl_oip_finish(c, SL_OK);
}

static void server_ready(sl_oip_call *c)
{
    const sl_oip_options *o = &c->oip->opt;
    say(c, "ready", atomic_load(o->started) && !atomic_load(o->draining));
}

/* A model that the server knows but that cannot be asked is 503; others are 404. */
static sl_code model_ready(sl_oip_call *c)
{
    sl_model_spec spec;
    bool ready = false;
    sl_code rc = sl_oip_spec(c->route.model, c->route.version, c->http, &spec, &c->st);
    if (rc == SL_OK)
        rc = sl_oip_ready(c->oip->opt.service, &spec, c->http->arena, &ready, &c->st);
    if (rc)
        return rc;
    sl_chain *out = &c->http->reply;
    c->http->status = ready ? 200 : 503;
    sl_chain_puts(out, "{\"name\":");
    sl_json_encode_string(c->route.model, out);
    sl_chain_printf(out, ",\"ready\":%s}", ready ? "true" : "false");
    return SL_OK;
}

static sl_code put_metadata(sl_oip_call *c, const sl_model_spec *spec)
{
    int64_t *versions;
    int n;
    sl_code rc = sl_predict_resolve_version(&c->predict, spec);
    if (rc == SL_OK)
        rc = sl_oip_versions(c->oip->opt.service, spec, c->http->arena, &versions, &n, &c->st);
    if (rc)
        return rc;
    return sl_oip_json_encode_metadata(c->route.model, versions, n,
                                       sl_oip_main_signature(c->predict.version), &c->http->reply,
                                       &c->st);
}

static void described(sl_predict *p, sl_code rc)
{
    sl_oip_call *c = (sl_oip_call *)((char *)p - offsetof(sl_oip_call, predict));
    sl_oip_finish(c, rc ? rc : put_metadata(c, &c->spec));
}

static void model_metadata(sl_oip_call *c)
{
    sl_code rc = sl_oip_spec(c->route.model, c->route.version, c->http, &c->spec, &c->st);
    if (rc) {
        sl_oip_finish(c, rc);
        return;
    }
    sl_predict_init(&c->predict, c->oip->opt.service, c->http->arena, &c->st);
    if (!sl_predict_await(&c->predict, &c->spec, described))
        described(&c->predict, SL_OK);
}

static sl_code index_of_models(sl_oip_call *c)
{
    const sl_oip_options *o = &c->oip->opt;
    sl_oip_model *models;
    size_t n;
    bool ready;
    sl_code rc = sl_oip_check_body(c);
    if (rc == SL_OK)
        rc = sl_oip_json_decode_index(c->http->body, c->http->arena, &ready, &c->st);
    if (rc == SL_OK)
        rc = sl_oip_index(o->service, o->guard, &c->admission, ready, c->http->arena, &models, &n,
                          &c->st);
    if (rc == SL_OK)
        sl_oip_json_encode_index(models, n, &c->http->reply);
    return rc;
}

static void index_on_worker(sl_job *job, sl_code verdict)
{
    sl_oip_call *c = (sl_oip_call *)((char *)job - offsetof(sl_oip_call, job));
    sl_oip_finish(c, verdict ? sl_oip_too_late(c, verdict) : index_of_models(c));
}

static void changed(sl_oip_change *change, sl_code rc)
{
    sl_oip_finish((sl_oip_call *)((char *)change - offsetof(sl_oip_call, change)), rc);
}

static void change(sl_oip_call *c, bool load)
{
    c->change =
        (sl_oip_change){.model = c->route.model, .load = load, .st = &c->st, .done = changed};
    sl_code rc = sl_oip_changer_submit(&c->oip->changer, &c->change);
    if (rc)
        sl_oip_finish(c, rc);
}

/* ---- the way in ---- */

static void take_id(sl_oip_call *c)
{
    const sl_str *id = sl_http_header_find(c->http, "x-request-id");
    if (id != NULL && sl_request_id_is_sane(*id)) {
        c->id = *id;
        return;
    }
    char *made = sl_arena_alloc(c->http->arena, 17);
    sl_request_id_make(made);
    c->id = (sl_str){made, 16};
}

/* Who is it, and may they? Liveness and readiness are for anybody, as a rule. */
static sl_code let_in(sl_guard *g, const sl_http_call *call, const sl_oip_route *route,
                      sl_admission *a, sl_status *st)
{
    static const sl_permission needed[] = {[SL_OIP_MODEL] = SL_MAY_METADATA,
                                           [SL_OIP_MODEL_READY] = SL_MAY_STATUS,
                                           [SL_OIP_INFER] = SL_MAY_PREDICT,
                                           [SL_OIP_UNLOAD] = 0};
    sl_code rc = sl_guard_identify(g, call, a, st);
    if ((route->kind == SL_OIP_LIVE || route->kind == SL_OIP_READY) &&
        (rc == SL_OK || !sl_guard_closes_health(g)))
        return sl_guard_may(g, a, SL_MAY_HEALTH, SL_STR(""), SL_STR(""), st);
    if (rc == SL_OK && (route->kind == SL_OIP_SERVER || route->kind == SL_OIP_INDEX))
        return sl_guard_may_something(g, a, st);
    if (rc == SL_OK && (route->kind == SL_OIP_LOAD || route->kind == SL_OIP_UNLOAD))
        return sl_guard_may_administer(g, a, call, st);
    if (rc || needed[route->kind] == 0)
        return rc;
    return sl_guard_may(g, a, needed[route->kind], route->model, SL_STR(""), st);
}

/* ... and how much already. */
static sl_code admit(sl_oip_call *c)
{
    sl_guard *g = c->oip->opt.guard;
    if (g == NULL)
        return SL_OK;
    sl_code rc = let_in(g, c->http, &c->route, &c->admission, &c->st);
    bool counts = c->route.kind == SL_OIP_INFER || c->route.kind == SL_OIP_MODEL ||
                  c->route.kind == SL_OIP_MODEL_READY;
    return rc || !counts ? rc : sl_guard_count(g, &c->admission, c->route.model, &c->st);
}

int sl_oip_on_head(sl_oip *o, sl_http_call *call, const char **message)
{
    sl_oip_route route;
    sl_admission a;
    sl_status st;
    sl_oip_route_parse(call->method, call->path, call->arena, &route);
    sl_code rc = let_in(o->opt.guard, call, &route, &a, &st);
    sl_guard_leave(o->opt.guard, &a);
    if (rc == SL_OK)
        return 0;
    *message = sl_arena_try_strndup(call->arena, st.msg, strlen(st.msg));
    return sl_rest_http_status(rc);
}

static bool is_health(sl_oip_kind k)
{
    return k == SL_OIP_LIVE || k == SL_OIP_READY;
}

static void serve(sl_oip_call *c)
{
    switch (c->route.kind) {
    case SL_OIP_SERVER:
        server_metadata(c);
        return;
    case SL_OIP_LIVE:
        say(c, "live", true);
        return;
    case SL_OIP_READY:
        server_ready(c);
        return;
    case SL_OIP_MODEL:
        model_metadata(c);
        return;
    case SL_OIP_MODEL_READY:
        sl_oip_finish(c, model_ready(c));
        return;
    case SL_OIP_INFER:
        sl_oip_infer(c);
        return;
    case SL_OIP_INDEX:
        if (!sl_oip_hand_over(c, index_on_worker))
            sl_oip_finish(c, index_of_models(c));
        return;
    case SL_OIP_LOAD:
    case SL_OIP_UNLOAD:
        change(c, c->route.kind == SL_OIP_LOAD);
        return;
    case SL_OIP_WRONG_METHOD:
        sl_oip_finish(c, sl_fail(&c->st, SL_INVALID_ARGUMENT, "%s is not for this path",
                                 method_names[c->http->method]));
        return;
    case SL_OIP_NO_MEMORY:
        sl_oip_finish(c, sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: name of a model"));
        return;
    default: /* SL_OIP_UNKNOWN */
        sl_oip_finish(c, sl_fail_in(c->http->arena, &c->st, SL_NOT_FOUND,
                                    "there is nothing at %.*s", SL_STR_ARG(c->http->path)));
        return;
    }
}

void sl_oip_on_call(sl_oip *o, sl_http_call *call)
{
    sl_oip_call *c = sl_arena_alloc(call->arena, sizeof *c);
    memset(c, 0, sizeof *c);
    c->oip = o;
    c->http = call;
    c->loop = pthread_self();
    call->status = 200;
    take_id(c);
    sl_oip_route_parse(call->method, call->path, call->arena, &c->route);
    sl_code rc = admit(c);
    if (rc == SL_OK && !is_health(c->route.kind) &&
        !atomic_load_explicit(o->opt.started, memory_order_acquire))
        rc = sl_fail(&c->st, SL_UNAVAILABLE, "server is starting: models are loading");
    if (rc)
        sl_oip_finish(c, rc);
    else
        serve(c);
}
