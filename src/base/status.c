/* status.c - codes and messages */
#include "sluice/status.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

sl_code sl_vfail(sl_status *st, sl_code code, const char *fmt, va_list ap)
{
    char text[sizeof st->msg]; /* the old message may be among the arguments */
    if (code == SL_OK)
        code = SL_INTERNAL;
    if (st != NULL) {
        int n = vsnprintf(text, sizeof text, fmt, ap);
        st->code = code;
        st->more = NULL;
        memcpy(st->msg, text, n < 0 ? 0 : SL_MIN((size_t)n + 1, sizeof text));
        if (n < 0)
            st->msg[0] = '\0';
    }
    return code;
}

sl_code(sl_fail)(sl_status *st, sl_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    code = sl_vfail(st, code, fmt, ap);
    va_end(ap);
    return code;
}

sl_code(sl_wrap)(sl_status *st, const char *fmt, ...)
{
    char prefix[sizeof st->msg];
    sl_code code = st->code == SL_OK ? SL_INTERNAL : st->code;
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(prefix, sizeof prefix, fmt, ap);
    va_end(ap);
    if (n < 0)
        return code;
    size_t len = (size_t)n < sizeof prefix ? (size_t)n : sizeof prefix - 1;
    size_t room = sizeof st->msg - 1 - len;
    size_t old = strlen(st->msg);
    if (old > room) {
        old = room;
        st->more = NULL; /* it would go on after a gap */
    }
    memmove(st->msg + len, st->msg, old);
    memcpy(st->msg, prefix, len);
    st->msg[len + old] = '\0';
    return code;
}

const char *sl_code_name(sl_code code)
{
    switch (code) {
#define X(code, number, name) \
    case code:                \
        return name;
        SL_CODES(X)
#undef X
    }
    return "UNKNOWN";
}
