/*
 * gs.c - see gs.h
 *
 * Objects are fetched by generation, so that what is fetched is what was listed, and checked
 * against the listing's CRC-32C and MD5. STORAGE_EMULATOR_HOST names another server, asked without
 * credentials.
 */
#include "fetch/helper/gs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/helper/google.h"
#include "fetch/helper/json.h"
#include "format/base64.h"

static struct {
    pthread_once_t once;
    fetch_google google;
} shared = {.once = PTHREAD_ONCE_INIT};

static void start(void)
{
    fetch_google_init(&shared.google, &fetch_real_world);
}

/* ---- requests ---- */

static sl_code begin(fetch_op *op, fetch_request *r, sl_status *st)
{
    const char *emulator = getenv("STORAGE_EMULATOR_HOST");
    char token[FETCH_TOKEN];
    pthread_once(&shared.once, start);
    if (emulator != NULL && *emulator) {
        size_t n = strlen(emulator);
        while (n && emulator[n - 1] == '/')
            n--;
        sl_text_printf(&r->url, "%s%.*s", strstr(emulator, "://") ? "" : "http://", (int)n,
                       emulator);
    } else {
        sl_text_puts(&r->url, "https://storage.googleapis.com");
        sl_code rc = fetch_google_token(&shared.google, op, token, sizeof token, st);
        if (rc)
            return rc;
        if (*token)
            sl_text_printf(&r->headers, "Authorization: Bearer %s\n", token);
        explicit_bzero(token, sizeof token);
    }
    sl_text_puts(&r->url, "/storage/v1/b/");
    sl_fetch_encode(&r->url, op->place.bucket, false);
    sl_text_puts(&r->url, "/o");
    return SL_OK;
}

static sl_code build_list(fetch_op *op, const void *arg, fetch_request *r, sl_status *st)
{
    const fetch_query *q = arg;
    sl_code rc = begin(op, r, st);
    if (rc)
        return rc;
    sl_text_puts(&r->url, "?prefix=");
    sl_fetch_encode(&r->url, (sl_str){q->prefix.p, q->prefix.n}, false);
    if (q->delimited)
        sl_text_puts(&r->url, "&delimiter=%2F");
    if (q->next != NULL) {
        sl_text_puts(&r->url, "&pageToken=");
        sl_fetch_encode(&r->url, sl_str_of(q->next), false);
    }
    return SL_OK;
}

static sl_code build_object(fetch_op *op, const void *arg, fetch_request *r, sl_status *st)
{
    const fetch_object *o = arg;
    sl_code rc = begin(op, r, st);
    if (rc)
        return rc;
    sl_text_putc(&r->url, '/');
    sl_fetch_encode(&r->url, sl_str_of(o->key), false);
    sl_text_puts(&r->url, "?alt=media");
    if (o->tag[0])
        sl_text_printf(&r->url, "&generation=%s", o->tag);
    return SL_OK;
}

static bool learn(fetch_op *op, const fetch_reply *reply)
{
    (void)op;
    return reply->status == 401 && fetch_google_forget(&shared.google);
}

/* ---- listings ---- */

typedef struct page_reader {
    fetch_page *page;
    sl_str prefix;
    sl_status *st;
    sl_code rc;
} page_reader;

static bool decode(const char *text, size_t wanted, unsigned char *out)
{
    size_t n;
    sl_str s = text ? sl_str_of(text) : SL_STR("");
    if (s.n == 0 || !sl_base64_check(s, &n) || n != wanted)
        return false;
    sl_base64_decode(s, (char *)out);
    return true;
}

static void take_checksums(fetch_object *o, const char *crc, const char *md5)
{
    unsigned char c[4];
    o->has_md5 = decode(md5, 16, o->md5);
    o->has_crc32c = decode(crc, 4, c);
    if (o->has_crc32c)
        o->crc32c = (uint32_t)c[0] << 24 | (uint32_t)c[1] << 16 | (uint32_t)c[2] << 8 | c[3];
}

static bool on_item(void *arg, sl_str item)
{
    page_reader *r = arg;
    int64_t size = -1, generation = 0;
    char *name = fetch_json_string(item, "name"), *crc = fetch_json_string(item, "crc32c");
    char *md5 = fetch_json_string(item, "md5Hash"), tag[32] = "";
    sl_str key = sl_str_of(name ? name : "");
    fetch_json_int(item, "size", &size);
    if (fetch_json_int(item, "generation", &generation) && generation > 0)
        snprintf(tag, sizeof tag, "%lld", (long long)generation);
    if (name == NULL || size < 0)
        r->rc =
            sl_fail(r->st, SL_INVALID_ARGUMENT, "not a listing: an object without name or size");
    else if (key.n < r->prefix.n || memcmp(key.p, r->prefix.p, r->prefix.n) != 0)
        r->rc = sl_fail(r->st, SL_INVALID_ARGUMENT, "a listing of objects that were not asked for");
    else if (key.n > r->prefix.n && key.p[key.n - 1] != '/') {
        sl_str path = {key.p + r->prefix.n, key.n - r->prefix.n};
        r->rc =
            fetch_listing_add(&r->page->objects, key, path, (uint64_t)size, sl_str_of(tag), r->st);
        if (r->rc == SL_OK)
            take_checksums(&r->page->objects.list[r->page->objects.count - 1], crc, md5);
    }
    sl_free(name);
    sl_free(crc);
    sl_free(md5);
    return r->rc == SL_OK;
}

static bool on_prefix(void *arg, sl_str item)
{
    page_reader *r = arg;
    sl_str n = item;
    /* Versions are digits, so one that has an escape is none. */
    if (n.n < 2 || n.p[0] != '"' || memchr(n.p, '\\', n.n) != NULL)
        return true;
    n = (sl_str){n.p + 1, n.n - 2};
    if (n.n > r->prefix.n && memcmp(n.p, r->prefix.p, r->prefix.n) == 0 && n.p[n.n - 1] == '/') {
        n = (sl_str){n.p + r->prefix.n, n.n - r->prefix.n - 1};
        if (sl_fetch_is_version(n))
            r->rc = fetch_names_add(&r->page->prefixes, n, r->st);
    }
    return r->rc == SL_OK;
}

sl_code fetch_gs_parse(sl_str document, sl_str prefix, fetch_page *out, sl_status *st)
{
    page_reader r = {.page = out, .prefix = prefix, .st = st};
    memset(out, 0, sizeof *out);
    if (document.n == 0 || !fetch_json_each(document, "prefixes", on_prefix, &r))
        r.rc = sl_fail(st, SL_INVALID_ARGUMENT, "not a listing: it is no JSON");
    if (r.rc == SL_OK)
        fetch_json_each(document, "items", on_item, &r);
    out->next = fetch_json_string(document, "nextPageToken");
    if (out->next != NULL && !*out->next) { /* as an emulator says it: this was the last page */
        sl_free(out->next);
        out->next = NULL;
    } else if (r.rc == SL_OK && out->next == NULL && fetch_json_has(document, "nextPageToken"))
        r.rc = sl_fail(st, SL_INVALID_ARGUMENT, "a listing that does not tell where it goes on");
    out->truncated = out->next != NULL;
    if (r.rc)
        fetch_page_fini(out);
    return r.rc;
}

const fetch_store fetch_store_gs = {build_list, fetch_gs_parse, build_object, learn};
