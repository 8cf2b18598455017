/* s3.h - base paths of stores that speak S3 */
#ifndef SL_FETCH_HELPER_S3_H
#define SL_FETCH_HELPER_S3_H

#include "fetch/helper/store.h"

extern const fetch_store fetch_store_s3;

/* ---- for tests and the fuzz target ---- */

typedef fetch_page fetch_s3_page;
/* One answer of ListObjectsV2 to a request for `prefix` (which ends in '/', or is empty). */
sl_code fetch_s3_parse(sl_str document, sl_str prefix, fetch_s3_page *out, sl_status *st);
static inline void fetch_s3_page_fini(fetch_s3_page *p)
{
    fetch_page_fini(p);
}

/* URL of the bucket and region that the environment means: AWS_ENDPOINT_URL_S3, AWS_ENDPOINT_URL,
 * S3_ENDPOINT with S3_USE_HTTPS (TensorFlow's names). Without a '/' at the end. */
sl_code fetch_s3_endpoint(sl_str bucket, const char *region, sl_text *out, sl_status *st);

#endif
