/*
 * test_rest.c - requests of the REST interface, from their head to the reply
 *
 * What the answers look like is tested opposite codec/, and in tests/api against TensorFlow
 * Serving's; here it is that each request ends in the answer that it should get, whatever fails.
 * What other interfaces promise, too, is in test_interfaces.c.
 */
#include "unit/api/messages.h"

#define ONE "{\"instances\":[1.5]}"
#define ROW(m) "{\"signature_name\":\"" m "\",\"examples\":[{\"x\":1}]}"
#define PROTOBUF "content-type: application/x-protobuf\n"

static const row rows[] = {
    /* status and metadata */
    {Q(GET, "/v1/models/m", NULL, ""), 200, "\"AVAILABLE\""},
    {Q(GET, "/v1/models/m/versions/2", NULL, ""), 200, "version 2 is broken"},
    {Q(GET, "/v1/models/m/versions/7", NULL, ""), 404, "Could not find version 7 of model m"},
    {Q(GET, "/v1/models/%6d", NULL, ""), 200, "\"AVAILABLE\""},
    {Q(GET, "/v1/models/m/labels/%6c", NULL, ""), 200,
     "\"AVAILABLE\""}, /* labels are ignored here */
    {Q(GET, "/v1/models/none", NULL, ""), 404, "Could not find any versions of model none"},
    {Q(GET, "/v1/models/m/metadata", NULL, ""), 200, "\"version\": \"1\""},
    {Q(GET, "/v1/models/d/metadata", NULL, ""), 200, "\"version\": \"1\""},
    {Q(GET, "/v1/models/none/metadata", NULL, ""), 404,
     "Servable not found for request: Latest(none)"},
    /* inference */
    {Q(POST, "/v1/models/m:predict", NULL, ONE), 200, "\"predictions\": [1.5\n"},
    {Q(POST, "/v1/models/d:predict", NULL, ONE), 200, "\"predictions\": [1.5\n"},
    {Q(POST, "/v1/models/m/versions/1:predict", NULL, "{\"inputs\":[2.5]}"), 200,
     "\"outputs\": [\n        2.5\n"},
    {Q(POST, "/v1/models/m:classify", NULL, ROW("classify")), 200, "[\"no\", 0.5]"},
    {Q(POST, "/v1/models/m:regress", NULL, ROW("regress")), 200, "\"results\": [0.5]"},
    {Q(POST, "/v1/models/none:predict", NULL, ONE), 404, "Servable not found"},
    {Q(POST, "/v1/models/none:classify", NULL, ROW("classify")), 404, "Servable not found"},
    {Q(POST, "/v1/models/m/versions/2:predict", NULL, ONE), 404, "Specific(m, 2)"},
    {Q(POST, "/v1/models/m:predict", NULL, "{\"instances\":"), 400, "JSON"},
    {Q(POST, "/v1/models/m:classify", NULL, "{"), 400, "JSON"},
    {Q(POST, "/v1/models/m:regress", NULL, ROW("classify")), 400, "Expected one output"},
    {Q(POST, "/v1/models/m:predict", NULL, ROW("none")), 400, "none"},
    {{.method = SL_HTTP_POST, .target = "/v1/models/m:predict", .undecodable = true},
     400,
     "cannot be decompressed"},
    /* what is no such path */
    {Q(GET, "/v1/models", NULL, ""), 400, "Missing model name in request."},
    {Q(GET, "/v1/models/m/versions/99999999999999999999", NULL, ""), 400, ""},
    {Q(GET, "/v1/models/%zz", NULL, ""), 400, ""},
    {Q(GET, "/v1/nothing?a=b", NULL, ""), 400, "Malformed request: GET /v1/nothing?a=b"},
    {Q(DELETE, "/v1/models/m", NULL, ""), 400, "Malformed request: DELETE /v1/models/m"},
    {Q(GET, "/elsewhere", NULL, ""), 404, "the reason"},
    /* CORS */
    {Q(OPTIONS, "/v1/models/m", "origin: http://a\n", ""), 200, ""},
    {Q(OPTIONS, "/v1/models/m", "origin: https://a\n", ""), 200, ""},
    {Q(OPTIONS, "/v1/models/m", "origin: a\n", ""), 400, ""},
    {Q(OPTIONS, "/v1/models/m", "origin: \n", ""), 400, ""},
    {Q(OPTIONS, "/v1/models/m", NULL, ""), 400, ""},
    /* probes */
    {Q(GET, "/healthz", NULL, ""), 200, "ok\n"},
    {Q(GET, "/startupz", NULL, ""), 200, "ok\n"},
    {Q(GET, "/readyz", NULL, ""), 200, "ok\n"},
};

