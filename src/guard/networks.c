/* networks.c - see networks.h */
#include "guard/networks.h"

#include <arpa/inet.h>

static bool parse_plain(sl_str text, sl_ip *out)
{
    char buf[64];
    if (text.n == 0 || text.n >= sizeof buf || memchr(text.p, '\0', text.n) != NULL)
        return false;
    memcpy(buf, text.p, text.n);
    buf[text.n] = '\0';
    if (memchr(buf, ':', text.n) != NULL)
        return inet_pton(AF_INET6, buf, out->b) == 1;
    memset(out->b, 0, 10);
    memset(out->b + 10, 0xff, 2);
    return inet_pton(AF_INET, buf, out->b + 12) == 1;
}

/* Digits only, 1 to 65535 or 0: what follows the last colon. */
static bool is_port(sl_str s)
{
    int64_t v;
    return s.n > 0 && s.n <= 5 && s.p[0] != '-' && sl_str_to_int64(s, &v) && v <= 65535;
}

bool sl_ip_parse(sl_str text, sl_ip *out)
{
    if (text.n > 2 && text.p[0] == '[') {
        const char *close = memchr(text.p, ']', text.n);
        if (close == NULL)
            return false;
        sl_str inside = {text.p + 1, (size_t)(close - text.p) - 1};
        sl_str behind = {close + 1, text.n - inside.n - 2};
        if (behind.n > 0 && (behind.p[0] != ':' || !is_port((sl_str){behind.p + 1, behind.n - 1})))
            return false;
        return memchr(inside.p, ':', inside.n) != NULL && parse_plain(inside, out);
    }
    const char *colon = memchr(text.p, ':', text.n);
    if (colon != NULL && memrchr(text.p, ':', text.n) == colon) {
        size_t n = (size_t)(colon - text.p);
        return is_port((sl_str){colon + 1, text.n - n - 1}) &&
               parse_plain((sl_str){text.p, n}, out);
    }
    return parse_plain(text, out);
}

static const sl_network loopback4 = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 127, 0, 0, 0}},
                                     104};
static const sl_network loopback6 = {{{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1}}, 128};

bool sl_ip_is_loopback(const sl_ip *ip)
{
    return sl_network_has(&loopback4, ip) || sl_network_has(&loopback6, ip);
}

bool sl_address_is_loopback(sl_str address)
{
    if (address.n == 0)
        return false;
    bool bracket = *address.p == '[';
    const char *begin = address.p + bracket;
    const char *end = memchr(begin, bracket ? ']' : ':', address.n - bracket);
    sl_ip ip;
    if (bracket && end == NULL)
        return false;
    sl_str host = {begin, end ? (size_t)(end - begin) : address.n};
    return sl_str_is(host, "localhost") || (parse_plain(host, &ip) && sl_ip_is_loopback(&ip));
}

/* The address without the bits behind the prefix. */
static sl_ip cut(const sl_ip *ip, int bits)
{
    sl_ip r = {{0}};
    memcpy(r.b, ip->b, (size_t)bits / 8);
    if (bits % 8)
        r.b[bits / 8] = ip->b[bits / 8] & (unsigned char)(0xff << (8 - bits % 8));
    return r;
}

bool sl_network_has(const sl_network *n, const sl_ip *ip)
{
    sl_ip head = cut(ip, n->bits);
    return memcmp(head.b, n->base.b, sizeof head.b) == 0;
}

bool sl_networks_have(const sl_networks *n, const sl_ip *ip)
{
    for (int i = 0; i < n->count; i++)
        if (sl_network_has(&n->list[i], ip))
            return true;
    return false;
}

sl_code sl_network_parse(sl_str text, sl_network *out, sl_status *st)
{
    const char *slash = memchr(text.p, '/', text.n);
    sl_str address = {text.p, slash ? (size_t)(slash - text.p) : text.n};
    if (!parse_plain(address, &out->base))
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "\"%.*s\" is not a network: expected an address like 10.0.0.0/8 or 2001:db8::/32",
            SL_STR_ARG(text));
    bool v4 = memchr(address.p, ':', address.n) == NULL;
    int64_t bits = v4 ? 32 : 128, max = bits;
    if (slash != NULL) {
        sl_str tail = {slash + 1, text.n - address.n - 1};
        if (!sl_str_to_int64(tail, &bits) || bits < 0 || bits > max)
            return sl_fail(st, SL_INVALID_ARGUMENT, "\"%.*s\": a prefix is 0 to %d bits long",
                           SL_STR_ARG(text), (int)max);
    }
    out->bits = (int)bits + (v4 ? 96 : 0);
    sl_ip head = cut(&out->base, out->bits);
    if (memcmp(head.b, out->base.b, sizeof head.b) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "\"%.*s\": the address has bits set behind its prefix of %d bits",
                       SL_STR_ARG(text), (int)bits);
    return SL_OK;
}
