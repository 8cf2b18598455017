/*
 * attack.c - many bad clients at little cost: silent, slow, and talking nonsense
 *
 *     attack KIND:PORT:COUNT[:FILE] ...
 *
 *     silent   COUNT connections that never say anything
 *     slow     ... that send FILE a byte a second (a head, a body; a byte of a TLS handshake)
 *     reader   ... that send FILE at once and read a byte of the answer a second
 *     junk     COUNT connections a second, each of which sends the next record of FILE (a 32-bit
 *              length, then the bytes), reads what comes, and leaves
 *
 * A slow connection begins with a 32-bit length and as many bytes that are sent at once. When the
 * server closes a connection another one takes its place within a second: the number stays. Writes
 * "ready" when all are open; ends when its input does, with a line of JSON. Connections come from
 * 16 addresses, 127.0.0.2 to .17. Everything happens on one thread in steps of a millisecond, in
 * which each slow connection has its turn every thousandth time.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { TURNS = 1000, /* a second */ PATIENCE = 30, JUNK = 8192, GROUPS = 32, OPEN_AT_ONCE = 100 };
enum { SILENT, SLOW, READER, JUNK_KIND };

typedef struct group {
    int kind, port, count;
    unsigned char *data;
    size_t n, at; /* of data; junk: the next record */
    double due;   /* junk */
    long opened, closed, answered;
} group;

typedef struct peer {
    int fd; /* -1: to be opened */
    group *g;
    const unsigned char *send;
    size_t n, sent;
    int turns; /* junk: tens of turns until it leaves */
    bool connected, begun;
} peer;

static group groups[GROUPS];
static peer *peers, junk[JUNK];
static int n_groups, n_peers, ep, n_open, statuses[600];
static long failed_connects, missed;
static uint64_t turns;
static unsigned source;

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void read_file(group *g, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL)
        die(path);
    fseek(f, 0, SEEK_END);
    g->n = (size_t)ftell(f);
    rewind(f);
    g->data = malloc(g->n + 1);
    if (g->data == NULL || fread(g->data, 1, g->n, f) != g->n)
        die(path);
    fclose(f);
}

static void read_group(char *spec)
{
    static const char *const names[] = {"silent", "slow", "reader", "junk"};
    group *g = &groups[n_groups++];
    char *kind = strtok(spec, ":"), *port = strtok(NULL, ":"), *count = strtok(NULL, ":"),
         *file = strtok(NULL, "");
    for (g->kind = 0; g->kind < 4 && strcmp(kind, names[g->kind]) != 0; g->kind++)
        ;
    if (g->kind > JUNK_KIND || count == NULL || (g->kind != SILENT) != (file != NULL)) {
        fprintf(stderr, "attack KIND:PORT:COUNT[:FILE] ...\n");
        exit(2);
    }
    g->port = atoi(port);
    g->count = atoi(count);
    if (file != NULL)
        read_file(g, file);
}

static uint32_t length_at(const group *g, size_t at)
{
    uint32_t n;
    memcpy(&n, g->data + at, 4);
    return ntohl(n);
}

/* ---- a connection ---- */

static void close_peer(peer *p)
{
    close(p->fd);
    p->fd = -1;
    n_open--;
}

static void open_peer(peer *p, group *g)
{
    struct sockaddr_in from = {.sin_family = AF_INET}, to = {.sin_family = AF_INET};
    int one = 1, small = 4096;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0)
        die("socket");
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (g->kind == READER)
        setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    from.sin_addr.s_addr = htonl(0x7f000002u + source++ % 16);
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons((uint16_t)g->port);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0 ||
        (connect(fd, (struct sockaddr *)&to, sizeof to) != 0 && errno != EINPROGRESS)) {
        failed_connects++;
        close(fd);
        return;
    }
    *p = (peer){.fd = fd, .g = g, .turns = PATIENCE};
    n_open++;
    g->opened++;
    struct epoll_event e = {.events = EPOLLOUT | (g->kind == READER ? 0 : EPOLLIN), .data.ptr = p};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e) != 0)
        die("epoll_ctl");
}

