/* test_objects.c - which key fills which variable, read off the object graph alone */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "savedmodel/model.h"
#include "support/faults.h"
#include "unit/savedmodel/messages.h"
#include "unit/savedmodel/table.h"

#define VALUE "/.ATTRIBUTES/VARIABLE_VALUE"

/* ---- a model ---- */

static sl_buffer *buffer_of(const char *p, size_t n)
{
    sl_buffer *b = sl_buffer_try_new(n);
    assert_non_null(b);
    if (n)
        memcpy(b->data, p, n);
    return b;
}

/* A bundle of one-byte variables under these keys, which ascend. */
static sl_buffer *index_of(const char *const *keys)
{
    table t = {0};
    add(&t, SL_STR(""), HEADER);
    for (; *keys != NULL; keys++)
        add_item(&t, sl_str_of(*keys), (item){SL_DT_INT8, 1, 0, 0, 1, 0});
    sl_str file = finish(&t);
    sl_buffer *b = buffer_of(file.p, file.n);
    end_table(&t);
    return b;
}

static sl_text child(uint64_t id, const char *name)
{
    sl_text t = {0};
    sl_wire_put_varint(&t, 1, id);
    return within(1, join(t, bytes(2, name)));
}

/* An object that is the variable of that shared name. */
static sl_text variable(const char *shared)
{
    return within(7, bytes(6, shared));
}

/* An object of the graph. */
static sl_text object(sl_text what)
{
    return within(1, what);
}

/* A handle named as its variable is. */
static sl_text handle(const char *name)
{
    return within(1, node(name, "VarHandleOp"));
}

typedef struct model {
    sl_buffer *pb, *index, *data;
} model;

static model model_of(sl_text nodes, sl_text objects, const char *const *keys)
{
    sl_text file = within(2, join(meta_graph(), join(within(2, nodes), within(7, objects))));
    model m = {buffer_of(file.p, file.n), index_of(keys), buffer_of("x", 1)};
    sl_text_fini(&file);
    return m;
}

static void close_model(model *m)
{
    sl_buffer_release(m->pb);
    sl_buffer_release(m->index);
    sl_buffer_release(m->data);
}

static sl_code open_it(void *arg, sl_status *st)
{
    const model *files = arg;
    sl_saved_model *m = NULL;
    sl_code rc = sl_model_open_bytes("m", files->pb, files->index, files->data, &m, st);
    sl_saved_model_close(m);
    return rc;
}

/* "node=key node=key ", in the order of their being found. */
static void fills(sl_text nodes, sl_text objects, const char *const *keys, const char *want)
{
    model files = model_of(nodes, objects, keys);
    sl_saved_model *m = NULL;
    sl_status st = {0};
    sl_text got = {0};
    int n;
    if (sl_model_open_bytes("m", files.pb, files.index, files.data, &m, &st))
        fail_msg("%s", st.msg);
    const sl_restored *r = sl_saved_model_restored(m, &n);
    for (int i = 0; i < n; i++)
        sl_text_printf(&got, "%.*s=%.*s ", SL_STR_ARG(r[i].node), SL_STR_ARG(r[i].key));
    assert_string_equal(got.n ? got.p : "", want);
    sl_text_fini(&got);
    sl_saved_model_close(m);
    close_model(&files);
}

