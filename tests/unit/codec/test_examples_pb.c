/* test_examples_pb.c - the requests with Examples to string tensors, results to their responses */
#include "codec/examples_pb.h"
#include "pb_fixture.h"
#include "support/faults.h"

static sl_str string_of(const sl_tensor *t, int i)
{
    return ((const sl_str *)t->data)[i];
}

/* ---- requests ---- */

static void requests_are_read_as_protobuf_writes_them(void **state)
{
    fixture *f = *state;
    parts p = parts_open("examples.bin");
    sl_pb_examples in;
    sl_pb_multi multi;
    sl_str wire = part(&p), one = part(&p), two = part(&p);
    for (int shared = 0; shared < 2; shared++) {
        assert_int_equal(
            sl_pb_decode_examples(wire, shared ? p.file : NULL, &f->limits, &f->arena, &in, &f->st),
            SL_OK);
        assert_true(sl_str_is(in.spec.name, "m"));
        assert_true(sl_str_is(in.spec.signature_name, "s"));
        assert_true(in.spec.has_version);
        assert_int_equal(in.spec.version, 3);
        assert_int_equal(in.examples.rank, 1);
        assert_int_equal(in.examples.dims[0], 2);
        assert_true(sl_str_eq(string_of(&in.examples, 0), one));
        assert_true(sl_str_eq(string_of(&in.examples, 1), two));
        assert_int_equal(string_of(&in.examples, 0).p > wire.p &&
                             string_of(&in.examples, 0).p < wire.p + wire.n,
                         shared);
        sl_tensor_release(&in.examples);
    }
    wire = part(&p);
    sl_str joined = part(&p);
    assert_int_equal(sl_pb_decode_examples(wire, p.file, &f->limits, &f->arena, &in, &f->st),
                     SL_OK);
    assert_true(sl_str_is(in.spec.label, "l"));
    assert_int_equal(in.examples.dims[0], 1);
    assert_true(sl_str_eq(string_of(&in.examples, 0), joined));
    sl_tensor_release(&in.examples);

    assert_int_equal(sl_pb_decode_multi(part(&p), p.file, &f->limits, &f->arena, &multi, &f->st),
                     SL_OK);
    assert_int_equal(multi.n_tasks, 2);
    assert_true(sl_str_is(multi.tasks[0].spec.signature_name, "a"));
    assert_true(sl_str_is(multi.tasks[1].method_name, "tensorflow/serving/regress"));
    assert_int_equal(multi.examples.dims[0], 1);
    assert_true(sl_str_eq(string_of(&multi.examples, 0), one));
    sl_tensor_release(&multi.examples);
    parts_close(&p);
}

/* An Example as far as its form goes: one field that nobody knows. */
static sl_text example(const char *text)
{
    sl_text t = {0};
    put_str(&t, 2, text);
    return t;
}

static sl_code read(fixture *f, sl_text *t, sl_pb_examples *out)
{
    char *exact = sl_malloc(t->n);
    if (t->n)
        memcpy(exact, t->p, t->n);
    f->st = (sl_status){0};
    sl_code rc =
        sl_pb_decode_examples((sl_str){exact, t->n}, NULL, &f->limits, &f->arena, out, &f->st);
    sl_free(exact);
    sl_text_fini(t);
    return rc;
}

static sl_text named(sl_text input)
{
    sl_text t = within(1, spec("m", NULL));
    put(&t, 2, input);
    return t;
}

static void lists_in_parts_are_joined(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_text list = within(2, example("no context here")), t;
    put(&list, 1, example("a"));
    t = named(within(1, list));
    put(&t, 2, within(1, within(1, example("b"))));
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 2);
    assert_true(sl_str_is(string_of(&in.examples, 1), "\x12\x01"
                                                      "b"));
    sl_tensor_release(&in.examples);
}

static void of_both_kinds_of_lists_the_last_counts(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_text list = {0}, other = {0};
    put(&list, 1, example("c"));
    put(&list, 2, example("context"));
    put(&other, 1, within(1, example("a")));
    put(&other, 1, within(1, example("b")));
    put(&other, 2, list);
    sl_text t = named(other);
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 1);
    assert_true(sl_str_is(string_of(&in.examples, 0), "\x12\x07"
                                                      "context\x12\x01"
                                                      "c"));
    sl_tensor_release(&in.examples);

    list = within(2, example("context"));
    put(&list, 1, example("gone"));
    other = within(2, list);
    put(&other, 1, within(1, example("a")));
    t = named(other);
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 1);
    assert_true(sl_str_is(string_of(&in.examples, 0), "\x12\x01"
                                                      "a"));
    sl_tensor_release(&in.examples);
}

