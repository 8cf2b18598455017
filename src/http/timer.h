/*
 * timer.h - "later", for a handler that keeps its call open
 *
 *     sl_http_timer *t = sl_http_timer_new(call);      in the call's arena
 *     sl_http_timer_start(t, ns, fn);                  fn(call) on the call's loop
 *     sl_http_timer_stop(t);                           before sl_http_reply at the latest
 *
 * All of it on the call's loop. Coarse, as the loop's timers are (10 ms).
 */
#ifndef SL_HTTP_TIMER_H
#define SL_HTTP_TIMER_H

#include "http/http.h"

typedef struct sl_http_timer sl_http_timer;

/* NULL: no memory. */
sl_http_timer *sl_http_timer_new(sl_http_call *call);
/* One shot; starting it again moves it. */
void sl_http_timer_start(sl_http_timer *t, uint64_t after_ns, void (*fn)(sl_http_call *call));
/* Accepts NULL, and one that does not run. */
void sl_http_timer_stop(sl_http_timer *t);

#endif
