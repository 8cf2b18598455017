/* Tokens: made, kept as hashes, found again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/mem.h"
#include "guard/tokens.h"
#include "support/calls.h"
#include "support/faults.h"

#define ABC \
    "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" /* SHA-256 of "abc" */
#define EMPTY "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

static sl_code read_text(const char *text, sl_tokens *t, sl_status *st)
{
    sl_code rc = sl_tokens_read("tokens", sl_str_of(text), t, st);
    return rc ? rc : sl_tokens_sort(t, st);
}

static const sl_token *find(const sl_tokens *t, const char *token)
{
    unsigned char digest[SL_DIGEST_SIZE];
    assert_true(sl_digest(sl_str_of(token), digest));
    return sl_tokens_find(t, digest);
}

static void a_token_is_found_by_its_hash(void **state)
{
    sl_tokens t = {0};
    sl_status st;
    (void)state;
    assert_int_equal(read_text("# comment\n\n ci " ABC "\r\nalice\t" EMPTY
                               " 2027-01-31 # until then\n",
                               &t, &st),
                     SL_OK);
    assert_int_equal(t.count, 2);
    sl_tokens_fini(&t);
    assert_int_equal(read_text("ci " ABC " # for ever\nalice " EMPTY " 2027-01-31 #", &t, &st),
                     SL_OK);
    assert_int_equal(t.count, 2);
    assert_string_equal(find(&t, "abc")->name, "token:ci");
    assert_int_equal(find(&t, "abc")->expires_s, 0);
    assert_string_equal(find(&t, "")->name, "token:alice");
    assert_int_equal(find(&t, "")->expires_s, 1801353600);
    assert_null(find(&t, "abd"));
    sl_tokens_fini(&t);
}

static void a_name_may_have_two_tokens_but_a_token_has_one_name(void **state)
{
    sl_tokens t = {0};
    sl_status st;
    (void)state;
    assert_int_equal(read_text("ci " ABC "\nci " EMPTY "\n", &t, &st), SL_OK);
    assert_string_equal(find(&t, "")->name, "token:ci");
    sl_tokens_fini(&t);
    assert_int_equal(read_text("ci " ABC "\nother " ABC "\n", &t, &st), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(st.msg, "token:ci"));
    assert_non_null(strstr(st.msg, "token:other"));
    sl_tokens_fini(&t);
}

static void a_bad_line_is_named_by_its_number_and_a_secret_is_not_repeated(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"ci\n", "tokens:1:"},
        {"\nci abcd\n", "tokens:2:"},
        {"ci slt_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "not its hash"},
        {"c/i " ABC, "a name is"},
        {"ci " ABC " tomorrow", "2027-01-31T00:00:00Z"},
        {"ci " ABC " 2027-02-30", "2027-01-31T00:00:00Z"},
        {"ci " ABC " 2027-01-31 more", "a line holds"},
        {"ci " ABC "0", "64 hexadecimal"},
        {"ci g" ABC, "64 hexadecimal"},
        {"ci ga7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "64 hexadecimal"},
        {"ci bg7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "64 hexadecimal"},
    };
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(rows); i++) {
        sl_tokens t = {0};
        sl_status st = {0};
        if (read_text(rows[i].text, &t, &st) != SL_INVALID_ARGUMENT)
            fail_msg("row %zu was taken", i);
        if (strstr(st.msg, rows[i].says) == NULL)
            fail_msg("row %zu: %s", i, st.msg);
        assert_null(strstr(st.msg, "slt_AAAA"));
        sl_tokens_fini(&t);
    }
}

