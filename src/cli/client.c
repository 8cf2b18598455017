/*
 * client.c - see client.h
 *
 * HTTP/1.0: the reply ends when the server closes, and nothing comes in chunks.
 */
#include "cli/client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/errqueue.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"
#include "cli/reply.h"

enum { MAX_REPLY = 1 << 30, MAX_TOKEN = 64 * 1024 };

/* ---- options ---- */

bool sl_client_option(sl_client_options *o, int argc, char **argv, int *i)
{
    static const char *const names[] = {"--cacert", "--cert", "--key", "--token-file",
                                        "--timeout-s"};
    const char *value = NULL;
    size_t which = 0;
    for (; which < SL_COUNTOF(names); which++) {
        if ((value = sl_cli_value(argv[*i], names[which])) != NULL)
            break;
        if (strcmp(argv[*i], names[which]) == 0 && *i + 1 < argc) {
            value = argv[++*i];
            break;
        }
    }
    int64_t seconds;
    switch (which) {
    case 0:
        o->cacert = value;
        return true;
    case 1:
        o->cert = value;
        return true;
    case 2:
        o->key = value;
        return true;
    case 3:
        o->token_file = value;
        return true;
    case 4:
        if (!sl_str_to_int64(sl_str_of(value), &seconds) || seconds < 0 || seconds > 86400)
            return false;
        o->timeout_s = (int)seconds;
        return true;
    }
    return false;
}

sl_code sl_client_parse_url(const char *text, sl_client_url *u, sl_status *st)
{
    *u = (sl_client_url){.tls = strncmp(text, "https://", 8) == 0};
    if (!u->tls && strncmp(text, "http://", 7) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s: only http:// and https:// are spoken here; use curl", text);
    const char *host = text + 7 + u->tls, *end = host + strcspn(host, "/"), *port = end;
    bool bracket = *host == '[';
    const char *host_end = bracket ? memchr(host, ']', (size_t)(end - host)) : NULL;
    const char *colon =
        bracket ? host_end ? host_end + 1 : end : memchr(host, ':', (size_t)(end - host));
    if (colon != NULL && colon < end && *colon == ':')
        port = colon + 1;
    else
        colon = end;
    host += bracket;
    if (!bracket)
        host_end = colon;
    snprintf(u->port, sizeof u->port, "%.*s", (int)SL_MIN(end - port, 15), port);
    if (u->port[0] == '\0')
        snprintf(u->port, sizeof u->port, "%s", u->tls ? "443" : "80");
    if (host_end == NULL || host_end <= host || host_end - host >= (ptrdiff_t)sizeof u->host)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: there is no host in this URL", text);
    snprintf(u->host, sizeof u->host, "%.*s", (int)(host_end - host), host);
    u->path = *end ? end : "/";
    return SL_OK;
}

/* ---- connecting ---- */

static sl_client_layer layer_of(int e)
{
    switch (e) {
    case ECONNREFUSED:
        return SL_LAYER_REFUSED;
    case ETIMEDOUT:
    case EAGAIN:
        return SL_LAYER_FILTERED;
    default:
        return SL_LAYER_ROUTE;
    }
}

/* 0, or an errno. */
static int connect_in_time(int fd, const struct addrinfo *a, int timeout_s)
{
    int e = 0, flags = fcntl(fd, F_GETFL);
    socklen_t n = sizeof e;
    if (timeout_s == 0)
        return connect(fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        if (errno != EINPROGRESS)
            return errno;
        if (poll(&p, 1, timeout_s * 1000) <= 0)
            return ETIMEDOUT;
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &n);
    }
    fcntl(fd, F_SETFL, flags);
    struct timeval t = {.tv_sec = timeout_s};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    return e;
}

