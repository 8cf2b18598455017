/*
 * jwks.c - see jwks.h
 *
 * An entry belongs to one `jwt` of the configuration; when that changes, a new entry takes over
 * what an old one of the same URL and authorities has fetched. The lock is held for moments only:
 * requests ask for it. Whether a document is a key set is found out before.
 */
#include "server/jwks.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fetch/place.h"
#include "guard/keys.h"
#include "metrics/metrics.h"
#include "proto/auth_config.pb-c.h"
#include "server/document.h"

#define SECOND ((uint64_t)1000000000u)
enum {
    REFRESH_S = 600, /* where nobody says */
    LEAST_S = 60,    /* what an answer may ask for */
    MOST_S = 3600,
    LONGEST_RETRY_S = 60,
    UNKNOWN_KEY_S = 30 /* whoever sends tokens of unknown keys makes us fetch so often */
};

typedef struct entry {
    struct entry *next;
    char *name, *url, *ca_file;
    unsigned refresh_s;
    bool has_file; /* keys of a file are used meanwhile */
    sl_text good;  /* the last set that could be read */
    uint64_t due_ns;
    uint64_t ask_again_ns; /* before this an unknown key changes nothing */
    bool fetching, again;
    unsigned failures;
    sl_status complaint; /* what was logged last */
} entry;

struct sl_jwks {
    sl_jwks_options opts;
    sl_helper helper;     /* the thread's */
    pthread_mutex_t lock; /* guards the entries */
    entry *entries;
    int wake; /* eventfd */
    atomic_bool ending;
    pthread_t thread;
    bool has_thread;
};

uint64_t sl_jwks_wait_ns(unsigned refresh_s, bool has_age, uint64_t age_s)
{
    uint64_t least = SL_MIN(refresh_s, (unsigned)LEAST_S),
             most = SL_MAX(refresh_s, (unsigned)MOST_S);
    return (has_age ? SL_MIN(SL_MAX(age_s, least), most) : refresh_s) * SECOND;
}

uint64_t sl_jwks_retry_ns(unsigned failures)
{
    return SL_MIN(SECOND << SL_MIN(failures - 1, 16u), LONGEST_RETRY_S * SECOND);
}

/* ---- the configuration ---- */

static bool has_url(const Sluice__JwtIssuer *c)
{
    return *c->jwks_url != '\0';
}

static sl_code check_one(const Sluice__JwtIssuer *c, sl_status *st)
{
    sl_fetch_place place;
    if (c->jwks_refresh_seconds < 0 || c->jwks_refresh_seconds > 86400)
        return sl_fail(st, SL_INVALID_ARGUMENT, "jwks_refresh_seconds is 0 to 86400");
    if (!has_url(c))
        return SL_OK;
    if (sl_fetch_url_parse(sl_str_of(c->jwks_url), &place, st))
        return sl_wrap(st, "jwks_url: ");
    if (!place.tls && !c->jwks_plain_http && !sl_fetch_is_loopback(place.bucket))
        return sl_fail(st, SL_INVALID_ARGUMENT,
                       "jwks_url: plain http to another machine lets whoever is on the way choose "
                       "the keys: use https, or say jwks_plain_http: true");
    return SL_OK;
}

sl_code sl_jwks_check(const Sluice__AuthConfig *c, const char *helper, sl_status *st)
{
    char *path = NULL;
    bool any = false;
    for (size_t i = 0; i < c->n_jwt; i++) {
        if (check_one(c->jwt[i], st))
            return sl_wrap(st, "jwt \"%s\": ", c->jwt[i]->name);
        any |= has_url(c->jwt[i]);
    }
    sl_code rc = any ? sl_helper_find(helper, &path, st) : SL_OK;
    sl_free(path);
    return rc ? sl_wrap(st, "jwks_url: ") : SL_OK;
}

/* "" stays "". */
static char *ca_path(const char *dir, const char *name)
{
    char *path =
        *name == '\0' || *name == '/' || *dir == '\0' ? sl_strdup(name) : sl_path_join(dir, name);
    return path ? path : sl_strdup(name);
}

