/* test_log.c - what reaches the file, and that nobody has to wait for it */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/log_form.h"

typedef struct fixture {
    int fd;
    char text[1 << 20];
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    f->fd = memfd_create("log", 0);
    setenv("TZ", "UTC-2", 1); /* two hours east */
    tzset();
    *state = f;
    return f->fd < 0;
}

static int teardown(void **state)
{
    fixture *f = *state;
    sl_log_stop();
    sl_clock_fake(0);
    close(f->fd);
    free(f);
    return 0;
}

static void start(fixture *f, sl_log_level level, bool json)
{
    sl_status st;
    sl_log_options o = {.level = level, .json = json, .fd = f->fd};
    sl_clock_fake(1782907200000001000u); /* 2026-07-01 12:00:00.000001 UTC */
    assert_int_equal(sl_log_start(&o, &st), SL_OK);
}

/* Everything that has been written so far. */
static const char *written(fixture *f)
{
    ssize_t n = pread(f->fd, f->text, sizeof f->text - 1, 0);
    assert_true(n >= 0);
    f->text[n] = '\0';
    return f->text;
}

static int lines(const char *text)
{
    int n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void a_line_has_the_form_of_tensorflow_serving(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    sl_log_at(SL_WARNING, "/build/src/server/config.c", 12, "model %s is odd", "half");
    sl_log_stop();
    assert_string_equal(written(f),
                        "2026-07-01 14:00:00.000001: W server/config.c:12] model half is odd\n");
}

static void a_json_line_is_one_object(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, true);
    sl_log_at(SL_ERROR, "x/src/net/loop.c", 3, "say \"%s\"", "a\\b");
    sl_log_stop();
    assert_string_equal(written(f),
                        "{\"time\":\"2026-07-01T12:00:00.000001Z\",\"level\":\"error\","
                        "\"file\":\"net/loop.c:3\",\"message\":\"say \\\"a\\\\b\\\"\"}\n");
}

static void controls_and_wrong_utf8_are_escaped(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    sl_log_at(SL_INFO, "a.c", 1, "%s", "a\nb\x1b[2J\xff\xc2\x9b\xc3\xa4\x7f");
    sl_log_stop();
    assert_non_null(strstr(written(f), "] a\\nb\\x1b[2J\\xff\\x9b\xc3\xa4\\x7f\n"));
    assert_int_equal(lines(written(f)), 1);
}

static void controls_and_wrong_utf8_are_escaped_in_json(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, true);
    sl_log_at(SL_INFO, "a.c", 1, "%s", "a\tb\x1b\xe0\x80z\xed\xa0\x80");
    sl_log_stop();
    assert_non_null(strstr(written(f), "\"a\\tb\\u001b\\ufffd\\ufffdz\\ufffd\\ufffd\\ufffd\"}\n"));
}

static void lesser_levels_are_not_written(void **state)
{
    fixture *f = *state;
    start(f, SL_WARNING, false);
    sl_log(SL_INFO, "quiet");
    assert_false(sl_log_wants(SL_DEBUG));
    sl_log_set_level(SL_DEBUG);
    sl_log(SL_DEBUG, "loud");
    sl_log_stop();
    assert_null(strstr(written(f), "quiet"));
    assert_non_null(strstr(written(f), ": D "));
    sl_log_set_level(SL_INFO);
}

static void repeat(int n)
{
    for (int i = 0; i < n; i++)
        sl_log_at(SL_INFO, "a.c", 1, "again");
}

static void a_repeated_line_is_written_once_and_counted_when_another_comes(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    repeat(4);
    sl_log_at(SL_INFO, "a.c", 2, "other");
    sl_log_stop();
    assert_string_equal(written(f),
                        "2026-07-01 14:00:00.000001: I a.c:1] again\n"
                        "2026-07-01 14:00:00.000001: I a.c:1] last line repeated 3 times\n"
                        "2026-07-01 14:00:00.000001: I a.c:2] other\n");
}

static void repeats_are_counted_after_a_second(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    repeat(2);
    sl_log_flush();
    assert_int_equal(lines(written(f)), 1);
    sl_clock_fake(1782907201000001000u);
    sl_log_flush();
    assert_non_null(strstr(written(f), "14:00:01.000001: I a.c:1] last line repeated 1 time\n"));
    assert_int_equal(lines(written(f)), 2);
}

static void a_raw_line_is_never_counted_as_a_repeat(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    sl_log_raw("GET /\n", 6);
    sl_log_raw("GET /\n", 6);
    sl_log_stop();
    assert_string_equal(written(f), "GET /\nGET /\n");
}

