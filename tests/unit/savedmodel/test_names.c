/* test_names.c - finding a name among many */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "savedmodel/names.h"

static void an_index_that_is_all_zeros_is_empty(void **state)
{
    (void)state;
    const sl_names none = {0};
    assert_int_equal(sl_names_find(&none, SL_STR("a")), -1);
    assert_int_equal(sl_names_find(&none, SL_STR("")), -1);
}

static void the_first_name_that_stands_twice_is_told(void **state)
{
    (void)state;
    const sl_str list[] = {SL_STR("a"), SL_STR("b"), SL_STR("b"), SL_STR("c"), SL_STR("a")};
    sl_arena arena;
    sl_names names;
    int twice;
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    assert_true(sl_names_try_index(&names, &arena, list, 0, sizeof *list, 5, &twice));
    assert_int_equal(twice, 2);
    assert_int_equal(sl_names_find(&names, SL_STR("a")), 0);
    assert_int_equal(sl_names_find(&names, SL_STR("b")), 1);
    assert_int_equal(sl_names_find(&names, SL_STR("c")), 3);
    assert_int_equal(sl_names_find(&names, SL_STR("d")), -1);
    sl_arena_fini(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_index_that_is_all_zeros_is_empty),
        cmocka_unit_test(the_first_name_that_stands_twice_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
