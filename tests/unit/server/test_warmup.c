/* test_warmup.c - records are decoded, checked and run as real requests are */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/log.h"
#include "warmup_fixture.h"

typedef struct fixture {
    fake fake;
    sl_text file;
    sl_warmup_options options;
    sl_status st;
    int64_t records;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    sl_log_set_level(SL_FATAL);
    fake_init(&f->fake);
    f->options.iterations = 1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    fake_forget(&f->fake);
    sl_text_fini(&f->file);
    free(f);
    return 0;
}

/* ---- messages: each function returns a new text, and put() uses its second one up ---- */

static void put(sl_text *t, unsigned field, sl_text message)
{
    sl_wire_put_bytes(t, field, message.p ? message.p : "", message.n);
    sl_text_fini(&message);
}

static void put_str(sl_text *t, unsigned field, const char *s)
{
    sl_wire_put_bytes(t, field, s, strlen(s));
}

static sl_text within(unsigned field, sl_text message)
{
    sl_text t = {0};
    put(&t, field, message);
    return t;
}

static sl_text spec(const char *model, const char *signature)
{
    sl_text t = {0};
    put_str(&t, 1, model);
    if (signature != NULL)
        put_str(&t, 3, signature);
    return t;
}

/* float [1] */
static sl_text tensor(float v)
{
    sl_text t = {0}, dim = {0};
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    sl_wire_put_varint(&t, 1, SL_DT_FLOAT);
    sl_wire_put_varint(&dim, 1, 1);
    put(&t, 2, within(2, dim));
    sl_wire_put_fixed32(&t, 5, bits);
    return t;
}

static void put_input(sl_text *request, const char *key, sl_text value)
{
    sl_text entry = {0};
    put_str(&entry, 1, key);
    put(&entry, 2, value);
    put(request, 2, entry);
}

/* A PredictRequest with `a` = 1. */
static sl_text predict(void)
{
    sl_text t = {0};
    put(&t, 1, spec("m", NULL));
    put_input(&t, "a", tensor(1));
    return t;
}

/* An Example as far as its form goes: one field that nobody knows. n: the text's length. */
#define EX(n, text) "\022" n text

/* Input: these Examples, in front of each the context. */
static sl_text input(const char *const *examples, const char *context)
{
    sl_text list = {0};
    for (; *examples != NULL; examples++)
        put_str(&list, 1, *examples);
    if (context != NULL)
        put_str(&list, 2, context);
    return within(context != NULL ? 2 : 1, list);
}

#define EXAMPLES(...) ((const char *const[]){__VA_ARGS__, NULL})

static sl_text example_request(const char *signature, sl_text in)
{
    sl_text t = {0};
    put(&t, 1, spec("m", signature));
    put(&t, 2, in);
    return t;
}

static void put_task(sl_text *request, const char *model, const char *signature, const char *method)
{
    sl_text task = {0};
    put(&task, 1, spec(model, signature));
    put_str(&task, 2, method);
    put(request, 1, task);
}

enum { CLASSIFY = 2, REGRESS = 3, MULTI = 4, PREDICT = 6 };

static void add_bytes(fixture *f, sl_text record)
{
    put_record(&f->file, record.p ? record.p : "", record.n);
    sl_text_fini(&record);
}

static void add(fixture *f, unsigned log, sl_text request)
{
    add_bytes(f, within(log, within(1, request)));
}

static sl_code replay(fixture *f)
{
    f->st = (sl_status){0};
    sl_str file = {f->file.p ? f->file.p : "", f->file.n};
    return sl_warmup_replay_bytes(&f->fake.version, file, "/file", &f->options, &f->records,
                                  &f->st);
}

/* The one record, replayed, fails so; the file is empty afterwards. */
static void assert_fails(fixture *f, sl_code code, const char *text)
{
    assert_int_equal(replay(f), code);
    assert_int_equal(f->st.code, code);
    assert_string_equal(f->st.msg, text);
    assert_null(f->st.more);
    f->file.n = 0;
}

