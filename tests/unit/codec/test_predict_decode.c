/* test_predict_decode.c - what a good :predict request becomes */
#include <math.h>

#include "predict_fixture.h"

static fixture f;

static void expect(const char *body, const char *shape)
{
    char text[64];
    sl_code rc = decode(&f, body, strlen(body));
    if (rc)
        fail_msg("%s: %s", body, f.st.msg);
    const sl_tensor *t = &f.p.inputs[0];
    assert_string_equal(sl_shape_text(t->dims, t->rank, text, sizeof text), shape);
    assert_int_equal(t->size, (size_t)sl_tensor_count(t) * sl_dtype_size(t->dtype));
}

static int setup(void **state)
{
    (void)state;
    fixture_init(&f, SL_DT_FLOAT);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static void set_dtype(sl_dtype t)
{
    f.one[0].dtype = t;
}

static const float *floats(int i)
{
    return f.p.inputs[i].data;
}

static void rows_and_columns_differ_only_in_the_answer(void **state)
{
    (void)state;
    expect("{\"instances\": [[1.0, 2], [3, 4.5]]}", "[2,2]");
    assert_true(f.p.row_format);
    assert_int_equal(f.p.n_inputs, 1);
    assert_int_equal(f.p.input_index[0], 0);
    assert_true(floats(0)[3] == 4.5f);
    expect("{\"inputs\": [[1.0, 2], [3, 4.5]]}", "[2,2]");
    assert_false(f.p.row_format);
    assert_true(floats(0)[3] == 4.5f);
}

static void shapes_follow_the_lists(void **state)
{
    (void)state;
    expect("{\"inputs\": 4}", "[]");
    expect("{\"inputs\": []}", "[0]");
    expect("{\"inputs\": [[],[]]}", "[2,0]");
    expect("{\"instances\": [[], []]}", "[2,0]");
    expect("{\"instances\": [1]}", "[1]");
    expect(" {\n\"instances\"\t:\r[ [ [ 1 , 2 ] ] , [ [ 3,4 ] ] ] } ", "[2,1,2]");
    expect("{\"inputs\": [[[[[[[[1]]]]]]]]}", "[1,1,1,1,1,1,1,1]");
    expect("{\"instances\": [{\"x\": [1, 2]}, {\"x\": [3, 4]}, {\"x\": [5, 6]}]}", "[3,2]");
    expect("{\"inputs\":\r\n[\n\t[\r1\n,\t2 ] \r,\n[\t\r\n3,4]\t]\n}", "[2,2]");
    expect("{\"inputs\": {\"x\": [3.0], \"unused\": {\"deep\": [[[\"zzz\"]]]}}}", "[1]");
}

static void a_mark_and_garbage_around_the_root_are_ignored(void **state)
{
    (void)state;
    expect("\xEF\xBB\xBF{\"instances\": [1.0]} trailing", "[1]");
}

static void special_floats_and_extremes_are_taken(void **state)
{
    (void)state;
    expect("{\"instances\": [NaN, Infinity, -Infinity, Inf, -Inf, -NaN, 1e40, -1e40, 1e-60, -0, "
           "-0.0]}",
           "[11]");
    const float *v = floats(0);
    assert_true(isnan(v[0]) && isnan(v[5]));
    assert_true(v[1] == INFINITY && v[2] == -INFINITY && v[3] == INFINITY && v[4] == -INFINITY);
    assert_true(v[6] == INFINITY && v[7] == -INFINITY);
    assert_true(v[8] == 0 && v[9] == 0 && !signbit(v[9]) && signbit(v[10]));
}

static void each_integer_dtype_takes_its_range(void **state)
{
    (void)state;
    set_dtype(SL_DT_INT8);
    expect("{\"inputs\": [-128, 127]}", "[2]");
    assert_int_equal(((int8_t *)f.p.inputs[0].data)[0], -128);
    set_dtype(SL_DT_UINT8);
    expect("{\"inputs\": 255}", "[]");
    assert_int_equal(((uint8_t *)f.p.inputs[0].data)[0], 255);
    set_dtype(SL_DT_INT16);
    expect("{\"inputs\": [-32768, 32767]}", "[2]");
    set_dtype(SL_DT_INT32);
    expect("{\"inputs\": [2147483647, -2147483648, -0]}", "[3]");
    assert_int_equal(((int32_t *)f.p.inputs[0].data)[1], INT32_MIN);
    set_dtype(SL_DT_INT64);
    expect("{\"inputs\": [9223372036854775807, -9223372036854775808]}", "[2]");
    assert_true(((int64_t *)f.p.inputs[0].data)[1] == INT64_MIN);
    set_dtype(SL_DT_UINT32);
    expect("{\"inputs\": [4294967295]}", "[1]");
    set_dtype(SL_DT_UINT64);
    expect("{\"instances\": [{\"x\": 18446744073709551615}]}", "[1]");
    assert_true(((uint64_t *)f.p.inputs[0].data)[0] == UINT64_MAX);
    set_dtype(SL_DT_BOOL);
    expect("{\"instances\": [true, false]}", "[2]");
    assert_true(((bool *)f.p.inputs[0].data)[0] && !((bool *)f.p.inputs[0].data)[1]);
    set_dtype(SL_DT_DOUBLE);
    expect("{\"inputs\": [18446744073709551616, 0.1]}", "[2]");
    assert_true(((double *)f.p.inputs[0].data)[1] == 0.1);
    set_dtype((sl_dtype)(SL_DT_REF + SL_DT_FLOAT));
    expect("{\"inputs\": [1]}", "[1]");
    assert_int_equal(f.p.inputs[0].dtype, SL_DT_FLOAT);
}

static void a_value_beyond_its_dtype_is_refused_wherever_it_stands(void **state)
{
    static const struct {
        sl_dtype dtype;
        const char *fits[2], *not [3];
    } cases[] = {
        {SL_DT_INT8, {"-128", "127"}, {"-129", "128", "1.5"}},
        {SL_DT_UINT8, {"0", "255"}, {"-1", "256", "1.5"}},
        {SL_DT_INT16, {"-32768", "32767"}, {"-32769", "32768", "1.5"}},
        {SL_DT_INT32, {"-2147483648", "2147483647"}, {"-2147483649", "2147483648", "1.5"}},
        {SL_DT_UINT32, {"0", "4294967295"}, {"-1", "4294967296", "1.5"}},
        {SL_DT_INT64,
         {"-9223372036854775808", "9223372036854775807"},
         {"-9223372036854775809", "9223372036854775808", "1.5"}},
        {SL_DT_UINT64, {"1", "18446744073709551615"}, {"-1", "18446744073709551616", "1.5"}},
        {SL_DT_FLOAT, {"1", "-1.5"}, {"\"1\"", "true", "null"}},
        {SL_DT_DOUBLE, {"1", "-1.5"}, {"\"1\"", "true", "null"}},
        {SL_DT_BOOL, {"true", "false"}, {"1", "\"true\"", "null"}},
        {SL_DT_STRING, {"\"a\"", "{\"b64\":\"YQ==\"}"}, {"1", "true", "null"}},
    };
    static const char *const places[] = {"{\"inputs\": %s}",
                                         "{\"inputs\": [%s]}",
                                         "{\"inputs\": {\"x\": %s}}",
                                         "{\"instances\": [%s]}",
                                         "{\"instances\": [{\"x\": %s}]}",
                                         "{\"instances\": [{\"x\": [[%s]]}, {\"x\": [[%s]]}]}"};
    char body[200];
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        set_dtype(cases[i].dtype);
        for (size_t at = 0; at < SL_COUNTOF(places); at++) {
            for (int k = 0; k < 2; k++) {
                snprintf(body, sizeof body, places[at], cases[i].fits[k], cases[i].fits[k]);
                if (decode(&f, body, strlen(body)))
                    fail_msg("%s: %s", body, f.st.msg);
            }
            for (int k = 0; k < 3; k++) {
                snprintf(body, sizeof body, places[at], cases[i].not [k], cases[i].not [k]);
                if (decode(&f, body, strlen(body)) != SL_INVALID_ARGUMENT)
                    fail_msg("%s was taken", body);
            }
        }
    }
}

