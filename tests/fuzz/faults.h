/*
 * faults.h - what a target promises of every input, and what only while there is memory
 *
 * replay.c also runs each input with one allocation failing. Two ways to read the same bytes may
 * then differ: a target asks here before it compares. A fuzzer never lets memory fail.
 */
#ifndef SL_FUZZ_FAULTS_H
#define SL_FUZZ_FAULTS_H

#include <stdbool.h>
#include <stdlib.h>

__attribute__((weak)) bool memory_fails; /* set by replay.c */

/* Ends the program: a promise is broken, unless it needed memory that could not be had. */
static inline void broken(void)
{
    if (!memory_fails)
        abort();
}

#endif
