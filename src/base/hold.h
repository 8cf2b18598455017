/*
 * hold.h - a file's bytes as they are now, whatever becomes of the file
 *
 * A mapped file that is truncated under the mapping ends the process (SIGBUS), and one that is
 * overwritten changes the weights of a model that serves. Copying is safe, but then each process
 * has its own copy of what the page cache has anyway. So, in this order:
 *
 *   mapped  if the kernel grants a lease (fcntl(2), F_SETLEASE): whoever opens the file for
 *           writing, or truncates it, is held up until its bytes have been copied in place, and
 *           goes on then. Granted to the file's owner and to root, on local file systems, while
 *           nobody writes.
 *   read    otherwise, piece by piece, into memory of one's own
 *
 * Deleting or renaming a file does neither harm nor need a lease.
 */
#ifndef SL_BASE_HOLD_H
#define SL_BASE_HOLD_H

#include "sluice/tensor.h"

typedef struct sl_held_file {
    sl_buffer *mapped; /* NULL: it must be read */
    int fd;            /* if it must be read; else -1 */
    uint64_t size;
} sl_held_file;

/* Errors as sl_file_read's. Small files are never mapped. Any thread. */
sl_code sl_file_hold(const char *path, sl_held_file *out, sl_status *st);
/* What has been taken of `mapped` stays. Accepts what is all zeros but for fd == -1. */
void sl_file_let_go(sl_held_file *f);
/* Reads what is not mapped. DATA_LOSS: the file has become shorter. */
sl_code sl_held_read(const sl_held_file *f, const char *path, uint64_t offset, void *to, size_t n,
                     sl_status *st);

/* Memory for weights: large ones straight from the system, and back to it in pieces, so that no
 * other thread that needs the address space waits for the whole. NULL: there is none. */
sl_buffer *sl_buffer_try_new_weights(size_t size) SL_MUST_CHECK;

/* For tests: makes sure that every mapped file whose lease is being broken has been copied. */
void sl_file_hold_check(void);

#endif
