/* test_mirror.c - publishing into a mirror, and what is removed from it */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "fetch/helper/checks.h"
#include "fetch/helper/mirror.h"
#include "support/calls.h"

static sl_status st;
static char dir[64];

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sluice-mirror-XXXXXX");
    return mkdtemp(dir) == NULL || fetch_mirror_make(dir, &st) != SL_OK;
}

static int teardown(void **state)
{
    (void)state;
    fetch_remove_tree(dir);
    return access(dir, F_OK) == 0;
}

static bool there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

static void publish(const char *name, const char *fingerprint)
{
    fetch_staging s;
    char path[4200];
    assert_int_equal(fetch_staging_open(dir, &s, &st), SL_OK);
    snprintf(path, sizeof path, "%s/saved_model.pb", s.path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(fingerprint, f);
    fclose(f);
    assert_int_equal(fetch_publish(dir, s.path, name, fingerprint, &st), SL_OK);
    fetch_staging_close(&s);
}

static void tidy(const char *keep, int64_t in_use)
{
    sl_str name = sl_str_of(keep);
    fetch_op op = {
        .dir = dir, .names = &name, .n_names = *keep != 0, .numbers = &in_use, .n_numbers = 1};
    assert_int_equal(fetch_tidy(&op, &st), SL_OK);
}

static void a_mirror_that_holds_nothing_has_no_versions_directory(void **state)
{
    (void)state;
    assert_false(there("versions"));
    publish("1", "aa");
    assert_true(there("versions/1/saved_model.pb"));
    assert_true(fetch_mirror_has(dir, "1", "aa"));
    assert_false(fetch_mirror_has(dir, "1", "bb"));
    assert_false(fetch_mirror_has(dir, "2", "aa"));
}

static void new_content_moves_the_link_and_keeps_what_is_in_use(void **state)
{
    (void)state;
    publish("1", "aa");
    publish("1", "bb");
    assert_true(fetch_mirror_has(dir, "1", "bb"));
    tidy("1", 1);
    assert_true(there("data/1-aa"));
    tidy("1", 7);
    assert_false(there("data/1-aa"));
    assert_true(there("versions/1/saved_model.pb"));
}

static void what_is_not_kept_is_hidden_first_and_removed_when_nobody_uses_it(void **state)
{
    (void)state;
    publish("1", "aa");
    publish("2", "bb");
    tidy("2", 1);
    assert_false(there("versions/1"));
    assert_true(there("data/1-aa"));
    tidy("2", 2);
    assert_false(there("data/1-aa"));
    assert_true(there("versions/2/saved_model.pb"));
}

static void the_same_content_twice_is_no_error(void **state)
{
    (void)state;
    publish("1", "aa");
    publish("1", "aa");
    fail_call("rename", 1, EEXIST); /* as some file systems say it */
    publish("1", "aa");
    fail_call(NULL, 0, 0);
    assert_true(fetch_mirror_has(dir, "1", "aa"));
}

static void staging_that_nobody_holds_is_removed_and_no_other(void **state)
{
    (void)state;
    fetch_staging s;
    char path[256];
    assert_int_equal(fetch_staging_open(dir, &s, &st), SL_OK);
    snprintf(path, sizeof path, "%s/staging-left", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    tidy("1", 1);
    assert_int_not_equal(access(path, F_OK), 0);
    assert_int_equal(access(s.path, F_OK), 0);
    memcpy(path, s.path, strlen(s.path) + 1);
    fetch_staging_close(&s);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void more_than_the_disk_has_is_refused_with_both_numbers(void **state)
{
    (void)state;
    assert_int_equal(fetch_mirror_room(dir, 1, &st), SL_OK);
    assert_int_equal(fetch_mirror_room(dir, 1ull << 60, &st), SL_RESOURCE_EXHAUSTED);
    assert_non_null(strstr(st.msg, "free space"));
    assert_int_equal(fetch_mirror_room(dir, UINT64_MAX, &st), SL_RESOURCE_EXHAUSTED);
}

static void a_fingerprint_knows_names_sizes_and_tags_and_no_order(void **state)
{
    (void)state;
    char a[FETCH_FINGERPRINT], b[FETCH_FINGERPRINT];
    fetch_listing l = {0}, m = {0};
    fetch_listing_add(&l, SL_STR("k/x"), SL_STR("x"), 1, SL_STR("t"), &st);
    fetch_listing_add(&l, SL_STR("k/y"), SL_STR("y"), 2, SL_STR("u"), &st);
    fetch_listing_add(&m, SL_STR("k/y"), SL_STR("y"), 2, SL_STR("u"), &st);
    fetch_listing_add(&m, SL_STR("k/x"), SL_STR("x"), 1, SL_STR("t"), &st);
    assert_int_equal(fetch_fingerprint(&l, a, &st), SL_OK);
    assert_int_equal(fetch_fingerprint(&m, b, &st), SL_OK);
    assert_string_equal(a, b);
    strcpy(m.list[0].tag, "other");
    assert_int_equal(fetch_fingerprint(&m, b, &st), SL_OK);
    assert_string_not_equal(a, b);
    fetch_listing_fini(&l);
    fetch_listing_fini(&m);
}

static void a_directory_that_cannot_be_used_is_named(void **state)
{
    (void)state;
    static char longest[5000], name[PATH_MAX];
    fetch_staging s;
    char path[256];
    memset(longest, 'x', sizeof longest - 1);
    assert_int_not_equal(fetch_staging_open(longest, &s, &st), SL_OK);
    assert_int_equal(fetch_mirror_make(longest, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(fetch_publish(longest, dir, "1", "aa", &st), SL_INVALID_ARGUMENT);
    assert_false(fetch_mirror_has(longest, "1", "aa"));
    memset(name, 'y', sizeof name - 1);
    assert_false(fetch_mirror_has(dir, "1", name));
    fetch_op op = {.dir = longest};
    assert_int_equal(fetch_tidy(&op, &st), SL_INVALID_ARGUMENT);
    op.dir = "/nonexistent";
    assert_int_equal(fetch_tidy(&op, &st), SL_OK); /* there is nothing to tidy up */
    assert_int_equal(fetch_staging_open("/nonexistent", &s, &st), SL_NOT_FOUND);
    assert_int_equal(fetch_mirror_make("/nonexistent/x", &st), SL_NOT_FOUND);
    assert_int_equal(fetch_mirror_room("/nonexistent", 1, &st), SL_NOT_FOUND);
    assert_int_equal(fetch_publish(dir, "/nonexistent", "1", "aa", &st), SL_NOT_FOUND);
    assert_non_null(strstr(st.msg, "the cache directory: "));
    /* A file stands where a directory belongs. */
    snprintf(path, sizeof path, "%s/versions", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    assert_int_equal(fetch_staging_open(dir, &s, &st), SL_OK);
    assert_int_not_equal(fetch_publish(dir, s.path, "1", "aa", &st), SL_OK);
    fetch_staging_close(&s);
    unlink(path);
    /* A directory stands where a link belongs. */
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/versions/1", dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(fetch_staging_open(dir, &s, &st), SL_OK);
    assert_int_not_equal(fetch_publish(dir, s.path, "1", "bb", &st), SL_OK);
    fetch_staging_close(&s);
}

static void what_is_not_of_the_mirror_stays(void **state)
{
    (void)state;
    static const char *const others[] = {"data/nodash", "data/-x", "data/x-1", "data/+7-aa",
                                         "data/8-aa"};
    char path[256];
    for (size_t i = 0; i < SL_COUNTOF(others); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, others[i]);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    publish("1", "aa");
    snprintf(path, sizeof path, "%s/versions/other", dir);
    assert_int_equal(symlink("x", path), 0);
    snprintf(path, sizeof path, "%s/staging-file", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    tidy("", 7);
    assert_true(there("data/nodash") && there("data/-x") && there("data/x-1") &&
                there("data/+7-aa"));
    assert_true(there("staging-file"));
    assert_false(there("data/8-aa"));
    assert_false(there("versions/1"));
}

/* ---- when the system says no ---- */

static sl_code publish_once(void *arg, sl_status *status)
{
    int *run = arg;
    char name[32], path[4200];
    fetch_staging s;
    snprintf(name, sizeof name, "%d", ++*run);
    sl_code rc = fetch_staging_open(dir, &s, status);
    if (rc)
        return rc;
    snprintf(path, sizeof path, "%s/saved_model.pb", s.path);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    rc = fetch_publish(dir, s.path, name, "aa", status);
    fetch_staging_close(&s);
    /* Whatever happens, a link that is there leads to all of it. */
    snprintf(path, sizeof path, "%s/versions/%s", dir, name);
    struct stat info;
    if (lstat(path, &info) == 0)
        assert_true(fetch_mirror_has(dir, name, "aa"));
    else
        assert_int_not_equal(rc, SL_OK);
    return rc;
}

static void each_step_of_publishing_may_fail_and_nothing_half_is_seen(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        int error;
    } calls[] = {{"open", EACCES}, {"fsync", EIO},   {"fsync", EINVAL}, {"fts_open", ENOMEM},
                 {"rename", EIO},  {"symlink", EIO}, {"mkdir", EDQUOT}, {"flock", EWOULDBLOCK}};
    int run = 0;
    for (size_t i = 0; i < SL_COUNTOF(calls); i++)
        assert_in_range(fail_each_call(calls[i].call, calls[i].error, publish_once, &run), 1, 20);
    fail_call("mkdir", 1, EDQUOT);
    assert_int_equal(fetch_mirror_make(dir, &st), SL_RESOURCE_EXHAUSTED);
    fail_call("fsync", 1, EINVAL); /* a file system without it */
    assert_int_equal(fetch_sync_tree(dir, &st), SL_OK);
    fail_call("fsync", 1, EIO);
    assert_int_equal(fetch_sync_tree(dir, &st), SL_UNKNOWN);
    fail_call("fts_open", 1, ENOMEM);
    fetch_remove_tree(dir); /* another time */
    assert_true(there("data"));
    fail_call(NULL, 0, 0);
    assert_int_equal(fetch_mirror_make("", &st), SL_INVALID_ARGUMENT);
}

static void a_link_that_leads_nowhere_is_no_version(void **state)
{
    (void)state;
    char path[100];
    publish("1", "aa");
    snprintf(path, sizeof path, "%s/data/1-aa", dir);
    fetch_remove_tree(path);
    assert_false(fetch_mirror_has(dir, "1", "aa"));
}

static sl_code fingerprint_once(void *arg, sl_status *status)
{
    char out[FETCH_FINGERPRINT];
    return fetch_fingerprint(arg, out, status);
}

static void a_listing_without_objects_has_a_fingerprint_and_one_without_openssl_none(void **state)
{
    (void)state;
    fetch_listing l = {0};
    assert_int_equal(fingerprint_once(&l, &st), SL_OK);
    fetch_listing_add(&l, SL_STR("k/x"), SL_STR("x"), 1, SL_STR("t"), &st);
    assert_int_equal(fail_each_call("EVP_MD_CTX_new", 0, fingerprint_once, &l), 1);
    assert_int_equal(fail_each_call("EVP_DigestInit_ex", 0, fingerprint_once, &l), 1);
    assert_int_equal(fail_each_call("EVP_DigestFinal_ex", 0, fingerprint_once, &l), 1);
    fetch_listing_fini(&l);
}

/* A directory so deep that the names below it do not fit into a path is used or refused. */
static void a_directory_as_deep_as_paths_go_is_used_or_refused(void **state)
{
    (void)state;
    static char deep[PATH_MAX + 64];
    int used = 0, refused = 0;
    strcpy(deep, dir);
    while (strlen(deep) + 100 < PATH_MAX - 80) {
        memset(deep + strlen(deep) + 1, 'd', 100);
        deep[strlen(deep)] = '/';
        assert_int_equal(mkdir(deep, 0755), 0);
    }
    size_t base = strlen(deep);
    deep[base] = '/';
    for (size_t n = base + 7; n < PATH_MAX - 1; n += 7) {
        char *names[] = {"+12345", "999999999999999"};
        fetch_op op = {.dir = deep};
        memset(deep + n - 6, 'x', 7);
        if (mkdir(deep, 0755) != 0 || fetch_mirror_make(deep, &st) != SL_OK) {
            refused++;
            continue;
        }
        for (int i = 0; i < 2; i++) {
            fetch_staging s;
            sl_code rc = fetch_staging_open(deep, &s, &st);
            if (rc == SL_OK) {
                rc = fetch_publish(deep, s.path, names[i], i ? "a" : "bbbbbbbb", &st);
                fetch_staging_close(&s);
            }
            assert_int_equal(rc == SL_OK, fetch_mirror_has(deep, names[i], i ? "a" : "bbbbbbbb"));
            used += rc == SL_OK;
            refused += rc != SL_OK;
            /* What is there though its path is too long stays: nobody can name it. */
            int fd = open(deep, O_RDONLY | O_DIRECTORY);
            if (fd >= 0) {
                mkdirat(fd, "staging-of-somebody-else", 0755);
                mkdirat(fd, "versions", 0755);
                int done = symlinkat("x", fd, "versions/77777777777777777777777777777777");
                assert_in_range(done + 1, 0, 1); /* there may be no room for it */
                mkdirat(fd, "data/7-cccccccccccccccccccccccccccccccccccccccc", 0755);
                close(fd);
            }
            rc = fetch_tidy(&op, &st);
            assert_true(rc == SL_OK || rc == SL_INVALID_ARGUMENT);
        }
    }
    assert_in_range(used, 1, 100);
    assert_in_range(refused, 1, 100);
    char command[100];
    snprintf(command, sizeof command, "rm -rf %s/d*", dir);
    assert_int_equal(system(command), 0);
}

/* ---- checksums ---- */

static sl_code checked(const fetch_object *o, const fetch_reply *r, const char *data)
{
    fetch_checks c;
    assert_int_equal(fetch_checks_begin(&c, o, r, &st), SL_OK);
    fetch_checks_add(&c, data, strlen(data) / 2);
    fetch_checks_add(&c, data + strlen(data) / 2, strlen(data) - strlen(data) / 2);
    return fetch_checks_end(&c, "file", &st);
}

static void each_checksum_finds_a_wrong_byte(void **state)
{
    (void)state;
    fetch_object o = {.has_crc32c = true, .crc32c = 0xe3069283}, none = {0};
    fetch_reply r = {.etag_is_md5 = true}, plain = {.etag_is_md5 = true};
    assert_int_equal(checked(&o, &r, "123456789"), SL_OK);
    assert_int_equal(checked(&o, &r, "123456780"), SL_DATA_LOSS);
    o = (fetch_object){0};
    o.has_md5 = fetch_md5_of_etag("\"25f9e794323b453885f5181f1b624d0b\"", o.md5);
    assert_true(o.has_md5);
    assert_int_equal(checked(&o, &plain, "123456789"), SL_OK);
    assert_int_equal(checked(&o, &plain, "12345678"), SL_DATA_LOSS);
    plain.etag_is_md5 = false; /* it only looks like one: the store encrypted it */
    assert_int_equal(checked(&o, &plain, "12345678"), SL_OK);
    strcpy(r.sha256, "FeKw09nJA+PhL28UcUcC3vVsxBMfVRNdPk9XL1MA3kE=");
    assert_int_equal(checked(&none, &r, "1"), SL_DATA_LOSS);
    strcpy(r.sha256, "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=");
    assert_int_equal(checked(&none, &r, "1"), SL_OK);
    strcpy(r.sha256, "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=-3"); /* of parts: no use */
    assert_int_equal(checked(&none, &r, "2"), SL_OK);
    r.sha256[0] = '\0';
    strcpy(r.crc32, "y/Q5Jg==");
    assert_int_equal(checked(&none, &r, "123456789"), SL_OK);
    assert_int_equal(checked(&none, &r, "12345678"), SL_DATA_LOSS);
}

static sl_code check_once(void *arg, sl_status *status)
{
    fetch_checks c;
    fetch_object o = {0};
    fetch_reply r = {0};
    (void)arg;
    strcpy(r.sha256, "a4ayc/80/OGda4BO/1o/V0etpOqiLx1JwB5S3beHW0s=");
    sl_code rc = fetch_checks_begin(&c, &o, &r, status);
    if (rc)
        return rc;
    fetch_checks_add(&c, "1", 1);
    return fetch_checks_end(&c, "file", status);
}

static void a_digest_that_cannot_be_had_is_not_asked_for(void **state)
{
    (void)state;
    fail_call("EVP_MD_CTX_new", 1, 0);
    assert_int_equal(check_once(NULL, &st), SL_RESOURCE_EXHAUSTED);
    fail_call("EVP_DigestInit_ex", 1, 0); /* FIPS has no MD5 */
    assert_int_equal(check_once(NULL, &st), SL_OK);
    fail_call("EVP_DigestFinal_ex", 1, 0);
    assert_int_equal(check_once(NULL, &st), SL_DATA_LOSS);
    fail_call(NULL, 0, 0);
}

static void the_answers_checksums_are_read(void **state)
{
    (void)state;
    fetch_object none = {0};
    fetch_reply r = {0};
    strcpy(r.crc32c, "4waSgw==");
    assert_int_equal(checked(&none, &r, "123456789"), SL_OK);
    assert_int_equal(checked(&none, &r, "12345678"), SL_DATA_LOSS);
    strcpy(r.crc32c, "4waSg"); /* no base64, or of another size: of no use */
    assert_int_equal(checked(&none, &r, "1"), SL_OK);
    strcpy(r.crc32c, "4waSgwA=");
    assert_int_equal(checked(&none, &r, "1"), SL_OK);
    r.crc32c[0] = '\0';
    strcpy(r.sha1, "NWoZK3kTsExUV00Ywo1G5jlUKKs=");
    assert_int_equal(checked(&none, &r, "1"), SL_OK);
    assert_int_equal(checked(&none, &r, "2"), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "SHA-1"));
}

static void an_etag_of_a_multipart_upload_is_no_md5(void **state)
{
    (void)state;
    unsigned char md5[16];
    assert_false(fetch_md5_of_etag("\"25f9e794323b453885f5181f1b624d0b-3\"", md5));
    assert_false(fetch_md5_of_etag("\"25f9e794323b453885f5181f1b624dXX\"", md5));
    assert_false(fetch_md5_of_etag("", md5));
    assert_false(fetch_md5_of_etag("x25f9e794323b453885f5181f1b624d0b\"", md5));
    assert_false(fetch_md5_of_etag("\"25f9e794323b453885f5181f1b624d0bx", md5));
    assert_false(fetch_md5_of_etag("25f9e794323b453885f5181f1b624d0X", md5));
    assert_true(fetch_md5_of_etag("25f9e794323b453885f5181f1b624d0b", md5));
    assert_true(md5[0] == 0x25 && md5[15] == 0x0b);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_mirror_that_holds_nothing_has_no_versions_directory),
        T(new_content_moves_the_link_and_keeps_what_is_in_use),
        T(what_is_not_kept_is_hidden_first_and_removed_when_nobody_uses_it),
        T(the_same_content_twice_is_no_error),
        T(staging_that_nobody_holds_is_removed_and_no_other),
        T(more_than_the_disk_has_is_refused_with_both_numbers),
        T(a_directory_that_cannot_be_used_is_named),
        T(what_is_not_of_the_mirror_stays),
        T(each_step_of_publishing_may_fail_and_nothing_half_is_seen),
        T(a_link_that_leads_nowhere_is_no_version),
        T(a_listing_without_objects_has_a_fingerprint_and_one_without_openssl_none),
        T(a_directory_as_deep_as_paths_go_is_used_or_refused),
        T(a_fingerprint_knows_names_sizes_and_tags_and_no_order),
        cmocka_unit_test(each_checksum_finds_a_wrong_byte),
        cmocka_unit_test(a_digest_that_cannot_be_had_is_not_asked_for),
        cmocka_unit_test(the_answers_checksums_are_read),
        cmocka_unit_test(an_etag_of_a_multipart_upload_is_no_md5),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
