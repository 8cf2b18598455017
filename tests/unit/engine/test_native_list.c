/* test_native_list.c - TensorLists: what loops collect, op by op, and who owns it */
#include "native_model.h"

#include "base/mem.h"
#include "engine/native/list.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

/* The output of that name; the others are given up. */
static sl_tensor pick(const model *m, const char *key, const char *name, sl_tensor *out)
{
    const sl_signature *s = &m->sigs->list[signature(m, key)];
    sl_tensor found = {0};
    for (int i = 0; i < s->n_outputs; i++)
        if (strcmp(s->outputs[i].key, name) == 0)
            sl_tensor_share(&out[i], &found);
    assert_int_not_equal(found.dtype, SL_DT_INVALID);
    return found;
}

static void release(sl_tensor *t, int n)
{
    for (int i = 0; i < n; i++)
        sl_tensor_release(&t[i]);
}

static void a_loop_reads_from_a_list_and_writes_another(void **state)
{
    (void)state;
    model m;
    float x[] = {0, 1, 2, 3, 4, 5};
    load(&m, "lists");
    for (int again = 0; again < 2; again++) {
        sl_tensor out, in = floats(x, 2, DIMS(2, 3));
        if (run_all(&m, "sums", &in, 1, &out))
            fail_msg("%s", m.st.msg);
        assert_floats(&out, (float[]){0, 1, 3, 3, 7, 12}, 6);
        release(&out, 1);
        release(&in, 1);
    }
    sl_tensor out, in = floats(x, 2, DIMS(0, 3));
    assert_int_equal(run_all(&m, "sums", &in, 1, &out), SL_OK);
    assert_int_equal(out.dims[0], 0);
    assert_int_equal(out.dims[1], 3);
    release(&out, 1);
    release(&in, 1);
    unload(&m);
}

static void strings_of_a_list_outlive_the_turn_that_made_them(void **state)
{
    (void)state;
    model m;
    sl_tensor in, out;
    sl_str words[] = {SL_STR("a"), SL_STR("a word that is not short at all")};
    load(&m, "lists");
    assert_int_equal(sl_tensor_try_new_strings(words, DIMS(2), 1, &in, NULL), SL_OK);
    if (run_all(&m, "words", &in, 1, &out))
        fail_msg("%s", m.st.msg);
    unload(&m);
    assert_int_equal(sl_tensor_count(&out), 2);
    assert_true(sl_str_is(((const sl_str *)out.data)[0], "A!"));
    assert_true(sl_str_is(((const sl_str *)out.data)[1], "A WORD THAT IS NOT SHORT AT ALL!"));
    release(&out, 1);
    release(&in, 1);
}

static void a_list_grows_in_a_branch_of_a_loop(void **state)
{
    (void)state;
    model m;
    sl_tensor out, in = make(SL_DT_INT32, (int32_t[]){1, -2, 3}, 1, DIMS(3));
    load(&m, "lists");
    if (run_all(&m, "grown", &in, 1, &out))
        fail_msg("%s", m.st.msg);
    assert_int_equal(sl_tensor_count(&out), 2);
    assert_int_equal(((const int32_t *)out.data)[0], 1);
    assert_int_equal(((const int32_t *)out.data)[1], 3);
    release(&out, 1);
    release(&in, 1);
    unload(&m);
}

static void a_list_stays_what_it_was_when_another_is_made_of_it(void **state)
{
    (void)state;
    model m;
    sl_tensor out, in = floats((float[]){1, 2, 3}, 1, DIMS(3));
    load(&m, "lists");
    if (run_all(&m, "values", &in, 1, &out))
        fail_msg("%s", m.st.msg);
    assert_floats(&out, (float[]){0, 0, 0, 1, 0, 0, 1, 2, 0, 1, 3, 0, 3, 0, 0}, 15);
    release(&out, 1);
    release(&in, 1);
    unload(&m);
}

