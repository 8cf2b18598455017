/* host/pace.c, autogroup.c, turns.c, read.c and give_back.c: what keeps a process that loads, or ends, from
 * taking the processors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/tensorflow/host/autogroup.h"
#include "engine/tensorflow/host/give_back.h"
#include "engine/tensorflow/host/pace.h"
#include "engine/tensorflow/host/turns.h"

enum { MS = 1000000 };

static pid_t start_worker(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        for (volatile unsigned n = 0;; n++)
            continue;
    }
    assert_true(pid > 0);
    return pid;
}

static void end_worker(pid_t pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* Waits until the system says so, which takes as long as it takes. */
static void becomes_stopped(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static void goes_on(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, WCONTINUED), pid);
    assert_true(WIFCONTINUED(status));
}

/* Lets it work until its turn is over; then it is `now` there. */
static uint64_t until_stopped(tf_pace *p, pid_t pid, uint64_t now)
{
    for (uint64_t next = now; !p->stopped; next = tf_pace_keep(p, pid, now))
        now = next;
    becomes_stopped(pid);
    return now;
}

static void who_has_no_pace_runs_freely(void **state)
{
    (void)state;
    tf_pace p = {0};
    assert_true(tf_pace_keep(&p, getpid(), 5) == UINT64_MAX);
}

static void it_works_for_a_turn_and_rests_in_proportion(void **state)
{
    (void)state;
    pid_t pid = start_worker();
    tf_pace p = {0};
    tf_pace_set(&p, pid, 10 * MS, 1000 * MS);
    assert_false(p.stopped);
    uint64_t now = until_stopped(&p, pid, 1000 * MS);
    assert_true(now > 1000 * MS);
    uint64_t rest = p.due_ns - now;
    assert_true(rest >= 2 * MS && rest <= 200 * MS); /* it has worked half a turn, or more */
    assert_true(tf_pace_keep(&p, pid, p.due_ns - 1) == p.due_ns && p.stopped);
    assert_true(tf_pace_keep(&p, pid, p.due_ns) > p.due_ns - MS && !p.stopped);
    goes_on(pid);
    until_stopped(&p, pid, p.due_ns);
    end_worker(pid);
}

static void who_may_run_freely_again_goes_on_at_once(void **state)
{
    (void)state;
    pid_t pid = start_worker();
    tf_pace p = {0};
    tf_pace_set(&p, pid, 10 * MS, 0);
    uint64_t now = until_stopped(&p, pid, 0);
    tf_pace_set(&p, pid, 0, now);
    goes_on(pid);
    assert_false(p.stopped);
    assert_true(tf_pace_keep(&p, pid, now + 1000 * MS) == UINT64_MAX);
    end_worker(pid);
}

static void another_pace_does_not_end_the_rest(void **state)
{
    (void)state;
    pid_t pid = start_worker();
    tf_pace p = {0};
    tf_pace_set(&p, pid, 10 * MS, 0);
    uint64_t now = until_stopped(&p, pid, 0), due = p.due_ns;
    tf_pace_set(&p, pid, 2 * MS, now);
    assert_true(p.stopped && p.due_ns == due);
    end_worker(pid); /* stopped as it is */
}

