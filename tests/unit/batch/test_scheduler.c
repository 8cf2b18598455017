/* A fake engine doubles its input; a test can hold it, so that tasks gather behind a first one. */
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "batch/batch_internal.h"
#include "batch/scheduler.h"

enum { MAX_RUNS = 64, MAX_FLOATS = 1024 };

/* Keys and graph names sort differently on purpose. */
static const sl_tensor_info a_in[] = {{.key = "x", .name = "q:0", .dtype = SL_DT_FLOAT},
                                      {.key = "y", .name = "p:0", .dtype = SL_DT_FLOAT}};
static const sl_tensor_info a_out[] = {{.key = "double", .name = "d:0", .dtype = SL_DT_FLOAT},
                                       {.key = "triple", .name = "c:0", .dtype = SL_DT_FLOAT}};
/* The same tensors under other aliases, in another order. */
static const sl_tensor_info b_in[] = {{.key = "1", .name = "p:0", .dtype = SL_DT_FLOAT},
                                      {.key = "2", .name = "q:0", .dtype = SL_DT_FLOAT}};
static const sl_signature list[] = {
    {.key = "a", .inputs = a_in, .n_inputs = 2, .outputs = a_out, .n_outputs = 2},
    {.key = "b", .inputs = b_in, .n_inputs = 2, .outputs = a_out, .n_outputs = 2}};
static const sl_signatures signatures = {.list = list, .count = 2};

typedef struct fixture {
    sl_batch_scheduler *scheduler;
    sl_batcher *batcher;
    sl_batching_params params;
    pthread_mutex_t lock;
    sl_cond moved;
    bool held, scalar_output;
    sl_code outcome;
    int runs, done;
    int64_t rows[MAX_RUNS]; /* of each run */
    sl_tensor last_input;   /* of the last run */
    uint64_t last_deadline;
} fixture;

/* Every row whose first element is -1 makes the whole run invalid, as a Gather with a bad index
 * does. */
static sl_code judge(const sl_tensor *x)
{
    if (x->dtype != SL_DT_FLOAT)
        return SL_OK;
    const float *v = x->data;
    int64_t row = x->dims[0] ? sl_tensor_count(x) / x->dims[0] : 0;
    for (int64_t i = 0; i < x->dims[0] && row > 0; i++)
        if (v[i * row] == -1)
            return SL_INVALID_ARGUMENT;
    return SL_OK;
}

static sl_code compute(const sl_tensor *x, float factor, sl_tensor *out, sl_status *st)
{
    if (x->dtype == SL_DT_STRING) {
        sl_tensor_share(x, out);
        return SL_OK;
    }
    sl_code rc = sl_tensor_try_new(SL_DT_FLOAT, x->dims, x->rank, out, st);
    for (int64_t i = 0; rc == SL_OK && i < sl_tensor_count(x); i++)
        ((float *)out->data)[i] = ((const float *)x->data)[i] * factor;
    return rc;
}

static sl_code fake_run(sl_session *session, sl_run *run, sl_status *st)
{
    fixture *f = (fixture *)session;
    const sl_tensor *x = &run->inputs[0];
    pthread_mutex_lock(&f->lock);
    f->rows[f->runs++ % MAX_RUNS] = x->dims[0];
    sl_tensor_release(&f->last_input);
    sl_tensor_share(x, &f->last_input); /* an engine may keep its inputs */
    f->last_deadline = run->deadline_ns;
    sl_cond_broadcast(&f->moved);
    while (f->held)
        sl_cond_wait(&f->moved, &f->lock);
    sl_code rc = f->outcome ? f->outcome : judge(x);
    bool scalar = f->scalar_output;
    pthread_mutex_unlock(&f->lock);
    if (rc)
        return sl_fail(st, rc, "the model refuses");
    for (int k = 0; k < run->n_outputs; k++)
        if (scalar)
            rc = sl_tensor_try_new(SL_DT_FLOAT, NULL, 0, &run->outputs[k], st);
        else
            rc = compute(x, (float)run->output_index[k] + 2, &run->outputs[k], st);
    return rc;
}

static const sl_engine engine = {.abi = SL_ENGINE_ABI, .name = "fake", .run = fake_run};

