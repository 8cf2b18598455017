/*
 * infer.c - one infer request
 *
 *     loop     begin -> decode -> start ----------- cheap ----------> ran -> finish
 *     worker   a large body -> decode -> run here ------------------> ran -> finish, posted
 */
#include "api/oip/call.h"
#include "base/clock.h"

sl_code sl_oip_check_body(sl_oip_call *c)
{
    if (!sl_http_unpack(c->http))
        return sl_fail(&c->st, SL_UNAVAILABLE, SL_HTTP_NO_ROOM);
    if (!c->http->body_undecodable)
        return SL_OK;
    return sl_fail(&c->st, SL_INVALID_ARGUMENT,
                   "the gzip body cannot be decompressed: it is damaged, cut off, or larger than "
                   "the limit");
}

bool sl_oip_hand_over(sl_oip_call *c, void (*run)(sl_job *job, sl_code verdict))
{
    const sl_oip_options *opt = &c->oip->opt;
    sl_http_call *call = c->http;
    sl_workers *workers = opt->service->workers;
    if (workers == NULL || (!call->body_packed && call->body.n <= opt->here_bytes))
        return false;
    c->job = (sl_job){.run = run, .bytes = call->body.n, .cancelled = &call->cancelled};
    sl_code rc = sl_workers_submit(workers, &c->job, &c->st);
    if (rc)
        sl_oip_finish(c, rc);
    return true;
}

sl_code sl_oip_too_late(sl_oip_call *c, sl_code verdict)
{
    return sl_fail(&c->st, verdict, "the request waited too long and was not started");
}

/* How many bytes of the body are JSON. */
static sl_code json_bytes(sl_oip_call *c, size_t *out)
{
    const sl_str *h = sl_http_header_find(c->http, "inference-header-content-length");
    int64_t n;
    *out = c->http->body.n;
    if (h == NULL)
        return SL_OK;
    if (!sl_str_to_int64(*h, &n) || n < 0)
        return sl_fail(&c->st, SL_INVALID_ARGUMENT,
                       "Inference-Header-Content-Length is not a number of bytes");
    *out = (size_t)n;
    return SL_OK;
}

static sl_code read_body(sl_oip_call *c)
{
    sl_http_call *call = c->http;
    size_t json;
    sl_code rc = sl_oip_check_body(c);
    if (rc == SL_OK)
        rc = json_bytes(c, &json);
    if (rc == SL_OK)
        rc = sl_oip_json_decode(call->body, json, call->body_buffer, c->oip->opt.max_depth,
                                call->arena, &c->request, &c->st);
    if (rc == SL_OK)
        rc = sl_predict_resolve(&c->predict, &c->spec, c->request.signature);
    if (rc == SL_OK)
        rc = sl_oip_match(&c->request, c->predict.signature, call->arena, &c->run, &c->st);
    if (rc)
        return rc;
    return sl_predict_set_run(&c->predict, c->run.input_index, c->run.inputs, c->run.n_inputs,
                              c->run.output_index, c->run.n_outputs);
}

static sl_code decode(sl_oip_call *c)
{
    uint64_t begin = sl_now_ns();
    sl_code rc = read_body(c);
    c->decode_ns = sl_now_ns() - begin;
    return rc;
}

static sl_code encode(sl_oip_call *c)
{
    const sl_predict *p = &c->predict;
    const sl_oip_answer a = {.model = c->route.model,
                             .id = c->request.id,
                             .version = p->version->number,
                             .signature = p->signature,
                             .output_index = p->run.output_index,
                             .outputs = p->run.outputs,
                             .binary = c->run.binary,
                             .n_outputs = p->run.n_outputs};
    uint64_t begin = sl_now_ns();
    sl_code rc = sl_oip_json_encode(&a, &c->http->reply, &c->json_bytes, &c->st);
    for (int i = 0; i < a.n_outputs; i++)
        c->binary |= a.binary[i];
    c->encode_ns = sl_now_ns() - begin;
    return rc;
}

static void ran(sl_predict *p, sl_code rc)
{
    sl_oip_call *c = (sl_oip_call *)((char *)p - offsetof(sl_oip_call, predict));
    sl_http_spend(c->http, p->run_ns);
    sl_oip_finish(c, rc ? rc : encode(c));
}

static void decode_on_worker(sl_job *job, sl_code verdict)
{
    sl_oip_call *c = (sl_oip_call *)((char *)job - offsetof(sl_oip_call, job));
    c->predict.queue_ns = sl_now_ns() - job->queued_ns;
    sl_code rc = verdict ? sl_oip_too_late(c, verdict) : decode(c);
    if (rc)
        sl_oip_finish(c, rc);
    else
        sl_predict_start(&c->predict, SL_RUN_HERE);
}

/* The version that was loaded for this request is there. */
static void loaded(sl_predict *p, sl_code rc)
{
    sl_oip_call *c = (sl_oip_call *)((char *)p - offsetof(sl_oip_call, predict));
    if (rc == SL_OK)
        rc = decode(c);
    if (rc)
        sl_oip_finish(c, rc);
    else
        sl_predict_start(p, SL_RUN_HERE);
}

void sl_oip_infer(sl_oip_call *c)
{
    const sl_oip_options *opt = &c->oip->opt;
    sl_http_call *call = c->http;
    sl_workers *workers = opt->service->workers;
    sl_code rc = sl_oip_spec(c->route.model, c->route.version, call, &c->spec, &c->st);
    c->inferred = true;
    sl_predict_init(&c->predict, opt->service, call->arena, &c->st);
    c->predict.method = SL_METHOD_PREDICT;
    c->predict.rpc = true;
    c->predict.cancelled = &call->cancelled;
    c->predict.bytes = call->body.n;
    c->predict.done = ran;
    if (rc) {
        sl_oip_finish(c, rc);
        return;
    }
    if (sl_predict_await(&c->predict, &c->spec, loaded))
        return;
    if (sl_oip_hand_over(c, decode_on_worker))
        return;
    rc = decode(c);
    if (rc) {
        sl_oip_finish(c, rc);
        return;
    }
    bool busy =
        sl_http_spent_ns(call) > opt->here_round_ns && workers != NULL && sl_workers_idle(workers);
    sl_predict_start(&c->predict, busy ? SL_RUN_ELSEWHERE : SL_RUN_HERE_IF_CHEAP);
}
