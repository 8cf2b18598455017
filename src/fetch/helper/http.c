/*
 * http.c - see http.h
 *
 * SigV4 is libcurl's. It signs path and query as they stand in the URL, so they are written in
 * their canonical form: strictly encoded, parameters in order.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/mem.h"
#include "fetch/helper/explain.h"
#include "fetch/helper/http_inside.h"

static const uint64_t FIRST_WAIT_NS = 200000000u, LONGEST_WAIT_NS = 10000000000u;

void fetch_request_fini(fetch_request *r)
{
    sl_text_fini(&r->url);
    sl_text_fini(&r->headers);
    sl_text_fini(&r->body);
    explicit_bzero(&r->keys, sizeof r->keys);
    memset(r, 0, sizeof *r);
}

void fetch_reply_fini(fetch_reply *r)
{
    sl_text_fini(&r->body);
    memset(r, 0, sizeof *r);
}

sl_code fetch_http_start(sl_status *st)
{
    CURLcode rc =
        sl_fault_hit(SL_FAULT_ALLOC) ? CURLE_OUT_OF_MEMORY : curl_global_init(CURL_GLOBAL_DEFAULT);
    return rc ? sl_fail(st, SL_INTERNAL, "libcurl: %s", curl_easy_strerror(rc)) : SL_OK;
}

uint64_t fetch_backoff(unsigned n)
{
    uint64_t wait = FIRST_WAIT_NS << SL_MIN(n - 1, 10u);
    uint32_t dice = 0;
    if (getrandom(&dice, sizeof dice, GRND_NONBLOCK) != sizeof dice)
        dice = 1u << 31;
    wait = SL_MIN(wait, LONGEST_WAIT_NS);
    return wait / 2 + (uint64_t)((double)wait * ((double)dice / 4294967296.0));
}

sl_code fetch_sleep(fetch_op *op, uint64_t ns, sl_status *st)
{
    uint64_t end = sl_now_ns() + ns;
    while (!atomic_load(&op->cancelled) && sl_now_ns() < end) {
        struct timespec piece = {.tv_nsec = 20000000};
        nanosleep(&piece, NULL);
    }
    return atomic_load(&op->cancelled) ? sl_fail(st, SL_CANCELLED, "cancelled") : SL_OK;
}

/* ---- what comes ---- */

static void copy_value(char *out, size_t size, sl_str v)
{
    if (v.n >= size)
        v.n = 0; /* of no use when cut */
    memcpy(out, v.p, v.n);
    out[v.n] = '\0';
}

/* "17-19/30", or "17-19/" and a star */
static void take_range(fetch_reply *r, sl_str value)
{
    int64_t number;
    size_t n = 0;
    while (n < value.n && value.p[n] >= '0' && value.p[n] <= '9')
        n++;
    if (sl_str_to_int64((sl_str){value.p, n}, &number))
        r->from = (uint64_t)number;
    while (n < value.n && value.p[n] != '/')
        n++;
    n += n < value.n;
    if (sl_str_to_int64((sl_str){value.p + n, value.n - n}, &number) && number >= 0)
        r->total = (uint64_t)number;
}

static void take_header(fetch_reply *r, sl_str name, sl_str value)
{
    static const struct {
        const char *name;
        size_t at, size;
    } kept[] = {
        {"etag", offsetof(fetch_reply, etag), sizeof r->etag},
        {"x-amz-bucket-region", offsetof(fetch_reply, region), sizeof r->region},
        {"last-modified", offsetof(fetch_reply, last_modified), sizeof r->last_modified},
        {"location", offsetof(fetch_reply, location), sizeof r->location},
        {"cache-control", offsetof(fetch_reply, cache_control), sizeof r->cache_control},
        {"x-amz-checksum-crc32c", offsetof(fetch_reply, crc32c), sizeof r->crc32c},
        {"x-amz-checksum-crc32", offsetof(fetch_reply, crc32), sizeof r->crc32},
        {"x-amz-checksum-sha256", offsetof(fetch_reply, sha256), sizeof r->sha256},
        {"x-amz-checksum-sha1", offsetof(fetch_reply, sha1), sizeof r->sha1},
    };
    int64_t length;
    for (size_t i = 0; i < SL_COUNTOF(kept); i++)
        if (sl_str_eq_nocase(name, sl_str_of(kept[i].name)))
            copy_value((char *)r + kept[i].at, kept[i].size, value);
    if (sl_str_eq_nocase(name, SL_STR("content-length")) && sl_str_to_int64(value, &length) &&
        length >= 0)
        r->length = (uint64_t)length;
    if (sl_str_eq_nocase(name, SL_STR("content-range")) && sl_str_starts(value, "bytes "))
        take_range(r, (sl_str){value.p + 6, value.n - 6});
    /* Then the ETag looks like an MD5 and is none. */
    if (sl_str_eq_nocase(name, SL_STR("x-amz-server-side-encryption-customer-algorithm")) ||
        (sl_str_eq_nocase(name, SL_STR("x-amz-server-side-encryption")) &&
         sl_str_starts(value, "aws:")))
        r->etag_is_md5 = false;
}

