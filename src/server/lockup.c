/* lockup.c - see lockup.h */
#include "server/lockup.h"

#include <limits.h>
#include <stdlib.h>

#include "base/mem.h"
#include "server/auth.h"

typedef struct list {
    const char **names;
    int n;
    size_t cap;
    sl_arena *arena;
    bool failed;
} list;

static void add(list *l, const char *name, size_t n)
{
    char *copy = sl_arena_try_strndup(l->arena, name, n);
    const char **names = copy ? sl_try_grow(l->names, (size_t)l->n, &l->cap, sizeof *names) : NULL;
    l->failed |= names == NULL;
    if (names == NULL)
        return;
    l->names = names;
    l->names[l->n++] = copy;
}

/* It, and where it really is: sl_sandbox_may_read looks at paths behind links. */
static void add_root(list *l, const char *name, size_t n)
{
    char real[PATH_MAX];
    add(l, name, n);
    if (!l->failed && realpath(l->names[l->n - 1], real) != NULL)
        add(l, real, strlen(real));
}

/* The directory above, and where it really is: links may lead there. */
static void add_parent(list *l, const char *path)
{
    char real[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (*path == '\0' || strstr(path, "://") != NULL)
        return;
    size_t n = slash == NULL ? 0 : slash == path ? 1 : (size_t)(slash - path);
    if (n == 0)
        add_root(l, ".", 1);
    else
        add_root(l, path, n);
    if (realpath(path, real) != NULL && (slash = strrchr(real, '/')) != NULL && slash > real)
        add(l, real, (size_t)(slash - real));
}

/* As an array in the arena. */
static const char *const *finish(list *l, int *n)
{
    const char **names = sl_arena_try_alloc(l->arena, ((size_t)l->n + 1) * sizeof *names);
    l->failed |= names == NULL;
    if (names != NULL && l->n > 0)
        memcpy(names, l->names, (size_t)l->n * sizeof *names);
    sl_free(l->names);
    l->names = NULL;
    *n = l->n;
    return names;
}

static void add_parent_of(list *l, sl_str path)
{
    char copy[PATH_MAX];
    if (path.n >= sizeof copy)
        return;
    memcpy(copy, path.p, path.n);
    copy[path.n] = '\0';
    add_parent(l, copy);
}

static void add_sockets(list *l, const char *addresses)
{
    size_t at = 0;
    sl_str item;
    while (sl_flags_item(addresses, &at, &item)) {
        size_t scheme = sl_str_starts(item, "http://")    ? 7
                        : sl_str_starts(item, "https://") ? 8
                                                          : 0;
        sl_str address = {item.p + scheme, item.n - scheme};
        if (sl_str_starts(address, "unix:"))
            add_parent_of(l, (sl_str){address.p + 5, address.n - 5});
    }
}

static sl_code add_named(void *arg, const char *file, sl_status *st)
{
    (void)st;
    add_parent(arg, file);
    return SL_OK;
}

/* Tokens and key sets may lie elsewhere than the configuration that names them. */
static void add_identities(list *l, const char *auth_config)
{
    sl_status st;
    if (*auth_config != '\0' && sl_auth_each_file(auth_config, add_named, l, &st) != SL_OK)
        l->failed = true;
}

static void add_readable(list *l, const sl_flags *f, const sl_server_config *c)
{
    const char *const files[] = {f->model_config_file,        f->platform_config_file,
                                 f->batching_parameters_file, f->monitoring_config_file,
                                 f->ssl_config_file,          f->tensorflow_session_config_file,
                                 f->auth_config_file,         f->tls_client_ca_file,
                                 f->grpc_tls_client_ca_file,  f->admin_tls_client_ca_file};
    size_t at = 0;
    sl_str item;
    for (size_t i = 0; i < SL_COUNTOF(files); i++)
        add_parent(l, files[i]);
    add_identities(l, f->auth_config_file);
    const char *const keys[] = {f->tls_cert_file,       f->tls_key_file,
                                f->grpc_tls_cert_file,  f->grpc_tls_key_file,
                                f->admin_tls_cert_file, f->admin_tls_key_file};
    for (size_t i = 0; i < SL_COUNTOF(keys); i++)
        for (at = 0; sl_flags_item(keys[i], &at, &item);)
            add_parent_of(l, item);
    at = 0;
    if (*f->models_dir)
        add_root(l, f->models_dir, strlen(f->models_dir));
    while (sl_flags_item(f->sandbox_root, &at, &item))
        add_root(l, item.p, item.n);
    /* Asked only where it matters: a mount that is dead keeps whoever asks. */
    bool strict = f->sandbox == SL_SANDBOX_STRICT && *f->sandbox_root == '\0';
    for (int i = 0; strict && i < c->models.count; i++)
        add_parent(l, c->models.models[i].base_path);
}

sl_code sl_lockup_options(const sl_flags *f, sl_server_config *c, const char *cache_dir,
                          sl_sandbox_options *out, sl_status *st)
{
    list writable = {.arena = &c->arena}, readable = {.arena = &c->arena};
    add_parent(&writable, f->grpc_socket_path);
    add_sockets(&writable, f->grpc_address);
    add_sockets(&writable, f->rest_address);
    add_sockets(&writable, f->admin_address);
    if (cache_dir != NULL)
        add(&writable, cache_dir, strlen(cache_dir));
    add_readable(&readable, f, c);
    *out = (sl_sandbox_options){.mode = (sl_sandbox_mode)f->sandbox};
    out->writable = finish(&writable, &out->n_writable);
    out->readable = finish(&readable, &out->n_readable);
    return writable.failed || readable.failed ? sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory")
                                              : SL_OK;
}
