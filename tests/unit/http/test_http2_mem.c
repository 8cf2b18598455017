/* test_http2_mem.c - what nghttp2 gets when there is no memory: the reserve, as far as it goes */
#include "unit/http/fixture.h"

#include "http/http2.h"

enum { WHOLE = 128 * 1024 - 16 }; /* the largest block that the reserve can give */

typedef struct place {
    sl_shard shard;
    sl_conn conn;
    sl_h2 h2;
    nghttp2_mem m;
} place;

static int set_up(void **state)
{
    place *p = calloc(1, sizeof *p);
    p->shard.reserve = sl_h2_reserve_new();
    p->conn.shard = &p->shard;
    p->h2.conn = &p->conn;
    p->m = sl_h2_mem(&p->h2);
    *state = p;
    return 0;
}

static int tear_down(void **state)
{
    place *p = *state;
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    free(p->shard.reserve);
    free(p);
    return 0;
}

static void *get(place *p, size_t n)
{
    return p->m.malloc(n, &p->h2);
}

static void give_back(place *p, void *block)
{
    p->m.free(block, &p->h2);
}

/* From here on, and until the end of the test. */
static void memory_runs_out(void)
{
    sl_fault_arm_from(SL_FAULT_ALLOC, 1);
}

static bool all_are(const char *p, size_t n, char c)
{
    for (size_t i = 0; i < n; i++)
        if (p[i] != c)
            return false;
    return true;
}

static void while_there_is_memory_nobody_starves(void **state)
{
    place *p = *state;
    char *a = get(p, 100), *b = p->m.calloc(3, 50, &p->h2);
    memset(a, 'a', 100);
    a = p->m.realloc(a, 100000, &p->h2);
    assert_true(all_are(a, 100, 'a') && all_are(b, 150, '\0'));
    assert_false(p->h2.starved);
    give_back(p, a);
    give_back(p, b);
    give_back(p, NULL);
}

static void without_memory_the_reserve_gives_and_the_connection_is_marked(void **state)
{
    place *p = *state;
    memory_runs_out();
    char *a = get(p, 1000);
    assert_true(p->h2.starved);
    memset(a, 'a', 1000);
    char *b = p->m.calloc(10, 100, &p->h2);
    assert_true(all_are(b, 1000, '\0'));
    memset(b, 'b', 1000);
    assert_true((uintptr_t)b % 16 == 0 && all_are(a, 1000, 'a'));
    give_back(p, a);
    give_back(p, b);
}

static void the_reserve_is_whole_again_when_its_last_block_is_back(void **state)
{
    place *p = *state;
    memory_runs_out();
    void *a = get(p, 1000), *b = get(p, 1000);
    give_back(p, a);
    assert_null(get(p, WHOLE));
    give_back(p, b);
    a = get(p, WHOLE);
    assert_non_null(a);
    assert_null(get(p, 1));
    assert_null(p->m.calloc(1, 1, &p->h2));
    give_back(p, a);
}

static void what_is_larger_than_the_reserve_is_refused(void **state)
{
    place *p = *state;
    memory_runs_out();
    assert_null(get(p, WHOLE + 1));
    assert_null(get(p, SIZE_MAX));
    assert_null(get(p, SIZE_MAX - 20));
    assert_null(p->m.calloc(SIZE_MAX / 2, 3, &p->h2)); /* not a size */
    assert_null(p->m.realloc(NULL, WHOLE + 1, &p->h2));
    void *all = get(p, WHOLE); /* none of them has taken anything */
    assert_non_null(all);
    give_back(p, all);
}

static void a_block_that_grows_keeps_its_bytes_wherever_it_goes(void **state)
{
    place *p = *state;
    char *a = get(p, 200);
    memset(a, 'a', 200);
    memory_runs_out();
    a = p->m.realloc(a, 5000, &p->h2); /* into the reserve */
    assert_true(all_are(a, 200, 'a'));
    memset(a, 'b', 5000);
    a = p->m.realloc(a, 9000, &p->h2); /* within it */
    assert_true(all_are(a, 5000, 'b'));
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    a = p->m.realloc(a, 20000, &p->h2); /* and out again */
    assert_true(all_are(a, 5000, 'b'));
    memory_runs_out();
    char *all = get(p, WHOLE); /* nothing was left behind */
    assert_non_null(all);
    give_back(p, all);
    all = p->m.realloc(NULL, WHOLE, &p->h2); /* what was nothing yet */
    assert_non_null(all);
    give_back(p, all);
    give_back(p, a);
}

static void a_block_that_shrinks_keeps_what_fits(void **state)
{
    place *p = *state;
    char *a = get(p, 200);
    memset(a, 'a', 200);
    memory_runs_out();
    a = p->m.realloc(a, 10, &p->h2);
    assert_true(all_are(a, 10, 'a'));
    a = p->m.realloc(a, 5, &p->h2);
    assert_true(all_are(a, 5, 'a'));
    give_back(p, a);
}

static void a_block_that_cannot_grow_stays_as_it_is(void **state)
{
    place *p = *state;
    char *a = get(p, 200), *b;
    memset(a, 'a', 200);
    memory_runs_out();
    b = get(p, 300);
    memset(b, 'b', 300);
    assert_null(p->m.realloc(a, WHOLE, &p->h2));
    assert_null(p->m.realloc(b, WHOLE, &p->h2));
    assert_true(all_are(a, 200, 'a') && all_are(b, 300, 'b'));
    give_back(p, a);
    give_back(p, b);
    b = get(p, WHOLE);
    assert_non_null(b);
    give_back(p, b);
}

static void the_reserve_itself_may_not_be_had(void **state)
{
    (void)state;
    sl_fault_arm(SL_FAULT_ALLOC, 1);
    assert_null(sl_h2_reserve_new());
    sl_fault_arm(SL_FAULT_ALLOC, 0);
}

int main(void)
{
#define T(t) cmocka_unit_test_setup_teardown(t, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        T(while_there_is_memory_nobody_starves),
        T(without_memory_the_reserve_gives_and_the_connection_is_marked),
        T(the_reserve_is_whole_again_when_its_last_block_is_back),
        T(what_is_larger_than_the_reserve_is_refused),
        T(a_block_that_grows_keeps_its_bytes_wherever_it_goes),
        T(a_block_that_shrinks_keeps_what_fits),
        T(a_block_that_cannot_grow_stays_as_it_is),
        cmocka_unit_test(the_reserve_itself_may_not_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
