/*
 * fuzz_format_text.c - any bytes as base64, base64url, a percent-encoded name, a file of records
 *
 * What base64 accepts comes back the same after encoding, but for its padding.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/str.h"
#include "format/base64.h"
#include "format/percent.h"
#include "format/tfrecord.h"
#include "format/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void base64(sl_str text)
{
    size_t n, again;
    char *bytes = malloc(text.n / 4 * 3 + 3);
    if (bytes == NULL)
        return;
    if (sl_base64_check(text, &n)) {
        if (sl_base64_decode(text, bytes) != n)
            abort();
        char *encoded = malloc(sl_base64_size(n) + 1);
        if (encoded != NULL) {
            char *end = sl_base64_encode((sl_str){bytes, n}, encoded);
            sl_str back = {encoded, (size_t)(end - encoded)};
            if (back.n != sl_base64_size(n) || !sl_base64_check(back, &again) || again != n)
                abort();
        }
        free(encoded);
    }
    if (sl_base64url_decode(text, bytes, &n) && n > text.n)
        abort();
    free(bytes);
}

static void records(sl_str file)
{
    sl_tfrecord r = {.file = file};
    sl_str record;
    sl_status st;
    sl_code rc = SL_OK;
    size_t total = 0;
    while (sl_tfrecord_next(&r, &record, &rc, &st))
        total += record.n + 16;
    if (total > file.n)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static sl_arena arena;
    static bool ready;
    sl_str text = {(const char *)data, size}, name = text;
    if (!ready && sl_arena_init(&arena, 0))
        abort();
    ready = true;
    base64(text);
    records(text);
    if (sl_percent_decode(&name, &arena) == SL_OK && name.n > text.n)
        abort();
    sl_arena_reset(&arena);
    return 0;
}
