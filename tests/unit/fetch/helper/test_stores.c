/* test_stores.c - S3 and Google Cloud Storage: listings of many pages, versions into a mirror */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "fetch/helper/gs.h"
#include "fetch/helper/s3.h"
#include "fixture.h"
#include "support/calls.h"
#include "support/faults.h"

static fetch_op op;
static fetch_names names;
static fetch_listing listing;

/* ---- the store: what it answers is a list, in turn; the last one again and again ---- */

static struct answer {
    int status;
    const char *headers, *body;
} answers[8];
static int n_answers;

static void answer(web_request *r)
{
    const struct answer *a = &answers[SL_MIN(r->number, n_answers - 1)];
    web_send(r, a->status, a->headers, a->body, strlen(a->body));
}

static void says(int status, const char *headers, const char *body)
{
    answers[n_answers++] = (struct answer){status, headers, body};
}

static void anew(void)
{
    web_stop();
    n_answers = 0;
    web_start(answer);
}

static int setup(void **state)
{
    n_answers = 0;
    if (fixture_setup(state))
        return 1;
    web_start(answer);
    setenv("AWS_ENDPOINT_URL", web_url(), 1);
    setenv("STORAGE_EMULATOR_HOST", web_url(), 1);
    return 0;
}

static int teardown(void **state)
{
    web_stop();
    fetch_names_fini(&names);
    fetch_listing_fini(&listing);
    settings.max_bytes = 1 << 20;
    return fixture_teardown(state);
}

static void place(const char *url)
{
    op = new_op();
    assert_int_equal(sl_fetch_place_parse(sl_str_of(url), &op.place, &st), SL_OK);
}

static sl_code list(const char *url)
{
    place(url);
    fetch_names_fini(&names);
    return fetch_list(&op, &names, &st);
}

static char version[16];

static sl_code get(const char *url, const char *name)
{
    place(url);
    snprintf(version, sizeof version, "%s", name);
    op.name = version;
    return fetch_get(&op, &st);
}

static bool there(const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return access(path, F_OK) == 0;
}

/* ---- S3 ---- */

#define S3(inside) "<ListBucketResult>" inside "</ListBucketResult>"
#define PREFIX(name) "<CommonPrefixes><Prefix>" name "</Prefix></CommonPrefixes>"
#define NEXT(token)                   \
    "<IsTruncated>true</IsTruncated>" \
    "<NextContinuationToken>" token "</NextContinuationToken>"
#define OBJECT(key, size) \
    "<Contents><Key>" key "</Key><Size>" size "</Size><ETag>\"tag\"</ETag></Contents>"

static void versions_of_s3_are_read_to_the_last_page(void **state)
{
    (void)state;
    says(200, "", S3(NEXT("a b/") PREFIX("m/1/") PREFIX("m/assets/")));
    says(200, "", S3(NEXT("two") PREFIX("m/2/") PREFIX("m/1/")));
    says(200, "", S3(PREFIX("m/3/")));
    assert_int_equal(list("s3://bucket/m"), SL_OK);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.list[2], "3");
    assert_string_equal(web_seen(0)->target,
                        "/bucket/?delimiter=%2F&encoding-type=url&list-type=2&prefix=m%2F");
    assert_string_equal(web_seen(1)->target,
                        "/bucket/?continuation-token=a%20b%2F&delimiter=%2F&encoding-type=url&"
                        "list-type=2&prefix=m%2F");
    assert_non_null(strstr(web_header(web_seen(0), "Authorization"), "Credential=AKID/"));
    assert_string_equal(web_header(web_seen(0), "x-amz-security-token"), "session");
}

static void a_bucket_itself_may_be_the_base_path(void **state)
{
    (void)state;
    says(200, "", S3(PREFIX("7/")));
    assert_int_equal(list("s3://bucket"), SL_OK);
    assert_int_equal(names.count, 1);
    assert_non_null(strstr(web_seen(0)->target, "&prefix="));
    anew();
    says(200, "", "{\"prefixes\": [\"8/\"]}");
    assert_int_equal(list("gs://bucket"), SL_OK);
    assert_string_equal(names.list[0], "8");
    assert_string_equal(web_seen(0)->target, "/storage/v1/b/bucket/o?prefix=&delimiter=%2F");
}

