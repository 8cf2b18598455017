/*
 * test_ops_arrays.c - ops of arrays, strings and cells: what TensorFlow itself should not be asked
 *
 * Sizes that no memory holds, and shapes for which TensorFlow ends its process or reads what is not
 * there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "support/op_harness.h"

#define MANY ((int64_t)1 << 40)

static const unsigned char yes[] = {0x28, 1}, float_type[] = {0x30, SL_DT_FLOAT};
#define VALUE(bytes) ((sl_str){(const char *)(bytes), sizeof(bytes)})

static void longs(op_call *c, const int64_t *values, int64_t n)
{
    memcpy(op_call_input(c, SL_DT_INT64, &n, 1)->data, values, (size_t)n * sizeof *values);
}

static void one_long(op_call *c, int64_t v)
{
    *(int64_t *)op_call_input(c, SL_DT_INT64, NULL, 0)->data = v;
}

static void ended(op_call *c, sl_code code)
{
    sl_status st = {0};
    assert_int_equal(op_call_run(c, -1, &st), code);
    assert_true(code == SL_OK || st.msg[0] != '\0');
    op_call_fini(c);
}

static void an_array_that_no_memory_holds_is_refused(void **state)
{
    (void)state;
    op_call c;
    int64_t none[] = {0}, two[] = {2}, nothing[] = {MANY, 0};
    op_call_start(&c, "LinSpace", 1);
    op_call_zeros(&c, SL_DT_FLOAT, NULL, 0);
    op_call_zeros(&c, SL_DT_FLOAT, NULL, 0);
    one_long(&c, INT64_MAX);
    ended(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "Empty", 1);
    op_call_attr(&c, SL_STR("dtype"), VALUE(float_type));
    int32_t *dims = op_call_input(&c, SL_DT_INT32, two, 1)->data;
    dims[0] = dims[1] = INT32_MAX;
    ended(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "UnsortedSegmentJoin", 1);
    op_call_zeros(&c, SL_DT_STRING, none, 1);
    op_call_zeros(&c, SL_DT_INT64, none, 1);
    one_long(&c, INT64_MAX);
    ended(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "UniqueV2", 2);
    op_call_zeros(&c, SL_DT_FLOAT, nothing, 2);
    longs(&c, (int64_t[]){0}, 1);
    ended(&c, SL_RESOURCE_EXHAUSTED);
}

static void a_ragged_tensor_that_no_memory_holds_is_refused(void **state)
{
    (void)state;
    op_call c;
    int64_t three[] = {3}, nothing[] = {MANY, 0};
    op_call_start(&c, "RaggedRange", 2);
    one_long(&c, 0);
    one_long(&c, MANY);
    one_long(&c, 1);
    ended(&c, SL_RESOURCE_EXHAUSTED);
    op_call_start(&c, "RaggedRange", 2);
    one_long(&c, INT64_MIN);
    one_long(&c, INT64_MAX);
    one_long(&c, 1);
    ended(&c, SL_INVALID_ARGUMENT);
    op_call_start(&c, "RaggedRange", 2);
    longs(&c, (int64_t[]){0, 0}, 2);
    longs(&c, (int64_t[]){INT64_MAX, INT64_MAX}, 2);
    one_long(&c, 1);
    ended(&c, SL_INVALID_ARGUMENT);
    static const unsigned char levels[] = {0x18, 1}, out_levels[] = {0x18, 2};
    op_call_start(&c, "RaggedGather", 3);
    op_call_attr(&c, SL_STR("OUTPUT_RAGGED_RANK"), VALUE(out_levels));
    op_call_attr(&c, SL_STR("PARAMS_RAGGED_RANK"), VALUE(levels));
    longs(&c, (int64_t[]){0, 3}, 2);
    op_call_zeros(&c, SL_DT_FLOAT, three, 1);
    op_call_zeros(&c, SL_DT_INT64, nothing, 2);
    ended(&c, SL_RESOURCE_EXHAUSTED);
}

static void a_sparse_index_may_be_any_number(void **state)
{
    (void)state;
    op_call c;
    int64_t one_by_one[] = {1, 1}, one[] = {1};
    op_call_start(&c, "SparseSlice", 3);
    *(int64_t *)op_call_input(&c, SL_DT_INT64, one_by_one, 2)->data = INT64_MAX;
    op_call_zeros(&c, SL_DT_FLOAT, one, 1);
    longs(&c, (int64_t[]){INT64_MAX}, 1);
    longs(&c, (int64_t[]){INT64_MIN}, 1);
    longs(&c, (int64_t[]){INT64_MAX}, 1);
    ended(&c, SL_OK);
    op_call_start(&c, "SparseConcat", 3);
    for (int i = 0; i < 2; i++)
        *(int64_t *)op_call_input(&c, SL_DT_INT64, one_by_one, 2)->data = INT64_MAX;
    for (int i = 0; i < 2; i++)
        op_call_zeros(&c, SL_DT_FLOAT, one, 1);
    for (int i = 0; i < 2; i++)
        longs(&c, (int64_t[]){i ? 2 : INT64_MAX - 2}, 1);
    ended(&c, SL_OK);
    op_call_start(&c, "SparseConcat", 3);
    for (int i = 0; i < 2; i++)
        op_call_zeros(&c, SL_DT_INT64, one_by_one, 2);
    for (int i = 0; i < 2; i++)
        op_call_zeros(&c, SL_DT_FLOAT, one, 1);
    for (int i = 0; i < 2; i++)
        longs(&c, (int64_t[]){INT64_MAX}, 1);
    ended(&c, SL_INTERNAL);
}

/* x [steps,] batch, inputs; `peephole` is the size of wci, wcf and wco. */
static void cell(op_call *c, const char *op, int64_t steps, int64_t batch, int64_t inputs,
                 int64_t cells, int64_t peephole)
{
    bool sequence = op[0] == 'B';
    int64_t x[] = {steps, batch, inputs}, state[] = {batch, cells};
    int64_t w[] = {inputs + cells, (int64_t)((uint64_t)cells * 4)};
    w[1] = w[1] < 0 ? 0 : w[1];
    op_call_start(c, op, 7);
    op_call_attr(c, SL_STR("use_peephole"), VALUE(yes));
    if (sequence)
        one_long(c, steps);
    op_call_zeros(c, SL_DT_FLOAT, x + !sequence, 2 + sequence);
    op_call_zeros(c, SL_DT_FLOAT, state, 2);
    op_call_zeros(c, SL_DT_FLOAT, state, 2);
    op_call_zeros(c, SL_DT_FLOAT, w, 2);
    for (int i = 0; i < 3; i++)
        op_call_zeros(c, SL_DT_FLOAT, &peephole, 1);
    op_call_zeros(c, SL_DT_FLOAT, &w[1], 1);
}

