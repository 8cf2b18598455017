/*
 * config.h - the server's configuration files, read and checked
 *
 * Every file is protobuf text (format/textpb.h). Reading one gives a plain struct that owns its
 * memory in an arena. An error in a file names the file, line and column: "Invalid protobuf file:
 * '<path>': 12:5: message ModelConfig has no field named "base_pth"; did you mean "base_path"?".
 *
 *     sl_server_config c;
 *     rc = sl_config_load(&flags, &c, st);      all of start-up step 2 (flags.md section 4)
 *     ...
 *     sl_config_fini(&c);
 *
 * A model list can also be read again later (file poll) or arrive over gRPC: sl_model_list_*.
 * Main thread, or one at a time; results are immutable afterwards.
 *
 * Source: config.md of the contract.
 */
#ifndef SL_SERVER_CONFIG_H
#define SL_SERVER_CONFIG_H

#include "base/arena.h"
#include "model/manager.h"
#include "server/flags.h"

/* ---- the list of models ---- */

typedef struct sl_model_list {
    sl_arena arena; /* holds everything below */
    bool empty;     /* no model_config_list at all: nothing is to be done (config.md 4, step 2) */
    sl_model_config *models; /* for sl_manager_configure */
    const char **platforms;  /* opposite models: "tensorflow" or a key of the platform map */
    int count;
    const sl_str *wires; /* opposite models: the ModelConfig; equal bytes, equal configuration */
    sl_str wire;         /* the ModelServerConfig: likewise */
} sl_model_list;

/* Reads --model_config_file. On success sl_model_list_fini gives everything back, on failure
 * nothing is left. NOT_FOUND, INVALID_ARGUMENT (text as above, or that of a check below). */
sl_code sl_model_list_read(const char *path, sl_model_list *out, sl_status *st);
/* The same from a ModelServerConfig in its wire form (HandleReloadConfigRequest). */
sl_code sl_model_list_from_wire(sl_str wire, sl_model_list *out, sl_status *st);
/* The same from protobuf text. INVALID_ARGUMENT "<line>:<column>: <reason>". */
sl_code sl_model_list_from_text(sl_str text, sl_model_list *out, sl_status *st);
/* One model, policy latest: --model_name, --model_base_path. */
sl_code sl_model_list_single(const char *name, const char *base_path, sl_model_list *out,
                             sl_status *st);
/* Appends the list as protobuf text. */
sl_code sl_model_list_print(const sl_model_list *l, sl_text *out, sl_status *st);
void sl_model_list_fini(sl_model_list *l);

/* config.md section 4, step 5: INVALID_ARGUMENT if a model that stays changes its platform. Steps
 * 3, 4 and 6 are part of reading. */
sl_code sl_model_list_check_change(const sl_model_list *now, const sl_model_list *wanted,
                                   sl_status *st);

/* ---- batching ---- */

typedef struct sl_batching_config {
    int64_t max_batch_size;       /* 1000 */
    int64_t batch_timeout_micros; /* 0 */
    int64_t max_enqueued_batches; /* 10 */
    int64_t num_batch_threads;    /* 0: number of CPUs */
    const char *thread_pool_name;
    const int64_t *allowed_batch_sizes; /* ascending as the file had them */
    int n_allowed_batch_sizes;
    bool pad_variable_length_inputs;
    bool enable_large_batch_splitting;
    int64_t max_execution_batch_size; /* with splitting; = max_batch_size if absent */
} sl_batching_config;

/* Defaults of BatchingParameters. */
void sl_batching_default(sl_batching_config *b);
/* Reads a BatchingParameters file (the global one, or batching_params.pbtxt of a version) and
 * checks it (config.md section 9). Lists and strings are in `arena`. Any thread. */
sl_code sl_batching_read(const char *path, sl_arena *arena, sl_batching_config *out, sl_status *st);

/* ---- everything else ---- */

typedef struct sl_ssl_config {
    sl_str server_key, server_cert, custom_ca; /* PEM */
    bool client_verify;
} sl_ssl_config;
/* Key material is in `arena`. */
sl_code sl_ssl_read(const char *path, sl_arena *arena, sl_ssl_config *out, sl_status *st);

/* What one platform of --platform_config_file says, or what the flags say where there is none. */
typedef struct sl_platform {
    const char *name;        /* "tensorflow" */
    const char *const *tags; /* of the wanted meta graph; 0: "serve" */
    int n_tags;
    sl_str session_config; /* ConfigProto, wire form, flags merged in; n == 0: none */
    int intra_op_threads, inter_op_threads; /* 0: automatic */
    bool batching;                          /* are models batched at all */
    bool per_model_batching;                /* by batching_params.pbtxt of the version */
    sl_batching_config batch;
    bool warmup;
    int warmup_iterations; /* at least 1 */
} sl_platform;

typedef struct sl_server_config {
    sl_arena arena;
    sl_model_list models;
    sl_platform *platforms; /* a platform file without any: an empty one, which does not count */
    int n_platforms;
    const char *metrics_path; /* NULL: metrics are not enabled by MonitoringConfig */
} sl_server_config;

/*
 * Logs which flags have no effect, checks the flags (sl_flags_check) and reads every file they
 * name. Order and words of the errors are the original's; the monitoring file is read here, too:
 * the original finds out that it is broken when gRPC is already being served.
 */
sl_code sl_config_load(sl_flags *flags, sl_server_config *out, sl_status *st);
/* Accepts what is all zeros, as after a failure. */
void sl_config_fini(sl_server_config *c);

/*
 * The same for `sluice check`: what is wrong is told, and the rest is read all the same, models
 * beside one that cannot be taken among it. *out holds what could be read; n_platforms may be 0.
 * Fails only without memory. sl_config_fini afterwards.
 */
typedef struct sl_config_complaint {
    void (*tell)(void *arg, const sl_status *st);
    void *arg;
} sl_config_complaint;
sl_code sl_config_survey(sl_flags *flags, sl_server_config *out, const sl_config_complaint *to,
                         sl_status *st);

/* The platform with that name, or NULL. */
const sl_platform *sl_config_platform(const sl_server_config *c, const char *name);
/* The one with which models are loaded: "tensorflow", or the only one that a platform file has. */
const sl_platform *sl_config_serving_platform(const sl_server_config *c);
/* INVALID_ARGUMENT "Model <name> requests unsupported platform <p>" (step 8). */
sl_code sl_config_check_platforms(const sl_server_config *c, const sl_model_list *l, sl_status *st);

#endif
