/*
 * oip.h - the Open Inference Protocol's requests and answers, whether JSON or protobuf
 *
 * A request names its tensors, each with datatype and shape, and perhaps the outputs that it wants.
 * It is decoded without knowing the model; then its tensors are brought into the signature's order:
 *
 *     sl_oip_json_decode | sl_oip_pb_decode      bytes -> request
 *     sl_oip_match                               request, signature -> inputs and outputs of a run
 *     sl_oip_json_encode | sl_oip_pb_encode      outputs -> bytes
 *     sl_oip_request_release
 *
 * The protocol knows no signatures: the parameter "signature_name" of a request chooses one.
 *
 * Source: kserve/open-inference-protocol, specification/protocol; Triton's
 * extension_binary_data.md.
 */
#ifndef SL_CODEC_OIP_H
#define SL_CODEC_OIP_H

#include "base/arena.h"
#include "base/chain.h"
#include "sluice/signature.h"

/* "FP32"; NULL if the protocol has no name for it. Quantized numbers are called what they are made
 * of. */
const char *sl_oip_datatype(sl_dtype t);
/* The dtype of that name, or SL_DT_INVALID. */
sl_dtype sl_oip_dtype(sl_str name);

typedef struct sl_oip_input {
    sl_str name;
    sl_tensor tensor;
} sl_oip_input;

typedef struct sl_oip_output {
    sl_str name;
    bool binary;  /* JSON: behind the text, not in it */
    bool says_so; /* ... or not: it is said for this output, not for all of them */
} sl_oip_output;

/* Points into the message and the arena. */
typedef struct sl_oip_request {
    sl_str model, version; /* protobuf only */
    sl_str id;             /* n == 0: none */
    sl_str signature;      /* n == 0: the default one */
    sl_oip_input *inputs;  /* tensors are ours until sl_oip_request_release */
    size_t n_inputs;
    sl_oip_output *outputs; /* n_outputs 0: all of them */
    size_t n_outputs;
    bool binary; /* JSON: outputs are binary unless they say otherwise; protobuf: raw contents */
} sl_oip_request;

void sl_oip_request_release(sl_oip_request *r);

/* What a run needs; the tensors stay the request's, or are the signature's defaults. */
typedef struct sl_oip_run {
    int *input_index, n_inputs;
    sl_tensor *inputs;
    int *output_index, n_outputs;
    bool *binary; /* for each of the outputs */
} sl_oip_run;

/* INVALID_ARGUMENT: an input or output that the signature does not know, one that is given twice,
 * one that is missing; RESOURCE_EXHAUSTED. */
sl_code sl_oip_match(const sl_oip_request *r, const sl_signature *sig, sl_arena *arena,
                     sl_oip_run *out, sl_status *st);

/* ---- parts of the codecs ---- */

/* The tensor that stands in `bytes`, little-endian, row by row; BYTES are each four bytes of
 * length and so many bytes. Shares `lender`, which holds them, where it can (NULL: it never can).
 * `name` is for errors: INVALID_ARGUMENT, RESOURCE_EXHAUSTED. */
sl_code sl_oip_raw(sl_str name, sl_dtype dtype, const int64_t *dims, int rank, sl_str bytes,
                   sl_buffer *lender, sl_tensor *out, sl_status *st);
/* The other way: how many bytes that takes, and those. Large ones are lent. */
size_t sl_oip_raw_size(const sl_tensor *t);
void sl_oip_put_raw(const sl_tensor *t, sl_chain *out);
/* Checks rank, dims and their product; *count gets it. */
sl_code sl_oip_check_shape(sl_str name, sl_dtype dtype, const int64_t *dims, int rank,
                           size_t *count, sl_status *st);

/* What an answer says besides its outputs. */
typedef struct sl_oip_answer {
    sl_str model, id;
    int64_t version;
    const sl_signature *signature;
    const int *output_index;
    const sl_tensor *outputs;
    const bool *binary;
    int n_outputs;
} sl_oip_answer;
/* UNIMPLEMENTED: an output whose dtype the protocol has no name for. */
sl_code sl_oip_check_answer(const sl_oip_answer *a, sl_status *st);

#endif
