/* test_reload.c - one way in for every change of the configuration: what it checks, does and
 * reports */
#include "unit/model/fixture.h"

#include "base/file.h"
#include "server/reload.h"

typedef struct reloads {
    fixture *f;
    sl_server_config config;
    sl_platform platform;
    sl_reload *r;
    char path[128];
    sl_text report;
    sl_status st;
} reloads;

static int setup(void **state)
{
    reloads *t = calloc(1, sizeof *t);
    void *f;
    if (new_fixture(&f))
        return 1;
    t->f = f;
    t->platform.name = "tensorflow";
    t->config.platforms = &t->platform;
    t->config.n_platforms = 1;
    snprintf(t->path, sizeof t->path, "%s/models.pbtxt", t->f->dir);
    *state = t;
    return sl_arena_init(&t->config.arena, 0);
}

static int teardown(void **state)
{
    reloads *t = *state;
    void *f = t->f;
    sl_reload_free(t->r);
    sl_text_fini(&t->report);
    sl_config_fini(&t->config);
    free(t);
    return free_fixture(&f);
}

/* "config { ... }" of a model below the fixture's directory. */
static const char *model(reloads *t, const char *name, const char *more)
{
    static char texts[8][512];
    static unsigned next;
    char *text = texts[next++ % 8];
    snprintf(text, sizeof texts[0],
             " config { name: '%s' base_path: '%s/%s' model_platform: 'tensorflow' %s }\n", name,
             t->f->dir, name, more);
    return text;
}

static const char *list(const char *a, const char *b)
{
    static char text[2048];
    snprintf(text, sizeof text, "model_config_list {\n%s%s}\n", a, b);
    return text;
}

static void write_config(reloads *t, const char *text)
{
    FILE *file = fopen(t->path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void begin(reloads *t, const char *text)
{
    start(t->f);
    assert_int_equal(sl_model_list_from_text(sl_str_of(text), &t->config.models, &t->st), SL_OK);
    sl_reload_options o = {.manager = t->f->m,
                           .config = &t->config,
                           .source = {t->path, ""},
                           .timeout_ns = 3600ull * 1000000000u};
    assert_int_equal(sl_reload_new(&o, &t->r, &t->st), SL_OK);
    sl_manager_wait(t->f->m, 0, &t->st);
}

static sl_code reload(reloads *t, const char *text)
{
    sl_text_fini(&t->report);
    return sl_reload_text(t->r, sl_str_of(text), &t->report, &t->st);
}

static void reported(reloads *t, const char *what)
{
    if (strstr(t->report.p, what) == NULL)
        fail_msg("no <%s> in %s", what, t->report.p);
}

static void new_models_are_available_when_the_reload_returns(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    assert_int_equal(reload(t, list(model(t, "a", ""), model(t, "b", ""))), SL_OK);
    assert_int_equal(answers(t->f, latest("b")), 2);
    reported(t, "\"result\": \"applied\", \"code\": \"OK\"");
    reported(t, "{\"name\": \"a\", \"change\": \"unchanged\", \"state\": \"available\"}");
    reported(t, "{\"name\": \"b\", \"change\": \"added\", \"state\": \"available\"}");
}

static void a_model_that_is_no_longer_listed_goes(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), model(t, "b", "")));
    assert_int_equal(reload(t, list(model(t, "a", ""), "")), SL_OK);
    reported(t, "{\"name\": \"b\", \"change\": \"removed\", \"state\": \"removed\"}");
    assert_int_equal(answers(t->f, latest("b")), -SL_NOT_FOUND);
    assert_int_equal(reload(t, "model_config_list {}"), SL_OK);
    assert_int_equal(answers(t->f, latest("a")), -SL_NOT_FOUND);
}

static void one_wrong_model_leaves_everything_as_it_was(void **state)
{
    static const struct {
        const char *more;
        sl_code code;
        const char *text;
    } wrong[] = {
        {"", SL_INVALID_ARGUMENT, "Illegal to list model b multiple times in config list"},
        {"model_type: TENSORFLOW", SL_INVALID_ARGUMENT, "Illegal setting both"},
        {"version_labels { key: 'x' value: 9 }", SL_FAILED_PRECONDITION,
         "Request to assign label to version 9 of model b, which is not currently available for "
         "inference"},
        {"engine: 'gpu'", SL_INVALID_ARGUMENT, "asks for engine \"gpu\""},
        {"base_pth: 'x'", SL_INVALID_ARGUMENT, "did you mean \"base_path\"?"},
    };
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++) {
        const char *text = list(model(t, "b", ""), i == 0 ? model(t, "b", "") : "");
        if (i > 0)
            text = list(model(t, "b", wrong[i].more), "");
        assert_int_equal(reload(t, text), wrong[i].code);
        assert_non_null(strstr(t->st.msg, wrong[i].text));
        reported(t, "\"result\": \"refused\"");
        assert_int_equal(answers(t->f, latest("a")), 1);
        assert_int_equal(answers(t->f, latest("b")), -SL_NOT_FOUND);
    }
    assert_int_equal(
        reload(t, list(" config { name: 'c' base_path: 'x' model_platform: 't' }", "")),
        SL_INVALID_ARGUMENT);
    assert_string_equal(t->st.msg,
                        "Expected model c to have an absolute path or URI; got base_path()=x");
    assert_int_equal(
        reload(t, list(" config { name: 'c' base_path: '/x' model_platform: 't' }", "")),
        SL_INVALID_ARGUMENT);
    assert_string_equal(t->st.msg, "Model c requests unsupported platform t");
}

