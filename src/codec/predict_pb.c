/*
 * predict_pb.c - reading a PredictRequest (predict_pb.h)
 *
 * Three walks over the top level, of which a request has few fields: one checks all of it, one
 * counts and reads the ModelSpec, one takes each input to its place in the signature. An input
 * that is named twice is overwritten by the later one, as in a map. Only a request with a name
 * that the signature does not know makes a list of its names, for the text of the error that it
 * then is.
 */
#include "codec/predict_pb.h"

#include <stdlib.h>

#include "base/mem.h"
#include "codec/pb_check.h"
#include "codec/pb_inside.h"
#include "tensorproto/tensorproto.h"

enum { SPEC = 1, INPUTS = 2, OUTPUT_FILTER = 3 };

void sl_pb_limits_default(sl_pb_limits *l)
{
    *l = (sl_pb_limits){.max_expanded_bytes = 16 << 20};
}

void sl_pb_predict_release(sl_pb_predict *p)
{
    for (int i = 0; i < p->n_inputs; i++)
        sl_tensor_release(&p->inputs[i]);
    p->n_inputs = 0;
}

/* An entry of the map of inputs. */
typedef struct entry {
    sl_str wire;   /* p == NULL: there is none */
    sl_str key;    /* the last one, "" if it has none */
    sl_str tensor; /* the last part of it */
    size_t parts;
} entry;

typedef struct reader {
    sl_str wire;
    sl_buffer *buffer;
    size_t budget;
    sl_arena *arena;
    sl_status *st;
    sl_pb_predict *out;
    const sl_signature *sig;
    size_t n_entries, n_filter;
    entry *slots; /* for each input of the signature what was sent for it */
    int n_slots;  /* of those, filled */
    bool unknown; /* a name was sent that is none of the signature's */
} reader;

static entry read_entry(sl_str wire)
{
    entry e = {.wire = wire, .key = {"", 0}, .tensor = {"", 0}};
    sl_wire w = sl_wire_open(wire);
    while (sl_wire_next(&w)) {
        if (sl_pb_is(&w, 1)) {
            e.key = w.bytes;
        } else if (sl_pb_is(&w, 2)) {
            e.tensor = w.bytes;
            e.parts++;
        }
    }
    return e;
}

static void read_top(reader *r)
{
    sl_wire w = sl_wire_open(r->wire);
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        if (w.field == SPEC)
            sl_pb_read_spec(w.bytes, &r->out->spec);
        r->n_entries += w.field == INPUTS;
        r->n_filter += w.field == OUTPUT_FILTER;
    }
}

static void place_inputs(reader *r)
{
    sl_wire w = sl_wire_open(r->wire);
    while (sl_wire_next(&w)) {
        if (!sl_pb_is(&w, INPUTS))
            continue;
        entry e = read_entry(w.bytes);
        int at = sl_tensor_infos_find(r->sig->inputs, r->sig->n_inputs, e.key);
        if (at < 0) {
            r->unknown = true;
            continue;
        }
        r->n_slots += r->slots[at].wire.p == NULL;
        r->slots[at] = e;
    }
}

static const sl_tensor *default_of(const sl_signature *sig, int input)
{
    return sig->defaults != NULL && sig->defaults[input].dtype != SL_DT_INVALID
               ? &sig->defaults[input]
               : NULL;
}

/* ---- texts ---- */

/* No text shows more of them: gRPC cuts a message after 1024 bytes. */
enum { NAMES_MOST = 2048 };

static void add_name(sl_text *t, sl_str name)
{
    if (t->n > NAMES_MOST)
        return;
    if (t->n)
        sl_text_putc(t, ',');
    sl_text_add(t, name.p, SL_MIN(name.n, (size_t)NAMES_MOST));
}

/* The names that the texts list, each sorted. */
typedef struct names {
    sl_text sent, expected, extra, missing, used, defaults;
} names;

static void fini_names(names *n)
{
    sl_text *all[] = {&n->sent, &n->expected, &n->extra, &n->missing, &n->used, &n->defaults};
    for (size_t i = 0; i < SL_COUNTOF(all); i++)
        sl_text_fini(all[i]);
}

static const char *text(const sl_text *t)
{
    return t->p != NULL ? t->p : "";
}

