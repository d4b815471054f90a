/* Wire to domain and back: what train and persist say, and what the world is told. */
#ifndef PUBLISH_CODEC_H
#define PUBLISH_CODEC_H

#include "millrace/hash.h"
#include "millrace/stage.h"

/* Where a run stands after a record. Views live as long as the arena that it was read into. */
struct publish_progress {
    const char *model_id, *run_id;
    const char *phase; /* "training", "diverged", "completed", "failed", "cancelled"; static storage */
    uint64_t step;
    bool has_numbers; /* of a trained step; the rest is then set */
    float loss, gradient_norm, learning_rate;
    uint64_t rows, samples;
};

struct publish_version {
    const char *model_id, *version_id, *semantic_version, *run_id, *message, *restarted_from;
    uint64_t counter, step, size, samples;
    int64_t event_time_ms;
    float loss;
    char content_hash[MR_SHA256_TEXT_SIZE], record_hash[MR_SHA256_TEXT_SIZE], commit_text[MR_SHA256_TEXT_SIZE];
};

/* The metric of a trained step: its bytes and what they say, in `arena`. REJECT "unreadable". */
MR_MUST_USE struct mr_error publish_metric_of_step(struct mr_bytes step_trained, const struct mr_stage_stamp *stamp,
                                                   struct mr_arena *arena, struct mr_bytes *ret_value,
                                                   struct publish_progress *ret_progress);
/* The public event of a committed version. REJECT "unreadable". */
MR_MUST_USE struct mr_error publish_version_of_commit(struct mr_bytes version_committed,
                                                      const struct mr_stage_stamp *stamp, struct mr_arena *arena,
                                                      struct mr_bytes *ret_value, struct publish_version *ret_version);
/* The phase of that name; NULL: there is none. */
const char *publish_phase(const char *name);
/* The service's own outputs, read back. REJECT "unreadable". */
MR_MUST_USE struct mr_error publish_metric_read(struct mr_bytes metric_published, struct mr_arena *arena,
                                                struct publish_progress *ret_progress);
MR_MUST_USE struct mr_error publish_version_read(struct mr_bytes version_published, struct mr_arena *arena,
                                                 struct publish_version *ret_version);

#endif
