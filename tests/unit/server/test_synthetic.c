/* test_synthetic.c - requests of zeros for versions that bring none of their own */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/fault.h"
#include "server/synthetic.h"
#include "warmup_fixture.h"

static bool pure_[3];

static bool fake_pure(sl_session *s, int signature)
{
    (void)s;
    return pure_[signature];
}

static const sl_engine engine = {
    .abi = SL_ENGINE_ABI, .name = "fake", .run = fake_run, .pure = fake_pure};
static const sl_engine silent = {.abi = SL_ENGINE_ABI, .name = "fake", .run = fake_run};

static fake f;
static sl_tensor_info infos[2];
static const sl_warmup_options options = {.iterations = 1};

/* The third signature takes a of `dtype` and b, of which b has a default. */
static int setup(void **state)
{
    (void)state;
    fake_init(&f);
    f.version.engine = &engine;
    memcpy(infos, f.list[2].inputs, sizeof infos);
    f.list[2].inputs = infos;
    pure_[0] = pure_[1] = pure_[2] = true;
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fake_forget(&f);
    return 0;
}

static void each_signature_without_strings_is_run_with_zeros(void **state)
{
    (void)state;
    infos[0].rank = 3;
    infos[0].dims[0] = 1;
    infos[0].dims[1] = 2;
    infos[0].dims[2] = -1;
    infos[1].rank = 1;
    infos[1].dims[0] = -1; /* has a default */
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 1);
    assert_int_equal(f.runs, 1);
    assert_int_equal(f.signature, 2);
    assert_int_equal(f.n_outputs, 2);
    const sl_tensor *a = &f.inputs[0], *b = &f.inputs[1];
    assert_int_equal(a->rank, 3);
    assert_int_equal(a->dims[0], 1);
    assert_int_equal(a->dims[1], 2);
    assert_int_equal(a->dims[2], 1);
    assert_true(((const float *)a->data)[0] == 0 && ((const float *)a->data)[1] == 0);
    assert_true(*(const float *)b->data == 0.5f); /* its default */
}

static void where_the_first_dimension_is_unknown_two_rows_follow(void **state)
{
    (void)state;
    infos[0].rank = 3;
    infos[0].dims[0] = -1;
    infos[0].dims[1] = 2;
    infos[0].dims[2] = -1;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 1);
    assert_int_equal(f.runs, 2);
    const sl_tensor *a = &f.inputs[0]; /* of the second run */
    assert_int_equal(a->dims[0], 2);
    assert_int_equal(a->dims[1], 2);
    assert_int_equal(a->dims[2], 1);
    for (int i = 0; i < 4; i++)
        assert_true(((const float *)a->data)[i] == 0);
}

/* One that runs one row and no more. */
static sl_code one_row(sl_session *s, sl_run *run, sl_status *st)
{
    if (run->inputs[0].dims[0] > 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "one row");
    return fake_run(s, run, st);
}

static void a_signature_may_refuse_two_rows(void **state)
{
    (void)state;
    static const sl_engine narrow = {
        .abi = SL_ENGINE_ABI, .name = "fake", .run = one_row, .pure = fake_pure};
    f.version.engine = &narrow;
    infos[0].rank = 1;
    infos[0].dims[0] = -1;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 1);
    assert_int_equal(f.runs, 1);
}

static void an_unknown_rank_becomes_a_vector(void **state)
{
    (void)state;
    infos[0].rank = -1;
    infos[0].dtype = SL_DT_REF + SL_DT_INT64;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 1);
    assert_int_equal(f.inputs[0].rank, 1);
    assert_int_equal(f.runs, 2);
    assert_int_equal(f.inputs[0].dims[0], 2);
    assert_int_equal(f.inputs[0].dtype, SL_DT_INT64);
}

static void what_may_write_or_takes_strings_is_not_run(void **state)
{
    (void)state;
    pure_[2] = false;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    pure_[2] = true;
    infos[0].dtype = SL_DT_STRING;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    infos[0].dtype = SL_DT_RESOURCE;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    infos[0].dtype = SL_DT_FLOAT;
    infos[0].name = NULL; /* a sparse tensor */
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    f.version.engine = &silent; /* an engine that does not say */
    infos[0].name = "a:0";
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    assert_int_equal(f.runs, 0);
}

static void a_refusal_is_no_failure(void **state)
{
    (void)state;
    f.fail = SL_INVALID_ARGUMENT;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
}

static void a_shape_that_is_too_large_is_not_made(void **state)
{
    (void)state;
    infos[0].rank = 2;
    infos[0].dims[0] = infos[0].dims[1] = 1 << 20;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    infos[0].dims[0] = infos[0].dims[1] = INT64_MAX;
    assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
    assert_int_equal(f.runs, 0);
}

static void without_memory_nothing_is_run(void **state)
{
    (void)state;
    for (int n = 1; n <= 4; n++) {
        sl_fault_arm(SL_FAULT_ALLOC, n);
        assert_int_equal(sl_warmup_synthetic(&f.version, &options), 0);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_signature_without_strings_is_run_with_zeros),
        TEST(where_the_first_dimension_is_unknown_two_rows_follow),
        TEST(a_signature_may_refuse_two_rows),
        TEST(an_unknown_rank_becomes_a_vector),
        TEST(what_may_write_or_takes_strings_is_not_run),
        TEST(a_refusal_is_no_failure),
        TEST(a_shape_that_is_too_large_is_not_made),
        TEST(without_memory_nothing_is_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
