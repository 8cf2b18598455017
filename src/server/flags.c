/*
 * flags.c - from the command line to sl_flags
 *
 * An argument is offered to the rows of the table in turn; the first that claims it decides, as in
 * TensorFlow's parser: a bool claims everything that begins with its name, any other flag only
 * --name=. What nobody claims is refused, with the nearest name.
 */
#include "server/flags.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cpu.h"
#include "base/mem.h"
#include "format/nearest.h"
#include "net/tls.h"
#include "server/flags_table.h"

/* TF_CPP_MIN_LOG_LEVEL: 0 info ... 3 fatal; TF_CPP_MAX_VLOG_LEVEL above 0: debug. */
static int level_from_environment(void)
{
    const char *text = getenv("TF_CPP_MIN_LOG_LEVEL"), *verbose = getenv("TF_CPP_MAX_VLOG_LEVEL");
    int64_t level = SL_INFO, v = 0;
    if (verbose == NULL)
        verbose = getenv("TF_CPP_MIN_VLOG_LEVEL");
    if (text != NULL && (!sl_str_to_int64(sl_str_of(text), &level) || level < 0))
        level = SL_INFO;
    if (level == SL_INFO && verbose != NULL && sl_str_to_int64(sl_str_of(verbose), &v) && v > 0)
        level = SL_DEBUG;
    return (int)SL_MIN(level, (int64_t)SL_FATAL);
}

void sl_flags_init(sl_flags *f, const char *program)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; i < sl_flag_count; i++) {
        bool ok = sl_flag_set(f, &sl_flag_table[i], sl_flag_table[i].def);
        assert(ok); /* a default of the table that its own flag refuses */
        (void)ok;
    }
    f->program = program;
    const char *slash = strrchr(program, '/');
    f->as_original = strcmp(slash ? slash + 1 : program, "tensorflow_model_server") == 0;
    f->log_level = level_from_environment();
}

static int find_row(sl_str name)
{
    for (int i = 0; i < sl_flag_count; i++)
        if (sl_str_is(name, sl_flag_table[i].name))
            return i;
    return -1;
}

bool sl_flags_given(const sl_flags *f, const char *name)
{
    int row = find_row(sl_str_of(name));
    assert(row >= 0);
    return f->given[row];
}

static const char *flag_name(void *arg, int i)
{
    (void)arg;
    return i < sl_flag_count ? sl_flag_table[i].name : NULL;
}

/* Says what is wrong with an argument that no flag claims, and what was probably meant. */
static sl_code refuse_unknown(const char *arg, sl_status *st)
{
    size_t dashes = strspn(arg, "-");
    sl_str name = {arg + dashes, strcspn(arg + dashes, "=")};
    bool has_value = name.p[name.n] == '=';
    int row = find_row(name);
    if (row < 0 && sl_str_starts(name, "no") && dashes == 2 && !has_value) {
        sl_str rest = {name.p + 2 + (name.p[2] == '_' || name.p[2] == '-'), 0};
        rest.n = name.n - (size_t)(rest.p - name.p);
        row = find_row(rest);
        if (row >= 0 && sl_flag_table[row].type == SL_FLAG_BOOL)
            return sl_fail(st, SL_INVALID_ARGUMENT, "unknown argument: %s; write --%s=false", arg,
                           sl_flag_table[row].name);
        row = -1;
    }
    if (row >= 0 && dashes > 0) /* the name is right, its form is not */
        return sl_fail(st, SL_INVALID_ARGUMENT, "unknown argument: %s; write --%s=<%s>", arg,
                       sl_flag_table[row].name, sl_flag_type_name(&sl_flag_table[row]));
    const char *near = dashes ? sl_nearest(name, flag_name, NULL) : NULL;
    if (near != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "unknown argument: %s; did you mean --%s?", arg,
                       near);
    return sl_fail(st, SL_INVALID_ARGUMENT, "unknown argument: %s", arg);
}

