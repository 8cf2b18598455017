/* faults.c - see faults.h */
#include "faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/fault.h"

enum { MOST = 100000 };

static int fail_each(sl_fault kind, void (*arm)(sl_fault kind, int nth), sl_code usual,
                     sl_code (*attempt)(void *arg, sl_status *st), void *arg)
{
    for (int nth = 1; nth < MOST; nth++) {
        sl_status st = {0};
        arm(kind, nth);
        sl_code rc = attempt(arg, &st);
        int calls = sl_fault_count(kind);
        sl_fault_arm(kind, 0);
        if (rc != usual && rc != SL_RESOURCE_EXHAUSTED)
            fail_msg("%d, %d: code %d, \"%s\"", kind, nth, rc, st.msg);
        if (rc != usual && st.msg[0] == '\0')
            fail_msg("%d, %d: code %d without a message", kind, nth, rc);
        if (calls < nth) {
            assert_int_equal(rc, usual);
            return nth - 1;
        }
    }
    fail_msg("allocations without end");
    return MOST;
}

int fail_each_allocation(sl_code (*attempt)(void *arg, sl_status *st), void *arg)
{
    sl_status st = {0};
    sl_code usual = attempt(arg, &st);
    (void)fail_each(SL_FAULT_ALLOC, sl_fault_arm_from, usual, attempt, arg);
    (void)fail_each(SL_FAULT_ARENA, sl_fault_arm_from, usual, attempt, arg);
    return fail_each(SL_FAULT_ALLOC, sl_fault_arm, usual, attempt, arg) +
           fail_each(SL_FAULT_ARENA, sl_fault_arm, usual, attempt, arg);
}
