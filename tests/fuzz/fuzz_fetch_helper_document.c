/*
 * fuzz_fetch_helper_document.c - what a server that has an issuer's keys may send besides them:
 * where a redirect leads, and how long an answer stays fresh; and a URL of the configuration
 *
 * Two lines: a URL, and the header's value.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "fetch/helper/archive.h"
#include "fetch/helper/document.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_url(sl_str url)
{
    sl_fetch_place p;
    sl_status st;
    if (sl_fetch_url_parse(url, &p, &st) != SL_OK)
        return;
    if (p.bucket.n == 0 || memchr(p.bucket.p, '@', p.bucket.n) != NULL ||
        p.tls != sl_str_starts(url, "https://"))
        abort();
    (void)sl_fetch_is_loopback(p.bucket);
}

static void check_redirect(const char *from, const char *location)
{
    static const fetch_settings nobody;
    char *to = fetch_resolve(from, location);
    if (to != NULL && fetch_may_redirect(&nobody, sl_str_of(from), sl_str_of(to)) &&
        sl_str_starts(sl_str_of(from), "https://") && !sl_str_starts(sl_str_of(to), "https://"))
        abort(); /* what was secret goes on in the clear */
    sl_free(to);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = sl_strndup((const char *)data, size);
    char *line = text + strcspn(text, "\n");
    uint64_t age;
    if (*line)
        *line++ = '\0';
    check_url(sl_str_of(text));
    check_redirect(text, line);
    if (fetch_max_age(line, &age) && age > INT64_MAX)
        abort();
    sl_free(text);
    return 0;
}
