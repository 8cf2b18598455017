/*
 * look.c - what there is to see at one base path
 *
 * The policy chooses among the versions that may be taken. One that is managed may; a new one is a
 * candidate until all of it is there and its directory has been quiet for a moment. The check is
 * made again only when the directory looks different, so that looking costs a few stat calls.
 *
 * A version that failed, or waits for its next attempt, is looked at as well: if its directory has
 * changed, it has been mended, perhaps, and is tried again at once.
 *
 * A base path that cannot be read, or in which nothing is found, never unloads anything: a sync
 * tool that deletes before it copies, or a mount that is away for a moment, is not an instruction
 * to stop serving. What was meant is said in the configuration: remove the model, or `specific {}`.
 *
 * A remark that is the same as in the round before but for its numbers is counted, and logged again
 * at 10, 100, 1000 rounds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "model/manager_internal.h"
#include "model/version_dir.h"
#include "savedmodel/complete.h"

enum {
    PATIENCE_MS = 1000, /* between two looks at what is being copied */
    OLD_S = 60          /* what has not changed for so long is not being copied */
};

/* A version that was seen and has not been taken. */
typedef struct sl_candidate {
    struct sl_candidate *next;
    int64_t number;
    char *path;
    uint64_t look, since_ns; /* what it looks like, and since when */
    bool complete;
    bool seen, taken; /* in this look */
    char *why;        /* what is missing */
} candidate;

/* What is remembered from one look at a model to the next. Only whoever looks at it just now uses it,
 * without the lock. */
struct sl_sight {
    char *remarks; /* of the last look, so that they are logged once */
    unsigned long repeats;
    candidate *candidates;
    uint64_t look_again_ns; /* before the next period; 0: no need to */
    struct stat base;       /* of the base path, at the last look; if `quiet` */
    const sl_kept_config *looked_with;
    bool quiet;       /* nothing can have changed while `base` is the same */
    unsigned skipped; /* looks, because of that */
    dev_t device;     /* where it looked last, and whether directories there */
    bool keeps_times; /* have times to be relied on */
};

typedef struct look {
    sl_manager *m;
    sl_served *model;
    sl_sight *sight;
    uint64_t now;
    bool on_demand;
    bool settling;
    int refused;
} look;

/* ---- remarks ---- */

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

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool same_but_numbers(const char *a, const char *b)
{
    while (*a && *b) {
        if (is_digit(*a) && is_digit(*b)) {
            while (is_digit(*a))
                a++;
            while (is_digit(*b))
                b++;
        } else if (*a++ != *b++) {
            return false;
        }
    }
    return *a == *b;
}

static void remark(sl_sight *sight, sl_text *remarks)
{
    const char *text = remarks->p ? remarks->p : "";
    if (sight->remarks != NULL && same_but_numbers(sight->remarks, text)) {
        sight->repeats++;
    } else {
        sl_free(sight->remarks);
        sight->remarks = sl_strdup(text);
        sight->repeats = 1;
    }
    if (is_power_of_ten(sight->repeats))
        log_lines(text, sight->repeats);
}

/* ---- candidates ---- */

static void free_candidate(candidate *c)
{
    sl_free(c->path);
    sl_free(c->why);
    sl_free(c);
}

sl_sight *sl_sight_new(void)
{
    return sl_calloc(1, sizeof(sl_sight));
}

void sl_sight_free(sl_sight *s)
{
    while (s->candidates != NULL) {
        candidate *c = s->candidates;
        s->candidates = c->next;
        free_candidate(c);
    }
    sl_free(s->remarks);
    sl_free(s);
}

uint64_t sl_sight_look_again_ns(const sl_sight *s)
{
    return s->look_again_ns;
}

void sl_sight_look_no_more(sl_sight *s)
{
    s->look_again_ns = 0;
}

static candidate *find_candidate(sl_sight *sight, int64_t number, const char *path)
{
    candidate *c = sight->candidates;
    while (c != NULL && (c->number != number || strcmp(c->path, path) != 0))
        c = c->next;
    if (c != NULL)
        return c;
    c = sl_calloc(1, sizeof *c);
    c->number = number;
    c->path = sl_strdup(path);
    c->next = sight->candidates;
    sight->candidates = c;
    return c;
}

