/* test_native_graph.c - graphs that no exporter writes: closures, calls, control flow, limits */
#include "native_graph.h"

#include "base/mem.h"
#include "engine/native/graph.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})
static const sl_text none;

static void placeholder(pb_graph *g)
{
    pb_node(&g->nodes, "x", "Placeholder", NULL, pb_type("dtype", SL_DT_FLOAT));
}

/* ---- what stands in the way ---- */

static void every_unknown_op_is_reported_with_its_node(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "a", "FrobnicateV9", "x", none);
    pb_node(&g.nodes, "b", "XlaCallModule", "a", none);
    pb_node(&g.nodes, "y", "Identity", "b", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "aside", "NotReached", "x", none);
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_int_equal(t.count, 2);
    assert_non_null(strstr(t.lines, "a|FrobnicateV9|"));
    assert_non_null(strstr(t.lines, "b|XlaCallModule|"));
    assert_non_null(strstr(t.st.msg, "FrobnicateV9"));
}

/* Its keys in the checkpoint are buckets, empty ones too. */
static void a_dense_table_is_an_obstacle(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "t", "MutableDenseHashTableV2", "x x", none);
    pb_node(&g.nodes, "y", "LookupTableSizeV2", "t", none);
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_string_equal(t.lines, "t|MutableDenseHashTableV2|the native engine does not have this "
                                 "operation\n");
}

static void a_list_neither_comes_from_outside_nor_leaves(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "shape", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_INT32), pb_value(SL_DT_INT32, -1, -1)));
    pb_node(&g.nodes, "l", "TensorListFromTensor", "x shape",
            pb_type("element_dtype", SL_DT_FLOAT));
    pb_node(&g.nodes, "n", "TensorListLength", "l", none);
    pb_signature(&g, "gives", "x:0", SL_DT_FLOAT, "l:0");
    pb_signature(&g, "takes", "l:0", SL_DT_VARIANT, "n:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_string_equal(t.lines, "-|-|a signature takes or gives a variant\n"
                                 "-|-|a signature takes or gives a variant\n");
}

static void what_a_hidden_signature_reaches_does_not_matter(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "y", "Identity", "x", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "z", "FrobnicateV9", "x", none);
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    pb_signature(&g, "__saved_model_train_op", NULL, SL_DT_FLOAT, "z");
    assert_int_equal(probe(&g).code, SL_OK);
}

static void a_graph_for_newer_readers_is_refused(void **state)
{
    (void)state;
    pb_graph g = {.producer = 90000, .min_consumer = 80000};
    placeholder(&g);
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "x:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(t.lines, "asks for a reader of version 80000"));
}

static void a_newer_writer_alone_is_only_remarked_upon(void **state)
{
    (void)state;
    pb_graph g = {.producer = 90000};
    placeholder(&g);
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "x:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_OK);
    assert_int_equal(t.count, 1);
    assert_non_null(strstr(t.lines, "remark: "));
}

/* ---- broken files ---- */

static void a_name_that_is_not_there_is_named(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "y", "Identity", "nowhere:0", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_INVALID_ARGUMENT);
    assert_non_null(strstr(t.st.msg, "\"nowhere:0\""));
}

static void an_output_that_an_op_does_not_have_is_refused(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "y", "Identity", "x", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:7");
    assert_int_equal(probe(&g).code, SL_INVALID_ARGUMENT);
}

static void a_cycle_is_an_obstacle(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "a", "AddV2", "x b", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "b", "Identity", "a", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "b:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(t.lines, "part of a cycle"));
}

static sl_text call(const char *function)
{
    return pb_join(pb_func("f", function),
                   pb_join(pb_types("Tin", 1, SL_DT_FLOAT), pb_types("Tout", 1, SL_DT_FLOAT)));
}

