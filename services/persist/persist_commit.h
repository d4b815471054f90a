/* One checkpoint on its way into the store: what the machine has in hand, and each of its effects on the store. */
#ifndef PERSIST_COMMIT_H
#define PERSIST_COMMIT_H

#include "persist_codec.h"

/* Owned by one side at a time: by the loop, or by the worker that runs its job. */
struct persist_commit {
    struct mr_stage_job job;               /* first */
    struct persist_commit *before, *after; /* in the service's list */
    bool running;                          /* with a worker, or waiting for one */

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

    /* From READ_SPOOL on. */
    struct mr_store_condition swap; /* the condition of every swap */
    struct mr_buffer payload;       /* until the checkpoint is put */
    struct mr_version version;
    struct mr_sha256 record_hash;
    struct mr_buffer metadata, audit, head_json; /* built once, so that repeated puts have the same bytes */
    char audit_key[MR_VERSION_KEY_SIZE];

    /* The loop's. */
    struct mr_item *waiting; /* for an ancestor; NULL: it does not wait */
    int64_t due_ms;
    int64_t began_us;
    bool alarmed; /* that it waits was said */
    bool resolved_by_version;
};

/* Performs the decision in hand, one effect on the store, and sets the event. Blocks: for a worker. */
void persist_commit_perform(struct persist_commit *commit);
/* Removes the spool object; its outcome is in event. Blocks. */
void persist_commit_remove_spool(struct persist_commit *commit);
void persist_commit_free(struct persist_commit *commit);

#endif
