/*
 * server.c - listening, connections of all loops, the end
 *
 * The loop that accepts a connection gives it to the loop that has the fewest: SO_REUSEPORT spreads
 * by hash, which is uneven for the few long-lived connections that gateways hold.
 */
#include <assert.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/http2.h"

enum { ARENA_RESERVE = 4096, REFUSED_AT_ONCE = 256 };

void sl_http_limits_default(sl_http_limits *l)
{
    const uint64_t second = 1000000000u;
    *l = (sl_http_limits){
        .max_head = 64 * 1024,
        .max_headers = 256,
        .max_body = (size_t)1 << 30,
        .max_chunks = 16 << 20,
        .max_decoded = 100 << 20,
        .head_timeout_ns = 30 * second,
        .idle_timeout_ns = 600 * second,
        .min_rate = 100,
        .handshake_timeout_ns = 10 * second,
        .max_handshakes = 1024,
        .max_connections = 65536,
        .max_streams = 1000,
        .max_unsent = 64 << 20,
        .max_resets = 1000,
        .max_useless = 10000,
    };
}

void sl_http_h2_options_default(sl_http_h2_options *o)
{
    *o = (sl_http_h2_options){
        .keepalive_time_ms = 2 * 3600 * 1000,
        .keepalive_timeout_ms = 20 * 1000,
        .min_ping_interval_without_data_ms = 5 * 60 * 1000,
        .max_ping_strikes = 2,
        .max_connection_age_ms = INT_MAX,
        .max_connection_age_grace_ms = INT_MAX,
        .max_connection_idle_ms = INT_MAX,
    };
}

/* An owner that says nothing about HTTP/2 serves others than gRPC's clients. */
static void fill_h2_options(sl_http_h2_options *o)
{
    if (o->keepalive_time_ms != 0)
        return;
    sl_http_h2_options_default(o);
    o->max_ping_strikes = 0;
}

/* ---- exchanges ---- */

static void free_exchange(sl_exchange *x)
{
    sl_head_fini(&x->head);
    sl_arena_fini(&x->arena);
    sl_buffer_release(x->recv);
    sl_chain_reset(&x->call.reply);
    sl_chain_reset(&x->call.head);
    sl_body_reset(&x->body);
    sl_body_reset(&x->decoded);
    sl_free(x->spare);
    sl_free(x);
}

static sl_piece *new_spare(void)
{
    sl_piece *p = sl_try_malloc(sizeof *p + SL_SPARE_PIECE);
    if (p != NULL)
        *p = (sl_piece){.data = (char *)(p + 1), .cap = SL_SPARE_PIECE};
    return p;
}

static sl_exchange *new_exchange(sl_shard *s)
{
    sl_exchange *x = sl_try_calloc(1, sizeof *x);
    if (x == NULL)
        return NULL;
    if (sl_arena_init(&x->arena, ARENA_RESERVE) != SL_OK) {
        sl_free(x);
        return NULL;
    }
    x->body.budget = x->decoded.budget = s->server->shared;
    return x;
}

sl_exchange *sl_exchange_take(sl_shard *s)
{
    sl_exchange *x = s->pool;
    if (x != NULL) {
        s->pool = x->next;
        s->n_pool--;
    } else if ((x = new_exchange(s)) == NULL) {
        return NULL;
    }
    if (x->recv == NULL)
        x->recv = sl_buffer_try_new(SL_RECV_SIZE);
    if (x->spare == NULL)
        x->spare = new_spare();
    if (x->recv != NULL && x->spare != NULL)
        return x;
    free_exchange(x);
    return NULL;
}

void sl_exchange_give(sl_shard *s, sl_exchange *x)
{
    sl_buffer *b = x->recv;
    if (s->n_pool >= SL_POOLED_EXCHANGES || x->call.started_ns != 0 || x->head.cap > 256) {
        free_exchange(x);
        return;
    }
    if (b->size > SL_RECV_SIZE || __atomic_load_n(&b->refs, __ATOMIC_ACQUIRE) > 1) {
        sl_buffer_release(b);
        x->recv = NULL;
    }
    x->conn = NULL;
    x->start = x->end = 0;
    x->next = s->pool;
    s->pool = x;
    s->n_pool++;
}

/* ---- connections ---- */

static void open_here(void *arg)
{
    sl_conn *c = arg;
    sl_shard *s = c->shard;
    c->next = s->conns;
    c->prev = &s->conns;
    if (c->next != NULL)
        c->next->prev = &c->next;
    s->conns = c;
    sl_conn_open(c);
}

/* The loop with the fewest; this one if it is among them. */
static sl_shard *least_loaded(sl_shard *here)
{
    sl_http_server *v = here->server;
    sl_shard *best = here;
    int fewest = atomic_load_explicit(&here->n_conns, memory_order_relaxed);
    for (int i = 0; i < v->n_shards; i++) {
        int n = atomic_load_explicit(&v->shards[i].n_conns, memory_order_relaxed);
        if (n < fewest) {
            fewest = n;
            best = &v->shards[i];
        }
    }
    return best;
}

