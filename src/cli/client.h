/* client.h - one HTTP request to a server, from the shell */
#ifndef SL_CLI_CLIENT_H
#define SL_CLI_CLIENT_H

#include "base/str.h"

/* POSTs `body` to http://host[:port]/path and prints the reply's body. A path that ends at a model
 * (/v1/models/half) gets ":predict". The exit status: 0 for a 2xx reply, else 1. */
int sl_client_predict(const char *url, sl_str body);

#endif
