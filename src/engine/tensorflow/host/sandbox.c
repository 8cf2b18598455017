/*
 * sandbox.c - see sandbox.h
 *
 * Landlock restricts paths (an allow list), seccomp restricts system calls (a deny list, since a
 * GPU driver or a custom op may need calls that nobody here can foresee). base/confine.h does both.
 */
#include "engine/tensorflow/host/sandbox.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/mem.h"

static int compare_fds(const void *a, const void *b)
{
    return *(const int *)a - *(const int *)b;
}

static void close_range_of(unsigned first, unsigned last)
{
    if (first > last || syscall(SYS_close_range, first, last, 0) == 0)
        return;
    unsigned end = last < 65536 ? last : 65535; /* a kernel before 5.9 */
    for (unsigned fd = first; fd <= end; fd++)
        close((int)fd);
}

void tf_close_others(int *keep, int n)
{
    qsort(keep, (size_t)n, sizeof *keep, compare_fds);
    unsigned next = 3;
    for (int i = 0; i < n; i++) {
        if (keep[i] < 3)
            continue;
        if ((unsigned)keep[i] > next)
            close_range_of(next, (unsigned)keep[i] - 1);
        next = (unsigned)keep[i] + 1;
    }
    close_range_of(next, ~0U);
}

/* ---- files ---- */

enum { MAX_PATHS = 512 };

typedef struct paths {
    sl_confined_path list[MAX_PATHS];
    int n;
} paths;

static void allow(paths *p, const char *path, unsigned rights)
{
    if (p->n < MAX_PATHS)
        p->list[p->n++] = (sl_confined_path){path, rights};
}

static void allow_nvidia(paths *p, unsigned rights)
{
    static const char *const fixed[] = {"/dev/nvidiactl", "/dev/nvidia-uvm",
                                        "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"};
    static char numbered[32][32];
    for (size_t i = 0; i < SL_COUNTOF(fixed); i++)
        allow(p, fixed[i], rights);
    for (int i = 0; i < 32; i++) {
        snprintf(numbered[i], sizeof numbered[i], "/dev/nvidia%d", i);
        allow(p, numbered[i], rights);
    }
}

static sl_code restrict_files(const char *const *readable, int n, sl_status *st)
{
    static const char *const system[] = {
        "/usr/lib",     "/usr/local/lib",     "/usr/local/cuda", "/lib",
        "/lib64",       "/proc/self",         "/proc/cpuinfo",   "/proc/meminfo",
        "/proc/stat",   "/sys/devices",       "/sys/fs/cgroup",  "/etc/ld.so.cache",
        "/dev/urandom", "/usr/share/zoneinfo"};
    const unsigned all =
        SL_FILES_READ | SL_FILES_WRITE | SL_FILES_CHANGE | SL_FILES_EXECUTE | SL_FILES_DEVICE;
    const unsigned device = SL_FILES_READ | SL_FILES_WRITE | SL_FILES_DEVICE;
    static paths p;
    for (size_t i = 0; i < SL_COUNTOF(system); i++)
        allow(&p, system[i], SL_FILES_READ);
    allow(&p, "/dev/null", device);
    allow_nvidia(&p, device);
    for (int i = 0; i < n; i++)
        allow(&p, readable[i], SL_FILES_READ);
    if (p.n == MAX_PATHS)
        return sl_fail(st, SL_INTERNAL, "more than %d paths to read", MAX_PATHS);
    sl_code rc = sl_confine_files(all, p.list, p.n, st);
    if (rc != SL_UNIMPLEMENTED)
        return rc;
    fprintf(stderr, "%s: the model's process can read files\n", st->msg);
    return SL_OK;
}

/* ---- system calls ---- */

/* Beside what sl_calls_deny_outside closes. */
static const int denied[] = {
    /* network, and talking to strangers on this machine */
    SYS_socket,
    SYS_socketpair,
    SYS_accept,
    SYS_accept4,
    /* processes */
    SYS_ptrace,
    SYS_kill,
    SYS_setpgid,
    SYS_setsid,
    SYS_flock,
    /* memory shared with strangers */
    SYS_shmctl,
    SYS_semop,
    SYS_semctl,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_unlink,
};

static sl_code restrict_calls(sl_status *st)
{
    static sl_calls f;
    sl_calls_begin(&f);
    sl_calls_deny_all(&f, denied, SL_COUNTOF(denied));
    sl_calls_deny_outside(&f);
    sl_calls_deny_kernel(&f);
    sl_calls_threads_only(&f); /* and no new namespace: those need a process or CAP_SYS_ADMIN */
    sl_calls_argument_must_be(&f, SYS_tgkill, 0,
                              (uint32_t)getpid());      /* which is how abort() works */
    sl_calls_argument_must_be(&f, SYS_prlimit64, 0, 0); /* getrlimit, for itself */
    return sl_calls_apply(&f, false, st);
}

sl_code tf_sandbox(const char *const *readable, int n, sl_status *st)
{
    sl_code rc = sl_confine_privileges(st);
    if (rc == SL_OK)
        rc = restrict_files(readable, n, st);
    return rc ? rc : restrict_calls(st);
}
