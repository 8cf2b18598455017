/*
 * http2_request.c - a request from its HEADERS to the handler
 *
 *     HEADERS -> fields into head -> end of the block: limits, on_head -+-> body -> on_call
 *                                                                       +-> on_call, on_data ...
 *
 * nghttp2 has checked what RFC 9113 section 8 asks of a request (names, pseudo fields, lengths that
 * agree) and has reset what is malformed, before anything is heard of it here.
 *
 * Callbacks run inside nghttp2_session_mem_recv. A handler that answers at once submits from there;
 * what it submitted leaves when the connection's turn ends.
 */
#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "http/http2.h"
#include "http/packed.h"

/* ---- to the handler ---- */

static void hand_over(sl_h2_stream *s)
{
    const sl_http_options *o = sl_conn_options(s->conn);
    sl_shard *shard = s->conn->shard;
    s->handed = s->busy = true;
    sl_h2_stream_forgive(s);
    sl_crowd_serve(s->conn);
    s->call.complete_ns = sl_loop_now(shard->loop);
    s->call.pack_min = s->head.accepts_gzip ? o->limits.compress_min : 0;
    atomic_store_explicit(&shard->n_calls,
                          atomic_load_explicit(&shard->n_calls, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    o->on_call(&s->call, o->arg);
    s->busy = false;
    if (s->replied)
        sl_h2_stream_finish(s);
}

/* Body bytes, or their end, for a handler that takes them as they come. */
static void pass_on(sl_h2_stream *s, sl_str data, bool end)
{
    assert(!s->replied);
    s->busy = true;
    s->call.on_data(&s->call, data, end);
    s->busy = false;
    if (s->replied)
        sl_h2_stream_finish(s);
}

/* A client that does not take its replies could make us hold as many as it has streams. */
static bool must_wait(const sl_h2 *h)
{
    size_t max = sl_conn_limits(h->conn)->max_unsent;
    return h->waiting != NULL || (max > 0 && h->unsent > max);
}

static void wait_for_turn(sl_h2_stream *s)
{
    sl_h2 *h = s->conn->h2;
    if (h->waiting == NULL)
        h->waiting_end = &h->waiting;
    s->waits = true;
    *h->waiting_end = s;
    h->waiting_end = &s->wait_next;
}

void sl_h2_streams_resume(sl_h2 *h)
{
    size_t max = sl_conn_limits(h->conn)->max_unsent;
    while (h->waiting != NULL && h->unsent <= max) {
        sl_h2_stream *s = h->waiting;
        h->waiting = s->wait_next;
        s->wait_next = NULL;
        s->waits = false;
        hand_over(s);
    }
}

/* The request's last byte is there. */
static void complete(sl_h2_stream *s)
{
    sl_http_call *call = &s->call;
    s->end_in = true;
    if (s->replied)
        return;
    if (call->on_data != NULL) {
        pass_on(s, (sl_str){"", 0}, true);
        return;
    }
    if (s->body.n > 0) {
        call->body = (sl_str){s->body.buffer->data, s->body.n};
        call->body_buffer = s->body.buffer;
    } else if (s->received > 0) {
        call->body = (sl_str){s->small->data, s->received};
        call->body_buffer = s->small;
    }
    if (s->head.gzip && !s->drop &&
        !sl_packed_arrived(call, &s->body, &s->decoded, sl_conn_limits(s->conn)))
        sl_h2_stream_fail(s, 503, SL_HTTP_NO_ROOM);
    else if (must_wait(s->conn->h2))
        wait_for_turn(s);
    else
        hand_over(s);
}

/* ---- the head ---- */

/* RFC 9113 section 8.2.3: the pieces of a cookie become one again. */
static int join_cookies(sl_h2_stream *s)
{
    sl_head *h = &s->head;
    size_t size = 0;
    int n = 0, first = -1;
    for (int i = 0; i < h->n_headers; i++)
        if (sl_str_is(h->headers[i].name, "cookie"))
            size += h->headers[i].value.n + 2;
    char *all = sl_arena_try_alloc(&s->arena, size), *to = all;
    if (all == NULL)
        return 503;
    for (int i = 0; i < h->n_headers; i++) {
        sl_http_header f = h->headers[i];
        if (!sl_str_is(f.name, "cookie")) {
            h->headers[n++] = f;
            continue;
        }
        if (first < 0)
            first = n++;
        else
            to = (char *)memcpy(to, "; ", 2) + 2;
        if (f.value.n > 0)
            memcpy(to, f.value.p, f.value.n);
        to += f.value.n;
    }
    h->headers[first] = (sl_http_header){SL_STR("cookie"), {all, (size_t)(to - all)}};
    h->n_headers = n;
    return 0;
}

/* 0, or a status and *error. */
static int check_head(sl_h2_stream *s, const char **error)
{
    const sl_http_limits *l = sl_conn_limits(s->conn);
    sl_head *h = &s->head;
    if (h->status == 0)
        sl_head_end(h);
    *error = h->error;
    if (h->status != 0)
        return h->status;
    *error = "request body too large";
    if (h->length > l->max_body)
        return 413;
    *error = SL_HTTP_NO_ROOM;
    if (!sl_body_could_hold(&s->body, h->length))
        return 503;
    return s->many_cookies ? join_cookies(s) : 0;
}

static void fill_call(sl_h2_stream *s)
{
    sl_http_call *call = &s->call;
    call->method = s->head.method;
    call->target = s->head.target;
    call->path = s->head.path;
    call->headers = s->head.headers;
    call->n_headers = s->head.n_headers;
}

static void head_complete(sl_h2_stream *s, bool end)
{
    const sl_http_options *o = sl_conn_options(s->conn);
    const char *error = "";
    s->head_done = true;
    s->end_in = end;
    int status = check_head(s, &error);
    fill_call(s);
    sl_h2_stream_owe(s);
    if (status == 0 && o->on_head != NULL)
        status = o->on_head(&s->call, &error, o->arg);
    if (status != 0) {
        sl_h2_stream_fail(s, status, error);
        return;
    }
    if (s->call.on_data != NULL)
        hand_over(s);
    else
        s->drop = s->head.method == SL_HTTP_GET || s->head.method == SL_HTTP_HEAD;
    if (!end && s->head.expects && !s->replied)
        sl_h2_reply_continue(s);
    if (end)
        complete(s);
}

/* A field of the request. What is wrong with it is remembered in head.status. */
static void take_field(sl_h2_stream *s, sl_str name, sl_str value)
{
    sl_head *h = &s->head;
    assert(name.n > 0); /* an empty one is malformed: nghttp2 keeps it to itself */
    if (name.p[0] != ':') {
        if (name.n == 4 && s->authority && sl_str_is(name, "host"))
            return;
        s->many_cookies |= name.n == 6 && sl_str_is(name, "cookie");
        sl_head_field(h, name, value, sl_conn_limits(s->conn));
    } else if (sl_str_is(name, ":method")) {
        sl_head_method(h, value);
    } else if (sl_str_is(name, ":path")) {
        sl_head_target(h, value);
    } else if (sl_str_is(name, ":authority")) {
        s->authority = true;
        sl_head_field(h, SL_STR("host"), value, sl_conn_limits(s->conn));
    }
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, nghttp2_rcbuf *name_buf,
                     nghttp2_rcbuf *value_buf, uint8_t flags, void *arg)
{
    sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    sl_h2 *h = arg;
    (void)flags;
    nghttp2_vec name = nghttp2_rcbuf_get_buf(name_buf), value = nghttp2_rcbuf_get_buf(value_buf);
    size_t size = name.len + value.len + 32; /* as RFC 9113 section 6.5.2 counts */
    h->list_size += size;
    if (h->list_size / 4 > sl_conn_limits(h->conn)->max_head) {
        sl_h2_calm_down(h, "header list too large");
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE; /* what follows is unpacked, not looked at */
    }
    if (s == NULL)
        return 0; /* refused */
    s->head_size += size;
    if (s->head_done || s->head.status != 0)
        return 0; /* trailers; or it is refused already */
    if (s->head_size > sl_conn_limits(s->conn)->max_head) {
        s->head.status = 431; /* what follows is only counted */
        s->head.error = "request head too large";
        return 0;
    }
    bool fixed = nghttp2_rcbuf_is_static(name_buf);
    char *p = sl_arena_try_alloc(&s->arena, (fixed ? 0 : name.len) + value.len);
    if (p == NULL) {
        s->head.status = 503;
        s->head.error = "out of memory";
        return 0;
    }
    sl_str field = {(const char *)name.base, name.len};
    memcpy(p, value.base, value.len);
    if (!fixed)
        field.p = memcpy(p + value.len, name.base, name.len);
    take_field(s, field, (sl_str){p, value.len});
    return 0;
}

/* nghttp2 would leave such a field out; a request with one is malformed. */
static int on_invalid_header(nghttp2_session *session, const nghttp2_frame *frame,
                             nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    (void)session, (void)frame, (void)name, (void)value, (void)flags, (void)arg;
    return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    assert(frame->hd.type == NGHTTP2_HEADERS); /* the other type with headers is for clients */
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
        return 0;
    sl_h2 *h = arg;
    /* Those that the client has reset and a handler still has count, too. */
    if (h->last_words || h->n_streams >= sl_conn_limits(h->conn)->max_streams) {
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id,
                                  NGHTTP2_REFUSED_STREAM);
        sl_h2_count_refused(h);
        return 0;
    }
    sl_h2_stream *s = sl_h2_stream_open(h, frame->hd.stream_id);
    if (s == NULL)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    nghttp2_session_set_stream_user_data(session, s->id, s);
    return 0;
}

/* ---- the body ---- */

/* 0, or a status and *error. */
static int keep_body(sl_h2_stream *s, const char *p, size_t n, const char **error)
{
    size_t limit = s->head.has_length ? (size_t)s->head.length : sl_conn_limits(s->conn)->max_body;
    *error = "request body too large";
    if (n > limit - s->received)
        return 413;
    *error = SL_HTTP_NO_ROOM;
    if (s->body.n == 0 && s->received + n <= SL_H2_SMALL) {
        if (s->small == NULL && (s->small = sl_buffer_try_new(SL_H2_SMALL)) == NULL)
            return 503;
        memcpy((char *)s->small->data + s->received, p, n);
    } else {
        if (s->body.n == 0 &&
            !sl_body_add(&s->body, s->received ? s->small->data : NULL, s->received, limit))
            return 503;
        if (!sl_body_add(&s->body, p, n, limit))
            return 503;
    }
    s->received += n;
    return 0;
}

static int on_data_chunk(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *p,
                         size_t n, void *arg)
{
    sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    (void)flags, (void)arg;
    nghttp2_session_consume_connection(session, n);
    if (s == NULL || s->replied) {
        nghttp2_session_consume_stream(session, id, n);
        return 0;
    }
    if (s->call.on_data == NULL)
        nghttp2_session_consume_stream(session, id, n);
    s->moved_in += n;
    s->call.wire_bytes += n;
    if (s->call.on_data != NULL) {
        s->unconsumed += n;
        pass_on(s, (sl_str){(const char *)p, n}, false);
        sl_h2_stream_renew_window(s);
    } else if (!s->drop) {
        const char *error;
        int status = keep_body(s, (const char *)p, n, &error);
        if (status != 0)
            sl_h2_stream_fail(s, status, error);
    }
    return 0;
}

/* ---- frames ---- */

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    if (frame->hd.type == NGHTTP2_PING && frame->hd.flags & NGHTTP2_FLAG_ACK)
        sl_h2_ping_acked(arg, frame->ping.opaque_data);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    bool end = (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) != 0;
    if (s == NULL)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS && !s->head_done) {
        s->call.wire_bytes += 9 + frame->hd.length;
        head_complete(s, end);
    } else if (end) {
        complete(s);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *session, int32_t id, uint32_t error, void *arg)
{
    sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    sl_h2 *h = arg;
    if (s != NULL ? !s->whole : error != NGHTTP2_REFUSED_STREAM)
        sl_h2_count_reset(h);
    if (s != NULL)
        sl_h2_stream_closed(s);
    return 0;
}

void sl_h2_request_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_invalid_header_callback2(cb, on_invalid_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data_chunk);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
}
