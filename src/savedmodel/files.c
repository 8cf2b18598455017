/*
 * files.c - see files.h
 *
 * The walk through the directory keeps the folders that are still to be seen in a list, and stops
 * at a depth that only a loop of links reaches.
 */
#include "savedmodel/files.h"

#include <dirent.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "format/wire.h"

bool sl_files_exists(const char *dir, const char *name)
{
    struct stat s;
    char *path = sl_path_join(dir, name);
    bool there = path != NULL && stat(path, &s) == 0;
    sl_free(path);
    return there;
}

typedef struct folder {
    struct folder *next;
    char *path;
    int depth;
} folder;

static void push(folder **list, char *path, int depth)
{
    folder *f = path ? sl_try_malloc(sizeof *f) : NULL;
    if (f == NULL) {
        sl_free(path);
        return;
    }
    *f = (folder){*list, path, depth};
    *list = f;
}

static uint64_t bytes_of_folder(const folder *f, folder **list)
{
    enum { DEEPEST = 8 };
    uint64_t sum = 0;
    struct stat s;
    DIR *d = opendir(f->path);
    if (d == NULL)
        return 0;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = sl_path_join(f->path, e->d_name);
        bool ok = path != NULL && stat(path, &s) == 0;
        if (ok && S_ISDIR(s.st_mode) && f->depth < DEEPEST) {
            push(list, path, f->depth + 1);
            continue;
        }
        sum += ok && S_ISREG(s.st_mode) ? (uint64_t)s.st_size : 0;
        sl_free(path);
    }
    closedir(d);
    return sum;
}

uint64_t sl_files_bytes(const char *dir)
{
    folder *list = NULL;
    uint64_t sum = 0;
    push(&list, sl_path_join(dir, ""), 0);
    for (folder *f; (f = list) != NULL;) {
        list = f->next;
        sum += bytes_of_folder(f, &list);
        sl_free(f->path);
        sl_free(f);
    }
    return sum;
}

sl_str sl_files_fingerprint(const char *dir, sl_arena *arena)
{
    const size_t limit = 1 << 16;
    sl_str uuid = {"", 0};
    sl_buffer *b = NULL;
    char *path = sl_path_join(dir, "fingerprint.pb");
    if (path != NULL && sl_file_read(path, limit, &b, NULL) == SL_OK) {
        sl_wire w = sl_wire_open((sl_str){b->data, b->size});
        while (sl_wire_next(&w))
            if (w.field == 7 && w.type == SL_WIRE_BYTES)
                uuid = w.bytes;
        char *copy = sl_arena_try_strndup(arena, uuid.p, uuid.n);
        uuid = copy && !w.bad ? (sl_str){copy, uuid.n} : (sl_str){"", 0};
    }
    sl_buffer_release(b);
    sl_free(path);
    return uuid;
}
