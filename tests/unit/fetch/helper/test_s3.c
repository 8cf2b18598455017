/* test_s3.c - listings of S3, whatever a store sends in their place */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fetch/helper/explain.h"
#include "fetch/helper/s3.h"

static sl_status st;
static fetch_s3_page page;

static sl_code parse(const char *text, const char *prefix)
{
    return fetch_s3_parse(sl_str_of(text), sl_str_of(prefix), &page, &st);
}

#define HEAD \
    "<?xml version='1.0'?><ListBucketResult xmlns='http://s3.amazonaws.com/doc/2006-03-01/'>"
#define FOOT "</ListBucketResult>"

static void objects_and_prefixes_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        parse(HEAD
              "<EncodingType>url</EncodingType><IsTruncated>true</IsTruncated>"
              "<NextContinuationToken>a+b/c==</NextContinuationToken>"
              "<Contents><Key>m/1/saved_model.pb</Key><Size>12</Size>"
              "<ETag>&quot;d41d8cd98f00b204e9800998ecf8427e&quot;</ETag></Contents>"
              "<Contents><Key>m/1/a%20b+c%2Bd</Key><Size>0</Size><ETag>\"x-3\"</ETag></Contents>"
              "<Contents><Key>m/1/folder/</Key><Size>0</Size><ETag>\"e\"</ETag></Contents>"
              "<CommonPrefixes><Prefix>m/1/7/</Prefix></CommonPrefixes>"
              "<CommonPrefixes><Prefix>m/1/assets/</Prefix></CommonPrefixes>"
              "<CommonPrefixes><Prefix>m/1/7/</Prefix></CommonPrefixes>" FOOT,
              "m/1/"),
        SL_OK);
    assert_true(page.truncated);
    assert_string_equal(page.next, "a+b/c==");
    assert_int_equal(page.objects.count, 2);
    assert_string_equal(page.objects.list[0].path, "saved_model.pb");
    assert_true(page.objects.list[0].has_md5 && page.objects.list[0].size == 12);
    assert_string_equal(page.objects.list[1].path, "a b c+d");
    assert_string_equal(page.objects.list[1].key, "m/1/a b c+d");
    assert_false(page.objects.list[1].has_md5);
    assert_int_equal(page.objects.bytes, 12);
    assert_int_equal(page.prefixes.count, 1);
    assert_string_equal(page.prefixes.list[0], "7");
    fetch_s3_page_fini(&page);
}

static void what_is_no_whole_listing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "nonsense",
        "<html></html>",
        "<Error><Code>x</Code></Error>",
        HEAD "<Contents><Key>m/a</Key><Size>1</Size></Contents>", /* cut */
        HEAD "<IsTruncated>true</IsTruncated>" FOOT,              /* cut, and no way on */
        HEAD "<Contents><Key>m/a</Key></Contents>" FOOT,
        HEAD "<Contents><Key>m/a</Key><Size>-1</Size></Contents>" FOOT,
        HEAD "<Contents><Key>m/a</Key><Size>99999999999999999999</Size></Contents>" FOOT,
        HEAD "<Contents><Key>n/a</Key><Size>1</Size></Contents>" FOOT, /* not asked for */
        HEAD "<Contents><Key>m/../../etc</Key><Size>1</Size></Contents>" FOOT,
        HEAD "<EncodingType>url</EncodingType>"
             "<Contents><Key>m/%2E%2E/x</Key><Size>1</Size></Contents>" FOOT,
        HEAD "<EncodingType>url</EncodingType>"
             "<Contents><Key>m/a%00b</Key><Size>1</Size></Contents>" FOOT,
        HEAD "<Contents><Key>m//a</Key><Size>1</Size></Contents>" FOOT,
        "<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" HEAD FOOT};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_not_equal(parse(bad[i], "m/"), SL_OK);
}

static void depth_and_length_are_bounded(void **state)
{
    (void)state;
    sl_text t = {0};
    for (int i = 0; i < 1000; i++)
        sl_text_puts(&t, "<a>");
    assert_int_equal(parse(t.p, ""), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "deep"));
    sl_text_fini(&t);
    sl_text_puts(&t, HEAD "<Contents><Key>");
    for (int i = 0; i < 5000; i++)
        sl_text_putc(&t, 'k');
    sl_text_puts(&t, "</Key><Size>1</Size></Contents>" FOOT);
    assert_int_equal(parse(t.p, ""), SL_INVALID_ARGUMENT);
    sl_text_fini(&t);
}

