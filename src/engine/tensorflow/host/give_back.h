/*
 * give_back.h - giving the memory of a process back before it ends, in pieces
 *
 * The kernel frees the memory of a process that ends in one go, and looks for others that are due only
 * with the next tick (up to 4 ms, see turns.h), however nice the process is: half a gigabyte makes
 * requests wait for 50 to 100 ms, a few milliseconds each. Between two system calls the process
 * can sleep, which lets them catch up; to yield (turns.h) is not enough, since the work that is left goes on
 * whenever they wait for a moment themselves.
 */
#ifndef SL_TF_HOST_GIVE_BACK_H
#define SL_TF_HOST_GIVE_BACK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Gives back the pages of the heap, of other large private memory and of code that is read from
 * files. What was in the first two is zeros afterwards: the caller has to do with nothing but its
 * stack from here on, and then _exit(). Other threads of the process must not wake up any more.
 *
 * `maps` is /proc/self/maps, newly opened. gently: others answer requests meanwhile, so it rests between
 * pieces, some two seconds in all at most. How many bytes of address space that was.
 */
size_t tf_give_back(int maps, bool gently);

#endif
