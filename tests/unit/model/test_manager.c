#include "fixture.h"

#include "base/arena.h"
#include "base/fault.h"
#include "base/log.h"

static sl_status st;

static void newest_version_answers_once_it_is_loaded(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    make_version(f, "m", "3");
    assert_int_equal(configure(f, "m", (sl_model_config){.engine = "native"}, &st), SL_OK);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, latest("m")), 3);
    assert_int_equal(answers(f, specific("m", 3)), 3);
    assert_int_equal(count_of(f, &f->started[1]), 0);
    char path[256];
    snprintf(path, sizeof path, "%s/m/3", f->dir);
    assert_string_equal(f->path, path);
    assert_string_equal(f->engine, "native");
}

static void refusals_have_the_originals_words(void **state)
{
    fixture *f = *state;
    const sl_version *v;
    start(f);
    sl_model_spec specs[] = {latest("m"), specific("m", 7), labelled("m", "x"), latest("")};
    static const char *const texts[] = {"Servable not found for request: Latest(m)",
                                        "Servable not found for request: Specific(m, 7)",
                                        "Unrecognized servable version label: x",
                                        "ModelSpec has no name specified."};
    static const sl_code codes[] = {SL_NOT_FOUND, SL_NOT_FOUND, SL_INVALID_ARGUMENT,
                                    SL_INVALID_ARGUMENT};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(sl_manager_acquire(f->m, &specs[i], &v, &st), codes[i]);
        assert_string_equal(st.msg, texts[i]);
    }
}

static void *let_go_of_1(void *arg)
{
    fixture *f = arg;
    until(f, "m", 2, SL_STATE_AVAILABLE);
    hold(f, 1, false);
    return NULL;
}

/* Labels, or a split of the traffic, may need any of the versions. */
static void the_start_waits_for_all_versions_that_are_wanted(void **state)
{
    fixture *f = *state;
    pthread_t thread;
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    hold(f, 1, true);
    assert_int_equal(configure(f, "m", (sl_model_config){.policy = SL_POLICY_ALL}, &st), SL_OK);
    pthread_create(&thread, NULL, let_go_of_1, f);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, specific("m", 1)), 1);
    pthread_join(thread, NULL);
}

static void a_version_that_fails_does_not_matter_if_another_serves(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    outcome(f, 2, SL_INTERNAL);
    assert_int_equal(configure(f, "m", (sl_model_config){.policy = SL_POLICY_ALL}, &st), SL_OK);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, latest("m")), 1);
}

static void old_version_serves_until_the_new_one_is_available(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    make_version(f, "m", "2");
    hold(f, 2, true);
    sl_manager_look(f->m);
    until_started(f, 2, 1);
    assert_int_equal(answers(f, latest("m")), 1);
    assert_int_equal(state_of(f, "m", 2), SL_STATE_LOADING);
    hold(f, 2, false);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 2);
    assert_int_equal(answers(f, specific("m", 1)), -SL_NOT_FOUND);
}

static void old_version_keeps_serving_when_the_new_one_fails(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    make_version(f, "m", "2");
    outcome(f, 2, SL_INTERNAL);
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 1);
    /* It is not tried again while it is aspired ... */
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 2), SL_STATE_END);
    assert_int_equal(count_of(f, &f->started[2]), 1);
    /* ... but is when it has gone and comes back. */
    outcome(f, 2, SL_OK);
    remove_version(f, "m", "2");
    sl_manager_look(f->m);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_AVAILABLE);
}

static void version_is_unloaded_only_after_its_last_handle(void **state)
{
    fixture *f = *state;
    const sl_version *a, *b;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    sl_model_spec spec = latest("m");
    assert_int_equal(sl_manager_acquire(f->m, &spec, &a, &st), SL_OK);
    assert_int_equal(sl_manager_acquire(f->m, &spec, &b, &st), SL_OK);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_UNLOADING);
    assert_int_equal(a->number, 1);
    sl_manager_release(f->m, a);
    assert_int_equal(count_of(f, &f->unloaded[1]), 0);
    /* A request that is stuck on one version stops nobody else's change. */
    make_version(f, "m", "3");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_END);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_UNLOADING);
    sl_manager_release(f->m, b);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(count_of(f, &f->unloaded[1]), 1);
}

static void version_that_comes_back_while_unloading_is_loaded_afresh(void **state)
{
    fixture *f = *state;
    const sl_version *held;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    sl_model_spec spec = latest("m");
    sl_manager_acquire(f->m, &spec, &held, &st);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_UNLOADING);
    remove_version(f, "m", "2");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_UNLOADING);
    assert_int_equal(answers(f, latest("m")), 2);
    sl_manager_release(f->m, held);
    until(f, "m", 2, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 1);
    assert_int_equal(count_of(f, &f->started[1]), 2);
}

