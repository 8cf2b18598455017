/*
 * ports.c - where the server listens, and with which limits
 *
 * gRPC first, then REST; which flags mean which addresses is places.h. The admin interface
 * has workers of its own, so that a crowd of requests does not keep the operator out.
 */
#include <stdio.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "fetch/place.h"
#include "server/channel_args.h"
#include "server/parts.h"

/* Models need descriptors, too: an eighth of those that the process may have is theirs. */
static int most_connections(const sl_flags *f)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0)
        return f->max_connections;
    rlim_t left = r.rlim_cur - SL_MAX(r.rlim_cur / 8, SL_MIN(r.rlim_cur / 2, (rlim_t)100));
    return left < (rlim_t)f->max_connections ? (int)left : f->max_connections;
}

/* ---- steps of TLS handshakes, on workers that have nothing else to do ---- */

_Static_assert(sizeof(sl_job) <= sizeof(((sl_http_work *)0)->room), "a job fits into the work");

static void run_work(sl_job *job, sl_code verdict)
{
    sl_http_work *work = (sl_http_work *)((char *)job - offsetof(sl_http_work, room));
    (void)verdict; /* it is done in any case */
    work->run(work);
}

static bool elsewhere(sl_http_work *work, void *arg)
{
    sl_workers *workers = ((sl_server *)((char *)arg - offsetof(sl_server, api)))->workers;
    sl_job *job = (sl_job *)work->room;
    sl_status st;
    *job = (sl_job){.run = run_work};
    return sl_workers_idle(workers) && sl_workers_submit(workers, job, &st) == SL_OK;
}

/* ---- limits ---- */

static void http_options(sl_server *s, bool for_grpc, sl_http_options *o)
{
    const sl_flags *f = s->flags;
    *o = (sl_http_options){.on_call = sl_api_on_call,
                           .on_head = sl_api_on_head,
                           .on_error = sl_api_on_error,
                           .on_call_error = sl_api_on_call_error,
                           .on_refused = sl_api_on_refused,
                           .on_connect = sl_api_on_connect,
                           .on_disconnect = sl_api_on_disconnect,
                           .is_proxy = sl_api_is_proxy,
                           .elsewhere = elsewhere,
                           .arg = &s->api};
    o->share_port = f->reuse_port;
    o->listener = for_grpc ? SL_ON_GRPC : SL_ON_REST;
    sl_http_limits_default(&o->limits);
    o->limits.max_head = (size_t)f->max_head_bytes;
    o->limits.max_headers = f->max_header_lines;
    o->limits.max_body = (size_t)f->max_body_bytes;
    o->limits.max_chunks = (uint64_t)f->max_chunks;
    o->limits.max_decoded = (size_t)f->max_decoded_bytes;
    o->limits.max_ratio = f->max_compression_ratio > 0 ? (size_t)f->max_compression_ratio : 0;
    o->budget = &s->inflight;
    o->limits.head_timeout_ns = (uint64_t)f->head_timeout_s * 1000000000u;
    o->limits.idle_timeout_ns = (uint64_t)f->idle_timeout_s * 1000000000u;
    o->limits.min_rate = (uint64_t)f->min_rate;
    o->limits.handshake_timeout_ns = (uint64_t)f->tls_handshake_timeout_s * 1000000000u;
    o->limits.max_handshakes = f->max_tls_handshakes;
    o->limits.max_connections = most_connections(f);
    o->family = &s->family;
    o->limits.max_streams = f->max_concurrent_streams;
    o->limits.max_unsent = (size_t)f->max_unsent_bytes;
    o->limits.max_resets = f->max_resets;
    o->limits.max_useless = f->max_useless_frames;
    o->limits.compress_min = (size_t)f->rest_api_compress_min_bytes;
    if (!for_grpc)
        return;
    o->limits.max_body = s->grpc.opt.frame.max_message + SL_GRPC_PREFIX;
    sl_http_h2_options_default(&o->h2);
    sl_channel_args_apply(f, o);
}

