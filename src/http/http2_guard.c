/*
 * http2_guard.c - a peer that keeps us busy with nothing, and when a connection's time has come
 *
 * Most attacks on HTTP/2 are one: frames that cost the sender a few bytes and us some work, and
 * that no window or limit of streams holds back. So each kind is counted in a bucket that leaks:
 * what lies above its limit has come faster than it leaks. Work that was asked for drains it, too:
 * a client that takes much may send many WINDOW_UPDATEs.
 *
 *     resets    streams ended before their reply (CVE-2023-44487), or that a client's mistakes made
 *               us end (CVE-2025-8671). That such a stream's handler still counts as a stream
 *               (on_begin_headers) is the other half of the answer.
 *     useless   PING, SETTINGS, PRIORITY, WINDOW_UPDATE, DATA without data, CONTINUATION; HEADERS of
 *               streams that are refused: a client may open them until it has acknowledged our
 *               SETTINGS, which is its own choice, and none of them is ever there to be counted
 *
 * A header block is bounded in bytes, frames and time (CVE-2024-28182).
 *
 * Times of a connection (keep-alive, age, idle) are those of gRPC's core: its clients and proxies
 * know "too_many_pings" and the two steps of GOAWAY.
 */
#include <limits.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"

enum { MAX_CONTINUATIONS = 64, GOAWAY_WAIT_MS = 1000, WITHOUT_CALLS_MS = 2 * 3600 * 1000 };

static const sl_http_h2_options *options(const sl_h2 *h)
{
    return &h->conn->shard->server->opts.h2;
}

static uint64_t now_of(const sl_h2 *h)
{
    return sl_loop_now(h->conn->shard->loop);
}

/* ---- buckets ---- */

/* One more; true: that is too much. `max` leak out in 10 s. */
static bool one_more(sl_h2_bucket *b, int max, uint64_t now)
{
    if (max <= 0 || ++b->level <= max)
        return false;
    uint64_t leaked = (now - b->since_ns) / (10000000000u / (uint64_t)max);
    b->level -= (int64_t)SL_MIN(leaked, (uint64_t)b->level);
    b->since_ns = now;
    return b->level > max;
}

static void drain(sl_h2_bucket *b, int n)
{
    b->level = b->level > n ? b->level - n : 0;
}

void sl_h2_calm_down(sl_h2 *h, const char *why)
{
    if (h->last_words)
        return;
    h->last_words = h->ending = true;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session),
                          NGHTTP2_ENHANCE_YOUR_CALM, (const uint8_t *)why, strlen(why));
}

void sl_h2_count_reset(sl_h2 *h)
{
    if (one_more(&h->resets, sl_conn_limits(h->conn)->max_resets, now_of(h)))
        sl_h2_calm_down(h, "too_many_resets");
}

void sl_h2_count_answer(sl_h2 *h)
{
    drain(&h->resets, 1);
}

static void count_useless(sl_h2 *h)
{
    if (one_more(&h->useless, sl_conn_limits(h->conn)->max_useless, now_of(h)))
        sl_h2_calm_down(h, "too_many_frames");
}

void sl_h2_count_refused(sl_h2 *h)
{
    count_useless(h);
}

void sl_h2_frame_sent(sl_h2 *h)
{
    /* As many as a WINDOW_UPDATE for stream and connection, and a PING with each. */
    drain(&h->useless, 4);
    h->strikes = 0;
    h->pinged_ns = 0;
}

/* ---- frames ---- */

/* A client's PING: gRPC's rule. */
static void check_ping(sl_h2 *h)
{
    const sl_http_h2_options *o = options(h);
    uint64_t now = now_of(h);
    bool idle = h->n_streams == 0 && !o->permit_without_calls;
    uint64_t apart = (uint64_t)(idle ? WITHOUT_CALLS_MS : o->min_ping_interval_without_data_ms);
    bool early = h->pinged_ns != 0 && now < h->pinged_ns + apart * 1000000u;
    h->pinged_ns = now;
    if (early && o->max_ping_strikes > 0 && ++h->strikes > o->max_ping_strikes)
        sl_h2_calm_down(h, "too_many_pings");
}

