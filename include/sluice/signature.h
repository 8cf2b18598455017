/*
 * signature.h - what a servable can be asked
 *
 * A signature names a sub-graph: which tensors are fed, which are fetched. Inputs, outputs and the
 * signatures of a model are sorted by key, so a position in those arrays is a stable name for one
 * of them: engine, service and codec all speak of "input 2 of signature 0".
 *
 * Source: tensorflow/core/protobuf/meta_graph.proto, SignatureDef and TensorInfo.
 */
#ifndef SLUICE_SIGNATURE_H
#define SLUICE_SIGNATURE_H

#include "sluice/tensor.h"

typedef struct sl_tensor_info {
    const char *key;  /* the alias that clients use: "x" */
    const char *name; /* the graph's tensor: "x:0"; NULL for coo_sparse and composite tensors */
    sl_dtype dtype;   /* as declared, a _REF included; may be wrong: only the graph decides */
    int rank;         /* -1: unknown. The shape, too, is only declared, never enforced */
    int64_t dims[SL_MAX_RANK]; /* -1: unknown */
} sl_tensor_info;

typedef struct sl_signature {
    const char *key;         /* "serving_default" */
    const char *method_name; /* "tensorflow/serving/predict"; never NULL */
    const sl_tensor_info *inputs;
    int n_inputs;
    const sl_tensor_info *outputs;
    int n_outputs;
    /* A value for each input that a request may leave out, or NULL if there are none at all;
     * defaults[i].dtype is SL_DT_INVALID where input i has none. */
    const sl_tensor *defaults;
    sl_str def; /* the SignatureDef as it stands in the file: metadata prints all of it */
} sl_signature;

/*
 * All signatures of one meta graph, hidden ones ("__saved_model_...") included.
 *
 * Behind them, at list[count], there may be their union: what the tasks of a MultiInference can ask
 * in one run. It has the input and the outputs of each signature that may be such a task, each
 * tensor once; the keys are the tensors' names. Nobody finds it by its own key.
 */
typedef struct sl_signatures {
    const sl_signature *list;
    int count;
    bool has_union;
} sl_signatures;

/* Position of the signature with that key, or -1. */
int sl_signatures_find(const sl_signatures *all, sl_str key);
/* Position of the input or output with that key, or -1. Binary search. */
int sl_tensor_infos_find(const sl_tensor_info *infos, int count, sl_str key);

/* A copy of everything, in one piece of memory besides the defaults' buffers, which are shared;
 * NULL when memory cannot be had. Freed with sl_signatures_free (accepts NULL). */
sl_signatures *sl_signatures_try_dup(const sl_signatures *all) SL_MUST_CHECK;
void sl_signatures_free(sl_signatures *all);

#endif