/* ---- entries; with the lock ---- */

static void free_entries(entry *e)
{
    while (e != NULL) {
        entry *next = e->next;
        sl_free(e->name);
        sl_free(e->url);
        sl_free(e->ca_file);
        sl_text_fini(&e->good);
        sl_free(e);
        e = next;
    }
}

static entry *find(const sl_jwks *j, const char *url, const char *ca_file)
{
    entry *e = j->entries;
    while (e != NULL && (strcmp(e->url, url) != 0 || strcmp(e->ca_file, ca_file) != 0))
        e = e->next;
    return e;
}

static entry *make_entry(const sl_jwks *j, const Sluice__JwtIssuer *c, const char *dir)
{
    entry *e = sl_calloc(1, sizeof *e);
    e->name = sl_strdup(c->name);
    e->url = sl_strdup(c->jwks_url);
    e->ca_file = ca_path(dir, c->jwks_ca_file);
    e->refresh_s = c->jwks_refresh_seconds ? (unsigned)c->jwks_refresh_seconds : REFRESH_S;
    e->has_file = *c->jwks_file != '\0';
    const entry *old = find(j, e->url, e->ca_file);
    if (old == NULL)
        return e;
    sl_text_add(&e->good, old->good.p ? old->good.p : "", old->good.n);
    e->ask_again_ns = old->ask_again_ns;
    e->failures = old->failures;
    e->complaint = old->complaint;
    if (e->refresh_s == old->refresh_s)
        e->due_ns = old->due_ns;
    return e;
}

/* ---- what came of it ---- */

static void count(const entry *e, bool ok)
{
    static const char *const labels[] = {"issuer", "result", NULL}, *const one[] = {"issuer", NULL};
    sl_str values[] = {sl_str_of(e->name), sl_str_of(ok ? "ok" : "failed")};
    sl_cell_add(
        sl_metric_cell(sl_metric_register("/sluice/auth/key_fetches", SL_COUNTER, labels, NULL, 0),
                       values),
        1);
    if (ok)
        sl_cell_set(sl_metric_cell(sl_metric_register("/sluice/auth/keys_fetched_seconds", SL_GAUGE,
                                                      one, NULL, 0),
                                   values),
                    sl_wall_us() / 1000000);
}

static void take_failure(entry *e, const sl_status *st, uint64_t now)
{
    e->due_ns = now + sl_jwks_retry_ns(++e->failures);
    count(e, false);
    if (strcmp(e->complaint.msg, st->msg) == 0)
        return;
    e->complaint = *st;
    sl_log(SL_WARNING, "jwt \"%s\": its keys cannot be fetched, %s: %s", e->name,
           e->good.p     ? "the last ones that could be stay in use"
           : e->has_file ? "those of jwks_file are used"
                         : "and until they are its tokens are refused with 503",
           st->msg);
}

/* True: the set is another one than before. */
static bool take_success(entry *e, const sl_document *d, uint64_t now)
{
    bool changed =
        e->good.p == NULL || e->good.n != d->text.n || memcmp(e->good.p, d->text.p, d->text.n) != 0;
    e->due_ns = now + sl_jwks_wait_ns(e->refresh_s, d->has_age, d->age_s);
    /* It has not reached the guard yet, which may still miss what is in it. */
    e->ask_again_ns = SL_MAX(e->ask_again_ns, now + SECOND);
    count(e, true);
    if (changed) {
        sl_text_fini(&e->good);
        sl_text_add(&e->good, d->text.p, d->text.n);
        changed = !e->good.failed;
    }
    if (changed || e->failures > 0)
        sl_log(SL_INFO, "jwt \"%s\": its keys have been fetched", e->name);
    e->failures = 0;
    e->complaint = (sl_status){0};
    return changed;
}

/* A document that is no key set has failed. */
static void judge(sl_document *d)
{
    sl_keys keys;
    if (d->st.code == SL_OK &&
        sl_keys_read((sl_str){d->text.p ? d->text.p : "", d->text.n}, &keys, &d->st) == SL_OK)
        sl_keys_fini(&keys);
}

