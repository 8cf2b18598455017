/*
 * session.c - load and close: a session is there as long as somebody wants its version, whatever
 * happens to the processes that run it
 */
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "engine/pure.h"
#include "engine/tensorflow/internal.h"
#include "engine/tensorflow/ipc.h"
#include "savedmodel/savedmodel.h"

static const uint64_t END_PATIENCE_NS = 10000000000u, KILL_PATIENCE_NS = 5000000000u,
                      TELL_AGAIN_NS = 10000000u, MEMORY_PATIENCE_NS = 200000000u,
                      MEMORY_PATIENCE_PACED_NS = 2000000000u; /* for one that holds back */

sl_code tf_host_wait(tf_engine *e, sl_status *st)
{
    if (e->host == TF_HOST_NONE) {
        e->host = TF_HOST_WANTED;
        e->host_due_ns = 0; /* somebody asks now: no reason to hold back */
        tf_wake(e);
    }
    uint64_t attempts = e->host_starts;
    while (e->host != TF_HOST_UP && e->host_starts == attempts)
        sl_cond_wait(&e->changed, &e->lock);
    if (e->host == TF_HOST_UP)
        return SL_OK;
    return sl_fail(st, e->host_failure.code, "%s", e->host_failure.msg);
}

static char *make_label(const sl_load_options *opts)
{
    char text[160];
    snprintf(text, sizeof text, "model \"%.100s\" version %lld",
             opts->model_name ? opts->model_name : "", (long long)opts->version);
    return sl_strdup(text);
}

static void free_session(sl_session *s)
{
    if (s->params >= 0)
        close(s->params);
    pthread_mutex_destroy(&s->lock);
    sl_free(s->described[0]);
    sl_free(s->described[1]);
    sl_signatures_free(s->signatures);
    sl_free(s->pure);
    sl_free(s->written);
    sl_free(s->label);
    sl_free(s);
}

static sl_session *new_session(tf_engine *e, const sl_saved_model *model,
                               const sl_load_options *opts)
{
    sl_session *s = sl_calloc(1, sizeof *s);
    sl_str written = sl_saved_model_about(model)->tensorflow_version;
    s->engine = e;
    s->label = make_label(opts);
    s->written = sl_strndup(written.p, written.n);
    s->lines.fd = -1;
    pthread_mutex_init(&s->lock, NULL);
    sl_cond_init(&s->freed);
    s->signatures = sl_signatures_try_dup(sl_saved_model_signatures(model));
    snprintf(s->why_not, sizeof s->why_not, "%s is not loaded yet", s->label);
    s->params = tf_params_memfd(e, model, opts, s->label);
    return s;
}

static void unlink_session(sl_session *s)
{
    sl_session **at = &s->engine->sessions;
    while (*at != s)
        at = &(*at)->next;
    *at = s->next;
}

/* TensorFlow's text names neither library nor writer, which is what one needs to know here. */
static bool is_about_versions(const char *text)
{
    return strstr(text, "GraphDef") != NULL || strstr(text, "Op type not registered") != NULL ||
           strstr(text, "consumer version") != NULL;
}

static sl_code load_failure(const sl_session *s, sl_status *st)
{
    const sl_status *f = &s->failure;
    if (!is_about_versions(f->msg))
        return sl_fail(st, f->code, "%s", f->msg);
    return sl_fail(st, f->code,
                   "%.800s (the library is TensorFlow %s, the model was written by %s)", f->msg,
                   s->engine->version, s->written[0] ? s->written : "an unknown version");
}

/* engine->lock held. */
static sl_code wait_until_loaded(sl_session *s, sl_status *st)
{
    tf_engine *e = s->engine;
    for (;;) {
        while (s->state == TF_LOADING || (s->state == TF_NEW && e->host == TF_HOST_UP))
            sl_cond_wait(&e->changed, &e->lock);
        if (s->state == TF_FAILED)
            return load_failure(s, st);
        if (s->state != TF_NEW)
            return SL_OK; /* loaded, even if it has ended since */
        sl_code rc = tf_host_wait(e, st);
        if (rc)
            return rc;
    }
}

