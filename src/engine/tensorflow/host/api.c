/* api.c - see api.h */
#include "engine/tensorflow/host/api.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

tf_api TF;

/*
 * The Python package splits the library in two. libtensorflow_cc.so.2 names the other one, which
 * lies beside it, and finds it by its RUNPATH; opening it first also serves copies whose RUNPATH
 * was lost.
 */
static void open_framework(const char *path)
{
    const char *slash = strrchr(path, '/');
    char beside[PATH_MAX];
    if (slash == NULL)
        return;
    int n = snprintf(beside, sizeof beside, "%.*s/libtensorflow_framework.so.2",
                     (int)(slash - path), path);
    if (n > 0 && (size_t)n < sizeof beside)
        dlopen(beside, RTLD_NOW | RTLD_GLOBAL); /* not there: the next dlopen says what it misses */
}

sl_code tf_open(const char *path, sl_status *st)
{
    open_framework(path);
    /* GLOBAL: custom op libraries find TensorFlow's symbols in what is already open. */
    void *lib = dlopen(path, RTLD_NOW | RTLD_GLOBAL);
    if (lib == NULL)
        return sl_fail(st, SL_NOT_FOUND, "cannot open the TensorFlow library: %s", dlerror());
#define X(result, name, parameters)                                                              \
    *(void **)&TF.name = dlsym(lib, "TF_" #name);                                                \
    if (TF.name == NULL)                                                                         \
        return sl_fail(st, SL_FAILED_PRECONDITION,                                               \
                       "\"%s\" has no function TF_" #name ": TensorFlow 2.4 or later is needed", \
                       path);
    TF_FUNCTIONS(X)
#undef X
    return SL_OK;
}
