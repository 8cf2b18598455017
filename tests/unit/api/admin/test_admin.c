/* test_admin.c - the interface for those who run the server, from a request's head to the reply */
#include "unit/api/messages.h"

static sl_code rc_of_reload; /* with which a reload ends */

static sl_code reload_text(void *arg, sl_str text, sl_text *report, sl_status *st)
{
    (void)arg;
    if (rc_of_reload == SL_INTERNAL) /* without a word */
        return sl_fail(st, rc_of_reload, "out of order");
    sl_text_printf(report, "text: %.*s", SL_STR_ARG(text));
    return rc_of_reload ? sl_fail(st, rc_of_reload, "refused") : SL_OK;
}

static sl_code reload_wire(void *arg, sl_str wire, sl_text *report, sl_status *st)
{
    (void)arg, (void)st;
    sl_text_printf(report, "wire: %.*s", SL_STR_ARG(wire));
    return SL_OK;
}

static sl_code current(void *arg, bool as_text, sl_text *out, sl_status *st)
{
    (void)arg;
    if (as_text) /* in its wire form it is empty */
        sl_text_puts(out, "model_config_list {}");
    return out->failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory") : SL_OK;
}

static int set_up_admin(void **state)
{
    int rc = set_up(state);
    world *w = *state;
    rc_of_reload = SL_OK;
    employ(w, 1);
    const sl_admin_options o = {.rest = &w->rest,
                                .workers = w->service.workers,
                                .reload_text = reload_text,
                                .reload_wire = reload_wire,
                                .current = current};
    sl_admin_init(&w->admin, &o);
    atomic_store(&w->admin.open, true);
    w->to_admin = true;
    return rc;
}
#undef T
#define T(test) cmocka_unit_test_setup_teardown(test, set_up_admin, tear_down)

static const row rows[] = {
    {Q(GET, "/healthz", "host: anywhere\n", ""), 200, "ok"},
    {Q(GET, "/sluice/v1/models", NULL, ""), 200, "\"name\": \"d\""},
    {Q(GET, "/sluice/v1/models/", NULL, ""), 200, "\"name\": \"m\""},
    {Q(GET, "/sluice/v1/models/m", NULL, ""), 200, "\"error\": \"version 2 is broken\""},
    {Q(GET, "/sluice/v1/models/%6d", NULL, ""), 200, "\"engine\": \"fake\""},
    {Q(GET, "/sluice/v1/models/none", NULL, ""), 404, "Could not find any versions of model none"},
    {Q(GET, "/sluice/v1/models/%zz", NULL, ""), 404, "there is no /sluice/v1/models/%zz here"},
    {Q(GET, "/sluice/v1/modelsx", NULL, ""), 404, "there is no"},
    {Q(GET, "/v1/models/m", NULL, ""), 404, "there is no /v1/models/m here"},
    {Q(POST, "/sluice/v1/models", NULL, ""), 405, "the method must be GET"},
    {Q(GET, "/sluice/v1/config", NULL, ""), 200, "model_config_list {}"},
    {Q(GET, "/sluice/v1/config", "accept: text/plain\n", ""), 200, "model_config_list {}"},
    {Q(GET, "/sluice/v1/config", "accept: application/x-protobuf\n", ""), 200, ""},
    {Q(PUT, "/sluice/v1/config", NULL, ""), 405, "the method must be GET, POST"},
    {Q(POST, "/sluice/v1/config", NULL, "abc"), 200, "text: abc"},
    {Q(POST, "/sluice/v1/config", "content-type: text/plain\n", "abc"), 200, "text: abc"},
    {Q(POST, "/sluice/v1/config", "content-type: application/x-protobuf\n", "a"), 200, "wire: a"},
    {Q(POST, "/sluice/v1/config", "content-type: application/octet-stream\n", "a"), 200, "wire: a"},
    {{.method = SL_HTTP_POST, .target = "/sluice/v1/config", .undecodable = true},
     400,
     "cannot be decompressed"},
};

static void every_request_gets_its_answer(void **state)
{
    world *w = *state;
    all_say(w, rows, SL_COUNTOF(rows));
    ask(w, &(request)Q(POST, "/sluice/v1/models", NULL, ""));
    assert_true(has_header(w, "Allow: GET\r\n"));
    ask(w, &(request)Q(PUT, "/sluice/v1/config", NULL, ""));
    assert_true(has_header(w, "Allow: GET, POST\r\n"));
}

