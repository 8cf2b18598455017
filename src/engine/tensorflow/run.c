/*
 * run.c - one request through a slot: write it, hand it over, wait, read the answer
 *
 * Inputs are copied into the slot's region, once. Outputs of at least LEND_FROM bytes stay where
 * they are: their buffer holds the region, and the slot gets another one if it is needed before
 * they are released. Smaller ones and all strings are copied out. Whatever the child wrote is
 * copied before it is checked (protocol.h, TRUST).
 *
 * Waiting begins with a look, a little longer than runs of this model usually take, if that is
 * short: with it the engine adds 1 to 6 us to TF_SessionRun, without it 6 to 40 (bench/tf_run.c).
 * It ends with the answer, the deadline, cancellation or the child's death, whichever is first.
 */
#include "base/clock.h"
#include "base/cpu.h"
#include "base/mem.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

enum {
    LEND_FROM = 64 * 1024,
    REPLY_ROOM = 8 * 1024, /* for small outputs, or an error's text, without growing */
    LOOK_MAX_NS = 40000,   /* runs that take longer are waited for asleep */
    LOOK_EXTRA_NS = 10000,
    ON_STACK = 16
};
static const uint64_t TICK_NS = 5000000; /* how often `cancelled` is looked at */

/* ---- the request ---- */

typedef struct layout {
    size_t data, reply_at, total;
} layout;

static bool add_aligned(size_t *at, size_t n)
{
    return sl_add_size(*at, n, at) && sl_add_size(*at, SL_TF_ALIGN - 1, at) &&
           (*at &= ~(size_t)(SL_TF_ALIGN - 1), true);
}

static bool payload_size(const sl_tensor *t, size_t *out)
{
    if (t->dtype != SL_DT_STRING) {
        *out = t->size;
        return true;
    }
    const sl_str *list = t->data;
    size_t count = t->size / sizeof *list, n = count * sizeof(uint64_t);
    for (size_t i = 0; i < count; i++)
        if (!sl_add_size(n, list[i].n, &n))
            return false;
    *out = n;
    return true;
}

static sl_code plan(const sl_run *run, layout *l, sl_status *st)
{
    size_t at = sizeof(sl_tf_request) + (size_t)run->n_inputs * sizeof(sl_tf_tensor) +
                (size_t)run->n_outputs * sizeof(int32_t);
    size_t n;
    bool fits = add_aligned(&at, 0);
    l->data = at;
    for (int i = 0; fits && i < run->n_inputs; i++) {
        const sl_tensor *t = &run->inputs[i];
        if (sl_dtype_size(t->dtype) == 0)
            return sl_fail(st, SL_INVALID_ARGUMENT, "a tensor of dtype %s cannot be fed",
                           sl_dtype_name(t->dtype));
        fits = payload_size(t, &n) && add_aligned(&at, n);
    }
    l->reply_at = at;
    size_t answer = sizeof(sl_tf_reply) + (size_t)run->n_outputs * sizeof(sl_tf_tensor);
    if (!fits || !sl_add_size(at, answer + REPLY_ROOM, &l->total))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "the request is too large");
    return SL_OK;
}

static void write_strings(const sl_tensor *t, char *to)
{
    const sl_str *list = t->data;
    size_t count = t->size / sizeof *list;
    char *at = to + count * sizeof(uint64_t);
    for (size_t i = 0; i < count; i++) {
        uint64_t n = list[i].n;
        memcpy(to + i * sizeof n, &n, sizeof n);
        if (n)
            memcpy(at, list[i].p, n);
        at += n;
    }
}

static void write_input(const sl_tensor *t, int index, size_t at, char *base, sl_tf_tensor *d)
{
    size_t size = 0;
    payload_size(t, &size); /* plan() has seen that it fits */
    *d = (sl_tf_tensor){
        .index = index, .dtype = t->dtype, .rank = t->rank, .offset = at, .size = size};
    memcpy(d->dims, t->dims, (size_t)t->rank * sizeof *d->dims);
    if (t->dtype == SL_DT_STRING)
        write_strings(t, base + at);
    else if (size)
        memcpy(base + at, t->data, size);
}

