/* document.c - see document.h */
#include "fetch/helper/document.h"

#include <stdio.h>

#include "base/mem.h"
#include "fetch/helper/archive.h"
#include "fetch/helper/http_inside.h"

enum { HOPS = 3 };

static sl_str trim(sl_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

bool fetch_max_age(const char *cache_control, uint64_t *out)
{
    int64_t n;
    bool found = false;
    for (const char *p = cache_control; *p;) {
        size_t length = strcspn(p, ",");
        sl_str item = trim((sl_str){p, length});
        if (sl_str_eq_nocase(item, SL_STR("no-store")) ||
            sl_str_eq_nocase(item, SL_STR("no-cache")))
            return false;
        if (item.n > 8 && sl_str_eq_nocase((sl_str){item.p, 8}, SL_STR("max-age=")) &&
            sl_str_to_int64((sl_str){item.p + 8, item.n - 8}, &n) && n >= 0) {
            *out = (uint64_t)n;
            found = true;
        }
        p += length + (p[length] == ',');
    }
    return found;
}

static sl_code ask(fetch_op *op, const char *url, fetch_reply *reply, sl_status *st)
{
    fetch_request r = {.timeout_s = op->patience_s,
                       .ca_file = *op->name ? op->name : NULL,
                       .direct = sl_fetch_is_loopback(op->place.bucket)}; /* no proxy can know us */
    sl_text_puts(&r.url, url);
    sl_code rc = fetch_send(op, &r, op->max_bytes, reply, st);
    fetch_request_fini(&r);
    return rc;
}

static bool is_redirect(const fetch_reply *r)
{
    return (r->status == 301 || r->status == 302 || r->status == 303 || r->status == 307 ||
            r->status == 308) &&
           *r->location;
}

/* Where a redirect leads, instead of *url. */
static sl_code follow(const fetch_op *op, char **url, const fetch_reply *reply, int hop,
                      sl_status *st)
{
    char *next = fetch_resolve(*url, reply->location);
    if (next == NULL || hop == HOPS ||
        !fetch_may_redirect(op->settings, sl_str_of(*url), sl_str_of(next))) {
        sl_free(next);
        return sl_fail(st, SL_FAILED_PRECONDITION, "%.*s: it is redirected %s",
                       (int)strcspn(*url, "?"), *url,
                       hop == HOPS ? "too often" : "to another host, or to plain HTTP");
    }
    sl_free(*url);
    *url = next;
    return SL_OK;
}

sl_code fetch_read(fetch_op *op, fetch_document *out, sl_status *st)
{
    char *url = sl_strdup(op->url), what[400];
    fetch_reply reply = {0};
    sl_code rc = SL_OK;
    *out = (fetch_document){0};
    for (int hop = 0; rc == SL_OK; hop++) {
        rc = ask(op, url, &reply, st);
        if (rc || !is_redirect(&reply))
            break;
        rc = follow(op, &url, &reply, hop, st);
    }
    snprintf(what, sizeof what, "%.*s", (int)strcspn(url, "?"), url);
    if (rc == SL_OK)
        rc = fetch_status(&reply, what, st);
    if (rc == SL_OK) {
        out->text = reply.body;
        reply.body = (sl_text){0};
        out->has_age = fetch_max_age(reply.cache_control, &out->age_s);
    }
    fetch_reply_fini(&reply);
    sl_free(url);
    return rc;
}

void fetch_document_fini(fetch_document *d)
{
    sl_text_fini(&d->text);
}
