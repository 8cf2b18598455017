/*
 * server.c - start, run, drain
 *
 * Threads: the main thread waits for signals; each loop has one; workers, the manager's load,
 * unload and poll threads, and the log's writer are made by their parts; one more waits for the
 * first configuration to be loaded, so that a signal is heard meanwhile.
 *
 * Order of the end: stop listening and let requests finish; stop the loops; the workers are idle
 * then; unload everything; stop the engines; write out the log.
 */
#include "server/server.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

#include "api/admin/admin.h"
#include "api/api.h"
#include "api/oip/oip.h"
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "net/loop.h"
#include "server/auth.h"
#include "server/channel_args.h"
#include "server/certificates.h"
#include "server/config.h"
#include "server/engines.h"
#include "server/loader.h"
#include "server/lockup.h"
#include "server/reload.h"
#include "server/repository.h"
#include "service/shadow.h"

enum { MAX_LISTENERS = 16 };

typedef struct server {
    sl_flags *flags;
    sl_server_config config;
    sl_certificates certificates;
    sl_engines engines;
    sl_loader loader;
    sl_batch_scheduler *batches; /* NULL without --enable_batching */
    sl_manager *manager;
    sl_reload *reload;
    char *cache_dir;   /* NULL: nothing is fetched */
    sl_remote *remote; /* NULL: no base path lies elsewhere, and none may */
    _Atomic(sl_reload *) reload_open; /* the same, as soon as loops may use it */
    sl_shadows *shadows;
    sl_workers *workers;
    sl_service service;
    sl_access_log access;
    sl_auth *auth;
    sl_sandbox_options sandbox;
    sl_launcher *launcher; /* NULL: nothing will have to be started */
    sl_rest rest;
    sl_oip oip;
    sl_repository repository;
    sl_grpc grpc;
    sl_api api;
    sl_admin admin;
    sl_workers *admin_workers; /* NULL without --admin_address */
    sl_loop **loops;
    int n_loops, n_loops_started;
    sl_http_server *http[MAX_LISTENERS];
    int n_http, n_drained;
    pthread_t starter;
    bool starting;
    sl_code start_code; /* written by the starter thread, read after it has been joined */
    sl_status start_status;
    atomic_bool listening_failed;
} server;

/* ---- listening ---- */

static void http_options(server *s, bool for_grpc, sl_http_options *o)
{
    const sl_flags *f = s->flags;
    *o = (sl_http_options){.on_call = sl_api_on_call,
                           .on_head = sl_api_on_head,
                           .on_error = sl_api_on_error,
                           .on_call_error = sl_api_on_call_error,
                           .on_connect = sl_api_on_connect,
                           .on_disconnect = sl_api_on_disconnect,
                           .is_proxy = sl_api_is_proxy,
                           .arg = &s->api};
    sl_http_limits_default(&o->limits);
    o->limits.max_head = (size_t)f->max_head_bytes;
    o->limits.max_body = (size_t)f->max_body_bytes;
    o->limits.max_decoded = (size_t)f->max_decoded_bytes;
    o->limits.max_inflight = (size_t)f->max_inflight_bytes;
    o->limits.head_timeout_ns = (uint64_t)f->head_timeout_s * 1000000000u;
    o->limits.idle_timeout_ns = (uint64_t)f->idle_timeout_s * 1000000000u;
    o->limits.min_rate = (uint64_t)f->min_rate;
    o->limits.handshake_timeout_ns = (uint64_t)f->tls_handshake_timeout_s * 1000000000u;
    o->limits.max_handshakes = f->max_tls_handshakes;
    o->limits.max_connections = f->max_connections;
    o->limits.max_streams = f->max_concurrent_streams;
    o->limits.compress_min = (size_t)f->rest_api_compress_min_bytes;
    if (!for_grpc)
        return;
    o->limits.max_body = s->grpc.opt.frame.max_message + SL_GRPC_PREFIX;
    sl_http_h2_options_default(&o->h2);
    sl_channel_args_apply(f, o);
}

/* "https://host:port" and "http://host:port" say what is spoken there; an address alone speaks TLS
 * if there is a certificate. */
