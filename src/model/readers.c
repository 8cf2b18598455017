/*
 * readers.c - the slots of readers.h
 *
 * One slot for each thread that ever looked, in a list that is only added to. A thread that ends
 * gives its slot to a later one, so there are never more slots than there were threads at once.
 */
#include "model/readers.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

_Thread_local sl_reader *sl_reader_mine;

static _Atomic(sl_reader *) all;
static pthread_key_t at_end;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void give_back(void *slot)
{
    sl_reader *r = slot;
    sl_reader_mine = NULL;
    atomic_store_explicit(&r->owned, false, memory_order_release);
}

static void create_key(void)
{
    if (pthread_key_create(&at_end, give_back))
        abort();
}

static sl_reader *reuse(void)
{
    for (sl_reader *r = atomic_load(&all); r != NULL; r = r->next)
        if (!atomic_load_explicit(&r->owned, memory_order_relaxed) &&
            !atomic_exchange(&r->owned, true))
            return r;
    return NULL;
}

sl_reader *sl_reader_register(void)
{
    pthread_once(&once, create_key);
    sl_reader *r = reuse();
    if (r == NULL) {
        r = aligned_alloc(_Alignof(sl_reader), sizeof *r);
        if (r == NULL) {
            fputs("sluice: out of memory for a thread\n", stderr);
            abort();
        }
        atomic_init(&r->looking, 0);
        atomic_init(&r->owned, true);
        r->next = atomic_load(&all);
        while (!atomic_compare_exchange_weak(&all, &r->next, r))
            ;
    }
    pthread_setspecific(at_end, r);
    sl_reader_mine = r;
    return r;
}

void sl_readers_wait(void)
{
    atomic_thread_fence(memory_order_seq_cst);
    for (sl_reader *r = atomic_load(&all); r != NULL; r = r->next) {
        unsigned seen = atomic_load(&r->looking);
        /* Odd: it is looking. Any other number means that it has looked away since. */
        while (seen % 2 == 1 && atomic_load(&r->looking) == seen)
            sched_yield();
    }
}
