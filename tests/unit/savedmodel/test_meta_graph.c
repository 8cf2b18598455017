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
#include "support/faults.h"
#include "unit/savedmodel/messages.h"

/* ---- opening ---- */

static sl_code open_meta(sl_text meta, sl_saved_model **m, sl_status *st)
{
    sl_text file = {0};
    sl_wire_put_varint(&file, 1, 1); /* the schema's version */
    put(&file, 2, meta);
    sl_wire_put_varint(&file, 2, 1); /* no meta graph has this wire type */
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

static sl_text varint(unsigned field, uint64_t v)
{
    sl_text t = {0};
    sl_wire_put_varint(&t, field, v);
    return t;
}

static void lists_that_are_absent_or_of_another_kind_are_empty(void **state)
{
    (void)state;
    sl_text four = {0}, types = {0};
    sl_text_add(&four, "\0\0\x80\x3f\0\0", 6); /* 1.0, and half a number */
    sl_text f = {0};
    put(&f, 4, four);
    sl_wire_put_varint(&types, 6, SL_DT_INT32);
    sl_wire_put_varint(&types, 6, SL_DT_REF + SL_DT_COUNT);
    sl_text n = join(node("a", "Op"), within(5, map_entry("f", within(1, f))));
    n = join(n, within(5, map_entry("t", within(1, types))));
    n = join(n, within(5, map_entry("s", bytes(2, "text"))));
    sl_text mixed = join(join(bytes(2, "a"), varint(3, 7)), bytes(2, "b"));
    n = join(n, within(5, map_entry("mixed", within(1, mixed))));
    sl_text strange = {0};
    sl_wire_put_fixed32(&strange, 3, 7);
    n = join(n, within(5, map_entry("strange", within(1, join(strange, varint(3, 8))))));
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(1, n))));
    const sl_node *a = sl_graph_find_node(sl_saved_model_graph(m), SL_STR("a"));
    int64_t ints[1];
    sl_dtype all[1];
    int rank;
    int64_t dims[SL_MAX_RANK];
    assert_int_equal(sl_node_list_count(a, "f"), 1);
    assert_true(sl_node_list_float(a, "f", 0) == 1);
    assert_true(sl_node_list_float(a, "f", 1) == 0);
    assert_int_equal(sl_node_list_types(a, "t", all, 1), 2);
    assert_int_equal(all[0], SL_DT_INT32);
    assert_int_equal(sl_node_list_type(a, "t", 1), SL_DT_INVALID); /* no type has that number */
    assert_int_equal(sl_node_list_count(a, "mixed"), 2); /* the first element says of what it is */
    assert_int_equal(sl_node_list_int(a, "mixed", 1), 0);
    assert_int_equal(sl_node_list_count(a, "strange"), 1);
    assert_int_equal(sl_node_list_int(a, "strange", 0), 8);
    static const char *const none[] = {"s", "absent"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sl_node_list_count(a, none[i]), -1);
        assert_int_equal(sl_node_list_ints(a, none[i], ints, 1), -1);
        assert_int_equal(sl_node_list_types(a, none[i], all, 1), -1);
        assert_int_equal(sl_node_list_int(a, none[i], 0), 0);
        assert_int_equal(sl_node_list_str(a, none[i], 0).n, 0);
        assert_int_equal(sl_node_list_func(a, none[i], 0).n, 0);
        assert_false(sl_node_list_shape(a, none[i], 0, &rank, dims));
    }
    sl_saved_model_close(m);
}

