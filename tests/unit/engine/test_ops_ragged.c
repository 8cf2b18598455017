/* test_ops_ragged.c - RaggedTensorToTensor: what no TensorFlow should be asked */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/op_harness.h"

/* AttrValue { list { s: "FIRST_DIM_SIZE" s: "VALUE_ROWIDS" } } */
static const char kinds[] = "\x0a\x1e\x12\x0e"
                            "FIRST_DIM_SIZE"
                            "\x12\x0c"
                            "VALUE_ROWIDS";

/* Two rows are wanted of `rows`, of which the first two have a value each. */
static sl_code rectangle(op_call *c, int64_t rows, sl_status *st)
{
    op_call_init(c, sl_op_find(SL_STR("RaggedTensorToTensor")), 1);
    op_call_attr(c, SL_STR("row_partition_types"), (sl_str){kinds, sizeof kinds - 1});
    c->arena.limit = 1 << 20;
    int64_t *shape = op_call_input(c, SL_DT_INT64, (int64_t[]){2}, 1)->data;
    float *values = op_call_input(c, SL_DT_FLOAT, (int64_t[]){2}, 1)->data;
    *(float *)op_call_input(c, SL_DT_FLOAT, NULL, 0)->data = 0;
    *(int64_t *)op_call_input(c, SL_DT_INT64, NULL, 0)->data = rows;
    int64_t *ids = op_call_input(c, SL_DT_INT64, (int64_t[]){2}, 1)->data;
    shape[0] = 2;
    shape[1] = -1;
    values[0] = 5;
    values[1] = 6;
    ids[0] = 0;
    ids[1] = 1;
    return op_call_run(c, -1, st);
}

static void any_number_of_rows_is_refused_or_served(void **state)
{
    (void)state;
    static const int64_t huge[] = {INT64_MAX, INT64_C(1) << 61, (INT64_C(1) << 61) + 2,
                                   INT64_C(1) << 40};
    for (size_t i = 0; i < SL_COUNTOF(huge); i++) {
        op_call c;
        sl_status st = {0};
        assert_int_equal(rectangle(&c, huge[i], &st), SL_RESOURCE_EXHAUSTED);
        op_call_fini(&c);
    }
    op_call c;
    sl_status st = {0};
    assert_int_equal(rectangle(&c, 3, &st), SL_OK);
    assert_int_equal(c.out[0].dims[0], 2);
    assert_int_equal(c.out[0].dims[1], 1);
    assert_true(((const float *)c.out[0].data)[1] == 6);
    op_call_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_number_of_rows_is_refused_or_served),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
