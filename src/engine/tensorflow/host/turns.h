/*
 * turns.h - how long the threads of a process may keep a processor while others want it
 *
 * Linux looks at a task that is due only when the one that runs has had its turn, which by default
 * is 3 ms: a thread that nobody waits for is to have the shortest turns there are. Where the kernel
 * knows of no such thing (before 6.12) only the policy and the nice value count.
 *
 * Source: sched_setattr(2); "sched/eevdf: Allow shorter slices", Linux 6.12.
 */
#ifndef SL_TF_HOST_TURNS_H
#define SL_TF_HOST_TURNS_H

/* The calling thread, and those that it starts: batch work in the shortest turns. A kernel that
 * refuses does not matter. */
void tf_turns_short(void);

/* All threads of the calling process: ordinary work again. */
void tf_turns_usual(void);

#endif