static void a_function_that_calls_itself_is_refused(void **state)
{
    (void)state;
    pb_graph g = {0};
    sl_text body = {0};
    placeholder(&g);
    pb_node_in(&body, 3, "again", "PartitionedCall", "a", call("f"));
    pb_function(&g, "f", SL_DT_FLOAT, body, "again:output:0");
    pb_node(&g.nodes, "y", "PartitionedCall", "x", call("f"));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_INVALID_ARGUMENT);
    assert_non_null(strstr(t.st.msg, "recursion"));
}

static void a_call_fed_by_itself_is_refused(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_function(&g, "f", SL_DT_FLOAT, none, "a");
    pb_node(&g.nodes, "y", "PartitionedCall", "y", call("f"));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_INVALID_ARGUMENT);
    assert_non_null(strstr(t.st.msg, "cycle"));
}

/* f0 calls f1 twice, f1 calls f2 twice ...: 2^40 nodes from 40 functions. */
static void calls_that_multiply_are_bounded(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    for (int i = 0; i < 40; i++) {
        char name[16], next[16];
        sl_text body = {0};
        snprintf(name, sizeof name, "f%d", i);
        snprintf(next, sizeof next, "f%d", i + 1);
        pb_node_in(&body, 3, "l", "PartitionedCall", "a", call(next));
        pb_node_in(&body, 3, "r", "PartitionedCall", "a", call(next));
        pb_node_in(&body, 3, "s", "AddV2", "l:output:0 r:output:0", pb_type("T", SL_DT_FLOAT));
        pb_function(&g, name, SL_DT_FLOAT, body, "s:z:0");
    }
    pb_function(&g, "f40", SL_DT_FLOAT, none, "a");
    pb_node(&g.nodes, "y", "PartitionedCall", "x", call("f0"));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(t.st.msg, "too large"));
}

static void a_chain_of_a_hundred_thousand_nodes_runs(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    placeholder(&g);
    pb_node(&g.nodes, "n0", "Neg", "x", pb_type("T", SL_DT_FLOAT));
    for (int i = 1; i < 100000; i++) {
        char name[16], in[16];
        snprintf(name, sizeof name, "n%d", i);
        snprintf(in, sizeof in, "n%d", i - 1);
        pb_node(&g.nodes, name, i % 2 ? "Neg" : "Identity", in, pb_type("T", SL_DT_FLOAT));
    }
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "n99999:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == -3); /* 50001 times -1 */
    unload(&m);
}

/* ---- what a graph means ---- */

static void a_fed_tensor_cuts_the_graph(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    pb_node(&g.nodes, "parser", "FrobnicateV9", NULL, none);
    pb_node(&g.nodes, "x", "Identity", "parser", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "y", "AddV2", "x x", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 4) == 8);
    unload(&m);
}

static void a_placeholder_with_a_default_may_be_left_out(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_tensor out;
    pb_node(&g.nodes, "c", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, 5)));
    pb_node(&g.nodes, "x", "PlaceholderWithDefault", "c", pb_type("dtype", SL_DT_FLOAT));
    pb_node(&g.nodes, "y", "AddV2", "x x", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 4) == 8);
    assert_int_equal(run_all(&m, "serving_default", NULL, 0, &out), SL_OK);
    assert_true(*(const float *)out.data == 10);
    sl_tensor_release(&out);
    unload(&m);
}

