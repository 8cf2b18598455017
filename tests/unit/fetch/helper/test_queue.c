/* test_queue.c - how many requests run at once, of one bucket and of all */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/counts.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fetch/helper/queue.h"
#include "support/calls.h"

enum { MOST_WAITING = 100 }; /* more than any other test has */

static sl_status st;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sl_cond moved;
static int running, most, started, finished, of_a, most_of_a, cancelled;
static bool open_a, open_b;
static uint64_t order[64];

static bool is_a(const fetch_op *op)
{
    return op->place.bucket.p[0] == 'a';
}

/* Runs until the test lets its bucket go. */
static void run(fetch_op *op)
{
    pthread_mutex_lock(&lock);
    order[started++ % 64] = op->id;
    running++;
    most = SL_MAX(most, running);
    of_a += is_a(op);
    most_of_a = SL_MAX(most_of_a, of_a);
    sl_cond_broadcast(&moved);
    while (is_a(op) ? !open_a : !open_b)
        sl_cond_wait(&moved, &lock);
    cancelled += atomic_load(&op->cancelled);
    running--;
    of_a -= is_a(op);
    pthread_mutex_unlock(&lock);
}

static void done(fetch_op *op)
{
    sl_free(op);
    pthread_mutex_lock(&lock);
    finished++;
    sl_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static void add(uint64_t id, sl_str bucket)
{
    fetch_op *op = sl_calloc(1, sizeof *op);
    op->id = id;
    op->place.bucket = bucket;
    assert_int_equal(fetch_queue_add(op, &st), SL_OK);
}

static void until(const int *counter, int wanted)
{
    pthread_mutex_lock(&lock);
    while (*counter < wanted)
        sl_cond_wait(&moved, &lock);
    pthread_mutex_unlock(&lock);
}

static void let(bool *gate, bool how)
{
    pthread_mutex_lock(&lock);
    *gate = how;
    sl_cond_broadcast(&moved);
    pthread_mutex_unlock(&lock);
}

static int setup(void **state)
{
    (void)state;
    running = most = started = finished = of_a = most_of_a = cancelled = 0;
    open_a = open_b = false;
    return 0;
}

static void a_bucket_that_hangs_keeps_four_threads_and_no_other_bucket_waiting(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 30; i++)
        add(i, SL_STR("a"));
    until(&started, FETCH_OPS_OF_ONE);
    let(&open_b, true);
    for (uint64_t i = 100; i < 120; i++)
        add(i, SL_STR("b"));
    until(&finished, 20); /* all of b, while a hangs */
    assert_int_equal(of_a, FETCH_OPS_OF_ONE);
    let(&open_a, true);
    until(&finished, 50);
    assert_int_equal(most_of_a, FETCH_OPS_OF_ONE);
}

static void all_together_are_bounded(void **state)
{
    (void)state;
    static const char buckets[] = "bcdefghij";
    for (uint64_t i = 0; i < 36; i++)
        add(i, (sl_str){buckets + i % 9, 1});
    until(&started, FETCH_OPS);
    let(&open_b, true);
    until(&finished, 36);
    assert_int_equal(most, FETCH_OPS);
}

static void one_buckets_requests_keep_their_order(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 12; i++)
        add(i, SL_STR("b"));
    until(&started, 4);
    bool first[4] = {0};
    for (int i = 0; i < 4; i++)
        first[order[i]] = true; /* threads may begin in any order */
    assert_true(first[0] && first[1] && first[2] && first[3]);
    let(&open_b, true);
    until(&finished, 12);
}

static void what_runs_and_what_waits_can_be_cancelled(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < 6; i++)
        add(i, SL_STR("b"));
    until(&started, 4);
    fetch_queue_cancel(1);
    fetch_queue_cancel(5);
    fetch_queue_cancel(77);
    let(&open_b, true);
    until(&finished, 6);
    assert_int_equal(cancelled, 2);
}

static void what_finds_no_thread_starts_when_another_has_ended(void **state)
{
    (void)state;
    add(1, SL_STR("b"));
    until(&started, 1);
    fail_call("pthread_create", 1, EAGAIN);
    add(2, SL_STR("b"));
    assert_int_equal(calls_counted(), 1);
    fail_call(NULL, 0, 0);
    assert_int_equal(started, 1);
    let(&open_b, true);
    until(&finished, 2);
}

static void more_than_may_wait_are_refused(void **state)
{
    (void)state;
    fetch_op op = {.id = 7, .place.bucket = SL_STR("b")};
    for (uint64_t i = 0; i < FETCH_OPS_OF_ONE + MOST_WAITING; i++)
        add(i, SL_STR("b"));
    assert_int_equal(fetch_queue_add(&op, &st), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "too many requests");
    let(&open_b, true);
    until(&finished, FETCH_OPS_OF_ONE + MOST_WAITING);
    add(8, SL_STR("b"));
    until(&finished, FETCH_OPS_OF_ONE + MOST_WAITING + 1);
}

static void leave(int number)
{
    sl_counts_write();
    _exit(number);
}

/* Nobody would be left to start it later. */
static void without_a_single_thread_the_program_ends(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, leave);
        fail_call("pthread_create", 1, EAGAIN);
        add(1, SL_STR("b"));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), SIGABRT);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {
        T(without_a_single_thread_the_program_ends), /* before there is one */
        T(a_bucket_that_hangs_keeps_four_threads_and_no_other_bucket_waiting),
        T(all_together_are_bounded),
        T(one_buckets_requests_keep_their_order),
        T(what_runs_and_what_waits_can_be_cancelled),
        T(what_finds_no_thread_starts_when_another_has_ended),
        T(more_than_may_wait_are_refused),
    };
    fetch_queue_start(run, done, MOST_WAITING);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
