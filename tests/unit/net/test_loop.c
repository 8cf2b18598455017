/* test_loop.c - posts, watches and timers of a loop, under a clock that the test moves */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "net/io.h"
#include "net/listener.h"
#include "net/loop.h"
#include "net/wheel.h"
#include "support/calls.h"

#define MS 1000000ull
#define START (1000000 * MS)

static int set_up(void **state)
{
    sl_loop *l;
    sl_clock_fake(START);
    if (sl_loop_new(&l, NULL) != SL_OK)
        return -1;
    *state = l;
    return 0;
}

static int tear_down(void **state)
{
    sl_loop_free(*state);
    sl_clock_fake(0);
    return 0;
}

/* ---- posts ---- */

typedef struct note {
    sl_post post;
    int value;
    int *log, *n;
} note;

static void write_down(void *arg)
{
    note *x = arg;
    x->log[(*x->n)++] = x->value;
}

static void posts_run_in_the_order_of_posting(void **state)
{
    int log[5], n = 0;
    note notes[5];
    for (int i = 0; i < 5; i++) {
        notes[i] = (note){.value = i, .log = log, .n = &n};
        sl_loop_post(*state, &notes[i].post, write_down, &notes[i]);
    }
    assert_int_equal(n, 0);
    sl_loop_turn(*state, false);
    assert_int_equal(n, 5);
    for (int i = 0; i < 5; i++)
        assert_int_equal(log[i], i);
}

typedef struct again {
    sl_post post;
    sl_loop *loop;
    int left;
} again;

static void post_again(void *arg)
{
    again *a = arg;
    if (--a->left > 0)
        sl_loop_post(a->loop, &a->post, post_again, a);
}

static void a_post_may_post_itself_again(void **state)
{
    again a = {.loop = *state, .left = 3};
    sl_loop_post(*state, &a.post, post_again, &a);
    sl_loop_turn(*state, false);
    assert_int_equal(a.left, 2); /* one round each: nobody starves */
    sl_loop_turn(*state, true);
    sl_loop_turn(*state, true);
    assert_int_equal(a.left, 0);
}

static void stop_ends_a_loop_after_what_was_posted(void **state)
{
    int log[1], n = 0;
    note x = {.value = 7, .log = log, .n = &n};
    sl_loop_post(*state, &x.post, write_down, &x);
    sl_loop_stop(*state);
    sl_loop_stop(*state);
    sl_loop_run(*state);
    assert_int_equal(n, 1);
}

typedef struct ball {
    sl_post post;
    sl_loop *here, *there;
    int left, astray;
} ball;

static void throw_back(void *arg)
{
    ball *b = arg;
    sl_loop *from = b->here;
    b->astray += !sl_loop_is_mine(from);
    if (--b->left == 0) {
        sl_loop_stop(b->there);
        sl_loop_stop(from);
        return;
    }
    b->here = b->there;
    b->there = from;
    sl_loop_post(b->here, &b->post, throw_back, b);
}

static void two_loops_throw_a_ball_and_lose_no_wake_up(void **state)
{
    (void)state;
    sl_loop *a, *b;
    assert_int_equal(sl_loop_new(&a, NULL), SL_OK);
    assert_int_equal(sl_loop_new(&b, NULL), SL_OK);
    ball x = {.here = a, .there = b, .left = 20000};
    assert_int_equal(sl_loop_start(b, "other", NULL), SL_OK);
    sl_loop_post(a, &x.post, throw_back, &x);
    sl_loop_run(a);
    sl_loop_stop(b);
    assert_int_equal(x.left, 0);
    assert_int_equal(x.astray, 0);
    sl_loop_free(a);
    sl_loop_free(b);
}

enum { THROWERS = 4, THROWS = 5000 };
typedef struct thrower {
    sl_loop *loop;
    note notes[THROWS];
    int last, *seen;
    bool *ordered;
} thrower;

typedef struct count {
    int seen;
    bool ordered;
} count;

static void see(void *arg)
{
    note *x = arg;
    thrower *t = (thrower *)x->log;
    *t->ordered &= x->value == t->last + 1;
    t->last = x->value;
    if (++*t->seen == THROWERS * THROWS)
        sl_loop_stop(t->loop);
}

static void *throw_all(void *arg)
{
    thrower *t = arg;
    for (int i = 0; i < THROWS; i++) {
        t->notes[i] = (note){.value = i + 1, .log = (int *)t};
        sl_loop_post(t->loop, &t->notes[i].post, see, &t->notes[i]);
    }
    return NULL;
}