static int by_bytes(const void *a, const void *b)
{
    return sl_str_cmp(*(const sl_str *)a, *(const sl_str *)b);
}

/* The names that were sent, each once, sorted. */
static sl_code sent_names(reader *r, sl_str **out, size_t *count)
{
    sl_code rc = sl_pb_array(r->arena, r->n_entries, sizeof **out, out, r->st);
    if (rc)
        return rc;
    sl_wire w = sl_wire_open(r->wire);
    size_t n = 0, kept = 0;
    while (sl_wire_next(&w))
        if (sl_pb_is(&w, INPUTS))
            (*out)[n++] = read_entry(w.bytes).key;
    qsort(*out, n, sizeof **out, by_bytes);
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || !sl_str_eq((*out)[i], (*out)[kept - 1]))
            (*out)[kept++] = (*out)[i];
    *count = kept;
    return SL_OK;
}

static void collect(const reader *r, const sl_str *sent, size_t n_sent, names *n)
{
    const sl_signature *sig = r->sig;
    for (size_t i = 0; i < n_sent; i++) {
        bool known = sl_tensor_infos_find(sig->inputs, sig->n_inputs, sent[i]) >= 0;
        add_name(&n->sent, sent[i]);
        add_name(known ? &n->used : &n->extra, sent[i]);
    }
    for (int i = 0; i < sig->n_inputs; i++) {
        sl_str key = sl_str_of(sig->inputs[i].key);
        add_name(&n->expected, key);
        if (default_of(sig, i) != NULL)
            add_name(&n->defaults, key);
        else if (r->slots[i].wire.p == NULL)
            add_name(&n->missing, key);
    }
}

typedef enum fault { WRONG_COUNT, MISSING, UNKNOWN_NAME } fault;

/* Steps 4, 5 and 7. `input` is the one that is missing. */
static sl_code wrong_inputs(reader *r, fault what, int input)
{
    const sl_signature *sig = r->sig;
    sl_str *sent;
    size_t n_sent;
    names n = {0};
    sl_code rc = sent_names(r, &sent, &n_sent);
    if (rc)
        return rc;
    collect(r, sent, n_sent, &n);
    switch (what) {
    case WRONG_COUNT:
        rc = sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT,
                        "input size does not match signature: %zu!=%d len({%s}) != len({%s}). Sent "
                        "extra: {%s}. Missing but required: {%s}.",
                        n_sent, sig->n_inputs, text(&n.sent), text(&n.expected), text(&n.extra),
                        text(&n.missing));
        break;
    case MISSING:
        rc = sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT,
                        "Signature input alias: %s(feed name: %s) not found in request and no "
                        "default value provided. Inputs expected to be in the request {%s}, or "
                        "default input alias set: %s",
                        sig->inputs[input].key,
                        sig->inputs[input].name != NULL ? sig->inputs[input].name : "",
                        text(&n.sent), text(&n.defaults));
        break;
    default: /* UNKNOWN_NAME */
        rc = sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT,
                        "Inputs contains invalid name. Used request inputs: %s, request input: %s",
                        text(&n.used), text(&n.sent));
        break;
    }
    fini_names(&n);
    return rc;
}

/* ---- inputs ---- */

/* How many names were sent; more than `known` are interesting only as such. */
static sl_code count_names(reader *r, size_t *out)
{
    sl_str *sent;
    *out = (size_t)r->n_slots;
    return r->unknown ? sent_names(r, &sent, out) : SL_OK;
}

static sl_code decode_input(reader *r, int i)
{
    const entry *e = &r->slots[i];
    sl_str tensor = e->tensor;
    sl_code rc = SL_OK;
    if (e->parts > 1)
        rc = sl_pb_merged(e->wire, 2, r->arena, &tensor, r->st);
    if (rc)
        return rc;
    rc = sl_tensorproto_decode_in(tensor, r->buffer, &r->budget, &r->out->inputs[i], r->st);
    if (rc == SL_OK || rc == SL_RESOURCE_EXHAUSTED)
        return rc;
    return sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT, "tensor parsing error: %s",
                      r->sig->inputs[i].key);
}

