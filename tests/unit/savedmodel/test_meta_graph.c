/* test_meta_graph.c - meta graphs that no exporter writes, and the restore op they lack */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/mem.h"
#include "savedmodel/model.h"

/* ---- messages, built from the inside out ---- */

/* A message of one field. Freed by whoever takes it: put() does. */
static sl_text bytes(unsigned field, const char *s)
{
    sl_text t = {0};
    sl_wire_put_bytes(&t, field, s, strlen(s));
    return t;
}

/* Adds `inner` as a field, and frees it. */
static void put(sl_text *t, unsigned field, sl_text inner)
{
    sl_wire_put_bytes(t, field, inner.n ? inner.p : "", inner.n);
    sl_text_fini(&inner);
}

/* What is in `b` goes to the end of `a`. */
static sl_text join(sl_text a, sl_text b)
{
    sl_text_add(&a, b.p, b.n);
    sl_text_fini(&b);
    return a;
}

static sl_text within(unsigned field, sl_text inner)
{
    sl_text t = {0};
    put(&t, field, inner);
    return t;
}

static sl_text map_entry(const char *key, sl_text value)
{
    return join(bytes(1, key), within(2, value));
}

static sl_text node(const char *name, const char *op)
{
    return join(bytes(1, name), bytes(2, op));
}

/* A meta graph with the tag "serve", to which a test adds. */
static sl_text meta_graph(void)
{
    return within(1, bytes(4, "serve"));
}

static sl_code open_meta(sl_text meta, sl_saved_model **m, sl_status *st)
{
    sl_text file = {0};
    put(&file, 2, meta);
    sl_buffer *pb = sl_buffer_try_new(file.n);
    assert_non_null(pb);
    memcpy(pb->data, file.p, file.n);
    sl_text_fini(&file);
    sl_code rc = sl_model_open_bytes("m", pb, NULL, NULL, m, st);
    sl_buffer_release(pb);
    return rc;
}

static void refused(sl_text meta, sl_code code, const char *text)
{
    sl_saved_model *m = NULL;
    sl_status st = {0};
    assert_int_equal(open_meta(meta, &m, &st), code);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
}

static sl_saved_model *opened(sl_text meta)
{
    sl_saved_model *m = NULL;
    sl_status st = {0};
    if (open_meta(meta, &m, &st))
        fail_msg("%s", st.msg);
    return m;
}

/* ---- graph ---- */

static void a_graph_must_be_one_and_its_names_unique(void **state)
{
    (void)state;
    sl_text twice = join(within(1, node("a", "NoOp")), within(1, node("a", "NoOp")));
    refused(join(meta_graph(), within(2, twice)), SL_INVALID_ARGUMENT, "node \"a\" stands twice");
    sl_text two = join(within(2, bytes(9, "")), within(2, bytes(9, "")));
    refused(join(meta_graph(), two), SL_DATA_LOSS, "second graph_def in a meta graph at byte");
    sl_text lib = join(within(1, within(1, bytes(1, "f"))), within(1, within(1, bytes(1, "f"))));
    refused(join(meta_graph(), within(2, within(2, lib))), SL_INVALID_ARGUMENT,
            "function \"f\" stands twice");
}

static void control_inputs_come_last(void **state)
{
    (void)state;
    sl_text n = join(node("a", "Add"), join(bytes(3, "^x"), bytes(3, "y")));
    refused(join(meta_graph(), within(2, within(1, n))), SL_DATA_LOSS,
            "data input after a control input");
}

static void the_last_attribute_of_a_name_counts(void **state)
{
    (void)state;
    sl_text n = node("a", "Op");
    n = join(n, within(5, map_entry("s", bytes(2, "first"))));
    n = join(n, within(5, map_entry("b", bytes(2, "b"))));
    n = join(n, within(5, map_entry("s", bytes(2, "last"))));
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(1, n))));
    const sl_node *a = sl_graph_find_node(sl_saved_model_graph(m), SL_STR("a"));
    assert_int_equal(a->n_attrs, 2);
    assert_true(sl_str_is(sl_node_str(a, "s", ""), "last"));
    assert_true(sl_str_is(sl_node_str(a, "t", "other"), "other"));
    assert_int_equal(sl_node_int(a, "s", 5), 5);
    sl_saved_model_close(m);
}

