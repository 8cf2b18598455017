/*
 * listener.c - see listener.h
 *
 * SO_REUSEPORT alone would let a second server bind the same port without a word, and half of the
 * requests would go to it. So the first socket binds without it, which fails if there is anybody,
 * and gets the option only then; the kernel asks both sides of a conflict, so the next sockets may
 * join. An address that is shared on purpose binds with it from the start: it joins whoever is
 * there, of the same user.
 */
#include "net/listener.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/str.h"

enum { BACKLOG = 4096, ACCEPT_AT_ONCE = 64 };
#define PAUSE_NS 100000000u

/* ---- addresses ---- */

static bool parse_port(const char *text, int *port)
{
    int64_t v;
    if (!sl_str_to_int64(sl_str_of(text), &v) || v < 0 || v > 65535)
        return false;
    *port = (int)v;
    return true;
}

static bool parse_unix(const char *path, sl_address *out)
{
    struct sockaddr_un *u = (struct sockaddr_un *)&out->storage;
    size_t n = strlen(path);
    if (n == 0 || n >= sizeof u->sun_path)
        return false;
    u->sun_family = AF_UNIX;
    memcpy(u->sun_path, path, n + 1);
    out->len = sizeof *u;
    return true;
}

static bool parse_ip(const char *host, int port, sl_address *out)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (host[0] == '[') {
        size_t n = strlen(host);
        char inner[INET6_ADDRSTRLEN];
        if (n < 2 || host[n - 1] != ']' || n - 2 >= sizeof inner)
            return false;
        memcpy(inner, host + 1, n - 2);
        inner[n - 2] = '\0';
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        out->len = sizeof *v6;
        return inet_pton(AF_INET6, inner, &v6->sin6_addr) == 1;
    }
    v4->sin_family = AF_INET;
    v4->sin_port = htons((uint16_t)port);
    out->len = sizeof *v4;
    return inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &v4->sin_addr) ==
           1;
}

sl_code sl_address_parse(const char *text, sl_address *out, sl_status *st)
{
    memset(out, 0, sizeof *out);
    snprintf(out->text, sizeof out->text, "%s", text);
    if (strncmp(text, "unix:", 5) == 0) {
        if (parse_unix(text + 5, out))
            return SL_OK;
        return sl_fail(st, SL_INVALID_ARGUMENT, "not a path for a unix socket: \"%s\"", text);
    }
    char host[64];
    const char *colon = strrchr(text, ':');
    size_t n = colon ? (size_t)(colon - text) : 0;
    if (colon != NULL && n < sizeof host && parse_port(colon + 1, &out->port)) {
        memcpy(host, text, n);
        host[n] = '\0';
        if (parse_ip(host, out->port, out))
            return SL_OK;
    }
    return sl_fail(st, SL_INVALID_ARGUMENT, "not an address \"host:port\": \"%s\"", text);
}

size_t sl_address_text(const struct sockaddr_storage *a, char *buf, size_t size)
{
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    char ip[INET6_ADDRSTRLEN] = "";
    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof ip);
        return (size_t)snprintf(buf, size, "%s:%d", ip, ntohs(v4->sin_port));
    }
    if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ip, sizeof ip);
        return (size_t)snprintf(buf, size, "%s:%d", ip, ntohs(v6->sin6_port));
    }
    if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof ip);
        return (size_t)snprintf(buf, size, "[%s]:%d", ip, ntohs(v6->sin6_port));
    }
    return (size_t)snprintf(buf, size, "unix");
}

/* ---- sockets ---- */

static void set(int fd, int level, int option, int value)
{
    setsockopt(fd, level, option, &value, sizeof value);
}

static const char *path_of(const sl_address *a)
{
    return ((const struct sockaddr_un *)&a->storage)->sun_path;
}

/* Connecting to a plain file is refused, too, and that is no reason to remove it. */
static bool is_socket(const char *path)
{
    struct stat s;
    return stat(path, &s) == 0 && S_ISSOCK(s.st_mode);
}

