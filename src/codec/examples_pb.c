/*
 * examples_pb.c - reading the requests with Examples (examples_pb.h)
 *
 * An Input may come in parts, which are merged; a part with the other kind of list begins anew. So
 * the Examples are gathered in two walks over all parts, one that counts and one that fills:
 * `gather` is both.
 */
#include "codec/examples_pb.h"

#include "base/mem.h"
#include "codec/pb_check.h"
#include "codec/pb_inside.h"

enum { SPEC = 1, INPUT = 2 };

typedef struct gather {
    unsigned kind;    /* 1: example_list, 2: example_list_with_context; 0: none yet */
    size_t n, most;   /* Examples; the most that there were before it began anew */
    sl_str *examples; /* NULL while counting */
    size_t context_parts, context_bytes;
    sl_str context; /* the last part; while filling: where all of it goes */
} gather;

static void add_list(gather *g, unsigned kind, sl_str list)
{
    sl_wire w = sl_wire_open(list);
    if (g->kind != kind)
        g->n = g->context_parts = g->context_bytes = 0;
    g->kind = kind;
    while (sl_wire_next(&w)) {
        if (sl_pb_is(&w, 1)) {
            if (g->examples != NULL)
                g->examples[g->n] = w.bytes;
            g->n++;
            g->most = SL_MAX(g->most, g->n);
        } else if (kind == 2 && sl_pb_is(&w, 2)) {
            g->context_parts++;
            g->context_bytes += w.bytes.n;
            g->context = w.bytes;
        }
    }
}

static void walk(gather *g, sl_str request)
{
    sl_wire w = sl_wire_open(request);
    while (sl_wire_next(&w)) {
        if (!sl_pb_is(&w, INPUT))
            continue;
        sl_wire input = sl_wire_open(w.bytes);
        while (sl_wire_next(&input))
            if (sl_pb_is(&input, 1) || sl_pb_is(&input, 2))
                add_list(g, input.field, input.bytes);
    }
}

/* All parts of the context behind one another. Those of a list that was begun anew do not count:
 * only the last context_parts of them are it. */
static sl_code join_context(const gather *g, sl_str request, sl_arena *arena, sl_str *out,
                            sl_status *st)
{
    *out = g->context_parts ? g->context : (sl_str){"", 0};
    if (g->context_parts < 2)
        return SL_OK;
    char *to;
    sl_code rc = sl_pb_array(arena, g->context_bytes, 1, &to, st);
    if (rc)
        return rc;
    *out = (sl_str){to, g->context_bytes};
    size_t n = 0;
    unsigned kind = 0;
    sl_wire w = sl_wire_open(request);
    while (sl_wire_next(&w)) {
        sl_wire input = sl_wire_open(sl_pb_is(&w, INPUT) ? w.bytes : (sl_str){"", 0});
        while (sl_wire_next(&input)) {
            if (!sl_pb_is(&input, 1) && !sl_pb_is(&input, 2))
                continue;
            n = input.field == kind ? n : 0;
            kind = input.field;
            sl_wire list = sl_wire_open(kind == 2 ? input.bytes : (sl_str){"", 0});
            while (sl_wire_next(&list))
                if (sl_pb_is(&list, 2) && list.bytes.n <= g->context_bytes - n) {
                    memcpy(to + n, list.bytes.p, list.bytes.n);
                    n += list.bytes.n;
                }
        }
    }
    return SL_OK;
}