static void refused(sl_text nodes, sl_text objects, const char *text)
{
    model files = model_of(nodes, objects, (const char *const[]){NULL});
    sl_status st = {0};
    assert_int_equal(open_it(&files, &st), SL_DATA_LOSS);
    if (strstr(st.msg, text) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", text, st.msg);
    close_model(&files);
}

/* ---- paths ---- */

static void a_variable_has_the_key_of_the_path_on_which_it_is_met_first(void **state)
{
    (void)state;
    sl_text objects = object(join(child(1, "a"), child(2, "b")));
    objects = join(objects, object(join(child(3, "deep"), child(0, "root"))));
    objects = join(objects, object(join(child(3, "other"), child(99, "nobody"))));
    objects = join(objects, object(variable("v")));
    fills(handle("v"), objects, (const char *const[]){"a/deep" VALUE, "b/other" VALUE, NULL},
          "v=a/deep" VALUE " ");
}

static void dots_and_slashes_in_names_are_escaped(void **state)
{
    (void)state;
    sl_text objects = object(join(child(1, "c.d"), child(2, "e/f")));
    objects = join(objects, join(object(variable("v")), object(variable("w"))));
    fills(join(handle("v"), handle("w")), objects,
          (const char *const[]){"c..d" VALUE, "e.Sf" VALUE, NULL},
          "v=c..d" VALUE " w=e.Sf" VALUE " ");
}

static void an_object_on_a_path_that_is_too_long_is_not_met(void **state)
{
    (void)state;
    char name[1100];
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    sl_text objects = object(join(child(1, name), child(2, "short")));
    objects = join(objects, join(object(child(3, "below")), object(child(1, "again"))));
    objects = join(objects, object(variable("v")));
    fills(handle("v"), objects, (const char *const[]){"short/again/below" VALUE, NULL},
          "v=short/again/below" VALUE " ");
}

/* ---- whose variable it is ---- */

static void what_two_objects_claim_or_nothing_holds_is_left_empty(void **state)
{
    (void)state;
    const char *const keys[] = {"a" VALUE, "b" VALUE, "c" VALUE, NULL};
    sl_text objects = object(join(child(1, "a"), child(2, "b")));
    objects = join(objects, join(object(variable("v")), object(variable("v"))));
    fills(handle("v"), objects, keys, "");
    objects = join(object(child(1, "a")), object(variable("nobody's")));
    fills(handle("v"), objects, keys, "");
    objects = join(object(child(1, "a")), object(within(7, bytes(3, "no shared name"))));
    fills(handle("v"), objects, keys, "");
    objects = join(object(child(1, "without key")), object(variable("v")));
    fills(handle("v"), objects, keys, "");
    fills(handle("v"), (sl_text){0}, keys, "");
}

static void the_last_of_two_variables_in_an_object_counts(void **state)
{
    (void)state;
    sl_text objects = object(child(1, "a"));
    objects = join(objects, object(join(variable("v"), variable("w"))));
    fills(join(handle("v"), handle("w")), objects, (const char *const[]){"a" VALUE, NULL},
          "w=a" VALUE " ");
}

static void a_handle_is_known_by_its_shared_name_if_it_has_one(void **state)
{
    (void)state;
    sl_text shared = within(5, map_entry("shared_name", bytes(2, "s")));
    sl_text nodes = within(1, join(node("v", "VarHandleOp"), shared));
    nodes = join(nodes, within(1, node("s", "NoOp")));
    sl_text objects = join(object(child(1, "a")), object(variable("s")));
    fills(nodes, objects, (const char *const[]){"a" VALUE, NULL}, "v=a" VALUE " ");
}

/* ---- damage ---- */

static void fields_of_another_wire_type_are_skipped(void **state)
{
    (void)state;
    sl_text reference = {0}, objects = {0};
    sl_wire_put_varint(&reference, 1, 1);
    reference = twisted(join(reference, bytes(2, "a")));
    put(&objects, 1, twisted(within(1, reference)));
    put(&objects, 1, twisted(within(7, twisted(bytes(6, "v")))));
    fills(handle("v"), twisted(objects), (const char *const[]){"a" VALUE, NULL}, "v=a" VALUE " ");
}

static void a_damaged_object_graph_is_an_error(void **state)
{
    (void)state;
    /* the object, its variable, its reference to a child */
    refused(handle("v"), bytes(1, "\x0a"), "saved_model.pb as binary proto: ");
    refused(handle("v"), object(bytes(7, "\x32")), "saved_model.pb as binary proto: ");
    refused(handle("v"), object(bytes(1, "\x08")), "saved_model.pb as binary proto: ");
}

static void memory_that_ends_is_an_error(void **state)
{
    (void)state;
    const char *const keys[] = {"a" VALUE, "b/c" VALUE, NULL};
    sl_text objects = object(join(child(1, "a"), child(2, "b")));
    objects = join(objects, join(object(variable("v")), object(child(3, "c"))));
    objects = join(objects, object(variable("w")));
    model m = model_of(join(handle("v"), handle("w")), objects, keys);
    assert_true(fail_each_allocation(open_it, &m) > 20);
    close_model(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_variable_has_the_key_of_the_path_on_which_it_is_met_first),
        cmocka_unit_test(dots_and_slashes_in_names_are_escaped),
        cmocka_unit_test(an_object_on_a_path_that_is_too_long_is_not_met),
        cmocka_unit_test(what_two_objects_claim_or_nothing_holds_is_left_empty),
        cmocka_unit_test(the_last_of_two_variables_in_an_object_counts),
        cmocka_unit_test(a_handle_is_known_by_its_shared_name_if_it_has_one),
        cmocka_unit_test(fields_of_another_wire_type_are_skipped),
        cmocka_unit_test(a_damaged_object_graph_is_an_error),
        cmocka_unit_test(memory_that_ends_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
