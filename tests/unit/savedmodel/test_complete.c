/* A model that is copied file by file, in every order, in pieces: what may be taken, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/mem.h"
#include "savedmodel/complete.h"
#include "savedmodel/files.h"
#include "savedmodel/savedmodel.h"

enum { MOST_FILES = 6 };

typedef struct model {
    const char *dir;
    const char *files[MOST_FILES]; /* in the order of the table */
    int n;
    const char *needed; /* a letter for each file that must be there: 'y', or 'n' */
} model;

/* Of each kind one: several shards, partitioned, TensorFlow 1, with assets, without variables. */
static const model models[] = {
    {"half_plus_two/1",
     {"saved_model.pb", "assets/foo.txt", "variables/variables.index",
      "variables/variables.data-00000-of-00001"},
     4,
     "yyyy"},
    {"sharded/1",
     {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00003",
      "variables/variables.data-00001-of-00003", "variables/variables.data-00002-of-00003"},
     5,
     "yyyyy"},
    {"partitioned/1",
     {"saved_model.pb", "variables/variables.index", "variables/variables.data-00000-of-00001"},
     3,
     "yyy"},
    {"keras_mlp/1",
     {"saved_model.pb", "fingerprint.pb", "variables/variables.index",
      "variables/variables.data-00000-of-00001"},
     4,
     "ynyy"},
    {"vocabulary_v1/1",
     {"saved_model.pb", "assets/vocab.txt", "variables/variables.index",
      "variables/variables.data-00000-of-00001"},
     4,
     "yyyy"},
    {"multiply_add/1", {"saved_model.pb"}, 1, "y"},
};

static char target[64];
static sl_status st;

static sl_buffer *source(const model *m, int file)
{
    char path[512];
    sl_buffer *b;
    snprintf(path, sizeof path, "%s/tests/models/%s/%s", SLUICE_SOURCE_DIR, m->dir, m->files[file]);
    if (sl_file_read(path, 1 << 30, &b, &st))
        fail_msg("%s", st.msg);
    return b;
}

static void write_file(const char *name, const void *data, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", target, name);
    char *slash = strrchr(path, '/');
    *slash = '\0';
    mkdir(path, 0777);
    *slash = '/';
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    fclose(f);
}

static void empty_target(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s/*", target);
    assert_int_equal(system(command), 0);
}

static void write_whole(const model *m, int file)
{
    sl_buffer *b = source(m, file);
    write_file(m->files[file], b->data, b->size);
    sl_buffer_release(b);
}

static bool complete(void)
{
    sl_code rc = sl_saved_model_check_complete(target, NULL, 0, &st);
    assert_true(rc == SL_OK || rc == SL_UNAVAILABLE);
    return rc == SL_OK;
}

static bool opens(void)
{
    sl_saved_model *m;
    if (sl_saved_model_open(target, NULL, 0, &m, &st))
        return false;
    sl_saved_model_close(m);
    return true;
}

/* Copies in this order, and looks after each file, and in the middle of each. */
static void copy(const model *m, const int *order)
{
    unsigned there = 0;
    empty_target();
    for (int i = 0; i < m->n; i++) {
        sl_buffer *b = source(m, order[i]);
        const char *name = m->files[order[i]];
        /* How long an asset is stands nowhere: that it has been quiet must do. */
        bool told = strncmp(name, "assets/", 7) != 0 && m->needed[order[i]] == 'y';
        size_t cuts[] = {0, 1, b->size / 2, b->size - 1};
        for (size_t k = 0; k < SL_COUNTOF(cuts) && told; k++) {
            write_file(name, b->data, cuts[k]);
            if (complete())
                fail_msg("%s is taken with %zu of %zu bytes of %s", m->dir, cuts[k], b->size, name);
        }
        write_file(name, b->data, b->size);
        sl_buffer_release(b);
        there |= 1u << order[i];
        bool all = true;
        for (int k = 0; k < m->n; k++)
            all &= m->needed[k] == 'n' || there & 1u << k;
        if (complete() != all)
            fail_msg("%s with %s: %s", m->dir, name, st.msg);
        if (all)
            assert_true(opens());
    }
}

/* All orders of up to four files, and every eighth of the 120 of five. */
static void permute(const model *m, int *order, int from)
{
    static int seen;
    if (from == m->n && (m->n < 5 || seen++ % 8 == 0))
        copy(m, order);
    for (int i = from; i < m->n; i++) {
        int swap = order[from];
        order[from] = order[i];
        order[i] = swap;
        permute(m, order, from + 1);
        order[i] = order[from];
        order[from] = swap;
    }
}

static void model_is_complete_when_its_last_byte_is_there_in_whatever_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < SL_COUNTOF(models); i++) {
        int order[MOST_FILES] = {0, 1, 2, 3, 4, 5};
        permute(&models[i], order, 0);
    }
}