static void the_platform_of_a_model_does_not_change(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    begin(t, list(model(t, "a", ""), ""));
    assert_int_equal(
        reload(t, list(" config { name: 'a' base_path: '/x' model_platform: 'other' }", "")),
        SL_INVALID_ARGUMENT);
    assert_string_equal(t->st.msg, "Illegal to change a model's platform. For model a platform was "
                                   "tensorflow and new platform requested is other");
}

static void a_model_that_fails_is_reported_and_repeating_the_reload_says_so_again(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    outcome(t->f, 2, SL_DATA_LOSS);
    begin(t, list(model(t, "a", ""), ""));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(reload(t, list(model(t, "a", ""), model(t, "b", ""))), SL_UNKNOWN);
        assert_string_equal(t->st.msg,
                            "1 model(s) did not become available: {{{name: b version: 2} due to "
                            "error: DATA_LOSS: version 2 is broken}, }");
        reported(t, i ? "\"result\": \"unchanged\"" : "\"result\": \"applied\"");
        reported(t, "\"state\": \"failed\", \"error\": \"{{name: b version: 2} due to error: "
                    "DATA_LOSS: version 2 is broken}\"}");
        assert_int_equal(answers(t->f, latest("a")), 1);
    }
    assert_int_equal(count_of(t->f, &t->f->started[2]), 1);
}

static void a_model_without_a_version_does_not_hold_the_reload_up(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    begin(t, list(model(t, "a", ""), ""));
    assert_int_equal(reload(t, list(model(t, "a", ""), model(t, "empty", ""))), SL_UNKNOWN);
    assert_non_null(
        strstr(t->st.msg, "Unable to find a numerical version path for servable empty"));
}

static void an_unchanged_configuration_is_not_applied_again(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    begin(t, list(model(t, "a", ""), ""));
    assert_int_equal(reload(t, list(model(t, "a", ""), "")), SL_OK);
    reported(t, "\"result\": \"unchanged\"");
    reported(t, "{\"name\": \"a\", \"change\": \"unchanged\", \"state\": \"available\"}");
    assert_int_equal(reload(t, ""), SL_OK); /* no list at all: nothing is to be done */
    assert_int_equal(answers(t->f, latest("a")), 1);
}

static void a_version_that_a_changed_model_asks_for_is_waited_for(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "a", "2");
    begin(t, list(model(t, "a", "model_version_policy { specific { versions: 1 } }"), ""));
    assert_int_equal(reload(t, list(model(t, "a",
                                          "model_version_policy { specific { versions: [1, 2] } } "
                                          "version_labels { key: 'canary' value: 2 }"),
                                    "")),
                     SL_OK);
    reported(t, "{\"name\": \"a\", \"change\": \"changed\", \"state\": \"available\"}");
    assert_int_equal(answers(t->f, labelled("a", "canary")), 2);
}

/* A load that does not end is still loading when the time is over; the clock is the test's. */
static void the_wait_for_models_has_a_limit(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    hold(t->f, 2, true);
    sl_reload_free(t->r);
    t->r = NULL;
    assert_int_equal(
        sl_model_list_from_text(sl_str_of(list(model(t, "a", ""), "")), &t->config.models, &t->st),
        SL_OK);
    sl_reload_options o = {
        .manager = t->f->m, .config = &t->config, .source = {"", ""}, .timeout_ns = 0};
    assert_int_equal(sl_reload_new(&o, &t->r, &t->st), SL_OK);
    assert_int_equal(reload(t, list(model(t, "a", ""), model(t, "b", ""))), SL_DEADLINE_EXCEEDED);
    reported(t, "\"change\": \"added\", \"state\": \"loading\"");
    hold(t->f, 2, false);
    until(t->f, "b", 2, SL_STATE_AVAILABLE);
}

typedef struct waiting {
    reloads *t;
    sl_text report;
    sl_status st;
    sl_code rc;
    char text[2048];
} waiting;

