/*
 * warmup.c - see warmup.h
 *
 * For each record: decode the request, check it against the signature, and then run it as often as
 * is wished. All that a record allocates is in one arena, which is reset behind it. A run in a
 * batch ends on a batch thread, so the load thread waits for it.
 */
#include "server/warmup.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "codec/examples_pb.h"
#include "format/tfrecord.h"
#include "format/wire.h"
#include "metrics/metrics.h"
#include "service/multi.h"

enum {
    MOST_RECORDS = 1000,
    QUOTED = 512, /* of a record that cannot be parsed: the path is to fit behind it */
    MOST_FILE_BYTES = 1 << 30,
    /* What a record's lists, and one tensor with fewer values than its shape wants, may grow to. */
    MOST_RECORD_BYTES = 1 << 28
};

typedef struct replay {
    sl_service service; /* without manager and workers */
    sl_version version; /* a copy, called as the record calls it: metrics show that */
    sl_arena arena;
    const char *path;
    int iterations;
    int64_t records;
    bool to_end; /* all requests that the file gave were answered, even if it then was damaged */
    sl_status *st;
} replay;

/* ---- running ---- */

/* The end of a run, which may come on another thread. */
typedef struct pending {
    pthread_mutex_t lock;
    sl_cond changed;
    bool done; /* these two under lock */
    sl_code rc;
} pending;

static void pending_init(pending *w)
{
    *w = (pending){.lock = PTHREAD_MUTEX_INITIALIZER};
}

static void pending_fini(pending *w)
{
    pthread_mutex_destroy(&w->lock);
}

