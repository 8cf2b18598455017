/* Who may come in, and how much: whole decisions, from a configuration as it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "format/textpb.h"
#include "guard/guard.h"
#include "guard/policy.h"
#include "guard/tokens.h"
#include "proto/auth_config.pb-c.h"
#include "support/calls.h"
#include "support/faults.h"
#include "unit/guard/jwt_maker.h"

#define NOW_S 1800000000u
#define S 1000000000u

static sl_guard *guard;
static sl_status st;
static sl_arena arena;
static char dir[] = "/tmp/guard.XXXXXX";
static maker m;

static void write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup_all(void **state)
{
    sl_text t = {0};
    (void)state;
    if (mkdtemp(dir) == NULL || sl_arena_init(&arena, 0) != SL_OK)
        return 1;
    maker_init(&m);
    maker_jwks(&m, &t);
    write_file("jwks.json", t.p);
    t.n = 0;
    sl_token_line("ci", "slt_ci", 0, &t);
    sl_text_putc(&t, '\n');
    sl_token_line("old", "slt_old", NOW_S - 1, &t);
    sl_text_putc(&t, '\n');
    sl_token_line("new", "slt_new", NOW_S + 1, &t);
    sl_text_putc(&t, '\n');
    write_file("tokens", t.p);
    sl_text_fini(&t);
    return 0;
}

static int teardown_all(void **state)
{
    char path[256];
    (void)state;
    snprintf(path, sizeof path, "%s/tokens", dir);
    unlink(path);
    snprintf(path, sizeof path, "%s/jwks.json", dir);
    unlink(path);
    rmdir(dir);
    maker_fini(&m);
    sl_arena_fini(&arena);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    sl_clock_fake((uint64_t)NOW_S * S);
    return sl_guard_new(false, &guard, &st) != SL_OK;
}

static int teardown(void **state)
{
    (void)state;
    sl_guard_free(guard);
    guard = NULL;
    sl_guard_free(guard); /* nothing */
    sl_clock_fake(0);
    sl_arena_reset(&arena);
    return 0;
}

static sl_str fetched[2]; /* of the first two `jwt` */

static sl_code configure(const char *text)
{
    sl_text wire = {0};
    if (sl_textpb_parse(sl_str_of(text), &sluice__auth_config__descriptor, NULL, 0, &wire, &st) !=
        SL_OK)
        fail_msg("%s", st.msg);
    Sluice__AuthConfig *c = sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    assert_non_null(c);
    sl_code rc = sl_guard_configure(guard, c, dir, fetched, &st);
    sluice__auth_config__free_unpacked(c, NULL);
    sl_text_fini(&wire);
    return rc;
}

static void is_configured(const char *text)
{
    if (configure(text) != SL_OK)
        fail_msg("%s", st.msg);
}

static void is_refused(const char *text, const char *why)
{
    if (configure(text) == SL_OK)
        fail_msg("was taken: %s", text);
    if (strstr(st.msg, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", st.msg, why);
}

typedef struct asked {
    const char *peer, *authorization, *forwarded;
    sl_permission what;
    const char *model, *label;
    const sl_tls_peer *tls;
} asked;

/* The whole way, up to leave. */
static sl_code ask(asked q)
{
    sl_http_header headers[2];
    sl_http_call call = {.peer = sl_str_of(q.peer ? q.peer : "192.0.2.7:4711"),
                         .headers = headers,
                         .arena = &arena,
                         .tls = q.tls};
    sl_admission a;
    sl_str model = sl_str_of(q.model ? q.model : "m"), label = sl_str_of(q.label ? q.label : "");
    sl_permission what = q.what ? q.what : SL_MAY_PREDICT;
    if (q.authorization != NULL)
        headers[call.n_headers++] =
            (sl_http_header){SL_STR("Authorization"), sl_str_of(q.authorization)};
    if (q.forwarded != NULL)
        headers[call.n_headers++] =
            (sl_http_header){SL_STR("x-forwarded-for"), sl_str_of(q.forwarded)};
    sl_code rc = sl_guard_identify(guard, &call, &a, &st);
    if (rc == SL_OK)
        rc = sl_guard_may(guard, &a, what, model, label, &st);
    if (rc == SL_OK)
        rc = sl_guard_count(guard, &a, model, &st);
    sl_guard_leave(guard, &a);
    return rc;
}

/* ---- certificates of clients ---- */

static void a_certificate_goes_by_each_of_its_names(void **state)
{
    (void)state;
    static const char *const san[] = {"DNS:ann.example", "URI:spiffe://x/ann"};
    sl_tls_peer ann = {.subject = "CN=ann,O=Example", .common_name = "ann", .san = san, .n_san = 2};
    static const char *const rules[] = {"cert:ann", "subject:CN=ann,O=*", "san:DNS:*.example",
                                        "san:URI:spiffe://x/*", "*"};
    for (size_t i = 0; i < SL_COUNTOF(rules); i++) {
        char text[200];
        snprintf(text, sizeof text,
                 "client_certificates: true rule { principal: '%s' allow: PREDICT }", rules[i]);
        is_configured(text);
        assert_int_equal(ask((asked){.tls = &ann}), SL_OK);
        assert_int_equal(ask((asked){.tls = &ann, .what = SL_MAY_STATUS}), SL_PERMISSION_DENIED);
        assert_int_equal(strncmp(st.msg, "cert:ann has no permission", 26), 0);
        assert_int_equal(ask((asked){0}), SL_UNAUTHENTICATED);
    }
}

static void one_name_of_a_certificate_is_not_taken_for_another(void **state)
{
    (void)state;
    static const char *const san[] = {"DNS:root"};
    sl_tls_peer mallory = {
        .subject = "CN=san:DNS:boss", .common_name = "san:DNS:boss", .san = san, .n_san = 1};
    is_configured("client_certificates: true rule { principal: ['san:DNS:boss', 'cert:root', "
                  "'cert:DNS:root', 'subject:CN=root'] allow: PREDICT }");
    assert_int_equal(ask((asked){.tls = &mallory}), SL_PERMISSION_DENIED);
}

static void a_certificate_has_more_names_than_are_looked_at(void **state)
{
    (void)state;
    enum { MANY = 100 };
    static char names[MANY][20];
    const char *san[MANY];
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof names[i], "DNS:n%d", i);
        san[i] = names[i];
    }
    sl_tls_peer ann = {.subject = "CN=ann", .common_name = "", .san = san, .n_san = MANY};
    is_configured("client_certificates: true rule { principal: 'san:DNS:n64' allow: PREDICT } "
                  "rule { principal: 'san:DNS:n65' allow: STATUS }");
    assert_int_equal(ask((asked){.tls = &ann}), SL_OK);
    assert_int_equal(ask((asked){.tls = &ann, .what = SL_MAY_STATUS}), SL_PERMISSION_DENIED);
}

static void a_certificate_that_names_nobody_is_nobody(void **state)
{
    (void)state;
    static const char *const san[] = {""};
    sl_tls_peer nobody = {.subject = "", .common_name = NULL, .san = san, .n_san = 1};
    is_configured("client_certificates: true rule { principal: '*' allow: PREDICT }");
    assert_int_equal(ask((asked){.tls = &nobody}), SL_UNAUTHENTICATED);
}

