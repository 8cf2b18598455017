/*
 * server.h - the whole program: parts made, joined, run, drained
 *
 *     sl_serve(&flags)   returns the exit status when the server has ended
 *
 * Signals: the first SIGTERM or SIGINT drains (not ready, no new connections, requests in flight
 * are answered, exit 0); after --drain_timeout_s, or at a second one, what is left is cut.
 */
#ifndef SL_SERVER_SERVER_H
#define SL_SERVER_SERVER_H

#include "server/flags.h"

/* Main thread, once. The flags have been parsed; checking may correct them (sl_flags_check). */
int sl_serve(sl_flags *flags);

#endif
