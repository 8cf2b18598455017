#include "fixture.h"

#include <fcntl.h>

#include "base/arena.h"

/*
 * A base path below .../dead hangs until it is let go. access(2) is the first thing that the manager
 * asks through libc here; a program's own definition goes before libc's.
 */
static struct {
    pthread_mutex_t lock;
    sl_cond moved;
    bool hangs;
    int inside;
} dead = {.lock = PTHREAD_MUTEX_INITIALIZER};

int access(const char *path, int mode)
{
    pthread_mutex_lock(&dead.lock);
    if (strstr(path, "/dead") != NULL) {
        dead.inside++;
        sl_cond_broadcast(&dead.moved);
        while (dead.hangs)
            sl_cond_wait(&dead.moved, &dead.lock);
        dead.inside--;
    }
    pthread_mutex_unlock(&dead.lock);
    return faccessat(AT_FDCWD, path, mode, 0);
}

static void let_hang(bool on)
{
    pthread_mutex_lock(&dead.lock);
    dead.hangs = on;
    sl_cond_broadcast(&dead.moved);
    pthread_mutex_unlock(&dead.lock);
}

static void until_inside(int how_many)
{
    pthread_mutex_lock(&dead.lock);
    while (dead.inside < how_many)
        sl_cond_wait(&dead.moved, &dead.lock);
    pthread_mutex_unlock(&dead.lock);
}

static int how_many_inside(void)
{
    pthread_mutex_lock(&dead.lock);
    int n = dead.inside;
    pthread_mutex_unlock(&dead.lock);
    return n;
}

static const uint64_t begin = 1000000000000, second = 1000000000;

static void be_at(fixture *f, uint64_t seconds)
{
    sl_clock_fake(begin + seconds * second);
    sl_manager_poke(f->m);
}

static void configure_all(fixture *f, const char *const *names, int n)
{
    sl_model_config models[4] = {0};
    char paths[4][256];
    sl_status st = {0};
    for (int i = 0; i < n; i++) {
        snprintf(paths[i], sizeof paths[i], "%s/%s", f->dir, names[i]);
        models[i] = (sl_model_config){.name = names[i], .base_path = paths[i]};
    }
    assert_int_equal(sl_manager_configure(f->m, models, n, &st), SL_OK);
}

static void start_with_dead_and_fine(fixture *f)
{
    static const char *const names[] = {"dead", "fine"};
    make_version(f, "dead", "1");
    make_version(f, "fine", "1");
    let_hang(true);
    sl_clock_fake(begin);
    start(f);
    configure_all(f, names, 2);
    until_inside(1);
    be_at(f, 10);
}

static void expect_status(fixture *f, const char *model, const char *part)
{
    const sl_version_info *list;
    int count;
    sl_status st = {0};
    sl_arena arena = {0};
    sl_model_spec spec = latest(model);
    assert_int_equal(sl_manager_status(f->m, &spec, &arena, &list, &count, &st), SL_NOT_FOUND);
    if (strstr(st.msg, part) == NULL)
        fail_msg("%s", st.msg);
    sl_arena_fini(&arena);
}

static void one_base_path_that_hangs_does_not_stop_the_others(void **state)
{
    fixture *f = *state;
    sl_status st = {0};
    start_with_dead_and_fine(f);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN); /* it returns */
    assert_non_null(strstr(st.msg, "1 servable(s) did not become available"));
    assert_non_null(strstr(st.msg, "does not answer"));
    assert_int_equal(answers(f, latest("fine")), 1);
    expect_status(f, "dead", "does not answer");
    assert_true(sl_manager_hangs(f->m));

    make_version(f, "fine", "2");
    sl_manager_look(f->m);
    until(f, "fine", 2, SL_STATE_AVAILABLE);
    assert_int_equal(how_many_inside(), 1); /* nobody else went there */

    let_hang(false);
    until(f, "dead", 1, SL_STATE_AVAILABLE);
    assert_false(sl_manager_hangs(f->m));
}

static void what_serves_goes_on_when_its_base_path_dies(void **state)
{
    static const char *const names[] = {"dead", "fine"};
    fixture *f = *state;
    make_version(f, "dead", "1");
    make_version(f, "fine", "1");
    sl_clock_fake(begin);
    start(f);
    configure_all(f, names, 2);
    until(f, "dead", 1, SL_STATE_AVAILABLE);
    make_version(f, "dead", "2");
    let_hang(true);
    sl_manager_look_soon(f->m);
    until_inside(1);
    be_at(f, 10);
    sl_manager_look(f->m);
    assert_int_equal(answers(f, latest("dead")), 1);
    assert_int_equal(answers(f, latest("fine")), 1);
    let_hang(false);
    until(f, "dead", 2, SL_STATE_AVAILABLE);
}

