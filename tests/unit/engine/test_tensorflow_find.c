/* Where the TensorFlow library is looked for: in directories that this test makes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/tensorflow/tensorflow.h"

static char root[64], path[PATH_MAX], version[32];
static sl_status st;

static const char *in_root(const char *name)
{
    static char text[4][PATH_MAX];
    static int next;
    char *out = text[next++ % 4];
    snprintf(out, PATH_MAX, "%s/%s", root, name);
    return out;
}

/* Makes a file and all directories above it. */
static void make(const char *name, const char *contents, mode_t mode)
{
    char file[PATH_MAX];
    snprintf(file, sizeof file, "%s/%s", root, name);
    for (char *slash = file + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(file, 0755);
        *slash = '/';
    }
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(contents, f);
    fclose(f);
    chmod(file, mode);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(root, "/tmp/sluice-find-XXXXXX");
    assert_non_null(mkdtemp(root));
    unsetenv("LD_LIBRARY_PATH");
    unsetenv("VIRTUAL_ENV");
    unsetenv("SLUICE_TENSORFLOW_LIBRARY");
    unsetenv("SLUICE_TENSORFLOW_PYTHON");
    setenv("HOME", root, 1);
    setenv("PATH", "/nowhere", 1);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];
    (void)state;
    setenv("PATH", "/usr/bin:/bin", 1);
    snprintf(command, sizeof command, "rm -r %s", root);
    return system(command);
}

static sl_code find(const sl_tensorflow_options *o)
{
    st = (sl_status){0};
    return sl_tensorflow_find(o, path, sizeof path, version, sizeof version, NULL, &st);
}

static void make_package(const char *prefix)
{
    char name[256];
    snprintf(name, sizeof name, "%s/lib/python3.11/site-packages/tensorflow/libtensorflow_cc.so.2",
             prefix);
    make(name, "", 0644);
    snprintf(name, sizeof name,
             "%s/lib/python3.11/site-packages/tensorflow-2.21.0.dist-info/METADATA", prefix);
    make(name, "", 0644);
    snprintf(name, sizeof name,
             "%s/lib/python3.11/site-packages/tensorflow_metadata-1.2.3.dist-info/METADATA",
             prefix);
    make(name, "", 0644);
}

static void a_named_file_or_directory_is_taken(void **state)
{
    (void)state;
    make("x/libtensorflow.so.2.15.0", "", 0644);
    assert_int_equal(symlink("libtensorflow.so.2.15.0", in_root("x/libtensorflow.so.2")), 0);
    const char *const named[] = {"x", "x/libtensorflow.so.2"};
    for (int i = 0; i < 2; i++) {
        sl_tensorflow_options o = {.library = in_root(named[i])};
        assert_int_equal(find(&o), SL_OK);
        assert_string_equal(path, in_root("x/libtensorflow.so.2"));
        assert_string_equal(version, "2.15.0");
    }
}

static void a_named_library_that_is_not_there_ends_the_search(void **state)
{
    (void)state;
    make_package("env");
    setenv("VIRTUAL_ENV", in_root("env"), 1);
    sl_tensorflow_options o = {.library = "/nowhere/lib.so"};
    assert_int_equal(find(&o), SL_FAILED_PRECONDITION);
    assert_string_equal(
        st.msg, "no TensorFlow library at \"/nowhere/lib.so\", which --tensorflow_library names");
}

static void a_python_is_looked_at_as_a_file(void **state)
{
    (void)state;
    make_package("env");
    make("env/bin/python3", "#!/bin/sh\nexit 1\n", 0755);
    sl_tensorflow_options o = {.python = in_root("env/bin/python3")};
    assert_int_equal(find(&o), SL_OK);
    assert_string_equal(
        path, in_root("env/lib/python3.11/site-packages/tensorflow/libtensorflow_cc.so.2"));
    assert_string_equal(version, "2.21.0");
}

static void a_shim_is_asked(void **state)
{
    (void)state;
    char script[PATH_MAX + 64];
    make_package("real");
    snprintf(script, sizeof script, "#!/bin/sh\necho '%s'\n",
             in_root("real/lib/python3.11/site-packages/tensorflow"));
    make("shims/python3", script, 0755);
    setenv("PATH", in_root("shims"), 1);
    assert_int_equal(find(&(sl_tensorflow_options){0}), SL_OK);
    assert_string_equal(version, "2.21.0");
}

static void the_environment_names_places(void **state)
{
    (void)state;
    make("lib/libtensorflow_cc.so.2", "", 0644);
    make_package("env");
    setenv("VIRTUAL_ENV", in_root("env"), 1);
    assert_int_equal(find(&(sl_tensorflow_options){0}), SL_OK);
    assert_non_null(strstr(path, "/env/lib/"));
    char list[PATH_MAX + 32];
    snprintf(list, sizeof list, "/nowhere::%s", in_root("lib"));
    setenv("LD_LIBRARY_PATH", list, 1);
    assert_int_equal(find(&(sl_tensorflow_options){0}), SL_OK);
    assert_string_equal(path, in_root("lib/libtensorflow_cc.so.2"));
    setenv("SLUICE_TENSORFLOW_LIBRARY", in_root("env/lib/python3.11/site-packages/tensorflow"), 1);
    assert_int_equal(find(&(sl_tensorflow_options){0}), SL_OK);
    assert_string_equal(version, "2.21.0");
}

static void count(void *arg, const char *node, const char *op, const char *reason)
{
    assert_non_null(node);
    assert_null(op);
    assert_non_null(reason);
    ++*(int *)arg;
}

static void without_a_library_all_places_are_listed(void **state)
{
    (void)state;
    int n = 0;
    sl_report report = {.add = count, .arg = &n};
    setenv("LD_LIBRARY_PATH", in_root("lib"), 1);
    sl_tensorflow_options o = {0};
    assert_int_equal(
        sl_tensorflow_find(&o, path, sizeof path, version, sizeof version, &report, &st),
        SL_FAILED_PRECONDITION);
    assert_true(n >= 3);
    assert_non_null(strstr(st.msg, "pip install tensorflow"));
    assert_non_null(strstr(st.msg, in_root("lib")));
    assert_non_null(strstr(st.msg, "/usr/local/lib ("));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_named_file_or_directory_is_taken),
        TEST(a_named_library_that_is_not_there_ends_the_search),
        TEST(a_python_is_looked_at_as_a_file),
        TEST(a_shim_is_asked),
        TEST(the_environment_names_places),
        TEST(without_a_library_all_places_are_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
