/*
 * reflection.c - grpc.reflection.v1 and v1alpha: which services there are, and their .proto files
 *
 * Both have the same messages under two names. A request is answered as soon as it is there; a file
 * comes with everything that it imports, but nothing is sent twice on a stream. A client that asks
 * and does not read is ended before its answers fill the memory.
 *
 * Source: grpc/doc/server-reflection.md; what grpc-core's own plugin answers to what is not there.
 */
#include "api/grpc/call.h"
#include "api/grpc/descriptors.h"
#include "base/clock.h"
#include "format/wire.h"
#include "http/timer.h"

enum { MOST_UNSENT = 512 * 1024, MOST_MESSAGE = 64 * 1024 }; /* all files together are 46 KB */
#define LOOK_NS UINT64_C(500000000)

typedef struct reflection {
    sl_grpc_call call;
    sl_grpc_deframer in;
    bool sent[SL_DESCRIPTORS_MAX];
    sl_http_timer *timer; /* for the deadline and the end of the server */
} reflection;

/* Fields of ServerReflectionRequest and ServerReflectionResponse. */
enum {
    HOST = 1,
    BY_FILENAME = 3,
    BY_SYMBOL = 4,
    BY_EXTENSION = 5,
    EXTENSIONS_OF = 6,
    LIST = 7,
    VALID_HOST = 1,
    ORIGINAL = 2,
    FILES = 4,
    EXTENSIONS = 5,
    SERVICES = 6,
    ERROR = 7
};

static void put_message(sl_text *t, unsigned field, sl_text *message)
{
    sl_wire_put_bytes(t, field, message->p, message->n);
    t->failed |= message->failed;
    sl_text_fini(message);
}

static void put_error(sl_text *t, sl_code code, const char *text)
{
    sl_text e = {0};
    sl_wire_put_varint(&e, 1, (uint64_t)code);
    sl_wire_put_bytes(&e, 2, text, strlen(text));
    put_message(t, ERROR, &e);
}

static void put_files(reflection *r, sl_text *t, int number)
{
    bool wanted[SL_DESCRIPTORS_MAX];
    sl_text list = {0};
    sl_descriptor_closure(number, wanted);
    for (int i = number; i >= 0; i--) { /* the one that was asked for comes first */
        sl_str bytes = sl_descriptor_get(i)->bytes;
        if (!wanted[i] || (r->sent[i] && i != number))
            continue;
        sl_wire_put_bytes(&list, 1, bytes.p, bytes.n);
        r->sent[i] = true;
    }
    put_message(t, FILES, &list);
}

static void add_service(void *arg, sl_str name)
{
    sl_text service = {0};
    sl_wire_put_bytes(&service, 1, name.p, name.n);
    put_message(arg, 1, &service);
}

static void put_answer(reflection *r, sl_text *t, unsigned kind, sl_str value)
{
    sl_text inner = {0};
    int number;
    switch (kind) {
    case BY_FILENAME:
        number = sl_descriptor_by_name(value);
        if (number >= 0)
            put_files(r, t, number);
        else
            put_error(t, SL_NOT_FOUND, "File not found.");
        return;
    case BY_SYMBOL:
        number = sl_descriptor_by_symbol(value);
        if (number >= 0)
            put_files(r, t, number);
        else
            put_error(t, SL_NOT_FOUND, "Symbol not found.");
        return;
    case BY_EXTENSION: /* proto3 has none */
        put_error(t, SL_NOT_FOUND, "Extension not found.");
        return;
    case EXTENSIONS_OF:
        if (!sl_descriptor_is_message(value)) {
            put_error(t, SL_NOT_FOUND, "Type not found.");
            return;
        }
        sl_wire_put_bytes(&inner, 1, value.p, value.n);
        put_message(t, EXTENSIONS, &inner);
        return;
    case LIST:
        sl_grpc_each_service(r->call.grpc, add_service, &inner);
        put_message(t, SERVICES, &inner);
        return;
    default:
        put_error(t, SL_UNIMPLEMENTED, "the request asks for nothing that is known");
    }
}

