/*
 * http2_stream.c - a stream as long as it lives: its memory, its replies, its end
 *
 * How a request comes is in http2_request.c. A handler's reply is handed to nghttp2 at once
 * (http2_reply.c), and leaves when the connection's turn ends.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"

enum {
    ARENA_RESERVE = 4096,
    OF_NGHTTP2 = 512,   /* its stream, and where that is found */
    UNSENT = 256 * 1024 /* of a stream: beyond it, its client gets no new window */
};

/* ---- memory ---- */

void sl_h2_stream_free(sl_h2_stream *s)
{
    sl_head_fini(&s->head);
    sl_arena_fini(&s->arena);
    sl_buffer_release(s->small);
    sl_chain_reset(&s->call.reply);
    sl_chain_reset(&s->call.head);
    sl_chain_reset(&s->call.trailers);
    sl_chain_reset(&s->out);
    sl_body_reset(&s->body);
    sl_body_reset(&s->decoded);
    sl_free(s->spare);
    sl_free(s);
}

static sl_h2_stream *take(sl_shard *shard)
{
    sl_h2_stream *s = shard->streams;
    if (s != NULL) {
        shard->streams = s->next;
        shard->n_streams--;
    } else if ((s = sl_try_calloc(1, sizeof *s)) == NULL) {
        return NULL;
    } else if (sl_arena_init(&s->arena, ARENA_RESERVE) != SL_OK) {
        sl_free(s);
        return NULL;
    }
    if (s->spare == NULL && (s->spare = sl_try_malloc(sizeof *s->spare + SL_SPARE_PIECE)) != NULL)
        *s->spare = (sl_piece){.data = (char *)(s->spare + 1), .cap = SL_SPARE_PIECE};
    if (s->spare != NULL)
        return s;
    sl_h2_stream_free(s);
    return NULL;
}

/* Back to the pool, with the memory that the next one needs, too. */
static void give(sl_shard *shard, sl_h2_stream *s)
{
    sl_chain_reset(&s->call.reply);
    sl_chain_reset(&s->call.head);
    sl_chain_reset(&s->call.trailers);
    sl_chain_reset(&s->out);
    sl_arena_reset(&s->arena);
    sl_body_reset(&s->body);
    sl_body_reset(&s->decoded);
    sl_head_reset(&s->head);
    if (shard->n_streams >= SL_H2_POOLED || s->head.cap > 256) {
        sl_h2_stream_free(s);
        return;
    }
    if (s->small != NULL && __atomic_load_n(&s->small->refs, __ATOMIC_ACQUIRE) > 1) {
        sl_buffer_release(s->small);
        s->small = NULL;
    }
    sl_h2_stream kept = {.head = s->head, .arena = s->arena, .small = s->small, .spare = s->spare};
    *s = kept;
    s->next = shard->streams;
    shard->streams = s;
    shard->n_streams++;
}

/* The client's part of it decides: a head of 64 KB may come as twenty bytes. Bodies have a budget
 * of their own, and replies are in h->unsent. */
void sl_h2_stream_owe(sl_h2_stream *s)
{
    size_t bytes = sizeof *s + SL_SPARE_PIECE + SL_H2_SMALL + OF_NGHTTP2 +
                   SL_MAX(s->arena.used, (size_t)ARENA_RESERVE) +
                   (size_t)s->head.cap * sizeof *s->head.headers;
    s->conn->h2->owed += bytes - s->owes;
    s->owes = bytes;
}

void sl_h2_stream_forgive(sl_h2_stream *s)
{
    s->conn->h2->owed -= s->owes;
    s->owes = 0;
}

/* ---- begin and end ---- */

