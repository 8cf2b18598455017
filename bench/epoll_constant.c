/*
 * epoll_constant.c - the limit: a bare epoll loop that reads a request and answers a constant
 *
 *     epoll_constant PORT FILE     FILE holds the reply's body
 *
 * One thread, level-triggered, one read and one write a request. It looks for the end of the head
 * and for Content-Length and does nothing else: no server that does its work can be faster by much.
 */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOM = 65536, MOST = 4096 };

static char reply[ROOM];
static int reply_size;

static struct conn {
    char buf[8192];
    int n;
} * conns[MOST];

/* Bytes of the first request in the buffer, 0 if it is not complete. */
static int request_size(struct conn *c)
{
    c->buf[c->n] = '\0';
    char *end = strstr(c->buf, "\r\n\r\n");
    if (end == NULL)
        return 0;
    char *length = strcasestr(c->buf, "content-length:");
    int size = (int)(end + 4 - c->buf) + (length && length < end ? atoi(length + 15) : 0);
    return c->n >= size ? size : 0;
}

static void serve(int fd)
{
    struct conn *c = conns[fd];
    ssize_t n = read(fd, c->buf + c->n, sizeof c->buf - 1 - (size_t)c->n);
    if (n <= 0) {
        close(fd);
        return;
    }
    c->n += (int)n;
    for (int size; (size = request_size(c)) > 0;) {
        if (write(fd, reply, (size_t)reply_size) < 0)
            return;
        memmove(c->buf, c->buf + size, (size_t)(c->n - size));
        c->n -= size;
    }
}

int main(int argc, char **argv)
{
    char body[ROOM / 2];
    if (argc != 3)
        return 2;
    FILE *f = fopen(argv[2], "rb");
    if (f == NULL)
        return 1;
    size_t size = fread(body, 1, sizeof body, f);
    fclose(f);
    reply_size = snprintf(reply, sizeof reply,
                          "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%.*s",
                          size, (int)size, body);
    int s = socket(AF_INET, SOCK_STREAM, 0), one = 1, ep = epoll_create1(0);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)atoi(argv[1])),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (struct sockaddr *)&a, sizeof a) || listen(s, 1024)) {
        perror("bind");
        return 1;
    }
    struct epoll_event e = {.events = EPOLLIN, .data.fd = s}, ready[256];
    epoll_ctl(ep, EPOLL_CTL_ADD, s, &e);
    for (;;) {
        int n = epoll_wait(ep, ready, 256, -1);
        for (int i = 0; i < n; i++) {
            int fd = ready[i].data.fd;
            if (fd != s) {
                serve(fd);
                continue;
            }
            int c = accept4(s, NULL, NULL, SOCK_NONBLOCK);
            if (c < 0 || c >= MOST)
                continue;
            setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            if (conns[c] == NULL)
                conns[c] = malloc(sizeof *conns[c]);
            conns[c]->n = 0;
            e = (struct epoll_event){.events = EPOLLIN, .data.fd = c};
            epoll_ctl(ep, EPOLL_CTL_ADD, c, &e);
        }
    }
}
