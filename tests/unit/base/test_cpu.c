/* /proc and /sys as a container would show them, made in a temporary directory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cpu.h"

static char root[64];

static void write_file(const char *path, const char *text)
{
    char command[512], whole[256];
    snprintf(whole, sizeof whole, "%s/%s", root, path);
    snprintf(command, sizeof command, "mkdir -p \"$(dirname %s)\"", whole);
    assert_int_equal(system(command), 0);
    FILE *f = fopen(whole, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static int setup(void **state)
{
    (void)state;
    strcpy(root, "/tmp/sluice-cpu-XXXXXX");
    if (mkdtemp(root) == NULL)
        return 1;
    sl_cpu_fake_root(root);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    sl_cpu_fake_root(NULL);
    return system(command);
}

static void without_a_cgroup_the_machine_counts(void **state)
{
    (void)state;
    assert_true(sl_cpu_schedulable() >= 1);
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable());
    assert_true(sl_memory_limit() > 0);
}

static void quota_is_rounded_up(void **state)
{
    (void)state;
    write_file("proc/self/cgroup", "0::/\n");
    write_file("sys/fs/cgroup/cpu.max", "50000 100000\n");
    assert_int_equal(sl_cpu_count(), 1);
    write_file("sys/fs/cgroup/cpu.max", "110000 100000\n");
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable() < 2 ? sl_cpu_schedulable() : 2);
    write_file("sys/fs/cgroup/cpu.max", "max 100000\n");
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable());
    write_file("sys/fs/cgroup/cpu.max", "100000000 100000\n");
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable()); /* never more than there are */
}

static void limit_may_stand_at_any_level(void **state)
{
    (void)state;
    write_file("proc/self/cgroup", "0::/pod/container\n");
    write_file("sys/fs/cgroup/pod/cpu.max", "100000 100000\n");
    write_file("sys/fs/cgroup/pod/container/cpu.max", "max 100000\n");
    write_file("sys/fs/cgroup/pod/memory.max", "20000000\n");
    write_file("sys/fs/cgroup/pod/container/memory.max", "30000000\n");
    assert_int_equal(sl_cpu_count(), 1);
    assert_int_equal(sl_memory_limit(), 20000000);
}

static void path_of_the_host_leads_to_the_mounts_root(void **state)
{
    (void)state;
    write_file("proc/self/cgroup", "0::/kubepods/burstable/pod1/abc\n");
    write_file("sys/fs/cgroup/memory.max", "12345678\n");
    assert_int_equal(sl_memory_limit(), 12345678);
}

static void version_1_is_understood(void **state)
{
    (void)state;
    write_file("proc/self/cgroup",
               "12:memory:/docker/x\n4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n");
    write_file("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "70000\n");
    write_file("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_period_us", "100000\n");
    write_file("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_int_equal(sl_cpu_count(), 1);
    unsigned long long machine = sl_memory_limit(); /* that number means none */
    assert_true(machine > 0 && machine < 9223372036854771712u);
    write_file("sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "16777216\n");
    assert_int_equal(sl_memory_limit(), 16777216);
    write_file("sys/fs/cgroup/cpu,cpuacct/docker/x/cpu.cfs_quota_us", "-1\n");
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable());
}

static void nonsense_is_no_limit(void **state)
{
    (void)state;
    write_file("proc/self/cgroup", "\n::\nx\n0::/\n");
    write_file("sys/fs/cgroup/cpu.max", "0 0\n");
    write_file("sys/fs/cgroup/memory.max", "");
    assert_int_equal(sl_cpu_count(), sl_cpu_schedulable());
    assert_true(sl_memory_limit() > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(without_a_cgroup_the_machine_counts),
        TEST(quota_is_rounded_up),
        TEST(limit_may_stand_at_any_level),
        TEST(path_of_the_host_leads_to_the_mounts_root),
        TEST(version_1_is_understood),
        TEST(nonsense_is_no_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
