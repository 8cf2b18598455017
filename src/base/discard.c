/*
 * discard.c - see discard.h
 *
 * A block that is laid aside is its own link in the list. What it holds goes by madvise, of the
 * pages that are wholly inside it; what the allocator has to do afterwards costs little, even if
 * the block does not have a mapping of its own.
 */
#include "base/discard.h"

#include <sched.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/thread.h"

enum { PIECE = 256 << 10 };
#define MOST ((size_t)256 << 20)

typedef struct aside {
    struct aside *next;
    size_t size;
} aside;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sl_cond came;
static aside *first;
static size_t bytes; /* of those in the list, and of those that are being given back */
static bool running, ending;
static pthread_t thread;

static void give_back(aside *a)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
    uintptr_t begin = ((uintptr_t)(a + 1) + page - 1) & ~(page - 1);
    uintptr_t end = ((uintptr_t)a + a->size) & ~(page - 1);
    for (uintptr_t at = begin; at < end; at += SL_MIN((uintptr_t)PIECE, end - at)) {
        madvise((void *)at, SL_MIN((uintptr_t)PIECE, end - at), MADV_DONTNEED);
        sl_thread_step_aside();
    }
    sl_free(a);
}

static void *run(void *arg)
{
    (void)arg;
    sl_thread_short_turns(0, SCHED_BATCH);
    pthread_mutex_lock(&lock);
    while (first != NULL || !ending) {
        aside *a = first;
        if (a == NULL) {
            sl_cond_wait(&came, &lock);
            continue;
        }
        first = a->next;
        size_t size = a->size;
        pthread_mutex_unlock(&lock);
        give_back(a);
        pthread_mutex_lock(&lock);
        bytes -= size;
    }
    pthread_mutex_unlock(&lock);
    return NULL;
}

void sl_discard_large(void *p, size_t size)
{
    bool taken = false;
    if (p != NULL && sl_thread_is_prompt()) {
        pthread_mutex_lock(&lock);
        taken = running && bytes < MOST;
        if (taken) {
            *(aside *)p = (aside){first, size};
            first = p;
            bytes += size;
        }
        pthread_mutex_unlock(&lock);
    }
    if (taken)
        sl_cond_signal(&came);
    else
        sl_free(p);
}

sl_code sl_discard_start(sl_status *st)
{
    ending = false;
    sl_code rc = sl_thread_start(&thread, "sl-discard", run, NULL, st);
    pthread_mutex_lock(&lock);
    running = rc == SL_OK;
    pthread_mutex_unlock(&lock);
    return rc;
}

void sl_discard_end(void)
{
    pthread_mutex_lock(&lock);
    bool was = running;
    running = false;
    ending = true;
    pthread_mutex_unlock(&lock);
    if (!was)
        return;
    sl_cond_signal(&came);
    pthread_join(thread, NULL);
}
