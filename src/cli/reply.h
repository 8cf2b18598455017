/*
 * reply.h - what a server has sent, taken apart: to be read as hostile as everything from outside
 */
#ifndef SL_CLI_REPLY_H
#define SL_CLI_REPLY_H

#include "base/str.h"
#include "sluice/status.h"

typedef struct sl_reply_parts {
    int status;    /* 100 ... 999 */
    sl_str reason; /* the status with the words behind it, "404 Not Found", without control
                      characters: it is shown on a terminal */
    sl_str body;
} sl_reply_parts;

/* All of a reply in HTTP/1.x, whose end is the end of the connection; the parts are in `text`.
 * UNAVAILABLE: it is none. */
sl_code sl_reply_parse(sl_str text, sl_reply_parts *out, sl_status *st);

#endif
