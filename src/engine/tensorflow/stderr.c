/*
 * stderr.c - what the host and its children print, line by line into the log
 *
 * At most LINES of one process in WINDOW: a model that prints for each request must not fill the
 * disk. The level is TensorFlow's where its form of line is recognised ("I0000 ...", "2026-01-01
 * 00:00:00.000000: W tensorflow/...").
 */
#include <errno.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "engine/tensorflow/internal.h"

enum { LINES = 200 };
static const uint64_t WINDOW_NS = 10000000000u;

static sl_log_level level_of(const char *line)
{
    const char *colon = line[0] >= '0' && line[0] <= '9' ? strstr(line, ": ") : NULL;
    char c = colon ? colon[2] : line[0];
    bool ours = colon ? colon[3] == ' ' : line[0] && line[1] >= '0' && line[1] <= '9';
    if (!ours)
        return SL_INFO;
    return c == 'W' ? SL_WARNING : c == 'E' || c == 'F' ? SL_ERROR : SL_INFO;
}

static bool within_rate(tf_lines *l, const char *label)
{
    uint64_t now = sl_now_ns();
    if (now - l->window_ns > WINDOW_NS) {
        if (l->dropped)
            sl_log(SL_WARNING, "%s: %d lines left out", label, l->dropped);
        l->window_ns = now;
        l->in_window = l->dropped = 0;
    }
    if (l->in_window++ < LINES)
        return true;
    l->dropped++;
    return false;
}

static void write_line(tf_lines *l, const char *label, const char *line)
{
    if (line[0] != '\0' && within_rate(l, label))
        sl_log(level_of(line), "%s: %s", label, line);
}

static void write_whole_lines(tf_lines *l, const char *label)
{
    char *at = l->text, *end;
    size_t left = l->n;
    while ((end = memchr(at, '\n', left)) != NULL) {
        *end = '\0';
        write_line(l, label, at);
        left -= (size_t)(end + 1 - at);
        at = end + 1;
    }
    if (left == sizeof l->text - 1) { /* longer than we keep: cut here */
        at[left] = '\0';
        write_line(l, label, at);
        left = 0;
    }
    memmove(l->text, at, left);
    l->n = left;
}

bool tf_lines_read(tf_lines *l, const char *label)
{
    if (l->fd < 0)
        return false;
    for (int i = 0; i < 16; i++) { /* then the others' turn */
        errno = ENOMEM;
        ssize_t got = sl_fault_hit(SL_FAULT_READ)
                          ? -1
                          : read(l->fd, l->text + l->n, sizeof l->text - 1 - l->n);
        if (got < 0) /* what is there is read the next time */
            return errno == EAGAIN || errno == EINTR || errno == ENOMEM;
        if (got == 0) {
            l->text[l->n] = '\0';
            write_line(l, label, l->text);
            l->n = 0;
            return false;
        }
        l->n += (size_t)got;
        write_whole_lines(l, label);
    }
    return true;
}
