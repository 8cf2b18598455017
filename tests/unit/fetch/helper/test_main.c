/* test_main.c - sluice-fetch as it is started: what it hears, and what it says to it */
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fetch/helper/mirror.h"
#include "fetch/helper/queue.h"
#include "fetch/protocol.h"
#include "support/web.h"

extern char **environ;

static sl_status st;
static char dir[64];
static _Atomic int mine = -1; /* the server's thread shuts it down */
static pid_t helper;
static sl_fetch_reader reader;
static sl_fetch_msg got;

static void start(const char *first)
{
    int fds[2];
    char *argv[] = {(char[]){"sluice-fetch"}, (char *)(uintptr_t)first, NULL};
    posix_spawn_file_actions_t actions;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 0);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    assert_int_equal(posix_spawn(&helper, SLUICE_FETCH, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    mine = fds[0];
}

/* Its exit status, after the socket's end. */
static int ended(void)
{
    int status;
    if (mine >= 0)
        close(mine);
    mine = -1;
    assert_int_equal(waitpid(helper, &status, 0), helper);
    helper = 0;
    sl_fetch_msg_fini(&got);
    sl_fetch_reader_fini(&reader);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sluice-main-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    if (helper)
        ended();
    fetch_remove_tree(dir);
    return 0;
}

static void tell(const sl_fetch_msg *m)
{
    sl_text t = {0};
    size_t at = 0;
    sl_fetch_write(&t, m);
    assert_int_equal(sl_fetch_flush(mine, &t, &at), 0);
    sl_text_fini(&t);
}

/* The next message but for PROGRESS; false if it has gone. */
static bool hear(void)
{
    for (;;) {
        sl_fetch_msg_fini(&got);
        sl_code rc = sl_fetch_read(&reader, &got, &st);
        if (rc == SL_OK && got.kind != SL_FETCH_PROGRESS)
            return true;
        if (rc != SL_OK && rc != SL_UNAVAILABLE)
            fail_msg("%s", st.msg);
        if (rc == SL_UNAVAILABLE && sl_fetch_fill(&reader, mine) <= 0)
            return false;
    }
}

static void expect(sl_fetch_kind kind, uint64_t id)
{
    assert_true(hear());
    assert_int_equal(got.kind, kind);
    assert_int_equal(got.id, id);
}

static void expect_failed(uint64_t id, sl_code code, const char *why)
{
    expect(SL_FETCH_FAILED, id);
    assert_int_equal(got.code, code);
    if (memmem(got.text.p, got.text.n, why, strlen(why)) == NULL)
        fail_msg("\"%s\" is not in \"%.*s\"", why, SL_STR_ARG(got.text));
}

static void set_up(void)
{
    sl_str root = SL_STR("https://mirror.example/");
    tell(&(sl_fetch_msg){.kind = SL_FETCH_SETUP,
                         .max_bytes = 1000,
                         .patience_s = 100000,
                         .names = &root,
                         .n_names = 1});
    expect(SL_FETCH_HELLO, 0);
    assert_int_equal(got.code, SL_FETCH_VERSION);
}

static void it_is_set_up_once_and_does_nothing_before(void **state)
{
    (void)state;
    start(NULL);
    tell(&(sl_fetch_msg){.kind = SL_FETCH_LIST, .id = 1, .url = SL_STR("x"), .dir = SL_STR("/x")});
    set_up();
    tell(&(sl_fetch_msg){.kind = SL_FETCH_SETUP, .max_bytes = 1, .patience_s = 7});
    tell(&(sl_fetch_msg){.kind = SL_FETCH_HELLO, .id = 2});
    tell(&(sl_fetch_msg){.kind = SL_FETCH_CANCEL, .id = 3});
    tell(&(sl_fetch_msg){.kind = SL_FETCH_LIST, .id = 4, .url = SL_STR("x"), .dir = SL_STR("/x")});
    expect_failed(4, SL_INVALID_ARGUMENT, "not a remote base path");
    assert_int_equal(ended(), 0);
}

static void what_cannot_be_done_is_refused_at_once(void **state)
{
    (void)state;
    sl_str url = SL_STR("s3://bucket/m");
    start(NULL);
    set_up();
    tell(&(sl_fetch_msg){.kind = SL_FETCH_GET, .id = 1, .url = url, .dir = SL_STR("relative")});
    expect_failed(1, SL_INVALID_ARGUMENT, "no directory");
    tell(&(sl_fetch_msg){.kind = SL_FETCH_TIDY, .id = 2, .url = url});
    expect_failed(2, SL_INVALID_ARGUMENT, "no directory");
    tell(&(sl_fetch_msg){.kind = SL_FETCH_READ, .id = 3, .url = url});
    expect_failed(3, SL_INVALID_ARGUMENT, "is no URL");
    sl_str dir_ = sl_str_of(dir), name = SL_STR("x");
    tell(&(sl_fetch_msg){.kind = SL_FETCH_GET, .id = 4, .url = url, .dir = dir_, .name = name});
    expect_failed(4, SL_INVALID_ARGUMENT, "\"x\" is no version");
    int64_t numbers[] = {1, 2};
    tell(&(sl_fetch_msg){.kind = SL_FETCH_TIDY,
                         .id = 5,
                         .url = url,
                         .dir = dir_,
                         .names = &name,
                         .n_names = 1,
                         .numbers = numbers,
                         .n_numbers = 2});
    expect(SL_FETCH_GOT, 5);
    assert_false(got.changed);
    assert_int_equal(ended(), 0);
}

static void answer(web_request *r)
{
    static const char page[] = "<ListBucketResult><Contents><Key>m/1/x</Key><Size>5</Size>"
                               "</Contents></ListBucketResult>";
    if (strstr(r->target, "list-type") != NULL)
        web_send(r, 200, "", page, sizeof page - 1);
    else
        web_send(r, 200, "Cache-Control: max-age=9\r\n", "keys", 4);
}

static void documents_and_half_a_version_are_told(void **state)
{
    (void)state;
    char url[100];
    web_start(answer);
    setenv("AWS_ENDPOINT_URL", web_url(), 1);
    start(NULL);
    set_up();
    snprintf(url, sizeof url, "%s/jwks", web_url());
    tell(&(sl_fetch_msg){
        .kind = SL_FETCH_READ, .id = 1, .url = sl_str_of(url), .max_bytes = 4, .patience_s = 5000});
    expect(SL_FETCH_DOCUMENT, 1);
    assert_true(sl_str_is(got.text, "keys") && got.changed && got.total == 9);
    tell(&(sl_fetch_msg){
        .kind = SL_FETCH_READ, .id = 2, .url = sl_str_of(url), .max_bytes = 3, .patience_s = 60});
    expect_failed(2, SL_OUT_OF_RANGE, "more than 3 bytes");
    tell(&(sl_fetch_msg){.kind = SL_FETCH_GET,
                         .id = 3,
                         .url = SL_STR("s3://bucket/m"),
                         .dir = sl_str_of(dir),
                         .name = SL_STR("1")});
    expect(SL_FETCH_PARTIAL, 3);
    assert_true(sl_str_is(got.text, "there is no saved_model.pb"));
    web_stop();
    assert_int_equal(ended(), 0);
}

static void goes_first(web_request *r)
{
    shutdown(mine, SHUT_RDWR);
    web_send(r, 200, "", "keys", 4);
}

static void it_ends_when_the_server_has_gone_whatever_it_does(void **state)
{
    (void)state;
    char url[100];
    web_start(goes_first);
    start(NULL);
    set_up();
    snprintf(url, sizeof url, "%s/jwks", web_url());
    tell(&(sl_fetch_msg){.kind = SL_FETCH_READ, .id = 1, .url = sl_str_of(url), .max_bytes = 4});
    assert_false(hear());
    assert_int_equal(ended(), 0);
    web_stop();
}

static void it_ends_when_what_it_says_is_not_heard(void **state)
{
    (void)state;
    struct pollfd said;
    start(NULL);
    tell(&(sl_fetch_msg){.kind = SL_FETCH_SETUP, .max_bytes = 1000, .patience_s = 30});
    said = (struct pollfd){.fd = mine, .events = POLLIN};
    assert_int_equal(poll(&said, 1, 60000), 1);
    assert_int_equal(ended(), 0);
}

static void it_ends_when_it_cannot_say_anything(void **state)
{
    (void)state;
    start(NULL);
    set_up();
    assert_int_equal(shutdown(mine, SHUT_RD), 0); /* what we say still comes */
    tell(&(sl_fetch_msg){.kind = SL_FETCH_LIST, .id = 1, .url = SL_STR("x"), .dir = SL_STR("/x")});
    assert_int_equal(ended(), 0);
}

static void says_nothing(web_request *r)
{
    char byte;
    (void)!read(r->fd, &byte, 1); /* until the other side has gone */
}

static void more_requests_than_may_wait_are_refused(void **state)
{
    enum { MOST = FETCH_OPS_OF_ONE + FETCH_MOST_WAITING };
    (void)state;
    char url[100];
    web_start(says_nothing);
    start(NULL);
    set_up();
    snprintf(url, sizeof url, "%s/jwks", web_url());
    for (uint64_t id = 1; id <= MOST + 1; id++)
        tell(&(sl_fetch_msg){
            .kind = SL_FETCH_READ, .id = id, .url = sl_str_of(url), .patience_s = 600});
    expect_failed(MOST + 1, SL_RESOURCE_EXHAUSTED, "too many requests");
    assert_int_equal(ended(), 0);
    web_stop();
}

static void what_is_no_message_ends_it(void **state)
{
    (void)state;
    start(NULL);
    assert_int_equal(send(mine, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    assert_false(hear());
    assert_int_equal(ended(), 1);
    start(NULL);
    assert_int_equal(send(mine, "\1", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(ended(), 0); /* half a message is none */
}

static void it_is_no_program_for_anybody_else(void **state)
{
    (void)state;
    start("--help");
    assert_int_equal(ended(), 2);
    start("unpack");
    assert_int_equal(ended(), 2);
}

#ifdef SLUICE_FAULTS
/* The server waits for answers, but not for a helper that has ended: it starts another. */
static void without_memory_it_answers_or_ends(void **state)
{
    (void)state;
    int answered = 0, gone = 0;
    for (int nth = 1; nth <= 12; nth++) {
        char fault[32];
        snprintf(fault, sizeof fault, "alloc %d", nth);
        setenv("SLUICE_FAULT", fault, 1);
        start(NULL);
        unsetenv("SLUICE_FAULT");
        tell(&(sl_fetch_msg){.kind = SL_FETCH_SETUP, .max_bytes = 1000});
        tell(&(sl_fetch_msg){
            .kind = SL_FETCH_LIST, .id = 4, .url = SL_STR("x"), .dir = SL_STR("/x")});
        bool whole = hear() && got.kind == SL_FETCH_HELLO && hear() && got.kind == SL_FETCH_FAILED;
        int status = ended();
        assert_int_equal(status, whole ? 0 : 1);
        answered += whole;
        gone += !whole;
    }
    assert_in_range(answered, 1, 11);
    assert_in_range(gone, 1, 11);
}
#endif

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(it_is_set_up_once_and_does_nothing_before),
        T(what_cannot_be_done_is_refused_at_once),
        T(documents_and_half_a_version_are_told),
        T(it_ends_when_the_server_has_gone_whatever_it_does),
        T(it_ends_when_what_it_says_is_not_heard),
        T(it_ends_when_it_cannot_say_anything),
        T(more_requests_than_may_wait_are_refused),
        T(what_is_no_message_ends_it),
        T(it_is_no_program_for_anybody_else),
#ifdef SLUICE_FAULTS
        T(without_memory_it_answers_or_ends),
#endif
    };
    signal(SIGPIPE, SIG_IGN);
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    setenv("AWS_REGION", "us-west-2", 1);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
