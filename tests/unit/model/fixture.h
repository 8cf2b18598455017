/*
 * fixture.h - a manager over a temporary directory, with a loader that a test holds in its hands
 *
 * What loading a version does is decided by its number: outcome(f, 7, SL_INTERNAL) lets version 7
 * fail; hold(f, 7) lets its load wait until let_go(f, 7). Everything else loads at once. No test
 * sleeps: it waits for a state with until(), or for the loader's counters.
 */
#ifndef SL_TEST_MODEL_FIXTURE_H
#define SL_TEST_MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager.h"
#include "model/manager_internal.h"

enum { NUMBERS = 16 };

typedef struct fixture {
    char dir[64];
    sl_manager *m;
    sl_manager_options opts;
    pthread_mutex_t lock;
    sl_cond moved;
    sl_code outcome[NUMBERS];
    bool held[NUMBERS];
    uint64_t needs[NUMBERS]; /* bytes that it reserves, if any */
    int started[NUMBERS], loaded[NUMBERS], unloaded[NUMBERS];
    int running, most_running;
    char path[256];  /* of the last load */
    char engine[32]; /* asked for by the last load's configuration */
} fixture;

static inline sl_code fake_load(void *arg, const sl_model_config *config, sl_version *v,
                                sl_text *why, sl_status *st)
{
    fixture *f = arg;
    size_t n = (size_t)v->number % NUMBERS;
    pthread_mutex_lock(&f->lock);
    uint64_t needs = f->needs[n];
    pthread_mutex_unlock(&f->lock);
    sl_code short_of_memory = needs ? sl_manager_reserve(v, needs, st) : SL_OK;
    pthread_mutex_lock(&f->lock);
    f->started[n]++;
    f->running++;
    f->most_running = SL_MAX(f->most_running, f->running);
    snprintf(f->path, sizeof f->path, "%s", v->path);
    snprintf(f->engine, sizeof f->engine, "%s", config->engine ? config->engine : "");
    sl_cond_broadcast(&f->moved);
    while (f->held[n])
        sl_cond_wait(&f->moved, &f->lock);
    sl_code rc = short_of_memory ? short_of_memory : f->outcome[n];
    f->running--;
    f->loaded[n] += rc == SL_OK;
    pthread_mutex_unlock(&f->lock);
    sl_text_puts(why, "the test chose it");
    v->user = sl_malloc(1); /* a leak check of its own */
    if (rc) {
        sl_free(v->user);
        if (short_of_memory)
            return rc;
        return sl_fail(st, rc, "version %lld is broken", (long long)v->number);
    }
    return SL_OK;
}

