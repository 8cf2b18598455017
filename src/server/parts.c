/*
 * parts.c - each part of the server from its flags, and all of them in order
 */
#include "server/parts.h"
#include "base/cpu.h"
#include "base/discard.h"
#include "base/mem.h"
#include "server/channel_args.h"
#include "server/helper.h"
#include "server/model_dir.h"

/* The launcher's operations, by number. */
enum {
    LAUNCH_REMOTE = SL_ENGINES_LAUNCHES,
    LAUNCH_KEYS = LAUNCH_REMOTE + SL_HELPER_LAUNCHES,
    LAUNCHES = LAUNCH_KEYS + SL_HELPER_LAUNCHES
};

static sl_code make_loops(sl_server *s, sl_status *st)
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

static sl_code make_workers(sl_server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    sl_workers_options o = {.threads =
                                f->worker_threads > 0 ? f->worker_threads : f->rest_api_num_threads,
                            .max_queue = f->max_queue,
                            .max_bytes = (size_t)f->max_queue_bytes,
                            .max_wait_ns = (uint64_t)f->max_queue_wait_ms * 1000000u};
    return sl_workers_new(&o, &s->workers, st);
}

static sl_code make_shadows(sl_server *s, sl_status *st)
{
    sl_shadows_options o = {.threads = s->flags->shadow_threads,
                            .max_queue = s->flags->shadow_max_queue};
    return sl_shadows_new(&o, &s->shadows, st);
}

static sl_code make_batches(sl_server *s, sl_status *st)
{
    const sl_platform *p = sl_config_serving_platform(&s->config);
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
    const sl_server *s = arg;
    sl_manager_look_soon(s->manager);
}

static int versions_in_use(void *arg, const char *model, int64_t **numbers, int count)
{
    const sl_server *s = arg;
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
static sl_code make_remote(sl_server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    if (s->cache_dir == NULL)
        return SL_OK;
    sl_remote_options o = {.helper = f->remote_helper,
                           .launcher = s->launcher,
                           .launch_op = LAUNCH_REMOTE,
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

/* What is left for requests: half of what the models leave. A small share stays, so that a server
 * that is full of models still answers. */
static void models_use(void *arg, uint64_t bytes)
{
    sl_server *s = arg;
    const uint64_t least = 16 << 20;
    uint64_t left = s->memory > bytes ? (s->memory - bytes) / 2 : 0;
    atomic_store(&s->inflight.max, (int64_t)SL_MIN(SL_MAX(left, least), (uint64_t)INT64_MAX));
}

/* The budget of request bodies, before there is a port. */
static void make_inflight(sl_server *s)
{
    int64_t given = s->flags->max_inflight_bytes;
    s->memory = sl_memory_limit();
    if (given == 0)
        models_use(s, 0);
    else
        atomic_store(&s->inflight.max, given > 0 ? given : 0);
}

static sl_code make_manager(sl_server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    s->loader.reserve = sl_manager_reserve;
    sl_manager_options o = {
        .load = sl_loader_load,
        .on_use = f->max_inflight_bytes == 0 ? models_use : NULL,
        .on_use_arg = s,
        .memory_budget = sl_flags_memory_budget(f),
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
        .hint = sl_model_dir_check,
        .explain = s->remote ? sl_remote_explain : NULL,
        .explain_arg = s->remote,
        .labels_for_unavailable = f->allow_version_labels_for_unavailable_models,
        .strict = f->strict_startup};
    return sl_manager_new(&o, &s->manager, st);
}

static sl_code make_reload(sl_server *s, sl_status *st)
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

static void make_rest(sl_server *s)
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
        .run_threads = 1,
        .max_rank = f->max_tensor_rank,
        .max_elements = (uint64_t)f->max_tensor_elements,
        .max_string_bytes = (uint64_t)f->max_string_bytes};
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
    o.json.max_elements = f->max_tensor_elements;
    o.json.max_string_bytes = (size_t)f->max_string_bytes;
    o.json.max_expanded_bytes = (size_t)f->max_expanded_bytes;
    sl_pb_limits_default(&o.pb);
    o.pb.max_expanded_bytes = (size_t)f->max_expanded_bytes;
    o.as_content = f->enable_serialization_as_tensor_content;
    o.oip = &s->oip;
    sl_rest_init(&s->rest, &o);
}

/* Like reload_config below; only the changer's one thread gets here. */
static sl_code change_models(void *arg, sl_str model, bool load, sl_status *st)
{
    sl_server *s = arg;
    s->repository.reload = atomic_load(&s->reload_open);
    if (s->repository.reload == NULL)
        return sl_fail(st, SL_UNAVAILABLE, "server is starting: no configuration is in force yet");
    return sl_repository_change(&s->repository, model, load, st);
}

static void make_oip(sl_server *s)
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
    sl_server *s = arg;
    sl_reload *r = atomic_load(&s->reload_open);
    if (r == NULL)
        return sl_fail(st, SL_UNAVAILABLE, "server is starting: no configuration is in force yet");
    return sl_reload_wire(r, wire, report, st);
}

