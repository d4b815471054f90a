/*
 * persist: commits the checkpoints of a model, in order, as versions in the object store.
 *
 * Read this file first: it is the whole vocabulary of the service. One checkpoint is one run of the machine:
 *
 *   read head, and beside it the spooled payload -> already there, not fast-forward, or go -> check the payload, build
 *   the metadata -> put checkpoint, hash, metadata and audit entry side by side, each if absent -> swap head -> settle
 *   -> emit the version
 *
 * Every decision is one effect on the store, its answer the next event: three round trips when nothing is in the way. A
 * lost answer is never read as a failure: puts are repeated and compared, the swap of head is settled by reading head
 * again and walking parents (rules C5 to C7).
 */
#ifndef PERSIST_H
#define PERSIST_H

#include "millrace/hash.h"
#include "millrace/store.h"

enum { PERSIST_VERSION_ID_SIZE = 40 };

/* A position in the order of the deployment's logs: epoch is the place of its log id among them. */
struct persist_place {
    uint64_t epoch, offset;
};

/* What the event in hand says. */
struct persist_checkpoint {
    struct mr_sha256 content_hash;
    bool has_previous; /* false: a model's first */
    struct mr_sha256 previous;
    struct persist_place position;
    bool has_prev_origin; /* of the model's checkpoint event before this one; in this one's epoch */
    uint64_t prev_origin;
    bool foreign_log; /* its log id is not one of the deployment's: position means nothing */
};

/* What head.json or metadata.json says. A head has no parent in it. */
struct persist_record {
    uint64_t counter;
    struct mr_sha256 content_hash, record_hash;
    struct persist_place position;
    char version_id[PERSIST_VERSION_ID_SIZE];
    bool has_parent;
    char parent_version_id[PERSIST_VERSION_ID_SIZE];
    struct mr_sha256 parent_record_hash;
};

/* The objects that a commit puts before it swaps head. */
enum { PERSIST_CHECKPOINT, PERSIST_HASH, PERSIST_METADATA, PERSIST_AUDIT, PERSIST_OBJECTS };

/* What is to be done about one of them. */
enum persist_task {
    PERSIST_TASK_PUT = 1, /* if absent */
    PERSIST_TASK_COMPARE, /* it exists, or no answer came: are they our bytes? */
    PERSIST_TASK_NONE,    /* it is there */
    PERSIST_TASK_LAST = PERSIST_TASK_NONE,
};

/* ---- States ------------------------------------------------------------------------------------------ */

enum persist_state_kind {
    PERSIST_STATE_IDLE = 1,
    PERSIST_STATE_READING_HEAD,
    PERSIST_STATE_LISTING, /* no head: is there a version that had one? */
    PERSIST_STATE_WALKING, /* head is at our position or past it: which version stands there? */
    PERSIST_STATE_READING_SPOOL,
    PERSIST_STATE_STORING, /* the objects of our version */
    PERSIST_STATE_SWAPPING_HEAD,
    PERSIST_STATE_SETTLING,     /* the swap was not answered by a yes: what does head say now? */
    PERSIST_STATE_WALKING_BACK, /* head is past our counter: is ours below it? */
    PERSIST_STATE_ENDED,
    PERSIST_STATE_LAST = PERSIST_STATE_ENDED,
};

/* A first finding that another writer's commit would explain: head is read once more before it is believed. */
enum persist_suspicion {
    PERSIST_SUSPICION_NONE = 1,
    PERSIST_SUSPICION_HEAD_MISSING,  /* versions above genesis, but no head */
    PERSIST_SUSPICION_SPOOL_MISSING, /* removed after a commit? */
    PERSIST_SUSPICION_SPOOL_CORRUPT,
    PERSIST_SUSPICION_LAST = PERSIST_SUSPICION_SPOOL_CORRUPT,
};

struct persist_state {
    enum persist_state_kind kind;
    struct persist_checkpoint ours; /* but in IDLE */
    enum persist_suspicion suspicion;
    /* From READING_SPOOL on: the head that ours goes on, and what ours becomes. */
    bool genesis; /* there is none: ours is the model's first version */
    uint64_t base_counter;
    struct mr_sha256 base_record_hash;
    uint64_t counter;
    struct mr_sha256 record_hash;             /* from STORING on; what is stored, if it was adopted */
    enum persist_task tasks[PERSIST_OBJECTS]; /* STORING */
    /* WALKING, WALKING_BACK: the version that is being read. */
    uint64_t cursor_counter;
    char cursor_version_id[PERSIST_VERSION_ID_SIZE];
    struct mr_sha256 cursor_record_hash;
    struct mr_sha256 passed_content_hash; /* WALKING: of the version behind our position that was seen last */
};

/* ---- Events ------------------------------------------------------------------------------------------ */

/* What was found in what the store gave. */
enum persist_finding {
    PERSIST_FINDING_NONE = 1,    /* a write, or nothing was given */
    PERSIST_FINDING_RECORD,      /* head or metadata; of metadata, the one that the hash names */
    PERSIST_FINDING_FOREIGN_LOG, /* the same, but its log id is not one of the deployment's */
    PERSIST_FINDING_BROKEN,      /* no JSON of ours, or not what the hash names */
    PERSIST_FINDING_SAME,        /* our bytes; of the spool: what the event says, and ours is built */
    PERSIST_FINDING_ADOPTED,     /* metadata of our version in other bytes */
    PERSIST_FINDING_DIFFERENT,   /* other bytes */
    PERSIST_FINDING_NO_VERSIONS, /* nothing under versions/ above the genesis counter */
    PERSIST_FINDING_VERSIONS,
    PERSIST_FINDING_LAST = PERSIST_FINDING_VERSIONS,
};

