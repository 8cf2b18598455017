/* test_pbjson.c - each type of field as JSON, over a descriptor that has them all */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"
#include "every_type.h"
#include "format/pbjson.h"
#include "support/faults.h"

/* Without blanks and line breaks. */
static sl_code print(sl_str wire, char *text, size_t room, sl_status *st)
{
    sl_chain c = {0};
    sl_code rc = sl_pbjson_print(wire, &every_type, 0, &c, st);
    char *all = sl_malloc(c.size + 1);
    size_t n = 0;
    sl_chain_copy(&c, all);
    for (size_t i = 0; i < c.size && n + 1 < room; i++)
        if (all[i] != ' ' && all[i] != '\n')
            text[n++] = all[i];
    text[n] = '\0';
    sl_free(all);
    sl_chain_reset(&c);
    return rc;
}

static void has(sl_str wire, const char *member)
{
    static char text[16384];
    sl_status st = {0};
    if (print(wire, text, sizeof text, &st))
        fail_msg("%s: %s", member, st.msg);
    if (strstr(text, member) == NULL)
        fail_msg("%s is not in %s", member, text);
}

static void has_not(sl_str wire, const char *member)
{
    static char text[16384];
    sl_status st = {0};
    assert_int_equal(print(wire, text, sizeof text, &st), SL_OK);
    assert_null(strstr(text, member));
}

#define W(literal) SL_STR(literal)

