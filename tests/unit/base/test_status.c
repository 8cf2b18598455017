#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "sluice/status.h"

static void failure_keeps_code_and_message(void **state)
{
    (void)state;
    sl_status st;
    assert_int_equal(sl_fail(&st, SL_NOT_FOUND, "no %s %d", "version", 7), SL_NOT_FOUND);
    assert_int_equal(st.code, SL_NOT_FOUND);
    assert_string_equal(st.msg, "no version 7");
    assert_null(st.more);
    assert_int_equal(sl_fail(NULL, SL_ABORTED, "x"), SL_ABORTED);
}

static void long_message_is_cut(void **state)
{
    (void)state;
    sl_status st;
    char text[2000];
    memset(text, 'x', sizeof text);
    text[1999] = '\0';
    sl_fail(&st, SL_INTERNAL, "%s", text);
    assert_int_equal(strlen(st.msg), 1023);
    sl_wrap(&st, "%s", "in front: ");
    assert_int_equal(strlen(st.msg), 1023);
    assert_memory_equal(st.msg, "in front: x", 11);
    sl_wrap(&st, "%s", text);
    assert_int_equal(strlen(st.msg), 1023);
}

static void old_message_may_be_part_of_the_new_one(void **state)
{
    (void)state;
    sl_status st;
    sl_fail(&st, SL_INTERNAL, "disk on fire");
    sl_fail(&st, SL_ABORTED, "cannot load: %s", st.msg);
    assert_string_equal(st.msg, "cannot load: disk on fire");
}

static void wrapping_keeps_the_code(void **state)
{
    (void)state;
    sl_status st;
    sl_fail(&st, SL_DATA_LOSS, "bad checksum");
    assert_int_equal(sl_wrap(&st, "model \"%s\": ", "m"), SL_DATA_LOSS);
    assert_string_equal(st.msg, "model \"m\": bad checksum");
}

static void wrapping_leaves_no_gap_before_the_rest(void **state)
{
    (void)state;
    sl_status st;
    char text[1024];
    memset(text, 'x', sizeof text);
    text[1023] = '\0';
    sl_fail(&st, SL_INTERNAL, "%s", text);
    st.more = "the rest";
    sl_wrap(&st, "a");
    assert_null(st.more);
}

static void every_code_has_its_name(void **state)
{
    (void)state;
    assert_string_equal(sl_code_name(SL_OK), "OK");
    assert_string_equal(sl_code_name(SL_UNAUTHENTICATED), "UNAUTHENTICATED");
    assert_string_equal(sl_code_name((sl_code)17), "UNKNOWN");
    assert_string_equal(sl_code_name((sl_code)-1), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_keeps_code_and_message),
        cmocka_unit_test(long_message_is_cut),
        cmocka_unit_test(old_message_may_be_part_of_the_new_one),
        cmocka_unit_test(wrapping_keeps_the_code),
        cmocka_unit_test(wrapping_leaves_no_gap_before_the_rest),
        cmocka_unit_test(every_code_has_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
