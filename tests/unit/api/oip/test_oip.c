/* test_oip.c - requests below /v2, from their head to the reply; see also test_interfaces.c */
#include "unit/api/messages.h"

#define INFER(name, shape, data)                                                                   \
    "{\"inputs\":[{\"name\":\"" name "\",\"datatype\":\"FP32\",\"shape\":" shape ",\"data\":" data \
    "}]}"
#define ONE INFER("x", "[1]", "[1.5]")
#define BINARY                                                                          \
    "{\"inputs\":[{\"name\":\"x\",\"datatype\":\"FP32\",\"shape\":[1],\"parameters\":{" \
    "\"binary_data_size\":4}}],\"parameters\":{\"binary_data_output\":true}}"
#define LENGTH "inference-header-content-length: "

static const row rows[] = {
    {Q(GET, "/v2", NULL, ""), 200, "\"name\":\"sluice\""},
    {Q(HEAD, "/v2", NULL, ""), 200, ""},
    {Q(GET, "/v2/health/live", NULL, ""), 200, "{\"live\":true}"},
    {Q(GET, "/v2/health/ready", NULL, ""), 200, "{\"ready\":true}"},
    {Q(GET, "/v2/models/m", NULL, ""), 200, "\"versions\":[\"1\"]"},
    {Q(GET, "/v2/models/m/versions/1", NULL, ""), 200, "\"versions\":[\"1\"]"},
    {Q(GET, "/v2/models/d", NULL, ""), 200, "\"name\":\"d\""},
    {Q(GET, "/v2/models/%6d", NULL, ""), 200, "\"name\":\"m\""},
    {Q(GET, "/v2/models/m/versions/%31", NULL, ""), 200, "\"name\":\"m\""},
    {Q(GET, "/v2/models/m/versions/7", NULL, ""), 404, "Specific(m, 7)"},
    {Q(GET, "/v2/models/m/versions/one", NULL, ""), 400, "\\\"one\\\" is no version"},
    {Q(GET, "/v2/models/none", NULL, ""), 404, "Latest(none)"},
    {Q(GET, "/v2/models/m/ready", NULL, ""), 200, "{\"name\":\"m\",\"ready\":true}"},
    {Q(GET, "/v2/models/m/versions/2/ready", NULL, ""), 503, "{\"name\":\"m\",\"ready\":false}"},
    {Q(GET, "/v2/models/m/versions/1/ready", NULL, ""), 200, "true"},
    {Q(GET, "/v2/models/m/versions/7/ready", NULL, ""), 404, "Could not find version 7"},
    {Q(GET, "/v2/models/m/versions/one/ready", NULL, ""), 400, "is no version"},
    {Q(GET, "/v2/models/none/ready", NULL, ""), 404, "Could not find any versions"},
    {Q(POST, "/v2/models/m/infer", NULL, ONE), 200, "\"data\":[1.5]"},
    {Q(POST, "/v2/models/d/infer", NULL, ONE), 200, "\"data\":[1.5]"},
    {Q(POST, "/v2/models/m/versions/1/infer", NULL, ONE), 200, "\"model_version\":\"1\""},
    {Q(POST, "/v2/models/m/infer", LENGTH "132\n", BINARY "\0\0\xc0\x3f"), 200, "\"outputs\""},
    {Q(POST, "/v2/models/m/infer", LENGTH "a\n", ONE), 400, "is not a number of bytes"},
    {Q(POST, "/v2/models/m/infer", LENGTH "-1\n", ONE), 400, "is not a number of bytes"},
    {Q(POST, "/v2/models/m/infer", LENGTH "9999\n", ONE), 400, "nference"},
    {Q(POST, "/v2/models/m/infer", NULL, "{"), 400, "error"},
    {Q(POST, "/v2/models/m/infer", NULL, INFER("z", "[1]", "[1.5]")), 400, "\\\"z\\\""},
    {Q(POST, "/v2/models/m/versions/2/infer", NULL, ONE), 404, "Specific(m, 2)"},
    {Q(POST, "/v2/models/m/versions/one/infer", NULL, ONE), 400, "is no version"},
    {Q(POST, "/v2/models/none/infer", NULL, ONE), 404, "Latest(none)"},
    {{.method = SL_HTTP_POST, .target = "/v2/models/m/infer", .undecodable = true},
     400,
     "cannot be decompressed"},
    {Q(POST, "/v2/repository/index", NULL, ""), 200, "\"state\":\"READY\""},
    {Q(POST, "/v2/repository/index", NULL, "{\"ready\":true}"), 200, "[{\"name\":"},
    {Q(POST, "/v2/repository/index", NULL, "{"), 400, "error"},
    {{.method = SL_HTTP_POST, .target = "/v2/repository/index", .undecodable = true},
     400,
     "cannot be decompressed"},
    {Q(POST, "/v2/repository/models/m/load", NULL, "{}"), 200, ""},
    {Q(POST, "/v2/repository/models/m/unload", NULL, ""), 200, ""},
    {Q(POST, "/v2/models/m", NULL, ""), 405, "POST is not for this path"},
    {Q(GET, "/v2/models/m/infer", NULL, ""), 405, "GET is not for this path"},
    {Q(GET, "/v2/nothing", NULL, ""), 404, "there is nothing at /v2/nothing"},
    {Q(GET, "/v2/models/%zz", NULL, ""), 404, "there is nothing at"},
    {Q(GET, "/v2/models/m/versions/%zz", NULL, ""), 404, "there is nothing at"},
    {Q(GET, "/v22", NULL, ""), 404, "the reason"},
};

