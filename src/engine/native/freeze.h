/*
 * freeze.h - what becomes of variables
 *
 *  1. sl_freeze_bind      every handle of every graph finds its resource
 *  2. sl_freeze_mark      which variables do served signatures write?
 *  3. sl_freeze_restore   values come from the checkpoint, of the variables that are reached
 *     (the init op runs)
 *  4. sl_freeze_constants reads of variables that nobody writes become constants
 */
#ifndef SL_ENGINE_NATIVE_FREEZE_H
#define SL_ENGINE_NATIVE_FREEZE_H

#include "engine/native/graph.h"

sl_code sl_freeze_bind(sl_ngraph *g, sl_resources *all, sl_status *st);
sl_code sl_freeze_mark(sl_ngraph *g, sl_status *st);
sl_code sl_freeze_restore(const sl_saved_model *m, sl_resources *all, sl_status *st);
sl_code sl_freeze_constants(sl_ngraph *g, sl_status *st);

/* Fills a table: keys and values are rank 1 and equally long, and change hands. A key that is there
 * already is INVALID_ARGUMENT unless its value is the same. */
sl_code sl_table_fill(sl_resource *r, sl_tensor *keys, sl_tensor *values, sl_status *st);

#endif
