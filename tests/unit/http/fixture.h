/*
 * fixture.h - a server on one loop that the test turns by hand, and clients at the other end of
 * socket pairs: deterministic, and under the test's clock
 *
 * Targets: /echo answers with the body; /hold keeps the call in f->held; /big?<n> answers n bytes;
 * /stream (HTTP/2) sends each piece back as it comes, /trailers answers with trailers, too; any
 * other answers "METHOD target".
 */
#ifndef UNIT_HTTP_FIXTURE_H
#define UNIT_HTTP_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "http/conn.h"

#define SECOND 1000000000ull
#define START (784111777 * SECOND) /* Sun, 06 Nov 1994 08:49:37 GMT */
#define DATE "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"

enum { MAX_HELD = 16 };

typedef struct fixture {
    sl_loop *loop;
    sl_http_server *server;
    uint64_t now;
    int port;
    sl_http_call *held[MAX_HELD];
    int n_held, n_calls, n_cancelled, n_done, n_done_without_call, n_errors, last_status;
    bool last_given_up, packed, undecodable, drained;
    uint64_t last_sent, total_sent, last_wire;
    size_t last_body;
    sl_buffer *kept; /* the body of the last /keep */
    int refuse;      /* on_head's answer */
    /* A test's own: what on_head does beside, and the whole of what answers /own. */
    void (*peek)(struct fixture *f, sl_http_call *call);
    void (*own)(struct fixture *f, sl_http_call *call);
    int held_fd;   /* of a client that came meanwhile */
    int n_pieces;  /* what on_data got */
    size_t unsent; /* after the last piece */
    char *text;    /* what receive() got */
    size_t text_n, text_cap;
    bool eof;
} fixture;

static inline void answer_big(sl_http_call *call)
{
    int64_t number = 0;
    assert_true(sl_str_to_int64((sl_str){call->target.p + 5, call->target.n - 5}, &number));
    size_t n = (size_t)number;
    char *p = sl_chain_reserve(&call->reply, n);
    if (p == NULL)
        return;
    memset(p, 'b', n);
    sl_chain_commit(&call->reply, n);
}

static inline void fx_cancel(sl_http_call *call)
{
    ((fixture *)call->user)->n_cancelled++;
    if (call->on_data != NULL)
        sl_http_reply(call);
}

/* A piece of /stream. */
static inline void fx_data(sl_http_call *call, sl_str data, bool end)
{
    fixture *f = call->user;
    f->n_pieces += data.n > 0;
    sl_chain_add(&call->reply, data.p, data.n);
    if (!end) {
        sl_http_send(call);
        f->unsent = sl_http_unsent(call);
        return;
    }
    sl_chain_puts(&call->trailers, "x-end: yes\r\n");
    sl_http_reply(call);
}

static inline void fx_call(sl_http_call *call, void *arg)
{
    fixture *f = arg;
    static const char *const names[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
    f->n_calls++;
    call->user = f;
    f->packed = call->body_packed;
    if (!sl_http_unpack(call)) {
        call->status = 503;
        sl_http_reply(call);
        return;
    }
    f->undecodable = call->body_undecodable;
    f->last_wire = call->wire_bytes;
    f->last_body = call->body.n;
    call->content_type = "text/plain";
    if (call->on_data != NULL) {
        call->on_cancel = fx_cancel;
        return;
    }
    if (sl_str_is(call->path, "/trailers") || sl_str_is(call->path, "/only"))
        sl_chain_puts(&call->trailers, "grpc-status: 0\r\ngrpc-message: fine\r\n");
    if (sl_str_is(call->path, "/hold")) {
        call->on_cancel = fx_cancel;
        f->held[f->n_held++] = call;
        return;
    }
    if (sl_str_is(call->path, "/own")) {
        f->own(f, call);
        return;
    }
    if (sl_str_is(call->path, "/keep")) {
        sl_buffer_release(f->kept);
        f->kept = sl_buffer_acquire(call->body_buffer);
    }
    if (sl_str_is(call->path, "/close"))
        call->close = true;
    if (sl_str_is(call->path, "/none"))
        call->status = 204;
    if (sl_str_is(call->path, "/lines"))
        sl_chain_puts(&call->head, "A: b\r\nC: d\r\n");
    if (sl_str_is(call->path, "/echo"))
        sl_chain_add(&call->reply, call->body.p, call->body.n);
    else if (sl_str_is(call->path, "/only"))
        call->status = 200;
    else if (sl_str_is(call->path, "/big"))
        answer_big(call);
    else
        sl_chain_printf(&call->reply, "%s %.*s", names[call->method], SL_STR_ARG(call->target));
    sl_http_reply(call);
}

static inline int fx_head(sl_http_call *call, const char **message, void *arg)
{
    fixture *f = arg;
    if (sl_str_is(call->path, "/stream"))
        call->on_data = fx_data;
    if (f->peek != NULL)
        f->peek(f, call);
    *message = "not you";
    return f->refuse;
}

static inline void fx_error(int status, const char *message, sl_chain *body, const char **type,
                            void *arg)
{
    fixture *f = arg;
    f->n_errors++;
    *type = "application/json";
    sl_chain_printf(body, "{\"%d\": \"%s\"}", status, message);
}

static inline void fx_done(sl_http_call *call, int status, uint64_t sent, void *arg)
{
    fixture *f = arg;
    f->n_done++;
    f->n_done_without_call += call == NULL;
    f->last_status = status;
    f->last_sent = sent;
    f->total_sent += sent;
    f->last_given_up = call != NULL && sent == 0;
}

static inline void fx_drained(void *arg)
{
    ((fixture *)arg)->drained = true;
}

/* A server with the limits given. */
static inline fixture *fx_new(const sl_http_limits *limits)
{
    fixture *f = calloc(1, sizeof *f);
    sl_http_options o = {.limits = *limits,
                         .on_call = fx_call,
                         .on_head = fx_head,
                         .on_error = fx_error,
                         .on_done = fx_done,
                         .arg = f};
    sl_clock_fake(f->now = START);
    assert_int_equal(sl_loop_new(&f->loop, NULL), SL_OK);
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &f->server, &f->port, NULL),
                     SL_OK);
    sl_loop_turn(f->loop, false);
    return f;
}