static void numbers_of_a_list_may_be_packed(void **state)
{
    (void)state;
    sl_text list = bytes(3, "\1\2"), single = {0};
    sl_wire_put_varint(&single, 3, 300);
    sl_text n = join(node("a", "Op"), within(5, map_entry("l", within(1, join(list, single)))));
    n = join(n, within(5, map_entry("none", within(1, (sl_text){0}))));
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(1, n))));
    const sl_node *a = sl_graph_find_node(sl_saved_model_graph(m), SL_STR("a"));
    int64_t all[2];
    assert_int_equal(sl_node_list_count(a, "l"), 3);
    assert_int_equal(sl_node_list_int(a, "l", 1), 2);
    assert_int_equal(sl_node_list_int(a, "l", 2), 300);
    assert_int_equal(sl_node_list_ints(a, "l", all, 2), 3);
    assert_int_equal(all[1], 2);
    assert_int_equal(sl_node_list_count(a, "none"), 0);
    sl_saved_model_close(m);
}

/* ---- signatures ---- */

static sl_text signature(const char *key, sl_text def)
{
    return within(5, map_entry(key, def));
}

static void a_default_needs_its_input(void **state)
{
    (void)state;
    sl_text def = within(4, map_entry("x", bytes(9, "")));
    refused(join(meta_graph(), signature("s", def)), SL_INVALID_ARGUMENT,
            "signature \"s\" has a default for \"x\", which is no input");
    def = join(within(1, map_entry("x", bytes(1, "x:0"))), within(4, map_entry("x", bytes(9, ""))));
    refused(join(meta_graph(), signature("s", def)), SL_INVALID_ARGUMENT,
            "signature \"s\", default of \"x\": tensor of type number 0");
}

static void a_declared_shape_that_we_cannot_hold_is_unknown(void **state)
{
    (void)state;
    sl_text shape = {0};
    for (int i = 0; i < 9; i++)
        put(&shape, 2, (sl_text){0});
    sl_text info = join(bytes(1, "x:0"), within(3, shape));
    sl_saved_model *m = opened(join(meta_graph(), signature("s", within(1, map_entry("x", info)))));
    assert_int_equal(sl_saved_model_signatures(m)->list[0].inputs[0].rank, -1);
    sl_saved_model_close(m);
}

static void a_sparse_tensor_has_no_name(void **state)
{
    (void)state;
    sl_text info = within(4, bytes(1, "values:0"));
    sl_saved_model *m = opened(join(meta_graph(), signature("s", within(1, map_entry("x", info)))));
    assert_null(sl_saved_model_signatures(m)->list[0].inputs[0].name);
    sl_saved_model_close(m);
}

