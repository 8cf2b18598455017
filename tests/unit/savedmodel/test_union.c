/* test_union.c - the union of the signatures that may be tasks of a MultiInference */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "savedmodel/model.h"
#include "unit/savedmodel/messages.h"

static sl_saved_model *open_model(const char *name)
{
    char dir[512];
    sl_status st;
    sl_saved_model *m;
    snprintf(dir, sizeof dir, "%s/tests/models/%s/1", SLUICE_SOURCE_DIR, name);
    if (sl_saved_model_open(dir, NULL, 0, &m, &st))
        fail_msg("%s: %s", name, st.msg);
    return m;
}

static void assert_infos(const sl_tensor_info *infos, int n, const char *const *names)
{
    for (int i = 0; i < n; i++) {
        assert_string_equal(infos[i].key, names[i]);
        assert_string_equal(infos[i].name, names[i]);
    }
    assert_null(names[n]);
}

static void assert_union_of_half_plus_two(const sl_signatures *all)
{
    assert_int_equal(all->count, 5);
    assert_true(all->has_union);
    const sl_signature *u = &all->list[5];
    assert_infos(u->inputs, u->n_inputs, (const char *[]){"tf_example:0", "x2:0", NULL});
    assert_infos(u->outputs, u->n_outputs, (const char *[]){"y2:0", "y3:0", "y:0", NULL});
    assert_int_equal(u->inputs[0].dtype, SL_DT_STRING);
    assert_int_equal(sl_signatures_find(all, sl_str_of(u->key)), -1);
}

static void each_tensor_of_a_task_is_there_once(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("half_plus_two");
    assert_union_of_half_plus_two(sl_saved_model_signatures(m));
    sl_saved_model_close(m);
}

static void a_copy_has_it_too(void **state)
{
    (void)state;
    sl_saved_model *m = open_model("half_plus_two");
    sl_signatures *copy = sl_signatures_try_dup(sl_saved_model_signatures(m));
    sl_saved_model_close(m);
    assert_non_null(copy);
    assert_union_of_half_plus_two(copy);
    sl_signatures_free(copy);
}

static void without_two_tasks_that_take_examples_there_is_none(void **state)
{
    (void)state;
    const char *const names[] = {"linear", "identity", "counter", "image_bytes", "defaults"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        sl_saved_model *m = open_model(names[i]);
        assert_false(sl_saved_model_signatures(m)->has_union);
        sl_saved_model_close(m);
    }
}

/* Whether these outputs make a task, beside one that is. */
static bool is_a_task(const char *const *outputs)
{
    sl_text string = {0};
    sl_wire_put_varint(&string, 2, SL_DT_STRING);
    sl_text task = join(within(1, map_entry("inputs", join(bytes(1, "in:0"), string))),
                        within(2, map_entry("outputs", bytes(1, "y:0"))));
    sl_text other = {0}, twice = {0};
    sl_wire_put_varint(&twice, 2, SL_DT_STRING);
    put(&other, 1, map_entry("inputs", join(bytes(1, "in:0"), twice)));
    for (; *outputs != NULL; outputs++)
        put(&other, 2, map_entry(*outputs, bytes(1, *outputs)));
    sl_text meta = join(meta_graph(), within(5, map_entry("a", task)));
    sl_text file = within(2, join(meta, within(5, map_entry("b", other))));
    sl_buffer *pb = sl_buffer_try_new(file.n);
    sl_saved_model *m = NULL;
    assert_non_null(pb);
    memcpy(pb->data, file.p, file.n);
    assert_int_equal(sl_model_open_bytes("m", pb, NULL, NULL, &m, NULL), SL_OK);
    bool united = sl_saved_model_signatures(m)->has_union;
    sl_saved_model_close(m);
    sl_buffer_release(pb);
    sl_text_fini(&file);
    return united;
}

static void a_task_has_outputs_or_classes_and_scores_and_nothing_else(void **state)
{
    (void)state;
    assert_true(is_a_task((const char *const[]){"outputs", NULL}));
    assert_true(is_a_task((const char *const[]){"classes", NULL}));
    assert_true(is_a_task((const char *const[]){"scores", NULL}));
    assert_true(is_a_task((const char *const[]){"classes", "scores", NULL}));
    assert_false(is_a_task((const char *const[]){NULL}));
    assert_false(is_a_task((const char *const[]){"y", NULL}));
    assert_false(is_a_task((const char *const[]){"y", "z", NULL}));
    assert_false(is_a_task((const char *const[]){"outputs", "y", NULL}));
    assert_false(is_a_task((const char *const[]){"classes", "scores", "y", NULL}));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_tensor_of_a_task_is_there_once),
        cmocka_unit_test(a_copy_has_it_too),
        cmocka_unit_test(without_two_tasks_that_take_examples_there_is_none),
        cmocka_unit_test(a_task_has_outputs_or_classes_and_scores_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
