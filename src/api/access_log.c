/* access_log.c - see access_log.h */
#include "api/access_log.h"

#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"

bool sl_access_wants(sl_access_log *log, int status)
{
    switch (log->mode) {
    case SL_ACCESS_OFF:
        return false;
    case SL_ACCESS_ERRORS:
        return status >= 400;
    case SL_ACCESS_ALL:
        return true;
    default: /* SL_ACCESS_SAMPLED */
        return status >= 400 || log->every <= 1 ||
               atomic_fetch_add_explicit(&log->count, 1, memory_order_relaxed) % log->every == 0;
    }
}

/* A value between quotes: JSON's escapes, which suit the text form too; cut at 256 bytes. */
static void put_quoted(sl_text *t, sl_str s)
{
    size_t n = s.n > 256 ? 256 : s.n;
    sl_text_putc(t, '"');
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c == '"' || c == '\\')
            sl_text_printf(t, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            sl_text_printf(t, "\\u%04x", c);
        else
            sl_text_putc(t, (char)c);
    }
    sl_text_puts(t, s.n > n ? "...\"" : "\"");
}

static void put_text(sl_text *t, bool json, const char *key, sl_str value)
{
    sl_text_printf(t, json ? ",\"%s\":" : " %s=", key);
    put_quoted(t, value);
}

static void put_number(sl_text *t, bool json, const char *key, uint64_t value)
{
    sl_text_printf(t, json ? ",\"%s\":%llu" : " %s=%llu", key, (unsigned long long)value);
}

static void put_time(sl_text *t, bool json)
{
    int64_t us = sl_wall_us();
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    char text[40];
    gmtime_r(&seconds, &tm);
    strftime(text, sizeof text, json ? "%Y-%m-%dT%H:%M:%S" : "%Y-%m-%d %H:%M:%S", &tm);
    if (json)
        sl_text_printf(t, "{\"time\":\"%s.%06dZ\",\"level\":\"access\"", text, (int)(us % 1000000));
    else
        sl_text_printf(t, "%s.%06d: A request", text, (int)(us % 1000000));
}

void sl_access_write(sl_access_log *log, const sl_access_entry *e)
{
    sl_text t = {0};
    bool j = log->json;
    put_time(&t, j);
    put_text(&t, j, "id", e->id);
    put_text(&t, j, "client", e->peer);
    if (e->tls != NULL)
        put_text(&t, j, "tls", sl_str_of(e->tls));
    if (e->tls_client != NULL)
        put_text(&t, j, "tls_client", sl_str_of(e->tls_client));
    put_text(&t, j, "method", e->method);
    put_text(&t, j, "path", e->target);
    put_text(&t, j, "model", e->model);
    if (e->version)
        put_number(&t, j, "version", (uint64_t)e->version);
    put_text(&t, j, "signature", e->signature);
    put_number(&t, j, "status", (uint64_t)e->status);
    if (e->grpc_status != NULL)
        put_text(&t, j, "grpc_status", sl_str_of(e->grpc_status));
    put_number(&t, j, "bytes_in", e->bytes_in);
    put_number(&t, j, "bytes_out", e->bytes_out);
    put_number(&t, j, "decode_us", e->decode_us);
    put_number(&t, j, "queue_us", e->queue_us);
    put_number(&t, j, "run_us", e->run_us);
    put_number(&t, j, "encode_us", e->encode_us);
    put_number(&t, j, "total_us", e->total_us);
    if (e->error != NULL)
        put_text(&t, j, "error", sl_str_of(e->error));
    sl_text_puts(&t, j ? "}\n" : "\n");
    if (!t.failed)
        sl_log_raw(t.p, t.n);
    sl_text_fini(&t);
}

bool sl_request_id_is_sane(sl_str id)
{
    if (id.n == 0 || id.n > SL_REQUEST_ID_MAX)
        return false;
    for (size_t i = 0; i < id.n; i++) {
        char c = id.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  (c != '\0' && strchr("._:/+=@-", c) != NULL);
        if (!ok)
            return false;
    }
    return true;
}

void sl_request_id_make(char out[17])
{
    static atomic_ullong next;
    static const char digits[] = "0123456789abcdef";
    unsigned long long n = atomic_fetch_add_explicit(&next, 1, memory_order_relaxed);
    uint64_t h = sl_hash(&n, sizeof n); /* seeded: another process makes others */
    for (int i = 0; i < 16; i++, h >>= 4)
        out[i] = digits[h & 15];
    out[16] = '\0';
}
