/*
 * The fold of a model's log: state and record give state, outcome and, when one is due, a checkpoint. train folds what
 * streams in, `millrace replay` folds the log again, by this very code.
 */
#ifndef TRAIN_FOLD_H
#define TRAIN_FOLD_H

#include "millrace/batch.h"
#include "millrace/checkpoint.h"
#include "millrace/engine.h"
#include "millrace/hash.h"
#include "train.h"

/* The state of one model. Used by one thread at a time. */
struct train_fold {
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    struct mr_model *model; /* on the device, while a run is open; otherwise NULL */
    char model_id[MR_ID_SIZE];
    struct train_state state;
    struct mr_run_spec spec; /* of the current run */
    /* Of the run's last step; a loss of NaN before the first. Not part of the state: it describes a checkpoint. */
    char batch_id[MR_ID_SIZE];
    float loss, gradient_norm;
    uint64_t samples;
};

/* A model that nothing was folded into yet. The engine must outlive it. */
void train_fold_init(struct train_fold *fold, const struct mr_engine_ops *ops, struct mr_engine *engine,
                     const char *model_id);
/* The state that a checkpoint holds, in place of what the fold holds. On failure the fold is as it was. REJECT
 * "other_model" when the checkpoint is of another model. */
MR_MUST_USE struct mr_error train_fold_hydrate(struct train_fold *fold, const struct mr_checkpoint *checkpoint);
void train_fold_deinit(struct train_fold *fold);

/* One record of the model's log, with what it refers to at hand. */
struct train_input {
    enum train_event_kind kind; /* RUN_STARTED, BATCH or RUN_STOPPED */
    const char *run_id;
    union {
        struct {
            const struct mr_run_spec *spec;
            /* A run that restarts: the version to restart from, or NULL and why there is none (rule C9). */
            const struct mr_checkpoint *earlier;
            const char *refusal;
        } started;
        struct {
            const char *batch_id;
            bool sobol;
            uint64_t rows, sobol_start;
            struct mr_bytes packed; /* not Sobol: as mr_batch_pack wrote them; looked at if the run is open */
        } batch;
        struct {
            bool completed;
        } stopped;
    } of;
};

/* A checkpoint cut from the state, complete but for `previous`. Owner of the arrays in it. */
struct train_cut {
    struct mr_checkpoint checkpoint;
    char batch_id[MR_ID_SIZE];
    float loss, gradient_norm;
};
void train_cut_deinit(struct train_cut *cut);

/* The content hashes of a model's checkpoints: each names the one before. */
struct train_chain {
    bool some;
    struct mr_sha256 last;
};
/* Names the chain's last as `previous`, appends the bytes of checkpoint.pb and makes their hash the chain's last. */
MR_MUST_USE struct mr_error train_cut_seal(struct train_cut *cut, struct train_chain *chain, struct mr_buffer *buffer);

/* What a record did. */
struct train_outcome {
    enum train_decision_kind what;     /* RUN_OPENED, RUN_REFUSED, STEPPED, DIVERGED, SKIPPED or RUN_CLOSED */
    uint64_t step, samples;            /* of the run, after it */
    uint64_t parameters;               /* RUN_OPENED */
    struct mr_step_outcome stepped;    /* STEPPED, DIVERGED */
    char refusal[MR_ERROR_DETAIL_MAX]; /* RUN_REFUSED */
    bool has_cut;
    struct train_cut cut; /* the caller's, if has_cut */
};
void train_outcome_deinit(struct train_outcome *outcome);

/* Whether the record's tensors (of a batch), or the version to restart from (of a start), will be looked at. */
MR_MUST_USE bool train_fold_wants(const struct train_fold *fold, enum train_event_kind kind, const char *run_id);
/* Whether folding in a batch of that many rows takes no longer than handing it to another thread would. */
MR_MUST_USE bool train_fold_is_short(const struct train_fold *fold, uint64_t rows);
/* Folds one record in. An error is not an outcome: the fold is as it was when it is a REJECT (the record cannot be what
 * validate wrote), and of no more use when it is FATAL. */
MR_MUST_USE struct mr_error train_fold_apply(struct train_fold *fold, const struct train_input *input,
                                             struct train_outcome *ret_outcome);

#endif
