/*
 * tell.h - messages to the server that have to arrive
 *
 * The server waits without a limit for what has become of a version: a LOADED, FAILED or ENDED that
 * got lost would be a load that never comes to an end.
 */
#ifndef SL_TF_HOST_TELL_H
#define SL_TF_HOST_TELL_H

#include "engine/tensorflow/protocol.h"

/* Sends it, again and again for a second while the kernel has no memory for it; then the calling
 * process ends, which the server hears of in another way, and starts it anew. Where the server has
 * gone that is found out by who reads. */
void tf_tell(int socket, const sl_tf_msg *m);

#endif
