/*
 * test_grpc.c - gRPC calls, from their head to the trailers
 *
 * What the messages say is tested opposite codec/, and in tests/api with real clients; here it is
 * that each call ends in the status that it should, whatever fails, and where it runs. What other
 * interfaces promise, too, is in test_interfaces.c.
 */
#include "api/grpc/call.h"
#include "unit/api/messages.h"

#define PREDICTION "/tensorflow.serving.PredictionService/"
#define MODELS "/tensorflow.serving.ModelService/"
#define INFERENCE "/inference.GRPCInferenceService/"
#define HEALTH "/grpc.health.v1.Health/Check"

typedef enum shape {
    EMPTY,
    RUBBISH,
    PREDICT,
    EXAMPLES,
    MULTI,
    METADATA, /* ModelSpec, and which metadata */
    STATUS,
    RELOAD,
    NAME,    /* a string in field 1 */
    NUMBER,  /* a number in it, and a string in field 2 */
    INFER,   /* ModelInfer; spec.label is the version's text */
    VERSION, /* name and text of a version */
    READY,   /* RepositoryIndex */
    CHANGE   /* RepositoryModelLoad, RepositoryModelUnload */
} shape;

typedef struct call_row {
    const char *path;
    shape shape;
    spec spec;
    int n; /* of examples */
    int code;
    const char *part; /* of the message, or of the answer if the code is OK */
} call_row;

