/* test_aws.c - where credentials come from, in a world of the test's own */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/helper/aws.h"

static sl_status st;
static fetch_op op;
static char dir[64];

/* ---- the world ---- */

static struct {
    const char *env[16][2];
    int n_env;
    struct {
        const char *url, *body;
        long status;
    } answers[8];
    int n_answers, asked;
    char seen[8][512], sent[8][512], headers[8][256];
} world;

static const char *env(const char *name)
{
    for (int i = 0; i < world.n_env; i++)
        if (strcmp(world.env[i][0], name) == 0)
            return world.env[i][1];
    return NULL;
}

static sl_code answer(fetch_op *o, const fetch_request *r, size_t limit, fetch_reply *reply,
                      sl_status *status)
{
    (void)o, (void)limit;
    int n = world.asked++;
    memset(reply, 0, sizeof *reply);
    snprintf(world.seen[n % 8], 512, "%s%s", r->put ? "PUT " : r->post ? "POST " : "", r->url.p);
    snprintf(world.sent[n % 8], 512, "%s", r->body.p ? r->body.p : "");
    snprintf(world.headers[n % 8], 256, "%s", r->headers.p ? r->headers.p : "");
    for (int i = 0; i < world.n_answers; i++)
        if (strcmp(world.answers[i].url, r->url.p) == 0) {
            reply->status = world.answers[i].status;
            sl_text_puts(&reply->body, world.answers[i].body);
            return SL_OK;
        }
    return sl_fail(status, SL_UNAVAILABLE, "nobody is there");
}

static const fetch_world fake = {env, answer};

static void set(const char *name, const char *value)
{
    world.env[world.n_env][0] = name;
    world.env[world.n_env++][1] = value;
}

static void answers(const char *url, long status, const char *body)
{
    world.answers[world.n_answers].url = url;
    world.answers[world.n_answers].status = status;
    world.answers[world.n_answers++].body = body;
}

static const char *file(const char *name, const char *text)
{
    static char paths[4][128];
    static unsigned next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
    return path;
}

/* Seconds after 08:00 of that day. */
static void at(uint64_t seconds)
{
    sl_clock_fake((1800000000u + seconds) * 1000000000u);
}

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof world);
    strcpy(dir, "/tmp/sluice-aws-XXXXXX");
    at(0);
    return mkdtemp(dir) == NULL;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    sl_clock_fake(0);
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static fetch_aws aws;
static fetch_keys keys;

static sl_code look(void)
{
    return fetch_aws_keys(&aws, &op, &keys, &st);
}

/* ---- the tests ---- */

static void the_environment_comes_first(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_ACCESS_KEY_ID", "AKID");
    set("AWS_SECRET_ACCESS_KEY", "s3cr3t");
    set("AWS_SESSION_TOKEN", "tok");
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent");
    set("AWS_ROLE_ARN", "arn");
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "AKID");
    assert_string_equal(keys.secret, "s3cr3t");
    assert_string_equal(keys.token, "tok");
    assert_int_equal(world.asked, 0);
    assert_false(fetch_aws_forget(&aws)); /* they will not become any fresher */
}

static void half_a_pair_is_an_error_that_shows_neither_half(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_SECRET_ACCESS_KEY", "s3cr3t");
    assert_int_equal(look(), SL_UNAUTHENTICATED);
    assert_null(strstr(st.msg, "s3cr3t"));
}

static void a_profile_of_the_shared_files(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_SHARED_CREDENTIALS_FILE",
        file("credentials", "# comment\n[default]\naws_access_key_id=D\naws_secret_access_key=d\n"
                            "[other]\naws_access_key_id = O \naws_secret_access_key = o\r\n"));
    set("AWS_CONFIG_FILE", file("config", "[profile other]\nregion = eu-north-1\n"));
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "D");
    set("AWS_PROFILE", "other");
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "O");
    assert_string_equal(keys.secret, "o");
    char region[64];
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "eu-north-1");
}

static void a_profile_that_was_named_must_have_credentials(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_PROFILE", "missing");
    set("HOME", dir);
    assert_int_equal(look(), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "missing"));
}

