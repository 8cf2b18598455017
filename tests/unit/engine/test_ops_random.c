/*
 * test_ops_random.c - random numbers without a seed, and sizes that a client should not get to choose freely
 */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "format/wire.h"
#include "support/op_harness.h"

typedef struct fixture {
    op_call c;
    sl_status st;
    sl_text wires[8];
    int n_wires;
} fixture;

static int setup(void **state)
{
    *state = sl_calloc(1, sizeof(fixture));
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < f->n_wires; i++)
        sl_text_fini(&f->wires[i]);
    sl_free(f);
    return 0;
}

static void attr(fixture *f, const char *name, unsigned field, uint64_t v)
{
    sl_text *w = &f->wires[f->n_wires++];
    sl_wire_put_varint(w, field, v);
    op_call_attr(&f->c, sl_str_of(name), (sl_str){w->p, w->n});
}

static void numbers(fixture *f, sl_dtype t, int64_t n, const void *values)
{
    sl_tensor *in = op_call_input(&f->c, t, &n, 1);
    if (in->size)
        memcpy(in->data, values, in->size);
}

enum { AS_TYPE = 6, AS_INT = 3 };

static void draw(fixture *f, const char *op, float out[8])
{
    op_call_start(&f->c, op, 1);
    attr(f, "dtype", AS_TYPE, SL_DT_FLOAT);
    numbers(f, SL_DT_INT32, 1, (int32_t[]){8});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    memcpy(out, f->c.out[0].data, 8 * sizeof *out);
    op_call_fini(&f->c);
}

static void without_seeds_every_run_has_other_numbers(void **state)
{
    static const char *const ops[] = {"RandomUniform", "RandomStandardNormal", "TruncatedNormal"};
    for (size_t i = 0; i < SL_COUNTOF(ops); i++) {
        float a[8], b[8];
        draw(*state, ops[i], a);
        draw(*state, ops[i], b);
        assert_memory_not_equal(a, b, sizeof a);
        for (int k = 0; k < 8; k++)
            assert_true(i == 0 ? a[k] >= 0 && a[k] < 1 : i == 1 || (a[k] > -2 && a[k] < 2));
        assert_true(sl_op_find(sl_str_of(ops[i]))->flags & SL_OP_STATEFUL); /* never folded */
    }
}

static void a_seeded_op_goes_on_where_its_last_run_ended(void **state)
{
    fixture *f = *state;
    float both[2][8];
    sl_dtype in_type = SL_DT_INT32, out_type = SL_DT_INVALID;
    op_call_start(&f->c, "RandomUniform", 1);
    attr(f, "dtype", AS_TYPE, SL_DT_FLOAT);
    attr(f, "seed", AS_INT, 7);
    numbers(f, SL_DT_INT32, 1, (int32_t[]){8});
    sl_node source = {.op = SL_STR("RandomUniform"), .attrs = f->c.attrs, .n_attrs = 2};
    sl_op_node node = {.op = f->c.op,
                       .source = &source,
                       .n_in = 1,
                       .in_types = &in_type,
                       .n_out = 1,
                       .out_types = &out_type,
                       .arena = &f->c.arena};
    assert_int_equal(f->c.op->configure(&node, &f->st), SL_OK);
    for (int i = 0; i < 2; i++) {
        sl_tensor out = {
            .dtype = SL_DT_FLOAT, .size = sizeof both[i], .data = both[i], .rank = 1, .dims = {8}};
        sl_op_call call = {
            .node = &node, .in = f->c.in, .out = &out, .arena = &f->c.arena, .threads = 1};
        assert_int_equal(f->c.op->run(&call, &f->st), SL_OK);
    }
    assert_memory_not_equal(both[0], both[1], sizeof both[0]);
    op_call_fini(&f->c);
    op_call_start(&f->c, "RandomUniform", 1); /* a model that is loaded again begins again */
    attr(f, "dtype", AS_TYPE, SL_DT_FLOAT);
    attr(f, "seed", AS_INT, 7);
    numbers(f, SL_DT_INT32, 1, (int32_t[]){8});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    assert_memory_equal(f->c.out[0].data, both[0], sizeof both[0]);
    op_call_fini(&f->c);
}

