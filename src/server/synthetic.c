/* synthetic.c - see synthetic.h */
#include "server/synthetic.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

enum { MOST_BYTES = 64 << 20 }; /* of one input; a larger one tells nothing more */
#define LIMIT_NS 600000000000u

typedef struct request {
    sl_run run;
    int *index; /* of the inputs, then of the outputs */
    sl_tensor *inputs, *outputs;
} request;

static bool has_rows(const sl_tensor_info *info)
{
    return info->rank < 0 || (info->rank > 0 && info->dims[0] < 0);
}

static sl_code make_input(const sl_tensor_info *info, int rows, sl_tensor *out, sl_status *st)
{
    int64_t dims[SL_MAX_RANK];
    int rank = info->rank < 0 ? 1 : info->rank;
    for (int i = 0; i < info->rank; i++)
        dims[i] = info->dims[i] < 0 ? 1 : info->dims[i];
    if (has_rows(info))
        dims[0] = rows;
    sl_dtype dtype = sl_dtype_base(info->dtype);
    int64_t count = sl_shape_count(dims, rank, SL_MAX(sl_dtype_size(dtype), 1));
    if (count < 0 || (uint64_t)count * sl_dtype_size(dtype) > MOST_BYTES)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "input \"%s\" is too large", info->key);
    sl_code rc = sl_tensor_try_new(dtype, dims, rank, out, st);
    if (rc == SL_OK)
        memset(out->data, 0, out->size);
    return rc;
}

static sl_code no_memory(sl_status *st)
{
    return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

static bool is_given(const sl_signature *sig, int input)
{
    return sig->defaults != NULL && sig->defaults[input].dtype != SL_DT_INVALID;
}

/* Inputs with a default are left to it, as clients do. */
static sl_code make(const sl_signature *sig, int rows, request *r, sl_status *st)
{
    size_t in = (size_t)sig->n_inputs, n = in + (size_t)sig->n_outputs;
    sl_code rc = SL_OK;
    r->index = sl_try_calloc(n + 1, sizeof *r->index);
    r->inputs = sl_try_calloc(n + 1, sizeof *r->inputs);
    if (r->index == NULL || r->inputs == NULL)
        return no_memory(st);
    r->outputs = r->inputs + in;
    for (int i = 0; i < sig->n_inputs && rc == SL_OK; i++) {
        r->index[i] = i;
        if (is_given(sig, i))
            sl_tensor_share(&sig->defaults[i], &r->inputs[i]);
        else
            rc = make_input(&sig->inputs[i], rows, &r->inputs[i], st);
    }
    for (int i = 0; i < sig->n_outputs; i++)
        r->index[sig->n_inputs + i] = i;
    r->run.n_inputs = sig->n_inputs;
    r->run.input_index = r->index;
    r->run.inputs = r->inputs;
    r->run.n_outputs = sig->n_outputs;
    r->run.output_index = r->index + sig->n_inputs;
    r->run.outputs = r->outputs;
    return rc;
}

static void fini(request *r, const sl_signature *sig)
{
    for (int i = 0; r->inputs != NULL && i < sig->n_inputs + sig->n_outputs; i++)
        sl_tensor_release(&r->inputs[i]);
    sl_free(r->inputs);
    sl_free(r->index);
}

static bool is_wanted(const sl_version *v, int i)
{
    const sl_signature *sig = &v->signatures->list[i];
    if (strncmp(sig->key, "__saved_model_", 14) == 0 || sig->n_outputs == 0)
        return false;
    for (int k = 0; k < sig->n_inputs; k++) {
        sl_dtype t = sl_dtype_base(sig->inputs[k].dtype);
        if (sig->inputs[k].name == NULL || t == SL_DT_STRING || sl_dtype_size(t) == 0)
            return false;
    }
    return v->engine->pure != NULL && v->engine->pure(v->session, i);
}

static sl_code run(const sl_version *v, int i, int rows, const sl_warmup_options *o, sl_status *st)
{
    const sl_signature *sig = &v->signatures->list[i];
    request r = {.run = {.signature = i, .threads = SL_MAX(o->threads, 1)}};
    sl_code rc = make(sig, rows, &r, st);
    r.run.deadline_ns = sl_now_ns() + LIMIT_NS;
    if (rc == SL_OK)
        rc = v->engine->run(v->session, &r.run, st);
    fini(&r, sig);
    return rc;
}

/* Several rows take other ways than one does: a matrix product for that of a matrix and a vector,
 * which costs TensorFlow as much again the first time. A signature that takes one only may refuse.
 */
static void run_rows(const sl_version *v, int i, const sl_warmup_options *o)
{
    const sl_signature *sig = &v->signatures->list[i];
    sl_status st = {0};
    for (int k = 0; k < sig->n_inputs; k++)
        if (has_rows(&sig->inputs[k]) && !is_given(sig, k)) {
            if (run(v, i, 2, o, &st))
                sl_log(SL_DEBUG, "signature %s of {name: %s version: %lld} refused two rows: %s",
                       sig->key, v->model, (long long)v->number, st.msg);
            return;
        }
}

int sl_warmup_synthetic(const sl_version *v, const sl_warmup_options *o)
{
    int done = 0;
    uint64_t begin = sl_now_ns();
    for (int i = 0; i < v->signatures->count; i++) {
        sl_status st = {0};
        if (!is_wanted(v, i))
            continue;
        if (run(v, i, 1, o, &st) == SL_OK) {
            run_rows(v, i, o);
            done++;
        } else {
            sl_log(SL_INFO,
                   "signature %s of {name: %s version: %lld} was not warmed up: it refused a "
                   "request of zeros, which means nothing for real ones: %s",
                   v->signatures->list[i].key, v->model, (long long)v->number, st.msg);
        }
    }
    if (done)
        sl_log(SL_INFO,
               "Warmed up %d signatures of {name: %s version: %lld} with requests of zeros. "
               "Elapsed time (microseconds): %llu.",
               done, v->model, (long long)v->number,
               (unsigned long long)((sl_now_ns() - begin) / 1000));
    return done;
}
