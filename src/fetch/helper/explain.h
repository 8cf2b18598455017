/* explain.h - what a store's error document says, in a few words */
#ifndef SL_FETCH_HELPER_EXPLAIN_H
#define SL_FETCH_HELPER_EXPLAIN_H

#include "base/str.h"

/* S3: the Code of an <Error>; Google: error.message. "" for anything else. Only printable ASCII,
 * and never what a request sent: keys and signatures are in other fields. */
void fetch_explain(const sl_text *body, char *out, size_t size);
/* Is it an S3 error with this Code? */
bool fetch_error_is(const sl_text *body, const char *code);

#endif
