/* test_limits.c - time-outs, sizes, budgets, clients that leave or do not read, and the end */
#include "http/gzip.h"
#include "unit/http/fixture.h"

#include <malloc.h>
#include <sys/resource.h>

#define GET "GET /a HTTP/1.1\r\n\r\n"

/* ---- time ---- */

static void a_head_must_arrive_in_time(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "GET /a HT");
    pass_time(f, 29 * SECOND);
    send_text(f, fd, "TP/1.1\r\n"); /* a byte now and then is not enough */
    assert_string_equal(receive(f, fd), "");
    pass_time(f, 2 * SECOND);
    assert_true(begins(receive(f, fd), "HTTP/1.1 408 Request Time-out\r\n"));
    assert_true(f->eof);
    close(fd);
}

/* "P" may become POST or HTTP/2's preface. */
static void a_first_byte_that_leaves_the_version_open_has_the_time_of_a_head(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "P");
    pass_time(f, 28 * SECOND);
    send_text(f, fd, "OST /echo HTTP/1.1\r\nContent-Length: 1\r\n\r\nx");
    assert_true(begins(receive(f, fd), "HTTP/1.1 200 OK\r\n"));
    send_text(f, fd, "P");
    pass_time(f, 31 * SECOND);
    assert_true(begins(receive(f, fd), "HTTP/1.1 408 "));
    close(fd);
    fd = connect_client(f);
    send_text(f, fd, "PRI");
    pass_time(f, 29 * SECOND);
    assert_string_equal(receive(f, fd), "");
    assert_false(f->eof);
    pass_time(f, 2 * SECOND);
    receive(f, fd);
    assert_true(f->eof);
    close(fd);
}

static void an_idle_connection_is_closed_in_the_end(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    exchange_text(f, fd, GET);
    pass_time(f, 599 * SECOND);
    receive(f, fd);
    assert_false(f->eof);
    exchange_text(f, fd, GET);
    pass_time(f, 599 * SECOND);
    receive(f, fd);
    assert_false(f->eof);
    pass_time(f, 2 * SECOND);
    assert_string_equal(receive(f, fd), "");
    assert_true(f->eof);
    close(fd);
}

static void a_body_that_trickles_is_refused(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    for (int i = 0; i < 19; i++) { /* 10 free seconds, then 99 bytes a second for 9 */
        pass_time(f, SECOND);
        send_bytes(f, fd, "x", 1);
        assert_string_equal(receive(f, fd), "");
    }
    pass_time(f, 3 * SECOND);
    assert_true(begins(receive(f, fd), "HTTP/1.1 408 "));
    close(fd);
}

static void a_body_at_the_minimum_rate_is_served(void **state)
{
    fixture *f = *state;
    char second[101];
    int fd = connect_client(f);
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 10100\r\n\r\n");
    memset(second, 'x', sizeof second);
    for (int i = 0; i < 100; i++) {
        pass_time(f, SECOND);
        send_bytes(f, fd, second, 101);
    }
    assert_true(begins(receive(f, fd), "HTTP/1.1 200 "));
    close(fd);
}

static void a_client_that_does_not_read_is_cut_off(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "GET /big?20000000 HTTP/1.1\r\n\r\n");
    assert_int_equal(f->n_calls, 1);
    assert_int_equal(f->n_done, 0);
    pass_time(f, 11 * SECOND);
    assert_int_equal(atomic_load(&f->server->n_conns), 1);
    pass_time(f, 11 * SECOND);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    assert_int_equal(f->n_done, 1);
    assert_true(f->last_given_up);
    close(fd);
}

static void a_client_that_reads_slowly_gets_everything(void **state)
{
    fixture *f = *state;
    size_t got = 0;
    char buffer[65536];
    int fd = connect_client(f);
    send_text(f, fd, "GET /big?4000000 HTTP/1.1\r\n\r\n" GET);
    assert_int_equal(f->n_calls, 1); /* the next one waits until this reply is gone */
    for (int i = 0; i < 1000 && f->n_calls < 2; i++) {
        pass_time(f, SECOND);
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        got += n > 0 ? (size_t)n : 0;
    }
    assert_int_equal(f->last_status, 200);
    receive(f, fd);
    got += f->text_n;
    assert_int_equal(f->total_sent, got);
    assert_int_equal(got, 4000000 +
                              2 * (strlen("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n") +
                                   strlen(DATE) + strlen("Content-Length: \r\n")) +
                              strlen("4000000") + strlen("6") + strlen("GET /a"));
    close(fd);
}

static void no_reply_is_read_ahead_of_a_slow_client(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    for (int i = 0; i < 100; i++)
        send_bytes(f, fd, "GET /big?1000000 HTTP/1.1\r\n\r\n", 29);
    assert_in_range(f->n_calls, 1, 2);
    close(fd);
    turn(f);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
}