static void failed_load_is_tried_again_after_a_pause_that_doubles(void **state)
{
    fixture *f = *state;
    uint64_t now = 1000000000;
    static const unsigned pauses[] = {125, 250, 500, 1000, 1000}; /* ms; the interval is a second */
    sl_clock_fake(now);
    f->opts.max_retries = 5;
    make_version(f, "m", "1");
    outcome(f, 1, SL_NOT_FOUND);
    configure(f, "m", (sl_model_config){0}, &st);
    for (int i = 0; i < 5; i++) {
        until_waiting(f, "m", 1, (unsigned)i + 1);
        sl_clock_fake(now + (uint64_t)pauses[i] * 1000000 - 1);
        sl_manager_poke(f->m);
        sl_manager_look(f->m);
        assert_int_equal(state_of(f, "m", 1), SL_STATE_LOADING);
        assert_int_equal(count_of(f, &f->started[1]), i + 1);
        if (i == 4)
            outcome(f, 1, SL_OK);
        sl_clock_fake(now += (uint64_t)pauses[i] * 1000000);
        sl_manager_poke(f->m);
    }
    until(f, "m", 1, SL_STATE_AVAILABLE);
    assert_int_equal(count_of(f, &f->started[1]), 6);
}

/* What the status says of version 1 of m, whose state is that: the code, the message. */
static sl_code told(fixture *f, sl_state state, char *message, size_t size)
{
    sl_arena arena;
    const sl_version_info *list;
    int n;
    sl_model_spec spec = specific("m", 1);
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &list, &n, &st), SL_OK);
    assert_int_equal(list[0].state, state);
    snprintf(message, size, "%s", list[0].message);
    sl_code code = list[0].code;
    sl_arena_fini(&arena);
    return code;
}

static void while_a_load_is_tried_again_the_status_says_why(void **state)
{
    fixture *f = *state;
    char text[64];
    uint64_t now = 1000000000;
    sl_clock_fake(now);
    f->opts.max_retries = 2;
    make_version(f, "m", "1");
    outcome(f, 1, SL_NOT_FOUND);
    configure(f, "m", (sl_model_config){0}, &st);
    until_waiting(f, "m", 1, 1);
    assert_int_equal(told(f, SL_STATE_LOADING, text, sizeof text), SL_OK);
    assert_string_equal(text, "version 1 is broken");
    hold(f, 1, true); /* also while the next attempt runs */
    sl_clock_fake(now += 125000000);
    sl_manager_poke(f->m);
    until_started(f, 1, 2);
    assert_int_equal(told(f, SL_STATE_LOADING, text, sizeof text), SL_OK);
    assert_string_equal(text, "version 1 is broken");
    outcome(f, 1, SL_OK);
    hold(f, 1, false);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    assert_int_equal(told(f, SL_STATE_AVAILABLE, text, sizeof text), SL_OK);
    assert_string_equal(text, "");
}

/* Writes a file into the version's directory: it looks different from then on. */
static void touch(fixture *f, const char *version, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/m/%s/%s", f->dir, version, name);
    fclose(fopen(path, "w"));
}

static void failed_version_is_tried_again_at_once_when_its_directory_changes(void **state)
{
    fixture *f = *state;
    f->opts.retry_interval_us = INT64_C(3600000000);
    for (f->opts.max_retries = 0; f->opts.max_retries < 2; f->opts.max_retries++) {
        make_version(f, "m", f->opts.max_retries ? "2" : "1");
        int number = f->opts.max_retries ? 2 : 1;
        outcome(f, number, SL_DATA_LOSS);
        configure(f, "m", (sl_model_config){0}, &st);
        if (f->opts.max_retries)
            until_waiting(f, "m", 2, 1); /* its next attempt is an hour away */
        else
            until(f, "m", 1, SL_STATE_END);
        sl_manager_look(f->m);
        assert_int_equal(count_of(f, &f->started[number]), 1);
        outcome(f, number, SL_OK);
        touch(f, number == 2 ? "2" : "1", "mended");
        sl_manager_look(f->m);
        until(f, "m", number, SL_STATE_AVAILABLE);
        sl_manager_free(f->m);
        f->m = NULL;
    }
}