/* Each element is the context and the Example: behind one another they are one merged message. */
static sl_code with_context(const gather *g, sl_str context, size_t budget, sl_tensor *out,
                            sl_status *st)
{
    size_t table = g->n * sizeof(sl_str), repeated = sl_mul_capped(g->n, context.n);
    if (repeated > budget)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED,
                       "a context of %zu bytes for each of %zu examples is more than the %zu bytes "
                       "that a request may expand to",
                       context.n, g->n, budget);
    size_t bytes = sl_add_capped(table, repeated);
    for (size_t i = 0; i < g->n; i++)
        bytes = sl_add_capped(bytes, g->examples[i].n);
    sl_buffer *b = sl_buffer_try_new(bytes);
    if (b == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu examples with context", g->n);
    sl_str *to = b->data;
    char *at = (char *)(to + g->n);
    for (size_t i = 0; i < g->n; i++) {
        sl_str example = g->examples[i];
        memcpy(at, context.p, context.n);
        if (example.n)
            memcpy(at + context.n, example.p, example.n);
        to[i] = (sl_str){at, context.n + example.n};
        at += to[i].n;
    }
    *out = (sl_tensor){.dtype = SL_DT_STRING,
                       .rank = 1,
                       .dims = {(int64_t)g->n},
                       .size = table,
                       .data = to,
                       .buffer = b};
    return SL_OK;
}

static sl_code as_they_are(const gather *g, sl_buffer *buffer, sl_tensor *out, sl_status *st)
{
    const int64_t dims[] = {(int64_t)g->n};
    if (buffer == NULL || g->n == 0)
        return sl_tensor_try_new_strings(g->examples, dims, 1, out, st);
    sl_code rc = sl_tensor_try_lend_strings(buffer, dims, 1, out, st);
    if (rc == SL_OK)
        memcpy(out->data, g->examples, out->size);
    return rc;
}

static sl_code read_input(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                          sl_arena *arena, sl_tensor *out, sl_status *st)
{
    gather count = {0}, g = {0};
    sl_str context = {"", 0};
    walk(&count, wire);
    sl_code rc = sl_pb_array(arena, count.most, sizeof *g.examples, &g.examples, st);
    if (rc)
        return rc;
    walk(&g, wire);
    rc = join_context(&g, wire, arena, &context, st);
    if (rc)
        return rc;
    return context.n ? with_context(&g, context, limits->max_expanded_bytes, out, st)
                     : as_they_are(&g, buffer, out, st);
}

sl_code sl_pb_decode_examples(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                              sl_arena *arena, sl_pb_examples *out, sl_status *st)
{
    *out = (sl_pb_examples){0};
    sl_code rc = sl_pb_must(wire, &sl_pb_example_request, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, SPEC))
            sl_pb_read_spec(w.bytes, &out->spec);
    if (!limits->spec_optional)
        rc = sl_pb_require_spec(&out->spec, st);
    return rc ? rc : read_input(wire, buffer, limits, arena, &out->examples, st);
}

/* ---- MultiInference ---- */

static void read_task(sl_str wire, sl_pb_task *out)
{
    sl_wire w = sl_wire_open(wire);
    *out = (sl_pb_task){.method_name = {"", 0}};
    while (sl_wire_next(&w)) {
        if (sl_pb_is(&w, 1))
            sl_pb_read_spec(w.bytes, &out->spec);
        else if (sl_pb_is(&w, 2))
            out->method_name = w.bytes;
    }
}

sl_code sl_pb_decode_multi(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                           sl_arena *arena, sl_pb_multi *out, sl_status *st)
{
    enum { TASKS = 1 };
    *out = (sl_pb_multi){0};
    sl_code rc = sl_pb_must(wire, &sl_pb_multi_request, st);
    if (rc)
        return rc;
    out->n_tasks = sl_pb_count(wire, TASKS);
    rc = sl_pb_array(arena, out->n_tasks, sizeof *out->tasks, &out->tasks, st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(wire);
    for (size_t i = 0; sl_wire_next(&w);)
        if (sl_pb_is(&w, TASKS))
            read_task(w.bytes, &out->tasks[i++]);
    if (!limits->spec_optional && (out->n_tasks == 0 || out->tasks[0].spec.name.n == 0))
        return sl_fail(st, SL_INVALID_ARGUMENT, "ModelSpec has no name specified.");
    return read_input(wire, buffer, limits, arena, &out->examples, st);
}