/* Does this row claim the argument (without its dashes)? Then *value is what is behind the name. */
static bool claims(const sl_flag *row, const char *arg, const char **value)
{
    size_t n = strlen(row->name);
    if (strncmp(arg, row->name, n) != 0)
        return false;
    *value = arg + n;
    return row->type == SL_FLAG_BOOL || arg[n] == '=';
}

static sl_code parse_one(sl_flags *f, const char *arg, sl_status *st)
{
    const char *value;
    if (strncmp(arg, "--", 2) != 0)
        return refuse_unknown(arg, st);
    if (strcmp(arg, "--help") == 0 || strcmp(arg, "--help=man") == 0) {
        f->help = arg[6] ? "man" : "";
        return SL_OK;
    }
    for (int i = 0; i < sl_flag_count; i++) {
        const sl_flag *row = &sl_flag_table[i];
        if (!claims(row, arg + 2, &value))
            continue;
        const char *text = *value == '=' ? value + 1 : *value == '\0' ? "true" : "";
        if (row->type == SL_FLAG_BOOL && *value != '\0' && *value != '=' &&
            find_row((sl_str){arg + 2, strcspn(arg + 2, "=")}) >= 0)
            continue; /* another flag whose name begins with this bool's */
        if (!sl_flag_set(f, row, text))
            return sl_fail(st, SL_INVALID_ARGUMENT, "Couldn't interpret value %s for flag %s.",
                           row->type == SL_FLAG_BOOL ? value : value + 1, row->name);
        f->given[i] = true;
        return SL_OK;
    }
    return refuse_unknown(arg, st);
}

sl_code sl_flags_parse(sl_flags *f, int argc, char **argv, sl_status *st)
{
    for (int i = 1; i < argc; i++) {
        sl_code rc = parse_one(f, argv[i], st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

/* "k=v,k=v": an item without '=' made the original read beyond its end. */
static sl_code check_channel_arguments(const sl_flags *f, sl_status *st)
{
    sl_str item;
    for (size_t at = 0; sl_flags_item(f->grpc_channel_arguments, &at, &item);)
        if (memchr(item.p, '=', item.n) == NULL)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "grpc_channel_arguments: \"%.*s\" is not of the form key=value",
                           SL_STR_ARG(item));
    return SL_OK;
}

/* What one kind of listener speaks with: "" for all, "grpc_", "admin_". */
typedef struct tls_flags {
    const char *prefix;
    const char **cert, **key, **ca;
    int *verify;
} tls_flags;

static bool verify_is_given(const sl_flags *f, const tls_flags *g)
{
    char name[64];
    snprintf(name, sizeof name, "%stls_client_verify", g->prefix);
    return sl_flags_given(f, name);
}

/* Who names an authority, and no more, wants certificates of it. */
static void default_verify(const sl_flags *f, const tls_flags *g)
{
    if (**g->ca && !verify_is_given(f, g))
        *g->verify = SL_TLS_VERIFY_REQUIRED;
}

/* Half of what TLS needs is not a wish for plain text. */
static sl_code check_tls_group(const tls_flags *g, sl_status *st)
{
    const char *p = g->prefix;
    bool cert = **g->cert, key = **g->key, ca = **g->ca;
    if (cert != key)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%stls_%s_file needs %stls_%s_file, too", p,
                       cert ? "cert" : "key", p, cert ? "key" : "cert");
    if ((ca || *g->verify != SL_TLS_VERIFY_NONE) && !cert)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "%stls_client_%s needs %stls_cert_file and %stls_key_file: without TLS there are no "
            "certificates of clients",
            p, ca ? "ca_file" : "verify", p, p);
    if (!ca && *g->verify != SL_TLS_VERIFY_NONE)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "%stls_client_verify needs %stls_client_ca_file: whose certificates are good?", p, p);
    return SL_OK;
}

/* What is not said for some listeners is as for all. */
static void inherit_tls(const sl_flags *f, const tls_flags *g, const tls_flags *all)
{
    if (!**g->ca) {
        *g->ca = *all->ca;
        if (!verify_is_given(f, g))
            *g->verify = *all->verify;
    }
    if (!**g->cert && !**g->key) {
        *g->cert = *all->cert;
        *g->key = *all->key;
    }
}