static void many_threads_post_and_each_one_keeps_its_order(void **state)
{
    count c = {.ordered = true};
    pthread_t threads[THROWERS];
    thrower *throwers = calloc(THROWERS, sizeof *throwers);
    for (int i = 0; i < THROWERS; i++) {
        throwers[i].loop = *state;
        throwers[i].seen = &c.seen;
        throwers[i].ordered = &c.ordered;
        assert_int_equal(pthread_create(&threads[i], NULL, throw_all, &throwers[i]), 0);
    }
    sl_loop_run(*state);
    for (int i = 0; i < THROWERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(c.seen, THROWERS * THROWS);
    assert_true(c.ordered);
    free(throwers);
}

static void stop_here(void *loop)
{
    sl_loop_stop(loop);
}

static void a_loop_that_stopped_itself_can_be_freed(void **state)
{
    sl_loop *l;
    sl_post post;
    (void)state;
    assert_int_equal(sl_loop_new(&l, NULL), SL_OK);
    assert_int_equal(sl_loop_start(l, "own", NULL), SL_OK);
    sl_loop_post(l, &post, stop_here, l);
    sl_loop_free(l);
}

static void a_thread_that_cannot_start_is_an_error(void **state)
{
    sl_status st;
    sl_fault_arm(SL_FAULT_THREAD, 1);
    assert_int_equal(sl_loop_start(*state, "x", &st), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_THREAD, 0);
}

/* ---- watches ---- */

typedef struct watched {
    sl_watch watch;
    int calls;
    uint32_t events;
    struct watched *stops; /* this one, when called */
} watched;

static void seen(sl_watch *w, uint32_t events)
{
    watched *x = (watched *)w;
    x->calls++;
    x->events = events;
    if (x->stops)
        sl_watch_stop(&x->stops->watch);
}

static void a_watch_tells_what_is_asked_for_and_nothing_else(void **state)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    watched x = {.watch = {.fd = fd[0], .ready = seen}};
    assert_int_equal(sl_watch_start(*state, &x.watch, EPOLLIN, NULL), SL_OK);
    sl_loop_turn(*state, false);
    assert_int_equal(x.calls, 0);
    assert_int_equal(write(fd[1], "a", 1), 1);
    sl_loop_turn(*state, false);
    sl_loop_turn(*state, false); /* level-triggered */
    assert_int_equal(x.calls, 2);
    assert_int_equal(x.events, EPOLLIN);
    sl_watch_change(&x.watch, 0);
    sl_loop_turn(*state, false);
    assert_int_equal(x.calls, 2);
    sl_watch_stop(&x.watch);
    sl_watch_stop(&x.watch);
    close(fd[0]);
    close(fd[1]);
}

static void a_stopped_watch_is_not_told_of_events_already_fetched(void **state)
{
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    watched a = {.watch = {.fd = fd[0], .ready = seen}},
            b = {.watch = {.fd = fd[1], .ready = seen}};
    a.stops = &b;
    b.stops = &a;
    assert_int_equal(sl_watch_start(*state, &a.watch, EPOLLOUT, NULL), SL_OK);
    assert_int_equal(sl_watch_start(*state, &b.watch, EPOLLOUT, NULL), SL_OK);
    sl_loop_turn(*state, false);
    assert_int_equal(a.calls + b.calls, 1);
    sl_watch_stop(&a.watch);
    sl_watch_stop(&b.watch);
    close(fd[0]);
    close(fd[1]);
}

static void a_bad_descriptor_cannot_be_watched(void **state)
{
    sl_status st;
    watched x = {.watch = {.fd = -1, .ready = seen}};
    assert_int_equal(sl_watch_start(*state, &x.watch, EPOLLIN, &st), SL_RESOURCE_EXHAUSTED);
}

/* ---- timers ---- */

typedef struct alarm_clock {
    sl_timer timer;
    sl_loop *loop;
    int fired;
    uint64_t at, period;
    struct alarm_clock *stops;
} alarm_clock;

static void fire(sl_timer *t)
{
    alarm_clock *a = (alarm_clock *)t;
    a->fired++;
    a->at = sl_loop_now(a->loop);
    if (a->period)
        sl_timer_start(a->loop, t, a->at + a->period);
    if (a->stops)
        sl_timer_stop(&a->stops->timer);
}

static void turn_at(sl_loop *l, uint64_t ns)
{
    sl_clock_fake(ns);
    sl_loop_turn(l, false);
}

static void a_timer_fires_once_and_never_early(void **state)
{
    alarm_clock a = {.timer.fire = fire, .loop = *state};
    sl_timer_start(*state, &a.timer, START + 100 * MS);
    turn_at(*state, START + 100 * MS - 1);
    assert_int_equal(a.fired, 0);
    turn_at(*state, START + 110 * MS);
    assert_int_equal(a.fired, 1);
    assert_false(sl_timer_runs(&a.timer));
    turn_at(*state, START + 500 * MS);
    assert_int_equal(a.fired, 1);
}

static void a_stopped_timer_does_not_fire(void **state)
{
    alarm_clock a = {.timer.fire = fire, .loop = *state};
    sl_timer_start(*state, &a.timer, START + 100 * MS);
    sl_timer_stop(&a.timer);
    sl_timer_stop(&a.timer);
    turn_at(*state, START + 1000 * MS);
    assert_int_equal(a.fired, 0);
}

static void a_timer_that_is_started_again_moves(void **state)
{
    alarm_clock a = {.timer.fire = fire, .loop = *state};
    sl_timer_start(*state, &a.timer, START + 100 * MS);
    sl_timer_start(*state, &a.timer, START + 900 * MS);
    turn_at(*state, START + 800 * MS);
    assert_int_equal(a.fired, 0);
    turn_at(*state, START + 910 * MS);
    assert_int_equal(a.fired, 1);
}