/* Behind a proxy that ends TLS that is as it should be, so it is only said. */
static void warn_if_open(const sl_server *s, const char *what, const char *address,
                         const sl_tls *tls)
{
    if (tls == NULL && strncmp(address, "unix:", 5) != 0 &&
        !sl_fetch_is_loopback(sl_str_of(address)) &&
        sl_guard_has_identities(sl_auth_guard(s->auth)))
        sl_log(SL_WARNING,
               "%s at %s is not encrypted: whoever is on the way reads the credentials that "
               "clients send, unless a proxy ends TLS there; --tls_cert_file, --tls_key_file",
               what, address);
}

static sl_code listen_at(sl_server *s, const sl_place *p, const char *address, sl_status *st)
{
    sl_http_options o;
    bool for_grpc = p->kind == SL_PLACE_GRPC, encrypted;
    sl_tls *tls = for_grpc ? s->certificates.grpc.tls : s->certificates.rest.tls;
    sl_code rc = sl_place_scheme(p->kind, &address, tls != NULL, &encrypted, st);
    if (rc)
        return rc;
    if (s->n_http == SL_MAX_LISTENERS)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d addresses to listen on",
                       SL_MAX_LISTENERS);
    http_options(s, for_grpc, &o);
    o.tls = encrypted ? tls : NULL;
    rc = sl_http_listen(s->loops, s->n_loops, address, &o, &s->http[s->n_http], NULL, st);
    if (rc)
        return rc;
    s->n_http++;
    warn_if_open(s, for_grpc ? "gRPC" : "REST", address, o.tls);
    return SL_OK;
}