static void no_more_output(peer *p)
{
    struct epoll_event e = {.events = p->g->kind == READER ? 0 : EPOLLIN, .data.ptr = p};
    epoll_ctl(ep, EPOLL_CTL_MOD, p->fd, &e);
}

/* Sends what is to be sent at once. */
static void send_some(peer *p)
{
    while (p->sent < p->n) {
        ssize_t k = send(p->fd, p->send + p->sent, p->n - p->sent, MSG_NOSIGNAL);
        if (k <= 0)
            return;
        p->sent += (size_t)k;
    }
    no_more_output(p);
}

static void connected(peer *p)
{
    group *g = p->g;
    p->connected = true;
    p->send = g->data;
    if (g->kind == READER) {
        p->n = g->n;
    } else if (g->kind == SLOW) {
        p->send = g->data + 4;
        p->n = length_at(g, 0);
    } else if (g->kind == JUNK_KIND) {
        p->send = g->data + g->at + 4;
        p->n = length_at(g, g->at);
        g->at += 4 + p->n;
        if (g->at + 4 > g->n)
            g->at = 0;
    }
}

static void gone(peer *p)
{
    if (!p->connected)
        failed_connects++;
    p->g->closed++;
    close_peer(p);
}

static void received(peer *p, const char *buf, ssize_t n)
{
    if (n < 12 || memcmp(buf, "HTTP/1.1 ", 9) != 0)
        return;
    int status = atoi(buf + 9);
    statuses[status > 0 && status < 600 ? status : 0]++;
    p->g->answered++;
}

static void handle(peer *p, uint32_t events)
{
    static char buf[65536];
    if (p->fd < 0)
        return;
    if (events & (EPOLLERR | EPOLLHUP) && p->g->kind == READER) {
        gone(p);
        return;
    }
    if (events & EPOLLOUT) {
        if (!p->connected)
            connected(p);
        send_some(p);
    }
    if (!(events & (EPOLLIN | EPOLLERR | EPOLLHUP)))
        return;
    ssize_t n = recv(p->fd, buf, sizeof buf, 0);
    if (n > 0)
        received(p, buf, n);
    else if (n == 0 || errno != EAGAIN)
        gone(p);
}

/* ---- what happens every turn ---- */

static void slow_turn(peer *p)
{
    char c, status[16];
    group *g = p->g;
    if (!p->connected || p->sent < p->n)
        return;
    if (g->kind == READER && !p->begun) {
        /* The first turn reads the status. Who is refused comes back. */
        ssize_t n = recv(p->fd, status, sizeof status, 0);
        p->begun = n > 0;
        received(p, status, n);
        if (n == 0 || (n >= 12 && memcmp(status + 9, "200", 3) != 0))
            gone(p);
        return;
    }
    if (g->kind == SLOW) {
        /* What follows is sent again and again. */
        size_t begin = 4 + length_at(g, 0), at = begin + (p->sent - p->n) % (g->n - begin);
        if (send(p->fd, g->data + at, 1, MSG_NOSIGNAL) == 1)
            p->sent++;
    } else if (g->kind == READER && recv(p->fd, &c, 1, 0) == 0) {
        gone(p);
    }
}

/* Those that the server closed come back, and those that have a byte to send do. */
static void slow_ones(int turn)
{
    for (int i = turn % TURNS; i < n_peers; i += TURNS) {
        if (peers[i].fd < 0)
            open_peer(&peers[i], peers[i].g);
        else
            slow_turn(&peers[i]);
    }
}

static void leave(peer *p)
{
    struct linger abort = {.l_onoff = 1};
    if (source & 1)
        setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
    p->g->closed++;
    close_peer(p);
}

static void junk_turn(void)
{
    for (int i = 0; i < JUNK; i++)
        if (junk[i].fd >= 0 && --junk[i].turns <= 0)
            leave(&junk[i]);
}

