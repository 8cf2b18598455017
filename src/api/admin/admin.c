/* admin.c - see admin.h */
#include "api/admin/admin.h"

#include <assert.h>
#include <stdio.h>

#include "base/log.h"
#include "base/mem.h"
#include "codec/examples_json.h"
#include "format/percent.h"

typedef struct admin_call admin_call;
struct admin_call {
    sl_admin *admin;
    sl_http_call *http;
    sl_job job;
    sl_status st;
    sl_code (*answer)(admin_call *c); /* fills in the reply */
    sl_str name;                      /* of a model; n == 0: all */
    char who[96];                     /* asks, for the log */
    unsigned retry_after_s;           /* 0: nobody is told */
};

/* ---- who may come in ---- */

static bool has_identities(sl_guard *guard)
{
    return guard != NULL && sl_guard_has_identities(guard);
}

sl_code sl_admin_check_address(const char *address, sl_guard *guard, sl_status *st)
{
    if (strncmp(address, "unix:", 5) == 0 || sl_address_is_loopback(sl_str_of(address)) ||
        has_identities(guard))
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "admin_address=%s: without identities (--auth_config_file) only a loopback "
                   "address (127.0.0.1:9000, [::1]:9000) or a unix socket (unix:/path): whoever "
                   "reaches it may change everything",
                   address);
}

static sl_code ask_guard(admin_call *c, sl_guard *guard)
{
    sl_admission a;
    if (guard == NULL)
        return SL_OK;
    sl_code rc = sl_guard_identify(guard, c->http, &a, &c->st);
    if (rc == SL_OK)
        rc = sl_guard_may(guard, &a, SL_MAY_ADMIN, SL_STR(""), SL_STR(""), &c->st);
    if (rc == SL_OK)
        snprintf(c->who, sizeof c->who, "%.*s from %.*s", SL_STR_ARG(a.principal),
                 SL_STR_ARG(a.address));
    c->retry_after_s = a.retry_after_s;
    sl_guard_leave(guard, &a);
    return rc;
}

static sl_code check_caller(admin_call *c)
{
    sl_guard *guard = c->admin->opt.rest->opt.guard;
    sl_code rc = sl_guard_refuse_pages(c->http, !has_identities(guard), &c->st);
    return rc ? rc : ask_guard(c, guard);
}

/* ---- answers; on a worker ---- */

static sl_code answer_models(admin_call *c)
{
    sl_manager *m = c->admin->opt.rest->opt.service->manager;
    c->http->content_type = "application/json";
    return sl_admin_write_models(m, c->name, c->http->arena, &c->http->reply, &c->st);
}

static sl_code answer_config(admin_call *c)
{
    const sl_admin_options *o = &c->admin->opt;
    const sl_str *accept = sl_http_header_find(c->http, "accept");
    bool binary = accept != NULL && sl_str_is(*accept, "application/x-protobuf");
    sl_text out = {0};
    sl_code rc = o->current(o->arg, !binary, &out, &c->st);
    c->http->content_type = binary ? "application/x-protobuf" : "text/plain; charset=utf-8";
    sl_chain_add(&c->http->reply, out.n ? out.p : "", out.n);
    sl_text_fini(&out);
    return rc;
}

static bool is_binary(const sl_http_call *call)
{
    const sl_str *type = sl_http_header_find(call, "content-type");
    return type != NULL && (sl_str_starts(*type, "application/x-protobuf") ||
                            sl_str_starts(*type, "application/octet-stream"));
}

/* The report is the body whether it went well or not; the status says which. */
static sl_code answer_reload(admin_call *c)
{
    const sl_admin_options *o = &c->admin->opt;
    sl_http_call *call = c->http;
    sl_text report = {0};
    if (!sl_http_unpack(call))
        return sl_fail(&c->st, SL_UNAVAILABLE, SL_HTTP_NO_ROOM);
    if (call->body_undecodable)
        return sl_fail(&c->st, SL_INVALID_ARGUMENT, "the gzip body cannot be decompressed");
    sl_log(SL_INFO, "configuration posted by %s", c->who[0] ? c->who : "the admin interface");
    sl_code rc = is_binary(call) ? o->reload_wire(o->arg, call->body, &report, &c->st)
                                 : o->reload_text(o->arg, call->body, &report, &c->st);
    bool whole = !report.failed;
    call->status = sl_rest_http_status(rc);
    call->content_type = "application/json";
    sl_chain_add(&call->reply, report.n ? report.p : "", report.n);
    sl_text_fini(&report);
    if (whole)
        return SL_OK;
    return rc ? rc
              : sl_fail(&c->st, SL_RESOURCE_EXHAUSTED,
                        "the configuration is applied; out of memory: the report");
}

