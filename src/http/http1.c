/*
 * http1.c - a connection that speaks HTTP/1.x
 *
 * One function drives everything: advance() does what the state allows with the bytes that are
 * there, request after request, until it needs more bytes, the handler or the socket. It is entered
 * with c->busy set; a handler that replies meanwhile only marks its call, so there is no recursion
 * however many requests a client has sent ahead.
 *
 * Time-outs: c->due_ns moves with every step, the timer itself only when it would be too late.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"

#define LINGER_NS 5000000000u
#define FRESH_NS 1000000000u
enum { LINGER_BYTES = 64 << 20, LISTEN_EVENTS = EPOLLIN | EPOLLRDHUP, MOVED_ON = 512 };

static const sl_http_options *options(const sl_conn *c)
{
    return &c->shard->server->opts;
}

static const sl_http_limits *limits(const sl_conn *c)
{
    return &options(c)->limits;
}

/* ---- time ---- */

static void set_due(sl_conn *c, uint64_t due_ns)
{
    c->due_ns = due_ns;
    if (due_ns != UINT64_MAX && (!sl_timer_runs(&c->timer) || c->timer.due_ns > due_ns))
        sl_timer_start(c->shard->loop, &c->timer, due_ns);
}

static uint64_t from_now(const sl_conn *c, uint64_t ns)
{
    return ns ? sl_loop_now(c->shard->loop) + ns : UINT64_MAX;
}

/* Begins to watch how fast a body comes or a reply goes: the first window is free. */
static void watch_rate(sl_conn *c)
{
    c->grace = true;
    c->moved = 0;
    set_due(c, limits(c)->min_rate ? from_now(c, SL_RATE_WINDOW_NS) : UINT64_MAX);
}

/* At the end of a window: fast enough? */
static bool keeps_up(sl_conn *c)
{
    bool ok = c->grace || c->moved >= limits(c)->min_rate * (SL_RATE_WINDOW_NS / 1000000000u);
    c->grace = false;
    c->moved = 0;
    set_due(c, from_now(c, SL_RATE_WINDOW_NS));
    return ok;
}

/* ---- exchange ---- */

static bool borrow_exchange(sl_conn *c)
{
    if (c->x == NULL && (c->x = sl_exchange_take(c->shard)) != NULL)
        c->x->conn = c;
    return c->x != NULL;
}

static void return_exchange(sl_conn *c)
{
    if (c->x != NULL)
        sl_exchange_give(c->shard, c->x);
    c->x = NULL;
}

/* Takes the reply's first piece back for the next reply, if it is (like) the one that it began
 * with. */
