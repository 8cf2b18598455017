/* test_archive.c - base paths that are one archive, from a web server into a mirror */
#include <archive.h>
#include <archive_entry.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/counts.h"
#include "fetch/helper/archive.h"
#include "fixture.h"
#include "support/calls.h"
#include "support/faults.h"

/* ---- archives ---- */

static char tar[65536];
static size_t tar_size;

/* Makes `tar` of files with these names, each holding its own name; NULL ends them. */
static void make_tar(const char *const *names)
{
    struct archive *a = archive_write_new();
    struct archive_entry *e = archive_entry_new();
    archive_write_set_format_ustar(a);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open_memory(a, tar, sizeof tar, &tar_size), ARCHIVE_OK);
    for (; *names; names++) {
        size_t n = strlen(*names);
        archive_entry_clear(e);
        archive_entry_set_pathname(e, *names);
        archive_entry_set_filetype(e, (*names)[n - 1] == '/' ? AE_IFDIR : AE_IFREG);
        archive_entry_set_perm(e, 0644);
        archive_entry_set_size(e, (*names)[n - 1] == '/' ? 0 : (la_int64_t)n);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        if ((*names)[n - 1] != '/')
            assert_int_equal(archive_write_data(a, *names, n), n);
    }
    archive_entry_free(e);
    assert_int_equal(archive_write_free(a), ARCHIVE_OK);
}

#define TAR(...) make_tar((const char *const[]){__VA_ARGS__, NULL})

/* ---- the server ---- */

static char headers[4096]; /* of its answers */

static void answer(web_request *r)
{
    const char *known = web_header(r, "If-None-Match");
    if (*known && strstr(headers, known) != NULL)
        web_send(r, 304, headers, "", 0);
    else
        web_send(r, 200, headers, tar, tar_size);
}

static char url[128];
static char *mirror; /* where: dir, or below it */
static fetch_names names;

static int setup(void **state)
{
    headers[0] = '\0';
    if (fixture_setup(state))
        return 1;
    web_start(answer);
    mirror = dir;
    snprintf(url, sizeof url, "%s/m.tar", web_url());
    return 0;
}

static int teardown(void **state)
{
    web_stop();
    fetch_names_fini(&names);
    return fixture_teardown(state);
}

static fetch_op op;

static sl_code list(void)
{
    op = new_op();
    op.dir = mirror;
    op.url = url;
    fetch_names_fini(&names);
    web_meet();
    sl_code rc = sl_fetch_place_parse(sl_str_of(url), &op.place, &st);
    if (rc == SL_OK)
        rc = fetch_list(&op, &names, &st);
    web_meet();
    return rc;
}

static sl_code get(const char *name)
{
    char copy[64];
    snprintf(copy, sizeof copy, "%s", name);
    op = new_op();
    op.url = url;
    op.name = copy;
    sl_code rc = sl_fetch_place_parse(sl_str_of(url), &op.place, &st);
    rc = rc ? rc : fetch_get(&op, &st);
    op.name = "";
    return rc;
}

static bool there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static const char *state_file(void)
{
    static char text[4096];
    char path[256];
    snprintf(path, sizeof path, "%s/archive", dir);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    fclose(f);
    return text;
}

static void write_state_file(const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/archive", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

/* ---- the tests ---- */

static void versions_are_published_and_asked_for_by_their_tag(void **state)
{
    (void)state;
    snprintf(headers, sizeof headers, "ETag: \"one\"\r\n");
    TAR("1/saved_model.pb", "2/saved_model.pbtxt", "3/saved_model.cpb", "4/nothing", ".5/x", "6");
    assert_int_equal(list(), SL_OK);
    assert_int_equal(names.count, 3);
    assert_true(op.changed);
    assert_true(there("versions/1/saved_model.pb") && there("versions/2/saved_model.pbtxt"));
    assert_false(there("versions/4"));
    assert_non_null(strstr(state_file(), "etag \"one\"\n"));
    assert_int_equal(list(), SL_OK);
    assert_int_equal(names.count, 3);
    assert_false(op.changed);
    assert_string_equal(web_header(web_seen(1), "If-None-Match"), "\"one\"");
    assert_int_equal(get("1"), SL_OK); /* it is there: nobody is asked */
    assert_int_equal(web_asked(), 2);
}

static void without_a_tag_the_time_is_asked_for(void **state)
{
    (void)state;
    snprintf(headers, sizeof headers, "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n");
    TAR("saved_model.pb");
    assert_int_equal(list(), SL_OK);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.list[0], "1445412480");
    assert_int_equal(list(), SL_OK);
    assert_string_equal(web_header(web_seen(1), "If-Modified-Since"),
                        "Wed, 21 Oct 2015 07:28:00 GMT");
    assert_false(op.changed); /* it came again, and was the same */
    assert_true(there("versions/1445412480/saved_model.pb"));
}

