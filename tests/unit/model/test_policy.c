#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "model/policy.h"

/* ---- selecting ---- */

typedef struct fixture {
    char dir[64];
    sl_text remarks;
    sl_aspired_set set;
    sl_status st;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/sluice-policy-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) == NULL;
}

static int teardown(void **state)
{
    fixture *f = *state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    sl_aspired_fini(&f->set);
    sl_text_fini(&f->remarks);
    free(f);
    return system(command);
}

static void make(fixture *f, const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

/* Selects with `c`, and expects these directory names, ascending, separated by blanks. */
static void expect(fixture *f, sl_model_config c, const char *names)
{
    char found[256] = "";
    c.name = "m";
    c.base_path = f->dir;
    sl_aspired_fini(&f->set);
    sl_text_fini(&f->remarks);
    assert_int_equal(sl_policy_select(&c, NULL, NULL, &f->set, &f->remarks, &f->st), SL_OK);
    for (int i = 0; i < f->set.count; i++) {
        strcat(found, i ? " " : "");
        strcat(found, strrchr(f->set.list[i].path, '/') + 1);
    }
    assert_string_equal(found, names);
}

static void latest_takes_the_highest_numbers(void **state)
{
    fixture *f = *state;
    make(f, "2");
    make(f, "10");
    make(f, "-4");
    expect(f, (sl_model_config){0}, "10");
    expect(f, (sl_model_config){.num_versions = 2}, "2 10");
    expect(f, (sl_model_config){.num_versions = 4000000000u}, "-4 2 10");
    expect(f, (sl_model_config){.policy = SL_POLICY_ALL}, "-4 2 10");
    assert_null(f->remarks.p);
}

static void of_equal_numbers_the_last_name_wins_but_under_all_the_first(void **state)
{
    fixture *f = *state;
    make(f, "1");
    make(f, "01");
    make(f, "001");
    expect(f, (sl_model_config){0}, "1");
    assert_string_equal(f->remarks.p,
                        "WDuplicate version directories detected. Version 1 will be loaded from "
                        "01, 001 will be ignored.\n"
                        "WDuplicate version directories detected. Version 1 will be loaded from "
                        "1, 01 will be ignored.\n");
    expect(f, (sl_model_config){.policy = SL_POLICY_ALL}, "001");
}

static void specific_takes_what_is_there_and_names_the_rest(void **state)
{
    fixture *f = *state;
    static const int64_t wanted[] = {5, 3, 5};
    sl_model_config c = {.policy = SL_POLICY_SPECIFIC, .versions = wanted, .n_versions = 3};
    make(f, "4");
    make(f, "003");
    expect(f, c, "003");
    assert_string_equal(f->remarks.p,
                        "EVersion 5 of servable m, which was requested to be served as a "
                        "'specific' version in the servable's version policy, was not found in "
                        "the file system\n");
    make(f, "3");
    make(f, "5");
    expect(f, c, "3 5"); /* without reading the directory: plain decimal names */
    assert_null(f->remarks.p);
}

static void nothing_found_is_remarked(void **state)
{
    fixture *f = *state;
    char wanted[256];
    expect(f, (sl_model_config){0}, "");
    snprintf(wanted, sizeof wanted,
             "WNo versions of servable m found under base path %s. Did you forget to name your "
             "leaf directory as a number (eg. '/1/')?\n",
             f->dir);
    assert_string_equal(f->remarks.p, wanted);
}

static void missing_base_path_is_an_error(void **state)
{
    fixture *f = *state;
    sl_model_config c = {.name = "m", .base_path = "/nowhere/at/all"};
    assert_int_equal(sl_policy_select(&c, NULL, NULL, &f->set, &f->remarks, &f->st), SL_NOT_FOUND);
    assert_string_equal(f->st.msg, "Could not find base path /nowhere/at/all for servable m with "
                                   "error NOT_FOUND: /nowhere/at/all not found");
}

/* ---- what to do next ---- */

static sl_transition transition;

static void expect_next(const sl_policy_version *v, int count, sl_action action, int which)
{
    int found = -1;
    assert_int_equal(sl_policy_next(transition, v, count, &found), action);
    if (action != SL_ACTION_NONE)
        assert_int_equal(found, which);
}

static void highest_aspired_version_is_loaded_first(void **state)
{
    (void)state;
    const sl_policy_version v[] = {{9, true, SL_STAGE_OVER},
                                   {7, true, SL_STAGE_NEW},
                                   {8, true, SL_STAGE_NEW},
                                   {10, false, SL_STAGE_NEW}};
    expect_next(v, 4, SL_ACTION_LOAD, 2);
}

static void old_version_stays_until_a_new_one_is_ready(void **state)
{
    (void)state;
    sl_policy_version v[] = {{2, true, SL_STAGE_BUSY}, {1, false, SL_STAGE_READY}};
    expect_next(v, 2, SL_ACTION_NONE, 0);
    v[0].stage = SL_STAGE_OVER; /* it failed */
    expect_next(v, 2, SL_ACTION_NONE, 0);
    v[0].stage = SL_STAGE_READY;
    expect_next(v, 2, SL_ACTION_UNLOAD, 1);
}

static void only_one_old_version_is_kept(void **state)
{
    (void)state;
    const sl_policy_version v[] = {
        {3, true, SL_STAGE_NEW}, {2, false, SL_STAGE_READY}, {1, false, SL_STAGE_READY}};
    expect_next(v, 3, SL_ACTION_UNLOAD, 2); /* the lowest, and before any load */
}

static void everything_goes_when_nothing_is_aspired(void **state)
{
    (void)state;
    const sl_policy_version v[] = {{1, false, SL_STAGE_READY}};
    expect_next(v, 1, SL_ACTION_UNLOAD, 0);
    expect_next(v, 0, SL_ACTION_NONE, 0);
}

static void resources_are_given_back_before_new_ones_are_taken(void **state)
{
    (void)state;
    transition = SL_TRANSITION_RESOURCE;
    sl_policy_version v[] = {{2, true, SL_STAGE_NEW}, {1, false, SL_STAGE_READY}};
    expect_next(v, 2, SL_ACTION_UNLOAD, 1);
    v[1].stage = SL_STAGE_GOING;
    expect_next(v, 2, SL_ACTION_NONE, 0);
    v[1].stage = SL_STAGE_BUSY; /* it was being loaded: that cannot be stopped */
    expect_next(v, 2, SL_ACTION_NONE, 0);
    v[1].stage = SL_STAGE_OVER;
    expect_next(v, 2, SL_ACTION_LOAD, 0);
    transition = SL_TRANSITION_AVAILABILITY;
}

/* ---- which may be taken ---- */

static bool is_not_7(void *arg, int64_t number, const char *path)
{
    (void)path;
    ++*(int *)arg;
    return number != 7;
}

static void version_that_may_not_be_taken_is_as_if_it_were_not_there(void **state)
{
    fixture *f = *state;
    int asked = 0;
    sl_model_config c = {.name = "m", .base_path = f->dir};
    make(f, "5");
    make(f, "6");
    make(f, "7");
    assert_int_equal(sl_policy_select(&c, is_not_7, &asked, &f->set, &f->remarks, &f->st), SL_OK);
    assert_int_equal(f->set.count, 1);
    assert_int_equal(f->set.list[0].number, 6);
    assert_int_equal(asked, 2); /* 5 would not be wanted anyway */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(latest_takes_the_highest_numbers),
        TEST(resources_are_given_back_before_new_ones_are_taken),
        TEST(version_that_may_not_be_taken_is_as_if_it_were_not_there),
        TEST(of_equal_numbers_the_last_name_wins_but_under_all_the_first),
        TEST(specific_takes_what_is_there_and_names_the_rest),
        TEST(nothing_found_is_remarked),
        TEST(missing_base_path_is_an_error),
        cmocka_unit_test(highest_aspired_version_is_loaded_first),
        cmocka_unit_test(old_version_stays_until_a_new_one_is_ready),
        cmocka_unit_test(only_one_old_version_is_kept),
        cmocka_unit_test(everything_goes_when_nothing_is_aspired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