sl_h2_stream *sl_h2_stream_open(sl_h2 *h, int32_t id)
{
    sl_conn *c = h->conn;
    sl_h2_stream *s = take(c->shard);
    if (s == NULL)
        return NULL;
    sl_chain reply = {.head = s->spare, .tail = s->spare};
    s->spare = NULL;
    s->conn = c;
    s->id = id;
    s->head.version = 20;
    s->body.budget = s->decoded.budget = c->shard->server->shared;
    s->call = (sl_http_call){.status = 200,
                             .version = 20,
                             .reply = reply,
                             .loop = c->shard->loop,
                             .arena = &s->arena,
                             .body = {"", 0},
                             .peer = {c->peer, c->peer_n},
                             .listener = c->shard->server->opts.listener,
                             .tls = sl_tls_peer_of(&c->io),
                             .started_ns = sl_loop_now(c->shard->loop),
                             .reserved = {s}};
    s->next = h->streams;
    s->prev = &h->streams;
    if (s->next != NULL)
        s->next->prev = &s->next;
    h->streams = s;
    h->n_streams++;
    sl_h2_stream_owe(s);
    return s;
}

/* For the access log. Of a request that never was complete nothing is said. */
static void report(sl_h2_stream *s)
{
    const sl_http_options *o = sl_conn_options(s->conn);
    bool given_up = !s->whole || s->conn->h2->gone;
    if (o->on_done != NULL && (s->handed || s->failed))
        o->on_done(s->failed ? NULL : &s->call, s->call.status, given_up ? 0 : s->sent, o->arg);
}

void sl_h2_stream_settle(sl_h2_stream *s)
{
    sl_h2 *h = s->conn->h2;
    if (!s->closed || (s->handed && !s->replied) || s->queued > 0)
        return;
    assert(!s->busy); /* handlers are called from inside: what closes streams waits for that */
    report(s);
    if (s->whole)
        sl_h2_count_answer(h);
    *s->prev = s->next;
    if (s->next != NULL)
        s->next->prev = s->prev;
    h->n_streams--;
    sl_h2_stream_forgive(s);
    assert(h->n_streams > 0 || h->owed == 0);
    h->active_ns = sl_loop_now(s->conn->shard->loop);
    give(s->conn->shard, s);
}

static void cancel(sl_h2_stream *s)
{
    sl_http_call *call = &s->call;
    if (!s->handed || s->replied)
        return;
    atomic_store(&call->cancelled, true);
    if (call->on_cancel == NULL)
        return;
    s->busy = true;
    call->on_cancel(call);
    s->busy = false;
}

static void stop_waiting(sl_h2_stream *s)
{
    sl_h2 *h = s->conn->h2;
    sl_h2_stream **p = &h->waiting;
    while (*p != s)
        p = &(*p)->wait_next;
    *p = s->wait_next;
    if (*p == NULL)
        h->waiting_end = p;
    s->waits = false;
}

/* nghttp2 knows it no more. What is in frames already still has to be written. */
void sl_h2_stream_closed(sl_h2_stream *s)
{
    assert(!s->closed && !s->busy);
    s->closed = true;
    if (s->queued == 0) {
        sl_h2_stream_sent(s, s->out.size);
        sl_chain_reset(&s->out);
    }
    if (s->waits)
        stop_waiting(s);
    cancel(s);
    sl_h2_stream_settle(s);
}

void sl_h2_streams_gone(sl_h2 *h)
{
    sl_h2_stream *s = h->streams;
    while (s != NULL) {
        sl_h2_stream *next = s->next;
        bool closed = s->closed;
        int n = h->n_streams;
        if (closed)
            sl_h2_stream_settle(s); /* what waited to be written does not any more */
        else
            sl_h2_stream_closed(s);
        /* Who hears of it may have answered others, too, and `next` be gone. */
        s = closed && h->n_streams == n ? next : h->streams;
    }
}

/* ---- windows ---- */

/* The client may send again what the handler of on_data has done with, unless it does not read. */
void sl_h2_stream_renew_window(sl_h2_stream *s)
{
    if (s->unconsumed == 0 || s->paused || s->closed || s->out.size > UNSENT)
        return;
    nghttp2_session_consume_stream(s->conn->h2->session, s->id, s->unconsumed);
    s->unconsumed = 0;
}

void sl_h2_stream_sent(sl_h2_stream *s, size_t n)
{
    s->moved_out += n;
    s->conn->h2->unsent -= n;
    sl_h2_stream_renew_window(s);
}

/* ---- replies ---- */

