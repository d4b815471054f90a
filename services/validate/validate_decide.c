#include "validate.h"

static struct validate_step settle(struct validate_decision decision)
{
    return (struct validate_step){.next = {.kind = VALIDATE_STATE_DONE}, .decision = decision};
}

static struct validate_step bury(struct validate_decision decision)
{
    return (struct validate_step){.next = {.kind = VALIDATE_STATE_BURYING, .reason = decision.reason},
                                  .decision = decision};
}

static struct validate_step refuse(enum validate_decision_kind kind, enum validate_reason reason)
{
    return bury((struct validate_decision){.kind = kind, .reason = reason});
}

static struct validate_step fault(const struct validate_state *state)
{
    return (struct validate_step){.next = *state, .decision = {.kind = VALIDATE_DECISION_FAULT}};
}

static struct validate_step fail(enum validate_reason reason, const struct validate_attempt *attempt)
{
    const struct mr_retry retry = mr_retry_decide(attempt->policy, attempt->failed_before, attempt->event_hash);
    switch (retry.kind) {
    case MR_RETRY_SCHEDULED:
        return settle((struct validate_decision){
            .kind = VALIDATE_DECISION_RETRY_SCHEDULED,
            .reason = reason,
            .of = {.retry = {.at_ms = attempt->now_ms + (int64_t)retry.wait_ms, .attempt = retry.attempt}},
        });
    case MR_RETRY_EXHAUSTED: return refuse(VALIDATE_DECISION_RETRY_EXHAUSTED, reason);
    }
    mr_unreachable(__func__);
}

/* ---- Precision ----------------------------------------------------------------------------------------------------
 */

struct validate_precision validate_precision_decide(enum validate_policy policy, enum validate_dtype dtype)
{
    const struct validate_precision keep = {VALIDATE_PRECISION_KEEP, VALIDATE_PRECISION_REASON_NONE};
    switch (dtype) {
    case VALIDATE_DTYPE_NONE: return keep;
    case VALIDATE_DTYPE_OTHER:
        return (struct validate_precision){VALIDATE_PRECISION_REJECT_DTYPE, VALIDATE_PRECISION_REASON_NOT_FLOAT32};
    case VALIDATE_DTYPE_UNKNOWN:
        return (struct validate_precision){VALIDATE_PRECISION_REJECT_DTYPE, VALIDATE_PRECISION_REASON_UNKNOWN_DTYPE};
    case VALIDATE_DTYPE_FLOAT32:
        switch (policy) {
        case VALIDATE_POLICY_KEEP: return keep;
        case VALIDATE_POLICY_CAST_TO_BFLOAT16:
            return (struct validate_precision){VALIDATE_PRECISION_CAST_TO_BFLOAT16,
                                               VALIDATE_PRECISION_REASON_DTYPE_POLICY};
        }
        mr_unreachable(__func__);
    }
    mr_unreachable(__func__);
}

/* ---- A record ------------------------------------------------------------------------------------------------------
 */

static struct validate_step validated(struct validate_precision precision)
{
    return settle((struct validate_decision){.kind = VALIDATE_DECISION_VALIDATED, .of = {.precision = precision}});
}

static struct validate_step non_finite(const struct validate_place *place)
{
    return bury((struct validate_decision){
        .kind = VALIDATE_DECISION_NON_FINITE, .reason = VALIDATE_REASON_NON_FINITE, .of = {.place = *place}});
}

static struct validate_step out_of_domain(const struct validate_place *place)
{
    return bury((struct validate_decision){
        .kind = VALIDATE_DECISION_OUT_OF_DOMAIN, .reason = VALIDATE_REASON_OUT_OF_DOMAIN, .of = {.place = *place}});
}

/* A worker fetches what the claims name; the precision is kept for its answer. */
static struct validate_step fetch(struct validate_precision precision)
{
    return (struct validate_step){
        .next = {.kind = VALIDATE_STATE_FETCHING, .precision = precision},
        .decision = {.kind = VALIDATE_DECISION_FETCH, .of = {.precision = precision}},
    };
}

static struct validate_step when_inline(const struct validate_facts *facts, struct validate_precision precision)
{
    switch (facts->of.batch.values) {
    case VALIDATE_VALUES_GOOD: return validated(precision);
    case VALIDATE_VALUES_NON_FINITE: return non_finite(&facts->of.batch.place);
    case VALIDATE_VALUES_OUT_OF_DOMAIN: return out_of_domain(&facts->of.batch.place);
    }
    mr_unreachable(__func__);
}