static const call_row rows[] = {
    {PREDICTION "Predict", PREDICT, {.model = "m"}, 1, 0, "serving_default"},
    {PREDICTION "Predict", PREDICT, {.model = "d"}, 1, 0, "serving_default"},
    {PREDICTION "Predict", PREDICT, {.model = "m", .label = "stable"}, 1, 0, "serving_default"},
    {PREDICTION "Predict", PREDICT, {.model = "m", .version = 2}, 1, 5, "Servable not found"},
    {PREDICTION "Predict", PREDICT, {.model = "none"}, 1, 5, "Servable not found"},
    {PREDICTION "Predict", PREDICT, {.model = "m", .signature = "no"}, 1, 9, "\"no\" not found"},
    {PREDICTION "Predict", PREDICT, {NULL}, 1, 3, "no name"},
    {PREDICTION "Predict", RUBBISH, {NULL}, 0, 13, ""},
    {PREDICTION "Classify", EXAMPLES, {.model = "m", .signature = "classify"}, 2, 0, "yes"},
    {PREDICTION "Classify", EXAMPLES, {.model = "none"}, 1, 5, "Servable not found"},
    {PREDICTION "Classify", RUBBISH, {NULL}, 0, 13, ""},
    {PREDICTION "Regress", EXAMPLES, {.model = "m", .signature = "regress"}, 1, 0, "regress"},
    {PREDICTION "Regress", EXAMPLES, {.model = "m", .signature = "regress"}, 0, 3, "is empty"},
    {PREDICTION "MultiInference", MULTI, {.model = "m"}, 1, 0, "yes"},
    {PREDICTION "MultiInference", MULTI, {.model = "d"}, 1, 0, "yes"},
    {PREDICTION "MultiInference", MULTI, {.model = "m"}, 0, 3, "is empty"},
    {PREDICTION "MultiInference", MULTI, {.model = "none"}, 1, 5, "Servable not found"},
    {PREDICTION "MultiInference", RUBBISH, {NULL}, 0, 13, ""},
    {PREDICTION "GetModelMetadata", METADATA, {.model = "m"}, 0, 0, "serving_default"},
    {PREDICTION "GetModelMetadata", METADATA, {.model = "d"}, 0, 0, "serving_default"},
    {PREDICTION "GetModelMetadata", METADATA, {.model = "none"}, 0, 5, "Servable not found"},
    {PREDICTION "GetModelMetadata", RUBBISH, {NULL}, 0, 13, ""},
    {MODELS "GetModelStatus", STATUS, {.model = "m"}, 0, 0, "version 2 is broken"},
    {MODELS "GetModelStatus", STATUS, {.model = "none"}, 0, 5, "Could not find any versions"},
    {MODELS "GetModelStatus", RUBBISH, {NULL}, 0, 13, ""},
    {MODELS "HandleReloadConfigRequest", RELOAD, {NULL}, 0, 0, "/tensorflow/serving"},
    {MODELS "HandleReloadConfigRequest", RUBBISH, {NULL}, 0, 13, ""},
    {HEALTH, NAME, {.model = ""}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "PredictionService"}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "tensorflow.serving.PredictionService"}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "ModelService"}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "grpc.health.v1.Health"}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "m"}, 0, 0, "\x08\1"},
    {HEALTH, NAME, {.model = "none"}, 0, 5, "service name unknown"},
    {HEALTH, NUMBER, {NULL}, 0, 0, "\x08\1"},
    {HEALTH, RUBBISH, {NULL}, 0, 13, ""},
    {INFERENCE "ModelInfer", INFER, {.model = "m", .label = ""}, 1, 0, "FP32"},
    {INFERENCE "ModelInfer", INFER, {.model = "d", .label = "1"}, 1, 0, "FP32"},
    {INFERENCE "ModelInfer", INFER, {.model = "m", .label = "one"}, 1, 3, "is no version"},
    {INFERENCE "ModelInfer", INFER, {.model = "none", .label = ""}, 1, 5, "Servable not found"},
    {INFERENCE "ModelInfer", RUBBISH, {NULL}, 0, 13, ""},
    {INFERENCE "ServerLive", EMPTY, {NULL}, 0, 0, "\x08\1"},
    {INFERENCE "ServerReady", EMPTY, {NULL}, 0, 0, "\x08\1"},
    {INFERENCE "ServerMetadata", EMPTY, {NULL}, 0, 0, "sluice"},
    {INFERENCE "ModelReady", VERSION, {.model = "m", .label = ""}, 0, 0, "\x08\1"},
    {INFERENCE "ModelReady", VERSION, {.model = "none", .label = ""}, 0, 0, ""},
    {INFERENCE "ModelReady", VERSION, {.model = "m", .label = "one"}, 0, 3, "is no version"},
    {INFERENCE "ModelReady", RUBBISH, {NULL}, 0, 13, ""},
    {INFERENCE "ModelMetadata", VERSION, {.model = "m", .label = "1"}, 0, 0, "FP32"},
    {INFERENCE "ModelMetadata", VERSION, {.model = "d", .label = ""}, 0, 0, "FP32"},
    {INFERENCE "ModelMetadata", VERSION, {.model = "m", .label = "2"}, 0, 5, "Servable not found"},
    {INFERENCE "ModelMetadata", RUBBISH, {NULL}, 0, 13, ""},
    {INFERENCE "RepositoryIndex", READY, {NULL}, 0, 0, "READY"},
    {INFERENCE "RepositoryIndex", EMPTY, {NULL}, 0, 0, "version 2 is broken"},
    {INFERENCE "RepositoryIndex", RUBBISH, {NULL}, 0, 13, ""},
    {INFERENCE "RepositoryModelLoad", CHANGE, {.model = "m"}, 0, 0, ""},
    {INFERENCE "RepositoryModelUnload", CHANGE, {.model = "m"}, 0, 0, ""},
    {INFERENCE "RepositoryModelUnload", RUBBISH, {NULL}, 0, 13, ""},
    {PREDICTION "Nothing", EMPTY, {NULL}, 0, 12, ""},
};

static sl_text message_of(const call_row *r)
{
    sl_text t = {0}, inner = {0};
    switch (r->shape) {
    case EMPTY:
        break;
    case RUBBISH:
        sl_text_puts(&t, "\xff");
        break;
    case PREDICT:
        return predict_message(r->spec, r->n);
    case EXAMPLES:
        return examples_message(r->spec, r->n);
    case MULTI:
        return multi_message(r->spec.model, r->n);
    case METADATA:
        return metadata_message(r->spec);
    case STATUS:
        put_spec(&t, 1, r->spec);
        break;
    case RELOAD:
        put_string(&inner, 1, "");
        put_inside(&t, 1, &inner);
        put_string(&t, 2, "/tensorflow/serving/request_count");
        put_string(&t, 2, "none");
        break;
    case INFER:
        return oip_message(r->spec.model, r->spec.label, r->n);
    case VERSION:
        put_string(&t, 2, r->spec.label); /* fall through */
    case NAME:
        put_string(&t, 1, r->spec.model);
        break;
    case NUMBER:
        sl_wire_put_varint(&t, 1, 1);
        put_string(&t, 2, "none");
        break;
    case READY:
        sl_wire_put_varint(&t, 2, 1);
        break;
    case CHANGE:
        put_string(&t, 2, r->spec.model);
        break;
    }
    return t;
}

