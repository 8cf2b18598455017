/* proxy.c - see proxy.h */
#include "http/proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>

static const char signature[12] = {'\r', '\n', '\r', '\n', '\0', '\r',
                                   '\n', 'Q',  'U',  'I',  'T',  '\n'};

static void set_v4(struct sockaddr_storage *out, const void *address, uint16_t port_be)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port_be};
    memcpy(&a.sin_addr, address, 4);
    memset(out, 0, sizeof *out);
    memcpy(out, &a, sizeof a);
}

static void set_v6(struct sockaddr_storage *out, const void *address, uint16_t port_be)
{
    struct sockaddr_in6 a = {.sin6_family = AF_INET6, .sin6_port = port_be};
    memcpy(&a.sin6_addr, address, 16);
    memset(out, 0, sizeof *out);
    memcpy(out, &a, sizeof a);
}

/* ---- version 2 ---- */

static sl_proxy_result parse_v2(sl_str b, struct sockaddr_storage *client, size_t *used)
{
    if (b.n < 16)
        return SL_PROXY_MORE;
    unsigned char version = (unsigned char)b.p[12], family = (unsigned char)b.p[13];
    size_t n = (size_t)(unsigned char)b.p[14] << 8 | (unsigned char)b.p[15];
    if (version >> 4 != 2 || (version & 15) > 1 || 16 + n > SL_PROXY_MAX)
        return SL_PROXY_BAD;
    if (b.n < 16 + n)
        return SL_PROXY_MORE;
    *used = 16 + n;
    const char *at = b.p + 16;
    uint16_t port;
    if ((version & 15) == 0)
        return SL_PROXY_LOCAL;
    switch (family >> 4) {
    case 1:
        if (n < 12)
            return SL_PROXY_BAD;
        memcpy(&port, at + 8, 2);
        set_v4(client, at, port);
        return SL_PROXY_CLIENT;
    case 2:
        if (n < 36)
            return SL_PROXY_BAD;
        memcpy(&port, at + 32, 2);
        set_v6(client, at, port);
        return SL_PROXY_CLIENT;
    case 0: /* unspecified, and 3, unix: the address of the proxy has to do */
    case 3:
        return SL_PROXY_LOCAL;
    }
    return SL_PROXY_BAD;
}

/* ---- version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 56324 443\r\n" ---- */

static bool word(sl_str *line, char *out, size_t room)
{
    size_t n = 0;
    while (n < line->n && line->p[n] != ' ')
        n++;
    if (n == 0 || n >= room)
        return false;
    memcpy(out, line->p, n);
    out[n] = '\0';
    line->p += n;
    line->n -= n;
    if (line->n > 0) {
        line->p++;
        line->n--;
    }
    return true;
}

static sl_proxy_result parse_v1(sl_str b, struct sockaddr_storage *client, size_t *used)
{
    enum { LONGEST = 107 };
    const char *end = memmem(b.p, b.n < LONGEST ? b.n : LONGEST, "\r\n", 2);
    if (end == NULL)
        return b.n < LONGEST ? SL_PROXY_MORE : SL_PROXY_BAD;
    *used = (size_t)(end - b.p) + 2;
    sl_str line = {b.p + 6, (size_t)(end - b.p) - 6};
    char family[8], from[48], to[48], from_port[8], to_port[8], address[16];
    int64_t port;
    if (sl_str_starts(line, "UNKNOWN"))
        return SL_PROXY_LOCAL;
    if (!word(&line, family, sizeof family) || !word(&line, from, sizeof from) ||
        !word(&line, to, sizeof to) || !word(&line, from_port, sizeof from_port) ||
        !word(&line, to_port, sizeof to_port) || line.n > 0 ||
        !sl_str_to_int64(sl_str_of(from_port), &port) || port < 0 || port > 65535)
        return SL_PROXY_BAD;
    if (strcmp(family, "TCP4") == 0 && inet_pton(AF_INET, from, address) == 1)
        set_v4(client, address, htons((uint16_t)port));
    else if (strcmp(family, "TCP6") == 0 && inet_pton(AF_INET6, from, address) == 1)
        set_v6(client, address, htons((uint16_t)port));
    else
        return SL_PROXY_BAD;
    return SL_PROXY_CLIENT;
}

sl_proxy_result sl_proxy_parse(sl_str b, struct sockaddr_storage *client, size_t *used)
{
    *used = 0;
    if (memcmp(b.p, signature, b.n < sizeof signature ? b.n : sizeof signature) == 0)
        return b.n < sizeof signature ? SL_PROXY_MORE : parse_v2(b, client, used);
    if (memcmp(b.p, "PROXY ", b.n < 6 ? b.n : 6) == 0)
        return b.n < 6 ? SL_PROXY_MORE : parse_v1(b, client, used);
    return SL_PROXY_NONE;
}
