/*
 * calls.c - see calls.h
 *
 * A program's own definition of a function goes before that of a shared library; the one behind it
 * is found by dlsym(3).
 */
#undef _FORTIFY_SOURCE /* which would define some of them */
#include "calls.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <setjmp.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <cmocka.h>

enum { MOST = 10000 };

static _Atomic(const char *) armed;
static atomic_int left, counted, error_of;

void fail_call(const char *name, int nth, int error)
{
    atomic_store(&armed, NULL);
    atomic_store(&left, nth);
    atomic_store(&counted, 0);
    atomic_store(&error_of, error);
    atomic_store(&armed, name);
}

int calls_counted(void)
{
    return atomic_load(&counted);
}

int fail_each_call(const char *name, int error, sl_code (*attempt)(void *arg, sl_status *st),
                   void *arg)
{
    for (int nth = 1; nth < MOST; nth++) {
        sl_status st = {0};
        fail_call(name, nth, error);
        sl_code rc = attempt(arg, &st);
        int calls = calls_counted();
        fail_call(NULL, 0, 0);
        if (rc && st.msg[0] == '\0')
            fail_msg("%s, %d: code %d without a message", name, nth, rc);
        if (calls < nth)
            return nth - 1;
    }
    fail_msg("%s: calls without end", name);
    return MOST;
}

static bool hit(const char *name)
{
    const char *wanted = atomic_load(&armed);
    if (wanted == NULL || strcmp(wanted, name) != 0)
        return false;
    atomic_fetch_add(&counted, 1);
    if (atomic_fetch_sub(&left, 1) != 1)
        return false;
    errno = atomic_load(&error_of);
    return true;
}

/* The function itself, looked up once: *at is kept for the next call. Any thread. */
static void *behind(void *_Atomic *at, const char *name)
{
    void *f = atomic_load(at);
    if (f == NULL)
        atomic_store(at, f = dlsym(RTLD_NEXT, name));
    if (f == NULL)
        abort();
    return f;
}

