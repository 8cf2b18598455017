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
    assert_int_equal(sl_rest_ns(1 * MS, 0), 0);
}

static void the_rest_is_in_proportion_to_what_is_answered(void **state)
{
    (void)state;
    assert_int_equal(sl_rest_ns(1 * MS, 5), 2 * MS);
    assert_int_equal(sl_rest_ns(1 * MS, 10), 4 * MS);
}

static void the_rest_is_fifteen_times_the_work_at_most(void **state)
{
    (void)state;
    assert_int_equal(sl_rest_ns(1 * MS, 40), 15 * MS);
    assert_int_equal(sl_rest_ns(1 * MS, 100), 15 * MS);
    assert_int_equal(sl_rest_ns(900 * MS, 100), 30 * MS);
}

static void burn(void)
{
    volatile uint64_t x = 1;
    for (int i = 0; i < 5000000; i++)
        x = x * 3 + 1;
}

static void only_threads_that_answer_count_as_busy(void **state)
{
    (void)state;
    sl_busy b = {0};
    assert_int_equal(sl_busy_percent(&b), 0);
    burn();
    assert_int_equal(sl_busy_percent(&b), 0);
    sl_thread_be_prompt();
    sl_busy_percent(&b);
    burn();
    assert_in_range(sl_busy_percent(&b), 0, 100);
    sl_thread_end_prompt();
    assert_int_equal(sl_busy_percent(&b), 0); /* the sum has become less */
    burn();
    assert_int_equal(sl_busy_percent(&b), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_rests_where_nobody_asks),
        cmocka_unit_test(the_rest_is_in_proportion_to_what_is_answered),
        cmocka_unit_test(the_rest_is_fifteen_times_the_work_at_most),
        cmocka_unit_test(only_threads_that_answer_count_as_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
