/*
 * complete.h - is all of a SavedModel there, or is it still being copied?
 *
 * A directory that is being copied looks like a damaged one. What the model's own files say
 * decides:
 *
 *   saved_model.pb    can be parsed as a whole
 *   variables/        needed if the graph restores variables; the index can be read, and every
 *                     shard is there with at least the size that the index says
 *   assets/           every asset that the graph names is there
 *
 * What nobody names (assets.extra, the inside of an asset) cannot be known from here: the caller
 * also waits until the directory has not changed for a moment (sl_saved_model_tree).
 */
#ifndef SL_SAVEDMODEL_COMPLETE_H
#define SL_SAVEDMODEL_COMPLETE_H

#include <stdint.h>

#include "sluice/status.h"

/* SL_OK: complete, or wrong in a way that waiting does not mend, which loading it will tell.
 * UNAVAILABLE: incomplete; the text names the file and what it lacks. `tags` as for
 * sl_saved_model_open. Reads saved_model.pb and the index whole. */
sl_code sl_saved_model_check_complete(const char *dir, const char *const *tags, int n_tags,
                                      sl_status *st);

/* What a directory looks like from outside: changes when a file or folder below it appears, goes,
 * grows, or is written. Links are followed; a directory that cannot be read has a look, too. */
typedef struct sl_tree {
    uint64_t look;
    int64_t newest_us; /* the latest change of any inode of it, wall clock */
} sl_tree;
sl_tree sl_saved_model_tree(const char *dir);

#endif
