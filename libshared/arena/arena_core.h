/* What every owner does, over whatever memory: grants blocks, publishes them, collects what was released. */
#ifndef MR_ARENA_CORE_H
#define MR_ARENA_CORE_H

#include "arena_pool.h"
#include "arena_region.h"

#include <pthread.h>

enum arena_slot_state { ARENA_SLOT_FREE = 1, ARENA_SLOT_FILLING, ARENA_SLOT_LEASED };

/* The owner's own record of a block: the words in shared memory are never trusted for sizes or places. */
struct arena_slot {
    enum arena_slot_state state;
    uint64_t generation; /* of its present or last use; 0 before the first */
    uint64_t offset, capacity;
};

/* Thread-safe, but for init and deinit. */
struct arena_core {
    pthread_mutex_t lock;
    struct arena_region region;
    struct arena_pool pool;
    struct arena_slot *slots;
    uint32_t *idle; /* a stack of the slots that are free */
    uint32_t idle_count, filling;
    struct mr_epoch epoch;
    bool consumer;
    bool freed; /* since the last collection */
    struct mr_error (*random)(void *ret_data, size_t size);
};

/* REJECT "bad_size" names the limit; outputs untouched. */
MR_MUST_USE struct mr_error arena_config_check(const struct mr_arena_config *config);
/* The region's memory is the caller's, zeroed, and outlives the core. */
MR_MUST_USE struct mr_error arena_core_init(struct arena_core *core, struct arena_region region,
                                            const struct mr_arena_config *config);
void arena_core_deinit(struct arena_core *core);

enum mr_arena_grant arena_core_allocate(struct arena_core *core, uint64_t size, struct mr_arena_block *ret_block);
struct mr_error arena_core_publish(struct arena_core *core, const struct mr_arena_block *block, uint64_t length,
                                   struct mr_lease *ret_lease);
void arena_core_withdraw(struct arena_core *core, uint32_t block, uint64_t generation);
/* Collects what was released; ret_freed also tells of withdrawals and new epochs since the last call. */
void arena_core_collect(struct arena_core *core, bool *ret_freed, uint32_t *ret_corrupt);
/* A consumer connects: a new epoch, under which no earlier lease counts. */
MR_MUST_USE struct mr_error arena_core_admit(struct arena_core *core, struct mr_epoch *ret_epoch);
/* It is gone; its leases stay until the next one is admitted. */
void arena_core_depart(struct arena_core *core);
struct mr_arena_usage arena_core_usage(struct arena_core *core);

#endif
