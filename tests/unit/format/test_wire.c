/* test_wire.c - protobuf's wire form: what is read, and what is refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"
#include "format/wire.h"
#include "format/wire_out.h"

#define BYTES(text) ((sl_str){"" text, sizeof(text) - 1})

static bool varint(sl_str s, uint64_t *v)
{
    const unsigned char *p = (const unsigned char *)s.p;
    return sl_wire_varint(&p, p + s.n, v);
}

static void a_number_is_of_ten_bytes_and_64_bits_at_most(void **state)
{
    uint64_t v;
    (void)state;
    assert_true(varint(BYTES("\x96\x01"), &v) && v == 150);
    assert_true(varint(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &v) && v == UINT64_MAX);
    assert_true(varint(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00"), &v) && v == 0);
    assert_true(varint(BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7e"), &v));
    assert_true(v == INT64_MAX); /* what is beyond 64 bits goes */
    assert_false(varint(BYTES("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), &v));
    assert_false(varint(BYTES("\x80\x80"), &v));
    assert_false(varint(BYTES(""), &v));
}

static void fields_come_one_by_one(void **state)
{
    sl_wire w = sl_wire_open(BYTES("\x08\x05\x12\x02hi\x1d\x01\x00\x00\x00\x21\x02\0\0\0\0\0\0\0"
                                   "\x2b\x08\x01\x33\x34\x2c\x30\x07"));
    (void)state;
    assert_true(sl_wire_next(&w) && w.field == 1 && w.value == 5);
    assert_true(sl_wire_next(&w) && w.field == 2 && sl_str_is(w.bytes, "hi"));
    assert_true(sl_wire_next(&w) && w.field == 3 && w.value == 1);
    assert_true(sl_wire_next(&w) && w.field == 4 && w.value == 2);
    assert_true(sl_wire_next(&w) && w.field == 6 && w.value == 7); /* a group is skipped */
    assert_false(sl_wire_next(&w));
    assert_null(w.bad);
}

static void what_is_broken_ends_the_message_and_says_why(void **state)
{
    static const struct {
        sl_str bytes;
        const char *why;
    } rows[] = {
        {BYTES("\x80"), "truncated or overlong tag"},
        {BYTES("\x88\x80\x80\x80\x80\x00\x05"), "truncated or overlong tag"},
        {BYTES("\x00\x01"), "field number out of range"},
        {BYTES("\xf8\xff\xff\xff\x7f\x01"), "field number out of range"},
        {BYTES("\x08"), "truncated or overlong number"},
        {BYTES("\x08\x80"), "truncated or overlong number"},
        {BYTES("\x09\1\2\3\4\5\6\7"), "truncated number"},
        {BYTES("\x0d\1\2\3"), "truncated number"},
        {BYTES("\x0a"), "truncated or overlong length"},
        {BYTES("\x0a\x82\x80\x80\x80\x80\x00hi"), "truncated or overlong length"},
        {BYTES("\x0a\x03hi"), "length goes beyond the message"},
        {BYTES("\x0c"), "end of a group that did not begin"},
        {BYTES("\x0b"), "group without an end"},
        {BYTES("\x0b\x14"), "end of another group"},
        {BYTES("\x0b\x80"), "truncated or overlong tag"},
        {BYTES("\x0e"), "unknown wire type"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        sl_wire w = sl_wire_open(rows[i].bytes);
        assert_false(sl_wire_next(&w));
        assert_string_equal(w.bad, rows[i].why);
        assert_false(sl_wire_next(&w));
    }
}

static void groups_nest_so_deep_and_no_deeper(void **state)
{
    char text[2 * SL_WIRE_MAX_DEPTH + 2];
    (void)state;
    for (size_t depth = SL_WIRE_MAX_DEPTH; depth <= SL_WIRE_MAX_DEPTH + 1; depth++) {
        memset(text, 0x0b, depth);
        memset(text + depth, 0x0c, depth);
        sl_wire w = sl_wire_open((sl_str){text, 2 * depth});
        assert_false(sl_wire_next(&w));
        if (depth > SL_WIRE_MAX_DEPTH)
            assert_string_equal(w.bad, "groups nest too deep");
        else
            assert_null(w.bad);
    }
}

static void packed_numbers_come_one_by_one(void **state)
{
    sl_wire w = sl_wire_open(BYTES("\x01\x96\x01\x80"));
    (void)state;
    assert_true(sl_wire_next_packed(&w, SL_WIRE_VARINT) && w.value == 1);
    assert_true(sl_wire_next_packed(&w, SL_WIRE_VARINT) && w.value == 150);
    assert_false(sl_wire_next_packed(&w, SL_WIRE_VARINT));
    assert_string_equal(w.bad, "truncated or overlong number");
    w = sl_wire_open(BYTES("\1\0\0\0\2\0\0"));
    assert_true(sl_wire_next_packed(&w, SL_WIRE_FIXED32) && w.value == 1);
    assert_false(sl_wire_next_packed(&w, SL_WIRE_FIXED32));
    assert_string_equal(w.bad, "truncated number");
    w = sl_wire_open(BYTES("\1\0\0\0\0\0\0\x80"));
    assert_true(sl_wire_next_packed(&w, SL_WIRE_FIXED64) && w.value == 0x8000000000000001);
    assert_false(sl_wire_next_packed(&w, SL_WIRE_FIXED64));
    assert_null(w.bad);
}

static void without_memory_a_float_is_not_written(void **state)
{
    sl_chain c = {0};
    (void)state;
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    sl_wire_out_float(&c, 1, 1.5f);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(c.failed && c.size == 0);
    sl_chain_reset(&c);
    sl_wire_out_float(&c, 1, 1.5f);
    char text[5];
    assert_int_equal(c.size, 5);
    sl_chain_copy(&c, text);
    assert_memory_equal(text, "\x0d\x00\x00\xc0\x3f", 5);
    sl_chain_reset(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_is_of_ten_bytes_and_64_bits_at_most),
        cmocka_unit_test(fields_come_one_by_one),
        cmocka_unit_test(what_is_broken_ends_the_message_and_says_why),
        cmocka_unit_test(groups_nest_so_deep_and_no_deeper),
        cmocka_unit_test(packed_numbers_come_one_by_one),
        cmocka_unit_test(without_memory_a_float_is_not_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