static void a_listing_that_leads_nowhere_is_refused(void **state)
{
    (void)state;
    says(200, "", S3(NEXT("one")));
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "circles"));
    assert_int_equal(web_asked(), 2);
    anew();
    says(200, "", S3("<IsTruncated>true</IsTruncated>"));
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    anew();
    says(200, "", S3("<IsTruncated>true</IsTruncated><NextContinuationToken/>"));
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    anew();
    says(200, "", "");
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    assert_int_equal(list("gs://bucket/m"), SL_INVALID_ARGUMENT);
    anew();
    says(200, "", "{\"nextPageToken\": \"one\"}");
    assert_int_equal(list("gs://bucket/m"), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "circles"));
    assert_int_equal(web_asked(), 2);
}

static void ever_new_pages(web_request *r)
{
    char page[200];
    snprintf(page, sizeof page, S3(NEXT("%d")), r->number);
    web_send(r, 200, "", page, strlen(page));
}

static void ever_new_pages_of_google(web_request *r)
{
    char page[200];
    snprintf(page, sizeof page, "{\"nextPageToken\": \"%d\"}", r->number);
    web_send(r, 200, "", page, strlen(page));
}

static void a_listing_without_end_ends(void **state)
{
    (void)state;
    web_stop();
    web_start(ever_new_pages);
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "a listing of more than 2000 pages");
    assert_int_equal(web_asked(), 2000);
    web_stop();
    web_start(ever_new_pages_of_google);
    assert_int_equal(list("gs://bucket/m"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "a listing of more than 2000 pages");
    assert_int_equal(web_asked(), 2000);
}

#define WHOLE                                                                             \
    S3(OBJECT("m/1/saved_model.pb", "5") OBJECT("m/1/variables/variables.index", "5")     \
           OBJECT("m/1/variables/variables.data-00000-of-00001", "5") OBJECT("m/1/", "0") \
               OBJECT("m/1/a%2Bb", "5"))

static void a_version_of_s3_comes_whole_and_only_once(void **state)
{
    (void)state;
    says(200, "", WHOLE);
    says(200, "", "bytes");
    assert_int_equal(get("s3://bucket/m", "1"), SL_OK);
    assert_true(op.changed && there("versions/1/variables/variables.index"));
    assert_int_equal(web_asked(), 5);
    assert_string_equal(web_header(web_seen(1), "If-Match"), "\"tag\"");
    assert_string_equal(web_header(web_seen(1), "x-amz-checksum-mode"), "ENABLED");
    anew();
    says(200, "", WHOLE);
    assert_int_equal(get("s3://bucket/m", "1"), SL_OK);
    assert_int_equal(web_asked(), 1);
    assert_false(op.changed);
}

static void an_object_without_a_tag_is_asked_for_without_one(void **state)
{
    (void)state;
    fetch_request r = {0};
    fetch_object o = {.key = (char[]){"m/1/a b"}};
    place("s3://bucket/m");
    assert_int_equal(fetch_store_s3.build(&op, &o, &r, &st), SL_OK);
    assert_null(strstr(r.headers.p, "If-Match"));
    assert_non_null(strstr(r.url.p, "/bucket/m/1/a%20b"));
    fetch_request_fini(&r);
    assert_int_equal(fetch_store_gs.build(&op, &o, &r, &st), SL_OK);
    assert_null(strstr(r.url.p, "generation"));
    fetch_request_fini(&r);
}

static void half_a_version_is_waited_for(void **state)
{
    (void)state;
    says(200, "", S3(OBJECT("m/1/x", "5")));
    assert_int_equal(get("s3://bucket/m", "1"), SL_FAILED_PRECONDITION);
    assert_true(op.partial);
    assert_string_equal(st.msg, "there is no saved_model.pb");
    assert_false(there("versions"));
    assert_int_equal(get("s3://bucket/m", "x"), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "\"x\" is no version");
}

