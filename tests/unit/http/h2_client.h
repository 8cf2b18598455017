/*
 * h2_client.h - nghttp2's client side at the other end of a fixture's socket pair
 *
 *     client *c = h2_connect(f);
 *     int id = h2_request(c, "GET", "/a", NULL, 0);
 *     h2_turn(c);
 *     assert_int_equal(h2_reply(c, id)->status, 200);
 */
#ifndef UNIT_HTTP_H2_CLIENT_H
#define UNIT_HTTP_H2_CLIENT_H

#include <nghttp2/nghttp2.h>

#include "http/http2.h"
#include "unit/http/fixture.h"

enum { MAX_REPLIES = 64 };

typedef struct reply {
    int id, status, interim;
    sl_text head, body, trailers; /* "name: value\n" ... */
    bool closed, keep;            /* keep: the request's body goes on (h2_more) */
    uint32_t error;
    const char *send; /* body of the request that is left */
    size_t send_n;
    bool waits;
} reply;

typedef struct client {
    fixture *f;
    int fd;
    nghttp2_session *session;
    reply replies[MAX_REPLIES];
    int n;
    int goaways, last_stream, pings, settings, data;
    uint32_t goaway_error;
    char goaway_text[64];
    bool deaf; /* reads nothing from the socket */
    bool eof;
} client;

static inline reply *h2_reply(client *c, int id)
{
    for (int i = 0; i < c->n; i++)
        if (c->replies[i].id == id)
            return &c->replies[i];
    fail_msg("no stream %d", id);
    return NULL;
}

static inline int h2_on_header(nghttp2_session *s, const nghttp2_frame *frame, const uint8_t *name,
                               size_t name_n, const uint8_t *value, size_t value_n, uint8_t flags,
                               void *arg)
{
    reply *r = h2_reply(arg, frame->hd.stream_id);
    sl_text *to = r->status >= 200 && frame->headers.cat == NGHTTP2_HCAT_HEADERS && !r->interim
                      ? &r->trailers
                      : &r->head;
    (void)s, (void)flags;
    if (name_n == 7 && memcmp(name, ":status", 7) == 0) {
        r->status = atoi((const char *)value);
        r->interim = r->status < 200;
    } else {
        sl_text_printf(to, "%.*s: %.*s\n", (int)name_n, name, (int)value_n, value);
    }
    return 0;
}

static inline int h2_on_chunk(nghttp2_session *s, uint8_t flags, int32_t id, const uint8_t *p,
                              size_t n, void *arg)
{
    (void)s, (void)flags;
    sl_text_add(&h2_reply(arg, id)->body, (const char *)p, n);
    return 0;
}

static inline int h2_on_close(nghttp2_session *s, int32_t id, uint32_t error, void *arg)
{
    reply *r = h2_reply(arg, id);
    (void)s;
    r->closed = true;
    r->error = error;
    return 0;
}

static inline int h2_on_frame(nghttp2_session *s, const nghttp2_frame *frame, void *arg)
{
    client *c = arg;
    (void)s;
    if (frame->hd.type == NGHTTP2_GOAWAY) {
        size_t n = frame->goaway.opaque_data_len;
        c->goaways++;
        c->last_stream = frame->goaway.last_stream_id;
        c->goaway_error = frame->goaway.error_code;
        n = n < sizeof c->goaway_text ? n : sizeof c->goaway_text - 1;
        if (n > 0)
            memcpy(c->goaway_text, frame->goaway.opaque_data, n);
        c->goaway_text[n] = '\0';
    }
    c->pings += frame->hd.type == NGHTTP2_PING && !(frame->hd.flags & NGHTTP2_FLAG_ACK);
    c->settings += frame->hd.type == NGHTTP2_SETTINGS;
    c->data += frame->hd.type == NGHTTP2_DATA;
    return 0;
}

static inline ssize_t h2_read_body(nghttp2_session *s, int32_t id, uint8_t *buf, size_t length,
                                   uint32_t *flags, nghttp2_data_source *source, void *arg)
{
    reply *r = h2_reply(arg, id);
    size_t n = r->send_n < length ? r->send_n : length;
    (void)s, (void)source;
    if (n == 0 && r->keep) {
        r->waits = true;
        return NGHTTP2_ERR_DEFERRED;
    }
    if (n > 0)
        memcpy(buf, r->send, n);
    r->send += n;
    r->send_n -= n;
    if (r->send_n == 0 && !r->keep)
        *flags |= NGHTTP2_DATA_FLAG_EOF;
    return (ssize_t)n;
}

