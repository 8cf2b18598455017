/*
 * counts.h - a build that measures coverage keeps what was counted
 *
 * The compiler's run time writes its counts from atexit(3), which a process that is killed, or that
 * ends by _exit(2), never reaches. Such a process calls this where a piece of its work is done. In
 * all other builds (SLUICE_COVERAGE is only defined by the preset coverage) it is nothing.
 */
#ifndef SL_BASE_COUNTS_H
#define SL_BASE_COUNTS_H

#ifdef SLUICE_COVERAGE
void __gcov_dump(void);
void __gcov_reset(void);

/* Adds what was counted since the last time to the files. Any thread. */
static inline void sl_counts_write(void)
{
    __gcov_dump();
    __gcov_reset();
}
#else
static inline void sl_counts_write(void)
{
}
#endif

#endif