static void what_is_missing_is_named(void **state)
{
    (void)state;
    const model *m = &models[1];
    sl_buffer *b;
    empty_target();
    assert_false(complete());
    assert_string_equal(st.msg, "saved_model.pb is missing");
    write_whole(m, 0);
    assert_false(complete());
    assert_string_equal(st.msg, "variables/variables.index is missing");
    write_whole(m, 1);
    assert_false(complete());
    assert_string_equal(st.msg, "variables/variables.data-00000-of-00003 is missing");
    b = source(m, 2);
    write_file(m->files[2], b->data, b->size - 1);
    assert_false(complete());
    char wanted[128];
    snprintf(wanted, sizeof wanted, "variables/variables.data-00000-of-00003 has %zu of %zu bytes",
             b->size - 1, b->size);
    assert_string_equal(st.msg, wanted);
    sl_buffer_release(b);
}

static void a_text_is_complete_with_its_last_brace(void **state)
{
    (void)state;
    static const char text[] = "meta_graphs { meta_info_def { tags: 'serve' } graph_def {} }";
    empty_target();
    for (size_t n = 0; n < sizeof text - 1; n++) {
        write_file("saved_model.pbtxt", text, n);
        assert_false(complete());
    }
    assert_non_null(strstr(st.msg, "/saved_model.pbtxt as text proto: "));
    write_file("saved_model.pbtxt", text, sizeof text - 1);
    assert_true(complete());
    write_file("saved_model.pb", "", 0); /* which counts, where both are there */
    assert_false(complete());
    assert_non_null(strstr(st.msg, "/saved_model.pb as binary proto: "));
}

/* What no copying mends is not waited for: loading it says what is wrong. */
static void what_is_wrong_for_good_is_left_to_the_loader(void **state)
{
    (void)state;
    char path[128];
    empty_target();
    write_file("export.meta", "", 0);
    assert_true(complete());
    empty_target();
    write_file("saved_model.cpb", "", 0);
    assert_true(complete());
    snprintf(path, sizeof path, "%s/loop", target);
    assert_int_equal(symlink("loop", path), 0);
    assert_int_equal(sl_saved_model_check_complete(path, NULL, 0, &st), SL_OK);
    write_file("file", "x", 1);
    snprintf(path, sizeof path, "%s/file", target);
    assert_int_equal(sl_saved_model_check_complete(path, NULL, 0, &st), SL_OK);
    static const char *const tags[] = {"nobody", "has", "these"};
    snprintf(path, sizeof path, "%s/tests/models/half_plus_two/1", SLUICE_SOURCE_DIR);
    assert_int_equal(sl_saved_model_check_complete(path, tags, 3, &st), SL_OK);
}

static void directory_looks_different_whenever_something_in_it_changes(void **state)
{
    (void)state;
    char path[128], other[128];
    empty_target();
    write_file("variables/a", "x", 1);
    sl_tree a = sl_saved_model_tree(target), b = sl_saved_model_tree(target);
    assert_true(a.look == b.look && a.newest_us > 0);
    write_file("variables/a", "xy", 2);
    b = sl_saved_model_tree(target);
    assert_true(a.look != b.look);
    snprintf(path, sizeof path, "%s/variables/a", target);
    snprintf(other, sizeof other, "%s/variables/b", target);
    assert_int_equal(rename(path, other), 0);
    a = sl_saved_model_tree(target);
    assert_true(a.look != b.look);
    assert_int_equal(unlink(other), 0);
    b = sl_saved_model_tree(target);
    assert_true(a.look != b.look);
    /* A loop of links ends. */
    snprintf(path, sizeof path, "%s/variables/again", target);
    assert_int_equal(symlink("..", path), 0);
    a = sl_saved_model_tree(target);
    assert_true(a.look != b.look);
    snprintf(path, sizeof path, "%s/none", target);
    assert_true(sl_saved_model_tree(path).newest_us == 0);
}

