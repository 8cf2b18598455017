/*
 * What a server that has locked itself up cannot do any more, tried by doing it, each in a process
 * of its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hold.h"
#include "server/sandbox.h"

static char dir[] = "/tmp/sandbox.XXXXXX";
static char open_dir[64], closed_dir[64], file[96], weights[96];

static int setup(void **state)
{
    (void)state;
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(open_dir, sizeof open_dir, "%s/open", dir);
    snprintf(closed_dir, sizeof closed_dir, "%s/closed", dir);
    snprintf(file, sizeof file, "%s/file", closed_dir);
    if (mkdir(open_dir, 0700) || mkdir(closed_dir, 0700))
        return 1;
    snprintf(weights, sizeof weights, "%s/weights", open_dir);
    FILE *f = fopen(file, "w"), *w = fopen(weights, "w");
    return f == NULL || fputs("secret", f) < 0 || fclose(f) != 0 || w == NULL ||
           ftruncate(fileno(w), 128 << 10) != 0 || fclose(w) != 0;
}

static int teardown(void **state)
{
    (void)state;
    unlink(file);
    unlink(weights);
    rmdir(open_dir);
    rmdir(closed_dir);
    return rmdir(dir);
}

/* Runs `attempt` in a child that has locked itself up; returns what it returns. */
static int locked_up(sl_sandbox_mode mode, int (*attempt)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        const char *writable[] = {open_dir}, *readable[] = {open_dir};
        sl_sandbox_options o = {.mode = mode,
                                .writable = writable,
                                .n_writable = 1,
                                .readable = readable,
                                .n_readable = 1};
        sl_status st = {0};
        if (sl_sandbox_become(mode, "", true, &st) != SL_OK || sl_sandbox_begin(&o, &st) != SL_OK ||
            sl_sandbox_finish(&o, &st) != SL_OK) {
            fprintf(stderr, "%s\n", st.msg);
            _exit(99);
        }
        _exit(attempt());
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* 0: it could be done; else errno. */
static int result(int rc)
{
    return rc < 0 ? errno : 0;
}

static int run_a_program(void)
{
    char *const argv[] = {"true", NULL};
    execv("/bin/true", argv);
    return errno;
}

static int connect_somewhere(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return fd < 0 ? errno : result(connect(fd, (struct sockaddr *)&a, sizeof a));
}

static int make_a_datagram_socket(void)
{
    return result(socket(AF_INET6, SOCK_DGRAM, 0));
}

static int make_a_unix_socket(void)
{
    int fd = socket(AF_UNIX, SOCK_STREAM, 0), e = errno;
    return fd < 0 && socket(AF_UNIX, SOCK_DGRAM, 0) < 0 ? e : 0;
}

/* A pair of datagram sockets could each send to somebody else. */
static int make_a_pair_of_datagrams(void)
{
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_RAW | SOCK_CLOEXEC, 0, ends) == 0 || errno != EPERM)
        return 0;
    return result(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, ends));
}

/* ---- with sockets that were there before: what connects, listens, or has an address ---- */

static int unix_stream, unix_datagram, receiver;
static struct sockaddr_un receiver_name = {.sun_family = AF_UNIX};

static void open_sockets(void)
{
    struct sockaddr_un *a = &receiver_name;
    snprintf(a->sun_path, sizeof a->sun_path, "%s/receiver", open_dir);
    unix_stream = socket(AF_UNIX, SOCK_STREAM, 0);
    unix_datagram = socket(AF_UNIX, SOCK_DGRAM, 0);
    receiver = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(receiver, (struct sockaddr *)a, sizeof *a), 0);
    assert_int_equal(connect(unix_datagram, (struct sockaddr *)a, sizeof *a), 0);
}

static void close_sockets(void)
{
    close(unix_stream);
    close(unix_datagram);
    close(receiver);
    unlink(receiver_name.sun_path);
}

static int listen_on_a_unix_socket(void)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "%s/s", open_dir);
    return result(bind(unix_stream, (struct sockaddr *)&a, sizeof a));
}

static int connect_to_a_unix_socket(void)
{
    return result(connect(unix_stream, (struct sockaddr *)&receiver_name, sizeof receiver_name));
}

static int send_to_an_address(void)
{
    return result((int)sendto(unix_datagram, "x", 1, MSG_DONTWAIT,
                              (struct sockaddr *)&receiver_name, sizeof receiver_name));
}

