/* test_jwks.c - which key sets may be fetched from where, and when */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proto/auth_config.pb-c.h"
#include "server/jwks.h"

#define S ((uint64_t)1000000000u)

static sl_status st;

static sl_code check(const char *url, bool plain, int refresh)
{
    Sluice__JwtIssuer issuer = SLUICE__JWT_ISSUER__INIT, *list[] = {&issuer};
    Sluice__AuthConfig c = SLUICE__AUTH_CONFIG__INIT;
    issuer.name = (char *)"corp";
    issuer.jwks_url = (char *)(uintptr_t)url;
    issuer.jwks_plain_http = plain;
    issuer.jwks_refresh_seconds = refresh;
    c.jwt = list;
    c.n_jwt = 1;
    return sl_jwks_check(&c, "/bin/true", &st);
}

static void plain_http_is_for_this_machine_unless_somebody_says_otherwise(void **state)
{
    (void)state;
    assert_int_equal(check("https://corp/keys", false, 0), SL_OK);
    assert_int_equal(check("http://127.0.0.1:8080/keys", false, 0), SL_OK);
    assert_int_equal(check("http://corp/keys", false, 0), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "jwt \"corp\": jwks_url: plain http"));
    assert_int_equal(check("http://corp/keys", true, 0), SL_OK);
    assert_int_equal(check("corp/keys", true, 0), SL_INVALID_ARGUMENT);
    assert_int_equal(check("", false, 0), SL_OK);
}

static void the_period_has_bounds(void **state)
{
    (void)state;
    assert_int_equal(check("https://corp/keys", false, 86400), SL_OK);
    assert_int_equal(check("https://corp/keys", false, 86401), SL_INVALID_ARGUMENT);
    assert_int_equal(check("https://corp/keys", false, -1), SL_INVALID_ARGUMENT);
}

static void an_answer_may_ask_for_a_minute_to_an_hour(void **state)
{
    (void)state;
    assert_true(sl_jwks_wait_ns(600, false, 0) == 600 * S);
    assert_true(sl_jwks_wait_ns(600, true, 0) == 60 * S);
    assert_true(sl_jwks_wait_ns(600, true, 300) == 300 * S);
    assert_true(sl_jwks_wait_ns(600, true, UINT64_MAX) == 3600 * S);
    /* A period outside of these bounds is itself the bound. */
    assert_true(sl_jwks_wait_ns(10, true, 0) == 10 * S);
    assert_true(sl_jwks_wait_ns(7200, true, UINT64_MAX) == 7200 * S);
}

static void after_a_failure_it_is_tried_again_ever_later(void **state)
{
    (void)state;
    static const unsigned seconds[] = {1, 2, 4, 8, 16, 32, 60, 60};
    for (unsigned i = 0; i < 8; i++)
        assert_true(sl_jwks_retry_ns(i + 1) == seconds[i] * S);
    assert_true(sl_jwks_retry_ns(UINT32_MAX) == 60 * S);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_http_is_for_this_machine_unless_somebody_says_otherwise),
        cmocka_unit_test(the_period_has_bounds),
        cmocka_unit_test(an_answer_may_ask_for_a_minute_to_an_hour),
        cmocka_unit_test(after_a_failure_it_is_tried_again_ever_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
