/* document.c - see document.h */
#include "cli/document.h"

#include "base/mem.h"
#include "codec/examples_json.h"

static void put_string(sl_text *out, const char *s)
{
    sl_chain c = {0};
    sl_json_encode_string(sl_str_of(s), &c);
    char *copy = sl_malloc(c.size + 1);
    sl_chain_copy(&c, copy);
    sl_text_add(out, copy, c.size);
    sl_free(copy);
    sl_chain_reset(&c);
}

static size_t skip_blanks(sl_str data, size_t at)
{
    while (at < data.n && data.p[at] != '\0' && strchr(" \t\r\n", data.p[at]))
        at++;
    return at;
}

void sl_cli_document(sl_str data, const char *signature, sl_text *out)
{
    size_t at = skip_blanks(data, 0);
    bool list = at < data.n && data.p[at] == '[', object = at < data.n && data.p[at] == '{';
    if (list || (object && signature))
        sl_text_puts(out, "{");
    if ((list || object) && signature) {
        sl_text_puts(out, "\"signature_name\": ");
        put_string(out, signature);
        size_t next = skip_blanks(data, at + 1);
        if (list || (next < data.n && data.p[next] != '}'))
            sl_text_puts(out, ", ");
    }
    if (list)
        sl_text_puts(out, "\"instances\": ");
    if (object && signature)
        at++; /* its brace has been written */
    if (data.n > at)
        sl_text_add(out, data.p + at, data.n - at);
    if (list)
        sl_text_puts(out, "}");
}
