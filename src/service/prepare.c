/* prepare.c - see prepare.h */
#include "service/prepare.h"

#include <string.h>

#include "base/mem.h"
#include "tensorproto/tensorproto.h"

void sl_prepared_release(sl_prepared *t)
{
    for (size_t i = 0; i < t->count; i++)
        sl_tensor_release(&t->tensors[i]);
    *t = (sl_prepared){0};
}

/* Makes room for n tensors; there are none yet. */
static sl_code reserve(sl_predict *p, size_t n, sl_prepared *t)
{
    size_t bytes;
    t->count = 0;
    t->tensors =
        sl_mul_size(n, sizeof *t->tensors, &bytes) ? sl_arena_try_alloc(p->arena, bytes) : NULL;
    if (t->tensors == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu inputs", n);
    return SL_OK;
}

static sl_str or_default(sl_str signature)
{
    return signature.n ? signature : SL_STR("serving_default");
}

static bool use_signature(sl_predict *p, sl_str name)
{
    p->run.signature = sl_signatures_find(p->version->signatures, name);
    if (p->run.signature >= 0)
        p->signature = &p->version->signatures->list[p->run.signature];
    return p->run.signature >= 0;
}

/* ---- predict ---- */

static const sl_tensor *default_of(const sl_signature *sig, int input)
{
    return sig->defaults != NULL && sig->defaults[input].dtype != SL_DT_INVALID
               ? &sig->defaults[input]
               : NULL;
}

static const sl_wire_input *find_input(const sl_predict_request *r, const char *key)
{
    size_t low = 0, high = r->n_inputs;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = sl_str_cmp(r->inputs[middle].key, sl_str_of(key));
        if (order == 0)
            return &r->inputs[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static bool is_input(const sl_signature *sig, sl_str key)
{
    return sl_tensor_infos_find(sig->inputs, sig->n_inputs, key) >= 0;
}

static void add_name(sl_text *t, sl_str name)
{
    if (t->n)
        sl_text_putc(t, ',');
    sl_text_add(t, name.p, name.n);
}

/* The names that the texts list; both sides are sorted. */
typedef struct names {
    sl_text sent, expected, extra, missing, used, defaults;
} names;

static void collect(const sl_signature *sig, const sl_predict_request *r, names *n)
{
    for (size_t i = 0; i < r->n_inputs; i++) {
        sl_str key = r->inputs[i].key;
        add_name(&n->sent, key);
        add_name(is_input(sig, key) ? &n->used : &n->extra, key);
    }
    for (int i = 0; i < sig->n_inputs; i++) {
        sl_str key = sl_str_of(sig->inputs[i].key);
        add_name(&n->expected, key);
        if (default_of(sig, i) != NULL)
            add_name(&n->defaults, key);
        else if (find_input(r, sig->inputs[i].key) == NULL)
            add_name(&n->missing, key);
    }
}

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

typedef enum input_fault { WRONG_COUNT, MISSING, UNKNOWN_NAME } input_fault;

/* Steps 4, 5 and 7. `input` is the one that is missing. */
static sl_code wrong_inputs(sl_predict *p, const sl_predict_request *r, input_fault fault,
                            int input)
{
    const sl_signature *sig = p->signature;
    sl_code rc = SL_OK;
    names n = {0};
    collect(sig, r, &n);
    switch (fault) {
    case WRONG_COUNT:
        rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                        "input size does not match signature: %zu!=%d len({%s}) != len({%s}). Sent "
                        "extra: {%s}. Missing but required: {%s}.",
                        r->n_inputs, sig->n_inputs, text(&n.sent), text(&n.expected),
                        text(&n.extra), text(&n.missing));
        break;
    case MISSING:
        rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                        "Signature input alias: %s(feed name: %s) not found in request and no "
                        "default value provided. Inputs expected to be in the request {%s}, or "
                        "default input alias set: %s",
                        sig->inputs[input].key,
                        sig->inputs[input].name != NULL ? sig->inputs[input].name : "",
                        text(&n.sent), text(&n.defaults));
        break;
    case UNKNOWN_NAME:
        rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                        "Inputs contains invalid name. Used request inputs: %s, request input: %s",
                        text(&n.used), text(&n.sent));
        break;
    }
    fini_names(&n);
    return rc;
}

