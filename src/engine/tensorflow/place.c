/*
 * place.c - which slot a request gets
 *
 * A stack of free places, so that the few that are needed stay warm. A place whose region an output
 * still refers to can be used again at once: it gets a new region, and the old one goes with the
 * output. A place whose request was abandoned (deadline, cancelled) belongs to the child until that
 * answers; whoever looks for a place looks first whether it has.
 */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

enum { FIRST_SIZE = 64 * 1024, TRIM_FROM = 1024 * 1024 };
static const uint64_t TICK_NS = 5000000; /* how often `cancelled` is looked at */
static const uint64_t TRIM_AFTER_NS = 5000000000u, STUCK_NS = 10000000000u;

static void take_back_abandoned(tf_child *c)
{
    for (int i = 0; c->n_abandoned > 0 && i < c->n_places; i++) {
        tf_place *p = &c->places[i];
        uint32_t state = atomic_load(&c->control->slots[i].state);
        if (p->state != TF_ABANDONED || (state != SL_TF_REPLY && state != SL_TF_UNABLE))
            continue;
        p->state = TF_FREE;
        p->replace = true; /* nobody has read whether TensorFlow kept the inputs */
        atomic_store(&c->control->slots[i].state, SL_TF_IDLE);
        c->free[c->n_free++] = i;
        c->n_abandoned--;
    }
}

/* True: the region is nobody else's. */
static bool is_ours(const tf_place *p)
{
    return p->region != NULL && !p->replace &&
           __atomic_load_n(&p->region->refs, __ATOMIC_ACQUIRE) == 1;
}

/* The newest free place whose region can be used as it is, or the newest. */
static int pop(tf_child *c)
{
    int at = c->n_free - 1;
    for (int i = at; i >= 0; i--)
        if (is_ours(&c->places[c->free[i]])) {
            at = i;
            break;
        }
    int place = c->free[at];
    memmove(&c->free[at], &c->free[at + 1], (size_t)(c->n_free - 1 - at) * sizeof *c->free);
    c->n_free--;
    return place;
}

static sl_code unavailable(const sl_session *s, sl_status *st)
{
    return sl_fail(st, SL_UNAVAILABLE, "%s", s->why_not);
}

/* Ends in any case: if nobody ever answers, the child is ended (tf_places_tend). */
static sl_code wait_for_place(sl_session *s, const sl_run *run, sl_status *st)
{
    uint64_t now = sl_now_ns();
    if (run->deadline_ns && now >= run->deadline_ns)
        return sl_fail(st, SL_DEADLINE_EXCEEDED, "deadline exceeded while waiting for TensorFlow");
    if (run->cancelled != NULL && atomic_load(run->cancelled))
        return sl_fail(st, SL_CANCELLED, "request was cancelled");
    uint64_t until = now + TICK_NS;
    if (run->deadline_ns && run->deadline_ns < until)
        until = run->deadline_ns;
    sl_cond_wait_until(&s->freed, &s->lock, until);
    return SL_OK;
}

static sl_code choose(sl_session *s, const sl_run *run, tf_child **child, int *place, sl_status *st)
{
    for (;;) {
        tf_child *c = s->ready;
        if (c == NULL)
            return unavailable(s, st);
        take_back_abandoned(c);
        if (c->n_free > 0 || c->n_places < SL_TF_SLOTS) {
            *place = c->n_free > 0 ? pop(c) : c->n_places++;
            *child = c;
            c->refs++;
            c->places[*place].state = TF_BUSY;
            return SL_OK;
        }
        sl_code rc = wait_for_place(s, run, st);
        if (rc)
            return rc;
    }
}

/* Gives the place a region of its own, and the child the descriptor. */
static sl_code give_region(tf_child *c, int place, size_t size, sl_status *st)
{
    tf_place *p = &c->places[place];
    tf_region *r = tf_region_new(size);
    if (r == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: request of %zu bytes", size);
    sl_tf_msg m = {.kind = SL_TF_REGION,
                   .slot = (uint32_t)place,
                   .generation = p->generation + 1,
                   .value = r->size};
    int e = sl_tf_send(c->socket, &m, &r->fd, 1);
    if (e) {
        tf_region_release(r);
        return sl_fail(st, SL_UNAVAILABLE, "cannot reach the TensorFlow process: %s", strerror(e));
    }
    tf_region_release(p->region);
    p->region = r;
    p->replace = false;
    p->generation++;
    atomic_store(&c->control->slots[place].generation, p->generation);
    return SL_OK;
}

sl_code tf_place_acquire(sl_session *s, const sl_run *run, size_t size, tf_child **child,
                         int *place, sl_status *st)
{
    pthread_mutex_lock(&s->lock);
    sl_code rc = choose(s, run, child, place, st);
    pthread_mutex_unlock(&s->lock);
    if (rc)
        return rc;
    /* A busy place is this thread's alone. */
    tf_place *p = &(*child)->places[*place];
    if (!is_ours(p))
        rc = give_region(*child, *place, SL_MAX(size, (size_t)FIRST_SIZE), st);
    else if (!tf_region_grow(p->region, size))
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: request of %zu bytes", size);
    if (rc)
        tf_place_release(s, *child, *place, false);
    return rc;
}

void tf_place_release(sl_session *s, tf_child *c, int place, bool abandon)
{
    tf_place *p = &c->places[place];
    uint64_t now = sl_now_ns();
    pthread_mutex_lock(&s->lock);
    p->since_ns = now;
    p->state = abandon ? TF_ABANDONED : TF_FREE;
    if (abandon) {
        c->n_abandoned++;
    } else {
        c->free[c->n_free++] = place;
        if (c->n_free == 1)
            sl_cond_signal(&s->freed);
    }
    tf_child_release(c);
    pthread_mutex_unlock(&s->lock);
}

bool tf_places_tend(tf_child *c, uint64_t now)
{
    uint64_t oldest = now;
    take_back_abandoned(c);
    for (int i = 0; i < c->n_places; i++) {
        tf_place *p = &c->places[i];
        if (p->state == TF_ABANDONED && p->since_ns < oldest)
            oldest = p->since_ns;
        if (p->state != TF_FREE || !is_ours(p) || p->region->size < TRIM_FROM || !p->since_ns ||
            now < p->since_ns + TRIM_AFTER_NS)
            continue;
        tf_region_trim(p->region);
        p->since_ns = 0; /* done, until it is used again */
    }
    return c->n_abandoned == SL_TF_SLOTS && now > oldest + STUCK_NS;
}
