/* protocol.c - see protocol.h */
#include "fetch/protocol.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "format/wire.h"

enum {
    KIND = 1,
    ID,
    URL,
    DIR_,
    NAME,
    TEXT,
    CODE,
    DONE,
    TOTAL,
    CHANGED,
    PATIENCE,
    MAX_BYTES,
    NAMES,
    NUMBERS,
    HEAD = 4,
    PIECE = 65536
};

/* ---- writing ---- */

static void put_str(sl_text *t, unsigned field, sl_str s)
{
    if (s.n)
        sl_wire_put_bytes(t, field, s.p, s.n);
}

static void put_number(sl_text *t, unsigned field, uint64_t v)
{
    if (v)
        sl_wire_put_varint(t, field, v);
}

void sl_fetch_write(sl_text *t, const sl_fetch_msg *m)
{
    size_t begin = t->n;
    sl_text_add(t, "\0\0\0\0", HEAD);
    put_number(t, KIND, m->kind);
    put_number(t, ID, m->id);
    put_str(t, URL, m->url);
    put_str(t, DIR_, m->dir);
    put_str(t, NAME, m->name);
    put_str(t, TEXT, m->text);
    put_number(t, CODE, m->code);
    put_number(t, DONE, m->done);
    put_number(t, TOTAL, m->total);
    put_number(t, CHANGED, m->changed);
    put_number(t, PATIENCE, m->patience_s);
    put_number(t, MAX_BYTES, m->max_bytes);
    for (int i = 0; i < m->n_names; i++)
        sl_wire_put_bytes(t, NAMES, m->names[i].p, m->names[i].n);
    for (int i = 0; i < m->n_numbers; i++)
        sl_wire_put_varint(t, NUMBERS, (uint64_t)m->numbers[i]);
    if (t->failed)
        return;
    size_t n = t->n - begin - HEAD;
    if (n > SL_FETCH_FRAME || m->n_names > SL_FETCH_NAMES || m->n_numbers > SL_FETCH_NAMES) {
        t->failed = true;
        return;
    }
    for (int i = 0; i < HEAD; i++)
        t->p[begin + (size_t)i] = (char)(n >> (8 * i));
}

int sl_fetch_flush(int fd, const sl_text *t, size_t *at)
{
    while (*at < t->n) {
        ssize_t n = send(fd, t->p + *at, t->n - *at, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        *at += (size_t)n;
    }
    return 0;
}

/* ---- reading ---- */

int sl_fetch_fill(sl_fetch_reader *r, int fd)
{
    char piece[PIECE];
    if (r->at) { /* what was read goes; messages point into it no longer */
        memmove(r->bytes.p, r->bytes.p + r->at, r->bytes.n - r->at);
        r->bytes.n -= r->at;
        r->at = 0;
    }
    ssize_t n;
    do
        n = read(fd, piece, sizeof piece);
    while (n < 0 && errno == EINTR);
    if (n > 0)
        sl_text_add(&r->bytes, piece, (size_t)n);
    return (int)n;
}

static bool add_name(sl_fetch_msg *m, size_t *cap, sl_str s)
{
    sl_str *list = m->n_names < SL_FETCH_NAMES
                       ? sl_try_grow(m->names, (size_t)m->n_names, cap, sizeof *list)
                       : NULL;
    if (list == NULL)
        return false;
    m->names = list;
    m->names[m->n_names++] = s;
    return true;
}

static bool add_number(sl_fetch_msg *m, size_t *cap, uint64_t v)
{
    int64_t *list = m->n_numbers < SL_FETCH_NAMES
                        ? sl_try_grow(m->numbers, (size_t)m->n_numbers, cap, sizeof *list)
                        : NULL;
    if (list == NULL)
        return false;
    m->numbers = list;
    m->numbers[m->n_numbers++] = (int64_t)v;
    return true;
}

static void take_number(sl_fetch_msg *m, unsigned field, uint64_t v)
{
    switch (field) {
    case KIND:
        m->kind = v <= SL_FETCH_DOCUMENT ? (sl_fetch_kind)v : 0;
        break;
    case ID:
        m->id = v;
        break;
    case CODE:
        m->code = v;
        break;
    case DONE:
        m->done = v;
        break;
    case TOTAL:
        m->total = v;
        break;
    case CHANGED:
        m->changed = v != 0;
        break;
    case PATIENCE:
        m->patience_s = v;
        break;
    case MAX_BYTES:
        m->max_bytes = v;
        break;
    default: /* of a later version */
        break;
    }
}

static void take_str(sl_fetch_msg *m, unsigned field, sl_str s)
{
    switch (field) {
    case URL:
        m->url = s;
        break;
    case DIR_:
        m->dir = s;
        break;
    case NAME:
        m->name = s;
        break;
    case TEXT:
        m->text = s;
        break;
    default:
        break;
    }
}

static sl_code parse(sl_str bytes, sl_fetch_msg *m, sl_status *st)
{
    size_t names = 0, numbers = 0;
    sl_wire w = sl_wire_open(bytes);
    while (sl_wire_next(&w)) {
        bool kept = true;
        if (w.type == SL_WIRE_BYTES && w.field == NAMES)
            kept = add_name(m, &names, w.bytes);
        else if (w.type == SL_WIRE_BYTES)
            take_str(m, w.field, w.bytes);
        else if (w.type == SL_WIRE_VARINT && w.field == NUMBERS)
            kept = add_number(m, &numbers, w.value);
        else if (w.type == SL_WIRE_VARINT)
            take_number(m, w.field, w.value);
        if (!kept)
            return sl_fail(st, SL_RESOURCE_EXHAUSTED, "a message with too many names");
    }
    if (w.bad || m->kind == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "not a message of this protocol: %s",
                       w.bad ? w.bad : "no kind");
    return SL_OK;
}

sl_code sl_fetch_read(sl_fetch_reader *r, sl_fetch_msg *m, sl_status *st)
{
    size_t left = r->bytes.n - r->at, n = 0;
    memset(m, 0, sizeof *m);
    if (r->bytes.failed)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (left < HEAD)
        return SL_UNAVAILABLE;
    const unsigned char *head = (const unsigned char *)r->bytes.p + r->at;
    for (int i = HEAD; i-- > 0;)
        n = n << 8 | head[i];
    if (n == 0 || n > SL_FETCH_FRAME)
        return sl_fail(st, SL_INVALID_ARGUMENT, "a frame of %zu bytes", n);
    if (left - HEAD < n)
        return SL_UNAVAILABLE;
    sl_code rc = parse((sl_str){r->bytes.p + r->at + HEAD, n}, m, st);
    r->at += HEAD + n;
    if (rc)
        sl_fetch_msg_fini(m);
    return rc;
}

void sl_fetch_msg_fini(sl_fetch_msg *m)
{
    sl_free(m->names);
    sl_free(m->numbers);
    memset(m, 0, sizeof *m);
}

void sl_fetch_reader_fini(sl_fetch_reader *r)
{
    sl_text_fini(&r->bytes);
    r->at = 0;
}
