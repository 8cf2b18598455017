/* clock.c */
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

static _Atomic uint64_t fake;

void sl_clock_fake(uint64_t ns)
{
    atomic_store(&fake, ns);
}

static uint64_t read_clock(clockid_t id)
{
    uint64_t f = atomic_load_explicit(&fake, memory_order_relaxed);
    if (f)
        return f;
    struct timespec ts;
    clock_gettime(id, &ts);
    return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

uint64_t sl_now_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t sl_wall_us(void)
{
    return (int64_t)(read_clock(CLOCK_REALTIME) / 1000);
}
