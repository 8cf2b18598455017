/*
 * savedmodel.h - a SavedModel directory, read and checked, not yet run
 *
 *     MODEL/<version>/saved_model.pb, variables/..., assets/...
 *
 * Opening a model reads saved_model.pb (or, where there is none, saved_model.pbtxt), picks the meta
 * graph whose tag set equals the wanted one, and indexes it: signatures, nodes, functions, assets,
 * init op, restore op, versions. Variables stay in their files until somebody asks for one
 * (bundle.h). Everything is written for files that are truncated, flipped or made to harm: an error
 * names the file and the place; nothing recurses on what a file says; every count is checked
 * against the bytes that are there.
 *
 * An opened model is immutable: any thread may read it. Strings are views into memory that it
 * owns and live as long as the model.
 *
 * Source: tensorflow/core/protobuf/{saved_model,meta_graph,tensor_bundle,
 * saved_object_graph}.proto; tensorflow/cc/saved_model/loader.cc.
 */
#ifndef SL_SAVEDMODEL_SAVEDMODEL_H
#define SL_SAVEDMODEL_SAVEDMODEL_H

#include "base/str.h"
#include "sluice/engine.h"
#include "sluice/signature.h"

/*
 * Opens DIR. `tags` are the wanted set, NULL or n_tags == 0 for {"serve"}. Errors in TensorFlow's
 * words where it has some (its loader's):
 *   UNIMPLEMENTED        export.meta is there (a session bundle); only saved_model.cpb; a
 *                        big-endian bundle
 *   NOT_FOUND            no saved_model.pb; no meta graph with these tags (names those there are)
 *   DATA_LOSS            cannot be parsed, a wrong checksum, a shard that is missing or too short:
 *                        says file, byte offset and what is wrong
 *   FAILED_PRECONDITION  the init op is not one op
 *   INVALID_ARGUMENT     a node or function that stands twice, an asset outside of assets/, a
 *                        default that is no tensor of its input
 *   RESOURCE_EXHAUSTED   no memory
 * Load thread.
 */
sl_code sl_saved_model_open(const char *dir, const char *const *tags, int n_tags,
                            sl_saved_model **out, sl_status *st);
void sl_saved_model_close(sl_saved_model *m); /* accepts NULL */

const char *sl_saved_model_dir(const sl_saved_model *m);
const sl_signatures *sl_saved_model_signatures(const sl_saved_model *m);

/* ---- the graph ---- */

/* Kinds as in AttrValue's oneof. */
typedef enum sl_attr_kind {
    SL_ATTR_NONE,
    SL_ATTR_S,
    SL_ATTR_I,
    SL_ATTR_F,
    SL_ATTR_B,
    SL_ATTR_TYPE,
    SL_ATTR_SHAPE,
    SL_ATTR_TENSOR,
    SL_ATTR_LIST,
    SL_ATTR_FUNC,
    SL_ATTR_PLACEHOLDER
} sl_attr_kind;

/* One attribute, decoded on demand from its wire form. Lists: one kind for all elements. */
typedef struct sl_attr {
    sl_str name;
    sl_attr_kind kind;
    sl_str wire; /* the AttrValue message; S, PLACEHOLDER: see the accessors */
} sl_attr;

typedef struct sl_node {
    sl_str name;
    sl_str op;
    const sl_str *inputs; /* as written: "a", "a:1", "^a"; in a function "a:out:0" */
    int n_inputs;         /* control inputs included, which come last */
    int n_control;        /* how many of them are control inputs */
    const sl_attr *attrs; /* sorted by name */
    int n_attrs;
} sl_node;

typedef struct sl_arg {
    sl_str name;
    sl_dtype type; /* INVALID if type_attr or type_list_attr decides */
    sl_str type_attr, number_attr, type_list_attr;
    bool is_ref;
} sl_arg;

typedef struct sl_binding {
    sl_str key, value;
} sl_binding;

typedef struct sl_function {
    sl_str name;
    const sl_arg *inputs, *outputs;
    int n_inputs, n_outputs;
    const sl_node *nodes;
    int n_nodes;
    const sl_binding *ret; /* key: an output arg's name; value: "node:out:0" or an input arg */
    int n_ret;
    const sl_binding *control_ret; /* value: the name of a node that must run */
    int n_control_ret;
    bool is_stateful;
    const struct sl_names *index; /* of the nodes: sl_function_find_node */
} sl_function;

typedef struct sl_graph {
    const sl_node *nodes;
    int n_nodes;
    const sl_function *functions;
    int n_functions;
    int producer, min_consumer; /* GraphDef.versions */
    const int *bad_consumers;
    int n_bad_consumers;
    sl_str wire; /* the GraphDef as it stands in the file */
    const struct sl_names *node_index, *function_index;
} sl_graph;

const sl_graph *sl_saved_model_graph(const sl_saved_model *m);
/* NULL if there is none. Hashed. */
const sl_node *sl_graph_find_node(const sl_graph *g, sl_str name);
const sl_function *sl_graph_find_function(const sl_graph *g, sl_str name);
const sl_node *sl_function_find_node(const sl_function *f, sl_str name);

/* A data input taken apart. In a graph "a:1" gives {a, "", 1}; in a function "a:out:1" gives
 * {a, out, 1}, and a bare name is an argument or, with nothing else said, output 0. "^a" gives
 * control = true. False if the number is none. */
typedef struct sl_input {
    sl_str node, out;
    int index;
    bool control;
} sl_input;
bool sl_input_parse(sl_str text, sl_input *out);