static void keep_spare(sl_exchange *x)
{
    sl_piece *p = x->call.reply.head;
    if (x->spare != NULL || p == NULL || p->cap != SL_SPARE_PIECE)
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

/* ---- the end ---- */

static void report(sl_conn *c, bool given_up)
{
    const sl_http_options *o = options(c);
    sl_http_call *call = &c->x->call;
    if (o->on_done != NULL)
        o->on_done(c->x->failed ? NULL : call, call->status, given_up ? 0 : c->x->sent, o->arg);
}

/* Nothing more can be done for the peer. While a call is with the handler the connection waits for
 * it. */
static void give_up(sl_conn *c)
{
    c->gone = true;
    if (c->state == SL_CONN_SEND)
        report(c, true);
    if (c->state != SL_CONN_CALL)
        c->state = SL_CONN_DEAD;
}

void sl_conn_close(sl_conn *c)
{
    sl_shard *s = c->shard;
    sl_watch_stop(&c->watch);
    sl_timer_stop(&c->timer);
    sl_conn_handshake_over(c);
    sl_ring_leave(&c->crowd);
    sl_crowd_forgive(c);
    sl_conn_let_out(c);
    sl_chain_reset(&c->out);
    return_exchange(c);
    if (c->h2 != NULL)
        sl_h2_free(c);
    sl_io_close(&c->io);
    *c->prev = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    sl_free(c);
    sl_shard_left(s);
}

/* All has been sent. If the client is still sending, closing now would make its kernel throw our
 * reply away unread. */
void sl_conn_end(sl_conn *c)
{
    c->state = SL_CONN_DEAD;
    sl_io_shutdown(&c->io);
    if (!c->unread)
        return;
    return_exchange(c);
    c->state = SL_CONN_LINGER;
    c->moved = 0;
    set_due(c, from_now(c, LINGER_NS));
}

static void linger(sl_conn *c)
{
    ssize_t n = sl_io_read(&c->io, c->shard->scratch, SL_SCRATCH_SIZE);
    if (n > 0)
        c->moved += (uint64_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->moved > LINGER_BYTES)
        c->state = SL_CONN_DEAD;
}

/* ---- replies ---- */

/* The reply has left, or leaves with those behind it. */
static void reply_done(sl_conn *c)
{
    report(c, false);
    finish_exchange(c->x);
    c->state = SL_CONN_HEAD;
    if (c->last)
        sl_conn_end(c);
}

/* The request has been answered: a client that is slow to take the answer need not make us keep it. */
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
    c->last |= !x->head.keep_alive || x->call.close || c->shard->draining;
    c->unread |= c->last && x->raw < x->end;
    c->state = SL_CONN_SEND;
    if (!sl_reply_write(c)) {
        give_up(c);
        return;
    }
    /* Alone, or the last of a batch: out with it. Others wait for those behind them. */
    bool batch = !c->last && x->raw < x->end;
    if (!batch && !sl_reply_flush(c)) {
        give_up(c);
        return;
    }
    if (c->out.size == 0) {
        reply_done(c);
        return;
    }
    let_body_go(x);
    watch_rate(c);
}

/* What was exceeded, where that helps the client: the limit with its number. */
static const char *with_limit(sl_conn *c, int status, const char *message)
{
    const sl_http_limits *l = &options(c)->limits;
    const char *text = NULL;
    if (status == 413)
        text = sl_arena_try_printf(c->x->call.arena, "%s: the limit is %zu bytes", message,
                                   l->max_body);
    else if (status == 431)
        text =
            sl_arena_try_printf(c->x->call.arena, "%s: the limit is %zu bytes and %d header lines",
                                message, l->max_head, l->max_headers);
    return text ? text : message;
}

/* An error that HTTP itself finds: the reply is ours, and the last one. */
static void fail(sl_conn *c, int status, const char *message)
{
    const sl_http_options *o = options(c);
    sl_http_call *call = &c->x->call;
    if (call->started_ns == 0)
        begin_call(c);
    if (call->version == 0)
        call->version = 11; /* the request line was not understood */
    call->status = status;
    call->content_type = NULL;
    call->peer = (sl_str){c->peer, c->peer_n};
    message = with_limit(c, status, message);
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
    call->listener = options(c)->listener;
    call->tls = sl_tls_peer_of(&c->io);
}

/* Refused by the layer above, before the body is read. */
static bool refused(sl_conn *c)
{
    const sl_http_options *o = options(c);
    const char *message = "";
    int status = o->on_head ? o->on_head(&c->x->call, &message, o->arg) : 0;
    if (status != 0)
        fail(c, status, message);
    return status != 0;
}

static void begin_body(sl_conn *c, size_t head_n)
{
    sl_exchange *x = c->x;
    const char *error;
    int status = sl_body1_begin(x, head_n, limits(c), &error);
    fill_call(c);
    if (status != 0) {
        fail(c, status, error);
        return;
    }
    if (refused(c))
        return;
    sl_crowd_serve(c);
    c->state = SL_CONN_BODY;
    if (!x->complete && x->head.expects && x->raw == x->end &&
        !sl_reply_raw(c, "HTTP/1.1 100 Continue\r\n\r\n", 25))
        give_up(c);
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
        return_exchange(c);
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
    ssize_t n =
        sl_head_parse(&x->head, (char *)x->recv->data + x->start, x->end - x->start, limits(c));
    if (n == 0)
        return false;
    if (n > 0) {
        begin_body(c, (size_t)n);
        return true;
    }
    fill_call(c);
    if (call_is_tls(c)) {
        sl_conn_tell_tls_on_plain(c);
        fail(c, 400, "this port speaks plain HTTP, not TLS: use http://");
        return true;
    }
    fail(c, x->head.status, x->head.error);
    return true;
}

