/* test_protocol.c - frames between the server and sluice-fetch */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fetch/protocol.h"
#include "format/wire.h"
#include "support/calls.h"
#include "support/faults.h"

static sl_status st;

static void feed(sl_fetch_reader *r, const char *p, size_t n)
{
    sl_text_add(&r->bytes, p, n);
}

static void a_message_comes_back_as_it_was_sent(void **state)
{
    (void)state;
    sl_str names[] = {SL_STR("1"), SL_STR(""), SL_STR("007")};
    int64_t numbers[] = {1, -7, INT64_MAX};
    sl_fetch_msg m = {.kind = SL_FETCH_TIDY,
                      .id = UINT64_MAX,
                      .url = SL_STR("s3://b/m"),
                      .dir = SL_STR("/c/m"),
                      .name = SL_STR("3"),
                      .text = SL_STR("why"),
                      .code = 5,
                      .done = 1,
                      .total = 2,
                      .changed = true,
                      .patience_s = 30,
                      .max_bytes = 1ull << 40,
                      .names = names,
                      .n_names = 3,
                      .numbers = numbers,
                      .n_numbers = 3};
    sl_text t = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg got;
    sl_fetch_write(&t, &m);
    assert_false(t.failed);
    for (size_t i = 0; i < t.n; i++) { /* a byte at a time */
        assert_int_equal(sl_fetch_read(&r, &got, &st), SL_UNAVAILABLE);
        feed(&r, t.p + i, 1);
    }
    assert_int_equal(sl_fetch_read(&r, &got, &st), SL_OK);
    assert_int_equal(got.kind, SL_FETCH_TIDY);
    assert_true(got.id == UINT64_MAX && got.code == 5 && got.done == 1 && got.total == 2);
    assert_true(got.changed && got.patience_s == 30 && got.max_bytes == 1ull << 40);
    assert_true(sl_str_is(got.url, "s3://b/m") && sl_str_is(got.dir, "/c/m"));
    assert_true(sl_str_is(got.name, "3") && sl_str_is(got.text, "why"));
    assert_int_equal(got.n_names, 3);
    assert_true(sl_str_is(got.names[1], "") && sl_str_is(got.names[2], "007"));
    assert_true(got.n_numbers == 3 && got.numbers[1] == -7 && got.numbers[2] == INT64_MAX);
    sl_fetch_msg_fini(&got);
    assert_int_equal(sl_fetch_read(&r, &got, &st), SL_UNAVAILABLE);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
}

static void expect_refused(const char *p, size_t n)
{
    sl_fetch_reader r = {0};
    sl_fetch_msg m;
    feed(&r, p, n);
    assert_int_equal(sl_fetch_read(&r, &m, &st), SL_INVALID_ARGUMENT);
    sl_fetch_reader_fini(&r);
}

static void what_is_no_message_ends_the_connection(void **state)
{
    (void)state;
    expect_refused("\0\0\0\0", 4);                   /* empty frame */
    expect_refused("\xff\xff\xff\xff", 4);           /* longer than any */
    expect_refused("\x02\0\0\0\x08\xff", 6);         /* a number that does not end */
    expect_refused("\x02\0\0\0\x10\x01", 6);         /* no kind */
    expect_refused("\x03\0\0\0\x08\xff\x01", 7);     /* a kind that there is not */
    expect_refused("\x04\0\0\0\x08\x01\x1a\x7f", 8); /* a string that is longer than the frame */
}

static void more_names_than_allowed_are_refused_by_both_ends(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_str *names = sl_calloc(SL_FETCH_NAMES + 1, sizeof *names);
    sl_fetch_msg m = {.kind = SL_FETCH_LISTED, .names = names, .n_names = SL_FETCH_NAMES + 1}, got;
    sl_fetch_write(&t, &m);
    assert_true(t.failed);
    sl_text_fini(&t);
    /* two halves in one frame, as no honest sender makes it */
    sl_fetch_reader r = {0};
    unsigned n = 2 + 2 * (SL_FETCH_NAMES + 1);
    char head[] = {(char)n, (char)(n >> 8), (char)(n >> 16), 0, 0x08, SL_FETCH_LISTED};
    feed(&r, head, sizeof head);
    for (int i = 0; i <= SL_FETCH_NAMES; i++)
        feed(&r, "\x6a\0", 2);
    assert_int_equal(sl_fetch_read(&r, &got, &st), SL_RESOURCE_EXHAUSTED);
    sl_fetch_reader_fini(&r);
    sl_free(names);
}

