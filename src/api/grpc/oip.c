/*
 * oip.c - inference.GRPCInferenceService: the Open Inference Protocol over gRPC
 *
 * What api/oip does over REST, with the messages of codec/oip_pb.h. Inference goes the way of
 * Predict (infer.h); loading and unloading waits on the changer's thread.
 *
 * Source: open_inference_grpc.proto; Triton's extension_model_repository.md.
 */
#include "api/oip/oip.h"
#include "api/grpc/infer.h"
#include "base/clock.h"
#include "codec/oip_pb.h"
#include "service/shadow.h"

/* ---- ModelInfer ---- */

typedef struct infer {
    sl_grpc_call call;
    sl_predict predict;
    bool decoded; /* request holds tensors */
    sl_oip_request request;
    sl_oip_run run;
} infer;

static sl_code decode(infer *i)
{
    sl_grpc_call *c = &i->call;
    sl_oip_request *r = &i->request;
    sl_model_spec spec;
    sl_code rc = SL_OK;
    if (!i->decoded) /* else it is from the first time */
        rc = sl_oip_pb_decode(c->message, c->message_buffer, c->http->arena, r, &c->st);
    if (rc)
        return rc;
    i->decoded = true;
    c->model = r->model;
    c->signature = r->signature;
    rc = sl_oip_spec(r->model, r->version, c->http, &spec, &c->st);
    if (rc == SL_OK)
        rc = sl_grpc_approach(c, &i->predict, SL_MAY_PREDICT, &spec);
    if (rc == SL_OK)
        rc = sl_predict_resolve(&i->predict, &spec, r->signature);
    if (i->predict.version != NULL)
        sl_grpc_names_version(c, i->predict.version);
    if (rc == SL_OK)
        rc = sl_oip_match(r, i->predict.signature, c->http->arena, &i->run, &c->st);
    if (rc)
        return rc;
    return sl_predict_set_run(&i->predict, i->run.input_index, i->run.inputs, i->run.n_inputs,
                              i->run.output_index, i->run.n_outputs);
}

static sl_code encode(infer *i)
{
    sl_grpc_call *c = &i->call;
    const sl_predict *p = &i->predict;
    const sl_oip_answer a = {.model = c->model,
                             .id = i->request.id,
                             .version = p->version->number,
                             .signature = p->signature,
                             .output_index = p->run.output_index,
                             .outputs = p->run.outputs,
                             .n_outputs = p->run.n_outputs};
    sl_grpc_reply r;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    return sl_grpc_reply_end(c, &r,
                             sl_oip_pb_encode(&a, i->request.binary, out, c->http->arena, &c->st));
}

static void ran(sl_predict *p, sl_code rc)
{
    infer *i = (infer *)((char *)p - offsetof(infer, predict));
    sl_http_spend(i->call.http, p->run_ns);
    i->call.queue_ns += p->queue_ns;
    i->call.run_ns = p->run_ns;
    sl_grpc_finish(&i->call, rc ? rc : encode(i));
}

static void begin_infer(sl_grpc_call *c, sl_where where)
{
    infer *i = (infer *)c;
    uint64_t begin_ns = sl_now_ns();
    sl_grpc_predict_init(c, &i->predict);
    i->predict.method = SL_METHOD_PREDICT;
    i->predict.done = ran;
    sl_code rc = decode(i);
    if (sl_grpc_unwound(c, where))
        return;
    c->decode_ns = sl_now_ns() - begin_ns;
    if (rc)
        sl_grpc_finish(c, rc);
    else
        sl_predict_start(&i->predict, where);
}

static sl_shadow *copy_infer(sl_grpc_call *c)
{
    return sl_shadow_take(&((infer *)c)->predict);
}

static void release_infer(sl_grpc_call *c)
{
    infer *i = (infer *)c;
    sl_oip_request_release(&i->request);
    sl_predict_fini(&i->predict);
}

/* ---- what is asked about ---- */

static void reply_bool(sl_grpc_call *c, bool value)
{
    sl_grpc_reply r;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    sl_oip_pb_encode_bool(value, out);
    sl_grpc_finish(c, sl_grpc_reply_end(c, &r, SL_OK));
}

static void begin_live(sl_grpc_call *c, sl_where where)
{
    (void)where;
    reply_bool(c, true);
}

static void begin_ready(sl_grpc_call *c, sl_where where)
{
    const sl_grpc_options *o = &c->grpc->opt;
    (void)where;
    reply_bool(c, atomic_load(o->started) && !atomic_load(o->draining));
}

static void begin_server_metadata(sl_grpc_call *c, sl_where where)
{
    static const char *const extensions[] = {SL_OIP_EXTENSIONS};
    sl_grpc_reply r;
    (void)where;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    sl_oip_pb_encode_server(extensions, sizeof extensions / sizeof *extensions, out);
    sl_grpc_finish(c, sl_grpc_reply_end(c, &r, SL_OK));
}

/* The model that a ModelReadyRequest or ModelMetadataRequest is about. */
static sl_code decode_model(sl_grpc_call *c, sl_model_spec *spec)
{
    sl_str name, version;
    sl_code rc = sl_oip_pb_decode_model(c->message, &name, &version, &c->st);
    c->model = name;
    return rc ? rc : sl_oip_spec(name, version, c->http, spec, &c->st);
}

