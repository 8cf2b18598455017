/* file.c - see file.h */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

sl_code sl_code_of_errno(int e)
{
    switch (e) {
    case ENOENT:
    case ENOTDIR:
        return SL_NOT_FOUND;
    case EACCES:
    case EPERM:
    case EROFS:
        return SL_PERMISSION_DENIED;
    case EEXIST:
        return SL_ALREADY_EXISTS;
    case ENOMEM:
    case ENOSPC:
    case EMFILE:
    case ENFILE:
        return SL_RESOURCE_EXHAUSTED;
    case EINVAL:
    case ENAMETOOLONG:
    case ELOOP:
        return SL_INVALID_ARGUMENT;
    case EISDIR:
        return SL_FAILED_PRECONDITION;
    case EAGAIN:
    case ECONNREFUSED:
        return SL_UNAVAILABLE;
    default:
        return SL_UNKNOWN;
    }
}

static sl_code fail_errno(sl_status *st, const char *path, int e)
{
    return sl_fail(st, sl_code_of_errno(e), "%s; %s", path, strerror(e));
}

static sl_code open_regular(const char *path, int *fd, size_t *size, sl_status *st)
{
    struct stat s;
    /* O_NONBLOCK: a fifo in the place of a file must not hang the thread. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0)
        return fail_errno(st, path, errno);
    int e = fstat(*fd, &s) ? errno : 0;
    if (e == 0 && S_ISREG(s.st_mode)) {
        *size = (size_t)s.st_size;
        return SL_OK;
    }
    close(*fd);
    if (e)
        return fail_errno(st, path, e);
    return sl_fail(st, SL_FAILED_PRECONDITION, "%s; %s", path,
                   S_ISDIR(s.st_mode) ? "Is a directory" : "Not a regular file");
}

sl_code sl_file_read(const char *path, size_t limit, sl_buffer **out, sl_status *st)
{
    int fd;
    size_t size, got = 0, bytes;
    sl_code rc = open_regular(path, &fd, &size, st);
    if (rc)
        return rc;
    sl_buffer *b = NULL;
    if (size > limit || !sl_add_size(size, 1, &bytes)) {
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "%s; file of %zu bytes is larger than %zu", path,
                     size, limit);
        goto out;
    }
    b = sl_buffer_try_new(bytes);
    if (b == NULL) {
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory (%zu bytes)", path, size);
        goto out;
    }
    while (got < size) {
        ssize_t n;
        if (sl_fault_hit(SL_FAULT_READ)) {
            errno = EIO;
            n = -1;
        } else {
            n = read(fd, (char *)b->data + got, size - got);
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            rc = fail_errno(st, path, errno);
            goto out;
        }
        if (n == 0)
            break; /* the file shrank while it was read: what is there counts */
        got += (size_t)n;
    }
    ((char *)b->data)[got] = '\0';
    b->size = got;
    *out = b;
    b = NULL;
out:
    sl_buffer_release(b);
    close(fd);
    return rc;
}

static void unmap(sl_buffer *b)
{
    if (b->size)
        munmap(b->data, b->size);
    sl_free(b);
}

sl_code sl_file_map(const char *path, sl_buffer **out, sl_status *st)
{
    int fd;
    size_t size;
    sl_code rc = open_regular(path, &fd, &size, st);
    if (rc)
        return rc;
    void *p = NULL;
    if (size) {
        p = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED) {
            rc = fail_errno(st, path, errno);
            close(fd);
            return rc;
        }
    }
    close(fd);
    *out = sl_buffer_try_wrap(p, size, unmap, NULL);
    if (*out != NULL)
        return SL_OK;
    if (size)
        munmap(p, size);
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s; out of memory", path);
}

char *sl_path_join(const char *dir, const char *name)
{
    size_t d = strlen(dir), n = strlen(name), bytes;
    while (d > 1 && dir[d - 1] == '/')
        d--;
    while (n && *name == '/') {
        name++;
        n--;
    }
    if (!sl_add_size(d, n, &bytes) || !sl_add_size(bytes, 2, &bytes))
        return NULL;
    char *path = sl_try_malloc(bytes);
    if (path != NULL)
        snprintf(path, bytes, "%.*s%s%s", (int)d, dir, d == 1 && *dir == '/' ? "" : "/", name);
    return path;
}