static void advance(sl_conn *c)
{
    if (!c->h2->inside)
        sl_conn_go_on(c);
}

/* The handler, or we in its place, has said what there is to say. The client may be slow to take
 * it: the request need not be kept for so long. */
void sl_h2_stream_finish(sl_h2_stream *s)
{
    s->call.body = (sl_str){"", 0};
    s->call.body_buffer = NULL;
    sl_body_reset(&s->body);
    sl_body_reset(&s->decoded);
    if (s->closed)
        sl_h2_stream_settle(s);
    else
        sl_h2_reply_submit(s, true);
}

void sl_h2_reply(sl_http_call *call)
{
    sl_h2_stream *s = call->reserved[0];
    sl_conn *c = s->conn;
    assert(s->handed && !s->replied && sl_loop_is_mine(c->shard->loop));
    s->replied = true;
    sl_h2_stream_owe(s);
    if (s->busy)
        return;
    bool inside = c->h2->inside;
    c->h2->inside = true; /* who hears of the end may answer others: they leave with this one */
    sl_h2_stream_finish(s);
    c->h2->inside = inside;
    advance(c);
}

void sl_http_send(sl_http_call *call)
{
    sl_h2_stream *s = call->reserved[0];
    assert(call->version == 20 && s->handed && !s->replied &&
           sl_loop_is_mine(s->conn->shard->loop));
    if (s->closed) {
        sl_chain_reset(&call->reply);
        return;
    }
    call->pack_min = 0;
    sl_h2_reply_submit(s, false);
    advance(s->conn);
}

void sl_http_pause(sl_http_call *call, bool paused)
{
    sl_h2_stream *s = call->reserved[0];
    assert(call->version == 20);
    s->paused = paused;
    sl_h2_stream_renew_window(s);
    if (!s->busy)
        advance(s->conn);
}

bool sl_h2_charge(sl_http_call *call, size_t bytes)
{
    sl_h2_stream *s = call->reserved[0];
    return sl_body_charge(&s->decoded, bytes);
}

size_t sl_http_unsent(const sl_http_call *call)
{
    const sl_h2_stream *s = call->version == 20 ? call->reserved[0] : NULL;
    return s ? s->out.size : 0;
}

void sl_h2_stream_fail(sl_h2_stream *s, int status, const char *message)
{
    const sl_http_options *o = sl_conn_options(s->conn);
    sl_http_call *call = &s->call;
    assert(!s->handed && !s->replied);
    s->failed = s->replied = s->drop = true;
    call->status = status;
    call->content_type = NULL;
    message = sl_head_with_limit(&s->arena, sl_conn_limits(s->conn), status, message);
    if (o->on_refused != NULL)
        o->on_refused(call, status, message, o->arg);
    if (o->on_call_error == NULL || !o->on_call_error(call, status, message, o->arg)) {
        o->on_error(status, message, &call->reply, &call->content_type, o->arg);
        if (status == 503)
            sl_chain_puts(&call->head, "Retry-After: 1\r\n");
    }
    sl_body_reset(&s->body);
    sl_h2_stream_finish(s);
}

/* ---- rates ---- */

/* Called at the end of each window: what was waited for during all of it must have moved. */
void sl_h2_streams_rate(sl_h2 *h)
{
    const sl_http_limits *l = sl_conn_limits(h->conn);
    uint64_t least = l->min_rate * (SL_RATE_WINDOW_NS / 1000000000u);
    for (sl_h2_stream *s = h->streams, *next; s != NULL; s = next) {
        next = s->next;
        bool in = s->head_done && !s->end_in && !s->handed && !s->replied, out = s->out.size > 0;
        bool slow_in = in && s->old_in && s->moved_in < least;
        bool slow_out = out && s->old_out && s->moved_out < least;
        s->old_in = in;
        s->old_out = out;
        s->moved_in = s->moved_out = 0;
        if (slow_in)
            sl_h2_stream_fail(s, 408, "request body arrives too slowly");
        else if (slow_out && !s->closed)
            nghttp2_submit_rst_stream(h->session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_CANCEL);
    }
}
