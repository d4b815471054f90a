/* Owner and consumer in one process, over its own memory: for tests and the simulator. */
#include "arena_core.h"
#include "arena_mapping.h"

#include <stdlib.h>
#include <string.h>

struct private_consumer;

struct private_owner {
    struct mr_arena_owner base;
    struct arena_core core;
    void *memory;
    struct mr_arena_mapping *connection; /* the one that is connected, if any; not a reference */
    bool went, came;
    uint32_t refused;
};

struct private_mapping {
    struct mr_arena_mapping base;
    struct private_owner *owner;
};

struct private_consumer {
    struct mr_arena_consumer base;
    struct arena_current current;
    struct private_owner *owner;
    struct mr_arena_mapping *mapping; /* the current one */
    bool refused;                     /* and said so */
};

/* ---- Owner ------------------------------------------------------------------------------------------- */

static struct private_owner *owner_of(struct mr_arena_owner *base)
{
    return (struct private_owner *)(void *)base;
}

static enum mr_arena_grant owner_allocate(struct mr_arena_owner *base, uint64_t size, struct mr_arena_block *ret_block)
{
    return arena_core_allocate(&owner_of(base)->core, size, ret_block);
}

static struct mr_error owner_publish(struct mr_arena_owner *base, const struct mr_arena_block *block, uint64_t length,
                                     struct mr_lease *ret_lease)
{
    return arena_core_publish(&owner_of(base)->core, block, length, ret_lease);
}

static void owner_withdraw(struct mr_arena_owner *base, uint32_t block, uint64_t generation)
{
    arena_core_withdraw(&owner_of(base)->core, block, generation);
}

static struct mr_arena_owner_turn owner_turn(struct mr_arena_owner *base)
{
    struct private_owner *owner = owner_of(base);
    struct mr_arena_owner_turn turn = {
        .consumer_went = owner->went, .consumer_came = owner->came, .refused = owner->refused};
    owner->went = owner->came = false;
    owner->refused = 0;
    arena_core_collect(&owner->core, &turn.freed, &turn.corrupt);
    return turn;
}

static struct mr_arena_usage owner_usage(struct mr_arena_owner *base)
{
    return arena_core_usage(&owner_of(base)->core);
}

static void owner_close(struct mr_arena_owner *base)
{
    struct private_owner *owner = owner_of(base);
    arena_core_deinit(&owner->core);
    free(owner->memory);
    free(owner);
}

static const struct mr_arena_owner_ops owner_ops = {
    .allocate = owner_allocate,
    .publish = owner_publish,
    .withdraw = owner_withdraw,
    .turn = owner_turn,
    .usage = owner_usage,
    .close = owner_close,
};

struct mr_error mr_arena_private_open(const struct mr_arena_config *config, struct mr_arena_owner **ret_owner)
{
    MR_TRY(arena_config_check(config));
    const uint64_t bytes = arena_page_up(config->bytes);
    const uint64_t size = arena_data_at(config->blocks) + bytes;
    struct private_owner *owner = calloc(1, sizeof *owner);
    void *memory = aligned_alloc(ARENA_PAGE_BYTES, (size_t)size);
    if (owner == NULL || memory == NULL) {
        free(owner);
        free(memory);
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a private arena of %llu bytes",
                             (unsigned long long)size);
    }
    memset(memory, 0, (size_t)size);
    const struct arena_region region =
        arena_region_at(memory, (uint8_t *)memory + arena_data_at(config->blocks), bytes, config->blocks);
    const struct mr_error error = arena_core_init(&owner->core, region, config);
    if (mr_failed(error)) {
        free(owner);
        free(memory);
        return error;
    }
    owner->base.ops = &owner_ops;
    owner->memory = memory;
    *ret_owner = &owner->base;
    return mr_ok();
}

/* ---- Consumer ---------------------------------------------------------------------------------------- */

static struct private_consumer *consumer_of(struct mr_arena_consumer *base)
{
    return (struct private_consumer *)(void *)base;
}

static void mapping_wake(struct mr_arena_mapping *base)
{
    (void)base; /* the owner's next turn looks anyhow */
}

