/*
 * warmup.c - `sluice warmup DIR FILE`: a model's warm-up file from requests in JSON
 *
 * FILE has one request a line, as a client would send it to :predict, or with "examples" to
 * :classify or :regress. Each is decoded by the server's own code, checked against the signature
 * and run on the model, so that what is written cannot fail a load; what is wrong is told with its
 * line. The requests then become PredictionLogs in a TFRecord file, where TensorFlow Serving looks
 * for it, too: <version>/assets.extra/tf_serving_warmup_requests.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cpu.h"
#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/document.h"
#include "cli/local.h"
#include "codec/examples_json.h"
#include "codec/predict_json.h"
#include "format/json.h"
#include "format/tfrecord.h"
#include "format/wire.h"
#include "service/service.h"
#include "tensorproto/tensorproto.h"

enum { MOST_INPUT = 1 << 30, MOST_RECORDS = 1000 };

static const char usage_text[] =
    "usage: sluice warmup DIR REQUESTS.jsonl [--signature_name=NAME] [--model_name=NAME]\n"
    "                     [--output=FILE] [--force] [--engine=...]";

typedef struct options {
    const char *dir, *file;
    const char *signature, *model_name, *output;
    bool force;
} options;

/* One request: what was decoded, and what came of the run. */
typedef struct request {
    sl_predict predict; /* first: done() gets a pointer to it */
    sl_code rc;
    sl_json_predict json;
    sl_tensor examples;
} request;

typedef struct writer {
    const sl_version *version;
    const char *model_name;
    sl_service service;
    sl_arena arena; /* of one line */
    sl_text file;
    int records;
    const char *path; /* of the requests, and the line that is being read: for texts */
    int line;
} writer;

/* ---- the wire form of a request ---- */

static void put_message(sl_text *to, unsigned field, sl_text *inner)
{
    sl_wire_put_bytes(to, field, inner->n ? inner->p : "", inner->n);
    to->failed |= inner->failed;
    sl_text_fini(inner);
}

static void put_spec(sl_text *to, const writer *w, const sl_signature *sig)
{
    sl_text spec = {0};
    sl_wire_put_bytes(&spec, 1, w->model_name, strlen(w->model_name));
    sl_wire_put_bytes(&spec, 3, sig->key, strlen(sig->key));
    put_message(to, 1, &spec);
}

static sl_code put_tensor(sl_text *to, unsigned field, const sl_tensor *t, sl_status *st)
{
    sl_tensorproto_form form;
    sl_chain bytes = {0};
    sl_code rc = sl_tensorproto_measure(t, t->dtype != SL_DT_STRING, &form, st);
    if (rc)
        return rc;
    sl_tensorproto_write(t, &form, &bytes);
    char *copy = bytes.failed ? NULL : sl_try_malloc(bytes.size + 1);
    if (copy != NULL) {
        sl_chain_copy(&bytes, copy);
        sl_wire_put_bytes(to, field, copy, bytes.size);
    }
    to->failed |= copy == NULL;
    sl_free(copy);
    sl_chain_reset(&bytes);
    return SL_OK;
}

/* PredictRequest */
static sl_code put_predict(sl_text *to, const writer *w, const request *r, sl_status *st)
{
    const sl_signature *sig = r->predict.signature;
    sl_code rc = SL_OK;
    put_spec(to, w, sig);
    for (int i = 0; i < r->json.n_inputs && rc == SL_OK; i++) {
        const char *key = sig->inputs[r->json.input_index[i]].key;
        sl_text entry = {0};
        sl_wire_put_bytes(&entry, 1, key, strlen(key));
        rc = put_tensor(&entry, 2, &r->json.inputs[i], st);
        put_message(to, 2, &entry);
    }
    return rc;
}

/* ClassificationRequest and RegressionRequest */
static void put_examples(sl_text *to, const writer *w, const request *r)
{
    sl_text list = {0}, input = {0};
    const sl_str *examples = r->examples.data;
    for (int64_t i = 0; i < r->examples.dims[0]; i++)
        sl_wire_put_bytes(&list, 1, examples[i].p, examples[i].n);
    put_message(&input, 1, &list);
    put_spec(to, w, r->predict.signature);
    put_message(to, 2, &input);
}

