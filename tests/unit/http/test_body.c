/* test_body.c - bodies share a budget: to the byte, and what is given back is there again */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/body.h"

static sl_budget budget = {.max = 1000};

static void the_last_byte_of_the_budget_is_had_and_one_more_is_not(void **state)
{
    (void)state;
    sl_body a = {.budget = &budget}, b = {.budget = &budget};
    assert_true(sl_body_charge(&a, 400));
    assert_false(sl_body_charge(&b, 601));
    assert_int_equal(atomic_load(&budget.used), 400);
    assert_true(sl_body_charge(&b, 600));
    assert_false(sl_body_charge(&a, 1));
    sl_body_reset(&a);
    assert_true(sl_body_charge(&b, 400));
    sl_body_reset(&b);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void what_arrives_is_charged_before_there_is_memory_for_it(void **state)
{
    static char bytes[1001];
    (void)state;
    sl_body b = {.budget = &budget};
    assert_false(sl_body_add(&b, bytes, 1001, 1001));
    sl_body_reset(&b);
    assert_true(sl_body_add(&b, bytes, 1000, 1000));
    assert_int_equal(atomic_load(&budget.used), 1000);
    sl_body_reset(&b);
    assert_int_equal(atomic_load(&budget.used), 0);
}

static void what_could_never_be_held_is_known_before(void **state)
{
    (void)state;
    sl_budget none = {0};
    sl_body b = {.budget = &budget}, any = {.budget = &none}, alone = {0};
    assert_true(sl_body_could_hold(&b, 1000));
    assert_false(sl_body_could_hold(&b, 1001));
    assert_false(sl_body_could_hold(&b, UINT64_MAX));
    assert_true(sl_body_could_hold(&any, UINT64_MAX));
    assert_true(sl_body_could_hold(&alone, UINT64_MAX));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_byte_of_the_budget_is_had_and_one_more_is_not),
        cmocka_unit_test(what_arrives_is_charged_before_there_is_memory_for_it),
        cmocka_unit_test(what_could_never_be_held_is_known_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
