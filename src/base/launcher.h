/*
 * launcher.h - a small process that starts programs for one that must not
 *
 * The server gives up execve, fork and more when it begins to serve. What it will still have to
 * start later (a host that has crashed, say) is started by the launcher: a process that was forked
 * before there were threads and before anything was given up. It can do only what was written down
 * before the fork: it is asked for an operation by number, with descriptors, and nothing else; no
 * name of a program and no argument ever comes from the server. So whoever takes over the server
 * cannot use it to run something else.
 *
 *     const sl_launch ops[] = {{start_host, &options}, {end_host, &options}};
 *     sl_launcher_start(ops, 2, &l, st);                      main thread, before any other
 *     sl_launcher_ask(l, 0, fds, n_fds, text, sizeof text, st);   any thread; one at a time; blocks
 *     sl_launcher_end(l);
 *
 * The operations run in the launcher, one after the other. It ends when the server does.
 */
#ifndef SL_BASE_LAUNCHER_H
#define SL_BASE_LAUNCHER_H

#include <stddef.h>
#include <sys/types.h>

#include "sluice/status.h"

enum { SL_LAUNCH_FDS = 4, SL_LAUNCH_TEXT = 8192 };

typedef struct sl_launch {
    /* In the launcher: does it, with the descriptors, which stay the launcher's own (closed after
     * it), and writes an answer of at most `size` bytes with its zero byte. */
    sl_code (*run)(void *arg, const int *fds, int n_fds, char *answer, size_t size, sl_status *st);
    void *arg;
} sl_launch;

typedef struct sl_launcher sl_launcher;

/* Forks. `ops` is copied, what it points to is the child's by the fork. RESOURCE_EXHAUSTED. */
sl_code sl_launcher_start(const sl_launch *ops, int n, sl_launcher **out, sl_status *st);
/* Waits for it. The launcher's own answer and status; UNAVAILABLE if it is gone. */
sl_code sl_launcher_ask(sl_launcher *l, int op, const int *fds, int n_fds, char *answer,
                        size_t size, sl_status *st);
/* Ends it and waits for that. Accepts NULL. */
void sl_launcher_end(sl_launcher *l);

/* Where a program of ours is: beside this one, or in ../libexec/sluice. FAILED_PRECONDITION "neither
 * in ... nor in ...", before which the caller says what, and what for. */
sl_code sl_program_find(const char *name, char *path, size_t size, sl_status *st);

/* ---- ending what an operation has started ---- */

/* Kills a child of this process (0: there is none) and waits for it. *pid becomes 0. */
void sl_child_end(pid_t *pid);
/* That as an operation; `arg` is where the operation that starts the child keeps its pid_t. */
sl_code sl_launch_child_end(void *arg, const int *fds, int n_fds, char *answer, size_t size,
                            sl_status *st);
/* The server's side: has the launcher do operation `op`, which is sl_launch_child_end; without a
 * launcher the child is our own. *pid becomes 0. */
void sl_launcher_end_child(sl_launcher *l, int op, pid_t *pid);

#endif