static void each_kind_of_attribute_is_told_from_the_others(void **state)
{
    (void)state;
    sl_text f = {0}, t = {0}, strange = {0};
    sl_wire_put_fixed32(&f, 4, 0x3f800000);
    sl_wire_put_varint(&t, 6, SL_DT_REF + SL_DT_COUNT);
    sl_wire_put_varint(&strange, 11, 1);
    sl_text n = join(node("a", "Op"), within(5, map_entry("f", f)));
    n = join(n, within(5, map_entry("t", t)));
    n = join(n, within(5, map_entry("p", bytes(9, "bound"))));
    n = join(n, within(5, map_entry("x", strange)));
    n = join(n, within(5, map_entry("tensor", bytes(8, "\x08"))));
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(1, n))));
    const sl_node *a = sl_graph_find_node(sl_saved_model_graph(m), SL_STR("a"));
    sl_tensor tensor;
    sl_status st = {0};
    assert_true(sl_node_float(a, "f", 2) == 1);
    assert_true(sl_node_float(a, "t", 2) == 2);
    assert_int_equal(sl_node_type(a, "t", SL_DT_INT8), SL_DT_INT8);
    assert_true(sl_str_is(sl_node_placeholder(a, "p"), "bound"));
    assert_int_equal(sl_node_placeholder(a, "f").n, 0);
    assert_int_equal(sl_node_attr(a, "x")->kind, SL_ATTR_NONE);
    assert_int_not_equal(sl_node_tensor(a, "tensor", &tensor, &st), SL_OK);
    assert_non_null(strstr(st.msg, "node \"a\", attribute \"tensor\": "));
    assert_int_equal(sl_node_tensor(a, "tensor", &tensor, NULL), st.code);
    assert_int_equal(sl_node_tensor(a, "f", &tensor, &st), SL_INVALID_ARGUMENT);
    sl_saved_model_close(m);
}

/* Whatever protobuf would take for an unknown field changes nothing, at any depth. */
static void fields_of_another_wire_type_are_skipped(void **state)
{
    (void)state;
    sl_text shape = twisted(within(2, twisted(varint(1, 3))));
    sl_text list = twisted(join(bytes(2, "one"), bytes(2, "two")));
    sl_text n = join(node("a", "Op"), bytes(3, "b"));
    n = join(n, within(5, twisted(map_entry("s", twisted(bytes(2, "text"))))));
    n = join(n, within(5, twisted(map_entry("i", twisted(varint(3, 5))))));
    n = join(n, within(5, twisted(map_entry("shape", within(7, shape)))));
    n = join(n, within(5, twisted(map_entry("list", within(1, list)))));
    n = join(n, within(5, twisted(map_entry("f", within(10, twisted(bytes(1, "g")))))));
    sl_text arg = join(join(bytes(1, "x"), varint(3, SL_DT_INT8)), bytes(4, "T"));
    arg = join(join(arg, bytes(5, "N")), join(bytes(6, "L"), varint(16, 1)));
    sl_text opdef = join(join(bytes(1, "g"), within(2, twisted(arg))), varint(17, 1));
    sl_text ret = twisted(map_entry("y", bytes(99, "")));
    sl_text function = join(within(1, twisted(opdef)), within(3, twisted(node("fn", "NoOp"))));
    function = join(function, within(4, ret));
    sl_text library = twisted(within(1, twisted(function)));
    sl_text graph = join(within(1, twisted(n)), within(2, library));
    graph = join(graph, within(4, join(twisted(join(varint(1, 9), varint(2, 8))), varint(3, 7))));
    sl_text info = twisted(
        join(varint(2, SL_DT_FLOAT), join(bytes(1, "a:0"), within(3, within(2, varint(1, 4))))));
    sl_text def = twisted(join(within(1, map_entry("x", info)), bytes(3, "method")));
    sl_text meta = join(within(1, twisted(join(bytes(4, "serve"), bytes(5, "2.0")))),
                        within(2, twisted(graph)));
    meta = join(meta, join(within(3, twisted(bytes(3, "restore"))),
                           within(5, twisted(map_entry("sig", def)))));
    meta = join(meta,
                within(6, twisted(join(within(1, twisted(bytes(1, "t:0"))), bytes(2, "vocab")))));
    sl_saved_model *m = opened(twisted(meta));
    const sl_graph *g = sl_saved_model_graph(m);
    const sl_node *a = sl_graph_find_node(g, SL_STR("a"));
    const sl_function *f = sl_graph_find_function(g, SL_STR("g"));
    const sl_signature *s = &sl_saved_model_signatures(m)->list[0];
    int rank, n_assets;
    int64_t dims[SL_MAX_RANK];
    assert_int_equal(a->n_inputs, 1);
    assert_int_equal(a->n_attrs, 5);
    assert_true(sl_str_is(sl_node_str(a, "s", ""), "text"));
    assert_int_equal(sl_node_int(a, "i", 0), 5);
    assert_true(sl_node_shape(a, "shape", &rank, dims));
    assert_int_equal(rank, 1);
    assert_int_equal(dims[0], 3);
    assert_true(sl_str_is(sl_node_func(a, "f"), "g"));
    assert_int_equal(sl_node_list_count(a, "list"), 2);
    assert_true(sl_str_is(sl_node_list_str(a, "list", 1), "two"));
    assert_non_null(f);
    assert_true(f->is_stateful && f->inputs[0].is_ref);
    assert_int_equal(f->inputs[0].type, SL_DT_INT8);
    assert_true(sl_str_is(f->inputs[0].type_list_attr, "L"));
    assert_non_null(sl_function_find_node(f, SL_STR("fn")));
    assert_int_equal(f->n_ret, 1);
    assert_int_equal(g->producer, 9);
    assert_int_equal(g->min_consumer, 8);
    assert_int_equal(s->inputs[0].dtype, SL_DT_FLOAT);
    assert_int_equal(s->inputs[0].dims[0], 4);
    assert_string_equal(s->inputs[0].name, "a:0");
    assert_string_equal(s->method_name, "method");
    assert_true(sl_str_is(sl_saved_model_restore_op(m), "restore"));
    assert_true(sl_str_is(sl_saved_model_about(m)->tensorflow_version, "2.0"));
    assert_true(sl_str_is(sl_saved_model_assets(m, &n_assets)->tensor, "t:0"));
    assert_int_equal(n_assets, 1);
    sl_saved_model_close(m);
}

