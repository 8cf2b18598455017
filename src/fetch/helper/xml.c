/* xml.c - see xml.h */
#include "fetch/helper/xml.h"

#include <expat.h>

#include "base/mem.h"

enum { DEPTH = 16, PATH = 512, TEXT = 4096, PIECE = 1 << 20 };

typedef struct walk {
    const fetch_xml *x;
    XML_Parser parser;
    char path[PATH];
    size_t n;
    int depth;
    sl_text text;
    const char *wrong; /* why it was stopped; NULL: it was wanted */
    bool stopped;      /* expat may call back once more */
} walk;

static void stop(walk *w, const char *wrong)
{
    if (!w->stopped)
        w->wrong = wrong;
    w->stopped = true;
    XML_StopParser(w->parser, XML_FALSE);
}

static void on_start(void *arg, const XML_Char *name, const XML_Char **attributes)
{
    walk *w = arg;
    const char *colon = strrchr(name, ':');
    const char *local = colon ? colon + 1 : name;
    size_t n = strlen(local);
    (void)attributes;
    if (w->depth == DEPTH || n + 2 > PATH - w->n) {
        stop(w, "nested too deeply");
        return;
    }
    if (w->depth++ > 0)
        w->path[w->n++] = '/';
    memcpy(w->path + w->n, local, n + 1);
    w->n += n;
    w->text.n = 0;
}

static void on_end(void *arg, const XML_Char *name)
{
    walk *w = arg;
    (void)name;
    if (w->stopped)
        return;
    if (!w->x->element(w->x->arg, w->path, (sl_str){w->text.n ? w->text.p : "", w->text.n})) {
        stop(w, NULL);
        return;
    }
    w->text.n = 0;
    char *slash = strrchr(w->path, '/');
    w->n = slash ? (size_t)(slash - w->path) : 0;
    w->path[w->n] = '\0';
    w->depth--;
}

static void on_text(void *arg, const XML_Char *p, int n)
{
    walk *w = arg;
    if (w->text.n + (size_t)n > TEXT) {
        stop(w, "an element's text is too long");
        return;
    }
    sl_text_add(&w->text, p, (size_t)n);
    if (w->text.failed)
        stop(w, NULL);
}

static void on_doctype(void *arg, const XML_Char *name, const XML_Char *system, const XML_Char *pub,
                       int internal)
{
    (void)name, (void)system, (void)pub, (void)internal;
    stop(arg, "a document type is not allowed");
}

sl_code fetch_xml_walk(sl_str document, const fetch_xml *x, sl_status *st)
{
    walk w = {.x = x, .parser = XML_ParserCreate(NULL)};
    sl_code rc = SL_OK;
    if (w.parser == NULL)
        return sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    XML_SetUserData(w.parser, &w);
    XML_SetElementHandler(w.parser, on_start, on_end);
    XML_SetCharacterDataHandler(w.parser, on_text);
    XML_SetStartDoctypeDeclHandler(w.parser, on_doctype);
    enum XML_Status ok = XML_STATUS_OK;
    size_t at = 0;
    do {
        size_t n = SL_MIN(document.n - at, (size_t)PIECE);
        ok = XML_Parse(w.parser, document.n ? document.p + at : "", (int)n, at + n == document.n);
        at += n;
    } while (ok == XML_STATUS_OK && at < document.n);
    if (w.text.failed)
        rc = sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory");
    else if (w.wrong != NULL)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "not an answer of S3: %s", w.wrong);
    else if (ok != XML_STATUS_OK && !w.stopped)
        rc = sl_fail(st, SL_INVALID_ARGUMENT, "not an answer of S3: %s",
                     XML_ErrorString(XML_GetErrorCode(w.parser)));
    XML_ParserFree(w.parser);
    sl_text_fini(&w.text);
    return rc;
}
