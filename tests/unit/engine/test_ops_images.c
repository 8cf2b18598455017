/* test_ops_images.c - ops of pictures: sizes and attributes that no TensorFlow should be asked about */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/op_harness.h"

enum { HUGE_SIDE = INT32_MAX };

/* AttrValue { s: text } or { i: n }, in memory of the call. */
static sl_str text_value(op_call *c, const char *text)
{
    size_t n = strlen(text);
    char *p = op_call_memory(c, n + 2);
    p[0] = 0x12;
    p[1] = (char)n;
    memcpy(p + 2, text, n);
    return (sl_str){p, n + 2};
}

static void pair(op_call *c, int32_t a, int32_t b)
{
    int32_t *p = op_call_input(c, SL_DT_INT32, (int64_t[]){2}, 1)->data;
    p[0] = a;
    p[1] = b;
}

static void number(op_call *c, sl_dtype t, int32_t i, float f)
{
    sl_tensor *in = op_call_input(c, t, NULL, 0);
    if (t == SL_DT_INT32)
        *(int32_t *)in->data = i;
    else
        *(float *)in->data = f;
}

static void refused(op_call *c, sl_code code)
{
    sl_status st = {0};
    assert_int_equal(op_call_run(c, -1, &st), code);
    assert_true(st.msg[0] != '\0');
    op_call_fini(c);
}

static void a_picture_that_no_memory_holds_is_refused(void **state)
{
    (void)state;
    op_call c;
    int64_t image[] = {2, 1, 1, 3}, boxes[] = {1, 4}, one[] = {1}, two[] = {2}, move[] = {1, 8};
    op_call_start(&c, "ResizeArea", 1);
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    pair(&c, HUGE_SIDE, HUGE_SIDE);
    refused(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "CropAndResize", 1);
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    op_call_zeros(&c, SL_DT_FLOAT, boxes, 2);
    op_call_zeros(&c, SL_DT_INT32, one, 1);
    pair(&c, HUGE_SIDE, HUGE_SIDE);
    refused(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "ImageProjectiveTransformV3", 1);
    op_call_attr(&c, SL_STR("interpolation"), text_value(&c, "NEAREST"));
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    op_call_zeros(&c, SL_DT_FLOAT, move, 2);
    pair(&c, HUGE_SIDE, HUGE_SIDE);
    number(&c, SL_DT_FLOAT, 0, 0);
    refused(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "ScaleAndTranslate", 1);
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    pair(&c, HUGE_SIDE, HUGE_SIDE);
    op_call_zeros(&c, SL_DT_FLOAT, two, 1);
    op_call_zeros(&c, SL_DT_FLOAT, two, 1);
    refused(&c, SL_INVALID_ARGUMENT);
}

/* Lists of ints, packed: AttrValue { list { i: ... } }, for windows of 2^31 - 1. */
static void an_empty_picture_may_have_any_side(void **state)
{
    (void)state;
    static const char window[] = "\x0a\x0a\x1a\x08\x01\xff\xff\xff\xff\x07\x01\x01";
    static const char ones[] = "\x0a\x06\x1a\x04\x01\x01\x01\x01";
    int64_t sides[] = {INT64_C(1) << 62, INT64_MAX, INT64_C(1) << 31};
    for (size_t i = 0; i < SL_COUNTOF(sides); i++) {
        op_call c;
        op_call_start(&c, "ExtractImagePatches", 1);
        op_call_attr(&c, SL_STR("ksizes"), (sl_str){window, sizeof window - 1});
        op_call_attr(&c, SL_STR("padding"), text_value(&c, "SAME"));
        op_call_attr(&c, SL_STR("rates"), (sl_str){ones, sizeof ones - 1});
        op_call_attr(&c, SL_STR("strides"), (sl_str){ones, sizeof ones - 1});
        op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){0, sides[i], sides[i], 3}, 4);
        refused(&c, SL_INVALID_ARGUMENT);
        op_call_start(&c, "ExtractImagePatches", 1);
        op_call_attr(&c, SL_STR("ksizes"), (sl_str){window, sizeof window - 1});
        op_call_attr(&c, SL_STR("padding"), text_value(&c, "VALID"));
        op_call_attr(&c, SL_STR("rates"), (sl_str){ones, sizeof ones - 1});
        op_call_attr(&c, SL_STR("strides"), (sl_str){ones, sizeof ones - 1});
        op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){0, 4, 4, sides[i]}, 4);
        refused(&c, SL_INVALID_ARGUMENT);
        const char *const adjust[] = {"AdjustContrastv2", "AdjustHue", "AdjustSaturation"};
        for (size_t k = 0; k < SL_COUNTOF(adjust); k++) {
            sl_status st = {0};
            op_call_start(&c, adjust[k], 1);
            op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){0, sides[i], sides[i], 3}, 4);
            number(&c, SL_DT_FLOAT, 0, 0.5f);
            assert_int_equal(op_call_run(&c, -1, &st), SL_OK);
            op_call_fini(&c);
        }
    }
}

