/* status.c - see status.h */
#include "api/grpc/status.h"

#include "base/mem.h"

/* 2147483647 ms: what the original takes for "no deadline". */
#define LONGEST_NS (UINT64_C(2147483647) * 1000000)

/* Appends at most `room` bytes of `s`, encoded; returns how many bytes of it were taken. A space at
 * an end is, too: HTTP/2 has no field values that begin or end with one, and strict clients and
 * proxies reset the stream. */
static size_t put_encoded(sl_chain *out, const char *s, size_t room)
{
    static const char hex[] = "0123456789ABCDEF";
    size_t n = strnlen(s, room);
    char *to = sl_chain_reserve(out, 3 * n), *begin = to;
    if (to == NULL)
        return n;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool at_end = i == 0 || i == n - 1;
        if ((at_end ? c > ' ' : c >= ' ') && c <= '~' && c != '%') {
            *to++ = (char)c;
            continue;
        }
        *to++ = '%';
        *to++ = hex[c >> 4];
        *to++ = hex[c & 15];
    }
    sl_chain_commit(out, (size_t)(to - begin));
    return n;
}

static void put_message(sl_chain *out, const sl_status *st)
{
    const char *more = st->more != NULL ? st->more : "";
    sl_chain_puts(out, "grpc-message: ");
    size_t n = put_encoded(out, st->msg, SL_GRPC_MESSAGE_MAX);
    n += put_encoded(out, more, SL_GRPC_MESSAGE_MAX - n);
    if (strlen(st->msg) + strlen(more) > n)
        sl_chain_puts(out, "...TRUNCATED");
    sl_chain_puts(out, "\r\n");
}

void sl_grpc_put_status(sl_chain *lines, sl_code code, const sl_status *st)
{
    char *to = sl_chain_reserve(lines, 32);
    if (to == NULL)
        return;
    memcpy(to, "grpc-status: ", 13);
    size_t n = 13;
    if (code >= 10)
        to[n++] = (char)('0' + code / 10);
    to[n++] = (char)('0' + code % 10);
    memcpy(to + n, "\r\n", 2);
    sl_chain_commit(lines, n + 2);
    if (code != SL_OK && st != NULL && st->msg[0])
        put_message(lines, st);
}

bool sl_grpc_timeout_parse(sl_str value, uint64_t *ns)
{
    static const struct {
        char unit;
        uint64_t ns;
    } units[] = {{'H', 3600000000000u}, {'M', 60000000000u}, {'S', 1000000000u},
                 {'m', 1000000u},       {'u', 1000u},        {'n', 1u}};
    uint64_t n = 0;
    if (value.n < 2 || value.n > 9)
        return false;
    for (size_t i = 0; i < value.n - 1; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(value.p[i] - '0');
    }
    for (size_t i = 0; i < SL_COUNTOF(units); i++)
        if (units[i].unit == value.p[value.n - 1]) {
            bool fits = n <= LONGEST_NS / units[i].ns;
            *ns = fits ? n * units[i].ns : LONGEST_NS;
            return true;
        }
    return false;
}

sl_code sl_grpc_code_of_http(int status)
{
    switch (status) {
    case 400:
        return SL_INTERNAL;
    case 401:
        return SL_UNAUTHENTICATED;
    case 403:
        return SL_PERMISSION_DENIED;
    case 404:
    case 405:
    case 501:
        return SL_UNIMPLEMENTED;
    case 408:
    case 504:
        return SL_DEADLINE_EXCEEDED;
    case 413:
    case 431:
    case 429:
        return SL_RESOURCE_EXHAUSTED;
    case 502:
    case 503:
        return SL_UNAVAILABLE;
    default:
        return SL_UNKNOWN;
    }
}
