/* test_files.c - objects and archives into files, from a server that breaks off and lies */
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fetch/helper/checks.h"
#include "fetch/helper/http_inside.h"
#include "fixture.h"
#include "support/calls.h"
#include "support/faults.h"

static const char hello[] = "hello, files"; /* 12 bytes */
enum { N = sizeof hello - 1, HALF = 5 };

static fetch_listing listing;
static fetch_reply reply;
static int fd;
static const char *broken; /* build() fails with it */

/* http://SERVER/KEY; for an archive, which has no object, /archive */
static sl_code build(fetch_op *op, const void *arg, fetch_request *r, sl_status *status)
{
    const fetch_object *o = arg;
    (void)op;
    if (broken != NULL)
        return sl_fail(status, SL_UNAUTHENTICATED, "%s", broken);
    sl_text_printf(&r->url, "%s/%s?secret", web_url(), o && o->key ? o->key : "archive");
    return SL_OK;
}

static int setup(void **state)
{
    broken = NULL;
    if (fixture_setup(state))
        return 1;
    fd = open(dir, O_RDONLY | O_DIRECTORY);
    return fd < 0;
}

static int teardown(void **state)
{
    web_stop();
    fetch_listing_fini(&listing);
    fetch_reply_fini(&reply);
    close(fd);
    return fixture_teardown(state);
}

static fetch_object *add(const char *path, uint64_t size)
{
    assert_int_equal(
        fetch_listing_add(&listing, sl_str_of(path), sl_str_of(path), size, SL_STR("t"), &st),
        SL_OK);
    return &listing.list[listing.count - 1];
}

static void add_checked(void)
{
    fetch_checks c = {.want_crc32c = true};
    fetch_checks_add(&c, hello, N);
    fetch_object *o = add("f", N);
    o->has_crc32c = true;
    o->crc32c = c.crc32c;
}

static fetch_op op;

static sl_code get(void)
{
    op = new_op();
    return fetch_files(&op, &listing, fd, build, NULL, &st);
}

static sl_code get_archive(uint64_t limit)
{
    op = new_op();
    return fetch_one_file(&op, fd, "archive", build, NULL, limit, &reply, &st);
}

static void expect_file(const char *name, const char *content)
{
    char path[200], got[256] = "";
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    assert_int_equal(n, strlen(content));
    assert_string_equal(got, content);
}

/* ---- answers ---- */

static void whole(web_request *r)
{
    web_send(r, 200, "ETag: \"1\"\r\n", hello, N);
}

/* The head of all of it, and only the first bytes of it. */
static void half_of(web_request *r, const char *headers)
{
    web_send_head(r, 200, headers, N);
    web_put(r, hello, HALF);
}

static void rest(web_request *r)
{
    web_send(r, 206, "Content-Range: bytes 5-11/12\r\n", hello + HALF, N - HALF);
}

static void half_then_rest(web_request *r)
{
    if (r->number == 0)
        half_of(r, "ETag: \"1\"\r\n");
    else
        rest(r);
}

/* ---- objects ---- */

static void all_objects_come_with_their_directories(void **state)
{
    (void)state;
    char name[32];
    web_start(whole);
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof name, "a/%d/c/f%d", i % 3, i);
        add(name, N);
    }
    add("top", N);
    assert_int_equal(get(), SL_OK);
    assert_int_equal(web_asked(), 11);
    assert_int_equal(op.done, 11 * N);
    for (int i = 0; i < listing.count; i++)
        expect_file(listing.list[i].path, hello);
}

/* libcurl says that there may be other kinds one day. */
static void news_that_tell_of_no_end_are_passed_over(void **state)
{
    (void)state;
    web_start(whole);
    add("f", N);
    fail_call("curl_multi_info_read", 1, 0);
    assert_int_equal(get(), SL_OK);
    assert_true(calls_counted() > 1);
    fail_call(NULL, 0, 0);
    expect_file("f", hello);
}

