/* test_health.c - a client that watches, from its loop's point of view; test_grpc.c has Check */
#include "unit/api/messages.h"

#define WATCH "/grpc.health.v1.Health/Watch"
#define SERVING "\0\0\0\0\2\x08\1"

#define UNKNOWN "\0\0\0\0\2\x08\3"
enum { MESSAGE = 7 };

static void watch(world *w, const char *name, const char *headers)
{
    char body[64] = "\0\0\0\0\0\x0a";
    size_t n = strlen(name);
    body[4] = (char)(n + 2);
    body[6] = (char)n;
    memcpy(body + 7, name, n);
    ask(w, &(request){.method = SL_HTTP_POST,
                      .target = WATCH,
                      .headers = headers,
                      .body = {body, n + 7},
                      .version = 20,
                      .later = true});
}
/* What was sent until now. */
static void was_told(world *w, int messages, const char *last)
{
    assert_int_equal(w->a.sends, messages);
    assert_int_equal(w->a.n, (size_t)messages * MESSAGE);
    assert_memory_equal(w->a.body + w->a.n - MESSAGE, last, MESSAGE);
}

static void a_watcher_is_told_at_once_and_whenever_something_changes(void **state)
{
    world *w = *state;
    watch(w, "m", TYPE);
    was_told(w, 1, SERVING);
    fire(w);
    was_told(w, 1, SERVING);
    clear(w);
    fire(w);
    was_told(w, 2, UNKNOWN);
    fire(w);
    was_told(w, 2, UNKNOWN);
    assert_false(is_replied(w));
    w->call.on_cancel(&w->call);
    ends(w, 1, "the client left");
}

static void one_that_asks_for_what_is_not_there_waits_for_it(void **state)
{
    world *w = *state;
    watch(w, "none", TYPE);
    was_told(w, 1, UNKNOWN);
    atomic_store(&w->rest.draining, true);
    fire(w);
    ends(w, 14, "server is shutting down");
}

static void a_watcher_has_a_deadline(void **state)
{
    world *w = *state;
    sl_clock_fake(1000000000);
    watch(w, "", TYPE "grpc-timeout: 1S\n");
    fire(w);
    was_told(w, 1, SERVING);
    sl_clock_fake(2000000000);
    fire(w);
    ends(w, 4, "Deadline Exceeded");
}

static void what_is_no_request_is_refused(void **state)
{
    world *w = *state;
    ask(w, &(request){.method = SL_HTTP_POST,
                      .target = WATCH,
                      .headers = TYPE,
                      .body = SL_STR("\0\0\0\0\1\xff"),
                      .version = 20});
    ends(w, 13, "");
}

/* Which a worker would have to read: it is the loop that watches. */
static void a_name_that_is_too_long_for_a_loop_is_refused(void **state)
{
    enum { LONG = 5000 }; /* more than here_bytes; packed, less */
    world *w = *state;
    char name[LONG + 1] = "";
    uint32_t random = 1;
    for (int i = 0; i < LONG; i++) {
        random = random * 1664525u + 1013904223u;
        name[i] = (char)('a' + (random >> 24) % 26);
    }
    employ(w, 1);
    for (int packed = 0; packed < 2; packed++) {
        sl_text t = {0};
        put_string(&t, 1, name);
        put_in_frame(&t, packed);
        const request q = rpc(WATCH, packed ? TYPE "grpc-encoding: gzip\n" : TYPE, &t);
        ask(w, &q);
        ends(w, 8, packed ? "decompressed" : "Received message larger than max");
        assert_int_equal(w->a.sends, 0);
        sl_text_fini(&t);
    }
    sl_text t = {0};
    name[4000] = '\0';
    put_string(&t, 1, name);
    put_in_frame(&t, true);
    request q = rpc(WATCH, TYPE "grpc-encoding: gzip\n", &t);
    q.later = true;
    ask(w, &q);
    was_told(w, 1, UNKNOWN);
    w->call.on_cancel(&w->call);
    sl_text_fini(&t);
}

static void a_client_that_leaves_while_it_is_told_is_left_alone(void **state)
{
    world *w = *state;
    w->leaves = true;
    watch(w, "m", TYPE);
    ends(w, 1, "the client left");
}

/* Is told twice, then the server ends. */
static sl_code watch_until_the_end(void *arg, sl_status *st)
{
    world *w = arg;
    int fires = 0;
    atomic_store(&w->rest.started, true);
    atomic_store(&w->rest.draining, false);
    for (watch(w, "", TYPE); !is_replied(w); fire(w)) {
        atomic_store(&w->rest.started, false);
        atomic_store(&w->rest.draining, fires++ > 0);
    }
    assert_int_equal(w->a.n, (size_t)w->a.sends * MESSAGE); /* whole messages only */
    if (!w->a.failed && fires == 2 && strstr(w->a.trailers, "grpc-status: 14\r\n") != NULL)
        return SL_OK;
    bool said = w->a.failed || w->a.refused || strstr(w->a.trailers, "grpc-status: 8\r\n") != NULL;
    return sl_fail(st, said ? SL_RESOURCE_EXHAUSTED : SL_UNKNOWN, "{%s}", w->a.trailers);
}

static void a_watcher_survives_without_memory(void **state)
{
    world *w = *state;
    assert_true(fail_each_allocation(watch_until_the_end, w) > 4);
}

/* The second message finds no memory: it is not sent in part. */
static void what_cannot_be_told_ends_the_call_with_its_status(void **state)
{
    world *w = *state;
    watch(w, "", TYPE);
    atomic_store(&w->rest.started, false);
    sl_fault_arm(SL_FAULT_ALLOC, 2);
    fire(w);
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    ends(w, 8, "out of memory");
    was_told(w, 1, SERVING);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_watcher_is_told_at_once_and_whenever_something_changes),
        T(one_that_asks_for_what_is_not_there_waits_for_it),
        T(a_watcher_has_a_deadline),
        T(what_is_no_request_is_refused),
        T(a_name_that_is_too_long_for_a_loop_is_refused),
        T(a_client_that_leaves_while_it_is_told_is_left_alone),
        T(a_watcher_survives_without_memory),
        T(what_cannot_be_told_ends_the_call_with_its_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