/* A PredictionLog; its fields are numbered by kind. */
static sl_code put_record(writer *w, const request *r, sl_status *st)
{
    static const unsigned fields[] = {
        [SL_METHOD_PREDICT] = 6, [SL_METHOD_CLASSIFY] = 2, [SL_METHOD_REGRESS] = 3};
    sl_text message = {0}, log = {0}, record = {0};
    sl_code rc = SL_OK;
    if (r->predict.method == SL_METHOD_PREDICT)
        rc = put_predict(&message, w, r, st);
    else
        put_examples(&message, w, r);
    put_message(&log, 1, &message);
    put_message(&record, fields[r->predict.method], &log);
    sl_tfrecord_put(&w->file, (sl_str){record.p, record.n});
    if (rc == SL_OK && (record.failed || w->file.failed))
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_text_fini(&record);
    w->records++;
    return rc;
}

/* ---- one line ---- */

static void ran(sl_predict *p, sl_code rc)
{
    ((request *)p)->rc = rc;
}

static sl_code resolve(void *arg, sl_str name, const sl_signature **out, sl_status *st)
{
    sl_predict *p = arg;
    (void)st; /* the predict's own, which is the same */
    sl_code rc = sl_predict_resolve(p, NULL, name);
    *out = p->signature;
    return rc;
}

static bool has_examples(sl_str body, int max_depth)
{
    sl_json j;
    sl_json_string key;
    bool found = false;
    sl_json_open(&j, body, max_depth);
    if (!sl_json_enter(&j, '{'))
        return false;
    while (sl_json_member(&j, &key)) {
        found |= sl_json_string_is(&key, SL_STR("examples"));
        sl_json_skip(&j);
    }
    return found;
}

/* The declared shape is not enforced when a request is served, so this is only told; but such a
 * request may warm the wrong thing up. */
static void tell_shapes(const writer *w, const request *r)
{
    char has[160], wants[160];
    for (int i = 0; i < r->json.n_inputs; i++) {
        const sl_tensor_info *info = &r->predict.signature->inputs[r->json.input_index[i]];
        const sl_tensor *t = &r->json.inputs[i];
        bool fits = info->rank < 0 || info->rank == t->rank;
        for (int k = 0; fits && k < info->rank; k++)
            fits = info->dims[k] < 0 || info->dims[k] == t->dims[k];
        if (!fits)
            fprintf(stderr,
                    "sluice: %s:%d: remark: input \"%s\" has the shape %s, the signature declares "
                    "%s\n",
                    w->path, w->line, info->key, sl_shape_text(t->dims, t->rank, has, sizeof has),
                    sl_shape_text(info->dims, info->rank, wants, sizeof wants));
    }
}

static sl_code decode_predict(writer *w, request *r, sl_str body, const sl_json_limits *limits,
                              sl_status *st)
{
    sl_code rc =
        sl_json_decode_predict(body, limits, resolve, &r->predict, &w->arena, &r->json, st);
    if (rc) {
        r->json.n_inputs = 0;
        return rc;
    }
    tell_shapes(w, r);
    return sl_predict_set_inputs(&r->predict, r->json.input_index, r->json.inputs,
                                 r->json.n_inputs);
}

/* Which of the two it is, the signature says. */
static sl_code decode_examples(request *r, sl_str body, const sl_json_limits *limits,
                               sl_arena *arena, sl_status *st)
{
    sl_json_examples in;
    sl_code rc = sl_json_decode_examples(body, limits, arena, &in, st);
    if (rc)
        return rc;
    r->examples = in.examples;
    r->predict.method = SL_METHOD_CLASSIFY;
    rc = sl_predict_resolve(&r->predict, NULL, in.signature_name);
    if (rc)
        return rc;
    if (strcmp(r->predict.signature->method_name, "tensorflow/serving/regress") == 0)
        r->predict.method = SL_METHOD_REGRESS;
    return sl_predict_set_examples(&r->predict, &r->examples);
}

