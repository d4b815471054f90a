/*
 * validate: judges what ingest accepted by its content: shapes, types, finite values, the run's domain, checksums and
 * limits. It fetches claim-checked payloads and copies them under the model, so that what it writes to
 * batches.validated is, with those copies, the model's log. Behind it nothing is ever rejected.
 *
 * Read this file first: it is the whole vocabulary of the service. docs/decisions.md says how to add a reason.
 */
#ifndef VALIDATE_H
#define VALIDATE_H

#include "millrace/retry.h"
#include "millrace/store.h"

/* Why a record ends in a dead letter. */
enum validate_reason {
    VALIDATE_REASON_UNKNOWN_RUN = 1,
    VALIDATE_REASON_RUN_CLOSED,
    VALIDATE_REASON_BAD_SPEC,
    VALIDATE_REASON_JOB_MISMATCH,
    VALIDATE_REASON_DTYPE_INCOMPATIBLE,
    VALIDATE_REASON_SHAPE_MISMATCH,
    VALIDATE_REASON_TOO_LARGE,
    VALIDATE_REASON_SOBOL_OUT_OF_RANGE,
    VALIDATE_REASON_UNSUPPORTED_CLAIM,
    VALIDATE_REASON_CLAIM_MISSING,
    VALIDATE_REASON_CLAIM_SIZE_MISMATCH,
    VALIDATE_REASON_CHECKSUM_MISMATCH,
    VALIDATE_REASON_NON_FINITE,
    VALIDATE_REASON_OUT_OF_DOMAIN,
    VALIDATE_REASON_CLAIM_UNREADABLE, /* five attempts could not read it */
    VALIDATE_REASON_COPY_CORRUPT,     /* five attempts found something else under the copy's key */
    VALIDATE_REASON_OUT_OF_MEMORY,    /* five attempts found no memory for it */
    VALIDATE_REASON_LAST = VALIDATE_REASON_OUT_OF_MEMORY,
};

/* ---- Precision: a decision of its own ------------------------------------------------------------------------ */

enum validate_policy {
    VALIDATE_POLICY_KEEP = 1,
    VALIDATE_POLICY_CAST_TO_BFLOAT16,
    VALIDATE_POLICY_LAST = VALIDATE_POLICY_CAST_TO_BFLOAT16,
};

/* Of all tensors of a batch together. */
enum validate_dtype {
    VALIDATE_DTYPE_NONE = 1, /* a range: no tensors */
    VALIDATE_DTYPE_FLOAT32,
    VALIDATE_DTYPE_OTHER,   /* a known type that no engine computes in */
    VALIDATE_DTYPE_UNKNOWN, /* none, or one that this build does not know */
    VALIDATE_DTYPE_LAST = VALIDATE_DTYPE_UNKNOWN,
};

enum validate_precision_kind {
    VALIDATE_PRECISION_KEEP = 1,
    VALIDATE_PRECISION_CAST_TO_BFLOAT16,
    VALIDATE_PRECISION_REJECT_DTYPE,
    VALIDATE_PRECISION_LAST = VALIDATE_PRECISION_REJECT_DTYPE,
};

enum validate_precision_reason {
    VALIDATE_PRECISION_REASON_NONE = 1,      /* kept */
    VALIDATE_PRECISION_REASON_DTYPE_POLICY,  /* cast, because the run's spec says so */
    VALIDATE_PRECISION_REASON_NOT_FLOAT32,   /* rejected: nothing is ever widened or narrowed unasked */
    VALIDATE_PRECISION_REASON_UNKNOWN_DTYPE, /* rejected */
    VALIDATE_PRECISION_REASON_LAST = VALIDATE_PRECISION_REASON_UNKNOWN_DTYPE,
};

struct validate_precision {
    enum validate_precision_kind kind;
    enum validate_precision_reason reason;
};
MR_MUST_USE struct validate_precision validate_precision_decide(enum validate_policy policy, enum validate_dtype dtype);

/* ---- The event ------------------------------------------------------------------------------------------------- */

enum validate_body {
    VALIDATE_BODY_RUN_STARTED = 1,
    VALIDATE_BODY_BATCH,
    VALIDATE_BODY_RUN_STOPPED,
    VALIDATE_BODY_LAST = VALIDATE_BODY_RUN_STOPPED,
};