static void incomplete_version_is_listed_and_left_alone(void **state)
{
    fixture *f = *state;
    sl_arena arena;
    const sl_version_info *list;
    int n;
    f->opts.only_complete = true;
    make_version(f, "m", "1");
    touch(f, "1", "export.meta"); /* wrong, but complete: loading it tells */
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 2), SL_STATE_START);
    assert_int_equal(answers(f, latest("m")), 1);
    sl_model_spec spec = specific("m", 2);
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &list, &n, &st), SL_OK);
    assert_int_equal(list[0].code, SL_OK);
    assert_string_equal(list[0].message,
                        "waiting until the version is complete: saved_model.pb is missing");
    sl_arena_fini(&arena);
    assert_int_equal(count_of(f, &f->started[2]), 0);
    touch(f, "2", "export.meta");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 2);
    /* One that goes before it was ever complete is forgotten. */
    make_version(f, "m", "3");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 3), SL_STATE_START);
    remove_version(f, "m", "3");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 3), SL_STATE_UNKNOWN);
}

static void nobody_waits_for_a_version_that_is_incomplete(void **state)
{
    fixture *f = *state;
    f->opts.only_complete = true;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_string_equal(st.msg,
                        "1 servable(s) did not become available: {{{name: m version: 1} due to "
                        "error: UNAVAILABLE: waiting until the version is complete: saved_model.pb "
                        "is missing}, }");
}

static void incomplete_version_that_nobody_touches_is_loaded_to_learn_what_is_wrong(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000000000);
    f->opts.only_complete = true;
    f->opts.give_up_ns = 5000000000;
    outcome(f, 1, SL_NOT_FOUND);
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_clock_fake(5999999999);
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_START);
    sl_clock_fake(6000000000);
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_END);
}

static void version_is_taken_when_its_directory_has_been_quiet(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000000000); /* long before the files were written */
    f->opts.settle_ns = 500000000;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_START);
    sl_clock_fake(1400000000);
    touch(f, "1", "asset");
    sl_manager_look(f->m);
    sl_clock_fake(1800000000);
    sl_manager_look(f->m);
    assert_int_equal(count_of(f, &f->started[1]), 0);
    sl_clock_fake(1900000000);
    sl_manager_poke(f->m); /* it comes by itself */
    until(f, "m", 1, SL_STATE_AVAILABLE);
}

static void version_that_has_been_there_for_long_is_taken_at_once(void **state)
{
    fixture *f = *state;
    f->opts.settle_ns = UINT64_C(3600) * 1000000000;
    make_version(f, "m", "1");
    sl_clock_fake(UINT64_C(2500000000) * 1000000000); /* in 2049 */
    configure(f, "m", (sl_model_config){0}, &st);
    until(f, "m", 1, SL_STATE_AVAILABLE);
}

static void old_version_goes_first_where_memory_is_short(void **state)
{
    fixture *f = *state;
    const sl_version *held;
    sl_model_config c = {.transition = SL_TRANSITION_RESOURCE};
    make_version(f, "m", "1");
    configure(f, "m", c, &st);
    sl_manager_wait(f->m, 0, &st);
    sl_model_spec spec = latest("m");
    sl_manager_acquire(f->m, &spec, &held, &st);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_UNLOADING);
    assert_int_equal(count_of(f, &f->started[2]), 0);
    assert_int_equal(answers(f, latest("m")), -SL_NOT_FOUND);
    sl_manager_release(f->m, held);
    until(f, "m", 2, SL_STATE_AVAILABLE);
}

static void version_that_ended_is_forgotten_after_a_while_and_so_is_its_model(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000000000);
    f->opts.forget_ns = 9000000000;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_END);
    sl_clock_fake(9999999999);
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_END);
    sl_clock_fake(19999999999);
    sl_manager_look(f->m);
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_UNKNOWN);
    assert_int_equal(answers(f, latest("m")), 2);
    sl_manager_configure(f->m, NULL, 0, &st);
    until(f, "m", 2, SL_STATE_END);
    sl_clock_fake(49999999999);
    sl_manager_look(f->m);
    sl_manager_look(f->m);
    assert_null(f->m->models);
    configure(f, "m", (sl_model_config){0}, &st);
    until(f, "m", 2, SL_STATE_AVAILABLE);
}

static void version_ends_with_its_error_when_retries_are_exhausted(void **state)
{
    fixture *f = *state;
    f->opts.max_retries = 3;
    f->opts.retry_interval_us = 0;
    f->opts.strict = true;
    make_version(f, "m", "1");
    outcome(f, 1, SL_DATA_LOSS);
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_string_equal(st.msg, "1 servable(s) did not become available: {{{name: m version: 1} "
                                "due to error: DATA_LOSS: version 1 is broken}, }");
    assert_int_equal(count_of(f, &f->started[1]), 4);
}

/* An engine that notes what it is told, in the order of it: 'm'emory, 's'erve. */
static char order[8];

static uint64_t is_asked(sl_session *s)
{
    (void)s;
    strcat(order, "m");
    return 1;
}

