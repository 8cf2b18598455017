/* test_connection.c - requests and replies over a connection: rest.md 2.1 and 2.2 */
#include "unit/http/fixture.h"

#define OK11(n) "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n" DATE "Content-Length: " n "\r\n"

/* ---- replies ---- */

typedef struct dialogue {
    const char *name, *request, *reply;
    bool closes;
} dialogue;

#define ERROR(status, reason, message, n)                                       \
    "HTTP/1.1 " status " " reason "\r\nContent-Type: application/json\r\n" DATE \
    "Content-Length: " n "\r\nConnection: close\r\n\r\n{\"" status "\": \"" message "\"}"

/* clang-format off */
static const dialogue dialogues[] = {
    {"HTTP/1.1 keeps the connection", "GET /a HTTP/1.1\r\n\r\n", OK11("6") "\r\nGET /a", false},
    {"HTTP/1.1 with close ends it", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\n", OK11("6") "Connection: close\r\n\r\nGET /a", true},
    {"HTTP/1.0 ends it, without Date and length", "GET /a HTTP/1.0\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nGET /a", true},
    {"HTTP/1.0 with keep-alive keeps it", "GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: keep-alive\r\n\r\nGET /a", false},
    {"HTTP/1.0 with close is told close", "GET /a HTTP/1.0\r\nConnection: close\r\n\r\n", "HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nGET /a", true},
    {"absolute target ends it", "GET http://h/a HTTP/1.1\r\n\r\n", OK11("6") "Connection: close\r\n\r\nGET /a", true},
    {"handler's lines come before Date", "GET /lines HTTP/1.1\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nA: b\r\nC: d\r\n" DATE "Content-Length: 10\r\n\r\nGET /lines", false},
    {"handler can end it", "GET /close HTTP/1.1\r\n\r\n", OK11("10") "Connection: close\r\n\r\nGET /close", true},
    {"HEAD has a length and no body", "HEAD /a HTTP/1.1\r\n\r\n", OK11("7") "\r\n", false},
    {"204 has neither", "GET /none HTTP/1.1\r\n\r\n", "HTTP/1.1 204 No Content\r\nContent-Type: text/plain\r\n" DATE "\r\n", false},
    {"body by length", "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", OK11("5") "\r\nhello", false},
    {"body in chunks", "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nT: u\r\n\r\n", OK11("5") "\r\nhello", false},
    {"POST without a length has no body", "POST /echo HTTP/1.1\r\n\r\n", OK11("0") "\r\n", false},
    {"POST of length 0 has no body", "POST /echo HTTP/1.1\r\nContent-Length: 0\r\n\r\n", OK11("0") "\r\n", false},
    {"body of a GET is ignored", "GET /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", OK11("0") "\r\n", false},
    {"chunks of a GET are ignored", "GET /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", OK11("0") "\r\n", false},
    {"body of a PUT is not", "PUT /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", OK11("5") "\r\nhello", false},
    {"requests behind one another", "GET /a HTTP/1.1\r\n\r\nPOST /echo HTTP/1.1\r\nContent-Length: 2\r\n\r\nhiGET /b HTTP/1.1\r\n\r\n",
     OK11("6") "\r\nGET /a" OK11("2") "\r\nhi" OK11("6") "\r\nGET /b", false},
    {"nothing after close is answered", "GET /a HTTP/1.1\r\nConnection: close\r\n\r\nGET /b HTTP/1.1\r\n\r\n", OK11("6") "Connection: close\r\n\r\nGET /a", true},
    {"OPTIONS is known", "OPTIONS /a HTTP/1.1\r\n\r\n", OK11("10") "\r\nOPTIONS /a", false},
    {"DELETE is known", "DELETE /a HTTP/1.1\r\n\r\n", OK11("9") "\r\nDELETE /a", false},
    {"PATCH is known", "PATCH /a HTTP/1.1\r\n\r\n", OK11("8") "\r\nPATCH /a", false},
    {"what is no request is 400", "hello\r\n\r\n", ERROR("400", "Bad Request", "malformed request line", "33"), true},
    {"unknown method is 501", "BREW / HTTP/1.1\r\n\r\n", ERROR("501", "Not Implemented", "unknown method", "25"), true},
    {"unknown expectation is 417", "POST / HTTP/1.1\r\nExpect: x\r\nContent-Length: 1\r\n\r\n", ERROR("417", "Expectation Failed", "unknown expectation", "30"), true},
    {"malformed chunk is 400", "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello", ERROR("400", "Bad Request", "malformed chunk size", "31"), true},
    {"smuggled request is not seen", "POST / HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /b HTTP/1.1\r\n\r\n", ERROR("400", "Bad Request", "both Content-Length and Transfer-Encoding", "52"), true},
    {"requests before an error are answered", "GET /a HTTP/1.1\r\n\r\nX\r\n\r\n", OK11("6") "\r\nGET /a" ERROR("400", "Bad Request", "malformed request line", "33"), true},
    {"error for HEAD has no body", "HEAD /{ HTTP/1.1\r\n\r\n", "HTTP/1.1 400 Bad Request\r\nContent-Type: application/json\r\n" DATE "Content-Length: 46\r\nConnection: close\r\n\r\n", true},
};
/* clang-format on */

static void talk(fixture *f, const dialogue *d, size_t step)
{
    int fd = connect_client(f);
    size_t n = strlen(d->request), got = 0;
    char reply[4096] = "";
    for (size_t at = 0; at < n; at += step) {
        send_bytes(f, fd, d->request + at, n - at < step ? n - at : step);
        got += (size_t)snprintf(reply + got, sizeof reply - got, "%s", receive(f, fd));
    }
    assert_string_equal(reply, d->reply);
    assert_int_equal(f->n_done_without_call, f->n_errors);
    assert_int_equal(f->eof, d->closes);
    close(fd);
    turn(f);
}

static void replies_as_specified(void **state)
{
    const dialogue *d = *state;
    sl_http_limits l;
    sl_http_limits_default(&l);
    fixture *f = fx_new(&l);
    talk(f, d, strlen(d->request));
    talk(f, d, 1);
    talk(f, d, 7);
    assert_int_equal(atomic_load(&f->server->n_conns), 0);
    fx_free(f);
}

static void a_call_carries_what_was_received(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd,
              "POST /hold?q HTTP/1.1\r\nHost: h\r\nA: 1\r\na: 2\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(f->n_held, 1);
    const sl_http_call *c = f->held[0];
    /* As it was before: holding a call costs no epoll_ctl. */
    assert_int_equal(f->server->shards[0].conns->watch.events, EPOLLIN | EPOLLRDHUP);
    assert_int_equal(c->method, SL_HTTP_POST);
    assert_true(sl_str_is(c->target, "/hold?q") && sl_str_is(c->path, "/hold"));
    assert_true(sl_str_is(c->body, "abc") && sl_str_is(c->peer, "unix"));
    assert_int_equal(c->n_headers, 4);
    assert_true(sl_str_is(*sl_http_header_find(c, "A"), "1"));
    assert_null(sl_http_header_find(c, "B"));
    assert_ptr_equal(c->loop, f->loop);
    assert_true(c->started_ns == START && c->complete_ns == START);
    assert_int_equal(c->wire_bytes, 68);
    /* In the receive buffer: not copied. */
    assert_true(c->body.p > (char *)c->body_buffer->data && c->target.p < c->body.p &&
                c->target.p > (char *)c->body_buffer->data);
    sl_http_reply(f->held[0]);
    assert_int_equal(f->n_done, 1);
    close(fd);
}

/* ---- bodies ---- */

static char *make_body(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++)
        p[i] = (char)('a' + i * 7 % 26);
    p[n] = '\0';
    return p;
}

