/*
 * main.c - sluice-fetch: hears what the server wants, has it done, says what came of it
 *
 * The main thread reads descriptor 0; requests are worked on by threads (queue.h).
 *
 * The end of descriptor 0 is the end of the program, whatever is going on: what was not published
 * is removed by the next one.
 *
 *     sluice-fetch unpack ...    what archive.c starts: opens one archive in a process of its own
 */
#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/counts.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "fetch/helper/archive.h"
#include "fetch/helper/document.h"
#include "fetch/helper/mirror.h"
#include "fetch/helper/queue.h"

static const uint64_t PROGRESS_NS = 500000000u;

static struct {
    pthread_mutex_t writing;
    fetch_settings settings; /* set before the first request, then constant */
} self = {.writing = PTHREAD_MUTEX_INITIALIZER};

/* Other threads may be anywhere. */
static void end(int status)
{
    sl_counts_write();
    _exit(status);
}

/* ---- talking ---- */

static void say(const sl_fetch_msg *m)
{
    sl_text t = {0};
    sl_fetch_write(&t, m);
    if (t.failed) { /* the server must not wait for what was never said: it starts us anew */
        fprintf(stderr, "sluice-fetch: out of memory\n");
        end(1);
    }
    pthread_mutex_lock(&self.writing);
    size_t at = 0;
    if (sl_fetch_flush(STDIN_FILENO, &t, &at) != 0)
        end(0);        /* the server has gone */
    assert(at == t.n); /* this end of the socket blocks */
    pthread_mutex_unlock(&self.writing);
    sl_text_fini(&t);
}

static void say_progress(fetch_op *op)
{
    uint64_t now = sl_now_ns();
    if (now - op->said_ns < PROGRESS_NS)
        return;
    op->said_ns = now;
    say(&(sl_fetch_msg){
        .kind = SL_FETCH_PROGRESS, .id = op->id, .done = op->done, .total = op->total});
}

static void say_failed(const fetch_op *op, const sl_status *st)
{
    say(&(sl_fetch_msg){.kind = op->partial ? SL_FETCH_PARTIAL : SL_FETCH_FAILED,
                        .id = op->id,
                        .code = st->code,
                        .text = sl_str_of(st->msg)});
}

/* ---- doing ---- */

static void do_list(fetch_op *op)
{
    fetch_names names = {0};
    sl_status st = {0};
    sl_str *list = NULL;
    if (fetch_list(op, &names, &st)) {
        say_failed(op, &st);
    } else {
        list = sl_calloc((size_t)names.count, sizeof *list);
        for (int i = 0; i < names.count; i++)
            list[i] = sl_str_of(names.list[i]);
        say(&(sl_fetch_msg){.kind = SL_FETCH_LISTED,
                            .id = op->id,
                            .changed = op->changed,
                            .names = list,
                            .n_names = names.count,
                            .total = op->done});
    }
    sl_free(list);
    fetch_names_fini(&names);
}

static void do_get(fetch_op *op)
{
    sl_status st = {0};
    sl_code rc = op->kind == SL_FETCH_GET ? fetch_get(op, &st) : fetch_tidy(op, &st);
    if (rc)
        say_failed(op, &st);
    else
        say(&(sl_fetch_msg){.kind = SL_FETCH_GOT,
                            .id = op->id,
                            .changed = op->changed,
                            .total = op->changed ? op->done : 0});
}

static void do_read(fetch_op *op)
{
    fetch_document d;
    sl_status st = {0};
    if (fetch_read(op, &d, &st))
        say_failed(op, &st);
    else
        say(&(sl_fetch_msg){.kind = SL_FETCH_DOCUMENT,
                            .id = op->id,
                            .text = {d.text.p, d.text.n},
                            .changed = d.has_age,
                            .total = d.age_s});
    fetch_document_fini(&d);
}

static void run(fetch_op *op)
{
    if (op->kind == SL_FETCH_LIST)
        do_list(op);
    else if (op->kind == SL_FETCH_READ)
        do_read(op);
    else
        do_get(op);
    sl_counts_write(); /* the server ends us with a signal */
}

static void free_op(fetch_op *op)
{
    for (int i = 0; i < op->n_names; i++)
        sl_free((char *)(uintptr_t)op->names[i].p);
    sl_free(op->names);
    sl_free(op->numbers);
    sl_free(op->url);
    sl_free(op->dir);
    sl_free(op->name);
    sl_free(op);
}

