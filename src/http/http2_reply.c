/*
 * http2_reply.c - a call's reply as HEADERS, DATA and trailers
 *
 * The body stays in the pieces that the handler made: nghttp2 asks how much there is (read_data),
 * and when the frame's turn has come, which bytes (http2_out.c).
 */
#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/http2.h"
#include "http/packed.h"

enum { MAX_FIELDS = 64 };

typedef struct fields {
    nghttp2_nv nv[MAX_FIELDS];
    size_t n, size; /* size: bytes of names and values */
    bool bad;       /* too many, too large, or not to be understood */
    bool no_memory; /* bad for that reason */
    char digits[4], length[24];
} fields;

/* ---- header fields ---- */

static void add(fields *f, const char *name, size_t name_n, const char *value, size_t value_n)
{
    f->size += name_n + value_n;
    if (f->n == MAX_FIELDS || f->size > SL_H2_MAX_HEAD) {
        f->bad = true;
        return;
    }
    f->nv[f->n++] = (nghttp2_nv){.name = (uint8_t *)name,
                                 .value = (uint8_t *)value,
                                 .namelen = name_n,
                                 .valuelen = value_n,
                                 .flags = NGHTTP2_NV_FLAG_NONE};
}

/* "Name: value\r\n" ...; nghttp2 makes the names lower case. The bytes must stay until it has made
 * its copy. */
static void add_lines(fields *f, const char *p, size_t n)
{
    const char *end = p + n;
    while (p < end && !f->bad) {
        const char *cr = memchr(p, '\r', (size_t)(end - p));
        const char *colon = cr ? memchr(p, ':', (size_t)(cr - p)) : NULL;
        if (colon == NULL) {
            f->bad = true;
            return;
        }
        const char *value = colon + 1;
        while (value < cr && *value == ' ')
            value++;
        add(f, p, (size_t)(colon - p), value, (size_t)(cr - value));
        p = cr + 2;
    }
}

/* The lines of a chain, contiguous: where they are, or in the arena. */
static void add_chain(fields *f, sl_h2_stream *s, const sl_chain *c)
{
    const sl_piece *first = c->head;
    f->no_memory |= c->failed;
    f->bad |= c->failed || c->size > SL_H2_MAX_HEAD;
    if (c->size == 0 || f->bad)
        return;
    if (first->end - first->begin == c->size) {
        add_lines(f, first->data + first->begin, c->size);
        return;
    }
    char *flat = sl_arena_try_alloc(&s->arena, c->size);
    if (flat == NULL) {
        f->bad = f->no_memory = true;
        return;
    }
    sl_chain_copy(c, flat);
    add_lines(f, flat, c->size);
}

static void add_status(fields *f, int status)
{
    f->digits[0] = (char)('0' + status / 100 % 10);
    f->digits[1] = (char)('0' + status / 10 % 10);
    f->digits[2] = (char)('0' + status % 10);
    add(f, ":status", 7, f->digits, 3);
}

static void add_length(fields *f, uint64_t n)
{
    char *end = f->length + sizeof f->length, *d = end;
    do
        *--d = (char)('0' + n % 10);
    while ((n /= 10) != 0);
    add(f, "content-length", 14, d, (size_t)(end - d));
}

/* Everything in a head; a reply that is sent in pieces or has trailers has neither date nor length.
 */
static void make_head(fields *f, sl_h2_stream *s, bool whole)
{
    const sl_http_call *call = &s->call;
    f->n = f->size = 0;
    f->bad = f->no_memory = false;
    add_status(f, call->status);
    if (call->content_type != NULL)
        add(f, "content-type", 12, call->content_type, strlen(call->content_type));
    add_chain(f, s, &call->head);
    if (!whole)
        return;
    sl_str date = sl_reply_date(s->conn->shard);
    add(f, "date", 4, date.p, date.n);
    if (!sl_reply_has_no_body(call->status))
        add_length(f, call->reply.size);
}

/* ---- the body ---- */

/* Trailers follow, or what was to be sent cannot be. */
static int end_of_body(nghttp2_session *session, sl_h2_stream *s, uint32_t *flags)
{
    fields f; /* large: not to be cleared for each reply */
    f.n = f.size = 0;
    f.bad = f.no_memory = false;
    *flags |= NGHTTP2_DATA_FLAG_EOF;
    if (s->call.trailers.size == 0 && !s->call.trailers.failed)
        return 0;
    add_chain(&f, s, &s->call.trailers);
    if (f.bad)
        return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
    *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
    return nghttp2_submit_trailer(session, s->id, f.nv, f.n); /* fails without memory: the end */
}