static void a_timer_may_stop_another_that_is_due_in_the_same_slot(void **state)
{
    alarm_clock a = {.timer.fire = fire, .loop = *state}, b = a;
    a.stops = &b;
    b.stops = &a;
    sl_timer_start(*state, &a.timer, START + 100 * MS);
    sl_timer_start(*state, &b.timer, START + 100 * MS);
    turn_at(*state, START + 200 * MS);
    assert_int_equal(a.fired + b.fired, 1);
}

static void a_turn_does_not_wait_for_what_is_due_or_posted(void **state)
{
    sl_loop *l = *state;
    int log[1], n = 0;
    note x = {.value = 7, .log = log, .n = &n};
    alarm_clock due = {.timer.fire = fire, .loop = l}, far = {.timer.fire = fire, .loop = l};
    sl_timer_start(l, &due.timer, START + 100 * MS);
    sl_clock_fake(START + 200 * MS);
    sl_loop_turn(l, true);
    assert_int_equal(due.fired, 1);
    sl_timer_start(l, &far.timer, START + 600000 * MS);
    sl_loop_post(l, &x.post, write_down, &x);
    sl_loop_turn(l, true);
    assert_int_equal(n, 1);
    sl_timer_stop(&far.timer);
}

static void a_timer_may_start_itself_again(void **state)
{
    alarm_clock a = {.timer.fire = fire, .loop = *state, .period = 50 * MS};
    sl_timer_start(*state, &a.timer, START + 50 * MS);
    for (int i = 1; i <= 100; i++)
        turn_at(*state, START + (uint64_t)i * 50 * MS);
    assert_int_equal(a.fired, 100);
    sl_timer_stop(&a.timer);
}

/* Every distance, in both wheels and beyond them, with the clock moving in small and in large
 * steps. */
static void timers_fire_in_time_at_every_distance(void **state)
{
    static const uint64_t steps[] = {10, 37, 1000, 10240, 60000};
    static const uint64_t distances[] = {0,      1,      9,      10,     11,      990,    10230,
                                         10240,  10250,  20480,  30000,  599990,  600000, 645120,
                                         655350, 655360, 655370, 700000, 2000000, 5000000};
    for (size_t s = 0; s < SL_COUNTOF(steps); s++) {
        uint64_t now = START + s * 100000000 * MS;
        alarm_clock a[SL_COUNTOF(distances)] = {0};
        turn_at(*state, now);
        for (size_t i = 0; i < SL_COUNTOF(distances); i++) {
            a[i] = (alarm_clock){.timer.fire = fire, .loop = *state};
            sl_timer_start(*state, &a[i].timer, now + distances[i] * MS);
        }
        for (uint64_t t = 0; t < 5100000; t += steps[s])
            turn_at(*state, now + t * MS);
        for (size_t i = 0; i < SL_COUNTOF(distances); i++) {
            assert_int_equal(a[i].fired, 1);
            assert_true(a[i].at >= now + distances[i] * MS);
            assert_true(a[i].at <= now + (distances[i] + 10 + steps[s]) * MS);
        }
    }
}

static void the_loop_sleeps_until_the_next_timer_and_no_shorter(void **state)
{
    (void)state;
    sl_wheel *w = calloc(1, sizeof *w);
    sl_timer near = {.fire = fire}, far = {.fire = fire};
    sl_wheel_init(w, START);
    assert_true(sl_wheel_next(w) == UINT64_MAX);
    sl_wheel_add(w, &far, START + 600000 * MS);
    assert_in_range(sl_wheel_next(w), START + 10 * MS, START + 10240 * MS);
    sl_wheel_add(w, &near, START + 100 * MS);
    assert_true(sl_wheel_next(w) == START + 100 * MS);
    sl_timer_stop(&near);
    sl_wheel_advance(w, START + 599990 * MS);
    assert_true(sl_wheel_next(w) == START + 600000 * MS);
    sl_timer_stop(&far);
    sl_wheel_advance(w, START + 700000 * MS);
    assert_true(sl_wheel_next(w) == UINT64_MAX);
    free(w);
}

/* ---- addresses, listening ---- */

typedef struct spender {
    sl_post post;
    sl_loop *l;
    uint64_t ns, seen;
} spender;

static void spend(void *arg)
{
    spender *s = arg;
    sl_loop_spend(s->l, s->ns);
    s->seen = sl_loop_spent_ns(s->l);
}

static void *spend_elsewhere(void *arg)
{
    spend(arg);
    return NULL;
}

static void what_is_spent_counts_until_the_round_ends_and_only_on_the_loops_thread(void **state)
{
    sl_loop *l = *state;
    spender a = {.l = l, .ns = 300}, b = {.l = l, .ns = 400}, c = {.l = l, .ns = 5};
    pthread_t thread;
    sl_loop_post(l, &a.post, spend, &a);
    sl_loop_post(l, &b.post, spend, &b);
    sl_loop_turn(l, false);
    assert_int_equal(a.seen, 300);
    assert_int_equal(b.seen, 700);
    sl_loop_post(l, &c.post, spend, &c);
    sl_loop_turn(l, false);
    assert_int_equal(c.seen, 5);
    assert_int_equal(pthread_create(&thread, NULL, spend_elsewhere, &b), 0);
    pthread_join(thread, NULL);
    assert_int_equal(sl_loop_spent_ns(l), 5);
}