/* A restore op alone needs no index, and data without one is waiting for it. */
static void an_index_is_needed_by_variables_and_by_data(void **state)
{
    (void)state;
    static const char text[] = "meta_graphs { meta_info_def { tags: 'serve' } graph_def { node { "
                               "name: 'r' op: 'NoOp' } } saver_def { restore_op_name: 'r' } }";
    empty_target();
    write_file("saved_model.pbtxt", text, sizeof text - 1);
    assert_true(complete());
    write_file("variables/variables.data-00000-of-00001", "x", 1);
    assert_false(complete());
    assert_string_equal(st.msg, "variables/variables.index is missing");
}

static void an_asset_that_no_copy_can_bring_is_left_to_the_loader(void **state)
{
    (void)state;
    char text[600];
    empty_target();
    snprintf(text, sizeof text,
             "meta_graphs { meta_info_def { tags: 'serve' } graph_def {} asset_file_def { "
             "filename: '%0300d' } }",
             0); /* no file can have so long a name */
    write_file("saved_model.pbtxt", text, strlen(text));
    write_file("assets/other", "", 0);
    assert_true(complete());
    empty_target();
    write_file("assets", "", 0); /* a file where a folder should be */
    const char *folder = "meta_graphs { meta_info_def { tags: 'serve' } graph_def {} "
                         "asset_file_def { filename: 'a' } }";
    write_file("saved_model.pbtxt", folder, strlen(folder));
    assert_false(complete());
    assert_string_equal(st.msg, "assets/a is missing");
}

static void a_look_survives_what_cannot_be_looked_at(void **state)
{
    (void)state;
    char path[128], command[512];
    empty_target();
    write_file("f", "x", 1);
    sl_tree a = sl_saved_model_tree(target);
    snprintf(path, sizeof path, "%s/dangling", target);
    assert_int_equal(symlink("nowhere", path), 0);
    sl_tree b = sl_saved_model_tree(target);
    assert_true(a.look != b.look);
    /* Without descriptors no folder can be read. */
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 0;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    a = sl_saved_model_tree(target);
    uint64_t bytes = sl_files_bytes(target);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(a.look != b.look);
    assert_int_equal(bytes, 0);
    /* Without memory for a name what has it is not seen. */
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    a = sl_saved_model_tree(target);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    assert_true(a.look != b.look);
    assert_true(sl_saved_model_tree(target).look == b.look);
    /* Of a hundred folders those are looked into for which there is room. */
    snprintf(command, sizeof command, "for i in $(seq 100); do mkdir %s/$i; done", target);
    assert_int_equal(system(command), 0);
    a = sl_saved_model_tree(target);
    assert_true(a.look == sl_saved_model_tree(target).look);
    snprintf(path, sizeof path, "%s/f", target); /* a file is no folder */
    assert_true(sl_saved_model_tree(path).look != 0);
    /* Deeper than eight folders nothing is looked at, and a loop of links ends. */
    empty_target();
    snprintf(command, sizeof command, "mkdir -p %s/1/2/3/4/5/6/7/8/9/10", target);
    assert_int_equal(system(command), 0);
    a = sl_saved_model_tree(target);
    write_file("1/2/3/4/5/6/7/8/9/10/f", "x", 1);
    assert_true(a.look == sl_saved_model_tree(target).look);
}

static int make_target(void **state)
{
    (void)state;
    strcpy(target, "/tmp/sluice-complete-XXXXXX");
    return mkdtemp(target) == NULL;
}

static int remove_target(void **state)
{
    (void)state;
    empty_target();
    return rmdir(target);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(model_is_complete_when_its_last_byte_is_there_in_whatever_order),
        cmocka_unit_test(what_is_missing_is_named),
        cmocka_unit_test(a_text_is_complete_with_its_last_brace),
        cmocka_unit_test(what_is_wrong_for_good_is_left_to_the_loader),
        cmocka_unit_test(an_index_is_needed_by_variables_and_by_data),
        cmocka_unit_test(an_asset_that_no_copy_can_bring_is_left_to_the_loader),
        cmocka_unit_test(a_look_survives_what_cannot_be_looked_at),
        cmocka_unit_test(directory_looks_different_whenever_something_in_it_changes),
    };
    return cmocka_run_group_tests(tests, make_target, remove_target);
}
