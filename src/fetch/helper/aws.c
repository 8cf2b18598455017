/* aws.c - see aws.h */
#include "fetch/helper/aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/mem.h"
#include "fetch/helper/json.h"
#include "fetch/helper/xml.h"

enum { SMALL = 65536, FILE_LIMIT = 1 << 20 };
static const int64_t FRESH_US = 300000000; /* before the end, and between two vain attempts */

static const char *real_env(const char *name)
{
    return getenv(name);
}

const fetch_world fetch_real_world = {real_env, fetch_send};

static const char *env(const fetch_world *w, const char *name)
{
    const char *v = w->env(name);
    return v && *v ? v : NULL;
}

void fetch_aws_init(fetch_aws *a, const fetch_world *world)
{
    memset(a, 0, sizeof *a);
    a->world = world;
    pthread_mutex_init(&a->lock, NULL);
}

/* ---- small things ---- */

int64_t fetch_time_of(const char *text)
{
    struct tm tm = {0};
    int n = 0;
    if (sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &n) != 6 ||
        (text[n] != 'Z' && text[n] != '.' && text[n] != '+'))
        return 0;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    return (int64_t)timegm(&tm) * 1000000;
}

static bool set(char *out, size_t size, const char *value)
{
    size_t n = value ? strlen(value) : 0;
    if (n >= size)
        return false;
    memcpy(out, value ? value : "", n);
    out[n] = '\0';
    return true;
}

static sl_code set_keys(fetch_keys *k, const char *id, const char *secret, const char *token,
                        const char *expires, const char *where, sl_status *st)
{
    if (id == NULL || secret == NULL || !*id || !*secret)
        return sl_fail(st, SL_UNAUTHENTICATED, "%s: an access key or its secret is missing", where);
    if (!set(k->id, sizeof k->id, id) || !set(k->secret, sizeof k->secret, secret) ||
        !set(k->token, sizeof k->token, token))
        return sl_fail(st, SL_UNAUTHENTICATED, "%s: a key that is too long", where);
    k->expires_us = expires ? fetch_time_of(expires) : 0;
    return SL_OK;
}

static char *read_text(const char *path, sl_status *st)
{
    sl_buffer *b;
    if (sl_file_read(path, FILE_LIMIT, &b, st))
        return NULL;
    char *text = sl_strndup(b->data, b->size);
    sl_buffer_release(b);
    text[strcspn(text, "\r\n")] = '\0';
    return text;
}

/* ---- files ---- */

static sl_str strip(sl_str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t')) {
        s.p++;
        s.n--;
    }
    while (s.n && strchr(" \t\r", s.p[s.n - 1]) != NULL)
        s.n--;
    return s;
}

char *fetch_ini_value(sl_str text, const char *section, const char *key)
{
    bool here = false;
    char *found = NULL;
    for (size_t at = 0; at < text.n;) {
        const char *end = memchr(text.p + at, '\n', text.n - at);
        size_t n = end ? (size_t)(end - text.p) - at : text.n - at;
        sl_str line = strip((sl_str){text.p + at, n});
        at += n + 1;
        if (line.n == 0 || line.p[0] == '#' || line.p[0] == ';')
            continue;
        if (line.p[0] == '[') {
            const char *close = memchr(line.p, ']', line.n);
            here = close != NULL &&
                   sl_str_is(strip((sl_str){line.p + 1, (size_t)(close - line.p) - 1}), section);
            continue;
        }
        const char *equals = memchr(line.p, '=', line.n);
        if (!here || equals == NULL ||
            !sl_str_is(strip((sl_str){line.p, (size_t)(equals - line.p)}), key))
            continue;
        sl_str v = strip((sl_str){equals + 1, line.n - (size_t)(equals - line.p) - 1});
        sl_free(found);
        found = sl_strndup(v.p, v.n);
    }
    return found;
}

static sl_buffer *read_shared(const fetch_world *w, const char *variable, const char *name)
{
    char path[4096];
    sl_buffer *b = NULL;
    const char *given = env(w, variable), *home = env(w, "HOME");
    if (given != NULL)
        snprintf(path, sizeof path, "%s", given);
    else if (home != NULL)
        snprintf(path, sizeof path, "%s/.aws/%s", home, name);
    else
        return NULL;
    return sl_file_read(path, FILE_LIMIT, &b, NULL) == SL_OK ? b : NULL;
}

/* A profile's value: of the credentials file, then of the config file, where its section is called
 * otherwise. */
