/* confine.c - see confine.h */
#include "base/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/landlock.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

sl_code sl_confine_privileges(sl_status *st)
{
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
        return sl_fail(st, SL_INTERNAL, "cannot give up privileges: %s", strerror(errno));
    return SL_OK;
}

/* ---- files ---- */

/* Rights that headers of older systems do not name yet; the kernel's ABI says which it knows. */
#define REFER (1ULL << 13)
#define TRUNCATE (1ULL << 14)
#define IOCTL_DEV (1ULL << 15)

#define READ (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define WRITE LANDLOCK_ACCESS_FS_WRITE_FILE
#define CHANGE                                                                                     \
    (LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_REMOVE_FILE |                              \
     LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |    \
     LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO | LANDLOCK_ACCESS_FS_MAKE_BLOCK | \
     LANDLOCK_ACCESS_FS_MAKE_SYM | REFER | TRUNCATE)
/* What a file that is no directory can have. */
#define OF_FILES \
    (LANDLOCK_ACCESS_FS_READ_FILE | WRITE | LANDLOCK_ACCESS_FS_EXECUTE | TRUNCATE | IOCTL_DEV)

static uint64_t kernel_rights(unsigned rights, long abi)
{
    uint64_t r = (rights & SL_FILES_READ ? READ : 0) | (rights & SL_FILES_WRITE ? WRITE : 0) |
                 (rights & SL_FILES_CHANGE ? CHANGE : 0) |
                 (rights & SL_FILES_EXECUTE ? LANDLOCK_ACCESS_FS_EXECUTE : 0) |
                 (rights & SL_FILES_DEVICE ? IOCTL_DEV : 0);
    uint64_t unknown = (abi < 2 ? REFER : 0) | (abi < 3 ? TRUNCATE : 0) | (abi < 5 ? IOCTL_DEV : 0);
    return r & ~unknown;
}

static sl_code allow(int ruleset, const char *path, uint64_t rights, sl_status *st)
{
    struct stat s;
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return SL_OK; /* what is not there need not be allowed */
    if (fstat(fd, &s) == 0 && !S_ISDIR(s.st_mode))
        rights &= OF_FILES;
    struct landlock_path_beneath_attr rule = {.allowed_access = rights, .parent_fd = fd};
    sl_code rc = SL_OK;
    if (rights != 0 &&
        syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0))
        rc = sl_fail(st, SL_INTERNAL, "cannot allow \"%s\": %s", path, strerror(errno));
    close(fd);
    return rc;
}

sl_code sl_confine_files(unsigned handled, const sl_confined_path *paths, int n, sl_status *st)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return sl_fail(st, SL_UNIMPLEMENTED, "this kernel has no Landlock (%s)", strerror(errno));
    uint64_t all = kernel_rights(handled, abi);
    struct landlock_ruleset_attr attr = {.handled_access_fs = all};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof attr, 0);
    if (ruleset < 0)
        return sl_fail(st, SL_INTERNAL, "cannot restrict files: %s", strerror(errno));
    sl_code rc = SL_OK;
    for (int i = 0; rc == SL_OK && i < n; i++)
        rc = allow(ruleset, paths[i].path, kernel_rights(paths[i].rights, abi) & all, st);
    if (rc == SL_OK && syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        rc = sl_fail(st, SL_INTERNAL, "cannot restrict files: %s", strerror(errno));
    close(ruleset);
    return rc;
}

/* ---- system calls ---- */

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#else
#error "write down the audit number of this architecture"
#endif

enum { NR = offsetof(struct seccomp_data, nr), LONGEST_RULE = 8 };

static void emit(sl_calls *f, struct sock_filter op)
{
    f->code[f->n++] = op;
}

static void load_at(sl_calls *f, size_t offset)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

/* The low half of a call's argument: both architectures are little-endian. */
static void load_argument(sl_calls *f, int i)
{
    load_at(f, offsetof(struct seccomp_data, args) + 8 * (size_t)i);
}

static void jump_unless(sl_calls *f, uint16_t test, uint32_t value, uint8_t skip)
{
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | test | BPF_K, value, 0, skip));
}

static void verdict(sl_calls *f, uint32_t v)
{
    emit(f, (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, v));
}

/* Is there room for another rule, and for the end? */
static bool room(sl_calls *f)
{
    f->full |= f->n + LONGEST_RULE + 1 > SL_CALLS_MAX;
    return !f->full;
}

void sl_calls_begin(sl_calls *f)
{
    load_at(f, offsetof(struct seccomp_data, arch));
    jump_unless(f, BPF_JEQ, ARCH, 1);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 1, 0, 0));
    verdict(f, SECCOMP_RET_KILL_PROCESS);
    load_at(f, NR);
#if defined(__x86_64__)
    /* The x32 numbers are a second way to each call. */
    jump_unless(f, BPF_JGE, 0x40000000u, 1);
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
#endif
}

void sl_calls_deny(sl_calls *f, int call)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 1);
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
}

void sl_calls_deny_all(sl_calls *f, const int *calls, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sl_calls_deny(f, calls[i]);
}

/* What neither a server nor a model needs. */
static const int kernel[] = {
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
#if defined(__x86_64__)
    SYS_iopl,
    SYS_ioperm,
    SYS_modify_ldt,
#endif
};

