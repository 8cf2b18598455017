/* remote.c - see remote.h */
#include "server/remote.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fetch/place.h"
#include "server/remote_internal.h"

bool sl_remote_is_wanted(const sl_model_list *l)
{
    for (int i = 0; i < l->count; i++)
        if (sl_fetch_is_remote(l->models[i].base_path))
            return true;
    return false;
}

sl_code sl_remote_check(const char *base_path, const char *helper, sl_status *st)
{
    sl_fetch_place place;
    char *path = NULL;
    sl_code rc = sl_fetch_place_parse(sl_str_of(base_path), &place, st);
    if (rc == SL_OK)
        rc = sl_helper_find(helper, &path, st);
    sl_free(path);
    return rc;
}

/* ---- the cache directory ---- */

/* Ours, a directory, and nobody else may write to it: models are as good as programs. */
static sl_code check_cache(const char *dir, sl_status *st)
{
    struct stat s;
    if (stat(dir, &s) != 0)
        return sl_fail(st, sl_code_of_errno(errno), "%s: %s", dir, strerror(errno));
    if (!S_ISDIR(s.st_mode))
        return sl_fail(st, SL_FAILED_PRECONDITION, "%s is no directory", dir);
    if (s.st_mode & S_IWOTH)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "everybody may write to %s: models that lie there could be replaced", dir);
    if (access(dir, W_OK | X_OK) != 0)
        return sl_fail(st, sl_code_of_errno(errno), "%s: %s", dir, strerror(errno));
    return SL_OK;
}

static sl_code make_path(void *arg, const char *path, sl_status *st)
{
    char part[4096];
    (void)arg;
    if (path[0] != '/' || strlen(path) >= sizeof part)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s is no absolute path", path);
    for (const char *p = path + 1; *p; p++) {
        const char *end = strchrnul(p, '/');
        snprintf(part, sizeof part, "%.*s", (int)(end - path), path);
        if (mkdir(part, *end ? 0755 : 0750) != 0 && errno != EEXIST)
            return sl_fail(st, sl_code_of_errno(errno), "%s: %s", part, strerror(errno));
        p = *end ? end : end - 1;
    }
    return check_cache(path, st);
}

/* As far as one can see without making anything: the deepest directory of it that is there decides.
 * `arg`: gets the free bytes. */
static sl_code try_path(void *arg, const char *path, sl_status *st)
{
    char part[4096];
    struct statvfs s;
    uint64_t *room = arg;
    if (path[0] != '/' || strlen(path) >= sizeof part)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s is no absolute path", path);
    snprintf(part, sizeof part, "%s", path);
    while (part[1] && access(part, F_OK) != 0 && errno == ENOENT) {
        char *slash = strrchr(part, '/');
        slash[slash == part] = '\0';
    }
    if (strcmp(part, path) == 0 && check_cache(path, st))
        return st->code;
    if (access(part, W_OK | X_OK) != 0 || statvfs(part, &s) != 0)
        return sl_fail(st, sl_code_of_errno(errno), "%s: %s", part, strerror(errno));
    *room = (uint64_t)s.f_bavail * s.f_frsize;
    return SL_OK;
}

typedef sl_code try_cache(void *arg, const char *path, sl_status *st);

static sl_code choose_cache(const char *given, try_cache *may_be, void *arg, char **out,
                            sl_status *st)
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    const char *usual = "/var/cache/sluice";
    char path[4096];
    if (*given) {
        if (may_be(arg, given, st))
            return sl_wrap(st, "remote_cache_dir: ");
        *out = sl_strdup(given);
        return SL_OK;
    }
    if (may_be(arg, usual, st) == SL_OK) {
        *out = sl_strdup(usual);
        return SL_OK;
    }
    if (xdg != NULL && xdg[0] == '/')
        snprintf(path, sizeof path, "%s/sluice", xdg);
    else if (home != NULL && home[0] == '/')
        snprintf(path, sizeof path, "%s/.cache/sluice", home);
    else
        return sl_wrap(st, "give --remote_cache_dir, a directory for what is fetched: ");
    if (may_be(arg, path, st))
        return sl_wrap(st, "give --remote_cache_dir, a directory for what is fetched: ");
    *out = sl_strdup(path);
    return SL_OK;
}

sl_code sl_remote_cache(const char *given, char **out, sl_status *st)
{
    return choose_cache(given, make_path, NULL, out, st);
}

sl_code sl_remote_cache_try(const char *given, char **out, uint64_t *room, sl_status *st)
{
    return choose_cache(given, try_path, room, out, st);
}

/* ---- mirrors ---- */

/* FNV-1a: a name for a directory that is the same after every start. */
static uint64_t hash_of(const char *s)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (; *s; s++)
        h = (h ^ (unsigned char)*s) * 0x100000001b3u;
    return h;
}

