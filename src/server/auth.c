/*
 * auth.c - see auth.h
 *
 * What the files look like from outside (a text of names, sizes, times, inodes) is taken before
 * they are read: if one changes while it is being read, the next look sees another text and reads
 * again.
 *
 * A text that has been cut off is often a good text that says less: without the limit or the denied
 * network that stood at its end. So a change is taken when the files have stood still from one look
 * to the next, and not while somebody writes.
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
#include "server/jwks.h"
#include "server/sandbox.h"

#define LOOK_EVERY_NS 1000000000u

struct sl_auth {
    sl_guard *guard;
    sl_jwks *jwks;
    const char *helper;
    const struct sl_sandbox_options *sandbox;
    char *path, *dir;
    sl_text taken;        /* what the files looked like when they were last read; own thread */
    sl_text seen;         /* ... when they were last looked at; own thread */
    bool due;             /* keys were fetched, and wait for files that stand still; own thread */
    bool has_end;         /* what serves ends with `end: true`; own thread */
    sl_status complaint;  /* what was logged last; own thread */
    pthread_mutex_t lock; /* guards the three flags below */
    sl_cond work;
    bool poked, fetched, ending;
    pthread_t thread;
    bool has_thread;
};

static char *dir_of(const char *path)
{
    char *copy = sl_strdup(path), *dir = sl_strdup(dirname(copy));
    sl_free(copy);
    return dir;
}

/* `end: true` is worth something as the last field alone: field 11, a varint of 1. */
static sl_code check_end(const Sluice__AuthConfig *c, sl_str wire, sl_status *st)
{
    if (!c->end || (wire.n >= 2 && memcmp(wire.p + wire.n - 2, "\x58\x01", 2) == 0))
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT, "something stands behind \"end: true\"");
}

static sl_code check_empty(const Sluice__AuthConfig *c, sl_status *st)
{
    if (protobuf_c_message_get_packed_size(&c->base) > 0)
        return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "there is nothing in it, which would let everybody in: to have that leave out "
                   "--auth_config_file");
}

static sl_code unpack(const char *path, sl_arena *arena, Sluice__AuthConfig **out, sl_status *st)
{
    void *message;
    sl_str wire;
    sl_code rc = sl_config_read(path, &sluice__auth_config__descriptor, arena, &message, &wire, st);
    if (rc)
        return rc;
    *out = message;
    rc = check_empty(*out, st);
    if (rc == SL_OK)
        rc = check_end(*out, wire, st);
    return rc ? sl_wrap(st, "%s: ", path) : SL_OK;
}

/* ---- the files that a configuration names ---- */

typedef sl_code on_file(void *arg, const char *file, sl_status *st);

/* NULL: no memory. */
static char *beside(const char *dir, const char *name)
{
    return *name == '/' || *dir == '\0' ? sl_strdup(name) : sl_path_join(dir, name);
}

static sl_code hand_out(const char *dir, const char *name, on_file *each, void *arg, sl_status *st)
{
    char *joined = beside(dir, name);
    sl_code rc = joined ? each(arg, joined, st) : sl_fail(st, SL_RESOURCE_EXHAUSTED, "no memory");
    sl_free(joined);
    return rc;
}

static sl_code each_file(const Sluice__AuthConfig *c, const char *dir, on_file *each, void *arg,
                         sl_status *st)
{
    sl_code rc = SL_OK;
    for (size_t i = 0; rc == SL_OK && i < c->n_token_file; i++)
        rc = hand_out(dir, c->token_file[i], each, arg, st);
    for (size_t i = 0; rc == SL_OK && i < c->n_jwt; i++)
        if (*c->jwt[i]->jwks_file != '\0')
            rc = hand_out(dir, c->jwt[i]->jwks_file, each, arg, st);
    return rc;
}