static sl_code choose_tls(const server *s, bool for_grpc, const char **address, sl_tls **tls, sl_status *st)
{
    const char *given = *address;
    *tls = for_grpc ? s->certificates.grpc.tls : s->certificates.rest.tls;
    if (strncmp(given, "http://", 7) == 0) {
        *address += 7;
        *tls = NULL;
    } else if (strncmp(given, "https://", 8) == 0) {
        *address += 8;
        if (*tls == NULL)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "\"%s\" needs a certificate: give tls_cert_file and tls_key_file", given);
    }
    return SL_OK;
}

static sl_code listen_on(server *s, bool for_grpc, const char *address, int *port, sl_status *st)
{
    sl_http_options o;
    sl_tls *tls;
    sl_code rc = choose_tls(s, for_grpc, &address, &tls, st);
    if (rc)
        return rc;
    if (s->n_http == MAX_LISTENERS)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d addresses to listen on",
                       MAX_LISTENERS);
    http_options(s, for_grpc, &o);
    o.tls = tls;
    rc = sl_http_listen(s->loops, s->n_loops, address, &o, &s->http[s->n_http], port, st);
    if (rc == SL_OK)
        s->n_http++;
    return rc;
}

static sl_code start_loops(server *s, sl_status *st)
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
static sl_code open_admin(server *s, sl_status *st)
{
    enum { THREADS = 4, MOST_WAITING = 64, MOST_BYTES = 64 << 20 };
    const char *address = s->flags->admin_address;
    sl_workers_options w = {
        .threads = THREADS, .max_queue = MOST_WAITING, .max_wait_ns = UINT64_MAX};
    sl_http_options o;
    sl_admin_options a = {.rest = &s->rest,
                          .reload_text = sl_reload_text,
                          .reload_wire = sl_reload_wire,
                          .current = sl_reload_current};
    int port = 0;
    if (!address[0])
        return SL_OK;
    sl_code rc = sl_admin_check_address(address, sl_auth_guard(s->auth), st);
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
    o.arg = &s->admin;
    o.limits.max_body = o.limits.max_decoded = MOST_BYTES;
    o.unix_mode = 0600;
    rc = sl_http_listen(s->loops, 1, address, &o, &s->http[s->n_http], &port, st);
    if (rc)
        return rc;
    s->n_http++;
    sl_log(SL_INFO, "Exporting admin interface at:%s (port %d)", address, port);
    return start_loops(s, st);
}

/* All interfaces: IPv6's wildcard takes both; where there is no IPv6, IPv4's. */
static sl_code listen_on_port(server *s, bool for_grpc, int port, sl_status *st)
{
    char address[32];
    snprintf(address, sizeof address, "[::]:%d", port);
    if (listen_on(s, for_grpc, address, NULL, st) == SL_OK)
        return SL_OK;
    snprintf(address, sizeof address, "0.0.0.0:%d", port);
    return listen_on(s, for_grpc, address, NULL, st);
}