/* The run that a record names, as far as this stage has validated it. */
enum validate_run {
    VALIDATE_RUN_UNKNOWN = 1, /* its start never came through */
    VALIDATE_RUN_OPEN,
    VALIDATE_RUN_CLOSED,
    VALIDATE_RUN_LAST = VALIDATE_RUN_CLOSED,
};

/* What a batch says of itself, against its run's spec. */
enum validate_shape {
    VALIDATE_SHAPE_FITS = 1,
    VALIDATE_SHAPE_OTHER_JOB, /* not a payload of this run's job */
    VALIDATE_SHAPE_MISMATCH,
    VALIDATE_SHAPE_DTYPE,
    VALIDATE_SHAPE_OVER_LIMIT,
    VALIDATE_SHAPE_BEYOND_SEQUENCE, /* a range that ends behind the last Sobol point */
    VALIDATE_SHAPE_LAST = VALIDATE_SHAPE_BEYOND_SEQUENCE,
};

enum validate_claims {
    VALIDATE_CLAIMS_NONE = 1, /* all payload is inline */
    VALIDATE_CLAIMS_FETCHABLE,
    VALIDATE_CLAIMS_UNSUPPORTED, /* one has a URI that this build cannot fetch */
    VALIDATE_CLAIMS_LAST = VALIDATE_CLAIMS_UNSUPPORTED,
};

enum { VALIDATE_FIELD_SIZE = 32 };
/* The first value that is wrong. */
struct validate_place {
    uint64_t row;
    char field[VALIDATE_FIELD_SIZE]; /* "K", "features[3]" */
};
enum validate_values {
    VALIDATE_VALUES_GOOD = 1,
    VALIDATE_VALUES_NON_FINITE,
    VALIDATE_VALUES_OUT_OF_DOMAIN,
    VALIDATE_VALUES_LAST = VALIDATE_VALUES_OUT_OF_DOMAIN,
};

struct validate_facts {
    enum validate_body body;
    enum validate_run run;
    union {
        struct {
            bool spec_valid;
        } run_started;
        struct { /* looked at if the run is open */
            enum validate_shape shape;
            enum validate_policy policy;
            enum validate_dtype dtype;
            enum validate_claims claims;
            bool checksums_match;        /* of inline data that comes with one */
            enum validate_values values; /* if the shape fits and there are no claims */
            struct validate_place place; /* if they are bad */
        } batch;
    } of;
};

/* How fetching, checking and copying a batch's claims went. */
enum validate_fetched {
    VALIDATE_FETCHED_COPIED = 1,
    VALIDATE_FETCHED_MISSING,
    VALIDATE_FETCHED_NOT_A_FILE,
    VALIDATE_FETCHED_SIZE_MISMATCH,
    VALIDATE_FETCHED_CHECKSUM_MISMATCH,
    VALIDATE_FETCHED_NON_FINITE,
    VALIDATE_FETCHED_OUT_OF_DOMAIN,
    VALIDATE_FETCHED_UNREADABLE,   /* this claim alone: access, a bad disk */
    VALIDATE_FETCHED_COPY_CORRUPT, /* the copy's key holds another size */
    VALIDATE_FETCHED_OUT_OF_MEMORY,
    VALIDATE_FETCHED_STORE_DOWN,
    VALIDATE_FETCHED_LAST = VALIDATE_FETCHED_STORE_DOWN,
};

/* What the next attempt's time depends on. */
struct validate_attempt {
    struct mr_retry_policy policy;
    uint32_t failed_before;
    uint64_t event_hash;
    int64_t now_ms;
};

enum validate_event_kind {
    VALIDATE_EVENT_RECORD = 1, /* a record is at the head of its lane */
    VALIDATE_EVENT_FETCHED,
    VALIDATE_EVENT_PROBED, /* the store may be back */
    VALIDATE_EVENT_FAILED, /* no memory to go on with this record */
    VALIDATE_EVENT_BURIED, /* its dead letter is acknowledged */
    VALIDATE_EVENT_LAST = VALIDATE_EVENT_BURIED,
};

struct validate_event {
    enum validate_event_kind kind;
    union {
        struct validate_facts record;
        struct {
            enum validate_fetched outcome;
            struct validate_place place; /* NON_FINITE, OUT_OF_DOMAIN */
            struct validate_attempt attempt;
        } fetched;
        struct {
            struct validate_attempt attempt;
        } failed;
    } of;
};

