#include "fixture.h"

#include "base/log.h"

/* What is not noticed is not seen before the test's time is over. */
enum { HARDLY_EVER_S = 3600 };

static sl_status st;

static int watch_of(fixture *f, const char *name)
{
    pthread_mutex_lock(&f->m->lock);
    const sl_served *model = sl_map_get(&f->m->by_name, sl_str_of(name));
    int watch = model ? model->watch : 0;
    pthread_mutex_unlock(&f->m->lock);
    return watch;
}

static size_t count(fixture *f, const sl_map *map)
{
    pthread_mutex_lock(&f->m->lock);
    size_t n = map->count;
    pthread_mutex_unlock(&f->m->lock);
    return n;
}

#define WATCHES(f) count(f, &(f)->m->watchers)

/* Those that are not configured any more end, are forgotten, and with them their watches. */
static void until_models_are_left(fixture *f, size_t n)
{
    while (count(f, &f->m->by_name) > n) {
        sl_clock_fake(sl_now_ns() + 2 * f->opts.forget_ns);
        sl_manager_look(f->m);
    }
}

static void a_new_version_is_noticed(void **state)
{
    fixture *f = *state;
    make_version(f, "m", "1");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_true(watch_of(f, "m") > 0);
    make_version(f, "m", "2");
    until(f, "m", 2, SL_STATE_AVAILABLE);
}

/* Configures `count` models whose base path is that of "m". */
static void share(fixture *f, const char *const *names, int count)
{
    sl_model_config c[3] = {{0}};
    char base[256];
    snprintf(base, sizeof base, "%s/m", f->dir);
    for (int i = 0; i < count; i++)
        c[i] = (sl_model_config){.name = names[i], .base_path = base};
    assert_int_equal(sl_manager_configure(f->m, c, count, &st), SL_OK);
    sl_manager_look(f->m);
}

static void models_that_share_a_base_path_share_its_watch(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"a", "b", "c"};
    make_version(f, "m", "1");
    start(f);
    share(f, names, 3);
    assert_true(watch_of(f, "a") > 0);
    assert_int_equal(watch_of(f, "b"), watch_of(f, "a"));
    assert_int_equal(watch_of(f, "c"), watch_of(f, "a"));
    assert_int_equal(WATCHES(f), 1);
    make_version(f, "m", "2");
    for (int i = 0; i < 3; i++)
        until(f, names[i], 2, SL_STATE_AVAILABLE);
}

static void the_watch_stays_until_the_last_of_them_has_gone(void **state)
{
    fixture *f = *state;
    static const char *const names[] = {"a", "b", "c"}, *const ends[] = {"a", "c"};
    f->opts.forget_ns = 1000000;
    make_version(f, "m", "1");
    start(f);
    share(f, names, 3);
    share(f, ends, 2); /* the one between them goes */
    until_models_are_left(f, 2);
    share(f, ends, 1);
    until_models_are_left(f, 1);
    assert_int_equal(WATCHES(f), 1);
    sl_clock_fake(0);
    make_version(f, "m", "2");
    until(f, "a", 2, SL_STATE_AVAILABLE);
    share(f, NULL, 0);
    until_models_are_left(f, 0);
    assert_int_equal(WATCHES(f), 0);
}

static void a_directory_that_goes_takes_its_watch_with_it(void **state)
{
    fixture *f = *state;
    char dir[256];
    make_version(f, "m", "");
    configure(f, "m", (sl_model_config){0}, &st);
    assert_true(watch_of(f, "m") > 0);
    snprintf(dir, sizeof dir, "%s/m", f->dir);
    assert_int_equal(rmdir(dir), 0);
    while (watch_of(f, "m") > 0)
        sched_yield();
    assert_int_equal(WATCHES(f), 0);
    make_version(f, "m", "1"); /* another directory; only a look can find it */
    sl_manager_look(f->m);
    assert_true(watch_of(f, "m") > 0);
    until(f, "m", 1, SL_STATE_AVAILABLE);
}

static void thousands_of_models_come_and_go_at_once(void **state)
{
    enum { MODELS = 5000, DIRECTORIES = 500 };
    fixture *f = *state;
    sl_model_config *c = calloc(MODELS, sizeof *c);
    sl_clock_fake(1000000000);
    f->opts.forget_ns = 1000000;
    for (int i = 0; i < MODELS; i++) {
        char *name = malloc(16), *base = malloc(128), dir[16];
        snprintf(name, 16, "m%d", i);
        snprintf(dir, sizeof dir, "d%d", i % DIRECTORIES);
        snprintf(base, 128, "%s/%s", f->dir, dir);
        make_version(f, dir, "");
        c[i] = (sl_model_config){.name = name, .base_path = base};
    }
    start(f);
    for (int times = 0; times < 2; times++) {
        assert_int_equal(sl_manager_configure(f->m, c, MODELS, &st), SL_OK);
        sl_manager_look(f->m);
        assert_int_equal(WATCHES(f), DIRECTORIES);
        assert_int_equal(sl_manager_configure(f->m, NULL, 0, &st), SL_OK);
        until_models_are_left(f, 0);
        assert_int_equal(WATCHES(f), 0);
    }
    for (int i = 0; i < MODELS; i++) {
        free((char *)c[i].name);
        free((char *)c[i].base_path);
    }
    free(c);
}

static int that_listens(void **state)
{
    int rc = new_fixture(state);
    if (rc == 0)
        ((fixture *)*state)->opts.poll_seconds = HARDLY_EVER_S;
    return rc;
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, that_listens, free_fixture)
    sl_log_options quiet = {.level = SL_ERROR, .fd = 2};
    const struct CMUnitTest tests[] = {
        T(a_new_version_is_noticed),
        T(models_that_share_a_base_path_share_its_watch),
        T(the_watch_stays_until_the_last_of_them_has_gone),
        T(a_directory_that_goes_takes_its_watch_with_it),
        T(thousands_of_models_come_and_go_at_once),
    };
    if (sl_log_start(&quiet, &st))
        return 1;
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    sl_log_stop();
    return rc;
}
