/*
 * launcher.c - see launcher.h
 *
 * A packet each way over a socket pair: a number and descriptors there, a code and two texts back.
 */
#include "base/launcher.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/counts.h"
#include "base/fault.h"
#include "base/mem.h"

struct sl_launcher {
    pthread_mutex_t lock; /* one question at a time */
    int socket;
    pid_t pid;
};

typedef struct question {
    int32_t op;
} question;

typedef struct reply {
    int32_t code;
    char message[1024];
    char answer[SL_LAUNCH_TEXT];
} reply;

/* ---- packets ---- */

/*
 * After a call that failed: whether to try it again. EINTR, and for a second while the kernel has no
 * memory for a packet: a lost answer would be waited for without end, and after a launcher that has
 * ended no program is ever started again.
 */
static bool try_again(int *tries)
{
    enum { TRIES = 100 };
    if (errno == EINTR)
        return true;
    if ((errno != ENOBUFS && errno != ENOMEM) || ++*tries >= TRIES)
        return false;
    nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    return true;
}

static bool send_packet(int socket, const struct msghdr *h, size_t size)
{
    ssize_t sent;
    int tries = 0;
    do {
        errno = ENOBUFS;
        sent = sl_fault_hit(SL_FAULT_WRITE) ? -1 : sendmsg(socket, h, MSG_NOSIGNAL);
    } while (sent < 0 && try_again(&tries));
    return sent == (ssize_t)size;
}

static ssize_t receive_packet(int socket, struct msghdr *h)
{
    ssize_t got;
    int tries = 0;
    do {
        errno = ENOBUFS;
        got = sl_fault_hit(SL_FAULT_READ) ? -1 : recvmsg(socket, h, MSG_CMSG_CLOEXEC);
    } while (got < 0 && try_again(&tries));
    return got;
}

typedef union control {
    struct cmsghdr align;
    char space[CMSG_SPACE(sizeof(int) * SL_LAUNCH_FDS)];
} control;

static bool send_question(int socket, const question *q, const int *fds, int n)
{
    control c = {.space = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)q, .iov_len = sizeof *q};
    struct msghdr h = {.msg_iov = &part, .msg_iovlen = 1};
    if (n > 0) {
        h.msg_control = &c;
        h.msg_controllen = CMSG_SPACE(sizeof(int) * (size_t)n);
        struct cmsghdr *m = CMSG_FIRSTHDR(&h);
        m->cmsg_level = SOL_SOCKET;
        m->cmsg_type = SCM_RIGHTS;
        m->cmsg_len = CMSG_LEN(sizeof(int) * (size_t)n);
        memcpy(CMSG_DATA(m), fds, sizeof(int) * (size_t)n);
    }
    return send_packet(socket, &h, sizeof *q);
}

/* False: the server is gone. */
static bool receive_question(int socket, question *q, int *fds, int *n)
{
    control c;
    struct iovec part = {.iov_base = q, .iov_len = sizeof *q};
    struct msghdr h = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &c, .msg_controllen = sizeof c};
    ssize_t got = receive_packet(socket, &h);
    *n = 0;
    if (got <= 0)
        return false;
    for (struct cmsghdr *m = CMSG_FIRSTHDR(&h); m != NULL; m = CMSG_NXTHDR(&h, m))
        if (m->cmsg_level == SOL_SOCKET && m->cmsg_type == SCM_RIGHTS) {
            *n = (int)((m->cmsg_len - CMSG_LEN(0)) / sizeof(int));
            memcpy(fds, CMSG_DATA(m), sizeof(int) * (size_t)*n);
        }
    if (got != (ssize_t)sizeof *q)
        q->op = -1;
    return true;
}

/* ---- the launcher's side ---- */

static void close_others(int keep)
{
    if (keep > 3)
        syscall(SYS_close_range, 3, keep - 1, 0);
    syscall(SYS_close_range, keep + 1, ~0U, 0);
}

static void answer(const sl_launch *ops, int n, int socket, const question *q, const int *fds,
                   int n_fds)
{
    static reply r; /* this process has one thread */
    sl_status st = {0};
    memset(&r, 0, sizeof r);
    r.code = q->op >= 0 && q->op < n
                 ? ops[q->op].run(ops[q->op].arg, fds, n_fds, r.answer, sizeof r.answer, &st)
                 : sl_fail(&st, SL_INVALID_ARGUMENT, "the launcher knows no operation %d", q->op);
    memcpy(r.message, st.msg, sizeof r.message);
    struct iovec part = {.iov_base = &r, .iov_len = sizeof r};
    if (!send_packet(socket, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1}, sizeof r))
        shutdown(socket, SHUT_RDWR); /* or the server would wait for the answer without end */
}

