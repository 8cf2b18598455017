/*
 * log_form.h - what one line of the log looks like; for log.c and its test
 */
#ifndef SL_BASE_LOG_FORM_H
#define SL_BASE_LOG_FORM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"

enum {
    SL_LOG_TEXT_MAX = 4096, /* of a message; what is longer is cut, with "..." */
    SL_LOG_LINE_MAX = 6 * SL_LOG_TEXT_MAX + 512 /* every byte escaped */
};

typedef struct sl_log_record {
    int64_t wall_us;
    const char *file; /* a literal: __FILE__ */
    size_t text_n;    /* beyond the buffer: the message was longer than it */
    int line;
    sl_log_level level;
    bool raw; /* text is a whole line */
    char text[SL_LOG_TEXT_MAX];
} sl_log_record;

/*
 * Writes the line, its newline included, and returns its length. Text: TensorFlow's form, local
 * time, "2026-07-01 12:00:00.000001: I server/config.c:12] message". JSON: an object with time (RFC
 * 3339, UTC), level, file, message. Control characters and bytes that are no UTF-8 are escaped.
 */
size_t sl_log_form(const sl_log_record *r, bool json, char line[SL_LOG_LINE_MAX]);

#endif
