/* test_slices.c - keys of slices, shape_and_slice, copying between regions */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/wire.h"
#include "savedmodel/slices.h"
#include "support/faults.h"

static void add_extent(sl_text *t, int64_t start, int64_t length)
{
    sl_text e = {0};
    if (start)
        sl_wire_put_varint(&e, 1, (uint64_t)start);
    if (length >= 0)
        sl_wire_put_varint(&e, 2, (uint64_t)length);
    sl_wire_put_bytes(t, 1, e.n ? e.p : "", e.n);
    sl_text_fini(&e);
}

static void key_is(sl_str name, int64_t start, int64_t length, const char *want, size_t n)
{
    const int64_t dims[] = {INT64_MAX, 4};
    sl_text slice = {0}, key = {0};
    sl_region r;
    add_extent(&slice, start, length);
    add_extent(&slice, 0, -1);
    assert_int_equal(sl_region_decode((sl_str){slice.p, slice.n}, name, dims, 2, &r, &key, NULL),
                     SL_OK);
    assert_int_equal(key.n, n);
    assert_memory_equal(key.p, want, n);
    assert_int_equal(r.start[0], start);
    assert_int_equal(r.length[1], 4);
    sl_text_fini(&slice);
    sl_text_fini(&key);
}

static void keys_are_ordered_codes(void **state)
{
    (void)state;
#define KEY(s) s, sizeof(s) - 1
    key_is(SL_STR("p"), 0, 4, KEY("\0p\0\1\1\2\x80\x84\x80\x7f"));
    key_is(SL_STR("p"), 70, 9000, KEY("\0p\0\1\1\2\xc0\x46\xe0\x23\x28\x80\x7f"));
    key_is(SL_STR("p"), 63, 64, KEY("\0p\0\1\1\2\xbf\xc0\x40\x80\x7f"));
    key_is(SL_STR("p"), 0, 90930, KEY("\0p\0\1\1\2\x80\xe1\x63\x32\x80\x7f"));
    key_is(SL_STR("p"), INT64_C(1) << 60, 1, KEY("\0p\0\1\1\2\xff\x90\0\0\0\0\0\0\0\x81\x80\x7f"));
    key_is(SL_STR("a\0b\xff"), 0, 1, KEY("\0a\0\xff\x62\xff\0\0\1\1\2\x80\x81\x80\x7f"));
}

static void slices_outside_their_shape_are_refused(void **state)
{
    (void)state;
    static const struct {
        int64_t start, length;
        int extents;
    } wrong[] = {{3, 2, 2}, {5, 0, 2}, {0, 5, 2}, {0, 4, 1}, {0, 4, 3}, {-1, 1, 2}};
    const int64_t dims[] = {4, 4};
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++) {
        sl_text slice = {0}, key = {0};
        sl_region r;
        for (int k = 0; k < wrong[i].extents; k++)
            add_extent(&slice, wrong[i].start, wrong[i].length);
        assert_int_equal(
            sl_region_decode((sl_str){slice.p, slice.n}, SL_STR("v"), dims, 2, &r, &key, NULL),
            SL_DATA_LOSS);
        sl_text_fini(&slice);
        sl_text_fini(&key);
    }
}

static sl_code decode_two(sl_text extent, sl_region *r)
{
    const int64_t dims[] = {4};
    sl_text slice = {0}, key = {0};
    sl_wire_put_varint(&slice, 1, 3); /* no extent: an unknown field */
    sl_wire_put_bytes(&slice, 2, "?", 1);
    sl_wire_put_bytes(&slice, 1, extent.p, extent.n);
    sl_code rc = sl_region_decode((sl_str){slice.p, slice.n}, SL_STR("v"), dims, 1, r, &key, NULL);
    sl_text_fini(&slice);
    sl_text_fini(&key);
    sl_text_fini(&extent);
    return rc;
}

static void fields_of_another_wire_type_are_skipped(void **state)
{
    (void)state;
    sl_text extent = {0};
    sl_region r;
    sl_wire_put_varint(&extent, 1, 1);
    sl_wire_put_varint(&extent, 2, 2);
    sl_wire_put_bytes(&extent, 1, "x", 1);
    sl_wire_put_fixed32(&extent, 2, 4);
    sl_wire_put_varint(&extent, 3, 4);
    assert_int_equal(decode_two(extent, &r), SL_OK);
    assert_int_equal(r.start[0], 1);
    assert_int_equal(r.length[0], 2);
}

static void damaged_extents_are_refused(void **state)
{
    (void)state;
    sl_text cut = {0}, negative = {0};
    sl_region r;
    sl_text_putc(&cut, '\x08');
    assert_int_equal(decode_two(cut, &r), SL_DATA_LOSS);
    sl_wire_put_varint(&negative, 2, (uint64_t)-2);
    assert_int_equal(decode_two(negative, &r), SL_DATA_LOSS);
}

