/* test_crowd.c - too many connections, too much that is held for slow clients: who goes, who stays
 */
#include "unit/http/h2_client.h"

#include <sys/resource.h>

#define GET "GET /a HTTP/1.1\r\n\r\n"
#define BIG "GET /big?2000000 HTTP/1.1\r\n\r\n"

enum { MOST = 4 };

static void few_connections(sl_http_limits *l)
{
    l->max_connections = MOST;
}

static void ten_megabytes(sl_http_limits *l)
{
    l->max_inflight = 10 << 20;
}

static void one_megabyte(sl_http_limits *l)
{
    l->max_inflight = 1 << 20;
}

static bool is_served(fixture *f, int fd)
{
    return strncmp(exchange_text(f, fd, GET), "HTTP/1.1 200 ", 13) == 0;
}

static bool is_closed(fixture *f, int fd)
{
    receive(f, fd);
    return f->eof;
}

static void fill(fixture *f, int *fds, int n)
{
    for (int i = 0; i < n; i++) {
        fds[i] = connect_client(f);
        pass_time(f, SECOND / 10);
    }
}

static void close_all(const int *fds, int n)
{
    for (int i = 0; i < n; i++)
        close(fds[i]);
}

/* ---- connections ---- */

static void who_comes_takes_the_place_of_who_has_been_silent_longest(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int fds[MOST], one, two;
    fill(f, fds, MOST);
    one = connect_client(f);
    assert_true(is_closed(f, fds[0]));
    assert_false(is_closed(f, fds[1]));
    assert_true(is_served(f, one));
    two = connect_client(f);
    assert_true(is_closed(f, fds[1]));
    assert_true(is_served(f, two));
    assert_true(is_served(f, fds[2]));
    close(one), close(two);
    close_all(fds, MOST);
    fx_free(f);
}

static void a_head_that_comes_slowly_is_silence(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int fds[MOST], fd;
    fill(f, fds, MOST);
    send_text(f, fds[0], "GET /a HTTP/1.1\r\nX: ");
    fd = connect_client(f);
    assert_true(is_closed(f, fds[0]));
    assert_true(is_served(f, fd));
    close(fd);
    close_all(fds, MOST);
    fx_free(f);
}

static void who_has_been_served_stays_longer_than_who_never_spoke(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int fds[MOST], fd[MOST + 1];
    fill(f, fds, MOST);
    assert_true(is_served(f, fds[0])); /* the oldest */
    assert_true(is_served(f, fds[1]));
    fd[0] = connect_client(f);
    assert_true(is_served(f, fd[0]));
    assert_true(is_closed(f, fds[2]));
    fd[1] = connect_client(f);
    assert_true(is_served(f, fd[1]));
    assert_true(is_closed(f, fds[3]));
    /* Now all have spoken: the one that rests longest goes. */
    assert_true(is_served(f, fds[0]));
    fd[2] = connect_client(f);
    assert_true(is_served(f, fd[2]));
    assert_true(is_closed(f, fds[1]));
    assert_true(is_served(f, fds[0]));
    close_all(fds, MOST);
    close_all(fd, 3);
    fx_free(f);
}

static void who_is_being_served_is_left_alone_and_the_new_one_is_told(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int fds[MOST], fd;
    fill(f, fds, MOST);
    for (int i = 0; i < MOST; i++)
        send_text(f, fds[i],
                  i % 2 ? "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc"
                        : "GET /hold HTTP/1.1\r\n\r\n");
    fd = connect_client(f);
    assert_int_equal(strncmp(receive(f, fd), "HTTP/1.1 503 ", 13), 0);
    for (int i = 0; i < MOST; i++)
        assert_false(is_closed(f, fds[i]));
    for (int i = 0; i < f->n_held; i++)
        sl_http_reply(f->held[i]);
    turn(f);
    for (int i = 0; i < MOST; i += 2)
        assert_int_equal(strncmp(receive(f, fds[i]), "HTTP/1.1 200 ", 13), 0);
    close(fd);
    close_all(fds, MOST);
    fx_free(f);
}

