/* io.c - the bare socket under every connection */
#include "net/io.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fault.h"

ssize_t sl_socket_read(int fd, void *p, size_t n)
{
    if (sl_fault_hit(SL_FAULT_READ)) {
        errno = ECONNRESET;
        return -1;
    }
    ssize_t got;
    do
        got = recv(fd, p, n, 0);
    while (got < 0 && errno == EINTR);
    return got;
}

/* sendmsg, because writev has no MSG_NOSIGNAL; send for one piece, because it is cheaper. */
ssize_t sl_socket_writev(int fd, const struct iovec *v, int n)
{
    if (sl_fault_hit(SL_FAULT_WRITE)) {
        errno = ECONNRESET;
        return -1;
    }
    struct msghdr m = {.msg_iov = (struct iovec *)v, .msg_iovlen = (size_t)n};
    ssize_t put;
    do
        put = n == 1 ? send(fd, v->iov_base, v->iov_len, MSG_NOSIGNAL)
                     : sendmsg(fd, &m, MSG_NOSIGNAL);
    while (put < 0 && errno == EINTR);
    return put;
}

void sl_socket_shutdown(int fd)
{
    shutdown(fd, SHUT_WR);
}

void sl_io_give_up(sl_io *io)
{
    struct linger none = {.l_onoff = 1};
    setsockopt(io->fd, SOL_SOCKET, SO_LINGER, &none, sizeof none);
}

void sl_io_close(sl_io *io)
{
    if (io->ops != NULL)
        io->ops->free(io);
    io->ops = NULL;
    if (io->fd >= 0)
        close(io->fd);
    io->fd = -1;
}