static void addresses_are_parsed(void **state)
{
    (void)state;
    static const char *const good[] = {"127.0.0.1:0", "0.0.0.0:8501", "[::]:8501",
                                       "[::1]:65535", "localhost:1",  "unix:/tmp/x"};
    static const char *const bad[] = {
        "",
        ":1",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "1.2.3:4",
        "::1:80",
        "[::1:80",
        "[::1]",
        "127.0.0.1:-1",
        "unix:",
        "a.b.c:1",
        "127.0.0.1:8x",
        "[:80",
        "[0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]:80",
        "nothing",
        "a.host.name.that.is.longer.than.any.address.needs.to.be.in.text.form.is.refused:80"};
    char path[200] = "unix:/";
    memset(path + 6, 'x', 150);
    sl_address a;
    sl_status st;
    for (size_t i = 0; i < SL_COUNTOF(good); i++)
        assert_int_equal(sl_address_parse(good[i], &a, &st), SL_OK);
    for (size_t i = 0; i < SL_COUNTOF(bad); i++)
        assert_int_equal(sl_address_parse(bad[i], &a, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_address_parse(path, &a, &st), SL_INVALID_ARGUMENT);
}

static void an_address_of_ip_version_4_in_6_is_written_as_4(void **state)
{
    (void)state;
    struct sockaddr_storage a = {.ss_family = AF_INET6};
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    static const char *const texts[][2] = {{"::ffff:10.1.2.3", "10.1.2.3:80"},
                                           {"2001:db8::1", "[2001:db8::1]:80"},
                                           {"::", "[::]:80"},
                                           {"::1:0:ffff:a01:203", "[::1:0:ffff:a01:203]:80"}};
    char text[64];
    v6->sin6_port = htons(80);
    for (size_t i = 0; i < SL_COUNTOF(texts); i++) {
        assert_int_equal(inet_pton(AF_INET6, texts[i][0], &v6->sin6_addr), 1);
        sl_address_text(&a, text, sizeof text);
        assert_string_equal(text, texts[i][1]);
    }
}

/* Runs fn when no further file can be opened but `more`. */
static void without_descriptors(int more, void (*fn)(void *arg), void *arg)
{
    struct rlimit before, few;
    int next = dup(0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = before;
    few.rlim_cur = (rlim_t)(next + more);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    fn(arg);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void listen_in_vain(void *address)
{
    sl_address a;
    sl_status st = {0};
    int fds[2];
    assert_int_equal(sl_address_parse(address, &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 2, fds, &st), SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, "cannot listen on "));
    assert_non_null(strstr(st.msg, strerror(EMFILE)));
}

static void make_loop_in_vain(void *arg)
{
    sl_loop *l = NULL;
    sl_status st = {0};
    (void)arg;
    assert_int_equal(sl_loop_new(&l, &st), SL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.msg, "cannot make an event loop: "));
    assert_null(l);
}

static void without_descriptors_there_is_no_socket_and_no_loop(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-few-%d.sock", (int)getpid());
    for (int more = 0; more < 2; more++) {
        without_descriptors(more, listen_in_vain, "127.0.0.1:0");
        without_descriptors(more, listen_in_vain, path);
        without_descriptors(more, make_loop_in_vain, NULL);
        assert_int_equal(access(path + 5, F_OK), -1);
    }
    sl_loop *l = NULL;
    sl_status st = {0};
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_int_equal(sl_loop_new(&l, &st), SL_RESOURCE_EXHAUSTED);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_string_equal(st.msg, "no memory for an event loop");
    sl_loop_free(NULL);
}

static int open_files(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* A server whose port is not known would listen at two of them. */
static void whatever_call_fails_nobody_listens_and_nothing_is_left(void **state)
{
    (void)state;
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-fail-%d.sock", (int)getpid());
    const struct {
        const char *call, *address;
        int nth, error;
    } cases[] = {
        {"getsockname", "127.0.0.1:0", 1, ENOBUFS},
        {"listen", "127.0.0.1:0", 1, EADDRINUSE},
        {"listen", "[::1]:0", 2, EADDRINUSE},
        {"fchmod", path, 1, EPERM},
        {"listen", path, 1, EADDRINUSE},
        {"dup", path, 1, EMFILE},
    };
    int before = open_files();
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_address a;
        sl_status st = {0};
        int fds[2];
        assert_int_equal(sl_address_parse(cases[i].address, &a, &st), SL_OK);
        a.mode = 0600;
        fail_call(cases[i].call, cases[i].nth, cases[i].error);
        assert_int_equal(sl_listen_sockets(&a, 2, fds, &st), SL_UNAVAILABLE);
        fail_call(NULL, 0, 0);
        assert_non_null(strstr(st.msg, cases[i].address));
        assert_non_null(strstr(st.msg, strerror(cases[i].error)));
        assert_int_equal(open_files(), before);
        assert_int_equal(access(path + 5, F_OK), -1);
    }
}

static void whatever_call_fails_there_is_no_loop(void **state)
{
    (void)state;
    static const char *const calls[] = {"epoll_create1", "eventfd", "epoll_ctl"};
    int before = open_files();
    for (size_t i = 0; i < SL_COUNTOF(calls); i++) {
        fail_call(calls[i], 1, ENOMEM);
        make_loop_in_vain(NULL);
        fail_call(NULL, 0, 0);
        assert_int_equal(open_files(), before);
    }
}

static sl_code try_address(const char *text, bool share)
{
    sl_address a;
    sl_status st = {0};
    int before = open_files();
    assert_int_equal(sl_address_parse(text, &a, &st), SL_OK);
    a.share = share;
    sl_code rc = sl_address_try(&a, &st);
    assert_int_equal(open_files(), before);
    assert_true(rc == SL_OK || strstr(st.msg, text) != NULL);
    return rc;
}

static void trying_an_address_leaves_no_trace(void **state)
{
    (void)state;
    char text[64];
    sl_address a;
    sl_status st = {0};
    int fd;
    assert_int_equal(try_address("127.0.0.1:0", false), SL_OK);
    assert_int_equal(try_address("[::1]:0", true), SL_OK);
    assert_int_equal(try_address("203.0.113.9:80", false), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_address_parse("127.0.0.1:0", &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 1, &fd, &st), SL_OK);
    snprintf(text, sizeof text, "127.0.0.1:%d", a.port);
    assert_int_equal(try_address(text, false), SL_UNAVAILABLE);
    assert_int_equal(try_address(text, true), SL_OK); /* ours can be joined */
    assert_int_equal(accept(fd, NULL, NULL), -1);
    close(fd);
    assert_int_equal(try_address(text, false), SL_OK);
    struct rlimit usual, none = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &usual), 0);
    none.rlim_max = usual.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    sl_code rc = sl_address_try(&a, &st);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
    assert_int_equal(rc, SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, strerror(EMFILE)));
}

