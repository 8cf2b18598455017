/*
 * child.c - the server's side of one process: having it started, publishing it, burying it
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

static const uint64_t BACKOFF_FIRST_NS = 100000000u, BACKOFF_MAX_NS = 30000000000u;
static const uint64_t STEADY_NS =
    60000000000u; /* a child that lived so long starts the count anew */

static void close_pair(int pair[2])
{
    for (int i = 0; i < 2; i++)
        if (pair[i] >= 0)
            close(pair[i]);
}

/* Only our ends must not block: the child is in no hurry to be polite. */
static void unblock(int fd)
{
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static tf_child *new_child(int *control_fd)
{
    tf_child *c = sl_try_calloc(1, sizeof *c);
    *control_fd = tf_sealed_memfd("sluice-control", sizeof(sl_tf_control), NULL);
    void *control = MAP_FAILED;
    if (c != NULL && *control_fd >= 0)
        control = tf_map(*control_fd, sizeof(sl_tf_control));
    if (control == MAP_FAILED) {
        sl_free(c);
        return NULL;
    }
    c->refs = 1;
    c->control = control;
    c->socket = -1;
    return c;
}

void tf_child_release(tf_child *c)
{
    if (--c->refs > 0)
        return;
    for (int i = 0; i < c->n_places; i++)
        tf_region_release(c->places[i].region);
    if (c->socket >= 0)
        close(c->socket);
    munmap(c->control, sizeof *c->control);
    sl_free(c);
}

sl_code tf_child_start(sl_session *s, sl_status *st)
{
    int sockets[2] = {-1, -1}, lines[2] = {-1, -1}, control = -1;
    errno = ENOMEM;
    tf_child *c = new_child(&control);
    sl_code rc = SL_OK;
    if (c == NULL || socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0 ||
        pipe2(lines, O_CLOEXEC) != 0) {
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "cannot start the TensorFlow process of %s: %s",
                     s->label, strerror(errno));
    } else {
        sl_tf_msg m = {.kind = SL_TF_LOAD, .session = s->id, .value = s->at_once || s->serving};
        int e = sl_tf_send(s->engine->host_socket, &m,
                           (int[]){sockets[1], s->params, control, lines[1]}, 4);
        if (e)
            rc = sl_fail(st, SL_UNAVAILABLE, "cannot reach the TensorFlow host: %s", strerror(e));
    }
    if (control >= 0)
        close(control);
    if (rc) {
        close_pair(sockets);
        close_pair(lines);
        if (c != NULL)
            tf_child_release(c);
        return rc;
    }
    close(sockets[1]);
    close(lines[1]);
    unblock(sockets[0]);
    unblock(lines[0]);
    c->socket = sockets[0];
    s->child = c;
    s->lines = (tf_lines){.fd = lines[0]};
    s->state = TF_LOADING;
    return SL_OK;
}

void tf_child_publish(sl_session *s)
{
    char text[PATH_MAX + 128];
    const char *slash = strrchr(s->engine->found, '/');
    snprintf(text, sizeof text, "TensorFlow %s (%s), pid %d", s->engine->version,
             slash ? slash + 1 : s->engine->found, (int)s->child->pid);
    s->child->ready_ns = sl_now_ns();
    s->state = TF_READY;
    s->loaded_once = true;
    pthread_mutex_lock(&s->lock);
    /* Two texts: the one handed out last stays whole until the process has changed twice. */
    int at = s->n_described++ % 2;
    sl_free(s->described[at]);
    s->described[at] = sl_strdup(text);
    s->ready = s->child;
    sl_cond_broadcast(&s->freed);
    pthread_mutex_unlock(&s->lock);
}

static void wake_everybody(tf_child *c)
{
    for (int i = 0; i < SL_TF_SLOTS; i++) {
        atomic_store(&c->control->slots[i].state, SL_TF_DEAD);
        sl_tf_futex_wake(&c->control->slots[i].state);
    }
}

static void plan_restart(sl_session *s, uint64_t lived_ns)
{
    uint64_t next = s->backoff_ns * 2;
    if (s->backoff_ns == 0 || lived_ns > STEADY_NS)
        next = BACKOFF_FIRST_NS;
    s->backoff_ns = SL_MIN(next, BACKOFF_MAX_NS);
    s->due_ns = sl_now_ns() + s->backoff_ns;
    s->state = TF_WAITING;
}

void tf_child_ended(sl_session *s, const char *how)
{
    tf_child *c = s->child;
    uint64_t lived = c->ready_ns ? sl_now_ns() - c->ready_ns : 0;
    tf_lines_read(&s->lines, s->label); /* its last words */
    if (s->lines.fd >= 0)
        close(s->lines.fd);
    s->lines.fd = -1;
    s->child = NULL;
    if (s->state == TF_LOADING && !s->loaded_once) {
        if (s->failure.code == SL_OK)
            sl_fail(&s->failure, SL_UNAVAILABLE,
                    "the TensorFlow process of %s ended (%s) while loading", s->label, how);
        s->state = TF_FAILED;
    } else if (s->state != TF_CLOSING) {
        plan_restart(s, lived);
        sl_log(SL_ERROR, "the TensorFlow process of %s ended (%s); it is started again in %d ms",
               s->label, how, (int)(s->backoff_ns / 1000000));
    }
    pthread_mutex_lock(&s->lock);
    snprintf(c->death, sizeof c->death,
             "the TensorFlow process of %.100s ended (%s); it is being restarted", s->label, how);
    snprintf(s->why_not, sizeof s->why_not, "%s", c->death);
    c->dead = true;
    s->ready = NULL;
    wake_everybody(c);
    sl_cond_broadcast(&s->freed);
    tf_child_release(c);
    pthread_mutex_unlock(&s->lock);
    sl_cond_broadcast(&s->engine->changed);
}
