/*
 * Which bytes of the arena are free: best fit over extents, merged with their neighbours when they come back.
 *
 * Pure bookkeeping over offsets, so that it serves any kind of memory. A lease is immovable, and nothing is cached
 * yet, so there is nothing to evict or to compact: a refusal is true (rule L3).
 */
#ifndef MR_ARENA_POOL_H
#define MR_ARENA_POOL_H

#include "millrace/base.h"

struct arena_extent {
    uint64_t offset, size;
};

struct arena_pool {
    struct arena_extent *free; /* by ascending offset; no two adjoin */
    uint32_t count, capacity;
    uint64_t total, free_bytes;
};

/* `live_max`: allocations at a time; one more extent than that can be free. FATAL "out_of_memory". */
MR_MUST_USE struct mr_error arena_pool_init(struct arena_pool *pool, uint64_t total, uint32_t live_max);
void arena_pool_deinit(struct arena_pool *pool);
/* The smallest extent that fits, the lowest of equals. size: a multiple of the alignment, not 0. */
MR_MUST_USE bool arena_pool_take(struct arena_pool *pool, uint64_t size, uint64_t *ret_offset);
/* Exactly what take gave. */
void arena_pool_give(struct arena_pool *pool, uint64_t offset, uint64_t size);
uint64_t arena_pool_largest(const struct arena_pool *pool);

#endif
