/*
 * complete.c - see complete.h
 *
 * Opens the model without its variables, then holds the directory against what it found. Nothing
 * is mapped, so a file that shrinks meanwhile does no harm.
 */
#include "savedmodel/complete.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/mem.h"
#include "savedmodel/files.h"
#include "savedmodel/model.h"

/* ---- what the model names ---- */

static bool holds_variable(const sl_node *n)
{
    static const char *const ops[] = {"VarHandleOp",
                                      "VariableV2",
                                      "Variable",
                                      "MutableHashTableV2",
                                      "MutableHashTable",
                                      "MutableHashTableOfTensorsV2",
                                      "MutableDenseHashTableV2"};
    for (size_t i = 0; i < SL_COUNTOF(ops); i++)
        if (sl_str_is(n->op, ops[i]))
            return true;
    return false;
}

/* A model of TensorFlow 1 may have no variables, and then no index; one that restores some has. */
static bool needs_variables(const sl_saved_model *m)
{
    if (m->restore_op.n == 0)
        return false;
    for (int i = 0; i < m->graph.n_nodes; i++)
        if (holds_variable(&m->graph.nodes[i]))
            return true;
    return false;
}

static sl_code check_variables(const sl_saved_model *m, sl_status *st)
{
    sl_code rc = sl_bundle_check_files(m->variables_prefix, st);
    if (rc != SL_NOT_FOUND)
        return rc;
    if (needs_variables(m))
        return sl_fail(st, SL_UNAVAILABLE, "variables/variables.index is missing");
    /* Without variables TensorFlow writes the folder all the same, empty: it says nothing. But data
     * without an index is waiting for it. */
    if (sl_files_exists(m->dir, "variables/variables.data-00000-of-00001"))
        return sl_fail(st, SL_UNAVAILABLE, "variables/variables.index is missing");
    return SL_OK;
}

static sl_code check_assets(const sl_saved_model *m, sl_status *st)
{
    for (int i = 0; i < m->n_assets; i++) {
        struct stat s;
        const char *path = m->assets[i].path;
        if (stat(path, &s) && (errno == ENOENT || errno == ENOTDIR)) /* "<dir>/assets/..." */
            return sl_fail(st, SL_UNAVAILABLE, "%s is missing", path + strlen(m->dir) + 1);
    }
    return SL_OK;
}

/* ---- is it there ---- */

/* Only what more copying can mend is incomplete. */
static sl_code incomplete_if(sl_code rc, sl_code mendable, sl_status *st)
{
    if (rc != mendable)
        return SL_OK;
    st->code = SL_UNAVAILABLE;
    return SL_UNAVAILABLE;
}

static sl_code check_directory(const char *dir, bool *look_inside, sl_status *st)
{
    struct stat s;
    *look_inside = false;
    /* A plain file with a number for a name, a loop of links, a folder that may not be read:
     * loading it says what is wrong. */
    if (stat(dir, &s) || !S_ISDIR(s.st_mode))
        return SL_OK;
    if (sl_files_exists(dir, "export.meta") || sl_files_exists(dir, "saved_model.cpb"))
        return SL_OK;
    char *pb = sl_path_join(dir, "saved_model.pb");
    int e = pb != NULL && stat(pb, &s) ? errno : 0;
    sl_free(pb);
    if (e == ENOENT && sl_files_exists(dir, "saved_model.pbtxt"))
        e = 0;
    if (e == ENOENT)
        return sl_fail(st, SL_UNAVAILABLE, "saved_model.pb is missing");
    *look_inside = e == 0;
    return SL_OK;
}

sl_code sl_saved_model_check_complete(const char *dir, const char *const *tags, int n_tags,
                                      sl_status *st)
{
    sl_saved_model *m = NULL;
    bool look_inside;
    sl_code rc = check_directory(dir, &look_inside, st);
    if (rc || !look_inside)
        return rc;
    rc = sl_model_open_graph(dir, tags, n_tags, &m, st);
    if (rc)
        return incomplete_if(rc, SL_DATA_LOSS, st);
    rc = check_variables(m, st);
    rc = rc == SL_UNAVAILABLE ? rc : incomplete_if(rc, SL_DATA_LOSS, st);
    if (rc == SL_OK)
        rc = check_assets(m, st);
    sl_saved_model_close(m);
    return rc;
}

/* ---- what it looks like ---- */

static uint64_t mix(uint64_t h, uint64_t x)
{
    h ^= x;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static int64_t micros(struct timespec t)
{
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Of one file: summed up by the caller, so that the order of the names does not count. */
static uint64_t look_of(const char *name, const struct stat *s, sl_tree *t)
{
    uint64_t h = 1;
    for (const char *c = name; *c; c++)
        h = mix(h, (unsigned char)*c);
    h = mix(h, (uint64_t)s->st_ino);
    h = mix(h, (uint64_t)s->st_dev);
    h = mix(h, (uint64_t)s->st_mode);
    if (!S_ISDIR(s->st_mode))
        h = mix(h, (uint64_t)s->st_size);
    h = mix(h, (uint64_t)micros(s->st_mtim));
    h = mix(h, (uint64_t)micros(s->st_ctim));
    t->newest_us = SL_MAX(t->newest_us, micros(s->st_ctim));
    return h;
}

typedef struct folders {
    char *list[64];
    int depth[64];
    int n;
} folders;

static void look_at_folder(const char *dir, int depth, folders *todo, sl_tree *t)
{
    enum { DEEPEST = 8 };
    struct stat s;
    DIR *d = opendir(dir);
    if (d == NULL) {
        t->look += mix(2, (uint64_t)errno);
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        char *path = sl_path_join(dir, e->d_name);
        if (path == NULL)
            continue;
        if (stat(path, &s)) {
            t->look += mix(3, (uint64_t)errno);
        } else {
            t->look += look_of(path, &s, t);
            if (S_ISDIR(s.st_mode) && depth < DEEPEST && todo->n < (int)SL_COUNTOF(todo->list)) {
                todo->list[todo->n] = path;
                todo->depth[todo->n++] = depth + 1;
                continue;
            }
        }
        sl_free(path);
    }
    closedir(d);
}

sl_tree sl_saved_model_tree(const char *dir)
{
    folders todo = {.n = 0};
    sl_tree t = {0};
    struct stat s;
    if (stat(dir, &s)) {
        t.look = mix(4, (uint64_t)errno);
        return t;
    }
    t.look = look_of("", &s, &t);
    if (!S_ISDIR(s.st_mode))
        return t;
    look_at_folder(dir, 0, &todo, &t);
    while (todo.n > 0) {
        char *path = todo.list[--todo.n];
        look_at_folder(path, todo.depth[todo.n], &todo, &t);
        sl_free(path);
    }
    return t;
}
