/*
 * head.c - request line and header lines, a line at a time
 *
 * memchr finds the ends of lines, a table the end of a name, eight bytes at a time the control
 * characters that a value must not have. A field that means something to HTTP itself is recognised
 * by its length first.
 *
 * A line may end in a bare LF: the original takes that, and in the head it is harmless, because no
 * proxy forwards it. Inside the framing of chunks it is not: see chunked.c.
 */
#include "http/head.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"

/* What a byte may be part of. */
enum { TOKEN = 1, URI = 2, HEX = 4, DIGIT = 8, SCHEME = 16 };

static const unsigned char kind[256] = {
    ['0' ... '9'] = TOKEN | URI | HEX | DIGIT | SCHEME,
    ['A' ... 'F'] = TOKEN | URI | HEX | SCHEME,
    ['G' ... 'Z'] = TOKEN | URI | SCHEME,
    ['a' ... 'f'] = TOKEN | URI | HEX | SCHEME,
    ['g' ... 'z'] = TOKEN | URI | SCHEME,
    ['!'] = TOKEN | URI,
    ['#'] = TOKEN,
    ['$'] = TOKEN | URI,
    ['%'] = TOKEN, /* in a URI only before two hex digits */
    ['&'] = TOKEN | URI,
    ['\''] = TOKEN | URI,
    ['('] = URI,
    [')'] = URI,
    ['*'] = TOKEN | URI,
    ['+'] = TOKEN | URI | SCHEME,
    [','] = URI,
    ['-'] = TOKEN | URI | SCHEME,
    ['.'] = TOKEN | URI | SCHEME,
    ['/'] = URI,
    [':'] = URI,
    [';'] = URI,
    ['='] = URI,
    ['?'] = URI,
    ['@'] = URI,
    ['^'] = TOKEN,
    ['_'] = TOKEN | URI,
    ['`'] = TOKEN,
    ['|'] = TOKEN,
    ['~'] = TOKEN | URI,
};

static bool is(char c, int what)
{
    return (kind[(unsigned char)c] & what) != 0;
}

static int fail(sl_head *h, int status, const char *error)
{
    h->status = status;
    h->error = error;
    return -1;
}

void sl_head_reset(sl_head *h)
{
    sl_http_header *headers = h->headers;
    size_t cap = h->cap;
    memset(h, 0, sizeof *h);
    h->headers = headers;
    h->cap = cap;
}

void sl_head_fini(sl_head *h)
{
    sl_free(h->headers);
    *h = (sl_head){0};
}

void sl_head_move(sl_head *h, ptrdiff_t delta)
{
    if (h->target.n) {
        h->target.p += delta;
        h->path.p += delta;
    }
    for (int i = 0; i < h->n_headers; i++) {
        h->headers[i].name.p += delta;
        h->headers[i].value.p += delta;
    }
}

/* ---- request line ---- */

static bool method_of(sl_str s, sl_http_method *out)
{
    static const struct {
        sl_str name;
        sl_http_method method;
    } known[] = {
        {{"POST", 4}, SL_HTTP_POST},     {{"GET", 3}, SL_HTTP_GET},
        {{"HEAD", 4}, SL_HTTP_HEAD},     {{"PUT", 3}, SL_HTTP_PUT},
        {{"DELETE", 6}, SL_HTTP_DELETE}, {{"OPTIONS", 7}, SL_HTTP_OPTIONS},
        {{"PATCH", 5}, SL_HTTP_PATCH},
    };
    for (size_t i = 0; i < SL_COUNTOF(known); i++)
        if (sl_str_eq(s, known[i].name)) {
            *out = known[i].method;
            return true;
        }
    return false;
}

/* "http://host/path" and "//host/path" lose what is before the path, as the original's parser has
 * it. */
