/*
 * model.c - GetModelMetadata and GetModelStatus
 *
 * Source: grpc.md 6 and 7.1.
 */
#include "api/grpc/infer.h"
#include "codec/model_pb.h"

typedef struct metadata {
    sl_grpc_call call;
    sl_predict predict; /* holds the version */
} metadata;

static sl_code encode_metadata(metadata *m)
{
    sl_grpc_call *c = &m->call;
    sl_grpc_reply r;
    sl_pb_model_spec spec;
    sl_code rc = sl_pb_decode_metadata_request(c->message, c->http->arena, &spec, &c->st);
    if (rc)
        return rc;
    c->model = spec.name;
    sl_model_spec wanted = sl_grpc_spec(c, &spec);
    rc = sl_grpc_approach(c, &m->predict, SL_MAY_METADATA, &wanted);
    if (rc)
        return rc;
    rc = sl_predict_resolve_version(&m->predict, &wanted);
    if (rc)
        return rc;
    const sl_version *v = m->predict.version;
    sl_grpc_names_version(c, v);
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    rc = sl_pb_encode_metadata(spec.name, v->number, v->signatures, out, &c->st);
    return sl_grpc_reply_end(c, &r, rc);
}

static void begin_metadata(sl_grpc_call *c, sl_where where)
{
    metadata *m = (metadata *)c;
    sl_grpc_predict_init(c, &m->predict);
    sl_code rc = encode_metadata(m);
    if (!sl_grpc_unwound(c, where))
        sl_grpc_finish(c, rc);
}

static void release_metadata(sl_grpc_call *c)
{
    sl_predict_fini(&((metadata *)c)->predict);
}

static sl_code encode_status(sl_grpc_call *c)
{
    const sl_version_info *list;
    int n;
    sl_grpc_reply r;
    sl_pb_model_spec spec;
    sl_code rc = sl_pb_decode_status_request(c->message, c->http->arena, &spec, &c->st);
    if (rc)
        return rc;
    c->model = spec.name;
    sl_model_spec wanted = sl_grpc_spec(c, &spec);
    rc = sl_grpc_may(c, SL_MAY_STATUS, wanted.model, wanted.label);
    if (rc)
        return rc;
    rc = sl_manager_status(c->grpc->opt.service->manager, &wanted, c->http->arena, &list, &n,
                           &c->st);
    if (rc)
        return rc;
    sl_pb_version_status *shown = sl_arena_try_alloc(c->http->arena, (size_t)n * sizeof *shown);
    if (shown == NULL)
        return sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: %d versions", n);
    for (int i = 0; i < n; i++)
        shown[i] = (sl_pb_version_status){list[i].number, (int)list[i].state, list[i].code,
                                          list[i].message};
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    return sl_grpc_reply_end(c, &r, sl_pb_encode_status(shown, n, out, &c->st));
}

static void begin_status(sl_grpc_call *c, sl_where where)
{
    (void)where;
    sl_grpc_finish(c, encode_status(c));
}

const sl_grpc_method sl_grpc_model_metadata = {
    .path = "/tensorflow.serving.PredictionService/GetModelMetadata",
    .size = sizeof(metadata),
    .begin = begin_metadata,
    .release = release_metadata};
const sl_grpc_method sl_grpc_model_status = {.path =
                                                 "/tensorflow.serving.ModelService/GetModelStatus",
                                             .size = sizeof(sl_grpc_call),
                                             .begin = begin_status};
