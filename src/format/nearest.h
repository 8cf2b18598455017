/*
 * nearest.h - "did you mean ...?": which of some names somebody probably meant
 */
#ifndef SL_FORMAT_NEAREST_H
#define SL_FORMAT_NEAREST_H

#include "base/str.h"

/*
 * The name that is nearest to `typed` by edit distance (letters inserted, left out, exchanged or
 * swapped with their neighbour), or NULL if none is near: at most a third of the letters may
 * differ. `name(arg, i)` gives the i-th candidate, NULL after the last. Of equally near ones the
 * first.
 */
const char *sl_nearest(sl_str typed, const char *(*name)(void *arg, int i), void *arg);

#endif
