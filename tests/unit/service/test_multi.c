/*
 * test_multi.c - several signatures on the same Examples: one run where the engine can do that
 *
 * Signatures, by position: 0 classify (e:0 -> c:0, s:0), 1 other (f:0 -> o:0), 2 score (e:0 ->
 * s:0), 3 sparse (an input without a name); 4 is their union: e:0, f:0 -> c:0, o:0, s:0. The engine
 * answers with one row a string that was fed, each value the number of the tensor in the union.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/mem.h"
#include "service/multi.h"

#define INFO(k, n, t)                   \
    {                                   \
        .key = k, .name = n, .dtype = t \
    }
static const sl_tensor_info e[] = {INFO("inputs", "e:0", SL_DT_STRING)},
                            f[] = {INFO("inputs", "f:0", SL_DT_STRING)},
                            nameless[] = {INFO("inputs", NULL, SL_DT_STRING)},
                            c_s[] = {INFO("classes", "c:0", SL_DT_STRING),
                                     INFO("scores", "s:0", SL_DT_FLOAT)},
                            o[] = {INFO("outputs", "o:0", SL_DT_FLOAT)},
                            s[] = {INFO("scores", "s:0", SL_DT_FLOAT)},
                            all_in[] = {INFO("e:0", "e:0", SL_DT_STRING),
                                        INFO("f:0", "f:0", SL_DT_STRING)},
                            all_out[] = {INFO("c:0", "c:0", SL_DT_STRING),
                                         INFO("o:0", "o:0", SL_DT_FLOAT),
                                         INFO("s:0", "s:0", SL_DT_FLOAT)};
#define SIGNATURE(k, in, out)                                                                  \
    {                                                                                          \
        .key = k, .method_name = "", .inputs = in, .n_inputs = SL_COUNTOF(in), .outputs = out, \
        .n_outputs = SL_COUNTOF(out)                                                           \
    }
static const sl_signature list[] = {SIGNATURE("classify", e, c_s), SIGNATURE("other", f, o),
                                    SIGNATURE("score", e, s), SIGNATURE("sparse", nameless, o),
                                    SIGNATURE("", all_in, all_out)};
static const sl_signatures signatures = {.list = list, .count = 4, .has_union = true};

typedef struct fixture {
    sl_arena arena;
    sl_service service;
    sl_version version;
    sl_status st;
    sl_predict like;
    sl_tensor examples;
    sl_multi m;
    int finished;
    sl_code rc;
} fixture;

static int runs, fed, wanted, last_signature;
static bool unites;
static sl_code refusal;

static sl_code answer(const sl_tensor_info *info, int64_t rows, sl_tensor *out, sl_status *st)
{
    int number = sl_tensor_infos_find(all_out, SL_COUNTOF(all_out), sl_str_of(info->name));
    sl_code rc = sl_tensor_try_new(info->dtype, (int64_t[]){rows, 1}, 2, out, st);
    for (int64_t i = 0; rc == SL_OK && i < rows; i++)
        if (info->dtype == SL_DT_STRING)
            ((sl_str *)out->data)[i] = SL_STR("c");
        else
            ((float *)out->data)[i] = (float)number;
    return rc;
}

static sl_code engine_run(sl_session *session, sl_run *run, sl_status *st)
{
    (void)session;
    runs++;
    fed = run->n_inputs;
    wanted = run->n_outputs;
    last_signature = run->signature;
    if (refusal)
        return sl_fail(st, refusal, "it refuses");
    sl_code rc = SL_OK;
    for (int k = 0; k < run->n_outputs && rc == SL_OK; k++)
        rc = answer(&list[run->signature].outputs[run->output_index[k]], run->inputs[0].dims[0],
                    &run->outputs[k], st);
    return rc;
}

static bool engine_unites(sl_session *session)
{
    (void)session;
    return unites;
}

static const sl_engine engine = {
    .abi = SL_ENGINE_ABI, .name = "fake", .run = engine_run, .unites = engine_unites};

static void done(sl_multi *m, sl_code rc)
{
    fixture *x = m->user;
    x->finished++;
    x->rc = rc;
}

static int setup(void **state)
{
    static fixture x;
    x = (fixture){0};
    runs = 0;
    unites = true;
    refusal = SL_OK;
    x.version =
        (sl_version){.model = "m", .number = 1, .signatures = &signatures, .engine = &engine};
    if (sl_arena_init(&x.arena, 0))
        return 1;
    sl_predict_init(&x.like, &x.service, &x.arena, &x.st);
    x.like.version = &x.version;
    *state = &x;
    return sl_tensor_try_new_strings((const sl_str[]){SL_STR("a"), SL_STR("b")}, (int64_t[]){2}, 1,
                                     &x.examples, &x.st);
}

static int teardown(void **state)
{
    fixture *x = *state;
    sl_multi_release(&x->m);
    sl_tensor_release(&x->examples);
    sl_arena_fini(&x->arena);
    return 0;
}

static sl_multi_task task(const char *signature, const char *method)
{
    return (sl_multi_task){SL_STR("m"), sl_str_of(signature), sl_str_of(method)};
}
#define CLASSIFY(s) task(s, "tensorflow/serving/classify")
#define REGRESS(s) task(s, "tensorflow/serving/regress")

static void ask(fixture *x, const sl_multi_task *tasks, size_t n)
{
    if (sl_multi_prepare(&x->m, &x->like, tasks, n, &x->examples))
        fail_msg("%s", x->st.msg);
    x->m.user = x;
    x->m.done = done;
    sl_multi_start(&x->m, SL_RUN_HERE);
    assert_int_equal(x->finished, 1);
}

static float value(sl_predict *p)
{
    const sl_tensor *classes, *scores;
    if (p->method == SL_METHOD_REGRESS)
        assert_int_equal(sl_predict_regress_result(p, &scores), SL_OK);
    else
        assert_int_equal(sl_predict_classify_result(p, &classes, &scores), SL_OK);
    return ((const float *)scores->data)[1];
}

static void all_tasks_are_one_run_over_the_union_of_their_tensors(void **state)
{
    fixture *x = *state;
    ask(x, (sl_multi_task[]){CLASSIFY("score"), REGRESS("other"), CLASSIFY("classify")}, 3);
    assert_int_equal(x->rc, SL_OK);
    assert_int_equal(runs, 1);
    assert_int_equal(last_signature, 4);
    assert_int_equal(fed, 2);
    assert_int_equal(wanted, 3); /* s:0 once for two of them */
    assert_true(value(&x->m.runs[0]) == 2);
    assert_true(value(&x->m.runs[1]) == 1);
    assert_true(value(&x->m.runs[2]) == 2);
    assert_true(sl_str_is(((sl_str *)x->m.runs[2].run.outputs[0].data)[1], "c"));
}