static void the_report_of_a_reload_is_the_answer_whether_it_went_well_or_not(void **state)
{
    world *w = *state;
    rc_of_reload = SL_INVALID_ARGUMENT;
    ask(w, &(request)Q(POST, "/sluice/v1/config", NULL, "abc"));
    says(w, 400, "text: abc");
    rc_of_reload = SL_INTERNAL;
    ask(w, &(request)Q(POST, "/sluice/v1/config", NULL, "abc"));
    says(w, 500, "");
    assert_int_equal(w->a.n, 0);
    atomic_store(&w->admin.open, false);
    ask(w, &(request)Q(POST, "/sluice/v1/config", NULL, "abc"));
    says(w, 503, "is starting, or is about to end");
    ask(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""));
    says(w, 200, "models");
}

static void a_configuration_may_come_packed(void **state)
{
    world *w = *state;
    sl_text t = {0};
    for (int i = 0; i < 100; i++)
        sl_text_puts(&t, "abc");
    pack(&t);
    request q = {
        .method = SL_HTTP_POST, .target = "/sluice/v1/config", .body = {t.p, t.n}, .packed = true};
    ask(w, &q);
    says(w, 200, "text: abcabc");
    w->no_room = true;
    ask(w, &q);
    says(w, 503, SL_HTTP_NO_ROOM);
    w->no_room = false;
    q.body.n--;
    ask(w, &q);
    says(w, 400, "cannot be decompressed");
    sl_text_fini(&t);
}

static void when_the_queue_is_full_nothing_waits(void **state)
{
    world *w = *state;
    occupy(w);
    ask(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""));
    says(w, 503, "overloaded");
    let_go(w);
}

/* ---- who may come in ---- */

static const struct {
    const char *address;
    bool good;
} addresses[] = {
    {"localhost", true},
    {"localhost:80", true},
    {"127.0.0.1:80", true},
    {"127.9.9.9", true},
    {"[::1]:80", true},
    {"[::1]", true},
    {"128.0.0.1:80", false},
    {"[::2]:80", false},
    {"[1::1]", false},
    {"[0:0:1::1]", false},
    {"[::1:0:1]", false},
    {"[::1", false},
    {"::1", false},
    {"example.com", false},
    {"", false},
    {":80", false},
    {"127.0.0.1.evil.com", false},
    {"127.0.0.1.a-name-that-is-longer-than-any-address-can-be-written", false},
};

static void only_a_loopback_address_is_asked_without_identities(void **state)
{
    world *w = *state;
    sl_status st;
    char headers[160];
    request q = {.method = SL_HTTP_GET, .target = "/sluice/v1/config", .headers = headers};
    for (size_t i = 0; i < SL_COUNTOF(addresses); i++) {
        snprintf(headers, sizeof headers, "host: %s\n", addresses[i].address);
        ask(w, &q);
        says(w, addresses[i].good ? 200 : 403,
             addresses[i].good ? "" : "done at a loopback address");
        assert_int_equal(sl_admin_check_address(addresses[i].address, NULL, &st) == SL_OK,
                         addresses[i].good);
    }
    assert_int_equal(sl_admin_check_address("unix:/x", NULL, &st), SL_OK);
    q.peer = "unix";
    ask(w, &q);
    says(w, 200, "");
    q.headers = "host: localhost\norigin: http://localhost\n";
    ask(w, &q);
    says(w, 403, "not for web pages");
}

static void a_guard_without_identities_lets_in_who_is_here(void **state)
{
    world *w = *state;
    sl_status st;
    request q = {.method = SL_HTTP_POST, .target = "/sluice/v1/config", .headers = "host: a.b\n"};
    assert_int_equal(sl_guard_new(false, &w->guard, &st), SL_OK);
    w->rest.opt.guard = w->guard;
    ask(w, &q);
    says(w, 403, "loopback");
    q.headers = NULL;
    ask(w, &q);
    says(w, 200, "text");
    q.peer = "10.0.0.1:5";
    ask(w, &q);
    says(w, 403, "");
    assert_int_equal(sl_admin_check_address("10.0.0.1:80", w->guard, &st), SL_INVALID_ARGUMENT);
}

static void with_identities_the_rules_decide(void **state)
{
    world *w = *state;
    sl_status st;
    static const row asked[] = {
        {Q(GET, "/sluice/v1/models", "host: a.b\n", ""), 401, ""},
        {Q(GET, "/sluice/v1/models", STRANGER, ""), 401, ""},
        {Q(GET, "/sluice/v1/models", ANN, ""), 403, ""},
        {Q(GET, "/sluice/v1/models", EVE "host: a.b\n", ""), 200, "models"},
        {Q(POST, "/sluice/v1/config", EVE, "abc"), 200, "text: abc"},
        {Q(GET, "/healthz", NULL, ""), 200, "ok"},
    };
    guarded(w, "limit { concurrent: 1 }" /* whoever is not let go keeps the next one out */
               "rule { principal: 'token:ann' allow: STATUS }"
               "rule { principal: 'token:eve' allow: ADMIN }");
    all_say(w, asked, SL_COUNTOF(asked));
    assert_int_equal(sl_admin_check_address("10.0.0.1:80", w->guard, &st), SL_OK);
}