static const call_row *row_of(const char *path, const char *model)
{
    for (size_t i = 0; i < SL_COUNTOF(rows); i++)
        if (strcmp(rows[i].path, path) == 0 && rows[i].code == 0 &&
            (model == NULL || strcmp(rows[i].spec.model, model) == 0))
            return &rows[i];
    fail_msg("%s", path);
    return NULL;
}

/* Sends the row's message with these headers. */
static void call(world *w, const call_row *r, const char *headers)
{
    sl_text t = message_of(r);
    put_in_frame(&t, false);
    const request q = rpc(r->path, headers, &t);
    ask(w, &q);
    sl_text_fini(&t);
}

static void every_call_gets_its_answer(void **state)
{
    world *w = *state;
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        const call_row *r = &rows[i];
        call(w, r, TYPE);
        ends(w, r->code, r->code ? r->part : "");
        assert_int_equal(w->a.status, 200);
        assert_string_equal(w->a.type, "application/grpc");
        if (r->code) {
            assert_int_equal(w->a.n, 0);
            continue;
        }
        const unsigned char *p = (const unsigned char *)w->a.body;
        assert_true(w->a.n >= 5 && p[0] == 0);
        assert_int_equal(p[1] << 24 | p[2] << 16 | p[3] << 8 | p[4], w->a.n - 5);
        if (!body_has(w, r->part))
            fail_msg("%s, %s", r->path, r->spec.model);
    }
}

static void what_is_about_no_model_names_no_version(void **state)
{
    world *w = *state;
    call(w, row_of(HEALTH, NULL), TYPE "x-request-id: \x7f\n");
    assert_true(has_header(w, "x-request-id: "));
    assert_false(has_header(w, "\x7f"));
    assert_false(has_header(w, "x-sluice-version"));
}

/* ---- the head ---- */

static void what_is_not_spoken_is_refused_in_the_words_of_http(void **state)
{
    world *w = *state;
    static const struct {
        sl_http_method method;
        const char *path, *headers;
        int status; /* 0: gRPC's status 12, there is no such method; 1: it is answered */
    } heads[] = {
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc\n", 1},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc+proto\n", 1},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc+proto;a=b\n", 1},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc;a=b\n", 1},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc ;a=b\n", 1},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc+json\n", 415},
        {SL_HTTP_POST, HEALTH, "content-type: application/grpc-web\n", 415},
        {SL_HTTP_POST, HEALTH, "content-type: application/json\n", 415},
        {SL_HTTP_POST, HEALTH, NULL, 415},
        {SL_HTTP_GET, HEALTH, TYPE, 405},
        {SL_HTTP_PUT, HEALTH, TYPE, 405},
        {SL_HTTP_POST, "/a.B/C", TYPE, 0},
    };
    for (size_t i = 0; i < SL_COUNTOF(heads); i++) {
        ask(w, &(request){.method = heads[i].method,
                          .target = heads[i].path,
                          .headers = heads[i].headers,
                          .body = SL_STR("\0\0\0\0\0"),
                          .version = 20});
        assert_int_equal(w->a.status, heads[i].status > 1 ? heads[i].status : 200);
        assert_int_equal(has_header(w, "Allow: POST\r\n"), heads[i].status == 405);
        if (heads[i].status > 1)
            assert_string_equal(w->a.trailers, "");
        else
            ends(w, heads[i].status ? 0 : 12, "");
        assert_true(heads[i].status == 1 || w->a.n == 0);
    }
    ask(w, &(request)Q(POST, HEALTH, TYPE, "")); /* only HTTP/2 is gRPC */
    says(w, 404, "");
    ask(w, &(request){.method = SL_HTTP_GET, .target = "/v1/models/m", .version = 20});
    says(w, 200, "AVAILABLE");
}

static void services_can_be_hidden(void **state)
{
    world *w = *state;
    w->grpc.opt.no_health = true;
    w->grpc.opt.oip = NULL;
    call(w, row_of(HEALTH, NULL), TYPE);
    ends(w, 12, "");
    call(w, row_of(INFERENCE "ServerLive", NULL), TYPE);
    ends(w, 12, "");
    call(w, row_of(PREDICTION "Predict", NULL), TYPE);
    ends(w, 0, "");
}

