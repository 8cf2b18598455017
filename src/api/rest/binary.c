/* binary.c - see binary.h */
#include "api/rest/binary.h"

#include "codec/examples_pb.h"

bool sl_rest_is_binary(const sl_http_call *call)
{
    const sl_str *type = sl_http_header_find(call, "content-type");
    if (type == NULL)
        return false;
    const char *end = memchr(type->p, ';', type->n);
    sl_str t = {type->p, end ? (size_t)(end - type->p) : type->n};
    while (t.n && (t.p[t.n - 1] == ' ' || t.p[t.n - 1] == '\t'))
        t.n--;
    return sl_str_eq_nocase(t, SL_STR("application/x-protobuf"));
}

/* The guard has judged the URL, so the message cannot choose another model or version. */
static sl_code check_spec(sl_rest_call *r, const sl_pb_model_spec *spec)
{
    const sl_model_spec *url = &r->route.spec;
    r->signature_name = spec->signature_name;
    if (spec->name.n && !sl_str_eq(spec->name, url->model))
        return sl_fail_in(r->http->arena, &r->st, SL_INVALID_ARGUMENT,
                          "model_spec names the model \"%.*s\", the URL \"%.*s\"",
                          SL_STR_ARG(spec->name), SL_STR_ARG(url->model));
    if ((spec->has_version && (!url->has_version || url->version != spec->version)) ||
        (spec->label.n && !sl_str_eq(spec->label, url->label)))
        return sl_fail(&r->st, SL_INVALID_ARGUMENT,
                       "model_spec has another version or label than the URL, which chooses: "
                       "/v1/models/NAME/versions/N or /labels/L");
    return SL_OK;
}

static sl_code resolve(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                       sl_status *st)
{
    sl_rest_call *r = arg;
    (void)st; /* it is r->st */
    sl_code rc = check_spec(r, spec);
    if (rc == SL_OK)
        rc = sl_predict_resolve(&r->predict, &r->route.spec, spec->signature_name);
    *out = r->predict.signature;
    return rc;
}

static sl_code decode_predict(sl_rest_call *r, const sl_pb_limits *limits)
{
    sl_http_call *call = r->http;
    sl_code rc = sl_pb_decode_predict(call->body, call->body_buffer, limits, resolve, r,
                                      call->arena, &r->pb, &r->st);
    if (rc)
        return rc;
    return sl_predict_set_run(&r->predict, r->pb.input_index, r->pb.inputs, r->pb.n_inputs,
                              r->pb.output_index, r->pb.n_outputs);
}

static sl_code decode_examples(sl_rest_call *r, const sl_pb_limits *limits)
{
    sl_http_call *call = r->http;
    sl_pb_examples in;
    sl_code rc =
        sl_pb_decode_examples(call->body, call->body_buffer, limits, call->arena, &in, &r->st);
    if (rc)
        return rc;
    r->examples = in.examples;
    rc = check_spec(r, &in.spec);
    if (rc == SL_OK)
        rc = sl_predict_resolve(&r->predict, &r->route.spec, in.spec.signature_name);
    return rc ? rc : sl_predict_set_examples(&r->predict, &r->examples);
}

sl_code sl_rest_decode_binary(sl_rest_call *r)
{
    static const char *const names[] = {"PredictRequest", "ClassificationRequest",
                                        "RegressionRequest"};
    sl_pb_limits limits = r->rest->opt.pb;
    limits.spec_optional = true;
    r->predict.rpc = true;
    sl_code rc = r->predict.method == SL_METHOD_PREDICT ? decode_predict(r, &limits)
                                                        : decode_examples(r, &limits);
    /* so the codec says that a message is malformed, for gRPC; here it is the client's to mend */
    if (rc == SL_INTERNAL && r->st.msg[0] == '\0')
        rc = sl_fail(&r->st, SL_INVALID_ARGUMENT, "the body is not a %s in protobuf's wire form",
                     names[r->predict.method]);
    return rc;
}

sl_code sl_rest_encode_binary(sl_rest_call *r)
{
    sl_predict *p = &r->predict;
    sl_chain *out = &r->http->reply;
    sl_pb_result result = {.used = {.model = r->route.spec.model,
                                    .version = p->version->number,
                                    .signature_name = sl_str_of(p->signature->key)}};
    sl_code rc;
    switch (p->method) {
    case SL_METHOD_CLASSIFY:
        rc = sl_predict_classify_result(p, &result.classes, &result.scores);
        return rc ? rc : sl_pb_encode_classify(&result, out, &r->st);
    case SL_METHOD_REGRESS:
        rc = sl_predict_regress_result(p, &result.values);
        return rc ? rc : sl_pb_encode_regress(&result, out, &r->st);
    default:
        return sl_pb_encode_predict(&result.used, p->signature, p->run.output_index, p->run.outputs,
                                    p->run.n_outputs, r->rest->opt.as_content, out, r->http->arena,
                                    &r->st);
    }
}

void sl_rest_release_binary(sl_rest_call *r)
{
    sl_pb_predict_release(&r->pb);
}
