/* test_unpack.c - archives, also those that were made to do harm */
#include <archive.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/counts.h"
#include "base/mem.h"
#include "fetch/helper/archive.h"
#include "support/calls.h"

static sl_status st;
static char dir[64], file[128], out[128];
static int archive;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sluice-unpack-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(file, sizeof file, "%s/a.tar", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    archive = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    return mkdir(out, 0700) || archive < 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    close(archive);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

/* One entry of a tar archive; `said` is the size that its header tells. */
static void put(const char *name, char type, const char *link, const char *data,
                unsigned long long said)
{
    char h[512] = {0}, size[32];
    unsigned sum = 0;
    size_t n = strlen(data);
    snprintf(h, 100, "%s", name);
    memcpy(h + 100, "0000644", 8);
    memcpy(h + 108, "0000000", 8);
    memcpy(h + 116, "0000000", 8);
    snprintf(size, sizeof size, "%011llo", said);
    memcpy(h + 124, size, 12);
    memcpy(h + 136, "00000000000", 12);
    h[156] = type;
    snprintf(h + 157, 100, "%s", link);
    memcpy(h + 257, "ustar\00000", 8);
    memset(h + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)h[i];
    snprintf(h + 148, 8, "%06o", sum);
    assert_int_equal(write(archive, h, 512), 512);
    if (n) {
        char block[512] = {0};
        memcpy(block, data, n);
        assert_int_equal(write(archive, block, 512), 512);
    }
}

static sl_code unpack(uint64_t bytes, unsigned entries)
{
    static const char end[1024];
    assert_int_equal(write(archive, end, sizeof end), sizeof end);
    lseek(archive, 0, SEEK_SET);
    int fd = open(out, O_RDONLY | O_DIRECTORY);
    sl_code rc = fetch_unpack(archive, fd, bytes, entries, &st);
    close(fd);
    return rc;
}

static bool is_there(const char *name, const char *content)
{
    char path[256], got[64] = "";
    snprintf(path, sizeof path, "%s/%s", out, name);
    FILE *f = fopen(path, "r");
    if (f == NULL)
        return false;
    size_t n = fread(got, 1, sizeof got - 1, f);
    fclose(f);
    return n == strlen(content) && strcmp(got, content) == 0;
}

static void files_and_directories_are_unpacked(void **state)
{
    (void)state;
    put("./", '5', "", "", 0);
    put("./1/", '5', "", "", 0);
    put("./1/saved_model.pb", '0', "", "model", 5);
    put("1/variables/variables.index", '0', "", "index", 5);
    put("1/empty", '0', "", "", 0);
    assert_int_equal(unpack(100, 100), SL_OK);
    assert_true(is_there("1/saved_model.pb", "model"));
    assert_true(is_there("1/variables/variables.index", "index"));
    assert_true(is_there("1/empty", ""));
}

static void expect_refused(sl_code rc)
{
    assert_int_equal(unpack(1000, 100), rc);
    char escaped[128];
    snprintf(escaped, sizeof escaped, "%s/escaped", dir);
    assert_int_not_equal(access(escaped, F_OK), 0);
}

static void a_path_that_leads_out_is_refused(void **state)
{
    (void)state;
    put("1/../../escaped", '0', "", "x", 1);
    expect_refused(SL_INVALID_ARGUMENT);
}

static void an_absolute_path_is_refused(void **state)
{
    (void)state;
    put("/tmp/sluice-unpack-escaped", '0', "", "x", 1);
    expect_refused(SL_INVALID_ARGUMENT);
    assert_int_not_equal(access("/tmp/sluice-unpack-escaped", F_OK), 0);
}

static void a_symbolic_link_is_refused_and_what_would_go_through_it(void **state)
{
    (void)state;
    put("1", '2', "..", "", 0);
    put("1/escaped", '0', "", "x", 1);
    expect_refused(SL_INVALID_ARGUMENT);
}

static void a_hard_link_is_refused(void **state)
{
    (void)state;
    put("a", '0', "", "x", 1);
    put("b", '1', "/etc/passwd", "", 0);
    expect_refused(SL_INVALID_ARGUMENT);
}

static void a_device_and_a_fifo_are_refused(void **state)
{
    (void)state;
    put("dev", '3', "", "", 0);
    expect_refused(SL_INVALID_ARGUMENT);
    assert_int_equal(ftruncate(archive, 0), 0);
    lseek(archive, 0, SEEK_SET);
    put("fifo", '6', "", "", 0);
    expect_refused(SL_INVALID_ARGUMENT);
}

static void a_file_that_comes_twice_is_refused(void **state)
{
    (void)state;
    put("a", '0', "", "x", 1);
    put("./a", '0', "", "y", 1);
    expect_refused(SL_INVALID_ARGUMENT);
    assert_true(is_there("a", "x"));
}

static void a_file_is_no_directory_for_another(void **state)
{
    (void)state;
    put("a", '0', "", "x", 1);
    put("a/b", '0', "", "y", 1);
    expect_refused(SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "below a name that is a file"));
    assert_int_equal(ftruncate(archive, 0), 0);
    lseek(archive, 0, SEEK_SET);
    put("c", '0', "", "x", 1);
    put("c/d/e/", '5', "", "", 0);
    expect_refused(SL_INVALID_ARGUMENT);
}