/* A body, a reply, over HTTP/2 a message, that does not come or go for two seconds. */
static void who_stands_still_while_being_served_makes_room_in_the_end(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int body = connect_client(f), answer = connect_client(f), held = connect_client(f), a, b, c;
    client *h2 = h2_connect(f);
    h2_request_with(h2, "POST", "/echo", "mess", 4, true, NULL);
    h2_turn(h2);
    send_text(f, body, "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    pass_time(f, SECOND);
    send_text(f, answer, BIG);
    send_text(f, held, "GET /hold HTTP/1.1\r\n\r\n");
    send_text(f, body, "d"); /* a byte is not much */
    pass_time(f, SECOND);
    a = connect_client(f);
    assert_true(is_served(f, a));
    h2_turn(h2);
    assert_true(h2->eof);
    b = connect_client(f);
    assert_true(is_served(f, b));
    assert_true(is_closed(f, body));
    c = connect_client(f); /* `a` rests: it goes, as the reply has not stood still for long */
    assert_true(is_served(f, c));
    assert_true(is_closed(f, a));
    pass_time(f, SECOND);
    a = connect_client(f);
    assert_true(is_served(f, a));
    assert_true(is_closed(f, answer));
    assert_false(is_closed(f, held));
    sl_http_reply(f->held[0]);
    turn(f);
    assert_false(is_closed(f, held));
    close(a), close(b), close(c), close(body), close(answer), close(held);
    h2_close(h2);
    fx_free(f);
}

static void an_http2_connection_without_calls_makes_room(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    client *c = h2_connect(f), *d = h2_connect(f);
    int a, b, id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    h2_turn(d);
    a = connect_client(f);
    b = connect_client(f);
    assert_true(is_served(f, a));
    assert_true(is_served(f, b));
    int e = connect_client(f);
    assert_true(is_served(f, e));
    h2_turn(d);
    assert_int_equal(atomic_load(&f->server->n_conns), MOST); /* d is gone */
    assert_true(is_served(f, a));
    sl_http_reply(f->held[0]);
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->status, 200);
    close(a), close(b), close(e);
    h2_close(c);
    h2_close(d);
    fx_free(f);
}

/* Another port of the same loop. */
static void a_crowd_at_one_port_keeps_nobody_out_of_another(void **state)
{
    (void)state;
    sl_http_family family = {0};
    sl_http_limits l;
    fixture *f;
    sl_http_server *other;
    int fds[MOST], port;
    sl_http_limits_default(&l);
    l.max_connections = MOST;
    f = fx_new(&l);
    sl_http_options o = f->server->opts;
    o.family = &family;
    sl_http_free(f->server);
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &f->server, &f->port, NULL),
                     SL_OK);
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &other, &port, NULL), SL_OK);
    turn(f);
    fill(f, fds, MOST);
    f->port = port;
    int fd = connect_tcp(f);
    turn(f);
    assert_true(is_closed(f, fds[0]));
    assert_true(is_served(f, fd));
    assert_int_equal(atomic_load(&family.n_conns), MOST);
    close(fd);
    close_all(fds, MOST);
    turn(f);
    assert_int_equal(atomic_load(&family.n_conns), 0);
    sl_http_free(other);
    assert_ptr_equal(atomic_load(&family.newest), f->server);
    fx_free(f);
    assert_null(atomic_load(&family.newest));
}

static void one_comes(fixture *f, sl_http_call *call)
{
    (void)call;
    f->peek = NULL;
    f->held_fd = connect_client(f);
}

static void who_is_just_being_spoken_to_does_not_go_for_who_comes_meanwhile(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    int fds[MOST];
    fill(f, fds, MOST);
    f->peek = one_comes;
    assert_true(is_served(f, fds[0])); /* the oldest */
    assert_true(is_closed(f, fds[1]));
    assert_true(is_served(f, f->held_fd));
    close(f->held_fd);
    close_all(fds, MOST);
    fx_free(f);
}

static void of_those_with_a_session_and_those_without_the_older_goes(void **state)
{
    (void)state;
    fixture *f = fx_with(few_connections);
    client *c[2];
    int plain[2], fds[2];
    for (int i = 0; i < 2; i++) {
        c[i] = h2_connect(f);
        pass_time(f, SECOND / 10);
        plain[i] = connect_client(f);
        pass_time(f, SECOND / 10);
    }
    fds[0] = connect_client(f);
    h2_turn(c[0]);
    assert_true(c[0]->eof);
    assert_true(is_served(f, fds[0]));
    assert_false(is_closed(f, plain[0]));
    fds[1] = connect_client(f);
    assert_true(is_closed(f, plain[0]));
    h2_turn(c[1]);
    assert_false(c[1]->eof);
    for (int i = 0; i < 2; i++) {
        h2_close(c[i]);
        close(plain[i]), close(fds[i]);
    }
    fx_free(f);
}

