/* JSON Web Tokens, signed by OpenSSL as an issuer would: which are believed, and which are not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/fault.h"
#include "base/mem.h"
#include "guard/jwt.h"
#include "support/calls.h"
#include "unit/guard/jwt_maker.h"

enum { NOW = 1800000000 };

#define GOOD "{\"iss\":\"https://corp\",\"sub\":\"ann\",\"aud\":\"sluice\",\"exp\":1800000100}"

static maker m;
static sl_issuer issuer;
static sl_arena arena;
static sl_text token;
static sl_status st;
static sl_claims claims;
static const char *const audiences[] = {"other", "sluice"};

static int setup(void **state)
{
    sl_text jwks = {0};
    (void)state;
    maker_init(&m);
    maker_jwks(&m, &jwks);
    issuer = (sl_issuer){.name = "corp",
                         .issuer = "https://corp",
                         .audiences = audiences,
                         .n_audiences = 2,
                         .skew_s = 60,
                         .principal_claim = "sub",
                         .groups_claim = "groups"};
    sl_code rc = sl_keys_read((sl_str){jwks.p, jwks.n}, &issuer.keys, &st);
    sl_text_fini(&jwks);
    return rc != SL_OK || issuer.keys.count != 3 || sl_arena_init(&arena, 0) != SL_OK;
}

static int teardown(void **state)
{
    (void)state;
    sl_keys_fini(&issuer.keys);
    maker_fini(&m);
    sl_arena_fini(&arena);
    sl_text_fini(&token);
    return 0;
}

static sl_code verify(sl_key_alg alg, const char *header, const char *payload)
{
    maker_token(&m, alg, header, payload, &token);
    return sl_jwt_verify((sl_str){token.p, token.n}, &issuer, 1, NOW, &arena, &claims, &st);
}

static void refuses(sl_key_alg alg, const char *header, const char *payload, const char *why)
{
    sl_code rc = verify(alg, header, payload);
    if (rc != SL_UNAUTHENTICATED)
        fail_msg("%s %s: %s", header, payload, rc ? st.msg : "was believed");
    if (strstr(st.msg, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", st.msg, why);
}

static void a_token_of_each_kind_of_key_is_believed(void **state)
{
    (void)state;
    assert_int_equal(verify(SL_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\",\"typ\":\"JWT\"}", GOOD),
                     SL_OK);
    assert_true(sl_str_is(claims.principal, "ann"));
    assert_int_equal(claims.expires_s, 1800000160);
    assert_int_equal(verify(SL_ES256, "{\"alg\":\"ES256\",\"kid\":\"e\"}", GOOD), SL_OK);
    assert_int_equal(verify(SL_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", GOOD), SL_OK);
    assert_int_equal(verify(SL_ES256, "{\"alg\":\"ES256\"}", GOOD),
                     SL_OK); /* without kid: any key of that kind */
}