static void assert_part(const model *m, sl_tensor *out, const char *name, const float *wanted)
{
    sl_tensor t = pick(m, "parts", name, out);
    assert_floats(&t, wanted, 6);
    release(&t, 1);
}

/* Inputs by name: at, x. */
static void items_are_pushed_popped_scattered_gathered_split_and_joined(void **state)
{
    (void)state;
    model m;
    sl_tensor out[16], in[] = {make(SL_DT_INT32, (int32_t[]){0, 2, 1}, 1, DIMS(3)),
                               floats((float[]){0, 1, 2, 3, 4, 5}, 2, DIMS(3, 2))};
    load(&m, "lists");
    if (run_all(&m, "parts", in, 2, out))
        fail_msg("%s", m.st.msg);
    assert_part(&m, out, "more", (float[]){0, 1, 2, 3, 40, 50});
    assert_part(&m, out, "again", (float[]){0, 1, 2, 3, 400, 500});
    assert_part(&m, out, "scattered", (float[]){0, 1, 4, 5, 2, 3});
    assert_part(&m, out, "gathered", (float[]){0, 1, 4, 5, 2, 3});
    assert_part(&m, out, "into", (float[]){0, 7, 2, 3, 4, 5});
    assert_part(&m, out, "joined", (float[]){0, 1, 2, 3, 4, 5});
    sl_tensor n = pick(&m, "parts", "n", out), shape = pick(&m, "parts", "shape", out);
    assert_int_equal(*(const int32_t *)n.data, 9);
    assert_int_equal(((const int32_t *)shape.data)[0], -1);
    assert_int_equal(((const int32_t *)shape.data)[1], 2);
    release(&n, 1);
    release(&shape, 1);
    release(out, m.sigs->list[signature(&m, "parts")].n_outputs);
    release(in, 2);
    unload(&m);
}