/* What is left until the deadline and a little more, so that our own answer comes first. */
static int64_t timeout_ms(const sl_run *run)
{
    uint64_t now = sl_now_ns();
    if (run->deadline_ns == 0)
        return 0;
    return run->deadline_ns > now ? (int64_t)((run->deadline_ns - now) / 1000000) + 50 : 50;
}

static void write_request(const sl_run *run, const layout *l, char *base)
{
    sl_tf_request head = {.signature = (uint32_t)run->signature,
                          .n_inputs = (uint32_t)run->n_inputs,
                          .n_outputs = (uint32_t)run->n_outputs,
                          .timeout_ms = timeout_ms(run),
                          .reply_at = l->reply_at};
    memcpy(base, &head, sizeof head);
    size_t at = l->data;
    char *next = base + sizeof head;
    for (int i = 0; i < run->n_inputs; i++, next += sizeof(sl_tf_tensor)) {
        sl_tf_tensor d;
        write_input(&run->inputs[i], run->input_index[i], at, base, &d);
        memcpy(next, &d, sizeof d);
        add_aligned(&at, d.size);
    }
    for (int i = 0; i < run->n_outputs; i++, next += sizeof(int32_t)) {
        int32_t index = run->output_index[i];
        memcpy(next, &index, sizeof index);
    }
}

/* ---- waiting ---- */

/* Who looks in vain has taken the processor from who should answer. So when most of a row of looks
 * were in vain, which is so where all processors are busy, there are none for a while, and each time
 * for longer. A row: a processor that has slept needs a few runs until it answers in time. Threads
 * may count over each other here. */
static void remember_look(sl_session *s, bool seen)
{
    enum { ROW = 16, PAUSE = 64, PAUSE_MAX = 8192 }; /* looks; runs without one */
    tf_looks *l = &s->looks;
    int missed = atomic_load_explicit(&l->missed, memory_order_relaxed) + !seen;
    int done = atomic_load_explicit(&l->done, memory_order_relaxed) + 1;
    if (done >= ROW) {
        int pause = atomic_load_explicit(&l->pause, memory_order_relaxed);
        bool in_vain = missed > ROW / 2;
        pause = in_vain ? SL_MIN(SL_MAX(2 * pause, PAUSE), PAUSE_MAX) : 0;
        atomic_store_explicit(&l->pause, pause, memory_order_relaxed);
        atomic_store_explicit(&l->left_out, pause, memory_order_relaxed);
        done = missed = 0;
    }
    atomic_store_explicit(&l->done, done, memory_order_relaxed);
    atomic_store_explicit(&l->missed, missed, memory_order_relaxed);
}

static bool worth_looking(sl_session *s, uint64_t *ns)
{
    static atomic_int processors;
    int n = atomic_load_explicit(&processors, memory_order_relaxed);
    if (n == 0)
        atomic_store_explicit(&processors, n = sl_cpu_count(), memory_order_relaxed);
    *ns = atomic_load_explicit(&s->typical_ns, memory_order_relaxed) + LOOK_EXTRA_NS;
    if (n == 1 || *ns >= LOOK_MAX_NS)
        return false;
    int left_out = atomic_load_explicit(&s->looks.left_out, memory_order_relaxed);
    if (left_out > 0)
        atomic_store_explicit(&s->looks.left_out, left_out - 1, memory_order_relaxed);
    return left_out <= 0;
}

static sl_code give_up_waiting(const sl_run *run, uint64_t now, sl_status *st)
{
    if (run->cancelled != NULL && atomic_load(run->cancelled))
        return sl_fail(st, SL_CANCELLED, "request was cancelled");
    if (run->deadline_ns && now >= run->deadline_ns)
        return sl_fail(st, SL_DEADLINE_EXCEEDED, "deadline exceeded while TensorFlow was running");
    return SL_OK;
}