static char *profile_value(const fetch_world *w, const char *key)
{
    const char *profile = env(w, "AWS_PROFILE");
    char section[300];
    char *value = NULL;
    if (profile == NULL)
        profile = "default";
    sl_buffer *b = read_shared(w, "AWS_SHARED_CREDENTIALS_FILE", "credentials");
    if (b != NULL)
        value = fetch_ini_value((sl_str){b->data, b->size}, profile, key);
    sl_buffer_release(b);
    b = value ? NULL : read_shared(w, "AWS_CONFIG_FILE", "config");
    snprintf(section, sizeof section, "%s%s", strcmp(profile, "default") ? "profile " : "",
             profile);
    if (b != NULL)
        value = fetch_ini_value((sl_str){b->data, b->size}, section, key);
    sl_buffer_release(b);
    return value;
}

void fetch_aws_region(const fetch_world *w, char *out, size_t size)
{
    const char *given = env(w, "AWS_REGION") ? env(w, "AWS_REGION") : env(w, "AWS_DEFAULT_REGION");
    char *of_profile = given ? NULL : profile_value(w, "region");
    const char *region = given ? given : of_profile ? of_profile : "us-east-1";
    /* It becomes part of a host name. */
    if (strspn(region, "abcdefghijklmnopqrstuvwxyz0123456789-") != strlen(region))
        region = "us-east-1";
    snprintf(out, size, "%s", region);
    sl_free(of_profile);
}

/* ---- STS ---- */

static bool on_sts(void *arg, const char *path, sl_str text)
{
    static const char prefix[] =
        "AssumeRoleWithWebIdentityResponse/AssumeRoleWithWebIdentityResult/Credentials/";
    fetch_keys *k = arg;
    char value[sizeof k->token];
    if (strncmp(path, prefix, sizeof prefix - 1) != 0 || text.n >= sizeof value)
        return true;
    path += sizeof prefix - 1;
    snprintf(value, sizeof value, "%.*s", (int)text.n, text.p);
    if (strcmp(path, "AccessKeyId") == 0)
        set(k->id, sizeof k->id, value);
    else if (strcmp(path, "SecretAccessKey") == 0)
        set(k->secret, sizeof k->secret, value);
    else if (strcmp(path, "SessionToken") == 0)
        set(k->token, sizeof k->token, value);
    else if (strcmp(path, "Expiration") == 0)
        k->expires_us = fetch_time_of(value);
    explicit_bzero(value, sizeof value);
    return true;
}

static void sts_url(const fetch_world *w, sl_text *out)
{
    char region[64];
    const char *given = env(w, "AWS_ENDPOINT_URL_STS") ? env(w, "AWS_ENDPOINT_URL_STS")
                                                       : env(w, "AWS_ENDPOINT_URL");
    fetch_aws_region(w, region, sizeof region);
    if (given != NULL)
        sl_text_puts(out, given);
    else if (strcmp(region, "us-east-1") == 0)
        sl_text_puts(out, "https://sts.amazonaws.com/");
    else
        sl_text_printf(out, "https://sts.%s.amazonaws.com/", region);
}

