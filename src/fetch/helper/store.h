/*
 * store.h - what an object store can be asked
 *
 * A base path's versions are the names directly below its prefix; a version's files are all objects
 * below PREFIX/NAME/. Both listings are read to their last page, or they fail: half a listing is
 * none.
 */
#ifndef SL_FETCH_HELPER_STORE_H
#define SL_FETCH_HELPER_STORE_H

#include "fetch/helper/http.h"

enum {
    FETCH_MOST_OBJECTS = 100000, /* of one version */
    FETCH_PAGE = 16 << 20        /* bytes of one page of a listing */
};

/* What a page of a listing is asked for. */
typedef struct fetch_query {
    sl_text prefix;
    bool delimited;   /* what lies deeper is told as a prefix: versions */
    const char *next; /* where the page begins, or NULL: the first */
} fetch_query;

typedef struct fetch_page {
    fetch_listing objects;
    fetch_names prefixes; /* those that are versions */
    bool truncated;       /* there is another page */
    char *next;           /* where that begins */
} fetch_page;
void fetch_page_fini(fetch_page *p);

typedef struct fetch_store {
    /* A request for the page that a fetch_query means, and what was answered to that. */
    fetch_build list;
    sl_code (*parse)(sl_str document, sl_str prefix, fetch_page *out, sl_status *st);
    /* A request for one fetch_object. */
    fetch_build build;
    fetch_learn learn;
} fetch_store;

sl_code fetch_store_versions(const fetch_store *s, fetch_op *op, fetch_names *out, sl_status *st);
sl_code fetch_store_objects(const fetch_store *s, fetch_op *op, const char *name,
                            fetch_listing *out, sl_status *st);

/* Is the listing one of a whole SavedModel: is saved_model.pb there (or .pbtxt, .cpb), and every
 * shard of the variables that the names tell of? FAILED_PRECONDITION with what is missing; it is
 * still being uploaded then. */
sl_code fetch_listing_complete(const fetch_listing *l, sl_status *st);

#endif
