/* What happens when things go wrong: crashes, kills, deadlines, cancellation, and a hostile model.
 */
#include <fcntl.h>
#include <time.h>

#include "base/fault.h"
#include "base/thread.h"
#include "engine/tensorflow_fixture.h"

static const uint64_t MS = 1000000;

static sl_code end_how(served *s, const char *how, call *c)
{
    *c = (call){.to = s, .signature = "end", .n_in = 1, .in = {string_scalar(how)}};
    return run_call(c);
}

static void expect_back(served *s)
{
    call c = {.to = s, .signature = "end", .n_in = 1, .in = {string_scalar("not at all")}};
    run_until_back(&c);
    assert_true(sl_str_is(*(sl_str *)c.out[0].data, "not at all"));
    end_call(&c);
}

static void an_op_that_ends_its_process_costs_only_its_request(void **state)
{
    (void)state;
    static const char *const how[][2] = {{"abort", "ended (signal 6); it is being restarted"},
                                         {"segfault", "ended (signal 11); it is being restarted"},
                                         {"exit", "ended (exit code 7); it is being restarted"}};
    served s = serve("custom"), other = serve("half_plus_two");
    pid_t others_pid = pid_of(&other);
    for (size_t i = 0; i < SL_COUNTOF(how); i++) {
        call c;
        pid_t before = pid_of(&s);
        assert_int_equal(end_how(&s, how[i][0], &c), SL_UNAVAILABLE);
        assert_non_null(strstr(c.st.msg, "the TensorFlow process of model \"custom\" version 1"));
        assert_non_null(strstr(c.st.msg, how[i][1]));
        end_call(&c);
        expect_back(&s);
        assert_int_not_equal(pid_of(&s), before);
    }
    assert_int_equal(pid_of(&other), others_pid);
    call fine = {.to = &other, .n_in = 1, .in = {floats(1, 1)}};
    assert_int_equal(run_call(&fine), SL_OK);
    end_call(&fine);
    unserve(&other);
    unserve(&s);
}

static void while_it_restarts_requests_are_refused_at_once(void **state)
{
    (void)state;
    served s = serve("custom");
    call c;
    assert_int_equal(end_how(&s, "abort", &c), SL_UNAVAILABLE);
    end_call(&c);
    uint64_t before = sl_now_ns();
    assert_int_equal(end_how(&s, "no", &c), SL_UNAVAILABLE);
    assert_non_null(strstr(c.st.msg, "it is being restarted"));
    assert_true(sl_now_ns() - before < 50 * MS); /* the restart itself takes at least 100 ms */
    end_call(&c);
    expect_back(&s);
    unserve(&s);
}

static sl_code end_with_row(served *s, const char *how, int64_t n, call *c)
{
    *c = (call){.to = s, .signature = "end", .n_in = 1, .in = {strings(&how, n, 1)}};
    return run_call(c);
}

/* What is declared is a scalar. */
static void inputs_of_another_shape_that_end_a_process_do_so_once(void **state)
{
    (void)state;
    served s = serve("custom");
    call c;
    assert_int_equal(end_with_row(&s, "fine", 1, &c), SL_OK);
    end_call(&c);
    assert_int_equal(end_how(&s, "abort", &c), SL_UNAVAILABLE); /* not for its shape */
    end_call(&c);
    expect_back(&s);
    assert_int_equal(end_with_row(&s, "still fine", 1, &c), SL_OK);
    end_call(&c);

    assert_int_equal(end_with_row(&s, "abort", 1, &c), SL_UNAVAILABLE);
    end_call(&c);
    expect_back(&s);
    pid_t pid = pid_of(&s);
    for (int64_t n = 0; n < 2; n++) {
        assert_int_equal(end_with_row(&s, "abort", n, &c), SL_INVALID_ARGUMENT);
        assert_non_null(strstr(c.st.msg, n ? "input \"how\" of shape [1] is empty or not of the "
                                             "declared shape []: a request of that kind has ended "
                                             "the TensorFlow process of model \"custom\" version 1"
                                           : "of shape [0] is empty"));
        end_call(&c);
    }
    expect_back(&s);
    assert_int_equal(pid_of(&s), pid);
    unserve(&s);
}

