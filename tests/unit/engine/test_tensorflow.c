/* What the TensorFlow engine computes: dtypes, strings, large tensors, errors, many threads. */
#include "engine/tensorflow_fixture.h"

static void computes_half_plus_two(void **state)
{
    (void)state;
    served s = serve("half_plus_two");
    call c = {.to = &s, .n_in = 1, .in = {floats(3, 1)}};
    assert_int_equal(run_call(&c), SL_OK);
    const float *y = c.out[0].data;
    assert_int_equal(c.out[0].rank, 1);
    assert_int_equal(c.out[0].dims[0], 3);
    assert_true(y[0] == 2.5f && y[1] == 3.0f && y[2] == 3.5f);
    end_call(&c);
    unserve(&s);
}

static void every_dtype_comes_back_as_it_went(void **state)
{
    (void)state;
    served s = serve("echo");
    const sl_signatures *all = sl_saved_model_signatures(s.model);
    int tried = 0;
    for (int i = 0; i < all->count; i++) {
        sl_dtype t = all->list[i].inputs[0].dtype;
        if (t == SL_DT_STRING)
            continue;
        sl_tensor x = new_tensor(t, 1, 5);
        for (size_t k = 0; k < x.size; k++)
            ((unsigned char *)x.data)[k] = (unsigned char)(t == SL_DT_BOOL ? k & 1 : k * 7 & 0x7);
        call c = {.to = &s, .signature = all->list[i].key, .n_in = 1, .in = {x}};
        if (run_call(&c) != SL_OK)
            fail_msg("%s: %s", all->list[i].key, c.st.msg);
        assert_int_equal(c.out[0].dtype, t);
        assert_int_equal(c.out[0].size, x.size);
        assert_memory_equal(c.out[0].data, x.data, x.size);
        end_call(&c);
        tried++;
    }
    assert_true(tried >= 20);
    unserve(&s);
}

static void strings_of_any_bytes_come_back_as_they_went(void **state)
{
    (void)state;
    served s = serve("echo");
    char *large = sl_malloc(300000);
    memset(large, 'x', 300000);
    sl_str values[] = {SL_STR(""), SL_STR("a\0b"), {large, 300000}, SL_STR("\xff\xfe")};
    int64_t dims[] = {2, 2};
    sl_tensor x;
    assert_int_equal(sl_tensor_try_new_strings(values, dims, 2, &x, NULL), SL_OK);
    call c = {.to = &s, .signature = "string", .n_in = 1, .in = {x}};
    assert_int_equal(run_call(&c), SL_OK);
    assert_int_equal(c.out[0].rank, 2);
    for (int i = 0; i < 4; i++)
        assert_true(sl_str_eq(((sl_str *)c.out[0].data)[i], values[i]));
    end_call(&c);
    sl_free(large);
    unserve(&s);
}

static void empty_tensors_and_scalars_are_fine(void **state)
{
    (void)state;
    served s = serve("echo");
    sl_tensor scalar = new_tensor(SL_DT_FLOAT, 0, 0);
    *(float *)scalar.data = 4;
    call c = {.to = &s, .signature = "float32", .n_in = 1, .in = {scalar}};
    assert_int_equal(run_call(&c), SL_OK);
    assert_int_equal(c.out[0].rank, 0);
    end_call(&c);
    const char *const keys[] = {"float32", "string"};
    for (int i = 0; i < 2; i++) {
        call e = {.to = &s, .signature = keys[i], .n_in = 1};
        e.in[0] = new_tensor(i ? SL_DT_STRING : SL_DT_FLOAT, 1, 0);
        assert_int_equal(run_call(&e), SL_OK);
        assert_int_equal(e.out[0].dims[0], 0);
        end_call(&e);
    }
    unserve(&s);
}