static void a_deadline_that_is_over_ends_the_call(void **state)
{
    world *w = *state;
    const call_row *r = row_of(PREDICTION "Predict", NULL);
    static const struct {
        const char *headers;
        int code;
    } timeouts[] = {{TYPE "grpc-timeout: 1x\n", 13},
                    {TYPE "grpc-timeout: 0S\n", 4},
                    {TYPE "grpc-timeout: 1S\n", 0}};
    for (size_t i = 0; i < SL_COUNTOF(timeouts); i++) {
        call(w, r, timeouts[i].headers);
        ends(w, timeouts[i].code, "");
    }
    sl_clock_fake(1000000000);
    sl_text t = message_of(r);
    put_in_frame(&t, false);
    request q = rpc(r->path, TYPE "grpc-timeout: 1S\n", &t);
    q.takes_s = 2;
    ask(w, &q);
    ends(w, 4, "Deadline Exceeded");
    sl_text_fini(&t);
}

static void a_server_that_starts_serves_no_models(void **state)
{
    world *w = *state;
    atomic_store(&w->rest.started, false);
    static const char *const need[] = {PREDICTION "Predict",          PREDICTION "MultiInference",
                                       PREDICTION "GetModelMetadata", INFERENCE "ModelInfer",
                                       INFERENCE "ModelMetadata",     INFERENCE "RepositoryIndex",
                                       MODELS "GetModelStatus",       INFERENCE "ServerMetadata"};
    for (size_t i = 0; i < SL_COUNTOF(need); i++) {
        call(w, row_of(need[i], NULL), TYPE);
        ends(w, 14, "server is starting");
    }
    call(w, row_of(INFERENCE "ServerReady", NULL), TYPE);
    ends(w, 0, "");
    assert_int_equal(w->a.n, 5); /* false */
    call(w, row_of(HEALTH, ""), TYPE);
    assert_true(body_has(w, "\x08\2"));
    atomic_store(&w->rest.started, true);
    atomic_store(&w->rest.draining, true);
    static const char *const names[] = {"", "ModelService", "m"};
    for (int i = 0; i < 3; i++) {
        call(w, row_of(HEALTH, names[i]), TYPE);
        assert_true(body_has(w, "\x08\2"));
    }
    call(w, row_of(INFERENCE "ServerReady", NULL), TYPE);
    assert_int_equal(w->a.n, 5);
}

static void health_is_that_of_the_models(void **state)
{
    world *w = *state;
    sl_status st;
    const call_row e = {HEALTH, NAME, {.model = "e"}, 0, 0, ""};
    clear(w);
    call(w, row_of(HEALTH, ""), TYPE); /* no models at all: nothing is missing */
    assert_true(body_has(w, "\x08\1"));
    sl_model_config c = {.name = "e", .base_path = "/nowhere"};
    assert_int_equal(sl_manager_configure(w->f->m, &c, 1, &st), SL_OK);
    call(w, &e, TYPE);
    assert_true(body_has(w, "\x08\2"));
    call(w, row_of(HEALTH, ""), TYPE);
    assert_true(body_has(w, "\x08\2"));
}

/* ---- the message ---- */

static void a_body_that_is_no_message_is_refused(void **state)
{
    world *w = *state;
    static const struct {
        sl_str body;
        const char *headers;
        int code;
        const char *part;
    } bodies[] = {
        {SL_STR(""), TYPE, 13, "no message"},
        {SL_STR("\0\0\0\0\1"), TYPE, 13, "cut off"},
        {SL_STR("\1\0\0\0\0"), TYPE, 13, "no grpc-encoding"},
        {SL_STR("\1\0\0\0\1a"), TYPE "grpc-encoding: gzip\n", 8, "damaged"},
        {SL_STR("\0\0\0\0\0"), TYPE "grpc-encoding: br\n", 12, "\"br\" is not supported"},
        {SL_STR("\0\0\0\0\0"), TYPE "grpc-encoding: gzip\n", 0, ""},
        {SL_STR("\1\0\0\0\x14\x1f\x8b\x08\0\0\0\0\0\0\3\3\0\0\0\0\0\0\0\0\0"), /* nothing, packed */
         TYPE "grpc-encoding: gzip\n", 0, ""},
    };
    for (size_t i = 0; i < SL_COUNTOF(bodies); i++) {
        ask(w, &(request){.method = SL_HTTP_POST,
                          .target = HEALTH,
                          .headers = bodies[i].headers,
                          .body = bodies[i].body,
                          .version = 20});
        ends(w, bodies[i].code, bodies[i].part);
    }
}

