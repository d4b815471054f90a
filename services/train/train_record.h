/*
 * A record of the model's log, and what it refers to: payloads under the model, a version to restart from. Nothing here
 * knows the log itself, so that train's workers and `millrace replay` use it alike.
 */
#ifndef TRAIN_RECORD_H
#define TRAIN_RECORD_H

#include "millrace/store.h"
#include "train_fold.h"

/* A decoded value of batches.validated. Owner of the message; zeroed memory is an empty one. */
struct train_record {
    enum train_event_kind kind; /* RUN_STARTED, BATCH or RUN_STOPPED */
    Millrace__Batch__V1__Validated *validated;
    Millrace__Batch__V1__Submitted *submitted;
    struct mr_run_spec spec; /* RUN_STARTED */
};

/* REJECT "corrupt_record" when it is none that validate could have written. */
MR_MUST_USE struct mr_error train_record_read(struct mr_bytes validated, struct train_record *ret_record);
void train_record_deinit(struct train_record *record);
const char *train_record_run_id(const struct train_record *record);
const char *train_record_batch_id(const struct train_record *record); /* "" unless it is a BATCH */

/* Whether all that the record holds is in memory, and it is a batch; *ret_rows: its rows, as far as it tells them. */
MR_MUST_USE bool train_record_is_batch_in_memory(const struct train_record *record, uint64_t *ret_rows);

/* What a record refers to, once it is in memory. Zeroed memory is an empty one. */
struct train_loaded {
    struct mr_buffer packed; /* of a batch with tensors */
    bool has_earlier;
    struct mr_checkpoint earlier; /* of a run that restarts */
    char refusal[MR_ERROR_DETAIL_MAX];
};
void train_loaded_deinit(struct train_loaded *loaded);

/* Whether a run may begin from the version that it names is decided when its start is folded first, in the store
 * (pins.h); a replay only reads that. */
enum train_reading { TRAIN_READING_DECIDES = 1, TRAIN_READING_REPLAYS };

/* Reads what the fold will look at when it folds this record. The chain is that of the fold's committed checkpoints: a
 * version to restart from must stand in it (rule C9), and be what the spec names. TRANSIENT "unavailable": the store
 * could not tell, "head_moved": head is past this record by now; FATAL "denied"; REJECT "payload_missing" or
 * "corrupt_record": the model's log is damaged; REJECT "version_gone": GC has collected what a replay needs. */
MR_MUST_USE struct mr_error train_record_load(const struct train_record *record, const struct train_fold *fold,
                                              const struct train_chain *chain, struct mr_store *store,
                                              enum train_reading reading, struct train_loaded *ret_loaded);
/* Folds it in. */
MR_MUST_USE struct mr_error train_record_apply(const struct train_record *record, const struct train_loaded *loaded,
                                               struct train_fold *fold, struct train_outcome *ret_outcome);

/* Both, and the reading before them: one value of batches.validated into the fold, as a replay does it. */
MR_MUST_USE struct mr_error train_fold_validated(struct train_fold *fold, const struct train_chain *chain,
                                                 struct mr_store *store, struct mr_bytes validated,
                                                 struct train_outcome *ret_outcome);

#endif
