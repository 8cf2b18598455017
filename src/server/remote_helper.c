/*
 * remote_helper.c - the helper as a process, and the thread that talks to it
 *
 * The helper's descriptor 0 is our socket, 1 and 2 are our stderr. It keeps our environment, since
 * that is where credentials come from. It ends when the socket does; one that ends by itself is
 * started again, after 0.1 s and then ever later, at most every 30 s.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "server/remote_internal.h"

static const uint64_t FIRST_WAIT_NS = 100000000u, LONGEST_WAIT_NS = 30000000000u;
enum { OUT_LIMIT = 64 << 20 };

sl_code remote_helper_find(const char *named, char **out, sl_status *st)
{
    static const char *const places[] = {"sluice-fetch", "../libexec/sluice/sluice-fetch"};
    char here[PATH_MAX], path[PATH_MAX + 64];
    if (named != NULL && *named) {
        if (access(named, X_OK) != 0)
            return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run \"%s\": %s", named,
                           strerror(errno));
        *out = sl_strdup(named);
        return SL_OK;
    }
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    if (n <= 0)
        return sl_fail(st, SL_INTERNAL, "cannot find out where this program is: %s",
                       strerror(errno));
    here[n] = '\0';
    char *slash = strrchr(here, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < SL_COUNTOF(places); i++) {
        snprintf(path, sizeof path, "%s%s", here, places[i]);
        if (access(path, X_OK) == 0) {
            *out = sl_strdup(path);
            return SL_OK;
        }
    }
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "remote base paths need the program sluice-fetch, which is neither in %s nor in "
                   "%s../libexec/sluice",
                   here, here);
}

/* ---- starting and ending ---- */