const sl_attr *sl_node_attr(const sl_node *n, const char *name); /* NULL if absent */
/* Each gives `otherwise` when the attribute is absent or of another kind. */
int64_t sl_node_int(const sl_node *n, const char *name, int64_t otherwise);
float sl_node_float(const sl_node *n, const char *name, float otherwise);
bool sl_node_bool(const sl_node *n, const char *name, bool otherwise);
sl_str sl_node_str(const sl_node *n, const char *name, const char *otherwise);
sl_dtype sl_node_type(const sl_node *n, const char *name, sl_dtype otherwise);
/* Function name of a FUNC attribute (n == 0 if absent). */
sl_str sl_node_func(const sl_node *n, const char *name);
/* rank -1 and true for an unknown rank; false when absent, of another kind, or of too high a rank.
 */
bool sl_node_shape(const sl_node *n, const char *name, int *rank, int64_t dims[SL_MAX_RANK]);
/* Lists: how many elements (-1: absent or another kind), and element i. */
int sl_node_list_count(const sl_node *n, const char *name);
int64_t sl_node_list_int(const sl_node *n, const char *name, int i);
float sl_node_list_float(const sl_node *n, const char *name, int i);
bool sl_node_list_bool(const sl_node *n, const char *name, int i);
sl_dtype sl_node_list_type(const sl_node *n, const char *name, int i);
sl_str sl_node_list_str(const sl_node *n, const char *name, int i);
sl_str sl_node_list_func(const sl_node *n, const char *name, int i);
bool sl_node_list_shape(const sl_node *n, const char *name, int i, int *rank,
                        int64_t dims[SL_MAX_RANK]);
/* All of a list of ints (types) at once, in linear time: the first `max` go to out; returns how
 * many there are, -1 if absent or not a list. The accessors above walk from the front for each
 * element. */
int sl_node_list_ints(const sl_node *n, const char *name, int64_t *out, int max);
int sl_node_list_types(const sl_node *n, const char *name, sl_dtype *out, int max);
/* The name that a PLACEHOLDER attribute is bound to by the caller's attrs (n == 0 if absent). */
sl_str sl_node_placeholder(const sl_node *n, const char *name);
/* Decodes a TENSOR attribute into a new tensor. The caller releases it. */
sl_code sl_node_tensor(const sl_node *n, const char *name, sl_tensor *out, sl_status *st);

/* ---- what a loader must do ---- */

typedef struct sl_asset {
    sl_str tensor; /* "asset_path_initializer:0" */
    char *path;    /* "<dir>/assets/vocab.txt", with dir as it was given; ".." is refused */
} sl_asset;
const sl_asset *sl_saved_model_assets(const sl_saved_model *m, int *count);

/* Name of the init op's node, or n == 0: __saved_model_init_op, saved_model_main_op,
 * legacy_init_op. */
sl_str sl_saved_model_init_op(const sl_saved_model *m);
/* SaverDef: n == 0 where there is no saver. */
sl_str sl_saved_model_restore_op(const sl_saved_model *m);
sl_str sl_saved_model_filename_tensor(const sl_saved_model *m);
bool sl_saved_model_has_variables(const sl_saved_model *m); /* variables.index is there */
/* "<dir>/variables/variables" */
const char *sl_saved_model_variables_prefix(const sl_saved_model *m);

/*
 * Which checkpoint key fills which variable of the bundle, read off the restore op, or
 * off the object graph where the restore op is not understood.
 */
typedef struct sl_restored {
    sl_str node;            /* the VarHandleOp, VariableV2 or table node in the main graph */
    sl_str key;             /* key in the bundle */
    sl_str shape_and_slice; /* "" or "10 4 7,3:0,4" */
    sl_str values_key;      /* tables only: key is the keys' tensor, this the values' */
} sl_restored;
const sl_restored *sl_saved_model_restored(const sl_saved_model *m, int *count);

/* ---- for people ---- */

typedef struct sl_saved_model_info {
    sl_str tensorflow_version; /* of the writer: "2.14.0"; n == 0 if not recorded */
    sl_str tensorflow_git_version;
    const sl_str *tags;
    int n_tags;
    uint64_t bytes;           /* of all files of the version directory */
    uint64_t variables_bytes; /* of the data shards */
    int n_variables;          /* entries of the index, special keys left out */
    bool is_tf2;              /* has an object graph */
    sl_str fingerprint_uuid;  /* n == 0 if there is no fingerprint.pb */
} sl_saved_model_info;
const sl_saved_model_info *sl_saved_model_about(const sl_saved_model *m);

/* ---- variables (tensor bundle) ---- */

typedef struct sl_bundle_entry {
    sl_str key;
    sl_dtype dtype;
    int rank;
    int64_t dims[SL_MAX_RANK];
    bool sliced; /* its bytes stand in slices, which sl_saved_model_read joins */
} sl_bundle_entry;
/* Ascending by key; special keys left out. */
const sl_bundle_entry *sl_saved_model_entries(const sl_saved_model *m, int *count);

/*
 * Reads one tensor of the bundle: joins slices, decodes strings, verifies crc32c. A non-empty
 * shape_and_slice selects a part. Numeric tensors of at least 64 KiB whose place in the file is
 * aligned for their dtype come straight from the mapped file, without a copy.
 *   NOT_FOUND  no such key        DATA_LOSS  checksum, truncation, shapes: names file and offset
 */
sl_code sl_saved_model_read(const sl_saved_model *m, sl_str key, sl_str shape_and_slice,
                            sl_tensor *out, sl_status *st);

#endif
