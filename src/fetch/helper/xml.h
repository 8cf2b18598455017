/*
 * xml.h - the three XML documents of S3 that are read
 *
 * A document is walked by expat, which calls back for the text of each element, by its path:
 * "ListBucketResult/Contents/Key". A document type, nesting of more than 16, an element's text of
 * more than 4 KiB: refused. Names are taken without their namespace.
 */
#ifndef SL_FETCH_HELPER_XML_H
#define SL_FETCH_HELPER_XML_H

#include "base/str.h"
#include "sluice/status.h"

typedef struct fetch_xml {
    /* The text of the element that ends; false ends the walk (say why in your own state). */
    bool (*element)(void *arg, const char *path, sl_str text);
    void *arg;
} fetch_xml;

/* INVALID_ARGUMENT if it is no such document; OK if `element` ended the walk. */
sl_code fetch_xml_walk(sl_str document, const fetch_xml *x, sl_status *st);

#endif
