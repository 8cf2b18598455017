/*
 * tls_peer.h - what TLS agreed on with a client, and who the client is
 *
 * Part of each request (http/http.h), so that permissions and the log can go by it.
 */
#ifndef SL_NET_TLS_PEER_H
#define SL_NET_TLS_PEER_H

#include <stdbool.h>

typedef struct sl_tls_peer {
    const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
    const char *server_name;      /* as the client asked for it, or NULL */
    bool resumed;
    /* The client's certificate, which has been verified; NULL and 0 where there is none. */
    const char *subject;     /* RFC 4514: "CN=alice,O=Example" */
    const char *common_name; /* or NULL: it has none, or several */
    const char *const *san;  /* "DNS:a.example", "URI:spiffe://...", "IP:10.0.0.1", "email:..." */
    int n_san;               /* at most 64 */
} sl_tls_peer;

#endif
