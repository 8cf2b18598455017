/*
 * request_wire.c - see request_wire.h
 *
 * Two walks over each message that repeats something: one counts, one fills. What a message holds
 * once is found by sl_wire_submessage; merging two occurrences of a message is putting their bytes
 * one behind the other.
 */
#include "service/request_wire.h"

#include <stdlib.h>

#include "base/mem.h"
#include "format/wire.h"

#define FIELD(n) (UINT64_C(1) << (n))

static sl_code malformed(const sl_wire *w, const char *name, sl_status *st)
{
    return sl_fail(st, SL_INVALID_ARGUMENT, "malformed %s: %s at byte %zu", name, w->bad,
                   sl_wire_offset(w));
}

static sl_code no_memory(const char *name, size_t count, sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu parts of a %s", count, name);
}

static bool is(const sl_wire *w, unsigned field)
{
    return w->field == field && w->type == SL_WIRE_BYTES;
}

static bool is_one_of(const sl_wire *w, uint64_t fields)
{
    return w->type == SL_WIRE_BYTES && w->field < 64 && fields >> w->field & 1;
}

/* What the last run of one field has: where it begins, how often, how many bytes. */
typedef struct pieces {
    unsigned field;
    size_t first, count, bytes;
    sl_str last;
} pieces;

static sl_code find_pieces(sl_str wire, uint64_t fields, const char *name, pieces *out,
                           sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    *out = (pieces){0};
    for (size_t at = 0; sl_wire_next(&w); at = sl_wire_offset(&w)) {
        if (!is_one_of(&w, fields))
            continue;
        if (w.field != out->field)
            *out = (pieces){.field = w.field, .first = at};
        out->count++;
        out->bytes += w.bytes.n;
        out->last = w.bytes;
    }
    return w.bad ? malformed(&w, name, st) : SL_OK;
}

sl_code sl_wire_submessage(sl_str wire, uint64_t fields, const char *name, sl_arena *a,
                           unsigned *field, sl_str *out, sl_status *st)
{
    pieces found;
    sl_code rc = find_pieces(wire, fields, name, &found, st);
    if (rc)
        return rc;
    *field = found.field;
    *out = found.last;
    if (found.count < 2)
        return SL_OK;
    char *all = sl_arena_try_alloc(a, found.bytes);
    if (all == NULL)
        return no_memory(name, found.count, st);
    *out = (sl_str){all, 0};
    sl_wire w = sl_wire_open((sl_str){wire.p + found.first, wire.n - found.first});
    while (sl_wire_next(&w))
        if (is(&w, found.field) && w.bytes.n) {
            memcpy(all + out->n, w.bytes.p, w.bytes.n);
            out->n += w.bytes.n;
        }
    return SL_OK;
}

static sl_code one(sl_str wire, unsigned field, const char *name, sl_arena *a, sl_str *out,
                   sl_status *st)
{
    unsigned found;
    return sl_wire_submessage(wire, FIELD(field), name, a, &found, out, st);
}

/* All values of a repeated field of strings, bytes or messages. */
static sl_code repeated(sl_str wire, unsigned field, const char *name, sl_arena *a, sl_str **out,
                        size_t *count, sl_status *st)
{
    size_t bytes;
    sl_wire w = sl_wire_open(wire);
    *out = NULL;
    for (*count = 0; sl_wire_next(&w);)
        *count += is(&w, field);
    if (w.bad)
        return malformed(&w, name, st);
    if (!sl_mul_size(*count, sizeof **out, &bytes))
        return no_memory(name, *count, st);
    *out = sl_arena_try_alloc(a, bytes);
    if (*out == NULL)
        return no_memory(name, *count, st);
    w = sl_wire_open(wire);
    for (size_t n = 0; sl_wire_next(&w);)
        if (is(&w, field))
            (*out)[n++] = w.bytes;
    return SL_OK;
}

/* ---- ModelSpec ---- */

/* Int64Value: an empty one is 0. */
static sl_code read_version(sl_str wire, int64_t *out, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    *out = 0;
    while (sl_wire_next(&w))
        if (w.field == 1 && w.type == SL_WIRE_VARINT)
            *out = (int64_t)w.value;
    return w.bad ? malformed(&w, "Int64Value", st) : SL_OK;
}

static sl_code read_spec(sl_str wire, sl_arena *a, sl_wire_spec *out, sl_status *st)
{
    enum { NAME = 1, VERSION = 2, SIGNATURE = 3, LABEL = 4 };
    unsigned which;
    sl_str choice;
    sl_wire w = sl_wire_open(wire);
    *out = (sl_wire_spec){.present = true};
    while (sl_wire_next(&w)) {
        if (is(&w, NAME))
            out->model.model = w.bytes;
        else if (is(&w, SIGNATURE))
            out->signature = w.bytes;
        else if (is(&w, LABEL))
            out->model.label = w.bytes;
    }
    sl_code rc = sl_wire_submessage(wire, FIELD(VERSION) | FIELD(LABEL), "ModelSpec", a, &which,
                                    &choice, st);
    if (rc || which != VERSION)
        return rc;
    out->model.label = (sl_str){0};
    out->model.has_version = true;
    return read_version(choice, &out->model.version, st);
}

