/* test_native.c - whole models through the native engine: values, shapes, errors, state */
#include "native_model.h"

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* ---- values ---- */

static void a_linear_model_gives_x_w_plus_b(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "linear");
    sl_tensor x = floats((const float[]){1, 2, 3, -1, 0, 0.5f}, 2, DIMS(2, 3));
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_int_equal(y.rank, 2);
    assert_int_equal(y.dims[0], 2);
    assert_int_equal(y.dims[1], 2);
    /* w = [[1,-1],[2,0.5],[0,3]], b = [0.5,-0.5] */
    assert_floats(&y, (const float[]){5.5f, 8.5f, -0.5f, 2.0f}, 4);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static void no_rows_give_no_rows(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "linear");
    sl_tensor x = floats((const float[1]){0}, 2, DIMS(0, 3));
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_int_equal(y.dims[0], 0);
    assert_int_equal(y.dims[1], 2);
    assert_int_equal(y.size, 0);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static void a_keras_model_agrees_with_tensorflow(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "keras_mlp");
    sl_tensor x = floats((const float[]){1, 2, 3, 4, -1, 0.5f, 0.25f, 2}, 2, DIMS(2, 4));
    /* what TensorFlow 2.21 answers */
    const float wanted[] = {0.17017533f, 0.71375340f, 0.11607132f,
                            0.25662354f, 0.64503241f, 0.09834403f};
    const char *both[] = {"serving_default", "serve"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(run_all(&m, both[i], &x, 1, &y), SL_OK);
        assert_floats(&y, wanted, 6);
        sl_tensor_release(&y);
    }
    sl_tensor_release(&x);
    unload(&m);
}

/* TensorFlow's own loader leaves these variables empty: it fills copies of them. */
static void a_keras_model_that_was_saved_as_a_module_is_whole(void **state)
{
    (void)state;
    model m;
    sl_tensor y, x = floats((float[]){1, 2, 3}, 2, (int64_t[]){1, 3});
    load(&m, "keras_saved");
    if (run_all(&m, "serving_default", &x, 1, &y))
        fail_msg("%s", m.st.msg);
    assert_floats(&y, (float[]){6.5f, 6.5f}, 2);
    sl_tensor_release(&x);
    sl_tensor_release(&y);
    unload(&m);
}

static void every_dtype_passes_an_identity_without_a_copy(void **state)
{
    (void)state;
    model m;
    load(&m, "identity");
    for (int i = 0; i < m.sigs->count; i++) {
        const sl_signature *s = &m.sigs->list[i];
        sl_tensor x, y;
        if (s->inputs[0].dtype == SL_DT_STRING)
            assert_int_equal(sl_tensor_try_new_strings((const sl_str[]){SL_STR("a"), SL_STR("")},
                                                       DIMS(2), 1, &x, &m.st),
                             SL_OK);
        else
            x = make(s->inputs[0].dtype, (const char[64]){1, 0, 1, 1}, 2, DIMS(2, 1));
        assert_int_equal(run_all(&m, s->key, &x, 1, &y), SL_OK);
        assert_int_equal(y.dtype, x.dtype);
        assert_ptr_equal(y.buffer, x.buffer);
        assert_ptr_equal(y.data, x.data);
        sl_tensor_release(&y);
        sl_tensor_release(&x);
    }
    unload(&m);
}

static void outputs_come_in_the_order_asked_for_and_only_those(void **state)
{
    (void)state;
    model m;
    load(&m, "multiply_add"); /* outputs: product, sum */
    sl_tensor in[2] = {floats((const float[]){2, 3}, 1, DIMS(2)),
                       floats((const float[]){5, 7}, 1, DIMS(2))};
    sl_tensor out[2] = {{0}};
    int wanted[2] = {1, 0};
    sl_run run = {.signature = signature(&m, "serving_default"),
                  .n_inputs = 2,
                  .input_index = (const int[]){0, 1},
                  .inputs = in,
                  .n_outputs = 2,
                  .output_index = wanted,
                  .outputs = out,
                  .threads = 1};
    assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
    assert_floats(&out[0], (const float[]){7, 10}, 2);
    assert_floats(&out[1], (const float[]){10, 21}, 2);
    sl_tensor_release(&out[0]);
    sl_tensor_release(&out[1]);
    run.n_outputs = 1;
    assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
    assert_floats(&out[0], (const float[]){7, 10}, 2);
    assert_null(out[1].buffer);
    sl_tensor_release(&out[0]);
    sl_tensor_release(&in[0]);
    sl_tensor_release(&in[1]);
    unload(&m);
}

