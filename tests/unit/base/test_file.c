#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"

static char dir[64], path[128];
static sl_status st;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/sluice-file-XXXXXX");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(path, sizeof path, "%s/file", dir);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", dir);
    return system(command);
}

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void file_is_read_whole_and_terminated(void **state)
{
    (void)state;
    sl_buffer *b;
    write_file("contents");
    assert_int_equal(sl_file_read(path, 8, &b, &st), SL_OK);
    assert_int_equal(b->size, 8);
    assert_string_equal(b->data, "contents");
    sl_buffer_release(b);
    assert_int_equal(sl_file_map(path, &b, &st), SL_OK);
    assert_int_equal(b->size, 8);
    assert_memory_equal(b->data, "contents", 8);
    sl_buffer_release(b);
    write_file("");
    assert_int_equal(sl_file_read(path, 0, &b, &st), SL_OK);
    assert_int_equal(b->size, 0);
    assert_string_equal(b->data, "");
    sl_buffer_release(b);
    assert_int_equal(sl_file_map(path, &b, &st), SL_OK);
    assert_int_equal(b->size, 0);
    sl_buffer_release(b);
}

static void what_is_no_file_or_too_large_is_refused(void **state)
{
    (void)state;
    sl_buffer *b = NULL;
    char wanted[256];
    snprintf(wanted, sizeof wanted, "%s; No such file or directory", path);
    assert_int_equal(sl_file_read(path, 10, &b, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, wanted);
    assert_int_equal(sl_file_read(dir, 10, &b, &st), SL_FAILED_PRECONDITION);
    assert_int_equal(sl_file_map(dir, &b, &st), SL_FAILED_PRECONDITION);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(sl_file_read(path, 10, &b, &st),
                     SL_FAILED_PRECONDITION); /* and does not hang */
    assert_int_equal(remove(path), 0);
    write_file("12345678901");
    assert_int_equal(sl_file_read(path, 10, &b, &st), SL_FAILED_PRECONDITION);
    sl_fault_arm(SL_FAULT_READ, 1);
    assert_int_equal(sl_file_read(path, 11, &b, &st), SL_UNKNOWN);
    for (int nth = 1; nth <= 1; nth++) {
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        assert_int_equal(sl_file_read(path, 11, &b, &st), SL_RESOURCE_EXHAUSTED);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        assert_int_equal(sl_file_map(path, &b, &st), SL_RESOURCE_EXHAUSTED);
    }
    assert_null(b);
}

static void paths_are_joined_with_one_slash(void **state)
{
    (void)state;
    static const char *const cases[][3] = {{"/a", "b", "/a/b"},
                                           {"/a/", "b", "/a/b"},
                                           {"/a//", "/b", "/a/b"},
                                           {"/", "b", "/b"},
                                           {"a", "b/c", "a/b/c"}};
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        char *joined = sl_path_join(cases[i][0], cases[i][1]);
        assert_string_equal(joined, cases[i][2]);
        sl_free(joined);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(file_is_read_whole_and_terminated),
        TEST(what_is_no_file_or_too_large_is_refused),
        TEST(paths_are_joined_with_one_slash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
