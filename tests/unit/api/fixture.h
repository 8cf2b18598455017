/*
 * fixture.h - a request on its way through the handlers, and what comes back, without a connection
 *
 * The test is http/: what the handlers call of it is defined here. Behind them are a real manager
 * and service, over versions whose engine the test holds in its hands.
 *
 *     world *w = *state;
 *     ask(w, &(request){.method = SL_HTTP_GET, .target = "/v1/models/m"});
 *     says(w, 200, "AVAILABLE");
 *
 * A request is made with memory that is not counted, so that the allocations that a test lets fail
 * are the handlers' own: survives_without_memory(w, &request).
 *
 * Models: m (1 available, 2 broken), d (1, on demand). Both have the signatures classify, regress
 * (of Examples), and serving_default and odd: y is x. The label stable of m is version 1.
 */
#ifndef SL_TEST_API_FIXTURE_H
#define SL_TEST_API_FIXTURE_H

#include <fcntl.h>
#include <sched.h>

#include "unit/model/fixture.h"

#include "api/admin/admin.h"
#include "api/api.h"
#include "api/oip/oip.h"
#include "base/fault.h"
#include "base/log.h"
#include "format/textpb.h"
#include "guard/tokens.h"
#include "http/gzip.h"
#include "http/timer.h"
#include "proto/auth_config.pb-c.h"
#include "service/shadow.h"
#include "support/faults.h"

/* ---- the engine ---- */

static struct {
    _Atomic(sl_code) refusal; /* with which runs fail */
    atomic_bool spoilt;       /* outputs have a shape that no answer can have */
    atomic_bool dear;         /* not to be run in place */
    atomic_int runs;
} engine_does;

static inline sl_code engine_output(const sl_tensor_info *info, const sl_tensor *x, sl_tensor *out,
                                    sl_status *st)
{
    bool wide = info->dims[1] == 2;
    int64_t n = x->rank ? x->dims[0] : 1, dims[] = {n, 2, 1};
    int rank = atomic_load(&engine_does.spoilt) ? 3 : wide ? 2 : x->rank ? 1 : 0;
    if (info->dtype == SL_DT_STRING) {
        sl_str *names = calloc((size_t)n * 2 + 1, sizeof *names); /* not counted */
        for (int64_t i = 0; i < n * 2; i++)
            names[i] = i % 2 ? SL_STR("yes") : SL_STR("no");
        sl_code rc = sl_tensor_try_new_strings(names, dims, rank, out, st);
        free(names);
        return rc;
    }
    sl_code rc = sl_tensor_try_new(SL_DT_FLOAT, dims, rank, out, st);
    for (int64_t i = 0; rc == SL_OK && i < sl_tensor_count(out); i++)
        ((float *)out->data)[i] =
            x->dtype == SL_DT_FLOAT && i < sl_tensor_count(x) ? ((const float *)x->data)[i] : 0.5f;
    return rc;
}

static inline sl_code engine_run(sl_session *s, sl_run *run, sl_status *st)
{
    const sl_signatures *all = (const sl_signatures *)s;
    const sl_signature *sig = &all->list[run->signature];
    sl_code rc = atomic_load(&engine_does.refusal);
    atomic_fetch_add(&engine_does.runs, 1);
    if (rc)
        return sl_fail(st, rc, "the engine refuses");
    for (int k = 0; k < run->n_outputs && rc == SL_OK; k++) {
        rc = engine_output(&sig->outputs[run->output_index[k]], &run->inputs[0], &run->outputs[k],
                           st);
        for (int j = 0; rc && j < k; j++)
            sl_tensor_release(&run->outputs[j]);
    }
    if (rc)
        memset(run->outputs, 0, (size_t)run->n_outputs * sizeof *run->outputs);
    return rc;
}

static inline int64_t engine_cost(sl_session *s, const sl_run *run, int64_t *elements)
{
    (void)s;
    (void)run;
    *elements = 1;
    return atomic_load(&engine_does.dear) ? -1 : 1;
}

static inline bool engine_pure(sl_session *s, int signature)
{
    (void)s;
    (void)signature;
    return true;
}

static inline uint64_t engine_memory(sl_session *s)
{
    (void)s;
    return 4096;
}

static const sl_engine the_engine = {.abi = SL_ENGINE_ABI,
                                     .name = "fake",
                                     .run = engine_run,
                                     .cost = engine_cost,
                                     .pure = engine_pure,
                                     .memory = engine_memory};

