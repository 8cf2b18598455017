/* test_google.c - tokens for Google Cloud Storage, and its listings */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/helper/google.h"
#include "fetch/helper/gs.h"
#include "format/base64.h"
#include "support/calls.h"
#include "support/faults.h"

static sl_status st;
static fetch_op op;
static fetch_google google;
static char dir[64], path[128], token[FETCH_TOKEN];

static struct {
    const char *credentials, *no_gce, *home, *gce_host;
    bool cancel;
    const char *body;
    long status;
    int asked;
    char url[512], headers[256];
    sl_text sent;
} world;

static const char *env(const char *name)
{
    if (strcmp(name, "GOOGLE_APPLICATION_CREDENTIALS") == 0)
        return world.credentials;
    if (strcmp(name, "NO_GCE_CHECK") == 0)
        return world.no_gce;
    if (strcmp(name, "GCE_METADATA_HOST") == 0)
        return world.gce_host;
    return strcmp(name, "HOME") == 0 ? world.home : NULL;
}

static sl_code answer(fetch_op *o, const fetch_request *r, size_t limit, fetch_reply *reply,
                      sl_status *status)
{
    (void)o, (void)limit;
    world.asked++;
    memset(reply, 0, sizeof *reply);
    snprintf(world.url, sizeof world.url, "%s", r->url.p);
    snprintf(world.headers, sizeof world.headers, "%s", r->headers.p ? r->headers.p : "");
    sl_text_fini(&world.sent);
    sl_text_add(&world.sent, r->body.p ? r->body.p : "", r->body.n);
    if (world.cancel)
        return sl_fail(status, SL_CANCELLED, "cancelled");
    if (r->body.failed || r->url.failed)
        return sl_fail(status, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (world.body == NULL)
        return sl_fail(status, SL_UNAVAILABLE, "nobody is there");
    reply->status = world.status;
    if (*world.body)
        sl_text_puts(&reply->body, world.body);
    return SL_OK;
}

static const fetch_world fake = {env, answer};

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    strcpy(dir, "/tmp/sluice-google-XXXXXX");
    sl_clock_fake(UINT64_C(1800000000) * 1000000000u);
    fetch_google_init(&google, &fake);
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    sl_clock_fake(0);
    sl_text_fini(&world.sent);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static const char *file(const char *text)
{
    snprintf(path, sizeof path, "%s/key.json", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

/* One for all: to make one takes its time. */
static EVP_PKEY *rsa(void)
{
    static EVP_PKEY *key;
    if (key == NULL)
        key = EVP_RSA_gen(2048);
    assert_int_equal(EVP_PKEY_up_ref(key), 1);
    return key;
}

/* The key in the form in which a service account's file has it. */
static char *account(EVP_PKEY *key)
{
    sl_text t = {0};
    BIO *bio = BIO_new(BIO_s_mem());
    char *pem;
    PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL);
    long n = BIO_get_mem_data(bio, &pem);
    sl_text_puts(&t, "{\"type\": \"service_account\", \"client_email\": \"me@p.iam\", "
                     "\"token_uri\": \"https://token.example/t\", \"private_key\": \"");
    for (long i = 0; i < n; i++)
        sl_text_puts(&t, pem[i] == '\n' ? "\\n" : (char[]){pem[i], '\0'});
    sl_text_puts(&t, "\"}");
    BIO_free(bio);
    return t.p;
}

/* base64url to bytes. */
static size_t decode(const char *p, size_t n, char *out)
{
    for (size_t i = 0; i < n; i++)
        out[i] = p[i] == '-' ? '+' : p[i] == '_' ? '/' : p[i];
    size_t size;
    assert_true(sl_base64_check((sl_str){out, n}, &size));
    return sl_base64_decode((sl_str){out, n}, out);
}

static void an_assertion_is_signed_with_the_accounts_key(void **state)
{
    (void)state;
    EVP_PKEY *key = rsa();
    char *json = account(key), *jwt = NULL, signature[512], claims[1024];
    assert_int_equal(fetch_google_assertion(sl_str_of(json), 1000, &jwt, &st), SL_OK);
    const char *dot = strrchr(jwt, '.'), *first = strchr(jwt, '.');
    size_t n = decode(dot + 1, strlen(dot + 1), signature);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key), 1);
    assert_int_equal(EVP_DigestVerify(md, (unsigned char *)signature, n, (unsigned char *)jwt,
                                      (size_t)(dot - jwt)),
                     1);
    n = decode(first + 1, (size_t)(dot - first) - 1, claims);
    claims[n] = '\0';
    assert_non_null(strstr(claims, "\"iss\":\"me@p.iam\""));
    assert_non_null(strstr(claims, "devstorage.read_only"));
    assert_non_null(strstr(claims, "\"iat\":1000,\"exp\":4600"));
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    sl_free(json);
    sl_free(jwt);
}

