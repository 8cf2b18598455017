/*
 * flags.h - the command line of the server
 *
 * One table (flags_table.c) holds every flag: all that tensorflow_model_server has, under the same
 * names and with the same defaults, and ours. From it come parsing, --help, the usage text, the man
 * page and the line that says why a flag has no effect.
 *
 *     sl_flags f;
 *     sl_flags_init(&f, argv[0]);
 *     rc = sl_flags_parse(&f, argc, argv, &st);     syntax: the words of flags.md section 1
 *     if (rc == SL_OK && !f.help && !f.version)
 *         rc = sl_config_load(&f, &config, &st);    server/config.h: calls sl_flags_check
 *
 * Syntax is that of the original: --name=value only, bools as --name, --name=true, --name=false,
 * the last occurrence wins. Unlike the original, an argument that no flag claims is refused
 * (INVALID_ARGUMENT), with the name that comes nearest: the original starts with the default
 * instead.
 *
 * Strings point into argv (or are literals) and live as long as it does.
 *
 * Source: flags.md of the contract.
 */
#ifndef SL_SERVER_FLAGS_H
#define SL_SERVER_FLAGS_H

#include <stdbool.h>
#include <stdint.h>

#include "api/access_log.h"
#include "base/log.h"
#include "base/str.h"

typedef enum sl_engine_choice {
    SL_ENGINE_AUTO, /* native where it can run the model, else TensorFlow */
    SL_ENGINE_NATIVE,
    SL_ENGINE_TENSORFLOW
} sl_engine_choice;

enum { SL_FLAGS_MAX = 160 }; /* at least as many as there are rows in the table */