static void one_output_may_be_wanted_twice(void **state)
{
    (void)state;
    model m;
    load(&m, "linear");
    sl_tensor x = floats((const float[]){1, 2, 3}, 2, DIMS(1, 3)), out[2];
    sl_run run = {.signature = signature(&m, "serving_default"),
                  .n_inputs = 1,
                  .input_index = (const int[]){0},
                  .inputs = &x,
                  .n_outputs = 2,
                  .output_index = (const int[]){0, 0},
                  .outputs = out,
                  .threads = 1};
    assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
    for (int i = 0; i < 2; i++) {
        assert_floats(&out[i], (const float[]){5.5f, 8.5f}, 2);
        sl_tensor_release(&out[i]);
    }
    sl_tensor_release(&x);
    unload(&m);
}

static void an_output_outlives_its_session(void **state)
{
    (void)state;
    model m;
    load(&m, "variables"); /* every output is a constant that the session shares */
    sl_tensor out[32];
    int n = m.sigs->list[0].n_outputs;
    assert_int_equal(run_all(&m, "serving_default", NULL, 0, out), SL_OK);
    unload(&m);
    size_t sum = 0;
    for (int k = 0; k < n; k++) {
        for (size_t i = 0; i < out[k].size; i++)
            sum += ((const unsigned char *)out[k].data)[i];
        sl_tensor_release(&out[k]);
    }
    assert_true(sum > 0);
}

static void slices_of_a_variable_are_joined(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "sharded");
    sl_tensor x = make(SL_DT_INT32, (const int32_t[]){2, 39}, 1, DIMS(2));
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_int_equal(y.dims[0], 2);
    assert_int_equal(y.dims[1], 16);
    assert_true(((const float *)y.data)[0] == 32); /* row 2 of 0, 1, 2 ... */
    assert_true(((const float *)y.data)[31] == 40 * 16 - 1);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static sl_tensor strings(const sl_str *values, int64_t n)
{
    sl_tensor t;
    sl_status st;
    assert_int_equal(sl_tensor_try_new_strings(values, &n, 1, &t, &st), SL_OK);
    return t;
}

static void assert_strings(const sl_tensor *t, const char *const *wanted, int n)
{
    assert_int_equal(t->dtype, SL_DT_STRING);
    assert_int_equal(sl_tensor_count(t), n);
    for (int i = 0; i < n; i++) {
        sl_str s = ((const sl_str *)t->data)[i];
        if (!sl_str_is(s, wanted[i]))
            fail_msg("element %d is \"%.*s\", not \"%s\"", i, SL_STR_ARG(s), wanted[i]);
    }
}

/* One tensor is fed where the parser would have made it, or examples are fed to the parser. */
static void half_plus_two_takes_numbers_or_examples(void **state)
{
    (void)state;
    /* tf.Example {features {feature {key "x" value {float_list {value 3}}}}} */
    static const char example[] = "\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\0\0\x40\x40";
    model m;
    sl_tensor y;
    load(&m, "half_plus_two");
    sl_tensor x = floats((const float[]){1, -4}, 1, DIMS(2));
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_floats(&y, (const float[]){2.5f, 0}, 2);
    assert_int_equal(y.rank, 1);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    x = strings((const sl_str[]){{example, sizeof example - 1}}, 1);
    const char *sigs[] = {"regress_x_to_y", "regress_x_to_y2", "classify_x_to_y"};
    const float wanted[] = {3.5f, 4.5f, 3.5f};
    for (int i = 0; i < 3; i++) {
        if (run_all(&m, sigs[i], &x, 1, &y))
            fail_msg("%s: %s", sigs[i], m.st.msg);
        assert_floats(&y, &wanted[i], 1);
        sl_tensor_release(&y);
    }
    sl_tensor_release(&x);
    unload(&m);
}

