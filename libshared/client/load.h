/* From a store to a verified version. Blocking: for the loading thread. */
#ifndef CLIENT_LOAD_H
#define CLIENT_LOAD_H

#include "view.h"

/* What is to be loaded: head (and its history behind `served`), or the version of a choice. */
struct load_target {
    struct mr_store *store;
    const char *model_id;
    struct mr_version_choice choice;
};

/* What the target names now; of a pinned one, found along the chain from head. Errors of versions.h; "not_found" when
 * the model has no head. */
struct load_found {
    struct mr_head head; /* of head */
    uint64_t counter;
    struct mr_sha256 record_hash;
    struct mr_version_entry entry; /* of a pinned version */
};
MR_MUST_USE struct mr_error load_look(const struct load_target *target, struct load_found *ret_found);

/* Reads and verifies what was found. `served` is the version that is served (NULL: none): the history of head must lead
 * to it. REJECT "corrupt", "version_gone", "forked", "bad_checkpoint", besides the errors of versions.h. */
MR_MUST_USE struct mr_error load_version(const struct load_target *target, const struct load_found *found,
                                         const struct mr_version_entry *served, struct mr_view **ret_view);

#endif