typedef struct request {
    sl_batch_task task;
    sl_run run;
    sl_status st;
    sl_tensor inputs[2], outputs[2];
    int input_index[2], output_index[2];
    atomic_bool cancelled;
    fixture *f;
    bool done;
    sl_code rc;
} request;

static void on_done(sl_batch_task *task, sl_code rc)
{
    request *r = task->user;
    pthread_mutex_lock(&r->f->lock);
    r->rc = rc;
    r->done = true;
    r->f->done++;
    sl_cond_broadcast(&r->f->moved);
    pthread_mutex_unlock(&r->f->lock);
}

static request *new_request(fixture *f)
{
    request *r = calloc(1, sizeof *r);
    r->f = f;
    r->run = (sl_run){.n_inputs = 1,
                      .input_index = r->input_index,
                      .inputs = r->inputs,
                      .n_outputs = 1,
                      .output_index = r->output_index,
                      .outputs = r->outputs,
                      .cancelled = &r->cancelled,
                      .threads = 1};
    r->task = (sl_batch_task){.run = &r->run, .st = &r->st, .done = on_done, .user = r};
    return r;
}

static sl_tensor floats(int64_t rows, int64_t width, float first)
{
    sl_tensor t;
    int64_t dims[] = {rows, width};
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, dims, 2, &t, NULL), SL_OK);
    for (int64_t i = 0; i < rows * width; i++)
        ((float *)t.data)[i] = first + (float)i;
    return t;
}

/* A request of rows x width whose values count up from `first`. */
static request *ask(fixture *f, int64_t rows, int64_t width, float first)
{
    request *r = new_request(f);
    r->inputs[0] = floats(rows, width, first);
    return r;
}

static request *submit(request *r)
{
    assert_int_equal(sl_batcher_submit(r->f->batcher, &r->task), SL_OK);
    return r;
}

static sl_code wait_for(request *r)
{
    pthread_mutex_lock(&r->f->lock);
    while (!r->done)
        sl_cond_wait(&r->f->moved, &r->f->lock);
    pthread_mutex_unlock(&r->f->lock);
    return r->rc;
}

static void free_request(request *r)
{
    for (int i = 0; i < 2; i++) {
        sl_tensor_release(&r->inputs[i]);
        sl_tensor_release(&r->outputs[i]);
    }
    free(r);
}

/* Waits, and expects the input times two. */
static void expect_doubled(request *r)
{
    assert_int_equal(wait_for(r), SL_OK);
    const sl_tensor *in = &r->inputs[0], *out = &r->outputs[0];
    assert_int_equal(out->rank, in->rank);
    assert_int_equal(out->dims[0], in->dims[0]);
    assert_int_equal(sl_tensor_count(out), sl_tensor_count(in));
    for (int64_t i = 0; i < sl_tensor_count(in); i++)
        assert_true(((float *)out->data)[i] == 2 * ((float *)in->data)[i]);
    free_request(r);
}

static void expect_failure(request *r, sl_code code, const char *text)
{
    assert_int_equal(wait_for(r), code);
    assert_string_equal(r->st.msg, text);
    assert_null(r->outputs[0].buffer);
    free_request(r);
}

static void expect_refusal(request *r, sl_code code, const char *text)
{
    assert_int_equal(sl_batcher_submit(r->f->batcher, &r->task), code);
    assert_string_equal(r->st.msg, text);
    free_request(r);
}

static void set_held(fixture *f, bool held)
{
    pthread_mutex_lock(&f->lock);
    f->held = held;
    sl_cond_broadcast(&f->moved);
    pthread_mutex_unlock(&f->lock);
}

static void until_runs(fixture *f, int runs)
{
    pthread_mutex_lock(&f->lock);
    while (f->runs < runs)
        sl_cond_wait(&f->moved, &f->lock);
    pthread_mutex_unlock(&f->lock);
}

static int runs_of(fixture *f)
{
    pthread_mutex_lock(&f->lock);
    int n = f->runs;
    pthread_mutex_unlock(&f->lock);
    return n;
}

static void start(fixture *f)
{
    sl_status st;
    assert_int_equal(sl_batcher_new(f->scheduler, &engine, (sl_session *)f, &signatures, &f->params,
                                    &f->batcher, &st),
                     SL_OK);
}

