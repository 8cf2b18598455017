/*
 * ops.h - what the library knows: its GraphDef version, its ops
 *
 * Both may start threads: call them in a forked process that does nothing else.
 */
#ifndef SL_TF_HOST_OPS_H
#define SL_TF_HOST_OPS_H

#include <stdint.h>

/* TF_GRAPH_DEF_VERSION of the library; 0 if it cannot be found out. */
uint64_t tf_graph_version(void);

/* Reads names of ops, one a line, from `fd`, writes those that are not registered over them, and
 * tells `socket` how many bytes that is. Ends the process. */
_Noreturn void tf_answer_ops(int socket, uint64_t id, int fd);

#endif
