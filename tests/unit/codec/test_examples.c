/* test_examples.c - the bodies of :classify and :regress */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "codec/examples_json.h"
#include "support/faults.h"

static sl_arena arena;
static sl_status st;
static sl_json_limits limits;
static sl_json_examples ex;

static sl_code decode(const char *body)
{
    static char *copy; /* names in `ex` point into it: it lives until the next call */
    size_t n = strlen(body);
    free(copy);
    copy = malloc(n + 1);
    memcpy(copy, body, n);
    sl_tensor_release(&ex.examples);
    sl_arena_reset(&arena);
    return sl_json_decode_examples((sl_str){copy, n}, &limits, &arena, &ex, &st);
}

static int setup(void **state)
{
    (void)state;
    sl_json_limits_default(&limits);
    return sl_arena_init(&arena, 0);
}

static int teardown(void **state)
{
    (void)state;
    sl_tensor_release(&ex.examples);
    sl_arena_fini(&arena);
    return 0;
}

static void expect(const char *body, const sl_str *want, size_t n)
{
    if (decode(body))
        fail_msg("%s: %s", body, st.msg);
    assert_int_equal(ex.examples.rank, 1);
    assert_int_equal(ex.examples.dims[0], n);
    const sl_str *got = ex.examples.data;
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(got[i].n, want[i].n);
        assert_memory_equal(got[i].p, want[i].p, want[i].n);
    }
}

static void each_kind_of_value_has_its_list(void **state)
{
    (void)state;
    expect("{\"examples\": [{\"x\": 2.0}, {}, {\"x\": [1, true, false]}, {\"x\": []}]}",
           (sl_str[]){{"\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\0\0\0@", 17},
                      {"\x0a\x00", 2},
                      {"\x0a\x0e\x0a\x0c\x0a\x01x\x12\x07\x1a\x05\x0a\x03\x01\x01\x00", 16},
                      {"\x0a\x07\x0a\x05\x0a\x01x\x12\x00", 9}},
           4);
    expect(
        "{\"examples\": [{\"s\": [\"a\\n\", {\"b64\": \"YmM=\"}]}, {\"n\": -1}]}",
        (sl_str[]){{"\x0a\x11\x0a\x0f\x0a\x01s\x12\x0a\x0a\x08\x0a\x02"
                    "a\n\x0a\x02"
                    "bc",
                    19},
                   {"\x0a\x15\x0a\x13\x0a\x01n\x12\x0e\x1a\x0c\x0a\x0a\xff\xff\xff\xff\xff\xff\xff"
                    "\xff\xff\x01",
                    23}},
        2);
}

static void the_context_stands_before_each_example(void **state)
{
    (void)state;
    expect("{\"examples\": [{\"a\": 1}, {}], \"context\": {\"c\": 2}, \"signature_name\": \"s\"}",
           (sl_str[]){{"\x0a\x0c\x0a\x0a\x0a\x01"
                       "c\x12\x05\x1a\x03\x0a\x01\x02\x0a\x0c\x0a\x0a\x0a\x01"
                       "a\x12\x05\x1a\x03\x0a\x01\x01",
                       28},
                      {"\x0a\x0c\x0a\x0a\x0a\x01"
                       "c\x12\x05\x1a\x03\x0a\x01\x02\x0a\x00",
                       16}},
           2);
    assert_true(sl_str_is(ex.signature_name, "s"));
}

static void the_first_of_equal_keys_counts(void **state)
{
    (void)state;
    expect(
        "{\"signature_name\": \"s\", \"signature_name\": 5, \"examples\": [{}], \"examples\": 5, "
        "\"context\": {\"c\": []}, \"context\": 5}",
        (sl_str[]){{"\x0a\x07\x0a\x05\x0a\x01"
                    "c\x12\x00\x0a\x00",
                    11}},
        1);
    assert_true(sl_str_is(ex.signature_name, "s"));
}

static void special_floats_are_floats(void **state)
{
    (void)state;
    assert_int_equal(
        decode("{\"examples\": [{\"x\": [NaN, -Infinity, 1e3, 18446744073709551616]}]}"), SL_OK);
    assert_int_equal(((sl_str *)ex.examples.data)->n, 2 + 2 + 3 + 2 + 2 + 2 + 16);
}