static void more_than_is_allowed_or_has_room_is_not_fetched(void **state)
{
    (void)state;
    says(200, "", WHOLE);
    settings.max_bytes = 19;
    assert_int_equal(get("s3://bucket/m", "1"), SL_OUT_OF_RANGE);
    assert_non_null(strstr(st.msg, "--remote_max_bytes"));
    settings.max_bytes = 20;
    fail_call("statvfs", 1, EIO);
    assert_int_not_equal(get("s3://bucket/m", "1"), SL_OK);
    fail_call("flock", 1, EIO);
    assert_int_not_equal(get("s3://bucket/m", "1"), SL_OK);
    fail_call("mkdir", 1, ENOSPC);
    assert_int_equal(get("s3://bucket/m", "1"), SL_RESOURCE_EXHAUSTED);
    fail_call("mkdir", 1, ENOSPC);
    assert_int_equal(list("s3://bucket/m"), SL_RESOURCE_EXHAUSTED);
    fail_call(NULL, 0, 0);
    assert_int_equal(get("s3://bucket/m", "1"), SL_DATA_LOSS); /* 5 bytes were listed */
    assert_false(op.changed || there("versions"));
    anew();
    says(200, "", WHOLE);
    says(200, "", "bytes");
    fail_call("fsync", 1, EIO);
    assert_int_not_equal(get("s3://bucket/m", "1"), SL_OK);
    assert_false(op.changed || there("versions"));
    fail_call(NULL, 0, 0);
}

static void a_bucket_says_where_it_lies_and_is_believed(void **state)
{
    (void)state;
    says(400, "x-amz-bucket-region: eu-north-1\r\n", "");
    says(200, "", S3());
    assert_int_equal(list("s3://far/m"), SL_OK);
    assert_non_null(strstr(web_header(web_seen(0), "Authorization"), "/us-west-2/s3/"));
    assert_non_null(strstr(web_header(web_seen(1), "Authorization"), "/eu-north-1/s3/"));
    anew();
    says(403, "x-amz-bucket-region: eu-north-1\r\n", ""); /* no news */
    assert_int_equal(list("s3://far/m"), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 1);
    anew();
    says(403, "x-amz-bucket-region: evil.example/\r\n", "");
    assert_int_equal(list("s3://far/m"), SL_PERMISSION_DENIED);
    assert_int_equal(web_asked(), 1);
    anew();
    says(400, "x-amz-bucket-region: eu-south-1\r\n", "");
    says(200, "", S3());
    assert_int_equal(list("s3://far/m"), SL_OK);
    assert_non_null(strstr(web_header(web_seen(1), "Authorization"), "/eu-south-1/s3/"));
}

static const char *scope_of(const char *bucket)
{
    static char scope[96];
    char url[64];
    fetch_request r = {0};
    fetch_object o = {.key = (char[]){"k"}};
    snprintf(url, sizeof url, "s3://%s", bucket);
    place(url);
    assert_int_equal(fetch_store_s3.build(&op, &o, &r, &st), SL_OK);
    memcpy(scope, r.scope, sizeof scope);
    fetch_request_fini(&r);
    return scope;
}

static void the_regions_of_the_last_64_buckets_are_remembered(void **state)
{
    (void)state;
    char url[64];
    fetch_reply reply = {.status = 301, .region = "eu-west-3"};
    for (int i = 0; i < 66; i++) {
        snprintf(url, sizeof url, "s3://b%d", i);
        place(url);
        assert_true(fetch_store_s3.learn(&op, &reply));
        assert_false(fetch_store_s3.learn(&op, &reply));
    }
    assert_string_equal(scope_of("b0"), "aws:amz:us-west-2:s3");
    assert_string_equal(scope_of("b65"), "aws:amz:eu-west-3:s3");
    reply.status = 200;
    strcpy(reply.region, "eu-west-2");
    assert_false(fetch_store_s3.learn(&op, &reply)); /* an answer is an answer */
}

static void keys_of_the_environment_become_no_fresher(void **state)
{
    (void)state;
    static const char *const codes[] = {"ExpiredToken", "InvalidToken", "TokenRefreshRequired",
                                        "InvalidAccessKeyId", "AccessDenied"};
    char body[100];
    for (size_t i = 0; i < SL_COUNTOF(codes); i++) {
        anew();
        snprintf(body, sizeof body, "<Error><Code>%s</Code></Error>", codes[i]);
        says(i ? 403 : 400, "", body);
        assert_int_equal(list("s3://bucket/m"), i ? SL_PERMISSION_DENIED : SL_INVALID_ARGUMENT);
        assert_non_null(strstr(st.msg, codes[i]));
        assert_int_equal(web_asked(), 1);
    }
    anew();
    says(404, "", "<Error><Code>ExpiredToken</Code></Error>");
    assert_int_equal(list("s3://bucket/m"), SL_NOT_FOUND);
}

