/* test_document.c - for how long a document may be kept */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch/helper/document.h"
#include "fixture.h"

static void max_age_is_found_among_other_directives(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
        uint64_t age;
    } cases[] = {{"max-age=300", true, 300},
                 {"public, max-age=19845, must-revalidate, no-transform", true, 19845},
                 {"\t Max-Age=0 \t", true, 0},
                 {"s-maxage=10,max-age=9223372036854775807", true, INT64_MAX},
                 {"", false, 0},
                 {",,,", false, 0},
                 {"max-age=", false, 0},
                 {"max-age=x", false, 0},
                 {"max-age=-1", false, 0},
                 {"max-age=99999999999999999999", false, 0},
                 {"max-age=60, no-cache", false, 0},
                 {"no-store", false, 0},
                 {"x-max-age=1", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t age = 0;
        bool has = fetch_max_age(cases[i].text, &age);
        assert_int_equal(has, cases[i].has);
        if (has)
            assert_true(age == cases[i].age);
    }
}

/* ---- reading ---- */

static const char *location;
static int redirects, status_after;

static void answer(web_request *r)
{
    char headers[200] = "Cache-Control: max-age=60\r\n";
    if (r->number < redirects)
        snprintf(headers, sizeof headers, "Location: %s\r\n", location);
    web_send(r, r->number < redirects ? 300 + status_after : 200, headers, "keys", 4);
}

static fetch_document document;

static sl_code read_document(const char *path)
{
    char url[200], name[] = "";
    fetch_op op = new_op();
    snprintf(url, sizeof url, "%s%s", web_url(), path);
    op.url = url;
    op.name = name;
    op.patience_s = 5;
    op.max_bytes = 4;
    assert_int_equal(sl_fetch_url_parse(sl_str_of(url), &op.place, &st), SL_OK);
    return fetch_read(&op, &document, &st);
}

static sl_code redirected(const char *to, int status, int times)
{
    web_stop();
    location = to;
    status_after = status - 300;
    redirects = times;
    web_start(answer);
    return read_document("/jwks?secret");
}

static int setup(void **state)
{
    redirects = 0;
    if (fixture_setup(state))
        return 1;
    web_start(answer);
    return 0;
}

static int teardown(void **state)
{
    web_stop();
    fetch_document_fini(&document);
    return fixture_teardown(state);
}

static void a_document_comes_with_its_age(void **state)
{
    (void)state;
    assert_int_equal(read_document("/jwks"), SL_OK);
    assert_int_equal(document.text.n, 4);
    assert_memory_equal(document.text.p, "keys", 4);
    assert_true(document.has_age && document.age_s == 60);
    assert_string_equal(web_seen(0)->target, "/jwks");
}

static void redirects_of_a_document_stay_on_its_host(void **state)
{
    (void)state;
    static const int followed[] = {301, 302, 303, 307, 308};
    for (size_t i = 0; i < SL_COUNTOF(followed); i++) {
        assert_int_equal(redirected("/else", followed[i], 1), SL_OK);
        assert_string_equal(web_seen(1)->target, "/else");
        fetch_document_fini(&document);
    }
    assert_int_equal(redirected("/else", 302, 3), SL_OK);
    fetch_document_fini(&document);
    assert_int_equal(redirected("/else", 302, 4), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "/else: it is redirected too often"));
    assert_int_equal(web_asked(), 4);
    assert_int_equal(redirected("http://other.example/", 302, 1), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "/jwks: it is redirected to another host, or to plain HTTP"));
    assert_int_equal(redirected("//[", 302, 1), SL_FAILED_PRECONDITION);
    assert_int_equal(redirected("/else", 300, 1), SL_FAILED_PRECONDITION);
    assert_int_equal(redirected("", 302, 1), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "HTTP status 302"));
    assert_null(strstr(st.msg, "secret"));
    assert_int_equal(web_asked(), 1);
    assert_null(document.text.p);
}

static void what_is_no_document_is_an_error(void **state)
{
    (void)state;
    web_stop();
    assert_int_equal(read_document("/jwks"), SL_UNAVAILABLE);
    web_start(answer);
    assert_int_equal(redirected("", 404, 9), SL_NOT_FOUND);
    /* Whose authorities are named has no others. */
    fetch_op op = new_op();
    char url[100], name[] = "/nonexistent/ca.pem";
    snprintf(url, sizeof url, "https%s/", web_url() + strlen("http"));
    op.url = url;
    op.name = name;
    op.patience_s = 5;
    assert_int_equal(fetch_read(&op, &document, &st), SL_FAILED_PRECONDITION);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(max_age_is_found_among_other_directives),
        T(a_document_comes_with_its_age),
        T(redirects_of_a_document_stay_on_its_host),
        T(what_is_no_document_is_an_error),
    };
    if (fetch_http_start(&st))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
