/* cpu.h - how many processors, and how much memory, this process may really use */
#ifndef SL_BASE_CPU_H
#define SL_BASE_CPU_H

/* At least 1: the affinity mask, cut by the CPU quota of the cgroup (v2 and v1), rounded up. */
int sl_cpu_count(void);
/* Only the affinity mask: what TensorFlow calls the number of schedulable CPUs. */
int sl_cpu_schedulable(void);
/* Memory limit of the cgroup in bytes, or of the machine if that is less or there is none. */
unsigned long long sl_memory_limit(void);

/* For tests: /proc and /sys are read below this directory; NULL: the real ones. Not copied. */
void sl_cpu_fake_root(const char *dir);

#endif
