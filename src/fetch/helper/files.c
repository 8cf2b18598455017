/*
 * files.c - objects into files, some at a time
 *
 * One thread, one curl multi handle, at most ABREAST transfers. A transfer keeps its file, how far
 * it has come and its checksums when its connection breaks, and goes on from there with a Range; a
 * store that answers with the whole then makes it begin anew.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/helper/checks.h"
#include "fetch/helper/http_inside.h"

enum { ABREAST = 4, LONGEST_COMPLAINT = 16384 };

typedef struct transfer {
    fetch_op *op;
    const fetch_object *object; /* NULL: no transfer here */
    const char *path;
    CURL *easy;
    struct curl_slist *headers;
    fetch_reply reply;
    char what[FETCH_WHAT];
    int fd;
    uint64_t got, limit; /* bytes in the file; at most so many may come */
    bool sized;          /* exactly `limit` must come */
    bool begun;          /* checks are */
    bool running;
    fetch_checks checks;
    unsigned attempts;
    int lessons;
    uint64_t not_before;
    char etag[FETCH_TAG]; /* of what is in the file so far */
    sl_status why;        /* what the write function found wrong */
} transfer;

/* ---- the file ---- */

static sl_code open_file(transfer *t, int dir, sl_status *st)
{
    char part[1100];
    for (const char *slash = strchr(t->path, '/'); slash; slash = strchr(slash + 1, '/')) {
        snprintf(part, sizeof part, "%.*s", (int)(slash - t->path), t->path);
        if (mkdirat(dir, part, 0755) != 0 && errno != EEXIST)
            return sl_fail(st, errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL, "%s: %s",
                           part, strerror(errno));
    }
    t->fd = openat(dir, t->path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (t->fd < 0)
        return sl_fail(st, errno == ENOSPC ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL, "%s: %s", t->path,
                       strerror(errno));
    return SL_OK;
}

static bool write_all(transfer *t, const char *p, size_t n)
{
    while (n) {
        ssize_t done = write(t->fd, p, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            sl_code rc = errno == ENOSPC || errno == EDQUOT ? SL_RESOURCE_EXHAUSTED : SL_INTERNAL;
            sl_fail(&t->why, rc, "the cache directory: %s: %s", t->path, strerror(errno));
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

static bool begin_anew(transfer *t)
{
    if (t->begun)
        fetch_checks_fini(&t->checks);
    t->begun = false;
    t->op->done -= t->got;
    t->got = 0;
    if (ftruncate(t->fd, 0) != 0 || lseek(t->fd, 0, SEEK_SET) != 0)
        return sl_fail(&t->why, SL_INTERNAL, "%s: %s", t->path, strerror(errno)) == SL_OK;
    return true;
}

static size_t on_data(char *p, size_t size, size_t n, void *arg)
{
    transfer *t = arg;
    n *= size;
    if (t->reply.status == 0)
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->reply.status);
    if (t->reply.status != 200 && t->reply.status != 206) { /* a complaint */
        if (t->reply.body.n + n <= LONGEST_COMPLAINT)
            sl_text_add(&t->reply.body, p, n);
        return n;
    }
    if (t->reply.status == 200 && t->got && !t->running) /* not from where we were: all of it */
        if (!begin_anew(t))
            return 0;
    if (t->reply.status == 206 && !t->running && t->reply.from != t->got) {
        sl_fail(&t->why, SL_DATA_LOSS, "%s: another part came than was asked for", t->what);
        return 0;
    }
    t->running = true;
    if (!t->begun && fetch_checks_begin(&t->checks, t->object, &t->reply, &t->why))
        return 0;
    t->begun = true;
    memcpy(t->etag, t->reply.etag, sizeof t->etag);
    if (n > t->limit - t->got) {
        sl_fail(&t->why, t->sized ? SL_DATA_LOSS : SL_OUT_OF_RANGE,
                "%s: more than the %llu bytes that %s", t->what, (unsigned long long)t->limit,
                t->sized ? "were listed" : "are allowed");
        return 0;
    }
    if (!write_all(t, p, n))
        return 0;
    fetch_checks_add(&t->checks, p, n);
    t->got += n;
    t->op->done += n;
    return n;
}

/* ---- a transfer ---- */

/* Goes on only with the same content: listed objects are asked for by their tag anyway. */
static void prepare_to_go_on(transfer *t, fetch_request *r)
{
    if (t->got == 0 || t->sized)
        return;
    if (*t->etag == '"')
        sl_text_printf(&r->headers, "If-Range: %s\n", t->etag);
    else
        begin_anew(t);
}

static sl_code launch(transfer *t, CURLM *multi, fetch_build build, const void *arg, sl_status *st)
{
    fetch_request r = {0};
    char range[32];
    sl_code rc = build(t->op, arg, &r, st);
    t->running = false;
    t->why = (sl_status){0};
    fetch_reply_fini(&t->reply);
    prepare_to_go_on(t, &r);
    if (rc == SL_OK) {
        fetch_what(&r, t->what);
        rc = fetch_easy_set(t->easy, t->op, &r, &t->reply, &t->headers, st);
    }
    fetch_request_fini(&r);
    if (rc)
        return rc;
    curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_data);
    curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
    curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
    if (t->got) {
        snprintf(range, sizeof range, "%llu-", (unsigned long long)t->got);
        curl_easy_setopt(t->easy, CURLOPT_RANGE, range);
    }
    if (curl_multi_add_handle(multi, t->easy) != CURLM_OK)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    t->attempts++;
    return SL_OK;
}

/* Another try is one from the start. */
static sl_code discard(transfer *t, sl_code rc, sl_status *st)
{
    if (begin_anew(t))
        return rc;
    *st = t->why;
    return st->code;
}

/* Is all of it there? Nobody asks for a listed object on a condition that 304 could answer. */
static sl_code complete(transfer *t, sl_status *st)
{
    uint64_t whole = t->sized ? t->limit : t->reply.status == 206 ? t->reply.total : UINT64_MAX;
    if (t->reply.status == 304 && !t->sized)
        return SL_OK;
    if (t->got && !t->running) /* an answer without a byte of the rest: what is the rest then? */
        return discard(t, sl_fail(st, SL_UNAVAILABLE, "%s: nothing came of the rest", t->what), st);
    if (whole != UINT64_MAX && t->got != whole)
        return sl_fail(st, SL_UNAVAILABLE, "%s: %llu bytes came of %llu", t->what,
                       (unsigned long long)t->got, (unsigned long long)whole);
    sl_code rc = SL_OK;
    if (t->begun)
        rc = fetch_checks_end(&t->checks, t->what, st);
    t->begun = false;
    return rc == SL_DATA_LOSS ? discard(t, rc, st) : rc; /* a proxy may have cut it */
}

/* How did it end? SL_OK: the file is there. *again: it is to be tried once more. */
static sl_code judge(transfer *t, CURLcode how, fetch_learn learn, bool *again, sl_status *st)
{
    *again = false;
    if (t->reply.status == 0)
        curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &t->reply.status);
    if (t->why.code) {
        *st = t->why;
        return st->code;
    }
    sl_code rc = fetch_easy_result(t->easy, how, t->op, st);
    if (rc == SL_OK)
        rc = fetch_status(&t->reply, t->what, st);
    if (rc == SL_OK)
        rc = complete(t, st);
    if (rc == SL_OK)
        return SL_OK;
    if (how == CURLE_OK && learn != NULL && t->lessons < 2 && learn(t->op, &t->reply)) {
        t->lessons++;
        *again = true;
    } else if (t->attempts < FETCH_TRIES &&
               (fetch_is_passing(rc) || (rc == SL_DATA_LOSS && t->attempts < 2))) {
        t->not_before = sl_now_ns() + fetch_backoff(t->attempts);
        *again = true;
    }
    return rc;
}

static void end(transfer *t)
{
    if (t->begun)
        fetch_checks_fini(&t->checks);
    t->begun = false;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    fetch_reply_fini(&t->reply);
    t->object = NULL;
    t->attempts = 0;
    t->lessons = 0;
    t->got = t->not_before = 0;
}

/* ---- all of them ---- */

typedef struct team {
    fetch_op *op;
    CURLM *multi;
    transfer list[ABREAST];
    bool added[ABREAST];
    int used;
} team;

static sl_code team_init(team *m, fetch_op *op, int abreast, sl_status *st)
{
    memset(m, 0, sizeof *m);
    m->op = op;
    m->multi = curl_multi_init();
    for (int i = 0; i < abreast && m->multi != NULL; i++) {
        m->list[i] = (transfer){.op = op, .fd = -1, .easy = curl_easy_init()};
        if (m->list[i].easy == NULL)
            break;
        m->used++;
    }
    return m->used == abreast ? SL_OK : sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
}

static void team_fini(team *m)
{
    for (int i = 0; i < m->used; i++) {
        if (m->added[i])
            curl_multi_remove_handle(m->multi, m->list[i].easy);
        end(&m->list[i]);
        curl_slist_free_all(m->list[i].headers);
        curl_easy_cleanup(m->list[i].easy);
    }
    if (m->multi != NULL)
        curl_multi_cleanup(m->multi);
}

static sl_code launch_due(team *m, fetch_build build, sl_status *st)
{
    for (int i = 0; i < m->used; i++) {
        transfer *t = &m->list[i];
        if (t->object == NULL || m->added[i] || sl_now_ns() < t->not_before)
            continue;
        sl_code rc = launch(t, m->multi, build, t->object, st);
        if (rc)
            return rc;
        m->added[i] = true;
    }
    return SL_OK;
}

/* Hears of one transfer that has ended; its index, or -1. */
static int ended(team *m, CURLcode *how)
{
    int left;
    CURLMsg *msg;
    while ((msg = curl_multi_info_read(m->multi, &left)) != NULL) {
        if (msg->msg != CURLMSG_DONE)
            continue;
        *how = msg->data.result;
        int i = 0;
        while (m->list[i].easy != msg->easy_handle) /* it knows no others */
            i++;
        curl_multi_remove_handle(m->multi, m->list[i].easy);
        curl_slist_free_all(m->list[i].headers);
        m->list[i].headers = NULL;
        m->added[i] = false;
        return i;
    }
    return -1;
}

/* One turn of all transfers. */
static sl_code turn(team *m, fetch_build build, fetch_learn learn, sl_status *st)
{
    int running, i;
    bool any = false;
    CURLcode how;
    sl_code rc = launch_due(m, build, st);
    if (rc)
        return rc;
    curl_multi_perform(m->multi, &running);
    while ((i = ended(m, &how)) >= 0) {
        bool again;
        any = true;
        rc = judge(&m->list[i], how, learn, &again, st);
        if (rc && !again)
            return rc;
        if (rc == SL_OK)
            end(&m->list[i]);
    }
    if (atomic_load(&m->op->cancelled))
        return sl_fail(st, SL_CANCELLED, "cancelled");
    m->op->progress(m->op);
    if (!any) /* else there is room for another one */
        curl_multi_poll(m->multi, NULL, 0, 100, NULL);
    return SL_OK;
}

static bool is_idle(const team *m)
{
    for (int i = 0; i < m->used; i++)
        if (m->list[i].object != NULL)
            return false;
    return true;
}

sl_code fetch_files(fetch_op *op, const fetch_listing *l, int fd, fetch_build build,
                    fetch_learn learn, sl_status *st)
{
    team m;
    int next = 0;
    sl_code rc = team_init(&m, op, ABREAST, st);
    while (rc == SL_OK && (next < l->count || !is_idle(&m))) {
        for (int i = 0; i < m.used && next < l->count && rc == SL_OK; i++) {
            transfer *t = &m.list[i];
            if (t->object != NULL)
                continue;
            t->object = &l->list[next++];
            t->path = t->object->path;
            t->limit = t->object->size;
            t->sized = true;
            rc = open_file(t, fd, st);
        }
        if (rc == SL_OK)
            rc = turn(&m, build, learn, st);
    }
    team_fini(&m);
    return rc;
}

sl_code fetch_one_file(fetch_op *op, int fd, const char *path, fetch_build build, const void *arg,
                       uint64_t limit, fetch_reply *reply, sl_status *st)
{
    static const fetch_object none;
    team m;
    memset(reply, 0, sizeof *reply);
    sl_code rc = team_init(&m, op, 1, st);
    transfer *t = &m.list[0];
    if (rc == SL_OK) {
        *t = (transfer){
            .op = op, .fd = -1, .easy = t->easy, .object = &none, .path = path, .limit = limit};
        rc = open_file(t, fd, st);
    }
    while (rc == SL_OK) {
        CURLcode how;
        int running;
        bool again = false;
        if (!m.added[0] && sl_now_ns() >= t->not_before) {
            rc = launch(t, m.multi, build, arg, st);
            m.added[0] = rc == SL_OK;
        }
        curl_multi_perform(m.multi, &running);
        if (rc == SL_OK && ended(&m, &how) == 0) {
            rc = judge(t, how, NULL, &again, st);
            *reply = t->reply; /* taken over */
            t->reply = (fetch_reply){0};
            if (rc == SL_OK || !again)
                break;
            fetch_reply_fini(reply);
            rc = SL_OK;
        }
        if (rc == SL_OK && atomic_load(&op->cancelled))
            rc = sl_fail(st, SL_CANCELLED, "cancelled");
        if (t->reply.length != UINT64_MAX && t->reply.status == 200)
            op->total = t->reply.length;
        op->progress(op);
        curl_multi_poll(m.multi, NULL, 0, 100, NULL);
    }
    team_fini(&m);
    return rc;
}
