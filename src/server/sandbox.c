/* sandbox.c - see sandbox.h */
#include "server/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/confine.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/str.h"

/* Sanitizers look into their own process from a helper of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { INSPECTED = true };
#else
enum { INSPECTED = false };
#endif

/* ---- who we are ---- */

static bool number(const char *text, int64_t *out)
{
    return sl_str_to_int64(sl_str_of(text), out) && *out >= 0 && *out < UINT32_MAX;
}

static sl_code find_user(const char *text, uid_t *uid, gid_t *gid, sl_status *st)
{
    char *copy = sl_strdup(text), *group = strchr(copy, ':');
    sl_code rc = SL_OK;
    int64_t n;
    if (group != NULL)
        *group++ = '\0';
    const struct passwd *p = getpwnam(copy);
    if (p == NULL && number(copy, &n)) {
        *uid = (uid_t)n;
        *gid = (gid_t)n;
        p = getpwuid(*uid);
    } else if (p == NULL) {
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "run_as: there is no user \"%s\"", copy);
    }
    if (p != NULL) {
        *uid = p->pw_uid;
        *gid = p->pw_gid;
    }
    const struct group *g = group ? getgrnam(group) : NULL;
    if (g != NULL)
        *gid = g->gr_gid;
    else if (group != NULL && number(group, &n))
        *gid = (gid_t)n;
    else if (group != NULL && rc == SL_OK)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "run_as: there is no group \"%s\"", group);
    sl_free(copy);
    return rc;
}

static bool keep_capabilities(uint64_t kept)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2], data[2];
    if (syscall(SYS_capget, &head, now) != 0)
        return false;
    for (int i = 0; i < 2; i++) {
        uint32_t mine = now[i].permitted & (uint32_t)(kept >> (32 * i));
        data[i] = (struct __user_cap_data_struct){.effective = mine, .permitted = mine};
    }
    return syscall(SYS_capset, &head, data) == 0;
}

/* Binding a low port is still to come. Root keeps the right to read what only others may read, as
 * the files of a model sometimes are, and nothing else. */
static sl_code change_user(const char *run_as, sl_status *st)
{
    const uint64_t low_ports = 1ULL << CAP_NET_BIND_SERVICE, reading = 1ULL << CAP_DAC_READ_SEARCH;
    uid_t uid = 0;
    gid_t gid = 0;
    if (*run_as == '\0') {
        if (geteuid() == 0 && !keep_capabilities(low_ports | reading))
            sl_log(SL_WARNING, "cannot give up capabilities: %s", strerror(errno));
        return SL_OK;
    }
    sl_code rc = find_user(run_as, &uid, &gid, st);
    if (rc)
        return rc;
    if (geteuid() != 0)
        return sl_fail(st, SL_FAILED_PRECONDITION, "run_as: only root can become another user");
    if (prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) || setgroups(1, &gid) || setgid(gid) || setuid(uid) ||
        !keep_capabilities(low_ports))
        return sl_fail(st, SL_FAILED_PRECONDITION, "run_as: cannot become \"%s\": %s", run_as,
                       strerror(errno));
    return SL_OK;
}

static void no_core_files(void)
{
    struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    if (!INSPECTED)
        prctl(PR_SET_DUMPABLE, 0);
}

/* ---- files ---- */

static const char *const system_files[] = {
    "/usr/lib",       "/usr/local/lib",     "/lib",         "/lib64",         "/etc/ld.so.cache",
    "/etc/localtime", "/etc/ssl",           "/usr/lib/ssl", "/proc/self",     "/proc/cpuinfo",
    "/proc/meminfo",  "/proc/stat",         "/sys/devices", "/sys/fs/cgroup", "/dev/null",
    "/dev/urandom",   "/usr/share/zoneinfo"};

static sl_code confine_files(const sl_sandbox_options *o, sl_status *st)
{
    bool strict = o->mode == SL_SANDBOX_STRICT;
    const unsigned change = SL_FILES_WRITE | SL_FILES_CHANGE;
    size_t max = SL_COUNTOF(system_files) + (size_t)o->n_writable + (size_t)o->n_readable + 3;
    sl_confined_path *paths = sl_calloc(max, sizeof *paths);
    int n = 0;
    for (size_t i = 0; strict && i < SL_COUNTOF(system_files); i++)
        paths[n++] = (sl_confined_path){system_files[i], SL_FILES_READ};
    for (int i = 0; strict && i < o->n_readable; i++)
        paths[n++] = (sl_confined_path){o->readable[i], SL_FILES_READ};
    for (int i = 0; i < o->n_writable; i++)
        paths[n++] = (sl_confined_path){o->writable[i], change | SL_FILES_READ};
    paths[n++] = (sl_confined_path){"/dev/null", SL_FILES_READ | SL_FILES_WRITE};
#ifdef SLUICE_COVERAGE
    paths[n++] = (sl_confined_path){SLUICE_COVERAGE, change | SL_FILES_READ}; /* base/counts.h */
#endif
    sl_code rc = sl_confine_files(change | (strict ? SL_FILES_READ : 0), paths, n, st);
    sl_free(paths);
    if (rc == SL_UNIMPLEMENTED && strict)
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "--sandbox=strict needs Landlock, which this kernel does not have: use "
                       "--sandbox=default");
    if (rc == SL_UNIMPLEMENTED)
        sl_log(SL_WARNING, "%s: the sandbox closes system calls, not files", st->msg);
    return rc == SL_UNIMPLEMENTED ? SL_OK : rc;
}

