/*
 * find.c - where the user's TensorFlow library is (tensorflow.h says in which order)
 *
 * Looking is stat() and readdir(): an interpreter is a file in PREFIX/bin, its packages lie in
 * PREFIX/lib/python3.N/site-packages. A shim (pyenv) is a script somewhere else; only then is it
 * run, and asked where it would find the package, which does not import it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "engine/tensorflow/tensorflow.h"

typedef struct search {
    const sl_report *report;
    sl_text places;
    char path[PATH_MAX];
    char version[32];
} search;

static void note(search *s, const char *place, const char *what)
{
    if (s->report != NULL)
        s->report->add(s->report->arg, place, NULL, what);
    if (s->places.n)
        sl_text_puts(&s->places, ", ");
    sl_text_printf(&s->places, "%s (%s)", place, what);
}

static bool is_file(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

static bool is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool join(char *out, size_t size, const char *dir, const char *name)
{
    int n = snprintf(out, size, "%s/%s", dir, name);
    return n > 0 && (size_t)n < size;
}

/* ---- the version, as far as names tell it ---- */

static bool copy_version(search *s, const char *from, size_t n)
{
    if (n == 0 || n >= sizeof s->version || strspn(from, "0123456789.") < SL_MIN(n, (size_t)3))
        return false;
    memcpy(s->version, from, n);
    s->version[n] = '\0';
    return true;
}

/* The distributions that bring a package "tensorflow"; not tensorflow_metadata and others. */
static bool names_tensorflow(const char *p, size_t n)
{
    static const char *const names[] = {"tensorflow", "tensorflow_cpu", "tensorflow_intel",
                                        "tensorflow_cpu_aws", "tensorflow_rocm"};
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        if (sl_str_is((sl_str){p, n}, names[i]))
            return true;
    return false;
}

/* .../site-packages/tensorflow/libtensorflow_cc.so.2: "tensorflow-2.21.0.dist-info" lies beside
 * .../tensorflow; so do tensorflow_cpu-... and the like. */
static void version_of_package(search *s, const char *package)
{
    char site[PATH_MAX];
    if (!join(site, sizeof site, package, ".."))
        return;
    DIR *d = opendir(site);
    if (d == NULL)
        return;
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        const char *end = strstr(e->d_name, ".dist-info");
        const char *dash = end ? memrchr(e->d_name, '-', (size_t)(end - e->d_name)) : NULL;
        if (dash == NULL || !names_tensorflow(e->d_name, (size_t)(dash - e->d_name)))
            continue;
        if (copy_version(s, dash + 1, (size_t)(end - dash) - 1))
            break;
    }
    closedir(d);
}

/* libtensorflow.so.2 is a link to libtensorflow.so.2.15.0 in Google's archives. */
static void version_of_file(search *s)
{
    char real[PATH_MAX];
    if (realpath(s->path, real) == NULL)
        return;
    const char *so = strstr(real, ".so.");
    if (so != NULL && strchr(so + 4, '.') != NULL)
        copy_version(s, so + 4, strlen(so + 4));
}

static bool take(search *s, const char *path)
{
    if (!is_file(path))
        return false;
    /* dlopen takes a name without a slash for something else */
    int n = snprintf(s->path, sizeof s->path, "%s%s", strchr(path, '/') ? "" : "./", path);
    if (n <= 0 || (size_t)n >= sizeof s->path)
        return false;
    version_of_file(s);
    note(s, path, "found");
    return true;
}

/* ---- places ---- */

static bool take_from(search *s, const char *dir)
{
    static const char *const names[] = {"libtensorflow_cc.so.2", "libtensorflow.so.2",
                                        "libtensorflow_cc.so", "libtensorflow.so"};
    char path[PATH_MAX];
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        if (join(path, sizeof path, dir, names[i]) && take(s, path))
            return true;
    return false;
}

static bool look_in(search *s, const char *dir)
{
    if (take_from(s, dir))
        return true;
    note(s, dir,
         is_dir(dir) ? "no libtensorflow_cc.so.2 or libtensorflow.so.2" : "no such directory");
    return false;
}

