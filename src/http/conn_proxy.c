/*
 * conn_proxy.c - who is at the other end: may he connect, and is he one who connects for others?
 *
 * A trusted proxy may begin with a header of the PROXY protocol (proxy.h), before TLS and all. Its
 * bytes are looked at where they lie and only taken when the header is whole; meanwhile the socket
 * is told not to wake us for less than one byte more (SO_RCVLOWAT), since it would at once again. A
 * proxy that sends no header is a client like others.
 */
#include <errno.h>
#include <sys/socket.h>

#include "http/conn.h"
#include "http/proxy.h"

bool sl_conn_let_in(sl_conn *c)
{
    const sl_http_options *o = &c->shard->server->opts;
    return o->on_connect == NULL ||
           o->on_connect((sl_str){c->peer, c->peer_n}, o->listener, &c->held, o->arg);
}

void sl_conn_let_out(sl_conn *c)
{
    const sl_http_options *o = &c->shard->server->opts;
    if (c->held != NULL && o->on_disconnect != NULL)
        o->on_disconnect(c->held, o->arg);
    c->held = NULL;
}

static void wake_at(sl_conn *c, int bytes)
{
    setsockopt(c->io.fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

/* The header is taken; from here on the peer is the client. */
static bool become(sl_conn *c, const struct sockaddr_storage *client)
{
    sl_conn_let_out(c);
    c->peer_n = (unsigned char)sl_address_text(client, c->peer, sizeof c->peer);
    return sl_conn_let_in(c);
}

void sl_conn_proxy(sl_conn *c)
{
    char p[SL_PROXY_MAX];
    struct sockaddr_storage client;
    size_t used;
    ssize_t n = recv(c->io.fd, p, sizeof p, MSG_PEEK);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    c->state = SL_CONN_DEAD;
    if (n <= 0)
        return;
    sl_proxy_result r = sl_proxy_parse((sl_str){p, (size_t)n}, &client, &used);
    if (r == SL_PROXY_BAD)
        return;
    if (r == SL_PROXY_MORE) {
        c->state = SL_CONN_PROXY;
        wake_at(c, (int)n + 1);
        return;
    }
    wake_at(c, 1);
    if (used > 0 && recv(c->io.fd, p, used, 0) != (ssize_t)used)
        return;
    if (r != SL_PROXY_CLIENT || become(c, &client)) {
        sl_conn_begin(c);
        c->fresh = true; /* what follows the header closely is waited for, in a drain, too */
    }
}
