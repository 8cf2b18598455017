/*
 * model_dir.h - finding a SavedModel where somebody points, and saying what is missing
 *
 *     MODEL/1/saved_model.pb       "MODEL" is a base path, "MODEL/1" a version directory
 */
#ifndef SL_SERVER_MODEL_DIR_H
#define SL_SERVER_MODEL_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/status.h"

/*
 * The SavedModel that `dir` means: `dir` itself, or the highest version below it, by the source's
 * rule for names (model/version_dir.h). *path is freed by the caller (NULL after a failure);
 * *has_version is false where `dir` itself is meant. NOT_FOUND: says what is missing and what to
 * do.
 */
sl_code sl_model_dir_find(const char *dir, char **path, bool *has_version, int64_t *version,
                          sl_status *st);

/* Is this a base path that a server can serve from: a directory with a version in it that holds a
 * SavedModel? Paths with another scheme than file:// are not looked at. */
sl_code sl_model_dir_check(const char *base_path, sl_status *st);

#endif