/* n replies of 4000 bytes and then one of "held", whole and in order. */
static void check_batch(const char *p, int n)
{
    for (int i = 0; i < n; i++) {
        p = strstr(p, "Content-Length: 4000\r\n\r\n");
        assert_non_null(p);
        p += 24;
        assert_int_equal(strspn(p, "b"), 4000);
        p += 4000;
        assert_true(begins(p, "HTTP/1.1 200 OK\r\n"));
    }
    p = strstr(p, "Content-Length: 4\r\n\r\n");
    assert_non_null(p);
    assert_string_equal(p + 21, "held");
}

static void answer_held(fixture *f)
{
    sl_chain_puts(&f->held[0]->reply, "held");
    sl_http_reply(f->held[0]);
}

/* Wherever the socket becomes full. The held call is answered before anything is read (0), after
 * everything is (1), or when there is room again that nobody has noticed yet (2). */
static void a_batch_that_fills_the_socket_is_answered_in_order(void **state)
{
    fixture *f = *state;
    char *requests = malloc(200 * 40), *all = malloc(2000000);
    for (int n = 1; n < 120; n++)
        for (int when = 0; when < 3; when++) {
            size_t size = 0, got = 0;
            int fd = connect_client(f);
            for (int i = 0; i < n; i++)
                size += (size_t)sprintf(requests + size, "GET /big?4000 HTTP/1.1\r\n\r\n");
            size += (size_t)sprintf(requests + size, "GET /hold HTTP/1.1\r\n\r\n");
            send_bytes(f, fd, requests, size);
            if (when == 2)
                for (ssize_t r; got < 100000 && (r = recv(fd, all + got, 65536, 0)) > 0;)
                    got += (size_t)r;
            bool answered = when != 1 && f->n_held == 1;
            if (answered)
                answer_held(f);
            receive(f, fd);
            memcpy(all + got, f->text, f->text_n);
            got += f->text_n;
            assert_int_equal(f->n_held, 1);
            if (!answered)
                answer_held(f);
            receive(f, fd);
            memcpy(all + got, f->text, f->text_n + 1);
            check_batch(all, n);
            f->n_held = 0;
            close(fd);
            turn(f);
            assert_int_equal(atomic_load(&f->server->n_conns), 0);
        }
    free(requests);
    free(all);
}

/* The same, and the client goes away or stops reading for good. */
static void a_full_socket_with_a_held_call_is_given_up_in_time(void **state)
{
    fixture *f = *state;
    char *requests = malloc(200 * 40);
    int met = 0;
    for (int n = 20; n < 120; n++)
        for (int leaves = 0; leaves < 3; leaves++) { /* not, quite, its output only */
            size_t size = 0;
            int fd = connect_client(f);
            for (int i = 0; i < n; i++)
                size += (size_t)sprintf(requests + size, "GET /big?4000 HTTP/1.1\r\n\r\n");
            size += (size_t)sprintf(requests + size, "GET /hold HTTP/1.1\r\n\r\n");
            send_bytes(f, fd, requests, size);
            const sl_conn *c = f->server->shards[0].conns;
            if (f->n_held == 1 && c->out.size > 0) {
                met++;
                if (leaves == 1)
                    close(fd);
                if (leaves == 2)
                    shutdown(fd, SHUT_WR);
                pass_time(f, leaves ? 0 : 30 * SECOND);
                pass_time(f, leaves ? 0 : 30 * SECOND);
                assert_true(atomic_load(&f->held[0]->cancelled));
                sl_http_reply(f->held[0]);
                assert_int_equal(atomic_load(&f->server->n_conns), leaves == 2);
                if (leaves != 1)
                    close(fd);
                turn(f);
            } else {
                close(fd);
                turn(f);
                if (f->n_held == 1)
                    sl_http_reply(f->held[0]);
                turn(f);
                assert_int_equal(atomic_load(&f->server->n_conns), 0);
            }
            f->n_held = 0;
        }
    assert_true(met > 0);
    free(requests);
}

/* ---- sizes ---- */

static void small_sizes(sl_http_limits *l)
{
    l->max_body = 1000;
    l->max_head = 200;
    l->max_headers = 5;
}

static void post(fixture *f, int fd, size_t n, bool chunked)
{
    char text[3000], body[2000];
    memset(body, 'x', sizeof body);
    if (chunked)
        snprintf(
            text, sizeof text,
            "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n%zx\r\n%.*s\r\n0\r\n\r\n", n,
            (int)n, body);
    else
        snprintf(text, sizeof text, "POST /echo HTTP/1.1\r\nContent-Length: %zu\r\n\r\n%.*s", n,
                 (int)n, body);
    exchange_text(f, fd, text);
}

static void a_body_at_its_limit_passes_and_one_byte_more_is_413(void **state)
{
    (void)state;
    fixture *f = fx_with(small_sizes);
    for (int chunked = 0; chunked < 2; chunked++) {
        int fd = connect_client(f);
        post(f, fd, 1000, chunked);
        assert_true(begins(f->text, "HTTP/1.1 200 "));
        post(f, fd, 1001, chunked);
        assert_true(begins(f->text, "HTTP/1.1 413 Request Entity Too Large\r\n"));
        assert_true(f->eof);
        close(fd);
    }
    assert_int_equal(f->n_calls, 2);
    fx_free(f);
}

