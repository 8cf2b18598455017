/*
 * s3.c - see s3.h
 *
 * ListObjectsV2 with `encoding-type=url`, so that any key can be written in XML; GetObject with
 * If-Match, so that what is fetched is what was listed. A bucket that lies in another region than
 * assumed says so once, and is remembered.
 */
#include "fetch/helper/s3.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/helper/aws.h"
#include "fetch/helper/checks.h"
#include "fetch/helper/explain.h"
#include "fetch/helper/xml.h"

enum { REGIONS = 64 };

static struct {
    pthread_once_t once;
    fetch_aws aws;
    pthread_mutex_t lock;
    struct {
        char bucket[256], region[64];
    } regions[REGIONS]; /* what buckets said; the oldest goes */
    unsigned next;
} shared = {.once = PTHREAD_ONCE_INIT, .lock = PTHREAD_MUTEX_INITIALIZER};

static void start(void)
{
    fetch_aws_init(&shared.aws, &fetch_real_world);
}

/* ---- regions ---- */

static void region_of(sl_str bucket, char *out, size_t size)
{
    pthread_mutex_lock(&shared.lock);
    *out = '\0';
    for (int i = 0; i < REGIONS; i++)
        if (sl_str_is(bucket, shared.regions[i].bucket))
            snprintf(out, size, "%s", shared.regions[i].region);
    pthread_mutex_unlock(&shared.lock);
    if (!*out)
        fetch_aws_region(&fetch_real_world, out, size);
}

static void remember_region(sl_str bucket, const char *region)
{
    pthread_mutex_lock(&shared.lock);
    int at = -1;
    for (int i = 0; i < REGIONS; i++)
        if (sl_str_is(bucket, shared.regions[i].bucket))
            at = i;
    if (at < 0)
        at = (int)(shared.next++ % REGIONS);
    snprintf(shared.regions[at].bucket, sizeof shared.regions[at].bucket, "%.*s", (int)bucket.n,
             bucket.p);
    snprintf(shared.regions[at].region, sizeof shared.regions[at].region, "%s", region);
    pthread_mutex_unlock(&shared.lock);
}

/* ---- requests ---- */

static const char *variable(const char *name)
{
    const char *v = getenv(name);
    return v && *v ? v : NULL;
}

sl_code fetch_s3_endpoint(sl_str bucket, const char *region, sl_text *out, sl_status *st)
{
    const char *url = variable("AWS_ENDPOINT_URL_S3");
    const char *old = variable("S3_ENDPOINT"), *https = variable("S3_USE_HTTPS");
    if (url == NULL)
        url = variable("AWS_ENDPOINT_URL");
    if (url != NULL) {
        if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "AWS_ENDPOINT_URL does not begin with http:// or https://");
        size_t n = strlen(url);
        while (url[n - 1] == '/') /* at the latest before "http:" */
            n--;
        sl_text_add(out, url, n);
    } else if (old != NULL) {
        sl_text_printf(out, "%s%s",
                       strstr(old, "://")                 ? ""
                       : https && strcmp(https, "0") == 0 ? "http://"
                                                          : "https://",
                       old);
    } else if (memchr(bucket.p, '.', bucket.n) == NULL) {
        sl_text_printf(out, "https://%.*s.s3.%s.amazonaws.com", SL_STR_ARG(bucket), region);
        return SL_OK;
    } else { /* the certificate's wildcard does not cover a bucket with dots */
        sl_text_printf(out, "https://s3.%s.amazonaws.com", region);
    }
    sl_text_printf(out, "/%.*s", SL_STR_ARG(bucket));
    return SL_OK;
}

