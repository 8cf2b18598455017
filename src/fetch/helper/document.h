/*
 * document.h - one small document by http(s), whole: an issuer's keys
 *
 * It is asked for once: whoever wants it has a schedule of its own. A redirect is followed (three
 * times at most) on the same host, never from https to http.
 */
#ifndef SL_FETCH_HELPER_DOCUMENT_H
#define SL_FETCH_HELPER_DOCUMENT_H

#include "fetch/helper/http.h"

typedef struct fetch_document {
    sl_text text;
    bool has_age;
    uint64_t age_s; /* it may be kept for so long */
} fetch_document;

/* READ of the protocol. OUT_OF_RANGE: it is larger than asked for. */
sl_code fetch_read(fetch_op *op, fetch_document *out, sl_status *st);
void fetch_document_fini(fetch_document *d);

/* max-age of a Cache-Control header; false: there is none, or it must not be kept (0 then says
 * nothing: whoever asks has bounds of its own). */
bool fetch_max_age(const char *cache_control, uint64_t *out);

#endif
