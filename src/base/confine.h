/*
 * confine.h - giving up for ever what a process does not need: files, system calls
 *
 * Two ways to make a mistake, or an intruder, matter less:
 *
 *   files (Landlock, Linux 5.13)  which paths may be used for what; for the calling thread and what
 *                                 it starts afterwards, so: before there are threads
 *   system calls (seccomp)        which calls fail with EPERM; for the calling thread, or for all
 *
 * Nothing of it can be taken back. Both are reached by raw system calls: glibc has no wrapper for
 * the first, and the filters are small enough to write out.
 */
#ifndef SL_BASE_CONFINE_H
#define SL_BASE_CONFINE_H

#include <linux/filter.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sluice/status.h"

/* no_new_privs: no program that is run later gets more rights than this one has. */
sl_code sl_confine_privileges(sl_status *st);

/* ---- files ---- */

typedef enum sl_file_rights {
    SL_FILES_READ = 1,   /* read files, list directories */
    SL_FILES_WRITE = 2,  /* write to files that are there */
    SL_FILES_CHANGE = 4, /* make, remove, rename, truncate, link; sockets included */
    SL_FILES_EXECUTE = 8,
    SL_FILES_DEVICE = 16 /* ioctl on devices */
} sl_file_rights;

typedef struct sl_confined_path {
    const char *path;
    unsigned rights;
} sl_confined_path;

/*
 * From now on what `handled` says is only possible below these paths; other rights stay as they
 * were. A path that is not there is passed over. UNIMPLEMENTED: the kernel has no Landlock, nothing
 * has changed. INTERNAL: it failed.
 */
sl_code sl_confine_files(unsigned handled, const sl_confined_path *paths, int n, sl_status *st);

/* ---- system calls ---- */

enum { SL_CALLS_MAX = 512 };

/* A filter that is being written. All zeros, then begin(). */
typedef struct sl_calls {
    struct sock_filter code[SL_CALLS_MAX];
    unsigned short n;
    bool full; /* too many rules: apply() refuses */
} sl_calls;

void sl_calls_begin(sl_calls *f);
void sl_calls_deny(sl_calls *f, int call); /* EPERM */
void sl_calls_deny_all(sl_calls *f, const int *calls, size_t n);
/* Mounts, modules, tracing, keys, clocks, users, io_uring and the like: no server needs them. */
void sl_calls_deny_kernel(sl_calls *f);
/* Running programs, looking into processes, signals to others (but for kill and tgkill, of which
 * the caller says to whom they may go), connecting, listening, changing modes, owners and links,
 * System V's shared memory, typing into a terminal: nothing that serves needs them once it has
 * begun. */
void sl_calls_deny_outside(sl_calls *f);
/* As if the kernel did not know it: callers fall back to an older one. */
void sl_calls_unknown(sl_calls *f, int call);
/* Denied unless the low half of argument `i` (0 ...) is `value`. */
void sl_calls_argument_must_be(sl_calls *f, int call, int i, uint32_t value);
/* Denied if the low half of argument `i` is `value`. */
void sl_calls_argument_must_not_be(sl_calls *f, int call, int i, uint32_t value);
/* Denied unless argument `i`, a pointer, is NULL: both of its halves are looked at. */
void sl_calls_argument_must_be_null(sl_calls *f, int call, int i);
/* Denied if argument `i` has one of these bits. */
void sl_calls_argument_must_lack(sl_calls *f, int call, int i, uint32_t bits);
/* Denied if argument `i` has none of these bits. */
void sl_calls_argument_must_have(sl_calls *f, int call, int i, uint32_t bits);
/* No socket can be made that could reach anybody: no new one at all, but pairs that are connected
 * with each other for good; and what is sent has no address. A datagram socket that was opened
 * before can still send to any unix socket, by sendmsg, whose address lies in memory. */
void sl_calls_no_addresses(sl_calls *f);
/* No process can be made, only threads. */
void sl_calls_threads_only(sl_calls *f);
/* Everything else is allowed. With all_threads the filter holds for every thread of the process. */
sl_code sl_calls_apply(sl_calls *f, bool all_threads, sl_status *st);

#endif