static sl_code check_answer(sl_predict *p)
{
    const sl_tensor *a, *b;
    switch (p->method) {
    case SL_METHOD_CLASSIFY:
        return sl_predict_classify_result(p, &a, &b);
    case SL_METHOD_REGRESS:
        return sl_predict_regress_result(p, &a);
    default:
        return SL_OK;
    }
}

static sl_code take_request(writer *w, sl_str body, sl_status *st)
{
    sl_json_limits limits;
    request r = {0};
    sl_json_limits_default(&limits);
    sl_predict_init(&r.predict, &w->service, &w->arena, st);
    r.predict.version = w->version;
    r.predict.done = ran;
    sl_code rc = has_examples(body, limits.max_depth)
                     ? decode_examples(&r, body, &limits, &w->arena, st)
                     : decode_predict(w, &r, body, &limits, st);
    if (rc == SL_OK) {
        sl_predict_start(&r.predict, SL_RUN_HERE);
        rc = r.rc ? r.rc : check_answer(&r.predict);
    }
    if (rc == SL_OK)
        rc = put_record(w, &r, st);
    r.predict.version = NULL; /* it is not a manager's to take back */
    sl_predict_fini(&r.predict);
    if (r.json.n_inputs)
        sl_json_predict_release(&r.json);
    sl_tensor_release(&r.examples);
    return rc;
}

/* ---- the file of requests ---- */

static bool is_blank(sl_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] != ' ' && s.p[i] != '\t' && s.p[i] != '\r')
            return false;
    return true;
}

static sl_code take_line(writer *w, sl_str line, const char *signature, sl_status *st)
{
    sl_text document = {0};
    sl_cli_document(line, signature, &document);
    sl_code rc = document.failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory")
                                 : take_request(w, (sl_str){document.p, document.n}, st);
    sl_arena_reset(&w->arena);
    st->more = NULL; /* was in the arena */
    sl_text_fini(&document);
    if (rc == SL_OK && w->records > MOST_RECORDS)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "more than %d requests: no server reads more",
                     MOST_RECORDS);
    return rc;
}