/* Of an empty batch, too, whose rows nobody has to hold. */
static void a_window_moves_over_sides_that_can_be_counted(void **state)
{
    (void)state;
    static const char sevens[] = "\x0a\x06\x1a\x04\x01\x07\x07\x01";
    static const char *const paddings[] = {"SAME", "VALID"};
    for (size_t i = 0; i < SL_COUNTOF(paddings); i++) {
        op_call c;
        op_call_start(&c, "Conv2D", 1);
        op_call_attr(&c, SL_STR("padding"), text_value(&c, paddings[i]));
        op_call_attr(&c, SL_STR("strides"), (sl_str){sevens, sizeof sevens - 1});
        op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){0, INT64_MAX, 1, 1}, 4);
        op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){2, 1, 1, 1}, 4);
        refused(&c, SL_INVALID_ARGUMENT);
    }
}

static void a_box_beside_a_huge_empty_picture_is_refused(void **state)
{
    (void)state;
    op_call c;
    int64_t boxes[] = {1, 4}, one[] = {1};
    op_call_start(&c, "CropAndResize", 1);
    op_call_zeros(&c, SL_DT_FLOAT, (int64_t[]){0, INT64_MAX, INT64_MAX, 3}, 4);
    op_call_zeros(&c, SL_DT_FLOAT, boxes, 2);
    op_call_zeros(&c, SL_DT_INT32, one, 1);
    pair(&c, 2, 2);
    refused(&c, SL_OUT_OF_RANGE);
}

static sl_code combined(op_call *c, int64_t images, int64_t boxes, int64_t classes, int32_t each,
                        int32_t most, sl_status *st)
{
    op_call_start(c, "CombinedNonMaxSuppression", 4);
    op_call_zeros(c, SL_DT_FLOAT, (int64_t[]){images, boxes, 1, 4}, 4);
    op_call_zeros(c, SL_DT_FLOAT, (int64_t[]){images, boxes, classes}, 3);
    number(c, SL_DT_INT32, each, 0);
    number(c, SL_DT_INT32, most, 0);
    number(c, SL_DT_FLOAT, 0, 0.5f);
    number(c, SL_DT_FLOAT, 0, 0);
    return op_call_run(c, -1, st);
}

static void detections_of_any_shape_are_refused_or_served(void **state)
{
    (void)state;
    op_call c;
    sl_status st = {0};
    int64_t many = INT64_C(1) << 61;
    assert_int_equal(combined(&c, 0, many, 1, INT32_MAX, INT32_MAX, &st), SL_INVALID_ARGUMENT);
    op_call_fini(&c);
    assert_int_equal(combined(&c, many, 0, 1, INT32_MAX, INT32_MAX, &st), SL_INVALID_ARGUMENT);
    op_call_fini(&c);
    assert_int_equal(combined(&c, 1, 0, 1 << 30, INT32_MAX, 3, &st), SL_OK);
    assert_int_equal(*(const int32_t *)c.out[3].data, 0);
    op_call_fini(&c);
}

static void what_is_not_supported_is_refused_when_the_model_is_loaded(void **state)
{
    (void)state;
    op_call c;
    int64_t image[] = {1, 1, 1, 3}, two[] = {2}, move[] = {1, 8};
    op_call_start(&c, "ScaleAndTranslate", 1);
    op_call_attr(&c, SL_STR("kernel_type"), text_value(&c, "lanczos9"));
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    pair(&c, 1, 1);
    op_call_zeros(&c, SL_DT_FLOAT, two, 1);
    op_call_zeros(&c, SL_DT_FLOAT, two, 1);
    refused(&c, SL_FAILED_PRECONDITION);
    op_call_start(&c, "ImageProjectiveTransformV2", 1);
    op_call_attr(&c, SL_STR("fill_mode"), text_value(&c, "MIRROR"));
    op_call_attr(&c, SL_STR("interpolation"), text_value(&c, "NEAREST"));
    op_call_zeros(&c, SL_DT_FLOAT, image, 4);
    op_call_zeros(&c, SL_DT_FLOAT, move, 2);
    pair(&c, 1, 1);
    refused(&c, SL_FAILED_PRECONDITION);
    op_call_start(&c, "RGBToHSV", 1);
    op_call_zeros(&c, SL_DT_HALF, image, 4);
    refused(&c, SL_FAILED_PRECONDITION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_picture_that_no_memory_holds_is_refused),
        cmocka_unit_test(an_empty_picture_may_have_any_side),
        cmocka_unit_test(a_window_moves_over_sides_that_can_be_counted),
        cmocka_unit_test(a_box_beside_a_huge_empty_picture_is_refused),
        cmocka_unit_test(detections_of_any_shape_are_refused_or_served),
        cmocka_unit_test(what_is_not_supported_is_refused_when_the_model_is_loaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
