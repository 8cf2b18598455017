/*
 * flags_table.c - every flag, once
 *
 * The order is that of flags.md and of --help. A row without .ours is a flag of
 * tensorflow_model_server: its name, type and default are part of the contract, and
 * tests/unit/server/test_flags.c holds them.
 */
#include "server/flags_table.h"

#include <stddef.h>
#include <stdio.h>

#include "base/mem.h"
#include "model/manager.h"

static const char *const engines[] = {"auto", "native", "tensorflow", NULL};
static const char *const transitions[] = {"availability", "resource", NULL};
static const char *const verifies[] = {"none", "optional", "required", NULL};
static const char *const tls_versions[] = {"1.2", "1.3", NULL};
static const char *const sandboxes[] = {"off", "default", "strict", NULL};
static const char *const log_levels[] = {"debug", "info", "warning", "error", "fatal", NULL};
static const char *const log_formats[] = {"text", "json", NULL};

/* off | errors | all | sampled | sampled:N, N requests out of which one is written */
static bool parse_access_log(sl_flags *f, const char *value)
{
    static const char *const names[] = {"off", "errors", "all", "sampled"};
    int64_t every = 100;
    sl_str v = sl_str_of(value);
    if (sl_str_starts(v, "sampled:")) {
        if (!sl_str_to_int64((sl_str){v.p + 8, v.n - 8}, &every) || every < 1 || every > INT32_MAX)
            return false;
        v.n = 7;
    }
    for (unsigned i = 0; i < SL_COUNTOF(names); i++)
        if (sl_str_is(v, names[i])) {
            f->access_log = (int)i;
            f->access_log_every = (unsigned)every;
            return true;
        }
    return false;
}

static bool parse_log_format(sl_flags *f, const char *value)
{
    f->log_json = strcmp(value, "json") == 0;
    return f->log_json || strcmp(value, "text") == 0;
}

#define ROW(kind, field, in, otherwise, text, ...)                                   \
    {                                                                                \
        .name = #field, .type = SL_FLAG_##kind, .group = SL_FLAGS_##in,              \
        .at = offsetof(sl_flags, field), .def = otherwise, .help = text, __VA_ARGS__ \
    }
#define OURS .ours = true
#define AS_ALL .shown = "as for all listeners"

