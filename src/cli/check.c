/*
 * check.c - `sluice check`: would the server start with these flags and files, and serve its
 * models?
 *
 * Reads what `serve` would read, with the same complaints, and then tries what the server would
 * only find out while it runs: base paths that are not there or have no version, models that cannot
 * be read or that no engine can run, arms of a split without a version (arms.h), ports that are
 * taken. Changes nothing, serves nothing.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "cli/arms.h"
#include "cli/cli.h"
#include "cli/flags_cli.h"
#include "cli/outside.h"
#include "fetch/place.h"
#include "savedmodel/savedmodel.h"
#include "server/auth.h"
#include "server/certificates.h"
#include "server/config.h"
#include "server/engines.h"
#include "server/model_dir.h"
#include "server/remote.h"

/* ---- models ---- */

/* Reads the model and asks the engines; prints which one it is. */
static sl_code check_version(const sl_loader *l, const sl_model_config *m, const char *path,
                             int64_t version, sl_status *st)
{
    sl_saved_model *model;
    const sl_engine_entry *e;
    sl_text why = {0};
    sl_code rc = sl_saved_model_open(path, l->tags, l->n_tags, &model, st);
    if (rc)
        return rc;
    rc = sl_engines_choose(&l->engines, m->engine ? m->engine : l->engine, model, &e, &why, NULL,
                           st);
    if (rc == SL_OK)
        printf("model %s: version %" PRId64 ": %s\n", m->name, version,
               why.p ? why.p : e->engine->name);
    sl_text_fini(&why);
    sl_saved_model_close(model);
    return rc;
}

static sl_code check_remote(const sl_flags *f, const sl_model_config *m, sl_status *st)
{
    sl_code rc = sl_remote_check(m->base_path, f->remote_helper, st);
    if (rc == SL_OK)
        printf("model %s: %s is fetched when the server runs, and was not looked at\n", m->name,
               m->base_path);
    return rc;
}

static sl_code check_model(const sl_flags *f, const sl_loader *l, const sl_model_config *m,
                           sl_status *st)
{
    const char *dir = m->base_path;
    char *path;
    int64_t version;
    if (strncmp(dir, "file://", 7) == 0)
        dir += 7;
    if (sl_fetch_is_remote(dir))
        return check_remote(f, m, st);
    if (dir[0] != '/')
        return sl_fail(st, SL_UNIMPLEMENTED, "%s is not looked at: only local paths are", dir);
    sl_code rc = sl_model_dir_find(dir, &path, &version, st);
    if (rc)
        return rc;
    rc = check_version(l, m, path, version, st);
    sl_free(path);
    sl_check_arms(m);
    return rc;
}

static int complain(const char *kind, const char *name, const sl_status *st)
{
    fprintf(stderr, "sluice: %s %s: %s\n", kind, name, st->msg);
    return 1;
}

static int check_models(const sl_flags *f, const sl_server_config *c)
{
    int wrong = 0;
    for (int i = 0; i < c->models.count; i++) {
        const sl_model_config *m = &c->models.models[i];
        sl_engines engines = {0};
        sl_loader loader;
        sl_status st = {0};
        const sl_platform *p = sl_config_platform(c, c->models.platforms[i]);
        if (sl_model_dir_check(m->base_path, NULL)) { /* reading the configuration has said so */
            wrong++;
            continue;
        }
        if (sl_engines_start(&engines, f, p, &loader, &st)) {
            wrong += complain("model", m->name, &st);
            continue;
        }
        if (check_model(f, &loader, m, &st))
            wrong += complain("model", m->name, &st);
        sl_engines_stop(&engines);
    }
    return wrong;
}

/* ---- ports ---- */

/* Can the port be had, on all interfaces? A port that is in use is only remarked: it may be the
 * server that is to be replaced. */
