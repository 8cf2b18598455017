/* infer.c - see infer.h */
#include "api/rest/infer.h"

#include "api/rest/binary.h"
#include "base/clock.h"
#include "codec/examples_json.h"

static sl_code resolve(void *arg, sl_str name, const sl_signature **out, sl_status *st)
{
    sl_rest_call *r = arg;
    (void)st; /* it is r->st */
    r->signature_name = name;
    sl_code rc = sl_predict_resolve(&r->predict, &r->route.spec, name);
    *out = r->predict.signature;
    return rc;
}

static sl_code decode_predict(sl_rest_call *r)
{
    sl_code rc = sl_json_decode_predict(r->http->body, &r->rest->opt.json, resolve, r,
                                        r->http->arena, &r->json, &r->st);
    if (rc)
        return rc;
    r->row_format = r->json.row_format;
    return sl_predict_set_inputs(&r->predict, r->json.input_index, r->json.inputs,
                                 r->json.n_inputs);
}

static sl_code decode_examples(sl_rest_call *r)
{
    sl_json_examples ex;
    sl_code rc =
        sl_json_decode_examples(r->http->body, &r->rest->opt.json, r->http->arena, &ex, &r->st);
    if (rc)
        return rc;
    r->examples = ex.examples;
    r->signature_name = ex.signature_name;
    rc = sl_predict_resolve(&r->predict, &r->route.spec, ex.signature_name);
    return rc ? rc : sl_predict_set_examples(&r->predict, &r->examples);
}

static sl_code decode(sl_rest_call *r)
{
    uint64_t begin = sl_now_ns();
    if (!sl_http_unpack(r->http))
        return sl_fail(&r->st, SL_UNAVAILABLE, SL_HTTP_NO_ROOM);
    /* The original goes on with an empty body, and its client is told that "the document is
     * empty". */
    if (r->http->body_undecodable)
        return sl_fail(&r->st, SL_INVALID_ARGUMENT,
                       "the gzip body cannot be decompressed: it is damaged, cut off, or larger "
                       "than the limit");
    sl_code rc;
    if (r->binary)
        rc = sl_rest_decode_binary(r);
    else
        rc = r->predict.method == SL_METHOD_PREDICT ? decode_predict(r) : decode_examples(r);
    r->decode_ns = sl_now_ns() - begin;
    return rc;
}

static sl_code encode(sl_rest_call *r)
{
    sl_predict *p = &r->predict;
    sl_chain *out = &r->http->reply;
    const sl_tensor *classes, *scores, *values;
    sl_code rc;
    switch (p->method) {
    case SL_METHOD_CLASSIFY:
        rc = sl_predict_classify_result(p, &classes, &scores);
        return rc ? rc : sl_json_encode_classify(classes, scores, out, &r->st);
    case SL_METHOD_REGRESS:
        rc = sl_predict_regress_result(p, &values);
        return rc ? rc : sl_json_encode_regress(values, out, &r->st);
    default:
        return sl_json_encode_predict(p->signature, p->run.output_index, p->run.outputs,
                                      p->run.n_outputs, r->row_format, out, r->http->arena, &r->st);
    }
}

static void ran(sl_predict *p, sl_code rc)
{
    sl_rest_call *r = (sl_rest_call *)((char *)p - offsetof(sl_rest_call, predict));
    sl_http_spend(r->http, p->run_ns);
    if (rc == SL_OK) {
        uint64_t begin = sl_now_ns();
        rc = r->binary ? sl_rest_encode_binary(r) : encode(r);
        r->encode_ns = sl_now_ns() - begin;
    }
    sl_rest_finish(r, rc);
}

static void decode_on_worker(sl_job *job, sl_code verdict)
{
    sl_rest_call *r = (sl_rest_call *)((char *)job - offsetof(sl_rest_call, decode_job));
    r->predict.queue_ns = sl_now_ns() - job->queued_ns;
    sl_code rc = verdict
                     ? sl_fail(&r->st, verdict, "the request waited too long and was not started")
                     : decode(r);
    if (rc)
        sl_rest_finish(r, rc);
    else
        sl_predict_start(&r->predict, SL_RUN_HERE);
}

static void loaded(sl_predict *p, sl_code rc)
{
    sl_rest_call *r = (sl_rest_call *)((char *)p - offsetof(sl_rest_call, predict));
    if (rc == SL_OK)
        rc = decode(r);
    if (rc)
        sl_rest_finish(r, rc);
    else
        sl_predict_start(p, SL_RUN_HERE);
}

void sl_rest_infer(sl_rest_call *r)
{
    const sl_rest_options *opt = &r->rest->opt;
    sl_http_call *call = r->http;
    r->json.n_inputs = 0;
    r->pb.n_inputs = 0;
    r->binary = opt->extra_routes && sl_rest_is_binary(call);
    r->examples = (sl_tensor){0};
    sl_predict_init(&r->predict, opt->service, call->arena, &r->st);
    r->predict.method = r->route.method;
    r->predict.cancelled = &call->cancelled;
    r->predict.bytes = call->body.n;
    r->predict.done = ran;
    if (sl_predict_await(&r->predict, &r->route.spec, loaded))
        return;
    bool small = !call->body_packed && call->body.n <= opt->here_bytes;
    if (!small && opt->service->workers != NULL) {
        r->decode_job =
            (sl_job){.run = decode_on_worker, .bytes = call->body.n, .cancelled = &call->cancelled};
        sl_code rc = sl_workers_submit(opt->service->workers, &r->decode_job, &r->st);
        if (rc)
            sl_rest_finish(r, rc);
        return;
    }
    sl_code rc = decode(r);
    if (rc) {
        sl_rest_finish(r, rc);
        return;
    }
    bool busy = sl_http_spent_ns(call) > opt->here_round_ns && opt->service->workers != NULL &&
                sl_workers_idle(opt->service->workers);
    sl_predict_start(&r->predict, busy ? SL_RUN_ELSEWHERE : SL_RUN_HERE_IF_CHEAP);
}
