/*
 * reply.c - the reply's head, and the way out
 *
 * A reply whose body is small is copied behind its head into the shard's scratch buffer: one piece,
 * one send, and the same for a whole batch of pipelined ones. A large body is not copied: scratch
 * and the body's pieces leave in one sendmsg.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/conn.h"
#include "http/packed.h"

enum {
    COPIED = 4096,        /* bodies up to this are copied */
    HEAD_ROOM = 512,      /* everything in a head but content type and the handler's lines */
    MAX_HEAD = 32 * 1024, /* handler's lines and content type */
    VECTORS = 64
};

const char *sl_http_reason(int status)
{
    static const struct {
        int status;
        const char *reason;
    } known[] = {
        {200, "OK"},
        {400, "Bad Request"},
        {404, "Not Found"},
        {500, "Internal Server Error"},
        {503, "Service Unavailable"},
        {504, "Gateway Time-out"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {401, "Unauthorized"},
        {403, "Forbidden"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Time-out"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Request Entity Too Large"},
        {414, "Request-URI Too Long"},
        {415, "Unsupported Media Type"},
        {417, "Expectation Failed"},
        {431, "Request Header Fields Too Large"}, /* which the original never sends */
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {505, "HTTP Version not supported"},
    };
    for (size_t i = 0; i < SL_COUNTOF(known); i++)
        if (known[i].status == status)
            return known[i].reason;
    return status < 300   ? "Success"
           : status < 400 ? "Redirection"
           : status < 500 ? "Client Error"
                          : "Server Error";
}

/* ---- text ---- */

static char *put(char *p, const char *s, size_t n)
{
    memcpy(p, s, n);
    return p + n;
}

static char *put_text(char *p, const char *s)
{
    return put(p, s, strlen(s));
}

static char *put_number(char *p, uint64_t v)
{
    char digits[20], *d = digits + sizeof digits;
    do
        *--d = (char)('0' + v % 10);
    while ((v /= 10) != 0);
    return put(p, d, (size_t)(digits + sizeof digits - d));
}

/* The line, made once a second. */
static void renew_date(sl_shard *s)
{
    uint64_t now = sl_loop_now(s->loop);
    if (now >= s->date_until_ns) {
        int64_t us = sl_wall_us();
        time_t seconds = (time_t)(us / 1000000);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        s->date_n = strftime(s->date, sizeof s->date, "Date: %a, %d %b %Y %H:%M:%S GMT\r\n", &tm);
        s->date_until_ns = now + (uint64_t)(1000000 - us % 1000000) * 1000;
    }
}

static char *put_date(char *p, sl_shard *s)
{
    renew_date(s);
    return put(p, s->date, s->date_n);
}

sl_str sl_reply_date(sl_shard *s)
{
    renew_date(s);
    return (sl_str){s->date + 6, s->date_n - 8}; /* without "Date: " and CRLF */
}

static char *put_status(char *p, int version, int status)
{
    p = put_text(p, version == 10 ? "HTTP/1.0 " : "HTTP/1.1 ");
    p = put_number(p, (uint64_t)status);
    *p++ = ' ';
    p = put_text(p, sl_http_reason(status));
    return put(p, "\r\n", 2);
}

/* The original's order and habits: an HTTP/1.0 client that does not keep the connection gets
 * neither Date nor Content-Length. */
static char *put_head(char *p, sl_conn *c, size_t body)
{
    const sl_http_call *call = &c->x->call;
    const sl_head *h = &c->x->head;
    bool old = call->version == 10;
    p = put_status(p, call->version, call->status);
    if (call->content_type != NULL) {
        p = put(p, "Content-Type: ", 14);
        p = put_text(p, call->content_type);
        p = put(p, "\r\n", 2);
    }
    sl_chain_copy(&call->head, p);
    p += call->head.size;
    if (!old)
        p = put_date(p, c->shard);
    if ((!old || h->keep_alive) && !sl_reply_has_no_body(call->status)) {
        p = put(p, "Content-Length: ", 16);
        p = put_number(p, body);
        p = put(p, "\r\n", 2);
    }
    if (c->last && (!old || h->asked_close || h->keep_alive))
        p = put(p, "Connection: close\r\n", 19);
    else if (!c->last && old)
        p = put(p, "Connection: keep-alive\r\n", 24);
    return put(p, "\r\n", 2);
}

/* ---- the way out ---- */

/* Of n vectors as many as are a turn's part, the last one shortened; *size: their bytes. */
static int part_of_turn(struct iovec *v, int n, size_t *size)
{
    size_t left = SL_TURN_SIZE;
    int i = 0;
    for (; i < n && left > 0; i++) {
        v[i].iov_len = SL_MIN(v[i].iov_len, left);
        left -= v[i].iov_len;
    }
    *size = SL_TURN_SIZE - left;
    return i;
}

/* Sends scratch and then `body`, as much as a turn's part; what is left, or the socket does not
 * take, goes to c->out. */
static bool send_now(sl_conn *c, sl_chain *body)
{
    sl_shard *s = c->shard;
    struct iovec v[VECTORS];
    size_t from = 0, sent = 0, wanted;
    bool ok = true;
    /* Behind what waits already, if anything does. */
    while (c->out.size == 0 && sent < SL_TURN_SIZE && (s->scratch_n > from || body->size > 0)) {
        int n = 0;
        if (s->scratch_n > from)
            v[n++] = (struct iovec){s->scratch + from, s->scratch_n - from};
        n += sl_chain_vectors(body, v + n, VECTORS - n);
        n = part_of_turn(v, n, &wanted);
        ssize_t put = sl_io_writev(&c->io, v, n);
        if (put < 0) {
            ok = errno == EAGAIN;
            break;
        }
        sent += (size_t)put;
        c->moved += (uint64_t)put;
        c->moved_on = true;
        size_t head = SL_MIN((size_t)put, s->scratch_n - from);
        from += head;
        sl_chain_consume(body, (size_t)put - head);
        if ((size_t)put < wanted)
            break; /* the socket is full: the next call would say EAGAIN */
    }
    if (ok) {
        sl_chain_add(&c->out, s->scratch + from, s->scratch_n - from);
        sl_chain_join(&c->out, body);
        ok = !c->out.failed;
    }
    s->scratch_n = 0;
    c->gone |= !ok;
    return ok;
}

bool sl_reply_flush(sl_conn *c)
{
    sl_chain nothing = {0};
    return c->shard->scratch_n == 0 || send_now(c, &nothing);
}

bool sl_reply_resume(sl_conn *c)
{
    sl_chain rest = c->out;
    c->out = (sl_chain){0};
    bool ok = send_now(c, &rest);
    sl_chain_reset(&rest);
    return ok;
}

bool sl_reply_raw(sl_conn *c, const char *p, size_t n)
{
    assert(n <= SL_SCRATCH_SIZE);
    if (!sl_reply_flush(c))
        return false;
    memcpy(c->shard->scratch, p, n);
    c->shard->scratch_n = n;
    return true;
}

/* A reply that could not be written for lack of memory, or with an impossible head, is a 500. */
static void make_sane(sl_http_call *call)
{
    size_t head = call->head.size + (call->content_type ? strlen(call->content_type) : 0);
    if (!call->reply.failed && !call->head.failed && head <= MAX_HEAD)
        return;
    sl_log(SL_ERROR, "a reply could not be written: %s",
           head > MAX_HEAD ? "its head is too large" : "out of memory");
    sl_chain_reset(&call->reply);
    sl_chain_reset(&call->head);
    call->status = 500;
    call->content_type = NULL;
}

bool sl_reply_write(sl_conn *c)
{
    sl_shard *s = c->shard;
    sl_http_call *call = &c->x->call;
    sl_packed_reply(call);
    make_sane(call);
    size_t body = call->reply.size, type = call->content_type ? strlen(call->content_type) : 0;
    bool silent = call->method == SL_HTTP_HEAD || sl_reply_has_no_body(call->status);
    bool copied = silent || body <= COPIED;
    size_t room = HEAD_ROOM + type + call->head.size + (copied && !silent ? body : 0);
    if (room > SL_SCRATCH_SIZE - s->scratch_n && !sl_reply_flush(c))
        return false;
    char *p = put_head(s->scratch + s->scratch_n, c, body);
    if (copied && !silent) {
        sl_chain_copy(&call->reply, p);
        p += body;
    }
    c->x->sent = (uint64_t)(p - (s->scratch + s->scratch_n)) + (copied ? 0 : body);
    s->scratch_n = (size_t)(p - s->scratch);
    return copied || send_now(c, &call->reply);
}
