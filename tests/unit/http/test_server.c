/* test_server.c - several loops on threads of their own, real sockets, replies from other threads
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"
#include "http/conn.h"
#include "support/faults.h"

enum { LOOPS = 2, CLIENTS = 8, REQUESTS = 200 };

/* A worker: takes calls from a list, replies to them from its own thread. */
typedef struct worker {
    pthread_mutex_t lock;
    sl_cond more;
    sl_http_call *first;
    bool end;
    pthread_t thread;
} worker;

typedef struct fixture {
    sl_loop *loops[LOOPS];
    sl_http_server *server;
    int port;
    worker worker;
    sem_t drained;
    atomic_int done, errors;
} fixture;

static void *work(void *arg)
{
    worker *w = arg;
    pthread_mutex_lock(&w->lock);
    while (!w->end || w->first != NULL) {
        sl_http_call *call = w->first;
        if (call == NULL) {
            sl_cond_wait(&w->more, &w->lock);
            continue;
        }
        w->first = call->user;
        pthread_mutex_unlock(&w->lock);
        sl_chain_add(&call->reply, call->body.p, call->body.n);
        sl_http_reply_posted(call);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void on_call(sl_http_call *call, void *arg)
{
    worker *w = &((fixture *)arg)->worker;
    if (sl_str_is(call->path, "/here")) {
        sl_chain_add(&call->reply, call->body.p, call->body.n);
        sl_http_reply(call);
        return;
    }
    pthread_mutex_lock(&w->lock);
    call->user = w->first;
    w->first = call;
    sl_cond_signal(&w->more);
    pthread_mutex_unlock(&w->lock);
}

static void on_error(int status, const char *message, sl_chain *body, const char **type, void *arg)
{
    atomic_fetch_add(&((fixture *)arg)->errors, 1);
    *type = "text/plain";
    sl_chain_printf(body, "%d %s", status, message);
}

static void on_done(sl_http_call *call, int status, uint64_t sent, void *arg)
{
    (void)call;
    (void)status;
    (void)sent;
    atomic_fetch_add(&((fixture *)arg)->done, 1);
}

static fixture *start_as(const char *address, bool share)
{
    fixture *f = calloc(1, sizeof *f);
    sl_http_options o = {.on_call = on_call,
                         .on_error = on_error,
                         .on_done = on_done,
                         .share_port = share,
                         .arg = f};
    sl_http_limits_default(&o.limits);
    sem_init(&f->drained, 0, 0);
    pthread_mutex_init(&f->worker.lock, NULL);
    sl_cond_init(&f->worker.more);
    assert_int_equal(pthread_create(&f->worker.thread, NULL, work, &f->worker), 0);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(sl_loop_new(&f->loops[i], NULL), SL_OK);
        assert_int_equal(sl_loop_start(f->loops[i], "loop", NULL), SL_OK);
    }
    assert_int_equal(sl_http_listen(f->loops, LOOPS, address, &o, &f->server, &f->port, NULL),
                     SL_OK);
    return f;
}

static fixture *start(const char *address)
{
    return start_as(address, false);
}

static void drained(void *arg)
{
    sem_post(&((fixture *)arg)->drained);
}

static void stop(fixture *f)
{
    sl_http_drain(f->server, drained, f);
    sem_wait(&f->drained);
    sl_http_stats s;
    sl_http_get_stats(f->server, &s);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.inflight_bytes, 0);
    assert_int_equal(atomic_load(&f->done), s.calls + atomic_load(&f->errors));
    pthread_mutex_lock(&f->worker.lock);
    f->worker.end = true;
    sl_cond_signal(&f->worker.more);
    pthread_mutex_unlock(&f->worker.lock);
    pthread_join(f->worker.thread, NULL);
    for (int i = 0; i < LOOPS; i++)
        sl_loop_stop(f->loops[i]);
    sl_http_free(f->server);
    for (int i = 0; i < LOOPS; i++)
        sl_loop_free(f->loops[i]);
    pthread_mutex_destroy(&f->worker.lock);
    sem_destroy(&f->drained);
    free(f);
}

static int tcp(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    return connect(fd, (struct sockaddr *)&a, sizeof a) == 0 ? fd : -1;
}