/* A second server of the fixture's family, on `loop`. */
static sl_http_server *add_server(fixture *f, sl_http_family *family, sl_loop *const *loops, int n)
{
    sl_http_options o = f->server->opts;
    sl_http_server *v;
    o.family = family;
    o.tls = NULL;
    assert_int_equal(sl_http_listen(loops, n, "127.0.0.1:0", &o, &v, NULL, NULL), SL_OK);
    turn(f);
    return v;
}

static int connect_to(sl_shard *s)
{
    struct sockaddr_storage peer = {.ss_family = AF_UNIX};
    int fd[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
    assert_int_equal(sl_shard_adopt(s, fd[1], &peer), SL_OK);
    return fd[0];
}

/* Whoever it is: a debtor of any of the ports or a silent one. */
static void of_all_ports_who_stands_still_longest_goes(void **state)
{
    (void)state;
    sl_http_family family = {0};
    fixture *f = fx_with(few_connections);
    sl_http_server *elder = add_server(f, &family, &f->loop, 1),
                   *newest = add_server(f, &family, &f->loop, 1);
    sl_shard *first = elder->shards, *second = newest->shards;
    for (int turned = 0; turned < 2; turned++) {
        int a = connect_to(turned ? second : first), silent, b, new[4];
        send_text(f, a, BIG);
        pass_time(f, SECOND / 2);
        silent = connect_to(first);
        pass_time(f, SECOND / 2);
        b = connect_to(turned ? first : second);
        send_text(f, b, BIG);
        pass_time(f, 3 * SECOND);
        new[0] = connect_to(first);
        assert_true(is_served(f, new[0]));
        new[1] = connect_to(second);
        assert_true(is_served(f, new[1]));
        assert_true(is_closed(f, a));
        assert_true(f->text_n < 2000000);
        assert_false(is_closed(f, silent));
        pass_time(f, 3 * SECOND);
        new[2] = connect_to(second);
        assert_true(is_closed(f, silent));
        assert_true(is_served(f, new[2]));
        new[3] = connect_to(first);
        assert_true(is_closed(f, b));
        assert_true(f->text_n < 2000000);
        close_all(new, 4);
        close(a), close(silent), close(b);
        turn(f);
        assert_int_equal(atomic_load(&family.n_conns), 0);
    }
    sl_http_free(elder); /* not the newest */
    assert_ptr_equal(atomic_load(&family.newest), newest);
    assert_null(newest->elder);
    sl_http_free(newest);
    assert_null(atomic_load(&family.newest));
    fx_free(f);
}

static void who_is_on_another_loop_is_not_touched(void **state)
{
    (void)state;
    sl_http_family family = {0};
    fixture *f = fx_with(few_connections);
    sl_loop *loops[2] = {f->loop};
    assert_int_equal(sl_loop_new(&loops[1], NULL), SL_OK);
    sl_http_server *both = add_server(f, &family, loops, 2),
                   *one = add_server(f, &family, &loops[1], 1);
    sl_loop_turn(loops[1], false);
    int fds[MOST];
    for (int i = 0; i < MOST; i++)
        fds[i] = connect_to(i % 2 ? &both->shards[0] : &one->shards[0]);
    int fd = connect_to(&both->shards[1]);
    assert_int_equal(strncmp(receive(f, fd), "HTTP/1.1 503 ", 13), 0);
    for (int i = 0; i < MOST; i++)
        assert_false(is_closed(f, fds[i]));
    close(fd);
    sl_loop_turn(loops[1], false);
    fd = connect_to(&one->shards[0]); /* the oldest of its own goes */
    sl_loop_turn(loops[1], false);
    assert_true(is_closed(f, fds[0]));
    close(fd);
    close_all(fds, MOST);
    sl_http_free(both);
    sl_http_free(one);
    fx_free(f);
    sl_loop_free(loops[1]);
}

/* EMFILE, by an armed fault. */
static void without_descriptors_who_is_silent_makes_room(void **state)
{
    fixture *f = *state;
    int silent = connect_client(f), fd = connect_tcp(f);
    sl_fault_arm(SL_FAULT_ACCEPT, 1);
    turn(f);
    assert_true(is_closed(f, silent));
    assert_true(is_served(f, fd)); /* at once, not after the pause */
    close(silent), close(fd);
}

/* ---- memory ---- */

static int64_t owed(fixture *f)
{
    return atomic_load(&f->server->shared->owed);
}

static void what_slow_clients_hold_is_counted_and_given_back(void **state)
{
    fixture *f = *state;
    int a = connect_client(f), b = connect_client(f), c = connect_client(f);
    assert_int_equal(owed(f), 0);
    send_text(f, a, BIG);
    assert_true(owed(f) > 1000000);
    send_text(f, b, "GET /a HTT");
    send_text(f, c, "POST /echo HTTP/1.1\r\nContent-Length: 10\r\n\r\nabc");
    assert_true(owed(f) > 1000000 + 2 * SL_RECV_SIZE);
    receive(f, a);
    assert_int_equal(f->text_n > 2000000, true);
    close(b);
    turn(f);
    assert_true(owed(f) > SL_RECV_SIZE && owed(f) < 2 * SL_RECV_SIZE);
    send_text(f, c, "defghij");
    assert_int_equal(owed(f), 0);
    assert_int_equal(atomic_load(&f->server->shared->used), 0);
    close(a), close(c);
}

static void the_debtor_that_stands_still_is_cut_and_who_moves_is_not(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int fds[8];
    size_t got = 0;
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_client(f);
        send_text(f, fds[i], BIG);
        /* The first reads on, a little each time. */
        char some[100000];
        for (ssize_t n;
             got < 100000u * (unsigned)(i + 1) && (n = recv(fds[0], some, sizeof some, 0)) > 0;) {
            got += (size_t)n;
            turn(f);
        }
        assert_true(owed(f) <= (10 << 20) / 2);
    }
    receive(f, fds[0]);
    assert_true(got + f->text_n > 2000000);
    assert_false(f->eof);
    assert_true(is_closed(f, fds[1]));
    assert_true(f->text_n < 2000000); /* what the socket held */
    assert_false(is_closed(f, fds[7]));
    assert_true(f->text_n > 2000000);
    close_all(fds, 8);
    turn(f);
    assert_int_equal(owed(f), 0);
    assert_int_equal(atomic_load(&f->server->shared->used), 0);
    fx_free(f);
}