/* ---- State and decision ----------------------------------------------------------------------------------------- */

/* Of one record on its way. */
enum validate_state_kind {
    VALIDATE_STATE_READY = 1, /* not judged yet */
    VALIDATE_STATE_FETCHING,  /* a worker fetches, checks and copies its claims */
    VALIDATE_STATE_WAITING,   /* for the store */
    VALIDATE_STATE_BURYING,   /* its dead letter is on its way */
    VALIDATE_STATE_DONE,
    VALIDATE_STATE_LAST = VALIDATE_STATE_DONE,
};

struct validate_state {
    enum validate_state_kind kind;
    enum validate_reason reason;         /* BURYING */
    struct validate_precision precision; /* FETCHING, WAITING: what the payload is checked and used under */
};

enum validate_decision_kind {
    VALIDATE_DECISION_VALIDATED = 1,
    VALIDATE_DECISION_FETCH, /* the claims */
    VALIDATE_DECISION_STORE_DOWN,
    VALIDATE_DECISION_OUT_OF_DOMAIN,
    VALIDATE_DECISION_NON_FINITE,
    VALIDATE_DECISION_SHAPE_MISMATCH,
    VALIDATE_DECISION_DTYPE_INCOMPATIBLE,
    VALIDATE_DECISION_CHECKSUM_MISMATCH,
    VALIDATE_DECISION_UNKNOWN_RUN,
    VALIDATE_DECISION_RUN_CLOSED,
    VALIDATE_DECISION_REJECTED, /* for a reason without a name of its own here */
    VALIDATE_DECISION_RETRY_SCHEDULED,
    VALIDATE_DECISION_RETRY_EXHAUSTED,
    VALIDATE_DECISION_DEAD_LETTERED,
    VALIDATE_DECISION_FAULT, /* this event cannot happen in this state */
    VALIDATE_DECISION_LAST = VALIDATE_DECISION_FAULT,
};

struct validate_decision {
    enum validate_decision_kind kind;
    enum validate_reason reason; /* of every kind that ends in a dead letter, and DEAD_LETTERED */
    union {
        struct validate_precision precision; /* VALIDATED, FETCH, DTYPE_INCOMPATIBLE: of a batch */
        struct validate_place place;         /* OUT_OF_DOMAIN, NON_FINITE */
        struct {
            int64_t at_ms;
            uint32_t attempt;
        } retry;
    } of;
};

struct validate_step {
    struct validate_state next;
    struct validate_decision decision;
};

/* Total and pure: every (state, event) has one answer. */
MR_MUST_USE struct validate_step validate_decide(const struct validate_state *state,
                                                 const struct validate_event *event);

/* ---- Copying a payload ------------------------------------------------------------------------------------------- */

enum validate_copy {
    VALIDATE_COPY_STORED = 1,
    VALIDATE_COPY_READ_BACK, /* nobody knows yet: look */
    VALIDATE_COPY_CORRUPT,   /* something of another size is there */
    VALIDATE_COPY_DOWN,      /* nothing is known to be there: the store is asked again later */
    VALIDATE_COPY_LAST = VALIDATE_COPY_DOWN,
};
/* After put-if-absent. */
MR_MUST_USE enum validate_copy validate_copy_after_put(enum mr_store_outcome put);
/* After reading back. `size_equal` counts when DONE. */
MR_MUST_USE enum validate_copy validate_copy_after_head(enum mr_store_outcome head, bool size_equal);

/* "OutOfDomain": the names that logs, metrics and events share. */
MR_MUST_USE const char *validate_decision_text(enum validate_decision_kind kind);
MR_MUST_USE const char *validate_state_text(enum validate_state_kind kind);
MR_MUST_USE const char *validate_event_text(enum validate_event_kind kind);
/* "out_of_domain": mr_dlq_reason. */
MR_MUST_USE const char *validate_reason_text(enum validate_reason reason);
/* "KeepPrecision" */
MR_MUST_USE const char *validate_precision_text(enum validate_precision_kind kind);
MR_MUST_USE const char *validate_precision_reason_text(enum validate_precision_reason reason);

#endif
