/* mirror.c - see mirror.h */
#include "fetch/helper/mirror.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"

static sl_code fail_errno(sl_status *st, const char *path, int e)
{
    return sl_fail(st, e == EDQUOT ? SL_RESOURCE_EXHAUSTED : sl_code_of_errno(e),
                   "the cache directory: %s: %s", path, strerror(e));
}

static bool path_of(char *out, size_t size, const char *fmt, ...) SL_PRINTF(3, 4);
static bool path_of(char *out, size_t size, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(out, size, fmt, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < size)
        return true;
    errno = ENAMETOOLONG;
    return false;
}

/* ---- fingerprint ---- */

static int by_path(const void *a, const void *b)
{
    return strcmp(((const fetch_object *)a)->path, ((const fetch_object *)b)->path);
}

sl_code fetch_fingerprint(fetch_listing *l, char out[FETCH_FINGERPRINT], sl_status *st)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    if (l->count)
        qsort(l->list, (size_t)l->count, sizeof *l->list, by_path);
    bool ok = md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    for (int i = 0; i < l->count && ok; i++) {
        char size[32];
        snprintf(size, sizeof size, "\n%llu\n", (unsigned long long)l->list[i].size);
        EVP_DigestUpdate(md, l->list[i].path, strlen(l->list[i].path));
        EVP_DigestUpdate(md, size, strlen(size));
        EVP_DigestUpdate(md, l->list[i].tag, strlen(l->list[i].tag) + 1);
    }
    ok = ok && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    EVP_MD_CTX_free(md);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return ok ? SL_OK : sl_fail(st, SL_RESOURCE_EXHAUSTED, "SHA-256 cannot be had");
}

/* ---- trees ---- */

static FTS *walk(const char *path)
{
    char *roots[] = {(char *)(uintptr_t)path, NULL};
    return fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR, NULL);
}

void fetch_remove_tree(const char *path)
{
    FTS *f = walk(path);
    if (f == NULL)
        return;
    for (FTSENT *e; (e = fts_read(f)) != NULL;) {
        if (e->fts_info == FTS_D) /* an archive may hold directories that nobody may write to */
            continue;
        if (e->fts_info == FTS_DP)
            rmdir(e->fts_accpath);
        else
            unlink(e->fts_accpath);
    }
    fts_close(f);
}

static sl_code sync_path(const char *path, sl_status *st)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return fail_errno(st, path, errno);
    int e = fsync(fd) ? errno : 0;
    close(fd);
    return e && e != EINVAL ? fail_errno(st, path, e) : SL_OK;
}

static void begin_to_write(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return; /* sync_path will say why */
    sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
    close(fd);
}

/* In two passes: all of it is on its way to the disk before anything is waited for, so that the
 * first file waits for all, and the others hardly at all. */
sl_code fetch_sync_tree(const char *path, sl_status *st)
{
    sl_code rc = SL_OK;
    for (int pass = 0; pass < 2; pass++) {
        FTS *f = walk(path);
        if (f == NULL)
            return fail_errno(st, path, errno);
        for (FTSENT *e; rc == SL_OK && (e = fts_read(f)) != NULL;)
            if (pass == 0 && e->fts_info == FTS_F)
                begin_to_write(e->fts_accpath);
            else if (pass == 1 && (e->fts_info == FTS_F || e->fts_info == FTS_DP))
                rc = sync_path(e->fts_accpath, st);
        fts_close(f);
    }
    return rc;
}

/* ---- the mirror ---- */

static sl_code make_directory(const char *path, sl_status *st)
{
    return mkdir(path, 0755) == 0 || errno == EEXIST ? SL_OK : fail_errno(st, path, errno);
}

