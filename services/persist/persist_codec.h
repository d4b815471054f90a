/* Wire to domain and back: checkpoint events in, version events out, and what a checkpoint becomes as a version. */
#ifndef PERSIST_CODEC_H
#define PERSIST_CODEC_H

#include "millrace/stage.h"
#include "millrace/versions.h"
#include "persist.h"

/* A CheckpointProduced, checked: ids, hashes, ranges, the key of its spool object. */
struct persist_produced {
    char model_id[MR_ID_SIZE], run_id[MR_ID_SIZE];
    struct mr_position position;
    struct mr_sha256 content_hash;
    uint64_t size;
    bool has_previous;
    struct mr_sha256 previous;
    uint64_t step, samples, applied;
    char arithmetic_profile[MR_VERSION_PROFILE_SIZE];
    char message[MR_VERSION_MESSAGE_SIZE];
    enum mr_bump bump;
    int64_t event_time_ms;
    float loss, gradient_norm;
    bool has_restarted_from;
    char restarted_version_id[MR_VERSION_ID_SIZE];
    struct mr_sha256 restarted_content_hash;
};

/* REJECT "unreadable" names the field; FATAL "out_of_memory". */
MR_MUST_USE struct mr_error persist_produced_decode(struct mr_bytes value, struct mr_arena *arena,
                                                    struct persist_produced *ret_produced);
/* What the decision needs of it; `prev` is that of the event's stamp. */
MR_MUST_USE struct persist_checkpoint persist_checkpoint_of(const struct persist_produced *produced, bool has_prev,
                                                            uint64_t prev, const struct mr_deployment *deployment);

/* The version that the checkpoint becomes on that head (NULL: genesis): a function of log and spec alone. */
MR_MUST_USE struct mr_error persist_version_build(const struct persist_produced *produced, const struct mr_head *base,
                                                  struct mr_version *ret_version);
/* What is stored under our version's name is the same version, whatever else its metadata says. */
MR_MUST_USE bool persist_version_adoptable(const struct mr_version *ours, const struct mr_version *stored);

/* False: its log id is not one of the deployment's. */
MR_MUST_USE bool persist_record_of_head(const struct mr_head *head, const struct mr_deployment *deployment,
                                        struct persist_record *ret_record);
MR_MUST_USE bool persist_record_of_version(const struct mr_version *version, const struct mr_sha256 *record_hash,
                                           const struct mr_deployment *deployment, struct persist_record *ret_record);

/* A VersionCommitted in the arena. Equal versions and stamps give equal bytes. */
MR_MUST_USE struct mr_error persist_committed_encode(const struct mr_version *version,
                                                     const struct mr_sha256 *record_hash,
                                                     const struct mr_stage_stamp *stamp, struct mr_arena *arena,
                                                     struct mr_bytes *ret_value);

#endif