static void model_is_configured_elsewhere_meanwhile(void **state)
{
    fixture *f = *state;
    char elsewhere[256];
    sl_status st = {0};
    start_with_dead_and_fine(f);
    sl_manager_look(f->m);
    snprintf(elsewhere, sizeof elsewhere, "%s/fine", f->dir);
    sl_model_config moved = {.name = "dead", .base_path = elsewhere};
    assert_int_equal(sl_manager_configure(f->m, &moved, 1, &st), SL_OK);
    until(f, "dead", 1, SL_STATE_AVAILABLE);
    assert_string_equal(managed(f, "dead", 1)->path + strlen(f->dir), "/fine/1");
    let_hang(false); /* what that look saw says nothing any more */
    while (sl_manager_hangs(f->m))
        sl_manager_look(f->m);
    sl_manager_look(f->m);
    assert_string_equal(managed(f, "dead", 1)->path + strlen(f->dir), "/fine/1");
}

static void model_that_hangs_may_be_removed(void **state)
{
    static const char *const names[] = {"fine"};
    fixture *f = *state;
    f->opts.forget_ns = 1;
    start_with_dead_and_fine(f);
    sl_manager_look(f->m);
    configure_all(f, names, 1);
    be_at(f, 20);
    sl_manager_look(f->m);
    assert_int_equal(answers(f, latest("fine")), 1);
    let_hang(false);
    while (sl_manager_hangs(f->m))
        sl_manager_look(f->m);
    be_at(f, 30);
    sl_manager_look(f->m);
    expect_status(f, "dead", "Could not find any versions of model dead");
}

static void each_path_that_hangs_is_left_to_one_thread(void **state)
{
    static const char *const names[] = {"dead", "dead2", "fine"};
    fixture *f = *state;
    make_version(f, "dead", "1");
    make_version(f, "dead2", "1");
    make_version(f, "fine", "1");
    let_hang(true);
    sl_clock_fake(begin);
    start(f);
    configure_all(f, names, 3);
    until_inside(1);
    be_at(f, 10);
    until_inside(2);
    assert_int_equal(answers(f, latest("fine")), -SL_NOT_FOUND);
    be_at(f, 20);
    until(f, "fine", 1, SL_STATE_AVAILABLE);
    for (int i = 0; i < 3; i++)
        sl_manager_look(f->m);
    assert_int_equal(how_many_inside(), 2);
    let_hang(false);
    until(f, "dead2", 1, SL_STATE_AVAILABLE);
}

static void *time_passes(void *arg)
{
    until_inside(1);
    be_at(arg, 10);
    return NULL;
}

static void labels_of_a_path_that_hangs_are_taken_as_they_are(void **state)
{
    fixture *f = *state;
    pthread_t thread;
    char path[256];
    sl_status st = {0};
    sl_label label = {"stable", 1};
    make_version(f, "dead", "1");
    let_hang(true);
    sl_clock_fake(begin);
    start(f);
    pthread_create(&thread, NULL, time_passes, f);
    snprintf(path, sizeof path, "%s/dead", f->dir);
    sl_model_config c = {.name = "dead", .base_path = path, .labels = &label, .n_labels = 1};
    assert_int_equal(sl_manager_configure(f->m, &c, 1, &st), SL_OK);
    pthread_join(thread, NULL);
    assert_int_equal(sl_manager_wait(f->m, 0, &st), SL_UNKNOWN); /* nobody goes there again */
    assert_int_equal(how_many_inside(), 1);
    let_hang(false);
    until(f, "dead", 1, SL_STATE_AVAILABLE);
    assert_int_equal(answers(f, labelled("dead", "stable")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_base_path_that_hangs_does_not_stop_the_others,
                                        new_fixture, free_fixture),
        cmocka_unit_test_setup_teardown(what_serves_goes_on_when_its_base_path_dies, new_fixture,
                                        free_fixture),
        cmocka_unit_test_setup_teardown(model_is_configured_elsewhere_meanwhile, new_fixture,
                                        free_fixture),
        cmocka_unit_test_setup_teardown(model_that_hangs_may_be_removed, new_fixture, free_fixture),
        cmocka_unit_test_setup_teardown(each_path_that_hangs_is_left_to_one_thread, new_fixture,
                                        free_fixture),
        cmocka_unit_test_setup_teardown(labels_of_a_path_that_hangs_are_taken_as_they_are,
                                        new_fixture, free_fixture),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