static void the_key_decides_on_the_algorithm_never_the_token(void **state)
{
    (void)state;
    refuses(SL_RS256, "{\"alg\":\"none\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"HS256\",\"kid\":\"r\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"ES256\",\"kid\":\"r\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"RS384\",\"kid\":\"r\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"rs256\",\"kid\":\"r\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"kid\":\"r\"}", GOOD, "header");
    refuses(SL_RS256, "{\"alg\":\"RS256\",\"kid\":\"e\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"RS256\",\"kid\":\"h\"}", GOOD, "no key");
    refuses(SL_RS256, "{\"alg\":\"RS256\",\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD, "header");
    refuses(SL_RS256, "{\"alg\":\"RS256\",\"crit\":[\"b64\"]}", GOOD, "crit");
}

/* The classic: the public key as the secret of an HMAC. */
static void an_hmac_with_the_public_key_is_refused(void **state)
{
    const char *head = "{\"alg\":\"HS256\",\"kid\":\"r\"}";
    unsigned char mac[32];
    unsigned n = sizeof mac;
    sl_text t = {0}, key = {0};
    (void)state;
    add_bn(&key, m.rsa, OSSL_PKEY_PARAM_RSA_N, 0);
    add_b64url(&t, head, strlen(head));
    sl_text_putc(&t, '.');
    add_b64url(&t, GOOD, strlen(GOOD));
    HMAC(EVP_sha256(), key.p, (int)key.n, (unsigned char *)t.p, t.n, mac, &n);
    sl_text_putc(&t, '.');
    add_b64url(&t, mac, n);
    assert_int_equal(sl_jwt_verify((sl_str){t.p, t.n}, &issuer, 1, NOW, &arena, &claims, &st),
                     SL_UNAUTHENTICATED);
    sl_text_fini(&t);
    sl_text_fini(&key);
}

static void time_is_held_to_with_the_skew(void **state)
{
    const char *h = "{\"alg\":\"EdDSA\"}";
    (void)state;
#define AT(rest) "{\"iss\":\"https://corp\",\"sub\":\"a\",\"aud\":[\"x\",\"sluice\"]" rest "}"
    assert_int_equal(verify(SL_EDDSA, h, AT(",\"exp\":1799999941")), SL_OK);
    refuses(SL_EDDSA, h, AT(",\"exp\":1799999940"), "expired");
    refuses(SL_EDDSA, h, AT(""), "\"exp\"");
    refuses(SL_EDDSA, h, AT(",\"exp\":\"1900000000\""), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":NaN"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1e400"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":-1"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1e15"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"exp\":1"), "malformed");
    assert_int_equal(
        verify(SL_EDDSA, h, AT(",\"exp\":1900000000.5,\"nbf\":1800000060,\"iat\":1800000060")),
        SL_OK);
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"nbf\":1800000061"), "not valid yet");
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"iat\":1800000061"), "future");
}

static void issuer_and_audience_and_principal_are_held_to(void **state)
{
    const char *h = "{\"alg\":\"EdDSA\"}";
    (void)state;
    refuses(SL_EDDSA, h,
            "{\"iss\":\"https://corp/\",\"sub\":\"a\",\"aud\":\"sluice\",\"exp\":1900000000}",
            "issuer \"https://corp/\"");
    refuses(SL_EDDSA, h, "{\"sub\":\"a\",\"aud\":\"sluice\",\"exp\":1900000000}", "issuer");
    refuses(SL_EDDSA, h,
            "{\"iss\":\"https://corp\",\"sub\":\"a\",\"aud\":\"Sluice\",\"exp\":1900000000}",
            "audience");
    refuses(SL_EDDSA, h, "{\"iss\":\"https://corp\",\"sub\":\"a\",\"exp\":1900000000}", "audience");
    refuses(SL_EDDSA, h,
            "{\"iss\":\"https://corp\",\"sub\":\"\",\"aud\":\"sluice\",\"exp\":1900000000}",
            "\"sub\"");
    refuses(SL_EDDSA, h, "{\"iss\":\"https://corp\",\"aud\":\"sluice\",\"exp\":1900000000}",
            "\"sub\"");
    refuses(SL_EDDSA, h,
            "{\"iss\":\"https://corp\",\"sub\":7,\"aud\":\"sluice\",\"exp\":1900000000}",
            "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"aud\":7"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"aud\":[\"sluice\" 1]"), "malformed");
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"aud\":[\"sluice\",7]"), "malformed");
}

