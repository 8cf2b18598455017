/*
 * test_interfaces.c - what all interfaces promise alike of a request that runs a model
 *
 * Each scenario is written once, and is a test for each way in: REST, the Open Inference Protocol,
 * gRPC. What only one of them says is tested in its own folder.
 */
#include "unit/api/messages.h"

/* What is asked of a model. */
typedef enum question {
    INFER,
    LARGE, /* the same, with more than a loop decodes */
    WRONG, /* no such request */
    LARGE_WRONG,
    METADATA
} question;
enum { MANY = 5000 };

typedef struct way {
    /* Of the model %s; gRPC: its name is in the message. */
    const char *infer, *metadata;
    const char *headers;
    sl_text (*body)(question what, const char *model);
    bool rpc;
    int runs;                         /* of the engine, for one request */
    sl_code wrong;                    /* how a body that is no such request is called ... */
    const char *is_wrong;             /* ... and in which words */
    const char *inferred, *described; /* parts of a good answer */
    const char *names_version;        /* the same, with the version %d; or NULL: it does not */
    /* What counts against a limit besides the two, and what does not, or NULL. */
    const char *counted, *uncounted;
    int status; /* of the latter's answer */
} way;

static const way *way_of(const world *w)
{
    return w->own;
}

/* ---- asking, and being answered ---- */

typedef struct asked {
    request q;
    sl_text body;
    char target[80], headers[256];
} asked;

static void prepare(const way *y, question what, const char *model, const char *headers, asked *a)
{
    bool get = what == METADATA && !y->rpc;
    *a = (asked){.q = {.method = get ? SL_HTTP_GET : SL_HTTP_POST,
                       .target = a->target,
                       .headers = a->headers,
                       .version = y->rpc ? 20 : 11}};
    snprintf(a->target, sizeof a->target, what == METADATA ? y->metadata : y->infer, model);
    snprintf(a->headers, sizeof a->headers, "%s%s", y->headers, headers);
    if (!get)
        a->body = y->body(what, model);
    if (y->rpc)
        put_in_frame(&a->body, false);
    a->q.body = as_str(&a->body);
}

static void ask_with(world *w, question what, const char *model, const char *headers)
{
    asked a;
    prepare(way_of(w), what, model, headers, &a);
    ask(w, &a.q);
    sl_text_fini(&a.body);
}

static void ask_for(world *w, question what, const char *model)
{
    ask_with(w, what, model, "");
}

/* The client has left before it begins. */
static void ask_and_leave(world *w, question what, const char *model)
{
    asked a;
    prepare(way_of(w), what, model, "", &a);
    a.q.gone = true;
    ask(w, &a.q);
    sl_text_fini(&a.body);
}

/* It fails with that code, in the terms of the interface, and with these words. */
static void fails(world *w, sl_code code, const char *part)
{
    static const int statuses[] = {
        [SL_CANCELLED] = 499,  [SL_INVALID_ARGUMENT] = 400,   [SL_DEADLINE_EXCEEDED] = 504,
        [SL_NOT_FOUND] = 404,  [SL_RESOURCE_EXHAUSTED] = 429, [SL_INTERNAL] = 500,
        [SL_UNAVAILABLE] = 503};
    if (way_of(w)->rpc) {
        ends(w, code, part);
        return;
    }
    says(w, statuses[code], part);
    assert_string_equal(w->a.type, "application/json");
    assert_int_equal(has_header(w, "Retry-After: 1\r\n"), code == SL_UNAVAILABLE);
}

static void succeeds(world *w, const char *part)
{
    if (way_of(w)->rpc)
        ends(w, SL_OK, "");
    else
        says(w, 200, "");
    if (!body_has(w, part))
        fail_msg("%s", w->a.body);
}

static void infers(world *w)
{
    succeeds(w, way_of(w)->inferred);
}

static void describes(world *w)
{
    succeeds(w, way_of(w)->described);
}

/* ---- the ways in ---- */

static sl_text json_body(question what, const char *begin, const char *more, const char *end)
{
    sl_text t = {0};
    bool large = what == LARGE || what == LARGE_WRONG;
    sl_text_puts(&t, begin);
    for (int i = 1; large && i < MANY; i++)
        sl_text_puts(&t, more);
    sl_text_puts(&t, end);
    t.n -= what == WRONG || what == LARGE_WRONG;
    return t;
}

