/* explain.c - see explain.h */
#include "fetch/helper/explain.h"

#include <stdio.h>

#include "base/mem.h"
#include "fetch/helper/json.h"
#include "fetch/helper/xml.h"

typedef struct found {
    char *out;
    size_t size;
} found;

static void copy_printable(char *out, size_t size, sl_str s)
{
    size_t n = SL_MIN(s.n, size - 1);
    for (size_t i = 0; i < n; i++)
        out[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
    out[n] = '\0';
}

static bool on_element(void *arg, const char *path, sl_str text)
{
    found *f = arg;
    if (strcmp(path, "Error/Code") != 0 && strcmp(path, "ErrorResponse/Error/Code") != 0)
        return true;
    copy_printable(f->out, f->size, text);
    return false;
}

void fetch_explain(const sl_text *body, char *out, size_t size)
{
    sl_str b = {body->n ? body->p : "", body->n};
    out[0] = '\0';
    while (b.n && (*b.p == ' ' || *b.p == '\n' || *b.p == '\r')) {
        b.p++;
        b.n--;
    }
    if (b.n == 0)
        return;
    if (*b.p == '<') {
        found f = {out, size};
        fetch_xml x = {on_element, &f};
        fetch_xml_walk(b, &x, NULL);
    } else if (*b.p == '{') {
        char *text = fetch_json_string(b, "error.message");
        if (text == NULL)
            text = fetch_json_string(b, "error");
        if (text != NULL)
            copy_printable(out, size, sl_str_of(text));
        sl_free(text);
    }
}

bool fetch_error_is(const sl_text *body, const char *code)
{
    char text[100];
    fetch_explain(body, text, sizeof text);
    return strcmp(text, code) == 0;
}