/* 0, or an errno. */
static int spawn(char *helper, int theirs, pid_t *pid)
{
    char *argv[] = {helper, NULL};
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawn_file_actions_adddup2(&actions, theirs, 0);
    posix_spawn_file_actions_adddup2(&actions, 2, 1);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    int e = posix_spawn(pid, helper, &actions, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return e;
}

/* The launcher's: which program, and the one that runs. */
typedef struct launch {
    const char *named;
    pid_t pid;
} launch;

static void end_process(pid_t *pid)
{
    /* Ours until it is waited for; it keeps nothing that matters. */
    if (*pid > 0 && kill(*pid, SIGKILL) == 0)
        waitpid(*pid, NULL, 0);
    *pid = 0;
}

static sl_code launch_helper(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                             sl_status *st)
{
    launch *l = arg;
    char *helper;
    if (n_fds != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the helper needs a socket");
    end_process(&l->pid); /* there is one at a time */
    sl_code rc = remote_helper_find(l->named, &helper, st);
    if (rc)
        return rc;
    int e = spawn(helper, fds[0], &l->pid);
    if (e) {
        l->pid = 0;
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "%s", strerror(e));
    }
    snprintf(answer, size, "%d", (int)l->pid);
    sl_free(helper);
    return rc;
}

static sl_code end_helper(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                          sl_status *st)
{
    (void)fds, (void)n_fds, (void)answer, (void)size, (void)st;
    end_process(&((launch *)arg)->pid);
    return SL_OK;
}

void *sl_remote_launches(const char *helper, sl_launch ops[SL_REMOTE_LAUNCHES])
{
    launch *l = sl_calloc(1, sizeof *l);
    l->named = helper;
    ops[0] = (sl_launch){launch_helper, l};
    ops[1] = (sl_launch){end_helper, l};
    return l;
}

/* Here, or by the launcher. */
static sl_code start_helper(sl_remote *r, int theirs, sl_status *st)
{
    char answer[32];
    if (r->opts.launcher != NULL) {
        sl_code rc = sl_launcher_ask(r->opts.launcher, r->opts.launch_op, &theirs, 1, answer,
                                     sizeof answer, st);
        r->pid = rc ? 0 : (pid_t)strtol(answer, NULL, 10);
        return rc;
    }
    int e = spawn(r->helper, theirs, &r->pid);
    if (e == 0)
        return SL_OK;
    r->pid = 0;
    return sl_fail(st, SL_FAILED_PRECONDITION, "%s", strerror(e));
}

static void set_up(sl_remote *r)
{
    sl_fetch_msg m = {.kind = SL_FETCH_SETUP,
                      .patience_s = r->opts.patience_s,
                      .max_bytes = r->opts.max_bytes,
                      .names = r->roots,
                      .n_names = r->n_roots};
    remote_helper_send(r, &m);
}

static void begin(sl_remote *r)
{
    int pair[2];
    sl_status st;
    r->start_wait_ns =
        r->start_wait_ns ? SL_MIN(r->start_wait_ns * 2, LONGEST_WAIT_NS) : FIRST_WAIT_NS;
    r->start_due_ns = sl_now_ns() + r->start_wait_ns;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
        sl_log(SL_ERROR, "cannot start %s: %s", r->helper, strerror(errno));
        return;
    }
    sl_code rc = start_helper(r, pair[1], &st);
    close(pair[1]);
    if (rc) {
        close(pair[0]);
        sl_log(SL_ERROR, "cannot start %s: %s", r->helper, st.msg);
        return;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    r->socket = pair[0];
    set_up(r);
}

void remote_helper_end(sl_remote *r)
{
    if (r->socket >= 0)
        close(r->socket);
    r->socket = -1;
    r->is_up = false;
    char nothing[1];
    sl_status st;
    if (r->pid > 0 && r->opts.launcher != NULL)
        sl_launcher_ask(r->opts.launcher, r->opts.launch_op + 1, NULL, 0, nothing, sizeof nothing,
                        &st);
    else
        end_process(&r->pid);
    r->pid = 0;
    sl_text_fini(&r->out);
    r->out_at = 0;
    sl_fetch_reader_fini(&r->in);
}

static void gone(sl_remote *r, const char *why)
{
    sl_log(SL_ERROR, "sluice-fetch has gone (%s); it is started again", why);
    remote_helper_end(r);
    remote_round_abandon(r, "sluice-fetch ended unexpectedly");
}

/* ---- talking ---- */

void remote_helper_send(sl_remote *r, const sl_fetch_msg *m)
{
    if (r->socket < 0)
        return;
    if (r->out_at == r->out.n)
        r->out.n = r->out_at = 0;
    sl_fetch_write(&r->out, m);
}

static bool flush(sl_remote *r)
{
    while (r->out_at < r->out.n) {
        ssize_t n = send(r->socket, r->out.p + r->out_at, r->out.n - r->out_at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        r->out_at += (size_t)n;
    }
    return true;
}

static void hear_hello(sl_remote *r, const sl_fetch_msg *m)
{
    if (m->code != SL_FETCH_VERSION) {
        gone(r, "it is of another version than this program");
        r->start_wait_ns = r->start_due_ns = LONGEST_WAIT_NS;
        r->start_due_ns += sl_now_ns();
        return;
    }
    r->is_up = true;
    r->start_wait_ns = 0;
}

static void hear(sl_remote *r)
{
    sl_fetch_msg m;
    sl_status st = {0};
    while (r->socket >= 0) {
        sl_code rc = sl_fetch_read(&r->in, &m, &st);
        if (rc == SL_UNAVAILABLE) {
            int n = sl_fetch_fill(&r->in, r->socket);
            if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
                gone(r, "its socket closed");
            if (n <= 0)
                return;
        } else if (rc) {
            gone(r, st.msg);
        } else {
            if (m.kind == SL_FETCH_HELLO)
                hear_hello(r, &m);
            else
                remote_round_hear(r, &m);
            sl_fetch_msg_fini(&m);
        }
    }
}

/* ---- the thread ---- */

static int wait_ms(uint64_t until, uint64_t now)
{
    if (until <= now)
        return 0;
    return (int)SL_MIN((until - now) / 1000000 + 1, (uint64_t)60000);
}

void *remote_helper_run(void *remote)
{
    sl_remote *r = remote;
    uint64_t ignored;
    sl_thread_be_nice();
    pthread_mutex_lock(&r->lock);
    while (!r->ending) {
        uint64_t now = sl_now_ns();
        if (r->socket < 0 && now >= r->start_due_ns)
            begin(r);
        uint64_t next = r->is_up ? remote_round_tend(r, now) : now + 1000000000u;
        if (r->socket < 0)
            next = SL_MIN(next, r->start_due_ns);
        else if (!flush(r) || r->out.failed || r->out.n > OUT_LIMIT)
            gone(r, "it does not take what it is told");
        struct pollfd fds[2] = {{.fd = r->wake, .events = POLLIN},
                                {.fd = r->socket, .events = POLLIN}};
        if (r->out_at < r->out.n)
            fds[1].events |= POLLOUT;
        pthread_mutex_unlock(&r->lock);
        poll(fds, 2, wait_ms(next, now));
        if (fds[0].revents && read(r->wake, &ignored, sizeof ignored) < 0)
            ignored = 0;
        pthread_mutex_lock(&r->lock);
        if (r->socket >= 0)
            hear(r);
    }
    remote_helper_end(r);
    pthread_mutex_unlock(&r->lock);
    return NULL;
}
