#include "arena_core.h"

#include "arena_word.h"
#include "millrace/hash.h"

#include <stdlib.h>

struct mr_error arena_config_check(const struct mr_arena_config *config)
{
    if (config->bytes < ARENA_PAGE_BYTES || config->bytes > ARENA_BYTES_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "bad_size", 0, "an arena of %llu bytes: 4096 to 2^46 are possible",
                             (unsigned long long)config->bytes);
    }
    if (config->blocks < 1 || config->blocks > ARENA_BLOCKS_MAX) {
        return mr_error_make(MR_ERROR_REJECT, "bad_size", 0, "an arena of %lu blocks: 1 to %d are possible",
                             (unsigned long)config->blocks, ARENA_BLOCKS_MAX);
    }
    return mr_ok();
}

struct mr_error arena_core_init(struct arena_core *core, struct arena_region region,
                                const struct mr_arena_config *config)
{
    struct arena_core made = {.region = region, .random = config->random != NULL ? config->random : mr_random};
    MR_TRY(made.random(made.epoch.bytes, sizeof made.epoch.bytes));
    MR_TRY(arena_pool_init(&made.pool, region.bytes, region.blocks));
    made.slots = calloc(region.blocks, sizeof *made.slots);
    made.idle = calloc(region.blocks, sizeof *made.idle);
    if (made.slots == NULL || made.idle == NULL) {
        free(made.slots);
        free(made.idle);
        arena_pool_deinit(&made.pool);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "the arena's table of blocks");
    }
    for (uint32_t i = 0; i < region.blocks; i++) {
        made.slots[i].state = ARENA_SLOT_FREE;
        made.idle[i] = region.blocks - 1 - i; /* the lowest block on top */
    }
    made.idle_count = region.blocks;
    *core = made;
    MR_ASSERT(pthread_mutex_init(&core->lock, NULL) == 0);
    return mr_ok();
}

void arena_core_deinit(struct arena_core *core)
{
    MR_ASSERT(core->filling == 0);
    (void)pthread_mutex_destroy(&core->lock);
    free(core->slots);
    free(core->idle);
    arena_pool_deinit(&core->pool);
}

static void lock(struct arena_core *core)
{
    MR_ASSERT(pthread_mutex_lock(&core->lock) == 0);
}

static void unlock(struct arena_core *core)
{
    MR_ASSERT(pthread_mutex_unlock(&core->lock) == 0);
}

static void free_slot(struct arena_core *core, uint32_t index)
{
    struct arena_slot *slot = &core->slots[index];
    arena_pool_give(&core->pool, slot->offset, slot->capacity);
    slot->state = ARENA_SLOT_FREE;
    core->idle[core->idle_count++] = index;
    core->freed = true;
}

/* Under the lock. Returns the count of corrupt words. */
static uint32_t collect(struct arena_core *core)
{
    uint32_t corrupt = 0;
    for (uint32_t i = 0; i < core->region.blocks; i++) {
        const struct arena_slot *slot = &core->slots[i];
        if (slot->state != ARENA_SLOT_LEASED) {
            continue;
        }
        const uint64_t word = atomic_load(&core->region.words[i]);
        if (word == arena_word(ARENA_WORD_FREE, slot->generation)) {
            free_slot(core, i);
        } else if (word != arena_word(ARENA_WORD_READY, slot->generation) &&
                   word != arena_word(ARENA_WORD_IN_USE, slot->generation)) {
            corrupt++; /* may be in use: it is not ours to take back before its consumer is gone */
        }
    }
    return corrupt;
}

/* Under the lock. */
static bool grant(struct arena_core *core, uint64_t capacity, struct mr_arena_block *ret_block)
{
    uint64_t offset = 0;
    if (core->idle_count == 0 || !arena_pool_take(&core->pool, capacity, &offset)) {
        return false;
    }
    const uint32_t index = core->idle[--core->idle_count];
    struct arena_slot *slot = &core->slots[index];
    slot->state = ARENA_SLOT_FILLING;
    slot->generation = arena_generation_next(slot->generation);
    slot->offset = offset;
    slot->capacity = capacity;
    core->filling++;
    atomic_store(&core->region.words[index], arena_word(ARENA_WORD_FILLING, slot->generation));
    *ret_block = (struct mr_arena_block){.block = index,
                                         .generation = slot->generation,
                                         .offset = offset,
                                         .capacity = capacity,
                                         .data = core->region.data + offset};
    return true;
}