static void come(pending *w, sl_code rc)
{
    pthread_mutex_lock(&w->lock);
    w->rc = rc;
    w->done = true;
    sl_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static sl_code await(pending *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        sl_cond_wait(&w->changed, &w->lock);
    w->done = false;
    pthread_mutex_unlock(&w->lock);
    return w->rc;
}

static void on_done(sl_predict *p, sl_code rc)
{
    come(p->user, rc);
}

static void on_multi_done(sl_multi *m, sl_code rc)
{
    come(m->user, rc);
}

static sl_code check_answer(sl_predict *p)
{
    const sl_tensor *classes, *scores, *values;
    switch (p->method) {
    case SL_METHOD_CLASSIFY:
        return sl_predict_classify_result(p, &classes, &scores);
    case SL_METHOD_REGRESS:
        return sl_predict_regress_result(p, &values);
    default:
        return SL_OK;
    }
}

static void drop_outputs(sl_predict *p)
{
    for (int i = 0; i < p->run.n_outputs; i++)
        sl_tensor_release(&p->run.outputs[i]);
}

static sl_code run(replay *r, sl_predict *p)
{
    sl_code rc = SL_OK;
    pending w;
    pending_init(&w);
    p->done = on_done;
    p->user = &w;
    for (int i = 0; i < r->iterations && rc == SL_OK; i++) {
        sl_predict_start(p, SL_RUN_HERE);
        rc = await(&w);
        if (rc == SL_OK)
            rc = check_answer(p);
        drop_outputs(p);
    }
    p->user = NULL;
    pending_fini(&w);
    return rc;
}

static sl_code run_multi(replay *r, sl_multi *m)
{
    sl_code rc = SL_OK;
    pending w;
    pending_init(&w);
    m->done = on_multi_done;
    m->user = &w;
    for (int i = 0; i < r->iterations && rc == SL_OK; i++) {
        sl_multi_start(m, SL_RUN_HERE);
        rc = await(&w);
        for (size_t k = 0; k < m->count && rc == SL_OK; k++)
            rc = check_answer(&m->runs[k]);
        sl_multi_release(m);
    }
    m->user = NULL;
    pending_fini(&w);
    return rc;
}

/* ---- requests ---- */

static const sl_pb_limits limits = {.max_expanded_bytes = MOST_RECORD_BYTES, .spec_optional = true};

/* The version stands for itself: no manager is asked for one. */
static sl_code begin(replay *r, sl_method method, sl_str name, sl_predict *p)
{
    sl_predict_init(p, &r->service, &r->arena, r->st);
    p->method = method;
    p->rpc = true;
    p->version = &r->version;
    r->version.model = sl_arena_try_strndup(&r->arena, name.p, name.n);
    if (r->version.model == NULL)
        return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: name of a model");
    return SL_OK;
}

typedef struct resolving {
    replay *replay;
    sl_predict *predict;
} resolving;

static sl_code resolve(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                       sl_status *st)
{
    resolving *x = arg;
    (void)st; /* it is the replay's */
    sl_code rc = begin(x->replay, SL_METHOD_PREDICT, spec->name, x->predict);
    if (rc == SL_OK)
        rc = sl_predict_resolve(x->predict, NULL, spec->signature_name);
    *out = x->predict->signature;
    return rc;
}

static sl_code replay_predict(replay *r, sl_str request)
{
    sl_predict p = {0};
    sl_pb_predict in;
    resolving x = {r, &p};
    sl_code rc = sl_pb_decode_predict(request, NULL, &limits, resolve, &x, &r->arena, &in, r->st);
    if (rc)
        return rc;
    rc = sl_predict_set_run(&p, in.input_index, in.inputs, in.n_inputs, in.output_index,
                            in.n_outputs);
    if (rc == SL_OK)
        rc = run(r, &p);
    sl_pb_predict_release(&in);
    return rc;
}

static sl_code replay_examples(replay *r, sl_method method, sl_str request)
{
    sl_predict p;
    sl_pb_examples in;
    sl_code rc = sl_pb_decode_examples(request, NULL, &limits, &r->arena, &in, r->st);
    if (rc)
        return rc;
    rc = begin(r, method, in.spec.name, &p);
    if (rc == SL_OK)
        rc = sl_predict_resolve(&p, NULL, in.spec.signature_name);
    if (rc == SL_OK)
        rc = sl_predict_set_examples(&p, &in.examples);
    if (rc == SL_OK)
        rc = run(r, &p);
    sl_tensor_release(&in.examples);
    return rc;
}

/* The tasks in the words of the service; NULL: no memory. */
static sl_multi_task *tasks_of(replay *r, const sl_pb_multi *in)
{
    size_t bytes;
    sl_multi_task *tasks = sl_mul_size(in->n_tasks, sizeof *tasks, &bytes)
                               ? sl_arena_try_alloc(&r->arena, bytes)
                               : NULL;
    for (size_t i = 0; tasks != NULL && i < in->n_tasks; i++)
        tasks[i] = (sl_multi_task){in->tasks[i].spec.name, in->tasks[i].spec.signature_name,
                                   in->tasks[i].method_name};
    return tasks;
}

static sl_code replay_multi(replay *r, sl_str request)
{
    sl_predict like;
    sl_multi m;
    sl_pb_multi in;
    sl_code rc = sl_pb_decode_multi(request, NULL, &limits, &r->arena, &in, r->st);
    if (rc)
        return rc;
    sl_multi_task *tasks = tasks_of(r, &in);
    if (tasks == NULL)
        rc = sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu tasks", in.n_tasks);
    else
        rc = begin(r, SL_METHOD_CLASSIFY, in.n_tasks ? in.tasks[0].spec.name : SL_STR(""), &like);
    if (rc == SL_OK)
        rc = sl_multi_prepare(&m, &like, tasks, in.n_tasks, &in.examples);
    if (rc == SL_OK)
        rc = run_multi(r, &m);
    sl_tensor_release(&in.examples);
    return rc;
}

/* ---- records ---- */

/* The bytes as text: what cannot be shown becomes \ooo, as in protobuf's own texts. */
static void quote(sl_str record, sl_text *t)
{
    size_t i = 0;
    for (; i < record.n && t->n < QUOTED && !t->failed; i++) {
        unsigned char c = (unsigned char)record.p[i];
        if (c >= ' ' && c < 0x7f)
            sl_text_putc(t, (char)c);
        else
            sl_text_printf(t, "\\%03o", c);
    }
    if (i < record.n)
        sl_text_puts(t, "...");
}

/* Why it could not be decoded is known, but the original's text has no place for it. */
static sl_code unparsable(replay *r, sl_str record)
{
    sl_text t = {0};
    quote(record, &t);
    sl_code rc = sl_fail(r->st, SL_INVALID_ARGUMENT, "Failed to parse warmup record: %s from %s",
                         t.p ? t.p : "", r->path);
    sl_text_fini(&t);
    return rc;
}

/* The numbers are PredictionLog's fields. */
enum { CLASSIFY = 2, REGRESS = 3, MULTI = 4, SESSION_RUN = 5, PREDICT = 6, STREAMED = 7 };

static sl_code replay_request(replay *r, unsigned kind, sl_str request, sl_str record)
{
    sl_code rc;
    switch (kind) {
    case PREDICT:
        rc = replay_predict(r, request);
        break;
    case MULTI:
        rc = replay_multi(r, request);
        break;
    default:
        rc = replay_examples(r, kind == CLASSIFY ? SL_METHOD_CLASSIFY : SL_METHOD_REGRESS, request);
    }
    /* so the codec says that a message is malformed */
    return rc == SL_INTERNAL && r->st->msg[0] == '\0' ? unparsable(r, record) : rc;
}

/*
 * The message that one of `fields` (bit n: field n) of `wire` holds: they are a oneof, or a single
 * one, and several occurrences of it are merged. *field is its number, 0 if none is there.
 */
static sl_code submessage(replay *r, sl_str wire, unsigned fields, unsigned *field, sl_str *out,
                          bool *bad)
{
    size_t first = 0, count = 0, bytes = 0;
    sl_wire w = sl_wire_open(wire);
    *field = 0;
    *out = (sl_str){"", 0};
    for (size_t at = 0; sl_wire_next(&w); at = sl_wire_offset(&w)) {
        if (w.type != SL_WIRE_BYTES || w.field > 31 || !(fields >> w.field & 1))
            continue;
        if (w.field != *field) {
            first = at;
            count = bytes = 0;
        }
        *field = w.field;
        *out = w.bytes;
        bytes += w.bytes.n;
        count++;
    }
    *bad = w.bad != NULL;
    if (*bad || count < 2)
        return SL_OK;
    char *all = sl_arena_try_alloc(&r->arena, bytes);
    if (all == NULL)
        return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: a record in parts");
    *out = (sl_str){all, 0};
    w = sl_wire_open((sl_str){wire.p + first, wire.n - first});
    while (sl_wire_next(&w))
        if (w.field == *field && w.type == SL_WIRE_BYTES && w.bytes.n) {
            memcpy(all + out->n, w.bytes.p, w.bytes.n);
            out->n += w.bytes.n;
        }
    return SL_OK;
}

static sl_code replay_record(replay *r, sl_str record)
{
    unsigned kind, has_request;
    sl_str log, request;
    bool bad;
    sl_code rc = submessage(r, record, 0xfc, &kind, &log, &bad);
    if (rc || bad)
        return rc ? rc : unparsable(r, record);
    if (kind == SESSION_RUN || kind == STREAMED)
        return sl_fail(r->st, SL_UNIMPLEMENTED, "Unsupported log_type for warmup: %u", kind);
    if (kind == 0)
        return SL_OK;
    rc = submessage(r, log, 1 << 1, &has_request, &request, &bad);
    if (rc || bad)
        return rc ? rc : unparsable(r, record);
    return replay_request(r, kind, request, record);
}

/* ---- the file ---- */

static sl_code replay_file(replay *r, sl_str file)
{
    sl_tfrecord reader = {.file = file};
    sl_str record;
    sl_code rc;
    while (sl_tfrecord_next(&reader, &record, &rc, r->st)) {
        rc = replay_record(r, record);
        r->st->more = NULL; /* would be in the arena */
        sl_arena_reset(&r->arena);
        if (rc)
            return rc;
        if (++r->records > MOST_RECORDS)
            return sl_fail(r->st, SL_INVALID_ARGUMENT,
                           "Number of warmup records exceeds the maximum (%d) at %s", MOST_RECORDS,
                           r->path);
    }
    r->to_end = true;
    if (rc)
        sl_fail(r->st, rc, "%s. Please verify your warmup data is in TFRecord format.", r->st->msg);
    return rc;
}

static sl_code init(replay *r, const sl_version *v, const char *path, const sl_warmup_options *o,
                    sl_status *st)
{
    *r = (replay){.service = {.check_method_name = o->check_method_name, .run_threads = o->threads},
                  .version = *v,
                  .path = path,
                  .iterations = SL_MAX(o->iterations, 1),
                  .st = st};
    if (sl_arena_init(&r->arena, 0))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: warm-up");
    r->arena.limit = 2 * (size_t)MOST_RECORD_BYTES;
    return SL_OK;
}

/* Only of a warm-up that came to_end. */
static void measure(const char *dir, sl_code rc, const sl_status *st, uint64_t us, int64_t records)
{
    static const char *const labels[] = {"model_path", "status", NULL};
    char status[sizeof st->msg + 32] = "OK";
    if (rc)
        snprintf(status, sizeof status, "%s: %s", sl_code_name(rc), st->msg);
    sl_str values[] = {sl_str_of(dir), sl_str_of(status)};
    sl_metric *latency =
        sl_metric_register("/tensorflow/serving/model_warmup_latency", SL_HISTOGRAM, labels,
                           sl_metric_exponential(10, 1.8, 33), 33);
    sl_metric *count = sl_metric_register("/tensorflow/serving/model_warmup_records_read",
                                          SL_COUNTER, labels, NULL, 0);
    sl_cell_sample(sl_metric_cell(latency, values), (double)us);
    sl_cell_add(sl_metric_cell(count, values), records);
}

sl_code sl_warmup_replay_bytes(const sl_version *v, sl_str file, const char *path,
                               const sl_warmup_options *o, int64_t *records, sl_status *st)
{
    replay r;
    *records = 0;
    sl_code rc = init(&r, v, path, o, st);
    if (rc)
        return rc;
    uint64_t begin = sl_now_ns();
    rc = replay_file(&r, file);
    if (r.to_end)
        measure(v->path, rc, st, (sl_now_ns() - begin) / 1000, r.records);
    *records = r.records;
    sl_arena_fini(&r.arena);
    return rc;
}

static sl_code replay_path(const sl_version *v, const char *path, const sl_warmup_options *o,
                           int64_t *records, sl_status *st)
{
    sl_buffer *file;
    uint64_t begin = sl_now_ns();
    sl_code rc = sl_file_read(path, MOST_FILE_BYTES, &file, st);
    if (rc == SL_NOT_FOUND) {
        sl_log(SL_INFO, "No warmup data file found at %s", path);
        *records = -1;
        return SL_OK;
    }
    if (rc)
        return rc;
    sl_log(SL_INFO,
           "Starting to read warmup data for model at %s with model-warmup-options "
           "num_request_iterations { value: %d }",
           path, SL_MAX(o->iterations, 1));
    rc = sl_warmup_replay_bytes(v, (sl_str){file->data, file->size}, path, o, records, st);
    sl_buffer_release(file);
    if (rc == SL_OK)
        sl_log(SL_INFO,
               "Finished reading warmup data for model at %s. Number of warmup records read: %lld. "
               "Elapsed time (microseconds): %llu.",
               path, (long long)*records, (unsigned long long)((sl_now_ns() - begin) / 1000));
    return rc;
}

sl_code sl_warmup_replay(const sl_version *v, const char *dir, const sl_warmup_options *o,
                         int64_t *records, sl_status *st)
{
    *records = 0;
    char *path = sl_path_join(dir, "assets.extra/tf_serving_warmup_requests");
    if (path == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: path of the warm-up data");
    sl_code rc = replay_path(v, path, o, records, st);
    sl_free(path);
    return rc;
}
