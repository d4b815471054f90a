/* Time behind an interface, so that a simulator can stand in for it. */
#ifndef MR_CLOCK_H
#define MR_CLOCK_H

#include "millrace/base.h"

struct mr_clock {
    void *self;
    int64_t (*wall_ms)(void *self);      /* since 1970 */
    int64_t (*monotonic_us)(void *self); /* never goes back */
};

/* The machine's clock. */
struct mr_clock mr_clock_system(void);

static inline int64_t mr_clock_wall_ms(const struct mr_clock *c)
{
    return c->wall_ms(c->self);
}
static inline int64_t mr_clock_monotonic_us(const struct mr_clock *c)
{
    return c->monotonic_us(c->self);
}

#endif