typedef struct spinner {
    call c;
    sl_code rc;
    atomic_bool started;
} spinner;

static void *spin(void *arg)
{
    spinner *s = arg;
    atomic_store(&s->started, true);
    s->rc = run_call(&s->c);
    return NULL;
}

static pthread_t start_spinning(spinner *p, served *s, int64_t n)
{
    pthread_t t;
    *p = (spinner){.c = {.to = s, .n_in = 1, .in = {int64_scalar(n)}}};
    assert_int_equal(pthread_create(&t, NULL, spin, p), 0);
    return t;
}

/* A run has begun when the child burns time: this waits until its clock has moved by 50 ms. */
static void wait_until_busy(pid_t pid)
{
    clockid_t clock;
    struct timespec a, b;
    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &a), 0);
    do {
        usleep(1000);
        assert_int_equal(clock_gettime(clock, &b), 0);
    } while ((b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000 < 50);
}

static void a_killed_process_fails_its_runs_and_comes_back(void **state)
{
    (void)state;
    served s = serve("spin");
    spinner p[3];
    pthread_t t[3];
    for (int i = 0; i < 3; i++)
        t[i] = start_spinning(&p[i], &s, INT64_MAX);
    wait_until_busy(pid_of(&s));
    assert_int_equal(kill(pid_of(&s), SIGKILL), 0);
    for (int i = 0; i < 3; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(p[i].rc, SL_UNAVAILABLE);
        assert_non_null(strstr(p[i].c.st.msg, "ended (signal 9); it is being restarted"));
        end_call(&p[i].c);
    }
    call c = {.to = &s, .n_in = 1, .in = {int64_scalar(3)}};
    run_until_back(&c);
    end_call(&c);
    unserve(&s);
}

static void a_version_whose_files_have_gone_says_why_it_does_not_come_back(void **state)
{
    (void)state;
    char command[3 * PATH_MAX + 64];
    snprintf(command, sizeof command, "rm -rf %s/gone && cp -r %s/half_plus_two %s/gone",
             models_dir, models_dir, models_dir);
    assert_int_equal(system(command), 0);
    served s = serve("gone");
    snprintf(command, sizeof command, "rm -rf %s/gone", models_dir);
    assert_int_equal(system(command), 0);
    assert_int_equal(kill(pid_of(&s), SIGKILL), 0);
    call c = {.to = &s, .n_in = 1, .in = {floats(1, 1)}};
    uint64_t until = sl_now_ns() + 60000 * MS;
    while (run_call(&c) == SL_OK || strstr(c.st.msg, "Could not find SavedModel") == NULL) {
        if (c.st.code == SL_OK)
            sl_tensor_release(&c.out[0]);
        assert_true(sl_now_ns() < until);
        usleep(10000);
    }
    assert_int_equal(c.st.code, SL_UNAVAILABLE);
    end_call(&c);
    unserve(&s);
}

static void the_host_comes_back_too(void **state)
{
    (void)state;
    served s = serve("half_plus_two");
    char path[64], text[256];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid_of(&s));
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    int host = 0;
    while (host == 0 && fgets(text, sizeof text, f) != NULL)
        sscanf(text, "PPid: %d", &host);
    fclose(f);
    assert_true(host > 1 && host != getpid());
    pid_t before = pid_of(&s);
    assert_int_equal(kill(host, SIGKILL), 0);
    call c = {.to = &s, .n_in = 1, .in = {floats(1, 1)}};
    uint64_t until = sl_now_ns() + 60000 * MS;
    while (pid_of(&s) == before) {
        if (run_call(&c) == SL_OK)
            sl_tensor_release(&c.out[0]);
        else
            assert_int_equal(c.st.code, SL_UNAVAILABLE);
        assert_true(sl_now_ns() < until);
        usleep(10000);
    }
    run_until_back(&c);
    end_call(&c);
    unserve(&s);
}