/* CACHE/NAME-HASH; NAME is the last part of the base path, for people. */
static char *directory_of(const sl_remote *r, const char *url)
{
    char name[40], path[4200];
    size_t n = strlen(url), k = 0;
    while (n && url[n - 1] == '/')
        n--;
    size_t begin = n;
    while (begin && url[begin - 1] != '/')
        begin--;
    for (size_t i = begin; i < n && k < sizeof name - 1; i++) {
        char c = url[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                     c == '_' || c == '-';
        name[k++] = plain ? c : '_';
    }
    name[k] = '\0';
    snprintf(path, sizeof path, "%s/%s-%016llx", r->cache_dir, name,
             (unsigned long long)hash_of(url));
    return sl_strdup(path);
}

static sl_cell *cell(const char *name, sl_metric_kind kind, const char *url)
{
    static const char *const labels[] = {"base_path", NULL};
    sl_str value = sl_str_of(url);
    bool timing = kind == SL_HISTOGRAM;
    return sl_metric_cell(sl_metric_register(name, kind, labels,
                                             timing ? sl_metric_exponential(0.1, 2, 16) : NULL,
                                             timing ? 16 : 0),
                          &value);
}

/* With the lock. */
static remote_mirror *find(const sl_remote *r, const char *url)
{
    remote_mirror *m = r->mirrors;
    while (m != NULL && strcmp(m->url, url) != 0)
        m = m->next;
    return m;
}

/* With the lock. Stays until the end: there are as many as base paths were ever configured. */
static remote_mirror *need(sl_remote *r, const char *url)
{
    remote_mirror *m = find(r, url);
    if (m != NULL)
        return m;
    m = sl_calloc(1, sizeof *m);
    m->url = sl_strdup(url);
    m->dir = directory_of(r, url);
    m->versions_dir = sl_path_join(m->dir, "versions");
    if (m->versions_dir == NULL)
        abort();
    m->at = -1;
    m->bytes = cell("/sluice/remote/bytes", SL_COUNTER, url);
    m->ok = cell("/sluice/remote/rounds", SL_COUNTER, url);
    m->bad = cell("/sluice/remote/failed_rounds", SL_COUNTER, url);
    m->seconds = cell("/sluice/remote/fetch_seconds", SL_HISTOGRAM, url);
    if (r->opts.poll_seconds < 0) { /* what is there is all that there will be */
        m->due_ns = UINT64_MAX;
        remote_let_it_be_seen(m);
    } else {
        rmdir(m->versions_dir); /* an empty one is no mirror: a source would not wait for it */
    }
    m->next = r->mirrors;
    r->mirrors = m;
    return m;
}

static sl_code check_root(const sl_remote *r, const sl_model_config *c, sl_status *st)
{
    const remote_mirror *m = find(r, c->base_path);
    if (m != NULL && m->from_start)
        return SL_OK;
    for (int i = 0; i < r->n_roots; i++)
        if (sl_fetch_below(sl_str_of(c->base_path), r->roots[i]))
            return SL_OK;
    return sl_fail(
        st, SL_INVALID_ARGUMENT,
        "model %s: %s is below none of the prefixes that --remote_root allows a reload to "
        "name",
        c->name, c->base_path);
}

static sl_code attach(sl_remote *r, sl_model_list *l, sl_model_config *c, bool reload,
                      sl_status *st)
{
    sl_fetch_place place;
    sl_code rc = sl_fetch_place_parse(sl_str_of(c->base_path), &place, st);
    if (rc)
        return sl_fail(st, rc, "model %s: %s", c->name, st->msg);
    if (r == NULL)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "model %s: a reload may name %s only if --remote_root allowed it at the start", c->name,
            c->base_path);
    pthread_mutex_lock(&r->lock);
    rc = reload ? check_root(r, c, st) : SL_OK;
    if (rc == SL_OK) {
        remote_mirror *m = need(r, c->base_path);
        m->from_start |= !reload;
        c->mirror = sl_arena_try_strndup(&l->arena, m->versions_dir, strlen(m->versions_dir));
        if (c->mirror == NULL)
            rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

sl_code sl_remote_attach(sl_remote *r, sl_model_list *l, bool reload, sl_status *st)
{
    for (int i = 0; i < l->count; i++) {
        sl_code rc = SL_OK;
        if (sl_fetch_is_remote(l->models[i].base_path))
            rc = attach(r, l, &l->models[i], reload, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static void drop_wants(remote_mirror *m)
{
    for (int i = 0; i < m->n_wants; i++) {
        sl_free(m->wants[i].model);
        sl_free(m->wants[i].versions);
    }
    sl_free(m->wants);
    m->wants = NULL;
    m->n_wants = 0;
}

static void add_want(remote_mirror *m, const sl_model_config *c)
{
    remote_want w = {.model = sl_strdup(c->name),
                     .policy = c->policy,
                     .num_versions = c->num_versions,
                     .n_versions = c->n_versions};
    w.versions = sl_calloc((size_t)c->n_versions, sizeof *w.versions);
    if (c->n_versions)
        memcpy(w.versions, c->versions, (size_t)c->n_versions * sizeof *w.versions);
    m->wants = sl_realloc(m->wants, ((size_t)m->n_wants + 1) * sizeof *m->wants);
    m->wants[m->n_wants++] = w;
}

void sl_remote_follow(sl_remote *r, const sl_model_list *l)
{
    uint64_t one = 1;
    if (r == NULL)
        return;
    pthread_mutex_lock(&r->lock);
    for (remote_mirror *m = r->mirrors; m != NULL; m = m->next)
        drop_wants(m);
    for (int i = 0; i < l->count; i++) {
        remote_mirror *m = l->models[i].mirror ? find(r, l->models[i].base_path) : NULL;
        if (m == NULL)
            continue;
        add_want(m, &l->models[i]);
        if (r->opts.poll_seconds >= 0)
            m->due_ns = 0; /* another policy may want other versions */
        m->again = r->opts.poll_seconds >= 0 && m->phase != REMOTE_IDLE;
    }
    for (remote_mirror *m = r->mirrors; m != NULL; m = m->next)
        if (m->n_wants == 0 && m->phase != REMOTE_IDLE)
            remote_helper_send(r, &(sl_fetch_msg){.kind = SL_FETCH_CANCEL, .id = m->op});
    pthread_mutex_unlock(&r->lock);
    if (write(r->wake, &one, sizeof one) < 0)
        sl_log(SL_ERROR, "eventfd: %s", strerror(errno));
}

void sl_remote_explain(void *remote, const char *base_path, sl_text *out)
{
    sl_remote *r = remote;
    pthread_mutex_lock(&r->lock);
    const remote_mirror *m = find(r, base_path);
    if (m != NULL && m->error.code != SL_OK)
        sl_text_printf(out, "%s: %s", sl_code_name(m->error.code), m->error.msg);
    else if (m != NULL && m->done)
        sl_text_printf(out, "it is being fetched: %llu of %llu MB", MB(m->done), MB(m->total));
    else if (m != NULL && !m->tried)
        sl_text_puts(out, "it is being fetched");
    pthread_mutex_unlock(&r->lock);
}

/* ---- beginning and end ---- */

static void split_roots(sl_remote *r)
{
    size_t at = 0;
    sl_str item;
    while (sl_flags_item(r->opts.roots ? r->opts.roots : "", &at, &item)) {
        r->roots = sl_realloc(r->roots, ((size_t)r->n_roots + 1) * sizeof *r->roots);
        r->roots[r->n_roots++] = item;
    }
}

sl_code sl_remote_start(const sl_remote_options *opts, sl_remote **out, sl_status *st)
{
    sl_remote *r = sl_calloc(1, sizeof *r);
    r->opts = *opts;
    r->socket = -1;
    r->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&r->lock, NULL);
    split_roots(r);
    r->cache_dir = sl_strdup(opts->cache_dir);
    r->process = (sl_helper){.launcher = opts->launcher, .launch_op = opts->launch_op};
    sl_code rc = sl_helper_find(opts->helper, &r->process.path, st);
    if (rc == SL_OK)
        rc = sl_thread_start(&r->thread, "sl-remote", remote_helper_run, r, st);
    r->has_thread = rc == SL_OK;
    if (rc) {
        sl_remote_free(r);
        return rc;
    }
    *out = r;
    return SL_OK;
}

void sl_remote_stop(sl_remote *r)
{
    uint64_t one = 1;
    if (r == NULL || !r->has_thread)
        return;
    pthread_mutex_lock(&r->lock);
    r->ending = true;
    pthread_mutex_unlock(&r->lock);
    if (write(r->wake, &one, sizeof one) < 0)
        sl_log(SL_ERROR, "eventfd: %s", strerror(errno));
    pthread_join(r->thread, NULL);
    r->has_thread = false;
}

void sl_remote_free(sl_remote *r)
{
    if (r == NULL)
        return;
    sl_remote_stop(r);
    while (r->mirrors != NULL) {
        remote_mirror *m = r->mirrors;
        r->mirrors = m->next;
        drop_wants(m);
        remote_round_free_list(m);
        sl_free(m->url);
        sl_free(m->dir);
        sl_free(m->versions_dir);
        sl_free(m);
    }
    if (r->wake >= 0)
        close(r->wake);
    sl_free(r->roots);
    sl_free(r->cache_dir);
    sl_free(r->process.path);
    pthread_mutex_destroy(&r->lock);
    sl_free(r);
}