static void certificates_are_no_identity_unless_they_are_configured(void **state)
{
    (void)state;
    sl_tls_peer ann = {.subject = "CN=ann", .common_name = "ann"}, none = {.version = "TLSv1.3"};
    is_configured("token_file: 'tokens' rule { principal: 'cert:ann' allow: PREDICT }");
    assert_int_equal(ask((asked){.tls = &ann}), SL_UNAUTHENTICATED);
    is_configured("token_file: 'tokens' client_certificates: true "
                  "rule { principal: 'cert:ann' allow: PREDICT }");
    assert_int_equal(ask((asked){.tls = &ann}), SL_OK);
    assert_int_equal(ask((asked){.tls = &none}), SL_UNAUTHENTICATED);
    /* A token says more: it was sent with this request. */
    assert_int_equal(ask((asked){.tls = &ann, .authorization = "Bearer slt_ci"}),
                     SL_PERMISSION_DENIED);
}

/* ---- without identities ---- */

static void without_a_configuration_everybody_may_all_but_administer(void **state)
{
    (void)state;
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_METRICS}), SL_OK);
    assert_int_equal(ask((asked){.authorization = "Bearer whatever"}), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN}), SL_PERMISSION_DENIED);
    assert_non_null(strstr(st.msg, "--allow_remote_admin"));
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "127.0.0.1:1"}), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "[::1]:1"}), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "unix"}), SL_OK);
}

static void the_exception_for_this_machine_ends_where_proxies_are_trusted(void **state)
{
    (void)state;
    is_configured("trusted_proxy: '127.0.0.1'");
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "127.0.0.1:1"}),
                     SL_PERMISSION_DENIED);
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "unix"}), SL_PERMISSION_DENIED);
    assert_int_equal(ask((asked){.peer = "127.0.0.1:1"}), SL_OK);
}

static void a_permission_goes_by_its_name(void **state)
{
    sl_permission p;
    (void)state;
    for (int i = SL_MAY_PREDICT; i <= SL_MAY_HEALTH; i++) {
        assert_true(sl_permission_parse(sl_str_of(sl_permission_name((sl_permission)i)), &p));
        assert_int_equal(p, i);
    }
    assert_false(sl_permission_parse(SL_STR("PREDICT"), &p));
    assert_false(sl_permission_parse(SL_STR(""), &p));
}

static void remote_administration_can_be_allowed(void **state)
{
    (void)state;
    sl_guard_free(guard);
    assert_int_equal(sl_guard_new(true, &guard, &st), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN}), SL_OK);
}

/* A browser on this machine comes from loopback, whoever has written the page that it shows. */
static void web_pages_do_not_administer(void **state)
{
    static const struct {
        const char *peer, *host, *origin;
        bool remote, tls;
        sl_code rc;
    } cases[] = {
        {"127.0.0.1:1", "127.0.0.1:8501", NULL, false, false, SL_OK},
        {"127.0.0.1:1", "localhost", NULL, false, false, SL_OK},
        {"[::1]:1", "[::1]:8501", NULL, false, false, SL_OK},
        {"[::1]:1", "127.3.2.1", NULL, false, false, SL_OK},
        {"127.0.0.1:1", NULL, NULL, false, false, SL_OK},
        {"unix", "evil.example", NULL, false, false, SL_OK},
        {"127.0.0.1:1", "evil.example", NULL, false, false, SL_PERMISSION_DENIED},
        {"[::1]:1", "evil.example:8501", NULL, false, false, SL_PERMISSION_DENIED},
        {"127.0.0.1:1", "", NULL, false, false, SL_PERMISSION_DENIED},
        {"127.0.0.1:1", "[::1", NULL, false, false, SL_PERMISSION_DENIED},
        {"127.0.0.1:1", "localhost.evil.example", NULL, false, false, SL_PERMISSION_DENIED},
        /* who shows a certificate of this name is of this name */
        {"127.0.0.1:1", "models.example", NULL, false, true, SL_OK},
        {"127.0.0.1:1", "models.example", NULL, true, false, SL_OK},
        {"192.0.2.7:1", "models.example", NULL, true, false, SL_OK},
        {"127.0.0.1:1", "localhost", "http://evil.example", false, false, SL_PERMISSION_DENIED},
        {"127.0.0.1:1", "localhost", "null", true, true, SL_PERMISSION_DENIED},
        {"unix", NULL, "http://localhost", false, false, SL_PERMISSION_DENIED}};
    (void)state;
    sl_tls_peer tls = {.version = "TLSv1.3"};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_http_header h[3] = {{SL_STR("accept"), SL_STR("evil.example")}};
        sl_http_call call = {.peer = sl_str_of(cases[i].peer),
                             .headers = h,
                             .n_headers = 1,
                             .arena = &arena,
                             .tls = cases[i].tls ? &tls : NULL};
        sl_admission a;
        sl_guard_free(guard);
        assert_int_equal(sl_guard_new(cases[i].remote, &guard, &st), SL_OK);
        if (cases[i].host != NULL)
            h[call.n_headers++] = (sl_http_header){SL_STR("host"), sl_str_of(cases[i].host)};
        if (cases[i].origin != NULL)
            h[call.n_headers++] = (sl_http_header){SL_STR("Origin"), sl_str_of(cases[i].origin)};
        assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
        if (sl_guard_may_administer(guard, &a, &call, &st) != cases[i].rc)
            fail_msg("case %zu: %s", i, st.msg);
        sl_guard_leave(guard, &a);
    }
    /* With identities a name is no longer what counts, but a page is no administrator either. */
    is_configured("token_file: 'tokens' rule { principal: 'token:ci' allow: ADMIN }");
    sl_http_header h[] = {{SL_STR("host"), SL_STR("models.example")},
                          {SL_STR("authorization"), SL_STR("Bearer slt_ci")},
                          {SL_STR("origin"), SL_STR("https://models.example")}};
    sl_http_call call = {.peer = SL_STR("127.0.0.1:1"), .headers = h, .arena = &arena};
    sl_admission a;
    for (call.n_headers = 1; call.n_headers <= 3; call.n_headers++) {
        static const sl_code want[] = {SL_UNAUTHENTICATED, SL_OK, SL_PERMISSION_DENIED};
        assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
        assert_int_equal(sl_guard_may_administer(guard, &a, &call, &st), want[call.n_headers - 1]);
        sl_guard_leave(guard, &a);
    }
}

/* ---- identities and rules ---- */

#define TOKENS "token_file: 'tokens' "

static void what_no_rule_allows_is_refused(void **state)
{
    (void)state;
    is_configured(
        TOKENS
        "rule { principal: 'token:ci' allow: [PREDICT, STATUS] model: 'fraud_*' }"
        "rule { principal: 'token:ci' allow: PREDICT model: 'other' version_label: 'stable' }"
        "rule { principal: 'anonymous' allow: METRICS }");
    asked ci = {.authorization = "Bearer slt_ci", .model = "fraud_eu"};
    assert_int_equal(ask(ci), SL_OK);
    ci.what = SL_MAY_STATUS;
    assert_int_equal(ask(ci), SL_OK);
    ci.what = SL_MAY_METADATA;
    assert_int_equal(ask(ci), SL_PERMISSION_DENIED);
    assert_string_equal(st.msg, "token:ci has no permission \"metadata\" for model fraud_eu");
    ci = (asked){.authorization = "bearer  slt_ci ", .model = "other"};
    assert_int_equal(ask(ci), SL_PERMISSION_DENIED);
    ci.label = "stable";
    assert_int_equal(ask(ci), SL_OK);
    ci.label = "canary";
    assert_int_equal(ask(ci), SL_PERMISSION_DENIED);
    assert_int_equal(ask((asked){.model = "fraud_eu"}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "Authorization: Bearer"));
    assert_int_equal(ask((asked){.what = SL_MAY_METRICS}), SL_OK);
    /* From this machine, too: with identities the exception is gone. */
    assert_int_equal(ask((asked){.what = SL_MAY_ADMIN, .peer = "127.0.0.1:1"}), SL_UNAUTHENTICATED);
}

