/* Versions that are loaded when they are asked for, and a budget that not all of them fit into. */
#include "fixture.h"

#include <sched.h>

#include "base/arena.h"
#include "base/thread.h"

static sl_status st;

/* A request that waits. */
typedef struct request {
    sl_awaited a;
    pthread_mutex_t lock;
    sl_cond told_once;
    int told;
} request;

static void ready(sl_awaited *a)
{
    request *r = (request *)a;
    pthread_mutex_lock(&r->lock);
    r->told++;
    sl_cond_signal(&r->told_once);
    pthread_mutex_unlock(&r->lock);
}

static void let_go(fixture *f, request *r)
{
    if (r->a.held != NULL)
        sl_manager_release(f->m, r->a.held);
    r->a.held = NULL;
}

static bool ask(fixture *f, request *r, sl_model_spec spec, uint64_t deadline)
{
    *r = (request){.a = {.ready = ready, .deadline_ns = deadline}};
    pthread_mutex_init(&r->lock, NULL);
    sl_cond_init(&r->told_once);
    bool waits = sl_manager_await(f->m, &spec, &r->a);
    if (!waits)
        let_go(f, r);
    return waits;
}

static sl_code word(request *r)
{
    pthread_mutex_lock(&r->lock);
    while (r->told == 0)
        sl_cond_wait(&r->told_once, &r->lock);
    assert_int_equal(r->told, 1);
    pthread_mutex_unlock(&r->lock);
    return r->a.code;
}

static sl_code answer(fixture *f, request *r)
{
    sl_code rc = word(r);
    let_go(f, r);
    return rc;
}

static void start_lazy(fixture *f)
{
    make_version(f, "m", "1");
    assert_int_equal(configure(f, "m", (sl_model_config){.load = SL_LOAD_ON_DEMAND}, &st), SL_OK);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK); /* it does not hold up the start */
}

/* Models a, b, c ... with version 1, 2, 3 ... each, all on demand. */
static void start_several(fixture *f, int count)
{
    char name[2] = "a", version[8], paths[8][128];
    sl_model_config c[8];
    for (int i = 0; i < count; i++, name[0]++) {
        snprintf(version, sizeof version, "%d", i + 1);
        make_version(f, name, version);
        snprintf(paths[i], sizeof paths[i], "%s/%s", f->dir, name);
        static const char *const names[] = {"a", "b", "c", "d"};
        c[i] =
            (sl_model_config){.name = names[i], .base_path = paths[i], .load = SL_LOAD_ON_DEMAND};
    }
    start(f);
    assert_int_equal(sl_manager_configure(f->m, c, count, &st), SL_OK);
    sl_manager_look(f->m);
}

static void version_on_demand_is_loaded_by_its_first_request(void **state)
{
    fixture *f = *state;
    request r;
    start_lazy(f);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_START);
    assert_int_equal(answers(f, latest("m")), -SL_UNAVAILABLE);
    assert_int_equal(count_of(f, &f->started[1]), 0); /* acquire alone asks for nothing */
    assert_true(ask(f, &r, latest("m"), 0));
    assert_int_equal(answer(f, &r), SL_OK);
    assert_int_equal(answers(f, latest("m")), 1);
    assert_false(ask(f, &r, latest("m"), 0)); /* it is there */
    assert_false(ask(f, &r, specific("m", 7), 0));
    assert_false(ask(f, &r, latest("other"), 0));
    assert_int_equal(r.a.code, SL_OK);
}

static void everybody_who_waits_is_told_and_it_is_loaded_once(void **state)
{
    fixture *f = *state;
    request r[5];
    start_lazy(f);
    hold(f, 1, true);
    for (int i = 0; i < 5; i++)
        assert_true(ask(f, &r[i], i % 2 ? latest("m") : specific("m", 1), 0));
    until_started(f, 1, 1);
    hold(f, 1, false);
    for (int i = 0; i < 5; i++)
        assert_int_equal(answer(f, &r[i]), SL_OK);
    assert_int_equal(count_of(f, &f->started[1]), 1);
}

static void who_waits_too_long_is_told_so_and_the_load_goes_on(void **state)
{
    fixture *f = *state;
    request r;
    sl_clock_fake(1000000000);
    start_lazy(f);
    hold(f, 1, true);
    assert_true(ask(f, &r, latest("m"), 2000000000));
    until_started(f, 1, 1);
    sl_clock_fake(2000000000);
    pthread_mutex_lock(&f->m->lock);
    sl_cond_broadcast(&f->m->timer_work);
    pthread_mutex_unlock(&f->m->lock);
    assert_int_equal(answer(f, &r), SL_UNAVAILABLE);
    hold(f, 1, false);
    until(f, "m", 1, SL_STATE_AVAILABLE);
}