static sl_text rest_body(question what, const char *model)
{
    (void)model;
    return json_body(what, "{\"instances\":[1.5", ",1.5", "]}");
}

static sl_text oip_body(question what, const char *model)
{
    char begin[128];
    (void)model;
    snprintf(begin, sizeof begin,
             "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[%d],\"data\":[1.5",
             what == LARGE ? MANY : 1);
    return json_body(what, begin, ",1.5", "]}]}");
}

static int size_of(question what)
{
    return what == LARGE ? MANY : 1;
}

/* What no message of protobuf looks like. */
static sl_text rubbish(question what)
{
    sl_text t = {0};
    for (int i = 0; i < (what == WRONG ? 1 : MANY); i++)
        sl_text_putc(&t, '\xff');
    return t;
}

static sl_text predict_body(question what, const char *model)
{
    if (what == METADATA)
        return metadata_message((spec){.model = model});
    if (what == WRONG || what == LARGE_WRONG)
        return rubbish(what);
    return predict_message((spec){.model = model}, size_of(what));
}

static sl_text examples_body(question what, const char *model, const char *signature)
{
    if (what == INFER || what == LARGE)
        return examples_message((spec){.model = model, .signature = signature}, size_of(what));
    return predict_body(what, model);
}

static sl_text classify_body(question what, const char *model)
{
    return examples_body(what, model, "classify");
}

static sl_text regress_body(question what, const char *model)
{
    return examples_body(what, model, "regress");
}

static sl_text multi_body(question what, const char *model)
{
    return what == INFER || what == LARGE ? multi_message(model, size_of(what))
                                          : predict_body(what, model);
}

static sl_text infer_body(question what, const char *model)
{
    sl_text t = {0};
    if (what == WRONG || what == LARGE_WRONG)
        return rubbish(what);
    if (what != METADATA)
        return oip_message(model, "", size_of(what));
    put_string(&t, 1, model);
    return t;
}

#define PREDICTION "/tensorflow.serving.PredictionService/"
#define INFERENCE "/inference.GRPCInferenceService/"

static const way rest = {.infer = "/v1/models/%s:predict",
                         .metadata = "/v1/models/%s/metadata",
                         .headers = "",
                         .body = rest_body,
                         .runs = 1,
                         .wrong = SL_INVALID_ARGUMENT,
                         .is_wrong = "JSON",
                         .inferred = "\"predictions\": [1.5\n",
                         .described = "\"version\": \"1\"",
                         .uncounted = "/v1/models", /* means nothing */
                         .status = 400},
                 protobuf = {.infer = "/v1/models/%s:predict",
                             .metadata = "/v1/models/%s/metadata",
                             .headers = "content-type: application/x-protobuf\n",
                             .body = predict_body,
                             .runs = 1,
                             .wrong = SL_INVALID_ARGUMENT,
                             .is_wrong = "is not a PredictRequest",
                             .inferred = "serving_default",
                             .described = "\"version\": \"1\""},
                 oip = {.infer = "/v2/models/%s/infer",
                        .metadata = "/v2/models/%s",
                        .headers = "",
                        .body = oip_body,
                        .runs = 1,
                        .wrong = SL_INVALID_ARGUMENT,
                        .is_wrong = "error",
                        .inferred = "\"data\":[1.5]",
                        .described = "\"versions\":[\"1\"]",
                        .names_version = "\"model_version\":\"%d\"",
                        .counted = "/v2/models/m/ready",
                        .uncounted = "/v2", /* is about no model */
                        .status = 200};
#define RPC(path, of_model, to_body, n, says_inferred, says_described)                      \
    {                                                                                       \
        .infer = path, .metadata = of_model, .headers = TYPE, .body = to_body, .rpc = true, \
        .runs = n, .wrong = SL_INTERNAL, .is_wrong = "", .inferred = says_inferred,         \
        .described = says_described                                                         \
    }
