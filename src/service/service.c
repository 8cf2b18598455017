/*
 * service.c - resolving, checking inputs, deciding where a run happens
 *
 * Where a run happens: a loop keeps it only if the engine says that these very shapes are cheap,
 * from a plan that it already has. Everything else goes to a worker, behind the bounded queue; the
 * verdict that a worker brings (cancelled, expired) is turned into the answer without starting the
 * model.
 */
#include "service/service.h"

#include <string.h>

#include "base/clock.h"
#include "metrics/metrics.h"

static const char *const method_names[] = {"predict", "classification", "regression"};
static const char *const expected_method[] = {
    "tensorflow/serving/predict", "tensorflow/serving/classify", "tensorflow/serving/regress"};

void sl_predict_init(sl_predict *p, sl_service *s, sl_arena *arena, sl_status *st)
{
    memset(p, 0, sizeof *p);
    p->service = s;
    p->arena = arena;
    p->st = st;
}

/* What was held between waiting and acquiring. */
static void let_go(sl_predict *p)
{
    if (p->awaited.held != NULL)
        sl_manager_release(p->service->manager, p->awaited.held);
    p->awaited.held = NULL;
}

void sl_predict_fini(sl_predict *p)
{
    for (int i = 0; i < p->run.n_outputs; i++)
        if (p->run.outputs != NULL)
            sl_tensor_release(&p->run.outputs[i]);
    p->run.n_outputs = 0;
    let_go(p);
    if (p->version != NULL)
        sl_manager_release(p->service->manager, p->version);
    p->version = NULL;
}

sl_code sl_predict_resolve_version(sl_predict *p, const sl_model_spec *spec)
{
    if (p->version != NULL)
        return SL_OK;
    sl_code rc = sl_manager_acquire(p->service->manager, spec, &p->version, p->st);
    let_go(p);
    if (rc == SL_UNAVAILABLE && p->awaited.code)
        return sl_fail(p->st, rc, "Servable %.*s is loaded on demand, which failed: %s: %s",
                       SL_STR_ARG(spec->model), sl_code_name(p->awaited.code), p->awaited.message);
    return rc;
}

/* ---- waiting for a version on demand ---- */

static void go_on(sl_job *job, sl_code verdict)
{
    sl_predict *p = (sl_predict *)((char *)job - offsetof(sl_predict, job));
    if (verdict)
        sl_fail(p->st, verdict, "the request waited too long and was not started");
    p->again(p, verdict);
}

static void awaited(sl_awaited *a)
{
    sl_predict *p = (sl_predict *)((char *)a - offsetof(sl_predict, awaited));
    p->job = (sl_job){.run = go_on, .bytes = p->bytes, .cancelled = p->cancelled};
    sl_workers *workers = p->service->workers;
    /* When it has been queued it belongs to a worker, and may have ended already. */
    sl_code rc = workers ? sl_workers_submit(workers, &p->job, p->st) : SL_OK;
    if (rc || workers == NULL)
        p->again(p, rc);
}

bool sl_predict_await(sl_predict *p, const sl_model_spec *spec,
                      void (*again)(sl_predict *p, sl_code rc))
{
    uint64_t wait = p->service->on_demand_wait_ns;
    p->again = again;
    p->awaited.ready = awaited;
    p->awaited.deadline_ns = wait ? sl_now_ns() + wait : 0;
    if (p->deadline_ns && (wait == 0 || p->deadline_ns < p->awaited.deadline_ns))
        p->awaited.deadline_ns = p->deadline_ns;
    return sl_manager_await(p->service->manager, spec, &p->awaited);
}

/* ---- signatures ---- */

static sl_code no_signature(sl_predict *p, sl_str name)
{
    if (p->method == SL_METHOD_PREDICT && p->rpc)
        return sl_fail_in(p->arena, p->st, SL_FAILED_PRECONDITION,
                          "Serving signature key \"%.*s\" not found.", SL_STR_ARG(name));
    if (p->method == SL_METHOD_PREDICT)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Serving signature name: \"%.*s\" not found in signature def",
                          SL_STR_ARG(name));
    return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                      "No signature was found with the name: %.*s", SL_STR_ARG(name));
}

static bool is_serving_method(const char *m)
{
    return strcmp(m, expected_method[0]) == 0 || strcmp(m, expected_method[1]) == 0 ||
           strcmp(m, expected_method[2]) == 0;
}

