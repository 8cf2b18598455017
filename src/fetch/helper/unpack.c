/* unpack.c - opening an archive that may be anything (archive.h) */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "fetch/helper/archive.h"

enum { BLOCK = 1 << 16 };

typedef struct unpacking {
    struct archive *a;
    int fd;
    uint64_t left; /* bytes that may still come */
} unpacking;

static struct archive *open_archive(int fd)
{
    struct archive *a = archive_read_new();
    if (a == NULL)
        return NULL;
    archive_read_support_filter_gzip(a);
    archive_read_support_filter_bzip2(a);
    archive_read_support_filter_xz(a);
    archive_read_support_filter_zstd(a);
    archive_read_support_format_tar(a);
    archive_read_support_format_gnutar(a);
    archive_read_support_format_zip(a);
    if (archive_read_open_fd(a, fd, BLOCK) == ARCHIVE_OK)
        return a;
    archive_read_free(a);
    return NULL;
}

static sl_code fail_archive(unpacking *u, sl_status *st)
{
    const char *why = archive_error_string(u->a);
    return sl_fail(st, SL_INVALID_ARGUMENT, "the archive cannot be read: %s",
                   why ? why : "it is none");
}

static sl_code fail_errno(const char *name, sl_status *st)
{
    if (errno == ENOTDIR)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "the archive holds \"%s\" below a name that is a file", name);
    sl_code rc = errno == ENOSPC || errno == EDQUOT ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL;
    return sl_fail(st, rc, "the cache directory: %s: %s", name, strerror(errno));
}

/* A name without "./" in front and '/' behind; n == 0: the archive's own root. */
static sl_str clean(const char *name)
{
    sl_str s = sl_str_of(name);
    while (s.n >= 2 && s.p[0] == '.' && s.p[1] == '/') {
        s.p += 2;
        s.n -= 2;
        while (s.n && s.p[0] == '/') {
            s.p++;
            s.n--;
        }
    }
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    if (sl_str_is(s, "."))
        s.n = 0;
    return s;
}

static sl_code make_directories(unpacking *u, const char *path, bool whole, sl_status *st)
{
    char part[1100];
    const char *slash = path;
    for (;;) {
        slash = strchr(slash, '/');
        if (slash == NULL && !whole)
            return SL_OK;
        size_t n = slash ? (size_t)(slash - path) : strlen(path);
        snprintf(part, sizeof part, "%.*s", (int)n, path);
        if (mkdirat(u->fd, part, 0755) != 0 && errno != EEXIST)
            return fail_errno(part, st);
        if (slash == NULL)
            return SL_OK;
        slash++;
    }
}

static sl_code write_at(int fd, const char *p, size_t n, int64_t at, const char *name,
                        sl_status *st)
{
    while (n) {
        ssize_t done = pwrite(fd, p, n, at);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return fail_errno(name, st);
        p += done;
        n -= (size_t)done;
        at += done;
    }
    return SL_OK;
}

/* Holes of sparse files count as what they stand for. */
static sl_code copy_data(unpacking *u, int fd, const char *name, sl_status *st)
{
    uint64_t end = 0;
    for (;;) {
        const void *p;
        size_t n;
        la_int64_t at;
        int how = archive_read_data_block(u->a, &p, &n, &at);
        if (how == ARCHIVE_EOF)
            break;
        if (how != ARCHIVE_OK)
            return fail_archive(u, st);
        if (at < 0 || (uint64_t)at < end || (uint64_t)at - end > u->left ||
            n > u->left - ((uint64_t)at - end))
            return sl_fail(st, SL_OUT_OF_RANGE,
                           "the archive holds more than --remote_max_bytes allows");
        u->left -= (uint64_t)at - end + n;
        end = (uint64_t)at + n;
        sl_code rc = write_at(fd, p, n, at, name, st);
        if (rc)
            return rc;
    }
    return SL_OK;
}

static sl_code unpack_file(unpacking *u, struct archive_entry *e, const char *name, sl_status *st)
{
    if (archive_entry_size_is_set(e) && (uint64_t)archive_entry_size(e) > u->left)
        return sl_fail(st, SL_OUT_OF_RANGE,
                       "the archive holds more than --remote_max_bytes allows");
    sl_code rc = make_directories(u, name, false, st);
    if (rc)
        return rc;
    int fd = openat(u->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0 && errno == EEXIST)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the archive holds \"%s\" twice", name);
    if (fd < 0)
        return fail_errno(name, st);
    rc = copy_data(u, fd, name, st);
    close(fd);
    return rc;
}

