/*
 * ingest: judges what users submit by its envelope and by the life of its run, and writes what it accepts, unchanged,
 * to batches.ingested. It is the only judge of a run's life: later stages trust it.
 *
 * Read this file first: it is the whole vocabulary of the service. docs/decisions.md says how to add a reason.
 */
#ifndef INGEST_H
#define INGEST_H

#include "millrace/retry.h"

/* What one model may hold at most, so that its state stays bounded. Beyond it, records are rejected by name. */
enum {
    INGEST_PRODUCERS_MAX = 65536, /* every `millrace submit` is one */
    INGEST_RUNS_MAX = 65536,
    INGEST_REPLAYS_MAX = 65536,
    INGEST_MODELS_MAX = 65536, /* of a partition */
};

/* Why a record ends in a dead letter. In the order in which they are looked for. */
enum ingest_reason {
    INGEST_REASON_EMPTY_VALUE = 1,
    INGEST_REASON_TOO_LARGE,
    INGEST_REASON_UNDECODABLE,
    INGEST_REASON_UNKNOWN_FIELD,
    INGEST_REASON_NO_EVENT,
    INGEST_REASON_BAD_ID,
    INGEST_REASON_KEY_MISMATCH,
    INGEST_REASON_WRONG_PARTITION,
    INGEST_REASON_BAD_REPLAY,
    INGEST_REASON_BAD_SPEC,
    INGEST_REASON_NO_PAYLOAD,
    INGEST_REASON_INLINE_TOO_LARGE,
    INGEST_REASON_BAD_OUTCOME,
    INGEST_REASON_CONFLICT,
    INGEST_REASON_UNKNOWN_RUN,
    INGEST_REASON_RUN_CLOSED,
    INGEST_REASON_JOB_MISMATCH,
    INGEST_REASON_TOO_MANY_MODELS,
    INGEST_REASON_TOO_MANY_RUNS,
    INGEST_REASON_TOO_MANY_PRODUCERS,
    INGEST_REASON_TOO_MANY_REPLAYS,
    INGEST_REASON_OUT_OF_MEMORY, /* five attempts found no memory for it */
    INGEST_REASON_LAST = INGEST_REASON_OUT_OF_MEMORY,
};

/* ---- The event: a record, as facts ------------------------------------------------------------------------- */

enum ingest_body {
    INGEST_BODY_NONE = 1, /* null or empty */
    INGEST_BODY_TOO_LARGE,
    INGEST_BODY_UNDECODABLE,
    INGEST_BODY_UNKNOWN_FIELD,
    INGEST_BODY_NO_EVENT,
    INGEST_BODY_RUN_STARTED,
    INGEST_BODY_BATCH,
    INGEST_BODY_RUN_STOPPED,
    INGEST_BODY_LAST = INGEST_BODY_RUN_STOPPED,
};

enum ingest_job { INGEST_JOB_PRICING = 1, INGEST_JOB_LABELLED, INGEST_JOB_LAST = INGEST_JOB_LABELLED };

enum ingest_payload {
    INGEST_PAYLOAD_NONE = 1, /* none, or a tensor of it is missing */
    INGEST_PAYLOAD_CONTRACTS,
    INGEST_PAYLOAD_SOBOL_RANGE,
    INGEST_PAYLOAD_LABELLED,
    INGEST_PAYLOAD_LAST = INGEST_PAYLOAD_LABELLED,
};

enum ingest_replay {
    INGEST_REPLAY_NONE = 1,
    INGEST_REPLAY_NAMED,     /* mr_replay_of names a dead letter */
    INGEST_REPLAY_MALFORMED, /* it is there, but is no ce_id */
    INGEST_REPLAY_LAST = INGEST_REPLAY_MALFORMED,
};

struct ingest_facts {
    enum ingest_body body;
    /* Of RUN_STARTED, BATCH and RUN_STOPPED: */
    bool ids_valid;         /* rule O10 */
    bool key_matches;       /* the key is the model id */
    bool partition_matches; /* rule O2 */
    enum ingest_replay replay;
    union {
        struct {
            bool spec_valid;
            enum ingest_job job; /* if it is */
        } run_started;
        struct {
            enum ingest_payload payload;
            bool inline_fits; /* inline bytes are within the limit */
            bool empty;       /* no rows, and no bytes that would fill any */
            bool has_producer;
            uint32_t epoch;
            uint64_t sequence;
        } batch;
        struct {
            bool outcome_valid;
        } run_stopped;
    } of;
};

