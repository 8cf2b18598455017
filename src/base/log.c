/* log.c - see log.h */
#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"

static sl_log_options options = {.level = SL_INFO, .fd = 2};

sl_code sl_log_start(const sl_log_options *opts, sl_status *st)
{
    (void)st;
    options = *opts;
    return SL_OK;
}

void sl_log_stop(void)
{
}

bool sl_log_wants(sl_log_level level)
{
    return level >= options.level;
}

void sl_log_raw(const char *line, size_t n)
{
    if (write(options.fd, line, n) < 0)
        return;
}

void sl_log_at(sl_log_level level, const char *file, int line, const char *fmt, ...)
{
    if (!sl_log_wants(level))
        return;
    char text[2048];
    int64_t us = sl_wall_us();
    time_t seconds = (time_t)(us / 1000000);
    struct tm tm;
    gmtime_r(&seconds, &tm);
    const char *base = strrchr(file, '/');
    size_t n = strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof text - n, ".%06d: %c %s:%d] ", (int)(us % 1000000),
                          "DIWEF"[level + 1], base ? base + 1 : file, line);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(text + n, sizeof text - n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += (size_t)m;
    if (n > sizeof text - 2)
        n = sizeof text - 2;
    text[n++] = '\n';
    sl_log_raw(text, n);
}