#define INFO(k, t, r, second)                                                      \
    {                                                                              \
        .key = k, .name = k ":0", .dtype = t, .rank = r, .dims = { -1, second, 0 } \
    }
static const sl_tensor_info info_x[] = {INFO("x", SL_DT_FLOAT, 1, 0)},
                            info_y[] = {INFO("y", SL_DT_FLOAT, 1, 0)},
                            info_examples[] = {INFO("inputs", SL_DT_STRING, 1, 0)},
                            info_classes[] = {INFO("classes", SL_DT_STRING, 2, 2),
                                              INFO("scores", SL_DT_FLOAT, 2, 2)},
                            info_values[] = {INFO("outputs", SL_DT_FLOAT, 1, 0)};
#define SIGNATURE(k, m, in, out, n)                                                    \
    {                                                                                  \
        .key = k, .method_name = "tensorflow/serving/" m, .inputs = in, .n_inputs = 1, \
        .outputs = out, .n_outputs = n, .def = {                                       \
            "\x1a\1" m,                                                                \
            3                                                                          \
        }                                                                              \
    }
static const sl_signature the_list[] = {
    SIGNATURE("__hidden", "predict", info_x, info_y, 1),
    SIGNATURE("classify", "classify", info_examples, info_classes, 2),
    SIGNATURE("odd", "odd", info_x, info_y, 1),
    SIGNATURE("regress", "regress", info_examples, info_values, 1),
    SIGNATURE("serving_default", "predict", info_x, info_y, 1)};
static const sl_signatures the_signatures = {.list = the_list, .count = 5};

/* ---- the world ---- */

enum { MOST_WAITING_JOBS = 4 };

/* What is asked. */
typedef struct request {
    sl_http_method method;
    const char *target;
    const char *headers; /* "name: value\n", any number, or NULL */
    sl_str body;
    int version;      /* of HTTP; 0: 11 */
    bool undecodable; /* the body was said to be gzip */
    bool packed;      /* it is, and too much for a loop */
    bool stays;       /* a stream: ask() does not wait for its end, and `body` comes in pieces */
    bool later;       /* ask() does not wait for the reply */
    int takes_s;      /* so long, by the fake clock, until the body is there */
    bool gone;        /* the client has left before the work begins */
    const char *peer; /* NULL: 127.0.0.1:5 */
} request;

/* A request whose body is a literal. */
#define Q(m, t, h, b)                                                                  \
    {                                                                                  \
        .method = SL_HTTP_##m, .target = t, .headers = h, .body = { b, sizeof(b) - 1 } \
    }

/* What came back. */
typedef struct answer {
    bool replied, refused; /* refused: by on_head */
    bool failed;           /* memory ran out while it was written: http/ makes a 500 of it */
    int status, sends;
    const char *type;
    char *head, *body, *trailers;
    size_t n; /* of the body */
} answer;

struct sl_http_timer {
    sl_http_call *call;
    void (*fn)(sl_http_call *call); /* NULL: it does not run */
};

typedef struct world {
    fixture *f;
    sl_service service;
    sl_rest rest;
    sl_oip oip;
    sl_grpc grpc;
    sl_api api;
    sl_admin admin;
    sl_access_log access;
    sl_guard *guard;
    sl_code (*change)(void *arg, sl_str model, bool load, sl_status *st);
    sl_code (*reload)(void *arg, sl_str config, sl_text *report, sl_status *st);
    bool to_admin; /* requests go to the admin interface */

    pthread_mutex_t lock; /* guards the next two, a.replied and what is written with it */
    bool occupied;        /* the worker */
    int begun, to_begin;
    sl_cond moved;
    answer a, usual; /* usual: see survives_without_memory */
    sl_http_call call;
    sl_arena arena;
    sl_http_header headers[8];
    sl_buffer body;
    sl_http_timer *timer;
    sl_tls_peer *tls;
    pthread_t loop;
    uint64_t spent_ns;  /* what the loop is said to have spent */
    atomic_ulong spent; /* what it was told */
    size_t unsent;
    bool leaves; /* the client does, when it is sent something */
    sl_body unpacked;
    bool no_room;    /* for what is unpacked */
    const void *own; /* the test's */
} world;

/* ---- http/, as far as it is called ---- */

const char *sl_http_reason(int status)
{
    (void)status;
    return "the reason";
}