static void a_run_past_its_deadline_returns_and_the_session_goes_on(void **state)
{
    (void)state;
    served s = serve("spin");
    uint64_t before = sl_now_ns();
    call c = {.to = &s, .n_in = 1, .in = {int64_scalar(INT64_MAX)}};
    c.deadline_ns = before + 50 * MS;
    assert_int_equal(run_call(&c), SL_DEADLINE_EXCEEDED);
    assert_true(sl_now_ns() - before >= 50 * MS);
    assert_true(sl_now_ns() - before < 2000 * MS);
    end_call(&c);
    call next = {.to = &s, .n_in = 1, .in = {int64_scalar(10)}};
    assert_int_equal(run_call(&next), SL_OK);
    end_call(&next);
    unserve(&s);
}

static void a_deadline_that_has_passed_runs_nothing(void **state)
{
    (void)state;
    served s = serve("half_plus_two");
    call c = {.to = &s, .n_in = 1, .in = {floats(1, 1)}, .deadline_ns = 1};
    assert_int_equal(run_call(&c), SL_DEADLINE_EXCEEDED);
    end_call(&c);
    unserve(&s);
}

/* TensorFlow is told the deadline: it ends the run itself, so the slots come back. */
static void more_expired_runs_than_slots_do_not_use_them_up(void **state)
{
    (void)state;
    served s = serve("spin");
    pid_t pid = pid_of(&s);
    for (int i = 0; i < 70; i++) {
        call c = {.to = &s, .n_in = 1, .in = {int64_scalar(INT64_MAX)}};
        c.deadline_ns = sl_now_ns() + 2 * MS;
        assert_int_equal(run_call(&c), SL_DEADLINE_EXCEEDED);
        end_call(&c);
    }
    call next = {.to = &s, .n_in = 1, .in = {int64_scalar(10)}};
    uint64_t until = sl_now_ns() + 30000 * MS;
    while (run_call(&next) != SL_OK)
        assert_true(sl_now_ns() < until);
    assert_int_equal(pid_of(&s), pid);
    end_call(&next);
    unserve(&s);
}

static void cancelling_ends_the_wait(void **state)
{
    (void)state;
    served s = serve("spin");
    atomic_bool cancelled = false;
    spinner p = {
        .c = {.to = &s, .n_in = 1, .in = {int64_scalar(INT64_MAX)}, .cancelled = &cancelled}};
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, spin, &p), 0);
    wait_until_busy(pid_of(&s));
    atomic_store(&cancelled, true);
    pthread_join(t, NULL);
    assert_int_equal(p.rc, SL_CANCELLED);
    end_call(&p.c);
    unserve(&s);
}

static void closing_does_not_wait_for_a_run_that_was_given_up(void **state)
{
    (void)state;
    served s = serve("custom");
    pid_t pid = pid_of(&s);
    call c = {.to = &s, .signature = "end", .n_in = 1, .in = {string_scalar("hang")}};
    c.deadline_ns = sl_now_ns() + 20 * MS;
    assert_int_equal(run_call(&c), SL_DEADLINE_EXCEEDED);
    end_call(&c);
    unserve(&s);
    assert_int_equal(kill(pid, 0), -1);
}

/* On a clock that the test moves on: the ten seconds do not pass. */
static void a_process_that_never_comes_back_is_ended(void **state)
{
    (void)state;
    served s = serve("custom");
    pid_t pid = pid_of(&s);
    for (int i = 0; i < 64; i++) {
        call c = {.to = &s, .signature = "end", .n_in = 1, .in = {string_scalar("hang")}};
        c.deadline_ns = sl_now_ns() + MS;
        assert_int_equal(run_call(&c), SL_DEADLINE_EXCEEDED);
        end_call(&c);
    }
    uint64_t until = sl_now_ns() + 60000 * MS;
    sl_clock_fake(until);
    while (kill(pid, 0) == 0)
        usleep(10000);
    sl_clock_fake(0);
    unserve(&s);
}

