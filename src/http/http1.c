/*
 * http1.c - one HTTP/1.x request after the other: head, body, handler, reply
 *
 * sl_http1_step does what the connection's state allows with the bytes that are there; conn.c calls
 * it until it needs more of them, the handler or the socket. A handler that replies meanwhile only
 * marks its call, so there is no recursion however many requests a client has sent ahead.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"

/* ---- exchange ---- */

/* Takes the reply's first piece back for the next reply, if it is (like) the one that it began
 * with. */
static void keep_spare(sl_exchange *x)
{
    sl_piece *p = x->call.reply.head;
    assert(x->spare == NULL); /* begin_call gave it away */
    if (p == NULL || p->cap != SL_SPARE_PIECE)
        return;
    x->call.reply.head = p->next;
    *p = (sl_piece){.data = (char *)(p + 1), .cap = SL_SPARE_PIECE};
    x->spare = p;
}

/* The first bytes of a request are there. */
static void begin_call(sl_conn *c)
{
    sl_exchange *x = c->x;
    sl_chain reply = {.head = x->spare, .tail = x->spare};
    x->spare = NULL;
    x->call = (sl_http_call){.status = 200,
                             .reply = reply,
                             .loop = c->shard->loop,
                             .arena = &x->arena,
                             .body = {"", 0},
                             .started_ns = sl_loop_now(c->shard->loop),
                             .reserved = {x}};
}

/* The request is over: what it held goes, what was received behind it is next. */
static void finish_exchange(sl_exchange *x)
{
    keep_spare(x);
    sl_chain_reset(&x->call.reply);
    sl_chain_reset(&x->call.head);
    sl_arena_reset(&x->arena);
    sl_body_reset(&x->body);
    sl_body_reset(&x->decoded);
    sl_head_reset(&x->head);
    x->chunked = (sl_chunked){0};
    x->start = x->raw;
    if (x->start == x->end && __atomic_load_n(&x->recv->refs, __ATOMIC_ACQUIRE) == 1)
        x->start = x->end = 0;
    x->body_at = x->body_n = x->raw = 0;
    x->dropped = x->sent = 0;
    x->in_place = x->drop = x->direct = x->complete = false;
    x->replied = x->failed = x->rated = false;
    x->call.started_ns = 0;
}

void sl_http1_report(sl_conn *c, bool given_up)
{
    const sl_http_options *o = sl_conn_options(c);
    sl_http_call *call = &c->x->call;
    if (o->on_done != NULL)
        o->on_done(c->x->failed ? NULL : call, call->status, given_up ? 0 : c->x->sent, o->arg);
}

/* ---- replies ---- */

void sl_http1_reply_done(sl_conn *c)
{
    sl_http1_report(c, false);
    finish_exchange(c->x);
    c->state = SL_CONN_HEAD;
    if (c->last)
        sl_conn_end(c);
}

/* The request has been answered: a client that is slow to take the answer need not make us keep
 * it. */
static void let_body_go(sl_exchange *x)
{
    x->call.body = (sl_str){"", 0};
    x->call.body_buffer = NULL;
    sl_body_reset(&x->body);
    sl_body_reset(&x->decoded);
}

/* Sends call->reply. A reply that does not leave at once is waited for in state SEND. */
static void send_reply(sl_conn *c)
{
    sl_exchange *x = c->x;
    c->last |= !x->head.keep_alive || x->call.close || c->shard->leaving || c->shard->draining;
    c->unread |= c->last && x->raw < x->end;
    c->state = SL_CONN_SEND;
    if (!sl_reply_write(c)) {
        sl_conn_give_up(c);
        return;
    }
    /* Alone, or the last of a batch: out with it. Others wait for those behind them. */
    bool batch = !c->last && x->raw < x->end;
    if (!batch && !sl_reply_flush(c)) {
        sl_conn_give_up(c);
        return;
    }
    if (c->out.size == 0) {
        sl_http1_reply_done(c);
        return;
    }
    let_body_go(x);
    sl_conn_watch_rate(c);
}

void sl_http1_fail(sl_conn *c, int status, const char *message)
{
    const sl_http_options *o = sl_conn_options(c);
    sl_http_call *call = &c->x->call;
    if (call->started_ns == 0)
        begin_call(c);
    if (call->version == 0)
        call->version = 11; /* the request line was not understood */
    call->status = status;
    call->content_type = NULL;
    call->peer = (sl_str){c->peer, c->peer_n};
    message = sl_head_with_limit(call->arena, sl_conn_limits(c), status, message);
    if (o->on_refused != NULL)
        o->on_refused(call, status, message, o->arg);
    o->on_error(status, message, &call->reply, &call->content_type, o->arg);
    if (status == 503)
        sl_chain_puts(&call->head, "Retry-After: 1\r\n");
    c->last = c->unread = c->x->failed = true;
    c->x->raw = c->x->end;
    send_reply(c);
}

/* ---- requests ---- */