/* Appends what a chain holds to a text that grows; nothing of it is counted. */
static inline size_t take_chain(sl_chain *c, char **text, size_t n)
{
    *text = realloc(*text, n + c->size + 1);
    sl_chain_copy(c, *text + n);
    n += c->size;
    (*text)[n] = '\0';
    sl_chain_reset(c);
    return n;
}

void sl_http_send(sl_http_call *call)
{
    world *w = call->reserved[0];
    assert_true(pthread_equal(w->loop, pthread_self()));
    w->a.failed |= call->reply.failed || call->head.failed;
    w->a.n = take_chain(&call->reply, &w->a.body, w->a.n);
    w->a.sends++;
    if (w->leaves)
        call->on_cancel(call);
}

static inline void reply(world *w)
{
    sl_http_call *call = &w->call;
    answer *a = &w->a;
    pthread_mutex_lock(&w->lock);
    assert_false(a->replied);
    assert_true(w->timer == NULL || w->timer->fn == NULL);
    a->failed |= call->reply.failed || call->head.failed || call->trailers.failed;
    a->status = call->status;
    a->type = call->content_type;
    take_chain(&call->head, &a->head, 0);
    take_chain(&call->trailers, &a->trailers, 0);
    a->n = take_chain(&call->reply, &a->body, a->n);
    a->replied = true;
    sl_cond_broadcast(&w->moved);
    pthread_mutex_unlock(&w->lock);
}

void sl_http_reply(sl_http_call *call)
{
    world *w = call->reserved[0];
    assert_true(pthread_equal(w->loop, pthread_self()));
    reply(w);
}

void sl_http_reply_posted(sl_http_call *call)
{
    reply(call->reserved[0]);
}

size_t sl_http_unsent(const sl_http_call *call)
{
    return ((const world *)call->reserved[0])->unsent;
}

bool sl_http_unpack(sl_http_call *call)
{
    world *w = call->reserved[0];
    if (!call->body_packed)
        return true;
    call->body_packed = false;
    if (w->no_room)
        return false;
    call->body_undecodable = sl_gunzip(call->body, 1 << 20, &w->unpacked) != SL_OK;
    call->body_buffer = w->unpacked.buffer;
    call->body = (sl_str){w->unpacked.n ? w->unpacked.buffer->data : NULL, w->unpacked.n};
    return true;
}

void sl_http_spend(sl_http_call *call, uint64_t ns)
{
    (void)ns;
    atomic_fetch_add(&((world *)call->reserved[0])->spent, 1);
}

uint64_t sl_http_spent_ns(const sl_http_call *call)
{
    return ((const world *)call->reserved[0])->spent_ns;
}

sl_http_timer *sl_http_timer_new(sl_http_call *call)
{
    world *w = call->reserved[0];
    w->timer = sl_arena_try_alloc(call->arena, sizeof *w->timer);
    if (w->timer != NULL)
        *w->timer = (sl_http_timer){.call = call};
    return w->timer;
}

void sl_http_timer_start(sl_http_timer *t, uint64_t after_ns, void (*fn)(sl_http_call *call))
{
    assert_true(after_ns > 0);
    assert_true(pthread_equal(((world *)t->call->reserved[0])->loop, pthread_self()));
    t->fn = fn;
}

void sl_http_timer_stop(sl_http_timer *t)
{
    if (t != NULL)
        t->fn = NULL;
}

/* The time that it waits for has come. */
static inline void fire(world *w)
{
    void (*fn)(sl_http_call * call) = w->timer->fn;
    assert_non_null(fn);
    w->timer->fn = NULL;
    fn(&w->call);
}

/* ---- asking ---- */

static inline void forget(answer *a)
{
    free(a->head);
    free(a->body);
    free(a->trailers);
    *a = (answer){0};
}

static inline void split_headers(world *w, const char *text)
{
    w->call.n_headers = 0;
    w->call.headers = w->headers;
    while (text != NULL && *text) {
        size_t name = strcspn(text, ":"), line = strcspn(text, "\n");
        assert_true(w->call.n_headers < (int)SL_COUNTOF(w->headers) && name + 2 <= line);
        w->headers[w->call.n_headers++] =
            (sl_http_header){{text, name}, {text + name + 2, line - name - 2}};
        text += line + (text[line] != '\0');
    }
}

static inline void body_is_gone(sl_buffer *b)
{
    free(b->data);
    b->data = NULL;
}