static void expect_strings(const char *body, const char *const *want, size_t n)
{
    const sl_str *s;
    assert_int_equal(decode(&f, body, strlen(body)), SL_OK);
    assert_int_equal(sl_tensor_count(&f.p.inputs[0]), n);
    s = f.p.inputs[0].data;
    for (size_t i = 0; i < n; i++)
        assert_true(sl_str_is(s[i], want[i]));
}

static void strings_lose_their_escapes_and_base64_its_coding(void **state)
{
    (void)state;
    set_dtype(SL_DT_STRING);
    expect_strings("{\"instances\": [\"x\", {\"b64\": \"aGVsbG8=\"}, \"b\\u00e9\\n\"]}",
                   (const char *[]){"x", "hello", "b\xC3\xA9\n"}, 3);
    expect_strings("{\"instances\": [{\"x\": {\"b64\": \"aGVs bG8\"}}]}", (const char *[]){"hello"},
                   1);
    expect_strings("{\"inputs\": {\"b64\": \"aGVsbG8=\"}}", (const char *[]){"hello"}, 1);
    expect_strings("{\"inputs\": {\"x\": {\"b64\": \"aGVsbG8=\"}}}", (const char *[]){"hello"}, 1);
    expect_strings("{\"inputs\": [[{\"b\\u00364\": \"Pz8\\/\"}]]}", (const char *[]){"???"}, 1);
    expect_strings("{\"inputs\":\n[\"a\"\r,\t\n\"b\"\t, \r\"c\"\n]}",
                   (const char *[]){"a", "b", "c"}, 3);
    expect_strings("{\"inputs\": []}", NULL, 0);
    assert_int_equal(decode(&f, "{\"inputs\": \"a\\u0000b\"}", 22), SL_OK);
    assert_memory_equal(((sl_str *)f.p.inputs[0].data)->p, "a\0b", 3);
}