static void new_junk(void)
{
    static int at;
    for (int i = 0; i < n_groups; i++) {
        group *g = &groups[i];
        if (g->kind != JUNK_KIND)
            continue;
        for (g->due += g->count / (double)TURNS; g->due >= 1; g->due--) {
            int tries = 0;
            for (; junk[at].fd >= 0 && tries < JUNK; tries++)
                at = (at + 1) % JUNK;
            if (tries == JUNK)
                missed++;
            else
                open_peer(&junk[at], g);
        }
    }
}

static void wait_for_events(int ms)
{
    struct epoll_event events[512];
    int n = epoll_wait(ep, events, 512, ms);
    for (int i = 0; i < n; i++)
        if (events[i].data.ptr != NULL)
            handle(events[i].data.ptr, events[i].events);
}

static void open_all(void)
{
    for (int i = 0; i < n_peers; i++) {
        open_peer(&peers[i], peers[i].g);
        if (i % OPEN_AT_ONCE == 0)
            wait_for_events(5);
    }
    for (int i = 0; i < n_peers; i++)
        while (peers[i].fd >= 0 && (!peers[i].connected || peers[i].sent < peers[i].n))
            wait_for_events(10);
}

static void tell(void)
{
    static const char *const names[] = {"silent", "slow", "reader", "junk"};
    printf("{\"seconds\": %.2f, \"open\": %d, \"failed_connects\": %ld, \"missed\": %ld, "
           "\"statuses\": {",
           (double)turns / TURNS, n_open, failed_connects, missed);
    for (int i = 0, first = 1; i < 600; i++)
        if (statuses[i] > 0)
            printf("%s\"%d\": %d", first ? "" : ", ", i, statuses[i]), first = 0;
    printf("}, \"groups\": [");
    for (int i = 0; i < n_groups; i++)
        printf("%s{\"kind\": \"%s\", \"port\": %d, \"opened\": %ld, \"closed\": %ld, \"answered\": "
               "%ld}",
               i ? ", " : "", names[groups[i].kind], groups[i].port, groups[i].opened,
               groups[i].closed, groups[i].answered);
    printf("]}\n");
}

static void prepare(int argc, char **argv)
{
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    for (int i = 1; i < argc && i <= GROUPS; i++)
        read_group(argv[i]);
    for (int i = 0; i < n_groups; i++)
        n_peers += groups[i].kind == JUNK_KIND ? 0 : groups[i].count;
    if ((rlim_t)n_peers + 100 > r.rlim_cur) {
        fprintf(stderr, "attack: %d connections, but only %lu descriptors (ulimit -n)\n", n_peers,
                (unsigned long)r.rlim_cur);
        exit(1);
    }
    peers = calloc((size_t)n_peers + 1, sizeof *peers);
    ep = epoll_create1(0);
    if (peers == NULL || ep < 0)
        die("start");
    for (int i = 0; i < JUNK; i++)
        junk[i].fd = -1;
    /* Kinds are spread over the turns, because peers of a kind lie side by side. */
    for (int i = 0, at = 0; i < n_groups; i++)
        for (int k = 0; groups[i].kind != JUNK_KIND && k < groups[i].count; k++)
            peers[at++] = (peer){.fd = -1, .g = &groups[i]};
}

int main(int argc, char **argv)
{
    struct itimerspec every = {.it_interval.tv_nsec = 1000000, .it_value.tv_nsec = 1000000};
    uint64_t ticks;
    if (argc < 2)
        return 2;
    prepare(argc, argv);
    open_all();
    puts("ready");
    fflush(stdout);
    int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = NULL};
    if (timer < 0 || timerfd_settime(timer, 0, &every, NULL) != 0 ||
        epoll_ctl(ep, EPOLL_CTL_ADD, timer, &e) != 0)
        die("timer");
    struct pollfd input = {.fd = 0, .events = POLLIN};
    for (int turn = 0; poll(&input, 1, 0) == 0;) {
        wait_for_events(-1);
        if (read(timer, &ticks, sizeof ticks) != sizeof ticks)
            continue;
        /* Who came late makes up for it: the pace is what was asked for. */
        for (turns += ticks; ticks > 0; ticks--) {
            slow_ones(turn++);
            if (turn % 10 == 0)
                junk_turn();
            new_junk();
        }
    }
    tell();
    return 0;
}
