/*
 * scheduler.c - queues of batches, and the threads that take from them
 *
 * A queue is a list of batches. Only the last one can be open; it is ready when it is full, when
 * batch_timeout has passed since its first task came, or when the batcher closes:
 *
 *     closed (64 rows) -> closed (64) -> open (17 rows, ready in 3 ms)
 *
 * Queues that hold anything stand in one ring per scheduler. A thread takes the first ready batch
 * that it finds, and the queue goes to the ring's end, so no queue starves another. Of the threads
 * that have nothing to do one sleeps until the next open batch is ready, the others until they are
 * woken; whoever takes a batch while more is waiting wakes another.
 *
 * Invariant: the tasks of a queue are started in the order in which they came, and rows are never
 * reordered. Locking: the scheduler's lock guards all rings, queues and batches; a batch that was
 * taken belongs to its thread.
 */
#include "batch/scheduler.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "base/str.h"
#include "base/thread.h"
#include "batch/batch_internal.h"

/* Clients choose combinations of tensors (output filters): past this many, idle queues are dropped.
 */
enum { MAX_IDLE_QUEUES = 32 };

typedef struct batch {
    struct batch *next;
    sl_part *first, *last;
    int64_t rows;
    uint64_t opened_ns; /* when its first task came */
    bool alone;         /* an empty task: takes no others */
} batch;

typedef struct queue {
    struct queue *next;      /* of the batcher */
    struct queue *next_busy; /* in the ring */
    sl_batcher *batcher;
    char *key; /* names of the tensors that are fed and fetched */
    size_t key_len;
    batch *head, *tail;
    int n_batches, n_tasks;
} queue;

struct sl_batcher {
    sl_batch_scheduler *scheduler;
    sl_batching_params params;
    int64_t limit; /* rows of one batch */
    const sl_signatures *signatures;
    sl_batch_target target;
    queue *queues;
    int n_queues;
    int tasks; /* submitted and not done */
    bool closing;
};

struct sl_batch_scheduler {
    pthread_mutex_t lock;
    sl_cond work, drained;
    queue *busy, *busy_tail;
    int sleeping;
    uint64_t watched; /* a sleeping thread wakes at this time; 0: none does */
    int tasks;        /* of all batchers */
    bool settling;    /* no batch waits for more */
    bool ending;
    int started;
    pthread_t threads[];
};

/* ---- batches of a queue; with the lock ---- */

static bool is_ready(const queue *q, uint64_t now, uint64_t *when)
{
    const batch *b = q->head;
    const sl_batcher *owner = q->batcher;
    if (b != q->tail || b->alone || b->rows >= owner->limit || owner->closing ||
        owner->scheduler->settling)
        return true;
    *when = b->opened_ns + (uint64_t)owner->params.batch_timeout_micros * 1000;
    return *when <= now;
}

static void make_busy(queue *q)
{
    sl_batch_scheduler *s = q->batcher->scheduler;
    q->next_busy = NULL;
    if (s->busy_tail != NULL)
        s->busy_tail->next_busy = q;
    else
        s->busy = q;
    s->busy_tail = q;
}

static void open_batch(queue *q, batch *b)
{
    if (q->tail != NULL)
        q->tail->next = b;
    else
        q->head = b;
    q->tail = b;
    if (q->n_batches++ == 0)
        make_busy(q);
}

/* Takes the first ready batch of any queue; NULL: *when is the time at which the next is (0: none
 * is open). */
static batch *take(sl_batch_scheduler *s, sl_batcher **owner, uint64_t *when)
{
    uint64_t now = sl_now_ns(), due = 0;
    queue *before = NULL;
    *when = 0;
    for (queue *q = s->busy; q != NULL; before = q, q = q->next_busy) {
        if (!is_ready(q, now, &due)) {
            *when = *when == 0 || due < *when ? due : *when;
            continue;
        }
        batch *b = q->head;
        q->head = b->next;
        if (q->head == NULL)
            q->tail = NULL;
        q->n_batches--;
        for (const sl_part *p = b->first; p != NULL; p = p->next)
            q->n_tasks -= p == p->entry->parts;
        *(before ? &before->next_busy : &s->busy) = q->next_busy;
        if (s->busy_tail == q)
            s->busy_tail = before;
        if (q->n_batches > 0)
            make_busy(q);
        *owner = q->batcher;
        return b;
    }
    return NULL;
}