/* Starts, and keeps the only thread busy with a first task, until let_go. */
static request *plug(fixture *f)
{
    start(f);
    set_held(f, true);
    request *first = submit(ask(f, 1, 1, 0));
    until_runs(f, 1);
    return first;
}

static void let_go(fixture *f, request *first)
{
    set_held(f, false);
    expect_doubled(first);
}

static int setup(void **state)
{
    fixture *f = calloc(1, sizeof *f);
    pthread_mutex_init(&f->lock, NULL);
    sl_cond_init(&f->moved);
    f->params = sl_batching_defaults();
    *state = f;
    return sl_batch_scheduler_new(1, &f->scheduler, NULL);
}

static int teardown(void **state)
{
    fixture *f = *state;
    sl_batcher_close(f->batcher);
    sl_batch_scheduler_free(f->scheduler);
    sl_tensor_release(&f->last_input);
    sl_clock_fake(0);
    pthread_mutex_destroy(&f->lock);
    free(f);
    return 0;
}

static void tasks_that_wait_together_are_run_as_one(void **state)
{
    fixture *f = *state;
    request *first = plug(f);
    request *a = submit(ask(f, 2, 3, 10)), *b = submit(ask(f, 1, 3, 50));
    request *c = submit(ask(f, 4, 3, 70));
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(b);
    expect_doubled(c);
    assert_int_equal(f->runs, 2);
    assert_int_equal(f->rows[1], 7);
}

static void open_batch_waits_for_its_timeout(void **state)
{
    fixture *f = *state;
    f->params.batch_timeout_micros = 10000;
    sl_clock_fake(1000000000);
    start(f);
    request *a = submit(ask(f, 1, 1, 1));
    sl_clock_fake(1009999999);
    sl_batch_scheduler_poke(f->scheduler);
    request *b = submit(ask(f, 1, 1, 2));
    assert_int_equal(runs_of(f), 0);
    sl_clock_fake(1010000000); /* counted from the first task */
    sl_batch_scheduler_poke(f->scheduler);
    expect_doubled(a);
    expect_doubled(b);
    assert_int_equal(f->rows[0], 2);
}

static void full_batch_does_not_wait_for_its_timeout(void **state)
{
    fixture *f = *state;
    f->params.batch_timeout_micros = 3600000000;
    f->params.max_batch_size = 4;
    start(f);
    request *a = submit(ask(f, 3, 1, 1)), *b = submit(ask(f, 1, 1, 2));
    expect_doubled(a);
    expect_doubled(b);
    /* So does one that is closed because the next task did not fit. */
    a = submit(ask(f, 3, 1, 1));
    b = submit(ask(f, 4, 1, 2));
    expect_doubled(a);
    expect_doubled(b);
    assert_int_equal(f->rows[0], 4);
    assert_int_equal(f->rows[1], 3);
    assert_int_equal(f->rows[2], 4);
}

static void closing_runs_what_waits(void **state)
{
    fixture *f = *state;
    int tasks, batches;
    f->params.batch_timeout_micros = 3600000000;
    start(f);
    request *a = submit(ask(f, 3, 1, 1));
    sl_batcher_waiting(f->batcher, &tasks, &batches);
    assert_int_equal(tasks, 1);
    assert_int_equal(batches, 1);
    sl_batcher_close(f->batcher);
    f->batcher = NULL;
    assert_true(a->done);
    expect_doubled(a);
}

static void settling_runs_what_waits_and_leaves_no_thread_in_a_task(void **state)
{
    fixture *f = *state;
    f->params.batch_timeout_micros = 3600000000;
    start(f);
    request *a = submit(ask(f, 3, 1, 1)), *b = submit(ask(f, 2, 1, 1));
    sl_batch_scheduler_settle(f->scheduler);
    assert_true(a->done && b->done);
    expect_doubled(a);
    expect_doubled(b);
    request *late = submit(ask(f, 1, 1, 1));
    sl_batch_scheduler_settle(f->scheduler);
    expect_doubled(late);
}