static void a_long_issuer_is_named_by_its_begin(void **state)
{
    char payload[600], name[400];
    (void)state;
    memset(name, 'i', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    snprintf(payload, sizeof payload, "{\"iss\":\"%s\"}", name);
    refuses(SL_EDDSA, "{\"alg\":\"EdDSA\"}", payload, "iiii\" is not known here");
    assert_in_range(strlen(st.msg), 200, 300);
}

/* More than are looked at: the first count. */
static void of_hundreds_of_groups_the_first_count(void **state)
{
    sl_text payload = {0};
    (void)state;
    sl_text_puts(&payload, "{\"iss\":\"https://corp\",\"sub\":\"a\",\"aud\":\"sluice\","
                           "\"exp\":1900000000,\"groups\":[\"g\"");
    for (int i = 1; i < 200; i++)
        sl_text_printf(&payload, ",\"g%d\"", i);
    sl_text_puts(&payload, "]}");
    assert_int_equal(verify(SL_EDDSA, "{\"alg\":\"EdDSA\"}", payload.p), SL_OK);
    assert_int_equal(claims.n_groups, SL_JWT_GROUPS);
    assert_true(sl_str_is(claims.groups[SL_JWT_GROUPS - 1], "g31"));
    sl_text_fini(&payload);
}

/* Each try costs a verification: a token that names no key gets eight. */
static void a_token_that_names_no_key_is_held_against_a_few_only(void **state)
{
    sl_key list[10];
    sl_keys all = issuer.keys;
    EVP_PKEY *others[9];
    (void)state;
    for (int i = 0; i < 9; i++) {
        others[i] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
        list[i] = (sl_key){.alg = SL_EDDSA, .id = (char *)"other", .pkey = others[i]};
    }
    list[9] = all.list[2];
    for (int first = 1; first <= 2; first++) { /* the right one is the ninth, the eighth */
        issuer.keys = (sl_keys){.list = list + first, .count = 10 - first};
        sl_code rc = verify(SL_EDDSA, "{\"alg\":\"EdDSA\"}", GOOD);
        sl_code named = verify(SL_EDDSA, "{\"alg\":\"EdDSA\",\"kid\":\"d\"}", GOOD);
        issuer.keys = all;
        assert_int_equal(rc, first == 1 ? SL_UNAUTHENTICATED : SL_OK);
        assert_int_equal(named, SL_OK);
    }
    for (int i = 0; i < 9; i++)
        EVP_PKEY_free(others[i]);
}

static void groups_come_from_a_string_or_a_list(void **state)
{
    const char *h = "{\"alg\":\"EdDSA\"}";
    (void)state;
    assert_int_equal(
        verify(SL_EDDSA, h, AT(",\"exp\":1900000000,\"groups\":[\"ml\",\"o\\u0070s\"]")), SL_OK);
    assert_int_equal(claims.n_groups, 2);
    assert_true(sl_str_is(claims.groups[1], "ops"));
    assert_int_equal(verify(SL_EDDSA, h, AT(",\"exp\":1900000000,\"groups\":\"ml\"")), SL_OK);
    assert_int_equal(claims.n_groups, 1);
    refuses(SL_EDDSA, h, AT(",\"exp\":1900000000,\"groups\":[1]"), "malformed");
}

static void any_changed_byte_is_noticed(void **state)
{
    (void)state;
    assert_int_equal(verify(SL_ES256, "{\"alg\":\"ES256\"}", GOOD), SL_OK);
    char *copy = malloc(token.n);
    for (size_t i = 0; i < token.n; i++) {
        memcpy(copy, token.p, token.n);
        copy[i] = copy[i] == 'A' ? 'B' : 'A';
        if (sl_jwt_verify((sl_str){copy, token.n}, &issuer, 1, NOW, &arena, &claims, &st) !=
            SL_UNAUTHENTICATED)
            fail_msg("byte %zu was not missed", i);
        sl_arena_reset(&arena);
    }
    for (size_t n = 0; n < token.n; n++) {
        if (sl_jwt_verify((sl_str){token.p, n}, &issuer, 1, NOW, &arena, &claims, &st) !=
            SL_UNAUTHENTICATED)
            fail_msg("cut at %zu was believed", n);
        sl_arena_reset(&arena);
    }
    free(copy);
}

static void what_is_no_token_is_refused(void **state)
{
    static const char *const bad[] = {
        "",      ".",           "..",       "a.b",       "a..c",      "a.b.c.d", "e30.e30.e30",
        "!.!.!", "e30=.e30.AA", "e30.!.AA", "e30.e30.!", "W10.W10.AA"};
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(bad); i++)
        assert_int_equal(sl_jwt_verify(sl_str_of(bad[i]), &issuer, 1, NOW, &arena, &claims, &st),
                         SL_UNAUTHENTICATED);
    static char longer[SL_JWT_MAX + 1];
    memset(longer, 'e', sizeof longer);
    longer[3] = longer[6] = '.';
    for (size_t more = 0; more < 2; more++) {
        sl_str s = {longer, SL_JWT_MAX + more};
        assert_int_equal(sl_jwt_verify(s, &issuer, 1, NOW, &arena, &claims, &st),
                         SL_UNAUTHENTICATED);
        assert_int_equal(arena.used > SL_JWT_MAX / 4 * 3, more == 0); /* not even decoded */
        sl_arena_reset(&arena);
    }
}