/* Nonblocking: somebody who does not accept is somebody, and is not waited for. */
static bool is_refused(const sl_address *a)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool refused = connect(fd, &a->any, a->len) != 0 && errno == ECONNREFUSED;
    close(fd); /* without a socket both say EBADF */
    return refused;
}

/* A socket file that nobody listens on is left over from a process that was killed. */
static void remove_stale(const sl_address *a)
{
    if (is_socket(path_of(a)) && is_refused(a))
        unlink(path_of(a));
}

void sl_address_remove(const sl_address *a)
{
    if (a->any.sa_family == AF_UNIX)
        unlink(path_of(a));
}

static int new_socket(const sl_address *a)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0 || a->any.sa_family == AF_UNIX)
        return fd;
    set(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (a->any.sa_family == AF_INET6)
        set(fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1); /* inherited by what is accepted */
    return fd;
}

/* Learns the port that the kernel chose, for the sockets that follow. */
static bool learn_port(sl_address *a, int fd)
{
    sl_address bound = {.len = sizeof bound.storage};
    if (getsockname(fd, &bound.any, &bound.len) != 0)
        return false;
    in_port_t port = bound.any.sa_family == AF_INET
                         ? ((struct sockaddr_in *)&bound.storage)->sin_port
                         : ((struct sockaddr_in6 *)&bound.storage)->sin6_port;
    a->port = ntohs(port);
    if (a->any.sa_family == AF_INET)
        ((struct sockaddr_in *)&a->storage)->sin_port = port;
    else
        ((struct sockaddr_in6 *)&a->storage)->sin6_port = port;
    return true;
}

/* Closes a socket that is no use; errno still says why. */
static int give_up(int fd)
{
    int e = errno;
    close(fd);
    errno = e;
    return -1;
}

static int bind_tcp(sl_address *a, bool first)
{
    int fd = new_socket(a);
    if (fd < 0)
        return -1;
    if (!first || a->share)
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(fd, &a->any, a->len) != 0 || (first && !learn_port(a, fd)))
        return give_up(fd);
    set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (listen(fd, BACKLOG) != 0)
        return give_up(fd);
#ifdef SO_DETACH_REUSEPORT_BPF
    if (first && a->share) /* what an earlier process left when it pointed away */
        set(fd, SOL_SOCKET, SO_DETACH_REUSEPORT_BPF, 0);
#endif
    return fd;
}

/* The kernel numbers the sockets of a port in the order in which they came: ours are before those
 * of a process that joined us. A number that is nobody's leaves the choice to the kernel. */
void sl_listener_point_away(const sl_listener *l, int n)
{
    struct sock_filter number = BPF_STMT(BPF_RET | BPF_K, (unsigned)n);
    struct sock_fprog program = {.len = 1, .filter = &number};
    if (setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program) != 0)
        sl_log(SL_WARNING, "new connections still come here: %s", strerror(errno));
}

static int bind_unix(const sl_address *a)
{
    remove_stale(a);
    int fd = new_socket(a);
    if (fd < 0)
        return -1;
    /* The socket's own permissions become the file's when it is made: there is no moment at which
     * somebody else could connect. */
    if ((a->mode != 0 && fchmod(fd, a->mode) != 0) || bind(fd, &a->any, a->len) != 0)
        return give_up(fd);
    if (listen(fd, BACKLOG) == 0)
        return fd;
    give_up(fd);
    int e = errno;
    sl_address_remove(a);
    errno = e;
    return -1;
}

sl_code sl_listen_sockets(sl_address *a, int n, int *fds, sl_status *st)
{
    for (int i = 0; i < n; i++) {
        if (a->any.sa_family == AF_UNIX)
            fds[i] = i ? dup(fds[0]) : bind_unix(a);
        else
            fds[i] = bind_tcp(a, i == 0);
        if (fds[i] >= 0)
            continue;
        sl_fail(st, SL_UNAVAILABLE, "cannot listen on %s: %s", a->text, strerror(errno));
        if (i > 0)
            sl_address_remove(a); /* the file is ours */
        while (i-- > 0)
            close(fds[i]);
        return SL_UNAVAILABLE;
    }
    return SL_OK;
}