static void each_type_is_printed_as_proto3_does(void **state)
{
    (void)state;
    static const struct {
        sl_str wire;
        const char *member;
    } cases[] = {
        {W(""), "\"f01\":0,\"f02\":0,\"f03\":0,\"f04\":\"0\",\"f05\":\"0\",\"f06\":\"0\",\"f07\":0,"
                "\"f08\":0,\"f09\":\"0\",\"f10\":\"0\",\"f11\":0,\"f12\":0,\"f13\":false,"
                "\"f14\":\"ZERO\",\"f15\":\"\",\"f16\":\"\",\"f18\":[]"},
        {W("\x08\x05\x08\x07"), "\"f01\":7,"},
        {W("\x10\x03"), "\"f02\":-2,"},
        {W("\x1d\xff\xff\xff\xff"), "\"f03\":-1,"},
        {W("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "\"f04\":\"-1\","},
        {W("\x28\x04"), "\"f05\":\"2\","},
        {W("\x31\xfe\xff\xff\xff\xff\xff\xff\xff"), "\"f06\":\"-2\","},
        {W("\x38\xff\xff\xff\xff\x0f"), "\"f07\":4294967295,"},
        {W("\x45\xff\xff\xff\xff"), "\"f08\":4294967295,"},
        {W("\x48\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), "\"f09\":\"18446744073709551615\","},
        {W("\x51\1\0\0\0\0\0\0\0"), "\"f10\":\"1\","},
        {W("\x5d\0\0\xc0\x3f"), "\"f11\":1.5,"},
        {W("\x5d\0\0\x80\x7f"), "\"f11\":\"Infinity\","},
        {W("\x5d\0\0\xc0\x7f"), "\"f11\":\"NaN\","},
        {W("\x61\0\0\0\0\0\0\0\xc0"), "\"f12\":-2,"},
        {W("\x61\0\0\0\0\0\0\xf0\xff"), "\"f12\":\"-Infinity\","},
        {W("\x68\1"), "\"f13\":true,"},
        {W("\x70\2"), "\"f14\":\"TWO\","},
        {W("\x70\5"), "\"f14\":5,"},
        {W("\x7a\3a\"b"), "\"f15\":\"a\\\"b\","},
        {W("\x82\1\2\xff\xfe"), "\"f16\":\"//4=\","},
        {W("\x8a\1\2\x08\x03"), "\"f17\":{\"f01\":3,"},
        {W("\x5d\0\0\x80\xbf"), "\"f11\":-1,"},
        {W("\x5d\0\0\0\x3f"), "\"f11\":0.5,"},
        {W("\x8d\1\1\0\0\0"), "\"f16\":\"\",\"f18\":[]"}, /* f17 of another wire type: not there */
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        has(cases[i].wire, cases[i].member);
}

static void lists_are_packed_or_not(void **state)
{
    (void)state;
    static const struct {
        sl_str wire;
        const char *member;
    } cases[] = {
        {W("\x90\1\1\x90\1\2"), "\"f18\":[1,2]"},
        {W("\x92\1\3\1\2\3\x90\1\4"), "\"f18\":[1,2,3,4]"},
        {W("\x92\1\0"), "\"f18\":[]"},
        {W("\x9a\1\2\1\2"), "\"f19\":[-1,1]"},
        {W("\xa2\1\x08\1\0\0\0\2\0\0\0"), "\"f20\":[1,2]"},
        {W("\xaa\1\1\1"), "\"f21\":[\"1\"]"},
        {W("\xb2\1\1\1"), "\"f22\":[\"-1\"]"},
        {W("\xba\1\x08\1\0\0\0\0\0\0\0"), "\"f23\":[\"1\"]"},
        {W("\xe2\1\4\0\0\x80\x3f"), "\"f28\":[1]"},
        {W("\xea\1\x08\0\0\0\0\0\0\xf0\x3f"), "\"f29\":[1]"},
        {W("\xf2\1\2\1\0"), "\"f30\":[true,false]"},
        {W("\xfa\1\2\0\2"), "\"f31\":[\"ZERO\",\"TWO\"]"},
        {W("\x82\2\1a\x82\2\0"), "\"f32\":[\"a\",\"\"]"},
        {W("\x8a\2\1a"), "\"f33\":[\"YQ==\"]"},
        {W("\x92\2\2\x08\1\x92\2\0\x90\2\1"), "\"f34\":[{\"f01\":1,"},
        {W("\x95\1\0\0\0\0"), "\"f18\":[]"}, /* a wire type that no list of numbers has */
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++)
        has(cases[i].wire, cases[i].member);
}

static void maps_are_objects_sorted_by_key_and_the_last_value_counts(void **state)
{
    (void)state;
    has(W("\x9a\2\6\x0a\1b\x12\1x\x9a\2\6\x0a\1a\x12\1y\x9a\2\6\x0a\1b\x12\1z"),
        "\"f35\":{\"a\":\"y\",\"b\":\"z\"}");
    has(W("\x9a\2\4\x08\1\x10\1\x9a\2\3\x1a\1q\x98\2\1"), "\"f35\":{\"\":\"\"}");
    has(W("\xa2\2\6\x08\2\x12\2\x08\7\xa2\2\2\x08\1\xa2\2\2\x08\2"), "\"f36\":{\"1\":{\"f01\":0,");
    has(W("\xaa\2\7\x08\1\x15\0\0\xc0\x3f\xaa\2\0"), "\"f37\":{\"false\":0,\"true\":1.5}");
    has(W("\xb2\2\4\x08\1\x10\5"), "\"f38\":{\"-1\":\"5\"}");
    has(W("\x92\3\4\x08\7\x10\1"), "\"f50\":{\"7\":true}");
    has(W("\x9a\3\7\x0d\xff\xff\xff\xff\x10\1"), "\"f51\":{\"-1\":true}");
    has(W("\xa2\3\4\x08\7\x10\1"), "\"f52\":{\"7\":true}");
    has(W("\xaa\3\7\x0d\xff\xff\xff\xff\x10\1"), "\"f53\":{\"4294967295\":true}");
    static const struct {
        sl_str wire;
        const char *member;
    } no_maps[] = {
        {W("\xd2\2\3\x0a\1a"), "\"f42\":[{\"key\":\"a\"}]"},
        {W("\xda\2\3\x12\1a"), "\"f43\":[{\"key\":\"a\",\"value\":\"\"}]"},
        {W("\xe2\2\3\x0a\1a"), "\"f44\":[{\"key\":\"a\",\"value\":\"\"}]"},
        {W("\xea\2\3\x0a\1a"), "\"f45\":[{\"kex\":\"a\",\"value\":\"\"}]"},
        {W("\xf2\2\3\x0a\1a"), "\"f46\":[{\"key\":\"a\",\"values\":\"\"}]"},
        {W("\xfa\2\3\x0a\1a"), "\"f47\":[{\"key\":\"a\",\"value\":\"\"}]"},
        {W("\x82\3\3\x0a\1a"), "\"f48\":[{\"key\":\"a\",\"value\":\"\"}]"},
        {W("\x8a\3\3\x0a\1a"), "\"f49\":[{\"key\":\"a\",\"value\":\"\"}]"},
        {W("\xb2\3\3\x0a\1a"), "\"f54\":[{\"key\":\"a\",\"value\":\"\"}]"},
    };
    for (size_t i = 0; i < SL_COUNTOF(no_maps); i++)
        has(no_maps[i].wire, no_maps[i].member);
}

static void of_a_choice_the_last_member_is_there(void **state)
{
    (void)state;
    has_not(W(""), "\"f39\"");
    has(W("\xb8\2\0"), "\"f39\":0");
    has(W("\xc2\2\1a\xb8\2\1"), "\"f39\":1");
    has_not(W("\xc2\2\1a\xb8\2\1"), "\"f40\"");
    has(W("\xb8\2\1\xc2\2\1a"), "\"f40\":\"a\"");
    has_not(W("\xb8\2\1\xc2\2\1a"), "\"f39\"");
    has(W("\xb8\2\1\xba\2\1a"), "\"f39\":1"); /* no number: likewise */
    has(W("\xb8\2\1\xc0\2\1"), "\"f39\":1");  /* no string: as if it were not there */
    has(W("\xb8\2\1\xca\2\1a\x08\1\xf8\x07\1"), "\"f39\":1"); /* another choice, none, unknown */
}

static void what_cannot_be_read_is_named(void **state)
{
    (void)state;
    static const sl_str wrong[] = {W("\xff"),       W("\x8a\1\1\xff"),       W("\x92\1\1\x80"),
                                   W("\xa2\1\1\1"), W("\xa2\2\3\x12\1\xff"), W("\x92\2\1\xff")};
    static char text[16384];
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++) {
        sl_status st = {0};
        assert_int_equal(print(wrong[i], text, sizeof text, &st), SL_DATA_LOSS);
        assert_non_null(strstr(st.msg, "Every cannot be read: "));
    }
    /* 100 messages in one another; each needs its tag and its length in front */
    for (int levels = 99; levels <= 100; levels++) {
        char wire[512], *begin = wire + sizeof wire;
        for (int i = 0; i < levels; i++) {
            size_t n = (size_t)(wire + sizeof wire - begin);
            if (n >= 128)
                *--begin = (char)(n >> 7);
            *--begin = (char)(n >= 128 ? n | 128 : n);
            *--begin = '\1';
            *--begin = '\x8a';
        }
        sl_status st = {0};
        sl_str s = {begin, (size_t)(wire + sizeof wire - begin)};
        assert_int_equal(print(s, text, sizeof text, &st), levels == 99 ? SL_OK : SL_DATA_LOSS);
    }
}

static sl_code print_one(void *arg, sl_status *st)
{
    sl_chain c = {0};
    (void)arg;
    sl_code rc = sl_pbjson_print(
        W("\x82\1\3abc\x9a\2\6\x0a\1b\x12\1x\x9a\2\6\x0a\1a\x12\1y\x92\2\2\x08\1\x8a\1\2\x08\1"),
        &every_type, 0, &c, st);
    sl_chain_reset(&c);
    return rc;
}

static sl_code print_large(void *arg, sl_status *st)
{
    sl_chain c = {0};
    sl_code rc = sl_pbjson_print(*(sl_str *)arg, &every_type, 0, &c, st);
    sl_chain_reset(&c);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    assert_in_range(fail_each_allocation(print_one, NULL), 2, 100);
    static char wire[5 + 100000] = "\x82\1\xa0\x8d\6"; /* f16, 100000 bytes */
    sl_str large = {wire, 5 + 100000};
    assert_true(fail_each_allocation(print_large, &large) > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_type_is_printed_as_proto3_does),
        cmocka_unit_test(lists_are_packed_or_not),
        cmocka_unit_test(maps_are_objects_sorted_by_key_and_the_last_value_counts),
        cmocka_unit_test(of_a_choice_the_last_member_is_there),
        cmocka_unit_test(what_cannot_be_read_is_named),
        cmocka_unit_test(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
