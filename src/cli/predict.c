/*
 * predict.c - `sluice predict DIR|URL`: one request from the shell
 *
 * For a directory the model is loaded here, in this process, and answered by the same code that
 * answers in the server. For a URL the request is sent there (client.c). A JSON list as the data is
 * short for
 * {"instances": ...}; --signature_name is put into the document.
 */
#include <stdio.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/client.h"
#include "cli/document.h"
#include "cli/local.h"
#include "codec/examples_json.h"
#include "codec/predict_json.h"
#include "service/service.h"

enum { MAX_DATA = 1 << 30 };

/* ---- the request's document ---- */

static sl_code read_stdin(sl_text *out, sl_status *st)
{
    char block[65536];
    ssize_t n;
    while ((n = read(STDIN_FILENO, block, sizeof block)) > 0 && out->n < MAX_DATA)
        sl_text_add(out, block, (size_t)n);
    if (n != 0 || out->failed)
        return sl_fail(st, SL_UNKNOWN, "cannot read the request from standard input");
    return SL_OK;
}

static sl_code read_data(const char *data, sl_text *out, sl_status *st)
{
    if (data == NULL || strcmp(data, "-") == 0)
        return read_stdin(out, st);
    if (data[0] != '@') {
        sl_text_puts(out, data);
        return SL_OK;
    }
    sl_buffer *file;
    sl_code rc = sl_file_read(data + 1, MAX_DATA, &file, st);
    if (rc)
        return rc;
    sl_text_add(out, file->data, file->size);
    sl_buffer_release(file);
    return SL_OK;
}

/* ---- a model in a directory ---- */

typedef struct request {
    sl_predict predict;
    sl_code rc; /* what the run came to */
} request;

static void ran(sl_predict *p, sl_code rc)
{
    ((request *)p)->rc = rc; /* its first member */
}

static sl_code resolve(void *arg, sl_str name, const sl_signature **out, sl_status *st)
{
    sl_predict *p = arg;
    sl_model_spec spec = {.model = sl_str_of(p->version->model)};
    (void)st; /* the predict's own, which is the same */
    sl_code rc = sl_predict_resolve(p, &spec, name);
    *out = p->signature;
    return rc;
}

/* Decodes, runs and encodes; the reply is in *reply. */
static sl_code answer(const sl_version *v, sl_str body, sl_arena *arena, sl_chain *reply,
                      sl_status *st)
{
    sl_service service = {.run_threads = sl_cpu_count()};
    sl_json_limits limits;
    sl_json_predict json;
    request r = {0};
    sl_json_limits_default(&limits);
    sl_predict_init(&r.predict, &service, arena, st);
    r.predict.version = v; /* instead of one from a manager */
    r.predict.done = ran;
    sl_code rc = sl_json_decode_predict(body, &limits, resolve, &r.predict, arena, &json, st);
    if (rc)
        return rc;
    rc = sl_predict_set_inputs(&r.predict, json.input_index, json.inputs, json.n_inputs);
    if (rc == SL_OK) {
        sl_predict_start(&r.predict, SL_RUN_HERE);
        rc = r.rc;
    }
    if (rc == SL_OK)
        rc = sl_json_encode_predict(r.predict.signature, r.predict.run.output_index,
                                    r.predict.run.outputs, r.predict.run.n_outputs, json.row_format,
                                    reply, arena, st);
    r.predict.version = NULL; /* it is not a manager's to take back */
    sl_predict_fini(&r.predict);
    sl_json_predict_release(&json);
    return rc;
}

static void print_chain(const sl_chain *c)
{
    for (const sl_piece *p = c->head; p != NULL; p = p->next)
        fwrite(p->data + p->begin, 1, p->end - p->begin, stdout);
    putchar('\n');
    fflush(stdout);
}

static sl_code predict_here(void *arg, sl_local *l, const sl_version *v, sl_status *st)
{
    const sl_str *body = arg;
    sl_chain reply = {0};
    sl_code rc = answer(v, *body, &l->arena, &reply, st);
    if (rc == SL_OK && reply.failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (rc == SL_OK)
        print_chain(&reply);
    sl_chain_reset(&reply);
    return rc;
}

/* ---- the command ---- */

static const char usage_text[] =
    "usage: sluice predict DIR|URL [--signature_name=NAME] [--data=JSON|@FILE|-] [--engine=...]\n"
    "  with a URL: " SL_CLIENT_USAGE;

static int run(const char *target, const char *signature, const char *data,
               const sl_client_options *client, int argc, char **argv)
{
    sl_text raw = {0}, document = {0};
    sl_status st = {0};
    int exit_status;
    sl_code rc = read_data(data, &raw, &st);
    sl_cli_document((sl_str){raw.p, raw.n}, signature, &document);
    if (rc == SL_OK && (raw.failed || document.failed))
        rc = sl_fail(&st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_str body = {document.p ? document.p : "", document.n};
    if (rc)
        exit_status = sl_cli_refuse(&st);
    else if (strstr(target, "://") == NULL)
        exit_status = sl_local_with_version(target, argc, argv, predict_here, &body);
    else if (argc > 1)
        exit_status = sl_cli_usage("%s is of no use with a URL", argv[1]);
    else
        exit_status = sl_client_predict(target, body, client);
    sl_text_fini(&raw);
    sl_text_fini(&document);
    return exit_status;
}

int sl_cmd_predict(int argc, char **argv)
{
    const char *target = NULL, *signature = NULL, *data = NULL, *value;
    sl_client_options client = {0};
    int flags = 1; /* argv[1 ... flags - 1]: what is for sl_local_open */
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            puts(usage_text);
            return SL_EXIT_OK;
        }
        if ((value = sl_cli_value(argv[i], "--signature_name")) != NULL)
            signature = value;
        else if ((value = sl_cli_value(argv[i], "--data")) != NULL)
            data = value;
        else if (strcmp(argv[i], "--data") == 0 && i + 1 < argc)
            data = argv[++i];
        else if (sl_client_option(&client, argc, argv, &i))
            continue;
        else if (strncmp(argv[i], "--", 2) == 0)
            argv[flags++] = argv[i];
        else if (target != NULL || argv[i][0] == '-')
            return sl_cli_usage("%s", usage_text);
        else
            target = argv[i];
    }
    if (target == NULL)
        return sl_cli_usage("%s", usage_text);
    if (data == NULL && isatty(STDIN_FILENO))
        return sl_cli_usage("there is no request: write --data='{\"instances\": [1.0, 2.0]}'");
    return run(target, signature, data, &client, flags, argv);
}