static void a_key_set_without_a_usable_key_is_refused_with_the_reason(void **state)
{
    static const struct {
        const char *json, *says;
    } rows[] = {
        {"", "not a JSON Web Key Set"},
        {"[]", "not a JSON Web Key Set"},
        {"{}", "no key that can be used"},
        {"{\"keys\":[]}", "no key that can be used"},
        {"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AAAA\"}]}", "no key that can be used"},
        {"{\"keys\":[1]}", "key 0 is not an object"},
        {"{\"keys\":[{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"kid\":\"short\"}]}", "short"},
        {"{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\",\"y\":\"AA\"}]}", "key 0"},
        {"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}", "key 0"},
        {"{\"keys\":[{\"kty\":\"RSA\"", "not JSON"},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        sl_keys k;
        if (sl_keys_read(sl_str_of(rows[i].json), &k, &st) != SL_INVALID_ARGUMENT)
            fail_msg("row %zu was taken", i);
        if (strstr(st.msg, rows[i].says) == NULL)
            fail_msg("row %zu: %s", i, st.msg);
    }
}

static void a_key_that_is_not_there_is_told_from_a_signature_that_does_not_hold(void **state)
{
    (void)state;
    assert_int_equal(verify(SL_RS256, "{\"alg\":\"RS256\",\"kid\":\"new\"}", GOOD),
                     SL_UNAUTHENTICATED);
    assert_true(claims.unknown_key && claims.issuer == &issuer);
    /* Signed with another key than the one it names. */
    assert_int_equal(verify(SL_ES256, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD),
                     SL_UNAUTHENTICATED);
    assert_false(claims.unknown_key);
    assert_int_equal(verify(SL_RS256, "{\"alg\":\"RS256\",\"kid\":\"r\"}", GOOD), SL_OK);
    assert_false(claims.unknown_key);
}

static void an_issuer_without_keys_yet_refuses_all_of_its_tokens(void **state)
{
    (void)state;
    sl_keys keys = issuer.keys;
    issuer.keys = (sl_keys){0};
    sl_code rc = verify(SL_RS256, "{\"alg\":\"RS256\"}", GOOD);
    issuer.keys = keys;
    assert_int_equal(rc, SL_UNAVAILABLE);
    assert_true(claims.unknown_key);
    assert_non_null(strstr(st.msg, "issuer \"corp\" have not been fetched yet"));
}

/* ---- memory, also OpenSSL's ---- */

static void *ssl_malloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n ? sl_try_malloc(n) : NULL;
}

static void *ssl_realloc(void *p, size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return sl_try_realloc(p, n);
}

static void ssl_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    sl_free(p);
}

static int failing; /* the kind */

/* One attempt with the nth call failing: false: there were fewer. */
static bool armed(sl_fault kind, int nth)
{
    failing = (int)kind;
    sl_fault_arm(kind, nth);
    return true;
}

static bool was_hit(int nth)
{
    bool hit = sl_fault_count((sl_fault)failing) >= nth;
    sl_fault_arm((sl_fault)failing, 0);
    return hit;
}