const sl_flag sl_flag_table[] = {
    ROW(INT32, port, TRANSPORT, "8500",
        "TCP port for gRPC, on all interfaces. 0: no TCP; then grpc_socket_path, grpc_address or a "
        "REST port must be given"),
    ROW(STRING, grpc_socket_path, TRANSPORT, "",
        "UNIX socket for gRPC, besides or instead of the port"),
    ROW(STRING, grpc_address, TRANSPORT, "",
        "comma-separated list of addresses for gRPC, each host:port or unix:/path, instead of all "
        "interfaces at --port",
        OURS),
    ROW(INT32, rest_api_port, TRANSPORT, "0",
        "TCP port for REST, on all interfaces. 0: 8501 for `sluice serve`, unless rest_address is "
        "given"),
    ROW(STRING, rest_address, TRANSPORT, "",
        "comma-separated list of addresses for REST, each host:port or unix:/path, instead of all "
        "interfaces at --rest_api_port",
        OURS),
    ROW(INT32, rest_api_num_threads, TRANSPORT, "0",
        "worker threads, where --worker_threads does not say. 0: one for each CPU"),
    ROW(INT32, rest_api_timeout_in_ms, TRANSPORT, "30000",
        "time-out of a REST request in milliseconds; 0 or less: none"),
    ROW(BOOL, rest_api_enable_cors_support, TRANSPORT, "false",
        "send CORS headers with REST replies"),
    ROW(INT64, rest_api_compress_min_bytes, TRANSPORT, "0",
        "compress REST replies of at least this many bytes for clients that accept gzip. 0: never",
        OURS),
    ROW(STRING, grpc_channel_arguments, TRANSPORT, "",
        "comma-separated list of key=value for the gRPC server, such as "
        "grpc.max_connection_age_ms=2000"),
    ROW(INT32, grpc_max_threads, TRANSPORT, "0",
        "how many gRPC inferences may be in progress at the same time; more: RESOURCE_EXHAUSTED. "
        "0: "
        "as many as the queues hold",
        .shown = "no limit"),
    ROW(INT64, grpc_max_message_bytes, TRANSPORT, "2147483647",
        "bytes of a gRPC request's message as sent; more: RESOURCE_EXHAUSTED", OURS, .min = 1),
    ROW(BOOL, use_alts_credentials, TRANSPORT, "false",
        "Google ALTS: not supported, true is refused"),
    ROW(STRING, ssl_config_file, TRANSPORT, "",
        "text protobuf SSLConfig, which holds PEM texts: TLS for gRPC, and for gRPC alone"),
    ROW(STRING, tls_cert_file, TRANSPORT, "",
        "PEM file with the server's certificate and the intermediate ones behind it: every "
        "listener "
        "speaks TLS. A comma-separated list of files: the one is used whose names fit (SNI), else "
        "the first. Read again when it changes",
        OURS),
    ROW(STRING, tls_key_file, TRANSPORT, "",
        "PEM file with the certificate's private key, without a passphrase; as many files as in "
        "--tls_cert_file",
        OURS),
    ROW(STRING, tls_client_ca_file, TRANSPORT, "",
        "PEM file with the authorities that sign certificates of clients", OURS),
    ROW(CHOICE, tls_client_verify, TRANSPORT, "none",
        "must clients show a certificate of --tls_client_ca_file; optional: only if they have one",
        OURS, .choices = verifies, .shown = "required with --tls_client_ca_file, else none"),
    ROW(STRING, grpc_tls_cert_file, TRANSPORT, "",
        "--tls_cert_file for gRPC alone; with it also --grpc_tls_key_file", OURS, AS_ALL),
    ROW(STRING, grpc_tls_key_file, TRANSPORT, "", "--tls_key_file for gRPC alone", OURS, AS_ALL),
    ROW(STRING, grpc_tls_client_ca_file, TRANSPORT, "", "--tls_client_ca_file for gRPC alone", OURS,
        AS_ALL),
    ROW(CHOICE, grpc_tls_client_verify, TRANSPORT, "none", "--tls_client_verify for gRPC alone",
        OURS, .choices = verifies, AS_ALL),
    ROW(STRING, admin_tls_cert_file, TRANSPORT, "",
        "--tls_cert_file for the admin interface alone; with it also --admin_tls_key_file", OURS,
        AS_ALL),
    ROW(STRING, admin_tls_key_file, TRANSPORT, "", "--tls_key_file for the admin interface alone",
        OURS, AS_ALL),
    ROW(STRING, admin_tls_client_ca_file, TRANSPORT, "",
        "--tls_client_ca_file for the admin interface alone", OURS, AS_ALL),
    ROW(CHOICE, admin_tls_client_verify, TRANSPORT, "none",
        "--tls_client_verify for the admin interface alone", OURS, .choices = verifies, AS_ALL),
    ROW(CHOICE, tls_min_version, TRANSPORT, "1.2", "the oldest version of TLS that is spoken", OURS,
        .choices = tls_versions, .min = 12),
    ROW(BOOL, enable_grpc_healthcheck_service, TRANSPORT, "false",
        "grpc.health.v1.Health is there unless this is given as false"),
    ROW(BOOL, enable_profiler, TRANSPORT, "true", "register the profiler service",
        .no_effect = "there is no TensorFlow profiler in this server"),
    ROW(BOOL, extra_routes, TRANSPORT, "true",
        "serve /healthz, /readyz, /startupz and /metrics, the Open Inference Protocol (/v2, and "
        "its gRPC service), and protobuf bodies over REST. false: none of them is there, as with "
        "TensorFlow Serving",
        OURS),

    ROW(STRING, auth_config_file, TRANSPORT, "",
        "text protobuf AuthConfig: tokens, JSON Web Tokens, permissions, limits, networks; read "
        "again "
        "when it changes",
        OURS),
    ROW(BOOL, allow_remote_admin, TRANSPORT, "false",
        "without configured identities, let others than this machine administer, too, as "
        "TensorFlow "
        "Serving does",
        OURS),
    ROW(INT32, health_port, TRANSPORT, "0",
        "TCP port of /healthz, /readyz, /startupz and /metrics alone, plain HTTP, open from the "
        "first moment "
        "(`tensorflow_model_server` opens its other ports when the models are loaded). 0: none",
        OURS),
    ROW(STRING, admin_address, TRANSPORT, "",
        "where the admin interface listens: unix:/path, a loopback address (127.0.0.1:9000, "
        "[::1]:9000), or with identities in --auth_config_file any address; http:// or https:// in "
        "front says what is spoken. Empty: nowhere",
        OURS),

    ROW(STRING, model_name, MODELS, "default", "name of the model at --model_base_path"),
    ROW(STRING, model_base_path, MODELS, "",
        "absolute path of the directory that holds the model's versions (.../1, .../2); ignored "
        "with "
        "--model_config_file"),
    ROW(STRING, model_config_file, MODELS, "",
        "text protobuf ModelServerConfig: which models to serve; or a directory of such files "
        "(*.pbtxt, *.textproto, *.conf, *.config), whose lists are joined"),
    ROW(STRING, models_dir, MODELS, "",
        "absolute path of a directory of models: each directory in it that holds a version is "
        "served under its name, instead of --model_config_file and --model_base_path",
        OURS),
    ROW(INT32, model_config_file_poll_wait_seconds, MODELS, "0",
        "period of reading --model_config_file again. 0 or less: never"),
    ROW(INT64, reload_timeout_s, MODELS, "300",
        "seconds that a reload waits for its models to be available; they load on after that", OURS,
        .min = 1),
    ROW(INT32, file_system_poll_wait_seconds, MODELS, "1",
        "period of looking for new versions. 0: only at the start and at a reload; less: never"),
    ROW(BOOL, allow_version_labels_for_unavailable_models, MODELS, "false",
        "let a new label point to a version that is not available yet"),
    ROW(STRING, remote_cache_dir, MODELS, "",
        "directory for what is fetched from remote base paths (s3://, gs://, http(s)://...tar.gz)",
        OURS, .shown = "/var/cache/sluice or the user's cache directory"),
    ROW(INT32, remote_poll_wait_seconds, MODELS, "60",
        "period of looking for new versions at remote base paths. 0: only until it succeeded once; "
        "less: "
        "never, the cache is served as it is",
        OURS, .min = INT32_MIN),
    ROW(STRING, remote_root, MODELS, "",
        "comma-separated prefixes (s3://bucket/models) below which a reload may name base paths, "
        "and to "
        "which a redirect of an archive may lead",
        OURS),
    ROW(INT64, remote_timeout_s, MODELS, "30",
        "a transfer from a remote base path that stands still for so long has failed", OURS,
        .min = 1),
    ROW(INT64, remote_max_bytes, MODELS, "68719476736",
        "bytes of one version of a remote model, also of what an archive unpacks to", OURS,
        .min = 1),
    ROW(STRING, remote_helper, MODELS, "", "path of sluice-fetch; empty: beside this program",
        OURS),
    ROW(STRING, saved_model_tags, MODELS, "serve",
        "comma-separated set of tags; the meta graph with exactly these is served"),
    ROW(STRING, platform_config_file, MODELS, "",
        "text protobuf PlatformConfigMap; the flags of batching, sessions, tags and warm-up are "
        "then "
        "ignored"),

    ROW(INT32, num_load_threads, LOADING, "0", "threads that load versions after the first start"),
    ROW(INT32, num_unload_threads, LOADING, "0", "threads that unload versions"),
    ROW(INT32, max_num_load_retries, LOADING, "5",
        "attempts to load a version after the first one failed"),
    ROW(INT64, load_retry_interval_micros, LOADING, "60000000",
        "longest pause between two attempts to load; the first is an eighth of it, each next one "
        "twice "
        "as long. Negative: none"),
    ROW(CHOICE, version_transition, LOADING, "availability",
        "from a version to the next: availability keeps the old one until the new one serves; "
        "resource unloads it first, so that never both are in memory",
        OURS, .choices = transitions, .min = SL_TRANSITION_AVAILABILITY),
    ROW(INT64, version_settle_ms, LOADING, "500",
        "a version is taken when its directory has not changed for so long", OURS),
    ROW(INT64, incomplete_version_timeout_s, LOADING, "300",
        "a version that lacks files, and in which nothing has changed for so long, is loaded all "
        "the "
        "same, and fails with the reason. 0: it is waited for without end",
        OURS),
    ROW(INT64, ended_version_ttl_s, LOADING, "900",
        "seconds for which a version that has ended is still listed. 0: for ever, as TensorFlow "
        "Serving does",
        OURS),
    ROW(INT64, memory_budget, LOADING, "0",
        "bytes that all loaded models together may use; a load that does not fit is refused. 0: "
        "four "
        "fifths of the memory that the cgroup allows; less: no limit",
        OURS, .shown = "4/5 of the cgroup's limit", .min = -1),
    ROW(INT64, on_demand_wait_ms, LOADING, "10000",
        "how long a request waits for a model with load: ON_DEMAND to be loaded; then 503. 0: no "
        "limit",
        OURS),
    ROW(BOOL, flush_filesystem_caches, LOADING, "true", "flush the file system layer's caches",
        .no_effect = "this server keeps no caches of the file system"),
    ROW(BOOL, enable_model_warmup, LOADING, "true",
        "replay assets.extra/tf_serving_warmup_requests before a version becomes available"),
    ROW(INT32, num_request_iterations_for_warmup, LOADING, "0",
        "how often each warm-up request runs; 0 or less: once"),
    ROW(BOOL, synthetic_warmup, LOADING, "true",
        "where there are no warm-up requests, run each signature with zeros before a version "
        "becomes available, if it takes no strings and changes nothing",
        OURS),
    ROW(BOOL, remove_unused_fields_from_bundle_metagraph, LOADING, "true",
        "keep only the signatures of a loaded graph in memory; this server always does"),
    ROW(BOOL, skip_initialize_tpu, LOADING, "false", "for TPUs",
        .no_effect = "this server does not use TPUs"),
    ROW(BOOL, prefer_tflite_model, LOADING, "false",
        "serve model.tflite: not supported, true is refused"),
    ROW(INT32, num_tflite_pools, LOADING, "0", "for TensorFlow Lite", .shown = "CPUs",
        .no_effect = "this server does not run TensorFlow Lite models"),
    ROW(INT32, num_tflite_interpreters_per_pool, LOADING, "1", "for TensorFlow Lite",
        .no_effect = "this server does not run TensorFlow Lite models"),

    ROW(BOOL, enable_batching, EXECUTION, "false", "merge requests into batches"),
    ROW(STRING, batching_parameters_file, EXECUTION, "",
        "text protobuf BatchingParameters; needs --enable_batching"),
    ROW(BOOL, enable_per_model_batching_parameters, EXECUTION, "false",
        "batch only versions that have a batching_params.pbtxt, with its parameters; needs "
        "--enable_batching"),
    ROW(INT64, tensorflow_session_parallelism, EXECUTION, "0",
        "threads inside an op and ops in parallel; 0: automatic"),
    ROW(INT64, tensorflow_intra_op_parallelism, EXECUTION, "0",
        "threads inside an op; 0: automatic"),
    ROW(INT64, tensorflow_inter_op_parallelism, EXECUTION, "0", "ops in parallel; 0: automatic"),
    ROW(STRING, tensorflow_session_config_file, EXECUTION, "",
        "text protobuf ConfigProto for sessions of the TensorFlow engine; its thread counts also "
        "hold "
        "for the native engine"),
    ROW(FLOAT, per_process_gpu_memory_fraction, EXECUTION, "0",
        "share of GPU memory for the TensorFlow engine; 0: TensorFlow's choice"),
    ROW(STRING, mixed_precision, EXECUTION, "",
        "bfloat16: let the TensorFlow engine compute with it"),
    ROW(BOOL, enable_signature_method_name_check, EXECUTION, "false",
        "refuse signatures whose method_name is not that of the request"),
    ROW(BOOL, enable_serialization_as_tensor_content, EXECUTION, "false",
        "write tensors of gRPC Predict replies as tensor_content"),
    ROW(STRING, thread_pool_factory_config_file, EXECUTION, "",
        "text protobuf ThreadPoolFactoryConfig",
        .no_effect =
            "neither this server nor TensorFlow Serving has a thread-pool factory built in"),
    ROW(BOOL, xla_cpu_compilation_enabled, EXECUTION, "false", "XLA just-in-time compilation",
        .no_effect = "this server does not compile with XLA"),
    ROW(BOOL, xla_gpu_compilation_enabled, EXECUTION, "false", "XLA just-in-time compilation",
        .no_effect = "this server does not compile with XLA"),

    ROW(CHOICE, engine, ENGINES, "auto",
        "which engine runs the models. auto: native where it knows every op, else TensorFlow", OURS,
        .choices = engines),
    ROW(STRING, tensorflow_library, ENGINES, "",
        "path of libtensorflow_cc.so.2 or libtensorflow.so.2; empty: looked for", OURS),
    ROW(STRING, tensorflow_python, ENGINES, "",
        "Python interpreter whose TensorFlow package has the library; empty: looked for", OURS),
    ROW(STRING, tensorflow_host, ENGINES, "",
        "path of sluice-tensorflow-host; empty: beside this program", OURS),
    ROW(STRING, tensorflow_custom_op_libraries, ENGINES, "",
        "comma-separated list of libraries with custom ops for the TensorFlow engine", OURS),

    ROW(INT32, loop_threads, LIMITS, "0", "threads that read and write; 0: one for each CPU", OURS,
        .shown = "CPUs"),
    ROW(INT32, worker_threads, LIMITS, "0", "threads that run models; 0: one for each CPU", OURS,
        .shown = "CPUs"),
    ROW(INT32, shadow_threads, LIMITS, "1",
        "threads, of low priority, that run copies of requests on a model's shadow version", OURS,
        .min = 1),
    ROW(INT32, shadow_max_queue, LIMITS, "64",
        "copies that may wait for a shadow thread; more are dropped", OURS, .min = 1),
    ROW(INT32, max_queue, LIMITS, "1024", "requests that may wait for a worker; more: 503", OURS,
        .min = 1),
    ROW(INT64, max_queue_bytes, LIMITS, "1073741824",
        "bytes of requests that may wait for a worker; more: 503", OURS, .min = 1),
    ROW(INT64, max_queue_wait_ms, LIMITS, "10000",
        "requests are refused while the oldest has waited longer", OURS, .min = 1),
    ROW(INT64, max_head_bytes, LIMITS, "65536", "bytes of an HTTP request's head; more: 431", OURS,
        .min = 1024),
    ROW(INT32, max_header_lines, LIMITS, "256", "header lines of an HTTP request; more: 431", OURS,
        .min = 1),
    ROW(INT64, max_body_bytes, LIMITS, "1073741824", "bytes of a request's body; more: 413", OURS,
        .min = 1),
    ROW(INT64, max_chunks, LIMITS, "16777216", "chunks of a chunked body; more: 413. 0: any", OURS),
    ROW(INT64, max_decoded_bytes, LIMITS, "104857600",
        "bytes of a gzip body or a compressed gRPC message after decompression", OURS, .min = 1),
    ROW(INT64, max_compression_ratio, LIMITS, "0",
        "how many times larger a compressed body or message may become. 0: any, up to "
        "--max_decoded_bytes",
        OURS),
    ROW(INT64, max_expanded_bytes, LIMITS, "16777216",
        "bytes by which the tensors of a request may be larger than what was sent (lists shorter "
        "than their shape, a context for each Example); more: RESOURCE_EXHAUSTED",
        OURS, .min = 1),
    ROW(INT64, max_inflight_bytes, LIMITS, "0",
        "bytes of all request bodies held at the same time, and of what slow clients make the "
        "server hold; more: 503. What slow clients make it hold may be half of that: beyond it the "
        "one that has not moved for longest is cut. 0: half of what the models leave of the "
        "cgroup's memory; less: no limit",
        OURS, .shown = "by the cgroup", .min = -1),
    ROW(INT32, max_json_depth, LIMITS, "10000", "nesting of arrays and objects in a JSON body",
        OURS, .min = 1),
    ROW(INT64, max_tensor_elements, LIMITS, "2147483648",
        "elements of all input tensors of a request; more: RESOURCE_EXHAUSTED, over REST 429", OURS,
        .min = 1),
    ROW(INT64, max_string_bytes, LIMITS, "2147483648",
        "bytes of all strings in the input tensors of a request; more: RESOURCE_EXHAUSTED, over "
        "REST 429",
        OURS, .min = 1),
    ROW(INT32, max_tensor_rank, LIMITS, "8",
        "dimensions of an input tensor, 1 to 8; more: INVALID_ARGUMENT, over REST 400", OURS,
        .min = 1),
    ROW(INT32, max_connections, LIMITS, "65536",
        "connections at the same time, all ports together but the admin interface's; when there "
        "are as many, a new one takes the place of the one that has been there longest and never "
        "sent a request, else of the one that is idle longest",
        OURS, .min = 1),
    ROW(INT32, max_concurrent_streams, LIMITS, "1000",
        "requests of one HTTP/2 connection at the same time; its client waits with more", OURS,
        .min = 1),
    ROW(INT64, max_unsent_bytes, LIMITS, "67108864",
        "bytes of replies that the client of an HTTP/2 connection has not taken, beyond which its "
        "further requests wait",
        OURS, .min = 1),
    ROW(INT32, max_resets, LIMITS, "1000",
        "streams of an HTTP/2 connection that end before their reply, at once and in 10 seconds; "
        "more: GOAWAY",
        OURS, .min = 1),
    ROW(INT32, max_useless_frames, LIMITS, "10000",
        "HTTP/2 frames that ask for nothing (PING, SETTINGS, empty DATA ...) or for streams beyond "
        "--max_concurrent_streams, at once and in 10 seconds; more: GOAWAY",
        OURS, .min = 1),
    ROW(INT64, idle_timeout_s, LIMITS, "600", "a connection that is silent for so long is closed",
        OURS, .min = 1),
    ROW(INT64, head_timeout_s, LIMITS, "30", "time for a request's head to arrive", OURS, .min = 1),
    ROW(INT64, min_rate, LIMITS, "100",
        "bytes a second with which a body must arrive and a reply must be taken. 0: any", OURS),
    ROW(INT64, tls_handshake_timeout_s, LIMITS, "10", "time for a TLS handshake", OURS, .min = 1),
    ROW(INT32, max_tls_handshakes, LIMITS, "1024",
        "TLS handshakes at the same time, of each address; more: the oldest is cut", OURS,
        .min = 1),

    ROW(STRING, monitoring_config_file, OPERATION, "", "text protobuf MonitoringConfig"),
    ROW(BOOL, version, OPERATION, "false", "print versions and exit"),
    ROW(CHOICE, log_level, OPERATION, "info",
        "least level that is written; the default follows TF_CPP_MIN_LOG_LEVEL", OURS,
        .choices = log_levels, .min = SL_DEBUG),
    {.name = "log_format",
     .type = SL_FLAG_CUSTOM,
     .group = SL_FLAGS_OPERATION,
     .def = "text",
     .help = "form of the log: lines as TensorFlow Serving writes them, or one JSON object a line",
     .ours = true,
     .choices = log_formats,
     .syntax = "text|json",
     .parse = parse_log_format},
    {.name = "access_log",
     .type = SL_FLAG_CUSTOM,
     .group = SL_FLAGS_OPERATION,
     .def = "off",
     .help = "which requests get a line in the log; sampled: errors and one in N (100) of the rest",
     .ours = true,
     .syntax = "off|errors|all|sampled[:N]",
     .parse = parse_access_log},
    ROW(INT64, drain_timeout_s, OPERATION, "30",
        "seconds that requests in flight are given when the server is asked to end", OURS),
    ROW(INT32, drain_grace_ms, OPERATION, "0",
        "milliseconds before that in which the server is not ready but serves on, so that proxies "
        "and clients go elsewhere first",
        OURS, .shown = "0; 1000 with --reuse_port"),
    ROW(BOOL, reuse_port, OPERATION, "false",
        "share the TCP ports with a server of the same user that runs already, from when the "
        "models are loaded: to change the program or its flags without a gap",
        OURS),
    ROW(CHOICE, sandbox, OPERATION, "default",
        "what the server gives up once it has started. default: programs, connections of its own, "
        "writing "
        "files; strict: also reading outside of sandbox_root",
        OURS, .choices = sandboxes),
    ROW(STRING, sandbox_root, OPERATION, "",
        "comma-separated list of directories that --sandbox=strict leaves readable; empty: the "
        "parents of "
        "base paths. Those of configuration files are always",
        OURS),
    ROW(STRING, run_as, OPERATION, "",
        "user or user:group that the server becomes when it was started as root", OURS),
    ROW(BOOL, strict_startup, OPERATION, "false",
        "end the start where TensorFlow Serving only writes a line and goes on without REST", OURS),
};
const int sl_flag_count = SL_COUNTOF(sl_flag_table);
_Static_assert(SL_COUNTOF(sl_flag_table) <= SL_FLAGS_MAX, "sl_flags.given has too few places");

