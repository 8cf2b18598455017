/*
 * health.c - grpc.health.v1.Health
 *
 * Watch looks at the state again every quarter of a second, from its own loop, and sends what has
 * changed: nothing in the server has to know that somebody watches. When the server drains a
 * watcher is told, and its stream is ended at the next look, so that it does not hold up the end.
 */
#include "api/grpc/health.h"

#include "api/grpc/call.h"
#include "base/clock.h"
#include "format/wire.h"
#include "http/timer.h"

#define LOOK_NS UINT64_C(250000000)

/* ---- the state ---- */

typedef struct search {
    sl_str name;
    bool found, available; /* of the model with that name */
    int models, serving;
} search;

static void visit(void *arg, const char *model, int available, int versions)
{
    search *s = arg;
    (void)versions;
    s->models++;
    s->serving += available > 0;
    if (!sl_str_is(s->name, model))
        return;
    s->found = true;
    s->available = available > 0;
}

static void match_service(void *arg, sl_str service)
{
    search *s = arg;
    const char *dot = memrchr(service.p, '.', service.n);
    size_t skip = (size_t)(dot + 1 - service.p); /* every service has a package */
    sl_str unqualified = {dot + 1, service.n - skip};
    s->found |= sl_str_eq(s->name, service) || sl_str_eq(s->name, unqualified);
}

static bool is_whole(sl_str name)
{
    return name.n == 0 || sl_str_is(name, "PredictionService") ||
           sl_str_is(name, "tensorflow.serving.PredictionService");
}

sl_health sl_grpc_health_of(const sl_grpc *g, sl_str name)
{
    search models = {.name = name}, services = {.name = name};
    bool up = !atomic_load(g->opt.draining), started = atomic_load(g->opt.started);
    sl_grpc_each_service(g, match_service, &services);
    if (services.found && !is_whole(name))
        return up ? SL_HEALTH_SERVING : SL_HEALTH_NOT_SERVING;
    sl_manager_each(g->opt.service->manager, visit, &models);
    if (is_whole(name))
        up = up && started && (models.serving > 0 || models.models == 0);
    else if (models.found)
        up = up && models.available;
    else
        return SL_HEALTH_SERVICE_UNKNOWN;
    return up ? SL_HEALTH_SERVING : SL_HEALTH_NOT_SERVING;
}

/* ---- Check ---- */

/* HealthCheckRequest {1 service} */
static sl_code read_name(sl_grpc_call *c, sl_str *name)
{
    sl_wire w = sl_wire_open(c->message);
    *name = (sl_str){"", 0};
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_BYTES)
            *name = w.bytes;
    if (w.bad)
        c->st.code = SL_INTERNAL; /* without a message, like any request that does not decode */
    return w.bad ? SL_INTERNAL : SL_OK;
}

/* HealthCheckResponse {1 status}, as the next message of the reply. */
static sl_code put_state(sl_grpc_call *c, sl_health state)
{
    sl_text t = {0};
    sl_wire_put_varint(&t, 1, (uint64_t)state);
    return sl_grpc_reply_text(c, &t);
}

static void check(sl_grpc_call *c, sl_where where)
{
    (void)where;
    sl_str name;
    sl_code rc = read_name(c, &name);
    sl_health state = rc ? SL_HEALTH_UNKNOWN : sl_grpc_health_of(c->grpc, name);
    if (state == SL_HEALTH_SERVICE_UNKNOWN)
        rc = sl_fail(&c->st, SL_NOT_FOUND, "service name unknown");
    sl_grpc_finish(c, rc ? rc : put_state(c, state));
}

/* ---- Watch ---- */

typedef struct watch {
    sl_grpc_call call;
    sl_str name;
    int told; /* the state that was sent last; -1: none */
    sl_http_timer *timer;
} watch;

static void look(watch *w);

static void look_again(sl_http_call *call)
{
    watch *w = call->user;
    sl_grpc_call *c = &w->call;
    if (atomic_load(c->grpc->opt.draining))
        sl_grpc_finish(c, sl_fail(&c->st, SL_UNAVAILABLE, "server is shutting down"));
    else if (sl_now_ns() >= c->deadline_ns)
        sl_grpc_finish(c, sl_fail(&c->st, SL_DEADLINE_EXCEEDED, "Deadline Exceeded"));
    else
        look(w);
}

static void look(watch *w)
{
    sl_grpc_call *c = &w->call;
    int state = (int)sl_grpc_health_of(c->grpc, w->name);
    if (state != w->told) {
        sl_code rc = put_state(c, (sl_health)state);
        if (rc) {
            sl_grpc_finish(c, rc);
            return;
        }
        w->told = state;
        sl_grpc_send(c);
    }
    if (!c->ended)
        sl_http_timer_start(w->timer, LOOK_NS, look_again);
}

static void watch_left(sl_http_call *call)
{
    watch *w = call->user;
    sl_grpc_finish(&w->call, sl_fail(&w->call.st, SL_CANCELLED, "the client left"));
}

static void begin_watch(sl_grpc_call *c, sl_where where)
{
    watch *w = (watch *)c;
    (void)where;
    sl_code rc = read_name(c, &w->name);
    w->told = -1;
    w->timer = sl_http_timer_new(c->http);
    if (rc == SL_OK && w->timer == NULL)
        rc = sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: a watcher");
    if (rc) {
        sl_grpc_finish(c, rc);
        return;
    }
    c->http->on_cancel = watch_left;
    look(w);
}

static void release_watch(sl_grpc_call *c)
{
    sl_http_timer_stop(((watch *)c)->timer);
}

const sl_grpc_method sl_grpc_health_check = {.path = "/grpc.health.v1.Health/Check",
                                             .size = sizeof(sl_grpc_call),
                                             .open = true,
                                             .begin = check};
const sl_grpc_method sl_grpc_health_watch = {.path = "/grpc.health.v1.Health/Watch",
                                             .size = sizeof(watch),
                                             .open = true,
                                             .on_loop = true,
                                             .begin = begin_watch,
                                             .release = release_watch};
