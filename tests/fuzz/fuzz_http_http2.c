/*
 * fuzz_http_http2.c - frames from a hostile client: whatever comes, the connection comes to its end
 *
 * The first two bytes seed the sizes of reads and writes, when held calls are answered, and when
 * time passes; the rest is what the client sends behind preface and SETTINGS. Every call must be
 * answered once, no body stay charged, every stream reported at most once, and the connection be
 * freed.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/http2.h"

#include "faults.h"

enum { MAX_INPUT = 1 << 20, MAX_HELD = 2000 };
static const char BEGIN[] = NGHTTP2_CLIENT_MAGIC "\0\0\0\4\0\0\0\0\0";

static struct {
    const uint8_t *in;
    size_t n, begin_at, at;
    uint32_t random, told; /* told: for what comes of on_done alone */
    int silent;            /* reads that find nothing before the end of input */
    bool freed;
} io;
static sl_http_call *held[MAX_HELD];
static int n_held, n_calls, n_done;
static sl_http_server *server;
static sl_loop *loop;
static uint64_t now;

static uint32_t draw(void)
{
    io.random = io.random * 1664525u + 1013904223u;
    return io.random >> 8;
}

static ssize_t mem_read(sl_io *unused, void *p, size_t n)
{
    size_t begin_n = sizeof BEGIN - 1;
    (void)unused;
    if (io.begin_at < begin_n) {
        size_t take = SL_MIN(n, begin_n - io.begin_at);
        memcpy(p, BEGIN + io.begin_at, take);
        io.begin_at += take;
        return (ssize_t)take;
    }
    size_t left = io.n - io.at;
    if (left == 0 && io.silent-- <= 0)
        return 0;
    if (left == 0 || draw() % 8 == 0) {
        errno = EAGAIN;
        return -1;
    }
    size_t most = draw() % 4 == 0 ? 20 : 100000, take = 1 + draw() % most;
    take = SL_MIN(take, SL_MIN(n, left));
    memcpy(p, io.in + io.at, take);
    io.at += take;
    return (ssize_t)take;
}

