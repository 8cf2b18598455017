/* place.c - see place.h */
#include "fetch/place.h"

#include "base/mem.h"
#include "fetch/protocol.h"

enum { LONGEST = 2048, LONGEST_PATH = 1024 };

static const struct {
    const char *prefix;
    sl_fetch_scheme scheme;
    bool tls;
} schemes[] = {{"s3://", SL_FETCH_S3, true},
               {"gs://", SL_FETCH_GS, true},
               {"http://", SL_FETCH_HTTP, false},
               {"https://", SL_FETCH_HTTP, true}};
enum { SCHEMES = sizeof schemes / sizeof *schemes };

bool sl_fetch_is_remote(const char *base_path)
{
    for (int i = 0; i < SCHEMES; i++)
        if (strncmp(base_path, schemes[i].prefix, strlen(schemes[i].prefix)) == 0)
            return true;
    return false;
}

static sl_str trim_slashes(sl_str s)
{
    while (s.n && s.p[0] == '/') {
        s.p++;
        s.n--;
    }
    while (s.n && s.p[s.n - 1] == '/')
        s.n--;
    return s;
}

bool sl_fetch_is_safe_path(sl_str path)
{
    size_t begin = 0;
    if (path.n == 0 || path.n > LONGEST_PATH)
        return false;
    for (size_t i = 0; i <= path.n; i++) {
        if (i < path.n && (unsigned char)path.p[i] < 0x20)
            return false;
        if (i < path.n && path.p[i] != '/')
            continue;
        sl_str part = {path.p + begin, i - begin};
        if (part.n == 0 || part.n > SL_FETCH_NAME_LENGTH || sl_str_is(part, ".") ||
            sl_str_is(part, ".."))
            return false;
        begin = i + 1;
    }
    return true;
}

bool sl_fetch_is_version(sl_str name)
{
    size_t i = name.n && (name.p[0] == '-' || name.p[0] == '+');
    if (i == name.n || name.n > 64)
        return false;
    for (; i < name.n; i++)
        if (name.p[i] < '0' || name.p[i] > '9')
            return false;
    return true;
}

/* Letters, digits and what host names, ports and buckets have besides. */
static bool is_host(sl_str s)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                  ".-_:[]";
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] == '\0' || strchr(allowed, s.p[i]) == NULL)
            return false;
    return s.n > 0 && s.n <= 255;
}

static bool ends_with(sl_str s, const char *end)
{
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

static sl_code check_archive(sl_str url, sl_str path, sl_status *st)
{
    static const char *const endings[] = {".tar.gz",  ".tgz",    ".tar", ".tar.zst",
                                          ".tar.bz2", ".tar.xz", ".zip"};
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (ends_with(path, endings[i]))
            return SL_OK;
    return sl_fail(st, SL_INVALID_ARGUMENT,
                   "%.*s is not the name of an archive (.tar.gz, .tgz, .tar, .tar.zst, .tar.bz2, "
                   ".tar.xz, .zip)",
                   SL_STR_ARG(url));
}

/* Whatever else is wrong with a URL: one that holds a password is never repeated. */
static bool has_user(sl_str url)
{
    const char *p = memmem(url.n ? url.p : "", url.n, "://", 3);
    if (p == NULL)
        return false;
    for (p += 3; p < url.p + url.n && *p != '/' && *p != '?' && *p != '#'; p++)
        if (*p == '@')
            return true;
    return false;
}

sl_code sl_fetch_place_parse(sl_str url, sl_fetch_place *out, sl_status *st)
{
    int i = 0;
    if (has_user(url))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "a base path must not hold a user or password (it would be logged): give "
                       "them in a netrc file");
    while (i < SCHEMES && !sl_str_starts(url, schemes[i].prefix))
        i++;
    if (i == SCHEMES || url.n > LONGEST)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%.*s is not a remote base path: s3://, gs://, http:// or https://",
                       (int)SL_MIN(url.n, (size_t)200), url.p);
    size_t n = strlen(schemes[i].prefix);
    sl_str rest = {url.p + n, url.n - n};
    size_t end = 0;
    while (end < rest.n && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
        end++;
    if (schemes[i].scheme == SL_FETCH_HTTP && memchr(rest.p, '?', rest.n) != NULL)
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "a base path must not hold a query: what stands in it is often a signature, "
                       "which would be logged, and which expires");
    *out = (sl_fetch_place){.scheme = schemes[i].scheme,
                            .bucket = {rest.p, end},
                            .path = trim_slashes((sl_str){rest.p + end, rest.n - end}),
                            .tls = schemes[i].tls};
    if (!is_host(out->bucket))
        return sl_fail(st, SL_INVALID_ARGUMENT, "%.*s names no bucket or host", SL_STR_ARG(url));
    if (out->path.n && !sl_fetch_is_safe_path(out->path))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%.*s: empty parts, \".\" and \"..\" are not allowed", SL_STR_ARG(url));
    return out->scheme == SL_FETCH_HTTP ? check_archive(url, out->path, st) : SL_OK;
}