static void a_context_in_parts_is_joined_and_the_one_of_a_dropped_list_is_not(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_text input = within(2, within(2, example("dropped")));
    put(&input, 1, within(1, example("dropped")));
    sl_text list = within(2, example("x"));
    put(&list, 1, example("a"));
    put(&input, 2, list);
    put(&input, 2, within(2, example("y")));
    sl_text t = named(input);
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 1);
    assert_true(sl_str_is(string_of(&in.examples, 0), "\x12\x01x\x12\x01y\x12\x01"
                                                      "a"));
    sl_tensor_release(&in.examples);
}

static void no_examples_are_an_empty_tensor(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_text t = within(1, spec("m", NULL));
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 0);
    sl_tensor_release(&in.examples);
    t = named(within(2, within(2, example("context"))));
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 0);
    sl_tensor_release(&in.examples);
}

static void refuses(fixture *f, sl_text *t, sl_code code, const char *text)
{
    sl_pb_examples in;
    assert_int_equal(read(f, t, &in), code);
    assert_string_equal(f->st.msg, text);
    assert_null(in.examples.buffer);
}

static void malformed_requests_are_refused(void **state)
{
    fixture *f = *state;
    sl_text t = {0};
    refuses(f, &t, SL_INVALID_ARGUMENT, "Missing ModelSpec");
    t = within(1, (sl_text){0});
    refuses(f, &t, SL_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    /* an Example that is cut; a feature's name that is not UTF-8; a list that ends in a number */
    static const char *const bad[] = {"\x0a\x05", "\x0a\x05\x0a\x03\x0a\x01\xff",
                                      "\x0a\x09\x0a\x07\x12\x05\x1a\x03\x0a\x01\x80",
                                      "\x0a\x09\x0a\x07\x12\x05\x12\x03\x0a\x01\x11"};
    for (size_t i = 0; i < SL_COUNTOF(bad); i++) {
        sl_text one = {0};
        sl_text_puts(&one, bad[i]);
        t = named(within(1, within(1, one)));
        refuses(f, &t, SL_INTERNAL, "");
    }
}

static void an_empty_example_is_its_context(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_text list = within(1, (sl_text){0});
    put(&list, 2, example("x"));
    sl_text t = named(within(2, list));
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_int_equal(in.examples.dims[0], 1);
    assert_true(sl_str_is(string_of(&in.examples, 0), "\x12\x01x"));
    sl_tensor_release(&in.examples);
}

static void where_the_model_is_known_the_spec_may_be_missing(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    sl_pb_multi multi;
    f->limits.spec_optional = true;
    sl_text t = {0};
    assert_int_equal(read(f, &t, &in), SL_OK);
    assert_false(in.spec.present);
    sl_tensor_release(&in.examples);
    assert_int_equal(sl_pb_decode_multi(SL_STR(""), NULL, &f->limits, &f->arena, &multi, &f->st),
                     SL_OK);
    assert_int_equal(multi.n_tasks, 0);
    sl_tensor_release(&multi.examples);
}

static void a_context_cannot_ask_for_gigabytes(void **state)
{
    fixture *f = *state;
    sl_pb_examples in;
    f->limits.max_expanded_bytes = 1000;
    sl_text list = within(2, example("0123456789"));
    for (int i = 0; i < 1000; i++)
        put(&list, 1, (sl_text){0});
    sl_text t = named(within(2, list));
    assert_int_equal(read(f, &t, &in), SL_RESOURCE_EXHAUSTED);
}

static void the_first_task_names_the_model(void **state)
{
    fixture *f = *state;
    sl_pb_multi in;
    assert_int_equal(sl_pb_decode_multi(SL_STR(""), NULL, &f->limits, &f->arena, &in, &f->st),
                     SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "ModelSpec has no name specified.");
    assert_int_equal(
        sl_pb_decode_multi(SL_STR("\x0a\x02\x12\x00"), NULL, &f->limits, &f->arena, &in, &f->st),
        SL_INVALID_ARGUMENT);
    assert_int_equal(sl_pb_decode_multi(SL_STR("\x0a\x0b\x1a\1x\x12\1y\x0a\3\x0a\1m"), NULL,
                                        &f->limits, &f->arena, &in, &f->st),
                     SL_OK);
    assert_true(sl_str_is(in.tasks[0].spec.name, "m") && sl_str_is(in.tasks[0].method_name, "y"));
    sl_tensor_release(&in.examples);
    assert_int_equal(
        sl_pb_decode_multi(SL_STR("\x0a\x02\x12\x05"), NULL, &f->limits, &f->arena, &in, &f->st),
        SL_INTERNAL);
}

/* ---- responses ---- */

static void responses_are_written_as_protobuf_does(void **state)
{
    fixture *f = *state;
    parts p = parts_open("answers.bin");
    static const sl_str labels[] = {{"a", 1}, {"b", 1}, {"", 0}, {"d", 1}};
    float scores[] = {0.5f, 0, -0.0f, 3}, values[] = {1.5f, 0, -2};
    sl_tensor c = {.dtype = SL_DT_STRING, .rank = 2, .dims = {2, 2}, .data = (void *)labels};
    sl_tensor s = {.dtype = SL_DT_FLOAT, .rank = 2, .dims = {2, 2}, .data = scores};
    sl_tensor v = {.dtype = SL_DT_FLOAT, .rank = 1, .dims = {3}, .data = values};
    const sl_pb_used used = {SL_STR("m"), 0, SL_STR("s")};
    const sl_pb_result results[] = {{.used = used, .classes = &c, .scores = &s},
                                    {.used = used, .classes = &c},
                                    {.used = used, .scores = &s},
                                    {.used = used, .values = &v}};
    sl_chain out = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_pb_encode_classify(&results[i], &out, &f->st), SL_OK);
        assert_chain_is(&out, part(&p));
    }
    assert_int_equal(sl_pb_encode_regress(&results[3], &out, &f->st), SL_OK);
    assert_chain_is(&out, part(&p));
    const sl_pb_result two[] = {results[0], results[3]};
    assert_int_equal(sl_pb_encode_multi(two, 2, &out, &f->st), SL_OK);
    assert_chain_is(&out, part(&p));
    parts_close(&p);
}

