/* share.c - see share.h */
#include "engine/tensorflow/host/share.h"

#include <errno.h>
#include <unistd.h>

#include "engine/tensorflow/host/autogroup.h"

/* 1/30 of the weight of others, so that a load comes to an end beside requests that never do. */
enum { LOADING = 15 };
static const uint64_t TRY_AGAIN_NS = 20000000;

uint64_t tf_share_keep(tf_share *s, pid_t pid, uint64_t now_ns)
{
    if (s->is == s->wanted || s->autogroup == 0)
        return UINT64_MAX;
    if (now_ns < s->due_ns)
        return s->due_ns;
    if (tf_autogroup_nice(s->autogroup, pid, s->wanted) == EAGAIN)
        return s->due_ns = now_ns + TRY_AGAIN_NS;
    s->is = s->wanted; /* or it will never be had */
    return UINT64_MAX;
}

void tf_share_begin(void)
{
    setsid();
    int file = tf_autogroup_open(getpid());
    if (file == 0)
        return;
    tf_autogroup_nice(file, getpid(), LOADING);
    close(file);
}

void tf_share_lower(tf_share *s, pid_t pid, bool lower, uint64_t now_ns)
{
    if (!s->ending)
        s->wanted = lower ? LOADING : 0;
    tf_share_keep(s, pid, now_ns);
}

void tf_share_end(tf_share *s, pid_t pid, uint64_t now_ns)
{
    s->ending = true;
    s->wanted = TF_NICEST;
    tf_share_keep(s, pid, now_ns);
}
