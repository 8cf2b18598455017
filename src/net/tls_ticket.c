/*
 * tls_ticket.c - the keys of session tickets: made here, changed every hour, shared by all loops
 *
 * OpenSSL's own keys live as long as their context: with a certificate that is replaced once a
 * quarter that is a quarter for which a stolen key opens what was recorded (TLS 1.2). Here a key
 * seals for one hour and opens for two, and survives the replacement of a certificate, so that
 * clients go on resuming.
 *
 * A ticket that was sealed with the key before is renewed when it is used.
 */
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "base/clock.h"
#include "net/tls_internal.h"

static int index_of_tickets = -1; /* in an SSL_CTX's own data */
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_index(void)
{
    index_of_tickets = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, NULL);
}

void sl_tickets_init(sl_tickets *t)
{
    pthread_once(&once, make_index);
    *t = (sl_tickets){0};
    pthread_mutex_init(&t->lock, NULL);
}

void sl_tickets_fini(sl_tickets *t)
{
    pthread_mutex_destroy(&t->lock);
    OPENSSL_cleanse(t, sizeof *t);
}

static bool make_key(sl_ticket_key *k, int64_t now)
{
    k->made = now;
    bool ok = RAND_bytes(k->name, sizeof k->name) == 1;
    ok &= RAND_priv_bytes(k->cipher, sizeof k->cipher) == 1;
    ok &= RAND_priv_bytes(k->mac, sizeof k->mac) == 1;
    return ok;
}

/* Moves on if the present key is too old. Under the lock. False: no randomness to be had. */
static bool refresh(sl_tickets *t, int64_t now)
{
    sl_ticket_key fresh;
    if (t->now.made != 0 && now - t->now.made < SL_TICKET_KEY_SECONDS && now >= t->now.made)
        return true;
    if (!make_key(&fresh, now))
        return false;
    /* One that nobody used for more than an hour is too old to open anything. */
    t->before = now - t->now.made < 2 * SL_TICKET_KEY_SECONDS ? t->now : (sl_ticket_key){0};
    t->now = fresh;
    OPENSSL_cleanse(&fresh, sizeof fresh);
    return true;
}

static bool find_key(sl_tickets *t, const unsigned char *name, bool seal, sl_ticket_key *out,
                     bool *old)
{
    bool found;
    *old = false;
    pthread_mutex_lock(&t->lock);
    found = refresh(t, sl_wall_us() / 1000000);
    if (found && !seal) {
        *old = memcmp(name, t->now.name, SL_TICKET_NAME) != 0;
        found = !*old || (t->before.made != 0 && memcmp(name, t->before.name, SL_TICKET_NAME) == 0);
    }
    if (found)
        *out = *old ? t->before : t->now;
    pthread_mutex_unlock(&t->lock);
    return found;
}

/* For SSL_CTX_set_tlsext_ticket_key_evp_cb: 1 go on, 2 and renew, 0 no such key, -1 failure. */
static int ticket_key(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                      EVP_MAC_CTX *mac, int seal)
{
    sl_tickets *t = SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), index_of_tickets);
    sl_ticket_key k;
    bool old, ok;
    if (!find_key(t, name, seal, &k, &old))
        return seal ? -1 : 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, k.mac, sizeof k.mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char[]){"SHA256"}, 0),
        OSSL_PARAM_construct_end()};
    if (seal) {
        memcpy(name, k.name, SL_TICKET_NAME);
        ok = RAND_bytes(iv, 16) == 1 &&
             EVP_EncryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.cipher, iv) == 1;
    } else {
        ok = EVP_DecryptInit_ex(cipher, EVP_aes_256_cbc(), NULL, k.cipher, iv) == 1;
    }
    ok = ok && EVP_MAC_CTX_set_params(mac, params) == 1;
    OPENSSL_cleanse(&k, sizeof k);
    return !ok ? -1 : old ? 2 : 1;
}

bool sl_tickets_use(sl_tickets *t, SSL_CTX *ctx)
{
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_key);
    return SSL_CTX_set_ex_data(ctx, index_of_tickets, t) == 1;
}
