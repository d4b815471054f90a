/*
 * What a model has made of the staged log and is not in a version yet: checkpoints on their way to persist, and the
 * offset from which their records would have to be read again. Plain bookkeeping, without I/O.
 *
 * A checkpoint is cut, sealed (encoded, hashed and spooled, in order), handed to the log (in order, once all steps up
 * to it are acknowledged and the spool has it: rule C4), and committed, by persist.
 */
#ifndef TRAIN_LEDGER_H
#define TRAIN_LEDGER_H

#include "train_codec.h"

struct train_pending {
    struct train_pending *next;
    uint64_t id;          /* never used again in its ledger */
    bool has_cut;         /* not on a worker, and not sealed */
    struct train_cut cut; /* if has_cut */
    struct train_produced produced;
    uint64_t origin;   /* of the last record in it */
    uint64_t sequence; /* the same, in the ledger's count */
    uint64_t unacked;  /* steps up to it that are not acknowledged */
    bool sealed, handed, committed;
    bool has_next;
    uint64_t next_offset; /* if has_next: of the first staged record behind it */
};

/* Zeroed memory is an empty one. */
struct train_ledger {
    struct train_pending *first, *last; /* in order; what is committed and handed to the log has left */
    uint32_t uncommitted;
    uint64_t last_id;
    uint64_t sequence; /* records folded in */
    uint64_t unacked;
    bool has_floor;
    uint64_t floor; /* if has_floor: the first staged offset that no committed version covers */
};
void train_ledger_deinit(struct train_ledger *ledger);
/* The state is dropped: so are its checkpoints. What they covered must be read again. */
void train_ledger_drop(struct train_ledger *ledger);

/* A record was folded in and its step is about to be sent; `offset` 0: it was not read from the staged log. Returns its
 * place in the ledger's count. */
uint64_t train_ledger_fold(struct train_ledger *ledger, uint64_t offset);
/* Its step is acknowledged. */
void train_ledger_ack(struct train_ledger *ledger, uint64_t sequence);

/* A checkpoint of the record that was folded in last. Takes the cut over. NULL: out of memory. */
MR_MUST_USE struct train_pending *train_ledger_add(struct train_ledger *ledger, struct train_cut *cut, uint64_t origin,
                                                   int64_t event_time_ms);
/* NULL: it was dropped. */
struct train_pending *train_ledger_find(struct train_ledger *ledger, uint64_t id);
/* The next one to seal, or NULL: none, or its cut is on a worker. */
struct train_pending *train_ledger_to_seal(const struct train_ledger *ledger);
/* The next one to hand to the log, or NULL. */
struct train_pending *train_ledger_to_hand(const struct train_ledger *ledger);
void train_ledger_handed(struct train_ledger *ledger, struct train_pending *pending);
/* The one that is sealed, has this content and is not known as committed, or NULL. */
struct train_pending *train_ledger_produced(const struct train_ledger *ledger, const struct mr_sha256 *content_hash);
/* It and all before it are committed. */
void train_ledger_committed(struct train_ledger *ledger, struct train_pending *pending);

/* The staged offset below which nothing is needed any more; UINT64_MAX: no bound. A model without an open run holds
 * nothing back once its checkpoints are committed: what it would have to read again, the next record makes it read. */
uint64_t train_ledger_floor(const struct train_ledger *ledger, bool run_open);

#endif