static void begin_block(sl_h2 *h, const nghttp2_frame_hd *hd)
{
    h->block_ns = hd->flags & NGHTTP2_FLAG_END_HEADERS ? 0 : now_of(h);
    h->block_size = hd->length;
    h->list_size = 0;
    h->block_frames = 0;
}

static void go_on_with_block(sl_h2 *h, const nghttp2_frame_hd *hd)
{
    if (hd->flags & NGHTTP2_FLAG_END_HEADERS)
        h->block_ns = 0;
    h->block_size += hd->length;
    h->block_frames++;
    count_useless(h);
    /* Packed it is never larger than unpacked. */
    if (h->block_frames > MAX_CONTINUATIONS ||
        h->block_size > 2 * sl_conn_limits(h->conn)->max_head)
        sl_h2_calm_down(h, "header block too large");
}

/* HEADERS of a stream that is over, though we did not end it (then they may have been on their
 * way): nghttp2, which keeps no closed streams here, would ignore them. */
static void check_number(sl_h2 *h, int32_t id)
{
    if (id > h->last_id)
        h->last_id = id;
    else if (id > h->last_reset && nghttp2_session_find_stream(h->session, id) == NULL)
        nghttp2_session_terminate_session(h->session, NGHTTP2_STREAM_CLOSED);
}

static int on_begin_frame(nghttp2_session *session, const nghttp2_frame_hd *hd, void *arg)
{
    sl_h2 *h = arg;
    (void)session;
    if (h->starved)
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    switch (hd->type) {
    case NGHTTP2_HEADERS:
        check_number(h, hd->stream_id);
        begin_block(h, hd);
        break;
    case NGHTTP2_CONTINUATION:
        go_on_with_block(h, hd);
        break;
    case NGHTTP2_DATA:
        if (hd->length == 0 && (hd->flags & NGHTTP2_FLAG_END_STREAM) == 0)
            count_useless(h);
        break;
    case NGHTTP2_PING:
        count_useless(h);
        if ((hd->flags & NGHTTP2_FLAG_ACK) == 0)
            check_ping(h);
        break;
    case NGHTTP2_RST_STREAM: /* counted when the stream is closed by it */
        break;
    default:
        count_useless(h);
    }
    return 0;
}

/* nghttp2 refuses a stream without opening it (the client does not know our SETTINGS yet): what
 * else the client has sent of it may be here before our RST_STREAM is out. */
static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error,
                            void *arg)
{
    sl_h2 *h = arg;
    (void)session;
    if (frame->hd.type == NGHTTP2_HEADERS)
        h->last_reset = SL_MAX(h->last_reset, frame->hd.stream_id);
    if (error == NGHTTP2_ERR_REFUSED_STREAM)
        sl_h2_count_refused(h);
    return 0;
}

void sl_h2_guard_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
}

/* ---- GOAWAY in two steps ---- */

/* First "open no more", with the highest number of a stream, and a PING; when that comes back, all
 * that the client sent before it knew has arrived, and the real last number is told. */
void sl_h2_goaway(sl_h2 *h)
{
    if (h->ending)
        return;
    h->ending = true;
    nghttp2_submit_shutdown_notice(h->session);
    h->goaway_ns = now_of(h) + GOAWAY_WAIT_MS * 1000000u;
}

/* A PING would overtake the GOAWAY if it were submitted with it. */
void sl_h2_goaway_sent(sl_h2 *h)
{
    static const uint8_t mark[8] = "goaway";
    if (h->goaway_ns != 0)
        nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, mark);
}

static void second_goaway(sl_h2 *h)
{
    if (h->goaway_ns == 0)
        return;
    h->goaway_ns = 0;
    nghttp2_submit_goaway(h->session, NGHTTP2_FLAG_NONE,
                          nghttp2_session_get_last_proc_stream_id(h->session), NGHTTP2_NO_ERROR,
                          NULL, 0);
}

