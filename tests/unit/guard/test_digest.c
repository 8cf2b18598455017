/* A system without SHA-256, or without memory for it (looked up once in a program, so this is one). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

#include "base/counts.h"
#include "guard/tokens.h"
#include "support/calls.h"

static bool no_room;

/* In the place of libc's, whose other name is called: a sanitizer does before it is ready for
 * dlsym(3), and for its own checks. */
__attribute__((no_sanitize("address", "thread"))) int pthread_setspecific(pthread_key_t key,
                                                                          const void *p)
{
    return no_room ? ENOMEM : tss_set(key, (void *)(uintptr_t)p) == thrd_success ? 0 : EINVAL;
}

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

/* There may be 1024 in a process. */
static void without_a_key_for_each_threads_own_no_token_is_found(void **state)
{
    unsigned char digest[SL_DIGEST_SIZE];
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        pthread_key_t key;
        while (pthread_key_create(&key, NULL) == 0)
            continue;
        bool made = sl_digest(SL_STR("abc"), digest);
        sl_counts_write();
        _exit(made);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void without_room_for_a_threads_own_no_token_is_found(void **state)
{
    unsigned char digest[SL_DIGEST_SIZE];
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        EVP_MD_free(EVP_MD_fetch(NULL, "SHA256", NULL)); /* the library has what it needs */
        no_room = true;
        bool made = sl_digest(SL_STR("abc"), digest);
        no_room = false;
        bool made_then = sl_digest(SL_STR("abc"), digest);
        sl_counts_write();
        _exit(made ? 1 : !made_then);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_key_for_each_threads_own_no_token_is_found),
        cmocka_unit_test(without_room_for_a_threads_own_no_token_is_found),
        cmocka_unit_test(without_sha256_no_token_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