/* ---- the way of a call ---- */

static void set_error(admin_call *c, sl_code rc)
{
    sl_chain_reset(&c->http->reply);
    sl_json_encode_error(&c->st, &c->http->reply);
    c->http->status = sl_rest_http_status(rc);
    c->http->content_type = "application/json";
    if (rc == SL_UNAUTHENTICATED)
        sl_chain_puts(&c->http->head, "WWW-Authenticate: Bearer realm=\"sluice\"\r\n");
    if (c->retry_after_s > 0)
        sl_chain_printf(&c->http->head, "Retry-After: %u\r\n", c->retry_after_s);
}

static void refuse(admin_call *c, sl_code rc)
{
    set_error(c, rc);
    sl_http_reply(c->http);
}

static void answer(sl_job *job, sl_code verdict)
{
    admin_call *c = (admin_call *)((char *)job - offsetof(admin_call, job));
    assert(verdict == SL_OK); /* the job has no deadline, and nobody who could leave */
    c->http->status = 200;
    sl_code rc = c->answer(c);
    if (rc == SL_OK && c->http->reply.failed)
        rc = sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: the reply does not fit");
    if (rc)
        set_error(c, rc);
    sl_http_reply_posted(c->http);
}

static void submit(admin_call *c, sl_code (*fn)(admin_call *))
{
    c->answer = fn;
    c->job = (sl_job){.run = answer, .bytes = c->http->body.n};
    sl_code rc = sl_workers_submit(c->admin->opt.workers, &c->job, &c->st);
    if (rc)
        refuse(c, rc);
}

static void wrong_method(admin_call *c, const char *allowed)
{
    sl_fail(&c->st, SL_INVALID_ARGUMENT, "the method must be %s", allowed);
    set_error(c, SL_INVALID_ARGUMENT);
    c->http->status = 405;
    sl_chain_printf(&c->http->head, "Allow: %s\r\n", allowed);
    sl_http_reply(c->http);
}

static void config(admin_call *c)
{
    bool post = c->http->method == SL_HTTP_POST;
    if (!post && c->http->method != SL_HTTP_GET)
        wrong_method(c, "GET, POST");
    else if (!atomic_load(&c->admin->open))
        refuse(c, sl_fail(&c->st, SL_UNAVAILABLE, "the server is starting, or is about to end"));
    else
        submit(c, post ? answer_reload : answer_config);
}

void sl_admin_init(sl_admin *a, const sl_admin_options *opt)
{
    a->opt = *opt;
    atomic_init(&a->open, false);
}

/* What is under /sluice/v1/; false: it is not there. */
static bool route(admin_call *c)
{
    static const char models[] = "/sluice/v1/models";
    const size_t n = sizeof models - 1;
    sl_str path = c->http->path;
    if (sl_str_is(path, "/sluice/v1/config")) {
        config(c);
        return true;
    }
    if (!sl_str_starts(path, models) || (path.n > n && path.p[n] != '/'))
        return false;
    if (path.n > n + 1)
        c->name = (sl_str){path.p + n + 1, path.n - n - 1};
    sl_code rc = sl_percent_decode(&c->name, c->http->arena);
    if (rc == SL_RESOURCE_EXHAUSTED) {
        refuse(c, sl_fail(&c->st, rc, "out of memory: name of a model"));
        return true;
    }
    if (rc)
        return false;
    if (c->http->method == SL_HTTP_GET)
        submit(c, answer_models);
    else
        wrong_method(c, "GET");
    return true;
}

void sl_admin_on_call(sl_http_call *call, void *arg)
{
    sl_admin *a = arg;
    admin_call *c = sl_arena_alloc(call->arena, sizeof *c);
    *c = (admin_call){.admin = a, .http = call};
    /* Probes and metrics are as public here as they are elsewhere. */
    if (!sl_str_starts(call->path, "/sluice/") && sl_rest_probe(a->opt.rest, call))
        return;
    sl_code rc = check_caller(c);
    if (rc)
        refuse(c, rc);
    else if (!route(c))
        refuse(c, sl_fail(&c->st, SL_NOT_FOUND, "there is no %.*s here", SL_STR_ARG(call->path)));
}
