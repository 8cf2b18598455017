/*
 * worker.c - the thread of one slot: waits for a request, has it served, hands the answer over
 *
 * It sleeps at once when there is nothing to do: the server's side looks for the answer before it
 * sleeps (run.c), and only one of the two may. Where both do and share a processor, each burns the
 * time that the other one needs: 30 us instead of 6 for half plus two (bench/tf_run.c).
 */
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/host/child.h"
#include "engine/tensorflow/host/turns.h"
#include "engine/tensorflow/ipc.h"

tf_view *tf_view_map(int fd, size_t size)
{
    struct stat s;
    if (fstat(fd, &s) != 0)
        return NULL;
    if ((size_t)s.st_size < size) {
        errno = EINVAL;
        return NULL;
    }
    tf_view *v = sl_try_malloc(sizeof *v);
    void *base = MAP_FAILED;
    if (v != NULL && !sl_fault_hit(SL_FAULT_ALLOC))
        base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (base == MAP_FAILED) {
        sl_free(v);
        return NULL;
    }
    *v = (tf_view){.refs = 1, .base = base, .size = size};
    return v;
}

void tf_view_release(tf_view *v)
{
    if (v == NULL || __atomic_sub_fetch(&v->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    munmap(v->base, v->size);
    sl_free(v);
}

/* The region of this generation was sent before the request was written, but it comes by another
 * way: the main thread may still be about to read it. */
static void take_next_region(tf_worker *w, uint32_t generation)
{
    tf_child *c = w->child;
    pthread_mutex_lock(&c->lock);
    while (w->next_generation != generation)
        sl_cond_wait(&c->arrived, &c->lock);
    if (w->fd >= 0)
        close(w->fd);
    w->fd = w->next_fd;
    w->next_fd = -1;
    w->generation = generation;
    pthread_mutex_unlock(&c->lock);
    tf_view_release(w->view);
    w->view = NULL;
}

/* False: there is no memory for it, or no room for its descriptor. */
static bool map_region(tf_worker *w, sl_tf_slot *slot)
{
    uint32_t generation = atomic_load(&slot->generation);
    if (generation != w->generation || w->fd < 0)
        take_next_region(w, generation);
    size_t size = atomic_load(&slot->region_size);
    if (w->view != NULL && w->view->size == size)
        return true;
    tf_view_release(w->view);
    w->view = w->fd >= 0 ? tf_view_map(w->fd, size) : NULL;
    return w->view != NULL;
}

static void wait_for_request(sl_tf_slot *slot)
{
    atomic_store(&slot->child_sleeps, 1);
    for (;;) {
        uint32_t state = atomic_load(&slot->state);
        if (state == SL_TF_REQUEST)
            break;
        sl_tf_futex_wait(&slot->state, state, 0);
    }
    atomic_store(&slot->child_sleeps, 0);
}

/* The state alone says so: an answer would go where the request is. */
static void hand_back_unread(sl_tf_slot *slot)
{
    sl_tf_hand_over(&slot->state, SL_TF_UNABLE, &slot->server_sleeps);
}

void tf_worker_refuse(tf_worker *w)
{
    sl_tf_slot *slot = &w->child->control->slots[w->slot];
    wait_for_request(slot); /* which follows its region at once */
    hand_back_unread(slot);
}

void *tf_worker_main(void *arg)
{
    tf_worker *w = arg;
    sl_tf_slot *slot = &w->child->control->slots[w->slot];
    for (;;) {
        wait_for_request(slot);
        if (!map_region(w, slot)) {
            hand_back_unread(slot);
            continue;
        }
        tf_turns_work();
        tf_serve(w);
        tf_turns_wait();
        sl_tf_hand_over(&slot->state, SL_TF_REPLY, &slot->server_sleeps);
    }
    return NULL;
}