const char *const sl_flag_groups[SL_FLAGS_GROUPS] = {
    [SL_FLAGS_TRANSPORT] = "Ports and transport",
    [SL_FLAGS_MODELS] = "What to serve",
    [SL_FLAGS_LOADING] = "Loading",
    [SL_FLAGS_EXECUTION] = "Execution",
    [SL_FLAGS_ENGINES] = "Engines",
    [SL_FLAGS_LIMITS] = "Threads and limits",
    [SL_FLAGS_OPERATION] = "Operation",
};

const char *sl_flag_type_name(const sl_flag *f)
{
    switch (f->type) {
    case SL_FLAG_BOOL:
        return "bool";
    case SL_FLAG_INT32:
        return "int32";
    case SL_FLAG_INT64:
        return "int64";
    case SL_FLAG_FLOAT:
        return "float";
    case SL_FLAG_STRING:
    case SL_FLAG_CHOICE:
    case SL_FLAG_CUSTOM:
        break;
    }
    return "string";
}

/* Decimal as %lld reads it: leading blanks and a sign are allowed, nothing may follow. What does
 * not fit is refused; the original would let it wrap. */
static bool parse_int(const char *s, int64_t min, int64_t max, int64_t *out)
{
    while (*s == ' ' || (*s >= '\t' && *s <= '\r'))
        s++;
    if (*s == '+' && s[1] != '-')
        s++;
    return sl_str_to_int64(sl_str_of(s), out) && *out >= min && *out <= max;
}