static void two_chunks(sl_http_limits *l)
{
    l->max_chunks = 2;
}

static void any_number_of_chunks(sl_http_limits *l)
{
    l->max_chunks = 0;
}

static void one_chunk_too_many_is_413_and_said_to_be(void **state)
{
    static const char head[] = "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n",
                      two[] = "1\r\na\r\n1\r\nb\r\n0\r\n\r\n",
                      three[] = "1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n";
    (void)state;
    for (int limited = 0; limited < 2; limited++) {
        fixture *f = fx_with(limited ? two_chunks : any_number_of_chunks);
        int fd = connect_client(f);
        send_text(f, fd, head);
        assert_non_null(strstr(exchange_text(f, fd, two), "\r\n\r\nab"));
        send_text(f, fd, head);
        const char *reply = exchange_text(f, fd, three);
        if (limited)
            assert_non_null(strstr(reply, "{\"413\": \"too many chunks: the limit is 2\"}"));
        else
            assert_non_null(strstr(reply, "\r\n\r\nabc"));
        assert_int_equal(f->eof, limited);
        close(fd);
        fx_free(f);
    }
}

static void heads_beyond_their_limits_are_431(void **state)
{
    (void)state;
    fixture *f = fx_with(small_sizes);
    char text[400];
    snprintf(text, sizeof text, "GET /a HTTP/1.1\r\nA: %0300d\r\n\r\n", 0);
    int fd = connect_client(f);
    assert_true(begins(exchange_text(f, fd, text), "HTTP/1.1 431 "));
    close(fd);
    fd = connect_client(f);
    exchange_text(f, fd, "GET /a HTTP/1.1\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\nA:\r\n\r\n");
    assert_true(begins(f->text, "HTTP/1.1 431 "));
    close(fd);
    fx_free(f);
}

static void one_megabyte(sl_http_limits *l)
{
    l->max_inflight = 1 << 20;
}

static void bodies_of_all_connections_share_a_budget(void **state)
{
    (void)state;
    fixture *f = fx_with(one_megabyte);
    char *half = calloc(1, 600000);
    int a = connect_client(f), b = connect_client(f);
    send_text(f, a, "POST /hold HTTP/1.1\r\nContent-Length: 600000\r\n\r\n");
    send_bytes(f, a, half, 600000);
    assert_int_equal(f->n_held, 1);
    send_text(f, b, "POST /hold HTTP/1.1\r\nContent-Length: 600000\r\n\r\n");
    send_bytes(f, b, half, 600000);
    assert_true(begins(receive(f, b), "HTTP/1.1 503 Service Unavailable\r\n"));
    assert_non_null(strstr(f->text, "\r\nRetry-After: 1\r\n"));
    sl_http_reply(f->held[0]);
    turn(f);
    close(b);
    b = connect_client(f);
    send_text(f, b, "POST /hold HTTP/1.1\r\nContent-Length: 600000\r\n\r\n");
    send_bytes(f, b, half, 600000);
    assert_int_equal(f->n_held, 2);
    sl_http_reply(f->held[1]);
    turn(f);
    sl_http_stats st;
    sl_http_get_stats(f->server, &st);
    assert_int_equal(st.inflight_bytes, 0);
    assert_int_equal(st.calls, 2);
    assert_int_equal(st.connections, 2);
    free(half);
    close(a);
    close(b);
    fx_free(f);
}

static void a_ratio_bounds_what_a_body_may_become_beside_the_absolute_bound(void **state)
{
    sl_body out = {0};
    sl_chain c = {0};
    static char zeros[100000];
    (void)state;
    assert_int_equal(sl_unzip_max(100, 5000, 0), 5000);
    assert_int_equal(sl_unzip_max(100, 5000, 20), 2000);
    assert_int_equal(sl_unzip_max(100, 5000, 50), 5000);
    assert_int_equal(sl_unzip_max(SIZE_MAX / 2, SIZE_MAX, 1000), SIZE_MAX);
    sl_chain_add(&c, zeros, sizeof zeros);
    assert_true(sl_gzip_chain(&c));
    char packed[2048];
    size_t n = 0;
    for (const sl_piece *p = c.head; p != NULL; p = p->next) {
        memcpy(packed + n, p->data + p->begin, p->end - p->begin);
        n += p->end - p->begin;
    }
    size_t ratio = (sizeof zeros + n - 1) / n;
    sl_str in = {packed, n};
    assert_int_equal(sl_gunzip(in, sl_unzip_max(n, 1 << 20, ratio), &out), SL_OK);
    assert_int_equal(out.n, sizeof zeros);
    sl_body_reset(&out);
    assert_int_equal(sl_gunzip(in, sl_unzip_max(n, 1 << 20, ratio - 1), &out), SL_OUT_OF_RANGE);
    sl_chain_reset(&c);
}

