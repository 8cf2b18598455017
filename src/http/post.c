/* post.c - replies from other threads: a hop to the loop that owns the connection */
#include "http/packed.h"
#include "net/loop.h"

_Static_assert(sizeof(sl_post) <= sizeof(((sl_http_call *)0)->post),
               "an sl_post fits into call->post");

static void reply(void *call)
{
    sl_http_reply(call);
}

void sl_http_reply_posted(sl_http_call *call)
{
    if (call->trailers.size == 0)
        sl_packed_reply(call); /* here, where it holds up nobody */
    sl_loop_post(call->loop, (sl_post *)call->post, reply, call);
}

void sl_http_spend(sl_http_call *call, uint64_t ns)
{
    sl_loop_spend(call->loop, ns);
}

uint64_t sl_http_spent_ns(const sl_http_call *call)
{
    return sl_loop_spent_ns(call->loop);
}
