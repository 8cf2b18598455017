/*
 * test_shadow.c - copies of requests: run later, compared, counted, never in the way
 *
 * A manager with real routing serves versions whose engine adds its version's number times `step`
 * to what it is fed; Examples count as zeros. Version 1 answers, version 2 is the shadow.
 */
#include "unit/model/fixture.h"

#include "base/fault.h"
#include "base/thread.h"
#include "metrics/metrics.h"
#include "model/traffic.h"
#include "service/shadow.h"

typedef struct world {
    fixture *f;
    sl_service service;
    sl_shadows *shadows;
    sl_arena arena;
    sl_status st;
    char model[32]; /* another one in each test: metrics are for ever */
    sl_predict p;
    sl_tensor input;
    int index;
} world;

/* ---- the engine; what a test sets is guarded by `lock` ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sl_cond moved;
static double step;
static bool pure_, held, unites_;
static sl_code refusal;
static int runs[NUMBERS];

static sl_code engine_run(sl_session *s, sl_run *run, sl_status *st)
{
    int number = (int)(intptr_t)s;
    pthread_mutex_lock(&lock);
    runs[number]++;
    sl_cond_broadcast(&moved);
    while (number == 2 && held)
        sl_cond_wait(&moved, &lock);
    double add = step * number;
    sl_code fail = number == 2 ? refusal : SL_OK;
    pthread_mutex_unlock(&lock);
    if (fail)
        return sl_fail(st, fail, "it refuses");
    const sl_tensor *x = &run->inputs[run->n_inputs - 1]; /* "x" is the last of either version */
    sl_code rc = SL_OK;
    for (int k = 0; k < run->n_outputs && rc == SL_OK; k++) {
        rc = sl_tensor_try_new(SL_DT_FLOAT, x->dims, x->rank, &run->outputs[k], st);
        for (int64_t i = 0; rc == SL_OK && i < sl_tensor_count(x); i++)
            ((float *)run->outputs[k].data)[i] =
                (x->dtype == SL_DT_FLOAT ? ((const float *)x->data)[i] : 0) + (float)add;
    }
    return rc;
}

static bool engine_unites(sl_session *s)
{
    (void)s;
    return unites_;
}

static bool engine_pure(sl_session *s, int signature)
{
    (void)s;
    (void)signature;
    return pure_;
}

static const sl_engine engine = {.abi = SL_ENGINE_ABI,
                                 .name = "fake",
                                 .run = engine_run,
                                 .pure = engine_pure,
                                 .unites = engine_unites};

static const sl_tensor_info only_x[] = {{.key = "x", .name = "x:0", .dtype = SL_DT_FLOAT}};
static const sl_tensor_info a_and_x[] = {{.key = "a", .name = "a:0", .dtype = SL_DT_FLOAT},
                                         {.key = "x", .name = "x:0", .dtype = SL_DT_FLOAT}};
static const sl_tensor_info only_a[] = {{.key = "a", .name = "a:0", .dtype = SL_DT_FLOAT}};
static const sl_tensor_info y[] = {{.key = "y", .name = "y:0", .dtype = SL_DT_FLOAT}};
static float half = 0.5f;
static const sl_tensor defaults[2] = {{.dtype = SL_DT_FLOAT, .size = sizeof half, .data = &half},
                                      {0}};
static const sl_signature list_x[] = {{.key = "serving_default",
                                       .method_name = "m",
                                       .inputs = only_x,
                                       .n_inputs = 1,
                                       .outputs = y,
                                       .n_outputs = 1}};
static const sl_signature list_ax[] = {{.key = "serving_default",
                                        .method_name = "m",
                                        .inputs = a_and_x,
                                        .n_inputs = 2,
                                        .outputs = y,
                                        .n_outputs = 1,
                                        .defaults = defaults}};
static const sl_signature list_a[] = {{.key = "serving_default",
                                       .method_name = "m",
                                       .inputs = only_a,
                                       .n_inputs = 1,
                                       .outputs = y,
                                       .n_outputs = 1}};
static const sl_signatures sig_x = {.list = list_x, .count = 1},
                           sig_ax = {.list = list_ax, .count = 1},
                           sig_a = {.list = list_a, .count = 1};