/* Field 1 of every request. */
static sl_code spec_of(sl_str wire, const char *name, sl_arena *a, sl_wire_spec *out, sl_status *st)
{
    unsigned found;
    sl_str spec;
    *out = (sl_wire_spec){0};
    sl_code rc = sl_wire_submessage(wire, FIELD(1), name, a, &found, &spec, st);
    return rc || found == 0 ? rc : read_spec(spec, a, out, st);
}

/* ---- PredictRequest ---- */

static int by_key(const void *a, const void *b)
{
    const sl_wire_input *x = a, *y = b;
    int order = sl_str_cmp(x->key, y->key);
    return order ? order : (x->nth > y->nth) - (x->nth < y->nth);
}

static sl_code read_entry(sl_str wire, sl_arena *a, sl_wire_input *out, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    out->key = (sl_str){"", 0};
    while (sl_wire_next(&w))
        if (is(&w, 1))
            out->key = w.bytes;
    return one(wire, 2, "PredictRequest.InputsEntry", a, &out->tensor, st);
}

/* Of several values of a key the last one stays. Sorted: it is the last of its neighbours. */
static size_t drop_repeated_keys(sl_wire_input *inputs, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (i + 1 == count || !sl_str_eq(inputs[i].key, inputs[i + 1].key))
            inputs[kept++] = inputs[i];
    return kept;
}

static sl_code read_inputs(sl_str wire, sl_arena *a, sl_predict_request *out, sl_status *st)
{
    sl_str *entries;
    size_t count, bytes;
    sl_code rc = repeated(wire, 2, "PredictRequest", a, &entries, &count, st);
    if (rc)
        return rc;
    out->inputs =
        sl_mul_size(count, sizeof *out->inputs, &bytes) ? sl_arena_try_alloc(a, bytes) : NULL;
    if (out->inputs == NULL)
        return no_memory("PredictRequest", count, st);
    for (size_t i = 0; i < count; i++) {
        out->inputs[i].nth = i;
        rc = read_entry(entries[i], a, &out->inputs[i], st);
        if (rc)
            return rc;
    }
    qsort(out->inputs, count, sizeof *out->inputs, by_key);
    out->n_inputs = drop_repeated_keys(out->inputs, count);
    return SL_OK;
}

sl_code sl_predict_request_decode(sl_str wire, sl_arena *a, sl_predict_request *out, sl_status *st)
{
    sl_code rc = spec_of(wire, "PredictRequest", a, &out->spec, st);
    if (rc == SL_OK)
        rc = read_inputs(wire, a, out, st);
    if (rc == SL_OK)
        rc = repeated(wire, 3, "PredictRequest", a, &out->output_filter, &out->n_output_filter, st);
    return rc;
}

/* ---- requests with Examples ---- */

/* Field 2 of the requests, an Input. */
static sl_code input_of(sl_str wire, const char *name, sl_arena *a, sl_wire_examples *out,
                        sl_status *st)
{
    enum { LIST = 1, LIST_WITH_CONTEXT = 2 };
    unsigned kind = 0;
    sl_str input, list = {0};
    *out = (sl_wire_examples){0};
    sl_code rc = one(wire, 2, name, a, &input, st);
    if (rc == SL_OK)
        rc = sl_wire_submessage(input, FIELD(LIST) | FIELD(LIST_WITH_CONTEXT), "Input", a, &kind,
                                &list, st);
    if (rc == SL_OK)
        rc = repeated(list, 1, "ExampleList", a, &out->examples, &out->count, st);
    if (rc == SL_OK && kind == LIST_WITH_CONTEXT)
        rc = one(list, 2, "ExampleListWithContext", a, &out->context, st);
    return rc;
}

sl_code sl_example_request_decode(sl_str wire, sl_arena *a, sl_example_request *out, sl_status *st)
{
    sl_code rc = spec_of(wire, "request", a, &out->spec, st);
    return rc ? rc : input_of(wire, "request", a, &out->input, st);
}

static sl_code read_task(sl_str wire, sl_arena *a, sl_inference_task *out, sl_status *st)
{
    sl_wire w = sl_wire_open(wire);
    out->method_name = (sl_str){"", 0};
    while (sl_wire_next(&w))
        if (is(&w, 2))
            out->method_name = w.bytes;
    return spec_of(wire, "InferenceTask", a, &out->spec, st);
}

sl_code sl_multi_request_decode(sl_str wire, sl_arena *a, sl_multi_request *out, sl_status *st)
{
    sl_str *tasks;
    size_t bytes;
    sl_code rc = repeated(wire, 1, "MultiInferenceRequest", a, &tasks, &out->n_tasks, st);
    if (rc)
        return rc;
    out->tasks =
        sl_mul_size(out->n_tasks, sizeof *out->tasks, &bytes) ? sl_arena_try_alloc(a, bytes) : NULL;
    if (out->tasks == NULL)
        return no_memory("MultiInferenceRequest", out->n_tasks, st);
    for (size_t i = 0; i < out->n_tasks && rc == SL_OK; i++)
        rc = read_task(tasks[i], a, &out->tasks[i], st);
    return rc ? rc : input_of(wire, "MultiInferenceRequest", a, &out->input, st);
}