/* SL_OK: the slot is ours again, or DEAD. Otherwise the child still has it. */
static sl_code wait_for_reply(sl_session *s, sl_tf_slot *slot, const sl_run *run, sl_status *st)
{
    uint64_t look_ns;
    if (worth_looking(s, &look_ns)) {
        bool seen = sl_tf_look(&slot->state, SL_TF_REPLY, look_ns);
        remember_look(s, seen);
        if (seen)
            return SL_OK;
    }
    sl_code rc = SL_OK;
    atomic_store(&slot->server_sleeps, 1);
    while (rc == SL_OK && atomic_load(&slot->state) == SL_TF_REQUEST) {
        uint64_t now = sl_now_ns(), until = run->cancelled ? now + TICK_NS : 0;
        if (run->deadline_ns && (until == 0 || run->deadline_ns < until))
            until = run->deadline_ns;
        rc = give_up_waiting(run, now, st);
        if (rc == SL_OK)
            sl_tf_futex_wait(&slot->state, SL_TF_REQUEST, until);
    }
    atomic_store(&slot->server_sleeps, 0);
    return rc;
}

/* ---- the answer ---- */

static sl_code nonsense(const sl_session *s, const char *what, sl_status *st)
{
    return sl_fail(st, SL_INTERNAL, "the TensorFlow process of %s answered nonsense: %s", s->label,
                   what);
}

/* Out of shared memory, once: the compiler must not read it again in place of the copy. */
static void copy_out(void *to, const void *from, size_t n)
{
    memcpy(to, from, n);
    __asm__ volatile("" ::: "memory");
}

static bool lies_within(const tf_region *r, uint64_t at, uint64_t size)
{
    return at <= r->size && size <= r->size - at;
}

static void end_loan(sl_buffer *b)
{
    tf_region_release(b->owner);
    sl_free(b);
}

static sl_code lend(const sl_tf_tensor *d, tf_region *r, sl_tensor *out, sl_status *st)
{
    sl_buffer *b = sl_buffer_try_wrap(r->base + d->offset, d->size, end_loan, r);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: output tensor");
    tf_region_acquire(r);
    *out = (sl_tensor){.dtype = (sl_dtype)d->dtype,
                       .rank = d->rank,
                       .size = d->size,
                       .data = b->data,
                       .buffer = b};
    memcpy(out->dims, d->dims, (size_t)d->rank * sizeof *d->dims);
    return SL_OK;
}

/* One buffer: the table, then all bytes. Lengths are read once each; their sum must be what is
 * there. */
static sl_code read_strings(const sl_session *s, const sl_tf_tensor *d, const char *from,
                            int64_t count, sl_tensor *out, sl_status *st)
{
    size_t n = (size_t)count, lengths = n * sizeof(uint64_t), size;
    if (d->size < lengths)
        return nonsense(s, "a string tensor without its lengths", st);
    size_t bytes = d->size - lengths;
    sl_buffer *b = sl_add_size(n * sizeof(sl_str), bytes, &size) ? sl_buffer_try_new(size) : NULL;
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor");
    sl_str *table = b->data;
    char *at = (char *)(table + n);
    if (bytes)
        memcpy(at, from + lengths, bytes);
    for (size_t i = 0, left = bytes; i < n; i++) {
        uint64_t length;
        copy_out(&length, from + i * sizeof length, sizeof length);
        if (length > left) {
            sl_buffer_release(b);
            return nonsense(s, "strings longer than their tensor", st);
        }
        table[i] = (sl_str){at, length};
        at += length;
        left -= length;
    }
    *out = (sl_tensor){.dtype = SL_DT_STRING,
                       .rank = d->rank,
                       .size = n * sizeof(sl_str),
                       .data = table,
                       .buffer = b};
    memcpy(out->dims, d->dims, (size_t)d->rank * sizeof *d->dims);
    return SL_OK;
}

static sl_code read_output(const sl_session *s, const sl_tf_tensor *d, tf_region *r, sl_tensor *out,
                           sl_status *st)
{
    size_t element = d->dtype > 0 && d->dtype < SL_DT_COUNT ? sl_dtype_size((sl_dtype)d->dtype) : 0;
    if (element == 0 || d->rank < 0 || d->rank > SL_MAX_RANK)
        return nonsense(s, "an output of unknown dtype or rank", st);
    int64_t count = sl_shape_count(d->dims, d->rank, element);
    if (count < 0 || !lies_within(r, d->offset, d->size) || d->offset % SL_TF_ALIGN)
        return nonsense(s, "an output outside of its region", st);
    if (d->dtype == SL_DT_STRING)
        return read_strings(s, d, r->base + d->offset, count, out, st);
    if ((uint64_t)count * element != d->size)
        return nonsense(s, "an output whose size is not that of its shape", st);
    if (d->size >= LEND_FROM)
        return lend(d, r, out, st);
    sl_code rc = sl_tensor_try_new((sl_dtype)d->dtype, d->dims, d->rank, out, st);
    if (rc == SL_OK && d->size)
        memcpy(out->data, r->base + d->offset, d->size);
    return rc;
}