static void tasks_that_cannot_be_batched_are_refused(void **state)
{
    fixture *f = *state;
    f->params.max_batch_size = 4;
    start(f);
    request *r = new_request(f);
    r->run.n_inputs = 0;
    expect_refusal(r, SL_INVALID_ARGUMENT, "Batching Run() must have at least one input tensor");
    r = new_request(f);
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, NULL, 0, &r->inputs[0], NULL), SL_OK);
    expect_refusal(r, SL_INVALID_ARGUMENT,
                   "Batching Run() input tensors must have at least one dimension");
    r = ask(f, 2, 1, 0);
    r->run.n_inputs = 2;
    r->input_index[1] = 1;
    r->inputs[1] = floats(3, 1, 0);
    expect_refusal(r, SL_INVALID_ARGUMENT,
                   "Batching Run() input tensors must have equal 0th-dimension size");
    expect_refusal(ask(f, 5, 1, 0), SL_INVALID_ARGUMENT,
                   "Task size 5 is larger than maximum input batch size 4");
}

static void full_queue_refuses(void **state)
{
    fixture *f = *state;
    f->params.max_batch_size = 4;
    f->params.max_enqueued_batches = 2;
    request *first = plug(f);
    request *a = submit(ask(f, 4, 1, 1)), *b = submit(ask(f, 3, 1, 2));
    expect_refusal(ask(f, 2, 1, 0), SL_UNAVAILABLE,
                   "The batch scheduling queue to which this task was submitted is full; "
                   "currently 2 batches enqueued and max_enqueued_batches is 2");
    request *c = submit(ask(f, 1, 1, 3)); /* this one still fits into the open batch */
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(b);
    expect_doubled(c);
}

static void large_task_is_split_and_comes_back_whole(void **state)
{
    fixture *f = *state;
    f->params.max_batch_size = 20;
    f->params.enable_large_batch_splitting = true;
    f->params.max_execution_batch_size = 4;
    f->params.max_enqueued_batches = 4;
    request *first = plug(f);
    request *a = submit(ask(f, 3, 2, 1)), *b = submit(ask(f, 10, 2, 100));
    /* 1 row of b fills a's batch, then 4, 4, and 1 in the open one. */
    expect_refusal(ask(f, 4, 2, 0), SL_UNAVAILABLE,
                   "The batch scheduling queue to which this task was submitted is full; task size "
                   "is 4 but scheduling capacity is only 3 (num_enqueued_batches=4, "
                   "max_enqueued_batches=4, open_batch_size=1, max_execution_batch_size=4)");
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(b);
    assert_int_equal(f->runs, 5);
    assert_int_equal(f->rows[1], 4);
    assert_int_equal(f->rows[2], 4);
    assert_int_equal(f->rows[3], 4);
    assert_int_equal(f->rows[4], 1);
}

static void part_that_fails_fails_its_task_only(void **state)
{
    fixture *f = *state;
    f->params.enable_large_batch_splitting = true;
    f->params.max_execution_batch_size = 2;
    request *first = plug(f);
    request *a = submit(ask(f, 1, 1, 5)), *bad = submit(ask(f, 4, 1, -3)); /* -3 -2 -1 0 */
    request *c = submit(ask(f, 1, 1, 9));
    let_go(f, first);
    expect_doubled(a);
    expect_failure(bad, SL_INVALID_ARGUMENT, "the model refuses");
    expect_doubled(c);
}

static void batch_is_filled_up_to_an_allowed_size(void **state)
{
    fixture *f = *state;
    static const int64_t allowed[] = {2, 8, 1000};
    f->params.allowed_batch_sizes = allowed;
    f->params.n_allowed = 3;
    request *first = plug(f);
    request *a = submit(ask(f, 2, 2, 1)), *b = submit(ask(f, 3, 2, 100));
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(b);
    assert_int_equal(f->rows[0], 2);
    assert_int_equal(f->rows[1], 8);
    const float *v = f->last_input.data;
    for (int i = 5; i < 8; i++) { /* row 0 of the last task */
        assert_true(v[2 * i] == 100);
        assert_true(v[2 * i + 1] == 101);
    }
}

static void different_shapes_are_run_apart(void **state)
{
    fixture *f = *state;
    request *first = plug(f);
    request *a = submit(ask(f, 1, 2, 1)), *b = submit(ask(f, 2, 3, 10));
    request *c = submit(ask(f, 1, 2, 20));
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(b);
    expect_doubled(c);
    assert_int_equal(f->runs, 3);
    assert_int_equal(f->rows[1], 2);
    assert_int_equal(f->rows[2], 2);
}