static sl_code check_tls(sl_flags *f, sl_status *st)
{
    const tls_flags all = {"", &f->tls_cert_file, &f->tls_key_file, &f->tls_client_ca_file,
                           &f->tls_client_verify};
    const tls_flags groups[] = {{"grpc_", &f->grpc_tls_cert_file, &f->grpc_tls_key_file,
                                 &f->grpc_tls_client_ca_file, &f->grpc_tls_client_verify},
                                {"admin_", &f->admin_tls_cert_file, &f->admin_tls_key_file,
                                 &f->admin_tls_client_ca_file, &f->admin_tls_client_verify}};
    bool grpc = f->grpc_tls_cert_file[0] || f->grpc_tls_key_file[0] ||
                f->grpc_tls_client_ca_file[0] || sl_flags_given(f, "grpc_tls_client_verify");
    if (grpc && f->ssl_config_file[0])
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "ssl_config_file and grpc_tls_... are two ways to say the same: give one");
    default_verify(f, &all);
    sl_code rc = check_tls_group(&all, st);
    for (size_t i = 0; rc == SL_OK && i < SL_COUNTOF(groups); i++) {
        default_verify(f, &groups[i]); /* by an authority of its own */
        inherit_tls(f, &groups[i], &all);
        rc = check_tls_group(&groups[i], st);
    }
    return rc;
}

static sl_code check_transport(sl_flags *f, sl_status *st)
{
    bool rest = f->rest_api_port != 0 || f->rest_address[0];
    if (f->port == 0 && !f->grpc_socket_path[0] && !f->grpc_address[0] && !rest)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "At least one of server_options.grpc_port or "
                       "server_options.grpc_socket_path must be set.");
    if (f->port < 0 || f->port > 65535 || f->rest_api_port < 0 || f->rest_api_port > 65535)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s=%d is no port: 0 to 65535",
                       f->port < 0 || f->port > 65535 ? "port" : "rest_api_port",
                       f->port < 0 || f->port > 65535 ? f->port : f->rest_api_port);
    if (f->health_port < 0 || f->health_port > 65535)
        return sl_fail(st, SL_INVALID_ARGUMENT, "health_port=%d is no port: 0 to 65535",
                       f->health_port);
    if (f->health_port != 0 && (f->health_port == f->port || f->health_port == f->rest_api_port))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "health_port=%d is the port of %s: probes are answered there, too; leave "
                       "health_port out, or choose another",
                       f->health_port, f->health_port == f->port ? "gRPC" : "REST");
    if (f->use_alts_credentials && f->ssl_config_file[0])
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Either use_alts_credentials must be false or ssl_config_file must be empty.");
    if (f->use_alts_credentials)
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "use_alts_credentials: ALTS is not supported, and serving plain text in its "
                       "place would not be what was asked for; use ssl_config_file");
    sl_code rc = check_tls(f, st);
    if (rc)
        return rc;
    return check_channel_arguments(f, st);
}

/* Equal ports: the original logs this and runs without REST. Here one port serves both, which is
 * what somebody who asks for it under our name gets. */
static sl_code check_equal_ports(sl_flags *f, sl_status *st)
{
    if (f->rest_api_port == 0 || f->rest_api_port != f->port || f->rest_address[0] ||
        f->grpc_address[0] || !f->as_original)
        return SL_OK;
    const char *text =
        "server_options.http_port cannot be same as grpc_port. Please use a different "
        "port for HTTP/REST API. Skipped exporting HTTP/REST API.";
    if (f->strict_startup)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s", text);
    sl_log(SL_ERROR, "%s", text);
    f->rest_api_port = 0;
    return SL_OK;
}

