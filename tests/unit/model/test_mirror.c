/* test_mirror.c - models whose base path lies elsewhere, and a directory that stands for it */
#include "fixture.h"

#include "base/arena.h"

static sl_status st;
static char mirror[256], base[] = "s3://bucket/m";

/* A version as whoever keeps the mirror publishes it: its files, then the link. */
static void publish(fixture *f, const char *version, const char *content)
{
    char data[300], link[400], fresh[400];
    snprintf(data, sizeof data, "%s/%s-%s", f->dir, version, content);
    snprintf(link, sizeof link, "%s/%s", mirror, version);
    snprintf(fresh, sizeof fresh, "%s/.new", mirror);
    assert_int_equal(mkdir(data, 0777), 0);
    mkdir(mirror, 0777);
    assert_int_equal(symlink(data, fresh), 0);
    assert_int_equal(rename(fresh, link), 0);
}

static void explain(void *arg, const char *base_path, sl_text *out)
{
    (void)arg;
    sl_text_printf(out, "UNAVAILABLE: %s is away", base_path);
}

static void begin(fixture *f, sl_model_config c)
{
    snprintf(mirror, sizeof mirror, "%s/versions", f->dir);
    c.base_path = base;
    c.mirror = mirror;
    f->opts.explain = explain;
    assert_int_equal(configure(f, "m", c, &st), SL_OK);
}

static void a_mirror_that_is_not_there_yet_is_waited_for(void **state)
{
    fixture *f = *state;
    begin(f, (sl_model_config){0});
    assert_int_equal(sl_manager_wait(f->m, sl_now_ns() + 1, &st), SL_UNKNOWN);
    assert_non_null(strstr(st.msg, "DEADLINE_EXCEEDED"));
    publish(f, "7", "a");
    sl_manager_look_soon(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, latest("m")), 7);
}

static void one_that_stays_empty_is_told_with_its_reason(void **state)
{
    fixture *f = *state;
    sl_arena arena;
    const sl_version_info *list;
    int n;
    sl_model_spec spec = latest("m");
    begin(f, (sl_model_config){0});
    assert_int_equal(mkdir(mirror, 0777), 0);
    sl_manager_look(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN);
    assert_non_null(strstr(st.msg, "at: s3://bucket/m: UNAVAILABLE: s3://bucket/m is away}"));
    assert_int_equal(sl_arena_init(&arena, 0), SL_OK);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &list, &n, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg,
                        "Could not find any versions of model m: UNAVAILABLE: s3://bucket/m "
                        "is away");
    sl_arena_fini(&arena);
}

static void a_version_is_loaded_from_where_its_link_leads(void **state)
{
    fixture *f = *state;
    char wanted[300];
    begin(f, (sl_model_config){0});
    publish(f, "1", "a");
    sl_manager_look(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    snprintf(wanted, sizeof wanted, "%s/1-a", f->dir);
    assert_string_equal(f->path, wanted);
    publish(f, "1", "b"); /* one that serves goes on with what it has */
    sl_manager_look(f->m);
    assert_int_equal(count_of(f, &f->started[1]), 1);
    assert_int_equal(answers(f, latest("m")), 1);
}

static void a_version_that_failed_is_tried_again_when_its_link_leads_elsewhere(void **state)
{
    fixture *f = *state;
    char wanted[300];
    outcome(f, 1, SL_DATA_LOSS);
    begin(f, (sl_model_config){0});
    publish(f, "1", "a");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_END);
    outcome(f, 1, SL_OK);
    publish(f, "1", "b");
    sl_manager_look(f->m);
    until(f, "m", 1, SL_STATE_AVAILABLE);
    snprintf(wanted, sizeof wanted, "%s/1-b", f->dir);
    assert_string_equal(f->path, wanted);
}

static void a_label_is_not_refused_while_nobody_knows_the_versions(void **state)
{
    fixture *f = *state;
    sl_label label = {"stable", 3};
    begin(f, (sl_model_config){.labels = &label, .n_labels = 1});
    publish(f, "3", "a");
    sl_manager_look(f->m);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_OK);
    assert_int_equal(answers(f, labelled("m", "stable")), 3);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, new_fixture, free_fixture)
    const struct CMUnitTest tests[] = {
        T(a_mirror_that_is_not_there_yet_is_waited_for),
        T(one_that_stays_empty_is_told_with_its_reason),
        T(a_version_is_loaded_from_where_its_link_leads),
        T(a_version_that_failed_is_tried_again_when_its_link_leads_elsewhere),
        T(a_label_is_not_refused_while_nobody_knows_the_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
