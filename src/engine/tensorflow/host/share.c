/* share.c - see share.h */
#include "engine/tensorflow/host/share.h"

#include <errno.h>
#include <unistd.h>

#include "engine/tensorflow/host/autogroup.h"

/* A seventieth of the weight of others, so that a load comes to an end beside requests that never do. With more
 * (nice 15) the kernel owes it so much, whenever it has waited, that others wait when they wake up. */
enum { LOADING = TF_NICEST };
/* Of one that does not come to an end with that: a tenth. */
enum { LOADING_LONG = 10 };
static const uint64_t TRY_AGAIN_NS = 20000000, LONG_NS = 20000000000u;

/* ENOMEM: or a version would have the share of one that loads for as long as it serves. */
static bool is_for_later(int e)
{
    return e == EAGAIN || e == ENOMEM;
}

uint64_t tf_share_keep(tf_share *s, pid_t pid, uint64_t now_ns)
{
    if (s->autogroup == 0)
        return UINT64_MAX;
    if (s->long_ns != 0 && now_ns >= s->long_ns) {
        s->long_ns = 0;
        s->wanted = LOADING_LONG;
        s->done = false;
        s->due_ns = 0;
    }
    if (!s->done && now_ns < s->due_ns)
        return s->due_ns;
    if (!s->done && is_for_later(tf_autogroup_nice(s->autogroup, pid, s->wanted)))
        return s->due_ns = now_ns + TRY_AGAIN_NS;
    s->done = true; /* or it will never be had */
    return s->long_ns ? s->long_ns : UINT64_MAX;
}

void tf_share_begin(bool lower)
{
    setsid();
    if (lower)
        tf_autogroup_own(LOADING);
}

static void want(tf_share *s, pid_t pid, int nice, uint64_t long_ns, uint64_t now_ns)
{
    s->wanted = nice;
    s->long_ns = long_ns;
    s->done = false; /* it may have set its own */
    s->due_ns = 0;
    tf_share_keep(s, pid, now_ns);
}

void tf_share_lower(tf_share *s, pid_t pid, bool lower, uint64_t now_ns)
{
    if (!s->ending)
        want(s, pid, lower ? LOADING : 0, lower ? now_ns + LONG_NS : 0, now_ns);
}

void tf_share_end(tf_share *s, pid_t pid, uint64_t now_ns)
{
    s->ending = true;
    want(s, pid, TF_NICEST, 0, now_ns);
}
