/*
 * The shared arena: memory that stage_gpu owns and fills, and that train maps, takes and releases by lease (rules L).
 *
 * It is a cache. Everything in it can be read again from the validated log, so losing a lease is an ordinary outcome
 * with a reason, and never an error. Owner and consumer are interfaces: over a memfd and a Unix socket between two
 * processes, or private to one process for tests and the simulator; device memory will be a third kind.
 *
 * (Not to be confused with struct mr_arena of base.h, the memory of one loop turn.)
 */
#ifndef MR_ARENA_H
#define MR_ARENA_H

#include "millrace/base.h"

enum { MR_EPOCH_SIZE = 16, MR_ARENA_ALIGNMENT = 256 };

/* 128 random bits, new at every start of the owner and at every connection of a consumer; all zero is no epoch. */
struct mr_epoch {
    uint8_t bytes[MR_EPOCH_SIZE];
};

/* A block of the arena for one use; plain data that travels in a staged record. Zeroed memory is "no lease". */
struct mr_lease {
    struct mr_epoch epoch;
    uint32_t block;      /* index of its state word */
    uint64_t generation; /* of the block; 1 and up */
    uint64_t offset;     /* of the first byte, in the arena's data */
    uint64_t length;     /* bytes */
    uint32_t checksum;   /* CRC-32C of these bytes */
};

/* Why a lease could not be had. The order is that of the checks. */
enum mr_lease_loss {
    MR_LEASE_HELD = 1,          /* not lost */
    MR_LEASE_NONE,              /* the record was staged without one */
    MR_LEASE_NOT_CONNECTED,     /* no owner is known */
    MR_LEASE_EPOCH_PASSED,      /* of an earlier start or connection, or a later one that is not known here yet */
    MR_LEASE_OUT_OF_BOUNDS,     /* block or bytes are not in this arena */
    MR_LEASE_GENERATION_PASSED, /* the block is not READY(generation): taken before, withdrawn, or corrupt */
    MR_LEASE_CHECKSUM_MISMATCH, /* taken, and given back at once: the bytes are not those that were staged */
    MR_LEASE_LAST = MR_LEASE_CHECKSUM_MISMATCH,
};
/* "generation_passed": for log lines and metrics. */
const char *mr_lease_loss_text(enum mr_lease_loss loss);

/* ---- Owner ------------------------------------------------------------------------------------------- */

/* A block that is being filled: private to whoever allocated it until it is published. */
struct mr_arena_block {
    uint32_t block;
    uint64_t generation;
    uint64_t offset;
    uint64_t capacity; /* as asked for, rounded up to MR_ARENA_ALIGNMENT */
    uint8_t *data;     /* to write to; valid until publish or withdraw */
};

enum mr_arena_grant {
    MR_ARENA_GRANTED = 1,
    MR_ARENA_EXHAUSTED, /* wait: a later turn reports `freed` */
    MR_ARENA_TOO_LARGE, /* more than the whole arena: it never fits */
    MR_ARENA_GRANT_LAST = MR_ARENA_TOO_LARGE,
};

/* What one turn of the owner saw. */
struct mr_arena_owner_turn {
    bool consumer_went; /* its leases are kept until the next one comes */
    bool consumer_came; /* after consumer_went, if both: new epoch; all leases are free again */
    uint32_t refused;   /* connections: one is there already, or it is another user's */
    bool freed;         /* blocks came free: an allocation that was EXHAUSTED may fit now */
    uint32_t corrupt;   /* state words that no legal step gives; those blocks are kept until the next epoch */
};

struct mr_arena_usage {
    uint64_t total_bytes, free_bytes, largest_free_bytes;
    uint32_t blocks_total, blocks_filling, blocks_leased; /* leased: READY or IN_USE */
    bool consumer;                                        /* is one connected? */
};

/* Every operation but close may be called from any thread. */
struct mr_arena_owner {
    const struct mr_arena_owner_ops *ops;
};
struct mr_arena_owner_ops {
    /* GRANTED fills ret_block. size 0 is given a block of the least size. Never waits. */
    enum mr_arena_grant (*allocate)(struct mr_arena_owner *, uint64_t size, struct mr_arena_block *ret_block);
    /* The first `length` bytes of the block are complete: computes their checksum and makes the block READY. */
    struct mr_error (*publish)(struct mr_arena_owner *, const struct mr_arena_block *block, uint64_t length,
                               struct mr_lease *ret_lease);
    /* Gives back a block that is filling, or published and not yet taken; nothing if it is taken or of an earlier
     * generation. */
    void (*withdraw)(struct mr_arena_owner *, uint32_t block, uint64_t generation);
    /* Upkeep, never waits: admits a consumer, collects blocks that it released. Called each turn of a loop. */
    struct mr_arena_owner_turn (*turn)(struct mr_arena_owner *);
    struct mr_arena_usage (*usage)(struct mr_arena_owner *);
    /* Stops listening and unmaps; no block may be filling. A consumer keeps its mapping, and sees the end. */
    void (*close)(struct mr_arena_owner *);
};

struct mr_arena_config {
    uint64_t bytes;   /* of data; rounded up to a page */
    uint32_t blocks;  /* at most at a time; 1 to 65,536 */
    const char *path; /* of the Unix socket; a private arena has none */
    /* Called on a thread of the arena when turn has something to do, so that a loop that waits wakes. May be NULL. */
    void (*wake)(void *self);
    void *wake_self;
    struct mr_error (*random)(void *ret_data, size_t size); /* of epochs; NULL: the kernel's */
};

