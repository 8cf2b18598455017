/* test_http2_batch.c - what leaves in one turn: many replies, each kind of frame behind each other */
#include "unit/http/h2_client.h"

/* A client that has room for all that comes. */
static client *connect_wide(fixture *f)
{
    nghttp2_settings_entry e = {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 1 << 24};
    client *c = h2_new(f, connect_client(f), &e, 1);
    nghttp2_session_set_local_window_size(c->session, NGHTTP2_FLAG_NONE, 0, 1 << 24);
    h2_turn(c);
    return c;
}

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
        client *c = connect_wide(f);
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
        client *c = connect_wide(f);
        int one = ask(c, 100, 50, 0), two = ask(c, pieces, 40, 10), three = ask(c, 1, 100, 0);
        h2_send_at_once(c);
        h2_turn(c);
        is_whole(c, one, 5000);
        is_whole(c, two, (size_t)pieces * 40);
        is_whole(c, three, 100);
        h2_close(c);
    }
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, fx_set_up, fx_tear_down)
    const struct CMUnitTest tests[] = {
        T(trailers_find_room_behind_however_much_is_copied),
        T(trailers_find_a_vector_behind_however_many_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
