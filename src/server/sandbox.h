/*
 * sandbox.h - the server locks itself up: --sandbox, --run_as
 *
 * In steps, because some of it holds only for threads that are made later, and some of it would
 * keep the start itself from what it needs:
 *
 *     sl_sandbox_become(...)         main thread, before any other: user, capabilities, core files
 *     ... the launcher is forked ...
 *     sl_sandbox_begin(&opts, st)    main thread, before any other: files (Landlock)
 *     ... threads, listening, helper programs ...
 *     sl_sandbox_finish(&opts, st)   any thread, once: system calls (seccomp), for all threads
 *
 * What then cannot be done any more, also by somebody who has taken over the process:
 *
 *   default  run a program or make a process; make a socket, connect to anything or send to an
 * address; listen anywhere else; make, remove or write to a file (except below `writable`: the
 * directories of our unix sockets); trace, signal or look into other processes; change user or
 * privileges; mount, bpf, io_uring, modules, keys ...
 *   strict   and read anything but below `readable`
 *
 * Programs that have to be started later are started by a launcher (base/launcher.h) that was
 * forked before. A kernel without Landlock or seccomp is told in the log and is no failure; strict
 * is refused there.
 */
#ifndef SL_SERVER_SANDBOX_H
#define SL_SERVER_SANDBOX_H

#include <stdbool.h>

#include "sluice/status.h"

typedef enum sl_sandbox_mode {
    SL_SANDBOX_OFF,
    SL_SANDBOX_DEFAULT,
    SL_SANDBOX_STRICT
} sl_sandbox_mode;

typedef struct sl_sandbox_options {
    sl_sandbox_mode mode;
    const char *const *writable; /* directories in which sockets are made and removed */
    int n_writable;
    const char *const *readable; /* strict: files and directories besides the system's own */
    int n_readable;
} sl_sandbox_options;

/* `run_as`: "user" or "user:group", names or numbers; "": stay who we are. `secrets`: keys or
 * tokens are loaded, so no core file. INVALID_ARGUMENT: no such user. FAILED_PRECONDITION: we are
 * not root. */
sl_code sl_sandbox_become(sl_sandbox_mode mode, const char *run_as, bool secrets, sl_status *st);
/* FAILED_PRECONDITION: strict without Landlock. */
sl_code sl_sandbox_begin(const sl_sandbox_options *o, sl_status *st);
sl_code sl_sandbox_finish(const sl_sandbox_options *o, sl_status *st);

/* May a path be read under these options? For a reload that names a new one: FAILED_PRECONDITION
 * names the path and --sandbox_root. */
sl_code sl_sandbox_may_read(const sl_sandbox_options *o, const char *path, sl_status *st);

#endif
