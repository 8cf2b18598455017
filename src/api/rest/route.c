/*
 * route.c - the two patterns, segment by segment
 *
 * The original uses regular expressions with optional groups; their backtracking comes down to
 * trying "with a name" before "without", and "with a version or label" before "without".
 */
#include "api/rest/route.h"
#include "format/percent.h"

enum { MAX_SEGMENTS = 5 };

typedef struct path {
    sl_str seg[MAX_SEGMENTS];
    int n;
} path;

static bool ieq(sl_str s, const char *word)
{
    return sl_str_eq_nocase(s, sl_str_of(word));
}

bool sl_route_is_rest(sl_str t)
{
    return t.n >= 4 && ieq((sl_str){t.p, 4}, "/v1/");
}

/* Cuts "/a/b/c" into segments; false for anything else (empty segments, too many, no slash). */
static bool split(sl_str s, path *out)
{
    out->n = 0;
    while (s.n > 0) {
        if (*s.p != '/' || out->n == MAX_SEGMENTS)
            return false;
        const char *end = memchr(s.p + 1, '/', s.n - 1);
        size_t len = end ? (size_t)(end - s.p) : s.n;
        if (len == 1)
            return false;
        out->seg[out->n++] = (sl_str){s.p + 1, len - 1};
        s = (sl_str){s.p + len, s.n - len};
    }
    return true;
}

static bool is_name(sl_str s)
{
    return memchr(s.p, ':', s.n) == NULL;
}

static bool is_digits(sl_str s)
{
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] < '0' || s.p[i] > '9')
            return false;
    return s.n > 0;
}

typedef struct match {
    sl_str name, digits, label;
    bool metadata; /* the last part was there, in whatever case */
    sl_str last;
} match;

/* Tries one way of taking the optional groups, from segment k on. */
static bool take(const path *p, int k, bool selector, match *m)
{
    if (selector) {
        if (k + 1 >= p->n)
            return false;
        if (ieq(p->seg[k], "versions") && is_digits(p->seg[k + 1]))
            m->digits = p->seg[k + 1];
        else if (ieq(p->seg[k], "labels") && is_name(p->seg[k + 1]))
            m->label = p->seg[k + 1];
        else
            return false;
        k += 2;
    }
    if (k < p->n && ieq(p->seg[k], "metadata")) {
        m->metadata = true;
        m->last = p->seg[k++];
    }
    return k == p->n;
}

static bool match_get(const path *p, match *m)
{
    for (int name = 1; name >= 0; name--)
        for (int selector = 1; selector >= 0; selector--) {
            *m = (match){0};
            if (name && (p->n == 0 || !is_name(p->seg[0])))
                continue;
            if (name)
                m->name = p->seg[0];
            if (take(p, name, selector, m))
                return true;
        }
    return false;
}

static void finish(match *m, sl_route_kind kind, sl_arena *arena, sl_rest_route *out)
{
    out->kind = kind;
    if (m->digits.n > 0) {
        out->spec.has_version = true;
        if (!sl_str_to_int64(m->digits, &out->spec.version)) {
            out->kind = SL_ROUTE_BAD_VERSION;
            return;
        }
    }
    sl_code rc = sl_percent_decode(&m->name, arena);
    if (rc == SL_OK)
        rc = sl_percent_decode(&m->label, arena);
    if (rc) {
        out->kind = rc == SL_RESOURCE_EXHAUSTED ? SL_ROUTE_NO_MEMORY : SL_ROUTE_BAD_VERSION;
        return;
    }
    out->spec.model = m->name;
    out->spec.label = m->label;
}

static void parse_get(sl_str rest, sl_arena *arena, sl_rest_route *out)
{
    path p;
    match m;
    if (!split(rest, &p) || !match_get(&p, &m))
        return;
    if (m.name.n == 0)
        out->kind = SL_ROUTE_NO_NAME;
    else
        finish(&m,
               m.metadata && sl_str_is(m.last, "metadata") ? SL_ROUTE_METADATA : SL_ROUTE_STATUS,
               arena, out);
}

static bool method_of(sl_str word, sl_method *out)
{
    static const char *const words[] = {"predict", "classify", "regress"};
    for (int i = 0; i < 3; i++)
        if (sl_str_is(word, words[i])) {
            *out = (sl_method)i;
            return true;
        }
    return false;
}

static void parse_post(sl_str rest, sl_arena *arena, sl_rest_route *out)
{
    const char *colon = rest.n ? memchr(rest.p, ':', rest.n) : NULL;
    path p;
    match m = {0};
    if (colon == NULL ||
        !method_of((sl_str){colon + 1, rest.n - (size_t)(colon - rest.p) - 1}, &out->method))
        return;
    if (!split((sl_str){rest.p, (size_t)(colon - rest.p)}, &p) || (p.n != 1 && p.n != 3))
        return;
    if (!take(&p, 1, p.n == 3, &m)) /* no segment is left for metadata */
        return;
    m.name = p.seg[0];
    finish(&m, SL_ROUTE_INFER, arena, out);
}

void sl_route_parse(sl_http_method method, sl_str target, sl_arena *arena, sl_rest_route *out)
{
    static const char prefix[] = "/v1/models";
    size_t n = sizeof prefix - 1;
    *out = (sl_rest_route){.kind = SL_ROUTE_MALFORMED};
    if (target.n < n || !ieq((sl_str){target.p, n}, prefix))
        return;
    sl_str rest = {target.p + n, target.n - n};
    if (method == SL_HTTP_GET)
        parse_get(rest, arena, out);
    else if (method == SL_HTTP_POST)
        parse_post(rest, arena, out);
}