static sl_code ask_sts(fetch_aws *a, fetch_op *op, const char *token_file, const char *role,
                       const char *session, fetch_keys *k, sl_status *st)
{
    fetch_request r = {.post = true, .timeout_s = 30};
    fetch_reply reply = {0};
    char *token = read_text(token_file, st);
    if (token == NULL)
        return sl_fail(st, SL_UNAUTHENTICATED, "the web identity token: %s", st->msg);
    sts_url(a->world, &r.url);
    sl_text_puts(&r.body, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleArn=");
    sl_fetch_encode(&r.body, sl_str_of(role), false);
    sl_text_puts(&r.body, "&RoleSessionName=");
    sl_fetch_encode(&r.body, sl_str_of(session ? session : "sluice"), false);
    sl_text_puts(&r.body, "&WebIdentityToken=");
    sl_fetch_encode(&r.body, sl_str_of(token), false);
    sl_code rc = a->world->send(op, &r, SMALL, &reply, st);
    memset(k, 0, sizeof *k);
    if (rc == SL_OK && reply.status != 200)
        rc = sl_fail(st, SL_UNAUTHENTICATED,
                     "AWS STS does not give credentials for role %s: HTTP %ld", role, reply.status);
    fetch_xml x = {on_sts, k};
    if (rc == SL_OK)
        rc = fetch_xml_walk((sl_str){reply.body.p ? reply.body.p : "", reply.body.n}, &x, st);
    if (rc == SL_OK && (!*k->id || !*k->secret))
        rc = sl_fail(st, SL_UNAUTHENTICATED, "AWS STS gave no credentials for role %s", role);
    explicit_bzero(token, strlen(token));
    sl_free(token);
    fetch_request_fini(&r);
    fetch_reply_fini(&reply);
    return rc;
}

/* ---- what the metadata services send ---- */

static sl_code take_document(const fetch_reply *reply, const char *where, fetch_keys *k,
                             sl_status *st)
{
    sl_str doc = {reply->body.p ? reply->body.p : "", reply->body.n};
    char *id = fetch_json_string(doc, "AccessKeyId");
    char *secret = fetch_json_string(doc, "SecretAccessKey");
    char *token = fetch_json_string(doc, "Token"), *end = fetch_json_string(doc, "Expiration");
    sl_code rc = set_keys(k, id, secret, token, end, where, st);
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    sl_free(id);
    sl_free(secret);
    sl_free(token);
    sl_free(end);
    return rc;
}

/* One GET of a metadata service. */
static sl_code ask(fetch_aws *a, fetch_op *op, fetch_request *r, const char *where,
                   fetch_reply *reply, sl_status *st)
{
    r->direct = true;
    sl_code rc = a->world->send(op, r, SMALL, reply, st);
    if (rc == SL_OK && reply->status != 200)
        rc = sl_fail(st, reply->status >= 500 ? SL_UNAVAILABLE : SL_UNAUTHENTICATED,
                     "%s: HTTP status %ld", where, reply->status);
    return rc;
}

/* AWS' own programs allow plain http to these only. */
static bool is_container_host(const char *url)
{
    static const char *const allowed[] = {"http://169.254.170.2",  "http://169.254.170.23",
                                          "http://[fd00:ec2::23]", "http://127.0.0.1",
                                          "http://localhost",      "https://"};
    for (size_t i = 0; i < SL_COUNTOF(allowed); i++) {
        size_t n = strlen(allowed[i]);
        if (strncmp(url, allowed[i], n) == 0 && (i == 5 || strchr("/:", url[n]) != NULL))
            return true;
    }
    return false;
}

static sl_code from_container(fetch_aws *a, fetch_op *op, fetch_keys *k, sl_status *st)
{
    const fetch_world *w = a->world;
    const char *relative = env(w, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = env(w, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
    const char *file = env(w, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = env(w, "AWS_CONTAINER_AUTHORIZATION_TOKEN");
    fetch_request r = {.timeout_s = 5};
    fetch_reply reply = {0};
    char *read = NULL;
    if (relative != NULL)
        sl_text_printf(&r.url, "http://169.254.170.2%s", relative);
    else
        sl_text_puts(&r.url, full);
    sl_code rc = SL_OK;
    if (relative == NULL && !is_container_host(full))
        rc = sl_fail(st, SL_UNAUTHENTICATED,
                     "AWS_CONTAINER_CREDENTIALS_FULL_URI: plain http to that host is not allowed");
    if (rc == SL_OK && file != NULL && (read = read_text(file, st)) == NULL)
        rc = st->code;
    if (read != NULL || token != NULL)
        sl_text_printf(&r.headers, "Authorization: %s\n", read ? read : token);
    if (rc == SL_OK)
        rc = ask(a, op, &r, "the container's credentials", &reply, st);
    if (rc == SL_OK)
        rc = take_document(&reply, "the container's credentials", k, st);
    sl_free(read);
    fetch_request_fini(&r);
    fetch_reply_fini(&reply);
    return rc;
}

static sl_code ask_instance(fetch_aws *a, fetch_op *op, const char *path, const char *token,
                            fetch_reply *reply, sl_status *st)
{
    const char *base = env(a->world, "AWS_EC2_METADATA_SERVICE_ENDPOINT");
    fetch_request r = {.timeout_s = token ? 5 : 1, .put = token == NULL};
    sl_text_printf(&r.url, "%s/latest/%s", base ? base : "http://169.254.169.254", path);
    if (token == NULL)
        sl_text_puts(&r.headers, "X-aws-ec2-metadata-token-ttl-seconds: 21600\n");
    else
        sl_text_printf(&r.headers, "X-aws-ec2-metadata-token: %s\n", token);
    sl_code rc = ask(a, op, &r, "the instance's metadata", reply, st);
    fetch_request_fini(&r);
    return rc;
}

/* *there: false if there is no such service here. */
static sl_code from_instance(fetch_aws *a, fetch_op *op, fetch_keys *k, bool *there, sl_status *st)
{
    static const char roles[] = "meta-data/iam/security-credentials/";
    char path[400], token[256];
    fetch_reply reply = {0};
    sl_code rc = ask_instance(a, op, "api/token", NULL, &reply, st);
    *there = rc == SL_OK && reply.body.n > 0 && reply.body.n < sizeof token;
    if (*there)
        snprintf(token, sizeof token, "%s", reply.body.p);
    fetch_reply_fini(&reply);
    if (!*there)
        return rc;
    rc = ask_instance(a, op, roles, token, &reply, st);
    if (rc && reply.status == 404)
        *there = false; /* an instance without a role */
    size_t n = rc == SL_OK && reply.body.n ? strcspn(reply.body.p, "\r\n") : 0;
    snprintf(path, sizeof path, "%s%.*s", roles, (int)SL_MIN(n, (size_t)200),
             n ? reply.body.p : "");
    fetch_reply_fini(&reply);
    if (rc == SL_OK)
        rc = ask_instance(a, op, path, token, &reply, st);
    if (rc == SL_OK)
        rc = take_document(&reply, "the instance's metadata", k, st);
    fetch_reply_fini(&reply);
    return rc;
}

/* ---- the chain ---- */

static sl_code from_profile(fetch_aws *a, fetch_op *op, fetch_keys *k, bool *found, sl_status *st)
{
    const fetch_world *w = a->world;
    char *id = profile_value(w, "aws_access_key_id");
    char *secret = profile_value(w, "aws_secret_access_key");
    char *token = profile_value(w, "aws_session_token");
    char *role = profile_value(w, "role_arn"), *file = profile_value(w, "web_identity_token_file");
    sl_code rc = SL_OK;
    *found = true;
    if (id != NULL || secret != NULL)
        rc = set_keys(k, id, secret, token, NULL, "the profile of the shared files", st);
    else if (role != NULL && file != NULL)
        rc = ask_sts(a, op, file, role, NULL, k, st);
    else if (role != NULL)
        rc = sl_fail(st, SL_UNIMPLEMENTED,
                     "the AWS profile assumes a role from another profile, which is not supported: "
                     "use a web identity, instance metadata or plain keys");
    else if (env(w, "AWS_PROFILE") != NULL)
        rc = sl_fail(st, SL_UNAUTHENTICATED, "the AWS profile \"%s\" has no credentials",
                     env(w, "AWS_PROFILE"));
    else
        *found = false;
    if (secret != NULL)
        explicit_bzero(secret, strlen(secret));
    sl_free(id);
    sl_free(secret);
    sl_free(token);
    sl_free(role);
    sl_free(file);
    return rc;
}

static sl_code look(fetch_aws *a, fetch_op *op, fetch_keys *k, sl_status *st)
{
    const fetch_world *w = a->world;
    const char *file = env(w, "AWS_WEB_IDENTITY_TOKEN_FILE"), *role = env(w, "AWS_ROLE_ARN");
    const char *off = env(w, "AWS_EC2_METADATA_DISABLED");
    bool found;
    if (env(w, "AWS_ACCESS_KEY_ID") != NULL || env(w, "AWS_SECRET_ACCESS_KEY") != NULL)
        return set_keys(k, env(w, "AWS_ACCESS_KEY_ID"), env(w, "AWS_SECRET_ACCESS_KEY"),
                        env(w, "AWS_SESSION_TOKEN"), NULL, "the environment", st);
    if (file != NULL && role != NULL)
        return ask_sts(a, op, file, role, env(w, "AWS_ROLE_SESSION_NAME"), k, st);
    sl_code rc = from_profile(a, op, k, &found, st);
    if (rc || found)
        return rc;
    if (env(w, "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") != NULL ||
        env(w, "AWS_CONTAINER_CREDENTIALS_FULL_URI") != NULL)
        return from_container(a, op, k, st);
    if (off != NULL && sl_str_eq_nocase(sl_str_of(off), SL_STR("true")))
        return SL_OK;
    rc = from_instance(a, op, k, &found, st);
    return found || rc == SL_CANCELLED ? rc : SL_OK;
}

sl_code fetch_aws_keys(fetch_aws *a, fetch_op *op, fetch_keys *out, sl_status *st)
{
    sl_code rc = SL_OK;
    pthread_mutex_lock(&a->lock);
    int64_t now = sl_wall_us();
    if (!a->known || (a->look_again_us && now >= a->look_again_us)) {
        fetch_keys k = {0};
        rc = look(a, op, &k, st);
        if (rc == SL_OK) {
            a->keys = k;
            a->known = true;
            if (!*k.id)
                a->look_again_us = now + FRESH_US;
            else
                a->look_again_us =
                    k.expires_us ? SL_MAX(k.expires_us - FRESH_US, now + 1000000) : 0;
        } else if (a->known && a->keys.expires_us > now) {
            rc = SL_OK; /* they are still good; next time again */
        }
        explicit_bzero(&k, sizeof k);
    }
    if (rc == SL_OK)
        *out = a->keys;
    pthread_mutex_unlock(&a->lock);
    return rc;
}

bool fetch_aws_forget(fetch_aws *a)
{
    pthread_mutex_lock(&a->lock);
    bool could = env(a->world, "AWS_ACCESS_KEY_ID") == NULL;
    if (could)
        a->known = false;
    pthread_mutex_unlock(&a->lock);
    return could;
}
