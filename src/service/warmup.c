/*
 * warmup.c - see warmup.h
 *
 * For each record: decode the request, check it against the signature, and then run it as often as
 * is wished. All that a record allocates is in one arena, which is reset behind it. A run in a
 * batch ends on a batch thread, so the load thread waits for it.
 */
#include "service/warmup.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "format/tfrecord.h"
#include "metrics/metrics.h"
#include "service/prepare.h"

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
    sl_prepared tensors; /* of the record that is being replayed */
    const char *path;
    int iterations;
    int64_t records;
    bool to_end; /* all requests that the file gave were answered, even if it then was damaged */
    sl_status *st;
} replay;

/* ---- running ---- */

typedef struct pending {
    sl_predict predict; /* first: done() gets a pointer to it */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done; /* these two under lock */
    sl_code rc;
} pending;

static void on_done(sl_predict *p, sl_code rc)
{
    pending *w = (pending *)p;
    pthread_mutex_lock(&w->lock);
    w->rc = rc;
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->lock);
}

static sl_code start_and_wait(pending *w)
{
    w->done = false;
    sl_predict_start(&w->predict, SL_RUN_HERE);
    pthread_mutex_lock(&w->lock);
    while (!w->done)
        pthread_cond_wait(&w->changed, &w->lock);
    pthread_mutex_unlock(&w->lock);
    return w->rc;
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

static sl_code run_once(pending *w)
{
    sl_code rc = start_and_wait(w);
    if (rc == SL_OK)
        rc = check_answer(&w->predict);
    drop_outputs(&w->predict);
    return rc;
}

static sl_code run(replay *r, const sl_predict *prepared)
{
    sl_code rc = SL_OK;
    pending w = {.predict = *prepared,
                 .lock = PTHREAD_MUTEX_INITIALIZER,
                 .changed = PTHREAD_COND_INITIALIZER};
    w.predict.done = on_done;
    for (int i = 0; i < r->iterations && rc == SL_OK; i++)
        rc = run_once(&w);
    pthread_cond_destroy(&w.changed);
    pthread_mutex_destroy(&w.lock);
    return rc;
}

/* ---- records ---- */

/* The version stands for itself: no manager is asked for one. */
static sl_code begin(replay *r, sl_method method, const sl_wire_spec *spec, sl_predict *p)
{
    sl_predict_init(p, &r->service, &r->arena, r->st);
    p->method = method;
    p->version = &r->version;
    r->version.model = sl_arena_try_strndup(&r->arena, spec->model.model.p, spec->model.model.n);
    if (r->version.model == NULL)
        return sl_fail(r->st, SL_RESOURCE_EXHAUSTED, "out of memory: name of a model");
    return SL_OK;
}

static sl_code replay_predict(replay *r, const sl_predict_request *request)
{
    sl_predict p;
    sl_code rc = begin(r, SL_METHOD_PREDICT, &request->spec, &p);
    if (rc == SL_OK)
        rc = sl_prepare_predict(&p, request, MOST_RECORD_BYTES, &r->tensors);
    return rc ? rc : run(r, &p);
}

static sl_code replay_examples(replay *r, sl_method method, const sl_example_request *request)
{
    sl_predict p;
    sl_code rc = begin(r, method, &request->spec, &p);
    if (rc == SL_OK)
        rc = sl_prepare_examples(&p, request, &r->tensors);
    return rc ? rc : run(r, &p);
}

static sl_code replay_multi(replay *r, const sl_multi_request *request)
{
    static const sl_wire_spec nameless;
    sl_predict like, *tasks;
    size_t n = 0;
    const sl_wire_spec *spec = request->n_tasks ? &request->tasks[0].spec : &nameless;
    sl_code rc = begin(r, SL_METHOD_CLASSIFY, spec, &like);
    if (rc == SL_OK)
        rc = sl_prepare_multi(&like, request, &r->tensors, &tasks, &n);
    for (size_t i = 0; i < n && rc == SL_OK; i++)
        rc = run(r, &tasks[i]);
    return rc;
}

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
static sl_code unparsable(replay *r, sl_str record, sl_code rc)
{
    if (rc == SL_RESOURCE_EXHAUSTED)
        return rc;
    sl_text t = {0};
    quote(record, &t);
    rc = sl_fail(r->st, SL_INVALID_ARGUMENT, "Failed to parse warmup record: %s from %s",
                 t.p ? t.p : "", r->path);
    sl_text_fini(&t);
    return rc;
}

/* The numbers are PredictionLog's fields. */
enum { CLASSIFY = 2, REGRESS = 3, MULTI = 4, SESSION_RUN = 5, PREDICT = 6, STREAMED = 7 };

static sl_code replay_request(replay *r, unsigned kind, sl_str request, sl_str record)
{
    union {
        sl_predict_request predict;
        sl_example_request examples;
        sl_multi_request multi;
    } u;
    sl_code rc;
    switch (kind) {
    case PREDICT:
        rc = sl_predict_request_decode(request, &r->arena, &u.predict, r->st);
        return rc ? unparsable(r, record, rc) : replay_predict(r, &u.predict);
    case MULTI:
        rc = sl_multi_request_decode(request, &r->arena, &u.multi, r->st);
        return rc ? unparsable(r, record, rc) : replay_multi(r, &u.multi);
    default:
        rc = sl_example_request_decode(request, &r->arena, &u.examples, r->st);
        if (rc)
            return unparsable(r, record, rc);
        return replay_examples(r, kind == CLASSIFY ? SL_METHOD_CLASSIFY : SL_METHOD_REGRESS,
                               &u.examples);
    }
}

static sl_code replay_record(replay *r, sl_str record)
{
    unsigned kind, has_request;
    sl_str log, request;
    sl_code rc = sl_wire_submessage(record, 0xfc, "PredictionLog", &r->arena, &kind, &log, r->st);
    if (rc)
        return unparsable(r, record, rc);
    if (kind == SESSION_RUN || kind == STREAMED)
        return sl_fail(r->st, SL_UNIMPLEMENTED, "Unsupported log_type for warmup: %u", kind);
    if (kind == 0)
        return SL_OK;
    rc = sl_wire_submessage(log, 1 << 1, "log", &r->arena, &has_request, &request, r->st);
    return rc ? unparsable(r, record, rc) : replay_request(r, kind, request, record);
}

/* ---- the file ---- */

static sl_code replay_file(replay *r, sl_str file)
{
    sl_tfrecord reader = {.file = file};
    sl_str record;
    sl_code rc;
    while (sl_tfrecord_next(&reader, &record, &rc, r->st)) {
        rc = replay_record(r, record);
        sl_prepared_release(&r->tensors);
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
