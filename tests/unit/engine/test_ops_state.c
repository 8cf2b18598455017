/*
 * test_ops_state.c - variables, tables, Assert, and what configure() refuses
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "engine/native/resource.h"
#include "format/wire.h"
#include "support/op_harness.h"

typedef struct fixture {
    op_call c;
    sl_resource variable, table;
    sl_status st;
    sl_text wires[8];
    int n_wires;
} fixture;

static int setup(void **state)
{
    fixture *f = sl_calloc(1, sizeof *f);
    f->variable = (sl_resource){.kind = SL_RES_VARIABLE, .name = "v"};
    f->table = (sl_resource){.kind = SL_RES_TABLE, .name = "t"};
    pthread_mutex_init(&f->variable.lock, NULL);
    pthread_mutex_init(&f->table.lock, NULL);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sl_tensor_release(&f->variable.value);
    sl_tensor_release(&f->table.keys);
    sl_tensor_release(&f->table.values);
    sl_map_fini(&f->table.table);
    pthread_mutex_destroy(&f->variable.lock);
    pthread_mutex_destroy(&f->table.lock);
    for (int i = 0; i < f->n_wires; i++)
        sl_text_fini(&f->wires[i]);
    sl_free(f);
    return 0;
}

static void begin(fixture *f, const char *op, int n_out)
{
    const sl_op *found = sl_op_find(sl_str_of(op));
    assert_non_null(found);
    op_call_init(&f->c, found, n_out);
}

static void attr_type(fixture *f, const char *name, sl_dtype t)
{
    sl_text *w = &f->wires[f->n_wires++];
    sl_wire_put_varint(w, 6, (uint64_t)t);
    op_call_attr(&f->c, sl_str_of(name), (sl_str){w->p, w->n});
}

static void handle(fixture *f, sl_resource *r)
{
    sl_tensor *t = op_call_input(&f->c, SL_DT_RESOURCE, NULL, 0);
    t->size = sizeof r;
    t->data = op_call_memory(&f->c, sizeof r);
    memcpy(t->data, &r, sizeof r);
}

static void floats(fixture *f, int64_t n, const float *values)
{
    memcpy(op_call_input(&f->c, SL_DT_FLOAT, &n, 1)->data, values, (size_t)n * sizeof *values);
}

static void set_variable(fixture *f, const int64_t *dims, int rank, const float *values)
{
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, rank, &f->variable.value, &f->st), SL_OK);
    memcpy(f->variable.value.data, values, f->variable.value.size);
}

static void an_assigned_value_outlives_the_tensor_it_came_from(void **state)
{
    fixture *f = *state;
    begin(f, "AssignVariableOp", 0);
    handle(f, &f->variable);
    floats(f, 2, (float[]){1, 2});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    op_call_fini(&f->c);
    assert_int_equal(f->variable.value.dims[0], 2);
    assert_true(((float *)f->variable.value.data)[1] == 2);
}

static void an_update_leaves_the_old_value_to_whoever_holds_it(void **state)
{
    fixture *f = *state;
    sl_tensor old;
    set_variable(f, (int64_t[]){2}, 1, (float[]){1, 2});
    sl_tensor_share(&f->variable.value, &old);
    begin(f, "AssignSubVariableOp", 0);
    handle(f, &f->variable);
    floats(f, 2, (float[]){10, 10});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    op_call_fini(&f->c);
    assert_true(((float *)f->variable.value.data)[0] == -9);
    assert_true(((float *)old.data)[0] == 1);
    sl_tensor_release(&old);
}

static void an_update_of_another_shape_is_refused(void **state)
{
    fixture *f = *state;
    set_variable(f, (int64_t[]){2}, 1, (float[]){1, 2});
    begin(f, "AssignAddVariableOp", 0);
    handle(f, &f->variable);
    floats(f, 3, (float[]){1, 1, 1});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg,
                        "Cannot update variable with shape [2] using a Tensor with shape "
                        "[3], shapes must be equal.");
    op_call_fini(&f->c);
}

static void reading_a_variable_without_value_fails_as_in_tensorflow(void **state)
{
    fixture *f = *state;
    begin(f, "ReadVariableOp", 1);
    attr_type(f, "dtype", SL_DT_FLOAT);
    handle(f, &f->variable);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(f->st.msg, "Could not find variable v."));
    op_call_fini(&f->c);
}

static void rows_of_a_variable_are_gathered(void **state)
{
    fixture *f = *state;
    set_variable(f, (int64_t[]){3, 2}, 2, (float[]){0, 1, 10, 11, 20, 21});
    begin(f, "ResourceGather", 1);
    attr_type(f, "dtype", SL_DT_FLOAT);
    handle(f, &f->variable);
    int32_t ids[] = {2, 0};
    memcpy(op_call_input(&f->c, SL_DT_INT32, (int64_t[]){2}, 1)->data, ids, sizeof ids);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    assert_memory_equal(f->c.out[0].data, ((float[]){20, 21, 0, 1}), 4 * sizeof(float));
    op_call_fini(&f->c);
}

static void elements_of_a_variable_are_gathered(void **state)
{
    fixture *f = *state;
    set_variable(f, (int64_t[]){3, 2}, 2, (float[]){0, 1, 10, 11, 20, 21});
    for (int32_t row = 2; row <= 3; row++) {
        begin(f, "ResourceGatherNd", 1);
        attr_type(f, "dtype", SL_DT_FLOAT);
        handle(f, &f->variable);
        int32_t at[] = {row, 1, 0, 0};
        memcpy(op_call_input(&f->c, SL_DT_INT32, (int64_t[]){2, 2}, 2)->data, at, sizeof at);
        assert_int_equal(op_call_run(&f->c, -1, &f->st), row == 2 ? SL_OK : SL_INVALID_ARGUMENT);
        if (row == 2)
            assert_memory_equal(f->c.out[0].data, ((float[]){21, 0}), 2 * sizeof(float));
        else
            assert_string_equal(f->st.msg, "indices[0] = [3, 1] does not index into param shape "
                                           "[3,2], node name: op");
        op_call_fini(&f->c);
    }
}

static void an_id_beyond_the_variable_is_named(void **state)
{
    fixture *f = *state;
    set_variable(f, (int64_t[]){1, 1}, 2, (float[]){0});
    begin(f, "ResourceGather", 1);
    attr_type(f, "dtype", SL_DT_FLOAT);
    handle(f, &f->variable);
    *(int64_t *)op_call_input(&f->c, SL_DT_INT64, (int64_t[]){1, 1}, 2)->data = 7;
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "indices[0,0] = 7 is not in [0, 1)");
    op_call_fini(&f->c);
}

static void a_key_that_is_not_in_the_table_gives_the_default(void **state)
{
    fixture *f = *state;
    sl_str words[] = {SL_STR("cat"), SL_STR("dog")}, asked[] = {SL_STR("dog"), SL_STR("cow")};
    int64_t two = 2;
    assert_int_equal(sl_tensor_try_new_strings(words, &two, 1, &f->table.keys, &f->st), SL_OK);
    assert_int_equal(sl_tensor_try_new(SL_DT_INT64, &two, 1, &f->table.values, &f->st), SL_OK);
    for (int i = 0; i < 2; i++) {
        ((int64_t *)f->table.values.data)[i] = 100 + i;
        assert_true(sl_map_try_set(&f->table.table, words[i], (void *)(uintptr_t)(i + 1)));
    }
    begin(f, "LookupTableFindV2", 1);
    handle(f, &f->table);
    memcpy(op_call_input(&f->c, SL_DT_STRING, &two, 1)->data, asked, sizeof asked);
    *(int64_t *)op_call_input(&f->c, SL_DT_INT64, NULL, 0)->data = -1;
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    assert_memory_equal(f->c.out[0].data, ((int64_t[]){101, -1}), 16);
    op_call_fini(&f->c);
}

static void a_table_of_another_type_is_refused(void **state)
{
    fixture *f = *state;
    int64_t one = 1;
    sl_str word = SL_STR("x");
    assert_int_equal(sl_tensor_try_new(SL_DT_INT64, &one, 1, &f->table.keys, &f->st), SL_OK);
    assert_int_equal(sl_tensor_try_new(SL_DT_INT64, &one, 1, &f->table.values, &f->st), SL_OK);
    assert_true(sl_map_try_set(&f->table.table, SL_STR("12345678"), (void *)1));
    begin(f, "LookupTableFindV2", 1);
    handle(f, &f->table);
    memcpy(op_call_input(&f->c, SL_DT_STRING, &one, 1)->data, &word, sizeof word);
    *(int64_t *)op_call_input(&f->c, SL_DT_INT64, NULL, 0)->data = -1;
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    op_call_fini(&f->c);
}

static void a_dtype_without_kernel_is_refused_with_its_name(void **state)
{
    fixture *f = *state;
    begin(f, "Sqrt", 1);
    op_call_input(&f->c, SL_DT_COMPLEX64, NULL, 0);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_FAILED_PRECONDITION);
    assert_string_equal(f->st.msg, "dtype complex64 is not supported");
    op_call_fini(&f->c);
}

static void a_shape_that_memory_cannot_hold_is_refused(void **state)
{
    fixture *f = *state;
    int32_t dims[] = {INT32_MAX, INT32_MAX, INT32_MAX};
    begin(f, "Fill", 1);
    memcpy(op_call_input(&f->c, SL_DT_INT32, (int64_t[]){3}, 1)->data, dims, sizeof dims);
    *(float *)op_call_input(&f->c, SL_DT_FLOAT, NULL, 0)->data = 1;
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    op_call_fini(&f->c);
}

/* Nothing to compute, extents whose product does not fit: no overflow, no endless loop. */
static void empty_tensors_of_absurd_extents_are_harmless(void **state)
{
    fixture *f = *state;
    const int64_t huge[] = {1ll << 40, 0, 1ll << 40, 1ll << 40};
    static const char *const ops[] = {"Relu", "Softmax", "LRN", "ZerosLike", "Shape", "Neg"};
    for (size_t i = 0; i < SL_COUNTOF(ops); i++) {
        begin(f, ops[i], 1);
        op_call_input(&f->c, SL_DT_FLOAT, huge, 4);
        assert_int_equal(op_call_run(&f->c, -1, &f->st),
                         strcmp(ops[i], "Shape") == 0 ? SL_INVALID_ARGUMENT : SL_OK);
        op_call_fini(&f->c);
    }
    static const char *const with_axes[] = {"Sum", "Mean", "Max", "ReverseV2"};
    for (size_t i = 0; i < SL_COUNTOF(with_axes); i++) {
        begin(f, with_axes[i], 1);
        op_call_input(&f->c, SL_DT_FLOAT, huge, 4);
        int32_t axes[] = {2, 3};
        memcpy(op_call_input(&f->c, SL_DT_INT32, (int64_t[]){2}, 1)->data, axes, sizeof axes);
        assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
        op_call_fini(&f->c);
    }
    begin(f, "Transpose", 1);
    op_call_input(&f->c, SL_DT_FLOAT, huge, 4);
    int32_t perm[] = {3, 2, 1, 0};
    memcpy(op_call_input(&f->c, SL_DT_INT32, (int64_t[]){4}, 1)->data, perm, sizeof perm);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    op_call_fini(&f->c);
    begin(f, "GatherNd", 1);
    op_call_input(&f->c, SL_DT_FLOAT, (int64_t[]){0}, 1);
    op_call_input(&f->c, SL_DT_INT32, (int64_t[]){1ll << 60, 0}, 2);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    op_call_fini(&f->c);
}