static void names_may_begin_with_the_directory_they_are_in(void **state)
{
    (void)state;
    put(".", '5', "", "", 0);
    put(".//././/a", '0', "", "x", 1);
    put("././", '5', "", "", 0);
    put("..", '5', "", "", 0);
    assert_int_equal(unpack(100, 100), SL_INVALID_ARGUMENT);
    assert_true(is_there("a", "x"));
}

/* The process that opens archives, as it is started: its answer is its status and what it prints. */
static void the_process_apart_says_what_came_of_it(void **state)
{
    (void)state;
    char *argv[] = {"sluice-fetch", "unpack", file, out, "100", NULL};
    static const char end[1024];
    struct rlimit before;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(fetch_unpack_main(2, argv), 2);
    put("a", '0', "", "x", 1);
    assert_int_equal(write(archive, end, sizeof end), sizeof end);
    for (int wrong = 0; wrong < 3; wrong++) {
        int status;
        pid_t pid = fork();
        if (pid == 0) {
            if (wrong == 1)
                argv[2] = "/nonexistent";
            if (wrong == 2)
                argv[3] = "/nonexistent";
            int rc = fetch_unpack_main(5, argv);
            fflush(stdout);
            sl_counts_write();
            _exit(rc);
        }
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), wrong ? 100 + SL_INTERNAL : 0);
    }
    assert_true(is_there("a", "x"));
}

static void more_bytes_than_allowed_are_refused_before_they_are_written(void **state)
{
    (void)state;
    put("big", '0', "", "x", 1ull << 40);
    expect_refused(SL_OUT_OF_RANGE);
}

static void more_bytes_in_all_than_allowed_are_refused(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 11; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put(name, '0', "", "0123456789", 10);
    }
    assert_int_equal(unpack(100, 100), SL_OUT_OF_RANGE);
}

static void more_entries_than_allowed_are_refused(void **state)
{
    (void)state;
    char name[16];
    for (int i = 0; i < 6; i++) {
        snprintf(name, sizeof name, "f%d", i);
        put(name, '0', "", "", 0);
    }
    assert_int_equal(unpack(100, 5), SL_OUT_OF_RANGE);
}

static void half_an_archive_and_none_at_all_are_refused(void **state)
{
    (void)state;
    put("a", '0', "", "x", 2000);
    lseek(archive, 0, SEEK_SET);
    int fd = open(out, O_RDONLY | O_DIRECTORY);
    assert_int_equal(fetch_unpack(archive, fd, 10000, 10, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(ftruncate(archive, 0), 0);
    lseek(archive, 0, SEEK_SET);
    assert_int_equal(write(archive, "<html>not found</html>", 22), 22);
    lseek(archive, 0, SEEK_SET);
    assert_int_equal(fetch_unpack(archive, fd, 10000, 10, &st), SL_INVALID_ARGUMENT);
    close(fd);
}

/* ---- when the system, or libarchive, says no ---- */

static sl_code unpack_again(void *arg, sl_status *status)
{
    static int run;
    char path[200];
    (void)arg;
    snprintf(path, sizeof path, "%s/again%d", dir, run++);
    assert_int_equal(mkdir(path, 0700), 0);
    int fd = open(path, O_RDONLY | O_DIRECTORY);
    lseek(archive, 0, SEEK_SET);
    sl_code rc = fetch_unpack(archive, fd, 1000, 100, status);
    close(fd);
    return rc;
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
                 {"openat", EDQUOT, SL_RESOURCE_EXHAUSTED},
                 {"openat", EIO, SL_INTERNAL},
                 {"pwrite", ENOSPC, SL_RESOURCE_EXHAUSTED},
                 {"pwrite", EFBIG, SL_INTERNAL},
                 {"pwrite", EINTR, SL_OK}};
    static const char end[1024];
    put("1/a", '0', "", "x", 1);
    assert_int_equal(write(archive, end, sizeof end), sizeof end);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        fail_call(cases[i].call, 1, cases[i].error);
        assert_int_equal(unpack_again(NULL, &st), cases[i].code);
        fail_call(NULL, 0, 0);
        if (cases[i].code)
            assert_non_null(strstr(st.msg, "the cache directory: 1"));
    }
}

