/*
 * give_back.h - giving the memory of a process back before it ends, in pieces
 *
 * The kernel frees the memory of a process that ends in one go, and looks for others that are due only
 * with the next tick (up to 4 ms, see turns.h), however nice the process is: half a gigabyte makes
 * requests wait for 50 to 100 ms, a few milliseconds each. Between two system calls the process
 * can let them in.
 */
#ifndef SL_TF_HOST_GIVE_BACK_H
#define SL_TF_HOST_GIVE_BACK_H

#include <stddef.h>

/*
 * Gives back the pages of the heap, of other large private memory and of code that is read from
 * files. What was in the first two is zeros afterwards: the caller has to do with nothing but its
 * stack from here on, and then _exit(). Other threads of the process must not wake up any more.
 *
 * `maps` is /proc/self/maps, newly opened. How many bytes of address space that was.
 */
size_t tf_give_back(int maps);

#endif
