/* thread.h: how long who loads rests for those who answer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/thread.h"

enum { MS = 1000000 };

static void nobody_rests_where_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(sl_thread_rest_for(1 * MS, 0, 10 * MS), 0);
    assert_int_equal(sl_thread_rest_for(1 * MS, 0, 0), 0);
}

static void the_rest_is_in_proportion_to_what_is_answered(void **state)
{
    (void)state;
    assert_int_equal(sl_thread_rest_for(1 * MS, 1 * MS, 100 * MS), 1 * MS);
    assert_int_equal(sl_thread_rest_for(1 * MS, 5 * MS, 100 * MS), 5 * MS);
}

static void the_rest_is_fifteen_times_the_work_at_most(void **state)
{
    (void)state;
    assert_int_equal(sl_thread_rest_for(1 * MS, 50 * MS, 100 * MS), 15 * MS);
    assert_int_equal(sl_thread_rest_for(1 * MS, 700 * MS, 100 * MS), 15 * MS); /* many processors */
    assert_int_equal(sl_thread_rest_for(900 * MS, 100 * MS, 100 * MS), 30 * MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_rests_where_nobody_asks),
        cmocka_unit_test(the_rest_is_in_proportion_to_what_is_answered),
        cmocka_unit_test(the_rest_is_fifteen_times_the_work_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
