#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/thread.h"
#include "batch/workers.h"

/* A job that notes its verdict and its turn, and waits while it is held. */
typedef struct fixture {
    sl_workers *w;
    pthread_mutex_t lock;
    sl_cond moved;
    bool held;
    int begun, ended;
} fixture;

typedef struct job {
    sl_job job; /* first */
    fixture *f;
    sl_code verdict;
    int turn; /* 1: the first to begin */
} job;

static sl_status st;

static void work(sl_job *j, sl_code verdict)
{
    job *me = (job *)j;
    fixture *f = me->f;
    pthread_mutex_lock(&f->lock);
    me->verdict = verdict;
    me->turn = ++f->begun;
    sl_cond_broadcast(&f->moved);
    while (f->held)
        sl_cond_wait(&f->moved, &f->lock);
    f->ended++;
    sl_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

static job new_job(fixture *f)
{
    return (job){.job = {.run = work}, .f = f};
}

static void until(fixture *f, const int *counter, int n)
{
    pthread_mutex_lock(&f->lock);
    while (*counter < n)
        sl_cond_wait(&f->moved, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static void hold(fixture *f, bool on)
{
    pthread_mutex_lock(&f->lock);
    f->held = on;
    sl_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    sl_cond_init(&f->moved);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sl_workers_free(f->w);
    sl_clock_fake(0);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

/* Starts the workers and keeps the only one busy with `plug`. */
static void start_busy(fixture *f, sl_workers_options o, job *plug)
{
    o.threads = 1;
    assert_int_equal(sl_workers_new(&o, &f->w, &st), SL_OK);
    hold(f, true);
    *plug = new_job(f);
    assert_int_equal(sl_workers_submit(f->w, &plug->job, &st), SL_OK);
    until(f, &f->begun, 1);
}

static void jobs_run_in_the_order_in_which_they_came(void **state)
{
    fixture *f = *state;
    job plug, jobs[5];
    start_busy(f, (sl_workers_options){0}, &plug);
    for (int i = 0; i < 5; i++) {
        jobs[i] = new_job(f);
        assert_int_equal(sl_workers_submit(f->w, &jobs[i].job, &st), SL_OK);
    }
    hold(f, false);
    until(f, &f->ended, 6);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(jobs[i].turn, i + 2);
        assert_int_equal(jobs[i].verdict, SL_OK);
    }
}

static void as_many_jobs_run_at_once_as_there_are_threads(void **state)
{
    fixture *f = *state;
    job jobs[4];
    sl_workers_options o = {.threads = 3};
    assert_int_equal(sl_workers_new(&o, &f->w, &st), SL_OK);
    hold(f, true);
    for (int i = 0; i < 4; i++) {
        jobs[i] = new_job(f);
        assert_int_equal(sl_workers_submit(f->w, &jobs[i].job, &st), SL_OK);
    }
    until(f, &f->begun, 3);
    sl_workers_stats stats;
    sl_workers_get_stats(f->w, &stats);
    assert_int_equal(stats.busy, 3);
    assert_int_equal(stats.waiting, 1);
    assert_false(sl_workers_idle(f->w));
    hold(f, false);
    until(f, &f->ended, 4);
}

static void longer_queue_than_allowed_is_refused(void **state)
{
    fixture *f = *state;
    job plug, a, b, c;
    start_busy(f, (sl_workers_options){.max_queue = 2}, &plug);
    a = b = c = new_job(f);
    assert_int_equal(sl_workers_submit(f->w, &a.job, &st), SL_OK);
    assert_int_equal(sl_workers_submit(f->w, &b.job, &st), SL_OK);
    assert_int_equal(sl_workers_submit(f->w, &c.job, &st), SL_UNAVAILABLE);
    assert_string_equal(st.msg, "server is overloaded: 2 requests are waiting (limit 2)");
    sl_workers_stats stats;
    sl_workers_get_stats(f->w, &stats);
    assert_int_equal(stats.refused, 1);
    hold(f, false);
    until(f, &f->ended, 3);
    assert_int_equal(c.turn, 0);
}

static void more_bytes_than_allowed_are_refused(void **state)
{
    fixture *f = *state;
    job plug, a, b, c;
    start_busy(f, (sl_workers_options){.max_bytes = 100}, &plug);
    a = b = c = new_job(f);
    a.job.bytes = 60;
    b.job.bytes = 41;
    c.job.bytes = 40;
    assert_int_equal(sl_workers_submit(f->w, &a.job, &st), SL_OK);
    assert_int_equal(sl_workers_submit(f->w, &b.job, &st), SL_UNAVAILABLE);
    b.job.bytes = SIZE_MAX;
    assert_int_equal(sl_workers_submit(f->w, &b.job, &st), SL_UNAVAILABLE);
    assert_int_equal(sl_workers_submit(f->w, &c.job, &st), SL_OK);
    sl_workers_stats stats;
    sl_workers_get_stats(f->w, &stats);
    assert_int_equal(stats.waiting_bytes, 100);
    hold(f, false);
    until(f, &f->ended, 3);
    sl_workers_get_stats(f->w, &stats);
    assert_int_equal(stats.waiting_bytes, 0);
}

static void nobody_joins_a_queue_that_does_not_move(void **state)
{
    fixture *f = *state;
    job plug, a, b;
    sl_clock_fake(1000000000);
    start_busy(f, (sl_workers_options){.max_wait_ns = 2000000000}, &plug);
    a = b = new_job(f);
    assert_int_equal(sl_workers_submit(f->w, &a.job, &st), SL_OK);
    sl_clock_fake(3000000001);
    assert_int_equal(sl_workers_submit(f->w, &b.job, &st), SL_UNAVAILABLE);
    hold(f, false);
    until(f, &f->ended, 2);
}

static void who_left_or_is_late_is_told_so_instead_of_run(void **state)
{
    fixture *f = *state;
    job plug, gone, late, well;
    atomic_bool cancelled = false, stays = false;
    sl_clock_fake(1000);
    start_busy(f, (sl_workers_options){0}, &plug);
    gone = late = well = new_job(f);
    gone.job.cancelled = &cancelled;
    late.job.deadline_ns = 2000;
    well.job.cancelled = &stays;
    well.job.deadline_ns = 2001;
    assert_int_equal(sl_workers_submit(f->w, &gone.job, &st), SL_OK);
    assert_int_equal(sl_workers_submit(f->w, &late.job, &st), SL_OK);
    assert_int_equal(sl_workers_submit(f->w, &well.job, &st), SL_OK);
    atomic_store(&cancelled, true);
    sl_clock_fake(2000);
    hold(f, false);
    until(f, &f->ended, 4);
    assert_int_equal(gone.verdict, SL_CANCELLED);
    assert_int_equal(late.verdict, SL_DEADLINE_EXCEEDED);
    assert_int_equal(well.verdict, SL_OK);
    sl_workers_stats stats;
    sl_workers_get_stats(f->w, &stats);
    assert_int_equal(stats.cancelled, 1);
    assert_int_equal(stats.expired, 1);
}

static void freeing_runs_what_is_queued(void **state)
{
    fixture *f = *state;
    job plug, jobs[3];
    start_busy(f, (sl_workers_options){0}, &plug);
    for (int i = 0; i < 3; i++) {
        jobs[i] = new_job(f);
        assert_int_equal(sl_workers_submit(f->w, &jobs[i].job, &st), SL_OK);
    }
    hold(f, false);
    sl_workers_free(f->w);
    f->w = NULL;
    assert_int_equal(f->ended, 4);
}

static void thread_that_cannot_be_started_is_reported(void **state)
{
    fixture *f = *state;
    sl_workers_options o = {.threads = 3};
    sl_fault_arm(SL_FAULT_THREAD, 2);
    assert_int_equal(sl_workers_new(&o, &f->w, &st), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_THREAD, 0);
    assert_null(f->w);
}

/* ---- many submitters ---- */

static atomic_int finished;

static void count_one(sl_job *j, sl_code verdict)
{
    (void)j;
    (void)verdict;
    atomic_fetch_add(&finished, 1);
}

static void *submit_many(void *arg)
{
    static _Thread_local sl_job jobs[1000];
    for (int i = 0; i < 1000; i++) {
        jobs[i] = (sl_job){.run = count_one, .bytes = 10};
        if (sl_workers_submit(arg, &jobs[i], NULL))
            atomic_fetch_add(&finished, 1); /* refused: counted all the same */
    }
    while (atomic_load(&finished) < 4000) /* its jobs live until all have run */
        sched_yield();
    return NULL;
}

static void every_job_of_many_threads_runs_once(void **state)
{
    fixture *f = *state;
    pthread_t threads[4];
    sl_workers_options o = {.threads = 2, .max_queue = 4000};
    atomic_store(&finished, 0);
    assert_int_equal(sl_workers_new(&o, &f->w, &st), SL_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, f->w), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sl_workers_free(f->w);
    f->w = NULL;
    assert_int_equal(atomic_load(&finished), 4000);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_run_in_the_order_in_which_they_came),
        TEST(as_many_jobs_run_at_once_as_there_are_threads),
        TEST(longer_queue_than_allowed_is_refused),
        TEST(more_bytes_than_allowed_are_refused),
        TEST(nobody_joins_a_queue_that_does_not_move),
        TEST(who_left_or_is_late_is_told_so_instead_of_run),
        TEST(freeing_runs_what_is_queued),
        TEST(thread_that_cannot_be_started_is_reported),
        TEST(every_job_of_many_threads_runs_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