static sl_conn *new_conn(sl_shard *s, int fd, const struct sockaddr_storage *peer)
{
    sl_conn *c = sl_try_calloc(1, sizeof *c);
    if (c == NULL) {
        close(fd);
        return NULL;
    }
    c->shard = s;
    c->io.fd = fd;
    c->peer_n = (unsigned char)sl_address_text(peer, c->peer, sizeof c->peer);
    atomic_fetch_add(&s->n_conns, 1);
    atomic_fetch_add(&s->server->n_conns, 1);
    int n = atomic_fetch_add(&s->server->family->n_conns, 1);
    int max = s->server->opts.limits.max_connections;
    c->refuse = max > 0 && n >= max;
    return c;
}

sl_code sl_shard_adopt(sl_shard *s, int fd, const struct sockaddr_storage *peer)
{
    sl_conn *c = new_conn(s, fd, peer);
    if (c == NULL)
        return SL_RESOURCE_EXHAUSTED;
    open_here(c);
    return SL_OK;
}

static void accepted(sl_listener *l, int fd, const struct sockaddr_storage *peer)
{
    sl_shard *here = (sl_shard *)((char *)l - offsetof(sl_shard, listener)), *s;
    const sl_http_server *v = here->server;
    int max = v->opts.limits.max_connections;
    if (max > 0 && atomic_load(&v->family->n_conns) >= max + REFUSED_AT_ONCE) {
        close(fd); /* not even a refusal for everybody */
        return;
    }
    s = least_loaded(here);
    sl_conn *c = new_conn(s, fd, peer);
    if (c == NULL)
        return;
    if (s == here)
        open_here(c);
    else
        sl_loop_post(s->loop, &c->handover, open_here, c);
}

/* No descriptor is left for those that connect. */
static bool crowded(sl_listener *l)
{
    return sl_crowd_make_room((sl_shard *)((char *)l - offsetof(sl_shard, listener)));
}

/* ---- the family ---- */

static void join_family(sl_http_server *v)
{
    v->elder = atomic_load(&v->family->newest);
    atomic_store(&v->family->newest, v); /* loops of the others may look at it already */
}

/* The loops do not run. */
static void leave_family(sl_http_server *v)
{
    sl_http_server *o = atomic_load(&v->family->newest);
    if (o == v)
        atomic_store(&v->family->newest, v->elder);
    for (; o != NULL; o = o->elder)
        if (o->elder == v)
            o->elder = v->elder;
}

/* ---- listening ---- */

static void start_listening(void *arg)
{
    sl_shard *s = arg;
    sl_status st;
    if (!s->draining && sl_listener_start(&s->listener, s->loop, &st) != SL_OK)
        sl_log(SL_ERROR, "a loop does not accept connections: %s", st.msg);
}

static sl_code init_shards(sl_http_server *v, struct sl_loop *const *loops, const int *fds,
                           bool shared, sl_status *st)
{
    for (int i = 0; i < v->n_shards; i++) {
        sl_shard *s = &v->shards[i];
        s->server = v;
        s->loop = loops[i];
        s->listener =
            (sl_listener){.fd = fds[i], .accepted = accepted, .crowded = crowded, .shared = shared};
        sl_ring_init(&s->shakes);
        sl_ring_init(&s->later);
        sl_crowd_init(s);
        s->scratch = sl_try_malloc(SL_SCRATCH_SIZE);
        if (s->scratch == NULL)
            return sl_fail(st, SL_RESOURCE_EXHAUSTED, "no memory for an HTTP server");
    }
    return SL_OK;
}

static sl_http_server *new_server(int n_loops, const sl_http_options *opts)
{
    sl_http_server *v = sl_try_calloc(1, sizeof *v);
    if (v == NULL)
        return NULL;
    v->opts = *opts;
    fill_h2_options(&v->opts.h2);
    v->budget.max = (int64_t)opts->limits.max_inflight;
    v->shared = opts->budget ? opts->budget : &v->budget;
    v->family = opts->family ? opts->family : &v->alone;
    v->n_shards = n_loops;
    v->shards = sl_try_calloc((size_t)n_loops, sizeof *v->shards);
    if (v->shards == NULL) {
        sl_free(v);
        return NULL;
    }
    for (int i = 0; i < n_loops; i++)
        v->shards[i].listener.fd = -1;
    v->opts.tls = sl_tls_acquire(opts->tls);
    return v;
}

