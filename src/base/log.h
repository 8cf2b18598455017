/*
 * log.h - what the server tells its operator
 *
 * Lines go to stderr, in TensorFlow Serving's form (text) or one JSON object a line (json). Writing
 * never blocks the caller: a line goes into a ring that a thread of its own writes out; when the
 * ring is full the line is counted, and the count is written later. A line that repeats is written
 * once, then with a count. Control characters are escaped, so one call is one line.
 *
 *     sl_log(SL_INFO, "Successfully loaded servable version {name: %s version: %lld}", ...);
 *
 * Before sl_log_start and after sl_log_stop lines are written at once.
 */
#ifndef SL_BASE_LOG_H
#define SL_BASE_LOG_H

#include <stdbool.h>

#include "sluice/status.h"

/* Numbers are those of TF_CPP_MIN_LOG_LEVEL. */
typedef enum sl_log_level {
    SL_DEBUG = -1,
    SL_INFO = 0,
    SL_WARNING,
    SL_ERROR,
    SL_FATAL
} sl_log_level;

typedef struct sl_log_options {
    sl_log_level level; /* less than this is not written */
    bool json;
    int fd; /* where to; 2 */
} sl_log_options;

/* Main thread, before sl_log_start: lines that are written until then have the form, too. */
void sl_log_prepare(const sl_log_options *opts);
/* Main thread, once. RESOURCE_EXHAUSTED if the thread cannot be made. */
sl_code sl_log_start(const sl_log_options *opts, sl_status *st);
/* Writes what is left and ends the thread. */
void sl_log_stop(void);

/* Any thread. */
#define sl_log(level, ...) sl_log_at(level, __FILE__, __LINE__, __VA_ARGS__)
void sl_log_at(sl_log_level level, const char *file, int line, const char *fmt, ...)
    SL_PRINTF(4, 5);
/* A line that is written whole, as it is (the access log makes its own): never repeated-once. */
void sl_log_raw(const char *line, size_t n);
bool sl_log_wants(sl_log_level level);
/* Any thread, any time. */
void sl_log_set_level(sl_log_level level);
/* Returns when all lines that were logged before are written out. Blocks: not for a request's path.
 */
void sl_log_flush(void);

#endif
