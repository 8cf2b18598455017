/* test_reload.c - HandleReloadConfigRequest: a thread of its own, and the end that waits for it */
#include "api/grpc/call.h"
#include "metrics/metrics.h"
#include "unit/api/messages.h"

static atomic_bool ending; /* a reload goes on until somebody waits for its end */
static sl_code outcome_;
static sl_str seen;
static sl_metric *counted;

static sl_code reload(void *arg, sl_str config, sl_text *report, sl_status *st)
{
    world *w = arg;
    seen.n = config.n;
    sl_cell_add(sl_metric_cell(counted, NULL), 3);
    while (atomic_load(&ending) && atomic_load(&w->grpc.changed.waiting) == 0)
        sched_yield();
    if (outcome_)
        return sl_fail(st, outcome_, "no such model");
    sl_text_puts(report, "all is as it was");
    return SL_OK;
}

/* Asks for a reload, and by how much a counter grows with it. */
static void ask_to_reload(world *w, bool later)
{
    sl_text t = {0}, config = {0};
    put_string(&config, 1, "");
    put_inside(&t, 1, &config);
    put_string(&t, 2, "/test/reloads");
    put_string(&t, 2, "/test/none");
    put_in_frame(&t, false);
    request q = rpc("/tensorflow.serving.ModelService/HandleReloadConfigRequest", TYPE, &t);
    q.later = later;
    ask(w, &q);
    sl_text_fini(&t);
}

static int set_up_reload(void **state)
{
    static const char *const none[] = {NULL};
    int rc = set_up(state);
    world *w = *state;
    w->reload = reload;
    outcome_ = SL_OK;
    atomic_store(&ending, false);
    counted = sl_metric_register("/test/reloads", SL_COUNTER, none, NULL, 0);
    return rc;
}

static void a_reload_is_answered_when_it_is_done_with_what_grew(void **state)
{
    world *w = *state;
    ask_to_reload(w, false);
    ends(w, 0, "");
    assert_int_equal(seen.n, 2);
    assert_true(body_has(w, "/test/reloads\x10\3"));
    assert_true(body_has(w, "/test/none"));
}

static void one_that_fails_is_the_status(void **state)
{
    world *w = *state;
    outcome_ = SL_NOT_FOUND;
    ask_to_reload(w, false);
    ends(w, 5, "no such model");
}

static void the_end_waits_for_those_under_way(void **state)
{
    world *w = *state;
    atomic_store(&ending, true);
    ask_to_reload(w, true);
    assert_false(is_replied(w));
    sl_grpc_reloads_end(&w->grpc);
    assert_int_equal(w->grpc.reloads, 0);
    ends(w, 0, "");
}

static void only_so_many_go_on_at_once(void **state)
{
    world *w = *state;
    w->grpc.reloads = 64;
    ask_to_reload(w, false);
    ends(w, 8, "too many reloads at once");
    assert_int_equal(w->grpc.reloads, 64);
    w->grpc.reloads = 0;
}

static void without_a_thread_there_is_none(void **state)
{
    world *w = *state;
    sl_fault_arm(SL_FAULT_THREAD, 1);
    ask_to_reload(w, false);
    sl_fault_arm(SL_FAULT_THREAD, 0);
    ends(w, 8, "thread");
    assert_int_equal(w->grpc.reloads, 0);
}

static void a_server_without_a_configuration_has_none(void **state)
{
    world *w = *state;
    w->grpc.opt.reload = NULL;
    ask_to_reload(w, false);
    ends(w, 12, "cannot be reloaded");
}

#define R(test) cmocka_unit_test_setup_teardown(test, set_up_reload, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        R(a_reload_is_answered_when_it_is_done_with_what_grew),
        R(one_that_fails_is_the_status),
        R(the_end_waits_for_those_under_way),
        R(only_so_many_go_on_at_once),
        R(without_a_thread_there_is_none),
        R(a_server_without_a_configuration_has_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