static void a_model_without_a_number_and_a_time_is_version_1(void **state)
{
    (void)state;
    static const char *const times[] = {"", "Last-Modified: yesterday\r\n",
                                        "Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT\r\n"};
    for (size_t i = 0; i < SL_COUNTOF(times); i++) {
        snprintf(headers, sizeof headers, "%s", times[i]);
        TAR("export/Servo/saved_model.pb", "export/Servo/variables/x");
        assert_int_equal(list(), SL_OK);
        assert_int_equal(names.count, 1);
        assert_string_equal(names.list[0], "1");
    }
    assert_true(there("versions/1/variables/x"));
    /* Published before, though nothing tells of it any more. */
    write_state_file("");
    assert_int_equal(list(), SL_OK);
    assert_int_equal(names.count, 1);
}

static void new_content_takes_the_place_of_the_old(void **state)
{
    (void)state;
    TAR("1/saved_model.pb");
    assert_int_equal(list(), SL_OK);
    TAR("1/saved_model.pb", "1/more", "2/saved_model.pb");
    assert_int_equal(list(), SL_OK);
    assert_int_equal(names.count, 2);
    assert_true(there("versions/1/more"));
    /* What the mirror lost comes again, though the archive is the same. */
    char path[200];
    snprintf(path, sizeof path, "%s/versions/2", dir);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(list(), SL_OK);
    assert_true(there("versions/2/saved_model.pb"));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(get("2"), SL_OK);
    assert_true(op.changed && there("versions/2/saved_model.pb"));
    assert_int_equal(get("7"), SL_NOT_FOUND);
    assert_string_equal(st.msg, "the archive no longer holds it");
}

static void an_archive_without_a_model_is_refused(void **state)
{
    (void)state;
    static const char none[] =
        "the archive holds neither a saved_model.pb nor version directories with one";
    TAR("readme");
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_string_equal(st.msg, none);
    TAR("a/x", "b/x");
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_string_equal(st.msg, none);
    TAR("a/b/c/d/e/saved_model.pb"); /* too deep */
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_string_equal(st.msg, none);
    TAR("../saved_model.pb");
    assert_int_equal(list(), SL_INVALID_ARGUMENT);
    tar_size = 3;
    assert_int_equal(list(), SL_INVALID_ARGUMENT);
    assert_false(there("versions") || there("archive"));
}

static void what_was_written_down_wrongly_is_not_believed(void **state)
{
    (void)state;
    char text[600];
    snprintf(headers, sizeof headers, "ETag: \"one\"\r\n");
    snprintf(
        text, sizeof text,
        "etag\netag%c\"one\"\ncontentx y\ncontent %0100d\nversion x\nversion %0300d\n\nversion 9",
        '\t', 1, 1);
    TAR("1/saved_model.pb");
    assert_int_equal(list(), SL_OK);
    write_state_file(text);
    assert_int_equal(list(), SL_OK);
    assert_string_equal(web_header(web_seen(1), "If-None-Match"), "");
    assert_int_equal(names.count, 1);
    assert_string_equal(names.list[0], "1");
}

static void not_modified(web_request *r)
{
    web_send(r, 304, "", "", 0);
}

/* An empty list would mean that no version is wanted any more. */
static void not_modified_is_no_answer_where_nothing_is_known(void **state)
{
    (void)state;
    web_stop();
    web_start(not_modified);
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "304"));
    assert_int_equal(get("1"), SL_FAILED_PRECONDITION);
}

/* ---- redirects ---- */

static const char *location;
static int redirects, redirect_status = 302;

static void redirect(web_request *r)
{
    if (r->number < redirects) {
        snprintf(headers, sizeof headers, "Location: %s\r\n", location);
        web_send(r, redirect_status, headers, "", 0);
    } else {
        web_send(r, 200, "", tar, tar_size);
    }
}

static void redirected(const char *to, int times)
{
    web_stop();
    location = to;
    redirects = times;
    web_start(redirect);
}

