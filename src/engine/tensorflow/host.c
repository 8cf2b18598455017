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
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

static bool may_see(const char *variable)
{
    static const char *const allowed[] = {"TF_",   "OMP_",    "KMP_", "MKL_",
                                          "CUDA_", "NVIDIA_", "XLA_", "LD_LIBRARY_PATH="};
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

static sl_code find_program(const tf_engine *e, char *path, size_t size, sl_status *st)
{
    const char *named = e->host_program ? e->host_program : getenv("SLUICE_TENSORFLOW_HOST");
    if (named != NULL && *named != '\0') {
        snprintf(path, size, "%s", named);
        if (access(path, X_OK) == 0)
            return SL_OK;
        return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run the TensorFlow host \"%s\": %s",
                       path, strerror(errno));
    }
    static const char *const places[] = {"sluice-tensorflow-host",
                                         "../libexec/sluice/sluice-tensorflow-host"};
    char here[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", here, sizeof here - 1);
    if (n <= 0)
        return sl_fail(st, SL_INTERNAL, "cannot find out where this program is: %s",
                       strerror(errno));
    here[n] = '\0';
    char *slash = strrchr(here, '/');
    slash[1] = '\0';
    for (size_t i = 0; i < SL_COUNTOF(places); i++) {
        int m = snprintf(path, size, "%s%s", here, places[i]);
        if (m > 0 && (size_t)m < size && access(path, X_OK) == 0)
            return SL_OK;
    }
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "the program sluice-tensorflow-host is neither in %s nor in %s../libexec/sluice",
                   here, here);
}

static int spawn(tf_engine *e, const char *program, int socket, int lines, pid_t *pid)
{
    char **argv = sl_calloc((size_t)e->n_custom_op_libs + 3, sizeof *argv);
    char **environment = make_environment();
    argv[0] = (char *)(uintptr_t)program;
    argv[1] = e->found;
    for (int i = 0; i < e->n_custom_op_libs; i++)
        argv[i + 2] = e->custom_op_libs[i];
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

static sl_code launch(tf_engine *e, const char *program, sl_status *st)
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
    int rc = spawn(e, program, sockets[1], lines[1], &e->host_pid);
    close(sockets[1]);
    close(lines[1]);
    if (rc) {
        close(sockets[0]);
        close(lines[0]);
        return sl_fail(st, SL_FAILED_PRECONDITION, "cannot run \"%s\": %s", program, strerror(rc));
    }
    fcntl(sockets[0], F_SETFL, O_NONBLOCK);
    fcntl(lines[0], F_SETFL, O_NONBLOCK);
    e->host_socket = sockets[0];
    e->host_lines = (tf_lines){.fd = lines[0]};
    return SL_OK;
}

sl_code tf_host_start(tf_engine *e, sl_status *st)
{
    char program[PATH_MAX], found[PATH_MAX] = "", version[32];
    sl_tensorflow_options opts = {.library = e->library, .python = e->python};
    e->host = TF_HOST_STARTING;
    pthread_mutex_unlock(&e->lock);
    sl_code rc = sl_tensorflow_find(&opts, found, sizeof found, version, sizeof version, NULL, st);
    pthread_mutex_lock(&e->lock);
    if (rc == SL_OK)
        rc = find_program(e, program, sizeof program, st);
    if (rc == SL_OK) {
        memcpy(e->found, found, sizeof found);
        rc = launch(e, program, st);
    }
    if (rc)
        e->host = TF_HOST_NONE;
    return rc;
}

void tf_host_end(tf_engine *e)
{
    if (e->host_pid > 0) {
        kill(e->host_pid, SIGKILL); /* ours until it is waited for */
        waitpid(e->host_pid, NULL, 0);
    }
    tf_lines_read(&e->host_lines, "tensorflow host");
    if (e->host_socket >= 0)
        close(e->host_socket);
    if (e->host_lines.fd >= 0)
        close(e->host_lines.fd);
    e->host_pid = 0;
    e->host_socket = -1;
    e->host_lines.fd = -1;
    e->host = TF_HOST_NONE;
}