static void expect_echo(fixture *f, int fd, const char *body, size_t n)
{
    receive(f, fd);
    const char *end = strstr(f->text, "\r\n\r\n");
    assert_non_null(end);
    assert_int_equal(f->text_n - (size_t)(end + 4 - f->text), n);
    assert_memory_equal(end + 4, body, n);
}

static void bodies_of_all_sizes_arrive_whole(void **state)
{
    static const size_t sizes[] = {1,     100,   16000, 16250, 16280, 16300,  16384,
                                   16385, 32768, 65535, 65536, 65537, 200000, 5000000};
    fixture *f = *state;
    char head[128];
    for (size_t i = 0; i < SL_COUNTOF(sizes); i++) {
        char *body = make_body(sizes[i]);
        int fd = connect_client(f);
        for (int again = 0; again < 2; again++) {
            int n = snprintf(head, sizeof head,
                             "POST /echo HTTP/1.1\r\nContent-Length: %zu\r\n\r\n", sizes[i]);
            send_bytes(f, fd, head, (size_t)n);
            send_bytes(f, fd, body, sizes[i]);
            expect_echo(f, fd, body, sizes[i]);
            assert_int_equal(f->last_wire, (size_t)n + sizes[i]);
        }
        close(fd);
        free(body);
    }
    assert_int_equal(atomic_load(&f->server->budget.used), 0);
}

