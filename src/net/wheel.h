/*
 * wheel.h - the timers of one loop, in slots of 10 ms
 *
 * Starting and stopping a timer is a few stores. A timer never fires early, and late by at most one
 * slot and the length of the round. Belongs to the loop's thread.
 */
#ifndef SL_NET_WHEEL_H
#define SL_NET_WHEEL_H

#include "net/loop.h"

#define SL_WHEEL_TICK_NS 10000000u
enum { SL_WHEEL_NEAR = 1024, SL_WHEEL_FAR = 64 };

typedef struct sl_wheel {
    uint64_t tick;                 /* the last one that has been done */
    sl_timer *near[SL_WHEEL_NEAR]; /* due within 10.24 s: one tick a slot */
    sl_timer *far[SL_WHEEL_FAR];   /* later: 10.24 s a slot, moved to near when their time comes */
    uint64_t used[SL_WHEEL_NEAR / 64]; /* a bit for each slot of near that may not be empty */
    uint64_t far_used;
} sl_wheel;

void sl_wheel_init(sl_wheel *w, uint64_t now_ns);
void sl_wheel_add(sl_wheel *w, sl_timer *t, uint64_t due_ns);
/* Calls what is due. A timer started meanwhile fires in a later call. */
void sl_wheel_advance(sl_wheel *w, uint64_t now_ns);
/* When advance should be called next, at the latest; UINT64_MAX: never. */
uint64_t sl_wheel_next(const sl_wheel *w);

#endif