static sl_code check_method_name(sl_predict *p)
{
    const char *name = p->signature->method_name;
    if (!p->service->check_method_name || is_serving_method(name))
        return SL_OK;
    return sl_fail_in(p->arena, p->st, SL_INTERNAL,
                      "Expected prediction signature method_name to be one of "
                      "{tensorflow/serving/predict, tensorflow/serving/classify, "
                      "tensorflow/serving/regress}. Was: %s",
                      name);
}

sl_code sl_predict_resolve(sl_predict *p, const sl_model_spec *spec, sl_str name)
{
    sl_code rc = sl_predict_resolve_version(p, spec);
    if (rc)
        return rc;
    sl_str wanted = name.n ? name : SL_STR("serving_default");
    p->run.signature = sl_signatures_find(p->version->signatures, wanted);
    if (p->run.signature < 0)
        return no_signature(p, wanted);
    p->signature = &p->version->signatures->list[p->run.signature];
    if (p->method == SL_METHOD_PREDICT && p->rpc)
        return check_method_name(p);
    if (p->method == SL_METHOD_PREDICT && p->signature->n_inputs == 0)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Failed to get input map for signature: %.*s",
                          SL_STR_ARG(name.n ? name : SL_STR("DEFAULT")));
    return SL_OK;
}

/* ---- inputs ---- */

static sl_code want_outputs(sl_predict *p, const int *index, int n)
{
    sl_tensor *outputs = sl_arena_try_alloc(p->arena, (size_t)n * sizeof *outputs);
    if (index == NULL || outputs == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %d outputs", n);
    memset(outputs, 0, (size_t)n * sizeof *outputs);
    p->run.n_outputs = n;
    p->run.output_index = index;
    p->run.outputs = outputs;
    return SL_OK;
}

static sl_code want_all_outputs(sl_predict *p)
{
    int n = p->signature->n_outputs;
    int *index = sl_arena_try_alloc(p->arena, (size_t)n * sizeof *index);
    for (int i = 0; index != NULL && i < n; i++)
        index[i] = i;
    return want_outputs(p, index, n);
}

sl_code sl_predict_set_run(sl_predict *p, const int *input_index, const sl_tensor *inputs,
                           int n_inputs, const int *output_index, int n_outputs)
{
    p->run.n_inputs = n_inputs;
    p->run.input_index = input_index;
    p->run.inputs = inputs;
    return want_outputs(p, output_index, n_outputs);
}

/* "input size does not match signature: 1!=2 len({x}) != len({x,y}). Sent extra: {}. Missing but
 * required: {y}." Keys are sorted already. */
static sl_code wrong_inputs(sl_predict *p, const int *index, int count)
{
    const sl_signature *sig = p->signature;
    sl_text sent = {0}, expected = {0}, missing = {0};
    for (int i = 0, k = 0; i < sig->n_inputs; i++) {
        const char *key = sig->inputs[i].key;
        sl_text_printf(&expected, "%s%s", i ? "," : "", key);
        if (k < count && index[k] == i) {
            sl_text_printf(&sent, "%s%s", k++ ? "," : "", key);
        } else if (sig->defaults == NULL || sig->defaults[i].dtype == SL_DT_INVALID) {
            sl_text_printf(&missing, "%s%s", missing.n ? "," : "", key);
        }
    }
    sl_code rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                            "input size does not match signature: %d!=%d len({%s}) != len({%s}). "
                            "Sent extra: {}. Missing but required: {%s}.",
                            count, sig->n_inputs, sent.p ? sent.p : "",
                            expected.p ? expected.p : "", missing.p ? missing.p : "");
    sl_text_fini(&sent);
    sl_text_fini(&expected);
    sl_text_fini(&missing);
    return rc;
}

static sl_code feed_with_defaults(sl_predict *p, const int *index, const sl_tensor *inputs,
                                  int count)
{
    const sl_signature *sig = p->signature;
    int *all = sl_arena_try_alloc(p->arena, (size_t)sig->n_inputs * sizeof *all);
    sl_tensor *tensors = sl_arena_try_alloc(p->arena, (size_t)sig->n_inputs * sizeof *tensors);
    if (all == NULL || tensors == NULL)
        return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "out of memory: %d inputs", sig->n_inputs);
    for (int i = 0, k = 0; i < sig->n_inputs; i++) {
        all[i] = i;
        if (k < count && index[k] == i)
            tensors[i] = inputs[k++];
        else if (sig->defaults != NULL && sig->defaults[i].dtype != SL_DT_INVALID)
            tensors[i] = sig->defaults[i];
        else
            return wrong_inputs(p, index, count);
    }
    p->run.n_inputs = sig->n_inputs;
    p->run.input_index = all;
    p->run.inputs = tensors;
    return SL_OK;
}

