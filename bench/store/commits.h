/*
 * Persist's machine over a store, without a log: models side by side, each a chain of checkpoints, their effects on as
 * many workers as persist has.
 */
#ifndef BENCH_STORE_COMMITS_H
#define BENCH_STORE_COMMITS_H

#include "millrace/store.h"

struct bench_commits {
    struct mr_store *store;
    const char *name; /* what the models' names begin with */
    uint32_t models, each;
    uint64_t payload_bytes;
    uint32_t workers;
};

/* The model's name, of that number. */
void bench_commits_model(const struct bench_commits *commits, uint32_t number, char ret_id[MR_ID_SIZE]);
/* Puts all payloads into the spool, as train does. */
MR_MUST_USE struct mr_error bench_commits_spool(const struct bench_commits *commits);
/* Commits all; ret_us: of each, models * each of them, how long it took. *ret_trips: effects on the store that followed
 * one another, in all. TRANSIENT "not_committed" if one ended otherwise. */
MR_MUST_USE struct mr_error bench_commits_run(const struct bench_commits *commits, uint32_t *ret_us,
                                              uint64_t *ret_trips, int64_t *ret_total_us);

#endif
