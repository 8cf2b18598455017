/* nearest.c - optimal string alignment distance over three rows of the table */
#include "format/nearest.h"

#include "base/mem.h"

enum { LONGEST = 80 }; /* longer than any name of ours; what is longer is near to nothing */

static int min3(int a, int b, int c)
{
    return SL_MIN(SL_MIN(a, b), c);
}

static int distance(sl_str a, sl_str b)
{
    int rows[3][LONGEST + 1];
    int *before = rows[0], *last = rows[1], *now = rows[2];
    for (int j = 0; j <= (int)b.n; j++)
        last[j] = j;
    for (int i = 1; i <= (int)a.n; i++) {
        now[0] = i;
        for (int j = 1; j <= (int)b.n; j++) {
            bool same = a.p[i - 1] == b.p[j - 1];
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + !same);
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1])
                now[j] = SL_MIN(now[j], before[j - 2] + 1);
        }
        int *free_row = before;
        before = last;
        last = now;
        now = free_row;
    }
    return last[b.n];
}

const char *sl_nearest(sl_str typed, const char *(*name)(void *arg, int i), void *arg)
{
    const char *best = NULL, *candidate;
    int best_distance = 0;
    if (typed.n == 0 || typed.n > LONGEST)
        return NULL;
    for (int i = 0; (candidate = name(arg, i)) != NULL; i++) {
        sl_str c = sl_str_of(candidate);
        if (c.n > LONGEST)
            continue;
        int d = distance(typed, c), allowed = (int)SL_MAX(typed.n, c.n) / 3;
        if (d <= SL_MAX(allowed, 1) && (best == NULL || d < best_distance)) {
            best = candidate;
            best_distance = d;
        }
    }
    return best;
}