static const way predict = RPC(PREDICTION "Predict", PREDICTION "GetModelMetadata", predict_body, 1,
                               "serving_default", "serving_default"),
                 classify = RPC(PREDICTION "Classify", PREDICTION "GetModelMetadata", classify_body,
                                1, "no", "serving_default"),
                 regress = RPC(PREDICTION "Regress", PREDICTION "GetModelMetadata", regress_body, 1,
                               "regress", "serving_default"),
                 multi = RPC(PREDICTION "MultiInference", PREDICTION "GetModelMetadata", multi_body,
                             2, "no", "serving_default"),
                 infer = RPC(INFERENCE "ModelInfer", INFERENCE "ModelMetadata", infer_body, 1,
                             "FP32", "FP32");

/* ---- the reply's head ---- */

static void an_answer_says_who_gave_it_and_to_which_request(void **state)
{
    world *w = *state;
    for (int i = 0; i < 2; i++) {
        ask_with(w, i ? METADATA : INFER, "m", "x-request-id: a-1\n");
        assert_true(has_header(w, "x-request-id: a-1\r\n"));
        assert_true(has_header(w, "x-sluice-version: 1\r\n"));
        ask_with(w, i ? METADATA : INFER, "m", "x-request-id: \x7f\n");
        assert_true(has_header(w, "x-request-id: "));
        assert_false(has_header(w, "\x7f"));
        assert_true(has_header(w, "x-sluice-version: 1\r\n"));
    }
}

static void what_the_model_does_wrong_is_the_answer(void **state)
{
    world *w = *state;
    static const sl_code refusals[] = {SL_INVALID_ARGUMENT, SL_RESOURCE_EXHAUSTED, SL_UNAVAILABLE,
                                       SL_DEADLINE_EXCEEDED, SL_INTERNAL};
    for (size_t i = 0; i < SL_COUNTOF(refusals); i++) {
        atomic_store(&engine_does.refusal, refusals[i]);
        ask_for(w, INFER, "m");
        fails(w, refusals[i], "the engine refuses");
        assert_true(has_header(w, "x-sluice-version: 1\r\n"));
    }
}

/* ---- where it happens ---- */

static void a_large_body_is_decoded_on_a_worker(void **state)
{
    world *w = *state;
    ask_for(w, LARGE, "m"); /* there is none: here, then */
    succeeds(w, "");
    employ(w, 1);
    ask_for(w, LARGE, "m");
    succeeds(w, "");
    ask_for(w, LARGE_WRONG, "m");
    fails(w, way_of(w)->wrong, way_of(w)->is_wrong);
    int runs = atomic_load(&engine_does.runs);
    ask_and_leave(w, LARGE, "m");
    fails(w, SL_CANCELLED, way_of(w)->rpc ? "the client left" : "waited too long");
    assert_int_equal(atomic_load(&engine_does.runs), runs);
}

/* Whatever its size: http/ has found that much may come out. */
static void a_packed_body_is_unpacked_where_it_is_decoded(void **state)
{
    world *w = *state;
    asked a;
    prepare(way_of(w), LARGE, "m", "", &a);
    pack(&a.body);
    a.q.body = as_str(&a.body);
    a.q.packed = true;
    for (int workers = 0; workers < 2; workers++) {
        if (workers)
            employ(w, 1);
        ask(w, &a.q);
        succeeds(w, "");
        a.q.body.n--;
        ask(w, &a.q);
        fails(w, SL_INVALID_ARGUMENT, "cannot be decompressed");
        a.q.body.n++;
        w->no_room = true;
        ask(w, &a.q);
        fails(w, SL_UNAVAILABLE, SL_HTTP_NO_ROOM);
        w->no_room = false;
    }
    occupy(w);
    ask(w, &a.q);
    fails(w, SL_UNAVAILABLE, "overloaded");
    let_go(w);
    sl_text_fini(&a.body);
}

static void a_model_that_is_not_cheap_runs_on_a_worker(void **state)
{
    world *w = *state;
    employ(w, 1);
    atomic_store(&engine_does.dear, true);
    ask_for(w, INFER, "m");
    infers(w);
    assert_int_equal(atomic_load(&w->spent), 1); /* that it was not the loop's http/ knows */
}