/* Nothing of the last call is held any more. */
static inline void close_call(world *w)
{
    if (w->body.data != NULL)
        sl_buffer_release(&w->body);
    assert_null(w->body.data);
    sl_body_reset(&w->unpacked);
    sl_arena_reset(&w->arena);
    w->timer = NULL;
    w->unsent = 0;
    forget(&w->a);
}

static inline void open_call(world *w, const request *q)
{
    close_call(w);
    size_t path = strcspn(q->target, "?#");
    memset(&w->call, 0, sizeof w->call);
    w->call.method = q->method;
    w->call.target = sl_str_of(q->target);
    w->call.path = (sl_str){q->target, path};
    w->call.version = q->version ? q->version : 11;
    w->call.peer = sl_str_of(q->peer ? q->peer : "127.0.0.1:5");
    w->call.started_ns = sl_now_ns();
    w->call.arena = &w->arena;
    w->call.status = 200;
    w->call.tls = w->tls;
    w->call.reserved[0] = w;
    atomic_init(&w->call.cancelled, q->gone);
    split_headers(w, q->headers);
    if (q->body.n > 0 && !q->stays) { /* exactly as large as it is: what is beyond is seen */
        w->body = (sl_buffer){.refs = 1, .size = q->body.n, .destroy = body_is_gone};
        w->body.data = aligned_alloc(64, (q->body.n + 63) / 64 * 64);
        char *end = (char *)w->body.data + (q->body.n + 63) / 64 * 64;
        memcpy(end - q->body.n, q->body.p, q->body.n);
        w->call.body = (sl_str){end - q->body.n, q->body.n};
        w->call.body_buffer = &w->body;
    }
    w->call.body_undecodable = q->undecodable;
    w->call.body_packed = q->packed;
}