static void what_libarchive_cannot_open_or_name_is_refused(void **state)
{
    (void)state;
    static const char end[1024];
    put("a", '0', "", "x", 1);
    assert_int_equal(write(archive, end, sizeof end), sizeof end);
    assert_int_equal(fail_each_call("archive_read_new", 0, unpack_again, NULL), 1);
    assert_int_equal(fail_each_call("archive_read_open_fd", -30, unpack_again, NULL), 1);
    fail_call("archive_entry_pathname", 1, 0);
    assert_int_equal(unpack_again(NULL, &st), SL_INVALID_ARGUMENT);
    fail_call(NULL, 0, 0);
    assert_string_equal(st.msg, "the archive holds a name that cannot be read");
}

static void block(const char *p, size_t n)
{
    assert_int_equal(write(archive, p, n), n);
}

/* A zip that is written in one go tells the sizes behind the data. */
static void a_file_that_does_not_tell_its_size_is_bounded_as_it_comes(void **state)
{
    (void)state;
    static const char head[] = "PK\x03\x04\x14\0\x08\0\0\0\0\0\0\0" /* stored, sizes follow */
                               "\0\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0"
                               "a";
    static const char deflated[] = "\x4b\x4c\x4a\x06\x00"; /* "abc" */
    static const char foot[] = "PK\x07\x08\xc2\x41\x24\x35\x05\0\0\0\x03\0\0\0";
    static const char end[100] = "PK\x01\x02"; /* a directory would follow */
    char copy[sizeof head];
    memcpy(copy, head, sizeof head);
    copy[8] = 8; /* deflate */
    block(copy, sizeof head - 1);
    block(deflated, sizeof deflated - 1);
    block(foot, sizeof foot - 1);
    block(end, sizeof end);
    lseek(archive, 0, SEEK_SET);
    int fd = open(out, O_RDONLY | O_DIRECTORY);
    assert_int_equal(fetch_unpack(archive, fd, 2, 10, &st), SL_OUT_OF_RANGE);
    assert_int_equal(unlinkat(fd, "a", 0), 0);
    lseek(archive, 0, SEEK_SET);
    assert_int_equal(fetch_unpack(archive, fd, 3, 10, &st), SL_OK);
    close(fd);
    assert_true(is_there("a", "abc"));
}

/* Stands before libarchive's: a library that says what cannot be. */
static struct {
    bool on, again; /* once more at the end */
    la_int64_t at;
    size_t n;
} lie;

int archive_read_data_block(struct archive *a, const void **p, size_t *n, la_int64_t *at)
{
    static int (*real)(struct archive *, const void **, size_t *, la_int64_t *);
    static const char zeros[100];
    if (real == NULL)
        *(void **)&real = dlsym(RTLD_NEXT, "archive_read_data_block");
    int rc = real(a, p, n, at);
    if (lie.on && (rc == ARCHIVE_OK || lie.again)) {
        lie.again = rc == ARCHIVE_OK;
        rc = ARCHIVE_OK;
        *p = zeros;
        *at = lie.at;
        *n = lie.n;
        lie.at -= 5; /* the second time it goes back */
    }
    return rc;
}

static void a_warning_of_libarchive_is_none_of_ours(void **state)
{
    (void)state;
    put("x", 'x', "", "11 path=\xc3\xa4\n", 11); /* not of the C locale */
    put("a", '0', "", "x", 1);
    assert_int_equal(unpack(100, 100), SL_OK);
    assert_true(is_there("\xc3\xa4", "x"));
}