sl_code sl_http_listen(struct sl_loop *const *loops, int n_loops, const char *address,
                       const sl_http_options *opts, sl_http_server **out, int *port, sl_status *st)
{
    enum { MAX_LOOPS = 1024 };
    int fds[MAX_LOOPS];
    sl_address a;
    assert(n_loops > 0 && n_loops <= MAX_LOOPS);
    sl_code rc = sl_address_parse(address, &a, st);
    a.mode = opts->unix_mode;
    a.share = opts->share_port;
    if (rc != SL_OK || (rc = sl_listen_sockets(&a, n_loops, fds, st)) != SL_OK)
        return rc;
    bool shared = a.any.sa_family == AF_UNIX && n_loops > 1;
    sl_http_server *v = new_server(n_loops, opts);
    rc = v ? init_shards(v, loops, fds, shared, st)
           : sl_fail(st, SL_RESOURCE_EXHAUSTED, "no memory for an HTTP server");
    if (rc != SL_OK) {
        for (int i = 0; i < n_loops; i++)
            if (v == NULL || v->shards[i].listener.fd < 0)
                close(fds[i]);
        sl_address_remove(&a);
        sl_http_free(v);
        return rc;
    }
    for (int i = 0; i < n_loops; i++)
        sl_loop_post(loops[i], &v->shards[i].start, start_listening, &v->shards[i]);
    v->address = a;
    join_family(v);
    if (port != NULL)
        *port = a.port;
    *out = v;
    return SL_OK;
}

/* ---- the end ---- */

/* Called whenever one of the two conditions may have become true. */
static void check_drained(sl_http_server *v)
{
    if (atomic_load(&v->n_drained) < v->n_shards || atomic_load(&v->n_conns) > 0)
        return;
    if (!atomic_exchange(&v->drained, true) && v->done != NULL)
        v->done(v->done_arg);
}

void sl_shard_left(sl_shard *s)
{
    atomic_fetch_sub(&s->n_conns, 1);
    atomic_fetch_sub(&s->server->n_conns, 1);
    atomic_fetch_sub(&s->server->family->n_conns, 1);
    check_drained(s->server);
}

static void leave_here(void *arg)
{
    sl_shard *s = arg;
    const sl_http_server *v = s->server;
    s->leaving = true;
    if (s == v->shards && v->address.share && v->address.any.sa_family != AF_UNIX &&
        s->listener.fd >= 0)
        sl_listener_point_away(&s->listener, v->n_shards);
}

void sl_http_leave(sl_http_server *v)
{
    for (int i = 0; i < v->n_shards; i++)
        sl_loop_post(v->shards[i].loop, &v->shards[i].leave, leave_here, &v->shards[i]);
}

static void drain_here(void *arg)
{
    sl_shard *s = arg;
    s->draining = true;
    sl_listener_stop(&s->listener);
    s->to_drain = s->conns;
    for (sl_conn *c; (c = s->to_drain) != NULL;) {
        s->to_drain = c->next; /* which may end in the turn of `c` */
        sl_conn_drain(c);
    }
    atomic_fetch_add(&s->server->n_drained, 1);
    check_drained(s->server);
}

void sl_http_drain(sl_http_server *v, void (*done)(void *), void *arg)
{
    if (atomic_exchange(&v->draining, true))
        return;
    v->done = done;
    v->done_arg = arg;
    sl_address_remove(&v->address);
    for (int i = 0; i < v->n_shards; i++)
        sl_loop_post(v->shards[i].loop, &v->shards[i].drain, drain_here, &v->shards[i]);
}

static void free_shard(sl_shard *s)
{
    if (s->listener.fd >= 0) {
        sl_watch_stop(&s->listener.watch);
        sl_timer_stop(&s->listener.pause);
        close(s->listener.fd);
    }
    while (s->conns != NULL)
        sl_conn_close(s->conns);
    while (s->pool != NULL) {
        sl_exchange *x = s->pool;
        s->pool = x->next;
        free_exchange(x);
    }
    while (s->streams != NULL) {
        sl_h2_stream *stream = s->streams;
        s->streams = stream->next;
        sl_h2_stream_free(stream);
    }
    sl_free(s->batch);
    sl_free(s->reserve);
    sl_free(s->scratch);
}

void sl_http_free(sl_http_server *v)
{
    if (v == NULL)
        return;
    v->done = NULL;
    if (!atomic_load(&v->draining))
        sl_address_remove(&v->address);
    for (int i = 0; i < v->n_shards; i++)
        free_shard(&v->shards[i]);
    leave_family(v);
    sl_tls_release(v->opts.tls);
    sl_free(v->shards);
    sl_free(v);
}

void sl_http_get_stats(const sl_http_server *v, sl_http_stats *out)
{
    *out = (sl_http_stats){.connections = atomic_load(&v->n_conns),
                           .inflight_bytes = atomic_load(&v->shared->used)};
    for (int i = 0; i < v->n_shards; i++)
        out->calls += atomic_load_explicit(&v->shards[i].n_calls, memory_order_relaxed);
}
