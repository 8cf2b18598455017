/* version_dir.c - see version_dir.h */
#include "model/version_dir.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

bool sl_version_dir_parse(sl_str name, int64_t *number)
{
    while (name.n && is_blank(name.p[0])) {
        name.p++;
        name.n--;
    }
    while (name.n && is_blank(name.p[name.n - 1]))
        name.n--;
    if (name.n > 1 && name.p[0] == '+' && name.p[1] != '-') {
        name.p++;
        name.n--;
    }
    return sl_str_to_int64(name, number);
}

sl_code sl_version_dir_local(const char *base_path, char **out, sl_status *st)
{
    const char *colon = strstr(base_path, "://");
    if (colon == NULL) {
        *out = sl_strdup(base_path);
        return SL_OK;
    }
    int scheme = (int)(colon - base_path);
    if (scheme != 4 || strncmp(base_path, "file", 4) != 0)
        return sl_fail(st, SL_UNIMPLEMENTED,
                       "File system scheme '%.*s' not implemented (file: '%s')", scheme, base_path,
                       base_path);
    const char *path = strchr(colon + 3, '/'); /* after the host, which is nearly always empty */
    *out = sl_strdup(path ? path : "/");
    return SL_OK;
}

sl_code sl_version_dir_exists(const char *path, sl_status *st)
{
    if (access(path, F_OK) == 0)
        return SL_OK;
    return sl_fail(st, SL_NOT_FOUND, "%s not found", path);
}

static int by_number(const void *pa, const void *pb)
{
    const sl_version_dir *a = pa, *b = pb;
    if (a->number != b->number)
        return a->number < b->number ? -1 : 1;
    return strcmp(a->name, b->name);
}

sl_code sl_version_dirs_read(const char *dir, sl_version_dirs *out, sl_status *st)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return sl_fail(st, sl_code_of_errno(errno), "%s; %s", dir, strerror(errno));
    sl_version_dirs found = {0};
    size_t cap = 0;
    int64_t number;
    struct dirent *e;
    for (errno = 0; (e = readdir(d)) != NULL; errno = 0) {
        if (!sl_version_dir_parse(sl_str_of(e->d_name), &number))
            continue;
        found.list = sl_grow(found.list, (size_t)found.count, &cap, sizeof *found.list);
        found.list[found.count++] = (sl_version_dir){number, sl_strdup(e->d_name)};
    }
    int failed = errno;
    closedir(d);
    if (failed) {
        sl_version_dirs_fini(&found);
        return sl_fail(st, sl_code_of_errno(failed), "%s; %s", dir, strerror(failed));
    }
    if (found.count)
        qsort(found.list, (size_t)found.count, sizeof *found.list, by_number);
    *out = found;
    return SL_OK;
}

void sl_version_dirs_fini(sl_version_dirs *d)
{
    for (int i = 0; i < d->count; i++)
        sl_free(d->list[i].name);
    sl_free(d->list);
    *d = (sl_version_dirs){0};
}