static void names_must_be_utf8_without_zero_bytes(void **state)
{
    (void)state;
    static const char *const wrong[] = {"\x80",         "a\xc3",        "\xc0\xaf",
                                        "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xff",         "\xe2\x82"};
    for (size_t i = 0; i < SL_COUNTOF(wrong); i++)
        refused(join(meta_graph(), signature(wrong[i], bytes(3, ""))), SL_DATA_LOSS,
                "name that is not UTF-8 at byte");
    sl_text zero = {0};
    sl_wire_put_bytes(&zero, 1, "a\0b", 3);
    refused(join(meta_graph(), within(5, zero)), SL_DATA_LOSS, "name with a zero byte at byte");
    static const char *const right[] = {"", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    for (size_t i = 0; i < SL_COUNTOF(right); i++)
        sl_saved_model_close(opened(join(meta_graph(), signature(right[i], bytes(3, "")))));
}

/* ---- init op and assets ---- */

static void an_init_signature_needs_its_output(void **state)
{
    (void)state;
    refused(join(meta_graph(), signature("__saved_model_init_op", bytes(3, ""))),
            SL_FAILED_PRECONDITION, "Could not find output __saved_model_init_op");
}

static sl_text collection(const char *name, sl_text def)
{
    return within(4, map_entry(name, def));
}

static void a_main_op_must_be_one(void **state)
{
    (void)state;
    sl_text two = within(1, join(bytes(1, "a"), bytes(1, "b")));
    refused(join(meta_graph(), collection("saved_model_main_op", two)), SL_FAILED_PRECONDITION,
            "Expected exactly one main op in : m");
    sl_text one = within(1, bytes(1, "init"));
    sl_saved_model *m = opened(join(meta_graph(), collection("legacy_init_op", one)));
    assert_true(sl_str_is(sl_saved_model_init_op(m), "init"));
    sl_saved_model_close(m);
}

static void assets_stay_in_their_folder(void **state)
{
    (void)state;
    static const char *const outside[] = {"", "/etc/passwd", "..", "../x", "a/../../x", "a/.."};
    for (size_t i = 0; i < SL_COUNTOF(outside); i++)
        refused(join(meta_graph(), within(6, bytes(2, outside[i]))), SL_INVALID_ARGUMENT,
                "is not inside assets/");
    static const char *const inside[] = {"x", "a/b", "..a", "a..", "a/...", "./a"};
    for (size_t i = 0; i < SL_COUNTOF(inside); i++)
        sl_saved_model_close(opened(join(meta_graph(), within(6, bytes(2, inside[i])))));
}

static void two_graphs_with_the_same_tags_are_refused(void **state)
{
    (void)state;
    sl_text file = {0};
    put(&file, 2, meta_graph());
    put(&file, 2, meta_graph());
    sl_buffer *pb = sl_buffer_try_new(file.n);
    sl_saved_model *m = NULL;
    sl_status st = {0};
    assert_non_null(pb);
    memcpy(pb->data, file.p, file.n);
    assert_int_equal(sl_model_open_bytes("m", pb, NULL, NULL, &m, &st), SL_DATA_LOSS);
    assert_non_null(strstr(st.msg, "second meta graph with the same tags"));
    sl_buffer_release(pb);
    sl_text_fini(&file);
}

/* ---- object graph ---- */

static sl_buffer *read_file(const char *model, const char *name)
{
    char path[512];
    sl_buffer *b = NULL;
    sl_status st = {0};
    snprintf(path, sizeof path, "%s/tests/models/%s/1/%s", SLUICE_SOURCE_DIR, model, name);
    if (sl_file_read(path, 1 << 20, &b, &st))
        fail_msg("%s", st.msg);
    return b;
}

/* The model again, with an empty SaverDef after its own: the later one counts. */
static sl_buffer *without_saver(const sl_buffer *pb)
{
    sl_wire w = sl_wire_open((sl_str){pb->data, pb->size});
    sl_text file = {0}, meta = {0};
    while (sl_wire_next(&w))
        if (w.field == 2)
            sl_text_add(&meta, w.bytes.p, w.bytes.n);
    put(&meta, 3, (sl_text){0});
    put(&file, 2, meta);
    sl_buffer *b = sl_buffer_try_new(file.n);
    assert_non_null(b);
    memcpy(b->data, file.p, file.n);
    sl_text_fini(&file);
    return b;
}

static void without_a_restore_op_the_object_graph_says_the_same(void **state)
{
    (void)state;
    static const char *const models[] = {"linear", "stateful", "keras_mlp"};
    for (size_t i = 0; i < SL_COUNTOF(models); i++) {
        sl_buffer *pb = read_file(models[i], "saved_model.pb"), *bare = without_saver(pb);
        sl_buffer *index = read_file(models[i], "variables/variables.index");
        sl_buffer *data = read_file(models[i], "variables/variables.data-00000-of-00001");
        sl_saved_model *a = NULL, *b = NULL;
        int n_a, n_b;
        assert_int_equal(sl_model_open_bytes("m", pb, index, data, &a, NULL), SL_OK);
        assert_int_equal(sl_model_open_bytes("m", bare, index, data, &b, NULL), SL_OK);
        const sl_restored *by_op = sl_saved_model_restored(a, &n_a);
        const sl_restored *by_objects = sl_saved_model_restored(b, &n_b);
        /* two objects with one name each time: which is which cannot be known */
        assert_int_equal(n_b, strcmp(models[i], "keras_mlp") == 0 ? 0 : n_a);
        for (int k = 0; k < n_a && n_b > 0; k++) {
            int same = 0;
            for (int l = 0; l < n_b; l++)
                same += sl_str_eq(by_op[k].node, by_objects[l].node) &&
                        sl_str_eq(by_op[k].key, by_objects[l].key);
            assert_int_equal(same, 1);
        }
        sl_saved_model_close(a);
        sl_saved_model_close(b);
        sl_buffer_release(pb);
        sl_buffer_release(bare);
        sl_buffer_release(index);
        sl_buffer_release(data);
    }
}

/* ---- restore ops that were made to harm ---- */

/* Opens the meta graph with the variables of another model. */
static void restores_nothing(sl_text meta)
{
    sl_text file = within(2, meta);
    sl_buffer *index = read_file("linear", "variables/variables.index");
    sl_buffer *data = read_file("linear", "variables/variables.data-00000-of-00001");
    sl_buffer *pb = sl_buffer_try_new(file.n);
    sl_saved_model *m = NULL;
    int count = -1;
    assert_non_null(pb);
    memcpy(pb->data, file.p, file.n);
    assert_int_equal(sl_model_open_bytes("m", pb, index, data, &m, NULL), SL_OK);
    sl_saved_model_restored(m, &count);
    assert_int_equal(count, 0);
    sl_saved_model_close(m);
    sl_buffer_release(pb);
    sl_buffer_release(index);
    sl_buffer_release(data);
    sl_text_fini(&file);
}

/* A call of function "f", as a node. */
static sl_text call_f(const char *name)
{
    sl_text func = within(10, bytes(1, "f"));
    return join(node(name, "StatefulPartitionedCall"), within(5, map_entry("f", func)));
}

static void a_restore_function_that_calls_itself_comes_to_an_end(void **state)
{
    (void)state;
    sl_text body = within(3, call_f("a"));
    sl_text f = join(join(within(1, bytes(1, "f")), body), within(3, call_f("b")));
    sl_text graph = join(within(1, call_f("restore")), within(2, within(1, f)));
    sl_text meta = join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore")));
    restores_nothing(meta);
}

static void identities_in_a_circle_come_to_an_end(void **state)
{
    (void)state;
    sl_text a = join(node("a", "Identity"), bytes(3, "b"));
    sl_text b = join(node("b", "Identity"), bytes(3, "a"));
    sl_text assign = join(join(node("restore", "Assign"), bytes(3, "a")), bytes(3, "b:0"));
    sl_text graph = join(join(within(1, a), within(1, b)), within(1, assign));
    sl_text meta = join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore")));
    restores_nothing(meta);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_graph_must_be_one_and_its_names_unique),
        cmocka_unit_test(control_inputs_come_last),
        cmocka_unit_test(the_last_attribute_of_a_name_counts),
        cmocka_unit_test(numbers_of_a_list_may_be_packed),
        cmocka_unit_test(a_default_needs_its_input),
        cmocka_unit_test(a_declared_shape_that_we_cannot_hold_is_unknown),
        cmocka_unit_test(a_sparse_tensor_has_no_name),
        cmocka_unit_test(names_must_be_utf8_without_zero_bytes),
        cmocka_unit_test(an_init_signature_needs_its_output),
        cmocka_unit_test(a_main_op_must_be_one),
        cmocka_unit_test(assets_stay_in_their_folder),
        cmocka_unit_test(two_graphs_with_the_same_tags_are_refused),
        cmocka_unit_test(without_a_restore_op_the_object_graph_says_the_same),
        cmocka_unit_test(a_restore_function_that_calls_itself_comes_to_an_end),
        cmocka_unit_test(identities_in_a_circle_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