static void every_request_gets_its_answer(void **state)
{
    world *w = *state;
    all_say(w, rows, SL_COUNTOF(rows));
}

static void a_target_is_quoted_but_not_all_of_it(void **state)
{
    world *w = *state;
    enum { LONG = 70000 };
    char *target = calloc(1, LONG);
    memset(target, 'x', LONG - 1);
    memcpy(target, "/v1/", 4);
    ask(w, &(request){.method = SL_HTTP_GET, .target = target});
    says(w, 400, "Malformed request: GET /v1/xxx");
    assert_true(w->a.n > 65536 && w->a.n < 65536 + 100);
    free(target);
}

static void an_error_that_http_finds_has_a_reason(void **state)
{
    world *w = *state;
    static const char *const messages[] = {NULL, "", "too large"};
    for (int i = 0; i < 3; i++) {
        sl_chain body = {0};
        const char *type;
        char text[128] = "";
        sl_api_on_error(413, messages[i], &body, &type, &w->api);
        assert_true(body.size < sizeof text);
        sl_chain_copy(&body, text);
        sl_chain_reset(&body);
        assert_non_null(strstr(text, i == 2 ? "\"too large\"" : "\"the reason\""));
        assert_string_equal(type, "application/json");
    }
}

static void pages_of_other_sites_may_read_answers_if_that_is_wanted(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(POST, "/v1/models/m:predict", NULL, ONE));
    assert_false(has_header(w, "Access-Control"));
    w->rest.opt.cors = true;
    ask(w, &(request)Q(POST, "/v1/models/m:predict", NULL, ONE));
    assert_true(has_header(w, "Access-Control-Allow-Origin: *\r\n"));
}

static void a_server_that_starts_or_drains_says_so(void **state)
{
    world *w = *state;
    atomic_store(&w->rest.started, false);
    static const row starting[] = {
        {Q(GET, "/healthz", NULL, ""), 200, "ok\n"},
        {Q(GET, "/startupz", NULL, ""), 503, "models are loading\n"},
        {Q(GET, "/readyz", NULL, ""), 503, "models are loading\n"},
        {Q(GET, "/v1/models/m", NULL, ""), 503, "server is starting"},
        {Q(GET, "/v1/models", NULL, ""), 503, "server is starting"},
        {Q(GET, "/v1/models/m/metadata", NULL, ""), 503, "server is starting"},
        {Q(POST, "/v1/models/m:predict", NULL, ONE), 503, "server is starting"},
    };
    all_say(w, starting, SL_COUNTOF(starting));
    atomic_store(&w->rest.started, true);
    atomic_store(&w->rest.draining, true);
    ask(w, &(request)Q(GET, "/readyz", NULL, ""));
    says(w, 503, "draining\n");
    ask(w, &(request)Q(GET, "/startupz", NULL, ""));
    says(w, 200, "ok\n");
}

static void the_page_of_metrics_has_one_path(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(GET, "/metrics", NULL, ""));
    says(w, 200, "# TYPE");
    ask(w, &(request)Q(GET, "/monitoring/page", NULL, ""));
    says(w, 404, "");
    w->rest.opt.metrics_path = "/monitoring/page";
    ask(w, &(request)Q(GET, "/monitoring/page", NULL, ""));
    says(w, 200, "# TYPE");
    ask(w, &(request)Q(GET, "/monitoring/page?a", NULL, ""));
    says(w, 400, "Unexpected path: /monitoring/page?a. Should be /monitoring/page");
    ask(w, &(request)Q(GET, "/metrics", NULL, ""));
    says(w, 200, "# TYPE");
    w->rest.opt.extra_routes = false;
    ask(w, &(request)Q(GET, "/metrics", NULL, ""));
    says(w, 404, "");
    ask(w, &(request)Q(GET, "/v2", NULL, ""));
    says(w, 404, "");
    assert_true(w->call.close);
    w->rest.opt.extra_routes = true;
    w->rest.opt.oip = NULL;
    ask(w, &(request)Q(GET, "/v2", NULL, ""));
    says(w, 404, "");
}

