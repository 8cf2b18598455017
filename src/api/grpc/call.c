/* call.c - see call.h */
#include "api/grpc/call.h"

#include <assert.h>

#include "api/grpc/status.h"
#include "api/rest/rest.h"
#include "base/clock.h"
#include "format/number.h"
#include "metrics/metrics.h"
#include "service/shadow.h"

/* ---- the guard ---- */

sl_code sl_grpc_may(sl_grpc_call *c, sl_permission what, sl_str model, sl_str label)
{
    sl_guard *g = c->grpc->opt.guard;
    if (g == NULL)
        return SL_OK;
    sl_code rc = sl_guard_may(g, &c->admission, what, model, label, &c->st);
    /* A page reaches a port of gRPC through a proxy of gRPC-Web at most, which keeps its Origin. */
    if (rc == SL_OK && what == SL_MAY_ADMIN)
        rc = sl_guard_refuse_pages(c->http, false, &c->st);
    return rc || model.n == 0 ? rc : sl_guard_count(g, &c->admission, model, &c->st);
}

/* ---- versions on demand ---- */

static void resume(sl_grpc_call *c, sl_where where)
{
    if (c->waited)
        sl_grpc_finish(c, c->waited);
    else
        c->method->begin(c, where);
}

static void waited(sl_predict *p, sl_code rc)
{
    sl_grpc_call *c = p->user;
    c->waited = rc;
    if (atomic_fetch_add(&c->turn, 1) == 1)
        resume(c, SL_RUN_HERE); /* a worker; with a code it does not matter */
}

bool sl_grpc_await(sl_grpc_call *c, sl_predict *p, const sl_model_spec *wanted)
{
    if (c->looked)
        return false;
    c->looked = true;
    p->user = c;
    c->waiting = sl_predict_await(p, wanted, waited);
    return c->waiting;
}

bool sl_grpc_unwound(sl_grpc_call *c, sl_where where)
{
    if (!c->waiting)
        return false;
    c->waiting = false;
    if (atomic_fetch_add(&c->turn, 1) == 1)
        resume(c, where);
    return true;
}

/* ---- the end ---- */

static void count(sl_grpc_call *c, sl_code rc, uint64_t total_ns)
{
    if (c->method == NULL || c->method->api == NULL || c->model.p == NULL)
        return; /* what does not decode is counted nowhere, as in the original */
    sl_str counted[] = {c->model, sl_str_of(sl_code_name(rc))};
    sl_cell_add(sl_metric_cell(c->grpc->request_count, counted), 1);
    if (rc)
        return;
    sl_str timed[] = {c->model, sl_str_of(c->method->api), SL_STR("GRPC")};
    sl_cell_sample(sl_metric_cell(c->grpc->request_latency, timed), (double)total_ns / 1000.0);
}

static void log_access(sl_grpc_call *c, sl_code rc, uint64_t total_ns)
{
    const sl_http_call *call = c->http;
    sl_access_entry e = {.id = c->id,
                         .peer = call->peer,
                         .tls = call->tls ? call->tls->version : NULL,
                         .tls_client = call->tls ? call->tls->subject : NULL,
                         .method = SL_STR("POST"),
                         .target = call->target,
                         .model = c->model,
                         .signature = c->signature,
                         .version = c->version,
                         .status = call->status,
                         .grpc_status = sl_code_name(rc),
                         .bytes_in = call->wire_bytes,
                         .bytes_out = call->reply.size,
                         .decode_us = c->decode_ns / 1000,
                         .queue_us = c->queue_ns / 1000,
                         .run_us = c->run_ns / 1000,
                         .encode_us = c->encode_ns / 1000,
                         .total_us = total_ns / 1000,
                         .error = rc ? c->st.msg : NULL};
    sl_access_write(c->grpc->opt.access, &e);
}

static void add_line(sl_chain *lines, const char *name, sl_str value)
{
    sl_chain_puts(lines, name);
    sl_chain_add(lines, value.p, value.n);
    sl_chain_puts(lines, "\r\n");
}