static void a_region_cannot_lead_to_another_host(void **state)
{
    (void)state;
    char region[64];
    set("AWS_REGION", "evil.example/");
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "us-east-1");
}

#define STS "https://sts.eu-west-1.amazonaws.com/"

static void a_web_identity_is_exchanged_and_again_before_it_ends(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_WEB_IDENTITY_TOKEN_FILE", file("token", "a.b.c\n"));
    set("AWS_ROLE_ARN", "arn:aws:iam::1:role/r");
    set("AWS_REGION", "eu-west-1");
    answers(STS, 200,
            "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Credentials>"
            "<AccessKeyId>ASIA</AccessKeyId><SecretAccessKey>x</SecretAccessKey>"
            "<SessionToken>t</SessionToken><Expiration>2027-01-15T09:00:00Z</Expiration>"
            "</Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>");
    assert_int_equal(look(), SL_OK); /* it is 08:00 */
    assert_string_equal(keys.id, "ASIA");
    assert_string_equal(keys.token, "t");
    assert_non_null(strstr(world.seen[0], "POST"));
    assert_non_null(strstr(world.sent[0], "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fr"));
    assert_non_null(strstr(world.sent[0], "WebIdentityToken=a.b.c"));
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 1);
    at(3360); /* 08:56 */
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 2);
    world.answers[0].status = 500; /* the store says no, and so does STS: what is good is used on */
    at(3420);
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 3);
    at(3601); /* 09:00:01 */
    assert_int_equal(look(), SL_UNAUTHENTICATED);
}

#define IMDS "http://169.254.169.254/latest/"
#define ROLES IMDS "meta-data/iam/security-credentials/"
static const char document[] = "{\"Code\": \"Success\", \"AccessKeyId\": \"ASIA\", "
                               "\"SecretAccessKey\": \"x\", \"Token\": \"t\", "
                               "\"Expiration\": \"2027-01-15T14:00:00Z\"}";

static void the_instances_metadata_is_asked_with_a_token_only(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    answers(IMDS "api/token", 200, "secret-token");
    answers(ROLES, 200, "my-role\n");
    answers(ROLES "my-role", 200, document);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "ASIA");
    assert_int_equal(world.asked, 3);
    assert_non_null(strstr(world.seen[0], "PUT "));
    assert_non_null(strstr(world.headers[2], "X-aws-ec2-metadata-token: secret-token"));
    assert_true(fetch_aws_forget(&aws));
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 6);
}

static void where_nobody_gives_credentials_requests_are_anonymous(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "");
    assert_int_equal(world.asked, 1); /* the instance's metadata, in vain */
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 1); /* not each time */
    set("AWS_EC2_METADATA_DISABLED", "true");
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 1);
}

static void a_container_gives_its_credentials_to_known_hosts_only(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://169.254.170.23/v1/credentials");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file("auth", "pod-token"));
    answers("http://169.254.170.23/v1/credentials", 200, document);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "ASIA");
    assert_non_null(strstr(world.headers[0], "Authorization: pod-token"));
    world.env[0][1] = "http://169.254.170.23.evil.example/";
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_UNAUTHENTICATED);
    assert_int_equal(world.asked, 1);
}

static void times_are_read(void **state)
{
    (void)state;
    assert_true(fetch_time_of("1970-01-01T00:00:01Z") == 1000000);
    assert_true(fetch_time_of("2026-11-27T21:00:00.123Z") == INT64_C(1795813200) * 1000000);
    assert_true(fetch_time_of("tomorrow") == 0);
    assert_true(fetch_time_of("2026-11-27T21:00:00") == 0);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(the_environment_comes_first),
        T(half_a_pair_is_an_error_that_shows_neither_half),
        T(a_profile_of_the_shared_files),
        T(a_profile_that_was_named_must_have_credentials),
        T(a_region_cannot_lead_to_another_host),
        T(a_web_identity_is_exchanged_and_again_before_it_ends),
        T(the_instances_metadata_is_asked_with_a_token_only),
        T(where_nobody_gives_credentials_requests_are_anonymous),
        T(a_container_gives_its_credentials_to_known_hosts_only),
        T(times_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