static void servers_may_share_a_budget_whose_bound_moves(void **state)
{
    sl_budget shared = {.max = 100};
    sl_body a = {.budget = &shared}, b = {.budget = &shared};
    (void)state;
    assert_true(sl_body_charge(&a, 60));
    assert_false(sl_body_charge(&b, 60));
    atomic_store(&shared.max, 200);
    assert_true(sl_body_charge(&b, 60));
    atomic_store(&shared.max, 50); /* what is held stays held */
    assert_false(sl_body_charge(&b, 1));
    sl_body_reset(&a);
    sl_body_reset(&b);
    assert_int_equal(atomic_load(&shared.used), 0);
}

static void a_budget_of_its_owner_goes_before_its_own(void **state)
{
    fixture *f = *state;
    sl_budget shared = {.max = 200000, .used = 50000}; /* by others */
    sl_http_options o = f->server->opts;
    sl_http_server *v;
    static char body[180000];
    o.budget = &shared;
    assert_int_equal(sl_http_listen(&f->loop, 1, "127.0.0.1:0", &o, &v, NULL, NULL), SL_OK);
    sl_http_server *first = f->server;
    f->server = v;
    int fd = connect_client(f);
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 180000\r\n\r\n");
    send_bytes(f, fd, body, 60000);
    assert_true(atomic_load(&shared.used) >= 110000);
    send_bytes(f, fd, body, 120000);
    assert_true(begins(receive(f, fd), "HTTP/1.1 503 "));
    close(fd);
    fd = connect_client(f); /* what is more than all of it is not even begun */
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 200001\r\n\r\n");
    assert_true(begins(receive(f, fd), "HTTP/1.1 503 "));
    close(fd);
    turn(f);
    assert_int_equal(atomic_load(&shared.used), 50000);
    f->server = first;
    sl_http_free(v);
}

static void a_body_beyond_the_whole_budget_is_refused_at_once(void **state)
{
    (void)state;
    fixture *f = fx_with(one_megabyte);
    int fd = connect_client(f);
    exchange_text(f, fd, "POST /a HTTP/1.1\r\nContent-Length: 1048577\r\n\r\n");
    assert_true(begins(f->text, "HTTP/1.1 503 "));
    close(fd);
    fx_free(f);
}

static void two_connections(sl_http_limits *l)
{
    l->max_connections = 2;
}

static void one_connection_too_many_is_told_so(void **state)
{
    (void)state;
    fixture *f = fx_with(two_connections);
    int a = connect_client(f), b = connect_client(f), c;
    send_text(f, a, "GET /hold HTTP/1.1\r\n\r\n");
    send_text(f, b, "GET /hold HTTP/1.1\r\n\r\n");
    c = connect_client(f);
    assert_true(begins(receive(f, c), "HTTP/1.1 503 "));
    assert_non_null(strstr(f->text, "too many connections"));
    assert_true(f->eof);
    close(c);
    sl_http_reply(f->held[0]);
    turn(f);
    c = connect_client(f); /* in the place of the one that is idle now */
    assert_true(begins(exchange_text(f, c, GET), "HTTP/1.1 200 "));
    sl_http_reply(f->held[1]);
    turn(f);
    close(a);
    close(b);
    close(c);
    fx_free(f);
}

/* ---- gzip ---- */

static void post_gzip(fixture *f, const char *p, size_t n)
{
    char head[128];
    int fd = connect_client(f);
    int m =
        snprintf(head, sizeof head,
                 "POST /echo HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", n);
    send_bytes(f, fd, head, (size_t)m);
    send_bytes(f, fd, p, n);
    receive(f, fd);
    close(fd);
    turn(f);
}

static void a_gzip_body_is_unpacked(void **state)
{
    fixture *f = *state;
    char packed[100];
    size_t n = gzip("hello", 5, packed, sizeof packed);
    post_gzip(f, packed, n);
    assert_string_equal(strstr(f->text, "\r\n\r\n"), "\r\n\r\nhello");
    assert_false(f->undecodable);
}

static void a_spoilt_gzip_body_is_empty_and_said_to_be(void **state)
{
    fixture *f = *state;
    char packed[100];
    size_t n = gzip("hello", 5, packed, sizeof packed);
    for (size_t cut = 0; cut < n; cut++) {
        f->undecodable = false;
        post_gzip(f, packed, cut);
        assert_true(f->undecodable && f->last_body == 0);
    }
    for (size_t at = n - 8; at < n; at++) { /* checksum and size */
        packed[at] ^= 1;
        f->undecodable = false;
        post_gzip(f, packed, n);
        assert_true(f->undecodable);
        packed[at] ^= 1;
    }
    packed[n] = 'x';
    post_gzip(f, packed, n + 1);
    assert_true(f->undecodable);
    post_gzip(f, "{\"instances\":[1]}", 17);
    assert_true(f->undecodable);
}

