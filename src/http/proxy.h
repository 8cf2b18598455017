/*
 * proxy.h - the PROXY protocol: whom a connection of a proxy stands for
 *
 * A proxy that does not speak HTTP (a TCP load balancer) says in front of everything else, TLS
 * included, who its client is. Version 2 (binary) and version 1 (a line) are read; nothing in them
 * is believed but from a proxy that is trusted, which the caller has made sure of.
 *
 * Source: haproxy.org/download/2.9/doc/proxy-protocol.txt, sections 2.1 and 2.2.
 */
#ifndef SL_HTTP_PROXY_H
#define SL_HTTP_PROXY_H

#include <sys/socket.h>

#include "base/str.h"

enum { SL_PROXY_MAX = 16 + 1024 }; /* a header with more extensions than that is refused */

typedef enum sl_proxy_result {
    SL_PROXY_MORE,  /* may become a header: more bytes are needed */
    SL_PROXY_NONE,  /* is none: all bytes belong to what follows */
    SL_PROXY_BAD,   /* is a malformed one */
    SL_PROXY_LOCAL, /* of the proxy itself (health checks): the peer stays */
    SL_PROXY_CLIENT /* *client is set */
} sl_proxy_result;

/* Looks at the first bytes of a connection; *used: how many are the header's. */
sl_proxy_result sl_proxy_parse(sl_str bytes, struct sockaddr_storage *client, size_t *used);

#endif
