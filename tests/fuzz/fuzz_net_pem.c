/*
 * fuzz_net_pem.c - any bytes as certificate, key and authorities, in PEM
 *
 * The bytes are cut at their zeros: certificate, key, authorities. What is refused must say why.
 * The keys of the corpus were made for it, and guard nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "net/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static sl_str part(sl_str *rest)
{
    const char *zero = rest->n ? memchr(rest->p, '\0', rest->n) : NULL;
    size_t n = zero ? (size_t)(zero - rest->p) : rest->n;
    sl_str s = {rest->p, n};
    size_t skip = n + (zero != NULL);
    *rest = (sl_str){rest->p + skip, rest->n - skip};
    return s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    sl_str rest = {(const char *)data, size};
    sl_str cert = part(&rest), key = part(&rest), ca = part(&rest);
    sl_tls_pair pair = {cert, key, "cert", "key"};
    sl_tls_options o = {.pairs = &pair,
                        .n_pairs = 1,
                        .client_ca = ca,
                        .client_ca_name = "ca",
                        .verify = ca.n ? SL_TLS_VERIFY_OPTIONAL : SL_TLS_VERIFY_NONE};
    sl_tls *t = NULL;
    sl_status st = {0};
    if (sl_tls_new(&o, &t, &st) != SL_OK && st.msg[0] == '\0')
        abort();
    if (t != NULL && sl_tls_not_after(t, 0) == 0)
        abort();
    sl_tls_release(t);
    return 0;
}
