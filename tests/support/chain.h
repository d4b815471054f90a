/* A model's chain in any store, as persist would have left it: for tests of what reads and collects versions. */
#ifndef CHAIN_H
#define CHAIN_H

#include "millrace/versions.h"

struct chain {
    struct mr_store *store;
    const char *model;
    bool some;
    struct mr_version_entry head; /* if some */
};

/* The version that a checkpoint of these bytes would become on the chain's head: version n has position and applied
 * 10 n. `source`: what its run restarted from, or NULL. */
struct mr_version_entry chain_next(const struct chain *chain, const char *payload, const struct mr_version *source);
/* All of a commit but the swap of head. */
void chain_upload(struct chain *chain, const struct mr_version_entry *entry, const char *payload);
/* A commit: head is the entry afterwards. */
struct mr_version_entry chain_commit(struct chain *chain, const char *payload, const struct mr_version *source);
/* Writes head.json, whatever stands there. */
void chain_put_head(struct chain *chain, const struct mr_version_entry *entry);
/* Spools bytes that begin as a checkpoint does which has folded in so many records; their size. */
uint64_t chain_spool(struct chain *chain, uint64_t applied, const char *rest, struct mr_sha256 *ret_hash);

#endif