static void every_request_gets_its_answer(void **state)
{
    world *w = *state;
    all_say(w, rows, SL_COUNTOF(rows));
}

static void binary_outputs_stand_behind_the_text(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(POST, "/v2/models/m/infer", LENGTH "132\n", BINARY "\0\0\xc0\x3f"));
    says(w, 200, "\"outputs\"");
    char line[64];
    snprintf(line, sizeof line, "Inference-Header-Content-Length: %zu\r\n", w->a.n - 4);
    assert_true(has_header(w, line));
    assert_memory_equal(w->a.body + w->a.n - 4, "\0\0\xc0\x3f", 4);
    assert_string_equal(w->a.type, "application/octet-stream");
}

static void what_is_about_no_model_names_no_version(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(GET, "/v2", NULL, ""));
    says(w, 200, "");
    assert_false(has_header(w, "x-sluice-version"));
}

static void a_wrong_method_is_told_the_right_one(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(POST, "/v2/models/m", NULL, ""));
    says(w, 405, "POST is not for this path");
    assert_true(has_header(w, "Allow: GET, HEAD\r\n"));
    ask(w, &(request)Q(PUT, "/v2/models/m/infer", NULL, ""));
    says(w, 405, "PUT is not for this path");
    assert_true(has_header(w, "Allow: POST\r\n"));
}

static void a_server_that_starts_or_drains_says_so(void **state)
{
    world *w = *state;
    static const row starting[] = {
        {Q(GET, "/v2", NULL, ""), 503, "server is starting"},
        {Q(GET, "/v2/health/live", NULL, ""), 200, "true"},
        {Q(GET, "/v2/health/ready", NULL, ""), 503, "false"},
        {Q(GET, "/v2/models/m/ready", NULL, ""), 503, "server is starting"},
        {Q(GET, "/v2/models/m", NULL, ""), 503, "server is starting"},
        {Q(POST, "/v2/models/m/infer", NULL, ONE), 503, "server is starting"},
        {Q(POST, "/v2/repository/index", NULL, ""), 503, "server is starting"},
    };
    atomic_store(&w->rest.started, false);
    all_say(w, starting, SL_COUNTOF(starting));
    atomic_store(&w->rest.started, true);
    atomic_store(&w->rest.draining, true);
    ask(w, &(request)Q(GET, "/v2/health/ready", NULL, ""));
    says(w, 503, "{\"ready\":false}");
}

static void a_model_on_demand_is_ready_until_it_cannot_be_had(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(GET, "/v2/models/d/ready", NULL, ""));
    says(w, 200, "true");
    ask(w, &(request)Q(GET, "/v2/models/d/versions/1/ready", NULL, ""));
    says(w, 503, "false");
}

static void a_version_that_goes_says_so(void **state)
{
    world *w = *state;
    const sl_version *v = keep_from_going(w);
    ask(w, &(request)Q(POST, "/v2/repository/index", NULL, ""));
    says(w, 200, "{\"name\":\"m\",\"version\":\"1\",\"state\":\"UNLOADING\",\"reason\":\"\"}");
    sl_manager_release(w->f->m, v);
}

