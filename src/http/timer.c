/* timer.c - see timer.h */
#include "http/timer.h"

#include "net/loop.h"

struct sl_http_timer {
    sl_timer timer; /* first: fired() gets a pointer to it */
    sl_http_call *call;
    void (*fn)(sl_http_call *call);
};

static void fired(sl_timer *timer)
{
    sl_http_timer *t = (sl_http_timer *)timer;
    t->fn(t->call);
}

sl_http_timer *sl_http_timer_new(sl_http_call *call)
{
    sl_http_timer *t = sl_arena_try_alloc(call->arena, sizeof *t);
    if (t != NULL)
        *t = (sl_http_timer){.timer = {.fire = fired}, .call = call};
    return t;
}

void sl_http_timer_start(sl_http_timer *t, uint64_t after_ns, void (*fn)(sl_http_call *call))
{
    t->fn = fn;
    sl_timer_start(t->call->loop, &t->timer, sl_loop_now(t->call->loop) + after_ns);
}

void sl_http_timer_stop(sl_http_timer *t)
{
    if (t != NULL)
        sl_timer_stop(&t->timer);
}
