/*
 * protocol.h - what the server and the TensorFlow host say to each other
 *
 * Three kinds of process:
 *
 *     server --control socket--> host --fork--> child of model a, version 1
 *        \                                      child of model a, version 2 ...
 *         \--- session socket, control region, slot regions ---/
 *
 * The host opens the TensorFlow library once and never starts a thread, so that it can fork. A
 * child loads one version and runs its requests. All three are built from the same sources and
 * installed together: `sl_tf_hello.protocol` only catches a mixed installation.
 *
 * SOCKETS are SOCK_SEQPACKET: one sl_tf_msg is one packet. Descriptors travel as SCM_RIGHTS.
 *
 *   host -> server   HELLO   the library is open: text = TF_Version()
 *                    BROKEN  it is not: code, text; the host exits
 *                    FORKED  session, value = pid
 *                    REFUSED session: fork failed: text
 *                    ENDED   session, value = wait status: the child has been reaped
 *                    OPS     answer to OPS: value = bytes of the answer in the memfd that was sent;
 *                            UINT64_MAX: the library could not be asked; text = its GraphDef
 *                            version in digits; 0: not known
 *   server -> host   LOAD    session + 4 descriptors: session socket, load parameters, control
 *                            region, the child's stderr; it has a small share of the processors
 *                            until SERVE, unless value is 1: nobody is asked meanwhile
 *                    KILL    session: SIGKILL, if it still lives after `value` nanoseconds, for
 *                            which it gets the smallest share of the processors
 *                    SERVE   session: clients wait for its answers now, its share is that of others
 *                    OPS     session = caller's number + 1 memfd: names of ops, one a line; the
 *                            host writes those that the library lacks over it
 *   child -> server  LOADED  the session can run
 *                    FAILED  code, text: TensorFlow's own; the child exits
 *                    MEMORY  value = bytes
 *   server -> child  REGION  slot, generation, value = size + 1 descriptor: the slot's new memory
 *                    MEMORY  please say
 *                    SERVE   clients wait for answers now: no more giving way
 *                    END     no request will come: give the memory back and exit; value: 1 gently, others are asked
 *
 * THE CONTROL REGION is one memfd of SL_TF_SLOTS records, made by the server, sealed against any
 * change of size. A slot is where one request at a time is handed over:
 *
 *     IDLE -- server: request written --> REQUEST -- child: reply written --> REPLY -- server -->
 * IDLE
 *
 * `state` is the futex word. Whoever does not own the slot waits on it (the server first looks for
 * a moment) and says in `*_sleeps` that he is asleep; the other one wakes him only if he said so.
 * In REQUEST the child owns everything of the slot, in IDLE and REPLY the server does. UNABLE in the
 * place of REPLY: the child could not look at the request (no memory for its region, no thread for
 * the slot); nothing is written, and the region is replaced by another one before the next request.
 * DEAD is set by the server after the child has ended.
 *
 * A SLOT'S REGION is another memfd, sealed against shrinking. It holds the request at offset 0:
 *
 *     sl_tf_request | sl_tf_tensor x n_inputs | int32 output index x n_outputs | data, each
 * 64-aligned
 *
 * and, from request.reply_at (64-aligned, behind all data), the answer:
 *
 *     sl_tf_reply | message_n bytes of error text
 *     sl_tf_reply | sl_tf_tensor x n_outputs | data, each 64-aligned
 *
 * Offsets count from the region's beginning. Either side may make the region of a slot that it owns
 * larger with ftruncate (the seal forbids smaller), and says so in `region_size`; the other maps it
 * anew. The server never believes region_size: it asks fstat. Data is the tensor's bytes; for
 * strings it is a table of uint64 lengths, then the bytes one after the other.
 *
 * TRUST: the server is trusted by the child, the child by nobody. The server copies every header
 * and descriptor once out of shared memory before it looks at it, and checks every number in the
 * copy. Numbers in large numeric outputs, which are not copied, can change for as long as the child
 * lives: whoever reads them twice must not rely on reading the same.
 */
#ifndef SL_ENGINE_TENSORFLOW_PROTOCOL_H
#define SL_ENGINE_TENSORFLOW_PROTOCOL_H

#include <stdatomic.h>
#include <stdint.h>

#include "sluice/tensor.h"

enum {
    SL_TF_PROTOCOL = 8,
    SL_TF_CONTROL_FD = 3, /* where the host finds its socket */
    SL_TF_SLOTS = 64,     /* requests of one session that can be inside TensorFlow at once */
    SL_TF_ALIGN = 64,     /* what TensorFlow wants, lest it copies */
    SL_TF_TEXT = 2000
};

typedef enum sl_tf_kind {
    SL_TF_HELLO = 1,
    SL_TF_BROKEN,
    SL_TF_FORKED,
    SL_TF_REFUSED,
    SL_TF_ENDED,
    SL_TF_LOAD,
    SL_TF_KILL,
    SL_TF_OPS,
    SL_TF_LOADED,
    SL_TF_FAILED,
    SL_TF_REGION,
    SL_TF_MEMORY,
    SL_TF_SERVE,
    SL_TF_END
} sl_tf_kind;

typedef struct sl_tf_msg {
    uint32_t kind;
    uint32_t code; /* sl_code */
    uint64_t session;
    uint64_t value;
    uint32_t slot, generation;
    uint32_t protocol;
    uint32_t text_n; /* the packet ends behind the text */
    char text[SL_TF_TEXT];
} sl_tf_msg;

typedef enum sl_tf_state {
    SL_TF_IDLE,
    SL_TF_REQUEST,
    SL_TF_REPLY,
    SL_TF_DEAD,
    SL_TF_UNABLE
} sl_tf_state;

typedef struct sl_tf_slot {
    _Alignas(128) _Atomic uint32_t state;
    _Atomic uint32_t child_sleeps;
    _Atomic uint32_t server_sleeps;
    _Atomic uint32_t generation;  /* server: which REGION message this request lies in */
    _Atomic uint64_t region_size; /* whoever owns the slot: how large the region is now */
} sl_tf_slot;

typedef struct sl_tf_control {
    sl_tf_slot slots[SL_TF_SLOTS];
} sl_tf_control;

typedef struct sl_tf_tensor {
    int32_t index; /* of the input or output in the signature */
    int32_t dtype;
    int32_t rank;
    uint32_t reserved;
    int64_t dims[SL_MAX_RANK];
    uint64_t offset, size;
} sl_tf_tensor;

typedef struct sl_tf_request {
    uint32_t signature;
    uint32_t n_inputs, n_outputs;
    uint32_t reserved;
    int64_t timeout_ms; /* for TensorFlow, which then ends what can be ended; 0: none */
    uint64_t reply_at;
} sl_tf_request;

/* TensorFlow still refers to inputs of this request (a variable took one over): the region must not
 * be written again, the slot needs a new one. */
enum { SL_TF_KEPT = 1 };

typedef struct sl_tf_reply {
    uint32_t code; /* sl_code */
    uint32_t flags;
    uint32_t n_outputs; /* SL_OK */
    uint32_t message_n; /* otherwise */
    uint64_t run_ns;    /* what TF_SessionRun took */
} sl_tf_reply;

/*
 * The load parameters: a sealed memfd of numbers (uint32, host order) and strings (uint32 length,
 * bytes, a zero byte), in this order:
 *
 *     label of the model for log lines
 *     directory; n, tags
 *     ConfigProto in wire form
 *     1 if requests run in the calling thread
 *     n, readable paths
 *     n signatures, each: n, names of input tensors; n, names of output tensors ("" if not dense);
 *         their union, if there is one, is the last of them
 */

#endif
