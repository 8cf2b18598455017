/* share.h - a process that has less of the processors for as long as nobody waits for its answers */
#ifndef SL_TF_HOST_SHARE_H
#define SL_TF_HOST_SHARE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * That of its session (autogroup.h), which it leads. How soon it lets go of a processor is its own
 * affair (turns.h): this is how often it gets one where all of them are always busy.
 *
 * All zeros: an ordinary share is wanted. The caller is the parent and has not reaped it yet; times are those
 * of sl_now_ns().
 */
typedef struct tf_share {
    int autogroup;    /* the file of autogroup.h; 0: it cannot be changed. The caller's */
    int wanted;       /* nice value of the session */
    bool done;        /* it has that */
    uint64_t due_ns;  /* when to try again */
    uint64_t long_ns; /* when it has been loading for long, and gets more; 0: never */
    bool ending;
} tf_share;

/* The calling process begins a session; lower: with the share of one that loads. Others may look into
 * it yet (autogroup.h). */
void tf_share_begin(bool lower);

/* From now on it loads, or does so no more. */
void tf_share_lower(tf_share *s, pid_t pid, bool lower, uint64_t now_ns);

/* It is to end, and has the smallest share there is from now on. */
void tf_share_end(tf_share *s, pid_t pid, uint64_t now_ns);

/* Does what is due. When to call again; UINT64_MAX: when something else is wanted. */
uint64_t tf_share_keep(tf_share *s, pid_t pid, uint64_t now_ns);

#endif
