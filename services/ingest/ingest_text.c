#include "ingest.h"

const char *ingest_decision_text(enum ingest_decision_kind kind)
{
    switch (kind) {
    case INGEST_DECISION_ACCEPTED: return "Accepted";
    case INGEST_DECISION_EMPTY_BATCH: return "EmptyBatch";
    case INGEST_DECISION_DUPLICATE: return "Duplicate";
    case INGEST_DECISION_REJECTED: return "Rejected";
    case INGEST_DECISION_RETRY_SCHEDULED: return "RetryScheduled";
    case INGEST_DECISION_RETRY_EXHAUSTED: return "RetryExhausted";
    case INGEST_DECISION_DEAD_LETTERED: return "DeadLettered";
    }
    mr_unreachable(__func__);
}

const char *ingest_reason_text(enum ingest_reason reason)
{
    switch (reason) {
    case INGEST_REASON_EMPTY_VALUE: return "empty_value";
    case INGEST_REASON_TOO_LARGE: return "too_large";
    case INGEST_REASON_UNDECODABLE: return "undecodable";
    case INGEST_REASON_UNKNOWN_FIELD: return "unknown_field";
    case INGEST_REASON_NO_EVENT: return "no_event";
    case INGEST_REASON_BAD_ID: return "bad_id";
    case INGEST_REASON_KEY_MISMATCH: return "key_mismatch";
    case INGEST_REASON_WRONG_PARTITION: return "wrong_partition";
    case INGEST_REASON_BAD_REPLAY: return "bad_replay";
    case INGEST_REASON_BAD_SPEC: return "bad_spec";
    case INGEST_REASON_NO_PAYLOAD: return "no_payload";
    case INGEST_REASON_INLINE_TOO_LARGE: return "inline_too_large";
    case INGEST_REASON_BAD_OUTCOME: return "bad_outcome";
    case INGEST_REASON_CONFLICT: return "conflict";
    case INGEST_REASON_UNKNOWN_RUN: return "unknown_run";
    case INGEST_REASON_RUN_CLOSED: return "run_closed";
    case INGEST_REASON_JOB_MISMATCH: return "job_mismatch";
    case INGEST_REASON_TOO_MANY_MODELS: return "too_many_models";
    case INGEST_REASON_TOO_MANY_RUNS: return "too_many_runs";
    case INGEST_REASON_TOO_MANY_PRODUCERS: return "too_many_producers";
    case INGEST_REASON_TOO_MANY_REPLAYS: return "too_many_replays";
    case INGEST_REASON_OUT_OF_MEMORY: return "out_of_memory";
    }
    mr_unreachable(__func__);
}

const char *ingest_duplicate_text(enum ingest_duplicate duplicate)
{
    switch (duplicate) {
    case INGEST_DUPLICATE_SEQUENCE: return "repeated_sequence";
    case INGEST_DUPLICATE_EPOCH: return "stale_epoch";
    case INGEST_DUPLICATE_REPLAY: return "replayed_before";
    }
    mr_unreachable(__func__);
}
