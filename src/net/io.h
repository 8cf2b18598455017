/*
 * io.h - bytes to and from a peer, through whatever lies between
 *
 * A connection reads and writes through an sl_io. Without a filter (ops == NULL) that is the socket
 * itself, at the price of one predictable branch; a filter (TLS, net/tls.h) puts its own functions
 * and its state there. All calls are for the connection's thread and never block.
 *
 * What writev() did not take must come again, the same bytes first: a filter may have encrypted
 * them already.
 */
#ifndef SL_NET_IO_H
#define SL_NET_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

typedef struct sl_io sl_io;

typedef struct sl_io_ops {
    /* As read(2) and writev(2): bytes, 0 for the end of input, or -1 and errno; EAGAIN when it must
     * wait for the socket. */
    ssize_t (*read)(sl_io *io, void *p, size_t n);
    ssize_t (*writev)(sl_io *io, const struct iovec *v, int n);
    /* No more output: tells the peer. Input may still come. */
    void (*shutdown)(sl_io *io);
    /* Not zero: read() has something to do that the socket will not tell of. */
    size_t (*buffered)(sl_io *io);
    /* (optional) Does read() wait for the socket to become writable (a filter has to answer its
     * peer first)? */
    bool (*wants_write)(const sl_io *io);
    /* Frees the filter's state; the caller closes the socket. */
    void (*free)(sl_io *io);
} sl_io_ops;

struct sl_io {
    int fd;
    const sl_io_ops *ops; /* NULL: the bare socket */
    void *state;          /* the filter's */
};

/* The bare socket; no SIGPIPE. */
ssize_t sl_socket_read(int fd, void *p, size_t n);
ssize_t sl_socket_writev(int fd, const struct iovec *v, int n);
void sl_socket_shutdown(int fd);

static inline ssize_t sl_io_read(sl_io *io, void *p, size_t n)
{
    return io->ops ? io->ops->read(io, p, n) : sl_socket_read(io->fd, p, n);
}
static inline ssize_t sl_io_writev(sl_io *io, const struct iovec *v, int n)
{
    return io->ops ? io->ops->writev(io, v, n) : sl_socket_writev(io->fd, v, n);
}
static inline void sl_io_shutdown(sl_io *io)
{
    if (io->ops)
        io->ops->shutdown(io);
    else
        sl_socket_shutdown(io->fd);
}
static inline size_t sl_io_buffered(sl_io *io)
{
    return io->ops ? io->ops->buffered(io) : 0;
}
static inline bool sl_io_wants_write(const sl_io *io)
{
    return io->ops && io->ops->wants_write && io->ops->wants_write(io);
}
/* The peer does not read: when the socket is closed, what the system still holds for it goes, too,
 * instead of being offered to it for minutes. */
void sl_io_give_up(sl_io *io);
/* Frees the filter, if there is one, and closes the socket. */
void sl_io_close(sl_io *io);

#endif