static int check_port(const char *what, int port)
{
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    struct sockaddr_in four = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int on = 1, e = 0, fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool v6 = fd >= 0;
    if (!v6)
        fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0; /* no network at all: not the port's fault */
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (v6 ? bind(fd, (struct sockaddr *)&six, sizeof six)
           : bind(fd, (struct sockaddr *)&four, sizeof four))
        e = errno;
    else if (listen(fd, 1))
        e = errno;
    close(fd);
    if (e == EADDRINUSE)
        printf("%s %d: in use at the moment\n", what, port);
    else if (e)
        fprintf(stderr, "sluice: %s=%d: %s\n", what, port, strerror(e));
    return e != 0 && e != EADDRINUSE;
}

static int check_ports(const sl_flags *f)
{
    int wrong = 0;
    if (f->port > 0 && !f->grpc_address[0])
        wrong += check_port("port", f->port);
    if (f->rest_api_port > 0 && !f->rest_address[0])
        wrong += check_port("rest_api_port", f->rest_api_port);
    if (f->health_port > 0)
        wrong += check_port("health_port", f->health_port);
    return wrong;
}

/* ---- permissions ---- */

/* From this machine: the server may be another one, so this is only remarked. */
static void say_keys(const char *issuer, const char *url, const sl_status *st)
{
    if (st->code == SL_OK)
        printf("jwt %s: keys fetched from %s\n", issuer, url);
    else
        printf("jwt %s: its keys cannot be fetched from here, and a server that cannot fetch them "
               "refuses its tokens: %s\n",
               issuer, st->msg);
}

static int check_auth(const sl_flags *f)
{
    sl_guard *g;
    sl_status st;
    if (*f->auth_config_file == '\0')
        return 0;
    sl_code rc = sl_guard_new(false, &g, &st);
    if (rc == SL_OK) {
        rc = sl_auth_read(f->auth_config_file, f->remote_helper, g, say_keys, &st);
        sl_guard_free(g);
    }
    if (rc)
        fprintf(stderr, "sluice: auth_config_file: %s\n", st.msg);
    return rc != SL_OK;
}

/* ---- certificates ---- */

static void print_certificates(const sl_certificate_source *source)
{
    int64_t t, now = sl_wall_us() / 1000000;
    for (int i = 0; source->tls != NULL && (t = sl_tls_not_after(source->tls, i)) != 0; i++)
        printf("%s: certificate %s: good for %" PRId64 " days\n", source->what, source->files[i],
               (t - now) / 86400);
}

/* Keys and certificates, as the server would take them: dates, chain, do they belong together. */
static int check_certificates(const sl_flags *f)
{
    sl_certificates c;
    sl_status st = {0};
    int wrong = 0;
    if (sl_certificates_open(&c, f, &st)) {
        fprintf(stderr, "sluice: TLS: %s\n", st.msg);
        wrong = 1;
    } else {
        print_certificates(&c.rest);
        print_certificates(&c.grpc);
        print_certificates(&c.admin);
    }
    sl_certificates_close(&c);
    return wrong;
}

/* ---- the command ---- */

int sl_cmd_check(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strncmp(argv[i], "--from-outside", 14) == 0)
            return sl_check_outside(argc, argv);
    sl_flags f;
    sl_status st = {0};
    sl_server_config config;
    int exit_status;
    if (!sl_cli_flags(argc, argv, &f, &exit_status))
        return exit_status;
    sl_log_set_level(sl_flags_given(&f, "log_level") ? (sl_log_level)f.log_level : SL_WARNING);
    if (sl_config_load(&f, &config, &st))
        return sl_cli_refuse(&st);
    int wrong = check_certificates(&f); /* with its warnings: a key that everybody can read ... */
    /* What follows says all this itself. */
    sl_log_set_level(SL_FATAL);
    wrong += check_models(&f, &config) + check_ports(&f) + check_auth(&f);
    sl_config_fini(&config);
    if (wrong == 0)
        puts("ok");
    return wrong ? SL_EXIT_REFUSED : SL_EXIT_OK;
}
