/* percent.c - see percent.h */
#include "format/percent.h"

int sl_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

sl_code sl_percent_decode(sl_str *s, sl_arena *arena)
{
    if (s->n == 0 || memchr(s->p, '%', s->n) == NULL)
        return SL_OK;
    char *to = sl_arena_try_alloc(arena, s->n);
    size_t n = 0;
    if (to == NULL)
        return SL_RESOURCE_EXHAUSTED;
    for (size_t i = 0; i < s->n; i++) {
        if (s->p[i] != '%') {
            to[n++] = s->p[i];
            continue;
        }
        if (i + 2 >= s->n || sl_hex(s->p[i + 1]) < 0 || sl_hex(s->p[i + 2]) < 0)
            return SL_INVALID_ARGUMENT;
        to[n++] = (char)(sl_hex(s->p[i + 1]) << 4 | sl_hex(s->p[i + 2]));
        i += 2;
    }
    *s = (sl_str){to, n};
    return SL_OK;
}
