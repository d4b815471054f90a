/* How the arena lies in memory: a header, the state words, and from the next page on the data. */
#ifndef MR_ARENA_REGION_H
#define MR_ARENA_REGION_H

#include "millrace/arena.h"

#include <stdatomic.h>

enum { ARENA_PAGE_BYTES = 4096, ARENA_BLOCKS_MAX = 65536, ARENA_WORDS_AT = 64, ARENA_VERSION = 1 };
#define ARENA_BYTES_MAX (UINT64_C(1) << 46)

_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "words in shared memory need lock-free 64-bit atomics");

/* At the beginning of the memory; what is constant travels in the greeting instead. */
struct arena_header {
    _Atomic uint32_t owner_waits; /* 1: an allocation found nothing; the next release wakes the owner */
};

/* One process's view. */
struct arena_region {
    struct arena_header *header;
    _Atomic uint64_t *words; /* `blocks` of them */
    uint8_t *data;
    uint64_t bytes;
    uint32_t blocks;
};

static inline uint64_t arena_page_up(uint64_t size)
{
    return (size + (ARENA_PAGE_BYTES - 1)) & ~(uint64_t)(ARENA_PAGE_BYTES - 1);
}
/* Where the data begins. */
static inline uint64_t arena_data_at(uint32_t blocks)
{
    return arena_page_up(ARENA_WORDS_AT + sizeof(uint64_t) * (uint64_t)blocks);
}
/* `start` is page-aligned, and holds arena_data_at(blocks) + bytes; data may lie elsewhere (another mapping). */
static inline struct arena_region arena_region_at(void *start, uint8_t *data, uint64_t bytes, uint32_t blocks)
{
    uint8_t *const base = start;
    return (struct arena_region){.header = (struct arena_header *)(void *)base,
                                 .words = (_Atomic uint64_t *)(void *)(base + ARENA_WORDS_AT),
                                 .data = data,
                                 .bytes = bytes,
                                 .blocks = blocks};
}

#endif