static void a_token_is_kept_until_a_minute_before_its_end(void **state)
{
    (void)state;
    EVP_PKEY *key = rsa();
    char *json = account(key);
    world.credentials = file(json);
    world.status = 200;
    world.body = "{\"access_token\": \"ya29.secret\", \"expires_in\": 3599}";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(token, "ya29.secret");
    assert_string_equal(world.url, "https://token.example/t");
    assert_non_null(strstr(world.sent.p, "jwt-bearer&assertion=ey"));
    sl_clock_fake(UINT64_C(1800003530) * 1000000000u);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_int_equal(world.asked, 1);
    sl_clock_fake(UINT64_C(1800003541) * 1000000000u);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_int_equal(world.asked, 2);
    assert_true(fetch_google_forget(&google));
    world.status = 400;
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st),
                     SL_UNAUTHENTICATED);
    assert_null(strstr(st.msg, "secret"));
    EVP_PKEY_free(key);
    sl_free(json);
}

static void a_file_that_is_no_credentials_is_an_error_without_its_content(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "{}",
        "{\"type\": \"external_account\", \"private_key\": \"hush\"}",
        "{\"type\": \"service_account\", \"private_key\": \"hush\"}",
        "{\"type\": \"service_account\", \"client_email\": \"a\", \"token_uri\": \"https://t\", "
        "\"private_key\": \"hush\"}",
        "{\"type\": \"authorized_user\", \"client_secret\": \"hush\"}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        world.credentials = file(bad[i]);
        fetch_google_init(&google, &fake);
        assert_int_not_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
        assert_null(strstr(st.msg, "hush"));
    }
    world.credentials = "/nonexistent/key.json";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st),
                     SL_UNAUTHENTICATED);
    assert_int_equal(world.asked, 0);
}

static void a_users_login_is_refreshed(void **state)
{
    (void)state;
    world.credentials = file("{\"type\": \"authorized_user\", \"client_id\": \"i\", "
                             "\"client_secret\": \"s&\", \"refresh_token\": \"r\"}");
    world.status = 200;
    world.body = "{\"access_token\": \"t\", \"expires_in\": \"3599\"}";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(world.sent.p,
                        "grant_type=refresh_token&client_id=i&client_secret=s%26&refresh_token=r");
    assert_string_equal(world.url, "https://oauth2.googleapis.com/token");
}

static void the_metadata_server_is_asked_last_and_then_nobody(void **state)
{
    (void)state;
    world.status = 200;
    world.body = "{\"access_token\": \"vm\", \"expires_in\": 100}";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(token, "vm");
    assert_non_null(strstr(world.url, "http://metadata.google.internal/computeMetadata/v1/"));
    assert_non_null(strstr(world.headers, "Metadata-Flavor: Google"));
    world.body = NULL;
    fetch_google_init(&google, &fake);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(token, "");
    assert_int_equal(world.asked, 2);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_int_equal(world.asked, 2);
    world.no_gce = "true";
    fetch_google_init(&google, &fake);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_int_equal(world.asked, 2);
}

static void who_is_refused_is_told_without_the_token(void **state)
{
    (void)state;
    static char large[FETCH_TOKEN + 100];
    static const struct {
        long status;
        const char *body;
        sl_code code;
    } cases[] = {{500, "{}", SL_UNAVAILABLE},
                 {403, "{\"access_token\": \"hush\"}", SL_UNAUTHENTICATED},
                 {200, "", SL_UNAUTHENTICATED},
                 {200, "{\"access_token\": 7}", SL_UNAUTHENTICATED},
                 {200, "{\"access_token\": \"hush\\r\\nX-Evil: 1\"}", SL_UNAUTHENTICATED},
                 {200, large, SL_UNAUTHENTICATED}};
    snprintf(large, sizeof large, "{\"access_token\": \"%0*d\"}", FETCH_TOKEN, 7);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        fetch_google_init(&google, &fake);
        world.status = cases[i].status;
        world.body = cases[i].body;
        assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), cases[i].code);
        assert_non_null(strstr(st.msg, "the metadata server gives no token: HTTP status"));
        assert_null(strstr(st.msg, "hush"));
        assert_false(fetch_google_forget(&google));
    }
    world.status = 404; /* there is a server, and no such account: anonymous */
    fetch_google_init(&google, &fake);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(token, "");
    assert_false(fetch_google_forget(&google));
}