static void variable_lengths_are_padded_with_the_first_element(void **state)
{
    fixture *f = *state;
    f->params.pad_variable_length_inputs = true;
    request *first = plug(f);
    request *a = submit(ask(f, 2, 1, 1)), *b = submit(ask(f, 1, 3, 7));
    let_go(f, first);
    assert_int_equal(wait_for(a), SL_OK);
    static const float merged[] = {1, 1, 1, 2, 1, 1, 7, 8, 9};
    assert_memory_equal(f->last_input.data, merged, sizeof merged);
    /* Outputs are not cut back. */
    assert_int_equal(a->outputs[0].dims[1], 3);
    static const float out[] = {2, 2, 2, 4, 2, 2};
    assert_memory_equal(a->outputs[0].data, out, sizeof out);
    free_request(a);
    expect_doubled(b);
}

static void every_dimension_but_the_first_is_padded(void **state)
{
    fixture *f = *state;
    f->params.pad_variable_length_inputs = true;
    request *first = plug(f);
    request *a = new_request(f), *b = new_request(f);
    int64_t small[] = {1, 2, 1}, wide[] = {1, 1, 2};
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, small, 3, &a->inputs[0], NULL), SL_OK);
    assert_int_equal(sl_tensor_try_new(SL_DT_FLOAT, wide, 3, &b->inputs[0], NULL), SL_OK);
    memcpy(a->inputs[0].data, (float[]){5, 6}, 8);
    memcpy(b->inputs[0].data, (float[]){7, 8}, 8);
    submit(a);
    submit(b);
    let_go(f, first);
    assert_int_equal(wait_for(a), SL_OK);
    assert_int_equal(wait_for(b), SL_OK);
    static const float merged[] = {5, 5, 6, 5, 7, 8, 7, 7};
    assert_memory_equal(f->last_input.data, merged, sizeof merged);
    free_request(a);
    free_request(b);
}

static void bad_task_does_not_fail_its_neighbours(void **state)
{
    fixture *f = *state;
    request *first = plug(f);
    request *a = submit(ask(f, 1, 1, 1)), *bad = submit(ask(f, 1, 1, -1));
    request *c = submit(ask(f, 2, 1, 5));
    let_go(f, first);
    expect_doubled(a);
    expect_failure(bad, SL_INVALID_ARGUMENT, "the model refuses");
    expect_doubled(c);
}

static void engines_own_failure_is_everybodys(void **state)
{
    fixture *f = *state;
    request *first = plug(f);
    request *a = submit(ask(f, 1, 1, 1)), *b = submit(ask(f, 1, 1, 2));
    pthread_mutex_lock(&f->lock);
    f->outcome = SL_INTERNAL;
    pthread_mutex_unlock(&f->lock);
    set_held(f, false);
    expect_failure(first, SL_INTERNAL, "the model refuses");
    expect_failure(a, SL_INTERNAL, "the model refuses");
    expect_failure(b, SL_INTERNAL, "the model refuses");
    assert_int_equal(f->runs, 2);
}

static void output_without_rows_cannot_be_cut_apart(void **state)
{
    fixture *f = *state;
    f->scalar_output = true;
    start(f);
    expect_failure(submit(ask(f, 1, 1, 1)), SL_FAILED_PRECONDITION,
                   "Batched output tensor has 0 dimensions");
}

static void empty_task_is_run_alone(void **state)
{
    fixture *f = *state;
    static const int64_t allowed[] = {4, 1000};
    f->params.allowed_batch_sizes = allowed;
    f->params.n_allowed = 2;
    request *first = plug(f);
    request *a = submit(ask(f, 1, 1, 1)), *empty = submit(ask(f, 0, 1, 0));
    request *b = submit(ask(f, 1, 1, 2));
    let_go(f, first);
    expect_doubled(a);
    expect_doubled(empty);
    expect_doubled(b);
    assert_int_equal(f->rows[2], 0);
}