static void outputs_that_no_answer_can_have_are_an_error(void **state)
{
    world *w = *state;
    atomic_store(&engine_does.spoilt, true);
    ask(w, &(request)Q(POST, "/v1/models/m:classify", NULL, ROW("classify")));
    says(w, 400, "Expected Tensor shape: [batch_size num_classes] but got");
    ask(w, &(request)Q(POST, "/v1/models/m:regress", NULL, ROW("regress")));
    says(w, 400, "Expected output Tensor shape to be either");
    assert_int_equal(sl_rest_http_status((sl_code)99), 500);
}

/* ---- protobuf ---- */

typedef enum shape { PREDICT, EXAMPLES, RUBBISH } shape;

typedef struct binary_row {
    const char *target;
    shape shape;
    spec spec;
    int n, status;
    const char *part;
} binary_row;

static const binary_row binaries[] = {
    {"/v1/models/m:predict", PREDICT, {.model = "m"}, 1, 200, "serving_default"},
    {"/v1/models/m:predict", PREDICT, {NULL}, 1, 200, "serving_default"},
    {"/v1/models/m/versions/1:predict", PREDICT, {.version = 1}, 1, 200, "serving_default"},
    {"/v1/models/m:classify", EXAMPLES, {.signature = "classify"}, 1, 200, "classify"},
    {"/v1/models/m:regress", EXAMPLES, {.signature = "regress"}, 2, 200, "regress"},
    {"/v1/models/m:regress", EXAMPLES, {.signature = "regress"}, 0, 400, "Input is empty."},
    {"/v1/models/m:classify", EXAMPLES, {.signature = "none"}, 1, 400, "No signature was found"},
    {"/v1/models/m:predict", PREDICT, {.signature = "none"}, 1, 400, "key \\\"none\\\" not found"},
    {"/v1/models/m/labels/stable:predict", PREDICT, {.label = "stable"}, 1, 200, "serving"},
    {"/v1/models/m:predict", PREDICT, {.model = "d"}, 1, 400, "model_spec names the model"},
    {"/v1/models/m:predict", PREDICT, {.version = 1}, 1, 400, "another version or label"},
    {"/v1/models/m/versions/1:predict", PREDICT, {.version = 2}, 1, 400, "another version"},
    {"/v1/models/m:predict", PREDICT, {.label = "a"}, 1, 400, "another version or label"},
    {"/v1/models/m:classify", EXAMPLES, {.label = "a"}, 1, 400, "another version or label"},
    {"/v1/models/m:predict", RUBBISH, {NULL}, 0, 400, "is not a PredictRequest in protobuf"},
    {"/v1/models/m:classify", RUBBISH, {NULL}, 0, 400, "is not a ClassificationRequest"},
    {"/v1/models/m:regress", RUBBISH, {NULL}, 0, 400, "is not a RegressionRequest"},
};

static sl_text binary_body(const binary_row *r)
{
    sl_text rubbish = {0};
    switch (r->shape) {
    case PREDICT:
        return predict_message(r->spec, r->n);
    case EXAMPLES:
        return examples_message(r->spec, r->n);
    default:
        sl_text_puts(&rubbish, "\xff");
        return rubbish;
    }
}

/* Sends the row's message with these headers. */
static void ask_in_protobuf(world *w, const binary_row *r, const char *headers)
{
    sl_text t = binary_body(r);
    ask(w, &(request){.method = SL_HTTP_POST,
                      .target = r->target,
                      .headers = headers,
                      .body = as_str(&t)});
    sl_text_fini(&t);
}

