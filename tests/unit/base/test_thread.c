/* thread.h: how long who loads rests for those who answer; and waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/thread.h"

enum { MS = 1000000 };

static void nobody_rests_where_nobody_asks(void **state)
{
    (void)state;
    assert_int_equal(sl_rest_ns(1 * MS, 0), 0);
}

static void the_rest_is_in_proportion_to_what_is_answered(void **state)
{
    (void)state;
    assert_int_equal(sl_rest_ns(1 * MS, 5), 2 * MS);
    assert_int_equal(sl_rest_ns(1 * MS, 10), 4 * MS);
}

static void the_rest_is_fifteen_times_the_work_at_most(void **state)
{
    (void)state;
    assert_int_equal(sl_rest_ns(1 * MS, 40), 15 * MS);
    assert_int_equal(sl_rest_ns(1 * MS, 100), 15 * MS);
    assert_int_equal(sl_rest_ns(900 * MS, 100), 30 * MS);
}

static void burn(void)
{
    volatile uint64_t x = 1;
    for (int i = 0; i < 5000000; i++)
        x = x * 3 + 1;
}

static void only_threads_that_answer_count_as_busy(void **state)
{
    (void)state;
    sl_busy b = {0};
    assert_int_equal(sl_busy_percent(&b), 0);
    burn();
    assert_int_equal(sl_busy_percent(&b), 0);
    assert_int_equal(b.answered_ns, 0);
    sl_thread_be_prompt();
    sl_busy_percent(&b);
    uint64_t before = b.answered_ns;
    burn();
    sl_busy_percent(&b);
    assert_true(b.answered_ns > before); /* in processor time, however busy the machine is */
    sl_thread_end_prompt();
    assert_int_equal(sl_busy_percent(&b), 0); /* the sum has become less */
    burn();
    assert_int_equal(sl_busy_percent(&b), 0);
}

/* As many as there are places, and some for whom there is none; whoever steps aside meanwhile, and
 * whether more are awake than there are processors or not, goes on in the end. */
static atomic_int here;
static atomic_bool over;

static void *be_awake(void *arg)
{
    (void)arg;
    sl_thread_be_prompt();
    here++;
    while (!over) {
        sl_thread_waits(true);
        sl_thread_waits(false);
        sl_thread_step_aside();
        usleep(1000);
    }
    sl_thread_end_prompt();
    return NULL;
}

static void who_steps_aside_goes_on(void **state)
{
    enum { N = 260 };
    pthread_t threads[N];
    sl_busy b = {0};
    (void)state;
    sl_thread_step_aside(); /* nobody is awake */
    for (int i = 0; i < N; i++)
        assert_int_equal(sl_thread_start(&threads[i], "awake", be_awake, NULL, NULL), SL_OK);
    while (here < N)
        usleep(1000);
    sl_thread_step_aside();
    sl_busy_percent(&b);
    over = true;
    for (int i = 0; i < N; i++)
        pthread_join(threads[i], NULL);
    sl_busy_percent(&b);
    assert_int_equal(b.answered_ns, 0); /* all places are free again */
    sl_thread_step_aside();
}

/* ---- waiting ---- */

enum { CONSUMERS = 4, ITEMS = 20000 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sl_cond came, went;
static int there, eaten;

static void *consume(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&lock);
    while (eaten < ITEMS) {
        if (there == 0) {
            sl_cond_wait(&came, &lock);
            continue;
        }
        there--;
        if (++eaten == ITEMS)
            sl_cond_broadcast(&came);
        sl_cond_signal(&went);
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* One item at a time, with a signal each: one that were lost would leave both sides asleep. */
static void no_signal_is_lost_among_several_who_wait(void **state)
{
    pthread_t threads[CONSUMERS];
    sl_status st;
    (void)state;
    for (int i = 0; i < CONSUMERS; i++)
        assert_int_equal(sl_thread_start(&threads[i], "consumer", consume, NULL, &st), SL_OK);
    for (int i = 0; i < ITEMS; i++) {
        pthread_mutex_lock(&lock);
        there++;
        bool inside = i % 2;
        if (inside)
            sl_cond_signal(&came);
        pthread_mutex_unlock(&lock);
        if (!inside)
            sl_cond_signal(&came);
        pthread_mutex_lock(&lock);
        while (eaten <= i)
            sl_cond_wait(&went, &lock);
        pthread_mutex_unlock(&lock);
    }
    for (int i = 0; i < CONSUMERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(there, 0);
}

static void who_waits_until_a_time_that_has_come_does_not_wait(void **state)
{
    sl_cond c = {0};
    (void)state;
    sl_clock_fake(1000);
    pthread_mutex_lock(&lock);
    assert_false(sl_cond_wait_until(&c, &lock, 1000));
    pthread_mutex_unlock(&lock);
    sl_clock_fake(0);
    pthread_mutex_lock(&lock);
    uint64_t until = sl_now_ns() + MS;
    while (sl_cond_wait_until(&c, &lock, until))
        continue;
    assert_true(sl_now_ns() >= until);
    pthread_mutex_unlock(&lock);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_rests_where_nobody_asks),
        cmocka_unit_test(the_rest_is_in_proportion_to_what_is_answered),
        cmocka_unit_test(the_rest_is_fifteen_times_the_work_at_most),
        cmocka_unit_test(only_threads_that_answer_count_as_busy),
        cmocka_unit_test(who_steps_aside_goes_on),
        cmocka_unit_test(no_signal_is_lost_among_several_who_wait),
        cmocka_unit_test(who_waits_until_a_time_that_has_come_does_not_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
