/*
 * sandbox.c - see sandbox.h
 *
 * Landlock restricts paths (an allow list), seccomp restricts system calls (a deny list, since a
 * GPU driver or a custom op may need calls that nobody here can foresee). Both are reached by raw
 * system calls: glibc has no wrapper for the first, and the filter is small enough to write out.
 */
#include "engine/tensorflow/host/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

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

/* Rights that headers of older systems do not name yet; the kernel's ABI says which it knows. */
#define FS_ALL_1 ((1ULL << 13) - 1)
#define FS_REFER (1ULL << 13)
#define FS_TRUNCATE (1ULL << 14)
#define FS_IOCTL_DEV (1ULL << 15)
#define FS_READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
/* A device: rights that a file, not a directory, can have. */
#define FS_DEVICE (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | FS_IOCTL_DEV)

static void allow(int ruleset, const char *path, uint64_t rights)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return; /* what is not there need not be allowed */
    struct stat s;
    if (fstat(fd, &s) == 0 && !S_ISDIR(s.st_mode))
        rights &= ~(uint64_t)LANDLOCK_ACCESS_FS_READ_DIR;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        fprintf(stderr, "cannot allow reading \"%s\": %s\n", path, strerror(errno));
    close(fd);
}

static void allow_nvidia(int ruleset, uint64_t rights)
{
    static const char *const fixed[] = {"/dev/nvidiactl", "/dev/nvidia-uvm",
                                        "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"};
    for (size_t i = 0; i < SL_COUNTOF(fixed); i++)
        allow(ruleset, fixed[i], rights);
    for (int i = 0; i < 32; i++) {
        char path[32];
        snprintf(path, sizeof path, "/dev/nvidia%d", i);
        allow(ruleset, path, rights);
    }
}

static sl_code restrict_files(const char *const *readable, int n, sl_status *st)
{
    static const char *const system[] = {
        "/usr/lib",     "/usr/local/lib",     "/usr/local/cuda", "/lib",
        "/lib64",       "/proc/self",         "/proc/cpuinfo",   "/proc/meminfo",
        "/proc/stat",   "/sys/devices",       "/sys/fs/cgroup",  "/etc/ld.so.cache",
        "/dev/urandom", "/usr/share/zoneinfo"};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1) {
        fprintf(stderr, "this kernel has no Landlock: the model's process can read files (%s)\n",
                strerror(errno));
        return SL_OK;
    }
    uint64_t known = FS_ALL_1 | (abi >= 2 ? FS_REFER : 0) | (abi >= 3 ? FS_TRUNCATE : 0) |
                     (abi >= 5 ? FS_IOCTL_DEV : 0);
    struct landlock_ruleset_attr attr = {.handled_access_fs = known};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return sl_fail(st, SL_INTERNAL, "cannot restrict files: %s", strerror(errno));
    for (size_t i = 0; i < SL_COUNTOF(system); i++)
        allow(ruleset, system[i], FS_READ);
    for (int i = 0; i < n; i++)
        allow(ruleset, readable[i], FS_READ);
    allow(ruleset, "/dev/null", FS_DEVICE & known);
    allow_nvidia(ruleset, FS_DEVICE & known);
    long rc = syscall(SYS_landlock_restrict_self, ruleset, 0);
    close(ruleset);
    return rc ? sl_fail(st, SL_INTERNAL, "cannot restrict files: %s", strerror(errno)) : SL_OK;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "write down the audit number of this architecture"
#endif