/* A call whose message is packed, with `n` numbers. */
static request packed_call(sl_text *t, int n)
{
    *t = predict_message((spec){.model = "m"}, n);
    put_in_frame(t, true);
    return rpc(PREDICTION "Predict",
               TYPE "grpc-encoding: gzip\ngrpc-accept-encoding: deflate, gzip\n", t);
}

static void messages_can_be_packed_both_ways(void **state)
{
    world *w = *state;
    sl_text t;
    request q = packed_call(&t, 100);
    ask(w, &q);
    ends(w, 0, "");
    assert_false(has_header(w, "grpc-encoding:"));
    assert_int_equal(w->a.body[0], 0);
    w->grpc.opt.encoding = SL_GRPC_GZIP;
    ask(w, &q);
    ends(w, 0, "");
    assert_true(has_header(w, "grpc-encoding: gzip\r\n"));
    assert_int_equal(w->a.body[0], 1);
    q.headers = TYPE "x-request-id: one\ngrpc-encoding: gzip\ngrpc-accept-encoding: gzip\n";
    survives_without_memory(w, &q, true);
    call(w, row_of(PREDICTION "Predict", NULL), TYPE "grpc-accept-encoding: deflate\n");
    assert_false(has_header(w, "grpc-encoding:"));
    call(w, row_of(PREDICTION "Predict", NULL), TYPE);
    assert_false(has_header(w, "grpc-encoding:"));
    sl_text_fini(&t);
}

/* ---- where it runs ---- */

/* What is packed may become large: of that, little is unpacked on a loop. */
static void a_packed_message_is_unpacked_on_a_worker(void **state)
{
    world *w = *state;
    sl_text t;
    request q = packed_call(&t, 100000);
    employ(w, 1);
    assert_true(q.body.n > 1024 && q.body.n < 4096);
    ask(w, &q);
    ends(w, 0, "");
    char rubbish[5 + 1025] = "\1\0\0\4\1";
    q.body = (sl_str){rubbish, sizeof rubbish};
    ask(w, &q);
    ends(w, 8, "damaged");
    sl_text_fini(&t);
}

static void one_that_waits_beyond_its_deadline_is_not_started(void **state)
{
    world *w = *state;
    sl_text t = predict_message((spec){.model = "m"}, 2000);
    put_in_frame(&t, false);
    request q = rpc(PREDICTION "Predict", TYPE "grpc-timeout: 1S\n", &t);
    q.later = true;
    sl_clock_fake(1000000000);
    employ(w, 1);
    hold_worker(w, 1);
    ask(w, &q);
    sl_clock_fake(3000000000);
    let_go(w);
    await_reply(w);
    ends(w, 4, "Deadline Exceeded");
    assert_int_equal(atomic_load(&engine_does.runs), 0);
    sl_text_fini(&t);
}

static void what_runs_no_model_is_answered_by_a_loop_that_has_done_enough(void **state)
{
    world *w = *state;
    w->spent_ns = UINT64_MAX;
    employ(w, 1);
    while (!sl_workers_idle(w->service.workers))
        sched_yield();
    call(w, row_of(HEALTH, ""), TYPE);
    ends(w, 0, "");
}

static void only_so_many_calls_run_at_once(void **state)
{
    world *w = *state;
    w->grpc.opt.max_calls = 1;
    call(w, row_of(PREDICTION "Predict", NULL), TYPE);
    ends(w, 0, "");
    assert_int_equal(atomic_load(&w->grpc.running), 0);
    atomic_store(&w->grpc.running, 1);
    call(w, row_of(PREDICTION "Predict", NULL), TYPE);
    ends(w, 8, "Server Threadpool Exhausted");
    call(w, row_of(HEALTH, ""), TYPE);
    ends(w, 0, "");
    assert_int_equal(atomic_load(&w->grpc.running), 1);
    atomic_store(&w->grpc.running, 0);
    w->grpc.opt.max_calls = 0; /* any number */
    call(w, row_of(PREDICTION "Predict", NULL), TYPE);
    ends(w, 0, "");
}