static void hand_over(sl_conn *c)
{
    sl_exchange *x = c->x;
    const sl_http_options *o = options(c);
    sl_shard *s = c->shard;
    c->state = SL_CONN_CALL;
    c->due_ns = UINT64_MAX;
    c->listens = LISTEN_EVENTS;
    x->call.complete_ns = sl_loop_now(s->loop);
    atomic_store_explicit(&s->n_calls, atomic_load_explicit(&s->n_calls, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    o->on_call(&x->call, o->arg);
}

static bool read_body(sl_conn *c)
{
    sl_exchange *x = c->x;
    const char *error = "";
    int status = sl_body1_feed(x, limits(c), &error);
    if (status == 0 && !x->complete) {
        if (!x->rated)
            watch_rate(c);
        x->rated = true;
        return false;
    }
    if (status == 0)
        status = sl_body1_finish(x, limits(c), &error);
    if (status != 0)
        fail(c, status, error);
    else
        hand_over(c);
    return true;
}

static bool step(sl_conn *c)
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
            report(c, true);
            c->state = SL_CONN_DEAD;
            return false;
        }
        send_reply(c);
        return true;
    default:
        return false;
    }
}

/* ---- input ---- */

static char *room_to_read(sl_conn *c, size_t *n)
{
    sl_exchange *x = c->x;
    if (c->state == SL_CONN_BODY)
        return sl_body1_room(x, limits(c), n);
    /* Not many bytes left behind a batch: what is there moves to the front. */
    if (!sl_recv_room(x, x->start > 0 ? 2048 : 1))
        return NULL;
    *n = x->recv->size - x->end;
    return (char *)x->recv->data + x->end;
}

static void arrived(sl_conn *c, size_t n)
{
    if (c->state == SL_CONN_BODY)
        sl_body1_arrived(c->x, n);
    else
        c->x->end += n;
    c->moved += n;
    c->moved_on |= n >= MOVED_ON;
    c->fresh = false;
}