typedef struct sl_flags {
    /* ---- how we were called ---- */
    const char *program; /* argv[0] */
    bool as_original; /* by the name tensorflow_model_server: its exit statuses, errors on stdout */
    const char *help; /* NULL; "" for --help, "man" for --help=man */
    bool version;

    /* ---- ports and transport ---- */
    int32_t port; /* gRPC; 0: no TCP */
    const char *grpc_socket_path;
    const char *grpc_address; /* list of host:port and unix:path; "": all interfaces at `port` */
    int32_t rest_api_port;    /* 0: no REST, unless rest_address says where */
    const char *rest_address; /* likewise; "": all interfaces at rest_api_port */
    int32_t rest_api_num_threads;   /* 0: 4 x CPUs */
    int32_t rest_api_timeout_in_ms; /* <= 0: none */
    bool rest_api_enable_cors_support;
    int64_t rest_api_compress_min_bytes; /* 0: replies are not compressed */
    const char *grpc_channel_arguments;  /* checked: see sl_flags_channel_argument */
    int32_t grpc_max_threads;            /* 0: no limit */
    int64_t grpc_max_message_bytes;
    bool use_alts_credentials; /* true is refused by sl_flags_check */
    const char *ssl_config_file;
    const char *tls_cert_file, *tls_key_file; /* comma lists, as many in each */
    const char *tls_client_ca_file;
    int tls_client_verify; /* sl_tls_verify; sl_flags_check sets it where only the CA was given */
    /* The same for gRPC and the admin interface alone; after sl_flags_check those above, where they
     * are not given. */
    const char *grpc_tls_cert_file, *grpc_tls_key_file, *grpc_tls_client_ca_file;
    int grpc_tls_client_verify;
    const char *admin_tls_cert_file, *admin_tls_key_file, *admin_tls_client_ca_file;
    int admin_tls_client_verify;
    int tls_min_version; /* 12, 13 */
    bool enable_grpc_healthcheck_service;
    bool enable_profiler;         /* no effect */
    bool extra_routes;            /* /healthz, /readyz, /startupz, /metrics ... */
    const char *auth_config_file; /* "": everybody may all but administer */
    bool allow_remote_admin;

    int32_t health_port;       /* probes alone, from the first moment; 0: none */
    const char *admin_address; /* loopback or unix socket; "": none */

    /* ---- what to serve ---- */
    const char *model_name;
    const char *model_base_path;
    const char *model_config_file;               /* or a directory of such files */
    const char *models_dir;                      /* a directory of models; "": none */
    int32_t model_config_file_poll_wait_seconds; /* <= 0: never */
    int64_t reload_timeout_s;                    /* of waiting for a reload's models */
    int32_t file_system_poll_wait_seconds;       /* 0: at the start and at a reload; < 0: never */
    bool allow_version_labels_for_unavailable_models;
    const char *remote_cache_dir;     /* "": see server/remote.h */
    const char *remote_helper;        /* path of sluice-fetch; "": beside this program */
    const char *remote_root;          /* comma list of prefixes that a reload may name */
    int32_t remote_poll_wait_seconds; /* 0: until it succeeded once; < 0: never */
    int64_t remote_timeout_s, remote_max_bytes;
    const char *saved_model_tags; /* comma list; "": serve */
    const char *platform_config_file;

    /* ---- loading ---- */
    int32_t num_load_threads, num_unload_threads; /* 0: the manager's own choice */
    int32_t max_num_load_retries;                 /* -1 means 0; other negatives are refused */
    int64_t load_retry_interval_micros;           /* negative: none */
    int version_transition;                       /* sl_transition */
    int64_t version_settle_ms;
    int64_t incomplete_version_timeout_s; /* 0: none */
    int64_t memory_budget;                /* 0: by the cgroup; < 0: none */
    int64_t on_demand_wait_ms;            /* 0: no limit */
    int64_t ended_version_ttl_s;          /* 0: for ever */
    bool flush_filesystem_caches;         /* no effect */
    bool enable_model_warmup;
    int32_t num_request_iterations_for_warmup; /* <= 0: 1 */
    bool synthetic_warmup;
    bool remove_unused_fields_from_bundle_metagraph;
    bool skip_initialize_tpu;                                   /* no effect */
    bool prefer_tflite_model;                                   /* true is refused */
    int32_t num_tflite_pools, num_tflite_interpreters_per_pool; /* no effect */

    /* ---- execution ---- */
    bool enable_batching;
    const char *batching_parameters_file;
    bool enable_per_model_batching_parameters;
    int64_t tensorflow_session_parallelism; /* see sl_flags_threads */
    int64_t tensorflow_intra_op_parallelism, tensorflow_inter_op_parallelism;
    const char *tensorflow_session_config_file;
    float per_process_gpu_memory_fraction;
    const char *mixed_precision; /* "" or "bfloat16" after sl_flags_check */
    bool enable_signature_method_name_check;
    bool enable_serialization_as_tensor_content;
    const char *thread_pool_factory_config_file;                   /* no effect */
    bool xla_cpu_compilation_enabled, xla_gpu_compilation_enabled; /* no effect */

    /* ---- engines (ours) ---- */
    int engine;                     /* sl_engine_choice */
    const char *tensorflow_library; /* path of libtensorflow_cc.so.2; "": looked for */
    const char *tensorflow_python;  /* interpreter whose TensorFlow is used; "": looked for */
    const char *tensorflow_host;    /* path of sluice-tensorflow-host; "": beside this program */
    const char *tensorflow_custom_op_libraries; /* comma list */

    /* ---- threads and limits (ours) ---- */
    int32_t loop_threads;   /* 0: CPUs */
    int32_t worker_threads; /* 0: CPUs */
    int32_t shadow_threads, shadow_max_queue;
    int32_t max_queue; /* requests that wait for a worker */
    int64_t max_queue_bytes;
    int64_t max_queue_wait_ms;
    int64_t max_head_bytes, max_body_bytes, max_decoded_bytes;
    int32_t max_header_lines;
    int64_t max_compression_ratio; /* 0: any */
    int64_t max_expanded_bytes;
    int64_t max_inflight_bytes; /* 0: by the cgroup; < 0: none */
    int32_t max_json_depth;
    int32_t max_connections;
    int32_t max_concurrent_streams;
    int64_t idle_timeout_s, head_timeout_s;
    int64_t min_rate; /* bytes a second; 0: none */
    int64_t max_chunks;
    int64_t max_unsent_bytes;
    int32_t max_resets, max_useless_frames;
    int64_t max_tensor_elements, max_string_bytes;
    int32_t max_tensor_rank;
    int64_t tls_handshake_timeout_s;
    int32_t max_tls_handshakes;

    /* ---- operation ---- */
    const char *monitoring_config_file;
    int log_level;             /* sl_log_level; default from TF_CPP_MIN_LOG_LEVEL */
    bool log_json;             /* --log_format=json */
    int access_log;            /* sl_access_mode */
    unsigned access_log_every; /* --access_log=sampled:N */
    int64_t drain_timeout_s;
    int32_t drain_grace_ms;
    bool reuse_port;          /* join a process that listens there, once the models are there */
    int sandbox;              /* sl_sandbox_mode */
    const char *sandbox_root; /* comma list; strict */
    const char *run_as;       /* "user[:group]"; "": stay */
    bool strict_startup; /* what the original only logs ends the start: equal ports, no bind ... */

    bool given[SL_FLAGS_MAX]; /* by row of the table; see sl_flags_given */
} sl_flags;

