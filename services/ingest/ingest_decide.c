#include "ingest.h"

static struct ingest_decision rejected(enum ingest_reason reason)
{
    return (struct ingest_decision){.kind = INGEST_DECISION_REJECTED, .of = {.reason = reason}};
}

static struct ingest_decision duplicate(enum ingest_duplicate why)
{
    return (struct ingest_decision){.kind = INGEST_DECISION_DUPLICATE, .of = {.duplicate = why}};
}

struct ingest_change ingest_change_of(const struct ingest_facts *facts)
{
    const bool replay = facts->replay == INGEST_REPLAY_NAMED;
    switch (facts->body) {
    case INGEST_BODY_RUN_STARTED: return (struct ingest_change){.opens_run = true, .remembers_replay = replay};
    case INGEST_BODY_BATCH:
        /* A replay comes out of its producer's order, so it neither obeys the sequence nor moves it. */
        return (struct ingest_change){.advances_producer = facts->of.batch.has_producer && !replay,
                                      .remembers_replay = replay};
    case INGEST_BODY_RUN_STOPPED: return (struct ingest_change){.closes_run = true, .remembers_replay = replay};
    case INGEST_BODY_NONE:
    case INGEST_BODY_TOO_LARGE:
    case INGEST_BODY_UNDECODABLE:
    case INGEST_BODY_UNKNOWN_FIELD:
    case INGEST_BODY_NO_EVENT: return (struct ingest_change){.opens_run = false};
    }
    mr_unreachable(__func__);
}

/* The last check of every acceptable record. */
static struct ingest_decision accepted(const struct ingest_view *view, const struct ingest_facts *facts)
{
    const struct ingest_change change = ingest_change_of(facts);
    if (change.remembers_replay && view->replays_full) {
        return rejected(INGEST_REASON_TOO_MANY_REPLAYS);
    }
    return (struct ingest_decision){.kind = INGEST_DECISION_ACCEPTED, .of = {.accepted = change}};
}

static struct ingest_decision when_run_started(const struct ingest_view *view, const struct ingest_facts *facts)
{
    if (!facts->of.run_started.spec_valid) {
        return rejected(INGEST_REASON_BAD_SPEC);
    }
    /* One run at a time, and a run id once in a model's life: a closed run's id is not free again. */
    if (view->another_open || view->run != INGEST_RUN_UNKNOWN) {
        return rejected(INGEST_REASON_CONFLICT);
    }
    if (view->models_full) {
        return rejected(INGEST_REASON_TOO_MANY_MODELS);
    }
    if (view->runs_full) {
        return rejected(INGEST_REASON_TOO_MANY_RUNS);
    }
    return accepted(view, facts);
}

static bool payload_of_job(enum ingest_payload payload, enum ingest_job job)
{
    switch (payload) {
    case INGEST_PAYLOAD_CONTRACTS:
    case INGEST_PAYLOAD_SOBOL_RANGE: return job == INGEST_JOB_PRICING;
    case INGEST_PAYLOAD_LABELLED: return job == INGEST_JOB_LABELLED;
    case INGEST_PAYLOAD_NONE: return false;
    }
    mr_unreachable(__func__);
}

/* Rule O7. */
static struct ingest_decision when_numbered(const struct ingest_view *view, const struct ingest_facts *facts)
{
    switch (view->producer) {
    case INGEST_PRODUCER_NEW: return accepted(view, facts);
    case INGEST_PRODUCER_NO_ROOM: return rejected(INGEST_REASON_TOO_MANY_PRODUCERS);
    case INGEST_PRODUCER_KNOWN:
        if (facts->of.batch.epoch < view->epoch) {
            return duplicate(INGEST_DUPLICATE_EPOCH);
        }
        if (facts->of.batch.epoch == view->epoch && facts->of.batch.sequence <= view->sequence) {
            return duplicate(INGEST_DUPLICATE_SEQUENCE);
        }
        return accepted(view, facts);
    }
    mr_unreachable(__func__);
}

static struct ingest_decision when_batch(const struct ingest_view *view, const struct ingest_facts *facts)
{
    if (facts->of.batch.payload == INGEST_PAYLOAD_NONE) {
        return rejected(INGEST_REASON_NO_PAYLOAD);
    }
    if (!facts->of.batch.inline_fits) {
        return rejected(INGEST_REASON_INLINE_TOO_LARGE);
    }
    switch (view->run) {
    case INGEST_RUN_UNKNOWN: return rejected(INGEST_REASON_UNKNOWN_RUN);
    case INGEST_RUN_CLOSED: return rejected(INGEST_REASON_RUN_CLOSED);
    case INGEST_RUN_OPEN:
        if (!payload_of_job(facts->of.batch.payload, view->job)) {
            return rejected(INGEST_REASON_JOB_MISMATCH);
        }
        if (facts->of.batch.empty) {
            return (struct ingest_decision){.kind = INGEST_DECISION_EMPTY_BATCH};
        }
        return ingest_change_of(facts).advances_producer ? when_numbered(view, facts) : accepted(view, facts);
    }
    mr_unreachable(__func__);
}