static bool reduce_target(sl_head *h, sl_str *t)
{
    size_t i = 0;
    if (t->n > 0 && t->p[0] != '/' && is(t->p[0], SCHEME) && !is(t->p[0], DIGIT)) {
        while (i < t->n && is(t->p[i], SCHEME))
            i++;
        if (i < t->n && t->p[i] == ':') {
            h->asked_close = true;
            *t = (sl_str){t->p + i + 1, t->n - i - 1};
        }
    }
    if (t->n < 2 || t->p[0] != '/' || t->p[1] != '/')
        return true;
    for (i = 2; i < t->n && t->p[i] != '/' && t->p[i] != '?' && t->p[i] != '#'; i++)
        if (!is(t->p[i], URI) && t->p[i] != '[' && t->p[i] != ']' && t->p[i] != '%')
            return false;
    *t = (sl_str){t->p + i, t->n - i};
    return true;
}

/* path[?query][#fragment], nothing else in it than RFC 3986 allows. */
static bool check_target(sl_head *h, sl_str t)
{
    size_t path = t.n;
    bool fragment = false;
    for (size_t i = 0; i < t.n; i++) {
        char c = t.p[i];
        if (c == '?' && path == t.n)
            path = i;
        if (is(c, URI))
            continue;
        if (c == '%' && t.n - i > 2 && is(t.p[i + 1], HEX) && is(t.p[i + 2], HEX))
            continue;
        if (c != '#' || fragment)
            return false;
        fragment = true;
        path = path < i ? path : i;
    }
    h->target = t;
    h->path = (sl_str){t.p, path};
    return true;
}

int sl_head_method(sl_head *h, sl_str method)
{
    h->unknown_method = !method_of(method, &h->method); /* a 501, once the head is complete */
    return 0;
}

int sl_head_target(sl_head *h, sl_str target)
{
    if (!reduce_target(h, &target) || !check_target(h, target))
        return fail(h, 400, "illegal character in request target");
    return 0;
}

static int parse_version(sl_head *h, sl_str v)
{
    if (v.n != 8 || memcmp(v.p, "HTTP/", 5) != 0 || !is(v.p[5], DIGIT) || v.p[6] != '.' ||
        !is(v.p[7], DIGIT))
        return fail(h, 400, "malformed request line");
    if (v.p[5] != '1')
        return fail(h, 400, "unsupported HTTP version");
    h->version = v.p[7] == '0' ? 10 : 11;
    return 0;
}

static int parse_request_line(sl_head *h, sl_str line)
{
    const char *end = line.p + line.n, *p = line.p;
    while (p < end && is(*p, TOKEN))
        p++;
    if (p == line.p || p == end || *p != ' ')
        return fail(h, 400, "malformed request line");
    sl_head_method(h, (sl_str){line.p, (size_t)(p - line.p)});
    const char *target = ++p;
    p = memchr(p, ' ', (size_t)(end - p));
    if (p == NULL || p == target)
        return fail(h, 400, "malformed request line");
    if (parse_version(h, (sl_str){p + 1, (size_t)(end - p - 1)}) < 0)
        return -1;
    if (sl_head_target(h, (sl_str){target, (size_t)(p - target)}) < 0)
        return -1;
    h->have_request_line = true;
    return 0;
}

/* ---- header lines ---- */

/* A byte below 0x20, or 0x7f? (Also true for some harmless words: the caller then looks closely.)
 */
static bool may_have_control(const char *p)
{
    const uint64_t ones = 0x0101010101010101u, high = ones * 0x80;
    uint64_t w, del;
    memcpy(&w, p, 8);
    del = w ^ ones * 0x7f;
    return (((w - ones * 0x20) & ~w) | ((del - ones) & ~del)) & high;
}

static bool has_control(sl_str v)
{
    size_t i = 0;
    while (i < v.n) {
        if (v.n - i >= 8 && !may_have_control(v.p + i)) {
            i += 8;
            continue;
        }
        size_t end = v.n - i >= 8 ? i + 8 : v.n;
        for (; i < end; i++) {
            unsigned char c = (unsigned char)v.p[i];
            if ((c < 0x20 && c != '\t') || c == 0x7f)
                return true;
        }
    }
    return false;
}

