/*
 * dump.c - see dump.h
 *
 * The walk is that of a writer which is told token by token. Before each token it looks whether 256
 * bytes have been written already, and then writes no more; a NaN or an infinity ends it likewise,
 * behind the separator that precedes the value. The limit also bounds the depth: every bracket
 * takes a byte.
 */
#include "codec/dump.h"

#include <assert.h>

#include "base/mem.h"
#include "format/json.h"
#include "format/json_escape.h"

enum { LIMIT = 256, LEVELS = LIMIT + 8 };

typedef struct dumper {
    sl_text *out;
    size_t from; /* where in out the dump begins */
    int depth;
    bool object[LEVELS],
        any[LEVELS]; /* of the brackets that are open; is there something in them? */
} dumper;

static bool full(const dumper *d)
{
    return d->out->failed || d->out->n - d->from >= LIMIT;
}

static void newline(dumper *d)
{
    sl_text_putc(d->out, '\n');
    for (int i = 0; i < d->depth; i++)
        sl_text_add(d->out, "    ", 4);
}

static void put_number(dumper *d, const sl_number *n)
{
    char text[SL_NUMBER_ROOM], *end;
    if (n->kind == SL_NUMBER_INT)
        end = sl_number_write_int64(text, n->i);
    else if (n->kind == SL_NUMBER_UINT)
        end = sl_number_write_uint64(text, n->u);
    else
        end = sl_number_write_shortest(text, n->d);
    sl_text_add(d->out, text, (size_t)(end - text));
}

static bool put_string(dumper *d, const sl_json_string *s)
{
    if (!s->escaped) {
        sl_json_escape_text(SL_JSON_RAPID, s->raw, d->out);
        return true;
    }
    char *plain = sl_try_malloc(s->raw.n);
    if (plain == NULL)
        return false;
    sl_str text = {plain, sl_json_unescape(s->raw, plain)};
    sl_json_escape_text(SL_JSON_RAPID, text, d->out);
    sl_free(plain);
    return true;
}

/* Writes the scalar that comes; false if the dump ends here. */
static bool put_scalar(dumper *d, sl_json *j)
{
    sl_json_string s;
    sl_number n;
    const char *from;
    switch (sl_json_peek_type(j)) {
    case SL_JSON_STRING:
        return sl_json_read_string(j, &s) && put_string(d, &s);
    case SL_JSON_NUMBER:
        if (!sl_json_read_number(j, &n) || n.d - n.d != 0)
            return false;
        put_number(d, &n);
        return true;
    default:
        from = j->at;
        if (!sl_json_skip(j))
            return false;
        sl_text_add(d->out, from, (size_t)(j->at - from));
        return true;
    }
}

/* Writes the opening bracket, at which j stands. */
static void put_open(dumper *d, sl_json *j, bool object)
{
    bool entered = sl_json_enter(j, object ? '{' : '[');
    assert(entered && d->depth < LEVELS); /* each took a byte, and is not full yet */
    d->object[d->depth] = object;
    d->any[d->depth++] = false;
    sl_text_putc(d->out, object ? '{' : '[');
}

static void put_close(dumper *d)
{
    bool object = d->object[--d->depth];
    if (object && d->any[d->depth])
        newline(d);
    sl_text_putc(d->out, object ? '}' : ']');
}

/* Writes what precedes the next element or member of the innermost bracket, key included. */
static bool put_before(dumper *d, const sl_json_string *key)
{
    bool *any = &d->any[d->depth - 1];
    if (d->object[d->depth - 1]) {
        if (*any)
            sl_text_putc(d->out, ',');
        newline(d);
        *any = true;
        if (!put_string(d, key))
            return false;
        if (full(d))
            return false;
        sl_text_add(d->out, ": ", 2);
        return true;
    }
    if (*any)
        sl_text_add(d->out, ", ", 2);
    *any = true;
    return true;
}

void sl_json_dump(sl_text *out, const char *at, const char *end)
{
    dumper d = {.out = out, .from = out->n};
    sl_json j;
    sl_json_string key;
    sl_json_open(&j, (sl_str){at, (size_t)(end - at)}, LEVELS);
    for (;;) {
        char c = sl_json_peek(&j);
        if (c == '{' || c == '[')
            put_open(&d, &j, c == '{');
        else if (!put_scalar(&d, &j))
            return;
        for (;;) { /* behind an opening bracket or a value: close what ends here */
            if (d.depth == 0 || full(&d))
                return;
            if (d.object[d.depth - 1] ? sl_json_member(&j, &key) : sl_json_element(&j))
                break;
            if (j.error)
                return;
            put_close(&d);
        }
        if (!put_before(&d, &key))
            return;
    }
}