static ssize_t read_data(nghttp2_session *session, int32_t id, uint8_t *buf, size_t length,
                         uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    sl_h2_stream *s = source->ptr;
    size_t there = s->out.size - s->queued;
    (void)id, (void)buf, (void)arg;
    *flags |= NGHTTP2_DATA_FLAG_NO_COPY;
    if (there == 0 && !s->all) {
        s->deferred = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (there > length)
        return (ssize_t)length;
    if (s->all) {
        int rc = end_of_body(session, s, flags);
        if (rc != 0)
            return rc;
    }
    return (ssize_t)there;
}

/* How large a DATA frame may become: nghttp2's 16 KiB, or more if the client takes more and there
 * is more. (nghttp2 makes its own buffer as large, though nothing is written to it.) */
static ssize_t frame_size(nghttp2_session *session, uint8_t type, int32_t id,
                          int32_t connection_window, int32_t stream_window, uint32_t most,
                          void *arg)
{
    enum { USUAL = 16384 };
    (void)type, (void)connection_window, (void)stream_window, (void)arg;
    if (most <= USUAL)
        return USUAL;
    const sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, id);
    assert(s != NULL); /* only what was submitted for a stream is sent */
    size_t there = s->out.size - s->queued;
    return (ssize_t)SL_MAX(SL_MIN(there, SL_MIN((size_t)most, (size_t)SL_H2_FRAME)), (size_t)USUAL);
}

static int send_data(nghttp2_session *session, nghttp2_frame *frame, const uint8_t *head,
                     size_t length, nghttp2_data_source *source, void *arg)
{
    (void)session, (void)frame, (void)arg;
    return sl_h2_out_data(source->ptr, head, length) ? 0 : NGHTTP2_ERR_WOULDBLOCK;
}

static int frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *arg)
{
    sl_h2 *h = arg;
    if (frame->hd.type == NGHTTP2_RST_STREAM)
        h->last_reset = SL_MAX(h->last_reset, frame->hd.stream_id);
    if (frame->hd.type == NGHTTP2_GOAWAY)
        sl_h2_goaway_sent(h);
    if (frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS)
        return 0;
    sl_h2_stream *s = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
    assert(s != NULL); /* nghttp2 closes it after this at the earliest */
    sl_h2_frame_sent(h);
    if (frame->hd.type == NGHTTP2_HEADERS)
        s->sent += 9 + frame->hd.length;
    if ((frame->hd.flags & NGHTTP2_FLAG_END_STREAM) == 0)
        return 0;
    s->whole = true;
    /* Answered before all of the request came: the rest is of no interest. */
    if (!s->end_in)
        nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, s->id, NGHTTP2_NO_ERROR);
    return 0;
}

void sl_h2_reply_callbacks(nghttp2_session_callbacks *cb)
{
    nghttp2_session_callbacks_set_send_data_callback(cb, send_data);
    nghttp2_session_callbacks_set_data_source_read_length_callback(cb, frame_size);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, frame_sent);
}

/* ---- submitting ---- */

static void reset_stream(sl_h2_stream *s, uint32_t code)
{
    nghttp2_submit_rst_stream(s->conn->h2->session, NGHTTP2_FLAG_NONE, s->id, code);
}

/* Its body, if the handler made one, stays here. */
static bool is_silent(const sl_http_call *call)
{
    return call->method == SL_HTTP_HEAD || sl_reply_has_no_body(call->status);
}

/* A reply that could not be written for lack of memory, or with an impossible head, is a 500. */
static void give_500(fields *f, sl_h2_stream *s)
{
    sl_http_call *call = &s->call;
    sl_log(SL_ERROR, "a reply could not be written: %s",
           f->bad && !f->no_memory ? "its head is too large" : "out of memory");
    sl_chain_reset(&call->reply);
    sl_chain_reset(&call->head);
    sl_chain_reset(&call->trailers);
    call->status = 500;
    call->content_type = NULL;
    make_head(f, s, true);
}

static void start(sl_h2_stream *s, bool last)
{
    sl_http_call *call = &s->call;
    fields f;
    bool whole = last && call->trailers.size == 0;
    if (whole)
        sl_packed_reply(call);
    make_head(&f, s, whole);
    /* Nothing but a head and trailers: one HEADERS frame (gRPC's "Trailers-Only"). */
    bool only = last && (is_silent(call) || call->reply.size == 0);
    if (only)
        add_chain(&f, s, &call->trailers);
    if (f.bad || call->reply.failed || (last && call->trailers.failed)) {
        give_500(&f, s);
        only = true;
    }
    nghttp2_data_provider data = {.source.ptr = s, .read_callback = read_data};
    s->started = true;
    if (nghttp2_submit_response(s->conn->h2->session, s->id, f.nv, f.n, only ? NULL : &data) != 0)
        reset_stream(s, NGHTTP2_INTERNAL_ERROR);
}

void sl_h2_reply_submit(sl_h2_stream *s, bool last)
{
    sl_http_call *call = &s->call;
    bool failed = s->started && call->reply.failed;
    if (!s->started)
        start(s, last);
    if (failed) {
        sl_log(SL_ERROR, "a reply could not be written: out of memory");
        reset_stream(s, NGHTTP2_INTERNAL_ERROR);
        return;
    }
    if (is_silent(call))
        sl_chain_reset(&call->reply);
    s->conn->h2->unsent += call->reply.size;
    sl_chain_join(&s->out, &call->reply);
    s->all |= last;
    if (s->deferred) {
        s->deferred = false;
        nghttp2_session_resume_data(s->conn->h2->session, s->id);
    }
}

void sl_h2_reply_continue(sl_h2_stream *s)
{
    static uint8_t name[] = ":status", value[] = "100";
    nghttp2_nv nv = {name, value, 7, 3, NGHTTP2_NV_FLAG_NONE};
    nghttp2_submit_headers(s->conn->h2->session, NGHTTP2_FLAG_NONE, s->id, NULL, &nv, 1, NULL);
}