/* ---- trying ---- */

/* 0, or the errno of what is in the way. */
static int try_unix(const sl_address *a)
{
    char dir[sizeof a->storage];
    const char *path = path_of(a), *slash = strrchr(path, '/');
    struct stat s;
    if (lstat(path, &s) == 0) {
        if (!is_socket(path))
            return ENOTSOCK;
        if (!is_refused(a))
            return EADDRINUSE;
    } else if (errno != ENOENT) {
        return errno;
    }
    snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    return access(dir, W_OK | X_OK) == 0 ? 0 : errno;
}

static int try_tcp(const sl_address *a)
{
    int fd = new_socket(a), e = 0;
    if (fd < 0)
        return errno;
    if (a->share)
        set(fd, SOL_SOCKET, SO_REUSEPORT, 1);
    if (bind(fd, &a->any, a->len) != 0)
        e = errno;
    close(fd);
    return e;
}

sl_code sl_address_try(const sl_address *a, sl_status *st)
{
    int e = a->any.sa_family == AF_UNIX ? try_unix(a) : try_tcp(a);
    if (e == 0)
        return SL_OK;
    return sl_fail(st, e == EADDRINUSE ? SL_UNAVAILABLE : SL_FAILED_PRECONDITION,
                   "cannot listen on %s: %s", a->text, strerror(e));
}

/* ---- accepting ---- */

static sl_code watch(sl_listener *l, sl_status *st)
{
    /* A shared socket wakes one loop for a connection, not all. */
    return sl_watch_start(l->loop, &l->watch, EPOLLIN | (l->shared ? EPOLLEXCLUSIVE : 0), st);
}

static void resume(sl_timer *t)
{
    sl_listener *l = (sl_listener *)((char *)t - offsetof(sl_listener, pause));
    if (watch(l, NULL) != SL_OK)
        sl_timer_start(l->loop, t, sl_loop_now(l->loop) + PAUSE_NS);
}

static void pause_accepting(sl_listener *l, int error)
{
    sl_log(SL_WARNING, "cannot accept connections for now: %s", strerror(error));
    sl_watch_stop(&l->watch);
    sl_timer_start(l->loop, &l->pause, sl_loop_now(l->loop) + PAUSE_NS);
}

static int accept_one(sl_listener *l, struct sockaddr_storage *peer)
{
    socklen_t len = sizeof *peer;
    if (sl_fault_hit(SL_FAULT_ACCEPT)) {
        errno = EMFILE;
        return -1;
    }
    return accept4(l->fd, (struct sockaddr *)peer, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
}

/* Returns whether more may be waiting. */
static bool accept_some(sl_listener *l, int max)
{
    for (int i = 0; i < max; i++) {
        struct sockaddr_storage peer = {0};
        int fd = accept_one(l, &peer);
        if (fd >= 0)
            l->accepted(l, fd, &peer);
        else if (errno == EAGAIN)
            return false;
        else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            int error = errno;
            if (l->crowded != NULL && l->crowded(l))
                continue;
            pause_accepting(l, error);
            return false;
        }
        /* Anything else befell that one connection: ECONNABORTED, EPROTO, EINTR ... */
    }
    return true;
}

static void ready(sl_watch *w, uint32_t events)
{
    (void)events;
    accept_some((sl_listener *)((char *)w - offsetof(sl_listener, watch)), ACCEPT_AT_ONCE);
}

sl_code sl_listener_start(sl_listener *l, sl_loop *loop, sl_status *st)
{
    l->loop = loop;
    l->watch = (sl_watch){.fd = l->fd, .ready = ready};
    l->pause = (sl_timer){.fire = resume};
    return watch(l, st);
}

void sl_listener_stop(sl_listener *l)
{
    if (l->fd < 0)
        return;
    if (l->loop != NULL)
        accept_some(l, BACKLOG);
    sl_watch_stop(&l->watch);
    sl_timer_stop(&l->pause);
    close(l->fd);
    l->fd = -1;
}
