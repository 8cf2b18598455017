/*
 * log_form.c - one record of the log as a line
 *
 * A message holds what clients and files chose, so nothing of it may end the line, move a
 * terminal's cursor or break the JSON: C0 and C1 controls, DEL and wrong UTF-8 are escaped.
 */
#include "base/log_form.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* Length of the well-formed UTF-8 sequence at p, 1 to 4; 0 if there is none. */
static size_t sequence(const unsigned char *p, size_t n)
{
    size_t len = p[0] < 0x80 ? 1 : p[0] < 0xC2 ? 0 : p[0] < 0xE0 ? 2 : p[0] < 0xF0 ? 3 : 4;
    if (len == 0 || len > n || p[0] > 0xF4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xC0) != 0x80)
            return 0;
    if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) ||
        (p[0] == 0xF0 && p[1] < 0x90) || (p[0] == 0xF4 && p[1] > 0x8F))
        return 0; /* too long a form, surrogate, beyond U+10FFFF */
    return len;
}

static bool control(const unsigned char *p, size_t len)
{
    return (len == 1 && (p[0] < ' ' || p[0] == 127)) || (len == 2 && p[0] == 0xC2 && p[1] < 0xA0);
}

/* \n, \r, \t; anything else by its number: \x1b, in JSON \u001b. */
static size_t escape(char *to, unsigned char c, bool json)
{
    static const char digits[] = "0123456789abcdef", letters[] = "abtnvfr";
    size_t n = 0;
    to[n++] = '\\';
    if (c == '\n' || c == '\r' || c == '\t') {
        to[n++] = letters[c - 7];
        return n;
    }
    to[n++] = json ? 'u' : 'x';
    if (json) {
        to[n++] = '0';
        to[n++] = '0';
    }
    to[n++] = digits[c >> 4];
    to[n++] = digits[c & 15];
    return n;
}

/* Appends p, escaped; at most six bytes for each. */
static size_t add_escaped(char *to, const char *text, size_t n, bool json)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    char *at = to;
    while (p < end) {
        size_t len = sequence(p, (size_t)(end - p));
        if (len == 0 && json) {
            memcpy(at, "\\ufffd", 6);
            at += 6;
        } else if (len == 0 || control(p, len)) {
            if (len == 2)
                p++; /* C1: its second byte is its number */
            at += escape(at, *p, json);
            len = 1;
        } else {
            if (json && (*p == '"' || *p == '\\'))
                *at++ = '\\';
            memcpy(at, p, len);
            at += len;
        }
        p += len ? len : 1;
    }
    return (size_t)(at - to);
}

/* "/build/src/server/config.c" -> "server/config.c" */
static const char *short_file(const char *file)
{
    const char *found = file, *next;
    while ((next = strstr(found, "/src/")) != NULL)
        found = next + 5;
    if (found != file)
        return found;
    const char *slash = strrchr(file, '/');
    return slash ? slash + 1 : file;
}

static size_t add_message(char *to, const sl_log_record *r, bool json)
{
    bool cut = r->text_n >= sizeof r->text;
    size_t n = cut ? sizeof r->text - 1 : r->text_n;
    n = add_escaped(to, r->text, n, json);
    if (cut) {
        memcpy(to + n, "...", 3);
        n += 3;
    }
    return n;
}

size_t sl_log_form(const sl_log_record *r, bool json, char line[SL_LOG_LINE_MAX])
{
    static const char *const names[] = {"debug", "info", "warning", "error", "fatal"};
    time_t seconds = (time_t)(r->wall_us / 1000000);
    struct tm tm;
    int us = (int)(r->wall_us % 1000000), which = (int)r->level + 1;
    size_t n;
    if (which < 0 || which > 4)
        which = 4;
    if (!json) {
        localtime_r(&seconds, &tm);
        n = strftime(line, 64, "%Y-%m-%d %H:%M:%S", &tm);
        n += (size_t)snprintf(line + n, 300, ".%06d: %c %.200s:%d] ", us, "DIWEF"[which],
                              short_file(r->file), r -> line);
        n += add_message(line + n, r, json);
    } else {
        gmtime_r(&seconds, &tm);
        n = strftime(line, 64, "{\"time\":\"%Y-%m-%dT%H:%M:%S", &tm);
        n += (size_t)snprintf(line + n, 350,
                              ".%06dZ\",\"level\":\"%s\",\"file\":\"%.200s:%d\",\"message\":\"", us,
                              names[which], short_file(r->file), r->line);
        n += add_message(line + n, r, json);
        memcpy(line + n, "\"}", 2);
        n += 2;
    }
    line[n++] = '\n';
    return n;
}