/* Of a map's key that stands twice the later value counts. */
static void the_last_value_of_a_key_counts(void **state)
{
    (void)state;
    sl_text function = within(1, bytes(1, "f"));
    function = join(function, within(4, map_entry("y", (sl_text){0})));
    function = join(function, within(4, join(bytes(1, "y"), bytes(2, "later"))));
    function = join(function, within(6, join(bytes(1, "c"), bytes(2, "node"))));
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(2, within(1, function)))));
    const sl_function *f = sl_graph_find_function(sl_saved_model_graph(m), SL_STR("f"));
    assert_int_equal(f->n_ret, 1);
    assert_true(sl_str_is(f->ret[0].value, "later"));
    assert_int_equal(f->n_control_ret, 1);
    sl_saved_model_close(m);
}

static void bad_consumers_may_be_packed(void **state)
{
    (void)state;
    sl_text versions = join(varint(3, 300), bytes(3, "\1\2"));
    sl_wire_put_fixed32(&versions, 3, 9);
    sl_saved_model *m = opened(join(meta_graph(), within(2, within(4, versions))));
    const sl_graph *g = sl_saved_model_graph(m);
    assert_int_equal(g->n_bad_consumers, 3);
    assert_int_equal(g->bad_consumers[0], 300);
    assert_int_equal(g->bad_consumers[2], 2);
    sl_saved_model_close(m);
    refused(join(meta_graph(), within(2, within(4, bytes(3, "\1\x80")))), SL_DATA_LOSS,
            "truncated or overlong number at byte");
}