sl_code sl_predict_set_inputs(sl_predict *p, const int *index, const sl_tensor *inputs, int count)
{
    const sl_signature *sig = p->signature;
    sl_code rc = check_method_name(p);
    if (rc)
        return rc;
    if (count != sig->n_inputs) {
        rc = feed_with_defaults(p, index, inputs, count);
        return rc ? rc : want_all_outputs(p);
    }
    p->run.n_inputs = count;
    p->run.input_index = index;
    p->run.inputs = inputs;
    return want_all_outputs(p);
}

/* ---- classify and regress ---- */

/* The signature as text for an error message, shortened: keys, tensors, dtypes. */
static void describe(const sl_signature *sig, sl_text *t)
{
    for (int i = 0; i < sig->n_inputs; i++)
        sl_text_printf(t, "inputs { key: \"%s\" value { name: \"%s\" dtype: %s } } ",
                       sig->inputs[i].key, sig->inputs[i].name ? sig->inputs[i].name : "",
                       sl_dtype_wire_name(sig->inputs[i].dtype));
    for (int i = 0; i < sig->n_outputs; i++)
        sl_text_printf(t, "outputs { key: \"%s\" value { name: \"%s\" dtype: %s } } ",
                       sig->outputs[i].key, sig->outputs[i].name ? sig->outputs[i].name : "",
                       sl_dtype_wire_name(sig->outputs[i].dtype));
    sl_text_printf(t, "method_name: \"%s\"", sig->method_name);
}

static sl_code fail_describing(sl_predict *p, const char *what)
{
    sl_text t = {0};
    describe(p->signature, &t);
    sl_code rc = sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT, "%s: %s", what, t.p ? t.p : "");
    sl_text_fini(&t);
    return rc;
}

static int find_output(const sl_signature *sig, const char *key)
{
    return sl_tensor_infos_find(sig->outputs, sig->n_outputs, sl_str_of(key));
}

sl_code sl_predict_check_example_signature(sl_predict *p)
{
    const sl_signature *sig = p->signature;
    bool classify = p->method == SL_METHOD_CLASSIFY;
    if (p->service->check_method_name && strcmp(sig->method_name, expected_method[p->method]) != 0)
        return sl_fail_in(p->arena, p->st, SL_INVALID_ARGUMENT,
                          "Expected %s signature method_name to be %s. Was: %s",
                          method_names[p->method], expected_method[p->method], sig->method_name);
    if (sig->n_inputs != 1)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected one input Tensor.");
    if (classify && sig->n_outputs != 1 && sig->n_outputs != 2)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected one or two output Tensors, found %d",
                       sig->n_outputs);
    if (!classify && sig->n_outputs != 1)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected one output Tensor.");
    if (strcmp(sig->inputs[0].key, "inputs") != 0)
        return fail_describing(p, classify ? "No classification inputs found in SignatureDef"
                                           : "No regression inputs found in SignatureDef");
    if (classify && find_output(sig, "classes") < 0 && find_output(sig, "scores") < 0)
        return fail_describing(p, "Expected classification signature outputs to contain at least "
                                  "one of \"classes\" or \"scores\". Signature was");
    if (!classify && find_output(sig, "outputs") < 0)
        return fail_describing(p, "No regression outputs found in SignatureDef");
    return SL_OK;
}

sl_code sl_predict_set_examples(sl_predict *p, const sl_tensor *examples)
{
    static const int first[] = {0};
    sl_code rc = sl_predict_check_example_signature(p);
    if (rc)
        return rc;
    if (examples->dims[0] == 0)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Input is empty.");
    p->n_examples = examples->dims[0];
    p->run.n_inputs = 1;
    p->run.input_index = first;
    p->run.inputs = examples;
    return want_all_outputs(p);
}

static sl_code check_batch(sl_predict *p, const char *what, const sl_tensor *t)
{
    if (t->dims[0] == p->n_examples)
        return SL_OK;
    return sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected %s output batch size of %lld. Got: %lld",
                   what, (long long)p->n_examples, (long long)t->dims[0]);
}

