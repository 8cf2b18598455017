/*
 * test_native_loops.c - control flow of TensorFlow 1: loops of frames, TensorArrays, conditionals
 *
 * The model "loops" is what TensorFlow exports; the graphs written here are what nobody does.
 */
#include "native_graph.h"

#include "base/mem.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

static void release(sl_tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        sl_tensor_release(&t[i]);
}

static sl_tensor int32s(int32_t v)
{
    return make(SL_DT_INT32, &v, 0, NULL);
}

static sl_tensor number(float v)
{
    return floats(&v, 0, NULL);
}

/* Inputs and outputs go by name. */
static void run(model *m, const char *key, sl_tensor *in, int n_in, sl_tensor *out)
{
    if (run_all(m, key, in, n_in, out))
        fail_msg("%s: %s", key, m->st.msg);
    release(in, n_in);
}

/* ---- loops as TensorFlow exports them ---- */

static void count(model *m, int n, float x, float y)
{
    sl_tensor out[2], in[] = {int32s(n), number(x)};
    run(m, "count", in, 2, out);
    assert_int_equal(*(const int32_t *)out[0].data, SL_MAX(n, 0));
    assert_floats(&out[1], &y, 1);
    release(out, 2);
}

static void a_counter_counts(void **state)
{
    (void)state;
    model m;
    load(&m, "loops");
    count(&m, 3, 1, 15);
    count(&m, 1, 0, 1);
    count(&m, 0, 7, 7); /* false at once */
    count(&m, 100, -1, -1);
    unload(&m);
}

static void loops_stand_in_loops(void **state)
{
    (void)state;
    model m;
    sl_tensor out[2], in[] = {int32s(4)};
    load(&m, "loops");
    run(&m, "triangle", in, 1, out);
    int total = 0;
    for (int i = 0; i < 4; i++)
        for (int j = 0; j <= i; j++)
            total += i * j + 4;
    assert_int_equal(*(const int32_t *)out[0].data, 4);
    assert_int_equal(*(const int32_t *)out[1].data, total);
    release(out, 2);
    unload(&m);
}

static void an_array_is_read_and_another_written(void **state)
{
    (void)state;
    model m;
    sl_tensor out[1], in[] = {number(2), floats((float[]){1, 2, 3, 4, 5, 6}, 2, DIMS(3, 2))};
    load(&m, "loops");
    run(&m, "table", in, 2, out);
    assert_int_equal(out[0].rank, 2);
    assert_floats(&out[0], (float[]){12, 24, 16, 28, 20, 32}, 6);
    release(out, 1);
    unload(&m);
}

static void an_array_grows(void **state)
{
    (void)state;
    model m;
    sl_tensor out[4], in[] = {make(SL_DT_INT64, (int64_t[]){6}, 0, NULL)};
    int64_t seen[] = {6, 3, 10, 5, 16, 8, 4, 2};
    load(&m, "loops");
    run(&m, "collatz", in, 1, out);
    assert_int_equal(*(const int64_t *)out[0].data, 1);
    assert_int_equal(out[1].dims[0], 8);
    assert_memory_equal(out[1].data, seen, sizeof seen);
    assert_int_equal(*(const int32_t *)out[2].data, 8);
    assert_int_equal(*(const int32_t *)out[3].data, 8);
    release(out, 4);
    unload(&m);
}

static void an_array_is_split_and_joined(void **state)
{
    (void)state;
    model m;
    sl_tensor out[1], in[] = {make(SL_DT_INT64, (int64_t[]){2, 0, 1}, 1, DIMS(3)),
                              floats((float[]){1, 2, 3, 4, 5, 6}, 2, DIMS(3, 2))};
    load(&m, "loops");
    run(&m, "pieces", in, 2, out);
    assert_floats(&out[0], (float[]){-3, -4, -1, -2, -5, -6}, 6);
    release(out, 1);
    unload(&m);
}

