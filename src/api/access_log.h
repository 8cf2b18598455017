/*
 * access_log.h - one line a request
 *
 * Who asked what, what came of it, and where the time went. No input values, no secrets; whatever a
 * client chose is escaped and cut.
 */
#ifndef SL_API_ACCESS_LOG_H
#define SL_API_ACCESS_LOG_H

#include <stdatomic.h>

#include "base/str.h"

typedef enum sl_access_mode {
    SL_ACCESS_OFF,
    SL_ACCESS_ERRORS, /* status 400 and above */
    SL_ACCESS_ALL,
    SL_ACCESS_SAMPLED /* errors, and one in `every` of the rest */
} sl_access_mode;

typedef struct sl_access_log {
    sl_access_mode mode;
    unsigned every;
    bool json;
    atomic_uint count;
} sl_access_log;

typedef struct sl_access_entry {
    sl_str id, peer, method, target, model, signature;
    int64_t version; /* 0: none was chosen */
    int status;
    const char *grpc_status; /* "OK", "NOT_FOUND"; NULL: not a gRPC call */
    uint64_t bytes_in, bytes_out;
    uint64_t decode_us, queue_us, run_us, encode_us, total_us;
    const char *tls;        /* "TLSv1.3"; NULL: not encrypted */
    const char *tls_client; /* subject of the client's certificate, or NULL */
    const char *error;      /* or NULL */
} sl_access_entry;

/* Is a line wanted for a request with this status (of a gRPC call: what REST would have answered)?
 * Counts it, for sampling. */
bool sl_access_wants(sl_access_log *log, int status);
/* Writes the line to the log (base/log.h). Any thread, never blocks. */
void sl_access_write(sl_access_log *log, const sl_access_entry *e);

enum { SL_REQUEST_ID_MAX = 128 };
/* Is this a request id to be taken from a client: 1 to 128 of [A-Za-z0-9._:/+=@-]? */
bool sl_request_id_is_sane(sl_str id);
/* Makes one: 16 hex digits, unique in this process, not guessable from another. */
void sl_request_id_make(char out[17]);

#endif