static void limit_decoded(sl_http_limits *l)
{
    l->max_decoded = 100000;
}

static void a_gzip_body_may_unpack_to_its_limit_and_no_further(void **state)
{
    (void)state;
    fixture *f = fx_with(limit_decoded);
    char *zeros = calloc(1, 10000001), packed[20000];
    post_gzip(f, packed, gzip(zeros, 100000, packed, sizeof packed));
    assert_int_equal(f->last_body, 100000);
    assert_false(f->undecodable);
    post_gzip(f, packed, gzip(zeros, 100001, packed, sizeof packed));
    assert_true(f->undecodable && f->last_body == 0);
    post_gzip(f, packed, gzip(zeros, 10000000, packed, sizeof packed)); /* a bomb */
    assert_true(f->undecodable && f->last_body == 0);
    assert_int_equal(atomic_load(&f->server->budget.used), 0);
    free(zeros);
    fx_free(f);
}

/* A loop unpacks what comes to little, and what only says so as far as that. */
static void what_becomes_large_is_left_to_the_handler(void **state)
{
    static const struct {
        size_t size;
        bool lies, packed;
    } cases[] = {{0, false, false},    {32768, false, false}, {32769, false, true},
                 {32769, true, true},  {32768, true, true}, /* says that it is 4 GiB */
                 {200000, true, true}, {200000, false, true}};
    fixture *f = *state;
    char *text = calloc(1, 200000), packed[1000];
    memset(text, 'x', 200000);
    for (size_t i = 0; i < SL_COUNTOF(cases); i++) {
        size_t n = gzip(text, cases[i].size, packed, sizeof packed);
        if (cases[i].lies)
            memset(packed + n - 4, cases[i].size == 32768 ? 0xff : 0, 4);
        post_gzip(f, packed, n);
        assert_int_equal(f->packed, cases[i].packed);
        assert_int_equal(f->undecodable, cases[i].lies);
        assert_int_equal(f->last_body, cases[i].lies ? 0 : cases[i].size);
        assert_int_equal(atomic_load(&f->server->budget.used), 0);
    }
    free(text);
}

static void little_room(sl_http_limits *l)
{
    l->max_inflight = 20000;
}

static void a_small_gzip_body_needs_room_too(void **state)
{
    (void)state;
    fixture *f = fx_with(little_room);
    static char zeros[30000], packed[200];
    post_gzip(f, packed, gzip(zeros, sizeof zeros, packed, sizeof packed));
    assert_non_null(strstr(f->text, "HTTP/1.1 503 "));
    assert_int_equal(f->n_calls, 0);
    fx_free(f);
}

static void compress_from_1000(sl_http_limits *l)
{
    l->compress_min = 1000;
}

static void large_replies_are_packed_for_who_accepts_it(void **state)
{
    (void)state;
    fixture *f = fx_with(compress_from_1000);
    char unpacked[10000];
    int fd = connect_client(f);
    exchange_text(f, fd, "GET /big?9000 HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
    const char *body = strstr(f->text, "\r\n\r\n") + 4;
    assert_non_null(strstr(f->text, "\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"));
    z_stream z = {.next_in = (unsigned char *)body,
                  .avail_in = (unsigned)(f->text + f->text_n - body),
                  .next_out = (unsigned char *)unpacked,
                  .avail_out = sizeof unpacked};
    inflateInit2(&z, 31);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, 9000);
    inflateEnd(&z);
    exchange_text(f, fd, "GET /big?999 HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_null(strstr(f->text, "Content-Encoding"));
    exchange_text(f, fd, "GET /big?9000 HTTP/1.1\r\n\r\n");
    assert_null(strstr(f->text, "Content-Encoding"));
    close(fd);
    fx_free(f);
}

static void answer_posted(fixture *f, sl_http_call *call)
{
    char *p = sl_chain_reserve(&call->reply, 9000);
    memset(p, 'b', 9000);
    sl_chain_commit(&call->reply, 9000);
    sl_http_reply_posted(call);
    f->last_body = call->reply.size; /* it has not been sent yet */
}

static void a_reply_from_elsewhere_is_packed_there(void **state)
{
    (void)state;
    fixture *f = fx_with(compress_from_1000);
    f->own = answer_posted;
    int fd = connect_client(f);
    exchange_text(f, fd, "GET /own HTTP/1.1\r\nAccept-Encoding: gzip\r\n\r\n");
    assert_non_null(strstr(f->text, "\r\nContent-Encoding: gzip\r\nVary: Accept-Encoding\r\n"));
    assert_in_range(f->last_body, 1, 200);
    exchange_text(f, fd, "GET /own HTTP/1.1\r\n\r\n");
    assert_null(strstr(f->text, "Content-Encoding"));
    assert_int_equal(f->last_body, 9000);
    close(fd);
    fx_free(f);
}

/* ---- clients that leave ---- */

static void a_client_that_leaves_cancels_its_call(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "GET /hold HTTP/1.1\r\n\r\n");
    assert_false(atomic_load(&f->held[0]->cancelled));
    close(fd);
    turn(f);
    assert_true(atomic_load(&f->held[0]->cancelled));
    assert_int_equal(f->n_cancelled, 1);
    sl_http_reply(f->held[0]);
    assert_int_equal(f->n_done, 1);
    assert_true(f->last_given_up);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
}

