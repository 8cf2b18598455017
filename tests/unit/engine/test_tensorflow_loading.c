/* host/share.c, autogroup.c, turns.c, read.c and give_back.c: what keeps a process that loads, or ends, from
 * taking the processors. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
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
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/tensorflow/host/autogroup.h"
#include "engine/tensorflow/host/give_back.h"
#include "engine/tensorflow/host/share.h"
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
static void until_share_is_done(tf_share *s, pid_t pid)
{
    for (uint64_t now = 0; !s->done; now += 20 * MS) {
        tf_share_keep(s, pid, now);
        usleep(1000);
    }
}

enum { LOADING = 19 };

static void who_loads_has_a_small_share_until_it_serves(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_share s = {.autogroup = tf_autogroup_open(pid)};
    bool there = share_of(pid) == 0;
    assert_int_equal(s.autogroup != 0, there);
    tf_share_lower(&s, pid, true, 0);
    if (there)
        until_share_is_done(&s, pid);
    assert_int_equal(share_of(pid), there ? LOADING : -1);
    tf_share_lower(&s, pid, false, 0);
    if (there)
        until_share_is_done(&s, pid);
    assert_int_equal(share_of(pid), there ? 0 : -1);
    assert_true(tf_share_keep(&s, pid, 0) == UINT64_MAX);
    end_worker(pid);
    if (there)
        close(s.autogroup);
}

/* Where requests leave nothing, a load has to come to an end, too. */
static void who_loads_for_long_gets_more(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_share s = {.autogroup = tf_autogroup_open(pid)};
    if (s.autogroup != 0) {
        tf_share_lower(&s, pid, true, 0);
        until_share_is_done(&s, pid);
        assert_int_equal(share_of(pid), LOADING);
        uint64_t due = tf_share_keep(&s, pid, MS);
        assert_true(due > MS && due < UINT64_MAX);
        while (tf_share_keep(&s, pid, due) != UINT64_MAX)
            due += 20 * MS;
        assert_int_equal(share_of(pid), 10);
        close(s.autogroup);
    }
    end_worker(pid);
}

static void who_is_to_end_has_the_smallest_share_for_good(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_share s = {.autogroup = tf_autogroup_open(pid)};
    bool there = s.autogroup != 0;
    tf_share_end(&s, pid, 0);
    if (there)
        until_share_is_done(&s, pid);
    tf_share_lower(&s, pid, false, 0);
    assert_true(tf_share_keep(&s, pid, 1000 * MS) == UINT64_MAX);
    assert_int_equal(share_of(pid), there ? TF_NICEST : -1);
    end_worker(pid);
    if (there)
        close(s.autogroup);
}

/* It lowers itself, and may be done with loading before who raises it had its turn. */
static void who_has_lowered_itself_is_raised(void **state)
{
    (void)state;
    pid_t pid = start_leader();
    tf_share s = {.autogroup = tf_autogroup_open(pid)};
    if (s.autogroup != 0) {
        while (tf_autogroup_nice(s.autogroup, pid, LOADING) == EAGAIN)
            usleep(1000);
        tf_share_lower(&s, pid, false, 0);
        until_share_is_done(&s, pid);
        assert_int_equal(share_of(pid), 0);
        close(s.autogroup);
    }
    end_worker(pid);
}

static void the_share_of_a_session_is_its_leaders(void **state)
{
    (void)state;
    pid_t pid = start_worker();
    tf_share s = {.autogroup = tf_autogroup_open(pid)};
    if (s.autogroup != 0) {
        assert_int_equal(tf_autogroup_nice(s.autogroup, pid, 0), EAGAIN);
        tf_share_lower(&s, pid, true, 0);
        assert_false(s.done);
        assert_true(s.due_ns > 0 && tf_share_keep(&s, pid, 0) == s.due_ns);
        close(s.autogroup);
    }
    end_worker(pid);
    assert_int_equal(tf_autogroup_open(pid), 0); /* there is no such process */
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

static int begin_a_session(void)
{
    bool there = share_of(getpid()) >= 0;
    tf_share_begin(true); /* with privileges at once; without, it may be too soon after the test before */
    return getsid(0) == getpid() && (!there || geteuid() != 0 || share_of(getpid()) == LOADING) ? 0
                                                                                                : 1;
}

static void a_session_begins_with_the_share_of_one_that_loads(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(begin_a_session), 0);
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

/* ---- turns: that a thread is interrupted shows in its sleep, which ends early ---- */

static bool is_interrupted(void)
{
    struct timespec t = {.tv_sec = 2};
    return nanosleep(&t, NULL) != 0 && errno == EINTR;
}

static bool sleeps_well(void)
{
    struct timespec t = {.tv_nsec = 20 * MS};
    return nanosleep(&t, NULL) == 0;
}

/* What was sent last may come yet, and it takes as long as it takes to be seen as idle. */
static bool sleeps_soon(void)
{
    time_t until = time(NULL) + 60;
    while (!sleeps_well())
        if (time(NULL) > until)
            return false;
    return true;
}

static int take_turns(void)
{
    tf_turns_wait(); /* nothing yet */
    if (tf_turns_begin() < 0 || !is_interrupted() || !is_interrupted())
        return 1;
    tf_turns_wait();
    tf_turns_wait();
    if (!sleeps_soon())
        return 2;
    tf_turns_work();
    if (!is_interrupted())
        return 3;
    tf_turns_end();
    if (!sleeps_soon())
        return 4;
    tf_turns_work();
    tf_turns_join();
    return sleeps_well() ? 0 : 5;
}

static void who_works_is_interrupted_until_clients_wait(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(take_turns), 0);
}