static int asked_after(const char *body, uint64_t seconds)
{
    fetch_google_init(&google, &fake);
    world.status = 200;
    world.body = body;
    int before = world.asked;
    sl_clock_fake(UINT64_C(1800000000) * 1000000000u);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    sl_clock_fake((UINT64_C(1800000000) + seconds) * 1000000000u);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    return world.asked - before;
}

static void an_end_that_cannot_be_is_five_minutes(void **state)
{
    (void)state;
    static const char *const ends[] = {"{\"access_token\": \"t\"}",
                                       "{\"access_token\": \"t\", \"expires_in\": 0}",
                                       "{\"access_token\": \"t\", \"expires_in\": -7}",
                                       "{\"access_token\": \"t\", \"expires_in\": 86401}"};
    for (size_t i = 0; i < SL_COUNTOF(ends); i++) {
        assert_int_equal(asked_after(ends[i], 239), 1);
        assert_int_equal(asked_after(ends[i], 240), 2);
    }
    assert_int_equal(asked_after("{\"access_token\": \"t\", \"expires_in\": 5}", 0), 1);
    assert_int_equal(asked_after("{\"access_token\": \"t\", \"expires_in\": 5}", 1), 2);
}

static void a_login_lies_below_home(void **state)
{
    (void)state;
    char command[400];
    snprintf(command, sizeof command, "mkdir -p %s/.config/gcloud", dir);
    assert_int_equal(system(command), 0);
    world.home = dir;
    world.status = 200;
    world.body = "{\"access_token\": \"vm\", \"expires_in\": 100}";
    world.gce_host = "meta:8080";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_non_null(strstr(world.url, "http://meta:8080/computeMetadata/")); /* there is none yet */
    file("{\"type\": \"authorized_user\", \"client_id\": \"i\", \"client_secret\": \"s\", "
         "\"refresh_token\": \"r\", \"token_uri\": \"https://else/t\"}");
    snprintf(command, sizeof command,
             "mv %s %s/.config/gcloud/application_default_credentials.json", path, dir);
    assert_int_equal(system(command), 0);
    fetch_google_init(&google, &fake);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_OK);
    assert_string_equal(world.url, "https://else/t");
    world.body = NULL;
    fetch_google_init(&google, &fake);
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_UNAVAILABLE);
}

static void who_is_not_wanted_any_more_is_not_taken_for_anonymous(void **state)
{
    (void)state;
    world.cancel = true;
    world.no_gce = "false";
    world.home = "";
    assert_int_equal(fetch_google_token(&google, &op, token, sizeof token, &st), SL_CANCELLED);
}

static sl_code token_once(void *arg, sl_status *status)
{
    (void)arg;
    fetch_google_init(&google, &fake);
    sl_code rc = fetch_google_token(&google, &op, token, sizeof token, status);
    return rc == SL_UNAUTHENTICATED ? SL_RESOURCE_EXHAUSTED : rc; /* its file cannot be read */
}

static void half_a_request_for_a_token_is_not_sent(void **state)
{
    (void)state;
    world.credentials = file("{\"type\": \"authorized_user\", \"client_id\": \"i\", "
                             "\"client_secret\": \"s\", \"refresh_token\": \"r\"}");
    world.status = 200;
    world.body = "{\"access_token\": \"t\"}";
    assert_in_range(fail_each_allocation(token_once, NULL), 4, 30);
}

static char *json_of_key;

static sl_code assert_once(void *arg, sl_status *status)
{
    char *jwt = NULL;
    (void)arg;
    sl_code rc = fetch_google_assertion(sl_str_of(json_of_key), 1000, &jwt, status);
    sl_free(jwt);
    return rc;
}

static void an_assertion_needs_a_key_that_signs_and_plain_names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{\"client_email\": \"a\", \"token_uri\": \"b\"}",
        "{\"client_email\": \"a\", \"private_key\": \"hush\"}",
        "{\"client_email\": \"a\\\"\", \"private_key\": \"hush\", \"token_uri\": \"b\"}",
        "{\"client_email\": \"a\\\\\", \"private_key\": \"hush\", \"token_uri\": \"b\"}",
        "{\"client_email\": \"a\\n\", \"private_key\": \"hush\", \"token_uri\": \"b\"}",
        "{\"client_email\": \"a\", \"private_key\": \"hush\", \"token_uri\": \"b\\t\"}"};
    char *jwt = NULL;
    for (size_t i = 0; i < SL_COUNTOF(bad); i++) {
        assert_int_equal(fetch_google_assertion(sl_str_of(bad[i]), 1, &jwt, &st),
                         SL_UNAUTHENTICATED);
        assert_null(strstr(st.msg, "hush"));
    }
    EVP_PKEY *key = EVP_EC_gen("P-256");
    json_of_key = account(key);
    assert_int_equal(assert_once(NULL, &st), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "no RSA key"));
    sl_free(json_of_key);
    EVP_PKEY_free(key);
    key = rsa();
    json_of_key = account(key);
    assert_in_range(fail_each_call("BIO_new_mem_buf", 0, assert_once, NULL), 1, 9);
    assert_in_range(fail_each_call("EVP_MD_CTX_new", 0, assert_once, NULL), 1, 9);
    assert_in_range(fail_each_call("EVP_DigestSignInit", 0, assert_once, NULL), 1, 1);
    assert_in_range(fail_each_call("EVP_DigestSign", 0, assert_once, NULL), 2, 2);
    sl_free(json_of_key);
    EVP_PKEY_free(key);
}