enum persist_event_kind {
    PERSIST_EVENT_BEGAN = 1,  /* a checkpoint event is at the head of its model's lane */
    PERSIST_EVENT_UNREADABLE, /* the same, but it cannot be read */
    PERSIST_EVENT_ELAPSED,    /* the wait is over */
    PERSIST_EVENT_ANSWERED,   /* by the store */
    PERSIST_EVENT_STORED,     /* the same, to STORE: one answer for each task */
    PERSIST_EVENT_LAST = PERSIST_EVENT_STORED,
};

struct persist_answer {
    enum mr_store_outcome outcome;
    enum persist_finding finding;
};

struct persist_event {
    enum persist_event_kind kind;
    union {
        struct persist_checkpoint began;
        struct {
            struct persist_answer answer;
            /* RECORD: what was read. SAME of the spool: counter and record_hash of what ours becomes. */
            struct persist_record record;
        } answered;
        struct {
            struct persist_answer answers[PERSIST_OBJECTS]; /* where there was a task */
            struct mr_sha256 adopted;                       /* ADOPTED: the record hash of what is stored */
        } stored;
    } of;
};

/* ---- Decisions --------------------------------------------------------------------------------------- */

enum persist_decision_kind {
    PERSIST_DECISION_READ_HEAD = 1,
    PERSIST_DECISION_LIST_VERSIONS,
    PERSIST_DECISION_READ_METADATA, /* of a version in the chain */
    PERSIST_DECISION_READ_SPOOL,    /* and build what ours becomes, on the head that was read last */
    PERSIST_DECISION_STORE,         /* the tasks, side by side */
    PERSIST_DECISION_SWAP_HEAD,     /* the same bytes under the same condition each time */
    PERSIST_DECISION_WAIT,
    PERSIST_DECISION_EMIT,    /* the version event; the checkpoint is resolved, and then its spool object removed */
    PERSIST_DECISION_ABANDON, /* an alarm; the checkpoint is resolved without a version, nothing is removed */
    PERSIST_DECISION_STOP,    /* an alarm; the model stops */
    PERSIST_DECISION_REFUSE,  /* the process ends */
    PERSIST_DECISION_FAULT,   /* this event cannot happen in this state */
    PERSIST_DECISION_LAST = PERSIST_DECISION_FAULT,
};

enum persist_wait {
    PERSIST_WAIT_LOCAL_PENDING = 1, /* the store does not answer: what is here is not there yet */
    PERSIST_WAIT_OUTCOME_UNKNOWN,   /* a write was not answered, and is not to be seen: it is repeated */
    PERSIST_WAIT_NOT_FAST_FORWARD,  /* an ancestor may still come; only this model waits */
    PERSIST_WAIT_LAST = PERSIST_WAIT_NOT_FAST_FORWARD,
};
enum persist_emit { PERSIST_EMIT_COMMITTED = 1, PERSIST_EMIT_ALREADY_COMMITTED };
enum persist_abandon {
    PERSIST_ABANDON_CONFLICT_DETECTED = 1, /* the chain has passed our position with different content */
    PERSIST_ABANDON_ROLLBACK_REQUIRED, /* head is behind us and not our ancestor, nor will one come: train hydrates */
};
enum persist_stop {
    PERSIST_STOP_UNREADABLE = 1, /* the checkpoint event */
    PERSIST_STOP_HEAD_MISSING,
    PERSIST_STOP_HEAD_CORRUPT,
    PERSIST_STOP_CHAIN_BROKEN, /* a version that the chain names is missing, or is not what names it */
    PERSIST_STOP_SPOOL_MISSING,
    PERSIST_STOP_SPOOL_CORRUPT,
    PERSIST_STOP_PAYLOAD_DIFFERS, /* another checkpoint.pb stands under our version's name */
    PERSIST_STOP_HASH_DIFFERS,
    PERSIST_STOP_METADATA_DIFFERS, /* metadata of another version stands there */
    PERSIST_STOP_LAST = PERSIST_STOP_METADATA_DIFFERS,
};
enum persist_refuse { PERSIST_REFUSE_LOG_DISCONTINUITY = 1, PERSIST_REFUSE_DENIED };

struct persist_decision {
    enum persist_decision_kind kind;
    union {
        struct {
            bool and_spool; /* fetches the payload beside it, so that READ_SPOOL need not */
        } read_head;
        struct {
            enum persist_task tasks[PERSIST_OBJECTS];
        } store;
        struct {
            char version_id[PERSIST_VERSION_ID_SIZE];
            struct mr_sha256 record_hash; /* what its metadata must hash to */
        } read_metadata;
        enum persist_wait wait;
        /* ALREADY_COMMITTED: the version is the one whose metadata was read last; COMMITTED: the one that was built. */
        enum persist_emit emit;
        struct {
            enum persist_abandon why;
            struct mr_sha256 remote_hash; /* content hash of what stands there instead */
        } abandon;
        enum persist_stop stop;
        enum persist_refuse refuse;
    } of;
};

struct persist_step {
    struct persist_state next;
    struct persist_decision decision;
};

/* Total and pure: every state and event has one answer. The waits it asks for have no end but an answer. */
MR_MUST_USE struct persist_step persist_decide(const struct persist_state *state, const struct persist_event *event);

/* The names that types, log lines, metrics and events share: "NotFastForward", "ConflictDetected". */
const char *persist_decision_text(const struct persist_decision *decision);
const char *persist_state_text(enum persist_state_kind kind);
const char *persist_event_text(enum persist_event_kind kind);
const char *persist_finding_text(enum persist_finding finding);

#endif