static void load_that_fails_is_told_and_not_tried_again_by_every_request(void **state)
{
    fixture *f = *state;
    request r;
    sl_clock_fake(1000000000);
    outcome(f, 1, SL_DATA_LOSS);
    start_lazy(f);
    assert_true(ask(f, &r, latest("m"), 0));
    assert_int_equal(answer(f, &r), SL_DATA_LOSS);
    assert_string_equal(r.a.message, "version 1 is broken");
    until(f, "m", 1, SL_STATE_END);
    assert_false(ask(f, &r, latest("m"), 0));
    assert_int_equal(r.a.code, SL_DATA_LOSS);
    assert_int_equal(count_of(f, &f->started[1]), 1);
    outcome(f, 1, SL_OK);
    sl_clock_fake(1000000000 + 125000000); /* an eighth of the interval later */
    assert_true(ask(f, &r, latest("m"), 0));
    assert_int_equal(answer(f, &r), SL_OK);
}

static void new_version_of_one_in_use_is_loaded_without_being_asked_for(void **state)
{
    fixture *f = *state;
    request r;
    start_lazy(f);
    ask(f, &r, latest("m"), 0);
    answer(f, &r);
    make_version(f, "m", "2");
    hold(f, 2, true);
    sl_manager_look(f->m);
    until_started(f, 2, 1);
    assert_false(ask(f, &r, latest("m"), 0)); /* nobody waits for it: version 1 serves */
    assert_int_equal(answers(f, latest("m")), 1);
    hold(f, 2, false);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 2);
}

static void label_may_mean_a_version_on_demand(void **state)
{
    fixture *f = *state;
    request r;
    const sl_label label = {"stable", 1};
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){.load = SL_LOAD_ON_DEMAND, .labels = &label, .n_labels = 1},
              &st);
    assert_true(ask(f, &r, labelled("m", "stable"), 0));
    assert_int_equal(answer(f, &r), SL_OK);
    assert_int_equal(answers(f, labelled("m", "stable")), 1);
}

static void model_that_turns_eager_is_loaded(void **state)
{
    fixture *f = *state;
    start_lazy(f);
    configure(f, "m", (sl_model_config){0}, &st);
    until(f, "m", 1, SL_STATE_AVAILABLE);
}

static void who_waits_for_a_model_that_is_removed_is_told(void **state)
{
    fixture *f = *state;
    request r;
    start_lazy(f);
    hold(f, 1, true);
    ask(f, &r, latest("m"), 0);
    sl_manager_configure(f->m, NULL, 0, &st);
    assert_int_equal(answer(f, &r), SL_UNAVAILABLE);
    hold(f, 1, false);
}

static void who_waits_when_the_server_ends_is_told(void **state)
{
    fixture *f = *state;
    request r;
    start_lazy(f);
    hold(f, 1, true);
    ask(f, &r, latest("m"), 0);
    sl_manager_stop_waiting(f->m);
    assert_int_equal(answer(f, &r), SL_UNAVAILABLE);
    assert_false(ask(f, &r, latest("m"), 0));
    hold(f, 1, false);
}

/* ---- the budget ---- */

static void load_that_does_not_fit_is_refused_with_numbers(void **state)
{
    fixture *f = *state;
    f->opts.memory_budget = 10 << 20;
    f->needs[1] = 8 << 20;
    f->needs[2] = 3 << 20;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 1);
    pthread_mutex_lock(&f->m->lock);
    const sl_managed *v = managed(f, "m", 2);
    assert_int_equal(v->code, SL_RESOURCE_EXHAUSTED);
    assert_string_equal(
        v->message, "Insufficient resources to load servable {name: m version: 2}: it needs 3.0 "
                    "MB, and 8.0 of the memory budget of 10.0 MB are in use");
    pthread_mutex_unlock(&f->m->lock);
}

static void refused_load_is_tried_again_when_memory_becomes_free(void **state)
{
    fixture *f = *state;
    char a[128], b[128];
    f->opts.memory_budget = 10;
    f->needs[1] = f->needs[2] = 8;
    make_version(f, "a", "1");
    make_version(f, "b", "2");
    snprintf(a, sizeof a, "%s/a", f->dir);
    snprintf(b, sizeof b, "%s/b", f->dir);
    sl_model_config both[] = {{.name = "a", .base_path = a}, {.name = "b", .base_path = b}};
    start(f);
    sl_manager_configure(f->m, both, 1, &st);
    sl_manager_wait(f->m, 0, &st);
    sl_manager_configure(f->m, both, 2, &st);
    sl_manager_look(f->m);
    until(f, "b", 2, SL_STATE_END);
    sl_manager_configure(f->m, both + 1, 1, &st); /* a goes */
    until(f, "b", 2, SL_STATE_AVAILABLE);
    assert_int_equal(f->m->used, 8);
}