static void a_client_that_only_ends_its_output_is_still_answered(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "GET /hold HTTP/1.1\r\n\r\n");
    shutdown(fd, SHUT_WR);
    turn(f);
    turn(f);
    assert_int_equal(f->server->shards[0].conns->watch.events, 0); /* or the loop would spin */
    assert_int_equal(f->n_cancelled, 1); /* it cannot be told from one that left */
    sl_http_reply(f->held[0]);
    turn(f);
    assert_true(begins(receive(f, fd), "HTTP/1.1 200 "));
    assert_true(f->eof);
    close(fd);
}

static void answer_now(sl_http_call *call)
{
    ((fixture *)call->user)->n_cancelled++;
    sl_http_reply(call);
}

static void a_call_may_be_answered_while_it_is_cancelled(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "GET /hold HTTP/1.1\r\n\r\n");
    f->held[0]->on_cancel = answer_now;
    close(fd);
    turn(f);
    assert_int_equal(f->n_cancelled, 1);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
}

static void leaving_at_any_byte_is_noticed(void **state)
{
    static const char request[] =
        "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel";
    fixture *f = *state;
    for (size_t n = 0; n < sizeof request; n++) {
        int fd = connect_client(f);
        send_bytes(f, fd, request, n);
        assert_int_equal(atomic_load(&f->server->n_conns), 1);
        close(fd);
        turn(f);
        assert_int_equal(atomic_load(&f->server->n_conns), 0);
    }
    assert_int_equal(f->n_calls, 0);
}

static void an_error_is_readable_although_the_client_is_still_sending(void **state)
{
    fixture *f = *state;
    char junk[10000] = "";
    int fd = connect_tcp(f);
    send_text(f, fd, "POST /a HTTP/1.1\r\nContent-Length: 9999999999999\r\n\r\n");
    for (int i = 0; i < 100; i++)
        assert_int_equal(send_bytes(f, fd, junk, sizeof junk), sizeof junk);
    assert_true(begins(receive(f, fd), "HTTP/1.1 413 "));
    assert_true(f->eof);
    pass_time(f, 6 * SECOND); /* but not for ever */
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    close(fd);
}

static void lingering_has_its_limit(void **state)
{
    fixture *f = *state;
    char junk[65536] = "";
    size_t sent = 0;
    int fd = connect_client(f);
    exchange_text(f, fd, "X\r\n\r\n");
    assert_true(f->eof);
    while (sent < (size_t)1 << 30) {
        size_t n = send_bytes(f, fd, junk, sizeof junk);
        if (n == 0)
            break;
        sent += n;
    }
    assert_in_range(sent, 64 << 20, 66 << 20);
    close(fd);
}

static void a_budget_is_never_exceeded(void **state)
{
    (void)state;
    sl_budget g = {.max = 100000};
    sl_body b = {.budget = &g};
    assert_true(sl_body_grow(&b, 1000000));
    assert_int_equal(atomic_load(&g.used), 65536);
    b.n = 65536;
    assert_false(sl_body_grow(&b, 1000000));
    assert_int_equal(atomic_load(&g.used), 65536);
    assert_true(sl_body_grow(&b, 100000)); /* exactly all of it */
    sl_body_reset(&b);
    assert_int_equal(atomic_load(&g.used), 0);
}

/* ---- many ---- */

static int raise_descriptors(int wanted)
{
    struct rlimit r;
    getrlimit(RLIMIT_NOFILE, &r);
    struct rlimit more = {SL_MAX((rlim_t)wanted, r.rlim_cur), SL_MAX((rlim_t)wanted, r.rlim_max)};
    if (setrlimit(RLIMIT_NOFILE, &more) == 0)
        return wanted;
    r.rlim_cur = r.rlim_max;
    setrlimit(RLIMIT_NOFILE, &r);
    return (int)r.rlim_max;
}

static void ten_thousand_idle_connections_cost_less_than_4_kb_each(void **state)
{
    fixture *f = *state;
    int n = SL_MIN(10000, (raise_descriptors(20100) - 100) / 2);
    int *fd = calloc((size_t)n, sizeof *fd);
    exchange_text(f, fd[0] = connect_client(f), GET);
    close(fd[0]);
    turn(f);
    size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
    for (int i = 0; i < n; i++) {
        fd[i] = connect_client(f);
        exchange_text(f, fd[i], GET);
        assert_true(begins(f->text, "HTTP/1.1 200 "));
    }
    size_t each = (mallinfo2().uordblks + mallinfo2().hblkhd - before) / (size_t)n;
    print_message("%d idle connections, %zu bytes each\n", n, each);
    assert_int_equal(atomic_load(&f->server->n_conns), n);
    assert_true(each < 4096);
    assert_true(sizeof(sl_conn) < 1024); /* where malloc cannot be asked: a sanitizer */
    for (int i = 0; i < n; i++)
        close(fd[i]);
    for (int i = 0; i < n / 100; i++)
        turn(f);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    free(fd);
}

