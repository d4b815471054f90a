/* One checkpoint on its way into the store: what the machine has in hand, and each of its effects on the store. */
#ifndef PERSIST_COMMIT_H
#define PERSIST_COMMIT_H

#include "persist_codec.h"

struct persist_commit;

/* One of the operations on the store that an effect consists of, each for a worker. */
struct persist_part {
    struct mr_stage_job job; /* first */
    struct persist_commit *commit;
    size_t index;
    char detail[MR_ERROR_DETAIL_MAX]; /* of an answer that was not DONE */
};

/* Owned by one side at a time: by the loop, or by the workers that perform its parts. */
struct persist_commit {
    struct persist_part parts[PERSIST_OBJECTS];
    size_t running;                        /* parts with a worker, or waiting for one */
    struct persist_commit *before, *after; /* in the service's list */

    /* Constant. */
    struct mr_store *store;
    const struct mr_deployment *deployment;
    struct mr_clock clock;
    const char *writer, *build;
    struct persist_produced produced;

    struct persist_state state;
    struct persist_decision decision; /* the effect that is being performed */
    struct persist_event event;       /* its answer */
    char detail[MR_ERROR_DETAIL_MAX]; /* of the last answer that was not DONE */

    bool has_head;
    struct mr_head head; /* read last */
    struct mr_etag head_etag;
    struct mr_version read; /* metadata that was read last */
    struct mr_sha256 read_hash;

    bool has_payload;         /* the spool's object is in hand, unchecked */
    struct mr_buffer payload; /* until the checkpoint is put */

    /* From READ_SPOOL on. */
    struct mr_store_condition swap; /* the condition of every swap */
    struct mr_version version;
    struct mr_sha256 record_hash;
    struct mr_buffer metadata, audit, head_json; /* built once, so that repeated puts have the same bytes */
    char audit_key[MR_VERSION_KEY_SIZE];
    int64_t audited_ms;       /* the time in the audit entry; another entry gets a later one */
    struct mr_error unbuilt;  /* why the audit entry or head is not there to be put */
    struct mr_version stored; /* metadata that is adopted */

    /* The loop's. */
    struct mr_item *waiting; /* for an ancestor; NULL: it does not wait */
    int64_t due_ms;
    int64_t began_us;
    bool alarmed; /* that it waits was said */
    bool resolved_by_version;
};

/* The effect in hand is performed in parts: prepare, then perform each part that there is, in any order or side by
 * side, then finish, which completes the event. Only perform blocks: it is for workers, and each part touches its own
 * things alone. */
void persist_commit_prepare(struct persist_commit *commit);
MR_MUST_USE bool persist_commit_has_part(const struct persist_commit *commit, size_t part); /* below PERSIST_OBJECTS */
void persist_commit_perform(struct persist_commit *commit, size_t part);
void persist_commit_finish(struct persist_commit *commit);

/* Nothing will be built on the payload for a while: it is read again. */
void persist_commit_forget_payload(struct persist_commit *commit);
/* Removes the spool object; its outcome is in event. Blocks. */
void persist_commit_remove_spool(struct persist_commit *commit);
void persist_commit_free(struct persist_commit *commit);

#endif