/* The defaults, but for what a test changes (NULL: nothing). */
static inline fixture *fx_with(void (*change)(sl_http_limits *))
{
    sl_http_limits l;
    sl_http_limits_default(&l);
    if (change != NULL)
        change(&l);
    return fx_new(&l);
}

static inline void fx_free(fixture *f)
{
    sl_buffer_release(f->kept);
    sl_http_free(f->server);
    sl_loop_free(f->loop);
    free(f->text);
    free(f);
    sl_clock_fake(0);
}

static inline int fx_set_up(void **state)
{
    *state = fx_with(NULL);
    return 0;
}

static inline int fx_tear_down(void **state)
{
    fx_free(*state);
    return 0;
}

static inline int connections(const fixture *f)
{
    return atomic_load(&f->server->n_conns);
}

static inline bool begins(const char *text, const char *with_this)
{
    return strncmp(text, with_this, strlen(with_this)) == 0;
}

/* n bytes as gzip, at `out`; returns how many these are. */
static inline size_t gzip(const char *p, size_t n, char *out, size_t cap)
{
    z_stream z = {0};
    deflateInit2(&z, 9, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY);
    z.next_in = (unsigned char *)p;
    z.avail_in = (unsigned)n;
    z.next_out = (unsigned char *)out;
    z.avail_out = (unsigned)cap;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    deflateEnd(&z);
    return cap - z.avail_out;
}

/* Enough rounds for all that follows from what has been sent. */
static inline void turn(fixture *f)
{
    for (int i = 0; i < 6; i++)
        sl_loop_turn(f->loop, false);
}

static inline void pass_time(fixture *f, uint64_t ns)
{
    sl_clock_fake(f->now += ns);
    turn(f);
}

static inline int connect_client(fixture *f)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    (void)sl_shard_adopt(&f->server->shards[0], fd[1],
                         &peer); /* fails under an armed fault: fd[1] is closed */
    return fd[0];
}

/* Over TCP; nobody has accepted it yet. */
static inline int connect_tcp(fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)f->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    fcntl(fd, F_SETFL, O_NONBLOCK);
    return fd;
}

/* All of it: the server is turned whenever the socket is full, as long as that helps. */
static inline size_t send_bytes(fixture *f, int fd, const char *p, size_t n)
{
    size_t sent = 0;
    for (int stuck = 0; sent < n && stuck < 3;) {
        ssize_t put = send(fd, p + sent, n - sent, MSG_NOSIGNAL);
        if (put > 0)
            sent += (size_t)put;
        stuck = put > 0 ? 0 : stuck + 1;
        turn(f);
    }
    return sent;
}

static inline void send_text(fixture *f, int fd, const char *text)
{
    assert_int_equal(send_bytes(f, fd, text, strlen(text)), strlen(text));
}

/* What has come, terminated; f->eof: and no more will. */
static inline const char *receive(fixture *f, int fd)
{
    f->text_n = 0;
    f->eof = false;
    for (;;) {
        if (f->text_cap - f->text_n < 4096)
            f->text = realloc(f->text, f->text_cap = f->text_cap * 2 + 65536);
        ssize_t n = recv(fd, f->text + f->text_n, f->text_cap - f->text_n - 1, 0);
        f->eof = n == 0 || (n < 0 && errno != EAGAIN);
        if (n <= 0)
            break;
        f->text_n += (size_t)n;
        turn(f);
    }
    f->text[f->text_n] = '\0';
    return f->text;
}

/* A new client whose call is held while the reply to what it sent before waits for the socket, which
 * is full: the client has not read what it got before that. */
static inline int hold_behind_a_reply(fixture *f)
{
    int fd = connect_client(f), small = 1, held = f->n_held;
    sl_conn *c = f->server->shards[0].conns;
    send_text(f, fd, "GET /big?20000 HTTP/1.1\r\n\r\n");
    assert_int_equal(c->out.size, 0);
    assert_int_equal(setsockopt(c->io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    send_text(f, fd, "GET /big?4000 HTTP/1.1\r\n\r\nGET /hold HTTP/1.1\r\n\r\n");
    assert_int_equal(f->n_held, held + 1);
    assert_true(c->out.size > 4000);
    return fd;
}

static inline const char *exchange_text(fixture *f, int fd, const char *text)
{
    send_bytes(f, fd, text, strlen(text)); /* perhaps not all of it: the reply tells */
    return receive(f, fd);
}

#endif
