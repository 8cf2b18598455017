/*
 * hold.c - see hold.h
 *
 * A lease that is to be given up can be seen (F_GETLEASE says so), and one thread looks at all of
 * them a few times a second, as long as there are any; the signal that the kernel would send is
 * sent away. The writer waits for that: a moment and the copying, far below the 45 s after which
 * the kernel loses its patience.
 *
 * The copy takes the mapping's place in one step (mremap onto it), so whoever is reading meanwhile
 * sees the same bytes before and after.
 */
#include "base/hold.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

enum { LOOK_MS = 100, PIECE = 64 << 10, POLITE_PIECE = 4 << 10, LARGE = 4 << 20, SMALL = 64 << 10 };

typedef struct held {
    struct held *next;
    void *at;
    size_t size;
    int fd; /* with the lease; -1: copied in place */
} held;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static held *all; /* those with a lease */
static bool watched;

/* ---- memory ---- */

static sl_code fail(sl_status *st, const char *path, int e)
{
    return sl_fail(st, sl_code_of_errno(e), "%s; %s", path, strerror(e));
}

/* Within one call the kernel may keep the processor from those that answer: for some 20 us where a piece is
 * sixteen fresh pages. */
static size_t piece_of(size_t left)
{
    return SL_MIN(left, (size_t)(sl_thread_is_nice() ? POLITE_PIECE : PIECE));
}

sl_code sl_held_read(const sl_held_file *f, const char *path, uint64_t offset, void *to,
                     size_t size, sl_status *st)
{
    for (size_t got = 0; got < size;) {
        size_t piece = piece_of(size - got);
        ssize_t n = pread(f->fd, (char *)to + got, piece, (off_t)(offset + got));
        if (sl_fault_hit(SL_FAULT_READ)) {
            n = -1;
            errno = EIO;
        }
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return fail(st, path, errno);
        if (n == 0)
            return sl_fail(st, SL_DATA_LOSS, "%s; the file has become shorter", path);
        got += (size_t)n;
        sl_thread_rest();
    }
    return SL_OK;
}

/* In pieces, so that nobody who needs the address space waits for the whole. */
static void unmap(void *at, size_t size)
{
    for (size_t done = 0; done < size;) {
        size_t n = piece_of(size - done);
        munmap((char *)at + done, n);
        done += n;
        sl_thread_rest();
    }
}

static void unmap_weights(sl_buffer *b)
{
    unmap(b->data, b->size);
    sl_free(b);
}

sl_buffer *sl_buffer_try_new_weights(size_t size)
{
    if (size < (size_t)LARGE)
        return sl_buffer_try_new(size);
    void *at = sl_fault_hit(SL_FAULT_ALLOC)
                   ? MAP_FAILED
                   : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    sl_buffer *b = at != MAP_FAILED ? sl_buffer_try_wrap(at, size, unmap_weights, NULL) : NULL;
    if (b == NULL && at != MAP_FAILED)
        munmap(at, size);
    return b;
}

/* ---- leases ---- */

static bool lease(int fd)
{
    /* Before the lease: what is sent when it is broken is thrown away by default. */
    return fcntl(fd, F_SETSIG, SIGURG) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0;
}

/* With the lock. */
static void copy_in_place(held *h)
{
    void *copy = mmap(NULL, h->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (copy != MAP_FAILED) {
        memcpy(copy, h->at, h->size);
        mprotect(copy, h->size, PROT_READ);
        if (mremap(copy, h->size, h->size, MREMAP_MAYMOVE | MREMAP_FIXED, h->at) == MAP_FAILED)
            munmap(copy, h->size);
    } else {
        sl_log(SL_ERROR,
               "a file of weights is being overwritten, and there is no memory to keep its "
               "%zu bytes",
               h->size);
    }
    fcntl(h->fd, F_SETLEASE, F_UNLCK);
    close(h->fd);
    h->fd = -1;
}

static void check(void)
{
    for (held **at = &all; *at != NULL;) {
        held *h = *at;
        if (fcntl(h->fd, F_GETLEASE) == F_RDLCK) {
            at = &h->next;
            continue;
        }
        sl_log(SL_WARNING,
               "a file of weights that is in use is being written to: what is loaded stays as "
               "it was");
        *at = h->next;
        copy_in_place(h);
    }
}

void sl_file_hold_check(void)
{
    pthread_mutex_lock(&lock);
    check();
    pthread_mutex_unlock(&lock);
}

static void *watch(void *arg)
{
    struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};
    (void)arg;
    pthread_mutex_lock(&lock);
    while (all != NULL) {
        pthread_mutex_unlock(&lock);
        nanosleep(&pause, NULL);
        pthread_mutex_lock(&lock);
        check();
    }
    watched = false;
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* With the lock. Without the thread nobody would ever let a writer go on before the kernel does. */
static bool start_watch(void)
{
    pthread_t thread;
    if (!watched && sl_thread_start(&thread, "sl-leases", watch, NULL, NULL) == SL_OK) {
        watched = true;
        pthread_detach(thread);
    }
    return watched;
}

/* ---- buffers ---- */

static void let_go(sl_buffer *b)
{
    held *h = b->owner;
    pthread_mutex_lock(&lock);
    for (held **at = &all; *at != NULL; at = &(*at)->next)
        if (*at == h) {
            *at = h->next;
            break;
        }
    pthread_mutex_unlock(&lock);
    if (h->fd >= 0)
        close(h->fd); /* and with it the lease */
    unmap(h->at, h->size);
    sl_free(h);
    sl_free(b);
}

static bool hold_mapped(held *h, int fd)
{
    if (!lease(fd))
        return false;
    h->at = mmap(NULL, h->size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (h->at == MAP_FAILED) {
        fcntl(fd, F_SETLEASE, F_UNLCK);
        return false;
    }
    pthread_mutex_lock(&lock);
    h->next = all;
    h->fd = fd;
    all = h;
    bool ok = start_watch();
    if (!ok)
        all = h->next;
    pthread_mutex_unlock(&lock);
    if (!ok) {
        munmap(h->at, h->size);
        fcntl(fd, F_SETLEASE, F_UNLCK);
    }
    return ok;
}

static sl_buffer *map(int fd, size_t size)
{
    held *h = sl_try_calloc(1, sizeof *h);
    sl_buffer *b = h ? sl_buffer_try_wrap(NULL, size, let_go, h) : NULL;
    if (b == NULL) {
        sl_free(h);
        return NULL;
    }
    h->size = size;
    if (!hold_mapped(h, fd)) {
        sl_free(h);
        sl_free(b);
        return NULL;
    }
    b->data = h->at;
    return b;
}

sl_code sl_file_hold(const char *path, sl_held_file *out, sl_status *st)
{
    struct stat s;
    *out = (sl_held_file){.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (out->fd < 0)
        return fail(st, path, errno);
    if (fstat(out->fd, &s) || !S_ISREG(s.st_mode)) {
        sl_file_let_go(out);
        return sl_fail(st, SL_FAILED_PRECONDITION, "%s; %s", path,
                       S_ISDIR(s.st_mode) ? "Is a directory" : "Not a regular file");
    }
    out->size = (uint64_t)s.st_size;
    if (s.st_size >= SMALL)
        out->mapped = map(out->fd, (size_t)s.st_size);
    if (out->mapped != NULL)
        out->fd = -1; /* the mapping's, with the lease */
    return SL_OK;
}

void sl_file_let_go(sl_held_file *f)
{
    sl_buffer_release(f->mapped);
    if (f->fd >= 0)
        close(f->fd);
    *f = (sl_held_file){.fd = -1};
}