static void redirects_on_the_same_host_are_followed_five_times(void **state)
{
    (void)state;
    TAR("1/saved_model.pb");
    redirected("/else.tar", 5);
    assert_int_equal(list(), SL_OK);
    assert_string_equal(web_seen(5)->target, "/else.tar");
    redirected("/else.tar", 6);
    write_state_file("");
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "which is once too often"));
    assert_int_equal(web_asked(), 6);
}

static void redirects_to_other_hosts_are_not_followed(void **state)
{
    (void)state;
    static const char *const places[] = {"http://other.example/x", "file:///etc/passwd", "//[",
                                         "http://u@127.0.0.1/", "http:///x"};
    for (size_t i = 0; i < SL_COUNTOF(places); i++) {
        redirected(places[i], 9);
        assert_int_equal(list(), SL_FAILED_PRECONDITION);
        assert_non_null(strstr(st.msg, "--remote_root can allow it"));
        assert_int_equal(web_asked(), 1);
    }
    redirected("", 9); /* without a place it is no redirect */
    assert_int_equal(list(), SL_FAILED_PRECONDITION);
    assert_non_null(strstr(st.msg, "HTTP status 302"));
    location = "/x";
    for (int status = 300; status <= 404; status += 104) {
        redirected("/x", 9);
        redirect_status = status;
        assert_int_equal(list(), status == 404 ? SL_NOT_FOUND : SL_FAILED_PRECONDITION);
        assert_int_equal(web_asked(), 1);
    }
    redirect_status = 302;
}

static void a_host_is_what_stands_before_path_query_and_fragment(void **state)
{
    (void)state;
    fetch_settings s = {0};
    assert_true(fetch_may_redirect(&s, SL_STR("http://h?a"), SL_STR("http://h#b")));
    assert_true(fetch_may_redirect(&s, SL_STR("http://h"), SL_STR("http://h")));
    assert_false(fetch_may_redirect(&s, SL_STR("http://h"), SL_STR("http://")));
    assert_false(fetch_may_redirect(&s, SL_STR("h"), SL_STR("http://h")));
    assert_null(fetch_resolve("http://h/", "http://["));
    assert_null(fetch_resolve("[", "/x"));
    fail_call("curl_url", 1, 0);
    assert_null(fetch_resolve("http://h/", "/x"));
    for (int nth = 1; nth <= 2; nth++) { /* the first one may be libcurl's own */
        fail_call("curl_url_get", nth, CURLUE_OUT_OF_MEMORY);
        assert_null(fetch_resolve("http://h/", "/x"));
        assert_int_equal(calls_counted(), nth);
    }
    fail_call(NULL, 0, 0);
}

/* ---- when the system says no ---- */

static sl_code list_anew(void *arg, sl_status *status)
{
    static char fresh[100];
    int *run = arg;
    snprintf(fresh, sizeof fresh, "%s/%d", dir, ++*run);
    mirror = fresh;
    sl_code rc = list();
    *status = st;
    return rc;
}

static void what_fails_on_the_way_is_said_and_the_next_time_mends_it(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int error, least;
    } calls[] = {{"fsync", EIO, 3},
                 {"rename", EIO, 3},
                 {"open", EIO, 3},
                 {"write", ENOSPC, 1},
                 {"read", EIO, 2},
                 {"opendir", EACCES, 1},
                 {"mkdir", EIO, 4},
                 {"symlink", EIO, 1},
                 {"pipe2", EMFILE, 1},
                 {"flock", EIO, 1},
                 {"statvfs", EIO, 1},
                 {"posix_spawn", EAGAIN, 1},
                 {"fts_open", ENOMEM, 2},
                 {"EVP_DigestInit_ex", 0, 1},
                 {"EVP_DigestFinal_ex", 0, 1},
                 {"EVP_MD_CTX_new", 0, 1},
                 {"lstat", EIO, 2},
                 {"readdir", EIO, 4}};
    int run = 0;
    TAR("1/saved_model.pb", "2/saved_model.pb");
    for (size_t i = 0; i < SL_COUNTOF(calls); i++) {
        int n = fail_each_call(calls[i].call, calls[i].error, list_anew, &run);
        assert_in_range(n, calls[i].least, 100);
    }
    for (int i = 1; i <= run; i += 3) {
        char path[100], command[200];
        snprintf(path, sizeof path, "%s/%d", dir, i);
        mirror = path;
        assert_int_equal(list(), SL_OK);
        assert_int_equal(names.count, 2);
        snprintf(command, sizeof command, "test -z \"$(ls -d %s/.archive-* 2>/dev/null)\"", path);
        assert_int_equal(system(command), 0);
    }
}