static void nothing_to_fetch_is_nothing_to_ask(void **state)
{
    (void)state;
    web_start(whole);
    assert_int_equal(get(), SL_OK);
    assert_int_equal(web_asked(), 0);
}

static void nothing(web_request *r)
{
    web_send(r, 200, "", "", 0);
}

static void an_empty_object_is_an_empty_file(void **state)
{
    (void)state;
    web_start(nothing);
    add("empty", 0);
    assert_int_equal(get(), SL_OK);
    expect_file("empty", "");
}

static void an_object_that_breaks_off_is_gone_on_with(void **state)
{
    (void)state;
    web_start(half_then_rest);
    add_checked();
    assert_int_equal(get(), SL_OK);
    expect_file("f", hello);
    assert_string_equal(web_header(web_seen(1), "Range"), "bytes=5-");
    assert_int_equal(op.done, N);
}

static void half_then_whole(web_request *r)
{
    if (r->number == 0)
        half_of(r, "");
    else
        whole(r);
}

static void a_store_that_sends_the_whole_again_is_taken_from_the_start(void **state)
{
    (void)state;
    web_start(half_then_whole);
    add("f", N);
    assert_int_equal(get(), SL_OK);
    expect_file("f", hello);
    assert_int_equal(op.done, N);
}

static void half_then_other_part(web_request *r)
{
    if (r->number == 0)
        half_of(r, "");
    else
        web_send(r, 206, "Content-Range: bytes 4-11/12\r\n", hello + 4, N - 4);
}

static void another_part_than_was_asked_for_is_not_taken(void **state)
{
    (void)state;
    web_start(half_then_other_part);
    add("f", N);
    assert_int_equal(get(), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "another part came than was asked for"));
    assert_null(strstr(st.msg, "secret"));
}

static void part_of_nothing(web_request *r)
{
    web_send(r, 206, "", hello, N);
}

static void a_part_that_does_not_say_which_is_not_taken(void **state)
{
    (void)state;
    web_start(part_of_nothing);
    add("f", N);
    assert_int_equal(get(), SL_DATA_LOSS);
    assert_int_equal(web_asked(), 1);
}

static void half_then_no_news(web_request *r)
{
    if (r->number % 2 == 0)
        half_of(r, "");
    else
        web_send(r, 304, "", "", 0);
}

static void not_modified_is_no_answer_for_an_object(void **state)
{
    (void)state;
    web_start(half_then_no_news);
    add("f", N);
    assert_int_equal(get(), SL_UNAVAILABLE);
    assert_int_equal(web_asked(), FETCH_TRIES);
    assert_int_equal(op.done, HALF);
}

static void no_news(web_request *r)
{
    web_send(r, 304, "", "", 0);
}

static void an_object_of_which_nothing_comes_is_no_empty_file(void **state)
{
    (void)state;
    web_start(no_news);
    add("f", N);
    assert_int_equal(get(), SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, "/f: 0 bytes came of 12"));
}

static void more_than_listed(web_request *r)
{
    web_send(r, 200, "", "hello, files!", N + 1);
}

static void more_bytes_than_were_listed_are_not_taken(void **state)
{
    (void)state;
    web_start(more_than_listed);
    add("f", N);
    assert_int_equal(get(), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "more than the 12 bytes that were listed"));
}

static void wrong_then_right(web_request *r)
{
    char wrong[N];
    memcpy(wrong, hello, N);
    wrong[3] ^= 1;
    web_send(r, 200, "", r->number == 0 ? wrong : hello, N);
}

static void always_wrong(web_request *r)
{
    web_send(r, 200, "", "HELLO, FILES", N);
}

static void wrong_bytes_are_fetched_once_more_and_then_refused(void **state)
{
    (void)state;
    web_start(wrong_then_right);
    add_checked();
    assert_int_equal(get(), SL_OK);
    expect_file("f", hello);
    web_stop();
    web_start(always_wrong);
    unlinkat(fd, "f", 0);
    assert_int_equal(get(), SL_DATA_LOSS);
    assert_int_equal(web_asked(), 2);
    assert_non_null(strstr(st.msg, "CRC-32C"));
}

