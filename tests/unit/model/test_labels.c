#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "model/labels.h"

static sl_status st;

static const int64_t one_two[] = {1, 2}, three[] = {3};
static const sl_numbers available = {one_two, 2}, expected = {three, 1}, none = {NULL, 0};

/* Would the configuration "x" -> version be taken, where "x" points to `now` (0: nowhere) today? */
static sl_code check(int64_t version, int64_t now, bool unavailable_allowed)
{
    sl_label wanted = {"x", version}, old = {"x", now};
    sl_labels today = {now ? &old : NULL, now != 0};
    sl_model_config c = {.name = "m", .labels = &wanted, .n_labels = 1};
    return sl_labels_check(&c, &today, available, expected, unavailable_allowed, &st);
}

static void label_needs_a_version_that_is_or_will_be_there(void **state)
{
    (void)state;
    assert_int_equal(check(2, 0, false), SL_OK);
    assert_int_equal(check(3, 0, false), SL_OK);
    assert_int_equal(check(3, 1, false), SL_OK);
    assert_int_equal(check(9, 0, false), SL_FAILED_PRECONDITION);
    assert_int_equal(check(9, 9, false), SL_FAILED_PRECONDITION);
}

static void new_label_may_be_allowed_to_point_anywhere(void **state)
{
    (void)state;
    assert_int_equal(check(9, 0, true), SL_OK);
    assert_int_equal(check(9, 9, true), SL_OK);
    assert_int_equal(check(9, 1, true), SL_FAILED_PRECONDITION); /* moving it needs a target */
}

/* Assigns "x" -> version and returns where it points (0: nowhere). */
static int64_t assign(sl_labels *now, int64_t version, sl_numbers there, bool unavailable_allowed)
{
    sl_label wanted = {"x", version};
    sl_model_config c = {.name = "m", .labels = &wanted, .n_labels = 1};
    sl_labels_assign(&c, now, there, unavailable_allowed);
    return now->count ? now->list[0].version : 0;
}

static void label_points_where_it_did_until_its_version_is_there(void **state)
{
    (void)state;
    sl_labels now = {0};
    assert_int_equal(assign(&now, 3, available, false), 0);
    assert_int_equal(assign(&now, 2, available, false), 2);
    assert_int_equal(assign(&now, 3, available, false), 2);
    assert_int_equal(assign(&now, 3, (sl_numbers){three, 1}, false), 3);
    assert_int_equal(assign(&now, 3, none, false), 3); /* its version went away: it stays */
    sl_labels_assign(&(sl_model_config){.name = "m"}, &now, available, false);
    assert_int_equal(now.count, 0);
    assert_int_equal(assign(&now, 9, none, true), 9);
    sl_labels_fini(&now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(label_needs_a_version_that_is_or_will_be_there),
        cmocka_unit_test(new_label_may_be_allowed_to_point_anywhere),
        cmocka_unit_test(label_points_where_it_did_until_its_version_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
