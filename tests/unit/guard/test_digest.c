/* A library that has no SHA-256 (looked up once in a program, so this is one). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "guard/tokens.h"
#include "support/calls.h"

static void without_sha256_no_token_is_found(void **state)
{
    unsigned char digest[SL_DIGEST_SIZE];
    (void)state;
    fail_call("EVP_MD_fetch", 1, 0);
    assert_false(sl_digest(SL_STR("abc"), digest));
    assert_int_equal(calls_counted(), 1);
    fail_call(NULL, 0, 0);
    assert_false(sl_digest(SL_STR("abc"), digest));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(without_sha256_no_token_is_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
