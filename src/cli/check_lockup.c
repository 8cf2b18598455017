/*
 * check_lockup.c - `sluice check`: from what would the server have locked itself out?
 *
 * A server reads most of its files again and again, as the user that it has become and in the
 * sandbox that it has closed (server/sandbox.h). So this process does the same, in the order of a
 * start (server/parts.h), and then opens what the server will open: the kernel's answer knows of
 * owners, modes, access lists and links. None of it can be taken back: what starts programs
 * (engines, sluice-fetch) has been tried before, and the addresses are tried after it, because who
 * may make a socket is a matter of the user, too.
 */
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/check.h"
#include "fetch/place.h"
#include "server/auth.h"
#include "server/config_dir.h"
#include "server/lockup.h"
#include "server/remote.h"

typedef struct lockup {
    sl_check *check;
    sl_sandbox_options sandbox;
    char whom[300]; /* " (as nobody, --run_as)", for the end of a sentence; "": as who we are */
} lockup;

/* ---- opening what the server opens ---- */

/* The sandbox's reason if it is the sandbox's, else the kernel's. */
static sl_code refused(const lockup *l, const char *path, int e, sl_status *st)
{
    if (sl_sandbox_may_read(&l->sandbox, path, st))
        return st->code;
    return sl_fail(st, sl_code_of_errno(e), "%s: %s%s", path, strerror(e), l->whom);
}

/* Does not wait for a pipe to be written to. */
static sl_code try_read(const lockup *l, const char *path, sl_status *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return refused(l, path, errno, st);
    close(fd);
    return SL_OK;
}

/* FTS_SLNONE: a link that leads nowhere, which is not for us to judge, or to where we may not look.
 */
static sl_code try_entry(const lockup *l, const FTSENT *e, sl_status *st)
{
    switch (e->fts_info) {
    case FTS_DNR:
    case FTS_ERR:
    case FTS_NS:
        return refused(l, e->fts_path, e->fts_errno, st);
    case FTS_F:
        return try_read(l, e->fts_path, st);
    case FTS_SLNONE:
        return try_read(l, e->fts_path, st) == SL_NOT_FOUND ? SL_OK : st->code;
    default:
        return SL_OK;
    }
}

/* Everything below `dir`: how much of it cannot be read, and the first reason. */
static int count_closed(const lockup *l, const char *dir, sl_status *first)
{
    char *roots[] = {(char *)dir, NULL};
    FTS *f = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, NULL);
    int n = 0;
    for (FTSENT *e; f != NULL && (e = fts_read(f)) != NULL;) {
        sl_status st = {0};
        if (try_entry(l, e, &st) && n++ == 0)
            *first = st;
    }
    if (f != NULL)
        fts_close(f);
    return n;
}

/* ---- models ---- */

static void check_version(const lockup *l, const sl_checked_version *v)
{
    sl_status st = {0};
    char more[40] = "";
    int n = count_closed(l, v->path, &st);
    if (n > 1)
        snprintf(more, sizeof more, " (and %d more)", n - 1);
    if (n > 0)
        sl_check_find(l->check, true, "model %s: version %lld: %s%s", v->model->name,
                      (long long)v->number, st.msg, more);
}

/* A base path in which there is nothing yet can be outside of the roots, too: a reload refuses
 * that. */
static bool check_base(const lockup *l, const sl_model_config *m)
{
    sl_status st = {0};
    sl_code rc = sl_sandbox_may_read(&l->sandbox, m->base_path, &st);
    if (rc)
        sl_check_find(l->check, true, "model %s: %s", m->name, st.msg);
    return rc == SL_OK;
}

static void check_models(const lockup *l)
{
    const sl_check *c = l->check;
    int k = 0; /* versions are in the order of their models */
    for (int i = 0; i < c->config.models.count; i++) {
        const sl_model_config *m = &c->config.models.models[i];
        bool ok = check_base(l, m);
        for (; k < c->n_versions && c->versions[k].model == m; k++)
            if (ok)
                check_version(l, &c->versions[k]);
    }
}

/* ---- roots ---- */

/* The kernel takes what is there: a directory that is made later is not the one that was meant. */
static void check_roots(const lockup *l)
{
    const sl_flags *f = l->check->flags;
    sl_str item;
    if (*f->sandbox_root != '\0' && l->sandbox.mode != SL_SANDBOX_STRICT)
        sl_check_find(l->check, false, "sandbox_root has no effect without --sandbox=strict");
    for (size_t at = 0;
         l->sandbox.mode == SL_SANDBOX_STRICT && sl_flags_item(f->sandbox_root, &at, &item);) {
        char *root = sl_strndup(item.p, item.n);
        struct stat s;
        if (stat(root, &s) != 0)
            sl_check_find(l->check, false,
                          "sandbox_root: %s: %s: what comes there after the start cannot be read",
                          root, strerror(errno));
        sl_free(root);
    }
}

/* ---- what is read again ---- */

