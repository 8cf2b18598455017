/* Token buckets, requests at once, and that counting is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/fault.h"
#include "guard/rates.h"

#define S 1000000000u

static sl_rates *rates;

static int setup(void **state)
{
    (void)state;
    rates = sl_rates_new(1600);
    return rates == NULL;
}

static int teardown(void **state)
{
    (void)state;
    sl_rates_free(rates);
    return 0;
}

static bool enter(const sl_rate *rate, const char *key, uint64_t now)
{
    sl_counter *held;
    uint64_t wait;
    return sl_rates_enter(rates, rate, sl_str_of(key), now, &held, &wait);
}

static void a_burst_passes_then_the_rate_holds(void **state)
{
    const sl_rate rate = {.per_second = 10, .burst = 3};
    sl_counter *held;
    uint64_t wait, now = 1000 * (uint64_t)S;
    (void)state;
    for (int i = 0; i < 3; i++)
        assert_true(enter(&rate, "a", now));
    assert_false(sl_rates_enter(rates, &rate, SL_STR("a"), now, &held, &wait));
    assert_in_range(wait, S / 10 - 10, S / 10 + 10);
    assert_false(enter(&rate, "a", now + S / 10 - 1000));
    assert_true(enter(&rate, "a", now + S / 10 + 1000));
    assert_false(enter(&rate, "a", now + S / 10 + 2000));
    for (int i = 0; i < 3; i++)
        assert_true(enter(&rate, "a", now + 10 * (uint64_t)S)); /* full again, and no fuller */
    assert_false(enter(&rate, "a", now + 10 * (uint64_t)S));
}

static void keys_count_apart(void **state)
{
    const sl_rate rate = {.per_second = 1, .burst = 1};
    (void)state;
    assert_true(enter(&rate, "a", S));
    assert_true(enter(&rate, "b", S));
    assert_false(enter(&rate, "a", S));
}

static void over_an_hour_exactly_the_rate_passes(void **state)
{
    const sl_rate rate = {.per_second = 7, .burst = 7};
    int passed = 0;
    (void)state;
    for (uint64_t t = 0; t < 3600 * (uint64_t)S; t += S / 50)
        passed += enter(&rate, "a", S + t);
    assert_in_range(passed, 3600 * 7, 3600 * 7 + 8);
}

static void requests_at_once_are_counted_until_they_leave(void **state)
{
    const sl_rate rate = {.concurrent = 2, .burst = 1};
    sl_counter *first, *second, *third;
    uint64_t wait;
    (void)state;
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &first, &wait));
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &second, &wait));
    assert_false(sl_rates_enter(rates, &rate, SL_STR("a"), S, &third, &wait));
    assert_int_equal(wait, 0);
    sl_rates_leave(rates, first);
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &third, &wait));
    sl_rates_leave(rates, second);
    sl_rates_leave(rates, third);
}

static void what_is_undone_was_never_counted(void **state)
{
    const sl_rate rate = {.per_second = 1, .burst = 1, .concurrent = 1};
    sl_counter *held;
    uint64_t wait;
    (void)state;
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &held, &wait));
    sl_rates_undo(rates, &rate, SL_STR("a"));
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &held, &wait));
    sl_rates_leave(rates, held);
}

static void
a_stranger_with_many_names_neither_fills_the_memory_nor_frees_whom_we_hold_back(void **state)
{
    const sl_rate rate = {.per_second = 0.001, .burst = 2};
    char key[32];
    (void)state;
    assert_true(enter(&rate, "greedy", S));
    assert_true(enter(&rate, "greedy", S));
    assert_false(enter(&rate, "greedy", S));
    for (int i = 0; i < 40000; i++) {
        snprintf(key, sizeof key, "k%d", i);
        enter(&rate, key, S + (uint64_t)i % 7); /* in no order */
    }
    assert_in_range(sl_rates_count(rates), 1, 1600);
    assert_false(enter(&rate, "greedy", S)); /* its bucket is the emptiest: it went last */
}

static void counters_that_say_nothing_are_forgotten(void **state)
{
    const sl_rate rate = {.per_second = 100, .burst = 1};
    char key[32];
    (void)state;
    for (int i = 0; i < 400; i++) {
        snprintf(key, sizeof key, "k%d", i);
        enter(&rate, key, S);
    }
    int before = sl_rates_count(rates);
    for (int i = 0; i < 4000; i++) {
        snprintf(key, sizeof key, "n%d", i);
        enter(&rate, key, 100 * (uint64_t)S + (uint64_t)i * S);
    }
    assert_true(before == 400);
    assert_true(sl_rates_count(rates) <
                1100); /* of 4400: each new one sweeps a part of its shard */
}

