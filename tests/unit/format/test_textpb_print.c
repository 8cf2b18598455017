/* test_textpb_print.c - each type of field as text, read and printed again; what cannot be */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/str.h"
#include "every_type.h"
#include "format/textpb.h"
#include "format/textpb_print.h"
#include "support/faults.h"

static sl_status st;

static sl_code read(const char *text, sl_text *wire)
{
    memset(&st, 0, sizeof st);
    return sl_textpb_parse(sl_str_of(text), &every_type, NULL, 0, wire, &st);
}

/* `text` means the same as `canonical`, which is what is printed of it. */
static void means(const char *text, const char *canonical)
{
    sl_text wire = {0}, out = {0};
    if (read(text, &wire))
        fail_msg("%s: %s", text, st.msg);
    if (sl_textpb_print((sl_str){wire.p, wire.n}, &every_type, &out, &st))
        fail_msg("%s: %s", text, st.msg);
    sl_text_putc(&out, '\0');
    assert_string_equal(out.p, canonical);
    sl_text_fini(&wire);
    sl_text_fini(&out);
}

static void refused(const char *text, const char *why)
{
    sl_text wire = {0};
    assert_int_equal(read(text, &wire), SL_INVALID_ARGUMENT);
    if (strstr(st.msg, why) == NULL)
        fail_msg("%s: \"%s\" is not in \"%s\"", text, why, st.msg);
    sl_text_fini(&wire);
}

static void each_type_is_read_and_printed(void **state)
{
    (void)state;
    static const char *const same[] = {"f01: -2147483648\n",
                                       "f02: -3\n",
                                       "f03: -4\n",
                                       "f04: -9223372036854775808\n",
                                       "f05: -5\n",
                                       "f06: -6\n",
                                       "f07: 4294967295\n",
                                       "f08: 7\n",
                                       "f09: 18446744073709551615\n",
                                       "f10: 8\n",
                                       "f11: 1.5\n",
                                       "f12: -0.1\n",
                                       "f11: inf\n",
                                       "f12: -inf\n",
                                       "f11: nan\n",
                                       "f13: true\n",
                                       "f13: false\n",
                                       "f14: TWO\n",
                                       "f14: 7\n",
                                       "f15: \"a\\n\\\"\\\\\\001\\177\xc3\xa9\"\n",
                                       "f16: \"a\\377\\042\\134\\177\\012\"\n",
                                       "f17 {\n  f01: 1\n  f17 {\n  }\n}\n",
                                       "f18: 1\nf18: -1\n",
                                       "f31: ZERO\nf31: TWO\n",
                                       "f34 {\n}\nf34 {\n  f30: true\n}\n",
                                       "f35 {\n  key: \"a\"\n  value: \"b\"\n}\n"};
    for (size_t i = 0; i < SL_COUNTOF(same); i++)
        means(same[i], same[i]);
}

