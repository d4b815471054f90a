#include "persist.h"

static const char *wait_text(enum persist_wait wait)
{
    switch (wait) {
    case PERSIST_WAIT_LOCAL_PENDING: return "LocalPending";
    case PERSIST_WAIT_OUTCOME_UNKNOWN: return "OutcomeUnknown";
    case PERSIST_WAIT_NOT_FAST_FORWARD: return "NotFastForward";
    }
    mr_unreachable(__func__);
}

static const char *emit_text(enum persist_emit emit)
{
    switch (emit) {
    case PERSIST_EMIT_COMMITTED: return "Committed";
    case PERSIST_EMIT_ALREADY_COMMITTED: return "AlreadyCommitted";
    }
    mr_unreachable(__func__);
}

static const char *abandon_text(enum persist_abandon abandon)
{
    switch (abandon) {
    case PERSIST_ABANDON_CONFLICT_DETECTED: return "ConflictDetected";
    case PERSIST_ABANDON_ROLLBACK_REQUIRED: return "RollbackRequired";
    }
    mr_unreachable(__func__);
}

static const char *stop_text(enum persist_stop stop)
{
    switch (stop) {
    case PERSIST_STOP_UNREADABLE: return "Unreadable";
    case PERSIST_STOP_HEAD_MISSING: return "HeadMissing";
    case PERSIST_STOP_HEAD_CORRUPT: return "HeadCorrupt";
    case PERSIST_STOP_CHAIN_BROKEN: return "ChainBroken";
    case PERSIST_STOP_SPOOL_MISSING: return "SpoolMissing";
    case PERSIST_STOP_SPOOL_CORRUPT: return "SpoolCorrupt";
    case PERSIST_STOP_PAYLOAD_DIFFERS: return "PayloadDiffers";
    case PERSIST_STOP_HASH_DIFFERS: return "HashDiffers";
    case PERSIST_STOP_METADATA_DIFFERS: return "MetadataDiffers";
    }
    mr_unreachable(__func__);
}

static const char *refuse_text(enum persist_refuse refuse)
{
    switch (refuse) {
    case PERSIST_REFUSE_LOG_DISCONTINUITY: return "LogDiscontinuity";
    case PERSIST_REFUSE_DENIED: return "Denied";
    }
    mr_unreachable(__func__);
}

const char *persist_decision_text(const struct persist_decision *decision)
{
    switch (decision->kind) {
    case PERSIST_DECISION_READ_HEAD: return "read_head";
    case PERSIST_DECISION_LIST_VERSIONS: return "list_versions";
    case PERSIST_DECISION_READ_METADATA: return "read_metadata";
    case PERSIST_DECISION_READ_SPOOL: return "read_spool";
    case PERSIST_DECISION_STORE: return "store";
    case PERSIST_DECISION_SWAP_HEAD: return "swap_head";
    case PERSIST_DECISION_WAIT: return wait_text(decision->of.wait);
    case PERSIST_DECISION_EMIT: return emit_text(decision->of.emit);
    case PERSIST_DECISION_ABANDON: return abandon_text(decision->of.abandon.why);
    case PERSIST_DECISION_STOP: return stop_text(decision->of.stop);
    case PERSIST_DECISION_REFUSE: return refuse_text(decision->of.refuse);
    case PERSIST_DECISION_FAULT: return "Fault";
    }
    mr_unreachable(__func__);
}

const char *persist_state_text(enum persist_state_kind kind)
{
    switch (kind) {
    case PERSIST_STATE_IDLE: return "idle";
    case PERSIST_STATE_READING_HEAD: return "reading_head";
    case PERSIST_STATE_LISTING: return "listing";
    case PERSIST_STATE_WALKING: return "walking";
    case PERSIST_STATE_READING_SPOOL: return "reading_spool";
    case PERSIST_STATE_STORING: return "storing";
    case PERSIST_STATE_SWAPPING_HEAD: return "swapping_head";
    case PERSIST_STATE_SETTLING: return "settling";
    case PERSIST_STATE_WALKING_BACK: return "walking_back";
    case PERSIST_STATE_ENDED: return "ended";
    }
    mr_unreachable(__func__);
}

const char *persist_event_text(enum persist_event_kind kind)
{
    switch (kind) {
    case PERSIST_EVENT_BEGAN: return "began";
    case PERSIST_EVENT_UNREADABLE: return "unreadable";
    case PERSIST_EVENT_ELAPSED: return "elapsed";
    case PERSIST_EVENT_ANSWERED: return "answered";
    case PERSIST_EVENT_STORED: return "stored";
    }
    mr_unreachable(__func__);
}

const char *persist_finding_text(enum persist_finding finding)
{
    switch (finding) {
    case PERSIST_FINDING_NONE: return "none";
    case PERSIST_FINDING_RECORD: return "record";
    case PERSIST_FINDING_FOREIGN_LOG: return "foreign_log";
    case PERSIST_FINDING_BROKEN: return "broken";
    case PERSIST_FINDING_SAME: return "same";
    case PERSIST_FINDING_ADOPTED: return "adopted";
    case PERSIST_FINDING_DIFFERENT: return "different";
    case PERSIST_FINDING_NO_VERSIONS: return "no_versions";
    case PERSIST_FINDING_VERSIONS: return "versions";
    }
    mr_unreachable(__func__);
}
