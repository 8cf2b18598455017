/* http_inside.h - what http.c (requests) and files.c (downloads) share */
#ifndef SL_FETCH_HELPER_HTTP_INSIDE_H
#define SL_FETCH_HELPER_HTTP_INSIDE_H

#include <curl/curl.h>

#include "fetch/helper/http.h"

enum { FETCH_TRIES = 5, FETCH_WHAT = 400 };

/* Sets an easy handle up for one attempt. The list of headers is freed by the caller after it. */
sl_code fetch_easy_set(CURL *c, fetch_op *op, const fetch_request *r, fetch_reply *reply,
                       struct curl_slist **headers, sl_status *st);

/* What to call it in an error: its URL without the query, which is nobody's business. "" where memory
 * ran out. */
void fetch_what(const fetch_request *r, char out[FETCH_WHAT]);

/* What a transfer's end means: OK if there is an answer, whatever its status. */
sl_code fetch_easy_result(CURL *c, CURLcode how, fetch_op *op, sl_status *st);
/* What an answer's status means; `what` is shown. */
sl_code fetch_status(const fetch_reply *reply, const char *what, sl_status *st);
/* Is it worth another attempt? */
bool fetch_is_passing(sl_code rc);
/* Nanoseconds to wait before attempt n + 1 (n = 1, 2, ...): doubling, and never the same for all.
 */
uint64_t fetch_backoff(unsigned n);

#endif