sl_code sl_auth_each_file(const char *path, on_file *each, void *arg, sl_status *st)
{
    sl_arena arena;
    Sluice__AuthConfig *c;
    sl_status unread;
    sl_code rc = sl_arena_init(&arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    char *dir = dir_of(path);
    if (unpack(path, &arena, &c, &unread) == SL_OK)
        rc = each_file(c, dir, each, arg, st);
    sl_free(dir);
    sl_arena_fini(&arena);
    return rc;
}

static sl_code may_read(void *sandbox, const char *file, sl_status *st)
{
    return sl_sandbox_may_read(sandbox, file, st);
}

/* ---- what the files look like ---- */

static void look_at(const char *dir, const char *name, sl_text *to)
{
    struct stat s;
    char *joined = beside(dir, name);
    if (joined != NULL && stat(joined, &s) == 0)
        sl_text_printf(to, "%s %lld %lld.%09ld %llu\n", name, (long long)s.st_size,
                       (long long)s.st_mtim.tv_sec, s.st_mtim.tv_nsec,
                       (unsigned long long)s.st_ino);
    else
        sl_text_printf(to, "%s missing\n", name);
    sl_free(joined);
}

static void look_at_named(const sl_auth *a, const Sluice__AuthConfig *c, sl_text *to)
{
    for (size_t i = 0; i < c->n_token_file; i++)
        look_at(a->dir, c->token_file[i], to);
    for (size_t i = 0; i < c->n_jwt; i++)
        if (*c->jwt[i]->jwks_file != '\0')
            look_at(a->dir, c->jwt[i]->jwks_file, to);
}

/* What could not be noted is like nothing else. */
static bool alike(const sl_text *a, const sl_text *b)
{
    return a->p != NULL && b->p != NULL && !a->failed && !b->failed && a->n == b->n &&
           memcmp(a->p, b->p, a->n) == 0;
}

static void become(sl_text *t, const sl_text *from)
{
    sl_text_fini(t);
    *t = (sl_text){.failed = from->failed};
    sl_text_add(t, from->p ? from->p : "", from->n);
}

/* ---- reading ---- */

/* The texts, and their list as the guard takes it. */
typedef struct key_sets {
    sl_text *texts;
    sl_str *list;
    size_t n;
} key_sets;

static void key_sets_init(key_sets *k, size_t n)
{
    *k = (key_sets){sl_calloc(n + 1, sizeof *k->texts), sl_calloc(n + 1, sizeof *k->list), n};
}

static const sl_str *key_sets_list(key_sets *k)
{
    for (size_t i = 0; i < k->n; i++)
        k->list[i] = (sl_str){k->texts[i].p, k->texts[i].n};
    return k->list;
}

static void key_sets_fini(key_sets *k)
{
    for (size_t i = 0; i < k->n; i++)
        sl_text_fini(&k->texts[i]);
    sl_free(k->texts);
    sl_free(k->list);
}

/* Hands the configuration on, with what has been fetched so far. */
static sl_code configure(sl_auth *a, const Sluice__AuthConfig *c, sl_status *st)
{
    key_sets k;
    if (a->has_end && !c->end)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "\"end: true\" is missing, with which the file ended before: it seems to be "
                       "cut off. To do without, restart the server");
    sl_code rc = sl_jwks_check(c, a->helper, st);
    if (rc == SL_OK && a->sandbox != NULL)
        rc = each_file(c, a->dir, may_read, (void *)(uintptr_t)a->sandbox, st);
    if (rc)
        return rc;
    key_sets_init(&k, c->n_jwt);
    sl_jwks_texts(a->jwks, c, a->dir, k.texts);
    rc = sl_guard_configure(a->guard, c, a->dir, key_sets_list(&k), st);
    key_sets_fini(&k);
    if (rc == SL_OK)
        a->has_end = c->end;
    return rc ? rc : sl_jwks_follow(a->jwks, c, a->dir, st);
}

/* Looks at all files, and reads them if that is due: `now`, or when they stand still again. */
static sl_code read_if_due(sl_auth *a, bool now, bool *read, sl_status *st)
{
    sl_arena arena;
    Sluice__AuthConfig *c = NULL;
    sl_text is = {0};
    sl_code rc = sl_arena_init(&arena, 0);
    *read = true;
    if (rc)
        return sl_fail(st, rc, "out of memory");
    look_at("", a->path, &is);
    rc = unpack(a->path, &arena, &c, st);
    if (rc == SL_OK)
        look_at_named(a, c, &is);
    *read = now || ((a->due || !alike(&is, &a->taken)) && alike(&is, &a->seen));
    if (*read) {
        if (rc == SL_OK && (rc = configure(a, c, st)) != SL_OK)
            sl_wrap(st, "%s: ", a->path);
        become(&a->taken, &is);
        a->due = false;
    }
    sl_text_fini(&a->seen);
    a->seen = is;
    sl_arena_fini(&arena);
    return *read ? rc : SL_OK;
}

static void look_again(sl_auth *a, bool now)
{
    sl_status st = {0};
    bool read;
    sl_code rc = read_if_due(a, now, &read, &st);
    if (rc && strcmp(st.msg, a->complaint.msg) != 0)
        sl_log(SL_ERROR, "permissions stay as they were: %s", st.msg);
    else if (rc == SL_OK && read)
        sl_log(SL_INFO, "permissions read from %s", a->path);
    if (read)
        a->complaint = st;
}

