/*
 * watch.c - the engine's thread: starts processes, hears what they say, sees them end
 *
 * One loop over poll(). That a child has ended is what the host says (ENDED, after waitpid) or what
 * follows from the host's own end; a closed socket alone only makes us have it killed. So a process
 * that is gone for us is gone for the system too, and its memory with it.
 *
 * Everything happens under engine->lock except poll() itself and the search for the library. After
 * poll() nothing that was seen before it is trusted: sessions may have gone, and all reads are
 * non-blocking.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"

static const uint64_t HOST_PATIENCE_NS = 120000000000u; /* opening from a slow disk takes a while */
static const uint64_t SECOND_NS = 1000000000u;
enum { TURN = 64 }; /* messages */

/* ---- children ---- */

void tf_let_go(sl_session *s)
{
    sl_tf_msg m = {.kind = SL_TF_SERVE, .session = s->id};
    s->untold = sl_tf_send(s->child->socket, &m, NULL, 0) != 0;
    s->untold |= sl_tf_send(s->engine->host_socket, &m, NULL, 0) != 0;
}

static void describe_end(int status, char *out, size_t size)
{
    if (WIFSIGNALED(status))
        snprintf(out, size, "signal %d", WTERMSIG(status));
    else
        snprintf(out, size, "exit code %d", WEXITSTATUS(status));
}

static void hear_failure(sl_session *s, const sl_tf_msg *m)
{
    sl_code code = m->code > 0 && m->code <= SL_UNAUTHENTICATED ? (sl_code)m->code : SL_UNKNOWN;
    sl_fail(&s->failure, code, "%s", m->text);
}

static void hear_child(sl_session *s)
{
    sl_tf_msg m;
    int got = 1;
    /* A child may send without end: the others have their turn too. */
    for (int i = 0; i < TURN && !s->child->hung_up; i++) {
        got = sl_tf_receive(s->child->socket, &m, NULL, 0, NULL);
        if (got <= 0)
            break;
        if (m.kind == SL_TF_LOADED && s->state == TF_LOADING) {
            if (s->serving)
                tf_let_go(s);
            tf_child_publish(s);
        } else if (m.kind == SL_TF_FAILED && s->state == TF_LOADING)
            hear_failure(s, &m);
        else if (m.kind == SL_TF_MEMORY) {
            s->memory = m.value;
            s->memory_answers++;
        }
        sl_cond_broadcast(&s->engine->changed);
    }
    if (got == 0) {
        sl_tf_msg end = {.kind = SL_TF_KILL, .session = s->id};
        s->child->hung_up = sl_tf_send(s->engine->host_socket, &end, NULL, 0) == 0;
    }
}

static void bury(sl_session *s, const char *how)
{
    char text[160];
    hear_child(s); /* why it ended may still lie in its socket */
    if (s->state == TF_LOADING && s->loaded_once && s->failure.code != SL_OK) {
        snprintf(text, sizeof text, "loading it again failed: %.120s", s->failure.msg);
        how = text;
    }
    tf_child_ended(s, how);
}

/* ---- the host ---- */

static void host_failed(tf_engine *e, const sl_status *why)
{
    e->host_failure = *why;
    e->host_starts++;
    e->host_backoff_ns =
        SL_MIN(e->host_backoff_ns ? e->host_backoff_ns * 2 : SECOND_NS / 10, 30 * SECOND_NS);
    e->host_due_ns = sl_now_ns() + e->host_backoff_ns;
    sl_cond_broadcast(&e->changed);
}

static void host_gone(tf_engine *e, const char *how)
{
    sl_status why;
    bool was_up = e->host == TF_HOST_UP;
    sl_fail(&why, SL_UNAVAILABLE, "the TensorFlow host ended (%s)", how);
    if (was_up)
        sl_log(SL_ERROR, "%s", why.msg);
    if (e->host_failure.code == SL_OK || was_up)
        e->host_failure = why;
    why = e->host_failure;
    tf_host_end(e);
    host_failed(e, &why);
    for (sl_session *s = e->sessions; s != NULL; s = s->next)
        if (s->child != NULL)
            bury(s, "with its host");
    for (tf_ops_query *q = e->queries; q != NULL; q = q->next) {
        q->answered = true;
        q->bytes = UINT64_MAX;
    }
}