/* ---- the end ---- */

static void drain_closes_idle_connections_and_lets_the_others_finish(void **state)
{
    fixture *f = *state;
    int idle = connect_client(f), busy = connect_client(f), partial = connect_client(f);
    exchange_text(f, idle, GET);
    send_text(f, busy, "GET /hold HTTP/1.1\r\n\r\n" GET);
    send_text(f, partial, "GET /a HTT");
    sl_http_drain(f->server, fx_drained, f);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    receive(f, idle);
    assert_true(f->eof);
    assert_false(f->drained);
    assert_non_null(
        strstr(exchange_text(f, partial, "P/1.1\r\n\r\n"), "\r\nConnection: close\r\n"));
    assert_true(f->eof);
    assert_false(f->drained);
    sl_http_reply(f->held[0]);
    turn(f);
    assert_non_null(strstr(receive(f, busy), "\r\nConnection: close\r\n"));
    assert_true(f->eof);
    close(busy); /* it had sent more: we linger until it goes */
    turn(f);
    assert_true(f->drained);
    assert_int_equal(f->n_calls, 3);
    close(idle);
    close(partial);
}

/* A client that has connected may have sent its request before it can know that we end. */
static void a_drain_waits_a_moment_for_first_requests(void **state)
{
    fixture *f = *state;
    int early = connect_client(f), mute = connect_client(f);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    int late = connect_client(f); /* as from the backlog */
    assert_int_equal(connections(f), 3);
    for (int i = 0; i < 2; i++) {
        int fd = i ? late : early;
        assert_non_null(strstr(exchange_text(f, fd, GET), "\r\nConnection: close\r\n"));
        assert_true(f->eof);
        close(fd);
    }
    assert_false(f->drained);
    pass_time(f, 2 * SECOND);
    assert_true(f->drained);
    receive(f, mute);
    assert_true(f->eof);
    close(mute);
}

static void who_leaves_serves_on_but_keeps_no_connection(void **state)
{
    fixture *f = *state;
    int idle = connect_client(f), busy = connect_client(f);
    exchange_text(f, idle, GET);
    send_text(f, busy, "GET /hold HTTP/1.1\r\n\r\n");
    sl_http_leave(f->server);
    turn(f);
    int late = connect_client(f);
    assert_non_null(strstr(exchange_text(f, late, GET), "\r\nConnection: close\r\n"));
    assert_true(f->eof);
    pass_time(f, 5 * SECOND);
    sl_http_reply(f->held[0]);
    turn(f);
    assert_non_null(strstr(receive(f, busy), "\r\nConnection: close\r\n"));
    assert_int_equal(connections(f), 1);
    assert_non_null(strstr(exchange_text(f, idle, GET), "\r\nConnection: close\r\n"));
    assert_int_equal(connections(f), 0);
    close(idle), close(busy), close(late);
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_true(f->drained);
}

static void count_up(void *arg)
{
    ++*(int *)arg;
}

/* One that another loop accepted may still be on its way. */
static void a_drain_is_done_once_whoever_comes_later(void **state)
{
    fixture *f = *state;
    int done = 0;
    sl_http_drain(f->server, count_up, &done);
    turn(f);
    assert_int_equal(done, 1);
    int fd = connect_client(f);
    pass_time(f, 2 * SECOND);
    receive(f, fd);
    assert_true(f->eof);
    assert_int_equal(connections(f), 0);
    assert_int_equal(done, 1);
    close(fd);
}

static void drain_without_connections_is_done_at_once(void **state)
{
    fixture *f = *state;
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_true(f->drained);
}

static void a_request_already_sent_is_answered_in_a_drain(void **state)
{
    fixture *f = *state;
    int fd = connect_tcp(f);
    assert_int_equal(send(fd, GET, strlen(GET), 0), strlen(GET)); /* not even accepted yet */
    sl_http_drain(f->server, fx_drained, f);
    turn(f);
    assert_non_null(strstr(receive(f, fd), "\r\nConnection: close\r\n"));
    assert_true(f->drained);
    close(fd);
}

static void a_server_can_be_freed_with_everything_in_progress(void **state)
{
    fixture *f = *state;
    int fd[5];
    static const char *const texts[] = {"", "GET /a HT", "GET /big?9000000 HTTP/1.1\r\n\r\n",
                                        "POST /a HTTP/1.1\r\nContent-Length: 100000\r\n\r\nabc",
                                        "GET /hold HTTP/1.1\r\n\r\n"};
    for (int i = 0; i < 5; i++) {
        fd[i] = connect_client(f);
        send_text(f, fd[i], texts[i]);
    }
    sl_http_free(f->server);
    f->server = NULL;
    for (int i = 0; i < 5; i++)
        close(fd[i]);
}