static void text_in_another_encoding_is_bounded_too(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_text_puts(&t,
                 "<?xml version='1.0' encoding='ISO-8859-1'?><ListBucketResult><Contents><Key>");
    for (int i = 0; i < 20000; i++)
        sl_text_putc(&t, '\xe4'); /* comes piece by piece, also after the first too many */
    sl_text_puts(&t, "</Key></Contents></ListBucketResult>");
    assert_int_equal(parse(t.p, ""), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "too long"));
    sl_text_fini(&t);
}

static void a_name_that_is_too_long_for_its_path_is_refused(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_text_puts(&t, "<ListBucketResult><");
    for (int i = 0; i < 500; i++)
        sl_text_putc(&t, 'n');
    sl_text_puts(&t, "/></ListBucketResult>");
    assert_int_equal(parse(t.p, ""), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "nested too deeply"));
    sl_text_fini(&t);
}

static void a_large_document_is_read_in_pieces(void **state)
{
    (void)state;
    sl_text t = {0};
    sl_text_puts(&t, HEAD);
    while (t.n < 3 << 20)
        sl_text_puts(&t, "<Contents><Key>m/a</Key><Size>1</Size><Owner>somebody</Owner>"
                         "</Contents><!-- a comment to make it longer, since objects are few, and "
                         "which is nobody's business but that of whoever wrote it down -->");
    sl_text_puts(&t, FOOT);
    assert_int_equal(parse(t.p, "m/"), SL_OK);
    assert_true(page.objects.count > 10000);
    fetch_s3_page_fini(&page);
    t.p[2 << 20] = '<'; /* a mistake in the third piece */
    t.p[(2 << 20) + 1] = '<';
    assert_int_equal(parse(t.p, "m/"), SL_INVALID_ARGUMENT);
    sl_text_fini(&t);
}

static void what_is_written_as_in_a_url_is_read_as_far_as_it_is_one(void **state)
{
    (void)state;
    assert_int_equal(parse(HEAD "<EncodingType>url</EncodingType>"
                                "<Contents><Key>m/a%2</Key><Size>1</Size></Contents>"
                                "<Contents><Key>m/b%zz</Key><Size>1</Size></Contents>"
                                "<Contents><Key>m/c%4z</Key><Size>1</Size></Contents>"
                                "<Contents><Key>m/d%41%e4</Key><Size>1</Size></Contents>"
                                "<CommonPrefixes><Prefix>m/%37/</Prefix></CommonPrefixes>"
                                "<CommonPrefixes><Prefix>m/</Prefix></CommonPrefixes>"
                                "<CommonPrefixes><Prefix>n/8/</Prefix></CommonPrefixes>"
                                "<CommonPrefixes><Prefix>m/9</Prefix></CommonPrefixes>" FOOT,
                           "m/"),
                     SL_OK);
    assert_int_equal(page.objects.count, 4);
    assert_string_equal(page.objects.list[0].path, "a%2");
    assert_string_equal(page.objects.list[1].path, "b%zz");
    assert_string_equal(page.objects.list[2].path, "c%4z");
    assert_string_equal(page.objects.list[3].path, "dA\xe4");
    assert_int_equal(page.prefixes.count, 1);
    assert_string_equal(page.prefixes.list[0], "7");
    fetch_s3_page_fini(&page);
    assert_int_equal(parse("<Else/>", ""), SL_INVALID_ARGUMENT);
    assert_int_equal(parse("<ListBucketResult2><Contents/></ListBucketResult2>", ""),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(parse(HEAD "<Contents><Size>1</Size></Contents>" FOOT, ""),
                     SL_INVALID_ARGUMENT);
    assert_int_equal(parse(HEAD "<Contents><Key>n/a</Key><Size>1</Size></Contents>" FOOT, "m/1/"),
                     SL_INVALID_ARGUMENT);
}

static void an_error_document_is_told_by_its_code_alone(void **state)
{
    (void)state;
    char why[64];
    sl_text t = {0};
    sl_text_puts(
        &t, "<?xml version='1.0'?>\n<Error><Code>SignatureDoesNotMatch</Code><Message>m</Message>"
            "<AWSAccessKeyId>AKIASECRET</AWSAccessKeyId></Error>");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "SignatureDoesNotMatch");
    assert_true(fetch_error_is(&t, "SignatureDoesNotMatch"));
    sl_text_fini(&t);
    sl_text_puts(&t, "{\"error\": {\"code\": 403, \"message\": \"no \\u0007 access\"}}");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "no ? access");
    sl_text_fini(&t);
    sl_text_puts(&t, "{\"error\": \"quota\\u007f\"}");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "quota?");
    sl_text_fini(&t);
    sl_text_puts(&t, "{\"error\": 7}");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "");
    sl_text_fini(&t);
    sl_text_puts(&t, "\r\n <ErrorResponse><Error><Code>Throttled</Code></Error></ErrorResponse>");
    fetch_explain(&t, why, 5);
    assert_string_equal(why, "Thro");
    sl_text_fini(&t);
    sl_text_puts(&t, " \r\n");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "");
    sl_text_fini(&t);
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "");
    sl_text_puts(&t, "plain");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "");
    sl_text_fini(&t);
    sl_text_puts(&t, "<html>");
    fetch_explain(&t, why, sizeof why);
    assert_string_equal(why, "");
    sl_text_fini(&t);
}