/* Each message of the graph, cut off in its last field. */
static void damage_is_found_wherever_it_is(void **state)
{
    (void)state;
    sl_text cut[] = {
        within(2, within(1, within(5, bytes(2, "\x08")))),             /* an attribute */
        within(2, within(1, within(5, map_entry("a", bytes(1, ""))))), /* its value: see below */
        within(2, within(2, within(1, bytes(1, "\x0a")))),            /* an operator's definition */
        within(2, within(2, within(1, within(1, bytes(2, "\x08"))))), /* its argument */
        within(2, within(2, within(1, bytes(4, "\x0a")))),            /* what is returned */
        within(2, within(2, within(1, bytes(6, "\x0a")))),            /* and what must run */
        within(2, bytes(4, "\x08")),                                  /* versions */
        bytes(3, "\x0a"),                                             /* the saver */
        bytes(4, "\x0a"),                                             /* a collection */
        within(5, join(bytes(1, "s"), bytes(2, "\x0a"))),             /* a signature */
        within(5, join(bytes(1, "s"), within(2, bytes(1, "\x0a")))),  /* ... an output */
        within(5, join(bytes(1, "s"), within(2, within(1, bytes(2, "\x08"))))),
        bytes(6, "\x0a"), /* an asset */
        within(6, bytes(1, "\x0a")),
        bytes(1, "\x0a"),                                 /* another info */
        join(within(6, bytes(2, "a")), bytes(4, "\x0a")), /* a collection that no asset needs */
    };
    sl_text_fini(&cut[1]);
    cut[1] = within(2, within(1, within(5, join(bytes(1, "a"), bytes(2, "\x08")))));
    for (size_t i = 0; i < SL_COUNTOF(cut); i++) {
        sl_saved_model *m = NULL;
        sl_status st = {0};
        sl_code rc = open_meta(join(meta_graph(), cut[i]), &m, &st);
        if (rc != SL_DATA_LOSS || strstr(st.msg, "saved_model.pb as binary proto: ") == NULL)
            fail_msg("%zu: %d, \"%s\"", i, rc, st.msg);
    }
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
    def = join(within(1, map_entry("x", bytes(1, "x:0"))), within(4, map_entry("x", bytes(9, ""))));
    sl_saved_model *m = NULL;
    assert_int_equal(open_meta(join(meta_graph(), signature("s", def)), &m, NULL),
                     SL_INVALID_ARGUMENT);
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
    static const char *const right[] = {"",
                                        "caf\xc3\xa9",
                                        "\xe2\x82\xac",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xf0\x9f\x98\x80",
                                        "\xf4\x8f\xbf\xbf"};
    for (size_t i = 0; i < SL_COUNTOF(right); i++)
        sl_saved_model_close(opened(join(meta_graph(), signature(right[i], bytes(3, "")))));
}

/* ---- init op and assets ---- */