static void a_model_without_versions_is_in_the_index(void **state)
{
    enum { MANY = 70 };
    world *w = *state;
    sl_status st;
    char names[MANY][8];
    sl_model_config many[MANY] = {0};
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "m%d", i);
        many[i] = (sl_model_config){.name = names[i], .base_path = "/nowhere"};
    }
    clear(w);
    assert_int_equal(sl_manager_configure(w->f->m, many, MANY, &st), SL_OK);
    ask(w, &(request)Q(POST, "/v2/repository/index", NULL, ""));
    for (int i = 0; i < MANY; i++) {
        char part[80];
        snprintf(part, sizeof part,
                 "{\"name\":\"m%d\",\"state\":\"UNAVAILABLE\",\"reason\":\"no version is known\"}",
                 i);
        says(w, 200, part);
    }
    const request q = Q(POST, "/v2/repository/index", "x-request-id: one\n", "");
    survives_without_memory(w, &q, false);
    ask(w, &(request)Q(POST, "/v2/repository/index", NULL, "{\"ready\":true}"));
    assert_null(strstr(w->a.body, "m0"));
}

/* ... and what waits there too long is not begun. */
static void a_request_for_the_index_that_is_large_is_read_by_a_worker(void **state)
{
    world *w = *state;
    sl_text t = {0};
    sl_text_puts(&t, "{\"ready\":true,\"x\":[0");
    for (int i = 0; i < 3000; i++)
        sl_text_puts(&t, ",0");
    sl_text_puts(&t, "]}");
    request q = {.method = SL_HTTP_POST, .target = "/v2/repository/index", .body = as_str(&t)};
    employ(w, 1);
    for (int packed = 0; packed < 2; packed++) {
        if (packed)
            pack(&t);
        q.packed = packed;
        q.body = as_str(&t);
        q.gone = false;
        ask(w, &q);
        says(w, 200, "[{\"name\":\"m\"");
        q.gone = true;
        ask(w, &q);
        says(w, 499, "waited too long");
    }
    sl_text_fini(&t);
}

static void versions_are_in_the_index(void **state)
{
    world *w = *state;
    ask(w, &(request)Q(POST, "/v2/repository/index", NULL, ""));
    says(w, 200, "{\"name\":\"d\",\"version\":\"1\",\"state\":\"LOADING\"");
    says(w, 200,
         "{\"name\":\"m\",\"version\":\"2\",\"state\":\"UNAVAILABLE\",\"reason\":\"version 2");
}

/* ---- changes ---- */

static sl_code refuse_change(void *arg, sl_str model, bool load, sl_status *st)
{
    (void)arg;
    return load ? sl_fail(st, SL_NOT_FOUND, "no %.*s", SL_STR_ARG(model)) : SL_OK;
}

static void a_change_that_fails_is_the_answer(void **state)
{
    world *w = *state;
    w->change = refuse_change;
    ask(w, &(request)Q(POST, "/v2/repository/models/a%20b/load", NULL, ""));
    says(w, 404, "no a b");
    ask(w, &(request)Q(POST, "/v2/repository/models/x/unload", NULL, ""));
    says(w, 200, "");
    w->oip.changer.apply = NULL;
    ask(w, &(request)Q(POST, "/v2/repository/models/x/unload", NULL, ""));
    says(w, 501, "cannot be loaded or unloaded here");
}

/* ---- the log ---- */

static void a_line_is_logged_for_each_request_that_is_wanted(void **state)
{
    world *w = *state;
    static const log_row lines[] = {
        {Q(POST, "/v2/models/m/infer", NULL, ONE), "model=\"m\" version=1 signature"},
        {Q(POST, "/v2/models/m/infer", NULL, "{"), "model=\"m\" signature=\"\" status=400"},
        {Q(GET, "/v2/models/m", NULL, ""), "path=\"/v2/models/m\" model=\"m\" version=1"},
        {Q(GET, "/v2/models/none", NULL, ""), "model=\"none\" signature=\"\" status=404"},
        {Q(GET, "/v2", NULL, ""), "method=\"GET\" path=\"/v2\" model=\"\" signature"},
    };
    logs(w, lines, SL_COUNTOF(lines));
    w->access.mode = SL_ACCESS_ERRORS;
    ask(w, &lines[0].q);
    w->oip.opt.access = NULL;
    ask(w, &lines[1].q);
}