static inline void await_reply(world *w)
{
    pthread_mutex_lock(&w->lock);
    while (!w->a.replied)
        sl_cond_wait(&w->moved, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static inline bool is_replied(world *w)
{
    pthread_mutex_lock(&w->lock);
    bool yes = w->a.replied;
    pthread_mutex_unlock(&w->lock);
    return yes;
}

/* The head is refused: what http/ does then. */
static inline void refuse(world *w, int status, const char *message)
{
    w->call.status = status;
    w->a.refused = true;
    if (!sl_api_on_call_error(&w->call, status, message, &w->api))
        sl_api_on_error(status, message, &w->call.reply, &w->call.content_type, &w->api);
    reply(w);
}

static inline void ask(world *w, const request *q)
{
    const char *message = NULL;
    open_call(w, q);
    if (w->to_admin) {
        sl_admin_on_call(&w->call, &w->admin);
        await_reply(w);
        return;
    }
    int status = sl_api_on_head(&w->call, &message, &w->api);
    if (status) {
        refuse(w, status, message);
        return;
    }
    if (q->takes_s)
        sl_clock_fake(sl_now_ns() + (uint64_t)q->takes_s * 1000000000u);
    sl_api_on_call(&w->call, &w->api);
    if (w->call.on_data != NULL && q->body.n > 0 && !is_replied(w))
        w->call.on_data(&w->call, q->body, !q->stays);
    if (!q->stays && !q->later)
        await_reply(w);
}

/* The answer has that status, and `part` in its body. */
static inline void says(world *w, int status, const char *part)
{
    assert_true(w->a.replied);
    if (w->a.failed || w->a.status != status || strstr(w->a.body, part) == NULL)
        fail_msg("%d%s \"%s\" instead of %d \"%s\"", w->a.status, w->a.failed ? ", failed" : "",
                 w->a.body, status, part);
}

/* ... has that gRPC status, and `part` in its message. */
static inline void ends(world *w, int code, const char *part)
{
    char line[32];
    snprintf(line, sizeof line, "grpc-status: %d\r\n", code);
    assert_true(w->a.replied);
    if (w->a.failed || strstr(w->a.trailers, line) == NULL || strstr(w->a.trailers, part) == NULL)
        fail_msg("%d%s \"%s\" instead of %d \"%s\"", w->a.status, w->a.failed ? ", failed" : "",
                 w->a.trailers, code, part);
}

static inline bool has_header(const world *w, const char *line)
{
    return strstr(w->a.head, line) != NULL;
}

/* Zeros in an answer hide what follows them. */
static inline bool body_has(const world *w, const char *part)
{
    return memmem(w->a.body, w->a.n, part, strlen(part)) != NULL;
}

typedef struct row {
    request q;
    int status;
    const char *part; /* of the body; NULL: it is refused when its head is there */
} row;

/* Each request gets its answer, and the headers that its status needs. */
static inline void all_say(world *w, const row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool refused = rows[i].part == NULL;
        ask(w, &rows[i].q);
        says(w, rows[i].status, refused ? "" : rows[i].part);
        assert_int_equal(w->a.refused, refused);
        if (refused) /* the headers are http/'s business, then */
            continue;
        assert_int_equal(has_header(w, "WWW-Authenticate: Bearer"), rows[i].status == 401);
        assert_int_equal(has_header(w, "Retry-After: 1\r\n"), rows[i].status == 503);
        assert_int_equal(has_header(w, "Allow: "), rows[i].status == 405);
    }
}

/* ---- without memory ---- */

typedef struct attempt {
    world *w;
    const request *q;
    bool any_body; /* it is another one each time */
} attempt;

static inline bool same_text(const char *a, const char *b)
{
    return strcmp(a ? a : "", b ? b : "") == 0;
}

/* SL_OK: the usual answer; RESOURCE_EXHAUSTED: that memory has run out, said as it should be. */
static inline sl_code judge(const world *w, bool any_body, sl_status *st)
{
    const answer *a = &w->a, *u = &w->usual;
    bool same = !a->failed && a->status == u->status && a->n == u->n &&
                memcmp(a->body, u->body, a->n) == 0 && same_text(a->trailers, u->trailers) &&
                same_text(a->head, u->head) && same_text(a->type, u->type);
    if (any_body && !a->failed)
        same = a->status == u->status && same_text(a->trailers, u->trailers);
    if (!a->failed && a->status >= 400) /* what is wrong may be said in fewer words */
        same |= a->status == u->status && same_text(a->head, u->head) && a->n > 0;
    if (same)
        return SL_OK;
    if (a->failed || strstr(a->trailers, "grpc-status: 8\r\n") != NULL ||
        (a->status == 429 && (strstr(a->body, "memory") || strstr(a->body, "fit"))) ||
        (a->refused && (a->status == 503 || strstr(a->trailers, "grpc-status: 14\r\n"))))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%d %s", a->status, a->body);
    return sl_fail(st, SL_UNKNOWN, "%d {%s} {%s} {%s}", a->status, a->head, a->body, a->trailers);
}

static inline sl_code try_once(void *arg, sl_status *st)
{
    attempt *t = arg;
    ask(t->w, t->q);
    if (t->w->usual.body == NULL) {
        assert_false(t->w->a.failed);
        t->w->usual = t->w->a;
        t->w->a = (answer){0};
        return SL_OK;
    }
    return judge(t->w, t->any_body, st);
}

/* The same when memory is short for a while: all allocations fail from some one on. */
static inline void survives_a_drought(attempt *t, sl_fault kind)
{
    sl_status st = {0};
    for (int nth = 1, calls = nth; calls >= nth; nth++) {
        sl_fault_arm_from(kind, nth);
        sl_code rc = try_once(t, &st);
        calls = sl_fault_count(kind);
        sl_fault_arm(kind, 0);
        if (rc != SL_OK && rc != SL_RESOURCE_EXHAUSTED)
            fail_msg("%d, from %d on: code %d, \"%s\"", kind, nth, rc, st.msg);
    }
}

/* The request gets its usual answer, or a clean error, whichever of its allocations fails. */
static inline void survives_without_memory(world *w, const request *q, bool any_body)
{
    attempt t = {w, q, any_body};
    ask(w, q); /* what is made once, by the first: metrics */
    fail_each_allocation(try_once, &t);
    survives_a_drought(&t, SL_FAULT_ALLOC);
    survives_a_drought(&t, SL_FAULT_ARENA);
    close_call(w);
    forget(&w->usual);
}

/* Each request of a list, under a name of its own: one that is made is another each time. */
static inline void all_survive(world *w, const row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        request q = rows[i].q;
        char headers[128];
        snprintf(headers, sizeof headers, "x-request-id: one\n%s", q.headers ? q.headers : "");
        q.headers = headers;
        survives_without_memory(w, &q, false);
    }
}

/* ---- setting up ---- */