void sl_calls_deny_kernel(sl_calls *f)
{
    sl_calls_deny_all(f, kernel, sizeof kernel / sizeof *kernel);
}

/* What reaches beyond the process: neither the server nor a model's process does that. */
static const int outside[] = {
    /* other programs and processes */
    SYS_execve,
    SYS_execveat,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_kcmp,
    SYS_tkill,
    SYS_rt_sigqueueinfo,
    SYS_rt_tgsigqueueinfo,
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
    /* the network: what listens was opened before */
    SYS_connect,
    SYS_bind,
    SYS_listen,
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
#ifdef SYS_fchmodat2
    SYS_fchmodat2,
#endif
#if defined(__x86_64__)
    SYS_chmod,
    SYS_chown,
    SYS_lchown,
    SYS_utime,
    SYS_utimes,
    SYS_futimesat,
    SYS_link,
    SYS_symlink,
    SYS_mknod,
#endif
    /* memory shared with strangers */
    SYS_shmget,
    SYS_shmat,
    SYS_semget,
    SYS_msgget,
    SYS_mq_open,
};

void sl_calls_deny_outside(sl_calls *f)
{
    sl_calls_deny_all(f, outside, sizeof outside / sizeof *outside);
    /* A file may have its signals sent to another process. (Which signal is nobody else's business then, and
     * who holds a file by a lease chooses one: base/hold.c.) */
    sl_calls_argument_must_not_be(f, SYS_fcntl, 1, F_SETOWN);
    sl_calls_argument_must_not_be(f, SYS_fcntl, 1, F_SETOWN_EX);
    sl_calls_argument_must_not_be(f, SYS_ioctl, 1, FIOSETOWN);
    sl_calls_argument_must_not_be(f, SYS_ioctl, 1, SIOCSPGRP);
    /* A terminal may be made to believe that somebody typed a command. */
    sl_calls_argument_must_not_be(f, SYS_ioctl, 1, TIOCSTI);
    sl_calls_argument_must_not_be(f, SYS_ioctl, 1, TIOCLINUX);
}

void sl_calls_unknown(sl_calls *f, int call)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 1);
    verdict(f, SECCOMP_RET_ERRNO | ENOSYS);
}

void sl_calls_argument_must_be(sl_calls *f, int call, int i, uint32_t value)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 4);
    load_argument(f, i);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 1, 0));
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

void sl_calls_argument_must_not_be(sl_calls *f, int call, int i, uint32_t value)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 4);
    load_argument(f, i);
    jump_unless(f, BPF_JEQ, value, 1);
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

void sl_calls_argument_must_be_null(sl_calls *f, int call, int i)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 6);
    load_argument(f, i);
    jump_unless(f, BPF_JEQ, 0, 2);
    load_at(f, offsetof(struct seccomp_data, args) + 8 * (size_t)i + 4);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

void sl_calls_argument_must_lack(sl_calls *f, int call, int i, uint32_t bits)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 4);
    load_argument(f, i);
    jump_unless(f, BPF_JSET, bits, 1);
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

void sl_calls_argument_must_have(sl_calls *f, int call, int i, uint32_t bits)
{
    if (!room(f))
        return;
    jump_unless(f, BPF_JEQ, (uint32_t)call, 4);
    load_argument(f, i);
    emit(f, (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, bits, 1, 0));
    verdict(f, SECCOMP_RET_ERRNO | EPERM);
    load_at(f, NR);
}

void sl_calls_no_addresses(sl_calls *f)
{
    sl_calls_deny(f, SYS_socket);
    sl_calls_deny(f, SYS_sendmmsg);
    sl_calls_argument_must_be_null(f, SYS_sendto, 4);
    /* Of a pair only datagrams take an address: SOCK_DGRAM is 2, and SOCK_RAW, 3, becomes one. */
    sl_calls_argument_must_be(f, SYS_socketpair, 0, AF_UNIX);
    sl_calls_argument_must_lack(f, SYS_socketpair, 1, SOCK_DGRAM);
}

void sl_calls_threads_only(sl_calls *f)
{
    /* clone3's flags lie in memory, where a filter cannot look: glibc falls back to clone. */
#ifdef SYS_clone3
    sl_calls_unknown(f, SYS_clone3);
#endif
    sl_calls_argument_must_have(f, SYS_clone, 0, CLONE_THREAD);
#ifdef SYS_fork
    sl_calls_deny(f, SYS_fork);
    sl_calls_deny(f, SYS_vfork);
#endif
}

sl_code sl_calls_apply(sl_calls *f, bool all_threads, sl_status *st)
{
    if (f->full)
        return sl_fail(st, SL_INTERNAL, "cannot restrict system calls: more than %d steps",
                       SL_CALLS_MAX);
    verdict(f, SECCOMP_RET_ALLOW);
    struct sock_fprog program = {.len = f->n, .filter = f->code};
    long rc = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                      all_threads ? SECCOMP_FILTER_FLAG_TSYNC : 0, &program);
    if (rc > 0)
        return sl_fail(st, SL_INTERNAL,
                       "cannot restrict system calls: thread %ld has another filter", rc);
    if (rc < 0)
        return sl_fail(st, SL_INTERNAL, "cannot restrict system calls: %s", strerror(errno));
    return SL_OK;
}
