/*
 * child.c - loads one version, then hands regions to the slots' threads (child.h)
 *
 * The order matters: descriptors first (nothing of the host's may stay), then the sandbox (the
 * model's bytes are hostile), then the load. Text of errors is TensorFlow's own.
 */
#include "engine/tensorflow/host/child.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/host/give_back.h"
#include "engine/tensorflow/host/sandbox.h"
#include "engine/tensorflow/host/tell.h"
#include "engine/tensorflow/host/turns.h"
#include "engine/tensorflow/ipc.h"

static tf_child child;

_Noreturn static void give_up(sl_code code, const char *text)
{
    sl_tf_msg m = {.kind = SL_TF_FAILED, .code = (uint32_t)code};
    sl_tf_msg_text(&m, text);
    tf_tell(child.socket, &m);
    _exit(1);
}

static void *map(int fd, size_t size, int protection)
{
    void *p =
        sl_fault_hit(SL_FAULT_ALLOC) ? MAP_FAILED : mmap(NULL, size, protection, MAP_SHARED, fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static void read_params(const void *blob, size_t n)
{
    sl_code rc = blob == NULL || child.control == NULL ? SL_RESOURCE_EXHAUSTED
                                                       : tf_params_read(&child.params, blob, n);
    if (rc == SL_RESOURCE_EXHAUSTED)
        give_up(rc, "out of memory: load parameters");
    if (rc)
        give_up(rc, "the load parameters cannot be read");
}

static void take_descriptors(const int fds[4], int turns, pid_t host)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    if (getppid() != host)
        _exit(1); /* it died before it could be told to take us with it */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
    child.socket = fds[0];
    dup2(fds[3], 1);
    dup2(fds[3], 2);
    child.smaps = open("/proc/self/smaps_rollup", O_RDONLY | O_CLOEXEC);
    child.maps = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    tf_close_others((int[]){fds[0], fds[1], fds[2], child.smaps, child.maps, turns}, 6);
    struct stat s;
    void *blob = fstat(fds[1], &s) == 0 ? map(fds[1], (size_t)s.st_size, PROT_READ) : NULL;
    child.control = map(fds[2], sizeof *child.control, PROT_READ | PROT_WRITE);
    read_params(blob, blob != NULL ? (size_t)s.st_size : 0);
    close(fds[1]);
    close(fds[2]);
}

static void load(void)
{
    TF_Status *ts = TF.NewStatus();
    TF_SessionOptions *options = TF.NewSessionOptions();
    TF.SetConfig(options, child.params.config, child.params.config_n, ts);
    if (TF.GetCode(ts) != SL_OK)
        give_up((sl_code)TF.GetCode(ts), TF.Message(ts));
    child.graph = TF.NewGraph();
    child.session =
        TF.LoadSessionFromSavedModel(options, NULL, child.params.dir, child.params.tags.names,
                                     child.params.tags.n, child.graph, NULL, ts);
    if (TF.GetCode(ts) != SL_OK)
        give_up((sl_code)TF.GetCode(ts), TF.Message(ts));
    TF.DeleteSessionOptions(options);
    TF.DeleteStatus(ts);
}

static void *need(void *p)
{
    if (p == NULL)
        give_up(SL_RESOURCE_EXHAUSTED, "out of memory: signatures");
    return p;
}

/* "x:0" -> the operation's output; "x" is its output 0, as TensorFlow reads it. */
static TF_Output find(const char *name)
{
    TF_Output out = {.index = 0};
    const char *colon = strrchr(name, ':');
    size_t n = strlen(name);
    if (colon != NULL && colon[1] != '\0' && strspn(colon + 1, "0123456789") == strlen(colon + 1)) {
        long index = strtol(colon + 1, NULL, 10);
        out.index = index > 1 << 20 ? 1 << 20 : (int)index;
        n = (size_t)(colon - name);
    }
    char *operation = need(sl_try_malloc(n + 1));
    memcpy(operation, name, n);
    operation[n] = '\0';
    out.oper = TF.GraphOperationByName(child.graph, operation);
    sl_free(operation);
    if (out.oper != NULL && out.index >= TF.OperationNumOutputs(out.oper))
        out.index = -1;
    return out;
}

static void resolve(tf_signature *s)
{
    s->feeds = need(sl_try_calloc((size_t)s->inputs.n, sizeof *s->feeds));
    s->fetches = need(sl_try_calloc((size_t)s->outputs.n, sizeof *s->fetches));
    for (int i = 0; i < s->inputs.n; i++)
        s->feeds[i] = find(s->inputs.names[i]);
    for (int i = 0; i < s->outputs.n; i++)
        s->fetches[i] = find(s->outputs.names[i]);
}

/*
 * RunOptions.inter_op_thread_pool (field 3) = -1: every op runs in the thread that called
 * TF_SessionRun. A small graph has nothing to win from more threads, and loses two hand-overs: half
 * plus two takes 7 us this way and 18 to 35 us through the pool. The server decides (session.c).
 */
static TF_Buffer *make_run_options(void)
{
    static const unsigned char caller[] = {0x18, 0xff, 0xff, 0xff, 0xff, 0xff,
                                           0xff, 0xff, 0xff, 0xff, 0x01};
    return child.params.inline_run ? TF.NewBufferFromString(caller, sizeof caller) : NULL;
}

/* `fd` -1: it has not come, there was no room for it. */
static void take_region(const sl_tf_msg *m, int fd)
{
    tf_worker *w = &child.workers[m->slot];
    pthread_mutex_lock(&child.lock);
    if (w->next_fd >= 0)
        close(w->next_fd);
    w->next_fd = fd;
    w->next_generation = m->generation;
    sl_cond_broadcast(&child.arrived);
    pthread_mutex_unlock(&child.lock);
    if (w->started)
        return;
    w->child = &child;
    w->slot = (int)m->slot;
    w->fd = -1;
    pthread_t thread;
    w->started =
        !sl_fault_hit(SL_FAULT_THREAD) && pthread_create(&thread, NULL, tf_worker_main, w) == 0;
    if (w->started)
        pthread_detach(thread);
    else
        tf_worker_refuse(w); /* tried again with the next region */
}

/* What would come back if this process ended: its own pages, and its share of the slots' regions.
 */
static uint64_t memory_used(void)
{
    static uint64_t last;
    char text[4096];
    ssize_t n = sl_fault_hit(SL_FAULT_READ) ? -1 : pread(child.smaps, text, sizeof text - 1, 0);
    uint64_t kilobytes = 0;
    if (n <= 0)
        return last; /* rather than none at all */
    text[n] = '\0';
    static const char *const fields[] = {
        "\nPrivate_Clean:", "\nPrivate_Dirty:", "\nPrivate_Hugetlb:", "\nPss_Shmem:"};
    for (size_t i = 0; i < SL_COUNTOF(fields); i++) {
        const char *at = strstr(text, fields[i]);
        if (at != NULL)
            kilobytes += strtoull(at + strlen(fields[i]), NULL, 10);
    }
    return last = kilobytes * 1024;
}

/* Where others are asked, who has taken over answers its first requests now, and those are slow
 * enough. */
_Noreturn static void end(bool gently)
{
    if (gently)
        nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    tf_give_back(child.maps, gently);
    _exit(0);
}

_Noreturn static void listen_to_server(void)
{
    for (;;) {
        sl_tf_msg m;
        int fd = -1, n = 0;
        int got = sl_tf_receive(child.socket, &m, &fd, 1, &n);
        if (got == 0)
            _exit(0); /* closed: the memory goes with the process */
        if (got < 0)
            continue;
        if (m.kind == SL_TF_REGION && m.slot < SL_TF_SLOTS) {
            take_region(&m, n == 1 ? fd : -1);
        } else if (m.kind == SL_TF_MEMORY) {
            sl_tf_msg reply = {.kind = SL_TF_MEMORY, .value = memory_used()};
            sl_tf_send(child.socket, &reply, NULL, 0);
        } else if (m.kind == SL_TF_SERVE) {
            tf_turns_end();
        } else if (m.kind == SL_TF_END) {
            end(m.value != 0);
        }
    }
}

_Noreturn void tf_child_main(const int fds[4], pid_t host, bool gently)
{
    int turns = gently ? tf_turns_begin() : -1;
    take_descriptors(fds, turns, host);
    prctl(PR_SET_NAME, "tensorflow");
    sl_status st;
    if (tf_sandbox(child.params.readable.names, child.params.readable.n, &st))
        give_up(st.code, st.msg);
    pthread_mutex_init(&child.lock, NULL);
    sl_cond_init(&child.arrived);
    for (int i = 0; i < SL_TF_SLOTS; i++)
        child.workers[i].next_fd = -1;
    load();
    for (int i = 0; i < child.params.n_signatures; i++)
        resolve(&child.params.signatures[i]);
    child.run_options = make_run_options();
    tf_turns_wait();
    sl_tf_msg m = {.kind = SL_TF_LOADED};
    tf_tell(child.socket, &m);
    listen_to_server();
}