/* Two that take Examples, and their union. */
static const sl_tensor_info examples[] = {{.key = "inputs", .name = "e:0", .dtype = SL_DT_STRING}},
                            e[] = {{.key = "e:0", .name = "e:0", .dtype = SL_DT_STRING}},
                            left[] = {{.key = "outputs", .name = "l:0", .dtype = SL_DT_FLOAT}},
                            right[] = {{.key = "outputs", .name = "r:0", .dtype = SL_DT_FLOAT}},
                            both[] = {{.key = "l:0", .name = "l:0", .dtype = SL_DT_FLOAT},
                                      {.key = "r:0", .name = "r:0", .dtype = SL_DT_FLOAT}};
#define HEAD(k, in, out, n)                                                                      \
    {                                                                                            \
        .key = k, .method_name = "", .inputs = in, .n_inputs = 1, .outputs = out, .n_outputs = n \
    }
static const sl_signature list_heads[] = {HEAD("left", examples, left, 1),
                                          HEAD("right", examples, right, 1), HEAD("", e, both, 2)};
static const sl_signatures heads = {.list = list_heads, .count = 2, .has_union = true};
static const sl_signatures *candidate_signatures, *answering_signatures;

static sl_code load(void *arg, const sl_model_config *config, sl_version *v, sl_text *why,
                    sl_status *st)
{
    sl_code rc = fake_load(arg, config, v, why, st);
    v->engine = &engine;
    v->session = (sl_session *)(intptr_t)v->number;
    v->signatures = v->number == 2 ? candidate_signatures : answering_signatures;
    return rc;
}

/* ---- the world ---- */

static int setup(void **state)
{
    static int n;
    world *w = calloc(1, sizeof *w);
    void *f;
    if (new_fixture(&f))
        return 1;
    w->f = f;
    w->f->opts.load = load;
    snprintf(w->model, sizeof w->model, "m%d", ++n);
    step = 0;
    pure_ = true;
    held = unites_ = false;
    refusal = SL_OK;
    candidate_signatures = answering_signatures = &sig_x;
    memset(runs, 0, sizeof runs);
    *state = w;
    return sl_arena_init(&w->arena, 0);
}

static int teardown(void **state)
{
    world *w = *state;
    void *f = w->f;
    sl_shadows_free(w->shadows);
    sl_arena_fini(&w->arena);
    free(w);
    return free_fixture(&f);
}

static void serve(world *w, double percent, double rtol, int max_queue)
{
    sl_traffic_config t = {
        .has_shadow = true, .shadow = {NULL, 2}, .shadow_percent = percent, .rtol = rtol};
    static const sl_split_arm first[] = {{{NULL, 1}, 1}};
    t.arms = first;
    t.n_arms = 1;
    make_version(w->f, w->model, "1");
    make_version(w->f, w->model, "2");
    sl_model_config c = {.policy = SL_POLICY_ALL, .traffic = &t};
    assert_int_equal(configure(w->f, w->model, c, &w->st), SL_OK);
    until(w->f, w->model, 1, SL_STATE_AVAILABLE);
    until(w->f, w->model, 2, SL_STATE_AVAILABLE);
    sl_shadows_options o = {.max_queue = max_queue};
    assert_int_equal(sl_shadows_new(&o, &w->shadows, &w->st), SL_OK);
    w->service = (sl_service){.manager = w->f->m, .shadows = w->shadows};
}

static void done(sl_predict *p, sl_code rc)
{
    (void)p;
    assert_int_equal(rc, SL_OK);
}

/* Answers one request with version 1; returns its copy. */
static sl_shadow *answer(world *w)
{
    int64_t dims[] = {2};
    sl_model_spec spec = latest(w->model);
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, 1, &w->input, &w->st), SL_OK);
    ((float *)w->input.data)[0] = 1;
    ((float *)w->input.data)[1] = 2;
    sl_predict_init(&w->p, &w->service, &w->arena, &w->st);
    assert_int_equal(sl_predict_resolve(&w->p, &spec, SL_STR("")), SL_OK);
    w->index = 0;
    assert_int_equal(sl_predict_set_inputs(&w->p, &w->index, &w->input, 1), SL_OK);
    w->p.done = done;
    sl_predict_start(&w->p, SL_RUN_HERE);
    sl_shadow *s = sl_shadow_take(&w->p);
    sl_predict_fini(&w->p);
    sl_tensor_release(&w->input);
    sl_arena_reset(&w->arena); /* the copy needs nothing of the request */
    return s;
}

static void multi_done(sl_multi *m, sl_code rc)
{
    (void)m;
    assert_int_equal(rc, SL_OK);
}

