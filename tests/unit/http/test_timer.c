/* test_timer.c - "later", for a handler that keeps its call open */
#include "unit/http/fixture.h"

#include "http/timer.h"

static sl_http_timer *timer;

static void answer_late(sl_http_call *call)
{
    sl_chain_puts(&call->reply, "late");
    sl_http_reply(call);
}

static sl_http_call *hold(fixture *f, int *fd)
{
    *fd = connect_client(f);
    send_text(f, *fd, "GET /hold HTTP/1.1\r\n\r\n");
    assert_int_equal(f->n_held, 1);
    return f->held[0];
}

static void a_timer_fires_once_and_when_it_is_time(void **state)
{
    fixture *f = *state;
    int fd;
    timer = sl_http_timer_new(hold(f, &fd));
    sl_http_timer_start(timer, SECOND, answer_late);
    sl_http_timer_start(timer, 2 * SECOND, answer_late); /* moves it */
    pass_time(f, 3 * SECOND / 2);
    assert_int_equal(f->n_done, 0);
    pass_time(f, SECOND);
    assert_int_equal(f->n_done, 1);
    assert_non_null(strstr(receive(f, fd), "\r\n\r\nlate"));
    close(fd);
}

static void a_stopped_timer_does_not_fire(void **state)
{
    fixture *f = *state;
    int fd;
    sl_http_call *call = hold(f, &fd);
    timer = sl_http_timer_new(call);
    sl_http_timer_start(timer, SECOND, answer_late);
    sl_http_timer_stop(timer);
    sl_http_timer_stop(timer); /* it does not run */
    sl_http_timer_stop(NULL);
    pass_time(f, 2 * SECOND);
    assert_int_equal(f->n_done, 0);
    sl_http_reply(call);
    assert_int_equal(f->n_done, 1);
    close(fd);
}

static void without_memory_there_is_no_timer(void **state)
{
    fixture *f = *state;
    int fd;
    sl_http_call *call = hold(f, &fd);
    call->arena->limit = 1;
    assert_null(sl_http_timer_new(call));
    call->arena->limit = 0;
    sl_http_reply(call);
    close(fd);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_timer_fires_once_and_when_it_is_time),
        T(a_stopped_timer_does_not_fire),
        T(without_memory_there_is_no_timer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
