/* test_http2_batch.c - what leaves in one turn: many replies, each kind of frame behind each other */
#include "unit/http/h2_client.h"

/* "/own?PIECES,SIZE,TRAILERS": so many pieces of that size, lent; SIZE 0: none. */
static void answer_in_pieces(fixture *f, sl_http_call *call)
{
    int pieces = 0, size = 0, trailers = 0;
    char text[64];
    (void)f;
    snprintf(text, sizeof text, "%.*s", SL_STR_ARG(call->target));
    assert_int_equal(sscanf(text, "/own?%d,%d,%d", &pieces, &size, &trailers), 3);
    sl_buffer *b = sl_buffer_try_new((size_t)size * (size_t)pieces + 1);
    memset(b->data, 'x', b->size);
    for (int i = 0; i < pieces; i++)
        sl_chain_lend(&call->reply, b, (char *)b->data + i * size, (size_t)size);
    sl_buffer_release(b);
    if (trailers > 0) {
        sl_chain_puts(&call->trailers, "t: ");
        for (int i = 0; i < trailers; i++)
            sl_chain_puts(&call->trailers, "~");
        sl_chain_puts(&call->trailers, "\r\n");
    }
    sl_http_reply(call);
}

static int ask(client *c, int pieces, int size, int trailers)
{
    char path[64];
    int n = snprintf(path, sizeof path, "/own?%d,%d,%d", pieces, size, trailers);
    nghttp2_nv nv[4] = {
        {(uint8_t *)":method", (uint8_t *)"GET", 7, 3, 0},
        {(uint8_t *)":path", (uint8_t *)path, 5, (size_t)n, 0},
        {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
        {(uint8_t *)":authority", (uint8_t *)"here", 10, 4, 0},
    };
    int id = nghttp2_submit_request(c->session, NULL, nv, 4, NULL, NULL);
    assert_true(id > 0 && c->n < MAX_REPLIES);
    c->replies[c->n++] = (reply){.id = id};
    return id;
}

static void is_whole(client *c, int id, size_t n)
{
    const reply *r = h2_reply(c, id);
    assert_int_equal(r->status, 200);
    assert_int_equal(r->body.n, n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(r->body.p[i], 'x');
    assert_true(r->closed);
    assert_int_equal(r->error, 0);
}

/* So many small replies that their bytes fill a batch, to the last byte and beyond, and a frame
 * that is no DATA behind them. */
static void trailers_find_room_behind_however_much_is_copied(void **state)
{
    fixture *f = *state;
    f->own = answer_in_pieces;
    for (int last = 0; last < 4 * 4096; last += 256) {
        client *c = h2_connect_wide(f, 1 << 24, 16384);
        int ids[50], n = 0;
        for (; n < 29 + last / 4096; n++)
            ids[n] = ask(c, 1, 4096, 0);
        int odd = ask(c, 1, last % 4096 + 1, 0), trailed = ask(c, 1, 10, 300);
        h2_send_at_once(c);
        h2_turn(c);
        for (int i = 0; i < n; i++)
            is_whole(c, ids[i], 4096);
        is_whole(c, odd, (size_t)last % 4096 + 1);
        is_whole(c, trailed, 10);
        assert_int_equal(h2_reply(c, trailed)->trailers.n, 304);
        h2_close(c);
    }
}

/* The same for vectors: of pieces that are pointed at. */
static void trailers_find_a_vector_behind_however_many_pieces(void **state)
{
    fixture *f = *state;
    f->own = answer_in_pieces;
    for (int pieces = 140; pieces <= 160; pieces++) {
        client *c = h2_connect_wide(f, 1 << 24, 16384);
        int one = ask(c, 100, 50, 0), two = ask(c, pieces, 40, 10), three = ask(c, 1, 100, 0);
        h2_send_at_once(c);
        h2_turn(c);
        is_whole(c, one, 5000);
        is_whole(c, two, (size_t)pieces * 40);
        is_whole(c, three, 100);
        h2_close(c);
    }
}

/* Frames that are no DATA fill a batch by themselves. */
static void heads_and_trailers_that_fill_a_batch_go_on_in_the_next(void **state)
{
    fixture *f = *state;
    f->own = answer_in_pieces;
    client *c = h2_connect_wide(f, 1 << 24, 16384);
    int ids[12];
    for (size_t i = 0; i < SL_COUNTOF(ids); i++)
        ids[i] = ask(c, 0, 0, 30000);
    h2_send_at_once(c);
    h2_turn(c);
    for (size_t i = 0; i < SL_COUNTOF(ids); i++) {
        is_whole(c, ids[i], 0);
        assert_in_range(h2_reply(c, ids[i])->head.n, 30004, 31000);
    }
    h2_close(c);
}

/* The last DATA of a reply fills a turn, and its trailers are more than that. */
static void trailers_may_be_more_than_a_turns_part(void **state)
{
    enum { FRAME = 16384, ALL = SL_TURN_SIZE };
    fixture *f = *state;
    f->own = answer_in_pieces;
    client *c = h2_connect_wide(f, 1 << 24, FRAME);
    int id = ask(c, ALL / FRAME, FRAME, 10);
    h2_send_at_once(c);
    h2_turn(c);
    is_whole(c, id, ALL);
    assert_int_equal(h2_reply(c, id)->trailers.n, 14);
    h2_close(c);
}

/* ---- a turn has an end, though there is more ---- */

static const char *flood; /* what the connection is still to read */
static size_t flood_n, taken;

static ssize_t give_flood(sl_io *io, void *p, size_t n)
{
    (void)io;
    n = SL_MIN(n, flood_n);
    memcpy(p, flood, n);
    flood += n;
    flood_n -= n;
    errno = EAGAIN;
    return n > 0 ? (ssize_t)n : -1;
}

static ssize_t take_all(sl_io *io, const struct iovec *v, int n)
{
    ssize_t all = 0;
    (void)io;
    for (int i = 0; i < n; i++)
        all += (ssize_t)v[i].iov_len;
    taken += (size_t)all;
    return all;
}

static size_t flood_left(sl_io *io)
{
    (void)io;
    return flood_n;
}

static void nothing(sl_io *io)
{
    (void)io;
}

/* Instead of a socket: faster than any. */
static const sl_io_ops bottomless = {give_flood, take_all, nothing, flood_left, NULL, nothing};

static void who_sends_without_end_leaves_others_their_turn(void **state)
{
    enum { FRAME = 16384, FRAMES = 80, ALL = FRAMES * (9 + FRAME), TURN = SL_TURN_SIZE };
    static char frames[ALL];
    fixture *f = *state;
    int fd = connect_client(f);
    sl_conn *c = f->server->shards[0].conns;
    raw_begin(fd, 0);
    raw_frame(fd, NGHTTP2_SETTINGS, NGHTTP2_FLAG_ACK, 0, "", 0); /* our windows hold */
    raw_post(fd, 1, OPEN);
    turn(f);
    for (int i = 0; i < FRAMES; i++)
        memcpy(frames + i * (9 + FRAME),
               i + 1 < FRAMES ? "\0\x40\0\0\0\0\0\0\1" : "\0\x40\0\0\1\0\0\0\1", 9);
    c->io.ops = &bottomless;
    flood = frames;
    flood_n = ALL;
    c->watch.ready(&c->watch, EPOLLIN);
    assert_int_equal(flood_n, ALL - TURN);
    assert_true(c->watch.events & EPOLLOUT); /* which wakes it, as the socket will not */
    assert_int_equal(f->n_calls, 0);
    turn(f);
    assert_int_equal(flood_n, 0);
    assert_int_equal(f->n_calls, 1);
    assert_int_equal(f->last_body, FRAMES * FRAME);
    assert_false(c->watch.events & EPOLLOUT);
    close(fd);
}

static void who_takes_without_end_leaves_others_their_turn(void **state)
{
    enum { ALL = 15000000, LEAST = SL_TURN_SIZE, BATCH = 2 * 16384 };
    fixture *f = *state;
    client *c = h2_connect_wide(f, 1 << 24, 16384);
    sl_conn *conn = f->server->shards[0].conns;
    h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    sl_buffer *b = sl_buffer_try_new(ALL);
    sl_chain_lend(&f->held[0]->reply, b, b->data, ALL);
    sl_buffer_release(b);
    conn->io.ops = &bottomless;
    taken = 0;
    sl_http_reply(f->held[0]);
    assert_in_range(taken, LEAST, LEAST + BATCH);
    assert_true(conn->watch.events & EPOLLOUT);
    assert_int_equal(f->n_done, 0);
    for (int i = 0; i < ALL / SL_TURN_SIZE; i++)
        sl_loop_turn(f->loop, false);
    assert_true(taken > ALL);
    assert_int_equal(f->n_done, 1);
    assert_false(f->last_given_up);
    assert_false(conn->watch.events & EPOLLOUT);
    h2_close(c);
}

/* ---- replies that follow from others' ends ---- */

static sl_http_call *to_be_ended;

static void end_another(sl_http_call *call, int status, uint64_t sent, void *arg)
{
    sl_http_call *other = to_be_ended;
    to_be_ended = NULL;
    if (other != NULL)
        sl_http_reply(other);
    fx_done(call, status, sent, arg);
}

static void send_for_another(fixture *f, sl_http_call *call)
{
    sl_buffer *b = sl_buffer_try_new(10000);
    memset(b->data, 'x', 10000);
    sl_chain_lend(&f->held[0]->reply, b, b->data, 10000);
    sl_buffer_release(b);
    sl_http_send(to_be_ended = f->held[0]);
    sl_chain_puts(&call->reply, "x");
    sl_http_reply(call);
}

/* An end without a byte, while those before it are in the batch and not written yet. */
static void a_reply_may_end_in_the_turn_that_sends_its_bytes(void **state)
{
    fixture *f = *state;
    client *c = h2_connect_wide(f, 1 << 24, 16384);
    f->own = send_for_another;
    f->server->opts.on_done = end_another;
    int one = h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    int two = h2_request(c, "GET", "/own", NULL, 0);
    h2_turn(c);
    is_whole(c, one, 10000);
    is_whole(c, two, 1);
    assert_int_equal(f->n_done, 2);
    h2_close(c);
}

/* Of two streams that the client has reset the newer one has frames that wait for the socket. */
static void a_reply_may_follow_from_the_end_of_a_connection(void **state)
{
    static const char *const paths[] = {"/hold", "/big?60000"};
    fixture *f = *state;
    int small = 1, ids[2];
    client *c = h2_connect_wide(f, 1 << 24, 16384);
    setsockopt(f->server->shards[0].conns->io.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
    c->deaf = true;
    for (int i = 0; i < 2; i++)
        ids[i] = h2_request(c, "GET", paths[i], NULL, 0);
    h2_turn(c);
    for (int i = 0; i < 2; i++)
        nghttp2_submit_rst_stream(c->session, NGHTTP2_FLAG_NONE, ids[i], NGHTTP2_CANCEL);
    h2_turn(c);
    assert_int_equal(f->server->shards[0].conns->h2->n_streams, 2);
    f->server->opts.on_done = end_another;
    to_be_ended = f->held[0];
    h2_close(c);
    assert_null(to_be_ended);
    assert_int_equal(f->n_done, 2);
    assert_int_equal(connections(f), 0);
}

/* And from the end of a call whose client has left. */
static void a_reply_may_follow_from_that_of_another_whose_client_has_left(void **state)
{
    fixture *f = *state;
    client *c = h2_connect(f);
    for (int i = 0; i < 2; i++)
        h2_request(c, "GET", "/hold", NULL, 0);
    h2_turn(c);
    h2_close(c);
    assert_int_equal(f->n_cancelled, 2);
    f->server->opts.on_done = end_another;
    to_be_ended = f->held[1];
    sl_http_reply(f->held[0]);
    assert_null(to_be_ended);
    assert_int_equal(f->n_done, 2);
    assert_int_equal(connections(f), 0);
}

/* From another connection's end, while that one's frames are gathered. */
static void a_reply_may_follow_from_one_that_another_connection_gets(void **state)
{
    fixture *f = *state;
    client *one = h2_connect(f), *other = h2_connect(f);
    int held = h2_request(other, "GET", "/hold", NULL, 0);
    h2_turn(other);
    f->server->opts.on_done = end_another;
    to_be_ended = f->held[0];
    sl_chain_puts(&f->held[0]->reply, "x");
    int ids[3];
    for (int i = 0; i < 3; i++)
        ids[i] = h2_request(one, "GET", "/a", NULL, 0);
    h2_send_at_once(one);
    h2_turn(one);
    for (int i = 0; i < 3; i++)
        assert_string_equal(text_of(&h2_reply(one, ids[i])->body), "GET /a");
    h2_turn(other);
    is_whole(other, held, 1);
    assert_int_equal(f->n_done, 4);
    h2_close(one);
    h2_close(other);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(trailers_find_room_behind_however_much_is_copied),
        T(trailers_find_a_vector_behind_however_many_pieces),
        T(heads_and_trailers_that_fill_a_batch_go_on_in_the_next),
        T(trailers_may_be_more_than_a_turns_part),
        T(who_sends_without_end_leaves_others_their_turn),
        T(who_takes_without_end_leaves_others_their_turn),
        T(a_reply_may_end_in_the_turn_that_sends_its_bytes),
        T(a_reply_may_follow_from_the_end_of_a_connection),
        T(a_reply_may_follow_from_that_of_another_whose_client_has_left),
        T(a_reply_may_follow_from_one_that_another_connection_gets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