static sl_code unpack_entry(unpacking *u, struct archive_entry *e, sl_status *st)
{
    char name[1100];
    const char *given = archive_entry_pathname(e);
    if (given == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the archive holds a name that cannot be read");
    sl_str path = clean(given);
    if (path.n == 0)
        return SL_OK;
    if (!sl_fetch_is_safe_path(path))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "the archive holds \"%.200s\", which leads out of its directory or is no "
                       "path",
                       given);
    if (archive_entry_hardlink(e) != NULL || archive_entry_symlink(e) != NULL ||
        (archive_entry_filetype(e) != AE_IFREG && archive_entry_filetype(e) != AE_IFDIR))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "the archive holds \"%.200s\", a link or a device: only files and "
                       "directories are unpacked",
                       given);
    snprintf(name, sizeof name, "%.*s", (int)path.n, path.p);
    if (archive_entry_filetype(e) == AE_IFDIR)
        return make_directories(u, name, true, st);
    return unpack_file(u, e, name, st);
}

sl_code fetch_unpack(int archive, int fd, uint64_t bytes, unsigned entries, sl_status *st)
{
    unpacking u = {.a = open_archive(archive), .fd = fd, .left = bytes};
    struct archive_entry *e;
    sl_code rc = SL_OK;
    int how;
    if (u.a == NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT, "it is no archive (tar or zip)");
    while (rc == SL_OK && (how = archive_read_next_header(u.a, &e)) != ARCHIVE_EOF) {
        if (how != ARCHIVE_OK && how != ARCHIVE_WARN)
            rc = fail_archive(&u, st);
        else if (entries-- == 0)
            rc = sl_fail(st, SL_OUT_OF_RANGE, "the archive holds too many files");
        else
            rc = unpack_entry(&u, e, st);
    }
    archive_read_free(u.a);
    return rc;
}

/* ---- apart ---- */

int fetch_unpack_main(int argc, char **argv)
{
    sl_status st = {0};
    struct rlimit size = {0};
    if (argc != 5)
        return 2;
    uint64_t bytes = strtoull(argv[4], NULL, 10);
    size.rlim_cur = size.rlim_max = bytes;
#ifdef SLUICE_COVERAGE
    size.rlim_max = RLIM_INFINITY; /* the counts are written behind it: base/counts.h */
#endif
    setrlimit(RLIMIT_FSIZE, &size);
    signal(SIGXFSZ, SIG_IGN);
    int archive = open(argv[2], O_RDONLY | O_CLOEXEC);
    int dir = open(argv[3], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    sl_code rc = archive < 0 || dir < 0
                     ? sl_fail(&st, SL_INTERNAL, "%s", strerror(errno))
                     : fetch_unpack(archive, dir, bytes, FETCH_MOST_ENTRIES, &st);
    if (rc)
        printf("%s", st.msg);
#ifdef SLUICE_COVERAGE
    size.rlim_cur = RLIM_INFINITY;
    setrlimit(RLIMIT_FSIZE, &size);
#endif
    return rc ? 100 + (int)rc : 0;
}

static sl_code start(const char *archive, const char *dir, uint64_t bytes, int out, pid_t *pid,
                     sl_status *st)
{
    char limit[32];
    char *argv[] = {"sluice-fetch",         "unpack", (char *)(uintptr_t)archive,
                    (char *)(uintptr_t)dir, limit,    NULL};
    char *no_environment[] = {NULL};
    posix_spawn_file_actions_t actions;
    snprintf(limit, sizeof limit, "%llu", (unsigned long long)bytes);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out, 1);
    int e = posix_spawn(pid, "/proc/self/exe", &actions, NULL, argv, no_environment);
    posix_spawn_file_actions_destroy(&actions);
    return e ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start a process: %s", strerror(e))
             : SL_OK;
}

static sl_code judge(int status, const char *text, sl_status *st)
{
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return SL_OK;
    int code = WIFEXITED(status) ? WEXITSTATUS(status) - 100 : -1;
    if (code <= 0 || code > SL_UNAUTHENTICATED)
        return sl_fail(st, SL_INVALID_ARGUMENT, "what opens archives died of this one (%s %d)",
                       WIFSIGNALED(status) ? "signal" : "exit status",
                       WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return sl_fail(st, (sl_code)code, "%s", text);
}

sl_code fetch_unpack_apart(fetch_op *op, const char *archive, const char *dir, sl_status *st)
{
    char text[1024] = "";
    int lines[2], status = 0;
    pid_t pid;
    sl_status why;
    if (pipe2(lines, O_CLOEXEC) != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "pipe: %s", strerror(errno));
    sl_code rc = start(archive, dir, op->settings->max_bytes, lines[1], &pid, st);
    close(lines[1]);
    if (rc == SL_OK) {
        while (waitpid(pid, &status, WNOHANG) == 0)
            if (fetch_sleep(op, 20000000, &why)) {
                kill(pid, SIGKILL); /* ours until it is waited for */
                waitpid(pid, &status, 0);
                break;
            }
        ssize_t n = read(lines[0], text, sizeof text - 1);
        text[n > 0 ? n : 0] = '\0';
        rc = atomic_load(&op->cancelled) ? sl_fail(st, SL_CANCELLED, "cancelled")
                                         : judge(status, text, st);
    }
    close(lines[0]);
    return rc;
}
