/*
 * dense.c - see dense.h
 *
 * One pass. The shape follows from the first elements alone: the way down to the first leaf gives
 * the rank, and the first list to be closed at each level gives that level's dimension. Every later
 * list is held against it. Leaves that stand side by side are read by one tight loop for their
 * dtype (format/number.h).
 *
 * In the order of the text, a wrong leaf may come before the end of a list that is too long or too
 * short, yet the list is the error that the original finds. So at the first thing that is wrong the
 * lists that are open around it are counted to their ends, and the outermost of wrong length wins.
 */
#include "codec/dense.h"

#include <assert.h>

#include "base/mem.h"
#include "base/thread.h"
#include "codec/dump.h"
#include "format/base64.h"

/* A string element until it is finished: a piece of the text, and how to read it. */
static const size_t ESCAPED = (size_t)1 << 63, BASE64 = (size_t)1 << 62;
#define PIECE_SIZE(n) ((n) & ~(ESCAPED | BASE64))

enum { RUN = 4096 }; /* leaves without a look at who else wants the processor: 50 us or so */

typedef struct walk {
    sl_dense *d;
    sl_builder *b;
    const char *p, *end;
    int depth;                  /* brackets that are open around the value */
    int level, rank;            /* lists that are open around p; -1: not known yet */
    int64_t dims[SL_MAX_RANK];  /* -1: not known yet */
    int64_t count[SL_MAX_RANK]; /* elements that are complete, of each open list */
    size_t told;                /* leaves, when others were let go first */
} walk;

void sl_builder_init(sl_builder *b, sl_dtype dtype)
{
    *b = (sl_builder){.dtype = sl_dtype_base(dtype)};
    switch (b->dtype) {
    case SL_DT_FLOAT:
    case SL_DT_DOUBLE:
    case SL_DT_INT8:
    case SL_DT_UINT8:
    case SL_DT_INT16:
    case SL_DT_INT32:
    case SL_DT_UINT32:
    case SL_DT_INT64:
    case SL_DT_UINT64:
    case SL_DT_BOOL:
    case SL_DT_STRING:
        b->element = sl_dtype_size(b->dtype);
        break;
    default:
        break;
    }
}

void sl_builder_fini(sl_builder *b)
{
    sl_buffer_release(b->buffer);
    b->buffer = NULL;
    b->count = b->room = b->counted = 0;
}

void sl_builder_clear(sl_dense *d, sl_builder *b)
{
    d->elements -= b->counted;
    b->count = b->counted = 0;
}

/* ---- memory ---- */

static sl_dense_result exhausted(sl_dense *d, const char *what, long long limit)
{
    d->why.n = 0;
    if (limit < 0)
        sl_text_printf(&d->why, "out of memory: %s", what);
    else
        sl_text_printf(&d->why, "request holds more than %lld %s", limit, what);
    d->code = SL_RESOURCE_EXHAUSTED;
    return SL_DENSE_MEMORY;
}

/* How many elements to make room for when the next one stands at p: as many as the rest of the text
 * holds if it is like what was read so far, never more than it can hold ("1," is two bytes). */
static size_t guess_room(const sl_builder *b, const char *p, const char *end)
{
    size_t rest = (size_t)(end - p), most = b->count + rest / 2 + 1;
    if (b->count == 0)
        return SL_MIN(most, (size_t)64);
    double each = (double)(p - b->began) / (double)b->count; /* 2 at least */
    double guess = (double)b->count + (double)rest / each * 1.05 + 16;
    return guess < (double)most ? (size_t)guess : most;
}

static sl_dense_result make_room(sl_dense *d, sl_builder *b, const char *p, const char *end)
{
    if (b->count == 0)
        b->began = p;
    /* sl_dense_read holds the others below the limit */
    size_t limit = (size_t)d->limits->max_elements - (d->elements - b->counted);
    size_t room = SL_MAX(guess_room(b, p, end), b->count + 1);
    if (b->count >= limit)
        return exhausted(d, "elements", d->limits->max_elements);
    room = SL_MIN(room, limit);
    sl_buffer *bigger = sl_buffer_try_new(sl_mul_capped(room, b->element));
    if (bigger == NULL)
        return exhausted(d, "tensor of the request", -1);
    if (b->count)
        memcpy(bigger->data, b->buffer->data, b->count * b->element);
    sl_buffer_release(b->buffer);
    b->buffer = bigger;
    b->room = room;
    return SL_DENSE_OK;
}

