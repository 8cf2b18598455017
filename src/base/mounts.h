/*
 * mounts.h - which paths lie on a file system that another machine or process serves
 *
 * Such a one (NFS, SMB, Ceph, FUSE ...) may stop to answer as a whole; what lies on the same mount
 * then hangs together. Only names are compared: nothing that might hang is asked.
 */
#ifndef SL_BASE_MOUNTS_H
#define SL_BASE_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct sl_mount {
    int id; /* another one, if something else is mounted there */
    char *dir;
    bool served;
} sl_mount;

typedef struct sl_mounts {
    sl_mount *list; /* in the order in which they were mounted */
    size_t count, cap;
} sl_mounts;

/* What is mounted now; nothing where that cannot be read. */
void sl_mounts_read(sl_mounts *out);
/* The same from a text, as proc_pid_mountinfo(5) describes it. */
void sl_mounts_parse(const char *text, sl_mounts *out);
/* The mount that `path` lies on, by its name, if that is served by somebody; else NULL. */
const sl_mount *sl_mounts_served(const sl_mounts *m, const char *path);
void sl_mounts_fini(sl_mounts *m);

#endif
