/* google.c - see google.h */
#include "fetch/helper/google.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "fetch/helper/json.h"
#include "format/base64.h"

enum { SMALL = 65536 };
static const int64_t MINUTE_US = 60000000, VAIN_US = 300000000;

static const char *env(const fetch_google *g, const char *name)
{
    const char *v = g->world->env(name);
    return v && *v ? v : NULL;
}

void fetch_google_init(fetch_google *g, const fetch_world *world)
{
    memset(g, 0, sizeof *g);
    g->world = world;
    pthread_mutex_init(&g->lock, NULL);
}

/* ---- the assertion ---- */

/* base64url without padding, RFC 7515. */
static void put_base64url(sl_text *t, const void *p, size_t n)
{
    char *text = sl_malloc(sl_base64_size(n) + 1);
    char *end = sl_base64_encode((sl_str){p, n}, text);
    for (char *c = text; c < end && *c != '='; c++)
        sl_text_putc(t, *c == '+' ? '-' : *c == '/' ? '_' : *c);
    sl_free(text);
}

static sl_code sign(const char *pem, sl_text *t, sl_status *st)
{
    sl_code rc = sl_fail(st, SL_UNAUTHENTICATED,
                         "the service account's private_key is no RSA key that can sign");
    BIO *bio = BIO_new_mem_buf(pem, -1);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char *signature = NULL;
    size_t n = 0;
    if (key != NULL && EVP_PKEY_is_a(key, "RSA") && md != NULL &&
        EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
        EVP_DigestSign(md, NULL, &n, (const unsigned char *)t->p, t->n) == 1) {
        signature = sl_malloc(n);
        if (EVP_DigestSign(md, signature, &n, (const unsigned char *)t->p, t->n) == 1) {
            sl_text_putc(t, '.');
            put_base64url(t, signature, n);
            rc = SL_OK;
        }
    }
    sl_free(signature);
    EVP_MD_CTX_free(md);
    EVP_PKEY_free(key);
    BIO_free(bio);
    ERR_clear_error();
    return rc;
}

static bool is_plain(const char *s)
{
    for (; *s; s++)
        if ((unsigned char)*s < 0x20 || *s == '"' || *s == '\\')
            return false;
    return true;
}

sl_code fetch_google_assertion(sl_str file, int64_t now_s, char **out, sl_status *st)
{
    static const char head[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
    char *email = fetch_json_string(file, "client_email");
    char *pem = fetch_json_string(file, "private_key");
    char *uri = fetch_json_string(file, "token_uri");
    sl_text claims = {0}, t = {0};
    sl_code rc = SL_OK;
    if (email == NULL || pem == NULL || uri == NULL || !is_plain(email) || !is_plain(uri)) {
        rc = sl_fail(st, SL_UNAUTHENTICATED,
                     "the service account's file has no client_email, private_key or token_uri");
    } else {
        sl_text_printf(&claims,
                       "{\"iss\":\"%s\",\"scope\":\"https://www.googleapis.com/auth/"
                       "devstorage.read_only\",\"aud\":\"%s\",\"iat\":%lld,\"exp\":%lld}",
                       email, uri, (long long)now_s, (long long)now_s + 3600);
        put_base64url(&t, head, sizeof head - 1);
        sl_text_putc(&t, '.');
        put_base64url(&t, claims.p, claims.n);
        rc = sign(pem, &t, st);
    }
    if (pem != NULL)
        explicit_bzero(pem, strlen(pem));
    if (rc == SL_OK)
        *out = sl_strdup(t.p);
    sl_free(email);
    sl_free(pem);
    sl_free(uri);
    sl_text_fini(&claims);
    sl_text_fini(&t);
    return rc;
}

/* ---- asking for a token ---- */

/* {"access_token": ..., "expires_in": seconds} */
static sl_code take_token(fetch_google *g, const fetch_reply *reply, const char *where,
                          sl_status *st)
{
    sl_str doc = {reply->body.p ? reply->body.p : "", reply->body.n};
    int64_t seconds = 0;
    char *token = NULL;
    if (reply->status == 200)
        token = fetch_json_string(doc, "access_token");
    if (token == NULL || strlen(token) >= sizeof g->token || strpbrk(token, "\r\n") != NULL) {
        sl_free(token);
        return sl_fail(st, reply->status >= 500 ? SL_UNAVAILABLE : SL_UNAUTHENTICATED,
                       "%s gives no token: HTTP status %ld", where, reply->status);
    }
    memcpy(g->token, token, strlen(token) + 1);
    if (!fetch_json_int(doc, "expires_in", &seconds) || seconds <= 0 || seconds > 86400)
        seconds = 300;
    g->good_until_us = sl_wall_us() + SL_MAX(seconds * 1000000 - MINUTE_US, (int64_t)1000000);
    explicit_bzero(token, strlen(token));
    sl_free(token);
    return SL_OK;
}

static sl_code post(fetch_google *g, fetch_op *op, const char *uri, sl_text *body, sl_status *st)
{
    fetch_request r = {.post = true, .timeout_s = 30};
    fetch_reply reply = {0};
    sl_text_puts(&r.url, uri);
    r.body = *body; /* taken over */
    *body = (sl_text){0};
    sl_code rc = g->world->send(op, &r, SMALL, &reply, st);
    if (rc == SL_OK)
        rc = take_token(g, &reply, "Google's token server", st);
    if (r.body.p != NULL)
        explicit_bzero(r.body.p, r.body.n);
    fetch_request_fini(&r);
    fetch_reply_fini(&reply);
    return rc;
}

static sl_code from_account(fetch_google *g, fetch_op *op, sl_str file, sl_status *st)
{
    char *assertion = NULL, *uri = fetch_json_string(file, "token_uri");
    sl_text body = {0};
    sl_code rc = fetch_google_assertion(file, sl_wall_us() / 1000000, &assertion, st);
    if (rc == SL_OK) {
        sl_text_printf(&body,
                       "grant_type=urn%%3Aietf%%3Aparams%%3Aoauth%%3Agrant-type%%3Ajwt-bearer"
                       "&assertion=%s",
                       assertion);
        rc = post(g, op, uri, &body, st);
    }
    sl_free(assertion);
    sl_free(uri);
    sl_text_fini(&body);
    return rc;
}

static sl_code from_user(fetch_google *g, fetch_op *op, sl_str file, sl_status *st)
{
    static const char *const names[] = {"client_id", "client_secret", "refresh_token"};
    char *uri = fetch_json_string(file, "token_uri");
    sl_text body = {0};
    sl_code rc = SL_OK;
    sl_text_puts(&body, "grant_type=refresh_token");
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        char *value = fetch_json_string(file, names[i]);
        if (value == NULL) {
            rc = sl_fail(st, SL_UNAUTHENTICATED, "the credentials' file has no %s", names[i]);
            break;
        }
        sl_text_printf(&body, "&%s=", names[i]);
        sl_fetch_encode(&body, sl_str_of(value), false);
        explicit_bzero(value, strlen(value));
        sl_free(value);
    }
    if (rc == SL_OK)
        rc = post(g, op, uri ? uri : "https://oauth2.googleapis.com/token", &body, st);
    sl_free(uri);
    sl_text_fini(&body);
    return rc;
}

