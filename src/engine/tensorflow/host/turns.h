/*
 * turns.h - how long the threads of a process may keep a processor while others want it
 *
 * Linux looks at a thread that wakes up only when the one that runs has had its turn, which by default is
 * 3 ms. From Linux 6.12 on a thread may ask for shorter ones: it gives the processor up sooner, and gets it
 * sooner when it wakes up. Here both count: who loads is to keep it for a moment only, and who answers is
 * not to wait for the one who loads. Where the kernel knows of no such thing only the policy counts.
 *
 * Source: sched_setattr(2); "sched/eevdf: Allow shorter slices", Linux 6.12.
 */
#ifndef SL_TF_HOST_TURNS_H
#define SL_TF_HOST_TURNS_H

/* The calling thread, and those that it starts: batch work in the shortest turns. A kernel that
 * refuses does not matter. */
void tf_turns_short(void);

/* All threads of the calling process: ordinary work, in the shortest turns. */
void tf_turns_prompt(void);

#endif