/* ---- listings ---- */

static void a_listing_is_read_with_its_checksums(void **state)
{
    (void)state;
    fetch_gs_page page;
    assert_int_equal(
        fetch_gs_parse(
            SL_STR("{\"prefixes\": [\"m/1/\", \"m/assets/\", \"m/2/\"], "
                   "\"nextPageToken\": \"n\", \"items\": ["
                   "{\"name\": \"m/a\\u00e4\", \"size\": \"3\", \"generation\": \"17\", "
                   "\"crc32c\": \"yZRlqg==\", \"md5Hash\": \"XrY7u+Ae7tCTyyK7j1rNww==\"}, "
                   "{\"name\": \"m/folder/\", \"size\": \"0\"}]}"),
            SL_STR("m/"), &page, &st),
        SL_OK);
    assert_int_equal(page.prefixes.count, 2);
    assert_string_equal(page.prefixes.list[1], "2");
    assert_string_equal(page.next, "n");
    assert_int_equal(page.objects.count, 1);
    assert_string_equal(page.objects.list[0].path, "a\xc3\xa4");
    assert_string_equal(page.objects.list[0].tag, "17");
    assert_true(page.objects.list[0].has_md5 && page.objects.list[0].has_crc32c);
    assert_int_equal(page.objects.list[0].crc32c, 0xc99465aa);
    fetch_gs_page_fini(&page);
}

static void what_is_no_whole_listing_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "<html>",
                                      "{\"items\": [",
                                      "{\"items\": [{\"name\": \"m/a\"}]}",
                                      "{\"items\": [{\"name\": \"m/a\", \"size\": \"-1\"}]}",
                                      "{\"items\": [{\"name\": \"n/a\", \"size\": \"1\"}]}",
                                      "{\"items\": [{\"name\": \"m\", \"size\": \"1\"}]}",
                                      "{\"items\": [{\"name\": \"m/../a\", \"size\": \"1\"}]}",
                                      "{\"items\": [{\"name\": \"m/a\\u0000b\", \"size\": \"1\"}]}",
                                      "{\"nextPageToken\": 7}",
                                      "{\"nextPageToken\": \"a\\u0000b\"}",
                                      "{\"items\": [7]}"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        fetch_gs_page page;
        assert_int_not_equal(fetch_gs_parse(sl_str_of(bad[i]), SL_STR("m/"), &page, &st), SL_OK);
    }
}

static void an_empty_token_is_that_of_the_last_page(void **state)
{
    (void)state;
    fetch_gs_page page;
    static const char *const last[] = {"{\"nextPageToken\": \"\"}", "{\"nextPageToken\": null}",
                                       "{}"};
    for (size_t i = 0; i < SL_COUNTOF(last); i++) {
        assert_int_equal(fetch_gs_parse(sl_str_of(last[i]), SL_STR("m/"), &page, &st), SL_OK);
        assert_null(page.next);
        fetch_gs_page_fini(&page);
    }
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(an_assertion_is_signed_with_the_accounts_key),
        T(a_token_is_kept_until_a_minute_before_its_end),
        T(a_file_that_is_no_credentials_is_an_error_without_its_content),
        T(a_users_login_is_refreshed),
        T(the_metadata_server_is_asked_last_and_then_nobody),
        T(who_is_refused_is_told_without_the_token),
        T(an_end_that_cannot_be_is_five_minutes),
        T(a_login_lies_below_home),
        T(who_is_not_wanted_any_more_is_not_taken_for_anonymous),
        T(half_a_request_for_a_token_is_not_sent),
        T(an_assertion_needs_a_key_that_signs_and_plain_names),
        T(a_listing_is_read_with_its_checksums),
        T(an_empty_token_is_that_of_the_last_page),
        T(what_is_no_whole_listing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