/* The run that a record names, as its model knows it. */
enum ingest_run {
    INGEST_RUN_UNKNOWN = 1,
    INGEST_RUN_OPEN,
    INGEST_RUN_CLOSED,
    INGEST_RUN_LAST = INGEST_RUN_CLOSED,
};

enum ingest_producer {
    INGEST_PRODUCER_NEW = 1,
    INGEST_PRODUCER_KNOWN,
    INGEST_PRODUCER_NO_ROOM, /* new, and the model has as many as it may */
    INGEST_PRODUCER_LAST = INGEST_PRODUCER_NO_ROOM,
};

/* The state, as far as it is about one record: what the partition's memory says of the names in it. The memory is the
 * fold of the accepted records (rule O5); ingest_change_of says what each adds. */
struct ingest_view {
    enum ingest_run run;
    bool another_open;   /* another run than the named one is open on the model */
    enum ingest_job job; /* of the named run, if OPEN */
    enum ingest_producer producer;
    uint32_t epoch;    /* of the last accepted batch of a KNOWN producer */
    uint64_t sequence; /* likewise */
    bool replayed;     /* a replay of that dead letter was accepted before */
    bool models_full, runs_full, replays_full;
};

enum ingest_event_kind {
    INGEST_EVENT_SUBMITTED = 1, /* a record is at the head of its lane */
    INGEST_EVENT_FAILED,        /* the attempt to handle it failed for want of memory */
    INGEST_EVENT_BURIED,        /* its dead letter is acknowledged */
    INGEST_EVENT_LAST = INGEST_EVENT_BURIED,
};

struct ingest_event {
    enum ingest_event_kind kind;
    union {
        struct ingest_facts submitted;
        struct {
            struct mr_retry_policy policy;
            uint32_t failed_before; /* attempts */
            uint64_t event_hash;    /* for the jitter */
            int64_t now_ms;
        } failed;
        struct {
            enum ingest_reason reason;
        } buried;
    } of;
};

/* ---- The decision --------------------------------------------------------------------------------------------- */

/* What an accepted record adds to its model's state. */
struct ingest_change {
    bool opens_run, closes_run, advances_producer, remembers_replay;
};

enum ingest_duplicate {
    INGEST_DUPLICATE_SEQUENCE = 1, /* not above the producer's last accepted one */
    INGEST_DUPLICATE_EPOCH,        /* of a producer that has begun a later epoch */
    INGEST_DUPLICATE_REPLAY,       /* of a dead letter whose replay was accepted */
    INGEST_DUPLICATE_LAST = INGEST_DUPLICATE_REPLAY,
};

enum ingest_decision_kind {
    INGEST_DECISION_ACCEPTED = 1,
    INGEST_DECISION_EMPTY_BATCH, /* not a failure: counted, logged, dropped */
    INGEST_DECISION_DUPLICATE,   /* likewise */
    INGEST_DECISION_REJECTED,    /* to the dead letters */
    INGEST_DECISION_RETRY_SCHEDULED,
    INGEST_DECISION_RETRY_EXHAUSTED, /* to the dead letters */
    INGEST_DECISION_DEAD_LETTERED,   /* it lies there */
    INGEST_DECISION_LAST = INGEST_DECISION_DEAD_LETTERED,
};

struct ingest_decision {
    enum ingest_decision_kind kind;
    union {
        struct ingest_change accepted;
        enum ingest_duplicate duplicate;
        enum ingest_reason reason; /* REJECTED, RETRY_EXHAUSTED, DEAD_LETTERED */
        struct {
            int64_t at_ms;
            uint32_t attempt;
        } retry;
    } of;
};

/* Total and pure: every (view, event) has one answer, and nothing else is read or written. */
MR_MUST_USE struct ingest_decision ingest_decide(const struct ingest_view *view, const struct ingest_event *event);
/* What a record changes once it is accepted. The fold of ingest's own output uses the same. */
MR_MUST_USE struct ingest_change ingest_change_of(const struct ingest_facts *facts);

/* "Accepted": the names that logs, metrics and events share. */
MR_MUST_USE const char *ingest_decision_text(enum ingest_decision_kind kind);
/* "key_mismatch": mr_dlq_reason. */
MR_MUST_USE const char *ingest_reason_text(enum ingest_reason reason);
MR_MUST_USE const char *ingest_duplicate_text(enum ingest_duplicate duplicate);

#endif