static void when_memory_runs_out_a_request_fails_politely(void **state)
{
    (void)state;
    served s = serve("strings"), f = serve("add_one");
    call warm = {.to = &f, .n_in = 1, .in = {floats(100000, 1)}};
    assert_int_equal(run_call(&warm), SL_OK);
    end_call(&warm);
    for (int nth = 1; nth <= 4; nth++) {
        const char *const a[] = {"x"};
        call c = {.to = &f, .n_in = 1, .in = {floats(nth % 2 ? 100000 : 10, 1)}};
        call d = {
            .to = &s, .signature = "join", .n_in = 2, .in = {strings(a, 1, 1), strings(a, 1, 1)}};
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        if (run_call(&c) != SL_OK)
            assert_int_equal(c.st.code, SL_RESOURCE_EXHAUSTED);
        if (nth == 1)
            assert_int_equal(c.st.code, SL_RESOURCE_EXHAUSTED);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        if (run_call(&d) != SL_OK)
            assert_int_equal(d.st.code, SL_RESOURCE_EXHAUSTED);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        end_call(&c);
        end_call(&d);
    }
    unserve(&s);
    unserve(&f);
}

static void a_model_can_read_its_directory_and_nothing_of_the_system(void **state)
{
    (void)state;
    served s = serve("strings");
    char own[PATH_MAX + 64];
    snprintf(own, sizeof own, "%s/strings/saved_model.pb", models_dir);
    call c = {.to = &s, .signature = "read", .n_in = 1, .in = {string_scalar(own)}};
    assert_int_equal(run_call(&c), SL_OK);
    assert_true(((sl_str *)c.out[0].data)->n > 100);
    end_call(&c);
    char neighbour[PATH_MAX + 64];
    snprintf(neighbour, sizeof neighbour, "%s/echo/saved_model.pb", models_dir);
    const char *const paths[] = {"/etc/passwd", "/proc/1/environ", neighbour};
    for (size_t i = 0; i < SL_COUNTOF(paths); i++) {
        call d = {.to = &s, .signature = "read", .n_in = 1, .in = {string_scalar(paths[i])}};
        assert_int_equal(run_call(&d), SL_PERMISSION_DENIED);
        end_call(&d);
    }
    unserve(&s);
}

static void a_hostile_op_finds_all_doors_closed(void **state)
{
    (void)state;
    static const char *const what[] = {"inet",  "inet6", "unix",   "exec",  "fork", "passwd",
                                       "write", "kill",  "ptrace", "chmod", "mem",  "environment"};
    static const char *const expected[] = {"EPERM",  "EPERM", "EPERM", "EPERM", "EPERM",  "EACCES",
                                           "EACCES", "EPERM", "EPERM", "EPERM", "EACCES", "0"};
    served s = serve("custom");
    call c = {.to = &s, .signature = "try", .n_in = 1};
    c.in[0] = strings(what, SL_COUNTOF(what), 1);
    assert_int_equal(run_call(&c), SL_OK);
    for (size_t i = 0; i < SL_COUNTOF(what); i++) {
        sl_str got = ((sl_str *)c.out[0].data)[i];
        if (!sl_str_is(got, expected[i]))
            fail_msg("%s: %.*s", what[i], SL_STR_ARG(got));
    }
    end_call(&c);
    unserve(&s);
}

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 1024; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

/* How nice its session is; 0 where there are no such shares. */
static int share_of(pid_t pid)
{
    char path[64];
    int nice = 0;
    snprintf(path, sizeof path, "/proc/%d/autogroup", (int)pid);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return 0;
    if (fscanf(f, "%*s nice %d", &nice) != 1)
        nice = 0;
    fclose(f);
    return nice;
}

static void becomes_an_ordinary_share(pid_t pid)
{
    for (uint64_t until = sl_now_ns() + 60000000000u; share_of(pid) != 0;) {
        assert_true(sl_now_ns() < until);
        usleep(1000);
    }
}

/* As a thread that loads beside others that answer. */
static void *load_nicely(void *to)
{
    sl_thread_be_nice();
    *(served *)to = load("half_plus_two");
    return NULL;
}

static void one_of_the_first_configuration_has_an_ordinary_share(void **state)
{
    (void)state;
    served s = load("half_plus_two");
    assert_int_equal(share_of(pid_of(&s)), 0);
    E.serve(s.session);
    unserve(&s);
}