/* What is held is the reply. */
static void the_request_is_not_kept_while_its_reply_is_not_taken(void **state)
{
    fixture *f = *state;
    static char body[3000000];
    int fd = connect_client(f);
    client *c = h2_connect(f);
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 3000000\r\n\r\n");
    send_bytes(f, fd, body, sizeof body);
    assert_true(owed(f) > 2000000);
    assert_int_equal(atomic_load(&f->server->shared->used),
                     owed(f) + atomic_load(&f->server->shared->sessions));
    receive(f, fd);
    h2_turn(c);
    h2_request(c, "POST", "/echo", body, sizeof body);
    h2_turn(c);
    c->deaf = true;
    h2_request(c, "POST", "/echo", body, sizeof body);
    h2_turn(c);
    assert_int_equal(atomic_load(&f->server->shared->used),
                     owed(f) + atomic_load(&f->server->shared->sessions));
    close(fd);
    h2_close(c);
}

static void a_debtor_that_is_alone_is_left_in_peace(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int fd = connect_client(f);
    send_text(f, fd, "GET /big?20000000 HTTP/1.1\r\n\r\n");
    assert_true(owed(f) > 10 << 20);
    receive(f, fd);
    assert_true(f->text_n > 20000000);
    assert_int_equal(owed(f), 0);
    close(fd);
    fx_free(f);
}

static void answer_the_other(fixture *f, sl_http_call *call)
{
    char *p = sl_chain_reserve(&f->held[0]->reply, 6000000);
    memset(p, 'x', 6000000);
    sl_chain_commit(&f->held[0]->reply, 6000000);
    sl_http_reply(f->held[0]);
    sl_http_reply(call);
}

