/*
 * replay.c - runs a fuzz target over every file of its corpus: arguments are files or folders
 *
 * Each is run as it is, then with its first allocation failing, its second, and so on, up to a
 * bound (what an input needs most often it needs alike), alone and with all that follow, and the
 * same with what it takes from arenas. That nothing crashes or leaks is for the sanitizer to see.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "faults.h"

enum { MOST_FAULTS = 100 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int ran;

static void replay_failing(sl_fault kind, void (*arm)(sl_fault kind, int nth), const uint8_t *data,
                           size_t size)
{
    memory_fails = true;
    bool hit = true;
    for (int nth = 1; hit && nth <= MOST_FAULTS; nth++) {
        arm(kind, nth);
        LLVMFuzzerTestOneInput(data, size);
        hit = sl_fault_count(kind) >= nth; /* a run that fails may end with the call that did */
        sl_fault_arm(kind, 0);
    }
    memory_fails = false;
}

static void replay_file(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (f == NULL) {
        perror(path);
        exit(1);
    }
    fseek(f, 0, SEEK_END);
    long size = ftell(f);
    rewind(f);
    uint8_t *data = malloc(size > 0 ? (size_t)size : 1);
    if (data == NULL || fread(data, 1, (size_t)size, f) != (size_t)size) {
        perror(path);
        exit(1);
    }
    fclose(f);
    LLVMFuzzerTestOneInput(data, (size_t)size);
    replay_failing(SL_FAULT_ALLOC, sl_fault_arm, data, (size_t)size);
    replay_failing(SL_FAULT_ALLOC, sl_fault_arm_from, data, (size_t)size);
    replay_failing(SL_FAULT_ARENA, sl_fault_arm, data, (size_t)size);
    replay_failing(SL_FAULT_ARENA, sl_fault_arm_from, data, (size_t)size);
    free(data);
    ran++;
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct stat s;
        if (stat(argv[i], &s) == 0 && S_ISREG(s.st_mode)) {
            replay_file(argv[i]);
            continue;
        }
        DIR *dir = opendir(argv[i]);
        if (dir == NULL) {
            perror(argv[i]);
            return 1;
        }
        for (struct dirent *e; (e = readdir(dir)) != NULL;) {
            char path[4096];
            snprintf(path, sizeof path, "%s/%s", argv[i], e->d_name);
            if (e->d_name[0] != '.' && stat(path, &s) == 0 && S_ISREG(s.st_mode))
                replay_file(path);
        }
        closedir(dir);
    }
    printf("%d inputs replayed\n", ran);
    return ran == 0; /* an empty corpus proves nothing */
}