static sl_code decode_again(void *arg, sl_status *st)
{
    const int64_t dims[] = {4};
    sl_text key = {0};
    sl_region r;
    sl_code rc = sl_region_decode((sl_str){"\x0a\0", 2}, sl_str_of(arg), dims, 1, &r, &key, st);
    sl_text_fini(&key);
    return rc;
}

static void without_memory_there_is_no_key(void **state)
{
    (void)state;
    char name[] = "a name that is longer than what a text begins with, so that it has to grow "
                  "once more";
    assert_true(fail_each_allocation(decode_again, name) > 0);
}

static void regions_of_different_rank_are_different(void **state)
{
    (void)state;
    const int64_t dims[] = {3, 4};
    const sl_region one = sl_region_whole(dims, 1), two = sl_region_whole(dims, 2);
    assert_false(sl_region_equal(&one, &two));
    assert_true(sl_region_equal(&two, &two));
}

static void nothing_is_copied_of_an_empty_region(void **state)
{
    (void)state;
    const int64_t dims[] = {3};
    const sl_region whole = sl_region_whole(dims, 1), none = {.rank = 1, .start = {3}};
    sl_region_copy(&none, NULL, &whole, NULL, &none, 4); /* would crash if it touched them */
    assert_int_equal(sl_region_count(&none), 0);
}

static void shape_and_slice_is_read(void **state)
{
    (void)state;
    const int64_t dims[] = {10, 4};
    sl_region r;
    assert_int_equal(sl_region_parse(SL_STR("10 4 7,3:0,4"), dims, 2, &r, NULL), SL_OK);
    assert_int_equal(r.start[0], 7);
    assert_int_equal(r.length[0], 3);
    assert_int_equal(sl_region_parse(SL_STR("10 4 -:1,2"), dims, 2, &r, NULL), SL_OK);
    assert_int_equal(r.length[0], 10);
    assert_int_equal(r.start[1], 1);
}

static void malformed_shape_and_slice_is_refused(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "10 5 -:-",    "10 4",      "10 4 -",      "10 4 8,3:-",
        "10 4 -1,3:-", "10 4 a:-",  "10 4 -:-:-",  "10 4 0,99999999999999999999:-",
        " 10 4 -:-",   "10 4 1:-",  "10 4 0,-1:-", "10 4 11,0:-",
        "10 4 x,1:-",  "10 4 1,x:-"};
    const int64_t dims[] = {10, 4};
    sl_region r;
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++)
        assert_int_equal(sl_region_parse(sl_str_of(wrong[i]), dims, 2, &r, NULL),
                         SL_INVALID_ARGUMENT);
}

static void regions_are_copied_point_by_point(void **state)
{
    (void)state;
    /* a [3,4,5] array from which every box is copied into an array of just that box */
    int from[60], to[60];
    const int64_t dims[] = {3, 4, 5};
    const sl_region whole = sl_region_whole(dims, 3);
    for (int i = 0; i < 60; i++)
        from[i] = i;
    for (int a = 0; a < 3; a++)
        for (int b = 0; b < 4; b++)
            for (int c = 0; c < 5; c++) {
                const sl_region part = {3, {a, b, c}, {3 - a, 4 - b, 5 - c}};
                memset(to, -1, sizeof to);
                sl_region_copy(&part, from, &whole, to, &part, sizeof *to);
                int n = 0;
                for (int i = a; i < 3; i++)
                    for (int k = b; k < 4; k++)
                        for (int l = c; l < 5; l++)
                            assert_int_equal(to[n++], i * 20 + k * 5 + l);
                assert_true(n == 60 || to[n] == -1);
            }
}

static void a_scalar_is_copied(void **state)
{
    (void)state;
    const sl_region scalar = {0};
    int from = 3, to = 0;
    sl_region_copy(&scalar, &from, &scalar, &to, &scalar, sizeof to);
    assert_int_equal(to, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_ordered_codes),
        cmocka_unit_test(slices_outside_their_shape_are_refused),
        cmocka_unit_test(shape_and_slice_is_read),
        cmocka_unit_test(malformed_shape_and_slice_is_refused),
        cmocka_unit_test(regions_are_copied_point_by_point),
        cmocka_unit_test(a_scalar_is_copied),
        cmocka_unit_test(fields_of_another_wire_type_are_skipped),
        cmocka_unit_test(damaged_extents_are_refused),
        cmocka_unit_test(without_memory_there_is_no_key),
        cmocka_unit_test(regions_of_different_rank_are_different),
        cmocka_unit_test(nothing_is_copied_of_an_empty_region),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