static inline sl_code api_load(void *arg, const sl_model_config *config, sl_version *v,
                               sl_text *why, sl_status *st)
{
    sl_code rc = fake_load(arg, config, v, why, st);
    v->engine = &the_engine;
    v->session = (sl_session *)(uintptr_t)&the_signatures;
    v->signatures = &the_signatures;
    return rc;
}

static inline sl_code api_change(void *arg, sl_str model, bool load, sl_status *st)
{
    world *w = arg;
    return w->change ? w->change(w, model, load, st) : SL_OK;
}

static inline sl_code api_reload(void *arg, sl_str config, sl_text *report, sl_status *st)
{
    world *w = arg;
    return w->reload ? w->reload(w, config, report, st) : SL_OK;
}

/* After a change of the options' sources: guard, workers ... */
static inline void set_up_handlers(world *w)
{
    sl_rest_options r = {.service = &w->service,
                         .extra_routes = true,
                         .here_bytes = 4096,
                         .here_round_ns = 1000,
                         .access = &w->access,
                         .guard = w->guard,
                         .oip = &w->oip};
    sl_json_limits_default(&r.json);
    sl_pb_limits_default(&r.pb);
    sl_rest_init(&w->rest, &r);
    atomic_store(&w->rest.started, true);
    sl_oip_options o = {.service = &w->service,
                        .max_depth = 100,
                        .here_bytes = r.here_bytes,
                        .here_round_ns = r.here_round_ns,
                        .guard = w->guard,
                        .access = r.access,
                        .started = &w->rest.started,
                        .draining = &w->rest.draining,
                        .change = api_change,
                        .change_arg = w};
    sl_oip_init(&w->oip, &o);
    sl_grpc_options g = {.service = &w->service,
                         .pb = r.pb,
                         .frame = {.max_message = 1 << 20, .max_decompressed = 1 << 20},
                         .oip = &w->oip,
                         .guard = w->guard,
                         .max_calls = 100,
                         .here_bytes = r.here_bytes,
                         .here_round_ns = r.here_round_ns,
                         .access = r.access,
                         .started = &w->rest.started,
                         .draining = &w->rest.draining,
                         .reload = api_reload,
                         .reload_arg = w};
    sl_grpc_init(&w->grpc, &g);
    w->api = (sl_api){&w->rest, &w->grpc};
}

/* Both models; m with what a test wants of it. */
static inline void serve(world *w, const sl_model_config *wanted)
{
    char base[2][256];
    sl_status st = {0};
    static const sl_label stable = {"stable", 1};
    sl_model_config c[] = {{.policy = SL_POLICY_ALL, .labels = &stable, .n_labels = 1},
                           {.load = SL_LOAD_ON_DEMAND}};
    if (wanted != NULL)
        c[0] = *wanted;
    c[0].name = "m";
    c[1].name = "d";
    for (int i = 0; i < 2; i++) {
        snprintf(base[i], sizeof base[i], "%s/%s", w->f->dir, c[i].name);
        c[i].base_path = base[i];
    }
    if (w->f->m == NULL)
        start(w->f);
    assert_int_equal(sl_manager_configure(w->f->m, c, 2, &st), SL_OK);
    sl_manager_look(w->f->m);
    until(w->f, "m", 1, SL_STATE_AVAILABLE);
    until(w->f, "m", 2, SL_STATE_END);
}

static inline int set_up(void **state)
{
    world *w = calloc(1, sizeof *w);
    void *f;
    if (new_fixture(&f) || sl_arena_init(&w->arena, 4096))
        return 1;
    w->f = f;
    w->f->opts.load = api_load;
    w->loop = pthread_self();
    w->access.mode = SL_ACCESS_OFF;
    pthread_mutex_init(&w->lock, NULL);
    sl_cond_init(&w->moved);
    memset(&engine_does, 0, sizeof engine_does);
    sl_log_set_level(SL_FATAL);
    make_version(w->f, "m", "1");
    make_version(w->f, "m", "2");
    make_version(w->f, "d", "1");
    outcome(w->f, 2, SL_INTERNAL);
    serve(w, NULL);
    w->service = (sl_service){.manager = w->f->m, .in_place_ns = 1000, .in_place_elements = 1000};
    set_up_handlers(w);
    *state = w;
    return 0;
}