/* ---- threads ---- */

static void entry_finished(sl_entry *e, sl_code rc)
{
    sl_batcher *b = e->batcher;
    sl_batch_scheduler *s = b->scheduler;
    sl_batch_task *task = e->task;
    sl_free(e);
    task->done(task, rc);
    pthread_mutex_lock(&s->lock);
    s->tasks--;
    b->tasks--;
    if (s->tasks == 0 || (b->tasks == 0 && b->closing))
        sl_cond_broadcast(&s->drained);
    pthread_mutex_unlock(&s->lock);
}

/* Sleeps until there may be something to take. */
static void rest(sl_batch_scheduler *s, uint64_t when)
{
    s->sleeping++;
    if (when && (s->watched == 0 || when < s->watched)) {
        s->watched = when;
        sl_cond_wait_until(&s->work, &s->lock, when);
        if (s->watched == when)
            s->watched = 0;
    } else {
        sl_cond_wait(&s->work, &s->lock);
    }
    s->sleeping--;
}

static void *batch_thread(void *arg)
{
    sl_batch_scheduler *s = arg;
    sl_batcher *owner;
    uint64_t when;
    sl_thread_be_prompt();
    pthread_mutex_lock(&s->lock);
    while (!s->ending) {
        batch *b = take(s, &owner, &when);
        if (b == NULL) {
            rest(s, when);
            continue;
        }
        bool more = s->busy != NULL && s->sleeping > 0;
        pthread_mutex_unlock(&s->lock);
        if (more) /* another batch may be ready, or its time be watched */
            sl_cond_signal(&s->work);
        /* The parts keep the batcher: it is not freed before their tasks are done. */
        sl_batch_run(&owner->target, b->first, entry_finished);
        sl_free(b);
        pthread_mutex_lock(&s->lock);
    }
    pthread_mutex_unlock(&s->lock);
    sl_thread_end_prompt();
    return NULL;
}

sl_code sl_batch_scheduler_new(int threads, sl_batch_scheduler **out, sl_status *st)
{
    if (threads <= 0)
        threads = sl_cpu_count();
    sl_batch_scheduler *s = sl_calloc(1, sizeof *s + (size_t)threads * sizeof s->threads[0]);
    pthread_mutex_init(&s->lock, NULL);
    sl_cond_init(&s->work);
    sl_cond_init(&s->drained);
    for (; s->started < threads; s->started++)
        if (sl_thread_start(&s->threads[s->started], "sl-batch", batch_thread, s, st)) {
            sl_batch_scheduler_free(s);
            return SL_RESOURCE_EXHAUSTED;
        }
    *out = s;
    return SL_OK;
}

void sl_batch_scheduler_settle(sl_batch_scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    s->settling = true;
    sl_cond_broadcast(&s->work);
    while (s->tasks > 0)
        sl_cond_wait(&s->drained, &s->lock);
    pthread_mutex_unlock(&s->lock);
}

void sl_batch_scheduler_free(sl_batch_scheduler *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    assert(s->busy == NULL);
    s->ending = true;
    pthread_mutex_unlock(&s->lock);
    sl_cond_broadcast(&s->work);
    for (int i = 0; i < s->started; i++)
        pthread_join(s->threads[i], NULL);
    pthread_mutex_destroy(&s->lock);
    sl_free(s);
}

/* ---- batchers ---- */

