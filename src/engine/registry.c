/*
 * registry.c - asks the engines in order
 *
 * The first lines of what an engine reports become the reason that people see; all of them are the
 * details.
 */
#include "engine/registry.h"

#include <string.h>

enum { SHOWN = 3 }; /* reasons of an engine that fit into a sentence */

typedef struct asked {
    const char *engine;
    int count;        /* reasons so far */
    sl_text shown;    /* the first ones, joined by "; " */
    sl_text *details; /* all, or NULL */
} asked;

static void add(void *arg, const char *node, const char *op, const char *reason)
{
    asked *a = arg;
    sl_text line = {0};
    if (op != NULL && *op != '\0')
        sl_text_printf(&line, "op %s", op);
    if (node != NULL && *node != '\0')
        sl_text_printf(&line, "%s%s%s%s", line.n ? " (node " : "", node, line.n ? ")" : "", "");
    sl_text_printf(&line, "%s%s", line.n ? ": " : "", reason);
    if (a->count++ < SHOWN)
        sl_text_printf(&a->shown, "%s%s", a->shown.n ? "; " : "", line.p ? line.p : "");
    if (a->details != NULL)
        sl_text_printf(a->details, "%s: %s\n", a->engine, line.p ? line.p : "");
    sl_text_fini(&line);
}

/* Asks one engine; `why` gets a sentence about its no. */
static sl_code ask(const sl_engine_entry *e, const sl_saved_model *model, sl_text *why,
                   sl_text *details, sl_status *st)
{
    asked a = {.engine = e->engine->name, .details = details};
    sl_report report = {add, &a};
    sl_code rc = e->engine->probe(e->self, model, &report, st);
    if (rc) {
        sl_text_printf(why, "%s%s cannot run it: %s", why->n ? ". " : "", e->engine->name,
                       a.shown.n ? a.shown.p : st->msg);
        if (a.count > SHOWN)
            sl_text_printf(why, "; and %d more", a.count - SHOWN);
    }
    sl_text_fini(&a.shown);
    return rc;
}

sl_code sl_engines_choose(const sl_engine_list *engines, const char *wanted,
                          const sl_saved_model *model, const sl_engine_entry **out, sl_text *why,
                          sl_text *details, sl_status *st)
{
    bool any = strcmp(wanted, "auto") == 0, found = false;
    sl_code rc = SL_OK;
    sl_text refused = {0};
    for (int i = 0; i < engines->count; i++) {
        const sl_engine_entry *e = &engines->list[i];
        if (!any && strcmp(e->engine->name, wanted) != 0)
            continue;
        found = true;
        rc = ask(e, model, &refused, details, st);
        if (rc == SL_OK) {
            *out = e;
            sl_text_printf(why, "%s, %s%s", e->engine->name,
                           any ? "the first engine that can run it" : "as configured",
                           refused.n ? ": " : "");
            if (refused.n)
                sl_text_add(why, refused.p, refused.n);
            break;
        }
    }
    if (!found) {
        rc = sl_fail(st, SL_INVALID_ARGUMENT,
                     "there is no engine \"%s\": choose auto, native or tensorflow", wanted);
    } else if (rc) {
        sl_text_add(why, refused.p ? refused.p : "", refused.n);
        rc = sl_fail(st, rc, "no engine can run the model: %s", refused.p ? refused.p : "");
    }
    sl_text_fini(&refused);
    return rc;
}