/* The names of the ops that scatter into a variable begin like those that make a tensor. */
static void an_op_that_scatters_into_a_new_tensor_writes_no_variable(void **state)
{
    (void)state;
    static const char *const writes[] = {"ScatterAdd",   "ScatterUpdate",   "ScatterNdAdd",
                                         "ScatterNdSub", "ScatterNdUpdate", "ResourceScatterNdAdd"};
    for (size_t i = 0; i < SL_COUNTOF(writes); i++)
        assert_true(sl_op_writes(sl_str_of(writes[i])));
    assert_false(sl_op_writes(SL_STR("ScatterNd")));
    assert_false(sl_op_writes(SL_STR("ScatterNdNonAliasingAdd")));
    assert_false(sl_op_writes(SL_STR("TensorScatterUpdate")));
    pb_graph g = {0};
    model m;
    placeholder(&g);
    pb_node(&g.nodes, "at", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_INT32), pb_value(SL_DT_INT32, 1, 2)));
    pb_node(&g.nodes, "shape", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_INT32), pb_value(SL_DT_INT32, 1, 4)));
    pb_node(&g.nodes, "y", "ScatterNd", "at x shape",
            pb_join(pb_type("T", SL_DT_FLOAT), pb_type("Tindices", SL_DT_INT32)));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    sl_tensor x = floats((const float[]){7}, 0, NULL), y;
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_floats(&y, (const float[]){0, 0, 7, 0}, 4);
    assert_true(sl_engine_native.pure(m.session, 0));
    int64_t elements;
    sl_run run = {.signature = 0,
                  .n_inputs = 1,
                  .input_index = (const int[]){0},
                  .inputs = &x,
                  .n_outputs = 1,
                  .output_index = (const int[]){0}};
    assert_true(sl_engine_native.cost(m.session, &run, &elements) > 0); /* no lock either */
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static void a_body_called_twice_is_two_bodies(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_text body = {0};
    placeholder(&g);
    pb_node_in(&body, 3, "d", "AddV2", "a a", pb_type("T", SL_DT_FLOAT));
    pb_function(&g, "twice", SL_DT_FLOAT, body, "d:z:0");
    pb_node(&g.nodes, "p", "PartitionedCall", "x", call("twice"));
    pb_node(&g.nodes, "y", "PartitionedCall", "p", call("twice"));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 12);
    unload(&m);
}

static void a_control_edge_to_an_assert_is_kept(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_tensor out;
    placeholder(&g);
    pb_node(&g.nodes, "zero", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, 0)));
    pb_node(&g.nodes, "ok", "Greater", "x zero", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "assert", "Assert", "ok x", pb_types("T", 1, SL_DT_FLOAT));
    pb_node(&g.nodes, "group", "NoOp", "^assert", none);
    pb_node(&g.nodes, "y", "Identity", "x ^group", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 2) == 2);
    sl_tensor x = floats(&(const float){-1}, 0, NULL);
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &out), SL_INVALID_ARGUMENT);
    assert_string_equal(m.st.msg, "assertion failed: [-1]\n\t [[{{node assert}}]]");
    sl_tensor_release(&x);
    unload(&m);
}

/* x -> while x < 100: x = x + x */
static void a_loop_runs_until_its_condition_fails(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_text cond = {0}, body = {0};
    placeholder(&g);
    pb_node_in(&cond, 3, "c", "Const", NULL,
               pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, 100)));
    pb_node_in(&cond, 3, "less", "Less", "a c:output:0", pb_type("T", SL_DT_FLOAT));
    pb_function_of(&g, "small", SL_DT_FLOAT, SL_DT_BOOL, cond, "less:z:0");
    pb_node_in(&body, 3, "d", "AddV2", "a a", pb_type("T", SL_DT_FLOAT));
    pb_function(&g, "twice", SL_DT_FLOAT, body, "d:z:0");
    pb_node(&g.nodes, "loop", "StatelessWhile", "x",
            pb_join(pb_types("T", 1, SL_DT_FLOAT),
                    pb_join(pb_func("cond", "small"), pb_func("body", "twice"))));
    pb_node(&g.nodes, "y", "Neg", "loop", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == -192);
    assert_true(run_scalar(&m, 500) == -500);
    unload(&m);
}

/* ---- conditionals of TensorFlow 1 ---- */

/* flag ? Huge(x) : Neg(x), where nobody has the op Huge; and flag ? 5 : 7, added. `from`: what the
 * flag is. */
