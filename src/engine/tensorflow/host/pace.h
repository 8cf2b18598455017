/* pace.h - a process that works for a moment, is stopped for a while, works for a moment ... */
#ifndef SL_TF_HOST_PACE_H
#define SL_TF_HOST_PACE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Who has a pace also has the smallest share of the processors, where that can be had: one that is
 * not stopped would take half of them from those that answer, 4 ms at a time.
 *
 * Stopped as a whole: a thread of TensorFlow's pools takes its share of the processors whatever the
 * one that loads does, and a nice value could not be taken back. All zeros: it runs freely. The
 * caller is the parent and has not reaped it yet; times are those of sl_now_ns().
 */
typedef struct tf_pace {
    uint64_t rest_ns;      /* for a millisecond of processor time; 0: runs freely */
    uint64_t worked_ns;    /* its processor time when this turn began */
    uint64_t due_ns;       /* when to look again, if rest_ns is not 0 */
    uint64_t share_due_ns; /* when to try again to change its share */
    int autogroup; /* the file of autogroup.h; 0: its share cannot be changed. The caller's */
    bool stopped;
    bool lowered; /* its session's share, see autogroup.h */
    bool ending;
} tf_pace;

/* From now on at this pace; 0 lets it go at once. */
void tf_pace_set(tf_pace *p, pid_t pid, uint64_t rest_ns, uint64_t now_ns);

/* It is to end, and has the smallest share from now on; it is not stopped any more. */
void tf_pace_end(tf_pace *p, pid_t pid, uint64_t now_ns);

/* Stops it or lets it go, if that is due. When to call again; UINT64_MAX: when it has another pace.
 * */
uint64_t tf_pace_keep(tf_pace *p, pid_t pid, uint64_t now_ns);

#endif
