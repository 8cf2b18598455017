/* Files whose bytes stay as they were when they were taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <fcntl.h>
#include <pthread.h>

#include <cmocka.h>

#include "base/hold.h"
#include "base/mem.h"

enum { SIZE = 1 << 20 };

static char path[64];
static sl_status st;

static void fill(char c, size_t n)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (size_t i = 0; i < n; i++)
        fputc(c, f);
    fclose(f);
}

static bool holds(const sl_buffer *b, char c)
{
    for (size_t i = 0; i < b->size; i++)
        if (((const char *)b->data)[i] != c)
            return false;
    return true;
}

static void *overwrite(void *arg)
{
    (void)arg;
    fill('b', SIZE / 2); /* truncates first */
    return NULL;
}

/* Where no lease is granted (another's file, some file systems) nothing is mapped: also right. */
static void mapped_file_stays_as_it_was_when_it_is_overwritten(void **state)
{
    (void)state;
    sl_held_file f;
    pthread_t writer;
    fill('a', SIZE);
    assert_int_equal(sl_file_hold(path, &f, &st), SL_OK);
    assert_int_equal(f.size, SIZE);
    if (f.mapped != NULL) {
        sl_buffer *b = sl_buffer_acquire(f.mapped);
        assert_true(holds(b, 'a'));
        pthread_create(&writer, NULL, overwrite, NULL);
        pthread_join(writer, NULL); /* it was let go on */
        assert_true(holds(b, 'a'));
        sl_buffer_release(b);
    }
    sl_file_let_go(&f);
}

static void deleted_file_stays_readable(void **state)
{
    (void)state;
    sl_held_file f;
    fill('a', SIZE);
    assert_int_equal(sl_file_hold(path, &f, &st), SL_OK);
    assert_int_equal(unlink(path), 0);
    if (f.mapped != NULL)
        assert_true(holds(f.mapped, 'a'));
    sl_file_let_go(&f);
}

static void file_that_somebody_writes_to_is_not_mapped(void **state)
{
    (void)state;
    sl_held_file f;
    char bytes[16];
    fill('a', SIZE);
    int writer = open(path, O_WRONLY);
    assert_int_equal(sl_file_hold(path, &f, &st), SL_OK);
    assert_null(f.mapped);
    assert_int_equal(sl_held_read(&f, path, 100, bytes, sizeof bytes, &st), SL_OK);
    assert_memory_equal(bytes, "aaaaaaaaaaaaaaaa", 16);
    assert_int_equal(ftruncate(writer, 50), 0);
    assert_int_equal(sl_held_read(&f, path, 100, bytes, sizeof bytes, &st), SL_DATA_LOSS);
    sl_file_let_go(&f);
    close(writer);
}

static void what_is_no_file_is_refused(void **state)
{
    (void)state;
    sl_held_file f;
    assert_int_equal(sl_file_hold("/tmp", &f, &st), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_file_hold("/nowhere/at/all", &f, &st), SL_NOT_FOUND);
}

static void weights_are_memory_of_any_size(void **state)
{
    (void)state;
    for (size_t n = 1; n < 64u << 20; n *= 7) {
        sl_buffer *b = sl_buffer_try_new_weights(n);
        assert_non_null(b);
        assert_int_equal(b->size, n);
        assert_int_equal((uintptr_t)b->data % 64, 0);
        memset(b->data, 1, n);
        sl_buffer_release(b);
    }
}

static int make_path(void **state)
{
    (void)state;
    strcpy(path, "/tmp/sluice-hold-XXXXXX");
    int fd = mkstemp(path);
    close(fd);
    return fd < 0;
}

static int remove_path(void **state)
{
    (void)state;
    unlink(path);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mapped_file_stays_as_it_was_when_it_is_overwritten),
        cmocka_unit_test(file_that_somebody_writes_to_is_not_mapped),
        cmocka_unit_test(deleted_file_stays_readable),
        cmocka_unit_test(what_is_no_file_is_refused),
        cmocka_unit_test(weights_are_memory_of_any_size),
    };
    return cmocka_run_group_tests(tests, make_path, remove_path);
}