static void explains_health(const char *who, const char *want)
{
    sl_text why = {0};
    bool may = sl_guard_explain(guard, sl_str_of(who), false, SL_MAY_HEALTH, SL_STR(""), SL_STR(""),
                                &why, &st) == SL_OK;
    assert_string_equal(may ? why.p : st.msg, want);
    sl_text_fini(&why);
}

static void probes_are_open_until_they_are_closed(void **state)
{
    (void)state;
    explains_health("anonymous", "no identities are configured: everybody may");
    is_configured("allow_network: '0.0.0.0/0'");
    assert_int_equal(ask((asked){.what = SL_MAY_HEALTH}), SL_OK);
    is_refused("closed_health: true", "closed_health needs identities");
    is_configured(TOKENS "rule { principal: 'token:new' allow: PREDICT }");
    assert_false(sl_guard_closes_health(guard));
    assert_int_equal(ask((asked){.what = SL_MAY_HEALTH}), SL_OK);
    explains_health("anonymous", "health probes are open: everybody may");
    is_configured(TOKENS "closed_health: true rule { principal: 'token:ci' allow: HEALTH } "
                         "rule { principal: 'token:new' allow: [PREDICT, ADMIN] }");
    assert_true(sl_guard_closes_health(guard));
    assert_int_equal(ask((asked){.what = SL_MAY_HEALTH, .model = ""}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "credentials are needed to see the health: "));
    assert_int_equal(ask((asked){.what = SL_MAY_HEALTH, .authorization = "Bearer slt_ci"}), SL_OK);
    assert_int_equal(ask((asked){.what = SL_MAY_HEALTH, .authorization = "Bearer slt_new"}),
                     SL_PERMISSION_DENIED);
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_PERMISSION_DENIED);
    explains_health("token:ci", "token:ci may, by rule 1");
    explains_health("token:new", "token:new has no permission \"health\"");
}

/* A file that was cut off while the server runs must not open it. */
static void identities_do_not_go_away_while_the_server_runs(void **state)
{
    (void)state;
    static const char *const none[] = {"", "client_certificates: false",
                                       "allow_network: '10.0.0.0/8'"};
    is_configured("deny_network: '10.6.6.0/24'"); /* none yet */
    is_configured("");
    is_configured(TOKENS "rule { principal: 'token:ci' allow: PREDICT }");
    for (size_t i = 0; i < SL_COUNTOF(none); i++) {
        is_refused(none[i], "no identities");
        assert_int_equal(ask((asked){0}), SL_UNAUTHENTICATED);
        assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_OK);
    }
    is_configured("client_certificates: true rule { principal: '*' allow: PREDICT }"); /* others */
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_UNAUTHENTICATED);
}

static void a_star_means_all_who_have_shown_who_they_are(void **state)
{
    (void)state;
    is_configured(TOKENS "rule { principal: '*' allow: PREDICT }");
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_OK);
    assert_int_equal(ask((asked){0}), SL_UNAUTHENTICATED);
}

static void credentials_that_do_not_hold_are_refused_even_where_none_are_needed(void **state)
{
    (void)state;
    is_configured(TOKENS "rule { principal: 'anonymous' allow: PREDICT }");
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(ask((asked){.authorization = "Bearer slt_wrong"}), SL_UNAUTHENTICATED);
    assert_null(strstr(st.msg, "slt_wrong"));
    assert_int_equal(ask((asked){.authorization = "Bearer slt_old"}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "expired"));
    is_configured(TOKENS "rule { principal: ['anonymous', 'token:new'] allow: PREDICT }");
    assert_int_equal(ask((asked){.authorization = "Bearer slt_new"}), SL_OK);
    assert_int_equal(ask((asked){.authorization = "BEARER \tslt_new\t"}), SL_OK);
    assert_int_equal(ask((asked){.authorization = "Bearer_slt_new"}), SL_UNAUTHENTICATED);
    char longer[SL_JWT_MAX + 20] = "Bearer slt_new";
    memset(longer + 14, 'x', sizeof longer - 15);
    assert_int_equal(ask((asked){.authorization = longer}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "longer than 16384 bytes"));
    assert_int_equal(ask((asked){.authorization = "Basic YTpi"}), SL_UNAUTHENTICATED);
    assert_int_equal(ask((asked){.authorization = "Bearer "}), SL_UNAUTHENTICATED);
    assert_int_equal(ask((asked){.authorization = ""}), SL_UNAUTHENTICATED);
}

#define JWT                                                                                \
    "jwt { name: 'corp' issuer: 'https://corp' audience: 'sluice' jwks_file: 'jwks.json' " \
    "groups_claim: 'groups' } "

static char *bearer_jwt(sl_key_alg alg, const char *header, const char *rest)
{
    sl_text t = {0};
    char claims[600];
    snprintf(claims, sizeof claims,
             "{\"iss\":\"https://corp\",\"aud\":\"sluice\",\"sub\":\"ann\"%s}", rest);
    maker_token(&m, alg, header, claims, &t);
    char *value = sl_arena_try_printf(&arena, "Bearer %.*s", (int)t.n, t.p);
    sl_text_fini(&t);
    return value;
}

static void a_jwt_makes_a_principal_and_groups(void **state)
{
    (void)state;
    is_configured(JWT "rule { principal: 'group:corp/ml' allow: PREDICT } rule { principal: "
                      "'jwt:corp/ann' allow: STATUS }");
    char *plain = bearer_jwt(SL_ES256, "{\"alg\":\"ES256\"}", ",\"exp\":1800000100");
    char *grouped = bearer_jwt(SL_EDDSA, "{\"alg\":\"EdDSA\"}",
                               ",\"exp\":1800000100,\"groups\":[\"x\",\"ml\"]");
    assert_int_equal(ask((asked){.authorization = plain, .what = SL_MAY_STATUS}), SL_OK);
    assert_int_equal(ask((asked){.authorization = plain}), SL_PERMISSION_DENIED);
    assert_non_null(strstr(st.msg, "jwt:corp/ann"));
    assert_int_equal(ask((asked){.authorization = grouped}), SL_OK);
}

static void what_is_no_jwt_is_looked_for_among_the_tokens_only(void **state)
{
    (void)state;
    is_configured(JWT "rule { principal: '*' allow: PREDICT }");
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "it is not known here"));
    assert_int_equal(ask((asked){.authorization = "Bearer a.b.c"}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "it is not a JSON Web Token"));
}

/* More than the cache has places for, so that some share one. */
static void each_of_many_jwts_is_its_own_principal(void **state)
{
    enum { MANY = 600 };
    static char *tokens[MANY];
    char rest[100];
    (void)state;
    is_configured(JWT "rule { principal: 'jwt:corp/ann' allow: PREDICT }"
                      "rule { principal: 'group:corp/g7' allow: STATUS }");
    for (int i = 0; i < MANY; i++) {
        snprintf(rest, sizeof rest, ",\"exp\":1800000100,\"groups\":\"g%d\"", i);
        tokens[i] = bearer_jwt(SL_EDDSA, "{\"alg\":\"EdDSA\"}", rest);
    }
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(ask((asked){.authorization = tokens[i]}), SL_OK);
            assert_int_equal(ask((asked){.authorization = tokens[i], .what = SL_MAY_STATUS}),
                             i == 7 ? SL_OK : SL_PERMISSION_DENIED);
        }
}