static sl_code check_values(sl_flags *f, sl_status *st)
{
    if (f->prefer_tflite_model)
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "prefer_tflite_model: TensorFlow Lite models are not supported");
    if (f->max_num_load_retries < -1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_num_load_retries=%d is negative",
                       f->max_num_load_retries);
    if (f->max_tensor_rank < 1 || f->max_tensor_rank > SL_MAX_RANK)
        return sl_fail(st, SL_INVALID_ARGUMENT, "max_tensor_rank=%d: expected 1 to %d",
                       f->max_tensor_rank, SL_MAX_RANK);
    if (f->mixed_precision[0] && strcmp(f->mixed_precision, "bfloat16") != 0) {
        sl_log(SL_WARNING, "%s auto mixed precision is not supported. Valid option: bfloat16",
               f->mixed_precision);
        f->mixed_precision = "";
    }
    return SL_OK;
}

sl_code sl_flags_check(sl_flags *f, sl_status *st)
{
    sl_code rc = check_transport(f, st);
    if (rc)
        return rc;
    if (f->models_dir[0] && (f->model_base_path[0] || f->model_config_file[0]))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "models_dir says which models to serve: leave --%s out",
                       f->model_config_file[0] ? "model_config_file" : "model_base_path");
    if (!f->model_base_path[0] && !f->model_config_file[0] && !f->models_dir[0])
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "Both server_options.model_base_path and server_options.model_config_file are "
            "empty!");
    rc = check_values(f, st);
    return rc ? rc : check_equal_ports(f, st);
}

void sl_flags_choose_port(sl_flags *f)
{
    if (f->rest_api_port == 0 && *f->rest_address == '\0' && !f->as_original)
        f->rest_api_port = 8501;
}

uint64_t sl_flags_memory_budget(const sl_flags *f)
{
    if (f->memory_budget)
        return f->memory_budget > 0 ? (uint64_t)f->memory_budget : 0;
    return sl_memory_limit() / 5 * 4; /* requests need some, too */
}

void sl_flags_tell_no_effect(const sl_flags *f)
{
    for (int i = 0; i < sl_flag_count; i++)
        if (f->given[i] && sl_flag_table[i].no_effect != NULL)
            sl_log(SL_WARNING, "--%s has no effect: %s", sl_flag_table[i].name,
                   sl_flag_table[i].no_effect);
}

sl_code sl_flags_threads(const sl_flags *f, int64_t *intra_op, int64_t *inter_op, sl_status *st)
{
    int64_t session = f->tensorflow_session_parallelism;
    int64_t intra = f->tensorflow_intra_op_parallelism, inter = f->tensorflow_inter_op_parallelism;
    if (session > 0 && intra > 0 && inter > 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "Either configure server_options.tensorflow_session_parallelism or "
                       "(server_options.tensorflow_intra_op_parallelism, "
                       "server_options.tensorflow_inter_op_parallelism) separately. You cannot "
                       "configure all.");
    bool separately = intra > 0 || inter > 0;
    *intra_op = SL_MAX(separately ? intra : session, (int64_t)0);
    *inter_op = SL_MAX(separately ? inter : session, (int64_t)0);
    return SL_OK;
}

bool sl_flags_item(const char *list, size_t *at, sl_str *item)
{
    while (list[*at] == ',')
        (*at)++;
    *item = (sl_str){list + *at, strcspn(list + *at, ",")};
    *at += item->n;
    return item->n > 0;
}

bool sl_flags_channel_argument(const sl_flags *f, const char *key, sl_str *value)
{
    bool found = false;
    size_t n = strlen(key);
    sl_str item;
    for (size_t at = 0; sl_flags_item(f->grpc_channel_arguments, &at, &item);) {
        if (item.n <= n || memcmp(item.p, key, n) != 0 || item.p[n] != '=')
            continue;
        *value = (sl_str){item.p + n + 1, item.n - n - 1};
        const char *second = memchr(value->p, '=', value->n); /* only what is before it counts */
        if (second != NULL)
            value->n = (size_t)(second - value->p);
        found = true;
    }
    return found;
}

int sl_flags_refuse(const sl_flags *f, const sl_status *st)
{
    sl_log_flush(); /* the reason comes last */
    if (f->as_original) {
        printf("Failed to start server. Error: %s: %s\n", sl_code_name(st->code), st->msg);
        fflush(stdout);
        return 255;
    }
    fprintf(stderr, "sluice: cannot start: %s\n", st->msg);
    return 1;
}