static void a_sum_whose_result_memory_cannot_hold_is_refused(void **state)
{
    fixture *f = *state;
    begin(f, "Sum", 1);
    op_call_input(&f->c, SL_DT_FLOAT, (int64_t[]){1ll << 40, 0, 1ll << 40}, 3);
    *(int32_t *)op_call_input(&f->c, SL_DT_INT32, (int64_t[]){1}, 1)->data = 1;
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    op_call_fini(&f->c);
}

static void outputs_are_found_by_argument_name(void **state)
{
    fixture *f = *state;
    sl_text *n = &f->wires[f->n_wires++];
    sl_wire_put_varint(n, 3, 2);
    sl_attr attrs[] = {{SL_STR("num_sparse"), SL_ATTR_I, {n->p, n->n}}};
    sl_node parse = {.op = SL_STR("ParseExampleV2"), .attrs = attrs, .n_attrs = 1};
    sl_node unique = {.op = SL_STR("Unique")}, unknown = {.op = SL_STR("NoSuchOp")};
    assert_int_equal(sl_opdef_output(&parse, SL_STR("sparse_shapes")), 2);
    assert_int_equal(sl_opdef_output(&unique, SL_STR("idx")), 1);
    assert_int_equal(sl_opdef_output(&unique, SL_STR("nothing")), -1);
    assert_int_equal(sl_opdef_output_count(&unique), 2);
    assert_int_equal(sl_opdef_output_type(&unique, 1), SL_DT_INT32);
    assert_int_equal(sl_opdef_output_count(&unknown), -1);
    assert_true(sl_opdef_is_stateful(SL_STR("VarHandleOp")));
    assert_false(sl_opdef_is_stateful(SL_STR("MatMul")));
}

static void ops_come_in_order_and_each_once(void **state)
{
    (void)state;
    for (int i = 1; sl_op_at(i) != NULL; i++)
        assert_true(strcmp(sl_op_at(i - 1)->name, sl_op_at(i)->name) < 0);
    assert_null(sl_op_find(SL_STR("NoSuchOp")));
    assert_null(sl_op_at(-1));
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(an_assigned_value_outlives_the_tensor_it_came_from),
        T(an_update_leaves_the_old_value_to_whoever_holds_it),
        T(an_update_of_another_shape_is_refused),
        T(reading_a_variable_without_value_fails_as_in_tensorflow),
        T(rows_of_a_variable_are_gathered),
        T(elements_of_a_variable_are_gathered),
        T(an_id_beyond_the_variable_is_named),
        T(a_key_that_is_not_in_the_table_gives_the_default),
        T(a_table_of_another_type_is_refused),
        T(a_dtype_without_kernel_is_refused_with_its_name),
        T(a_shape_that_memory_cannot_hold_is_refused),
        T(empty_tensors_of_absurd_extents_are_harmless),
        T(a_sum_whose_result_memory_cannot_hold_is_refused),
        T(outputs_are_found_by_argument_name),
        T(ops_come_in_order_and_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