static void a_loop_that_has_done_enough_hands_over(void **state)
{
    world *w = *state;
    ask_for(w, INFER, "m");
    infers(w);
    assert_int_equal(atomic_load(&w->spent), 1); /* what it ran itself counts */
    w->spent_ns = UINT64_MAX;
    ask_for(w, INFER, "m"); /* there is no worker */
    infers(w);
    employ(w, 1);
    while (!sl_workers_idle(w->service.workers))
        sched_yield();
    ask_for(w, INFER, "m");
    infers(w);
    occupy(w);
    ask_for(w, INFER, "m"); /* nobody is idle: here, then */
    infers(w);
    let_go(w);
    assert_int_equal(atomic_load(&w->spent), 4);
}

static void when_the_queue_is_full_nothing_waits(void **state)
{
    world *w = *state;
    employ(w, 1);
    occupy(w);
    ask_for(w, LARGE, "m");
    fails(w, SL_UNAVAILABLE, "overloaded");
    atomic_store(&engine_does.dear, true);
    ask_for(w, INFER, "m");
    fails(w, SL_UNAVAILABLE, "overloaded");
    let_go(w);
}

/* ---- on demand ---- */

static void a_version_on_demand_is_loaded_by_its_first_request(void **state)
{
    world *w = *state;
    employ(w, 1);
    ask_for(w, INFER, "d");
    infers(w);
}

static void so_it_is_when_its_metadata_are_asked_for(void **state)
{
    world *w = *state;
    employ(w, 1);
    ask_for(w, METADATA, "d");
    describes(w);
}

static void a_request_that_is_wrong_is_refused_when_its_version_is_there(void **state)
{
    world *w = *state;
    ask_for(w, WRONG, "d");
    fails(w, way_of(w)->wrong, way_of(w)->is_wrong);
}

static void what_has_waited_for_a_version_needs_a_place_in_the_queue(void **state)
{
    world *w = *state;
    employ(w, 1);
    occupy(w);
    ask_for(w, INFER, "d");
    fails(w, SL_UNAVAILABLE, "overloaded");
    let_go(w);
}

static void so_do_metadata(void **state)
{
    world *w = *state;
    employ(w, 1);
    occupy(w);
    ask_for(w, METADATA, "d");
    fails(w, SL_UNAVAILABLE, "overloaded");
    let_go(w);
}

static void who_leaves_while_a_version_is_loaded_is_not_served(void **state)
{
    world *w = *state;
    employ(w, 1);
    ask_and_leave(w, INFER, "d");
    fails(w, SL_CANCELLED, "waited too long");
    assert_int_equal(atomic_load(&engine_does.runs), 0);
}

static void a_version_that_cannot_be_loaded_is_refused(void **state)
{
    world *w = *state;
    outcome(w->f, 1, SL_INTERNAL);
    ask_for(w, INFER, "d");
    fails(w, SL_UNAVAILABLE, "version 1 is broken");
    ask_for(w, METADATA, "d");
    fails(w, SL_UNAVAILABLE, "version 1 is broken");
}

/* ---- traffic ---- */

static void a_header_chooses_among_the_arms_of_a_split(void **state)
{
    world *w = *state;
    const char *version = way_of(w)->names_version;
    int counts[4] = {0};
    split(w);
    for (int i = 0; i < 64; i++) {
        char header[32], part[32] = "";
        snprintf(header, sizeof header, "x-user: %d\n", i / 2);
        ask_with(w, INFER, "m", header);
        infers(w);
        bool third = has_header(w, "x-sluice-version: 3\r\n");
        if (version != NULL)
            snprintf(part, sizeof part, version, third ? 3 : 1);
        assert_true(body_has(w, part));
        counts[i % 2 + 2 * third]++;
    }
    assert_int_equal(counts[0], counts[1]); /* the same value, the same version */
    assert_int_equal(counts[2], counts[3]);
    assert_true(counts[0] > 0 && counts[2] > 0);
    ask_for(w, INFER, "m");
    infers(w);
}

static void the_same_value_chooses_the_same_version_whichever_way_it_comes(void **state)
{
    world *w = *state;
    static const way *const ways[] = {&rest,     &protobuf, &oip,   &predict,
                                      &classify, &regress,  &multi, &infer};
    int thirds = 0;
    enum { VALUES = 16 };
    split(w);
    for (int i = 0; i < VALUES; i++) {
        char header[32];
        bool third = false;
        snprintf(header, sizeof header, "x-user: %d\n", i);
        for (size_t k = 0; k < SL_COUNTOF(ways); k++) {
            w->own = ways[k];
            ask_with(w, INFER, "m", header);
            infers(w);
            bool is = has_header(w, "x-sluice-version: 3\r\n");
            third = k ? third : is;
            assert_int_equal(is, third);
        }
        thirds += third;
    }
    assert_in_range(thirds, 1, VALUES - 1);
}

