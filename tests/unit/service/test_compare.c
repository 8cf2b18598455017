/* test_compare.c - when two answers are the same */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "service/compare.h"

static sl_tensor make(sl_dtype dtype, int64_t n, const void *data)
{
    sl_tensor t = {0};
    sl_status st;
    assert_int_equal(sl_tensor_try_new(dtype, &n, 1, &t, &st), SL_OK);
    memcpy(t.data, data, t.size);
    return t;
}

static sl_difference last;

static bool same(sl_dtype dtype, int64_t n, const void *a, const void *b, double rtol, double atol)
{
    sl_tensor x = make(dtype, n, a), y = make(dtype, n, b);
    bool is = sl_tensor_compare(&x, &y, rtol, atol, &last);
    assert_int_equal(is, last.what == NULL);
    sl_tensor_release(&x);
    sl_tensor_release(&y);
    return is;
}

static void floats_may_differ_by_the_tolerances(void **state)
{
    (void)state;
    static const float a[] = {1, 100, 0}, b[] = {1.01f, 101, 0.001f};
    assert_true(same(SL_DT_FLOAT, 3, a, b, 0.02, 0.01));
    assert_false(same(SL_DT_FLOAT, 3, a, b, 0.02, 0));
    assert_int_equal(last.first, 2);
    assert_int_equal(last.count, 1);
    assert_false(same(SL_DT_FLOAT, 3, a, b, 0, 0.1));
    assert_int_equal(last.first, 1);
    assert_true(last.expected == 100 && last.got == 101);
    assert_false(same(SL_DT_FLOAT, 3, a, b, 0, 0));
    assert_int_equal(last.count, 3);
}

static void what_is_no_number_equals_itself_only(void **state)
{
    (void)state;
    static const double a[] = {NAN, INFINITY, -INFINITY, 0.0},
                        b[] = {NAN, INFINITY, -INFINITY, -0.0};
    static const double c[] = {1, 1e308, INFINITY, 0};
    assert_true(same(SL_DT_DOUBLE, 4, a, b, 0, 0));
    assert_false(same(SL_DT_DOUBLE, 4, a, c, 1, 1));
    assert_int_equal(last.count, 3);
}

static void short_floats_and_complex_numbers_have_tolerances_too(void **state)
{
    (void)state;
    static const uint16_t half[] = {0x3c00, 0x0001, 0xfc00, 0x7e00},
                          other[] = {0x3c01, 0x0002, 0xfc00, 0x7e01};
    static const uint16_t one[] = {0x3f80}, more[] = {0x3f81};
    static const float c[] = {1, 2}, d[] = {1, 2.5f};
    assert_true(same(SL_DT_HALF, 4, half, other, 0.001, 1e-7));
    assert_false(same(SL_DT_HALF, 4, half, other, 0.001, 0));
    assert_true(same(SL_DT_BFLOAT16, 1, one, more, 0.01, 0));
    assert_false(same(SL_DT_BFLOAT16, 1, one, more, 0.001, 0));
    assert_true(same(SL_DT_COMPLEX64, 1, c, d, 0.3, 0));
    assert_false(same(SL_DT_COMPLEX64, 1, c, d, 0.1, 0));
}

static void everything_else_must_be_equal(void **state)
{
    (void)state;
    static const int64_t a[] = {1, 2, 3}, b[] = {1, 2, 4};
    static const uint8_t t[] = {0, 1}, f[] = {0, 0};
    assert_true(same(SL_DT_INT64, 3, a, a, 0, 0));
    assert_false(same(SL_DT_INT64, 3, a, b, 1, 1));
    assert_int_equal(last.first, 2);
    assert_false(same(SL_DT_BOOL, 2, t, f, 1, 1));
}

static void strings_must_be_equal(void **state)
{
    (void)state;
    sl_status st;
    sl_tensor x, y;
    int64_t n = 2;
    sl_str a[] = {SL_STR("cat"), SL_STR("")}, b[] = {SL_STR("cat"), SL_STR("dog")};
    assert_int_equal(sl_tensor_try_new_strings(a, &n, 1, &x, &st), SL_OK);
    assert_int_equal(sl_tensor_try_new_strings(b, &n, 1, &y, &st), SL_OK);
    assert_true(sl_tensor_compare(&x, &x, 0, 0, &last));
    assert_false(sl_tensor_compare(&x, &y, 1, 1, &last));
    assert_int_equal(last.first, 1);
    sl_tensor_release(&x);
    sl_tensor_release(&y);
}

static void dtype_and_shape_must_be_the_same(void **state)
{
    (void)state;
    static const float a[] = {1, 2};
    static const int32_t b[] = {1, 2};
    sl_tensor x = make(SL_DT_FLOAT, 2, a), y = make(SL_DT_INT32, 2, b), z = make(SL_DT_FLOAT, 1, a);
    assert_false(sl_tensor_compare(&x, &y, 1, 1, &last));
    assert_string_equal(last.what, "dtype");
    assert_false(sl_tensor_compare(&x, &z, 1, 1, &last));
    assert_string_equal(last.what, "shape");
    sl_tensor_release(&x);
    sl_tensor_release(&y);
    sl_tensor_release(&z);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(floats_may_differ_by_the_tolerances),
        cmocka_unit_test(what_is_no_number_equals_itself_only),
        cmocka_unit_test(short_floats_and_complex_numbers_have_tolerances_too),
        cmocka_unit_test(everything_else_must_be_equal),
        cmocka_unit_test(strings_must_be_equal),
        cmocka_unit_test(dtype_and_shape_must_be_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