static void map_fn_foldl_and_scan_are_loops(void **state)
{
    (void)state;
    model m;
    sl_tensor out[5], in[] = {floats((float[]){1, 2, 3, 4, 5, 6}, 2, DIMS(3, 2))}, words;
    load(&m, "loops");
    run(&m, "maps", in, 1, out); /* folded, nested, scanned, squares, sums */
    assert_floats(&out[0], (float[]){6.75f, 8.5f}, 2);
    assert_floats(&out[1], (float[]){3, 4, 7, 8, 11, 12}, 6);
    assert_floats(&out[2], (float[]){1, 2, 4, 6, 9, 12}, 6);
    assert_floats(&out[3], (float[]){1, 4, 9, 16, 25, 36}, 6);
    assert_floats(&out[4], (float[]){3, 7, 11}, 3);
    release(out, 5);
    sl_str texts[] = {SL_STR("a"), SL_STR("a word that is not short at all")};
    assert_int_equal(sl_tensor_try_new_strings(texts, DIMS(2), 1, &words, NULL), SL_OK);
    run(&m, "map_words", &words, 1, out);
    unload(&m);
    assert_true(sl_str_is(((const sl_str *)out[0].data)[0], "A!"));
    assert_true(sl_str_is(((const sl_str *)out[0].data)[1], "A WORD THAT IS NOT SHORT AT ALL!"));
    release(out, 1);
}

/* TensorFlow's answers. */
static void dynamic_rnn_stops_at_each_length(void **state)
{
    (void)state;
    model m;
    float x[] = {1, -1, 0.5f, 2, -0.25f, 3, 0.1f, 0.2f, 0.3f, 0.4f, 0.5f, 0.6f};
    sl_tensor out[3],
        in[] = {make(SL_DT_INT32, (int32_t[]){3, 1}, 1, DIMS(2)), floats(x, 3, DIMS(2, 3, 2))};
    load(&m, "loops");
    run(&m, "rnn", in, 2, out); /* c, h, outputs */
    assert_floats(
        &out[0],
        (float[]){-0.2074231f, 0.3475547f, 0.5949560f, -0.0161613f, 0.0807171f, 0.0974262f}, 6);
    assert_floats(
        &out[1],
        (float[]){-0.0241755f, 0.2326072f, 0.0376620f, -0.0075059f, 0.0403843f, 0.0430779f}, 6);
    assert_floats(&out[2],
                  (float[]){-0.2411156f, -0.1950247f, 0.0621737f, -0.0643353f, -0.0227619f,
                            0.0634142f, -0.0241755f, 0.2326072f, 0.0376620f, -0.0075059f,
                            0.0403843f, 0.0430779f, 0, 0, 0, 0, 0, 0},
                  18);
    release(out, 3);
    unload(&m);
}

/* ---- what a TensorArray refuses ---- */

static void refused(const char *key, int i, int j, int n, const char *text)
{
    model m;
    float x[] = {1, 2, 3};
    sl_tensor out[2], in[] = {int32s(i), int32s(j), floats(x, 1, DIMS(n))};
    load(&m, "loops");
    sl_code rc = run_all(&m, key, in, 3, out);
    assert_int_equal(rc, SL_INVALID_ARGUMENT);
    if (strstr(m.st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, m.st.msg);
    release(in, 3);
    unload(&m);
}

static void what_a_loop_may_not_do_with_an_array_is_refused(void **state)
{
    (void)state;
    refused("one", 3, 0, 2,
            "Tried to write to index 3 but array is not resizeable and size is: 3\n");
    refused("one", -1, 0, 2, "Tried to write to index -1 but array is not resizeable");
    refused("one", 1, 3, 2, "Tried to read from index 3 but array size is: 3\n");
    refused("one", 1, 0, 2,
            "Could not read from TensorArray index 0.  Furthermore, the element shape is not fully "
            "defined: <unknown>.");
    refused("two", 1, 1, 2,
            "Could not write to TensorArray index 1 because it has already been written to.\n");
    refused("whole", 0, 0, 3,
            "Could not write to TensorArray index 0 because the value shape is [3] which is "
            "incompatible with the TensorArray's inferred element shape: [2] (consider setting "
            "infer_shape=False).");
}

static void what_was_not_written_is_zeros_if_the_shape_is_known(void **state)
{
    (void)state;
    model m;
    sl_tensor out[2], in[] = {int32s(0), int32s(1), floats((float[]){1, 2}, 1, DIMS(2))};
    load(&m, "loops");
    run(&m, "whole", in, 3, out); /* all, y */
    assert_floats(&out[0], (float[]){0, 0, 1, 2}, 4);
    assert_floats(&out[1], (float[]){0, 0}, 2);
    release(out, 2);
    unload(&m);
}

/* ---- graphs that nobody exports ---- */

static void node(pb_graph *g, const char *name, const char *op, const char *inputs)
{
    pb_node(&g->nodes, name, op, inputs, pb_type("T", SL_DT_FLOAT));
}

static void constant(pb_graph *g, const char *name, const char *inputs, float v)
{
    pb_node(&g->nodes, name, "Const", inputs,
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, v)));
}

