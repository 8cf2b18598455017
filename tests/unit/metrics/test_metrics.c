#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <math.h>
#include <pthread.h>

#include "metrics/metrics.h"

/* The page, terminated; the caller frees it. */
static char *page(void)
{
    sl_chain c = {0};
    sl_metrics_write(&c);
    assert_false(c.failed);
    char *text = malloc(c.size + 1);
    sl_chain_copy(&c, text);
    text[c.size] = '\0';
    sl_chain_reset(&c);
    return text;
}

static void assert_on_page(const char *wanted)
{
    char *text = page();
    if (strstr(text, wanted) == NULL)
        fail_msg("not on the page:\n%s\nthe page:\n%s", wanted, text);
    free(text);
}

static void metric_without_cells_prints_its_type_only(void **state)
{
    (void)state;
    static const char *const labels[] = {"model", NULL};
    sl_metric_register("/t/empty-name.x", SL_COUNTER, labels, NULL, 0);
    sl_metric_register("/t/empty_next", SL_GAUGE, labels, NULL, 0);
    assert_on_page("# TYPE :t:empty:name:x counter\n# TYPE :t:empty_next gauge\n");
}

static void counter_prints_its_labels_and_an_integer(void **state)
{
    (void)state;
    static const char *const labels[] = {"model_name", "status", NULL};
    sl_metric *m = sl_metric_register("/t/requests", SL_COUNTER, labels, NULL, 0);
    sl_str b[] = {SL_STR("half"), SL_STR("OK")}, a[] = {SL_STR("half"), SL_STR("NOT_FOUND")};
    sl_cell_add(sl_metric_cell(m, b), 5);
    sl_cell_add(sl_metric_cell(m, b), 1);
    sl_cell_add(sl_metric_cell(m, a), 2);
    assert_ptr_equal(sl_metric_cell(m, b), sl_metric_cell(m, b));
    assert_ptr_equal(sl_metric_register("/t/requests", SL_COUNTER, labels, NULL, 0), m);
    assert_on_page("# TYPE :t:requests counter\n"
                   ":t:requests{model_name=\"half\",status=\"NOT_FOUND\"} 2\n"
                   ":t:requests{model_name=\"half\",status=\"OK\"} 6\n");
}

static void metric_without_labels_keeps_the_braces(void **state)
{
    (void)state;
    sl_metric *m = sl_metric_register("/t/gauge", SL_GAUGE, NULL, NULL, 0);
    sl_cell *c = sl_metric_cell(m, NULL);
    sl_cell_set(c, 7);
    sl_cell_add(c, -10);
    assert_on_page("# TYPE :t:gauge gauge\n:t:gauge{} -3\n");
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    static const char *const labels[] = {"9lives-x", NULL};
    sl_metric *m = sl_metric_register("/t/escape", SL_COUNTER, labels, NULL, 0);
    sl_str v = SL_STR("a\\b\"c\nd");
    sl_cell_add(sl_metric_cell(m, &v), 1);
    assert_on_page(":t:escape{_9lives_x=\"a\\\\b\\\"c\\nd\"} 1\n");
}

static void histogram_counts_below_its_limits(void **state)
{
    (void)state;
    static const char *const labels[] = {"k", NULL};
    static const double limits[] = {1, 2.5, 1274823.6};
    sl_metric *m = sl_metric_register("/t/h", SL_HISTOGRAM, labels, limits, 3);
    sl_cell *c = sl_metric_cell(m, &SL_STR("v"));
    sl_cell_sample(c, 0.5);
    sl_cell_sample(c, 1); /* a value that equals a limit: the next bucket */
    sl_cell_sample(c, 2);
    sl_cell_sample(c, 7680720);
    sl_cell_sample(c, NAN); /* counted, but it must not spoil the sum */
    assert_on_page("# TYPE :t:h histogram\n"
                   ":t:h_bucket{k=\"v\",le=\"1\"} 1\n"
                   ":t:h_bucket{k=\"v\",le=\"2.5\"} 3\n"
                   ":t:h_bucket{k=\"v\",le=\"1.27482e+06\"} 3\n"
                   ":t:h_bucket{k=\"v\",le=\"+Inf\"} 5\n"
                   ":t:h_sum{k=\"v\"} 7.68072e+06\n"
                   ":t:h_count{k=\"v\"} 5\n");
}