enum mr_arena_grant arena_core_allocate(struct arena_core *core, uint64_t size, struct mr_arena_block *ret_block)
{
    if (size > core->region.bytes) {
        return MR_ARENA_TOO_LARGE;
    }
    const uint64_t least = size == 0 ? 1 : size;
    const uint64_t capacity = (least + (MR_ARENA_ALIGNMENT - 1)) & ~(uint64_t)(MR_ARENA_ALIGNMENT - 1);
    lock(core);
    bool granted = grant(core, capacity, ret_block);
    if (!granted) {
        /* First say that we wait, then look again: a release between the two is seen by one of them. */
        atomic_store(&core->region.header->owner_waits, 1);
        (void)collect(core);
        granted = grant(core, capacity, ret_block);
    }
    unlock(core);
    return granted ? MR_ARENA_GRANTED : MR_ARENA_EXHAUSTED;
}

struct mr_error arena_core_publish(struct arena_core *core, const struct mr_arena_block *block, uint64_t length,
                                   struct mr_lease *ret_lease)
{
    if (length > block->capacity) {
        return mr_error_make(MR_ERROR_FATAL, "block_overrun", 0, "%llu bytes in a block of %llu",
                             (unsigned long long)length, (unsigned long long)block->capacity);
    }
    const uint32_t checksum = mr_crc32c(0, mr_bytes_of(block->data, (size_t)length));
    lock(core);
    struct arena_slot *slot = &core->slots[block->block];
    if (slot->state != ARENA_SLOT_FILLING || slot->generation != block->generation) {
        unlock(core);
        return mr_error_make(MR_ERROR_FATAL, "not_filling", 0, "block %lu is published, but it is not being filled",
                             (unsigned long)block->block);
    }
    slot->state = ARENA_SLOT_LEASED;
    core->filling--;
    *ret_lease = (struct mr_lease){.epoch = core->epoch,
                                   .block = block->block,
                                   .generation = slot->generation,
                                   .offset = slot->offset,
                                   .length = length,
                                   .checksum = checksum};
    atomic_store(&core->region.words[block->block], arena_word(ARENA_WORD_READY, slot->generation));
    unlock(core);
    return mr_ok();
}

void arena_core_withdraw(struct arena_core *core, uint32_t block, uint64_t generation)
{
    lock(core);
    struct arena_slot *slot = &core->slots[block];
    if (slot->generation == generation && slot->state == ARENA_SLOT_FILLING) {
        atomic_store(&core->region.words[block], arena_word(ARENA_WORD_FREE, generation));
        core->filling--;
        free_slot(core, block);
    } else if (slot->generation == generation && slot->state == ARENA_SLOT_LEASED) {
        uint64_t ready = arena_word(ARENA_WORD_READY, generation);
        if (atomic_compare_exchange_strong(&core->region.words[block], &ready,
                                           arena_word(ARENA_WORD_FREE, generation))) {
            free_slot(core, block);
        }
    }
    unlock(core);
}

void arena_core_collect(struct arena_core *core, bool *ret_freed, uint32_t *ret_corrupt)
{
    lock(core);
    *ret_corrupt = collect(core);
    *ret_freed = core->freed;
    core->freed = false;
    unlock(core);
}

struct mr_error arena_core_admit(struct arena_core *core, struct mr_epoch *ret_epoch)
{
    struct mr_epoch epoch;
    MR_TRY(core->random(epoch.bytes, sizeof epoch.bytes));
    lock(core);
    for (uint32_t i = 0; i < core->region.blocks; i++) {
        if (core->slots[i].state == ARENA_SLOT_LEASED) {
            atomic_store(&core->region.words[i], arena_word(ARENA_WORD_FREE, core->slots[i].generation));
            free_slot(core, i);
        }
    }
    core->epoch = epoch;
    core->consumer = true;
    unlock(core);
    *ret_epoch = epoch;
    return mr_ok();
}

void arena_core_depart(struct arena_core *core)
{
    lock(core);
    core->consumer = false;
    unlock(core);
}

struct mr_arena_usage arena_core_usage(struct arena_core *core)
{
    lock(core);
    const struct mr_arena_usage usage = {
        .total_bytes = core->pool.total,
        .free_bytes = core->pool.free_bytes,
        .largest_free_bytes = arena_pool_largest(&core->pool),
        .blocks_total = core->region.blocks,
        .blocks_filling = core->filling,
        .blocks_leased = core->region.blocks - core->idle_count - core->filling,
        .consumer = core->consumer,
    };
    unlock(core);
    return usage;
}