sl_code fetch_mirror_make(const char *dir, sl_status *st)
{
    static const char *const parts[] = {"", "/data"}; /* versions/ only when there is one */
    char path[PATH_MAX];
    for (size_t i = 0; i < SL_COUNTOF(parts); i++) {
        if (!path_of(path, sizeof path, "%s%s", dir, parts[i]))
            return sl_fail(st, SL_INVALID_ARGUMENT, "%s: too long", dir);
        sl_code rc = make_directory(path, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

bool fetch_mirror_has(const char *dir, const char *name, const char *fingerprint)
{
    char link[PATH_MAX], wanted[PATH_MAX], target[PATH_MAX];
    if (!path_of(link, sizeof link, "%s/versions/%s", dir, name) ||
        !path_of(wanted, sizeof wanted, "../data/%s-%s", name, fingerprint))
        return false;
    ssize_t n = readlink(link, target, sizeof target - 1);
    if (n <= 0)
        return false;
    target[n] = '\0';
    return strcmp(target, wanted) == 0 && access(link, F_OK) == 0;
}

sl_code fetch_mirror_room(const char *dir, uint64_t bytes, sl_status *st)
{
    struct statvfs s;
    const uint64_t spare = 16u << 20;
    if (statvfs(dir, &s) != 0)
        return fail_errno(st, dir, errno);
    uint64_t room = (uint64_t)s.f_bavail * s.f_frsize;
    if (bytes > UINT64_MAX - spare || room < bytes + spare)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                       "the cache directory %s has %llu MB of free space, and %llu MB are needed",
                       dir, (unsigned long long)(room >> 20),
                       (unsigned long long)((bytes + spare) >> 20));
    return SL_OK;
}

/* ---- staging ---- */

sl_code fetch_staging_open(const char *dir, fetch_staging *s, sl_status *st)
{
    s->fd = -1;
    if (!path_of(s->path, sizeof s->path, "%s/staging-XXXXXX", dir) || mkdtemp(s->path) == NULL) {
        int e = errno;
        s->path[0] = '\0';
        return fail_errno(st, dir, e);
    }
    chmod(s->path, 0755);
    s->fd = open(s->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->fd < 0 || flock(s->fd, LOCK_EX | LOCK_NB) != 0) {
        int e = errno;
        fetch_staging_close(s);
        return fail_errno(st, dir, e);
    }
    return SL_OK;
}

void fetch_staging_close(fetch_staging *s)
{
    if (s->path[0])
        fetch_remove_tree(s->path);
    if (s->fd >= 0)
        close(s->fd);
    s->fd = -1;
    s->path[0] = '\0';
}

/* ---- publishing ---- */

static sl_code set_link(const char *dir, const char *name, const char *fingerprint, sl_status *st)
{
    char link[PATH_MAX], fresh[PATH_MAX], target[PATH_MAX], folder[PATH_MAX];
    /* The second is the longest. */
    bool fits = path_of(link, sizeof link, "%s/versions/%s", dir, name) &
                path_of(fresh, sizeof fresh, "%s/versions/.%s-%d", dir, name, (int)gettid()) &
                path_of(folder, sizeof folder, "%s/versions", dir) &
                path_of(target, sizeof target, "../data/%s-%s", name, fingerprint);
    if (!fits)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: too long", dir);
    sl_code rc = make_directory(folder, st);
    if (rc)
        return rc;
    unlink(fresh);
    if (symlink(target, fresh) != 0)
        return fail_errno(st, fresh, errno);
    if (rename(fresh, link) != 0) {
        int e = errno;
        unlink(fresh);
        return fail_errno(st, link, e);
    }
    return sync_path(folder, st);
}

sl_code fetch_publish(const char *dir, const char *path, const char *name, const char *fingerprint,
                      sl_status *st)
{
    char to[PATH_MAX], folder[PATH_MAX];
    bool fits = path_of(to, sizeof to, "%s/data/%s-%s", dir, name, fingerprint) &
                path_of(folder, sizeof folder, "%s/data", dir);
    if (!fits)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: too long", dir);
    sl_code rc = fetch_sync_tree(path, st);
    if (rc)
        return rc;
    if (rename(path, to) != 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return fail_errno(st, to, errno);
        fetch_remove_tree(path); /* somebody was faster, with the same content */
    }
    rc = sync_path(folder, st);
    return rc ? rc : set_link(dir, name, fingerprint, st);
}

/* ---- tidying up ---- */

static bool is_kept(const fetch_op *op, const char *name)
{
    for (int i = 0; i < op->n_names; i++)
        if (sl_str_is(op->names[i], name))
            return true;
    return false;
}

static void drop_links(const fetch_op *op, const char *versions)
{
    char path[PATH_MAX];
    DIR *d = opendir(versions);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        if (sl_fetch_is_version(sl_str_of(e->d_name)) && !is_kept(op, e->d_name) &&
            path_of(path, sizeof path, "%s/%s", versions, e->d_name))
            unlink(path);
    closedir(d);
}

/* Does a link lead to data/ENTRY? ENTRY is NAME-FINGERPRINT. */
static bool is_linked(const fetch_op *op, const char *entry, const char *dash)
{
    char name[SL_FETCH_NAME_LENGTH + 1];
    assert(dash - entry <= SL_FETCH_NAME_LENGTH); /* of a name that is no longer with all */
    snprintf(name, sizeof name, "%.*s", (int)(dash - entry), entry);
    return fetch_mirror_has(op->dir, name, dash + 1);
}

static bool is_in_use(const fetch_op *op, const char *entry, const char *dash)
{
    int64_t number;
    sl_str name = {entry, (size_t)(dash - entry)};
    if (name.n > 1 && name.p[0] == '+') {
        name.p++;
        name.n--;
    }
    if (!sl_str_to_int64(name, &number))
        return true;
    for (int i = 0; i < op->n_numbers; i++)
        if (op->numbers[i] == number)
            return true;
    return false;
}

static void drop_data(const fetch_op *op, const char *data)
{
    char path[PATH_MAX];
    DIR *d = opendir(data);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *dash = strrchr(e->d_name, '-');
        if (dash == NULL || dash == e->d_name || is_linked(op, e->d_name, dash) ||
            is_in_use(op, e->d_name, dash))
            continue;
        if (path_of(path, sizeof path, "%s/%s", data, e->d_name))
            fetch_remove_tree(path);
    }
    closedir(d);
}

/* What is not locked belongs to nobody who lives. */
static void drop_staging(const char *dir)
{
    char path[PATH_MAX];
    DIR *d = opendir(dir);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strncmp(e->d_name, "staging-", 8) != 0 ||
            !path_of(path, sizeof path, "%s/%s", dir, e->d_name))
            continue;
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0)
            fetch_remove_tree(path);
        if (fd >= 0)
            close(fd);
    }
    closedir(d);
}

sl_code fetch_tidy(fetch_op *op, sl_status *st)
{
    char versions[PATH_MAX], data[PATH_MAX];
    bool fits = path_of(versions, sizeof versions, "%s/versions", op->dir) &
                path_of(data, sizeof data, "%s/data", op->dir);
    if (!fits)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: too long", op->dir);
    drop_links(op, versions);
    drop_data(op, data);
    drop_staging(op->dir);
    return SL_OK;
}
