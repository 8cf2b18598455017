#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/mounts.h"

static const char table[] =
    "22 1 259:1 / / rw,relatime shared:1 - ext4 /dev/root rw\n"
    "23 22 0:21 / /proc rw,nosuid shared:5 - proc proc rw\n"
    "40 22 0:44 /share /mnt/nfs rw,relatime - nfs4 server:/share rw,vers=4.2\n"
    "41 40 0:45 / /mnt/nfs/local rw master:3 propagate_from:2 - tmpfs tmpfs rw\n"
    "42 22 0:46 / /mnt/with\\040blank\\134 rw - fuse.sshfs host:/ rw\n"
    "43 22 0:47 / /mnt/twice rw - nfs server:/a rw\n"
    "44 22 0:48 / /mnt/twice rw - ext4 /dev/sdb rw\n"
    "not a mount\n"
    "45 22 0:49 / /mnt/last rw - cifs //server/share rw";

static void the_deepest_mount_counts(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int id; /* 0: nobody serves it */
    } cases[] = {{"/mnt/nfs", 40},
                 {"/mnt/nfs/models/m", 40},
                 {"/mnt/nfs/local/m", 0},
                 {"/mnt/nfs2", 0},
                 {"/mnt", 0},
                 {"/", 0},
                 {"/mnt/with blank\\/m", 42},
                 {"/mnt/twice/m", 0},
                 {"/mnt/last/m", 45},
                 {"relative", 0},
                 {"", 0}};
    sl_mounts m;
    sl_mounts_parse(table, &m);
    assert_int_equal(m.count, 8);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sl_mount *found = sl_mounts_served(&m, cases[i].path);
        if ((found ? found->id : 0) != cases[i].id)
            fail_msg("%s: %d", cases[i].path, found ? found->id : 0);
    }
    sl_mounts_fini(&m);
}

static void lines_that_are_cut_or_endless_are_left_out(void **state)
{
    (void)state;
    char text[9000], line[300];
    sl_mounts m;
    sl_mounts_parse("", &m);
    assert_int_equal(m.count, 0);
    for (size_t n = 0; n < strcspn(table, "\n"); n++) {
        memcpy(line, table, n);
        line[n] = '\0';
        sl_mounts_parse(line, &m);
        assert_true(m.count <= 1);
        sl_mounts_fini(&m);
    }
    memset(text, 'x', sizeof text);
    memcpy(text, "1 2 3 / /", 9);
    memcpy(text + sizeof text - 12, " - nfs a rw", 12); /* with its end */
    sl_mounts_parse(text, &m);
    assert_int_equal(m.count, 0);
    sl_mounts_fini(&m);
}

static void what_is_mounted_here_is_read(void **state)
{
    (void)state;
    sl_mounts m;
    sl_mounts_read(&m);
    size_t n = m.count, absolute = 0;
    for (size_t i = 0; i < n; i++)
        absolute += m.list[i].dir[0] == '/';
    sl_mounts_fini(&m);
    assert_true(n > 0); /* /proc, at least; in a changed root there is no "/" */
    assert_int_equal(absolute, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_deepest_mount_counts),
        cmocka_unit_test(lines_that_are_cut_or_endless_are_left_out),
        cmocka_unit_test(what_is_mounted_here_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