sl_code sl_batcher_new(sl_batch_scheduler *s, const sl_engine *engine, sl_session *session,
                       const sl_signatures *signatures, const sl_batching_params *params,
                       sl_batcher **out, sl_status *st)
{
    sl_code rc = sl_batching_check(params, st);
    if (rc)
        return rc;
    sl_batcher *b = sl_calloc(1, sizeof *b);
    size_t n = (size_t)params->n_allowed;
    int64_t *allowed = sl_calloc(n, sizeof *allowed);
    if (n)
        memcpy(allowed, params->allowed_batch_sizes, n * sizeof *allowed);
    b->scheduler = s;
    b->params = *params;
    b->params.allowed_batch_sizes = allowed;
    if (b->params.max_enqueued_batches < 1)
        b->params.max_enqueued_batches = 1;
    b->limit = params->max_batch_size;
    if (params->enable_large_batch_splitting && params->max_execution_batch_size > 0)
        b->limit = params->max_execution_batch_size;
    b->signatures = signatures;
    b->target = (sl_batch_target){engine, session, &b->params};
    *out = b;
    return SL_OK;
}

static void free_queue(queue *q)
{
    sl_free(q->key);
    sl_free(q);
}

void sl_batcher_close(sl_batcher *b)
{
    if (b == NULL)
        return;
    sl_batch_scheduler *s = b->scheduler;
    pthread_mutex_lock(&s->lock);
    b->closing = true;
    sl_cond_broadcast(&s->work);
    while (b->tasks > 0)
        sl_cond_wait(&s->drained, &s->lock);
    pthread_mutex_unlock(&s->lock);
    while (b->queues != NULL) {
        queue *q = b->queues;
        b->queues = q->next;
        free_queue(q);
    }
    sl_free((int64_t *)b->params.allowed_batch_sizes);
    sl_free(b);
}

void sl_batcher_waiting(sl_batcher *b, int *tasks, int *batches)
{
    *tasks = *batches = 0;
    pthread_mutex_lock(&b->scheduler->lock);
    for (const queue *q = b->queues; q != NULL; q = q->next) {
        *tasks += q->n_tasks;
        *batches += q->n_batches;
    }
    pthread_mutex_unlock(&b->scheduler->lock);
}

/* ---- which queue ---- */

static const char *name_of(const sl_tensor_info *info)
{
    return info->name ? info->name : info->key; /* sparse tensors have no name of their own */
}

/* Fills `order` with the positions 0..n-1 of the task's tensors, sorted by the graph's names;
 * insertion sort, because they nearly always come sorted and are few. */
static void sort_by_name(const sl_tensor_info *infos, const int *index, int n, int *order)
{
    for (int i = 0; i < n; i++) {
        int k = i;
        const char *name = name_of(&infos[index[i]]);
        for (; k > 0 && strcmp(name_of(&infos[index[order[k - 1]]]), name) > 0; k--)
            order[k] = order[k - 1];
        order[k] = i;
    }
}

static void write_key(sl_text *key, const sl_tensor_info *infos, const int *index, int n,
                      const int *order)
{
    for (int i = 0; i < n; i++) {
        sl_text_puts(key, name_of(&infos[index[order[i]]]));
        sl_text_putc(key, '\n');
    }
    sl_text_putc(key, '\n');
}

/* With the lock. Drops a queue that is empty, if there are too many. */
static void drop_idle_queue(sl_batcher *b)
{
    if (b->n_queues < MAX_IDLE_QUEUES)
        return;
    for (queue **at = &b->queues; *at != NULL; at = &(*at)->next) {
        queue *q = *at;
        if (q->n_batches > 0)
            continue;
        *at = q->next;
        b->n_queues--;
        free_queue(q);
        return;
    }
}

/* With the lock. NULL: no memory. */
static queue *find_queue(sl_batcher *b, const sl_text *key)
{
    for (queue *q = b->queues; q != NULL; q = q->next)
        if (q->key_len == key->n && memcmp(q->key, key->p, key->n) == 0)
            return q;
    drop_idle_queue(b);
    queue *q = sl_try_calloc(1, sizeof *q);
    char *copy = sl_try_malloc(key->n);
    if (q == NULL || copy == NULL) {
        sl_free(q);
        sl_free(copy);
        return NULL;
    }
    memcpy(copy, key->p, key->n);
    *q = (queue){.next = b->queues, .batcher = b, .key = copy, .key_len = key->n};
    b->queues = q;
    b->n_queues++;
    return q;
}

/* ---- submitting ---- */

