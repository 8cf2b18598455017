/*
 * test_remote.c - the rounds of a mirror: what is asked of the helper after each of its answers
 *
 * There is no helper: the test reads what would be sent to it and answers in its place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "server/remote_internal.h"

static sl_remote *r;
static remote_mirror *m;
static char dir[64];
static int looks;
static int64_t used[4];
static int n_used;
static sl_fetch_reader sent;
static sl_fetch_msg asked;
static sl_status st;

static void changed(void *arg)
{
    (void)arg;
    looks++;
}

static int in_use(void *arg, const char *model, int64_t **numbers, int count)
{
    (void)arg, (void)model;
    *numbers = sl_realloc(*numbers, ((size_t)count + 4) * sizeof **numbers);
    for (int i = 0; i < n_used; i++)
        (*numbers)[count++] = used[i];
    return count;
}

static void at(uint64_t seconds)
{
    sl_clock_fake((1000 + seconds) * 1000000000u);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sluice-remote-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    sl_log_set_level(SL_FATAL);
    at(0);
    looks = n_used = 0;
    r = sl_calloc(1, sizeof *r);
    m = sl_calloc(1, sizeof *m);
    pthread_mutex_init(&r->lock, NULL);
    pthread_mutex_lock(&r->lock);
    r->opts = (sl_remote_options){.poll_seconds = 60, .changed = changed, .in_use = in_use};
    r->socket = 0; /* never written to: the test takes what is in r->out */
    r->mirrors = m;
    m->url = sl_strdup("s3://b/m");
    m->dir = sl_strdup(dir);
    m->versions_dir = sl_malloc(128);
    snprintf(m->versions_dir, 128, "%s/versions", dir);
    m->wants = sl_calloc(1, sizeof *m->wants);
    m->n_wants = 1;
    m->wants[0].model = sl_strdup("m");
    static const char *const labels[] = {"base_path", NULL};
    static const double limits[] = {1};
    sl_str value = SL_STR("s3://b/m");
    m->bytes = m->ok = m->bad =
        sl_metric_cell(sl_metric_register("/test/remote", SL_COUNTER, labels, NULL, 0), &value);
    m->seconds = sl_metric_cell(
        sl_metric_register("/test/remote_seconds", SL_HISTOGRAM, labels, limits, 1), &value);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    remote_round_free_list(m);
    sl_free(m->wants[0].model);
    sl_free(m->wants[0].versions);
    sl_free(m->wants);
    sl_free(m->url);
    sl_free(m->dir);
    sl_free(m->versions_dir);
    sl_free(m);
    sl_text_fini(&r->out);
    pthread_mutex_unlock(&r->lock);
    sl_free(r);
    sl_fetch_msg_fini(&asked);
    sl_fetch_reader_fini(&sent);
    sl_clock_fake(0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* The next thing that the helper is asked; false: nothing. */
static bool next(void)
{
    sl_fetch_msg_fini(&asked);
    sl_text_add(&sent.bytes, r->out.p ? r->out.p : "", r->out.n);
    r->out.n = 0;
    return sl_fetch_read(&sent, &asked, &st) == SL_OK;
}

static void expect(sl_fetch_kind kind, const char *name)
{
    assert_true(next());
    assert_int_equal(asked.kind, kind);
    assert_true(sl_str_is(asked.name, name));
}

static void listed(const char *names)
{
    sl_str list[8];
    int n = 0;
    for (; *names; names++)
        list[n++] = (sl_str){names, 1};
    remote_round_hear(
        r, &(sl_fetch_msg){.kind = SL_FETCH_LISTED, .id = asked.id, .names = list, .n_names = n});
}

static void got(bool is_new)
{
    remote_round_hear(
        r, &(sl_fetch_msg){.kind = SL_FETCH_GOT, .id = asked.id, .changed = is_new, .total = 9});
}

static void failed(sl_fetch_kind kind, sl_code code)
{
    remote_round_hear(
        r, &(sl_fetch_msg){.kind = kind, .id = asked.id, .code = code, .text = SL_STR("why")});
}

static bool is_seen(void)
{
    return access(m->versions_dir, F_OK) == 0;
}

static void the_highest_version_is_fetched_and_then_there_is_order(void **state)
{
    (void)state;
    used[n_used++] = 2;
    assert_true(remote_round_tend(r, sl_now_ns()) == UINT64_MAX);
    expect(SL_FETCH_LIST, "");
    assert_true(sl_str_is(asked.url, "s3://b/m") && sl_str_is(asked.dir, dir));
    listed("213");
    expect(SL_FETCH_GET, "3");
    assert_false(is_seen());
    got(true);
    assert_true(is_seen());
    expect(SL_FETCH_TIDY, "");
    /* 2 is in use: it is neither hidden nor removed yet. 1 is both. */
    assert_true(asked.n_names == 2 && sl_str_is(asked.names[0], "2") &&
                sl_str_is(asked.names[1], "3"));
    assert_true(asked.n_numbers == 1 && asked.numbers[0] == 2);
    got(false);
    assert_int_equal(looks, 1);
    assert_false(next());
    assert_true(remote_round_tend(r, sl_now_ns()) == sl_now_ns() + 60 * UINT64_C(1000000000));
    at(60);
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    listed("3");
    expect(SL_FETCH_GET, "3");
    got(false);
    expect(SL_FETCH_TIDY, "");
    assert_true(asked.n_names == 1 && sl_str_is(asked.names[0], "3")); /* 2 has left the store */
    got(false);
    assert_int_equal(looks, 1); /* nothing new */
}

static void an_empty_listing_hides_nothing(void **state)
{
    (void)state;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    listed("");
    assert_false(next());   /* no TIDY */
    assert_true(is_seen()); /* nobody waits for it any longer */
    assert_int_equal(m->error.code, SL_NOT_FOUND);
    assert_int_equal(looks, 1);
}

static void a_listing_that_fails_hides_nothing_and_comes_again_soon(void **state)
{
    (void)state;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    failed(SL_FETCH_FAILED, SL_UNAVAILABLE);
    assert_false(next());
    assert_true(is_seen());
    assert_int_equal(m->error.code, SL_UNAVAILABLE);
    assert_true(m->due_ns == sl_now_ns() + 2 * UINT64_C(1000000000));
    for (int i = 0; i < 20; i++) {
        sl_clock_fake(m->due_ns);
        remote_round_tend(r, sl_now_ns());
        expect(SL_FETCH_LIST, "");
        failed(SL_FETCH_FAILED, SL_UNAVAILABLE);
    }
    assert_true(m->due_ns == sl_now_ns() + 60 * UINT64_C(1000000000)); /* never later than else */
}

static void a_version_that_fails_hides_no_other(void **state)
{
    (void)state;
    m->wants[0].num_versions = 2;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    listed("123");
    expect(SL_FETCH_GET, "3");
    failed(SL_FETCH_FAILED, SL_DATA_LOSS);
    expect(SL_FETCH_GET, "2");
    got(true);
    assert_false(next()); /* no TIDY */
    assert_int_equal(m->error.code, SL_DATA_LOSS);
    assert_string_equal(m->error.msg, "version 3: why");
    assert_int_equal(looks, 1);
}

static void one_that_is_being_uploaded_does_not_count_and_is_not_hidden(void **state)
{
    (void)state;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    listed("12");
    expect(SL_FETCH_GET, "2");
    failed(SL_FETCH_PARTIAL, SL_FAILED_PRECONDITION);
    expect(SL_FETCH_GET, "1");
    got(true);
    expect(SL_FETCH_TIDY, "");
    assert_int_equal(asked.n_names, 2);
    got(false);
    assert_int_equal(m->error.code, SL_OK);
}

static void each_models_policy_is_heard(void **state)
{
    (void)state;
    static int64_t specific[] = {1, 4};
    remote_want wants[] = {
        {.model = "a", .policy = SL_POLICY_SPECIFIC, .versions = specific, .n_versions = 2},
        {.model = "b", .policy = SL_POLICY_LATEST, .num_versions = 1}};
    remote_version list[] = {{.number = 1}, {.number = 2}, {.number = 3}};
    remote_mirror both = {.wants = wants, .n_wants = 2, .list = list, .count = 3};
    assert_true(remote_is_wanted(&both, 0));
    assert_false(remote_is_wanted(&both, 1));
    assert_true(remote_is_wanted(&both, 2));
    wants[1].policy = SL_POLICY_ALL;
    assert_true(remote_is_wanted(&both, 1));
    both.n_wants = 0;
    assert_false(remote_is_wanted(&both, 2));
}

static void a_helper_that_dies_fails_the_round_and_nothing_else(void **state)
{
    (void)state;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    uint64_t old = asked.id;
    remote_round_abandon(r, "it died");
    assert_int_equal(m->phase, REMOTE_IDLE);
    assert_string_equal(m->error.msg, "it died");
    at(2);
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    asked.id = old; /* an answer to what was asked before counts no more */
    listed("1");
    assert_false(next());
}

static void answers_that_fit_nothing_are_ignored(void **state)
{
    (void)state;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    got(true); /* to a LIST */
    assert_false(next());
    assert_int_equal(m->phase, REMOTE_LISTING);
    failed(SL_FETCH_PARTIAL, SL_OK); /* likewise */
    remote_round_hear(r, &(sl_fetch_msg){.kind = SL_FETCH_GOT, .id = 12345});
    remote_round_hear(r, &(sl_fetch_msg){.kind = SL_FETCH_LIST, .id = asked.id});
}

static void polling_that_is_off_after_the_first_success(void **state)
{
    (void)state;
    r->opts.poll_seconds = 0;
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    failed(SL_FETCH_FAILED, SL_UNAVAILABLE);
    assert_true(m->due_ns == sl_now_ns() + 2 * UINT64_C(1000000000));
    at(2);
    remote_round_tend(r, sl_now_ns());
    expect(SL_FETCH_LIST, "");
    listed("1");
    expect(SL_FETCH_GET, "1");
    got(true);
    expect(SL_FETCH_TIDY, "");
    got(false);
    assert_true(m->due_ns == UINT64_MAX);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_highest_version_is_fetched_and_then_there_is_order),
        T(an_empty_listing_hides_nothing),
        T(a_listing_that_fails_hides_nothing_and_comes_again_soon),
        T(a_version_that_fails_hides_no_other),
        T(one_that_is_being_uploaded_does_not_count_and_is_not_hidden),
        T(each_models_policy_is_heard),
        T(a_helper_that_dies_fails_the_round_and_nothing_else),
        T(answers_that_fit_nothing_are_ignored),
        T(polling_that_is_off_after_the_first_success),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