static const int denied[] = {
    /* network, and talking to strangers on this machine */
    SYS_socket,
    SYS_socketpair,
    SYS_bind,
    SYS_connect,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    /* other programs and processes */
    SYS_execve,
    SYS_execveat,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kill,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
    SYS_kcmp,
    SYS_setpgid,
    SYS_setsid,
#ifdef SYS_pidfd_open
    SYS_pidfd_open,
    SYS_pidfd_send_signal,
#endif
#ifdef SYS_pidfd_getfd
    SYS_pidfd_getfd,
#endif
#ifdef SYS_process_madvise
    SYS_process_madvise,
#endif
    /* what Landlock does not see: mode, owner, times, attributes, links */
    SYS_fchmod,
    SYS_fchmodat,
    SYS_fchown,
    SYS_fchownat,
    SYS_utimensat,
    SYS_setxattr,
    SYS_lsetxattr,
    SYS_fsetxattr,
    SYS_removexattr,
    SYS_lremovexattr,
    SYS_fremovexattr,
    SYS_linkat,
    SYS_symlinkat,
    SYS_mknodat,
    SYS_chroot,
    SYS_flock,
    /* memory shared with strangers */
    SYS_shmget,
    SYS_shmat,
    SYS_shmctl,
    SYS_semget,
    SYS_semop,
    SYS_semctl,
    SYS_msgget,
    SYS_msgsnd,
    SYS_msgrcv,
    SYS_msgctl,
    SYS_mq_open,
    SYS_mq_unlink,
    /* the kernel itself */
    SYS_mount,
    SYS_umount2,
    SYS_pivot_root,
    SYS_unshare,
    SYS_setns,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_request_key,
    SYS_userfaultfd,
    SYS_init_module,
    SYS_finit_module,
    SYS_delete_module,
    SYS_kexec_load,
    SYS_reboot,
    SYS_swapon,
    SYS_swapoff,
    SYS_acct,
    SYS_quotactl,
    SYS_sethostname,
    SYS_setdomainname,
    SYS_syslog,
    SYS_personality,
    SYS_settimeofday,
    SYS_clock_settime,
    SYS_adjtimex,
    SYS_clock_adjtime,
    SYS_name_to_handle_at,
    SYS_open_by_handle_at,
    SYS_vhangup,
    SYS_fanotify_init,
    SYS_lookup_dcookie,
    SYS_io_setup,
    SYS_io_submit,
    SYS_setuid,
    SYS_setgid,
    SYS_setreuid,
    SYS_setregid,
    SYS_setresuid,
    SYS_setresgid,
    SYS_setgroups,
    SYS_setfsuid,
    SYS_setfsgid,
    SYS_capset,
#ifdef SYS_io_uring_setup
    SYS_io_uring_setup,
    SYS_io_uring_enter,
    SYS_io_uring_register,
#endif
#ifdef SYS_open_tree
    SYS_open_tree,
    SYS_move_mount,
    SYS_fsopen,
    SYS_fsconfig,
    SYS_fsmount,
    SYS_fspick,
#endif
#ifdef SYS_mount_setattr
    SYS_mount_setattr,
#endif
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
#ifdef SYS_fchmodat2
    SYS_fchmodat2,
#endif
#if defined(__x86_64__)
    SYS_fork,
    SYS_vfork,
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

enum { NR = offsetof(struct seccomp_data, nr), MAX_FILTER = 48 + 2 * SL_COUNTOF(denied) };

typedef struct filter {
    struct sock_filter code[MAX_FILTER];
    unsigned short n;
} filter;

static void emit(filter *f, struct sock_filter op)
{
    f->code[f->n++] = op;
}

static void load_at(filter *f, size_t offset)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* The low half of a call's argument: both architectures are little-endian. */
static void load_argument(filter *f, int i)
{
    load_at(f, offsetof(struct seccomp_data, args) + 8 * (size_t)i);
}

static void jump_unless(filter *f, uint16_t test, uint32_t value, uint8_t skip)
{
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, skip));
}

static void answer(filter *f, uint32_t verdict)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, verdict));
}

static void first_argument_must_be(filter *f, int call, uint32_t value)
{
    jump_unless(f, BPF_JEQ, (uint32_t)call, 4);
    load_argument(f, 0);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    answer(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

static void build(filter *f)
{
    load_at(f, offsetof(struct seccomp_data, arch));
    jump_unless(f, BPF_JEQ, ARCH, 1);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
    answer(f, SECCOMP_RET_KILL_PROCESS);
    load_at(f, NR);
#if defined(__x86_64__)
    /* The x32 numbers are a second way to each call. */
    jump_unless(f, BPF_JGE, 0x40000000u, 1);
    answer(f, SECCOMP_RET_ERRNO | EPERM);
#endif
    for (size_t i = 0; i < SL_COUNTOF(denied); i++) {
        jump_unless(f, BPF_JEQ, (uint32_t)denied[i], 1);
        answer(f, SECCOMP_RET_ERRNO | EPERM);
    }
    /* clone3's flags lie in memory, where a filter cannot look: glibc falls back to clone. */
#ifdef SYS_clone3
    jump_unless(f, BPF_JEQ, SYS_clone3, 1);
    answer(f, SECCOMP_RET_ERRNO | ENOSYS);
#endif
    /* clone: threads only, and no new namespace */
    jump_unless(f, BPF_JEQ, SYS_clone, 4);
    load_argument(f, 0);
    emit(f, (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, CLONE_THREAD));
    jump_unless(f, BPF_JEQ, 0, 1);
    answer(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
    first_argument_must_be(f, SYS_tgkill, (uint32_t)getpid()); /* which is how abort() works */
    first_argument_must_be(f, SYS_prlimit64, 0);               /* getrlimit, for itself */
    answer(f, SECCOMP_RET_ALLOW);
}

static sl_code restrict_calls(sl_status *st)
{
    static filter f;
    build(&f);
    struct sock_fprog program = {.len = f.n, .filter = f.code};
    if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0))
        return sl_fail(st, SL_INTERNAL, "cannot restrict system calls: %s", strerror(errno));
    return SL_OK;
}

sl_code tf_sandbox(const char *const *readable, int n, sl_status *st)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return sl_fail(st, SL_INTERNAL, "cannot give up privileges: %s", strerror(errno));
    sl_code rc = restrict_files(readable, n, st);
    return rc ? rc : restrict_calls(st);
}