/* Of an answer's head. */
static void nothing_known(fetch_reply *r)
{
    r->length = r->from = r->total = UINT64_MAX;
    r->etag_is_md5 = true;
}

static sl_str trim(sl_str s)
{
    while (s.n && strchr(" \t\r\n", s.p[s.n - 1]) != NULL)
        s.n--;
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    return s;
}

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    fetch_reply *r = arg;
    n *= size;
    if (n > 5 && memcmp(p, "HTTP/", 5) == 0) { /* another head: of a 100, or of a proxy */
        sl_text body = r->body;
        *r = (fetch_reply){.body = body};
        nothing_known(r);
        return n;
    }
    const char *colon = memchr(p, ':', n);
    if (colon != NULL)
        take_header(r, (sl_str){p, (size_t)(colon - p)},
                    trim((sl_str){colon + 1, n - (size_t)(colon - p) - 1}));
    return n;
}

typedef struct sink {
    sl_text *text;
    size_t limit;
    bool over;
} sink;

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    sink *s = arg;
    n *= size;
    if (n > s->limit - SL_MIN(s->limit, s->text->n)) {
        s->over = true;
        return 0;
    }
    sl_text_add(s->text, p, n);
    return s->text->failed ? 0 : n;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    fetch_op *op = arg;
    (void)a, (void)b, (void)c, (void)d;
    return atomic_load(&op->cancelled);
}

/* ---- one attempt ---- */

static bool add_headers(const sl_text *lines, struct curl_slist **out)
{
    const char *p = lines->p ? lines->p : "";
    while (*p) {
        const char *end = strchrnul(p, '\n');
        char *line = sl_strndup(p, (size_t)(end - p));
        struct curl_slist *longer = curl_slist_append(*out, line);
        explicit_bzero(line, (size_t)(end - p));
        sl_free(line);
        if (longer == NULL)
            return false;
        *out = longer;
        p = *end ? end + 1 : end;
    }
    return true;
}

void fetch_what(const fetch_request *r, char out[FETCH_WHAT])
{
    const char *url = r->url.p ? r->url.p : "";
    snprintf(out, FETCH_WHAT, "%.*s", (int)strcspn(url, "?"), url);
}

static void set_keys(CURL *c, const fetch_request *r)
{
    curl_easy_setopt(c, CURLOPT_AWS_SIGV4, r->scope);
    curl_easy_setopt(c, CURLOPT_USERNAME, r->keys.id);
    curl_easy_setopt(c, CURLOPT_PASSWORD, r->keys.secret);
}

static void set_method(CURL *c, const fetch_request *r)
{
    if (r->post) {
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)r->body.n);
        curl_easy_setopt(c, CURLOPT_COPYPOSTFIELDS, r->body.p ? r->body.p : "");
    } else if (r->put) {
        curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(c, CURLOPT_INFILESIZE, 0L);
    }
}

sl_code fetch_easy_set(CURL *c, fetch_op *op, const fetch_request *r, fetch_reply *reply,
                       struct curl_slist **headers, sl_status *st)
{
    const char *bundle = getenv("AWS_CA_BUNDLE");
    long patience = (long)op->settings->patience_s;
    if (bundle == NULL || *bundle == '\0')
        bundle = getenv("SSL_CERT_FILE");
    if (r->ca_file != NULL)
        bundle = r->ca_file;
    nothing_known(reply);
    if (r->url.failed || r->headers.failed || r->body.failed || !add_headers(&r->headers, headers))
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    curl_easy_reset(c);
    curl_easy_setopt(c, CURLOPT_URL, r->url.p);
    curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(c, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(c, CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2);
    curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, SL_MIN(patience, 10L));
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1024L);
    curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, patience);
    if (r->timeout_s)
        curl_easy_setopt(c, CURLOPT_TIMEOUT, (long)r->timeout_s);
    curl_easy_setopt(c, CURLOPT_USERAGENT, "sluice-fetch");
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, *headers);
    curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(c, CURLOPT_HEADERDATA, reply);
    curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(c, CURLOPT_XFERINFODATA, op);
    curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
    if (bundle != NULL && *bundle)
        curl_easy_setopt(c, CURLOPT_CAINFO, bundle);
    if (r->ca_file != NULL)
        curl_easy_setopt(c, CURLOPT_CAPATH, NULL); /* nobody else's besides */
    if (r->direct)
        curl_easy_setopt(c, CURLOPT_NOPROXY, "*");
    if (r->netrc)
        curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_OPTIONAL);
    if (r->netrc && getenv("NETRC") != NULL)
        curl_easy_setopt(c, CURLOPT_NETRC_FILE, getenv("NETRC"));
    set_method(c, r);
    if (r->signs && *r->keys.id)
        set_keys(c, r);
    return SL_OK;
}