static sl_code decode_input(sl_predict *p, const sl_wire_input *in, size_t max_bytes,
                            sl_tensor *out)
{
    sl_code rc = sl_tensorproto_decode(in->tensor, max_bytes, out, p->st);
    if (rc == SL_OK || rc == SL_RESOURCE_EXHAUSTED)
        return rc;
    return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT, "tensor parsing error: %.*s",
                      SL_STR_ARG(in->key));
}

/* Steps 4 to 7, and the inputs handed over. */
static sl_code feed(sl_predict *p, const sl_predict_request *r, size_t max_bytes, sl_prepared *t)
{
    const sl_signature *sig = p->signature;
    size_t n = (size_t)sig->n_inputs, used = 0;
    if (r->n_inputs > n || (r->n_inputs < n && sig->defaults == NULL))
        return wrong_inputs(p, r, WRONG_COUNT, 0);
    int *index = sl_arena_try_alloc(p->arena, n * sizeof *index);
    if (index == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu inputs", n);
    sl_code rc = reserve(p, n, t);
    if (rc)
        return rc;
    for (int i = 0; i < sig->n_inputs; i++) {
        const sl_wire_input *in = find_input(r, sig->inputs[i].key);
        index[i] = i;
        if (in != NULL)
            rc = decode_input(p, in, max_bytes, &t->tensors[i]);
        else if (default_of(sig, i) != NULL)
            sl_tensor_share(default_of(sig, i), &t->tensors[i]);
        else
            rc = wrong_inputs(p, r, MISSING, i);
        if (rc)
            return rc;
        t->count++;
        used += in != NULL;
    }
    if (used != r->n_inputs)
        return wrong_inputs(p, r, UNKNOWN_NAME, 0);
    p->run.n_inputs = sig->n_inputs;
    p->run.input_index = index;
    p->run.inputs = t->tensors;
    return SL_OK;
}

static sl_code no_output(sl_predict *p, sl_str name)
{
    sl_text known = {0};
    for (int i = 0; i < p->signature->n_outputs; i++)
        add_name(&known, sl_str_of(p->signature->outputs[i].key));
    sl_code rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                            "output tensor alias not found in signature: %.*s Outputs expected to "
                            "be in the set {%s}.",
                            SL_STR_ARG(name), text(&known));
    sl_text_fini(&known);
    return rc;
}

/* Steps 8 and 9. */
static sl_code want(sl_predict *p, const sl_predict_request *r)
{
    const sl_signature *sig = p->signature;
    if (r->n_output_filter == 0)
        return sl_predict_want_outputs(p, NULL, sig->n_outputs);
    int *index = sl_arena_try_alloc(p->arena, (size_t)sig->n_outputs * sizeof *index), n = 0;
    if (index == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %d outputs", sig->n_outputs);
    for (size_t i = 0; i < r->n_output_filter; i++) {
        sl_str name = r->output_filter[i];
        int found = sl_tensor_infos_find(sig->outputs, sig->n_outputs, name);
        if (found < 0)
            return no_output(p, name);
        for (int k = 0; k < n; k++)
            if (index[k] == found)
                return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                                  "duplicate output tensor alias: %.*s", SL_STR_ARG(name));
        index[n++] = found; /* all different: there is room */
    }
    return sl_predict_want_outputs(p, index, n);
}

sl_code sl_prepare_predict(sl_predict *p, const sl_predict_request *r, size_t max_tensor_bytes,
                           sl_prepared *t)
{
    sl_str name = or_default(r->spec.signature);
    if (!use_signature(p, name))
        return sl_fail_in(p->arena, p->st, SL_FAILED_PRECONDITION,
                          "Serving signature key \"%.*s\" not found.", SL_STR_ARG(name));
    sl_code rc = sl_predict_check_method_name(p);
    if (rc == SL_OK)
        rc = feed(p, r, max_tensor_bytes, t);
    return rc ? rc : want(p, r);
}

/* ---- examples ---- */

/* Puts the context in front of each example: behind one another, they are one merged message. */
static sl_code with_context(sl_predict *p, const sl_wire_examples *in, sl_str **out)
{
    size_t bytes, table, all = 0;
    bool fits = sl_mul_size(in->count, in->context.n, &bytes) &&
                sl_mul_size(in->count, sizeof **out, &table);
    for (size_t i = 0; i < in->count && fits; i++)
        fits = sl_add_size(bytes, in->examples[i].n, &bytes);
    char *at = fits ? sl_arena_try_alloc(p->arena, bytes) : NULL;
    *out = fits ? sl_arena_try_alloc(p->arena, table) : NULL;
    if (at == NULL || *out == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu examples with context",
                       in->count);
    for (size_t i = 0; i < in->count; i++) {
        char *to = at + all;
        sl_str example = in->examples[i];
        memcpy(to, in->context.p, in->context.n);
        if (example.n)
            memcpy(to + in->context.n, example.p, example.n);
        (*out)[i] = (sl_str){to, in->context.n + example.n};
        all += (*out)[i].n;
    }
    return SL_OK;
}

