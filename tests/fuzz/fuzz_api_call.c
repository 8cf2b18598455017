/*
 * fuzz_api_call.c - a whole request, from its path to its reply, through handlers, service and engine
 *
 * The target is http/: what the handlers call of it is here, and behind them are a manager, workers
 * and the native engine with models of tests/models. The input is three bytes and a request,
 *
 *     byte 0   interface (0: REST and the Open Inference Protocol, 1: gRPC, 2: admin, 3: anything
 *              over HTTP/2), and how the server and its client are (see set_server)
 *     byte 1   the method, and more of that
 *     byte 2   into pieces of which size a stream is cut, and more of that
 *     TARGET \n NAME:VALUE \n ... \n BODY
 *
 * of which nothing comes to the handlers that http/ would not have let through. For gRPC the
 * content-type is added, and the body is put into a frame. Each request must get exactly one reply,
 * with a status that it may have and lines and a body in their form; then nothing of it is held any
 * more, and the models are what they were.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/admin/admin.h"
#include "api/api.h"
#include "api/grpc/call.h"
#include "api/oip/oip.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/native/native.h"
#include "format/json.h"
#include "format/textpb.h"
#include "http/gzip.h"
#include "http/head.h"
#include "http/timer.h"
#include "model/manager_internal.h"
#include "model/traffic.h"
#include "proto/auth_config.pb-c.h"
#include "savedmodel/savedmodel.h"

#include "faults.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    MAX_SIZE = 1 << 16,
    MAX_HEADERS = 16,
    PREFIX = 3,     /* bytes before the request */
    RESERVE = 4096, /* of a call's arena: as http/ has it */
    HERE_BYTES = 512,
    BUDGET = 1,    /* bytes of memory, as far as sessions count */
    MOST = 1 << 16 /* of anything that a request may become */
};

enum interface { OVER_HTTP1, GRPC, ADMIN, OVER_HTTP2 };

/* The last three are loaded on demand: d and e make room for each other, n cannot be loaded. The
 * others are there. */
static const struct {
    const char *name, *folder;
} models[] = {
    {"m", "half_plus_two"}, {"i", "identity"}, {"b", "image_bytes"},   {"h", "heads"},
    {"a", "multiply_add"},  {"l", "linear"},   {"v", "vocabulary_v1"}, {"c", "counter"},
    {"f", "defaults"},      {"d", "identity"}, {"e", "half_plus_two"}, {"n", "linear"},
};
enum { MODELS = SL_COUNTOF(models), ON_DEMAND = 3 };

static sl_engine engine; /* the native one, whose sessions count with what they have reserved */

static struct {
    sl_service service;
    sl_workers *workers;
    sl_guard *guard;
    sl_access_log access;
    sl_rest rest;
    sl_oip oip;
    sl_grpc grpc;
    sl_api api;
    sl_admin admin;
} server;

struct sl_http_timer {
    void (*fn)(sl_http_call *call); /* NULL: it does not run */
};

/* The request that is on its way. */
static struct {
    sl_http_call call;
    sl_http_header headers[MAX_HEADERS];
    sl_arena arena;
    sl_buffer body;
    sl_body unpacked;
    sl_http_timer *timer;
    pthread_t loop;
    bool busy;   /* the loop has run models for long */
    bool leaves; /* the client, as soon as it is sent something */
    char *text;  /* of the reply's body */
    size_t n;
    bool failed;          /* ... which memory did not suffice for */
    pthread_mutex_t lock; /* guards the rest */
    sl_cond changed;
    bool replied;
} now;

/* ---- http/, as far as it is called ---- */

const char *sl_http_reason(int status)
{
    (void)status;
    return "the reason";
}

static void take_body(sl_chain *c)
{
    now.text = realloc(now.text, now.n + c->size + 1);
    if (now.text == NULL)
        abort();
    sl_chain_copy(c, now.text + now.n);
    now.n += c->size;
    now.text[now.n] = '\0';
    now.failed |= c->failed;
    sl_chain_reset(c);
}

static bool is_replied(void)
{
    pthread_mutex_lock(&now.lock);
    bool yes = now.replied;
    pthread_mutex_unlock(&now.lock);
    return yes;
}

void sl_http_send(sl_http_call *call)
{
    if (is_replied() || call->version < 20 || !pthread_equal(now.loop, pthread_self()))
        abort();
    take_body(&call->reply);
    if (now.leaves && call->on_cancel != NULL) {
        atomic_store(&call->cancelled, true);
        call->on_cancel(call);
    }
}