static sl_text text(const char *name, const char *value)
{
    sl_text v = {0};
    pb_string(&v, 2, value);
    return pb_attr(name, v);
}

static sl_text truth(const char *name)
{
    sl_text v = {0};
    pb_number(&v, 5, 1);
    return pb_attr(name, v);
}

static void enter(pb_graph *g, const char *name, const char *input, const char *frame, bool fixed)
{
    sl_text attrs = pb_join(pb_type("T", SL_DT_FLOAT), text("frame_name", frame));
    pb_node(&g->nodes, name, "Enter", input, fixed ? pb_join(attrs, truth("is_constant")) : attrs);
}

/* while (v < 10) v = v + v, from x; what `without` names is left out, or is `instead`, an op and its
 * inputs. */
typedef struct change {
    const char *name, *op, *inputs;
} change;

static void doubling(pb_graph *g, change c)
{
    static const char *const nodes[][3] = {
        {"x", "Placeholder", NULL},       {"merge", "Merge", "enter next"},
        {"ten", "Const", "^merge"},       {"less", "Less", "merge ten"},
        {"cond", "LoopCond", "less"},     {"switch", "Switch", "merge cond"},
        {"same", "Identity", "switch:1"}, {"sum", "AddV2", "same same"},
        {"next", "NextIteration", "sum"}, {"exit", "Exit", "switch"},
        {"y", "Identity", "exit"},
    };
    for (size_t i = 0; i < SL_COUNTOF(nodes); i++) {
        bool changed = c.name != NULL && strcmp(c.name, nodes[i][0]) == 0;
        const char *op = changed ? c.op : nodes[i][1];
        if (op == NULL)
            continue;
        if (strcmp(op, "Placeholder") == 0)
            pb_node(&g->nodes, nodes[i][0], op, NULL, pb_type("dtype", SL_DT_FLOAT));
        else if (strcmp(op, "Const") == 0)
            constant(g, nodes[i][0], changed ? c.inputs : nodes[i][2], 10);
        else
            node(g, nodes[i][0], op, changed ? c.inputs : nodes[i][2]);
    }
    if (c.name == NULL || strcmp(c.name, "enter") != 0)
        enter(g, "enter", "x", "loop", false);
    pb_signature(g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
}

static void a_loop_by_hand_turns(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    doubling(&g, (change){0});
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 12);
    assert_true(run_scalar(&m, 11) == 11);
    unload(&m);
}

