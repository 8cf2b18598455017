/*
 * fault.h - makes the n-th call of a kind fail, for tests
 *
 * sl_fault_arm(SL_FAULT_ALLOC, 3) lets the third allocation from now on fail, once;
 * sl_fault_arm_from(SL_FAULT_ALLOC, 3) lets it and all that follow fail, as when memory has run out
 * and stays so. In a release build too: the check is one relaxed load of a variable that never
 * changes.
 */
#ifndef SL_BASE_FAULT_H
#define SL_BASE_FAULT_H

#include <stdbool.h>

typedef enum sl_fault {
    SL_FAULT_ALLOC,
    SL_FAULT_READ,
    SL_FAULT_WRITE,
    SL_FAULT_ACCEPT,
    SL_FAULT_THREAD,
    SL_FAULT_ARENA, /* what a try_ function wants from an arena; only with SLUICE_FAULTS */
    SL_FAULT_KINDS
} sl_fault;

void sl_fault_arm(sl_fault kind, int nth);      /* 1: the next one; 0: disarm */
void sl_fault_arm_from(sl_fault kind, int nth); /* until it is armed otherwise */
bool sl_fault_hit(sl_fault kind);               /* true: fail now */
/* Calls of this kind since it was last armed; to learn how many there are to fail. */
int sl_fault_count(sl_fault kind);

/*
 * Lets tests/deep arm a running program; does nothing unless built with SLUICE_FAULTS (presets dev,
 * asan, tsan, coverage). From then on the signal SIGRTMIN + kind, sent with sigqueue, arms its
 * value, and the calls counted until then are written to stderr: "faults: alloc 17". A negative value
 * arms that call and all that follow. The environment variable of that name ("alloc 3") arms at
 * once. What is armed and counted is inherited by a forked process, which then counts for itself.
 * Call it once, before there are threads.
 *
 * SLUICE_FAULT       the server and sluice-fetch
 * SLUICE_FAULT_HOST  sluice-tensorflow-host; its own, since the server has ended over the other one
 *                    before it starts a host
 */
void sl_fault_listen(const char *variable);

#endif