/* REJECT "arena_in_use" when a live process owns that path, "bad_path", "bad_size"; FATAL for the rest. A socket file
 * that nobody listens on is replaced. */
MR_MUST_USE struct mr_error mr_arena_owner_open(const struct mr_arena_config *config,
                                                struct mr_arena_owner **ret_owner);

/* ---- Consumer ---------------------------------------------------------------------------------------- */

/* A lease that is held: the bytes stay as they are until it is released, whatever happens to the owner. */
struct mr_leased {
    struct mr_bytes bytes;
    struct mr_lease lease;
    struct mr_arena_mapping *mapping; /* the arena's */
};

enum mr_arena_consumer_news {
    MR_ARENA_CONSUMER_STEADY = 1,
    MR_ARENA_CONSUMER_CONNECTED,
    MR_ARENA_CONSUMER_DISCONNECTED, /* the owner ended, or refused; connecting goes on */
    MR_ARENA_CONSUMER_NEWS_LAST = MR_ARENA_CONSUMER_DISCONNECTED,
};
struct mr_arena_consumer_turn {
    enum mr_arena_consumer_news news;
    struct mr_error why; /* DISCONNECTED */
};

/* take, release and drop may be called from any thread; turn and close from one. */
struct mr_arena_consumer {
    const struct mr_arena_consumer_ops *ops;
};
struct mr_arena_consumer_ops {
    /* Upkeep, never waits: connects, or connects again, at most every 100 ms. Called each turn of a loop. */
    struct mr_arena_consumer_turn (*turn)(struct mr_arena_consumer *, int64_t now_ms);
    /* HELD fills ret_leased, to be released once; anything else leaves it untouched. Computes the checksum. */
    enum mr_lease_loss (*take)(struct mr_arena_consumer *, const struct mr_lease *lease, struct mr_leased *ret_leased);
    /* After the device is done with the bytes. */
    void (*release)(struct mr_arena_consumer *, const struct mr_leased *leased);
    /* A record that is not going to be used gives back its lease untaken; nothing if it is lost anyhow. */
    void (*drop)(struct mr_arena_consumer *, const struct mr_lease *lease);
    /* Gives up every lease: the next turn connects anew, under a new epoch. What is held stays valid. For a consumer
     * that skipped records without seeing their leases. */
    void (*reset)(struct mr_arena_consumer *);
    /* What is held stays valid, and must still be released. */
    void (*close)(struct mr_arena_consumer *);
};

/* Connects in turn(); a path that nobody listens on yet is not an error. REJECT "bad_path". */
MR_MUST_USE struct mr_error mr_arena_consumer_open(const char *path, struct mr_arena_consumer **ret_consumer);

/* ---- In one process ------------------------------------------------------------------------------------ */

/* An owner over private memory, without socket or thread; config.path and wake are not used. */
MR_MUST_USE struct mr_error mr_arena_private_open(const struct mr_arena_config *config,
                                                  struct mr_arena_owner **ret_owner);
/* Its consumer; connects in its first turn, and is refused while another is connected. Closing it stands for the death
 * of its process: what it held may be overwritten. The owner must outlive it, and whatever it holds. */
MR_MUST_USE struct mr_error mr_arena_private_connect(struct mr_arena_owner *owner,
                                                     struct mr_arena_consumer **ret_consumer);

/* ---- Pass-throughs ------------------------------------------------------------------------------------- */

static inline enum mr_arena_grant mr_arena_owner_allocate(struct mr_arena_owner *o, uint64_t size,
                                                          struct mr_arena_block *ret_block)
{
    return o->ops->allocate(o, size, ret_block);
}
MR_MUST_USE static inline struct mr_error mr_arena_owner_publish(struct mr_arena_owner *o,
                                                                 const struct mr_arena_block *block, uint64_t length,
                                                                 struct mr_lease *ret_lease)
{
    return o->ops->publish(o, block, length, ret_lease);
}
static inline void mr_arena_owner_withdraw(struct mr_arena_owner *o, uint32_t block, uint64_t generation)
{
    o->ops->withdraw(o, block, generation);
}
static inline struct mr_arena_owner_turn mr_arena_owner_turn(struct mr_arena_owner *o)
{
    return o->ops->turn(o);
}
static inline struct mr_arena_usage mr_arena_owner_usage(struct mr_arena_owner *o)
{
    return o->ops->usage(o);
}
static inline void mr_arena_owner_close(struct mr_arena_owner *o)
{
    if (o != NULL) {
        o->ops->close(o);
    }
}
static inline struct mr_arena_consumer_turn mr_arena_consumer_turn(struct mr_arena_consumer *c, int64_t now_ms)
{
    return c->ops->turn(c, now_ms);
}
static inline enum mr_lease_loss mr_arena_take(struct mr_arena_consumer *c, const struct mr_lease *lease,
                                               struct mr_leased *ret_leased)
{
    return c->ops->take(c, lease, ret_leased);
}
static inline void mr_arena_release(struct mr_arena_consumer *c, const struct mr_leased *leased)
{
    c->ops->release(c, leased);
}
static inline void mr_arena_drop(struct mr_arena_consumer *c, const struct mr_lease *lease)
{
    c->ops->drop(c, lease);
}
static inline void mr_arena_consumer_reset(struct mr_arena_consumer *c)
{
    c->ops->reset(c);
}
static inline void mr_arena_consumer_close(struct mr_arena_consumer *c)
{
    if (c != NULL) {
        c->ops->close(c);
    }
}

#endif