/* No wrong key and no wrong belief: at most nothing at all. */
static void without_memory_no_key_and_no_token_is_believed(void **state)
{
    static const char *const headers[] = {"{\"alg\":\"RS256\",\"k\\u0069d\":\"\\u0072\"}",
                                          "{\"alg\":\"ES256\"}", "{\"alg\":\"EdDSA\"}"};
    static const sl_key_alg algs[] = {SL_RS256, SL_ES256, SL_EDDSA};
    static const sl_fault kinds[] = {SL_FAULT_ALLOC, SL_FAULT_ARENA};
    sl_text jwks = {0};
    int nth = 0;
    (void)state;
    maker_jwks(&m, &jwks);
    do {
        sl_keys keys;
        armed(SL_FAULT_ALLOC, ++nth);
        sl_code rc = sl_keys_read((sl_str){jwks.p, jwks.n}, &keys, &st);
        if (rc == SL_OK)
            sl_keys_fini(&keys);
        else
            assert_true(rc == SL_RESOURCE_EXHAUSTED || rc == SL_INVALID_ARGUMENT);
    } while (was_hit(nth));
    assert_true(nth > 50);
    sl_text_fini(&jwks);
    for (size_t i = 0; i < SL_COUNTOF(algs) * SL_COUNTOF(kinds); i++) {
        sl_key_alg alg = algs[i / 2];
        maker_token(&m, alg, headers[i / 2],
                    "{\"iss\":\"https://c\\u006frp\",\"sub\":\"ann\",\"aud\":[\"sluic\\u0065\"],"
                    "\"groups\":\"\\u0061\",\"exp\":1800000100}",
                    &token);
        nth = 0;
        do {
            armed(kinds[i % 2], ++nth);
            sl_code rc =
                sl_jwt_verify((sl_str){token.p, token.n}, &issuer, 1, NOW, &arena, &claims, &st);
            assert_true(rc == SL_OK || rc == SL_UNAUTHENTICATED || rc == SL_RESOURCE_EXHAUSTED);
        } while (was_hit(nth));
        assert_true(nth > 5);
        token.p[token.n - 5] ^= 1;
        nth = 0;
        do {
            armed(kinds[i % 2], ++nth);
            sl_code rc =
                sl_jwt_verify((sl_str){token.p, token.n}, &issuer, 1, NOW, &arena, &claims, &st);
            assert_true(rc != SL_OK);
        } while (was_hit(nth));
    }
}

#define Q "________________________________________________________________" /* 384 bits */
#define Q5 Q Q Q Q Q
#define N2048 Q5 "_____________________w"
#define N2047                                                                  \
    "f_______________________________________________________________" Q Q Q Q \
    "_____________________w"
#define X32 "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" /* RFC 8037, A.2 */

static void a_library_that_makes_no_keys_is_no_key(void **state)
{
    sl_text jwks = {0};
    sl_keys keys;
    (void)state;
    maker_jwks(&m, &jwks);
    fail_call("EVP_PKEY_fromdata_init", 1, 0);
    assert_int_equal(sl_keys_read((sl_str){jwks.p, jwks.n}, &keys, &st), SL_INVALID_ARGUMENT);
    fail_call(NULL, 0, 0);
    assert_non_null(strstr(st.msg, "key 1 (\"r\") is broken"));
    sl_text_fini(&jwks);
}