static void an_endpoint_that_is_no_url_is_said(void **state)
{
    (void)state;
    setenv("AWS_ENDPOINT_URL", "ftp://x", 1);
    assert_int_equal(list("s3://bucket/m"), SL_INVALID_ARGUMENT);
    assert_int_equal(get("s3://bucket/m", "1"), SL_INVALID_ARGUMENT);
    fetch_request r = {0};
    fetch_object o = {.key = (char[]){"k"}};
    assert_int_equal(fetch_store_s3.build(&op, &o, &r, &st), SL_INVALID_ARGUMENT);
    fetch_request_fini(&r);
    assert_int_equal(web_asked(), 0);
}

/* ---- Google Cloud Storage ---- */

static void versions_of_google_are_read_to_the_last_page(void **state)
{
    (void)state;
    says(200, "",
         "{\"prefixes\": [\"m/1/\", \"m/x/\", \"m/\\u0032/\", \"m/\", \"n/3/\", 4, [], \"m/5\", "
         "\"\", \"m/6/\"], \"nextPageToken\": \"a b\"}");
    says(200, "", "{\"prefixes\": [\"m/7/\"]}");
    assert_int_equal(list("gs://bucket/m"), SL_OK);
    assert_int_equal(names.count, 3);
    assert_string_equal(names.list[0], "1");
    assert_string_equal(names.list[1], "6");
    assert_string_equal(names.list[2], "7");
    assert_string_equal(web_seen(1)->target,
                        "/storage/v1/b/bucket/o?prefix=m%2F&delimiter=%2F&pageToken=a%20b");
}

#define ITEM(name, more) "{\"name\": \"" name "\", \"size\": \"5\"" more "}"

static void a_version_of_google_is_checked_by_its_checksums(void **state)
{
    (void)state;
    says(
        200, "",
        "{\"items\": [" ITEM(
            "m/1/saved_model.pb",
            ", \"generation\": \"7\", \"md5Hash\": "
            "\"SzpiGLs+OnMD6KFxpg/Pkg==\"") ", " ITEM("m/1/x",
                                                      ", \"crc32c\": \"x\", \"md5Hash\": \"AAAA\", "
                                                      "\"generation\": \"-1\"") ", " ITEM("m/1/"
                                                                                          "folder/",
                                                                                          "") ","
                                                                                              " " ITEM(
                                                                                                  "m/1/",
                                                                                                  "") "]}");
    says(200, "", "bytes");
    assert_int_equal(get("gs://bucket/m", "1"), SL_OK);
    assert_true(there("versions/1/x"));
    assert_int_equal(web_asked(), 3);
    bool asked = strstr(web_seen(1)->target, "saved_model.pb?alt=media&generation=7") ||
                 strstr(web_seen(2)->target, "saved_model.pb?alt=media&generation=7");
    assert_true(asked);
    anew();
    says(200, "", "{\"items\": [" ITEM("m/2/saved_model.pb", ", \"crc32c\": \"AAAAAA==\"") "]}");
    says(200, "", "bytes");
    assert_int_equal(get("gs://bucket/m", "2"), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "CRC-32C"));
}

static void an_emulator_may_be_named_without_a_scheme(void **state)
{
    (void)state;
    char host[64];
    snprintf(host, sizeof host, "%s//", web_url() + strlen("http://"));
    setenv("STORAGE_EMULATOR_HOST", host, 1);
    says(200, "", "{}");
    assert_int_equal(list("gs://bucket/m"), SL_OK);
    assert_int_equal(names.count, 0);
    setenv("STORAGE_EMULATOR_HOST", "/", 1);
    fetch_request r = {0};
    fetch_object o = {.key = (char[]){"k"}};
    assert_int_equal(fetch_store_gs.build(&op, &o, &r, &st), SL_OK);
    assert_string_equal(r.url.p, "http:///storage/v1/b/bucket/o/k?alt=media");
    fetch_request_fini(&r);
}

static sl_code build_for_google(fetch_request *r)
{
    fetch_object o = {.key = (char[]){"a/b"}};
    *r = (fetch_request){0};
    place("gs://bucket/m");
    return fetch_store_gs.build(&op, &o, r, &st);
}