static sl_code read_outputs(const sl_session *s, const layout *l, tf_region *r, sl_run *run,
                            sl_status *st)
{
    sl_code rc = SL_OK;
    size_t first = l->reply_at + sizeof(sl_tf_reply);
    int done = 0;
    for (; rc == SL_OK && done < run->n_outputs; done++) {
        sl_tf_tensor d;
        /* plan() made room for all descriptors, and regions never shrink */
        copy_out(&d, r->base + first + (size_t)done * sizeof d, sizeof d);
        if (d.index != run->output_index[done])
            rc = nonsense(s, "an output that nobody asked for", st);
        else
            rc = read_output(s, &d, r, &run->outputs[done], st);
    }
    if (rc)
        for (int i = 0; i < done - 1; i++)
            sl_tensor_release(&run->outputs[i]);
    return rc;
}

static void remember_duration(sl_session *s, uint64_t ns)
{
    uint64_t old = atomic_load_explicit(&s->typical_ns, memory_order_relaxed);
    ns = SL_MIN(ns, (uint64_t)1000000000u);
    atomic_store_explicit(&s->typical_ns, old - old / 8 + ns / 8, memory_order_relaxed);
}

static sl_code read_reply(sl_session *s, const layout *l, sl_tf_slot *slot, tf_place *p,
                          sl_run *run, sl_status *st)
{
    tf_region *r = p->region;
    sl_tf_reply reply;
    if (!tf_region_follow(r, atomic_load(&slot->region_size)))
        return nonsense(s, "a region larger than it is", st);
    copy_out(&reply, r->base + l->reply_at, sizeof reply);
    p->replace = (reply.flags & SL_TF_KEPT) != 0;
    if (reply.code == SL_OK) {
        remember_duration(s, reply.run_ns);
        if (reply.n_outputs != (uint32_t)run->n_outputs)
            return nonsense(s, "a wrong number of outputs", st);
        return read_outputs(s, l, r, run, st);
    }
    if (reply.code > SL_UNAUTHENTICATED ||
        !lies_within(r, l->reply_at + sizeof reply, reply.message_n))
        return nonsense(s, "an error that is none", st);
    int n = (int)SL_MIN(reply.message_n, sizeof st->msg);
    return sl_fail(st, (sl_code)reply.code, "%.*s", n, r->base + l->reply_at + sizeof reply);
}

static sl_code unread(const sl_session *s, tf_place *p, const layout *l, sl_status *st)
{
    p->replace = true;
    return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                   "out of memory: the TensorFlow process of %s cannot take a request of %zu bytes",
                   s->label, l->total);
}

static sl_code refuse_dead(sl_session *s, const tf_child *c, sl_status *st)
{
    pthread_mutex_lock(&s->lock);
    sl_code rc = c->dead ? sl_fail(st, SL_UNAVAILABLE, "%s", c->death)
                         : nonsense(s, "a state of the slot that is not its own", st);
    pthread_mutex_unlock(&s->lock);
    return rc;
}

/* ---- inputs that end processes ---- */

/* The first input that is empty or not of the shape that the signature declares; -1: none. */
static int unusual_input(const sl_session *s, const sl_run *run)
{
    const sl_signature *sig = &s->signatures->list[run->signature];
    for (int i = 0; i < run->n_inputs; i++) {
        const sl_tensor *t = &run->inputs[i];
        const sl_tensor_info *info = &sig->inputs[run->input_index[i]];
        if (info->rank >= 0 && info->rank != t->rank)
            return i;
        for (int k = 0; k < t->rank; k++)
            if (t->dims[k] == 0 ||
                (info->rank >= 0 && info->dims[k] >= 0 && info->dims[k] != t->dims[k]))
                return i;
    }
    return -1;
}

