/*
 * What train does on a worker thread: reading a model's head, folding a record in, sealing a checkpoint. A job takes
 * along all that it needs and shares nothing with the loop while it runs but what is thread-safe (store, arena,
 * engine), and the fold of a model, which the loop leaves alone meanwhile.
 */
#ifndef TRAIN_JOB_H
#define TRAIN_JOB_H

#include "train_codec.h"

struct train_model;

enum train_job_kind { TRAIN_JOB_HYDRATE = 1, TRAIN_JOB_FOLD, TRAIN_JOB_SEAL, TRAIN_JOB_LOOK };

/* The first member of every job. */
struct train_job {
    struct mr_stage_job base; /* first */
    enum train_job_kind kind;
    struct train_job *before, *after; /* in the list of all that live */
    struct train_model *model;
    uint64_t generation; /* the model's, when the job began */
    bool running;        /* handed to the workers and not collected */
    struct mr_store *store;
    struct mr_error error;
};

/* The head of a model, as far as the store told. */
struct train_seen {
    bool some;
    struct mr_head head; /* if some */
};

/* Reads the head and the state that it names. */
struct train_hydrate {
    struct train_job job;
    char model_id[MR_ID_SIZE];
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    struct train_seen seen;
    bool has_fold;
    struct train_fold fold; /* if has_fold: nobody's yet */
};

/* Reads the head alone. */
struct train_look {
    struct train_job job;
    char model_id[MR_ID_SIZE];
    struct train_chain known; /* what was known as committed when it began */
    struct train_seen seen;
};

/* Folds a record in. */
struct train_folding {
    struct train_job job;
    struct train_fold *fold; /* the model's */
    struct train_chain chain;
    bool has_record;
    struct train_record record; /* not leased */
    bool leased;
    struct mr_arena_consumer *consumer;
    struct mr_leased lease; /* if leased; released when the job has run */
    char run_id[MR_ID_SIZE], batch_id[MR_ID_SIZE];
    uint64_t rows; /* if leased */
    bool has_outcome;
    struct train_outcome outcome;
    struct mr_clock clock;
    double seconds;
};

/* Reads the head (rule C8), then encodes and hashes a checkpoint and puts it into the spool. */
struct train_sealing {
    struct train_job job;
    char model_id[MR_ID_SIZE];
    uint64_t pending_id;
    struct train_cut cut;
    struct train_chain known; /* what was known as committed when it began */
    struct train_chain chain; /* before; and after it has run, with this checkpoint */
    struct train_seen seen;
    uint64_t size;
};

void train_hydrate_run(struct mr_job *job);
void train_look_run(struct mr_job *job);
void train_folding_run(struct mr_job *job);
void train_sealing_run(struct mr_job *job);
/* Frees what it holds; a job that is running must not be freed. */
void train_job_free(struct train_job *job);

#endif
