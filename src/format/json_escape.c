/* json_escape.c - see json_escape.h */
#include "format/json_escape.h"

#include "base/mem.h"

/* What follows the backslash; 'u': four hex digits; 0: no escape. */
#define CONTROLS                                                                                  \
    [0] = 'u', [1] = 'u', [2] = 'u', [3] = 'u', [4] = 'u', [5] = 'u', [6] = 'u', [7] = 'u',       \
    [8] = 'b', [9] = 't', [10] = 'n', [11] = 'u', [12] = 'f', [13] = 'r', [14] = 'u', [15] = 'u', \
    [16] = 'u', [17] = 'u', [18] = 'u', [19] = 'u', [20] = 'u', [21] = 'u', [22] = 'u',           \
    [23] = 'u', [24] = 'u', [25] = 'u', [26] = 'u', [27] = 'u', [28] = 'u', [29] = 'u',           \
    [30] = 'u', [31] = 'u', ['"'] = '"', ['\\'] = '\\'
static const char escapes[2][256] = {{CONTROLS},
                                     {CONTROLS, ['<'] = 'u', ['>'] = 'u', [0x7f] = 'u'}};

char *sl_json_escape(sl_json_dialect dialect, sl_str s, char *out)
{
    const char *hex = dialect == SL_JSON_RAPID ? "0123456789ABCDEF" : "0123456789abcdef";
    const char *table = escapes[dialect];
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (table[c] == 0) {
            *out++ = (char)c;
            continue;
        }
        *out++ = '\\';
        *out++ = table[c];
        if (table[c] == 'u') {
            *out++ = '0';
            *out++ = '0';
            *out++ = hex[c >> 4];
            *out++ = hex[c & 15];
        }
    }
    return out;
}

/* Strings are taken in pieces, so that six bytes for each is a small room. */
enum { PIECE = 1024 };

void sl_json_escape_text(sl_json_dialect dialect, sl_str s, sl_text *out)
{
    char room[6 * PIECE];
    sl_text_putc(out, '"');
    for (size_t i = 0; i < s.n; i += PIECE) {
        sl_str piece = {s.p + i, SL_MIN(s.n - i, (size_t)PIECE)};
        sl_text_add(out, room, (size_t)(sl_json_escape(dialect, piece, room) - room));
    }
    sl_text_putc(out, '"');
}

void sl_json_escape_chain(sl_json_dialect dialect, sl_str s, sl_chain *out)
{
    sl_chain_add(out, "\"", 1);
    for (size_t i = 0; i < s.n; i += PIECE) {
        sl_str piece = {s.p + i, SL_MIN(s.n - i, (size_t)PIECE)};
        char *room = sl_chain_reserve(out, 6 * piece.n);
        if (room == NULL)
            return;
        sl_chain_commit(out, (size_t)(sl_json_escape(dialect, piece, room) - room));
    }
    sl_chain_add(out, "\"", 1);
}