void sl_h2_ping_acked(sl_h2 *h, const uint8_t *data)
{
    if (memcmp(data, "goaway", 7) == 0)
        second_goaway(h);
}

/* ---- times ---- */

static uint64_t after_ms(uint64_t from, int ms)
{
    return ms == INT_MAX ? UINT64_MAX : from + (uint64_t)(ms > 0 ? ms : 1) * 1000000u;
}

/* gRPC spreads ages by a tenth, so that not all connections of a fleet end at once. */
void sl_h2_guard_begin(sl_h2 *h)
{
    int age = options(h)->max_connection_age_ms;
    uint64_t seed = sl_hash(&h, sizeof h) % 2001; /* 0.9 to 1.1 */
    h->end_ns = age == INT_MAX ? UINT64_MAX : h->opened_ns + (uint64_t)age * 100u * (9000 + seed);
    h->kill_ns = UINT64_MAX;
    h->resets.since_ns = h->useless.since_ns = h->opened_ns;
}

static uint64_t keepalive_due(const sl_h2 *h)
{
    const sl_http_h2_options *o = options(h);
    if (h->probe_ns != 0)
        return after_ms(h->probe_ns, o->keepalive_timeout_ms);
    if (h->n_streams == 0 && !o->permit_without_calls)
        return UINT64_MAX;
    return after_ms(SL_MAX(h->read_ns, h->probed_ns), o->keepalive_time_ms);
}

static uint64_t idle_due(const sl_h2 *h)
{
    return h->n_streams > 0 || h->ending
               ? UINT64_MAX
               : after_ms(h->active_ns, options(h)->max_connection_idle_ms);
}

/* A head that is arriving must be complete by then. The newest stream is the first of the list. */
static uint64_t block_due(const sl_h2 *h)
{
    uint64_t most = sl_conn_limits(h->conn)->head_timeout_ns, began = h->block_ns;
    const sl_h2_stream *s = h->streams;
    if (began == 0 && s != NULL && !s->head_done) /* closed ones stay for their handlers alone */
        began = s->call.started_ns;
    return began != 0 && most != 0 ? began + most : UINT64_MAX;
}

uint64_t sl_h2_guard_due(sl_h2 *h)
{
    uint64_t due = SL_MIN(keepalive_due(h), idle_due(h));
    due = SL_MIN(due, SL_MIN(h->end_ns, h->kill_ns));
    if (h->goaway_ns != 0)
        due = SL_MIN(due, h->goaway_ns);
    return SL_MIN(due, block_due(h));
}

static void check_keepalive(sl_h2 *h, uint64_t now)
{
    static const uint8_t mark[8] = "alive?";
    if (h->probe_ns != 0 && h->read_ns >= h->probe_ns) {
        h->probe_ns = 0;
        return;
    }
    if (keepalive_due(h) > now)
        return;
    if (h->probe_ns != 0) {
        h->gone = true;
        return;
    }
    h->probe_ns = h->probed_ns = now;
    nghttp2_submit_ping(h->session, NGHTTP2_FLAG_NONE, mark);
}

void sl_h2_guard_check(sl_h2 *h)
{
    uint64_t now = now_of(h);
    check_keepalive(h, now);
    if (h->goaway_ns != 0 && h->goaway_ns <= now)
        second_goaway(h);
    if (block_due(h) <= now)
        sl_h2_calm_down(h, "request head did not arrive in time");
    if (h->end_ns <= now) {
        h->end_ns = UINT64_MAX;
        h->kill_ns = after_ms(now, options(h)->max_connection_age_grace_ms);
        sl_h2_goaway(h);
    } else if (idle_due(h) <= now) {
        sl_h2_goaway(h);
    }
    if (h->kill_ns <= now)
        h->gone = true;
}
