/*
 * host.c - starting and ending the TensorFlow host
 *
 * The host gets descriptors 0 (/dev/null), 1 and 2 (a pipe into our log) and 3 (its socket), a
 * session of its own so that ^C does not reach it, and hardly any environment: what a model's
 * process can see of the server's secrets should be nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

static bool may_see(const char *variable)
{
    static const char *const allowed[] = {
#ifdef SLUICE_FAULTS
        "SLUICE_FAULT_HOST=", /* base/fault.h */
#endif
        "TF_",
        "OMP_",
        "KMP_",
        "MKL_",
        "CUDA_",
        "NVIDIA_",
        "XLA_",
        "LD_LIBRARY_PATH="};
    for (size_t i = 0; i < SL_COUNTOF(allowed); i++)
        if (strncmp(variable, allowed[i], strlen(allowed[i])) == 0)
            return true;
    return false;
}

static char **make_environment(void)
{
    size_t n = 0, kept = 0;
    while (environ[n] != NULL)
        n++;
    char **list = sl_calloc(n + 1, sizeof *list);
    for (size_t i = 0; i < n; i++)
        if (may_see(environ[i]))
            list[kept++] = environ[i];
    return list;
}

static sl_code find_program(const tf_launch *l, char *path, size_t size, sl_status *st)
{
    const char *named = l->host_program ? l->host_program : getenv("SLUICE_TENSORFLOW_HOST");
    if (named != NULL && *named != '\0') {
        snprintf(path, size, "%s", named);
        if (access(path, X_OK) == 0)
            return SL_OK;
        return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run the TensorFlow host \"%s\": %s",
                       path, strerror(errno));
    }
    sl_code rc = sl_program_find("sluice-tensorflow-host", path, size, st);
    if (rc == SL_FAILED_PRECONDITION)
        sl_wrap(st, "the program sluice-tensorflow-host is ");
    return rc;
}

static int spawn(const tf_launch *l, const char *program, char *library, int socket, int lines,
                 pid_t *pid)
{
    char **argv = sl_calloc((size_t)l->n_custom_op_libs + 3, sizeof *argv);
    char **environment = make_environment();
    argv[0] = (char *)(uintptr_t)program;
    argv[1] = library;
    for (int i = 0; i < l->n_custom_op_libs; i++)
        argv[i + 2] = l->custom_op_libs[i];
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, defaults;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    sigemptyset(&none);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGCHLD);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, lines, 1);
    posix_spawn_file_actions_adddup2(&actions, lines, 2);
    posix_spawn_file_actions_adddup2(&actions, socket, SL_TF_CONTROL_FD);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes,
                             POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    int rc = posix_spawn(pid, program, &actions, &attributes, argv, environment);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    sl_free(argv);
    sl_free(environment);
    return rc;
}

/* dup2 to 1, 2 and 3 must not hit a descriptor that is still needed. */
static int above_three(int fd)
{
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, SL_TF_CONTROL_FD + 1);
    close(fd);
    return moved;
}

/* ---- launching: in this process, or in the launcher ---- */

sl_code tf_launch_host(tf_launch *l, int socket, int lines, char *found, size_t size, sl_status *st)
{
    char program[PATH_MAX], version[32];
    sl_tensorflow_options opts = {.library = l->library, .python = l->python};
    sl_code rc = sl_tensorflow_find(&opts, found, size, version, sizeof version, NULL, st);
    if (rc == SL_OK)
        rc = find_program(l, program, sizeof program, st);
    if (rc)
        return rc;
    int e = spawn(l, program, found, socket, lines, &l->pid);
    if (e) {
        l->pid = 0;
        return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run \"%s\": %s", program, strerror(e));
    }
    return SL_OK;
}

