/* mounts.c - see mounts.h */
#include "base/mounts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

static bool is_served(const char *type)
{
    static const char *const kinds[] = {"nfs",       "nfs4",     "cifs", "smb3",   "ceph",
                                        "glusterfs", "lustre",   "gpfs", "beegfs", "afs",
                                        "9p",        "virtiofs", "fuse", "ocfs2",  "gfs2"};
    if (strncmp(type, "fuse.", 5) == 0)
        return true;
    for (size_t i = 0; i < SL_COUNTOF(kinds); i++)
        if (strcmp(type, kinds[i]) == 0)
            return true;
    return false;
}

/* Blanks and the like are written as \040. */
static void unescape(char *s)
{
    char *to = s;
    for (; *s; to++) {
        bool octal = s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
                     s[3] >= '0' && s[3] <= '7';
        *to = octal ? (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0')) : *s;
        s += octal ? 4 : 1;
    }
    *to = '\0';
}

/* "36 35 98:0 /inside /where/it/is rw,noatime shared:1 - ext4 /dev/root rw" */
static void add_line(sl_mounts *out, sl_str line)
{
    char text[4096], dir[sizeof text], type[sizeof text];
    int id;
    if (line.n >= sizeof text)
        return; /* it names something else than what was mounted */
    memcpy(text, line.p, line.n);
    text[line.n] = '\0';
    const char *rest = strstr(text, " - ");
    if (rest == NULL || sscanf(rest, " - %4095s", type) != 1 ||
        sscanf(text, "%d %*d %*s %*s %4095s", &id, dir) != 2)
        return;
    unescape(dir);
    out->list = sl_grow(out->list, out->count, &out->cap, sizeof *out->list);
    out->list[out->count++] = (sl_mount){id, sl_strdup(dir), is_served(type)};
}

void sl_mounts_parse(const char *text, sl_mounts *out)
{
    *out = (sl_mounts){0};
    while (*text) {
        size_t n = strcspn(text, "\n");
        add_line(out, (sl_str){text, n});
        text += n + (text[n] == '\n');
    }
}

void sl_mounts_read(sl_mounts *out)
{
    char part[4096];
    size_t n;
    sl_text all = {0};
    *out = (sl_mounts){0};
    FILE *f = fopen("/proc/self/mountinfo", "re");
    if (f == NULL)
        return;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        sl_text_add(&all, part, n);
    fclose(f);
    if (all.p != NULL)
        sl_mounts_parse(all.p, out);
    sl_text_fini(&all);
}

/* Does `path` lie at `dir`, or below? */
static bool lies_in(const char *path, const char *dir, size_t n)
{
    if (n == 1) /* the root */
        return *path == '/';
    return strncmp(path, dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

const sl_mount *sl_mounts_served(const sl_mounts *m, const char *path)
{
    const sl_mount *found = NULL;
    size_t longest = 0;
    for (size_t i = 0; i < m->count; i++) {
        size_t n = strlen(m->list[i].dir);
        if (n < longest || !lies_in(path, m->list[i].dir, n))
            continue;
        found = &m->list[i]; /* of several at one place the last one counts */
        longest = n;
    }
    return found != NULL && found->served ? found : NULL;
}

void sl_mounts_fini(sl_mounts *m)
{
    for (size_t i = 0; i < m->count; i++)
        sl_free(m->list[i].dir);
    sl_free(m->list);
    *m = (sl_mounts){0};
}