static sl_code check_task(const sl_batcher *b, const sl_batch_task *task)
{
    const sl_run *run = task->run;
    if (run->n_inputs == 0)
        return sl_fail(task->st, SL_INVALID_ARGUMENT,
                       "Batching Run() must have at least one input tensor");
    for (int i = 0; i < run->n_inputs; i++) {
        if (run->inputs[i].rank < 1)
            return sl_fail(task->st, SL_INVALID_ARGUMENT,
                           "Batching Run() input tensors must have at least one dimension");
        if (run->inputs[i].dims[0] != run->inputs[0].dims[0])
            return sl_fail(task->st, SL_INVALID_ARGUMENT,
                           "Batching Run() input tensors must have equal 0th-dimension size");
    }
    if (run->inputs[0].dims[0] > b->params.max_batch_size)
        return sl_fail(task->st, SL_INVALID_ARGUMENT,
                       "Task size %lld is larger than maximum input batch size %lld",
                       (long long)run->inputs[0].dims[0], (long long)b->params.max_batch_size);
    return SL_OK;
}

/* One block of memory: the entry, its parts, their outputs, the orders. */
static sl_entry *new_entry(sl_batcher *b, sl_batch_task *task)
{
    const sl_run *run = task->run;
    int64_t rows = run->inputs[0].dims[0];
    size_t out = (size_t)run->n_outputs, in = (size_t)run->n_inputs, tensors, bytes;
    /* The first part may be small, and so may the last. */
    size_t parts = b->params.enable_large_batch_splitting ? (size_t)(rows / b->limit) + 2 : 1;
    if (!sl_mul_size(parts, out * sizeof(sl_tensor), &tensors) ||
        !sl_mul_size(parts, sizeof(sl_part), &bytes) || !sl_add_size(bytes, tensors, &bytes) ||
        !sl_add_size(bytes, sizeof(sl_entry) + (in + out) * sizeof(int), &bytes))
        return NULL;
    sl_entry *e = sl_try_calloc(1, bytes);
    if (e == NULL)
        return NULL;
    e->batcher = b;
    e->task = task;
    e->rows = rows;
    e->parts = (sl_part *)(e + 1);
    sl_tensor *outputs = (sl_tensor *)(e->parts + parts);
    for (size_t i = 0; i < parts; i++)
        e->parts[i] = (sl_part){.entry = e, .outputs = outputs + i * out};
    e->input_order = (int *)(outputs + parts * out);
    e->output_order = e->input_order + in;
    const sl_signature *s = &b->signatures->list[run->signature];
    sort_by_name(s->inputs, run->input_index, run->n_inputs, e->input_order);
    sort_by_name(s->outputs, run->output_index, run->n_outputs, e->output_order);
    return e;
}

static int64_t open_room(const queue *q)
{
    const batch *b = q->tail;
    return b == NULL || b->alone ? 0 : q->batcher->limit - b->rows;
}

/* With the lock: is there room for a task of so many rows? */
static sl_code admit(const queue *q, int64_t rows, sl_status *st)
{
    const sl_batching_params *p = &q->batcher->params;
    int64_t room = open_room(q), open = q->tail && !q->tail->alone ? q->tail->rows : 0;
    int64_t spare = p->max_enqueued_batches - q->n_batches;
    if (!p->enable_large_batch_splitting || rows == 0) {
        if ((rows > 0 && rows <= room) || spare > 0)
            return SL_OK;
        return sl_fail(st, SL_UNAVAILABLE,
                       "The batch scheduling queue to which this task was submitted is full; "
                       "currently %d batches enqueued and max_enqueued_batches is %lld",
                       q->n_batches, (long long)p->max_enqueued_batches);
    }
    int64_t capacity;
    if (spare < 0)
        spare = 0;
    if (__builtin_mul_overflow(spare, q->batcher->limit, &capacity) ||
        __builtin_add_overflow(capacity, room, &capacity) || rows <= capacity)
        return SL_OK;
    return sl_fail(
        st, SL_UNAVAILABLE,
        "The batch scheduling queue to which this task was submitted is full; task size "
        "is %lld but scheduling capacity is only %lld (num_enqueued_batches=%d, "
        "max_enqueued_batches=%lld, open_batch_size=%lld, max_execution_batch_size=%lld)",
        (long long)rows, (long long)capacity, q->n_batches, (long long)p->max_enqueued_batches,
        (long long)open, (long long)q->batcher->limit);
}