static void broken(change c, const char *words)
{
    pb_graph g = {0};
    doubling(&g, c);
    if (c.name != NULL && strcmp(c.name, "enter") == 0 && c.op != NULL)
        enter(&g, "enter", c.inputs, c.op, false);
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    if (strstr(t.st.msg, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, t.st.msg);
}

static void a_broken_loop_is_refused_with_its_node(void **state)
{
    (void)state;
    broken((change){"cond", "Identity", "less"},
           "node \"exit\" (Exit) does not come from a Switch");
    broken((change){"switch", "Switch", "x cond"}, "node \"exit\" (Exit) does not come from");
    broken((change){"switch", "Identity", "merge"}, "node \"exit\" (Exit) does not come from");
    broken((change){"exit", "Exit", "switch:1"}, "node \"exit\" (Exit) does not come from");
    broken((change){"exit", "Exit", "x"}, "node \"exit\" (Exit) does not come from");
    broken((change){"exit", "Identity", "switch"}, "used outside of its loop without an Exit");
    broken((change){"y", "AddV2", "exit sum"}, "used outside of its loop without an Exit");
    broken((change){"y", "AddV2", "exit ten"}, "used outside of its loop without an Exit");
    broken((change){"y", "AddV2", "exit enter"}, "node \"enter\" (Enter)");
    broken((change){"merge", "Merge", "next next"}, "node \"exit\" (Exit) does not come from");
    broken((change){"merge", "Merge", "enter enter"}, "node \"exit\" (Exit) does not come from");
    broken((change){"sum", "AddV2", "same x"},
           "node \"x\" is used in a loop or conditional without");
    broken((change){"sum", "AddV2", "same exit"}, "node \"exit\" (Exit)");
    broken((change){"sum", "AddV2", "same next"}, "cycle");
    broken((change){"sum", "AddV2", "same switch"}, "Switch");
    broken((change){"sum", "AddV2", "same sum"}, "cycle");
    broken((change){"enter", "", "x"}, "node \"enter\" (Enter) does not name its loop");
    broken((change){"next", "NextIteration", "sum sum"}, "node \"merge\" (Merge) joins what is no");
    broken((change){"cond", "LoopCond", "less less"}, "node \"cond\" (LoopCond) does not have one");
}

static void what_is_not_there_is_named(void **state)
{
    (void)state;
    pb_graph g = {0};
    doubling(&g, (change){"ten", NULL, NULL});
    told t = probe(&g);
    assert_int_equal(t.code, SL_INVALID_ARGUMENT);
    assert_non_null(strstr(t.st.msg, "\"ten\""));
}

/* Two loops that each enter the other's frame; and an Enter of a loop that is not around it. */
static void an_enter_belongs_to_one_loop(void **state)
{
    (void)state;
    pb_graph g = {0};
    doubling(&g, (change){"sum", "AddV2", "same other"});
    enter(&g, "other", "x", "elsewhere", true);
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(t.st.msg, "node \"other\" (Enter) is used in another loop"));
}

static void what_stays_the_same_comes_in(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    doubling(&g, (change){"sum", "AddV2", "same other"});
    enter(&g, "other", "one", "loop", true);
    constant(&g, "one", NULL, 4);
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 11);
    unload(&m);
}

/* The condition's value is also what the body computes with. */
static void a_body_may_use_what_the_condition_computed(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    doubling(&g, (change){"sum", "AddV2", "same ten"});
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 13);
    unload(&m);
}

/* ---- conditionals ---- */

/* x < 10 ? (x + x) + 100 : (7 - x) + 1000, with two results that are added; or a random number. */
static void two_sides(pb_graph *g, bool random)
{
    pb_node(&g->nodes, "x", "Placeholder", NULL, pb_type("dtype", SL_DT_FLOAT));
    constant(g, "ten", NULL, 10);
    node(g, "less", "Less", "x ten");
    pb_node(&g->nodes, "pred", "Identity", "less", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "pivot", "Switch", "less less", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "yes", "Identity", "pivot:1", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "no", "Identity", "pivot", pb_type("T", SL_DT_BOOL));
    node(g, "x_in", "Switch", "x pred");
    node(g, "double", "AddV2", "x_in:1 x_in:1");
    constant(g, "seven", "^no", 7);
    pb_node(&g->nodes, "shape", "Const", "^no",
            pb_join(pb_type("dtype", SL_DT_INT32), pb_value(SL_DT_INT32, 1, 1)));
    if (random)
        pb_node(&g->nodes, "left", "RandomStandardNormal", "shape",
                pb_join(pb_type("T", SL_DT_INT32), pb_type("dtype", SL_DT_FLOAT)));
    else
        node(g, "left", "Sub", "seven x_in");
    node(g, "out", "Merge", "left double");
    constant(g, "hundred", "^yes", 100);
    constant(g, "thousand", "^no", 1000);
    node(g, "more", "Merge", "thousand hundred");
    node(g, "y", "AddV2", "out more");
    pb_signature(g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
}

static void a_computed_conditional_takes_one_side(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    two_sides(&g, false);
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 106);
    assert_true(run_scalar(&m, 11) == 996);
    unload(&m);
}