static struct ingest_decision when_run_stopped(const struct ingest_view *view, const struct ingest_facts *facts)
{
    if (!facts->of.run_stopped.outcome_valid) {
        return rejected(INGEST_REASON_BAD_OUTCOME);
    }
    switch (view->run) {
    case INGEST_RUN_UNKNOWN: return rejected(INGEST_REASON_UNKNOWN_RUN);
    case INGEST_RUN_CLOSED: return rejected(INGEST_REASON_RUN_CLOSED);
    case INGEST_RUN_OPEN: return accepted(view, facts);
    }
    mr_unreachable(__func__);
}

/* What all three events have to pass before they are told apart. False: *ret_decision says why not. */
static bool passes_envelope(const struct ingest_view *view, const struct ingest_facts *facts,
                            struct ingest_decision *ret_decision)
{
    if (!facts->ids_valid) {
        *ret_decision = rejected(INGEST_REASON_BAD_ID);
    } else if (!facts->key_matches) {
        *ret_decision = rejected(INGEST_REASON_KEY_MISMATCH);
    } else if (!facts->partition_matches) {
        *ret_decision = rejected(INGEST_REASON_WRONG_PARTITION);
    } else if (facts->replay == INGEST_REPLAY_MALFORMED) {
        *ret_decision = rejected(INGEST_REASON_BAD_REPLAY);
    } else if (facts->replay == INGEST_REPLAY_NAMED && view->replayed) {
        *ret_decision = duplicate(INGEST_DUPLICATE_REPLAY);
    } else {
        return true;
    }
    return false;
}

static struct ingest_decision when_submitted(const struct ingest_view *view, const struct ingest_facts *facts)
{
    struct ingest_decision refusal;
    switch (facts->body) {
    case INGEST_BODY_NONE: return rejected(INGEST_REASON_EMPTY_VALUE);
    case INGEST_BODY_TOO_LARGE: return rejected(INGEST_REASON_TOO_LARGE);
    case INGEST_BODY_UNDECODABLE: return rejected(INGEST_REASON_UNDECODABLE);
    case INGEST_BODY_UNKNOWN_FIELD: return rejected(INGEST_REASON_UNKNOWN_FIELD);
    case INGEST_BODY_NO_EVENT: return rejected(INGEST_REASON_NO_EVENT);
    case INGEST_BODY_RUN_STARTED:
        return passes_envelope(view, facts, &refusal) ? when_run_started(view, facts) : refusal;
    case INGEST_BODY_BATCH: return passes_envelope(view, facts, &refusal) ? when_batch(view, facts) : refusal;
    case INGEST_BODY_RUN_STOPPED:
        return passes_envelope(view, facts, &refusal) ? when_run_stopped(view, facts) : refusal;
    }
    mr_unreachable(__func__);
}

static struct ingest_decision when_failed(struct mr_retry_policy policy, uint32_t failed_before, uint64_t event_hash,
                                          int64_t now_ms)
{
    const struct mr_retry retry = mr_retry_decide(policy, failed_before, event_hash);
    switch (retry.kind) {
    case MR_RETRY_SCHEDULED:
        return (struct ingest_decision){
            .kind = INGEST_DECISION_RETRY_SCHEDULED,
            .of = {.retry = {.at_ms = now_ms + (int64_t)retry.wait_ms, .attempt = retry.attempt}},
        };
    case MR_RETRY_EXHAUSTED:
        return (struct ingest_decision){.kind = INGEST_DECISION_RETRY_EXHAUSTED,
                                        .of = {.reason = INGEST_REASON_OUT_OF_MEMORY}};
    }
    mr_unreachable(__func__);
}

struct ingest_decision ingest_decide(const struct ingest_view *view, const struct ingest_event *event)
{
    switch (event->kind) {
    case INGEST_EVENT_SUBMITTED: return when_submitted(view, &event->of.submitted);
    case INGEST_EVENT_FAILED:
        return when_failed(event->of.failed.policy, event->of.failed.failed_before, event->of.failed.event_hash,
                           event->of.failed.now_ms);
    case INGEST_EVENT_BURIED:
        return (struct ingest_decision){.kind = INGEST_DECISION_DEAD_LETTERED,
                                        .of = {.reason = event->of.buried.reason}};
    }
    mr_unreachable(__func__);
}
