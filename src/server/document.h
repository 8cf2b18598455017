/*
 * document.h - small documents by http(s), fetched by sluice-fetch
 *
 * A helper of its own is started for them and ended afterwards: this is done every few minutes, and
 * nothing waits for it. Bounded in size and time; the helper is not believed more than the network
 * is.
 */
#ifndef SL_SERVER_DOCUMENT_H
#define SL_SERVER_DOCUMENT_H

#include <stdatomic.h>

#include "base/str.h"
#include "server/helper.h"

enum { SL_DOCUMENT_MAX = 1 << 20, SL_DOCUMENT_SECONDS = 10 };

typedef struct sl_document {
    const char *url, *ca_file; /* ca_file: PEM, or "" */

    /* what came of it */
    bool done;
    sl_status st; /* code OK: `text` is it, freed by the caller */
    sl_text text;
    bool has_age; /* the answer says for how long it stays fresh */
    uint64_t age_s;
} sl_document;

/* Fetches all of them at the same time; blocks until each has an answer, at most three times
 * SL_DOCUMENT_SECONDS. `heard` (may be NULL) is called for each as soon as that is so, here, so
 * that none waits for a slow one. It gives up early when `ending` (may be NULL) is true and `wake`,
 * an eventfd (or -1), becomes readable. One thread at a time for one helper. */
void sl_documents_fetch(sl_helper *h, int wake, const atomic_bool *ending, sl_document *list, int n,
                        void (*heard)(void *arg, sl_document *d), void *arg);

#endif