static void take_reply(sl_http_call *call)
{
    pthread_mutex_lock(&now.lock);
    if (call != &now.call || now.replied || (now.timer != NULL && now.timer->fn != NULL))
        abort();
    take_body(&call->reply);
    now.replied = true;
    sl_cond_signal(&now.changed);
    pthread_mutex_unlock(&now.lock);
}

void sl_http_reply(sl_http_call *call)
{
    if (!pthread_equal(now.loop, pthread_self()))
        abort();
    take_reply(call);
}

void sl_http_reply_posted(sl_http_call *call)
{
    take_reply(call);
}

bool sl_http_unpack(sl_http_call *call)
{
    if (!call->body_packed)
        return true;
    call->body_packed = false;
    sl_code rc = sl_gunzip(call->body, MOST, &now.unpacked);
    if (rc == SL_RESOURCE_EXHAUSTED)
        return false;
    call->body_undecodable = rc != SL_OK;
    call->body_buffer = now.unpacked.buffer;
    call->body = (sl_str){now.unpacked.n ? now.unpacked.buffer->data : NULL, now.unpacked.n};
    return true;
}

size_t sl_http_unsent(const sl_http_call *call)
{
    (void)call;
    return now.busy ? MOST : 0;
}

void sl_http_spend(sl_http_call *call, uint64_t ns)
{
    (void)call;
    (void)ns;
}

uint64_t sl_http_spent_ns(const sl_http_call *call)
{
    (void)call;
    return now.busy ? UINT64_MAX : 0;
}

sl_http_timer *sl_http_timer_new(sl_http_call *call)
{
    now.timer = sl_arena_try_alloc(call->arena, sizeof *now.timer);
    if (now.timer != NULL)
        now.timer->fn = NULL;
    return now.timer;
}

void sl_http_timer_start(sl_http_timer *t, uint64_t after_ns, void (*fn)(sl_http_call *call))
{
    (void)after_ns;
    t->fn = fn;
}

void sl_http_timer_stop(sl_http_timer *t)
{
    if (t != NULL)
        t->fn = NULL;
}

/* ---- the server ---- */

static sl_code load(void *arg, const sl_model_config *config, sl_version *v, sl_text *why,
                    sl_status *st)
{
    sl_saved_model *m;
    (void)arg;
    (void)why;
    if (strcmp(config->name, "n") == 0)
        return sl_fail(st, SL_NOT_FOUND, "it cannot be loaded");
    if (config->load == SL_LOAD_ON_DEMAND && sl_manager_reserve(v, BUDGET, st))
        return st->code;
    sl_code rc = sl_saved_model_open(v->path, NULL, 0, &m, st);
    if (rc)
        return rc;
    sl_signatures *signatures = sl_signatures_try_dup(sl_saved_model_signatures(m));
    rc = signatures == NULL ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory")
                            : engine.load(NULL, m, &(sl_load_options){0}, &v->session, st);
    sl_saved_model_close(m);
    v->engine = &engine;
    v->signatures = signatures;
    if (rc)
        sl_signatures_free(signatures);
    return rc;
}

static void unload(void *arg, sl_version *v)
{
    (void)arg;
    if (strcmp(v->model, "d") != 0 && strcmp(v->model, "e") != 0)
        abort(); /* nobody has asked for it */
    engine.close(v->session);
    sl_signatures_free((sl_signatures *)v->signatures);
}

/* What would change the models. */
static sl_code change(void *arg, sl_str model, bool to_load, sl_status *st)
{
    (void)arg;
    if (to_load && model.n > 0)
        return SL_OK;
    return sl_fail_in(&now.arena, st, SL_NOT_FOUND, "there is no model \"%.*s\"",
                      SL_STR_ARG(model));
}

static sl_code reload(void *arg, sl_str config, sl_text *report, sl_status *st)
{
    (void)arg;
    sl_text_printf(report, "{\"bytes\": %zu}", config.n);
    return config.n % 2 ? sl_fail(st, SL_INVALID_ARGUMENT, "an odd configuration") : SL_OK;
}

static sl_code current(void *arg, bool as_text, sl_text *out, sl_status *st)
{
    (void)arg;
    (void)st;
    sl_text_puts(out, as_text ? "# none" : "");
    return SL_OK;
}