/* The string tensor [n] that is fed. */
static sl_code example_tensor(sl_predict *p, const sl_wire_examples *in, sl_prepared *t)
{
    sl_str *values = in->examples;
    int64_t dims[] = {(int64_t)in->count};
    if (in->count == 0)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Input is empty.");
    sl_code rc = reserve(p, 1, t);
    if (rc == SL_OK && in->context.n)
        rc = with_context(p, in, &values);
    if (rc == SL_OK)
        rc = sl_tensor_try_new_strings(values, dims, 1, &t->tensors[0], p->st);
    t->count = rc == SL_OK;
    return rc;
}

sl_code sl_prepare_examples(sl_predict *p, const sl_example_request *r, sl_prepared *t)
{
    sl_code rc = sl_predict_resolve(p, &r->spec.model, r->spec.signature);
    if (rc == SL_OK)
        rc = sl_predict_check_example_signature(p);
    if (rc == SL_OK)
        rc = example_tensor(p, &r->input, t);
    return rc ? rc : sl_predict_set_examples(p, &t->tensors[0]);
}

/* ---- several at once ---- */

/* Step 2 for one task; `seen` are the `n` tasks before it. */
static sl_code prepare_task(sl_predict *p, const sl_multi_request *r, const sl_inference_task *task,
                            const sl_predict *seen, size_t n)
{
    sl_str name = or_default(task->spec.signature);
    if (task->spec.model.model.n == 0)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Found ModelSpec with an empty model name.");
    if (!sl_str_eq(task->spec.model.model, r->tasks[0].spec.model.model))
        return sl_fail(
            p->st, SL_INVALID_ARGUMENT,
            "All ModelSpecs in a MultiInferenceRequest must access the same model name.");
    bool found = use_signature(p, name);
    for (size_t i = 0; i < n && found; i++)
        if (seen[i].signature == p->signature)
            return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                              "Duplicate evaluation of signature: %.*s", SL_STR_ARG(name));
    if (!found)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Requested signature not found in model graph: %.*s", SL_STR_ARG(name));
    if (sl_str_is(task->method_name, "tensorflow/serving/classify"))
        p->method = SL_METHOD_CLASSIFY;
    else if (sl_str_is(task->method_name, "tensorflow/serving/regress"))
        p->method = SL_METHOD_REGRESS;
    else
        return sl_fail_in(p->arena, p->st, SL_UNIMPLEMENTED,
                          "Unsupported signature method_name: %.*s", SL_STR_ARG(task->method_name));
    return sl_predict_check_example_signature(p);
}

sl_code sl_prepare_multi(const sl_predict *like, const sl_multi_request *r, sl_prepared *t,
                         sl_predict **out, size_t *count)
{
    /* Each task has a signature of its own, so there are no more than those. */
    size_t most = SL_MIN(r->n_tasks, (size_t)like->version->signatures->count + 1);
    sl_code rc = SL_OK;
    *count = 0;
    if (r->n_tasks == 0) /* the words of a run that fetches nothing */
        return sl_fail(like->st, SL_INVALID_ARGUMENT,
                       "Must specify at least one target to fetch or execute.");
    *out = sl_arena_try_alloc(like->arena, most * sizeof **out);
    if (*out == NULL)
        return sl_fail(like->st, SL_RESOURCE_EXHAUSTED, "out of memory: %zu tasks", most);
    for (size_t i = 0; i < r->n_tasks && rc == SL_OK; i++) {
        (*out)[i] = *like;
        rc = prepare_task(&(*out)[i], r, &r->tasks[i], *out, i);
    }
    if (rc == SL_OK)
        rc = example_tensor(*out, &r->input, t);
    for (size_t i = 0; i < r->n_tasks && rc == SL_OK; i++)
        rc = sl_predict_set_examples(&(*out)[i], &t->tensors[0]);
    *count = rc ? 0 : r->n_tasks;
    return rc;
}