static bool take(sl_jwks *j, const sl_document *d)
{
    uint64_t now = sl_now_ns();
    bool changed = false;
    if (atomic_load(&j->ending))
        return false;
    for (entry *e = j->entries; e != NULL; e = e->next) {
        if (strcmp(e->url, d->url) != 0 || strcmp(e->ca_file, d->ca_file) != 0)
            continue;
        if (d->st.code)
            take_failure(e, &d->st, now);
        else
            changed |= take_success(e, d, now);
        if (e->again)
            e->due_ns = now;
        e->fetching = e->again = false;
    }
    return changed;
}

static void heard(void *jwks, sl_document *d)
{
    sl_jwks *j = jwks;
    judge(d);
    pthread_mutex_lock(&j->lock);
    bool changed = take(j, d);
    pthread_mutex_unlock(&j->lock);
    if (changed)
        j->opts.changed(j->opts.arg);
}

/* ---- the thread ---- */

/* Those that are due, in copies. Returns how many, and when the next one is. */
static int collect(sl_jwks *j, sl_document **list, uint64_t *next)
{
    uint64_t now = sl_now_ns();
    int n = 0;
    size_t cap = 0;
    *list = NULL;
    *next = UINT64_MAX;
    for (entry *e = j->entries; e != NULL; e = e->next) {
        if (e->due_ns > now) {
            *next = SL_MIN(*next, e->due_ns);
            continue;
        }
        sl_document *longer = sl_try_grow(*list, (size_t)n, &cap, sizeof **list);
        if (longer == NULL) {
            *next = now + SECOND;
            break;
        }
        *list = longer;
        (*list)[n++] = (sl_document){.url = sl_strdup(e->url), .ca_file = sl_strdup(e->ca_file)};
        e->fetching = true;
    }
    return n;
}

static void forget(sl_document *list, int n)
{
    for (int i = 0; i < n; i++) {
        sl_free((char *)(uintptr_t)list[i].url);
        sl_free((char *)(uintptr_t)list[i].ca_file);
        sl_text_fini(&list[i].text);
    }
    sl_free(list);
}

static void rest(const sl_jwks *j, uint64_t until)
{
    uint64_t now = sl_now_ns(), ignored;
    struct pollfd fd = {.fd = j->wake, .events = POLLIN};
    uint64_t ms = until <= now ? 0 : SL_MIN((until - now) / 1000000 + 1, (uint64_t)60000);
    if (poll(&fd, 1, (int)ms) > 0 && read(j->wake, &ignored, sizeof ignored) < 0)
        ignored = 0;
}

static void *run(void *arg)
{
    sl_jwks *j = arg;
    sl_document *list;
    uint64_t next;
    sl_thread_be_nice();
    while (!atomic_load(&j->ending)) {
        pthread_mutex_lock(&j->lock);
        int n = collect(j, &list, &next);
        pthread_mutex_unlock(&j->lock);
        if (n == 0)
            rest(j, next);
        sl_documents_fetch(&j->helper, j->wake, &j->ending, list, n, heard, j);
        forget(list, n);
    }
    return NULL;
}

static void wake_up(const sl_jwks *j)
{
    uint64_t one = 1;
    if (write(j->wake, &one, sizeof one) < 0)
        sl_log(SL_ERROR, "eventfd: %s", strerror(errno));
}

/* ---- from outside ---- */

sl_jwks *sl_jwks_new(const sl_jwks_options *o)
{
    sl_jwks *j = sl_calloc(1, sizeof *j);
    j->opts = *o;
    j->helper = (sl_helper){.launcher = o->launcher, .launch_op = o->launch_op};
    j->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    pthread_mutex_init(&j->lock, NULL);
    return j;
}

void sl_jwks_free(sl_jwks *j)
{
    if (j == NULL)
        return;
    if (j->has_thread) {
        atomic_store(&j->ending, true);
        wake_up(j);
        pthread_join(j->thread, NULL);
    }
    free_entries(j->entries);
    if (j->wake >= 0)
        close(j->wake);
    sl_free(j->helper.path);
    pthread_mutex_destroy(&j->lock);
    sl_free(j);
}