/* ---- hearing ---- */

static char *copy(sl_str s)
{
    return sl_strndup(s.p ? s.p : "", s.n);
}

static void add_op(const sl_fetch_msg *m)
{
    fetch_op *op = sl_calloc(1, sizeof *op);
    sl_status st = {0};
    op->kind = m->kind;
    op->id = m->id;
    op->url = copy(m->url);
    op->dir = copy(m->dir);
    op->name = copy(m->name);
    op->settings = &self.settings;
    op->progress = say_progress;
    op->names = sl_calloc((size_t)m->n_names, sizeof *op->names);
    op->numbers = sl_calloc((size_t)m->n_numbers, sizeof *op->numbers);
    for (; op->n_names < m->n_names; op->n_names++)
        op->names[op->n_names] = (sl_str){copy(m->names[op->n_names]), m->names[op->n_names].n};
    for (; op->n_numbers < m->n_numbers; op->n_numbers++)
        op->numbers[op->n_numbers] = m->numbers[op->n_numbers];
    op->patience_s = (unsigned)SL_MIN(SL_MAX(m->patience_s, 1u), 600u);
    op->max_bytes = SL_MIN(m->max_bytes, (uint64_t)SL_FETCH_FRAME / 2);
    if (op->kind == SL_FETCH_READ)
        sl_fetch_url_parse(sl_str_of(op->url), &op->place, &st);
    else if (op->dir[0] != '/')
        sl_fail(&st, SL_INVALID_ARGUMENT, "no directory");
    else
        sl_fetch_place_parse(sl_str_of(op->url), &op->place, &st);
    if (st.code == SL_OK && fetch_queue_add(op, &st) == SL_OK)
        return;
    say_failed(op, &st);
    free_op(op);
}

static void set_up(const sl_fetch_msg *m)
{
    if (self.settings.max_bytes != 0)
        return;
    self.settings.patience_s = (unsigned)SL_MIN(SL_MAX(m->patience_s, 1u), 86400u);
    self.settings.max_bytes = SL_MAX(m->max_bytes, 1u);
    self.settings.roots = sl_calloc((size_t)m->n_names, sizeof *self.settings.roots);
    for (int i = 0; i < m->n_names; i++)
        self.settings.roots[i] = (sl_str){copy(m->names[i]), m->names[i].n};
    self.settings.n_roots = m->n_names;
    say(&(sl_fetch_msg){.kind = SL_FETCH_HELLO, .code = SL_FETCH_VERSION});
}

static void hear(const sl_fetch_msg *m)
{
    switch (m->kind) {
    case SL_FETCH_SETUP:
        set_up(m);
        break;
    case SL_FETCH_LIST:
    case SL_FETCH_GET:
    case SL_FETCH_TIDY:
    case SL_FETCH_READ:
        if (self.settings.max_bytes != 0)
            add_op(m);
        break;
    case SL_FETCH_CANCEL:
        fetch_queue_cancel(m->id);
        break;
    default:
        break;
    }
}

static int serve(void)
{
    sl_fetch_reader reader = {0};
    sl_fetch_msg m;
    sl_status st = {0};
    for (;;) {
        sl_code rc = sl_fetch_read(&reader, &m, &st);
        if (rc == SL_OK) {
            hear(&m);
            sl_fetch_msg_fini(&m);
            continue;
        }
        if (rc != SL_UNAVAILABLE) {
            fprintf(stderr, "sluice-fetch: %s\n", st.msg);
            return 1;
        }
        if (sl_fetch_fill(&reader, STDIN_FILENO) <= 0)
            return 0;
    }
}

int main(int argc, char **argv)
{
    sl_status st = {0};
    struct rlimit no_core = {0, 0};
    signal(SIGPIPE, SIG_IGN);
    setrlimit(RLIMIT_CORE, &no_core); /* credentials are in this process */
    if (argc > 1 && strcmp(argv[1], "unpack") == 0)
        return fetch_unpack_main(argc, argv);
    if (argc > 1) {
        fprintf(stderr, "sluice-fetch is started by sluice: it has no use of its own\n");
        return 2;
    }
    sl_fault_listen("SLUICE_FAULT");
    sl_thread_be_nice();
    if (fetch_http_start(&st)) {
        fprintf(stderr, "sluice-fetch: %s\n", st.msg);
        return 1;
    }
    fetch_queue_start(run, free_op, FETCH_MOST_WAITING);
    end(serve());
}