static void wrong_requests_are_refused(void **state)
{
    static const struct {
        const char *body, *message;
    } list[] = {
        {"", "JSON Parse error: The document is empty"},
        {"{\"examples\": [}", "JSON Parse error: Invalid value. at offset: 14"},
        {"[]", "JSON Value: [] Is not object"},
        {"{\"signature_name\": [\"hello\"], \"examples\": [{\"a\": 1}]}",
         "JSON Value: {\n    \"signature_name\": [\"hello\"],\n    \"examples\": [{\n            "
         "\"a\": "
         "1\n        }]\n} not formatted correctly. 'signature_name' key must be a string value."},
        {"{\"context\": [], \"examples\": []}", "Example must be JSON object but got JSON Array"},
        {"{\"context\": {\"a\": null}}", "Feature: a has element with unexpected JSON type: Null"},
        {"{\"instances\": [1]}",
         "JSON Value: {\n    \"instances\": [1]\n} When method is classify, key "
         "'examples' is expected and was not found"},
        {"{\"examples\": 1}",
         "JSON Value: {\n    \"examples\": 1\n} Expecting 'examples' value to be an list/array"},
        {"{\"examples\": []}",
         "JSON Value: {\n    \"examples\": []\n} 'examples' value is an empty array"},
        {"{\"examples\": [{}, null]}", "Example must be JSON object but got JSON Null"},
        {"{\"examples\": [[{\"x\": 1}]]}", "Example must be JSON object but got JSON Array"},
        {"{\"examples\": [{\"a\": [10, null]}]}",
         "Feature: a has element with unexpected JSON type: Null"},
        {"{\"examples\": [{\"a\": {\"t\": 1}}]}",
         "Feature: a has element with unexpected JSON type: Object"},
        {"{\"examples\": [{\"a\": [[1]]}]}",
         "Feature: a has element with unexpected JSON type: Array"},
        {"{\"examples\": [{\"a\": [1, 2.5]}]}",
         "Unexpected element type in feature: a expecting type: int64"},
        {"{\"examples\": [{\"a\": [2.5, 1]}]}",
         "Unexpected element type in feature: a expecting type: float"},
        {"{\"examples\": [{\"a\": [\"x\", true]}]}",
         "Unexpected element type in feature: a expecting type: bytes"},
        {"{\"examples\": [{\"a\": [20, 18446744073709551603]}]}",
         "Feature: a has uint64_t element. Only int64_t is supported."},
        {"{\"examples\": [{\"a\": {\"b64\": \"!!\"}}]}", "Unable to base64 decode"},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        assert_int_equal(decode(list[i].body), SL_INVALID_ARGUMENT);
        assert_string_equal(st.msg, list[i].message);
    }
}

static void a_context_times_many_examples_is_limited(void **state)
{
    (void)state;
    limits.max_string_bytes = 60;
    assert_int_equal(decode("{\"context\": {\"c\": \"0123456789\"}, \"examples\": [{}]}"), SL_OK);
    assert_int_equal(decode("{\"context\": {\"c\": \"0123456789\"}, \"examples\": [{},{},{}]}"),
                     SL_RESOURCE_EXHAUSTED);
}

/* Or else a request of 100 KB would be a gigabyte. */
static void what_a_context_for_each_example_expands_to_is_limited(void **state)
{
    (void)state;
    limits.max_expanded_bytes = 3 * 23;
    assert_int_equal(decode("{\"context\": {\"c\": \"0123456789\"}, \"examples\": [{},{},{}]}"),
                     SL_OK);
    limits.max_expanded_bytes = 3 * 23 - 1;
    assert_int_equal(decode("{\"context\": {\"c\": \"0123456789\"}, \"examples\": [{},{},{}]}"),
                     SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "a context of 23 bytes for each of 3 examples is more than the 68 "
                                "bytes that a request may expand to");
    assert_int_equal(decode("{\"context\": {\"c\": \"0123456789\"}, \"examples\": [{},{}]}"),
                     SL_OK);
}

static void examples_are_limited(void **state)
{
    (void)state;
    limits.max_elements = 2;
    assert_int_equal(decode("{\"examples\": [{}, {}]}"), SL_OK);
    assert_int_equal(decode("{\"examples\": [{}, {}, {}]}"), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "request holds more than 2 examples");
}

static sl_code decode_once(void *arg, sl_status *status)
{
    sl_code rc = decode(arg);
    *status = st;
    return rc;
}

static void a_failed_allocation_is_an_error(void **state)
{
    static char body[] =
        "{\"context\": {\"c\": [1]}, \"examples\": [{\"a\": \"x\\n\"}, {\"\\u0062\": {\"b64\": "
        "\"YQ==\"}}], \"signature_name\": \"s\\u0062\"}";
    (void)state;
    assert_in_range(fail_each_allocation(decode_once, body), 3, 100);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(each_kind_of_value_has_its_list),
        T(the_context_stands_before_each_example),
        T(the_first_of_equal_keys_counts),
        T(special_floats_are_floats),
        T(wrong_requests_are_refused),
        T(a_context_times_many_examples_is_limited),
        T(what_a_context_for_each_example_expands_to_is_limited),
        T(examples_are_limited),
        T(a_failed_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
