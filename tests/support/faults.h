/*
 * faults.h - what happens when memory ends, at every place where it can
 *
 *     static sl_code parse(void *arg, sl_status *st) { ... reads it, gives everything back ... }
 *     fail_each_allocation(parse, &input);
 */
#ifndef SL_TESTS_FAULTS_H
#define SL_TESTS_FAULTS_H

#include "sluice/status.h"

/*
 * Calls `attempt` as it is, then with its first allocation failing, its second, and so on until one
 * needs fewer: once alone, and once with all that follow; the same with what it takes from arenas. What comes back must be what came back at
 * first, or RESOURCE_EXHAUSTED with a message; that nothing leaks is for the sanitizer to see.
 * Returns how many allocations there were to fail.
 */
int fail_each_allocation(sl_code (*attempt)(void *arg, sl_status *st), void *arg);

#endif