static sl_code listen_on_list(server *s, bool for_grpc, const char *list, sl_status *st)
{
    char address[300];
    size_t at = 0;
    sl_str item;
    while (sl_flags_item(list, &at, &item)) {
        snprintf(address, sizeof address, "%.*s", (int)item.n, item.p);
        sl_code rc = listen_on(s, for_grpc, address, NULL, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static bool wants_rest(const sl_flags *f)
{
    return f->rest_api_port != 0 || *f->rest_address != '\0';
}

/* Opens REST. A failure ends `sluice serve`; the original only writes a line and goes on. */
static sl_code open_rest(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    if (!wants_rest(f) || (f->rest_api_port == f->port && !*f->rest_address && !*f->grpc_address))
        return SL_OK; /* none, or on the port that is open already */
    sl_code rc = *f->rest_address ? listen_on_list(s, false, f->rest_address, st)
                                  : listen_on_port(s, false, f->rest_api_port, st);
    if (rc == SL_OK)
        return SL_OK;
    sl_log(SL_ERROR, "Failed to start HTTP Server at localhost:%d: %s", f->rest_api_port, st->msg);
    return rc;
}

static sl_code open_grpc(server *s, sl_status *st)
{
    char path[300];
    const sl_flags *f = s->flags;
    sl_code rc = SL_OK;
    if (*f->grpc_address)
        rc = listen_on_list(s, true, f->grpc_address, st);
    else if (f->port != 0)
        rc = listen_on_port(s, true, f->port, st);
    if (rc == SL_OK && *f->grpc_socket_path) {
        snprintf(path, sizeof path, "unix:%s", f->grpc_socket_path);
        rc = listen_on(s, true, path, NULL, st);
    }
    return rc;
}

static sl_code open_ports(server *s, sl_status *st)
{
    int others = s->n_http;
    sl_code rc = open_grpc(s, st);
    if (rc == SL_OK) {
        rc = open_rest(s, st);
        if (rc && s->flags->as_original && !s->flags->strict_startup && s->n_http > others)
            rc = SL_OK; /* gRPC is served without it */
    }
    return rc ? rc : start_loops(s, st);
}

static void say_ready(const server *s)
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

/* ---- the first configuration ---- */

static void *wait_for_models(void *arg)
{
    server *s = arg;
    s->start_code = sl_manager_wait(s->manager, UINT64_MAX, &s->start_status);
    if (s->start_code)
        sl_log(SL_ERROR, "%s", s->start_status.msg);
    if (s->start_code && s->flags->strict_startup) {
        kill(getpid(), SIGTERM);
        return NULL;
    }
    if (s->flags->as_original) {
        sl_status st;
        if (open_ports(s, &st) || sl_sandbox_finish(&s->sandbox, &st)) {
            sl_log(SL_ERROR, "%s", st.msg);
            atomic_store(&s->listening_failed, true);
            kill(getpid(), SIGTERM);
            return NULL;
        }
    }
    atomic_store(&s->rest.started, true);
    say_ready(s);
    return NULL;
}

/* ---- making the parts ---- */

/* Models of the stock platform, or of the only one that a platform file has. */
static const sl_platform *platform(const server *s)
{
    const sl_platform *p = sl_config_platform(&s->config, "tensorflow");
    return p ? p : &s->config.platforms[0];
}

static sl_code make_loops(server *s, sl_status *st)
{
    s->n_loops = s->flags->loop_threads > 0 ? s->flags->loop_threads : sl_cpu_count();
    s->loops = sl_calloc((size_t)s->n_loops, sizeof *s->loops);
    for (int i = 0; i < s->n_loops; i++) {
        sl_code rc = sl_loop_new(&s->loops[i], st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code make_workers(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    sl_workers_options o = {.threads =
                                f->worker_threads > 0 ? f->worker_threads : f->rest_api_num_threads,
                            .max_queue = f->max_queue,
                            .max_bytes = (size_t)f->max_queue_bytes,
                            .max_wait_ns = (uint64_t)f->max_queue_wait_ms * 1000000u};
    return sl_workers_new(&o, &s->workers, st);
}

static sl_code make_shadows(server *s, sl_status *st)
{
    sl_shadows_options o = {.threads = s->flags->shadow_threads,
                            .max_queue = s->flags->shadow_max_queue};
    return sl_shadows_new(&o, &s->shadows, st);
}

static sl_code make_batches(server *s, sl_status *st)
{
    const sl_platform *p = platform(s);
    if (!p->batching)
        return SL_OK;
    sl_code rc = sl_batch_scheduler_new((int)p->batch.num_batch_threads, &s->batches, st);
    s->loader.batches = s->batches;
    return rc;
}

/* A time of the command line, which may be as large as it likes. */
static uint64_t nanoseconds(int64_t n, uint64_t unit)
{
    uint64_t most = UINT64_MAX / 4;
    return n <= 0 ? 0 : (uint64_t)n > most / unit ? most : (uint64_t)n * unit;
}

/* ---- base paths that lie elsewhere ---- */

static void mirror_changed(void *arg)
{
    const server *s = arg;
    sl_manager_look_soon(s->manager);
}

static int versions_in_use(void *arg, const char *model, int64_t **numbers, int count)
{
    const server *s = arg;
    sl_model_spec spec = {.model = sl_str_of(model)};
    const sl_version_info *list;
    sl_arena arena;
    int n;
    if (sl_arena_init(&arena, 0))
        return -1;
    if (sl_manager_status(s->manager, &spec, &arena, &list, &n, NULL) == SL_OK) {
        *numbers = sl_realloc(*numbers, ((size_t)count + (size_t)n) * sizeof **numbers);
        for (int i = 0; i < n; i++)
            if (list[i].state != SL_STATE_END)
                (*numbers)[count++] = list[i].number;
    }
    sl_arena_fini(&arena);
    return count;
}

/* Only where it is needed: a helper and a thread. */
static sl_code make_remote(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    if (s->cache_dir == NULL)
        return SL_OK;
    sl_remote_options o = {.helper = f->remote_helper,
                           .launcher = s->launcher,
                           .launch_op = SL_ENGINES_LAUNCHES,
                           .cache_dir = s->cache_dir,
                           .roots = f->remote_root,
                           .poll_seconds = f->remote_poll_wait_seconds,
                           .patience_s = (unsigned)f->remote_timeout_s,
                           .max_bytes = (uint64_t)f->remote_max_bytes,
                           .changed = mirror_changed,
                           .in_use = versions_in_use,
                           .arg = s};
    return sl_remote_start(&o, &s->remote, st);
}

static uint64_t budget(const sl_flags *f)
{
    if (f->memory_budget)
        return f->memory_budget > 0 ? (uint64_t)f->memory_budget : 0;
    return sl_memory_limit() / 5 * 4; /* requests need some, too */
}

static sl_code make_manager(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    s->loader.reserve = sl_manager_reserve;
    sl_manager_options o = {
        .load = sl_loader_load,
        .memory_budget = budget(f),
        .unload = sl_loader_unload,
        .arg = &s->loader,
        .load_threads = f->num_load_threads,
        .unload_threads = f->num_unload_threads,
        .max_retries = f->max_num_load_retries > 0 ? (unsigned)f->max_num_load_retries : 0,
        .retry_interval_us = f->load_retry_interval_micros,
        .poll_seconds = f->file_system_poll_wait_seconds,
        .transition = (sl_transition)f->version_transition,
        .only_complete = true,
        .settle_ns = nanoseconds(f->version_settle_ms, 1000000),
        .give_up_ns = nanoseconds(f->incomplete_version_timeout_s, 1000000000),
        .tags = s->loader.tags,
        .n_tags = s->loader.n_tags,
        .forget_ns = nanoseconds(f->ended_version_ttl_s, 1000000000),
        .explain = s->remote ? sl_remote_explain : NULL,
        .explain_arg = s->remote,
        .labels_for_unavailable = f->allow_version_labels_for_unavailable_models,
        .wait_for_retries = f->strict_startup};
    return sl_manager_new(&o, &s->manager, st);
}

static sl_code make_reload(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    sl_reload_options o = {.manager = s->manager,
                           .config = &s->config,
                           .remote = s->remote,
                           .source = {.config = f->model_config_file, .models = f->models_dir},
                           .poll_seconds = f->model_config_file_poll_wait_seconds,
                           .timeout_ns = (uint64_t)f->reload_timeout_s * 1000000000u,
                           .sandbox = &s->sandbox};
    /* Models come into a directory as versions do. */
    if (f->models_dir[0] && o.poll_seconds <= 0)
        o.poll_seconds = f->file_system_poll_wait_seconds;
    sl_code rc = sl_reload_new(&o, &s->reload, st);
    atomic_store(&s->reload_open, s->reload);
    s->admin.opt.arg = s->reload;
    atomic_store(&s->admin.open, rc == SL_OK);
    return rc;
}

static void make_rest(server *s)
{
    const sl_flags *f = s->flags;
    s->service = (sl_service){
        .manager = s->manager,
        .workers = s->workers,
        .shadows = s->shadows,
        .check_method_name = f->enable_signature_method_name_check,
        .run_timeout_ns =
            f->rest_api_timeout_in_ms > 0 ? (uint64_t)f->rest_api_timeout_in_ms * 1000000u : 0,
        .on_demand_wait_ns = nanoseconds(f->on_demand_wait_ms, 1000000),
        .in_place_ns = 100000,
        .in_place_elements = 64 * 1024 / 12, /* a reply of 64 KiB, at 12 bytes a float */
        .run_threads = 1};
    s->access.mode = (sl_access_mode)f->access_log;
    s->access.every = f->access_log_every;
    s->access.json = f->log_json;
    sl_rest_options o = {.service = &s->service,
                         .cors = f->rest_api_enable_cors_support,
                         .metrics_path = s->config.metrics_path,
                         .extra_routes = f->extra_routes,
                         .here_bytes = 64 * 1024,
                         .here_round_ns = 500000,
                         .guard = sl_auth_guard(s->auth),
                         .access = s->access.mode == SL_ACCESS_OFF ? NULL : &s->access};
    sl_json_limits_default(&o.json);
    o.json.max_depth = f->max_json_depth;
    sl_pb_limits_default(&o.pb);
    o.pb.max_expanded_bytes = (size_t)f->max_expanded_bytes;
    o.as_content = f->enable_serialization_as_tensor_content;
    o.oip = &s->oip;
    sl_rest_init(&s->rest, &o);
}

/* Like reload_config below; only the changer's one thread gets here. */
static sl_code change_models(void *arg, sl_str model, bool load, sl_status *st)
{
    server *s = arg;
    s->repository.reload = atomic_load(&s->reload_open);
    if (s->repository.reload == NULL)
        return sl_fail(st, SL_UNAVAILABLE, "server is starting: no configuration is in force yet");
    return sl_repository_change(&s->repository, model, load, st);
}

static void make_oip(server *s)
{
    const sl_rest_options *rest = &s->rest.opt;
    sl_oip_options o = {.service = &s->service,
                        .max_depth = s->flags->max_json_depth,
                        .here_bytes = rest->here_bytes,
                        .here_round_ns = rest->here_round_ns,
                        .guard = rest->guard,
                        .access = rest->access,
                        .started = &s->rest.started,
                        .draining = &s->rest.draining,
                        .change = change_models,
                        .change_arg = s};
    sl_oip_init(&s->oip, &o);
}

/* For HandleReloadConfigRequest, which may come as soon as a port is open. */
static sl_code reload_config(void *arg, sl_str wire, sl_text *report, sl_status *st)
{
    server *s = arg;
    sl_reload *r = atomic_load(&s->reload_open);
    if (r == NULL)
        return sl_fail(st, SL_UNAVAILABLE, "server is starting: no configuration is in force yet");
    return sl_reload_wire(r, wire, report, st);
}

static void make_grpc(server *s)
{
    const sl_flags *f = s->flags;
    sl_grpc_options o = {
        .service = &s->service,
        .frame = {.max_message = sl_channel_args_max_message(f),
                  .max_decompressed = (size_t)f->max_decoded_bytes,
                  .max_ratio = f->max_compression_ratio},
        .as_content = f->enable_serialization_as_tensor_content,
        .encoding = sl_channel_args_encoding(f),
        .max_calls = f->grpc_max_threads,
        .no_health = sl_flags_given(f, "enable_grpc_healthcheck_service") &&
                     !f->enable_grpc_healthcheck_service,
        .guard = sl_auth_guard(s->auth),
        .oip = f->extra_routes ? &s->oip : NULL,
        .here_bytes = 64 * 1024,
        .here_round_ns = 500000,
        .access = s->rest.opt.access,
        .started = &s->rest.started,
        .draining = &s->rest.draining,
        .reload = reload_config,
        .reload_arg = s};
    sl_pb_limits_default(&o.pb);
    o.pb.max_expanded_bytes = (size_t)f->max_expanded_bytes;
    sl_channel_args_tell(f);
    sl_grpc_init(&s->grpc, &o);
    s->api = (sl_api){.rest = &s->rest, .grpc = &s->grpc};
}

/* Where remote models are kept, if there may be any. */
static sl_code choose_cache(server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    if (!sl_remote_is_wanted(&s->config.models) && *f->remote_root == '\0')
        return SL_OK;
    return sl_remote_cache(f->remote_cache_dir, &s->cache_dir, st);
}

/* The process that starts programs after we have given that up. Before there are threads, and
 * before files are closed. */
static sl_code make_launcher(server *s, sl_status *st)
{
    sl_launch ops[SL_ENGINES_LAUNCHES + SL_REMOTE_LAUNCHES];
    const sl_flags *f = s->flags;
    /* Whatever --engine says: a model may choose another one, today or with the next reload. */
    if (f->sandbox == SL_SANDBOX_OFF)
        return SL_OK;
    void *engines = sl_engines_launches(&s->engines, f, ops);
    void *remote = sl_remote_launches(f->remote_helper, ops + SL_ENGINES_LAUNCHES);
    sl_code rc = sl_launcher_start(ops, SL_COUNTOF(ops), &s->launcher, st);
    sl_free(engines);
    sl_free(remote);
    s->engines.launcher = s->launcher;
    return rc;
}

static bool has_secrets(const sl_flags *f)
{
    return *f->ssl_config_file || *f->auth_config_file || *f->tls_key_file;
}

/* What has to be done while there is one thread. */
static sl_code make_alone(server *s, sl_status *st)
{
    sl_code rc = sl_config_load(s->flags, &s->config, st);
    if (rc == SL_OK)
        rc = sl_certificates_open(&s->certificates, s->flags, st);
    if (rc == SL_OK)
        rc = sl_config_check_platforms(&s->config, &s->config.models, st);
    if (rc == SL_OK)
        rc = sl_sandbox_become((sl_sandbox_mode)s->flags->sandbox, s->flags->run_as,
                               has_secrets(s->flags), st);
    if (rc == SL_OK)
        rc = choose_cache(s, st);
    if (rc == SL_OK)
        rc = sl_lockup_options(s->flags, &s->config, s->cache_dir, &s->sandbox, st);
    if (rc == SL_OK)
        rc = make_launcher(s, st);
    return rc ? rc : sl_sandbox_begin(&s->sandbox, st);
}

static sl_code make(server *s, sl_status *st)
{
    sl_code rc = make_remote(s, st);
    if (rc == SL_OK)
        rc = sl_engines_start(&s->engines, s->flags, platform(s), &s->loader, st);
    if (rc == SL_OK)
        rc = sl_auth_new(s->flags->auth_config_file, s->flags->allow_remote_admin, &s->auth, st);
    if (rc == SL_OK)
        rc = make_workers(s, st);
    if (rc == SL_OK)
        rc = make_shadows(s, st);
    if (rc == SL_OK)
        rc = make_batches(s, st);
    if (rc == SL_OK)
        rc = make_manager(s, st);
    if (rc == SL_OK)
        rc = make_loops(s, st);
    if (rc == SL_OK) {
        make_rest(s);
        make_oip(s);
        make_grpc(s);
    }
    if (rc == SL_OK)
        rc = open_admin(s, st);
    if (rc == SL_OK && !s->flags->as_original)
        rc = open_ports(s, st);
    if (rc == SL_OK)
        rc = make_reload(s, st);
    if (rc == SL_OK && !s->flags->as_original)
        rc = sl_sandbox_finish(&s->sandbox, st);
    return rc;
}

/* ---- the end ---- */

static void drained(void *arg)
{
    sem_post(arg);
}

/* Waits for the semaphore, a second signal, or the deadline. */
static void drain(server *s, const sigset_t *signals)
{
    sem_t done;
    sem_init(&done, 0, 0);
    atomic_store(&s->rest.draining, true);
    for (int i = 0; i < s->n_http; i++)
        sl_http_drain(s->http[i], drained, &done);
    uint64_t end = sl_now_ns() + (uint64_t)s->flags->drain_timeout_s * 1000000000u;
    for (int left = s->n_http; left > 0;) {
        /* Signals are looked at between short waits: sem_timedwait is not interrupted by blocked
         * ones. */
        struct timespec soon, none = {0};
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_nsec += 20000000;
        if (soon.tv_nsec >= 1000000000) {
            soon.tv_nsec -= 1000000000;
            soon.tv_sec++;
        }
        if (sem_timedwait(&done, &soon) == 0)
            left--;
        else if (sigtimedwait(signals, NULL, &none) > 0 || sl_now_ns() > end) {
            sl_log(SL_WARNING, "not drained: what is left is cut off");
            break;
        }
    }
}

static void unmake(server *s)
{
    if (s->manager != NULL)
        sl_manager_stop_waiting(s->manager); /* what goes on now is still answered */
    for (int i = 0; i < s->n_loops_started; i++)
        sl_loop_stop(s->loops[i]);
    if (s->admin_workers != NULL)
        sl_workers_free(s->admin_workers);
    sl_workers_free(s->workers);
    if (s->api.grpc != NULL) {
        sl_grpc_fini(&s->grpc);
        sl_oip_fini(&s->oip);
    }
    sl_repository_fini(&s->repository);
    sl_shadows_free(s->shadows);
    for (int i = 0; i < s->n_http; i++)
        sl_http_free(s->http[i]);
    for (int i = 0; i < s->n_loops; i++)
        if (s->loops[i] != NULL)
            sl_loop_free(s->loops[i]);
    sl_free(s->loops);
    sl_reload_free(s->reload);
    sl_remote_stop(s->remote);
    sl_manager_free(s->manager);
    sl_remote_free(s->remote);
    if (s->batches != NULL)
        sl_batch_scheduler_free(s->batches);
    sl_engines_stop(&s->engines);
    sl_launcher_end(s->launcher);
    sl_free(s->cache_dir);
    sl_auth_free(s->auth);
    sl_certificates_close(&s->certificates);
    sl_config_fini(&s->config);
}

/* ---- the program ---- */

static void raise_descriptor_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

/* Main thread: looks at the certificates now and then; returns the signal that ends the server. */
static int wait_for_the_end(server *s, const sigset_t *signals)
{
    const struct timespec period = {.tv_sec = SL_CERTIFICATES_POLL_NS / 1000000000u};
    bool watch = s->certificates.rest.tls != NULL || s->certificates.grpc.tls != NULL;
    for (;;) {
        int sig = watch ? sigtimedwait(signals, NULL, &period) : sigwaitinfo(signals, NULL);
        if (sig > 0 && sig != SIGHUP)
            return sig;
        if (sig == SIGHUP) {
            sl_reload_poke(s->reload);
            sl_auth_poke(s->auth);
        }
        if (sig == SIGHUP || errno == EAGAIN)
            sl_certificates_poll(&s->certificates, sig == SIGHUP);
    }
}

static int run(server *s, const sigset_t *signals)
{
    int sig;
    if (pthread_create(&s->starter, NULL, wait_for_models, s) != 0) {
        sl_log(SL_ERROR, "cannot start a thread: %s", strerror(errno));
        return 1;
    }
    sig = wait_for_the_end(s, signals);
    sl_log(SL_INFO, "signal %d: draining", sig);
    if (!atomic_load(&s->rest.started) && !atomic_load(&s->listening_failed) &&
        !(s->flags->strict_startup && s->start_code)) {
        /* Models are still loading: there is no request to finish and a load cannot be hurried. */
        sl_log_stop();
        _exit(0);
    }
    pthread_join(s->starter, NULL);
    atomic_store(&s->admin.open, false);
    sl_reload_stop(s->reload);
    drain(s, signals);
    if (s->start_code && s->flags->strict_startup)
        return sl_flags_refuse(s->flags, &s->start_status);
    return atomic_load(&s->listening_failed) ? 1 : 0;
}

/* Where REST listens when nobody says: 8501, as everybody expects; the original's 0 means no REST. */
static void choose_port(sl_flags *f)
{
    if (f->rest_api_port == 0 && *f->rest_address == '\0' && !f->as_original)
        f->rest_api_port = 8501;
}

int sl_serve(sl_flags *flags)
{
    static server s;
    sl_status st = {0};
    sigset_t signals;
    sl_log_options log = {
        .level = (sl_log_level)flags->log_level, .json = flags->log_json, .fd = 2};
    s.flags = flags;
    choose_port(flags);
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL); /* threads inherit it: only the main thread hears */
    signal(SIGPIPE, SIG_IGN);
    raise_descriptor_limit();
    sl_log_prepare(&log);
    sl_code rc = make_alone(&s, &st);
    if (rc == SL_OK)
        rc = sl_log_start(&log, &st);
    if (rc == SL_OK)
        rc = make(&s, &st);
    int status = rc ? sl_flags_refuse(flags, &st) : run(&s, &signals);
    unmake(&s);
    sl_log_stop();
    return status;
}
