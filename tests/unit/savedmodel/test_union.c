/* test_union.c - the union of the signatures that may be tasks of a MultiInference */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "savedmodel/savedmodel.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_tensor_of_a_task_is_there_once),
        cmocka_unit_test(a_copy_has_it_too),
        cmocka_unit_test(without_two_tasks_that_take_examples_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
