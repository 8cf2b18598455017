/* outside.h - `sluice check --from-outside HOST:PORT` */
#ifndef SL_CLI_OUTSIDE_H
#define SL_CLI_OUTSIDE_H

/* argv as of sl_cmd_check. 0: a client here reaches the server, and the model if one was named;
 * else the layer that fails has its exit status and sentence. */
int sl_check_outside(int argc, char **argv);

#endif
