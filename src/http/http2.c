/*
 * http2.c - an HTTP/2 connection: its session, its turns, its times
 *
 * A turn is: read what is there, through nghttp2, whose callbacks call handlers; then write what
 * has come of it in one go. A reply that comes later, from a worker, is a turn of its own.
 *
 * Windows: what arrives is taken at once, into a body's buffer, which the budget of the server
 * bounds, or by the handler. So windows are not there to save memory here, and are large enough for
 * one stream to fill a long line (4 MiB on their way: 40 MB/s at 100 ms).
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"

enum {
    STREAM_WINDOW = 4 << 20,
    CONNECTION_WINDOW = 16 << 20,
    READS = SL_TURN_SIZE / SL_SCRATCH_SIZE,
    MOVED_ON = 512,      /* bytes read at once: more than a trickle */
    MAX_ANSWERS = 20000, /* frames of control that wait for a client that does not read */
    ANSWER = 176         /* bytes that nghttp2 takes for each */
};

static uint64_t now_of(const sl_h2 *h)
{
    return sl_loop_now(h->conn->shard->loop);
}

/* ---- the session ---- */

static bool submit_settings(sl_h2 *h)
{
    const sl_http_limits *l = sl_conn_limits(h->conn);
    nghttp2_settings_entry e[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, (uint32_t)l->max_streams},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE,
         l->max_head < UINT32_MAX ? (uint32_t)l->max_head : UINT32_MAX},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    return nghttp2_submit_settings(h->session, NGHTTP2_FLAG_NONE, e, SL_COUNTOF(e)) == 0 &&
           nghttp2_session_set_local_window_size(h->session, NGHTTP2_FLAG_NONE, 0,
                                                 CONNECTION_WINDOW) == 0;
}

static bool new_session(sl_h2 *h)
{
    nghttp2_mem mem = sl_h2_mem(h);
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;
    if (nghttp2_session_callbacks_new(&cb) != 0)
        return false;
    sl_h2_request_callbacks(cb);
    sl_h2_reply_callbacks(cb);
    sl_h2_guard_callbacks(cb);
    bool ok = nghttp2_option_new(&o) == 0;
    if (ok) {
#ifdef SLUICE_NGHTTP2_LIMITS
        /* Ours count what the client gets, too, and say why. */
        nghttp2_option_set_stream_reset_rate_limit(o, UINT32_MAX, UINT32_MAX);
        nghttp2_option_set_max_continuations(o, 1 << 20);
#endif
        nghttp2_option_set_no_auto_window_update(o, 1);
        nghttp2_option_set_no_closed_streams(o, 1);
        nghttp2_option_set_max_outbound_ack(o, MAX_ANSWERS);
        ok = nghttp2_session_server_new3(&h->session, cb, h, o, &mem) == 0;
        nghttp2_option_del(o);
    }
    nghttp2_session_callbacks_del(cb);
    return ok;
}

static bool prepare_shard(sl_shard *s)
{
    if (s->batch == NULL && (s->batch = sl_try_malloc(sizeof *s->batch)) != NULL)
        s->batch->n = 0, s->batch->size = s->batch->bytes_n = 0;
    if (s->reserve == NULL)
        s->reserve = sl_h2_reserve_new();
    return s->batch != NULL && s->reserve != NULL;
}

void sl_h2_free(sl_conn *c)
{
    sl_h2 *h = c->h2;
    sl_h2_out_drop(h);
    nghttp2_session_del(h->session);
    while (h->streams != NULL) {
        sl_h2_stream *s = h->streams;
        h->streams = s->next;
        sl_h2_stream_free(s);
    }
    c->h2 = NULL;
    sl_free(h);
}

/* ---- time ---- */

static uint64_t after(uint64_t from, uint64_t ns)
{
    return ns ? from + ns : UINT64_MAX;
}

static uint64_t idle_due(const sl_h2 *h)
{
    return after(h->active_ns, sl_conn_limits(h->conn)->idle_timeout_ns);
}