/* A handler that answers somebody else's call, too. */
static void a_debtor_in_whose_handler_we_are_is_not_cut(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int fd = connect_client(f), other = connect_client(f);
    f->own = answer_the_other;
    send_text(f, other, "GET /hold HTTP/1.1\r\n\r\n");
    send_text(f, fd, "POST /own HTTP/1.1\r\nContent-Length: 6\r\n\r\nabc");
    assert_true(owed(f) > 0);
    send_text(f, fd, "def");
    assert_true(owed(f) > (10 << 20) / 2);
    assert_int_equal(strncmp(receive(f, fd), "HTTP/1.1 200 ", 13), 0);
    assert_false(f->eof);
    receive(f, other);
    assert_true(f->text_n > 6000000);
    close(fd), close(other);
    fx_free(f);
}

/* The replies before its call are not taken. */
static void a_debtor_with_a_call_hears_that_it_is_cancelled(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int other = connect_client(f);
    send_text(f, other, "GET /hold HTTP/1.1\r\n\r\n");
    int fd = hold_behind_a_reply(f);
    assert_true(owed(f) > 0);
    char *p = sl_chain_reserve(&f->held[0]->reply, 6000000);
    memset(p, 'x', 6000000);
    sl_chain_commit(&f->held[0]->reply, 6000000);
    assert_int_equal(f->n_cancelled, 0);
    sl_http_reply(f->held[0]);
    assert_int_equal(f->n_cancelled, 1);
    assert_true(atomic_load(&f->held[1]->cancelled));
    sl_http_reply(f->held[1]);
    assert_true(f->last_given_up);
    close(fd), close(other);
    turn(f);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    fx_free(f);
}

static void answer_another_and_then_much(fixture *f, sl_http_call *call)
{
    sl_http_reply(f->held[0]);
    char *p = sl_chain_reserve(&call->reply, 6000000);
    memset(p, 'x', 6000000);
    sl_chain_commit(&call->reply, 6000000);
    sl_http_reply(call);
}

/* ... unless it has been answered, in the very turn in which room is made. */
static void a_debtor_that_is_answered_is_not_cancelled(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int fd = hold_behind_a_reply(f), other = connect_client(f);
    f->own = answer_another_and_then_much;
    send_text(f, other, "GET /own HTTP/1.1\r\n\r\n");
    assert_int_equal(f->n_cancelled, 0);
    receive(f, fd);
    turn(f);
    receive(f, fd);
    assert_true(is_served(f, fd));
    close(fd), close(other);
    turn(f);
    assert_int_equal(connections(f), 0);
    fx_free(f);
}

/* The budget is shared with other loops. */
static void who_has_the_only_session_of_a_loop_keeps_it_until_another_comes(void **state)
{
    (void)state;
    fixture *f = fx_with(one_megabyte);
    _Atomic int64_t *sessions = &f->server->shared->sessions;
    atomic_fetch_add(sessions, 4 << 20); /* the others */
    client *known = h2_connect(f);
    int id = h2_request(known, "GET", "/a", NULL, 0);
    h2_turn(known);
    assert_int_equal(h2_reply(known, id)->status, 200);
    pass_time(f, SECOND);
    client *next = h2_connect(f);
    h2_turn(known);
    assert_true(known->eof); /* nobody is there who has never asked for anything */
    id = h2_request(next, "GET", "/a", NULL, 0);
    h2_turn(next);
    assert_int_equal(h2_reply(next, id)->status, 200);
    h2_close(known);
    h2_close(next);
    turn(f);
    assert_int_equal(atomic_load(sessions), 4 << 20);
    fx_free(f);
}

static void slow_heads_are_cut_before_they_fill_the_memory(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    enum { MANY = 400 };
    int fds[MANY], left = 0;
    for (int i = 0; i < MANY; i++) {
        fds[i] = connect_client(f);
        send_text(f, fds[i], "GET /a HTTP/1.1\r\nX: ");
        assert_true(owed(f) <= (10 << 20) / 2);
    }
    for (int i = 0; i < MANY; i++)
        left += !is_closed(f, fds[i]);
    assert_true(left > 200 && left < MANY);
    assert_true(is_closed(f, fds[0]));
    assert_false(is_closed(f, fds[MANY - 1]));
    close_all(fds, MANY);
    fx_free(f);
}

