/*
 * file.h - reading files that may be anything
 */
#ifndef SL_BASE_FILE_H
#define SL_BASE_FILE_H

#include "sluice/tensor.h"

/* Reads a regular file whole, refusing one of more than `limit` bytes. The buffer's data is
 * followed by a zero byte that does not count. NOT_FOUND "<path>; No such file or directory", as
 * TensorFlow words it; FAILED_PRECONDITION for a directory or device; RESOURCE_EXHAUSTED. */
sl_code sl_file_read(const char *path, size_t limit, sl_buffer **out, sl_status *st);

/* Maps a regular file read-only. A file of 0 bytes gives a buffer of size 0. The file may shrink
 * under the mapping (SIGBUS): only map what this process alone publishes, or copy. */
sl_code sl_file_map(const char *path, sl_buffer **out, sl_status *st);

/* Joins with exactly one '/'. NULL when memory cannot be had; freed with sl_free. */
char *sl_path_join(const char *dir, const char *name) SL_MUST_CHECK;

/* The errno as a canonical code: ENOENT -> NOT_FOUND, EACCES -> PERMISSION_DENIED ... */
sl_code sl_code_of_errno(int e);

#endif
