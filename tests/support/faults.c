/* faults.c - see faults.h */
#include "faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/fault.h"

enum { MOST = 100000 };

int fail_each_allocation(sl_code (*attempt)(void *arg, sl_status *st), void *arg)
{
    sl_status st = {0};
    sl_code usual = attempt(arg, &st);
    for (int nth = 1; nth < MOST; nth++) {
        memset(&st, 0, sizeof st);
        sl_fault_arm(SL_FAULT_ALLOC, nth);
        sl_code rc = attempt(arg, &st);
        int calls = sl_fault_count(SL_FAULT_ALLOC);
        sl_fault_arm(SL_FAULT_ALLOC, 0);
        if (rc != usual && rc != SL_RESOURCE_EXHAUSTED)
            fail_msg("allocation %d: code %d, \"%s\"", nth, rc, st.msg);
        if (rc != usual && st.msg[0] == '\0')
            fail_msg("allocation %d: code %d without a message", nth, rc);
        if (calls < nth) {
            assert_int_equal(rc, usual);
            return nth - 1;
        }
    }
    fail_msg("allocations without end");
    return MOST;
}
