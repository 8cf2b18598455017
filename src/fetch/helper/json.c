/* json.c - see json.h */
#include "fetch/helper/json.h"

#include <assert.h>

#include "base/mem.h"
#include "format/json.h"

enum { DEPTH = 32, LONGEST = 65536 };

/* Moves to the value at `path`; false if it is not there. */
static bool find(sl_json *j, sl_str document, const char *path)
{
    sl_json_string key;
    sl_json_open(j, document, DEPTH);
    while (*path) {
        const char *dot = strchrnul(path, '.');
        sl_str wanted = {path, (size_t)(dot - path)};
        bool found = false;
        if (!sl_json_enter(j, '{'))
            return false;
        while (!found && sl_json_member(j, &key))
            if (sl_json_string_is(&key, wanted))
                found = true;
            else if (!sl_json_skip(j))
                return false;
        if (!found)
            return false;
        path = *dot ? dot + 1 : dot;
    }
    return true;
}

char *fetch_json_string(sl_str document, const char *path)
{
    sl_json *j = sl_malloc(sizeof *j);
    sl_json_string s;
    char *out = NULL;
    if (find(j, document, path) && sl_json_peek_type(j) == SL_JSON_STRING &&
        sl_json_read_string(j, &s) && s.raw.n <= LONGEST) {
        out = sl_malloc(s.raw.n + 1);
        size_t n = sl_json_unescape(s.raw, out);
        out[n] = '\0';
        if (strlen(out) != n) {
            sl_free(out);
            out = NULL;
        }
    }
    sl_free(j);
    return out;
}

bool fetch_json_int(sl_str document, const char *path, int64_t *out)
{
    sl_json *j = sl_malloc(sizeof *j);
    sl_json_string s;
    bool ok = false;
    if (find(j, document, path)) {
        sl_json_peek(j);
        const char *begin = j->at;
        if (sl_json_peek_type(j) == SL_JSON_STRING)
            ok = sl_json_read_string(j, &s) && sl_str_to_int64(s.raw, out);
        else if (sl_json_skip(j))
            ok = sl_str_to_int64((sl_str){begin, (size_t)(j->at - begin)}, out);
    }
    sl_free(j);
    return ok;
}

bool fetch_json_has(sl_str document, const char *path)
{
    sl_json *j = sl_malloc(sizeof *j);
    bool has = find(j, document, path) && sl_json_peek_type(j) != SL_JSON_NULL;
    sl_free(j);
    return has;
}

bool fetch_json_each(sl_str document, const char *path, bool (*fn)(void *arg, sl_str element),
                     void *arg)
{
    sl_json *j = sl_malloc(sizeof *j);
    sl_json_open(j, document, DEPTH);
    bool ok = sl_json_skip(j); /* all of it, so that nothing is taken from half a document */
    if (ok && find(j, document, path) && sl_json_enter(j, '['))
        while (sl_json_element(j)) {
            sl_json_peek(j);
            const char *begin = j->at;
            bool whole = sl_json_skip(j);
            assert(whole); /* as all of it has been */
            if (!fn(arg, (sl_str){begin, (size_t)(j->at - begin)}))
                break;
        }
    sl_free(j);
    return ok;
}