/* ---- what there is to say about models ---- */

static void labels_traffic_and_shadow_are_shown(void **state)
{
    world *w = *state;
    static const sl_label labels[] = {{"stable", 1}, {"other", 3}};
    static const sl_split_arm arms[] = {{{"stable", 0}, 3}, {{NULL, 7}, 1}};
    const sl_traffic_config t = {.arms = arms,
                                 .n_arms = 2,
                                 .sticky_header = "x-user",
                                 .has_shadow = true,
                                 .shadow = {NULL, 3},
                                 .shadow_percent = 10};
    static const char *const parts[] = {
        "\"labels\": {\"stable\": \"1\", \"other\": \"3\"}",
        "{\"label\": \"stable\", \"version\": \"1\", \"available\": true, \"weight\": 3}",
        "{\"version\": \"7\", \"available\": false, \"weight\": 1}",
        "\"sticky_header\": \"x-user\"",
        "\"shadow\": {\"version\": \"3\", \"available\": true, \"percent\": 10}",
        "\"why\": \"the test chose it\"",
        "\"bytes\": 4096",

        "{\"version\": \"1\", \"state\": \"START\"}", /* d, which has no engine yet */
    };
    make_version(w->f, "m", "3");

    serve(w, &(sl_model_config){
                 .policy = SL_POLICY_ALL, .traffic = &t, .labels = labels, .n_labels = 2});
    until(w->f, "m", 3, SL_STATE_AVAILABLE);
    ask(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""));
    for (size_t i = 0; i < SL_COUNTOF(parts); i++)
        says(w, 200, parts[i]);
    survives_without_memory(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""), false);
}

static void a_label_without_a_version_leads_nowhere(void **state)
{
    world *w = *state;
    static const sl_label label = {"later", 3};
    static const sl_split_arm arm = {{"later", 0}, 1};
    const sl_traffic_config t = {.arms = &arm, .n_arms = 1, .sticky_header = ""};
    make_version(w->f, "m", "3");
    hold(w->f, 3, true); /* until it is loaded */
    serve(w, &(sl_model_config){
                 .policy = SL_POLICY_ALL, .traffic = &t, .labels = &label, .n_labels = 1});
    ask(w, &(request)Q(GET, "/sluice/v1/models/m", NULL, ""));
    says(w, 200, "{\"label\": \"later\", \"available\": false, \"weight\": 1}");
    assert_null(strstr(w->a.body, "sticky"));
    hold(w->f, 3, false);
}

static void a_model_without_versions_and_none_at_all_are_lists(void **state)
{
    world *w = *state;
    sl_status st;
    const sl_model_config c = {.name = "e", .base_path = "/nowhere"};
    clear(w);
    ask(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""));
    says(w, 200, "\"models\": []");
    assert_int_equal(sl_manager_configure(w->f->m, &c, 1, &st), SL_OK);
    ask(w, &(request)Q(GET, "/sluice/v1/models", NULL, ""));
    says(w, 200, "\"versions\": []");
    says(w, 200, "\"configured\": true");
}

static void one_that_goes_is_not_configured(void **state)
{
    world *w = *state;
    const sl_version *v = keep_from_going(w);
    ask(w, &(request)Q(GET, "/sluice/v1/models/m", NULL, ""));
    says(w, 200, "\"configured\": false");
    says(w, 200, "\"state\": \"UNLOADING\"");
    sl_manager_release(w->f->m, v);
}

static void every_answer_survives_without_memory(void **state)
{
    world *w = *state;
    const request q = Q(POST, "/sluice/v1/config", NULL, "abc");
    rc_of_reload = SL_INVALID_ARGUMENT;
    survives_without_memory(w, &q, false);
    rc_of_reload = SL_OK;
    all_survive(w, rows, SL_COUNTOF(rows));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_request_gets_its_answer),
        T(the_report_of_a_reload_is_the_answer_whether_it_went_well_or_not),
        T(a_configuration_may_come_packed),
        T(when_the_queue_is_full_nothing_waits),
        T(only_a_loopback_address_is_asked_without_identities),
        T(a_guard_without_identities_lets_in_who_is_here),
        T(with_identities_the_rules_decide),
        T(labels_traffic_and_shadow_are_shown),
        T(a_label_without_a_version_leads_nowhere),
        T(a_model_without_versions_and_none_at_all_are_lists),
        T(one_that_goes_is_not_configured),
        T(every_answer_survives_without_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