static float value_of(const sl_tensor *t)
{
    float v;
    memcpy(&v, t->data, sizeof v);
    return v;
}

static sl_str string_of(const sl_tensor *t, size_t i)
{
    sl_str s;
    memcpy(&s, (const char *)t->data + i * sizeof s, sizeof s);
    return s;
}

/* ---- predict ---- */

static void a_predict_record_is_run_with_defaults_and_all_outputs(void **state)
{
    fixture *f = *state;
    add(f, PREDICT, predict());
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->records, 1);
    assert_int_equal(f->fake.runs, 1);
    assert_int_equal(f->fake.signature, 2);
    assert_int_equal(f->fake.n_outputs, 2);
    assert_int_equal(f->fake.n_inputs, 2);
    assert_true(value_of(&f->fake.inputs[0]) == 1.0f);
    assert_true(value_of(&f->fake.inputs[1]) == 0.5f);
}

static void only_the_outputs_of_the_filter_are_run(void **state)
{
    fixture *f = *state;
    sl_text t = predict();
    put_str(&t, 3, "z");
    add(f, PREDICT, t);
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.n_outputs, 1);
    assert_int_equal(f->fake.last_output, 1);
}

static void of_two_values_for_a_key_the_last_counts(void **state)
{
    fixture *f = *state;
    sl_text t = {0};
    put_input(&t, "b", tensor(7));
    put_input(&t, "a", tensor(1));
    put_input(&t, "b", tensor(8));
    put_input(&t, "b", tensor(3));
    add(f, PREDICT, t);
    assert_int_equal(replay(f), SL_OK);
    assert_true(value_of(&f->fake.inputs[1]) == 3.0f);
}

static void a_message_in_two_pieces_is_merged(void **state)
{
    fixture *f = *state;
    sl_text first = {0}, second = {0}, log = {0}, record = {0};
    put_input(&first, "a", tensor(1));
    put_input(&second, "b", tensor(2));
    put(&log, 1, first);
    put(&record, PREDICT, log);
    put(&record, PREDICT, within(1, second));
    add_bytes(f, record);
    assert_int_equal(replay(f), SL_OK);
    assert_true(value_of(&f->fake.inputs[0]) == 1.0f);
    assert_true(value_of(&f->fake.inputs[1]) == 2.0f);
}

static void the_last_kind_of_log_counts(void **state)
{
    fixture *f = *state;
    sl_text record = {0};
    put_str(&record, 5, "");
    put(&record, PREDICT, within(1, predict()));
    sl_text in = input(EXAMPLES(EX("\001", "e")), NULL);
    put(&record, REGRESS, within(1, example_request("regress", in)));
    add_bytes(f, record);
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.signature, 1);
}

static void wrong_predict_records_fail_in_the_words_of_grpc(void **state)
{
    fixture *f = *state;
    sl_text t = within(1, spec("m", "none"));
    add(f, PREDICT, t);
    assert_fails(f, SL_FAILED_PRECONDITION, "Serving signature key \"none\" not found.");

    t = predict();
    put_input(&t, "b", tensor(1));
    put_input(&t, "q", tensor(1));
    add(f, PREDICT, t);
    assert_fails(
        f, SL_INVALID_ARGUMENT,
        "input size does not match signature: 3!=2 len({a,b,q}) != len({a,b}). Sent extra: "
        "{q}. Missing but required: {}.");

    t = (sl_text){0};
    put_input(&t, "b", tensor(1));
    add(f, PREDICT, t);
    assert_fails(
        f, SL_INVALID_ARGUMENT,
        "Signature input alias: a(feed name: a:0) not found in request and no default value "
        "provided. Inputs expected to be in the request {b}, or default input alias set: b");

    t = predict();
    put_input(&t, "q", tensor(1));
    add(f, PREDICT, t);
    assert_fails(f, SL_INVALID_ARGUMENT,
                 "Inputs contains invalid name. Used request inputs: a, request input: a,q");

    t = (sl_text){0};
    put_input(&t, "a", within(2, (sl_text){0}));
    add(f, PREDICT, t);
    assert_fails(f, SL_INVALID_ARGUMENT, "tensor parsing error: a");

    t = predict();
    put_str(&t, 3, "w");
    add(f, PREDICT, t);
    assert_fails(f, SL_INVALID_ARGUMENT,
                 "output tensor alias not found in signature: w Outputs expected to be in the set "
                 "{y,z}.");

    t = predict();
    put_str(&t, 3, "y");
    put_str(&t, 3, "y");
    add(f, PREDICT, t);
    assert_fails(f, SL_INVALID_ARGUMENT, "duplicate output tensor alias: y");
    assert_int_equal(f->fake.runs, 0);
}

