/* Readers acquire and release while a writer replaces the version under them again and again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/str.h"
#include "model/readers.h"
#include "model/table.h"

static _Atomic(sl_table *) current;

static void count_drained(void *arg)
{
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* Publishes `route` (NULL: none) for "m" and gives back what was there. */
static void publish(sl_route *route)
{
    sl_route *gone;
    sl_table *old = atomic_load(&current);
    atomic_store(&current, sl_table_with(old, "m", route, &gone));
    sl_readers_wait();
    sl_table_free(old);
    sl_route_free(gone);
}

static sl_serving *new_serving(int64_t number, atomic_int *drained)
{
    sl_version v = {.model = "m", .number = number};
    return sl_serving_new(&v, count_drained, drained);
}

static int clear(void **state)
{
    (void)state;
    sl_table_free_all(atomic_exchange(&current, NULL));
    return 0;
}

static void serving_is_drained_by_its_last_release(void **state)
{
    (void)state;
    atomic_int drained = 0;
    sl_status st;
    const sl_version *a, *b;
    int64_t number = 5;
    sl_serving *s = new_serving(number, &drained);
    sl_model_spec spec = {.model = SL_STR("m")};
    publish(sl_route_new("m", &s, &number, 1, NULL, 0));
    assert_int_equal(sl_table_acquire(&current, &spec, &a, &st), SL_OK);
    assert_int_equal(sl_table_acquire(&current, &spec, &b, &st), SL_OK);
    publish(NULL);
    sl_serving_retire(s);
    assert_int_equal(sl_table_acquire(&current, &spec, &b, &st), SL_NOT_FOUND);
    sl_version_release(a);
    assert_int_equal(drained, 0);
    sl_version_release(b);
    assert_int_equal(drained, 1);
    sl_serving_free(s);
}

static void table_keeps_the_other_models(void **state)
{
    (void)state;
    atomic_int drained = 0;
    sl_status st;
    const sl_version *v;
    sl_route *gone;
    sl_serving *all[100];
    char name[16];
    for (int64_t i = 0; i < 100; i++) {
        all[i] = new_serving(i, &drained);
        snprintf(name, sizeof name, "model%d", (int)i);
        sl_table *old = atomic_load(&current);
        atomic_store(&current,
                     sl_table_with(old, name, sl_route_new(name, &all[i], &i, 1, NULL, 0), &gone));
        assert_null(gone);
        sl_table_free(old);
    }
    for (int64_t i = 0; i < 100; i++) {
        int n = snprintf(name, sizeof name, "model%d", (int)i);
        sl_model_spec spec = {.model = {name, (size_t)n}};
        assert_int_equal(sl_table_acquire(&current, &spec, &v, &st), SL_OK);
        assert_int_equal(v->number, i);
        sl_version_release(v);
    }
    clear(NULL);
    for (int i = 0; i < 100; i++) {
        sl_serving_retire(all[i]);
        sl_serving_free(all[i]);
    }
    assert_int_equal(drained, 100);
}

static void versions_and_labels_are_found(void **state)
{
    (void)state;
    atomic_int drained = 0;
    sl_status st;
    const sl_version *v;
    int64_t numbers[] = {-3, 2, 40};
    sl_serving *s[3];
    static const sl_label labels[] = {{"stable", 2}, {"gone", 7}};
    for (int i = 0; i < 3; i++)
        s[i] = new_serving(numbers[i], &drained);
    publish(sl_route_new("m", s, numbers, 3, labels, 2));
    for (int i = 0; i < 3; i++) {
        sl_model_spec spec = {.model = SL_STR("m"), .has_version = true, .version = numbers[i]};
        assert_int_equal(sl_table_acquire(&current, &spec, &v, &st), SL_OK);
        assert_int_equal(v->number, numbers[i]);
        sl_version_release(v);
    }
    sl_model_spec spec = {.model = SL_STR("m"), .label = SL_STR("stable")};
    assert_int_equal(sl_table_acquire(&current, &spec, &v, &st), SL_OK);
    assert_int_equal(v->number, 2);
    sl_version_release(v);
    spec.label = SL_STR("gone");
    assert_int_equal(sl_table_acquire(&current, &spec, &v, &st), SL_NOT_FOUND);
    assert_string_equal(st.msg, "Servable not found for request: Specific(m, 7)");
    clear(NULL);
    for (int i = 0; i < 3; i++) {
        sl_serving_retire(s[i]);
        sl_serving_free(s[i]);
    }
    assert_int_equal(drained, 3);
}