/* Who answers a connection with one of these has decided so: no host does without a firewall. */
static bool is_prohibition(const struct sock_extended_err *e)
{
    if (e->ee_origin == SO_EE_ORIGIN_ICMP)
        return e->ee_type == ICMP_DEST_UNREACH &&
               (e->ee_code == ICMP_PORT_UNREACH || e->ee_code == ICMP_NET_ANO ||
                e->ee_code == ICMP_HOST_ANO || e->ee_code == ICMP_PKT_FILTERED);
    enum { V6_PROHIBITED = 1, V6_PORT = 4, V6_POLICY = 5, V6_REJECT_ROUTE = 6 };
    return e->ee_origin == SO_EE_ORIGIN_ICMP6 && e->ee_type == ICMP6_DST_UNREACH &&
           (e->ee_code == V6_PROHIBITED || e->ee_code == V6_PORT || e->ee_code == V6_POLICY ||
            e->ee_code == V6_REJECT_ROUTE);
}

/* A reset says that nobody listens; so does ECONNREFUSED, which a message of ICMP is turned into,
 * too. Linux keeps that message (for TCP since 5.11) where it was asked to. */
static bool was_rejected(int fd, char by[64])
{
    char control[256] __attribute__((aligned(8)));
    struct msghdr m = {.msg_control = control, .msg_controllen = sizeof control};
    if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c != NULL; c = CMSG_NXTHDR(&m, c)) {
        bool v4 = c->cmsg_level == SOL_IP && c->cmsg_type == IP_RECVERR;
        bool v6 = c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_RECVERR;
        struct sock_extended_err e;
        if ((!v4 && !v6) || c->cmsg_len < CMSG_LEN(sizeof e))
            continue;
        memcpy(&e, CMSG_DATA(c), sizeof e);
        if (!is_prohibition(&e))
            continue;
        const struct sockaddr *from = SO_EE_OFFENDER((struct sock_extended_err *)CMSG_DATA(c));
        size_t room = c->cmsg_len - CMSG_LEN(sizeof e);
        if (room < (v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)) ||
            getnameinfo(from, v4 ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6), by, 64,
                        NULL, 0, NI_NUMERICHOST) != 0)
            snprintf(by, 64, "somebody");
        return true;
    }
    return false;
}

static void ask_for_messages(int fd)
{
    int on = 1;
    setsockopt(fd, SOL_IP, IP_RECVERR, &on, sizeof on);
    setsockopt(fd, SOL_IPV6, IPV6_RECVERR, &on, sizeof on); /* fails on a socket of IPv4 */
}

static int open_to(const struct addrinfo *a, const sl_client_options *o, int *fd,
                   sl_client_layer *layer, char rejected_by[64])
{
    *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (*fd >= 0)
        ask_for_messages(*fd);
    int e = *fd < 0 ? errno : connect_in_time(*fd, a, o->timeout_s);
    *layer = layer_of(e);
    if (e == 0 || *fd < 0)
        return e;
    if (was_rejected(*fd, rejected_by))
        *layer = SL_LAYER_REJECTED;
    close(*fd);
    *fd = -1;
    return e;
}

/* Of several addresses that fail, the one that says most is reported: a host may have an address in
 * a network that we are not in. */
static bool says_more(sl_client_layer layer, sl_client_layer than)
{
    return layer > than || layer == SL_LAYER_REFUSED || layer == SL_LAYER_REJECTED;
}

static sl_code dial(const sl_client_url *u, const sl_client_options *o, int *fd, sl_client_reply *r,
                    sl_status *st)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all;
    int e = getaddrinfo(u->host, u->port, &hints, &all), worst = 0;
    r->layer = SL_LAYER_NAME;
    if (e)
        return sl_fail(st, SL_UNAVAILABLE, "%s: %s", u->host, gai_strerror(e));
    *fd = -1;
    for (struct addrinfo *a = all; a != NULL && *fd < 0; a = a->ai_next) {
        sl_client_layer layer;
        char by[64] = "";
        e = open_to(a, o, fd, &layer, by);
        if (e != 0 && !says_more(layer, r->layer))
            continue;
        getnameinfo(a->ai_addr, a->ai_addrlen, r->address, sizeof r->address, NULL, 0,
                    NI_NUMERICHOST);
        memcpy(r->rejected_by, by, sizeof by);
        r->layer = layer;
        worst = e;
    }
    freeaddrinfo(all);
    if (*fd >= 0)
        return SL_OK;
    return sl_fail(st, sl_code_of_errno(worst), "cannot reach %s port %s: %s", u->host, u->port,
                   strerror(worst));
}

