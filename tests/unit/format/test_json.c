#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/base64.h"
#include "format/json.h"
#include "format/json_escape.h"

/* Skips the text's value; the text ends where its memory does. */
static void skip_text(sl_json *j, const char *text, size_t n)
{
    char *copy = malloc(n + 1);
    memcpy(copy, text, n);
    sl_json_open(j, (sl_str){copy, n}, SL_JSON_MAX_DEPTH);
    if (!j->error)
        sl_json_skip(j);
    j->begin = NULL;
    free(copy);
}

static void syntax_errors_have_the_original_text_and_offset(void **state)
{
    static const struct {
        const char *text, *error;
        size_t offset;
    } cases[] = {
        {"   ", "The document is empty.", 3},
        {"]", "The document is empty.", 0},
        {"instances = [1, 2]", "Invalid value.", 0},
        {"{\"instances\":[+1]}", "Invalid value.", 14},
        {"{\"instances\":[1,]}", "Invalid value.", 16},
        {"{\"instances\":[nan]}", "Invalid value.", 15},
        {"{\"instances\":[tru]}", "Invalid value.", 17},
        {"{\"instances\":[.5]}", "Invalid value.", 14},
        {"{'a':1}", "Missing a name for object member.", 1},
        {"{\"instances\":[1],}", "Missing a name for object member.", 17},
        {"{\"a\\x\":1}", "Invalid escape character in string.", 3},
        {"{\"instances\" [1]}", "Missing a colon after a name of object member.", 13},
        {"{\"instances\":[1,2]", "Missing a comma or '}' after an object member.", 18},
        {"{\"a\":1 \"b\":2}", "Missing a comma or '}' after an object member.", 7},
        {"{\"instances\":[01]}", "Missing a comma or ']' after an array element.", 15},
        {"{\"a\":\"\\u12\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\ud800\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800\\u0041\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\udc00\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800x\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800\\n\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800\\ue000\"}", "The surrogate pair in string is invalid.", 6},
        {"{\"a\":\"\\ud800\\u00\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00g0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00G0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00`0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00@0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00:0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\u00/0\"}", "Incorrect hex digit after \\u escape in string.", 6},
        {"{\"a\":\"\\x\"}", "Invalid escape character in string.", 6},
        {"{\"a\":\"a\x01"
         "b\"}",
         "Invalid escape character in string.", 7},
        {"{\"a\":\"abc", "Missing a closing quotation mark in string.", 9},
        {"{\"instances\":[1e400]}", "Number too big to be stored in double.", 14},
        {"{\"instances\":[1.]}", "Miss fraction part in number.", 16},
        {"{\"instances\":[1e]}", "Miss exponent in number.", 16},
        {"\xEF\xBB\xBF{\"a\" 1}", "Missing a colon after a name of object member.", 8},
        {"[1, 2", "Missing a comma or ']' after an array element.", 5},
        {"[", "Invalid value.", 1},
        {"{\"a\":", "Invalid value.", 5},
    };
    sl_json j;
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        skip_text(&j, cases[i].text, strlen(cases[i].text));
        if (!j.error)
            fail_msg("%s: no error", cases[i].text);
        assert_string_equal(j.error, cases[i].error);
        assert_int_equal(j.offset, cases[i].offset);
    }
}

static void good_texts_are_skipped_to_their_end(void **state)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "0",
                                        "\"\"",
                                        "null",
                                        "[[],{},[{}]]",
                                        " { \"a\" : [ 1 , true , false , null ] } ",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"",
                                        "[NaN,-NaN,Inf,-Inf,Infinity,-Infinity]",
                                        "\xEF\xBB\xBF[1]",
                                        "[\"\\u0000\"]",
                                        "\"\xff\xfe\""};
    sl_json j;
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(texts); i++) {
        skip_text(&j, texts[i], strlen(texts[i]));
        assert_null(j.error);
        assert_int_equal(j.depth, 0);
    }
}

static void what_follows_the_value_is_not_looked_at(void **state)
{
    sl_json j;
    (void)state;
    skip_text(&j, "[1] garbage", 11);
    assert_null(j.error);
}

static void a_zero_byte_ends_the_text(void **state)
{
    sl_json j;
    (void)state;
    skip_text(&j, "[1\0,2]", 6);
    assert_string_equal(j.error, "Missing a comma or ']' after an array element.");
    assert_int_equal(j.offset, 2);
}

