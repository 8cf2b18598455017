#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/mem.h"
#include "base/str.h"
#include "model/version_dir.h"

static sl_status st;

static void whole_name_must_be_a_decimal_number(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        int64_t number;
    } good[] = {{"1", 1},
                {"007", 7},
                {"-3", -3},
                {"+4", 4},
                {"0", 0},
                {"-0", 0},
                {" 12 ", 12},
                {"\t5\n", 5},
                {"-05", -5},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    static const char *const bad[] = {
        "",    " ",   "v1", "1.0", "0x1", "1a", "--1", "+-1",
        "-+1", "++1", "+",  "-",   "1 2", ".",  "..",  "9223372036854775808",
        "1e3"};
    int64_t n;
    for (size_t i = 0; i < SL_COUNTOF(good); i++) {
        assert_true(sl_version_dir_parse(sl_str_of(good[i].name), &n));
        assert_int_equal(n, good[i].number);
    }
    for (size_t i = 0; i < SL_COUNTOF(bad); i++)
        assert_false(sl_version_dir_parse(sl_str_of(bad[i]), &n));
}

static void uri_of_a_local_file_is_its_path(void **state)
{
    (void)state;
    static const char *const cases[][2] = {{"/models/m", "/models/m"},
                                           {"file:///models/m", "/models/m"},
                                           {"file://host/models/m", "/models/m"}};
    char *path;
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        assert_int_equal(sl_version_dir_local(cases[i][0], &path, &st), SL_OK);
        assert_string_equal(path, cases[i][1]);
        sl_free(path);
    }
    assert_int_equal(sl_version_dir_local("s3://bucket/m", &path, &st), SL_UNIMPLEMENTED);
    assert_string_equal(st.msg, "File system scheme 's3' not implemented (file: 's3://bucket/m')");
}

static void versions_are_listed_by_number(void **state)
{
    char *dir = *state, path[128];
    static const char *const names[] = {"10", "9", "01", "1", "tmp", ".2", "-1", "7"};
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (i % 2)
            assert_int_equal(mkdir(path, 0777), 0);
        else
            fclose(fopen(path, "w")); /* a plain file counts as well */
    }
    sl_version_dirs d;
    assert_int_equal(sl_version_dirs_read(dir, &d, &st), SL_OK);
    static const char *const order[] = {"-1", "01", "1", "7", "9", "10"};
    assert_int_equal(d.count, 6);
    for (int i = 0; i < 6; i++)
        assert_string_equal(d.list[i].name, order[i]);
    sl_version_dirs_fini(&d);
}

static void missing_directory_is_an_error(void **state)
{
    char path[128], wanted[256];
    sl_version_dirs d;
    snprintf(path, sizeof path, "%s/none", (char *)*state);
    assert_int_equal(sl_version_dirs_read(path, &d, &st), SL_NOT_FOUND);
    snprintf(wanted, sizeof wanted, "%s; No such file or directory", path);
    assert_string_equal(st.msg, wanted);
}

static int make_dir(void **state)
{
    *state = strdup("/tmp/sluice-dirs-XXXXXX");
    return mkdtemp(*state) == NULL;
}

static int remove_dir(void **state)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", (char *)*state);
    free(*state);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_name_must_be_a_decimal_number),
        cmocka_unit_test(uri_of_a_local_file_is_its_path),
        cmocka_unit_test_setup_teardown(versions_are_listed_by_number, make_dir, remove_dir),
        cmocka_unit_test_setup_teardown(missing_directory_is_an_error, make_dir, remove_dir),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
