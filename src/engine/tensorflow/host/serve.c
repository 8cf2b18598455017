/*
 * serve.c - one request: region -> TF_Tensors -> TF_SessionRun -> region
 *
 * Small inputs are copied into tensors of TensorFlow's own. Large ones are lent where they lie:
 * each such tensor holds the view, and lets go when TensorFlow has. If one is still held after the
 * run (a variable took it over), the answer says KEPT and the server gives the slot a new region.
 * Strings are always copied: a string that only points is copied as such by TensorFlow's tables.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/tensorflow/host/child.h"
#include "engine/tensorflow/ipc.h"

enum {
    LEND_FROM = 32 * 1024, /* bytes; below, a copy costs less than the bookkeeping */
    INLINE_TENSORS = 16,
    MAX_MESSAGE = 16 * 1024
};

typedef struct serving {
    tf_worker *w;
    tf_signature *sig;
    sl_tf_request head;
    const sl_tf_tensor *in;
    const int32_t *wanted;
    TF_Output *feeds, *fetches;
    TF_Tensor **inputs, **outputs;
    uint64_t run_ns;
    uint32_t flags;
    sl_code code;
    char message[MAX_MESSAGE];
} serving;

static sl_code fail(serving *s, sl_code code, const char *fmt, ...) SL_PRINTF(3, 4);
static sl_code fail(serving *s, sl_code code, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(s->message, sizeof s->message, fmt, ap);
    va_end(ap);
    return s->code = code;
}

/* ---- inputs ---- */

static void return_lent(void *data, size_t size, void *view)
{
    (void)data, (void)size;
    tf_view_release(view);
}

static void free_strings(void *data, size_t size, void *arg)
{
    (void)arg;
    TF_TString *list = data;
    for (size_t i = 0; i < size / sizeof *list; i++)
        TF.StringDealloc(&list[i]);
    free(data);
}

static TF_Tensor *make_strings(const sl_tf_tensor *t, const char *data, int64_t count)
{
    size_t size = (size_t)count * sizeof(TF_TString);
    size_t padded = (size + SL_TF_ALIGN) & ~(size_t)(SL_TF_ALIGN - 1);
    TF_TString *list = sl_fault_hit(SL_FAULT_ALLOC) ? NULL : aligned_alloc(SL_TF_ALIGN, padded);
    if (list == NULL)
        return NULL;
    const char *at = data + (size_t)count * sizeof(uint64_t);
    for (int64_t i = 0; i < count; i++) {
        uint64_t n;
        memcpy(&n, data + (size_t)i * sizeof n, sizeof n);
        TF.StringInit(&list[i]);
        TF.StringCopy(&list[i], at, n);
        at += n;
    }
    return TF.NewTensor(t->dtype, t->dims, t->rank, list, size, free_strings, NULL);
}

static sl_code make_input(serving *s, const sl_tf_tensor *t, TF_Tensor **out)
{
    tf_view *v = s->w->view;
    char *data = v->base + t->offset;
    int64_t count = sl_shape_count(t->dims, t->rank, 1);
    if (t->dtype == SL_DT_STRING) {
        *out = make_strings(t, data, count);
    } else if (TF.DataTypeSize(t->dtype) != sl_dtype_size((sl_dtype)t->dtype)) {
        return fail(s, SL_INVALID_ARGUMENT, "TensorFlow %s has no dtype %s", TF.Version(),
                    sl_dtype_name((sl_dtype)t->dtype));
    } else if (t->size < LEND_FROM) {
        *out = TF.AllocateTensor(t->dtype, t->dims, t->rank, t->size);
        if (*out != NULL && t->size)
            memcpy(TF.TensorData(*out), data, t->size);
    } else {
        __atomic_add_fetch(&v->refs, 1, __ATOMIC_RELAXED);
        *out = TF.NewTensor(t->dtype, t->dims, t->rank, data, t->size, return_lent, v);
    }
    return *out ? SL_OK : fail(s, SL_RESOURCE_EXHAUSTED, "out of memory: input tensor");
}

static sl_code take_inputs(serving *s)
{
    for (uint32_t i = 0; i < s->head.n_inputs; i++) {
        const sl_tf_tensor *t = &s->in[i];
        s->feeds[i] = s->sig->feeds[t->index];
        if (s->feeds[i].oper == NULL)
            return fail(s, SL_NOT_FOUND, "FeedInputs: unable to find feed output %s",
                        s->sig->inputs.names[t->index]);
        if (s->feeds[i].index < 0)
            return fail(s, SL_INVALID_ARGUMENT, "FeedInputs: %s should have output index < %d",
                        s->sig->inputs.names[t->index], TF.OperationNumOutputs(s->feeds[i].oper));
        if (make_input(s, t, &s->inputs[i]))
            return s->code;
    }
    return SL_OK;
}

