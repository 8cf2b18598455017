/* test_aws.c - where credentials come from, in a world of the test's own */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
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
    bool cancel;
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
            if (*world.answers[i].body)
                sl_text_puts(&reply->body, world.answers[i].body);
            return SL_OK;
        }
    if (world.cancel)
        return sl_fail(status, SL_CANCELLED, "cancelled");
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

static void an_ini_file_may_be_written_in_many_ways(void **state)
{
    (void)state;
    static const char text[] = "key = before any section\n"
                               "; a comment\n# another\n\n \t \n"
                               "[default\nkey = of a section that is none\n"
                               "[other]\nkey = o\n"
                               "\t[ default ]\r\n"
                               "\tkey\t=\tfirst \r\n"
                               "key\nkeys = 1\n"
                               "key = last = one";
    char *value = fetch_ini_value(sl_str_of(text), "default", "key");
    assert_string_equal(value, "last = one");
    sl_free(value);
    assert_null(fetch_ini_value(sl_str_of(text), "none", "key"));
    assert_null(fetch_ini_value(sl_str_of(text), "default", "kex"));
    assert_null(fetch_ini_value(SL_STR(""), "default", "key"));
}

static void refused(sl_code code, const char *why)
{
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), code);
    if (strstr(st.msg, why) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", why, st.msg);
    assert_null(strstr(st.msg, "hush"));
}

static void keys_that_are_too_long_are_refused(void **state)
{
    (void)state;
    static char id[300], token[5000];
    memset(id, 'k', sizeof id - 1);
    memset(token, 't', sizeof token - 1);
    set("AWS_ACCESS_KEY_ID", id);
    set("AWS_SECRET_ACCESS_KEY", "hush");
    set("AWS_SESSION_TOKEN", "");
    refused(SL_UNAUTHENTICATED, "the environment: a key that is too long");
    world.env[0][1] = "AKID";
    world.env[1][1] = id;
    refused(SL_UNAUTHENTICATED, "the environment: a key that is too long");
    world.env[1][1] = "hush";
    world.env[2][1] = token;
    refused(SL_UNAUTHENTICATED, "the environment: a key that is too long");
    world.env[2][1] = "";
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.token, "");
    world.env[1][1] = "";
    refused(SL_UNAUTHENTICATED, "the environment: an access key or its secret is missing");
}

static void half_a_pair_of_a_profile_is_an_error(void **state)
{
    (void)state;
    set("AWS_SHARED_CREDENTIALS_FILE", file("c", "[default]\naws_secret_access_key = hush\n"));
    refused(SL_UNAUTHENTICATED, "the profile of the shared files: an access key or its secret");
    set("AWS_CONFIG_FILE", file("k", "[default]\naws_access_key_id =\n"));
    refused(SL_UNAUTHENTICATED, "the profile of the shared files: an access key or its secret");
    world.env[0][1] = file("e", "[default]\naws_access_key_id = A\naws_secret_access_key =\n");
    refused(SL_UNAUTHENTICATED, "the profile of the shared files: an access key or its secret");
}

static void the_shared_files_lie_below_home(void **state)
{
    (void)state;
    char path[100];
    char region[64];
    snprintf(path, sizeof path, "%s/.aws", dir);
    assert_int_equal(mkdir(path, 0700), 0);
    file(".aws/credentials", "[default]\naws_access_key_id = H\naws_secret_access_key = h\n");
    file(".aws/config", "[default]\nregion = eu-central-1\n");
    set("HOME", dir);
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "H");
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "eu-central-1");
    set("AWS_DEFAULT_REGION", "eu-west-3");
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "eu-west-3");
    assert_int_equal(world.asked, 0);
}

static void a_profile_may_have_a_web_identity_but_no_other_profile(void **state)
{
    (void)state;
    char config[300];
    snprintf(config, sizeof config, "[default]\nrole_arn = arn:r\nweb_identity_token_file = %s\n",
             file("token", "a.b.c"));
    set("AWS_CONFIG_FILE", file("config", "[default]\nrole_arn = arn:r\nsource_profile = x\n"));
    refused(SL_UNIMPLEMENTED, "assumes a role from another profile");
    set("AWS_EC2_METADATA_DISABLED", "true");
    world.env[0][1] = file("config2", config);
    refused(SL_UNAVAILABLE, "nobody is there");
    assert_string_equal(world.seen[0], "POST https://sts.amazonaws.com/");
    assert_non_null(strstr(world.sent[0], "RoleSessionName=sluice&"));
}