static void several_inputs_and_outputs_find_their_names(void **state)
{
    (void)state;
    served s = serve("strings");
    const char *const a[] = {"x", "y"}, *const b[] = {"1", "2"};
    call c = {.to = &s, .signature = "join", .n_in = 2, .in = {strings(a, 2, 1), strings(b, 2, 1)}};
    assert_int_equal(run_call(&c), SL_OK);
    assert_true(sl_str_is(((sl_str *)c.out[0].data)[1], "y-2"));
    assert_true(sl_str_is(((sl_str *)c.out[1].data)[0], "X"));
    end_call(&c);
    unserve(&s);
}

static void fifty_megabytes_go_in_and_out(void **state)
{
    (void)state;
    enum { N = 50 * 1000 * 1000 / 4 };
    served s = serve("add_one");
    for (int round = 0; round < 3; round++) {
        call c = {.to = &s, .n_in = 1, .in = {floats(N, (float)round)}};
        assert_int_equal(run_call(&c), SL_OK);
        assert_int_equal(c.out[0].size, (size_t)N * 4);
        const float *y = c.out[0].data;
        for (int i = 0; i < N; i += 997)
            assert_true(y[i] == (float)round + (float)(i % 1000) + 1);
        end_call(&c);
    }
    unserve(&s);
}

static void an_output_may_outlive_its_session_and_later_requests(void **state)
{
    (void)state;
    served s = serve("add_one");
    call first = {.to = &s, .n_in = 1, .in = {floats(100000, 1)}};
    assert_int_equal(run_call(&first), SL_OK);
    for (int i = 0; i < 3; i++) {
        call c = {.to = &s, .n_in = 1, .in = {floats(100000, 100)}};
        assert_int_equal(run_call(&c), SL_OK);
        assert_true(((float *)c.out[0].data)[0] == 101);
        end_call(&c);
    }
    unserve(&s);
    for (int i = 0; i < 100000; i++)
        assert_true(((float *)first.out[0].data)[i] == 2 + (float)(i % 1000));
    end_call(&first);
}

static void outputs_much_larger_than_inputs_fit(void **state)
{
    (void)state;
    served s = serve("strings");
    call c = {.to = &s, .signature = "grow", .n_in = 1, .in = {int32_scalar(3000000)}};
    assert_int_equal(run_call(&c), SL_OK);
    assert_int_equal(c.out[0].dims[0], 3000000);
    assert_true(((float *)c.out[0].data)[2999999] == 1);
    end_call(&c);
    call m = {.to = &s, .signature = "many", .n_in = 1, .in = {int32_scalar(200000)}};
    assert_int_equal(run_call(&m), SL_OK);
    assert_true(sl_str_is(((sl_str *)m.out[0].data)[199999], "199999"));
    end_call(&m);
    unserve(&s);
}

/* TensorFlow takes over the input's buffer; the next request must not write into it. */
static void a_variable_keeps_the_value_that_was_fed(void **state)
{
    (void)state;
    served s = serve("keeper");
    call put = {.to = &s, .signature = "put", .n_in = 1, .in = {floats(100000, 5)}};
    assert_int_equal(run_call(&put), SL_OK);
    end_call(&put);
    for (int i = 0; i < 3; i++) {
        call get = {.to = &s, .signature = "get"};
        assert_int_equal(run_call(&get), SL_OK);
        assert_int_equal(get.out[0].dims[0], 100000);
        for (int k = 0; k < 100000; k++)
            assert_true(((float *)get.out[0].data)[k] == 5 + (float)(k % 1000));
        end_call(&get);
    }
    unserve(&s);
}

static void an_error_has_the_words_of_tensorflow(void **state)
{
    (void)state;
    served s = serve("strings");
    call c = {.to = &s, .signature = "reshape", .n_in = 1, .in = {floats(5, 0)}};
    assert_int_equal(run_call(&c), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(c.st.msg,
                           "Input to reshape is a tensor with 5 values, but the requested "
                           "shape has 6"));
    assert_non_null(strstr(c.st.msg, "{{node "));
    end_call(&c);
    unserve(&s);
}

