/*
 * archive.c - see archive.h
 *
 * What the mirror holds of the archive stands in DIR/archive: "etag", "modified" and "content"
 * (the archive's SHA-256), each with its value, then a line "version NAME" for each. The file is
 * written last, so it never tells of more than there is.
 */
#include "fetch/helper/archive.h"

#include <assert.h>
#include <curl/curl.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "fetch/helper/http.h"
#include "fetch/helper/mirror.h"

enum { HOPS = 5, LEVELS = 4, STATE = 1 << 20, ROOM = PATH_MAX + 64 };

typedef struct state {
    char etag[FETCH_TAG], modified[64], content[FETCH_FINGERPRINT];
    fetch_names versions;
} state;

/* ---- what is known from before ---- */

static bool take(const char *line, const char *key, char *out, size_t size)
{
    size_t n = strlen(key);
    if (strncmp(line, key, n) != 0 || line[n] != ' ' || strlen(line + n + 1) >= size)
        return false;
    memcpy(out, line + n + 1, strlen(line + n + 1) + 1);
    return true;
}

static void read_state(const fetch_op *op, state *s)
{
    sl_buffer *b;
    char name[SL_FETCH_NAME_LENGTH + 1], *path = sl_path_join(op->dir, "archive"), *rest = NULL;
    memset(s, 0, sizeof *s);
    if (path == NULL || sl_file_read(path, STATE, &b, NULL)) {
        sl_free(path);
        return;
    }
    sl_free(path);
    for (char *line = strtok_r(b->data, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        if (take(line, "version", name, sizeof name) && sl_fetch_is_version(sl_str_of(name)))
            fetch_names_add(&s->versions, sl_str_of(name), NULL);
        take(line, "etag", s->etag, sizeof s->etag);
        take(line, "modified", s->modified, sizeof s->modified);
        take(line, "content", s->content, sizeof s->content);
    }
    sl_buffer_release(b);
}

static sl_code write_state(const fetch_op *op, const fetch_reply *reply, const state *s,
                           sl_status *st)
{
    char path[ROOM], fresh[ROOM];
    sl_text t = {0};
    snprintf(path, sizeof path, "%s/archive", op->dir);
    snprintf(fresh, sizeof fresh, "%s/.archive-%d", op->dir, (int)gettid());
    sl_text_printf(&t, "content %s\n", s->content);
    if (*reply->etag)
        sl_text_printf(&t, "etag %s\n", reply->etag);
    if (*reply->last_modified)
        sl_text_printf(&t, "modified %s\n", reply->last_modified);
    for (int i = 0; i < s->versions.count; i++)
        sl_text_printf(&t, "version %s\n", s->versions.list[i]);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    bool ok = fd >= 0 && !t.failed && write(fd, t.p, t.n) == (ssize_t)t.n && fsync(fd) == 0 &&
              rename(fresh, path) == 0;
    sl_code rc = ok ? SL_OK : sl_fail(st, SL_INTERNAL, "%s: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    if (rc)
        unlink(fresh);
    sl_text_fini(&t);
    return rc;
}

/* ---- fetching ---- */

typedef struct question {
    const char *url;
    const state *known; /* NULL: unconditional */
} question;

static sl_code build(fetch_op *op, const void *arg, fetch_request *r, sl_status *st)
{
    const question *q = arg;
    (void)op, (void)st;
    sl_text_puts(&r->url, q->url);
    r->netrc = true;
    if (q->known != NULL && *q->known->etag)
        sl_text_printf(&r->headers, "If-None-Match: %s\n", q->known->etag);
    else if (q->known != NULL && *q->known->modified)
        sl_text_printf(&r->headers, "If-Modified-Since: %s\n", q->known->modified);
    return SL_OK;
}

static sl_str host_of(sl_str url)
{
    const char *p = memmem(url.p, url.n, "://", 3);
    size_t begin = p ? (size_t)(p - url.p) + 3 : url.n, end = begin;
    while (end < url.n && strchr("/?#", url.p[end]) == NULL)
        end++;
    return (sl_str){url.p + begin, end - begin};
}

bool fetch_may_redirect(const fetch_settings *s, sl_str from, sl_str to)
{
    bool plain = sl_str_starts(to, "http://");
    sl_str host = host_of(to);
    if ((!plain && !sl_str_starts(to, "https://")) || host.n == 0 ||
        memchr(host.p, '@', host.n) != NULL)
        return false;
    if (plain && sl_str_starts(from, "https://"))
        return false;
    if (sl_str_eq_nocase(host, host_of(from)))
        return true;
    for (int i = 0; i < s->n_roots; i++)
        if (sl_fetch_below(to, s->roots[i]))
            return true;
    return false;
}

char *fetch_resolve(const char *base, const char *location)
{
    CURLU *u = curl_url();
    char *text = NULL, *out = NULL;
    if (u != NULL && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, location, 0) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
        out = sl_strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return out;
}

/* Fetches, following redirects; *path is then the file's. */
static sl_code download(fetch_op *op, const fetch_staging *s, const state *known, char *path,
                        fetch_reply *reply, sl_status *st)
{
    char *url = sl_strdup(op->url), name[32];
    sl_code rc = SL_OK;
    for (int hop = 0;; hop++) {
        question q = {url, known};
        snprintf(name, sizeof name, "archive-%d", hop);
        rc = fetch_one_file(op, s->fd, name, build, &q, op->settings->max_bytes, reply, st);
        bool redirected = reply->status >= 301 && reply->status <= 308 && reply->status != 304 &&
                          *reply->location;
        if (rc == SL_OK || !redirected)
            break;
        char *next = fetch_resolve(url, reply->location);
        if (next == NULL || hop == HOPS ||
            !fetch_may_redirect(op->settings, sl_str_of(url), sl_str_of(next))) {
            sl_str host = next ? host_of(sl_str_of(next)) : SL_STR("");
            sl_fail(st, SL_FAILED_PRECONDITION,
                    "it is redirected to %.*s%.*s, which is %s; --remote_root can allow it",
                    next ? (int)strcspn(next, "/") : 0, next ? next : "", SL_STR_ARG(host),
                    hop == HOPS ? "once too often" : "not the host that was configured");
            sl_free(next);
            break;
        }
        fetch_reply_fini(reply);
        sl_free(url);
        url = next;
    }
    snprintf(path, ROOM, "%s/%s", s->path, name);
    sl_free(url);
    return rc;
}

static sl_code fingerprint(const char *path, char out[FETCH_FINGERPRINT], sl_status *st)
{
    unsigned char digest[EVP_MAX_MD_SIZE] = {0};
    char *piece = sl_malloc(1 << 16);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = -1;
    bool ok = md != NULL && fd >= 0 && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1;
    while (ok && (n = read(fd, piece, 1 << 16)) > 0)
        EVP_DigestUpdate(md, piece, (size_t)n);
    ok = ok && n == 0 && EVP_DigestFinal_ex(md, digest, NULL) == 1;
    if (fd >= 0)
        close(fd);
    EVP_MD_CTX_free(md);
    sl_free(piece);
    for (int i = 0; i < 16; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
    return ok ? SL_OK : sl_fail(st, SL_INTERNAL, "%s: %s", path, strerror(errno));
}

/* ---- what is in it ---- */

static bool is_model(const char *dir)
{
    static const char *const names[] = {"saved_model.pb", "saved_model.pbtxt", "saved_model.cpb"};
    char path[PATH_MAX + 32];
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        if (access(path, F_OK) == 0)
            return true;
    }
    return false;
}

/* Makes `path` of both: is it a directory? -1 with errno: that cannot be told. */
static int directory_at(char path[PATH_MAX], const char *dir, const char *name)
{
    struct stat s;
    if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    return lstat(path, &s) ? -1 : S_ISDIR(s.st_mode);
}

/* Finds version directories below `dir`; *only gets the one directory there is, if there is one. */
static sl_code find_versions(const char *dir, fetch_names *out, char *only, sl_status *st)
{
    char path[PATH_MAX];
    int directories = 0;
    sl_code rc = SL_OK;
    *only = '\0';
    DIR *d = opendir(dir);
    if (d == NULL)
        return sl_fail(st, SL_INTERNAL, "%s: %s", dir, strerror(errno));
    struct dirent *e;
    for (errno = 0; rc == SL_OK && (e = readdir(d)) != NULL; errno = 0) {
        int is = e->d_name[0] == '.' ? 0 : directory_at(path, dir, e->d_name);
        if (is < 0) /* what is written down of half of an archive would be believed for ever */
            rc = sl_fail(st, SL_INTERNAL, "%s/%s: %s", dir, e->d_name, strerror(errno));
        if (is <= 0)
            continue;
        directories++;
        memcpy(only, path, strlen(path) + 1);
        if (sl_fetch_is_version(sl_str_of(e->d_name)) && is_model(path))
            rc = fetch_names_add(out, sl_str_of(e->d_name), st);
    }
    if (rc == SL_OK && errno != 0)
        rc = sl_fail(st, SL_INTERNAL, "%s: %s", dir, strerror(errno));
    closedir(d);
    if (directories != 1)
        *only = '\0';
    return rc;
}

/* The number of a SavedModel that has none. */
static void number_of(const fetch_reply *reply, char *out, size_t size)
{
    time_t t = *reply->last_modified ? curl_getdate(reply->last_modified, NULL) : -1;
    snprintf(out, size, "%lld", t > 0 ? (long long)t : 1LL);
}

static sl_code publish_all(fetch_op *op, const char *dir, state *s, sl_status *st)
{
    char from[PATH_MAX];
    sl_code rc = SL_OK;
    for (int i = 0; i < s->versions.count && rc == SL_OK; i++) {
        const char *name = s->versions.list[i];
        if (fetch_mirror_has(op->dir, name, s->content))
            continue;
        int n = snprintf(from, sizeof from, "%s/%s", dir, name);
        assert(n < (int)sizeof from); /* find_versions has put them together, too */
        rc = fetch_publish(op->dir, from, name, s->content, st);
        op->changed |= rc == SL_OK;
    }
    return rc;
}

static sl_code publish(fetch_op *op, const char *content, const fetch_reply *reply, state *s,
                       sl_status *st)
{
    char dir[PATH_MAX], only[PATH_MAX], name[32];
    snprintf(dir, sizeof dir, "%s", content);
    for (int level = 0; level < LEVELS; level++) {
        if (is_model(dir)) {
            number_of(reply, name, sizeof name);
            sl_code rc = fetch_names_add(&s->versions, sl_str_of(name), st);
            if (rc == SL_OK && !fetch_mirror_has(op->dir, name, s->content))
                rc = fetch_publish(op->dir, dir, name, s->content, st);
            op->changed |= rc == SL_OK;
            return rc;
        }
        sl_code rc = find_versions(dir, &s->versions, only, st);
        if (rc)
            return rc;
        if (s->versions.count)
            return publish_all(op, dir, s, st);
        if (!*only)
            break;
        memcpy(dir, only, sizeof dir);
    }
    return sl_fail(st, SL_FAILED_PRECONDITION,
                   "the archive holds neither a saved_model.pb nor version directories with one");
}

static bool all_there(const fetch_op *op, const state *s)
{
    for (int i = 0; i < s->versions.count; i++)
        if (!fetch_mirror_has(op->dir, s->versions.list[i], s->content))
            return false;
    return s->versions.count > 0;
}

/* A new archive has come: opens and publishes it, unless it is the old one once more. */
static sl_code take_archive(fetch_op *op, const fetch_staging *g, const char *path,
                            const fetch_reply *reply, state *s, sl_status *st)
{
    char dir[PATH_MAX], content[FETCH_FINGERPRINT];
    sl_code rc = fingerprint(path, content, st);
    if (rc == SL_OK && strcmp(content, s->content) == 0 && all_there(op, s))
        return write_state(op, reply, s, st);
    fetch_names_fini(&s->versions);
    memcpy(s->content, content, sizeof content);
    if (snprintf(dir, sizeof dir, "%s/content", g->path) >= (int)sizeof dir || mkdir(dir, 0755))
        rc = sl_fail(st, SL_INTERNAL, "%s: %s", g->path, strerror(errno));
    if (rc == SL_OK)
        rc = fetch_unpack_apart(op, path, dir, st);
    if (rc == SL_OK)
        rc = publish(op, dir, reply, s, st);
    return rc ? rc : write_state(op, reply, s, st);
}

static sl_code refresh(fetch_op *op, state *s, bool conditional, sl_status *st)
{
    char path[ROOM];
    fetch_staging g;
    fetch_reply reply = {0};
    sl_code rc = fetch_mirror_room(op->dir, 0, st);
    if (rc == SL_OK)
        rc = fetch_staging_open(op->dir, &g, st);
    if (rc)
        return rc;
    conditional &= s->versions.count > 0;
    rc = download(op, &g, conditional ? s : NULL, path, &reply, st);
    if (rc == SL_OK && reply.status != 304)
        rc = take_archive(op, &g, path, &reply, s, st);
    else if (rc == SL_OK && !conditional) /* no versions at all would be news indeed */
        rc = sl_fail(st, SL_FAILED_PRECONDITION, "HTTP status 304 to a request on no condition");
    fetch_reply_fini(&reply);
    fetch_staging_close(&g);
    return rc;
}

sl_code fetch_archive_list(fetch_op *op, fetch_names *names, sl_status *st)
{
    state s;
    read_state(op, &s);
    sl_code rc = refresh(op, &s, true, st);
    for (int i = 0; i < s.versions.count && rc == SL_OK; i++)
        rc = fetch_names_add(names, sl_str_of(s.versions.list[i]), st);
    fetch_names_fini(&s.versions);
    return rc;
}

sl_code fetch_archive_get(fetch_op *op, sl_status *st)
{
    state s;
    read_state(op, &s);
    sl_code rc = SL_OK;
    if (!fetch_mirror_has(op->dir, op->name, s.content))
        rc = refresh(op, &s, false, st);
    if (rc == SL_OK && !fetch_mirror_has(op->dir, op->name, s.content))
        rc = sl_fail(st, SL_NOT_FOUND, "the archive no longer holds it");
    fetch_names_fini(&s.versions);
    return rc;
}