bool sl_json_plain(sl_arena *arena, const sl_json_string *s, sl_str *out)
{
    *out = s->raw;
    if (!s->escaped)
        return true;
    char *plain = sl_arena_try_alloc(arena, s->raw.n);
    if (plain == NULL)
        return false;
    *out = (sl_str){plain, sl_json_unescape(s->raw, plain)};
    return true;
}

bool sl_json_copy(sl_arena *arena, const sl_json_string *s, sl_str *out)
{
    if (!sl_json_plain(arena, s, out))
        return false;
    if (!s->escaped)
        out->p = sl_arena_try_strndup(arena, out->p, out->n);
    return out->p != NULL;
}

/* ---- leaves ---- */

bool sl_json_read_b64(sl_json *j, sl_json_string *text)
{
    sl_json_string key;
    const char *at = j->at;
    int depth = j->depth;
    bool fresh = j->fresh;
    if (sl_json_enter(j, '{') && sl_json_member(j, &key) &&
        sl_json_string_is(&key, SL_STR("b64")) && sl_json_read_string(j, text) &&
        !sl_json_member(j, &key) && !j->error)
        return true;
    sl_json_seek(j, at, depth);
    j->fresh = fresh;
    return false;
}

/* A string or base64 object at p. Where it ends; NULL if it is neither, or wrong (w->d->why is then
 * empty), or memory is out (why says so). */
static const char *read_string(walk *w, const char *p, sl_str *out)
{
    sl_dense *d = w->d;
    sl_json *j = d->json;
    sl_json_string s;
    size_t n, flags = 0;
    sl_json_seek(j, p, w->depth + w->level);
    if (p < w->end && *p == '{') {
        if (!sl_json_read_b64(j, &s))
            return NULL;
        if (!sl_json_plain(d->arena, &s, &s.raw)) {
            exhausted(d, "base64 text", -1);
            return NULL;
        }
        if (!sl_base64_check(s.raw, &n))
            return NULL;
        flags = BASE64;
    } else {
        if (!sl_json_read_string(j, &s))
            return NULL;
        flags = s.escaped ? ESCAPED : 0;
    }
    if (d->limits->max_string_bytes - d->string_bytes < s.raw.n) {
        exhausted(d, "bytes of strings", (long long)d->limits->max_string_bytes);
        return NULL;
    }
    d->string_bytes += s.raw.n;
    *out = (sl_str){s.raw.p, s.raw.n | flags};
    return j->at;
}