static sl_code listen_on_all(sl_server *s, sl_place_kind kind, sl_status *st)
{
    sl_place p;
    for (sl_place_walk w = {.kind = kind}; sl_place_next(s->flags, &w, &p);) {
        sl_code rc = listen_at(s, &p, p.address, st);
        if (rc && p.fallback[0])
            rc = listen_at(s, &p, p.fallback, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code start_loops(sl_server *s, sl_status *st)
{
    for (; s->n_loops_started < s->n_loops; s->n_loops_started++) {
        char name[24];
        snprintf(name, sizeof name, "loop/%d", s->n_loops_started);
        sl_code rc = sl_loop_start(s->loops[s->n_loops_started], name, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

/* One loop is enough for it. */
sl_code sl_ports_open_admin(sl_server *s, sl_status *st)
{
    enum { THREADS = 4, MOST_WAITING = 64, MOST_BYTES = 64 << 20 };
    const char *address;
    bool encrypted;
    sl_place place;
    sl_place_walk walk = {.kind = SL_PLACE_ADMIN};
    sl_workers_options w = {
        .threads = THREADS, .max_queue = MOST_WAITING, .max_wait_ns = UINT64_MAX};
    sl_http_options o;
    sl_admin_options a = {.rest = &s->rest,
                          .reload_text = sl_reload_text,
                          .reload_wire = sl_reload_wire,
                          .current = sl_reload_current};
    int port = 0;
    if (!sl_place_next(s->flags, &walk, &place))
        return SL_OK;
    address = place.address;
    sl_code rc =
        sl_place_scheme(place.kind, &address, s->certificates.admin.tls != NULL, &encrypted, st);
    if (rc == SL_OK)
        rc = sl_admin_check_address(address, sl_auth_guard(s->auth), st);
    if (rc == SL_OK)
        rc = sl_workers_new(&w, &s->admin_workers, st);
    if (rc)
        return rc;
    a.workers = s->admin_workers;
    sl_admin_init(&s->admin, &a);
    http_options(s, false, &o);
    o.on_call = sl_admin_on_call;
    o.on_head = NULL;
    o.on_error = sl_rest_on_error;
    o.on_call_error = NULL;
    o.on_refused = NULL;
    o.on_connect = NULL; /* networks are looked at with each request */
    o.on_disconnect = NULL;
    o.is_proxy = NULL;
    o.elsewhere = NULL;
    o.listener = SL_ON_ADMIN;
    o.share_port = place.share;
    o.family = NULL;
    o.arg = &s->admin;
    o.limits.max_body = o.limits.max_decoded = MOST_BYTES;
    o.unix_mode = place.mode;
    o.tls = encrypted ? s->certificates.admin.tls : NULL;
    rc = sl_http_listen(s->loops, 1, address, &o, &s->http[s->n_http], &port, st);
    if (rc)
        return rc;
    s->n_http++;
    warn_if_open(s, "the admin interface", address, o.tls);
    sl_log(SL_INFO, "Exporting admin interface at:%s (port %d)", address, port);
    return start_loops(s, st);
}

/* ---- probes on a port of their own ---- */

static void on_health_call(sl_http_call *call, void *arg)
{
    sl_server *s = (sl_server *)((char *)arg - offsetof(sl_server, api));
    if (sl_rest_probe(&s->rest, call))
        return;
    call->status = 404;
    call->content_type = "text/plain";
    sl_chain_puts(&call->reply, "/healthz, /readyz, /startupz and /metrics are here\n");
    sl_http_reply(call);
}

/* Plain HTTP: who asks is the kubelet or a load balancer, and what is said is no secret. */
sl_code sl_ports_open_health(sl_server *s, sl_status *st)
{
    enum { MOST_BODY = 4096 };
    sl_http_options o;
    sl_place p;
    sl_place_walk w = {.kind = SL_PLACE_HEALTH};
    if (!sl_place_next(s->flags, &w, &p))
        return SL_OK;
    http_options(s, false, &o);
    o.on_call = on_health_call;
    o.share_port = p.share;
    o.on_head = NULL;
    o.elsewhere = NULL;
    o.limits.max_body = o.limits.max_decoded = MOST_BODY;
    const char *address = p.address;
    sl_code rc = sl_http_listen(s->loops, 1, address, &o, &s->http[s->n_http], NULL, st);
    if (rc) {
        address = p.fallback;
        rc = sl_http_listen(s->loops, 1, address, &o, &s->http[s->n_http], NULL, st);
    }
    if (rc)
        return rc;
    s->n_http++;
    sl_log(SL_INFO, "Exporting health probes at:%s", address);
    return start_loops(s, st);
}

static bool wants_rest(const sl_flags *f)
{
    return f->rest_api_port != 0 || *f->rest_address != '\0';
}

/* A failure ends `sluice serve`; the original only writes a line and goes on. */
static sl_code open_rest(sl_server *s, sl_status *st)
{
    sl_code rc = listen_on_all(s, SL_PLACE_REST, st);
    if (rc)
        sl_log(SL_ERROR, "Failed to start HTTP Server at localhost:%d: %s", s->flags->rest_api_port,
               st->msg);
    return rc;
}

sl_code sl_ports_open(sl_server *s, sl_status *st)
{
    int others = s->n_http, most = most_connections(s->flags);
    if (most < s->flags->max_connections)
        sl_log(SL_INFO,
               "at most %d connections at the same time: the process may not open more files",
               most);
    sl_code rc = listen_on_all(s, SL_PLACE_GRPC, st);
    if (rc == SL_OK) {
        rc = open_rest(s, st);
        if (rc && s->flags->as_original && !s->flags->strict_startup && s->n_http > others)
            rc = SL_OK; /* gRPC is served without it */
    }
    return rc ? rc : start_loops(s, st);
}

void sl_ports_say_ready(const sl_server *s)
{
    const sl_flags *f = s->flags;
    size_t at = 0;
    sl_str item;
    if (*f->grpc_address)
        while (sl_flags_item(f->grpc_address, &at, &item))
            sl_log(SL_INFO, "Running gRPC ModelServer at %.*s ...", SL_STR_ARG(item));
    else if (f->port != 0)
        sl_log(SL_INFO, "Running gRPC ModelServer at 0.0.0.0:%d ...", f->port);
    if (*f->grpc_socket_path)
        sl_log(SL_INFO, "Running gRPC ModelServer at UNIX socket %s ...", f->grpc_socket_path);
    if (wants_rest(f))
        sl_log(SL_INFO, "Exporting HTTP/REST API at:localhost:%d ...", f->rest_api_port);
}
