/* helper.c - see helper.h */
#include "server/helper.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"

sl_code sl_helper_find(const char *named, char **out, sl_status *st)
{
    char path[PATH_MAX + 64];
    if (named != NULL && *named) {
        if (access(named, X_OK) != 0)
            return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run \"%s\": %s", named,
                           strerror(errno));
        *out = sl_strdup(named);
        return SL_OK;
    }
    sl_code rc = sl_program_find("sluice-fetch", path, sizeof path, st);
    if (rc == SL_OK)
        *out = sl_strdup(path);
    if (rc == SL_FAILED_PRECONDITION)
        sl_wrap(st, "what is fetched needs the program sluice-fetch, which is ");
    return rc;
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

static sl_code launch_helper(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                             sl_status *st)
{
    launch *l = arg;
    char *helper;
    if (n_fds != 1)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the helper needs a socket");
    sl_child_end(&l->pid); /* there is one at a time */
    sl_code rc = sl_helper_find(l->named, &helper, st);
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

void *sl_helper_launches(const char *named, sl_launch ops[SL_HELPER_LAUNCHES])
{
    launch *l = sl_calloc(1, sizeof *l);
    l->named = named;
    ops[0] = (sl_launch){launch_helper, l};
    ops[1] = (sl_launch){sl_launch_child_end, &l->pid};
    return l;
}

/* ---- the caller's side ---- */

static sl_code start(sl_helper *h, int theirs, sl_status *st)
{
    char answer[32];
    if (h->launcher != NULL) {
        sl_code rc =
            sl_launcher_ask(h->launcher, h->launch_op, &theirs, 1, answer, sizeof answer, st);
        h->pid = rc ? 0 : (pid_t)strtol(answer, NULL, 10);
        return rc;
    }
    int e = spawn(h->path, theirs, &h->pid);
    if (e == 0)
        return SL_OK;
    h->pid = 0;
    return sl_fail(st, SL_FAILED_PRECONDITION, "%s", strerror(e));
}

sl_code sl_helper_open(sl_helper *h, int *socket, sl_status *st)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "%s", strerror(errno));
    sl_code rc = start(h, pair[1], st);
    close(pair[1]);
    if (rc)
        close(pair[0]);
    else
        *socket = pair[0];
    return rc;
}

void sl_helper_close(sl_helper *h)
{
    /* It keeps nothing that matters. */
    sl_launcher_end_child(h->launcher, h->launch_op + 1, &h->pid);
}
