/*
 * paced.c - load at a fixed rate, and how late the answers are
 *
 *     paced PORT PATH BODY RATE SECONDS CONNECTIONS [fresh] [FILE]
 *
 * Request i is due at start + i / RATE, whatever became of those before it, and its latency counts
 * from then: a server that stands still for 50 ms is seen to, by all the requests that were due
 * meanwhile. A rate of 0 sends as fast as answers come, and tells the rate. fresh: each request on
 * a connection of its own, whose opening counts. A connection that is lost is a failed request. One
 * line of JSON: requests, failed, rps, p50, p99, p999, max in microseconds, and how many took
 * longer than 5 ms. FILE: gets all of them, two uint64 each: when it was due, in nanoseconds of
 * CLOCK_MONOTONIC, and its latency in microseconds.
 */
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST = 256, LINE = 65536 };

typedef struct connection {
    int fd;
    bool busy;
    uint64_t due;
    char in[LINE];
    size_t n;
} connection;

static connection conns[MOST];
static int port, ep, size;
static bool fresh;
static char request[LINE];
typedef struct answer {
    uint64_t due_ns, us;
} answer;
static answer *answers;
static size_t answered, room, failed;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Does not wait for the server: what is to be sent goes when the socket is writable. */
static void open_connection(connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct epoll_event e = {.events = EPOLLIN, .data.u32 = (uint32_t)(c - conns)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (c->fd < 0 ||
        (connect(c->fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(ep, EPOLL_CTL_ADD, c->fd, &e) != 0) {
        perror("connect");
        exit(1);
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
}

static void lost(connection *c, const char *how)
{
    if (c->busy && failed++ < 5)
        fprintf(stderr, "failed: %s, after %zu bytes of the answer\n", how, c->n);
    c->busy = false;
    c->n = 0;
    close(c->fd);
    c->fd = -1;
    if (!fresh)
        open_connection(c);
}

static void watch(connection *c, uint32_t events)
{
    struct epoll_event e = {.events = events, .data.u32 = (uint32_t)(c - conns)};
    epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
}

static void send_request(connection *c)
{
    ssize_t n = send(c->fd, request, (size_t)size, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN)
        watch(c, EPOLLIN | EPOLLOUT); /* not connected yet */
    else if (n != size)
        lost(c, n < 0 ? strerror(errno) : "the request was not taken whole");
}

/* A whole answer is there: head, and as much body as it says. */
static bool is_whole(const connection *c, bool *ok)
{
    const char *end = memmem(c->in, c->n, "\r\n\r\n", 4);
    if (end == NULL)
        return false;
    const char *length = memmem(c->in, (size_t)(end - c->in), "Content-Length: ", 16);
    size_t body = length ? strtoul(length + 16, NULL, 10) : 0;
    *ok = c->n > 12 && memcmp(c->in + 9, "200", 3) == 0;
    return c->n >= (size_t)(end + 4 - c->in) + body;
}

static void receive(connection *c)
{
    bool ok;
    ssize_t n = recv(c->fd, c->in + c->n, sizeof c->in - c->n, MSG_DONTWAIT);
    if (n <= 0) {
        if (n < 0 && errno == EAGAIN)
            return;
        lost(c, n < 0 ? strerror(errno) : "closed");
        return;
    }
    c->n += (size_t)n;
    if (!is_whole(c, &ok))
        return;
    if (answered < room)
        answers[answered++] = (answer){c->due, (now_ns() - c->due) / 1000};
    if (!ok && failed++ == 0)
        fprintf(stderr, "failed: %.*s\n", (int)c->n, c->in);
    c->busy = false;
    c->n = 0;
    if (fresh)
        lost(c, "");
}

static void handle(connection *c, uint32_t events)
{
    if (events & EPOLLOUT && c->busy) {
        watch(c, EPOLLIN);
        send_request(c);
    }
    if (c->fd >= 0 && events & ~(uint32_t)EPOLLOUT)
        receive(c);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = ((const answer *)a)->us, y = ((const answer *)b)->us;
    return (x > y) - (x < y);
}

static bool keep(const char *file)
{
    FILE *f = fopen(file, "wb");
    bool all = f && fwrite(answers, sizeof *answers, answered, f) == answered;
    return f && fclose(f) == 0 && all;
}

int main(int argc, char **argv)
{
    struct epoll_event events[MOST];
    if (argc < 7 || argc > 9)
        return 2;
    int count = atoi(argv[6]), free_ones = 0;
    double rate = atof(argv[4]), seconds = atof(argv[5]);
    port = atoi(argv[1]);
    fresh = argc > 7 && strcmp(argv[7], "fresh") == 0;
    const char *file = argc > 7 + fresh ? argv[7 + fresh] : NULL;
    count = count < MOST ? count : MOST;
    size = snprintf(request, sizeof request,
                    "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n\r\n%s", argv[2],
                    strlen(argv[3]), argv[3]);
    room = (size_t)((rate > 0 ? rate : 500000) * seconds) + MOST;
    answers = malloc(room * sizeof *answers);
    prctl(PR_SET_TIMERSLACK, 1);
    ep = epoll_create1(0);
    for (int i = 0; i < count; i++) {
        conns[i].fd = -1;
        if (!fresh)
            open_connection(&conns[i]);
    }
    uint64_t start = now_ns(), end = start + (uint64_t)(seconds * 1e9), sent = 0;
    for (;;) {
        uint64_t now = now_ns();
        free_ones = 0;
        for (int i = 0; i < count; i++) {
            connection *c = &conns[i];
            if (c->busy) {
                continue;
            }
            uint64_t due = rate > 0 ? start + (uint64_t)((double)sent * 1e9 / rate) : now;
            if (due > now || due >= end) {
                free_ones++;
                continue;
            }
            c->due = due;
            c->busy = true;
            sent++;
            if (fresh)
                open_connection(c);
            send_request(c);
        }
        if (now >= end && free_ones == count)
            break;
        uint64_t next = rate > 0 ? start + (uint64_t)((double)sent * 1e9 / rate) : now + 1000000;
        struct timespec wait = {0};
        if (next > now && free_ones > 0)
            wait.tv_nsec = (long)(next - now < 1000000 ? next - now : 1000000);
        else if (free_ones == 0)
            wait.tv_nsec = 1000000;
        int n = epoll_pwait2(ep, events, MOST, &wait, NULL);
        for (int i = 0; i < n; i++)
            handle(&conns[events[i].data.u32], events[i].events);
    }
    double took = (double)(now_ns() - start) / 1e9;
    if (file && !keep(file)) {
        perror(file);
        return 1;
    }
    qsort(answers, answered, sizeof *answers, by_size);
    size_t late = 0;
    for (size_t i = 0; i < answered; i++)
        late += answers[i].us > 5000;
    printf("{\"requests\": %zu, \"failed\": %zu, \"rps\": %.0f, \"p50\": %" PRIu64
           ", \"p99\": %" PRIu64 ", \"p999\": %" PRIu64 ", \"max\": %" PRIu64 ", \"late\": %zu}\n",
           answered, failed, (double)answered / took, answers[answered / 2].us,
           answers[answered * 99 / 100].us, answers[answered * 999 / 1000].us,
           answers[answered - 1].us, late);
    return 0;
}