static void method_names_are_checked_only_if_that_is_wished(void **state)
{
    fixture *f = *state;
    add(f, PREDICT, predict());
    assert_int_equal(replay(f), SL_OK);
    f->options.check_method_name = true;
    assert_fails(f, SL_INTERNAL,
                 "Expected prediction signature method_name to be one of "
                 "{tensorflow/serving/predict, tensorflow/serving/classify, "
                 "tensorflow/serving/regress}. Was: another/method");
}

/* ---- examples ---- */

static void examples_are_fed_as_strings(void **state)
{
    fixture *f = *state;
    sl_text in = input(EXAMPLES(EX("\003", "one"), "", EX("\005", "three")), NULL);
    add(f, CLASSIFY, example_request("classify", in));
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.signature, 0);
    assert_int_equal(f->fake.inputs[0].rank, 1);
    assert_int_equal(f->fake.inputs[0].dims[0], 3);
    assert_true(sl_str_is(string_of(&f->fake.inputs[0], 0), EX("\003", "one")));
    assert_true(sl_str_is(string_of(&f->fake.inputs[0], 1), ""));
    assert_true(sl_str_is(string_of(&f->fake.inputs[0], 2), EX("\005", "three")));
}

static void the_context_stands_in_front_of_each_example(void **state)
{
    fixture *f = *state;
    sl_text in = input(EXAMPLES(EX("\003", "one"), ""), EX("\004", "ctx-"));
    add(f, REGRESS, example_request("regress", in));
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.signature, 1);
    assert_int_equal(f->fake.inputs[0].dims[0], 2);
    assert_true(sl_str_is(string_of(&f->fake.inputs[0], 0), EX("\004", "ctx-") EX("\003", "one")));
    assert_true(sl_str_is(string_of(&f->fake.inputs[0], 1), EX("\004", "ctx-")));
}

static void wrong_example_records_fail(void **state)
{
    fixture *f = *state;
    add(f, CLASSIFY, example_request("none", input(EXAMPLES(EX("\001", "e")), NULL)));
    assert_fails(f, SL_INVALID_ARGUMENT, "No signature was found with the name: none");
    add(f, CLASSIFY, example_request("serving_default", input(EXAMPLES(EX("\001", "e")), NULL)));
    assert_fails(f, SL_INVALID_ARGUMENT, "Expected one input Tensor.");
    add(f, REGRESS, example_request("classify", (sl_text){0}));
    assert_fails(f, SL_INVALID_ARGUMENT, "Expected one output Tensor.");
    add(f, REGRESS, example_request("regress", (sl_text){0}));
    assert_fails(f, SL_INVALID_ARGUMENT, "Input is empty.");
    add(f, REGRESS, example_request("regress", input(EXAMPLES("\012\001"), NULL)));
    assert_int_equal(replay(f), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "Failed to parse warmup record: "));
    f->file.n = 0;
    assert_int_equal(f->fake.runs, 0);
}