static void frames_are_read_one_after_another_from_a_descriptor(void **state)
{
    (void)state;
    int ends[2];
    sl_text t = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg got;
    assert_int_equal(pipe(ends), 0);
    for (uint64_t i = 1; i <= 100; i++)
        sl_fetch_write(&t,
                       &(sl_fetch_msg){.kind = SL_FETCH_PROGRESS, .id = i, .text = SL_STR("x")});
    assert_int_equal(write(ends[1], t.p, t.n), t.n);
    close(ends[1]);
    uint64_t next = 1;
    for (;;) {
        sl_code rc = sl_fetch_read(&r, &got, &st);
        if (rc == SL_OK) {
            assert_int_equal(got.id, next++);
            sl_fetch_msg_fini(&got);
        } else if (sl_fetch_fill(&r, ends[0]) == 0) {
            break;
        }
    }
    assert_int_equal(next, 101);
    close(ends[0]);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
}

static void what_a_socket_does_not_take_is_sent_later(void **state)
{
    (void)state;
    int ends[2];
    size_t at = 0, taken;
    sl_text t = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg m = {.kind = SL_FETCH_LOG, .text = SL_STR("the same again")};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    while (t.n < 4 << 20)
        sl_fetch_write(&t, &m);
    assert_int_equal(sl_fetch_flush(ends[1], &t, &at), 0);
    assert_true(at > 0 && at < t.n);
    do {
        taken = at;
        while (sl_fetch_fill(&r, ends[0]) > 0)
            ;
        assert_int_equal(sl_fetch_flush(ends[1], &t, &at), 0);
    } while (at > taken);
    while (sl_fetch_fill(&r, ends[0]) > 0)
        ;
    assert_int_equal(at, t.n);
    assert_int_equal(r.bytes.n, t.n);
    assert_memory_equal(r.bytes.p, t.p, t.n);
    close(ends[0]);
    at = 0;
    assert_int_equal(sl_fetch_flush(ends[1], &t, &at), -1);
    assert_int_equal(errno, EPIPE);
    close(ends[1]);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
}

static sl_code write_and_read(void *arg, sl_status *status)
{
    const sl_fetch_msg *m = arg;
    sl_text t = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg got = {0};
    sl_fetch_write(&t, m);
    sl_code rc = t.failed ? sl_fail(status, SL_RESOURCE_EXHAUSTED, "the caller's") : SL_OK;
    if (rc == SL_OK) {
        sl_text_add(&r.bytes, t.p, t.n);
        rc = sl_fetch_read(&r, &got, status);
    }
    if (rc == SL_OK)
        sl_fetch_msg_fini(&got);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    sl_str names[20];
    int64_t numbers[20] = {0};
    for (int i = 0; i < 20; i++)
        names[i] = SL_STR("name");
    sl_fetch_msg m = {
        .kind = SL_FETCH_TIDY, .names = names, .n_names = 20, .numbers = numbers, .n_numbers = 20};
    assert_in_range(fail_each_allocation(write_and_read, &m), 5, 50);
}

