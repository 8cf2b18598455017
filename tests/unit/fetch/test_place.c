/* test_place.c - remote base paths, taken apart and refused */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fetch/place.h"

static sl_status st;

static sl_code parse(const char *url, sl_fetch_place *p)
{
    return sl_fetch_place_parse(sl_str_of(url), p, &st);
}

static void a_base_path_is_taken_apart(void **state)
{
    (void)state;
    sl_fetch_place p;
    assert_int_equal(parse("s3://bucket/a/b/", &p), SL_OK);
    assert_true(p.scheme == SL_FETCH_S3 && sl_str_is(p.bucket, "bucket") &&
                sl_str_is(p.path, "a/b"));
    assert_int_equal(parse("gs://bucket", &p), SL_OK);
    assert_true(p.scheme == SL_FETCH_GS && p.path.n == 0);
    assert_int_equal(parse("http://host:8080/m/x.tar.gz", &p), SL_OK);
    assert_true(p.scheme == SL_FETCH_HTTP && !p.tls && sl_str_is(p.bucket, "host:8080"));
    assert_int_equal(parse("https://[::1]:1/x.zip", &p), SL_OK);
    assert_true(p.tls);
}

static void what_could_lead_elsewhere_or_be_a_secret_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"ftp://host/x.tar.gz",
                                      "file:///etc",
                                      "s3://",
                                      "s3:///key",
                                      "s3://bucket/a/../b",
                                      "s3://bucket/./b",
                                      "s3://bucket/a//b",
                                      "s3://bu cket/a",
                                      "https://user:pw@host/x.tar.gz",
                                      "https://host/x.tar.gz?X-Amz-Signature=abc",
                                      "https://host/x.exe",
                                      "https://host/",
                                      "s3://user:pw@bucket/x",
                                      "ftp://user:pw@host/x.tar.gz",
                                      "https://user:pw@host?x",
                                      "https://host#x",
                                      "https://host?x",
                                      "s3://bucket/a/..",
                                      "gs://b\nucket/x"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        sl_fetch_place p;
        assert_int_equal(parse(bad[i], &p), SL_INVALID_ARGUMENT);
        assert_null(strstr(st.msg, "pw@"));
        assert_null(strstr(st.msg, "abc"));
    }
}

