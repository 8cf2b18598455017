/* Patterns for names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard/glob.h"

static bool fits(const char *pattern, const char *name)
{
    return sl_glob_match(sl_str_of(pattern), sl_str_of(name));
}

static void a_plain_name_matches_itself_alone(void **state)
{
    (void)state;
    assert_true(fits("fraud", "fraud"));
    assert_false(fits("fraud", "fraud2"));
    assert_false(fits("fraud", "Fraud"));
    assert_false(fits("fraud", ""));
    assert_true(fits("", ""));
}

static void a_star_takes_any_characters_and_none(void **state)
{
    (void)state;
    assert_true(fits("*", ""));
    assert_true(fits("fraud_*", "fraud_"));
    assert_true(fits("fraud_*", "fraud_eu/v2"));
    assert_true(fits("*_eu", "a_eu_eu"));
    assert_true(fits("a*b*c", "a.b.b.c"));
    assert_false(fits("a*b*c", "a.c.b"));
    assert_true(fits("**", "x"));
}

static void a_question_mark_takes_exactly_one(void **state)
{
    (void)state;
    assert_true(fits("v?", "v1"));
    assert_false(fits("v?", "v"));
    assert_false(fits("v?", "v12"));
    assert_true(fits("*?", "x"));
    assert_false(fits("*?", ""));
}

static void many_stars_do_not_take_exponential_time(void **state)
{
    char name[4096];
    (void)state;
    memset(name, 'a', sizeof name);
    assert_false(sl_glob_match(SL_STR("*a*a*a*a*a*a*a*a*a*a*a*a*b"), (sl_str){name, sizeof name}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_plain_name_matches_itself_alone),
        cmocka_unit_test(a_star_takes_any_characters_and_none),
        cmocka_unit_test(a_question_mark_takes_exactly_one),
        cmocka_unit_test(many_stars_do_not_take_exponential_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
