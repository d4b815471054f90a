/* What every consumer does, over whatever memory: takes, releases and drops leases of one connection. */
#ifndef MR_ARENA_MAPPING_H
#define MR_ARENA_MAPPING_H

#include "arena_region.h"

#include <pthread.h>

/* One connection's view of the arena. It lives until its consumer has left it and its last lease is released: so the
 * owner, which frees leases when the connection ends, never reuses bytes that are still read. */
struct mr_arena_mapping {
    _Atomic uint32_t references;
    struct arena_region region; /* data is only read */
    struct mr_epoch epoch;
    void (*wake)(struct mr_arena_mapping *mapping); /* the owner waits for a block */
    void (*end)(struct mr_arena_mapping *mapping);  /* the last reference is gone: frees it */
};

/* The mapping that is current, if any; thread-safe. */
struct arena_current {
    pthread_mutex_t lock;
    struct mr_arena_mapping *mapping;
};
void arena_current_init(struct arena_current *current);
void arena_current_deinit(struct arena_current *current);
/* Takes over the caller's reference, and gives up the one to the mapping before; NULL: none. */
void arena_current_set(struct arena_current *current, struct mr_arena_mapping *mapping);
enum mr_lease_loss arena_current_take(struct arena_current *current, const struct mr_lease *lease,
                                      struct mr_leased *ret_leased);
void arena_current_drop(struct arena_current *current, const struct mr_lease *lease);

void arena_mapping_release(const struct mr_leased *leased);
void arena_mapping_unref(struct mr_arena_mapping *mapping);

#endif