static sl_code launch_for_server(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                                 sl_status *st)
{
    tf_launch *l = arg;
    char found[PATH_MAX];
    if (n_fds != 2)
        return sl_fail(st, SL_INVALID_ARGUMENT, "the TensorFlow host needs two descriptors");
    sl_child_end(&l->pid); /* there is one at a time */
    /* dup2 to 1, 2 and 3 must not hit one that is still needed. */
    int socket = fcntl(fds[0], F_DUPFD_CLOEXEC, SL_TF_CONTROL_FD + 1);
    int lines = fcntl(fds[1], F_DUPFD_CLOEXEC, SL_TF_CONTROL_FD + 1);
    sl_code rc = tf_launch_host(l, socket, lines, found, sizeof found, st);
    if (rc == SL_OK)
        snprintf(answer, size, "%d %s", (int)l->pid, found);
    close(socket);
    close(lines);
    return rc;
}

void *sl_tensorflow_launches(const sl_tensorflow_options *o, sl_launch ops[SL_TENSORFLOW_LAUNCHES])
{
    tf_launch *l = sl_calloc(1, sizeof *l);
    *l = (tf_launch){.library = o->library,
                     .python = o->python,
                     .host_program = o->host_program,
                     .custom_op_libs = (char *const *)(uintptr_t)o->custom_op_libs,
                     .n_custom_op_libs = o->n_custom_op_libs};
    ops[0] = (sl_launch){launch_for_server, l};
    ops[1] = (sl_launch){sl_launch_child_end, &l->pid};
    return l;
}

/* The process id and the library that was found. */
static sl_code ask_launcher(tf_engine *e, const int fds[2], char *found, size_t size, sl_status *st)
{
    char answer[SL_LAUNCH_TEXT], *space;
    sl_code rc = sl_launcher_ask(e->launcher, e->launch_op, fds, 2, answer, sizeof answer, st);
    if (rc)
        return rc;
    long pid = strtol(answer, &space, 10);
    if (pid <= 0 || *space != ' ' || strlen(space + 1) >= size)
        return sl_fail(st, SL_INTERNAL, "the launcher's answer makes no sense");
    snprintf(found, size, "%s", space + 1);
    e->host_pid = (pid_t)pid;
    return SL_OK;
}

static sl_code launch(tf_engine *e, char *found, size_t size, sl_status *st)
{
    int sockets[2], lines[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start the TensorFlow host: %s",
                       strerror(errno));
    if (pipe2(lines, O_CLOEXEC) != 0) {
        close(sockets[0]);
        close(sockets[1]);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start the TensorFlow host: %s",
                       strerror(errno));
    }
    sockets[1] = above_three(sockets[1]);
    lines[1] = above_three(lines[1]);
    sl_code rc;
    if (e->launcher != NULL) {
        rc = ask_launcher(e, (int[]){sockets[1], lines[1]}, found, size, st);
    } else {
        rc = tf_launch_host(&e->launch, sockets[1], lines[1], found, size, st);
        e->host_pid = e->launch.pid;
    }
    close(sockets[1]);
    close(lines[1]);
    if (rc) {
        close(sockets[0]);
        close(lines[0]);
        return rc;
    }
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    fcntl(lines[0], F_SETFL, O_NONBLOCK);
    e->host_socket = sockets[0];
    e->host_lines = (tf_lines){.fd = lines[0]};
    return SL_OK;
}

sl_code tf_host_start(tf_engine *e, sl_status *st)
{
    char found[PATH_MAX] = "";
    e->host = TF_HOST_STARTING;
    pthread_mutex_unlock(&e->lock);
    sl_code rc = launch(e, found, sizeof found, st); /* nobody else looks at what it sets */
    pthread_mutex_lock(&e->lock);
    if (rc)
        e->host = TF_HOST_NONE;
    else
        memcpy(e->found, found, sizeof found);
    return rc;
}

void tf_host_end(tf_engine *e)
{
    sl_launcher_end_child(e->launcher, e->launch_op + 1, &e->host_pid);
    tf_lines_read(&e->host_lines, "tensorflow host");
    if (e->host_socket >= 0)
        close(e->host_socket);
    if (e->host_lines.fd >= 0)
        close(e->host_lines.fd);
    e->host_socket = -1;
    e->host_lines.fd = -1;
    e->host = TF_HOST_NONE;
}