static void who_left_or_is_late_is_not_run(void **state)
{
    fixture *f = *state;
    sl_clock_fake(1000);
    request *first = plug(f);
    request *gone = ask(f, 1, 1, 1), *late = ask(f, 1, 1, 2), *patient = ask(f, 1, 1, 3);
    request *hasty = ask(f, 1, 1, 4);
    late->run.deadline_ns = 5000;
    hasty->run.deadline_ns = 9000;
    patient->run.deadline_ns = 20000;
    submit(gone);
    submit(late);
    submit(patient);
    submit(hasty);
    atomic_store(&gone->cancelled, true);
    sl_clock_fake(5000);
    let_go(f, first);
    expect_failure(gone, SL_CANCELLED,
                   "the client left while the request waited in the batching queue");
    expect_failure(late, SL_RESOURCE_EXHAUSTED,
                   "Run() timeout exceeded while waiting in batching queue");
    assert_int_equal(wait_for(patient), SL_OK);
    assert_int_equal(patient->task.queue_ns, 4000);
    expect_doubled(patient);
    expect_doubled(hasty);
    assert_int_equal(f->rows[1], 2);
    assert_int_equal(f->last_deadline, 20000);
}

static void signatures_over_the_same_tensors_share_a_queue(void **state)
{
    fixture *f = *state;
    request *first = plug(f);
    request *a = ask(f, 1, 1, 1), *b = ask(f, 1, 1, 10); /* x, y and y, x */
    a->run.n_inputs = b->run.n_inputs = 2;
    a->input_index[1] = b->input_index[1] = 1;
    a->inputs[1] = floats(1, 1, 2);
    b->inputs[1] = floats(1, 1, 20);
    b->run.signature = 1;
    a->run.n_outputs = b->run.n_outputs = 2;
    a->output_index[1] = 1;
    b->output_index[0] = 1;
    submit(a);
    submit(b);
    /* Another set of outputs is another queue. */
    request *c = ask(f, 1, 1, 3);
    c->output_index[0] = 1;
    submit(c);
    let_go(f, first);
    assert_int_equal(wait_for(a), SL_OK);
    assert_int_equal(wait_for(b), SL_OK);
    assert_int_equal(wait_for(c), SL_OK);
    assert_int_equal(f->runs, 3);
    assert_int_equal(f->rows[1], 2);
    /* a's first input is q; b's second one. The engine doubles the first input that it is given: q.
     */
    assert_true(*(float *)a->outputs[0].data == 2);
    assert_true(*(float *)a->outputs[1].data == 3);
    assert_true(*(float *)b->outputs[0].data == 60);
    assert_true(*(float *)b->outputs[1].data == 40);
    assert_true(*(float *)c->outputs[0].data == 9);
    free_request(a);
    free_request(b);
    free_request(c);
}

static void strings_are_merged_and_cut_apart(void **state)
{
    fixture *f = *state;
    static const sl_str one[] = {{"alpha", 5}, {"", 0}}, two[] = {{"a longer string", 15}};
    static const int64_t allowed[] = {1, 4, 1000}, dims_one[] = {2}, dims_two[] = {1};
    f->params.allowed_batch_sizes = allowed;
    f->params.n_allowed = 3;
    request *first = plug(f);
    request *a = new_request(f), *b = new_request(f);
    assert_int_equal(sl_tensor_try_new_strings(one, dims_one, 1, &a->inputs[0], NULL), SL_OK);
    assert_int_equal(sl_tensor_try_new_strings(two, dims_two, 1, &b->inputs[0], NULL), SL_OK);
    submit(a);
    submit(b);
    let_go(f, first);
    assert_int_equal(wait_for(a), SL_OK);
    assert_int_equal(wait_for(b), SL_OK);
    assert_int_equal(f->rows[1], 4);
    assert_int_equal(f->runs, 2);
    sl_tensor_release(&a->inputs[0]); /* outputs do not hang on the inputs */
    sl_tensor_release(&b->inputs[0]);
    const sl_str *x = a->outputs[0].data, *y = b->outputs[0].data;
    assert_true(sl_str_eq(x[0], one[0]) && sl_str_eq(x[1], one[1]));
    assert_int_equal(b->outputs[0].dims[0], 1);
    assert_true(sl_str_eq(y[0], two[0]));
    free_request(a);
    free_request(b);
}

/* Lets the nth allocation from the submit of `a` on fail. Returns how many of the three tasks got
 * an answer; the others were refused, or failed, for lack of memory. */