static void more_names_or_numbers_than_allowed_are_neither_written_nor_read(void **state)
{
    (void)state;
    enum { MANY = SL_FETCH_NAMES + 1 };
    static sl_str names[MANY];
    static int64_t numbers[MANY];
    for (int i = 0; i < MANY; i++)
        names[i] = SL_STR("");
    for (int kind = 0; kind < 2; kind++) {
        sl_fetch_msg m = {.kind = SL_FETCH_TIDY,
                          .names = names,
                          .n_names = kind ? 0 : MANY,
                          .numbers = numbers,
                          .n_numbers = kind ? MANY : 0};
        sl_fetch_msg got;
        sl_fetch_reader r = {0};
        sl_text t = {0};
        sl_fetch_write(&t, &m);
        assert_true(t.failed);
        t.failed = false; /* as somebody might write it who counts differently */
        size_t n = t.n - 4;
        for (int i = 0; i < 4; i++)
            t.p[i] = (char)(n >> (8 * i));
        sl_text_add(&r.bytes, t.p, t.n);
        assert_int_equal(sl_fetch_read(&r, &got, &st), SL_RESOURCE_EXHAUSTED);
        sl_fetch_reader_fini(&r);
        sl_text_fini(&t);
    }
    static const char longest[SL_FETCH_FRAME + 1];
    sl_text t = {0};
    sl_fetch_write(&t, &(sl_fetch_msg){.kind = SL_FETCH_TIDY, .text = {longest, sizeof longest}});
    assert_true(t.failed);
    sl_text_fini(&t);
}

/* Of a later version: unknown numbers and texts, other wire types, a kind that does not exist. */
static void what_is_not_known_is_not_taken(void **state)
{
    (void)state;
    sl_text t = {0}, inside = {0};
    sl_fetch_reader r = {0};
    sl_fetch_msg got;
    for (unsigned field = 1; field < 30; field++)
        sl_wire_put_fixed32(&inside, field, 7);
    sl_wire_put_varint(&inside, 1, SL_FETCH_LIST);
    sl_wire_put_varint(&inside, 29, 7);
    sl_wire_put_bytes(&inside, 29, "x", 1);
    sl_text_add(&t, (char[]){(char)inside.n, (char)(inside.n >> 8), 0, 0}, 4);
    sl_text_add(&t, inside.p, inside.n);
    feed(&r, t.p, t.n);
    assert_int_equal(sl_fetch_read(&r, &got, &st), SL_OK);
    assert_int_equal(got.kind, SL_FETCH_LIST);
    assert_true(got.id == 0 && got.url.n == 0 && got.n_names == 0 && got.n_numbers == 0);
    sl_fetch_msg_fini(&got);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&inside);
    sl_text_fini(&t);
    feed(&r, "\x02\0\0\0\x08\x7f", 6);
    assert_int_equal(sl_fetch_read(&r, &got, &st), SL_INVALID_ARGUMENT);
    sl_fetch_reader_fini(&r);
}

static void a_signal_in_between_does_not_end_it(void **state)
{
    (void)state;
    int fds[2];
    size_t at = 0;
    sl_text t = {0};
    sl_fetch_reader r = {0};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    sl_fetch_write(&t, &(sl_fetch_msg){.kind = SL_FETCH_LIST});
    fail_call("send", 1, EINTR);
    assert_int_equal(sl_fetch_flush(fds[0], &t, &at), 0);
    assert_int_equal(calls_counted(), 2);
    fail_call(NULL, 0, 0);
    assert_int_equal(at, t.n);
    fail_call("read", 1, EINTR);
    assert_int_equal(sl_fetch_fill(&r, fds[1]), t.n);
    assert_int_equal(calls_counted(), 2);
    fail_call(NULL, 0, 0);
    sl_fetch_reader_fini(&r);
    sl_text_fini(&t);
    close(fds[0]);
    close(fds[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_known_is_not_taken),
        cmocka_unit_test(a_signal_in_between_does_not_end_it),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(more_names_or_numbers_than_allowed_are_neither_written_nor_read),
        cmocka_unit_test(a_message_comes_back_as_it_was_sent),
        cmocka_unit_test(what_is_no_message_ends_the_connection),
        cmocka_unit_test(more_names_than_allowed_are_refused_by_both_ends),
        cmocka_unit_test(frames_are_read_one_after_another_from_a_descriptor),
        cmocka_unit_test(what_a_socket_does_not_take_is_sent_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
