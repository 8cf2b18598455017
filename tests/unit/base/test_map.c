#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/map.h"

static void value_is_found_under_its_key(void **state)
{
    (void)state;
    sl_map m = {0};
    int a, b;
    assert_null(sl_map_get(&m, SL_STR("x")));
    assert_null(sl_map_remove(&m, SL_STR("x")));
    assert_true(sl_map_try_set(&m, SL_STR("x"), &a));
    assert_true(sl_map_try_set(&m, SL_STR(""), &b));
    assert_true(sl_map_try_set(&m, SL_STR("x\0y"), &b));
    assert_ptr_equal(sl_map_get(&m, SL_STR("x")), &a);
    assert_ptr_equal(sl_map_get(&m, SL_STR("")), &b);
    assert_ptr_equal(sl_map_get(&m, (sl_str){NULL, 0}), &b);
    assert_true(sl_map_try_set(&m, SL_STR("x"), &b)); /* replaces */
    assert_ptr_equal(sl_map_get(&m, SL_STR("x")), &b);
    assert_int_equal(m.count, 3);
    sl_map_fini(&m);
}

/* The same as a table with one place for each key, over many random changes. */
static void map_agrees_with_a_simple_one(void **state)
{
    (void)state;
    enum { KEYS = 300 };
    static char simple[KEYS];
    sl_map m = {0};
    unsigned random = 1;
    size_t count = 0;
    for (int i = 0; i < 20000; i++) {
        char key[16];
        random = random * 1103515245 + 12345;
        int k = (int)(random >> 16) % KEYS;
        sl_str s = {key, (size_t)snprintf(key, sizeof key, "key %d", k)};
        assert_ptr_equal(sl_map_get(&m, s), simple[k] ? &simple[k] : NULL);
        if ((random >> 8) % 2) {
            assert_true(sl_map_try_set(&m, s, &simple[k]));
            count += !simple[k];
            simple[k] = 1;
        } else {
            assert_ptr_equal(sl_map_remove(&m, s), simple[k] ? &simple[k] : NULL);
            count -= (size_t)simple[k];
            simple[k] = 0;
        }
        assert_int_equal(m.count, count);
    }
    size_t walked = 0;
    const sl_map_slot *slot;
    for (size_t i = 0; (slot = sl_map_next(&m, &i)) != NULL; walked++)
        assert_int_equal(*(char *)slot->value, 1);
    assert_int_equal(walked, count);
    sl_map_fini(&m);
}

static void set_without_memory_changes_nothing(void **state)
{
    (void)state;
    sl_map m = {0};
    int v;
    for (int nth = 1; nth <= 2; nth++) { /* the slots, the key */
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        assert_false(sl_map_try_set(&m, SL_STR("k"), &v));
        assert_int_equal(m.count, 0);
        assert_null(sl_map_get(&m, SL_STR("k")));
    }
    assert_true(sl_map_try_set(&m, SL_STR("k"), &v));
    sl_map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_found_under_its_key),
        cmocka_unit_test(map_agrees_with_a_simple_one),
        cmocka_unit_test(set_without_memory_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