static sl_code encrypt(sl_io *io, const sl_client_url *u, const sl_client_options *o,
                       sl_client_reply *r, sl_status *st)
{
    sl_tls_client_options t = {u->host, o->cacert, o->cert, o->key};
    sl_code rc = sl_tls_connect(io, &t, &r->fault, st);
    r->layer = rc == SL_INVALID_ARGUMENT ? SL_LAYER_OURS : SL_LAYER_TLS;
    return rc;
}

/* ---- request and reply ---- */

/* A read or write has failed. */
static sl_code broken(const sl_io *io, const char *what, sl_client_reply *r, sl_status *st)
{
    int e = errno;
    r->fault = io->ops ? sl_tls_client_fault(io, st) : SL_TLS_OK;
    r->layer = r->fault != SL_TLS_OK && r->fault != SL_TLS_OTHER ? SL_LAYER_TLS : SL_LAYER_REPLY;
    if (r->layer == SL_LAYER_REPLY)
        sl_fail(st, SL_UNAVAILABLE, "%s: %s", what,
                e == EAGAIN ? "no answer in time" : strerror(e));
    return SL_UNAVAILABLE;
}

static sl_code send_all(sl_io *io, sl_str s, sl_client_reply *r, sl_status *st)
{
    while (s.n > 0) {
        struct iovec v = {(char *)s.p, s.n};
        ssize_t done = sl_io_writev(io, &v, 1);
        if (done < 0)
            return broken(io, "cannot send the request", r, st);
        s.p += done;
        s.n -= (size_t)done;
    }
    return SL_OK;
}

static sl_code receive_all(sl_io *io, sl_client_reply *r, sl_status *st)
{
    char block[65536];
    while (r->text.n < MAX_REPLY && !r->text.failed) {
        ssize_t n = sl_io_read(io, block, sizeof block);
        if (n < 0)
            return broken(io, "cannot read the reply", r, st);
        if (n == 0)
            return SL_OK;
        sl_text_add(&r->text, block, (size_t)n);
    }
    r->layer = SL_LAYER_REPLY;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "the reply is too large");
}

static sl_code parse_reply(sl_client_reply *r, sl_status *st)
{
    sl_reply_parts parts;
    r->layer = SL_LAYER_HTTP;
    sl_code rc = sl_reply_parse((sl_str){r->text.p, r->text.n}, &parts, st);
    if (rc)
        return rc;
    r->status = parts.status;
    r->reason = parts.reason;
    r->body = parts.body;
    return SL_OK;
}

/* The first line of the file, for a header: visible characters only. */
static sl_code add_token(sl_text *head, const char *path, sl_status *st)
{
    sl_buffer *file;
    sl_code rc = sl_file_read(path, MAX_TOKEN, &file, st);
    if (rc)
        return rc;
    const char *p = file->data;
    size_t n = 0;
    while (n < file->size && p[n] > ' ' && p[n] < 0x7f)
        n++;
    if (n == 0 || (n < file->size && p[n] != '\n' && p[n] != '\r'))
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s: the first line is not a token", path);
    else
        sl_text_printf(head, "Authorization: Bearer %.*s\r\n", (int)n, p);
    explicit_bzero(file->data, file->size);
    sl_buffer_release(file);
    return rc;
}