static void there_are_other_ways_to_write_it(void **state)
{
    (void)state;
    static const struct {
        const char *text, *canonical;
    } cases[] = {
        {"f01: 0x1F", "f01: 31\n"},
        {"f01: 017", "f01: 15\n"},
        {"f01: - 1", "f01: -1\n"},
        {"f11: .5", "f11: 0.5\n"},
        {"f11: 0", "f11: 0.0\n"},
        {"f11: 0.5e+1", "f11: 5.0\n"},
        {"f11: 0e-1", "f11: 0.0\n"},
        {"f11: 0f", "f11: 0.0\n"},
        {"f11: 1E1F", "f11: 10.0\n"},
        {"f12: -Infinity", "f12: -inf\n"},
        {"f12: NaN", "f12: nan\n"},
        {"f13: 1, f17: < f13: t >;", "f13: true\nf17 {\n  f13: true\n}\n"},
        {"f13: 0x0", "f13: false\n"},
        {"f13: True", "f13: true\n"},
        {"f13: False", "f13: false\n"},
        {"f13: f", "f13: false\n"},
        {"f18: [1, 2]; f18: []", "f18: 1\nf18: 2\n"},
        {"f34 [{f01: 1}, <>]", "f34 {\n  f01: 1\n}\nf34 {\n}\n"},
        {"f15: 'a' \"b\"", "f15: \"ab\"\n"},
        {"f15: '\\x41\\X4a\\102\\u00e9\\U0001F600\\ud83d\\ude00\\u20ac\\u0041\\?'",
         "f15: \"AJB\xc3\xa9\xf0\x9f\x98\x80\xf0\x9f\x98\x80\xe2\x82\xac"
         "A?\"\n"},
        {"f16: '\\0'", "f16: \"\\000\"\n"},
        {"f01: 1 f41: 'b' f39: 2", "f01: 1\nf41: \"b\"\nf39: 2\n"},
        {"# nothing", ""},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        means(cases[i].text, cases[i].canonical);
}

static void what_is_wrong_is_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"f01: 2147483648", "out of range"},
        {"f01: -2147483649", "out of range"},
        {"f01: 09", "out of range"},
        {"f04: 18446744073709551616", "out of range"},
        {"f04: 99999999999999999999999999", "out of range"},
        {"f01: 'a'", "an integer for \"f01\""},
        {"f01: -", "an integer for \"f01\""},
        {"f01: -\1", "byte 0x01"},
        {"f01: \x7f", "byte 0x7f"},
        {"f01: 1 f01: 2", "given twice"},
        {"f02: 4294967296", "out of range"},
        {"f03: x", "an integer"},
        {"f05: x", "an integer"},
        {"f06: x", "an integer"},
        {"f07: -1", "out of range"},
        {"f08: x", "an integer"},
        {"f09: x", "an integer"},
        {"f10: x", "an integer"},
        {"f11: 0x10", "a decimal number"},
        {"f11: 012", "a decimal number"},
        {"f11: 'a'", "a decimal number"},
        {"f11: -\1", "byte 0x01"},
        {"f11: 1e", "a digit of the exponent"},
        {"f11: 1e+", "a digit of the exponent"},
        {"f11: 1x", "a blank between a number and"},
        {"f01: 0x", "a hexadecimal digit"},
        {"f13: 2", "true or false"},
        {"f13: 08", "true or false"},
        {"f13: yes", "true or false"},
        {"f13: 'true'", "true or false"},
        {"f14: TOW", "did you mean \"TWO\"?"},
        {"f14: ABCDEFGH", "no value named \"ABCDEFGH\""},
        {"f14: 'TWO'", "an integer"},
        {"f15: 1", "a string in quotes"},
        {"f15: 'a", "never closed"},
        {"f15: 'a\nb'", "does not go on in the next line"},
        {"f15: 'a\\\nb'", "does not go on in the next line"},
        {"f15: 'a' \1", "byte 0x01"},
        {"f15: '\\0'", "a zero byte"},
        {"f15: '\\q'", "wrong escape \"\\q\""},
        {"f15: '\\xg'", "wrong escape"},
        {"f15: '\\777'", "wrong escape"},
        {"f15: '\\u12'", "wrong escape"},
        {"f15: '\\ud800'", "wrong escape"},
        {"f15: '\\ud800\\n'", "wrong escape"},
        {"f15: '\\ud800\\x0000'", "wrong escape"},
        {"f15: '\\ud800\\u12'", "wrong escape"},
        {"f15: '\\ud800\\u12345'", "wrong escape"},
        {"f15: '\\ud800\\u0041'", "wrong escape"},
        {"f15: '\\ud800\\ue000'", "wrong escape"},
        {"f15: '\\U00110000'", "wrong escape"},
        {"f15 'a'", "\":\""},
        {"f18: [1 2]", "\",\" or \"]\""},
        {"f18: [1,]", "an integer"},
        {"f18: [x]", "an integer"},
        {"f18: [\1]", "byte 0x01"},
        {"f34 [{}", "\",\" or \"]\""},
        {"f17: 1", "\"{\""},
        {"f17 {", "opened in line 1"},
        {"f17 { 1 }", "opened in line 1"},
        {"1", "a field of Every"},
        {"[a.b/c] {}", "message Every has no extensions"},
        {"f39: 1 f40: 'a'", "excludes \"f39\""},
        {"f41: 'a' f40: 'a' f39: 1", "excludes \"f40\""},
        {"f1: 1", "did you mean"},
        {"abcdefgh: 1", "no field named \"abcdefgh\""},
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        refused(cases[i].text, cases[i].why);
    char digits[400] = "f11: ";
    memset(digits + 5, '1', 300);
    refused(digits, "a decimal number");
}