static void five_million_brackets_are_an_error_not_a_crash(void **state)
{
    size_t n = 5000000;
    char *text = malloc(n);
    sl_json j;
    (void)state;
    memset(text, '[', n);
    sl_json_open(&j, (sl_str){text, n}, 10000);
    assert_false(sl_json_skip(&j));
    assert_string_equal(j.error, "nested deeper than 10000 levels");
    assert_int_equal(j.offset, 10000);
    free(text);
}

static void members_and_elements_come_one_by_one(void **state)
{
    const char *text = "{\"a\": [1, 2], \"b\\u0063\": {}, \"d\": \"x\"}";
    sl_json j;
    sl_json_string key, value;
    sl_number n;
    (void)state;
    sl_json_open(&j, sl_str_of(text), 10);
    assert_true(sl_json_enter(&j, '{'));
    assert_true(sl_json_member(&j, &key));
    assert_true(sl_json_string_is(&key, SL_STR("a")));
    assert_true(sl_json_enter(&j, '['));
    assert_true(sl_json_element(&j));
    assert_true(sl_json_read_number(&j, &n));
    assert_true(sl_json_element(&j));
    assert_true(sl_json_read_number(&j, &n));
    assert_int_equal(n.i, 2);
    assert_false(sl_json_element(&j));
    assert_true(sl_json_member(&j, &key));
    assert_true(sl_json_string_is(&key, SL_STR("bc")));
    assert_false(sl_json_string_is(&key, SL_STR("b\\u0063")));
    assert_true(sl_json_skip(&j));
    assert_true(sl_json_member(&j, &key));
    assert_true(sl_json_read_string(&j, &value));
    assert_true(sl_json_string_is(&value, SL_STR("x")));
    assert_false(sl_json_member(&j, &key));
    assert_null(j.error);
    assert_int_equal(j.depth, 0);
}

static void escapes_are_undone(void **state)
{
    const char *raw = "a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20AC\\ud83d\\ude00z";
    char out[64];
    (void)state;
    size_t n = sl_json_unescape(sl_str_of(raw), out);
    const char *want = "a\"\\/\b\f\n\r\tA\xC3\xA9\xE2\x82\xAC\xF0\x9F\x98\x80z";
    assert_int_equal(n, strlen(want));
    assert_memory_equal(out, want, n);
}

static void strings_are_escaped_in_both_dialects(void **state)
{
    sl_text t = {0};
    sl_str s = {"\"\\/\b\f\n\r\t\x01\x1f<\x7f\xff\0", 14};
    (void)state;
    sl_json_escape_text(SL_JSON_RAPID, s, &t);
    assert_string_equal(t.p, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001F<\x7f\xff\\u0000\"");
    sl_text_fini(&t);
    sl_json_escape_text(SL_JSON_PROTOBUF, s, &t);
    assert_string_equal(t.p, "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u003c\\u007f\xff\\u0000\"");
    sl_text_fini(&t);
}

static void base64_is_read_as_the_original_reads_it(void **state)
{
    static const struct {
        const char *text, *bytes; /* NULL: refused */
    } cases[] = {{"aGVsbG8=", "hello"},
                 {"aGVsbG8", "hello"},
                 {"aGVs bG8=", "hello"},
                 {"aGVsbG8.", "hello"},
                 {"\taGVs\nbG8=\r", "hello"},
                 {"aGVsbG8= ", "hello"},
                 {"", ""},
                 {"YQ==", "a"},
                 {"YQ", "a"},
                 {"aGVsbG8==", NULL},
                 {"YQ=", NULL},
                 {"Y", NULL},
                 {"YWJj=", NULL},
                 {"_-8=", NULL},
                 {"!!", NULL},
                 {"YQ==YQ==", NULL}};
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        char out[16];
        size_t n;
        bool good = sl_base64_check(sl_str_of(cases[i].text), &n);
        assert_int_equal(good, cases[i].bytes != NULL);
        if (!good)
            continue;
        assert_int_equal(n, strlen(cases[i].bytes));
        assert_int_equal(sl_base64_decode(sl_str_of(cases[i].text), out), n);
        assert_memory_equal(out, cases[i].bytes, n);
    }
}