static void append(batch *b, sl_part *p)
{
    if (b->last != NULL)
        b->last->next = p;
    else
        b->first = p;
    b->last = p;
    b->rows += p->end - p->begin;
}

/* Says which rows the parts have. The first fills the open batch. */
static void cut(sl_entry *e, int64_t room, int64_t limit, bool splitting)
{
    int64_t at = 0;
    do {
        int64_t rows = e->rows - at;
        if (splitting)
            rows = SL_MIN(rows, e->n_parts == 0 && room > 0 ? room : limit);
        sl_part *p = &e->parts[e->n_parts++];
        p->begin = at;
        p->end = at += rows;
    } while (at < e->rows);
    atomic_init(&e->parts_left, e->n_parts);
}

static void free_batches(batch *b)
{
    while (b != NULL) {
        batch *next = b->next;
        sl_free(b);
        b = next;
    }
}

static batch *new_batches(int count, uint64_t now, bool alone)
{
    batch *list = NULL;
    for (; count > 0; count--) {
        batch *b = sl_try_calloc(1, sizeof *b);
        if (b == NULL) {
            free_batches(list);
            return NULL;
        }
        *b = (batch){.next = list, .opened_ns = now, .alone = alone};
        list = b;
    }
    return list;
}

/* With the lock: puts the task into the queue's batches, all of it or nothing. *wake: a thread
 * should look, because a batch is ready or its time must be watched. */
static sl_code enqueue(queue *q, sl_entry *e, bool *wake, sl_status *st)
{
    sl_batcher *owner = q->batcher;
    sl_code rc = admit(q, e->rows, st);
    if (rc)
        return rc;
    int64_t room = e->rows == 0 ? 0 : open_room(q);
    cut(e, room, owner->limit, owner->params.enable_large_batch_splitting);
    bool fits = e->rows > 0 && e->parts[0].end <= room;
    int count = e->n_parts - fits;
    batch *fresh = new_batches(count, e->queued_ns, e->rows == 0);
    if (fresh == NULL && count > 0)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: batching queue");
    for (int i = 0; i < e->n_parts; i++) {
        if (i > 0 || !fits) {
            batch *b = fresh;
            assert(b != NULL); /* as many as were counted */
            fresh = b->next;
            b->next = NULL;
            open_batch(q, b);
        }
        append(q->tail, &e->parts[i]);
    }
    q->n_tasks++;
    owner->tasks++;
    owner->scheduler->tasks++;
    *wake = count > 0 || open_room(q) == 0;
    return SL_OK;
}

sl_code sl_batcher_submit(sl_batcher *b, sl_batch_task *task)
{
    sl_batch_scheduler *s = b->scheduler;
    const sl_run *run = task->run;
    sl_text key = {0};
    bool wake = false;
    sl_code rc = check_task(b, task);
    if (rc)
        return rc;
    sl_entry *e = new_entry(b, task);
    if (e != NULL) {
        const sl_signature *sig = &b->signatures->list[run->signature];
        write_key(&key, sig->inputs, run->input_index, run->n_inputs, e->input_order);
        write_key(&key, sig->outputs, run->output_index, run->n_outputs, e->output_order);
        e->queued_ns = sl_now_ns();
    }
    pthread_mutex_lock(&s->lock);
    queue *q = e != NULL && !key.failed ? find_queue(b, &key) : NULL;
    if (q != NULL)
        rc = enqueue(q, e, &wake, task->st);
    else
        rc = sl_fail(task->st, SL_RESOURCE_EXHAUSTED, "out of memory: batching queue");
    wake &= s->sleeping > 0;
    pthread_mutex_unlock(&s->lock);
    if (wake)
        sl_cond_signal(&s->work);
    if (rc)
        sl_free(e);
    sl_text_fini(&key);
    return rc;
}

void sl_batch_scheduler_poke(sl_batch_scheduler *s)
{
    pthread_mutex_lock(&s->lock);
    sl_cond_broadcast(&s->work);
    pthread_mutex_unlock(&s->lock);
}