static void a_wrong_dtype_is_refused_in_the_words_of_tensorflow(void **state)
{
    (void)state;
    served s = serve("v1");
    call c = {.to = &s, .signature = "fine", .n_in = 1, .in = {string_scalar("a")}};
    assert_int_equal(run_call(&c), SL_INVALID_ARGUMENT);
    assert_string_equal(c.st.msg, "Expects arg[0] to be float but string is provided");
    end_call(&c);
    unserve(&s);
}

static void signatures_that_point_nowhere_say_what_is_missing(void **state)
{
    (void)state;
    served s = serve("v1");
    static const struct {
        const char *key, *text;
        sl_code code;
    } cases[] = {
        {"broken", "FeedInputs: unable to find feed output gone:0", SL_NOT_FOUND},
        {"too_far", "FetchOutputs y:3: output index too large, must be < 1", SL_INVALID_ARGUMENT},
        {"no_output", "Tried to fetch data for 'nothing', which produces no output.",
         SL_INVALID_ARGUMENT},
        {"resource", "output \"table:0\" is of dtype resource", SL_UNIMPLEMENTED}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        call c = {.to = &s, .signature = cases[i].key, .n_in = 1, .in = {floats(1, 0)}};
        assert_int_equal(run_call(&c), cases[i].code);
        assert_non_null(strstr(c.st.msg, cases[i].text));
        end_call(&c);
    }
    unserve(&s);
}

static void *hammer(void *arg)
{
    served *s = arg;
    for (int i = 0; i < 300; i++) {
        int n = i % 7 == 0 ? 30000 : 10;
        call c = {.to = s, .n_in = 1, .in = {floats(n, (float)i)}};
        if (run_call(&c) != SL_OK || ((float *)c.out[0].data)[9] != (float)i + 9 + 1)
            return "wrong";
        end_call(&c);
    }
    return NULL;
}

static void eight_threads_share_one_session(void **state)
{
    (void)state;
    served s = serve("add_one");
    pthread_t threads[8];
    for (int i = 0; i < 8; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hammer, &s), 0);
    for (int i = 0; i < 8; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
    unserve(&s);
}

static void *load_run_close(void *arg)
{
    (void)arg;
    for (int i = 0; i < 3; i++) {
        served s = serve(i % 2 ? "add_one" : "half_plus_two");
        call c = {.to = &s, .n_in = 1, .in = {floats(10, 1)}};
        if (run_call(&c) != SL_OK)
            return "failed";
        end_call(&c);
        unserve(&s);
    }
    return NULL;
}

static void versions_load_and_close_side_by_side(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_run_close, NULL), 0);
    for (int i = 0; i < 4; i++) {
        void *result;
        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

/* On a clock that the test moves on: the five seconds do not pass. */
static void shared_memory_of_a_large_request_is_given_back_when_idle(void **state)
{
    (void)state;
    served s = serve("add_one");
    for (int round = 0; round < 2; round++) {
        call c = {.to = &s, .n_in = 1, .in = {floats(10000000, 1)}};
        assert_int_equal(run_call(&c), SL_OK);
        assert_true(((float *)c.out[0].data)[9999999] == 1001);
        end_call(&c);
        uint64_t before = E.memory(s.session);
        assert_true(before > 40000000);
        sl_clock_fake(sl_now_ns() + 20000000000u);
        while (E.memory(s.session) > before - 30000000)
            usleep(10000);
        sl_clock_fake(0);
    }
    unserve(&s);
}

static void closing_ends_the_process(void **state)
{
    (void)state;
    served s = serve("half_plus_two");
    pid_t pid = pid_of(&s);
    assert_int_equal(kill(pid, 0), 0);
    assert_true(E.memory(s.session) > 1 << 20);
    unserve(&s);
    assert_int_equal(kill(pid, 0), -1);
}

static void describes_library_and_process(void **state)
{
    (void)state;
    served s = serve("half_plus_two");
    const char *text = E.describe(s.session);
    assert_memory_equal(text, "TensorFlow 2.", 13);
    assert_non_null(strstr(text, "(libtensorflow"));
    assert_true(pid_of(&s) > 0);
    assert_int_equal(E.cost(s.session, NULL, &(int64_t){0}), -1);
    unserve(&s);
}

static void load_failures_are_tensorflows_own_words(void **state)
{
    (void)state;
    sl_status st = {0};
    sl_saved_model *m = open_model("future");
    sl_session *session = NULL;
    sl_load_options o = {.model_name = "future", .version = 1};
    assert_int_equal(E.probe(engine, m, NULL, &st), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "GraphDef min consumer version 99999 above current version"));
    assert_int_not_equal(E.load(engine, m, &o, &session, &st), SL_OK);
    assert_non_null(strstr(st.msg, "min consumer version 99999"));
    assert_non_null(strstr(st.msg, "the library is TensorFlow 2."));
    sl_saved_model_close(m);
}

