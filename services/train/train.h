/*
 * train: folds a model's log into its state, one record at a time, and hands checkpoints to persist.
 *
 * Read this file first: it is the whole vocabulary of the service. There are four decisions, all pure:
 *
 *   train_decide           what a record does to the state of its model, and when a checkpoint is due (the fold, which
 *                          `millrace replay` shares)
 *   train_hydrate_decide   where a model begins after a start
 *   train_gate_decide      whether a record may begin now
 *   train_head_decide      whether the head in the store is one of this process's own
 */
#ifndef TRAIN_H
#define TRAIN_H

#include "millrace/base.h"

/* ---- The fold ------------------------------------------------------------------------------------------ */

enum train_run {
    TRAIN_RUN_NONE = 1, /* the model has had none */
    TRAIN_RUN_OPENING,  /* its start is being folded in */
    TRAIN_RUN_OPEN,
    TRAIN_RUN_STEPPING, /* a batch is being folded in */
    TRAIN_RUN_FAILED,   /* it diverged, or its start was refused: its later records change nothing */
    TRAIN_RUN_CLOSED,
    TRAIN_RUN_LAST = TRAIN_RUN_CLOSED,
};

/* When a run's checkpoints are due. */
struct train_plan {
    bool final;           /* when it is stopped as completed */
    uint64_t every_steps; /* 0: no interval */
};

/* Of one model. All of it is in a checkpoint or follows from one (a failed run has none after its failure). */
struct train_state {
    enum train_run run;
    char run_id[MR_ID_SIZE];
    struct train_plan plan;
    uint64_t step;    /* of the run */
    uint64_t applied; /* records of the model's log, over all runs */
    bool checkpointed;
    uint64_t checkpoint_step; /* if checkpointed: of the run's last checkpoint */
};

enum train_event_kind {
    /* A record of the model's log. */
    TRAIN_EVENT_RUN_STARTED = 1,
    TRAIN_EVENT_BATCH,
    TRAIN_EVENT_RUN_STOPPED,
    /* How the effect of the last decision ended. */
    TRAIN_EVENT_OPENED,
    TRAIN_EVENT_REFUSED, /* what to restart from is not in the chain, or not of this network */
    TRAIN_EVENT_STEPPED,
    TRAIN_EVENT_DIVERGED,
    TRAIN_EVENT_LAST = TRAIN_EVENT_DIVERGED,
};

struct train_event {
    enum train_event_kind kind;
    char run_id[MR_ID_SIZE]; /* of a record */
    struct train_plan plan;  /* RUN_STARTED */
    bool completed;          /* RUN_STOPPED: not failed, not cancelled */
};

enum train_decision_kind {
    /* Effects, whose outcome is the next event. */
    TRAIN_DECISION_OPEN_RUN = 1,
    TRAIN_DECISION_STEP,
    /* Outcomes of a record. */
    TRAIN_DECISION_RUN_OPENED,
    TRAIN_DECISION_RUN_REFUSED,
    TRAIN_DECISION_STEPPED,
    TRAIN_DECISION_DIVERGED,
    TRAIN_DECISION_SKIPPED,
    TRAIN_DECISION_RUN_CLOSED,
    TRAIN_DECISION_FAULT, /* this event cannot happen in this state */
    TRAIN_DECISION_LAST = TRAIN_DECISION_FAULT,
};

struct train_decision {
    enum train_decision_kind kind;
    bool checkpoint_due; /* STEPPED, RUN_CLOSED */
};

struct train_step {
    struct train_state next;
    struct train_decision decision;
};

/* Total and pure: every (state, event) has one answer. */
MR_MUST_USE struct train_step train_decide(const struct train_state *state, const struct train_event *event);

/* ---- Where a model begins ------------------------------------------------------------------------------ */

enum train_found {
    TRAIN_FOUND_NOTHING = 1, /* the store says that the model has no head */
    TRAIN_FOUND_HEAD,        /* of the log as it is now */
    TRAIN_FOUND_EARLIER_LOG, /* of one that this log follows */
    TRAIN_FOUND_OTHER_LOG,   /* of one that the deployment does not know, or another partition's */
    TRAIN_FOUND_BEYOND_END,  /* of this log, but behind its end */
    TRAIN_FOUND_LAST = TRAIN_FOUND_BEYOND_END,
};

enum train_start {
    TRAIN_START_BOOTSTRAPPING = 1, /* from nothing, at the log's beginning */
    TRAIN_START_READY,             /* from the head, behind its position */
    TRAIN_START_READY_IN_NEW_LOG,  /* from the head, at the log's beginning */
    TRAIN_START_LOG_DISCONTINUITY, /* the process ends */
    TRAIN_START_LAST = TRAIN_START_LOG_DISCONTINUITY,
};
MR_MUST_USE enum train_start train_hydrate_decide(enum train_found found);

/* ---- Whether a record may begin ------------------------------------------------------------------------ */

struct train_load {
    uint32_t uncommitted, run_ahead; /* checkpoints of the model, and how many there may be */
    bool opens_run, restarts;        /* the record is a start; it restarts from a version */
    bool resident;                   /* the model holds device memory already */
    uint32_t models, models_max;     /* that hold it */
};

enum train_gate {
    TRAIN_GATE_GO = 1,
    TRAIN_GATE_AWAIT_COMMIT, /* of a checkpoint of this model */
    TRAIN_GATE_AWAIT_ROOM,   /* until another model's run ends */
    TRAIN_GATE_LAST = TRAIN_GATE_AWAIT_ROOM,
};
MR_MUST_USE enum train_gate train_gate_decide(const struct train_load *load);

/* ---- Whose head it is ---------------------------------------------------------------------------------- */

/* The head that was read, against what this process hydrated from and has produced since. */
struct train_sighting {
    bool some;         /* there is a head */
    bool known_before; /* one was known when the reading began */
    bool is_known;     /* it has the content that was known as committed then, or is known now */
    bool is_produced;  /* it has the content of a checkpoint that was not known as committed */
    bool place_taken;  /* other content stands at the position of one of ours */
    bool is_overtaken; /* a commit was heard of since the reading began: it may have been a head between the two */
};

enum train_head {
    TRAIN_HEAD_STAYS = 1,
    TRAIN_HEAD_ADVANCED,       /* to a checkpoint of ours: it and all before it are committed */
    TRAIN_HEAD_LOOK_AGAIN,     /* the answer is too old to tell whose it is */
    TRAIN_HEAD_RESTARTED_FROM, /* another's: drop the state and hydrate from it */
    TRAIN_HEAD_FENCED,         /* another process made something else of the same log: this one ends */
    TRAIN_HEAD_MISSING,        /* there was one: the model stops with an alarm */
    TRAIN_HEAD_LAST = TRAIN_HEAD_MISSING,
};
MR_MUST_USE enum train_head train_head_decide(const struct train_sighting *sighting);

/* ---- Names --------------------------------------------------------------------------------------------- */

/* "Stepped", "RunClosed": as in log lines, metrics and events. */
const char *train_decision_text(enum train_decision_kind kind);
const char *train_start_text(enum train_start start); /* "Bootstrapping" */
const char *train_gate_text(enum train_gate gate);    /* "AwaitingCommit" */
const char *train_head_text(enum train_head head);    /* "RestartedFrom" */
const char *train_run_text(enum train_run run);       /* "open" */
const char *train_event_text(enum train_event_kind kind);

#endif