static struct validate_step when_shape_fits(const struct validate_facts *facts, struct validate_precision precision)
{
    if (!facts->of.batch.checksums_match) {
        return refuse(VALIDATE_DECISION_CHECKSUM_MISMATCH, VALIDATE_REASON_CHECKSUM_MISMATCH);
    }
    switch (facts->of.batch.claims) {
    case VALIDATE_CLAIMS_NONE: return when_inline(facts, precision);
    case VALIDATE_CLAIMS_UNSUPPORTED: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_UNSUPPORTED_CLAIM);
    case VALIDATE_CLAIMS_FETCHABLE: return fetch(precision);
    }
    mr_unreachable(__func__);
}

static struct validate_step wrong_dtype(struct validate_precision precision)
{
    return bury((struct validate_decision){.kind = VALIDATE_DECISION_DTYPE_INCOMPATIBLE,
                                           .reason = VALIDATE_REASON_DTYPE_INCOMPATIBLE,
                                           .of = {.precision = precision}});
}

static struct validate_step when_batch_of_open_run(const struct validate_facts *facts)
{
    const struct validate_precision precision =
        validate_precision_decide(facts->of.batch.policy, facts->of.batch.dtype);
    if (facts->of.batch.shape == VALIDATE_SHAPE_OTHER_JOB) {
        return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_JOB_MISMATCH);
    }
    /* Before the shape: bytes of another type never fill a shape of float32. */
    if (precision.kind == VALIDATE_PRECISION_REJECT_DTYPE) {
        return wrong_dtype(precision);
    }
    switch (facts->of.batch.shape) {
    case VALIDATE_SHAPE_FITS: return when_shape_fits(facts, precision);
    case VALIDATE_SHAPE_DTYPE: return wrong_dtype(precision);
    case VALIDATE_SHAPE_MISMATCH: return refuse(VALIDATE_DECISION_SHAPE_MISMATCH, VALIDATE_REASON_SHAPE_MISMATCH);
    case VALIDATE_SHAPE_OVER_LIMIT: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_TOO_LARGE);
    case VALIDATE_SHAPE_BEYOND_SEQUENCE: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_SOBOL_OUT_OF_RANGE);
    case VALIDATE_SHAPE_OTHER_JOB: break;
    }
    mr_unreachable(__func__);
}

/* A start or a stop has no values. */
static struct validate_step passed_on(void)
{
    return validated((struct validate_precision){VALIDATE_PRECISION_KEEP, VALIDATE_PRECISION_REASON_NONE});
}

/* Ingest has judged the run's life: a start replaces whatever was open, and the rest is taken as it came. */
static struct validate_step when_record(const struct validate_facts *facts)
{
    if (facts->body == VALIDATE_BODY_RUN_STARTED) {
        return facts->of.run_started.spec_valid ? passed_on()
                                                : refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_BAD_SPEC);
    }
    switch (facts->run) {
    case VALIDATE_RUN_UNKNOWN: return refuse(VALIDATE_DECISION_UNKNOWN_RUN, VALIDATE_REASON_UNKNOWN_RUN);
    case VALIDATE_RUN_CLOSED: return refuse(VALIDATE_DECISION_RUN_CLOSED, VALIDATE_REASON_RUN_CLOSED);
    case VALIDATE_RUN_OPEN:
        return facts->body == VALIDATE_BODY_RUN_STOPPED ? passed_on() : when_batch_of_open_run(facts);
    }
    mr_unreachable(__func__);
}

/* ---- Claims
 * ---------------------------------------------------------------------------------------------------------- */

static struct validate_step when_fetched(const struct validate_state *state, const struct validate_event *event)
{
    const struct validate_attempt *attempt = &event->of.fetched.attempt;
    switch (event->of.fetched.outcome) {
    case VALIDATE_FETCHED_COPIED: return validated(state->precision);
    case VALIDATE_FETCHED_MISSING: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_CLAIM_MISSING);
    case VALIDATE_FETCHED_NOT_A_FILE: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_UNSUPPORTED_CLAIM);
    case VALIDATE_FETCHED_SIZE_MISMATCH: return refuse(VALIDATE_DECISION_REJECTED, VALIDATE_REASON_CLAIM_SIZE_MISMATCH);
    case VALIDATE_FETCHED_CHECKSUM_MISMATCH:
        return refuse(VALIDATE_DECISION_CHECKSUM_MISMATCH, VALIDATE_REASON_CHECKSUM_MISMATCH);
    case VALIDATE_FETCHED_NON_FINITE: return non_finite(&event->of.fetched.place);
    case VALIDATE_FETCHED_OUT_OF_DOMAIN: return out_of_domain(&event->of.fetched.place);
    case VALIDATE_FETCHED_UNREADABLE: return fail(VALIDATE_REASON_CLAIM_UNREADABLE, attempt);
    case VALIDATE_FETCHED_COPY_CORRUPT: return fail(VALIDATE_REASON_COPY_CORRUPT, attempt);
    case VALIDATE_FETCHED_OUT_OF_MEMORY: return fail(VALIDATE_REASON_OUT_OF_MEMORY, attempt);
    case VALIDATE_FETCHED_STORE_DOWN: /* no attempt is spent: it is not this record's failure (rule R1) */
        return (struct validate_step){.next = {.kind = VALIDATE_STATE_WAITING, .precision = state->precision},
                                      .decision = {.kind = VALIDATE_DECISION_STORE_DOWN}};
    }
    mr_unreachable(__func__);
}