/* What waits in the session goes out, what has come goes in, until neither helps. */
static inline void h2_turn(client *c)
{
    for (int quiet = 0; quiet < 3;) {
        const uint8_t *p;
        ssize_t n;
        quiet++;
        while ((n = nghttp2_session_mem_send(c->session, &p)) > 0) {
            send_bytes(c->f, c->fd, (const char *)p, (size_t)n);
            quiet = 0;
        }
        turn(c->f);
        if (c->deaf)
            continue;
        receive(c->f, c->fd);
        c->eof |= c->f->eof;
        if (c->f->text_n > 0) {
            quiet = 0;
            ssize_t rc = nghttp2_session_mem_recv(c->session, (uint8_t *)c->f->text, c->f->text_n);
            assert_int_equal(rc, c->f->text_n);
        }
    }
}

/* All that waits in the client's session goes out in one piece, so that the server sees all of it
 * in one turn, which is not made here. */
static inline void h2_send_at_once(client *c)
{
    sl_text t = {0};
    const uint8_t *p;
    ssize_t n;
    while ((n = nghttp2_session_mem_send(c->session, &p)) > 0)
        sl_text_add(&t, (const char *)p, (size_t)n);
    assert_int_equal(send(c->fd, t.p, t.n, MSG_NOSIGNAL), t.n);
    sl_text_fini(&t);
}

/* A client with these settings; `option` may be NULL. */
static inline client *h2_new_with(fixture *f, int fd, const nghttp2_settings_entry *settings,
                                  size_t n, const nghttp2_option *option)
{
    client *c = calloc(1, sizeof *c);
    nghttp2_session_callbacks *cb;
    assert_int_equal(nghttp2_session_callbacks_new(&cb), 0);
    nghttp2_session_callbacks_set_on_header_callback(cb, h2_on_header);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, h2_on_chunk);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, h2_on_close);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, h2_on_frame);
    assert_int_equal(nghttp2_session_client_new2(&c->session, cb, c, option), 0);
    nghttp2_session_callbacks_del(cb);
    c->f = f;
    c->fd = fd;
    nghttp2_submit_settings(c->session, NGHTTP2_FLAG_NONE, settings, n);
    return c;
}

static inline client *h2_new(fixture *f, int fd, const nghttp2_settings_entry *settings, size_t n)
{
    return h2_new_with(f, fd, settings, n, NULL);
}

/* One that has room for all that comes (`window`: of the connection and each stream), in frames of
 * at most that size. */
static inline client *h2_connect_wide(fixture *f, int32_t window, uint32_t frame)
{
    nghttp2_settings_entry e[] = {{NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, (uint32_t)window},
                                  {NGHTTP2_SETTINGS_MAX_FRAME_SIZE, frame}};
    client *c = h2_new(f, connect_client(f), e, 2);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, window);
    h2_turn(c);
    return c;
}

static inline client *h2_connect(fixture *f)
{
    client *c = h2_new(f, connect_client(f), NULL, 0);
    h2_turn(c);
    return c;
}

/* A server of its own, with options that a test has changed (NULL: the defaults, gRPC's among
 * them). */
static inline fixture *h2_fixture(void (*change)(sl_http_options *))
{
    sl_http_options o;
    sl_http_limits_default(&o.limits);
    sl_http_h2_options_default(&o.h2);
    if (change != NULL)
        change(&o);
    fixture *f = fx_new(&o.limits);
    f->server->opts.h2 = o.h2;
    return f;
}

/* The same, and a client of it; h2_end is the end of both. */
static inline client *h2_serve(void (*change)(sl_http_options *))
{
    return h2_connect(h2_fixture(change));
}

static inline void h2_close(client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    turn(c->f);
    nghttp2_session_del(c->session);
    for (int i = 0; i < c->n; i++) {
        sl_text_fini(&c->replies[i].head);
        sl_text_fini(&c->replies[i].body);
        sl_text_fini(&c->replies[i].trailers);
    }
    free(c);
}