/* ---- the guard ---- */

static void who_may_not_is_told_so(void **state)
{
    world *w = *state;
    static const row asked[] = {
        {Q(POST, "/v2/models/m/infer", NULL, ONE), 401, ""},
        {Q(POST, "/v2/models/m/infer", STRANGER, ONE), 401, ""},
        {Q(POST, "/v2/models/m/infer", BOB, ONE), 403, ""},
        {Q(POST, "/v2/models/m/infer", ANN, ONE), 200, "outputs"},
        {Q(GET, "/v2/models/m", ANN, ""), 403, ""},
        {Q(GET, "/v2/models/m", BOB, ""), 200, "inputs"},
        {Q(GET, "/v2/models/m/ready", ANN, ""), 403, ""},
        {Q(GET, "/v2/models/m/ready", BOB, ""), 200, "ready"},
        {Q(GET, "/v2/health/live", STRANGER, ""), 200, "true"},
        {Q(GET, "/v2/health/ready", NULL, ""), 200, "true"},
        {Q(GET, "/v2", NULL, ""), 401, ""},
        {Q(GET, "/v2", STRANGER, ""), 401, ""},
        {Q(GET, "/v2", ANN, ""), 200, "sluice"},
        {Q(POST, "/v2/repository/index", NULL, ""), 401, ""},
        {Q(POST, "/v2/repository/index", ANN, ""), 200, "[]"},
        {Q(POST, "/v2/repository/index", BOB, ""), 200, "\"m\""},
        {Q(POST, "/v2/repository/models/m/load", ANN, ""), 403, ""},
        {Q(GET, "/v2/nothing", ANN, ""), 404, ""},
        {Q(GET, "/v2/nothing", STRANGER, ""), 401, ""},
        {Q(PUT, "/v2", STRANGER, ""), 401, ""},
        {Q(PUT, "/v2", ANN, ""), 405, ""},
    };
    guarded(w, "limit { concurrent: 1 }" /* whoever is not let go keeps the next one out */
               "rule { principal: 'token:ann' allow: PREDICT }"
               "rule { principal: 'token:bob' allow: [METADATA, STATUS] }");
    all_say(w, asked, SL_COUNTOF(asked));
}

static void a_stranger_is_refused_before_a_large_body_is_read(void **state)
{
    world *w = *state;
    static const row asked[] = {
        {Q(POST, "/v2/models/m/infer", "content-length: 5000\n", ""), 401, NULL},
        {Q(POST, "/v2/models/m/infer", BOB "content-length: 5000\n", ""), 403, NULL},
        {Q(POST, "/v2/models/m/infer", ANN "content-length: 5000\n", ""), 400, ""},
        {Q(POST, "/v2/health/live", "content-length: 5000\n", ""), 405, ""},
    };
    guarded(w, "rule { principal: 'token:ann' allow: PREDICT }");
    all_say(w, asked, SL_COUNTOF(asked));
}

/* ---- without memory ---- */

static void every_answer_survives_without_memory(void **state)
{
    world *w = *state;
    all_survive(w, rows, SL_COUNTOF(rows));
}

static void a_refusal_survives_without_memory(void **state)
{
    world *w = *state;
    const request q = Q(POST, "/v2/models/%6d/infer", BOB "content-length: 5000\n", "");
    guarded(w, "rule { principal: 'token:ann' allow: PREDICT }");
    survives_without_memory(w, &q, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_request_gets_its_answer),
        T(binary_outputs_stand_behind_the_text),
        T(what_is_about_no_model_names_no_version),
        T(a_wrong_method_is_told_the_right_one),
        T(a_server_that_starts_or_drains_says_so),
        T(a_model_on_demand_is_ready_until_it_cannot_be_had),
        T(a_request_for_the_index_that_is_large_is_read_by_a_worker),
        T(versions_are_in_the_index),
        T(a_version_that_goes_says_so),
        T(a_model_without_versions_is_in_the_index),
        T(a_change_that_fails_is_the_answer),
        T(a_line_is_logged_for_each_request_that_is_wanted),
        T(who_may_not_is_told_so),
        T(a_stranger_is_refused_before_a_large_body_is_read),
        T(every_answer_survives_without_memory),
        T(a_refusal_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