static ssize_t mem_writev(sl_io *unused, const struct iovec *v, int n)
{
    size_t all = 0;
    volatile char sum = 0;
    (void)unused;
    for (int i = 0; i < n; i++) {
        for (size_t k = 0; k < v[i].iov_len; k++)
            sum = (char)(sum + ((char *)v[i].iov_base)[k]); /* it must be there */
        all += v[i].iov_len;
    }
    uint32_t what = draw() % 8;
    if (what == 0) {
        errno = EAGAIN;
        return -1;
    }
    return (ssize_t)(what < 3 ? 1 + draw() % all : all);
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

/* ---- the handler ---- */

static void answer(sl_http_call *call)
{
    static const int sizes[] = {0, 1, 100, 5000, 70000, 300000};
    size_t n = (size_t)sizes[draw() % SL_COUNTOF(sizes)];
    for (size_t i = 0; i < n; i += 1000) /* pieces */
        sl_chain_printf(&call->reply, "%1000d", 1);
    if (draw() % 4 == 0)
        sl_chain_puts(&call->trailers, "grpc-status: 0\r\n");
    sl_http_reply(call);
}

static void on_cancel(sl_http_call *call)
{
    if (call->user != NULL || draw() % 2)
        return;
    for (int i = 0; i < n_held; i++)
        if (held[i] == call) {
            held[i] = held[--n_held];
            sl_http_reply(call);
            return;
        }
}

static void on_data(sl_http_call *call, sl_str data, bool end)
{
    sl_chain_add(&call->reply, data.p, data.n);
    if (sl_http_charge(call, data.n) && draw() % 2 && !end) {
        sl_http_send(call);
        if (draw() % 8 == 0)
            sl_http_pause(call, draw() % 2);
    } else if (end || draw() % 64 == 0) {
        for (int i = 0; i < n_held; i++)
            if (held[i] == call)
                held[i] = held[--n_held];
        sl_http_reply(call);
    }
}

static int on_head(sl_http_call *call, const char **message, void *arg)
{
    (void)arg;
    *message = "no";
    if (call->method == SL_HTTP_PUT)
        call->on_data = on_data;
    return call->method == SL_HTTP_DELETE ? 403 : 0;
}

static void on_call(sl_http_call *call, void *arg)
{
    (void)arg;
    n_calls++;
    call->on_cancel = on_cancel;
    size_t sum = call->body.n;
    for (int i = 0; i < call->n_headers; i++)
        sum +=
            call->headers[i].name.n + sl_hash(call->headers[i].value.p, call->headers[i].value.n);
    sl_chain_printf(&call->reply, "%zu\n", sum + sl_hash(call->body.p, call->body.n));
    if (call->on_data != NULL || (draw() % 4 == 0 && n_held < MAX_HELD))
        held[n_held++] = call;
    else
        answer(call);
}

static void on_error(int status, const char *message, sl_chain *body, const char **type, void *arg)
{
    (void)arg;
    *type = "text/plain";
    sl_chain_printf(body, "%d %s", status, message);
}

static void on_done(sl_http_call *call, int status, uint64_t sent, void *arg)
{
    (void)status, (void)sent, (void)arg;
    n_done += call != NULL;
    io.told = io.told * 1664525u + 1013904223u;
    if (n_held > 0 && io.told >> 29 == 0) /* the end of one call may be the answer to another */
        answer(held[--n_held]);
}

static void set_up(void)
{
    sl_http_options o = {
        .on_call = on_call, .on_head = on_head, .on_error = on_error, .on_done = on_done};
    sl_http_limits_default(&o.limits);
    o.limits.max_head = 20000;
    o.limits.max_headers = 20;
    o.limits.max_body = 100000;
    o.limits.max_decoded = 200000;
    o.limits.max_inflight = 300000;
    o.limits.max_streams = 50;
    o.limits.max_unsent = 500000;
    o.limits.max_resets = 50;
    o.limits.max_useless = 100;
    o.limits.compress_min = 50000;
    sl_http_h2_options_default(&o.h2);
    o.h2.max_connection_age_ms = 3600000;
    o.h2.max_connection_idle_ms = 100000;
    sl_clock_fake(now = 784111777000000000);
    if (sl_loop_new(&loop, NULL) != SL_OK ||
        sl_http_listen(&loop, 1, "127.0.0.1:0", &o, &server, NULL, NULL) != SL_OK)
        abort();
    sl_loop_turn(loop, false); /* this thread is the loop's */
}

static void step(sl_conn *c)
{
    uint32_t what = draw() % 32;
    if (n_held > 0 && (what < 4 || io.silent < 0)) {
        sl_http_call *call = held[what % (uint32_t)n_held];
        held[what % (uint32_t)n_held] = held[n_held - 1];
        n_held--;
        answer(call);
    } else if (what == 4) {
        sl_clock_fake(now += draw() % 40 * 1000000000ull);
        sl_loop_turn(loop, false);
    } else if (c->watch.loop != NULL) {
        c->watch.ready(&c->watch, c->watch.events & (EPOLLIN | EPOLLOUT));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    if (server == NULL)
        set_up();
    if (size < 2 || size > MAX_INPUT)
        return 0;
    memset(&io, 0, sizeof io);
    io.in = data + 2;
    io.n = size - 2;
    io.random = ((uint32_t)data[0] << 8 | data[1]) * 2654435761u;
    io.told = io.random;
    io.silent = 200;
    n_calls = n_done = 0;
    sl_shard *s = &server->shards[0];
    if (sl_shard_adopt(s, eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), &peer) != SL_OK) {
        broken();
        return 0;
    }
    sl_conn *c = s->conns;
    c->io.ops = &memory_ops;
    for (size_t steps = 0; !io.freed; steps++) {
        if (steps > 40 * size + 200000)
            abort(); /* it does not come to an end */
        step(c);
    }
    if (atomic_load(&server->n_conns) != 0 || atomic_load(&server->budget.used) != 0 ||
        n_held != 0 || n_calls != n_done)
        abort();
    return 0;
}