static const char *skip_blank(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static inline char at(const char *p, const char *end)
{
    return p < end ? *p : '\0';
}

static const char *read_bool(const char *p, const char *end, bool *out)
{
    *out = at(p, end) == 't';
    const char *word = *out ? "true" : "false";
    size_t n = *out ? 4 : 5;
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

/* The leaf at p as element `at` of b. Where it ends, or NULL. */
static const char *read_leaf(walk *w, const char *p, size_t i)
{
    const char *error, *where;
    void *data = w->b->buffer->data;
    sl_number n;
    if (w->b->dtype == SL_DT_STRING)
        return read_string(w, p, (sl_str *)data + i);
    if (w->b->dtype == SL_DT_BOOL)
        return read_bool(p, w->end, (bool *)data + i);
    p = sl_number_read(p, w->end, &n, &error, &where);
    if (p == NULL)
        return NULL;
    bool is_int = n.kind == SL_NUMBER_INT;
    switch (w->b->dtype) {
    case SL_DT_FLOAT:
        ((float *)data)[i] = (float)n.d;
        return p;
    case SL_DT_DOUBLE:
        ((double *)data)[i] = n.d;
        return p;
#define INTEGER(DT, type, low, high)   \
    case DT:                           \
        ((type *)data)[i] = (type)n.i; \
        return is_int && n.i >= low && n.i <= high ? p : NULL;
        INTEGER(SL_DT_INT8, int8_t, INT8_MIN, INT8_MAX)
        INTEGER(SL_DT_UINT8, uint8_t, 0, UINT8_MAX)
        INTEGER(SL_DT_INT16, int16_t, INT16_MIN, INT16_MAX)
        INTEGER(SL_DT_INT32, int32_t, INT32_MIN, INT32_MAX)
        INTEGER(SL_DT_UINT32, uint32_t, 0, UINT32_MAX)
        INTEGER(SL_DT_INT64, int64_t, INT64_MIN, INT64_MAX)
#undef INTEGER
    default:
        assert(w->b->dtype == SL_DT_UINT64); /* all others have no elements here */
        ((uint64_t *)data)[i] = n.u;
        return n.kind == SL_NUMBER_UINT || (is_int && n.i >= 0) ? p : NULL;
    }
}

/* Strings and booleans side by side. */
static sl_run_end run_others(walk *w, const char *p, size_t room)
{
    size_t n = 0;
    while (n < room) {
        const char *q = read_leaf(w, p, w->b->count + n);
        if (q == NULL)
            break;
        n++;
        p = skip_blank(q, w->end);
        if (at(p, w->end) != ',')
            return (sl_run_end){p, n, false};
        p = skip_blank(p + 1, w->end);
    }
    return (sl_run_end){p, n, true};
}

static sl_run_end run_once(walk *w, const char *p, size_t room)
{
    sl_builder *b = w->b;
    char *out = (char *)b->buffer->data + b->count * b->element;
    switch (b->dtype) {
    case SL_DT_FLOAT:
        return sl_run_floats(p, w->end, (float *)out, room);
    case SL_DT_DOUBLE:
        return sl_run_doubles(p, w->end, (double *)out, room);
    case SL_DT_INT8:
        return sl_run_int8s(p, w->end, (int8_t *)out, room);
    case SL_DT_UINT8:
        return sl_run_uint8s(p, w->end, (uint8_t *)out, room);
    case SL_DT_INT16:
        return sl_run_int16s(p, w->end, (int16_t *)out, room);
    case SL_DT_INT32:
        return sl_run_int32s(p, w->end, (int32_t *)out, room);
    case SL_DT_UINT32:
        return sl_run_uint32s(p, w->end, (uint32_t *)out, room);
    case SL_DT_INT64:
        return sl_run_int64s(p, w->end, (int64_t *)out, room);
    case SL_DT_UINT64:
        return sl_run_uint64s(p, w->end, (uint64_t *)out, room);
    default:
        return run_others(w, p, room);
    }
}

/* ---- what is wrong ---- */

/* The range that an integer token must keep to, beyond that of int32. */
static const char *narrow_range(sl_dtype t)
{
    switch (t) {
    case SL_DT_INT8:
        return "-128 to 127";
    case SL_DT_UINT8:
        return "0 to 255";
    case SL_DT_INT16:
        return "-32768 to 32767";
    default:
        return NULL;
    }
}

/* Is the number that comes, and that is known to be one, an int32? */
static bool is_int32(sl_json *j)
{
    sl_number n = {.kind = SL_NUMBER_DOUBLE};
    (void)sl_json_read_number(j, &n);
    return n.kind == SL_NUMBER_INT && n.i >= INT32_MIN && n.i <= INT32_MAX;
}

static void say_value(sl_dense *d, const char *before, const char *p)
{
    sl_text_puts(&d->why, before);
    sl_json_dump(&d->why, p, d->json->end);
}

/* Composes the message for the leaf at p, which is of the right level but not of the right type. */
static void say_wrong_leaf(walk *w, const char *p)
{
    sl_dense *d = w->d;
    sl_json *j = d->json;
    sl_json_string s;
    sl_dtype t = w->b->dtype;
    sl_json_seek(j, p, w->depth);
    sl_json_type type = sl_json_peek_type(j);
    if (type == SL_JSON_OBJECT && t == SL_DT_STRING) {
        if (sl_json_read_b64(j, &s)) {
            sl_text_puts(&d->why, "Unable to base64 decode");
            return;
        }
        say_value(d, "JSON Value: ", p);
        sl_text_puts(&d->why, " not formatted correctly for base64 data");
        return;
    }
    if (w->b->element == 0 && type != SL_JSON_OBJECT) {
        d->code = SL_UNIMPLEMENTED;
        say_value(d, "Conversion of JSON Value: ", p);
        sl_text_printf(&d->why, " to type: %s", sl_dtype_name(t));
        return;
    }
    const char *range = narrow_range(t);
    say_value(d, "JSON Value: ", p);
    /* The original takes any int32 here and wraps it silently. */
    if (range && type == SL_JSON_NUMBER && is_int32(j))
        sl_text_printf(&d->why, " is out of range of %s: %s", sl_dtype_name(t), range);
    else
        sl_text_printf(&d->why, " Type: %s is not of expected type: %s", sl_json_type_name(type),
                       sl_dtype_name(t));
}

static void say_size(sl_dense *d, int64_t size, int level, int64_t expected)
{
    d->why.n = 0;
    d->code = SL_INVALID_ARGUMENT;
    sl_text_printf(&d->why,
                   "Encountered list at unexpected size: %lld at level: %d expected size: %lld",
                   (long long)size, level, (long long)expected);
}

/* Something is wrong inside the lists below `level`, and said. Counts those to their ends; j stands
 * behind the value or the list that is wrong. */
static sl_dense_result settle(walk *w, int level)
{
    sl_json *j = w->d->json;
    while (level-- > 0) {
        for (w->count[level]++; sl_json_peek(j) == ','; w->count[level]++) {
            j->at++;
            if (!sl_json_skip(j))
                return SL_DENSE_SYNTAX;
        }
        if (sl_json_peek(j) != ']')
            return SL_DENSE_SYNTAX;
        j->at++;
        if (w->dims[level] >= 0 && w->dims[level] != w->count[level])
            say_size(w->d, w->count[level], level, w->dims[level]);
    }
    return SL_DENSE_WRONG;
}

/* What stands at w->p is no leaf that the dtype takes. */
static sl_dense_result wrong(walk *w)
{
    sl_dense *d = w->d;
    const char *p = w->p;
    if (d->code == SL_RESOURCE_EXHAUSTED)
        return SL_DENSE_MEMORY;
    d->code = SL_INVALID_ARGUMENT;
    d->why.n = 0;
    sl_json_seek(d->json, p, w->depth);
    if (!sl_json_skip(d->json))
        return SL_DENSE_SYNTAX;
    const char *behind = d->json->at;
    if (at(p, w->end) == '[') {
        sl_text_printf(&d->why, "Encountered list at unexpected level: %d expected < %d", w->level,
                       w->rank);
    } else if (w->level != w->rank) {
        say_value(d, "JSON Value: ", p);
        sl_text_printf(&d->why,
                       " found at incorrect level: %d in the JSON DOM. Expected at level: %d",
                       w->level + 1, w->rank);
    } else {
        say_wrong_leaf(w, p);
    }
    sl_json_seek(d->json, behind, w->depth);
    return settle(w, w->level);
}

/* More levels than a tensor has. */
static sl_dense_result too_deep(walk *w)
{
    sl_json *j = w->d->json;
    int rank = w->level;
    sl_json_seek(j, w->p, w->depth);
    for (; sl_json_peek(j) == '['; j->at++)
        rank++;
    w->d->code = SL_INVALID_ARGUMENT;
    w->d->why.n = 0;
    sl_text_printf(&w->d->why, "a tensor of rank %d is not supported: at most %d", rank,
                   SL_MAX_RANK);
    return SL_DENSE_WRONG;
}

/* ---- the walk ---- */

/* Leaves from w->p to the end of their list; w->p then stands at its bracket. */
static sl_dense_result read_leaves(walk *w)
{
    sl_builder *b = w->b;
    int64_t *count = &w->count[w->level - 1];
    if (b->element == 0)
        return wrong(w);
    for (;;) {
        if (b->count == b->room) {
            sl_dense_result rc = make_room(w->d, b, w->p, w->end);
            if (rc)
                return rc;
        }
        size_t room = SL_MIN(b->room - b->count, (size_t)RUN);
        sl_run_end r = run_once(w, w->p, room);
        b->count += r.n;
        *count += (int64_t)r.n;
        w->p = r.at;
        if (b->count - w->told >= RUN) {
            w->told = b->count;
            sl_thread_step_aside();
        }
        if (!r.wants)
            return at(w->p, w->end) == ']' ? SL_DENSE_OK : SL_DENSE_SYNTAX;
        if (r.n < room)
            return wrong(w);
    }
}

static sl_dense_result read_scalar(walk *w)
{
    sl_builder *b = w->b;
    if (b->element == 0)
        return wrong(w);
    if (b->count == b->room) {
        sl_dense_result rc = make_room(w->d, b, w->p, w->end);
        if (rc)
            return rc;
    }
    const char *q = read_leaf(w, w->p, b->count);
    if (q == NULL)
        return wrong(w);
    b->count++;
    w->p = q;
    return SL_DENSE_OK;
}

/* At the bracket that ends the innermost list. */
static sl_dense_result close_list(walk *w)
{
    int level = --w->level;
    w->p++;
    if (w->dims[level] < 0)
        w->dims[level] = w->count[level];
    if (w->dims[level] == w->count[level])
        return SL_DENSE_OK;
    say_size(w->d, w->count[level], level, w->dims[level]);
    sl_json_seek(w->d->json, w->p, w->depth);
    return settle(w, level);
}

/* At a value: down to where the leaves are, and over them. */
static sl_dense_result descend(walk *w)
{
    while (at(w->p, w->end) == '[') {
        if (w->rank >= 0 && w->level >= w->rank)
            return wrong(w);
        if (w->level == SL_MAX_RANK)
            return too_deep(w);
        if (w->depth + w->level >= w->d->json->max_depth)
            return SL_DENSE_SYNTAX;
        w->count[w->level++] = 0;
        w->p = skip_blank(w->p + 1, w->end);
        if (at(w->p, w->end) == ']') {
            if (w->rank < 0)
                w->rank = w->level;
            return SL_DENSE_OK;
        }
    }
    if (w->rank < 0)
        w->rank = w->level;
    if (w->level != w->rank)
        return wrong(w);
    return w->level ? read_leaves(w) : read_scalar(w);
}

static sl_dense_result walk_value(walk *w)
{
    for (;;) {
        sl_dense_result rc = descend(w);
        while (rc == SL_DENSE_OK && w->level > 0) {
            if (at(w->p, w->end) == ']') {
                rc = close_list(w);
                if (rc || w->level == 0)
                    return rc;
                w->count[w->level - 1]++;
                w->p = skip_blank(w->p, w->end);
            } else if (at(w->p, w->end) == ',') {
                w->p = skip_blank(w->p + 1, w->end);
                break;
            } else {
                return SL_DENSE_SYNTAX;
            }
        }
        if (rc || w->level == 0)
            return rc;
    }
}

sl_dense_result sl_dense_read(sl_dense *d, sl_builder *b, sl_dense_shape *shape)
{
    sl_json *j = d->json;
    size_t before = b->count;
    sl_json_peek(j);
    walk w = {
        .d = d, .b = b, .p = j->at, .end = j->end, .depth = j->depth, .rank = -1, .told = b->count};
    for (int i = 0; i < SL_MAX_RANK; i++)
        w.dims[i] = -1;
    d->code = SL_OK;
    sl_dense_result rc = walk_value(&w);
    if (rc)
        return rc;
    sl_json_seek(j, w.p, w.depth);
    shape->rank = w.rank;
    memcpy(shape->dims, w.dims, sizeof w.dims);
    shape->count = b->count - before;
    d->elements += b->count - b->counted;
    b->counted = b->count;
    /* the room was made when the others had fewer */
    if (d->elements > (size_t)d->limits->max_elements)
        return exhausted(d, "elements", d->limits->max_elements);
    return SL_DENSE_OK;
}

/* ---- the tensor ---- */

static sl_code finish_strings(sl_builder *b, sl_tensor *out, sl_status *st)
{
    const sl_str *pieces = b->buffer ? b->buffer->data : NULL;
    size_t count = pieces ? b->count : 0, bytes = out->size, n;
    for (size_t i = 0; i < count; i++)
        bytes = sl_add_capped(bytes, PIECE_SIZE(pieces[i].n));
    sl_buffer *whole = sl_buffer_try_new(bytes);
    if (whole == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: string tensor of %zu bytes",
                       bytes);
    sl_str *table = whole->data;
    char *to = (char *)(table + count);
    for (size_t i = 0; i < count; i++) {
        sl_str raw = {pieces[i].p, PIECE_SIZE(pieces[i].n)};
        if (pieces[i].n & BASE64) {
            n = sl_base64_decode(raw, to);
        } else if (pieces[i].n & ESCAPED) {
            n = sl_json_unescape(raw, to);
        } else {
            n = raw.n;
            memcpy(to, raw.p, n);
        }
        table[i] = (sl_str){to, n};
        to += n;
    }
    sl_builder_fini(b);
    out->buffer = whole;
    out->data = table;
    return SL_OK;
}

sl_code sl_builder_finish(sl_builder *b, const int64_t *dims, int rank, sl_tensor *out,
                          sl_status *st)
{
    if (b->buffer == NULL && b->dtype != SL_DT_STRING) /* nothing was read: an empty tensor */
        return sl_tensor_try_new(b->dtype, dims, rank, out, st);
    sl_tensor t = {.dtype = b->dtype, .rank = rank, .size = b->count * b->element};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    if (b->dtype == SL_DT_STRING) {
        sl_code rc = finish_strings(b, &t, st);
        if (rc)
            return rc;
    } else {
        t.buffer = b->buffer;
        t.data = b->buffer->data;
        b->buffer = NULL;
        b->count = b->room = b->counted = 0;
    }
    *out = t;
    return SL_OK;
}
