/*
 * main.c - sluice-tensorflow-host: opens TensorFlow once, forks a child for each loaded version
 *
 *     sluice-tensorflow-host LIBRARY [CUSTOM_OP_LIBRARY...]
 *
 * Started by the server with its socket as descriptor 3. The one rule of this process: it never has
 * a second thread, since a forked child has only the thread that forked it, and a lock that another
 * one held stays locked for good. TensorFlow starts no thread when it is opened, but does as soon
 * as it is asked for more; so even the questions that the host itself has (which GraphDef version,
 * which ops) are put by a child that only answers them.
 */
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/host/autogroup.h"
#include "engine/tensorflow/host/child.h"
#include "engine/tensorflow/host/listing.h"
#include "engine/tensorflow/host/sandbox.h"
#include "engine/tensorflow/host/share.h"
#include "engine/tensorflow/host/tell.h"
#include "engine/tensorflow/ipc.h"

#ifdef __SANITIZE_THREAD__
/* TensorFlow's library is not instrumented: of its own locks the sanitizer sees nothing. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:libtensorflow\nmutex:libtensorflow\nthread:libtensorflow\nsignal:libtensorflow\n"
           "deadlock:libtensorflow\n";
}
#endif

typedef struct entry {
    pid_t pid;
    uint64_t session;
    tf_share share;
    uint64_t kill_due_ns; /* 0: it is to live */
    uint64_t reap_due_ns; /* 0: it lives */
} entry;

static const uint64_t SECOND_NS = 1000000000u, REAP_AFTER_NS = 20000000u;

static entry *entries;
static size_t n_entries, cap_entries;
static sigset_t inherited_mask;

static void tell(sl_tf_kind kind, uint64_t session, uint64_t value, const char *text)
{
    sl_tf_msg m = {.kind = kind, .session = session, .value = value, .protocol = SL_TF_PROTOCOL};
    sl_tf_msg_text(&m, text);
    tf_tell(SL_TF_CONTROL_FD, &m);
}

_Noreturn static void give_up(sl_code code, const char *text)
{
    sl_tf_msg m = {.kind = SL_TF_BROKEN, .code = (uint32_t)code, .protocol = SL_TF_PROTOCOL};
    sl_tf_msg_text(&m, text);
    tf_tell(SL_TF_CONTROL_FD, &m);
    _exit(1);
}