/* One request and its reply over a blocking socket: was it the right one? */
static bool ask(int fd, const char *path, int size)
{
    char request[12000], reply[12000];
    int n = snprintf(request, sizeof request, "POST %s HTTP/1.1\r\nContent-Length: %d\r\n\r\n%0*d",
                     path, size, size, size);
    if (send(fd, request, (size_t)n, MSG_NOSIGNAL) != n)
        return false;
    size_t got = 0;
    for (;;) {
        ssize_t r = recv(fd, reply + got, sizeof reply - got - 1, 0);
        if (r <= 0)
            return false;
        reply[got += (size_t)r] = '\0';
        const char *body = strstr(reply, "\r\n\r\n");
        if (body != NULL && got - (size_t)(body + 4 - reply) >= (size_t)size)
            return strcmp(body + 4, request + n - size) == 0;
    }
}

typedef struct client {
    int port, number, good; /* port: the server may be gone before its clients */
} client;

static void *run_client(void *arg)
{
    client *c = arg;
    int fd = tcp(c->port);
    for (int i = 0; i < REQUESTS; i++) {
        c->good += ask(fd, i % 2 ? "/here" : "/worker", 8 + (i * 37 + c->number) % 9000);
        if (i % 50 == 49) { /* and now and then a new connection */
            close(fd);
            fd = tcp(c->port);
        }
    }
    close(fd);
    return NULL;
}

static void clients_of_several_loops_get_their_own_replies(void **state)
{
    (void)state;
    fixture *f = start("127.0.0.1:0");
    pthread_t threads[CLIENTS];
    client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = (client){f->port, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
    }
    for (int i = 0; i < CLIENTS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].good, REQUESTS);
    }
    sl_http_stats s;
    sl_http_get_stats(f->server, &s);
    assert_int_equal(s.calls, CLIENTS * REQUESTS);
    assert_int_equal(atomic_load(&f->errors), 0);
    stop(f);
}

static void connections_are_spread_evenly_over_the_loops(void **state)
{
    (void)state;
    fixture *f = start("127.0.0.1:0");
    int fd[20];
    for (int i = 0; i < 20; i++) {
        fd[i] = tcp(f->port);
        assert_true(ask(fd[i], "/here", 10)); /* accepted */
    }
    for (int i = 0; i < LOOPS; i++)
        assert_int_equal(atomic_load(&f->server->shards[i].n_conns), 20 / LOOPS);
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    stop(f);
}

static void a_unix_socket_is_shared_by_the_loops(void **state)
{
    (void)state;
    char address[128];
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof a.sun_path, "/tmp/sluice-test-%d.sock", (int)getpid());
    snprintf(address, sizeof address, "unix:%s", a.sun_path);
    fixture *f = start(address);
    for (int i = 0; i < 20; i++) {
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
        assert_true(ask(fd, i % 2 ? "/here" : "/worker", 100));
        close(fd);
    }
    stop(f);
    assert_int_equal(access(a.sun_path, F_OK), -1); /* nothing is left behind */
}

static void drain_during_traffic_ends_and_every_call_was_reported(void **state)
{
    (void)state;
    for (int round = 0; round < 20; round++) {
        fixture *f = start("127.0.0.1:0");
        pthread_t thread;
        client c = {f->port, round, 0};
        int calm = tcp(f->port);
        assert_true(ask(calm, "/worker", 10));
        assert_int_equal(pthread_create(&thread, NULL, run_client, &c), 0);
        stop(f);
        pthread_join(thread, NULL);
        close(calm);
    }
}

/* Clients ask all the time, while each of some servers hands its port on to the next. */
static void a_port_is_handed_on_under_traffic(void **state)
{
    (void)state;
    char address[64];
    pthread_t threads[2];
    client clients[2];
    fixture *old = start_as("127.0.0.1:0", true);
    snprintf(address, sizeof address, "127.0.0.1:%d", old->port);
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < 2; i++) {
            clients[i] = (client){old->port, i, 0};
            assert_int_equal(pthread_create(&threads[i], NULL, run_client, &clients[i]), 0);
        }
        fixture *new = start_as(address, true);
        sl_http_leave(old->server);
        for (int i = 0; i < 2; i++) {
            pthread_join(threads[i], NULL);
            assert_true(clients[i].good > 0);
        }
        int fd = tcp(old->port);
        sl_http_stats before, after;
        sl_http_get_stats(old->server, &before);
        assert_true(ask(fd, "/here", 10)); /* not by the one that leaves */
        assert_true(ask(fd, "/here", 10));
        sl_http_get_stats(old->server, &after);
        assert_int_equal(after.calls, before.calls);
        close(fd);
        stop(old);
        old = new;
    }
    stop(old);
}