static void a_long_name_is_told_by_its_begin(void **state)
{
    char model[400], rest[500];
    (void)state;
    memset(model, 'm', sizeof model - 1);
    model[sizeof model - 1] = '\0';
    is_configured("jwt { name: 'corp' issuer: 'https://corp' audience: 'sluice' jwks_file: "
                  "'jwks.json' principal_claim: 'p' } rule { principal: 'x' allow: PREDICT }");
    snprintf(rest, sizeof rest, ",\"p\":\"%s\",\"exp\":1800000100", model);
    char *token = bearer_jwt(SL_EDDSA, "{\"alg\":\"EdDSA\"}", rest);
    assert_int_equal(ask((asked){.authorization = token, .model = model}), SL_PERMISSION_DENIED);
    assert_in_range(strlen(st.msg), 400, 460);
    assert_int_equal(ask((asked){.model = model}), SL_UNAUTHENTICATED);
    assert_in_range(strlen(st.msg), 200, 320);
    assert_int_equal(ask((asked){.model = "m", .what = SL_MAY_STATUS}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "needed to read the status of model m: "));
    assert_int_equal(ask((asked){.model = "", .what = SL_MAY_METRICS}), SL_UNAUTHENTICATED);
    assert_non_null(strstr(st.msg, "needed to read the metrics: "));
    assert_int_equal(ask((asked){.model = "", .what = SL_MAY_METRICS, .authorization = token}),
                     SL_PERMISSION_DENIED);
    assert_non_null(strstr(st.msg, " has no permission \"metrics\""));
    sl_http_header header = {SL_STR("authorization"), sl_str_of(token)};
    sl_http_call call = {
        .peer = SL_STR("unix"), .arena = &arena, .headers = &header, .n_headers = 1};
    sl_admission a;
    assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
    assert_int_equal(sl_guard_may_something(guard, &a, &st), SL_PERMISSION_DENIED);
    assert_in_range(strlen(st.msg), 200, 260);
    a.principal = SL_STR("ann");
    assert_int_equal(sl_guard_may_something(guard, &a, &st), SL_PERMISSION_DENIED);
    assert_string_equal(st.msg, "ann is named by no rule");
    sl_guard_leave(guard, &a);
    sl_guard_free(guard);
    assert_int_equal(sl_guard_new(false, &guard, &st), SL_OK);
    assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
    assert_int_equal(sl_guard_may_something(guard, &a, &st), SL_OK); /* nobody has to be named */
    sl_guard_leave(guard, &a);
}

static void a_jwt_that_was_verified_is_forgotten_when_it_expires_or_its_key_goes(void **state)
{
    sl_text jwks = {0};
    (void)state;
    is_configured(JWT "rule { principal: '*' allow: PREDICT }");
    char *token = bearer_jwt(SL_RS256, "{\"alg\":\"RS256\"}", ",\"exp\":1800000100");
    assert_int_equal(ask((asked){.authorization = token}), SL_OK);
    sl_clock_fake(((uint64_t)NOW_S + 159) * S);
    assert_int_equal(ask((asked){.authorization = token}), SL_OK);
    sl_clock_fake(((uint64_t)NOW_S + 161) * S);
    assert_int_equal(ask((asked){.authorization = token}), SL_UNAUTHENTICATED);
    sl_clock_fake((uint64_t)NOW_S * S);
    assert_int_equal(ask((asked){.authorization = token}), SL_OK);
    /* The issuer has rotated its keys. */
    maker other;
    maker_init(&other);
    maker_jwks(&other, &jwks);
    write_file("jwks.json", jwks.p);
    is_configured(JWT "rule { principal: '*' allow: PREDICT }");
    assert_int_equal(ask((asked){.authorization = token}), SL_UNAUTHENTICATED);
    jwks.n = 0;
    maker_jwks(&m, &jwks);
    write_file("jwks.json", jwks.p);
    sl_text_fini(&jwks);
    maker_fini(&other);
}

/* ---- from where ---- */

static char asked_for[64];
static int asked_times;

static void remember_url(void *arg, const char *url)
{
    (void)arg;
    snprintf(asked_for, sizeof asked_for, "%s", url);
    asked_times++;
}

static void keys_of_a_url_are_those_that_were_fetched_and_unknown_ones_are_asked_for(void **state)
{
    (void)state;
    static const char text[] =
        "jwt { name: 'corp' issuer: 'i' audience: 'a' jwks_url: 'https://corp/keys' } "
        "rule { principal: 'jwt:corp/ann' allow: PREDICT }";
    char bearer[2048];
    sl_text token = {0}, jwks = {0};
    asked_times = 0;
    maker_jwks(&m, &jwks);
    maker_token(&m, SL_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}",
                "{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"ann\",\"exp\":1800000100}", &token);
    snprintf(bearer, sizeof bearer, "Bearer %s", token.p);
    is_configured(text);
    assert_int_equal(ask((asked){.authorization = bearer}), SL_UNAVAILABLE); /* nobody to ask */
    sl_guard_on_unknown_key(guard, remember_url, NULL);
    assert_int_equal(ask((asked){.authorization = bearer}), SL_UNAVAILABLE);
    assert_int_equal(asked_times, 1);
    assert_string_equal(asked_for, "https://corp/keys");
    fetched[0] = SL_STR("{}");
    is_refused(text, ": no key that can be used");
    fetched[0] = (sl_str){jwks.p, jwks.n};
    is_configured(text);
    assert_int_equal(ask((asked){.authorization = bearer}), SL_OK);
    assert_int_equal(asked_times, 1);
    maker_token(&m, SL_ES256, "{\"alg\":\"ES256\",\"kid\":\"next\"}",
                "{\"iss\":\"i\",\"aud\":\"a\",\"sub\":\"ann\",\"exp\":1800000100}", &token);
    snprintf(bearer, sizeof bearer, "Bearer %s", token.p);
    assert_int_equal(ask((asked){.authorization = bearer}), SL_UNAUTHENTICATED);
    assert_int_equal(asked_times, 2);
    fetched[0] = (sl_str){0};
    sl_text_fini(&token);
    sl_text_fini(&jwks);
}

static void networks_are_denied_first_and_allowed_then(void **state)
{
    (void)state;
    is_configured("allow_network: ['10.0.0.0/8', '2001:db8::/32'] deny_network: '10.6.6.0/24'");
    assert_int_equal(ask((asked){.peer = "10.1.2.3:1"}), SL_OK);
    assert_int_equal(ask((asked){.peer = "[2001:db8::9]:1"}), SL_OK);
    assert_int_equal(ask((asked){.peer = "10.6.6.9:1"}), SL_PERMISSION_DENIED);
    assert_string_equal(st.msg, "address 10.6.6.9 may not talk to this server");
    assert_int_equal(ask((asked){.peer = "192.0.2.1:1"}), SL_PERMISSION_DENIED);
    assert_int_equal(ask((asked){.peer = "unix"}), SL_OK);
    sl_counter *held;
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("10.1.2.3:1"), &held));
    assert_false(sl_guard_connect(guard, SL_ON_REST, SL_STR("10.6.6.6:1"), &held));
    assert_false(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db9::1]:1"), &held));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("unix"), &held));
}

