/*
 * read.c - the reading that TensorFlow does, in pieces
 *
 * TensorFlow reads a variable with one call, whatever its size. A process that is in such a call is
 * not stopped before it ends (pace.c): a quarter of a second for half a gigabyte, in which it keeps
 * a processor from those that answer requests. So the program defines the calls itself; a library
 * that it has opened finds these before the C library's.
 *
 * And what so much is read into gets large pages where it may: a fault for 2 MB instead of 512,
 * which is a good part of what loading costs, as giving them back is of unloading.
 */
#include <errno.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/mem.h"

enum {
    PIECE = 256 * 1024, /* bytes, some 50 us */
    LARGE = 4 << 20,
    LARGE_PAGE = 2 << 20
};

ssize_t pread64(int fd, void *to, size_t n, off64_t at);

/* Only whole ones: it does not take more memory for that. */
static void want_large_pages(void *to, size_t n)
{
    uintptr_t begin = (uintptr_t)to, end = begin + n;
    begin = (begin + LARGE_PAGE - 1) & ~(uintptr_t)(LARGE_PAGE - 1);
    end &= ~(uintptr_t)(LARGE_PAGE - 1);
    int e = errno;
    if (begin < end && madvise((void *)begin, end - begin, MADV_HUGEPAGE) != 0)
        errno = e; /* small ones, then */
}

/* As whole as the original: what is short here is short there. */
ssize_t pread64(int fd, void *to, size_t n, off64_t at)
{
    size_t done = 0;
    if (n >= LARGE)
        want_large_pages(to, n);
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