static void outputs_that_no_answer_can_have_are_the_status(void **state)
{
    world *w = *state;
    static const char *const paths[] = {PREDICTION "Predict", PREDICTION "Classify",
                                        PREDICTION "Regress", PREDICTION "MultiInference",
                                        INFERENCE "ModelInfer"};
    atomic_store(&engine_does.spoilt, true);
    for (size_t i = 0; i < SL_COUNTOF(paths); i++) {
        bool any_shape = i == 0 || i == 4;
        call(w, row_of(paths[i], "m"), TYPE);
        ends(w, any_shape ? 0 : 3, any_shape ? "" : "Expected");
    }
}

/* ---- on demand ---- */

/* A method that unwinds only when its wait has ended. */
static int begun, ended;

static void begin_slowly(sl_grpc_call *c, sl_where where)
{
    static sl_predict p;
    const sl_model_spec wanted = latest("d");
    begun++;
    if (!c->looked)
        sl_predict_init(&p, c->grpc->opt.service, c->http->arena, &c->st);
    bool waits = sl_grpc_await(c, &p, &wanted);
    while (waits && atomic_load(&c->turn) == 0)
        sched_yield();
    if (sl_grpc_unwound(c, where))
        return;
    sl_predict_fini(&p);
    sl_grpc_finish(c, SL_OK);
    ended++;
}

static void whoever_comes_second_goes_on(void **state)
{
    world *w = *state;
    static const sl_grpc_method slow = {.path = "/slow", .begin = begin_slowly};
    const request q = {.method = SL_HTTP_POST, .target = "/slow", .version = 20};
    open_call(w, &q);
    sl_grpc_call c = {.grpc = &w->grpc, .http = &w->call, .method = &slow, .loop = w->loop};
    begun = ended = 0;
    begin_slowly(&c, SL_RUN_HERE);
    assert_int_equal(begun, 2);
    assert_int_equal(ended, 1);
    ends(w, 0, "");
}

/* ---- the log ---- */

static void a_line_is_logged_for_each_call_that_is_wanted(void **state)
{
    world *w = *state;
    sl_text predict = message_of(row_of(PREDICTION "Predict", "m")),
            load = message_of(row_of(INFERENCE "RepositoryModelLoad", "m"));
    put_in_frame(&predict, false);
    put_in_frame(&load, false);
    const log_row lines[] = {
        {rpc(PREDICTION "Predict", TYPE, &predict),
         "model=\"m\" version=1 signature=\"\" status=200 grpc_status=\"OK\""},
        {rpc("/a.B/C", TYPE, &(sl_text){0}), "grpc_status=\"UNIMPLEMENTED\""},
        {rpc(INFERENCE "RepositoryModelLoad", TYPE, &load),
         "model=\"m\" signature=\"\" status=200 grpc_status=\"OK\""},
    };
    logs(w, lines, SL_COUNTOF(lines));
    w->access.mode = SL_ACCESS_ERRORS;
    ask(w, &lines[0].q);
    w->grpc.opt.access = NULL;
    ask(w, &lines[1].q);
    sl_text_fini(&load);
    sl_text_fini(&predict);
}

/* ---- the guard ---- */

static void who_may_not_is_told_so(void **state)
{
    world *w = *state;
    static const struct {
        const char *path, *model, *headers;
        int code;
    } asked[] = {
        {PREDICTION "Predict", "m", TYPE, 16},
        {PREDICTION "Predict", "m", TYPE STRANGER, 16},
        {PREDICTION "Predict", "m", TYPE BOB, 7},
        {PREDICTION "Predict", "m", TYPE ANN, 0},
        {PREDICTION "MultiInference", "m", TYPE BOB, 7},
        {PREDICTION "GetModelMetadata", "m", TYPE ANN, 7},
        {PREDICTION "GetModelMetadata", "m", TYPE BOB, 0},
        {MODELS "GetModelStatus", "m", TYPE ANN, 7},
        {MODELS "GetModelStatus", "m", TYPE BOB, 0},
        {MODELS "HandleReloadConfigRequest", NULL, TYPE BOB, 7},
        {HEALTH, "", TYPE STRANGER, 0},
        {INFERENCE "ServerLive", NULL, TYPE, 0},
        {INFERENCE "ServerMetadata", NULL, TYPE, 16},
        {INFERENCE "ServerMetadata", NULL, TYPE ANN, 0},
        {INFERENCE "ModelReady", "m", TYPE ANN, 7},
        {INFERENCE "ModelReady", "m", TYPE BOB, 0},
        {INFERENCE "ModelMetadata", "m", TYPE ANN, 7},
        {INFERENCE "ModelInfer", "m", TYPE BOB, 7},
        {INFERENCE "RepositoryIndex", NULL, TYPE BOB, 0},
        {INFERENCE "RepositoryModelLoad", "m", TYPE BOB, 7},
        {MODELS "HandleReloadConfigRequest", NULL, TYPE EVE, 0},
        {INFERENCE "RepositoryModelLoad", "m", TYPE EVE, 0},
    };
    guarded(w, "limit { concurrent: 1 }" /* whoever is not let go keeps the next one out */
               "rule { principal: 'token:ann' allow: PREDICT }"
               "rule { principal: 'token:bob' allow: [METADATA, STATUS] }"
               "rule { principal: 'token:eve' allow: ADMIN }");
    for (size_t i = 0; i < SL_COUNTOF(asked); i++) {
        call(w, row_of(asked[i].path, asked[i].model), asked[i].headers);
        ends(w, asked[i].code, "");
    }
}