static sl_code find_outputs(serving *s)
{
    for (uint32_t i = 0; i < s->head.n_outputs; i++) {
        const char *name = s->sig->outputs.names[s->wanted[i]];
        TF_Output at = s->fetches[i] = s->sig->fetches[s->wanted[i]];
        if (at.oper == NULL)
            return fail(s, SL_NOT_FOUND, "FetchOutputs node %s: not found", name);
        if (at.index >= 0)
            continue;
        int n = TF.OperationNumOutputs(at.oper);
        if (n > 0)
            return fail(s, SL_INVALID_ARGUMENT,
                        "FetchOutputs %s: output index too large, must be < %d", name, n);
        return fail(s, SL_INVALID_ARGUMENT,
                    "Tried to fetch data for '%s', which produces no output.  To run to a node but "
                    "not fetch any data, pass '%s' as an argument to the 'target_node_names' "
                    "argument of the Session::Run API.",
                    name, name);
    }
    return SL_OK;
}

/* ---- the run ---- */

static TF_Buffer *options_with_timeout(int64_t ms)
{
    unsigned char wire[16] = {0x10}; /* RunOptions.timeout_in_ms */
    size_t n = 1;
    for (uint64_t v = (uint64_t)ms; n < sizeof wire; v >>= 7) {
        wire[n++] = (unsigned char)(v > 0x7f ? (v & 0x7f) | 0x80 : v);
        if (v <= 0x7f)
            break;
    }
    return TF.NewBufferFromString(wire, n);
}

static sl_code run(serving *s)
{
    tf_child *c = s->w->child;
    TF_Buffer *options = c->run_options, *own = NULL;
    /* A run in the calling thread has nobody who could watch the time. */
    if (s->head.timeout_ms > 0 && !c->params.inline_run)
        options = own = options_with_timeout(s->head.timeout_ms);
    TF_Status *ts = TF.NewStatus();
    uint64_t before = sl_tf_now_ns();
    TF.SessionRun(c->session, options, s->feeds, s->inputs, (int)s->head.n_inputs, s->fetches,
                  s->outputs, (int)s->head.n_outputs, NULL, 0, NULL, ts);
    s->run_ns = sl_tf_now_ns() - before;
    if (TF.GetCode(ts) != SL_OK)
        fail(s, (sl_code)TF.GetCode(ts), "%s", TF.Message(ts));
    TF.DeleteStatus(ts);
    if (own != NULL)
        TF.DeleteBuffer(own);
    return s->code;
}

/* ---- the answer ---- */

static size_t aligned(size_t n)
{
    return (n + SL_TF_ALIGN - 1) & ~(size_t)(SL_TF_ALIGN - 1);
}

/* Makes the region at least `size` bytes, in a new view: tensors may lie in the old one. */
static sl_code grow(serving *s, size_t size)
{
    tf_worker *w = s->w;
    if (size <= w->view->size)
        return SL_OK;
    size_t wanted = (size + size / 8 + 0xffff) & ~(size_t)0xffff;
    /* Pages are taken now: touching one that cannot be had later would be a SIGBUS. */
    if (sl_fault_hit(SL_FAULT_ALLOC) || fallocate(w->fd, 0, 0, (off_t)wanted) != 0)
        return fail(s, SL_RESOURCE_EXHAUSTED, "out of memory: outputs of %zu bytes", size);
    tf_view *v = tf_view_map(w->fd, wanted);
    if (v == NULL)
        return fail(s, SL_RESOURCE_EXHAUSTED, "out of memory: outputs of %zu bytes", size);
    tf_view_release(w->view);
    w->view = v;
    atomic_store(&w->child->control->slots[w->slot].region_size, wanted);
    return SL_OK;
}

static size_t strings_size(const TF_TString *list, int64_t count)
{
    size_t n = (size_t)count * sizeof(uint64_t);
    for (int64_t i = 0; i < count; i++)
        n += TF.StringGetSize(&list[i]);
    return n;
}

static sl_code describe(serving *s, TF_Tensor *t, uint32_t i, sl_tf_tensor *d)
{
    const char *name = s->sig->outputs.names[s->wanted[i]];
    *d = (sl_tf_tensor){.index = s->wanted[i], .dtype = TF.TensorType(t), .rank = TF.NumDims(t)};
    if (d->rank > SL_MAX_RANK)
        return fail(s, SL_UNIMPLEMENTED, "output \"%s\" has rank %d: at most %d is supported", name,
                    d->rank, SL_MAX_RANK);
    for (int k = 0; k < d->rank; k++)
        d->dims[k] = TF.Dim(t, k);
    int64_t count = sl_shape_count(d->dims, d->rank, 1);
    size_t element = sl_dtype_size((sl_dtype)d->dtype);
    if (element == 0)
        return fail(s, SL_UNIMPLEMENTED, "output \"%s\" is of dtype %s, which has no value to send",
                    name, sl_dtype_name((sl_dtype)d->dtype));
    if (d->dtype == SL_DT_STRING)
        element = sizeof(TF_TString);
    d->size = TF.TensorByteSize(t);
    if (count < 0 || (uint64_t)count * element != d->size)
        return fail(s, SL_INTERNAL, "output \"%s\" has an unknown layout", name);
    if (d->dtype == SL_DT_STRING)
        d->size = strings_size(TF.TensorData(t), count);
    return SL_OK;
}

