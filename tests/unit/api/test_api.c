/* test_api.c - what http/ asks besides answers: who may connect, and what a refused request was */
#include "unit/api/fixture.h"

static void without_a_guard_everybody_may_connect(void **state)
{
    world *w = *state;
    void *counter = w;
    assert_true(sl_api_on_connect(SL_STR("10.0.0.1:5"), SL_ON_REST, &counter, &w->api));
    assert_null(counter);
    assert_false(sl_api_is_proxy(SL_STR("10.0.0.1:5"), &w->api));
}

static void the_guard_says_who_may_connect(void **state)
{
    world *w = *state;
    void *one = NULL, *other = NULL;
    guarded(w, "rule { principal: '*' allow: PREDICT } deny_network: '10.0.0.0/8' trusted_proxy: '127.0.0.1' connections_per_address: 1");
    assert_false(sl_api_on_connect(SL_STR("10.0.0.1:5"), SL_ON_REST, &one, &w->api));
    assert_null(one);
    assert_true(sl_api_on_connect(SL_STR("11.0.0.1:5"), SL_ON_REST, &one, &w->api));
    assert_false(sl_api_on_connect(SL_STR("11.0.0.1:6"), SL_ON_REST, &other, &w->api));
    sl_api_on_disconnect(one, &w->api);
    assert_true(sl_api_on_connect(SL_STR("11.0.0.1:6"), SL_ON_REST, &other, &w->api));
    sl_api_on_disconnect(other, &w->api);
    assert_true(sl_api_is_proxy(SL_STR("127.0.0.1:5"), &w->api));
    assert_false(sl_api_is_proxy(SL_STR("11.0.0.1:5"), &w->api));
}

static void refuse_in_log(world *w, const request *q)
{
    open_call(w, q);
    sl_api_on_refused(&w->call, 413, "too large", &w->api);
}

static void a_refused_request_gets_a_line_with_what_was_understood(void **state)
{
    world *w = *state;
    int fd = open_log(w);
    char text[8192];
    w->access.mode = SL_ACCESS_OFF;
    refuse_in_log(w, &(request)Q(POST, "/a", NULL, ""));
    assert_string_equal(read_log(fd, text, sizeof text), "");
    w->access.mode = SL_ACCESS_ALL;
    refuse_in_log(w, &(request)Q(POST, "/a", NULL, ""));
    assert_non_null(strstr(read_log(fd, text, sizeof text),
                           "method=\"POST\" path=\"/a\" model=\"\" signature=\"\" status=413"));
    assert_non_null(strstr(text, "error=\"too large\""));
    refuse_in_log(w, &(request){.target = ""});
    assert_non_null(strstr(read_log(fd, text, sizeof text), "method=\"-\" path=\"-\""));
    w->rest.opt.access = NULL;
    refuse_in_log(w, &(request)Q(POST, "/a", NULL, ""));
    assert_string_equal(read_log(fd, text, sizeof text), "");
    close_log(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(without_a_guard_everybody_may_connect),
        T(the_guard_says_who_may_connect),
        T(a_refused_request_gets_a_line_with_what_was_understood),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