static void *watch(void *arg)
{
    sl_auth *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->ending) {
        uint64_t next = sl_now_ns() + LOOK_EVERY_NS;
        while (!a->ending && !a->poked && !a->fetched &&
               sl_cond_wait_until(&a->work, &a->lock, next))
            ;
        bool ending = a->ending, now = a->poked;
        a->due |= a->fetched;
        a->poked = a->fetched = false;
        pthread_mutex_unlock(&a->lock);
        if (!ending)
            look_again(a, now);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

/* ---- making ---- */

static sl_code start(sl_auth *a, sl_status *st)
{
    bool read;
    sl_code rc = read_if_due(a, true, &read, st);
    if (rc == SL_OK)
        rc = sl_thread_start(&a->thread, "sl-auth", watch, a, st);
    a->has_thread = rc == SL_OK;
    return rc;
}

static void poke(sl_auth *a, bool *what)
{
    pthread_mutex_lock(&a->lock);
    *what = true;
    sl_cond_broadcast(&a->work);
    pthread_mutex_unlock(&a->lock);
}

static void keys_fetched(void *auth)
{
    sl_auth *a = auth;
    poke(a, &a->fetched);
}

static sl_auth *make(const sl_auth_options *o)
{
    sl_auth *a = sl_calloc(1, sizeof *a);
    sl_jwks_options keys = {.helper = o->helper,
                            .launcher = o->launcher,
                            .launch_op = o->launch_op,
                            .changed = keys_fetched,
                            .arg = a};
    a->path = sl_strdup(o->path);
    a->dir = dir_of(o->path);
    a->helper = o->helper;
    a->sandbox = o->sandbox;
    pthread_mutex_init(&a->lock, NULL);
    sl_cond_init(&a->work);
    a->jwks = sl_jwks_new(&keys);
    return a;
}

sl_code sl_auth_new(const sl_auth_options *o, sl_auth **out, sl_status *st)
{
    sl_auth *a = make(o);
    sl_code rc = sl_guard_new(o->allow_remote_admin, &a->guard, st);
    if (rc == SL_OK)
        sl_guard_on_unknown_key(a->guard, sl_jwks_unknown_key, a->jwks);
    if (rc == SL_OK && *o->path != '\0')
        rc = start(a, st);
    if (rc) {
        sl_auth_free(a);
        return rc;
    }
    if (o->allow_remote_admin && !sl_guard_has_identities(a->guard))
        sl_log(SL_WARNING, "--allow_remote_admin: whoever reaches a port of this server may "
                           "replace its configuration and "
                           "have it read any path");
    *out = a;
    return SL_OK;
}

void sl_auth_free(sl_auth *a)
{
    if (a == NULL)
        return;
    if (a->has_thread) {
        poke(a, &a->ending);
        pthread_join(a->thread, NULL);
    }
    sl_jwks_free(a->jwks);
    sl_guard_free(a->guard);
    sl_text_fini(&a->taken);
    sl_text_fini(&a->seen);
    sl_free(a->path);
    sl_free(a->dir);
    pthread_mutex_destroy(&a->lock);
    sl_free(a);
}

sl_guard *sl_auth_guard(const sl_auth *a)
{
    return a->guard;
}

void sl_auth_poke(sl_auth *a)
{
    if (!a->has_thread)
        return;
    poke(a, &a->poked);
    sl_jwks_poke(a->jwks);
}

/* ---- for the commands ---- */

static sl_code read_once(const Sluice__AuthConfig *c, const char *dir, const char *helper,
                         sl_guard *g,
                         void (*say)(const char *issuer, const char *url, const sl_status *st),
                         sl_status *st)
{
    key_sets k;
    sl_code rc = sl_jwks_check(c, helper, st);
    if (rc)
        return rc;
    sl_status *sts = sl_calloc(c->n_jwt + 1, sizeof *sts);
    key_sets_init(&k, c->n_jwt);
    if (helper != NULL)
        sl_jwks_fetch_once(c, dir, helper, k.texts, sts);
    rc = sl_guard_configure(g, c, dir, key_sets_list(&k), st);
    for (size_t i = 0; rc == SL_OK && helper != NULL && say != NULL && i < c->n_jwt; i++)
        if (*c->jwt[i]->jwks_url != '\0')
            say(c->jwt[i]->name, c->jwt[i]->jwks_url, &sts[i]);
    key_sets_fini(&k);
    sl_free(sts);
    return rc;
}

sl_code sl_auth_read(const char *path, const char *helper, sl_guard *g,
                     void (*say)(const char *issuer, const char *url, const sl_status *st),
                     sl_status *st)
{
    sl_arena arena;
    Sluice__AuthConfig *c;
    sl_code rc = sl_arena_init(&arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    char *dir = dir_of(path);
    rc = unpack(path, &arena, &c, st);
    if (rc == SL_OK && (rc = read_once(c, dir, helper, g, say, st)) != SL_OK)
        sl_wrap(st, "%s: ", path);
    sl_free(dir);
    sl_arena_fini(&arena);
    return rc;
}
