/*
 * multi_inference.c - several heads of one model on the same Examples
 *
 * Source: grpc.md 5; metrics.md 3 (request_example_counts).
 */
#include "api/grpc/infer.h"
#include "base/clock.h"
#include "metrics/metrics.h"
#include "service/shadow.h"

typedef struct multi {
    sl_grpc_call call;
    sl_predict version; /* holds the version for all runs */
    sl_pb_multi sent;
    bool decoded; /* `sent` holds a tensor */
    sl_multi tasks;
} multi;

static sl_code prepare(multi *m)
{
    sl_grpc_call *c = &m->call;
    sl_pb_multi *s = &m->sent;
    sl_code rc = SL_OK;
    if (!m->decoded) /* else it is from the first time */
        rc = sl_pb_decode_multi(c->message, c->message_buffer, &c->grpc->opt.pb, c->http->arena, s,
                                &c->st);
    if (rc)
        return rc;
    m->decoded = true;
    c->model = s->tasks[0].spec.name;
    c->signature = s->tasks[0].spec.signature_name;
    sl_model_spec wanted = sl_grpc_spec(c, &s->tasks[0].spec);
    rc = sl_grpc_approach(c, &m->version, SL_MAY_PREDICT, &wanted);
    if (rc)
        return rc;
    rc = sl_predict_resolve_version(&m->version, &wanted);
    if (rc)
        return rc;
    sl_grpc_names_version(c, m->version.version);
    sl_multi_task *tasks = sl_arena_try_alloc(c->http->arena, s->n_tasks * sizeof *tasks);
    if (tasks == NULL)
        return sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu tasks", s->n_tasks);
    for (size_t i = 0; i < s->n_tasks; i++)
        tasks[i] = (sl_multi_task){.model = s->tasks[i].spec.name,
                                   .signature = s->tasks[i].spec.signature_name,
                                   .method_name = s->tasks[i].method_name};
    return sl_multi_prepare(&m->tasks, &m->version, tasks, s->n_tasks, &s->examples);
}

static sl_code result_of(const sl_grpc_call *c, sl_predict *p, sl_pb_result *r)
{
    *r = (sl_pb_result){.used = sl_grpc_used(c, p)};
    return p->method == SL_METHOD_CLASSIFY ? sl_predict_classify_result(p, &r->classes, &r->scores)
                                           : sl_predict_regress_result(p, &r->values);
}

static sl_code encode(multi *m)
{
    sl_grpc_call *c = &m->call;
    size_t n = m->tasks.count;
    sl_pb_result *results = sl_arena_try_alloc(c->http->arena, n * sizeof *results);
    if (results == NULL)
        return sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu results", n);
    sl_code rc = SL_OK;
    for (size_t i = 0; i < n && rc == SL_OK; i++)
        rc = result_of(c, &m->tasks.runs[i], &results[i]);
    if (rc)
        return rc;
    sl_grpc_reply r;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    return sl_grpc_reply_end(c, &r, sl_pb_encode_multi(results, n, out, &c->st));
}

static void count_examples(const multi *m)
{
    sl_grpc *g = m->call.grpc;
    sl_str model[] = {m->call.model};
    int64_t n = m->sent.examples.dims[0];
    sl_cell_sample(sl_metric_cell(g->example_counts, model), (double)n);
    sl_cell_add(sl_metric_cell(g->example_total, model), n);
}

static void ran(sl_multi *tasks, sl_code rc)
{
    multi *m = tasks->user;
    sl_http_spend(m->call.http, tasks->run_ns);
    m->call.queue_ns += tasks->queue_ns;
    m->call.run_ns = tasks->run_ns;
    if (rc == SL_OK)
        rc = encode(m);
    if (rc == SL_OK)
        count_examples(m);
    sl_grpc_finish(&m->call, rc);
}

static void begin(sl_grpc_call *c, sl_where where)
{
    multi *m = (multi *)c;
    uint64_t begin_ns = sl_now_ns();
    sl_grpc_predict_init(c, &m->version);
    m->version.user = c; /* which is m, too */
    sl_code rc = prepare(m);
    if (sl_grpc_unwound(c, where))
        return;
    c->decode_ns = sl_now_ns() - begin_ns;
    m->tasks.user = m;
    m->tasks.done = ran;
    if (rc)
        sl_grpc_finish(c, rc);
    else
        sl_multi_start(&m->tasks, where);
}

static sl_shadow *copy(sl_grpc_call *c)
{
    multi *m = (multi *)c;
    return sl_shadow_take_multi(&m->version, &m->tasks);
}

static void release(sl_grpc_call *c)
{
    multi *m = (multi *)c;
    sl_multi_release(&m->tasks);
    if (m->decoded)
        sl_tensor_release(&m->sent.examples);
    sl_predict_fini(&m->version);
}

const sl_grpc_method sl_grpc_multi_inference = {
    .path = "/tensorflow.serving.PredictionService/MultiInference",
    .size = sizeof(multi),
    .infers = true,
    .begin = begin,
    .copy = copy,
    .release = release};