static void write_output(const sl_tf_tensor *d, TF_Tensor *t, char *to)
{
    if (d->dtype != SL_DT_STRING) {
        if (d->size)
            memcpy(to, TF.TensorData(t), d->size);
        return;
    }
    const TF_TString *list = TF.TensorData(t);
    int64_t count = sl_shape_count(d->dims, d->rank, 1);
    char *at = to + (size_t)count * sizeof(uint64_t);
    for (int64_t i = 0; i < count; i++) {
        uint64_t n = TF.StringGetSize(&list[i]);
        memcpy(to + (size_t)i * sizeof n, &n, sizeof n);
        if (n)
            memcpy(at, TF.StringGetDataPointer(&list[i]), n);
        at += n;
    }
}

static sl_code write_outputs(serving *s, sl_tf_tensor *list)
{
    uint32_t n = s->head.n_outputs;
    size_t at = aligned(s->head.reply_at + sizeof(sl_tf_reply) + n * sizeof *list);
    for (uint32_t i = 0; i < n; i++) {
        if (describe(s, s->outputs[i], i, &list[i]))
            return s->code;
        list[i].offset = at;
        at = aligned(at + list[i].size);
    }
    if (grow(s, at))
        return s->code;
    for (uint32_t i = 0; i < n; i++)
        write_output(&list[i], s->outputs[i], s->w->view->base + list[i].offset);
    if (n)
        memcpy(s->w->view->base + s->head.reply_at + sizeof(sl_tf_reply), list, n * sizeof *list);
    return SL_OK;
}

static void write_reply(serving *s)
{
    sl_tf_reply r = {.code = (uint32_t)s->code, .flags = s->flags, .run_ns = s->run_ns};
    if (s->code == SL_OK)
        r.n_outputs = s->head.n_outputs;
    else
        r.message_n = (uint32_t)strlen(s->message);
    char *at = s->w->view->base + s->head.reply_at;
    size_t room = s->w->view->size - s->head.reply_at - sizeof r;
    r.message_n = (uint32_t)SL_MIN(r.message_n, room);
    memcpy(at, &r, sizeof r);
    memcpy(at + sizeof r, s->message, r.message_n);
}

static void delete_all(TF_Tensor **list, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (list[i] != NULL)
            TF.DeleteTensor(list[i]);
}

/* `list`: room for the outputs' descriptors. */
static void serve(serving *s, sl_tf_tensor *list)
{
    tf_view *v = s->w->view;
    uint32_t n = s->head.n_inputs, m = s->head.n_outputs;
    s->fetches = s->feeds + n;
    s->outputs = s->inputs + n;
    memset(s->inputs, 0, ((size_t)n + m) * sizeof(TF_Tensor *));

    /* Held until the end: `in` and `wanted` lie in it, and grow() may let go of it. */
    __atomic_add_fetch(&v->refs, 1, __ATOMIC_RELAXED);
    if (!take_inputs(s) && !find_outputs(s) && !run(s))
        write_outputs(s, list);
    delete_all(s->inputs, n + m);
    int ours = v == s->w->view ? 2 : 1;
    if (__atomic_load_n(&v->refs, __ATOMIC_ACQUIRE) > ours)
        s->flags |= SL_TF_KEPT;
    tf_view_release(v);
}

void tf_serve(tf_worker *w)
{
    serving s;
    tf_view *v = w->view;
    s.w = w;
    s.code = SL_OK;
    s.flags = 0;
    s.run_ns = 0;
    s.message[0] = '\0';
    memcpy(&s.head, v->base, sizeof s.head);
    s.sig = &w->child->params.signatures[s.head.signature];
    s.in = (const sl_tf_tensor *)(v->base + sizeof s.head);
    s.wanted = (const int32_t *)(s.in + s.head.n_inputs);
    uint32_t n = s.head.n_inputs, m = s.head.n_outputs;
    TF_Output places[2 * INLINE_TENSORS];
    TF_Tensor *tensors[2 * INLINE_TENSORS];
    sl_tf_tensor described[INLINE_TENSORS];
    bool many = n > INLINE_TENSORS || m > INLINE_TENSORS;
    s.feeds = many ? sl_try_calloc((size_t)n + m, sizeof *s.feeds) : places;
    s.inputs = many ? sl_try_calloc((size_t)n + m, sizeof(TF_Tensor *)) : tensors;
    sl_tf_tensor *list = many ? sl_try_calloc(m, sizeof *list) : described;
    if (s.feeds != NULL && s.inputs != NULL && list != NULL)
        serve(&s, list);
    else
        fail(&s, SL_RESOURCE_EXHAUSTED, "out of memory: %u inputs and %u outputs", n, m);
    write_reply(&s);
    if (many) {
        sl_free(s.feeds);
        sl_free(s.inputs);
        sl_free(list);
    }
}