/* Those that were taken, or have gone. */
static void drop_candidates(sl_sight *sight)
{
    for (candidate **at = &sight->candidates; *at != NULL;) {
        candidate *c = *at;
        if (c->seen && !c->taken) {
            c->seen = false;
            at = &c->next;
            continue;
        }
        *at = c->next;
        free_candidate(c);
    }
}

static void look_again_at(look *l, uint64_t when)
{
    sl_sight *sight = l->sight;
    if (sight->look_again_ns == 0 || when < sight->look_again_ns)
        sight->look_again_ns = when;
}

static void check(const look *l, candidate *c)
{
    const sl_manager_options *o = &l->m->opts;
    sl_status st = {0};
    sl_free(c->why);
    c->why = NULL;
    c->complete = !o->only_complete ||
                  sl_saved_model_check_complete(c->path, o->tags, o->n_tags, &st) != SL_UNAVAILABLE;
    if (!c->complete)
        c->why = sl_strdup(st.msg);
}

/* May it be taken now? If not, when to look again. */
static bool consider(look *l, candidate *c, sl_tree t)
{
    const sl_manager_options *o = &l->m->opts;
    bool fresh = c->since_ns == 0 || c->look != t.look;
    c->seen = true;
    c->taken = false;
    if (fresh) {
        c->look = t.look;
        c->since_ns = l->now;
        check(l, c);
    }
    uint64_t quiet = l->now - c->since_ns;
    int64_t age_us = sl_wall_us() - t.newest_us;
    if (c->complete) {
        /* By the file system's clock, or, where that is ahead or tells nothing, by ours. */
        c->taken =
            quiet >= o->settle_ns || (t.newest_us > 0 && age_us >= (int64_t)(o->settle_ns / 1000));
        l->settling |= !c->taken;
        if (!c->taken)
            look_again_at(l, c->since_ns + o->settle_ns);
        return c->taken;
    }
    c->taken = o->give_up_ns > 0 && quiet >= o->give_up_ns;
    if (!c->taken)
        look_again_at(l, l->now + (uint64_t)PATIENCE_MS * 1000000);
    return c->taken;
}

/* ---- what is managed already ---- */

/* With the lock. False: it took so long that somebody else looks at the model by now. */
static bool is_current(const look *l)
{
    return l->model->sight == l->sight;
}

typedef enum known { UNKNOWN, FINE, BROKEN } known;

static known how_known(look *l, int64_t number, const char *path, uint64_t *seen)
{
    known k = FINE;
    pthread_mutex_lock(&l->m->lock);
    const sl_managed *v = sl_manager_find_version(l->model, number);
    if (v == NULL || !v->managed || !v->aspired || strcmp(v->path, path) != 0)
        k = UNKNOWN;
    else if (v->state == SL_STATE_END || (v->queued && v->attempts > 0))
        k = BROKEN;
    *seen = k == BROKEN ? v->look : 0;
    pthread_mutex_unlock(&l->m->lock);
    return k;
}

/* Looking inside is most of the work, and there may be ten thousand versions on demand: of one that
 * has lain there for long, the load will tell. */
static bool has_lain_there(const look *l, const char *path)
{
    static const char *const names[] = {"", "saved_model.pb", "variables"};
    int64_t newest_us = 0;
    struct stat s;
    if (!l->on_demand || l->sight->candidates != NULL)
        return false;
    for (size_t i = 0; i < SL_COUNTOF(names); i++) {
        char *file = sl_path_join(path, names[i]);
        bool there = file != NULL && stat(file, &s) == 0;
        sl_free(file);
        if (!there && i < 2)
            return false;
        if (there)
            newest_us = SL_MAX(newest_us, (int64_t)s.st_ctim.tv_sec * 1000000);
    }
    return sl_wall_us() - newest_us > OLD_S * INT64_C(1000000);
}