/* The same with a request of two tasks. */
static sl_shadow *answer_both(world *w)
{
    static const sl_str model = SL_STR("m"), regress = SL_STR("tensorflow/serving/regress");
    sl_multi_task tasks[] = {{model, SL_STR("right"), regress}, {model, SL_STR("left"), regress}};
    sl_model_spec spec = latest(w->model);
    sl_multi m;
    assert_int_equal(sl_tensor_try_new_strings((sl_str[]){SL_STR("a"), SL_STR("b")}, (int64_t[]){2},
                                               1, &w->input, &w->st),
                     SL_OK);
    sl_predict_init(&w->p, &w->service, &w->arena, &w->st);
    assert_int_equal(sl_predict_resolve_version(&w->p, &spec), SL_OK);
    if (sl_multi_prepare(&m, &w->p, tasks, 2, &w->input))
        fail_msg("%s", w->st.msg);
    m.done = multi_done;
    sl_multi_start(&m, SL_RUN_HERE);
    sl_shadow *s = sl_shadow_take_multi(&w->p, &m);
    sl_multi_release(&m);
    sl_predict_fini(&w->p);
    sl_tensor_release(&w->input);
    sl_arena_reset(&w->arena);
    return s;
}

/* Waits for the copies that are queued, and reads a counter of the metrics page. */
static int counted(world *w, const char *result)
{
    sl_chain page = {0};
    char wanted[160];
    int n = 0;
    sl_shadows_free(w->shadows);
    w->shadows = NULL;
    sl_metrics_write(&page);
    char *text = calloc(1, page.size + 1);
    sl_chain_copy(&page, text);
    sl_chain_reset(&page);
    snprintf(wanted, sizeof wanted,
             ":sluice:shadow:count{model_name=\"%s\",version=\"2\",result=\"%s\"} ", w->model,
             result);
    const char *at = strstr(text, wanted);
    if (at != NULL)
        n = atoi(at + strlen(wanted));
    free(text);
    return n;
}

static void the_same_answer_is_counted_as_matched(void **state)
{
    world *w = *state;
    serve(w, 100, 0, 0);
    for (int i = 0; i < 3; i++)
        sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "matched"), 3);
    assert_int_equal(runs[2], 3);
}

static void another_answer_is_counted_as_differed_beyond_the_tolerance(void **state)
{
    world *w = *state;
    step = 0.01;
    serve(w, 100, 0.001, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "differed"), 1);
}

static void another_answer_within_the_tolerance_matches(void **state)
{
    world *w = *state;
    step = 0.01;
    serve(w, 100, 0.1, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "matched"), 1);
}

static void a_candidate_that_fails_is_counted(void **state)
{
    world *w = *state;
    refusal = SL_INTERNAL;
    serve(w, 100, 0, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "failed"), 1);
}

static void a_signature_that_may_write_is_not_run(void **state)
{
    world *w = *state;
    pure_ = false;
    serve(w, 100, 0, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "impure"), 1);
    assert_int_equal(runs[2], 0);
}

static void inputs_are_found_by_name_and_defaults_are_filled_in(void **state)
{
    world *w = *state;
    candidate_signatures = &sig_ax;
    serve(w, 100, 0, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "matched"), 1);
}

static void a_candidate_without_the_input_fails(void **state)
{
    world *w = *state;
    candidate_signatures = &sig_a;
    serve(w, 100, 0, 0);
    sl_shadow_start(answer(w));
    assert_int_equal(counted(w, "failed"), 1);
}

static void copies_are_dropped_when_the_queue_is_full(void **state)
{
    world *w = *state;
    serve(w, 100, 0, 2);
    held = true;
    sl_shadow_start(answer(w));
    pthread_mutex_lock(&lock);
    while (runs[2] == 0) /* the thread has it, the queue is empty */
        sl_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < 5; i++)
        sl_shadow_start(answer(w)); /* none of them waits */
    pthread_mutex_lock(&lock);
    held = false;
    sl_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
    assert_int_equal(counted(w, "dropped"), 3);
    assert_int_equal(runs[2], 3);
}

static void a_copy_that_waited_too_long_is_dropped(void **state)
{
    world *w = *state;
    serve(w, 100, 0, 0);
    sl_clock_fake(1000000000);
    held = true;
    sl_shadow_start(answer(w));
    pthread_mutex_lock(&lock);
    while (runs[2] == 0)
        sl_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
    sl_shadow_start(answer(w));
    sl_clock_fake(3000000000);
    pthread_mutex_lock(&lock);
    held = false;
    sl_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
    assert_int_equal(counted(w, "dropped"), 1);
    assert_int_equal(runs[2], 1);
    sl_clock_fake(0);
}

