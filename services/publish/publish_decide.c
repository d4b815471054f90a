#include "publish.h"

static struct publish_step decided(struct publish_state next, enum publish_decision_kind kind)
{
    return (struct publish_step){.next = next, .decision = {.kind = kind, .sink = PUBLISH_SINK_REDIS}};
}

static struct publish_step fault(const struct publish_state *state)
{
    return decided(*state, PUBLISH_DECISION_FAULT);
}

static struct publish_state until(const struct publish_state *state, enum publish_state_kind kind, int64_t next_ms)
{
    return (struct publish_state){.kind = kind, .pace = state->pace, .of = {.next_ms = next_ms}};
}

static struct publish_step write_when_due(const struct publish_state *state, const struct publish_event *event,
                                          bool was_down)
{
    if (!event->of.ticked.pending || event->of.ticked.now_ms < state->of.next_ms) {
        return decided(*state, PUBLISH_DECISION_WAIT);
    }
    const struct publish_state writing = {
        .kind = PUBLISH_STATE_WRITING, .pace = state->pace, .of = {.was_down = was_down}};
    return decided(writing, PUBLISH_DECISION_WRITE_VIEW);
}

static struct publish_step when_off(const struct publish_state *state, const struct publish_event *event)
{
    switch (event->kind) {
    case PUBLISH_EVENT_STEP_READ: return decided(*state, PUBLISH_DECISION_PUBLISH_METRIC);
    case PUBLISH_EVENT_VERSION_READ: return decided(*state, PUBLISH_DECISION_PUBLISH_VERSION);
    case PUBLISH_EVENT_UNREADABLE: return decided(*state, PUBLISH_DECISION_STOP_MODEL);
    case PUBLISH_EVENT_TICKED: return decided(*state, PUBLISH_DECISION_WAIT);
    case PUBLISH_EVENT_VIEW_WRITTEN:
    case PUBLISH_EVENT_VIEW_FAILED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct publish_step when_ready(const struct publish_state *state, const struct publish_event *event)
{
    switch (event->kind) {
    case PUBLISH_EVENT_STEP_READ: return decided(*state, PUBLISH_DECISION_PUBLISH_METRIC);
    case PUBLISH_EVENT_VERSION_READ: return decided(*state, PUBLISH_DECISION_PUBLISH_VERSION);
    case PUBLISH_EVENT_UNREADABLE: return decided(*state, PUBLISH_DECISION_STOP_MODEL);
    case PUBLISH_EVENT_TICKED: return write_when_due(state, event, false);
    case PUBLISH_EVENT_VIEW_WRITTEN:
    case PUBLISH_EVENT_VIEW_FAILED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct publish_step when_writing(const struct publish_state *state, const struct publish_event *event)
{
    const bool was_down = state->of.was_down;

    switch (event->kind) {
    case PUBLISH_EVENT_STEP_READ:
        return decided(*state, was_down ? PUBLISH_DECISION_DEFER_METRIC : PUBLISH_DECISION_PUBLISH_METRIC);
    case PUBLISH_EVENT_VERSION_READ:
        return decided(*state, was_down ? PUBLISH_DECISION_DEFER_VERSION : PUBLISH_DECISION_PUBLISH_VERSION);
    case PUBLISH_EVENT_UNREADABLE: return decided(*state, PUBLISH_DECISION_STOP_MODEL);
    case PUBLISH_EVENT_TICKED: return decided(*state, PUBLISH_DECISION_WAIT);
    case PUBLISH_EVENT_VIEW_WRITTEN:
        return decided(until(state, PUBLISH_STATE_READY, event->of.answered.now_ms + state->pace.interval_ms),
                       PUBLISH_DECISION_SETTLE);
    case PUBLISH_EVENT_VIEW_FAILED:
        return decided(until(state, PUBLISH_STATE_DOWN, event->of.answered.now_ms + state->pace.probe_ms),
                       PUBLISH_DECISION_KEEP);
    }
    mr_unreachable(__func__);
}

static struct publish_step when_down(const struct publish_state *state, const struct publish_event *event)
{
    switch (event->kind) {
    case PUBLISH_EVENT_STEP_READ: return decided(*state, PUBLISH_DECISION_DEFER_METRIC);
    case PUBLISH_EVENT_VERSION_READ: return decided(*state, PUBLISH_DECISION_DEFER_VERSION);
    case PUBLISH_EVENT_UNREADABLE: return decided(*state, PUBLISH_DECISION_STOP_MODEL);
    case PUBLISH_EVENT_TICKED: return write_when_due(state, event, true);
    case PUBLISH_EVENT_VIEW_WRITTEN:
    case PUBLISH_EVENT_VIEW_FAILED: return fault(state);
    }
    mr_unreachable(__func__);
}

struct publish_step publish_decide(const struct publish_state *state, const struct publish_event *event)
{
    switch (state->kind) {
    case PUBLISH_STATE_OFF: return when_off(state, event);
    case PUBLISH_STATE_READY: return when_ready(state, event);
    case PUBLISH_STATE_WRITING: return when_writing(state, event);
    case PUBLISH_STATE_DOWN: return when_down(state, event);
    }
    mr_unreachable(__func__);
}