static void replies_that_an_http2_client_has_no_window_for_are_owed(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    client *c = h2_connect(f), *d = h2_connect(f);
    h2_turn(c);
    h2_turn(d);
    c->deaf = d->deaf = true;
    h2_request(c, "GET", "/big?3000000", NULL, 0);
    h2_request(c, "GET", "/big?3000000", NULL, 0);
    h2_turn(c);
    assert_true(owed(f) > 5000000);
    h2_request(d, "GET", "/big?3000000", NULL, 0);
    h2_turn(d);
    assert_true(owed(f) > 2000000 && owed(f) < 3000001);
    c->deaf = d->deaf = false;
    h2_turn(c);
    assert_true(c->eof);
    h2_turn(d);
    assert_int_equal(h2_reply(d, 1)->body.n, 3000000);
    h2_close(c);
    h2_close(d);
    turn(f);
    assert_int_equal(owed(f), 0);
    fx_free(f);
}

/* POST / with the field that entered the table last, 4000 bytes, so often. */
static void begin_stream(fixture *f, int fd, uint32_t id, int times)
{
    char block[64] = "\x83\x84\x86\x01\x01"
                     "a";
    memset(block + 6, 0x80 | 62, (size_t)times);
    raw_frame(fd, NGHTTP2_HEADERS, OPEN, id, block, 6 + (size_t)times);
    turn(f);
}

static int begin_with_large_field(fixture *f)
{
    static char block[4096] = "\x83\x84\x86\x01\x01"
                              "a\x40\x01x\x7f\xa1\x1e"; /* 127 + 33 + 30 * 128 */
    int fd = connect_client(f);
    memset(block + 12, 'v', 4000);
    raw_begin(fd, 0);
    raw_frame(fd, NGHTTP2_HEADERS, OPEN, 1, block, 4012);
    turn(f);
    return fd;
}

static void streams_that_an_http2_client_only_begins_are_owed_with_their_heads(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    int a = begin_with_large_field(f);
    int64_t first = owed(f);
    assert_true(first > 4000 + SL_H2_SMALL);
    begin_stream(f, a, 3, 0);
    int64_t small = owed(f) - first;
    assert_true(small > SL_H2_SMALL && small < 20000);
    begin_stream(f, a, 5, 10);
    assert_true(owed(f) > first + small + 40000);
    raw_frame(a, NGHTTP2_DATA, NGHTTP2_FLAG_END_STREAM, 5, "", 0); /* it is answered */
    turn(f);
    assert_int_equal(owed(f), first + small);
    raw_frame(a, NGHTTP2_RST_STREAM, 0, 3, "\0\0\0\x8", 4);
    turn(f);
    assert_int_equal(owed(f), first);
    int b = begin_with_large_field(f);
    uint32_t id = 7;
    for (; owed(f) < (5 << 20) - 60000; id += 2)
        begin_stream(f, a, id, 10);
    assert_true(id < 250); /* a hundred suffice */
    assert_false(is_closed(f, b));
    for (int i = 0; i < 2; i++)
        begin_stream(f, a, id + 2 * (uint32_t)i, 10);
    assert_true(is_closed(f, b)); /* who stood still for longest */
    assert_false(is_closed(f, a));
    close(a), close(b);
    turn(f);
    assert_int_equal(owed(f), 0);
    fx_free(f);
}

static void a_call_that_its_handler_has_is_not_owed_and_its_reply_is(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    client *c = h2_connect(f);
    int id = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    assert_int_equal(owed(f), 0);
    c->deaf = true;
    sl_chain_printf(&f->held[0]->reply, "%1000000s", "x");
    sl_http_reply(f->held[0]);
    turn(f);
    assert_true(owed(f) > SL_H2_SMALL);
    c->deaf = false;
    h2_turn(c);
    assert_int_equal(h2_reply(c, id)->body.n, 1000000);
    assert_int_equal(owed(f), 0);
    h2_close(c);
    fx_free(f);
}

static void answers_to_frames_that_an_http2_client_does_not_take_are_owed(void **state)
{
    (void)state;
    fixture *f = fx_with(ten_megabytes);
    client *c = h2_connect(f);
    f->server->opts.h2.max_ping_strikes = 0;
    c->deaf = true;
    h2_request(c, "GET", "/big?3000000", NULL, 0);
    h2_turn(c);
    int64_t before = owed(f);
    for (int i = 0; i < 1000; i++)
        nghttp2_submit_ping(c->session, NGHTTP2_FLAG_NONE, NULL);
    h2_turn(c);
    assert_true(owed(f) >= before + 100000);
    h2_close(c);
    turn(f);
    assert_int_equal(owed(f), 0);
    fx_free(f);
}