/* Defaults, TF_CPP_MIN_LOG_LEVEL and TF_CPP_MAX_VLOG_LEVEL included. `program` is argv[0]. */
void sl_flags_init(sl_flags *f, const char *program);

/* Parses argv[1] ... argv[argc - 1]. INVALID_ARGUMENT for an unknown argument or a value that
 * cannot be interpreted ("Couldn't interpret value <v> for flag <name>."); *f is then half filled
 * in. */
sl_code sl_flags_parse(sl_flags *f, int argc, char **argv, sl_status *st);

/* Checks what can be checked without opening a file, in the original's order and words (flags.md 4,
 * step 2). May correct *f where the original goes on after a line in its log. */
sl_code sl_flags_check(sl_flags *f, sl_status *st);

/* Where REST listens when nobody says: 8501, as everybody expects; the original's 0 means no REST.
 * Before the flags are checked. */
void sl_flags_choose_port(sl_flags *f);

/* What models may use together, in bytes; 0: no limit. */
uint64_t sl_flags_memory_budget(const sl_flags *f);

/* Was this flag on the command line? `name` must be one of the table. */
bool sl_flags_given(const sl_flags *f, const char *name);

/* Does it listen only when the models are there? */
static inline bool sl_flags_listen_late(const sl_flags *f)
{
    return f->as_original || f->reuse_port;
}

/* Logs one line for each flag that was given and does nothing, saying why. */
void sl_flags_tell_no_effect(const sl_flags *f);

/* Thread-count rule (flags.md section 3): 0 means automatic. INVALID_ARGUMENT if all three are set.
 */
sl_code sl_flags_threads(const sl_flags *f, int64_t *intra_op, int64_t *inter_op, sl_status *st);

/* Walks a comma list without empty items: for (at = 0; sl_flags_item(list, &at, &item);) */
bool sl_flags_item(const char *list, size_t *at, sl_str *item);
/* The value of a key of --grpc_channel_arguments (the last one wins); false if it is not there. */
bool sl_flags_channel_argument(const sl_flags *f, const char *key, sl_str *value);

/* Reports that the server cannot start, in the way of the name we were called by, and returns the
 * exit status: "Failed to start server. Error: <CODE>: <message>" on stdout and 255, or a line on
 * stderr and 1. */
int sl_flags_refuse(const sl_flags *f, const sl_status *st);

/* ---- texts made from the table (flags_help.c) ---- */

/* As the original prints it: usage: <program>, Flags:, a line each. */
void sl_flags_usage(const char *program, sl_text *out);
/* --help of `sluice serve`: by group, with types and defaults. */
void sl_flags_help(sl_text *out);
/* docs/sluice.1, the whole page. */
void sl_flags_man(sl_text *out);

#endif