static void expect_endpoint(const char *bucket, const char *wanted)
{
    sl_text t = {0};
    assert_int_equal(fetch_s3_endpoint(sl_str_of(bucket), "eu-west-1", &t, &st), SL_OK);
    assert_string_equal(t.p, wanted);
    sl_text_fini(&t);
}

static void the_endpoint_is_what_the_environment_says(void **state)
{
    (void)state;
    unsetenv("AWS_ENDPOINT_URL_S3");
    unsetenv("AWS_ENDPOINT_URL");
    unsetenv("S3_ENDPOINT");
    expect_endpoint("b", "https://b.s3.eu-west-1.amazonaws.com");
    expect_endpoint("b.c", "https://s3.eu-west-1.amazonaws.com/b.c");
    setenv("S3_ENDPOINT", "minio:9000", 1);
    expect_endpoint("b", "https://minio:9000/b");
    setenv("S3_USE_HTTPS", "1", 1);
    expect_endpoint("b", "https://minio:9000/b");
    setenv("S3_ENDPOINT", "http://minio", 1);
    expect_endpoint("b", "http://minio/b");
    setenv("S3_ENDPOINT", "minio:9000", 1);
    setenv("S3_USE_HTTPS", "0", 1);
    expect_endpoint("b", "http://minio:9000/b");
    setenv("AWS_ENDPOINT_URL", "http://x:1//", 1);
    setenv("AWS_ENDPOINT_URL_S3", "", 1);
    expect_endpoint("b", "http://x:1/b");
    setenv("AWS_ENDPOINT_URL_S3", "https://y", 1);
    expect_endpoint("b", "https://y/b");
    setenv("AWS_ENDPOINT_URL_S3", "ftp://y", 1);
    sl_text t = {0};
    assert_int_equal(fetch_s3_endpoint(SL_STR("b"), "r", &t, &st), SL_INVALID_ARGUMENT);
    sl_text_fini(&t);
}

static void add(fetch_listing *l, const char *path)
{
    assert_int_equal(fetch_listing_add(l, sl_str_of(path), sl_str_of(path), 1, SL_STR("t"), &st),
                     SL_OK);
}

static void a_version_is_whole_when_all_shards_are_listed(void **state)
{
    (void)state;
    fetch_listing l = {0};
    add(&l, "variables/variables.index");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_FAILED_PRECONDITION);
    add(&l, "saved_model.pb");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_FAILED_PRECONDITION);
    add(&l, "variables/variables.data-00001-of-00002");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_FAILED_PRECONDITION);
    add(&l, "variables/variables.data-00000-of-00002");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_OK);
    fetch_listing_fini(&l);
    add(&l, "saved_model.pb");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_OK);
    add(&l, "variables/variables.data-00000-of-00001");
    assert_int_equal(fetch_listing_complete(&l, &st), SL_FAILED_PRECONDITION);
    fetch_listing_fini(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_and_prefixes_are_read),
        cmocka_unit_test(what_is_no_whole_listing_is_refused),
        cmocka_unit_test(depth_and_length_are_bounded),
        cmocka_unit_test(text_in_another_encoding_is_bounded_too),
        cmocka_unit_test(a_name_that_is_too_long_for_its_path_is_refused),
        cmocka_unit_test(a_large_document_is_read_in_pieces),
        cmocka_unit_test(what_is_written_as_in_a_url_is_read_as_far_as_it_is_one),
        cmocka_unit_test(an_error_document_is_told_by_its_code_alone),
        cmocka_unit_test(the_endpoint_is_what_the_environment_says),
        cmocka_unit_test(a_version_is_whole_when_all_shards_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
