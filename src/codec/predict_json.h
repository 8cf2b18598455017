/*
 * predict_json.h - the JSON of :predict, straight into tensors and back
 *
 * Decoding is one pass over the body: no tree, no recursion. A number token is turned into the
 * tensor's dtype where it stands. The signature decides the dtype, so it must be known before the
 * first value: the decoder asks for it with `resolve` as soon as it can. Members of the root object
 * may come in any order; where "signature_name" comes after the values and names another signature
 * than the one assumed, the values are decoded again.
 *
 * Which error wins is part of the contract (rest.md 6.1): syntax anywhere in the document, then the
 * type of signature_name, then what resolve() says (model, signature, no inputs), then instances
 * and inputs. So after a semantic error the rest is still read for its syntax.
 *
 * Source: rest.md sections 6 and 7.
 */
#ifndef SL_CODEC_PREDICT_JSON_H
#define SL_CODEC_PREDICT_JSON_H

#include "base/arena.h"
#include "base/chain.h"
#include "sluice/signature.h"

typedef struct sl_json_limits {
    int max_depth;             /* nested arrays and objects; beyond: INVALID_ARGUMENT. default 10000
                                (a level costs one bit), at most SL_JSON_MAX_DEPTH */
    int64_t max_elements;      /* of all tensors of a request together; default 2^31 */
    size_t max_string_bytes;   /* of all string values together; default 1 GiB */
    size_t max_expanded_bytes; /* of the context of Examples, once for each of them: what is made of
                                  a request beyond what was sent. default 16 MiB */
} sl_json_limits;
void sl_json_limits_default(sl_json_limits *l);

/* Which signature: called once, or twice when the first assumption was wrong. name.n == 0: none was
 * given; otherwise it is in the arena.
 * Sets *out, or fails with the status that the client is to see. */
typedef sl_code (*sl_signature_resolver)(void *arg, sl_str name, const sl_signature **out,
                                         sl_status *st);

typedef struct sl_json_predict {
    bool row_format; /* "instances", not "inputs" */
    const sl_signature *signature;
    int n_inputs;      /* as many as sent; in the order of the signature's inputs */
    int *input_index;  /* ascending positions in the signature's inputs; from the arena */
    sl_tensor *inputs; /* ours until released: sl_json_predict_release */
} sl_json_predict;

/*
 * Decodes a request body. Arrays come from `arena`; tensors are new buffers. On failure nothing is
 * left to release and st holds code and message exactly as rest.md words them (long dumps:
 * st->more). `resolve` is called with `arg`; any other memory that a client can make big is
 * allocated with try_.
 */
sl_code sl_json_decode_predict(sl_str body, const sl_json_limits *limits,
                               sl_signature_resolver resolve, void *arg, sl_arena *arena,
                               sl_json_predict *out, sl_status *st);
void sl_json_predict_release(sl_json_predict *p);

/*
 * Writes the reply: outputs[i] belongs to signature->outputs[output_index[i]]. Layout and digits
 * are those of rest.md section 7. On failure `out` holds rubbish: reset it.
 */
sl_code sl_json_encode_predict(const sl_signature *signature, const int *output_index,
                               const sl_tensor *outputs, int n_outputs, bool row_format,
                               sl_chain *out, sl_arena *arena, sl_status *st);

#endif