sl_code sl_fetch_url_parse(sl_str url, sl_fetch_place *out, sl_status *st)
{
    bool tls = sl_str_starts(url, "https://");
    size_t n = tls ? 8 : 7, end;
    if (has_user(url))
        return sl_fail(st, SL_INVALID_ARGUMENT, "a URL must not hold a user or password");
    if (url.n > LONGEST || (!tls && !sl_str_starts(url, "http://")))
        return sl_fail(st, SL_INVALID_ARGUMENT, "%.*s is no URL: https://HOST/PATH",
                       (int)SL_MIN(url.n, (size_t)200), url.p);
    for (size_t i = n; i < url.n; i++)
        if ((unsigned char)url.p[i] <= 0x20 || (unsigned char)url.p[i] >= 0x7f || url.p[i] == '#')
            return sl_fail(st, SL_INVALID_ARGUMENT,
                           "a URL has no blanks, no fragment, and nothing that is not ASCII");
    for (end = n; end < url.n && url.p[end] != '/' && url.p[end] != '?';)
        end++;
    *out = (sl_fetch_place){.scheme = SL_FETCH_HTTP, .bucket = {url.p + n, end - n}, .tls = tls};
    if (!is_host(out->bucket))
        return sl_fail(st, SL_INVALID_ARGUMENT, "%.*s names no host", SL_STR_ARG(url));
    return SL_OK;
}

bool sl_fetch_is_loopback(sl_str host)
{
    size_t dots = 0;
    if (host.n == 0)
        return false;
    if (sl_str_starts(host, "[::1]"))
        return host.n == 5 || host.p[5] == ':';
    const char *colon = memchr(host.p, ':', host.n);
    if (colon != NULL)
        host.n = (size_t)(colon - host.p);
    if (sl_str_eq_nocase(host, SL_STR("localhost")))
        return true;
    /* Four numbers: "127.0.0.1.example.com" is somebody else. */
    for (size_t i = 0; i < host.n; i++) {
        dots += host.p[i] == '.';
        if (host.p[i] != '.' && (host.p[i] < '0' || host.p[i] > '9'))
            return false;
    }
    return dots == 3 && sl_str_starts(host, "127.");
}

bool sl_fetch_below(sl_str url, sl_str root)
{
    while (root.n && root.p[root.n - 1] == '/')
        root.n--;
    if (root.n == 0 || url.n < root.n || memcmp(url.p, root.p, root.n) != 0)
        return false;
    /* "s3://": the whole scheme; its slashes have just been taken off */
    if (root.p[root.n - 1] == ':')
        return url.n > root.n && url.p[root.n] == '/';
    return url.n == root.n || url.p[root.n] == '/';
}

void sl_fetch_encode(sl_text *t, sl_str s, bool keep_slash)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c != '\0' && (strchr(plain, c) != NULL || (keep_slash && c == '/')))
            sl_text_putc(t, c);
        else
            sl_text_printf(t, "%%%02X", (unsigned)(unsigned char)c);
    }
}