static sl_code begin(fetch_op *op, fetch_request *r, sl_status *st)
{
    char region[64];
    pthread_once(&shared.once, start);
    region_of(op->place.bucket, region, sizeof region);
    snprintf(r->scope, sizeof r->scope, "aws:amz:%s:s3", region);
    sl_code rc = fetch_s3_endpoint(op->place.bucket, region, &r->url, st);
    if (rc == SL_OK)
        rc = fetch_aws_keys(&shared.aws, op, &r->keys, st);
    r->signs = true;
    /* Of no body. S3 insists on it, and libcurl 7.88 does not send it by itself. */
    sl_text_puts(&r->headers, "x-amz-content-sha256: "
                              "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n");
    if (rc == SL_OK && *r->keys.token)
        sl_text_printf(&r->headers, "x-amz-security-token: %s\n", r->keys.token);
    return rc;
}

static sl_code build_list(fetch_op *op, const void *arg, fetch_request *r, sl_status *st)
{
    const fetch_query *q = arg;
    sl_code rc = begin(op, r, st);
    if (rc)
        return rc;
    sl_text_puts(&r->url, "/?");
    if (q->next != NULL) {
        sl_text_puts(&r->url, "continuation-token=");
        sl_fetch_encode(&r->url, sl_str_of(q->next), false);
        sl_text_putc(&r->url, '&');
    }
    sl_text_puts(&r->url, q->delimited ? "delimiter=%2F&" : "");
    sl_text_puts(&r->url, "encoding-type=url&list-type=2&prefix=");
    sl_fetch_encode(&r->url, (sl_str){q->prefix.p, q->prefix.n}, false);
    return SL_OK;
}

static sl_code build_object(fetch_op *op, const void *arg, fetch_request *r, sl_status *st)
{
    const fetch_object *o = arg;
    sl_code rc = begin(op, r, st);
    if (rc)
        return rc;
    sl_text_putc(&r->url, '/');
    sl_fetch_encode(&r->url, sl_str_of(o->key), true);
    sl_text_puts(&r->headers, "x-amz-checksum-mode: ENABLED\n");
    if (o->tag[0])
        sl_text_printf(&r->headers, "If-Match: %s\n", o->tag);
    return SL_OK;
}