static bool look_in_list(search *s, const char *colons)
{
    for (const char *at = colons; at != NULL && *at != '\0';) {
        size_t n = strcspn(at, ":");
        char dir[PATH_MAX];
        if (n > 0 && n < sizeof dir) {
            snprintf(dir, sizeof dir, "%.*s", (int)n, at);
            if (look_in(s, dir))
                return true;
        }
        at += n + (at[n] == ':');
    }
    return false;
}

static bool look_in_system(search *s)
{
    static const char *const dirs[] = {
        "/usr/local/lib",
        "/usr/lib",
#if defined(__x86_64__)
        "/usr/lib/x86_64-linux-gnu",
        "/usr/lib64"
#elif defined(__aarch64__)
        "/usr/lib/aarch64-linux-gnu",
        "/usr/lib64"
#endif
    };
    for (size_t i = 0; i < SL_COUNTOF(dirs); i++)
        if (look_in(s, dirs[i]))
            return true;
    return false;
}

static bool look_in_package(search *s, const char *package)
{
    if (!take_from(s, package))
        return false;
    if (s->version[0] == '\0')
        version_of_package(s, package);
    return true;
}

static bool look_in_packages(search *s, const char *lib, const char *python, const char *packages)
{
    char package[PATH_MAX];
    int n = snprintf(package, sizeof package, "%s/%s/%s/tensorflow", lib, python, packages);
    return n > 0 && (size_t)n < sizeof package && look_in_package(s, package);
}

/* PREFIX/lib/python3.N/{site,dist}-packages/tensorflow */
static bool look_below(search *s, const char *prefix, const char *lib)
{
    char dir[PATH_MAX];
    if (!join(dir, sizeof dir, prefix, lib))
        return false;
    DIR *d = opendir(dir);
    if (d == NULL)
        return false;
    bool found = false;
    for (struct dirent *e; !found && (e = readdir(d)) != NULL;)
        if (strncmp(e->d_name, "python3", 7) == 0)
            found = look_in_packages(s, dir, e->d_name, "site-packages") ||
                    look_in_packages(s, dir, e->d_name, "dist-packages");
    closedir(d);
    return found;
}

static bool look_in_prefix(search *s, const char *prefix)
{
    return look_below(s, prefix, "lib") || look_below(s, prefix, "lib64") ||
           look_below(s, prefix, "local/lib");
}

/* "/x/bin/python3" -> "/x" */
static bool prefix_of(const char *python, char *prefix, size_t size)
{
    const char *slash = strrchr(python, '/');
    if (slash == NULL || slash - python < 4 || strncmp(slash - 4, "/bin", 4) != 0)
        return false;
    int n = snprintf(prefix, size, "%.*s", (int)(slash - 4 - python), python);
    return n >= 0 && (size_t)n < size;
}

/* ---- asking an interpreter ---- */

/* Reads at most size - 1 bytes until the end or until 5 seconds have passed. */
static size_t read_for_a_while(int fd, char *out, size_t size)
{
    uint64_t until = sl_now_ns() + 5000000000u;
    size_t n = 0;
    while (n < size - 1) {
        int64_t left = (int64_t)(until - sl_now_ns()) / 1000000;
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (left <= 0 || poll(&p, 1, (int)left) <= 0)
            break;
        ssize_t got = read(fd, out + n, size - 1 - n);
        if (got <= 0)
            break;
        n += (size_t)got;
    }
    out[n] = '\0';
    return n;
}

