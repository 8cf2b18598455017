/* test_config_dir.c - lists of models from a directory: of configuration files, of models */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "server/config_dir.h"
#include "support/calls.h"
#include "support/faults.h"

typedef struct fixture {
    char dir[64];
    sl_model_list list;
    sl_status st;
} fixture;

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    snprintf(f->dir, sizeof f->dir, "/tmp/sluice-dir-XXXXXX");
    *state = f;
    return mkdtemp(f->dir) == NULL;
}

static int teardown(void **state)
{
    fixture *f = *state;
    char command[100];
    sl_model_list_fini(&f->list);
    snprintf(command, sizeof command, "rm -rf %s", f->dir);
    int rc = system(command);
    free(f);
    return rc;
}

static void put(fixture *f, const char *name, const char *text)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static void make(fixture *f, const char *name)
{
    char path[200];
    snprintf(path, sizeof path, "%s/%s", f->dir, name);
    assert_int_equal(mkdir(path, 0755), 0);
}

static sl_code read_files(fixture *f)
{
    char uri[100];
    snprintf(uri, sizeof uri, "file://%s", f->dir);
    sl_model_source s = {.config = uri, .models = ""};
    sl_model_list_fini(&f->list);
    f->st = (sl_status){0};
    return sl_model_list_from(&s, NULL, &f->list, &f->st);
}

static sl_code scan(fixture *f, const sl_model_list *now, sl_model_list *out)
{
    sl_model_source s = {.config = "", .models = f->dir};
    f->st = (sl_status){0};
    return sl_model_list_from(&s, now, out, &f->st);
}

#define MODEL(name)                                                    \
    "model_config_list { config { name: '" name "' base_path: '/" name \
    "' model_platform: 'tensorflow' } }"

static void files_are_read_in_the_order_of_their_names(void **state)
{
    fixture *f = *state;
    put(f, "b.conf", MODEL("one"));
    put(f, "a.pbtxt", MODEL("two"));
    put(f, "c.textproto", "");
    put(f, "d.config", "model_config_list {}");
    put(f, ".hidden.pbtxt", MODEL("three"));
    put(f, "readme", MODEL("four"));
    put(f, ".conf", MODEL("five"));
    assert_int_equal(read_files(f), SL_OK);
    assert_int_equal(f->list.count, 2);
    assert_string_equal(f->list.models[0].name, "two");
    assert_string_equal(f->list.models[1].name, "one");
}

static void without_a_list_there_is_nothing_to_do(void **state)
{
    fixture *f = *state;
    assert_int_equal(read_files(f), SL_OK);
    assert_int_equal(f->list.count, 0);
    assert_true(f->list.empty);
    put(f, "x", "");
    put(f, "a.pbtxt", "# nothing");
    assert_int_equal(read_files(f), SL_OK);
    assert_true(f->list.empty);
    put(f, "a.pbtxt", "model_config_list {}");
    assert_int_equal(read_files(f), SL_OK);
    assert_false(f->list.empty);
}

static void a_mistake_names_its_file(void **state)
{
    fixture *f = *state;
    put(f, "a.pbtxt", MODEL("one"));
    put(f, "b.pbtxt", MODEL("one"));
    assert_int_equal(read_files(f), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "Illegal to list model one multiple times in config list: it is "
                                   "in a.pbtxt and in b.pbtxt");
    put(f, "b.pbtxt", "model_config_list {");
    assert_int_equal(read_files(f), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "b.pbtxt"));
    put(f, "b.pbtxt", "custom_model_config {}");
    assert_int_equal(read_files(f), SL_UNIMPLEMENTED);
    assert_non_null(strstr(f->st.msg, "b.pbtxt: ModelServer does not yet support"));
    sl_model_source s = {.config = "/nonexistent", .models = ""};
    assert_int_equal(sl_model_list_from(&s, NULL, &f->list, &f->st), SL_NOT_FOUND);
}