/*
 * Declared shapes are not enforced, as in TensorFlow Serving: a graph may well take others. But there
 * are kernels that end the process when they meet one (those of oneDNN, at a convolution whose input
 * has the wrong rank), and any client could keep a version from the others with that. So once a
 * process has ended over such a request, its version takes no more of them.
 */
static void blame(sl_session *s, const sl_run *run)
{
    if (unusual_input(s, run) >= 0)
        atomic_store(&s->careful, true);
}

static sl_code refuse_unusual(const sl_session *s, const sl_run *run, sl_status *st)
{
    char has[160], wants[160];
    int i = atomic_load_explicit(&s->careful, memory_order_relaxed) ? unusual_input(s, run) : -1;
    if (i < 0)
        return SL_OK;
    const sl_tensor *t = &run->inputs[i];
    const sl_tensor_info *info = &s->signatures->list[run->signature].inputs[run->input_index[i]];
    return sl_fail(
        st, SL_INVALID_ARGUMENT,
        "input \"%s\" of shape %s is empty or not of the declared shape %s: a request of "
        "that kind has ended the TensorFlow process of %s, which takes no more of them",
        info->key, sl_shape_text(t->dims, t->rank, has, sizeof has),
        info->rank < 0 ? "<unknown>" : sl_shape_text(info->dims, info->rank, wants, sizeof wants),
        s->label);
}

static sl_code check(const sl_session *s, const sl_run *run, sl_status *st)
{
    if (run->signature < 0 || run->signature >= s->signatures->count + s->signatures->has_union)
        return sl_fail(st, SL_INVALID_ARGUMENT, "signature %d does not exist", run->signature);
    const sl_signature *c = &s->signatures->list[run->signature];
    for (int i = 0; i < run->n_inputs; i++)
        if (run->input_index[i] < 0 || run->input_index[i] >= c->n_inputs)
            return sl_fail(st, SL_INVALID_ARGUMENT, "input %d does not exist", run->input_index[i]);
    for (int i = 0; i < run->n_outputs; i++)
        if (run->output_index[i] < 0 || run->output_index[i] >= c->n_outputs)
            return sl_fail(st, SL_INVALID_ARGUMENT, "output %d does not exist",
                           run->output_index[i]);
    sl_code rc = refuse_unusual(s, run, st);
    return rc ? rc : give_up_waiting(run, run->deadline_ns ? sl_now_ns() : 0, st);
}

sl_code tf_run(sl_session *s, sl_run *run, sl_status *st)
{
    layout l = {0};
    tf_child *c;
    int place;
    sl_code rc = check(s, run, st);
    if (rc == SL_OK)
        rc = plan(run, &l, st);
    if (rc == SL_OK)
        rc = tf_place_acquire(s, run, l.total, &c, &place, st);
    if (rc)
        return rc;
    tf_place *p = &c->places[place];
    sl_tf_slot *slot = &c->control->slots[place];
    write_request(run, &l, p->region->base);
    atomic_store(&slot->region_size, p->region->size);

    /* A slot that died since must stay dead: nobody would answer. */
    uint32_t idle = SL_TF_IDLE;
    if (atomic_compare_exchange_strong(&slot->state, &idle, SL_TF_REQUEST)) {
        if (atomic_load(&slot->child_sleeps))
            sl_tf_futex_wake(&slot->state);
        rc = wait_for_reply(s, slot, run, st);
    }
    bool abandon = rc != SL_OK;
    uint32_t state = atomic_load(&slot->state);
    if (!abandon && (state == SL_TF_REPLY || state == SL_TF_UNABLE)) {
        rc = state == SL_TF_REPLY ? read_reply(s, &l, slot, p, run, st) : unread(s, p, &l, st);
        atomic_compare_exchange_strong(&slot->state, &state, SL_TF_IDLE);
    } else if (!abandon) {
        rc = refuse_dead(s, c, st);
        blame(s, run);
    }
    tf_place_release(s, c, place, abandon);
    return rc;
}
