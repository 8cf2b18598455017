/*
 * source.c - looks at base paths and says which versions are aspired
 *
 * One thread goes through the configured models, at once when the configuration has changed and
 * then every poll_seconds. Each model stands alone: one whose base path is missing keeps what it
 * serves, and the others are looked at all the same. (The original ends the whole round.)
 *
 * A base path that cannot be read, or in which nothing is found, never unloads anything: a sync
 * tool that deletes before it copies, or a mount that is away for a moment, is not an instruction
 * to stop serving. What was meant is said in the configuration: remove the model, or `specific {}`.
 *
 * A remark that is the same as in the round before is counted, and logged again at 10, 100, 1000
 * rounds.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"

static void log_lines(const char *text, unsigned long times)
{
    while (*text) {
        const char *end = strchr(text, '\n');
        size_t n = end ? (size_t)(end - text) : strlen(text);
        sl_log_level level = *text == 'E' ? SL_ERROR : SL_WARNING;
        if (times > 1)
            sl_log(level, "%.*s (seen %lu times)", (int)n - 1, text + 1, times);
        else
            sl_log(level, "%.*s", (int)n - 1, text + 1);
        text += n + (end != NULL);
    }
}

static bool is_power_of_ten(unsigned long n)
{
    while (n >= 10 && n % 10 == 0)
        n /= 10;
    return n == 1;
}

static void remark(sl_served *model, sl_text *remarks)
{
    const char *text = remarks->p ? remarks->p : "";
    if (model->remarks != NULL && strcmp(model->remarks, text) == 0) {
        model->repeats++;
    } else {
        sl_free(model->remarks);
        model->remarks = sl_strdup(text);
        model->repeats = 1;
    }
    if (is_power_of_ten(model->repeats))
        log_lines(text, model->repeats);
}

static bool wants_nothing(const sl_model_config *c)
{
    return c->policy == SL_POLICY_SPECIFIC && c->n_versions == 0;
}

static void look_at(sl_manager *m, sl_served *model, sl_kept_config *config)
{
    sl_aspired_set set = {0};
    sl_text remarks = {0};
    sl_status why;
    sl_code rc = sl_policy_select(&config->c, NULL, NULL, &set, &remarks, &why);
    if (rc)
        sl_text_printf(&remarks,
                       "EFileSystemStoragePathSource encountered a filesystem access error: %s\n",
                       why.msg);
    remark(model, &remarks);
    sl_text_fini(&remarks);

    pthread_mutex_lock(&m->lock);
    if (model->config == config) { /* it was not replaced meanwhile */
        model->looked_at = true;
        if (rc == SL_OK && (set.count > 0 || wants_nothing(&config->c)))
            sl_manager_set_aspired(model, &set);
        else
            sl_manager_check_initial(m);
    }
    pthread_mutex_unlock(&m->lock);
    sl_aspired_fini(&set);
    sl_manager_collect(m);
}

static void look_at_all(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    for (sl_served *model = m->models; model != NULL && !m->source_ending; model = model->next) {
        sl_kept_config *config = sl_config_acquire(model->config);
        pthread_mutex_unlock(&m->lock);
        if (config != NULL)
            look_at(m, model, config);
        sl_config_release(config);
        pthread_mutex_lock(&m->lock);
    }
    pthread_mutex_unlock(&m->lock);
}

static void *watch(void *arg)
{
    sl_manager *m = arg;
    uint64_t period = m->opts.poll_seconds > 0 ? (uint64_t)m->opts.poll_seconds * 1000000000u : 0;
    uint64_t next = period ? sl_now_ns() + period : 0;
    sl_thread_be_nice();
    pthread_mutex_lock(&m->lock);
    while (!m->source_ending) {
        bool due = next && sl_now_ns() >= next;
        if (!due && m->looks_done == m->looks_wanted) {
            sl_cond_wait_until(&m->source_work, &m->lock, next);
            continue;
        }
        uint64_t wanted = m->looks_wanted;
        pthread_mutex_unlock(&m->lock);
        look_at_all(m);
        pthread_mutex_lock(&m->lock);
        m->looks_done = wanted;
        next = period ? sl_now_ns() + period : 0;
        pthread_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
    return NULL;
}

void sl_manager_want_look(sl_manager *m)
{
    if (m->opts.poll_seconds < 0)
        return;
    m->looks_wanted++;
    pthread_cond_signal(&m->source_work);
}

void sl_manager_look(sl_manager *m)
{
    pthread_mutex_lock(&m->lock);
    uint64_t mine = ++m->looks_wanted;
    pthread_cond_signal(&m->source_work);
    while (m->looks_done < mine && !m->source_ending)
        pthread_cond_wait(&m->changed, &m->lock);
    pthread_mutex_unlock(&m->lock);
}

sl_code sl_manager_start_source(sl_manager *m, sl_status *st)
{
    sl_code rc = sl_thread_start(&m->source, "sl-source", watch, m, st);
    m->has_source = rc == SL_OK;
    return rc;
}

void sl_manager_stop_source(sl_manager *m)
{
    if (!m->has_source)
        return;
    pthread_mutex_lock(&m->lock);
    m->source_ending = true;
    pthread_cond_broadcast(&m->source_work);
    pthread_cond_broadcast(&m->changed);
    pthread_mutex_unlock(&m->lock);
    pthread_join(m->source, NULL);
    m->has_source = false;
}