static bool accept(void *arg, int64_t number, const char *path)
{
    look *l = arg;
    uint64_t seen;
    known k = how_known(l, number, path, &seen);
    if (k == FINE || (k == UNKNOWN && has_lain_there(l, path)))
        return true;
    sl_tree t = sl_saved_model_tree(path);
    if (k == BROKEN && t.look == seen)
        return true;
    bool taken = consider(l, find_candidate(l->sight, number, path), t);
    if (k == BROKEN && taken) {
        pthread_mutex_lock(&l->m->lock);
        if (is_current(l))
            sl_manager_mend(l->model, number, t.look);
        pthread_mutex_unlock(&l->m->lock);
    }
    l->refused += k == UNKNOWN && !taken;
    return taken || k == BROKEN;
}

/* ---- looks that can be saved ---- */

/* Where a directory's times change when an entry comes or goes, and at once: not on NFS, not where
 * an object store is made to look like files. */
static bool keeps_times(const char *dir)
{
    static const unsigned long kinds[] = {0xef53 /* ext */,
                                          0x58465342 /* xfs */,
                                          0x9123683e /* btrfs */,
                                          0x01021994 /* tmpfs */,
                                          0x794c7630 /* overlayfs */,
                                          0x2fc12fc1 /* zfs */,
                                          0xf2f52010 /* f2fs */};
    struct statfs s;
    if (statfs(dir, &s))
        return false;
    for (size_t i = 0; i < SL_COUNTOF(kinds); i++)
        if ((unsigned long)s.f_type == kinds[i])
            return true;
    return false;
}