static void what_is_too_long_is_refused(void **state)
{
    (void)state;
    static char text[9000];
    sl_fetch_place p;
    memset(text, 'x', sizeof text - 1);
    memcpy(text, "https://", 8);
    assert_int_equal(parse(text, &p), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_fetch_url_parse(sl_str_of(text), &p, &st), SL_INVALID_ARGUMENT);
    text[8 + 256] = '/';
    text[8 + 256 + 20] = '\0';
    assert_int_equal(sl_fetch_url_parse(sl_str_of(text), &p, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(parse("https://h\xc3/x.zip", &p), SL_INVALID_ARGUMENT);
    assert_false(sl_fetch_is_version((sl_str){text + 8, 65}));
    memset(text, '1', 70);
    assert_true(sl_fetch_is_version((sl_str){text, 64}));
    assert_false(sl_fetch_is_version((sl_str){text, 65}));
    text[3] = '+';
    assert_true(sl_fetch_is_version((sl_str){text + 3, 8}));
}

static bool below(const char *url, const char *root)
{
    return sl_fetch_below(sl_str_of(url), sl_str_of(root));
}

static void a_root_ends_at_a_slash(void **state)
{
    (void)state;
    assert_true(below("s3://b/models/m", "s3://b/models"));
    assert_true(below("s3://b/models/m", "s3://b/models/"));
    assert_true(below("s3://b/models", "s3://b/models"));
    assert_false(below("s3://b/models-of-others/m", "s3://b/models"));
    assert_false(below("s3://bb/m", "s3://b"));
    assert_true(below("s3://bb/m", "s3://"));
    assert_false(below("gs://b/m", "s3://"));
    assert_false(below("s3:", "s3://"));
    assert_false(below("s3:x", "s3://"));
    assert_false(below("s3://b/m", ""));
    assert_false(below("s3://b/m", "/"));
    assert_false(below("https://host.evil/x", "https://host"));
    assert_false(below("https://host:81/x", "https://host"));
}

static void names_are_encoded_as_a_signature_wants_them(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_fetch_encode(&t, SL_STR("a/b c+\xc3\xa4~-._=&"), true);
    assert_string_equal(t.p, "a/b%20c%2B%C3%A4~-._%3D%26");
    sl_text_fini(&t);
    sl_fetch_encode(&t, SL_STR("a/b"), false);
    assert_string_equal(t.p, "a%2Fb");
    sl_text_fini(&t);
}

static void only_paths_that_stay_below_their_directory_are_safe(void **state)
{
    (void)state;
    char longest[1100];
    memset(longest, 'x', sizeof longest);
    assert_true(sl_fetch_is_safe_path(SL_STR("variables/variables.index")));
    assert_true(sl_fetch_is_safe_path(SL_STR("a..b/...")));
    assert_false(sl_fetch_is_safe_path(SL_STR("")));
    assert_false(sl_fetch_is_safe_path(SL_STR("/etc/passwd")));
    assert_false(sl_fetch_is_safe_path(SL_STR("a/../../b")));
    assert_false(sl_fetch_is_safe_path(SL_STR("..")));
    assert_false(sl_fetch_is_safe_path(SL_STR("a/")));
    assert_false(sl_fetch_is_safe_path(SL_STR("a\nb")));
    assert_false(sl_fetch_is_safe_path((sl_str){"a\0b", 3}));
    assert_false(sl_fetch_is_safe_path((sl_str){longest, sizeof longest}));
    assert_false(sl_fetch_is_safe_path((sl_str){longest, 256}));
    assert_true(sl_fetch_is_version(SL_STR("-1")) && sl_fetch_is_version(SL_STR("007")));
    assert_false(sl_fetch_is_version(SL_STR("-")) || sl_fetch_is_version(SL_STR("1.0")) ||
                 sl_fetch_is_version(SL_STR("")));
}

static sl_code url(const char *text, sl_fetch_place *p)
{
    return sl_fetch_url_parse(sl_str_of(text), p, &st);
}

static void the_url_of_a_document_may_have_a_query_but_no_secret(void **state)
{
    (void)state;
    sl_fetch_place p;
    assert_int_equal(url("https://host:8443/a/keys?p=b2c_1", &p), SL_OK);
    assert_true(p.tls && sl_str_is(p.bucket, "host:8443"));
    assert_int_equal(url("http://[::1]:80?x", &p), SL_OK);
    assert_true(!p.tls && sl_str_is(p.bucket, "[::1]:80"));
    static const char *const bad[] = {"",
                                      "s3://b/k",
                                      "file:///etc/passwd",
                                      "https://",
                                      "https:///keys",
                                      "https://u:pw@host/keys",
                                      "ftp://u:pw@host/keys",
                                      "https://u:pw@host /keys",
                                      "https://u:pw@host",
                                      "https://h x",
                                      "https://h/a#b",
                                      "https://h/\xc3\xa4",
                                      "https://h/\n",
                                      "HTTPS://host/keys"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(url(bad[i], &p), SL_INVALID_ARGUMENT);
        assert_null(strstr(st.msg, "pw@"));
    }
}

static void loopback_is_told_by_its_text(void **state)
{
    (void)state;
    static const char *const here[] = {"localhost",      "LocalHost:80", "127.0.0.1",
                                       "127.1.2.3:8080", "[::1]",        "[::1]:443"};
    static const char *const there[] = {"",
                                        "host",
                                        "127.0.0.1.example.com",
                                        "localhost.example.com",
                                        "128.0.0.1",
                                        "[::11]",
                                        "[::2]:1",
                                        "127.0.0",
                                        "10.0.0.1:127",
                                        "127.0.0.!",
                                        "127.0.0.x"};
    for (size_t i = 0; i < sizeof here / sizeof *here; i++)
        assert_true(sl_fetch_is_loopback(sl_str_of(here[i])));
    for (size_t i = 0; i < sizeof there / sizeof *there; i++)
        assert_false(sl_fetch_is_loopback(sl_str_of(there[i])));
    assert_false(sl_fetch_is_loopback((sl_str){NULL, 0}));
}

static void a_zero_byte_is_no_part_of_a_host_and_is_encoded(void **state)
{
    (void)state;
    sl_fetch_place p;
    sl_text t = {0};
    assert_int_equal(sl_fetch_url_parse(SL_STR("http://ho\0st/x"), &p, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(sl_fetch_place_parse(SL_STR("s3://buc\0ket/x"), &p, &st), SL_INVALID_ARGUMENT);
    sl_fetch_encode(&t, SL_STR("a\0/"), false);
    assert_string_equal(t.p, "a%00%2F");
    sl_text_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_url_of_a_document_may_have_a_query_but_no_secret),
        cmocka_unit_test(loopback_is_told_by_its_text),
        cmocka_unit_test(a_base_path_is_taken_apart),
        cmocka_unit_test(what_could_lead_elsewhere_or_be_a_secret_is_refused),
        cmocka_unit_test(what_is_too_long_is_refused),
        cmocka_unit_test(a_root_ends_at_a_slash),
        cmocka_unit_test(a_zero_byte_is_no_part_of_a_host_and_is_encoded),
        cmocka_unit_test(names_are_encoded_as_a_signature_wants_them),
        cmocka_unit_test(only_paths_that_stay_below_their_directory_are_safe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