static void start_models(void)
{
    static char paths[MODELS][sizeof SLUICE_SOURCE_DIR + 64];
    static const sl_label stable = {"stable", 1};
    static const sl_split_arm arms[] = {{{NULL, 1}, 1}, {{"stable", 0}, 1}};
    static const sl_traffic_config split = {.arms = arms, .n_arms = 2, .sticky_header = "x-user"};
    sl_manager_options o = {
        .load = load, .unload = unload, .poll_seconds = -1, .memory_budget = BUDGET};
    sl_model_config c[MODELS] = {0};
    sl_status st;
    for (size_t i = 0; i < MODELS; i++) {
        snprintf(paths[i], sizeof paths[i], SLUICE_SOURCE_DIR "/tests/models/%s", models[i].folder);
        c[i].name = models[i].name;
        c[i].base_path = paths[i];
    }
    c[0].labels = c[1].labels = &stable;
    c[0].n_labels = c[1].n_labels = 1;
    c[1].traffic = &split;
    for (size_t i = MODELS - ON_DEMAND; i < MODELS; i++)
        c[i].load = SL_LOAD_ON_DEMAND;
    if (sl_manager_new(&o, &server.service.manager, &st) ||
        sl_manager_configure(server.service.manager, c, MODELS, &st))
        abort();
    sl_manager_look(server.service.manager);
    if (sl_manager_wait(server.service.manager, 0, &st)) {
        fprintf(stderr, "%s\n", st.msg);
        abort();
    }
}

/* Clients with a certificate may do everything, others not much. */
static void start_guard(void)
{
    static const char text[] =
        "client_certificates: true trusted_proxy: '127.0.0.1'"
        "rule { principal: 'cert:ann' allow: PREDICT allow: METADATA allow: STATUS allow: METRICS "
        "       allow: ADMIN }"
        "rule { principal: 'anonymous' allow: PREDICT allow: METADATA model: 'm' }"
        "rule { principal: 'anonymous' allow: PREDICT model: 'i' version_label: 'stable' }"
        "limit { per: ALL concurrent: 1 }"; /* who does not leave is noticed by the next */
    sl_text wire = {0};
    sl_status st;
    if (sl_textpb_parse(sl_str_of(text), &sluice__auth_config__descriptor, NULL, 0, &wire, &st) ||
        sl_guard_new(false, &server.guard, &st))
        abort();
    Sluice__AuthConfig *c = sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    if (c == NULL || sl_guard_configure(server.guard, c, "/nonexistent", NULL, &st))
        abort();
    sluice__auth_config__free_unpacked(c, NULL);
    sl_text_fini(&wire);
}

static void start_handlers(void)
{
    sl_rest_options r = {.service = &server.service,
                         .here_round_ns = 1000,
                         .access = &server.access,
                         .oip = &server.oip};
    sl_json_limits_default(&r.json);
    sl_pb_limits_default(&r.pb);
    r.json.max_elements = r.pb.max_expanded_bytes = r.json.max_string_bytes = MOST;
    sl_rest_init(&server.rest, &r);
    sl_oip_options o = {.service = &server.service,
                        .max_depth = 100,
                        .here_round_ns = r.here_round_ns,
                        .access = r.access,
                        .started = &server.rest.started,
                        .draining = &server.rest.draining,
                        .change = change};
    sl_oip_init(&server.oip, &o);
    sl_grpc_options g = {.service = &server.service,
                         .pb = r.pb,
                         .frame = {.max_message = MOST, .max_decompressed = MOST},
                         .oip = &server.oip,
                         .max_calls = 1,
                         .here_round_ns = r.here_round_ns,
                         .access = r.access,
                         .started = &server.rest.started,
                         .draining = &server.rest.draining,
                         .reload = reload};
    sl_grpc_init(&server.grpc, &g);
    server.api = (sl_api){&server.rest, &server.grpc};
    sl_admin_options a = {.rest = &server.rest,
                          .workers = server.workers,
                          .reload_text = reload,
                          .reload_wire = reload,
                          .current = current};
    sl_admin_init(&server.admin, &a);
}