static void without_identities_everybody_is_judged_when_the_message_is_there(void **state)
{
    world *w = *state;
    sl_status st;
    assert_int_equal(sl_guard_new(false, &w->guard, &st), SL_OK);
    w->grpc.opt.guard = w->guard;
    call(w, row_of(PREDICTION "Predict", "m"), TYPE);
    ends(w, 0, "");
}

/* ---- changes ---- */

static sl_code refuse_change(void *arg, sl_str model, bool load, sl_status *st)
{
    (void)arg;
    return sl_fail(st, SL_NOT_FOUND, "%s %.*s", load ? "load" : "unload", SL_STR_ARG(model));
}

static void a_change_that_fails_is_the_status(void **state)
{
    world *w = *state;
    w->change = refuse_change;
    call(w, row_of(INFERENCE "RepositoryModelLoad", "m"), TYPE);
    ends(w, 5, "load m");
    call(w, row_of(INFERENCE "RepositoryModelUnload", "m"), TYPE);
    ends(w, 5, "unload m");
}

/* ---- errors of HTTP ---- */

static void an_error_of_http_is_a_status(void **state)
{
    world *w = *state;
    static const struct {
        int status, code;
        const char *message, *part;
    } errors[] = {
        {413, 8, NULL, "the reason"}, {408, 4, "", "the reason"}, {400, 13, "bad", "bad"}};
    for (size_t i = 0; i < SL_COUNTOF(errors); i++) {
        open_call(w, &(request){.method = SL_HTTP_POST, .target = HEALTH, .version = 20});
        assert_true(sl_api_on_call_error(&w->call, errors[i].status, errors[i].message, &w->api));
        reply(w);
        ends(w, errors[i].code, errors[i].part);
    }
    open_call(w, &(request)Q(GET, "/", NULL, ""));
    assert_false(sl_api_on_call_error(&w->call, 400, NULL, &w->api));
}

/* ---- without memory ---- */

static void every_answer_survives_without_memory(void **state)
{
    world *w = *state;
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        sl_text t = message_of(&rows[i]);
        put_in_frame(&t, false);
        const request q = rpc(rows[i].path, TYPE "x-request-id: one\n", &t);
        survives_without_memory(w, &q, false);
        sl_text_fini(&t);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_call_gets_its_answer),
        T(what_is_about_no_model_names_no_version),
        T(what_is_not_spoken_is_refused_in_the_words_of_http),
        T(services_can_be_hidden),
        T(a_deadline_that_is_over_ends_the_call),
        T(a_server_that_starts_serves_no_models),
        T(health_is_that_of_the_models),
        T(a_body_that_is_no_message_is_refused),
        T(messages_can_be_packed_both_ways),
        T(a_packed_message_is_unpacked_on_a_worker),
        T(one_that_waits_beyond_its_deadline_is_not_started),
        T(what_runs_no_model_is_answered_by_a_loop_that_has_done_enough),
        T(only_so_many_calls_run_at_once),
        T(outputs_that_no_answer_can_have_are_the_status),
        T(whoever_comes_second_goes_on),
        T(a_line_is_logged_for_each_call_that_is_wanted),
        T(who_may_not_is_told_so),
        T(without_identities_everybody_is_judged_when_the_message_is_there),
        T(a_change_that_fails_is_the_status),
        T(an_error_of_http_is_a_status),
        T(every_answer_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