sl_code tf_load(void *self, const sl_saved_model *model, const sl_load_options *opts,
                sl_session **out, sl_status *st)
{
    tf_engine *e = self;
    pthread_mutex_lock(&e->lock);
    sl_code rc = tf_host_wait(e, st); /* also says where the library is, which new_session needs */
    pthread_mutex_unlock(&e->lock);
    if (rc)
        return rc;
    sl_session *s = new_session(e, model, opts);
    s->pure = sl_pure_signatures(model);
    s->at_once = !sl_thread_is_nice();
    if (s->params < 0 || s->pure == NULL || s->signatures == NULL) {
        free_session(s);
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: load parameters");
    }
    pthread_mutex_lock(&e->lock);
    s->id = ++e->last_id;
    s->next = e->sessions;
    e->sessions = s;
    tf_wake(e);
    rc = wait_until_loaded(s, st);
    if (rc)
        unlink_session(s);
    pthread_mutex_unlock(&e->lock);
    if (rc) {
        free_session(s);
        return rc;
    }
    *out = s;
    return SL_OK;
}

bool tf_pure(sl_session *s, int signature)
{
    return signature >= 0 && signature < s->signatures->count && s->pure[signature];
}

bool tf_unites(sl_session *s)
{
    return s->signatures->has_union;
}

/* Runs that nobody waits for any more. engine->lock held. */
static bool is_running(sl_session *s)
{
    pthread_mutex_lock(&s->lock);
    bool any = s->child->n_abandoned > 0;
    pthread_mutex_unlock(&s->lock);
    return any;
}

/* Do others answer requests now? */
static bool are_others_asked(void)
{
    sl_busy busy = {0};
    sl_busy_percent(&busy);
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return sl_busy_percent(&busy) >= 5;
}

/* Until it has ended, or `until`. Who has not heard that it is to is told again. engine->lock held. */
static void have_ended(sl_session *s, uint64_t patience_ns, uint64_t until)
{
    tf_engine *e = s->engine;
    sl_tf_msg m = {.kind = SL_TF_KILL, .session = s->id, .value = patience_ns};
    bool told = false;
    tf_wake(e);
    for (uint64_t now = sl_now_ns(); s->child != NULL && now < until; now = sl_now_ns()) {
        told = told || sl_tf_send(e->host_socket, &m, NULL, 0) == 0;
        sl_cond_wait_until(&e->changed, &e->lock,
                           told ? until : SL_MIN(until, now + TELL_AGAIN_NS));
    }
}

void tf_close(sl_session *s)
{
    tf_engine *e = s->engine;
    bool gently = are_others_asked();
    uint64_t until = sl_now_ns() + END_PATIENCE_NS;
    pthread_mutex_lock(&e->lock);
    bool calm = s->state == TF_READY && !is_running(s);
    s->state = TF_CLOSING;
    if (s->child != NULL && calm) {
        sl_tf_msg end = {.kind = SL_TF_END, .value = gently};
        calm = sl_tf_send(s->child->socket, &end, NULL, 0) == 0;
    }
    have_ended(s, calm ? KILL_PATIENCE_NS : 0, until);
    if (s->child != NULL) {
        sl_log(SL_WARNING, "the TensorFlow process of %s has not ended yet", s->label);
        tf_child_ended(s, "closed");
    }
    unlink_session(s);
    pthread_mutex_unlock(&e->lock);
    free_session(s);
}

void tf_serve_from_now(sl_session *s)
{
    pthread_mutex_lock(&s->engine->lock);
    s->serving = true;
    if (s->state == TF_READY)
        tf_let_go(s);
    pthread_mutex_unlock(&s->engine->lock);
}

uint64_t tf_memory(sl_session *s)
{
    tf_engine *e = s->engine;
    pthread_mutex_lock(&e->lock);
    uint64_t until = sl_now_ns() + (s->serving ? MEMORY_PATIENCE_NS : MEMORY_PATIENCE_PACED_NS);
    uint64_t seen = s->memory_answers;
    sl_tf_msg m = {.kind = SL_TF_MEMORY};
    /* A process that is closed to the others can only be asked itself. */
    if (s->state == TF_READY && sl_tf_send(s->child->socket, &m, NULL, 0) == 0)
        while (s->memory_answers == seen && s->state == TF_READY &&
               sl_cond_wait_until(&e->changed, &e->lock, until))
            continue;
    uint64_t bytes = s->state == TF_READY ? s->memory : 0;
    pthread_mutex_unlock(&e->lock);
    return bytes;
}

const char *tf_describe(sl_session *s)
{
    pthread_mutex_lock(&s->lock);
    const char *text = s->n_described ? s->described[(s->n_described - 1) % 2] : "";
    pthread_mutex_unlock(&s->lock);
    return text;
}