static void a_shuffled_vector_has_the_same_elements(void **state)
{
    fixture *f = *state;
    int64_t values[64], sum = 0, moved = 0;
    for (int i = 0; i < 64; i++)
        values[i] = 1ll << (i % 62);
    op_call_start(&f->c, "RandomShuffle", 1);
    numbers(f, SL_DT_INT64, 62, values);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    for (int i = 0; i < 62; i++) {
        sum ^= ((int64_t *)f->c.out[0].data)[i];
        moved += ((int64_t *)f->c.out[0].data)[i] != values[i];
    }
    assert_int_equal(sum, (1ll << 62) - 1);
    assert_true(moved > 20);
    op_call_fini(&f->c);
}

static void a_shape_that_does_not_fit_is_refused(void **state)
{
    fixture *f = *state;
    op_call_start(&f->c, "StatelessRandomUniform", 1);
    numbers(f, SL_DT_INT64, 3, (int64_t[]){1ll << 40, 1ll << 40, 1ll << 40});
    numbers(f, SL_DT_INT32, 2, (int32_t[]){1, 2});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg,
                        "shape [1099511627776,1099511627776,1099511627776] is too large");
    op_call_fini(&f->c);
}

/* A sparse column: one feature in each of two rows, of a batch as large as told. */
static void column(fixture *f, int64_t batch, int part)
{
    if (part == 0) {
        int64_t dims[] = {2, 2}, at[] = {0, 0, batch - 1, 0};
        memcpy(op_call_input(&f->c, SL_DT_INT64, dims, 2)->data, at, sizeof at);
    } else if (part == 1) {
        numbers(f, SL_DT_STRING, 2, (sl_str[]){SL_STR("a"), SL_STR("b")});
    } else {
        numbers(f, SL_DT_INT64, 2, (int64_t[]){batch, 1});
    }
}

static void a_batch_of_empty_rows_takes_no_time(void **state)
{
    fixture *f = *state;
    const int64_t batch = INT64_MAX;
    op_call_start(&f->c, "SparseCrossV2", 3);
    attr(f, "N", AS_INT, 2);
    for (int part = 0; part < 3; part++)
        for (int i = 0; i < 2; i++)
            column(f, batch, part);
    op_call_input(&f->c, SL_DT_STRING, NULL, 0);
    *(sl_str *)f->c.in[6].data = SL_STR("+");
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    assert_int_equal(f->c.out[1].dims[0], 2);
    assert_true(sl_str_is(((sl_str *)f->c.out[1].data)[1], "b+b"));
    assert_true(((int64_t *)f->c.out[0].data)[2] == batch - 1);
    op_call_fini(&f->c);
}

static void more_crosses_than_there_is_memory_are_refused(void **state)
{
    fixture *f = *state;
    op_call_start(&f->c, "SparseCrossV2", 3); /* 400 ^ 4 */
    for (int i = 0; i < 4; i++)
        op_call_zeros(&f->c, SL_DT_STRING, (int64_t[]){1, 400}, 2);
    op_call_zeros(&f->c, SL_DT_STRING, NULL, 0);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_RESOURCE_EXHAUSTED);
    op_call_fini(&f->c);
}

static void set_operation(fixture *f, const char *op, const char *kind)
{
    sl_text *w = &f->wires[f->n_wires++];
    op_call_start(&f->c, op, 3);
    sl_wire_put_bytes(w, 2, kind, strlen(kind));
    op_call_attr(&f->c, SL_STR("set_operation"), (sl_str){w->p, w->n});
}

static void sets_without_elements_take_no_time(void **state)
{
    fixture *f = *state;
    set_operation(f, "DenseToDenseSetOperation", "union");
    op_call_zeros(&f->c, SL_DT_INT32, (int64_t[]){1ll << 50, 0}, 2);
    op_call_zeros(&f->c, SL_DT_INT32, (int64_t[]){1ll << 50, 0}, 2);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_OK);
    assert_int_equal(f->c.out[1].dims[0], 0);
    assert_true(((int64_t *)f->c.out[2].data)[0] == 1ll << 50);
    op_call_fini(&f->c);
}