static int answered_when_memory_fails(fixture *f, int nth)
{
    int before = runs_of(f), answered = 0;
    set_held(f, true);
    request *all[] = {ask(f, 1, 1, 0), ask(f, 3, 2, 1), ask(f, 2, 2, 9)};
    submit(all[0]);
    until_runs(f, before + 1);
    sl_fault_arm(SL_FAULT_ALLOC, nth);
    bool queued[] = {true, false, false};
    for (int i = 1; i < 3; i++)
        queued[i] = sl_batcher_submit(f->batcher, &all[i]->task) == SL_OK;
    set_held(f, false);
    for (int i = 0; i < 3; i++) {
        if (queued[i] && wait_for(all[i]) == SL_OK)
            answered++;
        else
            assert_int_equal(all[i]->st.code, SL_RESOURCE_EXHAUSTED);
    }
    sl_fault_arm(SL_FAULT_ALLOC, 0);
    for (int i = 0; i < 3; i++)
        free_request(all[i]);
    return answered;
}

static void running_out_of_memory_is_survived(void **state)
{
    fixture *f = *state;
    static const int64_t allowed[] = {8, 1000};
    f->params.allowed_batch_sizes = allowed;
    f->params.n_allowed = 2;
    f->params.enable_large_batch_splitting = true;
    f->params.max_execution_batch_size = 4;
    start(f);
    int failed = 0;
    for (int nth = 1; nth <= 30; nth++)
        failed += answered_when_memory_fails(f, nth) < 3;
    assert_in_range(failed, 5, 29);
    assert_int_equal(answered_when_memory_fails(f, 0), 3);
}

/* ---- many threads ---- */

typedef struct client {
    pthread_t thread;
    fixture *f;
    int number, refused;
} client;

static void *be_client(void *arg)
{
    client *c = arg;
    for (int i = 0; i < 200; i++) {
        request *r = ask(c->f, 1 + (i * 7 + c->number) % 20, 2, (float)(1000 * c->number + i));
        while (sl_batcher_submit(c->f->batcher, &r->task)) {
            assert_int_equal(r->st.code, SL_UNAVAILABLE);
            c->refused++;
            sched_yield();
        }
        expect_doubled(r);
    }
    return NULL;
}

static void many_clients_get_their_own_rows(void **state)
{
    fixture *f = *state;
    client clients[8];
    sl_batch_scheduler_free(f->scheduler);
    assert_int_equal(sl_batch_scheduler_new(3, &f->scheduler, NULL), SL_OK);
    f->params.max_batch_size = 20;
    f->params.enable_large_batch_splitting = true;
    f->params.max_execution_batch_size = 16;
    f->params.batch_timeout_micros = 100;
    start(f);
    for (int i = 0; i < 8; i++) {
        clients[i] = (client){.f = f, .number = i};
        assert_int_equal(pthread_create(&clients[i].thread, NULL, be_client, &clients[i]), 0);
    }
    for (int i = 0; i < 8; i++)
        pthread_join(clients[i].thread, NULL);
    assert_int_equal(f->done, 1600);
    assert_true(f->runs > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tasks_that_wait_together_are_run_as_one),
        TEST(open_batch_waits_for_its_timeout),
        TEST(full_batch_does_not_wait_for_its_timeout),
        TEST(closing_runs_what_waits),
        TEST(settling_runs_what_waits_and_leaves_no_thread_in_a_task),
        TEST(tasks_that_cannot_be_batched_are_refused),
        TEST(full_queue_refuses),
        TEST(large_task_is_split_and_comes_back_whole),
        TEST(part_that_fails_fails_its_task_only),
        TEST(batch_is_filled_up_to_an_allowed_size),
        TEST(different_shapes_are_run_apart),
        TEST(variable_lengths_are_padded_with_the_first_element),
        TEST(every_dimension_but_the_first_is_padded),
        TEST(bad_task_does_not_fail_its_neighbours),
        TEST(engines_own_failure_is_everybodys),
        TEST(output_without_rows_cannot_be_cut_apart),
        TEST(empty_task_is_run_alone),
        TEST(who_left_or_is_late_is_not_run),
        TEST(signatures_over_the_same_tensors_share_a_queue),
        TEST(strings_are_merged_and_cut_apart),
        TEST(running_out_of_memory_is_survived),
        TEST(many_clients_get_their_own_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