/* ---- The machine ---------------------------------------------------------------------------------------------------
 */

static struct validate_step when_ready(const struct validate_state *state, const struct validate_event *event)
{
    switch (event->kind) {
    case VALIDATE_EVENT_RECORD: return when_record(&event->of.record);
    case VALIDATE_EVENT_FAILED: return fail(VALIDATE_REASON_OUT_OF_MEMORY, &event->of.failed.attempt);
    case VALIDATE_EVENT_FETCHED:
    case VALIDATE_EVENT_PROBED:
    case VALIDATE_EVENT_BURIED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct validate_step when_fetching(const struct validate_state *state, const struct validate_event *event)
{
    switch (event->kind) {
    case VALIDATE_EVENT_FETCHED: return when_fetched(state, event);
    case VALIDATE_EVENT_FAILED: return fail(VALIDATE_REASON_OUT_OF_MEMORY, &event->of.failed.attempt);
    case VALIDATE_EVENT_RECORD:
    case VALIDATE_EVENT_PROBED:
    case VALIDATE_EVENT_BURIED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct validate_step when_waiting(const struct validate_state *state, const struct validate_event *event)
{
    switch (event->kind) {
    case VALIDATE_EVENT_PROBED: return fetch(state->precision);
    case VALIDATE_EVENT_FAILED: return fail(VALIDATE_REASON_OUT_OF_MEMORY, &event->of.failed.attempt);
    case VALIDATE_EVENT_RECORD:
    case VALIDATE_EVENT_FETCHED:
    case VALIDATE_EVENT_BURIED: return fault(state);
    }
    mr_unreachable(__func__);
}

static struct validate_step when_burying(const struct validate_state *state, const struct validate_event *event)
{
    switch (event->kind) {
    case VALIDATE_EVENT_BURIED:
        return settle((struct validate_decision){.kind = VALIDATE_DECISION_DEAD_LETTERED, .reason = state->reason});
    case VALIDATE_EVENT_RECORD:
    case VALIDATE_EVENT_FETCHED:
    case VALIDATE_EVENT_PROBED:
    case VALIDATE_EVENT_FAILED: return fault(state);
    }
    mr_unreachable(__func__);
}

struct validate_step validate_decide(const struct validate_state *state, const struct validate_event *event)
{
    switch (state->kind) {
    case VALIDATE_STATE_READY: return when_ready(state, event);
    case VALIDATE_STATE_FETCHING: return when_fetching(state, event);
    case VALIDATE_STATE_WAITING: return when_waiting(state, event);
    case VALIDATE_STATE_BURYING: return when_burying(state, event);
    case VALIDATE_STATE_DONE:
        /* Validated, and then no memory to write it down: the attempt failed after all. */
        return event->kind == VALIDATE_EVENT_FAILED ? fail(VALIDATE_REASON_OUT_OF_MEMORY, &event->of.failed.attempt)
                                                    : fault(state);
    }
    mr_unreachable(__func__);
}

/* ---- Copies
 * ---------------------------------------------------------------------------------------------------------- */

enum validate_copy validate_copy_after_put(enum mr_store_outcome put)
{
    switch (put) {
    case MR_STORE_DONE: return VALIDATE_COPY_STORED;
    case MR_STORE_PRECONDITION_FAILED: /* it is there already: another record's payload, or our own lost answer */
    case MR_STORE_CONFLICT:
    case MR_STORE_UNKNOWN: return VALIDATE_COPY_READ_BACK;
    case MR_STORE_MISSING: /* the bucket itself */
    case MR_STORE_DENIED:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE: return VALIDATE_COPY_DOWN;
    }
    mr_unreachable(__func__);
}

enum validate_copy validate_copy_after_head(enum mr_store_outcome head, bool size_equal)
{
    switch (head) {
    case MR_STORE_DONE: return size_equal ? VALIDATE_COPY_STORED : VALIDATE_COPY_CORRUPT;
    case MR_STORE_MISSING: /* not applied, or not yet: the whole copy is tried again */
    case MR_STORE_PRECONDITION_FAILED:
    case MR_STORE_CONFLICT:
    case MR_STORE_UNKNOWN:
    case MR_STORE_DENIED:
    case MR_STORE_THROTTLED:
    case MR_STORE_UNAVAILABLE: return VALIDATE_COPY_DOWN;
    }
    mr_unreachable(__func__);
}
