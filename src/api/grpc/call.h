/*
 * call.h - one gRPC call, and what the methods have in common
 *
 *     on_head   the call is made, its metadata read; what is refused is refused before its body
 *     on_call   unary: the message is there -> method->begin(c), on the loop, or, if the message is
 *               large, on a worker
 *     finish    exactly once, on any thread: status, trailers, metrics, access log, reply
 *
 * A call lives in its HTTP call's arena. Methods embed it as the first member of what they need
 * (method->size bytes, cleared).
 */
#ifndef SL_API_GRPC_CALL_H
#define SL_API_GRPC_CALL_H

#include "api/grpc/grpc.h"

typedef struct sl_grpc_call sl_grpc_call;

typedef struct sl_grpc_method {
    const char *path; /* "/tensorflow.serving.PredictionService/Predict" */
    const char *api;  /* how metrics call it; NULL: not counted */
    size_t size;      /* of the struct that has the sl_grpc_call first */
    bool infers;      /* runs models: counts against max_calls, its message may be large */
    /* Health: for anybody, the guard is not asked who it is; and at any time. All others are
     * UNAVAILABLE until the first configuration has been loaded. */
    bool open;
    /* begin uses what belongs to the call's loop (sl_grpc_send, timers): it is called nowhere else,
     * and a message that is larger than here_bytes, or becomes so, is refused. */
    bool on_loop;
    /* The message is in c->message. Called twice if it unwinds for sl_grpc_await: c->looked then.
     * `where`: SL_RUN_HERE on a worker, else what a loop may do. Leads to one sl_grpc_finish. */
    void (*begin)(sl_grpc_call *c, sl_where where);
    /* (optional) The client's messages are a stream: called for each piece of the body. begin is
     * called before, without a message. */
    void (*piece)(sl_grpc_call *c, sl_str data, bool end);
    /* (optional) A copy for a shadow version of what has been answered; from finish, before
     * release.
     */
    struct sl_shadow *(*copy)(sl_grpc_call *c);
    /* (optional) Gives back what the method holds; from finish. */
    void (*release)(sl_grpc_call *c);
} sl_grpc_method;

struct sl_grpc_call {
    sl_grpc *grpc;
    sl_http_call *http;
    const sl_grpc_method *method; /* NULL: there is none of that name */
    sl_status st;
    sl_code refused;      /* found while the head was read */
    int http_status;      /* of a reply that is not gRPC's (415, 405); 0: it is */
    pthread_t loop;       /* the thread that may reply directly */
    uint64_t deadline_ns; /* never 0 */
    sl_grpc_encoding in, out;
    bool packed; /* the message is still compressed */
    sl_str message;
    sl_buffer *message_buffer; /* holds it, or NULL */
    sl_body unpacked;
    bool opened;  /* the reply's head is sent */
    bool counted; /* against max_calls */
    bool ended;   /* finish was called: only looked at on the loop, by streams */
    sl_admission admission;
    bool admitted; /* the guard knows the call: it is to be told of the end */
    sl_job job;
    /* While a version is loaded on demand: who comes second, the method that unwinds or the end of
     * the wait, goes on. */
    atomic_int turn;
    bool looked, waiting;
    sl_code waited; /* how the wait ended */
    /* for metrics and the access log */
    char made_id[17];
    sl_str id, model, signature;
    bool has_version; /* one was found: the reply names it */
    int64_t version;
    uint64_t decode_ns, encode_ns, queue_ns, run_ns;
};

/* The method of that path, or NULL. */
const sl_grpc_method *sl_grpc_method_find(sl_str path);
/* Names of the services, for reflection and health: calls fn for each. */
void sl_grpc_each_service(const sl_grpc *g, void (*fn)(void *arg, sl_str name), void *arg);

/* May this call do that to the model, and how much of it already? OK without a guard. */
sl_code sl_grpc_may(sl_grpc_call *c, sl_permission what, sl_str model, sl_str label);

/*
 * Must the version be loaded first, because it is one on demand? Then true, and begin() is called
 * again when it is there, with everything as it was. The method unwinds at once, and ends with
 *     if (sl_grpc_unwound(c, where)) return;      the call is somebody else's by now
 * p->user is c. Only the first time; then what is not there fails.
 */
bool sl_grpc_await(sl_grpc_call *c, sl_predict *p, const sl_model_spec *wanted);
bool sl_grpc_unwound(sl_grpc_call *c, sl_where where);

/* That is the version which answers: for the reply's metadata and the access log. */
static inline void sl_grpc_names_version(sl_grpc_call *c, const sl_version *v)
{
    c->has_version = true;
    c->version = v->number;
}

/* Ends the call: c->st if rc, else what call->reply holds. The call may be gone when it returns. */
void sl_grpc_finish(sl_grpc_call *c, sl_code rc);
/* Sends the head, if that has not been done, and the messages in call->reply. On the loop. */
void sl_grpc_send(sl_grpc_call *c);
/* Writes a small message as the reply, from the wire form in `t`, which is given back. */
sl_code sl_grpc_reply_text(sl_grpc_call *c, sl_text *t);

/* A reply of one message, encoded straight into the HTTP reply or, if it is to be packed, beside
 * it:
 *     out = sl_grpc_reply_begin(c, &r);
 *     rc = encode(... out ...);
 *     rc = sl_grpc_reply_end(c, &r, rc)
 */
typedef struct sl_grpc_reply {
    sl_chain aside;
    sl_grpc_frame frame;
    uint64_t begin_ns;
} sl_grpc_reply;
sl_chain *sl_grpc_reply_begin(sl_grpc_call *c, sl_grpc_reply *r);
sl_code sl_grpc_reply_end(sl_grpc_call *c, sl_grpc_reply *r, sl_code rc);

/* ---- the methods, a file each ---- */
extern const sl_grpc_method sl_grpc_predict, sl_grpc_classify, sl_grpc_regress;
extern const sl_grpc_method sl_grpc_multi_inference;
extern const sl_grpc_method sl_grpc_model_metadata, sl_grpc_model_status, sl_grpc_reload;
extern const sl_grpc_method sl_grpc_oip_infer, sl_grpc_oip_live, sl_grpc_oip_ready,
    sl_grpc_oip_model_ready, sl_grpc_oip_server_metadata, sl_grpc_oip_model_metadata,
    sl_grpc_oip_index, sl_grpc_oip_load, sl_grpc_oip_unload;
extern const sl_grpc_method sl_grpc_health_check, sl_grpc_health_watch;
extern const sl_grpc_method sl_grpc_reflection_v1, sl_grpc_reflection_v1alpha;

/* Waits for the reloads in progress. From sl_grpc_fini. */
void sl_grpc_reloads_end(sl_grpc *g);

#endif