/* Chunks of `chunk` bytes, sent in pieces of `piece`. */
static void chunked_echo(fixture *f, size_t size, size_t chunk, size_t piece)
{
    char *body = make_body(size), *wire = malloc(size * 8 + 200);
    size_t n = (size_t)sprintf(wire, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < size; at += chunk) {
        size_t here = size - at < chunk ? size - at : chunk;
        n += (size_t)sprintf(wire + n, "%zx\r\n", here);
        memcpy(wire + n, body + at, here);
        n += here;
        n += (size_t)sprintf(wire + n, "\r\n");
    }
    n += (size_t)sprintf(wire + n, "0\r\n\r\n");
    int fd = connect_client(f);
    for (size_t at = 0; at < n; at += piece)
        send_bytes(f, fd, wire + at, n - at < piece ? n - at : piece);
    for (int i = 0; i < 100; i++) /* a buffer at a time */
        turn(f);
    expect_echo(f, fd, body, size);
    assert_int_equal(f->last_wire, n);
    close(fd);
    free(body);
    free(wire);
}

static void chunks_of_all_sizes_arrive_whole(void **state)
{
    static const size_t sizes[] = {1, 1000, 15000, 17000, 100000};
    static const size_t chunks[] = {1, 3, 4095, 4096, 10000, 1000000};
    static const size_t pieces[] = {97, 4096, 10000000};
    for (size_t i = 0; i < SL_COUNTOF(sizes); i++)
        for (size_t j = 0; j < SL_COUNTOF(chunks); j++)
            for (size_t k = 0; k < SL_COUNTOF(pieces); k++)
                chunked_echo(*state, sizes[i], chunks[j], pieces[k]);
    assert_int_equal(atomic_load(&((fixture *)*state)->server->budget.used), 0);
}

static void a_million_tiny_chunks_take_the_memory_of_their_data(void **state)
{
    fixture *f = *state;
    char tiny[6 * 4096];
    int fd = connect_client(f);
    for (int i = 0; i < 4096; i++)
        memcpy(tiny + (size_t)i * 6, "1\r\nx\r\n", 6);
    send_text(f, fd, "POST /hold HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 256; i++)
        send_bytes(f, fd, tiny, sizeof tiny);
    assert_in_range(atomic_load(&f->server->budget.used), 1 << 20, 2 << 20);
    send_text(f, fd, "0\r\n\r\n");
    assert_int_equal(f->held[0]->body.n, 1 << 20);
    sl_http_reply(f->held[0]);
    close(fd);
}

static void an_announced_length_costs_nothing(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    send_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nabc");
    int64_t body = atomic_load(&f->server->budget.used) - atomic_load(&f->server->budget.owed);
    assert_in_range(body, 3, 65536);
    close(fd);
    turn(f);
    assert_int_equal(atomic_load(&f->server->budget.used), 0);
}

static void a_kept_body_stays_while_the_connection_goes_on(void **state)
{
    fixture *f = *state;
    char text[128];
    int fd = connect_client(f);
    sl_buffer *first = NULL;
    const char *where = NULL;
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "POST /keep HTTP/1.1\r\nContent-Length: 8\r\n\r\nbody%04d", i);
        exchange_text(f, fd, text);
        if (i == 0) {
            first = sl_buffer_acquire(f->kept);
            where = (const char *)memmem(first->data, first->size, "body0000", 8);
        }
    }
    assert_int_equal(f->n_calls, 1000);
    assert_memory_equal(where, "body0000", 8);
    sl_buffer_release(first);
    close(fd);
}

