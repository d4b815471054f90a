/* Every state and event: one known answer; FAULT is for impossible pairs alone, and what is validated was good. */
#include "check_main.h"
#include "exhaust.h"
#include "validate.h"

#include <stdio.h>
#include <string.h>

static uint32_t kind_of(struct exhaust *e, int last)
{
    return 1 + exhaust_pick(e, (uint32_t)last - 1);
}

static struct validate_state any_state(struct exhaust *e)
{
    struct validate_state state;
    memset(&state, 0, sizeof state);
    state.kind = (enum validate_state_kind)kind_of(e, VALIDATE_STATE_LAST);
    switch (state.kind) {
    case VALIDATE_STATE_FETCHING:
    case VALIDATE_STATE_WAITING:
        state.precision.kind = (enum validate_precision_kind)kind_of(e, VALIDATE_PRECISION_CAST_TO_BFLOAT16);
        return state;
    case VALIDATE_STATE_BURYING: state.reason = (enum validate_reason)kind_of(e, VALIDATE_REASON_LAST); return state;
    case VALIDATE_STATE_READY:
    case VALIDATE_STATE_DONE: return state;
    }
    mr_unreachable(__func__);
}

static void choose_facts(struct exhaust *e, struct validate_facts *facts)
{
    facts->body = (enum validate_body)kind_of(e, VALIDATE_BODY_LAST);
    facts->run = (enum validate_run)kind_of(e, VALIDATE_RUN_LAST);
    if (facts->body == VALIDATE_BODY_RUN_STARTED) {
        facts->of.run_started.spec_valid = exhaust_pick(e, 1) == 1;
    }
    if (facts->body == VALIDATE_BODY_BATCH) {
        facts->of.batch.shape = (enum validate_shape)kind_of(e, VALIDATE_SHAPE_LAST);
        facts->of.batch.policy = (enum validate_policy)kind_of(e, VALIDATE_POLICY_LAST);
        facts->of.batch.dtype = (enum validate_dtype)kind_of(e, VALIDATE_DTYPE_LAST);
        facts->of.batch.claims = (enum validate_claims)kind_of(e, VALIDATE_CLAIMS_LAST);
        facts->of.batch.checksums_match = exhaust_pick(e, 1) == 1;
        facts->of.batch.values = (enum validate_values)kind_of(e, VALIDATE_VALUES_LAST);
    }
}

static struct validate_event any_event(struct exhaust *e)
{
    struct validate_event event;
    memset(&event, 0, sizeof event);
    event.kind = (enum validate_event_kind)kind_of(e, VALIDATE_EVENT_LAST);
    switch (event.kind) {
    case VALIDATE_EVENT_RECORD: choose_facts(e, &event.of.record); return event;
    case VALIDATE_EVENT_FETCHED:
        event.of.fetched.outcome = (enum validate_fetched)kind_of(e, VALIDATE_FETCHED_LAST);
        event.of.fetched.attempt.policy = MR_RETRY_DEFAULT;
        event.of.fetched.attempt.failed_before = exhaust_pick(e, 6);
        return event;
    case VALIDATE_EVENT_FAILED:
        event.of.failed.attempt.policy = MR_RETRY_DEFAULT;
        event.of.failed.attempt.failed_before = exhaust_pick(e, 6);
        return event;
    case VALIDATE_EVENT_PROBED:
    case VALIDATE_EVENT_BURIED: return event;
    }
    mr_unreachable(__func__);
}

static bool possible(enum validate_state_kind state, enum validate_event_kind event)
{
    switch (event) {
    case VALIDATE_EVENT_RECORD: return state == VALIDATE_STATE_READY;
    case VALIDATE_EVENT_FETCHED: return state == VALIDATE_STATE_FETCHING;
    case VALIDATE_EVENT_PROBED: return state == VALIDATE_STATE_WAITING;
    case VALIDATE_EVENT_FAILED: return state != VALIDATE_STATE_BURYING;
    case VALIDATE_EVENT_BURIED: return state == VALIDATE_STATE_BURYING;
    }
    mr_unreachable(__func__);
}