/* Feeds `x` to inputs of the union and fetches outputs of it, each by the tensor's name. */
static sl_code run_union(model *m, const sl_tensor *x, const char *const *in, int n_in,
                         const char *const *names, int n, sl_tensor *out)
{
    const sl_signature *u = &m->sigs->list[m->sigs->count];
    int fed[4], wanted[4];
    sl_tensor inputs[4];
    for (int i = 0; i < n_in; i++) {
        fed[i] = sl_tensor_infos_find(u->inputs, u->n_inputs, sl_str_of(in[i]));
        inputs[i] = *x;
    }
    for (int i = 0; i < n; i++)
        wanted[i] = sl_tensor_infos_find(u->outputs, u->n_outputs, sl_str_of(names[i]));
    sl_run run = {.signature = m->sigs->count,
                  .n_inputs = n_in,
                  .input_index = fed,
                  .inputs = inputs,
                  .n_outputs = n,
                  .output_index = wanted,
                  .outputs = out,
                  .threads = 1};
    return sl_engine_native.run(m->session, &run, &m->st);
}

static const char example_3[] = "\x0a\x0f\x0a\x0d\x0a\x01x\x12\x08\x12\x06\x0a\x04\0\0\x40\x40";

static void several_signatures_are_one_run(void **state)
{
    (void)state;
    model m;
    sl_tensor y[4];
    load(&m, "heads");
    assert_true(sl_engine_native.unites(m.session));
    sl_tensor x = strings((const sl_str[]){{example_3, sizeof example_3 - 1}}, 1);
    /* "seen", and the same + 0.5; -x of the other input */
    for (int i = 1; i <= 3; i++) {
        const char *in[] = {"first:0", "second:0"};
        const char *out[] = {"seen:0", "seen_again:0", "negative:0"};
        if (run_union(&m, &x, in, 2, out, 3, y))
            fail_msg("%s", m.st.msg);
        assert_floats(&y[0], (const float[]){(float)i}, 1);
        assert_floats(&y[1], (const float[]){(float)i + 0.5f}, 1);
        assert_floats(&y[2], (const float[]){-3}, 1);
        for (int k = 0; k < 3; k++)
            sl_tensor_release(&y[k]);
    }
    /* Not all of them: what is not fed is not looked at, what is not fetched is not run. */
    if (run_union(&m, &x, (const char *[]){"first:0"}, 1, (const char *[]){"double:0"}, 1, y))
        fail_msg("%s", m.st.msg);
    assert_floats(&y[0], (const float[]){6}, 1);
    sl_tensor_release(&y[0]);
    /* It is the session's own: the variable is that of the signatures. */
    assert_int_equal(run_all(&m, "seen", &x, 1, y), SL_OK);
    assert_floats(&y[0], (const float[]){4}, 1);
    sl_tensor_release(&y[0]);
    sl_tensor_release(&x);
    unload(&m);
    load(&m, "linear");
    assert_false(sl_engine_native.unites(m.session));
    unload(&m);
}

static void a_run_over_all_signatures_is_as_pure_as_they_are(void **state)
{
    (void)state;
    model m;
    load(&m, "heads");
    assert_true(sl_engine_native.pure(m.session, signature(&m, "double")));
    assert_false(sl_engine_native.pure(m.session, signature(&m, "seen")));
    assert_false(sl_engine_native.pure(m.session, m.sigs->count));
    unload(&m);
}

static void tables_are_filled_from_the_models_own_files(void **state)
{
    (void)state;
    const sl_str words[] = {SL_STR("blue"), SL_STR("red"), SL_STR("zzz")};
    const char *texts[] = {"hello, blue", "hello, red", "hello, zzz"};
    model m;
    sl_tensor out[3], x = strings(words, 3);
    load(&m, "vocabulary_v1"); /* ids, texts */
    assert_int_equal(run_all(&m, "serving_default", &x, 1, out), SL_OK);
    assert_memory_equal(out[0].data, ((const int64_t[]){2, 0, -1}), 3 * sizeof(int64_t));
    assert_strings(&out[1], texts, 3);
    sl_tensor_release(&out[0]);
    sl_tensor_release(&out[1]);
    unload(&m);
    load(&m, "vocabulary"); /* ids, prices, texts; "zzz" falls into bucket 3, as in TensorFlow */
    assert_int_equal(run_all(&m, "serving_default", &x, 1, out), SL_OK);
    assert_memory_equal(out[0].data, ((const int64_t[]){2, 0, 3}), 3 * sizeof(int64_t));
    assert_floats(&out[1], (const float[]){-1, 1.5f, -1}, 3);
    assert_strings(&out[2], texts, 3);
    for (int i = 0; i < 3; i++)
        sl_tensor_release(&out[i]);
    sl_tensor_release(&x);
    unload(&m);
}