static void histogram_without_labels_has_its_limit_alone(void **state)
{
    (void)state;
    static const double limits[] = {1};
    sl_metric *m = sl_metric_register("/t/i", SL_HISTOGRAM, NULL, limits, 1);
    sl_cell_sample(sl_metric_cell(m, NULL), 0.25);
    assert_on_page(":t:i_bucket{le=\"1\"} 1\n:t:i_bucket{le=\"+Inf\"} 1\n:t:i_sum{} 0.25\n"
                   ":t:i_count{} 1\n");
}

static void limits_are_those_of_the_original(void **state)
{
    (void)state;
    static const char *const first[] = {"10", "18", "32.4", "58.32", "104.976", "188.957"};
    const double *a = sl_metric_exponential(10, 1.8, 33);
    char text[32];
    for (int i = 0; i < 6; i++) {
        snprintf(text, sizeof text, "%g", a[i]);
        assert_string_equal(text, first[i]);
    }
    snprintf(text, sizeof text, "%g", a[32]);
    assert_string_equal(text, "1.47476e+09");
    assert_ptr_equal(a, sl_metric_exponential(10, 1.8, 33));
}

static void page_is_ordered_by_name(void **state)
{
    (void)state;
    sl_metric_register("/t/order/b", SL_COUNTER, NULL, NULL, 0);
    sl_metric_register("/t/order/a", SL_COUNTER, NULL, NULL, 0);
    sl_metric_register("/t/order/B", SL_COUNTER, NULL, NULL, 0);
    assert_on_page("# TYPE :t:order:B counter\n# TYPE :t:order:a counter\n"
                   "# TYPE :t:order:b counter\n");
}

static void client_cannot_fill_the_memory_with_names(void **state)
{
    (void)state;
    static const char *const labels[] = {"model_name", NULL};
    sl_metric *m = sl_metric_register("/t/bounded", SL_COUNTER, labels, NULL, 0);
    char name[512];
    for (int i = 0; i < 5000; i++) {
        int n = snprintf(name, sizeof name, "model-%d", i);
        sl_cell_add(sl_metric_cell(m, &(sl_str){name, (size_t)n}), 1);
    }
    assert_on_page(":t:bounded{model_name=\"model-0\"} 1\n");
    assert_on_page(":t:bounded{model_name=\"other\"} 4000\n");
    char *text = page();
    assert_null(strstr(text, "model-4999"));
    free(text);
    /* Nor with one long one. */
    memset(name, 'x', sizeof name);
    sl_metric *other = sl_metric_register("/t/long", SL_COUNTER, labels, NULL, 0);
    sl_cell_add(sl_metric_cell(other, &(sl_str){name, sizeof name}), 1);
    assert_on_page("# TYPE :t:long counter\n:t:long{model_name=\"other\"} 1\n");
}

/* ---- threads ---- */

enum { THREADS = 4, ROUNDS = 20000 };

static void *count_a_lot(void *arg)
{
    static const char *const labels[] = {"k", NULL};
    sl_metric *c = sl_metric_register("/t/many", SL_COUNTER, labels, NULL, 0);
    sl_metric *h =
        sl_metric_register("/t/many_h", SL_HISTOGRAM, labels, sl_metric_exponential(1, 2, 14), 14);
    char name[16];
    for (int i = 0; i < ROUNDS; i++) {
        int n = snprintf(name, sizeof name, "%d", i % 100);
        sl_str v = {name, (size_t)n};
        sl_cell_add(sl_metric_cell(c, &v), 1);
        sl_cell_sample(sl_metric_cell(h, &v), 1.5);
        if (i % 5000 == 0)
            free(page());
    }
    return arg;
}

static void nothing_is_lost_among_threads(void **state)
{
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_a_lot, NULL), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_on_page(":t:many{k=\"0\"} 800\n");
    assert_on_page(":t:many{k=\"99\"} 800\n");
    assert_on_page(":t:many_h_sum{k=\"50\"} 1200\n:t:many_h_count{k=\"50\"} 800\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metric_without_cells_prints_its_type_only),
        cmocka_unit_test(counter_prints_its_labels_and_an_integer),
        cmocka_unit_test(metric_without_labels_keeps_the_braces),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(histogram_counts_below_its_limits),
        cmocka_unit_test(histogram_without_labels_has_its_limit_alone),
        cmocka_unit_test(limits_are_those_of_the_original),
        cmocka_unit_test(page_is_ordered_by_name),
        cmocka_unit_test(client_cannot_fill_the_memory_with_names),
        cmocka_unit_test(nothing_is_lost_among_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