static void trying_a_path_leaves_it_as_it_is(void **state)
{
    (void)state;
    char path[64];
    sl_address a;
    sl_status st = {0};
    struct stat s;
    int fd;
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-try-%d.sock", (int)getpid());
    assert_int_equal(try_address(path, false), SL_OK);
    assert_int_equal(access(path + 5, F_OK), -1);
    assert_int_equal(sl_address_parse(path, &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 1, &fd, &st), SL_OK);
    assert_int_equal(try_address(path, false), SL_UNAVAILABLE);
    close(fd);
    assert_int_equal(try_address(path, false), SL_OK); /* a start would remove it */
    assert_int_equal(access(path + 5, F_OK), 0);
    assert_int_equal(unlink(path + 5), 0);
    fd = open(path + 5, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(try_address(path, false), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_listen_sockets(&a, 1, &fd, &st), SL_UNAVAILABLE); /* nor does a start */
    assert_int_equal(stat(path + 5, &s), 0);
    assert_true(S_ISREG(s.st_mode));
    assert_int_equal(unlink(path + 5), 0);
    assert_int_equal(try_address("unix:/nowhere/s", false), SL_FAILED_PRECONDITION);
    assert_int_equal(try_address("unix:/dev/null/s", false), SL_FAILED_PRECONDITION);
    assert_int_equal(try_address("unix:sluice-test-here", false), SL_OK);
}

static void a_socket_file_is_taken_over_only_from_the_dead(void **state)
{
    (void)state;
    char path[64];
    sl_address a;
    sl_status st = {0};
    struct stat s;
    int alive, other[2];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-file-%d.sock", (int)getpid());
    assert_int_equal(sl_address_parse(path, &a, &st), SL_OK);
    a.mode = 0600;
    assert_int_equal(sl_listen_sockets(&a, 1, &alive, &st), SL_OK);
    assert_int_equal(stat(path + 5, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    assert_int_equal(sl_listen_sockets(&a, 1, other, &st), SL_UNAVAILABLE);
    close(alive);
    assert_int_equal(sl_listen_sockets(&a, 2, other, &st), SL_OK);
    close(other[0]);
    close(other[1]);
    sl_address_remove(&a);
    assert_int_equal(sl_address_parse("unix:/nowhere/s", &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 1, &alive, &st), SL_UNAVAILABLE);
}

static void a_socket_whose_owner_does_not_accept_is_not_waited_for(void **state)
{
    (void)state;
    char path[64];
    sl_address a;
    sl_status st = {0};
    int fds[10], n = 0, other[1];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-busy-%d.sock", (int)getpid());
    assert_int_equal(sl_address_parse(path, &a, &st), SL_OK);
    int busy = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(busy, &a.any, a.len), 0);
    assert_int_equal(listen(busy, 0), 0);
    do {
        assert_true(n < 10);
        fds[n] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
    } while (connect(fds[n++], &a.any, a.len) == 0);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(sl_listen_sockets(&a, 1, other, &st), SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, strerror(EADDRINUSE)));
    while (n > 0)
        close(fds[--n]);
    close(busy);
    sl_address_remove(&a);
}

static void a_port_that_is_taken_is_refused_even_with_reuseport(void **state)
{
    (void)state;
    sl_address a, b;
    sl_status st;
    int fds[3], more[1];
    char text[64];
    assert_int_equal(sl_address_parse("127.0.0.1:0", &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 3, fds, &st), SL_OK);
    assert_true(a.port > 0);
    snprintf(text, sizeof text, "127.0.0.1:%d", a.port);
    assert_int_equal(sl_address_parse(text, &b, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&b, 1, more, &st), SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, text));
    for (int i = 0; i < 3; i++)
        close(fds[i]);
}