static sl_code may_read_named(void *arg, const char *file, sl_status *st)
{
    const lockup *l = arg;
    sl_code rc = sl_sandbox_may_read(&l->sandbox, file, st);
    return rc ? rc : try_read(l, file, st);
}

/* Read for the first time when the server has locked itself up. */
static void check_auth(lockup *l)
{
    const char *path = l->check->flags->auth_config_file;
    sl_status st = {0};
    if (*path == '\0' || l->check->bad_auth)
        return;
    sl_code rc = try_read(l, path, &st);
    if (rc == SL_OK)
        rc = sl_auth_each_file(path, may_read_named, l, &st);
    if (rc)
        sl_check_find(l->check, true, "auth_config_file: %s", st.msg);
}

/* What listeners have in common is named by each of them. */
static bool is_named_before(const sl_certificate_source *const *sources, int i, int j)
{
    for (int k = 0; k < i; k++)
        for (int n = 0; n < sources[k]->n_files; n++)
            if (strcmp(sources[k]->files[n], sources[i]->files[j]) == 0)
                return true;
    return false;
}

static void check_certificates(const lockup *l)
{
    const sl_certificates *c = &l->check->certificates;
    const sl_certificate_source *const sources[] = {&c->rest, &c->grpc, &c->admin};
    for (int i = 0; i < (int)SL_COUNTOF(sources); i++)
        for (int j = 0; sources[i]->tls != NULL && j < sources[i]->n_files; j++) {
            sl_status st = {0};
            if (!is_named_before(sources, i, j) && try_read(l, sources[i]->files[j], &st))
                sl_check_find(l->check, false,
                              "TLS: %s: the server starts with it, but cannot take a new one",
                              st.msg);
        }
}

/* As a reload does it. */
static sl_code read_list(const sl_flags *f, sl_status *st)
{
    const sl_model_source source = {.config = f->model_config_file, .models = f->models_dir};
    sl_model_list list;
    if (*source.config == '\0' && *source.models == '\0')
        return SL_OK;
    sl_code rc = sl_model_list_from(&source, NULL, &list, st);
    if (rc == SL_OK)
        sl_model_list_fini(&list);
    return rc;
}

static void check_list(const lockup *l)
{
    sl_status st = {0};
    if (read_list(l->check->flags, &st))
        sl_check_find(l->check, l->check->reload, "a reload cannot read its models: %s%s", st.msg,
                      l->whom);
}

/* ---- the cache ---- */

/* NULL: there is none, or there can be none. To be freed. */
static char *check_cache(const lockup *l)
{
    enum { LEAST = 16 << 20 }; /* sluice-fetch leaves as much to others */
    const sl_flags *f = l->check->flags;
    sl_status st = {0};
    char *dir;
    uint64_t room;
    if (!sl_remote_is_wanted(&l->check->config.models) && *f->remote_root == '\0')
        return NULL;
    if (sl_remote_cache_try(f->remote_cache_dir, &dir, &room, &st)) {
        sl_check_find(l->check, true, "%s%s", st.msg, l->whom);
        return NULL;
    }
    if (room < LEAST)
        sl_check_find(l->check, false,
                      "the cache directory %s has %llu MB of free space: nothing can be fetched",
                      dir, (unsigned long long)(room >> 20));
    else
        sl_check_say("the cache directory %s has %llu MB of free space", dir,
                     (unsigned long long)(room >> 20));
    return dir;
}

/* ---- in the order of a start ---- */

/* Where that cannot be, we lock ourselves up as who we are. Of a server that runs only root could
 * try more: that it has become the user is not in doubt. */
static void become(lockup *l)
{
    const sl_flags *f = l->check->flags;
    const sl_sandbox_mode mode = (sl_sandbox_mode)f->sandbox;
    sl_status st = {0};
    sl_code rc = sl_sandbox_become(mode, f->run_as, false, &st);
    if (rc == SL_FAILED_PRECONDITION && l->check->reload)
        sl_check_say("%s: files were tried as the user who checks", st.msg);
    else if (rc)
        sl_check_find(l->check, true, "%s", st.msg);
    else if (*f->run_as != '\0')
        snprintf(l->whom, sizeof l->whom, " (as %s, --run_as)", f->run_as);
    if (rc && sl_sandbox_become(mode, "", false, &st))
        sl_check_find(l->check, true, "%s", st.msg);
}

void sl_check_lockup(sl_check *c)
{
    lockup l = {.check = c};
    sl_status st = {0};
    bool had_list = read_list(c->flags, &st) == SL_OK;
    become(&l);
    char *cache = check_cache(&l);
    sl_code rc = sl_lockup_options(c->flags, &c->config, cache, &l.sandbox, &st);
    sl_free(cache);
    if (rc == SL_OK)
        rc = sl_sandbox_begin(&l.sandbox, &st);
    if (rc)
        sl_check_find(c, true, "%s", st.msg);
    check_roots(&l);
    check_auth(&l);
    check_certificates(&l);
    if (had_list)
        check_list(&l);
    check_models(&l);
}
