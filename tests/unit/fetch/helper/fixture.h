/*
 * fixture.h - for tests that fetch from a server of their own (support/web.h)
 *
 * The clock runs a thousand times as fast meanwhile, so nobody waits for a back-off.
 */
#ifndef SL_TESTS_FETCH_HELPER_FIXTURE_H
#define SL_TESTS_FETCH_HELPER_FIXTURE_H

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/helper/http.h"
#include "fetch/helper/mirror.h"
#include "support/web.h"

static sl_status st;
static fetch_settings settings = {.patience_s = 5, .max_bytes = 1 << 20};
static char dir[64]; /* of the test's own, gone after it */
static atomic_int turns;
static int cancel_at; /* op->progress cancels at this turn; 0: never */

static struct {
    pthread_t thread;
    atomic_bool stop;
} hurry;

static void *run_clock(void *arg)
{
    (void)arg;
    for (uint64_t now = 1800000000; !atomic_load(&hurry.stop); now++) {
        sl_clock_fake(now * 1000000000u);
        usleep(1000);
    }
    return NULL;
}

static void on_turn(fetch_op *op)
{
    if (atomic_fetch_add(&turns, 1) + 1 == cancel_at)
        atomic_store(&op->cancelled, true);
}

static fetch_op new_op(void)
{
    return (fetch_op){.url = "", .dir = dir, .name = "", .settings = &settings, .progress = on_turn};
}

static int fixture_setup(void **state)
{
    (void)state;
    cancel_at = 0;
    atomic_store(&turns, 0);
    atomic_store(&hurry.stop, false);
    sl_clock_fake(UINT64_C(1800000000) * 1000000000u);
    strcpy(dir, "/tmp/sluice-fetch-XXXXXX");
    return mkdtemp(dir) == NULL || pthread_create(&hurry.thread, NULL, run_clock, NULL) != 0;
}

static int fixture_teardown(void **state)
{
    (void)state;
    atomic_store(&hurry.stop, true);
    pthread_join(hurry.thread, NULL);
    sl_clock_fake(0);
    fetch_remove_tree(dir);
    return access(dir, F_OK) == 0;
}

#endif
