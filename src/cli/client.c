/*
 * client.c - see client.h
 *
 * HTTP/1.0: the reply ends when the server closes, and nothing comes in chunks.
 */
#include "cli/client.h"

#include <errno.h>
#include <netdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "cli/cli.h"

enum { MAX_REPLY = 1 << 30 };

typedef struct url {
    char host[256], port[16];
    const char *path;
} url;

/* http://host[:port]/path, where host may be [::1] */
static sl_code parse_url(const char *text, url *u, sl_status *st)
{
    if (strncmp(text, "http://", 7) != 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: only http:// is spoken here; use curl", text);
    const char *host = text + 7, *end = host + strcspn(host, "/"), *port = end;
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
        snprintf(u->port, sizeof u->port, "80");
    if (host_end == NULL || host_end <= host || host_end - host >= (ptrdiff_t)sizeof u->host)
        return sl_fail(st, SL_INVALID_ARGUMENT, "%s: there is no host in this URL", text);
    snprintf(u->host, sizeof u->host, "%.*s", (int)(host_end - host), host);
    u->path = *end ? end : "/";
    return SL_OK;
}

static sl_code dial(const url *u, int *fd, sl_status *st)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all;
    int e = getaddrinfo(u->host, u->port, &hints, &all), last = ECONNREFUSED;
    if (e)
        return sl_fail(st, SL_UNAVAILABLE, "%s: %s", u->host, gai_strerror(e));
    *fd = -1;
    for (struct addrinfo *a = all; a != NULL && *fd < 0; a = a->ai_next) {
        *fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (*fd >= 0 && connect(*fd, a->ai_addr, a->ai_addrlen) == 0)
            break;
        last = errno;
        if (*fd >= 0)
            close(*fd);
        *fd = -1;
    }
    freeaddrinfo(all);
    if (*fd >= 0)
        return SL_OK;
    return sl_fail(st, sl_code_of_errno(last), "cannot reach %s port %s: %s", u->host, u->port,
                   strerror(last));
}

static sl_code send_all(int fd, const char *p, size_t n, sl_status *st)
{
    while (n > 0) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return sl_fail(st, SL_UNAVAILABLE, "cannot send the request: %s", strerror(errno));
        p += done;
        n -= (size_t)done;
    }
    return SL_OK;
}

static sl_code receive_all(int fd, sl_text *reply, sl_status *st)
{
    char block[65536];
    while (reply->n < MAX_REPLY && !reply->failed) {
        ssize_t n = recv(fd, block, sizeof block, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sl_fail(st, SL_UNAVAILABLE, "cannot read the reply: %s", strerror(errno));
        if (n == 0)
            return SL_OK;
        sl_text_add(reply, block, (size_t)n);
    }
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "the reply is too large");
}

/* "/v1/models/half", with a version or label or without: no verb, so predict is meant. */
static bool needs_verb(const char *path)
{
    const char *slash = strrchr(path, '/');
    return strncmp(path, "/v1/models/", 11) == 0 && strchr(slash, ':') == NULL;
}

static sl_code exchange(const url *u, sl_str body, sl_text *reply, sl_status *st)
{
    sl_text head = {0};
    int fd;
    sl_code rc = dial(u, &fd, st);
    if (rc)
        return rc;
    bool bracket = strchr(u->host, ':') != NULL;
    sl_text_printf(&head,
                   "POST %s%s HTTP/1.0\r\nHost: %s%s%s:%s\r\nContent-Type: application/json\r\n"
                   "Content-Length: %zu\r\n\r\n",
                   u->path, needs_verb(u->path) ? ":predict" : "", bracket ? "[" : "", u->host,
                   bracket ? "]" : "", u->port, body.n);
    if (head.failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (rc == SL_OK)
        rc = send_all(fd, head.p, head.n, st);
    if (rc == SL_OK)
        rc = send_all(fd, body.p, body.n, st);
    if (rc == SL_OK)
        rc = receive_all(fd, reply, st);
    close(fd);
    sl_text_fini(&head);
    return rc;
}

/* Prints the body where it belongs: stdout, or stderr if the server refused. */
static int print_reply(const sl_text *reply)
{
    const char *body = reply->n ? strstr(reply->p, "\r\n\r\n") : NULL;
    if (body == NULL || strncmp(reply->p, "HTTP/1.", 7) != 0)
        return sl_cli_refuse(&(sl_status){.msg = "the server does not answer in HTTP"});
    size_t n = reply->n - (size_t)(body + 4 - reply->p);
    const char *status = reply->p + 8 + (reply->p[8] == ' ');
    bool ok = *status == '2';
    if (!ok)
        fprintf(stderr, "sluice: the server refused: %.*s\n", (int)strcspn(status, "\r\n"), status);
    fwrite(body + 4, 1, n, ok ? stdout : stderr);
    fputc('\n', ok ? stdout : stderr);
    return ok ? SL_EXIT_OK : SL_EXIT_REFUSED;
}

int sl_client_predict(const char *text, sl_str body)
{
    url u;
    sl_text reply = {0};
    sl_status st = {0};
    if (parse_url(text, &u, &st) || exchange(&u, body, &reply, &st)) {
        sl_text_fini(&reply);
        return sl_cli_refuse(&st);
    }
    int exit_status = print_reply(&reply);
    sl_text_fini(&reply);
    return exit_status;
}
