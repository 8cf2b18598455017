/*
 * conn.c - a connection from its first event to its end, whatever it speaks
 *
 * One function drives everything: advance() takes the steps that are possible (http1.c) until there
 * are none, and leaves the connection waiting for events and a time. It is entered with c->busy
 * set. HTTP/2 is handed over to http2.c when it is recognised, and what comes before the first
 * request to conn_proxy.c and conn_tls.c.
 *
 * Time-outs: c->due_ns moves with every step, the timer itself only when it would be too late.
 */
#include <assert.h>
#include <errno.h>

#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"

#define LINGER_NS 5000000000u
#define FRESH_NS 1000000000u /* of a connection that has just been opened */
enum { LINGER_BYTES = 64 << 20, MOVED_ON = 512 };

/* ---- time ---- */

void sl_conn_set_due(sl_conn *c, uint64_t due_ns)
{
    c->due_ns = due_ns;
    if (due_ns != UINT64_MAX && (!sl_timer_runs(&c->timer) || c->timer.due_ns > due_ns))
        sl_timer_start(c->shard->loop, &c->timer, due_ns);
}

sl_conn *sl_conn_due(sl_timer *t)
{
    sl_conn *c = (sl_conn *)((char *)t - offsetof(sl_conn, timer));
    if (c->due_ns == UINT64_MAX)
        return NULL;
    if (c->due_ns <= sl_loop_now(c->shard->loop))
        return c;
    sl_timer_start(c->shard->loop, t, c->due_ns);
    return NULL;
}

static uint64_t from_now(const sl_conn *c, uint64_t ns)
{
    return ns ? sl_loop_now(c->shard->loop) + ns : UINT64_MAX;
}

void sl_conn_watch_rate(sl_conn *c)
{
    c->grace = true;
    c->moved = 0;
    sl_conn_set_due(c, sl_conn_limits(c)->min_rate ? from_now(c, SL_RATE_WINDOW_NS) : UINT64_MAX);
}

/* At the end of a window: fast enough? */
static bool keeps_up(sl_conn *c)
{
    bool ok =
        c->grace || c->moved >= sl_conn_limits(c)->min_rate * (SL_RATE_WINDOW_NS / 1000000000u);
    c->grace = false;
    c->moved = 0;
    sl_conn_set_due(c, from_now(c, SL_RATE_WINDOW_NS));
    return ok;
}

static bool borrow_exchange(sl_conn *c)
{
    if (c->x == NULL && (c->x = sl_exchange_take(c->shard)) != NULL)
        c->x->conn = c;
    return c->x != NULL;
}

void sl_conn_return_exchange(sl_conn *c)
{
    if (c->x != NULL)
        sl_exchange_give(c->shard, c->x);
    c->x = NULL;
}

/* ---- the end ---- */

void sl_conn_give_up(sl_conn *c)
{
    c->gone = true;
    if (c->state == SL_CONN_SEND)
        sl_http1_report(c, true);
    if (c->state != SL_CONN_CALL)
        c->state = SL_CONN_DEAD;
}

void sl_conn_close(sl_conn *c)
{
    sl_shard *s = c->shard;
    sl_watch_stop(&c->watch);
    sl_timer_stop(&c->timer);
    sl_conn_handshake_over(c);
    sl_conn_handshake_forget(c);
    sl_ring_leave(&c->crowd);
    sl_ring_leave(&c->later);
    sl_crowd_forgive(c);
    sl_conn_let_out(c);
    sl_chain_reset(&c->out);
    sl_conn_return_exchange(c);
    if (c->h2 != NULL)
        sl_h2_free(c);
    sl_io_close(&c->io);
    if (s->to_drain == c)
        s->to_drain = c->next;
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
    sl_conn_return_exchange(c);
    c->state = SL_CONN_LINGER;
    c->moved = 0;
    sl_conn_set_due(c, from_now(c, LINGER_NS));
}

static void linger(sl_conn *c)
{
    ssize_t n = sl_io_read(&c->io, c->shard->scratch, SL_SCRATCH_SIZE);
    if (n > 0)
        c->moved += (uint64_t)n;
    if (n == 0 || (n < 0 && errno != EAGAIN) || c->moved > LINGER_BYTES)
        c->state = SL_CONN_DEAD;
}

/* ---- input ---- */

static char *room_to_read(sl_conn *c, size_t *n)
{
    sl_exchange *x = c->x;
    if (c->state == SL_CONN_BODY)
        return sl_body1_room(x, sl_conn_limits(c), n);
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
        sl_http1_fail(c, 503, SL_HTTP_NO_ROOM);
        return;
    }
    ssize_t n = sl_io_read(&c->io, to, SL_MIN(room, (size_t)SL_TURN_SIZE));
    if (n > 0)
        arrived(c, (size_t)n);
    else if (n == 0 || errno != EAGAIN)
        sl_conn_give_up(c);
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
    const sl_http_limits *l = sl_conn_limits(c);
    if (c->x != NULL && c->x->start != c->x->end) {
        sl_conn_set_due(c, l->head_timeout_ns ? c->x->call.started_ns + l->head_timeout_ns
                                              : UINT64_MAX);
        return;
    }
    sl_conn_return_exchange(c);
    if (!c->shard->draining)
        sl_conn_set_due(c, from_now(c, l->idle_timeout_ns));
    else if (c->fresh && sl_loop_now(c->shard->loop) < c->opened_ns + FRESH_NS)
        sl_conn_set_due(c, c->opened_ns + FRESH_NS); /* a first request follows closely */
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
    uint32_t events = c->state == SL_CONN_CALL ? c->listens : SL_LISTEN_EVENTS;
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
        sl_conn_give_up(c);
    else if (!blocked && c->out.size > 0)
        sl_conn_watch_rate(c); /* replies of a batch, and its last request is not answered yet */
}