static inline void h2_end(client *c)
{
    fixture *f = c->f;
    h2_close(c);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

/* The same for one whose calls may be held: they are answered then. */
static inline void h2_leave(client *c)
{
    fixture *f = c->f;
    h2_close(c);
    for (int i = 0; i < f->n_held; i++)
        sl_http_reply(f->held[i]);
    assert_int_equal(connections(f), 0);
}

/* Header pairs end with NULL. `body` NULL: none; it must stay. */
static inline int h2_request_with(client *c, const char *method, const char *path, const char *body,
                                  size_t n, bool keep, const char *const *headers)
{
    nghttp2_nv nv[32] = {
        {(uint8_t *)":method", (uint8_t *)method, 7, strlen(method), 0},
        {(uint8_t *)":path", (uint8_t *)path, 5, strlen(path), 0},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
        {(uint8_t *)":authority", (uint8_t *)"here", 10, 4, 0},
    };
    size_t n_nv = 4;
    for (; headers != NULL && headers[0] != NULL; headers += 2)
        nv[n_nv++] = (nghttp2_nv){(uint8_t *)headers[0], (uint8_t *)headers[1], strlen(headers[0]),
                                  strlen(headers[1]), 0};
    nghttp2_data_provider data = {.read_callback = h2_read_body};
    int id = nghttp2_submit_request(c->session, NULL, nv, n_nv, body ? &data : NULL, NULL);
    assert_true(id > 0 && c->n < MAX_REPLIES);
    c->replies[c->n++] = (reply){.id = id, .send = body, .send_n = n, .keep = keep};
    return id;
}

static inline int h2_request(client *c, const char *method, const char *path, const char *body,
                             size_t n)
{
    return h2_request_with(c, method, path, body, n, false, NULL);
}

/* The status that a simple request gets. */
static inline int simple(client *c)
{
    int id = h2_request(c, "GET", "/a", NULL, 0);
    h2_turn(c);
    return h2_reply(c, id)->status;
}

/* More of a body that was kept open. */
static inline void h2_more(client *c, int id, const char *p, size_t n, bool end)
{
    reply *r = h2_reply(c, id);
    r->send = p;
    r->send_n = n;
    r->keep = !end;
    nghttp2_session_resume_data(c->session, id);
    h2_turn(c);
}

/* ---- a client that makes its frames itself; the server is not turned ---- */

/* POST / of authority "a", as literals of the static table. */
#define POST_HEAD          \
    "\x83\x84\x86\x41\x01" \
    "a"
enum { OPEN = NGHTTP2_FLAG_END_HEADERS, WHOLE = OPEN | NGHTTP2_FLAG_END_STREAM };

static inline void raw_frame(int fd, int type, int flags, uint32_t id, const void *p, size_t n)
{
    char frame[9 + 16384] = {(char)(n >> 16), (char)(n >> 8), (char)n, (char)type, (char)flags};
    for (int i = 0; i < 4; i++)
        frame[5 + i] = (char)(id >> (24 - 8 * i));
    memcpy(frame + 9, p, n);
    assert_int_equal(send(fd, frame, 9 + n, MSG_NOSIGNAL), 9 + n);
}

static inline void raw_post(int fd, uint32_t id, int flags)
{
    raw_frame(fd, NGHTTP2_HEADERS, flags, id, POST_HEAD, 6);
}

/* The preface from its byte `at` on. */
static inline void raw_begin(int fd, size_t at)
{
    assert_int_equal(send(fd, NGHTTP2_CLIENT_MAGIC + at, NGHTTP2_CLIENT_MAGIC_LEN - at, 0),
                     NGHTTP2_CLIENT_MAGIC_LEN - at);
    raw_frame(fd, NGHTTP2_SETTINGS, 0, 0, "", 0);
}

/* Takes n bytes off the socket, and no more. */
static inline void raw_read(fixture *f, int fd, size_t n)
{
    char some[4096];
    while (n > 0) {
        ssize_t got = recv(fd, some, SL_MIN(n, sizeof some), 0);
        assert_true(got > 0);
        n -= (size_t)got;
        turn(f);
    }
}

static inline const char *text_of(const sl_text *t)
{
    return t->p ? t->p : "";
}

#endif