static void make_grpc(sl_server *s)
{
    const sl_flags *f = s->flags;
    sl_grpc_options o = {.service = &s->service,
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

static sl_code make_auth(sl_server *s, sl_status *st)
{
    sl_auth_options o = {.path = s->flags->auth_config_file,
                         .allow_remote_admin = s->flags->allow_remote_admin,
                         .helper = s->flags->remote_helper,
                         .launcher = s->launcher,
                         .launch_op = LAUNCH_KEYS,
                         .sandbox = &s->sandbox};
    return sl_auth_new(&o, &s->auth, st);
}

/* Where remote models are kept, if there may be any. */
static sl_code choose_cache(sl_server *s, sl_status *st)
{
    const sl_flags *f = s->flags;
    if (!sl_remote_is_wanted(&s->config.models) && *f->remote_root == '\0')
        return SL_OK;
    return sl_remote_cache(f->remote_cache_dir, &s->cache_dir, st);
}

/* The process that starts programs after we have given that up. Before there are threads, and
 * before files are closed. */
static sl_code make_launcher(sl_server *s, sl_status *st)
{
    sl_launch ops[LAUNCHES];
    const sl_flags *f = s->flags;
    /* Whatever --engine says: a model may choose another one, today or with the next reload. */
    if (f->sandbox == SL_SANDBOX_OFF)
        return SL_OK;
    void *engines = sl_engines_launches(&s->engines, f, ops);
    void *remote = sl_helper_launches(f->remote_helper, ops + LAUNCH_REMOTE);
    void *keys = sl_helper_launches(f->remote_helper, ops + LAUNCH_KEYS);
    sl_code rc = sl_launcher_start(ops, SL_COUNTOF(ops), &s->launcher, st);
    sl_free(engines);
    sl_free(remote);
    sl_free(keys);
    s->engines.launcher = s->launcher;
    return rc;
}

static bool has_secrets(const sl_flags *f)
{
    return *f->ssl_config_file || *f->auth_config_file || *f->tls_key_file ||
           *f->grpc_tls_key_file || *f->admin_tls_key_file;
}

/* What has to be done while there is one thread. */
sl_code sl_parts_make_alone(sl_server *s, sl_status *st)
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

sl_code sl_parts_make(sl_server *s, sl_status *st)
{
    sl_code rc = make_remote(s, st);
    if (rc == SL_OK)
        rc = sl_engines_start(&s->engines, s->flags, sl_config_serving_platform(&s->config),
                              &s->loader, st);
    if (rc == SL_OK)
        rc = make_auth(s, st);
    if (rc == SL_OK)
        rc = sl_discard_start(st);
    if (rc == SL_OK)
        rc = make_workers(s, st);
    if (rc == SL_OK)
        rc = make_shadows(s, st);
    if (rc == SL_OK)
        rc = make_batches(s, st);
    make_inflight(s);
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
        rc = sl_ports_open_admin(s, st);
    if (rc == SL_OK)
        rc = sl_ports_open_health(s, st);
    if (rc == SL_OK && !sl_flags_listen_late(s->flags))
        rc = sl_ports_open(s, st);
    if (rc == SL_OK)
        rc = make_reload(s, st);
    if (rc == SL_OK && !sl_flags_listen_late(s->flags))
        rc = sl_sandbox_finish(&s->sandbox, st);
    return rc;
}

void sl_parts_unmake(sl_server *s)
{
    if (s->manager != NULL)
        sl_manager_stop_waiting(s->manager); /* what goes on now is still answered */
    for (int i = 0; i < s->n_loops_started; i++)
        sl_loop_stop(s->loops[i]);
    if (s->admin_workers != NULL)
        sl_workers_free(s->admin_workers);
    sl_workers_free(s->workers);
    /* A thread that has answered may still be on its way out of a loop's or a shadow's function. */
    if (s->batches != NULL)
        sl_batch_scheduler_settle(s->batches);
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
    sl_auth_free(s->auth);
    sl_discard_end();
    sl_launcher_end(s->launcher);
    sl_free(s->cache_dir);
    sl_certificates_close(&s->certificates);
    sl_config_fini(&s->config);
}