static bool blank(char c)
{
    return c == ' ' || c == '\t';
}

static sl_str trim(const char *p, const char *end)
{
    while (p < end && blank(*p))
        p++;
    while (end > p && blank(end[-1]))
        end--;
    return (sl_str){p, (size_t)(end - p)};
}

static bool named(const sl_http_header *f, const char *name)
{
    return sl_str_eq_nocase(f->name, sl_str_of(name));
}

/* Calls for each element of a comma-separated list: true once one satisfies `match`. */
static bool list_has(sl_str list, const char *word)
{
    const char *p = list.p, *end = list.p + list.n;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        if (sl_str_eq_nocase(trim(p, stop), sl_str_of(word)))
            return true;
        p = stop + 1;
    }
    return false;
}

static bool contains(sl_str s, const char *part)
{
    size_t n = strlen(part);
    for (size_t i = 0; i + n <= s.n; i++)
        if (memcmp(s.p + i, part, n) == 0)
            return true;
    return false;
}

/* "gzip" or "*" in Accept-Encoding, unless with q=0. */
static bool accepts_gzip(sl_str list)
{
    const char *p = list.p, *end = list.p + list.n;
    while (p < end) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        const char *stop = comma ? comma : end;
        const char *semi = memchr(p, ';', (size_t)(stop - p));
        sl_str coding = trim(p, semi ? semi : stop);
        sl_str q = semi ? trim(semi + 1, stop) : SL_STR("q=1");
        bool refused = q.n < 3 || memcmp(q.p, "q=0", 3) == 0;
        for (size_t i = 3; refused && i < q.n; i++)
            refused = q.p[i] == '.' || q.p[i] == '0';
        if (!refused && (sl_str_eq_nocase(coding, SL_STR("gzip")) || sl_str_is(coding, "*")))
            return true;
        p = stop + 1;
    }
    return false;
}

static int parse_length(sl_head *h, sl_str v)
{
    uint64_t n = 0;
    /* Digits and nothing else: no sign, no list. */
    for (size_t i = 0; i < v.n; i++)
        if (!is(v.p[i], DIGIT) || __builtin_mul_overflow(n, 10, &n) ||
            __builtin_add_overflow(n, (uint64_t)(v.p[i] - '0'), &n) || n > INT64_MAX)
            return fail(h, 400, "malformed Content-Length");
    if (v.n == 0)
        return fail(h, 400, "malformed Content-Length");
    if (h->has_length && h->length != n)
        return fail(h, 400, "contradictory Content-Length");
    h->has_length = true;
    h->length = n;
    return 0;
}

static int parse_coding(sl_head *h, sl_str v)
{
    if (h->has_coding || !sl_str_eq_nocase(v, SL_STR("chunked")))
        return fail(h, 400, "unsupported Transfer-Encoding");
    h->has_coding = h->chunked = true;
    return 0;
}

/* Fields that mean something to HTTP itself. */
static int heed(sl_head *h, const sl_http_header *f)
{
    switch (f->name.n) {
    case 6:
        if (named(f, "expect")) {
            h->expects = sl_str_eq_nocase(f->value, SL_STR("100-continue"));
            h->bad_expect |= !h->expects;
        }
        return 0;
    case 10:
        if (named(f, "connection")) {
            h->asked_close |= list_has(f->value, "close");
            h->asked_keep |= list_has(f->value, "keep-alive");
        }
        return 0;
    case 14:
        return named(f, "content-length") ? parse_length(h, f->value) : 0;
    case 15:
        h->accepts_gzip |= named(f, "accept-encoding") && accepts_gzip(f->value);
        return 0;
    case 16:
        h->gzip |= named(f, "content-encoding") && contains(f->value, "gzip");
        return 0;
    case 17:
        return named(f, "transfer-encoding") ? parse_coding(h, f->value) : 0;
    default:
        return 0;
    }
}

