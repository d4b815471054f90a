/*
 * Writers in processes of their own commit to one model with persist's own machine, while two GCs collect, somebody
 * pins, somebody verifies and somebody reads head. For any back end.
 */
#ifndef GC_RACE_H
#define GC_RACE_H

#include <stdint.h>

struct gc_race {
    const char *uri; /* of an empty store, which each process opens for itself */
    uint32_t writers;
    uint32_t seconds;                  /* at least */
    uint64_t commits, collected, pins; /* at least */
};
/* Asserts that the chain verified all the time, that head could be read, that every version whose pin was granted has
 * its payload, and that nothing that must stay is gone. */
void gc_race(const struct gc_race *race);

#endif