static sl_code take_lines(writer *w, const options *o, sl_status *st)
{
    sl_buffer *file;
    sl_code rc = sl_file_read(o->file, MOST_INPUT, &file, st);
    if (rc)
        return rc;
    sl_str rest = {file->data, file->size};
    w->path = o->file;
    for (w->line = 1; rest.n > 0 && rc == SL_OK; w->line++) {
        const char *end = memchr(rest.p, '\n', rest.n);
        size_t n = end ? (size_t)(end - rest.p) : rest.n;
        if (!is_blank((sl_str){rest.p, n}))
            rc = take_line(w, (sl_str){rest.p, n}, o->signature, st);
        if (rc)
            sl_wrap(st, "%s:%d: ", o->file, w->line);
        n += end != NULL;
        rest = (sl_str){rest.p + n, rest.n - n};
    }
    sl_buffer_release(file);
    if (rc == SL_OK && w->records == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s has no request", o->file);
    return rc;
}

/* ---- the file of records ---- */

static sl_code failed(const char *what, const char *path, sl_status *st)
{
    return sl_fail(st, sl_code_of_errno(errno), "cannot %s %s: %s", what, path, strerror(errno));
}

static sl_code write_all(int fd, const sl_text *t)
{
    for (size_t at = 0; at < t->n;) {
        ssize_t n = write(fd, t->p + at, t->n - at);
        if (n < 0 && errno != EINTR)
            return SL_UNKNOWN;
        at += n > 0 ? (size_t)n : 0;
    }
    return fsync(fd) ? SL_UNKNOWN : SL_OK;
}

/* Under another name first, so that a server that looks finds all of it or nothing. */
static sl_code write_file(const char *path, const sl_text *t, sl_status *st)
{
    sl_text other = {0};
    sl_text_printf(&other, "%s.new", path);
    int fd = open(other.p, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    sl_code rc = fd < 0 ? failed("write", other.p, st) : SL_OK;
    if (rc == SL_OK && write_all(fd, t))
        rc = failed("write", other.p, st);
    if (fd >= 0)
        close(fd);
    if (rc == SL_OK && rename(other.p, path) != 0)
        rc = failed("write", path, st);
    if (rc && fd >= 0)
        unlink(other.p);
    sl_text_fini(&other);
    return rc;
}

/* Where it goes; the folder is made. Freed by the caller. */
static char *output_path(const options *o, const char *version_dir)
{
    if (o->output != NULL)
        return sl_strdup(o->output);
    char *extra = sl_path_join(version_dir, "assets.extra");
    if (extra == NULL)
        return NULL;
    mkdir(extra, 0777); /* writing says what is wrong */
    char *path = sl_path_join(extra, "tf_serving_warmup_requests");
    sl_free(extra);
    return path;
}

static sl_code write_out(const writer *w, const options *o, const char *version_dir, sl_status *st)
{
    char *path = output_path(o, version_dir);
    if (path == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_code rc;
    if (!o->force && access(path, F_OK) == 0)
        rc = sl_fail(st, SL_ALREADY_EXISTS, "%s is there already; --force replaces it", path);
    else
        rc = write_file(path, &w->file, st);
    if (rc == SL_OK)
        printf("%d requests written to %s\n", w->records, path);
    sl_free(path);
    return rc;
}

/* ---- the command ---- */

/* "/srv/models/m/" and "/srv/models/m/3", of version 3, are both of model m, unless somebody says
 * otherwise: metrics show the name. */
static char *name_of(const options *o, const sl_local *l)
{
    if (o->model_name != NULL)
        return sl_strdup(o->model_name);
    sl_str dir = sl_str_of(o->dir);
    int64_t number;
    for (;;) {
        while (dir.n > 0 && dir.p[dir.n - 1] == '/')
            dir.n--;
        size_t at = dir.n;
        while (at > 0 && dir.p[at - 1] != '/')
            at--;
        sl_str last = {dir.p + at, dir.n - at};
        bool is_version = !l->has_version && sl_str_to_int64(last, &number);
        if (!is_version || at == 0)
            return last.n ? sl_strndup(last.p, last.n) : sl_strdup("default");
        dir.n = at;
    }
}

static sl_code write_warmup(void *arg, sl_local *l, const sl_version *v, sl_status *st)
{
    const options *o = arg;
    writer w = {.version = v, .service = {.run_threads = sl_cpu_count()}};
    sl_code rc = sl_arena_init(&w.arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    char *name = name_of(o, l);
    w.model_name = name;
    rc = take_lines(&w, o, st);
    if (rc == SL_OK)
        rc = write_out(&w, o, l->path, st);
    sl_free(name);
    sl_text_fini(&w.file);
    sl_arena_fini(&w.arena);
    return rc;
}

int sl_cmd_warmup(int argc, char **argv)
{
    options o = {0};
    int flags = 1; /* argv[1 ... flags - 1]: what is for sl_local_open */
    for (int i = 1; i < argc; i++) {
        const char *value;
        if (strcmp(argv[i], "--help") == 0) {
            puts(usage_text);
            return SL_EXIT_OK;
        }
        if ((value = sl_cli_value(argv[i], "--signature_name")) != NULL ||
            (value = sl_cli_value(argv[i], "--signature")) != NULL)
            o.signature = value;
        else if ((value = sl_cli_value(argv[i], "--model_name")) != NULL)
            o.model_name = value;
        else if ((value = sl_cli_value(argv[i], "--output")) != NULL)
            o.output = value;
        else if (strcmp(argv[i], "--force") == 0)
            o.force = true;
        else if (strncmp(argv[i], "--", 2) == 0)
            argv[flags++] = argv[i];
        else if (o.dir == NULL)
            o.dir = argv[i];
        else if (o.file == NULL)
            o.file = argv[i];
        else
            return sl_cli_usage("%s", usage_text);
    }
    if (o.file == NULL)
        return sl_cli_usage("%s", usage_text);
    return sl_local_with_version(o.dir, flags, argv, write_warmup, &o);
}