/* One counter a shard, and those have requests in flight. */
static void where_nothing_can_be_counted_nobody_is_let_in(void **state)
{
    const sl_rate rate = {.concurrent = 1, .burst = 1}, other = {.per_second = 1, .burst = 1};
    sl_counter *held[64];
    uint64_t wait;
    int in = 0;
    char key[32];
    (void)state;
    sl_rates_free(rates);
    rates = sl_rates_new(1);
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "k%d", i);
        in += sl_rates_enter(rates, &rate, sl_str_of(key), S, &held[in], &wait);
    }
    assert_in_range(in, 8, 16);
    assert_int_equal(sl_rates_count(rates), in);
    for (int i = 0; i < in; i++)
        sl_rates_leave(rates, held[i]);
    sl_rates_leave(rates, NULL); /* what was let in without being held */
    for (int i = 0; i < 64; i++) {
        snprintf(key, sizeof key, "n%d", i);
        assert_true(enter(&other, key, S)); /* they make room */
    }
    assert_int_equal(sl_rates_count(rates), 16);
}

static void whose_requests_are_in_flight_is_not_forgotten(void **state)
{
    const sl_rate rate = {.concurrent = 1, .burst = 1}, other = {.per_second = 100, .burst = 1};
    sl_counter *held;
    uint64_t wait;
    char key[32];
    (void)state;
    assert_true(sl_rates_enter(rates, &rate, SL_STR("a"), S, &held, &wait));
    for (int i = 0; i < 20000; i++) {
        snprintf(key, sizeof key, "n%d", i);
        enter(&other, key, 100 * (uint64_t)S + (uint64_t)i * S);
    }
    assert_false(enter(&rate, "a", 30000 * (uint64_t)S));
    sl_rates_leave(rates, held);
    assert_true(enter(&rate, "a", 30000 * (uint64_t)S));
}

static void a_rate_of_almost_nothing_waits_for_almost_ever(void **state)
{
    const sl_rate rate = {.per_second = 1e-12, .burst = 1};
    sl_counter *held;
    uint64_t wait;
    (void)state;
    assert_true(enter(&rate, "a", S));
    assert_false(sl_rates_enter(rates, &rate, SL_STR("a"), S, &held, &wait));
    assert_true(wait > 8000000000 * (uint64_t)S);
    const sl_rate small = {.per_second = 2e-10, .burst = 1e-9};
    assert_false(sl_rates_enter(rates, &small, SL_STR("a"), S, &held, &wait));
    assert_true(wait > 8000000000 * (uint64_t)S);
}

static void nothing_is_undone_for_whom_nobody_has_counted(void **state)
{
    const sl_rate rate = {.per_second = 1, .burst = 1}, at_once = {.concurrent = 1, .burst = 1};
    (void)state;
    sl_rates_undo(rates, &rate, SL_STR("a"));
    assert_int_equal(sl_rates_count(rates), 0);
    assert_true(enter(&at_once, "a", S));
    assert_false(enter(&at_once, "a", S));
    sl_rates_undo(rates, &at_once, SL_STR("a"));
    assert_true(enter(&at_once, "a", S));
    /* More than there was, after the rate has been made smaller: an empty bucket at most. */
    const sl_rate slower = {.per_second = 0.1, .burst = 1};
    assert_true(enter(&rate, "b", S));
    sl_rates_undo(rates, &slower, SL_STR("b"));
    assert_true(enter(&rate, "b", S));
    assert_false(enter(&rate, "b", S));
}

static void without_memory_nobody_new_is_let_in(void **state)
{
    const sl_rate rate = {.per_second = 10, .burst = 2};
    (void)state;
    assert_true(enter(&rate, "a", S));
    sl_fault_arm_from(SL_FAULT_ALLOC, 1);
    bool known = enter(&rate, "a", S), unknown = enter(&rate, "b", S);
    sl_rates *none = sl_rates_new(100);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(known);
    assert_false(unknown);
    assert_null(none);
    sl_rates_free(none);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_burst_passes_then_the_rate_holds),
        T(keys_count_apart),
        T(over_an_hour_exactly_the_rate_passes),
        T(requests_at_once_are_counted_until_they_leave),
        T(what_is_undone_was_never_counted),
        T(a_stranger_with_many_names_neither_fills_the_memory_nor_frees_whom_we_hold_back),
        T(counters_that_say_nothing_are_forgotten),
        T(where_nothing_can_be_counted_nobody_is_let_in),
        T(whose_requests_are_in_flight_is_not_forgotten),
        T(a_rate_of_almost_nothing_waits_for_almost_ever),
        T(nothing_is_undone_for_whom_nobody_has_counted),
        T(without_memory_nobody_new_is_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