static void is_told(sl_session *s)
{
    (void)s;
    strcat(order, "s");
}

static sl_code load_with_engine(void *arg, const sl_model_config *config, sl_version *v,
                                sl_text *why, sl_status *status)
{
    static const sl_engine e = {
        .abi = SL_ENGINE_ABI, .name = "fake", .memory = is_asked, .serve = is_told};
    sl_code rc = fake_load(arg, config, v, why, status);
    v->engine = rc ? NULL : &e;
    return rc;
}

static void the_engine_is_told_when_all_that_goes_before_serving_is_done(void **state)
{
    fixture *f = *state;
    order[0] = '\0';
    f->opts.load = load_with_engine;
    make_version(f, "m", "1");
    outcome(f, 1, SL_DATA_LOSS);
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_string_equal(order, "");
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_AVAILABLE);
    assert_string_equal(order, "ms");
}

static void nobody_waits_for_the_second_attempt_unless_asked_to(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000000000); /* it stands: the second attempt never comes */
    f->opts.max_retries = 3;
    make_version(f, "m", "1");
    outcome(f, 1, SL_DATA_LOSS);
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_string_equal(st.msg, "1 servable(s) did not become available: {{{name: m version: 1} "
                                "due to error: DATA_LOSS: version 1 is broken}, }");
    assert_int_equal(state_of(f, "m", 1), SL_STATE_LOADING);
}

static void retries_end_when_the_version_is_no_longer_wanted(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000000000);
    f->opts.max_retries = 5;
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    outcome(f, 2, SL_INTERNAL);
    configure(f, "m", (sl_model_config){0}, &st);
    until_waiting(f, "m", 2, 1);
    remove_version(f, "m", "2");
    sl_manager_look(f->m); /* no time passes: a cancellation does not wait for the interval */
    until(f, "m", 2, SL_STATE_END);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    assert_int_equal(count_of(f, &f->started[2]), 1);
}

static void load_that_ends_after_nobody_wants_it_is_unloaded_at_once(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    hold(f, 1, true);
    configure(f, "m", (sl_model_config){0}, &st);
    until_started(f, 1, 1);
    assert_int_equal(sl_manager_configure(f->m, NULL, 0, &st), SL_OK);
    hold(f, 1, false);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(count_of(f, &f->unloaded[1]), 1);
    sl_arena arena;
    const sl_version_info *info;
    int n;
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    sl_model_spec spec = specific("m", 1);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_OK);
    assert_int_equal(info->code, SL_CANCELLED);
    assert_string_equal(info->message, "Loading of servable cancelled");
    sl_arena_fini(&arena);
}

static void broken_version_blocks_no_other_model(void **state)
{
    fixture *f = *state;
    char a[128], b[128];
    f->opts.load_threads = 1;
    f->opts.initial_load_threads = 1;
    f->opts.max_retries = 5;
    f->opts.retry_interval_us = INT64_C(3600000000);
    make_version(f, "a", "1");
    make_version(f, "b", "2");
    outcome(f, 1, SL_INTERNAL);
    snprintf(a, sizeof a, "%s/a", f->dir);
    snprintf(b, sizeof b, "%s/b", f->dir);
    sl_model_config both[] = {{.name = "a", .base_path = a}, {.name = "b", .base_path = b}};
    start(f);
    assert_int_equal(sl_manager_configure(f->m, both, 2, &st), SL_OK);
    until(f, "b", 2, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, latest("b")), 2);
    until_started(f, 1, 1);
    assert_int_equal(state_of(f, "a", 1), SL_STATE_LOADING);
}