static void sizes_of_more_sets_than_fit_are_refused(void **state)
{
    fixture *f = *state;
    op_call_start(&f->c, "SetSize", 1);
    op_call_zeros(&f->c, SL_DT_INT64, (int64_t[]){0, 2}, 2);
    op_call_zeros(&f->c, SL_DT_INT32, (int64_t[]){0}, 1);
    numbers(f, SL_DT_INT64, 2, (int64_t[]){1ll << 50, 1});
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_RESOURCE_EXHAUSTED);
    op_call_fini(&f->c);
}

static void an_empty_filter_of_absurd_extents_gives_an_empty_volume_or_is_refused(void **state)
{
    fixture *f = *state;
    sl_text *w = &f->wires[f->n_wires++], *strides = &f->wires[f->n_wires++];
    op_call_start(&f->c, "Conv3D", 1);
    sl_wire_put_bytes(w, 2, "SAME", 4);
    op_call_attr(&f->c, SL_STR("padding"), (sl_str){w->p, w->n});
    sl_wire_put_bytes(strides, 1, "\x1a\x05\1\1\1\1\1", 7); /* AttrValue.list.i, packed */
    op_call_attr(&f->c, SL_STR("strides"), (sl_str){strides->p, strides->n});
    op_call_zeros(&f->c, SL_DT_FLOAT, (int64_t[]){1, 2, 2, 2, 0}, 5);
    op_call_zeros(&f->c, SL_DT_FLOAT, (int64_t[]){1 << 30, 1 << 30, 1 << 30, 0, 3}, 5);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "filter is too large");
    op_call_fini(&f->c);
}

static void empty_operands_of_absurd_extents_do_not_broadcast(void **state)
{
    fixture *f = *state;
    sl_text *w = &f->wires[f->n_wires++];
    op_call_start(&f->c, "Einsum", 1);
    sl_wire_put_bytes(w, 2, "...ijkl,...jm->...iklm", 22);
    op_call_attr(&f->c, SL_STR("equation"), (sl_str){w->p, w->n});
    op_call_zeros(&f->c, SL_DT_FLOAT, (int64_t[]){3, 1ll << 40, 0, 1ll << 40, 1ll << 40}, 5);
    op_call_zeros(&f->c, SL_DT_FLOAT, (int64_t[]){2, 0, 1ll << 40}, 3);
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "Invalid broadcasting dimensions: [3,"));
    op_call_fini(&f->c);
}

static void a_short_list_in_a_tensor_in_a_string_is_memory_of_the_run(void **state)
{
    fixture *f = *state;
    op_call_start(&f->c, "ParseTensor", 1);
    attr(f, "out_type", AS_TYPE, SL_DT_FLOAT);
    op_call_input(&f->c, SL_DT_STRING, NULL, 0);
    /* dtype float, shape [2 ^ 28], one value */
    *(sl_str *)f->c.in[0].data =
        SL_STR("\x08\1\x12\x08\x12\x06\x08\x80\x80\x80\x80\x01\x2a\4\0\0\0\0");
    assert_int_equal(op_call_run(&f->c, -1, &f->st), SL_RESOURCE_EXHAUSTED);
    op_call_fini(&f->c);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(without_seeds_every_run_has_other_numbers),
        TEST(a_seeded_op_goes_on_where_its_last_run_ended),
        TEST(a_shuffled_vector_has_the_same_elements),
        TEST(a_shape_that_does_not_fit_is_refused),
        TEST(a_batch_of_empty_rows_takes_no_time),
        TEST(more_crosses_than_there_is_memory_are_refused),
        TEST(sets_without_elements_take_no_time),
        TEST(sizes_of_more_sets_than_fit_are_refused),
        TEST(an_empty_filter_of_absurd_extents_gives_an_empty_volume_or_is_refused),
        TEST(empty_operands_of_absurd_extents_do_not_broadcast),
        TEST(a_short_list_in_a_tensor_in_a_string_is_memory_of_the_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
