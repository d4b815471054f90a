#include "millrace/clock.h"

#include <time.h>

static struct timespec read_clock(clockid_t id)
{
    struct timespec now;
    MR_ASSERT(clock_gettime(id, &now) == 0);
    return now;
}

static int64_t wall_ms(void *self)
{
    (void)self;
    const struct timespec now = read_clock(CLOCK_REALTIME);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static int64_t monotonic_us(void *self)
{
    (void)self;
    const struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

struct mr_clock mr_clock_system(void)
{
    return (struct mr_clock){.self = NULL, .wall_ms = wall_ms, .monotonic_us = monotonic_us};
}