/* When something has to be looked at next, if nothing happens until then. */
static uint64_t next_due(sl_h2 *h)
{
    const sl_http_limits *l = sl_conn_limits(h->conn);
    uint64_t due = sl_h2_guard_due(h);
    bool busy = h->n_streams > 0 || h->pending != NULL;
    if (!busy && !h->ending)
        due = SL_MIN(due, idle_due(h));
    if (!busy || l->min_rate == 0)
        h->rate_ns = UINT64_MAX;
    else if (h->rate_ns == UINT64_MAX)
        h->rate_ns = now_of(h) + SL_RATE_WINDOW_NS;
    return SL_MIN(due, h->rate_ns);
}

/* Output waits for the socket, which takes nothing? */
static bool stuck(sl_h2 *h)
{
    uint64_t least = sl_conn_limits(h->conn)->min_rate * (SL_RATE_WINDOW_NS / 1000000000u);
    bool out = h->pending != NULL, slow = out && h->old_out && h->moved_out < least;
    h->old_out = out;
    h->moved_out = 0;
    return slow;
}

static void check_times(sl_h2 *h)
{
    uint64_t now = now_of(h);
    sl_h2_guard_check(h);
    if (h->n_streams == 0 && h->pending == NULL && idle_due(h) <= now)
        sl_h2_goaway(h);
    if (h->rate_ns > now)
        return;
    h->rate_ns = now + SL_RATE_WINDOW_NS;
    if (stuck(h)) {
        sl_io_give_up(&h->conn->io);
        h->gone = true;
    } else {
        sl_h2_streams_rate(h);
    }
}

static void due(sl_timer *t)
{
    sl_conn *c = sl_conn_due(t);
    if (c == NULL)
        return;
    sl_shard *s = c->shard;
    sl_turn_begin(s);
    check_times(c->h2);
    sl_h2_advance(c);
    sl_turn_end(s);
}

/* ---- turns ---- */

static void feed(sl_h2 *h, const char *p, size_t n)
{
    h->inside = true;
    ssize_t rc = nghttp2_session_mem_recv(h->session, (const uint8_t *)p, n);
    h->inside = false;
    h->read_ns = now_of(h);
    /* What the peer did wrong nghttp2 answers with GOAWAY; this is what is beyond that: no memory,
     * or so many frames that it will not even answer. */
    if (rc < 0 || h->starved)
        h->gone = true;
    /* Answers pile up that it does not read. */
    if (h->pending != NULL && nghttp2_session_get_outbound_queue_size(h->session) > MAX_ANSWERS)
        h->gone = true;
}

static void input(sl_conn *c)
{
    sl_h2 *h = c->h2;
    char *to = c->shard->scratch;
    for (int i = 0; i < READS && !h->gone && !h->last_words; i++) {
        ssize_t n = sl_io_read(&c->io, to, SL_SCRATCH_SIZE);
        h->moved_on |= n >= MOVED_ON;
        if (n > 0)
            feed(h, to, (size_t)n);
        else if (n == 0 || errno != EAGAIN)
            h->gone = true;
        if (n < SL_SCRATCH_SIZE && sl_io_buffered(&c->io) == 0)
            return;
    }
}

/* A filter has bytes left of which the socket does not tell (a turn ended before them), or has to
 * write before it can read. */
static bool filter_waits(sl_io *io)
{
    return sl_io_buffered(io) > 0 || sl_io_wants_write(io);
}

static void ready(sl_watch *w, uint32_t events)
{
    sl_conn *c = (sl_conn *)((char *)w - offsetof(sl_conn, watch));
    sl_h2 *h = c->h2;
    sl_shard *s = c->shard;
    sl_turn_begin(s);
    h->inside = true;
    if (h->pending != NULL && events & (EPOLLOUT | EPOLLERR | EPOLLHUP))
        h->gone |= !sl_h2_out_resume(c);
    if (events & (EPOLLIN | EPOLLERR | EPOLLHUP) || filter_waits(&c->io))
        input(c);
    h->inside = false;
    sl_h2_advance(c);
    sl_turn_end(s);
}