static void start(void)
{
    sl_status st;
    sl_workers_options w = {.threads = 1, .max_queue = 4, .max_wait_ns = UINT64_MAX / 2};
    sl_log_options quiet = {.level = SL_FATAL, .fd = open("/dev/null", O_WRONLY | O_CLOEXEC)};
    sl_log_prepare(&quiet);
    pthread_mutex_init(&now.lock, NULL);
    sl_cond_init(&now.changed);
    engine = sl_engine_native;
    engine.memory = NULL;
    start_models();
    sl_clock_fake(784111777000000000); /* from here on nothing takes time */
    if (sl_workers_new(&w, &server.workers, &st))
        abort();
    server.access.mode = SL_ACCESS_ALL;
    server.service.in_place_ns = 1000000;
    server.service.in_place_elements = 1000;
    server.service.max_elements = server.service.max_string_bytes = MOST;
    server.service.run_threads = 1;
    start_guard();
    start_handlers();
}

/* Nobody is being served. */
static void set_server(const uint8_t *in)
{
    size_t here = in[2] & 0x80 ? 1 : HERE_BYTES;
    bool other_words = in[2] & 0x40;
    sl_guard *guard = in[0] & 0x08 ? server.guard : NULL;
    server.service.workers = in[0] & 0x04 ? NULL : server.workers;
    server.service.check_method_name = in[2] & 0x20;
    server.access.json = in[2] & 0x10;
    server.rest.opt.guard = server.oip.opt.guard = server.grpc.opt.guard = guard;
    server.rest.opt.here_bytes = server.oip.opt.here_bytes = server.grpc.opt.here_bytes = here;
    server.rest.opt.cors = in[1] & 0x10;
    server.rest.opt.extra_routes = !other_words;
    server.rest.opt.metrics_path = other_words ? "/page" : NULL;
    server.rest.opt.as_content = server.grpc.opt.as_content = in[1] & 0x80;
    server.grpc.opt.encoding = in[1] & 0x80 ? SL_GRPC_GZIP : SL_GRPC_IDENTITY;
    server.grpc.opt.no_health = other_words;
    atomic_store(&server.rest.started, !(in[1] & 0x20));
    atomic_store(&server.rest.draining, in[1] & 0x40);
    atomic_store(&server.admin.open, !(in[1] & 0x20));
}

/* What was loaded at the start is available, and nothing is in anybody's hands. */
static void check_models(void)
{
    sl_manager *m = server.service.manager;
    size_t available = 0;
    pthread_mutex_lock(&m->lock);
    for (sl_served *s = m->models; s != NULL; s = s->next)
        for (sl_managed *v = s->versions; v != NULL; v = v->next) {
            available += v->state == SL_STATE_AVAILABLE && s->config->c.load != SL_LOAD_ON_DEMAND;
            if (v->serving != NULL && sl_serving_in_use(v->serving))
                abort();
        }
    pthread_mutex_unlock(&m->lock);
    if (available != MODELS - ON_DEMAND)
        abort();
}

/* ---- the request ---- */

static void body_is_gone(sl_buffer *b)
{
    free(b->data);
    b->data = NULL;
}

/* Ends where its memory does: what is read beyond it is seen. */
static void set_body(sl_str prefix, sl_str s)
{
    size_t n = prefix.n + s.n, room = (n + 63) / 64 * 64;
    if (n == 0 || now.call.body_undecodable)
        return;
    now.body = (sl_buffer){.refs = 1, .size = n, .destroy = body_is_gone};
    now.body.data = aligned_alloc(64, room);
    if (now.body.data == NULL)
        abort();
    char *at = (char *)now.body.data + room - n;
    memcpy(at, prefix.p, prefix.n);
    memcpy(at + prefix.n, s.p, s.n);
    now.call.body = (sl_str){at, n};
    now.call.body_buffer = &now.body;
}

static bool add_header(sl_str name, sl_str value)
{
    if (now.call.n_headers == MAX_HEADERS)
        return false;
    now.headers[now.call.n_headers++] = (sl_http_header){name, value};
    return true;
}