static void *reload_elsewhere(void *arg)
{
    waiting *w = arg;
    w->rc = sl_reload_text(w->t->r, sl_str_of(w->text), &w->report, &w->st);
    return NULL;
}

static void a_reload_that_waits_holds_up_no_other(void **state)
{
    reloads *t = *state;
    waiting w = {.t = t};
    pthread_t thread;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    make_version(t->f, "c", "3");
    begin(t, list(model(t, "a", ""), ""));
    hold(t->f, 2, true);
    snprintf(w.text, sizeof w.text, "%s", list(model(t, "a", ""), model(t, "b", "")));
    pthread_create(&thread, NULL, reload_elsewhere, &w);
    until_started(t->f, 2, 1);
    assert_int_equal(reload(t, list(model(t, "a", ""), model(t, "c", ""))), SL_OK);
    assert_int_equal(answers(t->f, latest("c")), 3);
    hold(t->f, 2, false);
    pthread_join(thread, NULL);
    /* The model that it waited for was removed meanwhile: nothing is left to complain about. */
    assert_int_equal(w.rc, SL_OK);
    assert_non_null(
        strstr(w.report.p, "\"name\": \"b\", \"change\": \"added\", \"state\": \"removed\""));
    sl_text_fini(&w.report);
}

static void stopping_ends_a_wait(void **state)
{
    reloads *t = *state;
    waiting w = {.t = t};
    pthread_t thread;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    hold(t->f, 2, true);
    snprintf(w.text, sizeof w.text, "%s", list(model(t, "b", ""), ""));
    pthread_create(&thread, NULL, reload_elsewhere, &w);
    until_started(t->f, 2, 1);
    sl_reload_stop(t->r);
    pthread_join(thread, NULL);
    assert_int_equal(w.rc, SL_DEADLINE_EXCEEDED);
    hold(t->f, 2, false);
    sl_text_fini(&w.report);
}

static void the_file_is_read_and_what_is_in_force_can_be_asked(void **state)
{
    reloads *t = *state;
    sl_text wire = {0}, again = {0};
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    write_config(t, list(model(t, "b", ""), ""));
    assert_int_equal(sl_reload_file(t->r, &t->report, &t->st), SL_OK);
    assert_int_equal(answers(t->f, latest("b")), 2);
    assert_int_equal(sl_reload_current(t->r, false, &wire, &t->st), SL_OK);
    sl_text_fini(&t->report);
    assert_int_equal(reload(t, list(model(t, "a", ""), "")), SL_OK);
    sl_text_fini(&t->report);
    assert_int_equal(sl_reload_wire(t->r, (sl_str){wire.p, wire.n}, &t->report, &t->st), SL_OK);
    assert_int_equal(answers(t->f, latest("b")), 2);
    assert_int_equal(sl_reload_current(t->r, false, &again, &t->st), SL_OK);
    assert_true(sl_str_eq((sl_str){wire.p, wire.n}, (sl_str){again.p, again.n}));
    sl_text_fini(&wire);
    sl_text_fini(&again);
}

static void a_broken_file_leaves_what_is_in_force(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    begin(t, list(model(t, "a", ""), ""));
    write_config(t, "model_config_list {\n  config { nam: 'a' }\n}");
    assert_int_equal(sl_reload_file(t->r, &t->report, &t->st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(t->st.msg, "2:12: "));
    assert_non_null(strstr(t->st.msg, t->path));
    assert_int_equal(answers(t->f, latest("a")), 1);
}

static void poking_reads_the_file_on_the_reloads_own_thread(void **state)
{
    reloads *t = *state;
    make_version(t->f, "a", "1");
    make_version(t->f, "b", "2");
    begin(t, list(model(t, "a", ""), ""));
    write_config(t, list(model(t, "a", ""), model(t, "b", "")));
    sl_reload_poke(t->r);
    until_started(t->f, 2, 1);
    until(t->f, "b", 2, SL_STATE_AVAILABLE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(new_models_are_available_when_the_reload_returns),
        TEST(a_model_that_is_no_longer_listed_goes),
        TEST(one_wrong_model_leaves_everything_as_it_was),
        TEST(the_platform_of_a_model_does_not_change),
        TEST(a_model_that_fails_is_reported_and_repeating_the_reload_says_so_again),
        TEST(a_model_without_a_version_does_not_hold_the_reload_up),
        TEST(an_unchanged_configuration_is_not_applied_again),
        TEST(a_version_that_a_changed_model_asks_for_is_waited_for),
        TEST(the_wait_for_models_has_a_limit),
        TEST(a_reload_that_waits_holds_up_no_other),
        TEST(stopping_ends_a_wait),
        TEST(the_file_is_read_and_what_is_in_force_can_be_asked),
        TEST(a_broken_file_leaves_what_is_in_force),
        TEST(poking_reads_the_file_on_the_reloads_own_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