typedef struct door {
    sl_listener listener;
    int accepted;
    char peer[64];
} door;

static void let_in(sl_listener *l, int fd, const struct sockaddr_storage *peer)
{
    door *d = (door *)l;
    d->accepted++;
    sl_address_text(peer, d->peer, sizeof d->peer);
    close(fd);
}

static void open_door(sl_loop *l, door *d, const char *address, sl_address *a)
{
    sl_status st;
    *d = (door){.listener.accepted = let_in};
    assert_int_equal(sl_address_parse(address, a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(a, 1, &d->listener.fd, &st), SL_OK);
    assert_int_equal(sl_listener_start(&d->listener, l, &st), SL_OK);
}

static int knock(const sl_address *a)
{
    int fd = socket(a->any.sa_family, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, &a->any, a->len), 0);
    return fd;
}

static void a_connection_is_accepted(void **state)
{
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-loop-%d.sock", (int)getpid());
    const char *const addresses[] = {"127.0.0.1:0", "[::]:0", path};
    static const char *const peers[] = {"127.0.0.1:", "[::1]:", "unix"};
    for (size_t i = 0; i < SL_COUNTOF(addresses); i++) {
        door d;
        sl_address a;
        open_door(*state, &d, addresses[i], &a);
        int fd = knock(&a);
        sl_loop_turn(*state, false);
        assert_int_equal(d.accepted, 1);
        assert_memory_equal(d.peer, peers[i], strlen(peers[i]));
        sl_listener_stop(&d.listener);
        sl_listener_stop(&d.listener);
        sl_address_remove(&a);
        close(fd);
    }
    assert_int_equal(access(path + 5, F_OK), -1);
}

static void share_door(sl_loop *l, door *d, int port, sl_address *a)
{
    char text[64];
    sl_status st;
    *d = (door){.listener.accepted = let_in};
    snprintf(text, sizeof text, "127.0.0.1:%d", port);
    assert_int_equal(sl_address_parse(text, a, &st), SL_OK);
    a->share = true;
    assert_int_equal(sl_listen_sockets(a, 1, &d->listener.fd, &st), SL_OK);
    assert_int_equal(sl_listener_start(&d->listener, l, &st), SL_OK);
}

static void knock_often(sl_loop *l, const sl_address *a, int n)
{
    for (int i = 0; i < n; i++) {
        close(knock(a));
        sl_loop_turn(l, false);
        sl_loop_turn(l, false);
    }
}

/* As two processes do it: the second one joins, the first one points away and stops; again. */
static void a_port_that_is_shared_is_handed_on(void **state)
{
    enum { N = 40, GENERATIONS = 4 };
    sl_address a, b;
    door old, new;
    share_door(*state, &old, 0, &a);
    int port = a.port;
    for (int i = 1; i < GENERATIONS; i++) {
        share_door(*state, &new, port, &b);
        assert_int_equal(b.port, port);
        knock_often(*state, &b, N); /* both are asked */
        assert_true(old.accepted > 0 && new.accepted > 0);
        assert_int_equal(old.accepted + new.accepted, N);
        old.accepted = new.accepted = 0;
        int early = knock(&b), before = old.accepted + new.accepted;
        sl_listener_point_away(&old.listener, 1);
        knock_often(*state, &b, N);
        assert_in_range(old.accepted, 0, 1); /* `early`, perhaps */
        assert_int_equal(old.accepted + new.accepted - before, N + 1);
        sl_listener_stop(&old.listener);
        close(early);
        old = (door){.listener.fd = -1};
        new.accepted = 0;
        knock_often(*state, &b, N); /* alone, though there is no second one any more */
        assert_int_equal(new.accepted, N);
        new.accepted = 0;
        sl_listener_stop(&old.listener);
        /* The listener is known to the loop by its place: it moves to another door. */
        int fd = dup(new.listener.fd);
        sl_listener_stop(&new.listener);
        old = (door){.listener = {.fd = fd, .accepted = let_in}};
        assert_int_equal(sl_listener_start(&old.listener, *state, NULL), SL_OK);
    }
    sl_listener_stop(&old.listener);
}

static void nobody_can_point_away_from_what_is_not_there(void **state)
{
    sl_address a;
    door d;
    open_door(*state, &d, "127.0.0.1:0", &a);
    sl_listener_stop(&d.listener);
    d.listener.fd = -1;
    sl_listener_point_away(&d.listener, 1); /* a line in the log */
}

/* Somebody comes, and the first time that he is to be accepted that fails. */
static int knock_in_vain(sl_loop *l, door *d, int error)
{
    sl_address a;
    open_door(l, d, "127.0.0.1:0", &a);
    fail_call("accept4", 1, error);
    return knock(&a);
}

