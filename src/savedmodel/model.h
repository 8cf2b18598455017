/*
 * model.h - what the files of this folder share: the opened model, and how they report damage
 *
 *     saved_model.c   opens, picks the meta graph, about()  text.c    saved_model.pbtxt
 *     graph.c         nodes, functions, their indexes       attrs.c   decodes attributes on demand
 *     signatures.c    SignatureDefs, union.c all at once    assets.c  asset files, init op
 *     bundle.c        variables (sstable.c, crc32c.c)       restore.c which key fills which node
 *
 * Everything but the bundle lives in the model's arena and points into `pb`.
 */
#ifndef SL_SAVEDMODEL_MODEL_H
#define SL_SAVEDMODEL_MODEL_H

#include "base/arena.h"
#include "format/wire.h"
#include "savedmodel/bundle.h"
#include "savedmodel/names.h"
#include "savedmodel/savedmodel.h"

/* The parts of the chosen MetaGraphDef, as they stand in the file; p == NULL where absent. Fields
 * that repeat are walked anew in `wire`. */
typedef struct sl_meta_graph {
    sl_str wire;
    sl_str info, graph, saver, objects;
} sl_meta_graph;

struct sl_saved_model {
    sl_arena arena;
    sl_buffer *pb; /* the SavedModel, in its wire form */
    bool is_text;  /* it stood in saved_model.pbtxt */
    char *dir, *variables_prefix;
    sl_meta_graph meta;
    int n_meta_graphs; /* in the file, whatever their tags */

    sl_graph graph;
    sl_names node_index, function_index;
    sl_signatures signatures;
    sl_asset *assets;
    int n_assets;
    sl_str init_op, restore_op, filename_tensor;
    sl_bundle *bundle;     /* NULL: no variables */
    sl_restored *restored; /* on the heap */
    int n_restored;
    struct sl_kept *kept; /* tensors that strings of `restored` point into */
    sl_saved_model_info info;
};

/* Each reads its part of m->meta into m. */
sl_code sl_model_read_graph(sl_saved_model *m, sl_status *st);
sl_code sl_model_read_signatures(sl_saved_model *m, sl_status *st);
void sl_model_free_signatures(sl_saved_model *m); /* the tensors of the defaults */
/* The signatures' union, into *u, which stands behind them, if there is one (sluice/signature.h).
 */
sl_code sl_model_unite_signatures(sl_saved_model *m, sl_signature *u, sl_status *st);
sl_code sl_model_read_assets(sl_saved_model *m, sl_status *st);
sl_code sl_model_read_init_op(sl_saved_model *m, sl_status *st);
/* After graph and bundle. */
sl_code sl_model_read_restored(sl_saved_model *m, sl_status *st);
void sl_model_free_restored(sl_saved_model *m);
/* For what the restore op does not say: adds to m->restored by the object graph. */
sl_code sl_model_restore_by_objects(sl_saved_model *m, size_t *cap, sl_status *st);
sl_code sl_model_add_restored(sl_saved_model *m, size_t *cap, sl_restored r, sl_status *st);
/* sl_node_tensor with another bound for what a short list may expand to. */
sl_code sl_node_tensor_of(const sl_node *n, const char *name, size_t max_bytes, sl_tensor *out,
                          sl_status *st);

/* Opens a model from the bytes of its files, for tests that have no directory. Either of index and
 * data may be NULL. Takes a reference to each. */
sl_code sl_model_open_bytes(const char *dir, sl_buffer *pb, sl_buffer *index, sl_buffer *data,
                            sl_saved_model **out, sl_status *st);

/* sl_saved_model_open without the variables, whether there are some or not. A file without any meta
 * graph, which is what the first bytes of one look like, is DATA_LOSS here. */
sl_code sl_model_open_graph(const char *dir, const char *const *tags, int n_tags,
                            sl_saved_model **out, sl_status *st);

/* Reads saved_model.pbtxt into m->pb. NOT_FOUND; DATA_LOSS "Can't parse <dir>/saved_model.pbtxt as
 * text proto: <line>:<column>: <what>". */
sl_code sl_model_read_text(sl_saved_model *m, sl_status *st);
/* A SavedModel as text -> its wire form, of at most that many bytes. INVALID_ARGUMENT
 * "<line>:<column>: <what>". */
sl_code sl_model_text_to_wire(sl_str text, size_t most, sl_buffer **out, sl_status *st);

/* "Can't parse <dir>/saved_model.pb as binary proto: <what> at byte <n>"; `at` points into pb. Of
 * what was text: "Can't parse <dir>/saved_model.pbtxt as text proto: <what>". */
sl_code sl_model_bad(const sl_saved_model *m, const void *at, const char *what, sl_status *st);
#define sl_model_bad(...) sl_failed(sl_model_bad(__VA_ARGS__))
static inline sl_code sl_model_bad_wire(const sl_saved_model *m, const sl_wire *w, sl_status *st)
{
    return sl_model_bad(m, w->at, w->bad, st);
}
sl_code sl_model_no_memory(const sl_saved_model *m, sl_status *st);
#define sl_model_no_memory(...) sl_failed(sl_model_no_memory(__VA_ARGS__))
/* From the arena, `count` may be 0, cleared. NULL: report sl_model_no_memory. */
void *sl_model_try_array(sl_saved_model *m, size_t count, size_t size) SL_MUST_CHECK;
/* A terminated copy. A zero byte within, or what is not UTF-8, is an error of the file. */
sl_code sl_model_text(sl_saved_model *m, sl_str s, const char **out, sl_status *st);

/* One entry of a map field, taken apart. The value is its bytes. */
sl_code sl_model_map_entry(const sl_saved_model *m, sl_str entry, sl_str *key, sl_str *value,
                           sl_status *st);
/* How many fields of that number and of type bytes a message has. */
sl_code sl_model_count(const sl_saved_model *m, sl_str message, unsigned field, int *count,
                       sl_status *st);
/* The last field of that number and of type bytes; p == NULL if there is none. */
sl_code sl_model_field(const sl_saved_model *m, sl_str message, unsigned field, sl_str *out,
                       sl_status *st);

/* "a:0" -> "a", "^a" -> "a". */
sl_str sl_node_of_tensor(sl_str tensor);

#endif
