/*
 * reload.c - HandleReloadConfigRequest
 *
 * A reload may take minutes: it waits for the models that are new. So each has a thread of its own,
 * since workers are for requests; who changes the configuration first is the callback's business.
 *
 * Source: grpc.md 7.2; config.md 4.
 */

#include "api/grpc/call.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "codec/model_pb.h"
#include "metrics/metrics.h"

enum { MOST_AT_ONCE = 64 };

typedef struct reload {
    sl_grpc_call call;
    sl_pb_reload sent;
    sl_pb_metric *metrics;
} reload;

/* ---- on its own thread ---- */

static int64_t value_of(sl_str metric)
{
    int64_t v;
    return sl_metric_first_value(metric, &v) ? v : 0;
}

static sl_code encode(reload *r)
{
    sl_grpc_reply reply;
    size_t n = r->sent.n_metric_names;
    for (size_t i = 0; i < n; i++)
        r->metrics[i].increase = value_of(r->metrics[i].name) - r->metrics[i].increase;
    sl_chain *out = sl_grpc_reply_begin(&r->call, &reply);
    return sl_grpc_reply_end(&r->call, &reply,
                             sl_pb_encode_reload(SL_OK, "", r->metrics, n, out, &r->call.st));
}

static void apply(reload *r)
{
    sl_grpc_call *c = &r->call;
    sl_grpc_options *o = &c->grpc->opt;
    sl_text report = {0};
    for (size_t i = 0; i < r->sent.n_metric_names; i++)
        r->metrics[i] = (sl_pb_metric){.name = r->sent.metric_names[i],
                                       .increase = value_of(r->sent.metric_names[i])};
    sl_code rc = o->reload(o->reload_arg, r->sent.config, &report, &c->st);
    if (report.n > 0)
        sl_log(SL_INFO, "ReloadConfig: %s", report.p);
    if (rc)
        sl_log(SL_ERROR, "ReloadConfig failed: %s", c->st.msg);
    sl_text_fini(&report);
    sl_grpc_finish(c, rc ? rc : encode(r));
}

static void *work(void *arg)
{
    reload *r = arg;
    sl_grpc *g = r->call.grpc;
    apply(r); /* the call may be gone */
    pthread_mutex_lock(&g->lock);
    g->reloads--;
    sl_cond_signal(&g->changed);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

void sl_grpc_reloads_end(sl_grpc *g)
{
    pthread_mutex_lock(&g->lock);
    while (g->reloads > 0)
        sl_cond_wait(&g->changed, &g->lock);
    pthread_mutex_unlock(&g->lock);
}

/* ---- on the loop ---- */

static sl_code start(reload *r)
{
    sl_grpc *g = r->call.grpc;
    pthread_t thread;
    sl_code rc;
    pthread_mutex_lock(&g->lock);
    if (g->reloads < MOST_AT_ONCE)
        rc = sl_thread_start(&thread, "reload", work, r, &r->call.st);
    else
        rc = sl_fail(&r->call.st, SL_RESOURCE_EXHAUSTED, "too many reloads at once");
    g->reloads += rc == SL_OK;
    pthread_mutex_unlock(&g->lock);
    if (rc == SL_OK)
        pthread_detach(thread);
    return rc;
}

static sl_code check(reload *r)
{
    sl_grpc_call *c = &r->call;
    const sl_grpc_options *o = &c->grpc->opt;
    sl_code rc = sl_grpc_may(c, SL_MAY_ADMIN, SL_STR(""), SL_STR(""));
    if (rc)
        return rc;
    if (o->reload == NULL)
        return sl_fail(&c->st, SL_UNIMPLEMENTED, "this server's configuration cannot be reloaded");
    rc = sl_pb_decode_reload_request(c->message, c->http->arena, &r->sent, &c->st);
    if (rc)
        return rc;
    r->metrics = sl_arena_try_alloc(c->http->arena, r->sent.n_metric_names * sizeof *r->metrics);
    return r->metrics != NULL ? SL_OK
                              : sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: metrics");
}

static void begin(sl_grpc_call *c, sl_where where)
{
    (void)where;
    reload *r = (reload *)c;
    sl_code rc = check(r);
    if (rc == SL_OK)
        rc = start(r);
    if (rc)
        sl_grpc_finish(c, rc);
}

const sl_grpc_method sl_grpc_reload = {
    .path = "/tensorflow.serving.ModelService/HandleReloadConfigRequest",
    .size = sizeof(reload),
    .begin = begin};
