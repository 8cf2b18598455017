/* test_fault.c - calls that fail when a test asks for it */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"

/* Which of the next eight calls fail: a bit for each, the first one's is the highest. */
static unsigned pattern(void)
{
    unsigned failed = 0;
    for (int i = 0; i < 8; i++)
        failed = failed << 1 | sl_fault_hit(SL_FAULT_READ);
    return failed;
}

static void the_nth_call_fails_and_no_other(void **state)
{
    (void)state;
    sl_fault_arm(SL_FAULT_READ, 3);
    assert_false(sl_fault_hit(SL_FAULT_WRITE)); /* of another kind */
    assert_int_equal(pattern(), 0x20);
    assert_int_equal(sl_fault_count(SL_FAULT_READ), 8);
    assert_int_equal(pattern(), 0);
}

static void from_the_nth_call_on_all_fail_until_it_is_armed_otherwise(void **state)
{
    (void)state;
    sl_fault_arm_from(SL_FAULT_READ, 3);
    assert_int_equal(pattern(), 0x3f);
    assert_int_equal(pattern(), 0xff);
    assert_int_equal(sl_fault_count(SL_FAULT_READ), 16);
    sl_fault_arm(SL_FAULT_READ, 1);
    assert_int_equal(pattern(), 0x80);
    sl_fault_arm_from(SL_FAULT_READ, 1);
    sl_fault_arm(SL_FAULT_READ, 0);
    assert_int_equal(pattern(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_call_fails_and_no_other),
        cmocka_unit_test(from_the_nth_call_on_all_fail_until_it_is_armed_otherwise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
