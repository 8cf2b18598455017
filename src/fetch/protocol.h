/*
 * protocol.h - how the server and sluice-fetch talk
 *
 * sluice-fetch is a program of its own, so that no library that speaks to the outside (TLS clients,
 * XML, archives) is in the server's process. The two share one stream socket: the helper's
 * descriptor 0. Each side sends frames:
 *
 *     4 bytes, little-endian   n, 1 to SL_FETCH_FRAME
 *     n bytes                  one message: fields in protobuf's wire form (format/wire.h)
 *
 *     server                                  helper
 *     SETUP    limits, roots           -->
 *                                      <--    HELLO     protocol version
 *     LIST     id, url, dir            -->
 *                                      <--    PROGRESS  id, done, total       (any number)
 *                                      <--    LISTED    id, names; changed, total (bytes fetched)
 *     GET      id, url, dir, name      -->
 *                                      <--    GOT       id, changed, total
 *     TIDY     id, dir, names, numbers -->
 *                                      <--    GOT       id
 *     READ     id, url, name, max_bytes, patience_s -->
 *                                      <--    DOCUMENT  id, text; changed, total
 *     CANCEL   id                      -->            (its request then ends with FAILED CANCELLED)
 *                                      <--    FAILED    id, code, text  (instead of an answer)
 *                                      <--    PARTIAL   id, text              (instead of GOT: the
 *                                                       version is not all there yet)
 *                                      <--    LOG       code (level), text
 *
 * `dir` is the mirror of one base path, below the cache directory:
 *
 *     DIR/versions/3 -> ../data/3-FINGERPRINT     what a source looks at
 *     DIR/data/3-FINGERPRINT/                     the files, which never change
 *     DIR/staging-XXXXXX/                         being fetched; locked by whoever fetches
 *
 * GET compares the listing's fingerprint with the link first: what is there is not fetched again. A
 * version appears by one rename of a finished directory and one of the link. TIDY removes the links
 * that are not in `names`, and the data that no link names and that is of no version in `numbers`.
 *
 * READ asks for one small document by http(s): at most max_bytes, within patience_s as a whole;
 * `name` is a PEM file with the authorities to believe, or empty. `total` of the answer is for how
 * many seconds it stays fresh, if `changed`: if it says so at all.
 *
 * Neither side trusts the other's lengths: a frame that is too long or is no message ends the
 * connection. The socket's end is the order to the helper to end.
 */
#ifndef SL_FETCH_PROTOCOL_H
#define SL_FETCH_PROTOCOL_H

#include "base/str.h"
#include "sluice/status.h"

enum {
    SL_FETCH_VERSION = 2,
    SL_FETCH_FRAME = 4 << 20,  /* longest message */
    SL_FETCH_NAMES = 16384,    /* most names or numbers in one message */
    SL_FETCH_NAME_LENGTH = 255 /* of a version's name */
};

typedef enum sl_fetch_kind {
    SL_FETCH_SETUP = 1,
    SL_FETCH_LIST,
    SL_FETCH_GET,
    SL_FETCH_TIDY,
    SL_FETCH_CANCEL,
    SL_FETCH_READ,
    SL_FETCH_HELLO = 16,
    SL_FETCH_PROGRESS,
    SL_FETCH_LISTED,
    SL_FETCH_GOT,
    SL_FETCH_FAILED,
    SL_FETCH_PARTIAL,
    SL_FETCH_LOG,
    SL_FETCH_DOCUMENT
} sl_fetch_kind;

/* Strings point into the frame that was read, or to whatever the sender has. */
typedef struct sl_fetch_msg {
    sl_fetch_kind kind;
    uint64_t id;
    sl_str url, dir, name, text;
    uint64_t code; /* FAILED: sl_code; HELLO: version; LOG: level */
    uint64_t done, total;
    bool changed;
    uint64_t patience_s, max_bytes; /* SETUP: a transfer that stands still; the largest version */
    sl_str *names;                  /* SETUP: roots */
    int n_names;
    int64_t *numbers;
    int n_numbers;
} sl_fetch_msg;

/* Appends one frame. A message that is too long sets t->failed. */
void sl_fetch_write(sl_text *t, const sl_fetch_msg *m);
/* Sends what a socket takes of `t` from *at on, which moves on: 0, or -1 with errno when nothing
 * more can be sent. One that does not block has taken all when *at is t->n. */
int sl_fetch_flush(int fd, const sl_text *t, size_t *at);

/* Bytes that have come and are not yet read. All zeros: empty. */
typedef struct sl_fetch_reader {
    sl_text bytes;
    size_t at;
} sl_fetch_reader;

/* Reads once from fd: > 0 bytes came, 0 the other side has closed, -1 with errno. */
int sl_fetch_fill(sl_fetch_reader *r, int fd);
/* The next message, if a whole one has come: SL_OK; SL_UNAVAILABLE: not yet; SL_INVALID_ARGUMENT:
 * the other side does not keep to the protocol; SL_RESOURCE_EXHAUSTED. The message's strings are
 * valid until the next sl_fetch_fill; its lists are freed by sl_fetch_msg_fini. */
sl_code sl_fetch_read(sl_fetch_reader *r, sl_fetch_msg *m, sl_status *st);
void sl_fetch_msg_fini(sl_fetch_msg *m);
void sl_fetch_reader_fini(sl_fetch_reader *r);

#endif