static void base64_survives_the_way_there_and_back(void **state)
{
    char bytes[256], text[400], back[256];
    (void)state;
    for (int i = 0; i < 256; i++)
        bytes[i] = (char)(i * 37);
    for (size_t n = 0; n < sizeof bytes; n++) {
        size_t m = (size_t)(sl_base64_encode((sl_str){bytes, n}, text) - text), k;
        assert_int_equal(m, sl_base64_size(n));
        assert_true(sl_base64_check((sl_str){text, m}, &k));
        assert_int_equal(k, n);
        assert_int_equal(sl_base64_decode((sl_str){text, m}, back), n);
        assert_memory_equal(back, bytes, n);
    }
}

static void a_size_beyond_memory_is_no_size(void **state)
{
    (void)state;
    assert_int_equal(sl_base64_size(SIZE_MAX), SIZE_MAX);
    assert_int_equal(sl_base64_size(0), 0);
}

static void the_alphabet_of_urls_has_no_plus_and_no_slash(void **state)
{
    char out[8];
    size_t n;
    (void)state;
    assert_true(sl_base64url_decode(SL_STR("-_-_"), out, &n) && n == 3);
    assert_false(sl_base64url_decode(SL_STR("+___"), out, &n));
    assert_false(sl_base64url_decode(SL_STR("/___"), out, &n));
    assert_false(sl_base64url_decode(SL_STR("A"), out, &n));
    assert_false(sl_base64url_decode(SL_STR("AB"), out, &n)); /* bits that belong to no byte */
    assert_false(sl_base64url_decode(SL_STR("AAB"), out, &n));
}

/* What was wrong first is what is said, whatever is asked for then. */
static void after_an_error_nothing_is_read(void **state)
{
    static const char text[] = "[1 2] \"a\" 3 {\"a\": 1}";
    sl_json j;
    sl_json_string s;
    sl_number n;
    (void)state;
    sl_json_open(&j, sl_str_of(text), 10);
    assert_false(sl_json_skip(&j));
    const char *error = j.error;
    size_t offset = j.offset;
    assert_non_null(error);
    j.at = text + 6;
    assert_false(sl_json_read_string(&j, &s));
    j.at = text + 10;
    assert_false(sl_json_read_number(&j, &n));
    assert_ptr_equal(j.error, error);
    assert_int_equal(j.offset, offset);
}

static void a_backslash_at_the_end_escapes_nothing(void **state)
{
    static const sl_str texts[] = {{"\"abc\\", 5}, {"\"abc\\\0\"", 7}};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        sl_json j;
        sl_json_string s;
        sl_json_open(&j, texts[i], 10);
        assert_false(sl_json_read_string(&j, &s));
        assert_non_null(j.error);
    }
}

static void a_long_name_with_escapes_is_none_that_is_looked_for(void **state)
{
    char text[400];
    sl_json j;
    sl_json_string s;
    (void)state;
    for (int n = 100; n <= 300; n += 200) {
        memset(text, 'a', sizeof text);
        memcpy(text, "\"\\u0061", 7);
        text[7 + n] = '"';
        sl_json_open(&j, (sl_str){text, (size_t)n + 8}, 10);
        assert_true(sl_json_read_string(&j, &s) && s.escaped);
        char plain[400];
        memset(plain, 'a', sizeof plain);
        assert_int_equal(sl_json_string_is(&s, (sl_str){plain, (size_t)n + 1}), n == 100);
        assert_false(sl_json_string_is(&s, (sl_str){plain, (size_t)n + 50}));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_size_beyond_memory_is_no_size),
        cmocka_unit_test(after_an_error_nothing_is_read),
        cmocka_unit_test(a_backslash_at_the_end_escapes_nothing),
        cmocka_unit_test(a_long_name_with_escapes_is_none_that_is_looked_for),
        cmocka_unit_test(the_alphabet_of_urls_has_no_plus_and_no_slash),
        cmocka_unit_test(syntax_errors_have_the_original_text_and_offset),
        cmocka_unit_test(good_texts_are_skipped_to_their_end),
        cmocka_unit_test(what_follows_the_value_is_not_looked_at),
        cmocka_unit_test(a_zero_byte_ends_the_text),
        cmocka_unit_test(five_million_brackets_are_an_error_not_a_crash),
        cmocka_unit_test(members_and_elements_come_one_by_one),
        cmocka_unit_test(escapes_are_undone),
        cmocka_unit_test(strings_are_escaped_in_both_dialects),
        cmocka_unit_test(base64_is_read_as_the_original_reads_it),
        cmocka_unit_test(base64_survives_the_way_there_and_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