static void advance(sl_conn *c)
{
    do {
        while (sl_http1_step(c))
            ;
        /* A filter may hold bytes of which the socket will not tell. */
    } while (more_in_filter(c));
    if (c->state == SL_CONN_HTTP2) {
        sl_h2_advance(c);
        return;
    }
    if (c->away != NULL)
        return;
    if (c->state != SL_CONN_DEAD)
        flush(c);
    c->shard->scratch_n = 0;
    if (c->state != SL_CONN_DEAD)
        settle(c);
    c->busy = false;
    if (c->state == SL_CONN_DEAD)
        sl_conn_close(c);
}

/* ---- turns ---- */

static void go_on(sl_conn *c)
{
    if (c->h2 != NULL) {
        sl_h2_advance(c);
    } else {
        c->busy = true;
        advance(c);
    }
}

void sl_turn_begin(sl_shard *s)
{
    assert(!s->in_turn); /* the loop tells one thing after the other */
    s->in_turn = true;
}

void sl_turn_end(sl_shard *s)
{
    for (sl_ring *r; (r = sl_ring_first(&s->later)) != NULL;) {
        sl_ring_leave(r);
        go_on(SL_OF(sl_conn, later, r));
    }
    s->in_turn = false;
}

void sl_conn_go_on(sl_conn *c)
{
    sl_shard *s = c->shard;
    if (s->in_turn) {
        sl_ring_join(&s->later, &c->later);
        return;
    }
    sl_turn_begin(s);
    go_on(c);
    sl_turn_end(s);
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
    if (!c->busy)
        sl_conn_go_on(c);
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
        sl_conn_give_up(c);
    else if (c->out.size == 0 && c->state == SL_CONN_SEND)
        sl_http1_reply_done(c);
}

static void ready(sl_watch *w, uint32_t events)
{
    sl_conn *c = (sl_conn *)((char *)w - offsetof(sl_conn, watch));
    sl_shard *s = c->shard;
    sl_turn_begin(s);
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
    sl_turn_end(s);
}

/* Output waits for the client, or a head or a body does not come. */
static void timed_out(sl_conn *c)
{
    if (c->state == SL_CONN_PROXY)
        c->state = SL_CONN_DEAD;
    else if (c->state == SL_CONN_HANDSHAKE)
        sl_conn_handshake_late(c);
    else if (c->state == SL_CONN_LINGER || (c->state == SL_CONN_HEAD && c->x == NULL))
        c->state = SL_CONN_DEAD;
    else if (c->out.size > 0) {
        if (!keeps_up(c)) {
            sl_io_give_up(&c->io);
            sl_conn_give_up(c);
        }
        if (c->state == SL_CONN_CALL && c->gone)
            with_handler(c, 0);
    } else if (c->state == SL_CONN_HEAD)
        sl_http1_fail(c, 408, "request head did not arrive in time");
    else if (c->state == SL_CONN_BODY && !keeps_up(c))
        sl_http1_fail(c, 408, "request body arrives too slowly");
}

static void due(sl_timer *t)
{
    sl_conn *c = sl_conn_due(t);
    if (c == NULL)
        return;
    sl_shard *s = c->shard;
    sl_turn_begin(s);
    c->busy = true;
    timed_out(c);
    advance(c);
    sl_turn_end(s);
}

void sl_conn_cut(sl_conn *c)
{
    c->busy = true;
    sl_io_give_up(&c->io);
    sl_conn_give_up(c);
    sl_chain_reset(&c->out);
    if (c->state == SL_CONN_CALL)
        with_handler(c, 0);
    advance(c);
}

/* A request may have been sent before the client can know that we end: it is looked for. */
void sl_conn_drain(sl_conn *c)
{
    if (c->away != NULL)
        return; /* when it is back */
    if (c->state == SL_CONN_HTTP2)
        sl_h2_drain(c);
    else if (c->shard->draining && (c->state == SL_CONN_HANDSHAKE || c->state == SL_CONN_PROXY))
        sl_conn_set_due(c, SL_MIN(c->due_ns, c->opened_ns + FRESH_NS));
    else if (c->shard->draining && c->state == SL_CONN_HEAD && c->x == NULL)
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
    if (borrow_exchange(c))
        sl_http1_refuse(c, status, message);
    else
        c->state = SL_CONN_DEAD;
}

void sl_conn_begin(sl_conn *c)
{
    bool tls = sl_conn_options(c)->tls != NULL;
    c->opened_ns = sl_loop_now(c->shard->loop);
    c->fresh = !tls;
    c->state = tls ? SL_CONN_HANDSHAKE : SL_CONN_HEAD;
    sl_conn_set_due(c, from_now(c, tls ? sl_conn_limits(c)->handshake_timeout_ns
                                       : sl_conn_limits(c)->idle_timeout_ns));
}

void sl_conn_open(sl_conn *c)
{
    const sl_http_options *o = sl_conn_options(c);
    c->watch = (sl_watch){.fd = c->io.fd, .ready = ready};
    c->timer = (sl_timer){.fire = due};
    if (!sl_conn_let_in(c) ||
        sl_watch_start(c->shard->loop, &c->watch, SL_LISTEN_EVENTS, NULL) != SL_OK) {
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
            sl_conn_set_due(c, from_now(c, SL_MIN(sl_conn_limits(c)->head_timeout_ns,
                                                  sl_conn_limits(c)->idle_timeout_ns)));
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