/* ---- many readers, one writer ---- */

enum { READERS = 3, CHANGES = 300, HELD = 8 };

static atomic_bool stop;

static void *read_a_lot(void *arg)
{
    (void)arg;
    const sl_version *held[HELD] = {NULL};
    sl_model_spec spec = {.model = SL_STR("m")};
    sl_status st;
    intptr_t wrong = 0;
    for (unsigned i = 0; !atomic_load_explicit(&stop, memory_order_relaxed); i++) {
        const sl_version **slot = &held[i % HELD];
        if (*slot != NULL) {
            wrong += strcmp((*slot)->model, "m") != 0; /* freed memory would show */
            sl_version_release(*slot);
            *slot = NULL;
        }
        wrong += sl_table_acquire(&current, &spec, slot, &st) != SL_OK;
    }
    for (int i = 0; i < HELD; i++)
        if (held[i] != NULL)
            sl_version_release(held[i]);
    return (void *)wrong;
}

static void free_serving(void *arg)
{
    sl_serving **s = arg;
    sl_serving_free(*s);
    *s = NULL;
}

static void readers_never_meet_a_gap_or_freed_memory(void **state)
{
    (void)state;
    static sl_serving *servings[CHANGES];
    pthread_t threads[READERS];
    void *wrong;
    atomic_store(&stop, false);
    for (int64_t i = 0; i < CHANGES; i++) {
        sl_version v = {.model = "m", .number = i};
        sl_serving *s = servings[i] = sl_serving_new(&v, free_serving, &servings[i]);
        publish(sl_route_new("m", &s, &i, 1, NULL, 0));
        if (i == 0)
            for (int k = 0; k < READERS; k++)
                assert_int_equal(pthread_create(&threads[k], NULL, read_a_lot, NULL), 0);
        else
            sl_serving_retire(servings[i - 1]);
    }
    atomic_store(&stop, true);
    for (int k = 0; k < READERS; k++) {
        pthread_join(threads[k], &wrong);
        assert_null(wrong);
    }
    publish(NULL);
    sl_serving_retire(servings[CHANGES - 1]);
    for (int i = 0; i < CHANGES; i++)
        assert_null(servings[i]); /* every one was freed, by whoever released it last */
}

static void *register_and_leave(void *arg)
{
    sl_readers_leave(sl_readers_enter());
    return arg;
}

static void threads_that_end_leave_their_slots_to_others(void **state)
{
    (void)state;
    /* With a slot lost for each thread the writer's walk would become ever longer. */
    pthread_t t;
    sl_reader *first = sl_reader_register();
    for (int i = 0; i < 100; i++) {
        assert_int_equal(pthread_create(&t, NULL, register_and_leave, NULL), 0);
        pthread_join(t, NULL);
    }
    int slots = 0;
    for (const sl_reader *r = first; r != NULL; r = r->next)
        slots++;
    assert_true(slots < 20);
    sl_readers_wait();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(serving_is_drained_by_its_last_release, clear),
        cmocka_unit_test_teardown(table_keeps_the_other_models, clear),
        cmocka_unit_test_teardown(versions_and_labels_are_found, clear),
        cmocka_unit_test_teardown(readers_never_meet_a_gap_or_freed_memory, clear),
        cmocka_unit_test(threads_that_end_leave_their_slots_to_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