static int count_threads(void)
{
    DIR *d = opendir("/proc/self/task");
    int n = 0;
    if (d == NULL)
        return 1;
    for (struct dirent *e; (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void open_everything(int n, char **libraries)
{
    sl_status st;
    if (tf_open(libraries[0], &st))
        give_up(st.code, st.msg);
    for (int i = 1; i < n; i++) {
        TF_Status *ts = TF.NewStatus();
        TF.LoadLibrary(libraries[i], ts);
        if (TF.GetCode(ts) != SL_OK) {
            char text[SL_TF_TEXT];
            snprintf(text, sizeof text, "cannot load the custom op library \"%s\": %s",
                     libraries[i], TF.Message(ts));
            give_up(SL_FAILED_PRECONDITION, text);
        }
        TF.DeleteStatus(ts);
    }
    int threads = count_threads();
    if (threads > 1)
        fprintf(stderr,
                "opening TensorFlow or a custom op library started %d threads: models may hang "
                "while they load, since a forked process does not have them\n",
                threads - 1);
}

static void answer_ops(uint64_t question, uint64_t bytes, uint64_t version)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", (unsigned long long)version);
    tell(SL_TF_OPS, question, bytes, text);
}

/* ---- what the server asks for ---- */

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

static void lower_share(uint64_t session, bool lower)
{
    for (size_t i = 0; i < n_entries; i++)
        if (entries[i].session == session)
            tf_share_lower(&entries[i].share, entries[i].pid, lower, sl_now_ns());
}

/* Before there is a child to remember. */
static bool make_room(void)
{
    entry *more = sl_try_grow(entries, n_entries, &cap_entries, sizeof *entries);
    if (more != NULL)
        entries = more;
    return more != NULL;
}

_Noreturn static void be_child(const int *fds, pid_t host, bool gently, const int go[2])
{
    char none;
    close(go[1]);
    while (read(go[0], &none, 1) < 0) /* until the host has opened it, and closes */
        continue;
    tf_share_begin(gently);
    tf_let_look(false);
    close(go[0]);
    sigprocmask(SIG_SETMASK, &inherited_mask, NULL);
    tf_child_main(fds, host, gently);
}

static void refuse(uint64_t session, int *fds, int n, const char *why)
{
    close_all(fds, n);
    tell(SL_TF_REFUSED, session, 0, why);
}

static void fork_version(const sl_tf_msg *m, int *fds, int n)
{
    pid_t host = getpid(), pid = -1;
    int go[2] = {-1, -1}, autogroup = 0;
    bool gently = m->value == 0;
    if (n != 4) {
        refuse(m->session, fds, n, "the load message has not come whole");
        return;
    }
    if (!make_room()) {
        refuse(m->session, fds, n, strerror(ENOMEM));
        return;
    }
    errno = EAGAIN;
    if (!sl_fault_hit(SL_FAULT_THREAD) && pipe2(go, O_CLOEXEC) == 0) {
        tf_let_look(true); /* also into the child, until its file is open */
        pid = fork();
    }
    if (pid == 0)
        be_child(fds, host, gently, go);
    int e = errno;
    if (pid > 0)
        autogroup = tf_autogroup_open(pid);
    tf_let_look(false);
    if (go[0] >= 0)
        close_all(go, 2);
    if (pid < 0) {
        refuse(m->session, fds, n, strerror(e));
        return;
    }
    close_all(fds, n);
    entries[n_entries++] = (entry){.pid = pid, .session = m->session, .share.autogroup = autogroup};
    if (gently)
        lower_share(m->session, true);
    tell(SL_TF_FORKED, m->session, (uint64_t)pid, "");
}

static void ask_library(const sl_tf_msg *m, const int *fds, int n)
{
    if (n == 1)
        tf_listing_ask(m->session, fds[0]);
    else
        close_all(fds, n);
}

/* Giving much memory back is work, for which it gets the smallest share, whoever does it: the
 * process itself (child.c, END) or the kernel. */
static void kill_session(uint64_t session, uint64_t patience_ns)
{
    uint64_t now = sl_now_ns();
    for (size_t i = 0; i < n_entries; i++)
        if (entries[i].session == session) {
            tf_share_end(&entries[i].share, entries[i].pid, now);
            entries[i].kill_due_ns = now + SL_MIN(patience_ns, 60 * SECOND_NS);
        }
}

/* True: it is gone, and its place taken by the last one. */
static bool bury(entry *e)
{
    int status;
    if (waitpid(e->pid, &status, WNOHANG) != e->pid)
        return false;
    tell(SL_TF_ENDED, e->session, (uint64_t)status, "");
    if (e->share.autogroup != 0)
        close(e->share.autogroup);
    *e = entries[--n_entries];
    return true;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == pid;
}

/*
 * One that was to end has the smallest share, and its last thread may not be done with it when this
 * process hears of it: both then clear what /proc has of it, and this one would turn round and
 * round, at full share, until the other has gone on (Linux, shrink_dcache_parent; up to 30 ms). So
 * it is left alone for a while.
 */
static void reap(int signals)
{
    struct signalfd_siginfo info;
    while (!sl_fault_hit(SL_FAULT_READ) && read(signals, &info, sizeof info) > 0)
        continue; /* what is left in it is read when poll() says so */
    tf_listing_reap();
    for (size_t i = 0; i < n_entries;) {
        entry *e = &entries[i];
        if (e->kill_due_ns == 0 && bury(e))
            continue;
        if (e->kill_due_ns != 0 && e->reap_due_ns == 0 && has_ended(e->pid))
            e->reap_due_ns = sl_now_ns() + REAP_AFTER_NS;
        i++;
    }
}

/* Does what is due with it; when there is more. */
static uint64_t keep_end(const entry *e, uint64_t now)
{
    if (e->reap_due_ns != 0)
        return e->reap_due_ns;
    if (e->kill_due_ns == 0)
        return UINT64_MAX;
    if (now < e->kill_due_ns)
        return e->kill_due_ns;
    kill(e->pid, SIGKILL); /* not reaped yet, so the number is still its own */
    return now + SECOND_NS;
}

/* How long until something is due: for ppoll(). */
static struct timespec *keep_all(struct timespec *wait)
{
    uint64_t now = sl_now_ns(), next = tf_listing_keep(now);
    for (size_t i = 0; i < n_entries;) {
        entry *e = &entries[i];
        if (e->reap_due_ns != 0 && now >= e->reap_due_ns && bury(e))
            continue;
        next = SL_MIN(next, keep_end(e, now));
        if (e->reap_due_ns == 0)
            next = SL_MIN(next, tf_share_keep(&e->share, e->pid, now));
        i++;
    }
    if (next == UINT64_MAX)
        return NULL;
    *wait = (struct timespec){.tv_nsec = next > now ? (long)SL_MIN(next - now, 999999999u) : 0};
    return wait;
}

static bool handle_message(void)
{
    sl_tf_msg m;
    int fds[SL_TF_MAX_FDS], n = 0;
    int got = sl_tf_receive(SL_TF_CONTROL_FD, &m, fds, SL_TF_MAX_FDS, &n);
    if (got <= 0)
        return got < 0;
    if (m.kind == SL_TF_LOAD)
        fork_version(&m, fds, n);
    else if (m.kind == SL_TF_OPS)
        ask_library(&m, fds, n);
    else if (m.kind == SL_TF_KILL)
        kill_session(m.session, m.value);
    else if (m.kind == SL_TF_SERVE)
        lower_share(m.session, false);
    return true;
}

static int watch_children(void)
{
    sigset_t set;
    sigaction(SIGCHLD, &(struct sigaction){.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDSTOP}, NULL);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, &inherited_mask);
    sigdelset(&inherited_mask, SIGCHLD);
    int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (fd < 0) /* no child's end would ever be heard of */
        give_up(SL_RESOURCE_EXHAUSTED, "the TensorFlow host cannot make a signalfd");
    return fd;
}

/* A process that it forks begins with what the kernel owes to the sessions that are awake, of which this is one:
 * the less its weight the less that is. At full weight a new process had the processor for one or two milliseconds
 * before it let go of it for the first time. */
static void take_little(void)
{
    enum { NICE = 10 };
    tf_autogroup_own(NICE);
    sl_thread_short_turns(0, SCHED_OTHER); /* inherited */
}

static void settle_down(void)
{
    prctl(PR_SET_NAME, "tensorflow-host");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    take_little();
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    /* ^C and service managers signal all processes at once; the server decides when models end. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    tf_close_others((int[]){SL_TF_CONTROL_FD}, 1);
    fcntl(SL_TF_CONTROL_FD, F_SETFD, FD_CLOEXEC);
}

int main(int argc, char **argv)
{
    struct stat s;
    if (argc < 2 || fstat(SL_TF_CONTROL_FD, &s) != 0 || !S_ISSOCK(s.st_mode)) {
        fprintf(stderr, "sluice-tensorflow-host is started by sluice, not by hand\n");
        return 2;
    }
    sl_fault_listen("SLUICE_FAULT_HOST");
    settle_down();
    int signals = watch_children();
    open_everything(argc - 1, argv + 1);
    tf_listing_begin(answer_ops);
    tell(SL_TF_HELLO, 0, 0, TF.Version());
    struct pollfd p[2] = {{.fd = SL_TF_CONTROL_FD, .events = POLLIN},
                          {.fd = signals, .events = POLLIN}};
    /* The end of the socket is the end of the server: the children go with this process. */
    for (bool open = true; open;) {
        struct timespec wait;
        if (ppoll(p, 2, keep_all(&wait), NULL) < 0)
            continue;
        if (p[1].revents)
            reap(signals);
        if (p[0].revents)
            open = handle_message();
    }
    return 0;
}