static void packed_lists_are_printed_one_by_one(void **state)
{
    (void)state;
    static const struct {
        sl_str wire;
        const char *text; /* NULL: damaged */
    } cases[] = {
        {SL_STR("\x92\1\2\1\2"), "f18: 1\nf18: 2\n"},
        {SL_STR("\xa2\1\4\1\0\0\0"), "f20: 1\n"},
        {SL_STR("\xba\1\x08\1\0\0\0\0\0\0\0"), "f23: 1\n"},
        {SL_STR("\x92\1\1\x80"), NULL},
        {SL_STR("\xa2\1\1\1"), NULL},
        {SL_STR("\xba\1\1\1"), NULL},
        {SL_STR("\x0d\1\0\0\0"), NULL}, /* a field of another type */
        {SL_STR("\xff"), NULL},
        {SL_STR("\x8a\1\1\xff"), NULL},
        {SL_STR("\xf8\x07\1\x08\1"), "f01: 1\n"}, /* no such field */
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_text out = {0};
        sl_code rc = sl_textpb_print(cases[i].wire, &every_type, &out, &st);
        assert_int_equal(rc, cases[i].text ? SL_OK : SL_DATA_LOSS);
        sl_text_putc(&out, '\0');
        if (cases[i].text)
            assert_string_equal(out.p, cases[i].text);
        sl_text_fini(&out);
    }
}

static void messages_nest_a_hundred_deep(void **state)
{
    (void)state;
    for (int levels = 100; levels <= 101; levels++) {
        char wire[512], *begin = wire + sizeof wire;
        for (int i = 0; i < levels; i++) {
            size_t n = (size_t)(wire + sizeof wire - begin);
            if (n >= 128)
                *--begin = (char)(n >> 7);
            *--begin = (char)(n >= 128 ? n | 128 : n);
            *--begin = '\1';
            *--begin = '\x8a';
        }
        sl_text out = {0};
        sl_str s = {begin, (size_t)(wire + sizeof wire - begin)};
        assert_int_equal(sl_textpb_print(s, &every_type, &out, &st),
                         levels == 100 ? SL_OK : SL_DATA_LOSS);
        sl_text_fini(&out);
    }
}

static sl_code read_and_print(void *arg, sl_status *status)
{
    sl_text wire = {0}, out = {0};
    (void)arg;
    sl_code rc = sl_textpb_parse(SL_STR("f15: 'abc' f17 { f16: 'd' f11: 1 } f18: [1, 2]"),
                                 &every_type, NULL, 0, &wire, status);
    if (rc == SL_OK)
        rc = sl_textpb_print((sl_str){wire.p, wire.n}, &every_type, &out, status);
    sl_text_fini(&wire);
    sl_text_fini(&out);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    assert_in_range(fail_each_allocation(read_and_print, NULL), 3, 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_read_and_printed),
        cmocka_unit_test(there_are_other_ways_to_write_it),
        cmocka_unit_test(what_is_wrong_is_said),
        cmocka_unit_test(packed_lists_are_printed_one_by_one),
        cmocka_unit_test(messages_nest_a_hundred_deep),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