/* What http/ lets through: a token, and a trimmed value without control characters. */
static bool take_header(sl_str line)
{
    static const char token[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t name = 0;
    while (name < line.n && line.p[name] && strchr(token, line.p[name]) != NULL)
        name++;
    if (name == 0 || name == line.n || line.p[name] != ':')
        return false;
    sl_str value = {line.p + name + 1, line.n - name - 1};
    for (size_t i = 0; i < value.n; i++)
        if ((unsigned char)value.p[i] < 0x20 || value.p[i] == 0x7f)
            return false;
    if (value.n > 0 && (value.p[0] == ' ' || value.p[value.n - 1] == ' '))
        return false;
    return add_header((sl_str){line.p, name}, value);
}

static sl_str take_line(sl_str *text)
{
    const char *end = text->n ? memchr(text->p, '\n', text->n) : NULL;
    sl_str line = {text->p, end ? (size_t)(end - text->p) : text->n};
    size_t skip = line.n + (end != NULL);
    *text = (sl_str){text->p + skip, text->n - skip};
    return line;
}

static bool take_target(sl_str line)
{
    sl_head h = {0};
    if (line.n == 0 || sl_head_target(&h, line) < 0)
        return false;
    now.call.target = h.target;
    now.call.path = h.path;
    return true;
}

/* False: no request that would come to a handler. */
static bool read_request(const uint8_t *in, sl_str text)
{
    static const sl_tls_peer ann = {
        .version = "TLSv1.3", .subject = "CN=ann", .common_name = "ann"};
    enum interface to = in[0] & 3;
    sl_http_call *call = &now.call;
    sl_str line;
    memset(call, 0, sizeof *call);
    call->method = (in[1] & 7) % (SL_HTTP_PATCH + 1);
    call->version = to == GRPC || to == OVER_HTTP2 ? 20 : 11;
    call->headers = now.headers;
    call->peer = sl_str_of(in[0] & 0x20 ? "[2001:db8::7]:5" : "127.0.0.1:5");
    call->tls = in[0] & 0x10 ? &ann : NULL;
    call->arena = &now.arena;
    call->status = 200;
    call->started_ns = sl_now_ns();
    call->body_undecodable = in[1] & 0x08 && to != GRPC;
    if (to == GRPC)
        add_header(SL_STR("content-type"), SL_STR("application/grpc"));
    if (!take_target(take_line(&text)))
        return false;
    while ((line = take_line(&text)).n > 0)
        if (!take_header(line))
            return false;
    char frame[5] = {0, 0, 0, (char)(text.n >> 8), (char)text.n};
    set_body((sl_str){frame, to == GRPC ? sizeof frame : 0}, text);
    const sl_str *coding = sl_http_header_find(call, "content-encoding");
    call->body_packed = call->body.n > 0 && to != GRPC && coding && sl_str_is(*coding, "gzip");
    return true;
}

/* ---- its way ---- */

static void refuse(int status, const char *message)
{
    sl_http_call *call = &now.call;
    call->status = status;
    if (!sl_api_on_call_error(call, status, message, &server.api))
        sl_api_on_error(status, message, &call->reply, &call->content_type, &server.api);
    sl_api_on_refused(call, status, message, &server.api);
    sl_http_reply(call);
}

/* The body of a stream, in its pieces. */
static void send_pieces(sl_str body, size_t piece)
{
    sl_http_call *call = &now.call;
    for (size_t at = 0; !is_replied(); at += piece) {
        size_t n = SL_MIN(body.n - at, piece);
        bool end = at + n == body.n;
        call->on_data(call, (sl_str){body.p + at, n}, end);
        if (end)
            break;
    }
}

/* Who waits for something to happen is told a few times that nothing has; then the client goes. */
static void await_reply(void)
{
    sl_http_call *call = &now.call;
    for (int i = 0; now.timer != NULL && now.timer->fn != NULL; i++) {
        void (*fn)(sl_http_call *) = now.timer->fn;
        if (i < 2) {
            now.timer->fn = NULL;
            fn(call);
        } else {
            atomic_store(&call->cancelled, true);
            call->on_cancel(call);
        }
    }
    pthread_mutex_lock(&now.lock);
    while (!now.replied)
        sl_cond_wait(&now.changed, &now.lock);
    pthread_mutex_unlock(&now.lock);
}

static void serve(const uint8_t *in)
{
    sl_http_call *call = &now.call;
    const char *message = "";
    size_t piece = in[2] & 0x0f ? (size_t)1 << (in[2] & 0x0f) : MAX_SIZE;
    if ((in[0] & 3) == ADMIN) {
        sl_admin_on_call(call, &server.admin);
        return;
    }
    int status = sl_api_on_head(call, &message, &server.api);
    if (status) {
        refuse(status, message);
        return;
    }
    sl_str body = call->body.n ? call->body : (sl_str){"", 0};
    bool streams = call->version == 20 && call->on_data != NULL;
    if (streams) {
        call->body = (sl_str){0};
        call->body_buffer = NULL;
    }
    atomic_store(&call->cancelled, now.leaves);
    sl_api_on_call(call, &server.api);
    if (streams)
        send_pieces(body, piece);
}

/* ---- the reply ---- */

static bool is_known(int status)
{
    static const int known[] = {200, 400, 401, 403, 404, 405, 409,
                                415, 429, 499, 500, 501, 503, 504};
    for (size_t i = 0; i < SL_COUNTOF(known); i++)
        if (known[i] == status)
            return true;
    return false;
}

/* "Name: value\r\n", any number of times; the value of the line called `name`, or -1. */
static long check_lines(const sl_chain *c, const char *name)
{
    long value = -1;
    char *text = calloc(1, c->size + 1);
    if (text == NULL)
        abort();
    sl_chain_copy(c, text);
    if (strlen(text) != c->size)
        abort();
    for (char *line = text, *end; *line; line = end + 2) {
        size_t n = strcspn(line, ":\r\n\t ");
        end = strstr(line, "\r\n");
        if (n == 0 || line[n] != ':' || line[n + 1] != ' ' || end == NULL)
            abort();
        for (const char *p = line; p < end; p++)
            if ((unsigned char)*p < 0x20 || (unsigned char)*p == 0x7f)
                abort();
        if (n == strlen(name) && memcmp(line, name, n) == 0)
            value = strtol(line + n + 2, NULL, 10);
    }
    free(text);
    return value;
}

static void check_json(sl_str text)
{
    static sl_json j;
    sl_json_open(&j, text, SL_JSON_MAX_DEPTH);
    if (text.n > 0 && (!sl_json_skip(&j) || sl_json_peek(&j) != 0 || j.at != j.end))
        broken();
}

/* How many messages the body is. */
static int check_frames(sl_str body)
{
    int n = 0;
    for (size_t at = 0; at < body.n; n++) {
        const unsigned char *p = (const unsigned char *)body.p + at;
        if (body.n - at < 5 || p[0] > 1)
            abort();
        at += 5 + ((size_t)p[1] << 24 | (size_t)p[2] << 16 | (size_t)p[3] << 8 | p[4]);
        if (at > body.n)
            abort();
    }
    return n;
}

static void check_grpc(const sl_http_call *call, sl_str body)
{
    long status = check_lines(&call->trailers, "grpc-status");
    bool is = call->content_type != NULL && strcmp(call->content_type, "application/grpc") == 0;
    if ((status >= 0) != is || status > SL_UNAUTHENTICATED)
        abort();
    if (is && check_frames(body) == 0 && status == SL_OK && call->on_data == NULL)
        abort(); /* only a stream may be empty */
}

static void check_answer(const sl_http_call *call)
{
    sl_str body = {now.text, now.n};
    long json = check_lines(&call->head, "Inference-Header-Content-Length");
    if (!is_known(call->status) || (json >= 0 && (size_t)json > now.n))
        abort();
    check_grpc(call, body);
    if (json >= 0)
        check_json((sl_str){body.p, (size_t)json});
    else if (call->content_type != NULL && strcmp(call->content_type, "application/json") == 0)
        check_json(body);
    if (call->status == 500 || (call->status == 429 && strstr(now.text, "at once")))
        broken();
}

/* What could not be written whole, because there was no memory, becomes a 500 in http/. */
static void check_reply(void)
{
    sl_http_call *call = &now.call;
    if (now.failed || call->head.failed || call->trailers.failed)
        broken();
    else
        check_answer(call);
    sl_chain_reset(&call->head);
    sl_chain_reset(&call->trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (server.workers == NULL)
        start();
    if (size < PREFIX || size > MAX_SIZE)
        return 0;
    if (sl_arena_init(&now.arena, RESERVE)) {
        broken();
        return 0;
    }
    now.loop = pthread_self();
    now.busy = data[0] & 0x40;
    now.leaves = data[0] & 0x80;
    now.replied = now.failed = false;
    now.timer = NULL;
    now.n = 0;
    if (read_request(data, (sl_str){(const char *)data + PREFIX, size - PREFIX})) {
        set_server(data);
        serve(data);
        await_reply();
        sl_grpc_reloads_end(&server.grpc);
        check_reply();
    }
    sl_body_reset(&now.unpacked);
    if (now.body.data != NULL)
        sl_buffer_release(&now.body);
    if (now.body.data != NULL || atomic_load(&server.grpc.running) != 0)
        abort();
    sl_arena_fini(&now.arena);
    check_models();
    return 0;
}