static sl_code make_head(const char *method, const sl_client_url *u, const char *path, sl_str body,
                         const sl_client_options *o, sl_text *head, sl_status *st)
{
    bool bracket = strchr(u->host, ':') != NULL;
    sl_text_printf(head, "%s %s HTTP/1.0\r\nHost: %s%s%s:%s\r\n", method, path, bracket ? "[" : "",
                   u->host, bracket ? "]" : "", u->port);
    if (body.p != NULL)
        sl_text_printf(head, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
    sl_code rc = o->token_file ? add_token(head, o->token_file, st) : SL_OK;
    sl_text_puts(head, "\r\n");
    if (rc == SL_OK && head->failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    return rc;
}

static sl_code talk(sl_io *io, const sl_text *head, sl_str body, sl_client_reply *r, sl_status *st)
{
    sl_code rc = send_all(io, (sl_str){head->p, head->n}, r, st);
    if (rc == SL_OK && body.p != NULL)
        rc = send_all(io, body, r, st);
    /* A server that refuses before it has read all may have said why. */
    sl_status second;
    sl_code got = rc && r->layer == SL_LAYER_TLS ? rc : receive_all(io, r, rc ? &second : st);
    if (r->text.n > 0 && r->layer != SL_LAYER_TLS)
        return parse_reply(r, st);
    return rc ? rc : got ? got : parse_reply(r, st);
}

sl_code sl_client_ask(const char *method, const sl_client_url *u, const char *path, sl_str body,
                      const sl_client_options *o, sl_client_reply *r, sl_status *st)
{
    sl_text head = {0};
    sl_io io = {.fd = -1};
    *r = (sl_client_reply){.layer = SL_LAYER_OURS};
    signal(SIGPIPE, SIG_IGN);
    sl_code rc = make_head(method, u, path, body, o, &head, st);
    if (rc == SL_OK)
        rc = dial(u, o, &io.fd, r, st);
    if (rc == SL_OK && u->tls)
        rc = encrypt(&io, u, o, r, st);
    if (rc == SL_OK) {
        r->tls = u->tls ? sl_tls_client_version(&io) : NULL;
        r->layer = SL_LAYER_REPLY;
        rc = talk(&io, &head, body, r, st);
    }
    if (io.fd >= 0)
        sl_io_close(&io);
    if (head.n > 0)
        explicit_bzero(head.p, head.n);
    sl_text_fini(&head);
    return rc;
}

void sl_client_reply_fini(sl_client_reply *r)
{
    sl_text_fini(&r->text);
}

/* ---- sluice predict URL ---- */

/* "/v1/models/half", with a version or label or without: no verb, so predict is meant. */
static bool needs_verb(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(path, "/v1/models/", 11) == 0 && strchr(slash, ':') == NULL;
}

/* Prints the body where it belongs: stdout, or stderr if the server refused. */
static int print_reply(const sl_client_reply *r)
{
    bool ok = r->status / 100 == 2;
    if (!ok)
        fprintf(stderr, "sluice: the server refused: %.*s\n", SL_STR_ARG(r->reason));
    fwrite(r->body.p, 1, r->body.n, ok ? stdout : stderr);
    fputc('\n', ok ? stdout : stderr);
    return ok ? SL_EXIT_OK : SL_EXIT_REFUSED;
}

int sl_client_predict(const char *text, sl_str body, const sl_client_options *o)
{
    sl_client_url u;
    sl_client_reply r = {0};
    sl_status st = {0};
    sl_text path = {0};
    sl_code rc = sl_client_parse_url(text, &u, &st);
    if (rc == SL_OK) {
        sl_text_puts(&path, u.path);
        if (needs_verb(u.path))
            sl_text_puts(&path, ":predict");
        rc = path.failed ? sl_fail(&st, SL_RESOURCE_EXHAUSTED, "out of memory")
                         : sl_client_ask("POST", &u, path.p, body, o, &r, &st);
        if (rc && r.layer == SL_LAYER_TLS)
            sl_wrap(&st, "%s port %s: TLS: ", u.host, u.port);
    }
    int exit_status = rc ? sl_cli_refuse(&st) : print_reply(&r);
    sl_client_reply_fini(&r);
    sl_text_fini(&path);
    return exit_status;
}