/* Sessions of HTTP/2 that say nothing. */
static void idle_sessions_are_bounded_by_the_budget(void **state)
{
    (void)state;
    fixture *f = fx_with(one_megabyte);
    enum { MANY = 700 };
    static client *c[MANY];
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    client *known = h2_connect(f);
    int left = 0, plain = connect_client(f), id = h2_request(known, "GET", "/a", NULL, 0);
    h2_turn(known);
    assert_int_equal(h2_reply(known, id)->status, 200);
    for (int i = 0; i < MANY; i++) {
        c[i] = h2_connect(f);
        h2_turn(c[i]);
        assert_in_range(atomic_load(&f->server->shared->sessions), 1000, 4 << 20);
    }
    for (int i = 0; i < MANY; i++) {
        h2_turn(c[i]);
        left += !c[i]->eof;
    }
    assert_true(left > 500 && left < MANY);
    assert_true(c[0]->eof && !c[MANY - 1]->eof);
    h2_turn(known);
    assert_false(known->eof);         /* it has asked for something once */
    assert_true(is_served(f, plain)); /* it costs nothing */
    for (int i = 0; i < MANY; i++)
        h2_close(c[i]);
    h2_close(known);
    close(plain);
    turn(f);
    assert_int_equal(atomic_load(&f->server->shared->sessions), 0);
    assert_int_equal(atomic_load(&f->server->shared->used), 0);
    fx_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_comes_takes_the_place_of_who_has_been_silent_longest),
        cmocka_unit_test(a_head_that_comes_slowly_is_silence),
        cmocka_unit_test(who_has_been_served_stays_longer_than_who_never_spoke),
        cmocka_unit_test(who_is_being_served_is_left_alone_and_the_new_one_is_told),
        cmocka_unit_test(who_stands_still_while_being_served_makes_room_in_the_end),
        cmocka_unit_test(an_http2_connection_without_calls_makes_room),
        cmocka_unit_test(a_crowd_at_one_port_keeps_nobody_out_of_another),
        cmocka_unit_test(who_is_just_being_spoken_to_does_not_go_for_who_comes_meanwhile),
        cmocka_unit_test(of_those_with_a_session_and_those_without_the_older_goes),
        cmocka_unit_test(of_all_ports_who_stands_still_longest_goes),
        cmocka_unit_test(who_is_on_another_loop_is_not_touched),
        cmocka_unit_test_setup_teardown(without_descriptors_who_is_silent_makes_room, fx_set_up,
                                        fx_tear_down),
        cmocka_unit_test_setup_teardown(what_slow_clients_hold_is_counted_and_given_back, fx_set_up,
                                        fx_tear_down),
        cmocka_unit_test(the_debtor_that_stands_still_is_cut_and_who_moves_is_not),
        cmocka_unit_test_setup_teardown(the_request_is_not_kept_while_its_reply_is_not_taken,
                                        fx_set_up, fx_tear_down),
        cmocka_unit_test(a_debtor_that_is_alone_is_left_in_peace),
        cmocka_unit_test(a_debtor_in_whose_handler_we_are_is_not_cut),
        cmocka_unit_test(a_debtor_with_a_call_hears_that_it_is_cancelled),
        cmocka_unit_test(a_debtor_that_is_answered_is_not_cancelled),
        cmocka_unit_test(who_has_the_only_session_of_a_loop_keeps_it_until_another_comes),
        cmocka_unit_test(slow_heads_are_cut_before_they_fill_the_memory),
        cmocka_unit_test(idle_sessions_are_bounded_by_the_budget),
        cmocka_unit_test(replies_that_an_http2_client_has_no_window_for_are_owed),
        cmocka_unit_test(streams_that_an_http2_client_only_begins_are_owed_with_their_heads),
        cmocka_unit_test(a_call_that_its_handler_has_is_not_owed_and_its_reply_is),
        cmocka_unit_test(answers_to_frames_that_an_http2_client_does_not_take_are_owed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