#define CREDENTIALS(inside)                                                                \
    "<AssumeRoleWithWebIdentityResponse><AssumeRoleWithWebIdentityResult><Other>x</Other>" \
    "<Credentials>" inside "</Credentials></AssumeRoleWithWebIdentityResult>"              \
    "</AssumeRoleWithWebIdentityResponse>"

static void a_token_without_a_role_is_none(void **state)
{
    (void)state;
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent");
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "");
}

static void what_sts_sends_in_place_of_credentials_is_refused(void **state)
{
    (void)state;
    static char large[10000];
    set("AWS_WEB_IDENTITY_TOKEN_FILE", "/nonexistent/token");
    set("AWS_ROLE_ARN", "arn:r");
    set("AWS_ROLE_SESSION_NAME", "me");
    set("AWS_ENDPOINT_URL", "http://sts/");
    refused(SL_UNAUTHENTICATED, "the web identity token: /nonexistent/token");
    world.env[0][1] = file("token", "hush\r\nmore");
    answers("http://sts/", 403, "<Error/>");
    refused(SL_UNAUTHENTICATED, "AWS STS does not give credentials for role arn:r: HTTP 403");
    assert_non_null(strstr(world.sent[0], "RoleSessionName=me&WebIdentityToken=hush"));
    world.answers[0].status = 200;
    world.answers[0].body = "";
    refused(SL_INVALID_ARGUMENT, "not an answer");
    world.answers[0].body = "<html>";
    refused(SL_INVALID_ARGUMENT, "not an answer");
    world.answers[0].body = "<html></html>";
    refused(SL_UNAUTHENTICATED, "AWS STS gave no credentials for role arn:r");
    world.answers[0].body = CREDENTIALS("<AccessKeyId>A</AccessKeyId>");
    refused(SL_UNAUTHENTICATED, "AWS STS gave no credentials");
    snprintf(large, sizeof large,
             CREDENTIALS("<AccessKeyId>A</AccessKeyId><SecretAccessKey>%04095d</SecretAccessKey>"
                         "<SessionToken>%04096d</SessionToken><Else/>"),
             1, 1);
    world.answers[0].body = large;
    refused(SL_UNAUTHENTICATED, "AWS STS gave no credentials");
    set("AWS_ENDPOINT_URL_STS", "http://else/");
    refused(SL_UNAVAILABLE, "nobody is there");
    assert_string_equal(world.seen[(world.asked - 1) % 8], "POST http://else/");
}

static void a_container_has_a_relative_address_and_a_token(void **state)
{
    (void)state;
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/x");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN", "plain");
    answers("http://169.254.170.2/v2/x", 200, document);
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_non_null(strstr(world.headers[0], "Authorization: plain"));
    world.answers[0].status = 500;
    refused(SL_UNAVAILABLE, "the container's credentials: HTTP status 500");
    world.answers[0].status = 404;
    refused(SL_UNAUTHENTICATED, "the container's credentials: HTTP status 404");
    world.answers[0].status = 200;
    world.answers[0].body = "{\"SecretAccessKey\": \"hush\"}";
    refused(SL_UNAUTHENTICATED, "the container's credentials: an access key or its secret");
    world.answers[0].body = "";
    refused(SL_UNAUTHENTICATED, "the container's credentials: an access key or its secret");
    set("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/nonexistent/auth");
    refused(SL_NOT_FOUND, "/nonexistent/auth");
}

static void containers_are_asked_at_these_hosts_only(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        bool allowed;
    } cases[] = {{"http://169.254.170.2/x", true},   {"http://[fd00:ec2::23]/x", true},
                 {"http://127.0.0.1:80/x", true},    {"http://localhost/x", true},
                 {"http://localhost", true},         {"https://anybody.example/x", true},
                 {"http://localhost.evil/x", false}, {"http://169.254.169.254/x", false},
                 {"ftp://localhost/x", false}};
    set("AWS_CONTAINER_CREDENTIALS_FULL_URI", "");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int before = world.asked;
        world.env[0][1] = cases[i].url;
        refused(cases[i].allowed ? SL_UNAVAILABLE : SL_UNAUTHENTICATED,
                cases[i].allowed ? "nobody is there" : "plain http to that host is not allowed");
        assert_int_equal(world.asked - before, cases[i].allowed);
    }
}