static void conditional(pb_graph *g, const char *from)
{
    sl_text t = pb_type("T", SL_DT_FLOAT);
    placeholder(g);
    pb_node(&g->nodes, "flag", "Identity", from, pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "pivot", "Switch", "flag flag", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "yes", "Identity", "pivot:1", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "no", "Identity", "pivot", pb_type("T", SL_DT_BOOL));
    pb_node(&g->nodes, "x_in", "Switch", "x flag", pb_type("T", SL_DT_FLOAT));
    pb_node(&g->nodes, "huge", "Huge", "x_in:1", none);
    pb_node(&g->nodes, "neg", "Neg", "x_in:0", pb_type("T", SL_DT_FLOAT));
    pb_node(&g->nodes, "out", "Merge", "neg huge", pb_type("T", SL_DT_FLOAT));
    pb_node(&g->nodes, "five", "Const", "^yes",
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, 5)));
    pb_node(&g->nodes, "seven", "Const", "^no",
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, -1, 7)));
    pb_node(&g->nodes, "number", "Merge", "seven five", pb_type("T", SL_DT_FLOAT));
    pb_node(&g->nodes, "y", "AddV2", "out number", t);
    pb_signature(g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
}

static void known_flag(pb_graph *g, bool value)
{
    pb_node(&g->nodes, "value", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_BOOL), pb_value(SL_DT_BOOL, -1, value)));
    pb_node(&g->nodes, "training", "PlaceholderWithDefault", "value", pb_type("dtype", SL_DT_BOOL));
}

static void the_side_that_a_known_flag_leaves_out_is_not_there(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    known_flag(&g, false);
    conditional(&g, "training");
    open_graph(&g, &m);
    assert_true(run_scalar(&m, 3) == 4);
    unload(&m);
    g = (pb_graph){0};
    known_flag(&g, true);
    conditional(&g, "training");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(t.lines, "huge|Huge|the native engine does not have this operation\n"));
    assert_null(strstr(t.lines, "Switch"));
}

static void what_a_side_of_a_computed_conditional_lacks_is_an_obstacle(void **state)
{
    (void)state;
    pb_graph g = {0};
    pb_node(&g.nodes, "training", "IsNan", "x", pb_type("T", SL_DT_FLOAT));
    conditional(&g, "training");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
    assert_string_equal(t.lines, "huge|Huge|the native engine does not have this operation\n");
}

static void a_merge_that_waits_for_itself_is_an_obstacle(void **state)
{
    (void)state;
    pb_graph g = {0};
    placeholder(&g);
    pb_node(&g.nodes, "enter", "Enter", "x", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "merge", "Merge", "next next", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "next", "NextIteration", "merge", pb_type("T", SL_DT_FLOAT));
    pb_node(&g.nodes, "y", "Neg", "merge", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    told t = probe(&g);
    assert_int_equal(t.code, SL_FAILED_PRECONDITION);
}

/* ---- memory ---- */

/* max has as many bytes (2 int64) as the result (16 bool), and is read again for each row. */
static void an_operand_that_is_broadcast_is_not_written_over(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_tensor out;
    int64_t ones[16];
    pb_node(&g.nodes, "x", "Placeholder", NULL, pb_type("dtype", SL_DT_INT64));
    pb_node(&g.nodes, "zero", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_INT32), pb_value(SL_DT_INT32, 1, 0)));
    pb_node(&g.nodes, "max", "Max", "x zero", pb_type("T", SL_DT_INT64));
    pb_node(&g.nodes, "same", "Equal", "max x", pb_type("T", SL_DT_INT64));
    pb_node(&g.nodes, "y", "LogicalNot", "same", none);
    pb_signature(&g, "serving_default", "x:0", SL_DT_INT64, "y:0");
    open_graph(&g, &m);
    for (int i = 0; i < 16; i++)
        ones[i] = 1;
    sl_tensor x = make(SL_DT_INT64, ones, 2, DIMS(8, 2));
    if (run_all(&m, "serving_default", &x, 1, &out))
        fail_msg("%s", m.st.msg);
    assert_int_equal(out.size, 16);
    for (int i = 0; i < 16; i++)
        assert_int_equal(((const char *)out.data)[i], 0);
    sl_tensor_release(&out);
    sl_tensor_release(&x);
    unload(&m);
}

/* ---- what a client chooses ---- */