static void protobuf_is_answered_with_protobuf(void **state)
{
    world *w = *state;
    for (size_t i = 0; i < SL_COUNTOF(binaries); i++) {
        const binary_row *r = &binaries[i];
        ask_in_protobuf(w, r, PROTOBUF);
        says(w, r->status, "");
        if (!body_has(w, r->part))
            fail_msg("%s: %s", r->target, w->a.body);
        assert_string_equal(w->a.type,
                            r->status == 200 ? "application/x-protobuf" : "application/json");
    }
}

static void the_content_type_says_that_it_is_protobuf(void **state)
{
    world *w = *state;
    static const struct {
        const char *header;
        int status;
    } types[] = {{"content-type: application/x-protobuf\n", 200},
                 {"content-type: Application/X-Protobuf \t;x=y\n", 200},
                 {"content-type: application/x-protobufs\n", 400},
                 {"content-type: ;\n", 400},
                 {"content-type: application/json\n", 400},
                 {NULL, 400}};
    const binary_row r = {"/v1/models/m:predict", PREDICT, {NULL}, 1, 0, NULL};
    for (size_t i = 0; i < SL_COUNTOF(types); i++) {
        ask_in_protobuf(w, &r, types[i].header);
        says(w, types[i].status, "");
    }
    w->rest.opt.extra_routes = false;
    ask_in_protobuf(w, &r, PROTOBUF);
    says(w, 400, "JSON");
}

static void a_protobuf_answer_that_cannot_be_made_is_an_error(void **state)
{
    world *w = *state;
    atomic_store(&engine_does.spoilt, true);
    w->service.check_method_name = true;
    static const binary_row spoilt[] = {
        {"/v1/models/m:classify", EXAMPLES, {.signature = "classify"}, 1, 400, "Expected Tensor"},
        {"/v1/models/m:regress", EXAMPLES, {.signature = "regress"}, 1, 400, "Expected output"},
        {"/v1/models/m:predict", PREDICT, {.signature = "odd"}, 1, 500,
         "Expected prediction signature method_name to be one of"}};
    for (size_t i = 0; i < SL_COUNTOF(spoilt); i++) {
        ask_in_protobuf(w, &spoilt[i], PROTOBUF);
        says(w, spoilt[i].status, spoilt[i].part);
    }
}

/* ---- the log ---- */

static void a_line_is_logged_for_each_request_that_is_wanted(void **state)
{
    world *w = *state;
    static const log_row lines[] = {
        {Q(POST, "/v1/models/m:predict", NULL, ONE), "model=\"m\" version=1 signature"},
        {Q(POST, "/v1/models/m:predict", NULL, "{"), "status=400"},
        {Q(GET, "/v1/models/m/metadata", NULL, ""), "/m/metadata\" model=\"m\" version=1"},
        {Q(GET, "/v1/models/none/metadata", NULL, ""), "model=\"none\" signature=\"\" status=404"},
        {Q(GET, "/v1/models/m", NULL, ""), "path=\"/v1/models/m\" model=\"m\" signature"},
    };
    logs(w, lines, SL_COUNTOF(lines));
    w->access.mode = SL_ACCESS_ERRORS;
    ask(w, &lines[0].q);
    w->rest.opt.access = NULL;
    ask(w, &lines[1].q);
}

/* ---- the guard ---- */

static void who_may_not_is_told_so(void **state)
{
    world *w = *state;
    static const row asked[] = {
        {Q(POST, "/v1/models/m:predict", NULL, ONE), 401, ""},
        {Q(POST, "/v1/models/m:predict", STRANGER, ONE), 401, ""},
        {Q(GET, "/metrics", STRANGER, ""), 401, ""},
        {Q(POST, "/v1/models/m:predict", BOB, ONE), 403, ""},
        {Q(POST, "/v1/models/m:predict", ANN, ONE), 200, "predictions"},
        {Q(GET, "/v1/models/m/metadata", BOB, ""), 200, "metadata"},
        {Q(GET, "/v1/models/m/metadata", ANN, ""), 403, ""},
        {Q(GET, "/v1/models/m", ANN, ""), 403, ""},
        {Q(GET, "/v1/models", ANN, ""), 400, "Missing model name"},
        {Q(GET, "/v1/models", NULL, ""), 400, "Missing model name"},
        {Q(OPTIONS, "/v1/models/m", "origin: http://a\n", ""), 200, ""},
        {Q(GET, "/metrics", NULL, ""), 401, ""},
        {Q(GET, "/metrics", ANN, ""), 403, ""},
        {Q(GET, "/metrics", BOB, ""), 200, "# TYPE"},
        {Q(GET, "/healthz", NULL, ""), 200, "ok"},
    };
    guarded(w, "limit { concurrent: 1 }" /* whoever is not let go keeps the next one out */
               "rule { principal: 'token:ann' allow: PREDICT }"
               "rule { principal: 'token:bob' allow: [METADATA, METRICS] }");
    all_say(w, asked, SL_COUNTOF(asked));
}