static void a_kept_body_is_not_moved_over_by_what_follows_it(void **state)
{
    fixture *f = *state;
    char *more = malloc(20000);
    int fd = connect_client(f), n = sprintf(more, "GET /a HTTP/1.1\r\nA: ");
    memset(more + n, 'x', 14290);
    more[n + 14290] = '\0';
    /* One read: the kept body, and behind it a head that would have room if it were moved. */
    send(fd, "POST /keep HTTP/1.1\r\nContent-Length: 8\r\n\r\nbody0000", 50, 0);
    send_bytes(f, fd, more, strlen(more));
    const char *where = memmem(f->kept->data, f->kept->size, "body0000", 8);
    assert_non_null(where);
    memset(more, 'y', 14290);
    strcpy(more + 14290, "\r\n\r\n");
    assert_non_null(strstr(exchange_text(f, fd, more), "GET /a"));
    assert_memory_equal(where, "body0000", 8);
    free(more);
    close(fd);
}

static void a_body_that_is_read_over_is_not_unpacked(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    exchange_text(f, fd,
                  "GET /a HTTP/1.1\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(f->n_calls, 1);
    assert_false(f->undecodable);
    close(fd);
}

static void a_head_larger_than_the_buffer_is_served(void **state)
{
    fixture *f = *state;
    char *head = malloc(70000);
    int fd = connect_client(f),
        n = sprintf(head, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\nA: ");
    memset(head + n, 'x', 60000);
    strcpy(head + n + 60000, "\r\n\r\nhello");
    assert_string_equal(strstr(exchange_text(f, fd, head), "\r\n\r\n"), "\r\n\r\nhello");
    /* The same with chunks: they begin close to the end of the buffer. */
    n = sprintf(head, "POST /echo HTTP/1.1\r\nTransfer-Encoding: chunked\r\nA: ");
    memset(head + n, 'x', 16300);
    strcpy(head + n + 16300, "\r\n\r\n");
    send_text(f, fd, head);
    assert_string_equal(strstr(exchange_text(f, fd, "5\r\nhello\r\n0\r\n\r\n"), "\r\n\r\n"),
                        "\r\n\r\nhello");
    free(head);
    close(fd);
}

/* ---- Expect ---- */

static void continue_is_sent_when_the_body_is_awaited(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    static const char head[] =
        "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 5\r\n\r\n";
    assert_string_equal(exchange_text(f, fd, head), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_string_equal(exchange_text(f, fd, "hello"), OK11("5") "\r\nhello");
    close(fd);
}

static void continue_is_not_sent_when_the_body_is_there(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    assert_string_equal(exchange_text(f, fd,
                                      "POST /echo HTTP/1.1\r\nExpect: 100-Continue\r\n"
                                      "Content-Length: 5\r\n\r\nhello"),
                        OK11("5") "\r\nhello");
    assert_string_equal(exchange_text(f, fd, "GET /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n"),
                        OK11("6") "\r\nGET /a");
    close(fd);
}

static void a_refusal_comes_before_the_body(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    f->refuse = 401;
    assert_string_equal(exchange_text(f, fd,
                                      "POST /echo HTTP/1.1\r\nExpect: 100-continue\r\n"
                                      "Content-Length: 1000000\r\n\r\n"),
                        ERROR("401", "Unauthorized", "not you", "18"));
    assert_int_equal(f->n_calls, 0);
    close(fd);
}

/* ---- pipelining ---- */

static void a_thousand_requests_ahead_are_answered_in_order_with_few_writes(void **state)
{
    fixture *f = *state;
    char *all = malloc(1000 * 64), expected[32];
    size_t n = 0;
    for (int i = 0; i < 1000; i++)
        n += (size_t)sprintf(all + n, "GET /%d HTTP/1.1\r\nA: b\r\n\r\n", i);
    int fd = connect_client(f);
    sl_fault_arm(SL_FAULT_WRITE, 0); /* begins to count */
    send_bytes(f, fd, all, n);
    assert_in_range(sl_fault_count(SL_FAULT_WRITE), 1, 20);
    const char *p = receive(f, fd);
    for (int i = 0; i < 1000; i++) {
        snprintf(expected, sizeof expected, "\r\n\r\nGET /%d", i);
        p = strstr(p, expected);
        assert_non_null(p);
    }
    assert_int_equal(f->n_done, 1000);
    assert_int_equal(f->total_sent, f->text_n);
    free(all);
    close(fd);
}

static void a_small_request_takes_one_read_and_one_write(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    exchange_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    sl_fault_arm(SL_FAULT_READ, 0);
    sl_fault_arm(SL_FAULT_WRITE, 0);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    for (int i = 0; i < 100; i++)
        exchange_text(f, fd, "POST /echo HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello");
    assert_int_equal(sl_fault_count(SL_FAULT_READ), 100);
    assert_int_equal(sl_fault_count(SL_FAULT_WRITE), 100);
    assert_int_equal(sl_fault_count(SL_FAULT_ALLOC), 0);
    close(fd);
}

static void a_held_call_holds_what_is_behind_it(void **state)
{
    fixture *f = *state;
    int fd = connect_client(f);
    assert_string_equal(exchange_text(f, fd,
                                      "GET /a HTTP/1.1\r\n\r\nGET /hold HTTP/1.1\r\n\r\n"
                                      "GET /b HTTP/1.1\r\n\r\n"),
                        OK11("6") "\r\nGET /a");
    assert_string_equal(exchange_text(f, fd, "GET /c HTTP/1.1\r\n\r\n"), "");
    const sl_conn *c = f->server->shards[0].conns;
    assert_int_equal(c->watch.events, EPOLLRDHUP); /* or the loop would spin */
    assert_int_equal(f->n_calls, 2);
    sl_chain_puts(&f->held[0]->reply, "held");
    sl_http_reply(f->held[0]);
    turn(f);
    assert_string_equal(receive(f, fd),
                        OK11("4") "\r\nheld" OK11("6") "\r\nGET /b" OK11("6") "\r\nGET /c");
    close(fd);
}

static void input_behind_a_held_call_is_left_to_the_kernel(void **state)
{
    fixture *f = *state;
    char junk[4096];
    int fd = connect_client(f);
    memset(junk, 'x', sizeof junk);
    send_text(f, fd, "GET /hold HTTP/1.1\r\n\r\n");
    sl_fault_arm(SL_FAULT_READ, 0);
    while (send_bytes(f, fd, junk, sizeof junk) == sizeof junk)
        ;
    assert_int_equal(sl_fault_count(SL_FAULT_READ), 0);
    sl_http_reply(f->held[0]);
    turn(f);
    assert_non_null(strstr(receive(f, fd), "431 Request Header Fields Too Large"));
    close(fd);
}

/* ---- filters ---- */

#define GET_LONG \
    "GET /a HTTP/1.1\r\nA: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n"

/* Takes all that the socket has and hands it out three bytes at a time, as TLS may do with a
 * record. */
typedef struct filter {
    char held[4096];
    size_t n, at;
    int shutdowns, freed;
} filter;

static filter one_filter;

static ssize_t filter_read(sl_io *io, void *p, size_t n)
{
    filter *x = &one_filter;
    if (x->at == x->n) {
        ssize_t got = sl_socket_read(io->fd, x->held, sizeof x->held);
        if (got <= 0)
            return got;
        x->n = (size_t)got;
        x->at = 0;
    }
    size_t take = SL_MIN(SL_MIN(n, (size_t)3), x->n - x->at);
    memcpy(p, x->held + x->at, take);
    x->at += take;
    return (ssize_t)take;
}

static ssize_t filter_writev(sl_io *io, const struct iovec *v, int n)
{
    return sl_socket_writev(io->fd, v, n);
}

static void filter_shutdown(sl_io *io)
{
    one_filter.shutdowns++;
    sl_socket_shutdown(io->fd);
}

static size_t filter_buffered(sl_io *io)
{
    (void)io;
    return one_filter.n - one_filter.at;
}

static void filter_free(sl_io *io)
{
    (void)io;
    one_filter.freed++;
}

static void a_filter_between_socket_and_connection_is_emptied(void **state)
{
    static const sl_io_ops ops = {.read = filter_read,
                                  .writev = filter_writev,
                                  .shutdown = filter_shutdown,
                                  .buffered = filter_buffered,
                                  .free = filter_free};
    fixture *f = *state;
    int fd = connect_client(f);
    one_filter = (filter){.n = 0};
    f->server->shards[0].conns->io.ops = &ops;
    assert_string_equal(exchange_text(f, fd,
                                      "GET /a HTTP/1.1\r\n\r\nPOST /hold HTTP/1.1\r\n"
                                      "Content-Length: 5\r\n\r\nhelloGET /b HTTP/1.1\r\n\r\n"),
                        OK11("6") "\r\nGET /a");
    assert_true(sl_str_is(f->held[0]->body, "hello"));
    sl_http_reply(f->held[0]);
    assert_string_equal(receive(f, fd), OK11("0") "\r\n" OK11("6") "\r\nGET /b");
    /* What a handler keeps is not read over, although the buffer stays for the filter's next bytes.
     */
    exchange_text(f, fd, "POST /keep HTTP/1.1\r\nContent-Length: 9\r\n\r\nbody-0000" GET_LONG);
    assert_non_null(memmem(f->kept->data, 100, "body-0000", 9));
    exchange_text(f, fd, "GET /close HTTP/1.1\r\n\r\n");
    assert_int_equal(one_filter.shutdowns, 1);
    assert_int_equal(one_filter.freed, 1);
    close(fd);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, fx_set_up, fx_tear_down)
    static const struct CMUnitTest rest[] = {
        T(a_call_carries_what_was_received),
        T(bodies_of_all_sizes_arrive_whole),
        T(chunks_of_all_sizes_arrive_whole),
        T(a_million_tiny_chunks_take_the_memory_of_their_data),
        T(an_announced_length_costs_nothing),
        T(a_kept_body_stays_while_the_connection_goes_on),
        T(a_kept_body_is_not_moved_over_by_what_follows_it),
        T(a_body_that_is_read_over_is_not_unpacked),
        T(a_head_larger_than_the_buffer_is_served),
        T(continue_is_sent_when_the_body_is_awaited),
        T(continue_is_not_sent_when_the_body_is_there),
        T(a_refusal_comes_before_the_body),
        T(a_thousand_requests_ahead_are_answered_in_order_with_few_writes),
        T(a_small_request_takes_one_read_and_one_write),
        T(a_held_call_holds_what_is_behind_it),
        T(input_behind_a_held_call_is_left_to_the_kernel),
        T(a_filter_between_socket_and_connection_is_emptied),
    };
    static struct CMUnitTest tests[SL_COUNTOF(dialogues) + SL_COUNTOF(rest)];
    for (size_t i = 0; i < SL_COUNTOF(dialogues); i++)
        tests[i] = (struct CMUnitTest){.name = dialogues[i].name,
                                       .test_func = replies_as_specified,
                                       .initial_state = (void *)&dialogues[i]};
    memcpy(tests + SL_COUNTOF(dialogues), rest, sizeof rest);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