static void missing_base_path_concerns_its_own_model_only(void **state)
{
    fixture *f = *state;
    char good[128], bad[128], wanted[512];
    make_version(f, "good", "1");
    snprintf(good, sizeof good, "%s/good", f->dir);
    snprintf(bad, sizeof bad, "%s/bad", f->dir);
    sl_model_config both[] = {{.name = "bad", .base_path = bad},
                              {.name = "good", .base_path = good}};
    start(f);
    assert_int_equal(sl_manager_configure(f->m, both, 2, &st), SL_OK);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    snprintf(wanted, sizeof wanted,
             "1 servable(s) did not become available: {{{name: bad} due to error: NOT_FOUND: "
             "Unable to find a numerical version path for servable bad at: %s}, }",
             bad);
    assert_string_equal(st.msg, wanted);
    assert_int_equal(answers(f, latest("good")), 1);
    make_version(f, "bad", "2");
    sl_manager_look(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
}

/* A scheme that nobody knows stands for what may not be read: that holds for root, too. */
static void unreadable_base_path_is_told_with_its_reason(void **state)
{
    fixture *f = *state;
    sl_arena arena;
    const sl_version_info *info;
    int n;
    sl_model_config strange = {.base_path = "ram://m"};
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    assert_int_equal(configure(f, "m", strange, &st), SL_OK);
    sl_model_spec spec = latest("m");
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_NOT_FOUND);
    const char *wanted = "Could not find any versions of model m: Could not find base path ram://m "
                         "for servable m with error UNIMPLEMENTED: ";
    assert_memory_equal(st.msg, wanted, strlen(wanted));
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_non_null(strstr(st.msg, "servable m at: ram://m: Could not find base path ram://m "));
    /* What is not there has the original's words. */
    assert_int_equal(configure(f, "m", (sl_model_config){0}, &st), SL_OK);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Could not find any versions of model m");
    make_version(f, "m", "1");
    sl_manager_look(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    sl_arena_fini(&arena);
}

static void emptied_or_vanished_directory_unloads_nothing(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    remove_version(f, "m", "1");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_AVAILABLE);
    remove_version(f, "m", "");
    sl_manager_look(f->m);
    assert_int_equal(state_of(f, "m", 1), SL_STATE_AVAILABLE);
    /* An empty `specific` list, on the other hand, is an instruction. */
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){.policy = SL_POLICY_SPECIFIC}, &st);
    until(f, "m", 1, SL_STATE_END);
}

static void all_versions_are_loaded_under_policy_all(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    make_version(f, "m", "4");
    configure(f, "m", (sl_model_config){.policy = SL_POLICY_ALL}, &st);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    until(f, "m", 2, SL_STATE_AVAILABLE);
    until(f, "m", 4, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, latest("m")), 4);
    assert_int_equal(answers(f, specific("m", 2)), 2);
    /* Latest falls back when the highest goes. */
    remove_version(f, "m", "4");
    sl_manager_look(f->m);
    until(f, "m", 4, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), 2);
}

static void first_configuration_is_loaded_by_many_threads(void **state)
{
    fixture *f = *state;
    char name[16];
    f->opts.load_threads = 1;
    f->opts.initial_load_threads = 4;
    for (int i = 1; i <= 6; i++) {
        snprintf(name, sizeof name, "%d", i);
        make_version(f, "m", name);
        hold(f, i, true);
    }
    configure(f, "m", (sl_model_config){.policy = SL_POLICY_ALL}, &st);
    for (int i = 6; i >= 3; i--) /* highest first; four at once */
        until_started(f, i, 1);
    assert_int_equal(count_of(f, &f->running), 4);
    for (int i = 1; i <= 6; i++)
        hold(f, i, false);
    for (int i = 1; i <= 6; i++)
        until(f, "m", i, SL_STATE_AVAILABLE);
    assert_int_equal(f->most_running, 4);
}

static void reload_that_is_refused_changes_nothing(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    sl_model_config twice[] = {{.name = "n", .base_path = "/x"}, {.name = "n", .base_path = "/y"}};
    assert_int_equal(sl_manager_configure(f->m, twice, 2, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "Illegal to list model n multiple times in config list");
    sl_model_config relative[] = {{.name = "n", .base_path = "models/x"}};
    assert_int_equal(sl_manager_configure(f->m, relative, 1, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(
        st.msg, "Expected model n to have an absolute path or URI; got base_path()=models/x");
    assert_int_equal(answers(f, latest("m")), 1);
}

static void model_that_is_removed_is_unloaded_and_may_come_back(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    sl_manager_wait(f->m, 0, &st);
    assert_int_equal(sl_manager_configure(f->m, NULL, 0, &st), SL_OK);
    until(f, "m", 1, SL_STATE_END);
    assert_int_equal(answers(f, latest("m")), -SL_NOT_FOUND);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, latest("m")), 1);
    assert_int_equal(count_of(f, &f->loaded[1]), 2);
}

static void wait_ends_at_its_deadline(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000);
    make_version(f, "m", "1");
    hold(f, 1, true);
    configure(f, "m", (sl_model_config){0}, &st);
    until_started(f, 1, 1);
    assert_int_equal(sl_manager_wait(f->m, 1000, &st), SL_UNKNOWN);
    assert_string_equal(st.msg, "1 servable(s) did not become available: {{{name: m version: 1} "
                                "due to error: DEADLINE_EXCEEDED: still loading}, }");
    hold(f, 1, false);
}