static void wrong_bytes_that_cannot_be_thrown_away_are_not_written_over(void **state)
{
    (void)state;
    web_start(wrong_then_right);
    add_checked();
    fail_call("ftruncate", 1, EIO);
    assert_int_equal(get(), SL_INTERNAL);
    fail_call("lseek", 1, EIO);
    web_stop();
    web_start(wrong_then_right);
    unlinkat(fd, "f", 0);
    assert_int_equal(get(), SL_INTERNAL);
    web_stop();
    web_start(half_then_whole);
    fail_call("ftruncate", 1, EIO);
    unlinkat(fd, "f", 0);
    assert_int_equal(get(), SL_INTERNAL);
    fail_call(NULL, 0, 0);
}

static void complaint(web_request *r)
{
    static char large[20000];
    memset(large, ' ', sizeof large);
    memcpy(large, "<Error><Code>No</Code></Error>", 30);
    web_send(r, r->number == 0 ? 500 : 403, "", large, r->number == 0 ? sizeof large : 30);
}

static void a_complaint_is_told_and_never_a_file(void **state)
{
    (void)state;
    web_start(complaint);
    add("f", N);
    assert_int_equal(get(), SL_PERMISSION_DENIED);
    assert_non_null(strstr(st.msg, "HTTP status 403: No"));
    assert_int_equal(web_asked(), 2);
    expect_file("f", "");
}

static int lessons;

static bool learn(fetch_op *o, const fetch_reply *r)
{
    (void)o;
    return lessons++ < 9 && r->status == 403;
}

static void forbidden(web_request *r)
{
    if (r->number < 2)
        web_send(r, 403, "", "no", 2);
    else
        whole(r);
}

static void always_forbidden(web_request *r)
{
    web_send(r, 403, "", "no", 2);
}

static void a_store_learns_from_a_refusal_twice(void **state)
{
    (void)state;
    web_start(forbidden);
    add("f", N);
    op = new_op();
    lessons = 0;
    assert_int_equal(fetch_files(&op, &listing, fd, build, learn, &st), SL_OK);
    assert_int_equal(lessons, 2);
    web_stop();
    web_start(always_forbidden);
    unlinkat(fd, "f", 0);
    lessons = 0;
    assert_int_equal(fetch_files(&op, &listing, fd, build, learn, &st), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 3);
    lessons = 9;
    unlinkat(fd, "f", 0);
    assert_int_equal(fetch_files(&op, &listing, fd, build, learn, &st), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 4);
}

static void a_name_that_is_there_already_is_not_written_through(void **state)
{
    (void)state;
    web_start(whole);
    assert_int_equal(symlinkat("/tmp/sluice-escaped", fd, "f"), 0);
    add("f", N);
    assert_int_equal(get(), SL_INTERNAL);
    assert_int_not_equal(access("/tmp/sluice-escaped", F_OK), 0);
}

static char large[200000];

static void large_in_two_parts(web_request *r)
{
    if (r->number == 0) {
        web_send_head(r, 200, "", sizeof large);
        web_put(r, large, 100000);
    } else {
        web_send(r, 206, "Content-Range: bytes 100000-199999/200000\r\n", large + 100000, 100000);
    }
}

static void a_large_object_comes_piece_by_piece(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof large; i++)
        large[i] = (char)(i * 7);
    web_start(large_in_two_parts);
    fetch_checks c = {.want_crc32c = true};
    fetch_checks_add(&c, large, sizeof large);
    fetch_object *o = add("f", sizeof large);
    o->has_crc32c = true;
    o->crc32c = c.crc32c;
    assert_int_equal(get(), SL_OK);
    assert_int_equal(op.done, sizeof large);
    assert_int_equal(web_asked(), 2);
}

static void one_file_that_cannot_be_made_ends_it(void **state)
{
    (void)state;
    web_start(whole);
    add("a", N);
    add("b", N);
    add("c", N);
    fail_call("openat", 1, EACCES);
    assert_int_equal(get(), SL_INTERNAL);
    assert_int_equal(calls_counted(), 1);
    fail_call(NULL, 0, 0);
    assert_int_equal(web_asked(), 0);
}