static inline void fake_unload(void *arg, sl_version *v)
{
    fixture *f = arg;
    sl_free(v->user);
    pthread_mutex_lock(&f->lock);
    f->unloaded[(size_t)v->number % NUMBERS]++;
    sl_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

static inline void outcome(fixture *f, int number, sl_code code)
{
    pthread_mutex_lock(&f->lock);
    f->outcome[number] = code;
    pthread_mutex_unlock(&f->lock);
}

static inline void hold(fixture *f, int number, bool on)
{
    pthread_mutex_lock(&f->lock);
    f->held[number] = on;
    sl_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

/* Waits until load() was called `times` times for that version. */
static inline void until_started(fixture *f, int number, int times)
{
    pthread_mutex_lock(&f->lock);
    while (f->started[number] < times)
        sl_cond_wait(&f->moved, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static inline int count_of(fixture *f, const int *counter)
{
    pthread_mutex_lock(&f->lock);
    int n = *counter;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static inline void make_version(fixture *f, const char *model, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->dir, model);
    mkdir(path, 0777);
    if (*name == '\0')
        return;
    snprintf(path, sizeof path, "%s/%s/%s", f->dir, model, name);
    assert_int_equal(mkdir(path, 0777), 0);
}

static inline void remove_version(fixture *f, const char *model, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s/%s", f->dir, model, name);
    assert_int_equal(rmdir(path), 0);
}

static inline int new_fixture(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    strcpy(f->dir, "/tmp/sluice-model-XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return 1;
    pthread_mutex_init(&f->lock, NULL);
    sl_cond_init(&f->moved);
    f->opts = (sl_manager_options){.load = fake_load,
                                   .unload = fake_unload,
                                   .arg = f,
                                   .load_threads = 2,
                                   .retry_interval_us = 1000000};
    *state = f;
    return 0;
}

static inline int free_fixture(void **state)
{
    fixture *f = *state;
    char command[128];
    sl_manager_free(f->m);
    sl_clock_fake(0);
    for (int i = 0; i < NUMBERS; i++)
        if (f->loaded[i] != f->unloaded[i])
            fail_msg("version %d was loaded %d times, unloaded %d times", i, f->loaded[i],
                     f->unloaded[i]);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    if (system(command))
        return 1;
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static inline void start(fixture *f)
{
    sl_status st = {0};
    assert_int_equal(sl_manager_new(&f->opts, &f->m, &st), SL_OK);
}

/* Configures one model below the fixture's directory; the rest of `c` is the caller's. */
static inline sl_code configure(fixture *f, const char *name, sl_model_config c, sl_status *st)
{
    char base[256];
    snprintf(base, sizeof base, "%s/%s", f->dir, name);
    c.name = name;
    if (c.base_path == NULL)
        c.base_path = base;
    if (f->m == NULL)
        start(f);
    sl_code rc = sl_manager_configure(f->m, &c, 1, st);
    if (rc == SL_OK)
        sl_manager_look(f->m);
    return rc;
}

static inline sl_managed *managed(fixture *f, const char *name, int64_t number)
{
    sl_served *model = sl_map_get(&f->m->by_name, sl_str_of(name));
    sl_managed *v = model ? model->versions : NULL;
    while (v != NULL && v->number != number)
        v = v->next;
    return v;
}

static inline sl_state state_of(fixture *f, const char *name, int64_t number)
{
    pthread_mutex_lock(&f->m->lock);
    const sl_managed *v = managed(f, name, number);
    sl_state s = v ? v->state : SL_STATE_UNKNOWN;
    pthread_mutex_unlock(&f->m->lock);
    return s;
}

/* Waits until the version has reached the state. */
static inline void until(fixture *f, const char *name, int64_t number, sl_state wanted)
{
    const sl_managed *v;
    pthread_mutex_lock(&f->m->lock);
    while ((v = managed(f, name, number)) == NULL || v->state != wanted)
        sl_cond_wait(&f->m->changed, &f->m->lock);
    pthread_mutex_unlock(&f->m->lock);
}

/* Waits until `attempts` loads have failed and the next one waits for its time. */
static inline void until_waiting(fixture *f, const char *name, int64_t number, unsigned attempts)
{
    const sl_managed *v;
    pthread_mutex_lock(&f->m->lock);
    while ((v = managed(f, name, number)) == NULL || !v->queued || v->attempts != attempts)
        sl_cond_wait(&f->m->changed, &f->m->lock);
    pthread_mutex_unlock(&f->m->lock);
}

static inline sl_model_spec latest(const char *model)
{
    return (sl_model_spec){.model = sl_str_of(model)};
}

static inline sl_model_spec specific(const char *model, int64_t version)
{
    return (sl_model_spec){.model = sl_str_of(model), .has_version = true, .version = version};
}

static inline sl_model_spec labelled(const char *model, const char *label)
{
    return (sl_model_spec){.model = sl_str_of(model), .label = sl_str_of(label)};
}

/* The number of the version that answers now, or minus the code of the refusal. */
static inline int64_t answers(fixture *f, sl_model_spec spec)
{
    const sl_version *v;
    sl_status st = {0};
    sl_code rc = sl_manager_acquire(f->m, &spec, &v, &st);
    if (rc)
        return -(int64_t)rc;
    int64_t number = v->number;
    sl_manager_release(f->m, v);
    return number;
}

#endif