static void label_and_its_version_may_come_in_one_configuration(void **state)
{
    fixture *f = *state;
    sl_label labels[] = {{"stable", 1}, {"canary", 2}};
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    hold(f, 2, true);
    sl_model_config c = {.num_versions = 2, .labels = labels, .n_labels = 2};
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, labelled("m", "stable")), 1);
    assert_int_equal(answers(f, labelled("m", "canary")), -SL_INVALID_ARGUMENT);
    hold(f, 2, false);
    until(f, "m", 2, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, labelled("m", "canary")), 2);
    /* A label on its way to a version that is not loaded yet points where it did. */
    labels[0].version = 3;
    make_version(f, "m", "3");
    hold(f, 3, true);
    c.num_versions = 3;
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    assert_int_equal(answers(f, labelled("m", "stable")), 1);
    hold(f, 3, false);
    until(f, "m", 3, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, labelled("m", "stable")), 3);
    /* Labels that are no longer listed disappear at once. */
    c.n_labels = 1;
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    assert_int_equal(answers(f, labelled("m", "canary")), -SL_INVALID_ARGUMENT);
}

static void label_of_a_version_that_nobody_will_load_is_refused(void **state)
{
    fixture *f = *state;
    sl_label label = {"x", 9};
    make_version(f, "m", "1");
    sl_model_config c = {.labels = &label, .n_labels = 1};
    f->opts.strict = true;
    assert_int_equal(configure(f, "m", c, &st), SL_FAILED_PRECONDITION);
    assert_string_equal(st.msg, "Request to assign label to version 9 of model m, which is not "
                                "currently available for inference");
    sl_manager_free(f->m);
    f->m = NULL;
    f->opts.labels_for_unavailable = true;
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    sl_manager_wait(f->m, 0, &st);
    const sl_version *v;
    sl_model_spec spec = labelled("m", "x");
    assert_int_equal(sl_manager_acquire(f->m, &spec, &v, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Servable not found for request: Specific(m, 9)");
}

static void label_of_no_version_does_not_stop_the_first_configuration(void **state)
{
    fixture *f = *state;
    const sl_version *v;
    sl_label labels[] = {{"x", 2}, {"y", 9}};
    sl_model_spec spec = labelled("m", "x");
    make_version(f, "m", "1");
    sl_model_config c = {.labels = labels, .n_labels = 1};
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    assert_int_equal(sl_manager_acquire(f->m, &spec, &v, &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "Unrecognized servable version label: x");
    /* What stands there already keeps nothing else out; what is new does. */
    c.num_versions = 3;
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
    c.n_labels = 2;
    assert_int_equal(configure(f, "m", c, &st), SL_FAILED_PRECONDITION);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, spec), 2);
}

/* One thread loads, and hangs. */
static void load_that_hangs_holds_up_no_other_model(void **state)
{
    fixture *f = *state;
    uint64_t now = 1000000000;
    char a[256], b[256];
    snprintf(a, sizeof a, "%s/a", f->dir);
    snprintf(b, sizeof b, "%s/b", f->dir);
    sl_model_config both[] = {{.name = "a", .base_path = a}, {.name = "b", .base_path = b}};
    f->opts.load_threads = 0;
    make_version(f, "a", "1");
    make_version(f, "b", "1");
    start(f);
    assert_int_equal(sl_manager_configure(f->m, both, 2, &st), SL_OK);
    until(f, "a", 1, SL_STATE_AVAILABLE);
    until(f, "b", 1, SL_STATE_AVAILABLE);
    sl_clock_fake(now);
    hold(f, 2, true);
    make_version(f, "a", "2");
    sl_manager_look(f->m);
    until(f, "a", 2, SL_STATE_LOADING);
    make_version(f, "b", "3");
    sl_manager_look(f->m);
    until(f, "b", 3, SL_STATE_START);
    sl_clock_fake(now += 9999999999);
    sl_manager_poke(f->m);
    assert_int_equal(state_of(f, "b", 3), SL_STATE_START);
    sl_clock_fake(now += 1);
    sl_manager_poke(f->m);
    until(f, "b", 3, SL_STATE_AVAILABLE);
    hold(f, 2, false);
    until(f, "a", 2, SL_STATE_AVAILABLE);
}

static void status_lists_versions_highest_first(void **state)
{
    fixture *f = *state;
    sl_arena arena;
    const sl_version_info *info;
    int n;
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    make_version(f, "m", "1");
    make_version(f, "m", "2");
    outcome(f, 1, SL_UNIMPLEMENTED);
    configure(f, "m", (sl_model_config){.policy = SL_POLICY_ALL}, &st);
    until(f, "m", 1, SL_STATE_END);
    until(f, "m", 2, SL_STATE_AVAILABLE);
    sl_model_spec spec = latest("m");
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_OK);
    assert_int_equal(n, 2);
    assert_int_equal(info[0].number, 2);
    assert_int_equal(info[0].state, SL_STATE_AVAILABLE);
    assert_string_equal(info[0].message, "");
    assert_string_equal(info[0].why, "the test chose it");
    assert_int_equal(info[1].number, 1);
    assert_int_equal(info[1].state, SL_STATE_END);
    assert_int_equal(info[1].code, SL_UNIMPLEMENTED);
    assert_string_equal(info[1].message, "version 1 is broken");
    spec = specific("m", 5);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Could not find version 5 of model m");
    spec = latest("n");
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &info, &n, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Could not find any versions of model n");
    sl_arena_fini(&arena);
}

