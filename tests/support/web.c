/* web.c - see web.h */
#include "web.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

static struct {
    int fd;
    char url[64];
    pthread_t thread;
    void (*answer)(web_request *r);
    atomic_int asked;
    web_request seen[WEB_KEPT], last;
} self = {.fd = -1};

static pthread_mutex_t meeting = PTHREAD_MUTEX_INITIALIZER;

void web_meet(void)
{
    pthread_mutex_lock(&meeting);
    pthread_mutex_unlock(&meeting);
}

static void must(int ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* Reads to the end of the head, and what belongs to it of the body. */
static int read_request(web_request *r)
{
    size_t n = 0;
    char *end = NULL;
    while (end == NULL) {
        ssize_t got = recv(r->fd, r->head + n, sizeof r->head - 1 - n, 0);
        if (got <= 0)
            return 0;
        n += (size_t)got;
        r->head[n] = '\0';
        if (r->head[0] < 'A') /* TLS: not here */
            return 0;
        end = strstr(r->head, "\r\n\r\n");
    }
    size_t body = (size_t)strtoul(web_header(r, "Content-Length"), NULL, 10);
    size_t have = n - (size_t)(end + 4 - r->head);
    must(body < sizeof r->body && have <= body, "web: a request's body");
    memcpy(r->body, end + 4, have);
    end[2] = '\0';
    while (have < body) {
        ssize_t got = recv(r->fd, r->body + have, body - have, 0);
        if (got <= 0)
            return 0;
        have += (size_t)got;
    }
    return sscanf(r->head, "%15s %1023s", r->method, r->target) == 2;
}

static void *serve(void *arg)
{
    (void)arg;
    for (;;) {
        int fd = accept4(self.fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            return NULL;
        int number = atomic_load(&self.asked);
        web_request *r = number < WEB_KEPT ? &self.seen[number] : &self.last;
        memset(r, 0, sizeof *r);
        r->fd = fd;
        r->number = number;
        if (read_request(r)) {
            atomic_store(&self.asked, number + 1);
            pthread_mutex_lock(&meeting);
            self.answer(r);
            pthread_mutex_unlock(&meeting);
        }
        close(fd);
    }
}

static void listen_at(in_port_t port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = port};
    socklen_t n = sizeof a;
    int yes = 1;
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    self.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(self.fd >= 0, "web: socket");
    setsockopt(self.fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    must(bind(self.fd, (struct sockaddr *)&a, n) == 0, "web: bind");
    must(listen(self.fd, 100) == 0, "web: listen");
    must(getsockname(self.fd, (struct sockaddr *)&a, &n) == 0, "web: getsockname");
    snprintf(self.url, sizeof self.url, "http://127.0.0.1:%d", ntohs(a.sin_port));
}

void web_start(void (*answer)(web_request *r))
{
    const char *colon = strrchr(self.url, ':');
    listen_at(colon ? htons((in_port_t)strtoul(colon + 1, NULL, 10)) : 0);
    self.answer = answer;
    atomic_store(&self.asked, 0);
    must(pthread_create(&self.thread, NULL, serve, NULL) == 0, "web: thread");
}

void web_stop(void)
{
    shutdown(self.fd, SHUT_RDWR);
    pthread_join(self.thread, NULL);
    close(self.fd);
    self.fd = -1;
}

const char *web_url(void)
{
    return self.url;
}

int web_asked(void)
{
    return atomic_load(&self.asked);
}

const web_request *web_seen(int number)
{
    must(number < web_asked() && number < WEB_KEPT, "web: no such request");
    return &self.seen[number];
}

const char *web_header(const web_request *r, const char *name)
{
    static _Thread_local char value[2048];
    size_t n = strlen(name);
    for (const char *p = strstr(r->head, "\r\n"); p; p = strstr(p + 2, "\r\n"))
        if (strncasecmp(p + 2, name, n) == 0 && p[2 + n] == ':') {
            const char *begin = p + 3 + n + strspn(p + 3 + n, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(begin, "\r"), begin);
            return value;
        }
    return "";
}

void web_put(const web_request *r, const void *p, size_t n)
{
    for (const char *at = p; n;) {
        ssize_t done = send(r->fd, at, n, MSG_NOSIGNAL);
        if (done <= 0)
            return; /* who asked has heard enough */
        at += done;
        n -= (size_t)done;
    }
}

void web_send_head(const web_request *r, int status, const char *headers, size_t length)
{
    char head[4096];
    int n = snprintf(head, sizeof head,
                     "HTTP/1.1 %d x\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n", status,
                     headers, length);
    web_put(r, head, (size_t)n);
}

void web_send(const web_request *r, int status, const char *headers, const void *body, size_t n)
{
    web_send_head(r, status, headers, n);
    web_put(r, body, n);
}