static void a_process_gives_way_until_it_serves(void **state)
{
    (void)state;
    served s;
    pthread_t nice_one;
    assert_int_equal(pthread_create(&nice_one, NULL, load_nicely, &s), 0);
    pthread_join(nice_one, NULL);
    pid_t pid = pid_of(&s);
    bool there = share_of(getpid()) == 0 && access("/proc/self/autogroup", F_OK) == 0;
    assert_true(!there || geteuid() != 0 || share_of(pid) > 0);
    assert_true(E.memory(s.session) > 0); /* also while it gives way */
    call c = {.to = &s, .n_in = 1, .in = {floats(3, 1)}};
    assert_int_equal(run_call(&c), SL_OK);
    end_call(&c);
    E.serve(s.session);
    becomes_an_ordinary_share(pid);
    unserve(&s);
    assert_int_equal(kill(pid, 0), -1); /* its memory went with it */
}

/* The process that takes the place of one that serves must not hold back. */
static void one_that_is_started_again_serves_at_once(void **state)
{
    (void)state;
    served s = serve("custom");
    pid_t pid = pid_of(&s);
    kill(pid, SIGKILL);
    expect_back(&s);
    assert_true(pid_of(&s) != pid);
    becomes_an_ordinary_share(pid_of(&s));
    unserve(&s);
}

static void loading_and_closing_leaks_no_descriptor(void **state)
{
    (void)state;
    served first = serve("half_plus_two");
    unserve(&first);
    int before = open_descriptors();
    for (int i = 0; i < 5; i++) {
        served s = serve("half_plus_two");
        call c = {.to = &s, .n_in = 1, .in = {floats(100000, 1)}};
        assert_int_equal(run_call(&c), SL_OK);
        end_call(&c);
        unserve(&s);
    }
    assert_int_equal(open_descriptors(), before);
}

static void without_the_host_program_loading_says_so(void **state)
{
    (void)state;
    void *self;
    sl_status st = {0};
    sl_tensorflow_options o = {.python = test_python, .host_program = "/nowhere/host"};
    assert_int_equal(sl_tensorflow_new(&o, &self, &st), SL_OK);
    sl_saved_model *m = open_model("half_plus_two");
    assert_int_equal(E.probe(self, m, NULL, &st), SL_FAILED_PRECONDITION);
    assert_string_equal(st.msg, "cannot run the TensorFlow host \"/nowhere/host\": No such file or "
                                "directory");
    sl_saved_model_close(m);
    sl_tensorflow_free(self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_op_that_ends_its_process_costs_only_its_request),
        cmocka_unit_test(while_it_restarts_requests_are_refused_at_once),
        cmocka_unit_test(inputs_of_another_shape_that_end_a_process_do_so_once),
        cmocka_unit_test(a_killed_process_fails_its_runs_and_comes_back),
        cmocka_unit_test(a_version_whose_files_have_gone_says_why_it_does_not_come_back),
        cmocka_unit_test(the_host_comes_back_too),
        cmocka_unit_test(a_run_past_its_deadline_returns_and_the_session_goes_on),
        cmocka_unit_test(a_deadline_that_has_passed_runs_nothing),
        cmocka_unit_test(more_expired_runs_than_slots_do_not_use_them_up),
        cmocka_unit_test(cancelling_ends_the_wait),
        cmocka_unit_test(closing_does_not_wait_for_a_run_that_was_given_up),
        cmocka_unit_test(a_process_that_never_comes_back_is_ended),
        cmocka_unit_test(when_memory_runs_out_a_request_fails_politely),
        cmocka_unit_test(a_model_can_read_its_directory_and_nothing_of_the_system),
        cmocka_unit_test(a_hostile_op_finds_all_doors_closed),
        cmocka_unit_test(one_of_the_first_configuration_has_an_ordinary_share),
        cmocka_unit_test(a_process_gives_way_until_it_serves),
        cmocka_unit_test(one_that_is_started_again_serves_at_once),
        cmocka_unit_test(loading_and_closing_leaks_no_descriptor),
        cmocka_unit_test(without_the_host_program_loading_says_so),
    };
    return cmocka_run_group_tests(tests, start_engine, stop_engine);
}
