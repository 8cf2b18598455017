/* files.h - what is in a version directory, besides saved_model.pb and variables */
#ifndef SL_SAVEDMODEL_FILES_H
#define SL_SAVEDMODEL_FILES_H

#include "base/arena.h"
#include "base/str.h"

bool sl_files_exists(const char *dir, const char *name);
/* Of all regular files below dir; 0 for what cannot be read. */
uint64_t sl_files_bytes(const char *dir);
/* fingerprint.pb's uuid, in the arena; n == 0 if there is none. */
sl_str sl_files_fingerprint(const char *dir, sl_arena *arena);

#endif
