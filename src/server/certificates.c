/* certificates.c - see certificates.h */
#include "server/certificates.h"

#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "metrics/metrics.h"
#include "server/config.h"

enum { MAX_FILE = 4 << 20, WARN_DAYS = 14, DAY = 24 * 3600 };

/* ---- files ---- */

static void identify(const char *path, sl_file_id *id)
{
    struct stat s;
    *id = (sl_file_id){0};
    if (stat(path, &s) != 0)
        return;
    *id = (sl_file_id){s.st_dev, s.st_ino, (uint64_t)s.st_size,
                       (uint64_t)s.st_mtim.tv_sec * 1000000000u + (uint64_t)s.st_mtim.tv_nsec,
                       (uint64_t)s.st_ctim.tv_sec * 1000000000u + (uint64_t)s.st_ctim.tv_nsec};
}

static void look(const sl_certificate_source *s, sl_file_id *ids)
{
    memset(ids, 0, sizeof s->seen);
    for (int i = 0; i < s->n_files; i++)
        identify(s->files[i], &ids[i]);
}

static void warn_if_open(const char *path)
{
    struct stat s;
    if (stat(path, &s) == 0 && S_ISREG(s.st_mode) && (s.st_mode & S_IROTH))
        sl_log(SL_WARNING,
               "%s holds a private key and can be read by everybody on this machine: chmod o-r",
               path);
}

static sl_code watch_file(sl_certificate_source *s, sl_str path, sl_status *st)
{
    if (s->n_files == SL_CERTIFICATES_MAX_FILES)
        return sl_fail(st, SL_INVALID_ARGUMENT, "more than %d certificates", SL_TLS_MAX_PAIRS);
    s->files[s->n_files++] = sl_strndup(path.p, path.n);
    return SL_OK;
}

/* files: the certificates, then as many keys, then the authorities. */
static sl_code list_files(sl_certificate_source *s, sl_status *st)
{
    sl_str item;
    sl_code rc = SL_OK;
    if (s->ssl_config_file != NULL)
        return watch_file(s, sl_str_of(s->ssl_config_file), st);
    for (size_t at = 0; rc == SL_OK && sl_flags_item(s->cert_files, &at, &item);)
        rc = watch_file(s, item, st);
    int n = s->n_files;
    for (size_t at = 0; rc == SL_OK && sl_flags_item(s->key_files, &at, &item);)
        rc = watch_file(s, item, st);
    if (rc == SL_OK && s->n_files != 2 * n)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "tls_cert_file lists %d files and tls_key_file %d: each certificate needs its "
                     "key, in the same order",
                     n, s->n_files - n);
    if (rc == SL_OK && s->ca_file[0])
        rc = watch_file(s, sl_str_of(s->ca_file), st);
    return rc;
}

/* ---- from files to options ---- */

/* What was read; the options point into it. */
typedef struct material {
    sl_tls_options options;
    sl_tls_pair pairs[SL_TLS_MAX_PAIRS];
    sl_buffer *read[SL_CERTIFICATES_MAX_FILES];
    sl_arena arena; /* of the SSLConfig */
    bool has_arena;
    char cert_name[4200], key_name[4200], ca_name[4200]; /* what its fields are called */
} material;

static void forget(material *m)
{
    for (int i = 0; i < SL_CERTIFICATES_MAX_FILES; i++)
        if (m->read[i] != NULL) {
            explicit_bzero(m->read[i]->data, m->read[i]->size);
            sl_buffer_release(m->read[i]);
        }
    if (m->has_arena)
        sl_arena_fini(&m->arena);
}

static sl_code read_one(material *m, const sl_certificate_source *s, int i, sl_str *out,
                        sl_status *st)
{
    sl_code rc = sl_file_read(s->files[i], MAX_FILE, &m->read[i], st);
    if (rc == SL_OK)
        *out = (sl_str){m->read[i]->data, m->read[i]->size};
    return rc;
}

