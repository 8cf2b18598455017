/*
 * predict_pb.h - PredictRequest and PredictResponse in protobuf's wire form, straight into tensors
 * and back
 *
 * A request is read in place: nothing is built but the tensors and a few arrays in the arena.
 * First the whole message is checked (check_pb.h), so that a malformed one fails before anything
 * else is looked at; then the signature is asked for, then the inputs are decoded in its order.
 *
 *     sl_pb_limits_default(&limits);
 *     rc = sl_pb_decode_predict(body, body_buffer, &limits, resolve, arg, arena, &p, st);
 *     ... run with p.inputs, p.output_index ...
 *     sl_pb_predict_release(&p);
 *
 * tensor_content, and a packed list of floats or doubles with as many values as the shape wants,
 * is not copied where it lies in `buffer` and is aligned for its type: the tensor shares the
 * buffer. So are the bytes of strings, unless they are few.
 *
 * Source: grpc.md 2.1, 2.2, 3, 8 and 10 of the contract.
 */
#ifndef SL_CODEC_PREDICT_PB_H
#define SL_CODEC_PREDICT_PB_H

#include "base/arena.h"
#include "base/chain.h"
#include "sluice/signature.h"

/* A ModelSpec. Points into the message. */
typedef struct sl_pb_model_spec {
    bool present; /* the message was there, perhaps empty */
    sl_str name;
    bool has_version; /* by number; version 0 is one, too */
    int64_t version;
    sl_str label;          /* n > 0: by label */
    sl_str signature_name; /* n == 0: the default one */
} sl_pb_model_spec;

typedef struct sl_pb_limits {
    /* What lists that are shorter than their shape may grow to, and Examples by their common
     * context: all of a request together. Charged before it is allocated; default 16 MiB. */
    size_t max_expanded_bytes;
    bool spec_optional; /* the version is known (warm-up): a ModelSpec may be missing or nameless */
} sl_pb_limits;
void sl_pb_limits_default(sl_pb_limits *l);

/* Which signature: called once, after ModelSpec was found to be there and to have a name. Steps 1
 * (from the manager on) to 3 of grpc.md 3 are its business. Sets *out, or fails with what the
 * client is to see. */
typedef sl_code (*sl_pb_resolver)(void *arg, const sl_pb_model_spec *spec, const sl_signature **out,
                                  sl_status *st);

typedef struct sl_pb_predict {
    sl_pb_model_spec spec;
    const sl_signature *signature;
    /* Every input of the signature, in its order, defaults filled in: input_index[i] == i. Ours
     * until sl_pb_predict_release; the arrays are in the arena. */
    int n_inputs;
    int *input_index;
    sl_tensor *inputs;
    /* The outputs of output_filter, in its order; without one all of the signature. */
    int n_outputs;
    int *output_index;
} sl_pb_predict;

/*
 * Decodes a PredictRequest. `buffer` holds `wire`, or is NULL: then everything is copied. On
 * failure nothing is left to release. Errors are those of grpc.md 3, in its order:
 *   INTERNAL            with an empty message: the bytes are no PredictRequest
 *   INVALID_ARGUMENT    Missing ModelSpec; ModelSpec has no name specified.; what steps 4 to 9 say
 *   RESOURCE_EXHAUSTED  no memory, or more than limits->max_expanded_bytes
 *   what `resolve` says
 */
sl_code sl_pb_decode_predict(sl_str wire, sl_buffer *buffer, const sl_pb_limits *limits,
                             sl_pb_resolver resolve, void *arg, sl_arena *arena, sl_pb_predict *out,
                             sl_status *st);
void sl_pb_predict_release(sl_pb_predict *p);

/* What a reply says of the model that answered: the name that the request used, the version, and
 * the signature with "serving_default" filled in. */
typedef struct sl_pb_used {
    sl_str model;
    int64_t version;
    sl_str signature_name;
} sl_pb_used;

/*
 * Appends a PredictResponse: outputs[i] belongs to signature->outputs[output_index[i]].
 * `as_content`: tensor_content instead of typed lists (--enable_serialization_as_tensor_content).
 * Sizes are computed first, so nothing is moved; large runs of bytes are lent from the tensors'
 * buffers, which the chain keeps. To frame it, reserve the prefix before and fill it in
 * afterwards: a chain never moves bytes. RESOURCE_EXHAUSTED: no memory, or 2 GiB and more.
 * UNIMPLEMENTED: a dtype without a wire form. On failure `out` holds rubbish: reset it.
 */
sl_code sl_pb_encode_predict(const sl_pb_used *used, const sl_signature *signature,
                             const int *output_index, const sl_tensor *outputs, int n_outputs,
                             bool as_content, sl_chain *out, sl_arena *arena, sl_status *st);

#endif
