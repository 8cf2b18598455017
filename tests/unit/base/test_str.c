#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"

static void strings_are_compared_bytewise(void **state)
{
    (void)state;
    assert_true(sl_str_eq((sl_str){NULL, 0}, SL_STR("")));
    assert_false(sl_str_eq(SL_STR("a\0b"), SL_STR("a\0c")));
    assert_true(sl_str_is(SL_STR("abc"), "abc"));
    assert_false(sl_str_is(SL_STR("abc"), "ab"));
    assert_true(sl_str_starts(SL_STR("abc"), "ab"));
    assert_true(sl_str_starts(SL_STR("abc"), ""));
    assert_false(sl_str_starts(SL_STR("ab"), "abc"));
    assert_true(sl_str_eq_nocase(SL_STR("Content-TYPE"), SL_STR("content-type")));
    assert_false(sl_str_eq_nocase(SL_STR("[a"), SL_STR("{a"))); /* differ by 32, but no letters */
    assert_false(sl_str_eq_nocase(SL_STR("a"), SL_STR("ab")));
    assert_true(sl_str_cmp(SL_STR("1"), SL_STR("10")) < 0);
    assert_true(sl_str_cmp(SL_STR("b"), SL_STR("a\xff")) > 0);
    assert_true(sl_str_cmp(SL_STR("\xff"), SL_STR("a")) > 0); /* unsigned */
    assert_int_equal(sl_str_cmp((sl_str){NULL, 0}, SL_STR("")), 0);
}

static void only_whole_numbers_that_fit_are_numbers(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"007", 7},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {"",
                                      "-",
                                      "+1",
                                      " 1",
                                      "1 ",
                                      "1.0",
                                      "0x1",
                                      "--1",
                                      "9223372036854775808",
                                      "-9223372036854775809",
                                      "99999999999999999999999"};
    int64_t v = 42;
    for (size_t i = 0; i < SL_COUNTOF(good); i++) {
        assert_true(sl_str_to_int64(sl_str_of(good[i].text), &v));
        assert_int_equal(v, good[i].value);
    }
    v = 42;
    for (size_t i = 0; i < SL_COUNTOF(bad); i++)
        assert_false(sl_str_to_int64(sl_str_of(bad[i]), &v));
    assert_int_equal(v, 42);
}

static void text_grows_and_stays_terminated(void **state)
{
    (void)state;
    sl_text t = {0};
    for (int i = 0; i < 1000; i++) {
        sl_text_printf(&t, "%d,", i);
        assert_int_equal(strlen(t.p), t.n);
    }
    assert_true(strncmp(t.p, "0,1,2,", 6) == 0);
    sl_text_fini(&t);
    sl_text_putc(&t, 'a');
    sl_text_puts(&t, "bc");
    sl_text_add(&t, "d\0e", 3);
    assert_int_equal(t.n, 6);
    assert_memory_equal(t.p, "abcd\0e", 7);
    sl_text_fini(&t);
    assert_null(t.p);
}

static void text_remembers_that_memory_ran_out(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_text_puts(&t, "kept");
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    sl_text_printf(&t, "%0200d", 1);
    assert_true(t.failed);
    sl_text_puts(&t, "more");
    assert_string_equal(t.p, "kept");
    sl_text_fini(&t);
    assert_false(t.failed);
}

static void hash_tells_strings_apart(void **state)
{
    (void)state;
    static const char zeros[64];
    for (size_t n = 0; n < 64; n++) { /* length counts, also that of zeros */
        assert_true(sl_hash(zeros, n) == sl_hash(zeros, n));
        for (size_t k = 0; k < n; k++)
            assert_true(sl_hash(zeros, n) != sl_hash(zeros, k));
    }
    /* 100000 names into 2^20 places: about 4700 collisions are to be expected. */
    static unsigned char seen[1 << 20];
    int collisions = 0;
    char name[32];
    for (int i = 0; i < 100000; i++) {
        int n = snprintf(name, sizeof name, "model-%d", i);
        unsigned char *place = &seen[sl_hash(name, (size_t)n) & ((1 << 20) - 1)];
        collisions += *place;
        *place = 1;
    }
    assert_in_range(collisions, 4000, 5500);
}

static void arrays_grow_and_refuse_what_does_not_fit(void **state)
{
    (void)state;
    size_t cap = 0, r = 7;
    int *a = NULL;
    for (size_t i = 0; i < 1000; i++) {
        a = sl_grow(a, i, &cap, sizeof *a);
        a[i] = (int)i;
    }
    assert_int_equal(a[999], 999);
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    size_t before = cap;
    assert_null(sl_try_grow(a, cap, &cap, sizeof *a));
    assert_int_equal(cap, before);
    sl_free(a);
    cap = SIZE_MAX / 4;
    assert_null(sl_try_grow(NULL, cap, &cap, 16));
    assert_false(sl_add_size(SIZE_MAX, 1, &r));
    assert_false(sl_mul_size(SIZE_MAX / 2, 3, &r));
    assert_int_equal(r, 7);
    assert_true(sl_mul_size(6, 7, &r));
    assert_true(sl_add_capped(SIZE_MAX, 1) == SIZE_MAX && sl_add_capped(1, 2) == 3);
    assert_true(sl_mul_capped(SIZE_MAX / 2, 3) == SIZE_MAX && sl_mul_capped(6, 7) == 42);
    assert_int_equal(r, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_compared_bytewise),
        cmocka_unit_test(only_whole_numbers_that_fit_are_numbers),
        cmocka_unit_test(text_grows_and_stays_terminated),
        cmocka_unit_test(text_remembers_that_memory_ran_out),
        cmocka_unit_test(hash_tells_strings_apart),
        cmocka_unit_test(arrays_grow_and_refuse_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
