/* autogroup.c - see autogroup.h */
#include "engine/tensorflow/host/autogroup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

void tf_let_look(bool may)
{
    prctl(PR_SET_DUMPABLE, may, 0, 0, 0);
}

int tf_autogroup_open(pid_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/autogroup", (int)pid);
    int file = open(path, O_RDWR | O_CLOEXEC);
    return file < 0 ? 0 : file; /* 0 is the standard input */
}

/* "/autogroup-7 nice 19", says the file. */
static bool is_so(int file, int nice)
{
    char text[128];
    ssize_t n = sl_fault_hit(SL_FAULT_READ) ? -1 : pread(file, text, sizeof text - 1, 0);
    text[SL_MAX(n, 0)] = '\0';
    const char *at = strstr(text, " nice ");
    return at != NULL && atoi(at + 6) == nice;
}

int tf_autogroup_nice(int file, pid_t pid, int nice)
{
    char value[16];
    if (getsid(pid) != pid)
        return EAGAIN;
    if (is_so(file, nice))
        return 0;
    int n = snprintf(value, sizeof value, "%d", nice);
    if (sl_fault_hit(SL_FAULT_WRITE))
        return ENOMEM;
    return write(file, value, (size_t)n) == n ? 0 : errno;
}

void tf_autogroup_own(int nice)
{
    int file = tf_autogroup_open(getpid());
    if (file == 0)
        return;
    tf_autogroup_nice(file, getpid(), nice);
    close(file);
}

void tf_give_way(void)
{
    setsid();
    tf_let_look(true);
    tf_autogroup_own(TF_NICEST);
    tf_let_look(false);
    if (setpriority(PRIO_PROCESS, 0, TF_NICEST))
        return; /* costs nothing but politeness */
}
