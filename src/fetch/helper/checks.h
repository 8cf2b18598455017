/* checks.h - the checksums of a file while it comes in */
#ifndef SL_FETCH_HELPER_CHECKS_H
#define SL_FETCH_HELPER_CHECKS_H

#include "fetch/helper/http.h"

typedef struct fetch_checks {
    uint32_t crc32c, crc32;
    bool want_crc32c, want_crc32;
    uint32_t wanted_crc32c, wanted_crc32;
    void *digest; /* EVP_MD_CTX of the one that is wanted, or NULL */
    const char *digest_name;
    unsigned char wanted[64]; /* of the digest's own size */
} fetch_checks;

/* What is known before the first byte: the listing's and the answer's checksums. The strongest
 * digest wins; CRCs are always checked besides. */
sl_code fetch_checks_begin(fetch_checks *c, const fetch_object *o, const fetch_reply *reply,
                           sl_status *st);
void fetch_checks_add(fetch_checks *c, const void *p, size_t n);
/* DATA_LOSS with the name of the checksum that is wrong. Ends it. */
sl_code fetch_checks_end(fetch_checks *c, const char *what, sl_status *st);
void fetch_checks_fini(fetch_checks *c);

/* 32 hex digits, with or without quotes: an ETag that may be an MD5. */
bool fetch_md5_of_etag(const char *etag, unsigned char out[16]);

#endif