/* A pointer whose low half is zero is no NULL. */
static int send_to_an_address_at_4_gb(void)
{
    struct sockaddr_un *at = mmap((void *)(1ULL << 32), 4096, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    if (at == MAP_FAILED)
        return EPERM; /* something is there: nothing to be tried */
    *at = receiver_name;
    return result(
        (int)sendto(unix_datagram, "x", 1, MSG_DONTWAIT, (struct sockaddr *)at, sizeof *at));
}

static int send_several_at_once(void)
{
    struct iovec part = {"x", 1};
    struct mmsghdr m = {.msg_hdr = {.msg_iov = &part, .msg_iovlen = 1}};
    return result(sendmmsg(unix_datagram, &m, 1, MSG_DONTWAIT));
}

/* Which is how the service manager is told. */
static int send_to_whom_it_is_connected(void)
{
    char c;
    if (send(unix_datagram, "x", 1, MSG_NOSIGNAL | MSG_DONTWAIT) != 1)
        return errno;
    return read(receiver, &c, 1) == 1 && c == 'x' ? 0 : 98;
}

static int write_to_a_file(void)
{
    return result(open(file, O_WRONLY));
}

static int make_a_file(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/new", open_dir);
    return result(open(path, O_RDWR | O_CREAT, 0600));
}

static int remove_a_file(void)
{
    return result(unlink(file));
}

static int rename_a_file(void)
{
    char path[96];
    snprintf(path, sizeof path, "%s/new", open_dir);
    return result(rename(file, path));
}

static int change_a_mode(void)
{
    return result(chmod(file, 0777));
}

/* ---- signals: nobody gets one, though each call here would be allowed to send it ---- */

static int kill_a_stranger(void)
{
    return result(kill(getppid(), 0));
}

static int kill_all_of_a_group(void)
{
    return result(kill(0, 0));
}

static int kill_a_thread_of_a_stranger(void)
{
    return result((int)syscall(SYS_tgkill, getppid(), getppid(), 0));
}

static int kill_a_thread_of_nobody_knows_whom(void)
{
    return result((int)syscall(SYS_tkill, getppid(), 0));
}

static int queue_a_signal(void)
{
    siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE};
    return result((int)syscall(SYS_rt_sigqueueinfo, getppid(), SIGURG, &info));
}

static int queue_a_signal_for_a_thread(void)
{
    siginfo_t info = {.si_signo = SIGURG, .si_code = SI_QUEUE};
    return result((int)syscall(SYS_rt_tgsigqueueinfo, getppid(), getppid(), SIGURG, &info));
}

static int parent_handle = -1; /* a pidfd, from before */

static int get_hold_of_a_process(void)
{
    return result((int)syscall(SYS_pidfd_open, getppid(), 0));
}

static int signal_what_it_had_hold_of(void)
{
    return result((int)syscall(SYS_pidfd_send_signal, parent_handle, 0, NULL, 0));
}

static int take_a_descriptor_of_a_process(void)
{
    return result((int)syscall(SYS_pidfd_getfd, parent_handle, 0, 0));
}

static int have_a_file_signal_a_stranger(void)
{
    struct f_owner_ex owner = {F_OWNER_PID, getppid()};
    int pid = getppid();
    if (fcntl(unix_datagram, F_SETOWN, pid) == 0 || errno != EPERM ||
        fcntl(unix_datagram, F_SETOWN_EX, &owner) == 0 || errno != EPERM ||
        ioctl(unix_datagram, FIOSETOWN, &pid) == 0 || errno != EPERM)
        return 0;
    return result(ioctl(unix_datagram, SIOCSPGRP, &pid));
}

static int type_into_a_terminal(void)
{
    return result(ioctl(STDIN_FILENO, TIOCSTI, "x"));
}

static int look_into_a_process(void)
{
    char c;
    struct iovec mine = {&c, 1}, theirs = {&receiver, 1};
    return result((int)process_vm_readv(getppid(), &mine, 1, &theirs, 1, 0));
}

static int read_a_file(void)
{
    return result(open(file, O_RDONLY));
}

/* By a lease, so that it can be mapped: without, all weights that come later would be copied. */
static int hold_weights(void)
{
    sl_status st;
    sl_held_file held;
    sl_code rc = sl_file_hold(weights, &held, &st);
    bool mapped = held.mapped != NULL;
    sl_file_let_go(&held);
    return rc == SL_OK && mapped ? 0 : EPERM;
}

static int list_a_directory(void)
{
    return result(open(closed_dir, O_RDONLY | O_DIRECTORY));
}

static int become_root(void)
{
    return result(setuid(0));
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
static int trace_somebody(void)
{
    return result((int)ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int make_a_process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    return result(pid);
}
#endif

static void *nothing(void *arg)
{
    return arg;
}

static int do_what_serving_needs(void)
{
    pthread_t t;
    int ends[2];
    char c;
    if (pthread_create(&t, NULL, nothing, NULL) != 0 || pthread_join(t, NULL) != 0)
        return 1;
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) != 0 || write(ends[0], "x", 1) != 1 ||
        read(ends[1], &c, 1) != 1)
        return 2;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0 ||
        send(ends[0], "x", 1, MSG_NOSIGNAL) != 1 || read(ends[1], &c, 1) != 1)
        return 6;
    if (fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0 || raise(SIGURG) != 0)
        return 7;
    int fd = open("/proc/self/status", O_RDONLY);
    if (fd < 0 || read(fd, &c, 1) != 1)
        return 3;
    if (open("/dev/null", O_RDONLY) < 0 || open(open_dir, O_RDONLY | O_DIRECTORY) < 0)
        return 4;
    return kill(getpid(), 0) == 0 ? 0 : 5;
}