static void a_shape_that_needs_too_much_memory_is_refused(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_tensor out;
    sl_text yes = {0};
    pb_number(&yes, 5, 1);
    placeholder(&g);
    pb_node(&g.nodes, "mm", "MatMul", "x x",
            pb_join(pb_type("T", SL_DT_FLOAT), pb_attr("transpose_b", yes)));
    pb_node(&g.nodes, "y", "Neg", "mm", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    sl_tensor x = make(SL_DT_FLOAT, "", 2, DIMS(1 << 22, 0));
    x.dims[1] = 1; /* [4M,1] x [1,4M] wants 64 TiB; the values are never looked at */
    x.size = (size_t)4 << 22;
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &out), SL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(m.st.msg, "a request of this shape needs more than"));
    sl_tensor_release(&x);
    unload(&m);
}

static void a_bad_request_leaves_the_next_one_alone(void **state)
{
    (void)state;
    pb_graph g = {0};
    model m;
    sl_tensor out;
    placeholder(&g);
    pb_node(&g.nodes, "c", "Const", NULL,
            pb_join(pb_type("dtype", SL_DT_FLOAT), pb_value(SL_DT_FLOAT, 3, 1)));
    pb_node(&g.nodes, "y", "AddV2", "x c", pb_type("T", SL_DT_FLOAT));
    pb_signature(&g, "serving_default", "x:0", SL_DT_FLOAT, "y:0");
    open_graph(&g, &m);
    sl_tensor bad = floats((const float[2]){0}, 1, DIMS(2));
    sl_tensor good = floats((const float[3]){1, 2, 3}, 1, DIMS(3));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(run_all(&m, "serving_default", &bad, 1, &out), SL_INVALID_ARGUMENT);
        assert_int_equal(run_all(&m, "serving_default", &good, 1, &out), SL_OK);
        assert_floats(&out, (const float[]){2, 3, 4}, 3);
        sl_tensor_release(&out);
    }
    sl_tensor_release(&bad);
    sl_tensor_release(&good);
    unload(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_unknown_op_is_reported_with_its_node),
        cmocka_unit_test(a_dense_table_is_an_obstacle),
        cmocka_unit_test(a_list_neither_comes_from_outside_nor_leaves),
        cmocka_unit_test(what_a_hidden_signature_reaches_does_not_matter),
        cmocka_unit_test(a_graph_for_newer_readers_is_refused),
        cmocka_unit_test(a_newer_writer_alone_is_only_remarked_upon),
        cmocka_unit_test(a_name_that_is_not_there_is_named),
        cmocka_unit_test(an_output_that_an_op_does_not_have_is_refused),
        cmocka_unit_test(a_cycle_is_an_obstacle),
        cmocka_unit_test(a_function_that_calls_itself_is_refused),
        cmocka_unit_test(a_call_fed_by_itself_is_refused),
        cmocka_unit_test(calls_that_multiply_are_bounded),
        cmocka_unit_test(a_chain_of_a_hundred_thousand_nodes_runs),
        cmocka_unit_test(a_fed_tensor_cuts_the_graph),
        cmocka_unit_test(a_placeholder_with_a_default_may_be_left_out),
        cmocka_unit_test(an_op_that_scatters_into_a_new_tensor_writes_no_variable),
        cmocka_unit_test(a_body_called_twice_is_two_bodies),
        cmocka_unit_test(a_control_edge_to_an_assert_is_kept),
        cmocka_unit_test(a_loop_runs_until_its_condition_fails),
        cmocka_unit_test(the_side_that_a_known_flag_leaves_out_is_not_there),
        cmocka_unit_test(what_a_side_of_a_computed_conditional_lacks_is_an_obstacle),
        cmocka_unit_test(a_merge_that_waits_for_itself_is_an_obstacle),
        cmocka_unit_test(an_operand_that_is_broadcast_is_not_written_over),
        cmocka_unit_test(a_shape_that_needs_too_much_memory_is_refused),
        cmocka_unit_test(a_bad_request_leaves_the_next_one_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