static void a_kind_of_listener_may_have_networks_of_its_own(void **state)
{
    (void)state;
    struct sl_counter *held = NULL;
    is_configured("deny_network: '10.6.6.0/24' "
                  "listener { kind: ADMIN allow_network: ['10.0.0.0/8', '127.0.0.1'] } "
                  "listener { kind: GRPC deny_network: '2001:db8::/32' }");
    assert_false(sl_guard_connect(guard, SL_ON_ADMIN, SL_STR("192.0.2.1:1"), &held));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.1:1"), &held));
    assert_true(sl_guard_connect(guard, SL_ON_ADMIN, SL_STR("10.1.1.1:1"), &held));
    assert_true(sl_guard_connect(guard, SL_ON_ADMIN, SL_STR("127.0.0.1:1"), &held));
    /* What is denied to all is not allowed to some. */
    assert_false(sl_guard_connect(guard, SL_ON_ADMIN, SL_STR("10.6.6.1:1"), &held));
    assert_false(sl_guard_connect(guard, SL_ON_GRPC, SL_STR("[2001:db8::1]:1"), &held));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db8::1]:1"), &held));
    is_refused("listener { kind: REST } listener { kind: REST }", "another one of its kind");
    is_refused("listener { kind: ADMIN allow_network: '10.0.0.0/40' }", "listener.allow_network");
}

static void headers_of_others_name_no_client(void **state)
{
    sl_http_header h[] = {{SL_STR("X-Forwarded-For"), SL_STR("203.0.113.5")},
                          {SL_STR("accept"), SL_STR("198.51.100.1")}};
    sl_http_call call = {
        .peer = SL_STR("10.0.0.1:1"), .headers = h, .n_headers = 2, .arena = &arena};
    sl_admission a;
    (void)state;
    is_configured("deny_network: '203.0.113.0/24' trusted_proxy: '10.0.0.0/8'");
    assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_PERMISSION_DENIED);
    assert_string_equal(st.msg, "address 203.0.113.5 may not talk to this server");
    sl_guard_leave(guard, &a);
}

static void what_belongs_to_no_model_is_for_whom_a_rule_names(void **state)
{
    (void)state;
    static const struct {
        const char *authorization;
        sl_code rc;
    } cases[] = {{NULL, SL_UNAUTHENTICATED}, {"Bearer slt_ci", SL_OK}};
    is_configured("token_file: 'tokens' rule { principal: 'token:ci' allow: PREDICT model: 'x' }");
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        sl_http_header h = {SL_STR("authorization"),
                            sl_str_of(cases[i].authorization ? cases[i].authorization : "")};
        sl_http_call call = {.peer = SL_STR("192.0.2.7:1"),
                             .headers = &h,
                             .n_headers = cases[i].authorization != NULL,
                             .arena = &arena};
        sl_admission a;
        assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
        assert_int_equal(sl_guard_may_something(guard, &a, &st), cases[i].rc);
        sl_guard_leave(guard, &a);
    }
}

static void an_address_has_so_many_connections_and_a_proxy_as_many_as_it_likes(void **state)
{
    sl_counter *held[4], *more;
    (void)state;
    is_configured("connections_per_address: 2 trusted_proxy: '192.0.2.99'");
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.7:1"), &held[0]));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.7:2"), &held[1]));
    assert_false(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.7:3"), &more));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.8:1"), &more));
    sl_guard_disconnect(guard, more);
    sl_guard_disconnect(guard, held[0]);
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.7:4"), &held[0]));
    sl_guard_disconnect(guard, held[0]);
    sl_guard_disconnect(guard, held[1]);
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db8::1]:1"), &held[2]));
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db8::2]:1"), &held[3]));
    assert_false(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db8::3]:1"),
                                  &more)); /* of the same /64 */
    assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("[2001:db8:0:1::1]:1"), &more));
    sl_guard_disconnect(guard, more);
    sl_guard_disconnect(guard, held[2]);
    sl_guard_disconnect(guard, held[3]);
    for (int i = 0; i < 10; i++) {
        assert_true(sl_guard_connect(guard, SL_ON_REST, SL_STR("192.0.2.99:1"), &more));
        assert_null(more);
    }
    assert_true(sl_guard_is_proxy(guard, SL_STR("192.0.2.99:5")));
    assert_false(sl_guard_is_proxy(guard, SL_STR("192.0.2.7:5")));
    assert_false(sl_guard_is_proxy(guard, SL_STR("unix")));
}

static void behind_a_trusted_proxy_the_client_is_whom_it_names_last(void **state)
{
    (void)state;
    is_configured("deny_network: '203.0.113.0/24' trusted_proxy: ['10.0.0.0/8', '127.0.0.1']");
    asked q = {.peer = "10.0.0.1:1"};
    q.forwarded = "198.51.100.1";
    assert_int_equal(ask(q), SL_OK);
    q.forwarded = "203.0.113.5";
    assert_int_equal(ask(q), SL_PERMISSION_DENIED);
    q.forwarded = "203.0.113.5, 10.0.0.2"; /* two proxies */
    assert_int_equal(ask(q), SL_PERMISSION_DENIED);
    q.forwarded = "203.0.113.5, 198.51.100.1"; /* the first was written by the client itself */
    assert_int_equal(ask(q), SL_OK);
    q.forwarded = "203.0.113.5, rubbish";
    assert_int_equal(ask(q), SL_OK);       /* the proxy's own address counts */
    q.forwarded = "10.0.0.2,\t10.0.0.3\t"; /* proxies all the way: the first of them it is */
    assert_int_equal(ask(q), SL_OK);
    q.forwarded = "";
    assert_int_equal(ask(q), SL_OK);
    q.forwarded = " \t";
    assert_int_equal(ask(q), SL_OK);
    q.forwarded = "[2001:db8::1]:99";
    assert_int_equal(ask(q), SL_OK);
    q.peer = "192.0.2.1:1"; /* no proxy of ours: what it says is not believed */
    q.forwarded = "203.0.113.5";
    assert_int_equal(ask(q), SL_OK);
    q.peer = "203.0.113.9:1";
    q.forwarded = "198.51.100.1";
    assert_int_equal(ask(q), SL_PERMISSION_DENIED);
}

static void an_address_that_is_none_is_of_no_network_and_not_local(void **state)
{
    static const char *const peers[] = {"", "[::1", "::1:", "localhost:1"};
    (void)state;
    is_configured("deny_network: '0.0.0.0/0' deny_network: '::/0'");
    for (size_t i = 0; i < SL_COUNTOF(peers); i++) {
        assert_int_equal(ask((asked){.peer = peers[i]}), SL_OK); /* the system's own doing */
        assert_int_equal(ask((asked){.peer = peers[i], .what = SL_MAY_ADMIN}),
                         SL_PERMISSION_DENIED);
    }
    assert_int_equal(ask((asked){.peer = "::1"}), SL_PERMISSION_DENIED);
}

/* ---- how much ---- */

static void limits_count_by_principal_address_model_or_all(void **state)
{
    (void)state;
    is_configured(TOKENS "rule { principal: ['*', 'anonymous'] allow: PREDICT }"
                         "limit { per: PRINCIPAL principal: 'token:ci' requests_per_second: 2 }"
                         "limit { per: ADDRESS principal: 'anonymous' requests_per_second: 1 }");
    for (int i = 0; i < 2; i++)
        assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_OK);
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_RESOURCE_EXHAUSTED);
    assert_string_equal(st.msg, "too many requests for this principal: the limit is 2 per second");
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(ask((asked){.peer = "192.0.2.7:9"}),
                     SL_RESOURCE_EXHAUSTED); /* another port is no other client */
    assert_int_equal(ask((asked){.peer = "192.0.2.8:9"}), SL_OK);
    sl_clock_fake((uint64_t)NOW_S * S + S / 2 + 1000);
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_OK);
}