/* No request leaves this machine here: it is only built. */
static void google_itself_is_asked_with_a_token(void **state)
{
    (void)state;
    fetch_request r;
    char path[100];
    fetch_reply refused = {.status = 401};
    setenv("STORAGE_EMULATOR_HOST", "", 1);
    setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent", 1);
    assert_int_equal(build_for_google(&r), SL_UNAUTHENTICATED);
    fetch_request_fini(&r);
    assert_int_equal(list("gs://bucket/m"), SL_UNAUTHENTICATED);
    snprintf(path, sizeof path, "%s/key.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f,
            "{\"type\": \"authorized_user\", \"client_id\": \"i\", \"client_secret\": \"s\", "
            "\"refresh_token\": \"r\", \"token_uri\": \"%s/token\"}",
            web_url());
    fclose(f);
    setenv("GOOGLE_APPLICATION_CREDENTIALS", path, 1);
    says(200, "", "{\"access_token\": \"t0ken\", \"expires_in\": 3600}");
    assert_int_equal(build_for_google(&r), SL_OK);
    assert_string_equal(r.url.p,
                        "https://storage.googleapis.com/storage/v1/b/bucket/o/a%2Fb?alt=media");
    assert_string_equal(r.headers.p, "Authorization: Bearer t0ken\n");
    fetch_request_fini(&r);
    assert_int_equal(web_asked(), 1);
    assert_true(fetch_store_gs.learn(&op, &refused));
    assert_int_equal(build_for_google(&r), SL_OK);
    fetch_request_fini(&r);
    assert_int_equal(web_asked(), 2);
    refused.status = 403;
    assert_false(fetch_store_gs.learn(&op, &refused));
    refused.status = 401;
    assert_true(fetch_store_gs.learn(&op, &refused));
    assert_false(fetch_store_gs.learn(&op, &refused)); /* there is none any more */
    unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    unsetenv("STORAGE_EMULATOR_HOST");
    assert_int_equal(build_for_google(&r), SL_OK); /* anonymous: NO_GCE_CHECK is set */
    assert_null(r.headers.p);
    fetch_request_fini(&r);
}

/* ---- lists ---- */