static void an_init_signature_needs_its_output(void **state)
{
    (void)state;
    refused(join(meta_graph(), signature("__saved_model_init_op", bytes(3, ""))),
            SL_FAILED_PRECONDITION, "Could not find output __saved_model_init_op");
    sl_text sparse = within(2, map_entry("__saved_model_init_op", within(4, bytes(1, "v:0"))));
    refused(join(meta_graph(), signature("__saved_model_init_op", sparse)), SL_FAILED_PRECONDITION,
            "Could not find output __saved_model_init_op");
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

static void a_collection_of_another_wire_type_is_none(void **state)
{
    (void)state;
    sl_text one = within(1, bytes(1, "init"));
    sl_text meta = twisted(join(meta_graph(), collection("legacy_init_op", one)));
    sl_saved_model *m = opened(meta);
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

/* ---- tags ---- */

static sl_text tagged(const char *const *tags, int n)
{
    sl_text info = {0};
    for (int i = 0; i < n; i++)
        sl_wire_put_bytes(&info, 4, tags[i], strlen(tags[i]));
    return within(1, info);
}

static void tags_are_at_most_64_and_only_some_are_told(void **state)
{
    (void)state;
    const char *many[65], *const empty[] = {""};
    for (int i = 0; i < 65; i++)
        many[i] = "tag";
    refused(tagged(many, 65), SL_DATA_LOSS, "more than 64 tags at byte");
    refused(tagged(empty, 1), SL_NOT_FOUND, "There are: {  }");
    sl_saved_model *m = NULL;
    sl_status st = {0};
    assert_int_equal(
        sl_saved_model_open(SLUICE_SOURCE_DIR "/tests/models/linear/1", many, 65, &m, &st),
        SL_INVALID_ARGUMENT);
    assert_string_equal(st.msg, "more than 64 tags are wanted");
    /* Of hundreds of meta graphs with other tags the first ones are named. */
    sl_text file = {0};
    for (int i = 0; i < 300; i++)
        put(&file, 2, tagged(many, 1));
    sl_buffer *pb = sl_buffer_try_new(file.n);
    assert_non_null(pb);
    memcpy(pb->data, file.p, file.n);
    assert_int_equal(sl_model_open_bytes("m", pb, NULL, NULL, &m, &st), SL_NOT_FOUND);
    assert_non_null(strstr(st.msg, "There are: { tag }, { tag }"));
    assert_true(strlen(st.msg) < 900);
    sl_buffer_release(pb);
    sl_text_fini(&file);
}

static void without_variables_there_are_no_entries(void **state)
{
    (void)state;
    sl_saved_model *m = opened(meta_graph());
    int n = 1;
    assert_null(sl_saved_model_entries(m, &n));
    assert_int_equal(n, 0);
    sl_saved_model_close(m);
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

/* Opens the meta graph with the variables of another model: so many are restored. */
static void restores(sl_text meta, int wanted)
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
    assert_int_equal(count, wanted);
    sl_saved_model_close(m);
    sl_buffer_release(pb);
    sl_buffer_release(index);
    sl_buffer_release(data);
    sl_text_fini(&file);
}

static void restores_nothing(sl_text meta)
{
    restores(meta, 0);
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

/* A function with `args` arguments and `nodes` nodes that do nothing, called n times by the graph. */
static sl_text calls(int args, int nodes, int n)
{
    sl_text opdef = bytes(1, "f"), body = {0}, graph = {0}, restore = node("restore", "NoOp");
    for (int i = 0; i < args; i++)
        put(&opdef, 2, (sl_text){0});
    for (int i = 0; i < nodes; i++)
        put(&body, 3, (sl_text){0});
    for (int i = 0; i < n; i++) {
        char name[16], control[16];
        snprintf(name, sizeof name, "c%d", i);
        snprintf(control, sizeof control, "^c%d", i);
        put(&graph, 1, call_f(name));
        sl_wire_put_bytes(&restore, 3, control, strlen(control));
    }
    put(&graph, 1, restore);
    put(&graph, 2, within(1, join(within(1, opdef), body)));
    return join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore")));
}

/* 2^24 arguments and nodes in all scopes: a file of 2 MB must not keep a load thread for hours. */
static void a_restore_op_that_takes_too_long_is_given_up(void **state)
{
    (void)state;
    restores_nothing(calls(1 << 20, 1, 17));
}

/* Nodes that are like a restore op's, and are not: nothing may be taken from them. */
static void what_is_almost_a_restore_op_restores_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *op, *inputs[4];
    } list[] = {
        {"Assign", {"v"}},                     /* no value */
        {"LookupTableImportV2", {"v", "r:0"}}, /* no values of the table */
        {"Assign", {"nobody", "r:0"}},         /* no such variable */
        {"Assign", {"v:x", "r:0"}},            /* no output has that number */
        {"Assign", {"v", "v"}},                /* a value that is not read */
        {"Assign", {"v", "short:0"}},          /* RestoreV2 without its names */
        {"Assign", {"v", "r:7"}},              /* more than there are names */
        {"LookupTableImportV2", {"v", "r:0", "v"}},
    };
    for (size_t i = 0; i < SL_COUNTOF(list); i++) {
        sl_text n = node("restore", list[i].op), graph = {0};
        for (int k = 0; list[i].inputs[k] != NULL; k++)
            sl_wire_put_bytes(&n, 3, list[i].inputs[k], strlen(list[i].inputs[k]));
        put(&graph, 1, n);
        put(&graph, 1, node("v", "VariableV2"));
        put(&graph, 1, node("names", "NoOp"));
        put(&graph, 1, join(node("short", "RestoreV2"), bytes(3, "v")));
        put(&graph, 1,
            join(join(node("r", "RestoreV2"), bytes(3, "v")),
                 join(bytes(3, "names"), bytes(3, "names"))));
        restores_nothing(
            join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore"))));
    }
}

/* A variable that is made in a function is none of the graph's. */
static void what_a_function_assigns_to_its_own_is_not_restored(void **state)
{
    (void)state;
    sl_text assign = join(node("a", "AssignVariableOp"), join(bytes(3, "own"), bytes(3, "own")));
    sl_text f = join(within(1, bytes(1, "f")), within(3, assign));
    f = join(f, within(3, node("own", "VarHandleOp")));
    sl_text restore = join(call_f("restore"), bytes(3, "^nobody"));
    sl_text graph = join(within(1, restore), within(2, within(1, f)));
    restores_nothing(join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore"))));
}

/* What is no copy of a variable by AssignVariableOp (copy, ReadVariableOp (original)). */
static void what_is_almost_a_copy_fills_nothing(void **state)
{
    (void)state;
    static const char *const inputs[][3] = {
        {"copy", NULL},           /* no value */
        {"copy", "nobody"},       /* an unknown one */
        {"copy", "read_nothing"}, /* read from nowhere */
        {"copy", "read_op"},      /* read from what is no variable */
        {"copy", "read_nobody"},  /* ... from what is not there */
        {"nobody", "read"},       /* no copy */
        {"copy", "read"},         /* and a copy, which nothing fills */
    };
    sl_text graph = within(1, node("restore", "NoOp"));
    for (size_t i = 0; i < SL_COUNTOF(inputs); i++) {
        char name[8];
        snprintf(name, sizeof name, "a%zu", i);
        sl_text n = node(name, "AssignVariableOp");
        for (int k = 0; k < 3 && inputs[i][k] != NULL; k++)
            sl_wire_put_bytes(&n, 3, inputs[i][k], strlen(inputs[i][k]));
        put(&graph, 1, n);
    }
    put(&graph, 1, node("copy", "VarHandleOp"));
    put(&graph, 1, node("original", "VarHandleOp"));
    put(&graph, 1, node("op", "NoOp"));
    put(&graph, 1, node("read_nothing", "ReadVariableOp"));
    put(&graph, 1, join(node("read_op", "ReadVariableOp"), bytes(3, "op")));
    put(&graph, 1, join(node("read_nobody", "ReadVariableOp"), bytes(3, "nobody")));
    put(&graph, 1, join(node("read", "ReadVariableOp"), bytes(3, "original")));
    sl_text meta = join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore")));
    restores_nothing(join(meta, within(7, within(1, bytes(9, "")))));
}

typedef struct files {
    sl_buffer *pb, *index, *data;
} files;

static sl_code open_files(void *arg, sl_status *st)
{
    const files *f = arg;
    sl_saved_model *m = NULL;
    sl_code rc = sl_model_open_bytes("m", f->pb, f->index, f->data, &m, st);
    sl_saved_model_close(m);
    return rc;
}

/* Each allocation of opening the meta graph fails in turn. */
static void fails_without_memory(sl_text meta)
{
    sl_text file = within(2, meta);
    files f = {sl_buffer_try_new(file.n), read_file("linear", "variables/variables.index"),
               read_file("linear", "variables/variables.data-00000-of-00001")};
    assert_non_null(f.pb);
    memcpy(f.pb->data, file.p, file.n);
    assert_true(fail_each_allocation(open_files, &f) > 10);
    sl_buffer_release(f.pb);
    sl_buffer_release(f.index);
    sl_buffer_release(f.data);
    sl_text_fini(&file);
}

static sl_text node_of(const char *name, const char *op, const char *first, const char *second)
{
    return join(node(name, op), join(bytes(3, first), bytes(3, second)));
}

/* A Const of n strings, all `value`. */
static sl_text strings(const char *name, const char *value, int n)
{
    sl_text tensor = {0}, dim = {0};
    sl_wire_put_varint(&tensor, 1, SL_DT_STRING);
    sl_wire_put_varint(&dim, 1, (uint64_t)n);
    put(&tensor, 2, within(2, dim));
    for (int i = 0; i < n; i++)
        put(&tensor, 8, bytes(1, value));
    return join(node(name, "Const"), within(5, map_entry("value", within(8, tensor))));
}

/* Eight copies of variables, each restored once: two ways lead to each assignment. And `more` of
 * them are what initialises an original. */
static sl_text eight_copies(int more)
{
    enum { COPIES = 8 };
    sl_text graph = {0}, a = node("a", "NoOp"), b = node("b", "NoOp");
    char copy[16], assign[16], control[24], value[16];
    for (int i = 0; i < COPIES; i++) {
        snprintf(copy, sizeof copy, "copy%d", i);
        snprintf(assign, sizeof assign, "assign%d", i);
        snprintf(control, sizeof control, "^assign%d", i);
        snprintf(value, sizeof value, "r:%d", i);
        put(&graph, 1, node(copy, "VarHandleOp"));
        put(&graph, 1, node_of(assign, "AssignVariableOp", copy, value));
        sl_wire_put_bytes(&a, 3, control, strlen(control));
        sl_wire_put_bytes(&b, 3, control, strlen(control));
    }
    put(&graph, 1, a);
    put(&graph, 1, b);
    put(&graph, 1, node_of("restore", "NoOp", "^a", "^b"));
    put(&graph, 1, strings("names", "key", COPIES));
    put(&graph, 1, strings("slices", "", COPIES));
    put(&graph, 1, join(node_of("r", "RestoreV2", "file", "names"), bytes(3, "slices")));
    for (int i = 0; i < more; i++) {
        char original[16], read[16], fill[16];
        snprintf(original, sizeof original, "original%d", i);
        snprintf(read, sizeof read, "read%d", i);
        snprintf(fill, sizeof fill, "fill%d", i);
        snprintf(copy, sizeof copy, "copy%d", i);
        put(&graph, 1, node(original, "VarHandleOp"));
        put(&graph, 1, join(node(read, "ReadVariableOp"), bytes(3, original)));
        put(&graph, 1, node_of(fill, "AssignVariableOp", copy, read));
    }
    sl_text meta = join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore")));
    return join(meta, within(7, within(1, bytes(9, ""))));
}

static void memory_that_ends_on_the_way_through_a_restore_op_is_an_error(void **state)
{
    (void)state;
    fails_without_memory(calls(0, 1, 100));
    fails_without_memory(eight_copies(1));
}

static void each_assignment_counts_once_and_fills_the_original_of_a_copy(void **state)
{
    (void)state;
    restores(eight_copies(0), 8);
    restores(eight_copies(3), 11);
}

/* A call with fewer inputs than its function has arguments. */
static void an_argument_that_no_caller_gives_is_not_followed(void **state)
{
    (void)state;
    sl_text opdef = join(bytes(1, "f"), join(within(2, bytes(1, "x")), within(2, bytes(1, "y"))));
    sl_text assign = join(node("a", "AssignVariableOp"), join(bytes(3, "y"), bytes(3, "x")));
    sl_text f = join(within(1, opdef), within(3, assign));
    sl_text call = join(join(call_f("restore"), bytes(3, "v")), bytes(3, "^v"));
    sl_text graph = join(within(1, call), within(1, node("v", "VarHandleOp")));
    graph = join(graph, within(2, within(1, f)));
    restores_nothing(join(join(meta_graph(), within(2, graph)), within(3, bytes(3, "restore"))));
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
        cmocka_unit_test(a_collection_of_another_wire_type_is_none),
        cmocka_unit_test(assets_stay_in_their_folder),
        cmocka_unit_test(two_graphs_with_the_same_tags_are_refused),
        cmocka_unit_test(without_a_restore_op_the_object_graph_says_the_same),
        cmocka_unit_test(a_restore_function_that_calls_itself_comes_to_an_end),
        cmocka_unit_test(lists_that_are_absent_or_of_another_kind_are_empty),
        cmocka_unit_test(each_kind_of_attribute_is_told_from_the_others),
        cmocka_unit_test(fields_of_another_wire_type_are_skipped),
        cmocka_unit_test(the_last_value_of_a_key_counts),
        cmocka_unit_test(bad_consumers_may_be_packed),
        cmocka_unit_test(damage_is_found_wherever_it_is),
        cmocka_unit_test(tags_are_at_most_64_and_only_some_are_told),
        cmocka_unit_test(without_variables_there_are_no_entries),
        cmocka_unit_test(a_restore_op_that_takes_too_long_is_given_up),
        cmocka_unit_test(what_is_almost_a_restore_op_restores_nothing),
        cmocka_unit_test(an_argument_that_no_caller_gives_is_not_followed),
        cmocka_unit_test(what_a_function_assigns_to_its_own_is_not_restored),
        cmocka_unit_test(what_is_almost_a_copy_fills_nothing),
        cmocka_unit_test(each_assignment_counts_once_and_fills_the_original_of_a_copy),
        cmocka_unit_test(memory_that_ends_on_the_way_through_a_restore_op_is_an_error),
        cmocka_unit_test(identities_in_a_circle_come_to_an_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
