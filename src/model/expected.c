/*
 * expected.c - which versions a base path will have, for the check of labels
 *
 * A configuration is checked by a thread that others wait for, and a base path may not answer: so it
 * is read by a thread of its own, to which it is left after a while (hung.c).
 */
#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

enum { MOST = 16 }; /* left to base paths, lookers included */

typedef struct reading {
    sl_manager *m;
    sl_kept_config *config;
    uint64_t deadline_ns;
    int64_t *numbers;
    int count;
    bool done;
    sl_hung *hung; /* nobody waits for it any more: it is the thread's, which is detached */
} reading;

static void free_reading(reading *r)
{
    sl_config_release(r->config);
    sl_free(r->numbers);
    sl_free(r);
}

static void *read_versions(void *arg)
{
    reading *r = arg;
    sl_manager *m = r->m;
    int count;
    int64_t *numbers = sl_labels_expected(&r->config->c, &count);
    pthread_mutex_lock(&m->lock);
    r->numbers = numbers;
    r->count = count;
    r->done = true;
    bool alone = r->hung != NULL;
    if (alone) {
        sl_hung_remove(m, r->hung);
        sl_manager_want_look(m);
        m->lookers--;
    }
    sl_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock); /* from here on the manager may be gone */
    if (alone)
        free_reading(r);
    return NULL;
}

/* False: it does not answer, and `r` is the thread's. */
static bool wait_for(reading *r, pthread_t thread, const sl_mounts *mounts)
{
    sl_manager *m = r->m;
    pthread_mutex_lock(&m->lock);
    while (!r->done && sl_cond_wait_until(&m->changed, &m->lock, r->deadline_ns))
        ;
    bool done = r->done;
    if (!done) {
        r->hung = sl_hung_add(m, &r->config->c, mounts);
        m->lookers++;
        pthread_detach(thread);
    }
    pthread_mutex_unlock(&m->lock);
    if (done)
        pthread_join(thread, NULL);
    return done;
}

static bool may_ask(sl_manager *m, const sl_kept_config *config, const sl_mounts *mounts)
{
    pthread_mutex_lock(&m->lock);
    bool may = m->lookers < MOST && !sl_hung_covers(m, &config->c, mounts);
    pthread_mutex_unlock(&m->lock);
    return may;
}

bool sl_manager_expect(sl_manager *m, const sl_model_config *c, int64_t **numbers, int *count)
{
    sl_mounts mounts;
    pthread_t thread;
    reading *r = sl_calloc(1, sizeof *r);
    sl_mounts_read(&mounts);
    *r = (reading){
        .m = m, .config = sl_config_keep(c), .deadline_ns = sl_now_ns() + m->opts.look_patience_ns};
    bool done = false;
    if (!may_ask(m, r->config, &mounts) ||
        sl_thread_start(&thread, "sl-labels", read_versions, r, NULL)) {
        free_reading(r);
    } else if (wait_for(r, thread, &mounts)) {
        done = true;
        *numbers = r->numbers;
        *count = r->count;
        r->numbers = NULL;
        free_reading(r);
    }
    sl_mounts_fini(&mounts);
    return done;
}