/* The reply's own metadata, before the status. */
static void open_head(sl_grpc_call *c)
{
    sl_http_call *call = c->http;
    call->status = 200;
    call->content_type = "application/grpc";
    add_line(&call->head, "x-request-id: ", c->id);
    sl_chain_puts(&call->head, "grpc-accept-encoding: identity, deflate, gzip\r\n");
    if (c->has_version) {
        char number[SL_NUMBER_ROOM];
        char *end = sl_number_write_int64(number, c->version);
        add_line(&call->head, "x-sluice-version: ", (sl_str){number, (size_t)(end - number)});
    }
    if (c->out != SL_GRPC_IDENTITY)
        add_line(&call->head, "grpc-encoding: ", sl_str_of(sl_grpc_encoding_name(c->out)));
}

static void write_status(sl_grpc_call *c, sl_code rc)
{
    sl_http_call *call = c->http;
    if (c->http_status) { /* not understood as gRPC at all: answered in HTTP's terms */
        call->status = c->http_status;
        call->content_type = NULL;
        if (c->http_status == 405)
            sl_chain_puts(&call->head, "Allow: POST\r\n"); /* RFC 9110, 15.5.6 */
        return;
    }
    if (!c->opened)
        open_head(c);
    sl_grpc_put_status(&call->trailers, rc, &c->st);
    if (rc == SL_RESOURCE_EXHAUSTED && c->admission.retry_after_s > 0)
        sl_chain_printf(&call->trailers, "grpc-retry-pushback-ms: %u000\r\n",
                        c->admission.retry_after_s);
}

void sl_grpc_finish(sl_grpc_call *c, sl_code rc)
{
    sl_http_call *call = c->http;
    sl_grpc *g = c->grpc;
    if (rc) /* of a stream: what has not been sent, which may be a part of a message */
        sl_chain_reset(&call->reply);
    assert(!call->reply.failed); /* sl_grpc_reply_end has looked */
    c->ended = true;
    write_status(c, rc);
    uint64_t total_ns = sl_now_ns() - call->started_ns;
    count(c, rc, total_ns);
    if (g->opt.access != NULL && sl_access_wants(g->opt.access, sl_rest_http_status(rc)))
        log_access(c, rc, total_ns);
    sl_shadow *copy = NULL;
    if (rc == SL_OK && c->method->copy != NULL) /* there is one, then */
        copy = c->method->copy(c);
    if (c->method != NULL && c->method->release != NULL)
        c->method->release(c);
    sl_body_reset(&c->unpacked);
    if (c->admitted)
        sl_guard_leave(g->opt.guard, &c->admission);
    if (c->counted)
        atomic_fetch_sub_explicit(&g->running, 1, memory_order_relaxed);
    if (pthread_equal(c->loop, pthread_self()))
        sl_http_reply(call);
    else
        sl_http_reply_posted(call);
    sl_shadow_start(copy); /* the answer is on its way */
}

void sl_grpc_send(sl_grpc_call *c)
{
    if (!c->opened)
        open_head(c);
    c->opened = true;
    sl_http_send(c->http);
}

/* ---- one message as the reply ---- */

sl_chain *sl_grpc_reply_begin(sl_grpc_call *c, sl_grpc_reply *r)
{
    *r = (sl_grpc_reply){.begin_ns = sl_now_ns()};
    if (c->out != SL_GRPC_IDENTITY)
        return &r->aside;
    r->frame = sl_grpc_frame_begin(&c->http->reply);
    return &c->http->reply;
}

sl_code sl_grpc_reply_end(sl_grpc_call *c, sl_grpc_reply *r, sl_code rc)
{
    if (rc == SL_OK && c->out != SL_GRPC_IDENTITY)
        rc = sl_grpc_frame_join(&c->http->reply, &r->aside, c->out, &c->st);
    else if (rc == SL_OK)
        rc = sl_grpc_frame_end(&c->http->reply, &r->frame, &c->st);
    sl_chain_reset(&r->aside);
    c->encode_ns = sl_now_ns() - r->begin_ns;
    return rc;
}

sl_code sl_grpc_reply_text(sl_grpc_call *c, sl_text *t)
{
    sl_grpc_reply r;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    sl_chain_add(out, t->p, t->n);
    out->failed |= t->failed;
    sl_text_fini(t);
    return sl_grpc_reply_end(c, &r, SL_OK);
}
