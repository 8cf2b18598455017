#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/chain.h"
#include "base/fault.h"

/* Everything in the chain, as the vectors give it and as copy gives it. */
static void expect(const sl_chain *c, const char *text)
{
    char copied[4096], gathered[4096];
    struct iovec v[64];
    size_t n = strlen(text), at = 0;
    assert_int_equal(c->size, n);
    sl_chain_copy(c, copied);
    assert_memory_equal(copied, text, n);
    int vectors = sl_chain_vectors(c, v, 64);
    for (int i = 0; i < vectors; i++) {
        assert_true(v[i].iov_len > 0);
        memcpy(gathered + at, v[i].iov_base, v[i].iov_len);
        at += v[i].iov_len;
    }
    assert_int_equal(at, n);
    assert_memory_equal(gathered, text, n);
}

static sl_buffer *buffer_of(const char *text)
{
    sl_buffer *b = sl_buffer_try_new(strlen(text));
    memcpy(b->data, text, strlen(text));
    return b;
}

static void copied_and_lent_bytes_keep_their_order(void **state)
{
    (void)state;
    sl_chain c = {0};
    sl_buffer *b = buffer_of("lent bytes");
    expect(&c, "");
    sl_chain_puts(&c, "one ");
    sl_chain_lend(&c, b, (char *)b->data + 5, 5);
    sl_chain_lend(&c, b, b->data, 0); /* nothing */
    sl_chain_printf(&c, " %d", 3);
    sl_chain_add(&c, NULL, 0);
    sl_chain_lend(&c, b, b->data, 4);
    sl_buffer_release(b); /* the chain has references of its own */
    expect(&c, "one bytes 3lent");
    sl_chain_reset(&c);
    assert_null(c.head);
    sl_chain_puts(&c, "again");
    expect(&c, "again");
    sl_chain_reset(&c);
}

static void consuming_stops_anywhere(void **state)
{
    (void)state;
    static const char text[] = "0123456789abcdefghij";
    for (size_t step = 1; step <= 20; step++) {
        sl_chain c = {0};
        sl_buffer *b = buffer_of("abcdefghij");
        sl_chain_puts(&c, "0123456789");
        sl_chain_lend(&c, b, b->data, 10);
        sl_buffer_release(b);
        for (size_t at = 0; at < 20;) {
            size_t n = step < 20 - at ? step : 20 - at;
            sl_chain_consume(&c, n);
            at += n;
            expect(&c, text + at);
        }
        assert_null(c.head);
        assert_null(c.tail);
        sl_chain_puts(&c, "x"); /* usable when all is gone */
        expect(&c, "x");
        sl_chain_reset(&c);
    }
}

static void what_was_reserved_but_not_used_does_not_count(void **state)
{
    (void)state;
    sl_chain c = {0};
    sl_chain_puts(&c, "a");
    char *p = sl_chain_reserve(&c, 100000);
    assert_non_null(p);
    assert_true(sl_chain_room(&c) >= 100000);
    memset(p, 'z', 100000);
    sl_chain_commit(&c, 2);
    assert_non_null(sl_chain_reserve(&c, 300000)); /* another piece, left empty */
    sl_buffer *b = buffer_of("!");
    sl_chain_lend(&c, b, b->data, 1);
    assert_int_equal(sl_chain_room(&c), 0);
    sl_buffer_release(b);
    expect(&c, "azz!");
    sl_chain_consume(&c, 3);
    expect(&c, "!");
    sl_chain_reset(&c);
}

static void chains_are_joined_without_copying(void **state)
{
    (void)state;
    sl_chain a = {0}, b = {0}, empty = {0};
    sl_chain_puts(&b, "right");
    const char *where = b.head->data;
    sl_chain_join(&a, &b);
    assert_ptr_equal(a.head->data, where);
    assert_int_equal(b.size, 0);
    sl_chain_puts(&b, " and more");
    sl_chain_join(&a, &b);
    sl_chain_join(&a, &empty);
    sl_chain_puts(&a, "!");
    expect(&a, "right and more!");
    empty.failed = true;
    sl_chain_join(&a, &empty);
    assert_true(a.failed);
    sl_chain_reset(&a);
    assert_false(a.failed);
}

static void failure_is_remembered(void **state)
{
    (void)state;
    sl_chain c = {0};
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    sl_chain_puts(&c, "lost");
    assert_true(c.failed);
    sl_chain_puts(&c, "lost, too");
    sl_chain_printf(&c, "%d", 1);
    assert_null(sl_chain_reserve(&c, 1));
    expect(&c, "");
    sl_chain_reset(&c);
    assert_null(sl_chain_reserve(&c, SIZE_MAX - 8));
    assert_true(c.failed);
    sl_chain_reset(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copied_and_lent_bytes_keep_their_order),
        cmocka_unit_test(consuming_stops_anywhere),
        cmocka_unit_test(what_was_reserved_but_not_used_does_not_count),
        cmocka_unit_test(chains_are_joined_without_copying),
        cmocka_unit_test(failure_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