static void an_archive_that_waits_to_be_tried_again_can_be_cancelled(void **state)
{
    (void)state;
    atomic_store(&hurry.stop, true); /* the clock stands: it would wait for ever */
    web_start(half_then_no_news);
    for (int i = 1; i <= 4; i++) {
        atomic_store(&turns, 0);
        cancel_at = i;
        unlinkat(fd, "archive", 0);
        assert_int_equal(get_archive(99), SL_CANCELLED);
        web_stop();
        web_start(half_then_no_news);
    }
}

static void a_file_that_waits_to_be_tried_again_can_be_cancelled(void **state)
{
    (void)state;
    atomic_store(&hurry.stop, true); /* the clock stands: it would wait for ever */
    web_start(half_then_no_news);
    add("f", N);
    for (int i = 1; i <= 8; i++) {
        atomic_store(&turns, 0);
        cancel_at = i;
        unlinkat(fd, "f", 0);
        assert_int_equal(get(), SL_CANCELLED);
        web_stop();
        web_start(half_then_no_news);
    }
}

static void a_full_disk_is_said_to_be_one(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int error;
        sl_code code;
    } cases[] = {{"mkdirat", ENOSPC, SL_RESOURCE_EXHAUSTED},
                 {"mkdirat", EIO, SL_INTERNAL},
                 {"openat", ENOSPC, SL_RESOURCE_EXHAUSTED},
                 {"write", ENOSPC, SL_RESOURCE_EXHAUSTED},
                 {"write", EDQUOT, SL_RESOURCE_EXHAUSTED},
                 {"write", EIO, SL_INTERNAL},
                 {"write", EINTR, SL_OK}};
    web_start(whole);
    add("d/f", N);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        fail_call(cases[i].call, 1, cases[i].error);
        assert_int_equal(get(), cases[i].code);
        fail_call(NULL, 0, 0);
        if (cases[i].code)
            assert_non_null(strstr(st.msg, strerror(cases[i].error)));
        unlinkat(fd, "d/f", 0);
    }
}

static void keys_that_cannot_be_had_end_it(void **state)
{
    (void)state;
    web_start(whole);
    add("f", N);
    broken = "no keys";
    assert_int_equal(get(), SL_UNAUTHENTICATED);
    assert_int_equal(get_archive(99), SL_UNAUTHENTICATED);
    assert_string_equal(st.msg, "no keys");
    assert_int_equal(web_asked(), 0);
}

static void a_request_that_is_not_wanted_any_more_ends(void **state)
{
    (void)state;
    web_start(half_then_no_news);
    add("f", N);
    cancel_at = 3;
    assert_int_equal(get(), SL_CANCELLED);
    web_stop();
    web_start(half_then_no_news);
    atomic_store(&turns, 0);
    cancel_at = 2;
    assert_int_equal(get_archive(99), SL_CANCELLED);
}

static sl_code get_once(void *arg, sl_status *status)
{
    (void)arg;
    unlinkat(fd, "f", 0);
    op = new_op();
    return fetch_files(&op, &listing, fd, build, NULL, status);
}

static void without_memory_it_fails_and_says_so(void **state)
{
    (void)state;
    web_start(whole);
    add("f", N);
    assert_in_range(fail_each_call("curl_easy_init", 0, get_once, NULL), 4, 9);
    assert_int_equal(fail_each_call("curl_multi_init", 0, get_once, NULL), 1);
    assert_int_equal(fail_each_call("curl_multi_add_handle", 3, get_once, NULL), 1);
    listing.list[0].has_md5 = true;
    assert_in_range(fail_each_call("EVP_MD_CTX_new", 0, get_once, NULL), 1, 9);
    assert_in_range(fail_each_allocation(get_once, NULL), 1, 9);
}

/* ---- archives ---- */

