/*
 * calls.h - what happens when the system says no: the n-th call of a function fails
 *
 *     fail_call("fsync", 1, EIO);    the next one, once
 *     ...
 *     fail_call(NULL, 0, 0);         none any more
 *
 * The functions are those that calls.c stands before, of libc and of other libraries; for one that returns its error, `error` is what comes back. A test that uses none of this
 * has none of it in its program.
 */
#ifndef SL_TESTS_CALLS_H
#define SL_TESTS_CALLS_H

#include "sluice/status.h"

void fail_call(const char *name, int nth, int error);
/* Calls of that function since fail_call named it. */
int calls_counted(void);

/*
 * Calls `attempt` with its first call of the function failing, its second, and so on until it makes
 * fewer. What comes back must be OK (it did without), or an error with a message. Returns how many
 * calls there were to fail.
 */
int fail_each_call(const char *name, int error, sl_code (*attempt)(void *arg, sl_status *st),
                   void *arg);

#endif