static void what_was_answered_is_copied_for_a_shadow(void **state)
{
    world *w = *state;
    cast_a_shadow(w);
    ask_for(w, METADATA, "m"); /* nothing is run */
    succeeds(w, "");
    ask_for(w, INFER, "m");
    infers(w);
    assert_int_equal(runs_with_shadows(w), 2 * way_of(w)->runs);
}

/* ---- the guard ---- */

static void is_asked_too_often(world *w)
{
    if (way_of(w)->rpc)
        ends(w, SL_RESOURCE_EXHAUSTED, "grpc-retry-pushback-ms: 3000\r\n");
    else
        says(w, 429, "");
    assert_int_equal(has_header(w, "Retry-After: 3\r\n"), !way_of(w)->rpc);
}

static void who_asks_too_often_is_told_when_to_come_back(void **state)
{
    world *w = *state;
    const way *y = way_of(w);
    sl_clock_fake(1000000000000u);
    guarded(w, "rule { principal: 'token:ann' allow: [PREDICT, METADATA, STATUS] }"
               "limit { requests_per_second: 0.5 burst: 1 }");
    ask_with(w, INFER, "m", ANN);
    infers(w);
    ask_with(w, INFER, "m", ANN);
    is_asked_too_often(w);
    ask_with(w, METADATA, "m", ANN);
    is_asked_too_often(w);
    if (y->counted != NULL) {
        ask(w, &(request){.method = SL_HTTP_GET, .target = y->counted, .headers = ANN});
        is_asked_too_often(w);
    }
    if (y->uncounted != NULL) {
        ask(w, &(request){.method = SL_HTTP_GET, .target = y->uncounted, .headers = ANN});
        says(w, y->status, "");
    }
}

/* ---- */

static int set_up_way(void **state)
{
    const way *y = *state;
    int rc = set_up(state);
    if (rc == 0)
        ((world *)*state)->own = y;
    return rc;
}

#define BY(test, name, y)                                                                          \
    {                                                                                              \
#test ", by " name, test, set_up_way, tear_down, (void *)&y /* it is the state at first */ \
    }
#define EACH(test)                                                                  \
    BY(test, "REST", rest), BY(test, "REST in protobuf", protobuf),                 \
        BY(test, "the Open Inference Protocol", oip), BY(test, "Predict", predict), \
        BY(test, "Classify", classify), BY(test, "Regress", regress),               \
        BY(test, "MultiInference", multi), BY(test, "ModelInfer", infer)

int main(void)
{
    const struct CMUnitTest tests[] = {
        EACH(an_answer_says_who_gave_it_and_to_which_request),
        EACH(what_the_model_does_wrong_is_the_answer),
        EACH(a_large_body_is_decoded_on_a_worker),
        BY(a_packed_body_is_unpacked_where_it_is_decoded, "REST", rest),
        BY(a_packed_body_is_unpacked_where_it_is_decoded, "REST in protobuf", protobuf),
        BY(a_packed_body_is_unpacked_where_it_is_decoded, "the Open Inference Protocol", oip),
        EACH(a_model_that_is_not_cheap_runs_on_a_worker),
        EACH(a_loop_that_has_done_enough_hands_over),
        EACH(when_the_queue_is_full_nothing_waits),
        EACH(a_version_on_demand_is_loaded_by_its_first_request),
        EACH(so_it_is_when_its_metadata_are_asked_for),
        EACH(a_request_that_is_wrong_is_refused_when_its_version_is_there),
        EACH(what_has_waited_for_a_version_needs_a_place_in_the_queue),
        EACH(so_do_metadata),
        EACH(who_leaves_while_a_version_is_loaded_is_not_served),
        EACH(a_version_that_cannot_be_loaded_is_refused),
        EACH(a_header_chooses_among_the_arms_of_a_split),
        T(the_same_value_chooses_the_same_version_whichever_way_it_comes),
        EACH(what_was_answered_is_copied_for_a_shadow),
        EACH(who_asks_too_often_is_told_when_to_come_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