static void an_answer_of_the_wrong_shape_fails(void **state)
{
    fixture *f = *state;
    static const sl_tensor_info ints[] = {{.key = "outputs", .dtype = SL_DT_INT32}};
    f->fake.list[1].outputs = ints;
    add(f, REGRESS, example_request("regress", input(EXAMPLES(EX("\001", "e")), NULL)));
    assert_fails(f, SL_INVALID_ARGUMENT, "Expected output Tensor of DT_FLOAT.  Got: DT_INT32");
    assert_int_equal(f->fake.runs, 1);
}

/* ---- several at once ---- */

#define METHOD "tensorflow/serving/"

static sl_text two_tasks(void)
{
    sl_text t = {0};
    put_task(&t, "m", "regress", METHOD "regress");
    put_task(&t, "m", "classify", METHOD "classify");
    put(&t, 2, input(EXAMPLES(EX("\003", "one"), EX("\003", "two")), NULL));
    return t;
}

static void each_task_of_a_multi_inference_record_is_run(void **state)
{
    fixture *f = *state;
    f->options.iterations = 3;
    add(f, MULTI, two_tasks());
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.runs, 6);
    assert_int_equal(f->fake.signature, 0);
    assert_int_equal(f->fake.inputs[0].dims[0], 2);
}

static void a_multi_inference_record_is_one_run_where_the_engine_can_do_that(void **state)
{
    fixture *f = *state;
    f->fake.signatures.has_union = true;
    f->options.iterations = 3;
    add(f, MULTI, two_tasks());
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.runs, 3);
    assert_int_equal(f->fake.signature, 3);
    assert_int_equal(f->fake.n_inputs, 1);
    assert_int_equal(f->fake.n_outputs, 3);
    assert_int_equal(f->fake.inputs[0].dims[0], 2);
}

static void assert_task_fails(fixture *f, const char *model, const char *signature,
                              const char *method, sl_code code, const char *text)
{
    sl_text t = two_tasks();
    put_task(&t, model, signature, method);
    add(f, MULTI, t);
    assert_fails(f, code, text);
}

static void wrong_multi_inference_records_fail(void **state)
{
    fixture *f = *state;
    assert_task_fails(f, "", "x", METHOD "classify", SL_INVALID_ARGUMENT,
                      "Found ModelSpec with an empty model name.");
    assert_task_fails(f, "n", "x", METHOD "classify", SL_INVALID_ARGUMENT,
                      "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    assert_task_fails(f, "m", "regress", METHOD "regress", SL_INVALID_ARGUMENT,
                      "Duplicate evaluation of signature: regress");
    assert_task_fails(f, "m", "x", METHOD "classify", SL_INVALID_ARGUMENT,
                      "Requested signature not found in model graph: x");
    assert_task_fails(f, "m", "serving_default", METHOD "predict", SL_UNIMPLEMENTED,
                      "Unsupported signature method_name: tensorflow/serving/predict");
    assert_task_fails(f, "m", "serving_default", METHOD "regress", SL_INVALID_ARGUMENT,
                      "Expected one input Tensor.");
    sl_text none = {0};
    put(&none, 2, input(EXAMPLES(EX("\001", "e")), NULL));
    add(f, MULTI, none);
    assert_fails(f, SL_INVALID_ARGUMENT, "Must specify at least one target to fetch or execute.");
    assert_int_equal(f->fake.runs, 0);
}

/* ---- the file ---- */

static void each_record_runs_as_often_as_is_wished(void **state)
{
    fixture *f = *state;
    add(f, PREDICT, predict());
    add(f, PREDICT, predict());
    f->options.iterations = 5;
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.runs, 10);
    assert_int_equal(f->records, 2);
    f->options.iterations = -1;
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->fake.runs, 12);
}

static void a_record_without_a_log_is_read_and_skipped(void **state)
{
    fixture *f = *state;
    add_bytes(f, (sl_text){0});
    add_bytes(f, within(1, spec("m", NULL)));
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->records, 2);
    assert_int_equal(f->fake.runs, 0);
}