/* Is `path` `root` or below it, bytewise? */
static bool below(const char *path, const char *root)
{
    size_t n = strlen(root);
    while (n > 1 && root[n - 1] == '/')
        n--;
    return strncmp(path, root, n) == 0 &&
           (path[n] == '\0' || path[n] == '/' || (n == 1 && *root == '/'));
}

sl_code sl_sandbox_may_read(const sl_sandbox_options *o, const char *path, sl_status *st)
{
    char real[PATH_MAX];
    const char *shown = path;
    if (strncmp(path, "file://", 7) == 0)
        path += 7;
    if (o->mode != SL_SANDBOX_STRICT || strstr(path, "://") != NULL)
        return SL_OK;
    if (realpath(path, real) != NULL) /* where there is nothing yet, its name has to do */
        path = real;
    for (int i = 0; i < o->n_readable; i++)
        if (below(path, o->readable[i]))
            return SL_OK;
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "%s lies outside of what --sandbox=strict lets the server read: name a "
                   "directory above it in "
                   "--sandbox_root and start again",
                   shown);
}

/* ---- system calls ---- */

/* Beside what sl_calls_deny_outside closes. */
static const int denied[] = {
    SYS_renameat2, SYS_truncate,
#ifdef SYS_renameat
    SYS_renameat,
#endif
#if defined(__x86_64__)
    SYS_creat,     SYS_rename,
#endif
};

sl_code sl_sandbox_finish(const sl_sandbox_options *o, sl_status *st)
{
    const uint32_t writing = O_WRONLY | O_RDWR | O_CREAT | O_TRUNC | O_APPEND;
    if (o->mode == SL_SANDBOX_OFF)
        return SL_OK;
    sl_calls *f = sl_calloc(1, sizeof *f);
    sl_calls_begin(f);
    sl_calls_deny_all(f, denied, SL_COUNTOF(denied));
    sl_calls_deny_outside(f);
    sl_calls_deny_kernel(f);
    if (!INSPECTED) {
        sl_calls_deny(f, SYS_ptrace);
        sl_calls_threads_only(f);
    }
    sl_calls_no_addresses(f);
    sl_calls_argument_must_be(f, SYS_kill, 0, (uint32_t)getpid());
    sl_calls_argument_must_be(f, SYS_tgkill, 0, (uint32_t)getpid());
    sl_calls_argument_must_be(f, SYS_prlimit64, 0, 0);
    sl_calls_argument_must_lack(f, SYS_openat, 2, writing);
#ifdef SYS_open
    sl_calls_argument_must_lack(f, SYS_open, 1, writing);
#endif
#ifdef SYS_openat2
    sl_calls_unknown(f, SYS_openat2); /* its flags lie in memory */
#endif
    sl_code rc = sl_confine_privileges(st);
    if (rc == SL_OK)
        rc = sl_calls_apply(f, true, st);
    sl_free(f);
    /* A kernel or a container without seccomp: nobody asked for it by name, so the server serves.
     */
    if (rc && o->mode == SL_SANDBOX_DEFAULT) {
        sl_log(SL_WARNING, "%s: system calls stay open", st->msg);
        rc = SL_OK;
    }
    return rc;
}

sl_code sl_sandbox_become(sl_sandbox_mode mode, const char *run_as, bool secrets, sl_status *st)
{
    sl_code rc = SL_OK;
    if (mode != SL_SANDBOX_OFF || *run_as != '\0')
        rc = change_user(run_as, st);
    if (secrets)
        no_core_files(); /* behind it: changing the user may make the process dumpable again */
    return rc || mode == SL_SANDBOX_OFF ? rc : sl_confine_privileges(st);
}

sl_code sl_sandbox_begin(const sl_sandbox_options *o, sl_status *st)
{
    return o->mode == SL_SANDBOX_OFF ? SL_OK : confine_files(o, st);
}