static bool ask(search *s, const char *python)
{
    static const char *const question =
        "import importlib.util as u; s = u.find_spec('tensorflow'); "
        "print(list(s.submodule_search_locations)[0] if s else '')";
    char *const argv[] = {(char *)(uintptr_t)python, "-c", (char *)(uintptr_t)question, NULL};
    int ends[2];
    pid_t pid;
    if (pipe2(ends, O_CLOEXEC) != 0)
        return false;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
    int rc = posix_spawn(&pid, python, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    char package[PATH_MAX] = "";
    if (rc == 0) {
        read_for_a_while(ends[0], package, sizeof package);
        kill(pid, SIGKILL); /* answered, or it never will; ours until it is waited for */
        waitpid(pid, NULL, 0);
    }
    close(ends[0]);
    package[strcspn(package, "\r\n")] = '\0';
    return package[0] == '/' && look_in_package(s, package);
}

static bool look_at_python(search *s, const char *python)
{
    char prefix[PATH_MAX], real[PATH_MAX];
    if (!is_file(python)) {
        note(s, python, "no such file");
        return false;
    }
    if (prefix_of(python, prefix, sizeof prefix) && look_in_prefix(s, prefix))
        return true;
    if (realpath(python, real) != NULL && prefix_of(real, prefix, sizeof prefix) &&
        look_in_prefix(s, prefix))
        return true;
    if (ask(s, python))
        return true;
    note(s, python, "has no TensorFlow");
    return false;
}

static bool look_at_pythons_in_path(search *s)
{
    static const char *const names[] = {"python3", "python"};
    const char *all = getenv("PATH");
    for (size_t i = 0; i < SL_COUNTOF(names); i++)
        for (const char *at = all; at != NULL && *at != '\0';) {
            size_t n = strcspn(at, ":");
            char python[PATH_MAX];
            int m = snprintf(python, sizeof python, "%.*s/%s", (int)SL_MIN(n, (size_t)PATH_MAX), at,
                             names[i]);
            if (n > 0 && m > 0 && (size_t)m < sizeof python && access(python, X_OK) == 0 &&
                look_at_python(s, python))
                return true;
            at += n + (at[n] == ':');
        }
    return false;
}

static bool look_in_home(search *s)
{
    char local[PATH_MAX];
    const char *venv = getenv("VIRTUAL_ENV"), *home = getenv("HOME");
    if (venv != NULL && *venv != '\0') {
        if (look_in_prefix(s, venv))
            return true;
        note(s, venv, "has no TensorFlow");
    }
    return home != NULL && join(local, sizeof local, home, ".local") && look_in_prefix(s, local);
}

/* ---- */

/* A place that the user named: it has the library, or the search ends. */
static sl_code look_at_named(search *s, const char *place, const char *who, sl_status *st)
{
    if (take(s, place) || (is_dir(place) && take_from(s, place)))
        return SL_OK;
    return sl_fail(st, SL_FAILED_PRECONDITION, "no TensorFlow library at \"%s\", which %s names",
                   place, who);
}

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && *v != '\0' ? v : NULL;
}

static sl_code look_everywhere(search *s, const sl_tensorflow_options *opts, sl_status *st)
{
    const char *python = opts->python ? opts->python : env("SLUICE_TENSORFLOW_PYTHON");
    const char *library = env("SLUICE_TENSORFLOW_LIBRARY");
    if (opts->library != NULL && *opts->library != '\0')
        return look_at_named(s, opts->library, "--tensorflow_library", st);
    if (library != NULL)
        return look_at_named(s, library, "SLUICE_TENSORFLOW_LIBRARY", st);
    if (python != NULL && *python != '\0') {
        if (look_at_python(s, python))
            return SL_OK;
        return sl_fail(st, SL_FAILED_PRECONDITION,
                       "the Python \"%s\", which was named, has no TensorFlow", python);
    }
    if (look_in_list(s, env("LD_LIBRARY_PATH")) || look_in_system(s) || look_in_home(s) ||
        look_at_pythons_in_path(s))
        return SL_OK;
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "no TensorFlow library found (pip install tensorflow, or name one with "
                   "--tensorflow_library); looked at: %.*s",
                   (int)SL_MIN(s->places.n, (size_t)900), s->places.p ? s->places.p : "");
}

sl_code sl_tensorflow_find(const sl_tensorflow_options *opts, char *path, size_t path_size,
                           char *version, size_t version_size, const sl_report *report,
                           sl_status *st)
{
    search *s = sl_calloc(1, sizeof *s);
    s->report = report;
    sl_code rc = look_everywhere(s, opts, st);
    if (rc == SL_OK) {
        /* A library named by itself may still lie in a package. */
        char dir[PATH_MAX];
        snprintf(dir, sizeof dir, "%s", s->path);
        *strrchr(dir, '/') = '\0';
        if (s->version[0] == '\0')
            version_of_package(s, dir);
        if (strlen(s->path) >= path_size)
            rc = sl_fail(st, SL_INTERNAL, "the path of the TensorFlow library is too long");
        snprintf(path, path_size, "%s", s->path);
        snprintf(version, version_size, "%s", s->version);
    }
    sl_text_fini(&s->places);
    sl_free(s);
    return rc;
}
