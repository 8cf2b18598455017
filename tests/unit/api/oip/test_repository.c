/* test_repository.c - changes of models, one after the other on a thread of their own */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "api/oip/repository.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"

enum { MOST = 70 };

typedef struct fixture {
    sl_oip_changer changer;
    pthread_mutex_t lock;
    sl_cond changed;
    bool held; /* apply waits while it is */
    int applied, done;
    char order[256]; /* "+a-b" */
    sl_oip_change changes[MOST];
    sl_status st[MOST];
    sl_code codes[MOST];
} fixture;

static fixture *the; /* done() gets nothing but its change */

static sl_code apply(void *arg, sl_str model, bool load, sl_status *st)
{
    fixture *f = arg;
    pthread_mutex_lock(&f->lock);
    f->applied++;
    sl_cond_broadcast(&f->changed);
    while (f->held)
        sl_cond_wait(&f->changed, &f->lock);
    size_t n = strlen(f->order);
    snprintf(f->order + n, sizeof f->order - n, "%c%.*s", load ? '+' : '-', SL_STR_ARG(model));
    pthread_mutex_unlock(&f->lock);
    return sl_str_is(model, "bad") ? sl_fail(st, SL_NOT_FOUND, "bad") : SL_OK;
}

static void done(sl_oip_change *c, sl_code rc)
{
    fixture *f = the;
    pthread_mutex_lock(&f->lock);
    f->codes[c - f->changes] = rc;
    f->done++;
    sl_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static int setup(void **state)
{
    fixture *f = the = sl_calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    sl_cond_init(&f->changed);
    sl_oip_changer_init(&f->changer, apply, f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    pthread_mutex_destroy(&f->lock);
    sl_free(f);
    return 0;
}

static sl_code submit(fixture *f, int i, const char *model, bool load)
{
    f->changes[i] =
        (sl_oip_change){.model = sl_str_of(model), .load = load, .st = &f->st[i], .done = done};
    return sl_oip_changer_submit(&f->changer, &f->changes[i]);
}

static void wait_for(fixture *f, const int *what, int n)
{
    pthread_mutex_lock(&f->lock);
    while (*what < n)
        sl_cond_wait(&f->changed, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void hold(fixture *f, bool held)
{
    pthread_mutex_lock(&f->lock);
    f->held = held;
    sl_cond_broadcast(&f->changed);
    pthread_mutex_unlock(&f->lock);
}

static void changes_are_applied_in_their_order(void **state)
{
    fixture *f = *state;
    hold(f, true);
    assert_int_equal(submit(f, 0, "a", true), SL_OK);
    assert_int_equal(submit(f, 1, "bad", true), SL_OK);
    assert_int_equal(submit(f, 2, "a", false), SL_OK);
    hold(f, false);
    wait_for(f, &f->done, 3);
    sl_oip_changer_fini(&f->changer);
    assert_string_equal(f->order, "+a+bad-a");
    assert_int_equal(f->codes[0], SL_OK);
    assert_int_equal(f->codes[1], SL_NOT_FOUND);
    assert_int_equal(f->codes[2], SL_OK);
}

static void the_end_waits_for_one_and_refuses_the_others(void **state)
{
    fixture *f = *state;
    hold(f, true);
    assert_int_equal(submit(f, 0, "a", true), SL_OK);
    wait_for(f, &f->applied, 1);
    assert_int_equal(submit(f, 1, "b", true), SL_OK);
    pthread_mutex_lock(&f->changer.lock);
    f->changer.ending = true; /* as fini does first; it then waits for what is held here */
    pthread_mutex_unlock(&f->changer.lock);
    assert_int_equal(submit(f, 2, "c", true), SL_UNAVAILABLE);
    hold(f, false);
    sl_oip_changer_fini(&f->changer);
    assert_int_equal(f->done, 2);
    assert_int_equal(f->codes[0], SL_OK);
    assert_int_equal(f->codes[1], SL_UNAVAILABLE);
    assert_string_equal(f->order, "+a");
}

static void only_so_many_wait(void **state)
{
    fixture *f = *state;
    hold(f, true);
    assert_int_equal(submit(f, 0, "a", true), SL_OK);
    wait_for(f, &f->applied, 1);
    for (int i = 1; i <= 64; i++)
        assert_int_equal(submit(f, i, "b", true), SL_OK);
    assert_int_equal(submit(f, 65, "b", true), SL_RESOURCE_EXHAUSTED);
    hold(f, false);
    wait_for(f, &f->done, 65);
    sl_oip_changer_fini(&f->changer);
}

static void without_a_way_to_change_there_is_none(void **state)
{
    fixture *f = *state;
    f->changer.apply = NULL;
    assert_int_equal(submit(f, 0, "a", true), SL_UNIMPLEMENTED);
    sl_oip_changer_fini(&f->changer);
}

static void without_a_thread_nothing_is_changed(void **state)
{
    fixture *f = *state;
    sl_fault_arm(SL_FAULT_THREAD, 1);
    assert_int_equal(submit(f, 0, "a", true), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_THREAD, 0);
    assert_int_equal(submit(f, 1, "b", true), SL_OK); /* the next one tries again */
    wait_for(f, &f->done, 1);
    sl_oip_changer_fini(&f->changer);
    assert_string_equal(f->order, "+b");
}

static void a_model_is_described_by_its_default_signature_or_the_first(void **state)
{
    fixture *f = *state;
    static const sl_signature list[] = {
        {.key = "__a"}, {.key = "__b"}, {.key = "c"}, {.key = "serving_default"}};
    static const struct {
        int first, count;
        const char *key;
    } rows[] = {{0, 4, "serving_default"}, {0, 3, "c"}, {1, 2, "c"}, {0, 2, ""}, {0, 0, ""}};
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        const sl_signatures s = {.list = list + rows[i].first, .count = rows[i].count};
        const sl_version v = {.signatures = &s};
        assert_string_equal(sl_oip_main_signature(&v)->key, rows[i].key);
    }
    sl_oip_changer_fini(&f->changer);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(changes_are_applied_in_their_order),
        T(the_end_waits_for_one_and_refuses_the_others),
        T(only_so_many_wait),
        T(without_a_way_to_change_there_is_none),
        T(without_a_thread_nothing_is_changed),
        T(a_model_is_described_by_its_default_signature_or_the_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
