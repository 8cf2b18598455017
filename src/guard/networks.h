/*
 * networks.h - addresses and the networks that they lie in
 *
 * IPv4 and IPv6 alike: an IPv4 address is kept as the IPv6 address that is mapped to it
 * (::ffff:a.b.c.d), so a dual-stack socket's peers need no case of their own.
 */
#ifndef SL_GUARD_NETWORKS_H
#define SL_GUARD_NETWORKS_H

#include "base/str.h"

typedef struct sl_ip {
    unsigned char b[16];
} sl_ip;

typedef struct sl_network {
    sl_ip base; /* bits beyond `bits` are zero */
    int bits;   /* 0 ... 128 */
} sl_network;

typedef struct sl_networks {
    sl_network *list;
    int count;
} sl_networks;

/* "192.0.2.1", "2001:db8::1"; also with a port behind it as sl_http_call.peer has it:
 * "192.0.2.1:80", "[2001:db8::1]:80". False for anything else ("unix"). */
bool sl_ip_parse(sl_str text, sl_ip *out);
bool sl_ip_is_loopback(const sl_ip *ip);
/* "127.0.0.1:80", "[::1]:80", "localhost", with or without a port: as in a Host header. */
bool sl_address_is_loopback(sl_str address);

/* "10.0.0.0/8", "2001:db8::/32", or an address alone. INVALID_ARGUMENT: quotes what is wrong; bits
 * set behind the prefix are refused, since they are usually a slip. */
sl_code sl_network_parse(sl_str text, sl_network *out, sl_status *st);
bool sl_network_has(const sl_network *n, const sl_ip *ip);
bool sl_networks_have(const sl_networks *n, const sl_ip *ip);

#endif