static void a_stranger_is_refused_before_a_large_body_is_read(void **state)
{
    world *w = *state;
    static const row asked[] = {
        {Q(POST, "/v1/models/m:predict", "content-length: 5000\n", ""), 401, NULL},
        {Q(POST, "/v1/models/m:predict", BOB "content-length: 5000\n", ""), 403, NULL},
        {Q(POST, "/v1/models/m:predict", "transfer-encoding: chunked\n", ""), 401, NULL},
        {Q(POST, "/v1/models/m:predict", "content-length: 99999999999999999999\n", ""), 401, NULL},
        {Q(POST, "/v1/models/m:predict", ANN "content-length: 5000\n", ""), 400, ""},
        {Q(POST, "/v1/models/m:predict", "content-length: 4096\n", ""), 401, ""},
        {Q(POST, "/v1/models/m:predict", NULL, ""), 401, ""},
        {Q(OPTIONS, "/v1/models/m:predict", "content-length: 5000\n", ""), 400, ""},
        {Q(POST, "/v2/models/m/infer", "content-length: 5000\n", ""), 401, NULL},
        {Q(POST, "/v2/models/m/infer", ANN "content-length: 5000\n", ""), 400, ""},
        {Q(POST, "/elsewhere", "content-length: 5000\n", ""), 404, ""},
    };
    guarded(w, "rule { principal: 'token:ann' allow: PREDICT }");
    all_say(w, asked, SL_COUNTOF(asked));
}

/* ---- without memory ---- */

static void every_answer_survives_without_memory(void **state)
{
    world *w = *state;
    w->rest.opt.cors = true;
    all_survive(w, rows, SL_COUNTOF(rows));
    for (size_t i = 0; i < SL_COUNTOF(binaries); i++) {
        sl_text t = binary_body(&binaries[i]);
        const row r = {.q = {.method = SL_HTTP_POST,
                             .target = binaries[i].target,
                             .headers = PROTOBUF,
                             .body = as_str(&t)}};
        all_survive(w, &r, 1);
        sl_text_fini(&t);
    }
    survives_without_memory(w, &(request)Q(GET, "/metrics", NULL, ""), true);
}

static void a_refusal_survives_without_memory(void **state)
{
    world *w = *state;
    const request q = Q(POST, "/v1/models/%6d:predict", BOB "content-length: 5000\n", "");
    guarded(w, "rule { principal: 'token:ann' allow: PREDICT }");
    survives_without_memory(w, &q, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_request_gets_its_answer),
        T(a_target_is_quoted_but_not_all_of_it),
        T(an_error_that_http_finds_has_a_reason),
        T(pages_of_other_sites_may_read_answers_if_that_is_wanted),
        T(a_server_that_starts_or_drains_says_so),
        T(the_page_of_metrics_has_one_path),
        T(outputs_that_no_answer_can_have_are_an_error),
        T(protobuf_is_answered_with_protobuf),
        T(the_content_type_says_that_it_is_protobuf),
        T(a_protobuf_answer_that_cannot_be_made_is_an_error),
        T(a_line_is_logged_for_each_request_that_is_wanted),
        T(who_may_not_is_told_so),
        T(a_stranger_is_refused_before_a_large_body_is_read),
        T(every_answer_survives_without_memory),
        T(a_refusal_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