static void least_recently_used_version_makes_room(void **state)
{
    fixture *f = *state;
    request r;
    sl_clock_fake(1000);
    f->opts.memory_budget = 2;
    f->needs[1] = f->needs[2] = f->needs[3] = 1;
    start_several(f, 3);
    ask(f, &r, latest("a"), 0);
    answer(f, &r);
    ask(f, &r, latest("b"), 0);
    answer(f, &r);
    sl_clock_fake(2000);
    answers(f, latest("b"));
    sl_clock_fake(3000);
    answers(f, latest("a"));
    assert_true(ask(f, &r, latest("c"), 0));
    assert_int_equal(answer(f, &r), SL_OK);
    until(f, "b", 2, SL_STATE_START);
    assert_int_equal(answers(f, latest("a")), 1);
    assert_int_equal(answers(f, latest("b")), -SL_UNAVAILABLE);
    assert_int_equal(answers(f, latest("c")), 3);
    /* It comes back when it is asked for, and the next one goes. */
    sl_clock_fake(4000);
    answers(f, latest("c"));
    assert_true(ask(f, &r, latest("b"), 0));
    assert_int_equal(answer(f, &r), SL_OK);
    until(f, "a", 1, SL_STATE_START);
}

static void version_in_use_is_never_given_up(void **state)
{
    fixture *f = *state;
    request r;
    const sl_version *held;
    sl_clock_fake(1000);
    f->opts.memory_budget = 1;
    f->needs[1] = f->needs[2] = 1;
    start_several(f, 2);
    ask(f, &r, latest("a"), 0);
    answer(f, &r);
    sl_model_spec spec = latest("a");
    assert_int_equal(sl_manager_acquire(f->m, &spec, &held, &st), SL_OK);
    ask(f, &r, latest("b"), 0);
    pthread_mutex_lock(&r.lock);
    while (r.told == 0) { /* it has some patience */
        sl_clock_fake(sl_now_ns() + 100000000);
        pthread_mutex_unlock(&r.lock);
        sched_yield();
        pthread_mutex_lock(&r.lock);
    }
    pthread_mutex_unlock(&r.lock);
    assert_int_equal(answer(f, &r), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(state_of(f, "a", 1), SL_STATE_AVAILABLE);
    sl_manager_release(f->m, held);
}

static void load_waits_for_the_request_that_holds_the_memory(void **state)
{
    fixture *f = *state;
    request r;
    const sl_version *held;
    sl_clock_fake(1000); /* patience does not end */
    f->opts.memory_budget = 1;
    f->needs[1] = f->needs[2] = 1;
    start_several(f, 2);
    ask(f, &r, latest("a"), 0);
    answer(f, &r);
    sl_model_spec spec = latest("a");
    assert_int_equal(sl_manager_acquire(f->m, &spec, &held, &st), SL_OK);
    assert_true(ask(f, &r, latest("b"), 0));
    until(f, "b", 2, SL_STATE_LOADING);
    sl_manager_release(f->m, held);
    assert_int_equal(answer(f, &r), SL_OK);
    assert_int_equal(answers(f, latest("b")), 2);
}

static void what_was_waited_for_is_there_until_it_was_acquired(void **state)
{
    fixture *f = *state;
    request a, b;
    sl_clock_fake(1000);
    f->opts.memory_budget = 1;
    f->needs[1] = f->needs[2] = 1;
    start_several(f, 2);
    ask(f, &a, latest("a"), 0);
    assert_int_equal(word(&a), SL_OK);
    assert_true(
        ask(f, &b, latest("b"), 0)); /* it wants the room of a, which nobody has acquired yet */
    until(f, "b", 2, SL_STATE_LOADING);
    assert_int_equal(answers(f, latest("a")), 1);
    /* So it is for one that found it there. */
    a.a.ready = NULL;
    const sl_version *first = a.a.held;
    sl_model_spec spec = latest("a");
    assert_false(sl_manager_await(f->m, &spec, &a.a));
    sl_manager_release(f->m, first);
    assert_int_equal(answers(f, latest("a")), 1);
    let_go(f, &a);
    assert_int_equal(answer(f, &b), SL_OK);
}

static void what_ends_gives_its_memory_back(void **state)
{
    fixture *f = *state;
    f->opts.memory_budget = 100;
    f->needs[1] = 60;
    f->needs[2] = 40;
    outcome(f, 2, SL_INTERNAL);
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    assert_int_equal(f->m->used, 60);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_END);
    assert_int_equal(f->m->used, 60);
    sl_manager_configure(f->m, NULL, 0, &st);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(f->m->used, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(version_on_demand_is_loaded_by_its_first_request),
        TEST(everybody_who_waits_is_told_and_it_is_loaded_once),
        TEST(who_waits_too_long_is_told_so_and_the_load_goes_on),
        TEST(load_that_fails_is_told_and_not_tried_again_by_every_request),
        TEST(new_version_of_one_in_use_is_loaded_without_being_asked_for),
        TEST(label_may_mean_a_version_on_demand),
        TEST(model_that_turns_eager_is_loaded),
        TEST(who_waits_for_a_model_that_is_removed_is_told),
        TEST(who_waits_when_the_server_ends_is_told),
        TEST(load_that_does_not_fit_is_refused_with_numbers),
        TEST(refused_load_is_tried_again_when_memory_becomes_free),
        TEST(least_recently_used_version_makes_room),
        TEST(version_in_use_is_never_given_up),
        TEST(load_waits_for_the_request_that_holds_the_memory),
        TEST(what_was_waited_for_is_there_until_it_was_acquired),
        TEST(what_ends_gives_its_memory_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
