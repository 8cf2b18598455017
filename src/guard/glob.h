/*
 * glob.h - patterns for names: '*' stands for any characters, '?' for one
 *
 * Bytewise, the whole name. Linear in name times stars, no recursion.
 */
#ifndef SL_GUARD_GLOB_H
#define SL_GUARD_GLOB_H

#include "base/str.h"

bool sl_glob_match(sl_str pattern, sl_str name);

#endif
