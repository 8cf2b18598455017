/* test_json.c - single members of small documents, whatever stands in their place */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fetch/helper/json.h"

static void a_string_is_found_by_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *document, *path, *value; /* NULL: none */
    } cases[] = {{"{\"a\": {\"b\": \"x\"}}", "a.b", "x"},
                 {"{\"z\": [1, {}], \"a\": \"\\u00e4\\n\"}", "a", "\xc3\xa4\n"},
                 {"{\"a\": {\"c\": \"x\"}}", "a.b", NULL},
                 {"{\"a\": \"x\"}", "a.b", NULL},
                 {"{\"a\": 7}", "a", NULL},
                 {"{\"a\": null}", "a", NULL},
                 {"{\"a\": \"x\\u0000y\"}", "a", NULL},
                 {"{\"a\": \"\\x\"}", "a", NULL},
                 {"{\"a\": \"cut", "a", NULL},
                 {"{\"z\": tru, \"a\": \"x\"}", "a", NULL},
                 {"[\"a\"]", "a", NULL},
                 {"", "a", NULL}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        char *value = fetch_json_string(sl_str_of(cases[i].document), cases[i].path);
        if (cases[i].value == NULL)
            assert_null(value);
        else
            assert_string_equal(value, cases[i].value);
        sl_free(value);
    }
}

static void a_string_that_is_too_long_is_none(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_text_printf(&t, "{\"a\": \"%065536d\", \"b\": \"%065537d\"}", 1, 1);
    char *a = fetch_json_string((sl_str){t.p, t.n}, "a");
    assert_int_equal(strlen(a), 65536);
    assert_null(fetch_json_string((sl_str){t.p, t.n}, "b"));
    sl_free(a);
    sl_text_fini(&t);
}

static void a_number_may_be_a_string(void **state)
{
    (void)state;
    static const struct {
        const char *document;
        bool has;
        int64_t value;
    } cases[] = {{"{\"a\": 7}", true, 7},
                 {"{\"a\": \"-7\"}", true, -7},
                 {"{\"a\":  9223372036854775807 }", true, INT64_MAX},
                 {"{\"a\": 7.5}", false, 0},
                 {"{\"a\": \"x\"}", false, 0},
                 {"{\"a\": \"7", false, 0},
                 {"{\"a\": tru", false, 0},
                 {"{\"a\": []}", false, 0},
                 {"{\"b\": 7}", false, 0}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        int64_t value = 0;
        assert_int_equal(fetch_json_int(sl_str_of(cases[i].document), "a", &value), cases[i].has);
        if (cases[i].has)
            assert_true(value == cases[i].value);
    }
}

static void null_is_as_good_as_nothing(void **state)
{
    (void)state;
    assert_true(fetch_json_has(SL_STR("{\"a\": 0}"), "a"));
    assert_false(fetch_json_has(SL_STR("{\"a\": null}"), "a"));
    assert_false(fetch_json_has(SL_STR("{}"), "a"));
}

static int seen;

static bool see(void *arg, sl_str element)
{
    int *most = arg;
    assert_true(element.n > 0);
    return ++seen < *most;
}

static void an_array_is_walked_only_in_a_document_that_is_whole(void **state)
{
    (void)state;
    static const struct {
        const char *document;
        bool whole;
        int seen;
    } cases[] = {{"{\"a\": [1, \"x\", {}]}", true, 2},
                 {"{\"a\": [1]}", true, 1},
                 {"{\"a\": []}", true, 0},
                 {"{\"a\": {}}", true, 0},
                 {"{\"b\": [1]}", true, 0},
                 {"{\"a\": [1], \"b\": ", false, 0},
                 {"{\"a\": [1, tru]}", false, 0}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        int most = 2;
        seen = 0;
        assert_int_equal(fetch_json_each(sl_str_of(cases[i].document), "a", see, &most),
                         cases[i].whole);
        assert_int_equal(seen, cases[i].seen);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_string_is_found_by_its_path),
        cmocka_unit_test(a_string_that_is_too_long_is_none),
        cmocka_unit_test(a_number_may_be_a_string),
        cmocka_unit_test(null_is_as_good_as_nothing),
        cmocka_unit_test(an_array_is_walked_only_in_a_document_that_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
