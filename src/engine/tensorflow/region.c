/*
 * region.c - shared memory of one slot
 *
 * Pages are taken with fallocate when a region is made or grows: it can fail politely, where
 * touching a page that cannot be had would be a SIGBUS.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/tensorflow/internal.h"

enum { GRANULE = 64 * 1024, LARGE = 4 << 20 };

static bool round_up(size_t size, size_t *out)
{
    size_t padded;
    if (!sl_add_size(size, size / 8 + GRANULE - 1, &padded) || padded > (size_t)1 << 46)
        return false;
    *out = padded & ~(size_t)(GRANULE - 1);
    return true;
}

int tf_memfd(const char *name)
{
    if (sl_fault_hit(SL_FAULT_ALLOC)) {
        errno = ENOMEM;
        return -1;
    }
    return memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
}

void *tf_map(int fd, size_t size)
{
    if (sl_fault_hit(SL_FAULT_ALLOC)) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
}

static bool take_pages(int fd, size_t size)
{
    if (sl_fault_hit(SL_FAULT_ALLOC)) {
        errno = ENOSPC;
        return false;
    }
    return fallocate(fd, 0, 0, (off_t)size) == 0;
}

tf_region *tf_region_new(size_t size)
{
    tf_region *r = sl_try_calloc(1, sizeof *r);
    if (r == NULL || !round_up(size, &size)) {
        sl_free(r);
        return NULL;
    }
    *r = (tf_region){.refs = 1, .size = size, .base = MAP_FAILED};
    r->fd = tf_memfd("sluice-slot");
    if (r->fd >= 0 && take_pages(r->fd, size) &&
        fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_SEAL) == 0)
        r->base = tf_map(r->fd, size);
    if (r->base != MAP_FAILED)
        return r;
    if (r->fd >= 0)
        close(r->fd);
    sl_free(r);
    return NULL;
}

tf_region *tf_region_acquire(tf_region *r)
{
    __atomic_fetch_add(&r->refs, 1, __ATOMIC_RELAXED);
    return r;
}

void tf_region_release(tf_region *r)
{
    if (r == NULL || __atomic_fetch_sub(&r->refs, 1, __ATOMIC_ACQ_REL) > 1)
        return;
    munmap(r->base, r->size);
    close(r->fd);
    sl_free(r);
}

/* Where the system lets shared memory ask for it (shmem_enabled=advise), large regions get large
 * pages. */
static void ask_for_large_pages(tf_region *r)
{
    if (r->size >= LARGE)
        madvise(r->base, r->size, MADV_HUGEPAGE);
}

static bool map_anew(tf_region *r, size_t size)
{
    void *moved =
        sl_fault_hit(SL_FAULT_ALLOC) ? MAP_FAILED : mremap(r->base, r->size, size, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        return false;
    r->base = moved;
    r->size = size;
    ask_for_large_pages(r);
    return true;
}

bool tf_region_grow(tf_region *r, size_t size)
{
    if (size <= r->size)
        return true;
    return round_up(size, &size) && take_pages(r->fd, size) && map_anew(r, size);
}

bool tf_region_follow(tf_region *r, uint64_t size)
{
    struct stat s;
    if (size <= r->size)
        return true;
    /* The seal keeps what is there from going away again. */
    return size <= (uint64_t)1 << 46 && fstat(r->fd, &s) == 0 && (uint64_t)s.st_size >= size &&
           map_anew(r, size);
}

void tf_region_trim(tf_region *r)
{
    if (r->size > GRANULE)
        fallocate(r->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, GRANULE,
                  (off_t)(r->size - GRANULE));
}

int tf_sealed_memfd(const char *name, size_t size, const void *contents)
{
    int fd = tf_memfd(name);
    if (fd < 0)
        return -1;
    bool ok = take_pages(fd, size);
    for (size_t at = 0; ok && contents != NULL && at < size;) {
        ssize_t n = sl_fault_hit(SL_FAULT_WRITE)
                        ? -1
                        : pwrite(fd, (const char *)contents + at, size - at, (off_t)at);
        ok = n > 0;
        at += n > 0 ? (size_t)n : 0;
    }
    int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL | (contents ? F_SEAL_WRITE : 0);
    if (ok && fcntl(fd, F_ADD_SEALS, seals) == 0)
        return fd;
    close(fd);
    return -1;
}
