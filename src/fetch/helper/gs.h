/* gs.h - base paths in Google Cloud Storage, by its JSON API */
#ifndef SL_FETCH_HELPER_GS_H
#define SL_FETCH_HELPER_GS_H

#include "fetch/helper/store.h"

extern const fetch_store fetch_store_gs;

/* ---- for tests and the fuzz target ---- */

typedef fetch_page fetch_gs_page;
/* One answer of objects.list to a request for `prefix` (which ends in '/', or is empty). */
sl_code fetch_gs_parse(sl_str document, sl_str prefix, fetch_gs_page *out, sl_status *st);
static inline void fetch_gs_page_fini(fetch_gs_page *p)
{
    fetch_page_fini(p);
}

#endif