static void refused(const char *key, const sl_tensor *in, int n_in, const char *text)
{
    model m;
    sl_tensor out[16];
    load(&m, "lists");
    assert_int_equal(run_all(&m, key, in, n_in, out), SL_INVALID_ARGUMENT);
    if (strstr(m.st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, m.st.msg);
    unload(&m);
}

static void what_does_not_fit_is_refused_in_tensorflows_words(void **state)
{
    (void)state;
    sl_tensor in[] = {make(SL_DT_INT32, (int32_t[]){2, 0, 4}, 1, DIMS(3)),
                      floats((float[]){0, 1, 2, 3, 4, 5}, 2, DIMS(3, 2))};
    refused("parts", in, 2, "Index 4 out o range; list only has 3 elements.\n");
    in[0].dims[0] = 2;
    in[0].size = 8;
    refused("parts", in, 2, "Invalid number of rows in input tensor. Expected: 2 Actual: 3\n");
    release(in, 2);
    in[0] = make(SL_DT_INT32, (int32_t[]){2}, 0, NULL);
    in[1] = floats((float[]){1, 2}, 1, DIMS(2));
    refused("one", in, 2, "Trying to modify element 2 in a list with 2 elements.\n");
    *(int32_t *)in[0].data = -1;
    refused("one", in, 2, "Trying to modify element -1 in a list with 2 elements.\n");
    release(in, 2);
}

static void an_item_that_was_never_set_is_zeros_like_the_others(void **state)
{
    (void)state;
    model m;
    sl_tensor out[2],
        in[] = {make(SL_DT_INT32, (int32_t[]){0}, 0, NULL), floats((float[]){1, 2}, 1, DIMS(2))};
    load(&m, "lists");
    if (run_all(&m, "one", in, 2, out))
        fail_msg("%s", m.st.msg);
    assert_floats(&out[0], (float[]){0, 0}, 2);
    assert_floats(&out[1], (float[]){1, 2, 0, 0}, 4);
    release(out, 2);
    release(in, 2);
    unload(&m);
}

/* ---- the structure itself ---- */

static const sl_partial any = {.rank = -1};

static sl_tensor number(float x)
{
    return floats(&x, 0, NULL);
}

static void writing_one_after_the_other_copies_nothing(void **state)
{
    (void)state;
    sl_list *l = sl_list_try_new(SL_DT_FLOAT, &any, 3, 0);
    struct sl_list_store *first = l->store;
    for (int i = 0; i < 3; i++) {
        sl_tensor x = number((float)i);
        sl_list *next = sl_list_put(sl_list_resized(l, 3, 0), i, &x, 0);
        assert_ptr_equal(next->store, first);
        assert_null(sl_list_item(l, i));
        assert_true(*(const float *)sl_list_item(next, i)->data == (float)i);
        sl_buffer_release(&l->buffer);
        l = next;
    }
    sl_tensor x = number(7);
    sl_list *other = sl_list_put(sl_list_resized(l, 3, 0), 1, &x, 0);
    assert_ptr_not_equal(other->store, first);
    assert_true(*(const float *)sl_list_item(l, 1)->data == 1);
    assert_true(*(const float *)sl_list_item(other, 1)->data == 7);
    assert_ptr_equal(sl_list_item(other, 2)->data, sl_list_item(l, 2)->data);
    sl_buffer_release(&other->buffer);
    sl_buffer_release(&l->buffer);
}

static void a_list_is_no_larger_than_a_run_may_be(void **state)
{
    (void)state;
    assert_null(sl_list_try_new(SL_DT_FLOAT, &any, INT64_C(1) << 40, 0));
    assert_null(sl_list_try_new(SL_DT_FLOAT, &any, 1 << 20, 1 << 20));
    assert_null(sl_list_try_new(SL_DT_FLOAT, &any, -1, 0));
    sl_list *l = sl_list_try_new(SL_DT_FLOAT, &any, 1, 4096);
    float many[2000] = {0};
    sl_tensor x = floats(many, 1, DIMS(2000));
    assert_null(sl_list_put(l, 0, &x, 4096));
    assert_null(x.buffer);
}

static void what_is_no_list_is_not_taken_for_one(void **state)
{
    (void)state;
    sl_tensor x = make(SL_DT_INT64, (int64_t[]){12345}, 0, NULL);
    assert_null(sl_list_of(&x));
    release(&x, 1);
}

static void lists_in_lists_are_given_back_however_deep(void **state)
{
    (void)state;
    sl_partial shape = {0};
    sl_list *l = sl_list_try_new(SL_DT_VARIANT, &shape, 1, 0);
    for (int i = 0; i < 300000; i++) {
        sl_tensor item = {
            .dtype = SL_DT_VARIANT, .size = sizeof l->self, .data = &l->self, .buffer = &l->buffer};
        l = sl_list_put(sl_list_try_new(SL_DT_VARIANT, &shape, 1, 0), 0, &item, 0);
        assert_non_null(l);
    }
    sl_buffer_release(&l->buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_loop_reads_from_a_list_and_writes_another),
        cmocka_unit_test(strings_of_a_list_outlive_the_turn_that_made_them),
        cmocka_unit_test(a_list_grows_in_a_branch_of_a_loop),
        cmocka_unit_test(a_list_stays_what_it_was_when_another_is_made_of_it),
        cmocka_unit_test(items_are_pushed_popped_scattered_gathered_split_and_joined),
        cmocka_unit_test(what_does_not_fit_is_refused_in_tensorflows_words),
        cmocka_unit_test(an_item_that_was_never_set_is_zeros_like_the_others),
        cmocka_unit_test(writing_one_after_the_other_copies_nothing),
        cmocka_unit_test(a_list_is_no_larger_than_a_run_may_be),
        cmocka_unit_test(what_is_no_list_is_not_taken_for_one),
        cmocka_unit_test(lists_in_lists_are_given_back_however_deep),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