/* A host can have as many addresses of its network as it likes. */
static void an_ipv6_address_counts_by_its_network(void **state)
{
    (void)state;
    char peer[64];
    is_configured("limit { per: ADDRESS requests_per_second: 3 }");
    for (int i = 1; i <= 6; i++) {
        snprintf(peer, sizeof peer, "[2001:db8::%x:%d]:%d", 0xabc0 + i, i, 1000 + i);
        assert_int_equal(ask((asked){.peer = peer}), i <= 3 ? SL_OK : SL_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(ask((asked){.peer = "[2001:db8:0:1::1]:1"}), SL_OK); /* another /64 */
    /* IPv4 is each address by itself, in either way to write it. */
    for (int i = 1; i <= 6; i++) {
        snprintf(peer, sizeof peer, i & 1 ? "192.0.2.9:%d" : "[::ffff:192.0.2.9]:%d", i);
        assert_int_equal(ask((asked){.peer = peer}), i <= 3 ? SL_OK : SL_RESOURCE_EXHAUSTED);
    }
    assert_int_equal(ask((asked){.peer = "[::ffff:192.0.2.10]:1"}), SL_OK);
    assert_int_equal(ask((asked){.peer = "unix"}), SL_OK);
}

static void credentials_that_do_not_hold_count_for_their_address(void **state)
{
    static const char rules[] =
        TOKENS JWT "rule { principal: ['*', 'anonymous'] allow: [PREDICT, STATUS] }"
                   "limit { per: PRINCIPAL requests_per_second: 1000 }"
                   "limit { per: ADDRESS model: 'x' requests_per_second: 1 }"
                   "limit { per: ADDRESS principal: 'token:ci' requests_per_second: 1 }"
                   "limit { per: ADDRESS requests_per_second: 4 concurrent: 50 }"
                   "limit { per: ADDRESS concurrent: 50 }";
    char huge[SL_JWT_MAX + 20] = "Bearer ";
    (void)state;
    memset(huge + 7, 'x', sizeof huge - 8);
    sl_text other = {0};
    maker forger;
    maker_init(&forger);
    maker_token(&forger, SL_ES256, "{\"alg\":\"ES256\"}",
                "{\"iss\":\"https://corp\",\"aud\":\"sluice\",\"sub\":\"ann\",\"exp\":1800000100}",
                &other);
    char *forged = sl_arena_try_printf(&arena, "Bearer %s", other.p);
    char *good = bearer_jwt(SL_ES256, "{\"alg\":\"ES256\"}", ",\"exp\":1800000100");
    const char *const guesses[] = {
        "Bearer slt_no", "Bearer slt_old", "Basic YTpi", "Bearer a.b.c", huge, forged};
    is_configured(rules);
    for (size_t k = 0; k < SL_COUNTOF(guesses); k++) {
        char peer[64];
        snprintf(peer, sizeof peer, "192.0.2.%zu:1", 100 + k);
        for (int i = 0; i < 8; i++) {
            asked q = {.peer = peer, .authorization = guesses[k]};
            assert_int_equal(ask(q), i < 4 ? SL_UNAUTHENTICATED : SL_RESOURCE_EXHAUSTED);
        }
        /* Nothing is checked any more, and so nobody new is let in. */
        assert_int_equal(ask((asked){.peer = peer, .authorization = good}), SL_RESOURCE_EXHAUSTED);
        assert_string_equal(st.msg,
                            "too many requests for this address: the limit is 4 per second");
    }
    /* What holds counts once, as ever, and not as a guess. */
    for (int i = 0; i < 5; i++)
        assert_int_equal(ask((asked){.peer = "192.0.2.7:1", .authorization = good}),
                         i < 4 ? SL_OK : SL_RESOURCE_EXHAUSTED);
    /* Elsewhere the same credentials are none the worse for it. */
    assert_int_equal(ask((asked){.peer = "192.0.2.8:1", .authorization = good}), SL_OK);
    sl_text_fini(&other);
    maker_fini(&forger);
}

/* Each of two limits of an address must have room, and the first is not charged for the second. */
static void a_guess_is_charged_to_all_limits_or_none(void **state)
{
    asked bad = {.authorization = "Bearer slt_no"};
    (void)state;
    is_configured(TOKENS "rule { principal: ['*', 'anonymous'] allow: PREDICT }"
                         "limit { per: ADDRESS requests_per_second: 1 burst: 6 }"
                         "limit { per: ADDRESS requests_per_second: 1 burst: 2 }");
    assert_int_equal(ask(bad), SL_UNAUTHENTICATED);
    assert_int_equal(ask(bad), SL_UNAUTHENTICATED);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask(bad), SL_RESOURCE_EXHAUSTED);
    sl_clock_fake((uint64_t)NOW_S * S + 2 * S);
    assert_int_equal(ask(bad), SL_UNAUTHENTICATED);
    assert_int_equal(ask(bad), SL_UNAUTHENTICATED);
}

static void a_request_that_one_limit_refuses_is_not_counted_by_the_others(void **state)
{
    (void)state;
    is_configured("limit { per: ALL requests_per_second: 3 } limit { per: MODEL model: 'slow' "
                  "requests_per_second: 1 }");
    assert_int_equal(ask((asked){.model = "slow"}), SL_OK);
    for (int i = 0; i < 10; i++)
        assert_int_equal(ask((asked){.model = "slow"}), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(ask((asked){0}), SL_RESOURCE_EXHAUSTED);
}

static void nobody_is_told_to_wait_longer_than_an_hour(void **state)
{
    sl_http_call call = {.peer = SL_STR("192.0.2.7:1"), .arena = &arena};
    sl_admission a;
    (void)state;
    is_configured("limit { per: ADDRESS requests_per_second: 0.0001 }");
    assert_int_equal(ask((asked){0}), SL_OK);
    assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
    assert_int_equal(sl_guard_count(guard, &a, SL_STR("m"), &st), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(a.retry_after_s, 3600);
    sl_guard_leave(guard, &a);
}

static void requests_at_once_are_let_go_when_they_leave(void **state)
{
    sl_http_call call = {.peer = SL_STR("192.0.2.7:1"), .arena = &arena};
    sl_admission a, b;
    (void)state;
    is_configured("limit { per: ADDRESS concurrent: 1 }");
    assert_int_equal(sl_guard_identify(guard, &call, &a, &st), SL_OK);
    assert_int_equal(sl_guard_count(guard, &a, SL_STR("m"), &st), SL_OK);
    is_configured(
        "limit { per: ADDRESS concurrent: 1 } allow_network: '0.0.0.0/0'"); /* a reload between */
    assert_int_equal(sl_guard_identify(guard, &call, &b, &st), SL_OK);
    assert_int_equal(sl_guard_count(guard, &b, SL_STR("m"), &st), SL_RESOURCE_EXHAUSTED);
    assert_int_equal(b.retry_after_s, 1);
    sl_guard_leave(guard, &b);
    sl_guard_leave(guard, &a);
    assert_int_equal(ask((asked){0}), SL_OK);
}

/* ---- configurations ---- */

static void a_configuration_that_cannot_be_meant_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    is_configured(TOKENS "rule { principal: 'token:ci' allow: PREDICT }");
    is_refused(TOKENS, "no rule");
    is_refused("rule { principal: 'a' allow: PREDICT }", "no identities");
    is_refused(TOKENS "rule { allow: PREDICT }", "rule 1 names no principal");
    is_refused(TOKENS "rule { principal: '*' allow: PREDICT } rule { principal: '*' }",
               "rule 2 allows nothing");
    is_refused("token_file: 'nowhere'", "nowhere");
    is_refused("token_file: '/nowhere/at/all'", "/nowhere/at/all");
    char first = dir[0];
    dir[0] = '\0'; /* the working directory */
    is_refused("token_file: 'nowhere'", "nowhere");
    dir[0] = first;
    is_refused("jwt { name: 'a' issuer: 'b' jwks_file: 'jwks.json' } rule { principal: '*' allow: "
               "PREDICT }",
               "jwt 1 (\"a\") has no audience");
    is_refused("jwt { name: 'a' issuer: 'b' audience: 'c' jwks_file: 'tokens' } rule { principal: "
               "'*' allow: PREDICT }",
               "tokens: not a JSON Web Key Set");
    is_refused("limit { per: ALL }", "limit 1 bounds nothing");
    is_refused("limit { requests_per_second: -1 }", "limit 1");
    is_refused("limit { requests_per_second: nan }", "limit 1");
    is_refused("limit { requests_per_second: 1e10 }", "limit 1");
    is_refused("limit { requests_per_second: 1 burst: -1 }", "limit 1");
    is_refused("limit { requests_per_second: 1 burst: 1e10 }", "limit 1");
    is_refused("limit { requests_per_second: 1 burst: nan }", "limit 1");
    is_refused("limit { concurrent: -1 }", "limit 1");
    is_refused("limit { concurrent: 1 per: 7 }", "per is PRINCIPAL");
    is_refused("limit { concurrent: 1 per: -7 }", "per is PRINCIPAL");
    is_refused("listener { kind: 9 }", "kind is REST");
    is_refused("listener { kind: -9 }", "kind is REST");
    is_refused("connections_per_address: -1", "connections_per_address");
    is_refused(TOKENS "rule { principal: '*' allow: 9 }", "no permission with number 9");
    is_refused(TOKENS "rule { principal: '*' allow: 0 }", "no permission with number 0");
    is_refused("jwt { issuer: 'b' audience: 'c' jwks_file: 'jwks.json' }", "has no name");
    is_refused("jwt { name: 'a' audience: 'c' jwks_file: 'jwks.json' }", "has no issuer");
    is_refused("jwt { name: 'a' issuer: 'b' audience: 'c' }", "has no jwks_file and no jwks_url");
    is_refused("jwt { name: 'a' issuer: 'b' audience: 'c' jwks_file: 'nowhere' }", "nowhere");
    is_refused(
        "jwt { name: 'a' issuer: 'b' audience: 'c' jwks_file: 'jwks.json' clock_skew_seconds: -1 }",
        "0 to 3600");
    is_refused("jwt { name: 'a' issuer: 'b' audience: 'c' jwks_file: 'jwks.json' "
               "clock_skew_seconds: 3601 }",
               "0 to 3600");
    sl_text many = {0};
    for (int i = 0; i <= SL_LIMITS_MAX; i++)
        sl_text_puts(&many, "limit { concurrent: 1 }");
    is_refused(many.p, "more than");
    sl_text_fini(&many);
    is_refused("allow_network: '10.0.0.1/8'", "allow_network: \"10.0.0.1/8\"");
    is_refused("trusted_proxy: 'localhost'", "trusted_proxy: \"localhost\"");
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_OK);
    assert_int_equal(ask((asked){0}), SL_UNAUTHENTICATED);
}

static void a_decision_is_explained(void **state)
{
    sl_text why = {0};
    (void)state;
    is_configured(
        TOKENS
        "rule { principal: 'x' allow: PREDICT } rule { principal: 'token:*' allow: PREDICT }");
    assert_int_equal(sl_guard_explain(guard, SL_STR("token:ci"), false, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_OK);
    assert_string_equal(why.p, "token:ci may, by rule 2");
    why.n = 0;
    assert_int_equal(sl_guard_explain(guard, SL_STR("slt_ci"), true, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_OK);
    assert_string_equal(why.p, "token:ci may, by rule 2");
    assert_int_equal(sl_guard_explain(guard, SL_STR("slt_no"), true, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_UNAUTHENTICATED);
    why.n = 0;
    sl_guard_free(guard);
    assert_int_equal(sl_guard_new(false, &guard, &st), SL_OK);
    assert_int_equal(sl_guard_explain(guard, SL_STR("token:ci"), false, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_OK);
    assert_string_equal(why.p, "no identities are configured: everybody may");
    why.n = 0; /* where nobody looks at a token, any does */
    assert_int_equal(sl_guard_explain(guard, SL_STR("slt_no"), true, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_OK);
    assert_string_equal(why.p, "no identities are configured: everybody may");
    is_configured(JWT "rule { principal: 'jwt:*' allow: PREDICT }");
    const char *jwt = bearer_jwt(SL_ES256, "{\"alg\":\"ES256\"}", ",\"exp\":1800000100");
    why.n = 0;
    assert_int_equal(sl_guard_explain(guard, sl_str_of(jwt + 7), true, SL_MAY_PREDICT, SL_STR("m"),
                                      SL_STR(""), &why, &st),
                     SL_OK);
    assert_string_equal(why.p, "jwt:corp/ann may, by rule 1");
    sl_text_fini(&why);
}

/* Three parts with dots between are a name as good as any other. */
static void a_principal_is_not_taken_for_a_token(void **state)
{
    static const char *const names[] = {"token:a.b.c", "cert:web.example.com", "jwt:corp/a.b.c",
                                        "san:DNS:www.example.com"};
    (void)state;
    is_configured(TOKENS "client_certificates: true rule { principal: ['token:a.b.c', "
                         "'cert:*.example.com', 'jwt:*', 'san:*'] allow: PREDICT }");
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        char want[100];
        sl_text why = {0};
        snprintf(want, sizeof want, "%s may, by rule 1", names[i]);
        if (sl_guard_explain(guard, sl_str_of(names[i]), false, SL_MAY_PREDICT, SL_STR("m"),
                             SL_STR(""), &why, &st) != SL_OK)
            fail_msg("%s", st.msg);
        assert_string_equal(why.p, want);
        sl_text_fini(&why);
    }
    sl_text why = {0};
    assert_int_equal(sl_guard_explain(guard, SL_STR("token:a.b.c"), true, SL_MAY_PREDICT,
                                      SL_STR("m"), SL_STR(""), &why, &st),
                     SL_UNAUTHENTICATED);
}

/* ---- many at once ---- */

static atomic_bool ending;

static void *asks_on(void *arg)
{
    sl_http_header header = {SL_STR("authorization"), sl_str_of(arg)};
    sl_arena mine;
    if (sl_arena_init(&mine, 0) != SL_OK)
        return arg;
    while (!atomic_load(&ending)) {
        sl_http_call call = {
            .peer = SL_STR("192.0.2.7:1"), .headers = &header, .n_headers = 1, .arena = &mine};
        sl_admission a;
        sl_status s;
        sl_code rc = sl_guard_identify(guard, &call, &a, &s);
        if (rc == SL_OK)
            rc = sl_guard_may(guard, &a, SL_MAY_PREDICT, SL_STR("m"), SL_STR(""), &s);
        if (rc == SL_OK)
            rc = sl_guard_count(guard, &a, SL_STR("m"), &s);
        sl_guard_leave(guard, &a);
        sl_arena_reset(&mine);
        if (rc)
            return arg;
    }
    sl_arena_fini(&mine);
    return NULL;
}

static void requests_go_on_while_the_configuration_is_replaced(void **state)
{
    pthread_t t[3];
    const char *text =
        JWT TOKENS "rule { principal: '*' allow: PREDICT } limit { per: ALL concurrent: 100 }";
    (void)state;
    is_configured(text);
    char *jwt = bearer_jwt(SL_EDDSA, "{\"alg\":\"EdDSA\"}", ",\"exp\":1800000100");
    atomic_store(&ending, false);
    for (int i = 0; i < 3; i++)
        pthread_create(&t[i], NULL, asks_on, i == 0 ? "Bearer slt_ci" : jwt);
    for (int i = 0; i < 50; i++)
        is_configured(text);
    atomic_store(&ending, true);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(t[i], &failed);
        assert_null(failed);
    }
}

/* ---- memory ---- */

static sl_code configure_once(void *arg, sl_status *status)
{
    return sl_guard_configure(guard, arg, dir, fetched, status);
}

static sl_code new_once(void *arg, sl_status *status)
{
    sl_guard *g;
    (void)arg;
    sl_code rc = sl_guard_new(false, &g, status);
    if (rc == SL_OK)
        sl_guard_free(g);
    return rc;
}

static sl_code ask_once(void *arg, sl_status *status)
{
    sl_code rc = ask(*(const asked *)arg);
    *status = st;
    return rc;
}

static sl_code explain_once(void *arg, sl_status *status)
{
    sl_text why = {0};
    sl_code rc = sl_guard_explain(guard, sl_str_of(arg), true, SL_MAY_STATUS, SL_STR("m"),
                                  SL_STR(""), &why, status);
    sl_text_fini(&why);
    return rc;
}

static void without_memory_nobody_is_let_in_or_blamed(void **state)
{
    static const char *const san[] = {"DNS:a"};
    sl_tls_peer ann = {.subject = "CN=ann", .common_name = "ann", .san = san, .n_san = 1};
    asked q = {.tls = &ann};
    (void)state;
    is_configured("client_certificates: true rule { principal: 'san:*' allow: PREDICT }");
    assert_in_range(fail_each_allocation(ask_once, &q), 4, 10);
    char text[] = "slt_ci";
    is_configured(TOKENS "rule { principal: '*' allow: STATUS }");
    assert_in_range(fail_each_allocation(explain_once, text), 1, 20);
    fail_call("EVP_DigestFinal_ex", 1, 0);
    assert_int_equal(ask((asked){.authorization = "Bearer slt_ci"}), SL_RESOURCE_EXHAUSTED);
    fail_call(NULL, 0, 0);
}

static void without_memory_a_jwt_is_at_most_refused(void **state)
{
    (void)state;
    char *token = bearer_jwt(SL_EDDSA, "{\"alg\":\"EdDSA\"}",
                             ",\"exp\":1800000100,\"groups\":[\"x\",\"ml\"]");
    static const sl_fault kinds[] = {SL_FAULT_ALLOC, SL_FAULT_ARENA};
    for (size_t k = 0; k < SL_COUNTOF(kinds); k++)
        for (int nth = 1, hit = 1; hit; nth++) {
            is_configured(JWT "rule { principal: 'group:corp/ml' allow: PREDICT }"); /* no cache */
            sl_fault_arm(kinds[k], nth);
            sl_code rc = ask((asked){.authorization = token});
            hit = sl_fault_count(kinds[k]) >= nth;
            sl_fault_arm(kinds[k], 0);
            if (hit)
                assert_true(rc == SL_RESOURCE_EXHAUSTED || rc == SL_UNAUTHENTICATED);
            else
                assert_int_equal(rc, SL_OK);
        }
}

static void without_memory_the_policy_stays_as_it_was(void **state)
{
    sl_text wire = {0};
    (void)state;
    if (sl_textpb_parse(
            SL_STR(
                TOKENS
                "jwt { name: 'a' issuer: 'b' audience: 'c' jwks_file: 'jwks.json' groups_claim: "
                "'g' "
                "principal_claim: 'p' jwks_url: 'https://h/' } rule { principal: '*' allow: "
                "PREDICT "
                "model: 'm' version_label: 'l' } limit { concurrent: 1 principal: 'a' model: 'm' } "
                "allow_network: '10.0.0.0/8' deny_network: '10.1.0.0/16' trusted_proxy: "
                "'10.2.0.0/16' "
                "listener { kind: REST allow_network: '10.0.0.0/8' deny_network: '10.3.0.0/16' }"),
            &sluice__auth_config__descriptor, NULL, 0, &wire, &st) != SL_OK)
        fail_msg("%s", st.msg);
    Sluice__AuthConfig *c = sluice__auth_config__unpack(NULL, wire.n, (const uint8_t *)wire.p);
    assert_in_range(fail_each_allocation(configure_once, c), 20, 300);
    assert_in_range(fail_each_allocation(new_once, NULL), 3, 20);
    sluice__auth_config__free_unpacked(c, NULL);
    sl_text_fini(&wire);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(without_memory_the_policy_stays_as_it_was),
        T(without_a_configuration_everybody_may_all_but_administer),
        T(the_exception_for_this_machine_ends_where_proxies_are_trusted),
        T(a_permission_goes_by_its_name),
        T(headers_of_others_name_no_client),
        T(remote_administration_can_be_allowed),
        T(a_certificate_goes_by_each_of_its_names),
        T(one_name_of_a_certificate_is_not_taken_for_another),
        T(a_certificate_has_more_names_than_are_looked_at),
        T(a_certificate_that_names_nobody_is_nobody),
        T(what_is_no_jwt_is_looked_for_among_the_tokens_only),
        T(each_of_many_jwts_is_its_own_principal),
        T(a_long_name_is_told_by_its_begin),
        T(an_address_that_is_none_is_of_no_network_and_not_local),
        T(nobody_is_told_to_wait_longer_than_an_hour),
        T(without_memory_nobody_is_let_in_or_blamed),
        T(without_memory_a_jwt_is_at_most_refused),
        T(certificates_are_no_identity_unless_they_are_configured),
        T(what_no_rule_allows_is_refused),
        T(probes_are_open_until_they_are_closed),
        T(identities_do_not_go_away_while_the_server_runs),
        T(a_star_means_all_who_have_shown_who_they_are),
        T(web_pages_do_not_administer),
        T(credentials_that_do_not_hold_are_refused_even_where_none_are_needed),
        T(a_jwt_makes_a_principal_and_groups),
        T(a_jwt_that_was_verified_is_forgotten_when_it_expires_or_its_key_goes),
        T(keys_of_a_url_are_those_that_were_fetched_and_unknown_ones_are_asked_for),
        T(networks_are_denied_first_and_allowed_then),
        T(a_kind_of_listener_may_have_networks_of_its_own),
        T(what_belongs_to_no_model_is_for_whom_a_rule_names),
        T(an_address_has_so_many_connections_and_a_proxy_as_many_as_it_likes),
        T(behind_a_trusted_proxy_the_client_is_whom_it_names_last),
        T(limits_count_by_principal_address_model_or_all),
        T(an_ipv6_address_counts_by_its_network),
        T(credentials_that_do_not_hold_count_for_their_address),
        T(a_guess_is_charged_to_all_limits_or_none),
        T(a_principal_is_not_taken_for_a_token),
        T(a_request_that_one_limit_refuses_is_not_counted_by_the_others),
        T(requests_at_once_are_let_go_when_they_leave),
        T(a_configuration_that_cannot_be_meant_is_refused_and_changes_nothing),
        T(a_decision_is_explained),
        T(requests_go_on_while_the_configuration_is_replaced),
    };
    return cmocka_run_group_tests(tests, setup_all, teardown_all);
}