static void a_directory_that_holds_a_version_is_a_model(void **state)
{
    fixture *f = *state;
    make(f, "b");
    make(f, "b/1");
    make(f, "a");
    make(f, "a/2");
    make(f, "empty");
    make(f, ".x");
    make(f, ".x/1");
    put(f, "file", "");
    char link[200];
    snprintf(link, sizeof link, "%s/gone", f->dir);
    assert_int_equal(symlink("/nonexistent/there", link), 0);
    assert_int_equal(scan(f, NULL, &f->list), SL_OK);
    assert_int_equal(f->list.count, 2);
    assert_string_equal(f->list.models[0].name, "a");
    assert_string_equal(f->list.models[1].name, "b");
    /* It stays one while it holds nothing, as long as it is there. */
    char command[300];
    snprintf(command, sizeof command, "rmdir %s/a/2 %s/b/1 %s/b", f->dir, f->dir, f->dir);
    assert_int_equal(system(command), 0);
    sl_model_list next;
    assert_int_equal(scan(f, &f->list, &next), SL_OK);
    assert_int_equal(next.count, 1);
    assert_string_equal(next.models[0].name, "a");
    sl_model_list_fini(&next);
    assert_int_equal(scan(f, NULL, &next), SL_OK);
    assert_true(next.empty);
    sl_model_list_fini(&next);
}

static void a_directory_of_models_is_absolute_and_there(void **state)
{
    fixture *f = *state;
    sl_model_source s = {.config = "", .models = "relative"};
    assert_int_equal(sl_model_list_from(&s, NULL, &f->list, &f->st), SL_INVALID_ARGUMENT);
    assert_string_equal(f->st.msg, "models_dir must be an absolute path; got relative");
    s.models = "/nonexistent";
    assert_int_equal(sl_model_list_from(&s, NULL, &f->list, &f->st), SL_NOT_FOUND);
    assert_non_null(strstr(f->st.msg, "/nonexistent"));
}

static void half_a_listing_is_an_error(void **state)
{
    fixture *f = *state;
    put(f, "a.pbtxt", MODEL("one"));
    fail_call("readdir", 3, EIO);
    assert_int_not_equal(read_files(f), SL_OK);
    fail_call(NULL, 0, 0);
    assert_non_null(strstr(f->st.msg, "Input/output error"));
}

static void a_model_that_cannot_be_looked_into_is_none_unless_it_is_served(void **state)
{
    fixture *f = *state;
    sl_model_list next;
    make(f, "m");
    make(f, "m/1");
    fail_call("opendir", 2, EACCES);
    assert_int_equal(scan(f, NULL, &next), SL_OK);
    fail_call(NULL, 0, 0);
    assert_int_equal(next.count, 0);
    sl_model_list_fini(&next);
    assert_int_equal(scan(f, NULL, &f->list), SL_OK);
    assert_int_equal(f->list.count, 1);
    fail_call("stat", 1, EACCES);
    assert_int_equal(scan(f, &f->list, &next), SL_OK);
    fail_call(NULL, 0, 0);
    assert_int_equal(next.count, 1);
    sl_model_list_fini(&next);
}

static void what_there_can_be_only_one_of_is_given_once(void **state)
{
    fixture *f = *state;
    put(f, "a.pbtxt", "custom_model_config {} " MODEL("one"));
    assert_int_equal(read_files(f), SL_INVALID_ARGUMENT);
    assert_non_null(strstr(f->st.msg, "excludes \"custom_model_config\""));
}

static sl_code read_files_once(void *arg, sl_status *st)
{
    sl_model_source s = {.config = arg, .models = ""};
    sl_model_list l;
    sl_code rc = sl_model_list_from(&s, NULL, &l, st);
    if (rc == SL_OK)
        sl_model_list_fini(&l);
    return rc;
}

static sl_code scan_once(void *arg, sl_status *st)
{
    sl_model_source s = {.config = "", .models = arg};
    sl_model_list l;
    sl_code rc = sl_model_list_from(&s, NULL, &l, st);
    if (rc == SL_OK)
        sl_model_list_fini(&l);
    return rc;
}

static void without_memory_it_says_so(void **state)
{
    fixture *f = *state;
    put(f, "a.pbtxt", MODEL("one"));
    put(f, "b.pbtxt", MODEL("two"));
    assert_in_range(fail_each_allocation(read_files_once, f->dir), 10, 200);
    make(f, "m");
    make(f, "m/1");
    assert_int_not_equal(fail_each_allocation(scan_once, f->dir), 0);
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(files_are_read_in_the_order_of_their_names),
        T(without_a_list_there_is_nothing_to_do),
        T(a_mistake_names_its_file),
        T(a_directory_that_holds_a_version_is_a_model),
        T(a_directory_of_models_is_absolute_and_there),
        T(half_a_listing_is_an_error),
        T(a_model_that_cannot_be_looked_into_is_none_unless_it_is_served),
        T(what_there_can_be_only_one_of_is_given_once),
        T(without_memory_it_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