static void an_archive_comes_whole(void **state)
{
    (void)state;
    web_start(whole);
    assert_int_equal(get_archive(N), SL_OK);
    expect_file("archive", hello);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.etag, "\"1\"");
    assert_int_equal(op.done, N);
}

static void an_archive_that_is_not_modified_leaves_no_bytes(void **state)
{
    (void)state;
    web_start(no_news);
    assert_int_equal(get_archive(N), SL_OK);
    assert_int_equal(reply.status, 304);
}

static void a_larger_archive_than_allowed_is_refused(void **state)
{
    (void)state;
    web_start(whole);
    assert_int_equal(get_archive(N - 1), SL_OUT_OF_RANGE);
    assert_non_null(strstr(st.msg, "more than the 11 bytes that are allowed"));
}

static void an_archive_goes_on_only_if_it_is_the_same(void **state)
{
    (void)state;
    web_start(half_then_rest);
    assert_int_equal(get_archive(N), SL_OK);
    expect_file("archive", hello);
    assert_string_equal(web_header(web_seen(1), "If-Range"), "\"1\"");
    assert_string_equal(web_header(web_seen(1), "Range"), "bytes=5-");
    assert_int_equal(op.done, N);
}

static void an_archive_without_a_strong_tag_begins_anew(void **state)
{
    (void)state;
    web_start(half_then_whole);
    assert_int_equal(get_archive(N), SL_OK);
    expect_file("archive", hello);
    assert_string_equal(web_header(web_seen(1), "Range"), "");
    assert_int_equal(op.done, N);
}

static void an_archive_that_cannot_begin_anew_is_an_error(void **state)
{
    (void)state;
    web_start(half_then_whole);
    fail_call("ftruncate", 1, EIO);
    assert_int_equal(get_archive(N), SL_INTERNAL);
    fail_call(NULL, 0, 0);
}

/* Of the rest, in turn: nothing, as a part; nothing, as the whole; a page; at last all of it. */
static void half_then_nothing(web_request *r)
{
    switch (r->number) {
    case 1:
        web_send(r, 206, "Content-Range: bytes 5-11/12\r\n", "", 0);
        break;
    case 3:
        web_send(r, 202, "", "wait", 4);
        break;
    case 4:
        whole(r);
        break;
    default:
        half_of(r, "ETag: \"1\"\r\n");
    }
}

static void half_an_archive_is_never_taken_for_the_whole(void **state)
{
    (void)state;
    web_start(half_then_nothing);
    assert_int_equal(get_archive(N), SL_OK);
    assert_int_equal(web_asked(), 5);
    expect_file("archive", hello);
    assert_int_equal(op.done, N);
}

static void one_part_at_a_time(web_request *r)
{
    char range[128];
    size_t at = (size_t)r->number * 4;
    snprintf(range, sizeof range, "ETag: \"1\"\r\nContent-Range: bytes %zu-%zu/12\r\n", at, at + 3);
    web_send(r, 206, range, hello + at, 4);
}

static void parts_make_a_whole_only_when_all_are_there(void **state)
{
    (void)state;
    web_start(one_part_at_a_time);
    assert_int_equal(get_archive(N), SL_OK);
    assert_int_equal(web_asked(), 3);
    expect_file("archive", hello);
}

static void part_of_an_unknown_whole(web_request *r)
{
    web_send(r, 206, "Content-Range: bytes 0-11/*\r\n", hello, N);
}

static void a_part_of_an_unknown_whole_is_taken_as_it_comes(void **state)
{
    (void)state;
    web_start(part_of_an_unknown_whole);
    assert_int_equal(get_archive(N), SL_OK);
    expect_file("archive", hello);
}

static sem_t go_on;
static bool told; /* how much is to come, before all of it was there */

static void hear_of_the_whole(fetch_op *o)
{
    told |= o->total == N && o->done < N;
    if (told || ++turns > 1000)
        sem_post(&go_on);
}

static void the_rest_when_the_whole_is_known(web_request *r)
{
    half_of(r, "");
    sem_wait(&go_on);
    web_put(r, hello + HALF, N - HALF);
}

