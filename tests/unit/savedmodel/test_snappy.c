/* test_snappy.c - unpacking, and lies about lengths */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "savedmodel/snappy.h"

static void unpacks_to(sl_str packed, const char *want)
{
    sl_text out = {0};
    assert_null(sl_snappy_unpack(packed, &out));
    assert_int_equal(out.n, strlen(want));
    assert_string_equal(out.n ? out.p : "", want);
    sl_text_fini(&out);
}

static void is_refused(sl_str packed)
{
    sl_text out = {0};
    assert_non_null(sl_snappy_unpack(packed, &out));
    assert_int_equal(out.n, 0);
    sl_text_fini(&out);
}

static void literals_are_copied(void **state)
{
    (void)state;
    unpacks_to(SL_STR("\0"), "");
    unpacks_to(SL_STR("\5\x10hello"), "hello");
    unpacks_to(SL_STR("\5\xf0\4hello"), "hello"); /* length in a byte of its own */
}

static void copies_may_overlap_what_they_make(void **state)
{
    (void)state;
    unpacks_to(SL_STR("\14\4ab\21\2\4cd"), "abababababcd"); /* 8 of offset 2 */
    unpacks_to(SL_STR("\6\4ab\16\2\0"), "ababab");          /* 4, offset in two bytes */
    unpacks_to(SL_STR("\6\4ab\17\2\0\0\0"), "ababab");      /* 4, offset in four bytes */
}

static void damaged_blocks_are_refused(void **state)
{
    (void)state;
    is_refused(SL_STR(""));
    is_refused(SL_STR("\5\x10hell"));               /* literal goes beyond the input */
    is_refused(SL_STR("\4\x10hello"));              /* more than was said */
    is_refused(SL_STR("\6\x10hello"));              /* less */
    is_refused(SL_STR("\6\4ab\16\3\0"));            /* copy from before the beginning */
    is_refused(SL_STR("\6\4ab\16\0\0"));            /* from nowhere */
    is_refused(SL_STR("\6\4ab\16\2"));              /* truncated offset */
    is_refused(SL_STR("\5\xf4\4"));                 /* truncated length of a literal */
    is_refused(SL_STR("\5\4ab\16\2\0"));            /* a copy of more than was said */
    is_refused(SL_STR("\xff\xff\xff\xff\x0f\4ab")); /* 4 GB out of 3 bytes */
}

static void without_memory_there_is_none(void **state)
{
    (void)state;
    sl_text out = {0};
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_string_equal(sl_snappy_unpack(SL_STR("\5\x10hello"), &out),
                        "no memory for a compressed block");
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(out.failed);
    sl_text_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(literals_are_copied),
        cmocka_unit_test(copies_may_overlap_what_they_make),
        cmocka_unit_test(damaged_blocks_are_refused),
        cmocka_unit_test(without_memory_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
