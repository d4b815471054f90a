#include "arena_pool.h"

#include <stdlib.h>
#include <string.h>

struct mr_error arena_pool_init(struct arena_pool *pool, uint64_t total, uint32_t live_max)
{
    struct arena_extent *free_extents = calloc((size_t)live_max + 1, sizeof *free_extents);
    if (free_extents == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the arena's list of free extents");
    }
    free_extents[0] = (struct arena_extent){.offset = 0, .size = total};
    *pool = (struct arena_pool){
        .free = free_extents, .count = 1, .capacity = live_max + 1, .total = total, .free_bytes = total};
    return mr_ok();
}

void arena_pool_deinit(struct arena_pool *pool)
{
    free(pool->free);
    *pool = (struct arena_pool){0};
}

static void remove_at(struct arena_pool *pool, uint32_t at)
{
    memmove(&pool->free[at], &pool->free[at + 1], (pool->count - at - 1) * sizeof *pool->free);
    pool->count--;
}

bool arena_pool_take(struct arena_pool *pool, uint64_t size, uint64_t *ret_offset)
{
    uint32_t best = pool->count;
    for (uint32_t i = 0; i < pool->count; i++) {
        if (pool->free[i].size >= size && (best == pool->count || pool->free[i].size < pool->free[best].size)) {
            best = i;
        }
    }
    if (best == pool->count) {
        return false;
    }
    *ret_offset = pool->free[best].offset;
    pool->free[best].offset += size;
    pool->free[best].size -= size;
    pool->free_bytes -= size;
    if (pool->free[best].size == 0) {
        remove_at(pool, best);
    }
    return true;
}

void arena_pool_give(struct arena_pool *pool, uint64_t offset, uint64_t size)
{
    uint32_t at = 0;
    while (at < pool->count && pool->free[at].offset < offset) {
        at++;
    }
    pool->free_bytes += size;
    const bool joins_left = at > 0 && pool->free[at - 1].offset + pool->free[at - 1].size == offset;
    const bool joins_right = at < pool->count && offset + size == pool->free[at].offset;
    if (joins_left) {
        pool->free[at - 1].size += size + (joins_right ? pool->free[at].size : 0);
        if (joins_right) {
            remove_at(pool, at);
        }
    } else if (joins_right) {
        pool->free[at].offset = offset;
        pool->free[at].size += size;
    } else {
        MR_ASSERT(pool->count < pool->capacity);
        memmove(&pool->free[at + 1], &pool->free[at], (pool->count - at) * sizeof *pool->free);
        pool->free[at] = (struct arena_extent){.offset = offset, .size = size};
        pool->count++;
    }
}

uint64_t arena_pool_largest(const struct arena_pool *pool)
{
    uint64_t largest = 0;
    for (uint32_t i = 0; i < pool->count; i++) {
        largest = pool->free[i].size > largest ? pool->free[i].size : largest;
    }
    return largest;
}