static bool is_same_directory(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
           a->st_ctim.tv_sec == b->st_ctim.tv_sec && a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* A version that failed is looked at inside, whatever its base path says. And a model that was
 * configured afresh is looked at in any case: its configuration may lie where an older one did. */
static bool must_be_looked_at(sl_served *model)
{
    pthread_mutex_lock(&model->manager->lock);
    bool broken = !model->looked_at;
    for (const sl_managed *v = model->versions; v != NULL; v = v->next)
        broken |= v->managed && v->aspired &&
                  (v->state == SL_STATE_END || (v->queued && v->attempts > 0));
    pthread_mutex_unlock(&model->manager->lock);
    return broken;
}

/* Is there nothing new to see? With thousands of models that is the usual answer, for one stat. */
static bool can_skip(const look *l, const sl_kept_config *config, const struct stat *now)
{
    enum { MOST = 60 }; /* and then it is looked at all the same */
    sl_sight *s = l->sight;
    return s->quiet && s->looked_with == config && s->candidates == NULL &&
           is_same_directory(&s->base, now) && s->skipped++ < MOST && !must_be_looked_at(l->model);
}

/* A change within the grain of the clock leaves no trace, so what changed just now may change
 * again. */
static void remember_base(sl_sight *s, const sl_kept_config *config, const char *dir,
                          const struct stat *before)
{
    int64_t changed_us = (int64_t)before->st_ctim.tv_sec * 1000000 + before->st_ctim.tv_nsec / 1000;
    s->base = *before;
    s->looked_with = config;
    s->skipped = 0;
    if (s->device != before->st_dev) {
        s->device = before->st_dev;
        s->keeps_times = keeps_times(dir);
    }
    s->quiet = sl_wall_us() - changed_us > 2000000 && s->keeps_times;
}

/* ---- the whole ---- */

/* With the lock: versions that are being copied are listed, too. */
static void list_incomplete(const look *l)
{
    sl_served *model = l->model;
    for (sl_managed **at = &model->versions; *at != NULL;) {
        sl_managed *v = *at;
        if (v->managed || v->state != SL_STATE_START)
            at = &v->next;
        else
            sl_manager_drop_version(at);
    }
    for (const candidate *c = l->sight->candidates; c != NULL; c = c->next) {
        sl_managed *v = sl_manager_need_version(model, c->number);
        char text[300];
        if (v->managed)
            continue;
        snprintf(text, sizeof text, "waiting until the version is complete: %s",
                 c->complete ? "its directory has just changed" : c->why);
        sl_managed_set_state(v, SL_STATE_START, SL_OK, text);
    }
}

static void note_looks(const sl_sight *sight, sl_aspired_set *set)
{
    for (int i = 0; i < set->count; i++)
        for (const candidate *c = sight->candidates; c != NULL; c = c->next)
            if (c->number == set->list[i].number && c->taken)
                set->list[i].look = c->look;
}

static void add_remarks(const look *l, sl_text *remarks)
{
    for (const candidate *c = l->sight->candidates; c != NULL; c = c->next)
        if (!c->complete)
            sl_text_printf(remarks,
                           "WVersion %lld of servable %s is not complete, and is left alone until "
                           "it is: %s\n",
                           (long long)c->number, l->model->name, c->why);
}

/* A model without versions is waited for, since they may still come; but somebody who has mistyped a
 * path should not have to guess what the server is waiting for. */
static void add_hint(const look *l, const sl_model_config *c, sl_text *remarks)
{
    sl_status why = {0};
    sl_code (*hint)(const char *, sl_status *) = l->m->opts.hint;
    if (hint != NULL && l->sight->candidates == NULL && hint(c->base_path, &why))
        sl_text_printf(remarks, "Wmodel %s: %s\n", l->model->name, why.msg);
}

static bool wants_nothing(const sl_model_config *c)
{
    return c->policy == SL_POLICY_SPECIFIC && c->n_versions == 0;
}

static void apply(look *l, sl_kept_config *config, int watch, sl_code rc, sl_aspired_set *set,
                  const sl_status *why)
{
    sl_manager *m = l->m;
    sl_served *model = l->model;
    pthread_mutex_lock(&m->lock);
    if (is_current(l) && watch != 0)
        sl_manager_watch_base(model, watch);
    if (is_current(l) && model->config == config) { /* it was not replaced meanwhile */
        model->looked_at = true;
        sl_free(model->unreadable);
        model->unreadable = rc && rc != SL_NOT_FOUND ? sl_strdup(why->msg) : NULL;
        model->settling = l->settling;
        sl_manager_recount(model);
        list_incomplete(l);
        if (rc == SL_OK && (set->count > 0 || wants_nothing(&config->c)))
            sl_manager_set_aspired(model, set);
        else
            sl_manager_check_initial(m);
        sl_cond_broadcast(&m->changed);
    }
    pthread_mutex_unlock(&m->lock);
}

void sl_manager_cannot_look(sl_served *model)
{
    sl_manager *m = model->manager;
    char text[1200];
    snprintf(text, sizeof text, "the base path %s does not answer: %s", model->config->c.base_path,
             "a look at it, or at another path of the same mount, has not returned");
    model->looked_at = true; /* as far as that is possible */
    model->settling = false;
    sl_free(model->unreadable);
    model->unreadable = sl_strdup(text);
    sl_manager_recount(model);
    sl_manager_check_initial(m);
    sl_cond_broadcast(&m->changed);
}

void sl_manager_look_at(sl_served *model, sl_sight *sight, sl_kept_config *config)
{
    look l = {.m = model->manager,
              .model = model,
              .sight = sight,
              .now = sl_now_ns(),
              .on_demand = config->c.load == SL_LOAD_ON_DEMAND};
    sl_aspired_set set = {0};
    sl_text remarks = {0};
    sl_status why;
    struct stat base;
    if (config->c.mirror != NULL && sl_version_dir_exists(config->c.mirror, NULL))
        return; /* nothing can be said yet */
    char *dir = config->c.mirror ? sl_strdup(config->c.mirror) : NULL;
    bool local = (dir || sl_version_dir_local(config->c.base_path, &dir, NULL) == SL_OK) &&
                 stat(dir, &base) == 0;
    if (local && can_skip(&l, config, &base)) {
        sl_free(dir);
        return;
    }
    sight->look_again_ns = 0;
    sight->quiet = false;
    sl_code rc = sl_policy_select(&config->c, accept, &l, &set, &remarks, &why);
    if (rc)
        sl_text_printf(&remarks,
                       "EFileSystemStoragePathSource encountered a filesystem access error: %s\n",
                       why.msg);
    note_looks(sight, &set);
    drop_candidates(sight);
    if (rc == SL_OK)
        add_remarks(&l, &remarks);
    if (set.count == 0 && !wants_nothing(&config->c))
        add_hint(&l, &config->c, &remarks);
    remark(sight, &remarks);
    sl_text_fini(&remarks);
    if (local && rc == SL_OK)
        remember_base(sight, config, dir, &base);
    int watch = local ? sl_manager_watch_dir(l.m, dir) : 0;
    sl_free(dir);
    apply(&l, config, watch, rc, &set, &why);
    sl_aspired_fini(&set);
}