static sl_code check_class_tensor(sl_predict *p, const sl_tensor *t)
{
    char shape[160];
    if (t == NULL || t->rank == 2)
        return SL_OK;
    return sl_fail(p->st, SL_INVALID_ARGUMENT,
                   "Expected Tensor shape: [batch_size num_classes] but got %s",
                   sl_shape_text(t->dims, t->rank, shape, sizeof shape));
}

sl_code sl_predict_classify_result(sl_predict *p, const sl_tensor **classes,
                                   const sl_tensor **scores)
{
    int c = find_output(p->signature, "classes"), s = find_output(p->signature, "scores");
    const sl_tensor *ct = c < 0 ? NULL : &p->run.outputs[c];
    const sl_tensor *sct = s < 0 ? NULL : &p->run.outputs[s];
    sl_code rc = check_class_tensor(p, ct);
    if (!rc)
        rc = check_class_tensor(p, sct);
    if (!rc && ct && ct->dtype != SL_DT_STRING)
        rc = sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected classes Tensor of DT_STRING. Got: %s",
                     sl_dtype_wire_name(ct->dtype));
    if (!rc && sct && sct->dtype != SL_DT_FLOAT)
        rc = sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected scores Tensor of DT_FLOAT. Got: %s",
                     sl_dtype_wire_name(sct->dtype));
    if (!rc && ct)
        rc = check_batch(p, "classes", ct);
    if (!rc && sct)
        rc = check_batch(p, "scores", sct);
    if (!rc && ct && sct && ct->dims[1] != sct->dims[1])
        rc = sl_fail(p->st, SL_INVALID_ARGUMENT,
                     "Tensors class and score should match in dim_size(1). Got %lld vs. %lld",
                     (long long)ct->dims[1], (long long)sct->dims[1]);
    *classes = ct;
    *scores = sct;
    return rc;
}

sl_code sl_predict_regress_result(sl_predict *p, const sl_tensor **values)
{
    const sl_tensor *t = &p->run.outputs[find_output(p->signature, "outputs")];
    char shape[160];
    *values = t;
    if (t->rank != 1 && !(t->rank == 2 && t->dims[1] == 1))
        return sl_fail(p->st, SL_INVALID_ARGUMENT,
                       "Expected output Tensor shape to be either [batch_size] or [batch_size, 1] "
                       "but got %s",
                       sl_shape_text(t->dims, t->rank, shape, sizeof shape));
    if (t->dims[0] != p->n_examples)
        return sl_fail(p->st, SL_INVALID_ARGUMENT,
                       "Input batch size did not match output batch size: %lld vs. %lld",
                       (long long)p->n_examples, (long long)t->dims[0]);
    if (t->dtype != SL_DT_FLOAT)
        return sl_fail(p->st, SL_INVALID_ARGUMENT, "Expected output Tensor of DT_FLOAT.  Got: %s",
                       sl_dtype_wire_name(t->dtype));
    return SL_OK;
}

/* ---- running ---- */

static void record(sl_predict *p)
{
    static const char *const labels[] = {"model_name", "API", "runtime", NULL};
    static const char *const api[] = {"Predict", "Classify", "Regress"};
    static _Atomic(sl_metric *) metric;
    if (p->uncounted)
        return;
    sl_metric *m = atomic_load_explicit(&metric, memory_order_acquire);
    if (m == NULL) {
        m = sl_metric_register("/tensorflow/serving/runtime_latency", SL_HISTOGRAM, labels,
                               sl_metric_exponential(10, 1.8, 33), 33);
        atomic_store_explicit(&metric, m, memory_order_release);
    }
    sl_str values[] = {sl_str_of(p->version->model), sl_str_of(api[p->method]), SL_STR("TF1")};
    sl_cell_sample(sl_metric_cell(m, values), (double)p->run_ns / 1000.0);
}

static void run_now(sl_predict *p, uint64_t now)
{
    sl_code rc = p->version->engine->run(p->version->session, &p->run, p->st);
    p->run_ns = sl_now_ns() - now;
    if (rc == SL_OK)
        record(p);
    p->done(p, rc);
}

