/* A process that does for us what we must not do ourselves, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/launcher.h"
#include "base/mem.h"

static sl_status st;
static char text[SL_LAUNCH_TEXT];

static sl_code says(void *arg, const int *fds, int n_fds, char *answer, size_t size, sl_status *s)
{
    (void)s;
    snprintf(answer, size, "%s %d", (const char *)arg, n_fds);
    for (int i = 0; i < n_fds; i++)
        if (write(fds[i], answer, strlen(answer)) < 0)
            return SL_UNKNOWN;
    return SL_OK;
}

static sl_code refuses(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                       sl_status *s)
{
    (void)arg, (void)fds, (void)n_fds, (void)answer, (void)size;
    return sl_fail(s, SL_NOT_FOUND, "no such program");
}

static sl_code dies(void *arg, const int *fds, int n_fds, char *answer, size_t size, sl_status *s)
{
    (void)arg, (void)fds, (void)n_fds, (void)answer, (void)size, (void)s;
    _exit(3);
}

static const sl_launch ops[] = {{says, "hello"}, {refuses, NULL}, {dies, NULL}};

static void an_operation_gets_descriptors_and_gives_an_answer(void **state)
{
    sl_launcher *l;
    int ends[2];
    char got[64] = "";
    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(sl_launcher_start(ops, 3, &l, &st), SL_OK);
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_OK);
    assert_string_equal(text, "hello 0");
    assert_int_equal(sl_launcher_ask(l, 0, &ends[1], 1, text, sizeof text, &st), SL_OK);
    close(ends[1]);
    assert_int_equal(read(ends[0], got, sizeof got - 1), 7);
    assert_string_equal(got, "hello 1");
    assert_int_equal(read(ends[0], got, sizeof got), 0); /* it has closed its copy */
    close(ends[0]);
    sl_launcher_end(l);
}

static void a_failure_comes_back_with_its_reason(void **state)
{
    sl_launcher *l;
    (void)state;
    assert_int_equal(sl_launcher_start(ops, 3, &l, &st), SL_OK);
    assert_int_equal(sl_launcher_ask(l, 1, NULL, 0, text, sizeof text, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "no such program");
    assert_int_equal(sl_launcher_ask(l, 7, NULL, 0, text, sizeof text, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_launcher_ask(l, -1, NULL, 0, text, sizeof text, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_OK);
    sl_launcher_end(l);
}

static void a_launcher_that_is_gone_is_an_error_not_a_hang(void **state)
{
    sl_launcher *l;
    (void)state;
    assert_int_equal(sl_launcher_start(ops, 3, &l, &st), SL_OK);
    assert_int_equal(sl_launcher_ask(l, 2, NULL, 0, text, sizeof text, &st), SL_UNAVAILABLE);
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_UNAVAILABLE);
    sl_launcher_end(l);
}

/* Faults are inherited: both sides have each of them. */
static void a_packet_for_which_there_is_no_memory_is_tried_again(void **state)
{
    static const sl_fault kinds[] = {SL_FAULT_READ, SL_FAULT_WRITE};
    sl_launcher *l;
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(kinds); i++) {
        sl_fault_arm(kinds[i], 1);
        assert_int_equal(sl_launcher_start(ops, 3, &l, &st), SL_OK);
        for (int n = 0; n < 2; n++)
            assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_OK);
        assert_string_equal(text, "hello 0");
        assert_int_equal(sl_fault_count(kinds[i]), 3);
        sl_launcher_end(l);
    }
}

static void an_answer_that_cannot_be_sent_is_an_error_not_a_hang(void **state)
{
    sl_launcher *l;
    (void)state;
    sl_fault_arm_from(SL_FAULT_WRITE, 1);
    assert_int_equal(sl_launcher_start(ops, 3, &l, &st), SL_OK);
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_UNAVAILABLE);
    sl_fault_arm(SL_FAULT_WRITE, 0); /* here; not there */
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_UNAVAILABLE);
    sl_launcher_end(l);
}

static pid_t child; /* the launcher's after the fork */

static sl_code starts(void *arg, const int *fds, int n_fds, char *answer, size_t size, sl_status *s)
{
    (void)fds, (void)n_fds, (void)s;
    pid_t *pid = arg;
    *pid = fork();
    if (*pid == 0)
        for (;;)
            pause();
    snprintf(answer, size, "%d", (int)*pid);
    return *pid > 0 ? SL_OK : SL_UNKNOWN;
}

static const sl_launch of_a_child[] = {{starts, &child}, {sl_launch_child_end, &child}};

static void a_child_is_ended_by_the_launcher_that_started_it(void **state)
{
    sl_launcher *l;
    (void)state;
    assert_int_equal(sl_launcher_start(of_a_child, 2, &l, &st), SL_OK);
    assert_int_equal(sl_launcher_ask(l, 0, NULL, 0, text, sizeof text, &st), SL_OK);
    pid_t pid = (pid_t)strtol(text, NULL, 10), started = pid;
    assert_true(pid > 0);
    assert_int_equal(kill(started, 0), 0);
    sl_launcher_end_child(l, 1, &pid);
    assert_int_equal(pid, 0);
    assert_int_equal(kill(started, 0), -1); /* and was waited for */
    sl_launcher_end_child(l, 1, &pid);      /* there is none */
    sl_launcher_end(l);
}

static void a_child_of_our_own_is_ended_without_a_launcher(void **state)
{
    pid_t pid;
    (void)state;
    assert_int_equal(starts(&pid, NULL, 0, text, sizeof text, &st), SL_OK);
    pid_t started = pid;
    sl_launcher_end_child(NULL, 1, &pid);
    assert_int_equal(pid, 0);
    assert_int_equal(waitpid(started, NULL, WNOHANG), -1);
}

static void a_program_of_ours_is_found_beside_this_one(void **state)
{
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(sl_program_find("unit_base_launcher", path, sizeof path, &st), SL_OK);
    assert_int_equal(access(path, X_OK), 0);
    assert_int_equal(sl_program_find("no-such-program", path, sizeof path, &st),
                     SL_FAILED_PRECONDITION);
    assert_memory_equal(st.msg, "neither in /", 12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_operation_gets_descriptors_and_gives_an_answer),
        cmocka_unit_test(a_failure_comes_back_with_its_reason),
        cmocka_unit_test(a_launcher_that_is_gone_is_an_error_not_a_hang),
        cmocka_unit_test(a_packet_for_which_there_is_no_memory_is_tried_again),
        cmocka_unit_test(an_answer_that_cannot_be_sent_is_an_error_not_a_hang),
        cmocka_unit_test(a_child_is_ended_by_the_launcher_that_started_it),
        cmocka_unit_test(a_child_of_our_own_is_ended_without_a_launcher),
        cmocka_unit_test(a_program_of_ours_is_found_beside_this_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