static sl_code answer(reflection *r, sl_str message)
{
    sl_grpc_call *c = &r->call;
    sl_wire w = sl_wire_open(message);
    sl_str host = {"", 0}, value = {"", 0};
    unsigned kind = 0;
    while (sl_wire_next(&w)) {
        if (w.type != SL_WIRE_BYTES)
            continue;
        if (w.field == HOST)
            host = w.bytes;
        else if (w.field >= BY_FILENAME && w.field <= LIST) {
            kind = w.field;
            value = w.bytes;
        }
    }
    if (w.bad) {
        c->st.code = SL_INTERNAL; /* without a message, like any request that does not decode */
        return SL_INTERNAL;
    }
    sl_text t = {0};
    if (host.n)
        sl_wire_put_bytes(&t, VALID_HOST, host.p, host.n);
    sl_wire_put_bytes(&t, ORIGINAL, message.p, message.n);
    put_answer(r, &t, kind, value);
    return sl_grpc_reply_text(c, &t);
}

static sl_code answer_packed(reflection *r, sl_str message)
{
    sl_grpc_call *c = &r->call;
    sl_body unpacked = {0};
    sl_grpc_frame_limits l = {.max_decompressed = MOST_MESSAGE};
    sl_code rc = sl_grpc_decompress(c->in, message, &l, &unpacked, &c->st);
    if (rc == SL_OK)
        rc = answer(r, (sl_str){unpacked.buffer->data, unpacked.n});
    sl_body_reset(&unpacked);
    return rc;
}

static sl_code take(reflection *r, sl_str data)
{
    static const sl_grpc_frame_limits limits = {.max_message = MOST_MESSAGE};
    sl_grpc_call *c = &r->call;
    bool packed;
    sl_str message;
    sl_code rc = sl_grpc_deframer_add(&r->in, data, &c->st);
    while (rc == SL_OK && sl_grpc_deframer_next(&r->in, &limits, &packed, &message, &rc, &c->st)) {
        rc = packed ? answer_packed(r, message) : answer(r, message);
        if (rc == SL_OK && sl_http_unsent(c->http) + c->http->reply.size > MOST_UNSENT)
            rc = sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "answers are not read");
    }
    return rc;
}

static void piece(sl_grpc_call *c, sl_str data, bool end)
{
    reflection *r = (reflection *)c;
    if (c->ended)
        return;
    sl_code rc = take(r, data);
    if (rc == SL_OK && end)
        rc = sl_grpc_deframer_end(&r->in, &c->st);
    if (rc || end)
        sl_grpc_finish(c, rc);
    else if (c->http->reply.size > 0)
        sl_grpc_send(c);
}

static void left(sl_http_call *call)
{
    sl_grpc_call *c = call->user;
    sl_grpc_finish(c, sl_fail(&c->st, SL_CANCELLED, "the client left"));
}

/* A stream that nobody ends is ended when its time is over, or the server's. */
static void look(sl_http_call *call)
{
    reflection *r = call->user;
    sl_grpc_call *c = &r->call;
    if (atomic_load(c->grpc->opt.draining))
        sl_grpc_finish(c, sl_fail(&c->st, SL_UNAVAILABLE, "server is shutting down"));
    else if (sl_now_ns() >= c->deadline_ns)
        sl_grpc_finish(c, sl_fail(&c->st, SL_DEADLINE_EXCEEDED, "Deadline Exceeded"));
    else
        sl_http_timer_start(r->timer, LOOK_NS, look);
}

static void begin(sl_grpc_call *c, sl_where where)
{
    reflection *r = (reflection *)c;
    (void)where;
    c->http->on_cancel = left;
    r->timer = sl_http_timer_new(c->http);
    if (r->timer == NULL)
        sl_grpc_finish(c, sl_fail(&c->st, SL_RESOURCE_EXHAUSTED, "out of memory: a stream"));
    else
        sl_http_timer_start(r->timer, LOOK_NS, look);
}

static void release(sl_grpc_call *c)
{
    reflection *r = (reflection *)c;
    sl_http_timer_stop(r->timer);
    sl_text_fini(&r->in.bytes);
}

#define METHOD(version)                                                                \
    {                                                                                  \
        .path = "/grpc.reflection." version ".ServerReflection/ServerReflectionInfo",  \
        .size = sizeof(reflection), .begin = begin, .piece = piece, .release = release \
    }
const sl_grpc_method sl_grpc_reflection_v1 = METHOD("v1");
const sl_grpc_method sl_grpc_reflection_v1alpha = METHOD("v1alpha");
