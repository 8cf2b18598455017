/* test_pure.c - which signatures may be run though nobody asked */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/pure.h"
#include "pb_model.h"
#include "sluice/signature.h"

static sl_saved_model *model;
static bool *pure;

static int close_model(void **state)
{
    (void)state;
    sl_free(pure);
    pure = NULL;
    sl_saved_model_close(model);
    model = NULL;
    return 0;
}

static void open_model(const char *dir)
{
    sl_status st;
    if (sl_saved_model_open(dir, NULL, 0, &model, &st))
        fail_msg("%s", st.msg);
    pure = sl_pure_signatures(model);
    assert_non_null(pure);
}

static bool is_pure(const char *signature)
{
    int i = sl_signatures_find(sl_saved_model_signatures(model), sl_str_of(signature));
    assert_true(i >= 0);
    return pure[i];
}

static void open_example(const char *name)
{
    char dir[512];
    snprintf(dir, sizeof dir, SLUICE_SOURCE_DIR "/tests/models/%s", name);
    open_model(dir);
}

static void models_that_only_read_variables_and_tables_are_pure(void **state)
{
    static const char *const names[] = {"linear/1", "keras_mlp/1", "vocabulary/1", "identity/1"};
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        open_example(names[i]);
        if (!is_pure("serving_default"))
            fail_msg("%s", names[i]);
        close_model(state);
    }
}

static void each_signature_is_judged_by_what_it_reaches(void **state)
{
    (void)state;
    open_example("counter/1");
    assert_true(is_pure("get_counter"));
    assert_false(is_pure("incr_counter"));
    assert_false(is_pure("incr_counter_by"));
    assert_false(is_pure("reset_counter"));
}

static void a_write_inside_a_function_counts(void **state)
{
    (void)state;
    open_example("stateful/1");
    assert_false(is_pure("serving_default"));
}

/* ---- graphs by hand: x -> op -> y ---- */

static char dir[64];

static void one_node(const char *op, sl_text attrs, pb_graph *g)
{
    strcpy(dir, "/tmp/sluice-pure-XXXXXX");
    assert_non_null(mkdtemp(dir));
    pb_node(&g->nodes, "x", "Placeholder", NULL, pb_type("dtype", SL_DT_FLOAT));
    pb_node(&g->nodes, "y", op, "x", attrs);
    pb_signature(g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    pb_write(g, dir);
    open_model(dir);
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static sl_text body(const char *op)
{
    sl_text t = {0};
    pb_node_in(&t, 3, "n", op, "a", pb_type("T", SL_DT_FLOAT));
    pb_node_in(&t, 3, "r", "Identity", "a", pb_type("T", SL_DT_FLOAT));
    return t;
}

static void an_op_that_is_not_known_is_taken_to_write(void **state)
{
    (void)state;
    pb_graph g = {0};
    one_node("MyOwnOp", (sl_text){0}, &g);
    assert_false(is_pure("serving_default"));
}

static void an_op_that_writes_a_file_is_not_pure_and_one_that_scatters_into_a_value_is(void **state)
{
    pb_graph g = {0}, h = {0};
    one_node("WriteFile", (sl_text){0}, &g);
    assert_false(is_pure("serving_default"));
    close_model(state);
    one_node("ScatterNd", pb_type("T", SL_DT_FLOAT), &h);
    assert_true(is_pure("serving_default"));
}

static void what_a_function_has_but_does_not_return_counts(void **state)
{
    pb_graph g = {0}, h = {0};
    pb_function(&g, "quiet", SL_DT_FLOAT, body("Neg"), "r:output:0");
    one_node("PartitionedCall", pb_join(pb_func("f", "quiet"), pb_types("Tout", 1, SL_DT_FLOAT)),
             &g);
    assert_true(is_pure("serving_default"));
    close_model(state);
    pb_function(&h, "loud", SL_DT_FLOAT, body("PrintV2"), "r:output:0");
    one_node("PartitionedCall", pb_join(pb_func("f", "loud"), pb_types("Tout", 1, SL_DT_FLOAT)),
             &h);
    assert_false(is_pure("serving_default"));
}

static void a_function_in_an_unusual_place_or_that_is_not_there_is_taken_to_write(void **state)
{
    pb_graph g = {0}, h = {0};
    pb_function(&g, "quiet", SL_DT_FLOAT, body("Neg"), "r:output:0");
    one_node("Identity", pb_join(pb_func("g", "quiet"), pb_type("T", SL_DT_FLOAT)), &g);
    assert_false(is_pure("serving_default"));
    close_model(state);
    one_node("PartitionedCall", pb_join(pb_func("f", "nobody"), pb_types("Tout", 1, SL_DT_FLOAT)),
             &h);
    assert_false(is_pure("serving_default"));
}

static void what_stands_before_a_fed_node_does_not_count(void **state)
{
    (void)state;
    pb_graph g = {0};
    strcpy(dir, "/tmp/sluice-pure-XXXXXX");
    assert_non_null(mkdtemp(dir));
    pb_node(&g.nodes, "w", "WriteFile", NULL, (sl_text){0});
    pb_node(&g.nodes, "x", "Identity", "w", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "y", "Neg", "x", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "z", "Identity", "y ^w", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "fed", "x:0", SL_DT_FLOAT, "y:0");
    pb_signature(&g, "controlled", "x:0", SL_DT_FLOAT, "z:0");
    pb_write(&g, dir);
    open_model(dir);
    assert_true(is_pure("fed"));
    assert_false(is_pure("controlled"));
    char command[96];
    snprintf(command, sizeof command, "rm -r %s", dir);
    assert_int_equal(system(command), 0);
}

static void without_memory_there_is_no_verdict(void **state)
{
    (void)state;
    open_example("linear/1");
    for (int n = 1; n <= 5; n++) {
        sl_fault_arm(SL_FAULT_ALLOC, n);
        bool *p = sl_pure_signatures(model);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_null(p);
    }
}

#define TEST(f) cmocka_unit_test_teardown(f, close_model)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(models_that_only_read_variables_and_tables_are_pure),
        TEST(each_signature_is_judged_by_what_it_reaches),
        TEST(a_write_inside_a_function_counts),
        TEST(an_op_that_is_not_known_is_taken_to_write),
        TEST(an_op_that_writes_a_file_is_not_pure_and_one_that_scatters_into_a_value_is),
        TEST(what_a_function_has_but_does_not_return_counts),
        TEST(a_function_in_an_unusual_place_or_that_is_not_there_is_taken_to_write),
        TEST(what_stands_before_a_fed_node_does_not_count),
        TEST(without_memory_there_is_no_verdict),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