/* Takes all models out of the configuration, and waits until they are gone. */
static inline void clear(world *w)
{
    sl_manager *m = w->f->m;
    static const char *const names[] = {"m", "d"};
    sl_status st;
    assert_int_equal(sl_manager_configure(m, NULL, 0, &st), SL_OK);
    pthread_mutex_lock(&m->lock);
    for (int i = 0; i < 2; i++) {
        const sl_managed *v;
        while ((v = managed(w->f, names[i], 1)) != NULL && v->state != SL_STATE_END)
            sl_cond_wait(&m->changed, &m->lock);
    }
    pthread_mutex_unlock(&m->lock);
}

/* m is taken out of the configuration, and stays until what is returned here has been released. */
static inline const sl_version *keep_from_going(world *w)
{
    sl_status st;
    const sl_version *v;
    const sl_model_spec wanted = latest("m");
    assert_int_equal(sl_manager_acquire(w->f->m, &wanted, &v, &st), SL_OK);
    assert_int_equal(sl_manager_configure(w->f->m, NULL, 0, &st), SL_OK);
    until(w->f, "m", 1, SL_STATE_UNLOADING);
    return v;
}

/* Version 3 of m is there, too, and requests are split among it and version 1 by x-user. */
static inline void split(world *w)
{
    static const sl_split_arm arms[] = {{{NULL, 1}, 1}, {{NULL, 3}, 1}};
    const sl_traffic_config t = {.arms = arms, .n_arms = 2, .sticky_header = "x-user"};
    make_version(w->f, "m", "3");
    serve(w, &(sl_model_config){.policy = SL_POLICY_ALL, .traffic = &t});
    until(w->f, "m", 3, SL_STATE_AVAILABLE);
}

/* Workers of `n` threads; without them everything happens on the loop. */
static inline void employ(world *w, int n)
{
    sl_status st = {0};
    sl_workers_options o = {.threads = n,
                            .max_queue = MOST_WAITING_JOBS,
                            .max_bytes = 1 << 20,
                            .max_wait_ns = UINT64_MAX / 2};
    assert_int_equal(sl_workers_new(&o, &w->service.workers, &st), SL_OK);
}

static inline void wait_for_leave(sl_job *job, sl_code verdict)
{
    world *w = *(world **)(job + 1);
    (void)verdict;
    pthread_mutex_lock(&w->lock);
    w->begun++;
    sl_cond_broadcast(&w->moved);
    while (w->occupied)
        sl_cond_wait(&w->moved, &w->lock);
    pthread_mutex_unlock(&w->lock);
    free(job);
}

/* The worker gets something to do until let_go, `n` times. */
static inline void hold_worker(world *w, int n)
{
    sl_status st;
    w->occupied = true;
    w->begun = 0;
    w->to_begin = n;
    for (int i = 0; i < n; i++) {
        sl_job *job = calloc(1, sizeof *job + sizeof w);
        *(world **)(job + 1) = w;
        job->run = wait_for_leave;
        assert_int_equal(sl_workers_submit(w->service.workers, job, &st), SL_OK);
        pthread_mutex_lock(&w->lock);
        while (w->begun == 0) /* the first one does not wait any more */
            sl_cond_wait(&w->moved, &w->lock);
        pthread_mutex_unlock(&w->lock);
    }
}

/* ... and its queue is full. */
static inline void occupy(world *w)
{
    hold_worker(w, MOST_WAITING_JOBS + 1);
}

static inline void let_go(world *w)
{
    pthread_mutex_lock(&w->lock);
    w->occupied = false;
    sl_cond_broadcast(&w->moved);
    while (w->begun < w->to_begin) /* until then the queue is not empty */
        sl_cond_wait(&w->moved, &w->lock);
    pthread_mutex_unlock(&w->lock);
}

static inline int tear_down(void **state)
{
    world *w = *state;
    void *f = w->f;
    sl_manager_stop_waiting(w->f->m); /* as the server does, before its workers go */
    sl_workers_free(w->service.workers);
    assert_int_equal(atomic_load(&w->grpc.running), 0); /* each call gave its place back */
    sl_grpc_fini(&w->grpc);
    sl_oip_fini(&w->oip);
    close_call(w);
    forget(&w->usual);
    sl_guard_free(w->guard);
    sl_arena_fini(&w->arena);
    pthread_mutex_destroy(&w->lock);
    free(w);
    return free_fixture(&f);
}

/* ---- what several interfaces do ---- */