static void count_reports(void *arg, const char *node, const char *op, const char *reason)
{
    (void)reason;
    if (node != NULL && strcmp(op, "SluiceEnd") == 0)
        ++*(int *)arg;
}

static void probe_lists_nodes_whose_ops_are_not_registered(void **state)
{
    void *with_ops = engine;
    int n = 0;
    sl_status st = {0};
    sl_report why = {.add = count_reports, .arg = &n};
    sl_saved_model *m = open_model("custom");
    (void)state;
    assert_int_equal(E.probe(engine, m, &why, &st), SL_OK);
    assert_int_equal(n, 0);
    new_engine(NULL, 0);
    assert_int_equal(E.probe(engine, m, &why, &st), SL_FAILED_PRECONDITION);
    assert_true(n >= 1);
    sl_session *session;
    sl_load_options o = {.model_name = "custom", .version = 1};
    assert_int_equal(E.load(engine, m, &o, &session, &st), SL_NOT_FOUND);
    assert_non_null(strstr(st.msg, "Op type not registered 'Sluice"));
    sl_tensorflow_free(engine);
    engine = with_ops;
    sl_saved_model_close(m);
}

static void all_three_thread_counts_are_refused(void **state)
{
    (void)state;
    void *self;
    sl_status st = {0};
    sl_tensorflow_options o = {
        .intra_op_parallelism = 1, .inter_op_parallelism = 1, .session_parallelism = 1};
    assert_int_equal(sl_tensorflow_new(&o, &self, &st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "You cannot configure all."));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(computes_half_plus_two),
        cmocka_unit_test(every_dtype_comes_back_as_it_went),
        cmocka_unit_test(strings_of_any_bytes_come_back_as_they_went),
        cmocka_unit_test(empty_tensors_and_scalars_are_fine),
        cmocka_unit_test(several_inputs_and_outputs_find_their_names),
        cmocka_unit_test(fifty_megabytes_go_in_and_out),
        cmocka_unit_test(an_output_may_outlive_its_session_and_later_requests),
        cmocka_unit_test(outputs_much_larger_than_inputs_fit),
        cmocka_unit_test(a_variable_keeps_the_value_that_was_fed),
        cmocka_unit_test(an_error_has_the_words_of_tensorflow),
        cmocka_unit_test(a_wrong_dtype_is_refused_in_the_words_of_tensorflow),
        cmocka_unit_test(signatures_that_point_nowhere_say_what_is_missing),
        cmocka_unit_test(eight_threads_share_one_session),
        cmocka_unit_test(versions_load_and_close_side_by_side),
        cmocka_unit_test(shared_memory_of_a_large_request_is_given_back_when_idle),
        cmocka_unit_test(closing_ends_the_process),
        cmocka_unit_test(describes_library_and_process),
        cmocka_unit_test(load_failures_are_tensorflows_own_words),
        cmocka_unit_test(probe_lists_nodes_whose_ops_are_not_registered),
        cmocka_unit_test(all_three_thread_counts_are_refused),
    };
    return cmocka_run_group_tests(tests, start_engine, stop_engine);
}