/* Reads what was logged into `text`. */
static void stop_log(int fd, char *text, size_t size)
{
    sl_log_options usual = {.level = SL_INFO, .fd = 2};
    sl_log_stop();
    assert_int_equal(sl_log_start(&usual, &st),
                     SL_OK); /* what follows must not go to a closed fd */
    sl_log_stop();
    ssize_t n = pread(fd, text, size - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    close(fd);
}

static int occurrences(const char *text, const char *what)
{
    int n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static void trouble_that_lasts_is_logged_at_the_first_and_the_tenth_look(void **state)
{
    fixture *f = *state;
    static char text[1 << 16];
    char name[] = "/tmp/sluice-log-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    f->opts.poll_seconds = -1;
    sl_log_options log = {.level = SL_INFO, .fd = fd};
    assert_int_equal(sl_log_start(&log, &st), SL_OK);
    configure(f, "m", (sl_model_config){0}, &st); /* looks once */
    for (int i = 0; i < 25; i++)
        sl_manager_look(f->m);
    make_version(f, "m", "");
    sl_manager_look(f->m);
    stop_log(fd, text, sizeof text);
    assert_int_equal(occurrences(text, "FileSystemStoragePathSource encountered a filesystem "
                                       "access error: Could not find base path"),
                     2);
    assert_int_equal(occurrences(text, "not found (seen 10 times)"), 1);
    assert_int_equal(occurrences(text, "No versions of servable m found under base path"), 1);
}

static void operators_find_the_lines_that_they_grep_for(void **state)
{
    fixture *f = *state;
    static char text[1 << 16];
    static const char *const lines[] = {
        "Adding/updating models.",
        " (Re-)adding model: m",
        "Successfully reserved resources to load servable {name: m version: 1}",
        "Approving load for servable version {name: m version: 1}",
        "Loading servable version {name: m version: 1}",
        "Successfully loaded servable version {name: m version: 1}",
        "Loading servable: {name: m version: 2} failed: INTERNAL: version 2 is broken",
        "Retrying of Loading servable: {name: m version: 2} retry: 1",
        "Retrying of Loading servable: {name: m version: 2} exhausted max_num_retries: 1",
        "Encountered an error for servable version {name: m version: 2}: INTERNAL: version 2",
        "Servable {name: m version: 2} cannot be loaded: INTERNAL: version 2 is broken",
        "Quiescing servable version {name: m version: 1}",
        "Done quiescing servable version {name: m version: 1}",
        "Done unloading servable version {name: m version: 1}"};
    char name[] = "/tmp/sluice-log-XXXXXX";
    int fd = mkstemp(name);
    unlink(name);
    sl_log_options log = {.level = SL_INFO, .fd = fd};
    assert_int_equal(sl_log_start(&log, &st), SL_OK);
    f->opts.max_retries = 1;
    f->opts.retry_interval_us = 0;
    outcome(f, 2, SL_INTERNAL);
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    make_version(f, "m", "2");
    sl_manager_look(f->m);
    until(f, "m", 2, SL_STATE_END);
    make_version(f, "m", "3");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_END);
    stop_log(fd, text, sizeof text);
    for (size_t i = 0; i < SL_COUNTOF(lines); i++)
        if (strstr(text, lines[i]) == NULL)
            fail_msg("not in the log: %s\n%s", lines[i], text);
}

/* ---- requests meanwhile ---- */

typedef struct client {
    pthread_t thread;
    fixture *f;
    atomic_bool stop;
    long answered, refused, backwards;
} client;

static void *be_client(void *arg)
{
    client *c = arg;
    sl_model_spec spec = latest("m");
    sl_status why;
    int64_t last = 0;
    while (!atomic_load(&c->stop)) {
        const sl_version *v;
        if (sl_manager_acquire(c->f->m, &spec, &v, &why)) {
            c->refused++;
            continue;
        }
        c->backwards += v->number < last || v->user == NULL;
        last = v->number;
        c->answered++;
        sl_manager_release(c->f->m, v);
    }
    return NULL;
}

static void reload_is_not_felt_by_requests(void **state)
{
    fixture *f = *state;
    client clients[3];
    char name[16];
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    for (int i = 0; i < 3; i++) {
        memset(&clients[i], 0, sizeof clients[i]);
        clients[i].f = f;
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
    }
    for (int n = 2; n < NUMBERS; n++) {
        snprintf(name, sizeof name, "%d", n);
        make_version(f, "m", name);
        sl_manager_look(f->m);
        until(f, "m", n - 1, SL_STATE_END);
    }
    for (int i = 0; i < 3; i++) {
        atomic_store(&clients[i].stop, true);
        pthread_join(clients[i].thread, NULL);
        assert_int_equal(clients[i].refused, 0);
        assert_int_equal(clients[i].backwards, 0);
    }
}

static void thread_that_cannot_be_started_is_reported(void **state)
{
    fixture *f = *state;
    for (int nth = 1; nth <= 4; nth++) { /* two load threads, an unload thread, the source */
        sl_fault_arm(SL_FAULT_THREAD, nth);
        assert_int_equal(sl_manager_new(&f->opts, &f->m, &st), SL_RESOURCE_EXHAUSTED);
        assert_null(f->m);
    }
    sl_fault_arm(SL_FAULT_THREAD, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)

static char hinted[256];

static sl_code hint(const char *base_path, sl_status *why)
{
    snprintf(hinted, sizeof hinted, "%s", base_path);
    return sl_fail(why, SL_NOT_FOUND, "it looks like a picture");
}

static void base_path_without_versions_is_looked_at_more_closely(void **state)
{
    fixture *f = *state;
    char path[256];
    f->opts.hint = hint;
    make_version(f, "m", "1");
    assert_int_equal(configure(f, "m", (sl_model_config){0}, &st), SL_OK);
    assert_string_equal(hinted, "");
    assert_int_equal(configure(f, "nothing", (sl_model_config){0}, &st), SL_OK);
    snprintf(path, sizeof path, "%s/nothing", f->dir);
    assert_string_equal(hinted, path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(newest_version_answers_once_it_is_loaded),
        TEST(refusals_have_the_originals_words),
        TEST(the_start_waits_for_all_versions_that_are_wanted),
        TEST(a_version_that_fails_does_not_matter_if_another_serves),
        TEST(old_version_serves_until_the_new_one_is_available),
        TEST(old_version_keeps_serving_when_the_new_one_fails),
        TEST(version_is_unloaded_only_after_its_last_handle),
        TEST(version_that_comes_back_while_unloading_is_loaded_afresh),
        TEST(failed_load_is_tried_again_after_a_pause_that_doubles),
        TEST(while_a_load_is_tried_again_the_status_says_why),
        TEST(failed_version_is_tried_again_at_once_when_its_directory_changes),
        TEST(incomplete_version_is_listed_and_left_alone),
        TEST(nobody_waits_for_a_version_that_is_incomplete),
        TEST(incomplete_version_that_nobody_touches_is_loaded_to_learn_what_is_wrong),
        TEST(version_is_taken_when_its_directory_has_been_quiet),
        TEST(version_that_has_been_there_for_long_is_taken_at_once),
        TEST(old_version_goes_first_where_memory_is_short),
        TEST(version_that_ended_is_forgotten_after_a_while_and_so_is_its_model),
        TEST(version_ends_with_its_error_when_retries_are_exhausted),
        TEST(the_engine_is_told_when_all_that_goes_before_serving_is_done),
        TEST(nobody_waits_for_the_second_attempt_unless_asked_to),
        TEST(retries_end_when_the_version_is_no_longer_wanted),
        TEST(load_that_ends_after_nobody_wants_it_is_unloaded_at_once),
        TEST(broken_version_blocks_no_other_model),
        TEST(missing_base_path_concerns_its_own_model_only),
        TEST(unreadable_base_path_is_told_with_its_reason),
        TEST(emptied_or_vanished_directory_unloads_nothing),
        TEST(all_versions_are_loaded_under_policy_all),
        TEST(first_configuration_is_loaded_by_many_threads),
        TEST(reload_that_is_refused_changes_nothing),
        TEST(model_that_is_removed_is_unloaded_and_may_come_back),
        TEST(wait_ends_at_its_deadline),
        TEST(label_and_its_version_may_come_in_one_configuration),
        TEST(label_of_a_version_that_nobody_will_load_is_refused),
        TEST(label_of_no_version_does_not_stop_the_first_configuration),
        TEST(load_that_hangs_holds_up_no_other_model),
        TEST(status_lists_versions_highest_first),
        TEST(trouble_that_lasts_is_logged_at_the_first_and_the_tenth_look),
        TEST(operators_find_the_lines_that_they_grep_for),
        TEST(reload_is_not_felt_by_requests),
        TEST(thread_that_cannot_be_started_is_reported),
        TEST(base_path_without_versions_is_looked_at_more_closely),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
