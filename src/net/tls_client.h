/*
 * tls_client.h - a blocking client of TLS, for the commands of the shell
 *
 * Not for the server: its socket blocks, with the time-outs that the socket has. What fails is told
 * apart, because `sluice check --from-outside` has a sentence for each.
 */
#ifndef SL_NET_TLS_CLIENT_H
#define SL_NET_TLS_CLIENT_H

#include "net/tls.h"

typedef enum sl_tls_fault {
    SL_TLS_OK,
    SL_TLS_EXPIRED,      /* the server's certificate, or not valid yet */
    SL_TLS_WRONG_NAME,   /* it is for other names */
    SL_TLS_UNKNOWN_CA,   /* nobody that we trust signed it */
    SL_TLS_WANTS_CLIENT, /* the server asks for a certificate that we do not have, or refuses ours
                            */
    SL_TLS_NOT_SPOKEN,   /* the peer answers in something else */
    SL_TLS_NO_HTTP1,     /* the peer speaks HTTP/2 only: a port of gRPC */
    SL_TLS_OTHER
} sl_tls_fault;

typedef struct sl_tls_client_options {
    const char *host;                 /* whose certificate it must be: a name, or an address */
    const char *ca_file;              /* PEM; NULL: the system's authorities */
    const char *cert_file, *key_file; /* PEM, or NULL; key_file NULL: it is in cert_file, too */
} sl_tls_client_options;

/* Speaks TLS on the connected, blocking socket io->fd, and checks the server's certificate. On
 * failure *fault says which, *io stays bare and the caller closes it. INVALID_ARGUMENT (a file of
 * ours), UNAVAILABLE. */
sl_code sl_tls_connect(sl_io *io, const sl_tls_client_options *o, sl_tls_fault *fault,
                       sl_status *st);
/* After a read or write that failed: why. With TLS 1.3 only then a client learns that its
 * certificate is missing or refused. `st` may be NULL. */
sl_tls_fault sl_tls_client_fault(const sl_io *io, sl_status *st);
/* "TLSv1.3" */
const char *sl_tls_client_version(const sl_io *io);

#endif