static bool set_choice(void *field, const sl_flag *row, const char *value)
{
    for (int i = 0; row->choices[i] != NULL; i++)
        if (strcmp(value, row->choices[i]) == 0) {
            *(int *)field = i + (int)row->min;
            return true;
        }
    return false;
}

bool sl_flag_set(sl_flags *f, const sl_flag *row, const char *value)
{
    void *field = (char *)f + row->at;
    int64_t n;
    char extra;
    float x;
    bool yes = strcmp(value, "true") == 0;
    switch (row->type) {
    case SL_FLAG_BOOL:
        if (yes || strcmp(value, "false") == 0) {
            *(bool *)field = yes;
            return true;
        }
        return false;
    case SL_FLAG_INT32:
        if (!parse_int(value, row->ours ? row->min : INT32_MIN, INT32_MAX, &n))
            return false;
        *(int32_t *)field = (int32_t)n;
        return true;
    case SL_FLAG_INT64:
        if (!parse_int(value, row->ours ? row->min : INT64_MIN, INT64_MAX, &n))
            return false;
        *(int64_t *)field = n;
        return true;
    case SL_FLAG_FLOAT:
        if (sscanf(value, "%f%c", &x, &extra) != 1)
            return false;
        *(float *)field = x;
        return true;
    case SL_FLAG_STRING:
        *(const char **)field = value;
        return true;
    case SL_FLAG_CHOICE:
        return set_choice(field, row, value);
    case SL_FLAG_CUSTOM:
        break;
    }
    return row->parse(f, value);
}
