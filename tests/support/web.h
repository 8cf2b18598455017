/*
 * web.h - a web server of the test's own, whose answers the test chooses
 *
 *     web_start(answer);           answer() is called on the server's thread, for each request
 *     ... ask web_url() ...
 *     web_stop();
 *
 * One request at a time, and one a connection. An answer is whatever bytes are sent: also half of
 * one, or none. What was asked is kept, from the first request since web_start on.
 */
#ifndef SL_TESTS_WEB_H
#define SL_TESTS_WEB_H

#include <stddef.h>

enum { WEB_KEPT = 64 };

typedef struct web_request {
    int number; /* 0, 1, ... */
    char method[16], target[1024];
    char head[8192]; /* all of it, the first line too */
    char body[1024];
    int fd;
} web_request;

void web_start(void (*answer)(web_request *r));
void web_stop(void);
/* When no answer is being given: what is changed afterwards the next answer sees, and what the last
 * one read may be changed. */
void web_meet(void);
/* "http://127.0.0.1:PORT"; the same until the program ends. */
const char *web_url(void);
/* How many requests there were, and those of them that are kept. */
int web_asked(void);
const web_request *web_seen(int number);
/* The value of a header, or "". */
const char *web_header(const web_request *r, const char *name);

/* For answers: bytes as they are; and a whole answer, headers being "Name: value\r\n" each. */
void web_put(const web_request *r, const void *p, size_t n);
void web_send(const web_request *r, int status, const char *headers, const void *body, size_t n);
/* An answer's head that promises `length` bytes. */
void web_send_head(const web_request *r, int status, const char *headers, size_t length);

#endif
