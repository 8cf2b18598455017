/*
 * auth.c - see auth.h
 *
 * What the files look like from outside (a text of names, sizes, times, inodes) is taken before
 * they are read: if one changes while it is being read, the next look sees another text and reads
 * again.
 */
#include "server/auth.h"

#include <libgen.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "proto/auth_config.pb-c.h"
#include "server/config_read.h"

#define LOOK_EVERY_NS 1000000000u

struct sl_auth {
    sl_guard *guard;
    char *path, *dir;
    sl_text seen;         /* what the files looked like when they were last read; own thread */
    sl_status complaint;  /* what was logged last; own thread */
    pthread_mutex_t lock; /* guards the two below */
    pthread_cond_t work;
    bool poked, ending;
    pthread_t thread;
    bool has_thread;
};

static char *dir_of(const char *path)
{
    char *copy = sl_strdup(path), *dir = sl_strdup(dirname(copy));
    sl_free(copy);
    return dir;
}

static sl_code unpack(const char *path, sl_arena *arena, Sluice__AuthConfig **out, sl_status *st)
{
    void *message;
    sl_code rc = sl_config_read(path, &sluice__auth_config__descriptor, arena, &message, NULL, st);
    *out = message;
    return rc;
}

/* ---- what the files look like ---- */

static void look_at(const char *dir, const char *name, sl_text *to)
{
    struct stat s;
    char *joined = *name == '/' || *dir == '\0' ? sl_strdup(name) : sl_path_join(dir, name);
    if (joined != NULL && stat(joined, &s) == 0)
        sl_text_printf(to, "%s %lld %lld.%09ld %llu\n", name, (long long)s.st_size,
                       (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                       (unsigned long long)s.st_ino);
    else
        sl_text_printf(to, "%s missing\n", name);
    sl_free(joined);
}

/* `c` may be NULL: then the file itself is all that is known. */
static void look(const sl_auth *a, const Sluice__AuthConfig *c, sl_text *to)
{
    to->n = 0;
    look_at("", a->path, to);
    for (size_t i = 0; c != NULL && i < c->n_token_file; i++)
        look_at(a->dir, c->token_file[i], to);
    for (size_t i = 0; c != NULL && i < c->n_jwt; i++)
        look_at(a->dir, c->jwt[i]->jwks_file, to);
}

/* ---- reading ---- */

/* Reads all files if they look different from last time. */
static sl_code read_if_changed(sl_auth *a, bool anyway, bool *changed, sl_status *st)
{
    sl_arena arena;
    Sluice__AuthConfig *c = NULL;
    sl_text now = {0};
    sl_code rc = sl_arena_init(&arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    rc = unpack(a->path, &arena, &c, st);
    look(a, rc ? NULL : c, &now);
    *changed = anyway || a->seen.p == NULL || now.p == NULL || strcmp(now.p, a->seen.p) != 0;
    if (*changed && rc == SL_OK && (rc = sl_guard_configure(a->guard, c, a->dir, st)) != SL_OK)
        sl_wrap(st, "%s: ", a->path);
    sl_text_fini(&a->seen);
    a->seen = now;
    sl_arena_fini(&arena);
    return *changed ? rc : SL_OK;
}

static void read_again(sl_auth *a, bool anyway)
{
    sl_status st = {0};
    bool changed;
    sl_code rc = read_if_changed(a, anyway, &changed, &st);
    if (rc && strcmp(st.msg, a->complaint.msg) != 0)
        sl_log(SL_ERROR, "permissions stay as they were: %s", st.msg);
    else if (rc == SL_OK && changed)
        sl_log(SL_INFO, "permissions read from %s", a->path);
    if (rc || changed)
        a->complaint = st;
}

static void *watch(void *arg)
{
    sl_auth *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        uint64_t next = sl_now_ns() + LOOK_EVERY_NS;
        while (!a->ending && !a->poked && sl_cond_wait_until(&a->work, &a->lock, next))
            ;
        bool ending = a->ending, poked = a->poked;
        a->poked = false;
        pthread_mutex_unlock(&a->lock);
        if (!ending)
            read_again(a, poked);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- making ---- */

static sl_code start(sl_auth *a, sl_status *st)
{
    bool changed;
    sl_code rc = read_if_changed(a, true, &changed, st);
    if (rc == SL_OK)
        rc = sl_thread_start(&a->thread, "sl-auth", watch, a, st);
    a->has_thread = rc == SL_OK;
    return rc;
}

sl_code sl_auth_new(const char *path, bool allow_remote_admin, sl_auth **out, sl_status *st)
{
    sl_auth *a = sl_calloc(1, sizeof *a);
    a->path = sl_strdup(path);
    a->dir = dir_of(path);
    pthread_mutex_init(&a->lock, NULL);
    sl_cond_init(&a->work);
    sl_code rc = sl_guard_new(allow_remote_admin, &a->guard, st);
    if (rc == SL_OK && *path != '\0')
        rc = start(a, st);
    if (rc) {
        sl_auth_free(a);
        return rc;
    }
    if (allow_remote_admin && !sl_guard_has_identities(a->guard))
        sl_log(SL_WARNING, "--allow_remote_admin: whoever reaches a port of this server may "
                           "replace its configuration and "
                           "have it read any path");
    *out = a;
    return SL_OK;
}

static void poke(sl_auth *a, bool *what)
{
    pthread_mutex_lock(&a->lock);
    *what = true;
    pthread_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
}

void sl_auth_free(sl_auth *a)
{
    if (a == NULL)
        return;
    if (a->has_thread) {
        poke(a, &a->ending);
        pthread_join(a->thread, NULL);
    }
    sl_guard_free(a->guard);
    sl_text_fini(&a->seen);
    sl_free(a->path);
    sl_free(a->dir);
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->work);
    sl_free(a);
}

sl_guard *sl_auth_guard(const sl_auth *a)
{
    return a->guard;
}

void sl_auth_poke(sl_auth *a)
{
    if (a->has_thread)
        poke(a, &a->poked);
}

sl_code sl_auth_read(const char *path, sl_guard *g, sl_status *st)
{
    sl_arena arena;
    Sluice__AuthConfig *c;
    sl_code rc = sl_arena_init(&arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    char *dir = dir_of(path);
    rc = unpack(path, &arena, &c, st);
    if (rc == SL_OK && (rc = sl_guard_configure(g, c, dir, st)) != SL_OK)
        sl_wrap(st, "%s: ", path);
    sl_free(dir);
    sl_arena_fini(&arena);
    return rc;
}