static void without_descriptors_or_memory_accepting_pauses_and_goes_on(void **state)
{
    static const int errors[] = {EMFILE, ENFILE, ENOBUFS, ENOMEM};
    uint64_t now = START;
    for (size_t e = 0; e < SL_COUNTOF(errors); e++) {
        door d;
        int fd = knock_in_vain(*state, &d, errors[e]);
        for (int i = 0; i < 10; i++)
            sl_loop_turn(*state, false);
        assert_int_equal(calls_counted(), 1); /* no spinning */
        assert_int_equal(d.accepted, 0);
        fail_call("epoll_ctl", 1, ENOMEM); /* not even to be watched again */
        turn_at(*state, now += 200 * MS);
        turn_at(*state, now);
        assert_int_equal(calls_counted(), 1);
        fail_call(NULL, 0, 0);
        assert_int_equal(d.accepted, 0);
        turn_at(*state, now += 200 * MS);
        turn_at(*state, now);
        assert_int_equal(d.accepted, 1);
        sl_listener_stop(&d.listener);
        close(fd);
    }
}

static void what_befell_one_connection_keeps_no_other_out(void **state)
{
    static const int errors[] = {ECONNABORTED, EPROTO, EINTR};
    for (size_t e = 0; e < SL_COUNTOF(errors); e++) {
        door d;
        int fd = knock_in_vain(*state, &d, errors[e]);
        sl_loop_turn(*state, false);
        fail_call(NULL, 0, 0);
        assert_int_equal(d.accepted, 1);
        sl_listener_stop(&d.listener);
        close(fd);
    }
}

static int closable; /* connections that can be closed to make room */

static bool make_room(sl_listener *l)
{
    (void)l;
    return closable-- > 0;
}

static void who_makes_room_goes_on_accepting(void **state)
{
    door d;
    sl_address a;
    open_door(*state, &d, "127.0.0.1:0", &a);
    d.listener.crowded = make_room;
    int fd = knock(&a);
    closable = 1;
    sl_fault_arm(SL_FAULT_ACCEPT, 1);
    sl_loop_turn(*state, false);
    sl_fault_arm(SL_FAULT_ACCEPT, 0);
    assert_int_equal(d.accepted, 1);
    close(fd);
    fd = knock(&a);
    closable = 0;
    sl_fault_arm(SL_FAULT_ACCEPT, 1);
    sl_loop_turn(*state, false);
    sl_fault_arm(SL_FAULT_ACCEPT, 0);
    assert_int_equal(d.accepted, 1); /* nothing could be closed: it pauses */
    sl_listener_stop(&d.listener);
    close(fd);
}

static void a_crowd_is_accepted_in_several_turns(void **state)
{
    enum { CROWD = 100 };
    door d;
    sl_address a;
    int fds[CROWD];
    open_door(*state, &d, "127.0.0.1:0", &a);
    for (int i = 0; i < CROWD; i++)
        fds[i] = knock(&a);
    sl_loop_turn(*state, false);
    assert_true(d.accepted > 0 && d.accepted < CROWD);
    sl_loop_turn(*state, false);
    assert_int_equal(d.accepted, CROWD);
    for (int i = 0; i < CROWD; i++)
        close(fds[i]);
    sl_listener_stop(&d.listener);
}

static void a_listener_that_was_never_started_can_be_stopped(void **state)
{
    (void)state;
    door d = {.listener = {.accepted = let_in}};
    sl_address a;
    sl_status st;
    assert_int_equal(sl_address_parse("127.0.0.1:0", &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 1, &d.listener.fd, &st), SL_OK);
    int fd = knock(&a);
    sl_listener_stop(&d.listener);
    assert_int_equal(d.accepted, 0);
    assert_int_equal(d.listener.fd, -1);
    close(fd);
}

static void a_shared_socket_wakes_one_of_its_loops(void **state)
{
    door one, two;
    sl_address a;
    sl_status st;
    int fds[2];
    char path[64];
    snprintf(path, sizeof path, "unix:/tmp/sluice-test-both-%d.sock", (int)getpid());
    assert_int_equal(sl_address_parse(path, &a, &st), SL_OK);
    assert_int_equal(sl_listen_sockets(&a, 2, fds, &st), SL_OK);
    one = (door){.listener = {.accepted = let_in, .fd = fds[0], .shared = true}};
    two = (door){.listener = {.accepted = let_in, .fd = fds[1], .shared = true}};
    assert_int_equal(sl_listener_start(&one.listener, *state, &st), SL_OK);
    assert_int_equal(sl_listener_start(&two.listener, *state, &st), SL_OK);
    int fd = knock(&a);
    sl_loop_turn(*state, false);
    sl_loop_turn(*state, false);
    assert_int_equal(one.accepted + two.accepted, 1);
    sl_listener_stop(&one.listener);
    sl_listener_stop(&two.listener);
    sl_address_remove(&a);
    close(fd);
}

static void who_waits_is_accepted_before_the_listener_stops(void **state)
{
    door d;
    sl_address a;
    open_door(*state, &d, "127.0.0.1:0", &a);
    int one = knock(&a), two = knock(&a);
    sl_listener_stop(&d.listener);
    assert_int_equal(d.accepted, 2);
    close(one);
    close(two);
}

