/* test_native_threads.c - many threads on one session: shapes that come and go, state, loops */
#include "native_model.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/thread.h"
#include "engine/native/exec.h"
#include "engine/native/ops/matmul.h"

enum { THREADS = 8, RUNS = 400, SHAPES = 3 * SL_CACHE_SLOTS / 2 };

typedef struct job {
    model *m;
    unsigned seed;
    int wrong;
    float largest;
} job;

static unsigned next_number(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* The linear model on `rows` rows; false if an answer is not x w + b. */
static bool run_rows(model *m, int64_t rows, int threads, float first)
{
    sl_status st;
    int zero = 0;
    sl_tensor x, y = {0};
    if (sl_tensor_try_new(SL_DT_FLOAT, (const int64_t[]){rows, 3}, 2, &x, &st))
        return false;
    float *v = x.data;
    for (int64_t i = 0; i < rows * 3; i++)
        v[i] = first + (float)(i % 7);
    sl_run run = {.n_inputs = 1,
                  .input_index = &zero,
                  .inputs = &x,
                  .n_outputs = 1,
                  .output_index = &zero,
                  .outputs = &y,
                  .threads = threads};
    run.signature = sl_signatures_find(m->sigs, SL_STR("serving_default"));
    bool ok = sl_engine_native.run(m->session, &run, &st) == SL_OK && y.dims[0] == rows;
    for (int64_t r = 0; r < rows && ok; r++) {
        const float *a = v + 3 * r, *b = (const float *)y.data + 2 * r;
        ok = b[0] == a[0] + 2 * a[1] + 0.5f && b[1] == -a[0] + 0.5f * a[1] + 3 * a[2] - 0.5f;
    }
    if (y.buffer != NULL)
        sl_tensor_release(&y);
    sl_tensor_release(&x);
    return ok;
}

static void *many_shapes(void *arg)
{
    job *j = arg;
    for (int i = 0; i < RUNS; i++) {
        unsigned n = next_number(&j->seed);
        /* Half of the runs are of one shape, the others push each other out of the cache. */
        j->wrong += !run_rows(j->m, n & 1 ? 1 : (int64_t)(n >> 1) % SHAPES, 1 + (int)(n % 3),
                              (float)(n % 11));
    }
    return NULL;
}

static void start(model *m, void *(*fn)(void *), job *jobs)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i] = (job){.m = m, .seed = (unsigned)i + 1};
        assert_int_equal(pthread_create(&threads[i], NULL, fn, &jobs[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void threads_of_many_shapes_all_get_their_own_answers(void **state)
{
    (void)state;
    model m;
    job jobs[THREADS];
    load(&m, "linear");
    start(&m, many_shapes, jobs);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(jobs[i].wrong, 0);
    unload(&m);
}

static void a_plan_that_was_pushed_out_is_made_again(void **state)
{
    (void)state;
    model m;
    load(&m, "linear");
    for (int round = 0; round < 3; round++)
        for (int rows = 0; rows < 2 * SL_CACHE_SLOTS; rows++)
            assert_true(run_rows(&m, rows, 1, 1));
    uint64_t before = sl_engine_native.memory(m.session);
    for (int rows = 0; rows < 2 * SL_CACHE_SLOTS; rows++)
        assert_true(run_rows(&m, rows, 1, 1));
    assert_true(sl_engine_native.memory(m.session) < before + before / 4);
    unload(&m);
}

static void *increments(void *arg)
{
    job *j = arg;
    for (int i = 0; i < RUNS; i++) {
        sl_tensor out;
        sl_status st;
        int zero = 0;
        sl_run run = {.signature = sl_signatures_find(j->m->sigs, SL_STR("incr_counter")),
                      .n_outputs = 1,
                      .output_index = &zero,
                      .outputs = &out,
                      .threads = 1};
        if (sl_engine_native.run(j->m->session, &run, &st)) {
            j->wrong++;
            continue;
        }
        float v = *(const float *)out.data;
        j->wrong += v <= j->largest; /* what one thread sees only grows */
        j->largest = v;
        sl_tensor_release(&out);
    }
    return NULL;
}

static void no_increment_of_a_variable_is_lost(void **state)
{
    (void)state;
    model m;
    job jobs[THREADS];
    float largest = 0;
    load(&m, "counter");
    start(&m, increments, jobs);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(jobs[i].wrong, 0);
        largest = jobs[i].largest > largest ? jobs[i].largest : largest;
    }
    assert_true(largest == THREADS * RUNS);
    unload(&m);
}

/* ---- products of a thread that rests now and then ---- */

enum { MOST = 5, WIDE = 3000, DEEP = 200 }; /* WIDE x DEEP: several pieces */

typedef struct product {
    sl_gemm g;
    sl_dtype t;
    const void *a, *b;
    void *c, *scratch;
} product;

static void *multiply_nicely(void *arg)
{
    const product *p = arg;
    sl_thread_be_nice();
    sl_matmul_run(&p->g, p->t, p->a, p->b, p->c, p->scratch);
    return sl_thread_is_nice() ? arg : NULL;
}

/* Whole numbers, small enough to be exact in each dtype. */
static void fill(void *to, sl_dtype t, int n)
{
    for (int i = 0; i < n; i++) {
        int v = i * 7 % 5 - 2;
        if (t == SL_DT_FLOAT)
            ((float *)to)[i] = (float)v;
        else if (t == SL_DT_DOUBLE)
            ((double *)to)[i] = v;
        else if (t == SL_DT_INT32)
            ((int32_t *)to)[i] = v;
        else if (t == SL_DT_INT64)
            ((int64_t *)to)[i] = v;
        else
            ((uint16_t *)to)[i] = (uint16_t)(v < 0 ? 0xbc00 : v ? 0x3c00 : 0); /* -1, 0, 1 */
    }
}

static void who_rests_multiplies_in_pieces_to_the_same_numbers(void **state)
{
    static const sl_dtype types[] = {SL_DT_FLOAT, SL_DT_DOUBLE, SL_DT_INT32, SL_DT_INT64,
                                     SL_DT_HALF};
    (void)state;
    assert_false(sl_thread_is_nice());
    for (size_t k = 0; k < SL_COUNTOF(types) * 4; k++) {
        sl_dtype t = types[k / 4];
        bool across = k & 1; /* B is given by columns */
        int m = k & 2 ? MOST : 1;
        size_t size = sl_dtype_size(t), scratch;
        product p = {.t = t,
                     .g = {.m = m,
                           .n = WIDE,
                           .k = DEEP,
                           .a_row = DEEP,
                           .a_col = 1,
                           .b_row = across ? 1 : WIDE,
                           .b_col = across ? DEEP : 1,
                           .c_row = WIDE}};
        pthread_t thread;
        void *nice, *a = sl_malloc(MOST * DEEP * size), *b = sl_malloc(WIDE * DEEP * size);
        void *whole = sl_malloc(MOST * WIDE * size), *pieces = sl_calloc(MOST * WIDE, size);
        assert_int_equal(sl_matmul_scratch(&p.g, t, &scratch, NULL), SL_OK);
        void *room = aligned_alloc(64, (scratch + 63) & ~(size_t)63);
        assert_non_null(room);
        fill(a, t, MOST * DEEP);
        fill(b, t, WIDE * DEEP);
        sl_matmul_run(&p.g, t, a, b, whole, room);
        p.a = a, p.b = b, p.c = pieces, p.scratch = room;
        assert_int_equal(pthread_create(&thread, NULL, multiply_nicely, &p), 0);
        pthread_join(thread, &nice);
        assert_ptr_equal(nice, &p);
        assert_memory_equal(whole, pieces, (size_t)m * WIDE * size);
        sl_free(a);
        sl_free(b);
        sl_free(whole);
        sl_free(pieces);
        free(room);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_of_many_shapes_all_get_their_own_answers),
        cmocka_unit_test(a_plan_that_was_pushed_out_is_made_again),
        cmocka_unit_test(no_increment_of_a_variable_is_lost),
        cmocka_unit_test(who_rests_multiplies_in_pieces_to_the_same_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