static void who_leaves_a_unix_socket_points_nowhere(void **state)
{
    (void)state;
    char address[64];
    snprintf(address, sizeof address, "unix:/tmp/sluice-test-%d.sock", (int)getpid());
    fixture *f = start_as(address, true);
    sl_http_leave(f->server);
    stop(f);
    f = start_as("127.0.0.1:0", true);
    sl_http_drain(f->server, drained, f);
    sem_wait(&f->drained);
    sem_post(&f->drained);
    sl_http_leave(f->server); /* too late: nothing listens */
    stop(f);
}

static void an_address_in_use_is_named(void **state)
{
    (void)state;
    fixture *f = start("127.0.0.1:0");
    sl_http_options o = {.on_call = on_call, .on_error = on_error};
    sl_http_server *other;
    sl_status st;
    char address[64];
    sl_http_limits_default(&o.limits);
    snprintf(address, sizeof address, "127.0.0.1:%d", f->port);
    assert_int_equal(sl_http_listen(f->loops, LOOPS, address, &o, &other, NULL, &st),
                     SL_UNAVAILABLE);
    assert_non_null(strstr(st.msg, address));
    assert_int_equal(sl_http_listen(f->loops, LOOPS, "nonsense", &o, &other, NULL, &st),
                     SL_INVALID_ARGUMENT);
    stop(f);
}

static void reasons_are_those_of_the_original(void **state)
{
    (void)state;
    assert_string_equal(sl_http_reason(200), "OK");
    assert_string_equal(sl_http_reason(404), "Not Found");
    assert_string_equal(sl_http_reason(299), "Success");
    assert_string_equal(sl_http_reason(399), "Redirection");
    assert_string_equal(sl_http_reason(429), "Client Error");
    assert_string_equal(sl_http_reason(499), "Client Error");
    assert_string_equal(sl_http_reason(501), "Not Implemented");
    assert_string_equal(sl_http_reason(504), "Gateway Time-out");
    assert_string_equal(sl_http_reason(599), "Server Error");
}

/* ---- a server that cannot be made ---- */

static int open_descriptors(void)
{
    int n = 0;
    for (int fd = 0; fd < 256; fd++)
        n += fcntl(fd, F_GETFD) >= 0;
    return n;
}

static sl_code listen_once(void *arg, sl_status *st)
{
    fixture *f = arg;
    sl_http_options o = {.on_call = on_call, .on_error = on_error, .arg = f};
    sl_http_server *v = NULL;
    const char *address = f->errors ? "unix:/tmp/sluice-listen-test" : "127.0.0.1:0";
    sl_http_limits_default(&o.limits);
    int n = atomic_load(&f->done);
    sl_code rc = sl_http_listen(f->loops, n, address, &o, &v, NULL, st);
    for (int i = 0; rc == SL_OK && i < n; i++)
        sl_loop_turn(f->loops[i], false);
    sl_http_free(v);
    return rc;
}

static void a_server_that_finds_no_memory_leaves_nothing(void **state)
{
    (void)state;
    static fixture f;
    for (int i = 0; i < 2; i++)
        assert_int_equal(sl_loop_new(&f.loops[i], NULL), SL_OK);
    int before = open_descriptors();
    for (int local = 0; local < 4; local++) {
        f.errors = local & 1;
        f.done = local < 2 ? 1 : 2; /* loops */
        assert_in_range(fail_each_allocation(listen_once, &f), 3, 100);
        assert_int_equal(open_descriptors(), before);
        assert_int_not_equal(access("/tmp/sluice-listen-test", F_OK), 0);
    }
    for (int i = 0; i < 2; i++)
        sl_loop_free(f.loops[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_finds_no_memory_leaves_nothing),
        cmocka_unit_test(clients_of_several_loops_get_their_own_replies),
        cmocka_unit_test(connections_are_spread_evenly_over_the_loops),
        cmocka_unit_test(a_unix_socket_is_shared_by_the_loops),
        cmocka_unit_test(drain_during_traffic_ends_and_every_call_was_reported),
        cmocka_unit_test(a_port_is_handed_on_under_traffic),
        cmocka_unit_test(who_leaves_a_unix_socket_points_nowhere),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(reasons_are_those_of_the_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
