#include "publish.h"

const char *publish_state_text(enum publish_state_kind kind)
{
    switch (kind) {
    case PUBLISH_STATE_OFF: return "off";
    case PUBLISH_STATE_READY: return "ready";
    case PUBLISH_STATE_WRITING: return "writing";
    case PUBLISH_STATE_DOWN: return "down";
    }
    mr_unreachable(__func__);
}

const char *publish_event_text(enum publish_event_kind kind)
{
    switch (kind) {
    case PUBLISH_EVENT_STEP_READ: return "step_read";
    case PUBLISH_EVENT_VERSION_READ: return "version_read";
    case PUBLISH_EVENT_UNREADABLE: return "unreadable";
    case PUBLISH_EVENT_TICKED: return "ticked";
    case PUBLISH_EVENT_VIEW_WRITTEN: return "view_written";
    case PUBLISH_EVENT_VIEW_FAILED: return "view_failed";
    }
    mr_unreachable(__func__);
}

const char *publish_sink_text(enum publish_sink sink)
{
    switch (sink) {
    case PUBLISH_SINK_REDIS: return "redis";
    }
    mr_unreachable(__func__);
}

const char *publish_decision_text(enum publish_decision_kind kind)
{
    switch (kind) {
    case PUBLISH_DECISION_PUBLISH_METRIC:
    case PUBLISH_DECISION_PUBLISH_VERSION: return "Published";
    case PUBLISH_DECISION_DEFER_METRIC:
    case PUBLISH_DECISION_DEFER_VERSION:
    case PUBLISH_DECISION_KEEP: return "ExportDeferred";
    case PUBLISH_DECISION_WRITE_VIEW: return "Exporting";
    case PUBLISH_DECISION_SETTLE: return "Exported";
    case PUBLISH_DECISION_WAIT: return "Waiting";
    case PUBLISH_DECISION_STOP_MODEL: return "Unreadable";
    case PUBLISH_DECISION_FAULT: return "Fault";
    }
    mr_unreachable(__func__);
}