/* ---- faults ---- */

/* A dialogue in which everything occurs; whether it was answered. */
static void try_everything(fixture *f)
{
    char head[128], *body = calloc(1, 100000), packed[1000];
    int fd = connect_client(f);
    exchange_text(f, fd, GET GET);
    exchange_text(
        f, fd, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n");
    exchange_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 100000\r\n\r\n");
    send_bytes(f, fd, body, 100000);
    receive(f, fd);
    size_t n = gzip(body, 100000, packed, sizeof packed);
    snprintf(head, sizeof head,
             "POST /echo HTTP/1.1\r\nContent-Encoding: gzip\r\nAccept-Encoding: gzip\r\n"
             "Content-Length: %zu\r\n\r\n",
             n);
    send_bytes(f, fd, head, strlen(head));
    send_bytes(f, fd, packed, n);
    receive(f, fd);
    exchange_text(f, fd, "X\r\n\r\n");
    close(fd);
    turn(f);
    free(body);
}

static void any_allocation_read_or_write_may_fail(void **state)
{
    static const sl_fault kinds[] = {SL_FAULT_ALLOC, SL_FAULT_READ, SL_FAULT_WRITE};
    (void)state;
    for (size_t k = 0; k < SL_COUNTOF(kinds); k++) {
        int total = 1;
        for (int nth = 0; nth <= total; nth++) {
            fixture *f = fx_with(compress_from_1000);
            sl_fault_arm(kinds[k], nth);
            try_everything(f);
            if (nth == 0)
                total = sl_fault_count(kinds[k]);
            sl_fault_arm(kinds[k], 0);
            /* And then everything is well again, and nothing is left behind. */
            int after = connect_client(f);
            assert_true(begins(exchange_text(f, after, GET), "HTTP/1.1 200 "));
            close(after);
            turn(f);
            assert_int_equal(atomic_load(&f->server->n_conns), 0);
            assert_int_equal(atomic_load(&f->server->budget.used), 0);
            fx_free(f);
        }
        assert_true(total > 3);
    }
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(a_head_must_arrive_in_time),
        T(a_first_byte_that_leaves_the_version_open_has_the_time_of_a_head),
        T(an_idle_connection_is_closed_in_the_end),
        T(a_body_that_trickles_is_refused),
        T(a_body_at_the_minimum_rate_is_served),
        T(a_client_that_does_not_read_is_cut_off),
        T(a_client_that_reads_slowly_gets_everything),
        T(no_reply_is_read_ahead_of_a_slow_client),
        T(a_batch_that_fills_the_socket_is_answered_in_order),
        T(a_full_socket_with_a_held_call_is_given_up_in_time),
        cmocka_unit_test(a_body_at_its_limit_passes_and_one_byte_more_is_413),
        cmocka_unit_test(one_chunk_too_many_is_413_and_said_to_be),
        cmocka_unit_test(heads_beyond_their_limits_are_431),
        cmocka_unit_test(bodies_of_all_connections_share_a_budget),
        cmocka_unit_test(a_ratio_bounds_what_a_body_may_become_beside_the_absolute_bound),
        cmocka_unit_test(servers_may_share_a_budget_whose_bound_moves),
        T(a_budget_of_its_owner_goes_before_its_own),
        cmocka_unit_test(a_body_beyond_the_whole_budget_is_refused_at_once),
        cmocka_unit_test(one_connection_too_many_is_told_so),
        T(a_gzip_body_is_unpacked),
        T(a_spoilt_gzip_body_is_empty_and_said_to_be),
        cmocka_unit_test(a_gzip_body_may_unpack_to_its_limit_and_no_further),
        T(what_becomes_large_is_left_to_the_handler),
        cmocka_unit_test(a_small_gzip_body_needs_room_too),
        cmocka_unit_test(large_replies_are_packed_for_who_accepts_it),
        cmocka_unit_test(a_reply_from_elsewhere_is_packed_there),
        T(a_client_that_leaves_cancels_its_call),
        T(a_client_that_only_ends_its_output_is_still_answered),
        T(a_call_may_be_answered_while_it_is_cancelled),
        T(leaving_at_any_byte_is_noticed),
        T(an_error_is_readable_although_the_client_is_still_sending),
        T(lingering_has_its_limit),
        cmocka_unit_test(a_budget_is_never_exceeded),
        T(ten_thousand_idle_connections_cost_less_than_4_kb_each),
        T(drain_closes_idle_connections_and_lets_the_others_finish),
        T(a_drain_waits_a_moment_for_first_requests),
        T(who_leaves_serves_on_but_keeps_no_connection),
        T(a_drain_is_done_once_whoever_comes_later),
        T(drain_without_connections_is_done_at_once),
        T(a_request_already_sent_is_answered_in_a_drain),
        T(a_server_can_be_freed_with_everything_in_progress),
        cmocka_unit_test(any_allocation_read_or_write_may_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
