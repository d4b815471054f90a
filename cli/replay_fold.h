/* A version folded again from the log, by the code that train folds with. */
#ifndef CLI_REPLAY_FOLD_H
#define CLI_REPLAY_FOLD_H

#include "cli_session.h"

#include "train_record.h"

#include "millrace/engine.h"
#include "millrace/order.h"
#include "millrace/versions.h"

/* The caller fills the first part: what is replayed, and with what. */
struct replay {
    struct cli_session *session;
    struct mr_store *store;
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    const char *model_id;
    struct mr_version_choice choice;
    bool from_parent;
    void (*tell)(const struct replay *replay); /* after each record; may be NULL */

    /* What comes of it. */
    struct mr_version_entry target, base;
    bool has_base; /* it began with the base's checkpoint, else with nothing */
    uint64_t records, steps;
    bool has_hash;
    struct mr_sha256 hash; /* of the checkpoint at the target's position, if one was due there */

    /* Its own. */
    bool has_fold;
    struct train_fold fold;
    struct train_chain chain;
    struct mr_mark mark; /* the last record that is folded in */
    bool reached;
};

/* Reads the version and its parent, then folds the log up to the version's position. REJECT "log_discontinuity": the
 * version was made from another log; REJECT "log_gap": the log no longer has a record, which the detail names; and the
 * errors of millrace/versions.h and train_record.h. */
MR_MUST_USE struct mr_error replay_run(struct replay *replay);
/* Whether the fold gave the version's own bytes. */
MR_MUST_USE bool replay_equal(const struct replay *replay);
void replay_deinit(struct replay *replay);

#endif
