/* tell.c - see tell.h */
#include "engine/tensorflow/host/tell.h"

#include "engine/tensorflow/ipc.h"

enum { TRIES = 100 };
static const struct timespec between = {.tv_nsec = 10000000};

void tf_tell(int socket, const sl_tf_msg *m)
{
    int e = sl_tf_send(socket, m, NULL, 0);
    for (int i = 1; i < TRIES && (e == ENOBUFS || e == ENOMEM); i++) {
        nanosleep(&between, NULL);
        e = sl_tf_send(socket, m, NULL, 0);
    }
    if (e == ENOBUFS || e == ENOMEM) {
        fprintf(stderr, "no memory to tell the server what has happened\n");
        _exit(1);
    }
}