static void disconnect(struct private_owner *owner, const struct mr_arena_mapping *mapping)
{
    if (owner->connection == mapping) {
        owner->connection = NULL;
        owner->went = true;
        arena_core_depart(&owner->core);
    }
}

static void mapping_end(struct mr_arena_mapping *base)
{
    struct private_mapping *mapping = (struct private_mapping *)(void *)base;
    disconnect(mapping->owner, base);
    free(mapping);
}

static struct mr_arena_consumer_turn refuse(struct private_consumer *consumer, struct mr_error why)
{
    const bool said = consumer->refused;
    consumer->refused = true;
    return (struct mr_arena_consumer_turn){.news = said ? MR_ARENA_CONSUMER_STEADY : MR_ARENA_CONSUMER_DISCONNECTED,
                                           .why = why};
}

static struct mr_arena_consumer_turn consumer_turn(struct mr_arena_consumer *base, int64_t now_ms)
{
    (void)now_ms; /* nothing is waited for: it connects at once */
    struct private_consumer *consumer = consumer_of(base);
    struct private_owner *owner = consumer->owner;
    if (consumer->mapping != NULL) {
        return (struct mr_arena_consumer_turn){.news = MR_ARENA_CONSUMER_STEADY, .why = mr_ok()};
    }
    if (owner->connection != NULL) {
        owner->refused++;
        return refuse(consumer, mr_error_make(MR_ERROR_TRANSIENT, "consumer_present", 0, "another is connected"));
    }
    struct private_mapping *mapping = calloc(1, sizeof *mapping);
    if (mapping == NULL) {
        return refuse(consumer, mr_error_make(MR_ERROR_TRANSIENT, "out_of_memory", 0, "a mapping"));
    }
    const struct mr_error error = arena_core_admit(&owner->core, &mapping->base.epoch);
    if (mr_failed(error)) {
        free(mapping);
        return refuse(consumer, error);
    }
    mapping->base.references = 1;
    mapping->base.region = owner->core.region;
    mapping->base.wake = mapping_wake;
    mapping->base.end = mapping_end;
    mapping->owner = owner;
    owner->connection = &mapping->base;
    owner->came = true;
    consumer->mapping = &mapping->base;
    consumer->refused = false;
    arena_current_set(&consumer->current, &mapping->base);
    return (struct mr_arena_consumer_turn){.news = MR_ARENA_CONSUMER_CONNECTED, .why = mr_ok()};
}

static enum mr_lease_loss consumer_take(struct mr_arena_consumer *base, const struct mr_lease *lease,
                                        struct mr_leased *ret_leased)
{
    return arena_current_take(&consumer_of(base)->current, lease, ret_leased);
}

static void consumer_release(struct mr_arena_consumer *base, const struct mr_leased *leased)
{
    (void)base;
    arena_mapping_release(leased);
}

static void consumer_drop(struct mr_arena_consumer *base, const struct mr_lease *lease)
{
    arena_current_drop(&consumer_of(base)->current, lease);
}

static void consumer_reset(struct mr_arena_consumer *base)
{
    consumer_of(base)->mapping = NULL;
    arena_current_set(&consumer_of(base)->current, NULL);
}

static void consumer_close(struct mr_arena_consumer *base)
{
    struct private_consumer *consumer = consumer_of(base);
    if (consumer->mapping != NULL) {
        disconnect(consumer->owner, consumer->mapping);
    }
    arena_current_deinit(&consumer->current);
    free(consumer);
}

static const struct mr_arena_consumer_ops consumer_ops = {
    .turn = consumer_turn,
    .take = consumer_take,
    .release = consumer_release,
    .drop = consumer_drop,
    .reset = consumer_reset,
    .close = consumer_close,
};

struct mr_error mr_arena_private_connect(struct mr_arena_owner *owner, struct mr_arena_consumer **ret_consumer)
{
    struct private_consumer *consumer = calloc(1, sizeof *consumer);
    if (consumer == NULL) {
        return mr_error_make(MR_ERROR_FATAL, "out_of_memory", 0, "a private arena's consumer");
    }
    consumer->base.ops = &consumer_ops;
    consumer->owner = owner_of(owner);
    arena_current_init(&consumer->current);
    *ret_consumer = &consumer->base;
    return mr_ok();
}
