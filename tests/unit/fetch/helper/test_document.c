/* test_document.c - for how long a document may be kept */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch/helper/document.h"

static void max_age_is_found_among_other_directives(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool has;
        uint64_t age;
    } cases[] = {{"max-age=300", true, 300},
                 {"public, max-age=19845, must-revalidate, no-transform", true, 19845},
                 {" Max-Age=0 ", true, 0},
                 {"s-maxage=10,max-age=9223372036854775807", true, INT64_MAX},
                 {"", false, 0},
                 {",,,", false, 0},
                 {"max-age=", false, 0},
                 {"max-age=x", false, 0},
                 {"max-age=-1", false, 0},
                 {"max-age=99999999999999999999", false, 0},
                 {"max-age=60, no-cache", false, 0},
                 {"no-store", false, 0},
                 {"x-max-age=1", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t age = 0;
        bool has = fetch_max_age(cases[i].text, &age);
        assert_int_equal(has, cases[i].has);
        if (has)
            assert_true(age == cases[i].age);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(max_age_is_found_among_other_directives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
