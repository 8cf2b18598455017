/*
 * sandbox.h - closes a child to everything that running a model does not need
 *
 * What exactly is closed stands in engine/tensorflow/tensorflow.h. Called once, while the child has
 * one thread; all later threads inherit it.
 */
#ifndef SL_TF_HOST_SANDBOX_H
#define SL_TF_HOST_SANDBOX_H

#include "sluice/status.h"

/* Closes every descriptor above 2 that is not among the `n` in `keep` (which it sorts). */
void tf_close_others(int *keep, int n);

/* no_new_privs, Landlock, system calls. `readable` are files and directories that may be read,
 * beside the system's own. A kernel without Landlock is told on stderr and is no failure; one
 * without seccomp is. */
sl_code tf_sandbox(const char *const *readable, int n, sl_status *st);

#endif
