/*
 * publish: turns trained steps into public metrics, committed versions into public versions, and shows the latest of
 * both in a view. The topics never wait for the view.
 *
 * Read this file first: it is the whole vocabulary of the service. The state is that of the view's sink; a record is
 * published whatever the state, and the state says under which name.
 */
#ifndef PUBLISH_H
#define PUBLISH_H

#include "millrace/base.h"

enum publish_sink { PUBLISH_SINK_REDIS = 1, PUBLISH_SINK_LAST = PUBLISH_SINK_REDIS };

enum publish_state_kind {
    PUBLISH_STATE_OFF = 1, /* no view is configured */
    PUBLISH_STATE_READY,   /* the sink took the last write, or was not asked yet */
    PUBLISH_STATE_WRITING, /* a write to the sink is on its way */
    PUBLISH_STATE_DOWN,    /* the last write failed */
    PUBLISH_STATE_LAST = PUBLISH_STATE_DOWN,
};

/* How often the sink is written to at most, and how long it is left alone after a failure. */
struct publish_pace {
    uint32_t interval_ms, probe_ms;
};

struct publish_state {
    enum publish_state_kind kind;
    struct publish_pace pace;
    union {
        int64_t next_ms; /* READY, DOWN: the earliest next write */
        bool was_down;   /* WRITING: this write is the probe of a sink that was down */
    } of;
};

enum publish_event_kind {
    PUBLISH_EVENT_STEP_READ = 1, /* a trained step that can be read */
    PUBLISH_EVENT_VERSION_READ,  /* a committed version that can be read */
    PUBLISH_EVENT_UNREADABLE,    /* a record of our own pipeline that cannot be read */
    PUBLISH_EVENT_TICKED,
    PUBLISH_EVENT_VIEW_WRITTEN,
    PUBLISH_EVENT_VIEW_FAILED,
    PUBLISH_EVENT_LAST = PUBLISH_EVENT_VIEW_FAILED,
};

struct publish_event {
    enum publish_event_kind kind;
    union {
        struct {
            int64_t now_ms;
            bool pending; /* the view holds something that the sink has not */
        } ticked;
        struct {
            int64_t now_ms;
        } answered; /* VIEW_WRITTEN, VIEW_FAILED */
    } of;
};

enum publish_decision_kind {
    PUBLISH_DECISION_PUBLISH_METRIC = 1, /* emit to the metrics topic, remember it for the view: "Published" */
    PUBLISH_DECISION_PUBLISH_VERSION,    /* emit to the versions topic, remember it for the view: "Published" */
    PUBLISH_DECISION_DEFER_METRIC,       /* the same, while the sink is down: "ExportDeferred" */
    PUBLISH_DECISION_DEFER_VERSION,
    PUBLISH_DECISION_WRITE_VIEW, /* hand what is pending to the sink */
    PUBLISH_DECISION_SETTLE,     /* the sink has what it was handed: "Exported" */
    PUBLISH_DECISION_KEEP,       /* it has not: all of it stays pending: "ExportDeferred" */
    PUBLISH_DECISION_WAIT,
    PUBLISH_DECISION_STOP_MODEL, /* "Unreadable": publishing nothing is better than a gap that nobody sees */
    PUBLISH_DECISION_FAULT,      /* this event cannot happen in this state */
    PUBLISH_DECISION_LAST = PUBLISH_DECISION_FAULT,
};

struct publish_decision {
    enum publish_decision_kind kind;
    enum publish_sink sink; /* DEFER_*, WRITE_VIEW, SETTLE, KEEP */
};

struct publish_step {
    struct publish_state next;
    struct publish_decision decision;
};

/* Total and pure: every (state, event) pair has one answer, and nothing else is read or written. */
MR_MUST_USE struct publish_step publish_decide(const struct publish_state *state, const struct publish_event *event);

MR_MUST_USE const char *publish_state_text(enum publish_state_kind kind);
MR_MUST_USE const char *publish_event_text(enum publish_event_kind kind);
MR_MUST_USE const char *publish_sink_text(enum publish_sink sink);
/* The name in log lines and metrics. */
MR_MUST_USE const char *publish_decision_text(enum publish_decision_kind kind);

#endif
