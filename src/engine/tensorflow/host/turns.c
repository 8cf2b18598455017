/* turns.c - see turns.h */
#include "engine/tensorflow/host/turns.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>

#include "base/thread.h"

void tf_turns_short(void)
{
    sl_thread_short_turns(0, SCHED_BATCH);
}

void tf_turns_prompt(void)
{
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *t; tasks != NULL && (t = readdir(tasks)) != NULL;)
        if (atoi(t->d_name) > 0) /* it may have ended meanwhile */
            sl_thread_short_turns(atoi(t->d_name), SCHED_OTHER);
    if (tasks != NULL)
        closedir(tasks);
}