static void a_model_in_text_form_is_as_good(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "in_text");
    sl_tensor x = strings((const sl_str[]){SL_STR("green"), SL_STR("red"), SL_STR("blue")}, 3);
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_OK);
    assert_floats(&y, (const float[]){2.5f, 0, -2.5f}, 3);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static void strings_outlive_the_run_that_made_them(void **state)
{
    (void)state;
    model m;
    load(&m, "image_bytes"); /* image_bytes, label */
    sl_tensor out[2], x = strings((const sl_str[]){SL_STR("a"), SL_STR("")}, 2);
    assert_int_equal(run_all(&m, "serving_default", &x, 1, out), SL_OK);
    sl_tensor_release(&x);
    unload(&m);
    assert_strings(&out[0], (const char *[]){"a", ""}, 2);
    assert_strings(&out[1], (const char *[]){"<a>", "<>"}, 2);
    sl_tensor_release(&out[0]);
    sl_tensor_release(&out[1]);
}

/* ---- state ---- */

static float count(model *m, const char *key, const float *delta)
{
    sl_tensor in = {0}, out;
    if (delta != NULL)
        in = floats(delta, 0, NULL);
    if (run_all(m, key, &in, delta != NULL, &out))
        fail_msg("%s: %s", key, m->st.msg);
    float v = *(const float *)out.data;
    sl_tensor_release(&out);
    sl_tensor_release(&in);
    return v;
}

static void a_counter_is_shared_by_all_signatures(void **state)
{
    (void)state;
    model m;
    load(&m, "counter");
    assert_true(count(&m, "get_counter", NULL) == 0);
    assert_true(count(&m, "incr_counter", NULL) == 1);
    assert_true(count(&m, "incr_counter", NULL) == 2);
    assert_true(count(&m, "get_counter", NULL) == 2);
    assert_true(count(&m, "incr_counter_by", &(const float){3}) == 5);
    assert_true(count(&m, "reset_counter", NULL) == 0);
    assert_true(count(&m, "get_counter", NULL) == 0);
    unload(&m);
}

static void two_sessions_of_a_model_share_no_state(void **state)
{
    (void)state;
    model a, b;
    load(&a, "counter");
    load(&b, "counter");
    assert_true(count(&a, "incr_counter", NULL) == 1);
    assert_true(count(&b, "get_counter", NULL) == 0);
    unload(&a);
    unload(&b);
}

static void a_function_that_writes_a_variable_reads_what_it_wrote(void **state)
{
    (void)state;
    model m;
    load(&m, "stateful");
    for (int64_t i = 1; i <= 3; i++) {
        sl_tensor out, step = make(SL_DT_INT64, &(const int64_t){10}, 0, NULL);
        assert_int_equal(run_all(&m, "serving_default", &step, 1, &out), SL_OK);
        assert_int_equal(*(const int64_t *)out.data, 10 * i);
        sl_tensor_release(&out);
        sl_tensor_release(&step);
    }
    unload(&m);
}

/* ---- refusals ---- */

static void a_wrong_dtype_is_refused_in_tensorflows_words(void **state)
{
    (void)state;
    model m;
    sl_tensor y, x;
    load(&m, "linear");
    assert_int_equal(
        sl_tensor_try_new_strings((const sl_str[]){SL_STR("a")}, DIMS(1), 1, &x, &m.st), SL_OK);
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_INVALID_ARGUMENT);
    assert_string_equal(m.st.msg, "Expects arg[0] to be float but string is provided");
    sl_tensor_release(&x);
    unload(&m);
}

static void a_wrong_shape_is_refused_by_the_op_and_names_the_node(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "linear");
    sl_tensor x = floats((const float[4]){0}, 2, DIMS(1, 4));
    assert_int_equal(run_all(&m, "serving_default", &x, 1, &y), SL_INVALID_ARGUMENT);
    const char *wanted = "Matrix size-incompatible: In[0]: [1,4], In[1]: [3,2]\n\t [[{{node ";
    assert_memory_equal(m.st.msg, wanted, strlen(wanted));
    assert_string_equal(m.st.msg + strlen(m.st.msg) - 3, "}]]");
    sl_tensor_release(&x);
    unload(&m);
}