static void how_much_is_to_come_is_known_while_it_comes(void **state)
{
    (void)state;
    told = false;
    atomic_store(&hurry.stop, true); /* no clock is needed, nor is its haste */
    assert_int_equal(sem_init(&go_on, 0, 0), 0);
    web_start(the_rest_when_the_whole_is_known);
    op = new_op();
    op.progress = hear_of_the_whole;
    assert_int_equal(fetch_one_file(&op, fd, "archive", build, NULL, N, &reply, &st), SL_OK);
    assert_true(told);
    expect_file("archive", hello);
    sem_destroy(&go_on);
}

static void fails_always(web_request *r)
{
    web_send(r, 500, "", "", 0);
}

static void an_archive_is_asked_for_five_times(void **state)
{
    (void)state;
    web_start(fails_always);
    assert_int_equal(get_archive(N), SL_UNAVAILABLE);
    assert_int_equal(web_asked(), FETCH_TRIES);
    assert_int_equal(reply.status, 500);
}

static sl_code get_archive_once(void *arg, sl_status *status)
{
    (void)arg;
    unlinkat(fd, "archive", 0);
    op = new_op();
    sl_code rc = fetch_one_file(&op, fd, "archive", build, NULL, N, &reply, status);
    fetch_reply_fini(&reply);
    return rc;
}

static void an_archive_that_finds_no_memory_says_so(void **state)
{
    (void)state;
    web_start(whole);
    assert_in_range(fail_each_call("curl_easy_init", 0, get_archive_once, NULL), 1, 9);
    assert_int_equal(fail_each_call("curl_multi_add_handle", 3, get_archive_once, NULL), 1);
    assert_int_equal(fail_each_call("openat", EACCES, get_archive_once, NULL), 1);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(all_objects_come_with_their_directories),
        T(news_that_tell_of_no_end_are_passed_over),
        T(nothing_to_fetch_is_nothing_to_ask),
        T(an_empty_object_is_an_empty_file),
        T(an_object_that_breaks_off_is_gone_on_with),
        T(a_store_that_sends_the_whole_again_is_taken_from_the_start),
        T(another_part_than_was_asked_for_is_not_taken),
        T(a_part_that_does_not_say_which_is_not_taken),
        T(not_modified_is_no_answer_for_an_object),
        T(an_object_of_which_nothing_comes_is_no_empty_file),
        T(more_bytes_than_were_listed_are_not_taken),
        T(wrong_bytes_are_fetched_once_more_and_then_refused),
        T(wrong_bytes_that_cannot_be_thrown_away_are_not_written_over),
        T(a_complaint_is_told_and_never_a_file),
        T(a_store_learns_from_a_refusal_twice),
        T(a_name_that_is_there_already_is_not_written_through),
        T(a_large_object_comes_piece_by_piece),
        T(one_file_that_cannot_be_made_ends_it),
        T(an_archive_that_waits_to_be_tried_again_can_be_cancelled),
        T(a_file_that_waits_to_be_tried_again_can_be_cancelled),
        T(a_full_disk_is_said_to_be_one),
        T(keys_that_cannot_be_had_end_it),
        T(a_request_that_is_not_wanted_any_more_ends),
        T(without_memory_it_fails_and_says_so),
        T(an_archive_comes_whole),
        T(an_archive_that_is_not_modified_leaves_no_bytes),
        T(a_larger_archive_than_allowed_is_refused),
        T(an_archive_goes_on_only_if_it_is_the_same),
        T(an_archive_without_a_strong_tag_begins_anew),
        T(an_archive_that_cannot_begin_anew_is_an_error),
        T(half_an_archive_is_never_taken_for_the_whole),
        T(parts_make_a_whole_only_when_all_are_there),
        T(a_part_of_an_unknown_whole_is_taken_as_it_comes),
        T(how_much_is_to_come_is_known_while_it_comes),
        T(an_archive_is_asked_for_five_times),
        T(an_archive_that_finds_no_memory_says_so),
    };
    if (fetch_http_start(&st))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