static sl_code from_file(fetch_google *g, fetch_op *op, const char *path, sl_status *st)
{
    sl_buffer *b;
    sl_code rc = sl_file_read(path, SMALL, &b, st);
    if (rc)
        return sl_fail(st, SL_UNAUTHENTICATED, "Google's credentials: %s", st->msg);
    sl_str file = {b->data, b->size};
    char *type = fetch_json_string(file, "type");
    if (type != NULL && strcmp(type, "service_account") == 0)
        rc = from_account(g, op, file, st);
    else if (type != NULL && strcmp(type, "authorized_user") == 0)
        rc = from_user(g, op, file, st);
    else
        rc = sl_fail(st, SL_UNIMPLEMENTED,
                     "Google's credentials in %s are of a kind that is not supported: "
                     "service_account and authorized_user are",
                     path);
    sl_free(type);
    explicit_bzero(b->data, b->size);
    sl_buffer_release(b);
    return rc;
}

/* *there: false if there is no such server here. */
static sl_code from_metadata(fetch_google *g, fetch_op *op, bool *there, sl_status *st)
{
    const char *host = env(g, "GCE_METADATA_HOST");
    fetch_request r = {.direct = true, .timeout_s = 2};
    fetch_reply reply = {0};
    sl_text_printf(&r.url, "http://%s/computeMetadata/v1/instance/service-accounts/default/token",
                   host ? host : "metadata.google.internal");
    sl_text_puts(&r.headers, "Metadata-Flavor: Google\n");
    sl_code rc = g->world->send(op, &r, SMALL, &reply, st);
    *there = rc == SL_OK && reply.status != 404;
    if (*there)
        rc = take_token(g, &reply, "the metadata server", st);
    fetch_request_fini(&r);
    fetch_reply_fini(&reply);
    return rc;
}

static sl_code look(fetch_google *g, fetch_op *op, sl_status *st)
{
    char path[4096];
    const char *given = env(g, "GOOGLE_APPLICATION_CREDENTIALS"), *home = env(g, "HOME");
    const char *off = env(g, "NO_GCE_CHECK");
    bool there = false;
    sl_code rc = SL_OK;
    g->token[0] = '\0';
    g->good_until_us = sl_wall_us() + VAIN_US;
    if (given != NULL)
        return from_file(g, op, given, st);
    snprintf(path, sizeof path, "%s/.config/gcloud/application_default_credentials.json",
             home ? home : "");
    sl_buffer *b;
    if (home != NULL && sl_file_read(path, SMALL, &b, NULL) == SL_OK) {
        sl_buffer_release(b);
        return from_file(g, op, path, st);
    }
    if (off != NULL && sl_str_eq_nocase(sl_str_of(off), SL_STR("true")))
        return SL_OK;
    rc = from_metadata(g, op, &there, st);
    return there || rc == SL_CANCELLED ? rc : SL_OK;
}

sl_code fetch_google_token(fetch_google *g, fetch_op *op, char *out, size_t size, sl_status *st)
{
    sl_code rc = SL_OK;
    pthread_mutex_lock(&g->lock);
    if (!g->known || sl_wall_us() >= g->good_until_us) {
        rc = look(g, op, st);
        g->known = rc == SL_OK;
    }
    if (rc == SL_OK)
        snprintf(out, size, "%s", g->token);
    pthread_mutex_unlock(&g->lock);
    return rc;
}

bool fetch_google_forget(fetch_google *g)
{
    pthread_mutex_lock(&g->lock);
    bool could = g->known && g->token[0];
    g->known = false;
    pthread_mutex_unlock(&g->lock);
    return could;
}