static void a_broken_key_is_named(void **state)
{
    static const char *const broken[] = {
        "\"kty\":\"RSA\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"n\":\"" N2047 "\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"n\":\"" Q5 Q5 Q5 Q5 Q Q "\",\"e\":\"AQAB\"",      /* 8448 bits */
        "\"kty\":\"RSA\",\"n\":\"" Q5 Q5 Q5 Q5 Q5 Q5 Q5 "\",\"e\":\"AQAB\"", /* not even read */
        "\"kty\":\"RSA\",\"n\":\"" N2048 "\",\"e\":\"AQ\"",
        "\"kty\":\"RSA\",\"n\":\"" N2048 "\",\"e\":\"Ag\"",
        "\"kty\":\"RSA\",\"n\":\"" X32 "\"",
        "\"kty\":\"RSA\",\"n\":\"" X32 "\",\"e\":\"AQAB\"",
        "\"kty\":\"RSA\",\"n\":\"" X32 "\",\"e\":\"!\"",
        "\"kty\":\"RSA\",\"n\":\"" X32 "\",\"e\":\"" X32 "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"y\":\"" X32 "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"" X32 "\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":\"AQAB\"",
        "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"",
    };
    static const char *const not_for_us[] = {
        "\"kty\":\"EC\",\"crv\":\"P-384\"", "\"kty\":\"OKP\",\"crv\":\"X25519\"", "\"kty\":\"oct\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":\"enc\",\"x\":\"" X32 "\"",
        "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"alg\":\"RS256\",\"x\":\"" X32 "\""};
    char text[3000];
    sl_keys keys;
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(broken); i++) {
        snprintf(text, sizeof text, "{\"keys\":[{\"kid\":\"k\",%s}]}", broken[i]);
        assert_int_equal(sl_keys_read(sl_str_of(text), &keys, &st), SL_INVALID_ARGUMENT);
        if (strstr(st.msg, "key 0 (\"k\") is broken") == NULL)
            fail_msg("%s: %s", broken[i], st.msg);
    }
    for (size_t i = 0; i < SL_COUNTOF(not_for_us); i++) {
        snprintf(text, sizeof text, "{\"more\":1,\"keys\":[{%s}]}", not_for_us[i]);
        assert_int_equal(sl_keys_read(sl_str_of(text), &keys, &st), SL_INVALID_ARGUMENT);
        assert_non_null(strstr(st.msg, "no key that can be used"));
    }
    static const char *const no_set[] = {"[]", "{\"keys\":1}", "{\"keys\":[1]}",
                                         "{\"keys\":[{\"a\":tru}]}", "{\"keys\":[{}"};
    for (size_t i = 0; i < SL_COUNTOF(no_set); i++)
        assert_int_equal(sl_keys_read(sl_str_of(no_set[i]), &keys, &st), SL_INVALID_ARGUMENT);
    /* One too many. */
    sl_text many = {0};
    sl_text_puts(&many, "{\"keys\":[");
    for (int i = 0; i < 65; i++)
        sl_text_printf(&many, "%s{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X32 "\"}",
                       i ? "," : "");
    sl_text_puts(&many, "]}");
    assert_int_equal(sl_keys_read((sl_str){many.p, many.n}, &keys, &st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "more than 64 keys"));
    sl_text_fini(&many);
}

int main(void)
{
    CRYPTO_set_mem_functions(ssl_malloc, ssl_realloc, ssl_free);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broken_key_is_named),
        cmocka_unit_test(a_library_that_makes_no_keys_is_no_key),
        cmocka_unit_test(without_memory_no_key_and_no_token_is_believed),
        cmocka_unit_test(a_key_that_is_not_there_is_told_from_a_signature_that_does_not_hold),
        cmocka_unit_test(an_issuer_without_keys_yet_refuses_all_of_its_tokens),
        cmocka_unit_test(a_token_of_each_kind_of_key_is_believed),
        cmocka_unit_test(the_key_decides_on_the_algorithm_never_the_token),
        cmocka_unit_test(an_hmac_with_the_public_key_is_refused),
        cmocka_unit_test(time_is_held_to_with_the_skew),
        cmocka_unit_test(issuer_and_audience_and_principal_are_held_to),
        cmocka_unit_test(groups_come_from_a_string_or_a_list),
        cmocka_unit_test(a_long_issuer_is_named_by_its_begin),
        cmocka_unit_test(of_hundreds_of_groups_the_first_count),
        cmocka_unit_test(a_token_that_names_no_key_is_held_against_a_few_only),
        cmocka_unit_test(any_changed_byte_is_noticed),
        cmocka_unit_test(what_is_no_token_is_refused),
        cmocka_unit_test(a_key_set_without_a_usable_key_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
