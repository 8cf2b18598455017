/*
 * notice.c - the kernel says that something has come into a base path, or gone
 *
 * What it says only brings a look forward: polling stays the truth, since on a network's file
 * system, through a symbolic link that is changed, or where there are too many watches already, the
 * kernel says nothing. A base path is watched from the first look that could read it, and looked
 * at LATER_MS after the first thing heard, so that what comes together is seen together; inside of
 * version directories nobody listens, since a version that is still being copied is looked at every
 * second anyhow.
 *
 * One thread listens. A watch is a number, and belongs to every model whose base path is that
 * directory; `watchers` leads from the number to the first of them. Thousands of directories may
 * come and go at once, so nothing here goes through all models for one of them.
 */
#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "model/manager_internal.h"

enum {
    LATER_MS = 20,
    TOO_MANY = 64, /* in one read: then everything is looked at */
    INTERESTING = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE_SELF |
                  IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR
};

/* ---- watches; with the lock, but for the last ---- */

static sl_str key_of(const int *watch)
{
    return (sl_str){(const char *)watch, sizeof *watch};
}

static void join(sl_served *model, int watch)
{
    sl_map *watchers = &model->manager->watchers;
    model->watch = watch;
    model->watcher_after = sl_map_get(watchers, key_of(&watch));
    if (model->watcher_after != NULL)
        model->watcher_after->watcher_before = model;
    sl_map_set(watchers, key_of(&watch), model);
}

/* True: it was the last one. */
static bool leave(sl_served *model)
{
    sl_map *watchers = &model->manager->watchers;
    sl_served *before = model->watcher_before, *after = model->watcher_after;
    if (after != NULL)
        after->watcher_before = before;
    if (before != NULL)
        before->watcher_after = after;
    else if (after != NULL)
        sl_map_set(watchers, key_of(&model->watch), after);
    else
        sl_map_remove(watchers, key_of(&model->watch));
    model->watch = 0;
    model->watcher_before = model->watcher_after = NULL;
    return before == NULL && after == NULL;
}

void sl_manager_unwatch_base(sl_served *model)
{
    int watch = model->watch;
    if (watch > 0 && leave(model))
        inotify_rm_watch(model->manager->notice_fd, watch);
}

void sl_manager_watch_base(sl_served *model, int watch)
{
    if (!model->manager->has_notices || watch == model->watch)
        return;
    sl_manager_unwatch_base(model);
    if (watch > 0)
        join(model, watch);
}

/* Another model that lets go of the same directory before this one joins takes the watch along: the
 * kernel says so (IN_IGNORED), and the next look makes a new one. */
int sl_manager_watch_dir(sl_manager *m, const char *dir)
{
    if (!m->has_notices)
        return -1;
    int watch = inotify_add_watch(m->notice_fd, dir, INTERESTING);
    if (watch < 0 && errno == ENOSPC && !atomic_exchange(&m->watches_used_up, true))
        sl_log(SL_INFO,
               "The kernel's watches are used up (fs.inotify.max_user_watches): changes of base "
               "paths are noticed when they are polled, every %lld s",
               (long long)m->opts.poll_seconds);
    return watch;
}

/* ---- what is heard ---- */

/* With the lock. */
static void look_later(sl_manager *m)
{
    if (m->notice_due_ns == 0)
        m->notice_due_ns = sl_now_ns() + (uint64_t)LATER_MS * 1000000;
    sl_cond_signal(&m->source_work);
}

static void hear_one(sl_manager *m, const struct inotify_event *e)
{
    sl_served *model = sl_map_get(&m->watchers, key_of(&e->wd)), *next;
    for (; model != NULL; model = next) {
        next = model->watcher_after;
        model->noticed = true;
        if (e->mask & IN_IGNORED) /* the kernel has ended it: the directory is gone */
            leave(model);
    }
}

static void hear(sl_manager *m)
{
    _Alignas(struct inotify_event) char events[16384];
    ssize_t n = read(m->notice_fd, events, sizeof events);
    if (n <= 0)
        return;
    pthread_mutex_lock(&m->lock);
    int count = 0;
    bool all = false;
    for (ssize_t at = 0; at < n;) {
        const struct inotify_event *e = (const void *)(events + at);
        all |= ++count > TOO_MANY || (e->mask & IN_Q_OVERFLOW);
        if (!all || (e->mask & IN_IGNORED))
            hear_one(m, e);
        at += (ssize_t)sizeof *e + e->len;
    }
    for (sl_served *model = m->models; all && model != NULL; model = model->next)
        model->noticed = true;
    look_later(m);
    pthread_mutex_unlock(&m->lock);
}

static void *listen_to_kernel(void *arg)
{
    sl_manager *m = arg;
    struct pollfd p[2] = {{.fd = m->notice_fd, .events = POLLIN},
                          {.fd = m->notice_end_fd, .events = POLLIN}};
    sl_thread_be_nice();
    while (poll(p, 2, -1) < 0 || !p[1].revents)
        if (p[0].revents)
            hear(m);
    return NULL;
}

/* ---- beginning and end ---- */

void sl_manager_start_notices(sl_manager *m)
{
    if (m->opts.poll_seconds <= 0)
        return;
    m->notice_fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    m->notice_end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    m->has_notices = m->notice_fd >= 0 && m->notice_end_fd >= 0 &&
                     sl_thread_start(&m->notices, "sl-notice", listen_to_kernel, m, NULL) == SL_OK;
    if (m->has_notices)
        return;
    if (m->notice_fd >= 0)
        close(m->notice_fd);
    if (m->notice_end_fd >= 0)
        close(m->notice_end_fd);
}

void sl_manager_stop_notices(sl_manager *m)
{
    uint64_t one = 1;
    if (!m->has_notices)
        return;
    if (write(m->notice_end_fd, &one, sizeof one) == sizeof one)
        pthread_join(m->notices, NULL);
    m->has_notices = false;
    for (sl_served *model = m->models; model != NULL; model = model->next)
        if (model->watch > 0)
            leave(model);
    sl_map_fini(&m->watchers);
    close(m->notice_fd);
    close(m->notice_end_fd);
}