static void input(sl_conn *c)
{
    size_t room;
    if (!borrow_exchange(c)) {
        c->state = SL_CONN_DEAD;
        return;
    }
    char *to = room_to_read(c, &room);
    if (to == NULL) {
        fail(c, 503, SL_HTTP_NO_ROOM);
        return;
    }
    ssize_t n = sl_io_read(&c->io, to, room);
    if (n > 0)
        arrived(c, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        give_up(c);
}

static bool more_in_filter(sl_conn *c)
{
    if ((c->state != SL_CONN_HEAD && c->state != SL_CONN_BODY) || c->out.size > 0 ||
        sl_io_buffered(&c->io) == 0)
        return false;
    input(c);
    return true;
}

/* ---- the drive ---- */

/* A connection between two requests, or in the head of one. */
static void settle_head(sl_conn *c)
{
    const sl_http_limits *l = limits(c);
    if (c->x != NULL && c->x->start != c->x->end) {
        set_due(c, l->head_timeout_ns ? c->x->call.started_ns + l->head_timeout_ns : UINT64_MAX);
        return;
    }
    return_exchange(c);
    if (!c->shard->draining)
        set_due(c, from_now(c, l->idle_timeout_ns));
    else if (c->fresh) /* a request follows the handshake closely: it is waited for */
        set_due(c, from_now(c, FRESH_NS));
    else
        c->state = SL_CONN_DEAD;
}

/* What it holds for as long as its client takes. */
static size_t held(const sl_conn *c)
{
    bool begun = c->x != NULL && (c->state == SL_CONN_HEAD || c->state == SL_CONN_BODY);
    return c->out.size + (begun ? sizeof(sl_exchange) + SL_RECV_SIZE + SL_SPARE_PIECE : 0);
}

/* Leaves the connection waiting for what it needs next: events, due time, memory. Output that the
 * socket did not take comes first: until it is gone, nothing is read. */
static void settle(sl_conn *c)
{
    uint32_t events = c->state == SL_CONN_CALL ? c->listens : LISTEN_EVENTS;
    if (c->out.size > 0)
        events = EPOLLOUT | (c->state == SL_CONN_CALL ? events & EPOLLRDHUP : 0);
    else if (c->state == SL_CONN_HEAD)
        settle_head(c);
    if (c->state == SL_CONN_DEAD)
        return;
    if (c->state == SL_CONN_HEAD || c->state == SL_CONN_HANDSHAKE)
        sl_crowd_wait(c);
    sl_crowd_owe(c, held(c), c->moved_on);
    c->moved_on = false;
    if (sl_io_wants_write(&c->io))
        events |= EPOLLOUT;
    sl_watch_change(&c->watch, events);
}

static void flush(sl_conn *c)
{
    bool blocked = c->out.size > 0;
    if (!sl_reply_flush(c))
        give_up(c);
    else if (!blocked && c->out.size > 0)
        watch_rate(c); /* replies of a batch, and its last request is not answered yet */
}

static void advance(sl_conn *c)
{
    do {
        while (step(c))
            ;
        /* A filter may hold bytes of which the socket will not tell. */
    } while (more_in_filter(c));
    if (c->state == SL_CONN_HTTP2) {
        sl_h2_advance(c);
        return;
    }
    if (c->state != SL_CONN_DEAD)
        flush(c);
    c->shard->scratch_n = 0;
    if (c->state != SL_CONN_DEAD)
        settle(c);
    c->busy = false;
    if (c->state == SL_CONN_DEAD)
        sl_conn_close(c);
}

void sl_http_reply(sl_http_call *call)
{
    if (call->version == 20) {
        sl_h2_reply(call);
        return;
    }
    sl_exchange *x = call->reserved[0];
    sl_conn *c = x->conn;
    assert(c->state == SL_CONN_CALL && !x->replied && sl_loop_is_mine(c->shard->loop));
    x->replied = true;
    if (c->busy)
        return;
    c->busy = true;
    advance(c);
}

bool sl_http_charge(sl_http_call *call, size_t bytes)
{
    if (call->version == 20)
        return sl_h2_charge(call, bytes);
    sl_exchange *x = call->reserved[0];
    return sl_body_charge(&x->decoded, bytes);
}

/* ---- events ---- */

static void cancel(sl_http_call *call)
{
    if (atomic_load(&call->cancelled))
        return;
    atomic_store(&call->cancelled, true);
    if (call->on_cancel != NULL)
        call->on_cancel(call);
}

/* The handler has a call. Input is left to the kernel; that the client goes away is not. */
static void with_handler(sl_conn *c, uint32_t events)
{
    if (events & EPOLLIN)
        c->listens = EPOLLRDHUP;
    if (events & EPOLLRDHUP)
        c->listens = 0;
    if (c->gone || events & (EPOLLHUP | EPOLLERR)) {
        c->gone = true;
        sl_watch_stop(&c->watch);
    }
    if (c->gone || events & EPOLLRDHUP)
        cancel(&c->x->call);
}

static void output(sl_conn *c)
{
    if (!sl_reply_resume(c))
        give_up(c);
    else if (c->out.size == 0 && c->state == SL_CONN_SEND)
        reply_done(c);
}

static void ready(sl_watch *w, uint32_t events)
{
    sl_conn *c = (sl_conn *)((char *)w - offsetof(sl_conn, watch));
    c->busy = true;
    if (c->out.size > 0)
        output(c);
    else if (c->state == SL_CONN_LINGER)
        linger(c);
    else if (c->state == SL_CONN_PROXY)
        sl_conn_proxy(c);
    else if (c->state == SL_CONN_HANDSHAKE)
        sl_conn_handshake(c);
    else if (c->state != SL_CONN_CALL)
        input(c);
    if (c->state == SL_CONN_CALL)
        with_handler(c, events);
    advance(c);
}

/* Output waits for the client, or a head or a body does not come. */
static void timed_out(sl_conn *c)
{
    if (c->state == SL_CONN_PROXY)
        c->state = SL_CONN_DEAD;
    else if (c->state == SL_CONN_HANDSHAKE)
        sl_conn_handshake_late(c);
    else if (c->state == SL_CONN_LINGER ||
             (c->state == SL_CONN_HEAD && c->x == NULL && !c->out.size))
        c->state = SL_CONN_DEAD;
    else if (c->out.size > 0) {
        if (!keeps_up(c)) {
            sl_io_give_up(&c->io);
            give_up(c);
        }
        if (c->state == SL_CONN_CALL && c->gone)
            with_handler(c, 0);
    } else if (c->state == SL_CONN_HEAD)
        fail(c, 408, "request head did not arrive in time");
    else if (c->state == SL_CONN_BODY && !keeps_up(c))
        fail(c, 408, "request body arrives too slowly");
}

static void due(sl_timer *t)
{
    sl_conn *c = (sl_conn *)((char *)t - offsetof(sl_conn, timer));
    if (c->due_ns == UINT64_MAX)
        return;
    if (c->due_ns > sl_loop_now(c->shard->loop)) {
        sl_timer_start(c->shard->loop, t, c->due_ns);
        return;
    }
    c->busy = true;
    timed_out(c);
    advance(c);
}

void sl_conn_cut(sl_conn *c)
{
    c->busy = true;
    sl_io_give_up(&c->io);
    give_up(c);
    sl_chain_reset(&c->out);
    if (c->state == SL_CONN_CALL)
        with_handler(c, 0);
    advance(c);
}

/* A request may have been sent before the client can know that we end: it is looked for. */
void sl_conn_drain(sl_conn *c)
{
    if (c->state == SL_CONN_HTTP2)
        sl_h2_drain(c);
    else if (c->shard->draining && (c->state == SL_CONN_HANDSHAKE || c->state == SL_CONN_PROXY))
        set_due(c, SL_MIN(c->due_ns, from_now(c, FRESH_NS)));
    else if (c->shard->draining && c->state == SL_CONN_HEAD && c->x == NULL && c->out.size == 0)
        ready(&c->watch, EPOLLIN);
}

void sl_conn_linger(sl_conn *c)
{
    c->watch.ready = ready;
    c->timer.fire = due;
    c->busy = c->unread = true;
    sl_conn_end(c);
    advance(c);
}

void sl_conn_refuse(sl_conn *c, int status, const char *message)
{
    if (borrow_exchange(c)) {
        begin_call(c);
        fill_call(c);
        fail(c, status, message);
    } else {
        c->state = SL_CONN_DEAD;
    }
}

void sl_conn_begin(sl_conn *c)
{
    bool tls = options(c)->tls != NULL;
    c->state = tls ? SL_CONN_HANDSHAKE : SL_CONN_HEAD;
    set_due(c, from_now(c, tls ? limits(c)->handshake_timeout_ns : limits(c)->idle_timeout_ns));
}

void sl_conn_open(sl_conn *c)
{
    const sl_http_options *o = options(c);
    c->watch = (sl_watch){.fd = c->io.fd, .ready = ready};
    c->timer = (sl_timer){.fire = due};
    if (!sl_conn_let_in(c) ||
        sl_watch_start(c->shard->loop, &c->watch, LISTEN_EVENTS, NULL) != SL_OK) {
        sl_conn_close(c);
        return;
    }
    if (c->refuse && sl_crowd_make_room(c->shard))
        c->refuse = false;
    if (!c->refuse) {
        sl_crowd_wait(c);
        sl_conn_begin(c);
        if (o->is_proxy != NULL && o->is_proxy((sl_str){c->peer, c->peer_n}, o->arg)) {
            c->state = SL_CONN_PROXY;
            set_due(c, from_now(c, SL_MIN(limits(c)->head_timeout_ns, limits(c)->idle_timeout_ns)));
        }
        sl_conn_drain(c);
        return;
    }
    c->busy = true;
    if (o->tls != NULL) /* not worth a handshake */
        c->state = SL_CONN_DEAD;
    else
        sl_conn_refuse(c, 503, "too many connections");
    advance(c);
}