/* Version 3 of m sees a copy of what version 1 answers. */
static inline void cast_a_shadow(world *w)
{
    sl_status st = {0};
    static const sl_split_arm arms[] = {{{NULL, 1}, 1}};
    const sl_traffic_config t = {
        .arms = arms, .n_arms = 1, .has_shadow = true, .shadow = {NULL, 3}, .shadow_percent = 100};
    make_version(w->f, "m", "3");
    serve(w, &(sl_model_config){.policy = SL_POLICY_ALL, .traffic = &t});
    until(w->f, "m", 3, SL_STATE_AVAILABLE);
    assert_int_equal(sl_shadows_new(&(sl_shadows_options){0}, &w->service.shadows, &st), SL_OK);
}

/* How many runs there were, when the copies have been run. */
static inline int runs_with_shadows(world *w)
{
    sl_arena_reset(&w->arena); /* of what was the call's, a copy has nothing but the body */
    sl_shadows_free(w->service.shadows);
    w->service.shadows = NULL;
    close_call(w);
    return atomic_load(&engine_does.runs);
}

typedef struct log_row {
    request q;
    const char *part; /* of its line */
} log_row;

/* The log is a file now; what is in it is read, and away. */
static inline int open_log(const world *w)
{
    char path[256];
    snprintf(path, sizeof path, "%s/log", w->f->dir);
    int fd = open(path, O_CREAT | O_RDWR, 0600);
    assert_true(fd >= 0);
    sl_log_prepare(&(sl_log_options){.level = SL_FATAL, .fd = fd});
    return fd;
}

static inline const char *read_log(int fd, char *text, size_t size)
{
    ssize_t n = pread(fd, text, size - 1, 0);
    assert_true(n >= 0 && ftruncate(fd, 0) == 0 && lseek(fd, 0, SEEK_SET) == 0);
    text[n] = '\0';
    return text;
}

static inline void close_log(int fd)
{
    sl_log_prepare(&(sl_log_options){.level = SL_FATAL, .fd = 2});
    close(fd);
}

/* Each request gets its line; every second one comes over TLS. */
static inline void logs(world *w, const log_row *rows, size_t n)
{
    static sl_tls_peer tls = {.version = "TLSv1.3", .subject = "CN=ann"};
    char text[8192];
    int fd = open_log(w);
    w->access.mode = SL_ACCESS_ALL;
    for (size_t i = 0; i < n; i++) {
        w->tls = i % 2 ? &tls : NULL;
        ask(w, &rows[i].q);
        if (strstr(read_log(fd, text, sizeof text), rows[i].part) == NULL ||
            (strstr(text, "tls=\"TLSv1.3\" tls_client=\"CN=ann\"") != NULL) != (i % 2))
            fail_msg("%s", text);
    }
    w->tls = NULL;
    close_log(fd);
}

/* A guard with these rules, and the tokens slt_ann, slt_bob, slt_eve of ann, bob, eve. */
static inline void guarded(world *w, const char *rules)
{
    char text[1024], path[256];
    sl_text wire = {0}, tokens = {0};
    sl_status st = {0};
    static const char *const names[] = {"ann", "bob", "eve"}, *const secrets[] = {
                                                                  "slt_ann", "slt_bob", "slt_eve"};
    for (int i = 0; i < 3; i++) {
        sl_token_line(names[i], secrets[i], 0, &tokens);
        sl_text_putc(&tokens, '\n');
    }
    snprintf(path, sizeof path, "%s/tokens", w->f->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(tokens.p, file);
    fclose(file);
    sl_text_fini(&tokens);
    snprintf(text, sizeof text, "token_file: \"tokens\" %s", rules);
    if (sl_textpb_parse(sl_str_of(text), &sluice__auth_config__descriptor, NULL, 0, &wire, &st))
        fail_msg("%s", st.msg);
    Sluice__AuthConfig *c = sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    sl_text_fini(&wire);
    if (w->guard == NULL)
        assert_int_equal(sl_guard_new(false, &w->guard, &st), SL_OK);
    if (sl_guard_configure(w->guard, c, w->f->dir, NULL, &st))
        fail_msg("%s", st.msg);
    sluice__auth_config__free_unpacked(c, NULL);
    w->rest.opt.guard = w->oip.opt.guard = w->grpc.opt.guard = w->guard;
}
#define ANN "authorization: Bearer slt_ann\n"
#define EVE "authorization: Bearer slt_eve\n"
#define STRANGER "authorization: Bearer slt_mallory\n"
#define BOB "authorization: Bearer slt_bob\n"

#define T(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

#endif