static _Atomic int phase;

static void *works_then_sleeps(void *arg)
{
    struct timespec moment = {.tv_nsec = 3 * MS};
    (void)arg;
    do
        for (volatile unsigned i = 0; i < 3000000; i++)
            continue;
    while (nanosleep(&moment, NULL) == 0); /* until somebody has seen that it works */
    phase = sleeps_soon() ? 1 : -1;        /* and has nothing to do any more */
    return NULL;
}

static void *joins_then_sleeps(void *arg)
{
    (void)arg;
    tf_turns_join();
    phase = is_interrupted() && sleeps_soon() ? 1 : -1;
    return NULL;
}

static int others(void *(*what)(void *))
{
    pthread_t thread;
    if (tf_turns_begin() < 0 || pthread_create(&thread, NULL, what, NULL) != 0)
        return 1;
    while (phase == 0)
        is_interrupted();
    tf_turns_end();
    pthread_join(thread, NULL);
    return phase == 1 ? 0 : 2;
}

static int one_that_works(void)
{
    return others(works_then_sleeps);
}

static int one_that_joins(void)
{
    return others(joins_then_sleeps);
}

static void other_threads_are_interrupted_while_they_work(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(one_that_works), 0);
    assert_int_equal(in_another_process(one_that_joins), 0);
}

static void *joins(void *arg)
{
    tf_turns_join();
    return arg;
}

/* More threads than there are places, one after the other: all of them come to an end. */
static int many_threads(void)
{
    if (tf_turns_begin() < 0)
        return 1;
    for (int i = 0; i < 100; i++) {
        pthread_t thread;
        if (pthread_create(&thread, NULL, joins, NULL) != 0)
            return 2;
        pthread_join(thread, NULL);
    }
    return is_interrupted() ? 0 : 3;
}

static void more_threads_than_places_do_no_harm(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(many_threads), 0);
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
static int give_all_back(bool gently)
{
    unsigned char *large = memory(LARGE, MAP_PRIVATE), *shared = memory(LARGE, MAP_SHARED);
    unsigned char *gap = memory(SMALL, MAP_PRIVATE);
    mprotect(gap, 4096, PROT_NONE); /* keeps the kernel from joining it with a neighbour */
    mprotect(gap + SMALL - 4096, 4096, PROT_NONE);
    int maps = open("/proc/self/maps", O_RDONLY);
    size_t done = tf_give_back(maps, gently);
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

static int give_all_back_at_once(void)
{
    return give_all_back(false);
}

static int give_all_back_gently(void)
{
    return give_all_back(true);
}

static void large_memory_goes_back_and_the_rest_stays(void **state)
{
    (void)state;
    assert_int_equal(in_another_process(give_all_back_at_once), 0);
    assert_int_equal(in_another_process(give_all_back_gently), 0);
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
    return tf_give_back(fd, false) == 0 && tf_give_back(-1, true) == 0 ? 0 : 1;
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
    assert_int_equal(pread(-1, (void *)4096, LARGE, 0), -1);
    assert_int_equal(errno, EBADF);
    int fd = memfd_create("x", 0);
    assert_int_equal(pread(fd, &c, 1, -1), -1);
    assert_int_equal(errno, EINVAL);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_loads_has_a_small_share_until_it_serves),
        cmocka_unit_test(who_loads_for_long_gets_more),
        cmocka_unit_test(who_is_to_end_has_the_smallest_share_for_good),
        cmocka_unit_test(who_has_lowered_itself_is_raised),
        cmocka_unit_test(the_share_of_a_session_is_its_leaders),
        cmocka_unit_test(a_session_begins_with_the_share_of_one_that_loads),
        cmocka_unit_test(giving_way_is_having_the_smallest_share),
        cmocka_unit_test(who_works_is_interrupted_until_clients_wait),
        cmocka_unit_test(other_threads_are_interrupted_while_they_work),
        cmocka_unit_test(more_threads_than_places_do_no_harm),
        cmocka_unit_test(large_memory_goes_back_and_the_rest_stays),
        cmocka_unit_test(what_is_no_list_of_memory_is_passed_over),
        cmocka_unit_test(reading_in_pieces_is_reading),
        cmocka_unit_test(what_cannot_be_read_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