static void lists_are_bounded(void **state)
{
    (void)state;
    fetch_listing l = {0};
    fetch_names n = {0};
    static char tag[FETCH_TAG + 1];
    memset(tag, 't', FETCH_TAG);
    sl_str x = SL_STR("x"), none = {NULL, 0};
    assert_int_equal(fetch_listing_add(&l, x, SL_STR("../x"), 1, none, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(fetch_listing_add(&l, x, x, 1, sl_str_of(tag), &st), SL_INVALID_ARGUMENT);
    assert_int_equal(fetch_listing_add(&l, x, x, 1, SL_STR("a\nb"), &st), SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "an object's tag is too long, or of more than one line");
    assert_int_equal(fetch_listing_add(&l, x, x, UINT64_MAX / 2, none, &st), SL_INVALID_ARGUMENT);
    assert_int_equal(fetch_listing_add(&l, x, x, 1, none, &st), SL_OK);
    assert_string_equal(l.list[0].tag, "");
    l.count = FETCH_MOST_OBJECTS;
    assert_int_equal(fetch_listing_add(&l, x, x, 1, none, &st), SL_RESOURCE_EXHAUSTED);
    l.count = 1;
    fetch_listing_fini(&l);
    assert_int_equal(fetch_names_add(&n, SL_STR("1"), &st), SL_OK);
    assert_int_equal(fetch_names_add(&n, SL_STR("1"), &st), SL_OK);
    assert_int_equal(n.count, 1);
    fetch_names_fini(&n);
    char *one = (char[]){"1"};
    char **many = sl_calloc(SL_FETCH_NAMES, sizeof *many);
    for (int i = 0; i < SL_FETCH_NAMES; i++)
        many[i] = one;
    n = (fetch_names){many, SL_FETCH_NAMES, SL_FETCH_NAMES};
    assert_int_equal(fetch_names_add(&n, SL_STR("1"), &st), SL_OK);
    assert_int_equal(fetch_names_add(&n, SL_STR("2"), &st), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "too many versions");
    sl_free(many);
}

static void shards_are_counted_by_their_names(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        const char *why; /* NULL: whole */
    } cases[] = {
        {"variables/variables.data-00000-of-00001", NULL},
        {"variables/variables.data-00000-of-00002", "1 of 2 shards of its variables are there"},
        {"variables/variables.data-00002-of-00002", "the data of its variables is missing"},
        {"variables/variables.data-00000-of-00001x", "the data of its variables is missing"},
        {"variables/variables.data-0", "the data of its variables is missing"}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        fetch_listing l = {0};
        const char *const paths[] = {"saved_model.cpb", "variables/variables.index", cases[i].path};
        for (size_t k = 0; k < SL_COUNTOF(paths); k++)
            fetch_listing_add(&l, sl_str_of(paths[k]), sl_str_of(paths[k]), 1, SL_STR(""), &st);
        sl_code rc = fetch_listing_complete(&l, &st);
        assert_int_equal(rc, cases[i].why ? SL_FAILED_PRECONDITION : SL_OK);
        if (cases[i].why)
            assert_string_equal(st.msg, cases[i].why);
        fetch_listing_fini(&l);
    }
    fetch_listing l = {0};
    fetch_listing_add(&l, SL_STR("k"), SL_STR("saved_model.pbtxt"), 1, SL_STR(""), &st);
    assert_int_equal(fetch_listing_complete(&l, &st), SL_OK);
    fetch_listing_fini(&l);
}

/* ---- without memory ---- */

static sl_code list_once(void *arg, sl_status *status)
{
    sl_code rc = list(arg);
    *status = st;
    return rc == SL_UNAVAILABLE ? SL_RESOURCE_EXHAUSTED : rc;
}

static sl_code get_once(void *arg, sl_status *status)
{
    fetch_remove_tree(dir);
    assert_int_equal(mkdir(dir, 0755), 0);
    sl_code rc = get(arg, "1");
    *status = st;
    return rc == SL_UNAVAILABLE ? SL_RESOURCE_EXHAUSTED : rc;
}

static void s3_of_both(web_request *r)
{
    const char *body = strstr(r->target, "list-type") == NULL ? "bytes"
                       : strstr(r->target, "delimiter")       ? S3(PREFIX("m/1/") PREFIX("m/2/"))
                                                              : WHOLE;
    web_send(r, 200, "", body, strlen(body));
}

static void google_of_both(web_request *r)
{
    const char *body =
        strstr(r->target, "prefix=") == NULL ? "bytes"
        : strstr(r->target, "delimiter")
            ? "{\"prefixes\": [\"m/1/\", \"m/2/\"]}"
            : "{\"items\": [" ITEM("m/1/saved_model.pb", "") ", " ITEM("m/1/x", "") "]}";
    web_send(r, 200, "", body, strlen(body));
}

static void without_memory_a_store_cannot_be_read_and_that_is_said(void **state)
{
    (void)state;
    web_stop();
    web_start(s3_of_both);
    assert_in_range(fail_each_allocation(list_once, (char[]){"s3://bucket/m"}), 3, 60);
    assert_in_range(fail_each_allocation(get_once, (char[]){"s3://bucket/m"}), 3, 60);
    assert_in_range(fail_each_call("XML_ParserCreate", 0, list_once, (char[]){"s3://bucket/m"}), 1,
                    1);
    web_stop();
    web_start(google_of_both);
    assert_in_range(fail_each_allocation(list_once, (char[]){"gs://bucket/m"}), 3, 60);
    assert_in_range(fail_each_allocation(get_once, (char[]){"gs://bucket/m"}), 3, 60);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(versions_of_s3_are_read_to_the_last_page),
        T(a_bucket_itself_may_be_the_base_path),
        T(a_listing_that_leads_nowhere_is_refused),
        T(a_listing_without_end_ends),
        T(a_version_of_s3_comes_whole_and_only_once),
        T(an_object_without_a_tag_is_asked_for_without_one),
        T(half_a_version_is_waited_for),
        T(more_than_is_allowed_or_has_room_is_not_fetched),
        T(a_bucket_says_where_it_lies_and_is_believed),
        T(the_regions_of_the_last_64_buckets_are_remembered),
        T(keys_of_the_environment_become_no_fresher),
        T(an_endpoint_that_is_no_url_is_said),
        T(versions_of_google_are_read_to_the_last_page),
        T(a_version_of_google_is_checked_by_its_checksums),
        T(an_emulator_may_be_named_without_a_scheme),
        T(google_itself_is_asked_with_a_token),
        T(lists_are_bounded),
        T(shards_are_counted_by_their_names),
        T(without_memory_a_store_cannot_be_read_and_that_is_said),
    };
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "hush", 1);
    setenv("AWS_SESSION_TOKEN", "session", 1);
    setenv("AWS_REGION", "us-west-2", 1);
    setenv("NO_GCE_CHECK", "true", 1);
    setenv("HOME", "/nonexistent", 1);
    unsetenv("AWS_ENDPOINT_URL_S3");
    unsetenv("GOOGLE_APPLICATION_CREDENTIALS");
    if (fetch_http_start(&st))
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