static bool learn(fetch_op *op, const fetch_reply *reply)
{
    char now[64];
    if (reply->status < 300)
        return false;
    region_of(op->place.bucket, now, sizeof now);
    if (*reply->region && strcmp(reply->region, now) != 0 &&
        strspn(reply->region, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(reply->region)) {
        remember_region(op->place.bucket, reply->region);
        return true;
    }
    if (reply->status != 400 && reply->status != 403)
        return false;
    if (fetch_error_is(&reply->body, "ExpiredToken") ||
        fetch_error_is(&reply->body, "InvalidToken") ||
        fetch_error_is(&reply->body, "TokenRefreshRequired") ||
        fetch_error_is(&reply->body, "InvalidAccessKeyId"))
        return fetch_aws_forget(&shared.aws);
    return false;
}

/* ---- listings ---- */

typedef struct page_reader {
    fetch_page *page;
    sl_str prefix;
    bool encoded; /* EncodingType has been seen: keys are written as in a URL */
    bool is_listing;
    char *key, *etag, *size;
    sl_status *st;
    sl_code rc;
} page_reader;

static char *copy(sl_str s, bool encoded)
{
    static const char digits[] = "0123456789ABCDEFabcdef";
    char *out = sl_malloc(s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (encoded && c == '+') {
            c = ' ';
        } else if (encoded && c == '%' && i + 2 < s.n && strchr(digits, s.p[i + 1]) != NULL &&
                   strchr(digits, s.p[i + 2]) != NULL) { /* in XML is no zero byte */
            char hex[3] = {s.p[i + 1], s.p[i + 2], '\0'};
            c = (char)strtol(hex, NULL, 16);
            i += 2;
        }
        out[n++] = c ? c : '\1'; /* no name of ours has a zero byte: it will be refused */
    }
    out[n] = '\0';
    return out;
}

static void replace(char **at, char *value)
{
    sl_free(*at);
    *at = value;
}

/* <Contents> has ended. */
static sl_code take_object(page_reader *r)
{
    int64_t size;
    sl_str key = sl_str_of(r->key ? r->key : "");
    if (r->key == NULL || r->size == NULL || !sl_str_to_int64(sl_str_of(r->size), &size) ||
        size < 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT,
                       "not a listing of S3: an object without name or "
                       "size");
    if (key.n < r->prefix.n || memcmp(key.p, r->prefix.p, r->prefix.n) != 0)
        return sl_fail(r->st, SL_INVALID_ARGUMENT, "a listing of objects that were not asked for");
    sl_str path = {key.p + r->prefix.n, key.n - r->prefix.n};
    if (path.n == 0 || path.p[path.n - 1] == '/')
        return SL_OK; /* what consoles make for a folder */
    sl_code rc = fetch_listing_add(&r->page->objects, key, path, (uint64_t)size,
                                   sl_str_of(r->etag ? r->etag : ""), r->st);
    if (rc == SL_OK) {
        fetch_object *o = &r->page->objects.list[r->page->objects.count - 1];
        o->has_md5 = fetch_md5_of_etag(o->tag, o->md5);
    }
    return rc;
}

static sl_code take_prefix(page_reader *r, sl_str text)
{
    char *name = copy(text, r->encoded);
    sl_str n = sl_str_of(name);
    sl_code rc = SL_OK;
    if (n.n > r->prefix.n && memcmp(n.p, r->prefix.p, r->prefix.n) == 0 && n.p[n.n - 1] == '/') {
        n = (sl_str){n.p + r->prefix.n, n.n - r->prefix.n - 1};
        if (sl_fetch_is_version(n))
            rc = fetch_names_add(&r->page->prefixes, n, r->st);
    }
    sl_free(name);
    return rc;
}

static bool on_element(void *arg, const char *path, sl_str text)
{
    static const char root[] = "ListBucketResult";
    page_reader *r = arg;
    if (strncmp(path, root, sizeof root - 1) != 0)
        return true;
    path += sizeof root - 1;
    r->is_listing |= *path == '\0';
    if (strcmp(path, "/EncodingType") == 0)
        r->encoded = sl_str_is(text, "url");
    else if (strcmp(path, "/IsTruncated") == 0)
        r->page->truncated = sl_str_is(text, "true");
    else if (strcmp(path, "/NextContinuationToken") == 0)
        replace(&r->page->next, sl_strndup(text.p, text.n));
    else if (strcmp(path, "/Contents/Key") == 0)
        replace(&r->key, sl_strndup(text.p, text.n));
    else if (strcmp(path, "/Contents/ETag") == 0)
        replace(&r->etag, sl_strndup(text.p, text.n));
    else if (strcmp(path, "/Contents/Size") == 0)
        replace(&r->size, sl_strndup(text.p, text.n));
    else if (strcmp(path, "/CommonPrefixes/Prefix") == 0)
        r->rc = take_prefix(r, text);
    else if (strcmp(path, "/Contents") == 0) {
        if (r->key != NULL)
            replace(&r->key, copy(sl_str_of(r->key), r->encoded));
        r->rc = take_object(r);
        replace(&r->key, NULL);
        replace(&r->etag, NULL);
        replace(&r->size, NULL);
    }
    return r->rc == SL_OK;
}

sl_code fetch_s3_parse(sl_str document, sl_str prefix, fetch_page *out, sl_status *st)
{
    page_reader r = {.page = out, .prefix = prefix, .st = st};
    fetch_xml x = {on_element, &r};
    memset(out, 0, sizeof *out);
    /* Where the encoding is told behind the keys, they could not be read in one pass. */
    r.encoded = memmem(document.p, document.n, "<EncodingType>url<", 18) != NULL;
    sl_code rc = fetch_xml_walk(document, &x, st);
    if (rc == SL_OK)
        rc = r.rc;
    if (rc == SL_OK && !r.is_listing)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "not a listing of S3");
    if (rc == SL_OK && out->truncated && (out->next == NULL || !*out->next))
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "a listing that is cut and does not tell where");
    sl_free(r.key);
    sl_free(r.etag);
    sl_free(r.size);
    if (rc)
        fetch_page_fini(out);
    return rc;
}

const fetch_store fetch_store_s3 = {build_list, fetch_s3_parse, build_object, learn};