static void who_does_not_work_is_not_stopped(void **state)
{
    (void)state;
    int ends[2];
    char c = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (write(ends[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &c, 1), 1); /* what it took to begin does not count */
    tf_pace p = {0};
    tf_pace_set(&p, pid, 10 * MS, 0);
    for (uint64_t now = 0, i = 0; i < 1000; i++) {
        now = tf_pace_keep(&p, pid, now);
        assert_false(p.stopped);
    }
    end_worker(pid);
    close(ends[0]);
    close(ends[1]);
}

static void a_process_that_has_ended_does_no_harm(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    tf_pace p = {0};
    tf_pace_set(&p, pid, 10 * MS, 0);
    for (uint64_t now = 0, i = 0; i < 100; i++)
        now = tf_pace_keep(&p, pid, now);
    tf_pace_set(&p, pid, 0, 0);
    end_worker(pid);
}

/* ---- the share of its session ---- */

/* As the kernel tells it: "/autogroup-7 nice 19". -1: there are no autogroups here. */
static int share_of(pid_t pid)
{
    char path[64];
    int nice = -1;
    snprintf(path, sizeof path, "/proc/%d/autogroup", (int)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return -1;
    if (fscanf(f, "%*s nice %d", &nice) != 1)
        nice = -1;
    fclose(f);
    return nice;
}

/* One that leads a session. */
static pid_t start_leader(void)
{
    int ends[2];
    char c = 0;
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid();
        if (write(ends[1], &c, 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ends[0], &c, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return pid;
}

/* The kernel lets who has no privileges change one every tenth of a second: so it may take some
 * turns. */
static void until_share_is(tf_pace *p, pid_t pid, bool lowered)
{
    for (uint64_t now = 0; p->lowered != lowered; now += 20 * MS) {
        tf_pace_keep(p, pid, now);
        usleep(1000);
    }
}

static void who_has_a_pace_has_the_smallest_share_until_it_is_free_again(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_pace p = {.autogroup = tf_autogroup_open(pid)};
    bool there = share_of(pid) == 0;
    assert_int_equal(p.autogroup != 0, there);
    tf_pace_set(&p, pid, 10 * MS, 0);
    if (there)
        until_share_is(&p, pid, true);
    assert_int_equal(share_of(pid), there ? TF_NICEST : -1);
    tf_pace_set(&p, pid, 0, 0);
    until_share_is(&p, pid, false);
    assert_int_equal(share_of(pid), there ? 0 : -1);
    assert_true(tf_pace_keep(&p, pid, 0) == UINT64_MAX);
    end_worker(pid);
    if (there)
        close(p.autogroup);
}

static void who_is_to_end_has_the_smallest_share_and_is_not_stopped(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_pace p = {.autogroup = tf_autogroup_open(pid)};
    bool there = p.autogroup != 0;
    tf_pace_set(&p, pid, 10 * MS, 0);
    kill(pid, SIGSTOP);
    becomes_stopped(pid);
    p.stopped = true;
    tf_pace_end(&p, pid, 0);
    goes_on(pid);
    if (there)
        until_share_is(&p, pid, true);
    tf_pace_set(&p, pid, 10 * MS, 0); /* nobody paces it any more */
    assert_true(p.rest_ns == 0 && tf_pace_keep(&p, pid, 1000 * MS) == UINT64_MAX);
    assert_int_equal(share_of(pid), there ? TF_NICEST : -1);
    end_worker(pid);
    if (there)
        close(p.autogroup);
}

static void the_share_of_a_session_is_its_leaders(void **state)
{
    (void)state;
    pid_t pid = start_worker();
    tf_pace p = {.autogroup = tf_autogroup_open(pid)};
    if (p.autogroup != 0) {
        assert_int_equal(tf_autogroup_nice(p.autogroup, pid, 0), EAGAIN);
        tf_pace_set(&p, pid, 10 * MS, 0);
        assert_false(p.lowered);
        assert_true(p.share_due_ns > 0 && tf_pace_keep(&p, pid, 0) <= p.share_due_ns);
        close(p.autogroup);
    }
    end_worker(pid);
    assert_int_equal(tf_autogroup_open(pid), 0); /* there is no such process */
}

static void giving_way_is_having_the_smallest_share(void **state)
{
    (void)state;
    bool there = share_of(getpid()) >= 0;
    pid_t pid = fork();
    if (pid == 0) {
        tf_give_way(); /* with privileges at once; without, it may be too soon after the test before */
        _exit(getsid(0) == getpid() && nice(0) == TF_NICEST &&
                      (!there || geteuid() != 0 || share_of(getpid()) == TF_NICEST)
                  ? 0
                  : 1);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* ---- turns ---- */

typedef struct waiting {
    int ends[2];
    _Atomic pid_t tid;
} waiting;

static void *waits(void *arg)
{
    waiting *w = arg;
    char c;
    w->tid = gettid();
    return read(w->ends[0], &c, 1) < 0 ? w : NULL;
}

/* In a process of its own, whose threads are few. */
static int change_turns(void)
{
    waiting w = {.tid = 0};
    pthread_t thread;
    tf_turns_short();
    if (sched_getscheduler(0) != SCHED_BATCH || pipe(w.ends) != 0 ||
        pthread_create(&thread, NULL, waits, &w) != 0)
        return 1;
    while (w.tid == 0)
        usleep(100);
    if (sched_getscheduler(w.tid) != SCHED_BATCH)
        return 2;
    tf_turns_prompt();
    if (sched_getscheduler(w.tid) != SCHED_OTHER || sched_getscheduler(0) != SCHED_OTHER)
        return 3;
    close(w.ends[1]);
    pthread_join(thread, NULL);
    return 0;
}

static int in_another_process(int (*what)(void))
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        _exit(what());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void short_turns_are_inherited_and_taken_back_from_all(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(change_turns), 0);
}

/* ---- give_back.c ---- */

enum { LARGE = 40 << 20, SMALL = 1 << 20 };

static unsigned char *memory(size_t n, int flags)
{
    unsigned char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        _exit(10);
    memset(p, 7, n);
    return p;
}

static size_t pages_held(void *p, size_t n)
{
    static unsigned char held[LARGE / 4096];
    size_t sum = 0;
    if (mincore(p, n, held) != 0)
        _exit(11);
    for (size_t i = 0; i < n / 4096; i++)
        sum += held[i] & 1;
    return sum;
}

/* What it gives back and what it leaves; the process can do little else afterwards. */
static int give_all_back(void)
{
    unsigned char *large = memory(LARGE, MAP_PRIVATE), *shared = memory(LARGE, MAP_SHARED);
    unsigned char *gap = memory(SMALL, MAP_PRIVATE);
    mprotect(gap, 4096, PROT_NONE); /* keeps the kernel from joining it with a neighbour */
    mprotect(gap + SMALL - 4096, 4096, PROT_NONE);
    int maps = open("/proc/self/maps", O_RDONLY);
    size_t done = tf_give_back(maps);
#ifdef __SANITIZE_THREAD__
    return done == 0 ? 0 : 1; /* it leaves everything as it is there */
#endif
    if (done < LARGE - (4 << 20)) /* a stack may be near its end */
        return 1;
    if (pages_held(large, LARGE) > (4 << 20) / 4096)
        return 2;
    if (pages_held(shared, LARGE) != LARGE / 4096 || shared[LARGE / 2] != 7)
        return 3;
    return gap[SMALL / 2] == 7 ? 0 : 4;
}

static void large_memory_goes_back_and_the_rest_stays(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(give_all_back), 0);
}

/* A file that only looks like maps. */
static int give_back_nonsense(void)
{
    int fd = memfd_create("maps", 0);
    static char line[20000];
    memset(line, 'x', sizeof line - 1);
    line[sizeof line - 2] = '\n';
    dprintf(fd, "\n-\nffff\n10-5 rw-p 0 0:0 0\n10-20 rw\n10-20\n%s", line);
    dprintf(fd, "0-ffffffffffffffff rw-p 00000000 00:00 0\n7000-8000 rw-p 00000000 00:00 0 [heap]");
    lseek(fd, 0, SEEK_SET);
    return tf_give_back(fd) == 0 && tf_give_back(-1) == 0 ? 0 : 1;
}

static void what_is_no_list_of_memory_is_passed_over(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(give_back_nonsense), 0);
}

/* ---- read.c, which this program has in place of the C library's ---- */

static void reading_in_pieces_is_reading(void **state)
{
    (void)state;
    const size_t size = 9000000; /* enough for large pages */
    char *in = malloc(size), *out = malloc(size + 10);
    int fd = memfd_create("x", 0);
    assert_true(in != NULL && out != NULL && fd >= 0);
    for (size_t i = 0; i < size; i++)
        in[i] = (char)(i * 7 + i / 256);
    assert_int_equal(write(fd, in, size), size);

    assert_int_equal(pread(fd, out, size, 0), size);
    assert_memory_equal(in, out, size);
    memset(out, 0, size);
    assert_int_equal(pread64(fd, out, size + 10, 5), size - 5);
    assert_memory_equal(in + 5, out, size - 5);
    assert_int_equal(pread(fd, out, 10, (off_t)size), 0);
    assert_int_equal(pread(fd, out, 0, 0), 0);
    close(fd);
    free(in);
    free(out);
}

static void what_cannot_be_read_says_why(void **state)
{
    (void)state;
    char c;
    errno = 0;
    assert_int_equal(pread(-1, &c, 1, 0), -1);
    assert_int_equal(errno, EBADF);
    assert_int_equal(pread(-1, (void *)4096, LARGE, 0), -1); /* no place for large pages, either */
    assert_int_equal(errno, EBADF);
    int fd = memfd_create("x", 0);
    assert_int_equal(pread(fd, &c, 1, -1), -1);
    assert_int_equal(errno, EINVAL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_has_no_pace_runs_freely),
        cmocka_unit_test(it_works_for_a_turn_and_rests_in_proportion),
        cmocka_unit_test(who_may_run_freely_again_goes_on_at_once),
        cmocka_unit_test(another_pace_does_not_end_the_rest),
        cmocka_unit_test(who_does_not_work_is_not_stopped),
        cmocka_unit_test(a_process_that_has_ended_does_no_harm),
        cmocka_unit_test(who_has_a_pace_has_the_smallest_share_until_it_is_free_again),
        cmocka_unit_test(who_is_to_end_has_the_smallest_share_and_is_not_stopped),
        cmocka_unit_test(the_share_of_a_session_is_its_leaders),
        cmocka_unit_test(giving_way_is_having_the_smallest_share),
        cmocka_unit_test(short_turns_are_inherited_and_taken_back_from_all),
        cmocka_unit_test(large_memory_goes_back_and_the_rest_stays),
        cmocka_unit_test(what_is_no_list_of_memory_is_passed_over),
        cmocka_unit_test(reading_in_pieces_is_reading),
        cmocka_unit_test(what_cannot_be_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