_Noreturn static void serve(const sl_launch *ops, int n, int socket)
{
    question q;
    int fds[SL_LAUNCH_FDS], n_fds;
    sigset_t none;
    prctl(PR_SET_NAME, "sluice-launcher");
    setsid(); /* ^C is for the server, which says when it is over */
    signal(SIGTERM, SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close_others(socket);
    while (receive_question(socket, &q, fds, &n_fds)) {
        answer(ops, n, socket, &q, fds, n_fds);
        for (int i = 0; i < n_fds; i++)
            close(fds[i]);
    }
    sl_counts_write();
    _exit(0);
}

/* ---- the server's side ---- */

sl_code sl_launcher_start(const sl_launch *ops, int n, sl_launcher **out, sl_status *st)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot make a pair of sockets: %s",
                       strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        serve(ops, n, ends[1]);
    int e = errno;
    close(ends[1]);
    if (pid < 0) {
        close(ends[0]);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot fork: %s", strerror(e));
    }
    sl_launcher *l = sl_calloc(1, sizeof *l);
    pthread_mutex_init(&l->lock, NULL);
    l->socket = ends[0];
    l->pid = pid;
    *out = l;
    return SL_OK;
}

static sl_code ask(sl_launcher *l, const question *q, const int *fds, int n, char *text,
                   size_t size, sl_status *st)
{
    reply *r = sl_try_malloc(sizeof *r);
    if (r == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    struct iovec part = {.iov_base = r, .iov_len = sizeof *r};
    ssize_t got = -1;
    if (send_question(l->socket, q, fds, n))
        got = receive_packet(l->socket, &(struct msghdr){.msg_iov = &part, .msg_iovlen = 1});
    sl_code rc;
    if (got != (ssize_t)sizeof *r) {
        rc = sl_fail(st, SL_UNAVAILABLE, "the launcher, which starts programs, is gone");
    } else {
        r->message[sizeof r->message - 1] = r->answer[sizeof r->answer - 1] = '\0';
        snprintf(text, size, "%s", r->answer);
        rc = r->code < 0 || r->code > SL_UNAUTHENTICATED ? SL_UNKNOWN : (sl_code)r->code;
        if (rc)
            sl_fail(st, rc, "%s", r->message);
    }
    sl_free(r);
    return rc;
}

sl_code sl_launcher_ask(sl_launcher *l, int op, const int *fds, int n_fds, char *text, size_t size,
                        sl_status *st)
{
    question q = {.op = op};
    if (size > 0)
        *text = '\0';
    if (n_fds > SL_LAUNCH_FDS)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d descriptors", SL_LAUNCH_FDS);
    pthread_mutex_lock(&l->lock);
    sl_code rc = ask(l, &q, fds, n_fds, text, size, st);
    pthread_mutex_unlock(&l->lock);
    return rc;
}

void sl_launcher_end(sl_launcher *l)
{
    if (l == NULL)
        return;
    close(l->socket); /* it sees the end, and ends */
    waitpid(l->pid, NULL, 0);
    pthread_mutex_destroy(&l->lock);
    sl_free(l);
}

sl_code sl_program_find(const char *name, char *path, size_t size, sl_status *st)
{
    static const char *const places[] = {"", "../libexec/sluice/"};
    char here[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    if (n <= 0)
        return sl_fail(st, SL_INTERNAL, "cannot find out where this program is: %s",
                       strerror(errno));
    here[n] = '\0';
    char *slash = strrchr(here, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < SL_COUNTOF(places); i++) {
        int m = snprintf(path, size, "%s%s%s", here, places[i], name);
        if (m > 0 && (size_t)m < size && access(path, X_OK) == 0)
            return SL_OK;
    }
    return sl_fail(st, SL_FAILED_PRECONDITION, "neither in %s nor in %s../libexec/sluice", here,
                   here);
}

/* ---- ending what an operation has started ---- */

void sl_child_end(pid_t *pid)
{
    /* Ours until it is waited for. Where we may not kill any more it ends with its socket. */
    if (*pid > 0 && kill(*pid, SIGKILL) == 0)
        waitpid(*pid, NULL, 0);
    *pid = 0;
}

sl_code sl_launch_child_end(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                            sl_status *st)
{
    (void)fds, (void)n_fds, (void)answer, (void)size, (void)st;
    sl_child_end(arg);
    return SL_OK;
}

void sl_launcher_end_child(sl_launcher *l, int op, pid_t *pid)
{
    char nothing[1];
    sl_status st;
    if (*pid > 0 && l != NULL)
        sl_launcher_ask(l, op, NULL, 0, nothing, sizeof nothing, &st);
    else
        sl_child_end(pid);
    *pid = 0;
}
