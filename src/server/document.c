/* document.c - see document.h */
#include "server/document.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "fetch/protocol.h"

static const uint64_t WHOLE_NS = 3 * (uint64_t)SL_DOCUMENT_SECONDS * 1000000000u;

typedef struct talk {
    int socket;
    sl_document *list;
    int n, left;
    void (*heard)(void *arg, sl_document *d);
    void *arg;
    sl_text out;
    size_t out_at;
    sl_fetch_reader in;
} talk;

static void end(talk *t, sl_document *d)
{
    d->done = true;
    t->left--;
    if (t->heard != NULL)
        t->heard(t->arg, d);
}

static void fail_rest(talk *t, sl_code code, const char *why)
{
    for (int i = 0; i < t->n; i++)
        if (!t->list[i].done) {
            sl_fail(&t->list[i].st, code, "%s", why);
            end(t, &t->list[i]);
        }
}

static void write_questions(talk *t)
{
    sl_fetch_write(&t->out, &(sl_fetch_msg){.kind = SL_FETCH_SETUP,
                                            .patience_s = SL_DOCUMENT_SECONDS,
                                            .max_bytes = SL_DOCUMENT_MAX});
    for (int i = 0; i < t->n; i++)
        sl_fetch_write(&t->out, &(sl_fetch_msg){.kind = SL_FETCH_READ,
                                                .id = (uint64_t)i + 1,
                                                .url = sl_str_of(t->list[i].url),
                                                .name = sl_str_of(t->list[i].ca_file),
                                                .patience_s = SL_DOCUMENT_SECONDS,
                                                .max_bytes = SL_DOCUMENT_MAX});
}

static void take_answer(talk *t, const sl_fetch_msg *m)
{
    if (m->id < 1 || m->id > (uint64_t)t->n || t->list[m->id - 1].done)
        return;
    sl_document *d = &t->list[m->id - 1];
    if (m->kind == SL_FETCH_FAILED) {
        bool known = m->code > SL_OK && m->code <= SL_UNAUTHENTICATED;
        sl_fail(&d->st, known ? (sl_code)m->code : SL_UNKNOWN, "%.*s",
                (int)SL_MIN(m->text.n, (size_t)500), m->text.n ? m->text.p : "");
    } else if (m->kind == SL_FETCH_DOCUMENT && m->text.n > SL_DOCUMENT_MAX) {
        sl_fail(&d->st, SL_OUT_OF_RANGE, "an answer of more than %d bytes", SL_DOCUMENT_MAX);
    } else if (m->kind == SL_FETCH_DOCUMENT) {
        sl_text_add(&d->text, m->text.n ? m->text.p : "", m->text.n);
        if (d->text.failed)
            sl_fail(&d->st, SL_RESOURCE_EXHAUSTED, "out of memory");
        d->has_age = m->changed;
        d->age_s = m->total;
    } else {
        return;
    }
    end(t, d);
}

static void hear(talk *t)
{
    sl_fetch_msg m;
    sl_status st = {0};
    while (t->left > 0) {
        sl_code rc = sl_fetch_read(&t->in, &m, &st);
        if (rc == SL_OK) {
            if (m.kind == SL_FETCH_HELLO && m.code != SL_FETCH_VERSION)
                fail_rest(t, SL_FAILED_PRECONDITION,
                          "sluice-fetch is of another version than this program");
            take_answer(t, &m);
            sl_fetch_msg_fini(&m);
        } else if (rc != SL_UNAVAILABLE) {
            fail_rest(t, SL_INTERNAL, "sluice-fetch does not keep to the protocol");
        } else {
            int n = sl_fetch_fill(&t->in, t->socket);
            if (n == 0 || (n < 0 && errno != EAGAIN))
                fail_rest(t, SL_UNAVAILABLE, "sluice-fetch ended unexpectedly");
            if (n <= 0)
                return;
        }
    }
}

static void converse(talk *t, int wake, const atomic_bool *ending)
{
    uint64_t end = sl_now_ns() + WHOLE_NS, now, ignored;
    write_questions(t);
    if (t->out.failed)
        fail_rest(t, SL_RESOURCE_EXHAUSTED, "out of memory");
    while (t->left > 0 && (now = sl_now_ns()) < end) {
        if (sl_fetch_flush(t->socket, &t->out, &t->out_at))
            fail_rest(t, SL_UNAVAILABLE, "sluice-fetch ended unexpectedly");
        struct pollfd fds[2] = {{.fd = t->socket, .events = POLLIN},
                                {.fd = wake, .events = POLLIN}};
        if (t->out_at < t->out.n)
            fds[0].events |= POLLOUT;
        poll(fds, 2, (int)((end - now) / 1000000) + 1);
        if (fds[1].revents && read(wake, &ignored, sizeof ignored) < 0)
            ignored = 0;
        if (ending != NULL && atomic_load(ending))
            fail_rest(t, SL_CANCELLED, "the server ends");
        hear(t);
    }
    fail_rest(t, SL_DEADLINE_EXCEEDED, "sluice-fetch has not answered in time");
}

void sl_documents_fetch(sl_helper *h, int wake, const atomic_bool *ending, sl_document *list, int n,
                        void (*heard)(void *arg, sl_document *d), void *arg)
{
    talk t = {.socket = -1, .list = list, .n = n, .left = n, .heard = heard, .arg = arg};
    sl_status st = {0};
    if (n == 0)
        return;
    if (sl_helper_open(h, &t.socket, &st)) {
        sl_wrap(&st, "cannot start sluice-fetch: ");
        fail_rest(&t, st.code, st.msg);
        return;
    }
    fcntl(t.socket, F_SETFL, O_NONBLOCK);
    converse(&t, wake, ending);
    close(t.socket);
    sl_helper_close(h);
    sl_text_fini(&t.out);
    sl_fetch_reader_fini(&t.in);
}
