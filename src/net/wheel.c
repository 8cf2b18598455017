/*
 * wheel.c - two wheels: a near one of single ticks, a far one whose slots are turns of the near one
 *
 * A tick t lies in near[t % 1024] if it comes within the near wheel's present turn or the next 1023
 * ticks, else in far[t / 1024 % 64]. When the near wheel begins a turn, the far slot of that turn
 * is emptied into it. What lies beyond the far wheel (11 minutes) waits in its last slot and is put
 * back.
 *
 * A stopped timer leaves its slot's bit set; the slot is found empty when its time comes.
 */
#include "net/wheel.h"

#include <string.h>

void sl_wheel_init(sl_wheel *w, uint64_t now_ns)
{
    memset(w, 0, sizeof *w);
    w->tick = now_ns / SL_WHEEL_TICK_NS;
}

void sl_timer_stop(sl_timer *t)
{
    if (t->prev == NULL)
        return;
    *t->prev = t->next;
    if (t->next != NULL)
        t->next->prev = t->prev;
    t->next = NULL;
    t->prev = NULL;
}

static void link_timer(sl_timer **slot, sl_timer *t)
{
    t->next = *slot;
    t->prev = slot;
    if (t->next != NULL)
        t->next->prev = &t->next;
    *slot = t;
}

/* Rounded up, so that it never fires early; at the earliest in the next tick. */
static uint64_t tick_of(const sl_wheel *w, uint64_t due_ns)
{
    uint64_t tick = due_ns / SL_WHEEL_TICK_NS + (due_ns % SL_WHEEL_TICK_NS != 0);
    return tick > w->tick ? tick : w->tick + 1;
}

static void insert(sl_wheel *w, sl_timer *t, uint64_t tick)
{
    uint64_t turns = tick / SL_WHEEL_NEAR - w->tick / SL_WHEEL_NEAR;
    if (tick - w->tick < SL_WHEEL_NEAR) {
        unsigned slot = tick % SL_WHEEL_NEAR;
        w->used[slot / 64] |= (uint64_t)1 << slot % 64;
        link_timer(&w->near[slot], t);
        return;
    }
    if (turns >= SL_WHEEL_FAR)
        turns = SL_WHEEL_FAR - 1;
    unsigned slot = (w->tick / SL_WHEEL_NEAR + turns) % SL_WHEEL_FAR;
    w->far_used |= (uint64_t)1 << slot;
    link_timer(&w->far[slot], t);
}

void sl_wheel_add(sl_wheel *w, sl_timer *t, uint64_t due_ns)
{
    sl_timer_stop(t);
    t->due_ns = due_ns;
    insert(w, t, tick_of(w, due_ns));
}

/* Takes a slot's list off, so that what is started while it is walked is not met. */
static void detach(sl_timer **slot, sl_timer **list)
{
    *list = *slot;
    *slot = NULL;
    if (*list != NULL)
        (*list)->prev = list;
}

static void begin_turn(sl_wheel *w)
{
    unsigned slot = w->tick / SL_WHEEL_NEAR % SL_WHEEL_FAR;
    sl_timer *list;
    w->far_used &= ~((uint64_t)1 << slot);
    detach(&w->far[slot], &list);
    while (list != NULL) {
        sl_timer *t = list;
        sl_timer_stop(t);
        /* The tick that is about to be done is not too late for a timer that is due in it. */
        uint64_t tick = t->due_ns / SL_WHEEL_TICK_NS + (t->due_ns % SL_WHEEL_TICK_NS != 0);
        insert(w, t, tick < w->tick ? w->tick : tick);
    }
}

/* The first tick after `from` whose slot may hold something, at most one turn ahead. */
static uint64_t next_used(const sl_wheel *w, uint64_t from)
{
    for (uint64_t t = from + 1; t <= from + SL_WHEEL_NEAR;) {
        unsigned slot = t % SL_WHEEL_NEAR;
        uint64_t bits = w->used[slot / 64] >> slot % 64;
        if (bits != 0)
            return t + (unsigned)__builtin_ctzll(bits);
        t += 64 - slot % 64;
    }
    return UINT64_MAX;
}

static uint64_t next_turn(const sl_wheel *w)
{
    return (w->tick / SL_WHEEL_NEAR + 1) * SL_WHEEL_NEAR;
}

static uint64_t next_tick(const sl_wheel *w)
{
    uint64_t tick = next_used(w, w->tick);
    return w->far_used && next_turn(w) < tick ? next_turn(w) : tick;
}

static void do_tick(sl_wheel *w)
{
    unsigned slot = w->tick % SL_WHEEL_NEAR;
    sl_timer *list;
    if (slot == 0 && w->far_used)
        begin_turn(w);
    w->used[slot / 64] &= ~((uint64_t)1 << slot % 64);
    detach(&w->near[slot], &list);
    while (list != NULL) {
        sl_timer *t = list;
        sl_timer_stop(t);
        t->fire(t);
    }
}

void sl_wheel_advance(sl_wheel *w, uint64_t now_ns)
{
    uint64_t target = now_ns / SL_WHEEL_TICK_NS;
    while (w->tick < target) {
        uint64_t next = next_tick(w);
        w->tick = next < target ? next : target;
        do_tick(w);
    }
}

uint64_t sl_wheel_next(const sl_wheel *w)
{
    uint64_t tick = next_tick(w);
    return tick == UINT64_MAX ? UINT64_MAX : tick * SL_WHEEL_TICK_NS;
}