static void objects_give_one_tensor_an_input(void **state)
{
    fixture g;
    const char *body = "{\"instances\": [{\"b\": [[3], [4]], \"a\": 1.5}, {\"\\u0061\": 2, \"b\": "
                       "[[5], [6]], \"a\": \"twice\"}]}";
    (void)state;
    fixture_init(&g, SL_DT_INVALID);
    assert_int_equal(decode(&g, body, strlen(body)), SL_OK);
    assert_int_equal(g.p.n_inputs, 2);
    assert_int_equal(g.p.inputs[0].rank, 1);
    assert_true(((float *)g.p.inputs[0].data)[1] == 2);
    assert_int_equal(g.p.inputs[1].rank, 3);
    assert_int_equal(((int32_t *)g.p.inputs[1].data)[3], 6);
    body = "{\"inputs\": {\"a\": [1, 2], \"b\": 7, \"a\": \"twice\"}}";
    assert_int_equal(decode(&g, body, strlen(body)), SL_OK);
    assert_int_equal(g.p.inputs[0].dims[0], 2);
    assert_int_equal(g.p.inputs[1].rank, 0);
    fixture_fini(&g);
}

static void a_list_that_begins_with_base64_is_that_of_the_first_input(void **state)
{
    fixture g;
    const char *body = "{\"instances\": [{\"b64\": \"YQ==\"}, \"c\"]}";
    (void)state;
    fixture_init(&g, SL_DT_INVALID);
    g.two[0].dtype = SL_DT_STRING;
    assert_int_equal(decode(&g, body, strlen(body)), SL_OK);
    assert_int_equal(g.p.n_inputs, 1);
    assert_int_equal(g.p.input_index[0], 0);
    assert_int_equal(g.p.inputs[0].dims[0], 2);
    assert_true(sl_str_is(((sl_str *)g.p.inputs[0].data)[0], "a"));
    fixture_fini(&g);
}

static void an_empty_list_is_a_tensor_of_a_dtype_that_has_no_json(void **state)
{
    (void)state;
    set_dtype(SL_DT_HALF);
    expect("{\"inputs\": [[], []]}", "[2,0]");
    assert_int_equal(f.p.inputs[0].dtype, SL_DT_HALF);
}

static void the_first_of_equal_keys_counts(void **state)
{
    (void)state;
    expect("{\"inputs\": [1, 2], \"inputs\": \"x\", \"signature_name\": \"serving_default\", "
           "\"signature_name\": 5}",
           "[2]");
}

