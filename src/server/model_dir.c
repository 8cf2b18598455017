/*
 * model_dir.c - see model_dir.h
 *
 * Most first attempts to serve a model fail for one of three reasons: the path is wrong, the model
 * lies in the base path itself instead of a version directory, or the version directory holds
 * something else. Each gets a sentence that says what to do.
 */
#include "server/model_dir.h"

#include <dirent.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"

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

/* The highest version: digits only, as a source reads them. Its name is in *name. */
static sl_code highest_version(const char *dir, char **name, int64_t *version, sl_status *st)
{
    DIR *d = opendir(dir);
    if (d == NULL)
        return sl_fail(st, sl_code_of_errno(errno), "%s; %s", dir, strerror(errno));
    *name = NULL;
    *version = -1;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        int64_t n;
        if (strspn(e->d_name, "0123456789") != strlen(e->d_name) ||
            !sl_str_to_int64(sl_str_of(e->d_name), &n) || n <= *version)
            continue;
        sl_free(*name);
        *name = sl_strdup(e->d_name);
        *version = n;
    }
    closedir(d);
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

sl_code sl_model_dir_find(const char *dir, char **path, int64_t *version, sl_status *st)
{
    char *name = NULL;
    sl_code rc = check_directory(dir, st);
    *path = NULL;
    *version = -1;
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
    char *path;
    int64_t version;
    if (strncmp(base_path, "file://", 7) == 0)
        base_path += 7;
    if (base_path[0] != '/')
        return SL_OK;
    sl_code rc = sl_model_dir_find(base_path, &path, &version, st);
    if (rc)
        return rc;
    sl_free(path);
    if (version >= 0)
        return SL_OK;
    return sl_fail(
        st, SL_FAILED_PRECONDITION,
        "%s holds a SavedModel itself, but a server wants it in a version directory: move it to "
        "%s/1",
        base_path, base_path);
}