static void hear_hello(tf_engine *e, const sl_tf_msg *m)
{
    if (m->protocol != SL_TF_PROTOCOL) {
        sl_fail(&e->host_failure, SL_FAILED_PRECONDITION,
                "sluice-tensorflow-host is of another version than this program");
        host_gone(e, "wrong version");
        return;
    }
    e->host = TF_HOST_UP;
    e->host_starts++;
    e->host_backoff_ns = 0;
    e->host_failure = (sl_status){0};
    snprintf(e->version, sizeof e->version, "%.31s", m->text);
    sl_log(SL_INFO, "TensorFlow %s opened from %s, pid %d", e->version, e->found, (int)e->host_pid);
    sl_cond_broadcast(&e->changed);
}

static sl_session *find_session(tf_engine *e, uint64_t id)
{
    sl_session *s = e->sessions;
    while (s != NULL && s->id != id)
        s = s->next;
    return s;
}

static void hear_ops(tf_engine *e, const sl_tf_msg *m)
{
    for (tf_ops_query *q = e->queries; q != NULL; q = q->next)
        if (q->id == m->session) {
            q->answered = true;
            q->bytes = m->value;
            sl_str_to_int64(sl_str_of(m->text), &q->graph_version);
        }
    sl_cond_broadcast(&e->changed);
}

static void hear_about_session(tf_engine *e, const sl_tf_msg *m)
{
    char how[192];
    sl_session *s = find_session(e, m->session);
    if (s == NULL || s->child == NULL)
        return;
    if (m->kind == SL_TF_FORKED) {
        s->child->pid = (pid_t)m->value;
        if (s->state == TF_READY)
            tf_child_publish(s); /* it was faster than this message: now with its pid */
    } else if (m->kind == SL_TF_REFUSED) {
        snprintf(how, sizeof how, "it could not be started: %.150s", m->text);
        bury(s, how);
    } else {
        describe_end((int)m->value, how, sizeof how);
        bury(s, how);
    }
}

static void hear_host(tf_engine *e)
{
    sl_tf_msg m;
    int got = 1;
    while (e->host_socket >= 0 && (got = sl_tf_receive(e->host_socket, &m, NULL, 0, NULL)) > 0)
        switch (m.kind) {
        case SL_TF_HELLO:
            hear_hello(e, &m);
            break;
        case SL_TF_BROKEN:
            sl_fail(&e->host_failure, SL_FAILED_PRECONDITION, "%s", m.text);
            break;
        case SL_TF_FORKED:
        case SL_TF_REFUSED:
        case SL_TF_ENDED:
            hear_about_session(e, &m);
            break;
        case SL_TF_OPS:
            hear_ops(e, &m);
            break;
        default:
            break;
        }
    if (got == 0)
        host_gone(e, "its socket closed");
}

/* ---- what is due ---- */

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void start_host(tf_engine *e)
{
    sl_status st = {0};
    e->host_failure = st;
    e->host_since_ns = sl_now_ns();
    if (tf_host_start(e, &st))
        host_failed(e, &st);
}

static void start_child(sl_session *s)
{
    sl_status st = {0};
    s->failure = st;
    if (tf_child_start(s, &st) == SL_OK)
        return;
    if (!s->loaded_once) {
        s->failure = st;
        s->state = TF_FAILED;
        sl_cond_broadcast(&s->engine->changed);
        return;
    }
    s->due_ns = sl_now_ns() + SECOND_NS;
}