/* A model that nobody knows is not ready, either. */
static void begin_model_ready(sl_grpc_call *c, sl_where where)
{
    sl_model_spec spec;
    bool ready = false;
    (void)where;
    sl_code rc = decode_model(c, &spec);
    if (rc == SL_OK)
        rc = sl_grpc_may(c, SL_MAY_STATUS, spec.model, SL_STR(""));
    if (rc == SL_OK)
        rc = sl_oip_ready(c->grpc->opt.service, &spec, c->http->arena, &ready, &c->st);
    if (rc && rc != SL_NOT_FOUND)
        sl_grpc_finish(c, rc);
    else
        reply_bool(c, ready);
}

typedef struct metadata {
    sl_grpc_call call;
    sl_predict predict; /* holds the version */
} metadata;

static sl_code encode_metadata(metadata *m)
{
    sl_grpc_call *c = &m->call;
    sl_model_spec spec;
    sl_grpc_reply r;
    int64_t *versions;
    int n;
    sl_code rc = decode_model(c, &spec);
    if (rc == SL_OK)
        rc = sl_grpc_approach(c, &m->predict, SL_MAY_METADATA, &spec);
    if (rc == SL_OK)
        rc = sl_predict_resolve_version(&m->predict, &spec);
    if (rc == SL_OK)
        rc = sl_oip_versions(c->grpc->opt.service, &spec, c->http->arena, &versions, &n, &c->st);
    if (rc)
        return rc;
    sl_grpc_names_version(c, m->predict.version);
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    rc = sl_oip_pb_encode_metadata(c->model, versions, n, sl_oip_main_signature(m->predict.version),
                                   out, &c->st);
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

/* ---- the repository ---- */

static sl_code encode_index(sl_grpc_call *c)
{
    const sl_grpc_options *o = &c->grpc->opt;
    sl_oip_model *models;
    sl_grpc_reply r;
    size_t n;
    bool ready;
    sl_code rc = sl_oip_pb_decode_index(c->message, &ready, &c->st);
    if (rc == SL_OK)
        rc = sl_oip_index(o->service, o->guard, &c->admission, ready, c->http->arena, &models, &n,
                          &c->st);
    if (rc)
        return rc;
    sl_chain *out = sl_grpc_reply_begin(c, &r);
    return sl_grpc_reply_end(c, &r, sl_oip_pb_encode_index(models, n, out, &c->st));
}

static void begin_index(sl_grpc_call *c, sl_where where)
{
    (void)where;
    sl_grpc_finish(c, encode_index(c));
}

typedef struct change {
    sl_grpc_call call;
    sl_oip_change change;
} change;

static void changed(sl_oip_change *x, sl_code rc)
{
    sl_grpc_call *c = &((change *)((char *)x - offsetof(change, change)))->call;
    sl_grpc_reply r;
    if (rc == SL_OK) {
        (void)sl_grpc_reply_begin(c, &r);
        rc = sl_grpc_reply_end(c, &r, SL_OK);
    }
    sl_grpc_finish(c, rc);
}

static void begin_change(sl_grpc_call *c, bool load)
{
    change *x = (change *)c;
    sl_str name;
    sl_code rc = sl_oip_pb_decode_change(c->message, &name, &c->st);
    c->model = name; /* for the access log */
    if (rc == SL_OK)
        rc = sl_grpc_may(c, SL_MAY_ADMIN, name, SL_STR(""));
    x->change = (sl_oip_change){.model = name, .load = load, .st = &c->st, .done = changed};
    if (rc == SL_OK)
        rc = sl_oip_changer_submit(&c->grpc->opt.oip->changer, &x->change);
    if (rc)
        sl_grpc_finish(c, rc);
}

static void begin_load(sl_grpc_call *c, sl_where where)
{
    (void)where;
    begin_change(c, true);
}

static void begin_unload(sl_grpc_call *c, sl_where where)
{
    (void)where;
    begin_change(c, false);
}

#define PATH(name) "/inference.GRPCInferenceService/" name
const sl_grpc_method sl_grpc_oip_infer = {.path = PATH("ModelInfer"),
                                          .api = "ModelInfer",
                                          .size = sizeof(infer),
                                          .infers = true,
                                          .begin = begin_infer,
                                          .copy = copy_infer,
                                          .release = release_infer};
const sl_grpc_method sl_grpc_oip_live = {
    .path = PATH("ServerLive"), .size = sizeof(sl_grpc_call), .open = true, .begin = begin_live};
const sl_grpc_method sl_grpc_oip_ready = {
    .path = PATH("ServerReady"), .size = sizeof(sl_grpc_call), .open = true, .begin = begin_ready};
const sl_grpc_method sl_grpc_oip_model_ready = {
    .path = PATH("ModelReady"), .size = sizeof(sl_grpc_call), .begin = begin_model_ready};
const sl_grpc_method sl_grpc_oip_server_metadata = {
    .path = PATH("ServerMetadata"), .size = sizeof(sl_grpc_call), .begin = begin_server_metadata};
const sl_grpc_method sl_grpc_oip_model_metadata = {.path = PATH("ModelMetadata"),
                                                   .size = sizeof(metadata),
                                                   .begin = begin_metadata,
                                                   .release = release_metadata};
const sl_grpc_method sl_grpc_oip_index = {
    .path = PATH("RepositoryIndex"), .size = sizeof(sl_grpc_call), .begin = begin_index};
const sl_grpc_method sl_grpc_oip_load = {
    .path = PATH("RepositoryModelLoad"), .size = sizeof(change), .begin = begin_load};
const sl_grpc_method sl_grpc_oip_unload = {
    .path = PATH("RepositoryModelUnload"), .size = sizeof(change), .begin = begin_unload};
