/*
 * regex.cc - regular expressions by the library libre2
 */
#include "engine/native/regex.h"

#ifdef SLUICE_RE2
#include <stdio.h>

#include <new>
#include <string>

#include <re2/re2.h>

struct sl_regex {
    RE2 re;
    explicit sl_regex(re2::StringPiece pattern, const RE2::Options &o) : re(pattern, o)
    {
    }
};

static re2::StringPiece piece(sl_str s)
{
    return re2::StringPiece(s.n ? s.p : "", s.n);
}

/* No exception leaves this file: its callers are C. */
sl_regex *sl_regex_new(sl_str pattern, char *why, size_t size)
{
    why[0] = '\0';
    try {
        RE2::Options o;
        o.set_log_errors(false);
        sl_regex *r = new sl_regex(piece(pattern), o);
        if (r->re.ok())
            return r;
        snprintf(why, size, "%s", r->re.error().c_str());
        delete r;
    } catch (const std::exception &) {
        why[0] = '\0';
    }
    return NULL;
}

void sl_regex_free(sl_regex *r)
{
    delete r;
}

bool sl_regex_matches(const sl_regex *r, sl_str text)
{
    try {
        return RE2::FullMatch(piece(text), r->re);
    } catch (const std::exception &) {
        return false;
    }
}

bool sl_regex_replace(const sl_regex *r, sl_str text, sl_str rewrite, bool all,
                      bool (*take)(void *arg, sl_str result), void *arg)
{
    try {
        std::string s(text.n ? text.p : "", text.n);
        if (all)
            RE2::GlobalReplace(&s, r->re, piece(rewrite));
        else
            RE2::Replace(&s, r->re, piece(rewrite));
        return take(arg, sl_str{s.data(), s.size()});
    } catch (const std::exception &) {
        return false;
    }
}
#endif
