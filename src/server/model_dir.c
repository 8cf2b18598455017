/*
 * model_dir.c - see model_dir.h
 *
 * Most first attempts to serve a model fail for one of three reasons: the path is wrong, the model
 * lies in the base path itself instead of a version directory, or the version directory holds
 * something else. Each gets a sentence that says what to do.
 */
#include "server/model_dir.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "model/version_dir.h"

static bool holds(const char *dir, const char *name)
{
    char *path = sl_path_join(dir, name);
    bool there = path != NULL && access(path, F_OK) == 0;
    sl_free(path);
    return there;
}

static bool is_saved_model(const char *dir)
{
    return holds(dir, "saved_model.pb") || holds(dir, "saved_model.pbtxt") ||
           holds(dir, "saved_model.cpb");
}

static sl_code check_directory(const char *dir, sl_status *st)
{
    struct stat s;
    if (stat(dir, &s) != 0) {
        sl_code rc = sl_fail(st, sl_code_of_errno(errno), "%s; %s", dir, strerror(errno));
        if (rc == SL_NOT_FOUND && strncmp(dir, "~", 1) == 0)
            return sl_fail(st, rc,
                           "%s; the shell did not expand \"~\" here: write the path in full", dir);
        return rc;
    }
    if (!S_ISDIR(s.st_mode))
        return sl_fail(
            st, SL_FAILED_PRECONDITION,
            "%s is a file; a directory is wanted: the one that holds saved_model.pb, or the "
            "one above it",
            dir);
    return SL_OK;
}

/* The highest version, as a source reads names. NULL in *name: there is none. */
static sl_code highest_version(const char *dir, char **name, int64_t *version, sl_status *st)
{
    sl_version_dirs d;
    sl_code rc = sl_version_dirs_read(dir, &d, st);
    *name = NULL;
    if (rc)
        return rc;
    if (d.count > 0) {
        *version = d.list[d.count - 1].number;
        *name = sl_strdup(d.list[d.count - 1].name);
    }
    sl_version_dirs_fini(&d);
    return SL_OK;
}

static sl_code no_version(const char *dir, sl_status *st)
{
    if (holds(dir, "model.tflite"))
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "%s holds a TensorFlow Lite model, which this server does not run", dir);
    if (holds(dir, "keras_metadata.pb") || holds(dir, "config.json"))
        return sl_fail(
            st, SL_NOT_FOUND,
            "%s has no saved_model.pb; a Keras model is exported with model.export(path)", dir);
    return sl_fail(
        st, SL_NOT_FOUND,
        "%s has neither a saved_model.pb nor a version directory (a number, such as %s/1)", dir,
        dir);
}

sl_code sl_model_dir_find(const char *dir, char **path, bool *has_version, int64_t *version,
                          sl_status *st)
{
    char *name = NULL;
    sl_code rc = check_directory(dir, st);
    *path = NULL;
    *has_version = false;
    *version = 0;
    if (rc)
        return rc;
    if (is_saved_model(dir)) {
        *path = sl_strdup(dir);
        return SL_OK;
    }
    rc = highest_version(dir, &name, version, st);
    if (rc)
        return rc;
    if (name == NULL)
        return no_version(dir, st);
    *has_version = true;
    *path = sl_path_join(dir, name);
    sl_free(name);
    if (*path == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (is_saved_model(*path))
        return SL_OK;
    rc =
        holds(*path, "export.meta")
            ? sl_fail(
                  st, SL_UNIMPLEMENTED,
                  "%s is a session bundle of TensorFlow before 1.0 (export.meta), not a SavedModel",
                  *path)
            : sl_fail(st, SL_NOT_FOUND, "%s has no saved_model.pb", *path);
    sl_free(*path);
    *path = NULL;
    return rc;
}

sl_code sl_model_dir_check(const char *base_path, sl_status *st)
{
    char *dir, *path;
    bool has_version;
    int64_t version;
    if (sl_version_dir_local(base_path, &dir, NULL))
        return SL_OK; /* another scheme */
    sl_code rc = dir[0] == '/' ? sl_model_dir_find(dir, &path, &has_version, &version, st) : SL_OK;
    if (rc == SL_OK && dir[0] == '/') {
        sl_free(path);
        if (!has_version)
            rc = sl_fail(st, SL_FAILED_PRECONDITION,
                         "%s holds a SavedModel itself, but a server wants it in a version "
                         "directory: move it to %s/1",
                         dir, dir);
    }
    sl_free(dir);
    return rc;
}
