/* clock.h - time, which a test can hold in its hands */
#ifndef SL_BASE_CLOCK_H
#define SL_BASE_CLOCK_H

#include <stdint.h>

/* Monotonic nanoseconds. */
uint64_t sl_now_ns(void);
/* Microseconds since 1970, for logs and the Date header. */
int64_t sl_wall_us(void);

/* For tests: from now on both clocks stand at `ns` until they are set again; 0: the real ones. */
void sl_clock_fake(uint64_t ns);

#endif
