/* Pure: no I/O, no clock. */
#include "follow.h"

/* One below what mr_retry_decide takes for the last attempt. */
static const uint32_t failures_max = UINT32_MAX - 2;

static struct follow_step to(struct follow_state next, enum follow_state_kind kind, enum follow_decision_kind decision)
{
    next.kind = kind;
    return (struct follow_step){next, {.kind = decision}};
}

static struct follow_step fault(const struct follow_state *state)
{
    return to(*state, state->kind, FOLLOW_DECISION_FAULT);
}

/* A pinned version does not change: once it is served there is nothing to look for. */
static struct follow_step content(struct follow_state next, enum follow_decision_kind decision)
{
    next.failures = 0;
    struct follow_step step = to(next, FOLLOW_STATE_WAITING, decision);
    /* A fifth less: what is left is for loading, so that a version is served within the interval of its commit. */
    step.decision.wait_ms = next.pinned ? FOLLOW_FOR_EVER : next.poll_ms - next.poll_ms / 5;
    return step;
}

static struct follow_step again(struct follow_state next, enum follow_decision_kind decision)
{
    const struct mr_retry retry = mr_retry_decide(next.retry, next.failures, next.seed);
    next.failures += next.failures < failures_max ? 1 : 0;
    struct follow_step step = to(next, FOLLOW_STATE_WAITING, decision);
    step.decision.wait_ms = retry.wait_ms > 0 ? retry.wait_ms : 1; /* 0 would be for ever */
    return step;
}

static struct follow_step refuse(struct follow_state next, enum follow_refusal refusal)
{
    struct follow_step step = again(next, FOLLOW_DECISION_REFUSE);
    step.decision.refusal = refusal;
    return step;
}

static struct follow_step when_found(const struct follow_state *state, const struct follow_event *event)
{
    struct follow_state next = *state;
    next.found = true;
    if (!state->serves || event->counter > state->counter) {
        return to(next, FOLLOW_STATE_LOADING, FOLLOW_DECISION_LOAD);
    }
    if (event->counter < state->counter) {
        return refuse(next, FOLLOW_REFUSAL_ROLLED_BACK);
    }
    return event->same_record ? content(next, FOLLOW_DECISION_SETTLE) : refuse(next, FOLLOW_REFUSAL_FORKED);
}

static struct follow_step when_waiting(const struct follow_state *state, const struct follow_event *event)
{
    switch (event->kind) {
    case FOLLOW_EVENT_DUE: return to(*state, FOLLOW_STATE_LOOKING, FOLLOW_DECISION_LOOK);
    case FOLLOW_EVENT_FOUND:
    case FOLLOW_EVENT_LOADED:
    case FOLLOW_EVENT_FAILED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct follow_step when_looking(const struct follow_state *state, const struct follow_event *event)
{
    switch (event->kind) {
    case FOLLOW_EVENT_FOUND: return when_found(state, event);
    case FOLLOW_EVENT_FAILED: return again(*state, FOLLOW_DECISION_WAIT);
    case FOLLOW_EVENT_DUE:
    case FOLLOW_EVENT_LOADED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct follow_step when_loading(const struct follow_state *state, const struct follow_event *event)
{
    struct follow_state next = *state;
    switch (event->kind) {
    case FOLLOW_EVENT_LOADED:
        next.serves = true;
        next.counter = event->counter;
        return content(next, FOLLOW_DECISION_SERVE);
    case FOLLOW_EVENT_FAILED: return again(*state, FOLLOW_DECISION_WAIT);
    case FOLLOW_EVENT_DUE:
    case FOLLOW_EVENT_FOUND: return fault(state);
    }
    mr_unreachable(__func__);
}

struct follow_step follow_decide(const struct follow_state *state, const struct follow_event *event)
{
    switch (state->kind) {
    case FOLLOW_STATE_WAITING: return when_waiting(state, event);
    case FOLLOW_STATE_LOOKING: return when_looking(state, event);
    case FOLLOW_STATE_LOADING: return when_loading(state, event);
    }
    mr_unreachable(__func__);
}
