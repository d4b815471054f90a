/*
 * The state word of a block, in shared memory: a generation and a state, changed by compare-and-swap alone.
 *
 *   FREE -> FILLING -> READY -> IN_USE -> FREE        the owner makes the first two steps, the consumer the others
 *                        `--------------> FREE        withdrawn by the owner, or dropped by the consumer
 *
 * Any 64 bits are a word: what is no legal state reads as ARENA_WORD_CORRUPT and matches nothing.
 */
#ifndef MR_ARENA_WORD_H
#define MR_ARENA_WORD_H

#include <stdbool.h>
#include <stdint.h>

enum arena_word_state {
    ARENA_WORD_FREE = 1,
    ARENA_WORD_FILLING,
    ARENA_WORD_READY,
    ARENA_WORD_IN_USE,
    ARENA_WORD_CORRUPT,
    ARENA_WORD_LAST = ARENA_WORD_CORRUPT,
};

#define ARENA_STATE_BITS 3
#define ARENA_GENERATION_MAX (UINT64_MAX >> ARENA_STATE_BITS)

/* A generation counts the uses of one block: 1 and up, and 1 again after the greatest. */
static inline bool arena_generation_valid(uint64_t generation)
{
    return generation >= 1 && generation <= ARENA_GENERATION_MAX;
}
static inline uint64_t arena_generation_next(uint64_t generation)
{
    return generation >= ARENA_GENERATION_MAX ? 1 : generation + 1;
}
static inline uint64_t arena_word(enum arena_word_state state, uint64_t generation)
{
    return generation << ARENA_STATE_BITS | (uint64_t)state;
}
static inline uint64_t arena_word_generation(uint64_t word)
{
    return word >> ARENA_STATE_BITS;
}
static inline enum arena_word_state arena_word_state(uint64_t word)
{
    const uint64_t state = word & ((1U << ARENA_STATE_BITS) - 1);
    return state >= ARENA_WORD_FREE && state <= ARENA_WORD_IN_USE ? (enum arena_word_state)state : ARENA_WORD_CORRUPT;
}

#endif
