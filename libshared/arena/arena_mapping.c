#include "arena_mapping.h"

#include "arena_word.h"

#include <string.h>

void arena_current_init(struct arena_current *current)
{
    current->mapping = NULL;
    MR_ASSERT(pthread_mutex_init(&current->lock, NULL) == 0);
}

void arena_current_deinit(struct arena_current *current)
{
    arena_current_set(current, NULL);
    (void)pthread_mutex_destroy(&current->lock);
}

void arena_mapping_unref(struct mr_arena_mapping *mapping)
{
    if (mapping != NULL && atomic_fetch_sub(&mapping->references, 1) == 1) {
        mapping->end(mapping);
    }
}

void arena_current_set(struct arena_current *current, struct mr_arena_mapping *mapping)
{
    MR_ASSERT(pthread_mutex_lock(&current->lock) == 0);
    struct mr_arena_mapping *before = current->mapping;
    current->mapping = mapping;
    MR_ASSERT(pthread_mutex_unlock(&current->lock) == 0);
    arena_mapping_unref(before);
}

/* A reference to the current mapping, or NULL. */
static struct mr_arena_mapping *hold(struct arena_current *current)
{
    MR_ASSERT(pthread_mutex_lock(&current->lock) == 0);
    struct mr_arena_mapping *mapping = current->mapping;
    if (mapping != NULL) {
        atomic_fetch_add(&mapping->references, 1);
    }
    MR_ASSERT(pthread_mutex_unlock(&current->lock) == 0);
    return mapping;
}

static bool step(struct mr_arena_mapping *mapping, const struct mr_lease *lease, enum arena_word_state from,
                 enum arena_word_state to)
{
    uint64_t expected = arena_word(from, lease->generation);
    return atomic_compare_exchange_strong(&mapping->region.words[lease->block], &expected,
                                          arena_word(to, lease->generation));
}

static void set_free(struct mr_arena_mapping *mapping, const struct mr_lease *lease, enum arena_word_state from)
{
    /* A word that is something else was freed with its epoch: nothing is left to give back. */
    if (step(mapping, lease, from, ARENA_WORD_FREE) && atomic_exchange(&mapping->region.header->owner_waits, 0) != 0) {
        mapping->wake(mapping);
    }
}

/* HELD: it may be asked for. */
static enum mr_lease_loss check(const struct mr_arena_mapping *mapping, const struct mr_lease *lease)
{
    if (memcmp(lease->epoch.bytes, mapping->epoch.bytes, MR_EPOCH_SIZE) != 0) {
        return MR_LEASE_EPOCH_PASSED;
    }
    const uint64_t bytes = mapping->region.bytes;
    if (lease->block >= mapping->region.blocks || lease->length > bytes || lease->offset > bytes - lease->length) {
        return MR_LEASE_OUT_OF_BOUNDS;
    }
    return arena_generation_valid(lease->generation) ? MR_LEASE_HELD : MR_LEASE_GENERATION_PASSED;
}

static enum mr_lease_loss take(struct mr_arena_mapping *mapping, const struct mr_lease *lease)
{
    const enum mr_lease_loss loss = check(mapping, lease);
    if (loss != MR_LEASE_HELD) {
        return loss;
    }
    if (!step(mapping, lease, ARENA_WORD_READY, ARENA_WORD_IN_USE)) {
        return MR_LEASE_GENERATION_PASSED;
    }
    const struct mr_bytes bytes = mr_bytes_of(mapping->region.data + lease->offset, (size_t)lease->length);
    if (mr_crc32c(0, bytes) != lease->checksum) {
        set_free(mapping, lease, ARENA_WORD_IN_USE);
        return MR_LEASE_CHECKSUM_MISMATCH;
    }
    return MR_LEASE_HELD;
}

static bool is_none(const struct mr_lease *lease)
{
    static const struct mr_epoch none;
    return memcmp(lease->epoch.bytes, none.bytes, MR_EPOCH_SIZE) == 0;
}

enum mr_lease_loss arena_current_take(struct arena_current *current, const struct mr_lease *lease,
                                      struct mr_leased *ret_leased)
{
    if (is_none(lease)) {
        return MR_LEASE_NONE;
    }
    struct mr_arena_mapping *mapping = hold(current);
    if (mapping == NULL) {
        return MR_LEASE_NOT_CONNECTED;
    }
    const enum mr_lease_loss loss = take(mapping, lease);
    if (loss != MR_LEASE_HELD) {
        arena_mapping_unref(mapping);
        return loss;
    }
    *ret_leased = (struct mr_leased){.bytes = mr_bytes_of(mapping->region.data + lease->offset, (size_t)lease->length),
                                     .lease = *lease,
                                     .mapping = mapping};
    return MR_LEASE_HELD;
}

void arena_current_drop(struct arena_current *current, const struct mr_lease *lease)
{
    struct mr_arena_mapping *mapping = is_none(lease) ? NULL : hold(current);
    if (mapping != NULL && check(mapping, lease) == MR_LEASE_HELD) {
        set_free(mapping, lease, ARENA_WORD_READY);
    }
    arena_mapping_unref(mapping);
}

void arena_mapping_release(const struct mr_leased *leased)
{
    set_free(leased->mapping, &leased->lease, ARENA_WORD_IN_USE);
    arena_mapping_unref(leased->mapping);
}