static void with_rows(model *m, const char *key, const float *x, int rows, sl_tensor *out)
{
    sl_tensor in = floats(x, 2, DIMS(rows, 3));
    run(m, key, &in, 1, out);
}

static void conditionals_stand_in_each_other_and_in_loops(void **state)
{
    (void)state;
    model m;
    sl_tensor out[2];
    float x[] = {1, 2, 3, 4, 5, 9}, low[] = {-5, 1, 2}, mixed[] = {4, 4, 4, 0, 0, 1};
    load(&m, "conditionals");
    with_rows(&m, "results", x, 2, out);
    assert_floats(&out[0], (float[]){2, 4, 6, 8, 10, 18}, 6);
    assert_int_equal(((const int32_t *)out[1].data)[1], 3);
    release(out, 2);
    with_rows(&m, "results", x, 1, out);
    assert_floats(&out[0], (float[]){0, 1, 2}, 3);
    assert_int_equal(((const int32_t *)out[1].data)[1], 7);
    release(out, 2);
    with_rows(&m, "nested", x, 2, out);
    assert_floats(&out[0], (float[]){101, 102, 103, 104, 105, 109}, 6);
    release(out, 1);
    with_rows(&m, "nested", x, 1, out);
    assert_floats(&out[0], (float[]){5}, 1);
    release(out, 1);
    with_rows(&m, "nested", low, 1, out);
    assert_floats(&out[0], (float[]){295, 301, 302}, 3);
    release(out, 1);
    with_rows(&m, "mapped", mixed, 2, out);
    assert_floats(&out[0], (float[]){1 / 3.0f, 1 / 3.0f, 1 / 3.0f, 2, 2, 3}, 6);
    release(out, 1);
    unload(&m);
}

static void an_assertion_guards(void **state)
{
    (void)state;
    model m;
    sl_tensor out, in = floats((float[]){1, 2, 60}, 2, DIMS(1, 3));
    load(&m, "conditionals");
    with_rows(&m, "checked", (float[]){1, 2, 3}, 1, &out);
    assert_floats(&out, (float[]){1, 2, 3}, 3);
    release(&out, 1);
    assert_int_equal(run_all(&m, "checked", &in, 1, &out), SL_INVALID_ARGUMENT);
    assert_string_equal(
        m.st.msg,
        "assertion failed: [too large] [[1 2 60]]\n\t [[{{node Assert/AssertGuard/Assert}}]]");
    release(&in, 1);
    unload(&m);
}

/* Each result is computed by itself. */
static void a_conditional_with_several_results_draws_nothing(void **state)
{
    (void)state;
    pb_graph g = {0};
    two_sides(&g, true);
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(t.st.msg, "with several results"));
    g = (pb_graph){0};
    two_sides(&g, false);
    assert_int_equal(probe(&g).code, SL_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_counter_counts),
        cmocka_unit_test(loops_stand_in_loops),
        cmocka_unit_test(an_array_is_read_and_another_written),
        cmocka_unit_test(an_array_grows),
        cmocka_unit_test(an_array_is_split_and_joined),
        cmocka_unit_test(map_fn_foldl_and_scan_are_loops),
        cmocka_unit_test(dynamic_rnn_stops_at_each_length),
        cmocka_unit_test(what_a_loop_may_not_do_with_an_array_is_refused),
        cmocka_unit_test(what_was_not_written_is_zeros_if_the_shape_is_known),
        cmocka_unit_test(a_loop_by_hand_turns),
        cmocka_unit_test(a_broken_loop_is_refused_with_its_node),
        cmocka_unit_test(what_is_not_there_is_named),
        cmocka_unit_test(an_enter_belongs_to_one_loop),
        cmocka_unit_test(what_stays_the_same_comes_in),
        cmocka_unit_test(a_body_may_use_what_the_condition_computed),
        cmocka_unit_test(a_computed_conditional_takes_one_side),
        cmocka_unit_test(conditionals_stand_in_each_other_and_in_loops),
        cmocka_unit_test(an_assertion_guards),
        cmocka_unit_test(a_conditional_with_several_results_draws_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
