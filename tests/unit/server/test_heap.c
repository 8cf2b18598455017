/* heap.h: when memory is given back, and, where the C library's allocator is used, that it is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "server/heap.h"

enum { MB = 1 << 20, MS = 1000000 };

static void memory_is_given_back_when_the_crowd_has_gone(void **state)
{
    (void)state;
    assert_true(sl_heap_is_due(200u * MB, 0, 5000u * MS));
    assert_false(sl_heap_is_due(200u * MB, 2, 5000u * MS)); /* it has not gone */
    assert_false(sl_heap_is_due(200u * MB, 0, 0));         /* nobody has come since the last time */
    assert_false(sl_heap_is_due(31u * MB, 0, 5000u * MS)); /* not worth it */
}

/* A sanitizer's allocator keeps what is freed. */
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

static size_t resident(void)
{
    size_t whole, pages;
    FILE *f = fopen("/proc/self/statm", "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%zu %zu", &whole, &pages), 2);
    fclose(f);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void work_for_ms(long ms)
{
    struct timespec t;
    do
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    while (t.tv_sec * 1000 + t.tv_nsec / MS < ms);
}

/* In pieces that belong to the heap, below one that is kept: the C library itself gives back only
 * what lies at the heap's end. */
static void a_large_heap_that_is_free_is_given_back(void **state)
{
    (void)state;
    enum { PIECES = 2048, SIZE = 64 << 10 };
    static void *pieces[PIECES];
    sl_heap heap = {0};
    for (int i = 0; i < PIECES; i++) {
        pieces[i] = malloc(SIZE);
        assert_non_null(pieces[i]);
        memset(pieces[i], 1, SIZE);
    }
    size_t full = resident();
    for (int i = 0; i < PIECES - 1; i++)
        free(pieces[i]);
    assert_true(resident() > full - 16 * MB);
    sl_thread_be_prompt(); /* this thread has answered, and has nothing to do now */
    work_for_ms(100);
    sl_heap_tend(&heap);
    sl_thread_end_prompt();
    assert_true(resident() < full - 100 * MB);
    free(pieces[PIECES - 1]);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_given_back_when_the_crowd_has_gone),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
        cmocka_unit_test(a_large_heap_that_is_free_is_given_back),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
