/* discard.h: what is laid aside is given back, and what cannot be laid aside is freed at once */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/discard.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"

enum { MB = 1 << 20 };

static void *block(size_t size)
{
    void *p = sl_malloc(size);
    memset(p, 'x', size);
    return p;
}

/* Leaks, and blocks that are freed twice, are for AddressSanitizer to find. */
static void discard_many(void)
{
    sl_discard(NULL, 0);
    sl_discard(NULL, 100 * (size_t)MB);
    for (int i = 0; i < 10; i++) {
        sl_discard(block(100), 100);
        sl_discard(block(4 * MB - 1), 4 * MB - 1);
        sl_discard(block(4 * MB), 4 * MB);
        sl_discard(block(5 * MB + 77), 5 * MB + 77);
        sl_discard(block(30 * MB), 30 * MB); /* more than may lie there, in the end */
    }
}

static void without_its_thread_it_frees(void **state)
{
    (void)state;
    discard_many();
    sl_thread_be_prompt();
    discard_many();
    sl_discard_end();
    sl_fault_arm(SL_FAULT_THREAD, 1);
    assert_int_equal(sl_discard_start(NULL), SL_RESOURCE_EXHAUSTED);
    discard_many();
    sl_discard_end();
    sl_thread_end_prompt();
}

static void who_answers_lays_aside_and_others_free(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(sl_discard_start(NULL), SL_OK);
        discard_many();
        sl_thread_be_prompt();
        assert_true(sl_thread_is_prompt());
        discard_many();
        if (i > 0)
            usleep(1000); /* with some still there, or with none */
        sl_discard_end();
        discard_many();
        sl_thread_end_prompt();
        assert_false(sl_thread_is_prompt());
    }
}

static size_t resident(void)
{
    char text[100];
    FILE *f = fopen("/proc/self/statm", "r");
    unsigned long all = 0, here = 0;
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof text, f));
    fclose(f);
    assert_int_equal(sscanf(text, "%lu %lu", &all, &here), 2);
    return here * (size_t)sysconf(_SC_PAGESIZE);
}

/* Before anything else is freed. */
static void the_memory_goes_back_to_the_system(void **state)
{
    (void)state;
    assert_int_equal(sl_discard_start(NULL), SL_OK);
    void *p = block(200 * (size_t)MB);
    size_t before = resident();
    sl_thread_be_prompt();
    sl_discard(p, 200 * (size_t)MB);
    for (int i = 0; i < 2000 && resident() + 190 * (size_t)MB > before; i++)
        usleep(10000);
    assert_true(resident() + 190 * (size_t)MB < before);
    sl_thread_end_prompt();
    sl_discard_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_its_thread_it_frees),
        cmocka_unit_test(who_answers_lays_aside_and_others_free),
        cmocka_unit_test(the_memory_goes_back_to_the_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