static void kinds_that_cannot_be_replayed_say_so(void **state)
{
    fixture *f = *state;
    add_bytes(f, within(5, (sl_text){0}));
    assert_fails(f, SL_UNIMPLEMENTED, "Unsupported log_type for warmup: 5");
    add_bytes(f, within(7, (sl_text){0}));
    assert_fails(f, SL_UNIMPLEMENTED, "Unsupported log_type for warmup: 7");
}

static void a_failing_run_ends_the_replay(void **state)
{
    fixture *f = *state;
    add(f, PREDICT, predict());
    add(f, PREDICT, predict());
    f->fake.fail = SL_ABORTED;
    assert_int_equal(replay(f), SL_ABORTED);
    assert_string_equal(f->st.msg, "the model refuses");
    assert_int_equal(f->records, 0);
}

static void a_record_that_is_no_message_is_quoted(void **state)
{
    fixture *f = *state;
    put_record(&f->file, "\x32\x05\n\"ab", 6);
    assert_fails(f, SL_INVALID_ARGUMENT,
                 "Failed to parse warmup record: 2\\005\\012\"ab from /file");
    static const char zeros[100000];
    put_record(&f->file, zeros, sizeof zeros);
    assert_int_equal(replay(f), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "Failed to parse warmup record: \\000\\000"));
    assert_non_null(strstr(f->st.msg, "\\000... from /file"));
}

static void inner_messages_that_are_broken_are_quoted_too(void **state)
{
    fixture *f = *state;
    const unsigned logs[] = {CLASSIFY, REGRESS, MULTI, PREDICT};
    for (size_t i = 0; i < SL_COUNTOF(logs); i++) {
        sl_text broken = {0};
        put_str(&broken, 1, "\x0a\x7f");
        put_str(&broken, 2, "\x0a\x7f");
        add(f, logs[i], broken);
        assert_int_equal(replay(f), SL_INVALID_ARGUMENT);
        assert_non_null(strstr(f->st.msg, "Failed to parse warmup record: "));
        f->file.n = 0;
    }
}

static void damage_behind_intact_records_fails_the_replay(void **state)
{
    fixture *f = *state;
    add(f, PREDICT, predict());
    sl_text_puts(&f->file, "twelve bytes and more");
    size_t at = f->file.n - strlen("twelve bytes and more");
    char text[128];
    snprintf(text, sizeof text,
             "corrupted record at %zu. Please verify your warmup data is in TFRecord format.", at);
    assert_fails(f, SL_DATA_LOSS, text);
    assert_int_equal(f->records, 1);
}

static void the_record_after_a_thousand_is_too_many(void **state)
{
    fixture *f = *state;
    for (int i = 0; i < 1000; i++)
        add(f, PREDICT, predict());
    assert_int_equal(replay(f), SL_OK);
    assert_int_equal(f->records, 1000);
    add(f, PREDICT, predict());
    assert_fails(f, SL_INVALID_ARGUMENT,
                 "Number of warmup records exceeds the maximum (1000) at /file");
}

