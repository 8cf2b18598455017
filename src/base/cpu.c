/*
 * cpu.c - what the cgroup leaves of the machine
 *
 * /proc/self/cgroup names the process's group in each hierarchy: "0::/a/b" in version 2,
 * "4:cpu,cpuacct:/a/b" in version 1. A limit may stand at any level, so the path is walked from the
 * group to the root and the smallest limit counts. Inside a container the path is often the host's
 * and does not exist here; the walk then ends at the root of the mount, which is the container's
 * own group.
 */
#include "base/cpu.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *root = "";

void sl_cpu_fake_root(const char *dir)
{
    root = dir ? dir : "";
}

/* Files of /proc and /sys say that they are empty, so sl_file_read cannot read them. */
static bool read_text(const char *path, char *text, size_t size)
{
    char whole[PATH_MAX];
    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole)
        return false;
    int fd = open(whole, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t got = 0;
    ssize_t n = 0;
    while (got < size - 1 && (n = read(fd, text + got, size - 1 - got)) > 0)
        got += (size_t)n;
    close(fd);
    text[got] = '\0';
    return n >= 0;
}

/* The group's path in version 2 (controller NULL) or in the hierarchy of a controller of version 1.
 */
static bool own_group(const char *controller, char *path, size_t size)
{
    char text[8192], *rest = text, *line;
    if (!read_text("/proc/self/cgroup", text, sizeof text))
        return false;
    while ((line = strsep(&rest, "\n")) != NULL) {
        char *names = strchr(line, ':');
        char *at = names ? strchr(++names, ':') : NULL;
        if (at == NULL)
            continue;
        *at++ = '\0';
        bool mine = controller == NULL && *names == '\0';
        for (char *name; controller != NULL && !mine && (name = strsep(&names, ",")) != NULL;)
            mine = strcmp(name, controller) == 0;
        if (mine)
            return snprintf(path, size, "%s", at) < (int)size;
    }
    return false;
}

typedef double reader(const char *dir);

/* The smallest positive limit between `group` and the root of `mount`; 0 if there is none. */
static double smallest(const char *mount, const char *group, reader *limit_of)
{
    char dir[PATH_MAX];
    double least = 0;
    if (snprintf(dir, sizeof dir, "%s%s", mount, group) >= (int)sizeof dir)
        return 0;
    size_t stop = strlen(mount);
    for (;;) {
        double limit = limit_of(dir);
        if (limit > 0 && (least <= 0 || limit < least))
            least = limit;
        if (strlen(dir) <= stop)
            return least;
        char *slash = strrchr(dir + stop, '/');
        dir[slash ? (size_t)(slash - dir) : stop] = '\0';
    }
}

static bool read_in(const char *dir, const char *name, char *text, size_t size)
{
    char path[PATH_MAX];
    return snprintf(path, sizeof path, "%s/%s", dir, name) < (int)sizeof path &&
           read_text(path, text, size);
}

static double cpus_v2(const char *dir)
{
    char text[128];
    double quota, period; /* "max 100000" does not scan: no limit */
    if (!read_in(dir, "cpu.max", text, sizeof text) ||
        sscanf(text, "%lf %lf", &quota, &period) != 2 || period <= 0)
        return 0;
    return quota / period;
}

static double cpus_v1(const char *dir)
{
    char quota[64], period[64];
    if (!read_in(dir, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !read_in(dir, "cpu.cfs_period_us", period, sizeof period))
        return 0;
    double q = strtod(quota, NULL), p = strtod(period, NULL); /* -1: no limit */
    return p > 0 ? q / p : 0;
}

static double memory_v2(const char *dir)
{
    char text[64];
    return read_in(dir, "memory.max", text, sizeof text) ? strtod(text, NULL) : 0;
}

static double memory_v1(const char *dir)
{
    char text[64];
    return read_in(dir, "memory.limit_in_bytes", text, sizeof text) ? strtod(text, NULL) : 0;
}

/* Over every place where a hierarchy is usually mounted; a place that is not there has no limit. */
static double over_mounts(const char *controller, reader *v2, reader *v1)
{
    static const char *const unified[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char group[PATH_MAX], mount[128];
    double least = 0;
    if (own_group(NULL, group, sizeof group))
        for (int i = 0; i < 2; i++) {
            double limit = smallest(unified[i], group, v2);
            if (limit > 0 && (least <= 0 || limit < least))
                least = limit;
        }
    if (own_group(controller, group, sizeof group)) {
        snprintf(mount, sizeof mount, "/sys/fs/cgroup/%s", controller);
        double limit = smallest(mount, group, v1);
        if (limit <= 0 && strcmp(controller, "cpu") == 0)
            limit = smallest("/sys/fs/cgroup/cpu,cpuacct", group, v1);
        if (limit > 0 && (least <= 0 || limit < least))
            least = limit;
    }
    return least;
}

int sl_cpu_schedulable(void)
{
    /* The kernel refuses a mask that is smaller than its own: try larger ones. */
    for (int bits = 1024; bits <= 1 << 18; bits *= 4) {
        cpu_set_t *set = CPU_ALLOC(bits);
        if (set == NULL)
            break;
        int n = 0;
        if (sched_getaffinity(0, CPU_ALLOC_SIZE(bits), set) == 0)
            n = CPU_COUNT_S(CPU_ALLOC_SIZE(bits), set);
        CPU_FREE(set);
        if (n > 0)
            return n;
    }
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    return n > 0 ? (int)n : 1;
}

int sl_cpu_count(void)
{
    int mask = sl_cpu_schedulable();
    double quota = over_mounts("cpu", cpus_v2, cpus_v1);
    if (quota <= 0 || quota >= mask)
        return mask;
    int whole = (int)quota;
    return whole < quota ? whole + 1 : whole;
}

unsigned long long sl_memory_limit(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    unsigned long long machine =
        pages > 0 && page > 0 ? (unsigned long long)pages * (unsigned long long)page : 0;
    double limit = over_mounts("memory", memory_v2, memory_v1);
    /* Version 1 writes "no limit" as a number that is larger than any machine. */
    if (limit <= 0 || limit >= 9e18 || (machine && limit >= (double)machine))
        return machine;
    return (unsigned long long)limit;
}
