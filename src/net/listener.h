/*
 * listener.h - addresses, listening sockets, accepting
 *
 *     sl_address a;
 *     sl_address_parse("[::]:8501", &a, st);
 *     sl_listen_sockets(&a, n_loops, fds, st);         one socket a loop; a.port is known now
 *     l->fd = fds[i]; l->accepted = ...; sl_listener_start(l, loop, st);    on that loop
 *     sl_listener_stop(l);
 *
 * A TCP address gets one SO_REUSEPORT socket per loop, a unix address one socket that the loops
 * share. When the process runs out of file descriptors, the owner may close what it can spare; if
 * that is nothing, accepting pauses for 100 ms at a time (connections wait in the backlog) instead
 * of spinning.
 */
#ifndef SL_NET_LISTENER_H
#define SL_NET_LISTENER_H

#include <sys/socket.h>

#include "net/loop.h"

typedef struct sl_address {
    union {
        struct sockaddr any;
        struct sockaddr_storage storage;
    };
    socklen_t len;
    int port;      /* 0: any free one, or not a TCP address */
    bool share;    /* TCP: with other processes of this user that share it. Set it before, too */
    unsigned mode; /* of a unix socket's file; 0: as the umask says. Set it before listening */
    char text[128];
} sl_address;

/* "127.0.0.1:80", "[::]:80" (dual-stack), "localhost:80", "unix:/path". INVALID_ARGUMENT. */
sl_code sl_address_parse(const char *text, sl_address *out, sl_status *st);
/* "127.0.0.1:51234" (an IPv4 peer of a dual-stack socket too), "[::1]:51234", "unix". Returns what
 * was written to buf, whose 64 bytes are always enough. */
size_t sl_address_text(const struct sockaddr_storage *a, char *buf, size_t size);

/* Binds and listens: n sockets, nonblocking. Fails if anybody listens there already, another
 * process with SO_REUSEPORT too, unless a->share is set. UNAVAILABLE, naming address and reason.
 * Sets a->port. */
sl_code sl_listen_sockets(sl_address *a, int n, int *fds, sl_status *st);

/* Would sl_listen_sockets have this address now? UNAVAILABLE: somebody else has it.
 * FAILED_PRECONDITION: it cannot be had: no such address on this machine, no permission, no
 * directory. Whoever listens there notices nothing: this does not listen, so that no connection
 * comes here, and neither makes a file nor removes one. */
sl_code sl_address_try(const sl_address *a, sl_status *st);

typedef struct sl_listener {
    int fd;
    /* Loop thread. fd is nonblocking and now the callee's. */
    void (*accepted)(struct sl_listener *l, int fd, const struct sockaddr_storage *peer);
    /* (optional) No descriptor is left: true if one has been closed, so that accepting can go
     * on. */
    bool (*crowded)(struct sl_listener *l);
    bool shared; /* another loop listens on the same socket */
    sl_loop *loop;
    sl_watch watch;
    sl_timer pause;
} sl_listener;

sl_code sl_listener_start(sl_listener *l, sl_loop *loop, sl_status *st);
/* Any of n sockets of an address: connections that begin from now on go to the process that joined
 * it, if there is one; those that have begun still come here. TCP, open. */
void sl_listener_point_away(const sl_listener *l, int n);
/* Accepts what already waits (those clients believe they are connected), then closes. Nothing if it
 * is stopped already. */
void sl_listener_stop(sl_listener *l);
/* Removes a unix socket's file, so that nobody connects to it any more. Nothing for TCP. */
void sl_address_remove(const sl_address *a);

#endif