static void fill_call(sl_conn *c)
{
    sl_exchange *x = c->x;
    sl_http_call *call = &x->call;
    call->method = x->head.method;
    call->target = x->head.target;
    call->path = x->head.path;
    call->version = x->head.version;
    call->headers = x->head.headers;
    call->n_headers = x->head.n_headers;
    call->peer = (sl_str){c->peer, c->peer_n};
    call->listener = sl_conn_options(c)->listener;
    call->tls = sl_tls_peer_of(&c->io);
}

/* Refused by the layer above, before the body is read. */
static bool refused(sl_conn *c)
{
    const sl_http_options *o = sl_conn_options(c);
    const char *message = "";
    int status = o->on_head ? o->on_head(&c->x->call, &message, o->arg) : 0;
    if (status != 0)
        sl_http1_fail(c, status, message);
    return status != 0;
}

static void begin_body(sl_conn *c, size_t head_n)
{
    sl_exchange *x = c->x;
    const char *error;
    int status = sl_body1_begin(x, head_n, sl_conn_limits(c), &error);
    fill_call(c);
    if (status != 0) {
        sl_http1_fail(c, status, error);
        return;
    }
    if (refused(c))
        return;
    sl_crowd_serve(c);
    c->state = SL_CONN_BODY;
    if (!x->complete && x->head.expects && x->raw == x->end &&
        !sl_reply_raw(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        sl_conn_give_up(c);
}

/* Does the connection begin with HTTP/2's preface ("PRI * HTTP/2.0" ...)? Then that goes on with
 * it. False: it is HTTP/1. */
static bool is_http2(sl_conn *c)
{
    const sl_exchange *x = c->x;
    const char *p = (char *)x->recv->data + x->start;
    size_t n = x->end - x->start;
    c->http1 = memcmp(p, NGHTTP2_CLIENT_MAGIC, SL_MIN(n, (size_t)NGHTTP2_CLIENT_MAGIC_LEN)) != 0;
    if (c->http1)
        return false;
    if (n >= NGHTTP2_CLIENT_MAGIC_LEN) {
        c->state = sl_h2_begin(c, p, n) ? SL_CONN_HTTP2 : SL_CONN_DEAD;
        finish_exchange(c->x);
        sl_conn_return_exchange(c);
    }
    return true;
}

/* A TLS handshake where a request line should be. */
static bool call_is_tls(const sl_conn *c)
{
    const sl_exchange *x = c->x;
    return c->io.ops == NULL &&
           sl_tls_looks_like((const char *)x->recv->data + x->start, x->end - x->start);
}

void sl_http1_refuse(sl_conn *c, int status, const char *message)
{
    begin_call(c);
    fill_call(c);
    sl_http1_fail(c, status, message);
}

/* Returns whether there is something to go on with. */
static bool read_head(sl_conn *c)
{
    sl_exchange *x = c->x;
    if (x == NULL || x->start == x->end)
        return false;
    if (x->call.started_ns == 0)
        begin_call(c); /* first: from now on the head's time runs */
    if (!c->http1 && is_http2(c))
        return false;
    ssize_t n = sl_head_parse(&x->head, (char *)x->recv->data + x->start, x->end - x->start,
                              sl_conn_limits(c));
    if (n == 0)
        return false;
    if (n > 0) {
        begin_body(c, (size_t)n);
        return true;
    }
    fill_call(c);
    if (call_is_tls(c)) {
        sl_conn_tell_tls_on_plain(c);
        sl_http1_fail(c, 400, "this port speaks plain HTTP, not TLS: use http://");
        return true;
    }
    sl_http1_fail(c, x->head.status, x->head.error);
    return true;
}

static void hand_over(sl_conn *c)
{
    sl_exchange *x = c->x;
    const sl_http_options *o = sl_conn_options(c);
    sl_shard *s = c->shard;
    c->state = SL_CONN_CALL;
    c->due_ns = UINT64_MAX;
    c->listens = SL_LISTEN_EVENTS;
    x->call.complete_ns = sl_loop_now(s->loop);
    x->call.pack_min = x->head.accepts_gzip ? o->limits.compress_min : 0;
    atomic_store_explicit(&s->n_calls, atomic_load_explicit(&s->n_calls, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    o->on_call(&x->call, o->arg);
}

static bool read_body(sl_conn *c)
{
    sl_exchange *x = c->x;
    const char *error = "";
    int status = sl_body1_feed(x, sl_conn_limits(c), &error);
    if (status == 0 && !x->complete) {
        if (!x->rated)
            sl_conn_watch_rate(c);
        x->rated = true;
        return false;
    }
    if (status == 0)
        status = sl_body1_finish(x, sl_conn_limits(c), &error);
    if (status != 0)
        sl_http1_fail(c, status, error);
    else
        hand_over(c);
    return true;
}

bool sl_http1_step(sl_conn *c)
{
    switch (c->state) {
    case SL_CONN_HEAD:
        return read_head(c);
    case SL_CONN_BODY:
        return read_body(c);
    case SL_CONN_CALL:
        if (!c->x->replied)
            return false;
        if (c->gone) {
            sl_http1_report(c, true);
            c->state = SL_CONN_DEAD;
            return false;
        }
        send_reply(c);
        return true;
    default:
        return false;
    }
}
