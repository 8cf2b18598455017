/* route.c - the path segment by segment; one slash at its end is not looked at */
#include "api/oip/route.h"

#include "base/str.h"
#include "format/percent.h"

enum { MOST = 6 };

typedef struct segments {
    sl_str s[MOST];
    int n;
} segments;

/* What stands between the slashes; false: too many, an empty one, or no slash before the first. */
static bool split(sl_str path, segments *out)
{
    out->n = 0;
    if (path.n == 0 || path.p[0] != '/')
        return false;
    if (path.n > 1 && path.p[path.n - 1] == '/')
        path.n--;
    while (path.n > 0) {
        const char *end = memchr(path.p + 1, '/', path.n - 1);
        size_t n = end ? (size_t)(end - path.p) : path.n;
        if (n == 1 || out->n == MOST)
            return false;
        out->s[out->n++] = (sl_str){path.p + 1, n - 1};
        path = (sl_str){path.p + n, path.n - n};
    }
    return true;
}

static bool is(const segments *p, int i, const char *word)
{
    return i < p->n && sl_str_is(p->s[i], word);
}

/* /v2/models/M[/versions/V][/ready | /infer] */
static void parse_model(const segments *p, sl_oip_route *out)
{
    int i = 3;
    out->model = p->s[2];
    if (is(p, 3, "versions") && p->n > 4) {
        out->version = p->s[4];
        i = 5;
    }
    if (i == p->n)
        out->kind = SL_OIP_MODEL;
    else if (i + 1 == p->n && is(p, i, "ready"))
        out->kind = SL_OIP_MODEL_READY;
    else if (i + 1 == p->n && is(p, i, "infer"))
        out->kind = SL_OIP_INFER;
}

static void parse_segments(const segments *p, sl_oip_route *out)
{
    if (p->n == 1) {
        out->kind = SL_OIP_SERVER;
    } else if (is(p, 1, "health") && p->n == 3) {
        out->kind = is(p, 2, "live")    ? SL_OIP_LIVE
                    : is(p, 2, "ready") ? SL_OIP_READY
                                        : SL_OIP_UNKNOWN;
    } else if (is(p, 1, "models") && p->n >= 3) {
        parse_model(p, out);
    } else if (is(p, 1, "repository") && p->n == 3 && is(p, 2, "index")) {
        out->kind = SL_OIP_INDEX;
    } else if (is(p, 1, "repository") && p->n == 5 && is(p, 2, "models")) {
        out->model = p->s[3];
        out->kind = is(p, 4, "load")     ? SL_OIP_LOAD
                    : is(p, 4, "unload") ? SL_OIP_UNLOAD
                                         : SL_OIP_UNKNOWN;
    }
}

void sl_oip_route_parse(sl_http_method method, sl_str path, sl_arena *arena, sl_oip_route *out)
{
    segments p;
    *out = (sl_oip_route){.kind = SL_OIP_UNKNOWN};
    if (!split(path, &p) || !is(&p, 0, "v2"))
        return;
    parse_segments(&p, out);
    sl_code rc = sl_percent_decode(&out->model, arena);
    if (rc == SL_OK)
        rc = sl_percent_decode(&out->version, arena);
    if (rc)
        out->kind = rc == SL_RESOURCE_EXHAUSTED ? SL_OIP_NO_MEMORY : SL_OIP_UNKNOWN;
    if (rc || out->kind == SL_OIP_UNKNOWN)
        return;
    bool post = out->kind >= SL_OIP_INFER;
    bool get = method == SL_HTTP_GET || method == SL_HTTP_HEAD;
    out->allow = post ? "POST" : "GET, HEAD";
    if (post ? method != SL_HTTP_POST : !get)
        out->kind = SL_OIP_WRONG_METHOD;
}
