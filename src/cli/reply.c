/*
 * reply.c - see reply.h
 *
 * Header lines do not matter: HTTP/1.0 was asked for, so the body is what stands behind them.
 */
#include "cli/reply.h"

#include <string.h>

enum { VERSION = 9 }; /* "HTTP/1.1 " */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

sl_code sl_reply_parse(sl_str text, sl_reply_parts *out, sl_status *st)
{
    const char *p = text.p, *end = text.n ? memmem(p, text.n, "\r\n\r\n", 4) : NULL;
    size_t n = VERSION;
    bool good = end != NULL && end - p >= VERSION + 3 && memcmp(p, "HTTP/1.", 7) == 0 &&
                is_digit(p[7]) && p[8] == ' ' && p[9] >= '1' && p[9] <= '9' && is_digit(p[10]) &&
                is_digit(p[11]);
    while (good && p[n] != '\r') { /* there is one */
        good = (unsigned char)p[n] >= ' ' && p[n] != 0x7f;
        n++;
    }
    if (!good || (n > VERSION + 3 && p[VERSION + 3] != ' '))
        return sl_fail(st, SL_UNAVAILABLE, "the server does not answer in HTTP");
    *out = (sl_reply_parts){
        .status = (p[9] - '0') * 100 + (p[10] - '0') * 10 + (p[11] - '0'),
        .reason = {p + VERSION, n - VERSION},
        .body = {end + 4, text.n - (size_t)(end + 4 - p)},
    };
    return SL_OK;
}
