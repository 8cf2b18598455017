/*
 * tls_peer.c - the names in a client's certificate
 *
 * They come from a certificate that one of our authorities signed, and are still somebody else's
 * bytes: permissions will be decided by them, and the log will show them. So a name that holds a
 * control character or a zero byte, or is longer than any real one, does not count.
 */
#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <stdio.h>

#include "base/mem.h"
#include "net/tls_internal.h"

enum { MAX_SAN = 64, MAX_NAME = 1024 };

struct sl_peer_names {
    sl_text text;
    const char *san[MAX_SAN];
    size_t at[MAX_SAN]; /* in text, which moves while it grows */
};

static bool is_plain(const unsigned char *p, int n, bool blanks)
{
    if (n <= 0 || n > MAX_NAME)
        return false;
    for (int i = 0; i < n; i++)
        if (p[i] < ' ' || p[i] >= 0x7f || (p[i] == ' ' && !blanks))
            return false;
    return true;
}

static bool put(sl_text *t, const char *kind, const ASN1_STRING *s)
{
    const unsigned char *p = ASN1_STRING_get0_data(s);
    int n = ASN1_STRING_length(s);
    if (!is_plain(p, n, false))
        return false;
    sl_text_puts(t, kind);
    sl_text_add(t, (const char *)p, (size_t)n);
    return true;
}

static bool put_address(sl_text *t, const ASN1_OCTET_STRING *s)
{
    char text[INET6_ADDRSTRLEN];
    int n = ASN1_STRING_length(s), family = n == 4 ? AF_INET : AF_INET6;
    if (n != 4 && n != 16)
        return false;
    inet_ntop(family, ASN1_STRING_get0_data(s), text, sizeof text); /* has room for either */
    sl_text_puts(t, "IP:");
    sl_text_puts(t, text);
    return true;
}

static bool put_name(sl_text *t, const GENERAL_NAME *g)
{
    switch (g->type) {
    case GEN_DNS:
        return put(t, "DNS:", g->d.dNSName);
    case GEN_URI:
        return put(t, "URI:", g->d.uniformResourceIdentifier);
    case GEN_EMAIL:
        return put(t, "email:", g->d.rfc822Name);
    case GEN_IPADD:
        return put_address(t, g->d.iPAddress);
    default:
        return false;
    }
}

static void put_subject(X509 *x, sl_text *t)
{
    BIO *out = BIO_new(BIO_s_mem());
    char *p = NULL;
    /* RFC 4514's escapes; bytes that are not ASCII as \xx. */
    if (out == NULL || X509_NAME_print_ex(out, X509_get_subject_name(x), 0, XN_FLAG_RFC2253) < 0) {
        t->failed = true;
    } else {
        /* A part of a name is another name: all of it, or none. */
        long n = BIO_get_mem_data(out, &p);
        sl_text_add(t, p ? p : "", n > 0 && n <= MAX_NAME ? (size_t)n : 0);
    }
    BIO_free(out);
    sl_text_putc(t, '\0');
}

/* Where in the text it stands; 0: there is none that could be meant. */
static size_t put_common_name(X509 *x, sl_text *t)
{
    X509_NAME *subject = X509_get_subject_name(x);
    int i = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (i < 0 || X509_NAME_get_index_by_NID(subject, NID_commonName, i) >= 0)
        return 0;
    const ASN1_STRING *s = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
    const unsigned char *p = ASN1_STRING_get0_data(s);
    int type = ASN1_STRING_type(s), n = ASN1_STRING_length(s);
    bool bytes =
        type == V_ASN1_UTF8STRING || type == V_ASN1_PRINTABLESTRING || type == V_ASN1_IA5STRING;
    if (!bytes || !is_plain(p, n, true))
        return 0;
    size_t at = t->n;
    sl_text_add(t, (const char *)p, (size_t)n);
    sl_text_putc(t, '\0');
    return at;
}

static int put_san(X509 *x, sl_peer_names *names)
{
    int n = 0, critical;
    GENERAL_NAMES *all = X509_get_ext_d2i(x, NID_subject_alt_name, &critical, NULL);
    /* -1: there are none. Names that cannot be decoded have been refused as part of the
     * certificate, so what failed here is memory: some names without the others are somebody else. */
    if (all == NULL && critical != -1)
        names->text.failed = true;
    for (int i = 0; i < sk_GENERAL_NAME_num(all) && n < MAX_SAN; i++) {
        names->at[n] = names->text.n;
        if (!put_name(&names->text, sk_GENERAL_NAME_value(all, i)))
            continue;
        sl_text_putc(&names->text, '\0');
        n++;
    }
    GENERAL_NAMES_free(all);
    return n;
}

bool sl_peer_names_read(X509 *x, sl_tls_peer *peer, sl_peer_names **out)
{
    sl_peer_names *names = sl_try_calloc(1, sizeof *names);
    if (names == NULL)
        return false;
    put_subject(x, &names->text);
    size_t common = put_common_name(x, &names->text);
    int n = put_san(x, names);
    if (names->text.failed) {
        sl_peer_names_free(names);
        return false;
    }
    for (int i = 0; i < n; i++)
        names->san[i] = names->text.p + names->at[i];
    peer->subject = names->text.p;
    peer->common_name = common ? names->text.p + common : NULL;
    peer->san = names->san;
    peer->n_san = n;
    *out = names;
    return true;
}

void sl_peer_names_free(sl_peer_names *names)
{
    if (names == NULL)
        return;
    sl_text_fini(&names->text);
    sl_free(names);
}