int sl_head_field(sl_head *h, sl_str name, sl_str value, const sl_http_limits *limits)
{
    sl_http_header f = {name, value};
    if (h->n_headers >= limits->max_headers)
        return fail(h, 431, "too many header lines");
    sl_http_header *room = sl_try_grow(h->headers, (size_t)h->n_headers, &h->cap, sizeof f);
    if (room == NULL)
        return fail(h, 503, "out of memory");
    h->headers = room;
    h->headers[h->n_headers++] = f;
    return heed(h, &f);
}

static int parse_field(sl_head *h, sl_str line, const sl_http_limits *limits)
{
    const char *end = line.p + line.n, *p = line.p;
    if (blank(*p))
        return fail(h, 400, "folded header line");
    while (p < end && is(*p, TOKEN))
        p++;
    if (p == line.p || p == end || *p != ':')
        return fail(h, 400, "malformed header line");
    sl_str value = trim(p + 1, end);
    if (has_control(value))
        return fail(h, 400, "control character in a header line");
    return sl_head_field(h, (sl_str){line.p, (size_t)(p - line.p)}, value, limits);
}

/* ---- the whole ---- */

/* Which bytes after the head are the body must be beyond doubt, or the next request is somebody
 * else's invention. */
static int frame_of_body(sl_head *h)
{
    if (h->chunked && h->has_length)
        return fail(h, 400, "both Content-Length and Transfer-Encoding");
    if (h->chunked && h->version == 10)
        return fail(h, 400, "Transfer-Encoding in HTTP/1.0");
    return 0;
}

int sl_head_end(sl_head *h)
{
    if (frame_of_body(h) < 0)
        return -1;
    if (h->unknown_method)
        return fail(h, 501, "unknown method");
    if (h->version == 10)
        h->expects = h->bad_expect = false;
    if (h->bad_expect)
        return fail(h, 417, "unknown expectation");
    h->keep_alive = !h->asked_close && (h->version != 10 || h->asked_keep);
    return 0;
}

static int parse_line(sl_head *h, sl_str line, const sl_http_limits *limits)
{
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    if (line.n > 0)
        return h->have_request_line ? parse_field(h, line, limits) : parse_request_line(h, line);
    if (!h->have_request_line)
        return 0; /* empty lines before a request are harmless */
    return sl_head_end(h) < 0 ? -1 : 1;
}

ssize_t sl_head_parse(sl_head *h, const char *data, size_t n, const sl_http_limits *limits)
{
    /* No request begins like this: a TLS handshake at the wrong port need not wait for a time-out.
     */
    if (h->scanned == 0 && n > 0 && !is(data[0], TOKEN) && data[0] != '\r' && data[0] != '\n')
        return fail(h, 400, "malformed request line");
    for (;;) {
        const char *lf = h->scanned < n ? memchr(data + h->scanned, '\n', n - h->scanned) : NULL;
        size_t next = lf ? (size_t)(lf - data) + 1 : n;
        if (next > limits->max_head || (lf == NULL && n >= limits->max_head))
            return fail(h, 431, "request head too large");
        h->scanned = next;
        if (lf == NULL)
            return 0;
        int rc = parse_line(h, (sl_str){data + h->line, next - 1 - h->line}, limits);
        h->line = next;
        if (rc < 0)
            return -1;
        if (rc > 0)
            return (ssize_t)next;
    }
}

const char *sl_head_with_limit(sl_arena *a, const sl_http_limits *l, int status,
                               const char *message)
{
    const char *text = NULL;
    if (status == 413 && strcmp(message, SL_HTTP_TOO_MANY_CHUNKS) == 0)
        text = sl_arena_try_printf(a, "%s: the limit is %" PRIu64, message, l->max_chunks);
    else if (status == 413)
        text = sl_arena_try_printf(a, "%s: the limit is %zu bytes", message, l->max_body);
    else if (status == 431)
        text = sl_arena_try_printf(a, "%s: the limit is %zu bytes and %d header lines", message,
                                   l->max_head, l->max_headers);
    return text ? text : message;
}