static void places_that_cannot_be_are_refused(void **state)
{
    (void)state;
    static const struct {
        la_int64_t at;
        size_t n;
    } cases[] = {{-1, 1}, {1001, 1}, {990, 11}, {0, 1001}, {10, 1}};
    static const char end[1024];
    put("a", '0', "", "x", 1);
    put("b", '0', "", "x", 1);
    block(end, sizeof end);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        lie.on = true;
        lie.at = cases[i].at;
        lie.n = cases[i].n;
        assert_int_equal(unpack_again(NULL, &st), SL_OUT_OF_RANGE);
    }
    lie.on = false;
    assert_int_equal(unpack_again(NULL, &st), SL_OK);
}

/* ---- the process apart ---- */

static sl_code unpack_apart(const char *name)
{
    static fetch_settings settings = {.max_bytes = 1000};
    fetch_op op = {.settings = &settings};
    return fetch_unpack_apart(&op, name, out, &st);
}

/* What the process is told to open says how it ends: main() below. */
static void a_process_that_dies_costs_its_archive_only(void **state)
{
    (void)state;
    assert_int_equal(unpack_apart("die"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "what opens archives died of this one (signal 9)");
    assert_int_equal(unpack_apart("exit 7"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "what opens archives died of this one (exit status 7)");
    assert_int_equal(unpack_apart("exit 250"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "what opens archives died of this one (exit status 250)");
    assert_int_equal(unpack_apart("/nonexistent"), SL_INTERNAL);
    assert_string_equal(st.msg, "No such file or directory");
}

static int end_as_told(const char *how)
{
    if (strcmp(how, "die") == 0)
        raise(SIGKILL);
    return (int)strtol(how + 5, NULL, 10);
}

static bool may(const char *from, const char *to)
{
    sl_str roots[] = {SL_STR("https://mirror.example/models")};
    fetch_settings s = {.roots = roots, .n_roots = 1};
    return fetch_may_redirect(&s, sl_str_of(from), sl_str_of(to));
}

static void a_redirect_stays_with_its_host_or_below_a_root(void **state)
{
    (void)state;
    assert_true(may("https://h/a", "https://h/b"));
    assert_true(may("http://h/a", "http://H/b"));
    assert_true(may("http://h/a", "https://h/b"));
    assert_false(may("https://h/a", "http://h/b"));
    assert_false(may("https://h/a", "https://other/b"));
    assert_false(may("https://h/a", "https://h:8443/b"));
    assert_false(may("http://h/a", "http://169.254.169.254/latest"));
    assert_false(may("http://h/a", "file:///etc/passwd"));
    assert_false(may("http://h/a", "https://u@h/b"));
    assert_true(may("https://h/a", "https://mirror.example/models/x.tar.gz"));
    assert_false(may("https://h/a", "https://mirror.example/other"));
}

int main(int argc, char **argv)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(files_and_directories_are_unpacked),
        T(a_path_that_leads_out_is_refused),
        T(an_absolute_path_is_refused),
        T(a_symbolic_link_is_refused_and_what_would_go_through_it),
        T(a_hard_link_is_refused),
        T(a_device_and_a_fifo_are_refused),
        T(a_file_that_comes_twice_is_refused),
        T(a_file_is_no_directory_for_another),
        T(names_may_begin_with_the_directory_they_are_in),
        T(the_process_apart_says_what_came_of_it),
        T(more_bytes_than_allowed_are_refused_before_they_are_written),
        T(more_bytes_in_all_than_allowed_are_refused),
        T(more_entries_than_allowed_are_refused),
        T(half_an_archive_and_none_at_all_are_refused),
        T(a_full_disk_is_said_to_be_one),
        T(what_libarchive_cannot_open_or_name_is_refused),
        T(a_file_that_does_not_tell_its_size_is_bounded_as_it_comes),
        T(a_warning_of_libarchive_is_none_of_ours),
        T(places_that_cannot_be_are_refused),
        T(a_process_that_dies_costs_its_archive_only),
        cmocka_unit_test(a_redirect_stays_with_its_host_or_below_a_root),
    };
    if (argc > 2) { /* as /proc/self/exe, by fetch_unpack_apart */
        int status = argv[2][0] == '/' ? fetch_unpack_main(argc, argv) : end_as_told(argv[2]);
        fflush(stdout);
        sl_counts_write();
        _exit(status);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
