/*
 * read.c - the reading that TensorFlow does, in pieces
 *
 * TensorFlow reads a variable with one call, whatever its size. A thread that is in such a call does
 * not let go of its processor before it ends (turns.h): a quarter of a second for half a gigabyte, in
 * which those wait who answer requests. So the program defines the calls itself; a library that it
 * has opened finds these before the C library's. Not into large pages: clearing one is up to a
 * millisecond in one piece.
 *
 * Who reads so much is a thread of a pool: here it is seen to begin.
 */
#include <errno.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/tensorflow/host/turns.h"

enum {
    PIECE = 32 * 1024 /* bytes, some 50 us with the faults */
};

ssize_t pread64(int fd, void *to, size_t n, off64_t at);

/* As whole as the original: what is short here is short there. */
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
    size_t done = 0;
    if (sl_fault_hit(SL_FAULT_READ)) {
        errno = EIO;
        return -1;
    }
    if (n > PIECE)
        tf_turns_join();
    do {
        size_t piece = SL_MIN(n - done, (size_t)PIECE);
        ssize_t got = syscall(SYS_pread64, fd, (char *)to + done, piece, at + (off64_t)done);
        if (got < 0 && done == 0)
            return got;
        if (got <= 0)
            break;
        done += (size_t)got;
        if ((size_t)got < piece)
            break;
    } while (done < n);
    return (ssize_t)done;
}

ssize_t pread(int fd, void *to, size_t n, off_t at)
{
    return pread64(fd, to, n, at);
}
