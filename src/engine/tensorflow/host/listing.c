/* listing.c - see listing.h */
#include "engine/tensorflow/host/listing.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "engine/tensorflow/host/autogroup.h"
#include "engine/tensorflow/host/ops.h"

/* The server waits for 30 seconds (engine.c). */
static const uint64_t PATIENCE_NS = 20000000000u, SECOND_NS = 1000000000u;

typedef struct question {
    uint64_t id;
    int file;
} question;

static struct {
    tf_listing_answer *answer;
    pid_t pid; /* 0: it has ended */
    int fd;    /* what it writes */
    tf_ops ops;
    question *waiting;
    size_t n, cap;
    uint64_t due_ns; /* UINT64_MAX: nobody waits for it */
} listing;

void tf_listing_begin(tf_listing_answer *answer)
{
    listing.answer = answer;
    listing.due_ns = UINT64_MAX;
    listing.fd = sl_fault_hit(SL_FAULT_ALLOC) ? -1 : memfd_create("ops", MFD_CLOEXEC);
    listing.pid = sl_fault_hit(SL_FAULT_THREAD) ? -1 : fork();
    if (listing.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        tf_give_way();
        _exit(tf_write_ops(listing.fd) ? 0 : 1);
    }
}

static void answer(question q)
{
    listing.answer(q.id, tf_strike_out(&listing.ops, q.file), listing.ops.version);
    close(q.file);
}

void tf_listing_ask(uint64_t id, int file)
{
    question q = {id, file};
    if (listing.pid <= 0) {
        answer(q);
        return;
    }
    question *more = sl_try_grow(listing.waiting, listing.n, &listing.cap, sizeof q);
    if (more == NULL) {
        answer(q); /* that nothing is known yet */
        return;
    }
    listing.waiting = more;
    listing.waiting[listing.n++] = q;
    listing.due_ns = SL_MIN(listing.due_ns, sl_now_ns() + PATIENCE_NS);
}

void tf_listing_reap(void)
{
    int status;
    if (listing.pid <= 0 || waitpid(listing.pid, &status, WNOHANG) != listing.pid)
        return;
    listing.pid = 0;
    listing.due_ns = UINT64_MAX;
    if (status == 0)
        tf_read_ops(&listing.ops, listing.fd);
    if (listing.fd >= 0)
        close(listing.fd);
    for (size_t i = 0; i < listing.n; i++)
        answer(listing.waiting[i]);
    listing.n = 0;
}

uint64_t tf_listing_keep(uint64_t now_ns)
{
    if (now_ns < listing.due_ns)
        return listing.due_ns;
    kill(listing.pid, SIGKILL); /* not reaped yet, so the number is still its own */
    listing.due_ns = now_ns + SECOND_NS;
    return listing.due_ns;
}