static sl_code read_files(material *m, const sl_certificate_source *s, sl_status *st)
{
    bool ca = s->n_files % 2 != 0;
    int n = s->n_files / 2;
    sl_code rc = SL_OK;
    m->options.n_pairs = n;
    for (int i = 0; i < n && rc == SL_OK; i++) {
        sl_tls_pair *p = &m->pairs[i];
        p->cert_name = s->files[i];
        p->key_name = s->files[n + i];
        rc = read_one(m, s, i, &p->cert, st);
        if (rc == SL_OK)
            rc = read_one(m, s, n + i, &p->key, st);
        if (rc == SL_OK)
            warn_if_open(p->key_name);
    }
    if (rc == SL_OK && ca) {
        m->options.client_ca_name = s->files[2 * n];
        rc = read_one(m, s, 2 * n, &m->options.client_ca, st);
    }
    if (rc == SL_OK && ca && m->options.client_ca.n == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s: the file is empty", s->files[2 * n]);
    m->options.verify = s->verify;
    return rc;
}

/* TensorFlow Serving's file: PEM texts inside a message. */
static sl_code read_ssl_config(material *m, const sl_certificate_source *s, sl_status *st)
{
    const char *path = s->ssl_config_file;
    sl_ssl_config ssl;
    sl_code rc = sl_arena_init(&m->arena, 0);
    if (rc)
        return sl_fail(st, rc, "out of memory");
    m->has_arena = true;
    rc = sl_ssl_read(path, &m->arena, &ssl, st);
    if (rc)
        return rc;
    if (ssl.server_key.n == 0 || ssl.server_cert.n == 0)
        return sl_fail(
            st, SL_INVALID_ARGUMENT,
            "%s: %s is empty: it holds the PEM text itself, with \\n for each end of line", path,
            ssl.server_key.n ? "server_cert" : "server_key");
    snprintf(m->cert_name, sizeof m->cert_name, "%s: server_cert", path);
    snprintf(m->key_name, sizeof m->key_name, "%s: server_key", path);
    snprintf(m->ca_name, sizeof m->ca_name, "%s: custom_ca", path);
    m->pairs[0] = (sl_tls_pair){ssl.server_cert, ssl.server_key, m->cert_name, m->key_name};
    m->options.n_pairs = 1;
    m->options.client_ca = ssl.custom_ca;
    m->options.client_ca_name = m->ca_name;
    m->options.verify = ssl.client_verify ? SL_TLS_VERIFY_REQUIRED : SL_TLS_VERIFY_NONE;
    if (ssl.client_verify && ssl.custom_ca.n == 0)
        sl_log(SL_WARNING,
               "%s: client_verify without custom_ca: whoever has a certificate of any authority "
               "that this system trusts is let in",
               path);
    warn_if_open(path);
    return SL_OK;
}

/* ---- taking them into use ---- */

static void publish_expiry(const sl_certificate_source *s)
{
    static const char *const labels[] = {"listener", "file", NULL};
    sl_metric *m =
        sl_metric_register("/sluice/tls/certificate_not_after_seconds", SL_GAUGE, labels, NULL, 0);
    int64_t t;
    for (int i = 0; (t = sl_tls_not_after(s->tls, i)) != 0; i++) {
        sl_str values[] = {sl_str_of(s->what), sl_str_of(s->files[i])};
        sl_cell_set(sl_metric_cell(m, values), t);
    }
}

static void count_reload(const char *what, bool ok)
{
    static const char *const labels[] = {"listener", "result", NULL};
    sl_metric *m = sl_metric_register("/sluice/tls/reloads", SL_COUNTER, labels, NULL, 0);
    sl_str values[] = {sl_str_of(what), sl_str_of(ok ? "ok" : "failed")};
    sl_cell_add(sl_metric_cell(m, values), 1);
}

static void say_expiry(const char *file, int64_t left)
{
    if (left <= 0)
        sl_log(SL_ERROR, "%s: the certificate has expired: clients refuse it", file);
    else if (left < WARN_DAYS * (int64_t)DAY)
        sl_log(SL_WARNING, "%s: the certificate expires in %lld hours", file,
               (long long)(left / 3600));
}

/* Once a day, and when it has happened. */
static void warn_of_expiry(sl_certificate_source *s)
{
    int64_t now = sl_wall_us() / 1000000, t;
    if (now < s->warn_at)
        return;
    s->warn_at = now + DAY;
    for (int i = 0; (t = sl_tls_not_after(s->tls, i)) != 0; i++) {
        say_expiry(s->files[i], t - now);
        if (t > now && t < s->warn_at)
            s->warn_at = t;
    }
}

static sl_code take(sl_certificate_source *s, sl_status *st)
{
    material m = {.options = {.alpn = s->alpn, .only_13 = s->only_13}};
    m.options.pairs = m.pairs;
    /* Before they are read: what changes meanwhile is seen at the next look. */
    look(s, s->taken);
    memcpy(s->seen, s->taken, sizeof s->seen);
    sl_code rc = s->ssl_config_file ? read_ssl_config(&m, s, st) : read_files(&m, s, st);
    if (rc == SL_OK)
        rc = s->tls ? sl_tls_replace(s->tls, &m.options, st) : sl_tls_new(&m.options, &s->tls, st);
    forget(&m);
    if (rc == SL_OK) {
        s->warn_at = 0;
        warn_of_expiry(s);
        publish_expiry(s);
    }
    return rc;
}

static sl_code open_source(sl_certificate_source *s, sl_status *st)
{
    sl_code rc = list_files(s, st);
    return rc ? rc : take(s, st);
}

static void name_sources(sl_certificates *c, const sl_flags *f)
{
    bool only_13 = f->tls_min_version == 13;
    c->rest = (sl_certificate_source){.what = "REST",
                                      .cert_files = f->tls_cert_file,
                                      .key_files = f->tls_key_file,
                                      .ca_file = f->tls_client_ca_file,
                                      .verify = (sl_tls_verify)f->tls_client_verify,
                                      .alpn = "h2 http/1.1",
                                      .only_13 = only_13};
    c->grpc = (sl_certificate_source){.what = "gRPC",
                                      .ssl_config_file =
                                          f->ssl_config_file[0] ? f->ssl_config_file : NULL,
                                      .cert_files = f->grpc_tls_cert_file,
                                      .key_files = f->grpc_tls_key_file,
                                      .ca_file = f->grpc_tls_client_ca_file,
                                      .verify = (sl_tls_verify)f->grpc_tls_client_verify,
                                      .alpn = "h2",
                                      .only_13 = only_13};
    c->admin = (sl_certificate_source){.what = "admin",
                                       .cert_files = f->admin_tls_cert_file,
                                       .key_files = f->admin_tls_key_file,
                                       .ca_file = f->admin_tls_client_ca_file,
                                       .verify = (sl_tls_verify)f->admin_tls_client_verify,
                                       .alpn = "h2 http/1.1",
                                       .only_13 = only_13};
}

sl_code sl_certificates_open(sl_certificates *c, const sl_flags *f, sl_status *st)
{
    bool all = f->tls_cert_file[0] != '\0', original = f->ssl_config_file[0] != '\0';
    sl_code rc = SL_OK;
    *c = (sl_certificates){0};
    name_sources(c, f);
    if (all)
        rc = open_source(&c->rest, st);
    if (rc == SL_OK && (f->grpc_tls_cert_file[0] || original))
        rc = open_source(&c->grpc, st);
    if (rc && original && c->grpc.n_files > 0)
        sl_wrap(st, "Failed to BuildAndStart gRPC server: ");
    if (rc == SL_OK && f->admin_address[0] && f->admin_tls_cert_file[0])
        rc = open_source(&c->admin, st);
    if (rc == SL_OK && original && !all && f->rest_api_port != 0)
        sl_log(SL_INFO,
               "REST is not encrypted: --ssl_config_file is for gRPC alone, as in TensorFlow "
               "Serving; --tls_cert_file and --tls_key_file are for both");
    return rc;
}

bool sl_certificates_are_there(const sl_certificates *c)
{
    return c->rest.tls != NULL || c->grpc.tls != NULL || c->admin.tls != NULL;
}

/* ---- changes ---- */

static void poll_source(sl_certificate_source *s, bool now)
{
    sl_file_id ids[SL_CERTIFICATES_MAX_FILES];
    sl_status st = {0};
    if (s->tls == NULL)
        return;
    warn_of_expiry(s);
    look(s, ids);
    bool changed = memcmp(ids, s->taken, sizeof ids) != 0;
    bool still = memcmp(ids, s->seen, sizeof ids) == 0;
    memcpy(s->seen, ids, sizeof ids);
    if (!now && !(changed && still))
        return;
    sl_code rc = take(s, &st);
    count_reload(s->what, rc == SL_OK);
    if (rc)
        sl_log(SL_ERROR, "%s keeps its certificate; the changed files cannot be used: %s", s->what,
               st.msg);
    else
        sl_log(SL_INFO, "%s: new connections use the certificate that %s holds now", s->what,
               s->files[0]);
}

void sl_certificates_poll(sl_certificates *c, bool now)
{
    poll_source(&c->rest, now);
    poll_source(&c->grpc, now);
    poll_source(&c->admin, now);
}

static void close_source(sl_certificate_source *s)
{
    sl_tls_release(s->tls);
    for (int i = 0; i < s->n_files; i++)
        sl_free(s->files[i]);
    *s = (sl_certificate_source){0};
}

void sl_certificates_close(sl_certificates *c)
{
    close_source(&c->rest);
    close_source(&c->grpc);
    close_source(&c->admin);
}
