/* test_nearest.c - which name was meant */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "format/nearest.h"

static char longest[300];
static const char *const names[] = {longest, "port", "ports", "rest_api_port", "x", NULL};

static const char *name(void *arg, int i)
{
    (void)arg;
    return names[i];
}

static const char *near(const char *typed)
{
    return sl_nearest(sl_str_of(typed), name, NULL);
}

static void the_first_of_the_nearest_is_meant(void **state)
{
    (void)state;
    memset(longest, 'p', sizeof longest - 1);
    assert_string_equal(near("prot"), "port");
    assert_string_equal(near("portss"), "ports");
    assert_string_equal(near("rest_apiport"), "rest_api_port");
    assert_string_equal(near("y"), "x");
    assert_null(near("completely"));
    assert_null(near(""));
    assert_null(near(longest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_first_of_the_nearest_is_meant)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
