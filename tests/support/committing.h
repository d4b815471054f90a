/*
 * Persist's own machine over any store, without a log: one checkpoint of a model after another, as a process of persist
 * would commit them. Its parts are performed one after another.
 */
#ifndef COMMITTING_H
#define COMMITTING_H

#include "persist_commit.h"

#define COMMITTING_MODEL "model-a"

struct committing {
    struct mr_store *store;
    struct mr_deployment deployment;
    const char *writer;
};
void committing_init(struct committing *committing, struct mr_store *store, const char *writer);

/* Checkpoint n (from 0 on) with this content, behind `previous` (NULL: the first). */
struct persist_produced committing_checkpoint(const struct committing *committing, uint64_t n, const char *content,
                                              const struct mr_sha256 *previous);
/* Puts its payload into the spool; false: the store does not say that it is there. */
MR_MUST_USE bool committing_spool(const struct committing *committing, const struct persist_produced *produced,
                                  const char *content);

/* The machine in hand; persist_commit_free ends it. */
struct persist_commit *committing_begin(const struct committing *committing, const struct persist_produced *produced);
/* To its end: EMIT, ABANDON, STOP, REFUSE or FAULT; or to a decision of that kind, which is not performed (0: none).
 * Waits pass at once; after `waits_max` of them it is a WAIT that ends. */
enum persist_decision_kind committing_go(struct persist_commit *commit, enum persist_decision_kind until,
                                         unsigned waits_max);
/* All of it. *ret_record_hash, of an EMIT: of the version; may be NULL. */
enum persist_decision_kind committing_run(const struct committing *committing, const struct persist_produced *produced,
                                          unsigned waits_max, struct mr_sha256 *ret_record_hash);

#endif