static void the_default_closes_programs_connections_and_writing(void **state)
{
    (void)state;
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, run_a_program), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, connect_somewhere), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, make_a_datagram_socket), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, make_a_unix_socket), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, make_a_pair_of_datagrams), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, write_to_a_file), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, make_a_file), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, remove_a_file), EACCES);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, rename_a_file), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, change_a_mode), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, become_root), EPERM);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, trace_somebody), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, make_a_process), EPERM);
#endif
}

static void nobody_is_connected_to_and_nothing_goes_to_an_address(void **state)
{
    (void)state;
    open_sockets();
    assert_int_equal(locked_up(SL_SANDBOX_OFF, send_to_an_address), 0);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, listen_on_a_unix_socket), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, connect_to_a_unix_socket), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, send_to_an_address), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, send_to_an_address_at_4_gb), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, send_several_at_once), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, send_to_whom_it_is_connected), 0);
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, send_to_whom_it_is_connected), 0);
    close_sockets();
}

static void no_other_process_is_signalled_or_looked_into(void **state)
{
    (void)state;
    open_sockets();
    parent_handle = (int)syscall(SYS_pidfd_open, getpid(), 0);
    signal(SIGURG, SIG_IGN);
    int (*const ways[])(void) = {kill_a_stranger,
                                 kill_all_of_a_group,
                                 kill_a_thread_of_a_stranger,
                                 kill_a_thread_of_nobody_knows_whom,
                                 queue_a_signal,
                                 queue_a_signal_for_a_thread,
                                 get_hold_of_a_process,
                                 signal_what_it_had_hold_of,
                                 take_a_descriptor_of_a_process,
                                 have_a_file_signal_a_stranger,
                                 type_into_a_terminal,
                                 look_into_a_process};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int got = locked_up(SL_SANDBOX_DEFAULT, ways[i]);
        if (got != EPERM)
            fail_msg("way %zu: %s", i, got ? strerror(got) : "it could be done");
    }
    close(parent_handle);
    close_sockets();
}

static void the_default_leaves_reading_and_what_serving_needs(void **state)
{
    (void)state;
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, read_a_file), 0);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, do_what_serving_needs), 0);
    assert_int_equal(locked_up(SL_SANDBOX_DEFAULT, hold_weights), 0);
}

static void strict_closes_reading_elsewhere_too(void **state)
{
    (void)state;
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, read_a_file), EACCES);
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, list_a_directory), EACCES);
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, run_a_program), EPERM);
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, do_what_serving_needs), 0);
    assert_int_equal(locked_up(SL_SANDBOX_STRICT, hold_weights), 0);
}

static void off_closes_nothing(void **state)
{
    (void)state;
    assert_int_equal(locked_up(SL_SANDBOX_OFF, run_a_program), 0);
    assert_int_equal(locked_up(SL_SANDBOX_OFF, read_a_file), 0);
}

static void a_path_outside_of_the_roots_is_named_in_strict(void **state)
{
    const char *readable[] = {open_dir};
    sl_sandbox_options o = {.mode = SL_SANDBOX_STRICT, .readable = readable, .n_readable = 1};
    sl_status st;
    char inside[96], beside[96], back[96];
    (void)state;
    snprintf(inside, sizeof inside, "%s/not/there/yet", open_dir);
    snprintf(beside, sizeof beside, "%s_too", open_dir);
    snprintf(back, sizeof back, "%s/../closed", open_dir);
    assert_int_equal(sl_sandbox_may_read(&o, open_dir, &st), SL_OK);
    assert_int_equal(sl_sandbox_may_read(&o, inside, &st), SL_OK);
    assert_int_equal(sl_sandbox_may_read(&o, "s3://bucket/model", &st), SL_OK);
    assert_int_equal(sl_sandbox_may_read(&o, beside, &st), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_sandbox_may_read(&o, back, &st), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_sandbox_may_read(&o, closed_dir, &st), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, closed_dir));
    assert_non_null(strstr(st.msg, "--sandbox_root"));
    o.mode = SL_SANDBOX_DEFAULT;
    assert_int_equal(sl_sandbox_may_read(&o, closed_dir, &st), SL_OK);
}

static void an_unknown_user_is_refused(void **state)
{
    sl_status st;
    (void)state;
    assert_int_equal(sl_sandbox_become(SL_SANDBOX_OFF, "no-such-user-here", false, &st),
                     SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "no-such-user-here"));
    assert_int_equal(sl_sandbox_become(SL_SANDBOX_OFF, "0:no-such-group-here", false, &st),
                     SL_INVALID_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_closes_programs_connections_and_writing),
        cmocka_unit_test(nobody_is_connected_to_and_nothing_goes_to_an_address),
        cmocka_unit_test(no_other_process_is_signalled_or_looked_into),
        cmocka_unit_test(the_default_leaves_reading_and_what_serving_needs),
        cmocka_unit_test(strict_closes_reading_elsewhere_too),
        cmocka_unit_test(off_closes_nothing),
        cmocka_unit_test(a_path_outside_of_the_roots_is_named_in_strict),
        cmocka_unit_test(an_unknown_user_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
