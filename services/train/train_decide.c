#include "train.h"

#include <string.h>

/* ---- The fold ------------------------------------------------------------------------------------------ */

static struct train_step result(const struct train_state *next, enum train_decision_kind kind)
{
    return (struct train_step){.next = *next, .decision = {.kind = kind}};
}

static struct train_step fault(const struct train_state *state)
{
    return result(state, TRAIN_DECISION_FAULT);
}

/* Marks the checkpoint as made: whoever performs the decision cuts it from the state at this boundary. */
static struct train_step with_checkpoint(struct train_state next, enum train_decision_kind kind, bool due)
{
    if (due) {
        next.checkpointed = true;
        next.checkpoint_step = next.step;
    }
    struct train_step step = result(&next, kind);
    step.decision.checkpoint_due = due;
    return step;
}

static bool of_open_run(const struct train_state *state, const struct train_event *event)
{
    return state->run == TRAIN_RUN_OPEN && strcmp(state->run_id, event->run_id) == 0;
}

/* ingest alone judges lifecycles: a start replaces whatever was open. */
static struct train_step on_started(const struct train_state *state, const struct train_event *event)
{
    struct train_state next = {.run = TRAIN_RUN_OPENING, .plan = event->plan, .applied = state->applied + 1};
    memcpy(next.run_id, event->run_id, sizeof next.run_id);
    return result(&next, TRAIN_DECISION_OPEN_RUN);
}

static struct train_step on_batch(const struct train_state *state, const struct train_event *event)
{
    struct train_state next = *state;
    next.applied++;
    if (!of_open_run(state, event)) {
        return result(&next, TRAIN_DECISION_SKIPPED);
    }
    next.run = TRAIN_RUN_STEPPING;
    return result(&next, TRAIN_DECISION_STEP);
}

/* Rule C13: a final checkpoint of the step that has one already is not made. */
static struct train_step on_stopped(const struct train_state *state, const struct train_event *event)
{
    struct train_state next = *state;
    next.applied++;
    if (!of_open_run(state, event)) {
        return result(&next, TRAIN_DECISION_SKIPPED);
    }
    next.run = TRAIN_RUN_CLOSED;
    const bool has_it = state->checkpointed && state->checkpoint_step == state->step;
    return with_checkpoint(next, TRAIN_DECISION_RUN_CLOSED, state->plan.final && event->completed && !has_it);
}

static struct train_step on_record(const struct train_state *state, const struct train_event *event)
{
    switch (event->kind) {
    case TRAIN_EVENT_RUN_STARTED: return on_started(state, event);
    case TRAIN_EVENT_BATCH: return on_batch(state, event);
    case TRAIN_EVENT_RUN_STOPPED: return on_stopped(state, event);
    case TRAIN_EVENT_OPENED:
    case TRAIN_EVENT_REFUSED:
    case TRAIN_EVENT_STEPPED:
    case TRAIN_EVENT_DIVERGED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct train_step when_opening(const struct train_state *state, const struct train_event *event)
{
    struct train_state next = *state;
    switch (event->kind) {
    case TRAIN_EVENT_OPENED: next.run = TRAIN_RUN_OPEN; return result(&next, TRAIN_DECISION_RUN_OPENED);
    case TRAIN_EVENT_REFUSED: next.run = TRAIN_RUN_FAILED; return result(&next, TRAIN_DECISION_RUN_REFUSED);
    case TRAIN_EVENT_RUN_STARTED:
    case TRAIN_EVENT_BATCH:
    case TRAIN_EVENT_RUN_STOPPED:
    case TRAIN_EVENT_STEPPED:
    case TRAIN_EVENT_DIVERGED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct train_step when_stepping(const struct train_state *state, const struct train_event *event)
{
    struct train_state next = *state;
    switch (event->kind) {
    case TRAIN_EVENT_STEPPED: {
        next.run = TRAIN_RUN_OPEN;
        next.step++;
        const uint64_t every = state->plan.every_steps;
        return with_checkpoint(next, TRAIN_DECISION_STEPPED, every > 0 && next.step % every == 0);
    }
    case TRAIN_EVENT_DIVERGED: next.run = TRAIN_RUN_FAILED; return result(&next, TRAIN_DECISION_DIVERGED);
    case TRAIN_EVENT_RUN_STARTED:
    case TRAIN_EVENT_BATCH:
    case TRAIN_EVENT_RUN_STOPPED:
    case TRAIN_EVENT_OPENED:
    case TRAIN_EVENT_REFUSED: return fault(state);
    }
    mr_unreachable(__func__);
}

struct train_step train_decide(const struct train_state *state, const struct train_event *event)
{
    switch (state->run) {
    case TRAIN_RUN_OPENING: return when_opening(state, event);
    case TRAIN_RUN_STEPPING: return when_stepping(state, event);
    case TRAIN_RUN_NONE:
    case TRAIN_RUN_OPEN:
    case TRAIN_RUN_FAILED:
    case TRAIN_RUN_CLOSED: return on_record(state, event);
    }
    mr_unreachable(__func__);
}

/* ---- Where a model begins ------------------------------------------------------------------------------ */

enum train_start train_hydrate_decide(enum train_found found)
{
    switch (found) {
    case TRAIN_FOUND_NOTHING: return TRAIN_START_BOOTSTRAPPING;
    case TRAIN_FOUND_HEAD: return TRAIN_START_READY;
    case TRAIN_FOUND_EARLIER_LOG: return TRAIN_START_READY_IN_NEW_LOG;
    case TRAIN_FOUND_OTHER_LOG:
    case TRAIN_FOUND_BEYOND_END: return TRAIN_START_LOG_DISCONTINUITY;
    }
    mr_unreachable(__func__);
}

/* ---- Whether a record may begin ------------------------------------------------------------------------ */

enum train_gate train_gate_decide(const struct train_load *load)
{
    /* A restart looks for its source in the chain, so the chain must hold all that came before (rule C9). */
    if (load->uncommitted >= load->run_ahead || (load->opens_run && load->restarts && load->uncommitted > 0)) {
        return TRAIN_GATE_AWAIT_COMMIT;
    }
    if (load->opens_run && !load->resident && load->models >= load->models_max) {
        return TRAIN_GATE_AWAIT_ROOM;
    }
    return TRAIN_GATE_GO;
}

/* ---- Whose head it is ---------------------------------------------------------------------------------- */

enum train_head train_head_decide(const struct train_sighting *sighting)
{
    if (!sighting->some) {
        return sighting->known_before ? TRAIN_HEAD_MISSING : TRAIN_HEAD_STAYS;
    }
    if (sighting->is_produced) {
        return TRAIN_HEAD_ADVANCED;
    }
    if (sighting->is_known) {
        return TRAIN_HEAD_STAYS;
    }
    if (sighting->place_taken) {
        return TRAIN_HEAD_FENCED;
    }
    return sighting->is_overtaken ? TRAIN_HEAD_LOOK_AGAIN : TRAIN_HEAD_RESTARTED_FROM;
}
