/* checks.c - see checks.h */
#include "fetch/helper/checks.h"

#include <openssl/evp.h>
#include <zlib.h>

#include "base/crc32c.h"
#include "base/mem.h"
#include "format/base64.h"

bool fetch_md5_of_etag(const char *etag, unsigned char out[16])
{
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(etag);
    if (n == 34 && etag[0] == '"' && etag[33] == '"')
        etag++;
    else if (n != 32)
        return false;
    for (int i = 0; i < 16; i++) {
        const char *high = strchr(digits, etag[2 * i]), *low = strchr(digits, etag[2 * i + 1]);
        if (high == NULL || low == NULL)
            return false;
        out[i] = (unsigned char)((high - digits) << 4 | (low - digits));
    }
    return true;
}

/* A checksum of a multipart upload is one of checksums, "...-3", and no base64. */
static bool decode(const char *text, size_t wanted, unsigned char *out)
{
    size_t n;
    sl_str s = sl_str_of(text);
    if (s.n == 0 || strchr(text, '-') != NULL || !sl_base64_check(s, &n) || n != wanted)
        return false;
    sl_base64_decode(s, (char *)out);
    return true;
}

static uint32_t big_endian(const unsigned char *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void want_crcs(fetch_checks *c, const fetch_object *o, const fetch_reply *r)
{
    unsigned char bytes[4];
    c->want_crc32c = o->has_crc32c;
    c->wanted_crc32c = o->crc32c;
    if (!c->want_crc32c && decode(r->crc32c, 4, bytes)) {
        c->want_crc32c = true;
        c->wanted_crc32c = big_endian(bytes);
    }
    if (decode(r->crc32, 4, bytes)) {
        c->want_crc32 = true;
        c->wanted_crc32 = big_endian(bytes);
    }
}

sl_code fetch_checks_begin(fetch_checks *c, const fetch_object *o, const fetch_reply *r,
                           sl_status *st)
{
    const EVP_MD *md = NULL;
    memset(c, 0, sizeof *c);
    want_crcs(c, o, r);
    if (decode(r->sha256, 32, c->wanted)) {
        md = EVP_sha256();
        c->digest_name = "SHA-256";
    } else if (decode(r->sha1, 20, c->wanted)) {
        md = EVP_sha1();
        c->digest_name = "SHA-1";
    } else if (o->has_md5 && r->etag_is_md5) {
        md = EVP_md5();
        c->digest_name = "MD5";
        memcpy(c->wanted, o->md5, 16);
    }
    if (md == NULL)
        return SL_OK;
    c->digest = EVP_MD_CTX_new();
    if (c->digest == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    if (EVP_DigestInit_ex(c->digest, md, NULL) != 1) {
        /* MD5 is not to be had in FIPS mode: size and CRCs remain. */
        EVP_MD_CTX_free(c->digest);
        c->digest = NULL;
    }
    return SL_OK;
}

void fetch_checks_add(fetch_checks *c, const void *p, size_t n)
{
    if (c->want_crc32c)
        c->crc32c = sl_crc32c(c->crc32c, p, n);
    if (c->want_crc32)
        c->crc32 = (uint32_t)crc32_z(c->crc32, p, n);
    if (c->digest != NULL)
        EVP_DigestUpdate(c->digest, p, n);
}

sl_code fetch_checks_end(fetch_checks *c, const char *what, sl_status *st)
{
    const char *wrong = NULL;
    unsigned char got[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    if (c->want_crc32c && c->crc32c != c->wanted_crc32c)
        wrong = "CRC-32C";
    if (c->want_crc32 && c->crc32 != c->wanted_crc32)
        wrong = "CRC-32";
    if (c->digest != NULL &&
        (EVP_DigestFinal_ex(c->digest, got, &n) != 1 || memcmp(got, c->wanted, n) != 0))
        wrong = c->digest_name;
    fetch_checks_fini(c);
    if (wrong != NULL)
        return sl_fail(st, SL_DATA_LOSS, "%s: what came does not have the %s that the store tells",
                       what, wrong);
    return SL_OK;
}

void fetch_checks_fini(fetch_checks *c)
{
    EVP_MD_CTX_free(c->digest);
    c->digest = NULL;
}
