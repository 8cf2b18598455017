/* fail.c - see fail.h */
#include "codec/fail.h"

#include <assert.h>

#include "codec/dump.h"

sl_code sl_json_fail_syntax(const sl_json *j, sl_status *st)
{
    return sl_fail(st, SL_INVALID_ARGUMENT, "JSON Parse error: %s at offset: %zu", j->error,
                   j->offset);
}

sl_code sl_json_fail_text(sl_arena *arena, sl_status *st, sl_code code, sl_text *message)
{
    assert(message->failed || message->n > 0);
    if (message->failed)
        sl_fail(st, SL_RESOURCE_EXHAUSTED, "out of memory: error message");
    else
        sl_fail_in(arena, st, code, "%s", message->p);
    sl_text_fini(message);
    return st->code;
}

sl_code sl_json_fail_dump(sl_arena *arena, sl_status *st, const char *before, const char *at,
                          const char *end, const char *after)
{
    sl_text t = {0};
    sl_text_puts(&t, before);
    sl_json_dump(&t, at, end);
    sl_text_puts(&t, after);
    return sl_json_fail_text(arena, st, SL_INVALID_ARGUMENT, &t);
}

sl_code sl_json_open_root(sl_json *j, sl_str body, int max_depth, sl_arena *arena, sl_status *st)
{
    if (body.n == 0)
        return sl_fail(st, SL_INVALID_ARGUMENT, "JSON Parse error: The document is empty");
    sl_json_open(j, body, max_depth);
    const char *root = j->at;
    if (sl_json_enter(j, '{'))
        return SL_OK;
    if (j->error || !sl_json_skip(j))
        return sl_json_fail_syntax(j, st);
    return sl_json_fail_dump(arena, st, "JSON Value: ", root, j->end, " Is not object");
}
