/* infer.c - see infer.h */
#include "api/grpc/infer.h"

#include "api/rest/rest.h"
#include "base/clock.h"
#include "service/shadow.h"

typedef struct infer {
    sl_grpc_call call;
    sl_predict predict;
    bool decoded;            /* one of these holds tensors */
    sl_pb_predict sent;      /* Predict */
    sl_pb_examples examples; /* Classify, Regress */
} infer;

static infer *of(sl_predict *p)
{
    return (infer *)((char *)p - offsetof(infer, predict));
}

sl_model_spec sl_grpc_spec(const sl_grpc_call *c, const sl_pb_model_spec *spec)
{
    return (sl_model_spec){.model = spec->name,
                           .has_version = spec->has_version,
                           .version = spec->version,
                           .label = spec->label,
                           .header = sl_rest_header_value, /* metadata are headers */
                           .header_arg = c->http};
}

void sl_grpc_predict_init(sl_grpc_call *c, sl_predict *p)
{
    if (c->looked)
        return;
    sl_predict_init(p, c->grpc->opt.service, c->http->arena, &c->st);
    p->rpc = true;
    p->cancelled = &c->http->cancelled;
    p->deadline_ns = c->deadline_ns;
    p->bytes = c->message.n;
}

sl_code sl_grpc_approach(sl_grpc_call *c, sl_predict *p, sl_permission what,
                         const sl_model_spec *wanted)
{
    if (c->looked)
        return SL_OK;
    sl_code rc = sl_grpc_may(c, what, wanted->model, wanted->label);
    return rc == SL_OK && sl_grpc_await(c, p, wanted) ? SL_UNAVAILABLE : rc;
}

sl_pb_used sl_grpc_used(const sl_grpc_call *c, const sl_predict *p)
{
    return (sl_pb_used){.model = c->model,
                        .version = p->version->number,
                        .signature_name = sl_str_of(p->signature->key)};
}

/* ---- decode ---- */

static sl_code resolve(infer *i, const sl_pb_model_spec *spec)
{
    sl_model_spec wanted = sl_grpc_spec(&i->call, spec);
    i->call.model = spec->name;
    i->call.signature = spec->signature_name;
    sl_code rc = sl_grpc_approach(&i->call, &i->predict, SL_MAY_PREDICT, &wanted);
    if (rc)
        return rc;
    rc = sl_predict_resolve(&i->predict, &wanted, spec->signature_name);
    if (i->predict.version != NULL)
        sl_grpc_names_version(&i->call, i->predict.version);
    return rc;
}

static sl_code resolve_signature(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                                 sl_status *st)
{
    infer *i = arg;
    (void)st; /* it is the call's */
    sl_code rc = resolve(i, spec);
    *out = i->predict.signature;
    return rc;
}

static sl_code decode_predict(infer *i)
{
    sl_grpc_call *c = &i->call;
    sl_pb_predict *s = &i->sent;
    sl_code rc = sl_pb_decode_predict(c->message, c->message_buffer, &c->grpc->opt.pb,
                                      resolve_signature, i, c->http->arena, s, &c->st);
    if (rc)
        return rc;
    i->decoded = true;
    return sl_predict_set_run(&i->predict, s->input_index, s->inputs, s->n_inputs, s->output_index,
                              s->n_outputs);
}

static sl_code decode_examples(infer *i)
{
    sl_grpc_call *c = &i->call;
    sl_code rc = SL_OK;
    if (!i->decoded) /* else it is from the first time */
        rc = sl_pb_decode_examples(c->message, c->message_buffer, &c->grpc->opt.pb, c->http->arena,
                                   &i->examples, &c->st);
    if (rc)
        return rc;
    i->decoded = true;
    rc = resolve(i, &i->examples.spec);
    return rc ? rc : sl_predict_set_examples(&i->predict, &i->examples.examples);
}

/* ---- encode ---- */

static sl_code encode_message(infer *i, sl_chain *out)
{
    sl_grpc_call *c = &i->call;
    sl_predict *p = &i->predict;
    sl_pb_used used = sl_grpc_used(c, p);
    sl_pb_result r = {.used = used};
    sl_code rc;
    switch (p->method) {
    case SL_METHOD_CLASSIFY:
        rc = sl_predict_classify_result(p, &r.classes, &r.scores);
        return rc ? rc : sl_pb_encode_classify(&r, out, &c->st);
    case SL_METHOD_REGRESS:
        rc = sl_predict_regress_result(p, &r.values);
        return rc ? rc : sl_pb_encode_regress(&r, out, &c->st);
    default:
        return sl_pb_encode_predict(&used, p->signature, p->run.output_index, p->run.outputs,
                                    p->run.n_outputs, c->grpc->opt.as_content, out, c->http->arena,
                                    &c->st);
    }
}

static sl_code encode(infer *i)
{
    sl_grpc_reply r;
    sl_chain *out = sl_grpc_reply_begin(&i->call, &r);
    return sl_grpc_reply_end(&i->call, &r, encode_message(i, out));
}

/* ---- the way through ---- */

static void ran(sl_predict *p, sl_code rc)
{
    infer *i = of(p);
    sl_http_spend(i->call.http, p->run_ns);
    i->call.queue_ns += p->queue_ns;
    i->call.run_ns = p->run_ns;
    if (rc == SL_OK)
        rc = encode(i);
    sl_grpc_finish(&i->call, rc);
}

static void begin(sl_grpc_call *c, sl_where where, sl_method method)
{
    infer *i = (infer *)c;
    uint64_t begin_ns = sl_now_ns();
    sl_grpc_predict_init(c, &i->predict);
    i->predict.method = method;
    i->predict.done = ran;
    sl_code rc = method == SL_METHOD_PREDICT ? decode_predict(i) : decode_examples(i);
    if (sl_grpc_unwound(c, where))
        return;
    c->decode_ns = sl_now_ns() - begin_ns;
    if (rc)
        sl_grpc_finish(c, rc);
    else
        sl_predict_start(&i->predict, where);
}

static void predict(sl_grpc_call *c, sl_where where)
{
    begin(c, where, SL_METHOD_PREDICT);
}

static void classify(sl_grpc_call *c, sl_where where)
{
    begin(c, where, SL_METHOD_CLASSIFY);
}

static void regress(sl_grpc_call *c, sl_where where)
{
    begin(c, where, SL_METHOD_REGRESS);
}

static sl_shadow *copy(sl_grpc_call *c)
{
    return sl_shadow_take(&((infer *)c)->predict);
}

static void release(sl_grpc_call *c)
{
    infer *i = (infer *)c;
    if (i->decoded && i->predict.method == SL_METHOD_PREDICT)
        sl_pb_predict_release(&i->sent);
    else if (i->decoded)
        sl_tensor_release(&i->examples.examples);
    sl_predict_fini(&i->predict);
}

#define METHOD(name, fn)                                                                           \
    {                                                                                              \
        .path = "/tensorflow.serving.PredictionService/" name, .api = name, .size = sizeof(infer), \
        .infers = true, .begin = fn, .copy = copy, .release = release                              \
    }
const sl_grpc_method sl_grpc_predict = METHOD("Predict", predict);
const sl_grpc_method sl_grpc_classify = METHOD("Classify", classify);
const sl_grpc_method sl_grpc_regress = METHOD("Regress", regress);