static uint64_t tend_session(sl_session *s, uint64_t now)
{
    tf_engine *e = s->engine;
    if (s->state == TF_NEW && e->host == TF_HOST_UP)
        start_child(s);
    if (s->state == TF_WAITING && now < s->due_ns)
        return s->due_ns;
    if (s->state == TF_WAITING && e->host == TF_HOST_UP)
        start_child(s);
    else if (s->state == TF_WAITING && e->host == TF_HOST_NONE)
        e->host = TF_HOST_WANTED;
    if (s->state != TF_READY)
        return now + 60 * SECOND_NS;
    if (s->untold)
        tf_let_go(s);
    pthread_mutex_lock(&s->lock);
    bool stuck = tf_places_tend(s->child, now);
    pthread_mutex_unlock(&s->lock);
    if (stuck) {
        sl_log(SL_ERROR, "%s: TensorFlow does not come back from %d requests; ending its process",
               s->label, SL_TF_SLOTS);
        sl_tf_msg m = {.kind = SL_TF_KILL, .session = s->id};
        sl_tf_send(e->host_socket, &m, NULL, 0);
    }
    return now + 2 * SECOND_NS;
}

/* Does what is due; returns when there will be more. */
static uint64_t tend(tf_engine *e)
{
    uint64_t now = sl_now_ns(), next = now + 60 * SECOND_NS;
    for (sl_session *s = e->sessions; s != NULL; s = s->next)
        next = earlier(next, tend_session(s, now));
    if (e->host == TF_HOST_WANTED && now >= e->host_due_ns)
        start_host(e);
    else if (e->host == TF_HOST_WANTED)
        next = earlier(next, e->host_due_ns);
    if (e->host == TF_HOST_STARTING && now > e->host_since_ns + HOST_PATIENCE_NS)
        host_gone(e, "it did not answer");
    return e->host == TF_HOST_STARTING ? earlier(next, now + SECOND_NS) : next;
}

/* ---- the loop ---- */

typedef struct poll_set {
    struct pollfd *list;
    size_t n, cap;
} poll_set;

static void watch(poll_set *p, int fd)
{
    if (fd < 0)
        return;
    p->list = sl_grow(p->list, p->n, &p->cap, sizeof *p->list);
    p->list[p->n++] = (struct pollfd){.fd = fd, .events = POLLIN};
}

static void collect(tf_engine *e, poll_set *p)
{
    p->n = 0;
    watch(p, e->wake);
    watch(p, e->host_socket);
    watch(p, e->host_lines.fd);
    for (sl_session *s = e->sessions; s != NULL; s = s->next) {
        if (s->child != NULL && !s->child->hung_up)
            watch(p, s->child->socket);
        watch(p, s->lines.fd);
    }
}

static void read_lines(tf_lines *l, const char *label)
{
    if (l->fd >= 0 && !tf_lines_read(l, label)) {
        close(l->fd);
        l->fd = -1;
    }
}

static void hear_everybody(tf_engine *e)
{
    uint64_t count;
    if (read(e->wake, &count, sizeof count) < 0 && errno != EAGAIN)
        sl_log(SL_ERROR, "eventfd: %s", strerror(errno));
    read_lines(&e->host_lines, "tensorflow host");
    if (e->host_socket >= 0)
        hear_host(e);
    for (sl_session *s = e->sessions; s != NULL; s = s->next) {
        read_lines(&s->lines, s->label);
        if (s->child != NULL)
            hear_child(s);
    }
}

void *tf_watch(void *engine)
{
    tf_engine *e = engine;
    poll_set p = {0};
    pthread_mutex_lock(&e->lock);
    while (!e->stop) {
        uint64_t next = tend(e), now = sl_now_ns();
        collect(e, &p);
        pthread_mutex_unlock(&e->lock);
        poll(p.list, p.n, next > now ? (int)((next - now) / 1000000) + 1 : 0);
        pthread_mutex_lock(&e->lock);
        hear_everybody(e);
    }
    tf_host_end(e);
    pthread_mutex_unlock(&e->lock);
    sl_free(p.list);
    return NULL;
}