static void an_armed_fault_fails_reads_and_writes(void **state)
{
    (void)state;
    int fd[2];
    char b[4];
    struct iovec v = {b, 1};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    sl_io io = {.fd = fd[0]};
    sl_fault_arm(SL_FAULT_WRITE, 1);
    assert_int_equal(sl_io_writev(&io, &v, 1), -1);
    assert_int_equal(errno, ECONNRESET);
    sl_fault_arm(SL_FAULT_READ, 1);
    assert_int_equal(sl_io_read(&io, b, 1), -1);
    sl_io_shutdown(&io);
    assert_int_equal(read(fd[1], b, 1), 0);
    sl_io_close(&io);
    close(fd[1]);
}

/* ---- signals ---- */

static int far_end;
static char drained[1 << 16];

/* What the call that the signal has interrupted waits for. */
static void bring(int signal)
{
    int e = errno;
    (void)signal;
    assert_int_equal(write(far_end, "x", 1), 1);
    while (recv(far_end, drained, sizeof drained, MSG_DONTWAIT) > 0)
        ;
    errno = e;
}

static void a_call_that_a_signal_interrupts_goes_on(void **state)
{
    (void)state;
    const struct itimerval soon = {.it_value = {.tv_usec = 5000}};
    struct sigaction on = {.sa_handler = bring}, before; /* without SA_RESTART */
    static char large[1 << 16];
    struct iovec v = {large, sizeof large};
    int fd[2];
    char b[4];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fd), 0);
    far_end = fd[1];
    sigaction(SIGALRM, &on, &before);
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_int_equal(sl_socket_read(fd[0], b, sizeof b), 1); /* which the handler sent */
    while (send(fd[0], large, sizeof large, MSG_DONTWAIT) > 0)
        ;
    setitimer(ITIMER_REAL, &soon, NULL);
    assert_true(sl_socket_writev(fd[0], &v, 1) > 0); /* when it has made room */
    sigaction(SIGALRM, &before, NULL);
    sl_io none = {.fd = -1};
    sl_io_close(&none);
    close(fd[0]);
    close(fd[1]);
}

int main(void)
{
#define WITH_LOOP(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        WITH_LOOP(posts_run_in_the_order_of_posting),
        WITH_LOOP(a_post_may_post_itself_again),
        WITH_LOOP(stop_ends_a_loop_after_what_was_posted),
        cmocka_unit_test(two_loops_throw_a_ball_and_lose_no_wake_up),
        WITH_LOOP(many_threads_post_and_each_one_keeps_its_order),
        cmocka_unit_test(a_loop_that_stopped_itself_can_be_freed),
        WITH_LOOP(a_thread_that_cannot_start_is_an_error),
        WITH_LOOP(a_watch_tells_what_is_asked_for_and_nothing_else),
        WITH_LOOP(a_stopped_watch_is_not_told_of_events_already_fetched),
        WITH_LOOP(a_bad_descriptor_cannot_be_watched),
        WITH_LOOP(a_timer_fires_once_and_never_early),
        WITH_LOOP(a_stopped_timer_does_not_fire),
        WITH_LOOP(a_timer_that_is_started_again_moves),
        WITH_LOOP(a_timer_may_stop_another_that_is_due_in_the_same_slot),
        WITH_LOOP(a_turn_does_not_wait_for_what_is_due_or_posted),
        WITH_LOOP(a_timer_may_start_itself_again),
        WITH_LOOP(timers_fire_in_time_at_every_distance),
        WITH_LOOP(the_loop_sleeps_until_the_next_timer_and_no_shorter),
        WITH_LOOP(what_is_spent_counts_until_the_round_ends_and_only_on_the_loops_thread),
        cmocka_unit_test(addresses_are_parsed),
        cmocka_unit_test(a_port_that_is_taken_is_refused_even_with_reuseport),
        WITH_LOOP(a_connection_is_accepted),
        WITH_LOOP(a_port_that_is_shared_is_handed_on),
        WITH_LOOP(nobody_can_point_away_from_what_is_not_there),
        WITH_LOOP(without_descriptors_or_memory_accepting_pauses_and_goes_on),
        WITH_LOOP(what_befell_one_connection_keeps_no_other_out),
        WITH_LOOP(who_waits_is_accepted_before_the_listener_stops),
        WITH_LOOP(an_armed_fault_fails_reads_and_writes),
        cmocka_unit_test(an_address_of_ip_version_4_in_6_is_written_as_4),
        cmocka_unit_test(without_descriptors_there_is_no_socket_and_no_loop),
        cmocka_unit_test(whatever_call_fails_nobody_listens_and_nothing_is_left),
        cmocka_unit_test(whatever_call_fails_there_is_no_loop),
        cmocka_unit_test(trying_an_address_leaves_no_trace),
        cmocka_unit_test(trying_a_path_leaves_it_as_it_is),
        cmocka_unit_test(a_socket_file_is_taken_over_only_from_the_dead),
        cmocka_unit_test(a_socket_whose_owner_does_not_accept_is_not_waited_for),
        WITH_LOOP(who_makes_room_goes_on_accepting),
        WITH_LOOP(a_crowd_is_accepted_in_several_turns),
        WITH_LOOP(a_listener_that_was_never_started_can_be_stopped),
        WITH_LOOP(a_shared_socket_wakes_one_of_its_loops),
        cmocka_unit_test(a_call_that_a_signal_interrupts_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
