/*
 * turns.h - how long the threads of a process that loads may keep a processor while others want it
 *
 * Linux decides whether a thread that wakes up comes before the one that runs at that moment only, by
 * who has had more than his share lately, and looks again with the next tick: up to 4 ms later. A thread
 * that answers requests, and has just worked, loses then, however small the share of the one that
 * loads is. So who loads lets go by itself, each 100 us, in the middle of whatever code of
 * TensorFlow's it is: a timer sends its thread a signal, the handler calls sched_yield().
 *
 * A thread that waits would be woken by it, and is left alone: the thread that loads, or runs a request
 * of the warm-up, looks now and then which others of its process work, and those are interrupted, too,
 * until they have nothing to do.
 *
 * What TensorFlow waits in is restarted (SA_RESTART), or restarts by itself; sleeps and polls end early.
 *
 * Source: timer_create(2), SIGEV_THREAD_ID; sched_yield(2).
 */
#ifndef SL_TF_HOST_TURNS_H
#define SL_TF_HOST_TURNS_H

/* In a process that has one thread yet, before it confines itself: opens what says of its threads, a
 * descriptor that is to stay open. The calling thread gives way from here on. -1: nobody does. */
int tf_turns_begin(void);

/* The calling thread works, and gives way meanwhile, or has done so and is going to wait. Nothing
 * after tf_turns_end(). */
void tf_turns_work(void);
void tf_turns_wait(void);

/* The calling thread has begun to work, and is interrupted until it has nothing to do. */
void tf_turns_join(void);

/* Clients wait for answers now: nobody gives way any more, and all threads have the shortest turns there
 * are (sl_thread_short_turns). */
void tf_turns_end(void);

#endif