static sl_code list_again(void *arg, sl_status *status)
{
    (void)arg;
    sl_code rc = list();
    *status = st;
    return rc == SL_INTERNAL ? SL_RESOURCE_EXHAUSTED : rc;
}

static sl_code list_in_fresh(void *arg, sl_status *status)
{
    sl_code rc = list_anew(arg, status);
    return rc == SL_INTERNAL || rc == SL_UNAVAILABLE ? SL_RESOURCE_EXHAUSTED : rc;
}

/* What the state file says of the archive. */
static const char *content_of(const char *where)
{
    static char content[64];
    int fd = open(where, O_RDONLY | O_DIRECTORY), file = openat(fd, "archive", O_RDONLY);
    ssize_t n = read(file, content, strlen("content ") + FETCH_FINGERPRINT - 1);
    assert_true(n > 8);
    content[n] = '\0';
    close(file);
    close(fd);
    return content + strlen("content ");
}

static void without_memory_it_fails_and_says_so(void **state)
{
    (void)state;
    TAR("1/saved_model.pb");
    assert_int_equal(list(), SL_OK);
    assert_in_range(fail_each_allocation(list_again, NULL), 3, 30);
    int run = 0;
    assert_in_range(fail_each_allocation(list_in_fresh, &run), 3, 30);
    TAR("saved_model.pb");
    assert_in_range(fail_each_allocation(list_in_fresh, &run), 3, 30);
}

/* Of its own length, and with the names below it too long for a path. */
static void a_directory_as_deep_as_paths_go_is_used_or_refused(void **state)
{
    (void)state;
    static char deep[PATH_MAX];
    char command[100];
    int used = 0, refused = 0;
    TAR("1/saved_model.pb", "a-directory-with-a-name-that-is-rather-long/x");
    strcpy(deep, dir);
    while (strlen(deep) + 100 < PATH_MAX - 120) {
        memset(deep + strlen(deep) + 1, 'd', 100);
        deep[strlen(deep)] = '/';
        assert_int_equal(mkdir(deep, 0755), 0);
    }
    size_t base = strlen(deep);
    deep[base] = '/';
    mirror = deep;
    for (size_t n = base + 4; n < PATH_MAX - 1; n += 4) {
        memset(deep + n - 3, 'x', 4);
        sl_code rc = list();
        used += rc == SL_OK;
        refused += rc != SL_OK;
        assert_true(rc == SL_OK ? fetch_mirror_has(deep, "1", content_of(deep)) : *st.msg != '\0');
    }
    assert_in_range(used, 1, 100);
    assert_in_range(refused, 1, 100);
    snprintf(command, sizeof command, "rm -rf %s/d*", dir);
    assert_int_equal(system(command), 0);
}

static void a_cancelled_archive_is_not_opened(void **state)
{
    (void)state;
    TAR("1/saved_model.pb");
    char archive[200], out[200];
    snprintf(archive, sizeof archive, "%s/a.tar", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    assert_int_equal(mkdir(out, 0755), 0);
    assert_int_equal(mkfifo(archive, 0600), 0); /* who opens it waits for ever */
    op = new_op();
    atomic_store(&op.cancelled, true);
    assert_int_equal(fetch_unpack_apart(&op, archive, out, &st), SL_CANCELLED);
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(versions_are_published_and_asked_for_by_their_tag),
        T(without_a_tag_the_time_is_asked_for),
        T(a_model_without_a_number_and_a_time_is_version_1),
        T(new_content_takes_the_place_of_the_old),
        T(an_archive_without_a_model_is_refused),
        T(what_was_written_down_wrongly_is_not_believed),
        T(not_modified_is_no_answer_where_nothing_is_known),
        T(redirects_on_the_same_host_are_followed_five_times),
        T(redirects_to_other_hosts_are_not_followed),
        T(a_host_is_what_stands_before_path_query_and_fragment),
        T(what_fails_on_the_way_is_said_and_the_next_time_mends_it),
        T(without_memory_it_fails_and_says_so),
        T(a_directory_as_deep_as_paths_go_is_used_or_refused),
        T(a_cancelled_archive_is_not_opened),
    };
    if (argc > 1) { /* what opens archives is started as /proc/self/exe */
        int status = fetch_unpack_main(argc, argv);
        fflush(stdout);
        sl_counts_write();
        _exit(status);
    }
    if (fetch_http_start(&st))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
