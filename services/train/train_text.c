#include "train.h"

const char *train_decision_text(enum train_decision_kind kind)
{
    switch (kind) {
    case TRAIN_DECISION_OPEN_RUN: return "OpenRun";
    case TRAIN_DECISION_STEP: return "Step";
    case TRAIN_DECISION_RUN_OPENED: return "RunOpened";
    case TRAIN_DECISION_RUN_REFUSED: return "RunRefused";
    case TRAIN_DECISION_STEPPED: return "Stepped";
    case TRAIN_DECISION_DIVERGED: return "Diverged";
    case TRAIN_DECISION_SKIPPED: return "Skipped";
    case TRAIN_DECISION_RUN_CLOSED: return "RunClosed";
    case TRAIN_DECISION_FAULT: return "Fault";
    }
    mr_unreachable(__func__);
}

const char *train_start_text(enum train_start start)
{
    switch (start) {
    case TRAIN_START_BOOTSTRAPPING: return "Bootstrapping";
    case TRAIN_START_READY:
    case TRAIN_START_READY_IN_NEW_LOG: return "Ready";
    case TRAIN_START_LOG_DISCONTINUITY: return "LogDiscontinuity";
    }
    mr_unreachable(__func__);
}

const char *train_gate_text(enum train_gate gate)
{
    switch (gate) {
    case TRAIN_GATE_GO: return "Go";
    case TRAIN_GATE_AWAIT_COMMIT: return "AwaitingCommit";
    case TRAIN_GATE_AWAIT_ROOM: return "AwaitingRoom";
    }
    mr_unreachable(__func__);
}

const char *train_head_text(enum train_head head)
{
    switch (head) {
    case TRAIN_HEAD_STAYS: return "HeadStays";
    case TRAIN_HEAD_ADVANCED: return "Committed";
    case TRAIN_HEAD_LOOK_AGAIN: return "HeadLookAgain";
    case TRAIN_HEAD_RESTARTED_FROM: return "RestartedFrom";
    case TRAIN_HEAD_FENCED: return "Fenced";
    case TRAIN_HEAD_MISSING: return "HeadMissing";
    }
    mr_unreachable(__func__);
}

const char *train_run_text(enum train_run run)
{
    switch (run) {
    case TRAIN_RUN_NONE: return "none";
    case TRAIN_RUN_OPENING: return "opening";
    case TRAIN_RUN_OPEN: return "open";
    case TRAIN_RUN_STEPPING: return "stepping";
    case TRAIN_RUN_FAILED: return "failed";
    case TRAIN_RUN_CLOSED: return "closed";
    }
    mr_unreachable(__func__);
}

const char *train_event_text(enum train_event_kind kind)
{
    switch (kind) {
    case TRAIN_EVENT_RUN_STARTED: return "run_started";
    case TRAIN_EVENT_BATCH: return "batch";
    case TRAIN_EVENT_RUN_STOPPED: return "run_stopped";
    case TRAIN_EVENT_OPENED: return "opened";
    case TRAIN_EVENT_REFUSED: return "refused";
    case TRAIN_EVENT_STEPPED: return "stepped";
    case TRAIN_EVENT_DIVERGED: return "diverged";
    }
    mr_unreachable(__func__);
}