static void responses_have_less_than_two_gib(void **state)
{
    fixture *f = *state;
    static const struct {
        int64_t rows, classes;
        size_t lengths[2]; /* of labels of which nobody reads a byte */
        size_t name;       /* the model's */
    } cases[] = {
        {1, 1, {INT32_MAX}, 1},
        {1, 2, {INT32_MAX, INT32_MAX}, 1},
        {2, 1, {INT32_MAX, INT32_MAX}, 1},
        {1, 2, {1 << 30, 1 << 30}, 1},
        {1, 2, {1 << 30, 1 << 20}, (1 << 30) - (1 << 20)}, /* by its spec */
    };
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        const sl_str labels[] = {{"", cases[i].lengths[0]}, {"", cases[i].lengths[1]}};
        const sl_tensor c = {.dtype = SL_DT_STRING,
                             .rank = 2,
                             .dims = {cases[i].rows, cases[i].classes},
                             .data = (void *)labels};
        const sl_pb_result r = {.used = {{"", cases[i].name}, 1, {"", 0}}, .classes = &c};
        sl_chain out = {0};
        assert_int_equal(sl_pb_encode_classify(&r, &out, &f->st), SL_RESOURCE_EXHAUSTED);
        assert_int_equal(sl_pb_encode_multi(&r, 1, &out, &f->st), SL_RESOURCE_EXHAUSTED);
        assert_int_equal(out.size, 0);
    }
}

typedef struct attempt {
    fixture *f;
    sl_str wire;
} attempt;

static sl_code decode_once(void *arg, sl_status *st)
{
    attempt *a = arg;
    sl_pb_examples in;
    sl_arena_reset(&a->f->arena);
    a->f->arena.at = a->f->arena.end; /* what the arena has is used up */
    sl_code rc = sl_pb_decode_examples(a->wire, NULL, &a->f->limits, &a->f->arena, &in, st);
    sl_tensor_release(&in.examples);
    return rc;
}

static void any_failing_allocation_is_an_error(void **state)
{
    fixture *f = *state;
    sl_text list = within(2, example("x"));
    put(&list, 1, example("a"));
    put(&list, 2, example("y"));
    sl_text t = named(within(2, list));
    attempt a = {f, {t.p, t.n}};
    assert_in_range(fail_each_allocation(decode_once, &a), 2, 100);
    sl_text_fini(&t);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(requests_are_read_as_protobuf_writes_them),
        T(lists_in_parts_are_joined),
        T(of_both_kinds_of_lists_the_last_counts),
        T(a_context_in_parts_is_joined_and_the_one_of_a_dropped_list_is_not),
        T(no_examples_are_an_empty_tensor),
        T(malformed_requests_are_refused),
        T(an_empty_example_is_its_context),
        T(where_the_model_is_known_the_spec_may_be_missing),
        T(a_context_cannot_ask_for_gigabytes),
        T(the_first_task_names_the_model),
        T(responses_are_written_as_protobuf_does),
        T(responses_have_less_than_two_gib),
        T(any_failing_allocation_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