#define CALL(type, failure, name, parameters, arguments) \
    type name parameters;                                \
    type name parameters                                 \
    {                                                    \
        static void *_Atomic found;                      \
        type(*real) parameters;                          \
        if (hit(#name))                                  \
            return failure;                              \
        *(void **)&real = behind(&found, #name);         \
        return real arguments;                           \
    }

/* ---- files ---- */

/* Both of them end here: a path that is relative to no directory is one to AT_FDCWD. */
static int open_in(const char *name, int dir, const char *path, int flags, va_list ap)
{
    static void *_Atomic at;
    int (*real)(int, const char *, int, mode_t);
    mode_t mode = flags & O_CREAT ? va_arg(ap, mode_t) : 0;
    if (hit(name))
        return -1;
    *(void **)&real = behind(&at, "openat");
    return real(dir, path, flags, mode);
}

int open(const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    int fd = open_in("open", AT_FDCWD, path, flags, ap);
    va_end(ap);
    return fd;
}

int openat(int dir, const char *path, int flags, ...)
{
    va_list ap;
    va_start(ap, flags);
    int fd = open_in("openat", dir, path, flags, ap);
    va_end(ap);
    return fd;
}

CALL(ssize_t, -1, read, (int fd, void *p, size_t n), (fd, p, n))
CALL(ssize_t, -1, write, (int fd, const void *p, size_t n), (fd, p, n))
CALL(ssize_t, -1, send, (int fd, const void *p, size_t n, int flags), (fd, p, n, flags))
CALL(ssize_t, -1, pwrite, (int fd, const void *p, size_t n, off_t at), (fd, p, n, at))
CALL(int, -1, fsync, (int fd), (fd))
CALL(int, -1, ftruncate, (int fd, off_t size), (fd, size))
CALL(off_t, -1, lseek, (int fd, off_t at, int from), (fd, at, from))
CALL(int, -1, flock, (int fd, int how), (fd, how))
CALL(int, -1, dup, (int fd), (fd))
CALL(int, -1, fchmod, (int fd, mode_t mode), (fd, mode))
CALL(int, -1, mkdir, (const char *path, mode_t mode), (path, mode))
CALL(int, -1, mkdirat, (int dir, const char *path, mode_t mode), (dir, path, mode))
CALL(int, -1, rename, (const char *from, const char *to), (from, to))
CALL(int, -1, symlink, (const char *to, const char *path), (to, path))
CALL(ssize_t, -1, readlink, (const char *path, char *p, size_t n), (path, p, n))
CALL(int, -1, lstat, (const char *path, struct stat *s), (path, s))
CALL(int, -1, stat, (const char *path, struct stat *s), (path, s))
CALL(int, -1, statvfs, (const char *path, struct statvfs *s), (path, s))
CALL(DIR *, NULL, opendir, (const char *path), (path))
CALL(struct dirent *, NULL, readdir, (DIR * d), (d))
CALL(FTS *, NULL, fts_open,
     (char *const *paths, int options, int (*by)(const FTSENT **, const FTSENT **)),
     (paths, options, by))

/* ---- sockets ---- */

CALL(ssize_t, -1, recv, (int fd, void *p, size_t n, int flags), (fd, p, n, flags))
CALL(int, -1, listen, (int fd, int backlog), (fd, backlog))
CALL(int, -1, accept4, (int fd, struct sockaddr *a, socklen_t *n, int flags), (fd, a, n, flags))
CALL(int, -1, getsockname, (int fd, struct sockaddr *a, socklen_t *n), (fd, a, n))
CALL(int, -1, epoll_create1, (int flags), (flags))
CALL(int, -1, epoll_ctl, (int epoll, int what, int fd, struct epoll_event *e), (epoll, what, fd, e))
CALL(int, -1, eventfd, (unsigned value, int flags), (value, flags))

/* ---- processes, threads ---- */

CALL(int, -1, pipe2, (int fds[2], int flags), (fds, flags))
CALL(int, atomic_load(&error_of), posix_spawn,
     (pid_t * pid, const char *path, const posix_spawn_file_actions_t *actions,
      const posix_spawnattr_t *attributes, char *const *argv, char *const *env),
     (pid, path, actions, attributes, argv, env))
CALL(int, atomic_load(&error_of), pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *arg),
     (thread, attributes, start, arg))
CALL(ssize_t, -1, getrandom, (void *p, size_t n, unsigned flags), (p, n, flags))

/* ---- libraries; their types are theirs ---- */

CALL(int, atomic_load(&error_of), curl_global_init, (long flags), (flags))
CALL(void *, NULL, curl_easy_init, (void), ())
CALL(void *, NULL, curl_multi_init, (void), ())
static int other_news[8]; /* a message that tells of no end */
CALL(void *, other_news, curl_multi_info_read, (void *multi, int *queued), (multi, queued))
CALL(int, atomic_load(&error_of), curl_multi_add_handle, (void *multi, void *easy), (multi, easy))
CALL(void *, NULL, curl_slist_append, (void *list, const char *line), (list, line))
CALL(void *, NULL, curl_url, (void), ())
CALL(int, atomic_load(&error_of), curl_url_get, (void *u, int what, char **part, unsigned flags),
     (u, what, part, flags))
CALL(void *, NULL, XML_ParserCreate, (const char *encoding), (encoding))
CALL(void *, NULL, protobuf_c_message_unpack,
     (const void *type, void *memory, size_t n, const uint8_t *bytes), (type, memory, n, bytes))
CALL(void *, NULL, archive_read_new, (void), ())
CALL(const char *, NULL, archive_entry_pathname, (void *entry), (entry))
CALL(int, atomic_load(&error_of), archive_read_open_fd, (void *a, int fd, size_t block),
     (a, fd, block))
CALL(void *, NULL, BIO_new_mem_buf, (const void *p, int n), (p, n))
CALL(int, 0, OPENSSL_sk_push, (void *stack, const void *p), (stack, p))
CALL(const char *, NULL, ERR_reason_error_string, (unsigned long e), (e))
CALL(void *, NULL, SSL_CTX_new, (const void *versions), (versions))
CALL(int, 0, SSL_CTX_set_cipher_list, (void *c, const char *names), (c, names))
CALL(int, 0, SSL_CTX_set_session_id_context, (void *c, const unsigned char *id, unsigned n),
     (c, id, n))
CALL(int, 0, SSL_CTX_set_ex_data, (void *c, int index, void *p), (c, index, p))
CALL(int, 0, SSL_CTX_add_client_CA, (void *c, void *x), (c, x))
CALL(int, 0, X509_STORE_add_cert, (void *s, void *x), (s, x))
CALL(int, 0, EVP_Digest,
     (const void *p, size_t n, unsigned char *out, unsigned *out_n, const void *md, void *engine),
     (p, n, out, out_n, md, engine))
CALL(void *, NULL, EVP_MD_CTX_new, (void), ())
CALL(int, 0, EVP_DigestInit_ex, (void *c, const void *md, void *engine), (c, md, engine))
CALL(int, 0, EVP_DigestFinal_ex, (void *c, unsigned char *out, unsigned *n), (c, out, n))
CALL(void *, NULL, EVP_MD_fetch, (void *library, const char *name, const char *properties),
     (library, name, properties))
CALL(int, 0, EVP_DigestInit_ex2, (void *c, const void *md, const void *params), (c, md, params))
CALL(int, 0, EVP_DigestUpdate, (void *c, const void *p, size_t n), (c, p, n))
CALL(int, 0, EVP_PKEY_fromdata_init, (void *c), (c))
CALL(int, 0, RAND_bytes, (unsigned char *p, int n), (p, n))
CALL(int, atomic_load(&error_of), nghttp2_session_callbacks_new, (void **p), (p))
CALL(int, atomic_load(&error_of), nghttp2_option_new, (void **p), (p))
CALL(ssize_t, atomic_load(&error_of), nghttp2_session_mem_send, (void *s, const uint8_t **p),
     (s, p))
CALL(int, atomic_load(&error_of), nghttp2_submit_response,
     (void *s, int32_t id, const void *fields, size_t n, const void *data),
     (s, id, fields, n, data))
CALL(int, atomic_load(&error_of), nghttp2_submit_settings,
     (void *s, uint8_t flags, const void *entries, size_t n), (s, flags, entries, n))
CALL(int, 0, EVP_DigestSignInit, (void *c, void **key_c, const void *md, void *engine, void *key),
     (c, key_c, md, engine, key))
CALL(int, 0, EVP_DigestSign,
     (void *c, unsigned char *out, size_t *n, const unsigned char *in, size_t in_n),
     (c, out, n, in, in_n))
