/* Between the wire and the vocabulary: staged records in, steps and checkpoint events out. */
#ifndef TRAIN_CODEC_H
#define TRAIN_CODEC_H

#include "millrace/arena.h"
#include "millrace/stage.h"
#include "millrace/versions.h"
#include "train_record.h"

/* A staged record. Views and texts live as long as the arena. */
struct train_staged {
    uint64_t validated_offset;
    bool leased;
    struct mr_bytes validated; /* not leased: the value of batches.validated */
    bool has_lease;            /* leased, and there is a lease */
    struct mr_lease lease;
    const char *run_id, *batch_id; /* leased */
    uint64_t rows;
};
/* REJECT "corrupt_record" when it is none that stage_gpu could have written; FATAL "out_of_memory". */
MR_MUST_USE struct mr_error train_staged_decode(struct mr_bytes value, struct mr_arena *arena,
                                                struct train_staged *ret_staged);

/* A StepTrained in the arena: a function of the record and the fold alone. `record` NULL: a leased batch. */
MR_MUST_USE struct mr_error train_step_encode(const struct mr_stage_stamp *stamp, const struct train_record *record,
                                              const char *run_id, const char *batch_id,
                                              const struct train_outcome *outcome, struct mr_arena *arena,
                                              struct mr_bytes *ret_value);

/* What a CheckpointProduced says. */
struct train_produced {
    char run_id[MR_ID_SIZE];
    uint64_t step, samples, applied, size;
    struct mr_sha256 content_hash;
    bool has_previous;
    struct mr_sha256 previous;
    char message[MR_MESSAGE_SIZE];
    enum mr_bump bump;
    int64_t event_time_ms;
    float loss, gradient_norm;
    bool restarted;
    char restarted_version_id[MR_SPEC_VERSION_ID_SIZE];
    struct mr_sha256 restarted_content_hash;
};
/* All but size, hash and previous, which are known once it is sealed. */
struct train_produced train_produced_of(const struct train_cut *cut, int64_t event_time_ms);
MR_MUST_USE struct mr_error train_produced_encode(const struct mr_stage_stamp *stamp,
                                                  const struct train_produced *produced, struct mr_arena *arena,
                                                  struct mr_bytes *ret_value);

/* What train needs of a VersionCommitted. */
struct train_committed {
    char model_id[MR_ID_SIZE];
    struct mr_sha256 content_hash;
};
/* REJECT "corrupt_record", FATAL "out_of_memory". */
MR_MUST_USE struct mr_error train_committed_decode(struct mr_bytes value, struct mr_arena *arena,
                                                   struct train_committed *ret_committed);

#endif