static void a_long_line_is_cut_and_says_so(void **state)
{
    fixture *f = *state;
    static char text[3 * SL_LOG_TEXT_MAX];
    memset(text, 'x', sizeof text - 1);
    start(f, SL_INFO, false);
    sl_log_at(SL_INFO, "a.c", 1, "%s", text);
    sl_log_at(SL_INFO, "a.c", 1, "short");
    sl_log_stop();
    assert_non_null(strstr(written(f), "xxx...\n"));
    assert_non_null(strstr(written(f), "short\n"));
    assert_int_equal(lines(written(f)), 2);
}

static void lines_are_written_at_once_when_the_log_does_not_run(void **state)
{
    fixture *f = *state;
    start(f, SL_INFO, false);
    sl_log_stop();
    sl_log_at(SL_INFO, "a.c", 1, "late");
    assert_non_null(strstr(written(f), "] late\n"));
}

static void a_full_ring_drops_lines_and_counts_them(void **state)
{
    fixture *f = *state;
    int ends[2];
    sl_status st;
    assert_int_equal(pipe(ends), 0);
    fcntl(ends[1], F_SETPIPE_SZ, 4096);
    sl_log_options o = {.fd = ends[1]};
    assert_int_equal(sl_log_start(&o, &st), SL_OK);
    /* Nobody reads, so the writer hangs in a full pipe; the caller must not. */
    enum { SENT = 5000 };
    for (int i = 0; i < SENT; i++)
        sl_log_at(SL_INFO, "a.c", i, "line number %d", i);
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, (void *(*)(void *))sl_log_stop, NULL), 0);
    size_t n = 0;
    int got = 0, dropped = 0;
    char *at, *newline;
    while (dropped == 0) {
        ssize_t more = read(ends[0], f->text + n, sizeof f->text - 1 - n);
        assert_true(more > 0);
        n += (size_t)more;
        f->text[n] = '\0';
        at = strstr(f->text, "lines of the log dropped");
        if (at != NULL) {
            while (at[-1] != ']')
                at--;
            dropped = atoi(at);
        }
    }
    for (at = f->text; (newline = strstr(at, "line number ")) != NULL; at = newline + 1)
        got++;
    assert_int_equal(got + dropped, SENT);
    assert_true(dropped > 0);
    pthread_join(stopper, NULL);
    close(ends[0]);
    close(ends[1]);
}

static void *many(void *arg)
{
    for (int i = 0; i < 200; i++)
        sl_log_at(SL_INFO, "a.c", i, "%s from thread %d",
                  "a line that takes more than one slot of the ring, "
                  "because it goes on and on and on and on and on and on and on and on and on and "
                  "on and on "
                  "and on and on and on and on and on and on and on and on and on and on and on "
                  "and on and on",
                  (int)(intptr_t)arg);
    return NULL;
}

static void lines_of_many_threads_stay_whole(void **state)
{
    fixture *f = *state;
    pthread_t threads[4];
    start(f, SL_INFO, false);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, many, (void *)(intptr_t)i), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    sl_log_stop();
    int whole = 0, notes = 0, dropped = 0;
    char *rest = NULL;
    for (char *line = strtok_r((char *)(uintptr_t)written(f), "\n", &rest); line;
         line = strtok_r(NULL, "\n", &rest)) {
        const char *note = strstr(line, " of the log dropped");
        if (note != NULL) {
            dropped += atoi(strchr(line, ']') + 1);
            notes++;
            continue;
        }
        assert_non_null(strstr(line, "] a line that takes more"));
        assert_non_null(strstr(line, "on from thread "));
        whole++;
    }
    assert_int_equal(whole + dropped, 800);
}

static void without_a_thread_the_log_does_not_start(void **state)
{
    fixture *f = *state;
    sl_status st;
    sl_log_options o = {.fd = f->fd};
    sl_fault_arm(SL_FAULT_THREAD, 1);
    assert_int_equal(sl_log_start(&o, &st), SL_RESOURCE_EXHAUSTED);
    sl_log_at(SL_INFO, "a.c", 1, "still heard");
    assert_non_null(strstr(written(f), "still heard"));
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_line_has_the_form_of_tensorflow_serving),
        T(a_json_line_is_one_object),
        T(controls_and_wrong_utf8_are_escaped),
        T(controls_and_wrong_utf8_are_escaped_in_json),
        T(lesser_levels_are_not_written),
        T(a_repeated_line_is_written_once_and_counted_when_another_comes),
        T(repeats_are_counted_after_a_second),
        T(a_raw_line_is_never_counted_as_a_repeat),
        T(a_long_line_is_cut_and_says_so),
        T(lines_are_written_at_once_when_the_log_does_not_run),
        T(a_full_ring_drops_lines_and_counts_them),
        T(lines_of_many_threads_stay_whole),
        T(without_a_thread_the_log_does_not_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