static void check_validated(const struct validate_state *state, const struct validate_event *event)
{
    if (event->kind == VALIDATE_EVENT_FETCHED) {
        ck_assert_int_eq(event->of.fetched.outcome, VALIDATE_FETCHED_COPIED);
        return;
    }
    const struct validate_facts *facts = &event->of.record;
    ck_assert_int_eq(state->kind, VALIDATE_STATE_READY);
    if (facts->body == VALIDATE_BODY_RUN_STARTED) {
        ck_assert(facts->of.run_started.spec_valid);
        return;
    }
    ck_assert_int_eq(facts->run, VALIDATE_RUN_OPEN);
    if (facts->body == VALIDATE_BODY_BATCH) {
        ck_assert_int_eq(facts->of.batch.shape, VALIDATE_SHAPE_FITS);
        ck_assert_int_eq(facts->of.batch.claims, VALIDATE_CLAIMS_NONE);
        ck_assert_int_eq(facts->of.batch.values, VALIDATE_VALUES_GOOD);
        ck_assert(facts->of.batch.checksums_match && facts->of.batch.dtype <= VALIDATE_DTYPE_FLOAT32);
    }
}

static void check(const struct validate_state *state, const struct validate_event *event)
{
    const struct validate_step step = validate_decide(state, event);
    const enum validate_decision_kind kind = step.decision.kind;
    ck_assert_int_ge(step.next.kind, 1);
    ck_assert_int_le(step.next.kind, VALIDATE_STATE_LAST);
    ck_assert_str_ne(validate_decision_text(kind), "");
    ck_assert_msg((kind == VALIDATE_DECISION_FAULT) == !possible(state->kind, event->kind), "%s in %s: %s",
                  validate_event_text(event->kind), validate_state_text(state->kind), validate_decision_text(kind));
    /* What goes to the dead letters waits there for its acknowledgement, and has a reason. */
    if (kind != VALIDATE_DECISION_FAULT && step.next.kind == VALIDATE_STATE_BURYING) {
        ck_assert_int_ge(step.next.reason, 1);
        ck_assert_int_le(step.next.reason, VALIDATE_REASON_LAST);
        ck_assert_int_eq(step.next.reason, step.decision.reason);
    }
    ck_assert((kind == VALIDATE_DECISION_FETCH) == (step.next.kind == VALIDATE_STATE_FETCHING) ||
              kind == VALIDATE_DECISION_FAULT);
    if (kind == VALIDATE_DECISION_VALIDATED) {
        check_validated(state, event);
    }
}

START_TEST(every_pair_is_answered)
{
    struct exhaust e = {.started = false};
    uint64_t pairs = 0;
    while (exhaust_next(&e)) {
        const struct validate_state state = any_state(&e);
        const struct validate_event event = any_event(&e);
        check(&state, &event);
        pairs++;
    }
    printf("pairs=%llu\n", (unsigned long long)pairs);
    ck_assert_uint_gt(pairs, 10000);
}
END_TEST

START_TEST(every_name_is_its_own)
{
    for (int a = 1; a <= VALIDATE_REASON_LAST; a++) {
        for (int b = 1; b < a; b++) {
            ck_assert_str_ne(validate_reason_text((enum validate_reason)a),
                             validate_reason_text((enum validate_reason)b));
        }
    }
    for (int a = 1; a <= VALIDATE_PRECISION_LAST; a++) {
        ck_assert_str_ne(validate_precision_text((enum validate_precision_kind)a), "");
    }
}
END_TEST

static void add(TCase *tcase)
{
    tcase_add_test(tcase, every_pair_is_answered);
    tcase_add_test(tcase, every_name_is_its_own);
}

int main(void)
{
    return check_main("validate_total", add);
}