static void an_input_that_is_missing_is_named(void **state)
{
    (void)state;
    model m;
    sl_tensor y;
    load(&m, "linear");
    assert_int_equal(run_all(&m, "serving_default", NULL, 0, &y), SL_INVALID_ARGUMENT);
    assert_string_equal(m.st.msg,
                        "You must feed a value for placeholder tensor "
                        "'serving_default_input_example' with dtype float and shape [?,3]\n\t "
                        "[[{{node serving_default_input_example}}]]");
    unload(&m);
}

static sl_code run_until(model *m, uint64_t deadline, const atomic_bool *cancelled)
{
    sl_tensor x = floats((const float[3]){0}, 2, DIMS(1, 3)), y = {0};
    sl_run run = {.signature = signature(m, "serving_default"),
                  .n_inputs = 1,
                  .input_index = (const int[]){0},
                  .inputs = &x,
                  .n_outputs = 1,
                  .output_index = (const int[]){0},
                  .outputs = &y,
                  .deadline_ns = deadline,
                  .cancelled = cancelled,
                  .threads = 1};
    sl_code rc = sl_engine_native.run(m->session, &run, &m->st);
    assert_true(rc == SL_OK || y.buffer == NULL);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    return rc;
}

static void a_run_past_its_deadline_or_cancelled_stops(void **state)
{
    (void)state;
    model m;
    load(&m, "linear");
    atomic_bool yes = true, no = false;
    sl_clock_fake(1000);
    assert_int_equal(run_until(&m, 999, NULL), SL_DEADLINE_EXCEEDED);
    assert_int_equal(run_until(&m, 1001, &no), SL_OK);
    assert_int_equal(run_until(&m, 0, &yes), SL_CANCELLED);
    sl_clock_fake(0);
    unload(&m);
}

/* ---- what it costs ---- */

static sl_run linear_run(model *m, const sl_tensor *x, sl_tensor *y)
{
    static const int zero[] = {0};
    return (sl_run){.signature = signature(m, "serving_default"),
                    .n_inputs = 1,
                    .input_index = zero,
                    .inputs = x,
                    .n_outputs = 1,
                    .output_index = zero,
                    .outputs = y,
                    .threads = 1};
}

static void a_run_allocates_nothing_but_its_outputs(void **state)
{
    (void)state;
    model m;
    load(&m, "keras_mlp");
    sl_tensor x = floats((const float[8]){1, 2, 3}, 2, DIMS(2, 4)), y;
    sl_run run = linear_run(&m, &x, &y);
    for (int i = 0; i < 3; i++) {
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
        if (i > 0)
            assert_int_equal(sl_fault_count(SL_FAULT_ALLOC), 1);
        sl_tensor_release(&y);
    }
    sl_tensor_release(&x);
    unload(&m);
}

static void a_cost_is_known_once_the_shapes_have_been_planned(void **state)
{
    (void)state;
    model m;
    load(&m, "linear");
    sl_tensor x = floats((const float[21]){0}, 2, DIMS(7, 3)), y;
    sl_run run = linear_run(&m, &x, &y);
    assert_int_equal(sl_engine_native.cost(m.session, &run, &(int64_t){0}), -1);
    assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
    int64_t elements = 0;
    assert_true(sl_engine_native.cost(m.session, &run, &elements) > 0);
    assert_int_equal(elements, 14);
    sl_tensor_release(&y);
    sl_tensor_release(&x);
    unload(&m);
}

static void what_takes_a_lock_has_no_cost(void **state)
{
    (void)state;
    model m;
    load(&m, "counter");
    sl_tensor y;
    sl_run run = {.signature = signature(&m, "incr_counter"),
                  .n_outputs = 1,
                  .output_index = (const int[]){0},
                  .outputs = &y,
                  .threads = 1};
    assert_int_equal(sl_engine_native.run(m.session, &run, &m.st), SL_OK);
    sl_tensor_release(&y);
    assert_int_equal(sl_engine_native.cost(m.session, &run, &(int64_t){0}), -1);
    unload(&m);
}

static void a_session_tells_what_it_holds(void **state)
{
    (void)state;
    model m;
    uint64_t estimate;
    load(&m, "keras_mlp");
    assert_true(sl_engine_native.memory(m.session) > 0);
    assert_int_equal(sl_engine_native.estimate(NULL, m.saved, &estimate, &m.st), SL_OK);
    assert_true(estimate > sl_saved_model_about(m.saved)->variables_bytes);
    int steps, fused, kb;
    assert_int_equal(sscanf(sl_engine_native.describe(m.session),
                            "native: %d steps, %d fused, %d KB weights", &steps, &fused, &kb),
                     3);
    assert_true(steps > 0 && fused > 0 && kb > 0);
    unload(&m);
}

