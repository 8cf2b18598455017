/*
 * fuzz_http_request.c - a whole connection, fed the same bytes in two ways, must say the same
 *
 * The first two bytes seed the sizes of the pieces in which the rest is read, and of what the peer
 * takes of each write, and choose calls that are answered later. The reference is the same input
 * read in one piece and answered at once. Replies must be equal byte for byte, but for "100
 * Continue", which depends on whether the body has come yet.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/conn.h"

#include "faults.h"

enum { MAX_INPUT = 1 << 20 };

typedef struct memory_io {
    const uint8_t *in;
    size_t in_n, at;
    uint32_t random; /* 0: everything in one piece */
    bool hungry;     /* the next read finds nothing */
    bool freed;
    sl_text out;
} memory_io;

static memory_io io;
static sl_http_call *held; /* to be answered later */

static uint32_t draw(void)
{
    return io.random = (io.random * 1664525u + 1013904223u) | 1;
}

static size_t piece(size_t n)
{
    if (io.random == 0 || n == 0)
        return n;
    draw();
    size_t most = (io.random >> 20 & 3) == 0 ? 5000 : io.random >> 24 & 15;
    size_t want = 1 + (io.random >> 8) % (most + 1);
    return want < n ? want : n;
}

static ssize_t mem_read(sl_io *unused, void *p, size_t n)
{
    (void)unused;
    if (io.at == io.in_n)
        return 0;
    io.hungry = io.random != 0 && !io.hungry;
    if (io.hungry) {
        errno = EAGAIN;
        return -1;
    }
    size_t take = piece(n < io.in_n - io.at ? n : io.in_n - io.at);
    memcpy(p, io.in + io.at, take);
    io.at += take;
    return (ssize_t)take;
}

static ssize_t mem_writev(sl_io *unused, const struct iovec *v, int n)
{
    size_t all = 0, left;
    (void)unused;
    for (int i = 0; i < n; i++)
        all += v[i].iov_len;
    left = all = piece(all);
    for (int i = 0; i < n && left > 0; i++) {
        size_t take = v[i].iov_len < left ? v[i].iov_len : left;
        sl_text_add(&io.out, v[i].iov_base, take);
        left -= take;
    }
    return (ssize_t)all;
}

static void mem_shutdown(sl_io *unused)
{
    (void)unused;
}

static size_t mem_buffered(sl_io *unused)
{
    (void)unused;
    return 0;
}

static void mem_free(sl_io *unused)
{
    (void)unused;
    io.freed = true;
}

static const sl_io_ops memory_ops = {.read = mem_read,
                                     .writev = mem_writev,
                                     .shutdown = mem_shutdown,
                                     .buffered = mem_buffered,
                                     .free = mem_free};

/* Everything that the handler can see becomes part of the reply. */
static void on_call(sl_http_call *call, void *arg)
{
    (void)arg;
    sl_chain_printf(&call->reply, "%d %d %llu %d\n", (int)call->method, call->version,
                    (unsigned long long)call->wire_bytes, call->body_undecodable);
    sl_chain_add(&call->reply, call->target.p, call->target.n);
    sl_chain_add(&call->reply, call->path.p, call->path.n);
    for (int i = 0; i < call->n_headers; i++) {
        sl_chain_add(&call->reply, call->headers[i].name.p, call->headers[i].name.n);
        sl_chain_add(&call->reply, call->headers[i].value.p, call->headers[i].value.n);
    }
    sl_chain_add(&call->reply, call->body.p, call->body.n);
    if (io.random != 0 && draw() >> 28 == 0)
        held = call;
    else
        sl_http_reply(call);
}

static void on_error(int status, const char *message, sl_chain *body, const char **type, void *arg)
{
    (void)arg;
    *type = "text/plain";
    sl_chain_printf(body, "%d %s", status, message);
}

static sl_http_server *server;
static sl_loop *loop;

static void set_up(void)
{
    sl_http_options o = {.on_call = on_call, .on_error = on_error};
    sl_http_limits_default(&o.limits);
    o.limits.max_head = 20000;
    o.limits.max_headers = 20;
    o.limits.max_body = 100000;
    o.limits.max_decoded = 200000;
    sl_clock_fake(784111777000000000);
    if (sl_loop_new(&loop, NULL) != SL_OK ||
        sl_http_listen(&loop, 1, "127.0.0.1:0", &o, &server, NULL, NULL) != SL_OK)
        abort();
    sl_loop_turn(loop, false); /* this thread is the loop's */
}

static char *converse(const uint8_t *data, size_t size, uint32_t random, size_t *n)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    io = (memory_io){.in = data, .in_n = size, .random = random};
    sl_shard *s = &server->shards[0];
    if (sl_shard_adopt(s, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), &peer) != SL_OK) {
        broken();
        *n = 0;
        return NULL;
    }
    sl_conn *c = s->conns;
    c->io.ops = &memory_ops;
    for (size_t steps = 0; !io.freed; steps++) {
        if (steps > 4 * size + 100000)
            abort(); /* it does not come to an end */
        if (held != NULL && draw() >> 30 == 0) {
            sl_http_call *call = held;
            held = NULL;
            sl_http_reply(call);
        } else {
            c->watch.ready(&c->watch, c->watch.events & (EPOLLIN | EPOLLOUT));
        }
    }
    if (atomic_load(&server->n_conns) != 0 || atomic_load(&server->budget.used) != 0)
        abort();
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    const size_t interim_n = sizeof interim - 1;
    size_t to = 0;
    for (size_t i = 0; i < io.out.n;) {
        if (io.out.n - i >= interim_n && memcmp(io.out.p + i, interim, interim_n) == 0)
            i += interim_n;
        else
            io.out.p[to++] = io.out.p[i++];
    }
    *n = to;
    return io.out.p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t whole_n, parts_n;
    if (server == NULL)
        set_up();
    if (size < 2 || size > MAX_INPUT)
        return 0;
    /* HTTP/2 answers as the frames come, and not the same each time: fuzz_http_http2 is for
     * that. */
    static const char preface[] = "PRI * HTTP/2.0";
    if (size - 2 >= sizeof preface - 1 && memcmp(data + 2, preface, sizeof preface - 1) == 0)
        return 0;
    uint32_t random = (uint32_t)data[0] << 8 | data[1];
    char *whole = converse(data + 2, size - 2, 0, &whole_n);
    char *parts = converse(data + 2, size - 2, random * 2654435761u | 1, &parts_n);
    if (whole_n != parts_n || (whole_n && memcmp(whole, parts, whole_n) != 0))
        broken();
    sl_free(whole);
    sl_free(parts);
    return 0;
}