sl_code fetch_easy_result(CURL *c, CURLcode how, fetch_op *op, sl_status *st)
{
    char none[] = "", *url = none;
    if (how == CURLE_OK)
        return SL_OK;
    if (atomic_load(&op->cancelled))
        return sl_fail(st, SL_CANCELLED, "cancelled");
    curl_easy_getinfo(c, CURLINFO_EFFECTIVE_URL, &url);
    size_t n = strcspn(url, "?"); /* a query may hold what is nobody's business */
    sl_code rc = SL_UNAVAILABLE;
    if (how == CURLE_PEER_FAILED_VERIFICATION || how == CURLE_SSL_CACERT_BADFILE ||
        how == CURLE_UNSUPPORTED_PROTOCOL || how == CURLE_URL_MALFORMAT)
        rc = SL_FAILED_PRECONDITION; /* time will not mend it */
    else if (how == CURLE_OPERATION_TIMEDOUT)
        rc = SL_DEADLINE_EXCEEDED;
    return sl_fail(st, rc, "%.*s: %s", (int)SL_MIN(n, (size_t)300), url, curl_easy_strerror(how));
}

sl_code fetch_status(const fetch_reply *reply, const char *what, sl_status *st)
{
    char why[300];
    sl_code rc = SL_UNKNOWN;
    long s = reply->status;
    if ((s >= 200 && s < 300) || s == 304)
        return SL_OK;
    if (s == 400)
        rc = SL_INVALID_ARGUMENT;
    else if (s == 401 || s == 403)
        rc = SL_PERMISSION_DENIED;
    else if (s == 404 || s == 410)
        rc = SL_NOT_FOUND;
    else if (s == 412 || s == 416)
        rc = SL_ABORTED;
    else if (s == 408 || s == 429 || s >= 500)
        rc = SL_UNAVAILABLE;
    else if (s >= 300 && s < 400)
        rc = SL_FAILED_PRECONDITION;
    fetch_explain(&reply->body, why, sizeof why);
    return sl_fail(st, rc, "%s: HTTP status %ld%s%s", what, s, *why ? ": " : "", why);
}

bool fetch_is_passing(sl_code rc)
{
    return rc == SL_UNAVAILABLE || rc == SL_DEADLINE_EXCEEDED;
}

sl_code fetch_send(fetch_op *op, const fetch_request *r, size_t limit, fetch_reply *reply,
                   sl_status *st)
{
    struct curl_slist *headers = NULL;
    CURL *c = curl_easy_init();
    sink s = {&reply->body, limit, false};
    if (c == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    sl_text_fini(&reply->body);
    memset(reply, 0, sizeof *reply);
    sl_code rc = fetch_easy_set(c, op, r, reply, &headers, st);
    if (rc == SL_OK) {
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
        curl_easy_setopt(c, CURLOPT_WRITEDATA, &s);
        CURLcode how = curl_easy_perform(c);
        curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &reply->status);
        rc = fetch_easy_result(c, how, op, st);
        if (s.over)
            rc = sl_fail(st, SL_OUT_OF_RANGE, "an answer of more than %zu bytes", limit);
    }
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return rc;
}

/* ---- asking until there is an answer ---- */

sl_code fetch_ask(fetch_op *op, fetch_build build, const void *arg, fetch_learn learn, size_t limit,
                  fetch_reply *reply, sl_status *st)
{
    int lessons = 0;
    memset(reply, 0, sizeof *reply);
    for (unsigned n = 1;; n++) {
        fetch_request r = {0};
        char what[FETCH_WHAT];
        sl_code rc = build(op, arg, &r, st);
        unsigned tries = r.tries ? r.tries : FETCH_TRIES;
        bool answered = false;
        if (rc == SL_OK) {
            fetch_what(&r, what);
            rc = fetch_send(op, &r, limit, reply, st);
            answered = rc == SL_OK;
        }
        fetch_request_fini(&r);
        if (answered)
            rc = fetch_status(reply, what, st);
        if (rc == SL_OK)
            return SL_OK;
        if (answered && learn != NULL && lessons < 2 && learn(op, reply)) {
            lessons++;
            n--;
            continue;
        }
        if (n >= tries || !fetch_is_passing(rc)) {
            fetch_reply_fini(reply);
            return rc;
        }
        rc = fetch_sleep(op, fetch_backoff(n), st);
        if (rc) {
            fetch_reply_fini(reply);
            return rc;
        }
    }
}
