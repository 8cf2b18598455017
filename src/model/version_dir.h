/*
 * version_dir.h - which names below a base path are versions
 *
 * A child of the base path is a version if its whole name is a signed 64-bit decimal number: "7",
 * "007", "-1". It need not be a directory. Source: lifecycle.md 1.
 */
#ifndef SL_MODEL_VERSION_DIR_H
#define SL_MODEL_VERSION_DIR_H

#include <stdbool.h>
#include <stdint.h>

#include "sluice/tensor.h"

typedef struct sl_version_dir {
    int64_t number;
    char *name; /* as it is written in the directory */
} sl_version_dir;

typedef struct sl_version_dirs {
    sl_version_dir *list; /* by number, equal numbers by name, bytewise */
    int count;
} sl_version_dirs;

/* Whole name, an optional sign, blanks around it tolerated. */
bool sl_version_dir_parse(sl_str name, int64_t *number);

/* The directory that a base path means: "file:///models/m" is "/models/m". UNIMPLEMENTED "File
 * system scheme 's' not implemented (file: 'path')". Freed with sl_free. */
sl_code sl_version_dir_local(const char *base_path, char **out, sl_status *st);

/* Fails if there is no such path, with the status that the original has. */
sl_code sl_version_dir_exists(const char *path, sl_status *st);

/* Reads the versions in `dir`. */
sl_code sl_version_dirs_read(const char *dir, sl_version_dirs *out, sl_status *st);
void sl_version_dirs_fini(sl_version_dirs *d);

#endif
