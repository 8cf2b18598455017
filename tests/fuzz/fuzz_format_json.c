/* fuzz_format_json.c - the JSON scanner: skipping and walking must agree, and numbers must come
 * back */
#include <stdlib.h>

#include "format/json.h"

/* Walks one level of the value that comes and skips what is in it. */
static void walk(sl_json *j)
{
    sl_json_string key, s;
    sl_number n;
    char text[SL_NUMBER_ROOM];
    char c = sl_json_peek(j);
    if (c == '{' || c == '[') {
        if (!sl_json_enter(j, c))
            return;
        while (c == '{' ? sl_json_member(j, &key) : sl_json_element(j))
            sl_json_skip(j);
    } else if (sl_json_peek_type(j) == SL_JSON_NUMBER) {
        if (sl_json_read_number(j, &n) && n.d - n.d == 0)
            (void)sl_number_write_shortest(text, n.d);
    } else if (c == '"') {
        if (sl_json_read_string(j, &s)) {
            char *plain = malloc(s.raw.n + 1);
            if (sl_json_unescape(s.raw, plain) > s.raw.n)
                abort();
            free(plain);
        }
    } else {
        sl_json_skip(j);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_json a, b;
    sl_str text = {(const char *)data, size};
    sl_json_open(&a, text, 100);
    sl_json_open(&b, text, 100);
    if (!a.error)
        sl_json_skip(&a);
    if (!b.error)
        walk(&b);
    if (!a.error != !b.error || a.offset != b.offset || (!a.error && a.at != b.at) ||
        (a.error && strcmp(a.error, b.error) != 0))
        abort();
    return 0;
}