static void the_name_may_come_behind_the_values(void **state)
{
    const char *body = "{\"instances\": [\"a\", \"b\"], \"signature_name\": \"other\"}";
    (void)state;
    assert_int_equal(decode(&f, body, strlen(body)), SL_OK);
    assert_ptr_equal(f.p.signature, &f.list[1]);
    assert_int_equal(f.p.inputs[0].dtype, SL_DT_STRING);
    assert_int_equal(f.resolved, 2);
    f.list[0].key = "not the default";
    assert_int_equal(decode(&f, body, strlen(body)), SL_OK);
    body = "{\"signature_name\": \"oth\\u0065r\", \"instances\": [\"a\", \"b\"]}";
    assert_int_equal(decode(&f, body, strlen(body)), SL_OK);
    assert_int_equal(f.resolved, 1);
}

static void an_empty_name_means_none(void **state)
{
    (void)state;
    expect("{\"instances\": [1], \"signature_name\": \"\"}", "[1]");
    assert_int_equal(f.resolved, 1);
}

static void many_numbers_of_growing_length_arrive(void **state)
{
    size_t count = 100000;
    sl_text t = {0};
    (void)state;
    sl_text_puts(&t, "{\"instances\": [");
    for (size_t i = 0; i < count; i++) {
        if (i < count / 2) /* long first, so that the guess of the count is too low */
            sl_text_printf(&t, "%.17e,", (double)i);
        else
            sl_text_printf(&t, "%zu%s", i, i + 1 < count ? "," : "]}");
    }
    assert_int_equal(decode(&f, t.p, t.n), SL_OK);
    assert_int_equal(f.p.inputs[0].dims[0], count);
    for (size_t i = 0; i < count; i++)
        assert_true(floats(0)[i] == (float)i);
    sl_text_fini(&t);
}

static void many_strings_and_booleans_arrive(void **state)
{
    enum { COUNT = 5000 };
    char text[16];
    for (int strings = 0; strings < 2; strings++) {
        sl_text t = {0};
        sl_text_puts(&t, "{\"inputs\": [");
        for (int i = 0; i < COUNT; i++)
            if (strings)
                sl_text_printf(&t, "%s\"\\u0061%d\"", i ? "," : "", i);
            else
                sl_text_printf(&t, "%s%s", i ? ", " : "", i % 3 ? "true" : "false");
        sl_text_puts(&t, "]}");
        set_dtype(strings ? SL_DT_STRING : SL_DT_BOOL);
        assert_int_equal(decode(&f, t.p, t.n), SL_OK);
        assert_int_equal(f.p.inputs[0].dims[0], COUNT);
        for (int i = 0; i < COUNT; i++) {
            snprintf(text, sizeof text, "a%d", i);
            if (strings)
                assert_true(sl_str_is(((sl_str *)f.p.inputs[0].data)[i], text));
            else
                assert_int_equal(((bool *)f.p.inputs[0].data)[i], i % 3 != 0);
        }
        sl_text_fini(&t);
    }
    (void)state;
}

static void ignored_values_may_be_nested_two_thousand_deep(void **state)
{
    sl_text t = {0};
    (void)state;
    sl_text_puts(&t, "{\"ignored\": ");
    for (int i = 0; i < 2000; i++)
        sl_text_puts(&t, "[");
    for (int i = 0; i < 2000; i++)
        sl_text_puts(&t, "]");
    sl_text_puts(&t, ", \"instances\": [1]}");
    expect(t.p, "[1]");
    sl_text_fini(&t);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(rows_and_columns_differ_only_in_the_answer),
        T(shapes_follow_the_lists),
        T(a_mark_and_garbage_around_the_root_are_ignored),
        T(special_floats_and_extremes_are_taken),
        T(each_integer_dtype_takes_its_range),
        T(a_value_beyond_its_dtype_is_refused_wherever_it_stands),
        T(strings_lose_their_escapes_and_base64_its_coding),
        T(objects_give_one_tensor_an_input),
        T(a_list_that_begins_with_base64_is_that_of_the_first_input),
        T(an_empty_list_is_a_tensor_of_a_dtype_that_has_no_json),
        T(the_first_of_equal_keys_counts),
        T(the_name_may_come_behind_the_values),
        T(an_empty_name_means_none),
        T(many_numbers_of_growing_length_arrive),
        T(many_strings_and_booleans_arrive),
        T(ignored_values_may_be_nested_two_thousand_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