static void a_small_record_cannot_ask_for_much_memory(void **state)
{
    fixture *f = *state;
    sl_text t = {0}, shape = {0}, dim = {0}, value = {0};
    sl_wire_put_varint(&value, 1, SL_DT_FLOAT);
    sl_wire_put_varint(&dim, 1, 1u << 30);
    put(&shape, 2, dim);
    put(&value, 2, shape);
    put_input(&t, "a", value);
    add(f, PREDICT, t);
    assert_int_equal(replay(f), SL_RESOURCE_EXHAUSTED);

    /* 1 MiB of context in front of each of 10000 examples */
    f->file.n = 0;
    sl_text list = {0}, context = {0};
    for (int i = 0; i < 1 << 18; i++)
        sl_text_puts(&context, EX("\002", "cc"));
    for (int i = 0; i < 10000; i++)
        put_str(&list, 1, "");
    put(&list, 2, context);
    add(f, CLASSIFY, example_request("classify", within(2, list)));
    assert_int_equal(replay(f), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(f->fake.runs, 0);
}

static void any_failing_allocation_is_an_error(void **state)
{
    fixture *f = *state;
    int nth = 1;
    add(f, PREDICT, predict());
    sl_text in = input(EXAMPLES(EX("\003", "one"), EX("\003", "two")), EX("\007", "context"));
    add(f, REGRESS, example_request("regress", in));
    add(f, MULTI, two_tasks());
    assert_int_equal(replay(f), SL_OK); /* makes the cells of the metrics, which end the process */
    for (;; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        sl_code rc = replay(f);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        fake_forget(&f->fake);
        if (rc == SL_OK)
            break;
        assert_int_equal(rc, SL_RESOURCE_EXHAUSTED);
    }
    assert_true(nth > 5);
}

/* ---- the directory ---- */

static void a_directory_without_the_file_is_fine(void **state)
{
    fixture *f = *state;
    assert_int_equal(
        sl_warmup_replay(&f->fake.version, "/nonexistent/1", &f->options, &f->records, &f->st),
        SL_OK);
    assert_int_equal(f->records, -1);
}

static void the_file_is_found_in_assets_extra(void **state)
{
    fixture *f = *state;
    char dir[] = "/tmp/sluice_warmup_XXXXXX", extra[64], path[128];
    assert_non_null(mkdtemp(dir));
    snprintf(extra, sizeof extra, "%s/assets.extra", dir);
    snprintf(path, sizeof path, "%s/tf_serving_warmup_requests", extra);
    assert_int_equal(mkdir(extra, 0700), 0);
    add(f, PREDICT, predict());
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(f->file.p, 1, f->file.n, out), f->file.n);
    fclose(out);
    assert_int_equal(sl_warmup_replay(&f->fake.version, dir, &f->options, &f->records, &f->st),
                     SL_OK);
    assert_int_equal(f->records, 1);
    assert_int_equal(f->fake.runs, 1);
    unlink(path);
    assert_int_equal(mkdir(path, 0700), 0); /* a directory in its place is no file to ignore */
    assert_int_equal(sl_warmup_replay(&f->fake.version, dir, &f->options, &f->records, &f->st),
                     SL_FAILED_PRECONDITION);
    rmdir(path);
    rmdir(extra);
    rmdir(dir);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_predict_record_is_run_with_defaults_and_all_outputs),
        T(only_the_outputs_of_the_filter_are_run),
        T(of_two_values_for_a_key_the_last_counts),
        T(a_message_in_two_pieces_is_merged),
        T(the_last_kind_of_log_counts),
        T(wrong_predict_records_fail_in_the_words_of_grpc),
        T(method_names_are_checked_only_if_that_is_wished),
        T(examples_are_fed_as_strings),
        T(the_context_stands_in_front_of_each_example),
        T(wrong_example_records_fail),
        T(an_answer_of_the_wrong_shape_fails),
        T(each_task_of_a_multi_inference_record_is_run),
        T(a_multi_inference_record_is_one_run_where_the_engine_can_do_that),
        T(wrong_multi_inference_records_fail),
        T(each_record_runs_as_often_as_is_wished),
        T(a_record_without_a_log_is_read_and_skipped),
        T(kinds_that_cannot_be_replayed_say_so),
        T(a_failing_run_ends_the_replay),
        T(a_record_that_is_no_message_is_quoted),
        T(inner_messages_that_are_broken_are_quoted_too),
        T(damage_behind_intact_records_fails_the_replay),
        T(the_record_after_a_thousand_is_too_many),
        T(a_small_record_cannot_ask_for_much_memory),
        T(any_failing_allocation_is_an_error),
        T(a_directory_without_the_file_is_fine),
        T(the_file_is_found_in_assets_extra),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