void sl_jwks_texts(sl_jwks *j, const Sluice__AuthConfig *c, const char *dir, sl_text *out)
{
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < c->n_jwt; i++) {
        char *ca = ca_path(dir, c->jwt[i]->jwks_ca_file);
        const entry *e = has_url(c->jwt[i]) ? find(j, c->jwt[i]->jwks_url, ca) : NULL;
        if (e != NULL && e->good.p != NULL)
            sl_text_add(&out[i], e->good.p, e->good.n);
        sl_free(ca);
    }
    pthread_mutex_unlock(&j->lock);
}

sl_code sl_jwks_follow(sl_jwks *j, const Sluice__AuthConfig *c, const char *dir, sl_status *st)
{
    entry *fresh = NULL, **end = &fresh;
    pthread_mutex_lock(&j->lock);
    for (size_t i = 0; i < c->n_jwt; i++)
        if (has_url(c->jwt[i])) {
            *end = make_entry(j, c->jwt[i], dir);
            end = &(*end)->next;
        }
    free_entries(j->entries);
    j->entries = fresh;
    pthread_mutex_unlock(&j->lock);
    if (fresh == NULL)
        return SL_OK;
    if (j->has_thread) {
        wake_up(j);
        return SL_OK;
    }
    sl_code rc = sl_helper_find(j->opts.helper, &j->helper.path, st);
    if (rc == SL_OK)
        rc = sl_thread_start(&j->thread, "sl-jwks", run, j, st);
    j->has_thread = rc == SL_OK;
    return rc;
}

void sl_jwks_unknown_key(void *jwks, const char *url)
{
    sl_jwks *j = jwks;
    uint64_t now = sl_now_ns();
    bool wanted = false;
    pthread_mutex_lock(&j->lock);
    for (entry *e = j->entries; e != NULL; e = e->next) {
        bool on_its_way = e->due_ns <= now && (!e->fetching || e->good.p == NULL);
        if (strcmp(e->url, url) != 0 || now < e->ask_again_ns || on_its_way)
            continue;
        e->ask_again_ns = now + UNKNOWN_KEY_S * SECOND;
        e->again = e->fetching; /* that answer may have been on its way already */
        if (!e->fetching)
            e->due_ns = now;
        wanted = true;
    }
    pthread_mutex_unlock(&j->lock);
    if (wanted)
        wake_up(j);
}

void sl_jwks_poke(sl_jwks *j)
{
    pthread_mutex_lock(&j->lock);
    for (entry *e = j->entries; e != NULL; e = e->next) {
        e->again = e->fetching;
        if (!e->fetching)
            e->due_ns = 0;
    }
    pthread_mutex_unlock(&j->lock);
    wake_up(j);
}

void sl_jwks_fetch_once(const Sluice__AuthConfig *c, const char *dir, const char *helper,
                        sl_text *out, sl_status *sts)
{
    sl_document *list = sl_calloc(c->n_jwt + 1, sizeof *list);
    size_t *whose = sl_calloc(c->n_jwt + 1, sizeof *whose);
    sl_helper h = {0};
    sl_status st = {0};
    int n = 0;
    sl_code rc = sl_helper_find(helper, &h.path, &st);
    for (size_t i = 0; i < c->n_jwt; i++)
        if (has_url(c->jwt[i])) {
            sts[i] = st;
            whose[n] = i;
            list[n++] = (sl_document){.url = sl_strdup(c->jwt[i]->jwks_url),
                                      .ca_file = ca_path(dir, c->jwt[i]->jwks_ca_file)};
        }
    if (rc == SL_OK)
        sl_documents_fetch(&h, -1, NULL, list, n, NULL, NULL);
    for (int i = 0; rc == SL_OK && i < n; i++) {
        judge(&list[i]);
        sts[whose[i]] = list[i].st;
        if (list[i].st.code == SL_OK) {
            out[whose[i]] = list[i].text;
            list[i].text = (sl_text){0};
        }
    }
    forget(list, n);
    sl_free(whose);
    sl_free(h.path);
}