static void a_made_token_is_found_through_the_line_that_was_written_for_it(void **state)
{
    char token[SL_TOKEN_SIZE + 1], other[SL_TOKEN_SIZE + 1];
    sl_text line = {0};
    sl_tokens t = {0};
    sl_status st;
    (void)state;
    assert_int_equal(sl_token_make(token, &st), SL_OK);
    assert_int_equal(sl_token_make(other, &st), SL_OK);
    assert_int_equal(strlen(token), SL_TOKEN_SIZE);
    assert_string_not_equal(token, other);
    assert_int_equal(
        strspn(token, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"),
        SL_TOKEN_SIZE);
    char seen[128] = {0};
    for (int i = 0; i < 200; i++) {
        char one[SL_TOKEN_SIZE + 1];
        assert_int_equal(sl_token_make(one, &st), SL_OK);
        for (int k = 4; k < SL_TOKEN_SIZE; k++)
            seen[(int)one[k]] = 1;
    }
    int different = 0;
    for (size_t i = 0; i < sizeof seen; i++)
        different += seen[i];
    assert_int_equal(different, 64); /* all of base64url: nothing of it is fixed */
    sl_token_line("bob", token, 1801353600, &line);
    assert_null(strstr(line.p, token));
    assert_int_equal(read_text(line.p, &t, &st), SL_OK);
    assert_string_equal(find(&t, token)->name, "token:bob");
    assert_int_equal(find(&t, token)->expires_s, 1801353600);
    assert_null(find(&t, other));
    sl_tokens_fini(&t);
    sl_text_fini(&line);
}

static void a_time_is_a_day_or_a_second_that_there_is(void **state)
{
    static const char *const wrong[] = {"",
                                        "2027-01-3",
                                        "2027-01-311",
                                        "x027-01-31",
                                        "2027:01-31",
                                        "2027-0x-31",
                                        "2027-01:31",
                                        "2027-01-3x",
                                        "1969-01-01",
                                        "2027-00-01",
                                        "2027-13-01",
                                        "2027-01-00",
                                        "2027-01-32",
                                        "2027-02-29",
                                        "2027-01-31 00:00:00Z",
                                        "2027-01-31Tx0:00:00Z",
                                        "2027-01-31T00.00:00Z",
                                        "2027-01-31T00:x0:00Z",
                                        "2027-01-31T00:00.00Z",
                                        "2027-01-31T00:00:x0Z",
                                        "2027-01-31T00:00:00z",
                                        "2027-01-31T24:00:00Z",
                                        "2027-01-31T00:60:00Z",
                                        "2027-01-31T00:00:61Z",
                                        "2027-01-/1"};
    int64_t t;
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++)
        if (sl_time_parse(sl_str_of(wrong[i]), &t))
            fail_msg("\"%s\" was taken", wrong[i]);
    assert_true(sl_time_parse(SL_STR("2028-02-29T23:59:59Z"), &t));
    assert_int_equal(t, 1835481599);
}

static void a_name_is_of_few_characters(void **state)
{
    char longest[66];
    memset(longest, 'a', sizeof longest);
    (void)state;
    assert_true(sl_token_name_is_sane(SL_STR("azAZ09._@-")));
    assert_true(sl_token_name_is_sane((sl_str){longest, 64}));
    assert_false(sl_token_name_is_sane((sl_str){longest, 65}));
    assert_false(sl_token_name_is_sane((sl_str){longest, 0}));
    static const sl_str wrong[] = {SL_STR("a\0"), SL_STR("/"), SL_STR(":"),       SL_STR("["),
                                   SL_STR("`"),   SL_STR("{"), SL_STR("\xc3\xa9")};
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++)
        assert_false(sl_token_name_is_sane(wrong[i]));
}

static sl_code read_two(void *arg, sl_status *st)
{
    sl_tokens t = {0};
    (void)arg;
    sl_code rc = read_text("ci " ABC "\nalice " EMPTY "\n", &t, st);
    sl_tokens_fini(&t);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    (void)state;
    assert_in_range(fail_each_allocation(read_two, NULL), 3, 100);
}

static void *digest_in_thread(void *arg)
{
    unsigned char digest[SL_DIGEST_SIZE];
    return sl_digest(SL_STR("abc"), digest) ? arg : NULL;
}

static void a_hash_that_cannot_be_made_is_told(void **state)
{
    static const char *const names[] = {"EVP_DigestInit_ex2", "EVP_DigestUpdate",
                                        "EVP_DigestFinal_ex"};
    unsigned char digest[SL_DIGEST_SIZE];
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        sl_text line = {0};
        fail_call(names[i], 1, 0);
        assert_false(sl_digest(SL_STR("abc"), digest));
        fail_call(names[i], 1, 0);
        sl_token_line("a", "slt_a", 0, &line);
        assert_true(line.failed && line.n == 0);
        sl_text_fini(&line);
    }
    fail_call(NULL, 0, 0);
    assert_true(sl_digest(SL_STR("abc"), digest));
    for (int fails = 1; fails >= 0; fails--) { /* each thread has a context of its own */
        pthread_t t;
        void *done;
        fail_call(fails ? "EVP_MD_CTX_new" : NULL, 1, 0);
        pthread_create(&t, NULL, digest_in_thread, digest);
        pthread_join(t, &done);
        fail_call(NULL, 0, 0);
        assert_int_equal(done == NULL, fails);
    }
}

static void without_random_bytes_there_is_no_token(void **state)
{
    char token[SL_TOKEN_SIZE + 1];
    sl_status st;
    (void)state;
    fail_call("RAND_bytes", 1, 0);
    assert_int_equal(sl_token_make(token, &st), SL_UNAVAILABLE);
    fail_call(NULL, 0, 0);
    assert_string_equal(st.msg, "the system gives no random bytes");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_found_by_its_hash),
        cmocka_unit_test(a_name_may_have_two_tokens_but_a_token_has_one_name),
        cmocka_unit_test(a_bad_line_is_named_by_its_number_and_a_secret_is_not_repeated),
        cmocka_unit_test(a_time_is_a_day_or_a_second_that_there_is),
        cmocka_unit_test(a_name_is_of_few_characters),
        cmocka_unit_test(without_memory_it_says_so),
        cmocka_unit_test(a_hash_that_cannot_be_made_is_told),
        cmocka_unit_test(without_random_bytes_there_is_no_token),
        cmocka_unit_test(a_made_token_is_found_through_the_line_that_was_written_for_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
