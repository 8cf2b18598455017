/* autogroup.c - see autogroup.h */
#include "engine/tensorflow/host/autogroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

void tf_let_look(bool may)
{
    prctl(PR_SET_DUMPABLE, may, 0, 0, 0);
}

int tf_autogroup_open(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/autogroup", (int)pid);
    int file = open(path, O_WRONLY | O_CLOEXEC);
    return file < 0 ? 0 : file; /* 0 is the standard input */
}

int tf_autogroup_nice(int file, pid_t pid, int nice)
{
    char value[16];
    if (getsid(pid) != pid)
        return EAGAIN;
    int n = snprintf(value, sizeof value, "%d", nice);
    return write(file, value, (size_t)n) == n ? 0 : errno;
}

void tf_give_way(void)
{
    setsid();
    tf_let_look(true);
    int file = tf_autogroup_open(getpid());
    tf_let_look(false);
    if (file != 0) {
        tf_autogroup_nice(file, getpid(), TF_NICEST);
        close(file);
    }
    if (setpriority(PRIO_PROCESS, 0, TF_NICEST))
        return; /* costs nothing but politeness */
}
