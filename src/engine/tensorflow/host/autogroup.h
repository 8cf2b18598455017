/*
 * autogroup.h - the share of the processors that a session gets
 *
 * Linux gives each session (setsid) the same share of the processors, so that a process that loads,
 * in a session of its own, takes up to half of them from those that answer requests, however it is
 * scheduled itself. A session may be nice, too, and, unlike a thread, stop being so without
 * privileges. Where there are no autogroups, or a control group has taken their place, it makes no
 * difference.
 *
 * Source: sched(7), "The autogroup feature".
 */
#ifndef SL_TF_HOST_AUTOGROUP_H
#define SL_TF_HOST_AUTOGROUP_H

#include <stdbool.h>
#include <sys/types.h>

enum { TF_NICEST = 19 };

/* May others look into the calling process, and into those that it forks from here on? Only for the
 * moment that tf_autogroup_open needs. */
void tf_let_look(bool may);

/* Opens what says of which session `pid` is, for the next one; 0: that cannot be had. Without
 * privileges it can only while that process lets itself be looked into. The caller closes it, if it
 * is not 0. */
int tf_autogroup_open(pid_t pid);

/* Sees to it that the session that `pid` leads has this nice value. 0 or an errno: EAGAIN when it does
 * not lead one yet, and where it has another one and any was set a tenth of a second ago (the kernel
 * allows no more to who has no privileges). */
int tf_autogroup_nice(int file, pid_t pid, int nice);

/* That of the session that the calling process leads, which others may look into yet, if it can be
 * had. */
void tf_autogroup_own(int nice);

/* For good: the calling process, which has one thread and lives a moment, leaves the processors to
 * others. Nobody may look into it afterwards. */
void tf_give_way(void);

#endif