static void only_what_the_tasks_need_is_fed_and_fetched(void **state)
{
    fixture *x = *state;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), CLASSIFY("score")}, 2);
    assert_int_equal(x->rc, SL_OK);
    assert_int_equal(runs, 1);
    assert_int_equal(fed, 1);
    assert_int_equal(wanted, 2);
}

static void a_single_task_is_its_own_run(void **state)
{
    fixture *x = *state;
    ask(x, (sl_multi_task[]){REGRESS("other")}, 1);
    assert_int_equal(runs, 1);
    assert_int_equal(last_signature, 1);
    assert_true(value(&x->m.runs[0]) == 1);
}

static void an_engine_that_cannot_is_asked_task_by_task(void **state)
{
    fixture *x = *state;
    unites = false;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), REGRESS("other")}, 2);
    assert_int_equal(runs, 2);
    assert_true(value(&x->m.runs[0]) == 2);
    assert_true(value(&x->m.runs[1]) == 1);
}

static void a_tensor_that_is_not_in_the_union_keeps_the_tasks_apart(void **state)
{
    fixture *x = *state;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), REGRESS("sparse")}, 2);
    assert_int_equal(runs, 2);
    assert_true(value(&x->m.runs[1]) == 1);
}

static void what_fails_fails_all_of_them(void **state)
{
    fixture *x = *state;
    refusal = SL_ABORTED;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), REGRESS("other")}, 2);
    assert_int_equal(x->rc, SL_ABORTED);
    assert_string_equal(x->st.msg, "it refuses");
    x->finished = 0;
    unites = false;
    runs = 0;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), REGRESS("other")}, 2);
    assert_int_equal(x->rc, SL_ABORTED);
    assert_int_equal(runs, 1);
}

static void it_may_be_run_again(void **state)
{
    fixture *x = *state;
    ask(x, (sl_multi_task[]){CLASSIFY("classify"), REGRESS("other")}, 2);
    sl_multi_release(&x->m);
    sl_multi_start(&x->m, SL_RUN_HERE);
    assert_int_equal(runs, 2);
    assert_int_equal(x->finished, 2);
    assert_true(value(&x->m.runs[1]) == 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_tasks_are_one_run_over_the_union_of_their_tensors),
        TEST(only_what_the_tasks_need_is_fed_and_fetched),
        TEST(a_single_task_is_its_own_run),
        TEST(an_engine_that_cannot_is_asked_task_by_task),
        TEST(a_tensor_that_is_not_in_the_union_keeps_the_tasks_apart),
        TEST(what_fails_fails_all_of_them),
        TEST(it_may_be_run_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