/* The n-th allocation of load and of a first run fails, for every n: nothing leaks, nothing
 * crashes, and the code says what it was. */
static void running_out_of_memory_is_an_error_and_nothing_else(void **state)
{
    (void)state;
    const char *names[] = {"linear", "counter", "keras_mlp", "half_plus_two"};
    const char *sigs[] = {"serving_default", "incr_counter_by", "serving_default",
                          "serving_default"};
    const int ranks[] = {2, 0, 2, 1};
    const int64_t dims[][2] = {{1, 3}, {0, 0}, {1, 4}, {2, 0}};
    for (int i = 0; i < 4; i++) {
        model m = {0};
        char dir[512];
        sl_load_options opts = {0};
        snprintf(dir, sizeof dir, "%s/tests/models/%s/1", SLUICE_SOURCE_DIR, names[i]);
        assert_int_equal(sl_saved_model_open(dir, NULL, 0, &m.saved, &m.st), SL_OK);
        m.sigs = sl_saved_model_signatures(m.saved);
        sl_tensor x = floats((const float[4]){0}, ranks[i], dims[i]), y;
        bool done = false;
        for (int n = 1; !done && n < 20000; n++) {
            sl_fault_arm(SL_FAULT_ALLOC, n);
            sl_code rc = sl_engine_native.load(NULL, m.saved, &opts, &m.session, &m.st);
            if (rc == SL_OK) {
                rc = run_all(&m, sigs[i], &x, 1, &y);
                if (rc == SL_OK)
                    sl_tensor_release(&y);
                sl_engine_native.close(m.session);
            }
            done = sl_fault_count(SL_FAULT_ALLOC) < n;
            if (rc != SL_OK && rc != SL_RESOURCE_EXHAUSTED)
                fail_msg("%s, allocation %d: %s", names[i], n, m.st.msg);
        }
        assert_true(done);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        sl_tensor_release(&x);
        sl_saved_model_close(m.saved);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_linear_model_gives_x_w_plus_b),
        cmocka_unit_test(no_rows_give_no_rows),
        cmocka_unit_test(a_keras_model_agrees_with_tensorflow),
        cmocka_unit_test(a_keras_model_that_was_saved_as_a_module_is_whole),
        cmocka_unit_test(every_dtype_passes_an_identity_without_a_copy),
        cmocka_unit_test(outputs_come_in_the_order_asked_for_and_only_those),
        cmocka_unit_test(one_output_may_be_wanted_twice),
        cmocka_unit_test(an_output_outlives_its_session),
        cmocka_unit_test(slices_of_a_variable_are_joined),
        cmocka_unit_test(half_plus_two_takes_numbers_or_examples),
        cmocka_unit_test(several_signatures_are_one_run),
        cmocka_unit_test(a_run_over_all_signatures_is_as_pure_as_they_are),
        cmocka_unit_test(tables_are_filled_from_the_models_own_files),
        cmocka_unit_test(a_model_in_text_form_is_as_good),
        cmocka_unit_test(strings_outlive_the_run_that_made_them),
        cmocka_unit_test(a_counter_is_shared_by_all_signatures),
        cmocka_unit_test(two_sessions_of_a_model_share_no_state),
        cmocka_unit_test(a_function_that_writes_a_variable_reads_what_it_wrote),
        cmocka_unit_test(a_wrong_dtype_is_refused_in_tensorflows_words),
        cmocka_unit_test(a_wrong_shape_is_refused_by_the_op_and_names_the_node),
        cmocka_unit_test(an_input_that_is_missing_is_named),
        cmocka_unit_test(a_run_past_its_deadline_or_cancelled_stops),
        cmocka_unit_test(a_run_allocates_nothing_but_its_outputs),
        cmocka_unit_test(a_cost_is_known_once_the_shapes_have_been_planned),
        cmocka_unit_test(what_takes_a_lock_has_no_cost),
        cmocka_unit_test(a_session_tells_what_it_holds),
        cmocka_unit_test(running_out_of_memory_is_an_error_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
