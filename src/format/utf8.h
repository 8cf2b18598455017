/*
 * utf8.h - is this text UTF-8?
 *
 * Source: RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef SL_FORMAT_UTF8_H
#define SL_FORMAT_UTF8_H

#include "base/str.h"

bool sl_utf8_ok(sl_str s);

#endif