/* Steps 4 to 7. */
static sl_code read_inputs(reader *r)
{
    const sl_signature *sig = r->sig;
    sl_pb_predict *out = r->out;
    size_t n = (size_t)sig->n_inputs, sent;
    sl_code rc = sl_pb_array(r->arena, n, sizeof *r->slots, &r->slots, r->st);
    if (rc == SL_OK)
        rc = sl_pb_array(r->arena, n, sizeof *out->inputs, &out->inputs, r->st);
    if (rc == SL_OK)
        rc = sl_pb_array(r->arena, n, sizeof *out->input_index, &out->input_index, r->st);
    if (rc)
        return rc;
    memset(r->slots, 0, n * sizeof *r->slots);
    place_inputs(r);
    rc = count_names(r, &sent);
    if (rc)
        return rc;
    if (sent > n || (sent < n && sig->defaults == NULL))
        return wrong_inputs(r, WRONG_COUNT, 0);
    for (int i = 0; i < sig->n_inputs; i++) {
        out->input_index[i] = i;
        if (r->slots[i].wire.p != NULL)
            rc = decode_input(r, i);
        else if (default_of(sig, i) != NULL)
            sl_tensor_share(default_of(sig, i), &out->inputs[i]);
        else
            rc = wrong_inputs(r, MISSING, i);
        if (rc)
            return rc;
        out->n_inputs++;
    }
    return r->unknown ? wrong_inputs(r, UNKNOWN_NAME, 0) : SL_OK;
}

/* ---- outputs ---- */

static sl_code no_output(reader *r, sl_str name)
{
    sl_text known = {0};
    for (int i = 0; i < r->sig->n_outputs; i++)
        add_name(&known, sl_str_of(r->sig->outputs[i].key));
    sl_code rc = sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT,
                            "output tensor alias not found in signature: %.*s Outputs expected to "
                            "be in the set {%s}.",
                            SL_STR_ARG(name), text(&known));
    sl_text_fini(&known);
    return rc;
}

/* Steps 8 and 9. */
static sl_code want(reader *r, sl_str name)
{
    sl_pb_predict *out = r->out;
    int found = sl_tensor_infos_find(r->sig->outputs, r->sig->n_outputs, name);
    if (found < 0)
        return no_output(r, name);
    for (int k = 0; k < out->n_outputs; k++)
        if (out->output_index[k] == found)
            return sl_fail_in(r->arena, r->st, SL_INVALID_ARGUMENT,
                              "duplicate output tensor alias: %.*s", SL_STR_ARG(name));
    out->output_index[out->n_outputs++] = found; /* all different: there is room */
    return SL_OK;
}

static sl_code read_filter(reader *r)
{
    sl_pb_predict *out = r->out;
    sl_code rc = sl_pb_array(r->arena, (size_t)r->sig->n_outputs, sizeof *out->output_index,
                             &out->output_index, r->st);
    if (rc)
        return rc;
    if (r->n_filter == 0)
        while (out->n_outputs < r->sig->n_outputs) {
            out->output_index[out->n_outputs] = out->n_outputs;
            out->n_outputs++;
        }
    sl_wire w = sl_wire_open(r->wire);
    while (r->n_filter && rc == SL_OK && sl_wire_next(&w))
        if (sl_pb_is(&w, OUTPUT_FILTER))
            rc = want(r, w.bytes);
    return rc;
}

sl_code sl_pb_decode_predict(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                             sl_pb_resolver resolve, void *arg, sl_arena *arena, sl_pb_predict *out,
                             sl_status *st)
{
    reader r = {.wire = wire,
                .buffer = buffer,
                .budget = limits->max_expanded_bytes,
                .arena = arena,
                .st = st,
                .out = out};
    *out = (sl_pb_predict){0};
    sl_code rc = sl_pb_must(wire, &sl_pb_predict_request, st);
    if (rc)
        return rc;
    read_top(&r);
    if (!limits->spec_optional)
        rc = sl_pb_require_spec(&out->spec, st);
    if (rc == SL_OK)
        rc = resolve(arg, &out->spec, &out->signature, st);
    if (rc)
        return rc;
    r.sig = out->signature;
    rc = read_inputs(&r);
    if (rc == SL_OK)
        rc = read_filter(&r);
    if (rc)
        sl_pb_predict_release(out);
    return rc;
}
