/*
 * init.h - what must have happened before the first request
 *
 * The init op runs like any graph, with the assets' tensors fed with the absolute paths of their
 * files. A few ops exist only there: those that fill tables. InitializeTableFromTextFileV2 reads a
 * file, but only one that the model lists as an asset.
 */
#ifndef SL_ENGINE_NATIVE_INIT_H
#define SL_ENGINE_NATIVE_INIT_H

#include "engine/native/graph.h"

/* Builds the graph of the init op. *out NULL: the model has none. It refers to `m` until it is
 * freed. */
sl_code sl_init_build(const sl_saved_model *m, sl_ngraph **out, sl_status *st);

#endif