static void anonymous(void)
{
    strcpy(keys.id, "none");
    fetch_aws_init(&aws, &fake);
    assert_int_equal(look(), SL_OK);
    assert_string_equal(keys.id, "");
}

static void an_instance_that_gives_nothing_is_none(void **state)
{
    (void)state;
    static char long_token[300];
    memset(long_token, 't', sizeof long_token - 1);
    set("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://imds");
    set("AWS_EC2_METADATA_DISABLED", "false");
    answers("http://imds/latest/api/token", 403, "no");
    anonymous();
    world.answers[0].status = 200;
    world.answers[0].body = "";
    anonymous();
    world.answers[0].body = long_token;
    anonymous();
    assert_int_equal(world.asked, 3);
    world.answers[0].body = "token";
    answers("http://imds/latest/meta-data/iam/security-credentials/", 404, "");
    anonymous(); /* it has no role */
    world.answers[1].status = 503;
    refused(SL_UNAVAILABLE, "the instance's metadata: HTTP status 503");
    world.answers[1].status = 200;
    refused(SL_UNAUTHENTICATED, "the instance's metadata: an access key or its secret");
    static char role[300];
    memset(role, 'r', sizeof role - 1);
    world.answers[1].body = role;
    refused(SL_UNAVAILABLE, "nobody is there");
    assert_int_equal(strlen(strrchr(world.seen[(world.asked - 1) % 8], '/')), 201);
    world.answers[1].body = "role\r\nmore";
    refused(SL_UNAVAILABLE, "nobody is there");
    assert_string_equal(world.seen[(world.asked - 1) % 8],
                        "http://imds/latest/meta-data/iam/security-credentials/role");
}

static void who_is_not_wanted_any_more_is_not_taken_for_anonymous(void **state)
{
    (void)state;
    world.cancel = true;
    refused(SL_CANCELLED, "cancelled");
}

static void keys_that_end_soon_are_looked_for_each_second(void **state)
{
    (void)state;
    fetch_aws_init(&aws, &fake);
    set("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/x");
    answers("http://169.254.170.2/x", 200,
            "{\"AccessKeyId\": \"A\", \"SecretAccessKey\": \"x\", "
            "\"Expiration\": \"2027-01-15T08:00:30+00:00\"}");
    assert_int_equal(look(), SL_OK);
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 1);
    at(1);
    assert_int_equal(look(), SL_OK);
    assert_int_equal(world.asked, 2);
    world.n_answers = 0; /* nobody is there, but the old ones are still good */
    at(3);
    assert_int_equal(look(), SL_OK);
    at(31);
    assert_int_equal(look(), SL_UNAVAILABLE);
}

static void a_region_is_read_of_a_profile_of_the_config_file(void **state)
{
    (void)state;
    char region[64];
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "us-east-1"); /* there are no files */
    set("HOME", dir);
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "us-east-1");
    set("AWS_REGION", "ap-south-2");
    fetch_aws_region(&fake, region, sizeof region);
    assert_string_equal(region, "ap-south-2");
}

static void times_are_read(void **state)
{
    (void)state;
    assert_true(fetch_time_of("1970-01-01T00:00:01Z") == 1000000);
    assert_true(fetch_time_of("2026-11-27T21:00:00.123Z") == INT64_C(1795813200) * 1000000);
    assert_true(fetch_time_of("2026-11-27T21:00:00+00:00") == INT64_C(1795813200) * 1000000);
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
        T(an_ini_file_may_be_written_in_many_ways),
        T(keys_that_are_too_long_are_refused),
        T(half_a_pair_of_a_profile_is_an_error),
        T(the_shared_files_lie_below_home),
        T(a_profile_may_have_a_web_identity_but_no_other_profile),
        T(a_token_without_a_role_is_none),
        T(what_sts_sends_in_place_of_credentials_is_refused),
        T(a_container_has_a_relative_address_and_a_token),
        T(containers_are_asked_at_these_hosts_only),
        T(an_instance_that_gives_nothing_is_none),
        T(who_is_not_wanted_any_more_is_not_taken_for_anonymous),
        T(keys_that_end_soon_are_looked_for_each_second),
        T(a_region_is_read_of_a_profile_of_the_config_file),
        T(times_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
