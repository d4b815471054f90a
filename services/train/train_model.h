/* A model in this process, and what the files of the service share. Everything here is the loop thread's. */
#ifndef TRAIN_MODEL_H
#define TRAIN_MODEL_H

#include "train_effects.h"
#include "train_job.h"
#include "train_ledger.h"

enum { TRAIN_MODEL_BUCKETS = 1024, TRAIN_LOOK_EVERY_MS = 1000, TRAIN_RETRY_MS = 500 };

/* What is to be done with a model as soon as no record of it is being folded in. */
enum train_interrupt {
    TRAIN_INTERRUPT_NONE = 0,
    TRAIN_INTERRUPT_ROLLBACK, /* RollbackRequired: drop the state, hydrate */
    TRAIN_INTERRUPT_HALT,     /* stop the model with an alarm */
};

struct train_model {
    struct train_model *hash_next;
    char id[MR_ID_SIZE];
    uint32_t partition;
    struct mr_lane *lane;   /* NULL: its assignment is over */
    uint32_t refs;          /* the lane, and jobs */
    uint64_t generation;    /* grows when the state is dropped: outcomes of earlier jobs are ignored */
    bool ready, hydrating;  /* hydrating: a job is */
    bool restarting;        /* it hydrates from a head that is not its own */
    bool holds_room;        /* counts as one of models_max */
    bool run_open;          /* as of the last record */
    bool stopped;           /* with an alarm: nothing more is done about it in this assignment */
    struct mr_metric *loss; /* NULL before its first step */
    struct train_fold fold;
    struct train_chain chain;    /* the last checkpoint that was sealed or hydrated from */
    struct train_chain known;    /* the last that is known as committed */
    struct mr_position known_at; /* if known.some */
    bool has_last;
    uint64_t last_origin; /* if has_last: of the last checkpoint event in this log, or of what was hydrated from */
    struct train_ledger ledger;
    bool sealing, looking; /* a job is */
    bool look_due;         /* somebody committed what is not known here */
    int64_t retry_ms, look_ms;
    struct mr_item *item;    /* the lane's current record */
    struct mr_item *waiting; /* the same, while the gate is closed */
    enum train_gate gate;    /* of `waiting` */
    enum train_interrupt interrupt;
    const char *halt; /* HALT: its name */
    char halt_detail[MR_ERROR_DETAIL_MAX];
};

/* What a record carries through the loop. */
struct train_item {
    struct train_folding *folding; /* its job: before it runs, and after */
    bool on_worker;                /* then the job is the workers' */
    bool opens_run, restarts;
    uint64_t sequence; /* in the ledger; 0: its step is not sent yet */
    /* Staged with a lease: */
    bool leased;
    uint64_t validated_offset;
};

struct train_effects {
    struct mr_service *service;
    struct mr_arena_consumer *consumer;
    bool owns_consumer;
    const struct mr_engine_ops *ops;
    struct mr_engine *engine;
    uint32_t run_ahead, models_max;
    uint32_t models; /* that hold room */
    struct train_model *table[TRAIN_MODEL_BUCKETS];
    struct train_job *jobs; /* all that live */
    uint64_t *ends;         /* by partition: batches.submitted ended there or behind */
    uint32_t partitions;
    struct mr_metric *steps, *samples, *step_seconds, *checkpoints;
};

/* train_model.c */
struct train_model *train_model_find(struct train_effects *effects, uint32_t partition, const char *id);
struct train_model *train_model_new(struct train_effects *effects, struct mr_lane *lane); /* NULL: out of memory */
/* Its lane is closed: out of the table; it lives on while jobs use it. */
void train_model_close(struct train_effects *effects, struct train_model *model);
void train_model_take_room(struct train_effects *effects, struct train_model *model);
void train_model_give_room(struct train_effects *effects, struct train_model *model);
/* A job of `size` bytes for this model, zeroed and listed. NULL: out of memory (the stage has failed). */
void *train_job_new(struct train_effects *effects, struct train_model *model, enum train_job_kind kind, size_t size);
void train_job_start(struct train_effects *effects, struct mr_item *item, struct train_job *job,
                     void (*run)(struct mr_job *job),
                     void (*done)(void *self, struct mr_stage_job *base, struct mr_item *item));
/* Unlists and frees. The model may be gone then. */
void train_job_drop(struct train_effects *effects, struct train_job *job);
/* The outcome of a job is still about the model's state. */
bool train_job_current(const struct train_job *job);
void train_count(struct train_effects *effects, const char *decision, const struct train_model *model,
                 const char *detail);

/* train_hydrate.c */
void train_hydrate_start(struct train_effects *effects, struct train_model *model);

/* train_flow.c: one record */
struct mr_verdict train_flow_handle(struct train_effects *effects, struct train_model *model, struct mr_item *item,
                                    enum mr_stage_event_kind event);
/* Asks the gate again. */
void train_flow_wake(struct train_effects *effects, struct train_model *model);
void train_flow_item_free(struct train_effects *effects, struct mr_item *item);

/* train_commit.c: checkpoints on their way to versions */
/* Seals, and hands to the log, whatever can be. */
void train_commit_pump(struct train_effects *effects, struct train_model *model);
/* persist says that this content is a version. */
void train_commit_heard(struct train_effects *effects, struct train_model *model, const struct mr_sha256 *content);
/* Reads the head, if none is being read. */
void train_commit_look(struct train_effects *effects, struct train_model *model);
/* Carries an interrupt out if no record is in hand; otherwise its handling will. */
void train_commit_interrupt(struct train_effects *effects, struct train_model *model);

#endif