static void cells_of_nothing_take_no_time_however_many_there_are(void **state)
{
    (void)state;
    op_call c;
    cell(&c, "BlockLSTM", MANY, MANY, 0, 0, 0);
    ended(&c, SL_OK);
    cell(&c, "BlockLSTMV2", MANY, 0, 5, 4, 4);
    ended(&c, SL_OK);
    cell(&c, "BlockLSTM", 0, MANY, 0, 0, 0);
    ended(&c, SL_OK);
    int64_t nothing[] = {MANY, 0}, no_weights[] = {0, 0}, none[] = {0};
    op_call_start(&c, "GRUBlockCell", 4);
    for (int i = 0; i < 4; i++)
        op_call_zeros(&c, SL_DT_FLOAT, i < 2 ? nothing : no_weights, 2);
    for (int i = 0; i < 2; i++)
        op_call_zeros(&c, SL_DT_FLOAT, none, 1);
    ended(&c, SL_OK);
}

static void a_cell_whose_parts_do_not_fit_is_refused(void **state)
{
    (void)state;
    op_call c;
    cell(&c, "BlockLSTM", 3, 0, 0, INT64_MAX / 2, 0);
    ended(&c, SL_RESOURCE_EXHAUSTED);
    cell(&c, "LSTMBlockCell", 1, 2, 3, 4, 3);
    ended(&c, SL_INVALID_ARGUMENT);
    cell(&c, "LSTMBlockCell", 1, 2, 3, 4, 4);
    c.in[0].rank = 1;
    ended(&c, SL_INVALID_ARGUMENT);
    cell(&c, "LSTMBlockCell", 1, 2, 3, 4, 4);
    c.in[3].rank = 1;
    ended(&c, SL_INVALID_ARGUMENT);
    cell(&c, "BlockLSTM", 3, 2, 3, 4, 4);
    *(int64_t *)c.in[0].data = 4;
    ended(&c, SL_INVALID_ARGUMENT);
}

static void a_negative_number_of_steps_computes_none(void **state)
{
    (void)state;
    op_call c;
    sl_status st = {0};
    cell(&c, "BlockLSTM", 3, 2, 3, 4, 4);
    *(int64_t *)c.in[0].data = INT64_MIN;
    assert_int_equal(op_call_run(&c, -1, &st), SL_OK);
    for (int k = 0; k < 7; k++)
        for (size_t i = 0; i < c.out[k].size / sizeof(float); i++)
            assert_true(((const float *)c.out[k].data)[i] == 0);
    op_call_fini(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_array_that_no_memory_holds_is_refused),
        cmocka_unit_test(a_ragged_tensor_that_no_memory_holds_is_refused),
        cmocka_unit_test(a_sparse_index_may_be_any_number),
        cmocka_unit_test(cells_of_nothing_take_no_time_however_many_there_are),
        cmocka_unit_test(a_cell_whose_parts_do_not_fit_is_refused),
        cmocka_unit_test(a_negative_number_of_steps_computes_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