static void without_memory_a_copy_is_dropped_and_the_answer_stands(void **state)
{
    world *w = *state;
    serve(w, 100, 0, 0);
    int64_t dims[] = {1};
    sl_model_spec spec = latest(w->model);
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, 1, &w->input, &w->st), SL_OK);
    sl_predict_init(&w->p, &w->service, &w->arena, &w->st);
    assert_int_equal(sl_predict_resolve(&w->p, &spec, SL_STR("")), SL_OK);
    assert_int_equal(sl_predict_set_inputs(&w->p, &w->index, &w->input, 1), SL_OK);
    w->p.done = done;
    sl_predict_start(&w->p, SL_RUN_HERE);
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_null(sl_shadow_take(&w->p));
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_non_null(w->p.version);
    sl_predict_fini(&w->p);
    sl_tensor_release(&w->input);
    assert_int_equal(counted(w, "dropped"), 1);
}

static void no_copy_is_made_where_none_is_wanted(void **state)
{
    world *w = *state;
    serve(w, 0, 0, 0);
    assert_null(answer(w));
    sl_shadow_start(NULL);
    w->service.shadows = NULL;
    assert_null(answer(w));
    assert_int_equal(counted(w, "matched"), 0);
}

static void a_version_is_unloaded_although_it_was_a_shadow(void **state)
{
    world *w = *state;
    serve(w, 100, 0, 0);
    sl_shadow_start(answer(w));
    static const int64_t one[] = {1};
    sl_model_config c = {.policy = SL_POLICY_SPECIFIC, .versions = one, .n_versions = 1};
    assert_int_equal(configure(w->f, w->model, c, &w->st), SL_OK);
    until(w->f, w->model, 2, SL_STATE_END);
    assert_null(answer(w));
}

static void serve_heads(world *w)
{
    candidate_signatures = answering_signatures = &heads;
    serve(w, 100, 0, 0);
}

static void all_tasks_of_a_multi_inference_are_one_copy(void **state)
{
    world *w = *state;
    serve_heads(w);
    sl_shadow_start(answer_both(w));
    assert_int_equal(counted(w, "matched"), 1);
    assert_int_equal(runs[1], 2);
    assert_int_equal(runs[2], 2);
}

static void a_copy_of_a_multi_inference_is_one_run_where_the_engine_can_do_that(void **state)
{
    world *w = *state;
    unites_ = true;
    serve_heads(w);
    sl_shadow_start(answer_both(w));
    assert_int_equal(counted(w, "matched"), 1);
    assert_int_equal(runs[1], 1);
    assert_int_equal(runs[2], 1);
}

static void one_task_that_differs_or_may_write_is_enough(void **state)
{
    world *w = *state;
    step = 1;
    serve_heads(w);
    sl_shadow_start(answer_both(w));
    assert_int_equal(counted(w, "differed"), 1);
    assert_int_equal(sl_shadows_new(&(sl_shadows_options){0}, &w->shadows, &w->st), SL_OK);
    w->service.shadows = w->shadows;
    pure_ = false;
    sl_shadow_start(answer_both(w));
    assert_int_equal(counted(w, "impure"), 1);
    assert_int_equal(counted(w, "differed"), 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_same_answer_is_counted_as_matched),
        TEST(another_answer_is_counted_as_differed_beyond_the_tolerance),
        TEST(another_answer_within_the_tolerance_matches),
        TEST(a_candidate_that_fails_is_counted),
        TEST(a_signature_that_may_write_is_not_run),
        TEST(inputs_are_found_by_name_and_defaults_are_filled_in),
        TEST(a_candidate_without_the_input_fails),
        TEST(copies_are_dropped_when_the_queue_is_full),
        TEST(a_copy_that_waited_too_long_is_dropped),
        TEST(without_memory_a_copy_is_dropped_and_the_answer_stands),
        TEST(no_copy_is_made_where_none_is_wanted),
        TEST(a_version_is_unloaded_although_it_was_a_shadow),
        TEST(all_tasks_of_a_multi_inference_are_one_copy),
        TEST(a_copy_of_a_multi_inference_is_one_run_where_the_engine_can_do_that),
        TEST(one_task_that_differs_or_may_write_is_enough),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