static void on_worker(sl_job *job, sl_code verdict)
{
    sl_predict *p = (sl_predict *)((char *)job - offsetof(sl_predict, job));
    uint64_t now = sl_now_ns();
    p->queue_ns = now - job->queued_ns;
    if (verdict == SL_CANCELLED)
        p->done(p, sl_fail(p->st, SL_CANCELLED, "the client left before the request was started"));
    else if (verdict)
        p->done(p, sl_fail(p->st, verdict, "the request waited %llu ms and was not started",
                           (unsigned long long)(p->queue_ns / 1000000)));
    else
        run_now(p, now);
}

static void ran_in_batch(sl_batch_task *task, sl_code rc)
{
    sl_predict *p = (sl_predict *)((char *)task - offsetof(sl_predict, task));
    p->queue_ns = task->queue_ns;
    /* Queueing counts as running, as in the original's metric. */
    p->run_ns = sl_now_ns() - p->started_ns;
    if (rc == SL_OK)
        record(p);
    p->done(p, rc);
}

static void run_in_batch(sl_predict *p)
{
    p->task = (sl_batch_task){.run = &p->run, .st = p->st, .done = ran_in_batch};
    sl_code rc = sl_batcher_submit(p->version->batcher, &p->task);
    if (rc)
        p->done(p, rc);
}

static bool cheap(const sl_predict *p)
{
    const sl_engine *e = p->version->engine;
    int64_t elements = 0;
    int64_t cost = e->cost ? e->cost(p->version->session, &p->run, &elements) : -1;
    return cost >= 0 && cost < p->service->in_place_ns && elements <= p->service->in_place_elements;
}

/* ---- limits ---- */

/* Of all strings of a tensor; no more than is needed to know that it is too much. */
static uint64_t string_bytes(const sl_tensor *t, uint64_t most)
{
    const sl_str *s = t->data;
    uint64_t sum = 0;
    for (size_t i = 0, n = t->size / sizeof *s; i < n && sum <= most; i++)
        sum += s[i].n;
    return sum;
}

/* What a front end has not bounded yet while it decoded. Inputs that the signature fills in are
 * counted as well: they are few. */
static sl_code check_limits(sl_predict *p)
{
    const sl_service *s = p->service;
    uint64_t elements = 0, strings = 0;
    for (int i = 0; i < p->run.n_inputs; i++) {
        const sl_tensor *t = &p->run.inputs[i];
        if (s->max_rank > 0 && t->rank > s->max_rank)
            return sl_fail(p->st, SL_INVALID_ARGUMENT,
                           "a tensor of rank %d is not supported: at most %d", t->rank,
                           s->max_rank);
        elements += t->size / sl_dtype_size(t->dtype);
        /* They cannot be larger than what holds them: usually nothing has to be added up. */
        if (s->max_string_bytes > 0 && t->dtype == SL_DT_STRING && p->bytes > s->max_string_bytes)
            strings += string_bytes(t, s->max_string_bytes - strings);
        if (s->max_elements > 0 && elements > s->max_elements)
            return sl_fail(p->st, SL_RESOURCE_EXHAUSTED, "request holds more than %llu elements",
                           (unsigned long long)s->max_elements);
        if (s->max_string_bytes > 0 && strings > s->max_string_bytes)
            return sl_fail(p->st, SL_RESOURCE_EXHAUSTED,
                           "request holds more than %llu bytes of strings",
                           (unsigned long long)s->max_string_bytes);
    }
    return SL_OK;
}

void sl_predict_start(sl_predict *p, sl_where where)
{
    sl_service *s = p->service;
    uint64_t now = sl_now_ns();
    sl_code rc = check_limits(p);
    if (rc) {
        p->done(p, rc);
        return;
    }
    p->started_ns = now;
    p->run.deadline_ns = p->deadline_ns      ? p->deadline_ns
                         : s->run_timeout_ns ? now + s->run_timeout_ns
                                             : 0;
    p->run.cancelled = p->cancelled;
    p->run.threads = s->run_threads > 0 ? s->run_threads : 1;
    if (p->version->batcher != NULL) {
        run_in_batch(p);
        return;
    }
    if (where == SL_RUN_HERE || s->workers == NULL || (where == SL_RUN_HERE_IF_CHEAP && cheap(p))) {
        run_now(p, now);
        return;
    }
    p->job = (sl_job){.run = on_worker,
                      .bytes = p->bytes,
                      .deadline_ns = p->run.deadline_ns,
                      .cancelled = p->cancelled};
    rc = sl_workers_submit(s->workers, &p->job, p->st);
    if (rc)
        p->done(p, rc);
}
