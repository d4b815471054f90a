#include "validate.h"

const char *validate_decision_text(enum validate_decision_kind kind)
{
    switch (kind) {
    case VALIDATE_DECISION_VALIDATED: return "Validated";
    case VALIDATE_DECISION_FETCH: return "FetchClaims";
    case VALIDATE_DECISION_STORE_DOWN: return "StoreDown";
    case VALIDATE_DECISION_OUT_OF_DOMAIN: return "OutOfDomain";
    case VALIDATE_DECISION_NON_FINITE: return "NonFinite";
    case VALIDATE_DECISION_SHAPE_MISMATCH: return "ShapeMismatch";
    case VALIDATE_DECISION_DTYPE_INCOMPATIBLE: return "DtypeIncompatible";
    case VALIDATE_DECISION_CHECKSUM_MISMATCH: return "ChecksumMismatch";
    case VALIDATE_DECISION_UNKNOWN_RUN: return "UnknownRun";
    case VALIDATE_DECISION_RUN_CLOSED: return "RunClosed";
    case VALIDATE_DECISION_REJECTED: return "Rejected";
    case VALIDATE_DECISION_RETRY_SCHEDULED: return "RetryScheduled";
    case VALIDATE_DECISION_RETRY_EXHAUSTED: return "RetryExhausted";
    case VALIDATE_DECISION_DEAD_LETTERED: return "DeadLettered";
    case VALIDATE_DECISION_FAULT: return "Fault";
    }
    mr_unreachable(__func__);
}

const char *validate_state_text(enum validate_state_kind kind)
{
    switch (kind) {
    case VALIDATE_STATE_READY: return "ready";
    case VALIDATE_STATE_FETCHING: return "fetching";
    case VALIDATE_STATE_WAITING: return "waiting";
    case VALIDATE_STATE_BURYING: return "burying";
    case VALIDATE_STATE_DONE: return "done";
    }
    mr_unreachable(__func__);
}

const char *validate_event_text(enum validate_event_kind kind)
{
    switch (kind) {
    case VALIDATE_EVENT_RECORD: return "record";
    case VALIDATE_EVENT_FETCHED: return "fetched";
    case VALIDATE_EVENT_PROBED: return "probed";
    case VALIDATE_EVENT_FAILED: return "failed";
    case VALIDATE_EVENT_BURIED: return "buried";
    }
    mr_unreachable(__func__);
}

const char *validate_reason_text(enum validate_reason reason)
{
    switch (reason) {
    case VALIDATE_REASON_UNKNOWN_RUN: return "unknown_run";
    case VALIDATE_REASON_RUN_CLOSED: return "run_closed";
    case VALIDATE_REASON_BAD_SPEC: return "bad_spec";
    case VALIDATE_REASON_JOB_MISMATCH: return "job_mismatch";
    case VALIDATE_REASON_DTYPE_INCOMPATIBLE: return "dtype_incompatible";
    case VALIDATE_REASON_SHAPE_MISMATCH: return "shape_mismatch";
    case VALIDATE_REASON_TOO_LARGE: return "too_large";
    case VALIDATE_REASON_SOBOL_OUT_OF_RANGE: return "sobol_out_of_range";
    case VALIDATE_REASON_UNSUPPORTED_CLAIM: return "unsupported_claim";
    case VALIDATE_REASON_CLAIM_MISSING: return "claim_missing";
    case VALIDATE_REASON_CLAIM_SIZE_MISMATCH: return "claim_size_mismatch";
    case VALIDATE_REASON_CHECKSUM_MISMATCH: return "checksum_mismatch";
    case VALIDATE_REASON_NON_FINITE: return "non_finite";
    case VALIDATE_REASON_OUT_OF_DOMAIN: return "out_of_domain";
    case VALIDATE_REASON_CLAIM_UNREADABLE: return "claim_unreadable";
    case VALIDATE_REASON_COPY_CORRUPT: return "copy_corrupt";
    case VALIDATE_REASON_OUT_OF_MEMORY: return "out_of_memory";
    }
    mr_unreachable(__func__);
}

const char *validate_precision_text(enum validate_precision_kind kind)
{
    switch (kind) {
    case VALIDATE_PRECISION_KEEP: return "KeepPrecision";
    case VALIDATE_PRECISION_CAST_TO_BFLOAT16: return "CastToBfloat16";
    case VALIDATE_PRECISION_REJECT_DTYPE: return "RejectDtype";
    }
    mr_unreachable(__func__);
}

const char *validate_precision_reason_text(enum validate_precision_reason reason)
{
    switch (reason) {
    case VALIDATE_PRECISION_REASON_NONE: return "as_sent";
    case VALIDATE_PRECISION_REASON_DTYPE_POLICY: return "dtype_policy";
    case VALIDATE_PRECISION_REASON_NOT_FLOAT32: return "not_float32";
    case VALIDATE_PRECISION_REASON_UNKNOWN_DTYPE: return "unknown_dtype";
    }
    mr_unreachable(__func__);
}