/* The peer is gone. The connection stays until the handlers have answered what they hold. */
static void leave(sl_conn *c)
{
    sl_h2 *h = c->h2;
    sl_watch_stop(&c->watch);
    c->due_ns = UINT64_MAX;
    sl_h2_out_drop(h);
    h->inside = true;
    sl_h2_streams_gone(h);
    h->inside = false;
    sl_crowd_forgive(c);
    sl_ring_leave(&c->crowd);
    if (h->n_streams == 0)
        sl_conn_close(c);
}

void sl_h2_cut(sl_conn *c)
{
    sl_io_give_up(&c->io);
    c->h2->gone = true;
    leave(c);
}

/* As a resting connection it may be closed; what its client does not take is owed, answers to its
 * frames among it, and what it has begun and does not send. */
static void join_the_crowd(sl_conn *c)
{
    sl_h2 *h = c->h2;
    size_t held =
        h->unsent + h->owed + nghttp2_session_get_outbound_queue_size(h->session) * (size_t)ANSWER;
    if (h->n_streams == 0)
        sl_crowd_wait(c);
    else
        sl_crowd_serve(c); /* a body is on its way */
    sl_crowd_owe(c, held, held < h->held || h->moved_on);
    h->held = held;
    h->moved_on = false;
}

static void say_no_more(sl_conn *c)
{
    sl_h2 *h = c->h2;
    h->inside = true;
    sl_h2_streams_gone(h);
    h->inside = false;
    if (h->n_streams > 0) { /* handlers have them: the socket need not wait for these */
        sl_io_shutdown(&c->io);
        h->gone = true;
        leave(c);
        return;
    }
    sl_h2_free(c);
    sl_conn_linger(c);
}

/* All is said: the last GOAWAY is out, or nghttp2 has ended the session (in an error of the client
 * it does not wait for streams). Without `more` it has nothing to write. */
static bool is_over(const sl_h2 *h)
{
    return h->pending == NULL && !h->more &&
           (h->last_words || !nghttp2_session_want_read(h->session));
}

void sl_h2_advance(sl_conn *c)
{
    sl_h2 *h = c->h2;
    h->inside = true;
    if (!h->gone && !sl_h2_out(c))
        h->gone = true;
    while (!h->gone && h->waiting != NULL && h->unsent <= sl_conn_limits(h->conn)->max_unsent) {
        sl_h2_streams_resume(h);
        h->gone = !sl_h2_out(c);
    }
    h->inside = false;
    if (h->gone) {
        leave(c);
        return;
    }
    if (is_over(h)) {
        say_no_more(c);
        return;
    }
    bool out = h->pending != NULL || h->more || filter_waits(&c->io);
    sl_watch_change(&c->watch, EPOLLIN | (out ? EPOLLOUT : 0));
    sl_conn_set_due(c, next_due(h));
    join_the_crowd(c);
}

/* ---- begin and end ---- */

bool sl_h2_begin(sl_conn *c, const char *p, size_t n)
{
    sl_h2 *h = sl_try_calloc(1, sizeof *h);
    if (h == NULL)
        return false;
    h->conn = c;
    if (!prepare_shard(c->shard) || !new_session(h)) {
        sl_free(h);
        return false;
    }
    h->opened_ns = h->active_ns = now_of(h);
    h->rate_ns = UINT64_MAX;
    sl_h2_guard_begin(h);
    c->h2 = h;
    c->watch.ready = ready;
    c->timer.fire = due;
    if (!submit_settings(h))
        h->gone = true;
    else
        feed(h, p, n);
    if (c->shard->draining)
        sl_h2_goaway(
            h); /* it leaves with the turn: who called goes on with `c`, so that is there */
    return true;
}

void sl_h2_drain(sl_conn *c)
{
    sl_h2 *h = c->h2;
    if (h->ending || h->gone)
        return;
    assert(!h->inside); /* a turn of its own */
    sl_shard *s = c->shard;
    sl_turn_begin(s);
    sl_h2_goaway(h);
    sl_h2_advance(c);
    sl_turn_end(s);
}
