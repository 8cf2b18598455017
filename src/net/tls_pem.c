/*
 * tls_pem.c - keys and certificates out of PEM texts, and what is wrong with them
 *
 * A server that is asked for TLS and cannot have it does not start, so each sentence here is read
 * by somebody in trouble: which file, what is wrong, what to do.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <time.h>

#include "base/mem.h"
#include "net/tls_internal.h"

enum { MAX_CHAIN = 16, MAX_AUTHORITIES = 1000 };

const char *sl_tls_reason(char buf[256])
{
    unsigned long e = ERR_peek_last_error();
    const char *text = ERR_reason_error_string(e);
    snprintf(buf, 256, "%s", text ? text : "unknown reason");
    ERR_clear_error();
    return buf;
}

int64_t sl_tls_seconds(const ASN1_TIME *t)
{
    struct tm tm;
    return ASN1_TIME_to_tm(t, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void day(int64_t seconds, char out[32])
{
    time_t t = (time_t)seconds;
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 32, "%Y-%m-%d %H:%M:%S UTC", &tm);
}

static BIO *bio_of(sl_str pem)
{
    return pem.n <= INT32_MAX ? BIO_new_mem_buf(pem.n ? pem.p : "", (int)pem.n) : NULL;
}

/* Was the text at its end, or is there something broken in it? */
static bool at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    bool end =
        e == 0 || (ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE);
    if (end)
        ERR_clear_error();
    return end;
}

/* All certificates of a text, in its order. */
static sl_code read_certificates(sl_str pem, const char *name, int max, STACK_OF(X509) * *out,
                                 sl_status *st)
{
    char why[256];
    BIO *in = bio_of(pem);
    STACK_OF(X509) *all = sk_X509_new_null();
    X509 *x;
    sl_code rc = SL_OK;
    ERR_clear_error();
    if (in == NULL || all == NULL)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    while (rc == SL_OK && (x = PEM_read_bio_X509_AUX(in, NULL, NULL, NULL)) != NULL) {
        if (sk_X509_num(all) >= max)
            rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s: more than %d certificates", name, max);
        else if (sk_X509_push(all, x) == 0)
            rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
        if (rc)
            X509_free(x);
    }
    if (rc == SL_OK && !at_end())
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "%s: certificate %d cannot be read: %s", name,
                     sk_X509_num(all) + 1, sl_tls_reason(why));
    if (rc == SL_OK && sk_X509_num(all) == 0)
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "%s: there is no certificate in it; expected is PEM, a text that begins with "
                     "-----BEGIN CERTIFICATE-----",
                     name);
    BIO_free(in);
    if (rc == SL_OK)
        *out = all;
    else
        sk_X509_pop_free(all, X509_free);
    return rc;
}

sl_code sl_tls_authorities_read(sl_str pem, const char *name, STACK_OF(X509) * *out, sl_status *st)
{
    return read_certificates(pem, name, MAX_AUTHORITIES, out, st);
}

/* Asked for a passphrase, OpenSSL's own function would turn to the terminal. */
static int no_passphrase(char *buf, int size, int writing, void *asked)
{
    (void)buf, (void)size, (void)writing;
    *(bool *)asked = true;
    return -1;
}

static sl_code read_key(const sl_tls_pair *p, EVP_PKEY **out, sl_status *st)
{
    bool asked = false;
    char why[256];
    BIO *in = bio_of(p->key);
    if (in == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    ERR_clear_error();
    *out = PEM_read_bio_PrivateKey(in, NULL, no_passphrase, &asked);
    BIO_free(in);
    if (*out != NULL)
        return SL_OK;
    if (asked) {
        ERR_clear_error();
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s: the key is encrypted with a passphrase, which is not supported: write "
                       "it without (openssl pkey -in encrypted.pem -out key.pem) and protect the "
                       "file by its permissions",
                       p->key_name);
    }
    if (memmem(p->key.p, p->key.n, "PRIVATE KEY-----", 16) == NULL) {
        ERR_clear_error();
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s: there is no private key in it; expected is PEM, a text that begins "
                       "with -----BEGIN PRIVATE KEY-----",
                       p->key_name);
    }
    return sl_fail(st, SL_INVALID_ARGUMENT, "%s: the private key cannot be read: %s", p->key_name,
                   sl_tls_reason(why));
}

static sl_code check_dates(const char *name, const X509 *x, int64_t now, sl_status *st)
{
    char when[32];
    int64_t from = sl_tls_seconds(X509_get0_notBefore(x));
    int64_t to = sl_tls_seconds(X509_get0_notAfter(x));
    if (to <= now) {
        day(to, when);
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s: the certificate expired on %s: have it renewed", name, when);
    }
    if (from > now) {
        day(from, when);
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "%s: the certificate is valid only from %s on: is the clock right?", name,
                       when);
    }
    return SL_OK;
}

/* The rest of the file must lead upwards from the certificate: clients do not sort. */
static sl_code check_chain(const char *name, const sl_tls_identity *id, sl_status *st)
{
    X509 *below = id->cert;
    for (int i = 0; i < sk_X509_num(id->chain); i++) {
        X509 *above = sk_X509_value(id->chain, i);
        if (X509_check_issued(above, below) != X509_V_OK)
            return sl_fail(
                st, SL_INVALID_ARGUMENT,
                "%s: certificate %d in it did not issue certificate %d: the server's own "
                "comes first, then the one that issued it, and so on",
                name, i + 2, i + 1);
        below = above;
    }
    return SL_OK;
}

sl_code sl_tls_identity_read(const sl_tls_pair *p, int64_t now, sl_tls_identity *out, sl_status *st)
{
    *out = (sl_tls_identity){0};
    sl_code rc = read_certificates(p->cert, p->cert_name, MAX_CHAIN, &out->chain, st);
    if (rc)
        return rc;
    out->cert = sk_X509_shift(out->chain);
    rc = read_key(p, &out->key, st);
    if (rc == SL_OK && X509_check_private_key(out->cert, out->key) != 1) {
        ERR_clear_error();
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "%s: the key does not belong to the certificate in %s: give the two that were "
                     "made together",
                     p->key_name, p->cert_name);
    }
    if (rc == SL_OK)
        rc = check_dates(p->cert_name, out->cert, now, st);
    if (rc == SL_OK)
        rc = check_chain(p->cert_name, out, st);
    if (rc)
        sl_tls_identity_fini(out);
    return rc;
}

void sl_tls_identity_fini(sl_tls_identity *id)
{
    X509_free(id->cert);
    sk_X509_pop_free(id->chain, X509_free);
    EVP_PKEY_free(id->key);
    *id = (sl_tls_identity){0};
}
